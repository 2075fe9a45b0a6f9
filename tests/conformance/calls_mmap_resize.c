/* calls_mmap_resize.c: maps that grow, shrink and move, and many maps at once, also of several threads. */
#include "calls_common.h"
#include "maps.h"
#include "support/sanitizers.h"
#include "temporary.h"

enum { BOTH = PAL_MAP_READ | PAL_MAP_WRITE };

TestSuite(calls_mmap_resize, .fini = temporary_remove_all);

static const uint32_t resizable[] = {0, PAL_MAP_GUARD, PAL_MAP_POPULATE, PAL_MAP_GUARD | PAL_MAP_HUGE};
enum { RESIZABLE = sizeof(resizable) / sizeof(resizable[0]) };

/* ---- anonymous ---- */

Test(calls_mmap_resize, content_stays_and_what_is_added_is_zero)
{
    const size_t page = map_page(), sizes[] = {page + 7, 8 * page, 3 * page, 1, 40 * page + 1, 41 * page, 2 * page};

    for (size_t i = 0; i < RESIZABLE; i++) {
        struct mapped map = map_anonymous(2 * page, resizable[i]);

        fill_pattern(map.bytes, map.size, 0);
        for (size_t j = 0; j < sizeof(sizes) / sizeof(sizes[0]); j++) {
            size_t before = map.size, kept = before < sizes[j] ? before : sizes[j];

            map_resize(&map, sizes[j]);
            cr_assert(is_pattern(map.bytes, kept, 0), "step %zu", j);
            for (size_t k = (kept + page - 1) / page * page; k < map.size; k++)
                cr_assert_eq(map.bytes[k], 0, "step %zu: byte %zu is not zero", j, k);
            fill_pattern(map.bytes, map.size, 0);
        }
        map_end(&map);
    }
}

Test(calls_mmap_resize, within_a_page_only_the_size_changes)
{
    struct mapped map = map_anonymous(100, PAL_MAP_GUARD);
    uint8_t *bytes = map.bytes;

    map_resize(&map, map_page());
    cr_assert_eq(map.bytes, bytes);
    unmap_refused(bytes, 100);
    map_resize(&map, 1);
    cr_assert_eq(map.bytes, bytes);
    map_end(&map);
}

Test(calls_mmap_resize, protection_goes_along)
{
    const size_t page = map_page();

    for (size_t i = 0; i < RESIZABLE; i++) {
        struct mapped map = map_anonymous(page, resizable[i]);

        fill_pattern(map.bytes, page, 0);
        assert_error(pal_mprotect(map.bytes, page, PAL_MAP_READ), 0);
        map_resize(&map, 20 * page);
        cr_assert(is_pattern(map.bytes, page, 0));
        assert_error(pal_mprotect(map.bytes, 20 * page, BOTH), 0);
        fill_pattern(map.bytes, 20 * page, 0);
        map_end(&map);
    }
}

Test(calls_mmap_resize, what_is_no_map_is_not_resized)
{
    const size_t page = map_page();
    struct mapped map = map_anonymous(2 * page, 0), wrong[] = {
                                                        {map.bytes, page},
                                                        {map.bytes, 2 * page - 1},
                                                        {map.bytes + page, page},
                                                        {map.bytes + 1, 2 * page},
                                                        {NULL, page},
                                                        {map.bytes, 0},
                                                    };

    fill_pattern(map.bytes, map.size, 0);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        resize_refused(&wrong[i], 4 * page, PAL_EINVAL);
    resize_refused(&map, 0, PAL_EINVAL);
    assert_error(pal_mremap(NULL, 2 * page, page), PAL_EINVAL);
    cr_assert(is_pattern(map.bytes, map.size, 0));
    map_end(&map);
    resize_refused(&map, page, PAL_EINVAL);
}

