/* test_backend_refused.c: what a program on libpal-dpdk is told when its card cannot start: a code, a reason that names
 * the remedy, and a process that lives on with the kernel's sockets, and starts with better words. */
#include "backend_rig.h"

#include <grp.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(dpdk_refused, .timeout = 60);

static const char *const good = "device net_null0 ; hugepages off ; mbufs 4096 ; descriptors 256";

static bool kernel_works(void)
{
    pal_sock ends[2];
    struct pal_wait item = {.interest = PAL_IN};
    char byte = 0;

    if (pal_sock_pair(PAL_AF_UNIX, PAL_SOCK_STREAM, ends) != 0 || pal_sock_send(ends[0], "k", 1, 0) != 1)
        return false;
    item.sock = ends[1];
    return pal_sock_wait(&item, 1, UINT64_MAX) == 1 && pal_sock_recv(ends[1], &byte, 1, 0) == 1 && byte == 'k' &&
           pal_sock_close(ends[0]) == 0 && pal_sock_close(ends[1]) == 0;
}

struct refusal_case {
    const char *text;
    int code, other;           /* either of them */
    const char *what, *remedy; /* words of the reason; "a|b": one of them */
};

static bool says(const char *reason, const char *words)
{
    const char *bar = strchr(words, '|');
    char first[128];

    if (bar == NULL)
        return strstr(reason, words) != NULL;
    snprintf(first, sizeof(first), "%.*s", (int)(bar - words), words);
    return strstr(reason, first) != NULL || says(reason, bar + 1);
}

/* In a process of its own: NULL, or what is wrong. */
static const char *attempt(const struct refusal_case *item)
{
    pal_poll *poll = NULL;
    pal_sock sock;
    int error;

    (void)setenv("PALIO_DPDK", item->text, 1);
    error = pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_STREAM, 0, &sock);
    fprintf(stderr, "# %s: %s: %s\n", item->text, pal_error_name(error), pal_reason());
    if (error != item->code && error != item->other)
        return "another code";
    if (!says(pal_reason(), item->what) || !says(pal_reason(), item->remedy))
        return "other words";
    if (pal_poll_open(&poll, NULL) != error || pal_reason()[0] == '\0')
        return "a poll does not say the same";
    if (pal_sock_open(NULL, PAL_AF_UNIX, PAL_SOCK_STREAM, 0, &sock) != 0 || pal_sock_close(sock) != 0)
        return "no kernel's socket opens";
    return kernel_works() ? NULL : "the kernel's sockets do not work";
}

static void expect_refused(const struct refusal_case *item)
{
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        const char *wrong = attempt(item);

        if (wrong != NULL)
            fprintf(stderr, "# %s\n", wrong);
        _exit(wrong != NULL);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "\"%s\": status %d", item->text, status);
}

#define SMALL " ; hugepages off ; mbufs 4096 ; descriptors 256"

