/* message.h: between struct pal_msg and the kernel's msghdr: shared by message.c (the calls), control_encode.c,
 * control_decode.c and errqueue.c (the control data), and lease.c. */
#ifndef PAL__POSIX_MESSAGE_H
#define PAL__POSIX_MESSAGE_H

#include "../common/slot.h"
#include <netinet/in.h>
#include <pal/socket.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

_Static_assert(sizeof(struct pal_iov) == sizeof(struct iovec) &&
                   offsetof(struct pal_iov, data) == offsetof(struct iovec, iov_base) &&
                   offsetof(struct pal_iov, size) == offsetof(struct iovec, iov_len),
               "pal_iov is the kernel's iovec, so that no piece has to be copied");

enum {
    MESSAGE_WANTS = PAL_META_LOCAL | PAL_META_TTL | PAL_META_TOS | PAL_META_TIME | PAL_META_DROPPED | PAL_META_GSO |
                    PAL_META_SOCKS | PAL_META_CRED | PAL_META_NOTICE,
    MESSAGE_WANTS_LEASE = MESSAGE_WANTS & ~(PAL_META_SOCKS | PAL_META_NOTICE)
};

/* Room for every kind that is decoded, all at once: an IPv6 socket may have those of both families. Handles aside. */
enum {
    CONTROL_INTS = 6 * CMSG_SPACE(sizeof(int)), /* hop limit and traffic class twice, drops, segments */
    CONTROL_ADDRESSES = CMSG_SPACE(sizeof(struct in_pktinfo)) + CMSG_SPACE(sizeof(struct in6_pktinfo)),
    CONTROL_TIMES = CMSG_SPACE(sizeof(struct timespec)) + CMSG_SPACE(3 * sizeof(struct timespec)),
    CONTROL_ERROR = CMSG_SPACE(16 + sizeof(struct sockaddr_in6)), /* a sock_extended_err and where it came from */
    CONTROL_DECODED = CONTROL_INTS + CONTROL_ADDRESSES + CONTROL_TIMES + CONTROL_ERROR,
    CONTROL_HANDLES = CMSG_SPACE(PAL_PASS_MAX * sizeof(int))
};

/* What a message may ask of the kernel at once, when it is more than bytes and an address. */
struct control {
    _Alignas(struct cmsghdr) uint8_t bytes[CONTROL_DECODED + CONTROL_HANDLES];
};

/* Writes the control data that msg->want asks to send: its size in bytes, or a negative PAL_E*. */
int pal__k_control_encode(const struct slot *slot, const struct pal_msg *msg, struct control *control);

/* Bytes of control room to offer for receiving msg; 0 when nothing is wanted. */
size_t pal__k_control_room(const struct slot *slot, const struct pal_msg *msg);

/* Reads what came: fills in the fields, .have and .flags of msg. Handles that cannot be kept are closed (CTRUNC). */
void pal__k_control_decode(const struct slot *slot, struct pal_msg *msg, const struct msghdr *from);

/* Reads the record of an error queue; false: it is not wanted, or not known, and raw data to the caller. */
bool pal__k_errqueue_decode(struct pal_msg *msg, const uint8_t *data, size_t size);

#endif
