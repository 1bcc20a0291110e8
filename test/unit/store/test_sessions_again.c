/* What is sent again after a crash, and identifiers that are used again: each message is there
 * once, for everybody whom it is for. */
#include "folder.h"
#include "server.h"

#include <stdio.h>
#include <string.h>

struct fixture {
    struct server server;
    char path[512];
};

static void begin(void **state, struct fixture *f, unsigned shards)
{
    f->server.now_ms = 1000;
    f->server.wall_ms = 1700000000000;
    snprintf(f->path, sizeof f->path, "%s", folder_path(state, "sessions.db"));
    server_start(&f->server, f->path, shards);
}

static void crash(struct fixture *f)
{
    server_crash(&f->server);
    f->server.now_ms = 5;
    server_start(&f->server, f->path, f->server.shards);
}

static void come(struct fixture *f, struct peer *p, const char *id)
{
    peer_connect(p, &f->server, id, false);
    server_settle(&f->server);
    peer_expect(p, MQTT_CONNACK, NULL);
}

static void subscribe(struct fixture *f, struct peer *p, const char *filter, uint8_t qos)
{
    peer_subscribe(p, filter, qos);
    server_settle(&f->server);
    peer_expect(p, MQTT_SUBACK, NULL);
}

/* Has a session with a subscription, and is not connected. */
static void leave_subscribed(struct fixture *f, const char *id, const char *filter, uint8_t qos)
{
    struct peer p = {0};
    come(f, &p, id);
    subscribe(f, &p, filter, qos);
    peer_close(&p);
    server_settle(&f->server);
}

/* How many messages with this payload the session gets when it comes back; all are taken. */
static unsigned received(struct fixture *f, const char *id, const char *payload)
{
    struct peer p = {0};
    struct mqtt_packet packet;
    unsigned count = 0;
    come(f, &p, id);
    for (;;) {
        server_settle(&f->server);
        if (!peer_receive(&p, &packet))
            break;
        if (packet.type == MQTT_PUBREL) {
            peer_ack(&p, MQTT_PUBCOMP, packet.ack.packet_id);
            continue;
        }
        assert_int_equal(packet.type, MQTT_PUBLISH);
        count += bytes_equal(packet.publish.payload, bytes_str(payload));
        peer_ack(&p, packet.publish.qos == 1 ? MQTT_PUBACK : MQTT_PUBREC, packet.publish.packet_id);
    }
    peer_close(&p);
    server_settle(&f->server);
    return count;
}

/* A QoS 2 message with all its packets. */
static void publish_wholly(struct fixture *f, struct peer *p, const char *topic,
                           const char *payload, uint16_t packet_id)
{
    peer_publish(p, topic, payload, 2, packet_id, false, false);
    server_settle(&f->server);
    peer_expect(p, MQTT_PUBREC, NULL);
    peer_ack(p, MQTT_PUBREL, packet_id);
    server_settle(&f->server);
    peer_expect(p, MQTT_PUBCOMP, NULL);
}

static void retained_message_sent_again_is_for_later_subscribers_too(void **state)
{
    struct fixture f = {0};
    struct peer p = {0};
    begin(state, &f, 1);
    come(&f, &p, "p");
    peer_publish(&p, "x", "kept", 2, 5, true, false);
    server_settle(&f.server);
    peer_forget(&p);
    crash(&f);
    come(&f, &p, "p");
    peer_publish(&p, "x", "kept", 2, 5, true, true);
    server_settle(&f.server);
    peer_expect(&p, MQTT_PUBREC, NULL);
    leave_subscribed(&f, "s", "x", 1);
    assert_int_equal(received(&f, "s", "kept"), 1);
    peer_close(&p);
    server_crash(&f.server);
}

/* Members on the second shard and on `other`, both away; the second message was given to the second
 * shard, and the shards in `stored` had stored their part when the server crashed. */
