/* eal.c: DPDK's environment, started and ended once a process; its log, caught. */
#include "eal.h"

#include "quiet.h"

#include <errno.h>
#include <pthread.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ARGUMENTS_MAX = 24, ARGUMENT_ROOM = 512, LOG_ROOM = 2048, PATH_ROOM = 128 };

static struct {
    bool is_running, has_run;
    FILE *stream; /* DPDK's log; stays open: DPDK keeps it */
} eal;

/* ---- the log ---- */

static struct {
    pthread_mutex_t lock;
    char text[LOG_ROOM]; /* the latest, whole lines; not terminated */
    size_t size;
} logged = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Makes room by forgetting lines, the oldest first. */
static void forget(size_t size)
{
    size_t cut = logged.size + size > LOG_ROOM ? logged.size + size - LOG_ROOM : 0;

    if (cut == 0)
        return;
    while (cut < logged.size && logged.text[cut - 1] != '\n')
        cut++;
    memmove(logged.text, logged.text + cut, logged.size - cut);
    logged.size -= cut;
}

static ssize_t keep_log(void *cookie, const char *bytes, size_t size)
{
    size_t kept = size < LOG_ROOM ? size : LOG_ROOM;

    (void)cookie;
    pthread_mutex_lock(&logged.lock);
    forget(kept);
    memcpy(logged.text + logged.size, bytes + (size - kept), kept);
    logged.size += kept;
    pthread_mutex_unlock(&logged.lock);
    return (ssize_t)size;
}

static void catch_log(void)
{
    cookie_io_functions_t functions = {.write = keep_log};

    if (eal.stream != NULL)
        return;
    eal.stream = fopencookie(NULL, "w", functions);
    if (eal.stream == NULL)
        return; /* then it goes where DPDK wants it */
    (void)setvbuf(eal.stream, NULL, _IOLBF, 0);
    rte_openlog_stream(eal.stream);
}

void pal__d_eal_log(struct base_text *out)
{
    size_t first = 0;

    if (eal.stream != NULL)
        (void)fflush(eal.stream);
    pthread_mutex_lock(&logged.lock);
    if (logged.size > DPDK_WORDS_MAX / 2)
        first = logged.size - DPDK_WORDS_MAX / 2;
    while (first > 0 && first < logged.size && logged.text[first - 1] != '\n')
        first++;
    for (size_t i = first; i < logged.size; i++)
        if (logged.text[i] != '\n')
            base_text_char(out, logged.text[i]);
        else if (i + 1 < logged.size)
            base_text_string(out, " | ");
    pthread_mutex_unlock(&logged.lock);
}

void pal__d_eal_log_clear(void)
{
    if (eal.stream != NULL)
        (void)fflush(eal.stream);
    pthread_mutex_lock(&logged.lock);
    logged.size = 0;
    pthread_mutex_unlock(&logged.lock);
}

/* ---- errors ---- */

int pal__d_eal_error(int number)
{
    return number > 0 && number < 134 ? -number : PAL_EIO; /* errno's numbers are the seam's; DPDK has some above */
}

static const char *remedy_of(int number)
{
    switch (number) {
    case EACCES:
    case EPERM:
        return "it lacks a permission: run as root, or see what its log says is refused";
    case ENOMEM:
    case ENOSPC:
        return "there is too little memory: say fewer mbufs, or give it more huge pages";
    case EALREADY:
        return "DPDK starts once a process: keep it, or start a new process";
    case EAGAIN:
    case EBUSY:
        return "something that it needs is in use: end the other program, or wait for it";
    default:
        return "its log says more";
    }
}

static int fail_start(struct base_text *words, int number)
{
    (void)pal__d_fail(words, 0, "DPDK does not start: %s; %s. Its log: ", rte_strerror(number), remedy_of(number));
    pal__d_eal_log(words);
    return pal__d_eal_error(number);
}

/* ---- arguments ---- */

struct arguments {
    int count;
    char text[ARGUMENTS_MAX][ARGUMENT_ROOM];
    char *list[ARGUMENTS_MAX + 1];
};

static void add(struct arguments *arguments, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct arguments *arguments, const char *format, ...)
{
    va_list values;

    BASE_ASSERT(arguments->count < ARGUMENTS_MAX);
    va_start(values, format);
    vsnprintf(arguments->text[arguments->count], ARGUMENT_ROOM, format, values);
    va_end(values);
    arguments->list[arguments->count] = arguments->text[arguments->count];
    arguments->list[++arguments->count] = NULL;
}

