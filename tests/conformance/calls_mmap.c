/* calls_mmap.c: memory maps: anonymous ones, of files, guarded, huge, protected, synced, advised; and what is
 * refused. Resizing and many maps at once are in calls_mmap_resize.c, named ones in calls_mmap_named.c; what happens to
 * who touches what he must not is in tests/kernel/maps.c. */
#include "calls_common.h"
#include "maps.h"
#include "temporary.h"

enum { READ = PAL_MAP_READ, WRITE = PAL_MAP_WRITE, BOTH = READ | WRITE };

TestSuite(calls_mmap, .fini = temporary_remove_all);

/* A file of so many pages, filled with the pattern. */
static pal_file patterned_file(size_t pages)
{
    size_t size = pages * map_page();
    struct mapped map = map_anonymous(size, 0);
    pal_file file;

    fill_pattern(map.bytes, size, 0);
    file = temporary_file(map.bytes, size);
    map_end(&map);
    return file;
}

static struct mapped map_file(pal_file file, uint64_t offset, size_t size, uint32_t protect, uint32_t flags)
{
    struct pal_map spec = {.file = file, .offset = offset, .size = size, .protect = protect, .flags = flags};

    return map_make(&spec);
}

/* ---- anonymous ---- */

Test(calls_mmap, anonymous_memory_is_zero_and_aligned_and_holds_what_is_written)
{
    const size_t page = map_page(), sizes[] = {1, 100, page - 1, page, page + 1, 3 * page, 100 * page + 7};
    static const uint32_t flags[] = {0,
                                     PAL_MAP_SHARED,
                                     PAL_MAP_GUARD,
                                     PAL_MAP_POPULATE,
                                     PAL_MAP_HUGE,
                                     PAL_MAP_GUARD | PAL_MAP_SHARED | PAL_MAP_POPULATE,
                                     PAL_MAP_GUARD | PAL_MAP_HUGE | PAL_MAP_POPULATE};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        for (size_t j = 0; j < sizeof(flags) / sizeof(flags[0]); j++) {
            struct mapped map = map_anonymous(sizes[i], flags[j]);

            cr_assert_eq((uintptr_t)map.bytes % page, 0);
            for (size_t k = 0; k < sizes[i]; k++)
                cr_assert_eq(map.bytes[k], 0, "byte %zu of %zu is not zero", k, sizes[i]);
            fill_pattern(map.bytes, sizes[i], 0);
            cr_assert(is_pattern(map.bytes, sizes[i], 0));
            map_end(&map);
        }
    }
}

Test(calls_mmap, maps_of_nothing_in_common_share_nothing)
{
    struct mapped first = map_anonymous(map_page(), PAL_MAP_SHARED), second = map_anonymous(map_page(), 0);

    fill_pattern(first.bytes, map_page(), 0);
    cr_assert_eq(second.bytes[1], 0);
    fill_pattern(second.bytes, map_page(), 5);
    cr_assert(is_pattern(first.bytes, map_page(), 0));
    map_end(&first);
    cr_assert(is_pattern(second.bytes, map_page(), 5));
    map_end(&second);
}

Test(calls_mmap, huge_pages_are_memory_like_any_other)
{
    enum { HUGE = 2 << 20 };
    const size_t sizes[] = {HUGE, 2 * HUGE, HUGE + map_page()};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct mapped map = map_anonymous(sizes[i], PAL_MAP_HUGE | PAL_MAP_POPULATE);

        fill_pattern(map.bytes, map_page(), 0);
        fill_pattern(map.bytes + sizes[i] - 100, 100, 7);
        assert_error(pal_mprotect(map.bytes, sizes[i], READ), 0);
        cr_assert(is_pattern(map.bytes, map_page(), 0));
        cr_assert(is_pattern(map.bytes + sizes[i] - 100, 100, 7));
        map_end(&map);
    }
}

Test(calls_mmap, code_may_be_mapped_where_the_system_lets)
{
    struct pal_map spec = {.size = map_page(), .protect = BOTH | PAL_MAP_EXEC};
    void *address = NULL;
    int error = pal_mmap(&spec, &address);

    if (error == PAL_EACCES || error == PAL_EPERM)
        test_skip("exec-maps", "writable code is not allowed here");
    assert_error(error, 0);
    memset(address, 0, spec.size);
    assert_error(pal_mprotect(address, spec.size, READ | PAL_MAP_EXEC), 0);
    assert_error(pal_munmap(address, spec.size), 0);
}

