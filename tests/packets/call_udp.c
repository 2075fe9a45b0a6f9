/* call_udp.c: datagrams with what goes with them, the error queue, and multicast groups. */
#include "packets.h"

#include <stdlib.h>
#include <string.h>

enum { DATAGRAM_ROOM = 70000 };

/* ADDRESS as the seam has it, for a socket of this family. */
static struct pal_addr plain_address(struct run *run, int family, const char *text)
{
    struct endpoint endpoint = {.ip = address_must(run, text), .any_ip = false, .port = 0};
    struct pal_addr addr;

    endpoint_to_pal(family, &endpoint, &addr);
    return addr;
}

static uint32_t interface_of(struct run *run, struct words *words)
{
    const char *name = words_take(run, words, "an interface");

    if (strcmp(name, "lo") == 0)
        return 1;
    if (strcmp(name, "eth0") != 0 && strcmp(name, "eth1") != 0)
        return (uint32_t)number_must(run, name, "an interface");
    return run->ports[name[3] - '0'].ifindex;
}

/* sendto s ENDPOINT N|"text" [from A] [ttl N] [tos N] [on eth1] [-> R] */
static void call_sendto(struct run *run, struct words *words)
{
    struct named_sock *named = sock_named(run, words);
    struct endpoint endpoint = endpoint_must(run, words_take(run, words, "an address"));
    const char *word = words_take(run, words, "bytes");
    uint8_t *bytes = keep(run, DATAGRAM_ROOM);
    size_t size;
    struct pal_addr addr;
    struct pal_iov iov;
    struct pal_msg msg = {0};
    int result;

    if (!literal_of(run, word, bytes, DATAGRAM_ROOM, &size)) {
        size = (size_t)number_must(run, word, "bytes");
        if (size > DATAGRAM_ROOM)
            fail(run, "a datagram is at most %d bytes here", DATAGRAM_ROOM);
        pattern_fill(bytes, 0, size);
    }
    endpoint_to_pal(named->family, &endpoint, &addr);
    iov = (struct pal_iov){bytes, size};
    msg.iov = &iov;
    msg.iov_count = 1;
    msg.addr = &addr;
    while (!words_end(words) && !has_result(words)) {
        if (words_accept(words, "from")) {
            msg.local = plain_address(run, named->family, words_take(run, words, "an address"));
            msg.want |= PAL_META_LOCAL;
        } else if (words_accept(words, "on")) {
            msg.ifindex = interface_of(run, words);
            msg.want |= PAL_META_LOCAL;
        } else if (words_accept(words, "ttl")) {
            msg.ttl = (uint8_t)words_number(run, words, "ttl");
            msg.want |= PAL_META_TTL;
        } else if (words_accept(words, "tos")) {
            msg.tos = (uint8_t)words_number(run, words, "tos");
            msg.want |= PAL_META_TOS;
        } else {
            fail(run, "sendto knows no \"%s\"", words_peek(words));
        }
    }
    result = pal__n_sock_send_msgs(named->sock, &msg, 1, 0);
    check_result(run, words, result == 1 ? msg.size : result, (int64_t)size);
}

static void must_be(struct run *run, const char *what, int64_t is, int64_t wanted)
{
    if (is != wanted)
        fail(run, "  %s: %lld, not %lld", what, (long long)is, (long long)wanted);
}

static void must_have(struct run *run, const struct pal_msg *msg, uint32_t meta, const char *what)
{
    if ((msg->have & meta) == 0)
        fail(run, "  the message does not say its %s", what);
}

