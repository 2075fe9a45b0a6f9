/* tcp_option.c: the options of stream sockets that TCP keeps. Sizes and ranges have been checked by sock_option.c. */
#include "stack.h"

#define SECOND_NS UINT64_C(1000000000)
#define MILLISECOND_NS UINT64_C(1000000)

static int32_t number_of(const void *value)
{
    int32_t number;

    memcpy(&number, value, sizeof(number));
    return number;
}

static void set_flag(struct tcb *tcb, uint32_t flag, bool on)
{
    tcb->flags = on ? tcb->flags | flag : tcb->flags & ~flag;
}

static int set_algorithm(struct tcb *tcb, const char *name, size_t size)
{
    if (size == 4 && memcmp(name, "reno", 4) == 0)
        tcb->algorithm = TCP_NEWRENO;
    else if (size == 5 && memcmp(name, "cubic", 5) == 0)
        tcb->algorithm = TCP_CUBIC;
    else
        return pal__n_refuse(tcb->sock.stack, PAL_ENOENT, "this stack has reno and cubic");
    return 0;
}

static void set_linger(struct tcb *tcb, const struct pal_linger *linger)
{
    set_flag(tcb, TCP_F_LINGER_RESET, linger->on != 0 && linger->seconds == 0);
    set_flag(tcb, TCP_F_LINGER, linger->on != 0);
    tcb->linger_seconds = (uint16_t)linger->seconds;
}

static void set_keepalive(struct tcb *tcb)
{
    if (!(tcb->sock.flags & SOCK_KEEPALIVE))
        pal__n_tcb_clear_date(tcb, DATE_KEEPALIVE);
    else if (tcb->state >= TCP_ESTABLISHED)
        pal__n_tcb_set_date(tcb, DATE_KEEPALIVE, tcb->sock.stack->now_ns + tcb->keepalive_idle_ns);
}

/* What the program wants, within what the stack was made for. Shrinking takes no window back: rcv_edge stays. */
static uint32_t buffer_size(int32_t wanted, uint32_t max)
{
    uint32_t size = (uint32_t)wanted < max ? (uint32_t)wanted : max;

    return size < 2048 ? 2048 : size;
}

static void set_user_timeout(struct tcb *tcb, int32_t milliseconds)
{
    tcb->user_timeout_ns =
        milliseconds == 0 ? tcb->sock.stack->config.user_timeout_ns : (uint64_t)milliseconds * MILLISECOND_NS;
    if (tcb->dates[DATE_USER] != UINT64_MAX)
        pal__n_tcb_set_date(tcb, DATE_USER, tcb->unacked_since_ns + tcb->user_timeout_ns);
}

static int set_number(struct tcb *tcb, uint32_t option, int32_t number)
{
    const struct netstack_config *config = &tcb->sock.stack->config;

    switch (option) {
    case PAL_SO_KEEPALIVE:
        set_keepalive(tcb);
        return 0;
    case PAL_SO_RCVBUF:
        tcb->receive_buffer = buffer_size(number, config->receive_buffer_max);
        return 0;
    case PAL_SO_SNDBUF:
        tcb->send_buffer = buffer_size(number, config->send_buffer_max);
        pal__n_sock_changed(&tcb->sock);
        return 0;
    case PAL_SO_RCVLOWAT:
        tcb->low_water = (uint32_t)number;
        pal__n_sock_changed(&tcb->sock);
        return 0;
    case PAL_SO_MAXSEG:
        tcb->mss_max = (uint16_t)number;
        if (tcb->state >= TCP_ESTABLISHED)
            pal__n_tcb_path_changed(tcb);
        return 0;
    case PAL_SO_KEEPIDLE:
        tcb->keepalive_idle_ns = (uint64_t)number * SECOND_NS;
        set_keepalive(tcb);
        return 0;
    case PAL_SO_KEEPINTVL:
        tcb->keepalive_interval_ns = (uint64_t)number * SECOND_NS;
        return 0;
    case PAL_SO_KEEPCNT:
        tcb->keepalive_count = (uint32_t)number;
        return 0;
    case PAL_SO_USER_TIMEOUT:
        set_user_timeout(tcb, number);
        return 0;
    default:
        return pal__n_refuse(tcb->sock.stack, PAL_ENOTSUP, "this stack's TCP does not have this option");
    }
}

