/* tests/netstack/test_nd.c: Neighbour Discovery: solicitations and advertisements, what they may look like, and
 * duplicate address detection. */
#include "ip_world.h"

enum { SOLICIT = 135, ADVERT = 136, ROUTER = 0x80, SOLICITED = 0x40, OVERRIDE = 0x20, SOURCE_MAC = 1, TARGET_MAC = 2 };

static const uint8_t stranger_mac[MAC_SIZE] = {2, 0, 0, 0, 0, 9}, other_mac[MAC_SIZE] = {2, 0, 0, 0, 0, 8};

#define STRANGER ip6(0xfd00, 9)

TestSuite(nd, .init = begin, .fini = end);

/* A message as it should be; a test changes what it is about. */
struct nd {
    uint8_t type, flags, code;
    struct ip target, src, dst;
    uint8_t option; /* 0: none */
    uint8_t mac[MAC_SIZE];
    uint8_t hops;
    uint32_t size;        /* 0: as it is */
    uint8_t option_units; /* 0: 1 */
    bool from_nowhere;
};

static struct nd solicit(struct ip target)
{
    struct nd nd = {.type = SOLICIT, .target = target, .src = STRANGER, .option = SOURCE_MAC};

    nd.dst = nd_solicited_node(&target);
    memcpy(nd.mac, stranger_mac, MAC_SIZE);
    return nd;
}

static struct nd advert(struct ip target, uint8_t flags)
{
    struct nd nd = {.type = ADVERT, .flags = flags, .target = target, .src = target, .option = TARGET_MAC};

    nd.dst = (flags & SOLICITED) != 0 ? OUR6 : ip6(0xff02, 1);
    memcpy(nd.mac, stranger_mac, MAC_SIZE);
    return nd;
}

static void inject(const struct nd *nd)
{
    uint8_t message[80] = {nd->type, nd->code};
    struct spec spec = {.protocol = PAL_IPPROTO_ICMPV6, .src = nd->src, .dst = nd->dst, .payload = message};

    message[4] = nd->flags;
    memcpy(message + 8, nd->target.bytes, 16);
    message[24] = nd->option;
    message[25] = nd->option_units != 0 ? nd->option_units : 1;
    if (nd->option_units == 255)
        message[25] = 0;
    memcpy(message + 26, nd->mac, MAC_SIZE);
    spec.size = nd->size != 0 ? nd->size : nd->option != 0 ? 32 : 24;
    spec.hops = nd->hops != 0 ? nd->hops : 255;
    finish_icmp6(message, spec.size, nd->from_nowhere ? ip_none() : nd->src, nd->dst);
    put_on_wire(&spec, ETH_P_IP6);
    if (nd->from_nowhere)
        memset(wire.inbox[0]->data + ETH_SIZE + IP6_SRC, 0, 16);
    run(0);
}

static struct neigh *neigh_of(struct ip ip)
{
    return pal__n_neigh_find(eth, &ip);
}

/* The last frame is an advertisement of OUR6. */
static void assert_advert(const struct ip *to, const uint8_t *mac, uint8_t flags)
{
    struct ip own = OUR6;

    cr_assert_eq(wire.count, 1);
    cr_assert_arr_eq(wire.records[0].bytes, mac, MAC_SIZE);
    cr_assert_arr_eq(last() + IP6_SRC, own.bytes, 16);
    cr_assert_arr_eq(last() + IP6_DST, to->bytes, 16);
    cr_assert_eq(last()[IP6_HOPS], 255);
    cr_assert_eq(last()[IP6_SIZE], ADVERT);
    cr_assert_eq(last()[IP6_SIZE + 4], flags);
    cr_assert_arr_eq(last() + IP6_SIZE + 8, own.bytes, 16);
    cr_assert_eq(last()[IP6_SIZE + 24], TARGET_MAC);
    cr_assert_arr_eq(last() + IP6_SIZE + 26, our_mac, MAC_SIZE);
    cr_assert(checksum6_is_right(last()));
    wire.count = 0;
}

