/* calls_mmap_named.c: shared memory that is found by its name: made, met again, taken away; and which names there are.
 */
#include "calls_common.h"
#include "maps.h"
#include "temporary.h"

#include <stdio.h>

enum { READ = PAL_MAP_READ, BOTH = PAL_MAP_READ | PAL_MAP_WRITE, CREATE = PAL_MAP_SHARED | PAL_MAP_CREATE };

static char names[2][MAP_NAME_SIZE]; /* that nobody has */

static void choose_names(void)
{
    map_choose_name(names[0]);
    map_choose_name(names[1]);
}

static void forget_names(void)
{
    (void)pal_mmap_unlink(names[0]);
    (void)pal_mmap_unlink(names[1]);
}

TestSuite(calls_mmap_named, .init = choose_names, .fini = forget_names);

static struct pal_map named(int i, size_t size, uint32_t protect, uint32_t flags)
{
    return (struct pal_map){.name = names[i], .size = size, .protect = protect, .flags = flags};
}

static struct mapped map_named(int i, size_t size, uint32_t flags)
{
    struct pal_map spec = named(i, size, BOTH, flags);

    return map_make(&spec);
}

static int map_result(struct pal_map spec)
{
    void *address = NULL;
    int error = pal_mmap(&spec, &address);

    if (error == 0)
        assert_error(pal_munmap(address, spec.size), 0);
    return error;
}

Test(calls_mmap_named, one_name_is_one_memory_and_another_is_another)
{
    const size_t size = 3 * map_page();
    struct mapped first = map_named(0, size, CREATE), again = map_named(0, size, CREATE),
                  found = map_named(0, size, PAL_MAP_SHARED), other = map_named(1, size, CREATE);

    for (size_t i = 0; i < size; i++)
        cr_assert_eq(first.bytes[i], 0, "new memory is not zero");
    fill_pattern(first.bytes, size, 0);
    cr_assert(is_pattern(again.bytes, size, 0));
    cr_assert(is_pattern(found.bytes, size, 0));
    cr_assert_eq(other.bytes[1], 0);
    fill_pattern(other.bytes, size, 1);
    again.bytes[5] = 'x';
    cr_assert_eq(found.bytes[5], 'x');
    map_end(&first);
    cr_assert_eq(found.bytes[5], 'x');
    map_end(&again);
    map_end(&found);
    map_end(&other);
}

Test(calls_mmap_named, it_lives_on_without_a_map_until_its_name_is_taken_away)
{
    const size_t size = map_page() + 1;
    struct mapped map = map_named(0, size, CREATE);

    fill_pattern(map.bytes, size, 0);
    map_end(&map);
    map = map_named(0, size, PAL_MAP_SHARED);
    cr_assert(is_pattern(map.bytes, size, 0));
    assert_error(pal_mmap_unlink(names[0]), 0);
    cr_assert(is_pattern(map.bytes, size, 0));
    assert_error(map_result(named(0, size, READ, PAL_MAP_SHARED)), PAL_ENOENT);
    assert_error(pal_mmap_unlink(names[0]), PAL_ENOENT);
    map_end(&map);
}

Test(calls_mmap_named, after_that_the_name_is_another_memory)
{
    const size_t size = map_page();
    struct mapped old = map_named(0, size, CREATE), map;

    fill_pattern(old.bytes, size, 0);
    assert_error(pal_mmap_unlink(names[0]), 0);
    map = map_named(0, 10 * size, CREATE);
    cr_assert_eq(map.bytes[1], 0);
    fill_pattern(map.bytes, size, 1);
    cr_assert(is_pattern(old.bytes, size, 0));
    map_end(&old);
    map_end(&map);
}

Test(calls_mmap_named, what_nobody_has_made_is_not_there)
{
    assert_error(map_result(named(0, 1, READ, PAL_MAP_SHARED)), PAL_ENOENT);
    assert_error(map_result(named(0, 1, BOTH, 0)), PAL_ENOENT);
    assert_error(pal_mmap_unlink(names[0]), PAL_ENOENT);
}

Test(calls_mmap_named, it_keeps_the_size_that_it_was_made_with)
{
    const size_t page = map_page(), size = 3 * page + 5;
    struct mapped whole = map_named(0, size, CREATE), part;
    struct pal_map large = named(0, size + 1, BOTH, CREATE);

    fill_pattern(whole.bytes, size, 0);
    map_refused(&large, PAL_EINVAL);
    large.flags = PAL_MAP_SHARED;
    map_refused(&large, PAL_EINVAL);
    large.size = 100 * page;
    map_refused(&large, PAL_EINVAL);
    part = map_named(0, page, CREATE);
    cr_assert(is_pattern(part.bytes, page, 0));
    map_resize(&part, size);
    cr_assert(is_pattern(part.bytes, size, 0));
    map_resize(&part, 4 * page);
    resize_refused(&part, 4 * page + 1, PAL_ENOTSUP);
    cr_assert(is_pattern(part.bytes, size, 0));
    cr_assert(is_pattern(whole.bytes, size, 0), "creating it again has changed it");
    map_end(&part);
    map_end(&whole);
}

