/* card.c: the card of this process: settings, start, ports, and a stack a thread. See card.h. */
#include "card.h"

#include "../bypass/sock.h"
#include "../common/memory.h"
#include "../common/refusal.h"
#include "../netstack/stack.h"
#include "../posix/deadline.h"
#include "../posix/kernel.h"
#include "apply.h"
#include "wait.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HOMES_MAX = 256 };
enum stage { STAGE_NONE, STAGE_RUNS, STAGE_LOOPBACK, STAGE_FAILED, STAGE_STOPPED };

static struct {
    _Atomic uint32_t lock; /* of the start, and of taking a queue */
    enum stage stage;
    int error; /* of the start */
    char *args;
    struct dpdk_settings settings;
    struct dpdk_port *ports[DPDK_DEVICES_MAX];
    void *starter; /* the thread that started EAL */
    FILE *capture;
    struct pcap_sink sink;
    bool captures;
    uint32_t home_count;
    struct home homes[HOMES_MAX];
    char words[DPDK_WORDS_MAX]; /* the reason of the latest failure */
} card;

static _Thread_local struct home *own;

struct home *pal__d_home_here(void)
{
    return own;
}

const struct dpdk_settings *pal__d_card_settings(void)
{
    return &card.settings;
}

uint32_t pal__d_card_ports(void)
{
    return card.stage == STAGE_RUNS ? card.settings.device_count : 0;
}

struct dpdk_port *pal__d_card_port(uint32_t device)
{
    return card.ports[device];
}

