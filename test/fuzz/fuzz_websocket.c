/* A WebSocket connection on any bytes. The first byte chooses how the rest is cut; then it is a
 * request for the upgrade, or, with the highest bit, frames. Split anywhere must equal whole: the
 * same outcome, the same payload, the same answers. */
#include "base/assert.h"
#include "framing/upgrade.h"
#include "framing/websocket.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
    int error;
    struct buf out, answer;
};

static void run(struct bytes in, size_t step, struct outcome *o)
{
    struct websocket *ws;
    uint8_t *piece = malloc(step > 0 ? step : 1);
    ASSERT(piece != NULL && websocket_new(&ws) == 0);
    for (size_t at = 0; o->error == 0 && at < in.n; at += step) {
        size_t n = in.n - at < step ? in.n - at : step, got = 0;
        memcpy(piece, in.p + at, n);
        o->error = websocket_input(ws, bytes_of(piece, n), piece, &got, &o->answer);
        ASSERT(got <= n);
        buf_append(&o->out, piece, got);
    }
    ASSERT(buf_status(&o->out) == 0 && buf_status(&o->answer) == 0);
    ASSERT(o->error == 0 || o->error == SEALMQ_E_CLOSED || o->error == SEALMQ_E_PROTOCOL);
    ASSERT((o->error == SEALMQ_E_PROTOCOL) == (websocket_words(ws)[0] != '\0'));
    ASSERT(o->out.n + o->answer.n <= in.n + 4);
    websocket_free(ws);
    free(piece);
}

static void frames(struct bytes in, size_t step)
{
    struct outcome whole = {0}, split = {0};
    run(in, in.n + 1, &whole);
    run(in, step, &split);
    ASSERT(whole.error == split.error);
    ASSERT(bytes_equal(buf_bytes(&whole.out), buf_bytes(&split.out)));
    ASSERT(bytes_equal(buf_bytes(&whole.answer), buf_bytes(&split.answer)));
    buf_close(&whole.out);
    buf_close(&whole.answer);
    buf_close(&split.out);
    buf_close(&split.answer);
}

static void request(struct bytes in, size_t step)
{
    struct upgrade whole, split = {0};
    struct buf answer = {0};
    size_t consumed, consumed_split = 0, n = 0;
    int e = upgrade_examine(in, "/mqtt", &whole, &consumed), e_split;
    do {
        n = in.n - n < step ? in.n : n + step;
        e_split = upgrade_examine(bytes_of(in.p, n), "/mqtt", &split, &consumed_split);
    } while (e_split == SEALMQ_E_AGAIN && n < in.n);
    ASSERT(e == e_split && whole.status == split.status && consumed == consumed_split);
    ASSERT(consumed <= in.n && consumed <= UPGRADE_HEAD_MAX);
    if (e == 0) {
        ASSERT((whole.status == 101) == (consumed > 0));
        ASSERT(whole.status == 101 || (whole.status >= 400 && whole.status < 600));
        upgrade_append_answer(&whole, &answer);
        ASSERT(buf_status(&answer) == 0 && answer.n < 512);
    }
    buf_close(&answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > 100000)
        return 0;
    struct bytes in = bytes_of(data + 1, size - 1);
    size_t step = (size_t)(data[0] & 0x7f) + 1;
    if ((data[0] & 0x80) != 0)
        frames(in, step);
    else
        request(in, step);
    return 0;
}
