/* kernel.c: see kernel.h. */
#include "kernel.h"
#include "support/sanitizers.h"

#include <dirent.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

bool is_backend(const char *name)
{
    return strcmp(pal_backend_info()->name, name) == 0;
}

int descriptors_open(void)
{
    DIR *directory = opendir("/proc/self/fd");
    int count = -3; /* ".", ".." and the directory itself */

    cr_assert_not_null(directory);
    while (readdir(directory) != NULL)
        count++;
    (void)closedir(directory);
    return count;
}

int native_of(pal_sock sock)
{
    intptr_t native = -1;
    size_t size = sizeof(native);

    return pal_sock_get(sock, PAL_SO_NATIVE, &native, &size) < 0 ? -1 : (int)native;
}

uint64_t deadline_ms(uint64_t milliseconds)
{
    return pal_clock(PAL_CLOCK_MONOTONIC) + milliseconds * MILLISECOND_NS;
}

struct syscount calls_of(void (*body)(void *), void *arg)
{
    struct syscount count;
    enum syscount_result result;

#if defined(SANITIZER_ADDRESS) || defined(SANITIZER_THREAD)
    test_skip("plain-build", "the sanitizer's run-time makes system calls of its own");
#endif
    result = syscount_run(body, arg, &count);
    if (result == SYSCOUNT_NOT_PERMITTED)
        test_skip("ptrace", "tracing a child is not permitted");
    cr_assert_eq(result, SYSCOUNT_OK, "the traced body failed: wait status 0x%x", (unsigned)count.status);
    syscount_print(&count, stderr);
    return count;
}

void in_child(void (*body)(void *), void *arg)
{
    int status = 0;
    pid_t child;

    (void)fflush(NULL);
    child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* it does not outlive a test that was ended */
        body(arg);
        _exit(0);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the child failed: wait status 0x%x", (unsigned)status);
}

/* ---- for bodies ---- */

pal_poll *must_open_poll(uint32_t events_max, uint32_t lease_count)
{
    struct pal_config config;
    pal_poll *poll = NULL;

    memset(&config, 0, sizeof(config));
    config.events_max = events_max;
    config.lease_count = lease_count;
    must(pal_poll_open(&poll, &config) == 0);
    return poll;
}

void must_open_unix_pair(pal_sock ends[2])
{
    must(pal_sock_pair(PAL_AF_UNIX, PAL_SOCK_STREAM, ends) == 0);
}

void must_listen(pal_sock *listener, struct pal_addr *addr)
{
    must(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_STREAM, 0, listener) == 0);
    must(pal_addr_set_loopback(addr, PAL_AF_INET, 0) == 0);
    must(pal_sock_bind(*listener, addr) == 0);
    must(pal_sock_listen(*listener, 64) == 0);
    must(pal_sock_name(*listener, PAL_NAME_LOCAL, addr) == 0);
}

void must_open_tcp_pair(pal_sock ends[2])
{
    struct pal_addr addr;
    pal_sock listener;
    struct pal_wait item;

    must_listen(&listener, &addr);
    must(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_STREAM, 0, &ends[0]) == 0);
    (void)pal_sock_connect(ends[0], &addr);
    item = (struct pal_wait){listener, PAL_IN, 0, 0};
    must(pal_sock_wait(&item, 1, deadline_ms(5000)) == 1);
    must(pal_sock_accept(listener, &ends[1], NULL) == 0);
    item = (struct pal_wait){ends[0], PAL_OUT, 0, 0};
    must(pal_sock_wait(&item, 1, deadline_ms(5000)) == 1);
    must(pal_sock_close(listener) == 0);
}

void must_settle(pal_poll *poll)
{
    const struct pal_event *events;

    must(pal_poll_wait(poll, &events, deadline_ms(1)) == 0);
}

void must_sleep(pal_poll *poll, int waits)
{
    const struct pal_event *events;

    for (int i = 0; i < waits; i++) {
        uint64_t deadline_ns = deadline_ms(1);

        must(pal_poll_wait(poll, &events, deadline_ns) == 0);
        must(pal_clock(PAL_CLOCK_MONOTONIC) >= deadline_ns);
    }
}

void must_become_ready(pal_poll *poll, uint64_t data)
{
    const struct pal_event *events;

    bool ready = false;

    for (int i = 0; i < 500 && !ready; i++) {
        int count = pal_poll_wait(poll, &events, deadline_ms(10));

        must(count >= 0);
        for (int j = 0; j < count; j++)
            ready = ready || (events[j].kind == PAL_EV_READY && events[j].data == data);
    }
    must(ready);
}
