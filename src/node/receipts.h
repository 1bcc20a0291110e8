/* Receipts: which requests wait for one, and their proofs once a checkpoint covers them.
 *
 * A request is WANTED from when a client of this node sends it, RECORDED once it is in a final
 * block (its place and path are kept), and gone once a checkpoint with a quorum covers the block
 * and the proof was handed out. Without I/O; for one thread. */
#ifndef SEALMQ_NODE_RECEIPTS_H
#define SEALMQ_NODE_RECEIPTS_H

#include "ledger/block.h"
#include "ledger/merkle.h"

#define RECEIPTS_MAX 65536 /* wanted and recorded; over that the oldest is forgotten */

struct receipts;

struct receipt {
    struct bytes client; /* who is to get it */
    uint64_t number;     /* of the request */
    uint64_t height;
    struct bytes proof; /* a proof file of kind REQUEST */
};
typedef void (*receipt_fn)(void *context, const struct receipt *receipt);

SEALMQ_MUST_CHECK int receipts_new(struct receipts **out);
void receipts_free(struct receipts *receipts);
size_t receipts_waiting(const struct receipts *receipts);

/* The client wants a receipt for its request. Wanting it twice is once. */
SEALMQ_MUST_CHECK int receipts_want(struct receipts *receipts, const struct hash *request,
                                    struct bytes client);
/* Forgets a request that is not recorded; false when it is recorded or not known. */
bool receipts_forget_unrecorded(struct receipts *receipts, const struct hash *request);
/* A final block: what is wanted of its requests becomes recorded. */
SEALMQ_MUST_CHECK int receipts_block(struct receipts *receipts, const struct block *block);
/* Where the path of a block's header in the log of `size` headers comes from. */
struct receipts_log {
    int (*prove)(void *context, uint64_t height, uint64_t size, struct merkle_path *out);
    void *context;
};
/* Hands out what the checkpoint covers: `size` headers, `note` whole with its signatures. */
SEALMQ_MUST_CHECK int receipts_checkpoint(struct receipts *receipts, const struct receipts_log *log,
                                          uint64_t size, struct bytes note, receipt_fn fn,
                                          void *context);

#endif
