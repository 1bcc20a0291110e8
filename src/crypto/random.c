#include "crypto/random.h"

#include <sodium.h>

void random_bytes(void *out, size_t n)
{
    randombytes_buf(out, n);
}

uint64_t random_u64(void)
{
    uint64_t v;
    randombytes_buf(&v, sizeof(v));
    return v;
}
