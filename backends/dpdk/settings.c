/* settings.c: reads the text of a configuration. ISO C; one pass over the words. What holds for all
 * of them is settings_check.c's. */
#include "settings.h"

#include <pal/address.h>
#include <stdio.h>
#include <stdlib.h>

enum { WORDS_MAX = 4, FILE_MAX = 65536, MTU_MIN = 576, MTU_MAX = 9600 };

/* One setting of the text under way. */
struct item {
    struct dpdk_settings *out;
    struct base_text *words; /* the answer, if it fails */
    char word[WORDS_MAX][DPDK_WORD_MAX];
    int count; /* words of this setting, its name first */
};

struct setting {
    const char *name;
    int count_min, count_max; /* of its words, without the name */
    bool many;                /* may be said more than once */
    int (*take)(struct item *item);
    const char *usage;
};

/* ---- words ---- */

static int wrong(struct item *item, const char *value, const char *remedy)
{
    return pal__d_fail(item->words, PAL_EINVAL, "%s \"%s\": %s", item->word[0], value, remedy);
}

static bool read_number(const char *text, uint64_t min, uint64_t max, uint32_t *value)
{
    uint64_t number;

    if (!base_parse_unsigned(text, strlen(text), max, &number) || number < min)
        return false;
    *value = (uint32_t)number;
    return true;
}

static int take_number(struct item *item, int index, uint32_t min, uint32_t max, uint32_t *value)
{
    if (read_number(item->word[index], min, max, value))
        return 0;
    return pal__d_fail(item->words, PAL_EINVAL, "%s \"%s\": not a number from %u to %u", item->word[0],
                       item->word[index], (unsigned)min, (unsigned)max);
}

/* The index of the word in a list that ends with NULL; -1. */
static int choice(const char *word, const char *const *names)
{
    for (int i = 0; names[i] != NULL; i++)
        if (strcmp(word, names[i]) == 0)
            return i;
    return -1;
}

static bool read_ip(const char *text, struct ip *ip)
{
    struct pal_addr addr;

    if (pal_addr_from_host(&addr, text, 0) != 0 || addr.scope != 0)
        return false;
    *ip = addr.family == PAL_AF_INET ? ip_of_v4(addr.bytes) : ip_of_v6(addr.bytes);
    return addr.family == PAL_AF_INET || !ip_is_v4(ip);
}

/* 10.0.0.2/24. */
static int take_prefix(struct item *item, struct ip *ip, uint8_t *bits)
{
    char host[DPDK_WORD_MAX];
    const char *slash = strchr(item->word[1], '/');
    uint32_t number;
    size_t size;

    if (slash == NULL)
        return wrong(item, item->word[1], "the length of the prefix is missing; write 10.0.0.2/24 or fd00::2/64");
    size = (size_t)(slash - item->word[1]);
    memcpy(host, item->word[1], size);
    host[size] = '\0';
    if (!read_ip(host, ip))
        return wrong(item, item->word[1], "no IP address; write 10.0.0.2/24 or fd00::2/64");
    if (!read_number(slash + 1, 0, ip_is_v4(ip) ? 32 : 128, &number))
        return wrong(item, item->word[1], "the prefix is longer than the address, or no number");
    *bits = (uint8_t)number;
    return 0;
}

/* The device that was named last; -1 and the words: none yet. */
static int take_device(struct item *item)
{
    if (item->out->device_count > 0 && !item->out->devices[item->out->device_count - 1].is_loopback)
        return (int)item->out->device_count - 1;
    if (item->out->device_count > 0) {
        (void)wrong(item, item->word[1], "the device before it carries the loopback interface, and has nothing else");
        return -1;
    }
    (void)pal__d_fail(item->words, PAL_EINVAL, "%s \"%s\": of which device? Put \"device ...\" in front of it",
                      item->word[0], item->word[1]);
    return -1;
}

static int too_many(struct item *item, int max)
{
    return pal__d_fail(item->words, PAL_ENOBUFS, "%s \"%s\": more than %d of them", item->word[0], item->word[1], max);
}

static int twice(struct item *item)
{
    return pal__d_fail(item->words, PAL_EEXIST, "%s \"%s\" is there twice; take one out", item->word[0], item->word[1]);
}

