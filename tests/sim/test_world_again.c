/* test_world_again.c: world after world in one process: what BEGIN refuses, what it leaves behind, exploring all orders
 * of what could come next, and captures. */
#include "support/sanitizers.h"
#include "test_world.h"

#include <unistd.h>

enum { WORLDS = 200, WARM = 20, LOG_SIZE = 16, ORDERS_MAX = 4096 };

static int begin_refused(struct pal_sim_setup setup)
{
    return ctl(PAL_CTL_SIM_BEGIN, &setup, sizeof setup);
}

/* ---- what is refused ---- */

Test(world_again, programs_without_assertions_are_refused)
{
    cr_assert_eq(begin_refused((struct pal_sim_setup){.seed = 1, .flags = PAL_SIM_QUIET}), PAL_EINVAL);
    cr_assert_not_null(strstr(pal_reason(), "NDEBUG"));
    cr_assert_eq(PAL_SIM_ASSERTED, PAL_SIM_ASSERTIONS);
}

Test(world_again, setups_that_make_no_sense_are_refused)
{
    const uint32_t flags = PAL_SIM_QUIET | PAL_SIM_ASSERTED;

    cr_assert_eq(begin_refused((struct pal_sim_setup){.seed = 1, .flags = flags | 64}), PAL_EINVAL);
    cr_assert_eq(begin_refused((struct pal_sim_setup){.seed = 1, .flags = flags, .depth = 65537}), PAL_EINVAL);
    cr_assert_eq(begin_refused((struct pal_sim_setup){.seed = 1, .flags = flags, .depth = 3, .choice_count = 3}),
                 PAL_EINVAL);
    cr_assert_eq(begin_refused((struct pal_sim_setup){.seed = 1, .flags = flags, .pcap = "no/such/folder/at/all"}),
                 PAL_EINVAL);
    cr_assert_eq(begin_refused((struct pal_sim_setup){.seed = 1, .flags = flags, .faults = {.loss_ppm = 1000001}}),
                 PAL_EINVAL);
    cr_assert_eq(begin_refused((struct pal_sim_setup){.seed = 1, .flags = flags, .text = "host"}), PAL_EINVAL);
}

/* Whatever of a world could not begin, the next one does, and so does the default. */
Test(world_again, after_a_refused_world_there_is_another)
{
    pal_sock sock;

    setenv("PALIO_SIM_SEED", "5", 1);
    catch_errors();
    world_begin(1);
    add_host("one", "10.0.0.1");
    cr_assert_eq(befall(PAL_CTL_SIM_ENTER, 1), 0);
    cr_assert_eq(begin_refused((struct pal_sim_setup){
                     .seed = 1, .flags = PAL_SIM_QUIET | PAL_SIM_ASSERTED, .faults = {.loss_ppm = 1000001}}),
                 PAL_EINVAL);
    cr_assert_eq(pal_sock_wait(NULL, 0, 0), 0);
    cr_assert_eq(datagrams_at("198.18.0.1", PORT, &sock), 0);
    cr_assert_eq(state_now().seed, 5);
    cr_assert_not_null(strstr(caught_errors(), "seed 5, to replay: PALIO_SIM_SEED=5 "), "%s", caught_errors());
    cr_assert_eq(pal_sock_close(sock), 0);
    world_begin(2);
}

static void sleep_briefly(void *unused)
{
    (void)unused;
    sleep_for(SECOND);
}

static int32_t begin_inside(void *unused)
{
    (void)unused;
    return begin_refused((struct pal_sim_setup){.seed = 1, .flags = PAL_SIM_QUIET | PAL_SIM_ASSERTED});
}

