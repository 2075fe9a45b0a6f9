/* palio/base/fifo.h: intrusive singly linked first-in-first-out queue.
 *
 * One pointer a member, O(1), no allocation, no removal from the middle (list.h has that). All zero is an empty queue,
 * and it may be moved by assignment. Not thread-safe. */
#ifndef PALIO_BASE_FIFO_H
#define PALIO_BASE_FIFO_H

#include <stdbool.h>
#include <stddef.h>

#include "container.h"

/* A place in a queue, in the caller's structure; in at most one queue at a time. */
struct base_fifo_link {
    struct base_fifo_link *next;
};

/* `last` means something only while `first` is not NULL. */
struct base_fifo {
    struct base_fifo_link *first, *last;
};

static inline void base_fifo_init(struct base_fifo *fifo)
{
    fifo->first = fifo->last = NULL;
}

static inline bool base_fifo_is_empty(const struct base_fifo *fifo)
{
    return fifo->first == NULL;
}

/* The member that base_fifo_pop() would take, or NULL. */
static inline struct base_fifo_link *base_fifo_first(const struct base_fifo *fifo)
{
    return fifo->first;
}

static inline void base_fifo_push(struct base_fifo *fifo, struct base_fifo_link *link)
{
    link->next = NULL;
    if (fifo->first == NULL)
        fifo->first = link;
    else
        fifo->last->next = link;
    fifo->last = link;
}

/* Puts a member back to where base_fifo_pop() takes from. */
static inline void base_fifo_push_front(struct base_fifo *fifo, struct base_fifo_link *link)
{
    if (fifo->first == NULL)
        fifo->last = link;
    link->next = fifo->first;
    fifo->first = link;
}

/* Takes the oldest member out; NULL when there is none. */
static inline struct base_fifo_link *base_fifo_pop(struct base_fifo *fifo)
{
    struct base_fifo_link *link = fifo->first;

    if (link != NULL) {
        fifo->first = link->next;
        link->next = NULL;
    }
    return link;
}

/* Moves all members of `from` behind those of `fifo`, in their order; leaves `from` empty. */
static inline void base_fifo_append(struct base_fifo *fifo, struct base_fifo *from)
{
    if (from->first == NULL)
        return;
    if (fifo->first == NULL)
        fifo->first = from->first;
    else
        fifo->last->next = from->first;
    fifo->last = from->last;
    base_fifo_init(from);
}

#endif