/* ---- files ---- */

Test(calls_mmap, writes_to_a_shared_map_reach_the_file_and_the_other_way_round)
{
    const size_t page = map_page();
    char bytes[8];
    pal_file file = temporary_file("", 0);
    struct mapped map;

    file_write(file, "foo", 3, page);
    assert_error(pal_file_resize(file, 2 * page), 0);
    map = map_file(file, 0, 2 * page, BOTH, PAL_MAP_SHARED);
    cr_assert_arr_eq(map.bytes + page, "foo", 4);
    map.bytes[0] = '3';
    memcpy(map.bytes + page + 3, "bar", 3);
    assert_error(pal_msync(map.bytes, 2 * page, PAL_MSYNC_WAIT), 0);
    cr_assert_eq(pal_file_read(file, bytes, 8, page - 1), 8);
    cr_assert_arr_eq(bytes, "\0foobar", 8);
    file_write(file, "new", 3, 1);
    cr_assert_arr_eq(map.bytes, "3new", 4);
    map_end(&map);
    cr_assert_eq(pal_file_read(file, bytes, 4, 0), 4);
    cr_assert_arr_eq(bytes, "3new", 4);
    file_close(file);
}

Test(calls_mmap, copies_on_write_leave_the_file_alone)
{
    pal_file file = temporary_file("aaaaaaaaaa", 10);
    struct mapped copy = map_file(file, 0, 10, BOTH, 0), shared = map_file(file, 0, 10, READ, PAL_MAP_SHARED);

    memset(copy.bytes, 'd', 10);
    assert_error(pal_msync(copy.bytes, 10, PAL_MSYNC_WAIT), 0);
    cr_assert_arr_eq(copy.bytes, "dddddddddd", 10);
    cr_assert_arr_eq(shared.bytes, "aaaaaaaaaa", 10);
    file_expect(file, 0, "aaaaaaaaaa");
    map_end(&copy);
    map_end(&shared);
    file_close(file);
}

Test(calls_mmap, a_file_that_is_only_read_is_mapped_to_read_or_to_copy)
{
    pal_file file;
    struct mapped map, copy;
    struct pal_map spec = {.size = 10, .protect = BOTH, .flags = PAL_MAP_SHARED};
    void *address = NULL;

    file_close(temporary_file("aaaaaaaaaa", 10));
    file = file_open(temporary_latest(), PAL_FILE_READ);
    spec.file = file;
    map_refused(&spec, PAL_EACCES);
    map = map_file(file, 0, 10, READ, PAL_MAP_SHARED);
    cr_assert_arr_eq(map.bytes, "aaaaaaaaaa", 10);
    assert_error(pal_mprotect(map.bytes, 10, BOTH), PAL_EACCES);
    cr_assert_str_neq(pal_reason(), "");
    cr_assert_arr_eq(map.bytes, "aaaaaaaaaa", 10);
    map_end(&map);
    copy = map_file(file, 0, 10, BOTH, 0);
    copy.bytes[0] = 'b';
    map_end(&copy);
    file_expect(file, 0, "aaaaaaaaaa");
    file_close(file);
    file = spec.file = file_open(temporary_latest(), PAL_FILE_WRITE);
    assert_error(pal_mmap(&spec, &address), PAL_EACCES);
    spec.protect = READ;
    assert_error(pal_mmap(&spec, &address), PAL_EACCES);
    file_close(file);
}

Test(calls_mmap, a_map_begins_at_any_page_of_a_file)
{
    const size_t page = map_page();
    pal_file file = patterned_file(4);

    for (uint64_t i = 0; i < 4; i++) {
        struct mapped map = map_file(file, i * page, page, READ, i % 2 == 0 ? PAL_MAP_SHARED : 0);

        cr_assert(is_pattern(map.bytes, page, i * page), "page %d", (int)i);
        map_end(&map);
    }
    file_close(file);
}

