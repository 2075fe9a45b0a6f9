/* conformance.h: what the tests of the seam share: a rig around one poll, connected pairs of sockets, ways to receive.
 *
 * It knows pal/ and ISO C and nothing of any backend, so that one source serves them all. Everything is bounded: a wait
 * has a deadline, a loop has a count. A deadline only ends a wait, it never decides a test. What fails here fails the
 * test that called it; none of these functions may be called from a thread other than the test's. */
#ifndef TESTS_CONFORMANCE_H
#define TESTS_CONFORMANCE_H

#include <pal/address.h>
#include <pal/pal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "support/test.h"

static const uint64_t MILLISECOND_NS = 1000000;

/* ---- the rig: a poll, and the events of its last wait ---- */

enum { RIG_KEPT_MAX = 4096 };

struct rig {
    pal_poll *poll;
    const struct pal_event *events; /* of the last wait; the poll's memory */
    int count;                      /* of these events */
    uint64_t socks_at_start;        /* PAL_INFO_SOCKS_OPEN when the rig was opened */
    int kept_count;
    struct pal_event kept[RIG_KEPT_MAX]; /* one-shot events that waits have returned and rig_until has not handed out */
};

/* Opens a poll for at most events_max events a wait, all else default. */
void rig_open(struct rig *rig, uint32_t events_max);
void rig_open_config(struct rig *rig, const struct pal_config *config);

/* Closes it: fails unless the poll is idle and as many handles are open as before. */
void rig_close(struct rig *rig);

/* One wait, at most timeout_ns (0: look and return) from now. Returns the count of events. */
int rig_turn(struct rig *rig, uint64_t timeout_ns);

/* The first event of the last wait with this data that is not struck out, or NULL. */
const struct pal_event *rig_find(const struct rig *rig, uint64_t data);

/* Waits, at most 500 times 10 ms, for an event of this kind with this data; fails the test if none comes. Events that
 * come once (OP, WAKE, SIGNAL, CHILD) may also have come in an earlier wait: each is handed out here once. */
struct pal_event rig_until(struct rig *rig, uint64_t data, uint16_t kind);

/* As rig_until for PAL_EV_READY, but goes on until a READY carries any of these bits. */
struct pal_event rig_until_ready(struct rig *rig, uint64_t data, uint16_t bits);

/* pal_watch, pal_submit and pal_cancel that have to succeed; submit: as pending. */
void rig_watch(struct rig *rig, pal_sock sock, uint32_t interest, uint64_t data);
void rig_unwatch(struct rig *rig, pal_sock sock);
void rig_submit(struct rig *rig, struct pal_op *op);
void rig_cancel(struct rig *rig, struct pal_op *op);

/* Waits for the event of a pending op and returns the result, which op and event agree about. */
int32_t rig_outcome(struct rig *rig, const struct pal_op *op);

/* Submits, waits for the end unless it is there at once, and returns the op's result, or why submit refused it. */
int32_t rig_perform(struct rig *rig, struct pal_op *op);

/* How many one-shot events with this data have been returned and not handed out by rig_until. */
int rig_kept(const struct rig *rig, uint64_t data);

/* Fails if an event with this data comes within so many waits of 1 ms; the second lets one READY pass (rule 9). */
void rig_silent(struct rig *rig, uint64_t data, int turns);
void rig_silent_but_once(struct rig *rig, uint64_t data, int turns);

/* ---- variations: every behaviour with the smallest event array and with a large one, by each way to receive ---- */

#define FOR_EACH_EVENTS_MAX(events_max) for (uint32_t events_max = 2; events_max <= 256; events_max += 254)

enum receive_mode { BY_WATCH, BY_OP, BY_LEASE, RECEIVE_MODES };
#define FOR_EACH_RECEIVE_MODE(mode)                                                                                    \
    for (enum receive_mode mode = BY_WATCH; mode < RECEIVE_MODES; mode = (enum receive_mode)(mode + 1))

/* Waits for something to receive and receives it once: bytes, at most size; 0 at the end of the stream; or the error.
 * sock is unwatched before and after. By lease, what one lease holds must fit. */
int32_t receive_some(struct rig *rig, enum receive_mode mode, pal_sock sock, void *buffer, size_t size);

/* Receives exactly size bytes; fails the test on an error or an early end. */
void receive_exactly(struct rig *rig, enum receive_mode mode, pal_sock sock, void *buffer, size_t size);

