/* world.c: a stack with its ports as a script's header asks for it, and its end, at which nothing may be left. */
#include "packets.h"

#include <stdlib.h>
#include <string.h>

const uint64_t base_ns = 1000 * (uint64_t)1000000000; /* a script's 0: for the stack as good as any other */

/* ---- memory that is counted, and can be thrown away after a failure ---- */

enum { BLOCK_ROOM = 64 }; /* in front of what is given: the block's head, and the alignment that is asked for at most */

static void *world_alloc(void *context, size_t size, size_t alignment)
{
    struct run *run = context;
    uint8_t *memory = malloc(size + 2 * BLOCK_ROOM), *at;
    struct block *block;

    if (alignment > BLOCK_ROOM)
        complain(run, "memory is asked for with an alignment of %zu", alignment);
    if (memory == NULL)
        return NULL;
    at = memory + BLOCK_ROOM;
    at += (BLOCK_ROOM - (uintptr_t)at % BLOCK_ROOM) % BLOCK_ROOM;
    block = (struct block *)(void *)(at - sizeof(struct block));
    *block = (struct block){.next = run->blocks.next, .previous = &run->blocks, .size = size, .memory = memory};
    if (block->next != NULL)
        block->next->previous = block;
    run->blocks.next = block;
    run->block_bytes += size;
    return at;
}

static void world_free(void *context, void *memory, size_t size)
{
    struct run *run = context;
    struct block *block = (struct block *)(void *)((uint8_t *)memory - sizeof(struct block));

    if (memory == NULL)
        return;
    if (block->size != size)
        complain(run, "%zu bytes were allocated, and %zu are freed", block->size, size);
    block->previous->next = block->next;
    if (block->next != NULL)
        block->next->previous = block->previous;
    run->block_bytes -= block->size;
    free(block->memory);
}

_Static_assert(sizeof(struct block) <= BLOCK_ROOM, "the head fits in front");

/* ---- the header ---- */

struct setting {
    const char *name;
    size_t offset, size;
};

#define SETTING(field, text)                                                                                           \
    {                                                                                                                  \
        text, offsetof(struct netstack_config, field), sizeof(((struct netstack_config *)0)->field)                    \
    }

static const struct setting settings[] = {
    SETTING(seed, "seed"),
    SETTING(isn, "isn"),
    SETTING(tcp_max, "tcp_max"),
    SETTING(listeners_max, "listeners_max"),
    SETTING(embryos_max, "embryos_max"),
    SETTING(timewaits_max, "timewaits_max"),
    SETTING(udp_max, "udp_max"),
    SETTING(segments_max, "segments_max"),
    SETTING(chunks_max, "chunks_max"),
    SETTING(neighbours_max, "neighbours_max"),
    SETTING(routes_max, "routes_max"),
    SETTING(paths_max, "paths_max"),
    SETTING(frag_sets_max, "frag_sets_max"),
    SETTING(frag_frames_max, "frag_frames_max"),
    SETTING(held_frames_max, "held_frames_max"),
    SETTING(big_frames_max, "big_frames_max"),
    SETTING(groups_max, "groups_max"),
    SETTING(send_buffer, "send_buffer"),
    SETTING(receive_buffer, "receive_buffer"),
    SETTING(send_buffer_max, "send_buffer_max"),
    SETTING(receive_buffer_max, "receive_buffer_max"),
    SETTING(rto_min_ns, "rto_min"),
    SETTING(rto_initial_ns, "rto_initial"),
    SETTING(rto_max_ns, "rto_max"),
    SETTING(peer_ack_delay_ns, "peer_ack_delay"),
    SETTING(ack_delay_ns, "ack_delay"),
    SETTING(msl_ns, "msl"),
    SETTING(user_timeout_ns, "user_timeout"),
    SETTING(keepalive_idle_ns, "keepalive_idle"),
    SETTING(keepalive_interval_ns, "keepalive_interval"),
    SETTING(keepalive_count, "keepalive_count"),
    SETTING(syn_retries, "syn_retries"),
    SETTING(synack_retries, "synack_retries"),
    SETTING(mtu_floor, "mtu_floor"),
    SETTING(frag_timeout_ns, "frag_timeout"),
    SETTING(path_mtu_age_ns, "path_mtu_age"),
};

