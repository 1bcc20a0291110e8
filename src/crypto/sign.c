#include "crypto/sign.h"

#include "base/assert.h"
#include "crypto/seal.h"
#include "crypto/sign_memory.h"

#include <sodium.h>
#include <stdlib.h>

_Static_assert(PUBLIC_KEY_SIZE == crypto_sign_PUBLICKEYBYTES, "Ed25519");
_Static_assert(SEED_SIZE == crypto_sign_SEEDBYTES, "Ed25519");
_Static_assert(SIGNATURE_SIZE == crypto_sign_BYTES, "Ed25519");
_Static_assert(sizeof(((struct sign_key *)0)->secret) == crypto_sign_SECRETKEYBYTES, "Ed25519");

int crypto_init(void)
{
    return sodium_init() < 0 ? SEALMQ_E_CRYPTO : 0;
}

void sign_key_from_seed(const uint8_t seed[SEED_SIZE], struct sign_key *out)
{
    int failed = crypto_sign_seed_keypair(out->public_key.b, out->secret, seed);
    ASSERT(failed == 0);
}

void sign_key_derive(const struct sign_key *root, const char *purpose, struct sign_key *out)
{
    uint8_t seed[SEED_SIZE];
    hkdf_sha256((struct bytes){0}, bytes_of(root->secret, SEED_SIZE), bytes_str(purpose), seed,
                sizeof(seed));
    sign_key_from_seed(seed, out);
    secret_wipe(seed, sizeof(seed));
}

void sign_key_wipe(struct sign_key *key)
{
    secret_wipe(key, sizeof(*key));
}

/* label || 0x00 || genesis || message in one piece: Ed25519 reads what it signs twice, so that
 * there is no streaming. Nearly all that is signed is a digest and fits `small`. */
struct signed_text {
    uint8_t small[512];
    uint8_t *large; /* owned; NULL when `small` is enough */
    struct bytes bytes;
};

static int signed_text_open(struct signed_text *text, const char *label, const struct hash *genesis,
                            struct bytes message)
{
    size_t label_size = strlen(label) + 1;
    size_t head = label_size + HASH_SIZE;
    text->large = NULL;
    uint8_t *p = text->small;
    if (head > sizeof(text->small) || message.n > sizeof(text->small) - head) {
        if (message.n > SIZE_MAX - head || (text->large = malloc(head + message.n)) == NULL)
            return SEALMQ_E_NOMEM;
        p = text->large;
    }
    memcpy(p, label, label_size);
    memcpy(p + label_size, genesis->b, HASH_SIZE);
    if (message.n != 0)
        memcpy(p + head, message.p, message.n);
    text->bytes = bytes_of(p, head + message.n);
    return 0;
}

static void signed_text_close(struct signed_text *text)
{
    free(text->large);
}

void sign_message(const struct sign_key *key, const char *label, const struct hash *genesis,
                  struct bytes message, struct signature *out)
{
    struct signed_text text;
    int error = signed_text_open(&text, label, genesis, message);
    ASSERT(error == 0);
    sign_raw(key, text.bytes, out);
    signed_text_close(&text);
}

int sign_verify(const struct public_key *key, const char *label, const struct hash *genesis,
                struct bytes message, const struct signature *signature)
{
    struct signed_text text;
    int error = signed_text_open(&text, label, genesis, message);
    if (error != 0)
        return error;
    error = sign_verify_raw(key, text.bytes, signature);
    signed_text_close(&text);
    return error;
}

void sign_raw(const struct sign_key *key, struct bytes message, struct signature *out)
{
    int failed = crypto_sign_detached(out->b, NULL, message.p, message.n, key->secret);
    ASSERT(failed == 0);
    sign_memory_keep(&key->public_key, message, out, true);
}

int sign_verify_raw(const struct public_key *key, struct bytes message,
                    const struct signature *signature)
{
    bool valid;
    if (!sign_memory_find(key, message, signature, &valid)) {
        valid = crypto_sign_verify_detached(signature->b, message.p, message.n, key->b) == 0;
        sign_memory_keep(key, message, signature, valid);
    }
    return valid ? 0 : SEALMQ_E_SIGNATURE;
}

void public_key_fingerprint(const struct public_key *key, char out[FINGERPRINT_MAX])
{
    static const char prefix[] = "SHA256:";
    struct hash hash;
    hash_sha256(bytes_of(key->b, sizeof(key->b)), &hash);
    memcpy(out, prefix, sizeof(prefix) - 1);
    sodium_bin2base64(out + sizeof(prefix) - 1, FINGERPRINT_MAX - (sizeof(prefix) - 1), hash.b,
                      sizeof(hash.b), sodium_base64_VARIANT_ORIGINAL_NO_PADDING);
}

bool secret_equal(struct bytes a, struct bytes b)
{
    return a.n == b.n && (a.n == 0 || sodium_memcmp(a.p, b.p, a.n) == 0);
}
