/* MQTT 5.0 properties (section 2.2.2): one table says of what type each is, where it may stand and
 * which values it may have; the rest walks and writes lists by it. */
#include "base/assert.h"
#include "mqtt/codec_int.h"

enum prop_kind {
    KIND_NONE, /* no such property */
    KIND_BOOL, /* one byte, and of all such properties only the values 0 and 1 are defined */
    KIND_U16,
    KIND_U32,
    KIND_VARINT,
    KIND_STRING,
    KIND_BINARY,
    KIND_PAIR, /* two strings */
};

struct prop_rule {
    uint8_t kind;
    bool may_repeat;
    uint8_t zero_reason; /* for numbers that must not be 0: what to answer then */
    uint32_t where;
};

#define IN_MESSAGE (BY_BOTH(MQTT_PUBLISH) | BY_CLIENT(MQTT_WILL))
#define IN_ACKS                                                                                    \
    (BY_BOTH(MQTT_PUBACK) | BY_BOTH(MQTT_PUBREC) | BY_BOTH(MQTT_PUBREL) | BY_BOTH(MQTT_PUBCOMP))
#define IN_ANSWERS                                                                                 \
    (IN_ACKS | BY_SERVER(MQTT_CONNACK) | BY_SERVER(MQTT_SUBACK) | BY_SERVER(MQTT_UNSUBACK) |       \
     BY_BOTH(MQTT_DISCONNECT) | BY_BOTH(MQTT_AUTH))
#define IN_OPENING (BY_CLIENT(MQTT_CONNECT) | BY_SERVER(MQTT_CONNACK))
#define EVERYWHERE                                                                                 \
    (IN_ANSWERS | IN_MESSAGE | BY_CLIENT(MQTT_CONNECT) | BY_CLIENT(MQTT_SUBSCRIBE) |               \
     BY_CLIENT(MQTT_UNSUBSCRIBE))

/* Table 2-4. Sent by the server alone: a subscription identifier in PUBLISH [MQTT-3.3.4-6]; by the
 * client alone: a session expiry interval in DISCONNECT [MQTT-3.14.2-2]. */
