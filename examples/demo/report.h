/* examples/demo/report.h: errors in words. Both halves and the reference use it; nothing here prints. */
#ifndef DEMO_REPORT_H
#define DEMO_REPORT_H

#include "demo.h"

/* Writes "operation object: reason (PAL_ECODE); remedy" to problem and returns code, for `return report(...)`. object
 * or remedy may be "". The seam's own reason stands in for remedy where it has one. The first problem is kept: what
 * follows from it is not news. */
int report(char problem[DEMO_PROBLEM_SIZE], int code, const char *operation, const char *object, const char *remedy);

/* The same with an address as the object. */
int report_at(char problem[DEMO_PROBLEM_SIZE], int code, const char *operation, const struct pal_addr *addr,
              const char *remedy);

#endif
