/* tests/netstack/host_talk.c: conversations over TCP: servers for echo, discard, source and HTTP, and a client.
 *
 *   echo     7   what comes goes back; the end of the stream as well
 *   discard  9   at the end of the stream one line: how many bytes, their CRC-32
 *   source  19   a line with a number: so many bytes of the pattern, then the end
 *   HTTP    80   GET /N: so many bytes of the pattern; anything else is not found; HTTP/1.1 keeps the connection */
#include "host.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind { KIND_ECHO, KIND_DISCARD, KIND_SOURCE, KIND_HTTP, KIND_CLIENT };
enum { STEPS_MAX = 64, PATTERN_PERIOD = 65521 };

struct talk {
    struct sock *sock; /* NULL: free */
    enum kind kind;
    bool connecting, eof, shut;
    bool last;                /* nothing more is to be sent when the buffer and the source are empty */
    bool answers;             /* the buffer holds what is to be sent, not what has come */
    uint64_t source, sourced; /* bytes of the pattern to send; sent */
    uint64_t received;
    uint32_t crc;
    struct client client;
    size_t have, sent; /* of the buffer */
    uint8_t buffer[TALK_BUFFER];
};

static struct talk talks[TALKS_MAX];
static struct sock *listeners[2][LISTENERS]; /* of IPv4, of IPv6 */
static const uint16_t ports[LISTENERS] = {PORT_ECHO, PORT_DISCARD, PORT_SOURCE, PORT_HTTP};
static int client_status = -1;

uint8_t pattern_at(uint64_t offset)
{
    uint32_t place = (uint32_t)(offset % PATTERN_PERIOD);

    return (uint8_t)(place * 167 + (place >> 8));
}

uint32_t crc32_add(uint32_t crc, const uint8_t *bytes, size_t size)
{
    static uint32_t table[256];

    for (uint32_t i = 0; i < 256 && table[255] == 0; i++) {
        table[i] = i;
        for (int bit = 0; bit < 8; bit++)
            table[i] = table[i] >> 1 ^ (table[i] & 1 ? 0xedb88320 : 0);
    }
    crc = ~crc;
    for (size_t i = 0; i < size; i++)
        crc = crc >> 8 ^ table[(crc ^ bytes[i]) & 255];
    return ~crc;
}

static void end_talk(struct host *host, struct talk *talk, int error)
{
    if (error != 0 && !host->quiet)
        printf("talk %d ended: %s\n", (int)talk->kind, pal_error_name(error));
    if (talk->kind == KIND_CLIENT && client_status < 0) {
        printf("client: %s sent %" PRIu64 " received %" PRIu64 " crc %08" PRIx32 "\n",
               error == 0 ? "ok" : pal_error_name(error), talk->sourced, talk->received, talk->crc);
        client_status = error == 0 ? 0 : 1;
    }
    fflush(stdout);
    pal__n_sock_close(talk->sock);
    talk->sock = NULL;
}

static struct talk *new_talk(struct sock *sock, enum kind kind)
{
    for (int i = 0; i < TALKS_MAX; i++)
        if (talks[i].sock == NULL) {
            memset(&talks[i], 0, offsetof(struct talk, buffer));
            talks[i].sock = sock;
            talks[i].kind = kind;
            return &talks[i];
        }
    return NULL;
}

uint32_t talk_count(void)
{
    uint32_t count = 0;

    for (int i = 0; i < TALKS_MAX; i++)
        count += talks[i].sock != NULL;
    return count;
}

int talk_client_status(void)
{
    return client_status;
}

static void say(struct talk *talk, const char *text)
{
    size_t size = strlen(text);

    if (size > sizeof(talk->buffer) - talk->have)
        size = sizeof(talk->buffer) - talk->have;
    memcpy(talk->buffer + talk->have, text, size);
    talk->have += size;
    talk->answers = true;
}

/* ---- what has come ---- */

/* Takes a complete request off the front of what was received; false: there is none yet. */
static bool take_request(struct talk *talk, char *line, size_t room)
{
    const char *text = (const char *)talk->buffer, *ends = talk->kind == KIND_HTTP ? "\r\n\r\n" : "\n";
    const char *end;
    size_t size;

    talk->buffer[talk->have < sizeof(talk->buffer) ? talk->have : sizeof(talk->buffer) - 1] = '\0';
    end = strstr(text, ends);
    if (end == NULL)
        return false;
    size = strcspn(text, "\r\n");
    snprintf(line, room, "%.*s", (int)size, text);
    talk->last = talk->kind == KIND_SOURCE || strstr(text, "Connection: close") != NULL;
    talk->have = talk->sent = 0; /* nobody here sends the next one before the answer */
    return true;
}

