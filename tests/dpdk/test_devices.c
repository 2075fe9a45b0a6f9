/* test_devices.c: two stacks over virtual devices that have memory of their own between them: memif, both ends in one
 * process. Between two processes, and vhost with virtio_user: test_two_hosts.py. */
#include "ring_talk.h"

#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

TestSuite(dpdk_devices, .timeout = 120);

/* Time that is the world's: what is between the devices is done by threads of DPDK's and the kernel's. */
static void exchange_over(const char *devices, uint64_t size)
{
    begin_dpdk(devices);
    begin_devices();
    begin_stacks(&plain);
    for (int i = 0; i < 2; i++) {
        struct sock *client, *server;

        establish(hosts[i], &client, &server);
        exchange(client, server, size);
    }
    for (int side = 0; side < SIDES; side++) {
        const struct dpdk_queue_counts *counts = pal__d_port_queue_counts(ports[side], 0);
        const uint64_t *stack = pal__n_stack_counters(stacks[side]);

        cr_expect_gt(counts->received, 100);
        cr_expect_eq(counts->tx_lost, 0);
        cr_expect_eq(counts->rx_lost, 0);
        cr_expect_eq(stack[COUNTER_ip4_drop_checksum], 0);
        cr_expect_eq(stack[COUNTER_tcp_drop_checksum], 0);
    }
}

static char folder[] = "/tmp/palio-devices-XXXXXX";

static void with_folder(void)
{
    cr_assert(mkdtemp(folder) != NULL);
}

static void without_folder(void)
{
    char path[64];

    snprintf(path, sizeof(path), "%s/socket", folder);
    (void)unlink(path);
    (void)rmdir(folder);
}

Test(dpdk_devices, memif, .init = with_folder, .fini = without_folder)
{
    char text[512];

    snprintf(text, sizeof(text),
             "device net_memif0,role=server,socket=%s/socket,socket-abstract=no ; device "
             "net_memif1,role=client,socket=%s/socket,socket-abstract=no ; mbufs 4096 ; descriptors 512",
             folder, folder);
    exchange_over(text, 2 << 20);
    end();
}