/* What follows the result in recvfrom: what must have come with the datagram. */
static void check_message(struct run *run, struct words *words, int family, const struct pal_msg *msg)
{
    bool truncated = false;

    while (!words_end(words)) {
        if (words_accept(words, "from")) {
            must_be_address(run, family, words_take(run, words, "an address"), msg->addr, "from");
        } else if (words_accept(words, "to")) {
            struct pal_addr wanted = plain_address(run, family, words_take(run, words, "an address"));

            must_have(run, msg, PAL_META_LOCAL, "destination");
            if (memcmp(wanted.bytes, msg->local.bytes, wanted.size) != 0)
                fail(run, "  to: another address");
        } else if (words_accept(words, "on")) {
            must_have(run, msg, PAL_META_LOCAL, "interface");
            must_be(run, "interface", msg->ifindex, interface_of(run, words));
        } else if (words_accept(words, "ttl")) {
            must_have(run, msg, PAL_META_TTL, "ttl");
            must_be(run, "ttl", msg->ttl, words_number(run, words, "ttl"));
        } else if (words_accept(words, "tos")) {
            must_have(run, msg, PAL_META_TOS, "tos");
            must_be(run, "tos", msg->tos, words_number(run, words, "tos"));
        } else if (words_accept(words, "dropped")) {
            must_have(run, msg, PAL_META_DROPPED, "drops");
            must_be(run, "dropped", msg->dropped, words_number(run, words, "dropped"));
        } else if (words_accept(words, "trunc")) {
            truncated = true;
        } else {
            fail(run, "recvfrom knows no \"%s\"", words_peek(words));
        }
    }
    if (truncated != ((msg->flags & PAL_MSG_TRUNC) != 0))
        fail(run, "  the datagram was %struncated", truncated ? "not " : "");
}

static void check_payload(struct run *run, const uint8_t *is, const uint8_t *wanted, int64_t size)
{
    for (int64_t i = 0; i < size; i++)
        if (is[i] != wanted[i])
            fail(run, "  byte %lld of the datagram is 0x%02x, not 0x%02x", (long long)i, is[i], wanted[i]);
}

static void tell_result(struct run *run, int result, int64_t wanted)
{
    note(run, "%s: %s%.0d", run->statement->text, result < 0 ? pal_error_name(result) : "", result < 0 ? 0 : result);
    if (result != wanted)
        fail(run, "  result:  %d%s%s, not %lld%s%s", result, result < 0 ? " " : "",
             result < 0 ? pal_error_name(result) : "", (long long)wanted, wanted < 0 ? " " : "",
             wanted < 0 ? pal_error_name((int)wanted) : "");
}

/* recvfrom s N|"text" [peek] [full-size] [-> R] [from E] [to A] [ttl N] [tos N] [dropped N] [trunc] */
static void call_recvfrom(struct run *run, struct words *words)
{
    struct named_sock *named = sock_named(run, words);
    const char *word = words_end(words) || has_result(words) ? "2048" : words_take(run, words, "bytes");
    uint8_t *bytes = keep(run, DATAGRAM_ROOM), *wanted = keep(run, DATAGRAM_ROOM);
    size_t size;
    struct pal_addr addr = {0};
    struct pal_iov iov;
    struct pal_msg msg = {0};
    uint32_t flags = 0;
    int64_t expected, got;
    int result;

    if (!literal_of(run, word, wanted, DATAGRAM_ROOM, &size)) {
        size = (size_t)number_must(run, word, "bytes");
        if (size > DATAGRAM_ROOM)
            fail(run, "a datagram is at most %d bytes here", DATAGRAM_ROOM);
        pattern_fill(wanted, 0, size);
    }
    if (words_accept(words, "peek"))
        flags |= PAL_MSG_PEEK;
    if (words_accept(words, "full-size"))
        flags |= PAL_MSG_TRUNC;
    iov = (struct pal_iov){bytes, word[0] == '"' ? DATAGRAM_ROOM : size};
    msg = (struct pal_msg){.iov = &iov, .iov_count = 1, .addr = &addr};
    msg.want = PAL_META_LOCAL | PAL_META_TTL | PAL_META_TOS | PAL_META_DROPPED | PAL_META_TIME;
    result = pal__n_sock_recv_msgs(named->sock, &msg, 1, flags);
    got = result == 1 ? msg.size : result;
    expected = words_accept(words, "->") ? result_of(run, words_take(run, words, "a result")) : (int64_t)size;
    tell_result(run, (int)got, expected);
    if (got >= 0)
        check_payload(run, bytes, wanted, got < (int64_t)size ? got : (int64_t)size);
    if (got >= 0)
        check_message(run, words, named->family, &msg);
    words_must_end(run, words);
}

