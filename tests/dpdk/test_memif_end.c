/* test_memif_end.c: the end of a card on shared memory (net_memif), whatever its peer does at that moment. DPDK's own
 * thread hears of the peer, and must not be hearing of it while the port goes away below it. Every card is a process of
 * its own, which lives on for a while without it. */
#include "backend_rig.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROUNDS = 5, WIRES = 4, STEP_NS = 40000, WAIT_MS = 10000, AFTER_US = 3000, KNOCKS = 100 };

/* What the processes of a wire have in common; a test has several wires at a time, as most of a start is waiting. */
struct common {
    atomic_int listens, ready, go, stopped;
};

static struct common *wires, *common; /* of this wire */

#define MUST(condition)                                                                                                \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "process %ld, line %d: %s (%s)\n", (long)getpid(), __LINE__, #condition, pal_reason());    \
            _exit(1);                                                                                                  \
        }                                                                                                              \
    } while (0)

static void begin(void)
{
    wires = mmap(NULL, WIRES * sizeof(*wires), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(wires, MAP_FAILED);
    common = wires;
}

static void use_wire(int number)
{
    common = &wires[number];
}

static void forget(void)
{
    atomic_store(&common->listens, 0);
    atomic_store(&common->ready, 0);
    atomic_store(&common->go, 0);
    atomic_store(&common->stopped, 0);
}

/* True: it came to be so many within the time. */
static bool reaches(atomic_int *count, int wanted)
{
    for (int i = 0; i < WAIT_MS * 10 && atomic_load(count) < wanted; i++)
        usleep(100);
    return atomic_load(count) >= wanted;
}

/* ---- a process with a card ---- */

static void open_card(bool listens, pid_t test)
{
    char text[512];
    pal_poll *poll;

    snprintf(text, sizeof(text),
             "device net_memif0,role=%s,socket=palio-end-%ld-%d ; address 10.0.0.%d/24 ; hugepages off ; mbufs 1024 ; "
             "descriptors 256 ; idle backoff 200",
             listens ? "server" : "client", (long)test, (int)(common - wires), listens ? 1 : 2);
    MUST(setenv("PALIO_DPDK", text, 1) == 0);
    MUST(pal_poll_open(&poll, NULL) == 0); /* which starts the card, and no stack of this thread */
    MUST(pal_poll_close(poll) == 0);
}

static void await_link(void)
{
    struct pal_card_link link = {.is_up = false};

    for (int i = 0; i < WAIT_MS && !link.is_up; i++) {
        usleep(1000);
        link = (struct pal_card_link){.device = 0};
        MUST(pal_ctl(NULL, PAL_CTL_CARD_LINK, &link, sizeof(link)) == 0);
    }
    MUST(link.is_up);
}

/* No packet buffer is missing; and what is left of DPDK does no harm. */
static void stop_card(void)
{
    struct pal_card_stop stopped = {.missing = 1};

    MUST(pal_ctl(NULL, PAL_CTL_CARD_STOP, &stopped, sizeof(stopped)) == 0);
    MUST(stopped.missing == 0);
    atomic_fetch_add(&common->stopped, 1);
    usleep(AFTER_US);
}

static void await_go(uint64_t later_ns)
{
    uint64_t from_ns;

    atomic_fetch_add(&common->ready, 1);
    MUST(reaches(&common->go, 1));
    for (from_ns = now(); now() < from_ns + later_ns;)
        continue;
}

/* One end of a wire: it stops its card so long after the word. */
static pid_t start_side(bool listens, uint64_t later_ns)
{
    pid_t test = getpid(), child = fork();

    cr_assert_geq(child, 0);
    if (child != 0)
        return child;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    MUST(listens || reaches(&common->listens, 1));
    open_card(listens, test);
    atomic_fetch_add(&common->listens, listens);
    await_link();
    await_go(later_ns);
    stop_card();
    _exit(0);
}

/* One that listens, and whose peer says nothing. */
static pid_t start_alone(void)
{
    pid_t test = getpid(), child = fork();

    cr_assert_geq(child, 0);
    if (child != 0)
        return child;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    open_card(true, test);
    await_go(0);
    stop_card();
    MUST(reaches(&common->go, 2));
    usleep(AFTER_US);
    _exit(0);
}

static void must_end_well(pid_t child, const char *who)
{
    int status = -1;

    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_expect(!WIFSIGNALED(status), "%s died by signal %d", who, WTERMSIG(status));
    cr_expect(status == 0, "%s: status %x", who, (unsigned)status);
}

/* ---- somebody at its socket, by hand ---- */

static struct sockaddr_un socket_name(socklen_t *size)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int length = snprintf(name.sun_path + 1, sizeof(name.sun_path) - 1, "palio-end-%ld-%d", (long)getpid(),
                          (int)(common - wires));

    *size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
    return name;
}

