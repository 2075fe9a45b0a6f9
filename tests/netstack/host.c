/* tests/netstack/host.c: a program with a stack of its own on a wire to the kernel, on real time: the peer of interop
 * tests.
 *
 * usage: netstack-host --tap NAME [--addr IP/BITS]... [--gateway IP]... [--sndbuf N] [--rcvbuf N] [--ack-delay-ms N]
 *                      [--keepalive S] [--pcap FILE] [--server | --connect IP PORT --send N [--echo] [--reset] [--wait]
 * |                      --group IP PORT | --push|--pull IP PORT BYTES | --stall IP PORT COUNT]
 *                      [--rto-min-us N] [--peer-ack-delay-us N]
 * (or dpdk-host --dpdk SETTINGS [--sleep yes]). Says "ready" when it can be talked to; a server runs until SIGTERM. At
 * its end it says what it has counted. */
#include "host.h"

#include "../../backends/netstack/nic_pcap.h"
#include "counting_allocator.h"
#include <arpa/inet.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { ADDRS_MAX = 4, READY_MAX = 32, LAST_WORDS_MS = 3000 };

struct command {
    const char *pcap;
    struct ip addrs[ADDRS_MAX], gateways[ADDRS_MAX];
    unsigned prefixes[ADDRS_MAX];
    int addr_count, gateway_count;
    uint32_t send_buffer, receive_buffer;
    uint64_t ack_delay_ns, rto_min_ns, peer_ack_delay_ns;
    bool is_server, is_client, to_group;
    struct client client;
    struct bench bench;
    struct host host;
};

static volatile sig_atomic_t stopped;
static struct counting memory;
static struct nic_pcap *pcap;

static void stop(int number)
{
    (void)number;
    stopped = 1;
}

uint64_t host_clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void write_capture(void *context, const void *bytes, size_t size)
{
    fwrite(bytes, 1, size, context);
}

/* ---- the command line ---- */

static bool read_ip(const char *text, struct ip *ip, struct pal_addr *addr)
{
    uint8_t bytes[16];

    memset(addr, 0, sizeof(*addr));
    if (inet_pton(AF_INET, text, bytes) == 1) {
        addr->family = PAL_AF_INET;
        addr->size = 4;
        *ip = ip_of_v4(bytes);
    } else if (inet_pton(AF_INET6, text, bytes) == 1) {
        addr->family = PAL_AF_INET6;
        addr->size = 16;
        *ip = ip_of_v6(bytes);
    } else {
        return false;
    }
    memcpy(addr->bytes, bytes, addr->size);
    return true;
}

static bool read_prefix(struct command *command, char *text)
{
    struct pal_addr addr;
    char *slash = strchr(text, '/');

    if (slash == NULL || command->addr_count == ADDRS_MAX)
        return false;
    *slash = '\0';
    command->prefixes[command->addr_count] = (unsigned)strtoul(slash + 1, NULL, 10);
    return read_ip(text, &command->addrs[command->addr_count++], &addr);
}

/* An option with one value; false: unknown or wrong. */
static bool read_value(struct command *command, const char *name, char *value)
{
    struct pal_addr addr;

    if (strcmp(name, "--pcap") == 0)
        command->pcap = value;
    else if (strcmp(name, "--addr") == 0)
        return read_prefix(command, value);
    else if (strcmp(name, "--gateway") == 0)
        return command->gateway_count < ADDRS_MAX &&
               read_ip(value, &command->gateways[command->gateway_count++], &addr);
    else if (strcmp(name, "--sndbuf") == 0)
        command->send_buffer = (uint32_t)strtoul(value, NULL, 10);
    else if (strcmp(name, "--rcvbuf") == 0)
        command->receive_buffer = (uint32_t)strtoul(value, NULL, 10);
    else if (strcmp(name, "--ack-delay-ms") == 0)
        command->ack_delay_ns = strtoull(value, NULL, 10) * 1000000;
    else if (strcmp(name, "--rto-min-us") == 0)
        command->rto_min_ns = strtoull(value, NULL, 10) * 1000;
    else if (strcmp(name, "--peer-ack-delay-us") == 0)
        command->peer_ack_delay_ns = strtoull(value, NULL, 10) * 1000;
    else if (strcmp(name, "--keepalive") == 0)
        command->host.keepalive_seconds = (int32_t)strtol(value, NULL, 10);
    else if (strcmp(name, "--send") == 0)
        command->client.send = strtoull(value, NULL, 10);
    else
        return wire_option(name, value);
    return true;
}

