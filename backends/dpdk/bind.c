/* bind.c: the card's two worlds under the seam's names (rule 14, decision 0007): the handle's domain says whose it is.
 * What is the kernel's in either world is posix/bind_system.c's; what each function does is said in pal/.
 *
 * A stack belongs to one thread (share-nothing): its sockets answer PAL_EOTHERTHREAD to every other. */
#include "../bypass/lane.h"
#include "../bypass/ring.h"
#include "../bypass/sock.h"
#include "../common/machine.h"
#include "../common/refusal.h"
#include "../posix/deadline.h"
#include "../posix/kernel.h"
#include "../posix/try.h"
#include "../posix/wait.h"
#include "card.h"
#include "os.h"
#include "wait.h"

/* ---- os.h ---- */

int pal_setup(const struct pal_setup *setup)
{
    return pal__d_setup(setup);
}

const struct pal_backend *pal_backend_info(void)
{
    return pal__d_backend_info();
}

uint64_t pal_clock(int which)
{
    return pal__k_clock(which);
}

int pal_random(void *buffer, size_t size)
{
    return pal__k_random(buffer, size);
}

int pal_thread_start(pal_thread *out, void (*function)(void *), void *arg)
{
    return pal__k_thread_start(out, function, arg);
}

int pal_thread_join(pal_thread thread)
{
    return pal__k_thread_join(thread);
}

int pal_park(const uint32_t *word, uint32_t expected, uint64_t deadline_ns)
{
    return pal__k_park(word, expected, deadline_ns);
}

void pal_unpark(const uint32_t *word, int count)
{
    pal__k_unpark(word, count);
}

int pal_resolve(const struct pal_query *query, struct pal_addr *out, int max)
{
    return pal__k_resolve(query, out, max);
}

int pal_names(int kind, const char *key, void *out, size_t size)
{
    return pal__d_names(kind, key, out, size);
}

/* ---- poll.h ---- */

int pal_poll_open(pal_poll **out, const struct pal_config *config)
{
    return pal__d_poll_open(out, config);
}

int pal_poll_close(pal_poll *poll)
{
    return pal__d_poll_close(poll);
}

int pal_poll_wait(pal_poll *poll, const struct pal_event **out, uint64_t deadline_ns)
{
    return pal__d_poll_wait(poll, out, deadline_ns);
}

int pal_poll_wake(pal_poll *poll)
{
    return pal__k_poll_wake(poll);
}

uint64_t pal_poll_now(pal_poll *poll)
{
    if (!poll->now_ns || poll->now_number != poll->next_number) {
        poll->now_ns = monotonic_ns();
        poll->now_number = poll->next_number;
    }
    return poll->now_ns;
}

int pal_poll_native(pal_poll *poll, intptr_t *out)
{
    (void)out;
    int error = poll_enter(poll);
    return error ? error
                 : pal__refuse(PAL_ENOTSUP, "a card's poll has no descriptor: its queues are looked at by its waits");
}

/* The calling thread's stack is this socket's; stale handles are the callee's affair. */
static bool is_here(pal_sock sock)
{
    const struct sock *of = pal__b_socks[sock.id & SLOT_MASK];
    const struct home *home = pal__d_home_here();
    return LIKELY(!of || (home && of->stack == home->stack)) || !slot_of(sock);
}

static int elsewhere(void)
{
    if (pal__d_card_is_parents())
        return pal__d_card_forked();
    return pal__refuse(PAL_EOTHERTHREAD, "this socket lives on the stack of another thread, which alone may use it");
}

int pal_watch(pal_poll *poll, pal_sock sock, uint32_t interest, uint64_t data)
{
    if (in_stack(sock) && !is_here(sock))
        return elsewhere();
    return pal__machine_watch(poll, sock, interest, data, ~(uint32_t)PAL_EDGE);
}

int pal_submit(pal_poll *poll, struct pal_op *op)
{
    if (op->kind < PAL_OP_READ && in_stack(op->sock) && !is_here(op->sock))
        return elsewhere();
    return pal__machine_submit(poll, op);
}

int pal_flush(pal_poll *poll)
{
    return pal__d_flush(poll);
}

int pal_ctl(pal_poll *poll, int key, void *value, size_t size)
{
    return pal__d_ctl(poll, key, value, size);
}

/* ---- socket.h ---- */

