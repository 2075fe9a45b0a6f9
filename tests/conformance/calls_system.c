/* calls_system.c: clocks, entropy, what backend and system tell about themselves, the list of errors. Threads are in
 * calls_threads.c, names in calls_names.c. */
#include "calls_common.h"

#include <signal.h>

/* ---- the backend ---- */

Test(calls_system, the_backend_says_what_it_is)
{
    const struct pal_backend *backend = pal_backend_info();

    cr_assert_not_null(backend);
    cr_assert_not_null(backend->name);
    cr_assert_neq(*backend->name, '\0');
    cr_assert_eq(backend->abi, PAL_ABI);
    cr_assert_eq(backend->reserved, 0);
    cr_assert_eq(pal_backend_info(), backend);
}

Test(calls_system, set_up_comes_first_or_not_at_all)
{
    struct pal_setup setup;
    pal_sock sock = sock_open(PAL_AF_INET, PAL_SOCK_DGRAM);

    memset(&setup, 0, sizeof(setup));
    assert_error(pal_setup(&setup), PAL_EBUSY);
    assert_error(pal_setup(NULL), PAL_EBUSY);
    sock_close(sock);
    assert_error(pal_setup(&setup), PAL_EBUSY);
}

Test(calls_system, set_up_limits_the_handles)
{
    struct pal_setup setup;
    uint64_t max = 0;
    pal_sock socks[4], refused = {0};

    memset(&setup, 0, sizeof(setup));
    setup.socks_max = 4;
    assert_error(pal_setup(&setup), 0);
    assert_error(pal_info(PAL_INFO_SOCKS_MAX, &max), 0);
    cr_assert_eq(max, 4);
    for (int i = 0; i < 4; i++)
        socks[i] = sock_open(PAL_AF_INET, PAL_SOCK_DGRAM);
    assert_error(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_DGRAM, 0, &refused), PAL_ENOBUFS);
    assert_error(pal_sock_dup(socks[0], &refused), PAL_ENOBUFS);
    sock_close(socks[3]);
    socks[3] = sock_open(PAL_AF_INET, PAL_SOCK_DGRAM);
    pair_close(socks[0], socks[1]);
    pair_close(socks[2], socks[3]);
}

Test(calls_system, an_unknown_control_key_is_refused)
{
    struct rig rig;
    uint32_t value = 0;

    rig_open(&rig, 2);
    assert_error(pal_ctl(rig.poll, INT32_MAX, &value, sizeof(value)), PAL_ENOTSUP);
    rig_close(&rig);
}

/* ---- numbers ---- */

static uint64_t info_of(int key)
{
    uint64_t value = UINT64_MAX;

    assert_error(pal_info(key, &value), 0);
    return value;
}

Test(calls_system, the_system_is_told_in_numbers)
{
    uint64_t page = info_of(PAL_INFO_PAGE_SIZE);

    cr_assert_geq(info_of(PAL_INFO_CPU_COUNT), 1);
    cr_assert_leq(info_of(PAL_INFO_CPU_COUNT), 1u << 20);
    cr_assert(page >= 512 && (page & (page - 1)) == 0, "a page of %lu bytes", (unsigned long)page);
    cr_assert_geq(info_of(PAL_INFO_SOCKS_MAX), 1);
    cr_assert_geq(info_of(PAL_INFO_NATIVE_MAX), 3);
    cr_assert_neq(info_of(PAL_INFO_PROCESS_ID), 0);
    cr_assert_eq(info_of(PAL_INFO_PROCESS_ID), info_of(PAL_INFO_PROCESS_ID));
}

Test(calls_system, an_unknown_number_is_refused)
{
    uint64_t value = 0;

    assert_error(pal_info(0, &value), PAL_EINVAL);
    assert_error(pal_info(-1, &value), PAL_EINVAL);
    assert_error(pal_info(9999, &value), PAL_EINVAL);
    assert_error(pal_info(PAL_INFO_CPU_COUNT, NULL), PAL_EINVAL);
}

/* ---- clocks ---- */

Test(calls_system, the_monotonic_clock_does_not_go_back)
{
    uint64_t last = pal_clock(PAL_CLOCK_MONOTONIC);

    for (int i = 0; i < 10000; i++) {
        uint64_t now = pal_clock(PAL_CLOCK_MONOTONIC);

        cr_assert_geq(now, last);
        last = now;
    }
}

Test(calls_system, the_clocks_are_counted_in_nanoseconds)
{
    static const int clocks[] = {PAL_CLOCK_MONOTONIC, PAL_CLOCK_REAL};

    for (int i = 0; i < 2; i++) {
        uint64_t before = pal_clock(clocks[i]);
        uint64_t deadline_ns = deadline_after(20 * MILLISECOND_NS);

        while (pal_clock(PAL_CLOCK_MONOTONIC) < deadline_ns)
            assert_error(pal_sock_wait(NULL, 0, deadline_ns), 0);
        cr_assert_geq(pal_clock(clocks[i]) - before, 10 * MILLISECOND_NS, "clock %d is slow", i);
    }
}

