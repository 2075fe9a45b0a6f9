/* pal/address.h: addresses as text, compared, and the well-known ones.
 *
 * Numeric text only: looking names up is pal_resolve. All is static inline, never a backend's symbol, so that every
 * backend reads and writes the same text. Parsing is strict on purpose: filters are passed where one program reads
 * 10.0.0.010 as octal and the next as decimal. All functions: any thread, no system call, no allocation; pointers are
 * borrowed for the call alone. */
#ifndef PAL_ADDRESS_H
#define PAL_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "error.h"
#include "types.h"

enum {
    PAL_ADDR_UNIX_MAX = 108, /* bytes of a unix name with a path's terminator or an abstract name's leading NUL */
    PAL_ADDR_TEXT_SIZE = 464 /* bytes of a buffer that holds the text of any address, with its terminator */
};

/* Reads "10.0.0.1", "::1" or, with a numeric scope, "fe80::1%3". Four decimal octets without leading zeros; RFC 4291's
 * forms of IPv6, also with an IPv4 tail; a scope is 1 .. 4294967295. 0; PAL_EINVAL for all else, *out untouched. */
static inline int pal_addr_from_host(struct pal_addr *out, const char *numeric_host, uint16_t port);

/* Reads what pal_addr_from_host reads, with or without a port: "10.0.0.1:80", "[fe80::1%2]:80", "10.0.0.1", "[::1]",
 * "::1"; and unix names: "unix:/run/x" and, abstract, "unix:@name". In a unix name \xNN stands for any byte (but NUL in
 * a path). No port is port 0; a port is 0 .. 65535 without leading zeros. 0; PAL_ENAMETOOLONG for a unix path of 108
 * bytes or an abstract name of 109; PAL_EINVAL for all else, an empty name too; *out untouched then. */
static inline int pal_addr_parse(struct pal_addr *out, const char *text);

/* Writes the text that pal_addr_parse reads back as an equal address: IPv6 as in RFC 5952, brackets and port only when
 * the port is not 0, in unix names \xNN for a backslash and for all that is not printable ASCII. The unnamed unix
 * address is "unix:" and a family without a text "family 17"; these do not parse. Returns the length of the whole text
 * without terminator, as snprintf does; the buffer gets what fits, terminated unless size is 0. */
static inline size_t pal_addr_format(const struct pal_addr *addr, char *buffer, size_t size);

/* Same family, port, name and, for IPv6, scope. The flow label is no part of an address. */
static inline bool pal_addr_equal(const struct pal_addr *a, const struct pal_addr *b);

/* The loopback address of PAL_AF_INET or PAL_AF_INET6. 0; PAL_EAFNOSUPPORT for another family, *out untouched. */
static inline int pal_addr_set_loopback(struct pal_addr *out, int family, uint16_t port);

/* The address that means every interface. As pal_addr_set_loopback otherwise. */
static inline int pal_addr_set_any(struct pal_addr *out, int family, uint16_t port);

/* True in 224.0.0.0/4 and ff00::/8. */
static inline bool pal_addr_is_multicast(const struct pal_addr *addr);

/* ---- reading: pal__scan_* take what they want off the front; after a failure the rest is of no use ---- */

struct pal__scan {
    const char *at, *end;
};

static inline bool pal__scan_char(struct pal__scan *text, char wanted)
{
    if (text->at == text->end || *text->at != wanted)
        return false;
    text->at++;
    return true;
}

/* The digit's value, or -1. */
static inline int pal__hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20); /* lower case */
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static inline bool pal__scan_decimal(struct pal__scan *text, uint32_t max, uint32_t *value)
{
    const char *start = text->at;
    uint64_t number = 0;

    while (text->at < text->end && *text->at >= '0' && *text->at <= '9') {
        number = number * 10 + (uint64_t)(*text->at++ - '0');
        if (number > max)
            return false;
    }
    *value = (uint32_t)number;
    return text->at - start == 1 || (text->at > start && *start != '0');
}

/* Hexadecimal digits, digits_min to digits_max of them; a further digit stays unread. */
static inline bool pal__scan_hex(struct pal__scan *text, int digits_min, int digits_max, uint32_t *value)
{
    int digits = 0;

    *value = 0;
    while (digits < digits_max && text->at < text->end && pal__hex_digit(*text->at) >= 0) {
        *value = *value << 4 | (uint32_t)pal__hex_digit(*text->at++);
        digits++;
    }
    return digits >= digits_min;
}

static inline bool pal__scan_ipv4(struct pal__scan *text, uint8_t *bytes)
{
    for (int i = 0; i < 4; i++) {
        uint32_t octet;

        if ((i > 0 && !pal__scan_char(text, '.')) || !pal__scan_decimal(text, 255, &octet))
            return false;
        bytes[i] = (uint8_t)octet;
    }
    return true;
}

