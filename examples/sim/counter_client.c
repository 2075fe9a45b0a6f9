/* examples/sim/counter_client.c: a client of the counter, which does not give up. See counter.h.
 *
 * It waits for one socket at a time. Whatever fails ends the connection: the next one begins with the same request. */
#include "counter.h"
#include "counter_wire.h"

#include <pal/pal.h>

#include <stddef.h>

#define MS UINT64_C(1000000)
#define ANSWER_NS (2000 * MS) /* is waited for so long, over one connection */
#define AGAIN_NS (100 * MS)   /* after a connection has failed */

static uint64_t now(void)
{
    return pal_clock(PAL_CLOCK_MONOTONIC);
}

static void sleep_for(uint64_t duration_ns)
{
    for (uint64_t end_ns = now() + duration_ns; now() < end_ns;)
        (void)pal_sock_wait(NULL, 0, end_ns); /* which may end early */
}

static int wait_for(pal_sock sock, uint16_t interest, uint64_t deadline_ns)
{
    struct pal_wait item = {.sock = sock, .interest = interest};
    int ready = pal_sock_wait(&item, 1, deadline_ns);

    if (ready == 0 && now() >= deadline_ns)
        return PAL_ETIMEDOUT;
    return ready < 0 ? ready : 0;
}

static int send_all(pal_sock sock, const uint8_t *bytes, size_t size, uint64_t deadline_ns)
{
    for (size_t sent = 0; sent < size;) {
        int32_t taken = pal_sock_send(sock, bytes + sent, size - sent, 0);
        int code = taken == PAL_EAGAIN ? wait_for(sock, PAL_OUT, deadline_ns) : taken;

        if (code < 0)
            return code;
        sent += taken > 0 ? (size_t)taken : 0;
    }
    return 0;
}

static int receive_all(pal_sock sock, uint8_t *bytes, size_t size, uint64_t deadline_ns)
{
    for (size_t received = 0; received < size;) {
        int32_t got = pal_sock_recv(sock, bytes + received, size - received, 0);
        int code = got == PAL_EAGAIN ? wait_for(sock, PAL_IN, deadline_ns) : got;

        if (got == 0)
            return PAL_ECONNRESET;
        if (code < 0)
            return code;
        received += got > 0 ? (size_t)got : 0;
    }
    return 0;
}

/* The next request and its answer. The total grows by what was added at least; others add to it, too. */
static int ask(struct counter_job *job, pal_sock sock)
{
    uint8_t request[REQUEST_SIZE], answer[ANSWER_SIZE];
    uint64_t deadline_ns = now() + ANSWER_NS;
    int code;

    put_number(request, job->client);
    put_number(request + 8, job->done + 1);
    put_number(request + 16, job->amount);
    code = send_all(sock, request, sizeof(request), deadline_ns);
    if (code == 0)
        code = receive_all(sock, answer, sizeof(answer), deadline_ns);
    if (code < 0)
        return code;
    if (get_number(answer) != job->done + 1 || get_number(answer + 8) < job->total + job->amount)
        return PAL_EPROTO;
    job->done++;
    job->total = get_number(answer + 8);
    return 0;
}

static int connect_to(pal_sock sock, const struct pal_addr *addr)
{
    const int32_t yes = 1;
    int32_t error = 0;
    size_t size = sizeof(error);
    int code = pal_sock_connect(sock, addr);

    (void)pal_sock_set(sock, PAL_SO_NODELAY, &yes, sizeof(yes));
    if (code != PAL_EINPROGRESS)
        return code;
    code = wait_for(sock, PAL_OUT, now() + ANSWER_NS);
    if (code == 0)
        code = pal_sock_get(sock, PAL_SO_ERROR, &error, &size);
    return code < 0 ? code : error;
}

/* Over one connection, as far as it goes. */
static int talk(struct counter_job *job)
{
    struct pal_query query = {.host = job->server, .type = PAL_SOCK_STREAM};
    struct pal_addr addr;
    pal_sock sock;
    int code = pal_resolve(&query, &addr, 1);

    if (code < 0)
        return code;
    addr.port = COUNTER_PORT;
    code = pal_sock_open(NULL, addr.family, PAL_SOCK_STREAM, 0, &sock);
    if (code < 0)
        return code;
    code = connect_to(sock, &addr);
    while (code == 0 && job->done < job->times) {
        code = ask(job, sock);
        sleep_for(code == 0 ? job->pause_ns : 0);
    }
    (void)pal_sock_close(sock);
    return code;
}

int counter_add(void *argument)
{
    struct counter_job *job = argument;
    uint64_t deadline_ns = now() + job->patience_ns;

    while (job->done < job->times) {
        int code = talk(job);

        if (code == PAL_ENONAME || code == PAL_EPROTO)
            return code;
        if (code < 0 && now() >= deadline_ns)
            return PAL_ETIMEDOUT;
        if (code < 0)
            sleep_for(AGAIN_NS);
    }
    return 0;
}
