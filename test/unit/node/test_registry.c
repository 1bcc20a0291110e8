#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/registry.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct registry_entry entry_of(const char *id, enum registry_kind kind, uint8_t key)
{
    struct registry_entry entry = {.kind = kind, .validator = -1};
    snprintf(entry.id, sizeof entry.id, "%s", id);
    memset(entry.key.b, key, sizeof entry.key.b);
    return entry;
}

static struct registry_pending pending_of(const char *id, uint8_t key, int64_t since_us)
{
    struct registry_pending pending = {.since_us = since_us};
    snprintf(pending.id, sizeof pending.id, "%s", id);
    memset(pending.key.b, key, sizeof pending.key.b);
    return pending;
}

static int setup(void **state)
{
    struct registry *registry;
    int error = registry_new(&registry);
    *state = registry;
    return error;
}

static int teardown(void **state)
{
    registry_free(*state);
    return 0;
}

/* Announces at a time, as a client of another node or of this one; whether it was news. */
static bool announce_at(struct registry *registry, const char *id, uint8_t key, int64_t now_us,
                        bool is_passed_on, int expected)
{
    bool is_new = true;
    struct registry_pending pending = pending_of(id, key, now_us);
    assert_int_equal(registry_announce(registry, &pending, is_passed_on, &is_new), expected);
    return is_new;
}

static bool announce(struct registry *registry, const char *id, uint8_t key, int expected)
{
    return announce_at(registry, id, key, 1, true, expected);
}

static size_t pending_count(struct registry *registry)
{
    struct registry_pending *list;
    size_t n;
    assert_int_equal(registry_pending_list(registry, &list, &n), 0);
    free(list);
    return n;
}

static void what_was_set_is_found_and_nothing_else(void **state)
{
    struct registry *registry = *state;
    struct registry_entry found, entry = entry_of("plant-a/gw1", REGISTRY_GATEWAY, 7);
    assert_int_equal(registry_find(registry, BYTES_LIT("plant-a/gw1"), &found), SEALMQ_E_NOTFOUND);
    assert_int_equal(registry_set(registry, &entry), 0);
    assert_int_equal(registry_find(registry, BYTES_LIT("plant-a/gw1"), &found), 0);
    assert_string_equal(found.id, "plant-a/gw1");
    assert_int_equal(found.key.b[31], 7);
    static const char *const others[] = {"", "plant-a/gw", "plant-a/gw11", "plant-a/gw1\0", "x/y"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        size_t n = i == 3 ? 12 : strlen(others[i]);
        assert_int_equal(registry_find(registry, bytes_of(others[i], n), &found),
                         SEALMQ_E_NOTFOUND);
    }
}

static void setting_again_replaces(void **state)
{
    struct registry *registry = *state;
    struct registry_entry found, entry = entry_of("plant-a/gw1", REGISTRY_GATEWAY, 7);
    assert_int_equal(registry_set(registry, &entry), 0);
    entry.is_revoked = true;
    entry.key.b[0] = 8;
    assert_int_equal(registry_set(registry, &entry), 0);
    assert_int_equal(registry_find(registry, BYTES_LIT("plant-a/gw1"), &found), 0);
    assert_true(found.is_revoked);
    assert_int_equal(found.key.b[0], 8);
}

static void add_id(void *context, const struct registry_entry *entry)
{
    struct buf *ids = context;
    buf_printf(ids, "%s ", entry->id);
}

static void each_walks_in_order_of_adding(void **state)
{
    struct registry *registry = *state;
    static const char *const ids[] = {"z/1", "a/1", "m/1", "a/1"};
    for (size_t i = 0; i < 4; i++) {
        struct registry_entry entry = entry_of(ids[i], REGISTRY_VALIDATOR, 1);
        assert_int_equal(registry_set(registry, &entry), 0);
    }
    struct buf seen = {0};
    registry_each(registry, add_id, &seen);
    assert_string_equal(buf_cstr(&seen), "z/1 a/1 m/1 ");
    buf_close(&seen);
}

static void an_announcement_is_news_once_for_each_key(void **state)
{
    struct registry *registry = *state;
    assert_true(announce(registry, "plant-a/gw1", 1, 0));
    assert_false(announce(registry, "plant-a/gw1", 1, 0));
    assert_true(announce(registry, "plant-a/gw2", 3, 0));
    struct registry_pending *list;
    size_t n;
    assert_int_equal(registry_pending_list(registry, &list, &n), 0);
    assert_int_equal(n, 2);
    assert_string_equal(list[0].id, "plant-a/gw1");
    assert_int_equal(list[0].key.b[0], 1);
    assert_false(list[0].is_contested);
    assert_string_equal(list[1].id, "plant-a/gw2");
    free(list);
}

static void another_key_for_an_id_contests_it_and_replaces_nothing(void **state)
{
    struct registry *registry = *state;
    for (uint8_t key = 1; key <= REGISTRY_KEYS_MAX; key++)
        assert_true(announce(registry, "plant-a/gw1", key, 0));
    assert_false(announce(registry, "plant-a/gw1", 99, SEALMQ_E_FULL));
    assert_false(announce(registry, "plant-a/gw1", 1, 0));
    struct registry_pending *list;
    size_t n;
    assert_int_equal(registry_pending_list(registry, &list, &n), 0);
    assert_int_equal(n, REGISTRY_KEYS_MAX);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(list[i].key.b[0], i + 1);
        assert_true(list[i].is_contested);
    }
    free(list);
    /* An hour later the oldest contester makes room, and never the first. */
    assert_true(announce_at(registry, "plant-a/gw1", 99, 1 + REGISTRY_SAFE_US, true, 0));
    assert_int_equal(registry_pending_list(registry, &list, &n), 0);
    assert_int_equal(n, REGISTRY_KEYS_MAX);
    assert_int_equal(list[0].key.b[0], 1);
    assert_int_equal(list[1].key.b[0], 3);
    assert_int_equal(list[n - 1].key.b[0], 99);
    free(list);
}

