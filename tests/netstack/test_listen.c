/* tests/netstack/test_listen.c: from a SYN to the accept queue: embryos, the backlog, cookies.
 *
 * Links tcp_syn.c, tcp_listen.c, tcp_cookie.c, tcp_timewait.c, tcp_isn.c, timer.c, demux.c, pool.c and random.c. */
#include "handshake_world.h"

enum { ISS = 1000000 };

/* A whole handshake; the connection is in the accept queue then. */
static void shake_hands(uint16_t port, uint32_t seq)
{
    deliver(syn_from(port, seq, TCP_HAS_MSS));
    deliver(from(port, TCP_ACK, seq + 1, last_sent()->seq + 1));
}

/* tcp.state.3whs-passive */
Test(listen, a_handshake_becomes_a_connection)
{
    struct tcb *tcb;

    start();
    deliver(syn_from(1001, ISS, TCP_HAS_MSS));
    cr_assert(sent_count == 1 && last_sent()->flags == (TCP_SYN | TCP_ACK) && last_sent()->ack == ISS + 1);
    cr_assert(changes == 0 && pal__n_listener_accept(server) == NULL);
    stack->now_ns += 20 * MS;
    deliver(from(1001, TCP_ACK, ISS + 1, last_sent()->seq + 1));
    cr_assert(changes == 1 && delivered == 1 && sent_count == 1);
    tcb = pal__n_listener_accept(server);
    cr_assert_not_null(tcb);
    cr_assert(tcb->irs == ISS && tcb->iss == sent[0].seq && tcb->mss_peer == 1400 && tcb->srtt_ns == 20 * MS);
    cr_assert(tcb->listener == NULL && (tcb->flags & TCP_F_QUEUED) == 0);
    cr_assert_null(pal__n_listener_accept(server));
    drop_tcb(tcb);
    finish();
}

/* tcp.opt.synack-mirror, tcp.rfc9293.SHLD-5, tcp.opt.ws-syn-unscaled */
Test(listen, the_syn_ack_has_what_the_syn_had_and_a_segment_size)
{
    start();
    for (uint8_t has = 0; has < 16; has++) {
        const struct tcp_options *options;

        deliver(syn_from((uint16_t)(2000 + has), ISS, has));
        options = &last_sent()->options;
        cr_assert_eq(options->has, has | TCP_HAS_MSS);
        cr_assert(options->mss == MTU - 40 && options->scale == 7 && last_sent()->window == 65535);
        if (has & TCP_HAS_TIMESTAMPS)
            cr_assert_eq(options->ts_echo, 5000);
    }
    finish();
}

Test(listen, a_small_buffer_and_a_small_segment_size_are_told)
{
    start();
    server->receive_buffer = 3000;
    server->mss_max = 500;
    deliver(syn_from(1001, ISS, TCP_HAS_MSS | TCP_HAS_SCALE));
    cr_assert(last_sent()->window == 3000 && last_sent()->options.mss == 500);
    finish();
}

/* tcp.state.synrcvd-dup-syn */
Test(listen, a_repeated_syn_gets_the_same_answer)
{
    struct segment syn = syn_from(1001, ISS, TCP_HAS_TIMESTAMPS);

    start();
    deliver(syn);
    stack->now_ns += 500 * MS;
    syn = syn_from(1001, ISS, TCP_HAS_TIMESTAMPS);
    syn.options.ts_value = 5500;
    deliver(syn);
    cr_assert(sent_count == 2 && sent[0].seq == sent[1].seq && sent[1].flags == (TCP_SYN | TCP_ACK));
    cr_assert(sent[1].options.ts_echo == 5500 && sent[1].options.ts_value == sent[0].options.ts_value + 500);
    cr_assert_eq(stack->embryo_pool.used, 1);
    finish();
}

