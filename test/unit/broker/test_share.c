/* Shared subscriptions (5.0 section 4.8.2): of each group one member gets a message, on whatever
 * shard it is. */
#include "world.h"

#define MEMBERS 4
#define SHARDS  3

static struct mqtt_connect lasting_as(const char *id, bool clean, struct buf *props)
{
    struct mqtt_connect connect = connect_as(MQTT_V5, id);
    buf_reset(props);
    mqtt_props_append_number(props, MQTT_PROP_SESSION_EXPIRY, 1000);
    connect.props.wire = buf_bytes(props);
    connect.clean_start = clean;
    return connect;
}

static void join_lasting(struct client *c, struct world *w, const char *id, bool clean)
{
    struct buf props = {0};
    struct mqtt_connect connect = lasting_as(id, clean, &props);
    assert_int_equal(client_connect(c, w, &connect).session_present, !clean);
    buf_close(&props);
}

/* How many PUBLISH packets have come since the last look, all acknowledged at QoS 1. */
static unsigned take_all(struct client *c)
{
    unsigned count = 0;
    world_turn(c->world);
    while (c->at < c->in.n) {
        struct mqtt_packet packet = client_expect(c, MQTT_PUBLISH);
        count++;
        if (packet.publish.qos == 1)
            client_ack(c, MQTT_PUBACK, packet.publish.packet_id, 0);
    }
    return count;
}

static struct mqtt_ack publish_acked(struct client *c, const char *topic, const char *payload)
{
    client_publish(c, topic, payload, 1, 9, false);
    return client_expect_ack(c, MQTT_PUBACK, 9);
}

static void each_message_goes_to_one_member_and_all_get_as_many(void **state)
{
    (void)state;
    for (unsigned shards = 1; shards <= SHARDS; shards++) {
        struct world w;
        struct client publisher, member[MEMBERS], plain;
        char id[32];
        world_init(&w, shards);
        world_start(&w);
        client_join(&publisher, &w, MQTT_V5, id_on_shard(0, shards, 99, id));
        client_join(&plain, &w, MQTT_V5, id_on_shard(shards - 1, shards, 98, id));
        client_subscribe(&plain, "a/#", 1);
        for (unsigned i = 0; i < MEMBERS; i++) {
            enum mqtt_version version = i % 2 == 0 ? MQTT_V5 : MQTT_V311;
            client_join(&member[i], &w, version, id_on_shard(i % shards, shards, i, id));
            client_subscribe(&member[i], "$share/g/a/+", 1);
        }
        unsigned got[MEMBERS] = {0}, plain_got = 0;
        for (unsigned n = 0; n < 40; n++) {
            assert_int_equal(publish_acked(&publisher, "a/b", "x").reason, 0);
            unsigned sum = 0;
            for (unsigned i = 0; i < MEMBERS; i++) {
                unsigned now = take_all(&member[i]);
                got[i] += now;
                sum += now;
            }
            assert_int_equal(sum, 1);
            plain_got += take_all(&plain);
        }
        assert_int_equal(plain_got, 40);
        for (unsigned i = 0; i < MEMBERS; i++)
            assert_int_equal(got[i], 10);
        for (unsigned i = 0; i < MEMBERS; i++)
            client_close(&member[i]);
        client_close(&plain);
        assert_int_equal(publish_acked(&publisher, "a/b", "x").reason,
                         MQTT_REASON_NO_MATCHING_SUBSCRIBERS);
        client_close(&publisher);
        world_close(&w);
    }
}

static void groups_are_told_apart_by_name_and_by_filter(void **state)
{
    (void)state;
    for (unsigned shards = 1; shards <= 2; shards++) {
        struct world w;
        struct client a, b;
        char id[32];
        world_init(&w, shards);
        world_start(&w);
        client_join(&a, &w, MQTT_V5, id_on_shard(0, shards, 1, id));
        client_join(&b, &w, MQTT_V5, id_on_shard(shards - 1, shards, 2, id));
        client_subscribe(&a, "$share/one/t", 0);
        client_subscribe(&b, "$share/two/t", 0);
        client_subscribe(&b, "$share/one/+", 0);
        client_publish(&a, "t", "1", 0, 0, false);
        assert_int_equal(take_all(&a), 1);
        assert_int_equal(take_all(&b), 2); /* its two groups give it a copy each */
        client_subscribe(&a, "t", 0);
        client_publish(&b, "t", "1", 0, 0, false);
        assert_int_equal(take_all(&a), 2); /* a shared subscription does not hide the other */
        assert_int_equal(take_all(&b), 2);
        client_close(&a);
        client_close(&b);
        world_close(&w);
    }
}