static void group_gets_once(void **state, const char *payload, unsigned other, unsigned stored)
{
    struct fixture f = {0};
    struct peer p = {0};
    char a[32], b[32], publisher[32];
    peer_id(other, 2, "a", a);
    peer_id(1, 2, "b", b);
    peer_id(0, 2, "p", publisher);
    begin(state, &f, 2);
    leave_subscribed(&f, a, "$share/g/x", 2);
    leave_subscribed(&f, b, "$share/g/x", 2);
    come(&f, &p, publisher);
    publish_wholly(&f, &p, "x", "first", 1);
    peer_publish(&p, "x", payload, 2, 2, false, false);
    server_carry_parcels(&f.server);
    assert_true(server_take(&f.server, 3));
    server_commit(&f.server, stored);
    peer_forget(&p);
    crash(&f);
    come(&f, &p, publisher);
    peer_publish(&p, "x", payload, 2, 2, false, true);
    server_settle(&f.server);
    peer_expect(&p, MQTT_PUBREC, NULL);
    assert_int_equal(received(&f, a, payload) + received(&f, b, payload), 1);
    peer_close(&p);
    server_crash(&f.server);
}

static void message_for_a_group_that_was_not_stored_is_given_to_it_again(void **state)
{
    static char large[3000];
    memset(large, 'l', sizeof large - 1);
    group_gets_once(state, "small", 0, 1);
}

static void large_message_for_a_group_is_given_to_it_again(void **state)
{
    static char large[3000];
    memset(large, 'l', sizeof large - 1);
    group_gets_once(state, large, 0, 1);
}

static void message_for_a_group_that_was_stored_is_not_given_to_it_again(void **state)
{
    group_gets_once(state, "small", 1, 3);
}

static void identifier_of_a_completed_message_is_free_after_a_lazy_run(void **state)
{
    struct fixture f = {.server = {.is_lazy = true}};
    struct peer p = {0};
    char s[32], publisher[32];
    peer_id(1, 2, "s", s);
    peer_id(0, 2, "p", publisher);
    begin(state, &f, 2);
    leave_subscribed(&f, s, "x", 2);
    come(&f, &p, publisher);
    /* Both shards store all of it by one commit. */
    peer_publish(&p, "x", "old", 2, 7, false, false);
    server_carry_parcels(&f.server);
    peer_expect(&p, MQTT_PUBREC, NULL);
    peer_ack(&p, MQTT_PUBREL, 7);
    server_settle(&f.server);
    peer_forget(&p);
    crash(&f);
    assert_int_equal(received(&f, s, "old"), 1);
    come(&f, &p, publisher);
    publish_wholly(&f, &p, "x", "new", 7);
    assert_int_equal(received(&f, s, "new"), 1);
    peer_close(&p);
    server_crash(&f.server);
}

static void identifier_is_free_though_its_message_was_handed_over_since(void **state)
{
    struct fixture f = {0};
    struct peer p = {0}, gone = {0};
    char a[32], b[32], publisher[32];
    peer_id(0, 2, "a", a);
    peer_id(1, 2, "b", b);
    peer_id(0, 2, "p", publisher);
    begin(state, &f, 2);
    leave_subscribed(&f, a, "$share/g/x", 1);
    come(&f, &p, publisher);
    publish_wholly(&f, &p, "x", "old", 7);
    leave_subscribed(&f, b, "$share/g/x", 1);
    peer_connect(&gone, &f.server, a, true);
    server_settle(&f.server);
    peer_close(&gone);
    server_settle(&f.server);
    peer_forget(&p);
    crash(&f);
    assert_int_equal(received(&f, b, "old"), 1);
    come(&f, &p, publisher);
    leave_subscribed(&f, b, "y", 1);
    publish_wholly(&f, &p, "y", "new", 7);
    assert_int_equal(received(&f, b, "new"), 1);
    peer_close(&p);
    server_crash(&f.server);
}

