/* exchange.c: the statements > and <: a frame that comes in, and the next that the stack has sent. */
#include "packets.h"

#include "wire.h"
#include <stdlib.h>
#include <string.h>

uint8_t *keep(struct run *run, size_t size)
{
    struct kept *kept = malloc(sizeof(*kept) + size);

    if (kept == NULL)
        abort();
    kept->next = run->kept;
    run->kept = kept;
    return kept->bytes;
}

void keep_nothing(struct run *run)
{
    while (run->kept != NULL) {
        struct kept *next = run->kept->next;

        free(run->kept);
        run->kept = next;
    }
}

/* ---- > ---- */

/* What the port says of the checksums of what it has received. */
static uint16_t port_verdict(const struct run *run, const struct packet_view *view)
{
    bool is_wrong = packet_get(view, FIELD_CHECKSUM, 0) == CHECKSUM_BAD || packet_has(view, FIELD_IP_CHECKSUM);

    if (packet_has(view, FIELD_NIC))
        return (uint16_t)view->value[FIELD_NIC];
    if ((run->ports[view->link].caps.flags & NIC_RX_CHECKSUM) == 0 || view->is_piece || view->kind == PACKET_RAW)
        return 0;
    if (is_wrong)
        return FRAME_CSUM_BAD;
    return packet_has(view, FIELD_CHECKSUM) || view->patch_count != 0 || packet_has(view, FIELD_CUT) ? 0
                                                                                                     : FRAME_CSUM_GOOD;
}

void statement_inject(struct run *run, struct words *words)
{
    static struct packet_view view;
    static uint8_t frame[FRAME_ROOM + 256];
    struct flow *flow;
    struct text text = {0};
    uint32_t size;

    keep_nothing(run);
    spec_read(run, words, false, &view, &flow);
    if (view.link >= run->port_count)
        fail(run, "there is no eth%u", view.link);
    size = build_frame(run, &view, frame);
    print_packet(run, &view, false, &text);
    if (view.is_piece)
        add(&text, " piece %u:%u id %u", view.piece_from, view.piece_to, view.piece_id);
    if (view.is_malformed)
        add(&text, "   # %s", run->statement->text);
    note(run, "%s", text.at);
    if (flow != NULL && !view.is_malformed && !view.is_piece)
        flow_record(run, flow, &view, view.data_size, false);
    memcpy(run->newest_injected, frame, size);
    run->newest_injected_size = size;
    port_inject(&run->ports[view.link], frame, size, port_verdict(run, &view));
    after_event(run);
}

/* ---- < ---- */

/* Puts the next `count` frames together, which must be the fragments of one packet; they stay in the queue. */
static const char *put_together(struct run *run, uint32_t count, struct packet_view *out)
{
    static struct packet_view piece;
    uint8_t *whole = keep(run, FRAME_ROOM), *seen = keep(run, FRAME_ROOM / 8);
    const struct sent *sent = run->sent_first;
    uint32_t end = 0, total = UINT32_MAX;

    memset(seen, 0, FRAME_ROOM / 8);
    for (uint32_t i = 0; i < count; i++, sent = sent->next) {
        if (sent == NULL)
            return "fewer frames have come";
        decode(run, sent->bytes, sent->size, sent->port->index, true, &piece);
        if (piece.kind != PACKET_PIECE)
            return "one of the frames is no fragment";
        if (i == 0)
            *out = piece;
        if (piece.piece_id != out->piece_id || !ip_equal(&piece.ip[IP_SRC], &out->ip[IP_SRC]) ||
            !ip_equal(&piece.ip[IP_DST], &out->ip[IP_DST]) || piece.value[FIELD_PROTO] != out->value[FIELD_PROTO])
            return "the fragments are not of one packet";
        if (piece.more && piece.data_size % 8 != 0)
            return "a fragment that is not the last does not end at a multiple of eight";
        if (piece.piece_to > FRAME_ROOM)
            return "the packet would be too large";
        memcpy(whole + piece.piece_from, piece.bytes, piece.data_size);
        for (uint32_t at = piece.piece_from / 8; at < (piece.piece_to + 7) / 8; at++) {
            if (seen[at]++ != 0)
                return "fragments overlap";
            end++;
        }
        if (!piece.more)
            total = piece.piece_to;
    }
    if (total == UINT32_MAX || end != (total + 7) / 8)
        return "the fragments make no whole packet";
    out->is_piece = false;
    return decode_ip_payload(run, (uint8_t)out->value[FIELD_PROTO], whole, total, true, out);
}

