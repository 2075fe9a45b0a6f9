/* maps.c: what tests/conformance/calls_mmap*.c cannot see: who touches what he must not dies; children and other
 * processes; names in the system's own place. What maps cost and leave is in maps_costs.c. Rules 15 and 17. */
#include "../conformance/maps.h"
#include "../conformance/temporary.h"
#include "kernel.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { READ = PAL_MAP_READ, BOTH = PAL_MAP_READ | PAL_MAP_WRITE, CREATE = PAL_MAP_SHARED | PAL_MAP_CREATE };

static char name[MAP_NAME_SIZE];           /* of shared memory that nobody has */
static char name_path[MAP_NAME_SIZE + 16]; /* where the system keeps it */

static void choose_name(void)
{
    map_choose_name(name);
    (void)snprintf(name_path, sizeof(name_path), "/dev/shm/%s", name);
}

static void clean_up(void)
{
    (void)pal_mmap_unlink(name);
    temporary_remove_all();
}

TestSuite(maps, .init = choose_name, .fini = clean_up);

/* ---- touching ---- */

/* How a child ends that reads or writes one byte: 0, or the signal's number. */
static int touch(const uint8_t *at, bool write)
{
    int status = 0;
    pid_t child;

    (void)fflush(NULL);
    child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        struct rlimit none = {0, 0};
        volatile uint8_t *byte = (volatile uint8_t *)(uintptr_t)at;

        (void)setrlimit(RLIMIT_CORE, &none);
        (void)signal(SIGSEGV, SIG_DFL);
        (void)signal(SIGBUS, SIG_DFL);
        if (write)
            *byte = 1;
        else
            (void)*byte;
        _exit(0);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void assert_guarded(const struct mapped *map)
{
    const size_t length = (map->size + map_page() - 1) / map_page() * map_page();

    cr_assert_eq(touch(map->bytes, true), 0);
    cr_assert_eq(touch(map->bytes + length - 1, true), 0);
    for (int write = 0; write < 2; write++) {
        cr_assert_eq(touch(map->bytes - 1, write), SIGSEGV, "no guard before");
        cr_assert_eq(touch(map->bytes - map_page(), write), SIGSEGV, "no guard before");
        cr_assert_eq(touch(map->bytes + length, write), SIGSEGV, "no guard after");
        cr_assert_eq(touch(map->bytes + length + map_page() - 1, write), SIGSEGV, "no guard after");
    }
}

Test(maps, guards_stay_where_the_map_goes)
{
    const size_t page = map_page(), sizes[] = {9 * page, 20 * page + 1, 2 * page, 1, 3 * page};

    for (uint32_t more = 0; more <= PAL_MAP_HUGE; more += PAL_MAP_HUGE) {
        struct mapped map = map_anonymous(3 * page + 5, PAL_MAP_GUARD | more), next[2];

        assert_guarded(&map);
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            next[0] = map_anonymous(page, 0); /* what would lie behind a guard that is not there */
            next[1] = map_anonymous(page, PAL_MAP_GUARD);
            map_resize(&map, sizes[i]);
            assert_guarded(&map);
            assert_guarded(&next[1]);
            map_end(&next[0]);
            map_end(&next[1]);
        }
        map_end(&map);
    }
}

Test(maps, files_and_names_are_guarded_too)
{
    const size_t page = map_page();
    pal_file file = temporary_file("", 0);
    struct pal_map spec = {
        .file = file, .offset = page, .size = 2 * page, .protect = BOTH, .flags = PAL_MAP_SHARED | PAL_MAP_GUARD};
    struct mapped map;

    assert_error(pal_file_resize(file, 10 * page), 0);
    map = map_make(&spec);
    assert_guarded(&map);
    map_end(&map);
    file_close(file);
    spec = (struct pal_map){.name = name, .size = 2 * page, .protect = BOTH, .flags = CREATE | PAL_MAP_GUARD};
    map = map_make(&spec);
    assert_guarded(&map);
    map_end(&map);
}

