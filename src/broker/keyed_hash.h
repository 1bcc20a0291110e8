/* SipHash-1-3 for hash tables whose keys come from clients: without the key nobody can make many
 * keys fall into one bucket. */
#ifndef SEALMQ_BROKER_KEYED_HASH_H
#define SEALMQ_BROKER_KEYED_HASH_H

#include "base/bytes.h"

struct hash_key {
    uint64_t k0, k1;
};

/* Spreads a 64-bit seed over a key. */
void hash_key_from_seed(uint64_t seed, struct hash_key *out);

/* The hash of `tweak` and `text`; the tweak makes equal texts in different places differ. */
uint64_t keyed_hash(const struct hash_key *key, uint64_t tweak, struct bytes text);

#endif
