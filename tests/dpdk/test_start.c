/* test_start.c: DPDK's start and end, and devices that there are not: each failure is words, and the process lives on.
 * Leaves the system as it was. */
#include "ring_world.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <rte_log.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(dpdk_start, .timeout = 60);

/* Opens the first device: the code, with the words. */
static int try_port(const char *text, struct dpdk_port **port)
{
    int error = pal__d_settings_read(&settings, text, &words);

    cr_assert_eq(error, 0, "%s", words.data);
    return pal__d_port_open(&settings, 0, port, &words);
}

static void refused(int code, const char *text, const char *first, const char *second)
{
    struct dpdk_port *port = NULL;
    int error = try_port(text, &port);

    cr_expect_eq(error, code, "%s: %s: %s", text, pal_error_name(error), words.data);
    cr_expect(strstr(words.data, first) != NULL, "\"%s\" does not say \"%s\"", words.data, first);
    cr_expect(strstr(words.data, second) != NULL, "\"%s\" does not say \"%s\"", words.data, second);
}

/* Opens it, and closes it again. */
static void works(const char *text)
{
    struct dpdk_port *port = NULL;
    int error = try_port(text, &port);

    cr_assert_eq(error, 0, "%s: %s", pal_error_name(error), words.data);
    pal__d_port_stop(port);
    cr_assert_eq(pal__d_port_close(port), 0);
}

/* ---- what is left behind ---- */

static int count_entries(const char *path, const char *begin)
{
    DIR *dir = opendir(path);
    int count = 0;

    if (dir == NULL)
        return 0;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        count += strncmp(entry->d_name, begin, strlen(begin)) == 0;
    closedir(dir);
    return count;
}

static long hugepages(const char *which)
{
    char path[128], line[32] = "0";
    FILE *file;

    snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/hugepages-2048kB/%s_hugepages", which);
    file = fopen(path, "r");
    if (file == NULL)
        return 0;
    if (fgets(line, sizeof(line), file) == NULL)
        line[0] = '\0';
    fclose(file);
    return strtol(line, NULL, 10);
}

Test(dpdk_start, it_leaves_nothing_behind)
{
    int before[3] = {count_entries("/tmp", "palio-dpdk"), count_entries("/var/run", "dpdk"),
                     count_entries("/dev/hugepages", "rtemap")};
    cpu_set_t allowed, now;

    cr_assert_eq(sched_getaffinity(0, sizeof(allowed), &allowed), 0);
    cr_assert_eq(setenv("RUNTIME_DIRECTORY", "/tmp/somewhere else", 1), 0);
    begin_dpdk("device net_null0 ; mbufs 2000 ; descriptors 256");
    works("device net_null0 ; mbufs 2000 ; descriptors 256");
    cr_assert_str_eq(getenv("RUNTIME_DIRECTORY"), "/tmp/somewhere else");
    cr_assert_eq(count_entries("/tmp", "palio-dpdk"), before[0]);
    pal__d_eal_stop();
    cr_assert_eq(count_entries("/var/run", "dpdk"), before[1]);
    cr_assert_eq(count_entries("/dev/hugepages", "rtemap"), before[2]);
    cr_assert_eq(sched_getaffinity(0, sizeof(now), &now), 0);
    cr_assert(CPU_EQUAL(&allowed, &now), "the thread was pinned");
}

Test(dpdk_start, the_first_core_is_taken)
{
    cpu_set_t set;
    char text[96];
    int cpu = 0;

    cr_assert_eq(sched_getaffinity(0, sizeof(set), &set), 0);
    while (!CPU_ISSET((size_t)cpu, &set))
        cpu++;
    snprintf(text, sizeof(text), "device net_null0 ; mbufs 2000 ; descriptors 256 ; cores %d", cpu);
    begin_dpdk(text);
    cr_assert_eq(sched_getaffinity(0, sizeof(set), &set), 0);
    cr_assert_eq(CPU_COUNT(&set), 1);
    cr_assert(CPU_ISSET((size_t)cpu, &set));
    pal__d_eal_stop();
}

