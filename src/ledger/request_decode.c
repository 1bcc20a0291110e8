/* Requests as bytes: decoding, and the walks over a decoded request's lists.
 *
 * Decoding goes over the whole input once and allocates nothing. Whatever it accepts is canonical:
 * there is one wire form for a request and its set of signatures. The walks rely on that and assert
 * it, so they must only be given lists of a decoded request. */
#include "ledger/request.h"

#include "base/assert.h"
#include "base/id.h"
#include "ledger/merkle.h"
#include "ledger/request_int.h"

#include <stdlib.h>

const char *request_kind_name(enum request_kind kind)
{
    switch (kind) {
    case REQUEST_DATA:
        return "data";
    case REQUEST_DESCRIBE:
        return "describe";
    case REQUEST_REGISTER:
        return "register";
    case REQUEST_REVOKE:
        return "revoke";
    case REQUEST_ROTATE:
        return "rotate";
    case REQUEST_CONFIGURE:
        return "configure";
    }
    return "?";
}

bool request_is_by_member(const struct request *request)
{
    return request->kind == REQUEST_DATA || request->kind == REQUEST_DESCRIBE ||
           (request->kind == REQUEST_ROTATE &&
            !bytes_starts_with(request->sender, BYTES_LIT("admin/")));
}

void request_read_id(struct reader *r, struct bytes *out)
{
    *out = reader_str8(r);
    if (r->failed == 0 && !id_is_valid(*out))
        reader_fail(r, SEALMQ_E_PARSE);
}

static uint64_t read_sequence(struct reader *r)
{
    uint64_t n = reader_u64(r);
    if (r->failed == 0 && n == 0)
        reader_fail(r, SEALMQ_E_PARSE);
    if (n > SEQUENCE_MAX)
        reader_fail(r, SEALMQ_E_LIMIT);
    return n;
}

/* --- signatures --- */

static void read_signature(struct reader *r, struct bytes *signer, struct signature *out)
{
    request_read_id(r, signer);
    reader_copy(r, out->b, SIGNATURE_SIZE);
}

bool request_signatures_next(struct bytes *list, struct bytes *signer, struct signature *out)
{
    if (list->n == 0)
        return false;
    struct reader r = reader_of(*list);
    read_signature(&r, signer, out);
    ASSERT(r.failed == 0);
    *list = bytes_of(r.p, r.n);
    return true;
}

/* Signers ascend, so that none counts twice and there is one form; the sender is one of them. */
static void read_signatures(struct reader *r, struct request *out)
{
    out->signature_count = reader_u8(r);
    if (out->signature_count > ADMINS_MAX)
        reader_fail(r, SEALMQ_E_LIMIT);
    const uint8_t *start = r->p;
    struct bytes last = {0};
    bool sender_signed = false;
    for (unsigned i = 0; i < out->signature_count && r->failed == 0; i++) {
        struct bytes signer;
        struct signature signature;
        read_signature(r, &signer, &signature);
        if (r->failed == 0 && bytes_compare(last, signer) >= 0)
            reader_fail(r, SEALMQ_E_PARSE);
        sender_signed = sender_signed || bytes_equal(signer, out->sender);
        last = signer;
    }
    if (r->failed != 0)
        return;
    if (request_is_by_member(out) && out->signature_count != 1)
        reader_fail(r, SEALMQ_E_COUNT);
    else if (!sender_signed)
        reader_fail(r, SEALMQ_E_COUNT);
    else
        out->signatures = bytes_of(start, (size_t)(r->p - start));
}

/* --- data --- */

static void read_data_body(struct reader *r, struct request *out)
{
    out->data.record_count = reader_u32(r);
    reader_copy(r, out->data.records_root.b, HASH_SIZE);
    out->data.from = read_sequence(r);
    out->data.to = reader_u64(r);
    out->data.leaf_count = reader_u32(r);
    reader_copy(r, out->data.interval_root.b, HASH_SIZE);
    if (r->failed != 0)
        return;
    if (out->data.to > SEQUENCE_MAX || out->data.record_count > REQUEST_RECORDS_MAX ||
        out->data.leaf_count > REQUEST_LEAVES_MAX)
        reader_fail(r, SEALMQ_E_LIMIT);
    else if (out->data.to < out->data.from - 1)
        reader_fail(r, SEALMQ_E_PARSE);
    else if (out->data.to - (out->data.from - 1) > out->data.leaf_count)
        reader_fail(r, SEALMQ_E_COUNT);
}

void interval_leaf_encode(const struct interval_leaf *leaf, struct buf *out)
{
    buf_append_u64(out, leaf->n);
    buf_append_u8(out, (uint8_t)leaf->status);
    buf_append_str8(out, leaf->node);
    buf_append(out, leaf->report.b, HASH_SIZE);
}

