/* calls_multicast.c: groups joined and left, with any source and with one. Nothing leaves the host: IPv4 groups are
 * used over the loopback interface; IPv6 groups have the scope of one interface (RFC 4291, 2.7), so that any will do.
 * That a message is not delivered is judged by the one sent after it: on loopback they keep their order. */
#include "calls_common.h"

static const char GROUP4[] = "239.77.13.5", OTHER_GROUP4[] = "239.77.13.6";
static const char GROUP6[] = "ff11::7713:5";

static uint32_t chosen_ifindex; /* by require_multicast; 0: the system's choice */

/* A receiver on a port of its own, bound to all addresses, and a sender; both use the chosen interface. */
struct group {
    pal_sock receiver, sender;
    uint16_t sender_port;
    struct pal_addr to;      /* the group, with the receiver's port */
    struct pal_addr unicast; /* the receiver itself */
    struct pal_mcast mcast;  /* any source */
};

static pal_sock sender_open(const struct pal_addr *addr, uint16_t *port)
{
    struct pal_addr name = *addr;
    pal_sock sender = sock_bound_to(PAL_SOCK_DGRAM, &name);

    assert_error(pal_sock_set(sender, PAL_SO_MCAST_IF, &chosen_ifindex, sizeof(chosen_ifindex)), 0);
    *port = name.port;
    return sender;
}

static void group_open(struct group *group, const char *address)
{
    struct pal_addr any, from;

    memset(group, 0, sizeof(*group));
    group->to = host_address(address, 0);
    any = from = any_address(group->to.family, 0);
    if (any.family == PAL_AF_INET)
        from = loopback(PAL_AF_INET, 0);
    group->receiver = sock_bound_to(PAL_SOCK_DGRAM, &any);
    group->sender = sender_open(&from, &group->sender_port);
    group->unicast = loopback(any.family, any.port);
    group->to.port = any.port;
    group->mcast.group = host_address(address, 0);
    group->mcast.ifindex = chosen_ifindex;
    if (any.family == PAL_AF_INET6)
        group->to.scope = chosen_ifindex;
}

static void group_close(struct group *group)
{
    pair_close(group->receiver, group->sender);
}

static int join(pal_sock sock, const struct pal_mcast *mcast)
{
    return pal_sock_set(sock, PAL_SO_MCAST_JOIN, mcast, sizeof(*mcast));
}

static int leave(pal_sock sock, const struct pal_mcast *mcast)
{
    return pal_sock_set(sock, PAL_SO_MCAST_LEAVE, mcast, sizeof(*mcast));
}

/* Whether a group can be joined on this interface and be sent to. */
static bool works_on(const char *address, uint32_t ifindex)
{
    struct group group;
    int error, sent = 0;

    chosen_ifindex = ifindex;
    group_open(&group, address);
    error = join(group.receiver, &group.mcast);
    if (error == 0)
        sent = send_to(group.sender, &group.to, "x");
    group_close(&group);
    return error == 0 && sent == 1;
}

static void require_multicast(const char *address)
{
    bool six = strchr(address, ':') != NULL;

    if (six)
        require_inet6();
    if (loopback_ifindex() != 0 && works_on(address, loopback_ifindex()))
        return;
    if (!six || !works_on(address, 0))
        test_skip("multicast", "no interface takes groups");
}

/* The next message is this one: what was sent to the group before was not delivered. */
static void expect_only(const struct group *group, const char *marker)
{
    assert_error(send_to(group->sender, &group->unicast, marker), (int)strlen(marker));
    expect_datagram(group->receiver, marker, NULL);
}

/* ---- any source ---- */

static void expect_joined_and_left(const char *address)
{
    struct group group;
    struct pal_addr from;

    group_open(&group, address);
    assert_error(send_to(group.sender, &group.to, "too early"), 9);
    expect_only(&group, "not yet joined");
    for (int i = 0; i < 2; i++) {
        assert_error(join(group.receiver, &group.mcast), 0);
        assert_error(send_to(group.sender, &group.to, "to the group"), 12);
        expect_datagram(group.receiver, "to the group", &from);
        cr_assert_eq(from.port, group.sender_port);
        expect_only(&group, "and only once");
        assert_error(leave(group.receiver, &group.mcast), 0);
        assert_error(send_to(group.sender, &group.to, "too late"), 8);
        expect_only(&group, "left");
    }
    group_close(&group);
}

