/* calls_context.c: contexts: made, switched between, forgotten. What a context finds it leaves behind for the test's
 * own stack to judge, as an assertion that fails does not return. */
#include "calls_common.h"

#include <signal.h>

enum { STACK_SIZE = 65536 };

/* A context that runs on a stack of its own, and the one that it goes back to. */
struct guest {
    struct pal_context context, host;
    struct guest *next; /* whom it goes on in, where it does not go back */
    uint64_t seen;      /* what its function notes down */
    int turns;
    char *stack;
};

static char *stack_alloc(void)
{
    char *stack = malloc(STACK_SIZE);

    cr_assert_not_null(stack);
    return stack;
}

static void guest_open(struct guest *guest, void (*function)(void *))
{
    memset(guest, 0, sizeof(*guest));
    guest->stack = stack_alloc();
    assert_error(pal_context_make(&guest->context, guest->stack, STACK_SIZE, function, guest), 0);
}

static void guest_close(struct guest *guest)
{
    pal_context_forget(&guest->context);
    free(guest->stack);
}

/* From the host to the guest, and from the guest to the host. */
static void visit(struct guest *guest)
{
    pal_context_switch(&guest->host, &guest->context);
}

static void go_back(struct guest *guest)
{
    pal_context_switch(&guest->context, &guest->host);
}

static _Noreturn void leave(struct guest *guest)
{
    go_back(guest);
    abort(); /* nobody visits it again */
}

static void count_turns(void *arg)
{
    struct guest *guest = arg;

    for (;;) {
        guest->turns++;
        go_back(guest);
    }
}

static void require_contexts(void)
{
    static char stack[STACK_SIZE];
    struct pal_context context;

    if (pal_context_make(&context, stack, sizeof(stack), count_turns, NULL) == PAL_ENOTSUP)
        test_skip("contexts", "this platform has none");
    pal_context_forget(&context);
}

/* ---- make ---- */

Test(calls_context, make_refuses_bad_input_with_a_reason)
{
    static char stack[STACK_SIZE];
    const struct {
        void *stack;
        size_t size;
        void (*function)(void *);
    } bad[] = {
        {NULL, sizeof(stack), count_turns},
        {stack, sizeof(stack), NULL},
        {stack, PAL_CONTEXT_STACK_MIN - 1, count_turns},
        {stack, 0, count_turns},
        {stack, SIZE_MAX, count_turns},
    };
    struct pal_context context, before;

    require_contexts();
    memset(&before, 0x5a, sizeof(before));
    context = before;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_error(pal_context_make(&context, bad[i].stack, bad[i].size, bad[i].function, NULL), PAL_EINVAL);
        cr_assert_str_neq(pal_reason(), "");
        cr_assert_arr_eq(&context, &before, sizeof(context), "case %zu writes the context", i);
    }
    assert_error(pal_context_make(NULL, stack, sizeof(stack), count_turns, NULL), PAL_EINVAL);
    cr_assert_str_neq(pal_reason(), "");
}

static void note_argument(void *arg)
{
    struct guest *guest = arg;

    guest->seen = (uintptr_t)arg;
    leave(guest);
}

Test(calls_context, the_first_switch_calls_the_function_with_its_argument)
{
    struct guest guest;

    require_contexts();
    guest_open(&guest, note_argument);
    cr_assert_eq(guest.seen, 0, "it runs before it is switched to");
    visit(&guest);
    cr_assert_eq(guest.seen, (uintptr_t)&guest);
    guest_close(&guest);
}

/* Not sanitized: AddressSanitizer would put the array elsewhere. */
__attribute__((no_sanitize_address)) static void note_stack(void *arg)
{
    _Alignas(16) char here[16];
    struct guest *guest = arg;

    memset(here, 1, sizeof(here)); /* so that it is on the stack */
    guest->seen = (uintptr_t)here;
    leave(guest);
}

Test(calls_context, any_address_and_the_smallest_size_will_do)
{
    static char memory[PAL_CONTEXT_STACK_MIN + 64];

    require_contexts();
    for (int offset = 0; offset <= 17; offset++) {
        struct guest guest;
        char *stack = memory + offset;

        memset(&guest, 0, sizeof(guest));
        memset(memory, 0x5a, sizeof(memory));
        assert_error(pal_context_make(&guest.context, stack, PAL_CONTEXT_STACK_MIN, note_stack, &guest), 0);
        visit(&guest);
        cr_assert(guest.seen >= (uintptr_t)stack && guest.seen < (uintptr_t)stack + PAL_CONTEXT_STACK_MIN,
                  "offset %d: another stack", offset);
        cr_assert_eq(guest.seen % 16, 0, "offset %d: the stack is misaligned", offset);
        pal_context_forget(&guest.context);
        for (int i = 0; i < offset; i++)
            cr_assert_eq(memory[i], 0x5a, "offset %d: it writes below its stack", offset);
        for (size_t i = (size_t)offset + PAL_CONTEXT_STACK_MIN; i < sizeof(memory); i++)
            cr_assert_eq(memory[i], 0x5a, "offset %d: it writes above its stack", offset);
    }
}

