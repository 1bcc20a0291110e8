/* Packets written by hand. A body is a line of hexadecimal digits and words, blanks where they
 * help:
 *
 *   0a1b     bytes
 *   'abc'    the characters
 *   s'abc'   a string: two bytes of length, then the characters
 *   p(...)   a list of properties: its length as one byte, then what stands between
 *
 * What is decoded lies in memory of exactly its size, so that a sanitizer sees a read beyond it. */
#ifndef SEALMQ_TEST_UNIT_MQTT_WIRE_H
#define SEALMQ_TEST_UNIT_MQTT_WIRE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mqtt/packet.h"

/* The bytes of `line` appended. */
void wire_append(struct buf *out, const char *line);

/* A whole packet: first byte, remaining length, body. Valid until the next call. */
struct bytes wire_packet(uint8_t first, const char *body);
struct bytes wire_packet_bytes(uint8_t first, struct bytes body);

/* Decodes what must be accepted, and checks that it comes out the same after being encoded and
 * decoded again. Valid until the next call. */
struct mqtt_packet wire_accepted(struct bytes packet, enum mqtt_version version, bool from_client,
                                 const char *file, int line);

/* Decodes what must be refused, with this error and reason code. */
void wire_refused(struct bytes packet, enum mqtt_version version, bool from_client,
                  const char *file, int line, int error, uint8_t reason);

#define ACCEPT_CLIENT(version, first, body)                                                        \
    wire_accepted(wire_packet(first, body), version, true, __FILE__, __LINE__)
#define ACCEPT_SERVER(version, first, body)                                                        \
    wire_accepted(wire_packet(first, body), version, false, __FILE__, __LINE__)
/* The error and the reason code come last, or MALFORMED or PROTOCOL for both. */
#define REFUSE_CLIENT(version, first, body, ...)                                                   \
    wire_refused(wire_packet(first, body), version, true, __FILE__, __LINE__, __VA_ARGS__)
#define REFUSE_SERVER(version, first, body, ...)                                                   \
    wire_refused(wire_packet(first, body), version, false, __FILE__, __LINE__, __VA_ARGS__)
#define MALFORMED SEALMQ_E_PARSE, 0x81
#define PROTOCOL  SEALMQ_E_PROTOCOL, 0x82

#define assert_bytes(b, text) assert_true(bytes_equal((b), BYTES_LIT(text)))

#endif