/* tcp.state.synrcvd-rexmit */
Test(listen, an_unanswered_syn_ack_is_sent_again_and_given_up)
{
    static const uint64_t seconds[] = {0, 1, 3, 7, 15, 31};
    uint64_t begin;

    start();
    begin = stack->now_ns;
    deliver(syn_from(1001, ISS, TCP_HAS_MSS));
    wait_until(begin + 62 * SECOND);
    cr_assert_eq(sent_count, 6);
    for (int i = 0; i < 6; i++) {
        cr_assert_eq(sent[i].at_ns, begin + seconds[i] * SECOND, "SYN-ACK %d", i);
        cr_assert_eq(sent[i].seq, sent[0].seq);
    }
    cr_assert_eq(stack->embryo_pool.used, 1);
    wait_until(begin + 64 * SECOND);
    cr_assert(sent_count == 6 && stack->embryo_pool.used == 0 && changes == 0);
    cr_assert_eq(counted(COUNTER_tcp_embryo_timeout), 1);
    finish();
}

/* tcp.state.synrcvd-bad-ack */
Test(listen, a_wrong_ack_is_reset_and_the_embryo_lives)
{
    uint32_t iss;

    start();
    deliver(syn_from(1001, ISS, TCP_HAS_MSS));
    iss = last_sent()->seq;
    deliver(from(1001, TCP_ACK, ISS + 1, iss));
    deliver(from(1001, TCP_ACK, ISS + 1, iss + 2));
    cr_assert(resets == 2 && changes == 0 && counted(COUNTER_tcp_drop_ack_range) == 2);
    deliver(from(1001, TCP_ACK, ISS + 1, iss + 1));
    cr_assert_eq(changes, 1);
    finish();
}

/* tcp.rfc9293.MUST-11, tcp.5961.rst-timewait-synrcvd */
Test(listen, only_the_exact_reset_ends_an_embryo)
{
    start();
    deliver(syn_from(1001, ISS, TCP_HAS_MSS));
    deliver(from(1001, TCP_RST, ISS + 100, 0));
    cr_assert(sent_count == 2 && last_sent()->flags == TCP_ACK && last_sent()->ack == ISS + 1);
    deliver(from(1001, TCP_RST, ISS + 100, 0));
    deliver(from(1001, TCP_RST, ISS - 100, 0));
    cr_assert(sent_count == 2 && stack->embryo_pool.used == 1 && counted(COUNTER_tcp_rst_ignored) == 3);
    cr_assert_eq(counted(COUNTER_tcp_challenge_limited), 1);
    deliver(from(1001, TCP_RST, ISS + 1, 0));
    cr_assert(stack->embryo_pool.used == 0 && changes == 0 && counted(COUNTER_tcp_rst_in) == 1 && resets == 0);
    shake_hands(1001, ISS);
    cr_assert_eq(changes, 1);
    finish();
}

Test(listen, another_syn_of_the_same_tuple_is_challenged)
{
    start();
    deliver(syn_from(1001, ISS, TCP_HAS_MSS));
    deliver(syn_from(1001, ISS + 500, TCP_HAS_MSS));
    cr_assert(last_sent()->flags == TCP_ACK && last_sent()->seq == sent[0].seq + 1 && last_sent()->ack == ISS + 1);
    deliver(from(1001, TCP_RST, ISS + 1, 0)); /* what a peer that knows nothing of it answers */
    deliver(syn_from(1001, ISS + 500, TCP_HAS_MSS));
    cr_assert(last_sent()->flags == (TCP_SYN | TCP_ACK) && last_sent()->ack == ISS + 501);
    finish();
}

Test(listen, what_lies_outside_the_window_or_is_old_is_answered_seldom)
{
    struct segment old;

    start();
    deliver(syn_from(1001, ISS, TCP_HAS_TIMESTAMPS | TCP_HAS_SCALE));
    deliver(from(1001, TCP_ACK, ISS - 5, sent[0].seq + 1));
    cr_assert(sent_count == 2 && last_sent()->window == 65535 >> 7);
    old = from(1001, TCP_ACK, ISS + 1, sent[0].seq + 1);
    old.options.has = TCP_HAS_TIMESTAMPS;
    old.options.ts_value = 4999;
    deliver(old);
    cr_assert(changes == 0 && sent_count == 2);
    cr_assert(counted(COUNTER_tcp_drop_paws) == 1 && counted(COUNTER_tcp_drop_window) == 1);
    stack->now_ns += 600 * MS;
    old = from(1001, TCP_ACK, ISS + 200000, sent[0].seq + 1);
    deliver(old);
    cr_assert_eq(sent_count, 3);
    deliver(from(1001, 0, ISS + 1, 0));
    cr_assert_eq(counted(COUNTER_tcp_drop_no_ack), 1);
    finish();
}

