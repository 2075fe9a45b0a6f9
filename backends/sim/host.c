/* host.c: hosts of the simulated world: their stacks, whose turns they are, who owns which handle. See host.h. */
#include "host.h"

#include "../bypass/sock.h"
#include "../common/memory.h"
#include "../common/refusal.h"
#include "../netstack/stack.h"
#include "chance.h"
#include "strand.h"
#include "trace.h"

#include <string.h>
#include <strings.h>

static struct host *hosts[HOSTS_MAX];
static uint32_t host_count;
static struct base_heap_entry due_entries[HOSTS_MAX];
static struct base_heap due;
static struct base_list dirty; /* struct host by dirty_link */
static uint16_t owner[SLOT_MAX];
static struct host *poll_hosts[POLLS_MAX];

uint32_t pal__s_host_count(void)
{
    return host_count;
}

struct host *pal__s_host(uint32_t number)
{
    return number < host_count ? hosts[number] : NULL;
}

struct host *pal__s_host_named(const char *name)
{
    for (uint32_t i = 0; i < host_count; i++)
        if (strcasecmp(hosts[i]->name, name) == 0)
            return hosts[i];
    return NULL;
}

struct host *pal__s_host_here(void)
{
    return pal__s_self()->host;
}

/* ---- handles ---- */

struct host *pal__s_owner(pal_sock sock)
{
    return hosts[owner[sock.id & SLOT_MASK]];
}

void pal__s_own(uint64_t id, const struct host *host)
{
    owner[id & SLOT_MASK] = (uint16_t)host->number;
}

void pal__s_own_poll(const pal_poll *poll, struct host *host)
{
    poll_hosts[poll->leases.number] = host;
}

struct host *pal__s_poll_host(const pal_poll *poll)
{
    return poll_hosts[poll->leases.number];
}

/* ---- addresses ---- */

bool pal__s_host_address(const struct host *host, int family, struct pal_addr *out)
{
    const char *text = host->addresses;
    uint32_t prefix;
    while (pal__s_plan_address(&text, out, &prefix))
        if (out->family == family)
            return true;
    return false;
}

struct host *pal__s_host_at(const struct pal_addr *addr)
{
    struct pal_addr own;
    uint32_t prefix;
    for (uint32_t i = 0; i < host_count; i++)
        for (const char *text = hosts[i]->addresses; pal__s_plan_address(&text, &own, &prefix);)
            if (own.family == addr->family && memcmp(own.bytes, addr->bytes, own.size) == 0)
                return hosts[i];
    return NULL;
}

static struct ip ip_of(const struct pal_addr *addr)
{
    return addr->family == PAL_AF_INET ? ip_of_v4(addr->bytes) : ip_of_v6(addr->bytes);
}

/* Everybody is on the link, whatever the address. */
static int add_addresses(struct host *host)
{
    const char *text = host->addresses;
    struct pal_addr addr;
    struct ip any4 = ip_of_number(0), any6 = ip_none();
    uint32_t prefix;
    while (pal__s_plan_address(&text, &addr, &prefix)) {
        struct ip ip = ip_of(&addr);
        int error = pal__n_addr_add(host->stack, LINK_WIRE, &ip, prefix);
        if (error)
            return error;
    }
    int error = pal__n_route_add(host->stack, LINK_WIRE, &any4, 0, &any4, 1000);
    return error ? error : pal__n_route_add(host->stack, LINK_WIRE, &any6, 0, &any6, 1000);
}

static bool is_taken(const char *addresses)
{
    struct pal_addr addr;
    uint32_t prefix;
    while (pal__s_plan_address(&addresses, &addr, &prefix))
        if (pal__s_host_at(&addr))
            return true;
    return false;
}

/* ---- stacks ---- */

static void refuse(int code, const char *reason)
{
    pal__refuse(code, reason);
}

/* The same number on every CPU. */
static uint64_t fresh_seed(void)
{
    uint8_t bytes[8];
    uint64_t seed = 0;
    pal__s_entropy(bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++)
        seed = seed << 8 | bytes[i];
    return seed;
}

