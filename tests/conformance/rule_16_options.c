/* Rule 16: options are validated. Every option of pal/options.h is tried on every kind of socket: it works, or it is
 * refused with PAL_ENOTSUP and a reason; a wrong size or value is PAL_EINVAL; nothing is passed on blindly. */
#include "conformance.h"

enum shape { BOOLEAN, NUMBER, TEXT, LINGER, MCAST, INDEX, CRED, NATIVE, OWNER };
enum access { READ = 1, WRITE = 2, BOTH = READ | WRITE };

struct option {
    uint32_t number;
    const char *name;
    enum shape shape;
    enum access access;
    int32_t value; /* a harmless one */
};

#define OPTION(name, shape, access, value)                                                                             \
    {                                                                                                                  \
        PAL_SO_##name, #name, shape, access, value                                                                     \
    }

static const struct option options[] = {
    OPTION(ERROR, NUMBER, READ, 0),
    OPTION(NATIVE, NATIVE, READ, 0),
    OPTION(NREAD, NUMBER, READ, 0),
    OPTION(PATH, TEXT, READ, 0),
    OPTION(OWNER, OWNER, READ, 0),
    OPTION(TYPE, NUMBER, READ, 0),
    OPTION(FAMILY, NUMBER, READ, 0),
    OPTION(PROTOCOL, NUMBER, READ, 0),
    OPTION(LISTENING, BOOLEAN, READ, 0),
    OPTION(REUSEADDR, BOOLEAN, BOTH, 1),
    OPTION(REUSEPORT, BOOLEAN, BOTH, 1),
    OPTION(BROADCAST, BOOLEAN, BOTH, 1),
    OPTION(KEEPALIVE, BOOLEAN, BOTH, 1),
    OPTION(LINGER, LINGER, BOTH, 0),
    OPTION(RCVBUF, NUMBER, BOTH, 65536),
    OPTION(SNDBUF, NUMBER, BOTH, 65536),
    OPTION(RCVLOWAT, NUMBER, BOTH, 1),
    OPTION(OOBINLINE, BOOLEAN, BOTH, 1),
    OPTION(DEVICE, TEXT, BOTH, 0),
    OPTION(PRIORITY, NUMBER, BOTH, 1),
    OPTION(MARK, NUMBER, BOTH, 0),
    OPTION(BUSY_POLL, NUMBER, BOTH, 0),
    OPTION(INCOMING_CPU, NUMBER, BOTH, 0),
    OPTION(NODELAY, BOOLEAN, BOTH, 1),
    OPTION(CORK, BOOLEAN, BOTH, 0),
    OPTION(QUICKACK, BOOLEAN, BOTH, 1),
    OPTION(MAXSEG, NUMBER, BOTH, 1200),
    OPTION(KEEPIDLE, NUMBER, BOTH, 60),
    OPTION(KEEPINTVL, NUMBER, BOTH, 10),
    OPTION(KEEPCNT, NUMBER, BOTH, 3),
    OPTION(USER_TIMEOUT, NUMBER, BOTH, 10000),
    OPTION(DEFER_ACCEPT, NUMBER, BOTH, 1),
    OPTION(FASTOPEN, NUMBER, BOTH, 1),
    OPTION(CONGESTION, TEXT, BOTH, 0),
    OPTION(V6ONLY, BOOLEAN, BOTH, 1),
    OPTION(TTL, NUMBER, BOTH, 5),
    OPTION(TOS, NUMBER, BOTH, 8),
    OPTION(MTU_DISCOVER, NUMBER, BOTH, 1),
    OPTION(MTU, NUMBER, READ, 0),
    OPTION(FREEBIND, BOOLEAN, BOTH, 1),
    OPTION(TRANSPARENT, BOOLEAN, BOTH, 0),
    OPTION(MCAST_JOIN, MCAST, WRITE, 0),
    OPTION(MCAST_LEAVE, MCAST, WRITE, 0),
    OPTION(MCAST_IF, INDEX, BOTH, 0),
    OPTION(MCAST_TTL, NUMBER, BOTH, 2),
    OPTION(MCAST_LOOP, BOOLEAN, BOTH, 1),
    OPTION(PKTINFO, BOOLEAN, BOTH, 1),
    OPTION(RECV_TTL, BOOLEAN, BOTH, 1),
    OPTION(RECV_TOS, BOOLEAN, BOTH, 1),
    OPTION(TIMESTAMP, BOOLEAN, BOTH, 1),
    OPTION(DROPS, BOOLEAN, BOTH, 1),
    OPTION(GRO, BOOLEAN, BOTH, 1),
    OPTION(GSO, NUMBER, BOTH, 1000),
    OPTION(RECVERR, BOOLEAN, BOTH, 1),
    OPTION(PASS, BOOLEAN, BOTH, 1),
    OPTION(PASSCRED, BOOLEAN, BOTH, 1),
    OPTION(PEERCRED, CRED, READ, 0),
};