Test(world_again, what_is_open_keeps_a_world)
{
    const struct pal_sim_setup setup = {.seed = 1, .flags = PAL_SIM_QUIET | PAL_SIM_ASSERTED};
    pal_sock sock, pipe[2];
    pal_poll *poll;
    pal_thread thread;

    world_begin(1);
    cr_assert_eq(datagrams_at("198.18.0.1", PORT, &sock), 0);
    cr_assert_eq(begin_refused(setup), PAL_EBUSY);
    cr_assert_eq(pal_sock_close(sock), 0);
    cr_assert_eq(pal_pipe(pipe, 0), 0);
    cr_assert_eq(begin_refused(setup), PAL_EBUSY);
    cr_assert(pal_sock_close(pipe[0]) == 0 && pal_sock_close(pipe[1]) == 0);
    cr_assert_eq(pal_poll_open(&poll, NULL), 0);
    cr_assert_eq(begin_refused(setup), PAL_EBUSY);
    cr_assert_eq(pal_poll_close(poll), 0);
    cr_assert_eq(pal_thread_start(&thread, sleep_briefly, NULL), 0);
    cr_assert_eq(begin_refused(setup), PAL_EBUSY);
    cr_assert_eq(pal_thread_join(thread), 0);
    uint32_t host = add_host("one", "10.0.0.1");
    start_on(host, begin_inside, NULL);
    cr_assert_eq(begin_refused(setup), PAL_EBUSY);
    cr_assert_eq(run_until(UINT64_MAX), 0);
    cr_assert_eq(result_of(host), PAL_EBUSY);
    cr_assert_eq(begin_refused(setup), 0);
}

static void *no_alloc(void *context, size_t size, size_t alignment)
{
    (void)context, (void)size, (void)alignment;
    return NULL;
}

static void no_free(void *context, void *memory, size_t size)
{
    (void)context, (void)memory, (void)size;
}

/* What the world has is given back to the allocator that it came from. */
Test(world_again, an_allocator_comes_before_the_world)
{
    const struct pal_allocator allocator = {no_alloc, no_free, NULL};
    struct pal_setup setup = {.allocator = &allocator};

    world_begin(1);
    cr_assert_eq(pal_setup(&setup), PAL_EBUSY);
    cr_assert_not_null(strstr(pal_reason(), "call pal_setup first"), "%s", pal_reason());
    add_host("one", "10.0.0.1");
    setup.allocator = NULL;
    cr_assert_eq(pal_setup(&setup), 0, "the rest may be set up");
    world_begin(1);
}

Test(world_again, handles_of_an_earlier_world_are_stale)
{
    pal_sock sock;
    char byte;

    world_begin(1);
    add_host("one", "10.0.0.1");
    cr_assert_eq(befall(PAL_CTL_SIM_ENTER, 1), 0);
    cr_assert_eq(datagrams_at("10.0.0.1", PORT, &sock), 0);
    cr_assert_eq(pal_sock_close(sock), 0);
    world_begin(1);
    cr_assert_eq(pal_sock_close(sock), PAL_EBADF);
    cr_assert_eq(pal_sock_recv(sock, &byte, 1, 0), PAL_EBADF);
    cr_assert_eq(pal_sock_send(sock, "x", 1, PAL_MSG_WAIT), PAL_EBADF);
    cr_assert_eq(pal_sock_listen(sock, 1), PAL_EBADF);
    cr_assert_eq(pal_sock_accept(sock, &sock, NULL), PAL_EBADF);
}

/* ---- without growth ---- */

static int32_t work(void *argument)
{
    return *(const int32_t *)argument;
}

static size_t pages(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    unsigned long size = 0;

    if (!file || fscanf(file, "%lu", &size) != 1)
        size = 0;
    if (file)
        fclose(file);
    return size;
}

static void use_worker(void)
{
    static struct pal_op op;
    static int32_t seven = 7;
    const struct pal_work function = {.function = work, .argument = &seven};
    const struct pal_event *events;
    pal_poll *poll;

    op = (struct pal_op){.kind = PAL_OP_WORK, .aux = (void *)(uintptr_t)&function};
    cr_assert_eq(pal_poll_open(&poll, NULL), 0);
    cr_assert_eq(pal_submit(poll, &op), 0, "%s", pal_reason());
    cr_assert_eq(pal_poll_wait(poll, &events, UINT64_MAX), 1);
    cr_assert_eq(op.result, 7);
    cr_assert_eq(pal_poll_close(poll), 0);
}

