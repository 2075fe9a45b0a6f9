/* calls_options.c: every option of pal/options.h that is a number: what it is at first, whether it keeps what it is
 * given, what it refuses, on what kind of socket it is. The others (text, structures, told by use) are in
 * calls_options_more.c. An option that a backend lacks is PAL_ENOTSUP with a reason, and skipped as [sock-option]. */
#include "calls_common.h"

enum what { TCP4, TCP6, UDP4, UDP6, UNIX, UNIX_DATAGRAM, WHATS };
#define ON(what) (1u << (what))
enum {
    ON_TCP = ON(TCP4) | ON(TCP6),
    ON_UDP = ON(UDP4) | ON(UDP6),
    ON_IP = ON_TCP | ON_UDP,
    ON_UNIX = ON(UNIX) | ON(UNIX_DATAGRAM),
    ON_ALL = ON_IP | ON_UNIX
};
static const struct {
    int family, type;
} whats[WHATS] = {
    {PAL_AF_INET, PAL_SOCK_STREAM}, {PAL_AF_INET6, PAL_SOCK_STREAM}, {PAL_AF_INET, PAL_SOCK_DGRAM},
    {PAL_AF_INET6, PAL_SOCK_DGRAM}, {PAL_AF_UNIX, PAL_SOCK_STREAM},  {PAL_AF_UNIX, PAL_SOCK_DGRAM},
};

enum {
    BOOLEAN = 1,         /* 0 or 1, 0 at first */
    BOOLEAN_ON = 2,      /* 0 or 1, 1 at first */
    BOOLEAN_EITHER = 32, /* 0 or 1, at first what the backend likes (decision 0019) */
    ONE_WAY = 64,        /* a boolean that may be PAL_ENOTSUP but for what it is at first */
    ROUNDED = 4,         /* the system makes of it what it likes, but reads back something */
    PRIVILEGED = 8,      /* may be PAL_EPERM */
    NOT_STICKY = 16      /* may read back differently */
};

/* A number as an option. */
struct number {
    uint32_t option;
    uint32_t on;     /* ON_*: where it is */
    uint32_t not_on; /* ON_*: where it is refused. On the rest it is the system's business */
    uint32_t flags;
    int32_t good[3]; /* set one after the other, unless it is a boolean */
    int32_t bad[2];  /* out of range, unless it is a boolean */
};

static bool open_what(enum what what, pal_sock *sock)
{
    return pal_sock_open(NULL, whats[what].family, whats[what].type, 0, sock) == 0;
}

/* Whether the backend has it at all: skips if it says no, with a reason, on every kind of socket where it could be. */
static void require_option(const struct number *number)
{
    bool found = false;

    for (int what = 0; what < WHATS; what++) {
        int32_t value;
        size_t size = sizeof(value);
        pal_sock sock;
        int error;

        if ((number->on & ON(what)) == 0 || !open_what((enum what)what, &sock))
            continue;
        error = pal_sock_get(sock, number->option, &value, &size);
        cr_assert(error == 0 || (error == PAL_ENOTSUP && *pal_reason() != '\0'), "reading is %s (%s)",
                  pal_error_name(error), pal_reason());
        found = found || error == 0;
        sock_close(sock);
    }
    if (!found)
        test_skip("sock-option", "not of this backend");
}

static void expect_first(const struct number *number, pal_sock sock)
{
    int32_t first = option_of(sock, number->option);

    if (number->flags & BOOLEAN)
        cr_assert_eq(first, 0, "at first it is %d", first);
    if (number->flags & BOOLEAN_ON)
        cr_assert_eq(first, 1, "at first it is %d", first);
    if (number->flags & BOOLEAN_EITHER)
        cr_assert(first == 0 || first == 1, "at first it is %d", first);
}

