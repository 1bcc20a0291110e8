/* The subscription tree against the definition of matching, one filter at a time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/subtree.h"
#include "mqtt/packet.h"

#include <stdio.h>
#include <stdlib.h>

static uint64_t random_state;

static uint32_t draw(uint32_t below)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(random_state >> 33) % below;
}

/* A topic or filter of few different levels, so that much matches. */
static void draw_path(char *out, bool wildcards)
{
    static const char *const names[] = {"a", "b", "", "abc", "$x", "a b"};
    unsigned levels = 1 + draw(5);
    out[0] = '\0';
    for (unsigned i = 0; i < levels; i++) {
        if (i > 0)
            strcat(out, "/");
        if (wildcards && draw(3) == 0) {
            bool is_last = draw(2) == 0;
            strcat(out, is_last ? "#" : "+");
            if (is_last)
                return;
        } else {
            strcat(out, names[draw(i == 0 ? 6 : 4)]);
        }
    }
    if (out[0] == '\0')
        strcat(out, "a");
}

#define SUBSCRIBERS 40
#define HELD        12

struct model {
    struct subscriber subscriber;
    char filter[HELD][64];
    uint32_t id[HELD];
    bool is_held[HELD];
};

struct found {
    struct model *models;
    unsigned hits[SUBSCRIBERS];
    uint64_t ids[SUBSCRIBERS];
    uint64_t shards, durable_shards, groups;
};

static int visit(void *context, const struct filter_node *node)
{
    struct found *found = context;
    found->shards |= node->shards;
    found->durable_shards |= node->durable_shards;
    for (const struct group *g = node->groups; g != NULL; g = g->next)
        found->groups++;
    for (const struct subscription *s = node->first; s != NULL; s = s->next) {
        size_t i = (size_t)(CONTAINER_OF(s->subscriber, struct model, subscriber) - found->models);
        found->hits[i]++;
        found->ids[i] += s->options.id;
    }
    return 0;
}

static void check(const struct subtree *tree, struct model *models, const char *topic)
{
    struct found found = {.models = models};
    assert_int_equal(subtree_match(tree, bytes_str(topic), visit, &found), 0);
    for (unsigned i = 0; i < SUBSCRIBERS; i++) {
        unsigned hits = 0;
        uint64_t ids = 0;
        for (unsigned k = 0; k < HELD; k++) {
            if (models[i].is_held[k] &&
                mqtt_filter_matches(bytes_str(models[i].filter[k]), bytes_str(topic))) {
                hits++;
                ids += models[i].id[k];
            }
        }
        if (found.hits[i] != hits || found.ids[i] != ids)
            fail_msg("topic \"%s\": subscriber %u has %u, not %u", topic, i, found.hits[i], hits);
    }
}

static bool holds(const struct model *model, const char *filter, unsigned but)
{
    for (unsigned k = 0; k < HELD; k++) {
        if (k != but && model->is_held[k] && strcmp(model->filter[k], filter) == 0)
            return true;
    }
    return false;
}

static bool anyone_holds(const struct model *models, const char *filter)
{
    for (unsigned i = 0; i < SUBSCRIBERS; i++) {
        if (holds(&models[i], filter, HELD))
            return true;
    }
    return false;
}

/* Changes one random subscription in the tree and in the model. */
static void change_one(struct subtree *tree, struct model *models)
{
    struct model *m = &models[draw(SUBSCRIBERS)];
    unsigned k = draw(HELD);
    struct subtree_change change;
    if (m->is_held[k]) {
        m->is_held[k] = false;
        subtree_unsubscribe(tree, &m->subscriber, bytes_str(m->filter[k]), &change);
        assert_true(change.existed);
        assert_int_equal(change.is_boundary, !anyone_holds(models, m->filter[k]));
        subtree_unsubscribe(tree, &m->subscriber, bytes_str(m->filter[k]), &change);
        assert_false(change.existed);
        return;
    }
    char filter[64];
    draw_path(filter, true);
    if (holds(m, filter, k))
        return;
    bool is_first = !anyone_holds(models, filter);
    struct subscription_options options = {.id = 1 + draw(1000)};
    strcpy(m->filter[k], filter);
    m->is_held[k] = true;
    m->id[k] = options.id;
    assert_int_equal(subtree_subscribe(tree, &m->subscriber, bytes_str(filter), &options, &change),
                     0);
    assert_false(change.existed);
    assert_int_equal(change.is_boundary, is_first);
}

#define WATCHED 12

/* What was found for a topic when its watch began. */
struct watched {
    char topic[64];
    struct found found;
    struct change_watch watch;
};

static void watch(const struct subtree *tree, struct model *models, struct watched *w)
{
    w->found = (struct found){.models = models};
    subtree_watch(tree, bytes_str(w->topic), &w->watch);
    assert_int_equal(subtree_match(tree, bytes_str(w->topic), visit, &w->found), 0);
}

