/* bypass_bind.c: a backend of two worlds as small as can be, for test_bypass.c: the kernel, and one stack with its
 * loopback interface, in real time. Everything is done under one lock, and whoever waits looks again and again. */
#define pal_backend_info kernel_backend_info
#define pal_poll_open kernel_poll_open
#define pal_poll_close kernel_poll_close
#define pal_poll_wait kernel_poll_wait
#define pal_watch kernel_watch
#define pal_submit kernel_submit
#define pal_flush kernel_flush
#define pal_sock_open kernel_sock_open
#define pal_sock_release kernel_sock_release
#define pal_sock_dup kernel_sock_dup
#define pal_sock_bind kernel_sock_bind
#define pal_sock_listen kernel_sock_listen
#define pal_sock_connect kernel_sock_connect
#define pal_sock_accept kernel_sock_accept
#define pal_sock_recv kernel_sock_recv
#define pal_sock_send kernel_sock_send
#define pal_sock_recv_msgs kernel_sock_recv_msgs
#define pal_sock_send_msgs kernel_sock_send_msgs
#define pal_sock_shutdown kernel_sock_shutdown
#define pal_sock_close kernel_sock_close
#define pal_sock_set kernel_sock_set
#define pal_sock_get kernel_sock_get
#define pal_sock_name kernel_sock_name
#define pal_sock_wait kernel_sock_wait
#define pal__wait_update kernel_wait_update
#define pal__wait_trim kernel_wait_trim
#define pal__wait_forget kernel_wait_forget
#define pal__slot_refresh kernel_slot_refresh
#define pal__slot_sendfile kernel_slot_sendfile
#include "../../backends/posix/bind.c" /* NOLINT(bugprone-suspicious-include): under other names */
#undef pal_backend_info
#undef pal_poll_open
#undef pal_poll_close
#undef pal_poll_wait
#undef pal_watch
#undef pal_submit
#undef pal_flush
#undef pal_sock_open
#undef pal_sock_release
#undef pal_sock_dup
#undef pal_sock_bind
#undef pal_sock_listen
#undef pal_sock_connect
#undef pal_sock_accept
#undef pal_sock_recv
#undef pal_sock_send
#undef pal_sock_recv_msgs
#undef pal_sock_send_msgs
#undef pal_sock_shutdown
#undef pal_sock_close
#undef pal_sock_set
#undef pal_sock_get
#undef pal_sock_name
#undef pal_sock_wait
#undef pal__wait_update
#undef pal__wait_trim
#undef pal__wait_forget
#undef pal__slot_refresh
#undef pal__slot_sendfile

#include "bypass_bind.h"

#include "../../backends/bypass/lane.h"
#include "../../backends/bypass/sock.h"
#include "../../backends/netstack/stack.h"
#include "../../backends/posix/wait.h"
#include "../netstack/counting_allocator.h"
#include <poll.h>
#include <pthread.h>

/* Declared as the seam has them; the included file has only seen the other names. */
const struct pal_backend *pal_backend_info(void);
int pal_poll_open(pal_poll **out, const struct pal_config *config);
int pal_poll_close(pal_poll *poll);
int pal_poll_wait(pal_poll *poll, const struct pal_event **out, uint64_t deadline_ns);
int pal_watch(pal_poll *poll, pal_sock sock, uint32_t interest, uint64_t data);
int pal_submit(pal_poll *poll, struct pal_op *op);
int pal_flush(pal_poll *poll);
int pal_sock_open(pal_poll *poll, int family, int type, int protocol, pal_sock *out);
int pal_sock_release(pal_sock sock, intptr_t *native);
int pal_sock_dup(pal_sock sock, pal_sock *out);
int pal_sock_bind(pal_sock sock, const struct pal_addr *addr);
int pal_sock_listen(pal_sock sock, int backlog);
int pal_sock_connect(pal_sock sock, const struct pal_addr *addr);
int pal_sock_accept(pal_sock sock, pal_sock *out, struct pal_addr *addr);
int32_t pal_sock_recv(pal_sock sock, void *buffer, size_t size, uint32_t flags);
int32_t pal_sock_send(pal_sock sock, const void *data, size_t size, uint32_t flags);
int pal_sock_recv_msgs(pal_sock sock, struct pal_msg *msgs, int count, uint32_t flags);
int pal_sock_send_msgs(pal_sock sock, struct pal_msg *msgs, int count, uint32_t flags);
int pal_sock_shutdown(pal_sock sock, int how);
int pal_sock_close(pal_sock sock);
int pal_sock_set(pal_sock sock, uint32_t option, const void *value, size_t size);
int pal_sock_get(pal_sock sock, uint32_t option, void *value, size_t *size);
int pal_sock_name(pal_sock sock, int which, struct pal_addr *out);
int pal_sock_wait(struct pal_wait *items, int count, uint64_t deadline_ns);
int32_t pal__slot_sendfile(struct slot *slot, const struct pal_op *op, uint64_t offset, uint64_t size);

