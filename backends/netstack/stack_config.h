/* stack_config.h: the defaults of struct netstack_config, and what its values may be. */
#ifndef PAL__NETSTACK_STACK_CONFIG_H
#define PAL__NETSTACK_STACK_CONFIG_H

#include "netstack.h"

/* Puts the default where a 0 stands. NULL, or what is out of range. */
const char *pal__n_config_complete(struct netstack_config *config);

#endif
