/* tests/dpdk/ring_talk.h: what the two stacks of ring_world.h say to each other. */
#ifndef TESTS_DPDK_RING_TALK_H
#define TESTS_DPDK_RING_TALK_H

#include "ring_world.h"

static const struct netstack_config plain = {.flags = 0};
static const char *const hosts[2] = {"10.0.0.2", "fd00::2"};

enum { CHUNK = 8192 };

static inline uint8_t pattern_at(uint64_t offset)
{
    return (uint8_t)(offset * 167 + (offset >> 8));
}

/* Both ends of a connection, side 0's first. */
static inline void establish(const char *host, struct sock **client, struct sock **server)
{
    static uint16_t port = 1000; /* another each time: the last one's connection may still be ending */
    struct sock *listener = listen_at(1, host, ++port, 8);

    *client = connect_to(0, host, port);
    for (int i = 0; i < 100 && pal__n_sock_accept(listener, server, NULL) != 0; i++)
        run(MS);
    cr_assert_eq(pal__n_sock_ready(*client) & PAL_OUT, PAL_OUT);
    pal__n_sock_close(listener);
}

/* As much as goes, from *offset on. */
static inline void push(struct sock *sock, uint64_t *offset, uint64_t size)
{
    uint8_t bytes[CHUNK];

    while (*offset < size) {
        size_t count = size - *offset < CHUNK ? (size_t)(size - *offset) : CHUNK;
        int32_t sent;

        for (size_t i = 0; i < count; i++)
            bytes[i] = pattern_at(*offset + i);
        sent = pal__n_sock_send(sock, bytes, count, 0);
        if (sent < 0)
            cr_assert_eq(sent, PAL_EAGAIN);
        if (sent <= 0)
            break;
        *offset += (uint64_t)sent;
    }
}

/* All that there is, which must be the pattern; true: the end. */
static inline bool pull(struct sock *sock, uint64_t *offset)
{
    uint8_t bytes[CHUNK];
    int32_t received;

    while ((received = pal__n_sock_recv(sock, bytes, sizeof(bytes), 0)) > 0)
        for (int32_t i = 0; i < received; i++)
            cr_assert_eq(bytes[i], pattern_at((*offset)++));
    if (received < 0)
        cr_assert_eq(received, PAL_EAGAIN);
    return received == 0;
}

/* So much both ways at the same time, then the end both ways. */
static inline void exchange(struct sock *client, struct sock *server, uint64_t size)
{
    struct sock *socks[2] = {client, server};
    uint64_t sent[2] = {0, 0}, received[2] = {0, 0};
    bool ended[2] = {false, false}, shut[2] = {false, false};

    for (int i = 0; i < 200000 && !(ended[0] && ended[1]); i++) {
        for (int k = 0; k < 2; k++) {
            push(socks[k], &sent[k], size);
            if (sent[k] == size && !shut[k]) {
                shut[k] = true;
                cr_assert_eq(pal__n_sock_shutdown(socks[k], PAL_SHUT_WR), 0);
            }
            ended[k] = pull(socks[k], &received[k]);
        }
        now_ns += 10 * US;
        turn();
    }
    cr_assert_eq(received[0], size);
    cr_assert_eq(received[1], size);
    check_stacks();
    pal__n_sock_close(client);
    pal__n_sock_close(server);
}

#endif
