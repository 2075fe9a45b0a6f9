/* tests/netstack/swarm_plan.c: which connections a run of the swarm has, and what each end of them means to do. */
#include "swarm.h"

#include <string.h>

enum { STEPS_MAX = 300 };

static void plan_end(struct world *world, struct conn *conn, int index)
{
    static const uint8_t likely[] = {PLAN_HALF_CLOSE, PLAN_HALF_CLOSE, PLAN_HALF_CLOSE, PLAN_HALF_CLOSE,
                                     PLAN_HALF_CLOSE, PLAN_LAST,       PLAN_LAST,       PLAN_HASTY,
                                     PLAN_QUITTER,    PLAN_ABORTER};
    struct endpoint *end = &conn->ends[index];
    struct rng *rng = &world->rng;

    end->conn = conn;
    end->side =
        index == 0 || conn->how == HOW_TO_SELF || conn->how == HOW_LOOPBACK ? conn->client_side : 1 - conn->client_side;
    end->plan = (enum plan)likely[rng_below(rng, sizeof(likely))];
    if (index == 1 && end->plan == PLAN_LAST && conn->ends[0].plan == PLAN_LAST)
        end->plan = PLAN_HALF_CLOSE; /* somebody has to begin */
    end->piece_max = (uint32_t)rng_log(rng, rng_chance(rng, 60) ? 1000 : 1, PATTERN_MAX);
    end->goal = rng_chance(rng, 20) ? 0 : rng_log(rng, 1, world->options.goal_max);
    if (end->goal > (uint64_t)end->piece_max * STEPS_MAX)
        end->goal = (uint64_t)end->piece_max * STEPS_MAX;
    end->pause_at = rng_chance(rng, 25) ? rng_below(rng, 30000) : UINT64_MAX;
    end->quit_at = UINT64_MAX;
    end->uses_frames = rng_chance(rng, 25);
}

void tcp_plan(struct world *world)
{
    static const uint8_t hows[] = {HOW_TO_OTHER, HOW_TO_OTHER,       HOW_TO_OTHER, HOW_TO_OTHER, HOW_TO_OTHER,
                                   HOW_TO_OTHER, HOW_TO_CLOSED_PORT, HOW_TO_SELF,  HOW_LOOPBACK, HOW_BOTH};
    static const char *const names[] = {"to the other", "to a closed port", "to itself", "by loopback", "both at once"};
    struct rng *rng = &world->rng;
    bool together = rng_chance(rng, 30);

    for (uint32_t i = 0; i < world->options.conn_count; i++) {
        struct conn *conn = &world->conns[i];

        conn->index = i;
        conn->client_side = (int)rng_below(rng, 2);
        conn->how = (enum how)hows[rng_below(rng, sizeof(hows))];
        conn->start_ns = world->options.actors_ns + (together ? 0 : rng_below(rng, SECOND));
        plan_end(world, conn, 0);
        plan_end(world, conn, 1);
        for (int end = 0; end < 2; end++)
            if (conn->ends[end].plan == PLAN_QUITTER || conn->ends[end].plan == PLAN_ABORTER)
                conn->ends[end].quit_at = rng_below(rng, conn->ends[0].goal + conn->ends[1].goal + 1);
        tell(world, "conn %u: client on %d at +%u ms, %s: plans %d %d goals %u %u pieces %u %u", i, conn->client_side,
             (unsigned)((conn->start_ns - world->options.start_ns) / MS), names[conn->how], (int)conn->ends[0].plan,
             (int)conn->ends[1].plan, (unsigned)conn->ends[0].goal, (unsigned)conn->ends[1].goal,
             conn->ends[0].piece_max, conn->ends[1].piece_max);
    }
    for (int side = 0; side < 2; side++)
        world->listener_close_ns[side] =
            rng_chance(rng, 10) ? world->options.actors_ns + rng_below(rng, 2 * SECOND) : UINT64_MAX;
}

static uint8_t pattern_byte(uint64_t salt, uint64_t offset)
{
    return (uint8_t)(((uint32_t)offset * 0x9e3779b1U + (uint32_t)salt * 0x85ebca6bU) >> 23);
}

void pattern_fill(uint8_t *bytes, size_t size, uint64_t salt, uint64_t offset)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = pattern_byte(salt, offset + i);
}

size_t pattern_check(const uint8_t *bytes, size_t size, uint64_t salt, uint64_t offset)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != pattern_byte(salt, offset + i))
            return i;
    return size;
}
