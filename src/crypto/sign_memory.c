#include "crypto/sign_memory.h"

#include "base/assert.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    uint8_t digest[16];
    uint8_t state; /* 0: empty */
};

enum { STATE_INVALID = 1, STATE_VALID };

struct sign_memory {
    size_t mask;
    uint64_t computed, remembered;
    struct entry entries[];
};

/* Found without a call of the dynamic linker, which pure folders do without. */
static _Thread_local __attribute__((tls_model("initial-exec"))) struct sign_memory *used;

int sign_memory_new(unsigned bits, struct sign_memory **out)
{
    ASSERT(bits >= 1 && bits <= 24);
    size_t n = (size_t)1 << bits;
    struct sign_memory *memory = calloc(1, sizeof(*memory) + n * sizeof(struct entry));
    *out = memory;
    if (memory == NULL)
        return SEALMQ_E_NOMEM;
    memory->mask = n - 1;
    return 0;
}

void sign_memory_free(struct sign_memory *memory)
{
    ASSERT(memory == NULL || memory != used);
    free(memory);
}

struct sign_memory *sign_memory_use(struct sign_memory *memory)
{
    struct sign_memory *before = used;
    used = memory;
    return before;
}

void sign_memory_counts(const struct sign_memory *memory, uint64_t *computed, uint64_t *remembered)
{
    *computed = memory->computed;
    *remembered = memory->remembered;
}

static struct entry *place(const struct public_key *key, struct bytes message,
                           const struct signature *signature, uint8_t digest[16])
{
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, 16);
    crypto_generichash_update(&state, key->b, sizeof(key->b));
    crypto_generichash_update(&state, signature->b, sizeof(signature->b));
    crypto_generichash_update(&state, message.p, message.n);
    crypto_generichash_final(&state, digest, 16);
    size_t at;
    memcpy(&at, digest, sizeof(at));
    return &used->entries[at & used->mask];
}

bool sign_memory_find(const struct public_key *key, struct bytes message,
                      const struct signature *signature, bool *valid)
{
    uint8_t digest[16];
    if (used == NULL)
        return false;
    const struct entry *entry = place(key, message, signature, digest);
    if (entry->state == 0 || memcmp(entry->digest, digest, sizeof(digest)) != 0) {
        used->computed++;
        return false;
    }
    used->remembered++;
    *valid = entry->state == STATE_VALID;
    return true;
}

void sign_memory_keep(const struct public_key *key, struct bytes message,
                      const struct signature *signature, bool valid)
{
    uint8_t digest[16];
    if (used == NULL)
        return;
    struct entry *entry = place(key, message, signature, digest);
    memcpy(entry->digest, digest, sizeof(digest));
    entry->state = valid ? STATE_VALID : STATE_INVALID;
}
