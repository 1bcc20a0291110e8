/* X25519 key agreement, HKDF-SHA256, ChaCha20-Poly1305 (RFC 8439). */
#ifndef SEALMQ_CRYPTO_SEAL_H
#define SEALMQ_CRYPTO_SEAL_H

#include "base/bytes.h"
#include "crypto/hash.h"

#define X25519_SIZE     32
#define SEAL_KEY_SIZE   32
#define SEAL_TAG_SIZE   16
#define SEAL_NONCE_SIZE 12

struct x25519_pair {
    uint8_t secret[X25519_SIZE];
    uint8_t public_key[X25519_SIZE];
};
struct seal_key {
    uint8_t b[SEAL_KEY_SIZE];
};

/* `secret` are 32 fresh random bytes, given by the caller (cores have no randomness). */
void x25519_pair_from_secret(const uint8_t secret[X25519_SIZE], struct x25519_pair *out);
void x25519_pair_wipe(struct x25519_pair *pair);
/* SEALMQ_E_CRYPTO when the peer's key is of small order. */
SEALMQ_MUST_CHECK int x25519_agree(const struct x25519_pair *mine,
                                   const uint8_t theirs[X25519_SIZE], uint8_t shared[32]);

/* HKDF-SHA256 (RFC 5869), out_size <= 255 * 32. */
void hkdf_sha256(struct bytes salt, struct bytes key, struct bytes info, uint8_t *out,
                 size_t out_size);

/* Appends ciphertext and tag. The nonce must never repeat under one key. SEALMQ_E_LIMIT, or the
 * status of `out`. */
SEALMQ_MUST_CHECK int seal_encrypt(const struct seal_key *key, const uint8_t nonce[SEAL_NONCE_SIZE],
                                   struct bytes additional, struct bytes plain, struct buf *out);
/* Appends the plain text, or nothing on an error: SEALMQ_E_SHORT, SEALMQ_E_CRYPTO when the tag does
 * not match, SEALMQ_E_LIMIT, or the status of `out`. `sealed` must not lie in `out`. */
SEALMQ_MUST_CHECK int seal_decrypt(const struct seal_key *key, const uint8_t nonce[SEAL_NONCE_SIZE],
                                   struct bytes additional, struct bytes sealed, struct buf *out);

void secret_wipe(void *p, size_t n);

#endif
