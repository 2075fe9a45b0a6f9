/* pal/context.h: stackful execution contexts and the switch between them: what tasks are made of. A context is run by
 * one thread at a time. No call, no lock, no allocation. */
#ifndef PAL_CONTEXT_H
#define PAL_CONTEXT_H

#include "error.h"
#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

struct pal_context { /* saved registers are on the context's stack */
    void *stack_pointer;
    uint64_t priv[7];
};

/* Prepares *out so that the first switch to it calls function(arg) on [stack, stack + size). size is at least 4096
 * bytes. function never returns: its last act is a switch elsewhere. PAL_EINVAL; PAL_ENOTSUP: not on this platform. */
int pal_context_make(struct pal_context *out, void *stack, size_t size, void (*function)(void *), void *arg);

/* Saves the running context in *from and goes on in *to; returns when somebody switches back to from. */
void pal_context_switch(struct pal_context *from, struct pal_context *to);

#ifdef __cplusplus
}
#endif
#endif
