/* examples/demo/launch_posix.c: runs exchange and trader as two processes and prints one line of key=value pairs about
 * them. With launch_net.h, the network between them, it is all of the demonstration that knows an operating system.
 *
 * It has a deadline of its own, after which it ends its two children and nothing else. Results lie in memory that the
 * three processes share; the exchange's address comes through a pipe. Exit status: 0, or 1 with the reason on standard
 * error, or 2 for wrong arguments. */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */

#include "demo.h"
#include "launch_arguments.h"
#include "launch_net.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { GRACE_MS = 2000 };                            /* that the children get after their own limit */
enum { STILL_RUNNING = 1 };                          /* a result's code before its process has written one */
enum { TICK_TIMEOUT_MS = 1000, PATIENCE_MS = 3000 }; /* the latter with a connection that breaks */

struct shared {
    struct exchange_result exchange;
    struct trader_result trader;
};

struct launch {
    struct exchange_config exchange;
    struct trader_config trader;
    struct shared *shared;
    pid_t exchange_pid, trader_pid;
    int ready_pipe[2]; /* carries the exchange's address */
    int alive_pipe[2]; /* carries nothing: it ends when both children have */
    uint64_t deadline_ms;
};

static int complain(const char *what)
{
    fprintf(stderr, "demo: %s: %s\n", what, strerror(errno));
    return -1;
}

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- arguments ---- */

static const char usage[] =
    "usage: %s [option ...]\n"
    "  --block, --spin      wait by sleeping (the default) or by spinning, which wants two idle CPUs\n"
    "  --source-specific    join the ticks' group for their sender alone\n"
    "  --ticks=COUNT        ticks to send, 20000\n"
    "  --warmup=COUNT       of these, the first ones that are not measured, 1000\n"
    "  --interval-us=TIME   between ticks, 100 microseconds\n"
    "  --limit-s=TIME       for the whole run, 15 seconds\n"
    "  --seed=NUMBER        of the prices, 1\n"
    "Prints key=value pairs on one line; times in nanoseconds.\n";

static int take_arguments(struct launch *launch, int argc, char **argv)
{
    uint64_t warmup = 1000, interval_us = 100, limit_s = 15;
    struct exchange_config *exchange = &launch->exchange;
    exchange->tick_count = 20000;
    exchange->seed = 1;
    const struct number_option numbers[] = {{"--ticks", 100000000, &exchange->tick_count},
                                            {"--warmup", UINT32_MAX, &warmup},
                                            {"--interval-us", 1000000, &interval_us},
                                            {"--limit-s", 3600, &limit_s},
                                            {"--seed", UINT64_MAX, &exchange->seed}};
    for (int i = 1; i < argc; i++) {
        int taken = 0;
        if (strcmp(argv[i], "--spin") == 0) {
            exchange->idle = launch->trader.idle = DEMO_SPIN;
            taken = 1;
        } else if (strcmp(argv[i], "--block") == 0) {
            exchange->idle = launch->trader.idle = DEMO_BLOCK;
            taken = 1;
        } else if (strcmp(argv[i], "--source-specific") == 0) {
            launch->trader.feed.source.family = PAL_AF_INET;
            taken = 1;
        }
        if (taken == 0) {
            taken = take_number(numbers, sizeof(numbers) / sizeof(numbers[0]), argv[i]);
        }
        if (taken <= 0) {
            fprintf(stderr, usage, argv[0]);
            return -1;
        }
    }
    exchange->warmup_count = (uint32_t)warmup;
    exchange->interval_ns = interval_us * 1000;
    exchange->limit_ns = launch->trader.limit_ns = limit_s * UINT64_C(1000000000);
    launch->deadline_ms = now_ms() + limit_s * 1000 + GRACE_MS;
    return 0;
}

/* ---- processes ---- */

static void tell_address(void *context, const struct pal_addr *listening)
{
    const struct launch *launch = context;
    if (write(launch->ready_pipe[1], listening, sizeof(*listening)) != (ssize_t)sizeof(*listening)) {
        complain("hand over the exchange's address");
    }
}

/* Waits until fd is readable or has ended, or for the launcher's deadline: > 0, or 0. */
static int wait_readable(const struct launch *launch, int fd)
{
    struct pollfd item = {.fd = fd, .events = POLLIN};
    for (;;) {
        uint64_t now = now_ms();
        int ready = poll(&item, 1, now < launch->deadline_ms ? (int)(launch->deadline_ms - now) : 0);
        if (ready >= 0 || errno != EINTR) {
            return ready;
        }
    }
}