static const struct prop_rule prop_rules[] = {
    [MQTT_PROP_PAYLOAD_FORMAT] = {KIND_BOOL, .where = IN_MESSAGE},
    [MQTT_PROP_MESSAGE_EXPIRY] = {KIND_U32, .where = IN_MESSAGE},
    [MQTT_PROP_CONTENT_TYPE] = {KIND_STRING, .where = IN_MESSAGE},
    [MQTT_PROP_RESPONSE_TOPIC] = {KIND_STRING, .where = IN_MESSAGE},
    [MQTT_PROP_CORRELATION_DATA] = {KIND_BINARY, .where = IN_MESSAGE},
    [MQTT_PROP_SUBSCRIPTION_ID] = {KIND_VARINT, .zero_reason = MQTT_REASON_PROTOCOL_ERROR,
                                   .where = BY_CLIENT(MQTT_SUBSCRIBE) | BY_SERVER(MQTT_PUBLISH)},
    [MQTT_PROP_SESSION_EXPIRY] = {KIND_U32, .where = IN_OPENING | BY_CLIENT(MQTT_DISCONNECT)},
    [MQTT_PROP_ASSIGNED_CLIENT_ID] = {KIND_STRING, .where = BY_SERVER(MQTT_CONNACK)},
    [MQTT_PROP_SERVER_KEEP_ALIVE] = {KIND_U16, .where = BY_SERVER(MQTT_CONNACK)},
    [MQTT_PROP_AUTH_METHOD] = {KIND_STRING, .where = IN_OPENING | BY_BOTH(MQTT_AUTH)},
    [MQTT_PROP_AUTH_DATA] = {KIND_BINARY, .where = IN_OPENING | BY_BOTH(MQTT_AUTH)},
    [MQTT_PROP_REQUEST_PROBLEM_INFO] = {KIND_BOOL, .where = BY_CLIENT(MQTT_CONNECT)},
    [MQTT_PROP_WILL_DELAY] = {KIND_U32, .where = BY_CLIENT(MQTT_WILL)},
    [MQTT_PROP_REQUEST_RESPONSE_INFO] = {KIND_BOOL, .where = BY_CLIENT(MQTT_CONNECT)},
    [MQTT_PROP_RESPONSE_INFO] = {KIND_STRING, .where = BY_SERVER(MQTT_CONNACK)},
    [MQTT_PROP_SERVER_REFERENCE] = {KIND_STRING,
                                    .where = BY_SERVER(MQTT_CONNACK) | BY_BOTH(MQTT_DISCONNECT)},
    [MQTT_PROP_REASON_STRING] = {KIND_STRING, .where = IN_ANSWERS},
    [MQTT_PROP_RECEIVE_MAXIMUM] = {KIND_U16, .zero_reason = MQTT_REASON_PROTOCOL_ERROR,
                                   .where = IN_OPENING},
    [MQTT_PROP_TOPIC_ALIAS_MAXIMUM] = {KIND_U16, .where = IN_OPENING},
    [MQTT_PROP_TOPIC_ALIAS] = {KIND_U16, .zero_reason = MQTT_REASON_TOPIC_ALIAS_INVALID,
                               .where = BY_BOTH(MQTT_PUBLISH)}, /* [MQTT-3.3.2-8] */
    [MQTT_PROP_MAXIMUM_QOS] = {KIND_BOOL, .where = BY_SERVER(MQTT_CONNACK)},
    [MQTT_PROP_RETAIN_AVAILABLE] = {KIND_BOOL, .where = BY_SERVER(MQTT_CONNACK)},
    [MQTT_PROP_USER_PROPERTY] = {KIND_PAIR, .may_repeat = true, .where = EVERYWHERE},
    [MQTT_PROP_MAXIMUM_PACKET_SIZE] = {KIND_U32, .zero_reason = MQTT_REASON_PROTOCOL_ERROR,
                                       .where = IN_OPENING},
    [MQTT_PROP_WILDCARD_AVAILABLE] = {KIND_BOOL, .where = BY_SERVER(MQTT_CONNACK)},
    [MQTT_PROP_SUBSCRIPTION_ID_AVAILABLE] = {KIND_BOOL, .where = BY_SERVER(MQTT_CONNACK)},
    [MQTT_PROP_SHARED_AVAILABLE] = {KIND_BOOL, .where = BY_SERVER(MQTT_CONNACK)},
};
#define PROP_RULES (sizeof(prop_rules) / sizeof(prop_rules[0]))
_Static_assert(PROP_RULES <= 64, "the properties seen in a list are kept as bits of 64");

/* Takes one property off; false when it is unknown or cut short. Strings are not checked for UTF-8
 * here: lists that were checked once are walked often. */
static bool take_prop(struct bytes *in, struct mqtt_prop *out)
{
    /* The identifier is a variable byte integer, but all that are defined fit into one byte. */
    uint8_t id, number8;
    uint16_t number16;
    if (!take_u8(in, &id) || id >= PROP_RULES)
        return false;
    *out = (struct mqtt_prop){.id = (enum mqtt_property)id};
    switch ((enum prop_kind)prop_rules[id].kind) {
    case KIND_NONE:
        return false;
    case KIND_BOOL:
        if (!take_u8(in, &number8))
            return false;
        out->number = number8;
        return true;
    case KIND_U16:
        if (!take_u16(in, &number16))
            return false;
        out->number = number16;
        return true;
    case KIND_U32:
        return take_u32(in, &out->number);
    case KIND_VARINT:
        return take_varint(in, &out->number);
    case KIND_STRING:
    case KIND_BINARY:
        return take_binary(in, &out->text);
    case KIND_PAIR:
        return take_binary(in, &out->text) && take_binary(in, &out->value);
    }
    return false;
}

