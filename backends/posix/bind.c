/* bind.c: where the kernel is the whole backend, its internal names become the seam's. Every wait target links this
 * file; a card or the simulator has a bind.c of its own (decision 0007). What is the same in all of them is
 * bind_system.c's. What each function does is said in pal/. */
#include "../common/machine.h"
#include "../common/refusal.h"
#include "deadline.h"
#include "kernel.h"
#include "try.h"

/* In C11 an inline function whose header declares it without inline is still defined here for everybody; to GCC it says
 * that a merged link should inline it. */
#if defined(__GNUC__) && !defined(__clang__)
#define INLINE_IF_MERGED inline
#else
#define INLINE_IF_MERGED
#endif

/* ---- os.h ---- */

int pal_setup(const struct pal_setup *setup)
{
    return pal__k_setup(setup);
}

const struct pal_backend *pal_backend_info(void)
{
    return pal__k_backend_info();
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
    return pal__k_names(kind, key, out, size);
}

/* ---- poll.h ---- */

int pal_poll_open(pal_poll **out, const struct pal_config *config)
{
    return pal__k_poll_open(out, config);
}

int pal_poll_close(pal_poll *poll)
{
    return pal__k_poll_close(poll);
}

int pal_poll_wait(pal_poll *poll, const struct pal_event **out, uint64_t deadline_ns)
{
    return pal__k_poll_wait(poll, out, deadline_ns);
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
    return pal__k_poll_native(poll, out);
}

int pal_watch(pal_poll *poll, pal_sock sock, uint32_t interest, uint64_t data)
{
    return pal__k_watch(poll, sock, interest, data);
}

int pal_submit(pal_poll *poll, struct pal_op *op)
{
    return pal__machine_submit(poll, op);
}

int pal_flush(pal_poll *poll)
{
    return poll_enter(poll); /* nothing is held back */
}

int pal_ctl(pal_poll *poll, int key, void *value, size_t size)
{
    return pal__k_ctl(poll, key, value, size);
}

/* ---- socket.h ---- */

int pal_sock_open(pal_poll *poll, int family, int type, int protocol, pal_sock *out)
{
    (void)poll; /* all polls have the one kernel */
    return pal__k_sock_open(family, type, protocol, out);
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

int pal_sock_release(pal_sock sock, intptr_t *native)
{
    return pal__k_sock_release(sock, native);
}

int pal_sock_dup(pal_sock sock, pal_sock *out)
{
    return pal__k_sock_dup(sock, out);
}

int pal_sock_bind(pal_sock sock, const struct pal_addr *addr)
{
    return pal__k_sock_bind(sock, addr);
}

int pal_sock_listen(pal_sock sock, int backlog)
{
    return pal__k_sock_listen(sock, backlog);
}

int pal_sock_connect(pal_sock sock, const struct pal_addr *addr)
{
    return pal__k_sock_connect(sock, addr);
}

int pal_sock_accept(pal_sock sock, pal_sock *out, struct pal_addr *addr)
{
    return pal__k_sock_accept(sock, out, addr);
}

INLINE_IF_MERGED int32_t pal_sock_recv(pal_sock sock, void *buffer, size_t size, uint32_t flags)
{
    return pal__k_sock_recv(sock, buffer, size, flags);
}

INLINE_IF_MERGED int32_t pal_sock_send(pal_sock sock, const void *data, size_t size, uint32_t flags)
{
    return pal__k_sock_send(sock, data, size, flags);
}

INLINE_IF_MERGED int pal_sock_recv_msgs(pal_sock sock, struct pal_msg *msgs, int count, uint32_t flags)
{
    return pal__k_sock_recv_msgs(sock, msgs, count, flags);
}

INLINE_IF_MERGED int pal_sock_send_msgs(pal_sock sock, struct pal_msg *msgs, int count, uint32_t flags)
{
    return pal__k_sock_send_msgs(sock, msgs, count, flags);
}

int pal_sock_shutdown(pal_sock sock, int how)
{
    return pal__k_sock_shutdown(sock, how);
}

int pal_sock_close(pal_sock sock)
{
    return pal__k_sock_close(sock);
}

int pal_sock_set(pal_sock sock, uint32_t option, const void *value, size_t size)
{
    return pal__k_sock_set(sock, option, value, size);
}

int pal_sock_get(pal_sock sock, uint32_t option, void *value, size_t *size)
{
    return pal__k_sock_get(sock, option, value, size);
}

int pal_sock_name(pal_sock sock, int which, struct pal_addr *out)
{
    return pal__k_sock_name(sock, which, out);
}

int pal_sock_wait(struct pal_wait *items, int count, uint64_t deadline_ns)
{
    return pal__k_sock_wait(items, count, deadline_ns);
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

/* ---- file.h ---- */

int pal_file_open(const char *path, uint32_t flags, uint32_t mode, pal_file *out)
{
    return pal__k_file_open(path, flags, mode, out);
}

/* ---- process.h ---- */

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

/* ---- what the machine asks of the backend: common/machine.h, common/poll_state.h ---- */

int pal__wait_update(pal_poll *poll, struct slot *slot, uint32_t want)
{
    return pal__k_wait_update(poll, slot, want);
}

void pal__wait_trim(pal_poll *poll, struct slot *slot)
{
    pal__k_wait_trim(poll, slot);
}

void pal__wait_forget(pal_poll *poll, struct slot *slot)
{
    pal__k_wait_forget(poll, slot);
}

void pal__wait_rouse(pal_poll *poll)
{
    pal__k_wait_rouse(poll);
}

void pal__slot_refresh(struct slot *slot)
{
    pal__k_slot_refresh(slot);
}

int32_t pal__slot_sendfile(struct slot *slot, const struct pal_op *op, uint64_t offset, uint64_t size)
{
    return pal__k_slot_sendfile(slot, op, offset, size);
}
