/* loopback.c: the interface of 127/8 and ::1: a nic whose frames come back to the stack that sent them.
 *
 * Its frames are large enough for any IP packet, and are what others take when theirs are too small. Their memory is
 * touched when first used, the one given back last goes out next: who needs few pays for few. It also carries packets
 * that are to be received as if another interface's link had brought them (pal__n_ip_loop): a frame on the way says in
 * `seq` whose it is. Here, too, lies the memory of all interfaces.
 *
 * With a carrier (netstack_config) frames go through another nic and come back by it: what that nic does to a frame is
 * done to every packet to ourselves. What it does not take waits in memory, and so does all that comes after it. */
#include "stack.h"
#include "wire.h"

enum {
    LOOPBACK_MTU = 65536,
    BIG_ROOM = 65600,    /* an IPv6 header and the largest payload, with an Ethernet header in the headroom */
    BIG_HEAD_SIZE = 128, /* struct frame, so that the bytes behind it are aligned */
    BIG_MEMORY_SIZE = FRAME_HEADROOM + BIG_ROOM,
    BIG_SIZE = BIG_HEAD_SIZE + BIG_MEMORY_SIZE
};

struct loopback {
    struct nic nic;
    struct netstack *stack;
    struct pool frames;
    struct frame *first, *last; /* on their way: sent, not yet received */
    uint32_t carried;           /* on their way by the carrier, which has them all before those in memory */
    struct iface ifaces[IFACES_MAX];
};

_Static_assert(sizeof(struct frame) <= BIG_HEAD_SIZE, "a frame's head");
_Static_assert(BIG_SIZE % 64 == 0, "aligned in the pool");
_Static_assert(BIG_ROOM >= LOOPBACK_MTU + ETH_SIZE + ETH_VLAN_SIZE, "what nic.h promises");

static struct loopback *loopback_of(const struct nic *nic)
{
    return BASE_CONTAINER_OF((struct nic *)(uintptr_t)nic, struct loopback, nic);
}

static void push(struct loopback *loopback, struct frame *frame, uint32_t ifindex)
{
    frame->seq = ifindex;
    frame->flags = FRAME_CSUM_GOOD; /* it never leaves memory */
    frame->time_ns = loopback->stack->now_ns;
    frame->next = NULL;
    if (loopback->last == NULL)
        loopback->first = frame;
    else
        loopback->last->next = frame;
    loopback->last = frame;
}

static struct frame *pop(struct loopback *loopback)
{
    struct frame *frame = loopback->first;

    if (frame == NULL)
        return NULL;
    loopback->first = frame->next;
    if (loopback->first == NULL)
        loopback->last = NULL;
    frame->next = NULL;
    return frame;
}

/* What comes back by the carrier. */
static int receive_carried(struct loopback *loopback, struct frame **frames, int max)
{
    struct nic *carrier = loopback->stack->config.carrier;
    int received = carrier->ops->rx(carrier, frames, max);

    for (int i = 0; i < received; i++) {
        frames[i]->seq = IFINDEX_LOOPBACK;
        frames[i]->flags = FRAME_CSUM_GOOD;
        frames[i]->time_ns = loopback->stack->now_ns;
    }
    loopback->carried = received > 0 ? loopback->carried - (uint32_t)received : 0;
    return received;
}

static int loopback_rx(struct nic *nic, struct frame **frames, int max)
{
    struct loopback *loopback = loopback_of(nic);
    int received = loopback->carried > 0 ? receive_carried(loopback, frames, max) : 0;

    while (received < max && loopback->first != NULL)
        frames[received++] = pop(loopback);
    return received;
}

static int send_carried(struct loopback *loopback, struct frame **frames, int given)
{
    struct nic *carrier = loopback->stack->config.carrier;
    int taken;

    for (int i = 0; i < given; i++)
        frames[i]->flags = 0; /* nobody computes a checksum of what never leaves the machine */
    taken = carrier->ops->tx(carrier, frames, given);
    loopback->carried += (uint32_t)taken;
    return taken;
}

/* All of them always: there are no more than there is memory for. */
static int loopback_tx(struct nic *nic, struct frame **frames, int given)
{
    struct loopback *loopback = loopback_of(nic);
    int carried = 0;

    if (loopback->stack->config.carrier != NULL && loopback->first == NULL)
        carried = send_carried(loopback, frames, given);
    for (int i = carried; i < given; i++)
        push(loopback, frames[i], IFINDEX_LOOPBACK);
    return given;
}

static struct frame *loopback_alloc(struct nic *nic)
{
    struct frame *frame = pool_take(&loopback_of(nic)->frames);

