/* CONNECT and CONNACK, sections 3.1 and 3.2. The flags of CONNECT: 80 user name, 40 password, 20
 * will retain, 18 will QoS, 04 will, 02 clean start, 01 reserved. */
#include "unit/mqtt/wire.h"

static void a_plain_connect_is_read_in_both_versions(void **state)
{
    (void)state;
    struct mqtt_packet k = ACCEPT_CLIENT(MQTT_V5, 0x10, "s'MQTT' 04 02 003c s'me'");
    assert_int_equal(k.type, MQTT_CONNECT);
    assert_int_equal(k.connect.version, MQTT_V311);
    assert_true(k.connect.clean_start);
    assert_int_equal(k.connect.keep_alive_s, 60);
    assert_bytes(k.connect.client_id, "me");
    assert_false(k.connect.has_will || k.connect.has_user_name || k.connect.has_password);

    k = ACCEPT_CLIENT(MQTT_V311, 0x10, "s'MQTT' 05 00 ffff p() s''");
    assert_int_equal(k.connect.version, MQTT_V5);
    assert_false(k.connect.clean_start);
    assert_int_equal(k.connect.keep_alive_s, 65535);
    assert_int_equal(k.connect.client_id.n, 0);
}

static void a_full_connect_is_read_in_both_versions(void **state)
{
    (void)state;
    struct mqtt_packet k = ACCEPT_CLIENT(
        MQTT_V311, 0x10, "s'MQTT' 04 ee 0000 s'me' s'will/topic' s'gone' s'user' s'secret'");
    assert_true(k.connect.has_will && k.connect.will_retain && k.connect.clean_start);
    assert_int_equal(k.connect.will_qos, 1);
    assert_bytes(k.connect.will_topic, "will/topic");
    assert_bytes(k.connect.will_payload, "gone");
    assert_bytes(k.connect.user_name, "user");
    assert_bytes(k.connect.password, "secret");

    k = ACCEPT_CLIENT(MQTT_V311, 0x10,
                      "s'MQTT' 05 d4 0000 p(11 00000078 21 0014 17 00 26 s'k' s'v') s'me' "
                      "p(18 0000000a 01 01) s'w' 0000 s'user' s'secret'");
    struct mqtt_prop prop;
    assert_int_equal(k.connect.will_qos, 2);
    assert_false(k.connect.will_retain);
    assert_int_equal(k.connect.will_payload.n, 0);
    assert_true(mqtt_props_find(k.connect.props, MQTT_PROP_SESSION_EXPIRY, &prop));
    assert_int_equal(prop.number, 120);
    assert_true(mqtt_props_find(k.connect.props, MQTT_PROP_RECEIVE_MAXIMUM, &prop));
    assert_int_equal(prop.number, 20);
    assert_true(mqtt_props_find(k.connect.props, MQTT_PROP_REQUEST_PROBLEM_INFO, &prop));
    assert_int_equal(prop.number, 0);
    assert_true(mqtt_props_find(k.connect.will_props, MQTT_PROP_WILL_DELAY, &prop));
    assert_int_equal(prop.number, 10);
    assert_false(mqtt_props_find(k.connect.props, MQTT_PROP_WILL_DELAY, &prop));
}

static void empty_user_names_and_passwords_are_still_present(void **state)
{
    (void)state;
    struct mqtt_packet k = ACCEPT_CLIENT(MQTT_V311, 0x10, "s'MQTT' 04 c2 0000 s'me' 0000 0000");
    assert_true(k.connect.has_user_name && k.connect.has_password);
    assert_int_equal(k.connect.user_name.n, 0);
    assert_int_equal(k.connect.password.n, 0);
}

static int connect_error(const char *body, uint8_t *reason, int *version)
{
    struct mqtt_packet out;
    int error = mqtt_decode(wire_packet(0x10, body), MQTT_V5, true, &out, reason);
    assert_int_equal(out.type, MQTT_CONNECT);
    *version = (int)out.connect.version;
    return error;
}

