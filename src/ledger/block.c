/* Blocks as bytes: a header and the wire forms of the requests that it commits to. */
#include "ledger/block.h"

#include "base/assert.h"
#include "ledger/merkle.h"

bool block_requests_next(struct bytes *list, struct bytes *request_wire)
{
    if (list->n == 0)
        return false;
    struct reader r = reader_of(*list);
    *request_wire = reader_str32(&r);
    ASSERT(r.failed == 0);
    *list = bytes_of(r.p, r.n);
    return true;
}

static int add_request(struct merkle_edge *edge, struct bytes wire)
{
    struct bytes leaf;
    int error = request_leaf_of(wire, &leaf);
    if (error != 0)
        return error;
    struct hash hash;
    hash_leaf(leaf, &hash);
    merkle_edge_append(edge, &hash);
    return 0;
}

/* Walks the requests in `r` to their end and computes their root. */
static int read_requests(struct reader *r, uint32_t count, struct hash *root)
{
    struct merkle_edge edge = {0};
    for (uint32_t i = 0; i < count; i++) {
        struct bytes wire = reader_str32(r);
        int error = reader_status(r);
        if (error == 0 && wire.n > REQUEST_BYTES_MAX)
            error = SEALMQ_E_LIMIT;
        if (error == 0)
            error = add_request(&edge, wire);
        if (error != 0)
            return error;
    }
    merkle_edge_root(&edge, root);
    return reader_end(r);
}

int block_decode(struct bytes wire, struct block *out)
{
    *out = (struct block){.wire = wire};
    if (wire.n > BLOCK_WIRE_MAX)
        return SEALMQ_E_LIMIT;
    struct reader r = reader_of(wire);
    out->header_wire = reader_str16(&r);
    out->request_count = reader_u32(&r);
    int error = reader_status(&r);
    if (error == 0)
        error = header_decode(out->header_wire, &out->header);
    if (error != 0)
        return error;
    header_hash(out->header_wire, &out->hash);
    if (out->request_count != out->header.requests)
        return SEALMQ_E_COUNT;
    if (r.n > BLOCK_BYTES_MAX)
        return SEALMQ_E_LIMIT;
    out->requests = bytes_of(r.p, r.n);
    struct hash root;
    error = read_requests(&r, out->request_count, &root);
    if (error == 0 && !hash_equal(&root, &out->header.requests_root))
        error = SEALMQ_E_HASH;
    return error;
}

int block_encode(struct block_header *header, const struct bytes *requests, size_t n,
                 struct buf *out)
{
    if (n > BLOCK_REQUESTS_MAX)
        return SEALMQ_E_LIMIT;
    struct merkle_edge edge = {0};
    size_t total = 0;
    for (size_t i = 0; i < n; i++) {
        if (requests[i].n > REQUEST_BYTES_MAX)
            return SEALMQ_E_LIMIT;
        total += block_request_size(requests[i].n);
        int error = add_request(&edge, requests[i]);
        if (error != 0)
            return error;
    }
    if (total > BLOCK_BYTES_MAX)
        return SEALMQ_E_LIMIT;
    header->requests = (uint32_t)n;
    merkle_edge_root(&edge, &header->requests_root);

    size_t start = out->n;
    struct buf head = {.limit = HEADER_MAX};
    header_encode(header, &head);
    struct block_header check;
    int error = buf_status(&head);
    if (error == 0)
        error = header_decode(buf_bytes(&head), &check);
    if (error == 0) {
        buf_append_str16(out, buf_bytes(&head));
        buf_append_u32(out, (uint32_t)n);
        for (size_t i = 0; i < n; i++)
            buf_append_str32(out, requests[i]);
        error = buf_status(out);
    }
    if (error != 0)
        out->n = start;
    buf_close(&head);
    return error;
}

void genesis_block(const struct genesis *genesis, const struct hash *state_root, struct buf *out)
{
    struct block_header header = {
        .parent = genesis->hash,
        .state_root = *state_root,
        .time_us = genesis->created_us,
    };
    memcpy(header.network, genesis->network, sizeof(header.network));
    struct merkle_edge empty = {0};
    merkle_edge_root(&empty, &header.log_root);
    validator_set_hash(&genesis->validators, &header.validators);
    header.next_validators = header.validators;
    int error = block_encode(&header, NULL, 0, out);
    if (error != 0 && out->failed == 0)
        out->failed = error;
}