Test(calls_mmap_resize, a_map_that_cannot_grow_stays_as_it_was)
{
    static const size_t sizes[] = {SIZE_MAX, MAP_TOO_MUCH + 100000, MAP_TOO_MUCH};
    const size_t page = map_page();

    for (size_t i = 0; i < RESIZABLE; i++) {
        struct mapped map = map_anonymous(3 * page, resizable[i]);

        fill_pattern(map.bytes, map.size, 0);
        for (size_t j = 0; j < sizeof(sizes) / sizeof(sizes[0]); j++)
            resize_refused(&map, sizes[j], PAL_ENOMEM);
        cr_assert(is_pattern(map.bytes, map.size, 0));
        map_resize(&map, 5 * page);
        cr_assert(is_pattern(map.bytes, 3 * page, 0));
        map_end(&map);
    }
}

Test(calls_mmap_resize, a_map_of_differing_parts_stays_as_it_was_or_grows)
{
    const size_t page = map_page();

    for (size_t i = 0; i < RESIZABLE; i++) {
        struct mapped map = map_anonymous(3 * page, resizable[i]);
        void *address = map.bytes;
        int error;

        fill_pattern(map.bytes, map.size, 0);
        assert_error(pal_mprotect(map.bytes + page, page, PAL_MAP_READ), 0);
        error = pal_mremap(&address, map.size, 50 * page);
        cr_assert(error == 0 || error == PAL_ENOTSUP, "%s", pal_error_name(error));
        cr_assert(error == 0 || *pal_reason() != '\0');
        map = (struct mapped){(uint8_t *)address, error == 0 ? 50 * page : 3 * page};
        cr_assert(is_pattern(map.bytes, 3 * page, 0));
        assert_error(pal_mprotect(map.bytes, map.size, BOTH), 0);
        map_resize(&map, 60 * page);
        cr_assert(is_pattern(map.bytes, 3 * page, 0));
        map_end(&map);
    }
}

/* Growing it would be a map of more than there is: whoever touched that would die. */
Test(calls_mmap_resize, shared_memory_keeps_its_size)
{
    const size_t page = map_page();

    for (uint32_t guard = 0; guard <= PAL_MAP_GUARD; guard += PAL_MAP_GUARD) {
        struct mapped map = map_anonymous(4 * page, PAL_MAP_SHARED | guard);

        fill_pattern(map.bytes, map.size, 0);
        resize_refused(&map, 4 * page + 1, PAL_ENOTSUP);
        map_resize(&map, 2 * page);
        resize_refused(&map, 5 * page, PAL_ENOTSUP);
        map_resize(&map, 4 * page);
        cr_assert(is_pattern(map.bytes, 2 * page, 0));
        fill_pattern(map.bytes, map.size, 1);
        cr_assert(is_pattern(map.bytes, map.size, 1));
        map_end(&map);
    }
}

Test(calls_mmap_resize, huge_pages_are_resized_or_refused)
{
    enum { HUGE = 2 << 20 };
    struct mapped map = map_anonymous(2 * HUGE, PAL_MAP_HUGE);
    void *address = map.bytes;
    int error;

    fill_pattern(map.bytes, HUGE, 0);
    error = pal_mremap(&address, 2 * HUGE, 3 * HUGE);
    cr_assert(error == 0 || error == PAL_ENOTSUP, "%s", pal_error_name(error));
    map = (struct mapped){(uint8_t *)address, error == 0 ? 3 * HUGE : 2 * HUGE};
    cr_assert(is_pattern(map.bytes, HUGE, 0));
    map_end(&map);
}

/* ---- files ---- */

Test(calls_mmap_resize, a_map_of_a_file_grows_and_shrinks_with_it)
{
    const size_t page = map_page();

    for (uint32_t guard = 0; guard <= PAL_MAP_GUARD; guard += PAL_MAP_GUARD) {
        pal_file file = temporary_file("", 0);
        struct pal_map spec = {
            .file = file, .offset = page, .size = page, .protect = BOTH, .flags = PAL_MAP_SHARED | guard};
        struct mapped map;
        char byte = '.';

        assert_error(pal_file_resize(file, 2 * page), 0);
        map = map_make(&spec);
        fill_pattern(map.bytes, page, 0);
        assert_error(pal_file_resize(file, 20 * page), 0);
        map_resize(&map, 19 * page);
        cr_assert(is_pattern(map.bytes, page, 0));
        cr_assert_eq(map.bytes[19 * page - 1], 0);
        map.bytes[19 * page - 1] = 'e';
        cr_assert_eq(pal_file_read(file, &byte, 1, 20 * page - 1), 1);
        cr_assert_eq(byte, 'e', "the map's end is not the file's");
        map_resize(&map, page + 5);
        cr_assert_eq(file_size(file), 20 * page, "the file is resized with its map");
        assert_error(pal_file_resize(file, 2 * page + 5), 0);
        cr_assert(is_pattern(map.bytes, page, 0));
        map_end(&map);
        file_close(file);
    }
}