static void set_flags(struct run *run, char *names)
{
    static const struct {
        const char *name;
        uint32_t flag;
    } flags[] = {{"dad", NETSTACK_DAD},
                 {"cookies-off", NETSTACK_COOKIES_OFF},
                 {"fixed-isn", NETSTACK_FIXED_ISN},
                 {"sack-off", NETSTACK_SACK_OFF},
                 {"timestamps-off", NETSTACK_TIMESTAMPS_OFF},
                 {"scale-off", NETSTACK_SCALE_OFF},
                 {"no-prediction", NETSTACK_NO_PREDICTION}};

    for (char *name = strtok(names, ","); name != NULL; name = strtok(NULL, ",")) {
        size_t i = 0;

        while (i < sizeof(flags) / sizeof(flags[0]) && strcmp(flags[i].name, name) != 0)
            i++;
        if (i == sizeof(flags) / sizeof(flags[0]))
            fail(run, "no flag of struct netstack_config is called %s", name);
        run->config.flags |= flags[i].flag;
    }
}

static void set_config(struct run *run, const char *name, const char *value)
{
    int64_t number = number_must(run, value, name);

    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
        uint8_t *at = (uint8_t *)&run->config + settings[i].offset;

        if (strcmp(settings[i].name, name) != 0)
            continue;
        if (settings[i].size == sizeof(uint64_t))
            memcpy(at, &(uint64_t){(uint64_t)number}, sizeof(uint64_t));
        else
            memcpy(at, &(uint32_t){(uint32_t)number}, sizeof(uint32_t));
        return;
    }
    fail(run, "no field of struct netstack_config is called %s", name);
}

/* NAME=VALUE of a config: line. flags takes names, with commas between them. */
static void header_config(struct run *run, struct words *words)
{
    while (!words_end(words)) {
        char text[256];
        char *equals;

        snprintf(text, sizeof(text), "%s", words_take(run, words, "a setting"));
        while (words_accept(words, ",")) { /* the words were split there */
            size_t size = strlen(text);

            snprintf(text + size, sizeof(text) - size, ",%s", words_take(run, words, "a flag"));
        }
        equals = strchr(text, '=');
        if (equals == NULL)
            fail(run, "\"%s\" should be NAME=VALUE", text);
        *equals = '\0';
        if (strcmp(text, "flags") == 0)
            set_flags(run, equals + 1);
        else
            set_config(run, text, equals + 1);
    }
}

static void header_nic(struct run *run, struct words *words)
{
    while (!words_end(words)) {
        const char *word = words_take(run, words, "a capability");
        uint64_t mac;

        if (strcmp(word, "tx-checksum") == 0)
            run->caps.flags |= NIC_TX_CHECKSUM;
        else if (strcmp(word, "rx-checksum") == 0)
            run->caps.flags |= NIC_RX_CHECKSUM;
        else if (strcmp(word, "tso") == 0)
            run->caps.flags |= NIC_TX_SEGMENTS | NIC_TX_SEGMENTS6 | NIC_TX_CHECKSUM;
        else if (strcmp(word, "pads") == 0)
            run->caps.flags |= NIC_PADS;
        else if (starts(word, "mtu="))
            run->caps.mtu = (uint32_t)number_must(run, word + 4, "mtu");
        else if (starts(word, "ring="))
            run->ring = (uint32_t)number_must(run, word + 5, "ring");
        else if (starts(word, "frames="))
            run->frames_max = (uint32_t)number_must(run, word + 7, "frames");
        else if (starts(word, "mac=") && mac_of(word + 4, &mac))
            mac_put(run->caps.mac, mac);
        else
            fail(run, "no capability of a nic is \"%s\"", word);
    }
    if (run->caps.mtu < 68 || run->caps.mtu > 65535)
        fail(run, "an MTU is 68 to 65535");
}

