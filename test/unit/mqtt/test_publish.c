/* PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP: sections 3.3 to 3.7. */
#include "unit/mqtt/wire.h"

static void a_message_is_read_in_place(void **state)
{
    (void)state;
    struct bytes packet = wire_packet(0x30, "s'a/b' 'hello'");
    struct mqtt_packet k = wire_accepted(packet, MQTT_V311, true, __FILE__, __LINE__);
    assert_int_equal(k.publish.qos, 0);
    assert_int_equal(k.publish.packet_id, 0);
    assert_false(k.publish.dup || k.publish.retain);
    assert_bytes(k.publish.topic, "a/b");
    assert_bytes(k.publish.payload, "hello");
    assert_ptr_equal(k.publish.topic.p, packet.p + 4);
    assert_ptr_equal(k.publish.payload.p, packet.p + 7);

    k = ACCEPT_SERVER(MQTT_V5, 0x3d, "s'a' ffff p(23 0007) 00ff");
    assert_true(k.publish.dup && k.publish.retain);
    assert_int_equal(k.publish.qos, 2);
    assert_int_equal(k.publish.packet_id, 65535);
    assert_bytes(k.publish.payload, "\x00\xff");

    k = ACCEPT_CLIENT(MQTT_V311, 0x32, "s'a' 0001");
    assert_int_equal(k.publish.qos, 1);
    assert_int_equal(k.publish.payload.n, 0);
}

static void qos_3_and_duplicates_at_qos_0_are_malformed(void **state)
{
    (void)state;
    REFUSE_CLIENT(MQTT_V311, 0x36, "s'a' 0001", MALFORMED);
    REFUSE_CLIENT(MQTT_V5, 0x37, "s'a' 0001 p()", MALFORMED);
    REFUSE_CLIENT(MQTT_V311, 0x38, "s'a'", MALFORMED);
    REFUSE_CLIENT(MQTT_V5, 0x39, "s'a' p()", MALFORMED);
}

static void a_packet_identifier_is_present_and_not_zero(void **state)
{
    (void)state;
    REFUSE_CLIENT(MQTT_V311, 0x32, "s'a' 0000", PROTOCOL);
    REFUSE_CLIENT(MQTT_V5, 0x34, "s'a' 0000 p()", PROTOCOL);
    REFUSE_SERVER(MQTT_V5, 0x32, "s'a' 0000 p()", PROTOCOL);
    REFUSE_CLIENT(MQTT_V311, 0x32, "s'a' 00", MALFORMED);
    REFUSE_CLIENT(MQTT_V311, 0x32, "s'a'", MALFORMED);
}

static void the_topic_is_a_valid_name(void **state)
{
    (void)state;
    REFUSE_CLIENT(MQTT_V311, 0x30, "s'a/+/b'", SEALMQ_E_PROTOCOL, 0x90);
    REFUSE_CLIENT(MQTT_V5, 0x30, "s'a/#' p()", SEALMQ_E_PROTOCOL, 0x90);
    REFUSE_SERVER(MQTT_V5, 0x30, "s'+' p()", SEALMQ_E_PROTOCOL, 0x90);
    REFUSE_CLIENT(MQTT_V311, 0x30, "s'' 'x'", SEALMQ_E_PROTOCOL, 0x90);
    REFUSE_CLIENT(MQTT_V311, 0x30, "0003 61ff62", MALFORMED);
    REFUSE_CLIENT(MQTT_V311, 0x30, "0003 610062", MALFORMED);
    REFUSE_CLIENT(MQTT_V311, 0x30, "0003 6161", MALFORMED);
    REFUSE_CLIENT(MQTT_V311, 0x30, "00", MALFORMED);
    REFUSE_CLIENT(MQTT_V311, 0x30, "", MALFORMED);
}

static void an_alias_stands_for_the_topic_in_5_only(void **state)
{
    (void)state;
    struct mqtt_packet k = ACCEPT_CLIENT(MQTT_V5, 0x30, "s'' p(23 0001) 'x'");
    assert_int_equal(k.publish.topic.n, 0);
    REFUSE_CLIENT(MQTT_V5, 0x30, "s'' p() 'x'", PROTOCOL);
    REFUSE_CLIENT(MQTT_V5, 0x30, "s'' p(01 00) 'x'", PROTOCOL);
    REFUSE_CLIENT(MQTT_V5, 0x30, "s'a' p(23 0000) 'x'", SEALMQ_E_PROTOCOL, 0x94);
}

