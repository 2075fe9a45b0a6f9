/* mcast.c: memberships of sockets in multicast groups, and their merge: what an interface listens to (RFC 3376 3.2,
 * RFC 3810 4.2). What routers are told of it is mcast_report.c's. */
#include "mcast.h"

#include "stack.h"

struct filter {
    uint8_t mode; /* FILTER_* */
    uint8_t source_count;
    struct ip sources[GROUP_SOURCES_MAX];
};

bool pal__n_mcast_create(struct netstack *stack)
{
    enum { OWN_MAX = IFACES_MAX * (IFACE_ADDRS_MAX + 2) }; /* solicited-node groups, all-hosts, all-nodes */
    uint32_t groups_max = stack->config.groups_max;

    if (!pal__n_pool_create(&stack->membership_pool, stack->config.allocator, groups_max, sizeof(struct membership)))
        return false;
    return pal__n_pool_create(&stack->group_pool, stack->config.allocator, groups_max + OWN_MAX,
                              sizeof(struct group)) &&
           pal__n_pool_track(&stack->group_pool, stack->config.allocator);
}

void pal__n_mcast_destroy(struct netstack *stack)
{
    pal__n_pool_destroy(&stack->group_pool, stack->config.allocator);
    pal__n_pool_destroy(&stack->membership_pool, stack->config.allocator);
}

/* ---- sets of sources ---- */

static bool contains(const struct ip *sources, uint32_t count, const struct ip *ip)
{
    for (uint32_t i = 0; i < count; i++) {
        if (ip_equal(&sources[i], ip))
            return true;
    }
    return false;
}

/* Keeps of the filter's sources those that are (or are not) among the others. */
static void keep_if(struct filter *filter, const struct ip *others, uint32_t count, bool among)
{
    uint8_t kept = 0;

    for (uint8_t i = 0; i < filter->source_count; i++) {
        if (contains(others, count, &filter->sources[i]) == among)
            filter->sources[kept++] = filter->sources[i];
    }
    filter->source_count = kept;
}

/* EXCLUDE what all that exclude exclude, and nobody includes. */
static void merge_excluding(const struct group *group, struct filter *out)
{
    bool is_first = true;

    out->mode = FILTER_EXCLUDE;
    out->source_count = 0;
    for (const struct membership *member = group->members; member != NULL && group->uses == 0;
         member = member->group_next) {
        if (member->mode != FILTER_EXCLUDE)
            continue;
        if (is_first) {
            out->source_count = member->source_count;
            memcpy(out->sources, member->sources, member->source_count * sizeof(struct ip));
        } else {
            keep_if(out, member->sources, member->source_count, true);
        }
        is_first = false;
    }
    for (const struct membership *member = group->members; member != NULL; member = member->group_next) {
        if (member->mode == FILTER_INCLUDE)
            keep_if(out, member->sources, member->source_count, false);
    }
}

/* INCLUDE what anybody includes. More than a group has room for: everybody, which is more than was asked for, and each
 * socket's own filter drops the rest. */
static void merge_including(const struct group *group, struct filter *out)
{
    out->mode = FILTER_INCLUDE;
    out->source_count = 0;
    for (const struct membership *member = group->members; member != NULL; member = member->group_next) {
        for (uint8_t i = 0; i < member->source_count; i++) {
            if (contains(out->sources, out->source_count, &member->sources[i]))
                continue;
            if (out->source_count == GROUP_SOURCES_MAX) {
                out->mode = FILTER_EXCLUDE;
                out->source_count = 0;
                return;
            }
            out->sources[out->source_count++] = member->sources[i];
        }
    }
}

static void merge(const struct group *group, struct filter *out)
{
    bool excludes = group->uses > 0;

    for (const struct membership *member = group->members; member != NULL; member = member->group_next)
        excludes = excludes || member->mode == FILTER_EXCLUDE;
    if (excludes)
        merge_excluding(group, out);
    else
        merge_including(group, out);
}

/* ---- groups ---- */