/* What can be wrong with the value of one property. */
static int check_value(struct decode *d, const struct mqtt_prop *prop, const struct prop_rule *rule)
{
    if (rule->kind == KIND_STRING || rule->kind == KIND_PAIR) {
        if (!mqtt_utf8_is_valid(prop->text) || !mqtt_utf8_is_valid(prop->value))
            return refuse_malformed(d);
        /* [MQTT-3.3.2-14] */
        if (prop->id == MQTT_PROP_RESPONSE_TOPIC && !mqtt_topic_is_valid(prop->text))
            return refuse(d, MQTT_REASON_TOPIC_NAME_INVALID);
    }
    if (rule->kind == KIND_BOOL && prop->number > 1)
        return refuse(d, MQTT_REASON_PROTOCOL_ERROR);
    if (rule->zero_reason != 0 && prop->number == 0)
        return refuse(d, (enum mqtt_reason)rule->zero_reason);
    return 0;
}

static int check_list(struct decode *d, unsigned owner, struct bytes list, uint64_t *seen)
{
    uint32_t place = decode_place(d, owner);
    while (list.n != 0) {
        struct mqtt_prop prop;
        if (!take_prop(&list, &prop))
            return refuse_malformed(d);
        const struct prop_rule *rule = &prop_rules[prop.id];
        /* Section 2.2.2.2: misplaced is malformed. What only the other side may send here is told
         * apart, as the sections on PUBLISH and DISCONNECT call that a protocol error. */
        if ((rule->where & BY_BOTH(owner)) == 0)
            return refuse_malformed(d);
        if ((rule->where & place) == 0)
            return refuse(d, MQTT_REASON_PROTOCOL_ERROR);
        /* A server may match several subscriptions, and names them all in one PUBLISH (section
         * 3.3.2.3.8). */
        bool may_repeat =
            rule->may_repeat || (prop.id == MQTT_PROP_SUBSCRIPTION_ID && owner == MQTT_PUBLISH);
        if (SEEN(*seen, prop.id) && !may_repeat)
            return refuse(d, MQTT_REASON_PROTOCOL_ERROR);
        *seen |= UINT64_C(1) << prop.id;
        int error = check_value(d, &prop, rule);
        if (error != 0)
            return error;
    }
    return 0;
}

int mqtt_decode_props(struct decode *d, unsigned owner, struct mqtt_props *out, uint64_t *seen)
{
    uint32_t size;
    *out = (struct mqtt_props){0};
    *seen = 0;
    if (!d->is_v5)
        return 0;
    if (!take_varint(&d->in, &size) || !take_bytes(&d->in, size, &out->wire))
        return refuse_malformed(d);
    return check_list(d, owner, out->wire, seen);
}

bool mqtt_props_next(struct mqtt_props *list, struct mqtt_prop *out)
{
    return list->wire.n != 0 && take_prop(&list->wire, out);
}

bool mqtt_props_find(struct mqtt_props list, enum mqtt_property id, struct mqtt_prop *out)
{
    while (mqtt_props_next(&list, out))
        if (out->id == id)
            return true;
    return false;
}

void mqtt_props_append(struct buf *list, const struct mqtt_prop *prop)
{
    ASSERT((size_t)prop->id < PROP_RULES && prop_rules[prop->id].kind != KIND_NONE);
    buf_append_u8(list, (uint8_t)prop->id);
    switch ((enum prop_kind)prop_rules[prop->id].kind) {
    case KIND_NONE:
        break;
    case KIND_BOOL:
        ASSERT(prop->number <= 1);
        buf_append_u8(list, (uint8_t)prop->number);
        break;
    case KIND_U16:
        ASSERT(prop->number <= UINT16_MAX);
        buf_append_u16(list, (uint16_t)prop->number);
        break;
    case KIND_U32:
        buf_append_u32(list, prop->number);
        break;
    case KIND_VARINT:
        mqtt_append_varint(list, prop->number);
        break;
    case KIND_STRING:
    case KIND_BINARY:
        buf_append_str16(list, prop->text);
        break;
    case KIND_PAIR:
        buf_append_str16(list, prop->text);
        buf_append_str16(list, prop->value);
        break;
    }
}

void mqtt_props_append_number(struct buf *list, enum mqtt_property id, uint32_t number)
{
    mqtt_props_append(list, &(struct mqtt_prop){.id = id, .number = number});
}

void mqtt_props_append_text(struct buf *list, enum mqtt_property id, struct bytes text)
{
    mqtt_props_append(list, &(struct mqtt_prop){.id = id, .text = text});
}
