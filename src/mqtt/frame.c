/* Where a packet ends in a stream of bytes, and variable byte integers as they are written. */
#include "mqtt/packet.h"

#include "base/assert.h"

int mqtt_frame(struct bytes in, size_t *size)
{
    *size = 0;
    size_t remaining = 0;
    /* 3.1.1 does not forbid a longer form of the remaining length than is necessary, and the
     * version may not be known yet here: mqtt_decode refuses it for 5.0. */
    for (size_t i = 1; i < MQTT_FIXED_HEADER_MAX; i++) {
        if (i >= in.n)
            return SEALMQ_E_AGAIN;
        remaining |= (size_t)(in.p[i] & 0x7f) << (7 * (i - 1));
        if ((in.p[i] & 0x80) != 0)
            continue;
        *size = i + 1 + remaining;
        return in.n < *size ? SEALMQ_E_AGAIN : 0;
    }
    return SEALMQ_E_PARSE;
}

size_t mqtt_varint_size(uint32_t v)
{
    return v < 1u << 7 ? 1 : v < 1u << 14 ? 2 : v < 1u << 21 ? 3 : 4;
}

void mqtt_append_varint(struct buf *out, uint32_t v)
{
    ASSERT(v <= MQTT_REMAINING_LENGTH_MAX);
    size_t n = mqtt_varint_size(v);
    uint8_t *p = buf_extend(out, n);
    if (p == NULL)
        return;
    for (size_t i = 0; i < n; i++, v >>= 7)
        p[i] = (uint8_t)((v & 0x7f) | (i + 1 < n ? 0x80 : 0));
}