static void live_once(uint64_t seed)
{
    struct echo echo = {.connections = 2, .bytes = 500};

    world_begin_with((struct pal_sim_setup){
        .seed = seed, .faults = {.loss_ppm = 10000, .crash_every_ns = 3600 * SECOND}, .text = "host idle 10.0.0.9"});
    start_echo(&echo);
    cr_assert_eq(run_until(3600 * SECOND), 0);
    cr_assert_eq(result_of(client), 2);
    use_worker();
}

Test(world_again, two_hundred_worlds_leave_nothing, .timeout = 120)
{
    struct memory_out before = {0};
    size_t before_pages = 0;

    count_memory_with(2);
    for (int i = 0; i < WORLDS; i++) {
        live_once(1 + (uint64_t)i % 7);
        if (i == WARM) {
            before = memory_out;
            before_pages = pages();
        }
    }
    world_begin(1);
    cr_assert_leq(memory_out.blocks, before.blocks);
    cr_assert_leq(memory_out.bytes, before.bytes);
#if !defined(SANITIZER_ADDRESS) && !defined(SANITIZER_THREAD)
    cr_assert_leq(pages(), before_pages + before_pages / 10);
#endif
    (void)before_pages;
}

/* A worker that idles is one of each world, with the same number. */
Test(world_again, the_same_seed_does_the_same_with_workers)
{
    uint64_t hash = 0;

    count_memory_with(2);
    for (int i = 0; i < 10; i++) {
        live_once(3);
        if (i == 1)
            hash = state_now().trace_hash;
        if (i > 1)
            cr_assert_eq(state_now().trace_hash, hash);
    }
}

/* ---- exploring ---- */

static char log_text[LOG_SIZE];
static size_t log_size;

static int32_t three_steps(void *name)
{
    for (int i = 0; i < 3; i++) {
        log_text[log_size++] = *(const char *)name;
        if (i < 2)
            (void)pal_sock_wait(NULL, 0, 0);
    }
    return 0;
}

/* One order: what is chosen is given, and told. How many choices there were. */
static uint32_t explore(const uint32_t *given, uint32_t count, struct pal_sim_choice *chosen)
{
    struct pal_sim_choices list = {.choices = chosen, .size = 64};

    world_begin_with((struct pal_sim_setup){.seed = 1, .depth = 64, .choices = given, .choice_count = count});
    uint32_t a = add_host("a", "10.0.0.1"), b = add_host("b", "10.0.0.2");
    memset(log_text, 0, sizeof log_text);
    log_size = 0;
    start_on(a, three_steps, "a");
    start_on(b, three_steps, "b");
    cr_assert_eq(run_until(UINT64_MAX), 0);
    cr_assert_eq(ctl(PAL_CTL_SIM_CHOICES, &list, sizeof list), 0);
    cr_assert_lt(list.count, 64);
    return list.count;
}

/* Counts the list up from its end: the next order. 0: there is none. */
static uint32_t count_up(const struct pal_sim_choice *chosen, uint32_t count, uint32_t *next)
{
    while (count > 0 && chosen[count - 1].option + 1 == chosen[count - 1].count)
        count--;
    for (uint32_t i = 0; i < count; i++)
        next[i] = chosen[i].option + (i + 1 == count);
    return count;
}

Test(world_explore, every_order_comes_exactly_once)
{
    static char orders[ORDERS_MAX][LOG_SIZE];
    struct pal_sim_choice chosen[64];
    uint32_t next[64], given = 0;
    int found = 0;

    do {
        uint32_t count = explore(next, given, chosen);
        for (uint32_t i = 0; i < given; i++)
            cr_assert_eq(chosen[i].option, next[i]);
        cr_assert_lt(found, ORDERS_MAX);
        for (int i = 0; i < found; i++)
            cr_assert_str_neq(orders[i], log_text);
        memcpy(orders[found++], log_text, LOG_SIZE);
        given = count_up(chosen, count, next);
    } while (given > 0);
    cr_assert_eq(found, 20, "three of six: %d", found);
}

