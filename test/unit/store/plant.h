/* A node's data folder with a chain that grows: the ledger's test network, and the block store of
 * its first validator. */
#ifndef TEST_STORE_PLANT_H
#define TEST_STORE_PLANT_H

#include "store/blocks.h"
#include "unit/ledger/network.h"

struct plant {
    struct network network;
    struct chain *chain;
    struct block_store *store;
    struct batch batch; /* requests of the next block */
    char folder[512];
};

/* Makes the store in the test's folder. Four validators, GATEWAY registered at height 1. */
struct plant *plant_new(void **state);
void plant_free(struct plant *plant);
struct block_store *plant_open(struct plant *plant, enum block_store_mode mode);
/* Makes a block of the batch, certifies and stores it. */
void plant_block(struct plant *plant);
/* The same within a step of the store, whose error it gives back; the chain has the block then. */
int plant_put_block(struct plant *plant);
/* Votes of a quorum for a block. */
void plant_certify(const struct plant *plant, const struct block *block, struct buf *out);
/* A checkpoint of the chain as it is, cosigned by a quorum. */
void plant_checkpoint(const struct plant *plant, struct buf *note);

#endif
