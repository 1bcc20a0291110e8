#include "subscriptions.h"

#include "filters.h"
#include "give_up.h"
#include "shard.h"

#include <stdio.h>
#include <stdlib.h>

#define PUBLISHER  UINT32_C(0xfffffff)
#define SUBSCRIBER (PUBLISHER - 1)

/* A server with the subscriptions of clients that are offline, so that a QoS 0 message costs its
 * routing and little more; and somebody who publishes. */
struct world {
    struct shard shard;
    struct texts filters, topics;
    struct broker_conn publisher;
};

static void open_world(struct world *w, size_t count, size_t topics)
{
    struct bytes filters[FILTERS_PER_SUBSCRIBER];
    make_filters(MIX_PLANTS, count, &w->filters);
    make_topics(MIX_PLANTS, count, topics, &w->topics);
    shard_open(&w->shard);
    for (size_t i = 0; i < count; i += FILTERS_PER_SUBSCRIBER) {
        size_t n = 0;
        for (; n < FILTERS_PER_SUBSCRIBER && i + n < count; n++)
            filters[n] = texts_at(&w->filters, i + n);
        struct broker_conn conn = shard_connect(&w->shard, (uint32_t)(i / FILTERS_PER_SUBSCRIBER));
        shard_subscribe(&w->shard, conn, filters, n);
        shard_disconnect(&w->shard, conn);
    }
    w->publisher = shard_connect(&w->shard, PUBLISHER);
}

static void close_world(struct world *w)
{
    shard_disconnect(&w->shard, w->publisher);
    shard_close(&w->shard);
    texts_close(&w->filters);
    texts_close(&w->topics);
}

/* Publishes to `topics` topics in turn; `forgets`: no route is remembered. */
static double publish_ns(struct world *w, size_t topics, size_t count, bool forgets)
{
    for (size_t i = 0; i < topics && !forgets; i++)
        shard_publish(&w->shard, w->publisher, texts_at(&w->topics, i));
    uint64_t begin = cpu_ns();
    for (size_t i = 0; i < count; i++) {
        if (forgets)
            broker_access_changed(w->shard.broker);
        shard_publish(&w->shard, w->publisher, texts_at(&w->topics, i % topics));
    }
    return (double)(cpu_ns() - begin) / (double)count;
}

void bench_routes(size_t most)
{
    puts("\n#### A PUBLISH in the broker: nanoseconds, packet and all, with its route remembered "
         "and made anew\n\n"
         "| subscriptions | 1,000 topics | anew | 100,000 topics | anew |\n"
         "|--:|--:|--:|--:|--:|");
    for (size_t count = 1000; count <= most; count *= 10) {
        struct world w;
        open_world(&w, count, 100000);
        double few = publish_ns(&w, 1000, 300000, false);
        double few_anew = publish_ns(&w, 1000, 300000, true);
        double many = publish_ns(&w, 100000, 300000, false);
        double many_anew = publish_ns(&w, 100000, 300000, true);
        printf("| %zu | %.0f | %.0f | %.0f | %.0f |\n", count, few, few_anew, many, many_anew);
        fflush(stdout);
        close_world(&w);
    }
}

/* --- churn ---------------------------------------------------------------------------------- */

enum churn_kind { CHURN_NONE, CHURN_ITEM, CHURN_DEVICE, CHURN_LINE, CHURN_PLANT, CHURN_ALL };
static const char *const churn_names[] = {
    "nothing", "an item", "a device with #", "a line with +", "a plant with +", "all with +",
};

/* The filter of change `i`, which comes and goes; of another place each time. */
static struct bytes churn_filter(enum churn_kind kind, size_t i, char *out, size_t size)
{
    unsigned n = (unsigned)(i / 2);
    switch (kind) {
    case CHURN_ITEM:
        snprintf(out, size, "plant%u/line%u/device%u/new", n % 13, n % 20, n % 25);
        break;
    case CHURN_DEVICE:
        snprintf(out, size, "plant%u/line%u/device%u/#", n % 13, n % 20, n % 25);
        break;
    case CHURN_LINE:
        snprintf(out, size, "plant%u/line%u/+/new", n % 13, n % 20);
        break;
    case CHURN_PLANT:
        snprintf(out, size, "plant%u/+/+/new", n % 13);
        break;
    case CHURN_NONE:
    case CHURN_ALL:
        snprintf(out, size, "+/+/+/new");
        break;
    }
    return bytes_str(out);
}

