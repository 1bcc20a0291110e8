#include "framing/websocket.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#define BINARY 0x82
#define PING   0x89
#define CLOSE  0x88

static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};

/* Appends a frame as a client sends it. */
static void frame(struct buf *b, uint8_t first, const void *payload, size_t n)
{
    buf_append_u8(b, first);
    if (n < 126) {
        buf_append_u8(b, (uint8_t)(0x80 | n));
    } else if (n <= UINT16_MAX) {
        buf_append_u8(b, 0x80 | 126);
        buf_append_u16(b, (uint16_t)n);
    } else {
        buf_append_u8(b, 0x80 | 127);
        buf_append_u64(b, n);
    }
    buf_append(b, mask, sizeof(mask));
    for (size_t i = 0; i < n; i++)
        buf_append_u8(b, ((const uint8_t *)payload)[i] ^ mask[i % 4]);
}

/* Gives `in` in pieces of `step` bytes, each decoded in its own place. */
static int input(struct bytes in, size_t step, struct buf *out, struct buf *answer,
                 const char **words)
{
    struct websocket *ws;
    uint8_t *piece = malloc(step);
    int e = 0;
    assert_int_equal(websocket_new(&ws), 0);
    for (size_t at = 0; e == 0 && at < in.n; at += step) {
        size_t n = in.n - at < step ? in.n - at : step, got = 0;
        memcpy(piece, in.p + at, n);
        e = websocket_input(ws, bytes_of(piece, n), piece, &got, answer);
        assert_true(got <= n);
        buf_append(out, piece, got);
    }
    if (words != NULL)
        *words = e == SEALMQ_E_PROTOCOL ? strdup(websocket_words(ws)) : NULL;
    websocket_free(ws);
    free(piece);
    return e;
}

static void frames_in_any_pieces_are_one_stream(void **state)
{
    (void)state;
    struct buf in = {0}, plain = {0};
    static uint8_t large[70000];
    for (size_t i = 0; i < sizeof(large); i++)
        large[i] = (uint8_t)(i * 167 + 13);
    static const size_t sizes[] = {0, 1, 125, 126, 127, 5000, 65535, 65536, 70000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        frame(&in, BINARY, large, sizes[i]);
        frame(&in, PING, "now", 3);
        buf_append(&plain, large, sizes[i]);
    }
    frame(&in, 0x02, "first, ", 7); /* a message in parts, with a ping in it */
    frame(&in, PING, "then", 4);
    frame(&in, 0x00, "", 0);
    frame(&in, 0x80, "last", 4);
    frame(&in, 0x8a, "nobody asked", 12); /* pong */
    buf_append_cstr(&plain, "first, last");
    static const size_t steps[] = {1, 2, 3, 7, 4095, 4096, 4097, 65536, 1000000};
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        struct buf out = {0}, answer = {0};
        assert_int_equal(input(buf_bytes(&in), steps[i], &out, &answer, NULL), 0);
        assert_true(bytes_equal(buf_bytes(&out), buf_bytes(&plain)));
        assert_int_equal(answer.n, 9 * 5 + 6);
        assert_memory_equal(answer.p, "\x8a\x03now", 5);
        assert_memory_equal(answer.p + 45, "\x8a\x04then", 6);
        buf_close(&out);
        buf_close(&answer);
    }
    buf_close(&in);
    buf_close(&plain);
}