static void member_gets_its_own_qos_identifier_and_retain_flag(void **state)
{
    (void)state;
    struct world w;
    struct client a, b;
    struct buf props = {0}, list = {0};
    world_init(&w, 1);
    world_start(&w);
    client_join(&a, &w, MQTT_V5, "a");
    client_join(&b, &w, MQTT_V5, "b");
    mqtt_props_append_number(&props, MQTT_PROP_SUBSCRIPTION_ID, 4711);
    buf_append_str16(&list, BYTES_LIT("$share/g/t"));
    buf_append_u8(&list, 1 | 8); /* QoS 1, retain as published */
    struct mqtt_packet packet = {.type = MQTT_SUBSCRIBE};
    packet.subscribe = (struct mqtt_subscribe){
        .packet_id = 3, .props = {buf_bytes(&props)}, .filters = buf_bytes(&list)};
    client_send(&a, &packet);
    (void)client_expect(&a, MQTT_SUBACK);
    client_publish(&b, "t", "x", 2, 1, true);
    struct mqtt_publish got = client_expect_publish(&a, "t", "x");
    struct mqtt_prop prop;
    assert_int_equal(got.qos, 1);
    assert_true(got.retain);
    assert_true(mqtt_props_find(got.props, MQTT_PROP_SUBSCRIPTION_ID, &prop));
    assert_int_equal(prop.number, 4711);
    buf_close(&props);
    buf_close(&list);
    client_close(&a);
    client_close(&b);
    world_close(&w);
}

static void retained_messages_are_not_for_groups(void **state)
{
    (void)state;
    struct world w;
    struct client a, b;
    char id[32];
    world_init(&w, 2);
    world_start(&w);
    client_join(&a, &w, MQTT_V5, id_on_shard(0, 2, 1, id));
    client_join(&b, &w, MQTT_V5, id_on_shard(1, 2, 2, id));
    client_publish(&a, "t", "kept", 0, 0, true);
    client_publish(&a, "$share/g/t", "named like the filter", 0, 0, true);
    client_subscribe(&a, "$share/g/t", 0);
    client_subscribe(&b, "$share/g/t", 0);
    client_expect_nothing(&a);
    client_expect_nothing(&b);
    /* Published later, it goes to all shards, and still to one member only. */
    client_publish(&a, "t", "live", 0, 0, true);
    assert_int_equal(take_all(&a) + take_all(&b), 1);
    client_close(&a);
    client_close(&b);
    world_close(&w);
}

static void unsubscribing_leaves_the_group(void **state)
{
    (void)state;
    for (unsigned shards = 1; shards <= 2; shards++) {
        struct world w;
        struct client a, b;
        char id[32];
        world_init(&w, shards);
        world_start(&w);
        client_join(&a, &w, MQTT_V5, id_on_shard(0, shards, 1, id));
        client_join(&b, &w, MQTT_V5, id_on_shard(shards - 1, shards, 2, id));
        client_subscribe(&a, "$share/g/t", 0);
        client_subscribe(&b, "$share/g/t", 0);
        struct mqtt_packet packet = {.type = MQTT_UNSUBSCRIBE};
        packet.unsubscribe = (struct mqtt_unsubscribe){
            .packet_id = 5, .filters = BYTES_LIT("\0\12$share/g/t\0\1t\0\12$share/h/t")};
        client_send(&b, &packet);
        struct mqtt_packet answer = client_expect(&b, MQTT_UNSUBACK);
        assert_memory_equal(answer.suback.codes.p, "\x00\x11\x11", 3);
        for (unsigned i = 0; i < 4; i++)
            client_publish(&b, "t", "x", 0, 0, false);
        assert_int_equal(take_all(&a), 4);
        client_expect_nothing(&b);
        client_close(&a);
        client_close(&b);
        world_close(&w);
    }
}

static bool only_b_reads(const struct broker_subject *subject, enum broker_access access,
                         struct bytes topic)
{
    /* Of a shared subscription the filter itself is asked about. */
    assert_false(mqtt_filter_is_shared(topic));
    if (access == BROKER_SUBSCRIBE && bytes_equal(topic, BYTES_LIT("never")))
        return false;
    return access != BROKER_READ || bytes_equal(subject->client_id, BYTES_LIT("b"));
}

