/* maps.c: see maps.h. Only the seam and ISO C. */
#include "maps.h"

size_t map_page(void)
{
    uint64_t size = 0;

    assert_error(pal_info(PAL_INFO_PAGE_SIZE, &size), 0);
    return (size_t)size;
}

struct mapped map_make(const struct pal_map *spec)
{
    void *address = NULL;
    int error = pal_mmap(spec, &address);

    if (error == PAL_ENOTSUP)
        test_skip("maps", "this backend has none: %s", pal_reason());
    assert_error(error, 0);
    cr_assert_not_null(address);
    return (struct mapped){(uint8_t *)address, spec->size};
}

struct mapped map_anonymous(size_t size, uint32_t flags)
{
    struct pal_map spec = {.size = size, .protect = PAL_MAP_READ | PAL_MAP_WRITE, .flags = flags};

    return map_make(&spec);
}

void map_end(struct mapped *map)
{
    assert_error(pal_munmap(map->bytes, map->size), 0);
}

void map_choose_name(char name[MAP_NAME_SIZE])
{
    unique_name(name, MAP_NAME_SIZE, "palio-test");
}

void map_resize(struct mapped *map, size_t size)
{
    void *address = map->bytes;

    assert_error(pal_mremap(&address, map->size, size), 0);
    cr_assert_eq((uintptr_t)address % map_page(), 0);
    *map = (struct mapped){(uint8_t *)address, size};
}

void map_refused(const struct pal_map *spec, int error)
{
    void *address = NULL;

    assert_error(pal_mmap(spec, &address), error);
    cr_assert_str_neq(pal_reason(), "");
    cr_assert_null(address);
}

void unmap_refused(void *address, size_t size)
{
    assert_error(pal_munmap(address, size), PAL_EINVAL);
    cr_assert_str_neq(pal_reason(), "");
}

void resize_refused(struct mapped *map, size_t size, int error)
{
    void *address = map->bytes;

    assert_error(pal_mremap(&address, map->size, size), error);
    cr_assert(error == PAL_ENOMEM || *pal_reason() != '\0', "no reason");
    cr_assert_eq(address, map->bytes);
}
