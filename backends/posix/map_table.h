/* map_table.h: which maps there are, so that unmapping and resizing know what belongs to an address: guards, pages of
 * the huge kind, how far the memory behind it reaches. A hash table under a lock, for cold calls: a map is made seldom
 * and costs page faults anyway.
 *
 * Fork (rule 17): a child inherits the maps and so the table, whose every change is one store. The lock lies in memory
 * that fork wipes, so the child finds it free, whatever the parent's threads were doing. */
#ifndef PAL__POSIX_MAP_TABLE_H
#define PAL__POSIX_MAP_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map {
    struct map *_Atomic next; /* in its bucket */
    uintptr_t address;        /* the program's first byte, behind the guard */
    size_t size;              /* bytes, as the program asked */
    size_t size_max;          /* to which it can be grown: the end of shared memory, or SIZE_MAX */
    bool guarded;             /* an inaccessible page before and after */
    bool huge;                /* of the system's pool of huge pages */
};

/* Memory for a map that is in no table; NULL: out of memory. Freed by pal__k_map_free. */
struct map *pal__k_map_new(void);
void pal__k_map_free(struct map *map);

/* Puts it in under its address. */
void pal__k_map_put(struct map *map);

/* Takes out the map that begins at address and has this size; NULL: there is none. */
struct map *pal__k_map_take(const void *address, size_t size);

#endif
