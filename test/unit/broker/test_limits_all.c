/* Limits that all shards share: each is passed by one, and what is given back may be taken again.
 */
#include "broker/budget.h"
#include "world.h"

static struct broker_stats stats_of(struct world *w)
{
    struct broker_stats sum = {0};
    for (unsigned i = 0; i < w->shards; i++) {
        struct broker_stats stats;
        broker_stats_get(w->shard[i], &stats);
        broker_stats_add(&sum, &stats);
    }
    return sum;
}

static struct mqtt_connect lasting(const char *id)
{
    static const uint8_t expiry[] = {MQTT_PROP_SESSION_EXPIRY, 0, 0, 14, 16};
    struct mqtt_connect connect = connect_as(MQTT_V5, id);
    connect.clean_start = false;
    connect.props.wire = bytes_of(expiry, sizeof expiry);
    return connect;
}

static void leave_behind(struct world *w, const char *id, const char *filter)
{
    struct client c;
    struct mqtt_connect connect = lasting(id);
    assert_int_equal(client_connect(&c, w, &connect).reason, 0);
    client_subscribe(&c, filter, 1);
    client_close(&c);
}

static void what_one_shard_takes_another_may_give(void **state)
{
    (void)state;
    _Atomic uint64_t pool = 0;
    struct budget a, b;
    budget_init(&a, &pool, 1000, 10);
    budget_init(&b, &pool, 1000, 10);
    for (unsigned i = 0; i < 500; i++)
        budget_take(&a, 2);
    assert_false(budget_has_room(&a, 1, 1000));
    assert_false(budget_has_room(&b, 1, 1000));
    for (unsigned i = 0; i < 500; i++)
        budget_give(&b, 1);
    assert_in_range(budget_sum(&a), 500, 520);
    assert_true(budget_has_room(&a, 480, 1000));
    assert_false(budget_has_room(&a, 501, 1000));
    budget_set(&b, 0);
    budget_set(&a, 0);
    assert_in_range(budget_sum(&b), 0, 20);
    budget_close(&a);
    budget_close(&b);
    assert_int_equal(pool, 0);
}

static void no_number_of_takers_hides_from_the_limit(void **state)
{
    (void)state;
    _Atomic uint64_t pool = 0;
    struct budget shard[8];
    uint64_t sum = 0, random = 1;
    for (unsigned i = 0; i < 8; i++)
        budget_init(&shard[i], &pool, 10000, 16);
    for (unsigned step = 0; step < 100000; step++) {
        random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        struct budget *b = &shard[random >> 40 & 7];
        uint64_t n = random >> 50 & 63;
        if ((random >> 33 & 1) == 0) {
            if (budget_has_room(b, n, 10000)) {
                budget_take(b, n);
                sum += n;
            }
        } else if (n <= sum) {
            budget_give(b, n);
            sum -= n;
        }
        assert_true(sum <= 10000);
        assert_in_range(budget_sum(b), sum, sum + 8 * 32);
    }
}

static void connections_of_all_shards_are_limited_together(void **state)
{
    (void)state;
    struct world w;
    struct client a, b, c;
    char id[32];
    world_init(&w, 4);
    w.limits.connections = 2;
    world_start(&w);
    client_join(&a, &w, MQTT_V5, id_on_shard(0, 4, 0, id));
    client_join(&b, &w, MQTT_V5, id_on_shard(1, 4, 0, id));
    struct mqtt_connect connect = connect_as(MQTT_V5, id_on_shard(2, 4, 0, id));
    assert_int_equal(client_connect(&c, &w, &connect).reason, MQTT_REASON_QUOTA_EXCEEDED);
    client_close(&c);
    client_close(&b);
    assert_int_equal(client_connect(&c, &w, &connect).reason, 0);
    assert_int_equal(stats_of(&w).connects_over_limit_total, 1);
    client_close(&c);
    client_close(&a);
    world_close(&w);
}

