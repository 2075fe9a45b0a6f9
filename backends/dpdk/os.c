/* os.c: set-up, capabilities and controls of a process with a card. Rule 16. */
#include "os.h"

#include "../common/refusal.h"
#include "../netstack/counters.h"
#include "../posix/kernel.h"
#include "card.h"

int pal__d_setup(const struct pal_setup *setup)
{
    struct pal_setup kernels = setup ? *setup : (struct pal_setup){0};
    const char *args = kernels.args;
    kernels.args = NULL;
    int error = pal__d_card_check_args(args);
    if (error)
        return error;
    int result = pal__k_setup(&kernels); /* PAL_EPERM: something was not to be had, all the rest is set up */
    error = !result || result == PAL_EPERM ? pal__d_card_set_args(args) : 0;
    return error ? error : result;
}

const struct pal_backend *pal__d_backend_info(void)
{
    enum { KERNELS = PAL_CAP_SENDFILE | PAL_CAP_WATCH_CHILD };
    static struct pal_backend info = {"dpdk", PAL_ABI, 0, 0};
    if (!info.caps)
        info.caps = PAL_CAP_MOVE | PAL_CAP_LEASE_NATIVE | PAL_CAP_WATCH_PIPE | PAL_CAP_NS_WAIT | PAL_CAP_PASS_SOCKS |
                    PAL_CAP_BLOCKING | PAL_CAP_QUICKACK | PAL_CAP_USER_TIMEOUT | (pal__k_features() & KERNELS);
    return &info;
}

static int get_names(struct pal_card_names *out)
{
    static const char *const names[] = {
#define COUNTER_NAME(name, what) #name,
        NETSTACK_COUNTERS(COUNTER_NAME)
#undef COUNTER_NAME
    };
    for (uint32_t i = 0; out->names && i < out->count && i < COUNTERS; i++)
        out->names[i] = names[i];
    out->count = COUNTERS;
    return 0;
}

/* Bytes of a key's value; 0: no such key. */
static size_t size_of(int key)
{
    switch (key) {
    case PAL_CTL_CARD_TEXT:
        return sizeof(struct pal_card_text);
    case PAL_CTL_CARD_COUNTERS:
        return sizeof(struct pal_card_counters);
    case PAL_CTL_CARD_NAMES:
        return sizeof(struct pal_card_names);
    case PAL_CTL_CARD_CAPTURE:
        return sizeof(uint32_t);
    case PAL_CTL_CARD_LINK:
        return sizeof(struct pal_card_link);
    case PAL_CTL_CARD_STOP:
        return sizeof(struct pal_card_stop);
    default:
        return 0;
    }
}

static int carry_out(struct home *home, int key, void *value)
{
    switch (key) {
    case PAL_CTL_CARD_TEXT:
        return pal__d_card_text(value);
    case PAL_CTL_CARD_COUNTERS:
        return pal__d_card_counters(home, value);
    case PAL_CTL_CARD_NAMES:
        return get_names(value);
    case PAL_CTL_CARD_CAPTURE:
        return pal__d_card_capture(home, *(const uint32_t *)value);
    case PAL_CTL_CARD_LINK:
        return pal__d_card_link(value);
    default:
        return pal__d_card_stop(value);
    }
}

int pal__d_ctl(pal_poll *poll, int key, void *value, size_t size)
{
    size_t expected = size_of(key);
    int error;
    if (key == PAL_CTL_IDLE)
        return pal__k_ctl(poll, key, value, size);
    if (!expected)
        return pal__refuse(PAL_ENOTSUP, "a card knows PAL_CTL_IDLE and PAL_CTL_CARD_* (pal/card.h)");
    if (!value || size != expected || poll)
        return pal__refuse(PAL_EINVAL, "keys of a card take no poll, and the value that pal/card.h names");
    struct home *home = key == PAL_CTL_CARD_STOP ? NULL : pal__d_home(&error);
    return home || key == PAL_CTL_CARD_STOP ? carry_out(home, key, value) : error;
}
