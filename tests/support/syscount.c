/*
 * syscount.h by ptrace. Three processes: the caller, a tracer, and the traced body. The tracer is a process of its own
 * so that it may wait for any child (a new thread can stop before its creator's clone event arrives) without reaping
 * children of the caller. Results come back in a shared mapping.
 */
#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif

#include "support/syscount.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* A marker is prctl(MARKER, MARKER_CHECK, edge): harmless (EINVAL) when nobody traces. */
enum { MARKER = 0x70616c69, MARKER_CHECK = 0x6f746573, EDGE_BEGIN = 1, EDGE_END = 2 };

enum { STOP_SYSCALL = SIGTRAP | 0x80 };

struct trace {
    struct syscount count;
    bool not_permitted;
    bool is_counting;
    unsigned regions_closed;
    bool body_returned;
};

void syscount_begin(void)
{
    (void)syscall(SYS_prctl, MARKER, MARKER_CHECK, EDGE_BEGIN, 0, 0);
}

void syscount_end(void)
{
    (void)syscall(SYS_prctl, MARKER, MARKER_CHECK, EDGE_END, 0, 0);
}

/* Whether this entry is a marker; if so, opens or closes the region. */
static bool take_marker(struct trace *trace, uint64_t number, const uint64_t *arguments)
{
    if (number != SYS_prctl || arguments[0] != MARKER || arguments[1] != MARKER_CHECK) {
        return false;
    }
    if (arguments[2] == EDGE_BEGIN) {
        trace->is_counting = true;
    } else if (trace->is_counting) {
        trace->is_counting = false;
        trace->regions_closed++;
    }
    return true;
}

/* A stop at the entry or exit of a system call of the thread `tid`. */
static bool account(struct trace *trace, pid_t tid)
{
    struct __ptrace_syscall_info info;
    memset(&info, 0, sizeof(info));
    if (ptrace(PTRACE_GET_SYSCALL_INFO, tid, (void *)sizeof(info), &info) <= 0) {
        return errno == ESRCH; /* the thread was killed under our eyes; anything else means no such request */
    }
    if (info.op != PTRACE_SYSCALL_INFO_ENTRY || take_marker(trace, info.entry.nr, info.entry.args) ||
        !trace->is_counting) {
        return true;
    }
    trace->count.total++;
    if (info.entry.nr < SYSCOUNT_NUMBER_MAX) {
        trace->count.by_number[info.entry.nr]++;
    } else {
        trace->count.other++;
    }
    return true;
}

/* The signal to hand on when a stopped thread continues: only those that were meant for the body. */
static int signal_to_deliver(int status)
{
    bool is_event = status >> 16 != 0;
    int stop = WSTOPSIG(status);
    return is_event || stop == STOP_SYSCALL || stop == SIGSTOP ? 0 : stop;
}

static void follow(struct trace *trace, pid_t leader)
{
    for (;;) {
        int status;
        pid_t tid = waitpid(-1, &status, __WALL);
        if (tid < 0 && errno == EINTR) {
            continue;
        }
        if (tid < 0) {
            return;
        }
        if (!WIFSTOPPED(status)) {
            if (tid == leader) {
                trace->count.status = status;
            }
            continue;
        }
        if (WSTOPSIG(status) == STOP_SYSCALL && !account(trace, tid)) {
            trace->not_permitted = true;
            (void)kill(leader, SIGKILL);
        }
        (void)ptrace(PTRACE_SYSCALL, tid, NULL, (void *)(intptr_t)signal_to_deliver(status));
    }
}

static _Noreturn void be_traced(struct trace *trace, void (*body)(void *), void *arg)
{
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) {
        trace->not_permitted = true;
        _exit(1);
    }
    (void)raise(SIGSTOP); /* the tracer sets its options here */
    body(arg);
    trace->body_returned = true;
    _exit(0);
}

static _Noreturn void be_tracer(struct trace *trace, void (*body)(void *), void *arg)
{
    const long trace_options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL;
    int status;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    pid_t leader = fork();
    if (leader == 0) {
        be_traced(trace, body, arg);
    }
    if (leader < 0 || waitpid(leader, &status, 0) != leader) {
        _exit(1);
    }
    if (!WIFSTOPPED(status)) {
        trace->count.status = status;
        _exit(0);
    }
    if (ptrace(PTRACE_SETOPTIONS, leader, NULL, (void *)trace_options) != 0) {
        trace->not_permitted = true;
        (void)kill(leader, SIGKILL);
        _exit(0);
    }
    (void)ptrace(PTRACE_SYSCALL, leader, NULL, NULL);
    follow(trace, leader);
    _exit(0);
}

enum syscount_result syscount_run(void (*body)(void *), void *arg, struct syscount *out)
{
    int tracer_status = -1;

    memset(out, 0, sizeof(*out));
    struct trace *trace = mmap(NULL, sizeof(*trace), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (trace == MAP_FAILED) {
        return SYSCOUNT_FAILED;
    }
    (void)fflush(NULL); /* or the child's abort could print the caller's buffers again */
    pid_t tracer = fork();
    if (tracer == 0) {
        be_tracer(trace, body, arg);
    }
    while (tracer > 0 && waitpid(tracer, &tracer_status, 0) < 0 && errno == EINTR) {
    }
    *out = trace->count;
    enum syscount_result result = SYSCOUNT_FAILED;
    if (trace->not_permitted) {
        result = SYSCOUNT_NOT_PERMITTED;
    } else if (tracer_status == 0 && trace->body_returned && trace->regions_closed > 0 && !trace->is_counting &&
               out->status == 0) {
        result = SYSCOUNT_OK;
    }
    (void)munmap(trace, sizeof(*trace));
    return result;
}

void syscount_print(const struct syscount *count, FILE *stream)
{
    (void)fprintf(stream, "total %u:", count->total);
    for (unsigned number = 0; number < SYSCOUNT_NUMBER_MAX; number++) {
        if (count->by_number[number] > 0) {
            (void)fprintf(stream, " %u x%u", number, count->by_number[number]);
        }
    }
    if (count->other > 0) {
        (void)fprintf(stream, " other x%u", count->other);
    }
    (void)fputc('\n', stream);
}