void interval_leaf_read(struct reader *r, struct interval_leaf *out)
{
    out->n = read_sequence(r);
    uint8_t status = reader_u8(r);
    out->node = reader_str8(r);
    reader_copy(r, out->report.b, HASH_SIZE);
    out->status = (enum leaf_status)status;
    if (r->failed != 0)
        return;
    if (status < LEAF_ACKNOWLEDGED || status > LEAF_PENDING)
        reader_fail(r, SEALMQ_E_TYPE);
    else if (status == LEAF_ACKNOWLEDGED ? !id_is_valid(out->node) : out->node.n != 0)
        reader_fail(r, SEALMQ_E_PARSE);
}

bool request_records_next(struct bytes *list, struct bytes *text)
{
    if (list->n == 0)
        return false;
    struct reader r = reader_of(*list);
    *text = reader_str16(&r);
    ASSERT(r.failed == 0);
    *list = bytes_of(r.p, r.n);
    return true;
}

bool request_leaves_next(struct bytes *list, struct interval_leaf *out)
{
    if (list->n == 0)
        return false;
    struct reader r = reader_of(*list);
    interval_leaf_read(&r, out);
    ASSERT(r.failed == 0);
    *list = bytes_of(r.p, r.n);
    return true;
}

static void check_root(struct reader *r, const struct merkle_edge *edge, const struct hash *root)
{
    struct hash actual;
    merkle_edge_root(edge, &actual);
    if (r->failed == 0 && !hash_equal(&actual, root))
        reader_fail(r, SEALMQ_E_HASH);
}

static void read_records(struct reader *r, struct request *out)
{
    const uint8_t *start = r->p;
    struct merkle_edge edge = {0};
    for (uint32_t i = 0; i < out->data.record_count && r->failed == 0; i++) {
        struct bytes text = reader_str16(r);
        if (r->failed != 0)
            break;
        struct record record;
        int error = record_parse(text, &record);
        if (error == 0 && !bytes_equal(record.gateway, out->sender))
            error = SEALMQ_E_PARSE;
        if (error != 0) {
            reader_fail(r, error);
            break;
        }
        struct hash leaf;
        hash_leaf(text, &leaf);
        merkle_edge_append(&edge, &leaf);
    }
    check_root(r, &edge, &out->data.records_root);
    if (r->failed == 0)
        out->data.records = bytes_of(start, (size_t)(r->p - start));
}

/* Leaves below `from` first, then one for each number of from..to; all ascending. */
static void read_leaves(struct reader *r, struct request *out)
{
    const uint8_t *start = r->p;
    uint64_t covered = out->data.to - (out->data.from - 1);
    uint64_t resolving = out->data.leaf_count - covered;
    struct merkle_edge edge = {0};
    uint64_t last = 0;
    for (uint32_t i = 0; i < out->data.leaf_count && r->failed == 0; i++) {
        const uint8_t *p = r->p;
        struct interval_leaf leaf;
        interval_leaf_read(r, &leaf);
        if (r->failed != 0)
            break;
        bool in_place =
            i < resolving ? leaf.n > last && leaf.n < out->data.from && leaf.status != LEAF_PENDING
                          : leaf.n == out->data.from + (i - resolving);
        if (!in_place) {
            reader_fail(r, SEALMQ_E_PARSE);
            break;
        }
        last = leaf.n;
        struct hash hash;
        hash_leaf(bytes_of(p, (size_t)(r->p - p)), &hash);
        merkle_edge_append(&edge, &hash);
    }
    check_root(r, &edge, &out->data.interval_root);
    if (r->failed == 0)
        out->data.leaves = bytes_of(start, (size_t)(r->p - start));
}

/* --- describe --- */

static void read_item(struct reader *r, struct item *out)
{
    out->num = reader_u32(r);
    out->device = reader_str8(r);
    out->service = reader_str8(r);
    out->name = reader_str8(r);
    uint8_t type = reader_u8(r);
    out->unit = reader_str8(r);
    out->type = (enum datatype)type;
    if (r->failed != 0)
        return;
    if (datatype_name(out->type) == NULL)
        reader_fail(r, SEALMQ_E_TYPE);
    else if (out->unit.n > UNIT_MAX_BYTES)
        reader_fail(r, SEALMQ_E_LIMIT);
    else if (out->num == 0 || !item_name_is_valid(out->device) ||
             !item_name_is_valid(out->service) || !item_name_is_valid(out->name) ||
             !utf8_is_valid(out->unit) ||
             (out->unit.n != 0 && memchr(out->unit.p, 0, out->unit.n) != NULL))
        reader_fail(r, SEALMQ_E_PARSE);
}