/* The end of a session can fail to be stored, and its client come again with a new one. */
static void the_newer_of_two_sessions_of_a_client_is_the_one(void **state)
{
    struct fixture f = {0};
    struct peer p = {0};
    begin(state, &f, 2);
    leave_subscribed(&f, "a", "new", 1);
    server_crash(&f.server);
    run_sql(f.path, "UPDATE sessions SET number = number + 10;"
                    "UPDATE subscriptions SET session = session + 10;"
                    "INSERT INTO sessions SELECT number - 5, client, user, role, anonymous, 1,"
                    " expiry, NULL, will, will_delay, will_at FROM sessions;"
                    "INSERT INTO subscriptions SELECT session - 5, x'6f6c64', 0, 1"
                    " FROM subscriptions");
    f.server.now_ms = 5;
    server_start(&f.server, f.path, 2);
    assert_int_equal(f.server.loaded.sessions, 1);
    assert_int_equal(f.server.loaded.ended, 1);
    come(&f, &p, "writer");
    peer_publish(&p, "old", "o", 1, 1, false, false);
    peer_publish(&p, "new", "n", 1, 2, false, false);
    server_settle(&f.server);
    peer_close(&p);
    server_crash(&f.server);
    assert_int_equal(ask_sql(f.path, "SELECT count(*) FROM sessions WHERE client = x'61'"), 1);
    assert_int_equal(ask_sql(f.path, "SELECT count(*) FROM subscriptions"), 1);
    server_start(&f.server, f.path, 2);
    assert_int_equal(f.server.loaded.ended, 0);
    assert_int_equal(f.server.loaded.queued, 1);
    assert_int_equal(received(&f, "a", "n"), 1);
    server_crash(&f.server);
}

static void send_5(struct peer *p, const struct mqtt_packet *packet)
{
    struct buf bytes = {0};
    size_t consumed;
    mqtt_encode(packet, MQTT_V5, &bytes);
    assert_int_equal(
        broker_input(p->server->shard[0], p->conn, buf_bytes(&bytes), p->server->now_ms, &consumed),
        0);
    assert_int_equal(consumed, bytes.n);
    buf_close(&bytes);
}

/* The type of the packet that the server shows; 0: nothing. */
static unsigned shown(struct peer *p)
{
    struct broker_piece piece;
    bool closing;
    if (broker_output(p->server->shard[0], p->conn, &piece, 1, &closing) == 0)
        return 0;
    unsigned type = ((const uint8_t *)piece.p)[0] >> 4;
    broker_output_written(p->server->shard[0], p->conn, piece.n);
    return type;
}

/* In 5.0 a refusal frees the identifier: it must be free after a restart too. */
static void refusal_of_a_qos_2_message_waits_for_the_commit(void **state)
{
    struct fixture f = {.server = {.has_service = true}};
    struct peer p = {0};
    struct buf props = {0};
    begin(state, &f, 1);
    mqtt_props_append_number(&props, MQTT_PROP_SESSION_EXPIRY, 1000);
    struct mqtt_packet connect = {.type = MQTT_CONNECT};
    connect.connect = (struct mqtt_connect){
        .version = MQTT_V5, .client_id = bytes_str("p"), .props = {buf_bytes(&props)}};
    peer_open(&p, &f.server, "p");
    send_5(&p, &connect);
    server_settle(&f.server);
    assert_int_equal(shown(&p), MQTT_CONNACK);
    struct mqtt_packet publish = {.type = MQTT_PUBLISH};
    publish.publish = (struct mqtt_publish){.qos = 2, .packet_id = 7, .topic = bytes_str("x")};
    send_5(&p, &publish);
    server_settle(&f.server);
    broker_acknowledge(f.server.shard[0], p.conn, f.server.ticket, MQTT_REASON_NOT_AUTHORIZED);
    assert_int_equal(shown(&p), 0);
    server_settle(&f.server);
    assert_int_equal(shown(&p), MQTT_PUBREC);
    peer_close(&p);
    buf_close(&props);
    server_crash(&f.server);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(retained_message_sent_again_is_for_later_subscribers_too),
        TEST(message_for_a_group_that_was_not_stored_is_given_to_it_again),
        TEST(large_message_for_a_group_is_given_to_it_again),
        TEST(message_for_a_group_that_was_stored_is_not_given_to_it_again),
        TEST(identifier_of_a_completed_message_is_free_after_a_lazy_run),
        TEST(refusal_of_a_qos_2_message_waits_for_the_commit),
        TEST(identifier_is_free_though_its_message_was_handed_over_since),
        TEST(the_newer_of_two_sessions_of_a_client_is_the_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
