#include "base/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

/* Let a far too large allocation return NULL under sanitizers, as it does without. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "allocator_may_return_null=1";
}

static void compare_puts_a_prefix_before_what_it_begins(void **state)
{
    (void)state;
    assert_true(bytes_compare(BYTES_LIT("ab"), BYTES_LIT("abc")) < 0);
    assert_true(bytes_compare(BYTES_LIT("abc"), BYTES_LIT("ab")) > 0);
    assert_true(bytes_compare(BYTES_LIT("b"), BYTES_LIT("abc")) > 0);
    assert_true(bytes_compare(BYTES_LIT("\xFF"), BYTES_LIT("\x01")) > 0);
    assert_int_equal(bytes_compare(BYTES_LIT("abc"), BYTES_LIT("abc")), 0);
    assert_int_equal(bytes_compare((struct bytes){0}, (struct bytes){0}), 0);
    assert_true(bytes_compare((struct bytes){0}, BYTES_LIT("a")) < 0);
}

static void no_bytes_may_be_null(void **state)
{
    (void)state;
    struct bytes none = {0};
    assert_true(bytes_equal(none, BYTES_LIT("")));
    assert_true(bytes_starts_with(none, none));
    assert_true(bytes_starts_with(BYTES_LIT("a"), none));
    assert_false(bytes_starts_with(none, BYTES_LIT("a")));
    struct buf b = {0};
    buf_append_bytes(&b, none);
    buf_consume(&b, 0);
    assert_int_equal(buf_status(&b), 0);
    assert_int_equal(b.n, 0);
    buf_close(&b);
}

static void to_cstr_refuses_what_is_no_c_string(void **state)
{
    (void)state;
    char out[4] = "xxx";
    assert_int_equal(bytes_to_cstr(BYTES_LIT("abc"), out, sizeof(out)), 0);
    assert_string_equal(out, "abc");
    assert_int_equal(bytes_to_cstr(BYTES_LIT("abcd"), out, sizeof(out)), SEALMQ_E_LIMIT);
    assert_string_equal(out, "");
    assert_int_equal(bytes_to_cstr(BYTES_LIT("a\0c"), out, sizeof(out)), SEALMQ_E_PARSE);
    assert_string_equal(out, "");
    assert_int_equal(bytes_to_cstr((struct bytes){0}, out, 1), 0);
}

static void appended_numbers_are_big_endian(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_append_u8(&b, 0x01);
    buf_append_u16(&b, 0x0203);
    buf_append_u32(&b, 0x04050607);
    buf_append_u64(&b, 0x08090A0B0C0D0E0F);
    const uint8_t want[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    assert_true(bytes_equal(buf_bytes(&b), bytes_of(want, sizeof(want))));
    buf_close(&b);
}

static void what_was_appended_is_read_back(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_append_u8(&b, 0xFE);
    buf_append_u64(&b, UINT64_MAX - 1);
    buf_append_str8(&b, BYTES_LIT("eight"));
    buf_append_str16(&b, BYTES_LIT("sixteen"));
    buf_append_str32(&b, BYTES_LIT(""));
    buf_append_u32(&b, 7);
    assert_int_equal(buf_status(&b), 0);

    struct reader r = reader_of(buf_bytes(&b));
    char text[8];
    assert_int_equal(reader_u8(&r), 0xFE);
    assert_true(reader_u64(&r) == UINT64_MAX - 1);
    reader_cstr8(&r, text, sizeof(text));
    assert_string_equal(text, "eight");
    assert_true(bytes_equal(reader_str16(&r), BYTES_LIT("sixteen")));
    assert_int_equal(reader_str32(&r).n, 0);
    assert_int_equal(reader_end(&r), SEALMQ_E_PARSE);
    assert_int_equal(reader_u32(&r), 7);
    assert_int_equal(reader_end(&r), 0);
    buf_close(&b);
}

static void a_text_cut_anywhere_is_short(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_append_u16(&b, 1);
    buf_append_str8(&b, BYTES_LIT("abc"));
    buf_append_str32(&b, BYTES_LIT("defg"));
    for (size_t n = 0; n <= b.n; n++) {
        uint8_t *cut = malloc(n == 0 ? 1 : n); /* so that a read past the cut is seen */
        memcpy(cut, b.p, n);
        struct reader r = reader_of(bytes_of(cut, n));
        (void)reader_u16(&r);
        (void)reader_str8(&r);
        (void)reader_str32(&r);
        assert_int_equal(reader_end(&r), n == b.n ? 0 : SEALMQ_E_SHORT);
        free(cut);
    }
    buf_close(&b);
}

static void a_failed_reader_gives_nothing_and_keeps_its_first_error(void **state)
{
    (void)state;
    struct reader r = reader_of(BYTES_LIT("\x05wide"));
    uint8_t copy[2] = {9, 9};
    assert_int_equal(reader_str8(&r).n, 0);
    assert_int_equal(reader_status(&r), SEALMQ_E_SHORT);
    assert_int_equal(reader_u8(&r), 0);
    assert_int_equal(reader_bytes(&r, 0).n, 0);
    reader_copy(&r, copy, sizeof(copy));
    assert_int_equal(copy[0] | copy[1], 0);
    reader_fail(&r, SEALMQ_E_VERSION);
    assert_int_equal(reader_end(&r), SEALMQ_E_SHORT);
}

