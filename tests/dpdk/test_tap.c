/* test_tap.c: what a tap device of DPDK's shows of queues, checksums, segments, groups and descriptors. In a network
 * namespace of the test's own, which ends with it. The frames are the kernel's: datagrams to an address that is our
 * neighbour's. */
#include "ring_world.h"

#include "../../backends/dpdk/nic_dpdk.h"
#include "../../backends/netstack/wire.h"
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

TestSuite(dpdk_tap, .timeout = 60);

enum { PORTS = 64, WAIT_MS = 5000 };

static struct dpdk_port *port;

static void must_run(const char *command)
{
    cr_assert_eq(system(command), 0, "%s", command);
}

/* A namespace with a tap device palio0 of DPDK's in it, up, the kernel being 10.0.0.1. */
static void begin_tap(const char *extra)
{
    char text[256];
    int error;

    if (geteuid() != 0)
        test_skip("root", "a tap device of DPDK's is root's");
    if (access("/dev/net/tun", R_OK | W_OK) != 0)
        test_skip("tun", "there is no /dev/net/tun");
    if (unshare(CLONE_NEWNET) != 0)
        test_skip("namespaces", "no network namespace of our own");
    snprintf(text, sizeof(text), "device net_tap0,iface=palio0 ; mbufs 4096 ; descriptors 512 ; hugepages off ; %s",
             extra);
    begin_dpdk(text);
    error = pal__d_port_open(&settings, 0, &port, &words);
    cr_assert_eq(error, 0, "%s", words.data);
    must_run("ip addr add 10.0.0.1/24 dev palio0 && ip link set palio0 up && "
             "ip neigh replace 10.0.0.2 lladdr 02:00:00:00:00:02 dev palio0");
}

static void end_tap(void)
{
    pal__d_port_stop(port);
    cr_assert_eq(pal__d_port_close(port), 0);
    pal__d_eal_stop();
    cr_assert_eq(if_nametoindex("palio0"), 0, "the device is still there");
}

static int open_sender(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    cr_assert_geq(fd, 0);
    return fd;
}

/* A datagram of the kernel's to 10.0.0.2. */
static void send_one(int fd, uint16_t port_number)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port_number)};

    cr_assert_eq(inet_pton(AF_INET, "10.0.0.2", &to.sin_addr), 1);
    cr_assert_eq(sendto(fd, "abcdef", 6, 0, (struct sockaddr *)&to, sizeof(to)), 6);
}

static bool is_ours(const struct frame *frame)
{
    return frame->size >= ETH_SIZE + IP4_SIZE + UDP_SIZE && get16(frame->data + ETH_TYPE) == ETH_P_IP4 &&
           frame->data[ETH_SIZE + IP4_PROTOCOL] == PAL_IPPROTO_UDP && frame->data[ETH_SIZE + IP4_DST + 3] == 2;
}

/* The next of our datagrams from a queue, within so many milliseconds; NULL: none. */
static struct frame *next_of(uint32_t queue, int wait_ms)
{
    const struct timespec moment = {.tv_nsec = 1000000};
    struct nic *nic = pal__d_port_nic(port, queue);

    for (int i = 0; i <= wait_ms; i++) {
        struct frame *frame;

        while (nic->ops->rx(nic, &frame, 1) == 1) {
            if (is_ours(frame))
                return frame;
            frame_free(frame);
        }
        if (i < wait_ms)
            nanosleep(&moment, NULL);
    }
    return NULL;
}

Test(dpdk_tap, its_end_is_another_station_than_the_kernels)
{
    struct ifreq request = {.ifr_name = "palio0"};
    struct nic_caps caps;
    struct nic *nic;
    int fd;

    begin_tap("");
    fd = open_sender();
    cr_assert_eq(ioctl(fd, SIOCGIFHWADDR, &request), 0);
    nic = pal__d_port_nic(port, 0);
    nic->ops->caps(nic, &caps);
    cr_assert_arr_neq(caps.mac, request.ifr_hwaddr.sa_data, MAC_SIZE);
    cr_assert_eq(caps.mac[0] & 1, 0);
    cr_assert_eq(caps.flags & (NIC_TX_CHECKSUM | NIC_RX_CHECKSUM), NIC_TX_CHECKSUM | NIC_RX_CHECKSUM);
    close(fd);
    end_tap();
}

