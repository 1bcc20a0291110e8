#include "unit/ledger/network.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

static struct network network;
static struct buf data;     /* one with two devices, as JSON */
static struct buf empty;    /* one without records */
static struct buf describe; /* one with an item */

static int setup(void **state)
{
    (void)state;
    network_make(&network, 4, 1);
    struct batch batch = {0};
    struct record records[] = {record_of("D1", 1, "36"), record_of("D2", 2, "6")};
    struct interval_leaf leaves[] = {leaf_of(2, LEAF_ACKNOWLEDGED), leaf_of(5, LEAF_DROPPED)};
    struct item item = item_of(1, "D1", "t");
    add_data(&batch, &network, 17, 5, leaves, 2, records, 2);
    add_interval(&batch, &network, 18, 6, 6);
    add_describe(&batch, &network, 19, &item, 1);
    struct buf *texts[] = {&data, &empty, &describe};
    for (size_t i = 0; i < 3; i++)
        if (request_to_json(buf_bytes(&batch.wires[i]), BYTES_LIT("reply/to"), 0, texts[i]) != 0)
            return -1;
    batch_close(&batch);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    buf_close(&data);
    buf_close(&empty);
    buf_close(&describe);
    return 0;
}

static int parse(struct bytes json)
{
    uint8_t *copy = malloc(json.n == 0 ? 1 : json.n);
    assert_non_null(copy);
    if (json.n != 0)
        memcpy(copy, json.p, json.n);
    struct buf wire = {0};
    buf_append_cstr(&wire, "before");
    char topic[TOPIC_MAX_BYTES + 1] = "unset";
    int error = request_from_json(bytes_of(copy, json.n), &wire, topic);
    assert_int_equal(wire.n == 6, error != 0);
    if (error != 0)
        assert_string_equal(topic, "");
    buf_close(&wire);
    free(copy);
    return error;
}

/* The text with its `which`-th `from` replaced. */
static int parse_with(struct buf *text, unsigned which, const char *from, const char *to)
{
    const char *all = buf_cstr(text);
    const char *at = strstr(all, from);
    while (at != NULL && which-- > 0)
        at = strstr(at + 1, from);
    if (at == NULL)
        fail_msg("no %s in %s", from, all);
    struct buf changed = {0};
    buf_append(&changed, all, (size_t)(at - all));
    buf_append_cstr(&changed, to);
    buf_append_cstr(&changed, at + strlen(from));
    int error = parse(buf_bytes(&changed));
    buf_close(&changed);
    return error;
}

struct change {
    unsigned which;
    const char *from, *to;
    int error;
};

static void try_changes(struct buf *text, const struct change *changes, size_t n)
{
    assert_int_equal(parse(buf_bytes(text)), 0);
    for (size_t i = 0; i < n; i++) {
        int error = parse_with(text, changes[i].which, changes[i].from, changes[i].to);
        if (error != changes[i].error)
            fail_msg("%s -> %s: %s", changes[i].from, changes[i].to, sealmq_error_name(error));
    }
}

