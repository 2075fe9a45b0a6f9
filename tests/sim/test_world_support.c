/* test_world_support.c: see test_world.h. */
#include "test_world.h"

#include <stdio.h>
#include <unistd.h>

uint32_t server, client;

/* ---- worlds ---- */

void world_end(void)
{
    for (uint32_t host = state_now().hosts; host-- > 1;)
        (void)befall(PAL_CTL_SIM_CRASH, host);
}

int ctl(int key, void *value, size_t size)
{
    return pal_ctl(NULL, key, value, size);
}

void world_begin_with(struct pal_sim_setup setup)
{
    setup.flags |= PAL_SIM_QUIET | PAL_SIM_ASSERTED;
    cr_assert_eq(ctl(PAL_CTL_SIM_BEGIN, &setup, sizeof setup), 0, "%s", pal_reason());
}

void world_begin(uint64_t seed)
{
    world_begin_with((struct pal_sim_setup){.seed = seed});
}

uint32_t add_host(const char *name, const char *addresses)
{
    struct pal_sim_host host = {.name = name, .addresses = addresses};

    cr_assert_eq(ctl(PAL_CTL_SIM_HOST, &host, sizeof host), 0, "%s", pal_reason());
    return host.host;
}

void start_on(uint32_t host, int32_t (*function)(void *), void *argument)
{
    struct pal_sim_start start = {.host = host, .function = function, .argument = argument};

    cr_assert_eq(ctl(PAL_CTL_SIM_START, &start, sizeof start), 0, "%s", pal_reason());
}

int run_until(uint64_t until_ns)
{
    struct pal_sim_run run = {.until_ns = until_ns};

    return ctl(PAL_CTL_SIM_RUN, &run, sizeof run);
}

int32_t result_of(uint32_t host)
{
    struct pal_sim_result result = {.host = host};

    cr_assert_eq(ctl(PAL_CTL_SIM_RESULT, &result, sizeof result), 0);
    return result.result;
}

struct pal_sim_state state_now(void)
{
    struct pal_sim_state state;

    cr_assert_eq(ctl(PAL_CTL_SIM_STATE, &state, sizeof state), 0);
    return state;
}

struct pal_sim_counters counters_now(void)
{
    struct pal_sim_counters counters;

    cr_assert_eq(ctl(PAL_CTL_SIM_COUNTERS, &counters, sizeof counters), 0);
    return counters;
}

int befall(int key, uint32_t host)
{
    return ctl(key, &host, sizeof host);
}

int between(int key, uint32_t a, uint32_t b)
{
    struct pal_sim_pair pair = {a, b};

    return ctl(key, &pair, sizeof pair);
}

void set_faults(struct pal_sim_faults faults)
{
    cr_assert_eq(ctl(PAL_CTL_SIM_FAULTS, &faults, sizeof faults), 0, "%s", pal_reason());
}

uint64_t now_ns(void)
{
    return pal_clock(PAL_CLOCK_MONOTONIC);
}

void sleep_for(uint64_t ns)
{
    uint64_t until_ns = now_ns() + ns;

    while (now_ns() < until_ns)
        (void)pal_sock_wait(NULL, 0, until_ns);
}

/* ---- sockets ---- */

static int open_at(const char *address, uint16_t port, int type, pal_sock *out)
{
    struct pal_addr addr;
    int32_t on = 1;
    int error = pal_addr_from_host(&addr, address, port);

    if (!error)
        error = pal_sock_open(NULL, addr.family, type, 0, out);
    if (error)
        return error;
    if ((error = pal_sock_set(*out, PAL_SO_REUSEADDR, &on, sizeof on)) || (error = pal_sock_bind(*out, &addr)))
        pal_sock_close(*out);
    return error;
}

int listen_at(const char *address, uint16_t port, pal_sock *out)
{
    int error = open_at(address, port, PAL_SOCK_STREAM, out);

    return error ? error : pal_sock_listen(*out, 64);
}

int datagrams_at(const char *address, uint16_t port, pal_sock *out)
{
    return open_at(address, port, PAL_SOCK_DGRAM, out);
}

int accept_one(pal_sock listener, pal_sock *out)
{
    for (;;) {
        struct pal_wait item = {.sock = listener, .interest = PAL_IN};
        int error = pal_sock_wait(&item, 1, UINT64_MAX);

        if (error < 0)
            return error;
        error = pal_sock_accept(listener, out, NULL);
        if (error != PAL_EAGAIN && error != PAL_EMFILE && error != PAL_ENOBUFS && error != PAL_ECONNABORTED)
            return error;
    }
}

static int open_retrying(int family, pal_sock *out)
{
    int error;

    do {
        error = pal_sock_open(NULL, family, PAL_SOCK_STREAM, 0, out);
    } while (error == PAL_EMFILE || error == PAL_ENOBUFS);
    return error;
}