int pal_sock_open(pal_poll *poll, int family, int type, int protocol, pal_sock *out)
{
    int error;
    if (family != PAL_AF_INET && family != PAL_AF_INET6)
        return pal__k_sock_open(family, type, protocol, out);
    if (poll && (error = poll_enter(poll)))
        return error;
    const struct home *home = pal__d_home(&error);
    return home ? pal__b_open(home->stack, family, type, protocol, out) : error;
}

int pal_sock_pair(int family, int type, pal_sock out[2])
{
    return pal__k_sock_pair(family, type, out);
}

int pal_pipe(pal_sock out[2], uint32_t flags)
{
    return pal__k_pipe(out, flags);
}

int pal_sock_adopt(intptr_t native, uint32_t flags, pal_sock *out)
{
    return pal__k_sock_adopt(native, flags, out);
}

/* Whose it is: the kernel's, the stack's of this thread, or that of another, which is told. */
#define OF_EITHER_WORLD(sock, kernels, stacks)                                                                         \
    do {                                                                                                               \
        if (!in_stack(sock))                                                                                           \
            return (kernels);                                                                                          \
        return is_here(sock) ? (stacks) : elsewhere();                                                                 \
    } while (0)

int pal_sock_release(pal_sock sock, intptr_t *native)
{
    OF_EITHER_WORLD(sock, pal__k_sock_release(sock, native), pal__b_release(sock, native));
}

int pal_sock_dup(pal_sock sock, pal_sock *out)
{
    OF_EITHER_WORLD(sock, pal__k_sock_dup(sock, out), pal__b_dup(sock, out));
}

int pal_sock_bind(pal_sock sock, const struct pal_addr *addr)
{
    OF_EITHER_WORLD(sock, pal__k_sock_bind(sock, addr), pal__b_bind(sock, addr));
}

int pal_sock_listen(pal_sock sock, int backlog)
{
    OF_EITHER_WORLD(sock, pal__k_sock_listen(sock, backlog), pal__b_listen(sock, backlog));
}

int pal_sock_connect(pal_sock sock, const struct pal_addr *addr)
{
    OF_EITHER_WORLD(sock, pal__k_sock_connect(sock, addr), pal__b_connect(sock, addr));
}

int pal_sock_accept(pal_sock sock, pal_sock *out, struct pal_addr *addr)
{
    if (!in_stack(sock))
        return pal__k_sock_accept(sock, out, addr);
    if (UNLIKELY(!is_here(sock)))
        return elsewhere();
    int result;
    do
        result = pal__b_accept(sock, out, addr);
    while (UNLIKELY(result == PAL_EAGAIN && pal__d_try_again()));
    return result;
}

int pal_sock_shutdown(pal_sock sock, int how)
{
    OF_EITHER_WORLD(sock, pal__k_sock_shutdown(sock, how), pal__b_shutdown(sock, how));
}

/* In a child of fork the handle ends, and nothing else does (rule 17). */
static int close_inherited(pal_sock sock)
{
    struct slot *slot = slot_of(sock);
    slot_abandon(slot);
    pal__b_ring_leave(slot);
    return 0;
}

int pal_sock_close(pal_sock sock)
{
    if (UNLIKELY(in_stack(sock) && pal__d_card_is_parents() && slot_of(sock)))
        return close_inherited(sock);
    OF_EITHER_WORLD(sock, pal__k_sock_close(sock), pal__b_close(sock));
}

int pal_sock_set(pal_sock sock, uint32_t option, const void *value, size_t size)
{
    OF_EITHER_WORLD(sock, pal__k_sock_set(sock, option, value, size), pal__b_set(sock, option, value, size));
}

int pal_sock_get(pal_sock sock, uint32_t option, void *value, size_t *size)
{
    if (option == PAL_SO_PATH && in_stack(sock) && is_here(sock) && pal__d_home_here())
        return pal__d_card_path(pal__d_home_here(), sock, value, size);
    OF_EITHER_WORLD(sock, pal__k_sock_get(sock, option, value, size), pal__b_get(sock, option, value, size));
}

int pal_sock_name(pal_sock sock, int which, struct pal_addr *out)
{
    OF_EITHER_WORLD(sock, pal__k_sock_name(sock, which, out), pal__b_name(sock, which, out));
}

/* Waits in the place of the stack, which does not, if it may: true to try again, false to return the result. */
static bool waits(pal_sock sock, uint16_t interest, int32_t *result, uint32_t flags)
{
    struct pal_wait item = {.sock = sock, .interest = interest};
    if (*result != PAL_EAGAIN)
        return false;
    if (!(flags & PAL_MSG_WAIT))
        return pal__d_try_again();
    int ready = pal__d_sock_wait(&item, 1, UINT64_MAX);
    if (ready < 0)
        *result = ready;
    return ready >= 0;
}

