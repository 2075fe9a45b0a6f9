/* apply.h: what the settings say of a device's interface, told to a stack. */
#ifndef PAL__DPDK_APPLY_H
#define PAL__DPDK_APPLY_H

#include "../netstack/netstack.h"
#include "settings.h"

/* Adds an interface of the device's name on the nic, its addresses, routes and neighbours: the interface's index. A
 * stack that refuses one of them: its code, in words; what was added before stays. */
int pal__d_apply(const struct dpdk_settings *settings, uint32_t device, struct netstack *stack, struct nic *nic,
                 struct base_text *words);

#endif
