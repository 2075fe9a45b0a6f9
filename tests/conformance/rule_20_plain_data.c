/* Rule 20: what crosses the seam is plain data with a size that is known, written field by field, on machines of either
 * byte order. That no data symbol crosses it is seen from the object files (tests/layering). */
#include "conformance.h"

/* Every byte differs, so that a field that is swapped or torn shows. */
static const uint64_t PATTERN = 0xf1e2d3c4b5a69788;

Test(rule_20_plain_data, every_struct_has_its_size)
{
    cr_expect_eq(sizeof(pal_sock), 8);
    cr_expect_eq(sizeof(pal_file), 8);
    cr_expect_eq(sizeof(pal_proc), 8);
    cr_expect_eq(sizeof(pal_thread), 8);
    cr_expect_eq(sizeof(struct pal_event), 16);
    cr_expect_eq(sizeof(struct pal_addr), 124);
    cr_expect_eq(sizeof(struct pal_wait), 16);
    cr_expect_eq(sizeof(struct pal_iov), 2 * sizeof(void *));
    cr_expect_eq(sizeof(struct pal_op), 64 + 2 * sizeof(void *));
    cr_expect_eq(sizeof(struct pal_lease), 8 + sizeof(void *));
    cr_expect_eq(sizeof(struct pal_msg), 288 + 4 * sizeof(void *));
    cr_expect_eq(offsetof(struct pal_event, data), 0);
    cr_expect_eq(offsetof(struct pal_event, result), 8);
    cr_expect_eq(offsetof(struct pal_event, kind), 12);
    cr_expect_eq(offsetof(struct pal_event, ready), 14);
}

Test(rule_20_plain_data, the_backend_is_told_by_a_function)
{
    const struct pal_backend *backend = pal_backend_info();

    cr_assert_not_null(backend);
    cr_assert_str_neq(backend->name, "");
    cr_assert_eq(backend->abi, PAL_ABI, "built against another seam");
    cr_assert_eq(backend, pal_backend_info(), "the answer changes");
}

Test(rule_20_plain_data, a_ready_event_is_written_field_by_field)
{
    FOR_EACH_EVENTS_MAX(events_max)
    {
        struct rig rig;
        struct pal_event event;
        pal_sock a, b;

        rig_open(&rig, events_max);
        pair_open(PAIR_UNIX_STREAM, &a, &b);
        assert_error(pal_watch(rig.poll, a, PAL_OUT | PAL_IN, PATTERN), 0);
        event = rig_until(&rig, PATTERN, PAL_EV_READY);
        cr_assert_eq(event.ready, PAL_OUT);
        cr_assert_eq(event.result, 0);
        send_all(b, "x", 1);
        event = rig_until_ready(&rig, PATTERN, PAL_IN);
        cr_assert_eq(event.ready, PAL_IN | PAL_OUT);
        cr_assert_eq(event.result, 0);
        assert_error(pal_watch(rig.poll, a, PAL_IN, ~PATTERN), 0);
        event = rig_until(&rig, ~PATTERN, PAL_EV_READY);
        cr_assert_eq(event.ready, PAL_IN);
        assert_error(pal_watch(rig.poll, a, 0, 0), 0);
        pair_close(a, b);
        rig_close(&rig);
    }
}

Test(rule_20_plain_data, an_op_event_is_written_field_by_field)
{
    struct rig rig;
    struct pal_event event;
    char bytes[8];
    pal_sock a, b;
    struct pal_op op;

    rig_open(&rig, 2);
    pair_open(PAIR_UNIX_STREAM, &a, &b);
    op = op_recv(a, PATTERN, bytes, sizeof(bytes));
    assert_error(pal_submit(rig.poll, &op), 0);
    send_all(b, "seven..", 7);
    event = rig_until(&rig, PATTERN, PAL_EV_OP);
    cr_assert_eq(event.result, 7);
    cr_assert_eq(event.ready, PAL_OP_RECV);
    op = op_recv(a, ~PATTERN, bytes, sizeof(bytes));
    assert_error(pal_submit(rig.poll, &op), 0);
    assert_error(pal_cancel(rig.poll, &op), 0);
    event = rig_until(&rig, ~PATTERN, PAL_EV_OP);
    cr_assert_eq(event.result, PAL_ECANCELED, "a negative result is torn");
    pair_close(a, b);
    rig_close(&rig);
}