Test(calls_multicast, who_has_joined_hears_the_group)
{
    require_multicast(GROUP4);
    expect_joined_and_left(GROUP4);
}

Test(calls_multicast, who_has_joined_hears_the_group_over_ipv6)
{
    require_multicast(GROUP6);
    expect_joined_and_left(GROUP6);
}

/* fe80::/10 means something only together with an interface. */
Test(calls_multicast, a_link_local_sender_is_named_with_its_interface)
{
    struct group group;
    struct pal_addr from;

    require_multicast(GROUP6);
    group_open(&group, GROUP6);
    assert_error(join(group.receiver, &group.mcast), 0);
    assert_error(send_to(group.sender, &group.to, "question"), 8);
    expect_datagram(group.receiver, "question", &from);
    if (from.bytes[0] != 0xfe || (from.bytes[1] & 0xc0) != 0x80) {
        bool is_kernels = is_native(group.sender);
        group_close(&group);
        if (is_kernels)
            test_skip("link-local", "no interface has such an address");
        test_skip("narrow-address", "the stack's interface has an address that reaches farther, and is preferred");
    }
    cr_assert_neq(from.scope, 0);
    assert_error(send_to(group.receiver, &from, "answer"), 6);
    expect_datagram(group.sender, "answer", NULL);
    group_close(&group);
}

static void expect_strangers_deaf(const char *address)
{
    struct group stranger, member;

    group_open(&stranger, address);
    group_open(&member, address);
    assert_error(join(member.receiver, &member.mcast), 0);
    assert_error(send_to(stranger.sender, &stranger.to, "to the group"), 12);
    expect_only(&stranger, "to the stranger");
    assert_error(send_to(stranger.sender, &member.to, "to the group"), 12);
    expect_datagram(member.receiver, "to the group", NULL);
    group_close(&stranger);
    group_close(&member);
}

Test(calls_multicast, a_group_that_another_socket_has_joined_is_not_heard)
{
    require_multicast(GROUP4);
    expect_strangers_deaf(GROUP4);
}

Test(calls_multicast, a_group_that_another_socket_has_joined_is_not_heard_over_ipv6)
{
    require_multicast(GROUP6);
    expect_strangers_deaf(GROUP6);
}

Test(calls_multicast, who_has_joined_one_group_does_not_hear_the_other)
{
    struct group one, other;
    struct pal_addr to;

    require_multicast(GROUP4);
    group_open(&one, GROUP4);
    group_open(&other, OTHER_GROUP4);
    assert_error(join(one.receiver, &one.mcast), 0);
    assert_error(join(other.receiver, &other.mcast), 0);
    to = other.to;
    to.port = one.to.port;
    assert_error(send_to(one.sender, &to, "to the other group"), 18);
    expect_only(&one, "to me");
    assert_error(join(one.receiver, &other.mcast), 0);
    assert_error(send_to(one.sender, &to, "to both groups"), 14);
    expect_datagram(one.receiver, "to both groups", NULL);
    group_close(&one);
    group_close(&other);
}

Test(calls_multicast, all_members_of_a_port_hear_the_group)
{
    struct group group;
    struct pal_addr any;
    pal_sock members[2];

    require_multicast(GROUP4);
    group_open(&group, GROUP4);
    any = any_address(PAL_AF_INET, 0);
    for (int i = 0; i < 2; i++) {
        members[i] = sock_open(PAL_AF_INET, PAL_SOCK_DGRAM);
        option_set(members[i], PAL_SO_REUSEADDR, 1);
        assert_error(pal_sock_bind(members[i], &any), 0);
        any.port = name_of(members[i], PAL_NAME_LOCAL).port;
        assert_error(join(members[i], &group.mcast), 0);
    }
    group.to.port = any.port;
    assert_error(send_to(group.sender, &group.to, "to all"), 6);
    expect_datagram(members[0], "to all", NULL);
    expect_datagram(members[1], "to all", NULL);
    pair_close(members[0], members[1]);
    group_close(&group);
}

