/* test_settings.c: the text of a configuration, read, refused with the word that is wrong, and printed back. */
#include "../../backends/dpdk/settings.h"

#include "support/test.h"
#include <unistd.h>

TestSuite(dpdk_settings);

static struct dpdk_settings settings;
static char buffer[DPDK_WORDS_MAX];
static struct base_text words;

static int read_text(const char *text)
{
    base_text_init(&words, buffer, sizeof(buffer));
    return pal__d_settings_read(&settings, text, &words);
}

static void must_read(const char *text)
{
    int error = read_text(text);

    cr_assert_eq(error, 0, "%s: %s", text, words.data);
}

/* Refused, and the answer has these words in it. */
static void refused(int code, const char *text, const char *first, const char *second)
{
    int error = read_text(text);

    cr_expect_eq(error, code, "%s: %s: %s", text, pal_error_name(error), words.data);
    cr_expect(strstr(words.data, first) != NULL, "%s: \"%s\" does not say \"%s\"", text, words.data, first);
    cr_expect(strstr(words.data, second) != NULL, "%s: \"%s\" does not say \"%s\"", text, words.data, second);
}

static struct ip ip4(uint32_t number)
{
    return ip_of_number(number);
}

Test(dpdk_settings, a_device_is_enough)
{
    must_read("device net_ring0");
    cr_assert_eq(settings.device_count, 1);
    cr_assert_str_eq(settings.devices[0].text, "net_ring0");
    cr_assert_eq(settings.profile, DPDK_PROFILE_BALANCED);
    cr_assert_eq(settings.idle, DPDK_IDLE_BACKOFF);
    cr_assert_eq(settings.queues, 1);
    cr_assert_eq(settings.hugepages, DPDK_AUTO);
    cr_assert_geq(settings.mbufs, settings.rx_descriptors + settings.tx_descriptors);
}

Test(dpdk_settings, everything_is_read)
{
    struct ip expected;

    must_read("# a trader\n"
              "device net_tap0,iface=x ; address 10.0.0.2/24 ; address fd00::2/64\n"
              "gateway 10.0.0.1; route 10.1.0.0/16 10.0.0.9 # by the other router\n"
              "neighbour 10.0.0.1 02:00:00:00:0a:Ff;mtu 9000\n"
              "\tdevice 0000:01:00.0 ; address 192.168.0.1/16\r\n"
              "profile latency; cores 3,0-1; queues 2; idle backoff 20; kernel 8; hugepages off\n"
              "descriptors 256 512; mbufs 2000; pcap /tmp/x.pcapng");
    cr_assert_eq(settings.device_count, 2);
    cr_assert_str_eq(settings.devices[1].text, "0000:01:00.0");
    cr_assert_eq(settings.devices[0].mtu, 9000);
    cr_assert_eq(settings.address_count, 3);
    expected = ip4(0x0a000002);
    cr_assert(ip_equal(&settings.addresses[0].ip, &expected));
    cr_assert_eq(settings.addresses[0].bits, 24);
    cr_assert_eq(settings.addresses[1].bits, 64);
    cr_assert_eq(settings.addresses[1].device, 0);
    cr_assert_eq(settings.addresses[2].device, 1);
    cr_assert_eq(settings.route_count, 2);
    expected = ip4(0x0a000001);
    cr_assert(ip_equal(&settings.routes[0].gateway, &expected));
    cr_assert_eq(settings.routes[0].bits, 0);
    expected = ip4(0x0a010000);
    cr_assert(ip_equal(&settings.routes[1].prefix, &expected));
    cr_assert_eq(settings.routes[1].bits, 16);
    cr_assert_arr_eq(settings.neighbours[0].mac, "\x02\0\0\0\x0a\xff", 6);
    cr_assert_eq(settings.core_count, 3);
    cr_assert_eq(settings.cores[0], 3);
    cr_assert_eq(settings.cores[2], 1);
    cr_assert_eq(settings.queues, 2);
    cr_assert_eq(settings.idle, DPDK_IDLE_BACKOFF);
    cr_assert_eq(settings.idle_us, 20);
    cr_assert_eq(settings.kernel_ratio, 8);
    cr_assert_eq(settings.hugepages, DPDK_OFF);
    cr_assert_eq(settings.rx_descriptors, 256);
    cr_assert_eq(settings.tx_descriptors, 512);
    cr_assert_eq(settings.mbufs, 2000);
    cr_assert_str_eq(settings.pcap, "/tmp/x.pcapng");
}

Test(dpdk_settings, the_last_device_may_carry_the_loopback_interface)
{
    must_read("device net_tap0,iface=x ; address 10.0.0.2/24 ; device net_ring0 ; loopback");
    cr_assert(!settings.devices[0].is_loopback && settings.devices[1].is_loopback);
}