static void expect_kept(const struct number *number, pal_sock sock, int32_t value)
{
    int error = option_try(sock, number->option, value);
    int32_t kept;

    if (error == PAL_EPERM && number->flags & PRIVILEGED)
        return;
    cr_assert(error == 0, "setting it to %d is %s (%s)", value, pal_error_name(error), pal_reason());
    kept = option_of(sock, number->option);
    if (number->flags & ROUNDED)
        cr_assert(kept > 0 || value == 0, "%d was made %d", value, kept);
    else if ((number->flags & NOT_STICKY) == 0)
        cr_assert_eq(kept, value, "%d was made %d", value, kept);
}

static void expect_kept_or_refused(const struct number *number, pal_sock sock, int32_t value)
{
    int32_t before = option_of(sock, number->option);

    if (option_try(sock, number->option, value) != PAL_ENOTSUP) {
        expect_kept(number, sock, value);
        return;
    }
    cr_assert_str_neq(pal_reason(), "", "refused to set it without a reason");
    cr_assert_eq(option_of(sock, number->option), before, "refused, and yet changed");
}

static void expect_refused(const struct number *number, pal_sock sock, int32_t value)
{
    int32_t before = option_of(sock, number->option);
    int error = option_try(sock, number->option, value);

    cr_assert(error == PAL_EINVAL, "setting it to %d is %s, not EINVAL", value, pal_error_name(error));
    cr_assert_eq(option_of(sock, number->option), before, "refused, and yet changed");
}

/* Both directions take exactly four bytes; reading may be offered more. */
static void expect_sizes(const struct number *number, pal_sock sock)
{
    static const size_t wrong[] = {0, 1, 3, 5, 8};
    int32_t values[4] = {1, 0, 0, 0};
    size_t size;

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_error(pal_sock_set(sock, number->option, values, wrong[i]), PAL_EINVAL);
        size = wrong[i];
        if (size < sizeof(values[0]))
            assert_error(pal_sock_get(sock, number->option, values, &size), PAL_EINVAL);
    }
    size = sizeof(values);
    assert_error(pal_sock_get(sock, number->option, values, &size), 0);
    cr_assert_eq(size, sizeof(values[0]), "%zu bytes", size);
}

static void expect_number_on(const struct number *number, pal_sock sock)
{
    bool boolean = (number->flags & (BOOLEAN | BOOLEAN_ON | BOOLEAN_EITHER)) != 0;
    int32_t first = option_of(sock, number->option);

    expect_first(number, sock);
    expect_sizes(number, sock);
    for (int i = 0; i < 4 && boolean; i++) {
        if (number->flags & ONE_WAY && i % 2 != first)
            expect_kept_or_refused(number, sock, i % 2);
        else
            expect_kept(number, sock, i % 2);
    }
    for (int i = 0; i < 3 && !boolean; i++)
        expect_kept(number, sock, number->good[i]);
    expect_refused(number, sock, boolean ? 2 : number->bad[0]);
    expect_refused(number, sock, boolean ? -1 : number->bad[1]);
}

static void expect_not_there(const struct number *number, pal_sock sock)
{
    int32_t value = 1;
    size_t size = sizeof(value);

    assert_error(pal_sock_set(sock, number->option, &value, size), PAL_ENOTSUP);
    cr_assert_str_neq(pal_reason(), "", "refused to set it without a reason");
    assert_error(pal_sock_get(sock, number->option, &value, &size), PAL_ENOTSUP);
    cr_assert_str_neq(pal_reason(), "", "refused to tell it without a reason");
}

static void expect_number(const struct number *number)
{
    require_option(number);
    for (int what = 0; what < WHATS; what++) {
        pal_sock sock;

        if (!open_what((enum what)what, &sock))
            continue;
        if (number->on & ON(what))
            expect_number_on(number, sock);
        else if (number->not_on & ON(what))
            expect_not_there(number, sock);
        sock_close(sock);
    }
}

#define NUMBER_TEST(name, ...)                                                                                         \
    Test(calls_options, name)                                                                                          \
    {                                                                                                                  \
        static const struct number number = {__VA_ARGS__};                                                             \
        expect_number(&number);                                                                                        \
    }