/* tcp.state.synrcvd-fin, tcp.state.synrcvd-lost-ack */
Test(listen, the_segment_that_completes_it_may_bring_data)
{
    struct segment data;

    start();
    deliver(syn_from(1001, ISS, TCP_HAS_MSS));
    data = from(1001, TCP_ACK | TCP_FIN, ISS + 1, last_sent()->seq + 1);
    data.size = 100;
    deliver(data);
    cr_assert(changes == 1 && delivered_size == 100);
    finish();
}

/* tcp.state.seq-wrap-handshake */
Test(listen, sequence_numbers_may_wrap)
{
    start();
    stack->config.flags |= NETSTACK_FIXED_ISN;
    stack->config.isn = UINT32_MAX;
    deliver(syn_from(1001, UINT32_MAX, TCP_HAS_MSS));
    cr_assert(last_sent()->seq == UINT32_MAX && last_sent()->ack == 0);
    deliver(from(1001, TCP_ACK, 0, 0));
    cr_assert_eq(changes, 1);
    finish();
}

/* tcp.state.listen-ack-rst, listen-rst-ignored, listen-fin-drop */
Test(listen, what_is_no_syn_begins_nothing)
{
    start();
    deliver(from(1001, TCP_ACK, 5, 6));
    deliver(from(1001, TCP_SYN | TCP_ACK, 5, 6));
    cr_assert_eq(resets, 2);
    deliver(from(1001, TCP_RST, 5, 0));
    deliver(from(1001, TCP_RST | TCP_SYN, 5, 0));
    deliver(from(1001, TCP_FIN, 5, 0));
    deliver(from(1001, 0, 5, 0));
    deliver(from(1001, TCP_SYN | TCP_FIN, 5, 0));
    cr_assert(resets == 2 && sent_count == 0 && stack->embryo_pool.used == 0);
    cr_assert(counted(COUNTER_tcp_rst_ignored) == 2 && counted(COUNTER_tcp_drop_state) == 5);
    shake_hands(1001, ISS);
    cr_assert_eq(changes, 1);
    finish();
}

/* tcp.rfc9293.MUST-57, MUST-63, tcp.in.land */
Test(listen, impossible_addresses_are_ignored)
{
    static const uint32_t sources[] = {0, 0xe0000001, 0xffffffff, 0x0a0000ff, 0x7f000001, 0x0a000001};
    struct segment segment;

    start();
    for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
        segment = syn_from(1001, ISS, TCP_HAS_MSS);
        segment.tuple.remote = ip_of_number(sources[i]);
        deliver(segment);
    }
    for (uint8_t flag = PACKET_LINK_GROUP; flag <= PACKET_MULTICAST; flag = (uint8_t)(flag * 2)) {
        segment = syn_from(1001, ISS, TCP_HAS_MSS);
        packet.flags = flag;
        deliver(segment);
    }
    segment = syn_from(LISTEN_PORT, ISS, TCP_HAS_MSS);
    segment.tuple.remote = segment.tuple.local;
    packet.flags = PACKET_LOOPBACK;
    deliver(segment);
    cr_assert(sent_count == 0 && resets == 0 && counted(COUNTER_tcp_drop_address) == 10);
    segment = syn_from(1001, ISS, TCP_HAS_MSS); /* from ourselves, as it comes by the loopback interface */
    segment.tuple.remote = segment.tuple.local;
    packet.flags = PACKET_LOOPBACK;
    deliver(segment);
    cr_assert_eq(sent_count, 1);
    finish();
}

