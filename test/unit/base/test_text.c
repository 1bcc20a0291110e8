#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

static void numbers_are_read_to_the_last(void **state)
{
    (void)state;
    uint64_t v;
    assert_int_equal(u64_parse(BYTES_LIT("0"), &v), 0);
    assert_true(v == 0);
    assert_int_equal(u64_parse(BYTES_LIT("18446744073709551615"), &v), 0);
    assert_true(v == UINT64_MAX);
}

static void a_number_over_64_bits_is_over_the_limit(void **state)
{
    (void)state;
    uint64_t v = 1;
    assert_int_equal(u64_parse(BYTES_LIT("18446744073709551616"), &v), SEALMQ_E_LIMIT);
    assert_true(v == 0);
    assert_int_equal(u64_parse(BYTES_LIT("18446744073709551620"), &v), SEALMQ_E_LIMIT);
    assert_int_equal(u64_parse(BYTES_LIT("99999999999999999999"), &v), SEALMQ_E_LIMIT);
    assert_int_equal(u64_parse(BYTES_LIT("184467440737095516150"), &v), SEALMQ_E_LIMIT);
}

static void a_number_has_one_way_to_be_written(void **state)
{
    (void)state;
    const char *bad[] = {"",   "00",  "01",  "+1",  "-1",
                         " 1", "1 ",  "1.0", "1e3", "0x1",
                         "a",  "1\n", "/",   ":",   "99999999999999999999x"};
    uint64_t v;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(u64_parse(bytes_str(bad[i]), &v), SEALMQ_E_PARSE);
    assert_int_equal(u64_parse(BYTES_LIT("1\0"), &v), SEALMQ_E_PARSE);
    assert_int_equal(u64_parse((struct bytes){0}, &v), SEALMQ_E_PARSE);
}

/* Encodes `code` in `n` bytes, whether that is well-formed or not. */
static struct bytes encode(uint32_t code, size_t n, uint8_t out[4])
{
    static const uint8_t lead[] = {0, 0x00, 0xC0, 0xE0, 0xF0};
    for (size_t i = n - 1; i > 0; i--, code >>= 6)
        out[i] = (uint8_t)(0x80 | (code & 0x3F));
    out[0] = (uint8_t)(lead[n] | code);
    return bytes_of(out, n);
}

static void utf8_takes_each_character_in_its_shortest_form_only(void **state)
{
    (void)state;
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    static const uint32_t over[] = {0, 0x80, 0x800, 0x10000, 0x140000};
    uint8_t bytes[4];
    for (size_t n = 1; n <= 4; n++) {
        for (uint32_t code = 0; code < over[n]; code++) {
            bool surrogate = code >= 0xD800 && code <= 0xDFFF;
            bool want = code >= least[n] && code <= 0x10FFFF && !surrogate;
            struct bytes s = encode(code, n, bytes);
            if (utf8_is_valid(s) != want || utf8_next(s) != (want ? n : 0))
                fail_msg("U+%04X in %zu bytes", code, n);
        }
    }
}

static void utf8_refuses_stray_and_missing_continuations(void **state)
{
    (void)state;
    const char *bad[] = {"\x80",
                         "\xBF",
                         "a\x80",
                         "\xC3",
                         "\xC3"
                         "a",
                         "\xE2\x82",
                         "\xE2\x82"
                         "a",
                         "\xF0\x9F\x98",
                         "\xF0\x9F\x98"
                         "a",
                         "\xFE",
                         "\xFF",
                         "\xF5\x80\x80\x80",
                         "\xF8\x88\x80\x80\x80",
                         "\xC0\x80",
                         "\xED\xA0\x80\xED\xB0\x80"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(utf8_is_valid(bytes_str(bad[i])));
    assert_true(utf8_is_valid((struct bytes){0}));
    assert_int_equal(utf8_next((struct bytes){0}), 0);
}

static void utf8_is_not_read_past_its_end(void **state)
{
    (void)state;
    const char whole[] = "\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80";
    for (size_t n = 1; n <= sizeof(whole) - 1; n++) {
        uint8_t *cut = malloc(n);
        memcpy(cut, whole, n);
        assert_int_equal(utf8_is_valid(bytes_of(cut, n)), n == 2 || n == 5 || n == 9);
        /* As a part of something longer that would go on well. */
        assert_int_equal(utf8_is_valid(bytes_of(whole, n)), n == 2 || n == 5 || n == 9);
        free(cut);
    }
}

static void utf8_is_checked_wherever_it_lies(void **state)
{
    (void)state;
    uint8_t text[40];
    for (size_t n = 0; n < sizeof(text); n++) {
        memset(text, 'a', sizeof(text));
        assert_true(utf8_is_valid(bytes_of(text, n)));
        for (size_t i = 0; i < n; i++) {
            text[i] = 0xFF;
            assert_false(utf8_is_valid(bytes_of(text, n)));
            text[i] = 0xC3;
            assert_false(utf8_is_valid(bytes_of(text, n)));
            if (i + 1 < n) {
                text[i + 1] = 0xA4;
                assert_true(utf8_is_valid(bytes_of(text, n)));
                text[i + 1] = 'a';
            }
            text[i] = 'a';
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_read_to_the_last),
        cmocka_unit_test(a_number_over_64_bits_is_over_the_limit),
        cmocka_unit_test(a_number_has_one_way_to_be_written),
        cmocka_unit_test(utf8_takes_each_character_in_its_shortest_form_only),
        cmocka_unit_test(utf8_refuses_stray_and_missing_continuations),
        cmocka_unit_test(utf8_is_not_read_past_its_end),
        cmocka_unit_test(utf8_is_checked_wherever_it_lies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
