#include "unit/mqtt/wire.h"

#include <stdlib.h>

/* At every offset around the eight bytes that are looked at together, in memory of its exact size.
 */
static bool everywhere(const char *hex)
{
    struct buf character = {0};
    wire_append(&character, hex);
    bool first = false;
    for (size_t before = 0; before < 20; before++) {
        for (size_t after = 0; after < 20; after++) {
            size_t n = before + character.n + after;
            uint8_t *p = malloc(n == 0 ? 1 : n);
            assert_non_null(p);
            memset(p, 'a', n);
            if (character.n != 0)
                memcpy(p + before, character.p, character.n);
            bool is_valid = mqtt_utf8_is_valid(bytes_of(p, n));
            free(p);
            if (before == 0 && after == 0)
                first = is_valid;
            /* A character cut short swallows no letter that follows it. */
            assert_int_equal(is_valid, first);
        }
    }
    buf_close(&character);
    return first;
}

static void well_formed_characters_are_accepted(void **state)
{
    (void)state;
    assert_true(everywhere(""));
    assert_true(everywhere("01"));
    assert_true(everywhere("7f"));
    assert_true(everywhere("c280"));     /* U+0080 */
    assert_true(everywhere("dfbf"));     /* U+07FF */
    assert_true(everywhere("e0a080"));   /* U+0800 */
    assert_true(everywhere("ed9fbf"));   /* U+D7FF */
    assert_true(everywhere("ee8080"));   /* U+E000 */
    assert_true(everywhere("efbbbf"));   /* U+FEFF, a byte order mark */
    assert_true(everywhere("efbfbf"));   /* U+FFFF, a non-character */
    assert_true(everywhere("f0908080")); /* U+10000 */
    assert_true(everywhere("f48fbfbf")); /* U+10FFFF */
    assert_true(everywhere("c2b0 e282ac f09f9880 c3a4"));
}

static void ill_formed_characters_are_refused(void **state)
{
    static const char *const bad[] = {
        "80",       "bf",       "c080",     "c1bf", "c2",   "c2 c2",    "c27f",     "c2c0",
        "e08080",   "e09fbf",   "e0a0",     "e1",   "e180", "e18041",   "ef bf c0", "eda080",
        "edbfbf",   "f0808080", "f08fbfbf", "f0",   "f090", "f09080",   "f0908041", "f4908080",
        "f5808080", "f8888080", "fc848480", "fe",   "ff",   "f0 9f 98",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (everywhere(bad[i]))
            fail_msg("accepted: %s", bad[i]);
}

static void the_null_character_is_refused(void **state)
{
    (void)state;
    assert_false(everywhere("00"));
    assert_false(everywhere("61 00 62"));
    assert_false(everywhere("c2b0 00"));
    assert_false(everywhere("01 00"));
}

/* An encoding written out from the definition, for all code points there are. */
static void every_code_point_is_judged_by_its_number(void **state)
{
    (void)state;
    for (uint32_t c = 0; c <= 0x1fffff; c++) {
        uint8_t p[4];
        size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        static const uint8_t lead[] = {0, 0x00, 0xc0, 0xe0, 0xf0};
        for (size_t i = n; i-- > 1;)
            p[i] = (uint8_t)(0x80 | (c >> (6 * (n - 1 - i)) & 0x3f));
        p[0] = (uint8_t)(lead[n] | c >> (6 * (n - 1)));
        bool want = c != 0 && !(c >= 0xd800 && c <= 0xdfff) && c <= 0x10ffff;
        if (mqtt_utf8_is_valid(bytes_of(p, n)) != want)
            fail_msg("U+%04X", (unsigned)c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(well_formed_characters_are_accepted),
        cmocka_unit_test(ill_formed_characters_are_refused),
        cmocka_unit_test(the_null_character_is_refused),
        cmocka_unit_test(every_code_point_is_judged_by_its_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
