/* error.c: error codes as text, and the record of the last failure. See error.h; what helps is in remedy.c. */
#include "error.h"

#include <stdarg.h>
#include <stdio.h>

#include <pal/os.h>

#include "assertion.h"
#include "line.h"
#include "log.h"

static const palio_error no_error = {.operation = "", .backend = "", .remedy = ""};
static _Thread_local palio_error thread_error = {.operation = "", .backend = "", .remedy = ""};
static _Thread_local struct palio__error_slot *thread_slot;

/* ---- codes ---- */

const char *palio_error_name(int code)
{
    if (code >= 0)
        return "OK";
    if (code <= PALIO_EUSER)
        return "EUSER";
    switch (code) {
#define ERROR_NAME(name, value, text)                                                                                  \
    case -(value):                                                                                                     \
        return #name;
        PALIO_ERROR_LIST(ERROR_NAME)
#undef ERROR_NAME
    default:
        return pal_error_name(code);
    }
}

const char *palio_strerror(int code)
{
    if (code >= 0)
        return "success";
    if (code <= PALIO_EUSER)
        return "the program's own error";
    switch (code) {
#define ERROR_TEXT(name, value, text)                                                                                  \
    case -(value):                                                                                                     \
        return text;
        PALIO_ERROR_LIST(ERROR_TEXT)
#undef ERROR_TEXT
    default:
        return pal_error_text(code);
    }
}

bool palio_error_is_connection(int code)
{
    switch (code) {
    case PALIO_ECONNREFUSED:
    case PALIO_ECONNRESET:
    case PALIO_ECONNABORTED:
    case PALIO_EPIPE:
    case PALIO_ESHUTDOWN:
        return true;
    default:
        return false;
    }
}

/* ---- the record ---- */

struct palio__error_slot *palio__error_slot_set(struct palio__error_slot *slot)
{
    struct palio__error_slot *before = thread_slot;

    thread_slot = slot;
    return before;
}

const palio_error *palio_last_error(void)
{
    const palio_error *last = thread_slot != NULL ? thread_slot->last(thread_slot) : &thread_error;

    return last != NULL ? last : &no_error;
}

static bool is_control_flow(int code)
{
    return code == PALIO_EAGAIN || code == PALIO_ETIMEDOUT || code == PALIO_ECANCELED;
}

/* Fills in the rest of fresh and records it. The object may be made of text out of the record that goes, so it is
 * complete before anything is overwritten. */
PALIO_PRINTF(2, 0)
static void record(palio_error *fresh, const char *object_format, va_list arguments)
{
    palio_error *error;

    palio__line(fresh->object, sizeof(fresh->object), object_format, arguments);
    error = thread_slot != NULL ? thread_slot->record(thread_slot) : &thread_error;
    *error = *fresh;
}

/* The seam explains these three, and knows better than a table. */
static const char *seam_reason(int code)
{
    return code == PALIO_ENOTSUP || code == PALIO_EBUSY || code == PALIO_EINVAL ? pal_reason() : "";
}

int palio__fail(int code, const char *operation, const char *object_format, ...)
{
    palio_error fresh = {.code = code, .operation = operation};
    va_list arguments;

    PALIO__ASSERT(code < 0, "palio__fail: the code of a failure is negative");
    if (is_control_flow(code))
        return code;
    fresh.native = pal_native_error();
    fresh.remedy = seam_reason(code);
    if (fresh.remedy[0] == '\0')
        fresh.remedy = palio__remedy(code, operation);
    fresh.backend = pal_backend_info()->name;
    va_start(arguments, object_format);
    record(&fresh, object_format, arguments);
    va_end(arguments);
    return code;
}

int palio__refuse(int code, const char *operation, const char *object_format, ...)
{
    palio_error fresh = {.code = code, .operation = operation};
    va_list arguments;

    PALIO__ASSERT(code < 0, "palio__refuse: the code of a failure is negative");
    if (is_control_flow(code))
        return code;
    fresh.remedy = palio__remedy(code, operation);
    fresh.backend = pal_backend_info()->name;
    va_start(arguments, object_format);
    record(&fresh, object_format, arguments);
    va_end(arguments);
    return code;
}

int palio_fail(int code, const char *format, ...)
{
    palio_error fresh = {.code = code, .operation = "", .backend = "", .remedy = ""};
    va_list arguments;

    PALIO__ASSERT(code < 0, "palio_fail: the code of a failure is negative");
    if (is_control_flow(code))
        return code;
    va_start(arguments, format);
    record(&fresh, format, arguments);
    va_end(arguments);
    return code;
}

/* ---- as a line ---- */

size_t palio_error_format(char *buffer, size_t size, int code)
{
    const palio_error *last = palio_last_error();
    const palio_error *detail = last->code == code ? last : &no_error;
    const char *name = palio_error_name(code);
    bool has_operation = detail->operation[0] != '\0';
    bool has_object = detail->object[0] != '\0';
    char number[16] = "", native[24] = "";
    int length;

    PALIO__ASSERT(buffer != NULL || size == 0, "palio_error_format: no buffer");
    if (code < PALIO_EUSER || name[1] == '?') /* several codes share the name */
        (void)snprintf(number, sizeof(number), " %d", code);
    if (detail->native != 0)
        (void)snprintf(native, sizeof(native), ", native %d", detail->native);
    length = snprintf(buffer, size, "%s%s%s%s%s (%s%s%s%s%s)%s%s", detail->operation,
                      has_operation && has_object ? " " : "", detail->object, has_operation || has_object ? ": " : "",
                      palio_strerror(code), name, number, native, detail->backend[0] != '\0' ? ", " : "",
                      detail->backend, detail->remedy[0] != '\0' ? "; " : "", detail->remedy);
    return length > 0 ? (size_t)length : 0;
}

void palio_perror(const char *what, int code)
{
    char line[PALIO_LOG_TEXT_SIZE];
    bool has_what = what != NULL && what[0] != '\0';

    (void)palio_error_format(line, sizeof(line), code);
    palio__log(PALIO_LOG_ERROR, "%s%s%s", has_what ? what : "", has_what ? ": " : "", line);
}
