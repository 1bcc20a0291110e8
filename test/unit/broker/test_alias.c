/* Topic aliases towards clients (5.0 sections 3.1.2.11.5 and 3.3.2.3.4). */
#include "broker/alias.h"
#include "world.h"

#define LONG_TOPIC "plant/line/machine/temperature"

static void join(struct client *c, struct world *w, const char *id, uint16_t most, bool clean,
                 uint32_t packet_bytes)
{
    struct buf props = {0};
    mqtt_props_append_number(&props, MQTT_PROP_TOPIC_ALIAS_MAXIMUM, most);
    mqtt_props_append_number(&props, MQTT_PROP_SESSION_EXPIRY, 1000);
    if (packet_bytes != 0)
        mqtt_props_append_number(&props, MQTT_PROP_MAXIMUM_PACKET_SIZE, packet_bytes);
    struct mqtt_connect connect = connect_as(MQTT_V5, id);
    connect.clean_start = clean;
    connect.props.wire = buf_bytes(&props);
    assert_int_equal(client_connect(c, w, &connect).reason, 0);
    buf_close(&props);
}

/* The next PUBLISH: its topic on the wire, and its alias; 0 when it has none. */
static uint32_t expect_alias(struct client *c, const char *topic)
{
    struct mqtt_publish got = client_expect(c, MQTT_PUBLISH).publish;
    struct mqtt_prop prop;
    assert_int_equal(got.topic.n, strlen(topic));
    if (got.topic.n != 0)
        assert_memory_equal(got.topic.p, topic, got.topic.n);
    if (got.qos == 1)
        client_ack(c, MQTT_PUBACK, got.packet_id, 0);
    return mqtt_props_find(got.props, MQTT_PROP_TOPIC_ALIAS, &prop) ? prop.number : 0;
}

static void alias_comes_with_its_topic_and_then_stands_for_it(void **state)
{
    (void)state;
    struct world w;
    struct client a, publisher;
    world_init(&w, 1);
    world_start(&w);
    join(&a, &w, "a", 10, true, 0);
    client_join(&publisher, &w, MQTT_V311, "p");
    client_subscribe(&a, "#", 1);
    client_publish(&publisher, LONG_TOPIC, "1", 0, 0, false);
    uint32_t first = expect_alias(&a, LONG_TOPIC);
    client_publish(&publisher, "other", "1", 1, 1, false);
    uint32_t other = expect_alias(&a, "other");
    assert_true(first >= 1 && first <= 10 && other >= 1 && other <= 10 && first != other);
    for (unsigned i = 0; i < 3; i++) {
        client_publish(&publisher, LONG_TOPIC, "1", 1, 2, false);
        assert_int_equal(expect_alias(&a, ""), first);
        client_publish(&publisher, "other", "1", 0, 0, false);
        assert_int_equal(expect_alias(&a, ""), other);
    }
    client_publish(&publisher, "abc", "1", 0, 0, false);
    assert_int_equal(expect_alias(&a, "abc"), 0); /* is shorter without */
    client_close(&a);
    client_close(&publisher);
    world_close(&w);
}

static void client_that_allows_none_gets_none(void **state)
{
    (void)state;
    struct world w;
    struct client a, b, c;
    world_init(&w, 1);
    world_start(&w);
    join(&a, &w, "a", 0, true, 0);
    client_join(&b, &w, MQTT_V5, "b");
    client_join(&c, &w, MQTT_V311, "c");
    client_subscribe(&a, "#", 0);
    client_subscribe(&b, "#", 0);
    client_subscribe(&c, "#", 0);
    for (unsigned i = 0; i < 3; i++) {
        client_publish(&a, LONG_TOPIC, "1", 0, 0, false);
        assert_int_equal(expect_alias(&a, LONG_TOPIC), 0);
        assert_int_equal(expect_alias(&b, LONG_TOPIC), 0);
        assert_int_equal(expect_alias(&c, LONG_TOPIC), 0);
    }
    client_close(&a);
    client_close(&b);
    client_close(&c);
    world_close(&w);
}

