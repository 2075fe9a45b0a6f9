/* tests/netstack/mcast_world.h: a whole stack (sock_world.h) and the groups that its sockets are in: joining, filters
 * by letters, and what routers are told of it. */
#ifndef TESTS_NETSTACK_MCAST_WORLD_H
#define TESTS_NETSTACK_MCAST_WORLD_H

#include "sock_world.h"

enum { MESSAGE4 = HEADERS4 + 4, MESSAGE6 = HEADERS6 + 8, PORT = 5000 }; /* behind the router alert */

/* ---- groups ---- */

static const char GROUP[] = "239.1.2.3", GROUP6[] = "ff05::1234";

static inline int membership(struct sock *sock, uint32_t option, const char *group, const char *source)
{
    struct pal_mcast request;

    memset(&request, 0, sizeof(request));
    request.group = addr(group, 0);
    if (source != NULL)
        request.source = addr(source, 0);
    request.ifindex = IFINDEX;
    return pal__n_sock_set(sock, option, &request, sizeof(request));
}

static inline int join(struct sock *sock, const char *group, const char *source)
{
    return membership(sock, PAL_SO_MCAST_JOIN, group, source);
}

static inline int leave(struct sock *sock, const char *group, const char *source)
{
    return membership(sock, PAL_SO_MCAST_LEAVE, group, source);
}

/* "abc" stands for the sources 192.0.2.a ... */
static inline uint32_t sources_of(const char *letters, struct ip *out)
{
    uint32_t count = 0;

    for (; letters[count] != '\0'; count++)
        out[count] = ip_of_number(0xc0000200 + (uint8_t)letters[count]);
    return count;
}

static inline void filter(struct sock *sock, uint8_t mode, const char *letters)
{
    struct ip sources[MEMBERSHIP_SOURCES_MAX], group = ip(GROUP);
    uint32_t count = sources_of(letters, sources);

    cr_assert_eq(pal__n_mcast_set_filter(sock, IFINDEX, &group, mode, sources, count), 0);
}

static inline void assert_sources(const struct ip *sources, uint32_t count, const char *letters, const char *what)
{
    struct ip expected[32];

    cr_assert_eq(count, sources_of(letters, expected), "%s: %u sources, not \"%s\"", what, count, letters);
    for (uint32_t i = 0; i < count; i++) {
        bool found = false;

        for (uint32_t j = 0; j < count; j++)
            found = found || ip_equal(&sources[j], &expected[i]);
        cr_assert(found, "%s: %c is missing", what, letters[i]);
    }
}

static inline void assert_merged(uint8_t mode, const char *letters)
{
    struct ip group = ip(GROUP);
    const struct group *found = pal__n_mcast_find(eth, &group);

    cr_assert_not_null(found);
    cr_assert_eq(found->mode, mode);
    assert_sources(found->sources, found->source_count, letters, "merged");
}

static inline void assert_nobody(void)
{
    struct ip group = ip(GROUP);

    cr_assert_null(pal__n_mcast_find(eth, &group));
}

/* ---- reports ---- */

/* The records of the index-th report on the wire, as text: "TO_EX{} ALLOW{ab}", of one group each. */
static const char *report_text(uint32_t index)
{
    static const char *const names[] = {"?", "IS_IN", "IS_EX", "TO_IN", "TO_EX", "ALLOW", "BLOCK"};
    static char text[512];
    const uint8_t *at = wire.records[index].bytes + MESSAGE4,
                  *end = wire.records[index].bytes + wire.records[index].size;
    uint32_t count = get16(at + 6);
    size_t length = 0;

    cr_assert_lt(index, wire.count);
    cr_assert_eq(at[0], 0x22, "an IGMPv3 report");
    text[0] = '\0';
    at += 8;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t source_count = get16(at + 2);

        cr_assert(at + 8 + source_count * 4 <= end && at[0] >= 1 && at[0] <= 6);
        length += (size_t)snprintf(text + length, sizeof(text) - length, "%s%s{", i > 0 ? " " : "", names[at[0]]);
        for (uint32_t j = 0; j < source_count; j++)
            text[length++] = (char)at[8 + j * 4 + 3];
        length += (size_t)snprintf(text + length, sizeof(text) - length, "}");
        at += 8 + source_count * 4;
    }
    return text;
}

#define expect_reports(...)                                                                                            \
    do {                                                                                                               \
        static const char *const texts[] = {__VA_ARGS__};                                                              \
        enum { TEXTS = sizeof(texts) / sizeof(texts[0]) };                                                             \
        cr_assert_eq(wire.count, TEXTS, "%u reports", wire.count);                                                     \
        for (uint32_t expect_i = 0; expect_i < TEXTS; expect_i++)                                                      \
            cr_assert_str_eq(report_text(expect_i), texts[expect_i], "%s", report_text(expect_i));                     \
        wire.count = 0;                                                                                                \
    } while (0)

static inline void expect_silence(void)
{
    run(10 * SECOND);
    cr_assert_eq(wire.count, 0, "%s", report_text(0));
}

#endif
