/* fuzz/fuzz_address.c: the address parser under libFuzzer.
 *
 * Whatever parses must format to text that parses to an equal address and formats to the same text again, in a buffer
 * of exactly the promised length; whatever does not parse must leave the result alone. Corpus: fuzz/corpus/address/. */
#include <pal/address.h>

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pal_addr addr, untouched;
    char *text = malloc(size + 1); /* its own block, so that a read past the end is seen */

    check(text != NULL);
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    memset(&addr, 0xa5, sizeof(addr));
    untouched = addr;
    if (pal_addr_parse(&addr, text) == 0)
        check_round_trip(&addr);
    else
        check(memcmp(&addr, &untouched, sizeof(addr)) == 0);
    if (pal_addr_from_host(&addr, text, 443) == 0) {
        check(addr.port == 443);
        check_round_trip(&addr);
    }
    free(text);
    return 0;
}
