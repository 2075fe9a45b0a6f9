/* tests/netstack/test_timewait.c: TIME-WAIT records, and where sequence numbers begin.
 *
 * Links what test_listen.c does. */
#include "handshake_world.h"

enum { ISS = 1000000 };

static uint32_t last_number; /* our own, of the connection that ended */

/* A connection from that port of the peer, over on both sides: its record. */
static void end_one(uint16_t port, uint8_t has)
{
    struct tcb *tcb;

    deliver(syn_from(port, ISS, has));
    deliver(from(port, TCP_ACK, ISS + 1, last_sent()->seq + 1));
    tcb = pal__n_listener_accept(server);
    cr_assert_not_null(tcb);
    tcb->rcv_nxt = ISS + 2; /* its FIN */
    tcb->snd_nxt += 5000;
    last_number = tcb->snd_nxt;
    pal__n_timewait_enter(tcb);
    cr_assert_eq(tcb->flags & TCP_F_DEMUXED, 0);
    drop_tcb(tcb);
    sent_count = 0;
}

static struct segment with_timestamp(struct segment segment, uint32_t value)
{
    segment.options.has |= TCP_HAS_TIMESTAMPS;
    segment.options.ts_value = value;
    return segment;
}

/* tcp.rfc9293.MUST-13 */
Test(timewait, lasts_two_segment_lifetimes)
{
    uint64_t begin;

    start();
    end_one(1001, 0);
    begin = stack->now_ns;
    cr_assert(stack->timewait_pool.used == 1 && stack->tcb_pool.used == 1);
    cr_assert_eq(stack->ports->tcp_users[LISTEN_PORT], 1);
    wait_until(begin + 59 * SECOND);
    deliver(from(1001, TCP_FIN | TCP_ACK, ISS + 1, last_number));
    cr_assert(sent_count == 1 && last_sent()->flags == TCP_ACK && last_sent()->seq == last_number);
    cr_assert_eq(last_sent()->ack, ISS + 2);
    wait_until(begin + 118 * SECOND);
    cr_assert_eq(stack->timewait_pool.used, 1);
    wait_until(begin + 120 * SECOND);
    cr_assert_eq(stack->timewait_pool.used, 0);
    deliver(from(1001, TCP_ACK, ISS + 2, last_number));
    cr_assert_eq(resets, 1);
    finish();
}

/* tcp.state.timewait-ack: each repeated FIN is answered, and begins the wait anew. */
Test(timewait, a_repeated_fin_is_acknowledged_again)
{
    uint64_t begin;
    struct segment fin;

    start();
    end_one(1001, TCP_HAS_TIMESTAMPS);
    begin = stack->now_ns;
    wait_until(begin + 50 * SECOND);
    fin = with_timestamp(from(1001, TCP_FIN | TCP_ACK, ISS + 1, last_number), 7000);
    deliver(fin);
    deliver(with_timestamp(from(1001, TCP_FIN | TCP_ACK, ISS + 1, last_number), 7001));
    cr_assert(sent_count == 2 && last_sent()->options.has == TCP_HAS_TIMESTAMPS);
    cr_assert_eq(last_sent()->options.ts_echo, 7001);
    cr_assert_eq(pal__n_timers_next(stack), begin + 110 * SECOND);
    finish();
}

/* tcp.state.timewait-no-storm */
Test(timewait, does_not_converse)
{
    struct segment data;

    start();
    end_one(1001, 0);
    for (int i = 0; i < 100; i++)
        deliver(from(1001, TCP_ACK, ISS + 2, last_number));
    cr_assert_eq(sent_count, 0);
    for (int i = 0; i < 100; i++) {
        data = from(1001, TCP_ACK, ISS - 500, last_number);
        data.size = 100;
        deliver(data);
    }
    cr_assert(sent_count == 1 && counted(COUNTER_tcp_challenge_limited) == 99);
    deliver(from(1001, TCP_PSH, ISS + 2, 0));
    cr_assert(counted(COUNTER_tcp_drop_no_ack) == 1 && counted(COUNTER_tcp_drop_state) == 200);
    finish();
}

/* tcp.state.timewait-rst-ignored */
Test(timewait, is_not_ended_by_a_reset)
{
    start();
    end_one(1001, 0);
    deliver(from(1001, TCP_RST, ISS + 2, 0));
    deliver(from(1001, TCP_RST | TCP_ACK, ISS + 2, last_number));
    cr_assert(stack->timewait_pool.used == 1 && sent_count == 0 && counted(COUNTER_tcp_rst_ignored) == 2);
    deliver(from(1001, TCP_FIN | TCP_ACK, ISS + 1, last_number));
    cr_assert_eq(sent_count, 1);
    finish();
}

