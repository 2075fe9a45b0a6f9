/* preflight_device.c: a dry run of one device: is it there, may we, and is it in a state to carry packets. */
#include "preflight.h"

#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PATH_ROOM = 512, NET_ADMIN = 12, NET_RAW = 13 }; /* bits of CapEff */

/* What is checked, and where the answers go. */
struct check {
    const struct dpdk_settings *settings;
    uint32_t index;
    const struct dpdk_device *device;
    const char *root;
    struct base_text *notes, *words;
};

/* 0000:01:00.0 or 01:00.0. */
static bool is_pci(const char *text)
{
    unsigned number[4];
    char rest = ',';
    int read = sscanf(text, "%4x:%2x:%2x.%1x%c", &number[0], &number[1], &number[2], &number[3], &rest);

    if (read < 4)
        read = 1 + sscanf(text, "%2x:%2x.%1x%c", &number[0], &number[1], &number[2], &rest);
    return read >= 4 && rest == ',';
}

enum dpdk_kind pal__d_device_kind(const struct dpdk_device *device)
{
    static const struct {
        const char *name;
        enum dpdk_kind kind;
    } kinds[] = {
        {"net_ring", DPDK_RING},        {"net_null", DPDK_RING},    {"net_tap", DPDK_TAP},
        {"net_af_packet", DPDK_PACKET}, {"net_af_xdp", DPDK_XDP},   {"net_pcap", DPDK_PCAP},
        {"net_memif", DPDK_SOCKET},     {"net_vhost", DPDK_SOCKET}, {"net_virtio_user", DPDK_SOCKET},
    };

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strncmp(device->text, kinds[i].name, strlen(kinds[i].name)) == 0)
            return kinds[i].kind;
    return is_pci(device->text) ? DPDK_PCI : DPDK_OTHER;
}

/* ---- capabilities and interfaces ---- */

static bool has_capability(const char *root, int bit)
{
    char path[PATH_ROOM], line[128];
    uint64_t set = UINT64_MAX; /* what does not say so is let through: DPDK will see */
    FILE *file;

    snprintf(path, sizeof(path), "%s/proc/self/status", root);
    file = fopen(path, "re");
    if (file == NULL)
        return true;
    while (fgets(line, sizeof(line), file) != NULL)
        if (strncmp(line, "CapEff:", 7) == 0)
            set = strtoull(line + 7, NULL, 16);
    (void)fclose(file);
    return (set >> bit & 1) != 0;
}

static int need_capability(const struct check *check, int bit)
{
    const char *name = bit == NET_ADMIN ? "net_admin" : "net_raw";

    if (has_capability(check->root, bit))
        return 0;
    return pal__d_fail(check->words, PAL_EPERM,
                       "device \"%s\" needs the capability cap_%s; run as root, or once: setcap cap_net_admin,"
                       "cap_net_raw+ep PROGRAM",
                       check->device->text, name);
}

/* The interface's flags (IFF_*); -1: there is none. */
static int flags_of(const char *name)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), flags = -1;
    struct ifreq request;

    memset(&request, 0, sizeof(request));
    if (fd >= 0 && strlen(name) < sizeof(request.ifr_name)) {
        memcpy(request.ifr_name, name, strlen(name));
        if (ioctl(fd, SIOCGIFFLAGS, &request) == 0)
            flags = (unsigned short)request.ifr_flags;
    }
    if (fd >= 0)
        close(fd);
    return flags;
}

/* True if the kernel's driver of that interface says that it is a tap device. */
static bool is_tap(const char *name)
{
    struct ethtool_drvinfo info = {.cmd = ETHTOOL_GDRVINFO};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq request;
    bool tap = false;

    memset(&request, 0, sizeof(request));
    memcpy(request.ifr_name, name, strlen(name));
    request.ifr_data = (void *)&info;
    if (fd >= 0 && ioctl(fd, SIOCETHTOOL, &request) == 0)
        tap = strcmp(info.driver, "tun") == 0;
    if (fd >= 0)
        close(fd);
    return tap;
}

