/* examples/demo/launch_arguments.c: numbers among the arguments of the launchers. See launch_arguments.h. */
#include "launch_arguments.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int read_number(const struct number_option *option, const char *digits)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(digits, &end, 10);
    if (*digits < '0' || *digits > '9' || *end != '\0' || errno != 0 || value > option->max) {
        fprintf(stderr, "demo: %s wants a whole number, at most %" PRIu64 "\n", option->name, option->max);
        return -1;
    }
    *option->value = value;
    return 1;
}

int take_number(const struct number_option *options, size_t count, const char *argument)
{
    for (size_t i = 0; i < count; i++) {
        size_t length = strlen(options[i].name);
        if (strncmp(argument, options[i].name, length) == 0 && argument[length] == '=') {
            return read_number(&options[i], argument + length + 1);
        }
    }
    return 0;
}
