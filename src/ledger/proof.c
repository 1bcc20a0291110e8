/* Proof files: a text of lines that other tools can check as a C2SP tlog-proof, with a binary part
 * of our own in its extra line. There is one form for each proof: what parses is written again as
 * the same bytes. */
#include "ledger/proof.h"

#include "base/assert.h"
#include "base/text.h"
#include "ledger/note_int.h"

#include <stdlib.h>

#define FIRST_LINE    BYTES_LIT(PROOF_FIRST_LINE)
#define EXTRA_START   BYTES_LIT("extra ")
#define INDEX_START   BYTES_LIT("index ")
#define PROOF_VERSION 1

const char *proof_kind_name(enum proof_kind kind)
{
    switch (kind) {
    case PROOF_BLOCK:
        return "block";
    case PROOF_REQUEST:
        return "request";
    case PROOF_RECORD:
        return "record";
    case PROOF_ROW:
        return "row";
    }
    return NULL;
}

/* --- reading the extra line --- */

static void read_path(struct reader *r, struct merkle_path *out)
{
    out->n = 0;
    size_t n = reader_u8(r);
    if (n > MERKLE_PATH_MAX)
        reader_fail(r, SEALMQ_E_LIMIT);
    for (size_t i = 0; i < n && r->failed == 0; i++)
        reader_copy(r, out->hashes[i].b, HASH_SIZE);
    if (r->failed == 0)
        out->n = n;
}

static void read_header(struct reader *r, struct proof *out)
{
    out->header_wire = reader_str16(r);
    if (r->failed != 0)
        return;
    int error = header_decode(out->header_wire, &out->header);
    if (error != 0)
        reader_fail(r, error);
}

static void read_request(struct reader *r, struct proof *out)
{
    struct bytes leaf = reader_str32(r);
    out->request_index = reader_u32(r);
    read_path(r, &out->request_path);
    if (r->failed != 0)
        return;
    int error = request_decode_leaf(leaf, &out->request);
    if (error != 0)
        reader_fail(r, error);
}

static void read_record(struct reader *r, struct proof *out)
{
    out->sub_index = reader_u32(r);
    out->record_text = reader_str16(r);
    read_path(r, &out->sub_path);
    if (r->failed != 0)
        return;
    int error = record_parse(out->record_text, &out->record);
    if (error != 0)
        reader_fail(r, error);
}

static void read_row(struct reader *r, struct proof *out)
{
    out->sub_index = reader_u32(r);
    interval_leaf_read(r, &out->leaf);
    read_path(r, &out->sub_path);
    out->report.gateway = out->request.sender;
    out->report.n = out->leaf.n;
    out->report.topic = reader_str16(r);
    out->report.rows = reader_u32(r);
    read_path(r, &out->head_path);
    out->row_number = reader_u32(r);
    if (row_decode(r, &out->row) != 0)
        return;
    read_path(r, &out->row_path);
    if (r->failed != 0)
        return;
    if (out->report.topic.n > TOPIC_MAX_BYTES || out->report.rows > REPORT_ROWS_MAX)
        reader_fail(r, SEALMQ_E_LIMIT);
    else if (!utf8_is_valid(out->report.topic) ||
             (out->report.topic.n != 0 &&
              memchr(out->report.topic.p, 0, out->report.topic.n) != NULL) ||
             out->row_number >= out->report.rows)
        reader_fail(r, SEALMQ_E_PARSE);
}

static void read_state(struct reader *r, struct proof *out)
{
    size_t n = reader_u8(r);
    if (n > PROOF_STATE_MAX)
        reader_fail(r, SEALMQ_E_LIMIT);
    if (r->failed != 0 || n == 0)
        return;
    out->state = calloc(n, sizeof(*out->state));
    if (out->state == NULL) {
        reader_fail(r, SEALMQ_E_NOMEM);
        return;
    }
    out->state_count = n;
    for (size_t i = 0; i < n; i++) {
        out->state[i].key = reader_str16(r);
        out->state[i].value = reader_str16(r);
        if (statetree_path_decode(r, &out->state[i].path) != 0)
            return;
    }
}

static int read_extra(struct proof *out)
{
    struct reader r = reader_of(buf_bytes(&out->storage));
    uint8_t version = reader_u8(&r);
    if (r.failed == 0 && version != PROOF_VERSION)
        return SEALMQ_E_VERSION;
    uint8_t kind = reader_u8(&r);
    out->kind = (enum proof_kind)kind;
    if (r.failed == 0 && proof_kind_name(out->kind) == NULL)
        return SEALMQ_E_TYPE;
    read_header(&r, out);
    if (kind != PROOF_BLOCK)
        read_request(&r, out);
    if (kind == PROOF_RECORD)
        read_record(&r, out);
    if (kind == PROOF_ROW)
        read_row(&r, out);
    if (kind != PROOF_BLOCK)
        read_state(&r, out);
    return reader_end(&r);
}