static int begin_stack(struct host *host)
{
    struct netstack_config config = {
        .allocator = pal__s_allocator(),
        .seed = fresh_seed(),
        .now_ns = pal__s_now(),
        .tcp_max = 4096,
        .udp_max = 1024,
        .embryos_max = 1024,
        .timewaits_max = 4096,
        .neighbours_max = HOSTS_MAX,
        .paths_max = HOSTS_MAX,
        .big_frames_max = 512,
        .segments_max = 8192,
        .chunks_max = 8192,
        .groups_max = 1024,
        .held_frames_max = WIRE_FRAMES / 2,
    };
    int error = pal__n_stack_create(&config, &host->stack);
    if (error)
        return error;
    host->stack->reason = refuse;
    error = pal__n_iface_add(host->stack, host->nic, "eth0", 0);
    RULE(19, error < 0 || error == LINK_WIRE, "the wire is not the second interface of a host");
    error = error < 0 ? error : add_addresses(host);
    if (error) {
        pal__n_stack_destroy(host->stack, false);
        host->stack = NULL;
        return error;
    }
    pal__s_host_touch(host);
    return 0;
}

int pal__s_host_join(const struct plan_host *spec, struct host **out)
{
    if (host_count == HOSTS_MAX)
        return pal__refuse(PAL_ENOBUFS, "4096 hosts are there");
    if (is_taken(spec->addresses))
        return pal__refuse(PAL_EEXIST, "another host has this address");
    struct host *host = pal__alloc(sizeof *host, _Alignof(struct host));
    if (!host)
        return PAL_ENOMEM;
    *host = (struct host){.number = host_count, .result = PAL_ENOENT};
    memcpy(host->name, spec->name, sizeof host->name);
    memcpy(host->addresses, spec->addresses, sizeof host->addresses);
    base_list_init(&host->lookers);
    int error = pal__s_wire_attach(pal__s_wire(), host->number, host->name, &host->nic);
    if (!error && (error = begin_stack(host)))
        pal__s_wire_detach(pal__s_wire(), host->number);
    if (error) {
        pal__free(host, sizeof *host);
        return error;
    }
    hosts[host_count++] = host;
    *out = host;
    return 0;
}

/* The world ends, or begins. */
void pal__s_hosts_end(void)
{
    for (uint32_t i = 0; i < host_count; i++) {
        if (hosts[i]->stack)
            pal__n_stack_destroy(hosts[i]->stack, false);
        pal__free(hosts[i], sizeof *hosts[i]);
        hosts[i] = NULL;
    }
    host_count = 0;
    base_heap_init(&due, due_entries, HOSTS_MAX);
    base_list_init(&dirty);
}

/* ---- turns ---- */

static void schedule(struct host *host, uint64_t at_ns)
{
    if (host->paused || !host->stack)
        at_ns = UINT64_MAX;
    else if (at_ns < host->free_ns)
        at_ns = host->free_ns;
    bool scheduled = base_heap_contains(&due, &host->due);
    if (at_ns == UINT64_MAX) {
        if (scheduled)
            base_heap_remove(&due, &host->due);
    } else if (scheduled) {
        base_heap_update(&due, &host->due, at_ns);
    } else {
        base_heap_push(&due, &host->due, at_ns);
    }
}

void pal__s_host_touch(struct host *host)
{
    if (!host || base_link_is_linked(&host->dirty_link) || !host->stack)
        return;
    pal__n_stack_set_time(host->stack, pal__s_now());
    base_list_push_back(&dirty, &host->dirty_link);
}

static void flush(struct host *host)
{
    uint64_t now_ns = pal__s_now();
    if (!host->stack || host->paused)
        return;
    pal__n_stack_flush(host->stack, now_ns);
    schedule(host, pal__s_wire_waits(pal__s_wire(), host->number) ? now_ns : pal__n_stack_next(host->stack));
    pal__s_rouse_lookers(host); /* by its turn, or by what another strand did to a socket */
}

void pal__s_hosts_flush(void)
{
    struct base_link *link;
    while ((link = base_list_pop_front(&dirty)))
        flush(BASE_CONTAINER_OF(link, struct host, dirty_link));
}

void pal__s_hosts_set_time(uint64_t now_ns)
{
    pal__s_wire_set_time(pal__s_wire(), now_ns);
}