static void an_unknown_protocol_is_refused_in_the_nearest_version(void **state)
{
    static const struct {
        const char *body;
        int answer;
    } cases[] = {
        {"s'MQIsdp' 03 02 003c s'me'", MQTT_V311}, {"s'MQTT' 03 02 003c s'me'", MQTT_V311},
        {"s'MQTT' 00 02 003c s'me'", MQTT_V311},   {"s'MQTT' 06 02 003c 00 s'me'", MQTT_V5},
        {"s'MQTT' ff 02 003c 00 s'me'", MQTT_V5},  {"s'MQTT' 84 02 003c s'me'", MQTT_V311},
        {"s'MQTTX' 05 02 003c 00 s'me'", MQTT_V5}, {"s'MQIsdp' 04", MQTT_V311},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t reason;
        int version;
        assert_int_equal(connect_error(cases[i].body, &reason, &version), SEALMQ_E_VERSION);
        assert_int_equal(reason, 0x84);
        assert_int_equal(version, cases[i].answer);
    }
}

static void another_protocol_at_the_level_of_3_1_1_is_malformed(void **state)
{
    static const char *const names[] = {"s'mqtt' 04 02 003c s'me'", "0000 04 02 003c s'me'",
                                        "s'MQTTX' 04", "s'HTTP' 00"};
    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        uint8_t reason;
        int version;
        assert_int_equal(connect_error(names[i], &reason, &version), SEALMQ_E_PARSE);
        assert_int_equal(reason, 0x81);
        assert_int_equal(version, MQTT_V311);
    }
}

static void a_refused_connect_says_in_which_version_to_answer(void **state)
{
    uint8_t reason;
    int version;
    (void)state;
    assert_int_equal(connect_error("0004 4d51", &reason, &version), SEALMQ_E_PARSE);
    assert_int_equal(version, 0);
    assert_int_equal(connect_error("s'MQTT'", &reason, &version), SEALMQ_E_PARSE);
    assert_int_equal(version, 0);
    assert_int_equal(connect_error("s'MQTT' 04 03 003c s'me'", &reason, &version), SEALMQ_E_PARSE);
    assert_int_equal(version, MQTT_V311);
    assert_int_equal(connect_error("s'MQTT' 05 03 003c 00 s'me'", &reason, &version),
                     SEALMQ_E_PARSE);
    assert_int_equal(version, MQTT_V5);
}

static void reserved_and_contradictory_flags_are_malformed(void **state)
{
    (void)state;
    /* [MQTT-3.1.2-3] */
    REFUSE_CLIENT(MQTT_V311, 0x10, "s'MQTT' 04 03 003c s'me'", MALFORMED);
    REFUSE_CLIENT(MQTT_V311, 0x10, "s'MQTT' 05 01 003c p() s'me'", MALFORMED);
    /* will QoS or will retain without a will */
    REFUSE_CLIENT(MQTT_V311, 0x10, "s'MQTT' 04 0a 003c s'me'", MALFORMED);
    REFUSE_CLIENT(MQTT_V311, 0x10, "s'MQTT' 04 22 003c s'me'", MALFORMED);
    REFUSE_CLIENT(MQTT_V311, 0x10, "s'MQTT' 05 12 003c p() s'me'", MALFORMED);
    REFUSE_CLIENT(MQTT_V311, 0x10, "s'MQTT' 05 22 003c p() s'me'", MALFORMED);
    /* will QoS 3 */
    REFUSE_CLIENT(MQTT_V311, 0x10, "s'MQTT' 04 1e 003c s'me' s'w' s''", MALFORMED);
    REFUSE_CLIENT(MQTT_V311, 0x10, "s'MQTT' 05 1e 003c p() s'me' p() s'w' s''", MALFORMED);
}

static void a_password_needs_a_user_name_in_311_only(void **state)
{
    (void)state;
    REFUSE_CLIENT(MQTT_V311, 0x10, "s'MQTT' 04 42 003c s'me' s'secret'", MALFORMED);
    struct mqtt_packet k = ACCEPT_CLIENT(MQTT_V311, 0x10, "s'MQTT' 05 42 003c p() s'me' s'secret'");
    assert_false(k.connect.has_user_name);
    assert_bytes(k.connect.password, "secret");
}

