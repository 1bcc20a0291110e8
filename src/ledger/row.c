#include "ledger/row.h"

#include "base/assert.h"
#include "base/id.h"
#include "base/text.h"
#include "ledger/merkle.h"

#define HEAD_LABEL "sealmq-report-1"

/* All of a row but the value, at its longest. */
#define ROW_FRONT_MAX (3 * (1 + NAME_MAX_BYTES) + 1 + (1 + UNIT_MAX_BYTES) + 8 + 2)

static int row_check_lengths(const struct row *row)
{
    if (row->device.n > NAME_MAX_BYTES || row->service.n > NAME_MAX_BYTES ||
        row->name.n > NAME_MAX_BYTES || row->unit.n > UNIT_MAX_BYTES ||
        row->value.n > VALUE_MAX_BYTES)
        return SEALMQ_E_LIMIT;
    return datatype_name(row->type) != NULL ? 0 : SEALMQ_E_TYPE;
}

int row_check(const struct row *row)
{
    int error = row_check_lengths(row);
    if (error != 0)
        return error;
    if (!item_name_is_valid(row->device) || !item_name_is_valid(row->service) ||
        !item_name_is_valid(row->name) || datatype_check(DATATYPE_STRING, row->unit) != 0)
        return SEALMQ_E_PARSE;
    if (row->time_us < 0 || row->time_us > EVENTTIME_LAST_US)
        return SEALMQ_E_PARSE;
    return datatype_check(row->type, row->value);
}

static uint8_t *put_number(uint8_t *p, uint64_t v, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        p[i] = (uint8_t)(v >> (8 * (size - 1 - i)));
    return p + size;
}

static uint8_t *put_str8(uint8_t *p, struct bytes s)
{
    *p++ = (uint8_t)s.n;
    return s.n == 0 ? p : (uint8_t *)mempcpy(p, s.p, s.n);
}

/* Everything before the value; the row's lengths are checked. On the stack, because a history is
 * audited row by row. */
static struct bytes row_front(const struct row *row, uint8_t front[ROW_FRONT_MAX])
{
    uint8_t *p = put_str8(front, row->device);
    p = put_str8(p, row->service);
    p = put_str8(p, row->name);
    *p++ = (uint8_t)row->type;
    p = put_str8(p, row->unit);
    p = put_number(p, (uint64_t)row->time_us, 8);
    p = put_number(p, row->value.n, 2);
    return bytes_of(front, (size_t)(p - front));
}

void row_encode(const struct row *row, struct buf *out)
{
    ASSERT(row_check_lengths(row) == 0);
    uint8_t front[ROW_FRONT_MAX];
    buf_append_bytes(out, row_front(row, front));
    buf_append_bytes(out, row->value);
}

int row_decode(struct reader *r, struct row *out)
{
    *out = (struct row){0};
    out->device = reader_str8(r);
    out->service = reader_str8(r);
    out->name = reader_str8(r);
    out->type = (enum datatype)reader_u8(r);
    out->unit = reader_str8(r);
    out->time_us = (int64_t)reader_u64(r);
    out->value = reader_str16(r);
    if (reader_status(r) == 0) {
        int error = row_check(out);
        if (error != 0)
            reader_fail(r, error);
    }
    return reader_status(r);
}

int row_leaf(const struct row *row, struct hash *out)
{
    int error = row_check_lengths(row);
    if (error != 0)
        return error;
    static const uint8_t prefix = 0x00;
    uint8_t front[ROW_FRONT_MAX];
    struct hasher h;
    hasher_init(&h);
    hasher_update(&h, bytes_of(&prefix, 1));
    hasher_update(&h, row_front(row, front));
    hasher_update(&h, row->value);
    hasher_final(&h, out);
    return 0;
}

int report_head_leaf(const struct report_head *head, struct hash *out)
{
    if (head->gateway.n > ID_MAX || head->topic.n > TOPIC_MAX_BYTES || head->rows > REPORT_ROWS_MAX)
        return SEALMQ_E_LIMIT;
    uint8_t bytes[sizeof(HEAD_LABEL) + 1 + ID_MAX + 2 + TOPIC_MAX_BYTES + 8 + 4];
    uint8_t *p = mempcpy(bytes, HEAD_LABEL, sizeof(HEAD_LABEL)); /* its final zero included */
    p = put_str8(p, head->gateway);
    p = put_number(p, head->topic.n, 2);
    if (head->topic.n != 0)
        p = mempcpy(p, head->topic.p, head->topic.n);
    p = put_number(p, head->n, 8);
    p = put_number(p, head->rows, 4);
    hash_leaf(bytes_of(bytes, (size_t)(p - bytes)), out);
    return 0;
}

void report_hash(const struct hash *leaves, size_t n, struct hash *out)
{
    merkle_root(leaves, n, out);
}

void report_sign(const struct sign_key *key, const struct hash *genesis, const struct hash *report,
                 struct signature *out)
{
    sign_message(key, REPORT_LABEL, genesis, hash_bytes(report), out);
}

int report_verify(const struct public_key *key, const struct hash *genesis,
                  const struct hash *report, const struct signature *signature)
{
    return sign_verify(key, REPORT_LABEL, genesis, hash_bytes(report), signature);
}
