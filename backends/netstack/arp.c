/* arp.c: who has this IPv4 address: questions and answers (RFC 826), and other stations that have ours (RFC 5227).
 *
 * What is learned goes to neigh.c, which says when to ask. An unknown sender is remembered only if it asks for us, a
 * known one from whatever it says; so nobody fills the table or takes over an entry by talking to others. */
#include "stack.h"
#include "wire.h"

enum {
    ARP_HARDWARE = 0, /* 1: Ethernet */
    ARP_PROTOCOL = 2, /* 0x0800: IPv4 */
    ARP_HARDWARE_SIZE = 4,
    ARP_PROTOCOL_SIZE = 5,
    ARP_OPERATION = 6,
    ARP_SENDER_MAC = 8,
    ARP_SENDER_IP = 14,
    ARP_TARGET_MAC = 18,
    ARP_TARGET_IP = 24,
    ARP_SIZE = 28,
    ARP_ETHERNET = 1,
    ARP_REQUEST = 1,
    ARP_REPLY = 2
};

static const uint8_t everybody[MAC_SIZE] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
static const uint8_t nobody[MAC_SIZE];

/* ---- out ---- */

static void send(struct iface *iface, uint16_t operation, const struct ip *sender, const struct ip *target,
                 const uint8_t *target_mac, const uint8_t *to)
{
    struct netstack *stack = iface->stack;
    struct frame *frame = frame_alloc(iface->nic);
    uint8_t *arp;

    if (frame == NULL) {
        count(stack, COUNTER_frame_none);
        return;
    }
    arp = frame->data;
    frame->size = ARP_SIZE;
    put16(arp + ARP_HARDWARE, ARP_ETHERNET);
    put16(arp + ARP_PROTOCOL, ETH_P_IP4);
    arp[ARP_HARDWARE_SIZE] = MAC_SIZE;
    arp[ARP_PROTOCOL_SIZE] = 4;
    put16(arp + ARP_OPERATION, operation);
    memcpy(arp + ARP_SENDER_MAC, iface->mac, MAC_SIZE);
    memcpy(arp + ARP_SENDER_IP, ip_v4_bytes(sender), 4);
    memcpy(arp + ARP_TARGET_MAC, target_mac, MAC_SIZE);
    memcpy(arp + ARP_TARGET_IP, ip_v4_bytes(target), 4);
    count(stack, COUNTER_arp_out);
    pal__n_ether_out(iface, frame, to, ETH_P_ARP);
}

void pal__n_arp_ask(struct iface *iface, const struct ip *ip, const uint8_t *mac)
{
    struct ip source;

    /* Without an address there is nothing to answer to. */
    if (pal__n_iface_source(iface, ip, &source))
        send(iface, ARP_REQUEST, &source, ip, nobody, mac != NULL ? mac : everybody);
}

void pal__n_arp_announce(struct iface_addr *addr)
{
    struct ip none = ip_of_number(0);

    send(addr->iface, ARP_REQUEST, addr->state == ADDR_TENTATIVE ? &none : &addr->ip, &addr->ip, nobody, everybody);
}

/* ---- in ---- */

/* A received packet, taken apart. */
struct arp {
    uint16_t operation;
    const uint8_t *mac; /* the sender's */
    struct ip sender, target;
};

static bool parse(const struct iface *iface, const struct frame *frame, struct arp *out)
{
    const uint8_t *arp = frame->data;

    if (frame->size < ARP_SIZE || get16(arp + ARP_HARDWARE) != ARP_ETHERNET || get16(arp + ARP_PROTOCOL) != ETH_P_IP4 ||
        arp[ARP_HARDWARE_SIZE] != MAC_SIZE || arp[ARP_PROTOCOL_SIZE] != 4)
        return false;
    out->operation = get16(arp + ARP_OPERATION);
    out->mac = arp + ARP_SENDER_MAC;
    out->sender = ip_of_v4(arp + ARP_SENDER_IP);
    out->target = ip_of_v4(arp + ARP_TARGET_IP);
    if (out->operation != ARP_REQUEST && out->operation != ARP_REPLY)
        return false;
    /* The Ethernet source, which ether.c has seen to be no group, says the same, or the packet speaks for others. */
    if (memcmp(out->mac, frame->data - ETH_SIZE + ETH_SRC, MAC_SIZE) != 0 || memcmp(out->mac, nobody, MAC_SIZE) == 0)
        return false;
    if (ip_is_unspecified(&out->sender))
        return out->operation == ARP_REQUEST; /* a probe */
    return !ip_is_multicast(&out->sender) && !ip_is_loopback(&out->sender) &&
           !pal__n_iface_is_broadcast(iface, &out->sender);
}

/* True: it comes from a station that has, or wants, an address of ours. */
static bool is_conflict(struct iface *iface, const struct arp *arp, struct iface_addr *target)
{
    struct iface_addr *ours;

    if (ip_is_unspecified(&arp->sender)) { /* another that probes for what we probe for (RFC 5227 2.1.1) */
        if (target == NULL || target->state != ADDR_TENTATIVE)
            return false;
        pal__n_addr_duplicate(target);
        return true;
    }
    ours = pal__n_iface_addr(iface, &arp->sender);
    if (ours == NULL)
        return false;
    if (ours->state == ADDR_TENTATIVE)
        pal__n_addr_duplicate(ours);
    else
        count(iface->stack, COUNTER_arp_conflict); /* here belongs the defence of RFC 5227 2.4 */
    return true;
}

static void learn(struct iface *iface, const struct arp *arp, bool for_us)
{
    struct netstack *stack = iface->stack;
    struct neigh *neigh = pal__n_neigh_find(iface, &arp->sender);
    bool solicited = false, create = false;

    if (neigh == NULL) {
        create = for_us && arp->operation == ARP_REQUEST && pal__n_route_is_on_link(stack, &arp->sender, iface);
    } else {
        solicited =
            for_us && arp->operation == ARP_REPLY && (neigh->state == NEIGH_INCOMPLETE || neigh->state == NEIGH_PROBE);
        if (!solicited && neigh_is_known(neigh) && memcmp(neigh->mac, arp->mac, MAC_SIZE) != 0 &&
            stack->now_ns - neigh->learned_ns < NEIGH_LOCK_NS) {
            count(stack, COUNTER_arp_locked); /* two stations quarrel, or one lies */
            return;
        }
    }
    pal__n_neigh_learn(iface, &arp->sender, arp->mac, solicited, true, create);
}

void pal__n_arp_in(struct iface *iface, struct frame *frame)
{
    struct netstack *stack = iface->stack;
    struct iface_addr *target;
    struct arp arp;
    bool for_us;

    count(stack, COUNTER_arp_in);
    if (iface_is_loopback(iface) || frame_headroom(frame) < ETH_SIZE || !parse(iface, frame, &arp)) {
        drop(stack, frame, COUNTER_arp_drop_invalid);
        return;
    }
    target = pal__n_iface_addr(iface, &arp.target);
    if (is_conflict(iface, &arp, target)) {
        frame_free(frame);
        return;
    }
    for_us = target != NULL && target->state == ADDR_READY;
    if (!ip_is_unspecified(&arp.sender))
        learn(iface, &arp, for_us);
    if (for_us && arp.operation == ARP_REQUEST)
        send(iface, ARP_REPLY, &target->ip, &arp.sender, arp.mac, arp.mac);
    else if (!for_us)
        count(stack, COUNTER_arp_drop_other);
    frame_free(frame);
}
