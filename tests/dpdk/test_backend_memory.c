/* test_backend_memory.c: what a program on libpal-dpdk takes when it has started: nothing of the allocator, nothing of
 * the C library, and no packet buffer, connection, handle, descriptor or page that does not come back.
 *
 * The C library's allocator is counted by standing in front of it, for DPDK's libraries too. */
#include "backend_rig.h"

#include <dirent.h>
#include <errno.h>
#include <stdatomic.h>
#include <unistd.h>

TestSuite(dpdk_memory, .timeout = 120);

/* ---- counting ---- */

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *memory, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);
extern void __libc_free(void *memory);

static _Atomic uint64_t taken, freed, of_setup;

void *malloc(size_t size)
{
    atomic_fetch_add(&taken, 1);
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    atomic_fetch_add(&taken, 1);
    return __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size)
{
    atomic_fetch_add(&taken, 1);
    return __libc_realloc(memory, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    atomic_fetch_add(&taken, 1);
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
    atomic_fetch_add(&taken, 1);
    *out = __libc_memalign(alignment, size);
    return *out != NULL ? 0 : ENOMEM;
}

void free(void *memory)
{
    if (memory != NULL)
        atomic_fetch_add(&freed, 1);
    __libc_free(memory);
}

static void *take(void *context, size_t size, size_t alignment)
{
    (void)context;
    atomic_fetch_add(&of_setup, 1);
    return __libc_memalign(alignment, size);
}

static void give(void *context, void *memory, size_t size)
{
    (void)context;
    (void)size;
    __libc_free(memory);
}

static const struct pal_allocator allocator = {take, give, NULL};

/* Starts on these words, with the counting allocator. */
static pal_poll *start(const char *text)
{
    struct pal_setup setup = {.allocator = &allocator, .args = text};

    set_card(NULL);
    cr_assert_eq(pal_setup(&setup), 0, "%s", pal_reason());
    return open_poll();
}

struct levels {
    uint64_t taken, of_setup, buffers, sockets, connections, half_open, handles, descriptors, resident;
};

static uint64_t count_descriptors(void)
{
    uint64_t count = 0;

    for (int fd = 0; fd < 1024; fd++)
        count += dup2(fd, fd) == fd;
    return count;
}

/* Pages, without a call of the C library's that allocates. */
static uint64_t resident_pages(void)
{
    char text[128] = "";
    unsigned long size = 0, resident = 0;
    pal_file file;

    if (pal_file_open("/proc/self/statm", PAL_FILE_READ, 0, &file) != 0)
        return 0;
    (void)pal_file_read(file, text, sizeof(text) - 1, 0);
    (void)pal_file_close(file);
    return sscanf(text, "%lu %lu", &size, &resident) == 2 ? resident : 0;
}

static struct levels levels(void)
{
    struct pal_card_counters now_counted = counters();
    struct levels out = {.buffers = now_counted.buffers_used,
                         .sockets = now_counted.sockets,
                         .connections = now_counted.connections,
                         .half_open = now_counted.half_open};

    (void)pal_info(PAL_INFO_SOCKS_OPEN, &out.handles);
    out.descriptors = count_descriptors();
    out.resident = resident_pages();
    out.taken = atomic_load(&taken);
    out.of_setup = atomic_load(&of_setup);
    return out;
}

/* ---- work ---- */

/* A connection, an exchange by op and by lease, and its end, from either side in turn. 0, or what went wrong. */
static int converse(pal_poll *poll, pal_sock listener, const struct pal_addr *addr, int turn)
{
    const struct pal_event *events;
    pal_sock client, server;
    struct pal_lease lease;
    char bytes[16];
    struct pal_op op = {.data = 1, .buf = bytes, .size = sizeof(bytes), .kind = PAL_OP_RECV};
    int error = connect_here(listener, addr, &client, &server);

    if (error != 0)
        return error;
    op.sock = server;
    if (pal_submit(poll, &op) != 0 || pal_sock_send(client, "ping", 4, PAL_MSG_WAIT) != 4)
        return PAL_EPROTO;
    while ((error = pal_poll_wait(poll, &events, now() + 1000 * MS)) == 1 && events[0].kind != PAL_EV_OP)
        continue;
    if (error != 1 || op.result != 4 || pal_lease_reserve(poll, &lease, 1, 4) != 0)
        return PAL_EPROTO;
    memcpy(lease.data, "pong", 4);
    lease.size = 4;
    if (pal_lease_send(server, &lease, 1) != 1 || pal_sock_recv(client, bytes, 4, PAL_MSG_WAIT) != 4)
        return PAL_EPROTO;
    error = pal_sock_close(turn % 2 ? client : server);
    if (turn % 4 == 0) {
        struct pal_linger hard = {1, 0};

        (void)pal_sock_set(client, PAL_SO_LINGER, &hard, sizeof(hard));
    }
    return error != 0 ? error : pal_sock_close(turn % 2 ? server : client);
}

static void converse_often(pal_poll *poll, int count)
{
    struct pal_addr addr;
    pal_sock listener = listen_here(&addr);

    for (int i = 0; i < count; i++) {
        int error = converse(poll, listener, &addr, i);

        cr_assert_eq(error, 0, "conversation %d: %s", i, pal_error_name(error));
        if (i % 1000 == 999) { /* so that ports do not run short */
            cr_assert_eq(pal_sock_close(listener), 0);
            listener = listen_here(&addr);
        }
    }
    cr_assert_eq(pal_sock_close(listener), 0);
}

static void datagrams(pal_poll *poll, int count)
{
    struct pal_addr to = addr_of("10.0.0.2", 9);
    const struct pal_event *events;
    pal_sock sock = open_sock(PAL_SOCK_DGRAM);

    cr_assert_eq(pal_sock_connect(sock, &to), 0);
    for (int i = 0; i < count; i++) {
        (void)pal_sock_send(sock, "a datagram that comes back", 26, 0);
        (void)pal_poll_wait(poll, &events, 0);
    }
    cr_assert_eq(pal_sock_close(sock), 0);
}

static void compare(const struct levels *before, const struct levels *after)
{
    cr_assert_eq(after->taken, before->taken, "the C library gave memory %lu times",
                 (unsigned long)(after->taken - before->taken));
    cr_assert_eq(after->of_setup, before->of_setup, "the allocator gave memory %lu times",
                 (unsigned long)(after->of_setup - before->of_setup));
    cr_assert_eq(after->buffers, before->buffers);
    cr_assert_eq(after->sockets, before->sockets);
    cr_assert_eq(after->connections, before->connections);
    cr_assert_eq(after->half_open, before->half_open);
    cr_assert_eq(after->handles, before->handles);
    cr_assert_eq(after->descriptors, before->descriptors);
}

static void stop(void)
{
    struct pal_card_stop end;

    cr_assert_eq(pal_ctl(NULL, PAL_CTL_CARD_STOP, &end, sizeof(end)), 0, "%s", pal_reason());
    cr_assert_eq(end.missing, 0);
}

Test(dpdk_memory, nothing_is_allocated_after_the_start)
{
    pal_poll *poll = start(RING "neighbour 10.0.0.2 02:00:00:00:00:02");
    struct levels before, after;

    converse_often(poll, 100); /* what is made once is made */
    datagrams(poll, 1000);
    before = levels();
    cr_assert_gt(before.of_setup, 0, "the allocator of pal_setup is not used");
    cr_assert_gt(before.taken, 0, "nobody stands in front of malloc");
    converse_often(poll, 5000);
    datagrams(poll, 20000);
    after = levels();
    compare(&before, &after);
    cr_assert_eq(pal_poll_close(poll), 0);
    stop();
}

Test(dpdk_memory, a_hundred_thousand_connections_leave_nothing)
{
    pal_poll *poll = start(RING);
    struct levels before, middle, after;
    uint64_t begin_ns;

    converse_often(poll, 1000);
    before = levels();
    begin_ns = now();
    converse_often(poll, 70000); /* TIME-WAIT has all its records by then */
    middle = levels();
    converse_often(poll, 30000);
    after = levels();
    cr_log_info("%lu ns a connection, %lu TIME-WAITs, %lu KiB more resident",
                (unsigned long)(now() - begin_ns) / 100000, (unsigned long)counters().time_waits,
                (unsigned long)(after.resident - before.resident) * 4);
    compare(&before, &after);
    cr_assert_lt(after.resident - middle.resident, 2048, "%lu pages more in the last 30000",
                 (unsigned long)(after.resident - middle.resident));
    cr_assert_eq(pal_poll_close(poll), 0);
    stop();
}
