#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/history_int.h"

#include <stdio.h>
#include <stdlib.h>

/* The text that is made again from how a value is stored. */
static struct bytes again(const struct history_value *value, char number[HISTORY_NUMBER_MAX])
{
    if (value->type == SQLITE_TEXT)
        return value->text;
    if (value->type == SQLITE_INTEGER)
        history_integer_text(value->integer, number);
    else
        history_real_text(value->real, number);
    return bytes_str(number);
}

static int assert_survives(enum datatype type, const char *text)
{
    struct history_value value, second;
    char number[HISTORY_NUMBER_MAX];
    history_value_of(type, bytes_str(text), &value);
    struct bytes back = again(&value, number);
    if (!bytes_equal(back, bytes_str(text)))
        fail_msg("'%s' comes back as '%.*s'", text, (int)back.n, (const char *)back.p);
    history_value_of(type, back, &second);
    assert_int_equal(value.type, second.type);
    return value.type;
}

static void what_is_stored_as_is_written_in_the_schema(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int type;
    } cases[] = {
        {"0", SQLITE_INTEGER},
        {"-1", SQLITE_INTEGER},
        {"9223372036854775807", SQLITE_INTEGER},
        {"-9223372036854775808", SQLITE_INTEGER},
        {"9223372036854775808", SQLITE_TEXT},
        {"-9223372036854775809", SQLITE_TEXT},
        {"00", SQLITE_TEXT},
        {"01", SQLITE_TEXT},
        {"-0", SQLITE_TEXT},
        {"-01", SQLITE_TEXT},
        {"-", SQLITE_TEXT},
        {"+1", SQLITE_TEXT},
        {" 1", SQLITE_TEXT},
        {"1 ", SQLITE_TEXT},
        {"0x10", SQLITE_TEXT},
        {"nan", SQLITE_TEXT},
        {"inf", SQLITE_TEXT},
        {"-inf", SQLITE_TEXT},
        {"0.0", SQLITE_FLOAT},
        {"-0.0", SQLITE_TEXT},
        {"1.0", SQLITE_FLOAT},
        {"1.00", SQLITE_TEXT},
        {"1.", SQLITE_TEXT},
        {".5", SQLITE_TEXT},
        {"-.5", SQLITE_TEXT},
        {"0.0001", SQLITE_FLOAT},
        {"0.00001", SQLITE_TEXT},
        {"1e-05", SQLITE_FLOAT},
        {"0.000123456789012", SQLITE_FLOAT},
        {"99999999999999.9", SQLITE_FLOAT},
        {"999999999999999.9", SQLITE_FLOAT},
        {"9999999999999999.9", SQLITE_TEXT},
        {"123456789.123456", SQLITE_FLOAT},
        {"0.10000000000000001", SQLITE_TEXT},
        {"100000000000000.0", SQLITE_FLOAT},
        {"1000000000000000.0", SQLITE_TEXT},
        {"1e+15", SQLITE_FLOAT},
        {"1e+308", SQLITE_FLOAT},
        {"1e+309", SQLITE_TEXT},
        {"12345678901234567890123456789012345.5", SQLITE_TEXT},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (assert_survives(DATATYPE_DOUBLE, cases[i].text) != cases[i].type)
            fail_msg("'%s' is not stored as it should be", cases[i].text);
}

/* A small generator with a fixed seed: the same texts each time. */
static uint64_t next(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return *x;
}

static void texts_that_look_like_numbers_survive(void **state)
{
    (void)state;
    static const char alphabet[] = "0011223456789-.eE+";
    uint64_t x = 88172645463325252;
    char text[40];
    unsigned numbers = 0;
    for (int i = 0; i < 300000; i++) {
        size_t n = 1 + next(&x) % 20;
        for (size_t j = 0; j < n; j++)
            text[j] = alphabet[next(&x) % (sizeof(alphabet) - 1)];
        text[n] = '\0';
        numbers += assert_survives(DATATYPE_DOUBLE, text) != SQLITE_TEXT;
    }
    assert_true(numbers > 1000);
}

static void decimals_of_every_length_survive(void **state)
{
    (void)state;
    uint64_t x = 362436069;
    char text[64];
    unsigned numbers = 0;
    for (int i = 0; i < 300000; i++) {
        int whole = (int)(next(&x) % 17), fraction = (int)(next(&x) % 17);
        uint64_t a = next(&x) % 10000000000000000u, b = next(&x) % 10000000000000000u;
        for (int j = whole; j < 16; j++)
            a /= 10;
        for (int j = fraction; j < 16; j++)
            b /= 10;
        snprintf(text, sizeof(text), "%s%llu.%0*llu", i % 2 == 0 ? "" : "-", (unsigned long long)a,
                 fraction, (unsigned long long)b);
        numbers += assert_survives(DATATYPE_DOUBLE, text) == SQLITE_FLOAT;
    }
    assert_true(numbers > 50000);
}

static void numbers_survive_the_other_way_too(void **state)
{
    (void)state;
    uint64_t x = 1234567891011;
    for (int i = 0; i < 300000; i++) {
        uint64_t bits = next(&x);
        double v;
        char text[HISTORY_NUMBER_MAX];
        struct history_value value;
        memcpy(&v, &bits, sizeof(v));
        if (!history_real_is_kept(v))
            continue;
        history_real_text(v, text);
        history_value_of(DATATYPE_DOUBLE, bytes_str(text), &value);
        assert_int_equal(value.type, SQLITE_FLOAT);
        assert_memory_equal(&value.real, &v, sizeof(v));
    }
}

static void strings_and_bools_are_texts_whatever_they_say(void **state)
{
    (void)state;
    assert_int_equal(assert_survives(DATATYPE_STRING, "36.5"), SQLITE_TEXT);
    assert_int_equal(assert_survives(DATATYPE_STRING, "36"), SQLITE_TEXT);
    assert_int_equal(assert_survives(DATATYPE_STRING, ""), SQLITE_TEXT);
    assert_int_equal(assert_survives(DATATYPE_BOOL, "true"), SQLITE_TEXT);
    struct history_value value;
    history_value_of(DATATYPE_INT, BYTES_LIT("1\0002"), &value);
    assert_int_equal(value.type, SQLITE_TEXT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_stored_as_is_written_in_the_schema),
        cmocka_unit_test(texts_that_look_like_numbers_survive),
        cmocka_unit_test(decimals_of_every_length_survive),
        cmocka_unit_test(numbers_survive_the_other_way_too),
        cmocka_unit_test(strings_and_bools_are_texts_whatever_they_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
