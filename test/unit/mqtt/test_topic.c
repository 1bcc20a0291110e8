#include "unit/mqtt/wire.h"

#include <stdlib.h>

static bool topic_ok(const char *s)
{
    return mqtt_topic_is_valid(bytes_str(s));
}

static bool filter_ok(const char *s)
{
    return mqtt_filter_is_valid(bytes_str(s));
}

static bool matches(const char *filter, const char *topic)
{
    return mqtt_filter_matches(bytes_str(filter), bytes_str(topic));
}

static void a_topic_name_has_no_wildcards_and_is_not_empty(void **state)
{
    (void)state;
    assert_true(topic_ok("a"));
    assert_true(topic_ok("/"));
    assert_true(topic_ok("//a//"));
    assert_true(topic_ok("$SYS/a b/\xc2\xb0"));
    assert_true(topic_ok("a topic that is longer than eight bytes"));
    assert_false(topic_ok(""));
    assert_false(topic_ok("+"));
    assert_false(topic_ok("#"));
    assert_false(topic_ok("a/b+"));
    assert_false(topic_ok("a/#/b"));
    assert_false(mqtt_topic_is_valid((struct bytes){0}));
}

static void a_wildcard_in_a_topic_name_is_found_at_every_place(void **state)
{
    char topic[41];
    (void)state;
    for (size_t n = 1; n < sizeof(topic); n++) {
        for (size_t at = 0; at < n; at++) {
            memset(topic, 'a', n);
            assert_true(mqtt_topic_is_valid(bytes_of(topic, n)));
            topic[at] = '+';
            assert_false(mqtt_topic_is_valid(bytes_of(topic, n)));
            topic[at] = '#';
            assert_false(mqtt_topic_is_valid(bytes_of(topic, n)));
            /* Neighbours of the two, and the two with the top bit set, are none. */
            const unsigned char harmless[] = {'*', ',', '"', '$', 0xab, 0xa3};
            for (size_t i = 0; i < sizeof(harmless); i++) {
                topic[at] = (char)harmless[i];
                assert_true(mqtt_topic_is_valid(bytes_of(topic, n)));
            }
        }
    }
}

static void topics_and_filters_have_at_most_65535_bytes(void **state)
{
    char *long_one = malloc(65536);
    (void)state;
    assert_non_null(long_one);
    memset(long_one, 'a', 65536);
    assert_true(mqtt_topic_is_valid(bytes_of(long_one, 65535)));
    assert_false(mqtt_topic_is_valid(bytes_of(long_one, 65536)));
    assert_true(mqtt_filter_is_valid(bytes_of(long_one, 65535)));
    assert_false(mqtt_filter_is_valid(bytes_of(long_one, 65536)));
    free(long_one);
}

static void wildcards_fill_whole_levels_and_the_hash_is_last(void **state)
{
    (void)state;
    assert_true(filter_ok("a"));
    assert_true(filter_ok("/"));
    assert_true(filter_ok("+"));
    assert_true(filter_ok("#"));
    assert_true(filter_ok("/#"));
    assert_true(filter_ok("+/+/#"));
    assert_true(filter_ok("+/a/+"));
    assert_true(filter_ok("/+"));
    assert_true(filter_ok("sport/tennis/#"));
    assert_false(filter_ok(""));
    assert_false(filter_ok("a#"));
    assert_false(filter_ok("#/a"));
    assert_false(filter_ok("a/#/b"));
    assert_false(filter_ok("a/#/"));
    assert_false(filter_ok("##"));
    assert_false(filter_ok("+a"));
    assert_false(filter_ok("a+"));
    assert_false(filter_ok("a/+b/c"));
    assert_false(filter_ok("++"));
    assert_false(filter_ok("+#"));
    assert_false(mqtt_filter_is_valid((struct bytes){0}));
}

