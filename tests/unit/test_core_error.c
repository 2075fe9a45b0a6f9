/* tests/unit/test_core_error.c: one list of codes, and the detail of the last failure: whose it is, what it holds, and
 * that its text fits any buffer. */
#include "support/test.h"

#include <signal.h>

#include <pal/os.h>
#include <pal/poll.h>
#include <pal/socket.h>
#include <palio/base.h>
#include <palio/core/error.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

struct code {
    int palio, expected;
    const char *name;
};

#define FROM_SEAM(name, value, text) {PALIO_##name, PAL_##name, #name},
#define OF_PALIO(name, value, text) {PALIO_##name, -(value), #name},
static const struct code codes[] = {PAL_ERROR_LIST(FROM_SEAM) PALIO_ERROR_LIST(OF_PALIO)};

#define ONE(name, value, text) +1
enum { SEAM_CODE_COUNT = 0 PAL_ERROR_LIST(ONE) };

Test(core_error_codes, palio_and_the_seam_share_one_list)
{
    for (size_t i = 0; i < COUNT_OF(codes); i++)
        cr_assert_eq(codes[i].palio, codes[i].expected, "%s", codes[i].name);
    cr_assert_eq((int)PALIO_EWOULDBLOCK, (int)PAL_EWOULDBLOCK);
    cr_assert_eq((int)PALIO_EOPNOTSUPP, (int)PAL_EOPNOTSUPP);
}

Test(core_error_codes, every_code_has_a_name_and_a_text)
{
    for (size_t i = 0; i < COUNT_OF(codes); i++) {
        cr_assert_str_eq(palio_error_name(codes[i].palio), codes[i].name);
        cr_assert_str_neq(palio_strerror(codes[i].palio), "");
        cr_assert_str_neq(palio_strerror(codes[i].palio), palio_strerror(-9999), "%s has a text", codes[i].name);
    }
}

Test(core_error_codes, no_two_codes_share_number_or_text)
{
    for (size_t i = 0; i < COUNT_OF(codes); i++) {
        for (size_t k = 0; k < i; k++) {
            cr_assert_neq(codes[i].palio, codes[k].palio, "%s and %s", codes[i].name, codes[k].name);
            cr_assert_str_neq(palio_strerror(codes[i].palio), palio_strerror(codes[k].palio));
        }
    }
}

Test(core_error_codes, palios_own_lie_beyond_the_seams)
{
    for (size_t i = 0; i < COUNT_OF(codes); i++) {
        if (i < SEAM_CODE_COUNT)
            cr_assert(codes[i].palio > -4200, "%s", codes[i].name);
        else
            cr_assert(codes[i].palio <= -4200 && codes[i].palio > PALIO_EUSER, "%s", codes[i].name);
    }
}

Test(core_error_codes, other_numbers_have_texts_too)
{
    cr_assert_str_eq(palio_error_name(0), "OK");
    cr_assert_str_eq(palio_error_name(17), "OK", "results are not errors");
    cr_assert_str_eq(palio_strerror(17), "success");
    cr_assert_str_eq(palio_error_name(-9999), "E?");
    cr_assert_str_eq(palio_strerror(-9999), "unknown error");
    cr_assert_str_eq(palio_error_name(PALIO_EUSER), "EUSER");
    cr_assert_str_eq(palio_error_name(INT32_MIN), "EUSER");
    cr_assert_str_eq(palio_strerror(PALIO_EUSER - 5), "the program's own error");
}

Test(core_error_codes, connection_errors_are_pythons)
{
    static const int connection[] = {PALIO_ECONNREFUSED, PALIO_ECONNRESET, PALIO_ECONNABORTED, PALIO_EPIPE,
                                     PALIO_ESHUTDOWN};
    size_t found = 0;

    for (size_t i = 0; i < COUNT_OF(connection); i++)
        cr_assert(palio_error_is_connection(connection[i]));
    for (size_t i = 0; i < COUNT_OF(codes); i++)
        found += palio_error_is_connection(codes[i].palio);
    cr_assert_eq(found, COUNT_OF(connection));
    cr_assert_not(palio_error_is_connection(0));
}

/* ---- the record ---- */

Test(core_error, nothing_has_failed_at_first)
{
    const palio_error *last = palio_last_error();

    cr_assert_eq(last->code, 0);
    cr_assert_str_eq(last->operation, "");
    cr_assert_str_eq(last->backend, "");
    cr_assert_str_eq(last->remedy, "");
    cr_assert_str_eq(last->object, "");
}

