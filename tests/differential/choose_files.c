/* choose_files.c: steps with files, maps, jobs of workers and children. See choose.h. */
#include "choose.h"

bool choose_file_open(struct generator *generator, const struct model *model, struct step *step)
{
    const struct content *content;
    int place = 0;

    while (place < FILES_MAX && model->files[place].live)
        place++;
    step->other = place;
    step->count = (uint32_t)below(generator, CONTENTS_MAX);
    step->flags = PAL_FILE_READ | PAL_FILE_WRITE | PAL_FILE_CREATE;
    if (one_in(generator, 2))
        step->flags = (uint32_t)below(generator, 2 * PAL_FILE_APPEND);
    content = &model->contents[step->count];
    if (step->flags & PAL_FILE_TRUNCATE && (content->mapped > 0 || content->jobs > 0))
        return false;
    return place < FILES_MAX && may_make(generator, model, 1);
}

bool choose_file(struct generator *generator, const struct model *model, struct step *step)
{
    int file = draw_file(generator, model, true);

    if (file == NONE)
        return false;
    step->count = (uint32_t)file;
    step->size = draw_size(generator, 1, 8192);
    return true;
}

bool choose_file_write(struct generator *generator, const struct model *model, struct step *step)
{
    const struct file *file;

    if (!choose_file(generator, model, step))
        return false;
    file = &model->files[step->count];
    return !(file->flags & PAL_FILE_APPEND) || model->contents[file->content].size + step->size <= FILE_SIZE_MAX;
}

bool choose_file_close(struct generator *generator, const struct model *model, struct step *step)
{
    int file = draw_file(generator, model, false);

    for (int i = 0; i < JOBS_MAX; i++)
        if (model->jobs[i].out && model->jobs[i].cancelled && model->jobs[i].file == file)
            return false; /* whether it still holds the file is open */
    step->count = (uint32_t)file;
    return file != NONE;
}

bool choose_map(struct generator *generator, const struct model *model, struct step *step)
{
    const struct map *map;
    const struct file *file;

    step->count = (uint32_t)below(generator, MAPS_MAX);
    step->size = (uint32_t)below(generator, FILE_SIZE_MAX) + 1;
    step->flags = (uint32_t)below(generator, 4);
    map = &model->maps[step->count];
    if (map->live)
        return map->content == NONE || model->contents[map->content].jobs == 0;
    step->other = one_in(generator, 2) ? NONE : draw_file(generator, model, true);
    if (step->other == NONE)
        return true;
    file = &model->files[step->other];
    return file->flags & PAL_FILE_READ && step->size <= model->contents[file->content].size;
}

bool choose_submit_job(struct generator *generator, const struct model *model, struct step *step)
{
    static const uint8_t kinds[] = {PAL_OP_READ, PAL_OP_WRITE, PAL_OP_SYNC, PAL_OP_RESOLVE, PAL_OP_WORK};
    const struct file *file;

    for (step->request = 0; step->request < JOBS_MAX && model->jobs[step->request].out;)
        step->request++;
    step->flags = kinds[below(generator, 5)];
    step->poll = (int)below(generator, POLLS_MAX);
    step->size = draw_size(generator, 1, 8192);
    if (step->request == JOBS_MAX)
        return false;
    if (step->flags == PAL_OP_RESOLVE || step->flags == PAL_OP_WORK)
        return true;
    step->other = draw_file(generator, model, true);
    if (step->other == NONE)
        return false;
    file = &model->files[step->other];
    return (file->flags & (PAL_FILE_READ | PAL_FILE_WRITE | PAL_FILE_APPEND)) == (PAL_FILE_READ | PAL_FILE_WRITE);
}

bool choose_cancel_job(struct generator *generator, const struct model *model, struct step *step)
{
    step->request = (int)below(generator, JOBS_MAX);
    step->poll = (int)below(generator, POLLS_MAX);
    return model->jobs[step->request].out || one_in(generator, 4);
}

bool choose_child(struct generator *generator, const struct model *model, struct step *step)
{
    step->count = (uint32_t)below(generator, CHILDREN_MAX);
    step->poll = (int)below(generator, POLLS_MAX);
    step->size = (uint32_t)below(generator, 8);
    return model->has_children && (model->children[step->count].live || may_make(generator, model, 1));
}