/* ---- each setting ---- */

static int take_device_text(struct item *item)
{
    struct dpdk_settings *out = item->out;
    struct dpdk_device *device = &out->devices[out->device_count];
    char name[DPDK_WORD_MAX], other[DPDK_WORD_MAX];

    if (out->device_count == DPDK_DEVICES_MAX)
        return too_many(item, DPDK_DEVICES_MAX);
    memcpy(device->text, item->word[1], sizeof(device->text));
    pal__d_device_name(device, name);
    if (name[0] == '\0')
        return wrong(item, item->word[1], "it has no name; write net_tap0,iface=palio0 or 0000:01:00.0");
    for (uint32_t i = 0; i < out->device_count; i++) {
        pal__d_device_name(&out->devices[i], other);
        if (strcmp(name, other) == 0)
            return pal__d_fail(item->words, PAL_EEXIST,
                               "device \"%s\": %s is there twice; the second of a kind ends in 1: net_tap1",
                               item->word[1], name);
    }
    out->device_count++;
    return 0;
}

static int take_address(struct item *item)
{
    struct dpdk_settings *out = item->out;
    struct dpdk_address *address = &out->addresses[out->address_count];
    int device = take_device(item), error;

    if (device < 0)
        return PAL_EINVAL;
    if (out->address_count == DPDK_ADDRESSES_MAX)
        return too_many(item, DPDK_ADDRESSES_MAX);
    error = take_prefix(item, &address->ip, &address->bits);
    if (error != 0)
        return error;
    if (ip_is_unspecified(&address->ip) || ip_is_multicast(&address->ip) || ip_is_loopback(&address->ip) ||
        ip_is_limited_broadcast(&address->ip) || address->bits == 0)
        return wrong(item, item->word[1], "no address that an interface can have");
    for (uint32_t i = 0; i < out->address_count; i++)
        if (ip_equal(&out->addresses[i].ip, &address->ip))
            return twice(item);
    address->device = (uint8_t)device;
    out->address_count++;
    return 0;
}

static int add_route(struct item *item, const struct dpdk_route *route)
{
    struct dpdk_settings *out = item->out;

    if (out->route_count == DPDK_ROUTES_MAX)
        return too_many(item, DPDK_ROUTES_MAX);
    if (ip_is_unspecified(&route->gateway) || ip_is_multicast(&route->gateway))
        return wrong(item, item->word[item->count - 1], "no address of a gateway");
    for (uint32_t i = 0; i < out->route_count; i++)
        if (out->routes[i].device == route->device && out->routes[i].bits == route->bits &&
            ip_equal(&out->routes[i].prefix, &route->prefix))
            return twice(item);
    out->routes[out->route_count++] = *route;
    return 0;
}

static int take_gateway(struct item *item)
{
    struct dpdk_route route = {.bits = 0};
    int device = take_device(item);

    if (device < 0)
        return PAL_EINVAL;
    if (!read_ip(item->word[1], &route.gateway))
        return wrong(item, item->word[1], "no IP address; write 10.0.0.1 or fd00::1");
    route.device = (uint8_t)device;
    route.prefix = ip_is_v4(&route.gateway) ? ip_of_number(0) : ip_none();
    return add_route(item, &route);
}

static int take_route(struct item *item)
{
    struct dpdk_route route = {.bits = 0};
    int device = take_device(item), error;
    struct ip zero;

    if (device < 0)
        return PAL_EINVAL;
    error = take_prefix(item, &route.prefix, &route.bits);
    if (error != 0)
        return error;
    if (!read_ip(item->word[2], &route.gateway) || ip_is_v4(&route.gateway) != ip_is_v4(&route.prefix))
        return wrong(item, item->word[2], "no gateway of the route's family; write route 10.1.0.0/16 10.0.0.1");
    zero = ip_is_v4(&route.prefix) ? ip_of_number(0) : ip_none();
    if (route.bits == 0 && !ip_equal(&route.prefix, &zero))
        return wrong(item, item->word[1], "a prefix of no bits is 0.0.0.0/0 or ::/0; or say gateway");
    route.device = (uint8_t)device;
    return add_route(item, &route);
}

