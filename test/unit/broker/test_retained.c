/* The tree of retained messages against the definition of matching, and its order of changes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/retained.h"

#include <stdio.h>
#include <stdlib.h>

static uint64_t random_state;

static uint32_t draw(uint32_t below)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(random_state >> 33) % below;
}

static const char *const topics[] = {
    "a", "a/b", "a/b/c", "a//c", "/a", "a/", "b/b/c", "$x", "$x/b", "$x/b/c", "ab", "a b/+x", "/",
};
#define TOPICS (sizeof topics / sizeof topics[0])

static const char *const filters[] = {
    "#",    "+",  "+/#", "a/#", "a/+", "a/+/c",   "+/b/c",   "+/+",   "+/+/+",   "$x/#",
    "$x/+", "/+", "/#",  "a",   "a/b", "nothing", "a/b/c/#", "+/b/#", "a/b/c/d",
};

static int set(struct retained *r, const char *topic, const char *payload, uint64_t order,
               uint64_t expires_ms, bool keep_tombstone)
{
    struct publication p = {.view = {.topic = bytes_str(topic),
                                     .payload = bytes_str(payload),
                                     .retained_order = order,
                                     .expires_ms = expires_ms}};
    assert_int_equal(publication_own(&p), 0);
    int error = retained_apply(r, &p, keep_tombstone);
    publication_close(&p);
    return error;
}

struct seen {
    bool is_seen[TOPICS];
    unsigned count;
    unsigned most;
};

static bool visit(void *context, struct broker_message *message)
{
    struct seen *seen = context;
    for (size_t i = 0; i < TOPICS; i++) {
        if (bytes_equal(bytes_str(topics[i]), message->view.topic)) {
            assert_false(seen->is_seen[i]);
            seen->is_seen[i] = true;
        }
    }
    return ++seen->count != seen->most;
}

static void matches_are_those_of_the_definition(void **state)
{
    (void)state;
    struct timers timers = {0};
    struct retained r;
    bool is_kept[TOPICS] = {0};
    assert_int_equal(retained_init(&r, (struct hash_key){3, 4}, &timers), 0);
    uint64_t order = 0;
    random_state = 7;
    for (unsigned step = 0; step < 3000; step++) {
        size_t t = draw(TOPICS);
        bool keep = draw(2) == 0;
        /* Some with expiry, whose timers must come and go with them. */
        assert_int_equal(set(&r, topics[t], keep ? "x" : "", ++order,
                             draw(2) == 0 ? 1000 + step : TIMER_NEVER, draw(2) == 0),
                         0);
        is_kept[t] = keep;
        const char *filter = filters[draw(sizeof filters / sizeof filters[0])];
        struct seen seen = {0};
        retained_match(&r, bytes_str(filter), visit, &seen);
        for (size_t i = 0; i < TOPICS; i++) {
            bool expected =
                is_kept[i] && mqtt_filter_matches(bytes_str(filter), bytes_str(topics[i]));
            if (seen.is_seen[i] != expected)
                fail_msg("filter \"%s\", topic \"%s\"", filter, topics[i]);
        }
    }
    for (size_t i = 0; i < TOPICS; i++)
        assert_int_equal(set(&r, topics[i], "", ++order, TIMER_NEVER, false), 0);
    assert_int_equal(r.count, 0);
    assert_int_equal(r.bytes, 0);
    assert_int_equal(timers.owners, 0);
    retained_forget_below(&r, order);
    assert_int_equal(r.tombstone_count, 0);
    assert_int_equal(r.levels.nodes.count, 0);
    retained_close(&r);
    timers_close(&timers);
}

static const char *payload_of(struct retained *r, const char *topic)
{
    static char payload[32];
    const struct broker_message *m = retained_find(r, bytes_str(topic));
    payload[0] = '\0';
    if (m != NULL)
        assert_int_equal(bytes_to_cstr(m->view.payload, payload, sizeof payload), 0);
    return payload;
}

static void the_highest_number_wins(void **state)
{
    (void)state;
    struct timers timers = {0};
    struct retained r;
    assert_int_equal(retained_init(&r, (struct hash_key){3, 4}, &timers), 0);
    assert_int_equal(set(&r, "t", "five", 5, TIMER_NEVER, true), 0);
    assert_int_equal(set(&r, "t", "four", 4, TIMER_NEVER, true), 0);
    assert_string_equal(payload_of(&r, "t"), "five");
    assert_int_equal(set(&r, "t", "", 3, TIMER_NEVER, true), 0);
    assert_string_equal(payload_of(&r, "t"), "five");
    assert_int_equal(set(&r, "t", "", 7, TIMER_NEVER, true), 0);
    assert_int_equal(set(&r, "t", "six", 6, TIMER_NEVER, true), 0);
    assert_string_equal(payload_of(&r, "t"), "");
    assert_int_equal(r.tombstone_count, 1);
    /* A deletion that comes before what it deletes. */
    assert_int_equal(set(&r, "u", "", 9, TIMER_NEVER, true), 0);
    assert_int_equal(set(&r, "u", "eight", 8, TIMER_NEVER, true), 0);
    assert_string_equal(payload_of(&r, "u"), "");
    retained_forget_below(&r, 8);
    assert_int_equal(r.tombstone_count, 1);
    assert_int_equal(set(&r, "u", "ten", 10, TIMER_NEVER, true), 0);
    assert_int_equal(r.tombstone_count, 0);
    assert_string_equal(payload_of(&r, "u"), "ten");
    retained_close(&r);
    timers_close(&timers);
}

static void visit_can_end_the_walk(void **state)
{
    (void)state;
    struct timers timers = {0};
    struct retained r;
    assert_int_equal(retained_init(&r, (struct hash_key){3, 4}, &timers), 0);
    for (size_t i = 0; i < TOPICS; i++)
        assert_int_equal(set(&r, topics[i], "x", i + 1, TIMER_NEVER, false), 0);
    const char *const some[] = {"#", "+/#", "a/#", "+"};
    for (size_t i = 0; i < 4; i++) {
        struct seen seen = {.most = 2};
        retained_match(&r, bytes_str(some[i]), visit, &seen);
        assert_int_equal(seen.count, 2);
    }
    retained_close(&r);
    timers_close(&timers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches_are_those_of_the_definition),
        cmocka_unit_test(the_highest_number_wins),
        cmocka_unit_test(visit_can_end_the_walk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
