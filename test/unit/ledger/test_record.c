/* Records: one text for each record, and nothing else is taken for one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ledger/record.h"
#include "lib/vectors.h"

static void the_frozen_records_come_out(void **state)
{
    (void)state;
    cJSON *vectors = vectors_load("record.json");
    size_t n = 0;
    const cJSON *entry;
    cJSON_ArrayForEach(entry, vector_array(vectors, "records"))
    {
        struct bytes text = vector_text(entry, "text");
        struct record record;
        assert_int_equal(record_parse(text, &record), 0);
        assert_true(bytes_equal(record.gateway, vector_text(entry, "gateway")));
        assert_true(bytes_equal(record.device, vector_text(entry, "device")));
        assert_true(bytes_equal(record.value, vector_text(entry, "value")));
        assert_int_equal(record.num, vector_u64(entry, "num"));
        assert_int_equal(record.time_us, vector_u64(entry, "time_us"));
        struct buf again = {0};
        record_format(&record, &again);
        assert_true(bytes_equal(buf_bytes(&again), text));
        buf_close(&again);
        struct hash leaf, want;
        assert_int_equal(record_leaf(&record, &leaf), 0);
        vector_hex_exact(entry, "leaf", want.b, sizeof(want.b));
        assert_memory_equal(&leaf, &want, sizeof(leaf));
        n++;
    }
    assert_true(n >= 4);
    cJSON_Delete(vectors);
}

static void only_the_canonical_form_is_taken(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "/",
        "devices/iot",
        "devices/iot/D/1/20200706T144831Z",     /* no value, and no slash for one */
        "devices/iot/D/0/20200706T144831Z/36",  /* numbers start at 1 */
        "devices/iot/D/01/20200706T144831Z/36", /* a leading zero */
        "devices/iot/D/+1/20200706T144831Z/36", /* a sign */
        "devices/iot/D//20200706T144831Z/36",   /* no number */
        "devices/iot/D/4294967296/20200706T144831Z/36",
        "devices/iot/D/18446744073709551617/20200706T144831Z/36",
        "devices/iot/D/1/20200706T144831.0Z/36",   /* a fraction that is zero */
        "devices/iot/D/1/20200706T144831.250Z/36", /* a trailing zero */
        "devices/iot/D/1/20200706T144831.Z/36",
        "devices/iot/D/1/20200706T144831/36",
        "devices/iot/D/1/20200706T144860Z/36",
        "devices/iot/D/1/20200230T144831Z/36",
        "devices/iot/D/1/19691231T235959Z/36",
        "devices/iot/D/1/2020-07-06T14:48:31Z/36",
        "devices/iot//1/20200706T144831Z/36",
        "devices/iot/D E/1/20200706T144831Z/36",
        "/iot/D/1/20200706T144831Z/36",
        "devices//D/1/20200706T144831Z/36",
        "dev.ices/iot/D/1/20200706T144831Z/36",
        "devices/iot/D/1/20200706T144831Z/\xff",
        " devices/iot/D/1/20200706T144831Z/36",
    };
    struct record record;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (record_parse(bytes_str(bad[i]), &record) != SEALMQ_E_PARSE)
            fail_msg("taken: %s", bad[i]);
    static const char nul[] = "devices/iot/D/1/20200706T144831Z/3\0006";
    assert_int_equal(record_parse(bytes_of(nul, sizeof(nul) - 1), &record), SEALMQ_E_PARSE);
    assert_null(record.gateway.p);
}

static void no_part_of_a_record_is_one(void **state)
{
    (void)state;
    static const char text[] = "devices/iot/D3343134IE3B/12/20200706T144831.25Z/on/off";
    struct record record;
    const size_t value_at = sizeof("devices/iot/D3343134IE3B/12/20200706T144831.25Z/") - 1;
    for (size_t n = 0; n < sizeof(text) - 1; n++)
        assert_int_equal(record_parse(bytes_of(text, n), &record),
                         n < value_at ? SEALMQ_E_PARSE : 0);
}