/* Sends once what can be sent, waiting for room if there is none: bytes, at most size, or the error. By watch: a try
 * call; by op: PAL_OP_SEND, which sends all; by lease: reserved leases, tried. */
int32_t send_some(struct rig *rig, enum receive_mode mode, pal_sock sock, const void *data, size_t size);

/* ---- ops ---- */

struct pal_op op_recv(pal_sock sock, uint64_t data, void *buffer, size_t size);
struct pal_op op_send(pal_sock sock, uint64_t data, const void *bytes, size_t size);
struct pal_op op_accept(pal_sock listener, uint64_t data, pal_sock *out);
struct pal_op op_connect(pal_sock sock, uint64_t data, const struct pal_addr *addr);

/* ---- sockets ---- */

enum pair_kind { PAIR_TCP4, PAIR_TCP6, PAIR_UNIX_STREAM, PAIR_UNIX_SEQPACKET, PAIR_UDP4, PAIR_UNIX_DGRAM, PAIR_KINDS };
enum { PAIR_STREAM_KINDS = PAIR_UNIX_SEQPACKET }; /* the kinds below this one are streams */

/* Whether this machine and backend have such pairs. */
bool pair_available(enum pair_kind kind);

/* Two ends connected to each other, on loopback. A kind that is not there skips the test. */
void pair_open(enum pair_kind kind, pal_sock *a, pal_sock *b);
void pair_close(pal_sock a, pal_sock b);

/* A TCP listener on a free loopback port of PAL_AF_INET or INET6, or a unix stream listener with an abstract name. The
 * address is complete. What is not there skips the test. */
void listener_open(int family, pal_sock *listener, struct pal_addr *addr);

/* A new TCP (or unix stream) socket connected to a listener whose connection is accepted as *b. */
void connect_to(pal_sock listener, const struct pal_addr *addr, pal_sock *a, pal_sock *b);

/* Blocks, at most 5 seconds, until sock is ready for any of interest; returns the bits, 0 if it never was. */
uint16_t sock_until(pal_sock sock, uint16_t interest);

/* The next connection; fails if none comes. */
pal_sock accept_one(pal_sock listener);

/* Rule 14: whether the socket is the kernel's, and not a user-space stack's that stands beside it. */
bool is_native(pal_sock sock);

/* The family, and the kind of pair, to take where only the kernel's sockets will do: the one that is given where its
 * sockets are the kernel's, else the unix one that is like it. */
int native_family(int family);
enum pair_kind native_kind(enum pair_kind kind);

/* The kind to take where another thread uses a socket: the one that is given where threads share sockets of it
 * (PAL_CAP_SHARED_SOCKS), else native_kind. */
enum pair_kind shared_kind(enum pair_kind kind);

/* An end of a connected pair that is a user-space stack's, of whichever kind; skips the test where there is no such
 * stack. To be called first. */
void stack_pair_open(enum pair_kind kind, pal_sock *a, pal_sock *b);

/* The kind of stream that stays full once it is: unix where there is one. TCP may find room again without a reader. */
enum pair_kind pair_kind_bounded(void);

/* Sends until no more is taken, also after a while; returns the count of bytes. Slow on TCP. */
uint64_t fill(pal_sock sock);

/* Receives what has arrived: bytes until PAL_EAGAIN or the end. The other one waits for the end of the stream. */
uint64_t drain(pal_sock sock);
uint64_t drain_to_end(pal_sock sock);

/* Sends all; fails the test if it is not taken within the bounds. */
void send_all(pal_sock sock, const void *data, size_t size);

/* Closes with a reset instead of an orderly end. TCP. */
void close_with_reset(pal_sock sock);

/* A name that nobody else on this machine has: the prefix, "-", and letters, digits and "-". Chance alone is not
 * enough: a simulator's is the same in every test. */
void unique_name(char *out, size_t size, const char *prefix);

/* Whether the backend has all of these PAL_CAP_* bits. */
bool has_caps(uint64_t caps);

#define assert_error(actual, expected)                                                                                 \
    do {                                                                                                               \
        int assert_actual_ = (int)(actual);                                                                            \
        cr_assert(assert_actual_ == (expected), "%s is %s (%d), not %s", #actual, pal_error_name(assert_actual_),      \
                  assert_actual_, pal_error_name(expected));                                                           \
    } while (0)

#endif
