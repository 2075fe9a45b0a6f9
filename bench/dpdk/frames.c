/* bench/dpdk/frames.c: round trips of raw frames between two processes, by DPDK's own bursts: the floor of run.py.
 *
 * usage: dpdk-frames answer SETTINGS              sends back every frame, until it is told to end
 *        dpdk-frames ask SETTINGS TRIPS SIZE...   round trips with messages of each size; then tells the other to end
 *
 * SETTINGS are those of the backend, with one device. Both look again and again. */
#include "raw.h"
#include "trips.h"

#define SECOND_NS UINT64_C(1000000000)
#define WAIT_NS (20 * SECOND_NS) /* for the other process */

static struct histogram trips;
static struct dpdk_port *port;

/* A trip: how long it took; UINT64_MAX: no answer within that time. */
static uint64_t trip_ns(struct raw *raw, uint8_t kind, uint32_t size, uint64_t patience_ns)
{
    uint64_t began_ns = clock_ns();
    bool sent = raw_ask(raw, kind, size);

    while (!sent || !raw_is_answered(raw))
        if (clock_ns() - began_ns > patience_ns)
            return UINT64_MAX;
    return clock_ns() - began_ns;
}

/* The first answers come when the other process is there. */
static void await_other(struct raw *raw)
{
    uint64_t end_ns = clock_ns() + WAIT_NS;

    while (trip_ns(raw, RAW_PING, 64, SECOND_NS / 100) == UINT64_MAX) {
        must(clock_ns() < end_ns, "nobody answers");
        (void)pal__d_port_link(port);
    }
    while (trip_ns(raw, RAW_PING, 64, SECOND_NS / 100) == UINT64_MAX) /* answers to what was given up are gone */
        must(clock_ns() < end_ns, "nobody answers");
}

static void measure(struct raw *raw, uint64_t count, uint32_t size)
{
    uint64_t warm = trips_warm(count);

    for (uint64_t i = 0; i < warm + count; i++) {
        uint64_t took_ns = trip_ns(raw, RAW_PING, size, SECOND_NS);

        must(took_ns != UINT64_MAX, "a frame is lost");
        if (i >= warm)
            histogram_record(&trips, took_ns);
    }
    tell_trips(&trips, "raw", size);
}

static void answer(struct raw *raw)
{
    bool ended = false;

    while (!ended)
        (void)raw_answer(raw, &ended);
    for (uint64_t end_ns = clock_ns() + SECOND_NS / 5; clock_ns() < end_ns;) /* for the answer to be taken */
        (void)raw_answer(raw, &ended);
}

int main(int count, char **arguments)
{
    bool asks = count > 4 && strcmp(arguments[1], "ask") == 0;
    uint32_t missing;
    struct raw raw;
    uint16_t id;

    if (!asks && (count != 3 || strcmp(arguments[1], "answer") != 0)) {
        fprintf(stderr, "usage: dpdk-frames answer SETTINGS | ask SETTINGS TRIPS SIZE...\n");
        return 2;
    }
    begin_dpdk(arguments[2]);
    must(pal__d_port_open(&settings, 0, &port, &words) == 0, "the port");
    must(rte_eth_dev_get_port_by_name(pal__d_port_name(port), &id) == 0, "the port's number");
    raw_begin(&raw, id);
    printf("ready\n");
    fflush(stdout);
    if (asks) {
        await_other(&raw);
        for (int i = 4; i < count; i++)
            measure(&raw, strtoull(arguments[3], NULL, 10), (uint32_t)strtoul(arguments[i], NULL, 10));
        (void)trip_ns(&raw, RAW_END, 64, SECOND_NS);
    } else {
        answer(&raw);
    }
    pal__d_port_stop(port);
    missing = pal__d_port_close(port);
    pal__d_eal_stop();
    printf("missing %u\n", missing);
    return missing != 0;
}