Test(dpdk_start, it_starts_once_a_process)
{
    struct dpdk_plan plan = {.memory_mib = 128};

    begin_dpdk("device net_null0 ; hugepages off");
    cr_assert_eq(pal__d_eal_start(&settings, &plan, &words), PAL_EALREADY);
    cr_assert(strstr(words.data, "once a process") != NULL, "%s", words.data);
    pal__d_eal_stop();
    cr_assert_eq(pal__d_eal_start(&settings, &plan, &words), PAL_EALREADY);
    cr_assert(strstr(words.data, "has run") != NULL, "%s", words.data);
    pal__d_eal_stop();
}

/* What the dry run would have said, from DPDK itself. */
Test(dpdk_start, a_failed_start_is_words_and_the_process_lives)
{
    struct dpdk_plan plan = {.memory_mib = 64 << 20}; /* in MiB: more than there are addresses */
    int error;

    base_text_init(&words, words_buffer, sizeof(words_buffer));
    cr_assert_eq(pal__d_settings_read(&settings, "device net_null0", &words), 0);
    error = pal__d_eal_start(&settings, &plan, &words);
    cr_assert_lt(error, 0);
    cr_assert(strstr(words.data, "DPDK does not start: ") == words.data, "%s", words.data);
    cr_assert_not(pal__d_eal_is_running());
    pal__d_eal_stop();
    cr_log_info("%s", words.data);
}

Test(dpdk_start, a_port_needs_dpdk)
{
    struct dpdk_port *port;

    base_text_init(&words, words_buffer, sizeof(words_buffer));
    cr_assert_eq(try_port("device net_null0", &port), PAL_ENODEV);
}

Test(dpdk_start, devices_that_cannot_be_are_refused_and_the_next_works)
{
    begin_dpdk("device net_null0 ; mbufs 2000 ; descriptors 256");
    refused(PAL_ENODEV, "device net_nothing0", "net_nothing0", "no driver");
    refused(PAL_EIO, "device net_af_packet0,iface=palio-none", "palio-none", "DPDK's log");
    refused(PAL_EIO, "device net_null0,sizes=3", "net_null0,sizes=3", "behind its name");
    refused(PAL_ENODEV, "device 0000:3f:1f.7", "0000:3f:1f.7", "no driver");
    refused(PAL_EIO, "device net_pcap0,rx_pcap=/dev/null", "/dev/null", "DPDK's log");
    works("device net_null0 ; mbufs 2000 ; descriptors 256");
    works("device net_null0 ; mbufs 2000 ; descriptors 256"); /* again: nothing of the first is left */
    pal__d_eal_stop();
}

/* A capture of no packets. */
static void write_capture(const char *path)
{
    static const uint32_t head[6] = {0xa1b2c3d4, 2 | 4 << 16, 0, 0, 65535, 1};
    FILE *file = fopen(path, "w");

    cr_assert(file != NULL);
    cr_assert_eq(fwrite(head, sizeof(head), 1, file), 1);
    fclose(file);
}

Test(dpdk_start, more_than_a_device_has_is_refused)
{
    char path[] = "/tmp/palio-capture-XXXXXX", text[128];
    int fd = mkstemp(path);

    cr_assert_geq(fd, 0);
    close(fd);
    write_capture(path);
    begin_dpdk("device net_null0 ; mbufs 2000 ; descriptors 256");
    snprintf(text, sizeof(text), "device net_pcap0,rx_pcap=%s ; queues 4 ; mbufs 2000 ; descriptors 256", path);
    refused(PAL_ENOTSUP, text, "queues \"4\"", "has 1 queue pair; say queues 1");
    snprintf(text, sizeof(text), "device net_pcap0,rx_pcap=%s ; mbufs 2000 ; descriptors 256", path);
    works(text);
    (void)unlink(path);
    pal__d_eal_stop();
}

Test(dpdk_start, too_little_memory_for_a_pool_is_refused)
{
    begin_dpdk("device net_null0 ; mbufs 2000 ; descriptors 256 ; hugepages off");
    refused(PAL_ENOMEM, "device net_null0 ; mbufs 200000", "mbufs", "fewer");
    works("device net_null0 ; mbufs 2000 ; descriptors 256");
    pal__d_eal_stop();
}

