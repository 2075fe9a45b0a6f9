/* The functions of ISO C's <string.h> that code above the seam may call. For check_freestanding.py only. */
#ifndef SHIMS_STRING_H
#define SHIMS_STRING_H

#include <stddef.h>

void *memchr(const void *memory, int byte, size_t size);
int memcmp(const void *a, const void *b, size_t size);
void *memcpy(void *restrict to, const void *restrict from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *memory, int byte, size_t size);
char *strchr(const char *text, int character);
int strcmp(const char *a, const char *b);
size_t strcspn(const char *text, const char *stop);
size_t strlen(const char *text);
int strncmp(const char *a, const char *b, size_t size);
char *strrchr(const char *text, int character);
size_t strspn(const char *text, const char *accept);
char *strstr(const char *text, const char *part);

#endif