/* nd.ns-answer */
Test(nd, solicitations_for_us_are_answered)
{
    static const uint8_t all_nodes_mac[MAC_SIZE] = {0x33, 0x33, 0, 0, 0, 1};
    struct ip all_nodes = ip6(0xff02, 1), who = STRANGER;
    struct nd nd = solicit(OUR6);

    inject(&nd);
    assert_advert(&who, stranger_mac, SOLICITED | OVERRIDE);
    cr_assert_eq(neigh_of(STRANGER)->state, NEIGH_STALE);
    nd.dst = OUR6; /* by unicast, without saying who asks: known already */
    nd.option = 0;
    inject(&nd);
    assert_advert(&who, stranger_mac, SOLICITED | OVERRIDE);
    nd = solicit(OUR6);
    nd.from_nowhere = true;
    nd.option = 0;
    inject(&nd);
    assert_advert(&all_nodes, all_nodes_mac, OVERRIDE);
    nd = solicit(ip6(0xfd01, 1)); /* the same group */
    inject(&nd);
    cr_assert_eq(counter(COUNTER_nd_drop_other), 1);
    cr_assert_eq(wire.count, 0);
}

static void assert_invalid(const struct nd *nd)
{
    uint64_t before = counter(COUNTER_nd_drop_invalid);

    inject(nd);
    cr_assert_eq(counter(COUNTER_nd_drop_invalid), before + 1);
    cr_assert_eq(wire.count, 0);
    cr_assert_null(neigh_of(STRANGER));
}

/* nd.hoplimit255, nd.poison */
Test(nd, messages_that_are_not_as_they_must_be_change_nothing)
{
    struct nd nd = solicit(OUR6), good = nd;

    nd.hops = 254;
    assert_invalid(&nd);
    nd = good;
    nd.code = 1;
    assert_invalid(&nd);
    nd = good;
    nd.size = 23;
    assert_invalid(&nd);
    nd.size = 30; /* an option cut off */
    assert_invalid(&nd);
    nd = good;
    nd.option_units = 255;
    assert_invalid(&nd);
    nd.option_units = 2;
    assert_invalid(&nd);
    nd = good;
    nd.mac[0] = 3; /* a group */
    assert_invalid(&nd);
    nd = good;
    nd.target = ip6(0xff02, 1);
    assert_invalid(&nd);
    nd = good;
    nd.src = ip6(0xfd77, 1); /* not of this link */
    assert_invalid(&nd);
    nd = good;
    nd.from_nowhere = true; /* and yet with a MAC */
    assert_invalid(&nd);
    nd.option = 0;
    nd.dst = OUR6;
    assert_invalid(&nd);
    nd = advert(STRANGER, SOLICITED);
    nd.dst = ip6(0xff02, 1);
    assert_invalid(&nd);
}

/* nd.no-frag */
Test(nd, messages_in_fragments_are_dropped)
{
    uint8_t message[32] = {SOLICIT}, header[8] = {PAL_IPPROTO_ICMPV6};
    struct spec spec = {.protocol = IP6_NEXT_FRAGMENT, .hops = 255, .src = STRANGER, .payload = message, .size = 32};

    memcpy(message + 8, OUR6.bytes, 16);
    message[24] = SOURCE_MAC;
    message[25] = 1;
    memcpy(message + 26, stranger_mac, MAC_SIZE);
    finish_icmp6(message, 32, STRANGER, OUR6);
    spec.options = header;
    spec.options_size = 8;
    inject6(&spec); /* a single piece is one, too */
    cr_assert_eq(counter(COUNTER_nd_drop_invalid), 1);
    header[3] = 1;
    spec.size = 24;
    inject6(&spec);
    header[3] = 24;
    spec.payload = message + 24;
    spec.size = 8;
    inject6(&spec);
    cr_assert_eq(counter(COUNTER_frag_done), 1);
    cr_assert_eq(counter(COUNTER_nd_drop_invalid), 2);
    cr_assert_eq(wire.count, 0);
}