static void who_is_registered_waits_no_longer_and_cannot_announce(void **state)
{
    struct registry *registry = *state;
    struct registry_entry entry = entry_of("plant-a/gw1", REGISTRY_GATEWAY, 1);
    announce(registry, "plant-a/gw1", 1, 0);
    announce(registry, "plant-a/gw2", 1, 0);
    assert_int_equal(registry_set(registry, &entry), 0);
    assert_int_equal(pending_count(registry), 1);
    assert_false(announce(registry, "plant-a/gw1", 9, SEALMQ_E_EXISTS));
    assert_int_equal(pending_count(registry), 1);
}

static void who_was_revoked_may_announce_a_new_key(void **state)
{
    struct registry *registry = *state;
    struct registry_entry entry = entry_of("plant-a/gw1", REGISTRY_GATEWAY, 1);
    entry.is_revoked = true;
    assert_int_equal(registry_set(registry, &entry), 0);
    assert_true(announce(registry, "plant-a/gw1", 9, 0));
    assert_int_equal(pending_count(registry), 1);
}

static void nobody_is_pushed_out_within_the_hour(void **state)
{
    struct registry *registry = *state;
    char id[32];
    for (int i = 0; i < REGISTRY_PENDING_MAX; i++) {
        snprintf(id, sizeof id, "plant-a/gw%d", i);
        assert_true(announce_at(registry, id, 1, 1 + i, true, 0));
    }
    assert_false(announce_at(registry, "plant-b/late", 1, REGISTRY_SAFE_US, true, SEALMQ_E_FULL));
    assert_true(announce_at(registry, "plant-b/late", 1, 1 + REGISTRY_SAFE_US, true, 0));
    struct registry_pending *list;
    size_t n;
    assert_int_equal(registry_pending_list(registry, &list, &n), 0);
    assert_int_equal(n, REGISTRY_PENDING_MAX);
    assert_string_equal(list[0].id, "plant-a/gw1");
    assert_string_equal(list[n - 1].id, "plant-b/late");
    free(list);
}

static void clients_of_this_node_make_so_much_news_and_no_more(void **state)
{
    struct registry *registry = *state;
    char id[32];
    int64_t now_us = REGISTRY_SAFE_US;
    for (int i = 0; i < REGISTRY_NEWS_BURST + 10; i++) {
        snprintf(id, sizeof id, "plant-a/gw%d", i);
        bool is_in_burst = i < REGISTRY_NEWS_BURST;
        assert_int_equal(
            announce_at(registry, id, 1, now_us, false, is_in_burst ? 0 : SEALMQ_E_BUSY),
            is_in_burst);
    }
    /* What is no news costs nothing, and what other nodes pass on was counted there. */
    assert_false(announce_at(registry, "plant-a/gw0", 1, now_us, false, 0));
    assert_true(announce_at(registry, "plant-b/gw1", 1, now_us, true, 0));
    now_us += REGISTRY_NEWS_INTERVAL_US;
    assert_true(announce_at(registry, "plant-b/gw2", 1, now_us, false, 0));
    announce_at(registry, "plant-b/gw3", 1, now_us, false, SEALMQ_E_BUSY);
    /* A clock that is set back earns nothing. */
    announce_at(registry, "plant-b/gw3", 1, 5, false, SEALMQ_E_BUSY);
    assert_true(announce_at(registry, "plant-b/gw3", 1, 5 + REGISTRY_NEWS_INTERVAL_US, false, 0));
}

static void *write_entries(void *arg)
{
    struct registry *registry = arg;
    char id[32];
    for (int i = 0; i < 500; i++) {
        snprintf(id, sizeof id, "plant-a/gw%d", i);
        struct registry_entry entry = entry_of(id, REGISTRY_GATEWAY, (uint8_t)i);
        assert_int_equal(registry_set(registry, &entry), 0);
    }
    return NULL;
}

static void readers_on_other_threads_see_whole_entries(void **state)
{
    struct registry *registry = *state;
    pthread_t writer;
    assert_int_equal(pthread_create(&writer, NULL, write_entries, registry), 0);
    char id[32];
    size_t seen = 0;
    for (int i = 0; i < 5000; i++) {
        struct registry_entry found;
        snprintf(id, sizeof id, "plant-a/gw%d", i % 500);
        if (registry_find(registry, bytes_str(id), &found) != 0)
            continue;
        seen++;
        assert_string_equal(found.id, id);
        assert_int_equal(found.key.b[0], found.key.b[31]);
    }
    pthread_join(writer, NULL);
    (void)seen;
    struct registry_entry found;
    assert_int_equal(registry_find(registry, BYTES_LIT("plant-a/gw499"), &found), 0);
}

int main(void)
{
#define WITH_REGISTRY(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH_REGISTRY(what_was_set_is_found_and_nothing_else),
        WITH_REGISTRY(setting_again_replaces),
        WITH_REGISTRY(each_walks_in_order_of_adding),
        WITH_REGISTRY(an_announcement_is_news_once_for_each_key),
        WITH_REGISTRY(who_is_registered_waits_no_longer_and_cannot_announce),
        WITH_REGISTRY(who_was_revoked_may_announce_a_new_key),
        WITH_REGISTRY(another_key_for_an_id_contests_it_and_replaces_nothing),
        WITH_REGISTRY(nobody_is_pushed_out_within_the_hour),
        WITH_REGISTRY(clients_of_this_node_make_so_much_news_and_no_more),
        WITH_REGISTRY(readers_on_other_threads_see_whole_entries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