/* ---- switch ---- */

Test(calls_context, a_switch_goes_on_where_the_context_left)
{
    struct guest guest;

    require_contexts();
    guest_open(&guest, count_turns);
    for (int i = 1; i <= 1000; i++) {
        visit(&guest);
        cr_assert_eq(guest.turns, i);
    }
    guest_close(&guest);
}

/* More values than there are registers of either kind, all needed after each round, in which, unless guest is NULL, who
 * runs leaves and comes back. */
static uint64_t busy(uint64_t seed, struct guest *guest, void (*away)(struct guest *))
{
    uint64_t a = seed, b = a * 3 + 1, c = b * 5 + 1, d = c * 7 + 1, e = d * 9 + 1, f = e * 11 + 1, g = f * 13 + 1;
    uint64_t h = g * 15 + 1, i = h * 17 + 1, j = i * 19 + 1, k = j * 21 + 1, l = k * 23 + 1, m = l * 25 + 1;
    double p = (double)(a % 1000), q = p + 1.5, r = q + 2.25, s = r + 3.125, t = s + 4.0625, u = t + 5.5, v = u + 6.25;
    double w = v + 7.125, x = w + 8.0625, y = x + 9.5, bits;
    uint64_t hash = 0;

    for (int round = 0; round < 200; round++) {
        if (guest)
            away(guest);
        a += b ^ m, b ^= c + a, c += d ^ b, d ^= e + c, e += f ^ d, f ^= g + e, g += h ^ f;
        h ^= i + g, i += j ^ h, j ^= k + i, k += l ^ j, l ^= m + k, m += a ^ l;
        p = p * 0.5 + q, q = q * 0.25 + r, r = r * 0.5 + s, s = s * 0.25 + t, t = t * 0.5 + u, u = u * 0.25 + v;
        v = v * 0.5 + w, w = w * 0.25 + x, x = x * 0.5 + y, y = y * 0.25 + p;
    }
    bits = p + q + r + s + t + u + v + w + x + y;
    memcpy(&hash, &bits, sizeof(bits) < sizeof(hash) ? sizeof(bits) : sizeof(hash));
    return hash ^ a ^ b ^ c ^ d ^ e ^ f ^ g ^ h ^ i ^ j ^ k ^ l ^ m;
}

/* Called by address, so that it is compiled once for all that have to get the same from it. */
static uint64_t (*volatile compute)(uint64_t seed, struct guest *guest, void (*away)(struct guest *)) = busy;

static void compute_as_guest(void *arg)
{
    struct guest *guest = arg;

    guest->seen = compute(2, guest, go_back);
    leave(guest);
}

Test(calls_context, registers_and_local_variables_survive)
{
    struct guest guest;
    uint64_t seen;

    require_contexts();
    guest_open(&guest, compute_as_guest);
    seen = compute(1, &guest, visit);
    visit(&guest);
    cr_assert_eq(seen, compute(1, NULL, NULL), "the host's");
    cr_assert_eq(guest.seen, compute(2, NULL, NULL), "the guest's");
    guest_close(&guest);
}

/* Switches on each level on the way down and on the way up. The result is the sum of all levels. */
static uint64_t descend(struct guest *guest, void (*away)(struct guest *), int depth)
{
    volatile uint64_t level = (uint64_t)depth;
    uint64_t below = 0;

    away(guest);
    if (depth > 0)
        below = descend(guest, away, depth - 1);
    away(guest);
    return below + level;
}

static void descend_as_guest(void *arg)
{
    struct guest *guest = arg;

    guest->seen = descend(guest, go_back, 100);
    leave(guest);
}

Test(calls_context, frames_of_both_stacks_may_be_deep)
{
    struct guest guest;

    require_contexts();
    guest_open(&guest, descend_as_guest);
    cr_assert_eq(descend(&guest, visit, 100), 5050);
    visit(&guest);
    cr_assert_eq(guest.seen, 5050);
    guest_close(&guest);
}