static void rights_are_asked_for_the_filter_and_for_each_member(void **state)
{
    (void)state;
    struct world w;
    struct client a, b;
    world_init(&w, 1);
    w.authorize = only_b_reads;
    world_start(&w);
    client_join(&a, &w, MQTT_V5, "a");
    client_join(&b, &w, MQTT_V5, "b");
    assert_int_equal(client_subscribe_code(&a, "$share/g/never", 0), MQTT_REASON_NOT_AUTHORIZED);
    client_subscribe(&a, "$share/g/t", 1);
    assert_int_equal(publish_acked(&a, "t", "x").reason, MQTT_REASON_NO_MATCHING_SUBSCRIBERS);
    client_subscribe(&b, "$share/g/t", 1);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(publish_acked(&a, "t", "x").reason, 0);
        assert_int_equal(take_all(&b), 1);
    }
    client_expect_nothing(&a);
    client_close(&a);
    client_close(&b);
    world_close(&w);
}

static void forms_that_are_no_shared_filter_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"$share//t",  "$share/g",    "$share/g/",
                                      "$share/+/t", "$share/g#/t", "$share/g/a#"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct world w;
        struct client a;
        struct buf list = {0};
        world_init(&w, 1);
        world_start(&w);
        client_join(&a, &w, MQTT_V5, "a");
        buf_append_str16(&list, bytes_str(bad[i]));
        buf_append_u8(&list, 0);
        struct mqtt_packet packet = {.type = MQTT_SUBSCRIBE};
        packet.subscribe = (struct mqtt_subscribe){.packet_id = 3, .filters = buf_bytes(&list)};
        client_send(&a, &packet);
        assert_int_equal(client_expect(&a, MQTT_DISCONNECT).end.reason,
                         MQTT_REASON_TOPIC_FILTER_INVALID);
        client_expect_closed(&a);
        buf_close(&list);
        client_close(&a);
        world_close(&w);
    }
}

static void no_local_on_a_shared_filter_is_a_protocol_error(void **state)
{
    (void)state;
    struct world w;
    struct client a;
    world_init(&w, 1);
    world_start(&w);
    client_join(&a, &w, MQTT_V5, "a");
    struct mqtt_packet packet = {.type = MQTT_SUBSCRIBE};
    packet.subscribe =
        (struct mqtt_subscribe){.packet_id = 3, .filters = BYTES_LIT("\0\12$share/g/t\4")};
    client_send(&a, &packet);
    assert_int_equal(client_expect(&a, MQTT_DISCONNECT).end.reason, MQTT_REASON_PROTOCOL_ERROR);
    client_close(&a);
    world_close(&w);
}

static void long_names_and_too_many_are_refused(void **state)
{
    (void)state;
    struct world w;
    struct client a;
    char filter[400] = "$share/";
    world_init(&w, 2);
    w.limits.subscriptions = 1;
    world_start(&w);
    char id[32];
    client_join(&a, &w, MQTT_V5, id_on_shard(0, 2, 1, id));
    memset(filter + 7, 'n', 300);
    strcpy(filter + 307, "/t");
    assert_int_equal(client_subscribe_code(&a, filter, 0), MQTT_REASON_TOPIC_FILTER_INVALID);
    client_subscribe(&a, "$share/g/t", 0);
    client_subscribe(&a, "$share/g/t", 1);
    assert_int_equal(client_subscribe_code(&a, "$share/g/u", 0), MQTT_REASON_QUOTA_EXCEEDED);
    client_close(&a);
    world_close(&w);
}

