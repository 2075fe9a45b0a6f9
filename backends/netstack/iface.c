/* iface.c: interfaces and their addresses: adding, removing, detecting duplicates, and which of them to send from.
 *
 * Frames are ether.c's, groups mcast.c's, questions about duplicates arp.c's and nd.c's; when these are asked, and what
 * follows from silence, is here. An address that is not ready is neither used nor answered for. */
#include "stack.h"
#include "wire.h"

enum {
    DAD_PROBES = 3,        /* RFC 5227 1.1: PROBE_NUM */
    DAD_ANNOUNCEMENTS = 2, /* ANNOUNCE_NUM */
    MTU_MIN = 68           /* RFC 791: what every link carries */
};

#define SECOND_NS UINT64_C(1000000000)

/* ---- looking up ---- */

struct iface *pal__n_iface_at(struct netstack *stack, uint32_t ifindex)
{
    return ifindex >= 1 && ifindex <= stack->iface_count ? stack->ifaces[ifindex - 1] : NULL;
}

struct iface_addr *pal__n_iface_addr(struct iface *iface, const struct ip *ip)
{
    bool is_any_loopback = iface_is_loopback(iface) && ip_is_v4(ip) && ip_is_loopback(ip);

    for (uint32_t i = 0; i < iface->addr_end; i++) {
        struct iface_addr *addr = &iface->addrs[i];

        if (!addr->used)
            continue;
        if (ip_equal(&addr->ip, ip) || (is_any_loopback && ip_is_v4(&addr->ip) && ip_is_loopback(&addr->ip)))
            return addr;
    }
    return NULL;
}

struct iface *pal__n_iface_owning(struct netstack *stack, const struct ip *ip)
{
    for (uint32_t i = 0; i < stack->iface_count; i++) {
        const struct iface_addr *addr = pal__n_iface_addr(stack->ifaces[i], ip);

        if (addr != NULL && addr->state == ADDR_READY)
            return stack->ifaces[i];
    }
    return NULL;
}

static bool is_broadcast_of(const struct iface_addr *addr, const struct ip *ip)
{
    uint32_t hosts = addr->prefix_size >= 31 ? 0 : UINT32_MAX >> addr->prefix_size; /* RFC 3021: /31 has none */

    return hosts != 0 && ip_number(ip) == (ip_number(&addr->ip) | hosts);
}

bool pal__n_iface_is_broadcast(const struct iface *iface, const struct ip *ip)
{
    if (!ip_is_v4(ip))
        return false;
    if (ip_is_limited_broadcast(ip))
        return true;
    if (iface_is_loopback(iface))
        return false;
    for (uint32_t i = 0; i < iface->addr_end; i++) {
        const struct iface_addr *addr = &iface->addrs[i];

        if (addr->used && ip_is_v4(&addr->ip) && is_broadcast_of(addr, ip))
            return true;
    }
    return false;
}

/* ---- the address to send from ---- */

enum { SCOPE_INTERFACE = 1, SCOPE_LINK = 2, SCOPE_GLOBAL = 14 };

/* RFC 6724 3.1. */
static unsigned scope_of(const struct ip *ip)
{
    if (ip_is_v4(ip))
        return SCOPE_GLOBAL;
    if (ip_is_multicast(ip))
        return ip->bytes[1] & 15;
    return ip_is_link_local(ip) || ip_is_loopback(ip) ? SCOPE_LINK : SCOPE_GLOBAL;
}

/* How much of dst's prefix the address shares, within its own subnet; IPv4: all of it or nothing (RFC 1122 3.3.4.3). */
static unsigned nearness(const struct iface_addr *addr, const struct ip *dst)
{
    unsigned common = ip_common_bits(&addr->ip, dst);

    if (ip_is_v4(dst))
        return common >= addr->prefix_size + 96U ? addr->prefix_size + 1U : 0;
    return common < addr->prefix_size ? common : addr->prefix_size;
}

/* Is left better than right to send from to dst? RFC 6724 5, rules 1, 2 and 8; then the one that came first. */
static bool is_better(const struct iface_addr *left, const struct iface_addr *right, const struct ip *dst)
{
    unsigned left_scope = scope_of(&left->ip), right_scope = scope_of(&right->ip), wanted = scope_of(dst);
    unsigned left_near = nearness(left, dst), right_near = nearness(right, dst);

    if (ip_equal(&left->ip, dst) != ip_equal(&right->ip, dst))
        return ip_equal(&left->ip, dst);
    if (left_scope != right_scope) /* the smaller one, if it reaches that far */
        return left_scope < right_scope ? left_scope >= wanted : right_scope < wanted;
    if (left_near != right_near)
        return left_near > right_near;
    return left->serial < right->serial;
}

