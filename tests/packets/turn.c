/* turn.c: turns of the stack, time that passes from deadline to deadline, and the queue of frames that were sent. */
#include "packets.h"

#include "wire.h"
#include <stdlib.h>
#include <string.h>

enum { TURNS_MAX = 100000 };

/* Of frames that answer nothing: which, so that scripts need not speak of them. */
static uint32_t class_of(const struct packet_view *view)
{
    switch (view->kind) {
    case PACKET_ARP:
        if (ip_equal(&view->ip[IP_SPA], &view->ip[IP_TARGET]) || ip_number(&view->ip[IP_SPA]) == 0)
            return CLASS_ARP | CLASS_ANNOUNCE;
        return CLASS_ARP;
    case PACKET_NA:
        return ip_is_multicast(&view->ip[IP_DST]) && (view->value[FIELD_NA_FLAGS] & 2) == 0 ? CLASS_ND | CLASS_ANNOUNCE
                                                                                            : CLASS_ND;
    case PACKET_NS:
    case PACKET_RA:
        return CLASS_ND;
    case PACKET_RS:
        return CLASS_ND | CLASS_RS;
    case PACKET_REPORT:
    case PACKET_QUERY:
    case PACKET_IGMP:
        return view->family == 4 ? CLASS_IGMP : CLASS_MLD;
    default:
        return 0;
    }
}

void take_sent(struct run *run, struct port *port, const uint8_t *bytes, uint32_t size)
{
    static struct packet_view view;
    struct sent *sent = malloc(sizeof(*sent) + size);
    struct text text = {0};
    const char *wrong;
    uint32_t class;

    if (sent == NULL)
        abort();
    *sent = (struct sent){.port = port, .time_ns = run->now_ns, .size = size};
    memcpy(sent->bytes, bytes, size);
    wrong = decode(run, bytes, size, port->index, true, &view);
    class = class_of(&view);
    if (view.kind == PACKET_TCP && wrong == NULL) {
        sent->flow = flow_of(run, &view);
        if (sent->flow != NULL) {
            sent->flow_next = sent->flow->ours.begun ? sent->flow->ours.next : (uint32_t)view.value[FIELD_SEQ];
            flow_record(run, sent->flow, &view, view.data_size, true);
        }
    }
    print_packet(run, &view, true, &text);
    note(run, "%s%s", text.at, (class & run->ignored) != 0 ? "   # ignored" : "");
    if (wrong != NULL)
        complain(run, "the stack has sent a malformed frame: %s: %s", wrong, text.at);
    if (size <= FRAME_ROOM) {
        memcpy(run->newest_sent, bytes, size);
        run->newest_sent_size = size;
    }
    if ((class & run->ignored) != 0) {
        free(sent);
        return;
    }
    if (run->sent_last != NULL)
        run->sent_last->next = sent;
    else
        run->sent_first = sent;
    run->sent_last = sent;
}

struct sent *sent_first(struct run *run)
{
    return run->sent_first;
}

void sent_pop(struct run *run)
{
    struct sent *sent = run->sent_first;

    run->sent_first = sent->next;
    if (run->sent_first == NULL)
        run->sent_last = NULL;
    free(sent);
}

void nothing_unexpected(struct run *run)
{
    static struct packet_view view;
    struct text text = {0};

    if (run->sent_first == NULL)
        return;
    decode(run, run->sent_first->bytes, run->sent_first->size, run->sent_first->port->index, true, &view);
    print_packet(run, &view, true, &text);
    fail(run, "the stack has sent what nobody expects, at %.6f:\n  came:    %s", seconds(run->sent_first->time_ns),
         text.at);
}

static void check(struct run *run)
{
    const char *broken;

    raise_complaint(run);
    broken = pal__n_stack_check(run->stack);
    if (broken != NULL)
        fail(run, "pal__n_stack_check: %s", broken);
}

/* The ring has room again at each turn. */
static void renew_rings(struct run *run)
{
    for (uint32_t i = 0; i < run->port_count; i++)
        run->ports[i].budget = run->ports[i].ring;
}

/* True: a port or a pool is empty by the script's order, and the stack may want to go on for ever. */
static bool is_starved(const struct run *run)
{
    for (uint32_t i = 0; i < run->port_count; i++)
        if (run->ports[i].ring == 0 || run->ports[i].pool_used >= run->ports[i].pool_max)
            return true;
    return false;
}

void turn(struct run *run)
{
    int turns = 0;
    bool more;

    run->stuck = false;
    do {
        renew_rings(run);
        more = pal__n_stack_poll(run->stack, run->now_ns);
        check(run);
        renew_rings(run);
        pal__n_stack_flush(run->stack, run->now_ns);
        check(run);
        more = more || pal__n_stack_next(run->stack) <= run->now_ns;
        if (more && turns > 8 && is_starved(run)) {
            run->stuck = true;
            return;
        }
        if (++turns == TURNS_MAX)
            fail(run, "the stack does not come to rest: %d turns at one time", TURNS_MAX);
    } while (more);
}

void after_event(struct run *run)
{
    raise_complaint(run);
    if (!run->in_turn)
        turn(run);
}

/* When the stack has to be called next, if not before until_ns. */
static uint64_t next_step(struct run *run, uint64_t until_ns)
{
    uint64_t next = pal__n_stack_next(run->stack);

    if (next <= run->now_ns) /* wants to be called at once and cannot go on: as a busy driver would */
        next = run->now_ns + (uint64_t)(NS_PER_MS / 10);
    return next < until_ns ? next : until_ns;
}

void advance(struct run *run, uint64_t until_ns, bool stop)
{
    while (run->now_ns < until_ns) {
        uint64_t next = run->in_turn ? until_ns : next_step(run, until_ns);

        if (stop && run->sent_first != NULL)
            return;
        run->now_ns = next;
        for (uint32_t i = 0; i < run->port_count; i++)
            pcap_time(&run->ports[i], next);
        if (run->in_turn)
            continue;
        turn(run);
    }
}
