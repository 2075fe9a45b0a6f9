/* stack_config.c: the defaults of struct netstack_config, and what its values may be: one table of numbers, one of
 * times, and what must hold between them. */
#include "stack_config.h"
#include "wire.h"

#include <stddef.h>

enum {
    OBJECTS_MAX = 1 << 24, /* of a kind: demux.h has 28 bits for their index */
    COUNT_MAX = 255,       /* what is counted in a byte */
    SEND_BUFFER_MAX = 1 << 30,
    RECEIVE_BUFFER_MAX = 65535 << 14, /* the largest window there is (RFC 7323 2.3) */
    MTU_IP4_MIN = 68                  /* RFC 791 */
};

#define US UINT64_C(1000)
#define MS (1000 * US)
#define SECOND (1000 * MS)
#define YEAR (365 * 24 * 3600 * SECOND)

struct number_rule {
    const char *name;
    size_t offset;
    uint32_t usual, least, most;
};

struct time_rule {
    const char *name;
    size_t offset;
    uint64_t usual, least, most;
};

#define RULE(field, usual, least, most)                                                                                \
    {                                                                                                                  \
#field, offsetof(struct netstack_config, field), usual, least, most                                            \
    }

static const struct number_rule number_rules[] = {
    RULE(tcp_max, 1024, 1, OBJECTS_MAX),
    RULE(listeners_max, 64, 1, OBJECTS_MAX),
    RULE(embryos_max, 1024, 1, OBJECTS_MAX),
    RULE(timewaits_max, 4096, 1, OBJECTS_MAX),
    RULE(udp_max, 256, 1, OBJECTS_MAX),
    RULE(segments_max, 16384, 1, OBJECTS_MAX),
    RULE(chunks_max, 16384, 1, OBJECTS_MAX),
    RULE(neighbours_max, 1024, 1, OBJECTS_MAX),
    RULE(routes_max, 64, 1, OBJECTS_MAX),
    RULE(paths_max, 2048, 1, OBJECTS_MAX),
    RULE(frag_sets_max, 64, 1, OBJECTS_MAX),
    RULE(frag_frames_max, 1024, 1, OBJECTS_MAX),
    RULE(big_frames_max, 256, 1, OBJECTS_MAX),
    RULE(groups_max, 256, 1, OBJECTS_MAX),
    RULE(held_frames_max, 16384, 1, OBJECTS_MAX),
    RULE(send_buffer, 256 << 10, 1, SEND_BUFFER_MAX),
    RULE(receive_buffer, 256 << 10, 1, RECEIVE_BUFFER_MAX),
    RULE(send_buffer_max, 4 << 20, 1, SEND_BUFFER_MAX),
    RULE(receive_buffer_max, 4 << 20, 1, RECEIVE_BUFFER_MAX),
    RULE(keepalive_count, 9, 1, COUNT_MAX),
    RULE(syn_retries, 6, 1, COUNT_MAX),
    RULE(synack_retries, 5, 1, COUNT_MAX - 1),
    RULE(mtu_floor, 552, MTU_IP4_MIN, UINT16_MAX),
};

static const struct time_rule time_rules[] = {
    RULE(rto_min_ns, 5 * MS, US, YEAR),
    RULE(rto_initial_ns, SECOND, US, YEAR),
    RULE(rto_max_ns, 60 * SECOND, US, YEAR),
    RULE(peer_ack_delay_ns, 40 * MS, 1, YEAR),
    RULE(ack_delay_ns, 0, 0, 499 * MS), /* RFC 9293 3.8.6.3 (MUST-40) */
    RULE(msl_ns, 30 * SECOND, US, YEAR),
    RULE(user_timeout_ns, 100 * SECOND, US, YEAR),
    RULE(keepalive_idle_ns, 7200 * SECOND, US, YEAR),
    RULE(keepalive_interval_ns, 75 * SECOND, US, YEAR),
    RULE(frag_timeout_ns, 60 * SECOND, US, YEAR),
    RULE(path_mtu_age_ns, 600 * SECOND, US, YEAR),
};

static const char *complete_numbers(struct netstack_config *config)
{
    for (size_t i = 0; i < sizeof(number_rules) / sizeof(number_rules[0]); i++) {
        const struct number_rule *rule = &number_rules[i];
        uint32_t *value = (uint32_t *)(void *)((char *)config + rule->offset);

        if (*value == 0)
            *value = rule->usual;
        if (*value < rule->least || *value > rule->most)
            return rule->name;
    }
    return NULL;
}

static const char *complete_times(struct netstack_config *config)
{
    for (size_t i = 0; i < sizeof(time_rules) / sizeof(time_rules[0]); i++) {
        const struct time_rule *rule = &time_rules[i];
        uint64_t *value = (uint64_t *)(void *)((char *)config + rule->offset);

        if (*value == 0)
            *value = rule->usual;
        if (*value < rule->least || *value > rule->most)
            return rule->name;
    }
    return NULL;
}

/* A limit that nobody has named gives way to the value that somebody has. */
static void widen(struct netstack_config *config, const struct netstack_config *given)
{
    if (given->send_buffer_max == 0 && config->send_buffer_max < config->send_buffer)
        config->send_buffer_max = config->send_buffer;
    if (given->receive_buffer_max == 0 && config->receive_buffer_max < config->receive_buffer)
        config->receive_buffer_max = config->receive_buffer;
    if (given->send_buffer == 0 && config->send_buffer > config->send_buffer_max)
        config->send_buffer = config->send_buffer_max;
    if (given->receive_buffer == 0 && config->receive_buffer > config->receive_buffer_max)
        config->receive_buffer = config->receive_buffer_max;
    if (given->rto_max_ns == 0 && config->rto_max_ns < config->rto_min_ns)
        config->rto_max_ns = config->rto_min_ns;
    if (given->rto_min_ns == 0 && config->rto_min_ns > config->rto_max_ns)
        config->rto_min_ns = config->rto_max_ns;
    if (given->rto_initial_ns == 0 && config->rto_initial_ns > config->rto_max_ns)
        config->rto_initial_ns = config->rto_max_ns;
}

const char *pal__n_config_complete(struct netstack_config *config)
{
    const struct netstack_config given = *config;
    const uint32_t known = NETSTACK_DAD | NETSTACK_COOKIES_OFF | NETSTACK_FIXED_ISN | NETSTACK_NO_PREDICTION |
                           NETSTACK_SACK_OFF | NETSTACK_TIMESTAMPS_OFF | NETSTACK_SCALE_OFF;
    const char *wrong;

    if (config->allocator == NULL)
        return "allocator";
    if ((config->flags & ~known) != 0)
        return "flags";
    wrong = complete_numbers(config);
    if (wrong == NULL)
        wrong = complete_times(config);
    if (wrong != NULL)
        return wrong;
    widen(config, &given);
    if (config->send_buffer > config->send_buffer_max)
        return "send_buffer";
    if (config->receive_buffer > config->receive_buffer_max)
        return "receive_buffer";
    if (config->rto_min_ns > config->rto_max_ns)
        return "rto_min_ns";
    if (config->rto_initial_ns > config->rto_max_ns)
        return "rto_initial_ns";
    return NULL;
}
