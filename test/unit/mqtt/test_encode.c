#include "unit/mqtt/wire.h"

#include <stdlib.h>

static void check_encoded(const struct mqtt_packet *packet, enum mqtt_version version,
                          const char *want_line)
{
    struct buf got = {0}, want = {0};
    buf_append_cstr(&got, "before");
    wire_append(&want, "'before'");
    wire_append(&want, want_line);
    mqtt_encode(packet, version, &got);
    assert_int_equal(buf_status(&got), 0);
    if (!bytes_equal(buf_bytes(&got), buf_bytes(&want)))
        fail_msg("not encoded as: %s", want_line);
    buf_close(&got);
    buf_close(&want);
}

static const uint8_t props_wire[] = {0x1f, 0, 1, 'x'};
#define PROPS                                                                                      \
    {                                                                                              \
        {                                                                                          \
            props_wire, sizeof(props_wire)                                                         \
        }                                                                                          \
    }

static void a_connect_is_written_in_its_own_version(void **state)
{
    struct mqtt_packet k = {.type = MQTT_CONNECT,
                            .connect = {.version = MQTT_V311,
                                        .clean_start = true,
                                        .keep_alive_s = 60,
                                        .client_id = BYTES_LIT("me"),
                                        .has_will = true,
                                        .will_qos = 1,
                                        .will_retain = true,
                                        .will_topic = BYTES_LIT("w"),
                                        .will_payload = BYTES_LIT("gone"),
                                        .has_user_name = true,
                                        .has_password = true,
                                        .user_name = BYTES_LIT("user"),
                                        .password = BYTES_LIT("secret")}};
    (void)state;
    check_encoded(&k, MQTT_V5, "10 25 s'MQTT' 04 ee 003c s'me' s'w' s'gone' s'user' s'secret'");
    k.connect.version = MQTT_V5;
    check_encoded(&k, MQTT_V311,
                  "10 27 s'MQTT' 05 ee 003c p() s'me' p() s'w' s'gone' s'user' s'secret'");
    k.connect = (struct mqtt_connect){.version = MQTT_V5, .will_qos = 2, .will_retain = true};
    check_encoded(&k, MQTT_V5, "10 0d s'MQTT' 05 00 0000 p() s''");
}

static void properties_are_left_out_in_311(void **state)
{
    (void)state;
    struct mqtt_packet k = {.type = MQTT_PUBLISH,
                            .publish = {.dup = true,
                                        .retain = true,
                                        .qos = 2,
                                        .packet_id = 0x0102,
                                        .topic = BYTES_LIT("a/b"),
                                        .props = PROPS,
                                        .payload = BYTES_LIT("hi")}};
    check_encoded(&k, MQTT_V311, "3d 09 s'a/b' 0102 'hi'");
    check_encoded(&k, MQTT_V5, "3d 0e s'a/b' 0102 p(1f s'x') 'hi'");
    k.publish = (struct mqtt_publish){.packet_id = 7, .topic = BYTES_LIT("a")};
    check_encoded(&k, MQTT_V311, "30 03 s'a'");
    check_encoded(&k, MQTT_V5, "30 04 s'a' 00");
    k = (struct mqtt_packet){.type = MQTT_CONNACK,
                             .connack = {.session_present = true, .props = PROPS}};
    check_encoded(&k, MQTT_V311, "20 02 01 00");
    check_encoded(&k, MQTT_V5, "20 07 01 00 p(1f s'x')");
}