static void a_shared_subscription_needs_a_name_and_a_filter(void **state)
{
    (void)state;
    assert_true(filter_ok("$share/group/a/+/#"));
    assert_true(filter_ok("$share/g/#"));
    assert_true(filter_ok("$share/g//"));
    assert_false(filter_ok("$share/"));
    assert_false(filter_ok("$share/g"));
    assert_false(filter_ok("$share/g/"));
    assert_false(filter_ok("$share//a"));
    assert_false(filter_ok("$share/g+/a"));
    assert_false(filter_ok("$share/+/a"));
    assert_false(filter_ok("$share/#"));
    assert_false(filter_ok("$share/g/a#"));
    /* These do not begin with $share/ and so are none. */
    assert_true(filter_ok("$share"));
    assert_true(filter_ok("$shared/a"));
    assert_true(filter_ok("$SHARE/a"));
    assert_true(mqtt_filter_is_shared(BYTES_LIT("$share/g/a")));
    assert_false(mqtt_filter_is_shared(BYTES_LIT("$share")));
    assert_false(mqtt_filter_is_shared(BYTES_LIT("a/$share/g")));
}

/* The examples of section 4.7.1 and their neighbours. */
static void filters_match_as_the_specification_shows(void **state)
{
    (void)state;
    assert_true(matches("sport/tennis/player1/#", "sport/tennis/player1"));
    assert_true(matches("sport/tennis/player1/#", "sport/tennis/player1/ranking"));
    assert_true(matches("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon"));
    assert_false(matches("sport/tennis/player1/#", "sport/tennis/player2"));
    assert_false(matches("sport/tennis/player1/#", "sport/tennis/player11"));
    assert_true(matches("sport/#", "sport"));
    assert_true(matches("#", "a/b/c"));
    assert_true(matches("#", "/"));
    assert_true(matches("sport/tennis/+", "sport/tennis/player1"));
    assert_false(matches("sport/tennis/+", "sport/tennis/player1/ranking"));
    assert_false(matches("sport/+", "sport"));
    assert_true(matches("sport/+", "sport/"));
    assert_true(matches("+/+", "/finance"));
    assert_true(matches("/+", "/finance"));
    assert_false(matches("+", "/finance"));
    assert_true(matches("+", "finance"));
    assert_true(matches("+/tennis/#", "a/tennis"));
    assert_true(matches("a//c", "a//c"));
    assert_true(matches("a/+/c", "a//c"));
    assert_false(matches("a/c", "a//c"));
    assert_false(matches("a/b", "a/b/"));
    assert_false(matches("a/b/", "a/b"));
    assert_false(matches("a", "A"));
    assert_false(matches("ab", "a"));
    assert_false(matches("a", "ab"));
    assert_false(matches("", "a"));
    assert_false(matches("a", ""));
}

static void wildcards_at_the_start_do_not_match_dollar_topics(void **state)
{
    (void)state;
    assert_false(matches("#", "$SYS/a"));
    assert_false(matches("+/a", "$SYS/a"));
    assert_false(matches("+", "$SYS"));
    assert_true(matches("$SYS/#", "$SYS/a"));
    assert_true(matches("$SYS/#", "$SYS"));
    assert_true(matches("$SYS/+", "$SYS/a"));
    assert_true(matches("a/+", "a/$SYS"));
}

static void a_shared_filter_matches_by_what_follows_its_name(void **state)
{
    (void)state;
    assert_true(matches("$share/g/a/+", "a/b"));
    assert_true(matches("$share/g/#", "a/b"));
    assert_false(matches("$share/g/#", "$SYS/a"));
    assert_false(matches("$share/g/a", "$share/g/a"));
    assert_false(matches("$share/g", "g"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_topic_name_has_no_wildcards_and_is_not_empty),
        cmocka_unit_test(a_wildcard_in_a_topic_name_is_found_at_every_place),
        cmocka_unit_test(topics_and_filters_have_at_most_65535_bytes),
        cmocka_unit_test(wildcards_fill_whole_levels_and_the_hash_is_last),
        cmocka_unit_test(a_shared_subscription_needs_a_name_and_a_filter),
        cmocka_unit_test(filters_match_as_the_specification_shows),
        cmocka_unit_test(wildcards_at_the_start_do_not_match_dollar_topics),
        cmocka_unit_test(a_shared_filter_matches_by_what_follows_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
