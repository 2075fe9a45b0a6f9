/* palio/base/container.h: from an embedded member back to the structure around it.
 *
 * What makes the intrusive containers of base/ usable. */
#ifndef PALIO_BASE_CONTAINER_H
#define PALIO_BASE_CONTAINER_H

#include <stddef.h>

/* The `type` whose `member` the pointer points to. The conditional never evaluates its second arm: it is there so that
 * a pointer to anything but that member does not compile. */
#define BASE_CONTAINER_OF(pointer, type, member)                                                                       \
    ((type *)(void *)((char *)(1 ? (pointer) : &((type *)0)->member) - offsetof(type, member)))

#endif
