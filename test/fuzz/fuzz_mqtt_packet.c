/* The MQTT codec on any bytes. The first byte chooses: 1 the connection is 5.0, 2 the server sent
 * this, 4 the second byte and the rest are one packet whose length is filled in here, else the rest
 * is a stream of packets. What is accepted must be the same after being encoded and decoded. */
#include "lib/mqtt_packet_equal.h"

#include "base/assert.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk_props(struct mqtt_props list)
{
    struct mqtt_prop prop;
    while (list.wire.n != 0) {
        size_t before = list.wire.n;
        ASSERT(mqtt_props_next(&list, &prop)); /* a checked list has no other end */
        ASSERT(list.wire.n < before);
        ASSERT(prop.id == MQTT_PROP_CORRELATION_DATA || prop.id == MQTT_PROP_AUTH_DATA ||
               (mqtt_utf8_is_valid(prop.text) && mqtt_utf8_is_valid(prop.value)));
    }
}

static void walk_filters(struct bytes list, bool with_options)
{
    struct mqtt_filter filter = {0};
    ASSERT(list.n != 0);
    while (list.n != 0) {
        if (with_options)
            ASSERT(mqtt_filters_next(&list, &filter));
        else
            ASSERT(mqtt_topics_next(&list, &filter.filter));
        ASSERT(filter.qos <= 2 && filter.retain_handling <= 2);
        ASSERT(mqtt_utf8_is_valid(filter.filter) && mqtt_filter_is_valid(filter.filter));
    }
}

static void walk(const struct mqtt_packet *packet, bool is_v5)
{
    switch (packet->type) {
    case MQTT_CONNECT:
        walk_props(packet->connect.props);
        walk_props(packet->connect.will_props);
        ASSERT(mqtt_utf8_is_valid(packet->connect.client_id));
        ASSERT(!packet->connect.has_will || mqtt_topic_is_valid(packet->connect.will_topic));
        break;
    case MQTT_CONNACK:
        walk_props(packet->connack.props);
        break;
    case MQTT_PUBLISH:
        walk_props(packet->publish.props);
        ASSERT(mqtt_utf8_is_valid(packet->publish.topic));
        ASSERT(mqtt_topic_is_valid(packet->publish.topic) ||
               (is_v5 && packet->publish.topic.n == 0));
        ASSERT((packet->publish.qos == 0) == (packet->publish.packet_id == 0));
        break;
    case MQTT_SUBSCRIBE:
        walk_props(packet->subscribe.props);
        walk_filters(packet->subscribe.filters, true);
        break;
    case MQTT_UNSUBSCRIBE:
        walk_props(packet->unsubscribe.props);
        walk_filters(packet->unsubscribe.filters, false);
        break;
    case MQTT_SUBACK:
    case MQTT_UNSUBACK:
        walk_props(packet->suback.props);
        break;
    case MQTT_PUBACK:
    case MQTT_PUBREC:
    case MQTT_PUBREL:
    case MQTT_PUBCOMP:
        walk_props(packet->ack.props);
        ASSERT(packet->ack.packet_id != 0);
        break;
    case MQTT_DISCONNECT:
    case MQTT_AUTH:
        walk_props(packet->end.props);
        break;
    case MQTT_PINGREQ:
    case MQTT_PINGRESP:
        break;
    }
}

static void check_refusal(int error, uint8_t reason)
{
    if (error == SEALMQ_E_PARSE)
        ASSERT(reason == MQTT_REASON_MALFORMED_PACKET);
    else if (error == SEALMQ_E_VERSION)
        ASSERT(reason == MQTT_REASON_UNSUPPORTED_PROTOCOL_VERSION);
    else
        ASSERT(error == SEALMQ_E_PROTOCOL && reason > MQTT_REASON_MALFORMED_PACKET);
}

/* Returns the version that the connection has after this packet. */
static enum mqtt_version check_packet(struct bytes borrowed, enum mqtt_version version,
                                      bool from_client)
{
    struct mqtt_packet once, twice;
    uint8_t reason = 0;
    /* In memory of its own size, so that the sanitizer sees a read into the next packet. */
    uint8_t *copy = malloc(borrowed.n == 0 ? 1 : borrowed.n);
    ASSERT(copy != NULL);
    if (borrowed.n != 0)
        memcpy(copy, borrowed.p, borrowed.n);

    int error = mqtt_decode(bytes_of(copy, borrowed.n), version, from_client, &once, &reason);
    if (error != 0) {
        check_refusal(error, reason);
        free(copy);
        return version;
    }
    if (once.type == MQTT_CONNECT)
        version = once.connect.version;
    walk(&once, version == MQTT_V5);

    struct buf first = {0}, second = {0};
    size_t size;
    mqtt_encode(&once, version, &first);
    ASSERT(buf_status(&first) == 0 && first.n <= borrowed.n); /* the shortest form */
    ASSERT(mqtt_frame(buf_bytes(&first), &size) == 0 && size == first.n);
    ASSERT(mqtt_decode(buf_bytes(&first), version, from_client, &twice, &reason) == 0);
    ASSERT(mqtt_packet_equal(&once, &twice));
    mqtt_encode(&twice, version, &second);
    ASSERT(bytes_equal(buf_bytes(&first), buf_bytes(&second)));
    buf_close(&first);
    buf_close(&second);
    free(copy);
    return version;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    enum mqtt_version version = (data[0] & 1) != 0 ? MQTT_V5 : MQTT_V311;
    bool from_client = (data[0] & 2) == 0;
    struct bytes rest = bytes_of(data + 1, size - 1);
    if ((data[0] & 4) != 0) {
        struct buf packet = {0};
        buf_append_u8(&packet, rest.p[0]);
        mqtt_append_varint(&packet, (uint32_t)(rest.n - 1));
        buf_append(&packet, rest.p + 1, rest.n - 1);
        ASSERT(buf_status(&packet) == 0);
        check_packet(buf_bytes(&packet), version, from_client);
        buf_close(&packet);
        return 0;
    }
    size_t n;
    check_packet(rest, version, from_client);
    while (mqtt_frame(rest, &n) == 0) {
        ASSERT(n >= 2 && n <= rest.n);
        version = check_packet(bytes_of(rest.p, n), version, from_client);
        rest = bytes_of(rest.p + n, rest.n - n);
    }
    return 0;
}
