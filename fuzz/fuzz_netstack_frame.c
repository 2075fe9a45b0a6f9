/* fuzz/fuzz_netstack_frame.c: any frames into a stack with listeners, UDP sockets, a group and connections of both
 * families, under libFuzzer.
 *
 * The input: a byte (1: the nic says that checksums are good), then frames: two bytes, of which the first four bits say
 * how much time passes before (powers of four microseconds) and the rest is the length, then the frame. Whatever comes,
 * the stack's invariants hold, no frame is lost, and the sockets can be read. Corpus: fuzz/corpus/netstack_frame/. */
#include "netstack_rig.h"

#include <stddef.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SOCKS = 7, READS_MAX = 64 };

static void join(struct sock *sock)
{
    static const uint8_t group[4] = {239, 1, 1, 1};
    struct pal_mcast mcast;

    memset(&mcast, 0, sizeof(mcast));
    mcast.group.family = PAL_AF_INET;
    mcast.group.size = 4;
    memcpy(mcast.group.bytes, group, 4);
    mcast.ifindex = 2;
    check(pal__n_sock_set(sock, PAL_SO_MCAST_JOIN, &mcast, sizeof(mcast)) == 0);
}

/* Takes all that a socket has; closes what a listener has accepted. */
static void drain(struct sock *sock, bool listens)
{
    uint8_t bytes[2048];

    for (int i = 0; i < READS_MAX; i++) {
        struct sock *accepted;

        if (listens) {
            if (pal__n_sock_accept(sock, &accepted, NULL) != 0)
                return;
            pal__n_sock_close(accepted);
        } else if (pal__n_sock_recv(sock, bytes, sizeof(bytes), 0) <= 0) {
            return;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    struct sock *socks[SOCKS];
    struct rig rig;

    rig_begin(&rig, input_take(&input, 1) & 1 ? NIC_RX_CHECKSUM : 0);
    socks[0] = rig_socket(&rig, PAL_AF_INET, PAL_SOCK_STREAM, RIG_PORT);
    socks[1] = rig_accept(&rig, socks[0], false);
    socks[2] = rig_socket(&rig, PAL_AF_INET6, PAL_SOCK_STREAM, RIG_PORT + 1);
    socks[3] = rig_socket(&rig, PAL_AF_INET, PAL_SOCK_DGRAM, 53);
    socks[4] = rig_socket(&rig, PAL_AF_INET6, PAL_SOCK_DGRAM, 54);
    socks[5] = rig_socket(&rig, PAL_AF_INET, PAL_SOCK_DGRAM, 55);
    socks[6] = NULL;
    join(socks[5]);
    check(pal__n_sock_send(socks[1], "something that is not acknowledged", 34, 0) == 34);
    while (input.size > 2) {
        uint32_t head = input_take(&input, 2), length = head & 0xfff;

        rig_advance(&rig, head >> 12 == 0 ? 0 : (uint64_t)1000 << (head >> 12) * 2);
        if (length > input.size)
            length = (uint32_t)input.size;
        rig_frame(&rig, input.bytes, length);
        input.bytes += length;
        input.size -= length;
        for (int i = 0; i < SOCKS; i++)
            if (socks[i] != NULL)
                drain(socks[i], i == 0 || i == 2);
        rig_poll(&rig);
    }
    for (int i = 0; i < SOCKS; i++)
        if (socks[i] != NULL)
            pal__n_sock_close(socks[i]);
    rig_advance(&rig, 1000000000);
    rig_end(&rig);
    return 0;
}
