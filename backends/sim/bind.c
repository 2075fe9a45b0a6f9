/* bind.c: the simulator's two worlds under the seam's names (rule 14, decision 0007): the handle's domain says whose it
 * is. What is the kernel's in either world is posix/bind_system.c's; what each function does is said in pal/. Every
 * call first sees to it that there is a world. */
#include "../bypass/lane.h"
#include "../bypass/sock.h"
#include "../common/machine.h"
#include "../common/refusal.h"
#include "../posix/kernel.h"
#include "chance.h"
#include "host.h"
#include "names.h"
#include "os.h"
#include "sock.h"
#include "strand.h"
#include "wait.h"

/* ---- os.h ---- */

int pal_setup(const struct pal_setup *setup)
{
    return pal__s_setup(setup);
}

const struct pal_backend *pal_backend_info(void)
{
    return pal__s_backend_info();
}

uint64_t pal_clock(int which)
{
    pal__s_world_need();
    return pal__s_clock(which);
}

int pal_random(void *buffer, size_t size)
{
    if (!buffer && size)
        return pal__refuse(PAL_EINVAL, "pal_random needs a buffer");
    pal__s_world_need();
    pal__s_entropy(buffer, size);
    return 0;
}

int pal_thread_start(pal_thread *out, void (*function)(void *), void *arg)
{
    pal__s_world_need();
    return pal__s_thread_start(out, function, arg);
}

int pal_thread_join(pal_thread thread)
{
    pal__s_world_need();
    return pal__s_thread_join(thread);
}

int pal_park(const uint32_t *word, uint32_t expected, uint64_t deadline_ns)
{
    pal__s_world_need();
    return pal__s_park(word, expected, deadline_ns);
}

void pal_unpark(const uint32_t *word, int count)
{
    pal__s_world_need();
    pal__s_unpark(word, count);
}

int pal_resolve(const struct pal_query *query, struct pal_addr *out, int max)
{
    pal__s_world_need();
    return pal__s_resolve(query, out, max);
}

int pal_names(int kind, const char *key, void *out, size_t size)
{
    pal__s_world_need();
    return pal__s_names(kind, key, out, size);
}

/* ---- poll.h ---- */

int pal_poll_open(pal_poll **out, const struct pal_config *config)
{
    pal__s_world_need();
    return pal__s_poll_open(out, config);
}

int pal_poll_close(pal_poll *poll)
{
    return pal__s_poll_close(poll);
}

int pal_poll_wait(pal_poll *poll, const struct pal_event **out, uint64_t deadline_ns)
{
    return pal__s_poll_wait(poll, out, deadline_ns);
}

int pal_poll_wake(pal_poll *poll)
{
    return pal__k_poll_wake(poll);
}

uint64_t pal_poll_now(pal_poll *poll)
{
    if (!poll->now_ns || poll->now_number != poll->next_number) {
        poll->now_ns = pal__s_now();
        poll->now_number = poll->next_number;
    }
    return poll->now_ns;
}

int pal_poll_native(pal_poll *poll, intptr_t *out)
{
    (void)out;
    int error = poll_enter(poll);
    return error ? error : pal__refuse(PAL_ENOTSUP, "a simulated poll has no descriptor: its time is not the system's");
}

/* A socket of another host than its poll. */
static bool is_abroad(const pal_poll *poll, pal_sock sock)
{
    return in_stack(sock) && pal__s_owner(sock) != pal__s_poll_host(poll) && slot_of(sock);
}

static int abroad(void)
{
    return pal__refuse(PAL_EINVAL, "the socket and the poll are on different hosts of the simulated world");
}

int pal_watch(pal_poll *poll, pal_sock sock, uint32_t interest, uint64_t data)
{
    if (is_abroad(poll, sock))
        return abroad();
    return pal__machine_watch(poll, sock, interest, data, ~(uint32_t)PAL_EDGE);
}

