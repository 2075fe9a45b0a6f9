/* call_option.c: socket options by name, names of both ends, readiness; and the interfaces' addresses and routes. */
#include "packets.h"

#include <pal/socket.h>
#include <stdlib.h>
#include <string.h>

#define OPTION(upper, lower)                                                                                           \
    {                                                                                                                  \
        lower, PAL_SO_##upper                                                                                          \
    }

static const struct {
    const char *name;
    uint32_t option;
} options[] = {
    OPTION(ERROR, "error"),
    OPTION(NREAD, "nread"),
    OPTION(PATH, "path"),
    OPTION(TYPE, "type"),
    OPTION(FAMILY, "family"),
    OPTION(PROTOCOL, "protocol"),
    OPTION(LISTENING, "listening"),
    OPTION(REUSEADDR, "reuseaddr"),
    OPTION(REUSEPORT, "reuseport"),
    OPTION(BROADCAST, "broadcast"),
    OPTION(KEEPALIVE, "keepalive"),
    OPTION(LINGER, "linger"),
    OPTION(RCVBUF, "rcvbuf"),
    OPTION(SNDBUF, "sndbuf"),
    OPTION(RCVLOWAT, "rcvlowat"),
    OPTION(OOBINLINE, "oobinline"),
    OPTION(DEVICE, "device"),
    OPTION(NODELAY, "nodelay"),
    OPTION(CORK, "cork"),
    OPTION(QUICKACK, "quickack"),
    OPTION(QUICKACK_ALWAYS, "quickack_always"),
    OPTION(MAXSEG, "maxseg"),
    OPTION(KEEPIDLE, "keepidle"),
    OPTION(KEEPINTVL, "keepintvl"),
    OPTION(KEEPCNT, "keepcnt"),
    OPTION(USER_TIMEOUT, "user_timeout"),
    OPTION(DEFER_ACCEPT, "defer_accept"),
    OPTION(FASTOPEN, "fastopen"),
    OPTION(CONGESTION, "congestion"),
    OPTION(V6ONLY, "v6only"),
    OPTION(TTL, "ttl"),
    OPTION(TOS, "tos"),
    OPTION(MTU_DISCOVER, "mtu_discover"),
    OPTION(MTU, "mtu"),
    OPTION(FREEBIND, "freebind"),
    OPTION(TRANSPARENT, "transparent"),
    OPTION(MCAST_IF, "mcast_if"),
    OPTION(MCAST_TTL, "mcast_ttl"),
    OPTION(MCAST_LOOP, "mcast_loop"),
    OPTION(PKTINFO, "pktinfo"),
    OPTION(RECV_TTL, "recv_ttl"),
    OPTION(RECV_TOS, "recv_tos"),
    OPTION(TIMESTAMP, "timestamp"),
    OPTION(DROPS, "drops"),
    OPTION(RECVERR, "recverr"),
    OPTION(GRO, "gro"),
    OPTION(GSO, "gso"),
    OPTION(PRIORITY, "priority"),
    OPTION(MARK, "mark"),
};

static uint32_t option_of(struct run *run, const char *name)
{
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
        if (strcmp(options[i].name, name) == 0)
            return options[i].option;
    return (uint32_t)number_must(run, name, "an option");
}

/* A number, an interface's name, an error's, "text", or "1 0" of linger. */
static size_t option_value(struct run *run, uint32_t option, const char *word, void *out)
{
    int32_t number;

    if (option == PAL_SO_LINGER) {
        struct pal_linger linger = {0, 0};

        if (sscanf(word, "\"%d %d\"", &linger.on, &linger.seconds) != 2)
            fail(run, "linger is \"ON SECONDS\"");
        memcpy(out, &linger, sizeof(linger));
        return sizeof(linger);
    }
    if (word[0] == '"') {
        size_t size = strlen(word) - 2;

        memcpy(out, word + 1, size);
        return size;
    }
    if (strcmp(word, "eth0") == 0 || strcmp(word, "eth1") == 0)
        number = (int32_t)run->ports[word[3] - '0'].ifindex;
    else
        number = (int32_t)result_of(run, word);
    memcpy(out, &number, sizeof(number));
    return sizeof(number);
}

