/* os.h: set-up, capabilities, controls and names of a process with a card: what pal_* of the same name does. */
#ifndef PAL__DPDK_OS_H
#define PAL__DPDK_OS_H

#include <pal/pal.h>

int pal__d_setup(const struct pal_setup *setup);
const struct pal_backend *pal__d_backend_info(void);
int pal__d_ctl(pal_poll *poll, int key, void *value, size_t size);
int pal__d_names(int kind, const char *key, void *out, size_t size);

#endif