Test(dpdk_refused, words_that_are_wrong_name_the_word)
{
    static const struct refusal_case cases[] = {
        {"device net_null0 ; adress 10.0.0.1/24", PAL_EINVAL, 0, "adress", "address"},
        {"device net_null0 ; address 10.0.0.1", PAL_EINVAL, 0, "10.0.0.1", "/"},
        {"device net_null0 ; address 10.0.0.300/24", PAL_EINVAL, 0, "10.0.0.300", ""},
        {"device net_null0 ; address 10.0.0.1/24 ; address 10.0.0.1/24", PAL_EEXIST, PAL_EINVAL, "10.0.0.1", ""},
        {"address 10.0.0.1/24", PAL_EINVAL, PAL_ENODEV, "device", ""},
        {"device net_null0 ; mbufs 100", PAL_EINVAL, 0, "mbufs", "512"},
        {"device net_null0 ; mbufs 1000", PAL_EINVAL, 0, "mbufs", "say mbufs"},
        {"device net_null0 ; queues 99", PAL_EINVAL, 0, "queues", "16"},
        {"device net_null0 ; idle often", PAL_EINVAL, 0, "often", "spin"},
        {"@/tmp/there is no such file", PAL_ENOENT, PAL_EINVAL, "there is no such file", ""},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        expect_refused(&cases[i]);
}

Test(dpdk_refused, devices_that_are_not_there_are_named)
{
    static const struct refusal_case cases[] = {
        {"device net_nonsense0" SMALL, PAL_ENODEV, 0, "net_nonsense0", "virtual ones are net_tap"},
        {"device net_af_packet0,iface=nosuch0" SMALL, PAL_ENODEV, 0, "nosuch0", "ip link|interface"},
        {"device 0000:7f:1f.7" SMALL, PAL_ENODEV, 0, "0000:7f:1f.7", ""},
        {"device net_null0,nosuch=1" SMALL, PAL_EINVAL, PAL_EIO, "net_null0", "look at the words behind its name"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        expect_refused(&cases[i]);
}

Test(dpdk_refused, what_the_machine_has_not_is_refused)
{
    static const struct refusal_case cases[] = {
        {"device net_null0 ; hugepages off ; mbufs 1000000 ; queues 16 ; mtu 9000", PAL_ENOMEM, PAL_ENOTSUP,
         "mbufs|queues|mtu", "fewer|say|most"},
        {"device net_null0 ; cores 1023" SMALL, PAL_EINVAL, 0, "1023", "cores|CPU"},
        {"device net_null0 ; pcap /no/such/folder" SMALL, PAL_EACCES, 0, "/no/such/folder", "name another file"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        expect_refused(&cases[i]);
}

/* As nobody: what needs a permission says so before DPDK is started. */
Test(dpdk_refused, without_permissions_it_says_which)
{
    static const struct refusal_case cases[] = {
        {"device net_tap0,iface=palio9" SMALL, PAL_EPERM, PAL_EACCES, "net_tap0|palio9|tun", "CAP_|root"},
        {"device net_af_packet0,iface=lo" SMALL, PAL_EPERM, PAL_EACCES, "lo", "CAP_|root"},
    };

    if (geteuid() != 0)
        test_skip("root", "only root can become nobody");
    cr_assert(setgroups(0, NULL) == 0 && setgid(65534) == 0 && setuid(65534) == 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        expect_refused(&cases[i]);
}

/* On a wire that the kernel has an end of, an address of both would be answered by both. */
Test(dpdk_refused, an_address_of_the_kernels_is_refused)
{
    struct refusal_case item = {NULL, PAL_EADDRINUSE, 0, "", "take another"};
    char text[256], host[64] = "";
    struct ifaddrs *list, *at;

    if (geteuid() != 0)
        test_skip("root", "a tap device is root's");
    cr_assert_eq(getifaddrs(&list), 0);
    for (at = list; at != NULL && host[0] == '\0'; at = at->ifa_next) {
        if (at->ifa_addr == NULL || at->ifa_addr->sa_family != AF_INET || at->ifa_flags & IFF_LOOPBACK)
            continue;
        cr_assert_eq(getnameinfo(at->ifa_addr, sizeof(struct sockaddr_in), host, sizeof(host), NULL, 0, NI_NUMERICHOST),
                     0);
    }
    freeifaddrs(list);
    if (host[0] == '\0')
        test_skip("interfaces", "there is none with an IPv4 address");
    snprintf(text, sizeof(text), "device net_tap0,iface=palio8 ; address %s/24%s", host, SMALL);
    item.text = text;
    item.what = host;
    expect_refused(&item);
}

/* ---- afterwards ---- */

static void open_after_setup(const char *bad)
{
    struct pal_setup setup = {.args = good};
    pal_sock sock;
    pal_poll *poll;

    set_card(bad);
    cr_assert_lt(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_STREAM, 0, &sock), 0);
    cr_assert_eq(pal_setup(&setup), 0, "%s", pal_reason());
    poll = open_poll();
    sock = open_sock(PAL_SOCK_STREAM);
    cr_assert(strstr(path_of(sock), "device net_null0"), "%s", path_of(sock));
    cr_assert_eq(pal_sock_close(sock), 0);
    cr_assert_eq(pal_poll_close(poll), 0);
    cr_assert(kernel_works());
}

Test(dpdk_refused, better_words_start_it_before_dpdk_has_started)
{
    open_after_setup("device net_af_packet0,iface=nosuch0" SMALL);
}

Test(dpdk_refused, better_words_start_it_when_dpdk_runs_already)
{
    open_after_setup("device net_nonsense0" SMALL);
}

Test(dpdk_refused, setup_refuses_bad_words_and_changes_nothing)
{
    struct pal_setup setup = {.args = "device"};
    pal_sock sock;

    set_card(good);
    cr_assert_eq(pal_setup(&setup), PAL_EINVAL);
    cr_assert(strstr(pal_reason(), "device"), "%s", pal_reason());
    sock = open_sock(PAL_SOCK_DGRAM);
    setup.args = "device net_null1" SMALL;
    cr_assert_eq(pal_setup(&setup), PAL_EBUSY);
    cr_assert_str_neq(pal_reason(), "");
    cr_assert(strstr(path_of(sock), "net_null0"), "%s", path_of(sock));
}