struct group *pal__n_mcast_find(const struct iface *iface, const struct ip *group)
{
    for (struct group *found = iface->groups; found != NULL; found = found->next) {
        if (ip_equal(&found->ip, group))
            return found;
    }
    return NULL;
}

void pal__n_group_free(struct group *group)
{
    struct netstack *stack = group->iface->stack;

    pal__n_timer_stop(stack, &group->timer);
    pool_give(&stack->group_pool, group);
}

/* One that has been left, and still has a report to send: that of this group, or, with iface NULL, any. */
static struct group *find_leaving(struct netstack *stack, const struct iface *iface, const struct ip *ip)
{
    struct group *group;

    for (uint32_t index = 0; (group = pal__n_pool_next(&stack->group_pool, &index)) != NULL;) {
        if (group->is_leaving && (iface == NULL || (group->iface == iface && ip_equal(&group->ip, ip))))
            return group;
    }
    return NULL;
}

static struct group *group_new(struct iface *iface, const struct ip *ip)
{
    struct netstack *stack = iface->stack;
    struct group *group = pool_take(&stack->group_pool);

    if (group == NULL) { /* a repetition that is never sent does less harm than a join that fails */
        group = find_leaving(stack, NULL, NULL);
        if (group == NULL)
            return NULL;
        pal__n_group_free(group);
        group = pool_take(&stack->group_pool);
    }
    memset(group, 0, sizeof(*group));
    group->iface = iface;
    group->ip = *ip;
    timer_init(&group->timer, TIMER_GROUP);
    group->answer_due_ns = group->change_due_ns = UINT64_MAX;
    return group;
}

/* The group, made or taken back if needed, with nobody in it yet; NULL: there is no room. */
static struct group *group_get(struct iface *iface, const struct ip *ip)
{
    struct group *group = pal__n_mcast_find(iface, ip);

    if (group != NULL)
        return group;
    group = find_leaving(iface->stack, iface, ip);
    if (group == NULL)
        group = group_new(iface, ip);
    if (group == NULL)
        return NULL;
    group->is_leaving = false;
    group->next = iface->groups;
    iface->groups = group;
    pal__n_iface_program_filter(iface);
    return group;
}

/* Nobody is in it any more. */
static void retire(struct group *group)
{
    struct iface *iface = group->iface;
    struct group **link = &iface->groups;

    while (*link != group) {
        BASE_ASSERT(*link != NULL);
        link = &(*link)->next;
    }
    *link = group->next;
    group->next = NULL;
    group->is_leaving = true;
    group->answer_due_ns = UINT64_MAX;
    pal__n_iface_program_filter(iface);
    if (pal__n_group_is_quiet(group))
        pal__n_group_free(group);
}

static bool is_same(const struct group *group, const struct filter *filter)
{
    if (group->mode != filter->mode || group->source_count != filter->source_count)
        return false;
    for (uint8_t i = 0; i < filter->source_count; i++) {
        if (!contains(group->sources, group->source_count, &filter->sources[i]))
            return false;
    }
    return true;
}

/* After a membership has come, gone or changed. */
static void update(struct group *group)
{
    struct filter merged;

    merge(group, &merged);
    if (!is_same(group, &merged)) {
        uint8_t mode = group->mode, count = group->source_count;
        struct ip sources[GROUP_SOURCES_MAX];

        memcpy(sources, group->sources, count * sizeof(struct ip));
        group->mode = merged.mode;
        group->source_count = merged.source_count;
        memcpy(group->sources, merged.sources, merged.source_count * sizeof(struct ip));
        pal__n_group_changed(group, mode, sources, count);
    }
    if (group->members == NULL && group->uses == 0)
        retire(group);
}

int pal__n_mcast_use(struct iface *iface, const struct ip *ip)
{
    struct group *group = group_get(iface, ip);

    if (group == NULL)
        return PAL_ENOBUFS;
    group->uses++;
    update(group);
    return 0;
}

void pal__n_mcast_unuse(struct iface *iface, const struct ip *ip)
{
    struct group *group = pal__n_mcast_find(iface, ip);

    if (group == NULL || group->uses == 0)
        return;
    group->uses--;
    update(group);
}

