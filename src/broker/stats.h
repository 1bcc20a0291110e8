/* What a shard counts. One list makes the struct, the sum over shards and the text for Prometheus.
 *
 * A new one is a line in BROKER_STATS, and STAT_ADD, STAT_SUB or STAT_SET (broker/broker_int.h)
 * where it happens. Only the shard's thread writes, with plain additions; any thread may read. */
#ifndef SEALMQ_BROKER_STATS_H
#define SEALMQ_BROKER_STATS_H

#include "base/bytes.h"

enum broker_stat_kind {
    BROKER_COUNTER, /* since the start */
    BROKER_GAUGE,   /* now; that of the server is the sum over its shards */
    BROKER_SAME,    /* now; what each shard has of what all shards share: the largest counts */
};

/* X(kind, name, metric, labels, help). `metric` is the name for Prometheus without "sealmq_", and
 * "" is not shown; lines of one metric stand together, and the help of the first is shown. */
#define BROKER_STATS(X)                                                                            \
    X(GAUGE, connections, "connections", "", "Open network connections, logged in or not.")        \
    X(COUNTER, connections_total, "connections_opened_total", "", "Network connections opened.")   \
    X(COUNTER, connections_refused_total, "connections_refused_total", "",                         \
      "Network connections refused because there were too many from their address.")               \
    X(COUNTER, connects_accepted_total, "connects_total", "result=\"accepted\"",                   \
      "CONNECT packets answered, by result.")                                                      \
    X(COUNTER, connects_bad_credentials_total, "connects_total", "result=\"bad_credentials\"", "") \
    X(COUNTER, connects_not_authorized_total, "connects_total", "result=\"not_authorized\"", "")   \
    X(COUNTER, connects_bad_client_id_total, "connects_total", "result=\"bad_client_id\"", "")     \
    X(COUNTER, connects_over_limit_total, "connects_total", "result=\"over_limit\"", "")           \
    X(COUNTER, connects_busy_total, "connects_total", "result=\"busy\"", "")                       \
    X(COUNTER, connects_invalid_total, "connects_total", "result=\"invalid\"", "")                 \
    X(COUNTER, connects_other_total, "connects_total", "result=\"other\"", "")                     \
    X(GAUGE, sessions_online, "sessions", "state=\"online\"",                                      \
      "Sessions with (online) and without (offline) a connection.")                                \
    X(GAUGE, sessions_offline, "sessions", "state=\"offline\"", "")                                \
    X(COUNTER, sessions_expired_total, "sessions_expired_total", "",                               \
      "Offline sessions that ended because their time was up.")                                    \
    X(GAUGE, subscriptions, "subscriptions", "", "Subscriptions of all sessions.")                 \
    X(GAUGE, shared_subscriptions, "shared_subscriptions", "", "Those of them that are shared.")   \
    X(SAME, retained, "retained_messages", "", "Retained messages.")                               \
    X(SAME, retained_bytes, "retained_bytes", "", "Memory of retained messages.")                  \
    X(GAUGE, inflight, "inflight_messages", "",                                                    \
      "QoS 1 and 2 messages sent to clients and not completed.")                                   \
    X(GAUGE, queued, "queued_messages", "", "Messages that wait in sessions.")                     \
    X(GAUGE, queued_bytes, "queued_bytes", "", "Size of the messages that wait in sessions.")      \
    X(SAME, waiting_bytes, "waiting_bytes", "",                                                    \
      "Memory of what is unsent, unacknowledged or queued, shared parts once.")                    \
    X(SAME, passing_bytes, "passing_bytes", "", "Memory of what is on its way between shards.")    \
    X(COUNTER, inputs_paused_rate_total, "inputs_paused_total", "cause=\"rate\"",                  \
      "Pauses in reading from a client.")                                                          \
    X(COUNTER, inputs_paused_receivers_total, "inputs_paused_total", "cause=\"receivers\"", "")    \
    X(COUNTER, inputs_paused_passing_total, "inputs_paused_total", "cause=\"shards\"", "")         \
    X(COUNTER, accepts_paused_total, "accepts_paused_total", "",                                   \
      "Pauses in accepting connections because of their rate.")                                    \
    X(COUNTER, sessions_evicted_total, "sessions_evicted_total", "",                               \
      "Offline sessions that ended to make room for others.")                                      \
    X(COUNTER, consumers_cut_off_total, "consumers_cut_off_total", "",                             \
      "Connections ended because their client did not take its messages.")                         \
    X(COUNTER, packets_malformed_total, "packets_malformed_total", "",                             \
      "Packets that break the protocol's form.")                                                   \
    X(COUNTER, messages_in_qos0_total, "messages_received_total", "qos=\"0\"",                     \
      "PUBLISH packets from clients.")                                                             \
    X(COUNTER, messages_in_qos1_total, "messages_received_total", "qos=\"1\"", "")                 \
    X(COUNTER, messages_in_qos2_total, "messages_received_total", "qos=\"2\"", "")                 \
    X(COUNTER, messages_out_qos0_total, "messages_sent_total", "qos=\"0\"",                        \
      "PUBLISH packets to clients.")                                                               \
    X(COUNTER, messages_out_qos1_total, "messages_sent_total", "qos=\"1\"", "")                    \
    X(COUNTER, messages_out_qos2_total, "messages_sent_total", "qos=\"2\"", "")                    \
    X(COUNTER, payload_bytes_in_total, "payload_received_bytes_total", "",                         \
      "Payloads of PUBLISH packets from clients.")                                                 \
    X(COUNTER, payload_bytes_out_total, "payload_sent_bytes_total", "",                            \
      "Payloads of PUBLISH packets to clients.")                                                   \
    X(COUNTER, publishes_denied_total, "messages_denied_total", "",                                \
      "PUBLISH packets and wills that the rules did not allow.")                                   \
    X(COUNTER, dropped_queue_full_total, "messages_dropped_total", "cause=\"queue_full\"",         \
      "Messages lost to one receiver or, when they could not be taken at all, to all.")            \
    X(COUNTER, dropped_output_full_total, "messages_dropped_total", "cause=\"output_full\"", "")   \
    X(COUNTER, dropped_too_large_total, "messages_dropped_total", "cause=\"too_large\"", "")       \
    X(COUNTER, dropped_retained_full_total, "messages_dropped_total", "cause=\"retained_full\"",   \
      "")                                                                                          \
    X(COUNTER, dropped_in_all_total, "messages_dropped_total", "cause=\"limit_in_all\"", "")       \
    X(COUNTER, dropped_payload_format_total, "messages_dropped_total", "cause=\"payload_format\"", \
      "")                                                                                          \
    X(COUNTER, dropped_memory_total, "messages_dropped_total", "cause=\"memory\"", "")             \
    X(COUNTER, messages_expired_total, "messages_expired_total", "",                               \
      "Messages not delivered because their expiry had passed.")                                   \
    X(COUNTER, bytes_in_total, "received_bytes_total", "", "Bytes of packets from clients.")       \
    X(COUNTER, bytes_out_total, "sent_bytes_total", "", "Bytes written to clients.")

