/* Rule 14: where a card or a simulator stands beside the kernel, a handle's domain says whose it is, and one wait
 * serves both. On a backend of one world there is nothing to show. */
#include "conformance.h"

/* The domain field of a handle (pal/types.h). */
static unsigned domain_of(pal_sock sock)
{
    return (unsigned)(sock.id >> 24 & 0xff);
}

/* Two streams, one of each world; skips the test where there is one world only. */
static void worlds_open(pal_sock inet[2], pal_sock local[2])
{
    pal_sock probe[3];
    bool one_world;

    assert_error(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_DGRAM, 0, &probe[0]), 0);
    pair_open(PAIR_UNIX_STREAM, &probe[1], &probe[2]);
    one_world = domain_of(probe[0]) == domain_of(probe[1]);
    for (int i = 0; i < 3; i++)
        assert_error(pal_sock_close(probe[i]), 0);
    if (one_world)
        test_skip("two-worlds", "all sockets of this backend are the kernel's");
    pair_open(PAIR_TCP4, &inet[0], &inet[1]);
    pair_open(PAIR_UNIX_STREAM, &local[0], &local[1]);
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
    pair_close(inet[0], inet[1]);
    pair_close(local[0], local[1]);
    rig_close(&rig);
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
    cr_assert_eq(domain_of(inet[0]), domain_of(inet[1]));
    pair_close(inet[0], inet[1]);
    pair_close(local[0], local[1]);
}
