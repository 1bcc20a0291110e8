/* MQTT 3.1.1 and 5.0 control packets: decoding in place, encoding into a buffer.
 *
 * A decoded packet borrows from the input and from nothing else; no allocation takes place. Lists
 * inside a packet (properties, the filters of SUBSCRIBE and UNSUBSCRIBE, the codes of SUBACK and
 * UNSUBACK) are kept as their bytes on the wire, checked when decoded, and walked with the
 * iterators below.
 *
 * Decoding checks everything that can be told from one packet alone: lengths, reserved flags,
 * UTF-8, topic name and filter syntax, duplicate and misplaced properties, zero packet identifiers,
 * QoS 3, the right order of fields. What needs the connection's state (alias known, receive
 * maximum) is the broker's. */
#ifndef SEALMQ_MQTT_PACKET_H
#define SEALMQ_MQTT_PACKET_H

#include "base/bytes.h"
#include "mqtt/reason.h"

#define MQTT_REMAINING_LENGTH_MAX 268435455u
#define MQTT_FIXED_HEADER_MAX     5

enum mqtt_type {
    MQTT_CONNECT = 1,
    MQTT_CONNACK,
    MQTT_PUBLISH,
    MQTT_PUBACK,
    MQTT_PUBREC,
    MQTT_PUBREL,
    MQTT_PUBCOMP,
    MQTT_SUBSCRIBE,
    MQTT_SUBACK,
    MQTT_UNSUBSCRIBE,
    MQTT_UNSUBACK,
    MQTT_PINGREQ,
    MQTT_PINGRESP,
    MQTT_DISCONNECT,
    MQTT_AUTH,
};

enum mqtt_version { MQTT_V311 = 4, MQTT_V5 = 5 };

/* MQTT 5.0 section 2.2.2.2 */
enum mqtt_property {
    MQTT_PROP_PAYLOAD_FORMAT = 0x01,
    MQTT_PROP_MESSAGE_EXPIRY = 0x02,
    MQTT_PROP_CONTENT_TYPE = 0x03,
    MQTT_PROP_RESPONSE_TOPIC = 0x08,
    MQTT_PROP_CORRELATION_DATA = 0x09,
    MQTT_PROP_SUBSCRIPTION_ID = 0x0b,
    MQTT_PROP_SESSION_EXPIRY = 0x11,
    MQTT_PROP_ASSIGNED_CLIENT_ID = 0x12,
    MQTT_PROP_SERVER_KEEP_ALIVE = 0x13,
    MQTT_PROP_AUTH_METHOD = 0x15,
    MQTT_PROP_AUTH_DATA = 0x16,
    MQTT_PROP_REQUEST_PROBLEM_INFO = 0x17,
    MQTT_PROP_WILL_DELAY = 0x18,
    MQTT_PROP_REQUEST_RESPONSE_INFO = 0x19,
    MQTT_PROP_RESPONSE_INFO = 0x1a,
    MQTT_PROP_SERVER_REFERENCE = 0x1c,
    MQTT_PROP_REASON_STRING = 0x1f,
    MQTT_PROP_RECEIVE_MAXIMUM = 0x21,
    MQTT_PROP_TOPIC_ALIAS_MAXIMUM = 0x22,
    MQTT_PROP_TOPIC_ALIAS = 0x23,
    MQTT_PROP_MAXIMUM_QOS = 0x24,
    MQTT_PROP_RETAIN_AVAILABLE = 0x25,
    MQTT_PROP_USER_PROPERTY = 0x26,
    MQTT_PROP_MAXIMUM_PACKET_SIZE = 0x27,
    MQTT_PROP_WILDCARD_AVAILABLE = 0x28,
    MQTT_PROP_SUBSCRIPTION_ID_AVAILABLE = 0x29,
    MQTT_PROP_SHARED_AVAILABLE = 0x2a,
};

/* One property: numbers in `number`, strings and binary data in `text`, the value of a user
 * property in `value` (its name in `text`). */
struct mqtt_prop {
    enum mqtt_property id;
    uint32_t number;
    struct bytes text;
    struct bytes value;
};

/* A checked list of properties as on the wire, without its length field. Empty in 3.1.1. */
struct mqtt_props {
    struct bytes wire;
};

/* Takes the next property off the list; false at the end. */
bool mqtt_props_next(struct mqtt_props *list, struct mqtt_prop *out);
/* The first property `id`; false when there is none. */
bool mqtt_props_find(struct mqtt_props list, enum mqtt_property id, struct mqtt_prop *out);
/* Appends one property to a list under construction (its bytes without the length field). */
void mqtt_props_append(struct buf *list, const struct mqtt_prop *prop);
void mqtt_props_append_number(struct buf *list, enum mqtt_property id, uint32_t number);
void mqtt_props_append_text(struct buf *list, enum mqtt_property id, struct bytes text);

struct mqtt_connect {
    enum mqtt_version version;
    bool clean_start; /* "clean session" in 3.1.1 */
    uint16_t keep_alive_s;
    struct bytes client_id;
    struct mqtt_props props;
    bool has_will;
    uint8_t will_qos;
    bool will_retain;
    struct mqtt_props will_props;
    struct bytes will_topic;
    struct bytes will_payload;
    bool has_user_name, has_password;
    struct bytes user_name;
    struct bytes password;
};

