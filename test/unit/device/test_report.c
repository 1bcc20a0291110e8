/* Reports as JSON: what is taken, what is refused and with which words, and that writing and
 * reading give the same rows and so the same report hash. */
#include "keys.h"

#include "base/text.h"
#include "device/report.h"

static struct report report;
static char why[256];

static int parse(const char *json)
{
    why[0] = '\0';
    return report_parse(bytes_str(json), &report, why, sizeof why);
}

static void refused(const char *json, int error, const char *words)
{
    assert_int_equal(parse(json), error);
    if (strstr(why, words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", why, words);
    assert_null(report.json);
    assert_null(report.rows);
}

#define ITEM(val)        "{\"name\":\"t\",\"datatype\":\"double\",\"val\":" val ",\"unit\":\"C\"}"
#define SERVICE(more)    "{\"serviceId\":\"CS\",\"eventtime\":\"20200706T144831Z\"," more "}"
#define DEVICE(services) "{\"devices\":[{\"deviceId\":\"D1\",\"services\":[" services "]}]}"
#define ONE(item)        DEVICE(SERVICE("\"count\":1,\"data\":[" item "]"))

static void a_report_gives_its_rows(void **state)
{
    (void)state;
    assert_int_equal(
        parse("{\"devices\":[{\"deviceId\":\"D3343134IE3B\",\"services\":[{\"code\":200,"
              "\"count\":2,\"msg\":\"information reported successfully\",\"topic\":\"\","
              "\"serviceId\":\"CS\",\"data\":[{\"name\":\"device_temperature\",\"datatype\":"
              "\"double\",\"val\":\"36\",\"unit\":\"\xc2\xb0"
              "C\",\"comment\":\"temperature\"},{\"name\":\"device_humidity\",\"datatype\":"
              "\"double\",\"val\":\"6\",\"unit\":\"%\",\"comment\":\"humidity\"}],"
              "\"eventtime\":\"20200706T144831Z\"}]}]}"),
        0);
    assert_int_equal(report.n, 2);
    const struct row *row = &report.rows[1];
    assert_true(bytes_equal(row->device, BYTES_LIT("D3343134IE3B")));
    assert_true(bytes_equal(row->service, BYTES_LIT("CS")));
    assert_true(bytes_equal(row->name, BYTES_LIT("device_humidity")));
    assert_true(bytes_equal(row->unit, BYTES_LIT("%")));
    assert_true(bytes_equal(row->value, BYTES_LIT("6")));
    assert_int_equal(row->type, DATATYPE_DOUBLE);
    assert_int_equal(row->time_us, INT64_C(1594046911000000));
    report_close(&report);
}

static void values_may_be_written_as_what_they_are(void **state)
{
    (void)state;
    assert_int_equal(parse(ONE(ITEM("36.5"))), 0);
    assert_true(bytes_equal(report.rows[0].value, BYTES_LIT("36.5")));
    report_close(&report);
    assert_int_equal(parse(ONE("{\"name\":\"ok\",\"datatype\":\"bool\",\"val\":true}")), 0);
    assert_true(bytes_equal(report.rows[0].value, BYTES_LIT("true")));
    assert_int_equal(report.rows[0].unit.n, 0);
    report_close(&report);
    assert_int_equal(parse(ONE("{\"name\":\"n\",\"datatype\":\"int\",\"val\":-7}")), 0);
    assert_true(bytes_equal(report.rows[0].value, BYTES_LIT("-7")));
    report_close(&report);
}

static void what_is_wrong_is_named_by_its_place(void **state)
{
    (void)state;
    refused("{", SEALMQ_E_PARSE, "byte");
    refused("{}", SEALMQ_E_PARSE, "devices");
    refused("[]", SEALMQ_E_PARSE, "");
    refused("{\"devices\":[]}", SEALMQ_E_COUNT, "no rows");
    refused("{\"devices\":[{\"services\":[]}]}", SEALMQ_E_PARSE, "devices[0]");
    refused("{\"devices\":[{\"deviceId\":\"a/b\",\"services\":[]}]}", SEALMQ_E_PARSE,
            "devices[0]: deviceId must be");
    refused("{\"devices\":[{\"deviceId\":\"a\",\"services\":{}}]}", SEALMQ_E_PARSE, "services");
    refused(DEVICE(SERVICE("\"count\":3,\"data\":[" ITEM("1") "," ITEM("2") "]")), SEALMQ_E_COUNT,
            "devices[0].services[0]: count is 3, data has 2 items");
    refused(DEVICE(SERVICE("\"data\":[]")), SEALMQ_E_PARSE, "count");
    refused(DEVICE(SERVICE("\"count\":0,\"data\":[]")), SEALMQ_E_COUNT, "no rows");
    refused(ONE("{\"name\":\"t\",\"datatype\":\"float\",\"val\":\"1\"}"), SEALMQ_E_TYPE,
            "devices[0].services[0].data[0]: datatype must be");
    refused(ONE(ITEM("\"warm\"")), SEALMQ_E_TYPE, "\"warm\" is no value of datatype double");
    refused(ONE(ITEM("null")), SEALMQ_E_TYPE, "val must be");
    refused(ONE(ITEM("[1]")), SEALMQ_E_TYPE, "val must be");
    refused(ONE("{\"name\":\"t\",\"datatype\":\"double\"}"), SEALMQ_E_PARSE, "\"val\" is missing");
    refused(ONE("{\"name\":\"\",\"datatype\":\"double\",\"val\":1}"), SEALMQ_E_PARSE, "name must");
    refused(ONE("{\"name\":\"t\",\"datatype\":\"double\",\"val\":1,\"unit\":5}"), SEALMQ_E_PARSE,
            "unit");
    refused(ONE("{\"name\":\"t\",\"datatype\":\"double\",\"val\":1,\"unit\":"
                "\"a unit that is longer than anybody needs\"}"),
            SEALMQ_E_LIMIT, "unit is longer");
    refused("{\"devices\":[{\"deviceId\":\"D\",\"services\":[{\"serviceId\":\"CS\",\"eventtime\":"
            "\"yesterday\",\"count\":1,\"data\":[" ITEM("1") "]}]}]}",
            SEALMQ_E_PARSE, "eventtime \"yesterday\"");
    refused("{\"devices\":[{\"deviceId\":\"D\",\"services\":[7]}]}", SEALMQ_E_PARSE,
            "devices[0].services[0]");
    refused("{\"devices\":[7]}", SEALMQ_E_PARSE, "devices[0]");
}

static void it_may_end_anywhere(void **state)
{
    (void)state;
    static const char text[] = ONE(ITEM("\"36\""));
    for (size_t n = 0; n < sizeof text - 1; n++)
        assert_int_equal(report_parse(bytes_of(text, n), &report, why, sizeof why), SEALMQ_E_PARSE);
}

static void a_report_has_a_largest_size(void **state)
{
    (void)state;
    struct buf big = {0};
    buf_append_cstr(&big, ONE(ITEM("1")));
    size_t n = big.n;
    uint8_t *p = buf_extend(&big, REPORT_BYTES_MAX - n);
    memset(p, ' ', REPORT_BYTES_MAX - n);
    assert_int_equal(report_parse(buf_bytes(&big), &report, why, sizeof why), 0);
    report_close(&report);
    buf_append_u8(&big, ' ');
    assert_int_equal(report_parse(buf_bytes(&big), &report, why, sizeof why), SEALMQ_E_LIMIT);
    buf_close(&big);
}

static void a_report_has_a_largest_number_of_rows(void **state)
{
    (void)state;
    struct buf big = {0};
    buf_printf(&big,
               "{\"devices\":[{\"deviceId\":\"D\",\"services\":[{\"serviceId\":\"CS\","
               "\"eventtime\":\"20200706T144831Z\",\"count\":%d,\"data\":[",
               REPORT_ROWS_MAX + 1);
    for (int i = 0; i <= REPORT_ROWS_MAX; i++)
        buf_printf(&big, "%s{\"name\":\"t\",\"datatype\":\"int\",\"val\":1}", i == 0 ? "" : ",");
    buf_append_cstr(&big, "]}]}]}");
    assert_int_equal(buf_status(&big), 0);
    assert_int_equal(report_parse(buf_bytes(&big), &report, why, sizeof why), SEALMQ_E_LIMIT);
    buf_close(&big);
}

static struct row row_of(const char *device, const char *service, const char *name,
                         enum datatype type, const char *value, int64_t time_us)
{
    return (struct row){
        .device = bytes_str(device),
        .service = bytes_str(service),
        .name = bytes_str(name),
        .unit = bytes_str("\"\\\n\xc2\xb0"),
        .value = bytes_str(value),
        .type = type,
        .time_us = time_us,
    };
}

static void what_is_written_reads_back_row_by_row(void **state)
{
    (void)state;
    const struct row rows[] = {
        row_of("D1", "CS", "a", DATATYPE_DOUBLE, "1e-3", 1000000),
        row_of("D1", "CS", "b", DATATYPE_STRING, "\x01\x1f\"\\/\xe2\x82\xac", 1000000),
        row_of("D1", "CS", "c", DATATYPE_BOOL, "false", 1000001),
        row_of("D1", "XY", "c", DATATYPE_INT, "-9223372036854775808", 1000001),
        row_of("D2", "XY", "c", DATATYPE_STRING, "", 1000001),
        row_of("D1", "XY", "c", DATATYPE_INT, "007", 0),
    };
    enum { ROWS = sizeof rows / sizeof rows[0] };
    struct buf json = {0};
    assert_int_equal(report_format(rows, ROWS, &json), 0);
    if (report_parse(buf_bytes(&json), &report, why, sizeof why) != 0)
        fail_msg("%s in %s", why, buf_cstr(&json));
    assert_int_equal(report.n, ROWS);
    struct report_head head = {
        .gateway = BYTES_LIT(GATEWAY), .topic = BYTES_LIT("x"), .n = 1, .rows = ROWS};
    struct hash written, read;
    assert_int_equal(report_hash_of(&head, rows, &written), 0);
    assert_int_equal(report_hash_of(&head, report.rows, &read), 0);
    assert_true(hash_equal(&written, &read));
    head.n = 2;
    assert_int_equal(report_hash_of(&head, rows, &read), 0);
    assert_false(hash_equal(&written, &read));
    report_close(&report);
    buf_close(&json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_report_gives_its_rows),
        cmocka_unit_test(values_may_be_written_as_what_they_are),
        cmocka_unit_test(what_is_wrong_is_named_by_its_place),
        cmocka_unit_test(it_may_end_anywhere),
        cmocka_unit_test(a_report_has_a_largest_size),
        cmocka_unit_test(a_report_has_a_largest_number_of_rows),
        cmocka_unit_test(what_is_written_reads_back_row_by_row),
    };
    return cmocka_run_group_tests(tests, keys_setup, NULL);
}
