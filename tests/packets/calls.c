/* calls.c: what a program does with sockets: opening, connections, streams; and how a call's result is judged. */
#include "packets.h"

#include <pal/socket.h>
#include <stdlib.h>
#include <string.h>

/* A byte of the stream of all scripts: shifted by any small amount it is another one. */
uint8_t pattern(uint64_t offset)
{
    return (uint8_t)(offset * 31 + (offset >> 8) * 7 + (offset >> 16) * 13 + 5);
}

void pattern_fill(uint8_t *at, uint64_t offset, size_t size)
{
    for (size_t i = 0; i < size; i++)
        at[i] = pattern(offset + i);
}

/* "text" or x:HEX. */
bool literal_of(struct run *run, const char *word, uint8_t *out, size_t room, size_t *size)
{
    if (starts(word, "x:")) {
        *size = hex_of(run, word + 2, out, room);
        return true;
    }
    if (word[0] != '"')
        return false;
    *size = strlen(word) - 2;
    if (*size > room)
        fail(run, "the text is too long");
    memcpy(out, word + 1, *size);
    return true;
}

/* ---- results ---- */

#define ERROR_(name, value, text) {#name, PAL_##name},
static const struct {
    const char *name;
    int code;
} errors[] = {PAL_ERROR_LIST(ERROR_){"EWOULDBLOCK", PAL_EWOULDBLOCK}};
#undef ERROR_

int64_t result_of(struct run *run, const char *text)
{
    if (strcmp(text, "EOF") == 0 || strcmp(text, "OK") == 0)
        return 0;
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
        if (strcmp(errors[i].name, text) == 0)
            return errors[i].code;
    return number_must(run, text, "a result");
}

static void name_result(int64_t result, char *out, size_t room)
{
    if (result < 0)
        snprintf(out, room, "%s", pal_error_name((int)result));
    else
        snprintf(out, room, "%lld", (long long)result);
}

bool has_result(const struct words *words)
{
    return strcmp(words_peek(words), "->") == 0;
}

bool check_result(struct run *run, struct words *words, int64_t result, int64_t fallback)
{
    int64_t expected = fallback;
    char is[32], wanted[32];

    if (words_accept(words, "->"))
        expected = result_of(run, words_take(run, words, "a result"));
    words_must_end(run, words);
    name_result(result, is, sizeof(is));
    name_result(expected, wanted, sizeof(wanted));
    note(run, "%s: %s", run->statement->text, is);
    if (result != expected)
        fail(run, "  result:  %s, not %s", is, wanted);
    return result >= 0;
}

/* ---- sockets by name ---- */

struct named_sock *sock_named(struct run *run, struct words *words)
{
    const char *name = words_take(run, words, "a socket");

    for (uint32_t i = run->sock_count; i-- > 0;) {
        if (strcmp(run->socks[i].name, name) != 0)
            continue;
        if (run->socks[i].sock == NULL)
            fail(run, "%s is closed", name);
        return &run->socks[i];
    }
    fail(run, "no socket is called %s", name);
}

struct named_sock *sock_new(struct run *run, const char *name, struct sock *sock, int family)
{
    struct named_sock *named = NULL;

    for (uint32_t i = 0; i < run->sock_count; i++)
        if (strcmp(run->socks[i].name, name) == 0)
            named = &run->socks[i];
    if (named != NULL && named->sock != NULL)
        fail(run, "%s is open already", name);
    if (named == NULL && run->sock_count == SOCKS_MAX)
        fail(run, "more than %d sockets", SOCKS_MAX);
    if (named == NULL)
        named = &run->socks[run->sock_count++];
    memset(named, 0, sizeof(*named));
    snprintf(named->name, sizeof(named->name), "%s", name);
    named->sock = sock;
    named->family = family;
    return named;
}

/* socket tcp|udp [v4|v6] */
static void open_socket(struct run *run, const char *name, struct words *words)
{
    int type = PAL_SOCK_STREAM, family = run->as, result;
    struct sock *sock = NULL;

    if (words_accept(words, "udp"))
        type = PAL_SOCK_DGRAM;
    else if (!words_accept(words, "tcp"))
        fail(run, "socket tcp or socket udp, not \"%s\"", words_peek(words));
    if (words_accept(words, "v4"))
        family = 4;
    else if (words_accept(words, "v6"))
        family = 6;
    result = pal__n_sock_open(run->stack, family == 4 ? PAL_AF_INET : PAL_AF_INET6, type, &sock);
    if (check_result(run, words, result, 0))
        sock_new(run, name, sock, family);
}

static bool address_is(int family, const struct endpoint *endpoint, const struct pal_addr *is)
{
    struct pal_addr wanted;

    endpoint_to_pal(family, endpoint, &wanted);
    if (endpoint->port >= 0 && wanted.port != is->port)
        return false;
    return endpoint->any_ip ||
           (wanted.family == is->family && wanted.size == is->size && memcmp(wanted.bytes, is->bytes, is->size) == 0);
}