enum { OPTION_COUNT = sizeof(options) / sizeof(options[0]) };

enum kind { TCP4, TCP6, UDP4, UDP6, LOCAL_STREAM, LOCAL_DGRAM, PIPE_READER, KINDS };

static const char *const kind_names[KINDS] = {"TCP4", "TCP6", "UDP4", "UDP6", "LOCAL_STREAM", "LOCAL_DGRAM", "PIPE"};

union value {
    int32_t number;
    uint32_t index;
    intptr_t native;
    pal_poll *owner;
    struct pal_linger linger;
    struct pal_mcast mcast;
    struct pal_cred cred;
    char text[256];
};

static size_t size_of(enum shape shape)
{
    switch (shape) {
    case LINGER:
        return sizeof(struct pal_linger);
    case MCAST:
        return sizeof(struct pal_mcast);
    case CRED:
        return sizeof(struct pal_cred);
    case NATIVE:
        return sizeof(intptr_t);
    case OWNER:
        return sizeof(pal_poll *);
    case TEXT:
        return sizeof(((union value *)NULL)->text);
    default:
        return sizeof(int32_t);
    }
}

static union value harmless(const struct option *option, enum kind kind)
{
    union value value;

    memset(&value, 0, sizeof(value));
    if (option->shape == MCAST) {
        const char *group = kind == TCP6 || kind == UDP6 ? "ff02::4d" : "239.0.0.77";

        assert_error(pal_addr_from_host(&value.mcast.group, group, 0), 0);
    } else if (option->shape != TEXT && option->shape != LINGER) {
        value.number = option->value;
    }
    return value;
}

static int get(pal_sock sock, const struct option *option, union value *value)
{
    size_t size = size_of(option->shape);

    memset(value, 0, sizeof(*value));
    return pal_sock_get(sock, option->number, value, &size);
}

/* A text is set by its characters; "" is a valid one of PAL_SO_DEVICE. */
static int set(pal_sock sock, const struct option *option, const union value *value)
{
    size_t size = option->shape == TEXT ? strlen(value->text) : size_of(option->shape);

    return pal_sock_set(sock, option->number, value, size);
}

/* ---- the kinds of sockets ---- */

/* A fresh socket, and for a pipe its other end. False: this machine has none. */
static bool open_kind(enum kind kind, pal_sock *sock, pal_sock *other)
{
    static const int families[] = {PAL_AF_INET, PAL_AF_INET6, PAL_AF_INET, PAL_AF_INET6, PAL_AF_UNIX, PAL_AF_UNIX};
    static const int types[] = {PAL_SOCK_STREAM, PAL_SOCK_STREAM, PAL_SOCK_DGRAM,
                                PAL_SOCK_DGRAM,  PAL_SOCK_STREAM, PAL_SOCK_DGRAM};
    pal_sock ends[2];

    other->id = 0;
    if (kind < PIPE_READER)
        return pal_sock_open(NULL, families[kind], types[kind], 0, sock) == 0;
    if (pal_pipe(ends, 0) != 0)
        return false;
    *sock = ends[0];
    *other = ends[1];
    return true;
}

static void close_kind(pal_sock sock, pal_sock other)
{
    assert_error(pal_sock_close(sock), 0);
    if (other.id != 0)
        assert_error(pal_sock_close(other), 0);
}

#define for_each_kind(kind, sock, other)                                                                               \
    for (enum kind kind = TCP4; kind < KINDS; kind = (enum kind)(kind + 1))                                            \
        for (bool open_ = open_kind(kind, &sock, &other); open_; open_ = false, close_kind(sock, other))

/* ---- the tests ---- */

/* What the world may say to a harmless value: it depends on privileges, routes and state, not on the option. */
static bool is_worldly(int error)
{
    return error == PAL_EPERM || error == PAL_EACCES || error == PAL_ENOTCONN || error == PAL_EADDRINUSE ||
           error == PAL_EADDRNOTAVAIL || error == PAL_ENODEV || error == PAL_EISCONN || error == PAL_ENODATA;
}

