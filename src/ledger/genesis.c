/* The genesis as bytes, and what makes one valid. Its JSON form is in genesis_json.c. */
#include "ledger/genesis.h"

#include "base/assert.h"
#include "base/id.h"
#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define GENESIS_LABEL    "sealmq/genesis/1"
#define VALIDATORS_LABEL "sealmq/validators/1"

/* --- the canonical form --- */

/* One writer for the two things that are done with canonical bytes: keeping and hashing them. The
 * hash must be had without memory, which may fail. */
struct sink {
    struct buf *buf; /* or: */
    struct hasher *hasher;
};

static void put(struct sink sink, struct bytes b)
{
    if (sink.buf != NULL)
        buf_append_bytes(sink.buf, b);
    else
        hasher_update(sink.hasher, b);
}

/* The low `size` bytes of v, big-endian. */
static void put_number(struct sink sink, uint64_t v, size_t size)
{
    uint8_t b[8];
    for (size_t i = size; i-- > 0; v >>= 8)
        b[i] = (uint8_t)v;
    put(sink, bytes_of(b, size));
}

static void put_str8(struct sink sink, const char *s)
{
    struct bytes b = bytes_str(s);
    ASSERT(b.n <= UINT8_MAX);
    put_number(sink, b.n, 1);
    put(sink, b);
}

static void put_key(struct sink sink, const struct public_key *key)
{
    put(sink, bytes_of(key->b, PUBLIC_KEY_SIZE));
}

static void put_validators(struct sink sink, const struct validator_set *set)
{
    ASSERT(set->n <= VALIDATORS_MAX);
    put_number(sink, set->n, 1);
    for (size_t i = 0; i < set->n; i++) {
        put_str8(sink, set->v[i].id);
        put_key(sink, &set->v[i].key);
        put_key(sink, &set->v[i].log_key);
        put_key(sink, &set->v[i].cosigner_key);
        put_str8(sink, set->v[i].url);
    }
}

static void put_admins(struct sink sink, const struct genesis *genesis)
{
    ASSERT(genesis->admin_count <= ADMINS_MAX);
    put_number(sink, genesis->admin_threshold, 1);
    put_number(sink, genesis->admin_count, 1);
    for (size_t i = 0; i < genesis->admin_count; i++) {
        put_str8(sink, genesis->admins[i].id);
        put_key(sink, &genesis->admins[i].key);
    }
}

static void put_parameters(struct sink sink, const struct genesis_parameters *parameters)
{
    put_number(sink, parameters->difficulty, 1);
    put_number(sink, parameters->anchor_interval_ms, 4);
}

static void put_genesis(struct sink sink, const struct genesis *genesis)
{
    put(sink, bytes_of(GENESIS_LABEL, sizeof(GENESIS_LABEL))); /* with its zero */
    put_str8(sink, genesis->network);
    put_number(sink, (uint64_t)genesis->created_us, 8);
    put_validators(sink, &genesis->validators);
    put_admins(sink, genesis);
    put_parameters(sink, &genesis->parameters);
}

void genesis_encode(const struct genesis *genesis, struct buf *out)
{
    put_genesis((struct sink){.buf = out}, genesis);
}

void validator_set_encode(const struct validator_set *set, struct buf *out)
{
    put_validators((struct sink){.buf = out}, set);
}

void genesis_admins_encode(const struct genesis *genesis, struct buf *out)
{
    put_admins((struct sink){.buf = out}, genesis);
}

void genesis_parameters_encode(const struct genesis_parameters *parameters, struct buf *out)
{
    put_parameters((struct sink){.buf = out}, parameters);
}

void validator_set_hash(const struct validator_set *set, struct hash *out)
{
    struct hasher hasher;
    hasher_init(&hasher);
    hasher_update(&hasher, bytes_of(VALIDATORS_LABEL, sizeof(VALIDATORS_LABEL)));
    put_validators((struct sink){.hasher = &hasher}, set);
    hasher_final(&hasher, out);
}