Test(calls_system, the_real_clock_counts_from_1970)
{
    const uint64_t year_2020_ns = 1577836800u * UINT64_C(1000000000);

    cr_assert_geq(pal_clock(PAL_CLOCK_REAL), year_2020_ns);
}

Test(calls_system, the_threads_clock_counts_its_work)
{
    uint64_t before = pal_clock(PAL_CLOCK_THREAD_CPU);
    uint64_t after = before;

    for (int i = 0; i < 100000000 && after == before; i++)
        after = pal_clock(PAL_CLOCK_THREAD_CPU);
    cr_assert_gt(after, before);
}

Test(calls_system, an_unknown_clock_is_a_mistake, .signal = SIGABRT)
{
    (void)pal_clock(77);
}

Test(calls_system, a_fatal_end_is_an_abort, .signal = SIGABRT)
{
    pal_fatal("this is a test of how a program ends");
}

/* ---- entropy ---- */

Test(calls_system, random_bytes_differ)
{
    uint8_t bytes[4][32];

    memset(bytes, 0, sizeof(bytes));
    for (int i = 0; i < 4; i++) {
        assert_error(pal_random(bytes[i], sizeof(bytes[i])), 0);
        for (int j = 0; j < i; j++)
            cr_assert_arr_neq(bytes[i], bytes[j], sizeof(bytes[i]));
    }
}

Test(calls_system, random_bytes_fill_what_was_asked_for_and_no_more)
{
    enum { SIZE = 5000, GUARD = 16 };
    static uint8_t bytes[SIZE + GUARD];
    int zeros = 0;

    memset(bytes, 0, sizeof(bytes));
    assert_error(pal_random(bytes, SIZE), 0);
    for (int i = 0; i < SIZE; i++)
        zeros += bytes[i] == 0;
    cr_assert_lt(zeros, 200, "%d of %d bytes are zero, of which 20 are expected", zeros, (int)SIZE);
    for (int i = 0; i < GUARD; i++)
        cr_assert_eq(bytes[SIZE + i], 0);
    assert_error(pal_random(bytes, 0), 0);
    assert_error(pal_random(NULL, 16), PAL_EINVAL);
}

/* ---- errors ---- */

struct error_entry {
    int code;
    const char *name, *text;
};

#define ERROR_ENTRY(name, value, text) {-(value), #name, text},
static const struct error_entry errors[] = {PAL_ERROR_LIST(ERROR_ENTRY)};
enum { ERRORS = sizeof(errors) / sizeof(errors[0]) };

Test(calls_system, every_error_has_a_name_and_a_text)
{
    for (int i = 0; i < ERRORS; i++) {
        cr_assert_str_eq(pal_error_name(errors[i].code), errors[i].name);
        cr_assert_str_eq(pal_error_text(errors[i].code), errors[i].text);
        cr_assert_neq(errors[i].text[0], '\0');
        cr_assert_lt(errors[i].code, 0);
    }
    cr_assert_str_eq(pal_error_name(PAL_OK), "OK");
    cr_assert_str_eq(pal_error_text(PAL_OK), "success");
}

Test(calls_system, no_two_errors_are_alike)
{
    for (int i = 0; i < ERRORS; i++) {
        for (int j = 0; j < i; j++) {
            cr_assert_neq(errors[i].code, errors[j].code, "%s and %s", errors[i].name, errors[j].name);
            cr_assert_str_neq(errors[i].text, errors[j].text);
        }
    }
}

Test(calls_system, a_number_that_is_no_error_is_told_as_such)
{
    static const int codes[] = {1, 11, 4097, -4096, -4101, -3000, -15, INT32_MAX, INT32_MIN};

    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        cr_assert_str_eq(pal_error_name(codes[i]), "E?", "%d", codes[i]);
        cr_assert_str_eq(pal_error_text(codes[i]), "unknown error");
    }
}

Test(calls_system, a_failed_call_leaves_the_systems_code)
{
    pal_sock sock = sock_bound(PAL_AF_INET, PAL_SOCK_STREAM, NULL);
    pal_sock served = {0};
    char byte;

    assert_error(pal_sock_accept(sock, &served, NULL), PAL_EINVAL);
    if (is_native(sock))
        cr_assert_neq(pal_native_error(), 0);
    else
        assert_error(-pal_native_error(), PAL_EINVAL); /* the stack is its own system */
    assert_error(pal_sock_recv(sock, &byte, 1, 0), PAL_ENOTCONN);
    cr_assert_not_null(pal_reason());
    sock_close(sock);
}