static void header_net(struct run *run, struct words *words)
{
    while (!words_end(words)) {
        const char *word = words_take(run, words, "a property of the net");

        if (strcmp(word, "no-neighbours") == 0)
            run->no_neighbours = true;
        else if (strcmp(word, "bare") == 0)
            run->bare = true;
        else if (strcmp(word, "second") == 0)
            run->port_count = 2;
        else if (strcmp(word, "gateway") == 0)
            run->gateway = true;
        else
            fail(run, "no property of the net is \"%s\"", word);
    }
}

static void read_header(struct run *run)
{
    static struct words words;

    for (run->statement = run->script->header; run->statement != NULL; run->statement = run->statement->next) {
        words_split(run, &words, run->statement->text);
        words.next = 1;
        if (strcmp(words.at[0], "config:") == 0)
            header_config(run, &words);
        else if (strcmp(words.at[0], "nic:") == 0)
            header_nic(run, &words);
        else if (strcmp(words.at[0], "net:") == 0)
            header_net(run, &words);
        else if (strcmp(words.at[0], "watch:") == 0 || strcmp(words.at[0], "ignore:") == 0)
            choose_classes(run, &words, words.at[0][0] == 'i');
    }
}

/* ---- making and ending it ---- */

static void must(struct run *run, int result, const char *what)
{
    if (result < 0)
        fail(run, "%s: %s", what, pal_error_name(result));
    raise_complaint(run);
}

static void add_neighbours(struct run *run, struct port *port)
{
    static const unsigned hosts[] = {2, 3, 4, 5, 6, 7, 8, 9, 254};

    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        for (int family = 4; family <= 6; family += 2) {
            struct ip ip = host_of(family, (int)port->index, hosts[i]);
            uint8_t mac[MAC_SIZE];
            bool known;

            mac_put(mac, mac_of_ip(run, (int)port->index, &ip, &known));
            if (family == 6 && run->caps.mtu < 1280)
                continue;
            must(run, pal__n_neighbour_add(run->stack, port->ifindex, &ip, mac), "a neighbour");
            if (family == 6 && hosts[i] == 2) {
                ip = address_must(run, "peer.ll");
                must(run, pal__n_neighbour_add(run->stack, port->ifindex, &ip, mac), "a neighbour");
            }
        }
    }
}

static void add_interface(struct run *run, struct port *port)
{
    struct ip ip = host_of(4, (int)port->index, 1);
    int result = pal__n_iface_add(run->stack, pcap_wrap(port, &run->allocator), port->index == 0 ? "eth0" : "eth1", 0);

    must(run, result, "pal__n_iface_add");
    port->ifindex = (uint32_t)result;
    if (run->bare)
        return;
    must(run, pal__n_addr_add(run->stack, port->ifindex, &ip, 24), "pal__n_addr_add of IPv4");
    ip = host_of(6, (int)port->index, 1);
    if (run->caps.mtu >= 1280)
        must(run, pal__n_addr_add(run->stack, port->ifindex, &ip, 64), "pal__n_addr_add of IPv6");
    if (!run->no_neighbours)
        add_neighbours(run, port);
}

static void add_gateway(struct run *run)
{
    struct ip all4 = ip_of_number(0), all6 = ip_none(), hop;

    hop = host_of(4, 0, 254);
    must(run, pal__n_route_add(run->stack, run->ports[0].ifindex, &all4, 0, &hop, 0), "a default route of IPv4");
    hop = host_of(6, 0, 254);
    if (run->caps.mtu >= 1280)
        must(run, pal__n_route_add(run->stack, run->ports[0].ifindex, &all6, 0, &hop, 0), "a default route of IPv6");
}

