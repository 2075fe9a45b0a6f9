/* tests/netstack/test_lent.c: received frames that a program keeps: which one is next, and what those that are kept do
 * to windows. */
#include "sock_world.h"

TestSuite(lent, .init = begin, .fini = end);

static struct sock *client, *server;

/* A connection with ourselves. */
static void establish(void)
{
    struct sock *listener = sock_open(PAL_AF_INET, PAL_SOCK_STREAM);

    client = sock_open(PAL_AF_INET, PAL_SOCK_STREAM);
    cr_assert_eq(bind_to(listener, "127.0.0.1", 5000), 0);
    cr_assert_eq(pal__n_sock_listen(listener, 4), 0);
    cr_assert_eq(connect_to(client, "127.0.0.1", 5000), PAL_EINPROGRESS);
    settle();
    cr_assert_eq(pal__n_sock_accept(listener, &server, NULL), 0);
}

Test(lent, the_next_frame_is_told_beforehand)
{
    struct sock *sock = udp_bound("0.0.0.0", 5000);
    const struct frame *first;
    struct frame *frames[4];

    cr_assert_null(pal__n_sock_next_frame(sock));
    inject(&(struct spec){.dst_port = 5000, .payload = "one"});
    inject(&(struct spec){.dst_port = 5000, .payload = "two"});
    first = pal__n_sock_next_frame(sock);
    cr_assert(first != NULL && first->next != NULL && first->next->next == NULL);
    cr_assert_arr_eq(first->data, "one", 3);
    cr_assert_eq(pal__n_sock_next_frame(sock), first, "it was taken");
    cr_assert_eq(pal__n_sock_recv_frames(sock, frames, NULL, 4), 2);
    cr_assert_eq(frames[0], first);
    cr_assert_null(pal__n_sock_next_frame(sock));
    frame_free(frames[0]);
    frame_free(frames[1]);
}

Test(lent, an_error_comes_before_the_next_frame)
{
    struct sock *sock = udp_bound("0.0.0.0", 5000);
    struct frame *frame;

    inject(&(struct spec){.dst_port = 5000, .payload = "one"});
    sock->error = PAL_ECONNREFUSED;
    cr_assert_null(pal__n_sock_next_frame(sock));
    cr_assert_eq(pal__n_sock_recv_frames(sock, &frame, NULL, 1), PAL_ECONNREFUSED);
    cr_assert_not_null(pal__n_sock_next_frame(sock));
}

Test(lent, what_is_left_of_a_streams_frame_is_next)
{
    char room[4];

    establish();
    cr_assert_null(pal__n_sock_next_frame(server));
    cr_assert_eq(pal__n_sock_send(client, "abcdef", 6, 0), 6);
    settle();
    cr_assert_eq(pal__n_sock_recv(server, room, 4, 0), 4);
    cr_assert_eq(pal__n_sock_next_frame(server)->size, 2);
    cr_assert_arr_eq(pal__n_sock_next_frame(server)->data, "ef", 2);
}

Test(lent, there_is_plenty_until_half_of_what_may_be_held_is)
{
    struct sock *sock = udp_bound("0.0.0.0", 5000);
    int half = (int)(stack->config.held_frames_max / 2);

    cr_assert(pal__n_stack_has_plenty(stack));
    pal__n_stack_count_lent(stack, half - 1);
    cr_assert(pal__n_stack_has_plenty(stack));
    inject(&(struct spec){.dst_port = 5000, .payload = "waits"});
    cr_assert_not(pal__n_stack_has_plenty(stack), "what waits in sockets counts as well");
    pal__n_sock_close(sock);
    cr_assert(pal__n_stack_has_plenty(stack));
    pal__n_stack_count_lent(stack, 1 - half);
    cr_assert_eq(stack->held_frames, 0);
}

/* Sends and reads as much as goes: bytes read. */
static uint64_t pump(uint64_t most)
{
    static uint8_t bytes[16384];
    uint64_t taken = 0;

    for (int i = 0; i < 2000 && taken < most; i++) {
        int32_t got;

        (void)pal__n_sock_send(client, bytes, sizeof(bytes), 0);
        settle();
        while ((got = pal__n_sock_recv(server, bytes, sizeof(bytes), 0)) > 0)
            taken += (uint64_t)got;
        settle();
    }
    return taken;
}

/* The window that was offered is used up, and no other is; it opens when frames come back, half of them will do. */
Test(lent, windows_close_for_what_a_program_keeps)
{
    int most = (int)stack->config.held_frames_max;
    uint64_t taken;

    establish();
    pal__n_stack_count_lent(stack, most);
    taken = pump(UINT64_C(1) << 30);
    cr_assert_lt(taken, UINT64_C(16) << 20, "%lu bytes, and the window is not shut", (unsigned long)taken);
    cr_assert_eq(pump(1), 0);
    pal__n_stack_count_lent(stack, -most / 2);
    run(SECOND);
    cr_assert_geq(pump(UINT64_C(16) << 20), UINT64_C(16) << 20, "it does not open again");
    pal__n_stack_count_lent(stack, most / 2 - most);
    cr_assert_eq(stack->held_frames, 0);
}
