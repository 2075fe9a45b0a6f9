/* card_ctl.c: seeing inside the card of this process, and its end: PAL_CTL_CARD_*, PAL_SO_PATH. See card.h. */
#include "../bypass/sock.h"
#include "../common/refusal.h"
#include "../netstack/stack.h"
#include "card.h"
#include "wait.h"

#include <string.h>

/* ---- settings ---- */

int pal__d_card_text(struct pal_card_text *out)
{
    static char room[DPDK_SETTINGS_TEXT];
    struct base_text text;
    lock_acquire(&pal__d_card.lock);
    base_text_init(&text, room, sizeof room);
    pal__d_settings_print(&pal__d_card.settings, &text);
    for (uint32_t i = 0; i < pal__d_card_ports(); i++) {
        pal__d_port_link(pal__d_card.ports[i]);
        pal__d_say(&text, "# ");
        pal__d_port_describe(pal__d_card.ports[i], &text);
    }
    size_t size = strlen(room) + 1;
    if (out->text && out->size) {
        size_t cut = size < out->size ? size : out->size;
        memcpy(out->text, room, cut);
        out->text[cut - 1] = '\0';
    }
    out->size = (uint32_t)size;
    lock_release(&pal__d_card.lock);
    return 0;
}

/* ---- counters ---- */

static void count_ports(struct pal_card_counters *out, uint32_t queue)
{
    for (uint32_t i = 0; i < pal__d_card_ports(); i++) {
        struct dpdk_port_counts counts;
        pal__d_port_counts(pal__d_card.ports[i], &counts);
        out->port_received += counts.received;
        out->port_received_bytes += counts.received_bytes;
        out->port_sent += counts.sent;
        out->port_sent_bytes += counts.sent_bytes;
        out->port_missed += counts.missed;
        out->port_no_buffer += counts.no_buffer;
        out->port_errors += counts.rx_errors + counts.tx_errors;
        if (queue == DPDK_QUEUES_MAX)
            continue;
        const struct dpdk_queue_counts *of_queue = pal__d_port_queue_counts(pal__d_card.ports[i], queue);
        out->queue_received += of_queue->received;
        out->queue_sent += of_queue->sent;
        out->queue_full += of_queue->tx_full;
        out->buffers_used += pal__d_port_used(pal__d_card.ports[i], queue);
    }
    if (queue == DPDK_QUEUES_MAX || !pal__d_card.steer)
        return;
    const struct steer_counts *steered = pal__d_steer_counts(pal__d_card.steer, queue);
    out->queue_given = steered->given;
    out->queue_taken = steered->taken;
    out->queue_lost = steered->lost;
}

int pal__d_card_counters(struct home *home, struct pal_card_counters *out)
{
    uint64_t *room = out->stack;
    uint32_t wanted = out->stack_count;
    struct netstack_usage usage;
    *out = (struct pal_card_counters){.stack = room, .stack_count = COUNTERS};
    lock_acquire(&pal__d_card.lock);
    count_ports(out, home->queue);
    lock_release(&pal__d_card.lock);
    pal__n_stack_usage(home->stack, &usage);
    out->turns = home->turns;
    out->kernel_looks = home->kernel_looks;
    out->sleeps = home->sleeps;
    out->sockets = usage.tcp + usage.udp;
    out->connections = usage.tcp - usage.listeners;
    out->half_open = usage.embryos;
    out->time_waits = usage.timewaits;
    out->leases_lent = home->stack->lent.frames;
    out->leases_copied = home->stack->lent.copies;
    out->frames_lent = home->stack->lent.now;
    const uint64_t *counters = pal__n_stack_counters(home->stack);
    for (uint32_t i = 0; room && i < wanted && i < COUNTERS; i++)
        room[i] = counters[i];
    return 0;
}

/* ---- the capture ---- */

int pal__d_card_capture(struct home *home, uint32_t on)
{
    if (on > 1)
        return pal__refuse(PAL_EINVAL, "a capture is on, 1, or off, 0");
    if (!*pal__d_card.settings.pcap || pal__d_card.stage != STAGE_RUNS)
        return pal__refuse(PAL_EINVAL, "the settings name no file for a capture (pcap)");
    atomic_store(&pal__d_card.captures, on != 0); /* which the other threads' waits see */
    pal__d_home_capture(home);
    return 0;
}

void pal__d_home_capture(struct home *home)
{
    bool on = atomic_load(&pal__d_card.captures);
    home->captures_on = on;
    for (uint32_t i = 0; i < DPDK_DEVICES_MAX; i++)
        if (home->captures[i])
            pal__n_pcap_switch(home->captures[i], on);
    if (!on && home->queue < DPDK_QUEUES_MAX && pal__d_card.files[home->queue])
        fflush(pal__d_card.files[home->queue]);
}

/* ---- links and paths ---- */