/* ---- memberships ---- */

uint32_t pal__n_mcast_ifindex(struct netstack *stack, const struct ip *group)
{
    const struct route *route = pal__n_route_find(stack, group, NULL);

    if (route != NULL)
        return route->iface->index;
    for (uint32_t i = 0; i < stack->iface_count; i++) {
        if (!iface_is_loopback(stack->ifaces[i]))
            return stack->ifaces[i]->index;
    }
    return 0;
}

/* ifindex 0: on whichever interface. */
static struct membership *find_membership(const struct sock *sock, uint32_t ifindex, const struct ip *group)
{
    struct membership *member = udp_of_const(sock)->memberships;

    while (member != NULL &&
           (!ip_equal(&member->group->ip, group) || (ifindex != 0 && member->group->iface->index != ifindex)))
        member = member->next;
    return member;
}

static void membership_free(struct membership *member)
{
    struct membership **link = &udp_of(member->sock)->memberships;
    struct group *group = member->group;

    while (*link != member) {
        BASE_ASSERT(*link != NULL);
        link = &(*link)->next;
    }
    *link = member->next;
    for (link = &group->members; *link != member;) {
        BASE_ASSERT(*link != NULL);
        link = &(*link)->group_next;
    }
    *link = member->group_next;
    pool_give(&group->iface->stack->membership_pool, member);
    update(group);
}

/* INCLUDE nobody, for the caller to fill in and update. */
static int membership_new(struct sock *sock, struct iface *iface, const struct ip *ip, struct membership **out)
{
    struct netstack *stack = sock->stack;
    struct membership *member = pool_take(&stack->membership_pool);
    struct group *group;

    if (member == NULL)
        return pal__n_refuse(stack, PAL_ENOBUFS, "groups_max memberships are in use");
    group = group_get(iface, ip);
    if (group == NULL) {
        pool_give(&stack->membership_pool, member);
        return pal__n_refuse(stack, PAL_ENOBUFS, "this stack has no room for another group");
    }
    memset(member, 0, sizeof(*member));
    member->sock = sock;
    member->group = group;
    member->next = udp_of(sock)->memberships;
    udp_of(sock)->memberships = member;
    member->group_next = group->members;
    group->members = member;
    *out = member;
    return 0;
}

/* 232/8 and ff3x::/32 are for named sources (RFC 4607 1). */
static bool is_source_specific(const struct ip *ip)
{
    if (ip_is_v4(ip))
        return ip->bytes[12] == 232;
    return ip->bytes[0] == 0xff && ip->bytes[1] >> 4 == 3 && ip->bytes[2] == 0 && ip->bytes[3] == 0;
}

/* The interface that a membership is to be on. */
static int iface_for(struct sock *sock, uint32_t ifindex, const struct ip *group, struct iface **out)
{
    struct netstack *stack = sock->stack;

    if (ifindex == 0)
        ifindex = sock->scope != 0 ? sock->scope : pal__n_mcast_ifindex(stack, group);
    *out = pal__n_iface_at(stack, ifindex);
    if (*out == NULL || (!ip_is_v4(group) && (*out)->ip6_off))
        return pal__n_refuse(stack, PAL_ENODEV, "no such interface, or none that takes groups");
    return 0;
}

int pal__n_mcast_set_filter(struct sock *sock, uint32_t ifindex, const struct ip *group, uint8_t mode,
                            const struct ip *sources, uint32_t source_count)
{
    struct membership *member;
    struct iface *iface;
    int error;

    if (sock->kind != SOCK_UDP || !ip_is_multicast(group))
        return pal__n_refuse(sock->stack, PAL_EINVAL, "the group is not a multicast address");
    if (mode == FILTER_EXCLUDE && is_source_specific(group))
        return pal__n_refuse(sock->stack, PAL_EINVAL, "a source-specific group is joined with its source (RFC 4607)");
    if (source_count > MEMBERSHIP_SOURCES_MAX)
        return pal__n_refuse(sock->stack, PAL_ENOBUFS, "a membership has 16 sources at most");
    error = iface_for(sock, ifindex, group, &iface);
    if (error != 0)
        return error;
    member = find_membership(sock, iface->index, group);
    if (mode == FILTER_INCLUDE && source_count == 0) {
        if (member != NULL)
            membership_free(member);
        return 0;
    }
    if (member == NULL)
        error = membership_new(sock, iface, group, &member);
    if (error != 0)
        return error;
    member->mode = mode;
    member->source_count = (uint8_t)source_count;
    for (uint32_t i = 0; i < source_count; i++)
        member->sources[i] = sources[i];
    update(member->group);
    return 0;
}

