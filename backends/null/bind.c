/* backends/null/bind.c: the null backend: every symbol of pal/pal.symbols, every body aborts.
 *
 * It proves that the seam is stated in full: it is written against pal/ alone, with no header of the C library and none
 * of an operating system, so whatever a backend must provide is in those headers or does not exist. It is where a new
 * backend starts (copy, then fill in), and what a program is linked against to show that it links. It upholds rule 20
 * of docs/seam.md and, on purpose, no other. */
#include <pal/pal.h>

#include "stop.h"

/* No body looks at what it is given. */
#pragma GCC diagnostic ignored "-Wunused-parameter"

/* ---- pal/os.h ---- */

int pal_setup(const struct pal_setup *setup)
{
    pal__null_stop(__func__);
}

const struct pal_backend *pal_backend_info(void)
{
    pal__null_stop(__func__);
}

int pal_info(int key, uint64_t *value)
{
    pal__null_stop(__func__);
}

int32_t pal_native_error(void)
{
    pal__null_stop(__func__);
}

const char *pal_reason(void)
{
    pal__null_stop(__func__);
}

uint64_t pal_clock(int which)
{
    pal__null_stop(__func__);
}

int pal_random(void *buffer, size_t size)
{
    pal__null_stop(__func__);
}

int pal_thread_start(pal_thread *out, void (*function)(void *), void *arg)
{
    pal__null_stop(__func__);
}

int pal_thread_join(pal_thread thread)
{
    pal__null_stop(__func__);
}

int pal_park(const uint32_t *word, uint32_t expected, uint64_t deadline_ns)
{
    pal__null_stop(__func__);
}

void pal_unpark(const uint32_t *word, int count)
{
    pal__null_stop(__func__);
}

int pal_resolve(const struct pal_query *query, struct pal_addr *out, int max)
{
    pal__null_stop(__func__);
}

int pal_names(int kind, const char *key, void *out, size_t size)
{
    pal__null_stop(__func__);
}

PAL_NORETURN void pal_fatal(const char *why)
{
    pal__null_stop(__func__);
}

/* ---- pal/poll.h ---- */

int pal_poll_open(pal_poll **out, const struct pal_config *config)
{
    pal__null_stop(__func__);
}

int pal_poll_close(pal_poll *poll)
{
    pal__null_stop(__func__);
}

int pal_poll_wait(pal_poll *poll, const struct pal_event **out, uint64_t deadline_ns)
{
    pal__null_stop(__func__);
}

int pal_poll_wake(pal_poll *poll)
{
    pal__null_stop(__func__);
}

uint64_t pal_poll_now(pal_poll *poll)
{
    pal__null_stop(__func__);
}

int pal_poll_native(pal_poll *poll, intptr_t *out)
{
    pal__null_stop(__func__);
}

int pal_watch(pal_poll *poll, pal_sock sock, uint32_t interest, uint64_t data)
{
    pal__null_stop(__func__);
}

int pal_submit(pal_poll *poll, struct pal_op *op)
{
    pal__null_stop(__func__);
}

int pal_cancel(pal_poll *poll, struct pal_op *op)
{
    pal__null_stop(__func__);
}

int pal_flush(pal_poll *poll)
{
    pal__null_stop(__func__);
}

int pal_ctl(pal_poll *poll, int key, void *value, size_t size)
{
    pal__null_stop(__func__);
}

/* ---- pal/socket.h ---- */

int pal_sock_open(pal_poll *poll, int family, int type, int protocol, pal_sock *out)
{
    pal__null_stop(__func__);
}

int pal_sock_pair(int family, int type, pal_sock out[2])
{
    pal__null_stop(__func__);
}

int pal_pipe(pal_sock out[2], uint32_t flags)
{
    pal__null_stop(__func__);
}

int pal_sock_adopt(intptr_t native, uint32_t flags, pal_sock *out)
{
    pal__null_stop(__func__);
}

int pal_sock_release(pal_sock sock, intptr_t *native)
{
    pal__null_stop(__func__);
}

int pal_sock_dup(pal_sock sock, pal_sock *out)
{
    pal__null_stop(__func__);
}

int pal_sock_bind(pal_sock sock, const struct pal_addr *addr)
{
    pal__null_stop(__func__);
}

int pal_sock_listen(pal_sock sock, int backlog)
{
    pal__null_stop(__func__);
}

int pal_sock_connect(pal_sock sock, const struct pal_addr *addr)
{
    pal__null_stop(__func__);
}

int pal_sock_accept(pal_sock sock, pal_sock *out, struct pal_addr *addr)
{
    pal__null_stop(__func__);
}

int32_t pal_sock_recv(pal_sock sock, void *buffer, size_t size, uint32_t flags)
{
    pal__null_stop(__func__);
}

