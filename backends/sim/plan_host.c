/* plan_host.c: the name of a host and its addresses: what they may be, and the form in which they are kept. */
#include "../netstack/addr.h"
#include "plan_words.h"

#include <pal/address.h>
#include <palio/base/text.h>
#include <string.h>

enum { HOST_TEXT_SIZE = 64 }; /* of an address as it is given; the longest has 45 bytes */

/* ---- names ---- */

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool pal__s_same_name(struct plan_piece piece, const char *name)
{
    for (size_t i = 0; i < piece.size; i++) {
        if (name[i] == '\0' || lower(piece.data[i]) != lower(name[i]))
            return false;
    }
    return name[piece.size] == '\0';
}

const char *pal__s_host_begin(struct plan_host *host, struct plan_piece name)
{
    bool has_letter = false;

    memset(host, 0, sizeof(*host));
    if (name.size == 0 || name.size >= PLAN_NAME_SIZE)
        return "a name of a host has 1 to 63 letters, digits, '-' and '.'";
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i];

        has_letter = has_letter || is_letter(c);
        if (!is_letter(c) && !is_digit(c) && (i == 0 || (c != '-' && c != '.')))
            return "a name of a host has letters, digits, '-' and '.' alone, and begins with a letter or digit";
    }
    if (!has_letter)
        return "a name of a host has a letter, or it would be taken for an address: give a name, then addresses";
    if (pal__s_same_name(name, PLAN_PROGRAM) || pal__s_same_name(name, "localhost"))
        return "this name has a meaning of its own: choose another";
    memcpy(host->name, name.data, name.size);
    return NULL;
}

/* ---- addresses ---- */

static const char *check_address(const struct pal_addr *addr, uint32_t prefix)
{
    struct ip ip = addr->family == PAL_AF_INET ? ip_of_v4(addr->bytes) : ip_of_v6(addr->bytes);
    bool is_v4 = ip_is_v4(&ip);

    if (addr->family == PAL_AF_INET6 && is_v4)
        return "this is an IPv4 address in IPv6's clothes: write it as a.b.c.d";
    if (ip_is_unspecified(&ip) || ip_is_multicast(&ip) || ip_is_limited_broadcast(&ip))
        return "this is no address that a host can have: give one as 10.0.0.1 or fd00::1";
    if (ip_is_loopback(&ip) || (!is_v4 && ip_is_link_local(&ip)))
        return "every host has loopback and link-local addresses by itself: leave it out";
    if (is_v4 && prefix < 31 && (ip_number(&ip) << prefix == 0 || ~ip_number(&ip) << prefix == 0))
        return "this is the subnet itself, or its broadcast: give another address, or another prefix";
    return NULL;
}

/* The address, and what is behind its slash. False: that is not its form. */
static bool parse_address(struct plan_piece piece, struct pal_addr *addr, uint32_t *prefix)
{
    const char *slash = memchr(piece.data, '/', piece.size);
    size_t size = slash != NULL ? (size_t)(slash - piece.data) : piece.size;
    char text[HOST_TEXT_SIZE];
    uint64_t bits;

    if (size == 0 || size >= sizeof(text))
        return false;
    memcpy(text, piece.data, size);
    text[size] = '\0';
    if (pal_addr_from_host(addr, text, 0) != 0 || addr->scope != 0)
        return false;
    bits = addr->family == PAL_AF_INET ? 24 : 64;
    if (slash != NULL && !base_parse_unsigned(slash + 1, piece.size - size - 1, addr->size * 8U, &bits))
        return false;
    *prefix = (uint32_t)bits;
    return bits > 0;
}

/* The next word of text, which is moved behind it; of no size: there is none. */
static struct plan_piece next_word(const char **text)
{
    struct plan_piece piece;

    while (**text == ' ')
        ++*text;
    piece.data = *text;
    while (**text != ' ' && **text != '\0')
        ++*text;
    piece.size = (size_t)(*text - piece.data);
    return piece;
}

bool pal__s_plan_address(const char **text, struct pal_addr *out, uint32_t *prefix)
{
    struct plan_piece piece = next_word(text);

    return piece.size > 0 && parse_address(piece, out, prefix);
}

bool pal__s_host_has(const struct plan_host *host, const struct pal_addr *addr)
{
    const char *at = host->addresses;
    struct pal_addr own;
    uint32_t prefix;

    while (pal__s_plan_address(&at, &own, &prefix)) {
        if (own.family == addr->family && memcmp(own.bytes, addr->bytes, own.size) == 0)
            return true;
    }
    return false;
}

const char *pal__s_host_add(struct plan_host *host, struct plan_piece piece, struct pal_addr *addr)
{
    size_t used = strlen(host->addresses), count = 0;
    char text[PAL_ADDR_TEXT_SIZE];
    struct base_text out;
    uint32_t prefix;
    const char *wrong;

    if (!parse_address(piece, addr, &prefix))
        return "an address is a.b.c.d or IPv6, perhaps with /prefix behind it (1 to 32, 1 to 128), without a scope";
    wrong = check_address(addr, prefix);
    if (wrong != NULL)
        return wrong;
    if (pal__s_host_has(host, addr))
        return "this host has the address already: leave it out";
    for (const char *at = host->addresses; next_word(&at).size > 0;)
        count++;
    if (count == PLAN_ADDRESSES_MAX)
        return "a host has at most 15 addresses: use another host";
    base_text_init(&out, host->addresses + used, sizeof(host->addresses) - used);
    if (count > 0)
        base_text_char(&out, ' ');
    pal_addr_format(addr, text, sizeof(text));
    base_text_string(&out, text);
    if (memchr(piece.data, '/', piece.size) != NULL) {
        base_text_char(&out, '/');
        base_text_unsigned(&out, prefix);
    }
    return out.truncated ? "the addresses of a host have at most 255 bytes: use another host" : NULL;
}

const char *pal__s_plan_host(const char *name, const char *addresses, struct plan_host *out)
{
    const char *wrong, *at = addresses;
    struct plan_piece piece;
    struct pal_addr addr;

    if (name == NULL || addresses == NULL)
        return "a host has a name and an address: give both";
    wrong = pal__s_host_begin(out, (struct plan_piece){name, strlen(name)});
    while (wrong == NULL && (piece = next_word(&at)).size > 0)
        wrong = pal__s_host_add(out, piece, &addr);
    if (wrong == NULL && out->addresses[0] == '\0')
        wrong = "a host has an address: give one, as 10.0.0.1";
    return wrong;
}
