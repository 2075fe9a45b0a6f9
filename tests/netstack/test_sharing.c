/* tests/netstack/test_sharing.c: a stack that shares its addresses with others: which ports it chooses, what it tells
 * of the ports that it uses, and which packets it passes on instead of answering them. Links the whole stack. */
#include "sock_world.h"

enum { STACKS = 3, NUMBER = 1 };

static int32_t uses[2][65536]; /* TCP, UDP: as the stack has told */
static uint32_t passed;
static struct tuple latest; /* of what was passed */
static bool takes;          /* somebody else wants it */

static bool take(void *context, struct frame *frame, const struct tuple *tuple)
{
    cr_assert_eq(context, &passed);
    latest = *tuple;
    passed++;
    if (takes)
        frame_free(frame);
    return takes;
}

static void note(void *context, uint8_t protocol, uint16_t port, bool begins)
{
    int32_t *count = &uses[protocol == PAL_IPPROTO_UDP][port];

    cr_assert_eq(context, &passed);
    *count += begins ? 1 : -1;
    cr_assert_geq(*count, 0, "port %d ends more often than it begins", port);
}

static void begin_sharing(void)
{
    struct netstack_sharing sharing = {&passed, STACKS, NUMBER, take, note};

    begin();
    pal__n_stack_share(stack, &sharing);
    takes = true;
}

/* No port is used any more when all has gone. */
static void end_sharing(void)
{
    end();
    for (int kind = 0; kind < 2; kind++)
        for (int port = 0; port < 65536; port++)
            cr_assert_eq(uses[kind][port], 0, "port %d", port);
}

TestSuite(sharing, .init = begin_sharing, .fini = end_sharing);

/* A segment from port 7000 of the peer. */
static void segment_to(uint16_t port, uint8_t flags, const char *dst)
{
    uint8_t segment[TCP_SIZE];
    struct ip from = ip("10.0.0.2"), to = ip(dst);
    struct spec spec = {.dst = dst, .protocol = PAL_IPPROTO_TCP, .payload = segment, .size = sizeof(segment)};

    memset(segment, 0, sizeof(segment));
    put16(segment + TCP_SRC, 7000);
    put16(segment + TCP_DST, port);
    put32(segment + TCP_SEQ, 100);
    put32(segment + TCP_ACK_NUMBER, 200);
    segment[TCP_OFFSET] = TCP_SIZE / 4 << 4;
    segment[TCP_FLAGS] = flags;
    put16(segment + TCP_WINDOW, 1000);
    put16(segment + TCP_CHECKSUM,
          checksum_finish(pal__n_checksum_add(pal__n_checksum_pseudo(&from, &to, PAL_IPPROTO_TCP, sizeof(segment)),
                                              segment, sizeof(segment))));
    inject(&spec);
    run(0);
}

Test(sharing, ports_that_are_chosen_leave_the_stacks_own_remainder)
{
    for (int i = 0; i < 50; i++) {
        struct sock *bound = udp_bound("10.0.0.1", 0), *called = sock_open(PAL_AF_INET, PAL_SOCK_STREAM);

        cr_assert_eq(connect_to(called, "10.0.0.2", 80), PAL_EINPROGRESS);
        cr_assert_eq(name_of(bound, PAL_NAME_LOCAL).port % STACKS, NUMBER);
        cr_assert_eq(name_of(called, PAL_NAME_LOCAL).port % STACKS, NUMBER);
        cr_assert_eq(uses[0][name_of(called, PAL_NAME_LOCAL).port], 1);
        cr_assert_eq(uses[1][name_of(bound, PAL_NAME_LOCAL).port], 1);
    }
}

Test(sharing, a_use_ends_with_the_last_who_has_the_port)
{
    struct sock *listener = sock_open(PAL_AF_INET, PAL_SOCK_STREAM), *bound = udp_bound("10.0.0.1", 53);

    cr_assert_eq(bind_to(listener, "10.0.0.1", 80), 0);
    cr_assert_eq(pal__n_sock_listen(listener, 4), 0);
    cr_assert_eq(uses[0][80], 1);
    cr_assert_eq(uses[1][53], 1);
    pal__n_sock_close(bound);
    pal__n_sock_close(listener);
    cr_assert_eq(uses[0][80], 0);
    cr_assert_eq(uses[1][53], 0);
}

Test(sharing, what_nobody_here_wants_is_passed_on_and_not_answered)
{
    struct spec datagram = {.dst_port = 53, .payload = "whose?"};

    inject(&datagram);
    run(0);
    cr_assert_eq(passed, 1);
    cr_assert_eq(latest.local_port, 53);
    cr_assert_eq(latest.remote_port, 7000);
    cr_assert_eq(latest.protocol, PAL_IPPROTO_UDP);
    segment_to(80, TCP_SYN, "10.0.0.1");
    segment_to(80, TCP_ACK, "10.0.0.1");
    segment_to(80, TCP_RST, "10.0.0.1");
    cr_assert_eq(passed, 4);
    cr_assert_eq(latest.local_port, 80);
    cr_assert_eq(latest.protocol, PAL_IPPROTO_TCP);
    cr_assert_eq(wire.count, 0, "it was answered");
}

Test(sharing, what_others_do_not_want_either_is_answered)
{
    struct spec datagram = {.dst_port = 53, .payload = "whose?"};

    takes = false;
    inject(&datagram);
    segment_to(80, TCP_SYN, "10.0.0.1");
    cr_assert_eq(passed, 2);
    cr_assert_eq(wire.count, 2, "an ICMP error and a RST, not %u frames", wire.count);
}

Test(sharing, who_listens_keeps_its_handshakes_and_passes_on_what_may_be_of_a_connection)
{
    struct sock *listener = sock_open(PAL_AF_INET, PAL_SOCK_STREAM);

    cr_assert_eq(bind_to(listener, "10.0.0.1", 80), 0);
    cr_assert_eq(pal__n_sock_listen(listener, 4), 0);
    segment_to(80, TCP_ACK, "10.0.0.1");
    segment_to(80, TCP_ACK | TCP_FIN, "10.0.0.1");
    segment_to(80, TCP_RST, "10.0.0.1");
    cr_assert_eq(passed, 3);
    cr_assert_eq(wire.count, 0, "it was answered");
    segment_to(80, TCP_SYN, "10.0.0.1");
    cr_assert_eq(passed, 3);
    cr_assert_eq(wire.count, 1, "no SYN and ACK");
}

Test(sharing, what_is_broken_or_wanted_here_is_nobody_elses)
{
    struct sock *bound = udp_bound("10.0.0.1", 53);
    struct spec good = {.dst_port = 53, .payload = "ours"}, bad = {.dst_port = 54, .payload = "broken", .checksum = 1};

    inject(&good);
    inject(&bad);
    run(0);
    (void)expect_text(bound, "ours");
    cr_assert_eq(passed, 0);
}

Test(sharing, loopback_is_the_stacks_own)
{
    struct sock *sock = sock_open(PAL_AF_INET, PAL_SOCK_STREAM);

    cr_assert_eq(connect_to(sock, "127.0.0.1", 81), PAL_EINPROGRESS);
    run(0);
    cr_assert_eq(option_of(sock, PAL_SO_ERROR), PAL_ECONNREFUSED, "%d", option_of(sock, PAL_SO_ERROR));
    cr_assert_eq(passed, 0);
}