bool pal__n_iface_source(struct iface *iface, const struct ip *dst, struct ip *out)
{
    const struct iface_addr *best = NULL;

    for (uint32_t i = 0; i < iface->addr_end; i++) {
        const struct iface_addr *addr = &iface->addrs[i];

        if (addr->used && addr->state == ADDR_READY && ip_is_v4(&addr->ip) == ip_is_v4(dst) &&
            (best == NULL || is_better(addr, best, dst)))
            best = addr;
    }
    if (best == NULL)
        return false;
    *out = best->ip;
    return true;
}

/* ---- duplicate address detection (RFC 4862 5.4, RFC 5227 2.1) ---- */

/* ff02::1:ffxx:xxxx (RFC 4291 2.7.1). */
static struct ip solicited_node(const struct ip *ip)
{
    struct ip group = {{0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 0, 0}};

    memcpy(group.bytes + 13, ip->bytes + 13, 3);
    return group;
}

static uint64_t up_to_a_second(struct netstack *stack)
{
    return pal__n_random_below(&stack->random, (uint32_t)SECOND_NS);
}

static void begin(struct iface_addr *addr)
{
    struct netstack *stack = addr->iface->stack;

    if ((stack->config.flags & NETSTACK_DAD) == 0 || iface_is_loopback(addr->iface)) {
        addr->state = ADDR_READY;
        return;
    }
    addr->state = ADDR_TENTATIVE;
    pal__n_timer_set(stack, &addr->timer, stack->now_ns + up_to_a_second(stack));
}

static void become_ready(struct iface_addr *addr)
{
    addr->state = ADDR_READY;
    pal__n_route_changed(addr->iface->stack); /* paths may now send from it */
}

/* One question; nobody has said a word within a second: it is ours. */
static void step6(struct netstack *stack, struct iface_addr *addr, uint64_t due_ns)
{
    if (addr->probes > 0) {
        become_ready(addr);
        return;
    }
    addr->probes = 1;
    pal__n_nd_probe(addr);
    pal__n_timer_set(stack, &addr->timer, due_ns + SECOND_NS);
}

/* Three questions one to two seconds apart, two seconds of waiting; then, in use, two announcements. */
static void step4(struct netstack *stack, struct iface_addr *addr, uint64_t due_ns)
{
    uint64_t wait_ns = 2 * SECOND_NS;

    if (addr->probes == DAD_PROBES)
        become_ready(addr);
    addr->probes++;
    pal__n_arp_announce(addr);
    if (addr->probes < DAD_PROBES)
        wait_ns = SECOND_NS + up_to_a_second(stack);
    if (addr->probes < DAD_PROBES + DAD_ANNOUNCEMENTS)
        pal__n_timer_set(stack, &addr->timer, due_ns + wait_ns);
}

void pal__n_addr_timer(struct netstack *stack, struct timer *timer, uint64_t due_ns)
{
    struct iface_addr *addr = BASE_CONTAINER_OF(timer, struct iface_addr, timer);

    if (!addr->used || addr->state == ADDR_DUPLICATE)
        return;
    /* Who slept for long still leaves the others their time to object. */
    if (stack->now_ns - due_ns > SECOND_NS / 2)
        due_ns = stack->now_ns;
    if (ip_is_v4(&addr->ip))
        step4(stack, addr, due_ns);
    else
        step6(stack, addr, due_ns);
}

void pal__n_addr_duplicate(struct iface_addr *addr)
{
    struct netstack *stack = addr->iface->stack;

    if (addr->state != ADDR_TENTATIVE)
        return;
    addr->state = ADDR_DUPLICATE;
    pal__n_timer_stop(stack, &addr->timer);
    count(stack, ip_is_v4(&addr->ip) ? COUNTER_arp_conflict : COUNTER_nd_duplicate);
}

/* ---- addresses ---- */

static bool is_host(const struct iface *iface, const struct ip *ip, unsigned prefix_size)
{
    if (ip_is_unspecified(ip) || ip_is_multicast(ip) || ip_is_limited_broadcast(ip) ||
        ip_is_loopback(ip) != iface_is_loopback(iface))
        return false;
    if (!ip_is_v4(ip))
        return prefix_size <= 128 && !iface->ip6_off;
    if (prefix_size >= 31)
        return prefix_size <= 32;
    /* Neither the subnet itself nor its broadcast. */
    return (ip_number(ip) << prefix_size) != 0 && (~ip_number(ip) << prefix_size) != 0;
}