static void sessions_of_all_shards_are_limited_together(void **state)
{
    (void)state;
    struct world w;
    struct client c;
    char id[32];
    world_init(&w, 2);
    w.limits.sessions = 2;
    world_start(&w);
    leave_behind(&w, id_on_shard(0, 2, 0, id), "x");
    leave_behind(&w, id_on_shard(1, 2, 0, id), "x");
    struct mqtt_connect connect = connect_as(MQTT_V5, id_on_shard(1, 2, 1, id));
    assert_int_equal(client_connect(&c, &w, &connect).reason, MQTT_REASON_QUOTA_EXCEEDED);
    client_close(&c);
    world_advance(&w, 3601 * 1000);
    assert_int_equal(client_connect(&c, &w, &connect).reason, 0);
    client_close(&c);
    world_close(&w);
}

static void session_that_is_offline_for_longest_makes_room(void **state)
{
    (void)state;
    struct world w;
    struct client a, b, c;
    world_init(&w, 1);
    w.limits.sessions = 3;
    w.limits.evicts_sessions = true;
    world_start(&w);
    leave_behind(&w, "first", "x");
    leave_behind(&w, "second", "x");
    leave_behind(&w, "third", "x");
    /* The first has come back and gone again: now the second is the oldest. */
    struct mqtt_connect first = lasting("first");
    assert_true(client_connect(&a, &w, &first).session_present);
    client_close(&a);
    client_join(&a, &w, MQTT_V5, "new");
    assert_int_equal(stats_of(&w).sessions_evicted_total, 1);
    assert_int_equal(stats_of(&w).sessions, 3);
    struct mqtt_connect second = lasting("second");
    assert_false(client_connect(&b, &w, &second).session_present); /* the third went */
    assert_true(client_connect(&c, &w, &first).session_present);
    /* All are online: nobody is thrown out. */
    struct client d;
    struct mqtt_connect fourth = connect_as(MQTT_V5, "fourth");
    assert_int_equal(client_connect(&d, &w, &fourth).reason, MQTT_REASON_QUOTA_EXCEEDED);
    client_close(&d);
    client_close(&c);
    client_close(&b);
    client_close(&a);
    world_close(&w);
}

static void subscriptions_of_all_sessions_are_limited(void **state)
{
    (void)state;
    struct world w;
    struct client a, b;
    char id[32];
    world_init(&w, 2);
    w.limits.subscriptions_all = 3;
    world_start(&w);
    client_join(&a, &w, MQTT_V5, id_on_shard(0, 2, 0, id));
    client_join(&b, &w, MQTT_V5, id_on_shard(1, 2, 0, id));
    client_subscribe(&a, "1", 0);
    client_subscribe(&a, "2", 0);
    client_subscribe(&b, "1", 0);
    assert_int_equal(client_subscribe_code(&b, "3", 0), MQTT_REASON_QUOTA_EXCEEDED);
    assert_int_equal(client_subscribe_code(&b, "1", 1), 1);
    client_close(&a);
    assert_int_equal(client_subscribe_code(&b, "3", 0), 0);
    client_close(&b);
    world_close(&w);
}

static void messages_that_wait_in_all_sessions_are_limited(void **state)
{
    (void)state;
    struct world w;
    struct client b;
    char id[32];
    world_init(&w, 2);
    w.limits.queued_messages_all = 5;
    world_start(&w);
    leave_behind(&w, id_on_shard(0, 2, 0, id), "x");
    leave_behind(&w, id_on_shard(1, 2, 0, id), "x");
    client_join(&b, &w, MQTT_V5, id_on_shard(0, 2, 1, id));
    for (uint16_t i = 1; i <= 3; i++)
        client_publish(&b, "x", "payload", 1, i, false);
    assert_int_equal(stats_of(&w).queued, 5);
    assert_int_equal(stats_of(&w).dropped_in_all_total, 1);
    client_close(&b);
    world_close(&w);
}

