/* test_preflight.c: the dry run, on a made-up system of a few files: what is missing is said, with the remedy. */
#include "../../backends/dpdk/preflight.h"

#include "support/test.h"
#include <arpa/inet.h>
#include <ftw.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[] = "/tmp/palio-preflight-XXXXXX";
static char words_buffer[DPDK_WORDS_MAX], notes_buffer[4 * DPDK_WORDS_MAX];
static struct base_text words, notes;
static struct dpdk_plan plan;

/* ---- the system ---- */

/* A path below the root, its folders made. */
static void place(const char *path, char *out, size_t size)
{
    snprintf(out, size, "%s%s", root, path);
    for (char *at = out + strlen(root) + 1; (at = strchr(at, '/')) != NULL; at++) {
        *at = '\0';
        (void)mkdir(out, 0755);
        *at = '/';
    }
}

static void write_file(const char *path, const char *text)
{
    char name[512];
    FILE *file;

    place(path, name, sizeof(name));
    file = fopen(name, "w");
    cr_assert(file != NULL, "%s", name);
    fputs(text, file);
    fclose(file);
}

static void make_link(const char *path, const char *target)
{
    char name[512];

    place(path, name, sizeof(name));
    cr_assert_eq(symlink(target, name), 0);
}

static void set_hugepages(unsigned count)
{
    char text[32];

    snprintf(text, sizeof(text), "%u\n", count);
    write_file("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", text);
    write_file("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", text);
    write_file("/sys/kernel/mm/hugepages/hugepages-2048kB/resv_hugepages", "0\n");
}

static void set_available(unsigned mib)
{
    char text[128];

    snprintf(text, sizeof(text), "MemTotal: 99999999 kB\nMemAvailable:   %u kB\n", mib * 1024);
    write_file("/proc/meminfo", text);
}

static void begin(void)
{
    cr_assert(mkdtemp(root) != NULL);
    set_hugepages(0);
    set_available(4096);
    write_file("/proc/self/status", "Name:\tx\nCapEff:\t000001ffffffffff\n");
    write_file("/dev/net/tun", "");
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    (void)status;
    (void)kind;
    (void)where;
    return remove(path);
}