static bool is_own_address(const struct sockaddr *addr, const struct dpdk_address *own)
{
    if (addr != NULL && addr->sa_family == AF_INET && ip_is_v4(&own->ip)) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)addr;

        return memcmp(&in->sin_addr, ip_v4_bytes(&own->ip), 4) == 0;
    }
    if (addr != NULL && addr->sa_family == AF_INET6 && !ip_is_v4(&own->ip)) {
        const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)(const void *)addr;

        return memcmp(&in->sin6_addr, own->ip.bytes, 16) == 0;
    }
    return false;
}

/* On a wire that the kernel has an end of: an address of both would be answered by both. */
static int check_addresses(const struct check *check)
{
    struct ifaddrs *list, *at;
    int error = 0;

    if (getifaddrs(&list) != 0)
        return 0;
    for (at = list; at != NULL && error == 0; at = at->ifa_next) {
        for (uint32_t i = 0; i < check->settings->address_count && error == 0; i++) {
            const struct dpdk_address *own = &check->settings->addresses[i];

            if (own->device != check->index || !is_own_address(at->ifa_addr, own))
                continue;
            error = pal__d_fail(check->words, PAL_EADDRINUSE, "address \"");
            pal__d_print_ip(check->words, &own->ip);
            pal__d_say(check->words,
                       "\" is the kernel's as well, on %s, and both would answer; take another, or ip addr flush dev "
                       "%s",
                       at->ifa_name, at->ifa_name);
        }
    }
    freeifaddrs(list);
    return error;
}

/* The interface that a device's argument names, up. */
static int check_interface(const struct check *check, const char *name)
{
    int flags = flags_of(name);

    if (flags < 0)
        return pal__d_fail(check->words, PAL_ENODEV,
                           "device \"%s\": there is no interface %s in this network namespace; ip link shows those "
                           "that are there",
                           check->device->text, name);
    if ((flags & IFF_UP) == 0)
        return pal__d_fail(check->words, PAL_ENETDOWN, "device \"%s\": the interface %s is down; ip link set %s up",
                           check->device->text, name, name);
    if ((flags & IFF_RUNNING) == 0)
        pal__d_say(check->notes, "the interface %s has no carrier: nothing will pass until it does\n", name);
    return check_addresses(check);
}

/* ---- the kinds ---- */

static int check_file(const struct check *check, const char *path, int mode, const char *remedy)
{
    char name[PATH_ROOM];

    snprintf(name, sizeof(name), "%s%s", check->root, path);
    if (access(name, mode) == 0)
        return 0;
    return pal__d_fail(check->words, errno == ENOENT || errno == ENOTDIR ? PAL_ENODEV : PAL_EACCES,
                       "device \"%s\" needs %s (%s); %s", check->device->text, path, strerror(errno), remedy);
}

static int check_tap(const struct check *check)
{
    char iface[DPDK_WORD_MAX];
    int error =
        check_file(check, "/dev/net/tun", R_OK | W_OK,
                   "load the module tun (modprobe tun), give a container --device /dev/net/tun, or run as root");

    if (error == 0)
        error = need_capability(check, NET_ADMIN);
    if (error != 0)
        return error;
    if (pal__d_device_value(check->device, "iface", iface) && flags_of(iface) >= 0 && !is_tap(iface))
        return pal__d_fail(check->words, PAL_EBUSY,
                           "device \"%s\": the interface %s is there and no tap device; take another name",
                           check->device->text, iface);
    return check_addresses(check);
}

/* net_af_packet and net_af_xdp. */
static int check_packet(const struct check *check, int capability)
{
    char iface[DPDK_WORD_MAX];

    if (!pal__d_device_value(check->device, "iface", iface) || iface[0] == '\0')
        return pal__d_fail(check->words, PAL_EINVAL, "device \"%s\": it says no interface; add ,iface=NAME",
                           check->device->text);
    if (need_capability(check, capability) != 0)
        return PAL_EPERM;
    return check_interface(check, iface);
}

static int check_pcap(const struct check *check)
{
    char value[DPDK_WORD_MAX];
    int error = 0;

    if (pal__d_device_value(check->device, "rx_pcap", value))
        error = check_file(check, value, R_OK, "name a capture that can be read");
    if (error == 0 && pal__d_device_value(check->device, "iface", value)) {
        error = need_capability(check, NET_RAW);
        if (error == 0)
            error = check_interface(check, value);
    }
    return error;
}