int32_t pal_sock_recv(pal_sock sock, void *buffer, size_t size, uint32_t flags)
{
    if (!in_stack(sock))
        return pal__k_sock_recv(sock, buffer, size, flags);
    if (UNLIKELY(!is_here(sock)))
        return elsewhere();
    int32_t result;
    do
        result = pal__b_recv(sock, buffer, size, flags & ~(uint32_t)PAL_MSG_WAIT);
    while (UNLIKELY(waits(sock, PAL_IN, &result, flags)));
    return result;
}

int32_t pal_sock_send(pal_sock sock, const void *data, size_t size, uint32_t flags)
{
    if (!in_stack(sock))
        return pal__k_sock_send(sock, data, size, flags);
    if (UNLIKELY(!is_here(sock)))
        return elsewhere();
    int32_t result;
    do
        result = pal__b_send(sock, data, size, flags & ~(uint32_t)PAL_MSG_WAIT);
    while (UNLIKELY(waits(sock, PAL_OUT, &result, flags)));
    return result;
}

/* The stack's clock is the monotonic one; what a program is told is on the other. */
static void stamp(struct pal_msg *msgs, int count)
{
    for (int i = 0; i < count; i++)
        if (msgs[i].have & PAL_META_TIME && msgs[i].stamp.system_ns)
            msgs[i].stamp.system_ns += pal__k_clock(PAL_CLOCK_REAL) - monotonic_ns();
}

int pal_sock_recv_msgs(pal_sock sock, struct pal_msg *msgs, int count, uint32_t flags)
{
    if (!in_stack(sock))
        return pal__k_sock_recv_msgs(sock, msgs, count, flags);
    if (UNLIKELY(!is_here(sock)))
        return elsewhere();
    int32_t result;
    do
        result = pal__b_recv_msgs(sock, msgs, count, flags & ~(uint32_t)PAL_MSG_WAIT);
    while (UNLIKELY(waits(sock, PAL_IN, &result, flags)));
    stamp(msgs, result);
    return result;
}

int pal_sock_send_msgs(pal_sock sock, struct pal_msg *msgs, int count, uint32_t flags)
{
    if (!in_stack(sock))
        return pal__k_sock_send_msgs(sock, msgs, count, flags);
    if (UNLIKELY(!is_here(sock)))
        return elsewhere();
    int32_t result;
    do
        result = pal__b_send_msgs(sock, msgs, count, flags & ~(uint32_t)PAL_MSG_WAIT);
    while (UNLIKELY(waits(sock, PAL_OUT, &result, flags)));
    return result;
}

int pal_sock_wait(struct pal_wait *items, int count, uint64_t deadline_ns)
{
    for (int i = 0; items && i < count && count <= UINT16_MAX + 1; i++)
        if (in_stack(items[i].sock) && !is_here(items[i].sock))
            return elsewhere();
    return pal__d_sock_wait(items, count, deadline_ns);
}

/* ---- signal.h ---- */

int pal_signal_watch(pal_poll *poll, int signal_number, uint64_t data)
{
    return pal__k_signal_watch(poll, signal_number, data);
}

int pal_signal_ctl(int what, void *argument, size_t size)
{
    return pal__k_signal_ctl(what, argument, size);
}

/* ---- file.h, process.h ---- */

int pal_file_open(const char *path, uint32_t flags, uint32_t mode, pal_file *out)
{
    return pal__k_file_open(path, flags, mode, out);
}

int pal_proc_spawn(const struct pal_spawn *spec, pal_proc *out)
{
    return pal__k_proc_spawn(spec, out);
}

int pal_proc_wait(pal_proc process, struct pal_proc_info *out, uint64_t deadline_ns)
{
    return pal__k_proc_wait(process, out, deadline_ns);
}

int pal_proc_close(pal_proc process)
{
    return pal__k_proc_close(process);
}

/* ---- what the machine asks of the backend, and not of bypass/lane.c ---- */

void pal__wait_rouse(pal_poll *poll)
{
    pal__k_wait_rouse(poll);
}

int32_t pal__slot_sendfile(struct slot *slot, const struct pal_op *op, uint64_t offset, uint64_t size)
{
    return pal__b_slot_sendfile(slot, op, offset, size);
}
