/* PINGREQ, PINGRESP, DISCONNECT, AUTH: sections 3.12 to 3.15; and the types that do not exist. */
#include "unit/mqtt/wire.h"

static void pings_are_empty_and_go_one_way(void **state)
{
    (void)state;
    assert_int_equal(ACCEPT_CLIENT(MQTT_V311, 0xc0, "").type, MQTT_PINGREQ);
    assert_int_equal(ACCEPT_SERVER(MQTT_V5, 0xd0, "").type, MQTT_PINGRESP);
    REFUSE_CLIENT(MQTT_V5, 0xc0, "00", MALFORMED);
    REFUSE_SERVER(MQTT_V5, 0xd0, "00", MALFORMED);
    REFUSE_CLIENT(MQTT_V5, 0xc1, "", MALFORMED);
    REFUSE_SERVER(MQTT_V5, 0xc0, "", PROTOCOL);
    REFUSE_CLIENT(MQTT_V5, 0xd0, "", PROTOCOL);
}

static void a_disconnect_has_short_forms_in_5(void **state)
{
    struct mqtt_prop prop;
    (void)state;
    assert_int_equal(ACCEPT_CLIENT(MQTT_V5, 0xe0, "").end.reason, 0);
    assert_int_equal(ACCEPT_CLIENT(MQTT_V5, 0xe0, "04").end.reason, 4);
    assert_int_equal(ACCEPT_CLIENT(MQTT_V5, 0xe0, "00 p()").end.reason, 0);
    struct mqtt_packet k = ACCEPT_CLIENT(MQTT_V5, 0xe0, "04 p(11 0000000a)");
    assert_true(mqtt_props_find(k.end.props, MQTT_PROP_SESSION_EXPIRY, &prop));
    assert_int_equal(prop.number, 10);
    k = ACCEPT_SERVER(MQTT_V5, 0xe0, "9d p(1c s'other' 1f s'moved')");
    assert_int_equal(k.end.reason, 0x9d);
}

static void a_disconnect_says_only_what_its_sender_may(void **state)
{
    (void)state;
    REFUSE_SERVER(MQTT_V5, 0xe0, "00 p(11 0000000a)", PROTOCOL); /* [MQTT-3.14.2-2] */
    REFUSE_SERVER(MQTT_V5, 0xe0, "04", PROTOCOL);
    REFUSE_CLIENT(MQTT_V5, 0xe0, "8b", PROTOCOL);
    REFUSE_CLIENT(MQTT_V5, 0xe0, "01", PROTOCOL);
    REFUSE_CLIENT(MQTT_V5, 0xe0, "ff", PROTOCOL);
    REFUSE_CLIENT(MQTT_V5, 0xe0, "00 p() 00", MALFORMED);
    REFUSE_CLIENT(MQTT_V5, 0xe0, "00 p(23 0001)", MALFORMED);
    REFUSE_CLIENT(MQTT_V5, 0xe1, "", MALFORMED);
}

static void a_disconnect_of_311_is_empty_and_the_clients(void **state)
{
    (void)state;
    ACCEPT_CLIENT(MQTT_V311, 0xe0, "");
    REFUSE_CLIENT(MQTT_V311, 0xe0, "00", MALFORMED);
    REFUSE_SERVER(MQTT_V311, 0xe0, "", PROTOCOL);
}

static void an_auth_names_its_method(void **state)
{
    (void)state;
    struct mqtt_packet k = ACCEPT_CLIENT(MQTT_V5, 0xf0, "18 p(15 s'm' 16 s'd')");
    assert_int_equal(k.end.reason, 0x18);
    ACCEPT_CLIENT(MQTT_V5, 0xf0, "19 p(15 s'm')");
    ACCEPT_SERVER(MQTT_V5, 0xf0, "00 p(15 s'm')");
    assert_int_equal(ACCEPT_SERVER(MQTT_V5, 0xf0, "").end.reason, 0);
    REFUSE_CLIENT(MQTT_V5, 0xf0, "18 p()", PROTOCOL);
    REFUSE_CLIENT(MQTT_V5, 0xf0, "18 p(16 s'd')", PROTOCOL);
    REFUSE_CLIENT(MQTT_V5, 0xf0, "18", MALFORMED);
    REFUSE_SERVER(MQTT_V5, 0xf0, "00", MALFORMED);
    REFUSE_CLIENT(MQTT_V5, 0xf0, "18 p(15 s'm') 00", MALFORMED);
    REFUSE_CLIENT(MQTT_V5, 0xf1, "18 p(15 s'm')", MALFORMED);
}

static void an_auth_has_the_reasons_of_its_sender(void **state)
{
    (void)state;
    REFUSE_CLIENT(MQTT_V5, 0xf0, "", PROTOCOL);
    REFUSE_CLIENT(MQTT_V5, 0xf0, "00 p(15 s'm')", PROTOCOL);
    REFUSE_SERVER(MQTT_V5, 0xf0, "19 p(15 s'm')", PROTOCOL);
    REFUSE_SERVER(MQTT_V5, 0xf0, "87 p(15 s'm')", PROTOCOL);
}

static void types_that_do_not_exist_are_malformed(void **state)
{
    (void)state;
    REFUSE_CLIENT(MQTT_V5, 0x00, "", MALFORMED);
    REFUSE_SERVER(MQTT_V311, 0x0f, "", MALFORMED);
    REFUSE_CLIENT(MQTT_V311, 0xf0, "18 p(15 s'm')", MALFORMED);
    REFUSE_SERVER(MQTT_V311, 0xf0, "", MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pings_are_empty_and_go_one_way),
        cmocka_unit_test(a_disconnect_has_short_forms_in_5),
        cmocka_unit_test(a_disconnect_says_only_what_its_sender_may),
        cmocka_unit_test(a_disconnect_of_311_is_empty_and_the_clients),
        cmocka_unit_test(an_auth_names_its_method),
        cmocka_unit_test(an_auth_has_the_reasons_of_its_sender),
        cmocka_unit_test(types_that_do_not_exist_are_malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
