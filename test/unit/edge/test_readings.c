/* What devices may publish, and what of it becomes readings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "edge/readings.h"

#include <stdio.h>

#define NOW INT64_C(1800000000000000)

static struct readings readings;
static char why[256];

static int parse(const char *topic, const char *payload)
{
    why[0] = '\0';
    return readings_parse(bytes_str(topic), bytes_str(payload), NOW, &readings, why, sizeof why);
}

/* The readings as "device/service/name:type=value" words. */
static const char *words(void)
{
    static char text[1024];
    size_t n = 0;
    text[0] = '\0';
    for (size_t i = 0; i < readings.count; i++) {
        const struct row *row = &readings.rows[i];
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%.*s/%.*s/%.*s:%s=%.*s",
                              i == 0 ? "" : " ", (int)row->device.n, (const char *)row->device.p,
                              (int)row->service.n, (const char *)row->service.p, (int)row->name.n,
                              (const char *)row->name.p, datatype_name(row->type),
                              (int)row->value.n, (const char *)row->value.p);
        assert_in_range(n, 1, sizeof text - 1);
        assert_int_equal(row_check(row), 0);
    }
    return text;
}

static void taken(const char *topic, const char *payload, const char *as)
{
    if (parse(topic, payload) != 0)
        fail_msg("%s %s: %s", topic, payload, why);
    assert_string_equal(words(), as);
    assert_true(readings.size > 0);
    readings_close(&readings);
}

