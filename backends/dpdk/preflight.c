/* preflight.c: a dry run: CPUs, memory, and by preflight_device.c every device. */
#include "preflight.h"

#include "mbuf.h"
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { PATH_MAX_ = 512, LINE_MAX_ = 256, MIB = 1 << 20, BASE_MIB = 64 };

static const char *const page_sizes[] = {"2048", "1048576"}; /* KiB */

bool pal__d_read_line(const char *root, const char *path, char *line, size_t size)
{
    char name[PATH_MAX_];
    FILE *file;
    bool read;

    snprintf(name, sizeof(name), "%s%s", root, path);
    file = fopen(name, "re");
    if (file == NULL)
        return false;
    read = fgets(line, (int)size, file) != NULL;
    (void)fclose(file);
    if (read)
        line[strcspn(line, "\n")] = '\0';
    return read;
}

/* ---- CPUs ---- */

static void say_cpus(struct base_text *words, const cpu_set_t *set)
{
    const char *comma = "";

    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        int first = cpu;

        if (!CPU_ISSET((size_t)cpu, set))
            continue;
        while (cpu + 1 < CPU_SETSIZE && CPU_ISSET((size_t)cpu + 1, set))
            cpu++;
        if (cpu > first)
            pal__d_say(words, "%s%d-%d", comma, first, cpu);
        else
            pal__d_say(words, "%s%d", comma, first);
        comma = ",";
    }
}

static int check_cpus(const struct dpdk_settings *settings, struct base_text *words)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof(set), &set) != 0)
        return 0; /* more CPUs than the set has: DPDK will say */
    for (uint32_t i = 0; i < settings->core_count; i++) {
        if (settings->cores[i] < CPU_SETSIZE && CPU_ISSET((size_t)settings->cores[i], &set))
            continue;
        (void)pal__d_fail(words, PAL_EINVAL, "cores \"%u\": this process may run on the CPUs ", settings->cores[i]);
        say_cpus(words, &set);
        pal__d_say(words, " only; name these, or start it with taskset or cpusets that allow more");
        return PAL_EINVAL;
    }
    return 0;
}

/* ---- memory ---- */

/* Of those that may cut segments, each queue has large buffers besides (port.c). */
static bool may_have_large(const struct dpdk_device *device)
{
    enum dpdk_kind kind = pal__d_device_kind(device);

    return kind == DPDK_PCI || kind == DPDK_TAP || kind == DPDK_SOCKET;
}

/* What the buffers take, the rings and DPDK itself, in MiB. */
static uint32_t memory_needed(const struct dpdk_settings *settings)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < settings->device_count; i++) {
        uint64_t one = (uint64_t)settings->mbufs * pal__d_mbuf_size(settings->devices[i].mtu);

        one += (uint64_t)settings->mbufs * 32;                                             /* the pool's ring */
        one += ((uint64_t)settings->rx_descriptors + settings->tx_descriptors) * 64 + MIB; /* the device's */
        if (may_have_large(&settings->devices[i]))
            one += (uint64_t)DPDK_LARGE_COUNT * (pal__d_mbuf_size(0) - DPDK_ROOM_LEAST + DPDK_LARGE_ROOM + 32);
        bytes += one * settings->queues;
    }
    return (uint32_t)(BASE_MIB + bytes / MIB + bytes / MIB / 16 + 1);
}

static uint64_t number_of(const char *root, const char *path)
{
    char line[LINE_MAX_];

    return pal__d_read_line(root, path, line, sizeof(line)) ? strtoull(line, NULL, 10) : 0;
}

/* MiB in free huge pages of all sizes. */
static uint64_t free_hugepages(const char *root)
{
    uint64_t mib = 0;

    for (size_t i = 0; i < sizeof(page_sizes) / sizeof(page_sizes[0]); i++) {
        char path[PATH_MAX_];
        uint64_t count, reserved;

        snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/hugepages-%skB/free_hugepages", page_sizes[i]);
        count = number_of(root, path);
        snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/hugepages-%skB/resv_hugepages", page_sizes[i]);
        reserved = number_of(root, path);
        mib += (count > reserved ? count - reserved : 0) * (strtoull(page_sizes[i], NULL, 10) / 1024);
    }
    return mib;
}

