/* Queues that are on disk for the most part count as what they are. */
#include "folder.h"
#include "server.h"

#include <stdio.h>

static void begin(void **state, struct server *s)
{
    s->now_ms = 1000;
    s->wall_ms = 1700000000000;
    broker_limits_default(&s->limits);
    s->limits.memory_messages = 4;
    s->limits.inflight = 2;
    server_start(s, folder_path(state, "sessions.db"), 1);
}

static void come(struct server *s, struct peer *p, const char *id)
{
    peer_connect(p, s, id, false);
    server_settle(s);
    peer_expect(p, MQTT_CONNACK, NULL);
}

static void come_subscribed(struct server *s, struct peer *p, const char *id)
{
    come(s, p, id);
    peer_subscribe(p, "x", 1);
    server_settle(s);
    peer_expect(p, MQTT_SUBACK, NULL);
}

static struct broker_stats stats_of(const struct server *s)
{
    struct broker_stats stats;
    broker_stats_get(s->shard[0], &stats);
    return stats;
}

static void publisher_waits_before_a_queue_on_disk_is_full(void **state)
{
    struct server s = {0};
    struct peer subscriber = {0}, publisher = {0};
    begin(state, &s);
    server_crash(&s);
    s.limits.queued_messages = 40;
    server_start(&s, folder_path(state, "sessions.db"), 1);
    come_subscribed(&s, &subscriber, "s");
    come(&s, &publisher, "p");
    for (uint16_t id = 1; id <= 40 && stats_of(&s).inputs_paused_receivers_total == 0; id++) {
        peer_publish(&publisher, "x", "payload", 1, id, false, false);
        server_settle(&s);
    }
    assert_int_equal(stats_of(&s).inputs_paused_receivers_total, 1);
    assert_int_equal(stats_of(&s).dropped_queue_full_total, 0);
    assert_in_range(stats_of(&s).queued, 30, 32);
    peer_forget(&subscriber);
    peer_forget(&publisher);
    server_crash(&s);
}

static void what_is_on_disk_takes_no_memory(void **state)
{
    struct server s = {0};
    struct peer subscriber = {0}, publisher = {0};
    begin(state, &s);
    come_subscribed(&s, &subscriber, "s");
    peer_close(&subscriber);
    come(&s, &publisher, "p");
    for (uint16_t id = 1; id <= 1000; id++) {
        peer_publish(&publisher, "x", "payload", 1, id, false, false);
        server_settle(&s);
        peer_expect(&publisher, MQTT_PUBACK, NULL);
    }
    assert_int_equal(stats_of(&s).queued, 1000);
    assert_in_range(stats_of(&s).waiting_bytes, 1, 4096);
    peer_forget(&publisher);
    server_crash(&s);
    server_start(&s, folder_path(state, "sessions.db"), 1);
    broker_tick(s.shard[0], s.now_ms);
    assert_int_equal(stats_of(&s).queued, 1000);
    assert_in_range(stats_of(&s).waiting_bytes, 0, 4096);
    /* And it is counted right when it comes back, and goes. */
    struct mqtt_packet packet;
    come(&s, &subscriber, "s");
    for (unsigned i = 0; i < 1000; i++) {
        server_settle(&s);
        peer_expect(&subscriber, MQTT_PUBLISH, &packet);
        peer_ack(&subscriber, MQTT_PUBACK, packet.publish.packet_id);
    }
    peer_close(&subscriber);
    server_settle(&s);
    assert_int_equal(stats_of(&s).queued, 0);
    assert_int_equal(stats_of(&s).waiting_bytes, 0);
    server_crash(&s);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(publisher_waits_before_a_queue_on_disk_is_full),
        TEST(what_is_on_disk_takes_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
