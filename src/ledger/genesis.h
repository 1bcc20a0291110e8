/* The genesis: what a network is at its start. A JSON file that people can read; its hash is taken
 * over a canonical binary form, and is part of everything that is signed in the network. */
#ifndef SEALMQ_LEDGER_GENESIS_H
#define SEALMQ_LEDGER_GENESIS_H

#include "base/limits.h"
#include "crypto/sign.h"

/* A validator's keys: its own, and the two derived from it for checkpoints (purposes
 * LOG_KEY_PURPOSE and COSIGNER_KEY_PURPOSE of sign_key_derive). */
#define LOG_KEY_PURPOSE      "sealmq/log-key/1"
#define COSIGNER_KEY_PURPOSE "sealmq/cosigner-key/1"

struct validator {
    char id[ID_MAX + 1];
    struct public_key key, log_key, cosigner_key;
    char url[URL_MAX_BYTES + 1]; /* where its broker listens, "mqtt://host:port" */
};

struct validator_set {
    size_t n;
    struct validator v[VALIDATORS_MAX]; /* in order of their ids */
};

struct genesis_admin {
    char id[ID_MAX + 1]; /* "admin/<name>" */
    struct public_key key;
};

struct genesis_parameters {
    uint8_t difficulty;          /* leading zero bits a header hash must have; 0 */
    uint32_t anchor_interval_ms; /* longest time between a gateway's history intervals */
};

struct genesis {
    char network[NETWORK_MAX + 1];
    int64_t created_us;
    struct validator_set validators;
    size_t admin_count;
    unsigned admin_threshold; /* signatures needed, 1 to admin_count */
    struct genesis_admin admins[ADMINS_MAX];
    struct genesis_parameters parameters;
    struct hash hash; /* of the canonical form */
};

/* The canonical form (docs/spec/genesis.md), whose SHA-256 is the genesis hash:
 *   genesis    = "sealmq/genesis/1" || 0x00 || str8 network || i64 created_us || validators ||
 *                admins || parameters
 *   validators = u8 n || n * (str8 id || 32 key || 32 log key || 32 cosigner key || str8 url)
 *   admins     = u8 threshold || u8 n || n * (str8 id || 32 key)
 *   parameters = u8 difficulty || u32 anchor_interval_ms
 * Validators and admins are in ascending order of their ids. */
void genesis_encode(const struct genesis *genesis, struct buf *out);
void validator_set_encode(const struct validator_set *set, struct buf *out);
void genesis_admins_encode(const struct genesis *genesis, struct buf *out);
void genesis_parameters_encode(const struct genesis_parameters *parameters, struct buf *out);

/* The canonical forms read again, with all that makes them valid: order, ids, keys (but not that
 * each occurs once), URLs, limits. SEALMQ_E_PARSE, _SHORT, _LIMIT. */
SEALMQ_MUST_CHECK int validator_set_decode(struct bytes wire, struct validator_set *out);
SEALMQ_MUST_CHECK int genesis_parameters_decode(struct bytes wire, struct genesis_parameters *out);

/* Empty (the network meets at a shared broker), or mqtt:// or mqtts:// and something printable. */
bool validator_url_is_valid(struct bytes url);
bool genesis_parameters_are_valid(const struct genesis_parameters *parameters);

/* Reads the JSON form and seals it. SEALMQ_E_PARSE, _LIMIT, _EXISTS (an id or key twice), _NOMEM;
 * `why` gets words that name the member. Members that are not known are refused: a misspelt one
 * must not change what a network is. */
SEALMQ_MUST_CHECK int genesis_parse(struct bytes json, struct genesis *out, char *why,
                                    size_t why_size);
/* Sorts validators and admins by id, checks ids, keys, counts and parameters, and fills in the
 * hash. */
SEALMQ_MUST_CHECK int genesis_seal(struct genesis *genesis, char *why, size_t why_size);
/* Appends the JSON form, indented for people; what genesis_parse reads. */
SEALMQ_MUST_CHECK int genesis_format(const struct genesis *genesis, struct buf *json);

/* SHA-256("sealmq/validators/1" || 0x00 || validators). */
void validator_set_hash(const struct validator_set *set, struct hash *out);
bool validators_equal(const struct validator *a, const struct validator *b);
/* Index, or -1. */
int validator_set_find(const struct validator_set *set, struct bytes id);

/* PBFT's numbers for a set of n: f = (n-1)/3, q = (n+f)/2 + 1. */
static inline size_t validators_f(size_t n)
{
    return (n - 1) / 3;
}
static inline size_t validators_quorum(size_t n)
{
    return (n + validators_f(n)) / 2 + 1;
}

#endif