/* A connection; -1: nobody listens. */
static int knock(void)
{
    socklen_t size;
    struct sockaddr_un name = socket_name(&size);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), result = -1;

    cr_assert_geq(fd, 0);
    for (int i = 0; i < 10000 && result != 0 && (i == 0 || errno == EAGAIN); i++) {
        if (i > 0) /* those that wait to be accepted are too many */
            usleep(100);
        result = connect(fd, (const struct sockaddr *)&name, size);
    }
    if (result == 0)
        return fd;
    cr_assert_eq(errno, ECONNREFUSED, "%s", strerror(errno));
    (void)close(fd);
    return -1;
}

/* ---- the tests ---- */

struct sides {
    pid_t caller, listener;
};

/* A wire each, linked, and all waiting for the word; which of the two acts later, and how much, is different. */
static void start_wires(struct sides *sides, int round)
{
    for (int i = 0; i < WIRES; i++) {
        uint64_t later_ns = (uint64_t)((round + i) % ROUNDS) * STEP_NS;

        use_wire(i);
        forget();
        sides[i].listener = start_side(true, i % 2 ? later_ns : 0);
        sides[i].caller = start_side(false, i % 2 ? 0 : later_ns);
    }
    for (int i = 0; i < WIRES; i++) {
        use_wire(i);
        cr_assert(reaches(&common->ready, 2), "round %d, wire %d", round, i);
    }
}

Test(memif_end, both_stop_at_once)
{
    struct sides sides[WIRES];

    begin();
    for (int round = 0; round < ROUNDS; round++) {
        start_wires(sides, round);
        for (int i = 0; i < WIRES; i++) {
            use_wire(i);
            atomic_store(&common->go, 1);
        }
        for (int i = 0; i < WIRES; i++) {
            must_end_well(sides[i].listener, "who listens");
            must_end_well(sides[i].caller, "who calls");
        }
    }
}

/* What the other had sent it is no buffer of its own: none of these is missing. */
Test(memif_end, a_peer_is_killed_while_it_stops)
{
    struct sides sides[WIRES];

    begin();
    for (int round = 0; round < ROUNDS; round++) {
        start_wires(sides, round);
        for (int i = 0; i < WIRES; i++) {
            pid_t victim = i / 2 % 2 ? sides[i].listener : sides[i].caller;

            use_wire(i);
            cr_assert_eq(kill(victim, SIGSTOP), 0); /* it does nothing at the word */
            atomic_store(&common->go, 1);
            cr_assert_eq(kill(victim, SIGKILL), 0);
            cr_assert_eq(waitpid(victim, NULL, 0), victim);
        }
        for (int i = 0; i < WIRES; i++)
            must_end_well(i / 2 % 2 ? sides[i].caller : sides[i].listener, i / 2 % 2 ? "who calls" : "who listens");
    }
}

/* As often as it goes; the driver does not bear one that is gone before it has been greeted. */
Test(memif_end, somebody_connects_while_it_stops)
{
    begin();
    for (int i = 0; i < ROUNDS; i++) {
        int fds[KNOCKS], count = 0;
        pid_t listener;

        forget();
        listener = start_alone();
        cr_assert(reaches(&common->ready, 1), "round %d", i);
        fds[count++] = knock();
        cr_assert_geq(fds[0], 0);
        atomic_store(&common->go, 1);
        while (count < KNOCKS && fds[count - 1] >= 0)
            fds[count++] = knock();
        cr_assert(reaches(&common->stopped, 1), "it does not stop");
        cr_expect_eq(knock(), -1, "it is stopped, and listens");
        while (count-- > 0)
            if (fds[count] >= 0)
                (void)close(fds[count]);
        atomic_store(&common->go, 2);
        must_end_well(listener, "who listens");
    }
}

Test(memif_end, somebody_has_connected_and_speaks_too_late)
{
    char bytes[128] = {2}; /* that it wants to be a peer, in the driver's words */
    int fds[3];

    begin();
    for (int i = 0; i < ROUNDS; i++) {
        pid_t listener;

        forget();
        listener = start_alone();
        cr_assert(reaches(&common->ready, 1), "round %d", i);
        for (int k = 0; k < 3; k++) {
            fds[k] = knock();
            cr_assert_geq(fds[k], 0);
        }
        if (i % 2)
            usleep(20000); /* they are accepted */
        atomic_store(&common->go, 1);
        cr_assert(reaches(&common->stopped, 1), "it does not stop");
        for (int k = 0; k < 3; k++) {
            (void)send(fds[k], bytes, sizeof(bytes), MSG_NOSIGNAL);
            (void)close(fds[k]);
        }
        atomic_store(&common->go, 2);
        must_end_well(listener, "who listens");
    }
}