static void acknowledgements_take_their_shortest_form(void **state)
{
    static const struct {
        enum mqtt_type type;
        const char *bare, *with_reason, *with_props;
    } acks[] = {
        {MQTT_PUBACK, "40 02 0102", "40 03 0102 92", "40 08 0102 00 p(1f s'x')"},
        {MQTT_PUBREC, "50 02 0102", "50 03 0102 92", "50 08 0102 00 p(1f s'x')"},
        {MQTT_PUBREL, "62 02 0102", "62 03 0102 92", "62 08 0102 00 p(1f s'x')"},
        {MQTT_PUBCOMP, "70 02 0102", "70 03 0102 92", "70 08 0102 00 p(1f s'x')"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(acks) / sizeof(acks[0]); i++) {
        struct mqtt_packet k = {.type = acks[i].type, .ack = {.packet_id = 0x0102}};
        check_encoded(&k, MQTT_V5, acks[i].bare);
        k.ack.reason = 0x92;
        check_encoded(&k, MQTT_V5, acks[i].with_reason);
        check_encoded(&k, MQTT_V311, acks[i].bare);
        k.ack = (struct mqtt_ack){.packet_id = 0x0102, .props = PROPS};
        check_encoded(&k, MQTT_V5, acks[i].with_props);
        check_encoded(&k, MQTT_V311, acks[i].bare);
    }
}

static void subscriptions_are_written(void **state)
{
    static const uint8_t filters[] = {0, 1, 'a', 1};
    (void)state;
    struct mqtt_packet k = {.type = MQTT_SUBSCRIBE,
                            .subscribe = {.packet_id = 1, .filters = {filters, 4}}};
    check_encoded(&k, MQTT_V311, "82 06 0001 s'a' 01");
    check_encoded(&k, MQTT_V5, "82 07 0001 00 s'a' 01");
    k = (struct mqtt_packet){.type = MQTT_UNSUBSCRIBE,
                             .unsubscribe = {.packet_id = 1, .filters = {filters, 3}}};
    check_encoded(&k, MQTT_V311, "a2 05 0001 s'a'");
    check_encoded(&k, MQTT_V5, "a2 06 0001 00 s'a'");
}

static void failures_of_5_become_those_of_311(void **state)
{
    static const uint8_t codes[] = {0, 1, 2, 0x80, 0x87, 0x8f, 0xa2};
    (void)state;
    struct mqtt_packet k = {.type = MQTT_SUBACK, .suback = {.packet_id = 1, .codes = {codes, 7}}};
    check_encoded(&k, MQTT_V5, "90 0a 0001 00 00 01 02 80 87 8f a2");
    check_encoded(&k, MQTT_V311, "90 09 0001 00 01 02 80 80 80 80");
    k.type = MQTT_UNSUBACK;
    check_encoded(&k, MQTT_V311, "b0 02 0001");
    k = (struct mqtt_packet){.type = MQTT_CONNACK, .connack = {.reason = 0x86}};
    check_encoded(&k, MQTT_V311, "20 02 00 04");
    check_encoded(&k, MQTT_V5, "20 03 00 86 00");
    k.connack.reason = 2;
    check_encoded(&k, MQTT_V311, "20 02 00 02");
    k.connack.reason = 0x80;
    check_encoded(&k, MQTT_V311, "20 02 00 03");
}

static void what_ends_a_connection_takes_its_shortest_form(void **state)
{
    (void)state;
    struct mqtt_packet k = {.type = MQTT_DISCONNECT};
    check_encoded(&k, MQTT_V5, "e0 00");
    check_encoded(&k, MQTT_V311, "e0 00");
    k.end.reason = 0x8e;
    check_encoded(&k, MQTT_V5, "e0 01 8e");
    check_encoded(&k, MQTT_V311, "e0 00");
    k.end = (struct mqtt_end){.props = PROPS};
    check_encoded(&k, MQTT_V5, "e0 06 00 p(1f s'x')");
    k = (struct mqtt_packet){.type = MQTT_AUTH};
    check_encoded(&k, MQTT_V5, "f0 00");
    k.end = (struct mqtt_end){.reason = 0x18, .props = PROPS};
    check_encoded(&k, MQTT_V5, "f0 06 18 p(1f s'x')");
    k = (struct mqtt_packet){.type = MQTT_PINGREQ};
    check_encoded(&k, MQTT_V5, "c0 00");
    k.type = MQTT_PINGRESP;
    check_encoded(&k, MQTT_V311, "d0 00");
}

static void lengths_change_size_where_they_must(void **state)
{
    static const size_t sizes[] = {0, 124, 125, 16380, 16381, 2097148, 2097149};
    uint8_t *payload = calloc(1, 2097149);
    (void)state;
    assert_non_null(payload);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct mqtt_packet k = {
            .type = MQTT_PUBLISH,
            .publish = {.topic = BYTES_LIT("a"), .payload = {payload, sizes[i]}}};
        struct mqtt_packet back;
        struct buf out = {0};
        uint8_t reason;
        size_t size;
        mqtt_encode(&k, MQTT_V311, &out);
        assert_int_equal(buf_status(&out), 0);
        assert_int_equal(mqtt_frame(buf_bytes(&out), &size), 0);
        assert_int_equal(size, out.n);
        assert_int_equal(out.n, 1 + mqtt_varint_size((uint32_t)(sizes[i] + 3)) + 3 + sizes[i]);
        assert_int_equal(mqtt_decode(buf_bytes(&out), MQTT_V311, true, &back, &reason), 0);
        assert_int_equal(back.publish.payload.n, sizes[i]);
        buf_close(&out);
    }
    free(payload);
}

