/* What of a message goes on to its receivers, and what a subscription's options do to it. */
#include "world.h"

#define NO_LOCAL            0x04
#define RETAIN_AS_PUBLISHED 0x08
#define RETAIN_HANDLING(n)  ((n) << 4)

static void subscribe_with_id(struct client *c, const char *filter, uint8_t options, uint32_t id)
{
    struct buf list = {0}, props = {0};
    buf_append_str16(&list, bytes_str(filter));
    buf_append_u8(&list, options);
    mqtt_props_append_number(&props, MQTT_PROP_SUBSCRIPTION_ID, id);
    struct mqtt_packet packet = {.type = MQTT_SUBSCRIBE};
    packet.subscribe = (struct mqtt_subscribe){1, {buf_bytes(&props)}, buf_bytes(&list)};
    client_send(c, &packet);
    (void)client_expect(c, MQTT_SUBACK);
    buf_close(&list);
    buf_close(&props);
}

static unsigned count_ids(struct mqtt_props props, uint32_t *sum)
{
    unsigned count = 0;
    struct mqtt_prop prop;
    *sum = 0;
    while (mqtt_props_next(&props, &prop)) {
        if (prop.id == MQTT_PROP_SUBSCRIPTION_ID) {
            *sum += prop.number;
            count++;
        }
    }
    return count;
}

static void properties_of_a_message_are_forwarded_unchanged(void **state)
{
    (void)state;
    struct world w;
    struct client a, b, old;
    struct buf props = {0};
    world_init(&w, 1);
    world_start(&w);
    client_join(&a, &w, MQTT_V5, "a");
    client_join(&old, &w, MQTT_V311, "old");
    client_join(&b, &w, MQTT_V5, "b");
    client_subscribe(&a, "x", 0);
    client_subscribe(&old, "x", 0);
    mqtt_props_append_number(&props, MQTT_PROP_TOPIC_ALIAS, 3);
    size_t own = props.n;
    mqtt_props_append_number(&props, MQTT_PROP_PAYLOAD_FORMAT, 1);
    mqtt_props_append_text(&props, MQTT_PROP_CONTENT_TYPE, BYTES_LIT("text/plain"));
    mqtt_props_append_text(&props, MQTT_PROP_RESPONSE_TOPIC, BYTES_LIT("answer"));
    mqtt_props_append_text(&props, MQTT_PROP_CORRELATION_DATA, BYTES_LIT("\0\1\2"));
    for (unsigned i = 0; i < 2; i++)
        mqtt_props_append(&props, &(struct mqtt_prop){.id = MQTT_PROP_USER_PROPERTY,
                                                      .text = BYTES_LIT("name"),
                                                      .value = BYTES_LIT("value")});
    client_publish_props(&b, "x", "payload", 0, 0, buf_bytes(&props));
    struct mqtt_publish p = client_expect_publish(&a, "x", "payload");
    assert_int_equal(p.props.wire.n, props.n - own);
    assert_memory_equal(p.props.wire.p, props.p + own, props.n - own);
    (void)client_expect_publish(&old, "x", "payload");
    /* Without an alias nothing has to be taken out. */
    client_publish_props(&b, "x", "again", 0, 0, bytes_of(props.p + own, props.n - own));
    p = client_expect_publish(&a, "x", "again");
    assert_int_equal(p.props.wire.n, props.n - own);
    buf_close(&props);
    client_close(&a);
    client_close(&b);
    client_close(&old);
    world_close(&w);
}

