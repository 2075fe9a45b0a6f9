/* refusal.c: the per-thread record behind pal_native_error and pal_reason. */
#include "refusal.h"

_Thread_local struct refusal pal__refusal;

int(pal__refuse)(int code, const char *reason)
{
    pal__refusal.reason = reason;
    pal__refusal.native = 0;
    return code;
}

int(pal__failed)(long code)
{
    pal__refusal.reason = NULL;
    pal__refusal.native = (int32_t)-code;
    return (int)code;
}
