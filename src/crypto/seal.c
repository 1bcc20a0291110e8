#include "crypto/seal.h"

#include "base/assert.h"

#include <sodium.h>

_Static_assert(X25519_SIZE == crypto_scalarmult_BYTES, "X25519");
_Static_assert(X25519_SIZE == crypto_scalarmult_SCALARBYTES, "X25519");
_Static_assert(SEAL_KEY_SIZE == crypto_aead_chacha20poly1305_ietf_KEYBYTES, "RFC 8439");
_Static_assert(SEAL_TAG_SIZE == crypto_aead_chacha20poly1305_ietf_ABYTES, "RFC 8439");
_Static_assert(SEAL_NONCE_SIZE == crypto_aead_chacha20poly1305_ietf_NPUBBYTES, "RFC 8439");
_Static_assert(HASH_SIZE == crypto_auth_hmacsha256_BYTES, "HMAC-SHA256");

/* libsodium aborts the process above this: 2^32 - 1 ChaCha20 blocks. */
#define PLAIN_MAX ((UINT64_C(1) << 38) - 64)

void x25519_pair_from_secret(const uint8_t secret[X25519_SIZE], struct x25519_pair *out)
{
    memmove(out->secret, secret, X25519_SIZE);
    int failed = crypto_scalarmult_base(out->public_key, out->secret);
    ASSERT(failed == 0);
}

void x25519_pair_wipe(struct x25519_pair *pair)
{
    secret_wipe(pair, sizeof(*pair));
}

int x25519_agree(const struct x25519_pair *mine, const uint8_t theirs[X25519_SIZE],
                 uint8_t shared[32])
{
    if (crypto_scalarmult(shared, mine->secret, theirs) == 0)
        return 0;
    secret_wipe(shared, X25519_SIZE);
    return SEALMQ_E_CRYPTO;
}

/* One step of the expansion: T(i) = HMAC(prk, T(i-1) || info || i). */
static void hkdf_block(const uint8_t prk[HASH_SIZE], struct bytes previous, struct bytes info,
                       uint8_t number, uint8_t out[HASH_SIZE])
{
    crypto_auth_hmacsha256_state mac;
    crypto_auth_hmacsha256_init(&mac, prk, HASH_SIZE);
    crypto_auth_hmacsha256_update(&mac, previous.p, previous.n);
    crypto_auth_hmacsha256_update(&mac, info.p, info.n);
    crypto_auth_hmacsha256_update(&mac, &number, 1);
    crypto_auth_hmacsha256_final(&mac, out);
    secret_wipe(&mac, sizeof(mac));
}

void hkdf_sha256(struct bytes salt, struct bytes key, struct bytes info, uint8_t *out,
                 size_t out_size)
{
    ASSERT(out_size <= 255 * HASH_SIZE);
    /* An empty salt is HASH_SIZE zero bytes (RFC 5869 section 2.2), which HMAC pads a key with. */
    uint8_t prk[HASH_SIZE];
    crypto_auth_hmacsha256_state mac;
    crypto_auth_hmacsha256_init(&mac, salt.n == 0 ? prk : salt.p, salt.n);
    crypto_auth_hmacsha256_update(&mac, key.p, key.n);
    crypto_auth_hmacsha256_final(&mac, prk);
    secret_wipe(&mac, sizeof(mac));

    uint8_t block[HASH_SIZE];
    struct bytes previous = {0};
    for (uint8_t number = 1; out_size != 0; number++) {
        hkdf_block(prk, previous, info, number, block);
        previous = bytes_of(block, sizeof(block));
        size_t n = out_size < HASH_SIZE ? out_size : HASH_SIZE;
        memcpy(out, block, n);
        out += n;
        out_size -= n;
    }
    secret_wipe(block, sizeof(block));
    secret_wipe(prk, sizeof(prk));
}

int seal_encrypt(const struct seal_key *key, const uint8_t nonce[SEAL_NONCE_SIZE],
                 struct bytes additional, struct bytes plain, struct buf *out)
{
    if (plain.n > PLAIN_MAX)
        return SEALMQ_E_LIMIT;
    uint8_t *p = buf_extend(out, plain.n + SEAL_TAG_SIZE);
    if (p == NULL)
        return buf_status(out);
    int failed = crypto_aead_chacha20poly1305_ietf_encrypt(p, NULL, plain.p, plain.n, additional.p,
                                                           additional.n, NULL, nonce, key->b);
    ASSERT(failed == 0);
    return 0;
}

int seal_decrypt(const struct seal_key *key, const uint8_t nonce[SEAL_NONCE_SIZE],
                 struct bytes additional, struct bytes sealed, struct buf *out)
{
    if (sealed.n < SEAL_TAG_SIZE)
        return SEALMQ_E_SHORT;
    size_t plain_size = sealed.n - SEAL_TAG_SIZE;
    if (plain_size > PLAIN_MAX)
        return SEALMQ_E_LIMIT;
    size_t start = out->n;
    uint8_t *p = buf_extend(out, plain_size);
    if (p == NULL)
        return buf_status(out);
    int failed = crypto_aead_chacha20poly1305_ietf_decrypt(
        p, NULL, NULL, sealed.p, sealed.n, additional.p, additional.n, nonce, key->b);
    if (failed == 0)
        return 0;
    out->n = start;
    return SEALMQ_E_CRYPTO;
}

void secret_wipe(void *p, size_t n)
{
    sodium_memzero(p, n);
}
