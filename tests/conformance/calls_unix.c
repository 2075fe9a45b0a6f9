/* calls_unix.c: local sockets: stream, datagram and seqpacket, by path, by abstract name and without a name. Passed
 * handles are in calls_passing.c. */
#include "calls_common.h"

#include <stdio.h>
#include <stdlib.h>

static const int types[] = {PAL_SOCK_STREAM, PAL_SOCK_DGRAM, PAL_SOCK_SEQPACKET};
enum { TYPES = 3 };

static void require_unix(void)
{
    require_pair(PAIR_UNIX_STREAM);
}

static struct pal_addr unix_address(const void *name, size_t size)
{
    struct pal_addr addr;

    memset(&addr, 0, sizeof(addr));
    addr.family = PAL_AF_UNIX;
    addr.size = (uint8_t)size;
    memcpy(addr.bytes, name, size);
    return addr;
}

static uint64_t process_id(void)
{
    uint64_t id = 0;

    assert_error(pal_info(PAL_INFO_PROCESS_ID, &id), 0);
    return id;
}

/* A path that nobody has. Whoever binds it removes it with path_remove. */
static struct pal_addr path_name(void)
{
    static unsigned count;
    const char *directory = getenv("TMPDIR");
    char path[108];
    int size;

    if (directory == NULL || strlen(directory) > 60)
        directory = "/tmp";
    size = snprintf(path, sizeof(path), "%s/palio-%lu-%u", directory, (unsigned long)process_id(), count++);
    (void)remove(path);
    return unix_address(path, (size_t)size);
}

static void path_remove(const struct pal_addr *addr)
{
    char path[113] = "";

    memcpy(path, addr->bytes, addr->size);
    cr_assert_eq(remove(path), 0, "%s is not there to be removed", path);
}

static struct pal_addr abstract_name(void)
{
    static unsigned count;
    char name[108] = "";
    int size = snprintf(name + 1, sizeof(name) - 1, "palio-calls-%lu-%u", (unsigned long)process_id(), count++);

    return unix_address(name, (size_t)size + 1);
}

static void require_abstract(void)
{
    struct pal_addr name = abstract_name();
    pal_sock sock;
    int error;

    require_unix();
    sock = sock_open(PAL_AF_UNIX, PAL_SOCK_STREAM);
    error = pal_sock_bind(sock, &name);
    sock_close(sock);
    if (error != 0)
        test_skip("abstract-unix", "this system has paths only");
}

static struct pal_addr unnamed(void)
{
    return unix_address("", 0);
}

/* A connection by this name, for the types that have connections, or two datagram sockets of which one is connected. */
static void expect_served(int type, const struct pal_addr *name)
{
    pal_sock server = sock_open(PAL_AF_UNIX, type);
    pal_sock client = sock_open(PAL_AF_UNIX, type);
    pal_sock served = {0};
    struct pal_addr peer;

    assert_error(pal_sock_bind(server, name), 0);
    assert_same_address(name_of(server, PAL_NAME_LOCAL), *name);
    if (type == PAL_SOCK_DGRAM) {
        assert_error(pal_sock_connect(client, name), 0);
        send_text(client, "hello");
        expect_datagram(server, "hello", &peer);
    } else {
        assert_error(pal_sock_listen(server, 4), 0);
        assert_error(pal_sock_connect(client, name), 0);
        cr_assert(sock_until(server, PAL_IN) & PAL_IN);
        memset(&peer, 0xa5, sizeof(peer));
        assert_error(pal_sock_accept(server, &served, &peer), 0);
        expect_connected(client, served);
        assert_same_address(name_of(served, PAL_NAME_LOCAL), *name);
        sock_close(served);
    }
    assert_same_address(peer, unnamed());
    assert_same_address(name_of(client, PAL_NAME_PEER), *name);
    assert_same_address(name_of(client, PAL_NAME_LOCAL), unnamed());
    pair_close(client, server);
}

Test(calls_unix, a_path_names_a_socket)
{
    require_unix();
    for (int i = 0; i < TYPES; i++) {
        struct pal_addr name = path_name();

        expect_served(types[i], &name);
        path_remove(&name);
    }
}

Test(calls_unix, an_abstract_name_names_a_socket)
{
    require_abstract();
    for (int i = 0; i < TYPES; i++) {
        struct pal_addr name = abstract_name();

        expect_served(types[i], &name);
        expect_served(types[i], &name); /* free again with its socket */
    }
}

Test(calls_unix, an_abstract_name_is_any_bytes_up_to_the_last)
{
    char bytes[108];
    struct pal_addr name = abstract_name(), longest;

    require_abstract();
    memset(bytes, 'h', sizeof(bytes));
    memcpy(bytes, name.bytes, name.size);
    longest = unix_address(bytes, sizeof(bytes));
    expect_served(PAL_SOCK_STREAM, &longest);

    memcpy(name.bytes + name.size, "\0\xff\0", 3);
    name.size = (uint8_t)(name.size + 3);
    expect_served(PAL_SOCK_STREAM, &name);
}

