/* port.c: a port of DPDK, from its device to its start, and back. */
#include "nic_dpdk.h"
#include "quiet.h"

#include <errno.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_mempool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

enum { CACHE = 256, LARGE_CACHE = 32, DEVICE_WORDS = DPDK_WORD_MAX + 32 };

static const uint64_t rx_checksums = RTE_ETH_RX_OFFLOAD_UDP_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM;
static const uint64_t tx_checksums = RTE_ETH_TX_OFFLOAD_UDP_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM;
static const uint64_t spread_by = RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP;

static uint32_t ports_open; /* of this process; by the one thread that opens and closes them */

/* ---- failures ---- */

/* number: positive, of errno or DPDK; a driver that says 1 means only that it failed. */
static int fail_at(struct base_text *words, const struct dpdk_device *device, const char *what, int number)
{
    (void)pal__d_fail(words, 0, "device \"%s\": %s", device->text, what);
    if (number > 1)
        pal__d_say(words, ": %s", rte_strerror(number));
    pal__d_say(words, ". DPDK's log: ");
    pal__d_eal_log(words);
    return number > 1 ? pal__d_eal_error(number) : PAL_EIO;
}

/* ---- the device ---- */

static int find_port(const char *name)
{
    uint16_t id;

    return rte_eth_dev_get_port_by_name(name, &id) == 0 ? id : -1;
}

/* Why a virtual device could not be made: what DPDK answers to a name that it does not know means nothing. */
static int fail_device(struct base_text *words, const struct dpdk_device *device, int number)
{
    if (pal__d_device_kind(device) != DPDK_OTHER)
        return fail_at(words, device, "its driver refuses it; look at the words behind its name", number);
    return fail_at(words, device,
                   "no driver takes it; virtual ones are net_tap, net_af_packet, net_af_xdp, net_memif, net_pcap, "
                   "net_ring, net_null, net_vhost, net_virtio_user",
                   ENODEV);
}

/* The words behind the device's name. A memif's driver draws its MAC from a generator that is seeded when the library
 * is loaded: processes that one has forked would have the same, and not hear each other. */
static void device_words(const struct dpdk_device *device, char *out)
{
    const char *comma = strchr(device->text, ',');
    char mac[DPDK_WORD_MAX];
    uint8_t drawn[MAC_SIZE - 1];

    snprintf(out, DEVICE_WORDS, "%s", comma != NULL ? comma + 1 : "");
    if (strncmp(device->text, "net_memif", strlen("net_memif")) != 0 || pal__d_device_value(device, "mac", mac) ||
        getrandom(drawn, sizeof(drawn), 0) != (ssize_t)sizeof(drawn))
        return;
    snprintf(out + strlen(out), DEVICE_WORDS - strlen(out), "%smac=02:%02x:%02x:%02x:%02x:%02x",
             comma != NULL ? "," : "", drawn[0], drawn[1], drawn[2], drawn[3], drawn[4]);
}

/* The id of the device's port; a virtual device is made. Negative: PAL_E*. */
static int make_device(const struct dpdk_device *device, bool *is_ours, struct base_text *words)
{
    char name[DPDK_WORD_MAX], words_of_device[DEVICE_WORDS];
    int id, result;

    pal__d_device_name(device, name);
    id = find_port(name);
    if (id >= 0)
        return id;
    if (pal__d_device_kind(device) == DPDK_PCI)
        return fail_at(words, device, "DPDK has no driver for it", ENODEV);
    device_words(device, words_of_device);
    result = rte_eal_hotplug_add("vdev", name, words_of_device);
    if (result != 0)
        return fail_device(words, device, -result);
    *is_ours = true;
    id = find_port(name);
    if (id >= 0)
        return id;
    (void)rte_eal_hotplug_remove("vdev", name);
    *is_ours = false;
    return fail_at(words, device, "it is no network device", ENODEV);
}

/* ---- setting it up ---- */

/* What is asked for against what it has. */
static int check_limits(const struct dpdk_settings *settings, const struct dpdk_device *device,
                        const struct rte_eth_dev_info *info, struct base_text *words)
{
    unsigned queues = info->max_rx_queues < info->max_tx_queues ? info->max_rx_queues : info->max_tx_queues;

    if (settings->queues > queues)
        return pal__d_fail(words, PAL_ENOTSUP, "queues \"%u\": device %s has %u queue pair%s; say queues %u%s",
                           (unsigned)settings->queues, device->text, queues, queues == 1 ? "" : "s", queues,
                           pal__d_device_kind(device) == DPDK_PACKET ? ", or give the device more: ,qpairs=N" : "");
    if (device->mtu > info->max_mtu)
        return pal__d_fail(words, PAL_ENOTSUP, "mtu \"%u\": device %s takes at most %u", (unsigned)device->mtu,
                           device->text, (unsigned)info->max_mtu);
    return 0;
}