static void make_port(struct run *run, uint32_t index)
{
    enum { ROOM = 2048, SEGMENTS_ROOM = 9018 };
    struct port *port = &run->ports[index];
    struct nic_caps caps = run->caps;
    uint32_t least = caps.flags & NIC_TX_SEGMENTS ? SEGMENTS_ROOM : ROOM;

    caps.frame_room = caps.mtu + 18 < least ? least : caps.mtu + 18;
    caps.mac[4] = (uint8_t)(caps.mac[4] + index);
    port_create(port, run, index, &caps);
    if (run->ring != 0)
        port->ring = port->budget = run->ring;
    if (run->frames_max != 0)
        port->pool_max = run->frames_max;
}

void world_create(struct run *run)
{
    char number[16];

    run->allocator = (struct pal_allocator){.alloc = world_alloc, .free = world_free, .context = run};
    run->now_ns = base_ns;
    run->port_count = 1;
    run->ignored = CLASS_IGMP | CLASS_MLD | CLASS_ANNOUNCE | CLASS_RS;
    run->config = (struct netstack_config){.allocator = &run->allocator, .seed = 1, .now_ns = run->now_ns};
    run->caps = (struct nic_caps){.mtu = 1500, .mac = {2, 0, 0, 0, 0, 1}};
    read_header(run);
    run->statement = run->script->first;
    snprintf(number, sizeof(number), "%u", run->caps.mtu);
    set_variable(run, "mtu", number);
    snprintf(number, sizeof(number), "%u", run->caps.mtu - (run->family == 4 ? 40 : 60));
    set_variable(run, "mss", number);
    set_variable(run, "ip", run->family == 4 ? "20" : "40");
    set_variable(run, "v", run->family == 4 ? "4" : "6");
    must(run, pal__n_stack_create(&run->config, &run->stack), "pal__n_stack_create");
    listen_to_reasons(run);
    for (uint32_t i = 0; i < 2; i++)
        make_port(run, i);
    for (uint32_t i = 0; i < run->port_count; i++)
        add_interface(run, &run->ports[i]);
    if (run->gateway)
        add_gateway(run);
    turn(run);
}

/* Sockets that are still there are closed, in the order in which they came; what is sent then is of no interest. */
static void close_all(struct run *run)
{
    for (uint32_t i = 0; i < run->sock_count; i++) {
        struct named_sock *named = &run->socks[i];

        for (uint32_t k = 0; k < named->lent_count; k++)
            frame_free(named->lent[k]);
        named->lent_count = 0;
        if (named->sock != NULL)
            pal__n_sock_close(named->sock);
        named->sock = NULL;
    }
}

static void drop_sent(struct run *run)
{
    while (run->sent_first != NULL)
        sent_pop(run);
}

void world_end(struct run *run)
{
    nothing_unexpected(run);
    run->in_turn = false;
    run->statement = NULL;
    note(run, "end of the script: everything is closed");
    close_all(run);
    turn(run);
    pal__n_stack_destroy(run->stack, true);
    run->stack = NULL;
    raise_complaint(run);
    drop_sent(run);
    for (uint32_t i = 0; i < 2; i++) {
        pcap_unwrap(&run->ports[i]);
        wire_unwrap(&run->ports[i]);
        port_destroy(&run->ports[i]);
        if (run->ports[i].alive != 0)
            fail(run, "the stack is gone and has not given back %u frames of eth%u", run->ports[i].alive, i);
    }
    if (run->block_bytes != 0)
        fail(run, "the stack is gone and has not given back %zu bytes of memory", run->block_bytes);
}

/* The stack is not to be trusted any more: its memory goes, it is not called. */
void world_abandon(struct run *run)
{
    struct block *block = run->blocks.next;

    run->stack = NULL;
    drop_sent(run);
    while (block != NULL) {
        struct block *next = block->next;

        free(block->memory);
        block = next;
    }
    run->blocks.next = NULL;
    for (uint32_t i = 0; i < 2; i++)
        port_abandon(&run->ports[i]);
}