Test(calls_unix, a_path_may_have_107_bytes)
{
    char path[108];
    struct pal_addr name = path_name();

    require_unix();
    memset(path, 'p', sizeof(path));
    memcpy(path, name.bytes, name.size);
    name = unix_address(path, 107);
    expect_served(PAL_SOCK_STREAM, &name);
    path_remove(&name);
}

Test(calls_unix, a_name_that_is_too_long_is_refused)
{
    static const uint8_t sizes[] = {109, 112, 113, 255};
    pal_sock sock;

    require_unix();
    sock = sock_open(PAL_AF_UNIX, PAL_SOCK_STREAM);
    for (size_t i = 0; i < sizeof(sizes); i++) {
        struct pal_addr addr = path_name();
        int error;

        memset(addr.bytes + addr.size, 'p', sizeof(addr.bytes) - addr.size);
        addr.size = sizes[i];
        error = pal_sock_bind(sock, &addr);
        cr_assert(error == PAL_EINVAL || error == PAL_ENAMETOOLONG, "%u bytes: %s", sizes[i], pal_error_name(error));
        error = pal_sock_connect(sock, &addr);
        cr_assert(error == PAL_EINVAL || error == PAL_ENAMETOOLONG, "%u bytes: %s", sizes[i], pal_error_name(error));
    }
    sock_close(sock);
}

Test(calls_unix, a_path_stays_after_its_socket)
{
    struct pal_addr name = path_name();
    pal_sock first, second, client;

    require_unix();
    first = sock_open(PAL_AF_UNIX, PAL_SOCK_STREAM);
    second = sock_open(PAL_AF_UNIX, PAL_SOCK_STREAM);
    client = sock_open(PAL_AF_UNIX, PAL_SOCK_STREAM);
    assert_error(pal_sock_bind(first, &name), 0);
    assert_error(pal_sock_bind(second, &name), PAL_EADDRINUSE);
    sock_close(first);
    assert_error(pal_sock_bind(second, &name), PAL_EADDRINUSE);
    assert_error(pal_sock_connect(client, &name), PAL_ECONNREFUSED);
    path_remove(&name);
    assert_error(pal_sock_bind(second, &name), 0);
    path_remove(&name);
    pair_close(second, client);
}

Test(calls_unix, a_path_has_to_lead_somewhere)
{
    struct pal_addr name = path_name();
    struct pal_addr below = name;
    pal_sock sock, client;

    require_unix();
    sock = sock_open(PAL_AF_UNIX, PAL_SOCK_STREAM);
    client = sock_open(PAL_AF_UNIX, PAL_SOCK_STREAM);
    assert_error(pal_sock_connect(client, &name), PAL_ENOENT);
    sock_close(client);
    memcpy(below.bytes + below.size, "/x", 2);
    below.size = (uint8_t)(below.size + 2);
    assert_error(pal_sock_bind(sock, &below), PAL_ENOENT);
    assert_error(pal_sock_bind(sock, &name), 0);
    client = sock_open(PAL_AF_UNIX, PAL_SOCK_STREAM);
    assert_error(pal_sock_bind(client, &below), PAL_ENOTDIR);
    pair_close(sock, client);
    path_remove(&name);
}

Test(calls_unix, a_named_datagram_sender_is_told)
{
    struct pal_addr names[2], from;
    pal_sock socks[2];

    require_unix();
    for (int i = 0; i < 2; i++) {
        names[i] = path_name();
        socks[i] = sock_open(PAL_AF_UNIX, PAL_SOCK_DGRAM);
        assert_error(pal_sock_bind(socks[i], &names[i]), 0);
    }
    assert_error(send_to(socks[0], &names[1], "question"), 8);
    memset(&from, 0xa5, sizeof(from));
    expect_datagram(socks[1], "question", &from);
    assert_same_address(from, names[0]);
    assert_error(send_to(socks[1], &from, "answer"), 6);
    expect_datagram(socks[0], "answer", &from);
    assert_same_address(from, names[1]);
    for (int i = 0; i < 2; i++) {
        sock_close(socks[i]);
        path_remove(&names[i]);
    }
}

Test(calls_unix, a_connected_datagram_socket_hears_its_peer_alone)
{
    struct pal_addr names[2];
    pal_sock socks[2], stranger;

    require_unix();
    stranger = sock_open(PAL_AF_UNIX, PAL_SOCK_DGRAM);
    for (int i = 0; i < 2; i++) {
        names[i] = path_name();
        socks[i] = sock_open(PAL_AF_UNIX, PAL_SOCK_DGRAM);
        assert_error(pal_sock_bind(socks[i], &names[i]), 0);
    }
    assert_error(pal_sock_connect(socks[0], &names[1]), 0);
    assert_error(send_to(stranger, &names[0], "from a stranger"), PAL_EPERM);
    assert_error(send_to(socks[1], &names[0], "from the peer"), 13);
    expect_text(socks[0], "from the peer");
    assert_error(pal_sock_connect(socks[0], NULL), 0);
    assert_error(send_to(stranger, &names[0], "from a stranger"), 15);
    expect_text(socks[0], "from a stranger");
    for (int i = 0; i < 2; i++) {
        sock_close(socks[i]);
        path_remove(&names[i]);
    }
    sock_close(stranger);
}

