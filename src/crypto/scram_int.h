/* Inside of SCRAM. */
#ifndef SEALMQ_CRYPTO_SCRAM_INT_H
#define SEALMQ_CRYPTO_SCRAM_INT_H

#include "crypto/scram.h"

/* HMAC-SHA-256 of a and b behind each other. */
void scram_hmac(struct bytes key, struct bytes a, struct bytes b, struct hash *out);

#endif
