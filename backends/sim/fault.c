/* fault.c: calls that fail though they need not, or do less than they could, by chance. See host.h. */
#include "../bypass/sock.h"
#include "../common/refusal.h"
#include "../netstack/tcp.h"
#include "chance.h"
#include "host.h"
#include "strand.h"
#include "trace.h"

enum { MILLION = 1000000 };
enum { FAULT_SHORT = 100, FAULT_AGAIN, FAULT_NO_MEMORY, FAULT_NO_HANDLE, FAULT_RESET, FAULT_STALL }; /* in the trace */

static struct pal_sim_faults faults;
static struct pal_sim_counters counters;
static bool any;

void pal__s_fault_begin(void)
{
    counters = (struct pal_sim_counters){0};
    faults = (struct pal_sim_faults){0};
    any = false;
}

int pal__s_fault_check(const struct pal_sim_faults *wanted)
{
    const uint32_t ppm[] = {wanted->short_ppm,     wanted->again_ppm, wanted->no_memory_ppm,
                            wanted->no_handle_ppm, wanted->reset_ppm, wanted->stall_ppm};
    for (size_t i = 0; i < sizeof ppm / sizeof *ppm; i++)
        if (ppm[i] > MILLION)
            return pal__refuse(PAL_EINVAL, "a fault of calls is to happen more than 1,000,000 times in a million");
    return 0;
}

void pal__s_fault_set(const struct pal_sim_faults *fresh)
{
    faults = *fresh;
    any = (faults.short_ppm | faults.again_ppm | faults.no_memory_ppm | faults.no_handle_ppm | faults.reset_ppm |
           faults.stall_ppm) != 0;
}

void pal__s_fault_counters(struct pal_sim_counters *out)
{
    out->short_calls = counters.short_calls;
    out->again = counters.again;
    out->no_memory = counters.no_memory;
    out->no_handle = counters.no_handle;
    out->resets = counters.resets;
    out->stalls = counters.stalls;
}

static bool strikes(uint32_t ppm, uint64_t *count, uint64_t what)
{
    if (!pal__s_happens(ppm))
        return false;
    ++*count;
    pal__s_trace(TRACE_FAULT, what, pal__s_host_here()->number);
    return true;
}

int pal__s_fault_open(void)
{
    if (LIKELY(!any))
        return 0;
    if (strikes(faults.no_handle_ppm, &counters.no_handle, FAULT_NO_HANDLE))
        return pal__refuse(PAL_EMFILE, "the simulator has it that there is no descriptor left");
    if (strikes(faults.no_memory_ppm, &counters.no_memory, FAULT_NO_MEMORY))
        return pal__refuse(PAL_ENOBUFS, "the simulator has it that there is no memory left");
    return 0;
}

/* A connection that is open is reset at this end, and the peer is told so. */
static bool reset(pal_sock sock)
{
    struct slot *slot = slot_of(sock);
    if (!slot || slot->type != PAL_SOCK_STREAM)
        return false;
    struct tcb *tcb = (struct tcb *)(void *)sock_of(slot);
    if (tcb->state != TCP_ESTABLISHED && tcb->state != TCP_CLOSE_WAIT)
        return false;
    if (!strikes(faults.reset_ppm, &counters.resets, FAULT_RESET))
        return false;
    pal__s_host_touch(pal__s_owner(sock));
    pal__n_tcb_abort(tcb, PAL_ECONNRESET, true);
    return true;
}

int pal__s_fault_call(pal_sock sock, bool sends)
{
    if (LIKELY(!any) || !slot_of(sock)) /* a stale handle is told so, whatever else goes wrong */
        return 0;
    if (strikes(faults.again_ppm, &counters.again, FAULT_AGAIN))
        return PAL_EAGAIN;
    if (sends && strikes(faults.no_memory_ppm, &counters.no_memory, FAULT_NO_MEMORY))
        return pal__refuse(PAL_ENOBUFS, "the simulator has it that there is no memory left");
    if (faults.reset_ppm)
        reset(sock); /* and the call finds out */
    return 0;
}

size_t pal__s_fault_size(pal_sock sock, size_t size)
{
    if (LIKELY(!any) || size < 2)
        return size;
    const struct slot *slot = slot_of(sock);
    if (!slot || slot->type != PAL_SOCK_STREAM || !strikes(faults.short_ppm, &counters.short_calls, FAULT_SHORT))
        return size;
    return (size_t)pal__s_between(1, size - 1);
}

void pal__s_fault_stall(void)
{
    if (LIKELY(!any) || !strikes(faults.stall_ppm, &counters.stalls, FAULT_STALL))
        return;
    uint64_t late_ns = pal__s_between(1, faults.stall_max_ns ? faults.stall_max_ns : 1);
    pal__s_wait(&(struct waiting){.what = "a stall to end", .deadline_ns = pal__s_after(late_ns)});
}
