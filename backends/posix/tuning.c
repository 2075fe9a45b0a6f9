/* tuning.c: options that ask the kernel for speed, or for times, and that take more than a number handed on: stamps of
 * packets, sends without a copy, acknowledgements without delay. Rule 16. What comes of the first two is read from the
 * error queue (errqueue.c). */
#include "option.h"
#include "try.h"

#include <linux/net_tstamp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

enum { STAMP_IDS_OF_BYTES = 1 << 16 }; /* SOF_TIMESTAMPING_OPT_ID_TCP, from Linux 6.2 on */

static bool is_ip(const struct slot *slot)
{
    return slot->family == PAL_AF_INET || slot->family == PAL_AF_INET6;
}

static bool is_tcp(const struct slot *slot)
{
    return is_ip(slot) && slot->type == PAL_SOCK_STREAM;
}

static int give(int32_t number, void *value, size_t *size)
{
    if (*size < sizeof number)
        return pal__refuse(PAL_EINVAL, "this option is an int32_t");
    memcpy(value, &number, sizeof number);
    *size = sizeof number;
    return 0;
}

/* An int of the kernel's at SOL_SOCKET, of which more may come to be told one day than an int. */
static int native_int(const struct slot *slot, int name, int *out)
{
    size_t room = sizeof *out;
    return pal__k_native_get(slot, SOL_SOCKET, name, out, &room);
}

/* ---- PAL_SO_TIMESTAMPING: which times are taken, and that the kernel is to tell them ---- */

static const struct {
    uint32_t ours, taken, told;
} stampings[] = {
    {PAL_STAMPING_ARRIVED, SOF_TIMESTAMPING_RX_SOFTWARE, SOF_TIMESTAMPING_SOFTWARE},
    {PAL_STAMPING_ARRIVED_NIC, SOF_TIMESTAMPING_RX_HARDWARE, SOF_TIMESTAMPING_RAW_HARDWARE},
    {PAL_STAMPING_SCHEDULED, SOF_TIMESTAMPING_TX_SCHED, SOF_TIMESTAMPING_SOFTWARE},
    {PAL_STAMPING_SENT, SOF_TIMESTAMPING_TX_SOFTWARE, SOF_TIMESTAMPING_SOFTWARE},
    {PAL_STAMPING_SENT_NIC, SOF_TIMESTAMPING_TX_HARDWARE, SOF_TIMESTAMPING_RAW_HARDWARE},
    {PAL_STAMPING_ACKED, SOF_TIMESTAMPING_TX_ACK, SOF_TIMESTAMPING_SOFTWARE},
};
enum {
    STAMPINGS = sizeof stampings / sizeof *stampings,
    STAMPINGS_SENT = PAL_STAMPING_SCHEDULED | PAL_STAMPING_SENT | PAL_STAMPING_SENT_NIC | PAL_STAMPING_ACKED,
    STAMPINGS_ALL = STAMPINGS_SENT | PAL_STAMPING_ARRIVED | PAL_STAMPING_ARRIVED_NIC
};

/* Stamps of sending have ids, and come without a copy of what was sent, and so of its control data. */
static uint32_t native_stamping(uint32_t wanted)
{
    uint32_t native = 0;
    for (size_t i = 0; i < STAMPINGS; i++)
        if (wanted & stampings[i].ours)
            native |= stampings[i].taken | stampings[i].told;
    if (wanted & STAMPINGS_SENT)
        native |= SOF_TIMESTAMPING_OPT_ID | SOF_TIMESTAMPING_OPT_TSONLY;
    return native;
}

static int set_stamping(const struct slot *slot, const void *value, size_t size)
{
    uint32_t wanted;
    if (size != sizeof wanted)
        return pal__refuse(PAL_EINVAL, "this option is an int32_t");
    memcpy(&wanted, value, sizeof wanted);
    if (wanted & ~(uint32_t)STAMPINGS_ALL)
        return pal__refuse(PAL_EINVAL, "this option is any of PAL_STAMPING_*");
    if (!is_ip(slot))
        return pal__refuse(PAL_ENOTSUP, "stamps belong to IP sockets");
    if (wanted & PAL_STAMPING_ACKED && !is_tcp(slot))
        return pal__refuse(PAL_ENOTSUP, "only TCP is acknowledged: ask for PAL_STAMPING_SENT");
    uint32_t native = native_stamping(wanted);
    if (!is_tcp(slot) || !(wanted & STAMPINGS_SENT))
        return pal__k_native_set(slot, SOL_SOCKET, SO_TIMESTAMPING, &native, sizeof native);
    uint32_t exact = native | STAMP_IDS_OF_BYTES;
    int error = pal__k_native_set(slot, SOL_SOCKET, SO_TIMESTAMPING, &exact, sizeof exact);
    if (error == PAL_EINVAL)
        error = pal__k_native_set(slot, SOL_SOCKET, SO_TIMESTAMPING, &native, sizeof native);
    if (error == PAL_EINVAL)
        return pal__refuse(PAL_ENOTCONN, "what is sent is counted from this call on: connect first");
    return error;
}

