/* main.c: packets [--verbose] [--pcap FILE] SCRIPT..., packets --list-rows SCRIPT...: runs scripts of
 * docs/packet-scripts.md over both families as their headers say, and tells as TAP which of them hold. */
#include "packets.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

static struct run *running; /* for the message when the stack's assertions stop the program */

static void on_trap(int number)
{
    /* NOLINTBEGIN(bugprone-signal-handler,cert-sig30-c): the stack trapped in this thread, in none of these calls */
    if (running != NULL) {
        printf("not ok - %s (v%d): stopped by an assertion\n", running->script->name, running->family);
        snprintf(running->failure, sizeof(running->failure), "  signal %d, while this line was run", number);
        running->failure_ns = running->now_ns;
        running->failure_line = running->statement == NULL ? 0 : running->statement->line;
        snprintf(running->failure_file, sizeof(running->failure_file), "%s", running->script->path);
        snprintf(running->failure_statement, sizeof(running->failure_statement), "%s",
                 running->statement == NULL ? "" : running->statement->text);
        tell_failure(running);
        fflush(stdout);
    }
    /* NOLINTEND(bugprone-signal-handler,cert-sig30-c) */
    signal(number, SIG_DFL);
    raise(number);
}

static void catch_traps(void)
{
    signal(SIGILL, on_trap);
    signal(SIGABRT, on_trap);
#ifdef SIGTRAP
    signal(SIGTRAP, on_trap);
#endif
}

static void *take(size_t count, size_t size)
{
    void *memory = calloc(count, size);

    if (memory == NULL)
        abort();
    return memory;
}

static bool run_family(struct script *script, int family, bool verbose, unsigned number)
{
    struct run *run = take(1, sizeof(*run));
    bool passed;

    run->socks = take(SOCKS_MAX, sizeof(run->socks[0]));
    run->flows = take(FLOWS_MAX, sizeof(run->flows[0]));
    run->words = take(NESTING_MAX, sizeof(run->words[0]));
    run->script = script;
    run->family = run->as = family;
    run->verbose = verbose;
    running = run;
    if (verbose)
        printf("# %s (v%d)\n", script->name, family);
    passed = run_script(run);
    running = NULL;
    listen_to_reasons(NULL);
    printf("%s %u - %s (v%d)\n", passed ? "ok" : "not ok", number, script->name, family);
    if (!passed)
        tell_failure(run);
    fflush(stdout);
    free(run->words);
    free(run->flows);
    free(run->socks);
    free(run);
    return passed;
}

/* Both runs of a script, or the one line that says that it cannot be read. */
static bool run_path(const char *path, bool verbose, unsigned *number)
{
    static struct script script;
    bool passed = true;

    if (!script_read(&script, path)) {
        printf("not ok %u - %s\n# %s\n", ++*number, script.name[0] != '\0' ? script.name : path, script.error);
        passed = false;
    } else {
        for (int i = 0; i < 2; i++)
            if (script.families[i])
                passed = run_family(&script, i == 0 ? 4 : 6, verbose, ++*number) && passed;
    }
    script_free(&script);
    return passed;
}

static bool list_rows(const char *path)
{
    static struct script script;

    if (!script_read(&script, path)) {
        fprintf(stderr, "%s\n", script.error);
        script_free(&script);
        return false;
    }
    for (const struct statement *line = script.header; line != NULL; line = line->next) {
        const char *at = line->text + strlen("rows:");

        while (starts(line->text, "rows:") && *at != '\0') {
            size_t size = strcspn(at, " \t");

            if (size != 0)
                printf("%.*s\t%s\n", (int)size, at, path);
            at += size + (at[size] != '\0');
        }
    }
    script_free(&script);
    return true;
}

static int usage(void)
{
    fprintf(stderr, "usage: packets [--verbose] [--pcap FILE] SCRIPT...\n       packets --list-rows SCRIPT...\n");
    return 2;
}

int main(int argc, char **argv)
{
    bool verbose = false, rows = false, passed = true;
    unsigned number = 0;
    int i = 1;

    for (; i < argc && starts(argv[i], "--"); i++) {
        if (strcmp(argv[i], "--verbose") == 0)
            verbose = true;
        else if (strcmp(argv[i], "--list-rows") == 0)
            rows = true;
        else if (strcmp(argv[i], "--pcap") != 0 || i + 1 == argc || !pcap_open(argv[++i]))
            return usage();
    }
    if (i == argc)
        return usage();
    if (!rows && !wire_begin())
        return 1;
    if (!rows)
        catch_traps();
    for (; i < argc; i++)
        passed = (rows ? list_rows(argv[i]) : run_path(argv[i], verbose, &number)) && passed;
    if (!rows) {
        printf("1..%u\n", number);
        wire_end();
    }
    passed = pcap_close() && passed;
    return passed ? 0 : 1;
}