static int start_exchange(struct launch *launch)
{
    launch->exchange.ready = tell_address;
    launch->exchange.ready_context = launch;
    launch->exchange_pid = fork();
    if (launch->exchange_pid < 0) {
        return complain("start the exchange");
    }
    if (launch->exchange_pid == 0) {
        _exit(net_enter(true, launch->exchange.idle) == 0 && exchange_run(&launch->exchange) == 0 ? 0 : 1);
    }
    close(launch->ready_pipe[1]);
    launch->ready_pipe[1] = -1;
    struct pal_addr *addr = &launch->trader.exchange;
    if (wait_readable(launch, launch->ready_pipe[0]) <= 0 ||
        read(launch->ready_pipe[0], addr, sizeof(*addr)) != (ssize_t)sizeof(*addr)) {
        return -1; /* its own words say why */
    }
    return 0;
}

static int start_trader(struct launch *launch)
{
    launch->trader.trader_id = 1;
    launch->trader_pid = fork();
    if (launch->trader_pid < 0) {
        return complain("start the trader");
    }
    if (launch->trader_pid == 0) {
        _exit(net_enter(false, launch->trader.idle) == 0 && trader_run(&launch->trader) == 0 ? 0 : 1);
    }
    return 0;
}

/* Collects one child, ending it first if time is up. 0, or -1 with words. */
static int collect(pid_t pid, const char *name, bool in_time, int32_t code, const char *problem)
{
    int status = 0;
    if (pid <= 0) {
        return -1;
    }
    if (!in_time) {
        kill(pid, SIGKILL);
    }
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            return complain("wait for a child");
        }
    }
    if (problem[0] != '\0') {
        fprintf(stderr, "demo: %s: %s\n", name, problem);
    } else if (WIFSIGNALED(status)) {
        fprintf(stderr, "demo: %s: ended by signal %d%s\n", name, WTERMSIG(status), in_time ? "" : ": out of time");
    } else if (code == STILL_RUNNING) {
        fprintf(stderr, "demo: %s: left without a result\n", name);
    }
    return code == 0 && problem[0] == '\0' && WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

static int run(struct launch *launch)
{
    struct shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED || pipe(launch->ready_pipe) < 0 || pipe(launch->alive_pipe) < 0) {
        return complain("set up");
    }
    launch->shared = shared;
    launch->exchange.result = &shared->exchange;
    launch->trader.result = &shared->trader;
    shared->exchange.code = shared->trader.code = STILL_RUNNING;

    int code = start_exchange(launch);
    if (code == 0) {
        code = start_trader(launch);
    }
    close(launch->alive_pipe[1]);
    bool in_time = wait_readable(launch, launch->alive_pipe[0]) > 0;
    if (collect(launch->exchange_pid, "exchange", in_time, shared->exchange.code, shared->exchange.problem) < 0) {
        code = -1;
    }
    if (collect(launch->trader_pid, "trader", in_time, shared->trader.code, shared->trader.problem) < 0) {
        code = -1;
    }
    if (code == 0 && shared->exchange.doubled > 0) {
        fprintf(stderr, "demo: the trader sent more than one order for a tick\n");
        code = -1;
    }
    if (code == 0 && shared->exchange.digest != shared->trader.digest) {
        fprintf(stderr, "demo: the exchange executed other orders than the trader decided on\n");
        code = -1;
    }
    return code;
}

static void print_result(const struct launch *launch, bool good)
{
    const struct exchange_result *exchange = &launch->shared->exchange;
    const struct trader_result *trader = &launch->shared->trader;
    const struct histogram *latency = &exchange->tick_to_trade;
    printf("result=%s trader=%s exchange=%s path=%s", good ? "ok" : "failed",
           trader->backend[0] != '\0' ? trader->backend : "-", exchange->backend[0] != '\0' ? exchange->backend : "-",
           launch->trader.idle == DEMO_SPIN ? "spinning" : "blocking");
    printf(" ticks=%" PRIu64 " orders=%" PRIu64 " fills=%" PRIu64 " lost=%" PRIu64 " late=%" PRIu64 " foreign=%" PRIu64,
           exchange->ticks, exchange->orders, trader->fills, exchange->lost, trader->late, trader->foreign);
    printf(" digest=%016" PRIx64 " samples=%" PRIu64, trader->digest, latency->count);
    printf(" p50_ns=%" PRIu64 " p99_ns=%" PRIu64 " p999_ns=%" PRIu64 " max_ns=%" PRIu64 "\n",
           histogram_percentile(latency, 5000), histogram_percentile(latency, 9900),
           histogram_percentile(latency, 9990), latency->max);
}

int main(int argc, char **argv)
{
    static struct launch launch;
    if (take_arguments(&launch, argc, argv) < 0) {
        return 2;
    }
    launch.exchange.tick_timeout_ns = TICK_TIMEOUT_MS * UINT64_C(1000000);
    launch.exchange.patience_ns = launch.trader.patience_ns = PATIENCE_MS * UINT64_C(1000000);
    if (net_choose(&launch.exchange, &launch.trader) < 0) {
        return 1;
    }
    bool good = run(&launch) == 0;
    if (launch.shared != NULL) {
        print_result(&launch, good);
    }
    return good ? 0 : 1;
}
