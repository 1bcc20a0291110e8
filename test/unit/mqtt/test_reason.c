#include "unit/mqtt/wire.h"

static void every_reason_has_words_of_its_own(void **state)
{
    static const uint8_t numbers[] = {
#define X(name, number, text) number,
        MQTT_REASONS(X)
#undef X
    };
    (void)state;
    assert_int_equal(sizeof(numbers), 43);
    for (size_t i = 0; i < sizeof(numbers); i++) {
        assert_string_not_equal(mqtt_reason_text(numbers[i]), "unknown reason");
        for (size_t j = 0; j < i; j++) {
            assert_int_not_equal(numbers[i], numbers[j]);
            assert_string_not_equal(mqtt_reason_text(numbers[i]), mqtt_reason_text(numbers[j]));
        }
    }
    assert_string_equal(mqtt_reason_text(0x8e), "session taken over");
    assert_string_equal(mqtt_reason_text(0x03), "unknown reason");
    assert_string_equal(mqtt_reason_text(0xff), "unknown reason");
}

static void a_refusal_has_its_return_code_in_311(void **state)
{
    (void)state;
    assert_int_equal(mqtt_connect_return_code(0x00), 0);
    assert_int_equal(mqtt_connect_return_code(0x84), 1);
    assert_int_equal(mqtt_connect_return_code(0x85), 2);
    assert_int_equal(mqtt_connect_return_code(0x88), 3);
    assert_int_equal(mqtt_connect_return_code(0x97), 3);
    assert_int_equal(mqtt_connect_return_code(0x86), 4);
    assert_int_equal(mqtt_connect_return_code(0x8c), 4);
    assert_int_equal(mqtt_connect_return_code(0x87), 5);
    assert_int_equal(mqtt_connect_return_code(0x8a), 5);
    for (unsigned reason = 1; reason < 256; reason++) {
        uint8_t code = mqtt_connect_return_code((uint8_t)reason);
        assert_true(code >= 1 && code <= 5);
    }
}

/* The tables of the specification, code by code; the first byte of a packet and its body before
 * and after the reason code. */
static void each_packet_has_the_reasons_of_its_table(void **state)
{
    static const struct {
        uint8_t first;
        bool from_client;
        const char *before, *after, *reasons;
    } tables[] = {
        {0x20, false, "00", "00",
         "00 80 81 82 83 84 85 86 87 88 89 8a 8c 90 95 97 99 9a 9b 9c 9d 9f"}, /* 3-1 */
        {0x40, true, "0001", "", "00 10 80 83 87 90 91 97 99"},                /* 3-4 */
        {0x50, false, "0001", "", "00 10 80 83 87 90 91 97 99"},               /* 3-5 */
        {0x62, false, "0001", "", "00 92"},                                    /* 3-6 */
        {0x70, true, "0001", "", "00 92"},                                     /* 3-7 */
        {0x90, false, "0001 00", "", "00 01 02 80 83 87 8f 91 97 9e a1 a2"},   /* 3-8 */
        {0xb0, false, "0001 00", "", "00 11 80 83 87 8f 91"},                  /* 3-9 */
        {0xe0, true, "", "", "00 04 80 81 82 83 90 93 94 95 96 97 98 99"},     /* 3-10 */
        {0xe0, false, "", "",
         "00 80 81 82 83 87 89 8b 8c 8d 8e 8f 90 93 94 95 96 97 98 99 9a 9b 9c 9d 9e 9f a0 a1 a2"},
        {0xf0, true, "", "p(15 s'm')", "18 19"}, /* 3-11 */
        {0xf0, false, "", "p(15 s'm')", "00 18"},
    };
    (void)state;
    for (size_t t = 0; t < sizeof(tables) / sizeof(tables[0]); t++) {
        struct buf allowed = {0};
        wire_append(&allowed, tables[t].reasons);
        for (unsigned reason = 0; reason < 256; reason++) {
            struct buf body = {0};
            struct mqtt_packet out;
            uint8_t answer = 0;
            wire_append(&body, tables[t].before);
            buf_append_u8(&body, (uint8_t)reason);
            wire_append(&body, tables[t].after);
            int error = mqtt_decode(wire_packet_bytes(tables[t].first, buf_bytes(&body)), MQTT_V5,
                                    tables[t].from_client, &out, &answer);
            int want = memchr(allowed.p, (int)reason, allowed.n) != NULL ? 0 : SEALMQ_E_PROTOCOL;
            if (error != want)
                fail_msg("packet 0x%02x, reason 0x%02x: %s", tables[t].first, reason,
                         sealmq_error_name(error));
            buf_close(&body);
        }
        buf_close(&allowed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_reason_has_words_of_its_own),
        cmocka_unit_test(a_refusal_has_its_return_code_in_311),
        cmocka_unit_test(each_packet_has_the_reasons_of_its_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
