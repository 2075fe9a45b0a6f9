/* examples/demo/launch_loopback.c: the kernel's loopback interface as the network of the demonstration. */
#include "launch_net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pal/address.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char group_any_source[] = "239.255.80.65";
static const char group_one_source[] = "232.255.80.65"; /* of the block for source-specific multicast, RFC 4607 */

static void complain(const char *what)
{
    fprintf(stderr, "demo: %s: %s\n", what, strerror(errno));
}

/* A UDP port that nobody uses at this moment; 0 on failure. */
static uint16_t free_udp_port(void)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(addr);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&addr, size) < 0 ||
        getsockname(fd, (struct sockaddr *)&addr, &size) < 0) {
        complain("find a free UDP port");
        addr.sin_port = 0;
    }
    if (fd >= 0) {
        close(fd);
    }
    return ntohs(addr.sin_port);
}

int net_choose(struct exchange_config *exchange, struct trader_config *trader)
{
    uint16_t port = free_udp_port();
    uint32_t ifindex = if_nametoindex("lo");
    if (ifindex == 0) {
        ifindex = if_nametoindex("lo0"); /* its name on BSD and macOS */
    }
    if (port == 0 || ifindex == 0) {
        if (port != 0) {
            complain("find the loopback interface (lo, lo0)");
        }
        return -1;
    }
    struct demo_feed *sent = &exchange->feed, *heard = &trader->feed;
    bool one_source = heard->source.family != PAL_AF_UNSPEC;
    pal_addr_set_loopback(&exchange->listen, PAL_AF_INET, 0);
    pal_addr_set_loopback(&sent->source, PAL_AF_INET, 0);
    pal_addr_from_host(&sent->group, one_source ? group_one_source : group_any_source, port);
    heard->group = sent->group;
    sent->ifindex = heard->ifindex = ifindex;
    if (one_source) {
        heard->source = sent->source;
    }
    return 0;
}

int net_enter(bool is_exchange, enum demo_idle idle)
{
    (void)is_exchange, (void)idle; /* it is there */
    return 0;
}