/* Watches again where a change was seen; nowhere else may anything be found differently. Gives the
 * number of topics that were left alone. */
static unsigned check_watched(const struct subtree *tree, struct model *models,
                              struct watched *watched)
{
    unsigned unchanged = 0;
    for (unsigned i = 0; i < WATCHED; i++) {
        struct watched *w = &watched[i];
        if (change_watch_sees_one(&w->watch, &tree->changes)) {
            watch(tree, models, w);
            continue;
        }
        struct found now = {.models = models};
        assert_int_equal(subtree_match(tree, bytes_str(w->topic), visit, &now), 0);
        assert_memory_equal(&now, &w->found, sizeof now);
        unchanged++;
    }
    return unchanged;
}

static void change_shards(struct subtree *tree)
{
    char filter[64];
    draw_path(filter, true);
    unsigned shard = draw(3);
    struct bytes group = BYTES_LIT("$share/g/b/+");
    switch (draw(4)) {
    case 0:
        subtree_shard_leaves(tree, bytes_str(filter), shard);
        break;
    case 1:
        assert_int_equal(subtree_shard_joins(tree, bytes_str(filter), shard, draw(2)), 0);
        break;
    default:
        assert_int_equal(
            subtree_shard_shares(tree, group, shard, (struct group_count){.members = draw(2)}), 0);
        break;
    }
}

static void watch_of_a_topic_misses_no_change(void **state)
{
    (void)state;
    unsigned unchanged = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        random_state = seed;
        struct subtree tree;
        static struct model models[SUBSCRIBERS];
        struct watched watched[WATCHED];
        memset(models, 0, sizeof models);
        memset(watched, 0, sizeof watched);
        assert_int_equal(subtree_init(&tree, (struct hash_key){seed, 2}, 64), 0);
        for (unsigned i = 0; i < WATCHED; i++) {
            draw_path(watched[i].topic, false);
            /* Some are deeper than what is told apart. */
            if (i % 3 == 0)
                strcat(watched[i].topic, "/a/b/a/b/a/b/a/b");
            watch(&tree, models, &watched[i]);
        }
        for (unsigned step = 0; step < 1000; step++) {
            if (draw(4) == 0)
                change_shards(&tree);
            else
                change_one(&tree, models);
            unchanged += check_watched(&tree, models, watched);
        }
        struct buf boundary = {0};
        for (unsigned i = 0; i < SUBSCRIBERS; i++) {
            while (subtree_drop_one(&tree, &models[i].subscriber, &boundary))
                unchanged += check_watched(&tree, models, watched);
        }
        buf_close(&boundary);
        subtree_close(&tree);
    }
    /* Most changes have another beginning than most topics. */
    assert_true(unchanged > 100000);
}

static void watch_is_not_moved_by_filters_with_another_beginning(void **state)
{
    (void)state;
    static const char topic[] = "a/b/c";
    static const char deep[] = "1/2/3/4/5/6/7/8/9";
    static const struct {
        const char *topic, *filter;
        bool is_seen;
    } cases[] = {
        {topic, "#", true},
        {topic, "+/x", true},
        {topic, "a/#", true},
        {topic, "a/+/c", true},
        {topic, "a/b/c", true},
        {topic, "a/b/c/#", true},
        {topic, "b/#", false},
        {topic, "a/c/+", false},
        {topic, "a/b/d", false},
        {topic, "a/b/c/d/#", false},
        {topic, "$share/g/a/#", true},
        {topic, "$share/g/b/#", false},
        {deep, "1/2/3/4/5/6/7/#", true},
        {deep, "1/2/3/4/5/6/7/8/+", true},
        {deep, "1/2/3/4/5/6/7/8/9", true},
        {deep, "1/2/3/4/5/6/8/8/9", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct subtree tree;
        struct change_watch watch;
        struct subscriber one = {0};
        struct subscription_options options = {0};
        struct subtree_change change;
        struct bytes filter = bytes_str(cases[i].filter);
        assert_int_equal(subtree_init(&tree, (struct hash_key){1, 2}, 64), 0);
        subtree_watch(&tree, bytes_str(cases[i].topic), &watch);
        assert_int_equal(subtree_subscribe(&tree, &one, filter, &options, &change), 0);
        assert_int_equal(change_watch_sees_one(&watch, &tree.changes), cases[i].is_seen);
        subtree_watch(&tree, bytes_str(cases[i].topic), &watch);
        subtree_unsubscribe(&tree, &one, filter, &change);
        assert_int_equal(change_watch_sees_one(&watch, &tree.changes), cases[i].is_seen);
        subtree_watch(&tree, bytes_str(cases[i].topic), &watch);
        subtree_note_change_of_all(&tree);
        assert_true(change_watch_sees_one(&watch, &tree.changes));
        subtree_close(&tree);
    }
}

static void tree_agrees_with_the_definition_of_matching(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        random_state = seed;
        struct subtree tree;
        static struct model models[SUBSCRIBERS];
        memset(models, 0, sizeof models);
        struct hash_key key;
        hash_key_from_seed(seed, &key);
        assert_int_equal(subtree_init(&tree, key, 64), 0);
        for (unsigned step = 0; step < 1500; step++) {
            char topic[64];
            change_one(&tree, models);
            draw_path(topic, false);
            check(&tree, models, topic);
        }
        struct buf boundary = {0};
        for (unsigned i = 0; i < SUBSCRIBERS; i++) {
            while (subtree_drop_one(&tree, &models[i].subscriber, &boundary))
                continue;
            assert_int_equal(models[i].subscriber.count, 0);
        }
        /* Nothing is left behind. */
        assert_int_equal(tree.count, 0);
        assert_int_equal(tree.levels.nodes.count, 0);
        buf_close(&boundary);
        subtree_close(&tree);
    }
}

