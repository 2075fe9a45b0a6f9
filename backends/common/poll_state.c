/* poll_state.c: opening, owning and closing what every poll has. Rules 7, 12 and 17. */
#include "poll_state.h"

#include "memory.h"
#include "refusal.h"

#include <string.h>

_Thread_local char pal__thread_mark;

static pal_poll *_Atomic polls[POLLS_MAX];
static _Atomic bool numbers_taken[POLLS_MAX];
static uint32_t polls_max = POLLS_DEFAULT;
static _Atomic bool used;

bool pal__polls_used(void)
{
    return atomic_load(&used);
}

void pal__polls_limit(uint32_t count)
{
    polls_max = count;
}

int pal__poll_claim(pal_poll *poll)
{
    void *expected = POLL_UNCLAIMED;
    if (atomic_compare_exchange_strong(poll->owner, &expected, thread_mark()))
        return 0;
    if (expected == NULL)
        return pal__refuse(PAL_EFORKED, "a poll does not outlive fork: close it here and open another");
    RULE(12, expected == thread_mark(), "a poll is used by a thread that does not own it");
    return 0;
}

/* Numbers are taken before the poll exists: its memory goes by the number (see poll_state.h). */
int pal__poll_reserve(uint32_t *number)
{
    for (*number = 0; *number < polls_max; ++*number) {
        bool taken = false;
        if (atomic_compare_exchange_strong(&numbers_taken[*number], &taken, true))
            return 0;
    }
    return pal__refuse(PAL_ENOBUFS, "polls_max polls are open: close one, or raise polls_max in pal_setup");
}

static int check_config(const struct pal_config *config)
{
    if (config->events_max && (config->events_max < EVENTS_MIN || config->events_max > EVENTS_MAX))
        return pal__refuse(PAL_EINVAL, "events_max is to be 2 to 65536");
    if (config->lease_count > LEASES_MAX)
        return pal__refuse(PAL_EINVAL, "lease_count is to be 1 to 65536");
    if (config->lease_size && (config->lease_size < LEASE_SIZE_MIN || config->lease_size > LEASE_SIZE_MAX))
        return pal__refuse(PAL_EINVAL, "lease_size is to be 64 bytes to 16 MiB");
    if (config->flags)
        return pal__refuse(PAL_EINVAL, "pal_config.flags has no flags yet");
    return 0;
}

int pal__poll_set_idle(pal_poll *poll, uint32_t strategy, uint64_t spin_ns)
{
    if (strategy > PAL_IDLE_SPIN)
        return pal__refuse(PAL_EINVAL, "idle is PAL_IDLE_BLOCK, BACKOFF or SPIN");
    poll->idle = strategy;
    poll->spin_ns = spin_ns ? spin_ns : SPIN_NS_DEFAULT;
    if (strategy == PAL_IDLE_BLOCK)
        atomic_fetch_and(&poll->wake_bits, ~(uint32_t)WAKE_SPIN);
    else
        atomic_fetch_or(&poll->wake_bits, WAKE_SPIN);
    return 0;
}

static int begin(pal_poll *poll, uint32_t number, const struct pal_config *config)
{
    void *_Atomic *cells = pal__owner_cells();
    int error = check_config(config);
    if (error || !cells)
        return error ? error : PAL_ENOMEM;
    if ((error = pal__poll_set_idle(poll, config->idle, config->spin_ns)))
        return error;
    if (!poll->owner) /* else others may be reading it, and it stays what it was */
        poll->owner = &cells[number];
    atomic_store(poll->owner, POLL_UNCLAIMED);
    atomic_store(&used, true);
    poll->next_number = 1;
    poll->events_max = config->events_max ? config->events_max : EVENTS_DEFAULT;
    poll->leases_per_sock_max = config->leases_per_sock_max ? config->leases_per_sock_max : UINT16_MAX;
    poll->events = pal__alloc(poll->events_max * sizeof *poll->events, sizeof *poll->events);
    if (!poll->events)
        return PAL_ENOMEM;
    return pal__lease_pool_open(&poll->leases, config->lease_count ? config->lease_count : LEASES_DEFAULT,
                                config->lease_size ? config->lease_size : LEASE_SIZE_DEFAULT, number);
}

int pal__poll_begin(pal_poll *poll, uint32_t number, const struct pal_config *config)
{
    static const struct pal_config defaults;
    const size_t kept = offsetof(struct pal_poll, events); /* .owner and .door, which others may be using */
    _Static_assert(offsetof(struct pal_poll, owner) == 0, "the owner comes first");
    memset((char *)poll + kept, 0, sizeof *poll - kept);
    atomic_store(&polls[number], poll);
    int error = begin(poll, number, config ? config : &defaults);
    poll->leases.number = number;
    if (error)
        pal__poll_end(poll);
    return error;
}

void pal__poll_end(pal_poll *poll)
{
    uint32_t number = poll->leases.number;
    pal__lease_pool_close(&poll->leases);
    pal__free(poll->events, poll->events_max * sizeof *poll->events);
    poll->events = NULL;
    if (poll->owner && poll_inherited(poll))
        atomic_store(&poll->door.state, LOCK_FREE); /* whoever held it is no thread of this process */
    if (poll->owner)
        atomic_store(poll->owner, POLL_UNCLAIMED);
    atomic_store(&polls[number], NULL);
    atomic_store(&numbers_taken[number], false);
}

int pal__poll_idle(const pal_poll *poll)
{
    if (poll->watched)
        return pal__refuse(PAL_EBUSY, "a socket is still watched by this poll: unwatch it first");
    if (poll->pending)
        return pal__refuse(PAL_EBUSY, "an op is still out on this poll, or a child is watched: cancel, unwatch");
    if (leases_out(&poll->leases))
        return pal__refuse(PAL_EBUSY, "a lease of this poll is still lent: release it first");
    return 0;
}

void pal__poll_forget_slots(pal_poll *poll)
{
    bool inherited = poll_inherited(poll); /* then sockets may still be watched, and this is the child's only thread */
    for (uint32_t number = 1, top = pal__slots_top(); number < top; number++) {
        struct slot *slot = &pal__slots[number];
        pal_poll *expected = poll;
        if (slot_poll(slot) != poll)
            continue;
        if (inherited)
            slot_abandon(slot);
        atomic_compare_exchange_strong(&slot->poll, &expected, NULL);
    }
}

void pal__poll_part(pal_poll *poll)
{
    lock_acquire(&poll->door);
    lock_release(&poll->door);
}

pal_poll *pal__poll_numbered(uint32_t number)
{
    pal_poll *poll = number < POLLS_MAX ? atomic_load(&polls[number]) : NULL;
    RULE(5, poll, "a lease of a poll that is closed, or no lease at all");
    return poll;
}