Test(dpdk_start, an_ordinary_user_may_do_it)
{
    int status;
    pid_t child;

    if (geteuid() != 0)
        test_skip("root", "only root can become somebody else");
    child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        struct dpdk_plan plan;
        struct dpdk_port *port;
        int error;

        base_text_init(&words, words_buffer, sizeof(words_buffer));
        base_text_init(&notes, notes_buffer, sizeof(notes_buffer));
        if (setgid(65534) != 0 || setuid(65534) != 0 || chdir("/") != 0)
            _exit(2);
        error = pal__d_settings_read(&settings, "device net_tap0 ; hugepages off", &words);
        if (error != 0 || pal__d_preflight(&settings, "", &plan, &notes, &words) == 0)
            _exit(3); /* a tap device needs more than he has */
        error =
            pal__d_settings_read(&settings, "device net_null0 ; mbufs 2000 ; descriptors 256 ; hugepages off", &words);
        if (error == 0)
            error = pal__d_preflight(&settings, "", &plan, &notes, &words);
        if (error == 0)
            error = pal__d_eal_start(&settings, &plan, &words);
        if (error == 0)
            error = pal__d_port_open(&settings, 0, &port, &words);
        if (error != 0) {
            fprintf(stderr, "%s\n", words.data);
            _exit(4);
        }
        pal__d_port_stop(port);
        _exit(pal__d_port_close(port) == 0 ? 0 : 5);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status));
    cr_assert_eq(WEXITSTATUS(status), 0);
}

static bool set_hugepages(long count)
{
    FILE *file = geteuid() == 0 ? fopen("/proc/sys/vm/nr_hugepages", "w") : NULL;

    if (file == NULL)
        return false;
    fprintf(file, "%ld\n", count);
    return fclose(file) == 0;
}

/* In a process of its own, as DPDK keeps some to its end: how many it had, and how many after the stop. */
static void use_hugepages(long used[2])
{
    long free_before = hugepages("free");
    pid_t child;
    int pipes[2], status;

    cr_assert_eq(pipe(pipes), 0);
    child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        begin_dpdk("device net_null0 ; mbufs 2000 ; descriptors 256 ; hugepages on");
        works("device net_null0 ; mbufs 2000 ; descriptors 256 ; hugepages on");
        used[0] = free_before - hugepages("free");
        pal__d_eal_stop();
        used[1] = free_before - hugepages("free");
        _exit(write(pipes[1], used, 2 * sizeof(used[0])) == 2 * sizeof(used[0]) ? 0 : 1);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(status, 0);
    cr_assert_eq(read(pipes[0], used, 2 * sizeof(used[0])), 2 * sizeof(used[0]));
    close(pipes[0]);
    close(pipes[1]);
    cr_assert_eq(hugepages("free"), free_before, "not all came back");
}

/* Needs root to have some for a while; gives back what it took. */
Test(dpdk_start, hugepages_are_used_and_given_back)
{
    long total = hugepages("nr"), used[2] = {0, 0};
    bool enough;

    if (!set_hugepages(total + 80))
        test_skip("set-hugepages", "their number cannot be set");
    enough = hugepages("free") >= 80;
    if (enough)
        use_hugepages(used);
    cr_assert(set_hugepages(total));
    cr_assert_eq(hugepages("nr"), total);
    cr_assert(enough, "this machine has not 160 MiB of them");
    cr_expect_gt(used[0], 0, "none was used");
    cr_expect_leq(used[1], 2, "more is kept than DPDK's own");
}