static void a_string_with_nul_or_too_long_fails_the_reader(void **state)
{
    (void)state;
    char out[4];
    struct reader r = reader_of(BYTES_LIT("\x03"
                                          "a\0b"));
    reader_cstr8(&r, out, sizeof(out));
    assert_int_equal(reader_status(&r), SEALMQ_E_PARSE);
    r = reader_of(BYTES_LIT("\x04"
                            "abcd"));
    reader_cstr8(&r, out, sizeof(out));
    assert_int_equal(reader_status(&r), SEALMQ_E_LIMIT);
    assert_string_equal(out, "");
}

static void a_length_that_does_not_fit_its_field_is_refused(void **state)
{
    (void)state;
    uint8_t *zeros = calloc(1, 65536);
    struct buf b = {0};
    buf_append_str8(&b, bytes_of(zeros, 255));
    assert_int_equal(buf_status(&b), 0);
    buf_append_str8(&b, bytes_of(zeros, 256));
    assert_int_equal(buf_status(&b), SEALMQ_E_LIMIT);
    buf_reset(&b);
    buf_append_str16(&b, bytes_of(zeros, 65535));
    assert_int_equal(buf_status(&b), 0);
    buf_append_str16(&b, bytes_of(zeros, 65536));
    assert_int_equal(buf_status(&b), SEALMQ_E_LIMIT);
    buf_close(&b);
    free(zeros);
}

static void the_limit_holds_to_the_byte(void **state)
{
    (void)state;
    struct buf b = {.limit = 4};
    buf_append_cstr(&b, "abc");
    buf_printf(&b, "%c", 'd');
    assert_string_equal(buf_cstr(&b), "abcd");
    assert_int_equal(buf_status(&b), 0);
    buf_append_u8(&b, 'e');
    assert_int_equal(buf_status(&b), SEALMQ_E_LIMIT);
    assert_int_equal(b.n, 4);
    buf_close(&b);
    assert_int_equal(b.limit, 4);
}

static void a_failed_buffer_takes_nothing_more_until_it_is_reset(void **state)
{
    (void)state;
    struct buf b = {.limit = 2};
    buf_append_cstr(&b, "abc");
    buf_append_cstr(&b, "d");
    buf_printf(&b, "%d", 1);
    assert_null(buf_extend(&b, 0));
    assert_null(buf_cstr(&b));
    assert_int_equal(buf_status(&b), SEALMQ_E_LIMIT);
    assert_int_equal(b.n, 0);
    buf_reset(&b);
    buf_append_cstr(&b, "ef");
    assert_int_equal(buf_status(&b), 0);
    assert_string_equal(buf_cstr(&b), "ef");
    buf_close(&b);
}

static void sizes_that_overflow_are_refused(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_append_cstr(&b, "abc");
    assert_null(buf_extend(&b, SIZE_MAX));
    assert_int_equal(buf_status(&b), SEALMQ_E_LIMIT);
    buf_reset(&b);
    buf_append_cstr(&b, "abc");
    assert_null(buf_extend(&b, SIZE_MAX / 2));
    assert_int_equal(buf_status(&b), SEALMQ_E_NOMEM);
    assert_int_equal(b.n, 3);
    buf_close(&b);
}

static void room_for_nothing_is_a_pointer(void **state)
{
    (void)state;
    struct buf b = {0};
    assert_non_null(buf_extend(&b, 0));
    assert_int_equal(b.n, 0);
    assert_string_equal(buf_cstr(&b), "");
    buf_close(&b);
}

static void growing_keeps_what_is_there(void **state)
{
    (void)state;
    struct buf b = {0};
    for (int i = 0; i < 10000; i++)
        buf_printf(&b, "%05d", i);
    assert_int_equal(b.n, 50000);
    assert_string_equal(buf_cstr(&b) + 49995, "09999");
    buf_consume(&b, 49990);
    assert_string_equal(buf_cstr(&b), "0999809999");
    buf_consume(&b, 10);
    assert_int_equal(b.n, 0);
    buf_wipe(&b);
    assert_null(b.p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compare_puts_a_prefix_before_what_it_begins),
        cmocka_unit_test(no_bytes_may_be_null),
        cmocka_unit_test(to_cstr_refuses_what_is_no_c_string),
        cmocka_unit_test(appended_numbers_are_big_endian),
        cmocka_unit_test(what_was_appended_is_read_back),
        cmocka_unit_test(a_text_cut_anywhere_is_short),
        cmocka_unit_test(a_failed_reader_gives_nothing_and_keeps_its_first_error),
        cmocka_unit_test(a_string_with_nul_or_too_long_fails_the_reader),
        cmocka_unit_test(a_length_that_does_not_fit_its_field_is_refused),
        cmocka_unit_test(the_limit_holds_to_the_byte),
        cmocka_unit_test(a_failed_buffer_takes_nothing_more_until_it_is_reset),
        cmocka_unit_test(sizes_that_overflow_are_refused),
        cmocka_unit_test(room_for_nothing_is_a_pointer),
        cmocka_unit_test(growing_keeps_what_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
