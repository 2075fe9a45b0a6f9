/* tests/swap/app.c: a program of the seam alone, compiled once and linked with every backend: an echo server and its
 * client in one thread. It connects, accepts and sends by op, receives by watch and try on one side and by op on the
 * other, wakes itself, and prints "ok <backend>". Every wait is bounded; whatever fails is said and ends it. */
#include <pal/address.h>
#include <pal/pal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TURNS_MAX = 500 };
enum { TURN_NS = 20 * 1000 * 1000 };
enum { FROM_SERVER = 1, FROM_ACCEPT, FROM_CONNECT, FROM_SEND, FROM_RECV }; /* data of the events */

static pal_poll *poll;
static const char message[] = "one object, every backend";

/* Ends the program with the step that failed, unless result is at least 0. */
static int must(int result, const char *step)
{
    if (result < 0) {
        fprintf(stderr, "%s: %s (%s)\n", step, pal_error_text(result), pal_reason());
        exit(EXIT_FAILURE);
    }
    return result;
}

/* Waits for the event with this data and returns it by value; other events are passed over. */
static struct pal_event await(uint64_t data, uint16_t kind)
{
    for (int turn = 0; turn < TURNS_MAX; turn++) {
        const struct pal_event *events;
        int count = must(pal_poll_wait(poll, &events, pal_poll_now(poll) + TURN_NS), "wait");
        for (int i = 0; i < count; i++) {
            if (events[i].kind == kind && events[i].data == data) {
                return events[i];
            }
        }
    }
    must(PAL_ETIMEDOUT, "await");
    return (struct pal_event){.kind = PAL_EV_NONE};
}

/* Submits op and returns its result, whether it was done at once or not. */
static int32_t perform(struct pal_op *op, const char *step)
{
    if (must(pal_submit(poll, op), step) == 1) {
        return op->result;
    }
    struct pal_event event = await(op->data, PAL_EV_OP);
    return event.result;
}

static pal_sock open_listener(struct pal_addr *addr)
{
    pal_sock listener;
    must(pal_addr_set_loopback(addr, PAL_AF_INET, 0), "loopback");
    must(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_STREAM, PAL_IPPROTO_TCP, &listener), "open listener");
    must(pal_sock_bind(listener, addr), "bind");
    must(pal_sock_listen(listener, 1), "listen");
    must(pal_sock_name(listener, PAL_NAME_LOCAL, addr), "name");
    return listener;
}

static pal_sock accept_from(pal_sock listener)
{
    pal_sock accepted;
    struct pal_op op = {.sock = listener, .data = FROM_ACCEPT, .aux = &accepted, .kind = PAL_OP_ACCEPT};
    must(perform(&op, "submit accept"), "accept");
    return accepted;
}

/* Sends what has arrived back: the server's side, by watch and try. */
static void echo(pal_sock server)
{
    char buffer[sizeof(message)];
    size_t size = 0;
    must(pal_watch(poll, server, PAL_IN, FROM_SERVER), "watch");
    while (size < sizeof(message)) {
        struct pal_event event = await(FROM_SERVER, PAL_EV_READY);
        if ((event.ready & PAL_IN) == 0) {
            must(PAL_EPROTO, "ready without data");
        }
        int32_t received = pal_sock_recv(server, buffer + size, sizeof(buffer) - size, 0);
        if (received == PAL_EAGAIN) {
            continue;
        }
        size += (size_t)must(received == 0 ? PAL_EPIPE : received, "recv");
    }
    must(pal_watch(poll, server, 0, 0), "unwatch");
    struct pal_op op = {.sock = server, .data = FROM_SEND, .buf = buffer, .size = size, .kind = PAL_OP_SEND};
    must(perform(&op, "submit echo"), "echo");
}

/* Receives the echo: the client's side, by op. */
static void receive_echo(pal_sock client)
{
    char buffer[sizeof(message)] = "";
    size_t size = 0;
    while (size < sizeof(message)) {
        struct pal_op op = {.sock = client,
                            .data = FROM_RECV,
                            .buf = buffer + size,
                            .size = sizeof(buffer) - size,
                            .kind = PAL_OP_RECV};
        int32_t received = perform(&op, "submit recv");
        size += (size_t)must(received == 0 ? PAL_EPIPE : received, "recv by op");
    }
    must(memcmp(buffer, message, sizeof(message)) == 0 ? 0 : PAL_EPROTO, "compare");
}

int main(void)
{
    struct pal_addr addr;
    pal_sock client;
    must(pal_poll_open(&poll, NULL), "open poll");
    pal_sock listener = open_listener(&addr);
    must(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_STREAM, PAL_IPPROTO_TCP, &client), "open client");
    struct pal_op connect = {.sock = client, .data = FROM_CONNECT, .aux = &addr, .kind = PAL_OP_CONNECT};
    must(perform(&connect, "submit connect"), "connect");
    pal_sock server = accept_from(listener);

    char request[sizeof(message)];
    memcpy(request, message, sizeof(message));
    struct pal_op send = {
        .sock = client, .data = FROM_SEND, .buf = request, .size = sizeof(request), .kind = PAL_OP_SEND};
    must(perform(&send, "submit send"), "send");
    echo(server);
    receive_echo(client);
    must(pal_poll_wake(poll), "wake");
    await(0, PAL_EV_WAKE);

    must(pal_sock_close(server), "close server");
    must(pal_sock_close(client), "close client");
    must(pal_sock_close(listener), "close listener");
    must(pal_poll_close(poll), "close poll");
    printf("ok %s\n", pal_backend_info()->name);
    return EXIT_SUCCESS;
}