Test(rule_16_options, every_option_can_be_read_or_is_refused_with_a_reason)
{
    pal_sock sock, other;
    union value value;

    for_each_kind(kind, sock, other)
    {
        for (int i = 0; i < OPTION_COUNT; i++) {
            int error = get(sock, &options[i], &value);

            if (error == PAL_ENOTSUP)
                cr_expect_str_neq(pal_reason(), "", "%s of %s is refused without a reason", options[i].name,
                                  kind_names[kind]);
            else
                cr_expect(error >= 0 || is_worldly(error), "get %s of %s: %s", options[i].name, kind_names[kind],
                          pal_error_name(error));
            if ((options[i].access & READ) == 0)
                cr_expect_eq(error, PAL_ENOTSUP, "%s is write-only", options[i].name);
        }
    }
}

Test(rule_16_options, every_option_can_be_set_or_is_refused_with_a_reason)
{
    pal_sock sock, other;

    for_each_kind(kind, sock, other)
    {
        for (int i = 0; i < OPTION_COUNT; i++) {
            union value value = harmless(&options[i], kind);
            int error;

            if (options[i].number == PAL_SO_CONGESTION && get(sock, &options[i], &value) < 0)
                memset(&value, 0, sizeof(value)); /* the congestion control in use is the one that surely exists */
            error = set(sock, &options[i], &value);
            if (error == PAL_ENOTSUP)
                cr_expect_str_neq(pal_reason(), "", "%s of %s is refused without a reason", options[i].name,
                                  kind_names[kind]);
            else
                cr_expect(error == 0 || is_worldly(error), "set %s of %s: %s", options[i].name, kind_names[kind],
                          pal_error_name(error));
            if ((options[i].access & WRITE) == 0)
                cr_expect_eq(error, PAL_ENOTSUP, "%s is read-only", options[i].name);
        }
    }
}

Test(rule_16_options, what_was_set_is_read_back)
{
    pal_sock sock, other;

    for_each_kind(kind, sock, other)
    {
        for (int i = 0; i < OPTION_COUNT; i++) {
            union value wanted = harmless(&options[i], kind), found;
            bool exact = options[i].shape == BOOLEAN || options[i].shape == LINGER || options[i].number == PAL_SO_TTL ||
                         options[i].number == PAL_SO_TOS || options[i].number == PAL_SO_MCAST_TTL ||
                         options[i].number == PAL_SO_KEEPIDLE || options[i].number == PAL_SO_KEEPINTVL ||
                         options[i].number == PAL_SO_KEEPCNT || options[i].number == PAL_SO_USER_TIMEOUT;

            if (!exact || options[i].access != BOTH || set(sock, &options[i], &wanted) != 0)
                continue;
            if (options[i].number == PAL_SO_QUICKACK || get(sock, &options[i], &found) < 0)
                continue;
            if (options[i].shape == LINGER)
                cr_expect_arr_eq(&found.linger, &wanted.linger, sizeof(found.linger));
            else
                cr_expect_eq(found.number, wanted.number, "%s of %s: set %d, read %d", options[i].name,
                             kind_names[kind], wanted.number, found.number);
        }
    }
}

Test(rule_16_options, a_boolean_is_nothing_but_zero_and_one)
{
    static const int32_t wrong[] = {2, -1, INT32_MAX};
    pal_sock sock, other;

    for_each_kind(kind, sock, other)
    {
        for (int i = 0; i < OPTION_COUNT; i++) {
            if (options[i].shape != BOOLEAN || (options[i].access & WRITE) == 0)
                continue;
            for (size_t j = 0; j < sizeof(wrong) / sizeof(wrong[0]); j++) {
                int error = pal_sock_set(sock, options[i].number, &wrong[j], sizeof(wrong[j]));

                cr_expect(error == PAL_EINVAL || error == PAL_ENOTSUP, "%s of %s = %d: %s", options[i].name,
                          kind_names[kind], wrong[j], pal_error_name(error));
            }
        }
    }
}

