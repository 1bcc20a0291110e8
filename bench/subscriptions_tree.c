#include "subscriptions.h"

#include "broker/subtree.h"
#include "filters.h"
#include "give_up.h"
#include "mqtt/packet.h"
#include "shard.h"

#include <stdio.h>
#include <stdlib.h>

enum { TOPICS = 100000, HOT_TOPICS = 1000 };

struct world {
    struct subtree tree;
    struct texts filters;
    struct texts topics;
    struct subscriber *subscribers;
};

static void subscribe(struct world *w, size_t i)
{
    static const struct subscription_options options;
    struct subtree_change change;
    if (subtree_subscribe(&w->tree, &w->subscribers[i / FILTERS_PER_SUBSCRIBER],
                          texts_at(&w->filters, i), &options, &change) != 0)
        give_up("out of memory");
}

/* The longest that a subscriber has to wait; the tree is empty again afterwards. */
static uint64_t slowest_subscribe_ns(struct world *w)
{
    uint64_t slowest = 0;
    for (size_t i = 0; i < w->filters.count; i++) {
        uint64_t begin = cpu_ns();
        subscribe(w, i);
        uint64_t took = cpu_ns() - begin;
        slowest = took > slowest ? took : slowest;
    }
    struct buf boundary = {0};
    for (size_t i = 0; i <= (w->filters.count - 1) / FILTERS_PER_SUBSCRIBER; i++) {
        while (subtree_drop_one(&w->tree, &w->subscribers[i], &boundary))
            continue;
    }
    buf_close(&boundary);
    return slowest;
}

static double subscribe_all_ns(struct world *w)
{
    uint64_t begin = cpu_ns();
    for (size_t i = 0; i < w->filters.count; i++)
        subscribe(w, i);
    return (double)(cpu_ns() - begin) / (double)w->filters.count;
}

static double unsubscribe_all_ns(struct world *w)
{
    uint64_t begin = cpu_ns();
    struct subtree_change change;
    for (size_t i = 0; i < w->filters.count; i++)
        subtree_unsubscribe(&w->tree, &w->subscribers[i / FILTERS_PER_SUBSCRIBER],
                            texts_at(&w->filters, i), &change);
    return (double)(cpu_ns() - begin) / (double)w->filters.count;
}

static int count_visit(void *context, const struct filter_node *node)
{
    for (const struct subscription *s = node->first; s != NULL; s = s->next)
        ++*(uint64_t *)context;
    return 0;
}

/* `count` matches of the first `topics` topics in turn. */
static double match_ns(const struct world *w, size_t topics, size_t count, uint64_t *found)
{
    *found = 0;
    uint64_t begin = cpu_ns();
    for (size_t i = 0; i < count; i++) {
        if (subtree_match(&w->tree, texts_at(&w->topics, i % topics), count_visit, found) != 0)
            give_up("a match has failed");
    }
    return (double)(cpu_ns() - begin) / (double)count;
}

static double naive_ns(const struct world *w, size_t count, uint64_t *found)
{
    *found = 0;
    uint64_t begin = cpu_ns();
    for (size_t i = 0; i < count; i++) {
        struct bytes topic = texts_at(&w->topics, i);
        for (size_t k = 0; k < w->filters.count; k++)
            *found += mqtt_filter_matches(texts_at(&w->filters, k), topic);
    }
    return (double)(cpu_ns() - begin) / (double)count;
}

static void open_world(struct world *w, enum mix mix, size_t count)
{
    make_filters(mix, count, &w->filters);
    make_topics(mix, count, TOPICS, &w->topics);
    w->subscribers = calloc((count - 1) / FILTERS_PER_SUBSCRIBER + 1, sizeof(struct subscriber));
    if (w->subscribers == NULL || subtree_init(&w->tree, (struct hash_key){1, 2}, 1) != 0)
        give_up("out of memory");
}

static void close_world(struct world *w)
{
    subtree_close(&w->tree);
    texts_close(&w->filters);
    texts_close(&w->topics);
    free(w->subscribers);
}

static void row(const char *name, enum mix mix, size_t count)
{
    struct world w;
    uint64_t found, found_samples, found_naive;
    open_world(&w, mix, count);
    uint64_t slowest = slowest_subscribe_ns(&w);
    uint64_t before = heap_bytes();
    double subscribe_ns = subscribe_all_ns(&w);
    uint64_t after = heap_bytes();
    size_t matches = mix == MIX_PLUS_16 ? 50 : count < TOPICS / 10 ? 20 * count : 2 * TOPICS;
    double hot_ns = match_ns(&w, HOT_TOPICS, matches, &found);
    double all_ns = match_ns(&w, TOPICS, matches, &found);
    size_t samples = 5000000 / count > 1000 ? 1000 : 5000000 / count;
    double naive = naive_ns(&w, samples, &found_naive);
    (void)match_ns(&w, TOPICS, samples, &found_samples);
    if (found_samples != found_naive)
        give_up("the tree finds %llu subscriptions, a look at every filter %llu",
                (unsigned long long)found_samples, (unsigned long long)found_naive);
    double unsubscribe_ns = unsubscribe_all_ns(&w);
    printf("| %s | %zu | %.0f | %.0f | %.0f | %.0f | %.1f | %.0f | %.0f | %.0f | %.0f |\n", name,
           count, subscribe_ns, (double)slowest / 1e3, unsubscribe_ns,
           (double)(after - before) / (double)count, (double)found / (double)matches, hot_ns,
           all_ns, naive, naive / all_ns);
    fflush(stdout);
    close_world(&w);
}

void bench_tree(size_t most)
{
    puts("\n#### The tree: nanoseconds to change a subscription and to find the subscribers of a "
         "topic\n\n"
         "| filters | subscriptions | subscribe | slowest, µs | unsubscribe | bytes each | "
         "found per topic | match, 1,000 topics | match, 100,000 topics | every filter | "
         "ratio |\n"
         "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    for (size_t count = 1000; count <= most; count *= 10)
        row("plants", MIX_PLANTS, count);
    for (size_t count = 1000; count <= most; count *= 10)
        row("+ at 7 levels", MIX_PLUS_7, count);
    row("+ at 16 levels", MIX_PLUS_16, most);
}
