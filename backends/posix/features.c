/* features.c: which fast features this kernel has, asked once a process for pal_backend_info (rule 15: two sockets that
 * nobody sees, closed again at once). Headers and kernel versions prove nothing: a kernel may be built without a
 * feature, and a sandbox may hide it, so each is tried on a socket of the kind that it is for. */
#include "kernel.h"

#include "sys.h"

#include <linux/net_tstamp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <sys/sendfile.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#define UDP_GRO 104
#endif
#ifndef SO_PREFER_BUSY_POLL
#define SO_PREFER_BUSY_POLL 69
#endif

enum { ASK = -1 }; /* reading the option is enough; else setting it to this value, which changes nothing elsewhere */

static const struct probe {
    uint64_t cap;
    int type, level, name, value;
} probes[] = {
    {PAL_CAP_STAMPS, SOCK_DGRAM, SOL_SOCKET, SO_TIMESTAMPING,
     SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_ID | SOF_TIMESTAMPING_OPT_TSONLY},
    {PAL_CAP_GSO, SOCK_DGRAM, IPPROTO_UDP, UDP_SEGMENT, 0},
    {PAL_CAP_GRO, SOCK_DGRAM, IPPROTO_UDP, UDP_GRO, 0},
    {PAL_CAP_BUSY_POLL, SOCK_DGRAM, SOL_SOCKET, SO_BUSY_POLL, ASK},
    {PAL_CAP_PREFER_BUSY_POLL, SOCK_DGRAM, SOL_SOCKET, SO_PREFER_BUSY_POLL, ASK},
    {PAL_CAP_INCOMING_CPU, SOCK_DGRAM, SOL_SOCKET, SO_INCOMING_CPU, ASK},
    {PAL_CAP_TX_COMPLETION, SOCK_STREAM, SOL_SOCKET, SO_ZEROCOPY, 0},
    {PAL_CAP_QUICKACK, SOCK_STREAM, IPPROTO_TCP, TCP_QUICKACK, ASK},
    {PAL_CAP_USER_TIMEOUT, SOCK_STREAM, IPPROTO_TCP, TCP_USER_TIMEOUT, ASK},
};

static bool is_there(int fd, const struct probe *probe)
{
    int value = probe->value;
    socklen_t size = sizeof value;
    if (value == ASK)
        return getsockopt(fd, probe->level, probe->name, &value, &size) == 0;
    return setsockopt(fd, probe->level, probe->name, &value, size) == 0;
}

/* What sockets of this type can do. */
static uint64_t probe_sockets(int type)
{
    uint64_t found = 0;
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    if (fd < 0)
        fd = socket(AF_INET6, type | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return 0;
    for (size_t i = 0; i < sizeof probes / sizeof *probes; i++)
        if (probes[i].type == type && is_there(fd, &probes[i]))
            found |= probes[i].cap;
    sys_close(fd);
    return found;
}

/* A call whose arguments are wrong for it is known where the kernel says so. */
static uint64_t probe_calls(void)
{
    uint64_t found = pal__k_has_pidfds() ? PAL_CAP_WATCH_CHILD : 0;
    return CHECKED(sendfile(-1, -1, NULL, 0)) == -EBADF ? found | PAL_CAP_SENDFILE : found;
}

uint64_t pal__k_features(void)
{
    static _Atomic uint64_t known; /* 0: not asked yet; else what was found, and this mark */
    const uint64_t mark = UINT64_C(1) << 63;
    uint64_t found = atomic_load_explicit(&known, memory_order_relaxed);
    if (!found) {
        found = probe_sockets(SOCK_DGRAM) | probe_sockets(SOCK_STREAM) | probe_calls() | mark;
        atomic_store_explicit(&known, found, memory_order_relaxed);
    }
    return found & ~mark;
}

/* Several threads may be the first: one of them writes, with a value that all of them have found. */
const struct pal_backend *pal__k_describe(struct pal_backend *info, uint64_t caps)
{
    uint64_t none = 0;
    if (!__atomic_load_n(&info->caps, __ATOMIC_ACQUIRE))
        __atomic_compare_exchange_n(&info->caps, &none, caps | pal__k_features(), false, __ATOMIC_ACQ_REL,
                                    __ATOMIC_ACQUIRE);
    return info;
}