/* MiB that MemAvailable of /proc/meminfo has; UINT64_MAX: it does not say. */
static uint64_t available_memory(const char *root)
{
    char path[PATH_MAX_], line[LINE_MAX_];
    uint64_t mib = UINT64_MAX;
    FILE *file;

    snprintf(path, sizeof(path), "%s/proc/meminfo", root);
    file = fopen(path, "re");
    if (file == NULL)
        return mib;
    while (fgets(line, sizeof(line), file) != NULL)
        if (strncmp(line, "MemAvailable:", 13) == 0)
            mib = strtoull(line + 13, NULL, 10) / 1024;
    (void)fclose(file);
    return mib;
}

/* Takes one huge page and gives it back: false, and errno, if that is not allowed. */
static bool may_map_hugepage(void)
{
    size_t size = 2 * (size_t)MIB;
    void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);

    if (page == MAP_FAILED)
        return false;
    munmap(page, size);
    return true;
}

/* 0, or why there are no huge pages for it; words says it. */
static int check_hugepages(uint32_t needed_mib, const char *root, struct base_text *words)
{
    uint64_t free_mib = free_hugepages(root);
    uint64_t total = number_of(root, "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages");

    if (free_mib < needed_mib)
        return pal__d_fail(words, PAL_ENOMEM,
                           "hugepages: %u MiB are needed and %llu MiB are free; sysctl vm.nr_hugepages=%llu makes more "
                           "(as root), fewer mbufs need less, and \"hugepages auto\" does without",
                           (unsigned)needed_mib, (unsigned long long)free_mib,
                           (unsigned long long)(total + (needed_mib - free_mib + 1) / 2));
    if (root[0] == '\0' && !may_map_hugepage())
        return pal__d_fail(words, PAL_EPERM,
                           "hugepages: there are some, and this process may not map one (%s); look at the limits of "
                           "its control group (hugetlb.2MB.max), or say \"hugepages off\"",
                           strerror(errno));
    return 0;
}

static int check_memory(const struct dpdk_settings *settings, const char *root, struct dpdk_plan *out,
                        struct base_text *notes, struct base_text *words)
{
    uint64_t available_mib;

    out->memory_mib = memory_needed(settings);
    if (settings->hugepages != DPDK_OFF) {
        int error = check_hugepages(out->memory_mib, root, words);

        out->hugepages = error == 0;
        if (error == 0 || settings->hugepages == DPDK_ON)
            return error;
        pal__d_say(notes, "ordinary memory is used, which is slower. %s\n", words->data);
        base_text_clear(words);
    }
    available_mib = available_memory(root);
    if (available_mib >= out->memory_mib)
        return 0;
    return pal__d_fail(words, PAL_ENOMEM,
                       "mbufs \"%u\": %u MiB are needed and the system has %llu MiB available; say fewer mbufs, queues "
                       "or descriptors",
                       (unsigned)settings->mbufs, (unsigned)out->memory_mib, (unsigned long long)available_mib);
}

int pal__d_preflight(const struct dpdk_settings *settings, const char *root, struct dpdk_plan *out,
                     struct base_text *notes, struct base_text *words)
{
    int error = check_cpus(settings, words);

    memset(out, 0, sizeof(*out));
    for (uint32_t i = 0; i < settings->device_count && error == 0; i++) {
        enum dpdk_kind kind = pal__d_device_kind(&settings->devices[i]);

        out->has_pci = out->has_pci || kind == DPDK_PCI;
        out->shares_memory = out->shares_memory || kind == DPDK_SOCKET;
        error = pal__d_preflight_device(settings, i, root, notes, words);
    }
    if (error == 0)
        error = check_memory(settings, root, out, notes, words);
    if (error == 0 && out->has_pci && !out->hugepages)
        pal__d_say(notes,
                   "a PCI device works on ordinary memory only behind an IOMMU (vfio-pci); else give it "
                   "huge pages: sysctl vm.nr_hugepages=%u\n",
                   (unsigned)(out->memory_mib / 2 + 1));
    return error;
}