/* tcp.sec.backlog-accept */
Test(listen, a_full_accept_queue_leaves_the_ack_unanswered)
{
    struct tcb *first;

    start_with(64, 8, 0, 1);
    deliver(syn_from(1001, ISS, TCP_HAS_MSS));
    deliver(syn_from(1002, ISS, TCP_HAS_MSS));
    deliver(from(1001, TCP_ACK, ISS + 1, sent[0].seq + 1));
    deliver(from(1002, TCP_ACK, ISS + 1, sent[1].seq + 1));
    cr_assert(resets == 0 && changes == 1 && counted(COUNTER_tcp_accept_full) == 1);
    deliver(syn_from(1003, ISS, TCP_HAS_MSS));
    cr_assert(sent_count == 2 && counted(COUNTER_tcp_syn_dropped) == 1);
    first = pal__n_listener_accept(server);
    drop_tcb(first);
    wait_until(stack->now_ns + SECOND);
    cr_assert(sent_count == 3 && last_sent()->tuple.remote_port == 1002);
    deliver(from(1002, TCP_ACK, ISS + 1, sent[1].seq + 1));
    cr_assert(changes == 2 && resets == 0);
    first = pal__n_listener_accept(server);
    cr_assert_eq(first->srtt_ns, UINT64_MAX, "of two SYN-ACKs, the one that was answered is not known");
    drop_tcb(first);
    finish();
}

Test(listen, without_room_for_a_connection_the_embryo_goes_on)
{
    start();
    deliver(syn_from(1001, ISS, TCP_HAS_MSS));
    passive_fails = true;
    deliver(from(1001, TCP_ACK, ISS + 1, sent[0].seq + 1));
    cr_assert(changes == 0 && stack->embryo_pool.used == 1 && counted(COUNTER_tcp_drop_memory) == 1);
    passive_fails = false;
    deliver(from(1001, TCP_ACK, ISS + 1, sent[0].seq + 1));
    cr_assert_eq(changes, 1);
    finish();
}

/* tcp.state.listener-close-embryos */
Test(listen, closing_resets_what_nobody_accepted_and_forgets_the_rest)
{
    start();
    for (uint16_t port = 1; port <= 3; port++)
        shake_hands(port, ISS);
    deliver(syn_from(8, ISS, TCP_HAS_MSS));
    deliver(syn_from(9, ISS, TCP_HAS_MSS));
    pal__n_listener_close(server);
    cr_assert(aborted == 3 && stack->embryo_pool.used == 0 && stack->demux.count == 0);
    cr_assert(server->state == TCP_CLOSED && server->listener == NULL && (server->sock.flags & SOCK_LISTENING) == 0);
    finish();
}

Test(listen, the_backlog_can_be_changed_and_is_at_least_one)
{
    start();
    cr_assert_eq(pal__n_listener_open(server, -5), 0);
    cr_assert(server->listener->backlog == 1 && server->listener->embryo_max == EMBRYOS_LEAST);
    cr_assert_eq(pal__n_listener_open(server, 1 << 30), 0);
    cr_assert(server->listener->backlog == BACKLOG_MAX && server->listener->embryo_max == 64);
    cr_assert_eq(stack->listener_pool.used, 1);
    finish();
}

static struct ip_error error_about(const uint8_t *quote, bool is_hard)
{
    struct ip_error error;

    memset(&error, 0, sizeof(error));
    error.quote = quote;
    error.quote_size = 8;
    error.error = PAL_ECONNREFUSED;
    error.is_hard = is_hard;
    return error;
}

/* tcp.sec.icmp-seq-check */
Test(listen, icmp_ends_an_embryo_only_if_it_quotes_it)
{
    uint8_t quote[8] = {0};
    struct ip_error hard = error_about(quote, true), soft = error_about(quote, false);
    struct embryo *embryo;

    start();
    deliver(syn_from(1001, ISS, TCP_HAS_MSS));
    embryo = pool_at(&stack->embryo_pool, 0);
    put32(quote + TCP_SEQ, last_sent()->seq + 1);
    cr_assert(pal__n_embryo_error(stack, embryo, &hard));
    put32(quote + TCP_SEQ, last_sent()->seq);
    cr_assert(pal__n_embryo_error(stack, embryo, &soft));
    cr_assert_eq(stack->embryo_pool.used, 1);
    cr_assert(pal__n_embryo_error(stack, embryo, &hard));
    cr_assert_eq(stack->embryo_pool.used, 0);
    finish();
}