/* nd.na-rules: what was cached, what the advertisement says, what is cached then */
Test(nd, advertisements_act_by_the_state_table)
{
    static const struct {
        uint8_t flags;
        bool has_mac, is_other;
        uint8_t state; /* of an entry that was REACHABLE */
        bool is_replaced;
    } cases[] = {
        {0, true, false, NEIGH_REACHABLE, false},
        {0, true, true, NEIGH_STALE, false},
        {OVERRIDE, true, false, NEIGH_REACHABLE, false},
        {OVERRIDE, true, true, NEIGH_STALE, true},
        {SOLICITED, true, false, NEIGH_REACHABLE, false},
        {SOLICITED, true, true, NEIGH_STALE, false},
        {SOLICITED | OVERRIDE, true, true, NEIGH_REACHABLE, true},
        {SOLICITED, false, false, NEIGH_REACHABLE, false},
        {OVERRIDE, false, false, NEIGH_REACHABLE, false},
    };

    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ip who = ip6(0xfd00, (uint16_t)(0x100 + i));
        struct neigh *neigh = pal__n_neigh_get(eth, &who);
        struct nd nd = advert(who, cases[i].flags);

        pal__n_neigh_learn(eth, &who, stranger_mac, false, true, true);
        pal__n_neigh_confirm(neigh);
        cr_assert_eq(neigh->state, NEIGH_REACHABLE);
        if (cases[i].is_other)
            memcpy(nd.mac, other_mac, MAC_SIZE);
        if (!cases[i].has_mac)
            nd.option = 0;
        inject(&nd);
        cr_assert_eq(neigh->state, cases[i].state, "case %u", i);
        cr_assert_arr_eq(neigh->mac, cases[i].is_replaced ? other_mac : stranger_mac, MAC_SIZE);
        pal__n_neigh_put(neigh);
    }
}

/* nd.na-rules: what was asked, and what nobody has asked; nd.router-flag as far as it is kept */
Test(nd, advertisements_answer_questions_and_make_no_entries)
{
    struct ip who = STRANGER, own;
    struct nd nd = advert(STRANGER, SOLICITED | OVERRIDE | ROUTER);
    struct neigh *neigh;

    inject(&nd);
    cr_assert_null(neigh_of(STRANGER));
    neigh = pal__n_neigh_get(eth, &who);
    pal__n_nd_ask(eth, &who, NULL);
    run(0);
    cr_assert_geq(wire.count, 1);
    own = nd_solicited_node(&who);
    cr_assert_arr_eq(last() + IP6_DST, own.bytes, 16);
    cr_assert_eq(last()[IP6_SIZE], SOLICIT);
    cr_assert_eq(last()[IP6_HOPS], 255);
    cr_assert_eq(last()[IP6_SIZE + 24], SOURCE_MAC);
    cr_assert_arr_eq(last() + IP6_SIZE + 26, our_mac, MAC_SIZE);
    cr_assert(checksum6_is_right(last()));
    cr_assert_not(neigh_is_known(neigh));
    nd.option = 0; /* no answer at all */
    inject(&nd);
    cr_assert_not(neigh_is_known(neigh));
    nd.option = TARGET_MAC;
    inject(&nd);
    cr_assert_eq(neigh->state, NEIGH_REACHABLE);
    cr_assert(neigh->is_router);
    nd.flags = SOLICITED;
    inject(&nd);
    cr_assert_not(neigh->is_router);
    pal__n_neigh_put(neigh);
    nd = advert(OUR6, OVERRIDE); /* our own address */
    nd.src = STRANGER;
    inject(&nd);
    cr_assert_eq(counter(COUNTER_nd_conflict), 1);
}