static void data_is_refused_for_each_thing_that_is_wrong(void **state)
{
    (void)state;
    static const struct change changes[] = {
        {0, "{", "[", SEALMQ_E_PARSE},
        {0, "\"devices\"", "\"device\"", SEALMQ_E_PARSE},
        {0, "\"code\":200", "\"code\":500", SEALMQ_E_PARSE},
        {0, "\"code\":200", "\"code\":\"x\"", SEALMQ_E_PARSE},
        {0, "\"count\":1", "\"count\":2", SEALMQ_E_COUNT},
        {0, "\"count\":1,", "", SEALMQ_E_PARSE},
        {0, "\"msg\":\"information reported successfully\",", "", SEALMQ_E_PARSE},
        {0, "\"serviceId\":\"\"", "\"serviceId\":\"CS\"", 0},
        {0, "\"serviceId\":\"\"", "\"serviceId\":\"C/S\"", SEALMQ_E_PARSE},
        {0, "19700101T000000Z", "yesterday", SEALMQ_E_PARSE},
        {0, "\"deviceId\":\"D1\"", "\"deviceId\":\"D3\"", SEALMQ_E_PARSE},
        {0, "\"deviceId\":\"D1\"", "\"deviceId\":7", SEALMQ_E_PARSE},
        {0, "\"services\":[{", "\"services\":[5,{", SEALMQ_E_PARSE},
        {0, "\"data\":[\"", "\"data\":[5,\"", SEALMQ_E_PARSE},
        {0, "\"data\":[\"" GATEWAY, "\"data\":[\"devices/other", SEALMQ_E_PARSE},
        {0, "/D1/1/", "/D1/01/", SEALMQ_E_PARSE},
        {0, "\"topic\":\"reply/to\"", "\"topic\":\"reply/other\"", SEALMQ_E_PARSE},
        {1, "\"topic\":\"reply/to\"", "\"topic\":\"reply/other\"", SEALMQ_E_PARSE},
        {0, "\"topic\":\"reply/to\",", "", SEALMQ_E_PARSE},
        {0, "\"sign\":\"", "\"sign\":\"A", SEALMQ_E_PARSE},
        {0, "\"request\":17", "\"request\":0", SEALMQ_E_PARSE},
        {0, "\"request\":17", "\"request\":-1", SEALMQ_E_PARSE},
        {0, "\"request\":17", "\"request\":1.5", SEALMQ_E_PARSE},
        {0, "\"request\":17", "\"request\":\"18\"", 0},
        {0, "\"request\":17,", "", SEALMQ_E_PARSE},
        {0, "\"request\":17", "\"request\":17,\"sender\":\"devices/other\"", SEALMQ_E_PARSE},
        {0, "\"request\":17", "\"request\":17,\"sender\":\"" GATEWAY "\"", 0},
        {0, "\"request\":17", "\"request\":17,\"sender\":5", SEALMQ_E_PARSE},
        {0, "\"request\":17", "\"request\":17,\"topic\":\"reply/other\"", SEALMQ_E_PARSE},
        {0, "\"request\":17", "\"request\":17,\"items\":[]", SEALMQ_E_PARSE},
        {0, "\"request\":17", "\"request\":17,\"colour\":\"red\"", 0},
        {0, "\"interval\"", "\"Interval\"", SEALMQ_E_PARSE},
        {0, "\"from\":5", "\"from\":4", SEALMQ_E_PARSE},
        {0, "\"from\":5", "\"from\":3", SEALMQ_E_COUNT},
        {0, "\"to\":5", "\"to\":6", SEALMQ_E_PARSE},
        {0, "[2,\"a\"", "[3,\"a\"", SEALMQ_E_HASH},
        {0, "[2,\"a\"", "[2,\"d\"", SEALMQ_E_PARSE},
        {0, "[2,\"a\"", "[2,\"x\"", SEALMQ_E_TYPE},
        {0, "[2,\"a\"", "[\"2\",\"a\"", 0},
        {0, "[2,\"a\"", "[2.5,\"a\"", SEALMQ_E_PARSE},
        {0, "[2,\"a\"", "[-2,\"a\"", SEALMQ_E_PARSE},
        {0, "[2,\"a\"", "[9007199254740992,\"a\"", SEALMQ_E_PARSE},
        {0, "[2,\"a\"", "[2,5", SEALMQ_E_PARSE},
        {0, "[2,\"a\",", "[2,\"a\",\"x\",", SEALMQ_E_PARSE},
        {0, "[2,\"a\",", "[\"a\",", SEALMQ_E_PARSE},
        {0, "broker/000", "broker/001", SEALMQ_E_HASH},
        {0, "\"leaves\":[", "\"leaves\":[7,", SEALMQ_E_PARSE},
        {0, "\"leaves\":[", "\"leaves\":[[],", SEALMQ_E_PARSE},
    };
    try_changes(&data, changes, sizeof(changes) / sizeof(changes[0]));
    /* Another signature in one of the services. */
    static const char sign[] = "\"sign\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
                               "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==\",\"old\":\"";
    assert_int_equal(parse_with(&data, 1, "\"sign\":\"", sign), SEALMQ_E_PARSE);
}

static void a_request_without_records_needs_sender_and_sign(void **state)
{
    (void)state;
    static const struct change changes[] = {
        {0, "\"sender\":\"" GATEWAY "\",", "", SEALMQ_E_PARSE},
        {0, "\"sender\":\"" GATEWAY "\"", "\"sender\":\"nobody\"", SEALMQ_E_PARSE},
        {0, "\"sign\"", "\"Sign\"", SEALMQ_E_PARSE},
        {0, "\"topic\":\"reply/to\",", "", 0},
        {0, "\"topic\":\"reply/to\"", "\"topic\":\"reply/+\"", SEALMQ_E_PARSE},
        {0, "\"topic\":\"reply/to\"", "\"topic\":\"#\"", SEALMQ_E_PARSE},
        {0, "\"topic\":\"reply/to\"", "\"topic\":7", SEALMQ_E_PARSE},
        {0, "\"leaves\":[[6", "\"leaves\":[[7", SEALMQ_E_PARSE},
    };
    try_changes(&empty, changes, sizeof(changes) / sizeof(changes[0]));
}

