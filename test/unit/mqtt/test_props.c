/* Properties, section 2.2.2, against the specification's table 2-4 written down once more. */
#include "unit/mqtt/wire.h"

/* One packet for each place where properties stand, with a hole for them. */
static const struct place {
    char letter; /* names it in the table below */
    bool from_client;
    uint8_t first;
    const char *before, *after;
} places[] = {
    {'C', true, 0x10, "s'MQTT' 05 02 003c", "s'me'"},
    {'W', true, 0x10, "s'MQTT' 05 06 003c p() s'me'", "s'w' s''"},
    {'c', false, 0x20, "00 00", ""},
    {'P', true, 0x30, "s'a'", ""},
    {'p', false, 0x30, "s'a'", ""},
    {'A', true, 0x40, "0001 00", ""}, /* PUBACK to PUBCOMP */
    {'A', false, 0x50, "0001 00", ""},
    {'A', true, 0x62, "0001 00", ""},
    {'A', false, 0x70, "0001 00", ""},
    {'S', true, 0x82, "0001", "s'a' 00"},
    {'s', false, 0x90, "0001", "00"},
    {'U', true, 0xa2, "0001", "s'a'"},
    {'u', false, 0xb0, "0001", "00"},
    {'D', true, 0xe0, "00", ""},
    {'d', false, 0xe0, "00", ""},
    {'X', true, 0xf0, "18", ""}, /* AUTH */
    {'x', false, 0xf0, "18", ""},
};
#define PLACES (sizeof(places) / sizeof(places[0]))

static const struct rule {
    uint8_t id;
    const char *places;
    const char *value;
    const char *truncated; /* the same with its last byte missing */
} rules[] = {
    {0x01, "PpW", "01", ""},
    {0x02, "PpW", "00000000", "000000"},
    {0x03, "PpW", "s'text'", "0004 746578"},
    {0x08, "PpW", "s'r'", "0001"},
    {0x09, "PpW", "0002 00ff", "0002 00"},
    {0x0b, "pS", "05", ""},
    {0x11, "CcD", "ffffffff", "ffffff"},
    {0x12, "c", "s'id'", "0002 69"},
    {0x13, "c", "003c", "00"},
    {0x15, "CcXx", "s'm'", "0001"},
    {0x16, "cXx", "0002 00ff", "0002 00"}, /* CONNECT: not without 0x15, see test_connect.c */
    {0x17, "C", "01", ""},
    {0x18, "W", "00000001", "000000"},
    {0x19, "C", "00", ""},
    {0x1a, "c", "s'r'", "0001"},
    {0x1c, "cdD", "s'other'", "0005 6f746865"},
    {0x1f, "cAsudDXx", "s'why'", "0003 7768"},
    {0x21, "Cc", "0001", "00"},
    {0x22, "Cc", "0000", "00"},
    {0x23, "Pp", "0001", "00"},
    {0x24, "c", "00", ""},
    {0x25, "c", "00", ""},
    {0x26, "CWcPpASsUudDXx", "s'k' s'v'", "s'k' 0001"},
    {0x27, "Cc", "00000001", "000000"},
    {0x28, "c", "01", ""},
    {0x29, "c", "01", ""},
    {0x2a, "c", "01", ""},
};
#define RULES (sizeof(rules) / sizeof(rules[0]))

static const struct rule *rule_of(uint8_t id)
{
    for (size_t i = 0; i < RULES; i++)
        if (rules[i].id == id)
            return &rules[i];
    return NULL;
}

/* What decoding `place` with this list says. An AUTH needs its method, so it gets one unless the
 * list is about that. */
static int decode_with(const struct place *place, struct bytes list, bool has_method,
                       uint8_t *reason)
{
    struct buf body = {0}, whole = {0};
    struct mqtt_packet out;
    if (place->first == 0xf0 && !has_method)
        wire_append(&whole, "15 s'm'");
    buf_append_bytes(&whole, list);
    wire_append(&body, place->before);
    mqtt_append_varint(&body, (uint32_t)whole.n);
    buf_append_bytes(&body, buf_bytes(&whole));
    wire_append(&body, place->after);
    *reason = 0;
    int error = mqtt_decode(wire_packet_bytes(place->first, buf_bytes(&body)), MQTT_V5,
                            place->from_client, &out, reason);
    buf_close(&body);
    buf_close(&whole);
    return error;
}

static void append_prop(struct buf *list, uint8_t id, const char *value)
{
    buf_append_u8(list, id);
    wire_append(list, value);
}

static int decode_one(const struct place *place, uint8_t id, const char *value, uint8_t *reason)
{
    struct buf list = {0};
    append_prop(&list, id, value);
    int error = decode_with(place, buf_bytes(&list), id == 0x15, reason);
    buf_close(&list);
    return error;
}

static bool is_at(const struct rule *rule, const struct place *place)
{
    return strchr(rule->places, place->letter) != NULL;
}