Test(dpdk_settings, profiles_differ_and_what_is_said_comes_first)
{
    must_read("profile latency ; device net_ring0");
    cr_assert_eq(settings.idle, DPDK_IDLE_SPIN);
    must_read("profile power ; device net_ring0");
    cr_assert_eq(settings.idle, DPDK_IDLE_BLOCK);
    must_read("profile power ; device net_ring0 ; idle spin");
    cr_assert_eq(settings.idle, DPDK_IDLE_SPIN);
    must_read("device net_ring0 ; cores 0-3");
    cr_assert_eq(settings.queues, 4, "a queue for each core");
}

Test(dpdk_settings, what_is_printed_reads_as_the_same)
{
    static const char *const texts[] = {
        "device net_ring0",
        "device net_tap0,iface=x;address 10.0.0.2/24;device net_ring0;mtu 1400;loopback",
        "device net_tap0,iface=x;address 10.0.0.2/24;address fe80::2/64;gateway 10.0.0.1;gateway fe80::1;"
        "route fd01::/16 fe80::9;neighbour 10.0.0.1 02:00:00:00:0a:ff;mtu 9000;device net_tap1;"
        "address 192.168.0.1/16;profile latency;cores 3,0-1;queues 2;idle block;kernel 8;hugepages on;"
        "descriptors 256 512;mbufs 2000;pcap x off",
    };
    static char first[DPDK_SETTINGS_TEXT], second[DPDK_SETTINGS_TEXT];

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct base_text out;

        must_read(texts[i]);
        base_text_init(&out, first, sizeof(first));
        pal__d_settings_print(&settings, &out);
        cr_assert_not(out.truncated);
        must_read(first);
        base_text_init(&out, second, sizeof(second));
        pal__d_settings_print(&settings, &out);
        cr_assert_str_eq(first, second);
    }
    cr_assert(strstr(first, "route fd01::/16 fe80::9\n") != NULL, "%s", first);
    cr_assert(strstr(first, "gateway 10.0.0.1\n") != NULL, "%s", first);
}

Test(dpdk_settings, the_largest_configuration_can_be_printed)
{
    static char text[DPDK_SETTINGS_TEXT], printed[DPDK_SETTINGS_TEXT];
    struct base_text in, out;

    base_text_init(&in, text, sizeof(text));
    for (int i = 0; i < DPDK_DEVICES_MAX; i++)
        pal__d_say(&in, "device net_tap%d,iface=%0200d;", i, i);
    for (int i = 0; i < DPDK_ADDRESSES_MAX; i++)
        pal__d_say(&in, "address fd00:1111:2222:3333:4444:5555:6666:77%02d/64;", i);
    for (int i = 0; i < DPDK_ROUTES_MAX; i++)
        pal__d_say(&in, "route fd0f:1111:2222:3333:4444:5555:6666:77%02d/128 fd00:1111:2222:3333:4444:5555:6666:9999;",
                   i);
    for (int i = 0; i < DPDK_NEIGHBOURS_MAX; i++)
        pal__d_say(&in, "neighbour fd00:1111:2222:3333:4444:5555:6666:88%02d 02:00:00:00:00:01;", i);
    cr_assert_not(in.truncated);
    must_read(text);
    base_text_init(&out, printed, sizeof(printed));
    pal__d_settings_print(&settings, &out);
    cr_assert_not(out.truncated);
    must_read(printed);
}

