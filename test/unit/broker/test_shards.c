/* Several shards: what one knows reaches the others by parcels, in whatever order they come. */
#include "broker/broker_int.h"
#include "world.h"

#define SHARDS 4

static uint64_t retained_count(struct world *w, unsigned shard)
{
    struct broker_stats stats;
    broker_stats_get(w->shard[shard], &stats);
    return stats.retained;
}

static void everyone_hears_everyone(void **state)
{
    (void)state;
    struct world w;
    struct client c[SHARDS];
    char id[32], payload[8];
    world_init(&w, SHARDS);
    world_start(&w);
    for (unsigned i = 0; i < SHARDS; i++) {
        client_join(&c[i], &w, MQTT_V5, id_on_shard(i, SHARDS, i, id));
        client_subscribe(&c[i], "all/#", 1);
    }
    for (unsigned i = 0; i < SHARDS; i++) {
        snprintf(payload, sizeof payload, "%u", i);
        client_publish(&c[i], "all/x", payload, 1, 1, false);
        struct mqtt_publish own = client_expect_publish(&c[i], "all/x", payload);
        (void)client_expect_ack(&c[i], MQTT_PUBACK, 1);
        client_ack(&c[i], MQTT_PUBACK, own.packet_id, 0);
        for (unsigned j = 0; j < SHARDS; j++) {
            if (j == i)
                continue;
            struct mqtt_publish p = client_expect_publish(&c[j], "all/x", payload);
            client_ack(&c[j], MQTT_PUBACK, p.packet_id, 0);
        }
    }
    for (unsigned i = 0; i < SHARDS; i++) {
        client_expect_nothing(&c[i]);
        client_close(&c[i]);
    }
    world_close(&w);
}

static void messages_go_only_where_somebody_listens(void **state)
{
    (void)state;
    struct world w;
    struct client a, b, c;
    char id[32];
    world_init(&w, SHARDS);
    world_start(&w);
    client_join(&a, &w, MQTT_V5, id_on_shard(0, SHARDS, 1, id));
    client_join(&b, &w, MQTT_V5, id_on_shard(1, SHARDS, 2, id));
    client_join(&c, &w, MQTT_V5, id_on_shard(1, SHARDS, 3, id));
    client_subscribe(&b, "x/+", 0);
    client_subscribe(&c, "x/+", 0);
    w.holds_parcels = true;
    client_publish(&a, "x/y", "1", 0, 0, false);
    client_publish(&a, "z", "1", 0, 0, false);
    struct broker_parcel *parcels = broker_take_parcels(w.shard[0], 1);
    assert_non_null(parcels);
    broker_parcels_free(parcels);
    assert_null(broker_take_parcels(w.shard[0], 1));
    assert_null(broker_take_parcels(w.shard[0], 2));
    assert_null(broker_take_parcels(w.shard[0], 0));
    assert_null(broker_take_parcels(w.shard[0], 99));
    w.holds_parcels = false;
    /* The first of two to go is no reason to stop sending, the last is. */
    struct mqtt_packet packet = {.type = MQTT_UNSUBSCRIBE};
    packet.unsubscribe = (struct mqtt_unsubscribe){.packet_id = 5, .filters = BYTES_LIT("\0\3x/+")};
    client_send(&b, &packet);
    (void)client_expect(&b, MQTT_UNSUBACK);
    client_publish(&a, "x/y", "1", 0, 0, false);
    (void)client_expect_publish(&c, "x/y", "1");
    client_expect_nothing(&b);
    client_subscribe(&b, "x/+", 0);
    client_close(&b);
    client_publish(&a, "x/y", "2", 0, 0, false);
    (void)client_expect_publish(&c, "x/y", "2");
    client_close(&c);
    w.holds_parcels = true;
    client_publish(&a, "x/y", "3", 0, 0, false);
    assert_null(broker_take_parcels(w.shard[0], 1));
    w.holds_parcels = false;
    client_close(&a);
    world_close(&w);
}

static void take_all(struct world *w, struct broker_parcel *taken[SHARDS][SHARDS])
{
    for (unsigned from = 0; from < w->shards; from++) {
        for (unsigned to = 0; to < w->shards; to++)
            taken[from][to] = broker_take_parcels(w->shard[from], to);
    }
}