Test(calls_mmap, maps_reach_beyond_four_gigabytes)
{
    const size_t page = map_page();
    const uint64_t boundaries[] = {UINT64_C(1) << 31, UINT64_C(1) << 32, UINT64_C(5) << 30};
    pal_file file = temporary_file("", 0);

    for (size_t i = 0; i < sizeof(boundaries) / sizeof(boundaries[0]); i++) {
        struct mapped map;

        if (pal_file_write(file, "  DEARdear  ", 12, boundaries[i] - 6) != 12)
            test_skip("large-files", "this file system has none");
        map = map_file(file, boundaries[i] - page, page + 6, READ, PAL_MAP_SHARED);
        cr_assert_arr_eq(map.bytes + page - 6, "  DEARdear  ", 12);
        map_end(&map);
    }
    file_close(file);
}

Test(calls_mmap, a_map_outlives_the_handle_of_its_file)
{
    const size_t page = map_page();
    pal_file file = patterned_file(2);
    struct mapped map = map_file(file, 0, 2 * page, BOTH, PAL_MAP_SHARED);

    file_close(file);
    cr_assert(is_pattern(map.bytes, 2 * page, 0));
    memcpy(map.bytes, "after", 5);
    assert_error(pal_msync(map.bytes, page, PAL_MSYNC_WAIT), 0);
    map_end(&map);
    file = file_open(temporary_latest(), PAL_FILE_READ);
    map = map_file(file, 0, page, READ, 0);
    cr_assert_arr_eq(map.bytes, "after", 5);
    map_end(&map);
    file_close(file);
}

Test(calls_mmap, a_file_is_mapped_with_guards_and_touched)
{
    const size_t page = map_page();
    pal_file file = patterned_file(4);
    struct mapped map = map_file(file, page, 2 * page, BOTH, PAL_MAP_SHARED | PAL_MAP_GUARD | PAL_MAP_POPULATE);

    cr_assert(is_pattern(map.bytes, 2 * page, page));
    fill_pattern(map.bytes, 2 * page, 0);
    map_end(&map);
    map = map_file(file, page, 2 * page, READ, PAL_MAP_HUGE | PAL_MAP_POPULATE);
    cr_assert(is_pattern(map.bytes, 2 * page, 0));
    map_end(&map);
    file_close(file);
}

/* ---- what cannot be mapped ---- */

Test(calls_mmap, specs_that_make_no_sense_are_refused)
{
    const size_t page = map_page();
    pal_file file = temporary_file("x", 1);
    const struct pal_map senseless[] = {
        {.size = 0, .protect = READ},
        {.file = file, .size = 0, .protect = READ},
        {.size = page, .protect = 8},
        {.size = page, .protect = UINT32_MAX},
        {.size = page, .protect = READ, .flags = 32},
        {.size = page, .protect = READ, .flags = UINT32_C(1) << 31},
        {.size = page, .protect = READ, .offset = page},
        {.size = page, .protect = READ, .flags = PAL_MAP_CREATE},
        {.file = file, .size = page, .protect = READ, .flags = PAL_MAP_CREATE},
        {.file = file, .size = page, .protect = READ, .offset = 1},
        {.file = file, .size = page, .protect = READ, .offset = page / 2},
        {.file = file, .size = page, .protect = READ, .offset = page + 512},
        {.file = file, .size = page, .protect = READ, .offset = UINT64_MAX},
        {.file = file, .size = page, .protect = READ, .offset = (UINT64_C(1) << 63) - page},
        {.file = file, .size = page, .protect = READ, .name = "palio-both"},
        {.name = "palio-offset", .size = page, .protect = READ, .offset = page, .flags = PAL_MAP_CREATE},
    };

    for (size_t i = 0; i < sizeof(senseless) / sizeof(senseless[0]); i++) {
        cr_log_info("spec %d", (int)i);
        map_refused(&senseless[i], PAL_EINVAL);
    }
    assert_error(pal_mmap(NULL, (void **)&(void *){NULL}), PAL_EINVAL);
    assert_error(pal_mmap(&(struct pal_map){.size = page}, NULL), PAL_EINVAL);
    file_close(file);
}

Test(calls_mmap, what_is_no_file_is_not_mapped)
{
    struct pal_map spec = {.size = map_page(), .protect = READ, .flags = PAL_MAP_SHARED};
    pal_sock sock = sock_open(PAL_AF_INET, PAL_SOCK_DGRAM);
    pal_file closed = temporary_file("x", 1), directory = file_open(".", PAL_FILE_READ);
    void *address = NULL;

    file_close(closed);
    spec.file = closed;
    assert_error(pal_mmap(&spec, &address), PAL_EBADF);
    spec.file.id = sock.id;
    assert_error(pal_mmap(&spec, &address), PAL_EBADF);
    spec.file = directory;
    assert_error(pal_mmap(&spec, &address), PAL_ENODEV);
    cr_assert_null(address);
    file_close(directory);
    sock_close(sock);
}