static struct base_text words_begin(void)
{
    struct base_text words;
    base_text_init(&words, card.words, sizeof card.words);
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

/* ---- the start ---- */

int pal__d_card_set_args(const char *args)
{
    struct base_text words = words_begin();
    static struct dpdk_settings settings;
    int error = args && *args ? pal__d_settings_read(&settings, args, &words) : 0;
    if (error)
        return pal__refuse(error, card.words);
    free(card.args);
    card.args = args && *args ? strdup(args) : NULL;
    return 0;
}

static void write_capture(void *context, const void *bytes, size_t size)
{
    (void)context;
    (void)!fwrite(bytes, 1, size, card.capture);
}

static int open_capture(struct base_text *words)
{
    if (!*card.settings.pcap)
        return 0;
    card.capture = fopen(card.settings.pcap, "wbe");
    if (!card.capture)
        return pal__d_fail(words, PAL_EACCES, "pcap \"%s\": cannot be written: name another file", card.settings.pcap);
    card.sink = (struct pcap_sink){.write = write_capture};
    card.captures = true;
    return 0;
}

static int open_ports(struct base_text *words)
{
    for (uint32_t i = 0; i < card.settings.device_count; i++) {
        int error = pal__d_port_open(&card.settings, i, &card.ports[i], words);
        if (!error)
            continue;
        while (i-- > 0) {
            pal__d_port_stop(card.ports[i]);
            pal__d_port_close(card.ports[i]);
        }
        return error;
    }
    return 0;
}

static int start(struct base_text *words)
{
    struct dpdk_plan plan;
    char notes_room[DPDK_WORDS_MAX];
    struct base_text notes;
    base_text_init(&notes, notes_room, sizeof notes_room);
    int error = pal__d_preflight(&card.settings, "", &plan, &notes, words);
    error = error ? error : pal__d_eal_start(&card.settings, &plan, words);
    error = error ? error : open_capture(words);
    return error ? error : open_ports(words);
}

/* Without a word about devices there is the loopback interface, and no DPDK. */
static void begin(void)
{
    struct base_text words = words_begin();
    int error = pal__d_settings_find(&card.settings, card.args, &words);
    if (error == PAL_ENODEV) {
        card.stage = STAGE_LOOPBACK;
        card.settings.kernel_ratio = 64;
        card.settings.idle = DPDK_IDLE_BLOCK;
        return;
    }
    card.starter = thread_mark();
    error = error ? error : start(&words);
    card.stage = error ? STAGE_FAILED : STAGE_RUNS;
    card.error = error;
}

static void lock(void)
{
    uint32_t expected = 0;
    while (!atomic_compare_exchange_weak(&card.lock, &expected, 1)) {
        pal__k_park((const uint32_t *)(const void *)&card.lock, 1, monotonic_ns() + 1000000);
        expected = 0;
    }
}

static void unlock(void)
{
    atomic_store(&card.lock, 0);
    pal__k_unpark((const uint32_t *)(const void *)&card.lock, 1);
}

/* ---- a thread's part ---- */

static void refuse(int code, const char *reason)
{
    pal__refuse(code, reason);
}

static struct nic *with_capture(struct home *home, uint32_t device, struct nic *nic)
{
    char name[DPDK_WORD_MAX];
    pal__d_device_name(&card.settings.devices[device], name);
    struct pcap_config config = {.allocator = &allocator,
                                 .sink = &card.sink,
                                 .name = name,
                                 .offset_ns = pal__k_clock(PAL_CLOCK_REAL) - monotonic_ns(),
                                 .is_off = !card.captures};
    if (!card.capture || pal__n_pcap_create(&config, nic, &home->captures[device]))
        return nic;
    return pal__n_pcap_nic(home->captures[device]);
}

static int add_ports(struct home *home, struct base_text *words)
{
    if (home->queue == DPDK_QUEUES_MAX)
        return 0;
    for (uint32_t i = 0; i < pal__d_card_ports(); i++) {
        struct nic *nic = with_capture(home, i, pal__d_port_nic(card.ports[i], home->queue));
        int ifindex = pal__d_apply(&card.settings, i, home->stack, nic, words);
        if (ifindex < 0)
            return ifindex;
    }
    return 0;
}

static int begin_home(struct home *home, struct base_text *words)
{
    struct netstack_config config = {
        .allocator = &allocator,
        .now_ns = monotonic_ns(),
        .tcp_max = 131072,
        .embryos_max = 8192,
        .timewaits_max = 65536,
        .udp_max = 4096,
        .segments_max = 262144,
        .chunks_max = 65536,
        .held_frames_max = card.settings.mbufs ? card.settings.mbufs / 2 : 4096,
    };
    uint32_t queues = card.stage == STAGE_RUNS ? card.settings.queues : 0, taken = 0;
    for (uint32_t i = 0; i < card.home_count; i++)
        taken += card.homes[i].queue < queues;
    home->queue = taken < queues ? taken : (uint32_t)DPDK_QUEUES_MAX;
    pal__k_random(&config.seed, sizeof config.seed);
    int error = pal__n_stack_create(&config, &home->stack);
    if (error)
        return pal__d_fail(words, error, "there is no memory for the stack of this thread");
    home->stack->reason = refuse;
    if (card.stage == STAGE_RUNS && card.starter != thread_mark())
        error = pal__d_eal_enter(words);
    return error ? error : add_ports(home, words);
}

static void end_home(struct home *home)
{
    if (home->stack)
        pal__n_stack_destroy(home->stack, true);
    for (uint32_t i = 0; i < DPDK_DEVICES_MAX; i++)
        if (home->captures[i])
            pal__n_pcap_destroy(home->captures[i]);
    *home = (struct home){.queue = DPDK_QUEUES_MAX};
}

static struct home *take_home(int *error)
{
    struct base_text words;
    if (card.stage == STAGE_NONE)
        begin();
    *error = card.stage == STAGE_FAILED ? card.error : card.stage == STAGE_STOPPED ? PAL_ENETDOWN : 0;
    if (*error) {
        pal__refuse(*error, card.stage == STAGE_FAILED ? card.words : "the card was stopped (PAL_CTL_CARD_STOP)");
        return NULL;
    }
    if (card.home_count == HOMES_MAX) {
        *error = pal__refuse(PAL_ENOBUFS, "256 threads have a stack already");
        return NULL;
    }
    struct home *home = &card.homes[card.home_count];
    words = words_begin();
    if ((*error = begin_home(home, &words))) {
        end_home(home);
        pal__refuse(*error, card.words);
        return NULL;
    }
    atomic_store(&home->owner, thread_mark());
    card.home_count++;
    return home;
}

struct home *pal__d_home(int *error)
{
    *error = 0;
    if (LIKELY(own))
        return own;
    lock();
    own = take_home(error);
    unlock();
    return own;
}

/* ---- seeing inside, and the end ---- */

int pal__d_card_text(struct pal_card_text *out)
{
    static char room[DPDK_SETTINGS_TEXT];
    struct base_text text;
    base_text_init(&text, room, sizeof room);
    pal__d_settings_print(&card.settings, &text);
    for (uint32_t i = 0; i < pal__d_card_ports(); i++)
        pal__d_port_describe(card.ports[i], &text);
    size_t size = strlen(room) + 1;
    if (out->text && out->size) {
        size_t cut = size < out->size ? size : out->size;
        memcpy(out->text, room, cut);
        out->text[cut - 1] = '\0';
    }
    out->size = (uint32_t)size;
    return 0;
}

static void count_ports(struct pal_card_counters *out, uint32_t queue)
{
    for (uint32_t i = 0; i < pal__d_card_ports(); i++) {
        struct dpdk_port_counts counts;
        pal__d_port_counts(card.ports[i], &counts);
        out->port_received += counts.received;
        out->port_received_bytes += counts.received_bytes;
        out->port_sent += counts.sent;
        out->port_sent_bytes += counts.sent_bytes;
        out->port_missed += counts.missed;
        out->port_no_buffer += counts.no_buffer;
        out->port_errors += counts.rx_errors + counts.tx_errors;
        if (queue == DPDK_QUEUES_MAX)
            continue;
        const struct dpdk_queue_counts *own_counts = pal__d_port_queue_counts(card.ports[i], queue);
        out->queue_received += own_counts->received;
        out->queue_sent += own_counts->sent;
        out->queue_full += own_counts->tx_full;
        out->buffers_used += pal__d_port_used(card.ports[i], queue);
    }
}

int pal__d_card_counters(struct pal_card_counters *out)
{
    uint64_t *room = out->stack;
    uint32_t wanted = out->stack_count;
    struct netstack_usage usage;
    if (!own)
        return pal__refuse(PAL_EINVAL, "this thread has no stack: it has opened no IP socket and no poll");
    *out = (struct pal_card_counters){.stack = room, .stack_count = COUNTERS};
    count_ports(out, own->queue);
    pal__n_stack_usage(own->stack, &usage);
    out->turns = own->turns;
    out->kernel_looks = own->kernel_looks;
    out->sleeps = own->sleeps;
    out->sockets = usage.tcp + usage.udp;
    out->connections = usage.tcp - usage.listeners;
    out->half_open = usage.embryos;
    out->time_waits = usage.timewaits;
    const uint64_t *counters = pal__n_stack_counters(own->stack);
    for (uint32_t i = 0; room && i < wanted && i < COUNTERS; i++)
        room[i] = counters[i];
    return 0;
}

int pal__d_card_capture(uint32_t on)
{
    if (on > 1)
        return pal__refuse(PAL_EINVAL, "a capture is on, 1, or off, 0");
    if (!card.capture)
        return pal__refuse(PAL_EINVAL, "the settings name no file for a capture (pcap)");
    card.captures = on;
    for (uint32_t i = 0; own && i < DPDK_DEVICES_MAX; i++)
        if (own->captures[i])
            pal__n_pcap_switch(own->captures[i], on);
    if (!on)
        fflush(card.capture);
    return 0;
}

int pal__d_card_link(struct pal_card_link *out)
{
    if (out->device >= pal__d_card_ports())
        return pal__refuse(PAL_ENODEV, "the settings name no such device");
    struct dpdk_link link = pal__d_port_link(card.ports[out->device]);
    out->is_up = link.is_up;
    out->speed_mbps = link.speed_mbps;
    out->queues = pal__d_port_queues(card.ports[out->device]);
    return 0;
}

/* Is a handle of the stack's open, or a poll? */
static bool in_use(void)
{
    for (uint32_t number = 1, top = pal__slots_top(); number < top; number++)
        if (in_stack(slot_handle(&pal__slots[number])))
            return true;
    return false;
}

int pal__d_card_stop(struct pal_card_stop *out)
{
    out->missing = 0;
    if (in_use() || pal__d_polls_open())
        return pal__refuse(PAL_EBUSY, "a poll or a socket of the stack is open: close it first");
    for (uint32_t i = 0; i < card.home_count; i++)
        end_home(&card.homes[i]);
    uint32_t ports = pal__d_card_ports();
    for (uint32_t i = 0; i < ports; i++)
        pal__d_port_stop(card.ports[i]);
    for (uint32_t i = 0; i < ports; i++)
        out->missing += pal__d_port_close(card.ports[i]);
    if (card.stage == STAGE_RUNS)
        pal__d_eal_stop();
    if (card.capture)
        fclose(card.capture);
    card.capture = NULL;
    card.home_count = 0;
    own = NULL;
    card.stage = STAGE_STOPPED;
    return 0;
}