/* Six bytes as 02:00:00:00:00:01. */
static bool read_mac(const char *text, uint8_t *mac)
{
    for (int i = 0; i < MAC_SIZE; i++, text += 3) {
        int high = base_hex_digit(text[0]), low = high < 0 ? -1 : base_hex_digit(text[1]);

        if (low < 0 || text[2] != (i == MAC_SIZE - 1 ? '\0' : ':'))
            return false;
        mac[i] = (uint8_t)(high << 4 | low);
    }
    return (mac[0] & 1) == 0;
}

static int take_neighbour(struct item *item)
{
    struct dpdk_settings *out = item->out;
    struct dpdk_neighbour *neighbour = &out->neighbours[out->neighbour_count];
    int device = take_device(item);

    if (device < 0)
        return PAL_EINVAL;
    if (out->neighbour_count == DPDK_NEIGHBOURS_MAX)
        return too_many(item, DPDK_NEIGHBOURS_MAX);
    if (!read_ip(item->word[1], &neighbour->ip) || ip_is_unspecified(&neighbour->ip) || ip_is_multicast(&neighbour->ip))
        return wrong(item, item->word[1], "no IP address; write neighbour 10.0.0.1 02:00:00:00:00:01");
    if (!read_mac(item->word[2], neighbour->mac))
        return wrong(item, item->word[2], "no MAC of one station; write six bytes as 02:00:00:00:00:01");
    for (uint32_t i = 0; i < out->neighbour_count; i++)
        if (out->neighbours[i].device == device && ip_equal(&out->neighbours[i].ip, &neighbour->ip))
            return twice(item);
    neighbour->device = (uint8_t)device;
    out->neighbour_count++;
    return 0;
}

static int take_mtu(struct item *item)
{
    int device = take_device(item);

    if (device < 0)
        return PAL_EINVAL;
    if (item->out->devices[device].mtu != 0)
        return twice(item);
    return take_number(item, 1, MTU_MIN, MTU_MAX, &item->out->devices[device].mtu);
}

static int take_loopback(struct item *item)
{
    int device = take_device(item);

    if (device < 0)
        return PAL_EINVAL;
    item->out->devices[device].is_loopback = true;
    return 0;
}

static int take_profile(struct item *item)
{
    static const char *const names[] = {"balanced", "latency", "power", NULL};
    int index = choice(item->word[1], names);

    if (index < 0)
        return wrong(item, item->word[1], "the profiles are latency, balanced and power");
    item->out->profile = (enum dpdk_profile)index;
    return 0;
}

static int take_hugepages(struct item *item)
{
    static const char *const names[] = {"auto", "on", "off", NULL};
    int index = choice(item->word[1], names);

    if (index < 0)
        return wrong(item, item->word[1], "it is auto, on or off");
    item->out->hugepages = (enum dpdk_switch)index;
    return 0;
}

/* One CPU, of which each may be named once. */
static int add_core(struct item *item, uint32_t cpu)
{
    struct dpdk_settings *out = item->out;

    if (out->core_count == DPDK_CORES_MAX)
        return too_many(item, DPDK_CORES_MAX);
    for (uint32_t i = 0; i < out->core_count; i++)
        if (out->cores[i] == cpu)
            return pal__d_fail(item->words, PAL_EEXIST, "cores \"%s\": CPU %u is there twice", item->word[1],
                               (unsigned)cpu);
    out->cores[out->core_count++] = (uint16_t)cpu;
    return 0;
}

/* 0,2-3 */
static int take_cores(struct item *item)
{
    char text[DPDK_WORD_MAX], *part = text;

    memcpy(text, item->word[1], sizeof(text));
    while (part != NULL) {
        char *comma = strchr(part, ','), *dash;
        uint32_t first, last;
        int error = 0;

        if (comma != NULL)
            *comma++ = '\0';
        dash = strchr(part, '-');
        if (dash != NULL)
            *dash++ = '\0';
        if (!read_number(part, 0, DPDK_CPU_MAX, &first) ||
            !read_number(dash != NULL ? dash : part, first, DPDK_CPU_MAX, &last))
            return wrong(item, item->word[1], "no list of CPUs; write 2 or 0,2-3");
        for (uint32_t cpu = first; cpu <= last && error == 0; cpu++)
            error = add_core(item, cpu);
        if (error != 0)
            return error;
        part = comma;
    }
    return 0;
}

