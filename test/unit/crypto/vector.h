/* Published vectors are written in hexadecimal. */
#ifndef SEALMQ_TEST_UNIT_CRYPTO_VECTOR_H
#define SEALMQ_TEST_UNIT_CRYPTO_VECTOR_H

#include "base/text.h"

#define VECTOR_MAX 256

struct vector {
    uint8_t b[VECTOR_MAX];
    size_t n;
};

static inline struct vector vector_of(const char *hex)
{
    struct vector v = {.n = strlen(hex) / 2};
    assert_true(v.n <= sizeof(v.b));
    assert_int_equal(hex_decode(bytes_str(hex), v.b, v.n), 0);
    return v;
}

static inline struct bytes vector_bytes(const struct vector *v)
{
    return bytes_of(v->b, v->n);
}

static inline void assert_hex(const void *p, size_t n, const char *hex)
{
    struct vector v = vector_of(hex);
    assert_int_equal(v.n, n);
    assert_memory_equal(p, v.b, n);
}

#endif