static int get_stamping(const struct slot *slot, void *value, size_t *size)
{
    int native = 0;
    int32_t ours = 0;
    if (!is_ip(slot))
        return pal__refuse(PAL_ENOTSUP, "stamps belong to IP sockets");
    int error = native_int(slot, SO_TIMESTAMPING, &native);
    if (error)
        return error;
    for (size_t i = 0; i < STAMPINGS; i++)
        if ((uint32_t)native & stampings[i].taken)
            ours |= (int32_t)stampings[i].ours;
    return give(ours, value, size);
}

/* ---- PAL_SO_ZEROCOPY ---- */

enum { KERNEL_ENOTSUPP = 524 }; /* no errno: some kernels let it out where they lack UDP */

static int can_zerocopy(const struct slot *slot)
{
    bool able = is_tcp(slot) || (is_ip(slot) && slot->type == PAL_SOCK_DGRAM);
    return able ? 0 : pal__refuse(PAL_ENOTSUP, "only TCP and UDP send without a copy");
}

static int set_zerocopy(struct slot *slot, const void *value, size_t size)
{
    bool on = false;
    int error = can_zerocopy(slot);
    if (error || (error = pal__k_boolean(value, size, &on)))
        return error;
    error = pal__k_native_set(slot, SOL_SOCKET, SO_ZEROCOPY, value, size);
    if (error == PAL_ENOTSUP || error == -KERNEL_ENOTSUPP)
        return pal__refuse(PAL_ENOTSUP, "this kernel sends nothing without a copy on this kind of socket");
    if (error)
        return error;
    if (on)
        slot_set(slot, SLOT_ZEROCOPY);
    else
        slot_clear(slot, SLOT_ZEROCOPY);
    return 0;
}

static int get_zerocopy(const struct slot *slot, void *value, size_t *size)
{
    int on = 0, error = can_zerocopy(slot);
    if (error || (error = native_int(slot, SO_ZEROCOPY, &on)))
        return error;
    return give(on != 0, value, size);
}

/* Without the option the kernel would copy and never tell. It may have been switched on by another handle, or have come
 * from a listener. */
int pal__k_may_zerocopy(struct slot *slot)
{
    int on = 0;
    if (slot_flags(slot) & SLOT_ZEROCOPY)
        return 0;
    if (native_int(slot, SO_ZEROCOPY, &on) || !on)
        return pal__refuse(PAL_EINVAL, "PAL_MSG_ZEROCOPY needs PAL_SO_ZEROCOPY on this socket first");
    slot_set(slot, SLOT_ZEROCOPY);
    return 0;
}

/* ---- PAL_SO_QUICKACK_ALWAYS ---- */

/* The kernel falls back to delaying; asked again after each receive, it sends what it has put off. */
void pal__k_acknowledge(const struct slot *slot)
{
    setsockopt(slot->fd, IPPROTO_TCP, TCP_QUICKACK, &(int){1}, sizeof(int));
}

static int set_quickack_always(struct slot *slot, const void *value, size_t size)
{
    bool on = false;
    if (!is_tcp(slot))
        return pal__refuse(PAL_ENOTSUP, "this option belongs to TCP sockets");
    int error = pal__k_boolean(value, size, &on);
    if (error)
        return error;
    if (on) {
        if ((error = pal__k_native_set(slot, IPPROTO_TCP, TCP_QUICKACK, &(int){1}, sizeof(int))))
            return error;
        slot_set(slot, SLOT_QUICKACK);
    } else {
        slot_clear(slot, SLOT_QUICKACK);
    }
    pal__slot_detour(slot_handle(slot), on);
    return 0;
}

static int get_quickack_always(const struct slot *slot, void *value, size_t *size)
{
    if (!is_tcp(slot))
        return pal__refuse(PAL_ENOTSUP, "this option belongs to TCP sockets");
    return give((slot_flags(slot) & SLOT_QUICKACK) != 0, value, size);
}

/* ---- by number ---- */

int pal__k_tuning_set(struct slot *slot, uint32_t number, const void *value, size_t size)
{
    switch (number) {
    case PAL_SO_TIMESTAMPING:
        return set_stamping(slot, value, size);
    case PAL_SO_ZEROCOPY:
        return set_zerocopy(slot, value, size);
    case PAL_SO_QUICKACK_ALWAYS:
        return set_quickack_always(slot, value, size);
    default:
        return OPTION_NOT_SPECIAL;
    }
}

int pal__k_tuning_get(const struct slot *slot, uint32_t number, void *value, size_t *size)
{
    switch (number) {
    case PAL_SO_TIMESTAMPING:
        return get_stamping(slot, value, size);
    case PAL_SO_ZEROCOPY:
        return get_zerocopy(slot, value, size);
    case PAL_SO_QUICKACK_ALWAYS:
        return get_quickack_always(slot, value, size);
    case PAL_SO_BUSY_POLL_BUDGET:
        return pal__refuse(PAL_ENOTSUP, "the kernel does not tell this option");
    default:
        return OPTION_NOT_SPECIAL;
    }
}
