/* palio/base/text.h: bounded text: appending to a fixed buffer, and strict reading of numbers.
 *
 * The buffer is the caller's, always terminated, never overrun: what does not fit is cut off and `truncated` says so,
 * so that a whole message is written without a check at every step. No locale, no allocation. Not thread-safe. */
#ifndef PALIO_BASE_TEXT_H
#define PALIO_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "assertion.h"

/* What is there is always the beginning of the whole text: what is cut off fills the buffer first. */
struct base_text {
    char *data;
    size_t size;     /* bytes, without the terminator */
    size_t capacity; /* bytes, with the terminator */
    bool truncated;
};

/* Begins an empty text in a buffer of at least one byte, which stays the caller's. */
static inline void base_text_init(struct base_text *text, char *buffer, size_t capacity)
{
    BASE_ASSERT(capacity > 0);
    text->data = buffer;
    text->size = 0;
    text->capacity = capacity;
    text->truncated = false;
    buffer[0] = '\0';
}

static inline void base_text_clear(struct base_text *text)
{
    base_text_init(text, text->data, text->capacity);
}

/* Appends bytes as they are, NUL too. */
static inline void base_text_append(struct base_text *text, const void *bytes, size_t size)
{
    size_t room = text->capacity - 1 - text->size;

    if (size > room) {
        size = room;
        text->truncated = true;
    }
    if (size > 0)
        memcpy(text->data + text->size, bytes, size);
    text->size += size;
    text->data[text->size] = '\0';
}

static inline void base_text_string(struct base_text *text, const char *string)
{
    base_text_append(text, string, strlen(string));
}

static inline void base_text_char(struct base_text *text, char c)
{
    base_text_append(text, &c, 1);
}

/* Appends a number in base 2 .. 16, padded on the left with zeros to digits_min (at most 64). */
static inline void base_text__number(struct base_text *text, uint64_t value, unsigned base, size_t digits_min)
{
    char digits[64];
    size_t first = sizeof(digits);

    BASE_ASSERT(digits_min <= sizeof(digits));
    do {
        digits[--first] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value != 0);
    while (sizeof(digits) - first < digits_min)
        digits[--first] = '0';
    base_text_append(text, digits + first, sizeof(digits) - first);
}

static inline void base_text_unsigned(struct base_text *text, uint64_t value)
{
    base_text__number(text, value, 10, 1);
}

static inline void base_text_signed(struct base_text *text, int64_t value)
{
    if (value < 0)
        base_text_char(text, '-');
    base_text_unsigned(text, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

/* Lower case, without "0x", padded with zeros to digits_min. */
static inline void base_text_hex(struct base_text *text, uint64_t value, size_t digits_min)
{
    base_text__number(text, value, 16, digits_min);
}

/* The value of a hexadecimal digit of either case, or -1. */
static inline int base_hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static inline bool base__parse_number(const char *digits, size_t size, unsigned base, uint64_t max, uint64_t *value)
{
    uint64_t number = 0;

    if (size == 0 || (size > 1 && digits[0] == '0'))
        return false;
    for (size_t i = 0; i < size; i++) {
        int digit = base_hex_digit(digits[i]);

        if (digit < 0 || (unsigned)digit >= base)
            return false;
        if ((unsigned)digit > max || number > (max - (unsigned)digit) / base)
            return false;
        number = number * base + (unsigned)digit;
    }
    *value = number;
    return true;
}

/* Reads a decimal number that takes up the whole of `size` bytes and is at most `max`: digits alone, no sign, no space,
 * no leading zero. False, and *value untouched, for anything else. */
static inline bool base_parse_unsigned(const char *digits, size_t size, uint64_t max, uint64_t *value)
{
    return base__parse_number(digits, size, 10, max, value);
}

/* The same in hexadecimal, either case, without "0x". */
static inline bool base_parse_hex(const char *digits, size_t size, uint64_t max, uint64_t *value)
{
    return base__parse_number(digits, size, 16, max, value);
}

#endif