static void topic_alias_stands_for_its_topic(void **state)
{
    (void)state;
    struct world w;
    struct client a, b;
    struct buf props = {0};
    world_init(&w, 1);
    w.limits.topic_aliases = 5;
    world_start(&w);
    client_join(&a, &w, MQTT_V5, "a");
    client_join(&b, &w, MQTT_V5, "b");
    client_subscribe(&a, "#", 0);
    mqtt_props_append_number(&props, MQTT_PROP_TOPIC_ALIAS, 5);
    client_publish_props(&b, "first", "1", 0, 0, buf_bytes(&props));
    client_publish_props(&b, "", "2", 0, 0, buf_bytes(&props));
    client_publish_props(&b, "second", "3", 0, 0, buf_bytes(&props));
    client_publish_props(&b, "", "4", 0, 0, buf_bytes(&props));
    (void)client_expect_publish(&a, "first", "1");
    (void)client_expect_publish(&a, "first", "2");
    (void)client_expect_publish(&a, "second", "3");
    (void)client_expect_publish(&a, "second", "4");
    buf_reset(&props);
    mqtt_props_append_number(&props, MQTT_PROP_TOPIC_ALIAS, 4);
    client_publish_props(&b, "", "?", 0, 0, buf_bytes(&props));
    assert_int_equal(client_expect(&b, MQTT_DISCONNECT).end.reason, MQTT_REASON_PROTOCOL_ERROR);
    client_expect_closed(&b);
    client_close(&b);
    client_join(&b, &w, MQTT_V5, "b");
    buf_reset(&props);
    mqtt_props_append_number(&props, MQTT_PROP_TOPIC_ALIAS, 6);
    client_publish_props(&b, "x", "?", 0, 0, buf_bytes(&props));
    assert_int_equal(client_expect(&b, MQTT_DISCONNECT).end.reason,
                     MQTT_REASON_TOPIC_ALIAS_INVALID);
    client_close(&b);
    /* Aliases belong to the connection. */
    client_join(&b, &w, MQTT_V5, "b");
    buf_reset(&props);
    mqtt_props_append_number(&props, MQTT_PROP_TOPIC_ALIAS, 5);
    client_publish_props(&b, "", "?", 0, 0, buf_bytes(&props));
    (void)client_expect(&b, MQTT_DISCONNECT);
    client_expect_nothing(&a);
    buf_close(&props);
    client_close(&a);
    client_close(&b);
    world_close(&w);
}

static void names_of_aliases_take_a_bounded_room(void **state)
{
    (void)state;
    struct world w;
    struct client a;
    static char topic[60001];
    world_init(&w, 1);
    w.limits.topic_aliases = 10;
    world_start(&w);
    client_join(&a, &w, MQTT_V5, "a");
    memset(topic, 'x', sizeof topic - 1);
    for (uint32_t alias = 1; alias <= 5; alias++) {
        struct buf props = {0};
        mqtt_props_append_number(&props, MQTT_PROP_TOPIC_ALIAS, alias);
        topic[0] = (char)('0' + alias);
        client_publish_props(&a, topic, "1", 0, 0, buf_bytes(&props));
        /* The same name again takes no more. */
        client_publish_props(&a, topic, "2", 0, 0, buf_bytes(&props));
        buf_close(&props);
        if (alias < 5)
            client_expect_nothing(&a);
    }
    assert_int_equal(client_expect(&a, MQTT_DISCONNECT).end.reason, MQTT_REASON_QUOTA_EXCEEDED);
    client_close(&a);
    world_close(&w);
}

static void message_expires_and_says_how_much_is_left(void **state)
{
    (void)state;
    struct world w;
    struct client a, b, c;
    struct buf props = {0};
    world_init(&w, 1);
    world_start(&w);
    static const uint8_t expiry[] = {MQTT_PROP_SESSION_EXPIRY, 0, 0, 14, 16};
    struct mqtt_connect connect = connect_as(MQTT_V5, "a");
    connect.clean_start = false;
    connect.props.wire = bytes_of(expiry, sizeof expiry);
    (void)client_connect(&a, &w, &connect);
    client_subscribe(&a, "x", 1);
    client_close(&a);
    client_join(&b, &w, MQTT_V5, "b");
    mqtt_props_append_number(&props, MQTT_PROP_MESSAGE_EXPIRY, 10);
    client_publish_props(&b, "x", "short", 1, 1, buf_bytes(&props));
    buf_reset(&props);
    mqtt_props_append_number(&props, MQTT_PROP_MESSAGE_EXPIRY, 50);
    client_publish_props(&b, "x", "long", 1, 2, buf_bytes(&props));
    client_publish_props(&b, "x", "for ever", 1, 3, (struct bytes){0});
    world_advance(&w, 20000);
    (void)client_connect(&a, &w, &connect);
    struct mqtt_publish p = client_expect_publish(&a, "x", "long");
    struct mqtt_prop prop;
    assert_true(mqtt_props_find(p.props, MQTT_PROP_MESSAGE_EXPIRY, &prop));
    assert_int_equal(prop.number, 30);
    p = client_expect_publish(&a, "x", "for ever");
    assert_false(mqtt_props_find(p.props, MQTT_PROP_MESSAGE_EXPIRY, &prop));
    client_expect_nothing(&a);
    /* A retained message too. */
    struct mqtt_packet packet = {.type = MQTT_PUBLISH};
    packet.publish = (struct mqtt_publish){.retain = true,
                                           .topic = BYTES_LIT("r"),
                                           .props = {buf_bytes(&props)},
                                           .payload = BYTES_LIT("kept")};
    client_send(&b, &packet);
    world_advance(&w, 49999);
    client_join(&c, &w, MQTT_V5, "c");
    client_subscribe(&c, "r", 0);
    p = client_expect_publish(&c, "r", "kept");
    assert_true(mqtt_props_find(p.props, MQTT_PROP_MESSAGE_EXPIRY, &prop));
    assert_int_equal(prop.number, 1);
    struct broker_stats stats;
    broker_stats_get(w.shard[0], &stats);
    assert_int_equal(stats.retained, 1);
    world_advance(&w, 1);
    broker_stats_get(w.shard[0], &stats);
    assert_int_equal(stats.retained, 0);
    client_subscribe(&c, "r", 0);
    client_expect_nothing(&c);
    buf_close(&props);
    client_close(&a);
    client_close(&b);
    client_close(&c);
    world_close(&w);
}

