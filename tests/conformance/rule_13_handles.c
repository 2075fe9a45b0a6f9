/* Rule 13 for handles and polls: their number is fixed by pal_setup; more is PAL_ENOBUFS, takes nothing from the
 * system, and works again after a close. Each test has a process of its own, so each may set the seam up. */
#include "conformance.h"

enum { SOCKS_MAX = 12 };

static void set_up(uint32_t socks_max, uint32_t polls_max)
{
    struct pal_setup setup;

    memset(&setup, 0, sizeof(setup));
    setup.socks_max = socks_max;
    setup.polls_max = polls_max;
    assert_error(pal_setup(&setup), 0);
}

/* Opens sockets until no handle is left; returns how many. */
static int open_all(pal_sock socks[SOCKS_MAX])
{
    int count = 0;
    int error = 0;
    pal_sock refused = {0};

    while (count < SOCKS_MAX && error == 0) {
        error = pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_DGRAM, 0, &socks[count]);
        count += error == 0;
    }
    assert_error(error, 0);
    assert_error(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_DGRAM, 0, &refused), PAL_ENOBUFS);
    return count;
}

static void close_all(pal_sock *socks, int count)
{
    for (int i = 0; i < count; i++)
        assert_error(pal_sock_close(socks[i]), 0);
}

static uint64_t info(int key)
{
    uint64_t value = 0;

    assert_error(pal_info(key, &value), 0);
    return value;
}

Test(rule_13_handles, as_many_handles_open_as_were_set_up)
{
    pal_sock socks[SOCKS_MAX];

    set_up(SOCKS_MAX, 0);
    cr_assert_eq(info(PAL_INFO_SOCKS_MAX), SOCKS_MAX);
    for (int round = 0; round < 50; round++) {
        cr_assert_eq(info(PAL_INFO_SOCKS_OPEN), 0);
        cr_assert_eq(open_all(socks), SOCKS_MAX);
        cr_assert_eq(info(PAL_INFO_SOCKS_OPEN), SOCKS_MAX);
        close_all(socks, SOCKS_MAX);
    }
}

Test(rule_13_handles, every_way_to_a_handle_respects_the_limit)
{
    pal_sock socks[SOCKS_MAX], out[2];

    set_up(SOCKS_MAX, 0);
    for (int i = 0; i < SOCKS_MAX - 1; i++)
        assert_error(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_DGRAM, 0, &socks[i]), 0);
    assert_error(pal_sock_pair(PAL_AF_UNIX, PAL_SOCK_STREAM, out), PAL_ENOBUFS); /* one is left, two are needed */
    assert_error(pal_pipe(out, 0), PAL_ENOBUFS);
    cr_assert_eq(info(PAL_INFO_SOCKS_OPEN), SOCKS_MAX - 1, "a refused pair keeps a handle");
    assert_error(pal_sock_dup(socks[0], &socks[SOCKS_MAX - 1]), 0);
    assert_error(pal_sock_dup(socks[0], &out[0]), PAL_ENOBUFS);
    cr_assert_eq(info(PAL_INFO_SOCKS_OPEN), SOCKS_MAX);
    close_all(socks, SOCKS_MAX);
}

/* Accepts with every handle in use, then with one free. */
static void accept_waits_for_a_handle(int family)
{
    pal_sock spare[SOCKS_MAX], listener, client, accepted = {0};
    struct pal_addr addr;
    char byte = 0;
    int count = 0;

    set_up(SOCKS_MAX, 0);
    listener_open(family, &listener, &addr);
    assert_error(pal_sock_open(NULL, family, PAL_SOCK_STREAM, 0, &client), 0);
    while (pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_DGRAM, 0, &spare[count]) == 0)
        count++;
    cr_assert_eq(count, SOCKS_MAX - 2);
    (void)pal_sock_connect(client, &addr);
    cr_assert(sock_until(client, PAL_OUT) & PAL_OUT, "the connection is not made");
    for (int i = 0; i < 20; i++) {
        assert_error(pal_sock_accept(listener, &accepted, NULL), PAL_ENOBUFS);
        cr_assert_eq(accepted.id, 0, "a refused accept writes a handle");
    }
    assert_error(pal_sock_close(spare[--count]), 0);
    accepted = accept_one(listener);
    send_all(client, "x", 1);
    cr_assert(sock_until(accepted, PAL_IN) & PAL_IN, "it is another connection that was accepted");
    cr_assert_eq(pal_sock_recv(accepted, &byte, 1, 0), 1);
    cr_assert_eq(byte, 'x');
    close_all(spare, count);
    pair_close(client, accepted);
    assert_error(pal_sock_close(listener), 0);
    cr_assert_eq(info(PAL_INFO_SOCKS_OPEN), 0);
}

Test(rule_13_handles, accept_leaves_the_connection_waiting_while_no_handle_is_free)
{
    accept_waits_for_a_handle(PAL_AF_INET);
}