int connect_to(const char *address, uint16_t port, uint64_t deadline_ns, pal_sock *out)
{
    struct pal_addr addr;
    int32_t outcome = 0;
    size_t size = sizeof outcome;
    int error = pal_addr_from_host(&addr, address, port);

    if (error || (error = open_retrying(addr.family, out)))
        return error;
    error = pal_sock_connect(*out, &addr);
    while (error == PAL_EINPROGRESS) {
        struct pal_wait item = {.sock = *out, .interest = PAL_OUT};

        if ((error = pal_sock_wait(&item, 1, deadline_ns)) < 0)
            break;
        if (error == 0) {
            error = now_ns() < deadline_ns ? PAL_EINPROGRESS : PAL_ETIMEDOUT;
            continue;
        }
        error = pal_sock_get(*out, PAL_SO_ERROR, &outcome, &size);
        error = error ? error : outcome;
    }
    if (error)
        pal_sock_close(*out);
    return error;
}

int32_t send_whole(pal_sock sock, const void *data, int32_t size)
{
    int32_t sent = 0;

    while (sent < size) {
        int32_t result = pal_sock_send(sock, (const char *)data + sent, (size_t)(size - sent), PAL_MSG_WAIT);

        if (result < 0 && result != PAL_ENOBUFS)
            return result;
        sent += result > 0 ? result : 0;
    }
    return sent;
}

int32_t recv_whole(pal_sock sock, void *data, int32_t size)
{
    int32_t received = 0;

    while (received < size) {
        int32_t result = pal_sock_recv(sock, (char *)data + received, (size_t)(size - received), PAL_MSG_WAIT);

        if (result <= 0)
            return result < 0 ? result : received;
        received += result;
    }
    return received;
}

/* ---- echoes ---- */

static int echo_one(pal_sock sock)
{
    char buffer[512];
    int32_t result;

    while ((result = pal_sock_recv(sock, buffer, sizeof buffer, PAL_MSG_WAIT)) > 0)
        if (send_whole(sock, buffer, result) < 0)
            return -1;
    return result;
}

int32_t echo_server(void *argument)
{
    const struct echo *echo = argument;
    pal_sock listener, sock;

    NEED(listen_at(echo->address, PORT, &listener) == 0);
    for (int served = 0; served < echo->connections;) {
        NEED(accept_one(listener, &sock) == 0);
        served += echo_one(sock) == 0;
        NEED(pal_sock_close(sock) == 0);
    }
    NEED(pal_sock_close(listener) == 0);
    return 0;
}

/* Did all of it come back? */
static bool talk(pal_sock sock, int32_t bytes)
{
    char there[1024], back[1024];

    for (int32_t done = 0; done < bytes;) {
        int32_t piece = bytes - done < (int32_t)sizeof there ? bytes - done : (int32_t)sizeof there;

        for (int32_t i = 0; i < piece; i++)
            there[i] = (char)(done + i * 7);
        if (send_whole(sock, there, piece) != piece || recv_whole(sock, back, piece) != piece)
            return false;
        if (memcmp(there, back, (size_t)piece) != 0)
            return false;
        done += piece;
    }
    return true;
}

int32_t echo_client(void *argument)
{
    const struct echo *echo = argument;
    int32_t good = 0;
    pal_sock sock;

    for (int tries = 0; good < echo->connections && tries < echo->connections * 4; tries++) {
        if (connect_to(echo->address, PORT, now_ns() + 60 * SECOND, &sock))
            continue;
        good += talk(sock, echo->bytes);
        NEED(pal_sock_close(sock) == 0);
    }
    return good;
}

void start_echo(struct echo *echo)
{
    server = add_host("server", "10.0.0.1 fd00::1");
    client = add_host("client", "10.0.0.2 fd00::2");
    echo->address = echo->address ? echo->address : "10.0.0.1";
    start_on(server, echo_server, echo);
    start_on(client, echo_client, echo);
}

/* ---- memory ---- */

struct memory_out memory_out;

static void *take(void *context, size_t size, size_t alignment)
{
    struct memory_out *out = context;

    out->bytes += size;
    out->blocks++;
    return alignment <= 16 ? malloc(size) : aligned_alloc(alignment, (size + alignment - 1) & ~(alignment - 1));
}

static void give(void *context, void *memory, size_t size)
{
    struct memory_out *out = context;

    out->bytes -= size;
    out->blocks--;
    free(memory);
}

void count_memory(void)
{
    count_memory_with(0);
}

void count_memory_with(uint32_t workers_max)
{
    struct pal_allocator counting = {take, give, &memory_out};
    struct pal_setup setup = {.allocator = &counting, .workers_max = workers_max};

    cr_assert_eq(pal_setup(&setup), 0, "%s", pal_reason());
}

/* ---- the error stream ---- */

static FILE *errors;

void catch_errors(void)
{
    errors = tmpfile();
    cr_assert_not_null(errors);
    setvbuf(stderr, NULL, _IONBF, 0);
    cr_assert_eq(dup2(fileno(errors), STDERR_FILENO), STDERR_FILENO);
}

const char *caught_errors(void)
{
    static char text[8192];
    ssize_t size = pread(fileno(errors), text, sizeof text - 1, 0);

    text[size > 0 ? size : 0] = '\0';
    return text;
}