void must_be_address(struct run *run, int family, const char *text, const struct pal_addr *is, const char *what)
{
    struct endpoint endpoint = endpoint_must(run, text);
    struct ip ip = is->family == PAL_AF_INET ? ip_of_v4(is->bytes) : ip_of_v6(is->bytes);

    if (!address_is(family, &endpoint, is))
        fail(run, "  %s: %s:%u, not %s", what, name_of_ip(&ip), is->port, text);
}

/* accept s [ENDPOINT]; name NULL: it must fail. */
static void accept_socket(struct run *run, const char *name, struct words *words)
{
    struct named_sock *listener = sock_named(run, words);
    struct sock *sock = NULL;
    struct pal_addr addr = {0};
    const char *peer = words_end(words) || has_result(words) ? NULL : words_take(run, words, "the peer's address");
    int family = listener->family, result = pal__n_sock_accept(listener->sock, &sock, &addr);

    if (name == NULL && !has_result(words))
        fail(run, "NAME = accept ..., or accept ... -> ERROR");
    if (!check_result(run, words, result, 0))
        return;
    sock_new(run, name == NULL ? "accepted" : name, sock, family);
    if (peer != NULL)
        must_be_address(run, family, peer, &addr, "peer");
}

void assign_call(struct run *run, const char *name, struct words *words)
{
    if (words_accept(words, "socket"))
        open_socket(run, name, words);
    else if (words_accept(words, "accept"))
        accept_socket(run, name, words);
    else
        fail(run, "NAME = socket ... or NAME = accept ..., not \"%s\"", words_peek(words));
}

static void call_socket(struct run *run, struct words *words)
{
    open_socket(run, "unnamed", words);
}

static void call_accept(struct run *run, struct words *words)
{
    accept_socket(run, NULL, words);
}

/* ---- calls ---- */

static void call_bind(struct run *run, struct words *words)
{
    struct named_sock *named = sock_named(run, words);
    struct endpoint endpoint = endpoint_must(run, words_take(run, words, "an address"));
    struct pal_addr addr;

    endpoint_to_pal(named->family, &endpoint, &addr);
    check_result(run, words, pal__n_sock_bind(named->sock, &addr), 0);
}

static void call_listen(struct run *run, struct words *words)
{
    struct named_sock *named = sock_named(run, words);
    int64_t backlog = words_number(run, words, "the backlog");

    check_result(run, words, pal__n_sock_listen(named->sock, (int)backlog), 0);
}

static void call_connect(struct run *run, struct words *words)
{
    struct named_sock *named = sock_named(run, words);
    const char *text = words_take(run, words, "an address");
    struct pal_addr addr = {0};
    bool is_tcp = named->sock->kind == SOCK_TCP;
    struct endpoint endpoint;
    struct flow *flow;

    if (strcmp(text, "none") == 0) {
        check_result(run, words, pal__n_sock_connect(named->sock, NULL), 0);
        return;
    }
    endpoint = endpoint_must(run, text);
    endpoint_to_pal(named->family, &endpoint, &addr);
    if (is_tcp && flow_find(run, named->name) == NULL) {
        flow = flow_make(run, named->name, ip_is_v4(&endpoint.ip) && !endpoint.any_ip ? 4 : named->family);
        flow->local = (struct endpoint){.ip = ip_none(), .any_ip = true, .port = -1};
        flow->remote = endpoint;
    }
    check_result(run, words, pal__n_sock_connect(named->sock, &addr), is_tcp ? PAL_EINPROGRESS : 0);
}

/* N, "text" or x:HEX; the bytes. */
static uint8_t *payload(struct run *run, struct words *words, uint64_t offset, size_t *size, bool *is_pattern)
{
    const char *word = words_take(run, words, "bytes");
    uint8_t *bytes;

    *is_pattern = word[0] != '"' && !starts(word, "x:");
    if (*is_pattern) {
        int64_t count = number_must(run, word, "bytes");

        if (count < 0 || count > 1 << 28)
            fail(run, "%s bytes are too many", word);
        *size = (size_t)count;
        bytes = keep(run, *size + 1);
        pattern_fill(bytes, offset, *size);
        return bytes;
    }
    bytes = keep(run, WORDS_ROOM);
    literal_of(run, word, bytes, WORDS_ROOM, size);
    return bytes;
}

static uint32_t message_flags(struct words *words)
{
    static const struct {
        const char *name;
        uint32_t flag;
    } flags[] = {{"more", PAL_MSG_MORE},
                 {"oob", PAL_MSG_OOB},
                 {"peek", PAL_MSG_PEEK},
                 {"full-size", PAL_MSG_TRUNC},
                 {"errqueue", PAL_MSG_ERRQUEUE}};
    uint32_t all = 0;
    size_t i = 0;

    while (i < 5) {
        if (words_accept(words, flags[i].name)) {
            all |= flags[i].flag;
            i = 0;
        } else {
            i++;
        }
    }
    return all;
}