int32_t pal_sock_send(pal_sock sock, const void *data, size_t size, uint32_t flags)
{
    pal__null_stop(__func__);
}

int pal_sock_recv_msgs(pal_sock sock, struct pal_msg *msgs, int count, uint32_t flags)
{
    pal__null_stop(__func__);
}

int pal_sock_send_msgs(pal_sock sock, struct pal_msg *msgs, int count, uint32_t flags)
{
    pal__null_stop(__func__);
}

int pal_sock_shutdown(pal_sock sock, int how)
{
    pal__null_stop(__func__);
}

int pal_sock_close(pal_sock sock)
{
    pal__null_stop(__func__);
}

int pal_sock_set(pal_sock sock, uint32_t option, const void *value, size_t size)
{
    pal__null_stop(__func__);
}

int pal_sock_get(pal_sock sock, uint32_t option, void *value, size_t *size)
{
    pal__null_stop(__func__);
}

int pal_sock_name(pal_sock sock, int which, struct pal_addr *out)
{
    pal__null_stop(__func__);
}

int pal_sock_wait(struct pal_wait *items, int count, uint64_t deadline_ns)
{
    pal__null_stop(__func__);
}

/* ---- pal/lease.h ---- */

int pal_lease_recv(pal_sock sock, struct pal_lease *out, int max)
{
    pal__null_stop(__func__);
}

int pal_lease_reserve(pal_poll *poll, struct pal_lease *out, int count, uint32_t size)
{
    pal__null_stop(__func__);
}

int pal_lease_send(pal_sock sock, struct pal_lease *leases, int count)
{
    pal__null_stop(__func__);
}

void pal_lease_release(pal_poll *poll, const struct pal_lease *leases, int count)
{
    pal__null_stop(__func__);
}

/* ---- pal/file.h ---- */

int pal_file_open(const char *path, uint32_t flags, uint32_t mode, pal_file *out)
{
    pal__null_stop(__func__);
}

int pal_file_close(pal_file file)
{
    pal__null_stop(__func__);
}

int32_t pal_file_read(pal_file file, void *buffer, size_t size, uint64_t offset)
{
    pal__null_stop(__func__);
}

int32_t pal_file_write(pal_file file, const void *data, size_t size, uint64_t offset)
{
    pal__null_stop(__func__);
}

int pal_file_sync(pal_file file, int what)
{
    pal__null_stop(__func__);
}

int pal_file_resize(pal_file file, uint64_t size)
{
    pal__null_stop(__func__);
}

int pal_file_info(pal_file file, struct pal_file_info *out)
{
    pal__null_stop(__func__);
}

/* ---- pal/process.h ---- */

int pal_proc_spawn(const struct pal_spawn *spec, pal_proc *out)
{
    pal__null_stop(__func__);
}

int pal_proc_watch(pal_poll *poll, pal_proc process, uint64_t data)
{
    pal__null_stop(__func__);
}

int pal_proc_wait(pal_proc process, struct pal_proc_info *out, uint64_t deadline_ns)
{
    pal__null_stop(__func__);
}

int pal_proc_kill(pal_proc process, int signal_number)
{
    pal__null_stop(__func__);
}

int pal_proc_close(pal_proc process)
{
    pal__null_stop(__func__);
}

/* ---- pal/signal.h ---- */

int pal_signal_watch(pal_poll *poll, int signal_number, uint64_t data)
{
    pal__null_stop(__func__);
}

int pal_signal_mask(int how, const uint64_t *set, uint64_t *old)
{
    pal__null_stop(__func__);
}

int pal_signal_ctl(int what, void *argument, size_t size)
{
    pal__null_stop(__func__);
}

/* ---- pal/mmap.h ---- */

int pal_mmap(const struct pal_map *spec, void **out)
{
    pal__null_stop(__func__);
}

int pal_munmap(void *address, size_t size)
{
    pal__null_stop(__func__);
}

int pal_mmap_unlink(const char *name)
{
    pal__null_stop(__func__);
}

int pal_mprotect(void *address, size_t size, uint32_t protect)
{
    pal__null_stop(__func__);
}

int pal_msync(void *address, size_t size, int how)
{
    pal__null_stop(__func__);
}

int pal_madvise(void *address, size_t size, int advice)
{
    pal__null_stop(__func__);
}

int pal_mremap(void **address, size_t old_size, size_t new_size)
{
    pal__null_stop(__func__);
}

/* ---- pal/context.h ---- */

int pal_context_make(struct pal_context *out, void *stack, size_t size, void (*function)(void *), void *arg)
{
    pal__null_stop(__func__);
}

void pal_context_switch(struct pal_context *from, struct pal_context *to)
{
    pal__null_stop(__func__);
}

void pal_context_forget(struct pal_context *context)
{
    pal__null_stop(__func__);
}