/* One group of IPv6 (2 bytes), or an IPv4 tail (4 bytes) where there is room for it. Returns how many, 0: neither. */
static inline size_t pal__scan_ipv6_group(struct pal__scan *text, uint8_t *bytes, size_t room)
{
    struct pal__scan tail = *text;
    uint32_t group;

    if (room >= 4 && pal__scan_ipv4(&tail, bytes)) {
        *text = tail;
        return 4;
    }
    if (!pal__scan_hex(text, 1, 4, &group))
        return 0;
    bytes[0] = (uint8_t)(group >> 8);
    bytes[1] = (uint8_t)group;
    return 2;
}

static inline bool pal__scan_ipv6(struct pal__scan *text, uint8_t *bytes)
{
    const size_t none = SIZE_MAX;
    size_t size = 0;
    size_t gap = none; /* where "::" stands, in bytes */

    if (text->end - text->at >= 2 && memcmp(text->at, "::", 2) == 0) {
        text->at += 2;
        gap = 0;
    }
    while (size < 16) {
        size_t taken = pal__scan_ipv6_group(text, bytes + size, 16 - size);

        size += taken;
        if (taken == 0 && size != gap) /* only "::" may be the end */
            return false;
        if (taken != 2 || size == 16 || !pal__scan_char(text, ':'))
            break;
        if (pal__scan_char(text, ':')) {
            if (gap != none)
                return false;
            gap = size;
        }
    }
    if (gap == none || size == 16) /* "::" stands for one group at least */
        return gap == none && size == 16;
    memmove(bytes + 16 - (size - gap), bytes + gap, size - gap);
    memset(bytes + gap, 0, 16 - size);
    return true;
}

/* IPv4, or IPv6 with its scope. */
static inline bool pal__scan_host(struct pal__scan *text, struct pal_addr *out)
{
    struct pal__scan text4 = *text;

    if (pal__scan_ipv4(&text4, out->bytes)) {
        *text = text4;
        out->family = PAL_AF_INET;
        out->size = 4;
        return true;
    }
    out->family = PAL_AF_INET6;
    out->size = 16;
    return pal__scan_ipv6(text, out->bytes) &&
           (!pal__scan_char(text, '%') || (pal__scan_decimal(text, UINT32_MAX, &out->scope) && out->scope != 0));
}

/* The name behind "unix:". */
static inline int pal__scan_unix(struct pal__scan *text, struct pal_addr *out)
{
    bool abstract = pal__scan_char(text, '@');
    size_t size_max = abstract ? PAL_ADDR_UNIX_MAX : PAL_ADDR_UNIX_MAX - 1;

    out->family = PAL_AF_UNIX;
    out->size = abstract ? 1 : 0; /* the leading NUL is there already */
    if (text->at == text->end)
        return PAL_EINVAL;
    while (text->at < text->end) {
        uint32_t byte = (uint8_t)*text->at++;

        if (byte == '\\' && !(pal__scan_char(text, 'x') && pal__scan_hex(text, 2, 2, &byte)))
            return PAL_EINVAL;
        if (byte == 0 && !abstract)
            return PAL_EINVAL;
        if (out->size == size_max)
            return PAL_ENAMETOOLONG;
        out->bytes[out->size++] = (uint8_t)byte;
    }
    return 0;
}

static inline int pal_addr_from_host(struct pal_addr *out, const char *numeric_host, uint16_t port)
{
    struct pal__scan text = {numeric_host, numeric_host + strlen(numeric_host)};
    struct pal_addr addr;

    memset(&addr, 0, sizeof(addr));
    addr.port = port;
    if (!pal__scan_host(&text, &addr) || text.at != text.end)
        return PAL_EINVAL;
    *out = addr;
    return 0;
}

static inline int pal_addr_parse(struct pal_addr *out, const char *text)
{
    struct pal__scan rest = {text, text + strlen(text)};
    struct pal_addr addr;
    uint32_t port = 0;
    int error;

    memset(&addr, 0, sizeof(addr));
    if (strncmp(text, "unix:", 5) == 0) {
        rest.at += 5;
        error = pal__scan_unix(&rest, &addr);
    } else {
        bool brackets = pal__scan_char(&rest, '[');
        bool valid =
            pal__scan_host(&rest, &addr) && (!brackets || (addr.family == PAL_AF_INET6 && pal__scan_char(&rest, ']')));

        if (valid && (brackets || addr.family == PAL_AF_INET) && pal__scan_char(&rest, ':'))
            valid = pal__scan_decimal(&rest, UINT16_MAX, &port);
        addr.port = (uint16_t)port;
        error = valid && rest.at == rest.end ? 0 : PAL_EINVAL;
    }
    if (error == 0)
        *out = addr;
    return error;
}

/* ---- writing ---- */

struct pal__print {
    char *buffer;
    size_t size;
    size_t length; /* of the whole text, also of what did not fit */
};

static inline void pal__print_char(struct pal__print *text, char c)
{
    if (text->length < text->size)
        text->buffer[text->length] = c;
    text->length++;
}

static inline void pal__print_string(struct pal__print *text, const char *string)
{
    while (*string != '\0')
        pal__print_char(text, *string++);
}