static void pass_on(void *arg)
{
    struct guest *guest = arg;

    for (guest->turns = 1; guest->turns < 100; guest->turns++)
        pal_context_switch(&guest->context, &guest->next->context);
    leave(guest);
}

Test(calls_context, contexts_switch_among_themselves)
{
    enum { GUESTS = 7 };
    struct guest guests[GUESTS];

    require_contexts();
    for (int i = 0; i < GUESTS; i++)
        guest_open(&guests[i], pass_on);
    for (int i = 0; i < GUESTS; i++)
        guests[i].next = &guests[(i + 1) % GUESTS];
    visit(&guests[0]);
    for (int i = 0; i < GUESTS; i++)
        cr_assert_eq(guests[i].turns, i == 0 ? 100 : 99, "context %d has had %d turns", i, guests[i].turns);
    for (int i = 0; i < GUESTS; i++)
        guest_close(&guests[i]);
}

Test(calls_context, a_thousand_contexts_take_turns)
{
    enum { GUESTS = 1000, TURNS = 10 };
    struct guest *guests;

    require_contexts();
    guests = calloc(GUESTS, sizeof(*guests));
    cr_assert_not_null(guests);
    for (int i = 0; i < GUESTS; i++)
        guest_open(&guests[i], count_turns);
    for (int turn = 0; turn < TURNS; turn++) {
        for (int i = 0; i < GUESTS; i++)
            visit(&guests[i * 7 % GUESTS]);
    }
    for (int i = 0; i < GUESTS; i++)
        cr_assert_eq(guests[i].turns, TURNS, "context %d", i);
    for (int i = 0; i < GUESTS; i++)
        guest_close(&guests[i]);
    free(guests);
}

/* ---- the rest of the seam, from a context ---- */

struct talk {
    struct guest guest; /* first, so that it is the function's argument too */
    struct rig *rig;
    pal_sock sock;
    int heard;
};

/* Echoes what arrives. Goes back to the host, which waits, whenever there is nothing. */
static void echo(void *arg)
{
    struct talk *talk = arg;
    char bytes[64];
    int32_t size;

    while ((size = pal_sock_recv(talk->sock, bytes, sizeof(bytes), 0)) != 0) {
        if (size == PAL_EAGAIN)
            go_back(&talk->guest);
        else if (size < 0 || pal_sock_send(talk->sock, bytes, (size_t)size, 0) != size)
            break;
        else
            talk->heard++;
    }
    leave(&talk->guest);
}

Test(calls_context, a_context_calls_the_rest_of_the_seam)
{
    static const char text[] = "said";
    struct talk talk;
    struct rig rig;
    pal_sock peer;

    require_contexts();
    rig_open(&rig, 2);
    memset(&talk, 0, sizeof(talk));
    guest_open(&talk.guest, echo);
    pair_open(PAIR_UNIX_STREAM, &talk.sock, &peer);
    visit(&talk.guest);
    rig_watch(&rig, talk.sock, PAL_IN, 1);
    for (int i = 1; i <= 10; i++) {
        char answer[sizeof(text)];

        send_all(peer, text, sizeof(text));
        (void)rig_until_ready(&rig, 1, PAL_IN);
        visit(&talk.guest);
        cr_assert_eq(talk.heard, i);
        cr_assert_eq(pal_sock_recv(peer, answer, sizeof(answer), 0), (int32_t)sizeof(answer));
        cr_assert_str_eq(answer, text);
    }
    rig_unwatch(&rig, talk.sock);
    pair_close(talk.sock, peer);
    rig_close(&rig);
    guest_close(&talk.guest);
}

/* ---- threads ---- */

struct crew {
    pal_thread thread;
    struct guest guests[4];
    bool right; /* told by the thread */
};

static void run_guests(void *arg)
{
    struct crew *crew = arg;

    crew->right = true;
    for (int turn = 1; turn <= 500; turn++) {
        for (int i = 0; i < 4; i++) {
            visit(&crew->guests[i]);
            crew->right &= crew->guests[i].turns == turn;
        }
    }
}

static void require_threads(void)
{
    require_contexts();
    if (!has_caps(PAL_CAP_SHARED_SOCKS))
        test_skip("threads", "this backend runs on one");
}

