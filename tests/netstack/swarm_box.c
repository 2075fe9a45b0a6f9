/* tests/netstack/swarm_box.c: a box on the way to a stack. It works on what comes up from the nic below. */
#include "swarm_box.h"

#include "../../backends/netstack/checksum.h"
#include "../../backends/netstack/wire.h"
#include <pal/types.h>
#include <string.h>

enum { BURST = 16, QUOTE_MAX = 520, ROUTER = 0x0a0000fe };

/* Where TCP lies in a frame. */
struct found {
    uint8_t *ip, *tcp;
    uint32_t size; /* of TCP, header and payload */
    bool ip6;
};

static struct box *box_of(struct nic *nic)
{
    return (struct box *)(void *)nic;
}

static uint64_t random_of(struct box *box)
{
    box->state = box->state * UINT64_C(6364136223846793005) + 1442695040888963407U;
    return box->state >> 33;
}

static bool find_tcp(struct frame *frame, struct found *found)
{
    uint8_t *ip = frame->data + ETH_SIZE;

    if (frame->size < ETH_SIZE + IP6_SIZE + TCP_SIZE - 20)
        return false;
    found->ip = ip;
    found->ip6 = get16(frame->data + ETH_TYPE) == ETH_P_IP6;
    if (found->ip6 && frame->size >= ETH_SIZE + IP6_SIZE + TCP_SIZE && ip[IP6_NEXT] == PAL_IPPROTO_TCP) {
        found->tcp = ip + IP6_SIZE;
        found->size = get16(ip + IP6_PAYLOAD);
        return true;
    }
    found->tcp = ip + IP4_SIZE;
    found->size = (uint32_t)get16(ip + IP4_TOTAL) - IP4_SIZE;
    return get16(frame->data + ETH_TYPE) == ETH_P_IP4 && ip[IP4_PROTOCOL] == PAL_IPPROTO_TCP &&
           ip[IP4_VERSION_LENGTH] == 0x45;
}

static void set_checksums(const struct found *found)
{
    struct ip src = found->ip6 ? ip_of_v6(found->ip + IP6_SRC) : ip_of_v4(found->ip + IP4_SRC);
    struct ip dst = found->ip6 ? ip_of_v6(found->ip + IP6_DST) : ip_of_v4(found->ip + IP4_DST);
    uint64_t sum = pal__n_checksum_pseudo(&src, &dst, PAL_IPPROTO_TCP, found->size);

    put16(found->tcp + TCP_CHECKSUM, 0);
    put16(found->tcp + TCP_CHECKSUM, checksum_finish(pal__n_checksum_add(sum, found->tcp, found->size)));
    if (found->ip6)
        return;
    put16(found->ip + IP4_CHECKSUM, 0);
    put16(found->ip + IP4_CHECKSUM, checksum_finish(pal__n_checksum_add(0, found->ip, IP4_SIZE)));
}

/* ---- options ---- */

static bool is_unwanted(const struct box *box, uint8_t kind)
{
    return (kind == 4 && (box->strips & BOX_STRIPS_SACK) != 0) ||
           (kind == 8 && (box->strips & BOX_STRIPS_TIMESTAMPS) != 0) ||
           (kind == 3 && (box->strips & BOX_STRIPS_SCALE) != 0) || (kind == 2 && (box->strips & BOX_STRIPS_MSS) != 0);
}

/* Puts padding where an unwanted option of a SYN was. */
static void strip(struct box *box, const struct found *found)
{
    uint8_t *at = found->tcp + TCP_SIZE, *end = found->tcp + (found->tcp[TCP_OFFSET] >> 4) * 4U;

    if ((found->tcp[TCP_FLAGS] & TCP_SYN) == 0 || box->strips == 0)
        return;
    while (at < end && *at != 0) {
        uint32_t size = *at == 1 ? 1 : at[1];

        if (size == 0 || size > (uint32_t)(end - at))
            break;
        if (is_unwanted(box, *at)) {
            memset(at, 1, size);
            box->stripped++;
        }
        at += size;
    }
    set_checksums(found);
}

/* ---- cutting ---- */

static void set_size(struct frame *frame, const struct found *found, uint32_t header, uint32_t payload)
{
    uint32_t size = header + payload;

    put16(found->ip6 ? found->ip + IP6_PAYLOAD : found->ip + IP4_TOTAL, found->ip6 ? size : size + IP4_SIZE);
    frame->size = (uint32_t)(found->tcp - frame->data) + size;
}

/* The second half of a segment in a frame of its own, the first one cut; NULL: as it was. */
static struct frame *split(struct box *box, struct frame *frame, struct found *found)
{
    uint32_t header = (found->tcp[TCP_OFFSET] >> 4) * 4U, payload = found->size - header, front;
    uint32_t before = (uint32_t)(found->tcp - frame->data) + header;
    struct frame *half;
    struct found second = *found;