static void answer_request(struct talk *talk)
{
    char line[128], head[160];
    const char *number;

    if (!take_request(talk, line, sizeof(line)))
        return;
    if (talk->kind == KIND_SOURCE) {
        talk->source = strtoull(line, NULL, 10);
        talk->sourced = 0;
        return;
    }
    number = line + 5;
    if (strncmp(line, "GET /", 5) != 0 || *number < '0' || *number > '9') {
        say(talk, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
        return;
    }
    talk->source = strtoull(number, NULL, 10);
    talk->sourced = 0;
    snprintf(head, sizeof(head),
             "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %" PRIu64 "\r\n\r\n",
             talk->source);
    say(talk, head);
}

static void see_end(struct talk *talk)
{
    char line[64];

    talk->eof = true;
    talk->last = true;
    if (talk->kind == KIND_DISCARD) {
        snprintf(line, sizeof(line), "%" PRIu64 " %08" PRIx32 "\n", talk->received, talk->crc);
        say(talk, line);
    }
}

/* Whether it would read now. */
static bool wants_in(const struct talk *talk)
{
    if (talk->eof || talk->connecting)
        return false;
    switch (talk->kind) {
    case KIND_ECHO:
        return talk->have == 0;
    case KIND_SOURCE:
    case KIND_HTTP:
        return talk->sourced == talk->source && !talk->answers && talk->have < sizeof(talk->buffer) - 1;
    default:
        return true;
    }
}

static bool wants_out(const struct talk *talk)
{
    return talk->connecting || talk->sourced < talk->source || (talk->answers && talk->have > talk->sent);
}

static bool check_echo(const struct talk *talk, const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != pattern_at(talk->received + i))
            return false;
    return true;
}

/* One read: true if there may be more. */
static bool read_once(struct host *host, struct talk *talk)
{
    static uint8_t bytes[TALK_BUFFER];
    bool keeps = talk->kind != KIND_DISCARD && talk->kind != KIND_CLIENT;
    uint8_t *to = keeps ? talk->buffer + talk->have : bytes;
    size_t room = keeps ? sizeof(talk->buffer) - 1 - talk->have : sizeof(bytes);
    int32_t size = pal__n_sock_recv(talk->sock, to, room, 0);

    if (size == PAL_EAGAIN)
        return false;
    if (size < 0) {
        end_talk(host, talk, size);
        return false;
    }
    if (size == 0) {
        see_end(talk);
        return false;
    }
    if (talk->kind == KIND_CLIENT && talk->client.echo && !check_echo(talk, to, (size_t)size)) {
        end_talk(host, talk, PAL_EILSEQ);
        return false;
    }
    talk->crc = crc32_add(talk->crc, to, (size_t)size);
    talk->received += (uint64_t)size;
    if (keeps)
        talk->have += (size_t)size;
    if (talk->kind == KIND_ECHO)
        talk->answers = true;
    if (talk->kind == KIND_SOURCE || talk->kind == KIND_HTTP)
        answer_request(talk);
    return true;
}

/* ---- what goes ---- */

/* One write: true if something was taken. */
static bool write_once(struct host *host, struct talk *talk)
{
    static uint8_t bytes[16384];
    const uint8_t *from = talk->buffer + talk->sent;
    size_t size = talk->have - talk->sent;
    bool pattern = size == 0;
    int32_t taken;

    if (pattern) {
        size = sizeof(bytes) < talk->source - talk->sourced ? sizeof(bytes) : (size_t)(talk->source - talk->sourced);
        for (size_t i = 0; i < size; i++)
            bytes[i] = pattern_at(talk->sourced + i);
        from = bytes;
    }
    taken = pal__n_sock_send(talk->sock, from, size, 0);
    if (taken == PAL_EAGAIN || taken == PAL_ENOBUFS)
        return false;
    if (taken < 0) {
        end_talk(host, talk, taken);
        return false;
    }
    if (pattern) {
        talk->sourced += (uint64_t)taken;
        return true;
    }
    talk->sent += (size_t)taken;
    if (talk->sent == talk->have) {
        talk->have = talk->sent = 0;
        talk->answers = false;
    }
    return true;
}

/* ---- turns ---- */

static void see_connected(struct host *host, struct talk *talk)
{
    int32_t error = 0;
    size_t size = sizeof(error);

    if ((pal__n_sock_ready(talk->sock) & (PAL_OUT | PAL_ERR | PAL_HUP)) == 0)
        return;
    pal__n_sock_get(talk->sock, PAL_SO_ERROR, &error, &size);
    talk->connecting = false;
    if (error != 0)
        end_talk(host, talk, error);
}