/* Binds a second socket to a port that is taken: *error is the seam's answer, unspoilt by what came after. */
static void fail_to_bind(pal_sock socks[2], uint16_t *port)
{
    struct pal_addr addr = {.family = PAL_AF_INET, .size = 4, .bytes = {127, 0, 0, 1}};

    for (int i = 0; i < 2; i++)
        cr_assert_eq(pal_sock_open(NULL, PAL_AF_INET, PAL_SOCK_STREAM, 0, &socks[i]), 0);
    cr_assert_eq(pal_sock_bind(socks[0], &addr), 0);
    cr_assert_eq(pal_sock_name(socks[0], PAL_NAME_LOCAL, &addr), 0);
    *port = addr.port;
    cr_assert_eq(pal_sock_bind(socks[1], &addr), PAL_EADDRINUSE);
}

Test(core_error, failure_of_the_seam_is_recorded_whole)
{
    pal_sock socks[2];
    const palio_error *last;
    uint16_t port;
    char expected[400], line[400];
    int native;

    fail_to_bind(socks, &port);
    native = pal_native_error();
    cr_assert_eq(palio__fail(PAL_EADDRINUSE, "bind", "tcp 127.0.0.1:%d", port), PALIO_EADDRINUSE);
    last = palio_last_error();
    cr_assert_eq(last->code, PALIO_EADDRINUSE);
    cr_assert_str_eq(last->operation, "bind");
    cr_assert_str_eq(last->backend, pal_backend_info()->name);
    cr_assert_eq(last->native, native);
    cr_assert_neq(strstr(last->remedy, "reuse_address"), NULL);

    (void)snprintf(expected, sizeof(expected),
                   "bind tcp 127.0.0.1:%d: address already in use (EADDRINUSE, native %d, %s); %s", port, native,
                   pal_backend_info()->name, last->remedy);
    (void)palio_error_format(line, sizeof(line), PALIO_EADDRINUSE);
    cr_assert_str_eq(line, expected);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(pal_sock_close(socks[i]), 0);
}

Test(core_error, what_palio_refuses_has_no_native_code)
{
    pal_sock socks[2];
    uint16_t port;

    fail_to_bind(socks, &port);
    cr_assert_eq(palio__refuse(PALIO_EINVAL, "bind", "%s", "nothing"), PALIO_EINVAL);
    cr_assert_eq(palio_last_error()->native, 0);
    cr_assert_str_eq(palio_last_error()->object, "nothing");
    for (int i = 0; i < 2; i++)
        cr_assert_eq(pal_sock_close(socks[i]), 0);
}

Test(core_error, reason_of_the_seam_is_the_remedy)
{
    struct pal_config config = {.events_max = 1};
    pal_poll *poll = NULL;

    cr_assert_eq(pal_poll_open(&poll, &config), PAL_EINVAL);
    cr_assert_str_neq(pal_reason(), "");
    (void)palio__fail(PAL_EINVAL, "poll", "%s", "");
    cr_assert_str_eq(palio_last_error()->remedy, pal_reason());
}

Test(core_error, remedy_depends_on_code_and_operation)
{
    cr_assert_str_neq(palio__remedy(PALIO_EADDRINUSE, "bind"), "");
    cr_assert_str_neq(palio__remedy(PALIO_EADDRINUSE, "bind"), palio__remedy(PALIO_EADDRINUSE, "connect"));
    cr_assert_str_eq(palio__remedy(PALIO_EADDRINUSE, "juggle"), "");
    cr_assert_neq(strstr(palio__remedy(PALIO_EMFILE, "accept"), "descriptor limit"), NULL);
    cr_assert_str_eq(palio__remedy(PALIO_EMFILE, "accept"), palio__remedy(PALIO_EMFILE, "open"));
    cr_assert_str_eq(palio__remedy(-9999, "bind"), "");
}

Test(core_error, control_flow_is_not_recorded)
{
    static const int flow[] = {PALIO_EAGAIN, PALIO_ETIMEDOUT, PALIO_ECANCELED};

    (void)palio__refuse(PALIO_EPIPE, "send", "%s", "it");
    for (size_t i = 0; i < COUNT_OF(flow); i++) {
        cr_assert_eq(palio__fail(flow[i], "recv", "%s", "other"), flow[i]);
        cr_assert_eq(palio__refuse(flow[i], "recv", "%s", "other"), flow[i]);
        cr_assert_eq(palio_fail(flow[i], "%s", "other"), flow[i]);
        cr_assert_eq(palio_last_error()->code, PALIO_EPIPE);
        cr_assert_str_eq(palio_last_error()->object, "it");
    }
}

