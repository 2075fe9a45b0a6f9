/* model.c: ends, flows and what follows from them. See model.h. */
#include "model.h"

#include <string.h>

#include "trace.h"

/* ---- kinds ---- */

static const struct {
    const char *name;
    int family, type;
} kinds[KINDS] = {
    [TCP4] = {"tcp4", PAL_AF_INET, PAL_SOCK_STREAM},
    [TCP6] = {"tcp6", PAL_AF_INET6, PAL_SOCK_STREAM},
    [UNIX_STREAM] = {"unix", PAL_AF_UNIX, PAL_SOCK_STREAM},
    [SEQPACKET] = {"seqpacket", PAL_AF_UNIX, PAL_SOCK_SEQPACKET},
    [UNIX_DGRAM] = {"dgram", PAL_AF_UNIX, PAL_SOCK_DGRAM},
    [UDP4] = {"udp4", PAL_AF_INET, PAL_SOCK_DGRAM},
    [PIPE] = {"pipe", PAL_AF_UNSPEC, 0},
};

const char *kind_name(enum kind kind)
{
    return kinds[kind].name;
}

int kind_family(enum kind kind)
{
    return kinds[kind].family;
}

int kind_type(enum kind kind)
{
    return kinds[kind].type;
}

bool kind_is_tcp(enum kind kind)
{
    return kind == TCP4 || kind == TCP6;
}

bool kind_is_stream(enum kind kind)
{
    return kind_is_tcp(kind) || kind == UNIX_STREAM || kind == PIPE;
}

bool kind_connects(enum kind kind)
{
    return kind_is_tcp(kind) || kind == UNIX_STREAM || kind == SEQPACKET;
}

bool kind_is_datagram(enum kind kind)
{
    return kind == UNIX_DGRAM || kind == UDP4;
}

bool kind_is_ip(enum kind kind)
{
    return kind_is_tcp(kind) || kind == UDP4;
}

/* ---- bytes ---- */

