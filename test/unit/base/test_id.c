#include "base/id.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Whether exactly the bytes of `alphabet`, out of all 256, are accepted between an 'a' and the
 * `rest` of a name. */
static void check_alphabet(bool (*is_valid)(struct bytes), const char *rest, const char *alphabet)
{
    for (int c = 0; c < 256; c++) {
        uint8_t name[16] = {'a', (uint8_t)c};
        memcpy(name + 2, rest, strlen(rest));
        bool want = c != 0 && strchr(alphabet, c) != NULL;
        assert_int_equal(is_valid(bytes_of(name, 2 + strlen(rest))), want);
    }
}

#define LOWER  "abcdefghijklmnopqrstuvwxyz"
#define UPPER  "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

static void names_take_their_alphabet_only(void **state)
{
    (void)state;
    check_alphabet(id_is_valid, "/b", LOWER UPPER DIGITS "_-");
    check_alphabet(network_name_is_valid, "", LOWER DIGITS "-");
    check_alphabet(item_name_is_valid, "", LOWER UPPER DIGITS "_.-");
}

static void an_id_is_two_words(void **state)
{
    (void)state;
    assert_true(id_is_valid(BYTES_LIT("broker/a")));
    assert_true(id_is_valid(BYTES_LIT("D3_-/9")));
    const char *bad[] = {"",     "/",     "a",     "a/",  "/a",  "a//b", "a/b/c",      "a/b/",
                         "/a/b", "a b/c", "a/b\n", "a/+", "#/a", "a/..", "\xC3\xA4/b", "a/b.c"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(id_is_valid(bytes_str(bad[i])));
    assert_false(id_is_valid((struct bytes){0}));
    assert_false(id_is_valid(BYTES_LIT("a/b\0")));
}

static void lengths_are_bounded(void **state)
{
    (void)state;
    char text[2 * ID_WORD_MAX + 4];
    memset(text, 'a', sizeof(text));
    text[ID_WORD_MAX] = '/';
    assert_true(id_is_valid(bytes_of(text, ID_MAX)));
    assert_false(id_is_valid(bytes_of(text, ID_MAX + 1)));
    text[ID_WORD_MAX] = 'a';
    text[ID_WORD_MAX + 1] = '/';
    assert_false(id_is_valid(bytes_of(text, ID_WORD_MAX + 3)));

    memset(text, 'a', sizeof(text));
    assert_true(network_name_is_valid(bytes_of(text, NETWORK_MAX)));
    assert_false(network_name_is_valid(bytes_of(text, NETWORK_MAX + 1)));
    assert_false(network_name_is_valid((struct bytes){0}));
    assert_true(item_name_is_valid(bytes_of(text, NAME_MAX_BYTES)));
    assert_false(item_name_is_valid(bytes_of(text, NAME_MAX_BYTES + 1)));
    assert_false(item_name_is_valid((struct bytes){0}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_take_their_alphabet_only),
        cmocka_unit_test(an_id_is_two_words),
        cmocka_unit_test(lengths_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
