/* ip_out.c: what both versions of IP have in common on the way out: frames to write into, the link, and packets that
 * could not be delivered.
 *
 * Headers are ip4.c's and ip6.c's, what is done before a packet goes to the link is ip_common.c's. */
#include "stack.h"
#include "wire.h"

int pal__n_ip_send(struct netstack *stack, const struct ip_send *how, struct frame *frame)
{
    return ip_is_v4(&how->to) ? pal__n_ip4_send(stack, how, frame) : pal__n_ip6_send(stack, how, frame);
}

struct frame *pal__n_big_frame(struct netstack *stack)
{
    struct frame *frame = frame_alloc(pal__n_loopback_nic(stack));

    if (frame == NULL)
        count(stack, COUNTER_frame_none);
    return frame;
}

struct frame *pal__n_ip_frame(struct netstack *stack, const struct dst *dst, uint32_t size)
{
    struct frame *frame;

    if (size > dst->iface->caps.frame_room) {
        frame = pal__n_big_frame(stack);
        if (frame == NULL || size <= frame_tailroom(frame))
            return frame;
        frame_free(frame); /* larger than any packet */
        return NULL;
    }
    frame = frame_alloc(dst->iface->nic);
    if (frame == NULL)
        count(stack, COUNTER_frame_none);
    return frame;
}

/* ---- to the link ---- */

int pal__n_ip_to_link(struct netstack *stack, struct dst *dst, const struct ip *to, struct frame *frame, uint16_t type)
{
    static const uint8_t everybody[MAC_SIZE] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    struct iface *iface = dst->iface;
    uint8_t mac[MAC_SIZE];

    if (iface_tx_room(iface) == 0)
        pal__n_iface_flush(iface);
    if (iface_tx_room(iface) == 0) {
        drop(stack, frame, COUNTER_eth_drop_full);
        return PAL_EAGAIN;
    }
    if (dst->neigh != NULL) {
        pal__n_neigh_send(dst->neigh, frame, type);
        return 0;
    }
    if (ip_is_multicast(to)) {
        pal__n_mac_of_group(to, mac);
        pal__n_ether_out(iface, frame, mac, type);
    } else {
        BASE_ASSERT(dst->is_broadcast || iface_is_loopback(iface));
        pal__n_ether_out(iface, frame, dst->is_broadcast ? everybody : iface->mac, type);
    }
    return 0;
}

/* ---- what could not be delivered ---- */

void pal__n_ip_failed(struct netstack *stack, struct iface *iface, struct frame *frame, int error)
{
    struct ip_error what;

    (void)iface;
    memset(&what, 0, sizeof(what));
    what.error = error;
    /* It is we who say so: the address that it was sent from. */
    if (frame->size >= IP4_SIZE && frame->data[0] >> 4 == 4)
        what.offender = ip_of_v4(frame->data + IP4_SRC);
    else if (frame->size >= IP6_SIZE)
        what.offender = ip_of_v6(frame->data + IP6_SRC);
    pal__n_ip_error(stack, frame->data, frame->size, &what);
    drop(stack, frame, COUNTER_neigh_drop_failed);
}
