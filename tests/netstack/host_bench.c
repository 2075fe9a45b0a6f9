/* tests/netstack/host_bench.c: a client for bench/netstack_kernel: one connection to netstack-peer (bench/).
 *
 *   push   sends so many bytes of the pattern, and waits for the peer's end
 *   pull   receives so many, compares each with the pattern, and ends
 *   stall  sends so many messages of 64 bytes, each when the last one has come back; says how long they took */
#include "host.h"
#include "host_pattern.h"

#include <string.h>

enum { MESSAGE_SIZE = 64, BENCH_STEPS_MAX = 64 };

struct conversation {
    struct bench what;
    struct sock *sock; /* NULL: none */
    bool connecting, shut;
    uint64_t done; /* bytes, or messages that have come back */
    uint64_t began_ns;
    uint64_t *times_ns;    /* of messages */
    size_t sent, received; /* of the message that is out */
    uint8_t answer[MESSAGE_SIZE];
};

static struct conversation bench;
static struct pattern pattern;
static int status = -1;

static void end(int error)
{
    printf("bench: %s done %" PRIu64 "\n", error == 0 ? "ok" : pal_error_name(error), bench.done);
    if (error == 0 && bench.what.kind == BENCH_STALL)
        print_stalls(bench.times_ns, bench.done);
    fflush(stdout);
    free(bench.times_ns);
    pal__n_sock_close(bench.sock);
    bench.sock = NULL;
    status = error == 0 ? 0 : 1;
}

static bool is_over(int32_t result)
{
    if (result == PAL_EAGAIN || result == PAL_ENOBUFS)
        return false;
    end(result);
    return true;
}

static void push(void)
{
    uint64_t left = bench.what.count - bench.done;

    for (int i = 0; i < BENCH_STEPS_MAX && left > 0; i++) {
        size_t size = PATTERN_BLOCK < left ? PATTERN_BLOCK : (size_t)left;
        int32_t taken = pal__n_sock_send(bench.sock, pattern_of(&pattern, bench.done), size, 0);

        if (taken < 0) {
            is_over(taken);
            return;
        }
        bench.done += (uint64_t)taken;
        left -= (uint64_t)taken;
    }
    if (left == 0 && !bench.shut)
        bench.shut = pal__n_sock_shutdown(bench.sock, PAL_SHUT_WR) == 0;
    if (bench.shut) {
        int32_t size = pal__n_sock_recv(bench.sock, bench.answer, sizeof(bench.answer), 0);

        if (size >= 0)
            end(size == 0 ? 0 : PAL_EILSEQ);
        else
            is_over(size);
    }
}

static void pull(void)
{
    static uint8_t bytes[PATTERN_BLOCK];

    for (int i = 0; i < BENCH_STEPS_MAX; i++) {
        int32_t size = pal__n_sock_recv(bench.sock, bytes, sizeof(bytes), 0);

        if (size < 0) {
            is_over(size);
            return;
        }
        if (size == 0) {
            end(bench.done == bench.what.count ? 0 : PAL_ENODATA);
            return;
        }
        if (memcmp(bytes, pattern_of(&pattern, bench.done), (size_t)size) != 0) {
            end(PAL_EILSEQ);
            return;
        }
        bench.done += (uint64_t)size;
    }
}

/* Sends what is left of the message that is out. False: it does not go, or all is over. */
static bool send_message(void)
{
    int32_t taken;

    if (bench.sent == MESSAGE_SIZE)
        return true;
    if (bench.sent == 0)
        bench.began_ns = host_clock_ns();
    taken = pal__n_sock_send(bench.sock, pattern_of(&pattern, bench.done) + bench.sent, MESSAGE_SIZE - bench.sent, 0);
    if (taken < 0) {
        is_over(taken);
        return false;
    }
    bench.sent += (size_t)taken;
    return bench.sent == MESSAGE_SIZE;
}

static void stall(void)
{
    int32_t size;

    while (send_message()) {
        size = pal__n_sock_recv(bench.sock, bench.answer + bench.received, MESSAGE_SIZE - bench.received, 0);
        if (size <= 0) {
            is_over(size == 0 ? PAL_ENODATA : size);
            return;
        }
        bench.received += (size_t)size;
        if (bench.received < MESSAGE_SIZE)
            continue;
        if (memcmp(bench.answer, pattern_of(&pattern, bench.done), MESSAGE_SIZE) != 0) {
            end(PAL_EILSEQ);
            return;
        }
        bench.times_ns[bench.done++] = host_clock_ns() - bench.began_ns;
        bench.sent = bench.received = 0;
        if (bench.done == bench.what.count) {
            end(0);
            return;
        }
    }
}

static void see_connected(void)
{
    int32_t error = 0;
    size_t size = sizeof(error);

    if ((pal__n_sock_ready(bench.sock) & (PAL_OUT | PAL_ERR | PAL_HUP)) == 0)
        return;
    pal__n_sock_get(bench.sock, PAL_SO_ERROR, &error, &size);
    bench.connecting = false;
    if (error != 0)
        end(error);
}

static uint32_t interest(void)
{
    bool writes = bench.connecting || (bench.what.kind == BENCH_PUSH && !bench.shut) ||
                  (bench.what.kind == BENCH_STALL && bench.sent < MESSAGE_SIZE);

    return writes ? PAL_OUT : PAL_IN;
}

bool bench_ready(struct sock *sock)
{
    if (sock != bench.sock)
        return false;
    if (bench.connecting)
        see_connected();
    if (bench.sock != NULL && !bench.connecting) {
        if (bench.what.kind == BENCH_PUSH)
            push();
        else if (bench.what.kind == BENCH_PULL)
            pull();
        else
            stall();
    }
    if (bench.sock != NULL)
        pal__n_sock_watch(bench.sock, interest());
    return true;
}

int bench_connect(struct host *host, const struct bench *what)
{
    int error = pal__n_sock_open(host->stack, what->to.family, PAL_SOCK_STREAM, &bench.sock);

    if (error != 0)
        return error;
    pattern_init(&pattern);
    bench.what = *what;
    bench.connecting = true;
    bench.times_ns = calloc(what->kind == BENCH_STALL ? (size_t)what->count : 1, sizeof(*bench.times_ns));
    if (bench.times_ns == NULL)
        return PAL_ENOMEM;
    error = pal__n_sock_connect(bench.sock, &what->to);
    if (error != 0 && error != PAL_EINPROGRESS)
        return error;
    pal__n_sock_watch(bench.sock, PAL_OUT);
    return 0;
}

int bench_status(void)
{
    return status;
}
