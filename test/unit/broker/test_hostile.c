/* Any bytes at any time: cut, flipped, random, and split anywhere. What must hold: the server
 * lives, the sender is at worst disconnected, and others are served. */
#include "world.h"

static uint64_t random_state = 1;

static uint32_t draw(uint32_t below)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(random_state >> 33) % below;
}

static void append(struct buf *out, const struct mqtt_packet *packet, enum mqtt_version version)
{
    mqtt_encode(packet, version, out);
    assert_int_equal(buf_status(out), 0);
}

/* One client's whole life, all kinds of packets that a client sends. */
static void make_life(struct buf *out, enum mqtt_version version)
{
    struct mqtt_connect connect = connect_as(version, "hostile");
    connect.has_will = true;
    connect.will_topic = BYTES_LIT("will");
    connect.will_payload = BYTES_LIT("gone");
    connect.has_user_name = true;
    connect.user_name = BYTES_LIT("user");
    append(out, &(struct mqtt_packet){.type = MQTT_CONNECT, .connect = connect}, version);
    struct mqtt_packet packet = {.type = MQTT_SUBSCRIBE};
    packet.subscribe =
        (struct mqtt_subscribe){.packet_id = 1, .filters = BYTES_LIT("\0\1#\2\0\3a/+\1")};
    append(out, &packet, version);
    static const uint8_t props[] = {MQTT_PROP_TOPIC_ALIAS, 0, 1, MQTT_PROP_CONTENT_TYPE, 0, 1, 'x'};
    for (uint8_t qos = 0; qos <= 2; qos++) {
        packet = (struct mqtt_packet){.type = MQTT_PUBLISH};
        packet.publish = (struct mqtt_publish){
            .retain = qos == 1,
            .qos = qos,
            .packet_id = qos,
            .topic = BYTES_LIT("a/b"),
            .props = {bytes_of(props, sizeof props)},
            .payload = BYTES_LIT("payload"),
        };
        append(out, &packet, version);
    }
    static const enum mqtt_type acks[] = {MQTT_PUBACK, MQTT_PUBREC, MQTT_PUBCOMP, MQTT_PUBREL};
    for (size_t i = 0; i < 4; i++) {
        packet = (struct mqtt_packet){.type = acks[i], .ack = {.packet_id = (uint16_t)(1 + i / 2)}};
        append(out, &packet, version);
    }
    packet = (struct mqtt_packet){.type = MQTT_UNSUBSCRIBE};
    packet.unsubscribe = (struct mqtt_unsubscribe){.packet_id = 4, .filters = BYTES_LIT("\0\1#")};
    append(out, &packet, version);
    append(out, &(struct mqtt_packet){.type = MQTT_PINGREQ}, version);
    append(out, &(struct mqtt_packet){.type = MQTT_DISCONNECT}, version);
}

static void expect_service(struct client *honest)
{
    client_publish(honest, "alive", "?", 0, 0, false);
    honest->at = honest->in.n;
    client_send(honest, &(struct mqtt_packet){.type = MQTT_PINGREQ});
    (void)client_expect(honest, MQTT_PINGRESP);
    buf_reset(&honest->in);
    honest->at = 0;
}

static void live_through(struct world *w, struct client *honest, struct bytes bytes, bool split)
{
    struct client c;
    client_open(&c, w, 0, MQTT_V5);
    while (bytes.n != 0 && !c.is_closed) {
        size_t n = split ? 1 + draw(7) : bytes.n;
        n = n < bytes.n ? n : bytes.n;
        client_send_bytes(&c, bytes_of(bytes.p, n));
        bytes = bytes_of(bytes.p + n, bytes.n - n);
    }
    client_close(&c);
    if (draw(16) == 0)
        expect_service(honest);
}

static void open_world(struct world *w, struct client *honest)
{
    world_init(w, 1);
    world_start(w);
    client_join(honest, w, MQTT_V5, "honest");
    client_subscribe(honest, "will", 0);
}

static void close_world(struct world *w, struct client *honest)
{
    expect_service(honest);
    client_close(honest);
    struct broker_stats stats;
    broker_stats_get(w->shard[0], &stats);
    assert_int_equal(stats.connections, 0);
    assert_int_equal(stats.sessions, 0);
    assert_int_equal(stats.subscriptions, 0);
    world_close(w);
}

static void cut_at_every_byte(void **state)
{
    (void)state;
    struct world w;
    struct client honest;
    open_world(&w, &honest);
    for (enum mqtt_version v = MQTT_V311; v <= MQTT_V5; v++) {
        struct buf life = {0};
        make_life(&life, v);
        for (size_t n = 0; n <= life.n; n++)
            live_through(&w, &honest, bytes_of(life.p, n), n % 2 == 0);
        buf_close(&life);
    }
    close_world(&w, &honest);
}

static void every_bit_flipped(void **state)
{
    (void)state;
    struct world w;
    struct client honest;
    open_world(&w, &honest);
    for (enum mqtt_version v = MQTT_V311; v <= MQTT_V5; v++) {
        struct buf life = {0};
        make_life(&life, v);
        for (size_t i = 0; i < life.n * 8; i++) {
            life.p[i / 8] ^= (uint8_t)(1u << i % 8);
            live_through(&w, &honest, buf_bytes(&life), false);
            life.p[i / 8] ^= (uint8_t)(1u << i % 8);
        }
        buf_close(&life);
    }
    /* A flipped bit in the flags of CONNECT may have made sessions that last. */
    world_advance(&w, UINT64_C(1000) * w.limits.session_expiry_max_s);
    assert_true(honest.is_closed);
    client_close(&honest);
    client_join(&honest, &w, MQTT_V5, "honest");
    close_world(&w, &honest);
}

static void random_bytes_behind_a_connect(void **state)
{
    (void)state;
    struct world w;
    struct client honest;
    open_world(&w, &honest);
    for (unsigned round = 0; round < 3000; round++) {
        struct buf bytes = {0};
        enum mqtt_version v = round % 2 == 0 ? MQTT_V311 : MQTT_V5;
        struct mqtt_connect connect = connect_as(v, "hostile");
        append(&bytes, &(struct mqtt_packet){.type = MQTT_CONNECT, .connect = connect}, v);
        unsigned packets = 1 + draw(6);
        for (unsigned i = 0; i < packets; i++) {
            unsigned n = draw(40);
            buf_append_u8(&bytes, (uint8_t)(draw(3) == 0 ? draw(256) : draw(16) << 4 | 2));
            buf_append_u8(&bytes, (uint8_t)n);
            for (unsigned k = 0; k < n; k++)
                buf_append_u8(&bytes, (uint8_t)(draw(2) == 0 ? draw(6) : draw(256)));
        }
        live_through(&w, &honest, buf_bytes(&bytes), round % 3 == 0);
        buf_close(&bytes);
    }
    close_world(&w, &honest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cut_at_every_byte),
        cmocka_unit_test(every_bit_flipped),
        cmocka_unit_test(random_bytes_behind_a_connect),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
