/* bench/dpdk/packet.c: the other end of the raw round trips over a pair of virtual interfaces: a packet socket of the
 * kernel's that sends back every frame of raw_frame.h, looking again and again, until it is told to end.
 *
 * usage: dpdk-packet INTERFACE */
#include "raw_frame.h"
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static void must(bool good, const char *what)
{
    if (!good) {
        perror(what);
        exit(1);
    }
}

/* Sends past the queueing discipline, as the card's port does. */
static int open_socket(const char *interface, uint8_t mac[6])
{
    struct sockaddr_ll name = {.sll_family = AF_PACKET, .sll_protocol = htons(RAW_TYPE)};
    struct ifreq request;
    int fd = socket(AF_PACKET, SOCK_RAW, htons(RAW_TYPE)), on = 1;

    must(fd >= 0, "packet socket");
    name.sll_ifindex = (int)if_nametoindex(interface);
    must(name.sll_ifindex > 0 && bind(fd, (struct sockaddr *)&name, sizeof(name)) == 0, interface);
    must(setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on)) == 0, "PACKET_QDISC_BYPASS");
    memset(&request, 0, sizeof(request));
    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", interface);
    must(ioctl(fd, SIOCGIFHWADDR, &request) == 0, "SIOCGIFHWADDR");
    memcpy(mac, request.ifr_hwaddr.sa_data, 6);
    return fd;
}

int main(int count, char **arguments)
{
    uint8_t bytes[2048], mac[6];
    bool ended = false;
    int fd;

    if (count != 2) {
        fprintf(stderr, "usage: dpdk-packet INTERFACE\n");
        return 2;
    }
    fd = open_socket(arguments[1], mac);
    printf("ready\n");
    fflush(stdout);
    while (!ended) {
        ssize_t size = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);

        if (size < 0 || !raw_frame_is_ours(bytes, (uint32_t)size) || memcmp(bytes + 6, mac, 6) == 0)
            continue;
        ended = bytes[RAW_KIND] == RAW_END;
        raw_frame_turn_round(bytes, mac);
        must(send(fd, bytes, (size_t)size, 0) == size, "send");
    }
    close(fd);
    return 0;
}
