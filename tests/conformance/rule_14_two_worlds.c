/* Rule 14: where a card or a simulator stands beside the kernel, a handle's domain says whose it is, and one wait
 * serves both. On a backend of one world there is nothing to show. What a stack's socket cannot do is also in
 * calls_native.c (release), calls_passing.c and calls_spawn_fds.c. */
#include "conformance.h"

/* Two streams, one of each world; skips the test where there is one world only. */
static void worlds_open(pal_sock inet[2], pal_sock local[2])
{
    stack_pair_open(PAIR_TCP4, &inet[0], &inet[1]);
    pair_open(PAIR_UNIX_STREAM, &local[0], &local[1]);
    cr_assert(is_native(local[0]) && is_native(local[1]));
}

Test(rule_14_two_worlds, one_wait_serves_both)
{
    struct rig rig;
    pal_sock inet[2], local[2];

    worlds_open(inet, local);
    rig_open(&rig, 2);
    assert_error(pal_watch(rig.poll, inet[0], PAL_IN, 1), 0);
    assert_error(pal_watch(rig.poll, local[0], PAL_IN, 2), 0);
    for (int round = 0; round < 10; round++) {
        char byte;

        send_all(inet[1], "i", 1);
        send_all(local[1], "l", 1);
        (void)rig_until(&rig, 1, PAL_EV_READY);
        (void)rig_until(&rig, 2, PAL_EV_READY); /* neither starves the other, though nobody reads */
        (void)rig_until(&rig, 1, PAL_EV_READY);
        cr_assert_eq(pal_sock_recv(inet[0], &byte, 1, 0), 1);
        cr_assert_eq(pal_sock_recv(local[0], &byte, 1, 0), 1);
    }
    assert_error(pal_watch(rig.poll, inet[0], 0, 0), 0);
    assert_error(pal_watch(rig.poll, local[0], 0, 0), 0);
    rig_close(&rig);
    pair_close(inet[0], inet[1]);
    pair_close(local[0], local[1]);
}

Test(rule_14_two_worlds, loopback_of_the_stack_is_its_own)
{
    pal_sock inet[2], local[2];
    char bytes[4];

    worlds_open(inet, local);
    send_all(inet[0], "own!", 4);
    cr_assert(sock_until(inet[1], PAL_IN) & PAL_IN);
    cr_assert_eq(pal_sock_recv(inet[1], bytes, 4, 0), 4);
    cr_assert_arr_eq(bytes, "own!", 4);
    pair_close(inet[0], inet[1]);
    pair_close(local[0], local[1]);
}

Test(rule_14_two_worlds, one_poll_has_ops_of_both)
{
    struct rig rig;
    pal_sock inet[2], local[2];
    char bytes[2];
    struct pal_op ops[2];

    worlds_open(inet, local);
    rig_open(&rig, 2);
    for (int round = 0; round < 10; round++) {
        ops[0] = op_recv(inet[0], 1, &bytes[0], 1);
        ops[1] = op_recv(local[0], 2, &bytes[1], 1);
        rig_submit(&rig, &ops[0]);
        rig_submit(&rig, &ops[1]);
        send_all(round % 2 ? inet[1] : local[1], "x", 1);
        cr_assert_eq(rig_outcome(&rig, &ops[round % 2 ? 0 : 1]), 1);
        send_all(round % 2 ? local[1] : inet[1], "y", 1);
        cr_assert_eq(rig_outcome(&rig, &ops[round % 2 ? 1 : 0]), 1);
    }
    rig_close(&rig);
    pair_close(inet[0], inet[1]);
    pair_close(local[0], local[1]);
}

Test(rule_14_two_worlds, one_look_serves_both)
{
    pal_sock inet[2], local[2];
    struct pal_wait items[4];

    worlds_open(inet, local);
    memset(items, 0, sizeof(items));
    items[0].sock = inet[0];
    items[2].sock = local[0]; /* items[1] is skipped */
    items[3].sock = inet[1];
    for (int i = 0; i < 4; i++)
        items[i].interest = PAL_IN;
    cr_assert_eq(pal_sock_wait(items, 4, 0), 0);
    send_all(local[1], "l", 1);
    cr_assert_eq(pal_sock_wait(items, 4, UINT64_MAX), 1);
    cr_assert(items[0].ready == 0 && items[1].ready == 0 && items[2].ready == PAL_IN && items[3].ready == 0);
    send_all(inet[1], "i", 1);
    cr_assert(sock_until(inet[0], PAL_IN) & PAL_IN);
    cr_assert_eq(pal_sock_wait(items, 4, UINT64_MAX), 2);
    cr_assert(items[0].ready == PAL_IN && items[1].ready == 0 && items[2].ready == PAL_IN && items[3].ready == 0);
    assert_error(pal_sock_close(local[0]), 0);
    cr_assert_eq(pal_sock_wait(items, 4, 0), 2);
    cr_assert(items[0].ready == PAL_IN && items[2].ready == PAL_NVAL);
    pair_close(inet[0], inet[1]);
    assert_error(pal_sock_close(local[1]), 0);
}

/* The two rigs are the test's own, so that nobody else can be meant by PAL_EBUSY. */
static void watch_twins(struct rig rigs[2], pal_sock sock, pal_sock peer, bool refused)
{
    pal_sock twin;

    assert_error(pal_sock_dup(sock, &twin), 0);
    rig_watch(&rigs[0], sock, PAL_IN, 1);
    assert_error(pal_watch(rigs[1].poll, twin, PAL_IN, 2), refused ? PAL_EBUSY : 0);
    if (refused) {
        cr_assert_str_neq(pal_reason(), "", "refused without a reason");
        rig_watch(&rigs[0], twin, PAL_IN, 2); /* one poll may have them both */
    }
    send_all(peer, "x", 1);
    (void)rig_until_ready(&rigs[0], 1, PAL_IN);
    (void)rig_until_ready(&rigs[refused ? 0 : 1], 2, PAL_IN);
    rig_unwatch(&rigs[0], sock);
    rig_unwatch(&rigs[refused ? 0 : 1], twin);
    rig_watch(&rigs[1], sock, PAL_IN, 3); /* idle, they may move */
    (void)rig_until_ready(&rigs[1], 3, PAL_IN);
    rig_silent(&rigs[0], 1, 3);
    rig_unwatch(&rigs[1], sock);
    pair_close(sock, twin);
}

Test(rule_14_two_worlds, one_poll_waits_for_all_handles_of_a_stacks_socket)
{
    struct rig rigs[2];
    pal_sock inet[2], local[2];

    worlds_open(inet, local);
    rig_open(&rigs[0], 2);
    rig_open(&rigs[1], 2);
    watch_twins(rigs, inet[0], inet[1], true);
    watch_twins(rigs, local[0], local[1], false);
    assert_error(pal_sock_close(inet[1]), 0);
    assert_error(pal_sock_close(local[1]), 0);
    for (int i = 0; i < 2; i++)
        assert_error(pal_poll_close(rigs[i].poll), 0);
}

Test(rule_14_two_worlds, the_stack_is_the_system_of_its_sockets)
{
    pal_sock inet[2], local[2], second;
    struct pal_addr name;

    worlds_open(inet, local);
    assert_error(pal_sock_name(inet[0], PAL_NAME_LOCAL, &name), 0);
    assert_error(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_STREAM, 0, &second), 0);
    assert_error(pal_sock_bind(second, &name), PAL_EADDRINUSE);
    assert_error(-pal_native_error(), PAL_EADDRINUSE);
    assert_error(pal_sock_close(second), 0);
    pair_close(inet[0], inet[1]);
    pair_close(local[0], local[1]);
}
