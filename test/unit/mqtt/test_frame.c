#include "unit/mqtt/wire.h"

static void check_varint(uint32_t v, const char *hex)
{
    struct buf want = {0}, got = {0};
    wire_append(&want, hex);
    mqtt_append_varint(&got, v);
    assert_true(bytes_equal(buf_bytes(&want), buf_bytes(&got)));
    assert_int_equal(mqtt_varint_size(v), want.n);
    buf_close(&want);
    buf_close(&got);
}

static void variable_byte_integers_take_the_fewest_bytes(void **state)
{
    (void)state;
    check_varint(0, "00");
    check_varint(127, "7f");
    check_varint(128, "8001");
    check_varint(16383, "ff7f");
    check_varint(16384, "808001");
    check_varint(2097151, "ffff7f");
    check_varint(2097152, "80808001");
    check_varint(268435455, "ffffff7f");
}

static int frame(const char *hex, size_t *size)
{
    struct buf b = {0};
    wire_append(&b, hex);
    int error = mqtt_frame(buf_bytes(&b), size);
    buf_close(&b);
    return error;
}

static void a_packet_ends_where_its_length_says(void **state)
{
    size_t size;
    (void)state;
    assert_int_equal(frame("c000", &size), 0);
    assert_int_equal(size, 2);
    assert_int_equal(frame("c000 c000", &size), 0);
    assert_int_equal(size, 2);
    assert_int_equal(frame("3003 000161", &size), 0);
    assert_int_equal(size, 5);
}

static void an_incomplete_packet_waits_and_says_for_how_much(void **state)
{
    size_t size = 99;
    (void)state;
    assert_int_equal(mqtt_frame((struct bytes){0}, &size), SEALMQ_E_AGAIN);
    assert_int_equal(size, 0);
    assert_int_equal(frame("30", &size), SEALMQ_E_AGAIN);
    assert_int_equal(size, 0);
    assert_int_equal(frame("30ffffff", &size), SEALMQ_E_AGAIN);
    assert_int_equal(size, 0);
    assert_int_equal(frame("30ffffff7f", &size), SEALMQ_E_AGAIN);
    assert_int_equal(size, 5u + MQTT_REMAINING_LENGTH_MAX);
    assert_int_equal(frame("308001", &size), SEALMQ_E_AGAIN);
    assert_int_equal(size, 3 + 128);
}

static void a_length_of_five_bytes_is_malformed(void **state)
{
    size_t size = 99;
    (void)state;
    assert_int_equal(frame("30ffffffff", &size), SEALMQ_E_PARSE);
    assert_int_equal(size, 0);
    assert_int_equal(frame("308080808000", &size), SEALMQ_E_PARSE);
}

static void a_longer_form_of_the_length_is_malformed_in_5_only(void **state)
{
    struct mqtt_packet out;
    uint8_t reason;
    const uint8_t ping[] = {0xc0, 0x80, 0x00};
    const uint8_t connect_v5[] = {0x10, 0x8d, 0x00, 0, 4, 'M', 'Q', 'T', 'T', 5, 2, 0, 0, 0, 0, 0};
    const uint8_t connect_v311[] = {0x10, 0x8c, 0x80, 0x00, 0, 4, 'M', 'Q',
                                    'T',  'T',  4,    2,    0, 0, 0,   0};
    (void)state;
    assert_int_equal(mqtt_decode(bytes_of(ping, 3), MQTT_V311, true, &out, &reason), 0);
    assert_int_equal(mqtt_decode(bytes_of(ping, 3), MQTT_V5, true, &out, &reason), SEALMQ_E_PARSE);
    assert_int_equal(reason, 0x81);
    assert_int_equal(
        mqtt_decode(bytes_of(connect_v5, sizeof(connect_v5)), MQTT_V311, true, &out, &reason),
        SEALMQ_E_PARSE);
    assert_int_equal(out.connect.version, MQTT_V5);
    assert_int_equal(
        mqtt_decode(bytes_of(connect_v311, sizeof(connect_v311)), MQTT_V5, true, &out, &reason), 0);
    assert_int_equal(out.connect.version, MQTT_V311);
}

static void a_packet_is_decoded_only_at_its_exact_size(void **state)
{
    struct mqtt_packet out;
    uint8_t reason;
    const uint8_t pings[] = {0xc0, 0x00, 0xc0, 0x00};
    (void)state;
    for (size_t n = 0; n <= sizeof(pings); n++) {
        int error = mqtt_decode(bytes_of(pings, n), MQTT_V5, true, &out, &reason);
        assert_int_equal(error, n == 2 ? 0 : SEALMQ_E_PARSE);
        assert_int_equal(out.type, n == 0 ? 0 : MQTT_PINGREQ);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(variable_byte_integers_take_the_fewest_bytes),
        cmocka_unit_test(a_packet_ends_where_its_length_says),
        cmocka_unit_test(an_incomplete_packet_waits_and_says_for_how_much),
        cmocka_unit_test(a_length_of_five_bytes_is_malformed),
        cmocka_unit_test(a_longer_form_of_the_length_is_malformed_in_5_only),
        cmocka_unit_test(a_packet_is_decoded_only_at_its_exact_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
