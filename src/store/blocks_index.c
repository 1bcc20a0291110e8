/* Which rows of the index follow from a block. */
#include "store/blocks_int.h"

static int walk_data(const struct request *request, struct blocks_index_row *row,
                     blocks_index_fn fn, void *context)
{
    struct bytes leaves = request->data.leaves;
    struct interval_leaf leaf;
    int error = 0;
    row->leaf = 0;
    row->table = INDEX_RESOLVED;
    while (error == 0 && request_leaves_next(&leaves, &leaf) && leaf.n < request->data.from) {
        row->first = row->last = leaf.n;
        error = fn(context, row);
        row->leaf++;
    }
    if (error != 0 || request->data.to < request->data.from)
        return error;
    row->table = INDEX_INTERVAL;
    row->first = request->data.from;
    row->last = request->data.to;
    return fn(context, row);
}

/* What travels beside a request is of interest for its leaves alone. */
static int decode(struct bytes wire, struct request *out)
{
    struct bytes leaf;
    int error = request_leaf_of(wire, &leaf);
    if (error == 0)
        error = request_decode_leaf(leaf, out);
    if (error == 0 && out->kind == REQUEST_DATA && out->data.leaf_count != 0)
        error = request_decode(wire, out);
    return error;
}

int blocks_index_walk(const struct block *block, blocks_index_fn fn, void *context,
                      uint64_t *records)
{
    struct bytes list = block->requests, wire;
    struct request request;
    struct blocks_index_row row = {.height = block->header.height};
    *records = 0;
    for (; block_requests_next(&list, &wire); row.index++) {
        int error = decode(wire, &request);
        if (error != 0)
            return error;
        row.table = INDEX_REQUEST;
        row.sender = request.sender;
        row.first = row.last = request.number;
        row.leaf = 0;
        error = fn(context, &row);
        if (error == 0 && request.kind == REQUEST_DATA) {
            *records += request.data.record_count;
            error = walk_data(&request, &row, fn, context);
        }
        if (error != 0)
            return error;
    }
    return 0;
}