static void boundary_names_the_filter_that_nobody_holds_any_more(void **state)
{
    (void)state;
    struct subtree tree;
    struct subscriber one = {0}, two = {0};
    struct subtree_change change;
    struct subscription_options options = {0};
    struct buf boundary = {0};
    assert_int_equal(subtree_init(&tree, (struct hash_key){1, 2}, 64), 0);
    struct bytes filter = BYTES_LIT("/a//+/#");
    assert_int_equal(subtree_subscribe(&tree, &one, filter, &options, &change), 0);
    assert_int_equal(subtree_subscribe(&tree, &two, filter, &options, &change), 0);
    assert_true(subtree_drop_one(&tree, &one, &boundary));
    assert_int_equal(boundary.n, 0);
    assert_true(subtree_drop_one(&tree, &two, &boundary));
    assert_true(bytes_equal(buf_bytes(&boundary), filter));
    assert_false(subtree_drop_one(&tree, &two, &boundary));
    buf_close(&boundary);
    subtree_close(&tree);
}

static void shards_are_found_like_subscribers(void **state)
{
    (void)state;
    struct subtree tree;
    struct found found = {0};
    assert_int_equal(subtree_init(&tree, (struct hash_key){1, 2}, 64), 0);
    assert_int_equal(subtree_shard_joins(&tree, BYTES_LIT("a/#"), 3, false), 0);
    assert_int_equal(subtree_shard_joins(&tree, BYTES_LIT("a/+"), 63, false), 0);
    assert_int_equal(subtree_shard_joins(&tree, BYTES_LIT("b"), 5, false), 0);
    assert_int_equal(subtree_match(&tree, BYTES_LIT("a/b"), visit, &found), 0);
    assert_true(found.shards == (UINT64_C(1) << 3 | UINT64_C(1) << 63));
    subtree_shard_leaves(&tree, BYTES_LIT("a/#"), 3);
    subtree_shard_leaves(&tree, BYTES_LIT("a/#"), 3);
    subtree_shard_leaves(&tree, BYTES_LIT("never/was"), 3);
    subtree_shard_leaves(&tree, BYTES_LIT("a/+"), 63);
    subtree_shard_leaves(&tree, BYTES_LIT("b"), 5);
    assert_int_equal(tree.levels.nodes.count, 0);
    subtree_close(&tree);
}

static int stop(void *context, const struct filter_node *node)
{
    (void)node;
    ++*(int *)context;
    return SEALMQ_E_NOMEM;
}

static void visit_that_fails_ends_the_match(void **state)
{
    (void)state;
    struct subtree tree;
    int visits = 0;
    assert_int_equal(subtree_init(&tree, (struct hash_key){1, 2}, 64), 0);
    assert_int_equal(subtree_shard_joins(&tree, BYTES_LIT("#"), 3, false), 0);
    assert_int_equal(subtree_shard_joins(&tree, BYTES_LIT("+"), 3, false), 0);
    assert_int_equal(subtree_shard_joins(&tree, BYTES_LIT("a"), 3, false), 0);
    assert_int_equal(subtree_match(&tree, BYTES_LIT("a"), stop, &visits), SEALMQ_E_NOMEM);
    assert_int_equal(visits, 1);
    subtree_close(&tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tree_agrees_with_the_definition_of_matching),
        cmocka_unit_test(watch_of_a_topic_misses_no_change),
        cmocka_unit_test(watch_is_not_moved_by_filters_with_another_beginning),
        cmocka_unit_test(boundary_names_the_filter_that_nobody_holds_any_more),
        cmocka_unit_test(shards_are_found_like_subscribers),
        cmocka_unit_test(visit_that_fails_ends_the_match),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
