/* os.c: clocks, entropy, threads, parking, and the end of a broken rule. Rules 2, 10 and 15. */
#include "../common/refusal.h"
#include "deadline.h"
#include "kernel.h"
#include "sys.h"

#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>

uint64_t pal__k_clock(int which)
{
    static const clockid_t clocks[] = {CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_THREAD_CPUTIME_ID};
    RULE(10, which >= PAL_CLOCK_MONOTONIC && which <= PAL_CLOCK_THREAD_CPU, "pal_clock is asked for an unknown clock");
    struct timespec now;
    clock_gettime(clocks[which], &now);
    return (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

int pal__k_random(void *buffer, size_t size)
{
    if (!buffer && size)
        return pal__refuse(PAL_EINVAL, "pal_random needs a buffer");
    for (size_t done = 0; done < size;) {
        size_t piece = size - done < 256 ? size - done : 256; /* up to which getrandom is never cut short */
        long result = CHECKED(getrandom((char *)buffer + done, piece, 0));
        if (result < 0 && result != -EINTR)
            return pal__failed(result);
        done += result > 0 ? (size_t)result : 0;
    }
    return 0;
}

/* ---- threads: a table, so that a handle that was joined is known as such ---- */

enum { THREADS_MAX = 1024 };

static struct thread {
    _Atomic uint32_t generation; /* odd: started and not joined */
    pthread_t native;
    void (*function)(void *);
    void *arg;
} threads[THREADS_MAX];

static void *run(void *argument)
{
    const struct thread *thread = argument;
    thread->function(thread->arg);
    return NULL;
}

/* A free entry, taken by making its generation odd; NULL when there is none. */
static struct thread *take_thread(void)
{
    for (int i = 0; i < THREADS_MAX; i++) {
        uint32_t generation = atomic_load(&threads[i].generation);
        if (!(generation & 1) && atomic_compare_exchange_strong(&threads[i].generation, &generation, generation + 1))
            return &threads[i];
    }
    return NULL;
}

int pal__k_thread_start(pal_thread *out, void (*function)(void *), void *arg)
{
    if (!out || !function)
        return pal__refuse(PAL_EINVAL, "pal_thread_start needs room for the handle, and a function");
    struct thread *thread = take_thread();
    if (!thread)
        return pal__refuse(PAL_EAGAIN, "1024 threads are started and not joined: join some");
    thread->function = function;
    thread->arg = arg;
    int error = pthread_create(&thread->native, NULL, run, thread);
    if (error) {
        atomic_fetch_add(&thread->generation, 1);
        return pal__failed(-error);
    }
    out->id = (uint64_t)atomic_load(&thread->generation) << 32 | (uint32_t)(thread - threads);
    return 0;
}

/* The entry of a handle; NULL when it was joined, or never was. */
static struct thread *thread_of(pal_thread handle)
{
    struct thread *thread = &threads[handle.id % THREADS_MAX];
    uint32_t generation = (uint32_t)(handle.id >> 32);
    bool known = generation & 1 && (uint32_t)handle.id < THREADS_MAX && atomic_load(&thread->generation) == generation;
    return known ? thread : NULL;
}

int pal__k_thread_join(pal_thread handle)
{
    struct thread *thread = thread_of(handle);
    if (!thread)
        return pal__refuse(PAL_EBADF, "no such thread, or joined already");
    if (pthread_equal(thread->native, pthread_self()))
        return pal__refuse(PAL_EDEADLK, "a thread cannot wait for its own end");
    int error = pthread_join(thread->native, NULL);
    if (error)
        return pal__failed(-error);
    atomic_fetch_add(&thread->generation, 1);
    return 0;
}

int pal__k_thread_signal(pal_thread handle, int number)
{
    const struct thread *thread = thread_of(handle);
    if (!thread)
        return pal__refuse(PAL_EBADF, "no such thread, or joined already");
    int error = pthread_kill(thread->native, number);
    return error ? pal__failed(-error) : 0;
}

/* ---- parking: futex(2), whose bitset form takes an absolute monotonic deadline ---- */

/* On targets with 32-bit registers a deadline of 64 bits is a call of its own, from Linux 5.1. */
static long futex_wait(const uint32_t *word, uint32_t expected, const struct timespec *deadline)
{
    enum { WAIT = FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG };
#ifdef SYS_futex_time64
    long result = CHECKED(syscall(SYS_futex_time64, word, WAIT, expected, deadline, NULL, FUTEX_BITSET_MATCH_ANY));
    if (result != -ENOSYS)
        return result;
    long narrow[2] = {0}; /* seconds, nanoseconds */
    if (deadline) {
        narrow[0] = deadline->tv_sec < LONG_MAX ? (long)deadline->tv_sec : LONG_MAX;
        narrow[1] = deadline->tv_nsec;
    }
    return CHECKED(syscall(SYS_futex, word, WAIT, expected, deadline ? narrow : NULL, NULL, FUTEX_BITSET_MATCH_ANY));
#else
    return CHECKED(syscall(SYS_futex, word, WAIT, expected, deadline, NULL, FUTEX_BITSET_MATCH_ANY));
#endif
}

int pal__k_park(const uint32_t *word, uint32_t expected, uint64_t deadline_ns)
{
    struct timespec deadline = {.tv_sec = (time_t)(deadline_ns / NS_PER_SECOND),
                                .tv_nsec = (long)(deadline_ns % NS_PER_SECOND)};
    if (!word)
        return pal__refuse(PAL_EINVAL, "pal_park needs a word");
    if (__atomic_load_n(word, __ATOMIC_SEQ_CST) != expected)
        return 0;
    long result = futex_wait(word, expected, deadline_ns == UINT64_MAX ? NULL : &deadline);
    if (result == -EAGAIN)
        return 0;
    return result == -ETIMEDOUT ? PAL_ETIMEDOUT : result < 0 ? pal__failed(result) : 0;
}

void pal__k_unpark(const uint32_t *word, int count)
{
    syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, count < 0 ? INT_MAX : count, NULL, NULL, 0);
}

/* ---- the end ---- */

_Noreturn void pal__k_fatal(const char *why)
{
    static const char prefix[] = "palio: ";
    const char *text = why ? why : "fatal";
    (void)!write(STDERR_FILENO, prefix, sizeof prefix - 1);
    (void)!write(STDERR_FILENO, text, strlen(text));
    (void)!write(STDERR_FILENO, "\n", 1);
    abort();
}
