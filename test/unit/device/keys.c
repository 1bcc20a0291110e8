#include "keys.h"

struct sign_key key_of(uint8_t seed)
{
    uint8_t bytes[SEED_SIZE];
    struct sign_key key;
    memset(bytes, seed, sizeof bytes);
    sign_key_from_seed(bytes, &key);
    return key;
}

struct x25519_pair pair_of(uint8_t secret)
{
    uint8_t bytes[X25519_SIZE];
    struct x25519_pair pair;
    memset(bytes, secret, sizeof bytes);
    x25519_pair_from_secret(bytes, &pair);
    return pair;
}

struct hash hash_of(const char *text)
{
    struct hash hash;
    hash_sha256(bytes_str(text), &hash);
    return hash;
}

int keys_setup(void **state)
{
    (void)state;
    return crypto_init();
}