Test(calls_multicast, a_closed_member_has_left)
{
    struct group group;

    require_multicast(GROUP4);
    group_open(&group, GROUP4);
    assert_error(join(group.receiver, &group.mcast), 0);
    group_close(&group);
    group_open(&group, GROUP4);
    assert_error(leave(group.receiver, &group.mcast), PAL_EADDRNOTAVAIL);
    group_close(&group);
}

/* ---- one source ---- */

Test(calls_multicast, who_has_joined_one_source_hears_it_alone)
{
    struct group group;
    struct pal_mcast specific;
    struct pal_addr source_addr = host_address("127.0.0.2", 0), from;
    pal_sock source;
    uint16_t port;
    int error;

    require_multicast(GROUP4);
    group_open(&group, GROUP4);
    source = sender_open(&source_addr, &port);
    specific = group.mcast;
    specific.source = host_address("127.0.0.2", 0);
    assert_error(join(group.receiver, &specific), 0);
    assert_error(send_to(group.sender, &group.to, "from another"), 12);
    assert_error(send_to(source, &group.to, "from the source"), 15);
    expect_datagram(group.receiver, "from the source", &from);
    assert_same_address(from, host_address("127.0.0.2", port));
    error = join(group.receiver, &specific);
    cr_assert(error == PAL_EADDRINUSE || error == PAL_EADDRNOTAVAIL, "joined twice: %s", pal_error_name(error));

    specific.source = host_address("127.0.0.1", 0);
    assert_error(join(group.receiver, &specific), 0);
    assert_error(send_to(group.sender, &group.to, "from the second"), 15);
    expect_datagram(group.receiver, "from the second", NULL);
    specific.source = host_address("127.0.0.2", 0);
    assert_error(leave(group.receiver, &specific), 0);
    assert_error(send_to(source, &group.to, "too late"), 8);
    assert_error(send_to(group.sender, &group.to, "still heard"), 11);
    expect_datagram(group.receiver, "still heard", NULL);
    sock_close(source);
    group_close(&group);
}

Test(calls_multicast, who_has_joined_one_source_hears_it_alone_over_ipv6)
{
    struct group group;
    struct pal_mcast specific;
    struct pal_addr from;

    require_multicast(GROUP6);
    group_open(&group, GROUP6);
    specific = group.mcast;
    assert_error(join(group.receiver, &group.mcast), 0);
    assert_error(send_to(group.sender, &group.to, "where from"), 10);
    expect_datagram(group.receiver, "where from", &from);
    assert_error(leave(group.receiver, &group.mcast), 0);

    specific.source = host_address("2001:db8::1", 0);
    assert_error(join(group.receiver, &specific), 0);
    assert_error(send_to(group.sender, &group.to, "from another"), 12);
    expect_only(&group, "not heard");
    specific.source = from;
    specific.source.port = 0;
    assert_error(join(group.receiver, &specific), 0);
    assert_error(send_to(group.sender, &group.to, "from the source"), 15);
    expect_datagram(group.receiver, "from the source", NULL);
    assert_error(leave(group.receiver, &specific), 0);
    assert_error(send_to(group.sender, &group.to, "too late"), 8);
    expect_only(&group, "left");
    group_close(&group);
}

/* ---- refused ---- */

