/* layout.c: sizes and alignments of the public types, by name. A new public type gets its line here. */
#include <string.h>

#include <palio/address.h>
#include <palio/base.h>
#include <palio/sim.h>

#include "assertion.h"
#include "error.h"

struct layout {
    const char *name;
    size_t size, alignment; /* bytes */
};

#define LAYOUT(type) #type, sizeof(type), _Alignof(type)

static const struct layout layouts[] = {
    {LAYOUT(palio_address)},
    {LAYOUT(palio_allocator)},
    {LAYOUT(palio_buffer)},
    {LAYOUT(palio_bytes)},
    {LAYOUT(palio_deadline)},
    {LAYOUT(palio_error)},
    {LAYOUT(palio_sim_explore_options)},
    {LAYOUT(palio_sim_faults)},
    {LAYOUT(palio_sim_options)},
    {LAYOUT(palio_sim_report)},
    {LAYOUT(palio_sim_sweep_options)},
};

int palio_layout(const char *type_name, size_t *size, size_t *alignment)
{
    PALIO__ASSERT(type_name != NULL, "palio_layout: no name");
    for (size_t i = 0; i < sizeof(layouts) / sizeof(layouts[0]); i++) {
        if (strcmp(layouts[i].name, type_name) != 0)
            continue;
        if (size != NULL)
            *size = layouts[i].size;
        if (alignment != NULL)
            *alignment = layouts[i].alignment;
        return 0;
    }
    return palio__refuse(PALIO_ENOENT, "layout", "type %s", type_name);
}
