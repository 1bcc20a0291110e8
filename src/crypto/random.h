/* Randomness from the operating system. Only for I/O folders: a core is given its randomness. */
#ifndef SEALMQ_CRYPTO_RANDOM_H
#define SEALMQ_CRYPTO_RANDOM_H

#include <stddef.h>
#include <stdint.h>

void random_bytes(void *out, size_t n);
uint64_t random_u64(void);

#endif
