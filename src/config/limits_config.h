/* The `limits:` of a configuration: one line here for each field of struct broker_limits that an
 * operator may set, and nothing else is needed for it to be read, checked and shown. A field's name
 * is its name in the file, its default is that of broker_limits_default. Besides, there are
 * `overflow: drop_new`, drop_old or disconnect, and `evicts_sessions: no` or yes. */
#ifndef SEALMQ_CONFIG_LIMITS_CONFIG_H
#define SEALMQ_CONFIG_LIMITS_CONFIG_H

#include "broker/broker.h"
#include "config/yaml.h"

/* field, smallest, largest, LIVE: a reload changes it for running clients or FIXED: a restart does,
 * unit, what it limits */
#define LIMITS_CONFIG(X)                                                                           \
    X(packet_bytes, 1024, MQTT_REMAINING_LENGTH_MAX, FIXED, "bytes", "largest packet taken")       \
    X(connections, 1, 10000000, FIXED, "", "connections in all")                                   \
    X(connections_per_address, 0, 10000000, FIXED, "", "of one IPv4 address or IPv6 /64; 0: any")  \
    X(sessions, 1, 100000000, FIXED, "", "sessions in all, connected or not")                      \
    X(subscriptions_all, 1, INT64_MAX, FIXED, "", "subscriptions in all")                          \
    X(subscriptions, 1, 10000000, LIVE, "", "subscriptions of one session")                        \
    X(topic_levels, 1, 1000, FIXED, "", "levels of a topic or filter")                             \
    X(topic_bytes, 1, UINT16_MAX, LIVE, "bytes", "length of a topic or filter")                    \
    X(receive_maximum, 1, UINT16_MAX, FIXED, "", "QoS 1 and 2 messages a client may have open")    \
    X(inflight, 1, UINT16_MAX, LIVE, "", "the same towards a client")                              \
    X(inflight_bytes, 1, INT64_MAX, LIVE, "bytes", "the same in bytes; one message always goes")   \
    X(topic_aliases, 0, UINT16_MAX, FIXED, "", "topic aliases a client may use")                   \
    X(topic_aliases_sent, 0, 64, FIXED, "", "topic aliases used towards a client")                 \
    X(queued_messages, 0, UINT32_MAX, LIVE, "", "messages waiting in one session")                 \
    X(queued_bytes, 0, INT64_MAX, LIVE, "bytes", "the same in bytes")                              \
    X(queued_messages_all, 1, INT64_MAX, FIXED, "", "messages waiting in all sessions")            \
    X(waiting_bytes, 1048576, INT64_MAX, FIXED, "bytes", "memory of all that waits for clients")   \
    X(passing_bytes, 65536, INT64_MAX, FIXED, "bytes", "in all, on the way between workers")       \
    X(accepts_per_second, 0, 1000000, FIXED, "", "connections, which wait; 0: any")                \
    X(output_bytes, 1024, INT64_MAX, LIVE, "bytes", "unsent bytes of one connection")              \
    X(retained_messages, 0, UINT32_MAX, LIVE, "", "retained messages in all")                      \
    X(retained_bytes, 0, INT64_MAX, LIVE, "bytes", "the same in bytes")                            \
    X(session_expiry_max_s, 0, UINT32_MAX, LIVE, "seconds",                                        \
      "longest life of a session left behind")                                                     \
    X(keep_alive_max_s, 0, UINT16_MAX, LIVE, "seconds", "longest keep alive; 0: any")              \
    X(bytes_per_second, 0, INT64_MAX, LIVE, "bytes", "from one client, slowed above; 0: any")      \
    X(messages_per_second, 0, 1000000000, LIVE, "", "from one client, slowed above; 0: any")       \
    X(connects_per_second, 0, 1000000, FIXED, "", "of one client id; 0: any")                      \
    X(slow_publishers_ms, 0, 60000, LIVE, "ms", "a full receiver slows publishers so long")        \
    X(connect_timeout_ms, 100, 600000, FIXED, "ms", "from opening to a whole CONNECT and log-in")

/* NULL: not set */
struct limits_config {
#define X(field, least, most, when, unit, words) uint64_t *field;
    LIMITS_CONFIG(X)
#undef X
    int overflow;        /* enum broker_overflow and 1; 0: not set */
    int evicts_sessions; /* 1: no, 2: yes; 0: not set */
};

extern const cyaml_schema_field_t limits_config_fields[];

/* Sets in `out` what is set. SEALMQ_E_CONFIG names the one that is out of range. */
SEALMQ_MUST_CHECK int limits_config_apply(const struct limits_config *config,
                                          const struct config_source *source,
                                          struct broker_limits *out);
/* NULL, or the name of one that is not the same and cannot change without a restart. */
const char *limits_config_fixed_difference(const struct broker_limits *running,
                                           const struct broker_limits *wanted);
/* Appends `limits:` with all of them, as YAML. */
void limits_config_print(const struct broker_limits *limits, struct buf *out);

#endif
