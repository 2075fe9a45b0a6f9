/* tests/netstack/host_tap.c: the host's wire to the kernel: a tap device. */
#include "host.h"

#include "../../backends/tap/nic_tap.h"
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char *wanted;
static struct nic_tap *tap;

bool wire_option(const char *name, const char *value)
{
    if (strcmp(name, "--tap") != 0)
        return false;
    wanted = value;
    return true;
}

bool wire_is_known(void)
{
    return wanted != NULL;
}

struct nic *wire_open(const struct pal_allocator *allocator)
{
    struct tap_config config = {.allocator = allocator, .name = wanted, .frames = 4096};
    int error = pal__tap_open(&config, &tap);

    if (error != 0) {
        fprintf(stderr, "netstack-host: tap %s: %s\n", wanted, pal_error_name(error));
        return NULL;
    }
    return pal__tap_nic(tap);
}

const char *wire_name(void)
{
    return pal__tap_name(tap);
}

void wire_rest(uint64_t for_ns)
{
    struct pollfd item = {.fd = pal__tap_fd(tap), .events = POLLIN};
    struct timespec timeout = {.tv_sec = (time_t)(for_ns / 1000000000), .tv_nsec = (long)(for_ns % 1000000000)};
    sigset_t none;

    sigemptyset(&none);
    ppoll(&item, 1, &timeout, &none);
}

bool wire_close(void)
{
    uint32_t used = pal__tap_used(tap);

    if (used != 0)
        fprintf(stderr, "netstack-host: %u frames are not given back\n", used);
    pal__tap_close(tap);
    return used == 0;
}
