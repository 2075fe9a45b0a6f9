/* settings.h: what the DPDK backend can be told: a typed configuration, and its text.
 *
 * The text comes from pal_setup.args or the environment variable PALIO_DPDK, and is read by a strict parser in ISO C:
 *
 *     device net_tap0,iface=palio0 ; address 10.0.0.2/24 ; gateway 10.0.0.1 ; profile balanced
 *
 * Settings stand apart by ';' or a line's end, a '#' begins a comment to the end of its line, and a text that begins
 * with '@' names a file that holds the text. What is said of an interface (address, gateway, route, neighbour, mtu)
 * belongs to the device named last. Nothing here touches DPDK or the system, but for reading that file. */
#ifndef PAL__DPDK_SETTINGS_H
#define PAL__DPDK_SETTINGS_H

#include "../netstack/addr.h"
#include "../netstack/nic.h"
#include "words.h"

enum {
    DPDK_DEVICES_MAX = 4,
    DPDK_ADDRESSES_MAX = 16,
    DPDK_ROUTES_MAX = 32,
    DPDK_NEIGHBOURS_MAX = 64,
    DPDK_CORES_MAX = 64,
    DPDK_QUEUES_MAX = 16,
    DPDK_WORD_MAX = 256,        /* bytes of one word, with its terminator */
    DPDK_SETTINGS_TEXT = 16384, /* bytes of a buffer that takes the printed text of any configuration */
    DPDK_CPU_MAX = 1023         /* the largest number of a CPU */
};

enum dpdk_profile { DPDK_PROFILE_BALANCED, DPDK_PROFILE_LATENCY, DPDK_PROFILE_POWER };
enum dpdk_switch { DPDK_AUTO, DPDK_ON, DPDK_OFF };
enum dpdk_idle { DPDK_IDLE_SPIN = 1, DPDK_IDLE_BACKOFF, DPDK_IDLE_BLOCK };

struct dpdk_device {
    char text[DPDK_WORD_MAX]; /* as DPDK has it: "net_tap0,iface=x", "0000:01:00.0" */
    uint32_t mtu;             /* 0: the device's own */
    bool is_loopback;         /* it carries the stack's loopback interface, and is none itself */
};

struct dpdk_address {
    struct ip ip;
    uint8_t bits;   /* of the prefix, counted in its own family */
    uint8_t device; /* index of devices */
};

struct dpdk_route {
    struct ip prefix, gateway;
    uint8_t bits, device; /* bits 0: `gateway` */
};

struct dpdk_neighbour {
    struct ip ip;
    uint8_t mac[MAC_SIZE];
    uint8_t device;
};

struct dpdk_settings {
    struct dpdk_device devices[DPDK_DEVICES_MAX];
    struct dpdk_address addresses[DPDK_ADDRESSES_MAX];
    struct dpdk_route routes[DPDK_ROUTES_MAX];
    struct dpdk_neighbour neighbours[DPDK_NEIGHBOURS_MAX];
    uint16_t cores[DPDK_CORES_MAX]; /* CPUs, in the order of the polls that are to run on them */
    uint32_t device_count, address_count, route_count, neighbour_count, core_count;
    enum dpdk_profile profile;
    enum dpdk_switch hugepages;
    enum dpdk_idle idle;
    uint32_t idle_us;                        /* DPDK_IDLE_BACKOFF: microseconds of looking before it sleeps */
    uint32_t queues;                         /* queue pairs of each device: polls that can have one */
    uint32_t kernel_ratio;                   /* turns of the stack for one look at the kernel's descriptors */
    uint32_t rx_descriptors, tx_descriptors; /* of each queue */
    uint32_t mbufs;                          /* packet buffers of each queue */
    char pcap[DPDK_WORD_MAX];                /* file; "": none */
    bool pcap_off;                           /* the capture begins switched off */
};

/* Reads a text, and fills in what it does not say from its profile. PAL_EINVAL, PAL_EEXIST (said twice), PAL_ENOBUFS
 * (too many), or the file's error: words names the wrong word and says what helps, *out is of no use then. */
int pal__d_settings_read(struct dpdk_settings *out, const char *text, struct base_text *words);

/* The same of args if it is not NULL or empty, else of the environment variable. PAL_ENODEV: neither says anything. */
int pal__d_settings_find(struct dpdk_settings *out, const char *args, struct base_text *words);

/* What reading does last (settings_check.c): fills in what was not said, from the profile, and looks whether all of it
 * fits together. */
int pal__d_settings_complete(struct dpdk_settings *out, struct base_text *words);

/* Appends all settings in full, a line each: read again, it gives the same. */
void pal__d_settings_print(const struct dpdk_settings *settings, struct base_text *out);

/* Appends "10.0.0.1". */
void pal__d_print_ip(struct base_text *out, const struct ip *ip);

/* Copies the device's name, "net_tap0", into a buffer of DPDK_WORD_MAX bytes. */
void pal__d_device_name(const struct dpdk_device *device, char *name);

/* Copies the value of one of a device's arguments ("iface"). False: it has none of that name. */
bool pal__d_device_value(const struct dpdk_device *device, const char *key, char *value);

#endif
