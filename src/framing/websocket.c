/* Frames are taken apart by wslay's frame interface. It hands out payload as it comes, without its
 * mask, and refuses lengths that are not in their shortest form, and control frames that are long
 * or in parts; which frame may follow which, and what they mean, is here. */
#include "framing/websocket.h"

#include "base/assert.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

#include <wslay/wslay.h>

/* Where in a packet the bytes end that were sent. */
struct packet_place {
    uint8_t head_size; /* of its fixed header so far; 0: between packets */
    bool is_in_body;
    uint32_t left; /* of the body, once the header is whole */
};

struct websocket {
    wslay_frame_context_ptr frames;
    struct bytes in; /* what wslay has not taken yet, during a call */
    uint64_t frame_left;
    const char *words;
    bool is_in_frame;
    bool is_in_message; /* more frames of it are to come */
    struct packet_place sent;
    uint8_t control_size;
    uint8_t control[WEBSOCKET_CONTROL_MAX];
};

static ssize_t on_wants_bytes(uint8_t *to, size_t size, int flags, void *context)
{
    (void)flags;
    struct websocket *ws = context;
    size_t n = size < ws->in.n ? size : ws->in.n;
    if (n == 0)
        return -1;
    memcpy(to, ws->in.p, n);
    ws->in = bytes_of(ws->in.p + n, ws->in.n - n);
    return (ssize_t)n;
}

int websocket_new(struct websocket **out)
{
    static const struct wslay_frame_callbacks callbacks = {.recv_callback = on_wants_bytes};
    *out = NULL;
    struct websocket *ws = calloc(1, sizeof(*ws));
    if (ws == NULL)
        return SEALMQ_E_NOMEM;
    if (wslay_frame_context_init(&ws->frames, &callbacks, ws) != 0) {
        free(ws);
        return SEALMQ_E_NOMEM;
    }
    *out = ws;
    return 0;
}

void websocket_free(struct websocket *ws)
{
    if (ws == NULL)
        return;
    wslay_frame_context_free(ws->frames);
    free(ws);
}

const char *websocket_words(const struct websocket *ws)
{
    return ws->words != NULL ? ws->words : "";
}

/* --- what the server sends ----------------------------------------------------------------- */

static size_t frame_head(enum wslay_opcode opcode, size_t size, uint8_t out[WEBSOCKET_HEAD_MAX])
{
    out[0] = (uint8_t)(0x80 | opcode);
    if (size < 126) {
        out[1] = (uint8_t)size;
        return 2;
    }
    size_t width = size <= UINT16_MAX ? 2 : 8;
    out[1] = width == 2 ? 126 : 127;
    for (size_t i = 0; i < width; i++)
        out[2 + i] = (uint8_t)((uint64_t)size >> 8 * (width - 1 - i));
    return 2 + width;
}

size_t websocket_head(size_t payload_size, uint8_t out[WEBSOCKET_HEAD_MAX])
{
    return frame_head(WSLAY_BINARY_FRAME, payload_size, out);
}

/* How many bytes at the beginning of `in` belong to one packet (MQTT 5.0, section 2.1.4). */
static size_t packet_run(struct packet_place *place, struct bytes in)
{
    size_t n = 0;
    while (!place->is_in_body) {
        if (n == in.n)
            return n;
        uint8_t byte = in.p[n++];
        place->head_size++;
        if (place->head_size == 1)
            continue;
        place->left |= (uint32_t)(byte & 0x7f) << 7 * (place->head_size - 2);
        place->is_in_body = (byte & 0x80) == 0 || place->head_size == 5;
    }
    size_t size = place->left < in.n - n ? place->left : in.n - n;
    place->left -= (uint32_t)size;
    if (place->left == 0)
        *place = (struct packet_place){0};
    return n + size;
}

size_t websocket_output(struct websocket *ws, struct bytes in, uint8_t *out, size_t *out_n)
{
    size_t taken = 0;
    *out_n = 0;
    while (taken < in.n) {
        struct packet_place place = ws->sent;
        size_t size = packet_run(&place, bytes_of(in.p + taken, in.n - taken));
        if (place.head_size != 0 && taken != 0)
            break;
        uint8_t head[WEBSOCKET_HEAD_MAX];
        size_t head_size = websocket_head(size, head);
        /* The head may lie on bytes of `in` that were moved already, never on others: it is no
         * longer than the packet is, but for the rest of one at the very beginning. */
        memmove(out + *out_n + head_size, in.p + taken, size);
        memcpy(out + *out_n, head, head_size);
        *out_n += head_size + size;
        taken += size;
        ws->sent = place;
    }
    return taken;
}

static void append_control(struct buf *out, enum wslay_opcode opcode, struct bytes payload)
{
    uint8_t head[WEBSOCKET_HEAD_MAX];
    ASSERT(payload.n <= WEBSOCKET_CONTROL_MAX);
    buf_append(out, head, frame_head(opcode, payload.n, head));
    buf_append_bytes(out, payload);
}

void websocket_append_close(struct buf *out, uint16_t code)
{
    const uint8_t payload[2] = {(uint8_t)(code >> 8), (uint8_t)code};
    append_control(out, WSLAY_CONNECTION_CLOSE, bytes_of(payload, sizeof(payload)));
}

