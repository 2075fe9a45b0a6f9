/* bytes.c: borrowed views of bytes. Nothing here copies or keeps them. */
#include <string.h>

#include <palio/base.h>

bool palio_bytes_equal(palio_bytes a, palio_bytes b)
{
    return a.size == b.size && palio_bytes_starts_with(a, b);
}

bool palio_bytes_starts_with(palio_bytes whole, palio_bytes prefix)
{
    if (prefix.size == 0) /* data may be NULL, which memcmp must not see */
        return true;
    return prefix.size <= whole.size && memcmp(whole.data, prefix.data, prefix.size) == 0;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

palio_bytes palio_bytes_strip(palio_bytes bytes)
{
    while (bytes.size > 0 && is_space(bytes.data[bytes.size - 1]))
        bytes.size--;
    while (bytes.size > 0 && is_space(bytes.data[0])) {
        bytes.data++;
        bytes.size--;
    }
    return bytes;
}
