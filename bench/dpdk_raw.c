/* bench/dpdk_raw.c: what the stack's nic costs above DPDK's own bursts: frames around a pair of rings, in one thread.
 *
 * A round takes 32 buffers, sends them, receives them at the other port and gives them back: once with rte_ calls
 * alone, once through struct nic. The rounds alternate; printed is the median of the runs, in nanoseconds a frame. */
#include "../backends/dpdk/ethdev.h"
#include "../backends/dpdk/port.h"
#include <rte_eth_ring.h>

#include <rte_mbuf.h>
#include <rte_ring.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { BURST = 32, ROUNDS = 100000, RUNS = 9, RING = 256, SIZE = 60 };

static struct dpdk_settings settings;
static struct dpdk_port *ports[2];
static uint16_t ids[2];

static double now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static double run_raw(struct rte_mempool *pool)
{
    double begin = now_ns();

    for (int round = 0; round < ROUNDS; round++) {
        struct rte_mbuf *mbufs[BURST];
        uint16_t count;

        if (rte_pktmbuf_alloc_bulk(pool, mbufs, BURST) != 0)
            abort();
        for (int i = 0; i < BURST; i++) {
            mbufs[i]->data_len = SIZE;
            mbufs[i]->pkt_len = SIZE;
        }
        if (rte_eth_tx_burst(ids[0], 0, mbufs, BURST) != BURST)
            abort();
        count = rte_eth_rx_burst(ids[1], 0, mbufs, BURST);
        rte_pktmbuf_free_bulk(mbufs, count);
    }
    return (now_ns() - begin) / ROUNDS / BURST;
}

static double run_nic(void)
{
    struct nic *from = pal__d_port_nic(ports[0], 0), *to = pal__d_port_nic(ports[1], 0);
    double begin = now_ns();

    for (int round = 0; round < ROUNDS; round++) {
        struct frame *frames[BURST];
        int count;

        for (int i = 0; i < BURST; i++) {
            frames[i] = frame_alloc(from);
            frames[i]->size = SIZE;
        }
        if (from->ops->tx(from, frames, BURST) != BURST)
            abort();
        count = to->ops->rx(to, frames, BURST);
        for (int i = 0; i < count; i++)
            frame_free(frames[i]);
    }
    return (now_ns() - begin) / ROUNDS / BURST;
}

static bool begin(struct base_text *words)
{
    char notes_buffer[DPDK_WORDS_MAX];
    struct base_text notes;
    struct dpdk_plan plan;
    struct rte_ring *rings[2];

    base_text_init(&notes, notes_buffer, sizeof(notes_buffer));
    if (pal__d_settings_read(&settings, "device net_ring0 ; device net_ring1 ; mbufs 4096 ; descriptors 512", words) !=
            0 ||
        pal__d_preflight(&settings, "", &plan, &notes, words) != 0 || pal__d_eal_start(&settings, &plan, words) != 0)
        return false;
    rings[0] = rte_ring_create("one", RING, 0, RING_F_SP_ENQ | RING_F_SC_DEQ);
    rings[1] = rte_ring_create("two", RING, 0, RING_F_SP_ENQ | RING_F_SC_DEQ);
    for (uint32_t i = 0; i < 2; i++) {
        int id = rte_eth_from_rings(i == 0 ? "one" : "two", &rings[i], 1, &rings[1 - i], 1, 0);

        if (id < 0 || pal__d_port_open_id(&settings, i, (uint16_t)id, &ports[i], words) != 0)
            return false;
        ids[i] = (uint16_t)id;
    }
    return true;
}

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;

    return (a > b) - (a < b);
}

int main(void)
{
    double raw[RUNS], nic[RUNS];
    char words_buffer[DPDK_WORDS_MAX];
    struct rte_mempool *pool;
    struct base_text words;

    base_text_init(&words, words_buffer, sizeof(words_buffer));
    if (!begin(&words)) {
        fprintf(stderr, "dpdk_raw: %s\n", words.data);
        return 1;
    }
    pool = rte_mempool_lookup("palio-0-0");
    if (pool == NULL)
        return 1;
    for (int i = 0; i < RUNS; i++) {
        raw[i] = run_raw(pool);
        nic[i] = run_nic();
    }
    qsort(raw, RUNS, sizeof(raw[0]), compare);
    qsort(nic, RUNS, sizeof(nic[0]), compare);
    printf("ns a frame of %d bytes, taken, sent, received and given back: rte_ %.1f, nic %.1f\n", SIZE, raw[RUNS / 2],
           nic[RUNS / 2]);
    for (int i = 0; i < 2; i++)
        pal__d_port_stop(ports[i]);
    for (int i = 0; i < 2; i++)
        if (pal__d_port_close(ports[i]) != 0)
            return 1;
    pal__d_eal_stop();
    return 0;
}
