/* fork.c: rule 17. In a child every inherited poll is dead: it answers PAL_EFORKED, it closes, and the parent does not
 * notice. Inherited sockets can be tried and closed. */
#include "kernel.h"

#include <signal.h>

struct family {
    pal_poll *poll;
    pal_sock watched, peer;
    struct pal_op op;
    char byte;
};

static void family_open(struct family *family)
{
    pal_sock ends[2];

    memset(family, 0, sizeof(*family));
    family->poll = must_open_poll(2, 4);
    must_open_unix_pair(ends);
    family->watched = ends[0];
    family->peer = ends[1];
    must(pal_watch(family->poll, family->watched, PAL_IN, 1) == 0);
    must_settle(family->poll);
}

static void family_close(struct family *family)
{
    must(pal_watch(family->poll, family->watched, 0, 0) == 0);
    must(pal_sock_close(family->watched) == 0);
    must(pal_sock_close(family->peer) == 0);
    must(pal_poll_close(family->poll) == 0);
}

static void close_everything(void *arg)
{
    struct family *family = (struct family *)arg;

    must(pal_poll_close(family->poll) == 0);
    must(pal_sock_close(family->watched) == 0);
    must(pal_sock_close(family->peer) == 0);
}

Test(fork, a_child_that_closes_everything_leaves_the_parents_watch_alone)
{
    struct family family;

    family_open(&family);
    in_child(close_everything, &family);
    must(pal_sock_send(family.peer, "x", 1, 0) == 1);
    must_become_ready(family.poll, 1);
    family_close(&family);
}

static void use_inherited_poll(void *arg)
{
    struct family *family = (struct family *)arg;
    const struct pal_event *events;
    struct pal_lease lease;
    intptr_t native;

    must(pal_poll_wait(family->poll, &events, 0) == PAL_EFORKED);
    must(pal_poll_wait(family->poll, &events, UINT64_MAX) == PAL_EFORKED);
    must(pal_watch(family->poll, family->peer, PAL_IN, 2) == PAL_EFORKED);
    must(pal_watch(family->poll, family->watched, 0, 0) == PAL_EFORKED);
    family->op = op_recv(family->peer, 3, &family->byte, 1);
    must(pal_submit(family->poll, &family->op) == PAL_EFORKED);
    must(pal_cancel(family->poll, &family->op) == PAL_EFORKED);
    must(pal_flush(family->poll) == PAL_EFORKED);
    must(pal_poll_native(family->poll, &native) == PAL_EFORKED || is_backend("poll"));
    must(pal_lease_reserve(family->poll, &lease, 1, 1) == PAL_EFORKED);
    must(pal_poll_close(family->poll) == 0);
}

Test(fork, an_inherited_poll_answers_eforked_and_closes)
{
    struct family family;

    family_open(&family);
    in_child(use_inherited_poll, &family);
    must(pal_sock_send(family.peer, "x", 1, 0) == 1);
    must_become_ready(family.poll, 1);
    family_close(&family);
}

static void use_inherited_sockets(void *arg)
{
    struct family *family = (struct family *)arg;
    struct pal_wait item = {family->watched, PAL_IN, 0, 0};
    char bytes[4];

    must(pal_sock_send(family->peer, "ping", 4, 0) == 4);
    must(pal_sock_wait(&item, 1, deadline_ms(5000)) == 1);
    must(pal_sock_recv(family->watched, bytes, 4, 0) == 4);
    must(memcmp(bytes, "ping", 4) == 0);
    must(pal_sock_send(family->peer, "x", 1, 0) == 1);
    must(pal_poll_close(family->poll) == 0);
    must(pal_sock_close(family->peer) == 0);
}

Test(fork, inherited_sockets_can_be_tried)
{
    struct family family;

    family_open(&family);
    in_child(use_inherited_sockets, &family);
    must_become_ready(family.poll, 1); /* by what the child has sent last */
    family_close(&family);
}

static void begin_anew(void *arg)
{
    struct family *family = (struct family *)arg;
    pal_poll *poll;
    pal_sock ends[2];

    must(pal_poll_close(family->poll) == 0);
    poll = must_open_poll(2, 0);
    must_open_unix_pair(ends);
    must(pal_watch(poll, ends[0], PAL_IN, 5) == 0);
    must(pal_watch(poll, family->watched, PAL_IN, 6) == 0); /* an inherited socket on a poll of the child's own */
    must(pal_sock_send(ends[1], "x", 1, 0) == 1);
    must_become_ready(poll, 5);
    must(pal_sock_send(family->peer, "x", 1, 0) == 1);
    must_become_ready(poll, 6);
    must(pal_poll_wake(poll) == 0);
    must(pal_watch(poll, ends[0], 0, 0) == 0);
    must(pal_watch(poll, family->watched, 0, 0) == 0);
    must(pal_poll_close(poll) == 0);
}

Test(fork, a_child_begins_anew_with_a_poll_of_its_own)
{
    struct family family;

    family_open(&family);
    in_child(begin_anew, &family);
    must_become_ready(family.poll, 1);
    family_close(&family);
}

static void close_with_ops_and_leases_out(void *arg)
{
    struct family *family = (struct family *)arg;

    must(pal_poll_close(family->poll) == 0);
    must(pal_sock_close(family->peer) == 0);
}

Test(fork, an_inherited_poll_closes_whatever_is_out)
{
    struct family family;
    struct pal_lease lease;

    family_open(&family);
    must(pal_lease_reserve(family.poll, &lease, 1, 64) == 0);
    family.op = op_recv(family.peer, 3, &family.byte, 1);
    must(pal_submit(family.poll, &family.op) == 0);
    in_child(close_with_ops_and_leases_out, &family);
    must(pal_sock_send(family.watched, "y", 1, 0) == 1);
    for (int i = 0; i < 500 && family.byte != 'y'; i++) {
        const struct pal_event *events;

        must(pal_poll_wait(family.poll, &events, deadline_ms(10)) >= 0);
    }
    cr_assert_eq(family.byte, 'y', "the parent's op died with the child");
    pal_lease_release(family.poll, &lease, 1);
    family_close(&family);
}

static void exit_at_once(void *arg)
{
    (void)arg;
}

Test(fork, a_parent_waits_on_after_many_forks)
{
    struct family family;

    family_open(&family);
    for (int i = 0; i < 20; i++) {
        in_child(i % 2 == 0 ? close_everything : exit_at_once, &family);
        must_settle(family.poll);
    }
    must(pal_sock_send(family.peer, "x", 1, 0) == 1);
    must_become_ready(family.poll, 1);
    family_close(&family);
}

static void take_a_signal_after_closing(void *arg)
{
    struct family *family = (struct family *)arg;

    must(pal_poll_close(family->poll) == 0);
    must(raise(SIGURG) == 0); /* whose default is to be ignored: the handler has to be gone with its poll */
}

Test(fork, a_watched_signal_does_not_reach_a_poll_that_the_child_closed)
{
    struct family family;

    family_open(&family);
    must(pal_signal_watch(family.poll, SIGURG, 7) == 0);
    in_child(take_a_signal_after_closing, &family);
    must(pal_signal_watch(NULL, SIGURG, 0) == 0);
    family_close(&family);
}
