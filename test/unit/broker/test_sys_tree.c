/* The $SYS tree, without a server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/sys_tree.h"

#include <stdio.h>
#include <string.h>

/* What was shown last, by topic. */
struct seen {
    unsigned count;
    struct {
        char topic[80], value[80];
    } list[80];
};

static void remember(void *context, struct bytes topic, struct bytes payload)
{
    struct seen *seen = context;
    assert_in_range(seen->count, 0, 79);
    snprintf(seen->list[seen->count].topic, 80, "%.*s", (int)topic.n, (const char *)topic.p);
    snprintf(seen->list[seen->count].value, 80, "%.*s", (int)payload.n, (const char *)payload.p);
    seen->count++;
}

static const char *value_of(const struct seen *seen, const char *topic)
{
    char whole[80];
    snprintf(whole, sizeof whole, "$SYS/broker/%s", topic);
    for (unsigned i = 0; i < seen->count; i++) {
        if (strcmp(seen->list[i].topic, whole) == 0)
            return seen->list[i].value;
    }
    return "(not shown)";
}

static void first_update_shows_everything_once(void **state)
{
    (void)state;
    struct sys_tree tree;
    struct seen seen = {0};
    struct sys_input input = {.now_ms = 5000, .memory_bytes = 7, .memory_max_bytes = 8};
    sys_tree_init(&tree, "1.2");
    sys_tree_update(&tree, &input, remember, &seen);
    assert_string_equal(value_of(&seen, "version"), "sealmq version 1.2");
    assert_string_equal(value_of(&seen, "uptime"), "0 seconds");
    assert_string_equal(value_of(&seen, "clients/total"), "0");
    assert_string_equal(value_of(&seen, "load/sockets/15min"), "0.00");
    assert_string_equal(value_of(&seen, "heap/maximum"), "8");
    for (unsigned i = 0; i < seen.count; i++) {
        for (unsigned k = 0; k < i; k++)
            assert_string_not_equal(seen.list[i].topic, seen.list[k].topic);
    }
}

static void later_updates_show_only_what_has_changed(void **state)
{
    (void)state;
    struct sys_tree tree;
    struct seen seen = {0};
    struct sys_input input = {.now_ms = 5000};
    sys_tree_init(&tree, "1.2");
    sys_tree_update(&tree, &input, remember, &seen);
    seen.count = 0;
    input.now_ms += 500;
    sys_tree_update(&tree, &input, remember, &seen);
    assert_int_equal(seen.count, 0);
    input.now_ms += 500;
    input.stats.retained = 3;
    sys_tree_update(&tree, &input, remember, &seen);
    assert_string_equal(value_of(&seen, "uptime"), "1 seconds");
    assert_string_equal(value_of(&seen, "retained messages/count"), "3");
    assert_int_equal(seen.count, 4); /* and messages/stored, store/messages/count */
}

/* 600 in the first minute: the average over one minute has come (1 - 1/e) of the way. */
static void loads_are_moving_averages_per_minute(void **state)
{
    (void)state;
    struct sys_tree tree;
    struct seen seen = {0};
    struct sys_input input = {.now_ms = 0};
    sys_tree_init(&tree, "1.2");
    sys_tree_update(&tree, &input, remember, &seen);
    seen.count = 0;
    input.now_ms = 60000;
    input.stats.bytes_in_total = 600;
    sys_tree_update(&tree, &input, remember, &seen);
    assert_string_equal(value_of(&seen, "load/bytes/received/1min"), "379.27");
    assert_string_equal(value_of(&seen, "load/bytes/received/5min"), "108.76");
    assert_string_equal(value_of(&seen, "load/bytes/received/15min"), "38.70");
    seen.count = 0;
    input.now_ms = 120000; /* a minute of nothing */
    sys_tree_update(&tree, &input, remember, &seen);
    assert_string_equal(value_of(&seen, "load/bytes/received/1min"), "139.53");
}

static void the_most_clients_at_once_are_remembered(void **state)
{
    (void)state;
    struct sys_tree tree;
    struct seen seen = {0};
    struct sys_input input = {.stats.sessions_online = 9};
    sys_tree_init(&tree, "1.2");
    sys_tree_update(&tree, &input, remember, &seen);
    input.stats.sessions_online = 2;
    seen.count = 0;
    sys_tree_update(&tree, &input, remember, &seen);
    assert_string_equal(value_of(&seen, "clients/connected"), "2");
    assert_string_equal(value_of(&seen, "clients/maximum"), "(not shown)");
    assert_int_equal(tree.clients_maximum, 9);
}

static void only_sys_topics_are_of_the_tree(void **state)
{
    (void)state;
    assert_true(sys_tree_has(BYTES_LIT("$SYS")));
    assert_true(sys_tree_has(BYTES_LIT("$SYS/#")));
    assert_true(sys_tree_has(BYTES_LIT("$SYS/broker/uptime")));
    assert_false(sys_tree_has(BYTES_LIT("$SYSTEM/x")));
    assert_false(sys_tree_has(BYTES_LIT("$SY")));
    assert_false(sys_tree_has(BYTES_LIT("x/$SYS")));
    assert_false(sys_tree_has(BYTES_LIT("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_update_shows_everything_once),
        cmocka_unit_test(later_updates_show_only_what_has_changed),
        cmocka_unit_test(loads_are_moving_averages_per_minute),
        cmocka_unit_test(the_most_clients_at_once_are_remembered),
        cmocka_unit_test(only_sys_topics_are_of_the_tree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