/* X(mqtt_type, label) */
#define BROKER_STATS_PACKETS(X)                                                                    \
    X(1, "connect")                                                                                \
    X(2, "connack")                                                                                \
    X(3, "publish")                                                                                \
    X(4, "puback")                                                                                 \
    X(5, "pubrec")                                                                                 \
    X(6, "pubrel")                                                                                 \
    X(7, "pubcomp")                                                                                \
    X(8, "subscribe")                                                                              \
    X(9, "suback")                                                                                 \
    X(10, "unsubscribe")                                                                           \
    X(11, "unsuback")                                                                              \
    X(12, "pingreq")                                                                               \
    X(13, "pingresp")                                                                              \
    X(14, "disconnect")                                                                            \
    X(15, "auth")

#define BROKER_STAT_FIELD(kind, name, metric, labels, help) uint64_t name;
/* What is counted: nothing but uint64_t. */
struct broker_counts {
    BROKER_STATS(BROKER_STAT_FIELD)
    uint64_t packets_in[16], packets_out[16]; /* by mqtt_type */
};

struct broker_stats {
    BROKER_STATS(BROKER_STAT_FIELD)
    uint64_t packets_in[16], packets_out[16];
    /* Sums of those above, made by broker_stats_derive. */
    uint64_t sessions;
    uint64_t connects_refused_total;
    uint64_t packets_in_total, packets_out_total;
    uint64_t publishes_in_total, publishes_out_total, publishes_dropped_total;
};
#undef BROKER_STAT_FIELD

#define BROKER_COUNTS (sizeof(struct broker_counts) / sizeof(uint64_t))

void broker_stats_derive(struct broker_stats *stats);
/* Adds one shard's to the server's, which begins with zeros. */
void broker_stats_add(struct broker_stats *sum, const struct broker_stats *shard);
/* Appends the text for Prometheus (text format 0.0.4). Failures are left in the buffer. */
void broker_stats_append_metrics(const struct broker_stats *stats, struct buf *out);

#endif
