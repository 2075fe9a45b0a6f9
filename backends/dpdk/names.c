/* names.c: pal_names where IP belongs to a stack of our own: interfaces are the stack's, all else is the system's. */
#include "../common/refusal.h"
#include "../netstack/stack.h"
#include "../posix/kernel.h"
#include "card.h"
#include "os.h"

#include <string.h>

enum { UP = 1, LOOPBACK = 2, MULTICAST = 4 };

/* Whether there is a link is asked here and now: the stack sends all the same, and lets TCP be patient. */
static struct pal_interface describe(const struct home *home, const struct iface *iface)
{
    struct pal_interface out = {.ifindex = iface->index, .mtu = iface->mtu};
    uint32_t device = pal__d_card_device(home, iface->index);
    out.flags = device == DPDK_DEVICES_MAX || pal__d_card_has_link(device) ? UP : 0;
    out.flags |= iface->index == IFINDEX_LOOPBACK ? LOOPBACK : MULTICAST;
    size_t size = strlen(iface->name);
    memcpy(out.name, iface->name, size < sizeof out.name ? size : sizeof out.name - 1);
    return out;
}

static const struct iface *find(const struct netstack *stack, const char *name, uint32_t index)
{
    for (uint32_t i = 0; i < stack->iface_count; i++)
        if (name ? strcmp(stack->ifaces[i]->name, name) == 0 : stack->ifaces[i]->index == index)
            return stack->ifaces[i];
    return NULL;
}

static int no_name(void)
{
    return pal__refuse(PAL_ENONAME, "no interface of this thread's stack has this name or number");
}

static int no_room(void)
{
    return pal__refuse(PAL_ERANGE, "there is not enough room for the answer");
}

static int index_of(const struct netstack *stack, const char *name, void *out, size_t size)
{
    const struct iface *iface = find(stack, name, 0);
    if (!iface)
        return no_name();
    if (size < sizeof iface->index)
        return no_room();
    memcpy(out, &iface->index, sizeof iface->index);
    return (int)sizeof iface->index;
}

static int name_of(const struct netstack *stack, const char *key, void *out, size_t size)
{
    uint32_t index;
    memcpy(&index, key, sizeof index);
    const struct iface *iface = find(stack, NULL, index);
    if (!iface)
        return no_name();
    size_t length = strlen(iface->name);
    if (size <= length)
        return no_room();
    memcpy(out, iface->name, length + 1);
    return (int)length;
}

static int list(const struct home *home, void *out, size_t size)
{
    const struct netstack *stack = home->stack;
    struct pal_interface described;
    for (uint32_t i = 0; i < stack->iface_count && (i + 1) * sizeof described <= size; i++) {
        described = describe(home, stack->ifaces[i]);
        memcpy((char *)out + i * sizeof described, &described, sizeof described);
    }
    return (int)(stack->iface_count * sizeof described);
}

int pal__d_names(int kind, const char *key, void *out, size_t size)
{
    bool is_ours =
        kind == PAL_NAMES_INTERFACE_INDEX || kind == PAL_NAMES_INTERFACE_NAME || kind == PAL_NAMES_INTERFACES;
    int error;
    if (!is_ours)
        return pal__k_names(kind, key, out, size);
    const struct home *home = pal__d_home(&error);
    if (!home)
        return error;
    if ((!out && size) || (!key && kind != PAL_NAMES_INTERFACES))
        return pal__refuse(PAL_EINVAL, "pal_names needs a key and room for the answer");
    switch (kind) {
    case PAL_NAMES_INTERFACE_INDEX:
        return index_of(home->stack, key, out, size);
    case PAL_NAMES_INTERFACE_NAME:
        return name_of(home->stack, key, out, size);
    default:
        return list(home, out, size);
    }
}
