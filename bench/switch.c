/* switch.c: what a switch between two contexts costs, one way, in nanoseconds.
 *
 *   switch [ROUNDS]
 *
 * What all are measured against is the textbook's switch, written here: it pushes what a call preserves, changes
 * stacks, pops, and returns by `ret`. The forms take turns, round by round, so that what else the machine does falls on
 * all of them; a figure is the median of its rounds, and so is the ratio to the form that its block begins with. Exit
 * status: 0 when every target is met, 1 when one is missed, 2 when it could not be measured. bench/results/switch.txt
 * has the last run. */
#include <pal/pal.h>

#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <ucontext.h>

enum { STACK_SIZE = 65536, ROUNDS_DEFAULT = 9, ROUNDS_MAX = 99 };
static const long VISITS = 10 * 1000 * 1000; /* a round; each is two switches */

#if defined(__clang__)
#define COMPILER __VERSION__
#else
#define COMPILER "gcc " __VERSION__
#endif

static char stack[STACK_SIZE] __attribute__((aligned(64)));

/* A loop on either side: the host's, which is timed, and the guest's. */
#define DEFINE_LOOPS(name, go_to_guest, go_to_host)                                                                    \
    static void guest_##name(void)                                                                                     \
    {                                                                                                                  \
        for (;;)                                                                                                       \
            go_to_host;                                                                                                \
    }                                                                                                                  \
    static void visit_##name(long visits)                                                                              \
    {                                                                                                                  \
        for (long i = 0; i < visits; i++)                                                                              \
            go_to_guest;                                                                                               \
    }

/* A switch that lies in a function, or in four, which return when it does: as in a program where a task waits. The CPU
 * foretells a return by the calls before it, and these are the host's. */
