/* examples/demo/channel.c: see channel.h. Buffers start again at 0 whenever they run empty, which in a quiet session is
 * after every message; only a full buffer's rest has to be moved to the front. */
#include "channel.h"

#include <assert.h>
#include <pal/error.h>
#include <pal/socket.h>
#include <string.h>

static void move_to_front(uint8_t *buffer, size_t *start, size_t *end)
{
    if (*start > 0) {
        memmove(buffer, buffer + *start, *end - *start);
        *end -= *start;
        *start = 0;
    }
}

int32_t channel_receive(struct channel *channel)
{
    if (channel->in_end == CHANNEL_BUFFER_SIZE || channel->in_start == channel->in_end) {
        move_to_front(channel->in, &channel->in_start, &channel->in_end);
    }
    size_t room = CHANNEL_BUFFER_SIZE - channel->in_end;
    if (room == 0) {
        return 0;
    }
    int32_t size = pal_sock_recv(channel->sock, channel->in + channel->in_end, room, 0);
    if (size > 0) {
        channel->in_end += (size_t)size;
    } else if (size == 0) {
        channel->ended = true;
    }
    return size == PAL_EAGAIN ? 0 : size;
}

int channel_next(struct channel *channel, const uint8_t **message)
{
    size_t available = channel->in_end - channel->in_start;
    int size = wire_message_size(channel->in + channel->in_start, available);
    if (size < 0) {
        return PAL_EPROTO;
    }
    if (size == 0 || (size_t)size > available) {
        return 0;
    }
    *message = channel->in + channel->in_start;
    channel->in_start += (size_t)size;
    return 1;
}

bool channel_has_room(const struct channel *channel)
{
    return CHANNEL_BUFFER_SIZE - (channel->out_end - channel->out_start) >= WIRE_MESSAGE_SIZE_MAX;
}

uint8_t *channel_reserve(struct channel *channel, size_t size)
{
    assert(size <= WIRE_MESSAGE_SIZE_MAX);
    if (CHANNEL_BUFFER_SIZE - channel->out_end < size) {
        move_to_front(channel->out, &channel->out_start, &channel->out_end);
    }
    if (CHANNEL_BUFFER_SIZE - channel->out_end < size) {
        return NULL;
    }
    uint8_t *room = channel->out + channel->out_end;
    channel->out_end += size;
    return room;
}

int channel_flush(struct channel *channel)
{
    size_t size = channel->out_end - channel->out_start;
    if (size == 0) {
        return 0;
    }
    int32_t sent = pal_sock_send(channel->sock, channel->out + channel->out_start, size, 0);
    if (sent < 0) {
        return sent == PAL_EAGAIN || sent == PAL_ENOBUFS || sent == PAL_ENOMEM ? 0 : sent;
    }
    channel->out_start += (size_t)sent;
    if (channel->out_start == channel->out_end) {
        channel->out_start = channel->out_end = 0;
    }
    return 0;
}

int channel_watch(struct channel *channel, pal_poll *poll, uint64_t data)
{
    bool read = !channel->ended && channel_has_room(channel);
    bool write = channel->out_start != channel->out_end;
    uint32_t interest = (read ? PAL_IN : 0u) | (write ? PAL_OUT : 0u);
    if (interest == channel->interest) {
        return 0;
    }
    int code = pal_watch(poll, channel->sock, interest, data);
    if (code == 0) {
        channel->interest = interest;
    }
    return code;
}

void channel_close(struct channel *channel, pal_poll *poll)
{
    if (channel->sock.id == 0) {
        return;
    }
    if (channel->interest != 0) {
        (void)pal_watch(poll, channel->sock, 0, 0);
    }
    (void)pal_sock_close(channel->sock);
    channel->sock.id = 0;
    channel->interest = 0;
    channel->ended = false;
    channel->in_start = channel->in_end = channel->out_start = channel->out_end = 0;
}

void channel_abort(struct channel *channel, pal_poll *poll)
{
    const struct pal_linger reset = {1, 0};
    if (channel->sock.id != 0) {
        (void)pal_sock_set(channel->sock, PAL_SO_LINGER, &reset, sizeof(reset)); /* without it: a plain close */
    }
    channel_close(channel, poll);
}