static void a_value_may_hold_slashes_and_be_empty(void **state)
{
    (void)state;
    struct record record;
    assert_int_equal(record_parse(BYTES_LIT("a/b/c/1/19700101T000000Z//x//"), &record), 0);
    assert_true(bytes_equal(record.value, BYTES_LIT("/x//")));
    assert_int_equal(record.time_us, 0);
    assert_int_equal(record_parse(BYTES_LIT("a/b/c/1/19700101T000000Z/"), &record), 0);
    assert_int_equal(record.value.n, 0);
}

static void the_longest_record_is_taken_and_a_longer_one_is_not(void **state)
{
    (void)state;
    char word[ID_WORD_MAX + 1] = {0}, name[NAME_MAX_BYTES + 1] = {0};
    static char value[VALUE_MAX_BYTES + 1];
    memset(word, 'w', ID_WORD_MAX);
    memset(name, 'n', NAME_MAX_BYTES);
    memset(value, 'v', VALUE_MAX_BYTES + 1);
    char gateway[ID_MAX + 1];
    (void)snprintf(gateway, sizeof(gateway), "%s/%s", word, word);
    struct record record = {.gateway = bytes_str(gateway),
                            .device = bytes_str(name),
                            .num = UINT32_MAX,
                            .time_us = INT64_C(253402300799999999),
                            .value = bytes_of(value, VALUE_MAX_BYTES)};
    struct hash leaf;
    assert_int_equal(record_leaf(&record, &leaf), 0);
    struct buf text = {0};
    record_format(&record, &text);
    assert_int_equal(text.n, RECORD_TEXT_MAX);
    struct record read;
    assert_int_equal(record_parse(buf_bytes(&text), &read), 0);
    assert_int_equal(read.num, UINT32_MAX);
    buf_append_u8(&text, 'v');
    assert_int_equal(record_parse(buf_bytes(&text), &read), SEALMQ_E_LIMIT);
    buf_close(&text);

    record.value.n++;
    record.device = BYTES_LIT("d");
    assert_int_equal(record_leaf(&record, &leaf), SEALMQ_E_LIMIT);
    record_format(&record, &text);
    assert_int_equal(record_parse(buf_bytes(&text), &read), SEALMQ_E_LIMIT);
    buf_close(&text);
}

static void a_record_without_a_text_has_no_leaf(void **state)
{
    (void)state;
    const struct record good = {
        .gateway = BYTES_LIT("a/b"), .device = BYTES_LIT("c"), .num = 1, .value = BYTES_LIT("1")};
    struct hash leaf;
    struct record record = good;
    assert_int_equal(record_leaf(&record, &leaf), 0);
    record.num = 0;
    assert_int_equal(record_leaf(&record, &leaf), SEALMQ_E_PARSE);
    record = good;
    record.time_us = -1;
    assert_int_equal(record_leaf(&record, &leaf), SEALMQ_E_PARSE);
    record.time_us = INT64_MAX;
    assert_int_equal(record_leaf(&record, &leaf), SEALMQ_E_PARSE);
    record = good;
    record.device = BYTES_LIT("c/1");
    assert_int_equal(record_leaf(&record, &leaf), SEALMQ_E_PARSE);
    record = good;
    record.gateway = BYTES_LIT("a");
    assert_int_equal(record_leaf(&record, &leaf), SEALMQ_E_PARSE);
    record = good;
    record.value = BYTES_LIT("\xc3");
    assert_int_equal(record_leaf(&record, &leaf), SEALMQ_E_PARSE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_frozen_records_come_out),
        cmocka_unit_test(only_the_canonical_form_is_taken),
        cmocka_unit_test(no_part_of_a_record_is_one),
        cmocka_unit_test(a_value_may_hold_slashes_and_be_empty),
        cmocka_unit_test(the_longest_record_is_taken_and_a_longer_one_is_not),
        cmocka_unit_test(a_record_without_a_text_has_no_leaf),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
