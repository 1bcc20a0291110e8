/* SHA-256, and RFC 6962 leaf and node hashes. */
#ifndef SEALMQ_CRYPTO_HASH_H
#define SEALMQ_CRYPTO_HASH_H

#include "base/bytes.h"

#define HASH_SIZE 32

struct hash {
    uint8_t b[HASH_SIZE];
};

static inline bool hash_equal(const struct hash *a, const struct hash *b)
{
    return memcmp(a->b, b->b, HASH_SIZE) == 0;
}
static inline struct bytes hash_bytes(const struct hash *h)
{
    return (struct bytes){h->b, HASH_SIZE};
}
bool hash_is_zero(const struct hash *h);

/* Streaming SHA-256 without allocation. */
struct hasher {
    _Alignas(8) unsigned char state[112]; /* an SHA256_CTX */
};
void hasher_init(struct hasher *h);
void hasher_update(struct hasher *h, struct bytes b);
void hasher_final(struct hasher *h, struct hash *out);

void hash_sha256(struct bytes b, struct hash *out);
/* SHA-1, for protocols that prescribe it where nothing rests on it (WebSocket's handshake). */
#define HASH_SHA1_SIZE 20
void hash_sha1(struct bytes b, uint8_t out[HASH_SHA1_SIZE]);
/* SHA-256(0x00 || leaf), RFC 6962 section 2.1. */
void hash_leaf(struct bytes leaf, struct hash *out);
/* SHA-256(0x01 || left || right). `out` may be either argument. */
void hash_node(const struct hash *left, const struct hash *right, struct hash *out);

#endif
