/* Password hashes: Argon2id in its own text form ($argon2id$v=19$...). Slow by design: never call
 * these on a thread that serves connections. */
#ifndef SEALMQ_CRYPTO_PASSWORD_H
#define SEALMQ_CRYPTO_PASSWORD_H

#include "base/bytes.h"

#define PASSWORD_HASH_MAX  128
#define PASSWORD_SALT_SIZE 16

/* `salt` are fresh random bytes, given by the caller. SEALMQ_E_NOMEM, SEALMQ_E_ARG (over 4 GiB). */
SEALMQ_MUST_CHECK int password_hash(struct bytes password, const uint8_t salt[PASSWORD_SALT_SIZE],
                                    char out[PASSWORD_HASH_MAX]);
/* 0, SEALMQ_E_DENIED, or SEALMQ_E_PARSE when `hash` is not such a text or asks for more than
 * 256 MiB or 10 passes, SEALMQ_E_NOMEM. */
SEALMQ_MUST_CHECK int password_verify(const char *hash, struct bytes password);

#endif