Test(calls_mmap_resize, a_copy_keeps_what_was_written_to_it)
{
    const size_t page = map_page();
    pal_file file = temporary_file("0123456789", 10);
    struct pal_map spec = {.file = file, .size = 10, .protect = BOTH, .flags = PAL_MAP_GUARD};
    struct mapped map;

    assert_error(pal_file_resize(file, 10 * page), 0);
    map = map_make(&spec);
    memcpy(map.bytes, "abc", 3);
    map_resize(&map, 10 * page);
    cr_assert_arr_eq(map.bytes, "abc3456789", 10);
    map_end(&map);
    file_close(file);
}

/* ---- many ---- */

Test(calls_mmap_resize, a_thousand_maps_come_and_go_in_any_order)
{
    enum { MAPS = 1000, STEP = 7 * 41 }; /* no common divisor: every map is met once */
    static struct mapped maps[MAPS];
    const size_t page = map_page();

    for (size_t i = 0; i < MAPS; i++) {
        maps[i] = map_anonymous(i % 3 * page + i + 1, i % 2 == 0 ? PAL_MAP_GUARD : 0);
        fill_pattern(maps[i].bytes, maps[i].size, i);
    }
    for (size_t i = 0; i < MAPS; i++) {
        struct mapped *map = &maps[i * STEP % MAPS];

        cr_assert(is_pattern(map->bytes, map->size, (uint64_t)(map - maps)));
        map_end(map);
        unmap_refused(map->bytes, map->size);
    }
}

struct mapper {
    uint64_t number;
    int failed_at; /* line, or 0 */
};
enum { MAPPERS = 4, ROUNDS = 200 };

#define must_map(condition)                                                                                            \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            mapper->failed_at = __LINE__;                                                                              \
            return;                                                                                                    \
        }                                                                                                              \
    } while (0)

/* Makes, grows, moves and ends maps; each holds what only this thread writes. */
static void make_maps(void *arg)
{
    struct mapper *mapper = (struct mapper *)arg;
    const size_t page = 4096;

    for (uint64_t round = 0; round < ROUNDS; round++) {
        struct pal_map spec = {
            .size = (size_t)(1 + round % 5) * page, .protect = BOTH, .flags = round % 2 == 0 ? PAL_MAP_GUARD : 0};
        uint64_t mark = mapper->number * ROUNDS + round;
        void *address = NULL;

        must_map(pal_mmap(&spec, &address) == 0);
        fill_pattern((uint8_t *)address, spec.size, mark);
        must_map(pal_mremap(&address, spec.size, spec.size + 9 * page) == 0);
        must_map(is_pattern((uint8_t *)address, spec.size, mark));
        must_map(pal_mremap(&address, spec.size + 9 * page, spec.size) == 0);
        must_map(is_pattern((uint8_t *)address, spec.size, mark));
        must_map(pal_munmap(address, spec.size) == 0);
    }
}

Test(calls_mmap_resize, threads_map_at_once)
{
    struct mapper mappers[MAPPERS];
    pal_thread threads[MAPPERS];

#if defined(SANITIZER_THREAD)
    test_skip("plain-build", "ThreadSanitizer does not see where mremap(2) moves a map, and takes it for another's");
#endif
    for (uint64_t i = 0; i < MAPPERS; i++) {
        mappers[i] = (struct mapper){i, 0};
        assert_error(pal_thread_start(&threads[i], make_maps, &mappers[i]), 0);
    }
    for (int i = 0; i < MAPPERS; i++) {
        assert_error(pal_thread_join(threads[i]), 0);
        cr_assert_eq(mappers[i].failed_at, 0, "thread %d failed at line %d", i, mappers[i].failed_at);
    }
}