Test(dpdk_tap, what_it_says_of_checksums_is_passed_on)
{
    struct frame *frame;
    int fd;

    begin_tap("");
    fd = open_sender();
    send_one(fd, 1000);
    frame = next_of(0, WAIT_MS);
    cr_assert(frame != NULL);
    cr_assert_eq(frame->flags, FRAME_CSUM_GOOD);
    frame_free(frame);
    cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_NO_CHECK, &(int){1}, sizeof(int)), 0);
    send_one(fd, 1000); /* without a checksum, which is no wrong one */
    frame = next_of(0, WAIT_MS);
    cr_assert(frame != NULL);
    cr_assert_neq(frame->flags, FRAME_CSUM_BAD);
    frame_free(frame);
    close(fd);
    end_tap();
}

/* By hand, as the kernel sends none: with a wrong checksum. */
Test(dpdk_tap, a_wrong_checksum_is_told)
{
    static uint8_t bytes[60] = {0x02, 0, 0,  0, 0,    2, 0x02, 0,  0,  0,    0,    1,    8,  0, 0x45,
                                0,    0, 34, 0, 0,    0, 0,    64, 17, 0x66, 0xc9, 10,   0,  0, 1,
                                10,   0, 0,  2, 0x10, 0, 0x10, 0,  0,  14,   0x12, 0x34, 'a'};
    struct sockaddr_ll to = {.sll_family = AF_PACKET};
    struct frame *frame;
    int fd;

    begin_tap("");
    fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    cr_assert_geq(fd, 0);
    to.sll_ifindex = (int)if_nametoindex("palio0");
    for (int i = 0; i < 2; i++) { /* then the IP header's too */
        bytes[24] ^= (uint8_t)i;
        cr_assert_eq(sendto(fd, bytes, sizeof(bytes), 0, (struct sockaddr *)&to, sizeof(to)), sizeof(bytes));
        frame = next_of(0, WAIT_MS);
        cr_assert(frame != NULL);
        cr_expect_eq(frame->flags, FRAME_CSUM_BAD, "%d: %u", i, frame->flags);
        frame_free(frame);
    }
    close(fd);
    end_tap();
}

Test(dpdk_tap, queues_share_what_comes)
{
    struct frame *frame;
    int counts[2] = {0, 0}, fd;

    begin_tap("queues 2");
    cr_assert_eq(pal__d_port_queues(port), 2);
    fd = open_sender();
    for (uint16_t i = 0; i < PORTS; i++)
        send_one(fd, (uint16_t)(1000 + i));
    for (uint32_t queue = 0; queue < 2; queue++)
        while ((frame = next_of(queue, 20)) != NULL) {
            counts[queue]++;
            frame_free(frame);
        }
    cr_assert_eq(counts[0] + counts[1], PORTS);
    cr_log_info("%d and %d, by hash: %d", counts[0], counts[1], pal__d_port_spreads(port));
    cr_expect_gt(counts[0], 0);
    cr_expect_gt(counts[1], 0);
    close(fd);
    end_tap();
}

Test(dpdk_tap, a_descriptor_tells_of_frames)
{
    struct pollfd item = {.events = POLLIN};
    struct frame *frame;
    int fd;

    begin_tap("profile power");
    item.fd = pal__d_port_fd(port, 0);
    cr_assert_geq(item.fd, 0);
    fd = open_sender();
    while ((frame = next_of(0, 20)) != NULL)
        frame_free(frame);
    send_one(fd, 1000);
    cr_assert_eq(poll(&item, 1, WAIT_MS), 1);
    frame = next_of(0, 0);
    cr_assert(frame != NULL);
    frame_free(frame);
    close(fd);
    end_tap();
}

