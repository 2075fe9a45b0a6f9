/* test_world.h: simulated worlds for tests: begun, peopled, run and asked by the seam alone (pal/sim.h), and programs
 * for their hosts. */
#ifndef TESTS_SIM_TEST_WORLD_H
#define TESTS_SIM_TEST_WORLD_H

#include "support/test.h"

#include <pal/address.h>
#include <pal/pal.h>
#include <pal/sim.h>

#define US UINT64_C(1000)
#define MS UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)
#define BEGINNING SECOND /* of every world */

enum { PORT = 7 };

/* In a host's function: leaves it with the negated line when something is not as it has to be. */
#define NEED(condition)                                                                                                \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            return -(100000 + __LINE__);                                                                               \
    } while (0)

/* A new world without a word. Both end the test if there is none. */
void world_begin(uint64_t seed);
void world_begin_with(struct pal_sim_setup setup); /* flags: QUIET and ASSERTED are added */

/* Every host but the first crashes. */
void world_end(void);

/* What pal_ctl says. */
int ctl(int key, void *value, size_t size);
uint32_t add_host(const char *name, const char *addresses);
void start_on(uint32_t host, int32_t (*function)(void *), void *argument);
int run_until(uint64_t until_ns);
int32_t result_of(uint32_t host);
struct pal_sim_state state_now(void);
struct pal_sim_counters counters_now(void);
int befall(int key, uint32_t host);           /* CRASH, RESTART, PAUSE, RESUME, ENTER */
int between(int key, uint32_t a, uint32_t b); /* CUT, HEAL */
void set_faults(struct pal_sim_faults faults);

uint64_t now_ns(void);
void sleep_for(uint64_t ns);

/* Sockets of the calling strand's host: PAL_E*, or 0 and *out. */
int listen_at(const char *address, uint16_t port, pal_sock *out);
int accept_one(pal_sock listener, pal_sock *out);
int connect_to(const char *address, uint16_t port, uint64_t deadline_ns, pal_sock *out);
int datagrams_at(const char *address, uint16_t port, pal_sock *out);
int32_t send_whole(pal_sock sock, const void *data, int32_t size); /* size, or PAL_E* */
int32_t recv_whole(pal_sock sock, void *data, int32_t size);       /* bytes until the end or size, or PAL_E* */

/* Echoes what comes until the end, for as many connections as were wanted; survives what faults of calls do. */
struct echo {
    const char *address;
    int connections;
    int32_t bytes; /* the client's: of each connection */
};
int32_t echo_server(void *echo); /* 0 */
int32_t echo_client(void *echo); /* how many of its connections got all of it back, of the connections wanted */

/* Two hosts, "server" 10.0.0.1 with echo_server and "client" 10.0.0.2 with echo_client, started. */
extern uint32_t server, client;
void start_echo(struct echo *echo);

/* Bytes and blocks that are out of the allocator which count_memory gives to the seam, before all else. */
struct memory_out {
    size_t bytes, blocks;
};
extern struct memory_out memory_out;
void count_memory(void);
void count_memory_with(uint32_t workers_max);

/* From now on the error stream goes to a file; what is in it. */
void catch_errors(void);
const char *caught_errors(void);

#endif
