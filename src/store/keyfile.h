/* Key files. A secret key file (mode 0600) is text:
 *   sealmq-secret-key-1
 *   id: plant-a/gw1
 *   seed: <base64 of 32 bytes>
 * and a public one, for handing around, has "sealmq-public-key-1", id and key. */
#ifndef SEALMQ_STORE_KEYFILE_H
#define SEALMQ_STORE_KEYFILE_H

#include "base/limits.h"
#include "crypto/sign.h"

/* SEALMQ_E_NOTFOUND, _PARSE, _DENIED (group or others may read it), with words in `why`. */
SEALMQ_MUST_CHECK int keyfile_read(const char *path, char id[ID_MAX + 1], struct sign_key *out,
                                   char *why, size_t why_size);
/* Refuses to overwrite (SEALMQ_E_EXISTS). */
SEALMQ_MUST_CHECK int keyfile_write(const char *path, const char *id, const uint8_t seed[SEED_SIZE],
                                    char *why, size_t why_size);
SEALMQ_MUST_CHECK int keyfile_read_public(const char *path, char id[ID_MAX + 1],
                                          struct public_key *out, char *why, size_t why_size);
SEALMQ_MUST_CHECK int keyfile_write_public(const char *path, const char *id,
                                           const struct public_key *key, char *why,
                                           size_t why_size);

#endif
