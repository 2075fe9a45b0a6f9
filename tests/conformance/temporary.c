/* temporary.c: see temporary.h. Only the seam and ISO C. */
#include "temporary.h"

#include <stdio.h>
#include <stdlib.h>

enum { PATHS_MAX = 16, PATH_SIZE = 512 };

static char paths[PATHS_MAX][PATH_SIZE];
static int path_count;

const char *temporary_path(void)
{
    const char *folder = getenv("TMPDIR");
    char name[64];
    char *path = paths[path_count];

    cr_assert_lt(path_count, PATHS_MAX, "more temporary files than a test can have");
    unique_name(name, sizeof(name), "palio");
    (void)snprintf(path, PATH_SIZE, "%s/%s", folder != NULL ? folder : "/tmp", name);
    path_count++;
    return path;
}

const char *temporary_latest(void)
{
    cr_assert_gt(path_count, 0);
    return paths[path_count - 1];
}

void temporary_remove_all(void)
{
    while (path_count > 0)
        (void)remove(paths[--path_count]);
}

pal_file file_open(const char *path, uint32_t flags)
{
    pal_file file = {0};
    int error = pal_file_open(path, flags, 0600, &file);

    if (error == PAL_ENOTSUP)
        test_skip("files", "not here: %s", pal_reason());
    cr_assert(error == 0, "%s does not open: %s", path, pal_error_name(error));
    cr_assert_neq(file.id, 0);
    return file;
}

pal_file temporary_file(const void *bytes, size_t size)
{
    pal_file file = file_open(temporary_path(), PAL_FILE_READ | PAL_FILE_WRITE | PAL_FILE_CREATE | PAL_FILE_EXCLUSIVE);

    file_write(file, bytes, size, 0);
    return file;
}

void file_close(pal_file file)
{
    assert_error(pal_file_close(file), 0);
}

void file_write(pal_file file, const void *data, size_t size, uint64_t offset)
{
    size_t done = 0;

    while (done < size) {
        int32_t result = pal_file_write(file, (const char *)data + done, size - done, offset + done);

        cr_assert(result > 0, "writing at %llu: %s", (unsigned long long)offset, pal_error_name(result));
        done += (size_t)result;
    }
}

void file_expect(pal_file file, uint64_t offset, const char *text)
{
    char found[256];
    size_t size = strlen(text);
    int32_t count = pal_file_read(file, found, sizeof(found), offset);

    cr_assert_eq(count, (int32_t)size, "%d bytes at %llu, not %d", (int)count, (unsigned long long)offset, (int)size);
    cr_assert_arr_eq(found, text, size);
}

uint64_t file_size(pal_file file)
{
    struct pal_file_info info;

    assert_error(pal_file_info(file, &info), 0);
    return info.size;
}

static uint8_t pattern_at(uint64_t offset)
{
    return (uint8_t)((offset * 167 >> 3) ^ offset >> 12);
}

void fill_pattern(uint8_t *bytes, size_t size, uint64_t offset)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = pattern_at(offset + i);
}

bool is_pattern(const uint8_t *bytes, size_t size, uint64_t offset)
{
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != pattern_at(offset + i))
            return false;
    }
    return true;
}