Test(maps, protection_is_kept)
{
    const size_t page = map_page();
    struct mapped map = map_anonymous(3 * page, 0);

    cr_assert_eq(touch(map.bytes, true), 0);
    assert_error(pal_mprotect(map.bytes + page, page, READ), 0);
    cr_assert_eq(touch(map.bytes + page, false), 0);
    cr_assert_eq(touch(map.bytes + page, true), SIGSEGV);
    cr_assert_eq(touch(map.bytes + 2 * page, true), 0);
    assert_error(pal_mprotect(map.bytes, 3 * page, 0), 0);
    cr_assert_eq(touch(map.bytes, false), SIGSEGV);
    map_end(&map);
    cr_assert_eq(touch(map.bytes, false), SIGSEGV);
}

Test(maps, beyond_the_end_of_a_file_is_a_fault)
{
    const size_t page = map_page();
    pal_file file = temporary_file("x", 1);
    struct pal_map spec = {.file = file, .size = 4 * page, .protect = BOTH, .flags = PAL_MAP_SHARED};
    struct mapped map = map_make(&spec);

    cr_assert_eq(touch(map.bytes + page - 1, true), 0);
    cr_assert_eq(touch(map.bytes + page, false), SIGBUS);
    assert_error(pal_file_resize(file, 3 * page), 0);
    cr_assert_eq(touch(map.bytes + 3 * page - 1, true), 0);
    assert_error(pal_file_resize(file, 1), 0);
    cr_assert_eq(touch(map.bytes + 2 * page, true), SIGBUS);
    map_end(&map);
    file_close(file);
}

/* ---- other processes ---- */

struct family {
    struct mapped shared, copied;
};

static void write_as_child(void *arg)
{
    struct family *family = (struct family *)arg;

    family->shared.bytes[0] = 'c';
    family->copied.bytes[0] = 'c';
    must(pal_munmap(family->shared.bytes, family->shared.size) == 0);
    must(pal_munmap(family->copied.bytes, family->copied.size) == 0);
    must(pal_munmap(family->copied.bytes, family->copied.size) == PAL_EINVAL);
}

Test(maps, a_child_shares_what_is_shared_and_unmaps_its_own)
{
    struct family family = {map_anonymous(100, PAL_MAP_SHARED), map_anonymous(100, PAL_MAP_GUARD)};

    in_child(write_as_child, &family);
    cr_assert_eq(family.shared.bytes[0], 'c');
    cr_assert_eq(family.copied.bytes[0], 0);
    map_end(&family.shared);
    map_end(&family.copied);
}

static void write_by_name(void *arg)
{
    struct pal_map spec = {.name = (const char *)arg, .size = 100, .protect = BOTH, .flags = PAL_MAP_SHARED};
    void *address = NULL;

    must(pal_mmap(&spec, &address) == 0);
    ((char *)address)[50] = 'c';
}

Test(maps, a_name_is_found_by_another_process_and_lies_where_the_system_keeps_such)
{
    struct pal_map spec = {.name = name, .size = 100, .protect = BOTH, .flags = CREATE};
    struct mapped map = map_make(&spec);
    struct stat info;

    in_child(write_by_name, name);
    cr_assert_eq(map.bytes[50], 'c');
    if (stat(name_path, &info) == 0) {
        cr_assert_eq(info.st_mode & 07777, 0600);
        cr_assert_eq(info.st_size, 100);
    }
    map_end(&map);
    assert_error(pal_mmap_unlink(name), 0);
    cr_assert_lt(stat(name_path, &info), 0);
}

/* Makes the memory anew, each with a size of its own; whoever gets a map can touch all of it. */
static void create_in_rounds(uint32_t number)
{
    for (uint32_t round = 0; round < 3000; round++) {
        struct pal_map spec = {
            .name = name, .size = (number + round % 3 + 1) * 10000, .protect = BOTH, .flags = CREATE};
        void *address = NULL;
        int error = pal_mmap(&spec, &address);

        must(error == 0 || error == PAL_EINVAL); /* somebody has made it smaller */
        if (error == 0) {
            ((volatile char *)address)[spec.size - 1]++;
            must(pal_munmap(address, spec.size) == 0);
        }
        if ((number + round) % 2 == 0)
            (void)pal_mmap_unlink(name);
    }
}