/* Worker threads are the process's, whichever host has work for them. */
int pal_submit(pal_poll *poll, struct pal_op *op)
{
    struct strand *self = pal__s_self();
    struct host *host = self->host;
    if (op->kind < PAL_OP_READ && is_abroad(poll, op->sock))
        return abroad();
    self->is_inside = true;
    if (op->kind >= PAL_OP_READ && op->kind <= PAL_OP_WORK)
        self->host = pal__s_host(0);
    int error = pal__machine_submit(poll, op);
    self->host = host;
    self->is_inside = false;
    return error;
}

int pal_flush(pal_poll *poll)
{
    int error = poll_enter(poll);
    if (!error)
        pal__s_hosts_flush();
    return error;
}

int pal_ctl(pal_poll *poll, int key, void *value, size_t size)
{
    return pal__s_ctl(poll, key, value, size);
}

/* ---- handles: each belongs to the host that its maker was on ---- */

static int owned(int error, uint64_t id, const struct host *host)
{
    if (!error)
        pal__s_own(id, host);
    return error;
}

static int two_owned(int error, const pal_sock out[2])
{
    owned(error, error ? 0 : out[0].id, pal__s_host_here());
    return owned(error, error ? 0 : out[1].id, pal__s_host_here());
}

/* ---- socket.h ---- */

static bool is_ours(int family)
{
    return family == PAL_AF_INET || family == PAL_AF_INET6;
}

int pal_sock_open(pal_poll *poll, int family, int type, int protocol, pal_sock *out)
{
    pal__s_world_need();
    struct host *host = poll ? pal__s_poll_host(poll) : pal__s_host_here();
    if (!out)
        return pal__refuse(PAL_EINVAL, "pal_sock_open needs room for the handle");
    int error = is_ours(family) ? pal__s_fault_open() : 0;
    if (error)
        return error;
    if (!is_ours(family))
        error = pal__k_sock_open(family, type, protocol, out);
    else if (!host->stack)
        return pal__refuse(PAL_ENETDOWN, "this host of the simulated world has crashed");
    else
        error = pal__b_open(host->stack, family, type, protocol, out);
    return owned(error, error ? 0 : out->id, host);
}

int pal_sock_pair(int family, int type, pal_sock out[2])
{
    pal__s_world_need();
    return two_owned(pal__k_sock_pair(family, type, out), out);
}

int pal_pipe(pal_sock out[2], uint32_t flags)
{
    pal__s_world_need();
    return two_owned(pal__k_pipe(out, flags), out);
}

int pal_sock_adopt(intptr_t native, uint32_t flags, pal_sock *out)
{
    pal__s_world_need();
    int error = pal__k_sock_adopt(native, flags, out);
    return owned(error, error ? 0 : out->id, pal__s_host_here());
}

int pal_sock_release(pal_sock sock, intptr_t *native)
{
    return in_stack(sock) ? pal__b_release(sock, native) : pal__k_sock_release(sock, native);
}

int pal_sock_dup(pal_sock sock, pal_sock *out)
{
    int error = in_stack(sock) ? pal__b_dup(sock, out) : pal__k_sock_dup(sock, out);
    return owned(error, error ? 0 : out->id, pal__s_owner(sock));
}

int pal_sock_bind(pal_sock sock, const struct pal_addr *addr)
{
    if (!in_stack(sock))
        return pal__k_sock_bind(sock, addr);
    touch(sock);
    return pal__b_bind(sock, addr);
}

int pal_sock_listen(pal_sock sock, int backlog)
{
    if (!in_stack(sock))
        return pal__k_sock_listen(sock, backlog);
    touch(sock);
    return pal__b_listen(sock, backlog);
}

int pal_sock_connect(pal_sock sock, const struct pal_addr *addr)
{
    if (!in_stack(sock))
        return pal__k_sock_connect(sock, addr);
    touch(sock);
    return pal__b_connect(sock, addr);
}