static void retained_messages_converge_whatever_comes_first(void **state)
{
    (void)state;
    /* Two shards change the same topics; a third gets the parcels in both orders. */
    for (unsigned order = 0; order < 2; order++) {
        struct world w;
        struct client a, b, c;
        char id[32];
        struct broker_parcel *taken[SHARDS][SHARDS] = {0};
        world_init(&w, 3);
        world_start(&w);
        client_join(&a, &w, MQTT_V5, id_on_shard(0, 3, 1, id));
        client_join(&b, &w, MQTT_V5, id_on_shard(1, 3, 2, id));
        w.holds_parcels = true;
        client_publish(&a, "kept", "older", 0, 0, true);
        client_publish(&b, "kept", "newer", 0, 0, true);
        client_publish(&a, "gone", "older", 0, 0, true);
        client_publish(&b, "gone", "", 0, 0, true);
        client_publish(&a, "back", "", 0, 0, true);
        client_publish(&b, "back", "newer", 0, 0, true);
        take_all(&w, taken);
        unsigned first = order == 0 ? 0 : 1;
        broker_deliver_parcels(w.shard[2], taken[first][2], w.now_ms);
        broker_deliver_parcels(w.shard[2], taken[1 - first][2], w.now_ms);
        broker_deliver_parcels(w.shard[0], taken[1][0], w.now_ms);
        broker_deliver_parcels(w.shard[1], taken[0][1], w.now_ms);
        w.holds_parcels = false;
        for (unsigned i = 0; i < 3; i++) {
            assert_int_equal(retained_count(&w, i), 2);
            client_join(&c, &w, MQTT_V5, id_on_shard(i, 3, 3, id));
            client_subscribe(&c, "kept", 0);
            (void)client_expect_publish(&c, "kept", "newer");
            client_subscribe(&c, "back", 0);
            (void)client_expect_publish(&c, "back", "newer");
            client_subscribe(&c, "gone", 0);
            client_expect_nothing(&c);
            client_close(&c);
        }
        client_close(&a);
        client_close(&b);
        world_close(&w);
    }
}

static void a_retained_will_is_retained_on_every_shard(void **state)
{
    (void)state;
    struct world w;
    struct client a, c;
    char id[32];
    world_init(&w, SHARDS);
    world_start(&w);
    struct mqtt_connect connect = connect_as(MQTT_V311, id_on_shard(0, SHARDS, 1, id));
    connect.has_will = connect.will_retain = true;
    connect.will_topic = BYTES_LIT("will");
    connect.will_payload = BYTES_LIT("gone");
    (void)client_connect(&a, &w, &connect);
    client_close(&a);
    for (unsigned i = 0; i < SHARDS; i++) {
        client_join(&c, &w, MQTT_V311, id_on_shard(i, SHARDS, 2, id));
        client_subscribe(&c, "will", 0);
        assert_true(client_expect_publish(&c, "will", "gone").retain);
        client_close(&c);
    }
    world_close(&w);
}

static void subscriber_misses_no_retained_change(void **state)
{
    (void)state;
    struct world w;
    struct client a, b;
    char id[32];
    world_init(&w, 2);
    world_start(&w);
    client_join(&a, &w, MQTT_V5, id_on_shard(0, 2, 1, id));
    client_join(&b, &w, MQTT_V5, id_on_shard(1, 2, 2, id));
    /* b publishes before it can know of a's subscription: a gets it live, once. */
    w.holds_parcels = true;
    client_subscribe(&a, "x", 0);
    client_publish(&b, "x", "now", 0, 0, true);
    w.holds_parcels = false;
    struct mqtt_publish p = client_expect_publish(&a, "x", "now");
    assert_false(p.retain);
    client_expect_nothing(&a);
    client_close(&a);
    client_close(&b);
    world_close(&w);
}

static void tombstones_go_when_nothing_older_can_come(void **state)
{
    (void)state;
    struct world w;
    struct client a;
    char id[32], topic[16];
    world_init(&w, 3);
    world_start(&w);
    client_join(&a, &w, MQTT_V5, id_on_shard(0, 3, 1, id));
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(topic, sizeof topic, "t/%u", i);
        client_publish(&a, topic, "x", 0, 0, true);
        client_publish(&a, topic, "", 0, 0, true);
    }
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(retained_count(&w, i), 0);
    /* Nothing is left to be said: no shard owes another anything. */
    world_turn(&w);
    for (unsigned from = 0; from < 3; from++) {
        assert_int_equal(w.shard[from]->retained.tombstone_count, 0);
        for (unsigned to = 0; to < 3; to++)
            assert_null(broker_take_parcels(w.shard[from], to));
    }
    client_close(&a);
    world_close(&w);
}

