/* children.h: what the tests of processes share: commands for the shell, their output, their ends. Children are
 * programs that every system with a shell has; what does not have /bin/sh skips these tests. */
#ifndef TESTS_CONFORMANCE_CHILDREN_H
#define TESTS_CONFORMANCE_CHILDREN_H

#include "calls_common.h"

enum { COMMAND_ARGS_MAX = 8, COMMAND_FDS_MAX = 8, OUTPUT_MAX = 4096 };

/* A child to be started. It points into itself: it is filled in place and not copied. */
struct command {
    struct pal_spawn spec;
    const char *argv[COMMAND_ARGS_MAX + 1];
    struct pal_spawn_fd fds[COMMAND_FDS_MAX];
};

/* Skips the test where there is no shell, or the backend cannot start children; the second also where it cannot tell
 * their end as an event. To be called before anything is open. */
void require_children(void);
void require_watched_children(void);

/* The program, under its own name, without arguments or descriptors. */
void command_of(struct command *command, const char *program);
void command_add(struct command *command, const char *argument);

/* sh -c SCRIPT */
void command_of_script(struct command *command, const char *script);

/* The child gets it under this number. */
void command_give(struct command *command, pal_sock sock, int32_t number);
void command_give_native(struct command *command, intptr_t native, int32_t number);

/* Starts it; fails the test if it does not start. */
pal_proc start(const struct command *command);
pal_proc start_script(const char *script);

/* Why it is not started; fails the test if it is, or if that leaves anything behind. */
int start_refused(const struct command *command);

/* Waits until it has ended, and returns its result. The second closes its handle as well. */
int32_t result_of(pal_proc process);
int32_t finish(pal_proc process);

/* Runs it to its end. */
int32_t run(const struct command *command);
int32_t run_script(const char *script);

/* Runs it with its output going into a pipe: what it wrote, at most OUTPUT_MAX - 1 bytes, and its result. */
struct output {
    char text[OUTPUT_MAX];
    int32_t result;
};
void run_for_output(struct command *command, struct output *output);

/* The script ends with 0 and has written exactly this. */
void expect_output_of(struct command *command, const char *text);
void expect_script_output(const char *script, const char *text);

/* All that can be read until the end of the stream, as text. */
void read_to_end(pal_sock sock, char text[OUTPUT_MAX]);

/* A pipe, and a child that runs until it can read something from it, or its end: `read` exits with 0 or 1. */
struct sleeper {
    pal_sock ends[2]; /* the test's; the child has the first as well */
    pal_proc process;
};
void sleeper_start(struct sleeper *sleeper);

/* Lets it go on, to end with 0, and closes the pipe; its handle remains. */
void sleeper_wake(struct sleeper *sleeper);

#endif