int pal_sock_accept(pal_sock sock, pal_sock *out, struct pal_addr *addr)
{
    int error = in_stack(sock) ? pal__s_fault_call(sock, false) : 0;
    if (!error && in_stack(sock) && slot_of(sock)) /* a stale handle is told so */
        error = pal__s_fault_open();
    if (error)
        return error;
    if (in_stack(sock)) {
        touch(sock);
        error = pal__b_accept(sock, out, addr);
    } else {
        error = pal__k_sock_accept(sock, out, addr);
    }
    if (error == PAL_EAGAIN)
        pal__s_breathe();
    return owned(error, error ? 0 : out->id, pal__s_owner(sock));
}

int32_t pal_sock_recv(pal_sock sock, void *buffer, size_t size, uint32_t flags)
{
    return pal__s_sock_recv(sock, buffer, size, flags);
}

int32_t pal_sock_send(pal_sock sock, const void *data, size_t size, uint32_t flags)
{
    return pal__s_sock_send(sock, data, size, flags);
}

int pal_sock_recv_msgs(pal_sock sock, struct pal_msg *msgs, int count, uint32_t flags)
{
    return pal__s_sock_recv_msgs(sock, msgs, count, flags);
}

int pal_sock_send_msgs(pal_sock sock, struct pal_msg *msgs, int count, uint32_t flags)
{
    return pal__s_sock_send_msgs(sock, msgs, count, flags);
}

int pal_sock_shutdown(pal_sock sock, int how)
{
    if (!in_stack(sock))
        return pal__k_sock_shutdown(sock, how);
    touch(sock);
    return pal__b_shutdown(sock, how);
}

int pal_sock_close(pal_sock sock)
{
    if (!in_stack(sock))
        return pal__k_sock_close(sock);
    touch(sock);
    return pal__b_close(sock);
}

int pal_sock_set(pal_sock sock, uint32_t option, const void *value, size_t size)
{
    if (!in_stack(sock))
        return pal__k_sock_set(sock, option, value, size);
    touch(sock);
    return pal__b_set(sock, option, value, size);
}

int pal_sock_get(pal_sock sock, uint32_t option, void *value, size_t *size)
{
    if (!in_stack(sock))
        return pal__k_sock_get(sock, option, value, size);
    touch(sock);
    return pal__b_get(sock, option, value, size);
}

int pal_sock_name(pal_sock sock, int which, struct pal_addr *out)
{
    return in_stack(sock) ? pal__b_name(sock, which, out) : pal__k_sock_name(sock, which, out);
}

int pal_sock_wait(struct pal_wait *items, int count, uint64_t deadline_ns)
{
    pal__s_world_need();
    return pal__s_sock_wait(items, count, deadline_ns);
}

/* ---- signal.h ---- */

int pal_signal_watch(pal_poll *poll, int signal_number, uint64_t data)
{
    return pal__s_signal_watch(poll, signal_number, data);
}

int pal_signal_ctl(int what, void *argument, size_t size)
{
    return pal__s_signal_ctl(what, argument, size);
}

/* ---- file.h ---- */

int pal_file_open(const char *path, uint32_t flags, uint32_t mode, pal_file *out)
{
    pal__s_world_need();
    int error = pal__k_file_open(path, flags, mode, out);
    return owned(error, error ? 0 : out->id, pal__s_host_here());
}

/* ---- process.h ---- */

int pal_proc_spawn(const struct pal_spawn *spec, pal_proc *out)
{
    pal__s_world_need();
    int error = pal__s_proc_spawn(spec, out);
    return owned(error, error ? 0 : out->id, pal__s_host_here());
}

int pal_proc_wait(pal_proc process, struct pal_proc_info *out, uint64_t deadline_ns)
{
    return pal__s_proc_wait(process, out, deadline_ns);
}

int pal_proc_close(pal_proc process)
{
    return pal__s_proc_close(process);
}

/* ---- what the machine asks of the backend, and not of bypass/lane.c ---- */

void pal__wait_rouse(pal_poll *poll)
{
    pal__s_poll_roused(poll);
}

int32_t pal__slot_sendfile(struct slot *slot, const struct pal_op *op, uint64_t offset, uint64_t size)
{
    if (in_stack(op->sock))
        touch(op->sock);
    return pal__b_slot_sendfile(slot, op, offset, size);
}
