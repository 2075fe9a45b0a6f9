/* examples/sim/counter.c: the counter as a program, on any backend. Its test is test_counter.c.
 *
 *   counter serve ADDRESS           such as 127.0.0.1, on port 7007; serves until it is killed
 *   counter add SERVER [TIMES]      adds 1, so many times, and says what came of it */
#include "counter.h"

#include <pal/pal.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fail(const char *what, int code)
{
    fprintf(stderr, "counter: %s: %s (%s)%s%s\n", what, pal_error_text(code), pal_error_name(code),
            *pal_reason() != '\0' ? "; " : "", pal_reason());
    return 1;
}

static int serve(const char *address)
{
    static struct counter_ledger ledger;
    struct counter_server server = {.address = address, .ledger = &ledger};

    return fail(address, counter_serve(&server));
}

static int add(const char *server, const char *times)
{
    struct counter_job job = {.server = server, .amount = 1, .patience_ns = UINT64_C(60000000000)};
    int code;

    job.times = strtoull(times, NULL, 10);
    code = pal_random(&job.client, sizeof(job.client));
    job.client |= 1; /* not 0 */
    if (code == 0)
        code = counter_add(&job);
    if (code < 0)
        return fail(server, code);
    printf("added %" PRIu64 ", which makes %" PRIu64 "\n", job.done, job.total);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "serve") == 0)
        return serve(argv[2]);
    if ((argc == 3 || argc == 4) && strcmp(argv[1], "add") == 0)
        return add(argv[2], argc == 4 ? argv[3] : "1");
    fprintf(stderr, "usage: counter serve ADDRESS | counter add SERVER [TIMES]\n");
    return 2;
}
