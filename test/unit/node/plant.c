#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "plant.h"

#include "ledger/note.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct sign_key key_of(uint8_t seed)
{
    uint8_t bytes[SEED_SIZE];
    struct sign_key key;
    memset(bytes, seed, sizeof bytes);
    sign_key_from_seed(bytes, &key);
    return key;
}

void plant_make(struct plant *plant, size_t nodes)
{
    char why[256];
    memset(plant, 0, sizeof *plant);
    struct genesis *genesis = &plant->genesis;
    snprintf(genesis->network, sizeof genesis->network, "plant");
    genesis->created_us = INT64_C(1767225600000000); /* 2026-01-01T00:00:00Z */
    genesis->parameters.anchor_interval_ms = 1000;
    genesis->validators.n = nodes;
    for (size_t i = 0; i < nodes; i++) {
        struct validator *validator = &genesis->validators.v[i];
        struct sign_key derived;
        plant->nodes[i] = key_of((uint8_t)(10 + i));
        snprintf(validator->id, sizeof validator->id, "node/%c", (char)('a' + i));
        snprintf(validator->url, sizeof validator->url, "mqtt://127.0.0.1:1");
        validator->key = plant->nodes[i].public_key;
        sign_key_derive(&plant->nodes[i], LOG_KEY_PURPOSE, &derived);
        validator->log_key = derived.public_key;
        sign_key_derive(&plant->nodes[i], COSIGNER_KEY_PURPOSE, &derived);
        validator->cosigner_key = derived.public_key;
    }
    plant->admin = key_of(1);
    plant->gateway = key_of(2);
    genesis->admin_count = genesis->admin_threshold = 1;
    snprintf(genesis->admins[0].id, sizeof genesis->admins[0].id, "admin/ops");
    genesis->admins[0].key = plant->admin.public_key;
    assert_int_equal(genesis_seal(genesis, why, sizeof why), 0);
}

int folder_setup(void **state)
{
    const char *base = getenv("TMPDIR");
    char *path = malloc(256);
    if (path == NULL || crypto_init() != 0)
        return -1;
    snprintf(path, 256, "%s/sealmq-node-XXXXXX", base == NULL ? "/tmp" : base);
    *state = path;
    return mkdtemp(path) == NULL ? -1 : 0;
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *ftw)
{
    (void)status;
    (void)kind;
    (void)ftw;
    return remove(path);
}

int folder_teardown(void **state)
{
    int error = nftw(*state, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    free(*state);
    return error;
}

const char *folder_path(void **state, const char *name)
{
    static char paths[4][512];
    static size_t turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", (const char *)*state, name);
    return path;
}