    if (frame == NULL)
        return NULL;
    memset(frame, 0, sizeof(*frame));
    frame->memory = (uint8_t *)frame + BIG_HEAD_SIZE;
    frame->memory_size = BIG_MEMORY_SIZE;
    frame->data = frame->memory + FRAME_HEADROOM;
    frame->home = nic;
    return frame;
}

static void loopback_free(struct nic *nic, struct frame *frame)
{
    pool_give(&loopback_of(nic)->frames, frame);
}

static void loopback_caps(const struct nic *nic, struct nic_caps *out)
{
    struct nic *carrier = loopback_of(nic)->stack->config.carrier;

    memset(out, 0, sizeof(*out));
    if (carrier != NULL)
        carrier->ops->caps(carrier, out);
    out->flags = NIC_TX_CHECKSUM | NIC_RX_CHECKSUM | NIC_PADS | NIC_LOOPBACK;
    out->mtu = carrier != NULL ? out->mtu : (uint32_t)LOOPBACK_MTU;
    out->frame_room = BIG_ROOM;
    memset(out->mac, 0, MAC_SIZE);
}

static void loopback_filter(struct nic *nic, const uint8_t (*macs)[MAC_SIZE], int macs_count)
{
    (void)nic;
    (void)macs;
    (void)macs_count;
}

static const struct nic_ops loopback_ops = {
    .rx = loopback_rx,
    .tx = loopback_tx,
    .alloc = loopback_alloc,
    .free = loopback_free,
    .caps = loopback_caps,
    .filter = loopback_filter,
};

int pal__n_loopback_create(struct netstack *stack)
{
    const struct pal_allocator *allocator = stack->config.allocator;
    struct loopback *loopback = allocator->alloc(allocator->context, sizeof(*loopback), 64);
    int error = 0;

    if (loopback == NULL)
        return PAL_ENOMEM;
    memset(loopback, 0, sizeof(*loopback));
    loopback->nic.ops = &loopback_ops;
    loopback->stack = stack;
    if (!pal__n_pool_create(&loopback->frames, allocator, stack->config.big_frames_max, BIG_SIZE)) {
        allocator->free(allocator->context, loopback, sizeof(*loopback));
        return PAL_ENOMEM;
    }
    stack->loopback = loopback;
    if (pal__n_iface_create(stack, &loopback->nic, "lo", 0, &error) == NULL) {
        pal__n_loopback_destroy(stack);
        return error;
    }
    return 0;
}

void pal__n_loopback_destroy(struct netstack *stack)
{
    const struct pal_allocator *allocator = stack->config.allocator;
    struct loopback *loopback = stack->loopback;
    struct frame *frame;

    if (loopback == NULL)
        return;
    for (uint32_t i = 0; i < stack->iface_count; i++)
        pal__n_iface_destroy(stack->ifaces[i]);
    stack->iface_count = 0;
    while ((frame = pop(loopback)) != NULL)
        frame_free(frame);
    pal__n_pool_destroy(&loopback->frames, allocator);
    allocator->free(allocator->context, loopback, sizeof(*loopback));
    stack->loopback = NULL;
}

struct nic *pal__n_loopback_nic(struct netstack *stack)
{
    return &stack->loopback->nic;
}

bool pal__n_loopback_has_frames(const struct netstack *stack)
{
    return stack->loopback->first != NULL || stack->loopback->carried > 0;
}

uint32_t pal__n_loopback_used(const struct netstack *stack)
{
    return stack->loopback->frames.used;
}

struct iface *pal__n_loopback_memory(struct netstack *stack, uint32_t index)
{
    return &stack->loopback->ifaces[index];
}

struct iface *pal__n_loopback_target(struct netstack *stack, struct frame *frame)
{
    struct iface *iface = pal__n_iface_at(stack, frame->seq);

    frame->seq = 0;
    return iface != NULL ? iface : stack->ifaces[0];
}

void pal__n_ip_loop(struct iface *iface, const struct frame *frame, uint16_t type)
{
    struct netstack *stack = iface->stack;
    struct frame *copy = pal__n_big_frame(stack);
    uint8_t *header;

    if (copy == NULL) /* counted */
        return;
    if (frame->size > BIG_ROOM) {
        drop(stack, copy, COUNTER_eth_drop_size);
        return;
    }
    memcpy(copy->data, frame->data, frame->size);
    copy->size = frame->size;
    header = frame_push(copy, ETH_SIZE);
    memset(header + ETH_DST, 0xff, MAC_SIZE); /* to a group of the link, whichever it was */
    memcpy(header + ETH_SRC, iface->mac, MAC_SIZE);
    put16(header + ETH_TYPE, type);
    push(stack->loopback, copy, iface->index);
}