/* The folder in which a unix socket is to be made or found. */
static int check_socket(const struct check *check)
{
    static const char *const keys[] = {"socket", "iface", "path"};
    char value[DPDK_WORD_MAX];

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        char *slash;

        if (!pal__d_device_value(check->device, keys[i], value) || (slash = strrchr(value, '/')) == NULL)
            continue;
        slash[slash == value] = '\0';
        return check_file(check, value, W_OK | X_OK, "make that folder, or name one that may be written to");
    }
    return 0;
}

/* The last part of what a link below root points to; false: there is none. */
static bool link_name(const char *root, const char *path, char *name, size_t size)
{
    char link[PATH_ROOM], target[PATH_ROOM];
    ssize_t length;
    const char *slash;

    snprintf(link, sizeof(link), "%s%s", root, path);
    length = readlink(link, target, sizeof(target) - 1);
    if (length < 0)
        return false;
    target[length] = '\0';
    slash = strrchr(target, '/');
    slash = slash != NULL ? slash + 1 : target;
    snprintf(name, size, "%.*s", (int)strnlen(slash, size - 1), slash);
    return true;
}

static void note_node(const struct check *check, const char *address)
{
    char path[PATH_ROOM], line[64];
    int node;

    snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/numa_node", address);
    if (!pal__d_read_line(check->root, path, line, sizeof(line)) || (node = atoi(line)) < 0)
        return;
    for (uint32_t i = 0; i < check->settings->core_count; i++) {
        char cpu[PATH_ROOM];

        snprintf(cpu, sizeof(cpu), "%s/sys/devices/system/node/node%d/cpu%u", check->root, node,
                 check->settings->cores[i]);
        if (access(cpu, F_OK) != 0)
            pal__d_say(check->notes, "device %s is at NUMA node %d and CPU %u is not: every packet crosses over\n",
                       address, node, check->settings->cores[i]);
    }
}

static int check_pci(const struct check *check)
{
    char name[DPDK_WORD_MAX], address[DPDK_WORD_MAX + 8], path[PATH_ROOM], driver[64], group[64];

    pal__d_device_name(check->device, name);
    snprintf(address, sizeof(address), "%s%s", strchr(name, ':') == strrchr(name, ':') ? "0000:" : "", name);
    snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s", address);
    if (check_file(check, path, F_OK, "lspci -D shows those that are there") != 0)
        return PAL_ENODEV;
    note_node(check, address);
    snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver", address);
    if (!link_name(check->root, path, driver, sizeof(driver)))
        return pal__d_fail(check->words, PAL_ENODEV,
                           "device \"%s\" has no driver; modprobe vfio-pci, then dpdk-devbind.py --bind=vfio-pci %s",
                           check->device->text, address);
    if (strncmp(driver, "mlx", 3) == 0 || strstr(driver, "uio") != NULL)
        return 0; /* Mellanox's work beside the kernel's driver */
    if (strcmp(driver, "vfio-pci") != 0)
        return pal__d_fail(check->words, PAL_EBUSY,
                           "device \"%s\" is the kernel's, by its driver %s; take it: modprobe vfio-pci, then "
                           "dpdk-devbind.py --bind=vfio-pci %s",
                           check->device->text, driver, address);
    snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", address);
    if (!link_name(check->root, path, group, sizeof(group)))
        return 0;
    snprintf(path, sizeof(path), "/dev/vfio/%s", group);
    return check_file(check, path, R_OK | W_OK, "run as root, or give yourself that file: chown");
}

int pal__d_preflight_device(const struct dpdk_settings *settings, uint32_t index, const char *root,
                            struct base_text *notes, struct base_text *words)
{
    struct check check = {settings, index, &settings->devices[index], root, notes, words};

    switch (pal__d_device_kind(check.device)) {
    case DPDK_PCI:
        return check_pci(&check);
    case DPDK_TAP:
        return check_tap(&check);
    case DPDK_PACKET:
        return check_packet(&check, NET_RAW);
    case DPDK_XDP:
        return check_packet(&check, NET_ADMIN);
    case DPDK_PCAP:
        return check_pcap(&check);
    case DPDK_SOCKET:
        return check_socket(&check);
    default:
        return 0; /* needs nothing, or is one of which DPDK knows more */
    }
}
