/* backends/null/stop.c: how the null backend ends a program: the only file here that knows the C library. */
#include "stop.h"

#include <stdio.h>
#include <stdlib.h>

void pal__null_stop(const char *symbol)
{
    fprintf(stderr, "null backend: %s called\n", symbol);
    abort();
}
