#include "unit/mqtt/wire.h"

#include "lib/mqtt_packet_equal.h"

#include <ctype.h>
#include <stdlib.h>

static struct buf body_buf, packet_buf, encoded_buf;
static uint8_t *packet_copy;

static uint8_t digit(char c)
{
    return (uint8_t)(c <= '9' ? c - '0' : c - 'a' + 10);
}

static const char *append_until(struct buf *out, const char *line, char end)
{
    while (*line != end) {
        if (*line == ' ') {
            line++;
        } else if (*line == '\'') {
            const char *close = strchr(line + 1, '\'');
            assert_non_null(close);
            buf_append(out, line + 1, (size_t)(close - line - 1));
            line = close + 1;
        } else if (line[0] == 's') {
            const char *close = strchr(line + 2, '\'');
            assert_non_null(close);
            buf_append_str16(out, bytes_of(line + 2, (size_t)(close - line - 2)));
            line = close + 1;
        } else if (line[0] == 'p') {
            struct buf list = {0};
            line = append_until(&list, line + 2, ')') + 1;
            assert_true(list.n < 128);
            buf_append_u8(out, (uint8_t)list.n);
            buf_append_bytes(out, buf_bytes(&list));
            buf_close(&list);
        } else {
            assert_true(isxdigit((unsigned char)line[0]) && isxdigit((unsigned char)line[1]));
            buf_append_u8(out, (uint8_t)(digit(line[0]) << 4 | digit(line[1])));
            line += 2;
        }
    }
    return line;
}

void wire_append(struct buf *out, const char *line)
{
    append_until(out, line, '\0');
    assert_int_equal(buf_status(out), 0);
}

struct bytes wire_packet_bytes(uint8_t first, struct bytes body)
{
    buf_reset(&packet_buf);
    buf_append_u8(&packet_buf, first);
    mqtt_append_varint(&packet_buf, (uint32_t)body.n);
    buf_append_bytes(&packet_buf, body);
    assert_int_equal(buf_status(&packet_buf), 0);
    free(packet_copy);
    packet_copy = malloc(packet_buf.n);
    assert_non_null(packet_copy);
    memcpy(packet_copy, packet_buf.p, packet_buf.n);
    return bytes_of(packet_copy, packet_buf.n);
}

struct bytes wire_packet(uint8_t first, const char *body)
{
    buf_reset(&body_buf);
    wire_append(&body_buf, body);
    return wire_packet_bytes(first, buf_bytes(&body_buf));
}

struct mqtt_packet wire_accepted(struct bytes packet, enum mqtt_version version, bool from_client,
                                 const char *file, int line)
{
    struct mqtt_packet once, twice;
    uint8_t reason = 0;
    int error = mqtt_decode(packet, version, from_client, &once, &reason);
    if (error != 0)
        print_error("refused: %s, %s\n", sealmq_error_text(error), mqtt_reason_text(reason));
    _assert_int_equal((LargestIntegralType)error, 0, file, line);
    if (once.type == MQTT_CONNECT)
        version = once.connect.version;
    buf_reset(&encoded_buf);
    mqtt_encode(&once, version, &encoded_buf);
    _assert_int_equal((LargestIntegralType)buf_status(&encoded_buf), 0, file, line);
    error = mqtt_decode(buf_bytes(&encoded_buf), version, from_client, &twice, &reason);
    _assert_int_equal((LargestIntegralType)error, 0, file, line);
    _assert_true((LargestIntegralType)mqtt_packet_equal(&once, &twice), "same after encoding", file,
                 line);
    return once;
}

void wire_refused(struct bytes packet, enum mqtt_version version, bool from_client,
                  const char *file, int line, int error, uint8_t reason)
{
    struct mqtt_packet out;
    uint8_t got_reason = 0;
    int got = mqtt_decode(packet, version, from_client, &out, &got_reason);
    if (got != error || got_reason != reason)
        print_error("got %s, 0x%02x; wanted %s, 0x%02x\n", sealmq_error_name(got), got_reason,
                    sealmq_error_name(error), reason);
    _assert_int_equal((LargestIntegralType)got, (LargestIntegralType)error, file, line);
    _assert_int_equal(got_reason, reason, file, line);
}
