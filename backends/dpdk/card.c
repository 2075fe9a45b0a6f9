/* card.c: the card of this process: settings, start, ports, and a stack a thread. See card.h. */
#include "card.h"

#include "../bypass/sock.h"
#include "../common/memory.h"
#include "../common/refusal.h"
#include "../netstack/stack.h"
#include "../posix/deadline.h"
#include "../posix/kernel.h"
#include "apply.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

/* How long a stack that is to end goes on for the sake of what was sent, and how often it looks meanwhile. */
#define SETTLE_NS UINT64_C(1000000000)
#define SETTLE_LOOK_NS 50000

struct dpdk_card pal__d_card;

static _Thread_local struct home *own __attribute__((tls_model("initial-exec")));

bool pal__d_card_is_parents(void)
{
    return pal__d_card.present && !atomic_load_explicit(pal__d_card.present, memory_order_relaxed);
}

int pal__d_card_forked(void)
{
    return pal__refuse(PAL_EFORKED, "the card stays with the process that began to use it: a child of fork has the "
                                    "kernel's sockets, and may close what it has inherited");
}

struct home *pal__d_home_here(void)
{
    return own && own->stack && !pal__d_card_is_parents() ? own : NULL;
}

struct base_text pal__d_card_reason(void)
{
    struct base_text words;
    base_text_init(&words, pal__d_card.reasons[pal__d_card.reason++ % CARD_REASONS], DPDK_WORDS_MAX);
    return words;
}

/* ---- memory ---- */

static void *allocate(void *context, size_t size, size_t alignment)
{
    (void)context;
    return pal__alloc(size, alignment);
}

static void release(void *context, void *memory, size_t size)
{
    (void)context;
    pal__free(memory, size);
}

static const struct pal_allocator allocator = {allocate, release, NULL};

/* ---- settings ---- */

int pal__d_card_check_args(const char *args)
{
    static struct dpdk_settings settings;
    struct base_text words = pal__d_card_reason();
    int error = args && *args ? pal__d_settings_read(&settings, args, &words) : 0;
    return error ? pal__refuse(error, words.data) : 0;
}

int pal__d_card_set_args(const char *args)
{
    char *copy = args && *args ? strdup(args) : NULL;
    if (args && *args && !copy)
        return PAL_ENOMEM;
    free(pal__d_card.args);
    pal__d_card.args = copy;
    if (pal__d_card.stage == STAGE_FAILED) /* and it may be tried with these */
        pal__d_card.stage = STAGE_NONE;
    return 0;
}

/* ---- the start ---- */

static void write_capture(void *context, const void *bytes, size_t size)
{
    (void)!fwrite(bytes, 1, size, context);
}

/* The capture of a queue: the file that was named, and for queues behind the first that name with ".1" and so on. */
static int open_capture(uint32_t queue, struct base_text *words)
{
    const char *path = pal__d_card.settings.pcap;
    char name[DPDK_WORD_MAX + 16];
    if (!*path || pal__d_card.files[queue])
        return 0;
    if (queue)
        snprintf(name, sizeof name, "%s.%u", path, (unsigned)queue);
    else
        snprintf(name, sizeof name, "%s", path);
    FILE *file = fopen(name, "wbe");
    if (!file)
        return pal__d_fail(words, PAL_EACCES, "pcap \"%s\": cannot be written: name another file", name);
    pal__d_card.files[queue] = file;
    pal__d_card.sinks[queue] = (struct pcap_sink){.write = write_capture, .context = file};
    return 0;
}

/* All are stopped before the first is closed: they may have each other's buffers. */
uint64_t pal__d_card_close_ports(uint32_t count)
{
    uint64_t missing = 0;
    for (uint32_t i = 0; i < count; i++)
        pal__d_port_stop(pal__d_card.ports[i]);
    pal__d_steer_close(pal__d_card.steer);
    pal__d_card.steer = NULL;
    for (uint32_t i = 0; i < count; i++)
        missing += pal__d_port_close(pal__d_card.ports[i]);
    return missing;
}

static int open_ports(struct base_text *words)
{
    uint32_t count = 0, queues = pal__d_card.settings.queues;
    int error = 0;
    while (!error && count < pal__d_card.settings.device_count) {
        error = pal__d_port_open(&pal__d_card.settings, count, &pal__d_card.ports[count], words);
        count += !error;
    }
    if (!error && queues > 1)
        error = pal__d_steer_open(pal__d_card.ports, count, queues, &pal__d_card.steer, words);
    if (!error)
        error = open_capture(0, words);
    if (error)
        pal__d_card_close_ports(count);
    return error;
}

/* DPDK starts once a process: an attempt after one whose devices were refused goes on with what runs. */
static int start(struct base_text *words)
{
    struct dpdk_plan plan;
    char notes_room[DPDK_WORDS_MAX];
    struct base_text notes;
    base_text_init(&notes, notes_room, sizeof notes_room);
    int error = pal__d_preflight(&pal__d_card.settings, "", &plan, &notes, words);
    if (!error && !pal__d_eal_is_running()) {
        error = pal__d_eal_start(&pal__d_card.settings, &plan, words);
        pal__d_card.starter = thread_mark();
    }
    return error ? error : open_ports(words);
}