static bool read_flag(struct command *command, const char *name)
{
    if (strcmp(name, "--server") == 0)
        command->is_server = true;
    else if (strcmp(name, "--echo") == 0)
        command->client.echo = true;
    else if (strcmp(name, "--reset") == 0)
        command->client.reset = true;
    else if (strcmp(name, "--wait") == 0)
        command->client.wait_end = true;
    else
        return false;
    return true;
}

/* --push, --pull, --stall IP PORT COUNT: how many words that was; 0: it is none of them, -1: wrong. */
static int read_bench(struct command *command, char **words, int count)
{
    static const char *const names[] = {"", "--push", "--pull", "--stall"};
    struct bench *bench = &command->bench;
    struct ip ip;

    for (int kind = BENCH_PUSH; kind <= BENCH_STALL; kind++) {
        if (strcmp(words[0], names[kind]) != 0)
            continue;
        if (count < 4 || !read_ip(words[1], &ip, &bench->to))
            return -1;
        bench->kind = (enum bench_kind)kind;
        bench->to.port = (uint16_t)strtoul(words[2], NULL, 10);
        bench->count = strtoull(words[3], NULL, 10);
        return bench->count > 0 ? 4 : -1;
    }
    return 0;
}

static bool read_command(int count, char **arguments, struct command *command)
{
    for (int i = 1; i < count; i++) {
        int words = read_bench(command, arguments + i, count - i);
        struct ip ip;

        if (words > 0) {
            i += words - 1;
            continue;
        }
        if (read_flag(command, arguments[i]))
            continue;
        if (words < 0 || i + 1 == count)
            return false;
        if (strcmp(arguments[i], "--connect") == 0 || strcmp(arguments[i], "--group") == 0) {
            if (i + 2 >= count || !read_ip(arguments[i + 1], &ip, &command->client.to))
                return false;
            command->client.to.port = (uint16_t)strtoul(arguments[i + 2], NULL, 10);
            command->is_client = arguments[i][2] == 'c';
            command->to_group = arguments[i][2] == 'g';
            i += 2;
        } else if (read_value(command, arguments[i], arguments[i + 1])) {
            i++;
        } else {
            return false;
        }
    }
    return wire_is_known() && command->addr_count > 0;
}

/* ---- the stack ---- */

static struct nic *open_nic(const struct command *command, struct pcap_sink *sink)
{
    struct pcap_config capture = {.allocator = &memory.allocator, .sink = sink, .name = "wire"};
    struct nic *nic = wire_open(&memory.allocator);

    if (nic == NULL)
        return NULL;
    if (command->pcap == NULL)
        return nic;
    sink->write = write_capture;
    sink->context = fopen(command->pcap, "wb");
    if (sink->context == NULL || pal__n_pcap_create(&capture, nic, &pcap) != 0)
        return NULL;
    return pal__n_pcap_nic(pcap);
}

static bool open_stack(struct command *command, struct nic *nic)
{
    struct netstack_config config = {.allocator = &memory.allocator};
    struct host *host = &command->host;
    struct ip none = ip_none(), none4 = ip_of_number(0);
    int ifindex;

    config.now_ns = host_clock_ns();
    config.seed = config.now_ns * 2654435761U;
    config.send_buffer = command->send_buffer;
    config.receive_buffer = command->receive_buffer;
    config.ack_delay_ns = command->ack_delay_ns;
    config.rto_min_ns = command->rto_min_ns;
    config.peer_ack_delay_ns = command->peer_ack_delay_ns;
    if (pal__n_stack_create(&config, &host->stack) != 0)
        return false;
    ifindex = pal__n_iface_add(host->stack, nic, "wire", 0);
    if (ifindex < 0)
        return false;
    host->ifindex = (uint32_t)ifindex;
    for (int i = 0; i < command->addr_count; i++)
        if (pal__n_addr_add(host->stack, host->ifindex, &command->addrs[i], command->prefixes[i]) != 0)
            return false;
    for (int i = 0; i < command->gateway_count; i++)
        if (pal__n_route_add(host->stack, host->ifindex, ip_is_v4(&command->gateways[i]) ? &none4 : &none, 0,
                             &command->gateways[i], 0) != 0)
            return false;
    return true;
}

/* ---- the loop ---- */

