/* context.h: pal_context_* for every backend (decision 0012); what each function does is said in pal/context.h. What a
 * CPU needs of its own is in arch/, what sanitizers and valgrind have to be told in context_tools.h. */
#ifndef PAL__COMMON_CONTEXT_H
#define PAL__COMMON_CONTEXT_H

#include <pal/context.h>

int pal__context_make(struct pal_context *out, void *stack, size_t size, void (*function)(void *), void *arg);
void pal__context_switch(struct pal_context *from, struct pal_context *to);
void pal__context_forget(struct pal_context *context);

#endif