static void check_notice(struct run *run, struct words *words, int family, const struct pal_msg *msg)
{
    while (!words_end(words)) {
        if (words_accept(words, "error"))
            must_be(run, "error", msg->notice.error, result_of(run, words_take(run, words, "an error")));
        else if (words_accept(words, "type"))
            must_be(run, "type", msg->notice.icmp_type, words_number(run, words, "type"));
        else if (words_accept(words, "code"))
            must_be(run, "code", msg->notice.icmp_code, words_number(run, words, "code"));
        else if (words_accept(words, "mtu"))
            must_be(run, "mtu", msg->notice.first, words_number(run, words, "mtu"));
        else if (words_accept(words, "data"))
            must_be(run, "data", msg->size, words_number(run, words, "data"));
        else if (words_accept(words, "to"))
            must_be_address(run, family, words_take(run, words, "an address"), msg->addr, "to");
        else if (words_accept(words, "by")) {
            struct pal_addr wanted = plain_address(run, family, words_take(run, words, "an address"));

            if (wanted.family != msg->local.family || memcmp(wanted.bytes, msg->local.bytes, wanted.size) != 0)
                fail(run, "  by: another address");
        } else {
            fail(run, "notice knows no \"%s\"", words_peek(words));
        }
    }
}

/* notice s [-> EAGAIN] [error E] [type N code N] [mtu N] [by A] [to E] [data N] */
static void call_notice(struct run *run, struct words *words)
{
    struct named_sock *named = sock_named(run, words);
    struct pal_addr addr = {0};
    struct pal_iov iov = {keep(run, DATAGRAM_ROOM), DATAGRAM_ROOM};
    struct pal_msg msg = {.iov = &iov, .iov_count = 1, .addr = &addr, .want = PAL_META_NOTICE | PAL_META_LOCAL};
    int result = pal__n_sock_recv_msgs(named->sock, &msg, 1, PAL_MSG_ERRQUEUE);
    int64_t expected = words_accept(words, "->") ? result_of(run, words_take(run, words, "a result")) : 1;

    tell_result(run, result, expected);
    if (result == 1)
        check_notice(run, words, named->family, &msg);
    words_must_end(run, words);
}

/* join|leave s GROUP [from SOURCE] [on eth0] [-> R] */
static void change_membership(struct run *run, struct words *words, uint32_t option)
{
    struct named_sock *named = sock_named(run, words);
    struct pal_mcast mcast;

    memset(&mcast, 0, sizeof(mcast));
    mcast.group = plain_address(run, named->family, words_take(run, words, "a group"));
    mcast.ifindex = run->ports[0].ifindex;
    if (words_accept(words, "from"))
        mcast.source = plain_address(run, named->family, words_take(run, words, "a source"));
    if (words_accept(words, "on"))
        mcast.ifindex = interface_of(run, words);
    check_result(run, words, pal__n_sock_set(named->sock, option, &mcast, sizeof(mcast)), 0);
}

static void call_join(struct run *run, struct words *words)
{
    change_membership(run, words, PAL_SO_MCAST_JOIN);
}

static void call_leave(struct run *run, struct words *words)
{
    change_membership(run, words, PAL_SO_MCAST_LEAVE);
}

const struct command udp_commands[] = {
    {"sendto", call_sendto, true}, {"recvfrom", call_recvfrom, true}, {"notice", call_notice, true},
    {"join", call_join, true},     {"leave", call_leave, true},       {NULL, NULL, false},
};
