#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/limits.h"

#include <stdlib.h>

/* Parses a copy that ends where its memory ends, so that reading on is seen. */
static int parse(struct bytes text, cJSON **out, struct json_error *error)
{
    uint8_t *copy = malloc(text.n == 0 ? 1 : text.n);
    assert_non_null(copy);
    if (text.n != 0)
        memcpy(copy, text.p, text.n);
    int result = json_parse(bytes_of(copy, text.n), out, error);
    free(copy);
    return result;
}

static bool is_taken(struct bytes text)
{
    cJSON *json;
    struct json_error error;
    int result = parse(text, &json, &error);
    if (result == 0) {
        assert_non_null(json);
        cJSON_Delete(json);
        return true;
    }
    assert_int_equal(result, SEALMQ_E_PARSE);
    assert_null(json);
    assert_true(error.message[0] != '\0');
    assert_true(error.offset <= text.n);
    return false;
}

static void every_kind_of_json_is_taken(void **state)
{
    (void)state;
    const char *good[] = {
        "null",
        "true",
        "false",
        "0",
        "-0",
        "1",
        "-1",
        "10",
        "1.5",
        "-0.25e+10",
        "1E-2",
        "1e5",
        "123456789",
        "\"\"",
        "\"a\"",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
        "\"\\u00e4\\u20AC\"",
        "\"\\uD83D\\uDE00\"",
        "\"\xC3\xA4\xF0\x9F\x98\x80\"",
        "\"\x7F\"",
        "[]",
        "{}",
        "[[]]",
        "[{}]",
        "{\"\":{}}",
        " [ 1 , 2 ] ",
        "\t\r\n{ \"a\" : 1 , \"b\" : [ ] }\n",
        "{\"a\":1,\"A\":2}",
        "[1,1,1]",
        "[\"a\",\"a\"]",
        "{\"a\":{\"a\":{\"a\":1}}}",
        "5e-324",
        "1.7976931348623157e308",
        "1e-400",
        "111111111111111111111111111111111111111111111111111111111111111",
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        if (!is_taken(bytes_str(good[i])))
            fail_msg("%s was refused", good[i]);
}

static void what_is_no_json_is_refused(void **state)
{
    (void)state;
    const char *bad[] = {
        "",
        " ",
        "\n",
        "nul",
        "nulll",
        "True",
        "tru",
        "nan",
        "NaN",
        "Infinity",
        "-Infinity",
        "undefined",
        /* numbers */
        "+1",
        "-",
        "--1",
        "01",
        "-01",
        "00",
        "1.",
        ".5",
        "1.e5",
        "1e",
        "1e+",
        "1e1.5",
        "0x10",
        "1_000",
        "1 2",
        "- 1",
        "1a",
        "1e400",
        "-1e400",
        "[1e999]",
        "1111111111111111111111111111111111111111111111111111111111111111",
        /* strings */
        "\"",
        "\"a",
        "\"\\\"",
        "\"\\",
        "\"\\x41\"",
        "\"\\a\"",
        "\"\\'\"",
        "\"\\0\"",
        "'a'",
        "\"a\nb\"",
        "\"\t\"",
        "\"\x1F\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\\U0041\"",
        "\"\\u 041\"",
        "\"\\u-041\"",
        "\"\\u0000\"",
        "\"a\\u0000b\"",
        "\"\\uD800\"",
        "\"\\uDC00\"",
        "\"\\uDC00\\uDC00\"",
        "\"\\uD800\\u0041\"",
        "\"\\uD800\\uD800\"",
        "\"\\uD800x\"",
        "\"\\uDBFF\\n\"",
        "\"\\uDC00\\uD800\"",
        "\"\\uD800\\",
        /* not UTF-8 */
        "\"\xFF\"",
        "\"\xC0\x80\"",
        "\"\xED\xA0\x80\"",
        "\"\xC3\"",
        "\xEF\xBB\xBF{}",
        "\xFE\xFF",
        /* structure */
        "[",
        "]",
        "[]]",
        "[[]",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "[,]",
        "[1 2]",
        "[1,,2]",
        "[1:2]",
        "[}",
        "{]",
        "{",
        "}",
        "{}}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1",
        "{\"a\":1,",
        "{\"a\":1,}",
        "{,}",
        "{\"a\" 1}",
        "{\"a\"::1}",
        "{\"a\":1 \"b\":2}",
        "{\"a\":1;\"b\":2}",
        "{a:1}",
        "{1:1}",
        "{null:1}",
        "{[]:1}",
        "{\"a\":1,,\"b\":2}",
        "{\"a\",\"b\"}",
        "{'a':1}",
        "[\"a\":1]",
        /* what lenient parsers take */
        "{}{}",
        "[] []",
        "{} x",
        "1,",
        "// x\n1",
        "/* x */1",
        "1 # x",
        "\v1",
        "\f1",
        "\xC2\xA0\x31",
        "1\xE2\x80\xA8",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (is_taken(bytes_str(bad[i])))
            fail_msg("%s was taken", bad[i]);
    assert_false(is_taken(BYTES_LIT("1\0")));
    assert_false(is_taken(BYTES_LIT("\0")));
    assert_false(is_taken(BYTES_LIT("\"a\0b\"")));
    assert_false(is_taken(BYTES_LIT("[1,\0 2]")));
    assert_false(is_taken(BYTES_LIT("{\"a\":1}\0")));
    assert_false(is_taken(BYTES_LIT("\"\\\0\"")));
}

static void duplicate_members_are_refused_however_they_are_written(void **state)
{
    (void)state;
    cJSON *json;
    struct json_error error;
    assert_int_equal(parse(BYTES_LIT("{\"a\":1,\"b\":2,\"a\":1}"), &json, &error), SEALMQ_E_PARSE);
    assert_string_equal(error.message, "member \"a\" appears twice");
    assert_false(is_taken(BYTES_LIT("{\"a\":1,\"\\u0061\":2}")));
    assert_false(is_taken(BYTES_LIT("{\"\":1,\"\":2}")));
    assert_false(is_taken(BYTES_LIT("[0,{\"x\":[{\"a\":1,\"a\":1}]}]")));
    assert_false(is_taken(BYTES_LIT("{\"\xC3\xA4\":1,\"\\u00E4\":2}")));
    assert_true(is_taken(BYTES_LIT("{\"a\":1,\"b\":{\"a\":1},\"c\":{\"a\":1}}")));
}

/* An object of `n` members, where the last has the name of member `same`, or its own. */
static struct buf large_object(size_t n, size_t same)
{
    struct buf b = {0};
    for (size_t i = 0; i < n; i++)
        buf_printf(&b, "%s\"m%zu\":0", i == 0 ? "{" : ",", i + 1 == n ? same : i * 7919 % n);
    buf_append_cstr(&b, "}");
    assert_int_equal(buf_status(&b), 0);
    return b;
}

static void duplicates_in_large_objects_are_found_in_little_time(void **state)
{
    (void)state;
    const size_t sizes[] = {2, 31, 32, 33, 34, 1000, 100003};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        size_t n = sizes[i];
        struct buf b = large_object(n, n);
        assert_true(is_taken(buf_bytes(&b)));
        buf_close(&b);
        b = large_object(n, 0);
        assert_false(is_taken(buf_bytes(&b)));
        buf_close(&b);
    }
}

static struct buf nested(const char *open, const char *inside, const char *close, size_t depth)
{
    struct buf b = {0};
    for (size_t i = 0; i < depth; i++)
        buf_append_cstr(&b, open);
    buf_append_cstr(&b, inside);
    for (size_t i = 0; i < depth; i++)
        buf_append_cstr(&b, close);
    assert_int_equal(buf_status(&b), 0);
    return b;
}

static void depth_is_bounded(void **state)
{
    (void)state;
    const size_t depths[] = {JSON_DEPTH_MAX, JSON_DEPTH_MAX + 1, 1000, 1000000};
    for (size_t i = 0; i < sizeof(depths) / sizeof(depths[0]); i++) {
        struct buf b = nested("[", "", "]", depths[i]);
        assert_int_equal(is_taken(buf_bytes(&b)), depths[i] == JSON_DEPTH_MAX);
        buf_close(&b);
        b = nested("{\"a\":", "1", "}", depths[i]);
        assert_int_equal(is_taken(buf_bytes(&b)), depths[i] == JSON_DEPTH_MAX);
        buf_close(&b);
    }
    /* Width is not depth. */
    struct buf wide = nested("[],", "[]", "", 1000);
    struct buf b = {0};
    buf_printf(&b, "[%s]", buf_cstr(&wide));
    assert_true(is_taken(buf_bytes(&b)));
    buf_close(&wide);
    buf_close(&b);
}

static void the_number_of_values_is_bounded(void **state)
{
    (void)state;
    for (size_t n = JSON_VALUES_MAX - 1; n <= JSON_VALUES_MAX; n++) { /* and the array */
        struct buf b = {0};
        buf_append_cstr(&b, "[0");
        for (size_t i = 1; i < n; i++)
            buf_append_cstr(&b, ",0");
        buf_append_cstr(&b, "]");
        assert_int_equal(is_taken(buf_bytes(&b)), n == JSON_VALUES_MAX - 1);
        buf_close(&b);
    }
}

static const char report[] =
    "{\"devices\":[{\"deviceId\":\"D\\u00e41\",\"services\":[{\"count\":2,\"data\":[{\"num\":1,"
    "\"val\":\"36\",\"unit\":\"\xC2\xB0"
    "C\"},{\"num\":-2.5e3,\"ok\":true,\"x\":null}],"
    "\"eventtime\":\"20200706T144831Z\"}]}]}";

static void a_text_cut_anywhere_is_refused(void **state)
{
    (void)state;
    for (size_t n = 0; n < sizeof(report) - 1; n++)
        assert_false(is_taken(bytes_of(report, n)));
    assert_true(is_taken(bytes_str(report)));
}

static void any_byte_may_be_any_other(void **state)
{
    (void)state;
    char text[sizeof(report)];
    memcpy(text, report, sizeof(report));
    for (size_t at = 0; at < sizeof(report) - 1; at++) {
        for (int c = 0; c < 256; c++) {
            text[at] = (char)c;
            cJSON *json;
            int error = parse(bytes_of(text, sizeof(report) - 1), &json, NULL);
            assert_true(error == 0 || error == SEALMQ_E_PARSE);
            cJSON_Delete(json);
        }
        text[at] = report[at];
    }
}

static void an_error_says_where(void **state)
{
    (void)state;
    cJSON *json;
    struct json_error error;
    assert_int_equal(parse(BYTES_LIT("{\"a\":[1,2,{\"b\":tru}]}"), &json, &error), SEALMQ_E_PARSE);
    assert_int_equal(error.offset, 15);
    assert_string_equal(error.message, "not a value at byte 15");
    assert_int_equal(parse(BYTES_LIT("{} x"), &json, &error), SEALMQ_E_PARSE);
    assert_int_equal(error.offset, 3);
    assert_int_equal(parse(BYTES_LIT("{}"), &json, &error), 0);
    assert_string_equal(error.message, "");
    cJSON_Delete(json);
}

/* Fails the allocation that `countdown` reaches zero at. */
static long countdown;
static void *failing_malloc(size_t n)
{
    return countdown-- == 0 ? NULL : malloc(n);
}

static void running_out_of_memory_anywhere_is_an_error(void **state)
{
    (void)state;
    cJSON_Hooks hooks = {failing_malloc, free};
    cJSON_InitHooks(&hooks);
    int error = SEALMQ_E_NOMEM;
    long at;
    for (at = 0; error == SEALMQ_E_NOMEM; at++) {
        cJSON *json;
        countdown = at;
        error = parse(bytes_str(report), &json, NULL);
        assert_int_equal(json == NULL, error != 0);
        countdown = -1;
        cJSON_Delete(json);
    }
    cJSON_InitHooks(NULL);
    assert_int_equal(error, 0);
    assert_true(at > 20);
}

static void members_are_given_by_type(void **state)
{
    (void)state;
    cJSON *json;
    assert_int_equal(parse(BYTES_LIT("{\"s\":\"text\",\"n\":7,\"a\":[1],\"o\":{\"x\":1},"
                                     "\"b\":\"AAEC\",\"t\":true}"),
                           &json, NULL),
                     0);
    const char *s;
    uint64_t n;
    const cJSON *v;
    uint8_t bytes[3];
    struct json_error error = {0};
    assert_int_equal(json_member_string(json, "s", &s, &error), 0);
    assert_string_equal(s, "text");
    assert_int_equal(json_member_u64(json, "n", &n, &error), 0);
    assert_true(n == 7);
    assert_int_equal(json_member_array(json, "a", &v, &error), 0);
    assert_int_equal(cJSON_GetArraySize(v), 1);
    assert_int_equal(json_member_object(json, "o", &v, &error), 0);
    assert_int_equal(json_member_base64(json, "b", bytes, 3, &error), 0);
    assert_memory_equal(bytes, "\0\1\2", 3);

    assert_int_equal(json_member_base64(json, "b", bytes, 2, &error), SEALMQ_E_PARSE);
    assert_string_equal(error.message, "member \"b\" is not 2 bytes in base64");
    assert_int_equal(json_member_string(json, "n", &s, &error), SEALMQ_E_PARSE);
    assert_string_equal(error.message, "member \"n\" is not a string");
    assert_null(s);
    assert_int_equal(json_member_u64(json, "t", &n, &error), SEALMQ_E_PARSE);
    assert_int_equal(json_member_array(json, "o", &v, &error), SEALMQ_E_PARSE);
    assert_null(v);
    assert_int_equal(json_member_object(json, "a", &v, &error), SEALMQ_E_PARSE);
    assert_int_equal(json_member_string(json, "S", &s, &error), SEALMQ_E_PARSE);
    assert_string_equal(error.message, "member \"S\" is missing");
    cJSON_Delete(json);
}

static void members_of_what_is_no_object_are_missing(void **state)
{
    (void)state;
    const char *texts[] = {"[]", "[1]", "[{\"s\":\"x\"}]", "\"s\"", "1", "null"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        cJSON *json;
        const char *s;
        assert_int_equal(parse(bytes_str(texts[i]), &json, NULL), 0);
        assert_int_equal(json_member_string(json, "s", &s, NULL), SEALMQ_E_PARSE);
        cJSON_Delete(json);
    }
    const cJSON *v;
    assert_int_equal(json_member_array(NULL, "a", &v, NULL), SEALMQ_E_PARSE);
}

static void check_u64(const char *value, int want_error, uint64_t want)
{
    struct buf b = {0};
    cJSON *json;
    uint64_t n;
    buf_printf(&b, "{\"n\":%s}", value);
    assert_int_equal(parse(buf_bytes(&b), &json, NULL), 0);
    if (json_member_u64(json, "n", &n, NULL) != want_error || n != want)
        fail_msg("%s", value);
    cJSON_Delete(json);
    buf_close(&b);
}

static void integers_are_exact_or_refused(void **state)
{
    (void)state;
    check_u64("0", 0, 0);
    check_u64("-0", 0, 0);
    check_u64("1e3", 0, 1000);
    check_u64("5.0", 0, 5);
    check_u64("9007199254740991", 0, 9007199254740991);
    check_u64("\"9007199254740993\"", 0, 9007199254740993);
    check_u64("\"18446744073709551615\"", 0, UINT64_MAX);
    const char *bad[] = {"9007199254740992",
                         "9007199254740993",
                         "1e300",
                         "-1",
                         "-1e-300",
                         "0.5",
                         "1.25",
                         "\"\"",
                         "\"-1\"",
                         "\"01\"",
                         "\"1.0\"",
                         "\"18446744073709551616\"",
                         "\"0x1\"",
                         "\" 1\"",
                         "null",
                         "[]",
                         "true"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        check_u64(bad[i], SEALMQ_E_PARSE, 0);
}

static void a_long_name_in_an_error_is_cut(void **state)
{
    (void)state;
    char name[1000];
    memset(name, 'x', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    struct buf b = {0};
    buf_printf(&b, "{\"%s\":1,\"%s\":1}", name, name);
    cJSON *json;
    struct json_error error;
    assert_int_equal(parse(buf_bytes(&b), &json, &error), SEALMQ_E_PARSE);
    assert_true(strlen(error.message) < sizeof(error.message));
    assert_non_null(strstr(error.message, "appears twice"));
    buf_close(&b);
}

static void check_literal(struct bytes s, const char *want)
{
    struct buf b = {0};
    json_append_string(&b, s);
    assert_string_equal(buf_cstr(&b), want);
    buf_close(&b);
}

static void strings_are_escaped_where_they_must_be(void **state)
{
    (void)state;
    check_literal((struct bytes){0}, "\"\"");
    check_literal(BYTES_LIT("plain /\x7F"), "\"plain /\x7F\"");
    check_literal(BYTES_LIT("\"\\"), "\"\\\"\\\\\"");
    check_literal(BYTES_LIT("\b\f\n\r\t\x01\x1F"), "\"\\b\\f\\n\\r\\t\\u0001\\u001f\"");
    check_literal(BYTES_LIT("a\0b"), "\"a\\u0000b\"");
    check_literal(BYTES_LIT("\xC3\xA4\xF0\x9F\x98\x80"), "\"\xC3\xA4\xF0\x9F\x98\x80\"");
    check_literal(BYTES_LIT("a\xFF\xC3z\xE2\x82"), "\"a\\ufffd\\ufffdz\\ufffd\\ufffd\"");
}

static void what_is_written_reads_back(void **state)
{
    (void)state;
    for (unsigned c = 1; c < 256; c++) {
        const uint8_t text[3] = {'a', (uint8_t)c, 'z'};
        struct buf b = {0};
        cJSON *json;
        json_append_string(&b, bytes_of(text, 3));
        assert_int_equal(parse(buf_bytes(&b), &json, NULL), 0);
        if (c < 0x80)
            assert_memory_equal(json->valuestring, text, 3);
        else
            assert_string_equal(json->valuestring, "a\xEF\xBF\xBDz");
        cJSON_Delete(json);
        buf_close(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_json_is_taken),
        cmocka_unit_test(what_is_no_json_is_refused),
        cmocka_unit_test(duplicate_members_are_refused_however_they_are_written),
        cmocka_unit_test(duplicates_in_large_objects_are_found_in_little_time),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(the_number_of_values_is_bounded),
        cmocka_unit_test(a_text_cut_anywhere_is_refused),
        cmocka_unit_test(any_byte_may_be_any_other),
        cmocka_unit_test(an_error_says_where),
        cmocka_unit_test(running_out_of_memory_anywhere_is_an_error),
        cmocka_unit_test(members_are_given_by_type),
        cmocka_unit_test(members_of_what_is_no_object_are_missing),
        cmocka_unit_test(integers_are_exact_or_refused),
        cmocka_unit_test(a_long_name_in_an_error_is_cut),
        cmocka_unit_test(strings_are_escaped_where_they_must_be),
        cmocka_unit_test(what_is_written_reads_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