    if (payload < 2 || (found->tcp[TCP_FLAGS] & (TCP_SYN | TCP_RST | TCP_URG)) != 0 ||
        random_of(box) % 1000000 >= box->split_ppm || (half = frame_alloc(box->below)) == NULL)
        return NULL;
    front = 1 + (uint32_t)(random_of(box) % (payload - 1));
    memcpy(half->data, frame->data, before);
    memcpy(half->data + before, frame->data + before + front, payload - front);
    half->time_ns = frame->time_ns;
    half->flags = frame->flags;
    second.ip = half->data + ETH_SIZE;
    second.tcp = half->data + (found->tcp - frame->data);
    put32(second.tcp + TCP_SEQ, get32(found->tcp + TCP_SEQ) + front);
    set_size(half, &second, header, payload - front);
    second.size = header + payload - front;
    set_checksums(&second);
    found->tcp[TCP_FLAGS] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
    set_size(frame, found, header, front);
    found->size = header + front;
    set_checksums(found);
    box->split++;
    return half;
}

/* ---- the same bytes with other borders ---- */

static void remember(struct box *box, const struct found *found, uint32_t header, uint32_t ports)
{
    box->last_size = found->size - header < BOX_LAST_MAX ? found->size - header : BOX_LAST_MAX;
    box->last_seq = get32(found->tcp + TCP_SEQ);
    box->last_ports = ports;
    memcpy(box->last, found->tcp + header, box->last_size);
}

/* A frame with the end of the segment before and the beginning of this one; NULL: not this time. */
static struct frame *overlap(struct box *box, const struct frame *frame, const struct found *found)
{
    uint32_t header = (found->tcp[TCP_OFFSET] >> 4) * 4U, payload = found->size - header;
    uint32_t before = (uint32_t)(found->tcp - frame->data) + header, seq = get32(found->tcp + TCP_SEQ), from, to;
    uint32_t ports = get32(found->tcp);
    struct frame *out = NULL;

    if (box->overlap_ppm == 0 || payload < 1 || (found->tcp[TCP_FLAGS] & (TCP_SYN | TCP_RST | TCP_URG)) != 0)
        return NULL;
    if (box->last_ports == ports && box->last_seq + box->last_size == seq && box->last_size > 0 &&
        random_of(box) % 1000000 < box->overlap_ppm)
        out = frame_alloc(box->below);
    if (out != NULL) {
        struct found made = {out->data + ETH_SIZE, out->data + (found->tcp - frame->data), 0, found->ip6};

        from = (uint32_t)(random_of(box) % box->last_size);
        to = 1 + (uint32_t)(random_of(box) % payload);
        if (box->last_size - from + to > payload) /* no larger than this one, so it fits wherever that fits */
            from = box->last_size - (payload - to);
        memcpy(out->data, frame->data, before);
        memcpy(out->data + before, box->last + from, box->last_size - from);
        memcpy(out->data + before + box->last_size - from, found->tcp + header, to);
        out->time_ns = frame->time_ns;
        out->flags = frame->flags;
        put32(made.tcp + TCP_SEQ, box->last_seq + from);
        made.tcp[TCP_FLAGS] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
        set_size(out, &made, header, box->last_size - from + to);
        made.size = header + box->last_size - from + to;
        set_checksums(&made);
        box->overlapped++;
    }
    remember(box, found, header, ports);
    return out;
}

static void narrow(struct box *box, const struct found *found)
{
    if ((found->tcp[TCP_FLAGS] & (TCP_SYN | TCP_RST)) != 0 || box->window_ppm == 0 ||
        random_of(box) % 1000000 >= box->window_ppm)
        return;
    put16(found->tcp + TCP_WINDOW, (uint32_t)(random_of(box) % (get16(found->tcp + TCP_WINDOW) + 1U)));
    set_checksums(found);
    box->narrowed++;
}

/* ---- the narrow link ---- */

static void tell4(const struct box *box, struct frame *out, const struct found *found, uint32_t quote)
{
    uint8_t *ip = out->data + ETH_SIZE, *icmp = ip + IP4_SIZE;

    memset(ip, 0, IP4_SIZE + 8);
    ip[IP4_VERSION_LENGTH] = 0x45;
    put16(ip + IP4_TOTAL, IP4_SIZE + 8 + quote);
    ip[IP4_TTL] = 64;
    ip[IP4_PROTOCOL] = PAL_IPPROTO_ICMP;
    put32(ip + IP4_SRC, ROUTER);
    memcpy(ip + IP4_DST, found->ip + IP4_SRC, 4);
    put16(ip + IP4_CHECKSUM, checksum_finish(pal__n_checksum_add(0, ip, IP4_SIZE)));
    icmp[0] = 3; /* destination unreachable: fragmentation needed (RFC 1191) */
    icmp[1] = 4;
    put16(icmp + 6, box->mtu);
    memcpy(icmp + 8, found->ip, quote);
    put16(icmp + 2, checksum_finish(pal__n_checksum_add(0, icmp, 8 + (size_t)quote)));
    out->size = ETH_SIZE + IP4_SIZE + 8 + quote;
}