Test(calls_context, each_thread_has_contexts_of_its_own)
{
    enum { THREADS = 4 };
    struct crew crews[THREADS];

    require_threads();
    memset(crews, 0, sizeof(crews));
    for (int i = 0; i < THREADS; i++) {
        for (int j = 0; j < 4; j++)
            guest_open(&crews[i].guests[j], count_turns);
        assert_error(pal_thread_start(&crews[i].thread, run_guests, &crews[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_error(pal_thread_join(crews[i].thread), 0);
        cr_assert(crews[i].right);
        for (int j = 0; j < 4; j++)
            guest_close(&crews[i].guests[j]);
    }
}

static void visit_elsewhere(void *arg)
{
    visit(arg);
}

Test(calls_context, one_thread_after_another_may_run_a_context)
{
    struct guest guest;

    require_threads();
    guest_open(&guest, count_turns);
    for (int i = 1; i <= 20; i += 2) {
        pal_thread thread;

        visit(&guest);
        cr_assert_eq(guest.turns, i);
        assert_error(pal_thread_start(&thread, visit_elsewhere, &guest), 0);
        assert_error(pal_thread_join(thread), 0);
        cr_assert_eq(guest.turns, i + 1);
    }
    guest_close(&guest);
}

/* ---- forget ---- */

static void touch_nothing(struct guest *guest)
{
    (void)guest;
}

/* Leaves in the midst of frames that have arrays, which will never be given up in order. */
static void litter(struct guest *guest, int depth)
{
    char array[100];

    memset(array, depth, sizeof(array));
    if (depth > 0)
        litter(guest, depth - 1);
    else
        go_back(guest);
    guest->seen += (unsigned char)array[depth];
}

static void litter_as_guest(void *arg)
{
    (void)descend(arg, touch_nothing, 200);
    litter(arg, 20);
    leave(arg);
}

Test(calls_context, the_stack_of_a_forgotten_context_is_ordinary_memory)
{
    char *stack;

    require_contexts();
    stack = stack_alloc();
    for (int i = 0; i < 50; i++) {
        struct guest guest;

        memset(&guest, 0, sizeof(guest));
        assert_error(pal_context_make(&guest.context, stack, STACK_SIZE, litter_as_guest, &guest), 0);
        visit(&guest);
        pal_context_forget(&guest.context);
        memset(stack, i, STACK_SIZE);
        for (size_t j = 0; j < STACK_SIZE; j++)
            cr_assert_eq(stack[j], i);
    }
    free(stack);
}

Test(calls_context, a_stack_serves_ten_thousand_contexts_one_after_another)
{
    char *stack;

    require_contexts();
    stack = stack_alloc();
    for (int i = 0; i < 10000; i++) {
        struct guest guest;

        memset(&guest, 0, sizeof(guest));
        assert_error(pal_context_make(&guest.context, stack, STACK_SIZE, count_turns, &guest), 0);
        visit(&guest);
        cr_assert_eq(guest.turns, 1);
        pal_context_forget(&guest.context);
    }
    free(stack);
}

Test(calls_context, a_context_that_never_ran_is_forgotten_too)
{
    struct guest guest;

    require_contexts();
    guest_open(&guest, count_turns);
    guest_close(&guest);
    guest_open(&guest, count_turns);
    visit(&guest);
    cr_assert_eq(guest.turns, 1);
    guest_close(&guest);
}

/* ---- what aborts ---- */

static void return_at_once(void *arg)
{
    (void)arg;
}

Test(calls_context, a_function_that_returns_aborts, .signal = SIGABRT)
{
    struct guest guest;

    require_contexts();
    guest_open(&guest, return_at_once);
    visit(&guest);
}

Test(calls_context, a_switch_to_a_forgotten_context_aborts, .signal = SIGABRT)
{
    struct guest guest;

    require_contexts();
    guest_open(&guest, count_turns);
    visit(&guest);
    pal_context_forget(&guest.context);
    visit(&guest);
}

static void switch_to_oneself(void *arg)
{
    struct guest *guest = arg;
    struct pal_context another;

    pal_context_switch(&another, &guest->context);
}

Test(calls_context, a_switch_to_a_context_that_runs_aborts, .signal = SIGABRT)
{
    struct guest guest;

    require_contexts();
    guest_open(&guest, switch_to_oneself);
    visit(&guest);
}

static void forget_oneself(void *arg)
{
    struct guest *guest = arg;

    pal_context_forget(&guest->context);
    leave(guest);
}

Test(calls_context, a_context_that_runs_is_not_forgotten, .signal = SIGABRT)
{
    struct guest guest;

    require_contexts();
    guest_open(&guest, forget_oneself);
    visit(&guest);
}

Test(calls_context, a_context_is_forgotten_once, .signal = SIGABRT)
{
    struct guest guest;

    require_contexts();
    guest_open(&guest, count_turns);
    pal_context_forget(&guest.context);
    pal_context_forget(&guest.context);
}