#define DEFINE_WITHIN(name, type)                                                                                      \
    DEFINE_CALLER(name##_1, name, type)                                                                                \
    DEFINE_CALLER(name##_2, name##_1, type)                                                                            \
    DEFINE_CALLER(name##_3, name##_2, type)                                                                            \
    DEFINE_CALLER(name##_4, name##_3, type)
#define DEFINE_CALLER(name, callee, type)                                                                              \
    __attribute__((noinline)) static void name(type *from, type *to)                                                   \
    {                                                                                                                  \
        callee(from, to);                                                                                              \
        __asm__ volatile(""); /* no tail call */                                                                       \
    }

/* ---- the seam's, by a call into the prelinked object ---- */

static struct pal_context host, guest;

DEFINE_LOOPS(seam, pal_context_switch(&host, &guest), pal_context_switch(&guest, &host))
#if defined(__x86_64__)
DEFINE_WITHIN(pal_context_switch, struct pal_context)
DEFINE_LOOPS(seam_1, pal_context_switch(&host, &guest), pal_context_switch_1(&guest, &host))
DEFINE_LOOPS(seam_4, pal_context_switch(&host, &guest), pal_context_switch_4(&guest, &host))
#endif

static void call(void *arg)
{
    void (*const *function)(void) = arg;
    (*function)();
}

static void make_seam(void (*function)(void))
{
    static void (*start)(void);
    start = function;
    if (pal_context_make(&guest, stack, sizeof(stack), call, &start)) {
        fprintf(stderr, "switch: pal_context_make: %s\n", pal_reason());
        exit(2);
    }
}

/* ---- by hand ---- */

#if defined(__x86_64__)
static void *host_stack_pointer, *guest_stack_pointer;

void by_ret(void **from, void **to);
__asm__(".pushsection .text\n"
        ".p2align 4\n"
        ".globl by_ret\n"
        ".type by_ret, @function\n"
        "by_ret:\n\t"
        "pushq %rbp\n\t"
        "pushq %rbx\n\t"
        "pushq %r12\n\t"
        "pushq %r13\n\t"
        "pushq %r14\n\t"
        "pushq %r15\n\t"
        "movq %rsp, (%rdi)\n\t"
        "movq (%rsi), %rsp\n\t"
        "popq %r15\n\t"
        "popq %r14\n\t"
        "popq %r13\n\t"
        "popq %r12\n\t"
        "popq %rbx\n\t"
        "popq %rbp\n\t"
        "ret\n\t"
        ".size by_ret, . - by_ret\n\t"
        ".popsection");

/* What is left of a switch that a compiler may inline. The seam's may not be: see decision 0012. */
static inline void inlined(void **from, void **to)
{
    __asm__ volatile("leaq 1f(%%rip), %%rax\n\t"
                     "leaq -128(%%rsp), %%rsp\n\t"
                     "pushq %%rbp\n\t"
                     "pushq %%rax\n\t"
                     "movq %%rsp, (%%rdi)\n\t"
                     "movq (%%rsi), %%rsp\n\t"
                     "popq %%rax\n\t"
                     "popq %%rbp\n\t"
                     "jmpq *%%rax\n"
                     "1:\n\t"
                     "leaq 128(%%rsp), %%rsp"
                     : "+D"(from), "+S"(to)
                     :
                     : "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "cc",
                       "memory");
}

DEFINE_WITHIN(by_ret, void *)
DEFINE_LOOPS(ret, by_ret(&host_stack_pointer, &guest_stack_pointer), by_ret(&guest_stack_pointer, &host_stack_pointer))
DEFINE_LOOPS(ret_1, by_ret(&host_stack_pointer, &guest_stack_pointer),
             by_ret_1(&guest_stack_pointer, &host_stack_pointer))
DEFINE_LOOPS(ret_4, by_ret(&host_stack_pointer, &guest_stack_pointer),
             by_ret_4(&guest_stack_pointer, &host_stack_pointer))
DEFINE_LOOPS(inlined, inlined(&host_stack_pointer, &guest_stack_pointer),
             inlined(&guest_stack_pointer, &host_stack_pointer))

/* Six registers to pop, then where to return to. */
static void make_ret(void (*function)(void))
{
    void **top = (void **)(void *)(stack + sizeof(stack)) - 8;
    memset(top, 0, 8 * sizeof(void *));
    top[6] = (void *)(uintptr_t)function;
    guest_stack_pointer = top;
}

static void make_inlined(void (*function)(void))
{
    void **top = (void **)(void *)(stack + sizeof(stack)) - 4;
    top[0] = (void *)(uintptr_t)function;
    top[1] = NULL;
    guest_stack_pointer = top;
}
#endif

/* ---- the C library's ---- */

static ucontext_t library_host, library_guest;

DEFINE_LOOPS(library, (void)swapcontext(&library_host, &library_guest),
             (void)swapcontext(&library_guest, &library_host))

static void make_library(void (*function)(void))
{
    (void)getcontext(&library_guest);
    library_guest.uc_stack.ss_sp = stack;
    library_guest.uc_stack.ss_size = sizeof(stack);
    makecontext(&library_guest, function, 0);
}

/* ---- the table ---- */

static const struct form {
    const char *name;
    void (*make)(void (*function)(void));
    void (*function)(void);
    void (*visit)(long visits);
    int mark;       /* the form that it is compared with */
    long fraction;  /* of VISITS, for what is slow */
    double most_ns; /* targets; 0: none */
    double most_ratio;
} forms[] = {
#if defined(__x86_64__)
    {"by hand, ret", make_ret, guest_ret, visit_ret, 0, 1, 0, 0},
    {"pal_context_switch", make_seam, guest_seam, visit_seam, 0, 1, 5, 0.6},
    {"by hand, inlined", make_inlined, guest_inlined, visit_inlined, 0, 1, 0, 0},
    {"swapcontext", make_library, guest_library, visit_library, 0, 50, 0, 0},
    {"guest in a function: by hand, ret", make_ret, guest_ret_1, visit_ret_1, 4, 1, 0, 0},
    {"guest in a function: pal_context_switch", make_seam, guest_seam_1, visit_seam_1, 4, 1, 0, 0},
    {"guest in four: by hand, ret", make_ret, guest_ret_4, visit_ret_4, 6, 1, 0, 0},
    {"guest in four: pal_context_switch", make_seam, guest_seam_4, visit_seam_4, 6, 1, 0, 0},
#else
    {"swapcontext", make_library, guest_library, visit_library, 0, 50, 0, 0},
    {"pal_context_switch", make_seam, guest_seam, visit_seam, 0, 50, 0, 0},
#endif
};
enum { FORMS = sizeof(forms) / sizeof(forms[0]) };

/* Of the CPU, not of the wall: others may want the CPU too. */
static double now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* Nanoseconds of one switch. */
static double measure(const struct form *form)
{
    long visits = VISITS / form->fraction;
    double start;

    form->make(form->function);
    form->visit(visits / 100);
    start = now_ns();
    form->visit(visits);
    return (now_ns() - start) / (double)(2 * visits);
}

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static const char *verdict(double figure, double most)
{
    return most == 0 ? "" : figure <= most ? "ok" : "MISS";
}

/* Sorts the figures of one form. Returns whether its targets are met. */
static bool report(const struct form *form, double *ns, double *ratios, int rounds)
{
    char most_ns[16] = "", most_ratio[16] = "", line[160];
    double figure, ratio;
    size_t end;

    qsort(ns, (size_t)rounds, sizeof(*ns), compare);
    qsort(ratios, (size_t)rounds, sizeof(*ratios), compare);
    figure = ns[rounds / 2], ratio = ratios[rounds / 2];
    if (form->most_ns != 0)
        snprintf(most_ns, sizeof(most_ns), "<= %.1f", form->most_ns);
    if (form->most_ratio != 0)
        snprintf(most_ratio, sizeof(most_ratio), "<= %.2f", form->most_ratio);
    snprintf(line, sizeof(line), "%-40s  %7.2f  %6.2f .. %-7.2f  %-6s  %-4s  %6.2f  %-7s  %s", form->name, figure,
             ns[0], ns[rounds - 1], most_ns, verdict(figure, form->most_ns), ratio, most_ratio,
             verdict(ratio, form->most_ratio));
    for (end = strlen(line); end > 0 && line[end - 1] == ' '; end--)
        line[end - 1] = '\0';
    puts(line);
    return (form->most_ns == 0 || figure <= form->most_ns) && (form->most_ratio == 0 || ratio <= form->most_ratio);
}

static void preface(int rounds)
{
    char date[32] = "", line[256], cpu[128] = "";
    struct utsname system;
    time_t now = time(NULL);
    FILE *file = fopen("/proc/cpuinfo", "r");

    while (file && fgets(line, sizeof(line), file) && sscanf(line, "model name : %127[^\n]", cpu) != 1)
        ;
    if (file)
        (void)fclose(file);
    (void)strftime(date, sizeof(date), "%Y-%m-%d", localtime(&now));
    (void)uname(&system);
    printf("%s, %s %s, %s, %s, %s\n\n", date, system.sysname, system.release, system.machine, cpu, COMPILER);
    printf("CPU time of one switch, from host to guest or back, in nanoseconds: median of %d rounds, least and most;\n"
           "and the ratio to the form that its block begins with, in the same round, also a median.\n\n",
           rounds);
    printf("%-40s  %7s  %-17s  %-6s  %-4s  %6s  %s\n", "", "ns", "", "target", "", "ratio", "target");
}

int main(int argc, char **argv)
{
    static double ns[FORMS][ROUNDS_MAX], ratios[FORMS][ROUNDS_MAX];
    int rounds = argc > 1 ? atoi(argv[1]) : ROUNDS_DEFAULT;
    bool met = true;
    cpu_set_t cpu;

    if (rounds < 1 || rounds > ROUNDS_MAX) {
        fprintf(stderr, "usage: switch [ROUNDS]\n");
        return 2;
    }
    CPU_ZERO(&cpu);
    CPU_SET((size_t)sched_getcpu(), &cpu);
    (void)sched_setaffinity(0, sizeof(cpu), &cpu);
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < FORMS; i++) {
            ns[i][round] = measure(&forms[i]);
            ratios[i][round] = ns[i][round] / ns[forms[i].mark][round];
        }
    }
    preface(rounds);
    for (int i = 0; i < FORMS; i++) {
        if (i > 0 && forms[i].mark == i)
            putchar('\n');
        met &= report(&forms[i], ns[i], ratios[i], rounds);
    }
    return met ? 0 : 1;
}
