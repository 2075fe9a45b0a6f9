/* nic_tap.c: a tap device of Linux as a nic. One read or write a frame; the pool is nic_frames.h's. */
#include "nic_tap.h"

#include "../netstack/nic_frames.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FRAMES_DEFAULT = 1024, LINK_HEADER_MAX = 18, FILTER_MAX = 64 };

struct nic_tap {
    struct nic nic;
    struct pal_allocator allocator;
    struct nic_frames frames;
    int fd;
    uint32_t mtu;
    uint8_t mac[MAC_SIZE];
    char name[IFNAMSIZ];
    struct tap_counts counts;
};

static struct nic_tap *tap_of(struct nic *nic)
{
    return (struct nic_tap *)(void *)nic;
}

static int tap_rx(struct nic *nic, struct frame **frames, int max)
{
    struct nic_tap *tap = tap_of(nic);
    int count = 0;

    while (count < max) {
        struct frame *frame = pal__n_frames_alloc(&tap->frames);
        ssize_t size;

        if (frame == NULL) {
            tap->counts.rx_none++;
            break;
        }
        size = read(tap->fd, frame->data, frame_tailroom(frame));
        if (size > 0 && (size_t)size <= tap->mtu + LINK_HEADER_MAX) {
            frame->size = (uint32_t)size;
            frames[count++] = frame;
            continue;
        }
        pal__n_frames_free(&tap->frames, frame);
        if (size <= 0)
            break; /* nothing there, or the device is down: the same to us */
        tap->counts.rx_large++;
    }
    tap->counts.received += (uint64_t)count;
    return count;
}

static int tap_tx(struct nic *nic, struct frame **frames, int count)
{
    struct nic_tap *tap = tap_of(nic);
    int i;

    for (i = 0; i < count; i++) {
        ssize_t size = write(tap->fd, frames[i]->data, frames[i]->size);

        if (size < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOBUFS))
            break;
        if (size < 0)
            tap->counts.tx_failed++;
        else
            tap->counts.sent++;
        frame_free(frames[i]);
    }
    tap->counts.tx_full += i < count;
    return i;
}

static struct frame *tap_alloc(struct nic *nic)
{
    return pal__n_frames_alloc(&tap_of(nic)->frames);
}

static void tap_free(struct nic *nic, struct frame *frame)
{
    pal__n_frames_free(&tap_of(nic)->frames, frame);
}

static void tap_caps(const struct nic *nic, struct nic_caps *out)
{
    const struct nic_tap *tap = (const struct nic_tap *)(const void *)nic;

    memset(out, 0, sizeof(*out));
    out->flags = NIC_PADS; /* no wire, no least size */
    out->mtu = tap->mtu;
    out->frame_room = tap->frames.room;
    memcpy(out->mac, tap->mac, MAC_SIZE);
}

/* The driver's filter is by hash for groups: a few others come through. It is told of our own address and of broadcast
 * as well, as it judges these by the same list. */
static void tap_filter(struct nic *nic, const uint8_t (*macs)[MAC_SIZE], int count)
{
    union {
        struct tun_filter filter;
        uint8_t bytes[sizeof(struct tun_filter) + (FILTER_MAX + 2) * MAC_SIZE];
    } list;
    struct nic_tap *tap = tap_of(nic);
    uint8_t *at = list.bytes + offsetof(struct tun_filter, addr);
    bool all = count < 0 || count > FILTER_MAX || macs == NULL;

    memset(&list, 0, sizeof(list));
    list.filter.flags = all ? TUN_FLT_ALLMULTI : 0;
    list.filter.count = (uint16_t)(2 + (all ? 0 : count));
    memcpy(at, tap->mac, MAC_SIZE);
    memset(at + MAC_SIZE, 0xff, MAC_SIZE);
    if (!all)
        memcpy(at + (size_t)2 * MAC_SIZE, macs, (size_t)count * MAC_SIZE);
    (void)ioctl(tap->fd, TUNSETTXFILTER, &list); /* without it everything comes */
}

