/* The functions of ISO C's <stdio.h> that code above the seam may call: text out, and text into memory. Files are the
 * seam's. For check_freestanding.py only. */
#ifndef SHIMS_STDIO_H
#define SHIMS_STDIO_H

#include <stdarg.h>
#include <stddef.h>

typedef struct shim_file FILE;
extern FILE *stdin, *stdout, *stderr;
#define stdin stdin
#define stdout stdout
#define stderr stderr
#define EOF (-1)

int fflush(FILE *file);
char *fgets(char *line, int size, FILE *file);
int fprintf(FILE *file, const char *format, ...);
int fputc(int character, FILE *file);
int fputs(const char *text, FILE *file);
size_t fwrite(const void *data, size_t size, size_t count, FILE *file);
int printf(const char *format, ...);
int putchar(int character);
int puts(const char *text);
int snprintf(char *buffer, size_t size, const char *format, ...);
int sscanf(const char *text, const char *format, ...);
int vfprintf(FILE *file, const char *format, va_list arguments);
int vsnprintf(char *buffer, size_t size, const char *format, va_list arguments);

#endif