struct mqtt_connack {
    bool session_present;
    uint8_t reason; /* an mqtt_reason in 5.0; in 3.1.1 the return code, 0 to 5 */
    struct mqtt_props props;
};

struct mqtt_publish {
    bool dup, retain;
    uint8_t qos;
    uint16_t packet_id; /* 0 at QoS 0 */
    struct bytes topic; /* empty only in 5.0 with a topic alias */
    struct mqtt_props props;
    struct bytes payload;
};

/* PUBACK, PUBREC, PUBREL, PUBCOMP */
struct mqtt_ack {
    uint16_t packet_id;
    uint8_t reason; /* success in 3.1.1 */
    struct mqtt_props props;
};

struct mqtt_subscribe {
    uint16_t packet_id;
    struct mqtt_props props;
    struct bytes filters; /* at least one; walk with mqtt_filters_next */
};

struct mqtt_filter {
    struct bytes filter;
    uint8_t qos;
    bool no_local; /* the options from here on are false/0 in 3.1.1 */
    bool retain_as_published;
    uint8_t retain_handling; /* 0, 1 or 2 */
};

/* Takes the next filter off a SUBSCRIBE's list; false at the end. */
bool mqtt_filters_next(struct bytes *list, struct mqtt_filter *out);

struct mqtt_unsubscribe {
    uint16_t packet_id;
    struct mqtt_props props;
    struct bytes filters; /* at least one; walk with mqtt_topics_next */
};
bool mqtt_topics_next(struct bytes *list, struct bytes *out);

/* SUBACK and UNSUBACK; in 3.1.1 an UNSUBACK has no codes. */
struct mqtt_suback {
    uint16_t packet_id;
    struct mqtt_props props;
    struct bytes codes;
};

/* DISCONNECT and AUTH */
struct mqtt_end {
    uint8_t reason;
    struct mqtt_props props;
};

struct mqtt_packet {
    enum mqtt_type type;
    union {
        struct mqtt_connect connect;
        struct mqtt_connack connack;
        struct mqtt_publish publish;
        struct mqtt_ack ack;
        struct mqtt_subscribe subscribe;
        struct mqtt_unsubscribe unsubscribe;
        struct mqtt_suback suback;
        struct mqtt_end end;
    };
};

/* Finds where the first packet of `in` ends. 0 and its whole length in *size; SEALMQ_E_AGAIN when
 * more bytes are needed (then *size is the whole length if the fixed header is complete, else 0);
 * SEALMQ_E_PARSE when the remaining length is malformed: more than four bytes. */
SEALMQ_MUST_CHECK int mqtt_frame(struct bytes in, size_t *size);

/* Decodes one whole packet, as mqtt_frame found it. `version` is the connection's, and is ignored
 * for CONNECT, which carries its own (3.1, level 3, is taken for unsupported). `from_client` tells
 * which packet types may come. On failure returns SEALMQ_E_PARSE, SEALMQ_E_PROTOCOL or
 * SEALMQ_E_VERSION, and in *reason the MQTT 5.0 reason code to answer with; of *out then only
 * these hold: out->type (what the first byte says, 0 for no packet at all) and, for CONNECT,
 * out->connect.version, which is the version to answer in, or 0 when the packet breaks before
 * saying one. */
SEALMQ_MUST_CHECK int mqtt_decode(struct bytes packet, enum mqtt_version version, bool from_client,
                                  struct mqtt_packet *out, uint8_t *reason);

/* Appends one packet. What the packet says must be valid: names checked, props made with the
 * functions above, a type that the version has. CONNECT goes by its own version. In 3.1.1 all props
 * are left out, 5.0 failures in CONNACK and SUBACK become the nearest of 3.1.1, and the reasons of
 * other packets are not written. The result is in the buffer's status (SEALMQ_E_LIMIT also when a
 * string or the remaining length exceeds the protocol's; nothing is appended then). */
void mqtt_encode(const struct mqtt_packet *packet, enum mqtt_version version, struct buf *out);

/* Variable byte integers, MQTT 5.0 section 1.5.5. */
void mqtt_append_varint(struct buf *out, uint32_t v);
size_t mqtt_varint_size(uint32_t v);

/* Topic names and filters, section 4.7. Both expect valid UTF-8 without U+0000, and at most 65,535
 * bytes. Shared subscriptions ($share/<name>/<filter>) count as valid filters. */
bool mqtt_topic_is_valid(struct bytes topic);
bool mqtt_filter_is_valid(struct bytes filter);
/* Whether it begins as a shared subscription ($share/). */
bool mqtt_filter_is_shared(struct bytes filter);
/* The filter behind $share/<name>/ of a valid shared one; others as they are. */
struct bytes mqtt_filter_without_share(struct bytes filter);
/* Whether the filter matches the topic, `$` rule included. For one filter; the broker's tree is for
 * many. */
bool mqtt_filter_matches(struct bytes filter, struct bytes topic);
/* MQTT's own UTF-8 rule: well-formed, no U+0000. */
bool mqtt_utf8_is_valid(struct bytes s);

#endif