/* In base 10 or 16, without leading zeros. */
static inline void pal__print_number(struct pal__print *text, uint32_t value, uint32_t base)
{
    uint32_t unit = 1;

    while (value / unit >= base)
        unit *= base;
    for (; unit != 0; unit /= base)
        pal__print_char(text, "0123456789abcdef"[value / unit % base]);
}

static inline void pal__print_ipv4(struct pal__print *text, const uint8_t *bytes)
{
    for (int i = 0; i < 4; i++) {
        if (i > 0)
            pal__print_char(text, '.');
        pal__print_number(text, bytes[i], 10);
    }
}

static inline void pal__print_ipv6(struct pal__print *text, const uint8_t *bytes)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    uint32_t groups[8];
    int gap = -1, gap_end = -1, gap_length = 1; /* the first of the longest runs of zero groups, if longer than 1 */

    if (memcmp(bytes, mapped, sizeof(mapped)) == 0) {
        pal__print_string(text, "::ffff:");
        pal__print_ipv4(text, bytes + 12);
        return;
    }
    for (int i = 0, run = 0; i < 8; i++) {
        groups[i] = (uint32_t)bytes[2 * i] << 8 | bytes[2 * i + 1];
        run = groups[i] == 0 ? run + 1 : 0;
        if (run > gap_length) {
            gap_length = run;
            gap_end = i + 1;
            gap = gap_end - run;
        }
    }
    for (int i = 0; i < 8; i++) {
        if (i == gap) {
            pal__print_string(text, "::");
            i = gap_end - 1;
            continue;
        }
        if (i > 0 && i != gap_end)
            pal__print_char(text, ':');
        pal__print_number(text, groups[i], 16);
    }
}

static inline void pal__print_unix(struct pal__print *text, const struct pal_addr *addr)
{
    bool abstract = addr->size > 0 && addr->bytes[0] == 0;

    pal__print_string(text, abstract ? "unix:@" : "unix:");
    for (size_t i = abstract ? 1 : 0; i < addr->size && i < sizeof(addr->bytes); i++) {
        uint8_t byte = addr->bytes[i];
        bool marks_abstract = byte == '@' && i == 0; /* to a reader, in a path that begins so */

        if (byte < 0x20 || byte > 0x7e || byte == '\\' || marks_abstract) {
            pal__print_string(text, byte < 0x10 ? "\\x0" : "\\x");
            pal__print_number(text, byte, 16);
        } else {
            pal__print_char(text, (char)byte);
        }
    }
}

static inline size_t pal_addr_format(const struct pal_addr *addr, char *buffer, size_t size)
{
    struct pal__print text = {buffer, size, 0};

    if (addr->family == PAL_AF_INET) {
        pal__print_ipv4(&text, addr->bytes);
    } else if (addr->family == PAL_AF_INET6) {
        if (addr->port != 0)
            pal__print_char(&text, '[');
        pal__print_ipv6(&text, addr->bytes);
        if (addr->scope != 0) {
            pal__print_char(&text, '%');
            pal__print_number(&text, addr->scope, 10);
        }
        if (addr->port != 0)
            pal__print_char(&text, ']');
    } else if (addr->family == PAL_AF_UNIX) {
        pal__print_unix(&text, addr);
    } else {
        pal__print_string(&text, "family ");
        pal__print_number(&text, addr->family, 10);
    }
    if (addr->port != 0 && (addr->family == PAL_AF_INET || addr->family == PAL_AF_INET6)) {
        pal__print_char(&text, ':');
        pal__print_number(&text, addr->port, 10);
    }
    if (size > 0)
        buffer[text.length < size ? text.length : size - 1] = '\0'; /* perhaps over a byte that just fitted */
    return text.length;
}

static inline bool pal_addr_equal(const struct pal_addr *a, const struct pal_addr *b)
{
    size_t size = a->size < sizeof(a->bytes) ? a->size : sizeof(a->bytes);

    return a->family == b->family && a->port == b->port && a->size == b->size &&
           (a->family != PAL_AF_INET6 || a->scope == b->scope) && memcmp(a->bytes, b->bytes, size) == 0;
}

static inline int pal_addr_set_any(struct pal_addr *out, int family, uint16_t port)
{
    if (family != PAL_AF_INET && family != PAL_AF_INET6)
        return PAL_EAFNOSUPPORT;
    memset(out, 0, sizeof(*out));
    out->family = (uint8_t)family;
    out->size = family == PAL_AF_INET ? 4 : 16;
    out->port = port;
    return 0;
}

static inline int pal_addr_set_loopback(struct pal_addr *out, int family, uint16_t port)
{
    int error = pal_addr_set_any(out, family, port);

    if (error != 0)
        return error;
    if (family == PAL_AF_INET)
        out->bytes[0] = 127;
    out->bytes[out->size - 1] = 1;
    return 0;
}

static inline bool pal_addr_is_multicast(const struct pal_addr *addr)
{
    return (addr->family == PAL_AF_INET && addr->bytes[0] >> 4 == 0xe) ||
           (addr->family == PAL_AF_INET6 && addr->bytes[0] == 0xff);
}

#endif