/* ---- floods ---- */

/* tcp.sec.backlog-embryo */
Test(listen, a_flood_costs_no_memory)
{
    start_with(16, 8, 0, 16);
    for (uint32_t i = 0; i < 100000; i++) {
        struct segment syn = syn_from((uint16_t)(1 + i % 60000), i, TCP_HAS_MSS);

        syn.tuple.remote = ip_of_number(0xc0000000 + i);
        sent_count = 0;
        deliver(syn);
        cr_assert_eq(sent_count, 1);
    }
    cr_assert(stack->embryo_pool.used == 16 && counted(COUNTER_tcp_cookie_sent) == 100000 - 16);
    finish();
}

Test(listen, without_cookies_the_oldest_that_had_its_chance_makes_room)
{
    start_with(8, 8, NETSTACK_COOKIES_OFF, 16);
    for (uint16_t port = 1; port <= 9; port++)
        deliver(syn_from(port, ISS, TCP_HAS_MSS));
    cr_assert(sent_count == 8 && counted(COUNTER_tcp_syn_dropped) == 1);
    wait_until(stack->now_ns + 1100 * MS);
    deliver(syn_from(9, ISS, TCP_HAS_MSS));
    cr_assert(sent_count == 17 && counted(COUNTER_tcp_embryo_recycled) == 1 && stack->embryo_pool.used == 8);
    cr_assert_eq(last_sent()->tuple.remote_port, 9);
    finish();
}

/* Fills the embryos, so that the next SYN gets a cookie. */
static void begin_flood(void)
{
    start_with(8, 8, 0, 16);
    for (uint16_t port = 1; port <= 8; port++)
        deliver(syn_from(port, ISS, TCP_HAS_MSS));
}

/* tcp.sec.syncookie-basic, syncookie-data */
Test(listen, a_cookie_becomes_a_connection_out_of_nothing)
{
    struct segment ack;
    struct tcb *tcb;

    begin_flood();
    deliver(syn_from(1001, ISS, TCP_HAS_MSS | TCP_HAS_SCALE | TCP_HAS_SACK_PERMITTED));
    cr_assert(last_sent()->flags == (TCP_SYN | TCP_ACK) && last_sent()->ack == ISS + 1);
    cr_assert_eq(last_sent()->options.has, TCP_HAS_MSS, "without a timestamp nothing else can be kept");
    cr_assert(stack->embryo_pool.used == 8 && path.refs == 8);
    ack = from(1001, TCP_ACK, ISS + 1, last_sent()->seq + 1);
    ack.size = 100;
    deliver(ack);
    cr_assert(counted(COUNTER_tcp_cookie_good) == 1 && delivered_size == 100);
    tcb = pal__n_listener_accept(server);
    cr_assert(tcb->iss == last_sent()->seq && tcb->irs == ISS && tcb->mss_peer == 1360);
    cr_assert_eq(tcb->flags & (TCP_F_SCALE | TCP_F_SACK | TCP_F_TIMESTAMPS), 0);
    drop_tcb(tcb);
    finish();
}