static void aliases_never_exceed_what_the_client_or_the_limit_allows(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 2; round++) {
        struct world w;
        struct client a;
        char known[4][32] = {{0}};
        char topic[32];
        world_init(&w, 1);
        w.limits.topic_aliases_sent = round == 0 ? 16 : 3;
        world_start(&w);
        join(&a, &w, "a", round == 0 ? 3 : 65535, true, 0);
        client_subscribe(&a, "#", 0);
        unsigned saved = 0;
        for (unsigned i = 0; i < 500; i++) {
            /* Some topics come twice in a row and push others out. */
            snprintf(topic, sizeof topic, "topic/%u", i * i / 3 % 9);
            client_publish(&a, topic, "1", 0, 0, false);
            struct mqtt_publish got = client_expect(&a, MQTT_PUBLISH).publish;
            struct mqtt_prop prop = {0};
            (void)mqtt_props_find(got.props, MQTT_PROP_TOPIC_ALIAS, &prop);
            assert_true(prop.number <= 3);
            if (got.topic.n == 0) {
                assert_string_equal(known[prop.number], topic);
                saved++;
            } else {
                assert_int_equal(got.topic.n, strlen(topic));
                assert_memory_equal(got.topic.p, topic, got.topic.n);
                strcpy(known[prop.number], topic);
            }
        }
        assert_true(saved > 20);
        client_close(&a);
        world_close(&w);
    }
}

static void new_connection_begins_with_no_alias(void **state)
{
    (void)state;
    struct world w;
    struct client a, publisher;
    world_init(&w, 1);
    world_start(&w);
    join(&a, &w, "a", 10, true, 0);
    client_join(&publisher, &w, MQTT_V5, "p");
    client_subscribe(&a, "#", 1);
    for (unsigned i = 0; i < 2; i++)
        client_publish(&publisher, LONG_TOPIC, "1", 1, 1, false);
    (void)client_expect_publish(&a, LONG_TOPIC, "1");
    (void)client_expect_publish(&a, "", "1");
    client_close(&a);
    client_publish(&publisher, LONG_TOPIC, "2", 1, 2, false);
    /* What is sent again and what has waited name their topic before they rely on its alias. */
    join(&a, &w, "a", 10, false, 0);
    assert_true(client_expect_publish(&a, LONG_TOPIC, "1").dup);
    assert_true(client_expect_publish(&a, "", "1").dup);
    (void)client_expect_publish(&a, "", "2");
    client_close(&a);
    join(&a, &w, "a", 0, false, 0);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(expect_alias(&a, LONG_TOPIC), 0);
    client_close(&a);
    client_close(&publisher);
    world_close(&w);
}

static void message_that_fits_only_without_alias_goes_without(void **state)
{
    (void)state;
    struct world w;
    struct client a, publisher;
    world_init(&w, 1);
    world_start(&w);
    join(&a, &w, "a", 10, true, 40);
    client_join(&publisher, &w, MQTT_V5, "p");
    client_subscribe(&a, "#", 0);
    client_publish(&publisher, LONG_TOPIC, "12345", 0, 0, false); /* 40 bytes without an alias */
    assert_int_equal(expect_alias(&a, LONG_TOPIC), 0);
    client_publish(&publisher, LONG_TOPIC, "123456", 0, 0, false);
    client_expect_nothing(&a);
    client_publish(&publisher, LONG_TOPIC, "12", 0, 0, false);
    uint32_t number = expect_alias(&a, LONG_TOPIC);
    assert_int_not_equal(number, 0);
    client_publish(&publisher, LONG_TOPIC, "123456", 0, 0, false); /* short enough with its alias */
    assert_int_equal(expect_alias(&a, ""), number);
    client_close(&a);
    client_close(&publisher);
    world_close(&w);
}

static void alias_that_was_not_sent_is_not_relied_upon(void **state)
{
    (void)state;
    struct aliases *table = NULL;
    struct alias alias = aliases_choose(&table, 2, 77, BYTES_LIT("some/topic"));
    assert_int_equal(alias.number, 1);
    alias = aliases_choose(&table, 2, 77, BYTES_LIT("some/topic"));
    assert_false(alias.is_known);
    aliases_sent(table, 1);
    alias = aliases_choose(&table, 2, 77, BYTES_LIT("some/topic"));
    assert_true(alias.is_known);
    /* An equal hash is not an equal topic. */
    alias = aliases_choose(&table, 2, 77, BYTES_LIT("same/hash!"));
    assert_int_equal(alias.number, 2);
    assert_false(alias.is_known);
    aliases_free(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alias_comes_with_its_topic_and_then_stands_for_it),
        cmocka_unit_test(client_that_allows_none_gets_none),
        cmocka_unit_test(aliases_never_exceed_what_the_client_or_the_limit_allows),
        cmocka_unit_test(new_connection_begins_with_no_alias),
        cmocka_unit_test(message_that_fits_only_without_alias_goes_without),
        cmocka_unit_test(alias_that_was_not_sent_is_not_relied_upon),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