static void fields_that_are_missing_or_left_over_are_malformed(void **state)
{
    (void)state;
    REFUSE_CLIENT(MQTT_V311, 0x10, "s'MQTT' 04 02 003c", MALFORMED);
    REFUSE_CLIENT(MQTT_V311, 0x10, "s'MQTT' 04 02 003c s'me' 00", MALFORMED);
    REFUSE_CLIENT(MQTT_V311, 0x10, "s'MQTT' 04 82 003c s'me'", MALFORMED);
    REFUSE_CLIENT(MQTT_V311, 0x10, "s'MQTT' 04 02 003c s'me' s'user'", MALFORMED);
    REFUSE_CLIENT(MQTT_V311, 0x10, "s'MQTT' 05 02 003c s'me'", MALFORMED); /* no properties */
    REFUSE_CLIENT(MQTT_V311, 0x10, "s'MQTT' 05 06 003c p() s'me' s'w' s''", MALFORMED);
}

static void strings_are_utf_8_without_the_null_character(void **state)
{
    (void)state;
    REFUSE_CLIENT(MQTT_V311, 0x10, "s'MQTT' 04 02 003c 0002 c328", MALFORMED);
    REFUSE_CLIENT(MQTT_V311, 0x10, "s'MQTT' 04 02 003c 0001 00", MALFORMED);
    REFUSE_CLIENT(MQTT_V311, 0x10, "s'MQTT' 04 06 003c s'me' 0001 ff s''", MALFORMED);
    REFUSE_CLIENT(MQTT_V311, 0x10, "s'MQTT' 04 82 003c s'me' 0003 eda080", MALFORMED);
    /* A will's payload and a password are bytes. */
    ACCEPT_CLIENT(MQTT_V311, 0x10, "s'MQTT' 04 c6 003c s'me' s'w' 0002 00ff s'u' 0002 ff00");
}

static void a_will_topic_is_a_topic_name(void **state)
{
    (void)state;
    REFUSE_CLIENT(MQTT_V311, 0x10, "s'MQTT' 04 06 003c s'me' s'a/+' s''", SEALMQ_E_PROTOCOL, 0x90);
    REFUSE_CLIENT(MQTT_V311, 0x10, "s'MQTT' 04 06 003c s'me' s'' s''", SEALMQ_E_PROTOCOL, 0x90);
    REFUSE_CLIENT(MQTT_V311, 0x10, "s'MQTT' 05 06 003c p() s'me' p() s'#' s''", SEALMQ_E_PROTOCOL,
                  0x90);
}

static void an_empty_client_id_needs_a_clean_session_in_311(void **state)
{
    uint8_t reason;
    int version;
    (void)state;
    assert_int_equal(connect_error("s'MQTT' 04 00 003c s''", &reason, &version), SEALMQ_E_PROTOCOL);
    assert_int_equal(reason, 0x85);
    assert_int_equal(mqtt_connect_return_code(reason), 2);
    assert_int_equal(version, MQTT_V311);
    ACCEPT_CLIENT(MQTT_V311, 0x10, "s'MQTT' 04 02 003c s''");
    ACCEPT_CLIENT(MQTT_V311, 0x10, "s'MQTT' 05 00 003c p() s''");
}

static void authentication_data_needs_a_method(void **state)
{
    (void)state;
    REFUSE_CLIENT(MQTT_V311, 0x10, "s'MQTT' 05 02 003c p(16 s'data') s'me'", PROTOCOL);
    ACCEPT_CLIENT(MQTT_V311, 0x10, "s'MQTT' 05 02 003c p(16 s'data' 15 s'method') s'me'");
}