Test(calls_unix, a_full_backlog_is_not_now)
{
    enum { CLIENTS = 64 };
    struct pal_addr name = path_name();
    pal_sock listener, clients[CLIENTS];
    int count = 0, error = 0;

    require_unix();
    listener = sock_open(PAL_AF_UNIX, PAL_SOCK_STREAM);
    assert_error(pal_sock_bind(listener, &name), 0);
    assert_error(pal_sock_listen(listener, 1), 0);
    while (count < CLIENTS && error == 0) {
        clients[count] = sock_open(PAL_AF_UNIX, PAL_SOCK_STREAM);
        error = pal_sock_connect(clients[count++], &name);
    }
    assert_error(error, PAL_EAGAIN);
    for (int i = 0; i < count - 1; i++)
        sock_close(accept_one(listener));
    assert_error(pal_sock_connect(clients[count - 1], &name), 0);
    sock_close(accept_one(listener));
    while (count > 0)
        sock_close(clients[--count]);
    sock_close(listener);
    path_remove(&name);
}

/* ---- pairs ---- */

Test(calls_unix, a_pair_is_connected_and_without_names)
{
    require_unix();
    for (int i = 0; i < TYPES; i++) {
        pal_sock socks[2] = {{0}, {0}};

        assert_error(pal_sock_pair(PAL_AF_UNIX, types[i], socks), 0);
        cr_assert_neq(socks[0].id, socks[1].id);
        expect_connected(socks[0], socks[1]);
        assert_same_address(name_of(socks[0], PAL_NAME_LOCAL), unnamed());
        assert_same_address(name_of(socks[0], PAL_NAME_PEER), unnamed());
        cr_assert_eq(option_of(socks[0], PAL_SO_TYPE), types[i]);
        cr_assert_eq(option_of(socks[1], PAL_SO_FAMILY), PAL_AF_UNIX);
        pair_close(socks[0], socks[1]);
    }
}

Test(calls_unix, a_pair_of_what_has_none_is_refused)
{
    uint64_t before = handles_open();
    pal_sock socks[2] = {{0}, {0}};

    require_unix();
    cr_assert_lt(pal_sock_pair(PAL_AF_INET, PAL_SOCK_STREAM, socks), 0);
    cr_assert_lt(pal_sock_pair(PAL_AF_UNIX, 77, socks), 0);
    cr_assert_lt(pal_sock_pair(99, PAL_SOCK_STREAM, socks), 0);
    assert_error(pal_sock_pair(PAL_AF_UNIX, PAL_SOCK_STREAM, NULL), PAL_EINVAL);
    cr_assert_eq(handles_open(), before);
}

Test(calls_unix, packets_keep_their_boundaries_and_bytes_do_not)
{
    static const enum pair_kind kinds[] = {PAIR_UNIX_SEQPACKET, PAIR_UNIX_DGRAM, PAIR_UNIX_STREAM};

    require_unix();
    for (int i = 0; i < 3; i++) {
        pal_sock a, b;

        pair_open(kinds[i], &a, &b);
        send_text(a, "one");
        send_text(a, "two");
        expect_text(b, kinds[i] == PAIR_UNIX_STREAM ? "onetwo" : "one");
        if (kinds[i] != PAIR_UNIX_STREAM)
            expect_text(b, "two");
        pair_close(a, b);
    }
}

Test(calls_unix, a_closed_end_ends_the_other)
{
    static const enum pair_kind kinds[] = {PAIR_UNIX_SEQPACKET, PAIR_UNIX_STREAM};

    require_unix();
    for (int i = 0; i < 2; i++) {
        pal_sock a, b;

        pair_open(kinds[i], &a, &b);
        send_text(a, "last words");
        sock_close(a);
        expect_text(b, "last words");
        expect_end(b);
        assert_error(pal_sock_send(b, "x", 1, 0), PAL_EPIPE);
        sock_close(b);
    }
}

Test(calls_unix, shutdown_ends_one_direction)
{
    pal_sock a, b;

    require_unix();
    pair_open(PAIR_UNIX_STREAM, &a, &b);
    assert_error(pal_sock_shutdown(a, PAL_SHUT_WR), 0);
    assert_error(pal_sock_send(a, "x", 1, 0), PAL_EPIPE);
    expect_end(b);
    send_text(b, "back");
    expect_text(a, "back");
    assert_error(pal_sock_shutdown(a, PAL_SHUT_RD), 0);
    expect_end(a);
    assert_error(pal_sock_send(b, "x", 1, 0), PAL_EPIPE);
    pair_close(a, b);
}