static void refused(const char *topic, const char *payload, int error, const char *said)
{
    assert_int_equal(parse(topic, payload), error);
    if (strstr(why, said) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", why, said);
    assert_null(readings.rows);
}

static void bare_values(void **state)
{
    (void)state;
    taken("D1/t", "21.5", "D1/data/t:double=21.5");
    taken("D1/t", " -3e4\n", "D1/data/t:double=-3e4");
    taken("D1/t", "21", "D1/data/t:double=21"); /* whole or not, the item's type is one */
    taken("D1/on", "true", "D1/data/on:bool=true");
    taken("D1/s", "\"a \\\"quoted\\\" word\"", "D1/data/s:string=a \"quoted\" word");
    taken("D1/s", "running well", "D1/data/s:string=running well");
    taken("D1/s", "\"\"", "D1/data/s:string=");
    taken("D1/s", "21,5", "D1/data/s:string=21,5");
    taken("D1/s", "NaN", "D1/data/s:string=NaN");
    taken("D1/motor/t", "21.5", "D1/motor/t:double=21.5");
}

static void objects(void **state)
{
    (void)state;
    taken("D1", "{\"t\":21.5,\"ok\":true,\"off\":false,\"s\":\"x\"}",
          "D1/data/t:double=21.5 D1/data/ok:bool=true D1/data/off:bool=false D1/data/s:string=x");
    taken("D1/motor", " {\"t\":1e3} ", "D1/motor/t:double=1000");
    taken("D1", "{\"t\":null,\"p\":3}", "D1/data/p:double=3");
    taken("D1", "{\"devices\":7}", "D1/data/devices:double=7");
}

static void readings_have_the_time_of_arrival(void **state)
{
    (void)state;
    assert_int_equal(parse("D1", "{\"t\":1}"), 0);
    assert_int_equal(readings.rows[0].time_us, NOW);
    readings_close(&readings);
    assert_int_equal(parse("D1/t", "1"), 0);
    assert_int_equal(readings.rows[0].time_us, NOW);
    readings_close(&readings);
}

#define REPORT                                                                                     \
    "{\"devices\":[{\"deviceId\":\"D9\",\"services\":[{\"count\":1,\"serviceId\":\"CS\",\"data\":" \
    "[{\"name\":\"t\",\"datatype\":\"int\",\"val\":\"36\",\"unit\":\"C\"}],\"eventtime\":"         \
    "\"20200706T144831Z\"}]}]}"

static void a_report_says_everything_itself(void **state)
{
    (void)state;
    taken("D1", REPORT, "D9/CS/t:int=36");
    taken("500001/400001/300002/RealTime", REPORT, "D9/CS/t:int=36");
    assert_int_equal(parse("D1", REPORT), 0);
    assert_int_equal(readings.rows[0].time_us, INT64_C(1594046911000000));
    assert_true(bytes_equal(readings.rows[0].unit, BYTES_LIT("C")));
    readings_close(&readings);
    refused("D1", "{\"devices\":[{}]}", SEALMQ_E_PARSE, "devices[0]");
    refused("D1", "{\"devices\":[]}", SEALMQ_E_COUNT, "no rows");
}

static void what_is_no_reading_is_refused_with_words(void **state)
{
    (void)state;
    refused("D1/t", "", SEALMQ_E_PARSE, "empty");
    refused("D1/t", " \n", SEALMQ_E_PARSE, "empty");
    refused("D1", "21.5", SEALMQ_E_PARSE, "needs a name");
    refused("D1/t", "[1,2]", SEALMQ_E_TYPE, "array");
    refused("D1/t", "\"open", SEALMQ_E_PARSE, "");
    refused("D1", "{\"t\":1", SEALMQ_E_PARSE, "byte");
    refused("D1", "{\"t\":{\"x\":1}}", SEALMQ_E_TYPE, "\"t\" must be");
    refused("D1", "{\"t\":[1]}", SEALMQ_E_TYPE, "\"t\" must be");
    refused("D1", "{}", SEALMQ_E_COUNT, "no readings");
    refused("D1", "{\"t\":null}", SEALMQ_E_COUNT, "no readings");
    refused("D1", "{\"a b\":1}", SEALMQ_E_PARSE, "\"a b\" is no name");
    refused("D1", "{\"t\":1,\"t\":2}", SEALMQ_E_PARSE, "");
    refused("D1/s/t", "{\"t\":1}", SEALMQ_E_PARSE, "DEVICE or DEVICE/SERVICE");
    refused("D 1/t", "1", SEALMQ_E_PARSE, "level 1");
    refused("D1/", "1", SEALMQ_E_PARSE, "level 2");
    refused("/t", "1", SEALMQ_E_PARSE, "level 1");
    refused("", "1", SEALMQ_E_PARSE, "level 1");
    refused("$SYS/t", "1", SEALMQ_E_PARSE, "level 1");
    refused("a/b/c/d", "1", SEALMQ_E_PARSE, "at most device/service/item");
    refused("D1/t", "\xff\xfe", SEALMQ_E_TYPE, "no value");
}

static void limits_hold(void **state)
{
    (void)state;
    struct buf big = {0};
    buf_append_cstr(&big, "D1/");
    for (int i = 0; i < 65; i++)
        buf_append_u8(&big, 'n');
    refused(buf_cstr(&big), "1", SEALMQ_E_PARSE, "level 2");
    buf_reset(&big);
    for (int i = 0; i <= VALUE_MAX_BYTES; i++)
        buf_append_u8(&big, 'x');
    refused("D1/s", buf_cstr(&big), SEALMQ_E_LIMIT, "longer");
    buf_reset(&big);
    uint8_t *p = buf_extend(&big, REPORT_BYTES_MAX + 1);
    memset(p, ' ', big.n);
    assert_int_equal(
        readings_parse(BYTES_LIT("D1/t"), buf_bytes(&big), NOW, &readings, why, sizeof why),
        SEALMQ_E_LIMIT);
    buf_reset(&big);
    buf_append_u8(&big, '{');
    for (int i = 0; i <= REPORT_ROWS_MAX; i++)
        buf_printf(&big, "%s\"n%d\":0", i == 0 ? "" : ",", i);
    buf_append_u8(&big, '}');
    refused("D1", buf_cstr(&big), SEALMQ_E_LIMIT, "at most");
    buf_close(&big);
}

/* Whatever a device sends: no memory is touched that is not ours, and what is taken is in order. */
static void anything_may_come(void **state)
{
    (void)state;
    static const char text[] = "{\"temperature\":21.5,\"ok\":true,\"s\":\"\\u00e9\",\"n\":null}";
    struct buf changed = {0};
    for (size_t n = 0; n < sizeof text - 1; n++) {
        if (readings_parse(BYTES_LIT("D1"), bytes_of(text, n), NOW, &readings, why, sizeof why) ==
            0) {
            (void)words();
            readings_close(&readings);
        }
        for (unsigned c = 0; c < 256; c++) {
            buf_reset(&changed);
            buf_append(&changed, text, sizeof text - 1);
            changed.p[n] = (uint8_t)c;
            if (readings_parse(BYTES_LIT("D1"), buf_bytes(&changed), NOW, &readings, why,
                               sizeof why) == 0) {
                (void)words();
                readings_close(&readings);
            }
        }
    }
    buf_close(&changed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bare_values),
        cmocka_unit_test(objects),
        cmocka_unit_test(readings_have_the_time_of_arrival),
        cmocka_unit_test(a_report_says_everything_itself),
        cmocka_unit_test(what_is_no_reading_is_refused_with_words),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(anything_may_come),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
