/* not_yet.c: the parts of the seam that kernel backends do not carry yet. Until they do, each call answers PAL_ENOTSUP
 * with a reason and changes nothing. Files that test the real thing replace this one. */
#include "conformance.h"

#define expect_not_yet(call)                                                                                           \
    do {                                                                                                               \
        cr_expect_eq((int)(call), PAL_ENOTSUP, "%s", #call);                                                           \
        cr_expect_str_neq(pal_reason(), "", "%s: no reason", #call);                                                   \
    } while (0)

Test(not_yet, files)
{
    pal_file file = {0};
    struct pal_file_info info;
    char bytes[4] = {0};

    expect_not_yet(pal_file_open("nonexistent", PAL_FILE_READ, 0, &file));
    cr_expect_eq(file.id, 0);
    expect_not_yet(pal_file_close(file));
    expect_not_yet(pal_file_read(file, bytes, sizeof(bytes), 0));
    expect_not_yet(pal_file_write(file, bytes, sizeof(bytes), 0));
    expect_not_yet(pal_file_sync(file, PAL_FILE_SYNC_ALL));
    expect_not_yet(pal_file_info(file, &info));
}

Test(not_yet, processes)
{
    static const char *const argv[] = {"true", NULL};
    struct pal_spawn spec;
    struct rig rig;
    pal_proc process = {0};

    memset(&spec, 0, sizeof(spec));
    spec.program = "true";
    spec.argv = argv;
    spec.flags = PAL_SPAWN_SEARCH;
    rig_open(&rig, 2);
    expect_not_yet(pal_proc_spawn(&spec, &process));
    cr_expect_eq(process.id, 0);
    expect_not_yet(pal_proc_watch(rig.poll, process, 1));
    expect_not_yet(pal_proc_kill(process, PAL_SIGTERM));
    expect_not_yet(pal_proc_close(process));
    rig_silent(&rig, 1, 2);
    rig_close(&rig);
}

Test(not_yet, memory_maps)
{
    struct pal_map spec;
    void *address = NULL;

    memset(&spec, 0, sizeof(spec));
    spec.size = 4096;
    spec.protect = PAL_MAP_READ;
    expect_not_yet(pal_mmap(&spec, &address));
    cr_expect_null(address);
    expect_not_yet(pal_munmap(address, 4096));
    expect_not_yet(pal_mprotect(address, 4096, PAL_MAP_READ));
    expect_not_yet(pal_msync(address, 4096, PAL_MSYNC_WAIT));
    expect_not_yet(pal_madvise(address, 4096, PAL_ADVISE_NORMAL));
    expect_not_yet(pal_mremap(&address, 4096, 8192));
}

Test(not_yet, signal_masks_and_timers)
{
    uint64_t set = 0;

    expect_not_yet(pal_signal_mask(PAL_SIGNAL_SET, NULL, &set));
    expect_not_yet(pal_signal_ctl(PAL_SIGNAL_PENDING, &set, sizeof(set)));
}