static void each_property_stands_only_where_it_may(void **state)
{
    (void)state;
    for (size_t p = 0; p < PLACES; p++) {
        for (unsigned id = 0; id < 256; id++) {
            uint8_t reason;
            const struct rule *rule = rule_of((uint8_t)id);
            int error = decode_one(&places[p], (uint8_t)id, rule != NULL ? rule->value : "00000000",
                                   &reason);
            int want = rule != NULL && is_at(rule, &places[p]) ? 0 : SEALMQ_E_PARSE;
            /* The other side's, or without what it needs: a protocol error. */
            if ((id == 0x0b && places[p].letter == 'P') ||
                (id == 0x11 && places[p].letter == 'd') || (id == 0x16 && places[p].letter == 'C'))
                want = SEALMQ_E_PROTOCOL;
            if (error != want)
                fail_msg("property 0x%02x in place %c: %s", id, places[p].letter,
                         sealmq_error_name(error));
            assert_int_equal(reason, want == 0 ? 0 : want == SEALMQ_E_PARSE ? 0x81 : 0x82);
        }
    }
}

static void a_property_that_is_cut_short_is_malformed(void **state)
{
    (void)state;
    for (size_t p = 0; p < PLACES; p++) {
        for (size_t r = 0; r < RULES; r++) {
            uint8_t reason;
            if (!is_at(&rules[r], &places[p]))
                continue;
            assert_int_equal(decode_one(&places[p], rules[r].id, rules[r].truncated, &reason),
                             SEALMQ_E_PARSE);
            assert_int_equal(reason, 0x81);
        }
    }
}

static void only_user_properties_and_subscriptions_may_repeat(void **state)
{
    (void)state;
    for (size_t p = 0; p < PLACES; p++) {
        for (size_t r = 0; r < RULES; r++) {
            const struct rule *rule = &rules[r];
            struct buf list = {0};
            uint8_t reason;
            if (!is_at(rule, &places[p]))
                continue;
            append_prop(&list, rule->id, rule->value);
            append_prop(&list, 0x26, "s'between' s''");
            append_prop(&list, rule->id, rule->value);
            int error = decode_with(&places[p], buf_bytes(&list), rule->id == 0x15, &reason);
            bool may_repeat = rule->id == 0x26 || (rule->id == 0x0b && places[p].letter == 'p');
            assert_int_equal(error, may_repeat ? 0 : SEALMQ_E_PROTOCOL);
            assert_int_equal(reason, may_repeat ? 0 : 0x82);
            buf_close(&list);
        }
    }
}

static void check_value(char letter, uint8_t id, const char *value, uint8_t want_reason)
{
    for (size_t p = 0; p < PLACES; p++) {
        uint8_t reason;
        if (places[p].letter != letter)
            continue;
        int error = decode_one(&places[p], id, value, &reason);
        int want = want_reason == 0 ? 0 : want_reason == 0x81 ? SEALMQ_E_PARSE : SEALMQ_E_PROTOCOL;
        if (error != want || reason != want_reason)
            fail_msg("property 0x%02x = %s: %s, 0x%02x", id, value, sealmq_error_name(error),
                     reason);
    }
}

static void values_out_of_range_are_protocol_errors(void **state)
{
    static const struct {
        char place;
        uint8_t id;
    } bytes_of_0_or_1[] = {{'P', 0x01}, {'W', 0x01}, {'C', 0x17}, {'C', 0x19}, {'c', 0x24},
                           {'c', 0x25}, {'c', 0x28}, {'c', 0x29}, {'c', 0x2a}};
    (void)state;
    for (size_t i = 0; i < sizeof(bytes_of_0_or_1) / sizeof(bytes_of_0_or_1[0]); i++) {
        check_value(bytes_of_0_or_1[i].place, bytes_of_0_or_1[i].id, "00", 0);
        check_value(bytes_of_0_or_1[i].place, bytes_of_0_or_1[i].id, "01", 0);
        check_value(bytes_of_0_or_1[i].place, bytes_of_0_or_1[i].id, "02", 0x82);
        check_value(bytes_of_0_or_1[i].place, bytes_of_0_or_1[i].id, "ff", 0x82);
    }
    check_value('C', 0x21, "0000", 0x82);
    check_value('c', 0x21, "0000", 0x82);
    check_value('C', 0x27, "00000000", 0x82);
    check_value('c', 0x27, "00000000", 0x82);
    check_value('S', 0x0b, "00", 0x82);
    check_value('P', 0x23, "0000", 0x94);
    check_value('p', 0x23, "0000", 0x94);
}

