#include "broker/stats.h"

#include "base/assert.h"

#include <stddef.h>

struct row {
    enum broker_stat_kind kind;
    size_t word; /* place in struct broker_stats */
    const char *metric, *labels, *help;
};

#define WORD(field) (offsetof(struct broker_stats, field) / sizeof(uint64_t))

#define SCALAR_ROW(kind, name, metric, labels, help)                                               \
    {BROKER_##kind, WORD(name), metric, labels, help},
#define PACKETS_IN_ROW(type, label)                                                                \
    {BROKER_COUNTER, WORD(packets_in) + (type), "packets_received_total", "type=\"" label "\"",    \
     "MQTT packets from clients."},
#define PACKETS_OUT_ROW(type, label)                                                               \
    {BROKER_COUNTER, WORD(packets_out) + (type), "packets_sent_total", "type=\"" label "\"",       \
     "MQTT packets to clients."},

static const struct row rows[] = {BROKER_STATS(SCALAR_ROW) BROKER_STATS_PACKETS(PACKETS_IN_ROW)
                                      BROKER_STATS_PACKETS(PACKETS_OUT_ROW)};
#define ROWS (sizeof rows / sizeof rows[0])

/* The words of the struct are read by their places. */
_Static_assert(offsetof(struct broker_stats, sessions) == sizeof(struct broker_counts),
               "struct broker_stats begins with what is counted");

static uint64_t *word_of(struct broker_stats *stats, const struct row *row)
{
    return (uint64_t *)(void *)stats + row->word;
}

static uint64_t value_of(const struct broker_stats *stats, const struct row *row)
{
    return *((const uint64_t *)(const void *)stats + row->word);
}

void broker_stats_derive(struct broker_stats *s)
{
    s->sessions = s->sessions_online + s->sessions_offline;
    s->connects_refused_total = s->connects_bad_credentials_total +
                                s->connects_not_authorized_total + s->connects_bad_client_id_total +
                                s->connects_over_limit_total + s->connects_busy_total +
                                s->connects_invalid_total + s->connects_other_total;
    s->packets_in_total = s->packets_out_total = 0;
    for (size_t i = 0; i < 16; i++) {
        s->packets_in_total += s->packets_in[i];
        s->packets_out_total += s->packets_out[i];
    }
    s->publishes_in_total =
        s->messages_in_qos0_total + s->messages_in_qos1_total + s->messages_in_qos2_total;
    s->publishes_out_total =
        s->messages_out_qos0_total + s->messages_out_qos1_total + s->messages_out_qos2_total;
    s->publishes_dropped_total = s->dropped_queue_full_total + s->dropped_output_full_total +
                                 s->dropped_too_large_total + s->dropped_retained_full_total +
                                 s->dropped_in_all_total + s->dropped_payload_format_total +
                                 s->dropped_memory_total;
}

void broker_stats_add(struct broker_stats *sum, const struct broker_stats *shard)
{
    for (size_t i = 0; i < ROWS; i++) {
        uint64_t *total = word_of(sum, &rows[i]);
        uint64_t value = value_of(shard, &rows[i]);
        if (rows[i].kind != BROKER_SAME)
            *total += value;
        else if (value > *total)
            *total = value;
    }
    broker_stats_derive(sum);
}

void broker_stats_append_metrics(const struct broker_stats *stats, struct buf *out)
{
    const char *family = "";
    for (size_t i = 0; i < ROWS; i++) {
        const struct row *row = &rows[i];
        if (row->metric[0] == '\0')
            continue;
        if (strcmp(row->metric, family) != 0) {
            family = row->metric;
            buf_printf(out, "# HELP sealmq_%s %s\n# TYPE sealmq_%s %s\n", family, row->help, family,
                       row->kind == BROKER_COUNTER ? "counter" : "gauge");
        }
        bool has_labels = row->labels[0] != '\0';
        buf_printf(out, "sealmq_%s%s%s%s %llu\n", family, has_labels ? "{" : "", row->labels,
                   has_labels ? "}" : "", (unsigned long long)value_of(stats, row));
    }
}
