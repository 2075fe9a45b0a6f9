/* settings_text.c: the configuration as the text from which it can be read again, and the parts of a device's text. */
#include "settings.h"

#include <pal/address.h>

void pal__d_print_ip(struct base_text *out, const struct ip *ip)
{
    char text[PAL_ADDR_TEXT_SIZE];
    struct pal_addr addr;

    memset(&addr, 0, sizeof(addr));
    addr.family = ip_is_v4(ip) ? PAL_AF_INET : PAL_AF_INET6;
    addr.size = ip_is_v4(ip) ? 4 : 16;
    memcpy(addr.bytes, ip_is_v4(ip) ? ip_v4_bytes(ip) : ip->bytes, addr.size);
    (void)pal_addr_format(&addr, text, sizeof(text));
    base_text_string(out, text);
}

static void print_number(struct base_text *out, const char *name, uint32_t value)
{
    base_text_string(out, name);
    base_text_char(out, ' ');
    base_text_unsigned(out, value);
    base_text_char(out, '\n');
}

static void print_prefix(struct base_text *out, const char *name, const struct ip *ip, unsigned bits)
{
    base_text_string(out, name);
    base_text_char(out, ' ');
    pal__d_print_ip(out, ip);
    base_text_char(out, '/');
    base_text_unsigned(out, bits);
}

static void print_route(struct base_text *out, const struct dpdk_route *route)
{
    if (route->bits == 0) {
        base_text_string(out, "gateway ");
    } else {
        print_prefix(out, "route", &route->prefix, route->bits);
        base_text_char(out, ' ');
    }
    pal__d_print_ip(out, &route->gateway);
    base_text_char(out, '\n');
}

static void print_neighbour(struct base_text *out, const struct dpdk_neighbour *neighbour)
{
    base_text_string(out, "neighbour ");
    pal__d_print_ip(out, &neighbour->ip);
    for (int i = 0; i < MAC_SIZE; i++) {
        base_text_char(out, i == 0 ? ' ' : ':');
        base_text_hex(out, neighbour->mac[i], 2);
    }
    base_text_char(out, '\n');
}

static void print_device(const struct dpdk_settings *settings, uint32_t device, struct base_text *out)
{
    base_text_string(out, "device ");
    base_text_string(out, settings->devices[device].text);
    base_text_char(out, '\n');
    if (settings->devices[device].mtu != 0)
        print_number(out, "mtu", settings->devices[device].mtu);
    if (settings->devices[device].is_loopback)
        base_text_string(out, "loopback\n");
    for (uint32_t i = 0; i < settings->address_count; i++) {
        if (settings->addresses[i].device != device)
            continue;
        print_prefix(out, "address", &settings->addresses[i].ip, settings->addresses[i].bits);
        base_text_char(out, '\n');
    }
    for (uint32_t i = 0; i < settings->route_count; i++)
        if (settings->routes[i].device == device)
            print_route(out, &settings->routes[i]);
    for (uint32_t i = 0; i < settings->neighbour_count; i++)
        if (settings->neighbours[i].device == device)
            print_neighbour(out, &settings->neighbours[i]);
}

static void print_idle(const struct dpdk_settings *settings, struct base_text *out)
{
    static const char *const names[] = {"", "spin", "backoff", "block"};

    base_text_string(out, "idle ");
    base_text_string(out, names[settings->idle]);
    if (settings->idle == DPDK_IDLE_BACKOFF) {
        base_text_char(out, ' ');
        base_text_unsigned(out, settings->idle_us);
    }
    base_text_char(out, '\n');
}

void pal__d_settings_print(const struct dpdk_settings *settings, struct base_text *out)
{
    static const char *const profiles[] = {"balanced", "latency", "power"}, *const switches[] = {"auto", "on", "off"};

    for (uint32_t i = 0; i < settings->device_count; i++)
        print_device(settings, i, out);
    base_text_string(out, "profile ");
    base_text_string(out, profiles[settings->profile]);
    base_text_char(out, '\n');
    for (uint32_t i = 0; i < settings->core_count; i++) {
        base_text_string(out, i == 0 ? "cores " : ",");
        base_text_unsigned(out, settings->cores[i]);
    }
    if (settings->core_count > 0)
        base_text_char(out, '\n');
    print_number(out, "queues", settings->queues);
    print_idle(settings, out);
    print_number(out, "kernel", settings->kernel_ratio);
    base_text_string(out, "hugepages ");
    base_text_string(out, switches[settings->hugepages]);
    base_text_char(out, '\n');
    base_text_string(out, "descriptors ");
    base_text_unsigned(out, settings->rx_descriptors);
    base_text_char(out, ' ');
    base_text_unsigned(out, settings->tx_descriptors);
    base_text_char(out, '\n');
    print_number(out, "mbufs", settings->mbufs);
    if (settings->pcap[0] != '\0') {
        base_text_string(out, "pcap ");
        base_text_string(out, settings->pcap);
        base_text_string(out, settings->pcap_off ? " off" : "");
        base_text_char(out, '\n');
    }
}

/* ---- a device's text ---- */

void pal__d_device_name(const struct dpdk_device *device, char *name)
{
    size_t size = strcspn(device->text, ",");

    memcpy(name, device->text, size);
    name[size] = '\0';
}

bool pal__d_device_value(const struct dpdk_device *device, const char *key, char *value)
{
    size_t key_size = strlen(key);
    const char *at = strchr(device->text, ',');

    while (at != NULL) {
        const char *end = strchr(++at, ',');

        if (strncmp(at, key, key_size) == 0 && at[key_size] == '=') {
            size_t size = end != NULL ? (size_t)(end - at) : strlen(at);

            size -= key_size + 1;
            memcpy(value, at + key_size + 1, size);
            value[size] = '\0';
            return true;
        }
        at = end;
    }
    return false;
}