int validator_set_find(const struct validator_set *set, struct bytes id)
{
    size_t low = 0;
    size_t high = set->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = bytes_compare(bytes_str(set->v[middle].id), id);
        if (order == 0)
            return (int)middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

/* --- what makes a genesis valid --- */

struct refusal {
    char *why;
    size_t size;
};

__attribute__((format(printf, 3, 4))) static int refuse(const struct refusal *refusal, int error,
                                                        const char *format, ...)
{
    if (refusal->why == NULL || refusal->size == 0)
        return error;
    va_list args;
    va_start(args, format);
    vsnprintf(refusal->why, refusal->size, format, args);
    va_end(args);
    return error;
}

static int compare_validators(const void *a, const void *b)
{
    return strcmp(((const struct validator *)a)->id, ((const struct validator *)b)->id);
}

static int compare_admins(const void *a, const void *b)
{
    return strcmp(((const struct genesis_admin *)a)->id, ((const struct genesis_admin *)b)->id);
}

static int check_validators(const struct validator_set *set, const struct refusal *refusal)
{
    for (size_t i = 0; i < set->n; i++) {
        const struct validator *v = &set->v[i];
        if (!id_is_valid(bytes_str(v->id)) ||
            bytes_starts_with(bytes_str(v->id), BYTES_LIT("admin/")))
            return refuse(refusal, SEALMQ_E_PARSE, "validators: \"%s\" is no id of a node", v->id);
        if (i > 0 && strcmp(set->v[i - 1].id, v->id) == 0)
            return refuse(refusal, SEALMQ_E_EXISTS, "validators: \"%s\" is there twice", v->id);
        if (!validator_url_is_valid(bytes_str(v->url)))
            return refuse(refusal, SEALMQ_E_PARSE, "validators: url of \"%s\" is not mqtt://...",
                          v->id);
    }
    return 0;
}

static int check_admins(const struct genesis *genesis, const struct refusal *refusal)
{
    for (size_t i = 0; i < genesis->admin_count; i++) {
        const char *id = genesis->admins[i].id;
        if (!id_is_valid(bytes_str(id)) || !bytes_starts_with(bytes_str(id), BYTES_LIT("admin/")))
            return refuse(refusal, SEALMQ_E_PARSE, "admins: \"%s\" is not \"admin/<name>\"", id);
        if (i > 0 && strcmp(genesis->admins[i - 1].id, id) == 0)
            return refuse(refusal, SEALMQ_E_EXISTS, "admins: \"%s\" is there twice", id);
    }
    if (genesis->admin_threshold < 1 || genesis->admin_threshold > genesis->admin_count)
        return refuse(refusal, SEALMQ_E_LIMIT, "admins: threshold must be 1 to %zu",
                      genesis->admin_count);
    return 0;
}

struct key_owner {
    struct public_key key;
    const char *id;
};

static int compare_keys(const void *a, const void *b)
{
    return memcmp(((const struct key_owner *)a)->key.b, ((const struct key_owner *)b)->key.b,
                  PUBLIC_KEY_SIZE);
}

/* Every key has one owner and one use; a key of zeros is one that was forgotten. */
static int check_keys(const struct genesis *genesis, const struct refusal *refusal)
{
    struct key_owner owners[3 * VALIDATORS_MAX + ADMINS_MAX];
    size_t n = 0;
    for (size_t i = 0; i < genesis->validators.n; i++) {
        const struct validator *v = &genesis->validators.v[i];
        owners[n++] = (struct key_owner){v->key, v->id};
        owners[n++] = (struct key_owner){v->log_key, v->id};
        owners[n++] = (struct key_owner){v->cosigner_key, v->id};
    }
    for (size_t i = 0; i < genesis->admin_count; i++)
        owners[n++] = (struct key_owner){genesis->admins[i].key, genesis->admins[i].id};
    static const struct public_key none;
    qsort(owners, n, sizeof(owners[0]), compare_keys);
    for (size_t i = 0; i < n; i++) {
        if (memcmp(owners[i].key.b, none.b, PUBLIC_KEY_SIZE) == 0)
            return refuse(refusal, SEALMQ_E_PARSE, "a key of \"%s\" is missing", owners[i].id);
        if (i > 0 && compare_keys(&owners[i - 1], &owners[i]) == 0)
            return refuse(refusal, SEALMQ_E_EXISTS, "\"%s\" and \"%s\" have the same key",
                          owners[i - 1].id, owners[i].id);
    }
    return 0;
}

static int64_t created_latest(void)
{
    int64_t latest = 0;
    int error = eventtime_parse(BYTES_LIT("99991231T235959Z"), &latest);
    ASSERT(error == 0);
    return latest;
}

static int check(const struct genesis *genesis, const struct refusal *refusal)
{
    if (!network_name_is_valid(bytes_str(genesis->network)))
        return refuse(refusal, SEALMQ_E_PARSE, "network: not a name of [a-z0-9-]{1,%d}",
                      NETWORK_MAX);
    if (genesis->created_us < 0 || genesis->created_us > created_latest())
        return refuse(refusal, SEALMQ_E_LIMIT, "created: not in the years 1970 to 9999");
    int error = check_validators(&genesis->validators, refusal);
    if (error == 0)
        error = check_admins(genesis, refusal);
    if (error == 0)
        error = check_keys(genesis, refusal);
    if (error != 0)
        return error;
    if (genesis->parameters.difficulty > DIFFICULTY_MAX)
        return refuse(refusal, SEALMQ_E_LIMIT, "difficulty: must be 0 to %d", DIFFICULTY_MAX);
    if (genesis->parameters.anchor_interval_ms < 1 ||
        genesis->parameters.anchor_interval_ms > ANCHOR_INTERVAL_MAX_MS)
        return refuse(refusal, SEALMQ_E_LIMIT, "anchorIntervalMs: must be 1 to %d",
                      ANCHOR_INTERVAL_MAX_MS);
    return 0;
}

int genesis_seal(struct genesis *genesis, char *why, size_t why_size)
{
    const struct refusal refusal = {why, why_size};
    if (why != NULL && why_size != 0)
        why[0] = '\0';
    if (genesis->validators.n < 1 || genesis->validators.n > VALIDATORS_MAX)
        return refuse(&refusal, SEALMQ_E_LIMIT, "validators: must be 1 to %d", VALIDATORS_MAX);
    if (genesis->admin_count < 1 || genesis->admin_count > ADMINS_MAX)
        return refuse(&refusal, SEALMQ_E_LIMIT, "admins: must be 1 to %d", ADMINS_MAX);
    qsort(genesis->validators.v, genesis->validators.n, sizeof(genesis->validators.v[0]),
          compare_validators);
    qsort(genesis->admins, genesis->admin_count, sizeof(genesis->admins[0]), compare_admins);
    int error = check(genesis, &refusal);
    if (error != 0)
        return error;
    struct hasher hasher;
    hasher_init(&hasher);
    put_genesis((struct sink){.hasher = &hasher}, genesis);
    hasher_final(&hasher, &genesis->hash);
    return 0;
}
