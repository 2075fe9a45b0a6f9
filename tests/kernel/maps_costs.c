/* maps_costs.c: what maps take and give back: system calls, descriptors, memory, address space; at the system's limits,
 * and from its pool of huge pages. Rules 13 and 15. */
#include "../conformance/maps.h"
#include "../conformance/temporary.h"
#include "kernel.h"

#include <stdlib.h>
#include <sys/syscall.h>

enum { READ = PAL_MAP_READ, BOTH = PAL_MAP_READ | PAL_MAP_WRITE, CREATE = PAL_MAP_SHARED | PAL_MAP_CREATE, TIMES = 10 };

static char name[MAP_NAME_SIZE]; /* of shared memory that nobody has */

static void choose_name(void)
{
    map_choose_name(name);
}

static void forget_name(void)
{
    (void)pal_mmap_unlink(name);
}

TestSuite(maps_costs, .init = choose_name, .fini = forget_name);

/* The size of this process's address space, in pages. */
static long pages_mapped(void)
{
    long count = 0;
    FILE *info = fopen("/proc/self/statm", "r");

    cr_assert_not_null(info);
    cr_assert_eq(fscanf(info, "%ld", &count), 1);
    (void)fclose(info);
    return count;
}

/* ---- system calls ---- */

static void map_and_unmap(void *arg)
{
    const struct pal_map *spec = (const struct pal_map *)arg;
    void *first = NULL, *address = NULL;

    must(pal_mmap(spec, &first) == 0); /* prepares the table, and the heap: it stays */
    syscount_begin();
    for (int i = 0; i < TIMES; i++) {
        must(pal_mmap(spec, &address) == 0);
        must(pal_munmap(address, spec->size) == 0);
    }
    syscount_end();
    must(pal_munmap(first, spec->size) == 0);
}

Test(maps_costs, a_map_is_one_call_and_its_end_another)
{
    const size_t page = map_page();
    struct pal_map spec = {.size = 10 * page, .protect = BOTH};

    cr_assert_eq(calls_of(map_and_unmap, &spec).total, 2 * TIMES);
    spec.flags = PAL_MAP_GUARD | PAL_MAP_POPULATE;
    cr_assert_eq(calls_of(map_and_unmap, &spec).total, 4 * TIMES);
    spec.flags = PAL_MAP_HUGE;
    cr_assert_eq(calls_of(map_and_unmap, &spec).total, 3 * TIMES);
    spec.flags = PAL_MAP_HUGE | PAL_MAP_POPULATE;
    cr_assert_eq(calls_of(map_and_unmap, &spec).total, 4 * TIMES);
}

Test(maps_costs, a_name_is_three_calls_more)
{
    struct pal_map spec = {.name = name, .size = 100, .protect = BOTH, .flags = CREATE};
    struct mapped map = map_make(&spec);
    struct syscount calls;

    spec.flags = PAL_MAP_SHARED;
    calls = calls_of(map_and_unmap, &spec);
    cr_assert_eq(calls.total - calls.by_number[SYS_fcntl], 5 * TIMES); /* musl's open adds one */
    map_end(&map);
}

static void change_a_map(void *arg)
{
    const size_t page = map_page();
    struct pal_map spec = {.size = 10 * page, .protect = BOTH, .flags = *(const uint32_t *)arg};
    void *address = NULL;

    must(pal_mmap(&spec, &address) == 0);
    syscount_begin();
    for (int i = 0; i < TIMES; i++) {
        must(pal_mprotect(address, page, BOTH) == 0);
        must(pal_msync(address, page, PAL_MSYNC_WAIT) == 0);
        must(pal_madvise(address, page, PAL_ADVISE_NORMAL) == 0);
        must(pal_mremap(&address, 10 * page, 20 * page) == 0);
        must(pal_mremap(&address, 20 * page, 10 * page) == 0);
        must(pal_mremap(&address, 10 * page, 10 * page - 1) == 0);
        must(pal_mremap(&address, 10 * page - 1, 10 * page) == 0);
    }
    syscount_end();
}