static void choose_flags(struct dpdk_port *port, struct rte_eth_conf *conf)
{
    const struct rte_eth_dev_info *info = &port->info;

    if ((info->rx_offload_capa & rx_checksums) == rx_checksums) {
        /* An IP header that the card says nothing of is looked at by nic_dpdk.c. */
        conf->rxmode.offloads |= rx_checksums | (info->rx_offload_capa & RTE_ETH_RX_OFFLOAD_IPV4_CKSUM);
        port->flags |= NIC_RX_CHECKSUM;
    }
    if ((info->tx_offload_capa & tx_checksums) == tx_checksums) {
        conf->txmode.offloads |= tx_checksums;
        port->flags |= NIC_TX_CHECKSUM;
    }
    if ((port->flags & NIC_TX_CHECKSUM) != 0 && (info->tx_offload_capa & RTE_ETH_TX_OFFLOAD_TCP_TSO) != 0) {
        conf->txmode.offloads |= RTE_ETH_TX_OFFLOAD_TCP_TSO | (info->tx_offload_capa & RTE_ETH_TX_OFFLOAD_IPV4_CKSUM);
        port->flags |= NIC_TX_SEGMENTS;
        if (port->kind != DPDK_TAP) /* whose driver knows IPv4 only */
            port->flags |= NIC_TX_SEGMENTS6;
    }
    /* All that a card's queue sends has one owner, is in one piece, and of one pool, if no frames are to be cut. */
    if (port->kind == DPDK_PCI && (port->flags & NIC_TX_SEGMENTS) == 0)
        conf->txmode.offloads |= info->tx_offload_capa & RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
    port->spreads = port->queue_count > 1 && (info->flow_type_rss_offloads & spread_by) != 0;
    if (port->spreads) {
        conf->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
        conf->rx_adv_conf.rss_conf.rss_hf = info->flow_type_rss_offloads & spread_by;
    }
}

/* Interrupts are for those that can, and only if somebody means to sleep. */
static bool wants_interrupts(const struct dpdk_settings *settings, enum dpdk_kind kind)
{
    return settings->idle != DPDK_IDLE_SPIN && (kind == DPDK_TAP || kind == DPDK_SOCKET || kind == DPDK_PCI);
}

static int configure(const struct dpdk_settings *settings, const struct dpdk_device *device, struct dpdk_port *port,
                     struct base_text *words)
{
    uint16_t queues = (uint16_t)port->queue_count;
    struct rte_eth_conf conf;
    int result;

    memset(&conf, 0, sizeof(conf));
    conf.rxmode.mtu = device->mtu;
    choose_flags(port, &conf);
    port->interrupts = wants_interrupts(settings, port->kind);
    conf.intr_conf.rxq = port->interrupts;
    result = rte_eth_dev_configure(port->id, queues, queues, &conf);
    if (result != 0 && port->interrupts) {
        port->interrupts = false;
        conf.intr_conf.rxq = 0;
        result = rte_eth_dev_configure(port->id, queues, queues, &conf);
    }
    if (result != 0)
        return fail_at(words, device, "it does not take its settings (queues, mtu)", -result);
    port->rx_descriptors = (uint16_t)settings->rx_descriptors;
    port->tx_descriptors = (uint16_t)settings->tx_descriptors;
    result = rte_eth_dev_adjust_nb_rx_tx_desc(port->id, &port->rx_descriptors, &port->tx_descriptors);
    if (result != 0)
        return fail_at(words, device, "it takes no such number of descriptors", -result);
    return 0;
}

/* Does what is at the other end leave its frames uncut? A guest of vhost does if the device's text lets it. */
static bool hears_uncut(const struct dpdk_device *device)
{
    char value[DPDK_WORD_MAX];

    return strncmp(device->text, "net_vhost", strlen("net_vhost")) == 0 && pal__d_device_value(device, "tso", value) &&
           strcmp(value, "1") == 0;
}

/* NULL: none are needed, or there is no memory, and segments go one by one. */
static struct rte_mempool *make_large(const struct dpdk_device *device, const struct dpdk_port *port, uint16_t index)
{
    char name[RTE_MEMPOOL_NAMESIZE];