static void no_local_keeps_ones_own_messages_away(void **state)
{
    (void)state;
    struct world w;
    struct client a, b;
    world_init(&w, 1);
    world_start(&w);
    client_join(&a, &w, MQTT_V5, "a");
    client_join(&b, &w, MQTT_V5, "b");
    client_subscribe(&a, "x/#", 0 | NO_LOCAL);
    client_publish(&a, "x/1", "mine", 0, 0, false);
    client_expect_nothing(&a);
    client_publish(&b, "x/1", "yours", 0, 0, false);
    (void)client_expect_publish(&a, "x/1", "yours");
    /* Another subscription of the same client without the option wins for what it matches. */
    subscribe_with_id(&a, "x/+", 0, 5);
    client_publish(&a, "x/1", "mine", 0, 0, false);
    uint32_t sum;
    assert_int_equal(count_ids(client_expect_publish(&a, "x/1", "mine").props, &sum), 1);
    assert_int_equal(sum, 5);
    client_publish(&a, "x/1/2", "mine", 0, 0, false);
    client_expect_nothing(&a);
    client_close(&a);
    client_close(&b);
    world_close(&w);
}

static void overlapping_subscriptions_give_one_copy_with_all_identifiers(void **state)
{
    (void)state;
    struct world w;
    struct client a, b;
    world_init(&w, 1);
    world_start(&w);
    client_join(&a, &w, MQTT_V5, "a");
    client_join(&b, &w, MQTT_V5, "b");
    subscribe_with_id(&a, "x/#", 0, 1);
    subscribe_with_id(&a, "x/+", 1, 20000);
    subscribe_with_id(&a, "+/y", 0, 300);
    client_subscribe(&a, "x/y", 0);
    client_publish(&b, "x/y", "p", 2, 1, false);
    struct mqtt_publish p = client_expect_publish(&a, "x/y", "p");
    uint32_t sum;
    assert_int_equal(p.qos, 1);
    assert_int_equal(count_ids(p.props, &sum), 3);
    assert_int_equal(sum, 20301);
    /* From the cache it is the same. */
    client_ack(&b, MQTT_PUBREL, 1, 0);
    client_publish(&b, "x/y", "q", 0, 0, false);
    p = client_expect_publish(&a, "x/y", "q");
    assert_int_equal(count_ids(p.props, &sum), 3);
    /* A subscription that is made again takes the new options and identifier. */
    subscribe_with_id(&a, "x/+", 0, 7);
    client_publish(&b, "x/z", "r", 1, 2, false);
    p = client_expect_publish(&a, "x/z", "r");
    assert_int_equal(p.qos, 0);
    assert_int_equal(count_ids(p.props, &sum), 2);
    assert_int_equal(sum, 8);
    client_close(&a);
    client_close(&b);
    world_close(&w);
}

static void retain_flag_is_kept_only_as_published(void **state)
{
    (void)state;
    struct world w;
    struct client a, b, c;
    world_init(&w, 1);
    world_start(&w);
    client_join(&a, &w, MQTT_V5, "a");
    client_join(&b, &w, MQTT_V5, "b");
    client_join(&c, &w, MQTT_V5, "c");
    client_subscribe(&a, "x", 0 | RETAIN_AS_PUBLISHED);
    client_subscribe(&b, "x", 0);
    client_publish(&c, "x", "1", 0, 0, true);
    assert_true(client_expect_publish(&a, "x", "1").retain);
    assert_false(client_expect_publish(&b, "x", "1").retain);
    client_publish(&c, "x", "2", 0, 0, false);
    assert_false(client_expect_publish(&a, "x", "2").retain);
    client_close(&a);
    client_close(&b);
    client_close(&c);
    world_close(&w);
}