Test(calls_mmap, more_than_there_is_cannot_be_mapped)
{
    static const size_t sizes[] = {SIZE_MAX, MAP_TOO_MUCH + 100000, MAP_TOO_MUCH + 100001, MAP_TOO_MUCH};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        for (uint32_t flags = 0; flags < PAL_MAP_CREATE; flags++) {
            struct pal_map spec = {.size = sizes[i], .protect = BOTH, .flags = flags & ~(uint32_t)PAL_MAP_POPULATE};
            void *address = NULL;

            assert_error(pal_mmap(&spec, &address), PAL_ENOMEM);
            cr_assert_null(address);
        }
    }
}

/* ---- unmapping ---- */

Test(calls_mmap, only_a_whole_map_is_unmapped_and_only_once)
{
    const size_t page = map_page(), size = 4 * page;

    for (uint32_t flags = 0; flags < PAL_MAP_CREATE; flags++) {
        struct mapped map = map_anonymous(size, flags);

        fill_pattern(map.bytes, size, 0);
        unmap_refused(map.bytes, size - 1);
        unmap_refused(map.bytes, size + 1);
        unmap_refused(map.bytes, page);
        unmap_refused(map.bytes, 0);
        unmap_refused(map.bytes, SIZE_MAX);
        unmap_refused(map.bytes + page, size - page);
        unmap_refused(map.bytes + 1, size);
        unmap_refused(map.bytes - page, size + 2 * page);
        cr_assert(is_pattern(map.bytes, size, 0));
        map_end(&map);
        unmap_refused(map.bytes, size);
    }
    unmap_refused(NULL, page);
    unmap_refused(&(char){0}, 1);
}

/* ---- protection, sync, advice ---- */

Test(calls_mmap, protection_changes_and_content_stays)
{
    const size_t page = map_page();
    struct mapped map = map_anonymous(4 * page, 0);

    fill_pattern(map.bytes, 4 * page, 0);
    assert_error(pal_mprotect(map.bytes, 4 * page, 0), 0);
    assert_error(pal_mprotect(map.bytes + page, 2 * page, READ), 0);
    cr_assert(is_pattern(map.bytes + page, 2 * page, page));
    assert_error(pal_mprotect(map.bytes + page, 1, BOTH), 0);
    fill_pattern(map.bytes + page, page, 1);
    assert_error(pal_mprotect(map.bytes, 4 * page, BOTH), 0);
    cr_assert(is_pattern(map.bytes, page, 0));
    cr_assert(is_pattern(map.bytes + page, page, 1));
    cr_assert(is_pattern(map.bytes + 2 * page, 2 * page, 2 * page));
    map_end(&map);
}

Test(calls_mmap, a_map_can_be_made_without_access_and_opened_later)
{
    struct pal_map spec = {.size = 3 * map_page(), .protect = 0, .flags = PAL_MAP_GUARD};
    struct mapped map = map_make(&spec);

    assert_error(pal_mprotect(map.bytes, spec.size, BOTH), 0);
    fill_pattern(map.bytes, spec.size, 0);
    cr_assert(is_pattern(map.bytes, spec.size, 0));
    map_end(&map);
}

enum { PARTS_REFUSED = 5 };

/* What each of the three calls says to a part that is none. */
static void parts_refused(uint8_t *bytes, size_t size)
{
    int results[3];

    for (int how = 0; how < PARTS_REFUSED; how++) {
        static const size_t shift[PARTS_REFUSED] = {1, 0, 0, 100, 0};
        size_t sizes[PARTS_REFUSED] = {size, 0, SIZE_MAX, size, SIZE_MAX / 2 + 1};

        results[0] = pal_mprotect(bytes + shift[how], sizes[how], READ);
        results[1] = pal_msync(bytes + shift[how], sizes[how], PAL_MSYNC_WAIT);
        results[2] = pal_madvise(bytes + shift[how], sizes[how], PAL_ADVISE_NORMAL);
        for (int i = 0; i < 3; i++)
            cr_assert_eq(results[i], PAL_EINVAL, "part %d, call %d: %s", how, i, pal_error_name(results[i]));
        cr_assert_str_neq(pal_reason(), "");
    }
}