static void tell6(const struct box *box, struct frame *out, const struct found *found, uint32_t quote)
{
    uint8_t *ip = out->data + ETH_SIZE, *icmp = ip + IP6_SIZE;
    struct ip src, dst;
    uint64_t sum;

    memset(ip, 0, IP6_SIZE + 8);
    ip[IP6_VERSION] = 0x60;
    put16(ip + IP6_PAYLOAD, 8 + quote);
    ip[IP6_NEXT] = PAL_IPPROTO_ICMPV6;
    ip[IP6_HOPS] = 64;
    memcpy(ip + IP6_SRC, found->ip + IP6_SRC, 16);
    ip[IP6_SRC + 15] = 0xfe; /* the router: same network, another host */
    memcpy(ip + IP6_DST, found->ip + IP6_SRC, 16);
    icmp[0] = 2; /* packet too big (RFC 8201) */
    put32(icmp + 4, box->mtu);
    memcpy(icmp + 8, found->ip, quote);
    src = ip_of_v6(ip + IP6_SRC);
    dst = ip_of_v6(ip + IP6_DST);
    sum = pal__n_checksum_pseudo(&src, &dst, PAL_IPPROTO_ICMPV6, 8 + quote);
    put16(icmp + 2, checksum_finish(pal__n_checksum_add(sum, icmp, 8 + (size_t)quote)));
    out->size = ETH_SIZE + IP6_SIZE + 8 + quote;
}

/* True: too large for the link behind, and told to its sender. */
static bool refuse(struct box *box, const struct frame *frame, const struct found *found)
{
    uint32_t size = frame->size - ETH_SIZE, quote = size < QUOTE_MAX ? size : QUOTE_MAX;
    struct box *other = box->other;
    struct frame *out;

    if (box->mtu == 0 || size <= box->mtu)
        return false;
    box->too_big++;
    if (other->told_count == BOX_TOLD_MAX || (out = frame_alloc(other->below)) == NULL)
        return true;
    memcpy(out->data + ETH_DST, frame->data + ETH_SRC, MAC_SIZE);
    memcpy(out->data + ETH_SRC, frame->data + ETH_DST, MAC_SIZE);
    out->data[ETH_SRC + 5] = 0xfe;
    put16(out->data + ETH_TYPE, found->ip6 ? ETH_P_IP6 : ETH_P_IP4);
    (found->ip6 ? tell6 : tell4)(box, out, found, quote);
    other->told[other->told_count++] = out;
    return true;
}

/* ---- a nic ---- */

static int box_rx(struct nic *nic, struct frame **frames, int max)
{
    struct box *box = box_of(nic);
    struct frame *burst[BURST];
    int count = 0, taken, room;

    while (count < max && box->told_count > 0)
        frames[count++] = box->told[--box->told_count];
    room = (max - count) / 3 < BURST ? (max - count) / 3 : BURST;
    taken = room > 0 ? box->below->ops->rx(box->below, burst, room) : 0;
    for (int i = 0; i < taken; i++) {
        struct frame *half = NULL, *other = NULL;
        struct found found;

        if (find_tcp(burst[i], &found)) {
            if (refuse(box, burst[i], &found)) {
                frame_free(burst[i]);
                continue;
            }
            strip(box, &found);
            narrow(box, &found);
            other = overlap(box, burst[i], &found);
            half = split(box, burst[i], &found);
        }
        if (other != NULL && (box->state >> 40 & 1) != 0) { /* before it, or behind it */
            frames[count++] = other;
            other = NULL;
        }
        frames[count++] = burst[i];
        if (half != NULL)
            frames[count++] = half;
        if (other != NULL)
            frames[count++] = other;
    }
    return count;
}

static int box_tx(struct nic *nic, struct frame **frames, int count)
{
    struct nic *below = box_of(nic)->below;

    return below->ops->tx(below, frames, count);
}

static struct frame *box_alloc(struct nic *nic)
{
    return frame_alloc(box_of(nic)->below);
}

static void box_free(struct nic *nic, struct frame *frame)
{
    (void)nic;
    frame_free(frame);
}

static void box_caps(const struct nic *nic, struct nic_caps *out)
{
    const struct box *box = (const struct box *)(const void *)nic;

    box->below->ops->caps(box->below, out);
}

static void box_filter(struct nic *nic, const uint8_t (*macs)[MAC_SIZE], int count)
{
    struct nic *below = box_of(nic)->below;

    below->ops->filter(below, macs, count);
}

static const struct nic_ops box_ops = {box_rx, box_tx, box_alloc, box_free, box_caps, box_filter};

void box_begin(struct box *box, struct nic *below, uint64_t seed)
{
    memset(box, 0, sizeof(*box));
    box->nic.ops = &box_ops;
    box->below = below;
    box->state = seed;
}

void box_end(struct box *box)
{
    while (box->told_count > 0)
        frame_free(box->told[--box->told_count]);
}
