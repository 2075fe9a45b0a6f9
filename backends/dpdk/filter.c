/* filter.c: which multicast addresses a port is to hear: those that the stacks of all its queues ask for. */
#include "nic_dpdk.h"

#include <string.h>

static bool has(const struct rte_ether_addr *list, uint32_t count, const uint8_t *mac)
{
    for (uint32_t i = 0; i < count; i++)
        if (memcmp(list[i].addr_bytes, mac, MAC_SIZE) == 0)
            return true;
    return false;
}

/* Those of all queues, each once: how many. */
static uint32_t collect(const struct dpdk_port *port, struct rte_ether_addr *list)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < port->queue_count; i++) {
        const struct dpdk_queue *queue = &port->queues[i];

        for (uint32_t k = 0; k < queue->group_count; k++) {
            if (count == DPDK_GROUPS_MAX || has(list, count, queue->groups[k]))
                continue;
            memcpy(list[count++].addr_bytes, queue->groups[k], MAC_SIZE);
        }
    }
    return count;
}

/* A port that cannot choose, or not among so many, hears all groups, or failing that everything; one that can do
 * neither hears everything already. */
static void hear_all(struct dpdk_port *port)
{
    if (port->hears_all)
        return;
    port->hears_all = true;
    if (rte_eth_allmulticast_enable(port->id) != 0)
        port->is_promisc = rte_eth_promiscuous_enable(port->id) == 0;
}

void pal__d_filter(struct dpdk_queue *queue, const uint8_t (*macs)[MAC_SIZE], int count)
{
    struct dpdk_port *port = queue->port;
    struct rte_ether_addr list[DPDK_GROUPS_MAX];
    uint32_t listed;

    pthread_mutex_lock(&port->lock);
    if (count < 0 || count > DPDK_GROUPS_MAX || (count > 0 && macs == NULL)) {
        hear_all(port);
    } else {
        queue->group_count = (uint32_t)count;
        if (count > 0)
            memcpy(queue->groups, macs, (size_t)count * MAC_SIZE);
        listed = collect(port, list);
        if (listed == DPDK_GROUPS_MAX ||
            (!port->hears_all && rte_eth_dev_set_mc_addr_list(port->id, list, listed) != 0))
            hear_all(port);
    }
    pthread_mutex_unlock(&port->lock);
}