static void expiry_leaves_no_tombstones_for_long(void **state)
{
    (void)state;
    struct world w;
    struct client a;
    char id[32];
    static const uint8_t expiry[] = {MQTT_PROP_MESSAGE_EXPIRY, 0, 0, 0, 1};
    world_init(&w, 3);
    world_start(&w);
    client_join(&a, &w, MQTT_V5, id_on_shard(0, 3, 1, id));
    struct mqtt_packet packet = {.type = MQTT_PUBLISH};
    packet.publish = (struct mqtt_publish){.retain = true,
                                           .topic = BYTES_LIT("r"),
                                           .props = {bytes_of(expiry, sizeof expiry)},
                                           .payload = BYTES_LIT("kept")};
    client_send(&a, &packet);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(retained_count(&w, i), 1);
    world_advance(&w, 1000);
    world_turn(&w);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(retained_count(&w, i), 0);
        assert_int_equal(w.shard[i]->retained.tombstone_count, 0);
        assert_int_equal(w.shard[i]->retained.levels.nodes.count, 0);
    }
    client_close(&a);
    world_close(&w);
}

static void lost_parcels_leak_nothing(void **state)
{
    (void)state;
    struct world w;
    struct client a, b;
    char id[32];
    world_init(&w, 2);
    world_start(&w);
    client_join(&a, &w, MQTT_V5, id_on_shard(0, 2, 1, id));
    client_join(&b, &w, MQTT_V5, id_on_shard(1, 2, 2, id));
    w.holds_parcels = true;
    client_subscribe(&a, "x", 0);
    client_publish(&a, "x", "1", 0, 0, true);
    broker_parcels_free(broker_take_parcels(w.shard[0], 1));
    broker_parcels_free(NULL);
    broker_deliver_parcels(w.shard[0], NULL, w.now_ms);
    client_publish(&a, "x", "2", 0, 0, true);
    client_close(&a);
    client_close(&b);
    world_close(&w);
}

static void wrong_shard_is_refused(void **state)
{
    (void)state;
    struct world w;
    struct client a;
    char id[32];
    world_init(&w, 2);
    world_start(&w);
    struct mqtt_connect connect = connect_as(MQTT_V5, id_on_shard(0, 2, 1, id));
    client_open(&a, &w, 1, MQTT_V5);
    client_send(&a, &(struct mqtt_packet){.type = MQTT_CONNECT, .connect = connect});
    assert_int_equal(client_expect(&a, MQTT_CONNACK).connack.reason,
                     MQTT_REASON_IMPLEMENTATION_SPECIFIC_ERROR);
    client_expect_closed(&a);
    client_close(&a);
    world_close(&w);
}

static void sixty_four_shards_work(void **state)
{
    (void)state;
    /* The largest number: the bit masks must not overflow. */
    struct world w;
    world_init(&w, 64);
    world_start(&w);
    struct client a, b;
    char id[32];
    client_join(&a, &w, MQTT_V311, id_on_shard(63, 64, 1, id));
    client_join(&b, &w, MQTT_V311, id_on_shard(0, 64, 2, id));
    client_subscribe(&a, "#", 2);
    client_publish(&b, "x", "1", 0, 0, true);
    (void)client_expect_publish(&a, "x", "1");
    client_close(&a);
    client_close(&b);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everyone_hears_everyone),
        cmocka_unit_test(messages_go_only_where_somebody_listens),
        cmocka_unit_test(retained_messages_converge_whatever_comes_first),
        cmocka_unit_test(a_retained_will_is_retained_on_every_shard),
        cmocka_unit_test(subscriber_misses_no_retained_change),
        cmocka_unit_test(tombstones_go_when_nothing_older_can_come),
        cmocka_unit_test(expiry_leaves_no_tombstones_for_long),
        cmocka_unit_test(lost_parcels_leak_nothing),
        cmocka_unit_test(wrong_shard_is_refused),
        cmocka_unit_test(sixty_four_shards_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
