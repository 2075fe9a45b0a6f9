/* maps.h: what the tests of memory maps share. Each function fails the test that calls it. */
#ifndef TESTS_CONFORMANCE_MAPS_H
#define TESTS_CONFORMANCE_MAPS_H

#include "conformance.h"

struct mapped {
    uint8_t *bytes;
    size_t size;
};

size_t map_page(void);

/* A size for which there never is room, though a file may have it: where addresses have 64 bits, half of them. */
#define MAP_TOO_MUCH (SIZE_MAX > UINT32_MAX ? SIZE_MAX / 2 - 100000 : SIZE_MAX / 8 * 7)

/* A backend without maps skips the test. */
struct mapped map_make(const struct pal_map *spec);

/* Of nothing, to be read and written. */
struct mapped map_anonymous(size_t size, uint32_t flags);

void map_end(struct mapped *map);

/* A name that no shared memory has. */
enum { MAP_NAME_SIZE = 64 };
void map_choose_name(char name[MAP_NAME_SIZE]);

/* pal_mremap that has to succeed. */
void map_resize(struct mapped *map, size_t size);

/* Calls that have to be refused, with a reason, and to change nothing. */
void map_refused(const struct pal_map *spec, int error);
void unmap_refused(void *address, size_t size);
void resize_refused(struct mapped *map, size_t size, int error);

#endif
