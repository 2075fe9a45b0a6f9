/* passing.c: handles that arrive over a unix socket with too little room, or unasked: they are closed and
 * PAL_MSG_CTRUNC says so; none is left behind. Holes 21, 22. */
#include "kernel.h"

enum { PASSED = 5 };

struct passing {
    pal_sock from, to;
    pal_sock passed[PASSED]; /* second handles to one socket, to be sent */
    int before;              /* descriptors, before anything is received */
    char byte;
    struct pal_iov iov;
    pal_sock received[PASSED];
    struct pal_msg msg;
};

static void passing_open(struct passing *p, bool accepts)
{
    int32_t on = accepts;

    memset(p, 0, sizeof(*p));
    p->iov = (struct pal_iov){&p->byte, 1};
    pair_open(PAIR_UNIX_STREAM, &p->from, &p->to);
    assert_error(pal_sock_set(p->to, PAL_SO_PASS, &on, sizeof(on)), 0);
    assert_error(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_DGRAM, 0, &p->passed[0]), 0);
    for (int i = 1; i < PASSED; i++)
        assert_error(pal_sock_dup(p->passed[0], &p->passed[i]), 0);
    p->before = descriptors_open();
}

static void passing_close(struct passing *p)
{
    for (int i = 0; i < PASSED; i++)
        assert_error(pal_sock_close(p->passed[i]), 0);
    pair_close(p->from, p->to);
}

static void send_handles(struct passing *p)
{
    struct pal_msg msg;

    memset(&msg, 0, sizeof(msg));
    p->byte = 'x';
    msg.iov = &p->iov;
    msg.iov_count = 1;
    msg.want = PAL_META_SOCKS;
    msg.socks = p->passed;
    msg.socks_count = PASSED;
    cr_assert_eq(pal_sock_send_msgs(p->from, &msg, 1, 0), 1);
}

static void prepare_to_receive(struct passing *p, uint16_t room)
{
    memset(&p->msg, 0, sizeof(p->msg));
    p->msg.iov = &p->iov;
    p->msg.iov_count = 1;
    p->msg.want = PAL_META_SOCKS;
    p->msg.socks = p->received;
    p->msg.socks_max = room;
}

/* What has come is right, and no descriptor beyond it is open. */
static void check_received(struct passing *p, uint16_t room)
{
    cr_assert_eq(p->msg.size, 1);
    cr_assert_leq(p->msg.socks_count, room);
    if (room >= PASSED) {
        cr_assert_eq(p->msg.socks_count, PASSED);
        cr_assert_eq(p->msg.flags & PAL_MSG_CTRUNC, 0);
    } else {
        cr_assert_neq(p->msg.flags & PAL_MSG_CTRUNC, 0, "%d handles were dropped without a word", PASSED - room);
    }
    cr_assert_eq(descriptors_open(), p->before + p->msg.socks_count, "descriptors are left behind");
    for (int i = 0; i < p->msg.socks_count; i++)
        assert_error(pal_sock_close(p->received[i]), 0);
    cr_assert_eq(descriptors_open(), p->before);
}

Test(passing, too_little_room_is_told_and_leaks_nothing_by_try)
{
    for (uint16_t room = 0; room <= PASSED; room++) {
        struct passing p;

        passing_open(&p, true);
        send_handles(&p);
        prepare_to_receive(&p, room);
        cr_assert_eq(pal_sock_recv_msgs(p.to, &p.msg, 1, 0), 1);
        check_received(&p, room);
        passing_close(&p);
    }
}

Test(passing, too_little_room_is_told_and_leaks_nothing_by_op)
{
    for (uint16_t room = 0; room <= PASSED; room++) {
        struct passing p;
        struct rig rig;
        struct pal_op op;

        rig_open(&rig, 2);
        passing_open(&p, true);
        send_handles(&p);
        prepare_to_receive(&p, room);
        memset(&op, 0, sizeof(op));
        op.kind = PAL_OP_RECV_MSG;
        op.sock = p.to;
        op.data = 1;
        op.aux = &p.msg;
        op.size = 1;
        cr_assert_eq(rig_perform(&rig, &op), 1);
        check_received(&p, room);
        passing_close(&p);
        rig_close(&rig);
    }
}

Test(passing, plain_receiving_drops_handles_and_leaks_nothing)
{
    for (int accepts = 0; accepts <= 1; accepts++) {
        struct passing p;
        char byte = 0;

        passing_open(&p, accepts != 0);
        send_handles(&p);
        cr_assert_eq(pal_sock_recv(p.to, &byte, 1, 0), 1);
        cr_assert_eq(byte, 'x');
        cr_assert_eq(descriptors_open(), p.before);
        passing_close(&p);
    }
}

Test(passing, a_socket_that_does_not_take_handles_gets_none)
{
    struct passing p;

    passing_open(&p, false);
    send_handles(&p);
    prepare_to_receive(&p, PASSED);
    cr_assert_eq(pal_sock_recv_msgs(p.to, &p.msg, 1, 0), 1);
    cr_assert_eq(p.msg.size, 1);
    cr_assert_eq(p.msg.socks_count, 0);
    cr_assert_eq(descriptors_open(), p.before);
    passing_close(&p);
}

Test(passing, handles_beyond_the_table_are_dropped)
{
    struct passing p;
    struct pal_setup setup;
    uint64_t handles = 0;

    memset(&setup, 0, sizeof(setup));
    setup.socks_max = PASSED + 2 + 2; /* room for two of those that arrive */
    assert_error(pal_setup(&setup), 0);
    passing_open(&p, true);
    send_handles(&p);
    prepare_to_receive(&p, PASSED);
    cr_assert_eq(pal_sock_recv_msgs(p.to, &p.msg, 1, 0), 1);
    cr_assert_eq(p.msg.socks_count, 2);
    cr_assert_neq(p.msg.flags & PAL_MSG_CTRUNC, 0);
    cr_assert_eq(descriptors_open(), p.before + 2);
    pair_close(p.received[0], p.received[1]);
    passing_close(&p);
    assert_error(pal_info(PAL_INFO_SOCKS_OPEN, &handles), 0);
    cr_assert_eq(handles, 0);
}

Test(passing, leases_do_not_take_handles)
{
    struct passing p;
    struct rig rig;
    struct pal_lease lease;
    int32_t on = 1;

    rig_open(&rig, 2);
    passing_open(&p, true);
    assert_error(pal_watch(rig.poll, p.to, PAL_IN | PAL_LEASE, 1), PAL_ENOTSUP);
    cr_assert_str_neq(pal_reason(), "");
    assert_error(pal_watch(rig.poll, p.to, PAL_IN, 1), 0);
    assert_error(pal_lease_recv(p.to, &lease, 1), PAL_ENOTSUP);
    assert_error(pal_watch(rig.poll, p.to, 0, 0), 0);
    on = 0;
    assert_error(pal_sock_set(p.to, PAL_SO_PASS, &on, sizeof(on)), 0);
    assert_error(pal_watch(rig.poll, p.to, PAL_IN | PAL_LEASE, 1), 0);
    send_handles(&p); /* unasked */
    (void)rig_until(&rig, 1, PAL_EV_READY);
    cr_assert_eq(pal_lease_recv(p.to, &lease, 1), 1);
    cr_assert_eq(descriptors_open(), p.before);
    on = 1;
    assert_error(pal_sock_set(p.to, PAL_SO_PASS, &on, sizeof(on)), PAL_ENOTSUP);
    pal_lease_release(rig.poll, &lease, 1);
    assert_error(pal_watch(rig.poll, p.to, 0, 0), 0);
    passing_close(&p);
    rig_close(&rig);
}