/* nd.ra-default, nd.ra-validate, nd.redirect */
Test(nd, routers_are_heard_and_not_followed)
{
    struct nd nd = {.type = 134, .src = PEER_LINK6, .dst = ip6(0xff02, 1), .size = 16};

    inject(&nd);
    nd.type = 133;
    nd.size = 8;
    nd.dst = OUR6;
    inject(&nd);
    nd.type = 137;
    nd.size = 40;
    nd.target = PEER_LINK6;
    inject(&nd);
    cr_assert_eq(counter(COUNTER_nd_ignored), 3);
    nd.src = PEER6; /* no router says that from a global address */
    inject(&nd);
    nd.type = 134;
    nd.size = 16;
    inject(&nd);
    nd.src = PEER_LINK6;
    nd.size = 15;
    inject(&nd);
    cr_assert_eq(counter(COUNTER_nd_drop_invalid), 3);
    cr_assert_eq(wire.count, 0);
}

/* ---- duplicate address detection ---- */

static struct iface_addr *tentative(void)
{
    struct ip ip = ip6(0xfd00, 0x55);
    struct iface_addr *addr;

    stack->config.flags |= NETSTACK_DAD;
    cr_assert_eq(pal__n_addr_add(stack, IFINDEX, &ip, 64), 0);
    addr = pal__n_iface_addr(eth, &ip);
    cr_assert_eq(addr->state, ADDR_TENTATIVE);
    for (int i = 0; i < 200 && addr->probes == 0; i++)
        run(10 * MS);
    for (uint32_t i = 0; i < wire.count; i++) { /* beside the reports of groups */
        const uint8_t *at = wire.records[i].bytes + ETH_SIZE;

        if (at[IP6_NEXT] == PAL_IPPROTO_ICMPV6 && at[IP6_SIZE] == SOLICIT) {
            wire.records[0] = wire.records[i];
            wire.count = 1;
        }
    }
    cr_assert_eq(wire.count, 1);
    return addr;
}

/* nd.dad, nd.dad-loop */
Test(nd, an_address_that_nobody_claims_is_used)
{
    struct iface_addr *addr = tentative();
    struct ip none = ip_none(), group = nd_solicited_node(&addr->ip);

    cr_assert_arr_eq(last() + IP6_SRC, none.bytes, 16);
    cr_assert_arr_eq(last() + IP6_DST, group.bytes, 16);
    cr_assert_arr_eq(last() + IP6_SIZE + 8, addr->ip.bytes, 16);
    cr_assert(checksum6_is_right(last()));
    recorder_deliver(&wire, wire.records[0].bytes, wire.records[0].size); /* the link brings it back */
    memcpy(wire.inbox[0]->data + ETH_SRC, peer_mac, MAC_SIZE);
    run(0);
    cr_assert_eq(addr->state, ADDR_TENTATIVE);
    run(2 * SECOND);
    cr_assert_eq(addr->state, ADDR_READY);
}

/* nd.dad-conflict */
Test(nd, a_rival_makes_an_address_a_duplicate)
{
    struct iface_addr *addr = tentative();
    struct nd nd = solicit(addr->ip);

    nd.from_nowhere = true;
    nd.option = 0;
    inject(&nd);
    cr_assert_eq(addr->state, ADDR_DUPLICATE);
    cr_assert_eq(counter(COUNTER_nd_duplicate), 1);
    run(3 * SECOND);
    cr_assert_eq(addr->state, ADDR_DUPLICATE);
}

Test(nd, an_owner_makes_an_address_a_duplicate)
{
    struct iface_addr *addr = tentative();
    struct nd nd = advert(addr->ip, OVERRIDE);

    inject(&nd);
    cr_assert_eq(addr->state, ADDR_DUPLICATE);
}

/* nd.dad-drop */
Test(nd, a_tentative_address_does_not_exist_for_others)
{
    struct iface_addr *addr = tentative();
    struct nd nd = solicit(addr->ip);
    struct spec spec = {.payload = "12345678", .size = 8, .dst = addr->ip};

    wire.count = 0;
    inject(&nd); /* somebody looks for it */
    inject6(&spec);
    cr_assert_eq(counter(COUNTER_ip6_drop_tentative), 2);
    cr_assert_eq(addr->state, ADDR_TENTATIVE);
    cr_assert_eq(spy.count, 0);
    cr_assert_eq(wire.count, 0);
}