struct guarded_op {
    uint64_t before;
    struct pal_op op;
    uint64_t after;
};

Test(rule_20_plain_data, an_op_is_written_only_where_it_is_the_backends)
{
    struct rig rig;
    struct guarded_op guarded;
    char bytes[8];
    pal_sock a, b;

    rig_open(&rig, 2);
    pair_open(PAIR_UNIX_STREAM, &a, &b);
    guarded.before = guarded.after = PATTERN;
    guarded.op = op_recv(a, 1, bytes, sizeof(bytes));
    assert_error(pal_submit(rig.poll, &guarded.op), 0);
    send_all(b, "x", 1);
    (void)rig_until(&rig, 1, PAL_EV_OP);
    cr_assert_eq(guarded.before, PATTERN);
    cr_assert_eq(guarded.after, PATTERN);
    cr_assert_eq(guarded.op.sock.id, a.id);
    cr_assert_eq(guarded.op.data, 1);
    cr_assert_eq(guarded.op.buf, bytes);
    cr_assert_eq(guarded.op.size, sizeof(bytes));
    cr_assert_null(guarded.op.aux);
    cr_assert_eq(guarded.op.kind, PAL_OP_RECV);
    cr_assert_eq(guarded.op.flags, 0);
    cr_assert_eq(guarded.op.result, 1);
    cr_assert_eq(guarded.op.state, 0, "an op whose event was seen is idle");
    pair_close(a, b);
    rig_close(&rig);
}

struct guarded_wait {
    uint64_t before;
    struct pal_wait item;
    uint64_t after;
};

Test(rule_20_plain_data, a_wait_item_is_written_only_in_ready)
{
    struct guarded_wait guarded;
    pal_sock a, b;

    pair_open(PAIR_UNIX_STREAM, &a, &b);
    memset(&guarded, 0, sizeof(guarded));
    guarded.before = guarded.after = PATTERN;
    guarded.item.sock = a;
    guarded.item.interest = PAL_IN | PAL_OUT;
    guarded.item.ready = 0xffff;
    guarded.item.reserved = 0xa5a5a5a5;
    cr_assert_eq(pal_sock_wait(&guarded.item, 1, 0), 1);
    cr_assert_eq(guarded.item.ready, PAL_OUT);
    cr_assert_eq(guarded.item.interest, PAL_IN | PAL_OUT);
    cr_assert_eq(guarded.item.sock.id, a.id);
    cr_assert_eq(guarded.item.reserved, 0xa5a5a5a5);
    cr_assert_eq(guarded.before, PATTERN);
    cr_assert_eq(guarded.after, PATTERN);
    pair_close(a, b);
}

Test(rule_20_plain_data, an_address_has_host_order_port_and_network_order_bytes)
{
    pal_sock listener, client, accepted = {0};
    struct pal_addr addr, local, peer;

    listener_open(PAL_AF_INET, &listener, &addr);
    cr_assert_eq(addr.family, PAL_AF_INET);
    cr_assert_eq(addr.size, 4);
    cr_assert_eq(addr.bytes[0], 127);
    cr_assert_eq(addr.bytes[3], 1);
    cr_assert_neq(addr.port, 0);
    assert_error(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_STREAM, 0, &client), 0);
    (void)pal_sock_connect(client, &addr); /* by the port as it was told: another order reaches nobody */
    cr_assert(sock_until(listener, PAL_IN) & PAL_IN);
    assert_error(pal_sock_accept(listener, &accepted, &peer), 0);
    assert_error(pal_sock_name(client, PAL_NAME_LOCAL, &local), 0);
    cr_assert(pal_addr_equal(&peer, &local));
    assert_error(pal_sock_name(client, PAL_NAME_PEER, &peer), 0);
    cr_assert(pal_addr_equal(&peer, &addr));
    pair_close(client, accepted);
    assert_error(pal_sock_close(listener), 0);
}