#define NONE                                                                                                           \
    {0, 0, 0},                                                                                                         \
    {                                                                                                                  \
        0, 0                                                                                                           \
    }

/* ---- any socket ---- */

NUMBER_TEST(reuseaddr, PAL_SO_REUSEADDR, ON_IP, 0, BOOLEAN, NONE)
NUMBER_TEST(reuseport, PAL_SO_REUSEPORT, ON_IP, 0, BOOLEAN, NONE)
NUMBER_TEST(broadcast, PAL_SO_BROADCAST, ON(UDP4), 0, BOOLEAN, NONE)
NUMBER_TEST(keepalive, PAL_SO_KEEPALIVE, ON_TCP, 0, BOOLEAN, NONE)
NUMBER_TEST(oobinline, PAL_SO_OOBINLINE, ON_TCP, 0, BOOLEAN_EITHER | ONE_WAY, NONE)
NUMBER_TEST(receive_buffer, PAL_SO_RCVBUF, ON_ALL, 0, ROUNDED, {8192, 65536, 16384}, {-1, INT32_MIN})
NUMBER_TEST(send_buffer, PAL_SO_SNDBUF, ON_ALL, 0, ROUNDED, {8192, 65536, 16384}, {-1, INT32_MIN})
NUMBER_TEST(receive_low_water, PAL_SO_RCVLOWAT, ON_TCP, 0, 0, {1, 100, 4096}, {-1, INT32_MIN})
NUMBER_TEST(priority, PAL_SO_PRIORITY, ON_IP, 0, PRIVILEGED, {0, 3, 6}, {-1, INT32_MIN})
NUMBER_TEST(busy_poll, PAL_SO_BUSY_POLL, ON_IP, ON_UNIX, PRIVILEGED, {0, 50, 0}, {-1, INT32_MIN})
NUMBER_TEST(prefer_busy_poll, PAL_SO_PREFER_BUSY_POLL, ON_IP, ON_UNIX, BOOLEAN | PRIVILEGED, NONE)
NUMBER_TEST(incoming_cpu, PAL_SO_INCOMING_CPU, ON_IP, ON_UNIX, 0, {0, 1, -1}, {-2, INT32_MIN})
NUMBER_TEST(zero_copy, PAL_SO_ZEROCOPY, ON_IP, ON_UNIX, BOOLEAN, NONE)

/* ---- TCP ---- */

NUMBER_TEST(nodelay, PAL_SO_NODELAY, ON_TCP, ON_UDP | ON_UNIX, BOOLEAN_EITHER, NONE)
NUMBER_TEST(cork, PAL_SO_CORK, ON_TCP, ON_UDP | ON_UNIX, BOOLEAN, NONE)
NUMBER_TEST(quickack, PAL_SO_QUICKACK, ON_TCP, ON_UDP | ON_UNIX, NOT_STICKY, {0, 1, 0}, {2, -1})
NUMBER_TEST(quickack_always, PAL_SO_QUICKACK_ALWAYS, ON_TCP, ON_UDP | ON_UNIX, BOOLEAN, NONE)
NUMBER_TEST(maximum_segment, PAL_SO_MAXSEG, ON_TCP, ON_UDP | ON_UNIX, ROUNDED, {536, 1000, 1400}, {-1, INT32_MAX})
NUMBER_TEST(keepalive_idle, PAL_SO_KEEPIDLE, ON_TCP, ON_UDP | ON_UNIX, 0, {1, 600, 32767}, {0, -1})
NUMBER_TEST(keepalive_interval, PAL_SO_KEEPINTVL, ON_TCP, ON_UDP | ON_UNIX, 0, {1, 30, 32767}, {0, -1})
NUMBER_TEST(keepalive_count, PAL_SO_KEEPCNT, ON_TCP, ON_UDP | ON_UNIX, 0, {1, 5, 127}, {0, -1})
NUMBER_TEST(user_timeout, PAL_SO_USER_TIMEOUT, ON_TCP, ON_UDP | ON_UNIX, 0, {0, 1500, 60000}, {-1, INT32_MIN})
NUMBER_TEST(defer_accept, PAL_SO_DEFER_ACCEPT, ON_TCP, ON_UDP | ON_UNIX, ROUNDED, {1, 30, 5}, {-1, INT32_MIN})
NUMBER_TEST(fast_open, PAL_SO_FASTOPEN, ON_TCP, ON_UDP | ON_UNIX, NOT_STICKY, {5, 16, 1}, {-1, INT32_MIN})