/* tcp.sec.syncookie-options */
Test(listen, the_options_of_a_cookie_ride_in_the_timestamp)
{
    begin_flood();
    for (int i = 0; i < 512; i++) {
        uint8_t offered = (uint8_t)(TCP_HAS_TIMESTAMPS | (i & 7));
        uint16_t port = (uint16_t)(1000 + i);
        struct segment ack;
        struct tcb *tcb;

        stack->now_ns += MS;
        sent_count = 0;
        deliver(syn_from(port, ISS, offered));
        cr_assert_eq(last_sent()->options.has, offered | TCP_HAS_MSS);
        ack = from(port, TCP_ACK, ISS + 1, last_sent()->seq + 1);
        ack.options.has = TCP_HAS_TIMESTAMPS;
        ack.options.ts_value = 6000;
        ack.options.ts_echo = last_sent()->options.ts_value;
        deliver(ack);
        tcb = pal__n_listener_accept(server);
        cr_assert_not_null(tcb);
        cr_assert_eq((tcb->flags & TCP_F_SCALE) != 0, (offered & TCP_HAS_SCALE) != 0);
        cr_assert_eq((tcb->flags & TCP_F_SACK) != 0, (offered & TCP_HAS_SACK_PERMITTED) != 0);
        cr_assert(tcb->flags & TCP_F_TIMESTAMPS && tcb->ts_recent == 6000);
        cr_assert_eq(tcb->snd_scale, offered & TCP_HAS_SCALE ? 3 : 0);
        cr_assert_eq(tcb->mss_peer, offered & TCP_HAS_MSS ? 1360 : 536);
        /* What the connection says next is not earlier than what the cookie said. */
        cr_assert(!seq_lt(tcp_timestamp(stack->now_ns, tcb->ts_offset), ack.options.ts_echo));
        drop_tcb(tcb);
    }
    finish();
}

static void send_cookie_ack(uint16_t port, uint32_t seq, uint32_t ack)
{
    deliver(from(port, TCP_ACK, seq, ack));
}

/* tcp.sec.syncookie-expire */
Test(listen, a_cookie_is_good_for_one_handshake_and_a_while)
{
    uint32_t cookie;

    begin_flood();
    deliver(syn_from(1001, ISS, TCP_HAS_MSS));
    cookie = last_sent()->seq;
    send_cookie_ack(1002, ISS + 1, cookie + 1);
    send_cookie_ack(1001, ISS + 2, cookie + 1);
    send_cookie_ack(1001, ISS + 1, cookie + 2);
    send_cookie_ack(1001, ISS + 1, (cookie ^ UINT32_C(1) << 29) + 1);
    cr_assert(resets == 4 && changes == 0 && counted(COUNTER_tcp_cookie_bad) == 4);
    stack->now_ns += 63 * SECOND;
    send_cookie_ack(1001, ISS + 1, cookie + 1);
    cr_assert_eq(changes, 1);
    deliver(syn_from(1003, ISS, TCP_HAS_MSS));
    cookie = last_sent()->seq;
    stack->now_ns += 127 * SECOND;
    send_cookie_ack(1003, ISS + 1, cookie + 1);
    stack->now_ns += 300 * SECOND;
    send_cookie_ack(1003, ISS + 1, cookie + 1);
    cr_assert(changes == 1 && resets == 6);
    finish();
}

/* tcp.sec.syncookie-off-forge */
Test(listen, cookies_are_not_looked_for_when_none_were_sent)
{
    struct segment syn = syn_from(1001, ISS, TCP_HAS_MSS);
    uint32_t ts_value, cookie;

    start();
    cookie = pal__n_cookie_make(stack, &syn, &ts_value);
    send_cookie_ack(1001, ISS + 1, cookie + 1);
    cr_assert(resets == 1 && changes == 0 && counted(COUNTER_tcp_cookie_good) == 0);
    finish();
}

/* What overtakes the segment that completes the handshake must not kill it. */
Test(listen, data_that_is_no_cookie_is_left_unanswered_while_cookies_are_about)
{
    struct segment data;

    begin_flood();
    deliver(syn_from(1001, ISS, TCP_HAS_MSS));
    data = from(1001, TCP_ACK, ISS + 1 + 1400, last_sent()->seq + 1);
    data.size = 500;
    deliver(data);
    cr_assert(resets == 0 && changes == 0);
    data = from(1001, TCP_ACK, ISS + 1, last_sent()->seq + 1);
    data.size = 1400;
    deliver(data);
    cr_assert_eq(changes, 1);
    finish();
}