static void call_set(struct run *run, struct words *words)
{
    struct named_sock *named = sock_named(run, words);
    uint32_t option = option_of(run, words_take(run, words, "an option"));
    uint8_t value[256];
    const char *word = words_take(run, words, "a value");
    size_t size;

    if (strlen(word) > sizeof(value))
        fail(run, "the value is too long");
    size = option_value(run, option, word, value);
    check_result(run, words, pal__n_sock_set(named->sock, option, value, size), 0);
}

/* get c NAME [VALUE] [-> R] */
static void call_get(struct run *run, struct words *words)
{
    struct named_sock *named = sock_named(run, words);
    uint32_t option = option_of(run, words_take(run, words, "an option"));
    const char *word = words_end(words) || has_result(words) ? NULL : words_take(run, words, "a value");
    uint8_t value[256] = {0}, wanted[256] = {0};
    size_t size = sizeof(int32_t), wanted_size = 0;
    int result;

    if (word != NULL)
        wanted_size = option_value(run, option, word, wanted);
    if ((word != NULL && word[0] == '"') || option == PAL_SO_PATH || option == PAL_SO_CONGESTION)
        size = option == PAL_SO_LINGER ? sizeof(struct pal_linger) : sizeof(value);
    result = pal__n_sock_get(named->sock, option, value, &size);
    if (!check_result(run, words, result, 0) || word == NULL)
        return;
    if (size == sizeof(int32_t) && word[0] != '"') {
        int32_t is, should;

        memcpy(&is, value, sizeof(is));
        memcpy(&should, wanted, sizeof(should));
        if (is != should)
            fail(run, "  value:   %d%s%s, not %s", is, is < 0 ? " " : "", is < 0 ? pal_error_name(is) : "", word);
    } else if (size != wanted_size || memcmp(value, wanted, size) != 0) {
        fail(run, "  value:   \"%.*s\" of %zu bytes, not %s", (int)(size < 200 ? size : 200), (const char *)value, size,
             word);
    }
}

static void call_name(struct run *run, struct words *words)
{
    struct named_sock *named = sock_named(run, words);
    int which = words_accept(words, "local") ? PAL_NAME_LOCAL : words_accept(words, "peer") ? PAL_NAME_PEER : -1;
    const char *word;
    struct pal_addr addr = {0};
    int result;

    if (which < 0)
        fail(run, "name NAME local, or peer");
    word = words_end(words) || has_result(words) ? NULL : words_take(run, words, "an address");
    result = pal__n_sock_name(named->sock, which, &addr);
    if (check_result(run, words, result, 0) && word != NULL)
        must_be_address(run, named->family, word, &addr, "address");
}

/* ---- readiness ---- */

static const struct {
    const char *name;
    uint32_t bit;
} bits[] = {{"IN", PAL_IN},   {"PRI", PAL_PRI}, {"OUT", PAL_OUT},
            {"ERR", PAL_ERR}, {"HUP", PAL_HUP}, {"RDHUP", PAL_RDHUP}};

uint32_t ready_bit(struct run *run, const char *name)
{
    for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++)
        if (strcmp(bits[i].name, name) == 0)
            return bits[i].bit;
    fail(run, "\"%s\" is none of IN, PRI, OUT, ERR, HUP, RDHUP", name);
}

static void call_ready(struct run *run, struct words *words)
{
    struct named_sock *named = sock_named(run, words);
    uint32_t is = pal__n_sock_ready(named->sock), must = 0, must_not = 0;
    bool exactly = words_accept(words, "=");
    struct text text = {0};

    if (words_accept(words, "none")) {
        exactly = true;
    } else {
        while (!words_end(words)) {
            const char *name = words_take(run, words, "readiness");

            if (name[0] == '!')
                must_not |= ready_bit(run, name + 1);
            else
                must |= ready_bit(run, name);
        }
    }
    words_must_end(run, words);
    for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++)
        if ((is & bits[i].bit) != 0)
            add(&text, " %s", bits[i].name);
    note(run, "%s:%s", run->statement->text, is == 0 ? " none" : text.at);
    if ((is & must) != must || (is & must_not) != 0 || (exactly && is != must))
        fail(run, "  ready:  %s", is == 0 ? " none" : text.at);
}

