/* pal/context.h: stackful execution contexts and the switch between them: what tasks are made of.
 *
 * A context is a stack and a place on it where execution goes on. It is run by one thread at a time; a thread's own
 * stack is a context as well, one that nobody has to make. Nothing here makes a system call, takes a lock or allocates
 * where the switch is written for the CPU; docs/backends.md says where it is not, and what that costs.
 *
 * A switch changes the stack and what a function call preserves. The signal mask and thread-local variables are the
 * thread's and stay as they are. Floating-point modes (rounding, traps) may or may not stay: who changes them puts them
 * back before the next switch. */
#ifndef PAL_CONTEXT_H
#define PAL_CONTEXT_H

#include "error.h"
#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* All of it is the backend's, and need not be zeroed before make. It must stay where it is from make to forget. */
struct pal_context {
    void *stack_pointer; /* where it goes on, while it is not running */
    void *frame_pointer;
    void *resume;
    void *stack;
    size_t stack_size; /* bytes */
    void *priv[3];
};
PAL_STATIC_ASSERT(sizeof(struct pal_context) == 8 * PAL_POINTER_SIZE,
                  "pal_context is 64 bytes, 32 with short pointers");

enum { PAL_CONTEXT_STACK_MIN = 4096 }; /* bytes. Enough for a function that calls little; a signal handler takes more */

/* Prepares *out so that the first switch to it calls function(arg) on [stack, stack + size), which may lie anywhere and
 * is the context's until it is forgotten. size is at least PAL_CONTEXT_STACK_MIN. The stack has no guard; pal_mmap can
 * give it one (PAL_MAP_GUARD). function never returns: its last act is a switch elsewhere, or it aborts.
 * PAL_EINVAL; PAL_ENOTSUP: not on this platform, or not with shadow stacks. Any thread. */
int pal_context_make(struct pal_context *out, void *stack, size_t size, void (*function)(void *), void *arg);

/* Saves the running context in *from and goes on in *to; returns when somebody switches back to from. from is the
 * context that runs, or, on a thread's own stack, any struct that stays until the thread is back there. to has been
 * made, or left by a switch. One that runs, or has been forgotten, aborts. */
void pal_context_switch(struct pal_context *from, struct pal_context *to);

/* The context, which was made and does not run, will not be switched to again: its stack may be used for something
 * else, or for the next pal_context_make. What its function left on the stack is not run to its end. One that runs, or
 * has been forgotten, aborts. Any thread. */
void pal_context_forget(struct pal_context *context);

#ifdef __cplusplus
}
#endif
#endif
