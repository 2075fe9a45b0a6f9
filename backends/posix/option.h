/* option.h: what option.c (the table) and special.c (options that are more than a number) need of each other. */
#ifndef PAL__POSIX_OPTION_H
#define PAL__POSIX_OPTION_H

#include "../common/slot.h"
#include <pal/options.h>

enum { OPTION_NOT_SPECIAL = 1 };

/* The option's result, or OPTION_NOT_SPECIAL. */
int pal__k_special_set(struct slot *slot, uint32_t number, const void *value, size_t size);
int pal__k_special_get(struct slot *slot, uint32_t number, void *value, size_t *size);

/* Unless told, Linux hands a datagram socket what any socket of the host has joined; here each hears its own groups. */
void pal__k_hear_own_groups(struct slot *slot);

/* setsockopt(2): an option that the kernel does not know is PAL_ENOTSUP with a reason. */
int pal__k_native_set(const struct slot *slot, int level, int name, const void *value, size_t size);

#endif