Test(maps_costs, changes_are_one_call_and_guards_cost_more)
{
    uint32_t flags = 0;

    cr_assert_eq(calls_of(change_a_map, &flags).total, (3 + 2) * TIMES);
    flags = PAL_MAP_GUARD;
    cr_assert_eq(calls_of(change_a_map, &flags).total, (3 + 5 + 2) * TIMES);
}

/* ---- descriptors and memory ---- */

Test(maps_costs, no_descriptor_is_left)
{
    struct pal_map spec = {.name = name, .size = 100, .protect = BOTH, .flags = CREATE};
    int before = descriptors_open();
    struct mapped map = map_make(&spec);
    void *address = NULL;

    cr_assert_eq(descriptors_open(), before);
    spec.size = 200;
    assert_error(pal_mmap(&spec, &address), PAL_EINVAL);
    spec.size = SIZE_MAX / 2 - 100000;
    assert_error(pal_mmap(&spec, &address), PAL_EINVAL);
    map_end(&map);
    assert_error(pal_mmap_unlink(name), 0);
    spec.size = MAP_TOO_MUCH;
    assert_error(pal_mmap(&spec, &address), PAL_ENOMEM);
    cr_assert_eq(descriptors_open(), before);
}

struct ledger {
    int out; /* allocations that were not given back */
    bool empty;
};

static void *ledger_alloc(void *context, size_t size, size_t alignment)
{
    struct ledger *ledger = (struct ledger *)context;
    void *memory = ledger->empty || alignment > sizeof(void *) ? NULL : malloc(size);

    ledger->out += memory != NULL;
    return memory;
}

static void ledger_free(void *context, void *memory, size_t size)
{
    struct ledger *ledger = (struct ledger *)context;

    (void)size;
    free(memory);
    ledger->out--;
}

Test(maps_costs, what_a_map_allocates_is_given_back_and_without_memory_nothing_is_mapped)
{
    struct ledger ledger = {0, false};
    const struct pal_allocator allocator = {ledger_alloc, ledger_free, &ledger};
    struct pal_setup setup = {.allocator = &allocator};
    struct pal_map spec = {.size = 100, .protect = BOTH, .flags = PAL_MAP_GUARD};
    void *address = NULL;
    struct mapped map;
    long before;

    assert_error(pal_setup(&setup), 0);
    map = map_make(&spec);
    cr_assert_gt(ledger.out, 0);
    map_resize(&map, 100000);
    map_end(&map);
    cr_assert_eq(ledger.out, 0);
    spec.size = SIZE_MAX / 2 - 100000;
    assert_error(pal_mmap(&spec, &address), PAL_ENOMEM);
    cr_assert_eq(ledger.out, 0, "a map that is not there has memory");
    spec.size = 100;
    ledger.empty = true;
    before = pages_mapped();
    assert_error(pal_mmap(&spec, &address), PAL_ENOMEM);
    cr_assert_eq(pages_mapped(), before);
}

/* ---- address space ---- */

Test(maps_costs, nothing_of_a_map_is_left_behind)
{
    const size_t page = map_page();
    long before = 0;

    for (int round = 0; round < 2; round++) { /* the first one takes what stays: the table's lock, the heap */
        before = pages_mapped();
        for (uint32_t flags = 0; flags < PAL_MAP_POPULATE; flags++) {
            struct mapped map = map_anonymous(30 * page, flags);

            map_resize(&map, 5 * page);
            if (!(flags & PAL_MAP_SHARED))
                map_resize(&map, 300 * page);
            map_resize(&map, 1);
            map_end(&map);
        }
    }
    cr_assert_eq(pages_mapped(), before);
}

Test(maps_costs, a_resize_that_fails_leaves_nothing_behind)
{
    const size_t page = map_page();
    struct mapped map = map_anonymous(3 * page, PAL_MAP_GUARD);
    void *address = map.bytes;
    long before = pages_mapped();
    int error;

    assert_error(pal_mprotect(map.bytes + page, page, READ), 0);
    error = pal_mremap(&address, map.size, 1000 * page);
    if (error == 0)
        test_skip("unlike-parts", "this kernel moves them as well");
    assert_error(error, PAL_ENOTSUP);
    cr_assert_eq(pages_mapped(), before);
    map_end(&map);
}