/* A thread has ended; also one that was not started by the seam. */
static void thread_ends(void *value)
{
    struct home *home = value;
    own = NULL;
    if (!home->stack || pal__d_card_is_parents())
        return;
    pal__d_home_settle(home);
    lock_acquire(&pal__d_card.lock);
    bool entered = home->entered;
    if (home->stack)
        pal__d_home_end(home);
    lock_release(&pal__d_card.lock);
    if (entered && pal__d_eal_is_running())
        pal__d_eal_leave();
}

/* Without a word about devices there is the loopback interface, and no DPDK. */
static int first_start(struct base_text *words)
{
    int error = pal__d_settings_find(&pal__d_card.settings, pal__d_card.args, words);
    bool none = error == PAL_ENODEV;
    if (error && !none)
        return error;
    if (!pal__d_card.has_key && pthread_key_create(&pal__d_card.key, thread_ends))
        return pal__d_fail(words, PAL_EAGAIN, "the C library has no key left for what threads keep");
    pal__d_card.has_key = true;
    if (none) {
        pal__d_card.settings = (struct dpdk_settings){.kernel_ratio = 1, .idle = DPDK_IDLE_BLOCK};
        pal__d_card.stage = STAGE_LOOPBACK;
        return 0;
    }
    if (!pal__d_card.present && !(pal__d_card.present = pal__alloc_wiped(sizeof *pal__d_card.present)))
        return pal__d_fail(words, PAL_ENOMEM, "there is no memory for the card");
    atomic_store(pal__d_card.present, 1);
    if ((error = start(words)))
        return error;
    atomic_store(&pal__d_card.captures, !pal__d_card.settings.pcap_off);
    pal__d_card.stage = STAGE_RUNS;
    return 0;
}

/* Under the lock. */
static int begin(void)
{
    if (pal__d_card_is_parents())
        return pal__d_card_forked();
    if (pal__d_card.stage == STAGE_NONE) {
        struct base_text words;
        base_text_init(&words, pal__d_card.failure, sizeof pal__d_card.failure);
        pal__d_card.error = first_start(&words);
        if (pal__d_card.error)
            pal__d_card.stage = STAGE_FAILED;
    }
    if (pal__d_card.stage == STAGE_FAILED)
        return pal__refuse(pal__d_card.error, pal__d_card.failure);
    if (pal__d_card.stage == STAGE_STOPPED)
        return pal__refuse(PAL_ENETDOWN, "the card was stopped (PAL_CTL_CARD_STOP), and starts once a process");
    return 0;
}

int pal__d_card_begin(void)
{
    lock_acquire(&pal__d_card.lock);
    int error = begin();
    lock_release(&pal__d_card.lock);
    return error;
}

/* ---- a thread's part: its beginning ---- */

static void refuse(int code, const char *reason)
{
    pal__refuse(code, reason);
}

static struct nic *with_capture(struct home *home, uint32_t device, struct nic *nic)
{
    char name[DPDK_WORD_MAX];
    pal__d_device_name(&pal__d_card.settings.devices[device], name);
    home->captures_on = atomic_load(&pal__d_card.captures);
    struct pcap_config config = {.allocator = &allocator,
                                 .sink = &pal__d_card.sinks[home->queue],
                                 .name = name,
                                 .offset_ns = pal__k_clock(PAL_CLOCK_REAL) - monotonic_ns(),
                                 .is_off = !home->captures_on};
    if (!pal__d_card.files[home->queue] || pal__n_pcap_create(&config, nic, &home->captures[device]))
        return nic;
    return pal__n_pcap_nic(home->captures[device]);
}

static int add_ports(struct home *home, struct base_text *words)
{
    struct steer *steer = pal__d_home_steer(home);
    int error = open_capture(home->queue, words);
    for (uint32_t i = 0; !error && i < pal__d_card_ports() && !pal__d_card.settings.devices[i].is_loopback; i++) {
        struct nic *nic = with_capture(home, i, pal__d_port_nic(pal__d_card.ports[i], home->queue));
        if (steer)
            nic = pal__d_steer_nic(steer, i, home->queue, nic);
        int ifindex = pal__d_apply(&pal__d_card.settings, i, home->stack, nic, words);
        error = ifindex < 0 ? ifindex : 0;
    }
    return error;
}

/* The lowest queue pair that no thread has. */
static uint32_t free_queue(void)
{
    uint32_t queues = pal__d_card.stage == STAGE_RUNS ? pal__d_card.settings.queues : 0;
    for (uint32_t queue = 0; queue < queues; queue++) {
        bool taken = false;
        for (uint32_t i = 0; i < HOMES_MAX; i++)
            taken |= pal__d_card.homes[i].stack && pal__d_card.homes[i].queue == queue;
        if (!taken)
            return queue;
    }
    return DPDK_QUEUES_MAX;
}