Test(rule_13_handles, accept_on_a_unix_listener_leaves_the_connection_waiting_too)
{
    accept_waits_for_a_handle(PAL_AF_UNIX);
}

Test(rule_13_handles, an_accept_op_ends_with_enobufs_while_no_handle_is_free)
{
    pal_sock spare[SOCKS_MAX], listener, client, accepted = {0};
    struct pal_addr addr;
    struct pal_op op;
    struct rig rig;
    int count = 0;
    int32_t result;

    set_up(SOCKS_MAX, 0);
    rig_open(&rig, 2);
    listener_open(PAL_AF_INET, &listener, &addr);
    assert_error(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_STREAM, 0, &client), 0);
    while (pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_DGRAM, 0, &spare[count]) == 0)
        count++;
    (void)pal_sock_connect(client, &addr);
    op = op_accept(listener, 1, &accepted);
    result = rig_perform(&rig, &op);
    assert_error(result, PAL_ENOBUFS);
    assert_error(pal_sock_close(spare[--count]), 0);
    op = op_accept(listener, 1, &accepted);
    assert_error(rig_perform(&rig, &op), 0);
    close_all(spare, count);
    pair_close(client, accepted);
    assert_error(pal_sock_close(listener), 0);
    rig_close(&rig);
}

Test(rule_13_handles, handles_that_were_closed_stay_dead_when_their_slots_are_used_again)
{
    pal_sock first[SOCKS_MAX], second[SOCKS_MAX];

    set_up(SOCKS_MAX, 0);
    (void)open_all(first);
    close_all(first, SOCKS_MAX);
    (void)open_all(second);
    for (int i = 0; i < SOCKS_MAX; i++) {
        assert_error(pal_sock_close(first[i]), PAL_EBADF);
        for (int j = 0; j < SOCKS_MAX; j++)
            cr_assert_neq(first[i].id, second[j].id, "a handle is given out twice");
    }
    close_all(second, SOCKS_MAX);
}

Test(rule_13_handles, as_many_polls_open_as_were_set_up)
{
    enum { POLLS_MAX = 3 };
    pal_poll *polls[POLLS_MAX], *refused = NULL;

    set_up(0, POLLS_MAX);
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < POLLS_MAX; i++)
            assert_error(pal_poll_open(&polls[i], NULL), 0);
        assert_error(pal_poll_open(&refused, NULL), PAL_ENOBUFS);
        for (int i = 0; i < POLLS_MAX; i++)
            assert_error(pal_poll_close(polls[i]), 0);
    }
}

/* ---- pal_setup itself ---- */

Test(rule_13_handles, set_up_after_the_first_use_is_refused)
{
    struct pal_setup setup;
    pal_sock sock;

    memset(&setup, 0, sizeof(setup));
    assert_error(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_DGRAM, 0, &sock), 0);
    assert_error(pal_setup(&setup), PAL_EBUSY);
    assert_error(pal_setup(NULL), PAL_EBUSY);
    assert_error(pal_sock_close(sock), 0);
}

Test(rule_13_handles, set_up_twice_is_refused)
{
    set_up(SOCKS_MAX, 0);
    assert_error(pal_setup(NULL), PAL_EBUSY);
    cr_assert_eq(info(PAL_INFO_SOCKS_MAX), SOCKS_MAX);
}

Test(rule_13_handles, set_up_with_nothing_is_the_defaults)
{
    pal_sock sock;

    assert_error(pal_setup(NULL), 0);
    cr_assert_gt(info(PAL_INFO_SOCKS_MAX), 1000);
    assert_error(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_DGRAM, 0, &sock), 0);
    assert_error(pal_sock_close(sock), 0);
}

Test(rule_13_handles, set_up_out_of_range_is_refused_with_a_reason_and_changes_nothing)
{
    struct pal_setup setup;

    memset(&setup, 0, sizeof(setup));
    setup.socks_max = UINT32_MAX;
    assert_error(pal_setup(&setup), PAL_EINVAL);
    cr_assert_str_neq(pal_reason(), "");
    memset(&setup, 0, sizeof(setup));
    setup.polls_max = UINT32_MAX;
    assert_error(pal_setup(&setup), PAL_EINVAL);
    cr_assert_str_neq(pal_reason(), "");
    memset(&setup, 0, sizeof(setup));
    setup.flags = 0x80000000;
    assert_error(pal_setup(&setup), PAL_EINVAL);
    cr_assert_str_neq(pal_reason(), "");
    set_up(SOCKS_MAX, 0);
    cr_assert_eq(info(PAL_INFO_SOCKS_MAX), SOCKS_MAX);
}

Test(rule_13_handles, the_backends_name_can_be_asked_before_set_up)
{
    cr_assert_str_neq(pal_backend_info()->name, "");
    cr_assert_eq(pal_backend_info()->abi, PAL_ABI);
    set_up(SOCKS_MAX, 0);
}