enum { NAP_NS = 50000 };

struct netstack *bypass_stack;
struct base_list bypass_roused;
static struct counting memory;
static pthread_mutex_t door;
static int depth; /* of the door's holder */

static void refused(int code, const char *reason)
{
    (void)pal__refuse(code, reason);
}

void bypass_begin(void)
{
    struct netstack_config config = {.allocator = &memory.allocator, .seed = 7, .now_ns = monotonic_ns()};

    counting_init(&memory);
    config.msl_ns = 1000000000;
    config.udp_max = 1024;
    if (pal__n_stack_create(&config, &bypass_stack) != 0)
        abort();
    bypass_stack->reason = refused;
}

__attribute__((constructor)) static void begin(void)
{
    pthread_mutexattr_t attributes;

    (void)pthread_mutexattr_init(&attributes);
    (void)pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    (void)pthread_mutex_init(&door, &attributes);
    base_list_init(&bypass_roused);
    bypass_begin();
}

/* The outermost entry lets the stack do what it has to do; the outermost exit sends. */
static void enter(void)
{
    (void)pthread_mutex_lock(&door);
    if (depth++ == 0)
        for (int i = 0; i < 64 && pal__n_stack_poll(bypass_stack, monotonic_ns()); i++)
            continue;
}

static int32_t leave(int32_t result)
{
    if (--depth == 0)
        for (int i = 0; i < 64 && pal__n_stack_poll(bypass_stack, monotonic_ns()); i++)
            continue;
    (void)pthread_mutex_unlock(&door);
    return result;
}

