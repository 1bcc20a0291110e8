/* Ed25519 keys and domain-separated signatures (RFC 8032, through libsodium).
 *
 * Every signature of the system covers: label || 0x00 || genesis hash (32 bytes) || message. The
 * label names the kind of message and its version ("sealmq/report/1"), the genesis hash the
 * network, so that no signature can be taken for another kind's or another network's. The one
 * exception are signed notes (checkpoints), whose format is C2SP's. */
#ifndef SEALMQ_CRYPTO_SIGN_H
#define SEALMQ_CRYPTO_SIGN_H

#include "base/bytes.h"
#include "crypto/hash.h"

#define PUBLIC_KEY_SIZE 32
#define SEED_SIZE       32
#define SIGNATURE_SIZE  64

struct public_key {
    uint8_t b[PUBLIC_KEY_SIZE];
};
struct signature {
    uint8_t b[SIGNATURE_SIZE];
};
/* Secret: wipe with sign_key_wipe() when done. */
struct sign_key {
    uint8_t secret[64]; /* seed || public key */
    struct public_key public_key;
};

/* Must be called once before anything else of src/crypto. SEALMQ_E_CRYPTO. */
SEALMQ_MUST_CHECK int crypto_init(void);

void sign_key_from_seed(const uint8_t seed[SEED_SIZE], struct sign_key *out);
/* A key of its own for `purpose` (e.g. "sealmq/log-key/1"), HKDF-SHA256 of the seed of `root`. */
void sign_key_derive(const struct sign_key *root, const char *purpose, struct sign_key *out);
void sign_key_wipe(struct sign_key *key);

void sign_message(const struct sign_key *key, const char *label, const struct hash *genesis,
                  struct bytes message, struct signature *out);
/* 0, SEALMQ_E_SIGNATURE, or SEALMQ_E_NOMEM (long messages only). */
SEALMQ_MUST_CHECK int sign_verify(const struct public_key *key, const char *label,
                                  const struct hash *genesis, struct bytes message,
                                  const struct signature *signature);

/* Without label and network: only for formats that others define (signed notes, JWS). */
void sign_raw(const struct sign_key *key, struct bytes message, struct signature *out);
SEALMQ_MUST_CHECK int sign_verify_raw(const struct public_key *key, struct bytes message,
                                      const struct signature *signature);

/* The fingerprint people compare: "SHA256:" and base64 without padding of SHA-256 of the key. */
#define FINGERPRINT_MAX 52
void public_key_fingerprint(const struct public_key *key, char out[FINGERPRINT_MAX]);

/* Compares secrets in constant time. */
bool secret_equal(struct bytes a, struct bytes b);

#endif
