/* execute_files.c: files against the bytes that have to be in them, and maps against copies of theirs. Rules 2, 5, 7
 * and 13 of docs/seam.md. */
#include <stdio.h>
#include <string.h>

#include "execute.h"

static uint8_t scratch[FILE_SIZE_MAX];
static const struct model *owner; /* whose files lie about */

void contents_begin(struct model *model)
{
    uint64_t process = 0, page_size = 0;

    owner = model;
    pal_info(PAL_INFO_PROCESS_ID, &process);
    pal_info(PAL_INFO_PAGE_SIZE, &page_size);
    model->page_size = (size_t)page_size;
    snprintf(model->sendfile_path, sizeof(model->sendfile_path), "differential-%llu-sendfile",
             (unsigned long long)process);
    for (int i = 0; i < CONTENTS_MAX; i++)
        snprintf(model->contents[i].path, sizeof(model->contents[i].path), "differential-%llu-%d",
                 (unsigned long long)process, i);
}

void contents_end(struct model *model)
{
    for (int i = 0; i < MAPS_MAX; i++)
        if (model->maps[i].live)
            step_map(model, &(struct step){.choice = 1, .count = (uint32_t)i});
    for (int i = 0; i < FILES_MAX; i++)
        if (model->files[i].live)
            step_file_close(model, &(struct step){.count = (uint32_t)i});
    for (int i = 0; i < CONTENTS_MAX; i++)
        if (model->contents[i].there)
            REQUIRE(remove(model->contents[i].path) == 0, "a file that was made is not there");
    owner = NULL;
}

void contents_abandon(void)
{
    for (int i = 0; owner != NULL && i < CONTENTS_MAX; i++)
        (void)remove(owner->contents[i].path);
}

/* ---- the bytes that have to be there ---- */

void content_write(struct content *content, const void *bytes, size_t size, size_t offset)
{
    if (size == 0)
        return;
    if (offset > content->size)
        memset(content->bytes + content->size, 0, offset - content->size);
    memcpy(content->bytes + offset, bytes, size);
    if (offset + size > content->size)
        content->size = offset + size;
}

size_t content_read(const struct content *content, size_t size, size_t offset)
{
    size_t there = offset < content->size ? content->size - offset : 0;

    return size < there ? size : there;
}

void file_take(struct model *model, int file)
{
    model->files[file].jobs++;
    model->contents[model->files[file].content].jobs++;
}

void file_free(struct model *model, int file)
{
    model->files[file].jobs--;
    model->contents[model->files[file].content].jobs--;
}

/* ---- files ---- */

static int open_expected(const struct model *model, const struct content *content, uint32_t flags)
{
    if (!(flags & (PAL_FILE_READ | PAL_FILE_WRITE)))
        return PAL_EINVAL;
    if (flags & (PAL_FILE_TRUNCATE | PAL_FILE_APPEND) && !(flags & PAL_FILE_WRITE))
        return PAL_EINVAL;
    if (flags & PAL_FILE_EXCLUSIVE && !(flags & PAL_FILE_CREATE))
        return PAL_EINVAL;
    if (handle_count(model) >= SOCKS_MAX)
        return PAL_ENOBUFS;
    if (!content->there && !(flags & PAL_FILE_CREATE))
        return PAL_ENOENT;
    return content->there && flags & PAL_FILE_EXCLUSIVE ? PAL_EEXIST : 0;
}

void step_file_open(struct model *model, const struct step *step)
{
    struct content *content = &model->contents[step->count % CONTENTS_MAX];
    struct file *file = &model->files[step->other];
    int expected = open_expected(model, content, step->flags);
    pal_file handle = {0};
    int result = pal_file_open(content->path, step->flags, 0600, &handle);

    trace_fixed(" f%d of %u flags %x -> %d", step->other, step->count % CONTENTS_MAX, step->flags, expected);
    REQUIRE(result == expected, "pal_file_open is %s, not %s", pal_error_name(result), pal_error_name(expected));
    if (result != 0)
        return;
    if (step->flags & PAL_FILE_TRUNCATE)
        content->size = 0;
    content->there = true;
    *file = (struct file){
        .live = true, .handle = handle, .content = (int)(step->count % CONTENTS_MAX), .flags = step->flags};
}

