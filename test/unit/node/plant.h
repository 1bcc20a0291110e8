/* A small network for tests of a node's parts: keys from fixed seeds, and its genesis. */
#ifndef TEST_NODE_PLANT_H
#define TEST_NODE_PLANT_H

#include "ledger/genesis.h"

struct plant {
    struct genesis genesis;
    struct sign_key nodes[4]; /* "node/a" and up */
    struct sign_key admin;    /* "admin/ops" */
    struct sign_key gateway;  /* of nobody yet */
};

/* The key of a seed of 32 bytes `seed`. */
struct sign_key key_of(uint8_t seed);
/* With crypto initialised; asserts that it succeeds. */
void plant_make(struct plant *plant, size_t nodes);

/* cmocka setup and teardown: *state is the path of a folder of its own. */
int folder_setup(void **state);
int folder_teardown(void **state);
/* "<folder>/<name>", in one of a few static places taken in turn. */
const char *folder_path(void **state, const char *name);

#endif