static void expect_refusals(const char *address)
{
    struct group group;
    struct pal_mcast bad;

    group_open(&group, address);
    assert_error(leave(group.receiver, &group.mcast), PAL_EADDRNOTAVAIL);
    assert_error(join(group.receiver, &group.mcast), 0);
    assert_error(join(group.receiver, &group.mcast), PAL_EADDRINUSE);
    assert_error(leave(group.receiver, &group.mcast), 0);
    assert_error(leave(group.receiver, &group.mcast), PAL_EADDRNOTAVAIL);
    bad = group.mcast;
    bad.group = loopback(group.to.family, 0);
    assert_error(join(group.receiver, &bad), PAL_EINVAL);
    assert_error(leave(group.receiver, &bad), PAL_EINVAL);
    bad = group.mcast;
    bad.group.size = 3;
    assert_error(join(group.receiver, &bad), PAL_EINVAL);
    bad = group.mcast;
    bad.group.family = PAL_AF_UNSPEC;
    assert_error(join(group.receiver, &bad), PAL_EINVAL);
    bad = group.mcast;
    bad.ifindex = 0x7ffffff0;
    cr_assert_lt(join(group.receiver, &bad), 0, "an interface that is not there");
    assert_error(pal_sock_set(group.receiver, PAL_SO_MCAST_JOIN, &group.mcast, sizeof(group.mcast) - 1), PAL_EINVAL);
    assert_error(pal_sock_set(group.receiver, PAL_SO_MCAST_JOIN, NULL, sizeof(group.mcast)), PAL_EINVAL);
    group_close(&group);
}

Test(calls_multicast, what_cannot_be_joined_is_refused)
{
    require_multicast(GROUP4);
    expect_refusals(GROUP4);
}

Test(calls_multicast, what_cannot_be_joined_is_refused_over_ipv6)
{
    require_multicast(GROUP6);
    expect_refusals(GROUP6);
}

Test(calls_multicast, a_group_is_of_the_sockets_family)
{
    struct group group;
    pal_sock stream;

    require_multicast(GROUP4);
    group_open(&group, GROUP4);
    group.mcast.group = host_address(GROUP6, 0);
    cr_assert_lt(join(group.receiver, &group.mcast), 0);
    group.mcast.group = host_address(GROUP4, 0);
    group.mcast.source = loopback(PAL_AF_INET6, 0);
    cr_assert_lt(join(group.receiver, &group.mcast), 0);
    memset(&group.mcast.source, 0, sizeof(group.mcast.source));
    stream = sock_open(PAL_AF_INET, PAL_SOCK_STREAM);
    assert_error(join(stream, &group.mcast), PAL_ENOTSUP);
    cr_assert_str_neq(pal_reason(), "");
    sock_close(stream);
    group_close(&group);
}

/* ---- sending ---- */

static void expect_sending_interface(const char *address)
{
    struct group group;
    uint32_t ifindex = 0x7ffffff0;
    size_t size = sizeof(ifindex);
    int error;

    group_open(&group, address);
    cr_assert_lt(pal_sock_set(group.sender, PAL_SO_MCAST_IF, &ifindex, sizeof(ifindex)), 0);
    assert_error(pal_sock_set(group.sender, PAL_SO_MCAST_IF, &ifindex, 1), PAL_EINVAL);
    ifindex = loopback_ifindex();
    assert_error(pal_sock_set(group.sender, PAL_SO_MCAST_IF, &ifindex, sizeof(ifindex)), 0);
    ifindex = 0;
    error = pal_sock_get(group.sender, PAL_SO_MCAST_IF, &ifindex, &size);
    if (error == PAL_ENOTSUP) {
        cr_assert_str_neq(pal_reason(), "", "not every system tells it, but the reason is told");
    } else {
        assert_error(error, 0);
        cr_assert_eq(size, sizeof(ifindex));
        cr_assert_eq(ifindex, loopback_ifindex());
    }
    ifindex = 0;
    assert_error(pal_sock_set(group.sender, PAL_SO_MCAST_IF, &ifindex, sizeof(ifindex)), 0);
    group_close(&group);
}

Test(calls_multicast, the_sending_interface_is_chosen)
{
    require_multicast(GROUP4);
    expect_sending_interface(GROUP4);
}

Test(calls_multicast, the_sending_interface_is_chosen_over_ipv6)
{
    require_multicast(GROUP6);
    expect_sending_interface(GROUP6);
}