Test(dpdk_tap, groups_of_all_queues_are_heard)
{
    static const uint8_t first[1][MAC_SIZE] = {{1, 0, 0x5e, 0, 0, 1}};
    static uint8_t many[400][MAC_SIZE];
    struct nic *nics[2];

    begin_tap("queues 2");
    for (uint32_t i = 0; i < 2; i++)
        nics[i] = pal__d_port_nic(port, i);
    nics[0]->ops->filter(nics[0], first, 1);
    nics[1]->ops->filter(nics[1], first, 1);
    nics[0]->ops->filter(nics[0], NULL, 0);
    nics[1]->ops->filter(nics[1], (const uint8_t(*)[MAC_SIZE])many, 400); /* more than it can choose from */
    nics[1]->ops->filter(nics[1], NULL, 0);
    end_tap();
}

Test(dpdk_tap, the_cable_goes_and_comes)
{
    struct nic_caps caps;
    struct nic *nic;

    begin_tap("");
    nic = pal__d_port_nic(port, 0);
    cr_assert(pal__d_port_link(port).is_up);
    must_run("ip link set palio0 down");
    cr_assert_not(pal__d_port_link(port).is_up);
    nic->ops->caps(nic, &caps);
    cr_assert_eq(caps.flags & NIC_LINK_DOWN, NIC_LINK_DOWN);
    must_run("ip link set palio0 up");
    cr_assert(pal__d_port_link(port).is_up);
    end_tap();
}

Test(dpdk_tap, an_address_that_the_kernel_has_is_refused)
{
    struct dpdk_plan plan;

    begin_tap("");
    cr_assert_eq(pal__d_settings_read(&settings, "device net_tap1,iface=palio1 ; address 10.0.0.1/24", &words), 0);
    cr_assert_eq(pal__d_preflight(&settings, "", &plan, &notes, &words), PAL_EADDRINUSE);
    cr_assert(strstr(words.data, "palio0") != NULL, "%s", words.data);
    cr_assert_eq(pal__d_settings_read(&settings, "device net_af_packet0,iface=lo", &words), 0);
    cr_assert_eq(pal__d_preflight(&settings, "", &plan, &notes, &words), PAL_ENETDOWN);
    cr_assert(strstr(words.data, "ip link set lo up") != NULL, "%s", words.data);
    end_tap();
}

/* ---- segments, which its driver cuts ---- */

enum { BULK = 8 << 20, BULK_PORT = 5000, BULK_WRITE = 65536 };
enum { KERNEL_MAXSEG = 2 }; /* TCP_MAXSEG of netinet/tcp.h, which has names of the stack's */

static struct netstack *stack;

static uint8_t pattern_at(uint64_t offset)
{
    return (uint8_t)(offset * 167 + (offset >> 8));
}

static uint64_t clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Packets that the kernel has received from us. */
static uint64_t kernel_packets(void)
{
    FILE *file = fopen("/proc/self/net/dev", "r");
    unsigned long long bytes = 0, packets = 0;
    char line[512];

    cr_assert(file != NULL);
    while (fgets(line, sizeof(line), file) != NULL)
        if (sscanf(line, " palio0: %llu %llu", &bytes, &packets) == 2)
            break;
    fclose(file);
    return packets;
}

static void begin_stack(void)
{
    struct netstack_config config = {.allocator = &memory.allocator, .seed = 1};
    struct ip own = ip("10.0.0.2");

    counting_init(&memory);
    config.now_ns = clock_ns();
    cr_assert_eq(pal__n_stack_create(&config, &stack), 0);
    cr_assert_eq(pal__n_iface_add(stack, pal__d_port_nic(port, 0), "eth0", 0), IFINDEX);
    cr_assert_eq(pal__n_addr_add(stack, IFINDEX, &own, 24), 0);
    must_run("ip neigh del 10.0.0.2 dev palio0"); /* it answers for itself */
}

/* A server of the kernel's, whose SYN says this segment size. */
static int listen_in_kernel(int segment_size)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(BULK_PORT)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    cr_assert_geq(fd, 0);
    cr_assert_eq(setsockopt(fd, IPPROTO_TCP, KERNEL_MAXSEG, &segment_size, sizeof(segment_size)), 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    cr_assert_eq(listen(fd, 4), 0);
    return fd;
}