Test(dpdk_settings, wrong_words_are_named_with_the_remedy)
{
    static const struct {
        const char *text, *word, *remedy;
    } cases[] = {
        {"adress 10.0.0.2/24", "\"adress\"", "device, address, gateway"},
        {"device", "device", "net_tap0,iface=palio0"},
        {"device net_tap0 net_tap1", "\"net_tap1\"", "';'"},
        {"device a b c d e", "\"d\"", "';'"},
        {"device ,iface=x", "\",iface=x\"", "write net_tap0"},
        {"address 10.0.0.2/24", "of which device", "in front"},
        {"device r ; pcap x no", "\"no\"", "on or off"},
        {"loopback", "of which device", "in front"},
        {"device r ; loopback yes", "\"yes\"", "loopback"},
        {"device r ; loopback ; device s", "device r", "the last"},
        {"device r ; address 10.0.0.2/24 ; loopback", "device r", "no addresses"},
        {"device r ; loopback ; address 10.0.0.2/24", "\"10.0.0.2/24\"", "nothing else"},
        {"device r ; address 10.0.0.2", "\"10.0.0.2\"", "10.0.0.2/24"},
        {"device r ; address 10.0.0.256/24", "\"10.0.0.256/24\"", "no IP address"},
        {"device r ; address 10.0.0.2/33", "\"10.0.0.2/33\"", "longer"},
        {"device r ; address fd00::2/129", "\"fd00::2/129\"", "longer"},
        {"device r ; address 10.0.0.2/x", "\"10.0.0.2/x\"", "no number"},
        {"device r ; address 10.0.0.2/", "\"10.0.0.2/\"", "no number"},
        {"device r ; address 224.0.0.1/24", "\"224.0.0.1/24\"", "interface"},
        {"device r ; address 127.0.0.1/8", "\"127.0.0.1/8\"", "interface"},
        {"device r ; address 0.0.0.0/8", "\"0.0.0.0/8\"", "interface"},
        {"device r ; address ::ffff:1.2.3.4/120", "\"::ffff:1.2.3.4/120\"", "no IP address"},
        {"device r ; address fe80::1%2/64", "\"fe80::1%2/64\"", "no IP address"},
        {"device r ; address 10.0.0.2/24 ; gateway 10.0.1.1", "\"10.0.1.1\"", "in the gateway's subnet"},
        {"device r ; address 10.0.0.2/24 ; gateway 10.0.0.2", "\"10.0.0.2\"", "our own"},
        {"device r ; address 10.0.0.2/24 ; gateway fd00::1", "\"fd00::1\"", "subnet"},
        {"device r ; gateway 10.0.0", "\"10.0.0\"", "write 10.0.0.1"},
        {"device r ; address 10.0.0.2/24 ; route 10.1.0.0/16 fd00::1", "\"fd00::1\"", "family"},
        {"device r ; address 10.0.0.2/24 ; route 10.1.0.0/0 10.0.0.1", "\"10.1.0.0/0\"", "gateway"},
        {"device r ; route 10.1.0.0/16", "route", "route 10.1.0.0/16 10.0.0.1"},
        {"device r ; neighbour 10.0.0.1 02:00:00:00:00", "\"02:00:00:00:00\"", "six bytes"},
        {"device r ; neighbour 10.0.0.1 03:00:00:00:00:01", "\"03:00:00:00:00:01\"", "one station"},
        {"device r ; neighbour 10.0.0.1 02:00:00:00:00:01:", "\"02:00:00:00:00:01:\"", "six bytes"},
        {"device r ; neighbour x 02:00:00:00:00:01", "\"x\"", "no IP address"},
        {"device r ; mtu 100", "\"100\"", "576"},
        {"device r ; profile fast", "\"fast\"", "latency, balanced and power"},
        {"device r ; cores 1-0", "\"1-0\"", "0,2-3"},
        {"device r ; cores 0,,1", "\"0,,1\"", "0,2-3"},
        {"device r ; cores 1024", "\"1024\"", "list of CPUs"},
        {"device r ; queues 0", "\"0\"", "1 to 16"},
        {"device r ; queues 017", "\"017\"", "1 to 16"},
        {"device r ; idle sleep", "\"sleep\"", "spin, backoff"},
        {"device r ; idle spin 5", "\"5\"", "only backoff"},
        {"device r ; hugepages yes", "\"yes\"", "auto, on or off"},
        {"device r ; descriptors 16", "\"16\"", "64"},
        {"device r ; mbufs 600 ; descriptors 512", "\"600\"", "mbufs 1280"},
        {"device r ; kernel -1", "\"-1\"", "1 to 65536"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        refused(PAL_EINVAL, cases[i].text, cases[i].word, cases[i].remedy);
}

Test(dpdk_settings, what_is_there_twice_is_refused)
{
    refused(PAL_EEXIST, "device net_tap0,iface=x;device net_tap0,iface=y", "net_tap0,iface=y", "twice");
    refused(PAL_EEXIST, "device r;address 10.0.0.2/24;address 10.0.0.2/16", "\"10.0.0.2/16\"", "twice");
    refused(PAL_EEXIST, "device r;address 10.0.0.2/24;device s;address 10.0.0.2/24", "\"10.0.0.2/24\"", "twice");
    refused(PAL_EEXIST, "device r;address 10.0.0.2/24;gateway 10.0.0.1;gateway 10.0.0.3", "\"10.0.0.3\"", "twice");
    refused(PAL_EEXIST, "device r;neighbour 10.0.0.1 02:00:00:00:00:01;neighbour 10.0.0.1 02:00:00:00:00:02",
            "\"10.0.0.1\"", "twice");
    refused(PAL_EEXIST, "device r;profile power;profile power", "profile", "twice");
    refused(PAL_EEXIST, "device r;cores 1,0-1", "CPU 1", "twice");
}

Test(dpdk_settings, too_many_are_refused)
{
    char text[4096];
    struct base_text in;

    refused(PAL_ENOBUFS, "device a;device b;device c;device d;device e", "\"e\"", "more than 4");
    base_text_init(&in, text, sizeof(text));
    pal__d_say(&in, "device r");
    for (int i = 0; i <= DPDK_ADDRESSES_MAX; i++)
        pal__d_say(&in, ";address 10.0.0.%d/24", i + 1);
    refused(PAL_ENOBUFS, text, "\"10.0.0.17/24\"", "more than 16");
    memset(text, 'x', 1000);
    text[1000] = '\0';
    refused(PAL_EINVAL, text, "xxx", "255 bytes");
}

Test(dpdk_settings, nothing_named_is_told)
{
    (void)unsetenv("PALIO_DPDK");
    base_text_init(&words, buffer, sizeof(buffer));
    cr_assert_eq(pal__d_settings_find(&settings, NULL, &words), PAL_ENODEV);
    cr_assert(strstr(words.data, "PALIO_DPDK") != NULL, "%s", words.data);
    refused(PAL_ENODEV, "", "device", "net_tap0");
    refused(PAL_ENODEV, " ; # device net_ring0\n;; profile power", "device", "net_tap0");
}

Test(dpdk_settings, arguments_come_before_the_environment)
{
    base_text_init(&words, buffer, sizeof(buffer));
    cr_assert_eq(setenv("PALIO_DPDK", "device net_ring7", 1), 0);
    cr_assert_eq(pal__d_settings_find(&settings, "", &words), 0);
    cr_assert_str_eq(settings.devices[0].text, "net_ring7");
    cr_assert_eq(pal__d_settings_find(&settings, "device net_ring8", &words), 0);
    cr_assert_str_eq(settings.devices[0].text, "net_ring8");
    (void)unsetenv("PALIO_DPDK");
}

Test(dpdk_settings, a_file_is_read)
{
    char path[] = "/tmp/palio-settings-XXXXXX", text[64];
    int fd = mkstemp(path);
    FILE *file = fdopen(fd, "w");

    cr_assert(file != NULL);
    fprintf(file, "# ours\ndevice net_ring0\naddress 10.0.0.2/24\n");
    fclose(file);
    snprintf(text, sizeof(text), "@%s", path);
    must_read(text);
    cr_assert_eq(settings.address_count, 1);
    (void)unlink(path);
    refused(PAL_ENOENT, text, path, "is it there");
}

Test(dpdk_settings, the_parts_of_a_device)
{
    char value[DPDK_WORD_MAX];
    struct dpdk_device device = {.text = "net_tap0,iface=x,mac=fixed,empty="};

    pal__d_device_name(&device, value);
    cr_assert_str_eq(value, "net_tap0");
    cr_assert(pal__d_device_value(&device, "iface", value));
    cr_assert_str_eq(value, "x");
    cr_assert(pal__d_device_value(&device, "mac", value));
    cr_assert_str_eq(value, "fixed");
    cr_assert(pal__d_device_value(&device, "empty", value));
    cr_assert_str_eq(value, "");
    cr_assert_not(pal__d_device_value(&device, "fac", value));
    cr_assert_not(pal__d_device_value(&device, "fixed", value));
}

/* Whatever bytes come, the answer is a refusal in words or a configuration that prints. */
Test(dpdk_settings, random_texts_never_break_it)
{
    static const char *const parts[] = {"device ",
                                        "net_tap0",
                                        ",iface=x",
                                        ";",
                                        "\n",
                                        "address ",
                                        "10.0.0.1",
                                        "/",
                                        "24",
                                        "gateway ",
                                        "::",
                                        ":1",
                                        "%",
                                        "#",
                                        "cores ",
                                        "0-3",
                                        ",",
                                        "mtu ",
                                        "9000",
                                        " ",
                                        "@",
                                        "route ",
                                        "fd00::/8 ",
                                        "neighbour ",
                                        "02:00:00:00:00:01",
                                        "idle backoff "};
    static char printed[DPDK_SETTINGS_TEXT];
    uint32_t state = 1;
    int read = 0;

    for (int round = 0; round < 20000; round++) {
        char text[512] = " "; /* not '@' first: no files */
        struct base_text out;

        for (int i = 0; i < 24; i++) {
            state = state * 1664525 + 1013904223;
            strcat(text, parts[state >> 16 & 15 ? (state >> 20) % 26 : (state >> 24) % 3]);
        }
        base_text_init(&out, printed, sizeof(printed));
        if (read_text(text) != 0) {
            cr_assert_gt(words.size, 0, "no word on what is wrong with %s", text);
            continue;
        }
        read++;
        pal__d_settings_print(&settings, &out);
        cr_assert_not(out.truncated);
    }
    cr_log_info("%d were configurations", read);
}