static void who_is_connected_goes_before_who_is_not(void **state)
{
    (void)state;
    for (unsigned shards = 1; shards <= 2; shards++) {
        struct world w;
        struct client publisher, there, away;
        char id[32], there_id[32], away_id[32];
        world_init(&w, shards);
        world_start(&w);
        (void)id_on_shard(0, shards, 1, there_id);
        (void)id_on_shard(shards - 1, shards, 2, away_id);
        client_join(&publisher, &w, MQTT_V5, id_on_shard(0, shards, 99, id));
        join_lasting(&there, &w, there_id, true);
        join_lasting(&away, &w, away_id, true);
        client_subscribe(&there, "$share/g/t", 1);
        client_subscribe(&away, "$share/g/t", 1);
        client_close(&away);
        for (unsigned i = 0; i < 6; i++)
            assert_int_equal(publish_acked(&publisher, "t", "x").reason, 0);
        assert_int_equal(take_all(&there), 6);
        /* Nobody is there: it waits for one of the two. */
        client_close(&there);
        for (unsigned i = 0; i < 6; i++)
            assert_int_equal(publish_acked(&publisher, "t", "y").reason, 0);
        join_lasting(&there, &w, there_id, false);
        join_lasting(&away, &w, away_id, false);
        unsigned there_got = take_all(&there), away_got = take_all(&away);
        assert_int_equal(there_got, 3);
        assert_int_equal(away_got, 3);
        /* Both are back in their turns. */
        for (unsigned i = 0; i < 6; i++)
            assert_int_equal(publish_acked(&publisher, "t", "z").reason, 0);
        assert_int_equal(take_all(&there), 3);
        assert_int_equal(take_all(&away), 3);
        client_close(&there);
        client_close(&away);
        client_close(&publisher);
        world_close(&w);
    }
}

static void who_has_room_goes_before_who_has_not(void **state)
{
    (void)state;
    struct world w;
    struct client publisher, quick, slow;
    world_init(&w, 1);
    w.limits.inflight = 2;
    world_start(&w);
    client_join(&publisher, &w, MQTT_V5, "p");
    client_join(&quick, &w, MQTT_V5, "quick");
    client_join(&slow, &w, MQTT_V5, "slow");
    client_subscribe(&quick, "$share/g/t", 1);
    client_subscribe(&slow, "$share/g/t", 1);
    unsigned quick_got = 0;
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(publish_acked(&publisher, "t", "x").reason, 0);
        quick_got += take_all(&quick); /* `slow` acknowledges nothing */
    }
    assert_int_equal(quick_got, 18);
    /* Without anyone who has room they queue by turns. */
    for (unsigned i = 0; i < 6; i++)
        client_publish(&publisher, "t", "x", 1, (uint16_t)(20 + i), false);
    quick_got = take_all(&quick);
    assert_true(quick_got >= 3 && quick_got <= 6);
    client_close(&quick);
    client_close(&slow);
    client_close(&publisher);
    world_close(&w);
}

static void session_that_ends_hands_over_what_it_has_not_acknowledged(void **state)
{
    (void)state;
    for (unsigned shards = 1; shards <= 2; shards++) {
        struct world w;
        struct client publisher, first, second;
        char id[32];
        world_init(&w, shards);
        w.limits.inflight = 2;
        world_start(&w);
        client_join(&publisher, &w, MQTT_V5, id_on_shard(0, shards, 99, id));
        client_join(&first, &w, MQTT_V5, id_on_shard(shards - 1, shards, 1, id));
        client_subscribe(&first, "$share/g/t", 1);
        for (unsigned i = 0; i < 5; i++)
            assert_int_equal(
                publish_acked(&publisher, "t", (const char[]){(char)('0' + i), 0}).reason, 0);
        /* Two are on their way, one of them acknowledged; three wait. */
        struct mqtt_publish p = client_expect_publish(&first, "t", "0");
        (void)client_expect_publish(&first, "t", "1");
        client_ack(&first, MQTT_PUBACK, p.packet_id, 0);
        (void)client_expect_publish(&first, "t", "2");
        client_join(&second, &w, MQTT_V5, id_on_shard(0, shards, 2, id));
        client_subscribe(&second, "$share/g/t", 1);
        client_close(&first);
        for (unsigned i = 1; i < 5; i++) {
            p = client_expect_publish(&second, "t", (const char[]){(char)('0' + i), 0});
            assert_false(p.dup);
            client_ack(&second, MQTT_PUBACK, p.packet_id, 0);
        }
        client_expect_nothing(&second);
        client_close(&second);
        client_close(&publisher);
        world_close(&w);
    }
}

static void sent_qos_2_message_stays_with_its_session(void **state)
{
    (void)state;
    struct world w;
    struct client publisher, first, second;
    world_init(&w, 1);
    w.limits.inflight = 1;
    world_start(&w);
    client_join(&publisher, &w, MQTT_V5, "p");
    client_join(&first, &w, MQTT_V5, "a");
    client_subscribe(&first, "$share/g/t", 2);
    client_publish(&publisher, "t", "sent", 2, 1, false);
    client_publish(&publisher, "t", "queued", 2, 2, false);
    (void)client_expect_publish(&first, "t", "sent");
    client_join(&second, &w, MQTT_V5, "b");
    client_subscribe(&second, "$share/g/t", 2);
    client_close(&first);
    (void)client_expect_publish(&second, "t", "queued");
    client_expect_nothing(&second);
    client_close(&second);
    client_close(&publisher);
    world_close(&w);
}

