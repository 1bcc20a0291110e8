/* Making requests: each is put together, signed, and then decoded once, so that nothing leaves here
 * that another member would refuse for its form. */
#include "ledger/request.h"

#include "ledger/merkle.h"
#include "ledger/request_int.h"

#include <stdlib.h>

void request_begin_head(struct buf *head, enum request_kind kind, struct bytes sender,
                        uint64_t number)
{
    buf_append_u8(head, REQUEST_VERSION);
    buf_append_u8(head, (uint8_t)kind);
    buf_append_str8(head, sender);
    buf_append_u64(head, number);
}

/* Appends head, one signature and what travels beside; frees both buffers. */
int request_finish(struct buf *head, struct buf *beside, struct bytes sender,
                   const struct sign_key *key, const struct hash *genesis, struct buf *out)
{
    int error = buf_status(head);
    if (error == 0)
        error = buf_status(beside);
    size_t start = out->n;
    if (error == 0) {
        struct signature signature;
        sign_message(key, REQUEST_LABEL, genesis, buf_bytes(head), &signature);
        buf_append_str32(out, buf_bytes(head));
        buf_append_u8(out, 1);
        buf_append_str8(out, sender);
        buf_append(out, signature.b, SIGNATURE_SIZE);
        buf_append_bytes(out, buf_bytes(beside));
        error = buf_status(out);
    }
    if (error == 0) {
        struct request check;
        error = request_decode(bytes_of(out->p + start, out->n - start), &check);
    }
    if (error != 0)
        out->n = start;
    buf_close(head);
    buf_close(beside);
    return error;
}

/* A piece that could not be made must not pass for an empty one. */
static void append_checked(struct buf *beside, const struct buf *piece, bool counted)
{
    if (piece->failed != 0 && beside->failed == 0)
        beside->failed = piece->failed;
    if (counted)
        buf_append_str16(beside, buf_bytes(piece));
    else
        buf_append_bytes(beside, buf_bytes(piece));
}

int request_make_data(const struct request_data *data, const struct sign_key *key,
                      const struct hash *genesis, struct buf *out)
{
    if (data->record_count > REQUEST_RECORDS_MAX || data->leaf_count > REQUEST_LEAVES_MAX)
        return SEALMQ_E_LIMIT;
    struct buf beside = {.limit = REQUEST_BYTES_MAX};
    struct buf text = {0};
    struct merkle_edge records = {0}, leaves = {0};
    struct hash hash;
    for (size_t i = 0; i < data->record_count; i++) {
        buf_reset(&text);
        record_format(&data->records[i], &text);
        append_checked(&beside, &text, true);
        hash_leaf(buf_bytes(&text), &hash);
        merkle_edge_append(&records, &hash);
    }
    for (size_t i = 0; i < data->leaf_count; i++) {
        buf_reset(&text);
        interval_leaf_encode(&data->leaves[i], &text);
        append_checked(&beside, &text, false);
        hash_leaf(buf_bytes(&text), &hash);
        merkle_edge_append(&leaves, &hash);
    }
    buf_close(&text);

    struct buf head = {0};
    request_begin_head(&head, REQUEST_DATA, data->sender, data->number);
    buf_append_u32(&head, (uint32_t)data->record_count);
    merkle_edge_root(&records, &hash);
    buf_append(&head, hash.b, HASH_SIZE);
    buf_append_u64(&head, data->from);
    buf_append_u64(&head, data->to);
    buf_append_u32(&head, (uint32_t)data->leaf_count);
    merkle_edge_root(&leaves, &hash);
    buf_append(&head, hash.b, HASH_SIZE);
    return request_finish(&head, &beside, data->sender, key, genesis, out);
}

static int compare_items(const void *a, const void *b)
{
    const struct item *x = *(const struct item *const *)a;
    const struct item *y = *(const struct item *const *)b;
    return x->num < y->num ? -1 : x->num > y->num;
}

int request_make_describe(struct bytes sender, uint64_t number, const struct item *items,
                          size_t item_count, const struct sign_key *key, const struct hash *genesis,
                          struct buf *out)
{
    const struct item *sorted[REQUEST_ITEMS_MAX];
    if (item_count > REQUEST_ITEMS_MAX)
        return SEALMQ_E_LIMIT;
    for (size_t i = 0; i < item_count; i++)
        sorted[i] = &items[i];
    qsort(sorted, item_count, sizeof(sorted[0]), compare_items);

    struct buf head = {0}, beside = {0};
    request_begin_head(&head, REQUEST_DESCRIBE, sender, number);
    buf_append_u16(&head, (uint16_t)item_count);
    for (size_t i = 0; i < item_count; i++) {
        buf_append_u32(&head, sorted[i]->num);
        buf_append_str8(&head, sorted[i]->device);
        buf_append_str8(&head, sorted[i]->service);
        buf_append_str8(&head, sorted[i]->name);
        buf_append_u8(&head, (uint8_t)sorted[i]->type);
        buf_append_str8(&head, sorted[i]->unit);
    }
    return request_finish(&head, &beside, sender, key, genesis, out);
}

int request_cosign(struct bytes wire, struct bytes signer, const struct sign_key *key,
                   const struct hash *genesis, struct buf *out)
{
    struct request request;
    int error = request_decode(wire, &request);
    if (error != 0)
        return error;
    if (request_is_by_member(&request))
        return SEALMQ_E_TYPE;

    struct bytes list = request.signatures;
    struct bytes who;
    struct signature signature;
    while (request_signatures_next(&list, &who, &signature))
        if (bytes_equal(who, signer))
            return SEALMQ_E_EXISTS;

    size_t start = out->n;
    struct signature mine;
    sign_message(key, REQUEST_LABEL, genesis, request.head, &mine);
    buf_append_str32(out, request.head);
    buf_append_u8(out, (uint8_t)(request.signature_count + 1));
    bool placed = false;
    for (list = request.signatures; request_signatures_next(&list, &who, &signature);) {
        if (!placed && bytes_compare(signer, who) < 0) {
            buf_append_str8(out, signer);
            buf_append(out, mine.b, SIGNATURE_SIZE);
            placed = true;
        }
        buf_append_str8(out, who);
        buf_append(out, signature.b, SIGNATURE_SIZE);
    }
    if (!placed) {
        buf_append_str8(out, signer);
        buf_append(out, mine.b, SIGNATURE_SIZE);
    }
    error = buf_status(out);
    if (error == 0) {
        struct request check;
        error = request_decode(bytes_of(out->p + start, out->n - start), &check);
    }
    if (error != 0)
        out->n = start;
    return error;
}
