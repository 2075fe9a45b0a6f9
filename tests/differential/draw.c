/* draw.c: random choices among what the model has. See draw.h. */
#include "draw.h"

enum { CROWD = 22 }; /* handles from which on new ones are made less often */

uint64_t below(struct generator *generator, uint64_t limit)
{
    return random_below(&generator->random, limit);
}

bool one_in(struct generator *generator, uint64_t count)
{
    return below(generator, count) == 0;
}

int draw_sock(struct generator *generator, const struct model *model, condition *meets)
{
    int places[SOCKS_MAX], count = 0;

    for (int i = 0; i < SOCKS_MAX; i++)
        if (model->socks[i].live && (meets == NULL || meets(model, &model->socks[i])))
            places[count++] = i;
    return count == 0 ? NONE : places[below(generator, (uint64_t)count)];
}

int draw_request(struct generator *generator, const struct model *model, bool out)
{
    int places[REQUESTS_MAX], count = 0;

    for (int i = 0; i < REQUESTS_MAX; i++)
        if (model->requests[i].out == out)
            places[count++] = i;
    return count == 0 ? NONE : places[below(generator, (uint64_t)count)];
}

int draw_poll(struct generator *generator, const struct sock *sock)
{
    if (sock != NULL && sock->poll != NONE && !one_in(generator, 4))
        return sock->poll;
    return (int)below(generator, POLLS_MAX);
}

uint32_t draw_size(struct generator *generator, uint64_t least, uint64_t most)
{
    uint64_t size = random_spread(&generator->random, 14);

    return (uint32_t)(size < least ? least : size > most ? most : size);
}

enum kind draw_kind(struct generator *generator, const struct model *model, const enum kind *kinds, uint64_t count)
{
    enum kind kind = kinds[below(generator, count)];

    return model->kinds[kind] ? kind : UNIX_STREAM;
}

bool may_make(struct generator *generator, const struct model *model, int count)
{
    bool spoken_for = handles_left(model) + handle_count(model) < SOCKS_MAX;

    if (handle_count(model) > CROWD && !one_in(generator, 6))
        return false;
    return end_unused(model) > 8 && (!spoken_for || handles_left(model) >= count);
}

bool draw_target(struct generator *generator, const struct model *model, const struct sock *sock, int *out)
{
    int first = (int)below(generator, SOCKS_MAX);

    *out = NONE;
    if (end_at(model, sock)->handles == 1 && one_in(generator, 8))
        return true;
    for (int i = 0; i < SOCKS_MAX; i++) {
        const struct sock *other = &model->socks[(first + i) % SOCKS_MAX];
        const struct end *queue = end_at(model, other);

        if (!other->live || queue->stage != LISTENING || queue->kind != end_at(model, sock)->kind ||
            queue->backlog_count == BACKLOG_MAX)
            continue;
        *out = (first + i) % SOCKS_MAX;
        return end_unused(model) > 4;
    }
    return false;
}

int draw_file(struct generator *generator, const struct model *model, bool at_rest)
{
    int places[FILES_MAX], count = 0;

    for (int i = 0; i < FILES_MAX; i++) {
        const struct file *file = &model->files[i];

        if (file->live && (!at_rest || model->contents[file->content].jobs == 0))
            places[count++] = i;
    }
    return count == 0 ? NONE : places[below(generator, (uint64_t)count)];
}
