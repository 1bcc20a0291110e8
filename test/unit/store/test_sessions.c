/* What is durable, when it is said to be, and that it comes back. */
#include "folder.h"
#include "server.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

struct fixture {
    struct server server;
    char path[512];
};

static void begin(void **state, struct fixture *f, unsigned shards)
{
    *f = (struct fixture){.server = {.now_ms = 1000, .wall_ms = 1700000000000}};
    snprintf(f->path, sizeof f->path, "%s", folder_path(state, "sessions.db"));
    server_start(&f->server, f->path, shards);
}

/* A new run, with a clock of its own, `later_ms` after the crash. */
static void crash(struct fixture *f, unsigned shards, uint64_t later_ms)
{
    server_crash(&f->server);
    f->server.wall_ms += later_ms;
    f->server.now_ms = 5;
    server_start(&f->server, f->path, shards);
}

/* A session with a subscription, whose CONNACK and SUBACK were seen. */
static void settle_in(struct fixture *f, struct peer *p, const char *id, const char *filter)
{
    struct mqtt_packet packet;
    peer_connect(p, &f->server, id, false);
    server_settle(&f->server);
    peer_expect(p, MQTT_CONNACK, &packet);
    peer_subscribe(p, filter, 2);
    server_settle(&f->server);
    peer_expect(p, MQTT_SUBACK, NULL);
}

static void come_back(struct fixture *f, struct peer *p, const char *id)
{
    struct mqtt_packet packet;
    peer_connect(p, &f->server, id, false);
    server_settle(&f->server);
    peer_expect(p, MQTT_CONNACK, &packet);
    assert_true(packet.connack.session_present);
}

static void expect_publish(struct peer *p, const char *payload, struct mqtt_publish *out)
{
    struct mqtt_packet packet;
    peer_expect(p, MQTT_PUBLISH, &packet);
    assert_int_equal(packet.publish.payload.n, strlen(payload));
    assert_memory_equal(packet.publish.payload.p, payload, strlen(payload));
    if (out != NULL)
        *out = packet.publish;
}

static void connack_and_suback_wait_for_the_commit(void **state)
{
    struct fixture f;
    struct peer p = {0};
    begin(state, &f, 1);
    peer_connect(&p, &f.server, "a", false);
    peer_expect_nothing(&p);
    assert_true(server_take(&f.server, 1));
    peer_expect_nothing(&p);
    server_commit(&f.server, 1);
    peer_expect(&p, MQTT_CONNACK, NULL);
    peer_subscribe(&p, "x", 1);
    peer_expect_nothing(&p);
    server_settle(&f.server);
    peer_expect(&p, MQTT_SUBACK, NULL);
    peer_close(&p);
    server_crash(&f.server);
}

static void puback_waits_for_the_commit_and_order_stays(void **state)
{
    struct fixture f;
    struct peer subscriber = {0}, publisher = {0};
    begin(state, &f, 1);
    settle_in(&f, &subscriber, "s", "x");
    peer_close(&subscriber);
    server_settle(&f.server);
    peer_connect(&publisher, &f.server, "p", true);
    peer_expect(&publisher, MQTT_CONNACK, NULL);
    peer_publish(&publisher, "x", "1", 1, 1, false, false);
    assert_true(server_take(&f.server, 1));
    peer_publish(&publisher, "x", "2", 1, 2, false, false);
    peer_publish(&publisher, "nobody", "3", 1, 3, false, false);
    peer_expect_nothing(&publisher);
    server_commit(&f.server, 1);
    struct mqtt_packet packet;
    peer_expect(&publisher, MQTT_PUBACK, &packet);
    assert_int_equal(packet.ack.packet_id, 1);
    peer_expect_nothing(&publisher);
    server_settle(&f.server);
    for (uint16_t id = 2; id <= 3; id++) {
        peer_expect(&publisher, MQTT_PUBACK, &packet);
        assert_int_equal(packet.ack.packet_id, id);
    }
    peer_forget(&publisher);
    crash(&f, 1, 0);
    come_back(&f, &subscriber, "s");
    expect_publish(&subscriber, "1", NULL);
    expect_publish(&subscriber, "2", NULL);
    peer_close(&subscriber);
    server_crash(&f.server);
}

static void puback_waits_for_the_other_shard(void **state)
{
    struct fixture f;
    struct peer subscriber = {0}, publisher = {0};
    char s[32], p[32];
    begin(state, &f, 2);
    settle_in(&f, &subscriber, peer_id(1, 2, "s", s), "x");
    peer_close(&subscriber);
    server_settle(&f.server);
    peer_connect(&publisher, &f.server, peer_id(0, 2, "p", p), true);
    peer_expect(&publisher, MQTT_CONNACK, NULL);
    peer_publish(&publisher, "x", "1", 1, 1, false, false);
    peer_expect_nothing(&publisher);
    server_carry_parcels(&f.server);
    peer_expect_nothing(&publisher);
    assert_true(server_take(&f.server, 2));
    server_commit(&f.server, 2);
    peer_expect_nothing(&publisher);
    server_carry_parcels(&f.server);
    peer_expect(&publisher, MQTT_PUBACK, NULL);
    peer_forget(&publisher);
    crash(&f, 3, 0);
    come_back(&f, &subscriber, s);
    expect_publish(&subscriber, "1", NULL);
    peer_close(&subscriber);
    server_crash(&f.server);
}