static void end(void)
{
    (void)nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

TestSuite(dpdk_preflight, .init = begin, .fini = end);

static int fly(const char *text)
{
    struct dpdk_settings settings;
    int error;

    base_text_init(&words, words_buffer, sizeof(words_buffer));
    base_text_init(&notes, notes_buffer, sizeof(notes_buffer));
    error = pal__d_settings_read(&settings, text, &words);
    cr_assert_eq(error, 0, "%s", words.data);
    return pal__d_preflight(&settings, root, &plan, &notes, &words);
}

static void flies(const char *text)
{
    int error = fly(text);

    cr_assert_eq(error, 0, "%s: %s: %s", text, pal_error_name(error), words.data);
    cr_assert_eq(words.size, 0, "%s", words.data);
}

static void refused(int code, const char *text, const char *first, const char *second)
{
    int error = fly(text);

    cr_expect_eq(error, code, "%s: %s: %s", text, pal_error_name(error), words.data);
    cr_expect(strstr(words.data, first) != NULL, "\"%s\" does not say \"%s\"", words.data, first);
    cr_expect(strstr(words.data, second) != NULL, "\"%s\" does not say \"%s\"", words.data, second);
}

static void noted(const char *text)
{
    cr_expect(strstr(notes.data, text) != NULL, "\"%s\" does not say \"%s\"", notes.data, text);
}

/* ---- memory ---- */

Test(dpdk_preflight, hugepages_are_taken_where_there_are_enough)
{
    set_hugepages(128);
    flies("device net_ring0");
    cr_assert(plan.hugepages);
    cr_assert_eq(notes.size, 0, "%s", notes.data);
    cr_assert_leq(plan.memory_mib, 256);
    cr_assert_geq(plan.memory_mib, 100); /* 16384 buffers of 2.6 KiB, and DPDK */
    flies("device net_ring0 ; hugepages off");
    cr_assert_not(plan.hugepages);
}

Test(dpdk_preflight, larger_hugepages_count_too)
{
    write_file("/sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages", "1\n");
    flies("device net_ring0");
    cr_assert(plan.hugepages);
}

Test(dpdk_preflight, reserved_hugepages_are_somebody_elses)
{
    set_hugepages(128);
    write_file("/sys/kernel/mm/hugepages/hugepages-2048kB/resv_hugepages", "100\n");
    flies("device net_ring0");
    cr_assert_not(plan.hugepages);
}

Test(dpdk_preflight, without_hugepages_ordinary_memory_is_used_and_told)
{
    set_hugepages(3);
    flies("device net_ring0");
    cr_assert_not(plan.hugepages);
    noted("ordinary memory");
    noted("6 MiB are free");
    noted("sysctl vm.nr_hugepages=");
}

Test(dpdk_preflight, hugepages_that_must_be_are_missed)
{
    refused(PAL_ENOMEM, "device net_ring0 ; hugepages on", "0 MiB are free", "sysctl vm.nr_hugepages=");
}

Test(dpdk_preflight, too_little_memory_is_told)
{
    set_available(64);
    refused(PAL_ENOMEM, "device net_ring0 ; mbufs 100000", "mbufs \"100000\"", "64 MiB available");
}

Test(dpdk_preflight, memory_grows_with_what_is_asked_for)
{
    uint32_t one;

    flies("device net_ring0 ; mbufs 8192");
    one = plan.memory_mib;
    flies("device net_ring0 ; mbufs 8192 ; queues 4");
    cr_assert_gt(plan.memory_mib, one + 60);
    flies("device net_ring0 ; mtu 9000 ; mbufs 8192");
    cr_assert_gt(plan.memory_mib, one + 50);
}

/* ---- CPUs ---- */

Test(dpdk_preflight, a_cpu_that_is_not_there_is_named)
{
    refused(PAL_EINVAL, "device net_ring0 ; cores 1023", "cores \"1023\"", "taskset");
}

/* ---- devices ---- */

Test(dpdk_preflight, a_tap_needs_its_file)
{
    char name[256];

    flies("device net_tap0,iface=palio-none");
    snprintf(name, sizeof(name), "%s/dev/net/tun", root);
    cr_assert_eq(unlink(name), 0);
    refused(PAL_ENODEV, "device net_tap0,iface=palio-none", "/dev/net/tun", "modprobe tun");
}

Test(dpdk_preflight, a_tap_needs_a_capability)
{
    write_file("/proc/self/status", "CapEff:\t0000000000000000\n");
    refused(PAL_EPERM, "device net_tap0", "cap_net_admin", "root");
    write_file("/proc/self/status", "CapEff:\t0000000000001000\n");
    flies("device net_tap0");
    refused(PAL_EPERM, "device net_af_packet0,iface=lo", "cap_net_raw", "root");
}

Test(dpdk_preflight, a_tap_is_no_other_interface)
{
    refused(PAL_EBUSY, "device net_tap0,iface=lo", "lo", "another name");
}

Test(dpdk_preflight, an_interface_is_named_and_there_and_up)
{
    refused(PAL_EINVAL, "device net_af_packet0", "net_af_packet0", ",iface=NAME");
    refused(PAL_ENODEV, "device net_af_packet0,iface=palio-none", "palio-none", "ip link");
    refused(PAL_ENODEV, "device net_af_xdp0,iface=a-name-that-is-longer-than-any", "a-name-that", "ip link");
}

/* An IPv4 address of the kernel's that is no loopback address, as text, if there is one. */
static bool find_own_address(char *text)
{
    struct ifaddrs *list;
    bool found = false;

    cr_assert_eq(getifaddrs(&list), 0);
    for (struct ifaddrs *at = list; at != NULL && !found; at = at->ifa_next) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)at->ifa_addr;

        found = in != NULL && in->sin_family == AF_INET && (at->ifa_flags & IFF_LOOPBACK) == 0;
        if (found)
            cr_assert(inet_ntop(AF_INET, &in->sin_addr, text, INET_ADDRSTRLEN) != NULL);
    }
    freeifaddrs(list);
    return found;
}