/* --- reading the lines --- */

/* Takes a line that starts so, and gives what follows on it. */
static bool take_line_of(struct bytes *text, struct bytes start, struct bytes *rest)
{
    struct bytes line;
    if (!note_take_line(text, &line) || !bytes_starts_with(line, start))
        return false;
    *rest = bytes_of(line.p + start.n, line.n - start.n);
    return true;
}

static int read_lines(struct bytes text, struct proof *out)
{
    struct bytes first, extra, index;
    if (text.n > PROOF_BYTES_MAX)
        return SEALMQ_E_LIMIT;
    if (!note_take_line(&text, &first) || !bytes_equal(first, FIRST_LINE) ||
        !take_line_of(&text, EXTRA_START, &extra) || !take_line_of(&text, INDEX_START, &index))
        return SEALMQ_E_PARSE;
    int error = u64_parse(index, &out->log_index);
    if (error == 0)
        error = note_read_path(&text, &out->log_path);
    if (error != 0)
        return error;
    out->note = text;
    if (text.n > NOTE_BYTES_MAX)
        return SEALMQ_E_LIMIT;
    struct checkpoint checkpoint;
    struct bytes body, signatures;
    error = checkpoint_parse(text, &checkpoint, &body, &signatures);
    if (error == 0)
        error = base64_decode(extra, &out->storage);
    return error != 0 ? error : read_extra(out);
}

int proof_parse(struct bytes text, struct proof *out)
{
    *out = (struct proof){0};
    int error = read_lines(text, out);
    if (error != 0)
        proof_close(out);
    return error;
}

void proof_close(struct proof *proof)
{
    buf_close(&proof->storage);
    free(proof->state);
    *proof = (struct proof){0};
}

/* --- writing --- */

static void append_path(struct buf *out, const struct merkle_path *path)
{
    ASSERT(path->n <= MERKLE_PATH_MAX);
    buf_append_u8(out, (uint8_t)path->n);
    for (size_t i = 0; i < path->n; i++)
        buf_append_bytes(out, hash_bytes(&path->hashes[i]));
}

static void append_state(struct buf *out, const struct proof *proof)
{
    ASSERT(proof->state_count <= PROOF_STATE_MAX);
    buf_append_u8(out, (uint8_t)proof->state_count);
    for (size_t i = 0; i < proof->state_count; i++) {
        buf_append_str16(out, proof->state[i].key);
        buf_append_str16(out, proof->state[i].value);
        statetree_path_encode(&proof->state[i].path, out);
    }
}

static void append_extra(struct buf *out, const struct proof *proof)
{
    buf_append_u8(out, PROOF_VERSION);
    buf_append_u8(out, (uint8_t)proof->kind);
    buf_append_str16(out, proof->header_wire);
    if (proof->kind == PROOF_BLOCK)
        return;
    buf_append_str32(out, proof->request.leaf);
    buf_append_u32(out, proof->request_index);
    append_path(out, &proof->request_path);
    if (proof->kind == PROOF_RECORD) {
        buf_append_u32(out, proof->sub_index);
        buf_append_str16(out, proof->record_text);
        append_path(out, &proof->sub_path);
    }
    if (proof->kind == PROOF_ROW) {
        buf_append_u32(out, proof->sub_index);
        interval_leaf_encode(&proof->leaf, out);
        append_path(out, &proof->sub_path);
        buf_append_str16(out, proof->report.topic);
        buf_append_u32(out, proof->report.rows);
        append_path(out, &proof->head_path);
        buf_append_u32(out, proof->row_number);
        row_encode(&proof->row, out);
        append_path(out, &proof->row_path);
    }
    append_state(out, proof);
}

int proof_format(const struct proof *proof, struct buf *out)
{
    ASSERT(proof_kind_name(proof->kind) != NULL);
    struct buf extra = {.limit = PROOF_BYTES_MAX}, text = {.limit = PROOF_BYTES_MAX};
    append_extra(&extra, proof);
    int error = buf_status(&extra);
    if (error == 0) {
        buf_append_bytes(&text, FIRST_LINE);
        buf_append_cstr(&text, "\n");
        buf_append_bytes(&text, EXTRA_START);
        base64_append(&text, buf_bytes(&extra));
        buf_append_cstr(&text, "\n");
        buf_append_bytes(&text, INDEX_START);
        buf_printf(&text, "%llu\n", (unsigned long long)proof->log_index);
        note_append_path(&proof->log_path, &text);
        buf_append_bytes(&text, proof->note);
        error = buf_status(&text);
    }
    if (error == 0) {
        buf_append_bytes(out, buf_bytes(&text));
        error = buf_status(out);
    }
    buf_close(&extra);
    buf_close(&text);
    return error;
}