static void message_that_many_wait_for_counts_once(void **state)
{
    (void)state;
    struct world w;
    struct client b;
    char id[32];
    static char payload[50001];
    world_init(&w, 2);
    w.limits.waiting_bytes = 400000;
    world_start(&w);
    memset(payload, 'p', sizeof payload - 1);
    for (unsigned i = 0; i < 20; i++)
        leave_behind(&w, id_on_shard(i & 1, 2, i, id), "x");
    client_join(&b, &w, MQTT_V5, id_on_shard(0, 2, 100, id));
    uint64_t before = stats_of(&w).waiting_bytes;
    client_publish(&b, "x", payload, 1, 1, false);
    assert_int_equal(stats_of(&w).queued, 20);
    assert_in_range(stats_of(&w).waiting_bytes - before, 50000, 80000);
    /* Queues fill three quarters, whatever their number. */
    for (uint16_t i = 2; i <= 10; i++)
        client_publish(&b, "x", payload, 1, i, false);
    assert_in_range(stats_of(&w).waiting_bytes, 250000, 320000);
    assert_in_range(stats_of(&w).dropped_in_all_total, 80, 120);
    client_close(&b);
    /* All sessions end: nothing waits any more. */
    world_advance(&w, 3601 * 1000);
    assert_int_equal(stats_of(&w).sessions, 0);
    assert_int_equal(stats_of(&w).queued, 0);
    assert_in_range(stats_of(&w).waiting_bytes, 0, 20000);
    world_close(&w);
}

static void oldest_are_lost_when_the_policy_says_so(void **state)
{
    (void)state;
    struct world w;
    struct client a, b;
    char payload[16];
    world_init(&w, 1);
    w.limits.queued_messages = 5;
    w.limits.overflow = BROKER_DROP_OLD;
    world_start(&w);
    leave_behind(&w, "a", "x");
    client_join(&b, &w, MQTT_V5, "b");
    for (uint16_t i = 1; i <= 8; i++) {
        snprintf(payload, sizeof payload, "%u", i);
        client_publish(&b, "x", payload, 1, i, false);
    }
    assert_int_equal(stats_of(&w).dropped_queue_full_total, 3);
    struct mqtt_connect connect = lasting("a");
    (void)client_connect(&a, &w, &connect);
    for (unsigned i = 4; i <= 8; i++) {
        snprintf(payload, sizeof payload, "%u", i);
        (void)client_expect_publish(&a, "x", payload);
    }
    client_expect_nothing(&a);
    client_close(&a);
    client_close(&b);
    world_close(&w);
}

static void consumer_is_cut_off_when_the_policy_says_so(void **state)
{
    (void)state;
    struct world w;
    struct client a, b;
    char payload[16];
    world_init(&w, 1);
    w.limits.queued_messages = 5;
    w.limits.inflight = 1;
    w.limits.overflow = BROKER_DISCONNECT;
    w.limits.slow_publishers_ms = 0;
    world_start(&w);
    struct mqtt_connect connect = lasting("a");
    (void)client_connect(&a, &w, &connect);
    client_subscribe(&a, "x", 1);
    client_join(&b, &w, MQTT_V5, "b");
    for (uint16_t i = 1; i <= 6; i++) {
        snprintf(payload, sizeof payload, "%u", i);
        client_publish(&b, "x", payload, 1, i, false);
    }
    (void)client_expect_publish(&a, "x", "1");
    client_expect_nothing(&a);
    client_publish(&b, "x", "7", 1, 7, false);
    assert_int_equal(client_expect(&a, MQTT_DISCONNECT).end.reason, MQTT_REASON_QUOTA_EXCEEDED);
    client_expect_closed(&a);
    assert_int_equal(stats_of(&w).consumers_cut_off_total, 1);
    client_close(&a);
    /* What waited is still there. */
    w.limits.inflight = 100;
    assert_true(client_connect(&a, &w, &connect).session_present);
    assert_true(client_expect_publish(&a, "x", "1").dup);
    client_close(&a);
    client_close(&b);
    world_close(&w);
}