    if ((port->flags & NIC_TX_SEGMENTS) == 0 && !hears_uncut(device))
        return NULL;
    snprintf(name, sizeof(name), "palio-large-%u-%u", port->id, index);
    return rte_pktmbuf_pool_create(name, DPDK_LARGE_COUNT, LARGE_CACHE, DPDK_PRIVATE,
                                   (uint16_t)(FRAME_HEADROOM + DPDK_LARGE_ROOM), rte_eth_dev_socket_id(port->id));
}

static int make_pool(const struct dpdk_settings *settings, const struct dpdk_device *device, struct dpdk_port *port,
                     uint16_t index, struct base_text *words)
{
    char name[RTE_MEMPOOL_NAMESIZE];
    struct rte_mempool *pool;

    snprintf(name, sizeof(name), "palio-%u-%u", port->id, index);
    pool = rte_pktmbuf_pool_create(name, settings->mbufs, CACHE, DPDK_PRIVATE, (uint16_t)(FRAME_HEADROOM + port->room),
                                   rte_eth_dev_socket_id(port->id));
    if (pool == NULL)
        return fail_at(words, device, "there is no memory for its mbufs; say fewer, or have more huge pages",
                       rte_errno);
    pal__d_nic_init(&port->queues[index], port, index, pool, make_large(device, port, index));
    return 0;
}

static int set_up_queue(const struct dpdk_device *device, struct dpdk_port *port, uint16_t index,
                        struct base_text *words)
{
    unsigned node = (unsigned)rte_eth_dev_socket_id(port->id);
    int result = rte_eth_rx_queue_setup(port->id, index, port->rx_descriptors, node, NULL, port->queues[index].pool);

    if (result == 0)
        result = rte_eth_tx_queue_setup(port->id, index, port->tx_descriptors, node, NULL);
    return result == 0 ? 0 : fail_at(words, device, "a queue cannot be set up (descriptors, mbufs)", -result);
}

/* A tap device has its MAC in common with the kernel's interface, which is the station at the other end of this wire
 * and must be told from us: ours differs in a bit, and the kernel's frames come whatever MAC they are for. Rings have
 * none: one of our own making (the local bit is set), another for each port of a process. */
static void choose_mac(const struct dpdk_device *device, struct dpdk_port *port)
{
    static const uint8_t none[MAC_SIZE];
    uint32_t process = (uint32_t)getpid();
    char remote[DPDK_WORD_MAX];

    if (port->kind == DPDK_TAP && !pal__d_device_value(device, "remote", remote))
        port->mac[1] ^= 0x80;
    if (memcmp(port->mac, none, MAC_SIZE) != 0)
        return;
    port->mac[0] = 0x02;
    port->mac[1] = 0x50;
    port->mac[2] = (uint8_t)(process >> 16);
    port->mac[3] = (uint8_t)(process >> 8);
    port->mac[4] = (uint8_t)process;
    port->mac[5] = (uint8_t)port->id;
}

/* What it is after all that. */
static int settle(const struct dpdk_device *device, struct dpdk_port *port, struct base_text *words)
{
    struct rte_ether_addr mac;
    uint16_t mtu = 0;
    int result = rte_eth_macaddr_get(port->id, &mac);

    if (result == 0)
        result = rte_eth_dev_get_mtu(port->id, &mtu);
    if (result != 0)
        return fail_at(words, device, "it has no MAC, or no mtu", -result);
    memcpy(port->mac, mac.addr_bytes, MAC_SIZE);
    choose_mac(device, port);
    port->mtu = mtu < port->room - DPDK_LINK_HEADER ? mtu : port->room - DPDK_LINK_HEADER;
    if (port->kind == DPDK_TAP)
        port->segment_max = mtu; /* its driver takes that for the size of a frame, and sends no larger ones it cuts */
    (void)pal__d_port_link(port);
    return 0;
}

static int set_up(const struct dpdk_settings *settings, const struct dpdk_device *device, struct dpdk_port *port,
                  struct base_text *words)
{
    int error = configure(settings, device, port, words), result;

    for (uint16_t i = 0; i < port->queue_count && error == 0; i++) {
        error = make_pool(settings, device, port, i, words);
        if (error == 0)
            error = set_up_queue(device, port, i, words);
    }
    if (error != 0)
        return error;
    result = rte_eth_dev_start(port->id);
    if (result != 0)
        return fail_at(words, device, "it does not start", -result);
    port->is_started = true;
    return settle(device, port, words);
}