uint32_t pal__d_card_device(const struct home *home, uint32_t ifindex)
{
    uint32_t device = ifindex - (IFINDEX_LOOPBACK + 1);
    return ifindex > IFINDEX_LOOPBACK && home->queue < DPDK_QUEUES_MAX && device < pal__d_card_ports()
               ? device
               : (uint32_t)DPDK_DEVICES_MAX;
}

static struct dpdk_link ask(uint32_t device)
{
    lock_acquire(&pal__d_card.lock);
    struct dpdk_link link = pal__d_port_link(pal__d_card.ports[device]);
    lock_release(&pal__d_card.lock);
    return link;
}

bool pal__d_card_has_link(uint32_t device)
{
    return ask(device).is_up;
}

int pal__d_card_link(struct pal_card_link *out)
{
    if (out->device >= pal__d_card_ports())
        return pal__refuse(PAL_ENODEV, "the settings name no such device: they are counted from 0");
    struct dpdk_link link = ask(out->device);
    out->is_up = link.is_up;
    out->speed_mbps = link.speed_mbps;
    out->queues = pal__d_port_queues(pal__d_card.ports[out->device]);
    return 0;
}

/* "; device net_ring0, queue 0 of 2: ..." of each device. */
static void say_devices(const struct home *home, struct base_text *text)
{
    for (uint32_t i = 0; i < pal__d_card_ports(); i++) {
        struct dpdk_port *port = pal__d_card.ports[i];
        struct nic_caps caps;
        struct nic *nic = pal__d_port_nic(port, home->queue);
        nic->ops->caps(nic, &caps);
        pal__d_say(text, "; device %s, queue %u of %u%s, checksums received by the %s, sent by the %s, link %s",
                   pal__d_port_name(port), (unsigned)home->queue, (unsigned)pal__d_port_queues(port),
                   pal__d_port_spreads(port) ? " by hash" : "", caps.flags & NIC_RX_CHECKSUM ? "card" : "stack",
                   caps.flags & NIC_TX_CHECKSUM ? "card" : "stack", pal__d_card_has_link(i) ? "up" : "down");
    }
}

int pal__d_card_path(struct home *home, pal_sock sock, void *value, size_t *size)
{
    char stacks[512], room[2048];
    size_t length = sizeof stacks - 1;
    struct base_text text;
    if (!value || !size)
        return pal__refuse(PAL_EINVAL, "reading an option needs room and its size");
    int error = pal__b_get(sock, PAL_SO_PATH, stacks, &length);
    if (error)
        return error;
    stacks[length] = '\0';
    base_text_init(&text, room, sizeof room);
    pal__d_say(&text, "%s", stacks);
    if (pal__d_card.stage != STAGE_RUNS)
        pal__d_say(&text, "; loopback only: no device is named (PALIO_DPDK)");
    else if (home->queue == DPDK_QUEUES_MAX)
        pal__d_say(&text, "; loopback only: all %u queues of the card are other threads'",
                   (unsigned)pal__d_card.settings.queues);
    else
        say_devices(home, &text);
    if (*size < strlen(room))
        return pal__refuse(PAL_EINVAL, "the room for this text is too small");
    *size = strlen(room);
    memcpy(value, room, *size);
    return 0;
}

/* ---- the end ---- */

/* Is a handle of the stack's open, or a poll? */
static bool in_use(void)
{
    for (uint32_t number = 1, top = pal__slots_top(); number < top; number++)
        if (in_stack(slot_handle(&pal__slots[number])))
            return true;
    return pal__d_polls_open() != 0;
}

static void stop(struct pal_card_stop *out)
{
    for (uint32_t i = 0; i < HOMES_MAX; i++)
        if (pal__d_card.homes[i].stack)
            pal__d_home_end(&pal__d_card.homes[i]);
    out->missing = pal__d_card_close_ports(pal__d_card_ports());
    pal__d_eal_stop(); /* if it runs */
    for (uint32_t i = 0; i < DPDK_QUEUES_MAX; i++)
        if (pal__d_card.files[i]) {
            fclose(pal__d_card.files[i]);
            pal__d_card.files[i] = NULL;
        }
    pal__d_card.stage = STAGE_STOPPED;
}

int pal__d_card_stop(struct pal_card_stop *out)
{
    struct home *home = pal__d_home_here();
    if (pal__d_card_is_parents())
        return pal__d_card_forked();
    if (in_use())
        return pal__refuse(PAL_EBUSY, "a poll or a socket of the stack is open: close it first");
    if (pal__d_card.stage == STAGE_RUNS && pal__d_card.starter != thread_mark())
        return pal__refuse(PAL_EOTHERTHREAD, "the card is stopped by the thread that used it first");
    if (home)
        pal__d_home_settle(home);
    out->missing = 0;
    lock_acquire(&pal__d_card.lock);
    stop(out);
    lock_release(&pal__d_card.lock);
    return 0;
}
