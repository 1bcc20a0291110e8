/* What is kept of a password for SCRAM-SHA-256: RFC 5802 section 3. */
#include "crypto/scram_int.h"

#include "base/assert.h"
#include "base/text.h"
#include "crypto/seal.h"
#include "crypto/sign.h"

#include <limits.h>
#include <openssl/evp.h>
#include <sodium.h>

_Static_assert(crypto_auth_hmacsha256_BYTES == HASH_SIZE, "HMAC-SHA-256");

void scram_hmac(struct bytes key, struct bytes a, struct bytes b, struct hash *out)
{
    crypto_auth_hmacsha256_state state;
    crypto_auth_hmacsha256_init(&state, key.p, key.n);
    if (a.n != 0)
        crypto_auth_hmacsha256_update(&state, a.p, a.n);
    if (b.n != 0)
        crypto_auth_hmacsha256_update(&state, b.p, b.n);
    crypto_auth_hmacsha256_final(&state, out->b);
    secret_wipe(&state, sizeof state);
}

int scram_verifier_make(struct bytes password, struct bytes salt, uint32_t iterations,
                        struct scram_verifier *out)
{
    struct hash salted, client_key;
    *out = (struct scram_verifier){.iterations = iterations, .salt_n = salt.n};
    if (iterations < SCRAM_ITERATIONS_MIN || iterations > SCRAM_ITERATIONS_MAX ||
        salt.n < SCRAM_SALT_MIN || salt.n > SCRAM_SALT_MAX || password.n > INT_MAX)
        return SEALMQ_E_ARG;
    memcpy(out->salt, salt.p, salt.n);
    const char *text = password.n == 0 ? "" : (const char *)password.p;
    if (PKCS5_PBKDF2_HMAC(text, (int)password.n, salt.p, (int)salt.n, (int)iterations, EVP_sha256(),
                          HASH_SIZE, salted.b) != 1)
        return SEALMQ_E_NOMEM;
    scram_hmac(hash_bytes(&salted), BYTES_LIT("Client Key"), (struct bytes){0}, &client_key);
    hash_sha256(hash_bytes(&client_key), &out->stored_key);
    scram_hmac(hash_bytes(&salted), BYTES_LIT("Server Key"), (struct bytes){0}, &out->server_key);
    secret_wipe(&salted, sizeof salted);
    secret_wipe(&client_key, sizeof client_key);
    return 0;
}

int scram_verifier_check(const struct scram_verifier *verifier, struct bytes password)
{
    struct scram_verifier other;
    int e = scram_verifier_make(password, bytes_of(verifier->salt, verifier->salt_n),
                                verifier->iterations, &other);
    if (e == SEALMQ_E_ARG ||
        (e == 0 && !secret_equal(hash_bytes(&verifier->stored_key), hash_bytes(&other.stored_key))))
        e = SEALMQ_E_DENIED;
    secret_wipe(&other, sizeof other);
    return e;
}

/* The part of *rest up to `end`, which is taken too; false when it is not there. */
static bool take_until(struct bytes *rest, char end, struct bytes *out)
{
    const uint8_t *p = rest->n == 0 ? NULL : memchr(rest->p, end, rest->n);
    if (p == NULL)
        return false;
    *out = bytes_of(rest->p, (size_t)(p - rest->p));
    *rest = bytes_of(p + 1, rest->n - out->n - 1);
    return true;
}

static int take_salt(struct bytes text, struct scram_verifier *out)
{
    struct buf salt = {.limit = SCRAM_SALT_MAX};
    int e = base64_decode(text, &salt);
    if (e == 0 && salt.n >= SCRAM_SALT_MIN) {
        memcpy(out->salt, salt.p, salt.n);
        out->salt_n = salt.n;
    } else {
        e = SEALMQ_E_PARSE;
    }
    buf_close(&salt);
    return e;
}

int scram_verifier_parse(struct bytes text, struct scram_verifier *out)
{
    const struct bytes prefix = BYTES_LIT(SCRAM_PREFIX);
    struct bytes iterations, salt, stored_key;
    uint64_t count;
    *out = (struct scram_verifier){0};
    if (text.n >= SCRAM_TEXT_MAX || !bytes_starts_with(text, prefix))
        return SEALMQ_E_PARSE;
    struct bytes rest = bytes_of(text.p + prefix.n, text.n - prefix.n);
    if (!take_until(&rest, ':', &iterations) || !take_until(&rest, '$', &salt) ||
        !take_until(&rest, ':', &stored_key) || u64_parse(iterations, &count) != 0 ||
        count < SCRAM_ITERATIONS_MIN || count > SCRAM_ITERATIONS_MAX || take_salt(salt, out) != 0)
        return SEALMQ_E_PARSE;
    out->iterations = (uint32_t)count;
    int e = base64_decode_exact(stored_key, out->stored_key.b, HASH_SIZE);
    return e == 0 ? base64_decode_exact(rest, out->server_key.b, HASH_SIZE) : e;
}

void scram_verifier_append(const struct scram_verifier *verifier, struct buf *out)
{
    buf_printf(out, SCRAM_PREFIX "%u:", verifier->iterations);
    base64_append(out, bytes_of(verifier->salt, verifier->salt_n));
    buf_append_u8(out, '$');
    base64_append(out, hash_bytes(&verifier->stored_key));
    buf_append_u8(out, ':');
    base64_append(out, hash_bytes(&verifier->server_key));
}

void scram_verifier_decoy(const struct scram_verifier *like,
                          const uint8_t secret[SCRAM_SECRET_SIZE], struct bytes name,
                          struct scram_verifier *out)
{
    const struct bytes key = bytes_of(secret, SCRAM_SECRET_SIZE);
    struct hash salt[SCRAM_SALT_MAX / HASH_SIZE];
    ASSERT(like->salt_n <= SCRAM_SALT_MAX);
    *out = (struct scram_verifier){.iterations = like->iterations, .salt_n = like->salt_n};
    scram_hmac(key, BYTES_LIT("salt 1 "), name, &salt[0]);
    scram_hmac(key, BYTES_LIT("salt 2 "), name, &salt[1]);
    memcpy(out->salt, salt, like->salt_n);
    scram_hmac(key, BYTES_LIT("stored "), name, &out->stored_key);
    scram_hmac(key, BYTES_LIT("server "), name, &out->server_key);
}
