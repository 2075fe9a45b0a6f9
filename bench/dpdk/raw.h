/* bench/dpdk/raw.h: DPDK's start as the backend does it, and round trips by DPDK's own bursts on a port that the
 * backend has set up: the floor of what the stack is held against. */
#ifndef BENCH_DPDK_RAW_H
#define BENCH_DPDK_RAW_H

#include "../../backends/dpdk/ethdev.h"
#include "../../backends/dpdk/port.h"
#include "raw_frame.h"
#include <rte_mbuf.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { RAW_BURST = 32 };

/* One end of a wire. One thread's at a time. */
struct raw {
    uint16_t id; /* DPDK's number of the port */
    struct rte_mempool *pool;
    uint8_t mac[6];
    uint64_t number; /* of the frame that was sent last */
};

static struct dpdk_settings settings;
static char words_buffer[DPDK_WORDS_MAX];
static struct base_text words; /* why DPDK says no */

static inline void must(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "%s: %s\n", what, words_buffer);
    exit(1);
}

static inline uint64_t clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Starts DPDK by the settings; the calling thread goes to the first of their cores. */
static inline void begin_dpdk(const char *text)
{
    static char notes_buffer[DPDK_WORDS_MAX];
    struct base_text notes;
    struct dpdk_plan plan;

    base_text_init(&words, words_buffer, sizeof(words_buffer));
    base_text_init(&notes, notes_buffer, sizeof(notes_buffer));
    must(pal__d_settings_read(&settings, text, &words) == 0, "settings");
    must(pal__d_preflight(&settings, "", &plan, &notes, &words) == 0, "the dry run");
    must(pal__d_eal_start(&settings, &plan, &words) == 0, "DPDK's start");
}

/* The first queue of a port that is open. */
static inline void raw_begin(struct raw *raw, uint16_t id)
{
    struct rte_ether_addr mac;
    char name[RTE_MEMPOOL_NAMESIZE];

    snprintf(name, sizeof(name), "palio-%u-0", id);
    raw->id = id;
    raw->pool = rte_mempool_lookup(name);
    raw->number = 0;
    must(raw->pool != NULL && rte_eth_macaddr_get(id, &mac) == 0, "the port's packet buffers");
    memcpy(raw->mac, mac.addr_bytes, sizeof(raw->mac));
}

/* Sends a frame with the next number. False: the port does not take it, having no link. */
static inline bool raw_ask(struct raw *raw, uint8_t kind, uint32_t size)
{
    struct rte_mbuf *mbuf = rte_pktmbuf_alloc(raw->pool);
    char *bytes = mbuf == NULL ? NULL : rte_pktmbuf_append(mbuf, (uint16_t)(RAW_HEADERS + size));

    must(bytes != NULL, "a packet buffer");
    raw_frame_begin((uint8_t *)bytes, raw->mac, kind, ++raw->number);
    for (int i = 0; i < 1000; i++)
        if (rte_eth_tx_burst(raw->id, 0, &mbuf, 1) == 1)
            return true;
    rte_pktmbuf_free(mbuf);
    return false;
}

/* One look: has the answer come? */
static inline bool raw_is_answered(struct raw *raw)
{
    struct rte_mbuf *mbufs[RAW_BURST];
    uint16_t count = rte_eth_rx_burst(raw->id, 0, mbufs, RAW_BURST);
    bool answered = false;

    for (uint16_t i = 0; i < count; i++) {
        const uint8_t *bytes = rte_pktmbuf_mtod(mbufs[i], const uint8_t *);

        answered |= raw_frame_is_ours(bytes, mbufs[i]->data_len) && raw_frame_number(bytes) == raw->number;
    }
    rte_pktmbuf_free_bulk(mbufs, count);
    return answered;
}

/* One look: answers what has come, in the buffers in which it came; how many. *ended: the other side says so. */
static inline int raw_answer(struct raw *raw, bool *ended)
{
    struct rte_mbuf *mbufs[RAW_BURST];
    uint16_t count = rte_eth_rx_burst(raw->id, 0, mbufs, RAW_BURST), answers = 0;

    for (uint16_t i = 0; i < count; i++) {
        uint8_t *bytes = rte_pktmbuf_mtod(mbufs[i], uint8_t *);

        if (!raw_frame_is_ours(bytes, mbufs[i]->data_len)) {
            rte_pktmbuf_free(mbufs[i]);
            continue;
        }
        *ended |= bytes[RAW_KIND] == RAW_END;
        raw_frame_turn_round(bytes, raw->mac);
        mbufs[answers++] = mbufs[i];
    }
    for (uint16_t done = 0; done < answers;)
        done = (uint16_t)(done + rte_eth_tx_burst(raw->id, 0, mbufs + done, (uint16_t)(answers - done)));
    return answers;
}

#endif