Test(calls_mmap_named, it_may_be_read_only_or_copied_and_guarded)
{
    const size_t size = 2 * map_page();
    struct mapped map = map_named(0, size, CREATE | PAL_MAP_GUARD | PAL_MAP_POPULATE | PAL_MAP_HUGE);
    struct mapped copy = map_named(0, size, PAL_MAP_GUARD), reader;
    struct pal_map spec = named(0, size, READ, PAL_MAP_SHARED);

    reader = map_make(&spec);
    fill_pattern(map.bytes, size, 0);
    cr_assert(is_pattern(reader.bytes, size, 0));
    copy.bytes[0] = 'x';
    cr_assert(is_pattern(reader.bytes, size, 0));
    assert_error(pal_mprotect(reader.bytes, size, BOTH), PAL_EACCES);
    cr_assert_str_neq(pal_reason(), "");
    assert_error(pal_mprotect(reader.bytes, size, 0), 0);
    map_end(&map);
    map_end(&copy);
    map_end(&reader);
}

Test(calls_mmap_named, a_call_that_fails_leaves_no_name)
{
    struct pal_map spec = named(0, SIZE_MAX / 2 - 100000, BOTH, CREATE);
    void *address = NULL;

    if (sizeof(size_t) < 8)
        test_skip("address-space", "too small to make memory that cannot be mapped");
    assert_error(pal_mmap(&spec, &address), PAL_ENOMEM);
    assert_error(pal_mmap_unlink(names[0]), PAL_ENOENT);
    assert_error(map_result(named(0, 1, BOTH, CREATE)), 0);
    assert_error(pal_mmap(&spec, &address), PAL_EINVAL);
    assert_error(pal_mmap_unlink(names[0]), 0);
}

Test(calls_mmap_named, names_are_short_and_have_no_slash)
{
    static char name[PAL_MAP_NAME_MAX + 2];
    static const char *const bad[] = {"", "/", "/palio", "palio/", "a/b", ".", "..", name};
    struct pal_map spec = {.size = 1, .protect = BOTH, .flags = CREATE};

    memset(name, 'x', PAL_MAP_NAME_MAX + 1);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        spec.name = bad[i];
        map_refused(&spec, PAL_EINVAL);
        assert_error(pal_mmap_unlink(bad[i]), PAL_EINVAL);
        cr_assert_str_neq(pal_reason(), "");
    }
    assert_error(pal_mmap_unlink(NULL), PAL_EINVAL);
    name[PAL_MAP_NAME_MAX] = '\0';
    memcpy(name, names[0], strlen(names[0]));
    spec.name = name;
    assert_error(map_result(spec), 0);
    assert_error(pal_mmap_unlink(name), 0);
}

Test(calls_mmap_named, names_may_begin_with_a_dot_and_be_utf_8)
{
    char name[100];
    struct pal_map spec = {.name = name, .size = 1, .protect = BOTH, .flags = CREATE};

    (void)snprintf(name, sizeof(name), ".%s-\xc3\xa4\xe2\x82\xac", names[0]);
    assert_error(map_result(spec), 0);
    assert_error(pal_mmap_unlink(name), 0);
}

/* ---- several at once ---- */

enum { FINDERS = 4, ROUNDS = 50 };

struct finder {
    uint32_t number;
    int failed_at;
};

/* All make the same memory at once, each its own byte of it. */
static void make_and_find(void *arg)
{
    struct finder *finder = (struct finder *)arg;

    for (int round = 0; round < ROUNDS && finder->failed_at == 0; round++) {
        struct pal_map spec = named(0, FINDERS * 5000, BOTH, CREATE);
        void *address = NULL;

        if (pal_mmap(&spec, &address) != 0) {
            finder->failed_at = round + 1;
            return;
        }
        ((volatile uint8_t *)address)[finder->number * 5000]++;
        if (pal_munmap(address, spec.size) != 0)
            finder->failed_at = round + 1;
    }
}

Test(calls_mmap_named, threads_that_create_one_name_meet)
{
    struct finder finders[FINDERS];
    pal_thread threads[FINDERS];
    struct mapped map;

    for (uint32_t i = 0; i < FINDERS; i++) {
        finders[i] = (struct finder){i, 0};
        assert_error(pal_thread_start(&threads[i], make_and_find, &finders[i]), 0);
    }
    for (int i = 0; i < FINDERS; i++) {
        assert_error(pal_thread_join(threads[i]), 0);
        cr_assert_eq(finders[i].failed_at, 0, "thread %d failed in round %d", i, finders[i].failed_at);
    }
    map = map_named(0, FINDERS * 5000, PAL_MAP_SHARED);
    for (size_t i = 0; i < FINDERS; i++)
        cr_assert_eq(map.bytes[i * 5000], ROUNDS);
    map_end(&map);
}