/* What there is, which must be the pattern; true: the end. */
static bool read_in_kernel(int fd, uint64_t *received)
{
    static uint8_t bytes[BULK_WRITE];
    ssize_t size;

    while ((size = read(fd, bytes, sizeof(bytes))) > 0)
        for (ssize_t i = 0; i < size; i++)
            cr_assert_eq(bytes[i], pattern_at((*received)++));
    return size == 0;
}

static void write_pattern(struct sock *sock, uint64_t *sent)
{
    static uint8_t bytes[BULK_WRITE];
    size_t size = BULK - *sent < BULK_WRITE ? (size_t)(BULK - *sent) : BULK_WRITE;
    int32_t result;

    for (size_t i = 0; i < size; i++)
        bytes[i] = pattern_at(*sent + i);
    result = size == 0 ? 0 : pal__n_sock_send(sock, bytes, size, 0);
    if (result < 0)
        cr_assert(result == PAL_EAGAIN || result == PAL_ENOTCONN, "%s", pal_error_name(result));
    else
        *sent += (uint64_t)result;
    if (*sent == BULK && size > 0)
        cr_assert_eq(pal__n_sock_shutdown(sock, PAL_SHUT_WR), 0);
}

/* BULK bytes from the stack to the kernel. */
static void send_bulk(int segment_size)
{
    struct pal_addr to = addr("10.0.0.1", BULK_PORT);
    uint64_t sent = 0, received = 0, end_ns = clock_ns() + 30 * SECOND;
    int listener = listen_in_kernel(segment_size), fd = -1;
    struct sock *sock;
    bool ended = false;

    cr_assert_eq(pal__n_sock_open(stack, to.family, PAL_SOCK_STREAM, &sock), 0);
    cr_assert_eq(pal__n_sock_connect(sock, &to), PAL_EINPROGRESS);
    while (!ended && clock_ns() < end_ns) {
        pal__n_stack_poll(stack, clock_ns());
        write_pattern(sock, &sent);
        pal__n_stack_flush(stack, clock_ns());
        if (fd < 0)
            fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        else
            ended = read_in_kernel(fd, &received);
    }
    cr_assert(ended, "%llu of %d bytes have arrived", (unsigned long long)received, BULK);
    cr_assert_eq(received, BULK);
    close(fd);
    close(listener);
    pal__n_sock_close(sock);
}

static void end_stack(void)
{
    pal__n_stack_destroy(stack, false);
    cr_assert_eq(memory.blocks, 0);
    cr_assert_eq(pal__d_port_held(port, 0), 0);
    end_tap();
}

Test(dpdk_tap, a_large_frame_is_cut_for_the_kernel)
{
    const struct dpdk_queue_counts *counts;
    uint64_t packets, segments;

    begin_tap("");
    pal__d_port_describe(port, &notes);
    cr_assert(strstr(notes.data, "segments of TCP: cut by the card over IPv4") != NULL, "%s", notes.data);
    begin_stack();
    packets = kernel_packets();
    send_bulk(1400);
    packets = kernel_packets() - packets;
    segments = pal__n_stack_counters(stack)[COUNTER_tcp_out];
    counts = pal__d_port_queue_counts(port, 0);
    cr_log_info("%llu segments, the kernel has received %llu packets; %llu frames went to the port",
                (unsigned long long)segments, (unsigned long long)packets, (unsigned long long)counts->sent);
    cr_expect_geq(packets, BULK / 1400);
    cr_expect_gt(packets, counts->sent * 3);
    cr_expect_gt(pal__n_stack_counters(stack)[COUNTER_tcp_tso], 100);
    cr_expect_eq(pal__n_stack_counters(stack)[COUNTER_tcp_retransmits], 0);
    cr_expect_eq(counts->tx_lost, 0);
    end_stack();
}