static void only_the_client_may_connect(void **state)
{
    (void)state;
    REFUSE_SERVER(MQTT_V5, 0x10, "s'MQTT' 05 02 003c p() s'me'", PROTOCOL);
    REFUSE_CLIENT(MQTT_V5, 0x20, "00 00 p()", PROTOCOL);
}

static void a_connack_is_read_in_both_versions(void **state)
{
    struct mqtt_prop prop;
    (void)state;
    struct mqtt_packet k = ACCEPT_SERVER(MQTT_V311, 0x20, "01 00");
    assert_true(k.connack.session_present);
    assert_int_equal(k.connack.reason, 0);
    for (uint8_t code = 1; code <= 5; code++) {
        const uint8_t body[] = {0, code};
        k = wire_accepted(wire_packet_bytes(0x20, bytes_of(body, 2)), MQTT_V311, false, __FILE__,
                          __LINE__);
        assert_int_equal(k.connack.reason, code);
    }
    k = ACCEPT_SERVER(MQTT_V5, 0x20, "00 87 p(1f s'no')");
    assert_int_equal(k.connack.reason, 0x87);
    assert_true(mqtt_props_find(k.connack.props, MQTT_PROP_REASON_STRING, &prop));
    assert_bytes(prop.text, "no");
    ACCEPT_SERVER(
        MQTT_V5, 0x20,
        "01 00 p(11 00000000 21 ffff 24 01 25 00 27 00000001 12 s'id' 22 0000 28 00 29 01 "
        "2a 01 13 0001 1a s'r' 1c s'other' 15 s'm' 16 s'd')");
}

static void a_connack_says_only_what_it_may(void **state)
{
    (void)state;
    REFUSE_SERVER(MQTT_V311, 0x20, "02 00", MALFORMED); /* reserved flags */
    REFUSE_SERVER(MQTT_V5, 0x20, "81 00 p()", MALFORMED);
    REFUSE_SERVER(MQTT_V311, 0x20, "00 06", PROTOCOL); /* unknown codes */
    REFUSE_SERVER(MQTT_V311, 0x20, "00 85", PROTOCOL);
    REFUSE_SERVER(MQTT_V5, 0x20, "00 01 p()", PROTOCOL);
    REFUSE_SERVER(MQTT_V5, 0x20, "00 8e p()", PROTOCOL);
    REFUSE_SERVER(MQTT_V311, 0x20, "01 01", PROTOCOL); /* a session with a refusal */
    REFUSE_SERVER(MQTT_V5, 0x20, "01 87 p()", PROTOCOL);
    REFUSE_SERVER(MQTT_V311, 0x20, "00", MALFORMED);
    REFUSE_SERVER(MQTT_V311, 0x20, "00 00 00", MALFORMED);
    REFUSE_SERVER(MQTT_V5, 0x20, "00 00", MALFORMED);
    REFUSE_SERVER(MQTT_V5, 0x20, "00 00 p() 00", MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_connect_is_read_in_both_versions),
        cmocka_unit_test(a_full_connect_is_read_in_both_versions),
        cmocka_unit_test(empty_user_names_and_passwords_are_still_present),
        cmocka_unit_test(an_unknown_protocol_is_refused_in_the_nearest_version),
        cmocka_unit_test(another_protocol_at_the_level_of_3_1_1_is_malformed),
        cmocka_unit_test(a_refused_connect_says_in_which_version_to_answer),
        cmocka_unit_test(reserved_and_contradictory_flags_are_malformed),
        cmocka_unit_test(a_password_needs_a_user_name_in_311_only),
        cmocka_unit_test(fields_that_are_missing_or_left_over_are_malformed),
        cmocka_unit_test(strings_are_utf_8_without_the_null_character),
        cmocka_unit_test(a_will_topic_is_a_topic_name),
        cmocka_unit_test(an_empty_client_id_needs_a_clean_session_in_311),
        cmocka_unit_test(authentication_data_needs_a_method),
        cmocka_unit_test(only_the_client_may_connect),
        cmocka_unit_test(a_connack_is_read_in_both_versions),
        cmocka_unit_test(a_connack_says_only_what_it_may),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
