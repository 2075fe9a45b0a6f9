/* shared_memory.h: the shared memory that a pal_map names. */
#ifndef PAL__POSIX_SHARED_MEMORY_H
#define PAL__POSIX_SHARED_MEMORY_H

#include <pal/mmap.h>
#include <stdbool.h>

struct shared_memory {
    uint64_t size; /* bytes; at least the map's */
    int fd;
    bool created;                    /* just now, by this call */
    char name[PAL_MAP_NAME_MAX + 2]; /* the system's form: a slash before it */
};

/* Opens what spec->name names, made and sized if it asks for that. What is opened is to be closed. */
int pal__k_shared_memory_open(const struct pal_map *spec, struct shared_memory *out);

/* Closes the descriptor; failed: the map was not made, so takes away the name that open has created. */
void pal__k_shared_memory_close(const struct shared_memory *memory, bool failed);

#endif