static void take_turn(struct host *host)
{
    uint64_t now_ns = pal__s_now();
    base_heap_remove(&due, &host->due);
    pal__n_stack_poll(host->stack, now_ns);
    host->free_ns = now_ns + TURN_NS;
    if (!base_link_is_linked(&host->dirty_link))
        base_list_push_back(&dirty, &host->dirty_link);
}

static void arrived(uint32_t number)
{
    schedule(hosts[number], pal__s_now());
}

uint64_t pal__s_hosts_next(void)
{
    uint64_t wire_ns = pal__s_wire_next(pal__s_wire()), hosts_ns = base_heap_first_key(&due);
    uint64_t fortune_ns = pal__s_fortune_next();
    uint64_t next_ns = wire_ns < hosts_ns ? wire_ns : hosts_ns;
    return next_ns < fortune_ns ? next_ns : fortune_ns;
}

void pal__s_hosts_happen(uint64_t now_ns)
{
    pal__s_fortune_happen(now_ns);
    pal__s_wire_deliver(pal__s_wire(), arrived);
    while (base_heap_first_key(&due) <= now_ns)
        take_turn(BASE_CONTAINER_OF(base_heap_first(&due), struct host, due));
}

/* ---- fortunes ---- */

int pal__s_host_start(struct host *host, const struct pal_sim_start *start)
{
    if (!start->function)
        return pal__refuse(PAL_EINVAL, "a host is started with a function");
    if (!host->stack)
        return pal__refuse(PAL_EINVAL, "this host has crashed: restart it");
    if (host->result == PAL_EINPROGRESS)
        return pal__refuse(PAL_EBUSY, "a function runs on this host already");
    host->function = start->function;
    host->argument = start->argument;
    host->stack_size = start->stack_size;
    return pal__s_start(host);
}

int pal__s_host_crash(struct host *host)
{
    if (host->number == 0)
        return pal__refuse(PAL_EINVAL, "the program's own host does not crash");
    if (pal__s_hosts_first(host))
        return pal__refuse(PAL_EINVAL, "the program's first thread is on this host, and cannot end with it");
    if (!host->stack)
        return 0;
    pal__s_trace(TRACE_ACTION, PAL_CTL_SIM_CRASH, host->number);
    struct netstack *stack = host->stack;
    pal__s_close_all(host);
    pal__b_abandon(stack);
    host->stack = NULL;
    schedule(host, UINT64_MAX);
    if (base_link_is_linked(&host->dirty_link))
        base_list_remove(&host->dirty_link);
    pal__n_stack_destroy(stack, false);
    pal__s_wire_reset(pal__s_wire(), host->number);
    host->paused = false;
    pal__s_rouse_lookers(host); /* of other hosts, whose handles are stale now */
    pal__s_doom(host);          /* last: if the caller is on this host it does not return */
    return 0;
}

int pal__s_host_restart(struct host *host)
{
    if (host->stack)
        return pal__refuse(PAL_EINVAL, "this host has not crashed");
    pal__s_trace(TRACE_ACTION, PAL_CTL_SIM_RESTART, host->number);
    pal__s_wire_reset(pal__s_wire(), host->number); /* what came while nobody was there */
    int error = begin_stack(host);
    return error || !host->function ? error : pal__s_start(host);
}

int pal__s_host_pause(struct host *host, bool paused)
{
    if (host->number == 0)
        return pal__refuse(PAL_EINVAL, "the program's own host does not stand still");
    if (!host->stack)
        return pal__refuse(PAL_EINVAL, "this host has crashed: restart it");
    pal__s_trace(TRACE_ACTION, paused ? PAL_CTL_SIM_PAUSE : PAL_CTL_SIM_RESUME, host->number);
    host->paused = paused;
    schedule(host, pal__s_now());
    return 0;
}

int pal__s_host_jump(struct host *host, int64_t jump_ns)
{
    int64_t offset_ns;
    if (__builtin_add_overflow(host->clock_offset_ns, jump_ns, &offset_ns))
        return pal__refuse(PAL_EINVAL, "no clock goes that far");
    pal__s_trace(TRACE_ACTION, PAL_CTL_SIM_CLOCK, host->number);
    host->clock_offset_ns = offset_ns;
    return 0;
}