/* --- what the client sends ----------------------------------------------------------------- */

static int refuse(struct websocket *ws, struct buf *answer, uint16_t code, const char *words)
{
    ws->words = words;
    websocket_append_close(answer, code);
    return SEALMQ_E_PROTOCOL;
}

static int begin_frame(struct websocket *ws, const struct wslay_frame_iocb *frame,
                       struct buf *answer)
{
    if (!frame->mask)
        return refuse(ws, answer, WEBSOCKET_CLOSE_PROTOCOL, "a frame without a mask");
    if (frame->rsv != 0)
        return refuse(ws, answer, WEBSOCKET_CLOSE_PROTOCOL, "reserved bits are set");
    switch (frame->opcode) {
    case WSLAY_CONTINUATION_FRAME:
        if (!ws->is_in_message)
            return refuse(ws, answer, WEBSOCKET_CLOSE_PROTOCOL, "a continuation of no message");
        break;
    case WSLAY_BINARY_FRAME:
        if (ws->is_in_message)
            return refuse(ws, answer, WEBSOCKET_CLOSE_PROTOCOL, "a message inside of another");
        break;
    case WSLAY_TEXT_FRAME:
        return refuse(ws, answer, WEBSOCKET_CLOSE_DATA, "text, where MQTT is binary");
    case WSLAY_CONNECTION_CLOSE:
    case WSLAY_PING:
    case WSLAY_PONG:
        break;
    default:
        return refuse(ws, answer, WEBSOCKET_CLOSE_PROTOCOL, "an unknown kind of frame");
    }
    ws->is_in_frame = true;
    ws->frame_left = frame->payload_length;
    ws->control_size = 0;
    return 0;
}

/* Codes that may stand in a Close frame: section 7.4. */
static bool close_code_is_valid(unsigned code)
{
    return (code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006) ||
           (code >= 3000 && code <= 4999);
}

static int end_close(struct websocket *ws, struct buf *answer)
{
    struct bytes payload = bytes_of(ws->control, ws->control_size);
    if (payload.n == 0) {
        append_control(answer, WSLAY_CONNECTION_CLOSE, payload);
        return SEALMQ_E_CLOSED;
    }
    if (payload.n == 1 || !close_code_is_valid((unsigned)payload.p[0] << 8 | payload.p[1]) ||
        !utf8_is_valid(bytes_of(payload.p + 2, payload.n - 2)))
        return refuse(ws, answer, WEBSOCKET_CLOSE_PROTOCOL, "a malformed Close frame");
    append_control(answer, WSLAY_CONNECTION_CLOSE, bytes_of(payload.p, 2));
    return SEALMQ_E_CLOSED;
}

static int end_frame(struct websocket *ws, const struct wslay_frame_iocb *frame, struct buf *answer)
{
    ws->is_in_frame = false;
    switch (frame->opcode) {
    case WSLAY_CONNECTION_CLOSE:
        return end_close(ws, answer);
    case WSLAY_PING:
        append_control(answer, WSLAY_PONG, bytes_of(ws->control, ws->control_size));
        return 0;
    case WSLAY_PONG: /* of a ping that nobody sent: section 5.5.3 allows it */
        return 0;
    default:
        ws->is_in_message = !frame->fin;
        return 0;
    }
}

static int take_part(struct websocket *ws, const struct wslay_frame_iocb *frame, uint8_t *out,
                     size_t *out_n, struct buf *answer)
{
    int e = ws->is_in_frame ? 0 : begin_frame(ws, frame, answer);
    if (e != 0)
        return e;
    ASSERT(frame->data_length <= ws->frame_left);
    ws->frame_left -= frame->data_length;
    if (wslay_is_ctrl_frame(frame->opcode)) {
        ASSERT(ws->control_size + frame->data_length <= WEBSOCKET_CONTROL_MAX);
        memcpy(ws->control + ws->control_size, frame->data, frame->data_length);
        ws->control_size = (uint8_t)(ws->control_size + frame->data_length);
    } else if (frame->data_length > 0) {
        /* Not beyond what wslay has taken, even where `out` is the input. */
        memmove(out + *out_n, frame->data, frame->data_length);
        *out_n += frame->data_length;
    }
    return ws->frame_left == 0 ? end_frame(ws, frame, answer) : 0;
}

int websocket_input(struct websocket *ws, struct bytes in, uint8_t *out, size_t *out_n,
                    struct buf *answer)
{
    ws->in = in;
    *out_n = 0;
    for (;;) {
        struct wslay_frame_iocb frame;
        ssize_t n = wslay_frame_recv(ws->frames, &frame);
        if (n == WSLAY_ERR_WANT_READ)
            break;
        int e = n < 0 ? refuse(ws, answer, WEBSOCKET_CLOSE_PROTOCOL, "a malformed frame")
                      : take_part(ws, &frame, out, out_n, answer);
        if (buf_status(answer) != 0)
            return buf_status(answer);
        if (e != 0)
            return e;
    }
    ASSERT(ws->in.n == 0);
    return 0;
}
