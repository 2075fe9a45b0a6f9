/* tests/dpdk/host_dpdk.c: the host's wire to the kernel: a port of DPDK. It is polled; what has a descriptor may sleep
 * on it, with --sleep yes. */
#include "../netstack/host.h"

#include "../../backends/dpdk/port.h"
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { LINK_WAIT_MS = 5000 };

static const char *wanted;
static bool sleeps;
static struct dpdk_settings settings;
static struct dpdk_port *port;
static int fd = -1;

bool wire_option(const char *name, const char *value)
{
    if (strcmp(name, "--dpdk") == 0)
        wanted = value;
    else if (strcmp(name, "--sleep") == 0)
        sleeps = strcmp(value, "yes") == 0;
    else
        return false;
    return true;
}

bool wire_is_known(void)
{
    return wanted != NULL;
}

/* Not at once: the kernel's end of a tap device has to see the other. */
static void await_link(void)
{
    const struct timespec moment = {.tv_nsec = 1000000};

    for (int i = 0; i < LINK_WAIT_MS && !pal__d_port_link(port).is_up; i++)
        nanosleep(&moment, NULL);
}

struct nic *wire_open(const struct pal_allocator *allocator)
{
    char words_buffer[DPDK_WORDS_MAX], notes_buffer[DPDK_WORDS_MAX];
    struct base_text words, notes;
    struct dpdk_plan plan;
    int error;

    (void)allocator; /* DPDK has memory of its own */
    base_text_init(&words, words_buffer, sizeof(words_buffer));
    base_text_init(&notes, notes_buffer, sizeof(notes_buffer));
    error = pal__d_settings_read(&settings, wanted, &words);
    if (error == 0)
        error = pal__d_preflight(&settings, "", &plan, &notes, &words);
    if (error == 0)
        error = pal__d_eal_start(&settings, &plan, &words);
    if (error == 0)
        error = pal__d_port_open(&settings, 0, &port, &words);
    if (error != 0) {
        fprintf(stderr, "dpdk-host: %s: %s\n", pal_error_name(error), words.data);
        return NULL;
    }
    await_link();
    pal__d_port_describe(port, &notes);
    fprintf(stderr, "%s", notes.data);
    if (sleeps && (fd = pal__d_port_fd(port, 0)) < 0) {
        fprintf(stderr, "dpdk-host: nothing to sleep on\n");
        return NULL;
    }
    return pal__d_port_nic(port, 0);
}

const char *wire_name(void)
{
    return pal__d_port_name(port);
}

/* Looks every 20 us, as others are to run on these CPUs too, unless there is a descriptor. */
void wire_rest(uint64_t for_ns)
{
    struct pollfd item = {.fd = fd, .events = POLLIN};
    struct timespec timeout;
    sigset_t none;

    if (fd < 0 && for_ns > 20000)
        for_ns = 20000;
    timeout.tv_sec = (time_t)(for_ns / 1000000000);
    timeout.tv_nsec = (long)(for_ns % 1000000000);
    sigemptyset(&none);
    ppoll(&item, fd < 0 ? 0 : 1, &timeout, &none);
}

bool wire_close(void)
{
    uint32_t missing;

    pal__d_port_stop(port);
    missing = pal__d_port_close(port);
    if (missing != 0)
        fprintf(stderr, "dpdk-host: %u packet buffers are not given back\n", missing);
    pal__d_eal_stop();
    return missing == 0;
}