/* RFC 6191; tcp.sec.isn-timewait */
Test(timewait, a_newer_syn_begins_a_new_connection_above_the_old_numbers)
{
    start();
    end_one(1001, 0);
    deliver(syn_from(1001, ISS + 1, 0)); /* not newer: no answer but the seldom one */
    cr_assert(stack->timewait_pool.used == 1 && last_sent()->flags == TCP_ACK);
    deliver(syn_from(1001, ISS + 70000, 0));
    cr_assert(stack->timewait_pool.used == 0 && stack->embryo_pool.used == 1);
    cr_assert(last_sent()->flags == (TCP_SYN | TCP_ACK) && last_sent()->ack == ISS + 70001);
    cr_assert(seq_gt(last_sent()->seq, last_number));
    cr_assert_eq(counted(COUNTER_tcp_timewait_reused), 1);
    finish();
}

Test(timewait, a_newer_timestamp_counts_more_than_a_number)
{
    struct segment syn;

    start();
    end_one(1001, TCP_HAS_TIMESTAMPS);
    syn = syn_from(1001, ISS + 70000, TCP_HAS_TIMESTAMPS);
    syn.options.ts_value = 4000;
    deliver(syn);
    cr_assert(stack->timewait_pool.used == 1 && counted(COUNTER_tcp_drop_paws) == 1);
    syn = syn_from(1001, ISS - 70000, TCP_HAS_TIMESTAMPS);
    syn.options.ts_value = 5001;
    deliver(syn);
    cr_assert(stack->timewait_pool.used == 0 && stack->embryo_pool.used == 1);
    finish();
}

Test(timewait, is_not_reused_when_nobody_listens)
{
    start();
    end_one(1001, 0);
    pal__n_listener_close(server);
    deliver(syn_from(1001, ISS + 70000, 0));
    cr_assert(stack->timewait_pool.used == 1 && last_sent()->flags == TCP_ACK);
    finish();
}

/* tcp.state.timewait-small */
Test(timewait, the_oldest_makes_room)
{
    struct segment fin;

    start();
    cr_assert(sizeof(struct timewait) <= 192 && sizeof(struct embryo) <= 192);
    for (uint16_t port = 1; port <= 8; port++) {
        end_one(port, 0);
        stack->now_ns += MS;
    }
    deliver(from(1, TCP_FIN | TCP_ACK, ISS + 1, 0)); /* its wait begins anew: the second is the oldest now */
    for (int i = 0; i < 1000; i++)
        end_one((uint16_t)(100 + i), 0);
    cr_assert(stack->timewait_pool.used == 8 && counted(COUNTER_tcp_timewait_recycled) == 1000);
    fin = from(2, TCP_ACK, ISS + 2, 0);
    deliver(fin);
    cr_assert_eq(resets, 1);
    finish();
}

/* tcp.rfc9293.MUST-8, SHLD-1 */
Test(timewait, initial_numbers_advance_by_a_clock_of_four_microseconds)
{
    struct segment syn;
    uint32_t first, other;

    start();
    syn = syn_from(1001, ISS, 0);
    first = pal__n_isn(stack, &syn.tuple);
    stack->now_ns += SECOND;
    cr_assert_eq(pal__n_isn(stack, &syn.tuple) - first, 250000);
    syn.tuple.remote_port++;
    other = pal__n_isn(stack, &syn.tuple);
    cr_assert(other - first > 1000000 || first - other > 1000000);
    stack->config.flags |= NETSTACK_FIXED_ISN;
    stack->config.isn = 99;
    cr_assert_eq(pal__n_isn(stack, &syn.tuple), 99);
    finish();
}

/* The differences of neighbours: each of 16 bits is set about half the time. */
Test(timewait, initial_numbers_of_neighbours_tell_nothing_of_each_other)
{
    enum { TUPLES = 10000 };
    struct segment syn;
    uint32_t last = 0;
    int ones[32] = {0};

    start();
    syn = syn_from(1, ISS, 0);
    for (int i = 0; i < TUPLES; i++) {
        uint32_t isn;

        syn.tuple.remote_port++;
        isn = pal__n_isn(stack, &syn.tuple);
        for (int bit = 0; bit < 32; bit++)
            ones[bit] += ((isn - last) >> bit & 1) != 0;
        last = isn;
    }
    for (int bit = 0; bit < 32; bit++)
        cr_assert(ones[bit] > TUPLES * 47 / 100 && ones[bit] < TUPLES * 53 / 100, "bit %d: %d", bit, ones[bit]);
    finish();
}
