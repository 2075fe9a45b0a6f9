/* crash.c: what a host that loses its power had open: handles and polls, with all that is still out on them. What its
 * functions had allocated is lost. See host.h. */
#include "../common/machine.h"
#include "../common/workers.h"
#include "../posix/kernel.h"
#include "host.h"
#include "wait.h"

/* Nobody waits for the slot any more. */
static void let_go(struct slot *slot)
{
    pal_poll *poll = slot_poll(slot);
    if (poll && !in_stack(slot_handle(slot)))
        pal__k_wait_forget(poll, slot);
    slot_abandon(slot);
}

/* The poll is as one that was never used, and is closed. */
static void end_poll(pal_poll *poll)
{
    for (uint32_t number = 1, top = pal__slots_top(); number < top; number++)
        if (slot_handle(&pal__slots[number]).id && slot_poll(&pal__slots[number]) == poll)
            let_go(&pal__slots[number]);
    pal__work_abandon(poll);
    poll->finished = poll->finished_last = NULL;
    poll->watched = poll->pending = poll->starved = poll->count = 0;
    poll->leases.free_count = poll->leases.count;
    pal__s_poll_end(poll);
}

static void end_handle(struct slot *slot)
{
    pal_sock sock = slot_handle(slot);
    let_go(slot);
    if (slot->type == SLOT_FILE)
        pal__k_file_close((pal_file){sock.id});
    else if (slot->type == SLOT_CHILD)
        pal__s_proc_close((pal_proc){sock.id});
    else
        pal__k_sock_close(sock);
}

void pal__s_close_all(struct host *host)
{
    for (uint32_t number = 0; number < POLLS_MAX; number++) {
        pal_poll *poll = pal__s_poll(number);
        if (poll && pal__s_poll_host(poll) == host)
            end_poll(poll);
    }
    for (uint32_t number = 1, top = pal__slots_top(); number < top; number++) {
        struct slot *slot = &pal__slots[number];
        pal_sock sock = slot_handle(slot);
        if (sock.id && !in_stack(sock) && pal__s_owner(sock) == host)
            end_handle(slot);
    }
}