static void nothing_waits_where_nobody_is_persistent(void **state)
{
    struct fixture f;
    struct peer subscriber = {0}, publisher = {0};
    char s[32], p[32];
    begin(state, &f, 2);
    peer_connect(&subscriber, &f.server, peer_id(1, 2, "s", s), true);
    peer_expect(&subscriber, MQTT_CONNACK, NULL);
    peer_subscribe(&subscriber, "x", 2);
    peer_expect(&subscriber, MQTT_SUBACK, NULL);
    server_carry_parcels(&f.server);
    peer_connect(&publisher, &f.server, peer_id(0, 2, "p", p), true);
    peer_expect(&publisher, MQTT_CONNACK, NULL);
    peer_publish(&publisher, "x", "1", 2, 1, false, false);
    peer_expect(&publisher, MQTT_PUBREC, NULL);
    server_carry_parcels(&f.server);
    expect_publish(&subscriber, "1", NULL);
    assert_false(server_take(&f.server, 3));
    peer_close(&subscriber);
    peer_close(&publisher);
    server_crash(&f.server);
}

static void a_message_that_is_taken_at_once_is_never_written(void **state)
{
    struct fixture f;
    struct peer subscriber = {0}, publisher = {0};
    struct mqtt_publish publish;
    begin(state, &f, 1);
    settle_in(&f, &subscriber, "s", "x");
    peer_connect(&publisher, &f.server, "p", true);
    peer_expect(&publisher, MQTT_CONNACK, NULL);
    peer_publish(&publisher, "x", "1", 1, 1, false, false);
    expect_publish(&subscriber, "1", &publish);
    peer_ack(&subscriber, MQTT_PUBACK, publish.packet_id);
    peer_expect_nothing(&publisher);
    unsigned commits = f.server.commits;
    server_settle(&f.server);
    assert_int_equal(f.server.commits, commits);
    peer_expect(&publisher, MQTT_PUBACK, NULL);
    peer_close(&subscriber);
    peer_close(&publisher);
    server_crash(&f.server);
}

static void qos_2_leaves_only_with_its_identifier_stored(void **state)
{
    struct fixture f;
    struct peer subscriber = {0}, publisher = {0};
    struct mqtt_publish first, again;
    begin(state, &f, 1);
    settle_in(&f, &subscriber, "s", "x");
    peer_connect(&publisher, &f.server, "p", true);
    peer_expect(&publisher, MQTT_CONNACK, NULL);
    peer_publish(&publisher, "x", "1", 2, 1, false, false);
    peer_expect_nothing(&subscriber);
    server_settle(&f.server);
    expect_publish(&subscriber, "1", &first);
    peer_forget(&subscriber);
    peer_forget(&publisher);
    crash(&f, 1, 0);
    come_back(&f, &subscriber, "s");
    expect_publish(&subscriber, "1", &again);
    assert_true(again.dup);
    assert_int_equal(again.packet_id, first.packet_id);
    peer_ack(&subscriber, MQTT_PUBREC, again.packet_id);
    peer_expect_nothing(&subscriber); /* PUBREL waits, too */
    server_settle(&f.server);
    peer_expect(&subscriber, MQTT_PUBREL, NULL);
    peer_forget(&subscriber);
    crash(&f, 1, 0);
    come_back(&f, &subscriber, "s");
    peer_expect(&subscriber, MQTT_PUBREL, NULL);
    peer_ack(&subscriber, MQTT_PUBCOMP, again.packet_id);
    server_settle(&f.server);
    peer_forget(&subscriber);
    crash(&f, 1, 0);
    come_back(&f, &subscriber, "s");
    peer_expect_nothing(&subscriber);
    peer_close(&subscriber);
    server_crash(&f.server);
}

static void numbered(unsigned i, char payload[3000])
{
    snprintf(payload, 3000, "%0*u", i % 3 == 0 ? 2000 : 4, i);
}

/* Takes and acknowledges numbered messages up to `end`; the first must be `first`, unless that is
 * UINT_MAX. Gives the first. */
static unsigned take_in_order(struct fixture *f, struct peer *p, unsigned first, unsigned end)
{
    struct mqtt_packet packet;
    char payload[3000];
    for (unsigned i = first; i == UINT_MAX || i < end; i++) {
        if (!peer_receive(p, &packet)) {
            server_settle(&f->server);
            assert_true(peer_receive(p, &packet));
        }
        assert_int_equal(packet.type, MQTT_PUBLISH);
        if (i == UINT_MAX) {
            char digits[5] = "";
            memcpy(digits, packet.publish.payload.p + packet.publish.payload.n - 4, 4);
            first = i = (unsigned)strtoul(digits, NULL, 10);
        }
        numbered(i, payload);
        assert_int_equal(packet.publish.payload.n, strlen(payload));
        assert_memory_equal(packet.publish.payload.p, payload, strlen(payload));
        peer_ack(p, MQTT_PUBACK, packet.publish.packet_id);
    }
    return first;
}

