/* ethdev.h: DPDK's Ethernet devices, beside the stack's names: both say struct ip, one of them by way of netinet/ip.h.
 * To be included instead of rte_ethdev.h. */
#ifndef PAL__DPDK_ETHDEV_H
#define PAL__DPDK_ETHDEV_H

#define ip system_ip
#include <netinet/ip.h>
#undef ip
#include <rte_ethdev.h>

#endif
