/* temporary.h: files for the tests of files, maps and SENDFILE: paths that nobody has, removed when a test has ended.
 */
#ifndef TESTS_CONFORMANCE_TEMPORARY_H
#define TESTS_CONFORMANCE_TEMPORARY_H

#include "conformance.h"

/* A path under which there is nothing, in the folder for temporary files. The text lives on; at most 16 in a test. */
const char *temporary_path(void);

/* pal_file_open that has to succeed, mode 0600; a backend without files skips the test. */
pal_file file_open(const char *path, uint32_t flags);

/* A new file with these bytes under a new path, open for reading and writing. */
pal_file temporary_file(const void *bytes, size_t size);

/* The path of the latest of these. */
const char *temporary_latest(void);

void file_close(pal_file file);

/* Writes all at offset; fails the test if it is not taken. */
void file_write(pal_file file, const void *data, size_t size, uint64_t offset);

/* Fails unless this text, and nothing else, is at offset. */
void file_expect(pal_file file, uint64_t offset, const char *text);

uint64_t file_size(pal_file file);

/* Removes what lies under the paths that were given out: for .fini of a suite. */
void temporary_remove_all(void);

/* Bytes that say where they stand: of a file or map from its byte `offset` on. */
void fill_pattern(uint8_t *bytes, size_t size, uint64_t offset);
bool is_pattern(const uint8_t *bytes, size_t size, uint64_t offset);

#endif