Test(dpdk_start, what_dpdk_logs_is_kept_and_bounded)
{
    char text[DPDK_WORDS_MAX];
    struct base_text out;

    begin_dpdk("device net_null0 ; hugepages off");
    pal__d_eal_log_clear();
    base_text_init(&out, text, sizeof(text));
    pal__d_eal_log(&out);
    cr_assert_eq(out.size, 0);
    for (int i = 0; i < 1000; i++)
        rte_log(RTE_LOG_ERR, RTE_LOGTYPE_USER1, "line %d\n", i);
    pal__d_eal_log(&out);
    cr_assert(strstr(out.data, "line 999") != NULL, "%s", out.data);
    cr_assert(strncmp(out.data, "line ", 5) == 0, "%s", out.data);
    cr_assert_not(out.truncated);
    pal__d_eal_stop();
}

/* ---- devices without a wire ---- */

Test(dpdk_start, what_a_port_says_of_itself)
{
    char text[DPDK_WORDS_MAX];
    struct dpdk_port *port = NULL;
    struct dpdk_port_counts counts;
    struct base_text out;
    int error;

    begin_dpdk("device net_null0,size=60 ; queues 2 ; mbufs 2000 ; descriptors 256");
    error = try_port("device net_null0,size=60 ; queues 2 ; mbufs 2000 ; descriptors 256", &port);
    cr_assert_eq(error, 0, "%s", words.data);
    cr_assert_eq(pal__d_port_queues(port), 2);
    cr_assert_str_eq(pal__d_port_name(port), "net_null0");
    cr_assert(pal__d_port_link(port).is_up);
    cr_assert_eq(pal__d_port_fd(port, 0), -1);
    base_text_init(&out, text, sizeof(text));
    pal__d_port_describe(port, &out);
    cr_assert(strstr(out.data, "driver net_null") != NULL, "%s", out.data);
    for (uint32_t queue = 0; queue < 2; queue++) { /* it receives without end */
        struct nic *nic = pal__d_port_nic(port, queue);
        struct frame *frames[32];

        cr_assert_eq(nic->ops->rx(nic, frames, 32), 32);
        cr_assert_eq(frames[31]->size, 60);
        cr_assert_eq(pal__d_port_used(port, queue), 32);
        cr_assert_eq(nic->ops->tx(nic, frames, 32), 32);
        cr_assert_eq(pal__d_port_used(port, queue), 0);
    }
    pal__d_port_counts(port, &counts);
    cr_assert_eq(counts.received, 64);
    cr_assert_eq(counts.sent, 64);
    pal__d_port_stop(port);
    cr_assert_eq(pal__d_port_close(port), 0);
    pal__d_eal_stop();
}

static void *use_queue(void *context)
{
    struct dpdk_port *port = context;
    struct nic *nic = pal__d_port_nic(port, 1);
    struct frame *frames[32];
    char text[DPDK_WORDS_MAX];
    struct base_text own;
    uintptr_t received = 0;

    base_text_init(&own, text, sizeof(text));
    if (pal__d_eal_enter(&own) != 0)
        return NULL;
    if (pal__d_eal_enter(&own) != 0) /* again, which changes nothing */
        return NULL;
    for (int i = 0; i < 10000; i++) {
        int count = nic->ops->rx(nic, frames, 32);

        received += (uintptr_t)nic->ops->tx(nic, frames, count);
    }
    pal__d_eal_leave();
    return (void *)received;
}

Test(dpdk_start, queues_are_used_by_threads_of_their_own)
{
    static const char text[] = "device net_null0 ; queues 2 ; mbufs 2000 ; descriptors 256";
    struct dpdk_port *port = NULL;
    pthread_t thread;
    struct nic *nic;
    void *received;
    int error;

    begin_dpdk(text);
    error = try_port(text, &port);
    cr_assert_eq(error, 0, "%s", words.data);
    cr_assert_eq(pthread_create(&thread, NULL, use_queue, port), 0);
    nic = pal__d_port_nic(port, 0);
    for (int i = 0; i < 10000; i++) {
        struct frame *frames[32];
        int count = nic->ops->rx(nic, frames, 32);

        cr_assert_eq(nic->ops->tx(nic, frames, count), count);
    }
    cr_assert_eq(pthread_join(thread, &received), 0);
    cr_assert_eq((uintptr_t)received, 320000);
    pal__d_port_stop(port);
    cr_assert_eq(pal__d_port_close(port), 0);
    pal__d_eal_stop();
}
