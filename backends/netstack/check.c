/* check.c: whether a whole stack is consistent: everything is where its tables say, and nothing else is.
 *
 * For tests: it costs by everything there is. Connections are looked at by tcp_check.c. It reads and never repairs. */
#include "stack.h"

/* What a walk finds, to be compared with the counts. */
struct census {
    uint32_t listeners, embryos, dirty, segments;
    uint32_t demuxed;    /* tcbs that say so */
    uint32_t entries[4]; /* of the demultiplexer, by enum demux_kind */
};

static const char *check_listener(const struct tcb *tcb, struct census *census)
{
    const struct tcp_listener *listener = tcb->listener;
    uint32_t embryos = 0, accepts = 0;

    if (listener == NULL || listener->tcb != tcb)
        return "a listening socket and its listener do not belong together";
    BASE_LIST_EACH(link, &listener->embryos)
    {
        const struct embryo *embryo = BASE_CONTAINER_OF(link, const struct embryo, link);

        if (embryo->listener != listener || !timer_is_armed(&embryo->timer) || embryo->dst == NULL)
            return "an embryo has no timer, no path, or another listener";
        embryos++;
    }
    BASE_LIST_EACH(link, &listener->accepts)
    {
        const struct tcb *queued = BASE_CONTAINER_OF(link, const struct tcb, accept_link);

        if (queued->listener != listener || (queued->flags & TCP_F_QUEUED) == 0)
            return "a connection in an accept queue does not know it";
        accepts++;
    }
    if (embryos != listener->embryo_count || accepts != listener->accept_count)
        return "embryo_count or accept_count does not recount";
    census->listeners++;
    census->embryos += embryos;
    return NULL;
}

/* Its place in the tables, beside what it is by itself. */
static const char *check_place(struct netstack *stack, const struct tcb *tcb, struct census *census)
{
    uint32_t index = demux_index(DEMUX_TCB, pool_index(&stack->tcb_pool, tcb));
    const struct tuple *tuple = &tcb->sock.tuple;

    if (tcb->sock.stack != stack || tcb->sock.kind != SOCK_TCP)
        return "a tcb in use is none";
    if (((tcb->sock.flags & SOCK_BOUND) != 0) != base_link_is_linked(&tcb->sock.port_link))
        return "SOCK_BOUND does not say whether it is in the port table";
    if ((tcb->flags & TCP_F_DEMUXED) == 0)
        return NULL;
    census->demuxed++;
    if (pal__n_demux_find(stack, tuple, pal__n_demux_hash(&stack->demux, tuple)) != index)
        return "a connection is not found by its tuple";
    return stack->ports->tcp_users[tuple->local_port] == 0 ? "a connection's port counts no users" : NULL;
}

static const char *check_tcbs(struct netstack *stack, struct census *census)
{
    const struct tcb *tcb;
    const char *wrong = NULL;

    for (uint32_t next = 0; wrong == NULL && (tcb = pal__n_pool_next(&stack->tcb_pool, &next)) != NULL;) {
        wrong = check_place(stack, tcb, census);
        if (wrong == NULL)
            wrong = pal__n_tcb_check(tcb);
        if (wrong == NULL && tcb->state == TCP_LISTEN)
            wrong = check_listener(tcb, census);
        census->dirty += (tcb->flags & TCP_F_DIRTY) != 0;
        BASE_LIST_EACH(link, &tcb->segs)
        {
            census->segments++;
        }
    }
    return wrong;
}

static const char *check_timewaits(const struct netstack *stack)
{
    uint64_t due_ns = 0;
    uint32_t found = 0;

    BASE_LIST_EACH(link, &stack->timewaits)
    {
        const struct timewait *timewait = BASE_CONTAINER_OF(link, const struct timewait, link);

        if (!timer_is_armed(&timewait->timer) || timewait->timer.due_ns < due_ns)
            return "a TIME-WAIT record has no timer, or is out of order";
        if (stack->ports->tcp_users[timewait->tuple.local_port] == 0)
            return "a TIME-WAIT record's port counts no users";
        due_ns = timewait->timer.due_ns;
        found++;
    }
    return found != stack->timewait_pool.used ? "TIME-WAIT records do not recount" : NULL;
}

static const char *check_demux(struct netstack *stack, struct census *census)
{
    const struct demux *demux = &stack->demux;

    for (uint32_t bucket = 0; bucket <= demux->mask; bucket++) {
        for (unsigned way = 0; way < DEMUX_WAYS; way++) {
            if (demux->buckets[bucket].tags[way] != 0)
                census->entries[demux_kind_of(demux->buckets[bucket].indices[way]) & 3]++;
        }
    }
    if (census->entries[DEMUX_TCB] != census->demuxed)
        return "the demultiplexer has other connections than there are";
    if (census->entries[DEMUX_EMBRYO] != stack->embryo_pool.used)
        return "the demultiplexer has other embryos than there are";
    if (census->entries[DEMUX_TIMEWAIT] != stack->timewait_pool.used)
        return "the demultiplexer has other TIME-WAIT records than there are";
    if (census->entries[DEMUX_UDP] > stack->udp_pool.used)
        return "the demultiplexer has more UDP sockets than there are";
    if (census->entries[DEMUX_TCB] + census->entries[DEMUX_EMBRYO] + census->entries[DEMUX_TIMEWAIT] +
            census->entries[DEMUX_UDP] !=
        demux->count)
        return "the demultiplexer does not recount";
    return NULL;
}

static const char *check_counts(const struct netstack *stack, const struct census *census)
{
    uint32_t dirty = 0;

    BASE_LIST_EACH(link, &stack->dirty)
    {
        dirty++;
    }
    if (dirty != census->dirty)
        return "the dirty list is not what is dirty";
    if (census->listeners != stack->listener_pool.used)
        return "listeners do not recount";
    if (census->embryos != stack->embryo_pool.used)
        return "embryos do not recount";
    if (census->segments != stack->seg_pool.used)
        return "segments do not recount";
    if (stack->chunk_pool.used > stack->seg_pool.used)
        return "there are more chunks than segments that could have bytes in them";
    if (!base_list_is_empty(&stack->expired))
        return "a timer was taken off the wheel and not fired";
    return NULL;
}

const char *pal__n_stack_check(struct netstack *stack)
{
    struct census census;
    const char *wrong;

    memset(&census, 0, sizeof(census));
    wrong = check_tcbs(stack, &census);
    if (wrong == NULL)
        wrong = check_timewaits(stack);
    if (wrong == NULL)
        wrong = check_demux(stack, &census);
    return wrong != NULL ? wrong : check_counts(stack, &census);
}
