/* tests/netstack/test_full_port.c: many connections have something to say, and the port takes nothing: a turn costs no
 * more for all that wait, and all of it leaves when there is room. Links the whole stack. */
#include "sock_world.h"

enum { CONNECTIONS = 600, TURNS = 100, A_TURN = 200 };

TestSuite(full_port, .init = begin, .fini = end);

static void connect_all(void)
{
    for (int i = 0; i < CONNECTIONS; i++)
        cr_assert_eq(connect_to(sock_open(PAL_AF_INET, PAL_SOCK_STREAM), "10.0.0.2", (uint16_t)(1000 + i)),
                     PAL_EINPROGRESS);
}

Test(full_port, a_turn_tries_a_few_and_not_all)
{
    wire.room = 0;
    connect_all();
    for (int i = 0; i < TURNS; i++)
        pal__n_stack_poll(stack, now_ns);
    cr_assert_leq(counter(COUNTER_tcp_send_failed), TURNS * A_TURN, "%lu tries in vain",
                  (unsigned long)counter(COUNTER_tcp_send_failed));
    cr_assert_gt(pal__n_stack_next(stack), now_ns, "nothing can be done at once");
    wire.room = UINT32_MAX;
    run(100 * MS);
    cr_assert_eq(wire.count, CONNECTIONS, "%u connections have begun", wire.count);
}

Test(full_port, all_have_their_turn_while_there_is_little_room)
{
    connect_all();
    for (int i = 0; i < CONNECTIONS; i++) {
        wire.room = 1;
        now_ns += MS / 100;
        pal__n_stack_poll(stack, now_ns);
    }
    cr_assert_geq(wire.count, CONNECTIONS, "%u connections have begun", wire.count);
    wire.room = UINT32_MAX;
}