/* The driver compares a segment with its Ethernet header to the mtu, and refuses what is full: such go one by one. */
Test(dpdk_tap, segments_that_its_driver_would_refuse_go_one_by_one)
{
    const struct dpdk_queue_counts *counts;

    begin_tap("");
    begin_stack();
    send_bulk(1460);
    counts = pal__d_port_queue_counts(port, 0);
    cr_expect_geq(counts->sent, BULK / 1460);
    cr_expect_eq(pal__n_stack_counters(stack)[COUNTER_tcp_tso], 0);
    cr_expect_eq(counts->tx_lost, 0);
    end_stack();
}

/* The same without that knowledge: the first frame is given up, and the stack does without. */
Test(dpdk_tap, a_connection_outlives_a_driver_that_refuses)
{
    const struct dpdk_queue_counts *counts;

    begin_tap("");
    port->segment_max = 0;
    begin_stack();
    send_bulk(1460);
    counts = pal__d_port_queue_counts(port, 0);
    cr_expect_gt(pal__n_stack_counters(stack)[COUNTER_tcp_tso], 0);
    cr_expect_eq(counts->tx_lost, pal__n_stack_counters(stack)[COUNTER_tcp_tso]);
    cr_expect_geq(counts->sent, BULK / 1460);
    end_stack();
}

/* A frame of TCP for the driver to cut, of this segment size. */
static struct frame *segments_frame(struct nic *nic, uint16_t segment_size)
{
    enum { PAYLOAD = 6000 };
    struct nic_caps caps;
    struct frame *frame;
    uint8_t *at;

    nic->ops->caps(nic, &caps);
    cr_assert(caps.segments != NULL);
    frame = frame_alloc(caps.segments);
    cr_assert(frame != NULL);
    frame->size = ETH_SIZE + IP4_SIZE + TCP_SIZE + PAYLOAD;
    cr_assert_leq(frame->size, caps.segments_room);
    memset(frame->data, 0, frame->size);
    at = frame->data;
    put16(at + ETH_TYPE, ETH_P_IP4);
    at += ETH_SIZE;
    at[IP4_VERSION_LENGTH] = 0x45;
    put16(at + IP4_TOTAL, frame->size - ETH_SIZE);
    at[IP4_TTL] = 64;
    at[IP4_PROTOCOL] = PAL_IPPROTO_TCP;
    at[IP4_SIZE + TCP_OFFSET] = TCP_SIZE / 4 << 4;
    frame->flags = FRAME_SEGMENTS | FRAME_CSUM_NEEDED;
    frame->segment_size = segment_size;
    frame->csum_start = ETH_SIZE + IP4_SIZE;
    frame->csum_offset = TCP_CHECKSUM;
    return frame;
}

/* The stack makes none such. If a driver takes a frame never, the queue goes on without it, and without others. */
Test(dpdk_tap, a_frame_that_is_never_cut_does_not_block_the_queue)
{
    struct frame *frames[3];
    struct nic_caps caps;
    struct nic *nic;
    uint64_t begin_ns;
    int taken = 0;

    begin_tap("");
    nic = pal__d_port_nic(port, 0);
    frames[0] = segments_frame(nic, 1460);
    frames[1] = segments_frame(nic, 1000);
    frames[2] = frame_alloc(nic);
    memset(frames[2]->data, 0, 60);
    frames[2]->size = 60;
    begin_ns = clock_ns();
    while (taken < 3 && clock_ns() - begin_ns < 10 * SECOND)
        taken += nic->ops->tx(nic, frames + taken, 3 - taken);
    cr_assert_eq(taken, 3);
    cr_expect_gt(clock_ns() - begin_ns, SECOND / 2, "the driver has taken it, or it was given up at once");
    cr_expect_eq(pal__d_port_queue_counts(port, 0)->tx_lost, 2);
    cr_expect_eq(pal__d_port_queue_counts(port, 0)->sent, 1);
    nic->ops->caps(nic, &caps);
    cr_expect_eq(caps.flags & (NIC_TX_SEGMENTS | NIC_TX_SEGMENTS6), 0);
    base_text_clear(&notes);
    pal__d_port_describe(port, &notes);
    cr_expect(strstr(notes.data, "segments of TCP: cut by the stack") != NULL, "%s", notes.data);
    end_tap();
}