int pal__n_mcast_join(struct sock *sock, uint32_t ifindex, const struct ip *group, const struct ip *source)
{
    struct ip sources[MEMBERSHIP_SOURCES_MAX + 1];
    const struct membership *member;
    struct iface *iface;
    uint32_t count = 0;
    int error;

    if (sock->kind != SOCK_UDP || !ip_is_multicast(group))
        return pal__n_refuse(sock->stack, PAL_EINVAL, "the group is not a multicast address");
    error = iface_for(sock, ifindex, group, &iface);
    if (error != 0)
        return error;
    member = find_membership(sock, iface->index, group);
    if (source == NULL) {
        if (member != NULL)
            return pal__n_refuse(sock->stack, PAL_EADDRINUSE, "this socket is in the group already");
        return pal__n_mcast_set_filter(sock, iface->index, group, FILTER_EXCLUDE, NULL, 0);
    }
    if (member != NULL && member->mode == FILTER_INCLUDE) {
        count = member->source_count;
        memcpy(sources, member->sources, count * sizeof(struct ip));
    }
    if (contains(sources, count, source))
        return pal__n_refuse(sock->stack, PAL_EADDRINUSE, "this socket hears the source already");
    sources[count++] = *source;
    return pal__n_mcast_set_filter(sock, iface->index, group, FILTER_INCLUDE, sources, count);
}

int pal__n_mcast_leave(struct sock *sock, uint32_t ifindex, const struct ip *group, const struct ip *source)
{
    struct membership *member;
    uint8_t at = 0;

    if (sock->kind != SOCK_UDP || !ip_is_multicast(group))
        return pal__n_refuse(sock->stack, PAL_EINVAL, "the group is not a multicast address");
    if (ifindex != 0 && pal__n_iface_at(sock->stack, ifindex) == NULL)
        return pal__n_refuse(sock->stack, PAL_ENODEV, "no such interface");
    member = find_membership(sock, ifindex, group);
    if (member == NULL)
        return pal__n_refuse(sock->stack, PAL_EADDRNOTAVAIL, "this socket is not in the group");
    if (source == NULL) {
        membership_free(member);
        return 0;
    }
    while (at < member->source_count && !ip_equal(&member->sources[at], source))
        at++;
    if (member->mode != FILTER_INCLUDE || at == member->source_count)
        return pal__n_refuse(sock->stack, PAL_EADDRNOTAVAIL, "this socket has not joined the source");
    if (member->source_count == 1) {
        membership_free(member);
        return 0;
    }
    member->sources[at] = member->sources[--member->source_count];
    update(member->group);
    return 0;
}

void pal__n_mcast_leave_all(struct sock *sock)
{
    while (sock->kind == SOCK_UDP && udp_of(sock)->memberships != NULL)
        membership_free(udp_of(sock)->memberships);
}

/* ---- what a socket hears ---- */

bool pal__n_membership_passes(const struct membership *membership, const struct ip *source)
{
    bool is_listed = contains(membership->sources, membership->source_count, source);

    return is_listed == (membership->mode == FILTER_INCLUDE);
}

bool pal__n_mcast_hears(const struct sock *sock, const struct iface *iface, const struct ip *group,
                        const struct ip *source)
{
    const struct membership *member = sock->kind == SOCK_UDP ? find_membership(sock, iface->index, group) : NULL;

    return member != NULL && pal__n_membership_passes(member, source);
}