static void the_longest_string_fits(void **state)
{
    char *topic = malloc(65535);
    struct mqtt_packet k = {.type = MQTT_PUBLISH}, back;
    struct buf out = {0};
    uint8_t reason;
    (void)state;
    assert_non_null(topic);
    memset(topic, 'a', 65535);
    k.publish.topic = bytes_of(topic, 65535);
    mqtt_encode(&k, MQTT_V5, &out);
    assert_int_equal(buf_status(&out), 0);
    assert_int_equal(mqtt_decode(buf_bytes(&out), MQTT_V5, true, &back, &reason), 0);
    assert_true(bytes_equal(back.publish.topic, k.publish.topic));
    buf_close(&out);
    free(topic);
}

static void what_the_wire_cannot_hold_is_over_the_limit(void **state)
{
    static const uint8_t nothing[1];
    (void)state;
    /* Lengths alone decide, before any byte is looked at. */
    struct mqtt_packet k = {
        .type = MQTT_PUBLISH,
        .publish = {.topic = BYTES_LIT("a"), .payload = {nothing, MQTT_REMAINING_LENGTH_MAX - 2}}};
    struct buf out = {0};
    buf_append_u8(&out, 1);
    mqtt_encode(&k, MQTT_V311, &out);
    assert_int_equal(buf_status(&out), SEALMQ_E_LIMIT);
    assert_int_equal(out.n, 1);
    buf_reset(&out);
    k.publish = (struct mqtt_publish){.topic = {nothing, 65536}};
    mqtt_encode(&k, MQTT_V5, &out);
    assert_int_equal(buf_status(&out), SEALMQ_E_LIMIT);
    buf_reset(&out);
    k.publish = (struct mqtt_publish){.topic = BYTES_LIT("a"), .props = {{nothing, SIZE_MAX / 2}}};
    mqtt_encode(&k, MQTT_V5, &out);
    assert_int_equal(buf_status(&out), SEALMQ_E_LIMIT);
    buf_reset(&out);
    out.limit = 4;
    k = (struct mqtt_packet){.type = MQTT_PUBACK, .ack = {.packet_id = 1, .reason = 0x80}};
    mqtt_encode(&k, MQTT_V5, &out);
    assert_int_equal(buf_status(&out), SEALMQ_E_LIMIT);
    assert_int_equal(out.n, 0);
    buf_close(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connect_is_written_in_its_own_version),
        cmocka_unit_test(properties_are_left_out_in_311),
        cmocka_unit_test(acknowledgements_take_their_shortest_form),
        cmocka_unit_test(subscriptions_are_written),
        cmocka_unit_test(failures_of_5_become_those_of_311),
        cmocka_unit_test(what_ends_a_connection_takes_its_shortest_form),
        cmocka_unit_test(lengths_change_size_where_they_must),
        cmocka_unit_test(the_longest_string_fits),
        cmocka_unit_test(what_the_wire_cannot_hold_is_over_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