bool request_items_next(struct bytes *list, struct item *out)
{
    if (list->n == 0)
        return false;
    struct reader r = reader_of(*list);
    read_item(&r, out);
    ASSERT(r.failed == 0);
    *list = bytes_of(r.p, r.n);
    return true;
}

static int compare_bytes(const void *a, const void *b)
{
    return bytes_compare(*(const struct bytes *)a, *(const struct bytes *)b);
}

/* What makes an item the same one (str8 device || str8 service || str8 name) lies in one piece in
 * the wire form: these pieces are sorted to find two that are equal. */
static void read_describe_body(struct reader *r, struct request *out)
{
    struct bytes names[REQUEST_ITEMS_MAX];
    uint16_t count = reader_u16(r);
    if (count > REQUEST_ITEMS_MAX)
        reader_fail(r, SEALMQ_E_LIMIT);
    else if (count == 0)
        reader_fail(r, SEALMQ_E_COUNT);
    const uint8_t *start = r->p;
    uint32_t last = 0;
    for (uint16_t i = 0; i < count && r->failed == 0; i++) {
        struct item item;
        read_item(r, &item);
        if (r->failed != 0)
            return;
        if (item.num <= last) {
            reader_fail(r, SEALMQ_E_PARSE);
            return;
        }
        last = item.num;
        names[i] = bytes_of(item.device.p - 1, item.device.n + item.service.n + item.name.n + 3);
    }
    if (r->failed != 0)
        return;
    qsort(names, count, sizeof(names[0]), compare_bytes);
    for (uint16_t i = 1; i < count; i++)
        if (bytes_equal(names[i - 1], names[i]))
            reader_fail(r, SEALMQ_E_PARSE);
    out->describe.item_count = count;
    out->describe.items = bytes_of(start, (size_t)(r->p - start));
}

/* --- the whole --- */

static int decode_head(struct bytes head, struct request *out)
{
    struct reader r = reader_of(head);
    uint8_t version = reader_u8(&r);
    if (r.failed == 0 && version != REQUEST_VERSION)
        return SEALMQ_E_VERSION;
    uint8_t kind = reader_u8(&r);
    out->kind = (enum request_kind)kind;
    request_read_id(&r, &out->sender);
    out->number = read_sequence(&r);
    if (r.failed != 0)
        return r.failed;
    switch (kind) {
    case REQUEST_DATA:
        read_data_body(&r, out);
        break;
    case REQUEST_DESCRIBE:
        read_describe_body(&r, out);
        break;
    case REQUEST_REGISTER:
    case REQUEST_REVOKE:
    case REQUEST_ROTATE:
    case REQUEST_CONFIGURE:
        request_read_governing_body(&r, out);
        break;
    default:
        return SEALMQ_E_TYPE;
    }
    return reader_end(&r);
}

/* Reads str32 head || signatures; the reader is then at what travels beside. */
static void read_leaf(struct reader *r, struct request *out)
{
    const uint8_t *start = r->p;
    out->head = reader_str32(r);
    if (r->failed == 0) {
        int error = decode_head(out->head, out);
        if (error != 0)
            reader_fail(r, error);
    }
    read_signatures(r, out);
    if (r->failed != 0)
        return;
    out->leaf = bytes_of(start, (size_t)(r->p - start));
    hash_leaf(out->leaf, &out->hash);
}

int request_decode(struct bytes wire, struct request *out)
{
    *out = (struct request){.wire = wire};
    if (wire.n > REQUEST_BYTES_MAX)
        return SEALMQ_E_LIMIT;
    struct reader r = reader_of(wire);
    read_leaf(&r, out);
    if (r.failed == 0 && out->kind == REQUEST_DATA) {
        read_records(&r, out);
        if (r.failed == 0)
            read_leaves(&r, out);
    }
    return reader_end(&r);
}

int request_decode_leaf(struct bytes leaf, struct request *out)
{
    *out = (struct request){0};
    if (leaf.n > REQUEST_BYTES_MAX)
        return SEALMQ_E_LIMIT;
    struct reader r = reader_of(leaf);
    read_leaf(&r, out);
    return reader_end(&r);
}

int request_leaf_of(struct bytes wire, struct bytes *leaf)
{
    struct reader r = reader_of(wire);
    (void)reader_str32(&r);
    unsigned count = reader_u8(&r);
    for (unsigned i = 0; i < count; i++) {
        (void)reader_str8(&r);
        (void)reader_bytes(&r, SIGNATURE_SIZE);
    }
    *leaf = r.failed == 0 ? bytes_of(wire.p, wire.n - r.n) : (struct bytes){0};
    return r.failed;
}

int request_verify(const struct request *request, const struct public_key *key,
                   const struct hash *genesis, const struct signature *signature)
{
    return sign_verify(key, REQUEST_LABEL, genesis, request->head, signature);
}