/* is_ours: the device goes with the port. */
static int open_id(const struct dpdk_settings *settings, uint32_t index, uint16_t id, bool is_ours,
                   struct dpdk_port **out, struct base_text *words)
{
    const struct dpdk_device *device = &settings->devices[index];
    struct rte_eth_dev_info info;
    int error, result = rte_eth_dev_info_get(id, &info);
    struct dpdk_port *port;

    if (result != 0)
        return fail_at(words, device, "there is no such port", -result);
    error = check_limits(settings, device, &info, words);
    if (error != 0)
        return error;
    port = calloc(1, sizeof(*port) + settings->queues * sizeof(port->queues[0]));
    if (port == NULL)
        return pal__d_fail(words, PAL_ENOMEM, "no memory for device %s", device->text);
    ports_open++;
    port->id = id;
    port->info = info;
    port->kind = pal__d_device_kind(device);
    port->queue_count = settings->queues;
    port->room = pal__d_mbuf_room(device->mtu);
    pthread_mutex_init(&port->lock, NULL);
    if (rte_eth_dev_get_name_by_port(id, port->name) != 0)
        pal__d_device_name(device, port->name);
    error = set_up(settings, device, port, words);
    if (error != 0) {
        pal__d_port_stop(port);
        (void)pal__d_port_close(port);
        return error;
    }
    port->is_ours = is_ours;
    *out = port;
    return 0;
}

/* After what had to be quiet. */
static void end_quiet(void)
{
    if (ports_open > 0)
        pal__d_quiet_end();
    else
        pal__d_quiet_stay();
}

int pal__d_port_open_id(const struct dpdk_settings *settings, uint32_t device, uint16_t id, struct dpdk_port **out,
                        struct base_text *words)
{
    pal__d_quiet_end();
    pal__d_eal_log_clear();
    return open_id(settings, device, id, false, out, words);
}

int pal__d_port_open(const struct dpdk_settings *settings, uint32_t device, struct dpdk_port **out,
                     struct base_text *words)
{
    bool is_ours = false;
    int id, error;

    if (!pal__d_eal_is_running())
        return pal__d_fail(words, PAL_ENODEV, "DPDK does not run");
    pal__d_quiet_end();
    pal__d_eal_log_clear();
    id = make_device(&settings->devices[device], &is_ours, words);
    if (id < 0)
        return id;
    error = open_id(settings, device, (uint16_t)id, is_ours, out, words);
    if (error != 0 && is_ours) {
        char name[DPDK_WORD_MAX];

        pal__d_device_name(&settings->devices[device], name);
        if (pal__d_quiet_begin((uint16_t)id))
            (void)rte_eal_hotplug_remove("vdev", name);
        end_quiet();
    }
    return error;
}

/* ---- its end ---- */

/* What was received and nobody has taken. */
static void drain(struct dpdk_queue *queue)
{
    struct rte_mbuf *mbufs[DPDK_BURST];
    uint16_t count;
    int bursts = 0;

    do {
        count = rte_eth_rx_burst(queue->port_id, queue->index, mbufs, DPDK_BURST);
        rte_pktmbuf_free_bulk(mbufs, count);
    } while (count > 0 && ++bursts < 4096); /* a wire that never stops must not keep us */
}

void pal__d_port_stop(struct dpdk_port *port)
{
    if (!port->is_started)
        return;
    if (port->is_promisc)
        (void)rte_eth_promiscuous_disable(port->id);
    else if (port->hears_all)
        (void)rte_eth_allmulticast_disable(port->id);
    if (port->kind == DPDK_RING) /* others free what is theirs; a ring keeps it */
        for (uint32_t i = 0; i < port->queue_count; i++)
            drain(&port->queues[i]);
    if (pal__d_quiet_begin(port->id))
        (void)rte_eth_dev_stop(port->id);
    port->is_started = false;
}

/* How many buffers have not come back. The driver of AF_XDP keeps those that it had lent to the kernel, so there the
 * count is of what was given out. */
static uint32_t missing_of(const struct dpdk_port *port, uint32_t index)
{
    const struct dpdk_queue *queue = &port->queues[index];

    if (queue->pool == NULL)
        return 0;
    return port->kind == DPDK_XDP ? queue->held : pal__d_port_used(port, index);
}