#define EITHER(sock, call, ...)                                                                                        \
    do {                                                                                                               \
        enter();                                                                                                       \
        return leave(in_stack(sock) ? pal__b_##call(__VA_ARGS__) : pal__k_sock_##call(__VA_ARGS__));                   \
    } while (0)

const struct pal_backend *pal_backend_info(void)
{
    static struct pal_backend info = {"bypass-test", PAL_ABI, 0, 0};

    return pal__k_describe(&info, KERNEL_CAPS & ~(uint32_t)(PAL_CAP_BLOCKING | PAL_CAP_LISTEN_SHARD));
}

int pal_poll_open(pal_poll **out, const struct pal_config *config)
{
    int error = pal__k_poll_open(out, config);

    if (error == 0)
        pal__b_lane_begin(*out, &bypass_roused);
    return error;
}

int pal_poll_close(pal_poll *poll)
{
    uint32_t number = poll != NULL ? poll->leases.number : 0;
    int error;

    enter();
    error = pal__k_poll_close(poll);
    if (poll != NULL && error == 0)
        pal__b_lane_end(number);
    return leave(error);
}

/* One look: true when the wait is over. */
static bool look(pal_poll *poll, uint64_t deadline_ns)
{
    bool passed = deadline_ns != UINT64_MAX && monotonic_ns() >= deadline_ns;

    enter();
    if (wait_is_due(poll))
        pal__k_attend(poll);
    (void)pal__b_collect(poll, poll->events_max - poll->events_max / 4);
    (void)pal__k_poll_look(poll);
    (void)wait_end(poll, poll->count);
    (void)leave(0);
    return poll->count > 0 || passed;
}

int pal_poll_wait(pal_poll *poll, const struct pal_event **out, uint64_t deadline_ns)
{
    int error = poll_enter(poll);

    if (error != 0)
        return error;
    *out = poll->events;
    poll->count = 0;
    poll->now_ns = 0;
    while (!look(poll, deadline_ns)) {
        struct timespec nap = {0, NAP_NS};

        (void)ppoll(NULL, 0, &nap, NULL);
    }
    return (int)poll->count;
}

int pal_watch(pal_poll *poll, pal_sock sock, uint32_t interest, uint64_t data)
{
    enter();
    return leave(pal__machine_watch(poll, sock, interest, data, ~(uint32_t)PAL_EDGE));
}

int pal_submit(pal_poll *poll, struct pal_op *op)
{
    enter();
    return leave(pal__machine_submit(poll, op));
}

int pal_flush(pal_poll *poll)
{
    enter();
    return leave(poll_enter(poll));
}

int pal_sock_open(pal_poll *poll, int family, int type, int protocol, pal_sock *out)
{
    (void)poll;
    enter();
    return leave(family == PAL_AF_UNIX ? pal__k_sock_open(family, type, protocol, out)
                                       : pal__b_open(bypass_stack, family, type, protocol, out));
}

int pal_sock_release(pal_sock sock, intptr_t *native)
{
    EITHER(sock, release, sock, native);
}

int pal_sock_dup(pal_sock sock, pal_sock *out)
{
    EITHER(sock, dup, sock, out);
}

int pal_sock_bind(pal_sock sock, const struct pal_addr *addr)
{
    EITHER(sock, bind, sock, addr);
}

int pal_sock_listen(pal_sock sock, int backlog)
{
    EITHER(sock, listen, sock, backlog);
}

int pal_sock_connect(pal_sock sock, const struct pal_addr *addr)
{
    EITHER(sock, connect, sock, addr);
}

int pal_sock_accept(pal_sock sock, pal_sock *out, struct pal_addr *addr)
{
    EITHER(sock, accept, sock, out, addr);
}

int32_t pal_sock_recv(pal_sock sock, void *buffer, size_t size, uint32_t flags)
{
    EITHER(sock, recv, sock, buffer, size, flags);
}

int32_t pal_sock_send(pal_sock sock, const void *data, size_t size, uint32_t flags)
{
    EITHER(sock, send, sock, data, size, flags);
}

int pal_sock_recv_msgs(pal_sock sock, struct pal_msg *msgs, int count, uint32_t flags)
{
    EITHER(sock, recv_msgs, sock, msgs, count, flags);
}

int pal_sock_send_msgs(pal_sock sock, struct pal_msg *msgs, int count, uint32_t flags)
{
    EITHER(sock, send_msgs, sock, msgs, count, flags);
}

int pal_sock_shutdown(pal_sock sock, int how)
{
    EITHER(sock, shutdown, sock, how);
}

int pal_sock_close(pal_sock sock)
{
    EITHER(sock, close, sock);
}

int pal_sock_set(pal_sock sock, uint32_t option, const void *value, size_t size)
{
    EITHER(sock, set, sock, option, value, size);
}

int pal_sock_get(pal_sock sock, uint32_t option, void *value, size_t *size)
{
    EITHER(sock, get, sock, option, value, size);
}

int pal_sock_name(pal_sock sock, int which, struct pal_addr *out)
{
    EITHER(sock, name, sock, which, out);
}

int pal_sock_wait(struct pal_wait *items, int count, uint64_t deadline_ns)
{
    for (;;) {
        bool passed = deadline_ns != UINT64_MAX && monotonic_ns() >= deadline_ns;
        struct timespec nap = {0, NAP_NS};
        int ready;

        enter();
        ready = leave(pal__b_look(items, count));
        if (ready != 0 || passed)
            return ready;
        if (ppoll(NULL, 0, &nap, NULL) < 0)
            return 0;
    }
}

int32_t pal__slot_sendfile(struct slot *slot, const struct pal_op *op, uint64_t offset, uint64_t size)
{
    return pal__b_slot_sendfile(slot, op, offset, size);
}
