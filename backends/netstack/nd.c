/* nd.c: the messages of Neighbour Discovery (RFC 4861) and of duplicate address detection (RFC 4862, 7527): read,
 * judged and sent. What is known of neighbours, and when they are asked, is neigh.c's; when an address is probed is
 * iface.c's.
 *
 * All of it goes over the link as it is, past routes and neighbours, and never farther: hop limit 255. We are a host
 * that is told its addresses and routes: advertisements and solicitations of routers and redirects are checked and
 * counted, and nothing follows from them (take_router is where it would). */
#include "checksum.h"
#include "stack.h"
#include "wire.h"

enum {
    ND_ROUTER_SOLICIT = 133,
    ND_ROUTER_ADVERT = 134,
    ND_SOLICIT = 135,
    ND_ADVERT = 136,
    ND_REDIRECT = 137,
    ND_FLAGS = 4, /* of an advertisement */
    ND_TARGET = 8,
    ND_REDIRECT_DST = 24,
    ND_SIZE = 24, /* of solicitation and advertisement, without options */
    ND_FLAG_ROUTER = 0x80,
    ND_FLAG_SOLICITED = 0x40,
    ND_FLAG_OVERRIDE = 0x20,
    ND_HOPS = 255,
    OPTION_UNIT = 8,
    OPTION_SOURCE_MAC = 1,
    OPTION_TARGET_MAC = 2,
    OPTION_NONCE = 14,
    OPTION_SIZE = 8, /* of each that we send */
    NONCE_SIZE = 6
};

