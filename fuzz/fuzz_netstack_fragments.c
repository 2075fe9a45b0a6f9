/* fuzz/fuzz_netstack_fragments.c: fragments of IPv4 and IPv6 in any order, with any overlaps and gaps, under libFuzzer.
 *
 * The input: a byte (bit 0: IPv6), two bytes for the size of a UDP datagram, then fragments: two bytes of offset, two
 * of length (its top bits: more follow; how much time passes; which of two datagrams). They are cut out of the
 * datagram, or reach beyond it. What the socket is given must be the whole datagram and nothing else; what is kept is
 * bounded, and gone after its time. Corpus: fuzz/corpus/netstack_fragments/. */
#include "../backends/netstack/checksum.h"
#include "netstack_rig.h"

#include <stddef.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { DATAGRAM_MAX = 65000, PORT = 53, FRAGMENT_MAX = 1400 };

static uint8_t datagram[DATAGRAM_MAX + FRAGMENT_MAX + 8];

static void make_datagram(const struct rig *rig, bool ip6, uint32_t size)
{
    uint64_t sum = pal__n_checksum_pseudo(&rig->theirs[ip6], &rig->ours[ip6], PAL_IPPROTO_UDP, size);
    uint16_t value;

    for (uint32_t i = 0; i < sizeof(datagram); i++)
        datagram[i] = (uint8_t)(i * 7 + i / 256);
    put16(datagram + UDP_SRC, RIG_PEER_PORT);
    put16(datagram + UDP_DST, PORT);
    put16(datagram + UDP_LENGTH, size);
    put16(datagram + UDP_CHECKSUM, 0);
    value = checksum_finish(pal__n_checksum_add(sum, datagram, size));
    put16(datagram + UDP_CHECKSUM, value == 0 ? 0xffff : value);
}

static void receive(struct sock *sock, uint32_t size)
{
    static uint8_t bytes[DATAGRAM_MAX];
    int32_t got;

    while ((got = pal__n_sock_recv(sock, bytes, sizeof(bytes), 0)) >= 0) {
        check((uint32_t)got == size - UDP_SIZE);
        check(memcmp(bytes, datagram + UDP_SIZE, (uint32_t)got) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    struct netstack_usage usage;
    struct sock *sock;
    struct rig rig;
    bool ip6 = input_take(&input, 1) & 1;
    uint32_t all = UDP_SIZE + input_take(&input, 2) % (DATAGRAM_MAX - UDP_SIZE);

    rig_begin(&rig, 0);
    make_datagram(&rig, ip6, all);
    sock = rig_socket(&rig, ip6 ? PAL_AF_INET6 : PAL_AF_INET, PAL_SOCK_DGRAM, PORT);
    while (input.size > 0) {
        struct rig_fragment fragment = {.is_one = true, .offset = input_take(&input, 2) & 0xfff8};
        uint32_t head = input_take(&input, 2), length = head % FRAGMENT_MAX;

        fragment.more = head >> 15;
        fragment.id = 7 + (head >> 14 & 1);
        if (head >> 12 == 3)
            rig_advance(&rig, UINT64_C(10000000000));
        if (fragment.offset > DATAGRAM_MAX)
            fragment.offset = DATAGRAM_MAX & ~7U;
        rig_packet(&rig, ip6, PAL_IPPROTO_UDP, &fragment, datagram + fragment.offset, length);
        pal__n_stack_usage(rig.stack, &usage);
        check(usage.frag_sets <= 4 && usage.frag_frames <= 32);
        receive(sock, all);
    }
    pal__n_sock_close(sock);
    for (int i = 0; i < 13; i++)
        rig_advance(&rig, UINT64_C(5000000000));
    pal__n_stack_usage(rig.stack, &usage);
    check(usage.frag_sets == 0 && usage.frag_frames == 0 && usage.big_frames == 0);
    rig_end(&rig);
    return 0;
}