void step_file_read(struct model *model, const struct step *step)
{
    const struct file *file = &model->files[step->count];
    const struct content *content = &model->contents[file->content];
    size_t offset = (size_t)(step->choice % FILE_SIZE_MAX), there = content_read(content, step->size, offset);
    int expected = file->flags & PAL_FILE_READ ? (int)there : PAL_EBADF;
    int32_t result = pal_file_read(file->handle, scratch, step->size, offset);

    trace_fixed(" f%u %u at %llu -> %d", step->count, step->size, (unsigned long long)offset, expected);
    REQUIRE(result == expected, "pal_file_read is %d, not %d", result, expected);
    REQUIRE(result < 0 || memcmp(scratch, content->bytes + offset, there) == 0, "f%u has other bytes than were written",
            step->count);
}

void step_file_write(struct model *model, const struct step *step)
{
    const struct file *file = &model->files[step->count];
    struct content *content = &model->contents[file->content];
    bool append = file->flags & PAL_FILE_APPEND;
    size_t offset = append ? content->size : (size_t)(step->choice % (FILE_SIZE_MAX - step->size + 1));
    int expected = file->flags & PAL_FILE_WRITE ? (int)step->size : PAL_EBADF;
    int32_t result;

    trace_fixed(" f%u %u at %llu -> %d", step->count, step->size, (unsigned long long)offset, expected);
    bytes_make(model_number(model), 0, scratch, step->size);
    result = pal_file_write(file->handle, scratch, step->size, append ? step->choice >> 24 : offset);
    REQUIRE(result == expected, "pal_file_write is %d, not %d", result, expected);
    if (result > 0)
        content_write(content, scratch, step->size, offset);
}

void step_file_size(struct model *model, const struct step *step)
{
    const struct file *file = &model->files[step->count];
    struct content *content = &model->contents[file->content];
    size_t size = (size_t)(step->choice % (FILE_SIZE_MAX + 1));
    struct pal_file_info info;
    int expected = file->flags & PAL_FILE_WRITE ? 0 : PAL_EINVAL, result;

    if (size >= content->mapped && step->size % 2 == 0) {
        trace_fixed(" f%u to %llu -> %d", step->count, (unsigned long long)size, expected);
        result = pal_file_resize(file->handle, size);
        REQUIRE(result == expected, "pal_file_resize is %s", pal_error_name(result));
        if (result == 0 && size > content->size)
            memset(content->bytes + content->size, 0, size - content->size);
        if (result == 0)
            content->size = size;
    }
    REQUIRE(pal_file_sync(file->handle, step->size % 4 ? PAL_FILE_SYNC_DATA : PAL_FILE_SYNC_ALL) == 0,
            "a file cannot be synced");
    REQUIRE(pal_file_info(file->handle, &info) == 0, "pal_file_info fails");
    trace_fixed(" f%u has %llu", step->count, (unsigned long long)content->size);
    REQUIRE(info.size == content->size && info.kind == PAL_FILE_REGULAR,
            "f%u is of kind %u and has %llu bytes, not %llu", step->count, info.kind, (unsigned long long)info.size,
            (unsigned long long)content->size);
}

void step_file_close(struct model *model, const struct step *step)
{
    struct file *file = &model->files[step->count];
    int expected = file->jobs > 0 ? PAL_EBUSY : 0, result = pal_file_close(file->handle);
    uint8_t byte;

    trace_fixed(" f%u -> %d", step->count, expected);
    REQUIRE(result == expected, "pal_file_close is %s, not %s", pal_error_name(result), pal_error_name(expected));
    if (result != 0)
        return;
    file->live = false;
    REQUIRE(pal_file_read(file->handle, &byte, 1, 0) == PAL_EBADF, "a file can be read that is closed");
}

/* ---- maps ---- */

/* Where the bytes are that a map has to show. */
static const uint8_t *shown_by(const struct model *model, const struct map *map)
{
    return map->content == NONE ? map->bytes : model->contents[map->content].bytes;
}