static void items_are_refused_for_each_thing_that_is_wrong(void **state)
{
    (void)state;
    static const struct change changes[] = {
        {0, "\"items\":[{", "\"items\":[5,{", SEALMQ_E_PARSE},
        {0, "\"items\":[", "\"items\":{\"a\":[", SEALMQ_E_PARSE},
        {0, "\"num\":1", "\"num\":0", SEALMQ_E_PARSE},
        {0, "\"num\":1", "\"num\":4294967296", SEALMQ_E_LIMIT},
        {0, "\"num\":1", "\"num\":2", 0},
        {0, "\"name\":\"t\"", "\"name\":\"t/u\"", SEALMQ_E_PARSE},
        {0, "\"name\":\"t\",", "", SEALMQ_E_PARSE},
        {0, "\"datatype\":\"double\"", "\"datatype\":\"float\"", SEALMQ_E_TYPE},
        {0, "\"unit\"", "\"units\"", SEALMQ_E_PARSE},
    };
    try_changes(&describe, changes, sizeof(changes) / sizeof(changes[0]));
}

static void a_text_that_ends_early_is_refused(void **state)
{
    (void)state;
    for (size_t n = 0; n < data.n; n++)
        assert_int_not_equal(parse(bytes_of(data.p, n)), 0);
}

static void topics_are_bounded(void **state)
{
    (void)state;
    char topic[TOPIC_MAX_BYTES + 32];
    memset(topic, 't', sizeof(topic));
    memcpy(topic, "\"topic\":\"", 9);
    topic[9 + TOPIC_MAX_BYTES] = '"';
    topic[10 + TOPIC_MAX_BYTES] = '\0';
    assert_int_equal(parse_with(&empty, 0, "\"topic\":\"reply/to\"", topic), 0);
    topic[9 + TOPIC_MAX_BYTES] = 't';
    topic[10 + TOPIC_MAX_BYTES] = '"';
    topic[11 + TOPIC_MAX_BYTES] = '\0';
    assert_int_equal(parse_with(&empty, 0, "\"topic\":\"reply/to\"", topic), SEALMQ_E_LIMIT);
}

static void services_of_a_device_may_be_several_and_empty(void **state)
{
    (void)state;
    /* Records in the order of the text, whatever services they are grouped under. */
    struct buf wire = {0}, plain = {0};
    assert_int_equal(request_from_json(buf_bytes(&data), &plain, NULL), 0);
    struct buf changed = {0};
    const char *all = buf_cstr(&data);
    const char *service = strstr(all, "\"services\":[") + strlen("\"services\":[");
    const char *end = strstr(service, "}]}");
    buf_append(&changed, all, (size_t)(end - all) + 1);
    buf_append_cstr(&changed, ",");
    const char *records = strstr(service, "\"data\":[") + strlen("\"data\":[");
    const char *records_end = strchr(records, ']');
    buf_append(&changed, service, (size_t)(records - service));
    buf_append(&changed, records_end, (size_t)(end + 1 - records_end));
    buf_append_cstr(&changed, end + 1);
    assert_non_null(buf_cstr(&changed));
    char *count = strstr((char *)changed.p + (end - all), "\"count\":1");
    assert_non_null(count);
    count[strlen("\"count\":")] = '0';
    assert_int_equal(request_from_json(buf_bytes(&changed), &wire, NULL), 0);
    assert_true(bytes_equal(buf_bytes(&wire), buf_bytes(&plain)));
    buf_close(&wire);
    buf_close(&plain);
    buf_close(&changed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(data_is_refused_for_each_thing_that_is_wrong),
        cmocka_unit_test(a_request_without_records_needs_sender_and_sign),
        cmocka_unit_test(items_are_refused_for_each_thing_that_is_wrong),
        cmocka_unit_test(a_text_that_ends_early_is_refused),
        cmocka_unit_test(topics_are_bounded),
        cmocka_unit_test(services_of_a_device_may_be_several_and_empty),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