static void only_the_server_names_subscriptions_and_may_name_several(void **state)
{
    struct mqtt_prop prop;
    (void)state;
    struct mqtt_packet k = ACCEPT_SERVER(MQTT_V5, 0x30, "s'a' p(0b 01 0b ffffff7f 0b 01)");
    struct mqtt_props list = k.publish.props;
    uint32_t sum = 0;
    while (mqtt_props_next(&list, &prop))
        sum += prop.number;
    assert_int_equal(sum, 268435455u + 2);
    REFUSE_CLIENT(MQTT_V5, 0x30, "s'a' p(0b 01)", PROTOCOL);
    REFUSE_SERVER(MQTT_V5, 0x30, "s'a' p(0b 00)", PROTOCOL);
}

static void a_response_topic_is_a_topic_name(void **state)
{
    (void)state;
    ACCEPT_CLIENT(MQTT_V5, 0x30, "s'a' p(08 s'r/t' 09 0002 00ff)");
    REFUSE_CLIENT(MQTT_V5, 0x30, "s'a' p(08 s'r/+')", SEALMQ_E_PROTOCOL, 0x90);
    REFUSE_CLIENT(MQTT_V5, 0x30, "s'a' p(08 s'')", SEALMQ_E_PROTOCOL, 0x90);
}

static const uint8_t ack_first[] = {0x40, 0x50, 0x62, 0x70};

static void acknowledgements_have_short_forms_in_5(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(ack_first); i++) {
        uint8_t first = ack_first[i];
        struct mqtt_packet k = ACCEPT_CLIENT(MQTT_V5, first, "0102");
        assert_int_equal(k.type, first >> 4);
        assert_int_equal(k.ack.packet_id, 0x0102);
        assert_int_equal(k.ack.reason, 0);
        k = ACCEPT_SERVER(MQTT_V5, first, i < 2 ? "0102 10" : "0102 92");
        assert_int_equal(k.ack.reason, i < 2 ? 0x10 : 0x92);
        k = ACCEPT_CLIENT(MQTT_V5, first, "0102 00 p()");
        assert_int_equal(k.ack.reason, 0);
        k = ACCEPT_CLIENT(MQTT_V5, first, "0102 00 p(1f s'why' 26 s'a' s'b' 26 s'a' s'b')");
        assert_int_equal(k.ack.props.wire.n, 6 + 7 + 7);
        REFUSE_CLIENT(MQTT_V5, first, "0102 00 p() 00", MALFORMED);
        REFUSE_CLIENT(MQTT_V5, first, "0102 00 05", MALFORMED);
    }
}

static void acknowledgements_are_two_bytes_in_311(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(ack_first); i++) {
        struct mqtt_packet k = ACCEPT_SERVER(MQTT_V311, ack_first[i], "ffff");
        assert_int_equal(k.ack.packet_id, 65535);
        assert_int_equal(k.ack.reason, 0);
        REFUSE_CLIENT(MQTT_V311, ack_first[i], "0001 00", MALFORMED);
    }
}

static void acknowledgements_name_a_packet_and_a_reason_of_their_own(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(ack_first); i++) {
        uint8_t first = ack_first[i];
        REFUSE_CLIENT(MQTT_V5, first, "0000", PROTOCOL);
        REFUSE_CLIENT(MQTT_V311, first, "0000", PROTOCOL);
        REFUSE_CLIENT(MQTT_V5, first, "00", MALFORMED);
        REFUSE_CLIENT(MQTT_V5, first, "", MALFORMED);
        REFUSE_CLIENT(MQTT_V5, first, i < 2 ? "0001 92" : "0001 10", PROTOCOL);
        REFUSE_CLIENT(MQTT_V5, first, "0001 01", PROTOCOL);
        REFUSE_CLIENT(MQTT_V5, first, "0001 ff", PROTOCOL);
    }
}

static void fixed_header_flags_are_as_reserved(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(ack_first); i++)
        for (uint8_t flags = 0; flags < 16; flags++)
            if (flags != (ack_first[i] & 0x0f))
                REFUSE_CLIENT(MQTT_V5, (uint8_t)((ack_first[i] & 0xf0) | flags), "0001", MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_is_read_in_place),
        cmocka_unit_test(qos_3_and_duplicates_at_qos_0_are_malformed),
        cmocka_unit_test(a_packet_identifier_is_present_and_not_zero),
        cmocka_unit_test(the_topic_is_a_valid_name),
        cmocka_unit_test(an_alias_stands_for_the_topic_in_5_only),
        cmocka_unit_test(only_the_server_names_subscriptions_and_may_name_several),
        cmocka_unit_test(a_response_topic_is_a_topic_name),
        cmocka_unit_test(acknowledgements_have_short_forms_in_5),
        cmocka_unit_test(acknowledgements_are_two_bytes_in_311),
        cmocka_unit_test(acknowledgements_name_a_packet_and_a_reason_of_their_own),
        cmocka_unit_test(fixed_header_flags_are_as_reserved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