static const struct nic_ops tap_ops = {tap_rx, tap_tx, tap_alloc, tap_free, tap_caps, tap_filter};

/* 0, or why not: errno's numbers are the seam's. */
static int attach(struct nic_tap *tap, const char *name)
{
    struct ifreq request;

    memset(&request, 0, sizeof(request));
    if (name != NULL && strlen(name) >= sizeof(request.ifr_name))
        return PAL_EINVAL;
    if (name != NULL)
        memcpy(request.ifr_name, name, strlen(name));
    request.ifr_flags = IFF_TAP | IFF_NO_PI;
    tap->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (tap->fd < 0 || ioctl(tap->fd, TUNSETIFF, &request) < 0)
        return -errno;
    memcpy(tap->name, request.ifr_name, sizeof(tap->name));
    return 0;
}

/* The device's mtu, or an error. */
static int device_mtu(const struct nic_tap *tap)
{
    struct ifreq request;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), result;

    if (fd < 0)
        return -errno;
    memset(&request, 0, sizeof(request));
    memcpy(request.ifr_name, tap->name, sizeof(request.ifr_name));
    result = ioctl(fd, SIOCGIFMTU, &request) < 0 ? -errno : request.ifr_mtu;
    close(fd);
    return result;
}

static int begin(struct nic_tap *tap, const struct tap_config *config)
{
    static const uint8_t none[MAC_SIZE], mac[MAC_SIZE] = {0x02, 0x50, 0x41, 0x4c, 0x00, 0x01};
    uint32_t frames = config->frames == 0 ? FRAMES_DEFAULT : config->frames;
    int result = attach(tap, config->name);

    if (result == 0)
        result = device_mtu(tap);
    if (result < 0)
        return result;
    tap->mtu = config->mtu == 0 ? (uint32_t)result : config->mtu;
    if (tap->mtu < (uint32_t)result)
        return PAL_EINVAL;
    memcpy(tap->mac, memcmp(config->mac, none, MAC_SIZE) == 0 ? mac : config->mac, MAC_SIZE);
    tap->nic.ops = &tap_ops;
    /* A byte more than fits, to see what is too large. */
    return pal__n_frames_create(&tap->frames, &tap->allocator, &tap->nic, frames, tap->mtu + LINK_HEADER_MAX + 1)
               ? 0
               : PAL_ENOMEM;
}

int pal__tap_open(const struct tap_config *config, struct nic_tap **out)
{
    const struct pal_allocator *allocator = config->allocator;
    struct nic_tap *tap = allocator->alloc(allocator->context, sizeof(*tap), 8);
    int error;

    if (tap == NULL)
        return PAL_ENOMEM;
    memset(tap, 0, sizeof(*tap));
    tap->allocator = *allocator;
    tap->fd = -1;
    error = begin(tap, config);
    if (error != 0) {
        pal__tap_close(tap);
        return error;
    }
    *out = tap;
    return 0;
}

void pal__tap_close(struct nic_tap *tap)
{
    struct pal_allocator allocator = tap->allocator;

    if (tap->fd >= 0)
        close(tap->fd);
    if (tap->frames.pool.memory != NULL)
        pal__n_frames_destroy(&tap->frames, &allocator);
    allocator.free(allocator.context, tap, sizeof(*tap));
}

struct nic *pal__tap_nic(struct nic_tap *tap)
{
    return &tap->nic;
}

int pal__tap_fd(const struct nic_tap *tap)
{
    return tap->fd;
}

const char *pal__tap_name(const struct nic_tap *tap)
{
    return tap->name;
}

uint32_t pal__tap_used(const struct nic_tap *tap)
{
    return tap->frames.pool.used;
}

const struct tap_counts *pal__tap_counts(const struct nic_tap *tap)
{
    return &tap->counts;
}
