/* lookup.c: copying a query there and its answer back. See lookup.h. */
#include "lookup.h"

#include "memory.h"
#include "refusal.h"

#include <stdbool.h>
#include <string.h>

enum { HOST_SIZE = 1025, SERVICE_SIZE = 256 }; /* what resolvers take, with the NUL; canonical names are hosts */

struct lookup {
    struct pal_query query;   /* its texts and its room are those below */
    struct pal_addr *out;     /* the program's room */
    char *canonical_out;      /* the same */
    uint32_t capacity, bytes; /* of addrs; of all this */
    char host[HOST_SIZE], service[SERVICE_SIZE], canonical[HOST_SIZE];
    struct pal_addr addrs[];
};

static bool copy_text(char *room, size_t size, const char **text)
{
    if (!*text)
        return true;
    const char *end = memchr(*text, 0, size);
    if (!end)
        return false;
    *text = memcpy(room, *text, (size_t)(end - *text) + 1);
    return true;
}

static int check(const struct pal_op *op)
{
    const struct pal_query *query = op->aux;
    if (!query || (!query->host && !query->service) || (op->size && !op->buf))
        return pal__refuse(PAL_EINVAL, "RESOLVE needs a query of a host or a service in aux, and room for addresses");
    if (op->size > PAL_RESOLVE_MAX)
        return pal__refuse(PAL_EINVAL, "RESOLVE takes room for at most PAL_RESOLVE_MAX addresses");
    return 0;
}

int pal__lookup_begin(const struct pal_op *op, struct lookup **out)
{
    int error = check(op);
    if (error)
        return error;
    size_t bytes = sizeof(struct lookup) + (size_t)op->size * sizeof(struct pal_addr);
    struct lookup *lookup = pal__alloc(bytes, _Alignof(struct lookup));
    if (!lookup)
        return PAL_ENOMEM;
    struct pal_query *query = &lookup->query;
    *query = *(const struct pal_query *)op->aux;
    lookup->out = op->buf;
    lookup->canonical_out = query->canonical;
    lookup->capacity = (uint32_t)op->size;
    lookup->bytes = (uint32_t)bytes;
    if (query->canonical)
        query->canonical = lookup->canonical;
    if (query->canonical_size > HOST_SIZE)
        query->canonical_size = HOST_SIZE;
    if (copy_text(lookup->host, HOST_SIZE, &query->host) && copy_text(lookup->service, SERVICE_SIZE, &query->service)) {
        *out = lookup;
        return 0;
    }
    pal__lookup_end(lookup);
    return pal__refuse(PAL_EINVAL, "a host is at most 1024 bytes, a service 255");
}

int32_t pal__lookup_run(struct lookup *lookup)
{
    return pal_resolve(&lookup->query, lookup->addrs, (int)lookup->capacity);
}

void pal__lookup_give(const struct lookup *lookup, int32_t count)
{
    size_t written = (uint32_t)count < lookup->capacity ? (uint32_t)count : lookup->capacity;
    if (written)
        memcpy(lookup->out, lookup->addrs, written * sizeof lookup->addrs[0]);
    if (lookup->canonical_out && lookup->query.canonical_size)
        memcpy(lookup->canonical_out, lookup->canonical, strlen(lookup->canonical) + 1);
}

void pal__lookup_end(struct lookup *lookup)
{
    if (lookup)
        pal__free(lookup, lookup->bytes);
}
