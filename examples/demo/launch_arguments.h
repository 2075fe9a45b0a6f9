/* examples/demo/launch_arguments.h: numbers among the arguments of the launchers. */
#ifndef DEMO_LAUNCH_ARGUMENTS_H
#define DEMO_LAUNCH_ARGUMENTS_H

#include <stddef.h>
#include <stdint.h>

/* An option "NAME=NUMBER", whose number is at most max and goes to *value. */
struct number_option {
    const char *name;
    uint64_t max;
    uint64_t *value;
};

/* Takes the argument if it is one of the count options: 1. 0: it is none of them. -1: it has no such number, which is
 * said on standard error. */
int take_number(const struct number_option *options, size_t count, const char *argument);

#endif
