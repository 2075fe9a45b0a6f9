/* tests/sim/kit_hosts.c: see kit_hosts.h. */
#include "kit_hosts.h"

#include <pal/address.h>
#include <pal/pal.h>
#include <string.h>

enum { PORT = 7, MESSAGE_SIZE = 100 };

static uint64_t now(void)
{
    return pal_clock(PAL_CLOCK_MONOTONIC);
}

void nap(uint64_t duration_ns)
{
    static const uint32_t word;
    uint64_t end_ns = now() + duration_ns;

    while (now() < end_ns)
        (void)pal_park(&word, 0, end_ns);
}

static int wait_for(pal_sock sock, uint16_t interest, uint64_t deadline_ns)
{
    struct pal_wait item = {.sock = sock, .interest = interest};
    int ready = pal_sock_wait(&item, 1, deadline_ns);

    return ready == 0 && now() >= deadline_ns ? PAL_ETIMEDOUT : ready < 0 ? ready : 0;
}

/* Sends or receives all of it. PAL_ECONNRESET: the stream has ended. */
static int move_all(pal_sock sock, uint8_t *bytes, size_t size, bool sends, uint64_t deadline_ns)
{
    for (size_t moved = 0; moved < size;) {
        int32_t count = sends ? pal_sock_send(sock, bytes + moved, size - moved, 0)
                              : pal_sock_recv(sock, bytes + moved, size - moved, 0);

        if (count == 0)
            return PAL_ECONNRESET;
        if (count == PAL_EAGAIN)
            count = wait_for(sock, sends ? PAL_OUT : PAL_IN, deadline_ns);
        if (count < 0)
            return count;
        moved += (size_t)count;
    }
    return 0;
}

/* ---- the server ---- */

static void echo(pal_sock sock)
{
    uint8_t bytes[512];

    for (;;) {
        int32_t size = pal_sock_recv(sock, bytes, sizeof(bytes), 0);

        if (size == PAL_EAGAIN)
            size = wait_for(sock, PAL_IN, UINT64_MAX);
        else if (size == 0)
            return;
        if (size < 0 || (size > 0 && move_all(sock, bytes, (size_t)size, true, UINT64_MAX) < 0))
            return;
    }
}

int echo_main(void *address)
{
    struct pal_addr addr;
    pal_sock listener, sock;
    int code = pal_addr_from_host(&addr, address, PORT);

    code = code < 0 ? code : pal_sock_open(NULL, addr.family, PAL_SOCK_STREAM, 0, &listener);
    if (code < 0)
        return code;
    code = pal_sock_bind(listener, &addr);
    code = code < 0 ? code : pal_sock_listen(listener, 8);
    while (code == 0) {
        code = wait_for(listener, PAL_IN, UINT64_MAX);
        if (code == 0 && pal_sock_accept(listener, &sock, NULL) == 0) {
            echo(sock);
            (void)pal_sock_close(sock);
        }
    }
    (void)pal_sock_close(listener);
    return code;
}

/* ---- the client ---- */

static int ask(struct asker *asker, pal_sock sock)
{
    uint8_t message[MESSAGE_SIZE], answer[MESSAGE_SIZE];
    uint64_t asked_ns = now(), deadline_ns = asker->patience_ns != 0 ? asked_ns + asker->patience_ns : UINT64_MAX;
    int code;

    memset(message, asker->answered + 1, sizeof(message));
    code = move_all(sock, message, sizeof(message), true, deadline_ns);
    if (code == 0)
        code = move_all(sock, answer, sizeof(answer), false, deadline_ns);
    if (code < 0)
        return code;
    if (memcmp(message, answer, sizeof(answer)) != 0)
        return PAL_EPROTO;
    asker->answered++;
    if (now() - asked_ns > asker->slowest_ns)
        asker->slowest_ns = now() - asked_ns;
    return 0;
}

static int connect_to(pal_sock sock, const char *server)
{
    struct pal_query query = {.host = server, .type = PAL_SOCK_STREAM};
    struct pal_addr addr;
    int32_t error = 0;
    size_t size = sizeof(error);
    int code = pal_resolve(&query, &addr, 1);

    if (code < 0)
        return code;
    addr.port = PORT;
    code = pal_sock_connect(sock, &addr);
    if (code == PAL_EINPROGRESS)
        code = wait_for(sock, PAL_OUT, UINT64_MAX);
    if (code == 0)
        code = pal_sock_get(sock, PAL_SO_ERROR, &error, &size);
    return code < 0 ? code : error;
}

int ask_main(void *argument)
{
    struct asker *asker = argument;
    pal_sock sock;
    int code = pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_STREAM, 0, &sock);

    if (code < 0)
        return code;
    code = connect_to(sock, asker->server);
    while (code == 0 && asker->answered < asker->messages) {
        code = ask(asker, sock);
        nap(asker->interval_ns);
    }
    (void)pal_sock_close(sock);
    return code;
}