Test(core_error, long_objects_are_cut)
{
    char text[3 * PALIO_ERROR_OBJECT_SIZE];
    const palio_error *last = palio_last_error();

    for (size_t length = 0; length < sizeof(text); length++) {
        memset(text, 'x', length);
        text[length] = '\0';
        (void)palio__refuse(PALIO_ENOENT, "open", "%s", text);
        if (length < PALIO_ERROR_OBJECT_SIZE) {
            cr_assert_str_eq(last->object, text);
        } else {
            cr_assert_eq(strlen(last->object), PALIO_ERROR_OBJECT_SIZE - 1);
            cr_assert_str_eq(last->object + PALIO_ERROR_OBJECT_SIZE - 4, "...");
        }
    }
}

Test(core_error, no_character_is_cut_in_half)
{
    static const char three_bytes[] = "\xe2\x82\xac";
    char text[2 * PALIO_ERROR_OBJECT_SIZE];

    for (size_t shift = 0; shift < 3; shift++) {
        const char *object = palio_last_error()->object;
        size_t size = shift;

        memset(text, 'x', shift);
        for (; size + 3 < sizeof(text); size += 3)
            memcpy(text + size, three_bytes, 3);
        text[size] = '\0';
        (void)palio__refuse(PALIO_ENOENT, "open", "%s", text);
        cr_assert_eq((strlen(object) - shift) % 3, 0, "%s", object);
        cr_assert_str_eq(object + strlen(object) - 3, "...");
        cr_assert_eq(memcmp(object, text, strlen(object) - 3), 0);
    }
}

Test(core_error, control_characters_do_not_get_into_the_line)
{
    (void)palio__refuse(PALIO_ENOENT, "open", "%s", "a\nb\x1b[2Jc\x7f");
    cr_assert_str_eq(palio_last_error()->object, "a?b?[2Jc?");
}

Test(core_error, object_may_be_made_of_the_object_before)
{
    (void)palio_fail(PALIO_EUSER, "inner");
    (void)palio_fail(PALIO_EUSER, "outer: %s", palio_last_error()->object);
    cr_assert_str_eq(palio_last_error()->object, "outer: inner");
}

Test(core_error, positive_code_is_a_programmers_error, .signal = SIGABRT)
{
    (void)palio_fail(0, "nothing is wrong");
}

/* ---- whose record it is ---- */

enum { ROUNDS = 200 };

static int overwritten_count[2];

static void fail_again_and_again(void *arg)
{
    int which = *(const int *)arg;

    if (palio_last_error()->code != 0)
        overwritten_count[which]++;
    for (int i = 0; i < ROUNDS; i++) {
        char expected[PALIO_ERROR_OBJECT_SIZE];

        (void)palio__refuse(PALIO_EPIPE - which, "send", "thread %d, round %d", which, i);
        (void)snprintf(expected, sizeof(expected), "thread %d, round %d", which, i);
        if (palio_last_error()->code != PALIO_EPIPE - which || strcmp(palio_last_error()->object, expected) != 0)
            overwritten_count[which]++;
    }
}

Test(core_error, threads_do_not_see_each_others)
{
    int which[2] = {0, 1};
    pal_thread threads[2];

    (void)palio_fail(PALIO_EUSER, "of the main thread");
    for (int i = 0; i < 2; i++)
        cr_assert_eq(pal_thread_start(&threads[i], fail_again_and_again, &which[i]), 0);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(pal_thread_join(threads[i]), 0);
    cr_assert_eq(overwritten_count[0], 0);
    cr_assert_eq(overwritten_count[1], 0);
    cr_assert_str_eq(palio_last_error()->object, "of the main thread");
}

struct forgetful_slot {
    struct palio__error_slot slot;
    palio_error error;
    bool is_forgotten;
};

static palio_error *record_in_slot(struct palio__error_slot *slot)
{
    return &((struct forgetful_slot *)slot)->error;
}

static const palio_error *last_in_slot(struct palio__error_slot *slot)
{
    struct forgetful_slot *forgetful = (struct forgetful_slot *)slot;

    return forgetful->is_forgotten ? NULL : &forgetful->error;
}

