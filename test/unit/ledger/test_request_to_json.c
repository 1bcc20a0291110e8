#include "unit/ledger/network.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/text.h"

static struct network network;

static int setup(void **state)
{
    (void)state;
    network_make(&network, 4, 1);
    return 0;
}

#define TOPIC "chain/plant/reply/" GATEWAY

/* To JSON and back: the wire form must come back byte for byte. Gives the JSON. */
static void round_trip(const struct batch *batch, struct buf *json)
{
    struct bytes wire = buf_bytes(&batch->wires[batch->n - 1]);
    assert_int_equal(request_to_json(wire, BYTES_LIT(TOPIC), NETWORK_CREATED_US, json), 0);
    struct buf back = {0};
    char topic[TOPIC_MAX_BYTES + 1];
    assert_int_equal(request_from_json(buf_bytes(json), &back, topic), 0);
    assert_true(bytes_equal(buf_bytes(&back), wire));
    assert_string_equal(topic, TOPIC);
    buf_reset(&back);
    assert_int_equal(request_from_json(buf_bytes(json), &back, NULL), 0);
    buf_close(&back);
}

static const cJSON *member(const cJSON *object, const char *name)
{
    const cJSON *found = cJSON_GetObjectItemCaseSensitive(object, name);
    assert_non_null(found);
    return found;
}

static void records_are_grouped_by_device_in_their_order(void **state)
{
    (void)state;
    struct record records[] = {record_of("D1", 1, "36"), record_of("D1", 2, "6"),
                               record_of("D2", 3, "x/y \"\xc3\xa4\""), record_of("D1", 1, "37")};
    struct interval_leaf leaves[] = {leaf_of(2, LEAF_ACKNOWLEDGED), leaf_of(5, LEAF_DROPPED),
                                     leaf_of(6, LEAF_PENDING)};
    struct batch batch = {0};
    add_data(&batch, &network, 17, 5, leaves, 3, records, 4);
    struct buf json = {0};
    round_trip(&batch, &json);

    cJSON *root;
    assert_int_equal(json_parse(buf_bytes(&json), &root, NULL), 0);
    const cJSON *devices = member(root, "devices");
    assert_int_equal(cJSON_GetArraySize(devices), 3);
    static const struct {
        const char *device;
        int count;
        const char *first;
    } expected[] = {{"D1", 2, GATEWAY "/D1/1/20260101T000000Z/36"},
                    {"D2", 1, GATEWAY "/D2/3/20260101T000000Z/x/y \"\xc3\xa4\""},
                    {"D1", 1, GATEWAY "/D1/1/20260101T000000Z/37"}};
    const char *sign = NULL;
    for (int i = 0; i < 3; i++) {
        const cJSON *device = cJSON_GetArrayItem(devices, i);
        assert_string_equal(member(device, "deviceId")->valuestring, expected[i].device);
        const cJSON *services = member(device, "services");
        assert_int_equal(cJSON_GetArraySize(services), 1);
        const cJSON *service = services->child;
        assert_int_equal(member(service, "code")->valueint, 200);
        assert_int_equal(member(service, "count")->valueint, expected[i].count);
        assert_int_equal(cJSON_GetArraySize(member(service, "data")), expected[i].count);
        assert_string_equal(member(service, "data")->child->valuestring, expected[i].first);
        assert_string_equal(member(service, "msg")->valuestring,
                            "information reported successfully");
        assert_string_equal(member(service, "topic")->valuestring, TOPIC);
        assert_string_equal(member(service, "serviceId")->valuestring, "");
        assert_string_equal(member(service, "eventtime")->valuestring, "20260101T000000Z");
        const char *this_sign = member(service, "sign")->valuestring;
        assert_true(sign == NULL || strcmp(sign, this_sign) == 0);
        sign = this_sign;
    }
    assert_int_equal(member(root, "request")->valueint, 17);
    const cJSON *interval = member(root, "interval");
    assert_int_equal(member(interval, "from")->valueint, 5);
    assert_int_equal(member(interval, "to")->valueint, 6);
    const cJSON *leaf = member(interval, "leaves")->child;
    assert_int_equal(leaf->child->valueint, 2);
    assert_string_equal(leaf->child->next->valuestring, "a");
    assert_string_equal(leaf->child->next->next->valuestring, "broker/000");
    assert_string_equal(leaf->next->child->next->valuestring, "d");
    assert_string_equal(leaf->next->next->child->next->valuestring, "p");
    assert_string_equal(leaf->next->next->child->next->next->valuestring, "");
    cJSON_Delete(root);
    buf_close(&json);
    batch_close(&batch);
}

