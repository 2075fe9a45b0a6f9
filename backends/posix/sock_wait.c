/* sock_wait.c: the wait that registers nothing: ppoll(2) over the caller's items, for any thread
 * (hole 2). Rules 9, 10. */
#include "../common/machine.h"
#include "../common/memory.h"
#include "deadline.h"
#include "try.h"

#include <poll.h>

SAME_NUMBER(PAL_IN, POLLIN);
SAME_NUMBER(PAL_PRI, POLLPRI);
SAME_NUMBER(PAL_OUT, POLLOUT);
SAME_NUMBER(PAL_ERR, POLLERR);
SAME_NUMBER(PAL_HUP, POLLHUP);
SAME_NUMBER(PAL_NVAL, POLLNVAL);

enum { WAIT_MAX = 65536, WAIT_ON_STACK = 256, WAIT_BITS = PAL_IN | PAL_PRI | PAL_OUT | PAL_RDHUP };

/* Fills in natives; returns how many handles are stale, whose items are marked. */
static int prepare(struct pal_wait *items, struct pollfd *natives, int count)
{
    int stale = 0;
    for (int i = 0; i < count; i++) {
        struct slot *slot = items[i].sock.id ? slot_of(items[i].sock) : NULL;
        items[i].ready = 0;
        if (slot && slot_flags(slot) & SLOT_FRESH)
            pal__k_slot_refresh(slot);
        natives[i] = (struct pollfd){.fd = -1};
        if (slot && !(slot_flags(slot) & SLOT_FRESH)) {
            natives[i].fd = slot->fd;
            natives[i].events = (short)(items[i].interest & WAIT_BITS);
        } else if (!slot && items[i].sock.id) {
            items[i].ready = PAL_NVAL;
            stale++;
        }
    }
    return stale;
}

static long wait_native(struct pollfd *natives, int count, uint64_t deadline_ns)
{
    struct timespec timeout;
    return CHECKED(ppoll(natives, (nfds_t)count, deadline_timeout(deadline_ns, &timeout), NULL));
}

int pal__k_sock_wait(struct pal_wait *items, int count, uint64_t deadline_ns)
{
    if (count < 0 || count > WAIT_MAX || (count && !items))
        return pal__refuse(PAL_EINVAL, "pal_sock_wait takes 0 to 65536 items");
    struct pollfd on_stack[WAIT_ON_STACK], *natives = on_stack;
    if (count > WAIT_ON_STACK && !(natives = pal__alloc((size_t)count * sizeof *natives, _Alignof(struct pollfd))))
        return PAL_ENOMEM;
    int ready = prepare(items, natives, count);
    long result = wait_native(natives, count, ready ? 0 : deadline_ns);
    for (int i = 0; result > 0 && i < count; i++) {
        if (natives[i].fd < 0 || !natives[i].revents)
            continue;
        items[i].ready = (uint16_t)natives[i].revents;
        ready++;
    }
    if (natives != on_stack)
        pal__free(natives, (size_t)count * sizeof *natives);
    if (result < 0 && result != -EINTR)
        return pal__failed(result);
    return ready;
}