/* The CPU that the settings have for this queue's thread. */
static int pin(uint32_t queue, struct base_text *words)
{
    cpu_set_t set;
    if (queue >= pal__d_card.settings.core_count)
        return 0;
    uint32_t cpu = pal__d_card.settings.cores[queue];
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    return !sched_setaffinity(0, sizeof set, &set)
               ? 0
               : pal__d_fail(words, PAL_EPERM, "cores: this thread may not run on CPU %u", (unsigned)cpu);
}

static int enter(struct home *home, struct base_text *words)
{
    int error = pin(home->queue, words);
    if (error || pal__d_card.starter == thread_mark())
        return error;
    error = pal__d_eal_enter(words);
    home->entered = !error;
    return error;
}

/* The device that the settings have carry the loopback interface: the last. */
static struct nic *carrier_of(const struct home *home)
{
    uint32_t last = pal__d_card_ports() - 1;
    return home->queue != DPDK_QUEUES_MAX && pal__d_card.settings.devices[last].is_loopback
               ? pal__d_port_nic(pal__d_card.ports[last], home->queue)
               : NULL;
}

static int begin_home(struct home *home, struct base_text *words)
{
    uint32_t mbufs = pal__d_card.settings.mbufs;
    struct netstack_config config = {
        .allocator = &allocator,
        .now_ns = monotonic_ns(),
        .tcp_max = 131072,
        .embryos_max = 8192,
        .timewaits_max = 65536,
        .udp_max = 4096,
        .segments_max = 262144,
        .chunks_max = 65536,
        .held_frames_max = mbufs ? mbufs / 2 : 4096,
    };
    *home = (struct home){.queue = free_queue(), .quiet_ns = config.now_ns};
    config.carrier = carrier_of(home);
    pal__k_random(&config.seed, sizeof config.seed);
    int error = pal__n_stack_create(&config, &home->stack);
    if (error)
        return pal__d_fail(words, error, "there is no memory for the stack of this thread");
    home->stack->reason = refuse;
    if (home->queue == DPDK_QUEUES_MAX)
        return 0;
    error = enter(home, words);
    if (!error && pal__d_home_steer(home))
        pal__d_steer_begin(pal__d_home_steer(home), home->queue, home->stack);
    return error ? error : add_ports(home, words);
}

/* Under the lock. */
static struct home *take_home(int *error)
{
    if ((*error = begin()))
        return NULL;
    struct home *home = pal__d_card.homes;
    while (home < pal__d_card.homes + HOMES_MAX && home->stack)
        home++;
    if (home == pal__d_card.homes + HOMES_MAX) {
        *error = pal__refuse(PAL_ENOBUFS, "256 threads have a stack: let one end before another begins");
        return NULL;
    }
    struct base_text words = pal__d_card_reason();
    *error = begin_home(home, &words);
    if (!*error && pthread_setspecific(pal__d_card.key, home))
        *error = pal__d_fail(&words, PAL_ENOMEM, "there is no memory for what this thread keeps");
    if (!*error)
        return home;
    bool entered = home->entered;
    pal__d_home_end(home);
    if (entered)
        pal__d_eal_leave();
    pal__refuse(*error, words.data);
    return NULL;
}

struct home *pal__d_home(int *error)
{
    struct home *home = pal__d_home_here();
    *error = 0;
    if (LIKELY(home))
        return home;
    lock_acquire(&pal__d_card.lock);
    home = take_home(error);
    lock_release(&pal__d_card.lock);
    if (home)
        own = home;
    return home;
}

/* ---- its end ---- */

/* Something that a closed socket has sent is not known to be at its peer. */
static bool is_under_way(const struct netstack *stack)
{
    const struct tcb *tcb;
    for (uint32_t next = 0; (tcb = pal__n_pool_next(&stack->tcb_pool, &next)) != NULL;)
        if (tcb->sock.flags & SOCK_ORPHAN && tcb->state != TCP_FIN_WAIT_2)
            return true;
    return false;
}

void pal__d_home_settle(struct home *home)
{
    const struct timespec moment = {.tv_nsec = SETTLE_LOOK_NS};
    uint64_t now_ns = monotonic_ns(), until_ns = now_ns + SETTLE_NS;
    pal__n_stack_flush(home->stack, now_ns);
    while (is_under_way(home->stack) && now_ns < until_ns) {
        if (!pal__n_stack_poll(home->stack, now_ns))
            nanosleep(&moment, NULL);
        now_ns = monotonic_ns();
    }
    pal__n_stack_flush(home->stack, now_ns);
}

void pal__d_home_end(struct home *home)
{
    if (home->stack) {
        pal__b_abandon(home->stack);
        pal__n_stack_destroy(home->stack, true);
    }
    if (pal__d_home_steer(home))
        pal__d_steer_end(pal__d_home_steer(home), home->queue);
    for (uint32_t i = 0; i < DPDK_DEVICES_MAX; i++)
        if (home->captures[i])
            pal__n_pcap_destroy(home->captures[i]);
    for (uint32_t i = 0; home->queue < DPDK_QUEUES_MAX && i < pal__d_card_ports(); i++) {
        struct nic *nic = pal__d_port_nic(pal__d_card.ports[i], home->queue);
        nic->ops->filter(nic, NULL, 0);
    }
    *home = (struct home){.queue = DPDK_QUEUES_MAX};
}