Test(rule_16_options, a_wrong_size_is_refused)
{
    static const size_t sizes[] = {0, 1, 3, 5, 1000};
    char room[1000] = {0};
    pal_sock sock, other;

    for_each_kind(kind, sock, other)
    {
        for (int i = 0; i < OPTION_COUNT; i++) {
            for (size_t j = 0; j < sizeof(sizes) / sizeof(sizes[0]); j++) {
                int error;

                if (options[i].shape == TEXT)
                    continue;
                error = pal_sock_set(sock, options[i].number, room, sizes[j]);
                cr_expect(error == PAL_EINVAL || error == PAL_ENOTSUP, "%s of %s with %zu bytes: %s", options[i].name,
                          kind_names[kind], sizes[j], pal_error_name(error));
            }
        }
    }
}

Test(rule_16_options, too_little_room_for_a_value_is_refused)
{
    pal_sock sock, other;
    char room[1];

    for_each_kind(kind, sock, other)
    {
        for (int i = 0; i < OPTION_COUNT; i++) {
            size_t size = 1;
            int error;

            if (options[i].shape == TEXT)
                continue;
            error = pal_sock_get(sock, options[i].number, room, &size);
            cr_expect_lt(error, 0, "%s of %s goes into one byte", options[i].name, kind_names[kind]);
        }
    }
}

struct bad_value {
    uint32_t number;
    int32_t value;
};

Test(rule_16_options, a_value_out_of_range_is_refused)
{
    static const struct bad_value bad[] = {
        {PAL_SO_TTL, 0},        {PAL_SO_TTL, 256},        {PAL_SO_TTL, -1},          {PAL_SO_TOS, 256},
        {PAL_SO_TOS, -1},       {PAL_SO_MCAST_TTL, 256},  {PAL_SO_MCAST_TTL, -1},    {PAL_SO_RCVBUF, -1},
        {PAL_SO_SNDBUF, -1},    {PAL_SO_MTU_DISCOVER, 4}, {PAL_SO_MTU_DISCOVER, -1}, {PAL_SO_KEEPIDLE, -1},
        {PAL_SO_KEEPINTVL, -1}, {PAL_SO_KEEPCNT, -1},     {PAL_SO_USER_TIMEOUT, -1}, {PAL_SO_GSO, -1},
    };
    pal_sock sock, other;

    for_each_kind(kind, sock, other)
    {
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
            int error = pal_sock_set(sock, bad[i].number, &bad[i].value, sizeof(bad[i].value));

            cr_expect(error == PAL_EINVAL || error == PAL_ENOTSUP, "option %u of %s = %d: %s", bad[i].number,
                      kind_names[kind], bad[i].value, pal_error_name(error));
        }
    }
}

Test(rule_16_options, a_linger_out_of_range_is_refused)
{
    static const struct pal_linger bad[] = {{2, 0}, {-1, 0}, {1, -1}, {1, 65536}};
    pal_sock a, b;

    pair_open(PAIR_TCP4, &a, &b);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_error(pal_sock_set(a, PAL_SO_LINGER, &bad[i], sizeof(bad[i])), PAL_EINVAL);
    pair_close(a, b);
}

Test(rule_16_options, an_option_that_does_not_exist_is_refused_with_a_reason)
{
    static const uint32_t numbers[] = {0, 10, 31, 95, 127, 159, 191, 255, 4096, 0x3fffffff, 0x80000000, 0xbfffffff};
    pal_sock sock, other;
    int32_t value = 1;

    for_each_kind(kind, sock, other)
    {
        for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
            size_t size = sizeof(value);

            cr_expect_eq(pal_sock_set(sock, numbers[i], &value, size), PAL_ENOTSUP, "set %u of %s", numbers[i],
                         kind_names[kind]);
            cr_expect_str_neq(pal_reason(), "", "no reason for option %u", numbers[i]);
            cr_expect_eq(pal_sock_get(sock, numbers[i], &value, &size), PAL_ENOTSUP, "get %u of %s", numbers[i],
                         kind_names[kind]);
            cr_expect_str_neq(pal_reason(), "", "no reason for option %u", numbers[i]);
        }
    }
}

Test(rule_16_options, messages_and_watches_are_validated_too)
{
    struct rig rig;
    pal_sock a, b;
    char byte;

    rig_open(&rig, 2);
    pair_open(PAIR_UNIX_STREAM, &a, &b);
    assert_error(pal_sock_send(a, "x", 1, 0x10000000), PAL_EINVAL);
    assert_error(pal_sock_recv(a, &byte, 1, 0x10000000), PAL_EINVAL);
    assert_error(pal_watch(rig.poll, a, 0x8000, 1), PAL_EINVAL);
    cr_assert_eq(drain(b), 0, "a refused send sends");
    pair_close(a, b);
    rig_close(&rig);
}
