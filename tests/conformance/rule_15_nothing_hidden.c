/* Rule 15: no hidden threads. With workers_max 0, the default, what needs a worker is refused and nothing is started.
 * With workers: rule_15_workers.c. Its other half, no SIGPIPE, is rule_15_no_sigpipe.c; threads, handlers and masks are
 * looked at in tests/kernel. */
#include "conformance.h"

/* These name a file, and none is open here. */
static bool takes_file(uint8_t kind)
{
    return kind == PAL_OP_READ || kind == PAL_OP_WRITE || kind == PAL_OP_SYNC;
}

static int32_t return_zero(void *unused)
{
    (void)unused;
    return 0;
}

static void op_is_refused(struct rig *rig, uint8_t kind)
{
    struct pal_query query;
    struct pal_work work = {return_zero, NULL};
    struct pal_addr addr;
    struct pal_op op;
    int result;

    memset(&query, 0, sizeof(query));
    query.host = "localhost";
    memset(&op, 0, sizeof(op));
    op.kind = kind;
    op.data = 1;
    op.buf = &addr;
    op.size = 1;
    op.aux = kind == PAL_OP_RESOLVE ? (void *)&query : (void *)&work;
    result = pal_submit(rig->poll, &op);
    cr_assert(result == PAL_ENOWORKER || result == PAL_ENOTSUP || (result == PAL_EBADF && takes_file(kind)),
              "op %d without workers: %s", kind, pal_error_name(result));
    if (result != PAL_EBADF)
        cr_assert_str_neq(pal_reason(), "", "op %d is refused without a reason", kind);
    rig_silent(rig, 1, 3);
}

Test(rule_15_nothing_hidden, without_workers_what_needs_one_is_refused_and_not_started)
{
    static const uint8_t kinds[] = {PAL_OP_READ, PAL_OP_WRITE, PAL_OP_SYNC, PAL_OP_RESOLVE, PAL_OP_WORK};
    struct rig rig;

    rig_open(&rig, 2);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        op_is_refused(&rig, kinds[i]);
    rig_close(&rig);
}
