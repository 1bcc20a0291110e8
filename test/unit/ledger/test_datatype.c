#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ledger/row.h"

#include <stdio.h>
#include <stdlib.h>

struct sample {
    const char *text;
    bool fits;
};

static void assert_samples(enum datatype type, const struct sample *samples, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int error = datatype_check(type, bytes_str(samples[i].text));
        if (error != (samples[i].fits ? 0 : SEALMQ_E_TYPE))
            fail_msg("%s \"%s\": %d", datatype_name(type), samples[i].text, error);
    }
}
#define ASSERT_SAMPLES(type, samples)                                                              \
    assert_samples((type), (samples), sizeof(samples) / sizeof((samples)[0]))

static void types_have_names(void **state)
{
    (void)state;
    for (unsigned type = DATATYPE_INT; type <= DATATYPE_STRING; type++) {
        enum datatype parsed = 0;
        const char *name = datatype_name((enum datatype)type);
        assert_non_null(name);
        assert_int_equal(datatype_parse(bytes_str(name), &parsed), 0);
        assert_int_equal(parsed, type);
    }
    enum datatype type;
    assert_null(datatype_name((enum datatype)0));
    assert_null(datatype_name((enum datatype)5));
    assert_null(datatype_name((enum datatype)255));
    assert_int_equal(datatype_parse(BYTES_LIT(""), &type), SEALMQ_E_TYPE);
    assert_int_equal(datatype_parse(BYTES_LIT("Int"), &type), SEALMQ_E_TYPE);
    assert_int_equal(datatype_parse(BYTES_LIT("int "), &type), SEALMQ_E_TYPE);
    assert_int_equal(datatype_parse(BYTES_LIT("doubl"), &type), SEALMQ_E_TYPE);
    assert_int_equal(datatype_check((enum datatype)9, BYTES_LIT("1")), SEALMQ_E_TYPE);
}

static void an_int_is_digits_within_64_bits(void **state)
{
    (void)state;
    static const struct sample samples[] = {
        {"0", true},
        {"-0", true},
        {"36", true},
        {"007", true},
        {"-1", true},
        {"9223372036854775807", true},
        {"9223372036854775808", false},
        {"-9223372036854775808", true},
        {"-9223372036854775809", false},
        {"18446744073709551616", false},
        {"99999999999999999999999999", false},
        {"", false},
        {"-", false},
        {"+1", false},
        {"1.0", false},
        {"1e3", false},
        {" 1", false},
        {"1 ", false},
        {"--1", false},
        {"0x10", false},
        {"1,000", false},
        {"\xd9\xa1", false},
    };
    ASSERT_SAMPLES(DATATYPE_INT, samples);
}

static void a_double_is_a_finite_json_number(void **state)
{
    (void)state;
    static const struct sample samples[] = {
        {"0", true},
        {"-0", true},
        {"-0.0", true},
        {"36", true},
        {"36.5", true},
        {"-12.25e-3", true},
        {"1E+2", true},
        {"1e2", true},
        {"1e-400", true},
        {"0e99999999999999999999", true},
        {"0.000e99999", true},
        {"1.7976931348623157e308", true},
        {"-1.7976931348623157e308", true},
        {"1.7976931348623157081e308", true},
        {"17976931348623157.9999e292", true},
        {"0.00017976931348623157e312", true},
        {"1.7976931348623158e308", false},
        {"-1.7976931348623158e308", false},
        {"179769313486231580e291", false},
        {"1.8e308", false},
        {"2e308", false},
        {"1e309", false},
        {"1e999999999999999999999", false},
        {"0.1e310", false},
        {"0.1e309", true},
        {"0.01e310", true},
        {"", false},
        {"-", false},
        {"+1", false},
        {".5", false},
        {"1.", false},
        {"1.e3", false},
        {"01", false},
        {"-01.5", false},
        {"00", false},
        {"1e", false},
        {"1e+", false},
        {"1e-", false},
        {"1e1.5", false},
        {"1,5", false},
        {"NaN", false},
        {"nan", false},
        {"Infinity", false},
        {"-inf", false},
        {"0x1p3", false},
        {"1 ", false},
        {" 1", false},
        {"1f", false},
        {"1_000", false},
        {"true", false},
    };
    ASSERT_SAMPLES(DATATYPE_DOUBLE, samples);
}

