/* OpenSSL's low-level SHA-256: deprecated in 3.0 in favour of EVP, but the only interface whose
 * state is a plain struct. EVP allocates and looks up a provider for each context, which costs more
 * than hashing a Merkle node does (docs/adr/002-openssl-sha256.md). No other file uses it. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "crypto/hash.h"

#include <openssl/sha.h>

_Static_assert(sizeof(SHA256_CTX) <= sizeof(((struct hasher *)0)->state),
               "struct hasher must hold an SHA256_CTX");
_Static_assert(offsetof(struct hasher, state) == 0, "struct hasher is cast to an SHA256_CTX");
_Static_assert(_Alignof(SHA256_CTX) <= 8, "struct hasher must be aligned for an SHA256_CTX");
_Static_assert(HASH_SIZE == SHA256_DIGEST_LENGTH, "SHA-256");

#define LEAF_PREFIX 0x00
#define NODE_PREFIX 0x01

bool hash_is_zero(const struct hash *h)
{
    static const struct hash zero;
    return hash_equal(h, &zero);
}

static SHA256_CTX *context_of(struct hasher *h)
{
    return (SHA256_CTX *)(void *)h;
}

/* SHA256_Init, _Update and _Final cannot fail: they only touch the context. */

void hasher_init(struct hasher *h)
{
    SHA256_Init(context_of(h));
}

void hasher_update(struct hasher *h, struct bytes b)
{
    if (b.n != 0)
        SHA256_Update(context_of(h), b.p, b.n);
}

void hasher_final(struct hasher *h, struct hash *out)
{
    SHA256_Final(out->b, context_of(h));
}

void hash_sha256(struct bytes b, struct hash *out)
{
    struct hasher h;
    hasher_init(&h);
    hasher_update(&h, b);
    hasher_final(&h, out);
}

void hash_sha1(struct bytes b, uint8_t out[HASH_SHA1_SIZE])
{
    SHA_CTX context;
    SHA1_Init(&context);
    if (b.n != 0)
        SHA1_Update(&context, b.p, b.n);
    SHA1_Final(out, &context);
}

void hash_leaf(struct bytes leaf, struct hash *out)
{
    static const uint8_t prefix = LEAF_PREFIX;
    struct hasher h;
    hasher_init(&h);
    hasher_update(&h, bytes_of(&prefix, 1));
    hasher_update(&h, leaf);
    hasher_final(&h, out);
}

void hash_node(const struct hash *left, const struct hash *right, struct hash *out)
{
    /* In one piece, so that the first block is hashed where it lies. */
    uint8_t node[1 + 2 * HASH_SIZE];
    node[0] = NODE_PREFIX;
    memcpy(node + 1, left->b, HASH_SIZE);
    memcpy(node + 1 + HASH_SIZE, right->b, HASH_SIZE);
    hash_sha256(bytes_of(node, sizeof(node)), out);
}