static void retain_handling_decides_what_a_subscription_brings(void **state)
{
    (void)state;
    struct world w;
    struct client a, b;
    world_init(&w, 1);
    world_start(&w);
    client_join(&a, &w, MQTT_V5, "a");
    client_join(&b, &w, MQTT_V5, "b");
    client_publish(&b, "x", "1", 1, 1, true);
    client_subscribe(&a, "x", 1 | RETAIN_HANDLING(2));
    client_expect_nothing(&a);
    client_subscribe(&a, "x", 1 | RETAIN_HANDLING(1));
    client_expect_nothing(&a);
    client_subscribe(&a, "x", 1 | RETAIN_HANDLING(0));
    (void)client_expect_publish(&a, "x", "1");
    client_subscribe(&a, "+", 1 | RETAIN_HANDLING(1));
    assert_true(client_expect_publish(&a, "x", "1").retain);
    client_expect_nothing(&a);
    client_close(&a);
    client_close(&b);
    world_close(&w);
}

static void wildcards_do_not_see_dollar_topics(void **state)
{
    (void)state;
    struct world w;
    struct client a, b;
    world_init(&w, 1);
    world_start(&w);
    client_join(&a, &w, MQTT_V5, "a");
    client_join(&b, &w, MQTT_V5, "b");
    client_publish(&b, "$SYS/x", "retained", 0, 0, true);
    client_subscribe(&a, "#", 0);
    client_subscribe(&a, "+/x", 0);
    client_publish(&b, "$SYS/x", "1", 0, 0, false);
    client_expect_nothing(&a);
    client_subscribe(&a, "$SYS/+", 0);
    (void)client_expect_publish(&a, "$SYS/x", "retained");
    client_publish(&b, "$SYS/x", "2", 0, 0, false);
    (void)client_expect_publish(&a, "$SYS/x", "2");
    client_expect_nothing(&a);
    client_close(&a);
    client_close(&b);
    world_close(&w);
}

static void unsubscribe(struct client *c, const char *one, const char *two)
{
    struct buf list = {0};
    buf_append_str16(&list, bytes_str(one));
    buf_append_str16(&list, bytes_str(two));
    struct mqtt_packet packet = {.type = MQTT_UNSUBSCRIBE};
    packet.unsubscribe = (struct mqtt_unsubscribe){.packet_id = 5, .filters = buf_bytes(&list)};
    client_send(c, &packet);
    buf_close(&list);
}

static void unsubscribe_ends_a_subscription(void **state)
{
    (void)state;
    struct world w;
    struct client a, b;
    world_init(&w, 1);
    world_start(&w);
    client_join(&a, &w, MQTT_V5, "a");
    client_join(&b, &w, MQTT_V311, "b");
    client_subscribe(&a, "x/+", 0);
    client_subscribe(&b, "x/+", 0);
    client_publish(&b, "x/y", "1", 0, 0, false);
    (void)client_expect_publish(&a, "x/y", "1");
    (void)client_expect_publish(&b, "x/y", "1");
    unsubscribe(&a, "x/+", "x/y");
    struct mqtt_packet ack = client_expect(&a, MQTT_UNSUBACK);
    assert_int_equal(ack.suback.packet_id, 5);
    assert_int_equal(ack.suback.codes.n, 2);
    assert_int_equal(ack.suback.codes.p[0], 0);
    assert_int_equal(ack.suback.codes.p[1], MQTT_REASON_NO_SUBSCRIPTION_EXISTED);
    unsubscribe(&b, "x/+", "x/y");
    ack = client_expect(&b, MQTT_UNSUBACK);
    assert_int_equal(ack.suback.codes.n, 0);
    client_publish(&b, "x/y", "2", 0, 0, false);
    client_expect_nothing(&a);
    client_expect_nothing(&b);
    client_close(&a);
    client_close(&b);
    world_close(&w);
}

static bool no_secrets(const struct broker_subject *subject, enum broker_access access,
                       struct bytes topic)
{
    (void)subject;
    if (access == BROKER_SUBSCRIBE)
        return !bytes_starts_with(topic, BYTES_LIT("secret"));
    return !bytes_starts_with(topic, BYTES_LIT("secret"));
}