static const struct ip all_nodes = {{0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};

/* The options that mean something to us: where they point into the message; NULL: not there. */
struct nd_options {
    const uint8_t *source_mac, *target_mac, *nonce;
};

/* ---- out ---- */

/* What makes our probes ours when the link brings them back (RFC 7527). Drawn from the address, so that nothing is to
 * be remembered. */
static void make_nonce(const struct iface_addr *addr, uint8_t *nonce)
{
    struct netstack *stack = addr->iface->stack;
    uint64_t words[3], hash;

    memcpy(words, addr->ip.bytes, sizeof(addr->ip.bytes));
    words[2] = addr->iface->index;
    hash = pal__n_siphash_words(&stack->isn_key, words, 3);
    for (unsigned i = 0; i < NONCE_SIZE; i++)
        nonce[i] = (uint8_t)(hash >> (8 * i));
}

/* A message to be sent: type, flags, target, and an option of which data is what follows type and length. */
struct nd_message {
    uint8_t type, flags;
    const struct ip *target;
    uint8_t option; /* OPTION_*; 0: none */
    const uint8_t *option_data;
    struct ip src, to;
    uint8_t mac[MAC_SIZE]; /* to which station */
};

static void write_message(uint8_t *at, const struct nd_message *message, uint32_t size)
{
    uint64_t sum = pal__n_checksum_pseudo(&message->src, &message->to, PAL_IPPROTO_ICMPV6, size);

    memset(at, 0, ND_SIZE);
    at[0] = message->type;
    at[ND_FLAGS] = message->flags;
    memcpy(at + ND_TARGET, message->target->bytes, sizeof(message->target->bytes));
    if (message->option != 0) {
        at[ND_SIZE] = message->option;
        at[ND_SIZE + 1] = OPTION_SIZE / OPTION_UNIT;
        memcpy(at + ND_SIZE + 2, message->option_data, OPTION_SIZE - 2);
    }
    put16(at + 2, checksum_finish(pal__n_checksum_add(sum, at, size)));
}

/* neigh NULL: at once, to message->mac. */
static void send(struct iface *iface, const struct nd_message *message, struct neigh *neigh)
{
    struct ip_send how = {.src = message->src, .to = message->to, .protocol = PAL_IPPROTO_ICMPV6, .hops = ND_HOPS};
    struct netstack *stack = iface->stack;
    struct frame *frame;

    if (iface_is_loopback(iface) || iface->ip6_off)
        return;
    frame = frame_alloc(iface->nic);
    if (frame == NULL) {
        count(stack, COUNTER_frame_none);
        return;
    }
    frame->size = message->option != 0 ? ND_SIZE + OPTION_SIZE : ND_SIZE;
    write_message(frame->data, message, frame->size);
    pal__n_ip6_header(&how, frame, PAL_IPPROTO_ICMPV6);
    count(stack, COUNTER_icmp6_out);
    count(stack, COUNTER_ip6_out);
    if (neigh != NULL)
        pal__n_neigh_send(neigh, frame, ETH_P_IP6);
    else
        pal__n_ether_out(iface, frame, message->mac, ETH_P_IP6);
}

/* RFC 4861 7.2.2, 7.3.3: everybody in the group, or the one station. */
void pal__n_nd_ask(struct iface *iface, const struct ip *ip, const uint8_t *mac)
{
    struct nd_message message = {
        .type = ND_SOLICIT, .target = ip, .option = OPTION_SOURCE_MAC, .option_data = iface->mac, .to = *ip};

    if (!pal__n_iface_source(iface, ip, &message.src))
        return;
    if (mac != NULL) {
        memcpy(message.mac, mac, MAC_SIZE);
    } else {
        message.to = nd_solicited_node(ip);
        pal__n_mac_of_group(&message.to, message.mac);
    }
    send(iface, &message, NULL);
}

/* RFC 4862 5.4.2: from nowhere. */
void pal__n_nd_probe(struct iface_addr *addr)
{
    struct nd_message message = {.type = ND_SOLICIT, .target = &addr->ip, .option = OPTION_NONCE};
    uint8_t nonce[NONCE_SIZE];

    make_nonce(addr, nonce);
    message.option_data = nonce;
    message.to = nd_solicited_node(&addr->ip);
    pal__n_mac_of_group(&message.to, message.mac);
    send(addr->iface, &message, NULL);
}

static struct nd_message advertisement(const struct iface_addr *addr, const struct ip *to)
{
    struct nd_message message = {.type = ND_ADVERT,
                                 .flags = ND_FLAG_OVERRIDE,
                                 .target = &addr->ip,
                                 .option = OPTION_TARGET_MAC,
                                 .option_data = addr->iface->mac,
                                 .src = addr->ip,
                                 .to = *to};

    return message;
}

/* To all nodes: unasked, or asked by a node that has no address yet (RFC 4861 7.2.4, 7.2.6). */
void pal__n_nd_announce(struct iface_addr *addr)
{
    struct nd_message message = advertisement(addr, &all_nodes);

    pal__n_mac_of_group(&all_nodes, message.mac);
    send(addr->iface, &message, NULL);
}

/* To who has asked: at the station that he says is his, needing nothing of our tables; else by the way of all packets,
 * which may mean that he is asked first. */
static void answer(const struct iface_addr *addr, const struct ip *to, const uint8_t *mac)
{
    struct nd_message message = advertisement(addr, to);
    struct neigh *neigh = NULL;

    message.flags |= ND_FLAG_SOLICITED;
    if (mac != NULL) {
        memcpy(message.mac, mac, MAC_SIZE);
    } else {
        neigh = pal__n_neigh_get(addr->iface, to);
        if (neigh == NULL) /* counted */
            return;
    }
    send(addr->iface, &message, neigh);
    if (neigh != NULL)
        pal__n_neigh_put(neigh);
}

/* ---- in ---- */

/* Walks the options, which begin at offset (RFC 4861 4.6). A MAC is six bytes of one station. False: the message is to
 * be dropped. */
static bool read_options(const struct frame *frame, uint32_t offset, struct nd_options *options)
{
    memset(options, 0, sizeof(*options));
    while (offset < frame->size) {
        const uint8_t *at = frame->data + offset;
        uint32_t size;

        if (frame->size - offset < OPTION_UNIT)
            return false;
        size = at[1] * (uint32_t)OPTION_UNIT;
        if (size == 0 || size > frame->size - offset)
            return false;
        if (at[0] == OPTION_SOURCE_MAC || at[0] == OPTION_TARGET_MAC) {
            if (size != OPTION_SIZE || (at[2] & 1) != 0)
                return false;
            *(at[0] == OPTION_SOURCE_MAC ? &options->source_mac : &options->target_mac) = at + 2;
        } else if (at[0] == OPTION_NONCE) {
            options->nonce = size == OPTION_SIZE ? at + 2 : NULL;
        }
        offset += size;
    }
    return true;
}

/* Whether an address is one of this link: who is not on it has nothing to say about it (CVE-2008-2476). */
static bool is_on_link(struct iface *iface, const struct ip *ip)
{
    return ip_is_link_local(ip) || pal__n_route_is_on_link(iface->stack, ip, iface);
}

static bool is_solicited_node(const struct ip *ip)
{
    struct ip group = nd_solicited_node(ip);

    return ip_equal(&group, ip);
}

/* Somebody looks for an address that we are about to take. If he has none himself, he is about to take it as well (RFC
 * 4862 5.4.3), unless he is we. */
static void solicited_tentative(const struct packet *packet, struct iface_addr *addr, const struct nd_options *options)
{
    uint8_t nonce[NONCE_SIZE];

    if (!ip_is_unspecified(&packet->src)) {
        count(addr->iface->stack, COUNTER_ip6_drop_tentative);
        return;
    }
    make_nonce(addr, nonce);
    if (options->nonce == NULL || memcmp(options->nonce, nonce, NONCE_SIZE) != 0)
        pal__n_addr_duplicate(addr); /* counts */
    else
        count(addr->iface->stack, COUNTER_nd_drop_other);
}

/* RFC 4861 7.2.3, 7.2.4. */
static bool take_solicit(struct netstack *stack, const struct packet *packet, const struct nd_options *options)
{
    struct ip target = ip_of_v6(packet->frame->data + ND_TARGET);
    struct iface *iface = packet->iface;
    struct iface_addr *addr;

    if (ip_is_multicast(&target))
        return false;
    if (ip_is_unspecified(&packet->src) ? options->source_mac != NULL || !is_solicited_node(&packet->dst)
                                        : !is_on_link(iface, &packet->src))
        return false;
    addr = pal__n_iface_addr(iface, &target);
    if (addr != NULL && addr->state == ADDR_TENTATIVE) {
        solicited_tentative(packet, addr, options);
        return true;
    }
    if (addr == NULL || addr->state != ADDR_READY) {
        count(stack, COUNTER_nd_drop_other);
        return true;
    }
    if (ip_is_unspecified(&packet->src)) {
        pal__n_nd_announce(addr);
        return true;
    }
    if (options->source_mac != NULL)
        pal__n_neigh_learn(iface, &packet->src, options->source_mac, false, true, true);
    answer(addr, &packet->src, options->source_mac);
    return true;
}

/* RFC 4861 7.1.2, 7.2.5; RFC 4862 5.4.4. */
static bool take_advert(struct netstack *stack, const struct packet *packet, const struct nd_options *options)
{
    const uint8_t *at = packet->frame->data;
    struct ip target = ip_of_v6(at + ND_TARGET);
    struct iface *iface = packet->iface;
    bool solicited = (at[ND_FLAGS] & ND_FLAG_SOLICITED) != 0, override = (at[ND_FLAGS] & ND_FLAG_OVERRIDE) != 0;
    const uint8_t *mac = options->target_mac;
    struct iface_addr *addr;
    struct neigh *neigh;

    if (ip_is_multicast(&target) || ip_is_unspecified(&packet->src) ||
        (solicited && (packet->flags & PACKET_MULTICAST) != 0) || !is_on_link(iface, &packet->src))
        return false;
    addr = pal__n_iface_addr(iface, &target);
    if (addr != NULL) {
        if (addr->state == ADDR_TENTATIVE)
            pal__n_addr_duplicate(addr); /* counts */
        else
            count(stack, COUNTER_nd_conflict);
        return true;
    }
    neigh = pal__n_neigh_find(iface, &target);
    if (neigh == NULL || (mac == NULL && !neigh_is_known(neigh))) {
        count(stack, COUNTER_nd_drop_other); /* nobody has asked, or it does not answer the question */
        return true;
    }
    if (mac == NULL)
        mac = neigh->mac; /* the one that we know is meant */
    pal__n_neigh_learn(iface, &target, mac, solicited, override, false);
    neigh = pal__n_neigh_find(iface, &target);
    if (neigh != NULL && neigh_is_known(neigh) && memcmp(neigh->mac, mac, MAC_SIZE) == 0)
        neigh->is_router = (at[ND_FLAGS] & ND_FLAG_ROUTER) != 0;
    return true;
}

/* Advertisements and solicitations of routers, redirects: whether they are valid (RFC 4861 6.1.1, 6.1.2, 8.1). Nothing
 * follows from them: addresses and routes are configured, and whoever is on the link could send them. */
static bool take_router(struct netstack *stack, const struct packet *packet, const struct nd_options *options)
{
    const uint8_t *at = packet->frame->data;

    if (at[0] == ND_ROUTER_SOLICIT) {
        if (ip_is_unspecified(&packet->src) && options->source_mac != NULL)
            return false;
    } else if (!ip_is_link_local(&packet->src)) {
        return false;
    }
    if (at[0] == ND_REDIRECT) {
        struct ip target = ip_of_v6(at + ND_TARGET), dst = ip_of_v6(at + ND_REDIRECT_DST);

        if (ip_is_multicast(&dst) || (!ip_is_link_local(&target) && !ip_equal(&target, &dst)))
            return false;
    }
    count(stack, COUNTER_nd_ignored);
    return true;
}

void pal__n_nd_in(struct netstack *stack, struct packet *packet)
{
    static const uint8_t sizes[] = {8, 16, ND_SIZE, ND_SIZE, 40}; /* by type, without options */
    struct frame *frame = packet->frame;
    struct nd_options options;
    uint32_t size;
    uint8_t type;

    BASE_ASSERT(frame->size >= ND_TARGET);
    type = frame->data[0];
    BASE_ASSERT(type >= ND_ROUTER_SOLICIT && type <= ND_REDIRECT);
    size = sizes[type - ND_ROUTER_SOLICIT];
    if (packet->hops != ND_HOPS || frame->data[1] != 0 || frame->size < size ||
        (packet->flags & (PACKET_REASSEMBLED | PACKET_FRAGMENT_HEADER)) != 0 || /* RFC 6980 */
        iface_is_loopback(packet->iface) || !read_options(frame, size, &options)) {
        drop(stack, frame, COUNTER_nd_drop_invalid);
        return;
    }
    if (!(type == ND_SOLICIT  ? take_solicit(stack, packet, &options)
          : type == ND_ADVERT ? take_advert(stack, packet, &options)
                              : take_router(stack, packet, &options)))
        count(stack, COUNTER_nd_drop_invalid);
    frame_free(frame);
}
