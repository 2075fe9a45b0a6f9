/* bypass_bind.h: the stack of a backend of two worlds that is made for tests: see bypass_bind.c. */
#ifndef TESTS_SIM_BYPASS_BIND_H
#define TESTS_SIM_BYPASS_BIND_H

#include "../../backends/netstack/netstack.h"
#include <palio/base/list.h>

extern struct netstack *bypass_stack;
extern struct base_list bypass_roused; /* lanes of which something has become ready */

/* Another stack in the place of bypass_stack, which the caller has destroyed. */
void bypass_begin(void);

#endif