static void call_write(struct run *run, struct words *words)
{
    struct named_sock *named = sock_named(run, words);
    size_t size = 0;
    bool is_pattern;
    uint8_t *bytes = payload(run, words, named->written, &size, &is_pattern);
    uint32_t flags = message_flags(words);
    int32_t result = pal__n_sock_send(named->sock, bytes, size, flags);

    if (result > 0 && named->sock->kind == SOCK_TCP) /* a datagram's pattern begins at 0 */
        named->written += (uint32_t)result;
    check_result(run, words, result, (int64_t)size);
}

static void check_bytes(struct run *run, const uint8_t *is, const uint8_t *wanted, size_t size, uint64_t offset)
{
    for (size_t i = 0; i < size; i++)
        if (is[i] != wanted[i])
            fail(run, "  read:    byte %llu of the stream is 0x%02x, not 0x%02x", (unsigned long long)(offset + i),
                 is[i], wanted[i]);
}

static void call_read(struct run *run, struct words *words)
{
    struct named_sock *named = sock_named(run, words);
    size_t size = 65536;
    bool is_pattern = true, is_said = !words_end(words) && !has_result(words);
    uint8_t *wanted = is_said ? payload(run, words, named->read, &size, &is_pattern) : keep(run, size);
    uint8_t *bytes = keep(run, size + 1);
    uint32_t flags = message_flags(words);
    int32_t result = pal__n_sock_recv(named->sock, bytes, size, flags);
    uint64_t offset = named->read;

    if (!is_said)
        pattern_fill(wanted, offset, size);
    if (result > 0 && named->sock->kind == SOCK_TCP && (flags & (PAL_MSG_PEEK | PAL_MSG_OOB)) == 0)
        named->read += (uint32_t)result;
    if (check_result(run, words, result, (int64_t)size))
        check_bytes(run, bytes, wanted, (size_t)result, offset);
}

/* skip c N: whatever they are. */
static void call_skip(struct run *run, struct words *words)
{
    struct named_sock *named = sock_named(run, words);
    size_t size = (size_t)words_number(run, words, "bytes");
    int32_t result = pal__n_sock_recv(named->sock, keep(run, size + 1), size, 0);

    if (result > 0 && named->sock->kind == SOCK_TCP)
        named->read += (uint32_t)result;
    check_result(run, words, result, (int64_t)size);
}

static void call_lend(struct run *run, struct words *words)
{
    struct named_sock *named = sock_named(run, words);
    int64_t max = words_number(run, words, "frames");
    uint32_t room = LENT_MAX - named->lent_count, first = named->lent_count;
    int result;

    if (max > room)
        fail(run, "at most %d frames can be lent", LENT_MAX);
    result = pal__n_sock_recv_frames(named->sock, named->lent + first, NULL, (int)max);
    if (result > 0)
        named->lent_count += (uint32_t)result;
    if (!check_result(run, words, result, max))
        return;
    for (uint32_t i = first; i < named->lent_count; i++) {
        const struct frame *frame = named->lent[i];
        uint64_t offset = named->sock->kind == SOCK_TCP ? named->read : 0;
        uint8_t *wanted = keep(run, frame->size + 1);

        pattern_fill(wanted, offset, frame->size);
        check_bytes(run, frame->data, wanted, frame->size, offset);
        named->read += frame->size;
    }
}

static void call_give_back(struct run *run, struct words *words)
{
    struct named_sock *named = sock_named(run, words);

    words_must_end(run, words);
    for (uint32_t i = 0; i < named->lent_count; i++)
        frame_free(named->lent[i]);
    named->lent_count = 0;
    note(run, "%s", run->statement->text);
}

static void call_shutdown(struct run *run, struct words *words)
{
    struct named_sock *named = sock_named(run, words);
    int how = words_accept(words, "read")    ? PAL_SHUT_RD
              : words_accept(words, "write") ? PAL_SHUT_WR
              : words_accept(words, "both")  ? PAL_SHUT_RDWR
                                             : -1;

    if (how < 0)
        fail(run, "shutdown NAME read, write or both");
    check_result(run, words, pal__n_sock_shutdown(named->sock, how), 0);
}

static void call_close(struct run *run, struct words *words)
{
    struct named_sock *named = sock_named(run, words);

    words_must_end(run, words);
    note(run, "%s", run->statement->text);
    pal__n_sock_close(named->sock);
    named->sock = NULL;
}

const struct command call_commands[] = {
    {"socket", call_socket, true}, {"accept", call_accept, true},       {"bind", call_bind, true},
    {"listen", call_listen, true}, {"connect", call_connect, true},     {"write", call_write, true},
    {"read", call_read, true},     {"skip", call_skip, true},           {"lend", call_lend, true},
    {"close", call_close, true},   {"give-back", call_give_back, true}, {"shutdown", call_shutdown, true},
    {NULL, NULL, false},
};
