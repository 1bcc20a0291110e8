/* A small network to test with: keys from fixed seeds, its genesis, requests and blocks. Everything
 * asserts that what it does succeeds. */
#ifndef TEST_LEDGER_NETWORK_H
#define TEST_LEDGER_NETWORK_H

#include "ledger/chain.h"

#define NETWORK_CREATED_US INT64_C(1767225600000000) /* 2026-01-01T00:00:00Z */
#define GATEWAY            "devices/iot"

struct network {
    struct genesis genesis;
    struct sign_key validators[VALIDATORS_MAX]; /* as sorted in the genesis */
    struct sign_key admins[3];                  /* "admin/a" to "admin/c" */
    struct sign_key gateway;                    /* of GATEWAY */
    struct sign_key other;                      /* of nobody yet */
};

/* The key of a seed of 32 bytes `seed`, the last two being `index`. */
void network_key(uint8_t seed, unsigned index, struct sign_key *out);
/* `validators` named "broker/000" and up, three admins of whom `threshold` must sign. */
void network_make(struct network *network, size_t validators, unsigned threshold);

/* A buffer of requests in their wire form. */
struct batch {
    struct buf wires[64];
    size_t n;
};
struct buf *batch_add(struct batch *batch); /* a new empty buffer */
void batch_close(struct batch *batch);
/* The last one decoded; it borrows from the batch. */
struct request batch_last(const struct batch *batch);

/* A record of GATEWAY. */
struct record record_of(const char *device, uint32_t num, const char *value);
struct item item_of(uint32_t num, const char *device, const char *name);
/* Leaves with numbers, and hashes made from them; ACKNOWLEDGED ones by "broker/000". */
struct interval_leaf leaf_of(uint64_t n, enum leaf_status status);

/* Appends requests to the batch. The gateway's are signed by network->gateway. */
void add_data(struct batch *batch, const struct network *network, uint64_t number, uint64_t from,
              const struct interval_leaf *leaves, size_t leaf_count, const struct record *records,
              size_t record_count);
/* All of from..to acknowledged, no records. */
void add_interval(struct batch *batch, const struct network *network, uint64_t number,
                  uint64_t from, uint64_t to);
void add_describe(struct batch *batch, const struct network *network, uint64_t number,
                  const struct item *items, size_t count);
/* By admin/a, cosigned by as many others as the genesis demands. */
void add_register(struct batch *batch, const struct network *network, uint64_t number,
                  const char *id, const struct sign_key *key);
void add_revoke(struct batch *batch, const struct network *network, uint64_t number,
                const char *id);

/* All of one who is to be a validator, at 127.0.0.1; the other keys are derived from `key`. */
struct validator network_validator(const char *id, const struct sign_key *key);
/* REGISTER of a validator who has seen the tip. */
void add_join(struct batch *batch, const struct network *network, const struct chain *chain,
              uint64_t number, const char *id, const struct sign_key *key);
/* REGISTER with the role of a gateway, of one who is a validator under this key. */
void add_demote(struct batch *batch, const struct network *network, uint64_t number, const char *id,
                const struct sign_key *key);
/* ROTATE by its owner; `role` that of the member. */
void add_rotate(struct batch *batch, const struct network *network, uint64_t number, const char *id,
                enum member_role role, const struct sign_key *new_key, const struct sign_key *key);
void add_configure(struct batch *batch, const struct network *network, uint64_t number,
                   enum configure_what what, struct bytes value);

/* The next block of the chain with the batch's requests; proposed in view `height`. */
void make_block(struct chain *chain, const struct batch *batch, struct buf *out);
/* Makes it, appends it, and gives chain_append's answer. Empties the batch. */
int append_batch(struct chain *chain, struct batch *batch);
/* A chain with GATEWAY registered at height 1. */
struct chain *network_chain(const struct network *network);

#endif