static void a_long_queue_is_left_on_disk_and_comes_in_order(void **state)
{
    enum { MESSAGES = 900 };
    struct fixture f;
    struct peer subscriber = {0}, publisher = {0};
    char payload[3000];
    begin(state, &f, 1);
    server_crash(&f.server);
    f.server.limits.memory_messages = 10;
    server_start(&f.server, f.path, 1);
    settle_in(&f, &subscriber, "s", "x");
    peer_close(&subscriber);
    peer_connect(&publisher, &f.server, "p", true);
    for (unsigned i = 0; i < MESSAGES; i++) {
        numbered(i, payload);
        peer_publish(&publisher, "x", payload, 1, (uint16_t)(i + 1), false, false);
        if (i % 50 == 0)
            server_settle(&f.server);
    }
    server_settle(&f.server);
    come_back(&f, &subscriber, "s");
    assert_int_equal(take_in_order(&f, &subscriber, 0, MESSAGES / 2), 0);
    peer_forget(&subscriber);
    peer_forget(&publisher);
    crash(&f, 2, 0);
    /* What was acknowledged and not yet stored comes once more; nothing is left out. */
    come_back(&f, &subscriber, "s");
    unsigned first = take_in_order(&f, &subscriber, UINT_MAX, MESSAGES);
    assert_in_range(first, 1, MESSAGES / 2);
    peer_close(&subscriber);
    server_crash(&f.server);
}

static void retained_messages_come_back_and_removed_ones_do_not(void **state)
{
    struct fixture f;
    struct peer p = {0};
    begin(state, &f, 2);
    peer_connect(&p, &f.server, "p", true);
    peer_expect(&p, MQTT_CONNACK, NULL);
    peer_publish(&p, "r/1", "old", 1, 1, true, false);
    peer_publish(&p, "r/1", "kept", 1, 2, true, false);
    peer_publish(&p, "r/2", "gone", 1, 3, true, false);
    peer_publish(&p, "r/2", "", 1, 4, true, false);
    peer_publish(&p, "$SYS/x", "never", 0, 0, true, false);
    peer_expect_nothing(&p);
    server_settle(&f.server);
    for (int i = 0; i < 4; i++)
        peer_expect(&p, MQTT_PUBACK, NULL);
    peer_forget(&p);
    crash(&f, 3, 0);
    assert_int_equal(f.server.loaded.retained, 1);
    struct mqtt_publish publish;
    peer_connect(&p, &f.server, "p", true);
    peer_expect(&p, MQTT_CONNACK, NULL);
    peer_subscribe(&p, "r/#", 0);
    peer_expect(&p, MQTT_SUBACK, NULL);
    expect_publish(&p, "kept", &publish);
    assert_true(publish.retain);
    /* A change of this run is newer than what was loaded. */
    peer_publish(&p, "r/1", "newer", 0, 0, true, false);
    server_settle(&f.server);
    peer_forget(&p);
    crash(&f, 1, 0);
    assert_int_equal(f.server.loaded.retained, 1);
    server_crash(&f.server);
}

static void ended_sessions_do_not_come_back(void **state)
{
    struct fixture f;
    struct peer p = {0};
    struct mqtt_packet packet;
    begin(state, &f, 1);
    settle_in(&f, &p, "clean", "x");
    peer_close(&p);
    settle_in(&f, &p, "old", "x");
    peer_close(&p);
    server_settle(&f.server);
    peer_connect(&p, &f.server, "clean", true);
    peer_expect_nothing(&p); /* its end must be stored first */
    server_settle(&f.server);
    peer_expect(&p, MQTT_CONNACK, NULL);
    peer_forget(&p);
    crash(&f, 1, UINT64_C(8) * 24 * 3600 * 1000);
    assert_int_equal(f.server.loaded.sessions, 0);
    assert_int_equal(f.server.loaded.ended, 1);
    peer_connect(&p, &f.server, "old", false);
    server_settle(&f.server);
    peer_expect(&p, MQTT_CONNACK, &packet);
    assert_false(packet.connack.session_present);
    peer_close(&p);
    server_crash(&f.server);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(connack_and_suback_wait_for_the_commit),
        TEST(puback_waits_for_the_commit_and_order_stays),
        TEST(puback_waits_for_the_other_shard),
        TEST(nothing_waits_where_nobody_is_persistent),
        TEST(a_message_that_is_taken_at_once_is_never_written),
        TEST(qos_2_leaves_only_with_its_identifier_stored),
        TEST(a_long_queue_is_left_on_disk_and_comes_in_order),
        TEST(retained_messages_come_back_and_removed_ones_do_not),
        TEST(ended_sessions_do_not_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
