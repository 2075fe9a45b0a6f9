/* tests/netstack/swarm.c: many small worlds, each drawn from a seed: two stacks, a bad wire, programs that do anything.
 *
 * usage: netstack-swarm [--seed N] [--seeds N] [--verbose] [--pcap FILE]
 * Runs the seeds from N on; TAP on standard output, a line for every hundred. A seed that fails, crashes or hangs is
 * told with the line that runs it again. Some run twice: the frames and their times must be the same. */
#include "swarm.h"

#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BLOCK = 100, AGAIN = 8, SEED_SECONDS = 60 };

struct command {
    uint64_t first, count;
    bool verbose;
    FILE *pcap;
};

/* Shared with the process that runs a block of seeds, which may die. */
struct progress {
    volatile uint64_t seed;
    volatile uint64_t bytes;
};

static bool run_seed(const struct command *command, uint64_t seed, struct progress *progress)
{
    static struct world world;
    uint64_t hash;

    progress->seed = seed;
    alarm(SEED_SECONDS);
    if (!world_run(&world, seed, command->verbose, command->pcap)) {
        if (!command->verbose)
            options_print(&world.options, stdout);
        printf("# failed: %s\n", world.why);
        return false;
    }
    progress->bytes += world.bytes;
    hash = world.hash;
    if (seed % AGAIN != 0 && !command->verbose)
        return true;
    alarm(SEED_SECONDS);
    if (!world_run(&world, seed, false, NULL) || world.hash != hash) {
        printf("# failed: the second run differs: %016" PRIx64 " and %016" PRIx64 " %s\n", hash, world.hash, world.why);
        return false;
    }
    return true;
}

static void replay(uint64_t seed)
{
    printf("# replay: netstack-swarm --seed %" PRIu64 " --seeds 1 --verbose\n", seed);
    fflush(stdout);
}

/* In a process of its own, so that a crash is one failure. Returns whether all went well; *next: the seed behind the
 * last that was run. */
static bool run_block(const struct command *command, uint64_t first, uint64_t count, struct progress *progress,
                      uint64_t *next)
{
    int status = 0;
    pid_t child;

    progress->seed = first;
    fflush(stdout);
    child = fork();
    if (child == 0) {
        for (uint64_t seed = first; seed < first + count; seed++)
            if (!run_seed(command, seed, progress)) {
                fflush(stdout);
                _exit(1);
            }
        fflush(stdout);
        exit(0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child) {
        printf("# no process\n");
        *next = first + count;
        return false;
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        *next = first + count;
        return true;
    }
    if (WIFSIGNALED(status))
        printf("# seed %" PRIu64 " ended by signal %d\n", progress->seed, WTERMSIG(status));
    replay(progress->seed);
    *next = progress->seed + 1;
    return false;
}

static bool run_all(const struct command *command, struct progress *progress)
{
    uint64_t last = command->first + command->count, blocks = (command->count + BLOCK - 1) / BLOCK;
    bool good = true;

    printf("TAP version 13\n1..%" PRIu64 "\n", blocks);
    for (uint64_t block = 0; block < blocks; block++) {
        uint64_t from = command->first + block * BLOCK, to = from + BLOCK < last ? from + BLOCK : last;
        uint64_t failures = 0;

        for (uint64_t seed = from; seed < to;)
            failures += !run_block(command, seed, to - seed, progress, &seed);
        printf("%s %" PRIu64 " - swarm::seeds_%" PRIu64 "_to_%" PRIu64 "\n", failures == 0 ? "ok" : "not ok", block + 1,
               from, to - 1);
        fflush(stdout);
        good = good && failures == 0;
    }
    printf("# %" PRIu64 " bytes\n", progress->bytes);
    return good;
}

static bool read_command(int count, char **arguments, struct command *command)
{
    for (int i = 1; i < count; i++) {
        const char *name = arguments[i];

        if (strcmp(name, "--verbose") == 0) {
            command->verbose = true;
            continue;
        }
        if (i + 1 == count)
            return false;
        i++;
        if (strcmp(name, "--seed") == 0)
            command->first = strtoull(arguments[i], NULL, 0);
        else if (strcmp(name, "--seeds") == 0)
            command->count = strtoull(arguments[i], NULL, 0);
        else if (strcmp(name, "--pcap") == 0)
            command->pcap = fopen(arguments[i], "wb");
        else
            return false;
        if (strcmp(name, "--pcap") == 0 && command->pcap == NULL)
            return false;
    }
    return command->count > 0;
}

int main(int count, char **arguments)
{
    struct command command = {.first = 1, .count = 1};
    struct progress *progress =
        mmap(NULL, sizeof(*progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    bool good;

    if (progress == MAP_FAILED || !read_command(count, arguments, &command)) {
        fprintf(stderr, "usage: netstack-swarm [--seed N] [--seeds N] [--verbose] [--pcap FILE]\n");
        return 2;
    }
    if (command.count > 1) {
        good = run_all(&command, progress);
    } else {
        good = run_seed(&command, command.first, progress);
        printf("%s 1 - swarm::seed_%" PRIu64 "\n1..1\n", good ? "ok" : "not ok", command.first);
    }
    if (command.pcap != NULL)
        fclose(command.pcap);
    return good ? 0 : 1;
}