static void violations_close_with_a_code_and_keep_what_came_before(void **state)
{
    (void)state;
    static const struct {
        uint16_t code;
        struct bytes wrong;
        const char *words;
    } cases[] = {
        {1002, {(const uint8_t *)"\x82\x01x", 3}, "a frame without a mask"},
        {1002, {(const uint8_t *)"\xc2\x81....x", 7}, "reserved bits are set"},
        {1003, {(const uint8_t *)"\x81\x81....x", 7}, "text, where MQTT is binary"},
        {1002, {(const uint8_t *)"\x80\x81....x", 7}, "a continuation of no message"},
        {1002, {(const uint8_t *)"\x02\x81....x\x82\x81....x", 14}, "a message inside of another"},
        {1002, {(const uint8_t *)"\x83\x81....x", 7}, "an unknown kind of frame"},
        {1002, {(const uint8_t *)"\x8b\x80....", 6}, "an unknown kind of frame"},
        {1002, {(const uint8_t *)"\x09\x80....", 6}, "a malformed frame"},       /* ping in parts */
        {1002, {(const uint8_t *)"\x89\xfe\0\x7e....", 8}, "a malformed frame"}, /* a long one */
        {1002, {(const uint8_t *)"\x82\xfe\0\x7d....", 8}, "a malformed frame"}, /* not shortest */
        {1002, {(const uint8_t *)"\x82\xff\0\0\0\0\0\0\xff\xff....", 14}, "a malformed frame"},
        {1002, {(const uint8_t *)"\x82\xff\x80\0\0\0\0\0\0\0....", 14}, "a malformed frame"},
        {1002, {(const uint8_t *)"\x88\x81....x", 7}, "a malformed Close frame"},
        {1002, {(const uint8_t *)"\x88\x82\0\0\0\0\x03\xed", 8}, "a malformed Close frame"},
        {1002, {(const uint8_t *)"\x88\x83\0\0\0\0\x03\xe8\xff", 9}, "a malformed Close frame"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (size_t step = 1; step <= 40; step += 39) {
            struct buf in = {0}, out = {0}, answer = {0};
            const char *words;
            frame(&in, BINARY, "right", 5);
            buf_append_bytes(&in, cases[i].wrong);
            assert_int_equal(input(buf_bytes(&in), step, &out, &answer, &words), SEALMQ_E_PROTOCOL);
            assert_string_equal(words, cases[i].words);
            assert_true(bytes_starts_with(buf_bytes(&out), bytes_str("right")));
            const uint8_t close[4] = {0x88, 2, (uint8_t)(cases[i].code >> 8),
                                      (uint8_t)cases[i].code};
            assert_int_equal(answer.n, 4);
            assert_memory_equal(answer.p, close, 4);
            free((void *)(uintptr_t)words);
            buf_close(&in);
            buf_close(&out);
            buf_close(&answer);
        }
    }
}

static void a_close_is_answered_with_its_code(void **state)
{
    (void)state;
    struct buf in = {0}, out = {0}, answer = {0};
    frame(&in, CLOSE, "\x03\xe9gone away", 11);
    frame(&in, BINARY, "after", 5);
    assert_int_equal(input(buf_bytes(&in), 3, &out, &answer, NULL), SEALMQ_E_CLOSED);
    assert_int_equal(out.n, 0);
    assert_int_equal(answer.n, 4);
    assert_memory_equal(answer.p, "\x88\x02\x03\xe9", 4);
    buf_reset(&in);
    buf_reset(&answer);
    frame(&in, CLOSE, "", 0);
    assert_int_equal(input(buf_bytes(&in), 3, &out, &answer, NULL), SEALMQ_E_CLOSED);
    assert_int_equal(answer.n, 2);
    assert_memory_equal(answer.p, "\x88\x00", 2);
    buf_close(&in);
    buf_close(&out);
    buf_close(&answer);
}

static void heads_are_as_short_as_can_be(void **state)
{
    (void)state;
    uint8_t head[WEBSOCKET_HEAD_MAX];
    assert_int_equal(websocket_head(0, head), 2);
    assert_memory_equal(head, "\x82\x00", 2);
    assert_int_equal(websocket_head(125, head), 2);
    assert_int_equal(websocket_head(126, head), 4);
    assert_memory_equal(head, "\x82\x7e\x00\x7e", 4);
    assert_int_equal(websocket_head(65535, head), 4);
    assert_int_equal(websocket_head(65536, head), 10);
    assert_memory_equal(head, "\x82\x7f\0\0\0\0\0\x01\0\0", 10);
    struct buf close = {0};
    websocket_append_close(&close, WEBSOCKET_CLOSE_NORMAL);
    assert_int_equal(close.n, 4);
    assert_memory_equal(close.p, "\x88\x02\x03\xe8", 4);
    buf_close(&close);
}

/* Frames `in` in steps of at most `step` bytes, in place, and appends it to `out`. */
static void output(struct bytes in, size_t step, struct buf *out)
{
    struct websocket *ws;
    assert_int_equal(websocket_new(&ws), 0);
    while (in.n > 0) {
        size_t n = in.n < step ? in.n : step, room = WEBSOCKET_OUTPUT_ROOM(n), size;
        uint8_t *place = malloc(room);
        assert_non_null(place);
        memcpy(place + room - n, in.p, n);
        size_t taken = websocket_output(ws, bytes_of(place + room - n, n), place, &size);
        assert_in_range(taken, 1, n);
        assert_true(size <= room);
        buf_append(out, place, size);
        in = bytes_of(in.p + taken, in.n - taken);
        free(place);
    }
    websocket_free(ws);
}

static void every_packet_is_a_message_of_its_own(void **state)
{
    (void)state;
    static const uint8_t packets[] = {0xd0, 0, 0x40, 2, 0, 7, 0x30, 3, 0, 1, 'a', 0xd0, 0};
    static const uint8_t expected[] = {0x82, 2,    0xd0, 0, 0x82, 4,   0x40, 2, 0,    7, 0x82,
                                       5,    0x30, 3,    0, 1,    'a', 0x82, 2, 0xd0, 0};
    for (size_t step = 5; step <= sizeof(packets); step++) { /* the longest packet, and more */
        struct buf out = {0};
        output(bytes_of(packets, sizeof(packets)), step, &out);
        assert_int_equal(out.n, sizeof(expected));
        assert_memory_equal(out.p, expected, sizeof(expected));
        buf_close(&out);
    }
}

/* What a client reads out of the frames. */
static void append_payloads(struct buf *to, struct bytes frames)
{
    while (frames.n > 0) {
        assert_true(frames.n >= 2 && frames.p[0] == 0x82);
        size_t size = frames.p[1], at = 2;
        if (size == 126) {
            size = (size_t)(frames.p[2] << 8 | frames.p[3]);
            at = 4;
        }
        assert_true(size < 127 || at == 4);
        assert_true(frames.n >= at + size);
        buf_append(to, frames.p + at, size);
        frames = bytes_of(frames.p + at + size, frames.n - at - size);
    }
}

static void a_packet_may_be_cut_at_every_byte(void **state)
{
    (void)state;
    struct buf packets = {0};
    for (size_t body = 0; body < 400; body += 57) {
        buf_append_u8(&packets, 0x30);
        if (body < 128) {
            buf_append_u8(&packets, (uint8_t)body);
        } else {
            buf_append_u8(&packets, (uint8_t)(0x80 | (body & 0x7f)));
            buf_append_u8(&packets, (uint8_t)(body >> 7));
        }
        for (size_t i = 0; i < body; i++)
            buf_append_u8(&packets, (uint8_t)(0xff - i));
    }
    for (size_t step = 1; step <= packets.n; step++) {
        struct buf framed = {0}, plain = {0};
        output(buf_bytes(&packets), step, &framed);
        append_payloads(&plain, buf_bytes(&framed));
        assert_int_equal(plain.n, packets.n);
        assert_memory_equal(plain.p, packets.p, packets.n);
        buf_close(&framed);
        buf_close(&plain);
    }
    buf_close(&packets);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_in_any_pieces_are_one_stream),
        cmocka_unit_test(violations_close_with_a_code_and_keep_what_came_before),
        cmocka_unit_test(a_close_is_answered_with_its_code),
        cmocka_unit_test(heads_are_as_short_as_can_be),
        cmocka_unit_test(every_packet_is_a_message_of_its_own),
        cmocka_unit_test(a_packet_may_be_cut_at_every_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