static void call_interest(struct run *run, struct words *words)
{
    struct named_sock *named = sock_named(run, words);
    uint32_t interest = 0;

    while (!words_end(words) && !words_accept(words, "none"))
        interest |= ready_bit(run, words_take(run, words, "an interest"));
    named->sock->cookie = (uint64_t)(named - run->socks);
    pal__n_sock_watch(named->sock, interest);
    note(run, "%s", run->statement->text);
}

/* events c d ...: pal__n_stack_ready tells of exactly these. */
static void call_events(struct run *run, struct words *words)
{
    static struct sock *ready[SOCKS_MAX];
    int count = pal__n_stack_ready(run->stack, ready, SOCKS_MAX);
    int wanted = 0;
    struct text text = {0};

    for (int i = 0; i < count; i++)
        add(&text, " %s", run->socks[ready[i]->cookie].name);
    note(run, "%s:%s", run->statement->text, count == 0 ? " none" : text.at);
    words_accept(words, "none");
    for (; !words_end(words); wanted++) {
        const struct named_sock *named = sock_named(run, words);
        int i = 0;

        while (i < count && ready[i] != named->sock)
            i++;
        if (i == count)
            fail(run, "  ready:  %s", count == 0 ? " none" : text.at);
    }
    if (count != wanted)
        fail(run, "  ready:  %s", count == 0 ? " none" : text.at);
}

/* ---- interfaces ---- */

static struct port *port_said(struct run *run, struct words *words)
{
    const char *name;

    if (!words_accept(words, "on"))
        return &run->ports[0];
    name = words_take(run, words, "an interface");
    if (strcmp(name, "eth0") != 0 && (strcmp(name, "eth1") != 0 || run->port_count < 2))
        fail(run, "there is no interface %s", name);
    return &run->ports[name[3] - '0'];
}

static void call_address(struct run *run, struct words *words)
{
    unsigned size;
    struct ip ip = prefix_must(run, words_take(run, words, "ADDRESS/BITS"), &size);
    const struct port *port = port_said(run, words);

    check_result(run, words, pal__n_addr_add(run->stack, port->ifindex, &ip, size), 0);
}

static void call_route(struct run *run, struct words *words)
{
    unsigned size;
    struct ip prefix = prefix_must(run, words_take(run, words, "ADDRESS/BITS"), &size), gateway = ip_none();
    int64_t metric = 0;
    const struct port *port;

    if (words_accept(words, "via"))
        gateway = address_must(run, words_take(run, words, "a gateway"));
    if (words_accept(words, "metric"))
        metric = words_number(run, words, "a metric");
    port = port_said(run, words);
    check_result(run, words, pal__n_route_add(run->stack, port->ifindex, &prefix, size, &gateway, (uint32_t)metric), 0);
}

/* no address A [on eth1], no route A/N [on eth1] */
static void call_no(struct run *run, struct words *words)
{
    bool is_route = words_accept(words, "route");
    unsigned size = 0;
    struct ip ip;
    const struct port *port;

    if (!is_route && !words_accept(words, "address"))
        fail(run, "no address or no route, not \"%s\"", words_peek(words));
    ip = is_route ? prefix_must(run, words_take(run, words, "ADDRESS/BITS"), &size)
                  : address_must(run, words_take(run, words, "an address"));
    port = port_said(run, words);
    check_result(run, words,
                 is_route ? pal__n_route_remove(run->stack, port->ifindex, &ip, size)
                          : pal__n_addr_remove(run->stack, port->ifindex, &ip),
                 0);
}

static void call_neighbour(struct run *run, struct words *words)
{
    struct ip ip = address_must(run, words_take(run, words, "an address"));
    uint8_t bytes[MAC_SIZE];
    uint64_t mac = 0;
    const struct port *port;

    if (!mac_of(words_take(run, words, "a MAC"), &mac))
        fail(run, "neighbour ADDRESS MAC");
    mac_put(bytes, mac);
    port = port_said(run, words);
    check_result(run, words, pal__n_neighbour_add(run->stack, port->ifindex, &ip, bytes), 0);
}

const struct command option_commands[] = {
    {"set", call_set, true},
    {"get", call_get, true},
    {"name", call_name, false},
    {"ready", call_ready, false},
    {"events", call_events, false},
    {"interest", call_interest, true},
    {"address", call_address, true},
    {"route", call_route, true},
    {"no", call_no, true},
    {"neighbour", call_neighbour, true},
    {NULL, NULL, false},
};