/* A page that is cut off a file ends the program when it is touched, in a private map, too. */
static void limit_cuts(struct model *model, int content)
{
    model->contents[content].mapped = 0;
    for (int i = 0; i < MAPS_MAX; i++) {
        const struct map *map = &model->maps[i];

        if (map->live && map->source == content && map->size > model->contents[content].mapped)
            model->contents[content].mapped = map->size;
    }
}

/* A map of a file, of which writes reach it (SHARED) or not; or anonymous memory. */
static void map_make(struct model *model, struct map *map, const struct step *step)
{
    bool of_file = step->other != NONE;
    const struct file *file = &model->files[of_file ? step->other : 0];
    struct pal_map spec;
    void *address = NULL;
    bool shared = of_file && file->flags & PAL_FILE_WRITE && step->flags % 2;
    int result;

    memset(&spec, 0, sizeof(spec));
    spec.size = step->size;
    spec.protect = PAL_MAP_READ | PAL_MAP_WRITE;
    spec.flags = (shared ? PAL_MAP_SHARED : 0) | (step->flags & PAL_MAP_GUARD);
    if (of_file)
        spec.file = file->handle;
    result = pal_mmap(&spec, &address);
    trace_fixed(" %u of f%d%s", step->size, step->other, shared ? " shared" : "");
    REQUIRE(result == 0 && (uintptr_t)address % model->page_size == 0, "pal_mmap is %s, at %p", pal_error_name(result),
            address);
    map->live = true;
    map->source = of_file ? file->content : NONE;
    map->address = address;
    map->size = step->size;
    map->content = shared ? file->content : NONE;
    memset(map->bytes, 0, map->size);
    if (of_file)
        memcpy(map->bytes, model->contents[file->content].bytes, map->size);
    if (of_file)
        limit_cuts(model, file->content);
}

static void map_check(const struct model *model, const struct map *map)
{
    REQUIRE(memcmp(map->address, shown_by(model, map), map->size) == 0, "a map shows other bytes than there are");
}

static void map_end(struct model *model, struct map *map)
{
    REQUIRE(pal_munmap(map->address, map->size) == 0, "a map cannot be ended");
    map->live = false;
    if (map->source != NONE)
        limit_cuts(model, map->source);
}

/* What is written privately is the map's alone from then on; all of it is, so that the file's changes do not show. */
static void map_write(struct model *model, struct map *map, const struct step *step)
{
    size_t offset = map->content == NONE ? 0 : step->size % map->size, size = map->size - offset;

    bytes_make(model_number(model), 0, map->address + offset, size);
    if (map->content == NONE)
        memcpy(map->bytes, map->address, map->size);
    else
        content_write(&model->contents[map->content], map->address + offset, size, offset);
    REQUIRE(pal_msync(map->address, map->size, PAL_MSYNC_START) == 0, "pal_msync fails");
}

/* What is added is zero; but what lay behind the map in its last page means nothing, and may be anything. */
static void map_resize(const struct model *model, struct map *map, size_t size)
{
    size_t page_end = (map->size + model->page_size - 1) / model->page_size * model->page_size;
    void *address = map->address;
    int result = pal_mremap(&address, map->size, size);

    trace_fixed(" to %llu", (unsigned long long)size);
    REQUIRE(result == 0, "pal_mremap is %s", pal_error_name(result));
    if (size > map->size) {
        memcpy(map->bytes + map->size, (uint8_t *)address + map->size, (page_end < size ? page_end : size) - map->size);
        if (size > page_end)
            memset(map->bytes + page_end, 0, size - page_end);
    }
    map->address = address;
    map->size = size;
}

void step_map(struct model *model, const struct step *step)
{
    struct map *map = &model->maps[step->count];

    trace_fixed(" m%u", step->count);
    if (!map->live) {
        map_make(model, map, step);
        if (map->content == NONE)
            map_write(model, map, step);
        return;
    }
    map_check(model, map);
    switch (step->choice % 4) {
    case 0:
    case 1:
        trace_fixed(" end");
        map_end(model, map);
        break;
    case 2:
        if (map->source == NONE) {
            map_resize(model, map, step->size);
            break;
        }
        /* fall through */
    default:
        trace_fixed(" write");
        map_write(model, map, step);
        map_check(model, map);
    }
}