static int take_queues(struct item *item)
{
    return take_number(item, 1, 1, DPDK_QUEUES_MAX, &item->out->queues);
}

static int take_idle(struct item *item)
{
    static const char *const names[] = {"", "spin", "backoff", "block", NULL};
    int index = choice(item->word[1], names);

    if (index <= 0)
        return wrong(item, item->word[1], "it is spin, backoff (with microseconds) or block");
    item->out->idle = (enum dpdk_idle)index;
    if (item->count == 2)
        return 0;
    if (index != DPDK_IDLE_BACKOFF)
        return wrong(item, item->word[2], "only backoff takes a time");
    return take_number(item, 2, 1, 1000000, &item->out->idle_us);
}

static int take_kernel(struct item *item)
{
    return take_number(item, 1, 1, 65536, &item->out->kernel_ratio);
}

static int take_descriptors(struct item *item)
{
    int error = take_number(item, 1, 64, 32768, &item->out->rx_descriptors);

    item->out->tx_descriptors = item->out->rx_descriptors;
    if (error == 0 && item->count == 3)
        error = take_number(item, 2, 64, 32768, &item->out->tx_descriptors);
    return error;
}

static int take_mbufs(struct item *item)
{
    return take_number(item, 1, 512, 4194304, &item->out->mbufs);
}

static int take_pcap(struct item *item)
{
    static const char *const names[] = {"on", "off", NULL};
    int index = item->count == 3 ? choice(item->word[2], names) : 0;

    if (index < 0)
        return wrong(item, item->word[2], "a capture begins on or off");
    item->out->pcap_off = index == 1;
    memcpy(item->out->pcap, item->word[1], sizeof(item->out->pcap));
    return 0;
}

static const struct setting settings[] = {
    {"device", 1, 1, true, take_device_text, "device net_tap0,iface=palio0"},
    {"address", 1, 1, true, take_address, "address 10.0.0.2/24"},
    {"gateway", 1, 1, true, take_gateway, "gateway 10.0.0.1"},
    {"route", 2, 2, true, take_route, "route 10.1.0.0/16 10.0.0.1"},
    {"neighbour", 2, 2, true, take_neighbour, "neighbour 10.0.0.1 02:00:00:00:00:01"},
    {"mtu", 1, 1, true, take_mtu, "mtu 1500"},
    {"loopback", 0, 0, false, take_loopback, "loopback"},
    {"profile", 1, 1, false, take_profile, "profile latency"},
    {"cores", 1, 1, false, take_cores, "cores 0,2-3"},
    {"queues", 1, 1, false, take_queues, "queues 2"},
    {"idle", 1, 2, false, take_idle, "idle backoff 50"},
    {"kernel", 1, 1, false, take_kernel, "kernel 16"},
    {"hugepages", 1, 1, false, take_hugepages, "hugepages auto"},
    {"descriptors", 1, 2, false, take_descriptors, "descriptors 512 1024"},
    {"mbufs", 1, 1, false, take_mbufs, "mbufs 8192"},
    {"pcap", 1, 2, false, take_pcap, "pcap /tmp/palio.pcapng off"},
};

enum { SETTINGS = sizeof(settings) / sizeof(settings[0]) };

/* ---- the text ---- */

