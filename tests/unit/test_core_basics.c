/* tests/unit/test_core_basics.c: deadlines never wrap and are never early, views of bytes, layouts for bindings. */
#include "support/test.h"

#include <palio/address.h>
#include <palio/base.h>

Test(core_time, clock_does_not_go_back)
{
    uint64_t before = palio_monotonic_ns();

    for (int i = 0; i < 1000; i++) {
        uint64_t now = palio_monotonic_ns();

        cr_assert_geq(now, before);
        before = now;
    }
}

Test(core_time, deadline_is_never_early)
{
    for (int i = 0; i < 1000; i++) {
        uint64_t before = palio_monotonic_ns();
        palio_deadline deadline = palio_after(5 * PALIO_MS);

        cr_assert_geq(deadline.ns, before + 5 * PALIO_MS);
        cr_assert_leq(deadline.ns, palio_monotonic_ns() + 5 * PALIO_MS);
    }
}

Test(core_time, deadline_of_no_delay_is_not_now)
{
    cr_assert_neq(palio_after(0).ns, PALIO_NOW.ns);
}

Test(core_time, endless_delay_is_forever)
{
    cr_assert_eq(palio_after(PALIO_UNLIMITED).ns, PALIO_FOREVER.ns);
    cr_assert_eq(palio_after(PALIO_UNLIMITED - 1).ns, PALIO_FOREVER.ns);
}

Test(core_time, addition_saturates)
{
    cr_assert_eq(palio_deadline_add(palio_deadline_at(7), 5).ns, 12);
    cr_assert_eq(palio_deadline_add(PALIO_FOREVER, 1).ns, UINT64_MAX);
    cr_assert_eq(palio_deadline_add(palio_deadline_at(UINT64_MAX - 1), 1).ns, UINT64_MAX);
    cr_assert_eq(palio_deadline_add(palio_deadline_at(UINT64_MAX - 1), 2).ns, UINT64_MAX);
    cr_assert_eq(palio_deadline_add(palio_deadline_at(1), UINT64_MAX).ns, UINT64_MAX);
}

Test(core_time, minimum_is_the_earlier)
{
    cr_assert_eq(palio_deadline_min(palio_deadline_at(3), PALIO_FOREVER).ns, 3);
    cr_assert_eq(palio_deadline_min(palio_deadline_at(3), PALIO_NOW).ns, 0);
}

Test(core_bytes, literal_is_without_its_terminator)
{
    cr_assert_eq(PALIO_BYTES("abc").size, 3);
    cr_assert_eq(PALIO_BYTES("").size, 0);
    cr_assert_eq(PALIO_BYTES("a\0b").size, 3);
}

Test(core_bytes, equality_looks_at_every_byte)
{
    palio_bytes none = palio_bytes_make(NULL, 0);

    cr_assert(palio_bytes_equal(PALIO_BYTES("a\0b"), PALIO_BYTES("a\0b")));
    cr_assert_not(palio_bytes_equal(PALIO_BYTES("a\0b"), PALIO_BYTES("a\0c")));
    cr_assert_not(palio_bytes_equal(PALIO_BYTES("ab"), PALIO_BYTES("abc")));
    cr_assert_not(palio_bytes_equal(PALIO_BYTES("abc"), PALIO_BYTES("ab")));
    cr_assert(palio_bytes_equal(none, none));
    cr_assert(palio_bytes_equal(none, PALIO_BYTES("")));
}

Test(core_bytes, prefix_is_no_longer_than_the_whole)
{
    palio_bytes none = palio_bytes_make(NULL, 0);

    cr_assert(palio_bytes_starts_with(PALIO_BYTES("GET /"), PALIO_BYTES("GET ")));
    cr_assert(palio_bytes_starts_with(PALIO_BYTES("GET"), PALIO_BYTES("GET")));
    cr_assert_not(palio_bytes_starts_with(PALIO_BYTES("GE"), PALIO_BYTES("GET")));
    cr_assert_not(palio_bytes_starts_with(PALIO_BYTES("PUT"), PALIO_BYTES("GET")));
    cr_assert(palio_bytes_starts_with(PALIO_BYTES("GET"), none));
    cr_assert(palio_bytes_starts_with(none, none));
    cr_assert_not(palio_bytes_starts_with(none, PALIO_BYTES("G")));
}

Test(core_bytes, strip_takes_white_space_at_the_ends_only)
{
    const char text[] = " \t\r\n\v\fa b\0 ";
    palio_bytes stripped = palio_bytes_strip(palio_bytes_make(text, sizeof(text) - 1));

    cr_assert(palio_bytes_equal(stripped, PALIO_BYTES("a b\0")));
    cr_assert_eq(stripped.data, text + 6, "a view of the same memory");
    cr_assert_eq(palio_bytes_strip(PALIO_BYTES(" \n ")).size, 0);
    cr_assert_eq(palio_bytes_strip(palio_bytes_make(NULL, 0)).size, 0);
    cr_assert_eq(palio_bytes_strip(PALIO_BYTES("\xa0")).size, 1, "ASCII alone");
}

Test(core_layout, tells_size_and_alignment_by_name)
{
    size_t size = 0, alignment = 0;

    cr_assert_eq(palio_layout("palio_error", &size, &alignment), 0);
    cr_assert_eq(size, sizeof(palio_error));
    cr_assert_eq(alignment, _Alignof(palio_error));
    cr_assert_eq(palio_layout("palio_address", &size, NULL), 0);
    cr_assert_eq(size, sizeof(palio_address));
    cr_assert_eq(palio_layout("palio_deadline", NULL, &alignment), 0);
    cr_assert_eq(alignment, _Alignof(palio_deadline));
}

Test(core_layout, unknown_name_is_an_error)
{
    size_t size = 77, alignment = 77;

    cr_assert_eq(palio_layout("palio_unicorn", &size, &alignment), PALIO_ENOENT);
    cr_assert_eq(palio_layout("", &size, &alignment), PALIO_ENOENT);
    cr_assert_eq(size, 77);
    cr_assert_eq(alignment, 77);
}

/* Frozen for a major version: bindings and other people's structs have these numbers compiled in. */
#define POINTER sizeof(void *)
_Static_assert(sizeof(palio_deadline) == 8, "palio_deadline is 8 bytes");
_Static_assert(sizeof(palio_bytes) == 2 * POINTER && sizeof(palio_buffer) == 2 * POINTER, "views are two words");
_Static_assert(sizeof(palio_address) == 124, "palio_address is 124 bytes");
_Static_assert(sizeof(palio_allocator) == 3 * POINTER, "palio_allocator is three words");
_Static_assert(POINTER != 8 || sizeof(palio_error) == 120, "palio_error is 120 bytes where a pointer has eight");