static void what_is_finite_agrees_with_the_c_library(void **state)
{
    (void)state;
    uint64_t seed = 1;
    for (unsigned i = 0; i < 20000; i++) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        char text[64];
        unsigned digits = (unsigned)(seed >> 33) % 1000000;
        int exponent = 300 + (int)((seed >> 20) % 12);
        (void)snprintf(text, sizeof(text), "%u.%06ue%d", (unsigned)(seed >> 60), digits, exponent);
        double v = strtod(text, NULL);
        int want = v <= 1.7976931348623157e308 ? 0 : SEALMQ_E_TYPE;
        if (datatype_check(DATATYPE_DOUBLE, bytes_str(text)) != want)
            fail_msg("%s", text);
    }
}

static void the_exponent_of_a_long_text_is_weighed_against_its_digits(void **state)
{
    (void)state;
    char text[4000];
    memset(text, '0', sizeof(text));
    text[1] = '.';
    text[3000] = '1';
    (void)snprintf(text + 3001, 100, "e3307"); /* 0.000...1e3307: 1e308 */
    assert_int_equal(datatype_check(DATATYPE_DOUBLE, bytes_str(text)), 0);
    (void)snprintf(text + 3001, 100, "e3308");
    assert_int_equal(datatype_check(DATATYPE_DOUBLE, bytes_str(text)), SEALMQ_E_TYPE);
    memset(text, '0', sizeof(text));
    text[0] = '1';
    (void)snprintf(text + 3001, 100, "e-2692"); /* 1000...e-2692: 1e308 */
    assert_int_equal(datatype_check(DATATYPE_DOUBLE, bytes_str(text)), 0);
    (void)snprintf(text + 3001, 100, "e-2691");
    assert_int_equal(datatype_check(DATATYPE_DOUBLE, bytes_str(text)), SEALMQ_E_TYPE);
}

static void a_bool_is_true_or_false(void **state)
{
    (void)state;
    static const struct sample samples[] = {{"true", true},   {"false", true}, {"", false},
                                            {"True", false},  {"1", false},    {"tru", false},
                                            {"false ", false}};
    ASSERT_SAMPLES(DATATYPE_BOOL, samples);
}

static void a_string_is_utf8_without_nul(void **state)
{
    (void)state;
    static const struct sample samples[] = {{"", true},
                                            {"36 \xc2\xb0"
                                             "C",
                                             true},
                                            {"a/b/c", true},
                                            {"\n", true},
                                            {"\xc2", false},
                                            {"\xc0\x80", false},
                                            {"\xed\xa0\x80", false},
                                            {"\xff", false}};
    ASSERT_SAMPLES(DATATYPE_STRING, samples);
    assert_int_equal(datatype_check(DATATYPE_STRING, bytes_of("a\0b", 3)), SEALMQ_E_TYPE);
}

static void a_value_has_a_longest_length(void **state)
{
    (void)state;
    char text[VALUE_MAX_BYTES + 1];
    memset(text, '0', sizeof(text));
    for (unsigned type = DATATYPE_INT; type <= DATATYPE_STRING; type++)
        assert_int_equal(datatype_check((enum datatype)type, bytes_of(text, sizeof(text))),
                         SEALMQ_E_LIMIT);
    assert_int_equal(datatype_check(DATATYPE_INT, bytes_of(text, VALUE_MAX_BYTES)), 0);
    assert_int_equal(datatype_check(DATATYPE_STRING, bytes_of(text, VALUE_MAX_BYTES)), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_have_names),
        cmocka_unit_test(an_int_is_digits_within_64_bits),
        cmocka_unit_test(a_double_is_a_finite_json_number),
        cmocka_unit_test(what_is_finite_agrees_with_the_c_library),
        cmocka_unit_test(the_exponent_of_a_long_text_is_weighed_against_its_digits),
        cmocka_unit_test(a_bool_is_true_or_false),
        cmocka_unit_test(a_string_is_utf8_without_nul),
        cmocka_unit_test(a_value_has_a_longest_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