/* Makes and resizes guarded maps while the system has room for so many ranges. */
static void map_in_little_room(int ranges)
{
    const size_t page = map_page();
    struct pal_map spec = {.size = 3 * page, .protect = BOTH, .flags = PAL_MAP_GUARD};
    long before = pages_mapped();
    void *address = NULL;
    int error = pal_mmap(&spec, &address);

    cr_assert(error == 0 || error == PAL_ENOMEM, "room for %d: %s", ranges, pal_error_name(error));
    if (error == 0) {
        struct mapped map = {(uint8_t *)address, spec.size};

        fill_pattern(map.bytes, map.size, 0);
        error = pal_mremap(&address, map.size, 100 * page);
        cr_assert(error == 0 || error == PAL_ENOMEM, "room for %d: %s", ranges, pal_error_name(error));
        map = (struct mapped){(uint8_t *)address, error == 0 ? 100 * page : 3 * page};
        cr_assert(is_pattern(map.bytes, 3 * page, 0));
        error = pal_mremap(&address, map.size, page);
        map.size = error == 0 ? page : map.size;
        cr_assert(is_pattern(map.bytes, page, 0));
        map_end(&map);
    }
    cr_assert_eq(pages_mapped(), before, "room for %d: %ld pages are left", ranges, pages_mapped() - before);
}

/* Every other page differs from its neighbours, until the system has no room for more. */
Test(maps_costs, at_the_limit_of_ranges_maps_are_made_whole_or_not_at_all)
{
    enum { RANGES_MAX = 200000 };
    const size_t page = map_page();
    struct mapped comb = map_anonymous(2 * RANGES_MAX * page, PAL_MAP_SHARED);
    struct mapped first = map_anonymous(1, PAL_MAP_GUARD); /* what the first one takes */
    size_t teeth = 0;

    map_end(&first);
    (void)pages_mapped();
    while (teeth < RANGES_MAX && pal_mprotect(comb.bytes + 2 * teeth * page, page, 0) == 0)
        teeth++;
    if (teeth == RANGES_MAX)
        test_skip("map-count", "this system has room for more ranges than a test should make");
    for (int ranges = 0; ranges < 16; ranges++) {
        map_in_little_room(ranges);
        assert_error(pal_mprotect(comb.bytes + 2 * --teeth * page, page, BOTH), 0);
    }
    map_end(&comb);
}

/* ---- the pool of huge pages ---- */

static long huge_pages_free(void)
{
    char line[256];
    long count = 0;
    FILE *info = fopen("/proc/meminfo", "r");

    cr_assert_not_null(info);
    while (fgets(line, sizeof(line), info) != NULL)
        (void)sscanf(line, "HugePages_Free: %ld", &count);
    (void)fclose(info);
    return count;
}

Test(maps_costs, huge_pages_come_from_the_pool)
{
    enum { HUGE = 2 << 20 };
    long before = huge_pages_free();
    struct mapped map;

    if (before < 2)
        test_skip("hugepages", "the system has no pool of huge pages (vm.nr_hugepages)");
    map = map_anonymous(2 * HUGE, PAL_MAP_HUGE | PAL_MAP_POPULATE);
    cr_assert_eq(huge_pages_free(), before - 2);
    map.bytes[2 * HUGE - 1] = 1;
    assert_error(pal_mprotect(map.bytes, map_page(), READ), PAL_EINVAL);
    cr_assert_str_neq(pal_reason(), "");
    assert_error(pal_mprotect(map.bytes, HUGE, READ), 0);
    resize_refused(&map, 3 * HUGE, PAL_ENOTSUP);
    resize_refused(&map, HUGE, PAL_ENOTSUP);
    map_end(&map);
    cr_assert_eq(huge_pages_free(), before);
}
