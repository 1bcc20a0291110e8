#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ledger/note.h"
#include "plant.h"

#include <stdio.h>
#include <stdlib.h>

#define VALIDATORS 4

struct block_store *plant_open(struct plant *plant, enum block_store_mode mode)
{
    struct block_store *store;
    char why[512] = "";
    int error = block_store_open(plant->folder, mode, &plant->network.genesis.hash, &store, why,
                                 sizeof(why));
    if (error != 0)
        fail_msg("%s", why);
    return store;
}

struct plant *plant_new(void **state)
{
    struct plant *plant = calloc(1, sizeof(*plant));
    assert_non_null(plant);
    network_make(&plant->network, VALIDATORS, 1);
    snprintf(plant->folder, sizeof(plant->folder), "%s", (const char *)*state);
    plant->store = plant_open(plant, BLOCK_STORE_CREATE);
    assert_int_equal(chain_new(&plant->network.genesis, &plant->chain), 0);
    add_register(&plant->batch, &plant->network, 1, GATEWAY, &plant->network.gateway);
    plant_block(plant);
    return plant;
}

void plant_free(struct plant *plant)
{
    batch_close(&plant->batch);
    chain_free(plant->chain);
    block_store_close(plant->store);
    free(plant);
}

void plant_certify(const struct plant *plant, const struct block *block, struct buf *out)
{
    const struct validator_set *set = &plant->network.genesis.validators;
    struct certificate certificate = {.view = block->header.view,
                                      .height = block->header.height,
                                      .header = block->hash,
                                      .n = validators_quorum(VALIDATORS)};
    struct vote vote = {
        .view = certificate.view, .height = certificate.height, .header = certificate.header};
    validator_set_hash(set, &vote.validators);
    for (size_t i = 0; i < certificate.n; i++) {
        certificate.votes[i].validator = (uint8_t)i;
        vote_sign(&plant->network.validators[i], COMMIT_LABEL, &plant->network.genesis.hash, &vote,
                  &certificate.votes[i].signature);
    }
    certificate_encode(&certificate, out);
}

int plant_put_block(struct plant *plant)
{
    struct buf wire = {0}, certificate = {0};
    struct block block;
    make_block(plant->chain, &plant->batch, &wire);
    assert_int_equal(block_decode(buf_bytes(&wire), &block), 0);
    plant_certify(plant, &block, &certificate);
    int error = block_store_put_block(plant->store, buf_bytes(&wire), buf_bytes(&certificate));
    assert_int_equal(chain_append(plant->chain, &block), 0);
    batch_close(&plant->batch);
    buf_close(&wire);
    buf_close(&certificate);
    return error;
}

void plant_block(struct plant *plant)
{
    assert_int_equal(block_store_begin(plant->store), 0);
    assert_int_equal(plant_put_block(plant), 0);
    assert_int_equal(block_store_commit(plant->store), 0);
}

void plant_checkpoint(const struct plant *plant, struct buf *note)
{
    struct checkpoint checkpoint = {.size = chain_height(plant->chain) + 1};
    checkpoint_origin(plant->network.genesis.network, checkpoint.origin);
    chain_log_root(plant->chain, &checkpoint.root);
    checkpoint_format(&checkpoint, note);
    buf_append_u8(note, '\n');
    for (size_t i = 0; i < validators_quorum(VALIDATORS); i++) {
        struct sign_key log_key, cosigner_key;
        sign_key_derive(&plant->network.validators[i], LOG_KEY_PURPOSE, &log_key);
        sign_key_derive(&plant->network.validators[i], COSIGNER_KEY_PURPOSE, &cosigner_key);
        checkpoint_sign(&checkpoint, &plant->network.genesis.validators.v[i], &log_key,
                        &cosigner_key, 1767225700, note);
    }
    assert_int_equal(buf_status(note), 0);
}
