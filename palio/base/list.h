/* palio/base/list.h: intrusive doubly linked list around a sentinel.
 *
 * It owns nothing: a link lives in the caller's structure and is in at most one list. Every operation is O(1) and
 * allocates nothing. A list points to itself: it cannot be copied or moved by assignment; base_list_append() moves what
 * is in it. Not thread-safe. In use:
 *
 *     struct job { struct base_link link; ... };
 *     BASE_LIST_EACH(link, &jobs) { struct job *job = BASE_CONTAINER_OF(link, struct job, link); ... } */
#ifndef PALIO_BASE_LIST_H
#define PALIO_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "assertion.h"
#include "container.h"

/* A place in a list. All zero: in none. */
struct base_link {
    struct base_link *next, *prev;
};

struct base_list {
    struct base_link head;
};

static inline void base_list_init(struct base_list *list)
{
    list->head.next = list->head.prev = &list->head;
}

static inline bool base_list_is_empty(const struct base_list *list)
{
    return list->head.next == &list->head;
}

static inline bool base_link_is_linked(const struct base_link *link)
{
    return link->next != NULL;
}

/* The first link, or NULL. */
static inline struct base_link *base_list_first(const struct base_list *list)
{
    return base_list_is_empty(list) ? NULL : list->head.next;
}

/* The last link, or NULL. */
static inline struct base_link *base_list_last(const struct base_list *list)
{
    return base_list_is_empty(list) ? NULL : list->head.prev;
}

/* Puts an unlinked link in front of one that is in a list. */
static inline void base_list_insert_before(struct base_link *position, struct base_link *link)
{
    BASE_ASSERT(!base_link_is_linked(link));
    link->next = position;
    link->prev = position->prev;
    position->prev->next = link;
    position->prev = link;
}

static inline void base_list_push_back(struct base_list *list, struct base_link *link)
{
    base_list_insert_before(&list->head, link);
}

static inline void base_list_push_front(struct base_list *list, struct base_link *link)
{
    base_list_insert_before(list->head.next, link);
}

/* Takes the link out of whichever list it is in. */
static inline void base_list_remove(struct base_link *link)
{
    BASE_ASSERT(base_link_is_linked(link));
    link->next->prev = link->prev;
    link->prev->next = link->next;
    link->next = link->prev = NULL;
}

/* Takes the first link out; NULL when there is none. */
static inline struct base_link *base_list_pop_front(struct base_list *list)
{
    struct base_link *link = base_list_first(list);

    if (link != NULL)
        base_list_remove(link);
    return link;
}

/* Moves all links of `from` behind those of `list`, in their order; leaves `from` empty. */
static inline void base_list_append(struct base_list *list, struct base_list *from)
{
    if (base_list_is_empty(from))
        return;
    from->head.next->prev = list->head.prev;
    list->head.prev->next = from->head.next;
    from->head.prev->next = &list->head;
    list->head.prev = from->head.prev;
    base_list_init(from);
}

/* Visits every link. The body must not remove any link; to consume a list use base_list_pop_front(). */
#define BASE_LIST_EACH(link, list)                                                                                     \
    for (struct base_link *link = (list)->head.next; link != &(list)->head; link = link->next)

/* Visits every link; the body may remove the one it visits, and no other. `following` names a helper variable. */
#define BASE_LIST_EACH_REMOVABLE(link, following, list)                                                                \
    for (struct base_link *link = (list)->head.next, *following = link->next; link != &(list)->head;                   \
         link = following, following = link->next)

#endif
