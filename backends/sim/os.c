/* os.c: set-up and clocks of the simulated world. Rules 16 and 19. */
#include "os.h"

#include "../common/refusal.h"
#include "../common/slot.h"
#include "../posix/kernel.h"
#include "host.h"
#include "settings.h"
#include "strand.h"

/* PAL_CLOCK_REAL when a world begins: the first second of 2020. */
#define EPOCH_NS (UINT64_C(1577836800) * 1000000000)
enum { LOOKS_MAX = 1 << 16 }; /* at the clock, with nothing else between, before it moves by itself */

int pal__s_setup(const struct pal_setup *setup)
{
    struct pal_setup kernels = setup ? *setup : (struct pal_setup){0};
    const char *wrong = NULL;
    static struct plan plan;
    if (kernels.args && (wrong = pal__s_plan_read(kernels.args, &plan)))
        return pal__refuse(PAL_EINVAL, wrong);
    if (kernels.allocator && pal__s_world_has_begun())
        return pal__refuse(PAL_EBUSY, "a world has begun with the allocator before: call pal_setup first");
    const char *args = kernels.args;
    kernels.args = NULL;
    int error = pal__k_setup(&kernels);
    if (error && error != PAL_EPERM) /* else the rest took effect */
        return error;
    pal__s_world_allocator(kernels.allocator != NULL);
    pal__s_set_args(args);
    return error;
}

const struct pal_backend *pal__s_backend_info(void)
{
    enum { KERNELS = PAL_CAP_SENDFILE | PAL_CAP_WATCH_CHILD };
    static struct pal_backend info = {"sim", PAL_ABI, 0, 0};
    if (!info.caps)
        info.caps = PAL_CAP_SHARED_SOCKS | PAL_CAP_MOVE | PAL_CAP_WATCH_PIPE | PAL_CAP_NS_WAIT | PAL_CAP_PASS_SOCKS |
                    PAL_CAP_VIRTUAL_TIME | PAL_CAP_BLOCKING | PAL_CAP_QUICKACK | PAL_CAP_USER_TIMEOUT |
                    (pal__k_features() & KERNELS);
    return &info;
}

static uint64_t seen_ns;
static uint32_t looks; /* at the same time */

void pal__s_clock_begin(void)
{
    seen_ns = looks = 0;
}

/* A program that does nothing but look at the clock waits for it: then it moves, or the program would never end. */
static uint64_t look(void)
{
    uint64_t now_ns = pal__s_now();
    if (now_ns != seen_ns) {
        seen_ns = now_ns;
        looks = 0;
    } else if (++looks > LOOKS_MAX) {
        pal__s_wait(&(struct waiting){.what = "a moment", .deadline_ns = now_ns + TURN_NS});
        return pal__s_now();
    }
    return now_ns;
}

uint64_t pal__s_clock(int which)
{
    RULE(10, which >= PAL_CLOCK_MONOTONIC && which <= PAL_CLOCK_THREAD_CPU, "pal_clock is asked for an unknown clock");
    if (which == PAL_CLOCK_THREAD_CPU)
        return pal__k_clock(which);
    uint64_t now_ns = look();
    return which == PAL_CLOCK_MONOTONIC ? now_ns : pal__s_real(pal__s_host_here(), now_ns);
}

uint64_t pal__s_real(const struct host *host, uint64_t monotonic_ns)
{
    return EPOCH_NS + monotonic_ns + (uint64_t)host->clock_offset_ns;
}
