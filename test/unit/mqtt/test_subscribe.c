/* SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK: sections 3.8 to 3.11. Options of SUBSCRIBE in 5.0: c0
 * reserved, 30 retain handling, 08 retain as published, 04 no local, 03 QoS. */
#include "unit/mqtt/wire.h"

static void the_filters_of_a_subscribe_are_walked_in_order(void **state)
{
    struct mqtt_filter f;
    (void)state;
    struct mqtt_packet k = ACCEPT_CLIENT(MQTT_V5, 0x82, "0007 p(0b 01) s'a/+' 2e s'#' 10 s'b' 01");
    assert_int_equal(k.subscribe.packet_id, 7);
    struct bytes list = k.subscribe.filters;
    assert_true(mqtt_filters_next(&list, &f));
    assert_bytes(f.filter, "a/+");
    assert_int_equal(f.qos, 2);
    assert_true(f.no_local && f.retain_as_published);
    assert_int_equal(f.retain_handling, 2);
    assert_true(mqtt_filters_next(&list, &f));
    assert_bytes(f.filter, "#");
    assert_int_equal(f.qos, 0);
    assert_false(f.no_local || f.retain_as_published);
    assert_int_equal(f.retain_handling, 1);
    assert_true(mqtt_filters_next(&list, &f));
    assert_bytes(f.filter, "b");
    assert_false(mqtt_filters_next(&list, &f));

    k = ACCEPT_CLIENT(MQTT_V311, 0x82, "0001 s'a' 02");
    list = k.subscribe.filters;
    assert_true(mqtt_filters_next(&list, &f));
    assert_int_equal(f.qos, 2);
    assert_false(f.no_local || f.retain_as_published || f.retain_handling != 0);
    assert_false(mqtt_filters_next(&list, &f));
}

static void a_subscribe_has_at_least_one_whole_filter(void **state)
{
    (void)state;
    REFUSE_CLIENT(MQTT_V311, 0x82, "0001", PROTOCOL);
    REFUSE_CLIENT(MQTT_V5, 0x82, "0001 p()", PROTOCOL);
    REFUSE_CLIENT(MQTT_V5, 0x82, "0001", MALFORMED);
    REFUSE_CLIENT(MQTT_V5, 0x82, "0001 p() s'a'", MALFORMED);
    REFUSE_CLIENT(MQTT_V5, 0x82, "0001 p() s'a' 00 0001", MALFORMED);
    REFUSE_CLIENT(MQTT_V5, 0x82, "0000 p() s'a' 00", PROTOCOL);
    REFUSE_CLIENT(MQTT_V311, 0x82, "0000 s'a' 00", PROTOCOL);
    REFUSE_CLIENT(MQTT_V311, 0x80, "0001 s'a' 00", MALFORMED); /* flags */
    REFUSE_CLIENT(MQTT_V311, 0xa0, "0001 s'a'", MALFORMED);
}

static void every_filter_is_checked(void **state)
{
    (void)state;
    REFUSE_CLIENT(MQTT_V5, 0x82, "0001 p() s'a' 00 s'b#' 00", SEALMQ_E_PROTOCOL, 0x8f);
    REFUSE_CLIENT(MQTT_V5, 0x82, "0001 p() s'' 00", SEALMQ_E_PROTOCOL, 0x8f);
    REFUSE_CLIENT(MQTT_V5, 0x82, "0001 p() s'$share/g' 00", SEALMQ_E_PROTOCOL, 0x8f);
    REFUSE_CLIENT(MQTT_V311, 0x82, "0001 s'a/#/b' 00", SEALMQ_E_PROTOCOL, 0x8f);
    REFUSE_CLIENT(MQTT_V311, 0x82, "0001 0001 ff 00", MALFORMED);
    REFUSE_CLIENT(MQTT_V311, 0xa2, "0001 s'a' s'+b'", SEALMQ_E_PROTOCOL, 0x8f);
    REFUSE_CLIENT(MQTT_V5, 0xa2, "0001 p() 0002 6100", MALFORMED);
}

static void options_are_of_the_version(void **state)
{
    (void)state;
    for (unsigned options = 0; options < 256; options++) {
        uint8_t v311[] = {0, 1, 0, 1, 'a', (uint8_t)options};
        uint8_t v5[] = {0, 1, 0, 0, 1, 'a', (uint8_t)options};
        struct mqtt_packet out;
        uint8_t reason;
        int error = mqtt_decode(wire_packet_bytes(0x82, bytes_of(v311, sizeof(v311))), MQTT_V311,
                                true, &out, &reason);
        assert_int_equal(error, options <= 2 ? 0 : SEALMQ_E_PARSE);
        error = mqtt_decode(wire_packet_bytes(0x82, bytes_of(v5, sizeof(v5))), MQTT_V5, true, &out,
                            &reason);
        if ((options & 0xc0) != 0) {
            assert_int_equal(error, SEALMQ_E_PARSE);
            assert_int_equal(reason, 0x81);
        } else if ((options & 3) == 3 || (options & 0x30) == 0x30) {
            assert_int_equal(error, SEALMQ_E_PROTOCOL);
            assert_int_equal(reason, 0x82);
        } else {
            assert_int_equal(error, 0);
        }
    }
}

static void no_local_does_not_go_with_shared_subscriptions(void **state)
{
    (void)state;
    REFUSE_CLIENT(MQTT_V5, 0x82, "0001 p() s'$share/g/a' 04", PROTOCOL);
    ACCEPT_CLIENT(MQTT_V5, 0x82, "0001 p() s'$share/g/a' 00 s'a' 04");
}

