#include "broker/sys_tree.h"

#include "base/assert.h"
#include "mqtt/packet.h"

#include <math.h>
#include <stdio.h>

#define PREFIX    "$SYS/broker/"
#define TOPIC_MAX 64

static const struct {
    const char *name;
    double seconds;
} spans[3] = {{"1min", 60}, {"5min", 300}, {"15min", 900}};

static const char *const load_names[SYS_TREE_LOADS] = {
    "messages/received", "messages/sent", "publish/dropped", "publish/received", "publish/sent",
    "bytes/received",    "bytes/sent",    "sockets",         "connections",
};

static void load_counts(const struct broker_stats *s, uint64_t out[SYS_TREE_LOADS])
{
    const uint64_t counts[SYS_TREE_LOADS] = {
        s->packets_in_total,   s->packets_out_total,   s->publishes_dropped_total,
        s->publishes_in_total, s->publishes_out_total, s->bytes_in_total,
        s->bytes_out_total,    s->connections_total,   s->packets_in[MQTT_CONNECT],
    };
    memcpy(out, counts, sizeof counts);
}

bool sys_tree_has(struct bytes topic)
{
    const struct bytes name = BYTES_LIT("$SYS");
    return topic.n >= name.n && memcmp(topic.p, name.p, name.n) == 0 &&
           (topic.n == name.n || topic.p[name.n] == '/');
}

void sys_tree_init(struct sys_tree *tree, const char *version)
{
    *tree = (struct sys_tree){0};
    snprintf(tree->version, sizeof tree->version, "sealmq version %s", version);
}

void sys_tree_forget(struct sys_tree *tree)
{
    memset(tree->shown, 0, sizeof tree->shown);
}

struct showing {
    struct sys_tree *tree;
    sys_tree_show show;
    void *context;
    size_t next; /* place in tree->shown: topics come in the same order each time */
};

static void show(struct showing *s, const char *name, const char *value)
{
    char topic[TOPIC_MAX];
    ASSERT(s->next < SYS_TREE_TOPICS_MAX);
    char *shown = s->tree->shown[s->next++];
    if (strncmp(shown, value, SYS_TREE_VALUE_MAX - 1) == 0)
        return;
    snprintf(shown, SYS_TREE_VALUE_MAX, "%s", value);
    snprintf(topic, sizeof topic, PREFIX "%s", name);
    s->show(s->context, bytes_str(topic), bytes_str(value));
}

static void show_number(struct showing *s, const char *name, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    show(s, name, text);
}

static void show_clients(struct showing *s, const struct broker_stats *stats)
{
    if (stats->sessions_online > s->tree->clients_maximum)
        s->tree->clients_maximum = stats->sessions_online;
    show_number(s, "clients/total", stats->sessions);
    show_number(s, "clients/connected", stats->sessions_online);
    show_number(s, "clients/active", stats->sessions_online);
    show_number(s, "clients/disconnected", stats->sessions_offline);
    show_number(s, "clients/inactive", stats->sessions_offline);
    show_number(s, "clients/expired", stats->sessions_expired_total);
    show_number(s, "clients/maximum", s->tree->clients_maximum);
}

static void show_traffic(struct showing *s, const struct broker_stats *stats)
{
    show_number(s, "messages/received", stats->packets_in_total);
    show_number(s, "messages/sent", stats->packets_out_total);
    show_number(s, "publish/messages/received", stats->publishes_in_total);
    show_number(s, "publish/messages/sent", stats->publishes_out_total);
    show_number(s, "publish/messages/dropped", stats->publishes_dropped_total);
    show_number(s, "publish/bytes/received", stats->payload_bytes_in_total);
    show_number(s, "publish/bytes/sent", stats->payload_bytes_out_total);
    show_number(s, "bytes/received", stats->bytes_in_total);
    show_number(s, "bytes/sent", stats->bytes_out_total);
}

static void show_kept(struct showing *s, const struct sys_input *input)
{
    const struct broker_stats *stats = &input->stats;
    uint64_t kept = stats->retained + stats->queued + stats->inflight;
    show_number(s, "retained messages/count", stats->retained);
    show_number(s, "subscriptions/count", stats->subscriptions);
    show_number(s, "shared_subscriptions/count", stats->shared_subscriptions);
    show_number(s, "messages/stored", kept);
    show_number(s, "store/messages/count", kept);
    show_number(s, "store/messages/bytes", stats->retained_bytes + stats->queued_bytes);
    /* The names as Mosquitto 2 publishes them, and as its manual gives them. */
    show_number(s, "heap/current", input->memory_bytes);
    show_number(s, "heap/current size", input->memory_bytes);
    show_number(s, "heap/maximum", input->memory_max_bytes);
    show_number(s, "heap/maximum size", input->memory_max_bytes);
}

static void advance_loads(struct sys_tree *tree, const struct sys_input *input)
{
    uint64_t counts[SYS_TREE_LOADS];
    load_counts(&input->stats, counts);
    double seconds = (double)(input->now_ms - tree->updated_ms) / 1000;
    for (size_t i = 0; i < SYS_TREE_LOADS && seconds > 0; i++) {
        uint64_t more = counts[i] > tree->counts[i] ? counts[i] - tree->counts[i] : 0;
        double per_minute = (double)more * 60 / seconds;
        for (size_t k = 0; k < 3; k++) {
            double *load = &tree->loads[i][k];
            *load = per_minute + exp(-seconds / spans[k].seconds) * (*load - per_minute);
        }
    }
    memcpy(tree->counts, counts, sizeof counts);
}

static void show_loads(struct showing *s)
{
    char name[TOPIC_MAX], value[SYS_TREE_VALUE_MAX];
    for (size_t i = 0; i < SYS_TREE_LOADS; i++) {
        for (size_t k = 0; k < 3; k++) {
            snprintf(name, sizeof name, "load/%s/%s", load_names[i], spans[k].name);
            snprintf(value, sizeof value, "%.2f", s->tree->loads[i][k]);
            show(s, name, value);
        }
    }
}

void sys_tree_update(struct sys_tree *tree, const struct sys_input *input, sys_tree_show to_show,
                     void *context)
{
    char uptime[SYS_TREE_VALUE_MAX];
    struct showing s = {tree, to_show, context, 0};
    if (!tree->has_begun) {
        tree->has_begun = true;
        tree->begun_ms = tree->updated_ms = input->now_ms;
    }
    advance_loads(tree, input);
    tree->updated_ms = input->now_ms;
    snprintf(uptime, sizeof uptime, "%llu seconds",
             (unsigned long long)(input->now_ms - tree->begun_ms) / 1000);
    show(&s, "version", tree->version);
    show(&s, "uptime", uptime);
    show_clients(&s, &input->stats);
    show_traffic(&s, &input->stats);
    show_kept(&s, input);
    show_loads(&s);
}
