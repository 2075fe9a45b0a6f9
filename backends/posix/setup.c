/* setup.c: capacities before first use, the facts of pal_info, and the memory that fork wipes. Rules 13 and 17. */
#include "../common/memory.h"
#include "../common/poll_state.h"
#include "../common/refusal.h"
#include "../common/workers.h"
#include "kernel.h"
#include "sys.h"

#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>

static int raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit))
        return pal__failed(-errno);
    if (limit.rlim_cur == limit.rlim_max)
        return 0;
    limit.rlim_cur = limit.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &limit) ? pal__failed(-errno) : 0;
}

static int pin(uint32_t cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu - 1, &set);
    return sched_setaffinity(0, sizeof set, &set) ? pal__failed(-errno) : 0;
}

static int check(const struct pal_setup *setup)
{
    if (setup->flags & ~(uint32_t)PAL_SETUP_RAISE_LIMIT)
        return pal__refuse(PAL_EINVAL, "pal_setup.flags knows PAL_SETUP_RAISE_LIMIT only");
    if (setup->socks_max >= SLOT_MAX)
        return pal__refuse(PAL_EINVAL, "socks_max is at most 1048575");
    if (setup->polls_max > POLLS_MAX)
        return pal__refuse(PAL_EINVAL, "polls_max is at most 512");
    if (setup->cpu > CPU_SETSIZE)
        return pal__refuse(PAL_EINVAL, "cpu is 1 + the number of a CPU of this machine");
    if (setup->allocator && (!setup->allocator->alloc || !setup->allocator->free))
        return pal__refuse(PAL_EINVAL, "an allocator has alloc and free");
    if (setup->args && *setup->args)
        return pal__refuse(PAL_EINVAL, "kernel backends have no settings: leave args NULL");
    if (setup->workers_max > WORKERS_MAX)
        return pal__refuse(PAL_EINVAL, "workers_max is at most 256");
    return 0;
}

int pal__k_setup(const struct pal_setup *setup)
{
    static bool done;
    static const struct pal_setup defaults;
    if (done || pal__slots_top() > 1 || pal__polls_used())
        return pal__refuse(PAL_EBUSY, "pal_setup comes once, and before any socket or poll");
    if (!setup)
        setup = &defaults;
    int error = check(setup);
    if (error || (error = pal__workers_limit(setup->workers_max)))
        return error;
    done = true;
    pal__set_allocator(setup->allocator);
    if (setup->socks_max)
        pal__slot_limit(setup->socks_max);
    if (setup->polls_max)
        pal__polls_limit(setup->polls_max);
    if (setup->flags & PAL_SETUP_RAISE_LIMIT)
        error = raise_descriptor_limit();
    int pinned = setup->cpu ? pin(setup->cpu) : 0;
    return error || pinned ? PAL_EPERM : 0;
}

static uint64_t cpu_count(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) ? 1 : (uint64_t)CPU_COUNT(&set);
}

static uint64_t descriptor_limit(void)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_NOFILE, &limit) ? 0 : (uint64_t)limit.rlim_cur;
}

int pal__k_info(int key, uint64_t *value)
{
    if (!value)
        return pal__refuse(PAL_EINVAL, "pal_info needs room for the value");
    switch (key) {
    case PAL_INFO_CPU_COUNT:
        *value = cpu_count();
        return 0;
    case PAL_INFO_PAGE_SIZE:
        *value = (uint64_t)sysconf(_SC_PAGESIZE);
        return 0;
    case PAL_INFO_SOCKS_MAX:
        *value = pal__slots_max();
        return 0;
    case PAL_INFO_SOCKS_OPEN:
        *value = pal__slots_open();
        return 0;
    case PAL_INFO_NATIVE_MAX:
        *value = descriptor_limit();
        return 0;
    case PAL_INFO_PROCESS_ID:
        *value = (uint64_t)getpid();
        return 0;
    default:
        return pal__refuse(PAL_EINVAL, "no such key");
    }
}

/* Where the kernel cannot wipe on fork (before Linux 4.14), an inherited poll is not recognised as such, and what the
 * parent had its workers do is not forgotten. */
void *pal__alloc_wiped(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    madvise(memory, size, MADV_WIPEONFORK);
    return memory;
}

void *_Atomic *pal__owner_cells(void)
{
    static void *_Atomic *_Atomic cells;
    void *_Atomic *known = atomic_load(&cells);
    if (LIKELY(known))
        return known;
    size_t size = POLLS_MAX * sizeof *known;
    void *_Atomic *fresh = pal__alloc_wiped(size), *_Atomic *none = NULL;
    if (!fresh || atomic_compare_exchange_strong(&cells, &none, fresh))
        return fresh;
    munmap(fresh, size); /* another thread was first */
    return none;
}
