/* The functions of ISO C's <stdlib.h> that code above the seam may call. For check_freestanding.py only. */
#ifndef SHIMS_STDLIB_H
#define SHIMS_STDLIB_H

#include <stddef.h>

#define EXIT_FAILURE 1
#define EXIT_SUCCESS 0

_Noreturn void abort(void);
void *bsearch(const void *key, const void *base, size_t count, size_t size, int (*compare)(const void *, const void *));
void *calloc(size_t count, size_t size);
_Noreturn void exit(int status);
void free(void *memory);
char *getenv(const char *name);
void *malloc(size_t size);
void qsort(void *base, size_t count, size_t size, int (*compare)(const void *, const void *));
void *realloc(void *memory, size_t size);
long strtol(const char *text, char **end, int base);
unsigned long strtoul(const char *text, char **end, int base);
long long strtoll(const char *text, char **end, int base);
unsigned long long strtoull(const char *text, char **end, int base);

#endif