/* What a client does when all is sent; servers end when the other has. */
static void conclude(struct host *host, struct talk *talk)
{
    bool idle = talk->have == talk->sent && talk->sourced == talk->source;

    if (talk->kind == KIND_CLIENT) {
        struct pal_linger linger = {1, 0};
        bool all = !talk->client.echo || talk->received == talk->client.send;

        if (!idle || talk->connecting)
            return;
        if (talk->client.reset && all) {
            pal__n_sock_set(talk->sock, PAL_SO_LINGER, &linger, sizeof(linger));
            end_talk(host, talk, 0);
            return;
        }
        if (!talk->shut && !talk->client.wait_end && pal__n_sock_shutdown(talk->sock, PAL_SHUT_WR) == 0)
            talk->shut = true;
        if (talk->eof)
            end_talk(host, talk, all ? 0 : PAL_ENODATA);
        return;
    }
    if (idle && talk->last)
        end_talk(host, talk, 0);
}

static void work(struct host *host, struct talk *talk)
{
    bool more = true;

    if (talk->connecting)
        see_connected(host, talk);
    for (int i = 0; i < STEPS_MAX && more && talk->sock != NULL && !talk->connecting; i++) {
        more = false;
        if (wants_in(talk))
            more = read_once(host, talk);
        if (talk->sock != NULL && wants_out(talk))
            more |= write_once(host, talk);
    }
    if (talk->sock != NULL)
        conclude(host, talk);
    if (talk->sock != NULL)
        pal__n_sock_watch(talk->sock, (wants_in(talk) ? (uint32_t)PAL_IN : 0) | (wants_out(talk) ? PAL_OUT : 0));
}

static void accept_all(struct host *host, struct sock *listener, enum kind kind)
{
    struct sock *sock;

    while (pal__n_sock_accept(listener, &sock, NULL) == 0) {
        struct talk *talk = new_talk(sock, kind);
        int32_t on = 1, count = 3;

        if (talk == NULL) {
            pal__n_sock_close(sock);
            continue;
        }
        if (host->keepalive_seconds != 0) {
            pal__n_sock_set(sock, PAL_SO_KEEPIDLE, &host->keepalive_seconds, sizeof(int32_t));
            pal__n_sock_set(sock, PAL_SO_KEEPINTVL, &host->keepalive_seconds, sizeof(int32_t));
            pal__n_sock_set(sock, PAL_SO_KEEPCNT, &count, sizeof(count));
            pal__n_sock_set(sock, PAL_SO_KEEPALIVE, &on, sizeof(on));
        }
        work(host, talk);
    }
}

bool talk_ready(struct host *host, struct sock *sock)
{
    for (int i = 0; i < 2 * LISTENERS; i++)
        if (listeners[i / LISTENERS][i % LISTENERS] == sock) {
            accept_all(host, sock, (enum kind)(i % LISTENERS));
            return true;
        }
    for (int i = 0; i < TALKS_MAX; i++)
        if (talks[i].sock == sock) {
            work(host, &talks[i]);
            return true;
        }
    return false;
}

int talk_listen(struct host *host)
{
    for (int i = 0; i < 2 * LISTENERS; i++) {
        struct sock **sock = &listeners[i / LISTENERS][i % LISTENERS];
        struct pal_addr addr;
        int32_t on = 1;
        int error;

        memset(&addr, 0, sizeof(addr));
        addr.family = i / LISTENERS == 0 ? PAL_AF_INET : PAL_AF_INET6;
        addr.size = i / LISTENERS == 0 ? 4 : 16;
        addr.port = ports[i % LISTENERS];
        error = pal__n_sock_open(host->stack, addr.family, PAL_SOCK_STREAM, sock);
        if (error == 0 && addr.family == PAL_AF_INET6)
            error = pal__n_sock_set(*sock, PAL_SO_V6ONLY, &on, sizeof(on));
        if (error == 0)
            error = pal__n_sock_bind(*sock, &addr);
        if (error == 0)
            error = pal__n_sock_listen(*sock, TALKS_MAX);
        if (error != 0)
            return error;
        pal__n_sock_watch(*sock, PAL_IN);
    }
    return 0;
}

int talk_connect(struct host *host, const struct client *client)
{
    struct talk *talk;
    struct sock *sock;
    int error = pal__n_sock_open(host->stack, client->to.family, PAL_SOCK_STREAM, &sock);

    if (error != 0)
        return error;
    talk = new_talk(sock, KIND_CLIENT);
    talk->client = *client;
    talk->source = client->send;
    talk->connecting = true;
    error = pal__n_sock_connect(sock, &client->to);
    if (error != 0 && error != PAL_EINPROGRESS)
        return error;
    pal__n_sock_watch(sock, PAL_OUT);
    return 0;
}