/* ---- IP ---- */

NUMBER_TEST(unicast_ttl, PAL_SO_TTL, ON_IP, ON_UNIX, 0, {1, 64, 255}, {0, 256})
NUMBER_TEST(traffic_class, PAL_SO_TOS, ON_IP, ON_UNIX, 0, {0, 0x28, 0xb8}, {256, -1})
NUMBER_TEST(mtu_discovery, PAL_SO_MTU_DISCOVER, ON_IP, ON_UNIX, 0, {0, 2, 3}, {9, -1})
NUMBER_TEST(free_bind, PAL_SO_FREEBIND, ON_IP, ON_UNIX, BOOLEAN, NONE)
NUMBER_TEST(transparent, PAL_SO_TRANSPARENT, ON_IP, ON_UNIX, BOOLEAN | PRIVILEGED, NONE)

Test(calls_options, v6only)
{
    static const struct number number = {
        PAL_SO_V6ONLY, ON(TCP6) | ON(UDP6), ON(TCP4) | ON(UDP4) | ON_UNIX, 0, {0, 1, 0}, {2, -1}};

    require_inet6();
    expect_number(&number);
}

/* ---- multicast: interfaces, joining and leaving are in calls_multicast.c ---- */

NUMBER_TEST(multicast_ttl, PAL_SO_MCAST_TTL, ON_UDP, ON_TCP | ON_UNIX, 0, {0, 1, 255}, {256, -1})
NUMBER_TEST(multicast_loop, PAL_SO_MCAST_LOOP, ON_UDP, ON_TCP | ON_UNIX, BOOLEAN_ON, NONE)

/* ---- metadata ---- */

NUMBER_TEST(packet_info, PAL_SO_PKTINFO, ON_UDP, ON_UNIX, BOOLEAN, NONE)
NUMBER_TEST(receive_ttl, PAL_SO_RECV_TTL, ON_UDP, ON_UNIX, BOOLEAN, NONE)
NUMBER_TEST(receive_tos, PAL_SO_RECV_TOS, ON_UDP, ON_UNIX, BOOLEAN, NONE)
NUMBER_TEST(timestamps, PAL_SO_TIMESTAMP, ON_UDP, 0, BOOLEAN, NONE)
NUMBER_TEST(stamps, PAL_SO_TIMESTAMPING, ON_UDP, ON_UNIX, 0, {1, 3, 0}, {64, -1})
NUMBER_TEST(drops, PAL_SO_DROPS, ON_UDP, 0, BOOLEAN, NONE)
NUMBER_TEST(receive_offload, PAL_SO_GRO, ON_UDP, ON_TCP | ON_UNIX, BOOLEAN, NONE)
NUMBER_TEST(send_offload, PAL_SO_GSO, ON_UDP, ON_TCP | ON_UNIX, 0, {0, 100, 1400}, {-1, 65536})
NUMBER_TEST(receive_errors, PAL_SO_RECVERR, ON_UDP, ON_UNIX, BOOLEAN, NONE)

/* ---- unix ---- */

NUMBER_TEST(pass_handles, PAL_SO_PASS, ON_UNIX, ON_IP, BOOLEAN, NONE)
NUMBER_TEST(pass_credentials, PAL_SO_PASSCRED, ON_UNIX, ON_IP, BOOLEAN, NONE)
