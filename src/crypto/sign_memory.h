/* A memory of the signatures that a thread has made and checked. The simulator plays all nodes of a
 * network in one thread, so that each signature would be checked once for each of them; with a
 * memory it is computed once. Results are those without one: an answer is remembered by a 128 bit
 * hash of key, message and signature together.
 *
 * Servers use none: there a signature is checked where it comes in, once. */
#ifndef SEALMQ_CRYPTO_SIGN_MEMORY_H
#define SEALMQ_CRYPTO_SIGN_MEMORY_H

#include "crypto/sign.h"

struct sign_memory;

/* Remembers up to 2^bits answers (24 bytes each), newer ones in the place of older. bits is 1 to
 * 24. SEALMQ_E_NOMEM. */
SEALMQ_MUST_CHECK int sign_memory_new(unsigned bits, struct sign_memory **out);
void sign_memory_free(struct sign_memory *memory);

/* For all signatures of this thread from now on; NULL: none any more. Borrowed until then. Returns
 * what was used before. */
struct sign_memory *sign_memory_use(struct sign_memory *memory);

/* How many checks were computed, and how many were remembered. */
void sign_memory_counts(const struct sign_memory *memory, uint64_t *computed, uint64_t *remembered);

/* For sign.c alone. */
bool sign_memory_find(const struct public_key *key, struct bytes message,
                      const struct signature *signature, bool *valid);
void sign_memory_keep(const struct public_key *key, struct bytes message,
                      const struct signature *signature, bool valid);

#endif