/* One change after every 100 publishes; only the publishes are timed. */
static double churn_ns(struct world *w, struct broker_conn subscriber, enum churn_kind kind,
                       size_t topics)
{
    enum { CHANGES = 4000, PUBLISHES = 100 };
    uint64_t took = 0;
    size_t at = 0;
    for (size_t i = 0; i < topics; i++)
        shard_publish(&w->shard, w->publisher, texts_at(&w->topics, i));
    for (size_t i = 0; i < CHANGES; i++) {
        char text[64];
        struct bytes filter = churn_filter(kind, i, text, sizeof text);
        if (kind != CHURN_NONE && i % 2 == 0)
            shard_subscribe(&w->shard, subscriber, &filter, 1);
        else if (kind != CHURN_NONE)
            shard_unsubscribe(&w->shard, subscriber, filter);
        uint64_t begin = cpu_ns();
        for (size_t k = 0; k < PUBLISHES; k++, at++)
            shard_publish(&w->shard, w->publisher, texts_at(&w->topics, at % topics));
        took += cpu_ns() - begin;
    }
    return (double)took / (CHANGES * PUBLISHES);
}

void bench_churn(size_t subscriptions)
{
    struct world w;
    open_world(&w, subscriptions, 100000);
    struct broker_conn subscriber = shard_connect(&w.shard, SUBSCRIBER);
    printf("\n#### A PUBLISH while filters come and go, one change for 100 messages: nanoseconds, "
           "with %zu subscriptions\n\n"
           "| what comes and goes | 1,000 topics | 100,000 topics |\n|---|--:|--:|\n",
           subscriptions);
    for (enum churn_kind kind = CHURN_NONE; kind <= CHURN_ALL; kind++) {
        double few = churn_ns(&w, subscriber, kind, 1000);
        double many = churn_ns(&w, subscriber, kind, 100000);
        printf("| %s | %.0f | %.0f |\n", churn_names[kind], few, many);
        fflush(stdout);
    }
    shard_disconnect(&w.shard, subscriber);
    close_world(&w);
}

/* --- sessions ------------------------------------------------------------------------------- */

struct point {
    uint64_t ns, bytes;
};

static struct point now(void)
{
    return (struct point){cpu_ns(), heap_bytes()};
}

static void print_step(const char *name, struct point from, struct point to, size_t count)
{
    printf("| %s | %.0f | %.0f |\n", name, (double)(to.ns - from.ns) / (double)count,
           (double)(int64_t)(to.bytes - from.bytes) / (double)count);
}

void bench_sessions(size_t count)
{
    struct shard shard;
    struct broker_conn *conns = calloc(count, sizeof *conns);
    struct texts filters;
    if (conns == NULL)
        give_up("out of memory");
    make_filters(MIX_PLANTS, count, &filters);
    printf("\n#### %zu connected sessions with a subscription each, in one shard\n\n"
           "| step | nanoseconds each | bytes each |\n|---|--:|--:|\n",
           count);
    struct point start = now();
    shard_open(&shard);
    for (size_t i = 0; i < count; i++)
        conns[i] = shard_connect(&shard, (uint32_t)i);
    struct point connected = now();
    print_step("connect", start, connected, count);
    for (size_t i = 0; i < count; i++) {
        struct bytes filter = texts_at(&filters, i);
        shard_subscribe(&shard, conns[i], &filter, 1);
    }
    struct point subscribed = now();
    print_step("subscribe", connected, subscribed, count);
    for (unsigned i = 0; i < 1000; i++)
        broker_tick(shard.broker, shard.now_ms += 10);
    struct point ticked = now();
    print_step("10 s without anything to do (nanoseconds a tick)", subscribed, ticked, 1000);
    for (size_t i = 0; i < count; i++)
        shard_publish(&shard, conns[i], BYTES_LIT("nobody/wants/this"));
    struct point published = now();
    print_step("each publishes once", ticked, published, count);
    for (size_t i = 0; i < count; i++)
        shard_disconnect(&shard, conns[i]);
    struct point gone = now();
    print_step("disconnect, sessions stay", published, gone, count);
    shard_close(&shard);
    print_step("end", gone, now(), count);
    texts_close(&filters);
    free(conns);
}