static bool is_end(char c)
{
    return c == '\0' || c == ';' || c == '\n' || c == '#';
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The words up to the setting's end; moves *at to it. */
static int split(struct item *item, const char **at)
{
    memset(item->word, 0, sizeof(item->word));
    item->count = 0;
    for (;;) {
        size_t size = 0;

        while (is_blank(**at))
            (*at)++;
        if (is_end(**at))
            return 0;
        while (!is_end((*at)[size]) && !is_blank((*at)[size]))
            size++;
        if (item->count == WORDS_MAX)
            return pal__d_fail(item->words, PAL_EINVAL, "%s: \"%.*s\" is a word too many; settings stand apart by ';'",
                               item->word[0], size < 64 ? (int)size : 64, *at);
        if (size >= DPDK_WORD_MAX)
            return pal__d_fail(item->words, PAL_EINVAL, "\"%.32s...\": a word of more than %d bytes", *at,
                               DPDK_WORD_MAX - 1);
        memcpy(item->word[item->count++], *at, size);
        *at += size;
    }
}

static int unknown(struct item *item)
{
    (void)pal__d_fail(item->words, PAL_EINVAL, "\"%s\" is no setting; there are", item->word[0]);
    for (int i = 0; i < SETTINGS; i++)
        pal__d_say(item->words, "%s %s", i == 0 ? "" : i == SETTINGS - 1 ? " and" : ",", settings[i].name);
    return PAL_EINVAL;
}

static int take(struct item *item, uint32_t *said)
{
    int i = 0;

    while (i < SETTINGS && strcmp(settings[i].name, item->word[0]) != 0)
        i++;
    if (i == SETTINGS)
        return unknown(item);
    if (item->count - 1 < settings[i].count_min)
        return pal__d_fail(item->words, PAL_EINVAL, "%s: its value is missing; write for example: %s", settings[i].name,
                           settings[i].usage);
    if (item->count - 1 > settings[i].count_max)
        return pal__d_fail(item->words, PAL_EINVAL,
                           "%s: \"%s\" is a word too many; write for example: %s (settings stand apart by ';')",
                           settings[i].name, item->word[settings[i].count_max + 1], settings[i].usage);
    if (!settings[i].many && (*said & UINT32_C(1) << i) != 0)
        return pal__d_fail(item->words, PAL_EEXIST, "%s is said twice; take one out", settings[i].name);
    *said |= UINT32_C(1) << i;
    return settings[i].take(item);
}

static int read_text(struct dpdk_settings *out, const char *text, struct base_text *words)
{
    struct item item = {.out = out, .words = words};
    uint32_t said = 0;

    memset(out, 0, sizeof(*out));
    while (*text != '\0') {
        int error = split(&item, &text);

        if (error == 0 && item.count > 0)
            error = take(&item, &said);
        if (error != 0)
            return error;
        if (*text == '#')
            while (*text != '\0' && *text != '\n')
                text++;
        text += *text != '\0';
    }
    return pal__d_settings_complete(out, words);
}

static int read_file(struct dpdk_settings *out, const char *path, struct base_text *words)
{
    static const char failed[] = "@%s: the file of settings cannot be read; is it there, and may it be read?";
    FILE *file = fopen(path, "r");
    char *text = malloc(FILE_MAX);
    size_t size = 0;
    int error;

    if (text == NULL) {
        error = pal__d_fail(words, PAL_ENOMEM, "no memory to read %s", path);
    } else if (file == NULL || ((size = fread(text, 1, FILE_MAX, file)) == 0 && ferror(file) != 0)) {
        error = pal__d_fail(words, PAL_ENOENT, failed, path);
    } else if (size == FILE_MAX || memchr(text, '\0', size) != NULL) {
        error = pal__d_fail(words, PAL_EINVAL, "@%s is no file of settings: it is larger than %d bytes, or no text",
                            path, FILE_MAX - 1);
    } else {
        text[size] = '\0';
        error = read_text(out, text, words);
    }
    free(text);
    if (file != NULL)
        (void)fclose(file);
    return error;
}

int pal__d_settings_read(struct dpdk_settings *out, const char *text, struct base_text *words)
{
    return text[0] == '@' ? read_file(out, text + 1, words) : read_text(out, text, words);
}

int pal__d_settings_find(struct dpdk_settings *out, const char *args, struct base_text *words)
{
    const char *text = args != NULL && args[0] != '\0' ? args : getenv("PALIO_DPDK");

    if (text == NULL || text[0] == '\0')
        return pal__d_fail(words, PAL_ENODEV,
                           "no device is named: set PALIO_DPDK, or args of pal_setup, to for example: device "
                           "net_tap0,iface=palio0 ; address 10.0.0.2/24");
    return pal__d_settings_read(out, text, words);
}
