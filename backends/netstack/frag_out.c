/* frag_out.c: packets cut up for a path that is too narrow, of both versions (RFC 791 3.2, RFC 8200 4.5).
 *
 * All pieces are made before the first is sent, so that want of frames costs the datagram and not half of it. The
 * identification is the destination's counter, begun at a random number (RFC 6864, RFC 7739 5.1). */
#include "stack.h"
#include "wire.h"

enum { IP6_FRAGMENT_SIZE = 8 };

/* Room at the port for that many pieces, or for as many as ever wait there. */
static bool make_tx_room(struct iface *iface, uint32_t pieces)
{
    if (pieces > IFACE_PENDING_MAX)
        pieces = IFACE_PENDING_MAX;
    if (iface_tx_room(iface) < pieces)
        pal__n_iface_flush(iface);
    return iface_tx_room(iface) >= pieces;
}

/* All pieces as frames of the interface, in order; NULL: there were not enough. room: bytes of payload in each. */
static struct frame *cut(struct netstack *stack, struct iface *iface, const struct frame *frame, uint32_t room)
{
    struct frame *first = NULL, **at = &first;
    uint32_t size;

    for (uint32_t offset = 0; offset < frame->size; offset += size) {
        struct frame *piece = frame_alloc(iface->nic);

        size = frame->size - offset < room ? frame->size - offset : room;
        if (piece == NULL || frame_tailroom(piece) < size) {
            count(stack, COUNTER_frame_none);
            if (piece != NULL)
                frame_free(piece);
            for (; first != NULL; first = piece) {
                piece = first->next;
                frame_free(first);
            }
            return NULL;
        }
        memcpy(piece->data, frame->data + offset, size);
        piece->size = size;
        piece->seq = offset;
        piece->next = NULL;
        *at = piece;
        at = &piece->next;
    }
    return first;
}

/* Puts the headers in front of a piece and sends it; takes it. */
static int send_piece(struct netstack *stack, const struct ip_send *how, struct frame *piece, uint32_t id, bool more)
{
    uint32_t offset = piece->seq;
    uint8_t *at;

    if (iface_tx_room(how->dst->iface) == 0)
        pal__n_iface_flush(how->dst->iface);
    count(stack, COUNTER_frag_out);
    if (ip_is_v4(&how->to)) {
        pal__n_ip4_header(how, piece, id, offset / FRAG_UNIT | (more ? IP4_MF : 0));
        return pal__n_ip_to_link(stack, how->dst, &how->to, piece, ETH_P_IP4);
    }
    at = frame_push(piece, IP6_FRAGMENT_SIZE);
    at[0] = how->protocol;
    at[1] = 0;
    put16(at + 2, offset | (more ? 1 : 0));
    put32(at + 4, id);
    pal__n_ip6_header(how, piece, IP6_NEXT_FRAGMENT);
    return pal__n_ip_to_link(stack, how->dst, &how->to, piece, ETH_P_IP6);
}

int pal__n_frag_out(struct netstack *stack, const struct ip_send *how, struct frame *frame)
{
    struct iface *iface = how->dst->iface;
    uint32_t header_size = ip_is_v4(&how->to) ? IP4_SIZE + (how->router_alert ? 4U : 0)
                                              : IP6_SIZE + IP6_FRAGMENT_SIZE + (how->router_alert ? 8U : 0);
    uint32_t id = how->dst->ip4_id++, room;
    struct frame *pieces, *next;
    int result = 0;

    if (how->dst->mtu < header_size + FRAG_UNIT) {
        frame_free(frame);
        return PAL_EMSGSIZE;
    }
    room = (how->dst->mtu - header_size) / FRAG_UNIT * FRAG_UNIT;
    if (!make_tx_room(iface, (frame->size + room - 1) / room)) {
        frame_free(frame);
        return PAL_EAGAIN;
    }
    pieces = cut(stack, iface, frame, room);
    frame_free(frame);
    if (pieces == NULL)
        return PAL_ENOBUFS;
    for (; pieces != NULL; pieces = next) {
        next = pieces->next;
        pieces->next = NULL;
        if (result == 0)
            result = send_piece(stack, how, pieces, id, next != NULL);
        else
            frame_free(pieces);
    }
    return result;
}