/* Of a link-local address each link has its own. */
static bool is_taken(struct netstack *stack, struct iface *iface, const struct ip *ip)
{
    for (uint32_t i = 0; i < stack->iface_count; i++) {
        const struct iface_addr *addr = pal__n_iface_addr(stack->ifaces[i], ip);

        if (addr != NULL && ip_equal(&addr->ip, ip) && (stack->ifaces[i] == iface || !ip_needs_scope(ip)))
            return true;
    }
    return false;
}

static struct iface_addr *free_entry(struct iface *iface)
{
    for (uint32_t i = 0; i < IFACE_ADDRS_MAX; i++) {
        if (!iface->addrs[i].used)
            return &iface->addrs[i];
    }
    return NULL;
}

int pal__n_addr_add(struct netstack *stack, uint32_t ifindex, const struct ip *ip, unsigned prefix_size)
{
    struct iface *iface = pal__n_iface_at(stack, ifindex);
    struct iface_addr *addr;
    struct ip group;
    int error;

    if (iface == NULL)
        return PAL_ENODEV;
    if (!is_host(iface, ip, prefix_size))
        return PAL_EINVAL;
    if (is_taken(stack, iface, ip))
        return PAL_EEXIST;
    addr = free_entry(iface);
    if (addr == NULL)
        return PAL_ENOBUFS;
    if (!ip_is_v4(ip) && !iface_is_loopback(iface)) { /* before any question about it (RFC 4862 5.4.2) */
        group = solicited_node(ip);
        error = pal__n_mcast_use(iface, &group);
        if (error < 0)
            return error;
    }
    error = pal__n_route_add_link(iface, ip, prefix_size);
    if (error < 0) {
        if (!ip_is_v4(ip) && !iface_is_loopback(iface))
            pal__n_mcast_unuse(iface, &group);
        return error;
    }
    memset(addr, 0, sizeof(*addr));
    timer_init(&addr->timer, TIMER_ADDR);
    addr->ip = *ip;
    addr->iface = iface;
    addr->prefix_size = (uint8_t)prefix_size;
    addr->serial = ++iface->addr_serial;
    addr->used = true;
    if (addr >= iface->addrs + iface->addr_end)
        iface->addr_end = (uint32_t)(addr - iface->addrs) + 1;
    pal__n_route_changed(stack);
    begin(addr);
    return 0;
}

/* Another address of the interface with the same subnet still needs its route. */
static bool has_subnet(const struct iface *iface, const struct ip *ip, unsigned prefix_size)
{
    for (uint32_t i = 0; i < iface->addr_end; i++) {
        const struct iface_addr *addr = &iface->addrs[i];

        if (addr->used && addr->prefix_size == prefix_size && ip_is_v4(&addr->ip) == ip_is_v4(ip) &&
            ip_same_prefix(&addr->ip, ip, prefix_size))
            return true;
    }
    return false;
}

int pal__n_addr_remove(struct netstack *stack, uint32_t ifindex, const struct ip *ip)
{
    struct iface *iface = pal__n_iface_at(stack, ifindex);
    struct iface_addr *addr;

    if (iface == NULL)
        return PAL_ENODEV;
    addr = pal__n_iface_addr(iface, ip);
    if (addr == NULL || !ip_equal(&addr->ip, ip))
        return PAL_EADDRNOTAVAIL;
    pal__n_timer_stop(stack, &addr->timer);
    addr->used = false;
    if (!has_subnet(iface, &addr->ip, addr->prefix_size))
        pal__n_route_remove_link(iface, &addr->ip, addr->prefix_size);
    if (!ip_is_v4(&addr->ip) && !iface_is_loopback(iface)) {
        struct ip group = solicited_node(&addr->ip);

        pal__n_mcast_unuse(iface, &group);
    }
    pal__n_route_changed(stack);
    return 0;
}

/* ---- interfaces ---- */

/* fe80:: and the interface identifier of the MAC (RFC 4291, appendix A). */
static struct ip link_local_of(const uint8_t mac[MAC_SIZE])
{
    struct ip ip = {{0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe, 0, 0, 0}};

    ip.bytes[8] = mac[0] ^ 0x02;
    ip.bytes[9] = mac[1];
    ip.bytes[10] = mac[2];
    memcpy(ip.bytes + 13, mac + 3, 3);
    return ip;
}

/* The groups that every host is in, and the addresses that an interface has by itself. */
static int furnish(struct iface *iface)
{
    static const struct ip all_hosts = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 224, 0, 0, 1}};
    static const struct ip all_nodes = {{0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
    static const struct ip local4 = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1}};
    static const struct ip local6 = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
    struct ip link_local = link_local_of(iface->mac);
    int error = pal__n_mcast_use(iface, &all_hosts);

    if (error >= 0 && !iface->ip6_off)
        error = pal__n_mcast_use(iface, &all_nodes);
    if (iface_is_loopback(iface)) {
        if (error >= 0)
            error = pal__n_addr_add(iface->stack, iface->index, &local4, 8);
        if (error >= 0)
            error = pal__n_addr_add(iface->stack, iface->index, &local6, 128);
    } else if (error >= 0 && !iface->ip6_off) {
        error = pal__n_addr_add(iface->stack, iface->index, &link_local, 64);
    }
    return error;
}