static void expect_ttl(const char *address)
{
    struct group group;
    char bytes[8];
    struct pal_iov iov;
    struct pal_msg msg;

    group_open(&group, address);
    option_set(group.receiver, PAL_SO_RECV_TTL, 1);
    assert_error(join(group.receiver, &group.mcast), 0);
    option_set(group.sender, PAL_SO_TTL, 99); /* of no concern to groups */
    cr_assert_eq(option_of(group.sender, PAL_SO_MCAST_TTL), 1);
    for (uint8_t ttl = 1; ttl < 200; ttl = (uint8_t)(ttl + 97)) {
        option_set(group.sender, PAL_SO_MCAST_TTL, ttl);
        assert_error(send_to(group.sender, &group.to, "ttl"), 3);
        msg = msg_of(&iov, bytes, sizeof(bytes));
        msg.want = PAL_META_TTL;
        receive_msg(group.receiver, &msg);
        cr_assert_eq(msg.have, PAL_META_TTL);
        cr_assert_eq(msg.ttl, ttl);
    }
    group_close(&group);
}

Test(calls_multicast, groups_have_a_hop_limit_of_their_own)
{
    require_multicast(GROUP4);
    expect_ttl(GROUP4);
}

Test(calls_multicast, groups_have_a_hop_limit_of_their_own_over_ipv6)
{
    require_multicast(GROUP6);
    expect_ttl(GROUP6);
}

/* An interface of a network, where looping back is a choice; 0, the system's choice, if none is told. */
static uint32_t network_ifindex(void)
{
    static struct pal_interface interfaces[64];
    int size = pal_names(PAL_NAMES_INTERFACES, NULL, interfaces, sizeof(interfaces));

    for (int i = 0; i < size / (int)sizeof(interfaces[0]) && i < 64; i++) {
        if ((interfaces[i].flags & 7) == (1 | 4)) /* up, multicast, not loopback */
            return interfaces[i].ifindex;
    }
    return 0;
}

/* Joins the group of all hosts, which is done without a report, and sends to it with hop limit 0, which keeps the
 * message on this host. The interface it came by, or 0: there is none of that kind. */
static uint32_t loop_once(pal_sock receiver, pal_sock sender, const struct pal_addr *to)
{
    struct pal_mcast mcast;
    char bytes[8];
    struct pal_iov iov;
    struct pal_msg msg = msg_of(&iov, bytes, sizeof(bytes));

    memset(&mcast, 0, sizeof(mcast));
    mcast.group = *to;
    mcast.group.port = 0;
    mcast.ifindex = network_ifindex();
    option_set(sender, PAL_SO_MCAST_TTL, 0);
    if (option_try(receiver, PAL_SO_PKTINFO, 1) != 0 || join(receiver, &mcast) != 0 ||
        pal_sock_set(sender, PAL_SO_MCAST_IF, &mcast.ifindex, sizeof(mcast.ifindex)) != 0 ||
        send_to(sender, to, "loops") < 0)
        return 0;
    msg.want = PAL_META_LOCAL;
    receive_msg(receiver, &msg);
    assert_error(msg.size, 5);
    return msg.ifindex;
}

Test(calls_multicast, a_host_hears_its_own_unless_told_not_to)
{
    struct pal_addr any = any_address(PAL_AF_INET, 0);
    pal_sock receiver = sock_bound_to(PAL_SOCK_DGRAM, &any);
    pal_sock sender = sock_open(PAL_AF_INET, PAL_SOCK_DGRAM);
    struct pal_addr to = host_address("224.0.0.1", any.port);
    uint32_t ifindex = loop_once(receiver, sender, &to);

    if (ifindex == 0 || ifindex == loopback_ifindex()) {
        bool is_kernels = is_native(sender);
        pair_close(receiver, sender);
        if (is_kernels)
            test_skip("multicast", "no interface of a network takes groups");
        test_skip("network-interface", "the stack has the loopback interface alone");
    }
    option_set(sender, PAL_SO_MCAST_LOOP, 0);
    assert_error(send_to(sender, &to, "does not"), 8);
    option_set(sender, PAL_SO_MCAST_LOOP, 1);
    assert_error(send_to(sender, &to, "loops again"), 11);
    expect_datagram(receiver, "loops again", NULL);
    pair_close(receiver, sender);
}