Test(calls_mmap, parts_are_whole_pages_of_maps)
{
    const size_t page = map_page();
    struct mapped map = map_anonymous(2 * page, 0);

    fill_pattern(map.bytes, 2 * page, 0);
    parts_refused(map.bytes, page);
    assert_error(pal_mprotect(map.bytes, page, 8), PAL_EINVAL);
    assert_error(pal_msync(map.bytes, page, 2), PAL_EINVAL);
    assert_error(pal_msync(map.bytes, page, -1), PAL_EINVAL);
    assert_error(pal_madvise(map.bytes, page, -1), PAL_EINVAL);
    assert_error(pal_madvise(map.bytes, page, PAL_ADVISE_NOHUGE + 1), PAL_EINVAL);
    fill_pattern(map.bytes, page, 1);
    map_end(&map);
    assert_error(pal_mprotect(map.bytes, page, READ), PAL_ENOMEM);
    assert_error(pal_msync(map.bytes, page, PAL_MSYNC_WAIT), PAL_ENOMEM);
    assert_error(pal_madvise(map.bytes, page, PAL_ADVISE_NORMAL), PAL_ENOMEM);
}

Test(calls_mmap, any_map_can_be_synced)
{
    const size_t page = map_page();
    pal_file file = patterned_file(2);
    struct mapped maps[] = {map_anonymous(2 * page, 0), map_file(file, 0, 2 * page, READ, PAL_MAP_SHARED),
                            map_file(file, 0, 2 * page, BOTH, PAL_MAP_SHARED | PAL_MAP_GUARD)};

    for (size_t i = 0; i < 3; i++) {
        assert_error(pal_msync(maps[i].bytes, 2 * page, PAL_MSYNC_START), 0);
        assert_error(pal_msync(maps[i].bytes, 2 * page, PAL_MSYNC_WAIT), 0);
        assert_error(pal_msync(maps[i].bytes + page, 1, PAL_MSYNC_WAIT), 0);
        map_end(&maps[i]);
    }
    file_close(file);
}

Test(calls_mmap, advice_leaves_what_is_mapped_as_it_is)
{
    static const int harmless[] = {PAL_ADVISE_NORMAL,   PAL_ADVISE_RANDOM, PAL_ADVISE_SEQUENTIAL,
                                   PAL_ADVISE_WILLNEED, PAL_ADVISE_HUGE,   PAL_ADVISE_NOHUGE};
    const size_t page = map_page();
    pal_file file = patterned_file(4);
    struct mapped maps[] = {map_anonymous(4 * page, 0), map_file(file, 0, 4 * page, BOTH, PAL_MAP_SHARED)};

    fill_pattern(maps[0].bytes, 4 * page, 0);
    for (size_t i = 0; i < 2; i++) {
        for (size_t j = 0; j < sizeof(harmless) / sizeof(harmless[0]); j++) {
            int error = pal_madvise(maps[i].bytes + page, 2, harmless[j]);

            cr_assert(error == 0 || error == PAL_ENOTSUP, "advice %d: %s", harmless[j], pal_error_name(error));
            cr_assert(error == 0 || *pal_reason() != '\0', "advice %d: no reason", harmless[j]);
            cr_assert(is_pattern(maps[i].bytes, 4 * page, 0));
        }
    }
    assert_error(pal_madvise(maps[1].bytes, 4 * page, PAL_ADVISE_DONTNEED), 0);
    cr_assert(is_pattern(maps[1].bytes, 4 * page, 0), "what the file has is lost");
    assert_error(pal_madvise(maps[0].bytes, 4 * page, PAL_ADVISE_DONTNEED), 0);
    fill_pattern(maps[0].bytes, 4 * page, 3);
    cr_assert(is_pattern(maps[0].bytes, 4 * page, 3));
    (void)pal_madvise(maps[0].bytes, 4 * page, PAL_ADVISE_FREE);
    fill_pattern(maps[0].bytes, 4 * page, 4);
    cr_assert(is_pattern(maps[0].bytes, 4 * page, 4));
    assert_error(pal_madvise(maps[1].bytes, page, PAL_ADVISE_FREE), PAL_ENOTSUP);
    map_end(&maps[0]);
    map_end(&maps[1]);
    file_close(file);
}
