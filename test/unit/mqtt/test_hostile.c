/* Valid packets cut short, lengthened and with bytes changed. Whatever comes out is either refused,
 * with an error and a reason code of the contract, or accepted and then survives encoding. */
#include "unit/mqtt/wire.h"

#include "lib/mqtt_packet_equal.h"

static const struct {
    enum mqtt_version version;
    bool from_client;
    uint8_t first;
    const char *body;
} valid[] = {
    {MQTT_V311, true, 0x10, "s'MQTT' 04 ee 003c s'me' s'w' s'gone' s'user' s'secret'"},
    {MQTT_V5, true, 0x10,
     "s'MQTT' 05 ee 003c p(11 00000078 21 0014 15 s'm' 16 s'd' 26 s'k' s'v' 17 00 19 01 22 0002 27 "
     "00001000) s'me' p(01 01 02 0000000a 03 s't' 08 s'r' 09 s'c' 18 00000001) s'w' s'gone' "
     "s'user' s'secret'"},
    {MQTT_V311, false, 0x20, "01 00"},
    {MQTT_V5, false, 0x20, "00 00 p(11 00000000 12 s'id' 13 0001 24 01 1f s'why' 26 s'' s'')"},
    {MQTT_V311, true, 0x3b, "s'a/b/c' 0007 'payload'"},
    {MQTT_V5, true, 0x3b,
     "s'a/b/\xc2\xb0' 0007 p(23 0001 01 01 02 0000000a 03 s't' 08 s'r' 09 s'c' 26 s'k' s'v') "
     "'pay'"},
    {MQTT_V5, false, 0x30, "s'a' p(0b 01 0b 8001) 'payload'"},
    {MQTT_V5, true, 0x40, "0001 10 p(1f s'why')"},
    {MQTT_V5, false, 0x62, "0001 92"},
    {MQTT_V311, true, 0x70, "0001"},
    {MQTT_V311, true, 0x82, "0001 s'a/+' 01 s'#' 02"},
    {MQTT_V5, true, 0x82, "0001 p(0b 01 26 s'k' s'v') s'a/+' 2d s'$share/g/#' 02"},
    {MQTT_V5, false, 0x90, "0001 p(1f s'why') 00 01 87"},
    {MQTT_V5, true, 0xa2, "0001 p(26 s'k' s'v') s'a/+' s'$share/g/#'"},
    {MQTT_V5, false, 0xb0, "0001 p() 00 11"},
    {MQTT_V5, true, 0xe0, "04 p(11 0000000a 26 s'k' s'v')"},
    {MQTT_V5, true, 0xf0, "18 p(15 s'm' 16 s'd')"},
};
#define VALID (sizeof(valid) / sizeof(valid[0]))

/* Decodes; true when accepted. */
static bool survives(struct bytes packet, enum mqtt_version version, bool from_client)
{
    struct mqtt_packet out;
    uint8_t reason = 0;
    int error = mqtt_decode(packet, version, from_client, &out, &reason);
    if (error == 0) {
        wire_accepted(packet, version, from_client, __FILE__, __LINE__);
        return true;
    }
    assert_true((error == SEALMQ_E_PARSE && reason == 0x81) ||
                (error == SEALMQ_E_VERSION && reason == 0x84) ||
                (error == SEALMQ_E_PROTOCOL && reason >= 0x82));
    return false;
}

/* Whether the first n bytes of this body may be a packet of their own: what ends with a payload,
 * with filters or with codes may have fewer of them, and short forms leave the end out. */
static bool may_end_at(size_t i, size_t n, size_t whole)
{
    switch (valid[i].first >> 4) {
    case MQTT_PUBLISH:
        return n + 7 >= whole;
    case MQTT_PUBACK:
    case MQTT_PUBREL:
        return n == 2 || n == 3;
    case MQTT_SUBSCRIBE:
    case MQTT_UNSUBSCRIBE:
        return n + 13 >= whole; /* the last filter of these */
    case MQTT_SUBACK:
    case MQTT_UNSUBACK:
        return n + 2 >= whole;
    case MQTT_DISCONNECT:
        return n <= 1;
    default:
        return false;
    }
}

static void a_packet_cut_short_is_refused_or_another_valid_one(void **state)
{
    (void)state;
    for (size_t i = 0; i < VALID; i++) {
        struct buf body = {0};
        wire_append(&body, valid[i].body);
        for (size_t n = 0; n < body.n; n++) {
            struct bytes packet = wire_packet_bytes(valid[i].first, bytes_of(body.p, n));
            bool accepted = survives(packet, valid[i].version, valid[i].from_client);
            if (accepted && !may_end_at(i, n, body.n))
                fail_msg("packet %zu accepted at %zu of %zu bytes", i, n, body.n);
        }
        assert_true(survives(wire_packet_bytes(valid[i].first, buf_bytes(&body)), valid[i].version,
                             valid[i].from_client));
        buf_close(&body);
    }
}

static void a_packet_whose_length_lies_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < VALID; i++) {
        struct bytes packet = wire_packet(valid[i].first, valid[i].body);
        for (size_t n = 0; n < packet.n; n++)
            assert_false(survives(bytes_of(packet.p, n), valid[i].version, valid[i].from_client));
    }
}

static void changed_bytes_do_no_harm(void **state)
{
    (void)state;
    for (size_t i = 0; i < VALID; i++) {
        struct buf body = {0};
        wire_append(&body, valid[i].body);
        for (size_t at = 0; at < body.n; at++) {
            uint8_t old = body.p[at];
            for (unsigned value = 0; value < 256; value++) {
                body.p[at] = (uint8_t)value;
                survives(wire_packet_bytes(valid[i].first, buf_bytes(&body)), valid[i].version,
                         valid[i].from_client);
            }
            body.p[at] = old;
        }
        buf_close(&body);
    }
}

static void every_packet_is_safe_as_any_type_version_and_direction(void **state)
{
    (void)state;
    for (size_t i = 0; i < VALID; i++) {
        for (unsigned first = 0; first < 256; first++) {
            for (unsigned kind = 0; kind < 4; kind++) {
                struct bytes packet = wire_packet((uint8_t)first, valid[i].body);
                survives(packet, (kind & 1) != 0 ? MQTT_V5 : MQTT_V311, (kind & 2) != 0);
            }
        }
    }
}

static void swapped_pairs_of_bytes_do_no_harm(void **state)
{
    uint32_t seed = 1;
    (void)state;
    for (size_t round = 0; round < 20000; round++) {
        size_t i = round % VALID;
        struct buf body = {0};
        wire_append(&body, valid[i].body);
        for (int changes = 0; changes < 3; changes++) {
            seed = seed * 1664525 + 1013904223;
            size_t a = (seed >> 8) % body.n;
            seed = seed * 1664525 + 1013904223;
            size_t b = (seed >> 8) % body.n;
            uint8_t swap = body.p[a];
            body.p[a] = body.p[b];
            body.p[b] = swap;
        }
        survives(wire_packet_bytes(valid[i].first, buf_bytes(&body)), valid[i].version,
                 valid[i].from_client);
        buf_close(&body);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_packet_cut_short_is_refused_or_another_valid_one),
        cmocka_unit_test(a_packet_whose_length_lies_is_refused),
        cmocka_unit_test(changed_bytes_do_no_harm),
        cmocka_unit_test(every_packet_is_safe_as_any_type_version_and_direction),
        cmocka_unit_test(swapped_pairs_of_bytes_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
