/* option.h: what option.c (the table), special.c (options that are more than a number) and tuning.c (those of speed)
 * need of each other, and what sending and receiving ask about them. */
#ifndef PAL__POSIX_OPTION_H
#define PAL__POSIX_OPTION_H

#include "../common/rule.h"
#include "../common/slot.h"
#include <pal/options.h>

enum { OPTION_NOT_SPECIAL = 1 };

/* The option's result, or OPTION_NOT_SPECIAL. */
int pal__k_special_set(struct slot *slot, uint32_t number, const void *value, size_t size);
int pal__k_special_get(struct slot *slot, uint32_t number, void *value, size_t *size);

/* A boolean as it was handed in; PAL_EINVAL. */
int pal__k_boolean(const void *value, size_t size, bool *out);

/* tuning.c: the same for PAL_SO_TIMESTAMPING, ZEROCOPY, QUICKACK_ALWAYS. */
int pal__k_tuning_set(struct slot *slot, uint32_t number, const void *value, size_t size);
int pal__k_tuning_get(const struct slot *slot, uint32_t number, void *value, size_t *size);

/* Whether PAL_MSG_ZEROCOPY may be asked for: 0, or PAL_EINVAL with the reason. 0 calls where it has been switched on by
 * this handle, else 1. */
int pal__k_may_zerocopy(struct slot *slot);

/* TCP_QUICKACK once more. */
void pal__k_acknowledge(const struct slot *slot);

/* After data has been received: PAL_SO_QUICKACK_ALWAYS. */
static inline void acknowledge(const struct slot *slot)
{
    if (UNLIKELY(slot_flags(slot) & SLOT_QUICKACK))
        pal__k_acknowledge(slot);
}

/* Unless told, Linux hands a datagram socket what any socket of the host has joined; here each hears its own groups. */
void pal__k_hear_own_groups(struct slot *slot);

/* setsockopt(2), getsockopt(2): an option that the kernel does not know is PAL_ENOTSUP with a reason. */
int pal__k_native_set(const struct slot *slot, int level, int name, const void *value, size_t size);
int pal__k_native_get(const struct slot *slot, int level, int name, void *value, size_t *size);

#endif