static void refused_message_goes_to_nobody_else(void **state)
{
    (void)state;
    struct world w;
    struct client publisher, first, second;
    world_init(&w, 1);
    world_start(&w);
    client_join(&publisher, &w, MQTT_V5, "p");
    client_join(&first, &w, MQTT_V5, "a");
    client_subscribe(&first, "$share/g/t", 1);
    client_publish(&publisher, "t", "x", 1, 1, false);
    struct mqtt_publish p = client_expect_publish(&first, "t", "x");
    client_join(&second, &w, MQTT_V5, "b");
    client_subscribe(&second, "$share/g/t", 1);
    client_ack(&first, MQTT_PUBACK, p.packet_id, MQTT_REASON_UNSPECIFIED_ERROR);
    client_close(&first);
    client_expect_nothing(&second);
    client_close(&second);
    client_close(&publisher);
    world_close(&w);
}

static void message_for_a_member_that_has_just_gone_is_passed_on(void **state)
{
    (void)state;
    struct world w;
    struct client publisher, leaving, staying;
    char id[32];
    world_init(&w, 3);
    world_start(&w);
    client_join(&publisher, &w, MQTT_V5, id_on_shard(0, 3, 99, id));
    client_join(&leaving, &w, MQTT_V5, id_on_shard(1, 3, 1, id));
    client_join(&staying, &w, MQTT_V5, id_on_shard(2, 3, 2, id));
    client_subscribe(&leaving, "$share/g/t", 1);
    client_subscribe(&staying, "$share/g/t", 1);
    /* Shard 0 does not know yet that one has gone, and sends half of them to its shard. */
    w.holds_parcels = true;
    client_close(&leaving);
    for (unsigned i = 0; i < 8; i++)
        client_publish(&publisher, "t", "x", 1, (uint16_t)(1 + i), false);
    w.holds_parcels = false;
    assert_int_equal(take_all(&staying), 8);
    client_close(&staying);
    client_close(&publisher);
    world_close(&w);
}

static void parcels_with_messages_for_groups_can_be_thrown_away(void **state)
{
    (void)state;
    struct world w;
    struct client publisher, member;
    char id[32];
    world_init(&w, 2);
    world_start(&w);
    client_join(&publisher, &w, MQTT_V5, id_on_shard(0, 2, 99, id));
    client_join(&member, &w, MQTT_V5, id_on_shard(1, 2, 1, id));
    client_subscribe(&member, "$share/g/t", 1);
    w.holds_parcels = true;
    client_publish(&publisher, "t", "x", 1, 1, false);
    client_publish(&publisher, "u", "x", 1, 2, false);
    broker_parcels_free(broker_take_parcels(w.shard[0], 1));
    client_publish(&publisher, "t", "x", 1, 3, false);
    client_close(&member);
    client_close(&publisher);
    world_close(&w); /* with a parcel that was never taken */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_message_goes_to_one_member_and_all_get_as_many),
        cmocka_unit_test(groups_are_told_apart_by_name_and_by_filter),
        cmocka_unit_test(member_gets_its_own_qos_identifier_and_retain_flag),
        cmocka_unit_test(retained_messages_are_not_for_groups),
        cmocka_unit_test(unsubscribing_leaves_the_group),
        cmocka_unit_test(rights_are_asked_for_the_filter_and_for_each_member),
        cmocka_unit_test(forms_that_are_no_shared_filter_are_refused),
        cmocka_unit_test(no_local_on_a_shared_filter_is_a_protocol_error),
        cmocka_unit_test(long_names_and_too_many_are_refused),
        cmocka_unit_test(who_is_connected_goes_before_who_is_not),
        cmocka_unit_test(who_has_room_goes_before_who_has_not),
        cmocka_unit_test(session_that_ends_hands_over_what_it_has_not_acknowledged),
        cmocka_unit_test(sent_qos_2_message_stays_with_its_session),
        cmocka_unit_test(refused_message_goes_to_nobody_else),
        cmocka_unit_test(message_for_a_member_that_has_just_gone_is_passed_on),
        cmocka_unit_test(parcels_with_messages_for_groups_can_be_thrown_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
