/* tests/install/outside/app.c: a program of another project, which uses both libraries: it sends itself a datagram over
 * the loopback interface, waits for it, and prints "ok BACKEND". Whatever fails is said and ends it. */
#include <pal/pal.h>
#include <palio/address.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char message[] = "from outside";

/* Ends the program with the step that failed, unless result is at least 0. */
static int must(int result, const char *step)
{
    if (result < 0) {
        fprintf(stderr, "%s: %s (%s)\n", step, palio_strerror(result), pal_reason());
        exit(EXIT_FAILURE);
    }
    return result;
}

int main(void)
{
    palio_address addr;
    pal_poll *poll;
    pal_sock sock;
    const struct pal_event *events;
    char buffer[sizeof message];

    must(palio_address_parse(&addr, "127.0.0.1:0"), "parse");
    must(pal_poll_open(&poll, NULL), "open a poll");
    must(pal_sock_open(poll, addr.family, PAL_SOCK_DGRAM, 0, &sock), "open a socket");
    must(pal_sock_bind(sock, &addr), "bind");
    must(pal_sock_name(sock, PAL_NAME_LOCAL, &addr), "name");
    must(pal_sock_connect(sock, &addr), "connect to itself");
    must(pal_watch(poll, sock, PAL_IN, sock.id), "watch");
    must(pal_sock_send(sock, message, sizeof message, 0), "send");
    int count = must(pal_poll_wait(poll, &events, palio_after(20 * PALIO_SECOND).ns), "wait");
    if (count != 1 || events[0].data != sock.id)
        must(PAL_ETIMEDOUT, "wait for the datagram");
    int received = must(pal_sock_recv(sock, buffer, sizeof buffer, 0), "receive");
    if ((size_t)received != sizeof message || memcmp(buffer, message, sizeof message) != 0)
        must(PAL_EPROTO, "compare");
    must(pal_watch(poll, sock, 0, 0), "unwatch");
    must(pal_sock_close(sock), "close the socket");
    must(pal_poll_close(poll), "close the poll");
    printf("ok %s\n", pal_backend_info()->name);
    return EXIT_SUCCESS;
}