static void a_subscription_identifier_is_one_and_not_zero(void **state)
{
    (void)state;
    ACCEPT_CLIENT(MQTT_V5, 0x82, "0001 p(0b ffffff7f) s'a' 00");
    REFUSE_CLIENT(MQTT_V5, 0x82, "0001 p(0b 00) s'a' 00", PROTOCOL);
    REFUSE_CLIENT(MQTT_V5, 0x82, "0001 p(0b 01 0b 02) s'a' 00", PROTOCOL);
    REFUSE_CLIENT(MQTT_V5, 0x82, "0001 p(0b 8100) s'a' 00", MALFORMED);
    REFUSE_CLIENT(MQTT_V5, 0x82, "0001 p(0b ffffffff01) s'a' 00", MALFORMED);
    REFUSE_CLIENT(MQTT_V5, 0xa2, "0001 p(0b 01) s'a'", MALFORMED);
}

static void the_filters_of_an_unsubscribe_are_walked_in_order(void **state)
{
    struct bytes filter;
    (void)state;
    struct mqtt_packet k =
        ACCEPT_CLIENT(MQTT_V5, 0xa2, "0009 p(26 s'k' s'v') s'a/#' s'$share/g/b'");
    assert_int_equal(k.unsubscribe.packet_id, 9);
    struct bytes list = k.unsubscribe.filters;
    assert_true(mqtt_topics_next(&list, &filter));
    assert_bytes(filter, "a/#");
    assert_true(mqtt_topics_next(&list, &filter));
    assert_bytes(filter, "$share/g/b");
    assert_false(mqtt_topics_next(&list, &filter));
    ACCEPT_CLIENT(MQTT_V311, 0xa2, "0001 s'a'");
    REFUSE_CLIENT(MQTT_V311, 0xa2, "0001", PROTOCOL);
    REFUSE_CLIENT(MQTT_V5, 0xa2, "0001 p()", PROTOCOL);
    REFUSE_CLIENT(MQTT_V5, 0xa2, "0000 p() s'a'", PROTOCOL);
    REFUSE_CLIENT(MQTT_V311, 0xa2, "0001 0002 61", MALFORMED);
}

static void a_suback_answers_each_filter_with_a_known_code(void **state)
{
    (void)state;
    struct mqtt_packet k = ACCEPT_SERVER(MQTT_V311, 0x90, "0001 00 01 02 80");
    assert_bytes(k.suback.codes, "\x00\x01\x02\x80");
    k = ACCEPT_SERVER(MQTT_V5, 0x90, "0001 p(1f s'x') 00 02 87 8f 9e a2");
    assert_int_equal(k.suback.codes.n, 6);
    REFUSE_SERVER(MQTT_V311, 0x90, "0001 03", PROTOCOL);
    REFUSE_SERVER(MQTT_V311, 0x90, "0001 00 87", PROTOCOL);
    REFUSE_SERVER(MQTT_V5, 0x90, "0001 p() 11", PROTOCOL);
    REFUSE_SERVER(MQTT_V5, 0x90, "0001 p()", PROTOCOL);
    REFUSE_SERVER(MQTT_V311, 0x90, "0001", PROTOCOL);
    REFUSE_SERVER(MQTT_V311, 0x90, "0000 00", PROTOCOL);
    REFUSE_CLIENT(MQTT_V5, 0x90, "0001 p() 00", PROTOCOL);
}

static void an_unsuback_has_codes_in_5_only(void **state)
{
    (void)state;
    struct mqtt_packet k = ACCEPT_SERVER(MQTT_V311, 0xb0, "0001");
    assert_int_equal(k.suback.codes.n, 0);
    k = ACCEPT_SERVER(MQTT_V5, 0xb0, "0001 p() 00 11 8f");
    assert_int_equal(k.suback.codes.n, 3);
    REFUSE_SERVER(MQTT_V311, 0xb0, "0001 00", MALFORMED);
    REFUSE_SERVER(MQTT_V5, 0xb0, "0001 p()", PROTOCOL);
    REFUSE_SERVER(MQTT_V5, 0xb0, "0001 p() 01", PROTOCOL);
    REFUSE_CLIENT(MQTT_V311, 0xb0, "0001", PROTOCOL);
}

static void only_the_client_subscribes(void **state)
{
    (void)state;
    REFUSE_SERVER(MQTT_V5, 0x82, "0001 p() s'a' 00", PROTOCOL);
    REFUSE_SERVER(MQTT_V5, 0xa2, "0001 p() s'a'", PROTOCOL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_filters_of_a_subscribe_are_walked_in_order),
        cmocka_unit_test(a_subscribe_has_at_least_one_whole_filter),
        cmocka_unit_test(every_filter_is_checked),
        cmocka_unit_test(options_are_of_the_version),
        cmocka_unit_test(no_local_does_not_go_with_shared_subscriptions),
        cmocka_unit_test(a_subscription_identifier_is_one_and_not_zero),
        cmocka_unit_test(the_filters_of_an_unsubscribe_are_walked_in_order),
        cmocka_unit_test(a_suback_answers_each_filter_with_a_known_code),
        cmocka_unit_test(an_unsuback_has_codes_in_5_only),
        cmocka_unit_test(only_the_client_subscribes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
