/* Routes that are remembered, against what the subscriptions are at each moment. */
#include "broker/broker_int.h"
#include "world.h"

#define CLIENTS 3
#define FILTERS 10
#define TOPICS  6

static const char *const filters[FILTERS] = {
    "a/b/c", "a/b/d", "a/+/c", "a/#", "#", "+/b/c", "b", "b/#", "$share/g/a/b/c", "$share/g/b/+"};
static const char *const topics[TOPICS] = {"a/b/c", "a/b/d", "a/x/c", "b", "b/c", "c"};

static uint64_t random_state = 1;

static unsigned draw(unsigned below)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(random_state >> 33) % below;
}

/* Everything that the client was sent, of which no more is wanted. */
static unsigned take_publishes(struct client *c)
{
    unsigned count = 0;
    while (c->at != c->in.n) {
        (void)client_expect(c, MQTT_PUBLISH);
        count++;
    }
    buf_reset(&c->in);
    c->at = 0;
    return count;
}

static void unsubscribe(struct client *c, const char *filter)
{
    struct buf list = {0};
    buf_append_str16(&list, bytes_str(filter));
    struct mqtt_packet packet = {.type = MQTT_UNSUBSCRIBE};
    packet.unsubscribe = (struct mqtt_unsubscribe){.packet_id = 9, .filters = buf_bytes(&list)};
    client_send(c, &packet);
    (void)client_expect(c, MQTT_UNSUBACK);
    buf_close(&list);
}

static bool matches(const char *filter, const char *topic)
{
    return mqtt_filter_matches(bytes_str(filter), bytes_str(topic));
}

/* How many of all clients get a message: each with a filter once, and one of each group. */
static void check_publish(struct client *clients, struct client *publisher,
                          bool held[CLIENTS][FILTERS], const char *topic)
{
    unsigned wanted = 0, got = 0;
    client_publish(publisher, topic, "x", 0, 0, false);
    for (unsigned i = 0; i < CLIENTS; i++) {
        bool has_filter = false;
        for (unsigned f = 0; f < FILTERS; f++)
            has_filter |= filters[f][0] != '$' && held[i][f] && matches(filters[f], topic);
        unsigned count = take_publishes(&clients[i]);
        assert_true(count >= has_filter);
        wanted += has_filter;
        got += count;
    }
    for (unsigned f = 0; f < FILTERS; f++) {
        bool has_member = false;
        for (unsigned i = 0; i < CLIENTS; i++)
            has_member |= filters[f][0] == '$' && held[i][f] && matches(filters[f], topic);
        wanted += has_member;
    }
    assert_int_equal(got, wanted);
}

static void remembered_routes_follow_the_subscriptions(unsigned shards)
{
    struct world w;
    struct client clients[CLIENTS], publisher;
    static bool held[CLIENTS][FILTERS];
    memset(held, 0, sizeof held);
    world_init(&w, shards);
    world_start(&w);
    for (unsigned i = 0; i < CLIENTS; i++) {
        char id[32];
        client_join(&clients[i], &w, MQTT_V5, id_on_shard(i % shards, shards, i, id));
    }
    client_join(&publisher, &w, MQTT_V5, "publisher");
    for (unsigned step = 0; step < 1000; step++) {
        unsigned i = draw(CLIENTS), f = draw(FILTERS);
        if (held[i][f])
            unsubscribe(&clients[i], filters[f]);
        else
            client_subscribe(&clients[i], filters[f], 0);
        held[i][f] = !held[i][f];
        for (unsigned t = 0; t < TOPICS; t++)
            check_publish(clients, &publisher, held, topics[t]);
    }
    for (unsigned i = 0; i < CLIENTS; i++)
        client_close(&clients[i]);
    client_close(&publisher);
    world_close(&w);
}

static void remembered_routes_follow_the_subscriptions_of_one_shard(void **state)
{
    (void)state;
    remembered_routes_follow_the_subscriptions(1);
}

static void remembered_routes_follow_the_subscriptions_of_all_shards(void **state)
{
    (void)state;
    remembered_routes_follow_the_subscriptions(2);
}

/* More topics than are remembered, each twice, so that there are routes to be spared and routes to
 * be forgotten. */
static void topics_are_served_beyond_what_is_remembered(void **state)
{
    (void)state;
    enum { MANY = 70000, LEVEL = 480 };
    struct world w;
    struct client c, publisher;
    char topic[LEVEL + 16];
    memset(topic, 'x', LEVEL);
    world_init(&w, 1);
    world_start(&w);
    client_join(&c, &w, MQTT_V311, "c");
    client_join(&publisher, &w, MQTT_V311, "publisher");
    client_subscribe(&c, "+/even/#", 0);
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(topic + LEVEL, sizeof topic - LEVEL, i % 2 == 0 ? "/even/%u" : "/odd/%u", i);
        for (unsigned k = 0; k < 2; k++) {
            client_publish(&publisher, topic, "x", 0, 0, false);
            assert_int_equal(take_publishes(&c), i % 2 == 0);
        }
        assert_true(w.shard[0]->routes.bytes <= ROUTE_CACHE_BYTES);
    }
    assert_true(w.shard[0]->routes.bytes > ROUTE_CACHE_BYTES - 1024);
    assert_true(w.shard[0]->routes.routes.count < MANY);
    client_close(&c);
    client_close(&publisher);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(remembered_routes_follow_the_subscriptions_of_one_shard),
        cmocka_unit_test(remembered_routes_follow_the_subscriptions_of_all_shards),
        cmocka_unit_test(topics_are_served_beyond_what_is_remembered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