Test(maps, processes_that_create_one_name_do_each_other_no_harm)
{
    enum { CHILDREN = 4 };
    pid_t children[CHILDREN];

    (void)fflush(NULL);
    for (uint32_t i = 0; i < CHILDREN; i++) {
        children[i] = fork();
        cr_assert_geq(children[i], 0);
        if (children[i] == 0) {
            create_in_rounds(i);
            _exit(0);
        }
    }
    for (int i = 0; i < CHILDREN; i++) {
        int status = 0;

        cr_assert_eq(waitpid(children[i], &status, 0), children[i]);
        cr_assert_eq(status, 0, "child %d: wait status 0x%x", i, (unsigned)status);
    }
}

Test(maps, what_is_no_memory_under_a_name_does_not_hang, .timeout = 20)
{
    struct pal_map spec = {.name = name, .size = 100, .protect = READ, .flags = PAL_MAP_SHARED};
    void *address = NULL;

    if (mkfifo(name_path, 0600) != 0)
        test_skip("dev-shm", "shared memory is kept elsewhere");
    cr_assert_lt(pal_mmap(&spec, &address), 0);
    spec.flags |= PAL_MAP_CREATE;
    cr_assert_lt(pal_mmap(&spec, &address), 0);
    cr_assert_eq(access(name_path, F_OK), 0, "what somebody else made is taken away");
    assert_error(pal_mmap_unlink(name), 0);
}

static void create_beyond_the_limit(void *arg)
{
    struct rlimit limit;
    struct pal_map spec = {.name = name, .size = 100000, .protect = BOTH, .flags = CREATE};
    void *address = NULL;

    (void)arg;
    must(getrlimit(RLIMIT_FSIZE, &limit) == 0);
    limit.rlim_cur = 1000;
    must(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    must(signal(SIGXFSZ, SIG_DFL) != SIG_ERR);
    must(pal_mmap(&spec, &address) == PAL_EFBIG);
    must(access(name_path, F_OK) != 0);
    must(pal_mmap_unlink(name) == PAL_ENOENT);
}

Test(maps, memory_beyond_a_limit_is_efbig_and_leaves_no_name)
{
    in_child(create_beyond_the_limit, NULL);
}

/* ---- a fork in the middle of things ---- */

struct mapper {
    _Atomic bool enough;
    _Atomic int failed_at; /* line, or 0 */
};

static void map_all_the_time(void *arg)
{
    struct mapper *mapper = (struct mapper *)arg;

    while (!atomic_load(&mapper->enough)) {
        struct pal_map spec = {.size = 100, .protect = BOTH};
        void *address = NULL;

        if (pal_mmap(&spec, &address) != 0 || pal_munmap(address, spec.size) != 0)
            atomic_store(&mapper->failed_at, __LINE__);
    }
}

static void map_as_child(void *arg)
{
    const struct mapped *map = (const struct mapped *)arg;
    struct pal_map spec = {.size = 100, .protect = BOTH, .flags = PAL_MAP_GUARD};
    void *address = NULL;

    (void)alarm(20);
    must(pal_munmap(map->bytes, map->size) == 0);
    must(pal_mmap(&spec, &address) == 0);
    must(pal_munmap(address, spec.size) == 0);
}

Test(maps, whatever_threads_do_a_child_can_map)
{
    enum { THREADS = 3, FORKS = 300 };
    struct mapper mapper = {false, 0};
    struct mapped map = map_anonymous(100, 0);
    pal_thread threads[THREADS];

    for (int i = 0; i < THREADS; i++)
        assert_error(pal_thread_start(&threads[i], map_all_the_time, &mapper), 0);
    for (int i = 0; i < FORKS; i++)
        in_child(map_as_child, &map);
    atomic_store(&mapper.enough, true);
    for (int i = 0; i < THREADS; i++)
        assert_error(pal_thread_join(threads[i]), 0);
    cr_assert_eq(atomic_load(&mapper.failed_at), 0);
    map_end(&map);
}
