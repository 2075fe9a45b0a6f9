/* examples/demo/report.c: see report.h. */
#include "report.h"

#include <pal/address.h>
#include <pal/error.h>
#include <pal/os.h>
#include <stdio.h>

int report(char problem[DEMO_PROBLEM_SIZE], int code, const char *operation, const char *object, const char *remedy)
{
    if (problem[0] != '\0') {
        return code;
    }
    const char *reason = code == PAL_ENOTSUP || code == PAL_EINVAL || code == PAL_EBUSY ? pal_reason() : "";
    if (reason[0] != '\0') {
        remedy = reason;
    }
    snprintf(problem, DEMO_PROBLEM_SIZE, "%s%s%s: %s (PAL_%s)%s%s", operation, object[0] != '\0' ? " " : "", object,
             pal_error_text(code), pal_error_name(code), remedy[0] != '\0' ? "; " : "", remedy);
    return code;
}

int report_at(char problem[DEMO_PROBLEM_SIZE], int code, const char *operation, const struct pal_addr *addr,
              const char *remedy)
{
    char text[PAL_ADDR_TEXT_SIZE];
    pal_addr_format(addr, text, sizeof(text));
    return report(problem, code, operation, text, remedy);
}
