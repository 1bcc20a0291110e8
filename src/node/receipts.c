#include "node/receipts.h"

#include "base/assert.h"
#include "ledger/proof.h"

#include <stdlib.h>

/* A failed HASH_ADD leaves hh.tbl NULL instead of ending the program. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

struct waiting {
    struct hash request;
    char client[ID_MAX + 1];
    bool is_recorded;
    /* recorded */
    uint64_t number, height;
    uint32_t index;
    struct merkle_path path;
    struct buf leaf, header;
    UT_hash_handle hh; /* in order of wanting */
};

struct receipts {
    struct waiting *waiting;
};

int receipts_new(struct receipts **out)
{
    *out = calloc(1, sizeof **out);
    return *out != NULL ? 0 : SEALMQ_E_NOMEM;
}

static void forget(struct receipts *receipts, struct waiting *waiting)
{
    ASSERT(receipts->waiting != NULL); /* it holds `waiting` */
    HASH_DEL(receipts->waiting, waiting);
    buf_close(&waiting->leaf);
    buf_close(&waiting->header);
    free(waiting);
}

void receipts_free(struct receipts *receipts)
{
    if (receipts == NULL)
        return;
    while (receipts->waiting != NULL)
        forget(receipts, receipts->waiting);
    free(receipts);
}

size_t receipts_waiting(const struct receipts *receipts)
{
    return HASH_COUNT(receipts->waiting);
}

static struct waiting *find(const struct receipts *receipts, const struct hash *request)
{
    struct waiting *waiting = NULL;
    HASH_FIND(hh, receipts->waiting, request->b, HASH_SIZE, waiting);
    return waiting;
}

int receipts_want(struct receipts *receipts, const struct hash *request, struct bytes client)
{
    struct waiting *waiting = find(receipts, request);
    if (waiting != NULL)
        return bytes_to_cstr(client, waiting->client, sizeof waiting->client);
    waiting = calloc(1, sizeof *waiting);
    if (waiting == NULL)
        return SEALMQ_E_NOMEM;
    waiting->request = *request;
    int error = bytes_to_cstr(client, waiting->client, sizeof waiting->client);
    if (error != 0) {
        free(waiting);
        return error;
    }
    if (HASH_COUNT(receipts->waiting) >= RECEIPTS_MAX)
        forget(receipts, receipts->waiting);
    HASH_ADD(hh, receipts->waiting, request.b, HASH_SIZE, waiting);
    if (waiting->hh.tbl != NULL)
        return 0;
    free(waiting);
    return SEALMQ_E_NOMEM;
}

bool receipts_forget_unrecorded(struct receipts *receipts, const struct hash *request)
{
    struct waiting *waiting = find(receipts, request);
    if (waiting == NULL || waiting->is_recorded)
        return false;
    forget(receipts, waiting);
    return true;
}

static int record(struct waiting *waiting, const struct block *block, const struct request *request,
                  const struct merkle_log *tree, uint32_t index)
{
    if (waiting->is_recorded)
        return 0;
    buf_append_bytes(&waiting->leaf, request->leaf);
    buf_append_bytes(&waiting->header, block->header_wire);
    int error = buf_status(&waiting->leaf);
    if (error == 0)
        error = buf_status(&waiting->header);
    if (error != 0)
        return error;
    waiting->number = request->number;
    waiting->height = block->header.height;
    waiting->index = index;
    merkle_log_prove(tree, index, block->request_count, &waiting->path);
    waiting->is_recorded = true;
    return 0;
}

/* The tree over the block's requests, from which every path is read. */
static int make_tree(const struct block *block, struct merkle_log *tree)
{
    struct bytes list = block->requests, wire, leaf;
    struct hash hash;
    int error = 0;
    while (error == 0 && block_requests_next(&list, &wire)) {
        error = request_leaf_of(wire, &leaf);
        if (error != 0)
            break;
        hash_leaf(leaf, &hash);
        error = merkle_log_append(tree, &hash);
    }
    return error;
}

/* Records the request if its receipt is wanted. What travels beside it is no part of that. */
static int record_wanted(struct receipts *receipts, const struct block *block, struct bytes wire,
                         const struct merkle_log *tree, uint32_t index)
{
    struct hash hash;
    struct bytes leaf;
    struct request request;
    merkle_log_leaf(tree, index, &hash);
    struct waiting *waiting = find(receipts, &hash);
    if (waiting == NULL)
        return 0;
    int error = request_leaf_of(wire, &leaf);
    if (error == 0)
        error = request_decode_leaf(leaf, &request);
    return error == 0 ? record(waiting, block, &request, tree, index) : error;
}

int receipts_block(struct receipts *receipts, const struct block *block)
{
    if (receipts->waiting == NULL || block->request_count == 0)
        return 0;
    struct merkle_log tree = {0};
    struct bytes list = block->requests, wire;
    int error = make_tree(block, &tree);
    for (uint32_t i = 0; error == 0 && block_requests_next(&list, &wire); i++)
        error = record_wanted(receipts, block, wire, &tree, i);
    merkle_log_close(&tree);
    return error;
}

static int make_proof(const struct waiting *waiting, const struct receipts_log *log, uint64_t size,
                      struct bytes note, struct buf *out)
{
    struct proof proof = {
        .kind = PROOF_REQUEST,
        .header_wire = buf_bytes(&waiting->header),
        .log_index = waiting->height,
        .note = note,
        .request = {.leaf = buf_bytes(&waiting->leaf)},
        .request_index = waiting->index,
        .request_path = waiting->path,
    };
    int error = header_decode(proof.header_wire, &proof.header);
    if (error != 0)
        return error;
    error = log->prove(log->context, waiting->height, size, &proof.log_path);
    if (error != 0)
        return error;
    return proof_format(&proof, out);
}

int receipts_checkpoint(struct receipts *receipts, const struct receipts_log *log, uint64_t size,
                        struct bytes note, receipt_fn fn, void *context)
{
    struct waiting *waiting, *next;
    HASH_ITER (hh, receipts->waiting, waiting, next) {
        if (!waiting->is_recorded || waiting->height >= size)
            continue;
        struct buf proof = {0};
        int error = make_proof(waiting, log, size, note, &proof);
        if (error == 0)
            fn(context, &(struct receipt){
                            .client = bytes_str(waiting->client),
                            .number = waiting->number,
                            .height = waiting->height,
                            .proof = buf_bytes(&proof),
                        });
        buf_close(&proof);
        if (error != 0)
            return error;
        forget(receipts, waiting);
    }
    return 0;
}