static void fail_for_nothing(struct run *run, uint64_t earliest_ns, uint64_t latest_ns)
{
    uint64_t next = pal__n_stack_next(run->stack);

    if (latest_ns > earliest_ns)
        fail(run, "  came:    nothing until %.6f", seconds(latest_ns));
    if (next == UINT64_MAX)
        fail(run, "  came:    nothing, and no timer is set");
    fail(run, "  came:    nothing; the next timer is due at %.6f", seconds(next));
}

/* `pieces N` is needed before the packet can be taken apart. */
static uint32_t pieces_of(struct run *run, const struct words *words)
{
    for (int i = words->next; i + 1 < words->count; i++)
        if (strcmp(words->at[i], "pieces") == 0)
            return (uint32_t)number_must(run, words->at[i + 1], "how many fragments");
    return 0;
}

static void fail_for_difference(struct run *run, const struct packet_view *came, const char *differences)
{
    struct text text = {0};
    struct text bytes = {0};

    print_packet(run, came, true, &text);
    if (came->kind == PACKET_UDP || came->kind == PACKET_TCP || came->kind == PACKET_ICMP)
        for (uint32_t i = 0; i < came->data_size && i < 32; i++)
            add(&bytes, "%s%02x", i == 0 ? "\n  payload: " : "", came->bytes[i]);
    fail(run, "  came:    %s%s\n  differs: %s", text.at, bytes.at, differences);
}

static void check_time(struct run *run, const struct sent *sent, const struct packet_view *came, uint64_t earliest_ns,
                       uint64_t latest_ns)
{
    struct text text = {0};

    if (sent->time_ns >= earliest_ns && sent->time_ns <= latest_ns)
        return;
    print_packet(run, came, true, &text);
    fail(run, "  came:    %s\n  differs: it left at %.6f, not at %.6f to %.6f", text.at, seconds(sent->time_ns),
         seconds(earliest_ns), seconds(latest_ns));
}

void statement_expect(struct run *run, struct words *words, uint64_t earliest_ns, uint64_t latest_ns, bool timed)
{
    static struct packet_view expected, came;
    struct text differences = {0};
    struct flow *flow;
    const struct sent *sent;
    const char *wrong;
    uint32_t pieces;

    if (timed && run->sent_first == NULL)
        advance(run, latest_ns, true);
    keep_nothing(run);
    sent = run->sent_first;
    if (sent == NULL)
        fail_for_nothing(run, earliest_ns, timed ? latest_ns : earliest_ns);
    pieces = pieces_of(run, words);
    wrong = pieces != 0 ? put_together(run, pieces, &came)
                        : decode(run, sent->bytes, sent->size, sent->port->index, true, &came);
    if (wrong != NULL)
        fail_for_difference(run, &came, wrong);
    spec_read(run, words, true, &expected, &flow);
    if (timed)
        check_time(run, sent, &came, earliest_ns, latest_ns);
    if (flow != NULL)
        spec_tcp_default(flow, sent->flow == flow ? sent->flow_next : flow->ours.next, &expected);
    match(run, &expected, &came, flow, &differences);
    if (flow != NULL && sent->flow != flow)
        add(&differences, "it is not of flow %s; ", flow->name);
    if (differences.size != 0)
        fail_for_difference(run, &came, differences.at);
    sent_pop(run);
    for (; pieces > 1; pieces--)
        sent_pop(run);
}

/* pretend PACKET, pretend leak: as if the stack had done it. For tests of this program. */
void statement_pretend(struct run *run, struct words *words)
{
    static struct packet_view view;
    static uint8_t frame[FRAME_ROOM + 256];
    struct flow *flow;

    keep_nothing(run);
    if (words_accept(words, "leak")) {
        frame_alloc(&run->ports[0].nic);
        return;
    }
    spec_read(run, words, false, &view, &flow);
    take_sent(run, &run->ports[view.link], frame, build_frame(run, &view, frame));
    raise_complaint(run);
}
