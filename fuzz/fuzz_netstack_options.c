/* fuzz/fuzz_netstack_options.c: options of TCP, read and written (backends/netstack/tcp_opt.c), under libFuzzer.
 *
 * The input is a byte (1: of a SYN) and the options. What was read is within its bounds, and read again after it was
 * written it is the same, but for SACK blocks that do not fit. Corpus: fuzz/corpus/netstack_options/. */
#include "../backends/netstack/tcp_opt.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool condition)
{
    if (!condition)
        abort();
}

static void check_again(const struct tcp_options *options, bool is_syn)
{
    uint8_t *bytes = malloc(TCP_OPTIONS_SIZE_MAX);
    struct tcp_options again;
    uint32_t size, whole;

    check(bytes != NULL);
    size = pal__n_tcp_options_write(bytes, options);
    check(size <= TCP_OPTIONS_SIZE_MAX && size % 4 == 0);
    memset(&again, 0xa5, sizeof(again));
    check(pal__n_tcp_options_read(bytes, size, is_syn, &again));
    whole = options->has & (uint32_t) ~(again.sack_count == 0 ? TCP_HAS_SACK : 0);
    check(again.has == whole);
    check((again.has & TCP_HAS_MSS) == 0 || again.mss == options->mss);
    check((again.has & TCP_HAS_SCALE) == 0 || again.scale == options->scale);
    check((again.has & TCP_HAS_TIMESTAMPS) == 0 ||
          (again.ts_value == options->ts_value && again.ts_echo == options->ts_echo));
    check((again.has & TCP_HAS_SACK) == 0 || again.sack_count <= options->sack_count);
    for (uint32_t i = 0; (again.has & TCP_HAS_SACK) != 0 && i < again.sack_count; i++)
        check(again.sacks[i].start == options->sacks[i].start && again.sacks[i].end == options->sacks[i].end);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tcp_options options;
    uint8_t *bytes;
    bool is_syn;

    if (size == 0 || size > 1 + TCP_OPTIONS_SIZE_MAX)
        return 0;
    is_syn = data[0] & 1;
    bytes = malloc(size); /* its own block, so that a read past the end is seen */
    check(bytes != NULL);
    memcpy(bytes, data + 1, size - 1);
    memset(&options, 0xa5, sizeof(options));
    if (pal__n_tcp_options_read(bytes, (uint32_t)(size - 1), is_syn, &options)) {
        check((options.has & TCP_HAS_SCALE) == 0 || options.scale <= TCP_SCALE_MAX);
        check((options.has & TCP_HAS_SACK) == 0 || options.sack_count <= TCP_SACK_BLOCKS_MAX);
        check(is_syn || (options.has & (TCP_HAS_MSS | TCP_HAS_SCALE | TCP_HAS_SACK_PERMITTED)) == 0);
        check_again(&options, is_syn);
    }
    free(bytes);
    return 0;
}
