/* A WebSocket connection (RFC 6455), the server's side, as MQTT uses it (MQTT 5.0, section 6): a
 * stream of bytes in binary messages, whose borders mean nothing. A part of a message is passed on
 * as it comes, so nothing is gathered but a control frame, of at most 125 bytes.
 *
 * Text, unmasked frames, reserved bits and codes, and messages out of order end the connection with
 * a Close frame that says why. */
#ifndef SEALMQ_FRAMING_WEBSOCKET_H
#define SEALMQ_FRAMING_WEBSOCKET_H

#include "base/bytes.h"

#define WEBSOCKET_HEAD_MAX    10 /* of a frame from a server */
#define WEBSOCKET_CONTROL_MAX 125

/* Why a connection is closed, RFC 6455 section 7.4.1. */
#define WEBSOCKET_CLOSE_NORMAL   1000
#define WEBSOCKET_CLOSE_PROTOCOL 1002
#define WEBSOCKET_CLOSE_DATA     1003

struct websocket;

SEALMQ_MUST_CHECK int websocket_new(struct websocket **out);
void websocket_free(struct websocket *ws);

/* Takes all of `in`, and puts what was in its messages to `out` (room for in.n bytes; may be where
 * `in` is), *out_n of it. Frames that answer, pong and close, are appended to `answer`. 0;
 * SEALMQ_E_CLOSED: the peer has said goodbye; SEALMQ_E_PROTOCOL: it has violated the protocol, and
 * websocket_words() tells how. After either, what is in `answer` is the last that it gets, and
 * nothing may be given any more. What came before the end is in `out` then, too. SEALMQ_E_NOMEM. */
SEALMQ_MUST_CHECK int websocket_input(struct websocket *ws, struct bytes in, uint8_t *out,
                                      size_t *out_n, struct buf *answer);
const char *websocket_words(const struct websocket *ws);

/* The head of a binary message in one frame, before `payload_size` bytes; returns its size. */
size_t websocket_head(size_t payload_size, uint8_t out[WEBSOCKET_HEAD_MAX]);
/* Makes messages of MQTT's bytes: one for each packet, since there are clients that see only the
 * first packet of a message; a packet that is not wholly in `in` makes several. Returns how much of
 * `in` was taken: all, but for a last packet that is not whole and not the only one. `out` has
 * WEBSOCKET_OUTPUT_ROOM(in.n) bytes, of which `in` may be the last ones. */
#define WEBSOCKET_OUTPUT_ROOM(n) (2 * (n) + WEBSOCKET_HEAD_MAX)
size_t websocket_output(struct websocket *ws, struct bytes in, uint8_t *out, size_t *out_n);
/* Appends a Close frame. */
void websocket_append_close(struct buf *out, uint16_t code);

#endif