static void strings_in_properties_are_utf_8(void **state)
{
    static const struct {
        char place;
        uint8_t id;
    } strings[] = {{'P', 0x03}, {'P', 0x08}, {'c', 0x12}, {'C', 0x15}, {'c', 0x1a},
                   {'c', 0x1c}, {'A', 0x1f}, {'d', 0x1f}, {'W', 0x03}};
    (void)state;
    for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
        check_value(strings[i].place, strings[i].id, "0002 c3a4", 0);
        check_value(strings[i].place, strings[i].id, "0001 c3", 0x81);
        check_value(strings[i].place, strings[i].id, "0001 00", 0x81);
    }
    check_value('U', 0x26, "0001 ff s'v'", 0x81);
    check_value('U', 0x26, "s'k' 0001 ff", 0x81);
    check_value('U', 0x26, "s'' s''", 0);
    check_value('P', 0x09, "0001 00", 0);
}

static void the_length_of_the_list_is_exact(void **state)
{
    (void)state;
    REFUSE_CLIENT(MQTT_V5, 0x30, "s'a'", MALFORMED);            /* none */
    REFUSE_CLIENT(MQTT_V5, 0x30, "s'a' 03 0101", MALFORMED);    /* beyond the packet */
    REFUSE_CLIENT(MQTT_V5, 0x30, "s'a' 01 0101", MALFORMED);    /* within a property */
    REFUSE_CLIENT(MQTT_V5, 0x30, "s'a' 8000", MALFORMED);       /* longer than necessary */
    REFUSE_CLIENT(MQTT_V5, 0x30, "s'a' 8080", MALFORMED);       /* unfinished */
    REFUSE_CLIENT(MQTT_V5, 0x30, "s'a' ffffffff7f", MALFORMED); /* too long */
    REFUSE_CLIENT(MQTT_V5, 0x30, "s'a' 03 8101 00", MALFORMED); /* a long identifier */
    struct mqtt_packet k = ACCEPT_CLIENT(MQTT_V5, 0x30, "s'a' 02 0101 'payload'");
    assert_bytes(k.publish.payload, "payload");
}

static void appended_properties_are_found_again(void **state)
{
    struct buf list = {0};
    struct mqtt_prop prop;
    (void)state;
    mqtt_props_append_number(&list, MQTT_PROP_PAYLOAD_FORMAT, 1);
    mqtt_props_append_number(&list, MQTT_PROP_TOPIC_ALIAS, 0x1234);
    mqtt_props_append_number(&list, MQTT_PROP_MESSAGE_EXPIRY, 0x12345678);
    mqtt_props_append_number(&list, MQTT_PROP_SUBSCRIPTION_ID, 268435455);
    mqtt_props_append_text(&list, MQTT_PROP_CONTENT_TYPE, BYTES_LIT("text"));
    mqtt_props_append_text(&list, MQTT_PROP_CORRELATION_DATA, BYTES_LIT("\x00\xff"));
    mqtt_props_append(&list, &(struct mqtt_prop){.id = MQTT_PROP_USER_PROPERTY,
                                                 .text = BYTES_LIT("key"),
                                                 .value = BYTES_LIT("value")});
    assert_int_equal(buf_status(&list), 0);

    struct buf want = {0};
    wire_append(&want, "01 01 23 1234 02 12345678 0b ffffff7f 03 s'text' 09 0002 00ff "
                       "26 s'key' s'value'");
    assert_true(bytes_equal(buf_bytes(&list), buf_bytes(&want)));

    struct mqtt_props props = {buf_bytes(&list)};
    assert_true(mqtt_props_find(props, MQTT_PROP_SUBSCRIPTION_ID, &prop));
    assert_int_equal(prop.number, 268435455);
    assert_true(mqtt_props_find(props, MQTT_PROP_USER_PROPERTY, &prop));
    assert_bytes(prop.text, "key");
    assert_bytes(prop.value, "value");
    assert_false(mqtt_props_find(props, MQTT_PROP_REASON_STRING, &prop));
    size_t count = 0;
    while (mqtt_props_next(&props, &prop))
        count++;
    assert_int_equal(count, 7);
    assert_false(mqtt_props_next(&props, &prop));
    buf_close(&list);
    buf_close(&want);
}

static void a_property_too_long_for_the_wire_is_over_the_limit(void **state)
{
    static const char long_text[65536];
    struct buf list = {0};
    (void)state;
    mqtt_props_append_text(&list, MQTT_PROP_CORRELATION_DATA, bytes_of(long_text, 65535));
    assert_int_equal(buf_status(&list), 0);
    mqtt_props_append_text(&list, MQTT_PROP_CORRELATION_DATA, bytes_of(long_text, 65536));
    assert_int_equal(buf_status(&list), SEALMQ_E_LIMIT);
    buf_close(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_property_stands_only_where_it_may),
        cmocka_unit_test(a_property_that_is_cut_short_is_malformed),
        cmocka_unit_test(only_user_properties_and_subscriptions_may_repeat),
        cmocka_unit_test(values_out_of_range_are_protocol_errors),
        cmocka_unit_test(strings_in_properties_are_utf_8),
        cmocka_unit_test(the_length_of_the_list_is_exact),
        cmocka_unit_test(appended_properties_are_found_again),
        cmocka_unit_test(a_property_too_long_for_the_wire_is_over_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