Test(core_error, slot_keeps_its_failures_apart)
{
    struct forgetful_slot own = {.slot = {record_in_slot, last_in_slot}};

    (void)palio_fail(PALIO_EUSER, "of the thread");
    cr_assert_null(palio__error_slot_set(&own.slot));
    (void)palio_fail(PALIO_EUSER - 1, "of the slot");
    cr_assert_eq(palio_last_error(), &own.error);
    cr_assert_str_eq(palio_last_error()->object, "of the slot");
    own.is_forgotten = true;
    cr_assert_eq(palio_last_error()->code, 0, "a record that is gone reads as none");
    cr_assert_str_eq(palio_last_error()->remedy, "");
    cr_assert_eq(palio__error_slot_set(NULL), &own.slot);
    cr_assert_str_eq(palio_last_error()->object, "of the thread");
}

/* ---- as a line ---- */

static void check_every_size(int code)
{
    char whole[600], buffer[602];
    size_t length = palio_error_format(whole, sizeof(whole), code);

    cr_assert_eq(length, strlen(whole));
    cr_assert_eq(palio_error_format(NULL, 0, code), length);
    for (size_t size = 1; size <= length + 2; size++) {
        size_t kept = length < size ? length : size - 1;

        memset(buffer, '#', sizeof(buffer));
        cr_assert_eq(palio_error_format(buffer + 1, size, code), length);
        cr_assert_eq(strlen(buffer + 1), kept);
        cr_assert_eq(memcmp(buffer + 1, whole, kept), 0);
        cr_assert_eq(buffer[0], '#', "nothing before a buffer of %zu bytes", size);
        for (size_t i = size + 1; i < sizeof(buffer); i++)
            cr_assert_eq(buffer[i], '#', "nothing behind a buffer of %zu bytes", size);
    }
}

Test(core_error_format, fits_every_buffer)
{
    char object[PALIO_ERROR_OBJECT_SIZE];

    check_every_size(PALIO_EPIPE);
    check_every_size(INT32_MIN);
    memset(object, 'y', sizeof(object) - 1);
    object[sizeof(object) - 1] = '\0';
    (void)palio__refuse(PALIO_EADDRINUSE, "bind", "%s", object);
    check_every_size(PALIO_EADDRINUSE);
}

Test(core_error_format, every_line_fits_the_log)
{
    for (size_t i = 0; i < COUNT_OF(codes); i++) {
        static const char *const operations[] = {"bind", "connect", "address_parse", "address_from_host", "open"};

        for (size_t k = 0; k < COUNT_OF(operations); k++) {
            (void)palio__refuse(codes[i].palio, operations[k], "%*s", PALIO_ERROR_OBJECT_SIZE - 1, "long");
            cr_assert_lt(palio_error_format(NULL, 0, codes[i].palio), PALIO_LOG_TEXT_SIZE - 80);
        }
    }
}

static const char *formatted(int code)
{
    static char line[600];

    (void)palio_error_format(line, sizeof(line), code);
    return line;
}

Test(core_error_format, detail_of_another_code_stays_out)
{
    (void)palio__refuse(PALIO_EADDRINUSE, "bind", "%s", "tcp 10.0.0.1:80");
    cr_assert_str_eq(formatted(PALIO_ECONNRESET), "connection reset by peer (ECONNRESET)");
    cr_assert_str_eq(formatted(0), "success (OK)");
}

Test(core_error_format, programs_own_words)
{
    cr_assert_eq(palio_fail(PALIO_EUSER, "no frame %d", 7), PALIO_EUSER);
    cr_assert_str_eq(formatted(PALIO_EUSER), "no frame 7: the program's own error (EUSER)");
    cr_assert_eq(palio_fail(PALIO_EUSER - 3, "bad magic"), PALIO_EUSER - 3);
    cr_assert_str_eq(formatted(PALIO_EUSER - 3), "bad magic: the program's own error (EUSER -10003)");
    cr_assert_eq(palio_fail(PALIO_EPROTO, "bad magic"), PALIO_EPROTO);
    cr_assert_str_eq(formatted(PALIO_EPROTO), "bad magic: protocol error (EPROTO)");
    cr_assert_str_eq(formatted(-9999), "unknown error (E? -9999)");
}

Test(core_error_format, operation_without_object)
{
    (void)palio__refuse(PALIO_EPROTO, "handshake", "%s", "");
    cr_assert_neq(strstr(formatted(PALIO_EPROTO), "handshake: protocol error (EPROTO, "), NULL);
}
