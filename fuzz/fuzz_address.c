/* fuzz/fuzz_address.c: the address parser and writer of pal/address.h under libFuzzer.
 *
 * Whatever parses must format to text that parses to an equal address and formats to the same text again, in a buffer
 * of exactly the promised length; whatever does not parse must leave the result alone. Numeric hosts without a scope
 * are those that the C library's inet_pton reads, with the same bytes. Whatever is in a struct pal_addr, it has a text
 * that fits. Corpus: fuzz/corpus/address/, texts; what is longer than an address is taken for one as well. */
#include <pal/address.h>

#include <arpa/inet.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool condition)
{
    if (!condition)
        abort();
}

static void check_round_trip(const struct pal_addr *addr)
{
    char text[PAL_ADDR_TEXT_SIZE], again[PAL_ADDR_TEXT_SIZE];
    struct pal_addr parsed;
    size_t length = pal_addr_format(addr, text, sizeof(text));

    check(length < sizeof(text) && strlen(text) == length);
    check(pal_addr_parse(&parsed, text) == 0);
    check(pal_addr_equal(addr, &parsed));
    check(pal_addr_format(&parsed, again, length + 1) == length && strcmp(text, again) == 0);
}

static void check_parse(const char *text)
{
    struct pal_addr addr, untouched;

    memset(&addr, 0xa5, sizeof(addr));
    untouched = addr;
    if (pal_addr_parse(&addr, text) == 0)
        check_round_trip(&addr);
    else
        check(memcmp(&addr, &untouched, sizeof(addr)) == 0);
}

/* Scopes aside, inet_pton(3) reads the same texts, as the same bytes. */
static void check_host(const char *text)
{
    uint8_t bytes4[4], bytes16[16];
    bool is4 = inet_pton(AF_INET, text, bytes4) == 1, is6 = inet_pton(AF_INET6, text, bytes16) == 1;
    struct pal_addr addr;
    bool read = pal_addr_from_host(&addr, text, 443) == 0;

    if (strchr(text, '%') == NULL)
        check(read == (is4 || is6));
    if (!read)
        return;
    check(addr.port == 443);
    check_round_trip(&addr);
    if (is4)
        check(addr.family == PAL_AF_INET && addr.size == 4 && memcmp(addr.bytes, bytes4, 4) == 0);
    if (is6)
        check(addr.family == PAL_AF_INET6 && addr.size == 16 && memcmp(addr.bytes, bytes16, 16) == 0);
}

/* A buffer of any size holds the beginning of the text, terminated, and nothing is written behind it. */
static void check_any_address(const uint8_t *data, size_t size)
{
    struct pal_addr addr;
    char whole[PAL_ADDR_TEXT_SIZE];
    size_t length, room;
    char *part;

    if (size < sizeof(addr))
        return;
    memcpy(&addr, data, sizeof(addr));
    length = pal_addr_format(&addr, whole, sizeof(whole));
    check(length < sizeof(whole) && strlen(whole) == length);
    room = size == sizeof(addr) ? 0 : data[sizeof(addr)] % (length + 2);
    part = malloc(room + 1); /* its own block, so that a write past the end is seen */
    check(part != NULL);
    part[room] = '#';
    check(pal_addr_format(&addr, part, room) == length && part[room] == '#');
    check(room == 0 || (strlen(part) < room && memcmp(part, whole, strlen(part)) == 0));
    free(part);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = calloc(1, size + 1); /* its own block, so that a read past the end is seen */

    check(text != NULL);
    if (size > 0)
        memcpy(text, data, size);
    check_parse(text);
    check_host(text);
    free(text);
    check_any_address(data, size);
    return 0;
}