/* The other way round: what there is of it. */
static void strip(struct iface *iface)
{
    while (iface->groups != NULL && iface->groups->uses > 0)
        pal__n_mcast_unuse(iface, &iface->groups->ip);
    for (uint32_t i = 0; i < iface->addr_end; i++) {
        if (iface->addrs[i].used)
            pal__n_route_remove_link(iface, &iface->addrs[i].ip, iface->addrs[i].prefix_size);
    }
}

/* What of the port's segmentation can be used, with the defaults filled in. */
static void settle_segments(struct nic *nic, struct nic_caps *caps)
{
    if ((caps->flags & NIC_TX_CHECKSUM) == 0)
        caps->flags &= ~(uint32_t)(NIC_TX_SEGMENTS | NIC_TX_SEGMENTS6);
    if (caps->segments == NULL) {
        caps->segments = nic;
        caps->segments_room = caps->frame_room;
    }
    if (caps->segment_max == 0)
        caps->segment_max = UINT32_MAX;
}

struct iface *pal__n_iface_create(struct netstack *stack, struct nic *nic, const char *name, uint32_t mtu, int *error)
{
    struct iface *iface;
    struct nic_caps caps;

    nic->ops->caps(nic, &caps);
    settle_segments(nic, &caps);
    if (mtu == 0)
        mtu = caps.mtu;
    if (stack->iface_count == IFACES_MAX || mtu < MTU_MIN || mtu > caps.mtu || caps.frame_room < mtu) {
        *error = stack->iface_count == IFACES_MAX ? PAL_ENOBUFS : PAL_EINVAL;
        return NULL;
    }
    iface = pal__n_loopback_memory(stack, stack->iface_count);
    memset(iface, 0, sizeof(*iface));
    iface->stack = stack;
    iface->nic = nic;
    iface->caps = caps;
    iface->mtu = mtu;
    iface->ip6_off = mtu < IP6_MTU_MIN;
    memcpy(iface->mac, caps.mac, MAC_SIZE);
    for (size_t i = 0; name != NULL && name[i] != '\0' && i < IFACE_NAME_MAX - 1; i++)
        iface->name[i] = name[i];
    timer_init(&iface->query_timer, TIMER_QUERY);
    timer_init(&iface->query6_timer, TIMER_QUERY);
    stack->ifaces[stack->iface_count++] = iface; /* before groups and addresses: their protocols look for it */
    iface->index = stack->iface_count;
    *error = furnish(iface);
    if (*error >= 0)
        return iface;
    strip(iface);
    pal__n_iface_destroy(iface);
    stack->iface_count--;
    return NULL;
}

void pal__n_iface_destroy(struct iface *iface)
{
    struct netstack *stack = iface->stack;

    for (uint32_t i = 0; i < iface->pending_count; i++)
        frame_free(iface->pending[i]);
    iface->pending_count = 0;
    for (uint32_t i = 0; i < iface->addr_end; i++)
        pal__n_timer_stop(stack, &iface->addrs[i].timer);
    pal__n_timer_stop(stack, &iface->query_timer);
    pal__n_timer_stop(stack, &iface->query6_timer);
}

int pal__n_iface_add(struct netstack *stack, struct nic *nic, const char *name, uint32_t mtu)
{
    int error = 0;
    struct iface *iface = pal__n_iface_create(stack, nic, name, mtu, &error);

    return iface != NULL ? (int)iface->index : error;
}

/* ---- the nic's filter ---- */

void pal__n_iface_program_filter(struct iface *iface)
{
    uint8_t macs[IFACE_FILTER_MAX][MAC_SIZE];
    int macs_count = 0;

    for (const struct group *group = iface->groups; group != NULL; group = group->next) {
        uint8_t mac[MAC_SIZE];
        int i = 0;

        pal__n_mac_of_group(&group->ip, mac);
        while (i < macs_count && memcmp(macs[i], mac, MAC_SIZE) != 0)
            i++;
        if (i < macs_count) /* 32 groups share a MAC */
            continue;
        if (macs_count == IFACE_FILTER_MAX) {
            iface->nic->ops->filter(iface->nic, NULL, -1);
            return;
        }
        memcpy(macs[macs_count++], mac, MAC_SIZE);
    }
    iface->nic->ops->filter(iface->nic, (const uint8_t(*)[MAC_SIZE])macs, macs_count);
}