Test(dpdk_preflight_kernel, an_address_of_the_kernels_is_refused)
{
    char own[INET_ADDRSTRLEN], text[128];

    if (!find_own_address(own))
        test_skip("interfaces", "there is none with an IPv4 address");
    begin();
    flies("device net_tap0 ; address 198.51.100.7/24");
    snprintf(text, sizeof(text), "device net_tap0 ; address %s/24", own);
    refused(PAL_EADDRINUSE, text, own, "ip addr flush dev");
    snprintf(text, sizeof(text), "device net_ring0 ; address %s/24", own);
    flies(text); /* on no wire of the kernel's */
    end();
}

Test(dpdk_preflight, files_and_folders_are_looked_for)
{
    refused(PAL_ENODEV, "device net_pcap0,rx_pcap=/none.pcap", "/none.pcap", "capture");
    write_file("/none.pcap", "");
    flies("device net_pcap0,rx_pcap=/none.pcap");
    refused(PAL_ENODEV, "device net_memif0,socket=/run/none/memif.sock", "/run/none", "make that folder");
    write_file("/run/none/x", "");
    flies("device net_memif0,socket=/run/none/memif.sock");
    cr_assert(plan.shares_memory);
}

Test(dpdk_preflight, a_card_is_there_and_ours)
{
    refused(PAL_ENODEV, "device 0000:01:00.0", "0000:01:00.0", "lspci");
    write_file("/sys/bus/pci/devices/0000:01:00.0/numa_node", "-1\n");
    refused(PAL_ENODEV, "device 01:00.0", "no driver", "--bind=vfio-pci 0000:01:00.0");
    make_link("/sys/bus/pci/devices/0000:01:00.0/driver", "../../../bus/pci/drivers/ixgbe");
    refused(PAL_EBUSY, "device 0000:01:00.0", "ixgbe", "dpdk-devbind.py");
}

Test(dpdk_preflight, a_card_on_vfio_needs_its_group)
{
    write_file("/sys/bus/pci/devices/0000:01:00.0/numa_node", "0\n");
    make_link("/sys/bus/pci/devices/0000:01:00.0/driver", "../../../bus/pci/drivers/vfio-pci");
    make_link("/sys/bus/pci/devices/0000:01:00.0/iommu_group", "../../../kernel/iommu_groups/7");
    refused(PAL_ENODEV, "device 0000:01:00.0", "/dev/vfio/7", "root");
    write_file("/dev/vfio/7", "");
    flies("device 0000:01:00.0,x=y");
    cr_assert(plan.has_pci);
    noted("IOMMU");
    set_hugepages(200);
    flies("device 0000:01:00.0");
    cr_assert_eq(notes.size, 0, "%s", notes.data);
}

Test(dpdk_preflight, a_card_at_another_node_is_noted)
{
    set_hugepages(200);
    write_file("/sys/bus/pci/devices/0000:01:00.0/numa_node", "1\n");
    make_link("/sys/bus/pci/devices/0000:01:00.0/driver", "../../../bus/pci/drivers/mlx5_core");
    write_file("/sys/devices/system/node/node0/cpu0/online", "1\n");
    flies("device 0000:01:00.0 ; cores 0");
    noted("NUMA node 1");
    write_file("/sys/devices/system/node/node1/cpu0/online", "1\n");
    flies("device 0000:01:00.0 ; cores 0");
    cr_assert_eq(notes.size, 0, "%s", notes.data);
}

Test(dpdk_preflight, kinds_are_told_from_names)
{
    static const struct {
        const char *text;
        enum dpdk_kind kind;
    } cases[] = {{"net_ring0", DPDK_RING},   {"net_tap1,iface=x", DPDK_TAP},   {"net_af_packet0", DPDK_PACKET},
                 {"net_af_xdp0", DPDK_XDP},  {"net_memif", DPDK_SOCKET},       {"0000:01:00.0", DPDK_PCI},
                 {"01:00.0,x=y", DPDK_PCI},  {"0000:01:00.0x", DPDK_OTHER},    {"net_nothing0", DPDK_OTHER},
                 {"abcd:ef:1f.7", DPDK_PCI}, {"net_pcap0,iface=x", DPDK_PCAP}, {"", DPDK_OTHER}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct dpdk_device device = {.mtu = 0};

        snprintf(device.text, sizeof(device.text), "%s", cases[i].text);
        cr_expect_eq(pal__d_device_kind(&device), cases[i].kind, "%s", cases[i].text);
    }
}