uint32_t pal__d_port_close(struct dpdk_port *port)
{
    uint32_t missing = 0;

    BASE_ASSERT(!port->is_started);
    ports_open--;
    if (pal__d_quiet_begin(port->id)) {
        (void)rte_eth_dev_close(port->id);
        if (port->is_ours)
            (void)rte_eal_hotplug_remove("vdev", port->name);
    }
    end_quiet();
    for (uint32_t i = 0; i < port->queue_count; i++) {
        uint32_t used = missing_of(port, i);

        missing += used;
        if (used == 0) {
            rte_mempool_free(port->queues[i].pool); /* NULL: was never made */
            rte_mempool_free(port->queues[i].large);
        }
    }
    pthread_mutex_destroy(&port->lock);
    free(port);
    return missing;
}

/* ---- questions ---- */

uint32_t pal__d_port_queues(const struct dpdk_port *port)
{
    return port->queue_count;
}

struct nic *pal__d_port_nic(struct dpdk_port *port, uint32_t queue)
{
    return &port->queues[queue].nic;
}

const char *pal__d_port_name(const struct dpdk_port *port)
{
    return port->name;
}

uint32_t pal__d_port_used(const struct dpdk_port *port, uint32_t queue)
{
    const struct dpdk_queue *of = &port->queues[queue];

    return rte_mempool_in_use_count(of->pool) + (of->large != NULL ? rte_mempool_in_use_count(of->large) : 0);
}

uint32_t pal__d_port_held(const struct dpdk_port *port, uint32_t queue)
{
    return port->queues[queue].held;
}

const struct dpdk_queue_counts *pal__d_port_queue_counts(const struct dpdk_port *port, uint32_t queue)
{
    return &port->queues[queue].counts;
}

void pal__d_port_counts(const struct dpdk_port *port, struct dpdk_port_counts *out)
{
    struct rte_eth_stats stats;

    memset(out, 0, sizeof(*out));
    if (rte_eth_stats_get(port->id, &stats) != 0)
        return;
    out->received = stats.ipackets;
    out->received_bytes = stats.ibytes;
    out->sent = stats.opackets;
    out->sent_bytes = stats.obytes;
    out->missed = stats.imissed;
    out->no_buffer = stats.rx_nombuf;
    out->rx_errors = stats.ierrors;
    out->tx_errors = stats.oerrors;
}

struct dpdk_link pal__d_port_link(struct dpdk_port *port)
{
    struct rte_eth_link link;
    struct dpdk_link out = {.is_up = false};

    memset(&link, 0, sizeof(link));
    if (rte_eth_link_get_nowait(port->id, &link) == 0) {
        out.is_up = link.link_status == RTE_ETH_LINK_UP;
        out.speed_mbps = link.link_speed == RTE_ETH_SPEED_NUM_UNKNOWN ? 0 : link.link_speed;
    }
    port->is_up = out.is_up;
    return out;
}

int pal__d_port_fd(struct dpdk_port *port, uint32_t queue)
{
    int fd;

    if (!port->interrupts)
        return -1;
    fd = rte_eth_dev_rx_intr_ctl_q_get_fd(port->id, (uint16_t)queue);
    if (fd < 0)
        return -1;
    (void)rte_eth_dev_rx_intr_enable(port->id, (uint16_t)queue); /* a tap's are always on, and it says ENOTSUP */
    return fd;
}

bool pal__d_port_spreads(const struct dpdk_port *port)
{
    return port->spreads;
}

static const char *cut_by(const struct dpdk_port *port)
{
    if (!port->queues[0].cuts)
        return "by the stack";
    return port->flags & NIC_TX_SEGMENTS6 ? "by the card" : "by the card over IPv4";
}

void pal__d_port_describe(const struct dpdk_port *port, struct base_text *out)
{
    const uint8_t *mac = port->mac;

    pal__d_say(out,
               "%s: driver %s, %02x:%02x:%02x:%02x:%02x:%02x, mtu %u, %u queue pair%s of %u and %u descriptors, "
               "checksums: received %s, sent %s; segments of TCP: cut %s; queues by hash: %s; link %s\n",
               port->name, port->info.driver_name, mac[0], mac[1], mac[2], mac[3], mac[4], mac[5], (unsigned)port->mtu,
               (unsigned)port->queue_count, port->queue_count == 1 ? "" : "s", port->rx_descriptors,
               port->tx_descriptors, port->flags & NIC_RX_CHECKSUM ? "by the card" : "by the stack",
               port->flags & NIC_TX_CHECKSUM ? "by the card" : "by the stack", cut_by(port),
               port->spreads ? "yes" : "no", port->is_up ? "up" : "down");
}