static void requests_without_records_name_their_sender(void **state)
{
    (void)state;
    struct batch batch = {0};
    add_interval(&batch, &network, 1, 1, 2);
    struct buf json = {0};
    round_trip(&batch, &json);
    cJSON *root;
    assert_int_equal(json_parse(buf_bytes(&json), &root, NULL), 0);
    assert_int_equal(cJSON_GetArraySize(member(root, "devices")), 0);
    assert_string_equal(member(root, "sender")->valuestring, GATEWAY);
    assert_string_equal(member(root, "topic")->valuestring, TOPIC);
    assert_true(cJSON_IsString(member(root, "sign")));
    cJSON_Delete(root);
    buf_reset(&json);
    add_data(&batch, &network, 2, 3, NULL, 0, NULL, 0);
    round_trip(&batch, &json);
    buf_close(&json);
    batch_close(&batch);
}

static void descriptions_have_items(void **state)
{
    (void)state;
    struct item items[] = {item_of(1, "D1", "t"), item_of(UINT32_MAX, "D.2_-", "h")};
    items[1].unit = BYTES_LIT("");
    items[1].type = DATATYPE_STRING;
    struct batch batch = {0};
    add_describe(&batch, &network, 3, items, 2);
    struct buf json = {0};
    round_trip(&batch, &json);
    cJSON *root;
    assert_int_equal(json_parse(buf_bytes(&json), &root, NULL), 0);
    const cJSON *item = member(root, "items")->child;
    assert_int_equal(member(item, "num")->valueint, 1);
    assert_string_equal(member(item, "deviceId")->valuestring, "D1");
    assert_string_equal(member(item, "serviceId")->valuestring, "CS");
    assert_string_equal(member(item, "name")->valuestring, "t");
    assert_string_equal(member(item, "datatype")->valuestring, "double");
    assert_string_equal(member(item, "unit")->valuestring, "\xc2\xb0"
                                                           "C");
    assert_null(cJSON_GetObjectItemCaseSensitive(root, "interval"));
    cJSON_Delete(root);
    buf_close(&json);
    batch_close(&batch);
}

static void large_numbers_survive(void **state)
{
    (void)state;
    static const uint64_t numbers[] = {(UINT64_C(1) << 53) - 1, UINT64_C(1) << 53,
                                       (UINT64_C(1) << 53) + 1, SEQUENCE_MAX};
    for (size_t i = 0; i < 4; i++) {
        struct batch batch = {0};
        struct buf json = {0};
        struct interval_leaf leaf = leaf_of(numbers[i], LEAF_PENDING);
        add_data(&batch, &network, numbers[i], numbers[i], &leaf, 1, NULL, 0);
        round_trip(&batch, &json);
        buf_close(&json);
        batch_close(&batch);
    }
}

static void what_admins_send_has_no_json_form(void **state)
{
    (void)state;
    struct batch batch = {0};
    add_revoke(&batch, &network, 1, GATEWAY);
    struct buf json = {0};
    assert_int_equal(request_to_json(buf_bytes(&batch.wires[0]), BYTES_LIT(TOPIC), 0, &json),
                     SEALMQ_E_TYPE);
    assert_int_equal(request_to_json(BYTES_LIT("x"), BYTES_LIT(TOPIC), 0, &json), SEALMQ_E_SHORT);
    assert_int_equal(json.n, 0);
    batch_close(&batch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_are_grouped_by_device_in_their_order),
        cmocka_unit_test(requests_without_records_name_their_sender),
        cmocka_unit_test(descriptions_have_items),
        cmocka_unit_test(large_numbers_survive),
        cmocka_unit_test(what_admins_send_has_no_json_form),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