static void turn(struct host *host)
{
    struct sock *ready[READY_MAX];
    bool more = true;

    while (more && !stopped) {
        uint64_t now_ns = host_clock_ns();
        int count;

        if (pcap != NULL)
            pal__n_pcap_set_time(pcap, now_ns);
        more = pal__n_stack_poll(host->stack, now_ns);
        count = pal__n_stack_ready(host->stack, ready, READY_MAX);
        for (int i = 0; i < count; i++)
            if (!bench_ready(ready[i]) && !talk_ready(host, ready[i]))
                udp_ready(host, ready[i]);
        pal__n_stack_flush(host->stack, now_ns);
        more |= count > 0;
    }
}

/* Sleeps until a frame comes or something is due. */
static void rest(struct host *host, uint64_t until_ns)
{
    uint64_t next_ns = pal__n_stack_next(host->stack), now_ns = host_clock_ns();
    uint64_t wait_ns = next_ns > now_ns ? next_ns - now_ns : 0;

    if (until_ns < now_ns)
        wait_ns = 0;
    else if (wait_ns > until_ns - now_ns)
        wait_ns = until_ns - now_ns;
    wire_rest(wait_ns);
}

static bool is_idle(const struct host *host)
{
    struct netstack_usage usage;

    pal__n_stack_usage(host->stack, &usage);
    return usage.tcp == usage.listeners;
}

/* The client's exit status; -1: it is not done, or there is none. */
static int client_status(const struct command *command)
{
    return command->bench.kind != BENCH_NONE ? bench_status() : talk_client_status();
}

/* Until it is stopped, or the client is done and what it has left to the stack. */
static int run(struct command *command)
{
    uint64_t until_ns = host_clock_ns() + UINT64_C(3600000000000);
    bool told = false;

    while (!stopped && host_clock_ns() < until_ns) {
        turn(&command->host);
        if (!command->is_server && !told && (command->to_group || client_status(command) >= 0)) {
            told = true;
            until_ns = host_clock_ns() + (uint64_t)LAST_WORDS_MS * 1000000;
        }
        if (told && is_idle(&command->host))
            break;
        rest(&command->host, until_ns);
    }
    return (command->is_client || command->bench.kind != BENCH_NONE) && client_status(command) != 0 ? 1 : 0;
}

static void print_counters(const struct host *host)
{
    const uint64_t *counters = pal__n_stack_counters(host->stack);

    printf("counters:");
    for (int i = 0; i < COUNTERS; i++)
        if (counters[i] != 0)
            printf(" %s=%" PRIu64, pal__n_counter_name(i), counters[i]);
    printf("\n");
}

static int begin(struct command *command)
{
    struct host *host = &command->host;
    int error = 0;

    if (command->is_server) {
        error = talk_listen(host);
        if (error == 0)
            error = udp_open(host);
    } else if (command->is_client) {
        error = talk_connect(host, &command->client);
    } else if (command->bench.kind != BENCH_NONE) {
        error = bench_connect(host, &command->bench);
    } else if (command->to_group) {
        error = udp_send_to(host, &command->client.to);
    }
    if (error != 0)
        fprintf(stderr, "netstack-host: %s\n", pal_error_name(error));
    return error;
}

int main(int count, char **arguments)
{
    static struct command command;
    struct pcap_sink sink = {0};
    sigset_t blocked;
    struct nic *nic;
    int status;

    if (!read_command(count, arguments, &command)) {
        fprintf(stderr,
                "usage: netstack-host --tap NAME | --dpdk SETTINGS --addr IP/BITS ... (see the head of host.c)\n");
        return 2;
    }
    counting_init(&memory);
    signal(SIGTERM, stop);
    signal(SIGINT, stop);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigaddset(&blocked, SIGINT);
    sigprocmask(SIG_BLOCK, &blocked, NULL); /* but for wire_rest, so that none is missed */
    nic = open_nic(&command, &sink);
    if (nic == NULL || !open_stack(&command, nic) || begin(&command) != 0)
        return 1;
    printf("ready %s\n", wire_name());
    fflush(stdout);
    status = run(&command);
    print_counters(&command.host);
    pal__n_stack_destroy(command.host.stack, true);
    if (pcap != NULL)
        pal__n_pcap_destroy(pcap);
    if (sink.context != NULL)
        fclose(sink.context);
    if (!wire_close())
        status = 1;
    return memory.blocks == 0 ? status : 1;
}