static void window_is_limited_in_bytes_too(void **state)
{
    (void)state;
    struct world w;
    struct client a, b;
    static char payload[10001];
    world_init(&w, 1);
    w.limits.inflight_bytes = 5000;
    world_start(&w);
    memset(payload, 'p', sizeof payload - 1);
    client_join(&a, &w, MQTT_V5, "a");
    client_subscribe(&a, "x", 1);
    client_join(&b, &w, MQTT_V5, "b");
    for (uint16_t i = 1; i <= 2; i++)
        client_publish(&b, "x", payload, 1, i, false);
    /* One goes always, or it never would. */
    uint16_t id = client_expect_publish(&a, "x", payload).packet_id;
    client_expect_nothing(&a);
    client_ack(&a, MQTT_PUBACK, id, 0);
    (void)client_expect_publish(&a, "x", payload);
    client_close(&a);
    client_close(&b);
    world_close(&w);
}

static void full_server_still_serves_those_who_keep_up(void **state)
{
    (void)state;
    struct world w;
    struct client dead[8], a, b;
    static char payload[1001];
    world_init(&w, 1);
    w.limits.waiting_bytes = 4000000;
    world_start(&w);
    memset(payload, 'p', sizeof payload - 1);
    for (unsigned i = 0; i < 8; i++) {
        char id[8];
        snprintf(id, sizeof id, "d%u", i);
        client_join(&dead[i], &w, MQTT_V5, id);
        client_subscribe(&dead[i], "x", 0);
        dead[i].is_stuck = true;
    }
    client_join(&a, &w, MQTT_V5, "a");
    client_subscribe(&a, "x", 0);
    client_join(&b, &w, MQTT_V5, "b");
    unsigned came = 0;
    for (unsigned i = 0; i < 2000; i++) {
        client_publish(&b, "x", payload, 0, 0, false);
        for (; a.at < a.in.n; came++)
            (void)client_expect_publish(&a, "x", payload);
    }
    assert_int_equal(came, 2000);
    assert_in_range(stats_of(&w).waiting_bytes, 1900000, 2200000);
    assert_true(stats_of(&w).publishes_dropped_total > 10000);
    for (unsigned i = 0; i < 8; i++)
        client_close(&dead[i]);
    client_close(&a);
    client_close(&b);
    assert_in_range(stats_of(&w).waiting_bytes, 0, 100000);
    world_close(&w);
}

static void will_that_finds_no_room_is_refused(void **state)
{
    (void)state;
    struct world w;
    struct client a;
    static char payload[20001];
    world_init(&w, 1);
    w.limits.waiting_bytes = 20000;
    world_start(&w);
    memset(payload, 'p', sizeof payload - 1);
    struct mqtt_connect connect = connect_as(MQTT_V5, "a");
    connect.has_will = true;
    connect.will_topic = BYTES_LIT("gone");
    connect.will_payload = bytes_str(payload);
    assert_int_equal(client_connect(&a, &w, &connect).reason, MQTT_REASON_QUOTA_EXCEEDED);
    client_close(&a);
    connect.will_payload.n = 10000;
    assert_int_equal(client_connect(&a, &w, &connect).reason, 0);
    client_close(&a);
    assert_in_range(stats_of(&w).waiting_bytes, 0, 1000);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_one_shard_takes_another_may_give),
        cmocka_unit_test(no_number_of_takers_hides_from_the_limit),
        cmocka_unit_test(connections_of_all_shards_are_limited_together),
        cmocka_unit_test(sessions_of_all_shards_are_limited_together),
        cmocka_unit_test(session_that_is_offline_for_longest_makes_room),
        cmocka_unit_test(subscriptions_of_all_sessions_are_limited),
        cmocka_unit_test(messages_that_wait_in_all_sessions_are_limited),
        cmocka_unit_test(message_that_many_wait_for_counts_once),
        cmocka_unit_test(oldest_are_lost_when_the_policy_says_so),
        cmocka_unit_test(consumer_is_cut_off_when_the_policy_says_so),
        cmocka_unit_test(window_is_limited_in_bytes_too),
        cmocka_unit_test(full_server_still_serves_those_who_keep_up),
        cmocka_unit_test(will_that_finds_no_room_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