static bool everything(const struct broker_subject *subject, enum broker_access access,
                       struct bytes topic)
{
    (void)subject;
    (void)access;
    (void)topic;
    return true;
}

static void what_is_not_allowed_is_refused_as_the_version_can(void **state)
{
    (void)state;
    struct world w;
    struct client a, b, c;
    world_init(&w, 1);
    w.authorize = no_secrets;
    world_start(&w);
    client_join(&a, &w, MQTT_V5, "a");
    client_join(&b, &w, MQTT_V311, "b");
    client_join(&c, &w, MQTT_V5, "c");
    client_subscribe(&c, "#", 0);
    assert_int_equal(client_subscribe_code(&a, "secret/x", 1), MQTT_REASON_NOT_AUTHORIZED);
    assert_int_equal(client_subscribe_code(&b, "secret/x", 1), 0x80);
    client_publish(&a, "secret/x", "1", 1, 1, false);
    assert_int_equal(client_expect_ack(&a, MQTT_PUBACK, 1).reason, MQTT_REASON_NOT_AUTHORIZED);
    client_publish(&a, "secret/x", "1", 2, 2, false);
    assert_int_equal(client_expect_ack(&a, MQTT_PUBREC, 2).reason, MQTT_REASON_NOT_AUTHORIZED);
    client_publish(&a, "secret/x", "1", 0, 0, true);
    client_expect_nothing(&a);
    client_publish(&b, "secret/x", "1", 1, 1, false);
    assert_int_equal(client_expect_ack(&b, MQTT_PUBACK, 1).reason, 0);
    client_publish(&b, "secret/x", "1", 2, 2, false);
    (void)client_expect_ack(&b, MQTT_PUBREC, 2);
    client_ack(&b, MQTT_PUBREL, 2, 0);
    (void)client_expect_ack(&b, MQTT_PUBCOMP, 2);
    client_expect_nothing(&c);
    struct broker_stats stats;
    broker_stats_get(w.shard[0], &stats);
    assert_int_equal(stats.publishes_denied_total, 5);
    client_close(&a);
    client_close(&b);
    client_close(&c);
    world_close(&w);
}

static void reading_is_decided_topic_by_topic_and_anew_when_rules_change(void **state)
{
    (void)state;
    struct world w;
    struct client a, b;
    world_init(&w, 1);
    world_start(&w);
    client_join(&a, &w, MQTT_V5, "a");
    client_join(&b, &w, MQTT_V5, "b");
    client_publish(&b, "secret/r", "kept", 0, 0, true);
    struct broker_outgoing out = {.topic = BYTES_LIT("secret/x"), .payload = BYTES_LIT("1")};
    w.authorize = no_secrets;
    client_subscribe(&a, "#", 0);
    client_expect_nothing(&a);
    assert_int_equal(broker_publish(w.shard[0], &out, w.now_ms), 0);
    client_expect_nothing(&a);
    w.authorize = everything;
    broker_access_changed(w.shard[0]);
    assert_int_equal(broker_publish(w.shard[0], &out, w.now_ms), 0);
    (void)client_expect_publish(&a, "secret/x", "1");
    w.authorize = no_secrets;
    broker_access_changed(w.shard[0]);
    assert_int_equal(broker_publish(w.shard[0], &out, w.now_ms), 0);
    client_expect_nothing(&a);
    client_close(&a);
    client_close(&b);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(properties_of_a_message_are_forwarded_unchanged),
        cmocka_unit_test(topic_alias_stands_for_its_topic),
        cmocka_unit_test(names_of_aliases_take_a_bounded_room),
        cmocka_unit_test(message_expires_and_says_how_much_is_left),
        cmocka_unit_test(no_local_keeps_ones_own_messages_away),
        cmocka_unit_test(overlapping_subscriptions_give_one_copy_with_all_identifiers),
        cmocka_unit_test(retain_flag_is_kept_only_as_published),
        cmocka_unit_test(retain_handling_decides_what_a_subscription_brings),
        cmocka_unit_test(wildcards_do_not_see_dollar_topics),
        cmocka_unit_test(unsubscribe_ends_a_subscription),
        cmocka_unit_test(what_is_not_allowed_is_refused_as_the_version_can),
        cmocka_unit_test(reading_is_decided_topic_by_topic_and_anew_when_rules_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
