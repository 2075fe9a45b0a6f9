/* examples/demo/channel.h: one TCP connection that carries messages of wire.h, with fixed buffers both ways.
 *
 * It hides what every stream does to messages: reads that end in the middle of one, several in one read, writes that
 * are taken in part. Nothing here waits; the owner's poll does. Errors are PAL_E*; the owner puts them into words. */
#ifndef DEMO_CHANNEL_H
#define DEMO_CHANNEL_H

#include "demo.h"
#include "wire.h"

#include <pal/poll.h>
#include <stdbool.h>

enum { CHANNEL_BUFFER_SIZE = (DEMO_OUTSTANDING + 1) * WIRE_MESSAGE_SIZE_MAX };

struct channel { /* zero, and then sock, is the initial state */
    pal_sock sock;
    uint32_t interest; /* what the poll watches for now */
    bool ended;        /* the peer has finished sending */
    size_t in_start, in_end, out_start, out_end;
    uint8_t in[CHANNEL_BUFFER_SIZE];
    uint8_t out[CHANNEL_BUFFER_SIZE];
};

/* Receives once, what has arrived and fits. Bytes received; 0: none now, no room, or channel->ended. 1 system call. */
int32_t channel_receive(struct channel *channel);

/* 1: the next whole message is at *message, until the next receive. 0: none. PAL_EPROTO: the stream makes no sense. */
int channel_next(struct channel *channel, const uint8_t **message);

/* Room for size bytes, to be filled at once, and sent by the next flush. NULL: the buffer is full. */
uint8_t *channel_reserve(struct channel *channel, size_t size);

/* Whether another message of the largest size can be reserved. */
bool channel_has_room(const struct channel *channel);

/* Sends what has been reserved, as far as the connection and the system's memory take it. 0, also when some is left. 0
 * or 1 system calls. */
int channel_flush(struct channel *channel);

/* Watches for what the buffers need: input while an answer has room (so none is dropped), output while some is left.
 * Calls the poll only when that has changed. */
int channel_watch(struct channel *channel, pal_poll *poll, uint64_t data);

/* Unwatches and closes, if it is open, and returns to the initial state. Abort: the peer is told by a reset, which it
 * cannot take for a proper end, and what was not sent is dropped. */
void channel_close(struct channel *channel, pal_poll *poll);
void channel_abort(struct channel *channel, pal_poll *poll);

#endif
