/* palio/base.h: what every other header stands on: time, bytes, errors, allocation, log.
 *
 * Five conventions hold in the whole library:
 *   result    int or ptrdiff_t: >= 0 is success, < 0 is one of the PALIO_E* codes below, the same on every platform.
 *   deadline  a function may wait (in a task: suspend) exactly when its LAST parameter is a palio_deadline. With
 *             PALIO_NOW it never waits, so it may be called from a callback; with PALIO_FOREVER nothing bounds it.
 *             Calls take deadlines (absolute), options take timeouts (relative, names that end in _ns).
 *   order     object, results, inputs, options, deadline; a callback is followed by its argument.
 *   zero      a zeroed options struct is the default; a zeroed embedded object is ready to use.
 *   NULL      every close, release and free accepts NULL, and so does every pointer to options.
 *
 * Where nothing else is said: pointers are borrowed for the call alone, any thread may call, there is no lock, no
 * system call and no allocation, and a NULL that is not allowed stops the program.
 */
#ifndef PALIO_BASE_H
#define PALIO_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <pal/error.h>

#ifdef __cplusplus
extern "C" {
#endif

/* PALIO_PRINTF(n, m): parameter n is a printf format in ISO C's sense, its arguments begin at m (0: in a va_list). */
#if defined(__clang__)
#define PALIO_PRINTF(format_index, first_index) __attribute__((format(printf, format_index, first_index)))
#elif defined(__GNUC__)
#define PALIO_PRINTF(format_index, first_index) __attribute__((format(gnu_printf, format_index, first_index)))
#else
#define PALIO_PRINTF(format_index, first_index)
#endif

/* ---- time: nanoseconds on the monotonic clock ---- */

#define PALIO_US UINT64_C(1000)
#define PALIO_MS UINT64_C(1000000)
#define PALIO_SECOND UINT64_C(1000000000)
#define PALIO_MINUTE (60 * PALIO_SECOND)
#define PALIO_UNLIMITED UINT64_MAX /* in options: switches a timeout or a limit off; 0 never does */

/* A point in time. A struct, so that a duration passed by mistake does not compile; one register on every ABI. */
typedef struct palio_deadline {
    uint64_t ns;
} palio_deadline;

static inline palio_deadline palio_deadline_at(uint64_t monotonic_ns)
{
    palio_deadline deadline;

    deadline.ns = monotonic_ns;
    return deadline;
}

/* duration_ns later; never later than PALIO_FOREVER. */
static inline palio_deadline palio_deadline_add(palio_deadline deadline, uint64_t duration_ns)
{
    return palio_deadline_at(deadline.ns > UINT64_MAX - duration_ns ? UINT64_MAX : deadline.ns + duration_ns);
}

/* The earlier one. */
static inline palio_deadline palio_deadline_min(palio_deadline a, palio_deadline b)
{
    return a.ns < b.ns ? a : b;
}

#define PALIO_NOW palio_deadline_at(0)              /* never waits: PALIO_EAGAIN instead */
#define PALIO_FOREVER palio_deadline_at(UINT64_MAX) /* never passes */

/* Nanoseconds since an unnamed moment: good for differences and deadlines. The backend's clock, virtual in the
 * simulator. Costs a reading of the clock, on common kernels without a system call. */
uint64_t palio_monotonic_ns(void);

/* The deadline delay_ns from now, by a fresh reading of the clock, so that it is never early. delay_ns 0 is a deadline
 * that has just passed, which is not PALIO_NOW; PALIO_UNLIMITED is PALIO_FOREVER. Costs palio_monotonic_ns. */
palio_deadline palio_after(uint64_t delay_ns);

/* ---- bytes: a borrowed view. Who lends it, and until when, is said where it is handed out. ---- */

typedef struct palio_bytes {
    const char *data; /* may be NULL when size is 0 */
    size_t size;      /* bytes */
} palio_bytes;

typedef struct palio_buffer { /* the same, to be written into */
    char *data;
    size_t size; /* bytes */
} palio_buffer;

static inline palio_bytes palio_bytes_make(const void *data, size_t size)
{
    palio_bytes bytes;

    bytes.data = (const char *)data;
    bytes.size = size;
    return bytes;
}

/* The bytes of a string literal, without its NUL. */
#define PALIO_BYTES(literal) palio_bytes_make("" literal, sizeof(literal) - 1)

bool palio_bytes_equal(palio_bytes a, palio_bytes b);
bool palio_bytes_starts_with(palio_bytes whole, palio_bytes prefix);

/* The part of bytes, in the same memory, without ASCII white space at its ends. */
palio_bytes palio_bytes_strip(palio_bytes bytes);

/* ---- errors ---- */

/* Palio's own codes, X(name without prefix, positive value, text); in brackets the exception that Python raises. */
#define PALIO_ERROR_LIST(X)                                                                                            \
    X(ECLOSED, 4200, "the object or its loop is closed")                  /* [RuntimeError, ValueError] */             \
    X(ESTATE, 4201, "not allowed in the object's present state")          /* [InvalidStateError] */                    \
    X(EINCOMPLETE, 4202, "the stream ended before enough bytes had come") /* [IncompleteReadError] */                  \
    X(ELIMIT, 4203, "no separator within the limit")                      /* [LimitOverrunError] */                    \
    X(EQUEUESHUTDOWN, 4204, "the queue has been shut down")               /* [QueueShutDown] */                        \
    X(EBROKEN, 4205, "the barrier is broken")                             /* [BrokenBarrierError] */                   \
    X(ETLS, 4240, "TLS failed")                                           /* [SSLError] */                             \
    X(ETLSCERT, 4241, "the peer's certificate was not accepted")          /* [SSLCertVerificationError] */             \
    X(ETLSEOF, 4242, "closed by the peer without TLS's close_notify")     /* [SSLEOFError] */                          \
    X(ECHILDFAILED, 4260, "the child process failed")                     /* [CalledProcessError] */

/* Every code of pal/error.h under PALIO_'s prefix (PALIO_EADDRINUSE == PAL_EADDRINUSE), then Palio's own. What you will
 * meet most: EAGAIN (it would have to wait, and the deadline was PALIO_NOW), ETIMEDOUT (the deadline passed), ECANCELED
 * (the task was cancelled: clean up and return it), ENOTSUP (this backend cannot), ENOBUFS (a fixed capacity is used
 * up), EDEADLK (would block the loop that it was called from). */
enum palio_error_code {
    PALIO_OK = 0,
    PALIO_EUSER = -10000, /* this and all below are the program's own and pass through unchanged */
#define PALIO_ERROR_CODE_(name, value, text) PALIO_##name = -(value),
    PAL_ERROR_LIST(PALIO_ERROR_CODE_) PALIO_ERROR_LIST(PALIO_ERROR_CODE_)
#undef PALIO_ERROR_CODE_
};
enum { PALIO_EWOULDBLOCK = PALIO_EAGAIN, PALIO_EOPNOTSUPP = PALIO_ENOTSUP };

enum { PALIO_ERROR_OBJECT_SIZE = 72 }; /* bytes, with the terminator; a longer text ends in "..." */

/* What failed, and what helps. The strings are never NULL and, but for object, static. */
typedef struct palio_error {
    int code;
    int native;            /* the system's own number (errno, GetLastError), 0: none; for messages only */
    const char *operation; /* "connect" */
    const char *backend;   /* "epoll" */
    const char *remedy;    /* what can be done about it, or "" */
    char object[PALIO_ERROR_OBJECT_SIZE]; /* "tcp 10.0.0.1:443"; control characters show as '?' */
    uint64_t reserved[2];
} palio_error;

/* The last failure of this task, or outside tasks of this thread: nobody else's overwrites it. Valid until the next
 * call of Palio that fails there; copy it to keep it. PALIO_EAGAIN, PALIO_ETIMEDOUT and PALIO_ECANCELED are not
 * recorded: they are control flow. Never NULL; code is 0 when nothing has failed. */
const palio_error *palio_last_error(void);

/* What code means, in English. Static text, never NULL. All codes >= 0 are "success". */
const char *palio_strerror(int code);

/* The code's name, "EADDRINUSE"; "OK" when >= 0; "EUSER" for the program's own; "E?" for what is no code. Static. */
const char *palio_error_name(int code);

/* Writes one line about code, with the detail of palio_last_error where that has the same code:
 * "bind tcp 127.0.0.1:80: address already in use (EADDRINUSE, native 98, epoll); another socket has this port: ...".
 * Returns the length of the whole line in bytes, as snprintf does; the buffer gets what fits in size bytes, terminated.
 * buffer may be NULL when size is 0. */
size_t palio_error_format(char *buffer, size_t size, int code);

/* That line to the log at PALIO_LOG_ERROR, after what and a colon; what may be NULL. Costs a call of the log. */
void palio_perror(const char *what, int code);

/* Python's ConnectionError family: refused, reset, aborted, broken pipe. */
bool palio_error_is_connection(int code);

/* Records a failure in the program's own words, which palio_last_error()->object then has, and returns code, so that a
 * function of the program can end in: return palio_fail(PALIO_EUSER, "no frame %d", number). code is < 0. */
int palio_fail(int code, const char *format, ...) PALIO_PRINTF(2, 3);

/* ---- allocation and log: chosen once, at the start ---- */

/* alloc returns size bytes (> 0) aligned to alignment (a power of two), or NULL. free gets what alloc returned for that
 * size, never NULL. Either may be called from any thread. */
typedef struct palio_allocator {
    void *(*alloc)(void *context, size_t size, size_t alignment);
    void (*free)(void *context, void *memory, size_t size);
    void *context;
} palio_allocator;

/* Where Palio's memory comes from; NULL is the C library's, the default. Copied; also given to the seam, unless the
 * program has called pal_setup, which then has to be first. Once, by the main thread, before the rest of Palio is used.
 * PALIO_EBUSY: a second time, or Palio has memory already; PALIO_EINVAL: alloc or free is NULL. After an
 * error nothing has changed. */
int palio_set_allocator(const palio_allocator *allocator);

enum { PALIO_LOG_DEBUG, PALIO_LOG_INFO, PALIO_LOG_WARNING, PALIO_LOG_ERROR };
enum { PALIO_LOG_TEXT_SIZE = 512 }; /* bytes, with the terminator; a longer text ends in "..." */

/* Where Palio's log goes: one line of text a call, without a newline, lent for the call. The function is called from
 * whatever thread has something to say, perhaps several at once, and must not call Palio. log NULL is the default:
 * warnings and errors to the standard error stream. By the main thread, before others use Palio. */
void palio_set_log(void (*log)(void *context, int level, const char *text), void *context);

/* ---- for bindings ---- */

/* Size and alignment in bytes of a public type ("palio_error"), for languages that do not read headers. size and
 * alignment may be NULL. PALIO_ENOENT: no such type. */
int palio_layout(const char *type_name, size_t *size, size_t *alignment);

#ifdef __cplusplus
}
#endif
#endif
