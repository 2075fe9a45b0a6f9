/* bind_system.c: those of the kernel's functions that are the seam's as they are in every backend on this system, also
 * in one that has a second world beside the kernel (decisions 0007 and 0023): files, maps, signals, contexts; and
 * leases and cancelling, which go through the seam's own calls. What each function does is said in pal/. */
#include "../common/context.h"
#include "../common/lease.h"
#include "../common/machine.h"
#include "../common/refusal.h"
#include "kernel.h"

/* ---- os.h ---- */

int pal_info(int key, uint64_t *value)
{
    return pal__k_info(key, value);
}

int32_t pal_native_error(void)
{
    return pal__refusal.native;
}

const char *pal_reason(void)
{
    return pal__refusal.reason ? pal__refusal.reason : "";
}

_Noreturn void pal_fatal(const char *why)
{
    pal__k_fatal(why);
}

/* ---- poll.h ---- */

int pal_cancel(pal_poll *poll, struct pal_op *op)
{
    return pal__machine_cancel(poll, op);
}

/* ---- lease.h ---- */

int pal_lease_recv(pal_sock sock, struct pal_lease *out, int max)
{
    return pal__lease_recv(sock, out, max);
}

int pal_lease_reserve(pal_poll *poll, struct pal_lease *out, int count, uint32_t size)
{
    return pal__lease_reserve(poll, out, count, size);
}

int pal_lease_send(pal_sock sock, struct pal_lease *leases, int count)
{
    return pal__lease_send(sock, leases, count);
}

void pal_lease_release(pal_poll *poll, const struct pal_lease *leases, int count)
{
    pal__lease_release(poll, leases, count);
}

/* ---- signal.h ---- */

int pal_signal_mask(int how, const uint64_t *set, uint64_t *old)
{
    return pal__k_signal_mask(how, set, old);
}

/* ---- file.h ---- */

int pal_file_close(pal_file file)
{
    return pal__k_file_close(file);
}

int32_t pal_file_read(pal_file file, void *buffer, size_t size, uint64_t offset)
{
    return pal__k_file_read(file, buffer, size, offset);
}

int32_t pal_file_write(pal_file file, const void *data, size_t size, uint64_t offset)
{
    return pal__k_file_write(file, data, size, offset);
}

int pal_file_sync(pal_file file, int what)
{
    return pal__k_file_sync(file, what);
}

int pal_file_resize(pal_file file, uint64_t size)
{
    return pal__k_file_resize(file, size);
}

int pal_file_info(pal_file file, struct pal_file_info *out)
{
    return pal__k_file_info(file, out);
}

/* ---- process.h ---- */

int pal_proc_watch(pal_poll *poll, pal_proc process, uint64_t data)
{
    return pal__k_proc_watch(poll, process, data);
}

int pal_proc_kill(pal_proc process, int signal_number)
{
    return pal__k_proc_kill(process, signal_number);
}

/* ---- mmap.h ---- */

int pal_mmap(const struct pal_map *spec, void **out)
{
    return pal__k_mmap(spec, out);
}

int pal_munmap(void *address, size_t size)
{
    return pal__k_munmap(address, size);
}

int pal_mmap_unlink(const char *name)
{
    return pal__k_mmap_unlink(name);
}

int pal_mprotect(void *address, size_t size, uint32_t protect)
{
    return pal__k_mprotect(address, size, protect);
}

int pal_msync(void *address, size_t size, int how)
{
    return pal__k_msync(address, size, how);
}

int pal_madvise(void *address, size_t size, int advice)
{
    return pal__k_madvise(address, size, advice);
}

int pal_mremap(void **address, size_t old_size, size_t new_size)
{
    return pal__k_mremap(address, old_size, new_size);
}

/* ---- context.h ---- */

int pal_context_make(struct pal_context *out, void *stack, size_t size, void (*function)(void *), void *arg)
{
    return pal__context_make(out, stack, size, function, arg);
}

void pal_context_switch(struct pal_context *from, struct pal_context *to)
{
    pal__context_switch(from, to);
}

void pal_context_forget(struct pal_context *context)
{
    pal__context_forget(context);
}

/* ---- what the machine asks of the backend: common/machine.h ---- */

int pal__child_ended(struct slot *slot, int32_t *result)
{
    return pal__k_child_ended(slot, result);
}
