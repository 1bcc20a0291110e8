#include "crypto/password.h"

#include "base/text.h"

#include <errno.h>
#include <sodium.h>

_Static_assert(PASSWORD_HASH_MAX == crypto_pwhash_argon2id_STRBYTES, "libsodium's text form");
_Static_assert(PASSWORD_SALT_SIZE == crypto_pwhash_argon2id_SALTBYTES, "libsodium's salt");

/* What a new hash costs: RFC 9106 section 4, for memory-constrained environments. */
#define HASH_PASSES       3
#define HASH_MEMORY_BYTES (64 * 1024 * 1024)

/* What a hash from a file may cost. Below the least of each, Argon2 itself is not defined. */
#define MEMORY_MAX_KIB (256 * 1024)
#define MEMORY_MIN_KIB 8
#define PASSES_MAX     10
#define LANES_MAX      16
#define SALT_MIN       8
#define SALT_MAX       48
#define OUTPUT_MIN     16
#define OUTPUT_MAX     64

/* libsodium's limit; MQTT's is lower. */
#define PASSWORD_MAX_BYTES UINT32_MAX

/* libsodium wants a pointer also to no bytes. */
static const char *password_text(struct bytes password)
{
    return password.n == 0 ? "" : (const char *)password.p;
}

static void append_base64(struct buf *out, struct bytes b)
{
    base64_append(out, b);
    while (out->n != 0 && out->p[out->n - 1] == '=')
        out->n--;
}

int password_hash(struct bytes password, const uint8_t salt[PASSWORD_SALT_SIZE],
                  char out[PASSWORD_HASH_MAX])
{
    out[0] = '\0';
    if (password.n > PASSWORD_MAX_BYTES)
        return SEALMQ_E_ARG;
    uint8_t key[32];
    if (crypto_pwhash(key, sizeof(key), password_text(password), password.n, salt, HASH_PASSES,
                      HASH_MEMORY_BYTES, crypto_pwhash_ALG_ARGON2ID13) != 0)
        return SEALMQ_E_NOMEM;
    struct buf text = {.limit = PASSWORD_HASH_MAX - 1};
    buf_printf(&text, "$argon2id$v=19$m=%d,t=%d,p=1$", HASH_MEMORY_BYTES / 1024, HASH_PASSES);
    append_base64(&text, bytes_of(salt, PASSWORD_SALT_SIZE));
    buf_append_u8(&text, '$');
    append_base64(&text, bytes_of(key, sizeof(key)));
    int error = buf_status(&text);
    if (error == 0)
        error = bytes_to_cstr(buf_bytes(&text), out, PASSWORD_HASH_MAX);
    buf_close(&text);
    return error;
}

/* The part of *rest up to `end`, which must be there and is taken too; false when it is not. */
static bool take_until(struct bytes *rest, char end, struct bytes *out)
{
    const uint8_t *p = rest->n == 0 ? NULL : memchr(rest->p, end, rest->n);
    if (p == NULL)
        return false;
    *out = bytes_of(rest->p, (size_t)(p - rest->p));
    *rest = bytes_of(p + 1, rest->n - out->n - 1);
    return true;
}

/* "<name><number><end>" with the number from least to most. */
static bool take_cost(struct bytes *rest, const char *name, char end, uint64_t least, uint64_t most,
                      uint64_t *out)
{
    struct bytes part;
    size_t n = strlen(name);
    if (!take_until(rest, end, &part) || !bytes_starts_with(part, bytes_of(name, n)))
        return false;
    return u64_parse(bytes_of(part.p + n, part.n - n), out) == 0 && *out >= least && *out <= most;
}

/* Whether `text` is base64 without padding, of least to most bytes. */
static bool is_base64(struct bytes text, size_t least, size_t most)
{
    uint8_t bytes[64];
    size_t n;
    const char *end;
    if (text.n == 0 || sodium_base642bin(bytes, most, (const char *)text.p, text.n, NULL, &n, &end,
                                         sodium_base64_VARIANT_ORIGINAL_NO_PADDING) != 0)
        return false;
    return end == (const char *)text.p + text.n && n >= least;
}

/* $argon2id$v=19$m=<KiB>,t=<passes>,p=<lanes>$<salt>$<output> */
static bool hash_is_acceptable(struct bytes hash)
{
    struct bytes rest = hash, salt;
    uint64_t memory, passes, lanes;
    const struct bytes head = BYTES_LIT("$argon2id$v=19$");
    if (hash.n >= PASSWORD_HASH_MAX || !bytes_starts_with(hash, head))
        return false;
    rest = bytes_of(hash.p + head.n, hash.n - head.n);
    return take_cost(&rest, "m=", ',', MEMORY_MIN_KIB, MEMORY_MAX_KIB, &memory) &&
           take_cost(&rest, "t=", ',', 1, PASSES_MAX, &passes) &&
           take_cost(&rest, "p=", '$', 1, LANES_MAX, &lanes) && memory >= 8 * lanes &&
           take_until(&rest, '$', &salt) && is_base64(salt, SALT_MIN, SALT_MAX) &&
           is_base64(rest, OUTPUT_MIN, OUTPUT_MAX);
}

int password_verify(const char *hash, struct bytes password)
{
    if (!hash_is_acceptable(bytes_of(hash, strnlen(hash, PASSWORD_HASH_MAX))))
        return SEALMQ_E_PARSE;
    if (password.n > PASSWORD_MAX_BYTES)
        return SEALMQ_E_DENIED;
    errno = 0;
    if (crypto_pwhash_argon2id_str_verify(hash, password_text(password), password.n) == 0)
        return 0;
    /* EINVAL is how libsodium says that the password is another one. */
    return errno == EINVAL ? SEALMQ_E_DENIED : SEALMQ_E_NOMEM;
}