Test(world_explore, an_order_is_replayed)
{
    static const uint32_t order[] = {1, 0, 1, 1, 0, 1};
    struct pal_sim_choice chosen[64];
    char first[LOG_SIZE];

    (void)explore(order, 6, chosen);
    memcpy(first, log_text, sizeof first);
    uint64_t hash = state_now().trace_hash;
    (void)explore(order, 6, chosen);
    cr_assert_str_eq(first, log_text);
    cr_assert_eq(state_now().trace_hash, hash);
    (void)explore(order, 0, chosen);
    cr_assert_str_neq(first, log_text);
    struct pal_sim_choices nowhere = {.size = 4};
    cr_assert_eq(ctl(PAL_CTL_SIM_CHOICES, &nowhere, sizeof nowhere), PAL_EINVAL);
    nowhere.size = 0;
    cr_assert_eq(ctl(PAL_CTL_SIM_CHOICES, &nowhere, sizeof nowhere), 0);
    cr_assert_gt(nowhere.count, 0);
    world_begin(1);
    cr_assert_eq(ctl(PAL_CTL_SIM_CHOICES, &nowhere, sizeof nowhere), 0);
    cr_assert_eq(nowhere.count, 0, "nothing is explored");
}

/* ---- captures ---- */

static uint32_t word_at(const uint8_t *bytes)
{
    uint32_t word;

    memcpy(&word, bytes, sizeof word); /* a file's byte order is its writer's, or told */
    return word;
}

static size_t read_capture(const char *path, uint8_t *out, size_t size)
{
    FILE *file = fopen(path, "rbe");

    cr_assert_not_null(file);
    size = fread(out, 1, size, file);
    fclose(file);
    return size;
}

static uint32_t swapped(uint32_t word)
{
    return word >> 24 | (word >> 8 & 0xff00) | (word << 8 & 0xff0000) | word << 24;
}

/* Blocks by kind, as pcapng has them: section 0x0a0d0d0a, interface 1, packet 6. */
static void count_blocks(const uint8_t *bytes, size_t size, int *sections, int *interfaces, int *packets)
{
    bool foreign = word_at(bytes + 8) != 0x1a2b3c4d;

    for (size_t at = 0; at < size;) {
        uint32_t kind = word_at(bytes + at), length = word_at(bytes + at + 4);
        if (foreign) {
            kind = swapped(kind);
            length = swapped(length);
        }
        cr_assert(length >= 12 && length % 4 == 0 && length <= size - at);
        cr_assert_eq(memcmp(bytes + at + length - 4, bytes + at + 4, 4), 0);
        *sections += kind == 0x0a0d0d0a;
        *interfaces += kind == 1;
        *packets += kind == 6;
        at += length;
    }
}

Test(world_pcap, a_capture_is_written_and_whole)
{
    static uint8_t bytes[1 << 20];
    char path[] = "/tmp/palio-sim-XXXXXX";
    struct echo echo = {.connections = 2, .bytes = 2000};
    int sections = 0, interfaces = 0, packets = 0, fd = mkstemp(path);

    cr_assert_geq(fd, 0);
    world_begin_with((struct pal_sim_setup){.seed = 1, .pcap = path});
    start_echo(&echo);
    cr_assert_eq(run_until(3600 * SECOND), 0);
    size_t size = read_capture(path, bytes, sizeof bytes);
    cr_assert_gt(size, 100);
    count_blocks(bytes, size, &sections, &interfaces, &packets);
    cr_assert_eq(sections, 1);
    cr_assert_eq(interfaces, 3);
    cr_assert_geq(packets, (int)counters_now().frames, "each frame is there twice, as sent and as come: %d", packets);
    world_begin_with((struct pal_sim_setup){.seed = 1});
    cr_assert_eq(read_capture(path, bytes, sizeof bytes), size, "the next world has none");
    world_begin_with((struct pal_sim_setup){.seed = 1, .pcap = path});
    cr_assert_lt(read_capture(path, bytes, sizeof bytes), size, "and another begins anew");
    close(fd);
    unlink(path);
}
