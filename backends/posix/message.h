/* message.h: between struct pal_msg and the kernel's msghdr: shared by message.c (the calls), control.c (the control
 * data) and lease.c. */
#ifndef PAL__POSIX_MESSAGE_H
#define PAL__POSIX_MESSAGE_H

#include "../common/slot.h"
#include <pal/socket.h>
#include <sys/socket.h>
#include <sys/uio.h>

_Static_assert(sizeof(struct pal_iov) == sizeof(struct iovec) &&
                   offsetof(struct pal_iov, data) == offsetof(struct iovec, iov_base) &&
                   offsetof(struct pal_iov, size) == offsetof(struct iovec, iov_len),
               "pal_iov is the kernel's iovec, so that no piece has to be copied");

enum {
    MESSAGE_WANTS = PAL_META_LOCAL | PAL_META_TTL | PAL_META_TOS | PAL_META_TIME | PAL_META_DROPPED | PAL_META_GSO |
                    PAL_META_SOCKS | PAL_META_CRED,
    MESSAGE_WANTS_LEASE = MESSAGE_WANTS & ~PAL_META_SOCKS,
    CONTROL_DECODED = 256,                                   /* room for every kind that is decoded, handles aside */
    CONTROL_HANDLES = CMSG_SPACE(PAL_PASS_MAX * sizeof(int)) /* room for handles */
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
void pal__k_control_decode(const struct slot *slot, struct pal_msg *msg, const struct msghdr *header);

#endif
