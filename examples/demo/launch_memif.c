/* examples/demo/launch_memif.c: a cable between two cards as the network of the demonstration: DPDK's memif, which is
 * memory that two processes share. It needs no card, no huge pages and no rights. */
#define _DEFAULT_SOURCE /* setenv */

#include "launch_net.h"

#include <errno.h>
#include <pal/address.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TICKS_PORT = 8065 };
enum { CARD = 2 };            /* index of its interface: the first is the stack's loopback */
enum { SETTINGS_SIZE = 256 }; /* bytes of them, with their NUL */

static const char group_any_source[] = "239.255.80.65";
static const char group_one_source[] = "232.255.80.65"; /* of the block for source-specific multicast, RFC 4607 */
static const char exchange_host[] = "10.80.65.1", trader_host[] = "10.80.65.2";

int net_choose(struct exchange_config *exchange, struct trader_config *trader)
{
    struct demo_feed *sent = &exchange->feed, *heard = &trader->feed;
    bool one_source = heard->source.family != PAL_AF_UNSPEC;
    pal_addr_from_host(&exchange->listen, exchange_host, 0);
    pal_addr_from_host(&sent->source, exchange_host, 0);
    pal_addr_from_host(&sent->group, one_source ? group_one_source : group_any_source, TICKS_PORT);
    heard->group = sent->group;
    sent->ifindex = heard->ifindex = CARD;
    if (one_source) {
        heard->source = sent->source;
    }
    return 0;
}

/* The two find each other by the name of a socket that is no file (an abstract one), with the launcher's number. */
int net_enter(bool is_exchange, enum demo_idle idle)
{
    char settings[SETTINGS_SIZE];
    snprintf(settings, sizeof(settings),
             "device net_memif0,role=%s,socket=/tmp/palio-demo-%ld ; address %s/24 ; profile %s ; "
             "hugepages off ; mbufs 4096 ; descriptors 512",
             is_exchange ? "server" : "client", (long)getppid(), is_exchange ? exchange_host : trader_host,
             idle == DEMO_SPIN ? "latency" : "power");
    if (setenv("PALIO_DPDK", settings, 1) < 0) {
        fprintf(stderr, "demo: set PALIO_DPDK: %s\n", strerror(errno));
        return -1;
    }
    return 0;
}