static uint64_t mix(uint64_t z)
{
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

uint64_t model_number(struct model *model)
{
    return mix(++model->keys);
}

static uint8_t byte_at(uint64_t word, uint64_t position)
{
    return (uint8_t)(word >> (position % 8 * 8));
}

void bytes_make(uint64_t key, uint64_t position, void *out, uint64_t size)
{
    uint8_t *bytes = out;
    uint64_t word = mix(key + position / 8);

    for (uint64_t i = 0; i < size; i++, position++) {
        if (position % 8 == 0)
            word = mix(key + position / 8);
        bytes[i] = byte_at(word, position);
    }
}

bool bytes_are(uint64_t key, uint64_t position, const void *bytes, uint64_t size)
{
    const uint8_t *at = bytes;
    uint64_t word = mix(key + position / 8);
    unsigned wrong = 0;

    for (uint64_t i = 0; i < size; i++, position++) {
        if (position % 8 == 0)
            word = mix(key + position / 8);
        wrong |= (unsigned)(at[i] ^ byte_at(word, position));
    }
    return wrong == 0;
}

uint64_t record_position(uint64_t number)
{
    return number * RECORD_SIZE_MAX;
}

/* ---- ends and flows ---- */

int end_new(struct model *model, enum kind kind, enum stage stage)
{
    for (int i = 0; i < ENDS_MAX; i++) {
        struct end *end = &model->ends[i];

        if (end->used)
            continue;
        memset(end, 0, sizeof(*end));
        end->used = end->reads = end->writes = true;
        end->kind = kind;
        end->stage = stage;
        end->peer = NONE;
        end->in.key = model_number(model);
        end->keepalive = end->tos = NONE;
        return i;
    }
    fail("the model has no end left: the generator asks for too many");
}

uint64_t end_unused(const struct model *model)
{
    uint64_t count = 0;

    for (int i = 0; i < ENDS_MAX; i++)
        count += !model->ends[i].used;
    return count;
}

void end_join(struct model *model, int a, int b)
{
    model->ends[a].peer = b;
    model->ends[b].peer = a;
    model->ends[a].stage = model->ends[b].stage = CONNECTED;
}

void end_taint(struct model *model, int end)
{
    model->ends[end].tainted = model->ends[end].unsettled = true;
}

/* Its peer sees the end of the stream, or a reset when bytes were thrown away. */
void end_close(struct model *model, int index)
{
    struct end *end = &model->ends[index];
    int peer = end->peer;

    for (int i = 0; i < end->backlog_count; i++) {
        int client = model->ends[end->backlog[i]].peer;

        if (client != NONE)
            end_taint(model, client);
        end_close(model, end->backlog[i]);
    }
    if (peer != NONE) {
        struct end *other = &model->ends[peer];

        other->peer = NONE;
        other->orphan = other->unsettled = true;
        if (kind_connects(end->kind) && (in_flight(&end->in) > 0 || end->in.amount != EXACT || end->tainted))
            end_taint(model, peer);
        if (!kind_is_datagram(end->kind))
            other->in.ended = true;
    }
    end->used = false;
}

struct end *end_of(struct model *model, const struct sock *sock)
{
    return &model->ends[sock->end];
}

struct flow *flow_out(struct model *model, const struct end *end)
{
    return end->peer == NONE ? NULL : &model->ends[end->peer].in;
}

uint64_t in_flight(const struct flow *flow)
{
    return flow->record_count ? (uint64_t)flow->record_count : flow->sent - flow->taken;
}

void flow_send(struct flow *flow, uint64_t size)
{
    flow->sent += size;
    flow->chunks++;
}

static void rest(struct flow *flow)
{
    if (flow->sent == flow->taken)
        flow->chunks = 0;
}

void flow_take(struct flow *flow, uint64_t size)
{
    flow->taken += size;
    rest(flow);
}

void flow_take_record(struct flow *flow)
{
    flow->record_count--;
    memmove(flow->records, flow->records + 1, (size_t)flow->record_count * sizeof(flow->records[0]));
    flow->taken++;
    rest(flow);
}

uint64_t flow_room(const struct flow *flow, bool records)
{
    uint64_t used = flow->sent - flow->taken;

    if (flow->amount != EXACT)
        return 0;
    if (records)
        return flow->record_count < RECORDS_MAX ? RECORD_SIZE_MAX : 0;
    return used >= FLIGHT_MAX || flow->chunks >= CHUNKS_MAX ? 0 : FLIGHT_MAX - used;
}

int sock_of_end(const struct model *model, int end)
{
    int found = NONE;

    for (int i = 0; i < SOCKS_MAX; i++) {
        if (!model->socks[i].live || model->socks[i].end != end)
            continue;
        if (!sock_busy(&model->socks[i]))
            return i;
        found = i;
    }
    return found;
}

/* ---- what waits see ---- */

enum level level_in(const struct end *end)
{
    if (!end->reads || end->stage == FRESH)
        return NEVER;
    if (end->stage == REFUSED)
        return MAYBE;
    if (end->stage == LISTENING)
        return end->backlog_count > 0 ? SURELY : NEVER;
    if (end->tainted)
        return end->peer == NONE ? SURELY : MAYBE;
    if (end->in.amount == UNTOLD || end->in.amount == DRAINING)
        return MAYBE;
    return end->in.amount == FULL || in_flight(&end->in) > 0 || end->in.ended ? SURELY : NEVER;
}

enum level level_out(const struct model *model, const struct end *end)
{
    enum amount amount;

    if (!end->writes || end->stage == FRESH || end->stage == LISTENING)
        return NEVER;
    if (end->stage == REFUSED || end->tainted || end->shut_write)
        return MAYBE;
    if (end->peer == NONE)
        return end->kind == PIPE || end->kind == UDP4 ? SURELY : MAYBE;
    amount = model->ends[end->peer].in.amount;
    return amount == EXACT ? SURELY : amount == FULL ? NEVER : MAYBE;
}

static enum level level_rdhup(const struct end *end)
{
    if (!kind_connects(end->kind) || end->stage == FRESH || end->stage == LISTENING)
        return NEVER;
    if (end->tainted || end->stage == REFUSED)
        return MAYBE;
    return end->in.ended ? SURELY : NEVER;
}

/* May the system speak of an error or of a hang-up? */
static bool may_hang_up(const struct end *end)
{
    if (end->stage == FRESH || end->stage == LISTENING)
        return false;
    return end->tainted || end->stage == REFUSED || (end->peer == NONE && end->kind != UDP4) ||
           (end->shut_write && end->in.ended);
}

struct readiness readiness_of(const struct model *model, const struct end *end, uint32_t interest)
{
    const struct {
        uint32_t bit;
        enum level level;
    } levels[] = {{PAL_IN, level_in(end)}, {PAL_OUT, level_out(model, end)}, {PAL_RDHUP, level_rdhup(end)}};
    struct readiness readiness = {0, 0};

    for (int i = 0; i < 3; i++) {
        if (!(interest & levels[i].bit))
            continue;
        readiness.required |= levels[i].level == SURELY ? levels[i].bit : 0;
        readiness.allowed |= levels[i].level != NEVER ? levels[i].bit : 0;
    }
    if (may_hang_up(end))
        readiness.allowed |= PAL_ERR | PAL_HUP | (interest & (PAL_IN | PAL_OUT | PAL_PRI | PAL_RDHUP));
    return readiness;
}

static enum level send_due(const struct model *model, const struct end *end)
{
    enum amount amount;

    if (end->tainted || end->shut_write)
        return end->peer == NONE ? SURELY : MAYBE;
    if (end->peer == NONE)
        return SURELY;
    amount = model->ends[end->peer].in.amount;
    return amount == DRAINING ? MAYBE : NEVER; /* what room was left, submit has taken */
}

enum level request_due(const struct model *model, const struct request *request)
{
    const struct end *end = &model->ends[model->socks[request->sock].end];

    if (request->cancelled || request->is_held_up)
        return SURELY;
    if (request->op.kind == PAL_OP_CONNECT)
        return SURELY;    /* loopback has decided it already */
    if (request->is_open) /* TCP finds room by itself, as time passes */
        return MAYBE;
    return op_writes(request->op.kind) ? send_due(model, end) : level_in(end);
}

/* ---- handles ---- */

bool op_writes(uint8_t kind)
{
    return kind == PAL_OP_SEND || kind == PAL_OP_SEND_MSG || kind == PAL_OP_SEND_LEASE || kind == PAL_OP_SENDFILE ||
           kind == PAL_OP_CONNECT;
}

bool sock_busy(const struct sock *sock)
{
    return sock->interest != 0 || sock->reader != NULL || sock->writer != NULL;
}

bool sock_reads(const struct sock *sock)
{
    return (sock->interest & (PAL_IN | PAL_PRI | PAL_RDHUP)) != 0 || sock->reader != NULL;
}

bool sock_waits_elsewhere(const struct model *model, const struct sock *sock, int poll)
{
    for (int i = 0; i < SOCKS_MAX; i++) {
        const struct sock *twin = &model->socks[i];

        if (twin->live && twin != sock && twin->end == sock->end && twin->poll != poll &&
            (sock_busy(twin) || twin->ending > 0))
            return true;
    }
    return false;
}

int handle_count(const struct model *model)
{
    int count = 0;

    for (int i = 0; i < SOCKS_MAX; i++)
        count += model->socks[i].live;
    for (int i = 0; i < FILES_MAX; i++)
        count += model->files[i].live;
    for (int i = 0; i < CHILDREN_MAX; i++)
        count += model->children[i].live;
    for (int i = 0; i < REQUESTS_MAX; i++)
        count += model->requests[i].file.id != 0;
    return count;
}

int sock_free(const struct model *model)
{
    for (int i = 0; i < SOCKS_MAX; i++)
        if (!model->socks[i].live)
            return i;
    return NONE;
}

static bool op_out(const struct model *model, int end, bool writes)
{
    for (int i = 0; i < REQUESTS_MAX; i++) {
        const struct request *request = &model->requests[i];

        if (request->out && model->socks[request->sock].end == end && op_writes(request->op.kind) == writes)
            return true;
    }
    return false;
}

bool end_read_by_op(const struct model *model, int end)
{
    return op_out(model, end, false);
}

bool end_written_by_op(const struct model *model, int end)
{
    return op_out(model, end, true);
}

void spurious_allowed(struct model *model, int end, uint32_t bits)
{
    for (int i = 0; i < SOCKS_MAX; i++)
        if (model->socks[i].live && model->socks[i].end == end)
            model->socks[i].spurious |= model->socks[i].interest & bits;
}

void sock_idle(struct sock *sock)
{
    if (!sock_busy(sock) && sock->share > 0)
        sock->share_unsure = true;
}

/* What an array still shows of its last watch there stays: it is another poll's now. */
static void leave_array(struct model *model, const struct sock *sock)
{
    for (int p = 0; p < POLLS_MAX; p++)
        for (int i = 0; i < model->polls[p].shown_count; i++)
            if (model->polls[p].shown_life[i] == sock->life)
                model->polls[p].shown_life[i] = 0;
}

void sock_join(struct model *model, struct sock *sock, int poll)
{
    if (sock->poll != poll)
        leave_array(model, sock);
    if (sock->poll != poll) { /* what it had borrowed before is not its charge */
        for (int i = 0; i < LENT_MAX; i++)
            if (model->lent[i].used && model->lent[i].life == sock->life)
                model->lent[i].life = 0;
        sock->share = 0;
        sock->share_unsure = false;
    }
    sock->poll = poll;
}

void strike_out(struct model *model, uint64_t life)
{
    for (int p = 0; p < POLLS_MAX; p++) {
        struct poll *poll = &model->polls[p];

        for (int i = 0; i < poll->shown_count; i++)
            if (poll->shown_life[i] == life)
                poll->shown[i].kind = PAL_EV_NONE;
    }
}

/* ---- leases ---- */

uint32_t leases_free(const struct poll *poll)
{
    return poll->lease_count - poll->lent;
}

uint32_t leases_lendable(const struct model *model, const struct sock *sock)
{
    const struct poll *poll = &model->polls[sock->poll];
    uint32_t left = leases_free(poll);

    if (poll->share_max != 0 && poll->share_max < sock->share + left)
        left = poll->share_max > sock->share ? poll->share_max - sock->share : 0;
    return left;
}

bool leases_feed(const struct model *model, const struct sock *sock)
{
    const struct poll *poll = &model->polls[sock->poll];

    if (leases_lendable(model, sock) == 0)
        return false;
    if (poll->share_max != 0 && poll->share_max < poll->lease_count)
        return true;
    return leases_free(poll) * 2 >= poll->lease_count - poll->reserved;
}

int lent_free(const struct model *model)
{
    for (int i = 0; i < LENT_MAX; i++)
        if (!model->lent[i].used)
            return i;
    return NONE;
}

bool lent_sendable(const struct lent *lent)
{
    return lent->used && !lent->pinned && lent->lease.size > 0 && lent->lease.size <= RECORD_SIZE_MAX;
}

void lent_return(struct model *model, int index)
{
    struct lent *lent = &model->lent[index];
    struct poll *poll = &model->polls[lent->poll];

    poll->lent--;
    if (lent->sock == NONE) {
        poll->reserved--;
    } else {
        struct sock *sock = &model->socks[lent->sock];

        if (sock->live && sock->life == lent->life && sock->poll == lent->poll && sock->share > 0)
            sock->share--;
        if (sock->share == 0)
            sock->share_unsure = false;
    }
    lent->used = false;
}