/* Where the main thread is to run: the first core that was named, else where it may already. */
static void add_cpus(struct arguments *arguments, const struct dpdk_settings *settings)
{
    char list[ARGUMENT_ROOM - 16];
    struct base_text text;
    cpu_set_t set;

    if (settings->core_count > 0) {
        add(arguments, "--lcores=0@%u", settings->cores[0]);
        return;
    }
    base_text_init(&text, list, sizeof(list));
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof(set), &set) != 0)
        CPU_SET(0, &set);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        int first = cpu;

        if (!CPU_ISSET((size_t)cpu, &set))
            continue;
        while (cpu + 1 < CPU_SETSIZE && CPU_ISSET((size_t)cpu + 1, &set))
            cpu++;
        pal__d_say(&text, "%s%d-%d", text.size > 0 ? "," : "", first, cpu);
    }
    add(arguments, "--lcores=0@(%s)", list);
}

static void make_arguments(struct arguments *arguments, const struct dpdk_settings *settings,
                           const struct dpdk_plan *plan)
{
    arguments->count = 0;
    add(arguments, "palio");
    add_cpus(arguments, settings);
    add(arguments, "--no-telemetry");
    if (!plan->has_pci) {
        add(arguments, "--no-pci");
        add(arguments, "--iova-mode=va");
    }
    for (uint32_t i = 0; i < settings->device_count; i++)
        if (pal__d_device_kind(&settings->devices[i]) == DPDK_PCI)
            add(arguments, "--allow=%s", settings->devices[i].text);
    if (plan->hugepages) {
        add(arguments, "--in-memory"); /* needs no mounted hugetlbfs, and leaves no file in one */
        if (plan->shares_memory)
            add(arguments, "--single-file-segments");
    } else {
        add(arguments, "--no-huge");
        add(arguments, "--no-shconf");
        add(arguments, "-m");
        add(arguments, "%u", plan->memory_mib);
    }
}

/* ---- a folder of its own for the files that it makes in spite of all: gone when it has started ---- */

struct own_folder {
    char path[PATH_ROOM];
    char *before; /* what the variable said; NULL: it was not there */
};

static void enter_folder(struct own_folder *folder)
{
    const char *before = getenv("RUNTIME_DIRECTORY"), *tmp = getenv("TMPDIR");

    folder->before = before != NULL ? strdup(before) : NULL;
    snprintf(folder->path, sizeof(folder->path), "%s/palio-dpdk-XXXXXX",
             tmp != NULL && strlen(tmp) < PATH_ROOM / 2 ? tmp : "/tmp");
    if (mkdtemp(folder->path) == NULL)
        folder->path[0] = '\0'; /* then in DPDK's own place */
    else
        (void)setenv("RUNTIME_DIRECTORY", folder->path, 1);
}

static void leave_folder(struct own_folder *folder)
{
    char path[PATH_ROOM + 16];

    if (folder->path[0] != '\0') {
        snprintf(path, sizeof(path), "%s/dpdk/rte", folder->path);
        (void)rmdir(path);
        snprintf(path, sizeof(path), "%s/dpdk", folder->path);
        (void)rmdir(path);
        (void)rmdir(folder->path);
        if (folder->before != NULL)
            (void)setenv("RUNTIME_DIRECTORY", folder->before, 1);
        else
            (void)unsetenv("RUNTIME_DIRECTORY");
    }
    free(folder->before);
}

/* ---- start and end ---- */

int pal__d_eal_start(const struct dpdk_settings *settings, const struct dpdk_plan *plan, struct base_text *words)
{
    static struct arguments arguments; /* DPDK keeps pointers into it */
    struct own_folder folder;
    int result;

    if (eal.is_running || eal.has_run)
        return pal__d_fail(words, PAL_EALREADY, "DPDK %s: it starts once a process; %s",
                           eal.is_running ? "runs" : "has run", remedy_of(EALREADY));
    make_arguments(&arguments, settings, plan);
    catch_log();
    pal__d_eal_log_clear();
    enter_folder(&folder);
    rte_errno = 0;
    result = rte_eal_init(arguments.count, arguments.list);
    leave_folder(&folder);
    if (result < 0)
        return fail_start(words, rte_errno);
    eal.is_running = true;
    return 0;
}

void pal__d_eal_stop(void)
{
    if (!eal.is_running)
        return;
    if (pal__d_quiet_may_end())
        (void)rte_eal_cleanup();
    eal.is_running = false;
    eal.has_run = true;
}

bool pal__d_eal_is_running(void)
{
    return eal.is_running;
}

int pal__d_eal_enter(struct base_text *words)
{
    if (rte_lcore_id() != LCORE_ID_ANY || rte_thread_register() == 0)
        return 0;
    return pal__d_fail(words, PAL_ENOMEM, "DPDK takes no further thread (%s): at most %d use its ports at a time",
                       rte_strerror(rte_errno), RTE_MAX_LCORE);
}

void pal__d_eal_leave(void)
{
    if (rte_lcore_id() != rte_get_main_lcore())
        rte_thread_unregister();
}