int pal__n_tcp_set(struct sock *sock, uint32_t option, const void *value, size_t size)
{
    struct tcb *tcb = tcb_of(sock);
    struct pal_linger linger;

    switch (option) {
    case PAL_SO_CONGESTION:
        return set_algorithm(tcb, value, size);
    case PAL_SO_LINGER:
        memcpy(&linger, value, sizeof(linger));
        set_linger(tcb, &linger);
        return 0;
    case PAL_SO_NODELAY:
        set_flag(tcb, TCP_F_NODELAY, number_of(value) != 0);
        pal__n_tcb_dirty_if_open(tcb);
        return 0;
    case PAL_SO_CORK:
        set_flag(tcb, TCP_F_CORK, number_of(value) != 0);
        pal__n_tcb_dirty_if_open(tcb);
        return 0;
    case PAL_SO_QUICKACK:
    case PAL_SO_QUICKACK_ALWAYS:
        set_flag(tcb, TCP_F_QUICKACK, number_of(value) != 0);
        if (tcb->flags & TCP_F_ACK_DELAYED && tcb->flags & TCP_F_QUICKACK)
            pal__n_tcb_ack_now(tcb);
        return 0;
    case PAL_SO_OOBINLINE:
        return number_of(value) != 0 ? 0
                                     : pal__n_refuse(sock->stack, PAL_ENOTSUP, "urgent data always lies in the stream");
    default:
        return set_number(tcb, option, number_of(value));
    }
}

static int get_number(const struct tcb *tcb, uint32_t option, int32_t *out)
{
    switch (option) {
    case PAL_SO_NREAD:
        *out = (int32_t)tcb->read_bytes;
        return 0;
    case PAL_SO_RCVBUF:
        *out = (int32_t)tcb->receive_buffer;
        return 0;
    case PAL_SO_SNDBUF:
        *out = (int32_t)tcb->send_buffer;
        return 0;
    case PAL_SO_OOBINLINE:
        *out = 1;
        return 0;
    case PAL_SO_RCVLOWAT:
        *out = (int32_t)tcb->low_water;
        return 0;
    case PAL_SO_NODELAY:
        *out = (tcb->flags & TCP_F_NODELAY) != 0;
        return 0;
    case PAL_SO_CORK:
        *out = (tcb->flags & TCP_F_CORK) != 0;
        return 0;
    case PAL_SO_QUICKACK:
    case PAL_SO_QUICKACK_ALWAYS:
        *out = (tcb->flags & TCP_F_QUICKACK) != 0;
        return 0;
    case PAL_SO_MAXSEG:
        *out = tcb->state >= TCP_ESTABLISHED || tcb->mss_max == 0 ? tcb->mss : tcb->mss_max;
        return 0;
    case PAL_SO_KEEPIDLE:
        *out = (int32_t)(tcb->keepalive_idle_ns / SECOND_NS);
        return 0;
    case PAL_SO_KEEPINTVL:
        *out = (int32_t)(tcb->keepalive_interval_ns / SECOND_NS);
        return 0;
    case PAL_SO_KEEPCNT:
        *out = (int32_t)tcb->keepalive_count;
        return 0;
    case PAL_SO_USER_TIMEOUT:
        *out = tcb->user_timeout_ns == tcb->sock.stack->config.user_timeout_ns
                   ? 0
                   : (int32_t)(tcb->user_timeout_ns / MILLISECOND_NS);
        return 0;
    default:
        return pal__n_refuse(tcb->sock.stack, PAL_ENOTSUP, "this stack's TCP does not have this option");
    }
}

int pal__n_tcp_get(struct sock *sock, uint32_t option, void *value, size_t *size)
{
    const struct tcb *tcb = tcb_of(sock);
    struct pal_linger linger = {(tcb->flags & TCP_F_LINGER) != 0, tcb->linger_seconds};
    int32_t number = 0;
    int error;

    if (option == PAL_SO_CONGESTION) {
        const char *name = tcb->algorithm == TCP_CUBIC ? "cubic" : "reno";

        if (*size < strlen(name))
            return pal__n_refuse(sock->stack, PAL_EINVAL, "the room for this text is too small");
        *size = strlen(name);
        memcpy(value, name, *size);
        return 0;
    }
    if (option == PAL_SO_LINGER) {
        memcpy(value, &linger, sizeof(linger));
        *size = sizeof(linger);
        return 0;
    }
    error = get_number(tcb, option, &number);
    if (error != 0)
        return error;
    memcpy(value, &number, sizeof(number));
    *size = sizeof(number);
    return 0;
}
