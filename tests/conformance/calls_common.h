/* calls_common.h: what the calls_*.c files share beyond conformance.h: sockets made and named in one line, numbers as
 * options, datagrams with addresses. Each function fails the test that calls it unless it says what it returns. */
#ifndef TESTS_CALLS_COMMON_H
#define TESTS_CALLS_COMMON_H

#include "conformance.h"

/* Handles that are open now: PAL_INFO_SOCKS_OPEN. */
uint64_t handles_open(void);

/* The absolute deadline that lies so far from now. */
uint64_t deadline_after(uint64_t timeout_ns);

/* ---- sockets ---- */

/* Skip the test unless the facility is there. To be called first. */
void require_inet6(void);
void require_pair(enum pair_kind kind);

pal_sock sock_open(int family, int type);
void sock_close(pal_sock sock);

/* Fails unless every call that takes a handle finds this one stale. */
void assert_stale(pal_sock sock);

struct pal_addr loopback(int family, uint16_t port);
struct pal_addr any_address(int family, uint16_t port);
struct pal_addr host_address(const char *numeric_host, uint16_t port);

/* A socket on a free port of the loopback address; its complete name goes to *addr unless that is NULL. */
pal_sock sock_bound(int family, int type, struct pal_addr *addr);

/* A socket on a free port (port 0) of this address, which is made complete. */
pal_sock sock_bound_to(int type, struct pal_addr *addr);

/* pal_sock_name, PAL_NAME_LOCAL or PEER. */
struct pal_addr name_of(pal_sock sock, int which);

#define assert_same_address(actual, expected)                                                                          \
    do {                                                                                                               \
        struct pal_addr same_actual_ = (actual), same_expected_ = (expected);                                          \
        char same_text_[2][PAL_ADDR_TEXT_SIZE];                                                                        \
        (void)pal_addr_format(&same_actual_, same_text_[0], sizeof(same_text_[0]));                                    \
        (void)pal_addr_format(&same_expected_, same_text_[1], sizeof(same_text_[1]));                                  \
        cr_assert(pal_addr_equal(&same_actual_, &same_expected_), "%s is %s, not %s", #actual, same_text_[0],          \
                  same_text_[1]);                                                                                      \
    } while (0)

/* ---- options that are one int32_t ---- */

int32_t option_of(pal_sock sock, uint32_t option);
void option_set(pal_sock sock, uint32_t option, int32_t value);

/* As pal_sock_set. */
int option_try(pal_sock sock, uint32_t option, int32_t value);

/* ---- text through sockets ---- */

void send_text(pal_sock sock, const char *text);

/* Waits, receives once, and compares: a small message arrives whole. */
void expect_text(pal_sock sock, const char *text);

/* Waits for the end of the stream, before which nothing may come. */
void expect_end(pal_sock sock);

/* Bytes go both ways, whatever the sockets are. */
void expect_connected(pal_sock a, pal_sock b);

/* ---- messages ---- */

/* A message of one piece, which *iov describes; all else is zero. */
struct pal_msg msg_of(struct pal_iov *iov, void *data, size_t size);

/* Sends a datagram to an address (NULL: to the peer): bytes taken or the error. */
int32_t send_to(pal_sock sock, const struct pal_addr *addr, const char *text);

/* Waits for a message and receives it. */
void receive_msg(pal_sock sock, struct pal_msg *msg);

/* Waits for a datagram and compares it; the sender goes to *from unless that is NULL. */
void expect_datagram(pal_sock sock, const char *text, struct pal_addr *from);

/* The loopback interface's index, 0 if it has none of a known name. */
uint32_t loopback_ifindex(void);

#endif
