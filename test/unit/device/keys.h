/* Keys and names that the tests of the device protocol share. */
#ifndef TEST_DEVICE_KEYS_H
#define TEST_DEVICE_KEYS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/limits.h"
#include "crypto/seal.h"
#include "crypto/sign.h"

#define GATEWAY "plant-a/gw1"
#define NODE    "broker/a"

/* The Ed25519 key of a seed that repeats one byte. */
struct sign_key key_of(uint8_t seed);
/* A fresh pair from a secret that repeats one byte. */
struct x25519_pair pair_of(uint8_t secret);
struct hash hash_of(const char *text);
/* Group setup: crypto_init. */
int keys_setup(void **state);

#endif
