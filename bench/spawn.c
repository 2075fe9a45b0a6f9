/* spawn.c: how long it takes to start /bin/true and to be told of its end, by way of starting: vfork(2) by hand, which
 * is the floor, posix_spawn(3), fork(2), and the seam, waiting and by event; from a small process and from a large one.
 *
 *   spawn [ROUNDS]
 *
 * The ways take turns, round by round, so that what else the machine does falls on all of them; a way's figure is the
 * median of its rounds. Only ratios of one run mean anything. */
#include <pal/pal.h>

#include <errno.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { STARTS = 100, STARTS_WARM = 5, ROUNDS_DEFAULT = 15, ROUNDS_MAX = 99, LARGE_MIB = 256 };

static char *const arguments[] = {"true", NULL};
static const char program[] = "/bin/true";
static pal_poll *poll;

static void must(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "spawn: %s: %s\n", what, errno ? strerror(errno) : pal_reason());
    exit(1);
}

/* ---- one child from its start to its end ---- */

static void reap(pid_t child)
{
    int status;
    must(child > 0 && waitpid(child, &status, 0) == child && status == 0, "a child by hand");
}

static void by_vfork(void)
{
    pid_t child = vfork(); /* NOLINT(clang-analyzer-security.insecureAPI.vfork): the floor */
    if (child == 0) {
        execve(program, arguments, environ);
        _exit(127);
    }
    reap(child);
}

static void by_fork(void)
{
    pid_t child = fork();
    if (child == 0) {
        execve(program, arguments, environ);
        _exit(127);
    }
    reap(child);
}

static void by_posix_spawn(void)
{
    pid_t child = -1;
    errno = posix_spawn(&child, program, NULL, NULL, arguments, environ);
    reap(child);
}

static pal_proc start(uint32_t flags)
{
    struct pal_spawn spec = {.program = program, .argv = (const char *const *)arguments, .flags = flags};
    pal_proc process;
    errno = 0;
    must(pal_proc_spawn(&spec, &process) == 0, "pal_proc_spawn");
    return process;
}

static void finish(pal_proc process)
{
    struct pal_proc_info info;
    must(pal_proc_wait(process, &info, UINT64_MAX) == 0 && info.result == 0, "pal_proc_wait");
    must(pal_proc_close(process) == 0, "pal_proc_close");
}

static void by_seam_waiting(void)
{
    finish(start(0));
}

static void by_seam_event(void)
{
    const struct pal_event *events;
    pal_proc process = start(0);
    must(pal_proc_watch(poll, process, 1) == 0, "pal_proc_watch");
    while (pal_poll_wait(poll, &events, UINT64_MAX) == 0)
        continue;
    must(events[0].kind == PAL_EV_CHILD && events[0].result == 0, "the event");
    must(pal_proc_close(process) == 0, "pal_proc_close");
}

/* Changes something about the rights, though nothing in effect: the seam then starts the child in a copy. */
static void by_seam_copying(void)
{
    struct pal_spawn spec = {.program = program,
                             .argv = (const char *const *)arguments,
                             .flags = PAL_SPAWN_USER,
                             .user = (uint32_t)getuid()};
    pal_proc process;
    errno = 0;
    must(pal_proc_spawn(&spec, &process) == 0, "pal_proc_spawn");
    finish(process);
}

static const struct way {
    const char *name;
    void (*start)(void);
    double target;
} ways[] = {
    {"vfork by hand", by_vfork, 0},      {"posix_spawn", by_posix_spawn, 0},
    {"fork by hand", by_fork, 0},        {"seam, wait", by_seam_waiting, 1.3},
    {"seam, event", by_seam_event, 1.3}, {"seam, another user, wait", by_seam_copying, 0},
};
enum { WAYS = sizeof ways / sizeof *ways };

/* ---- measuring ---- */

static double now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, compare);
    return values[count / 2];
}

static double one_round(const struct way *way)
{
    static double times[STARTS];
    for (int i = -STARTS_WARM; i < STARTS; i++) {
        double began_us = now_us();
        way->start();
        if (i >= 0)
            times[i] = now_us() - began_us;
    }
    return median(times, STARTS);
}

static void measure(const char *title, int rounds)
{
    static double figures[WAYS][ROUNDS_MAX];
    for (int round = 0; round < rounds; round++)
        for (int i = 0; i < WAYS; i++)
            figures[i][round] = one_round(&ways[i]);
    double base = median(figures[0], rounds);
    for (int i = 0; i < WAYS; i++) {
        double figure = median(figures[i], rounds), ratio = figure / base;
        printf("%-16s %-26s %8.0f %7.2f", i ? "" : title, ways[i].name, figure, ratio);
        if (ways[i].target > 0)
            printf("  <= %.2f  %s", ways[i].target, ratio <= ways[i].target ? "ok" : "missed");
        putchar('\n');
    }
    putchar('\n');
    fflush(stdout);
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : ROUNDS_DEFAULT;
    struct utsname system;
    time_t now = time(NULL);
    char date[32], title[32];
    if (argc > 2 || rounds < 1 || rounds > ROUNDS_MAX) {
        fprintf(stderr, "usage: spawn [ROUNDS]\n");
        return 2;
    }
    must(pal_poll_open(&poll, NULL) == 0, "pal_poll_open");
    uname(&system);
    strftime(date, sizeof date, "%Y-%m-%d", gmtime(&now));
    printf("%s, %s %s, %s, %ld CPUs, cc %s\n\n", date, system.sysname, system.release, system.machine,
           sysconf(_SC_NPROCESSORS_ONLN), __VERSION__);
    printf("/bin/true, from its start until its end is known: the median over %d rounds of each round's median of %d,\n"
           "in microseconds, and as a ratio to vfork by hand in the same run.\n\n",
           rounds, STARTS);
    printf("%-16s %-26s %8s %7s  target\n\n", "", "", "p50", "ratio");
    measure("small parent", rounds);
    size_t size = (size_t)LARGE_MIB << 20;
    char *large = malloc(size);
    must(large != NULL, "malloc");
    memset(large, 1, size);
    snprintf(title, sizeof title, "%d MiB parent", LARGE_MIB);
    measure(title, rounds);
    free(large);
    pal_poll_close(poll);
    return 0;
}
