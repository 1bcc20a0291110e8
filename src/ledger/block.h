/* Blocks: headers, bodies, commit certificates.
 *
 *   header = u16 version (1) || str8 network || u64 height || parent hash || requests root ||
 *            log root || state root || validators hash || next validators hash || i64 time_us ||
 *            u64 view || str8 proposer || u32 requests || u8 difficulty || u64 nonce
 *   block  = str16 header || u32 requests || requests * (str32 request wire)
 *
 * The header hash is SHA-256 of the header. The parent of height 0 is the genesis hash, and its
 * state root is that of the state the genesis describes; the state root of every other header is
 * that after its parent. The log's leaves are the headers; the log root covers those before it. */
#ifndef SEALMQ_LEDGER_BLOCK_H
#define SEALMQ_LEDGER_BLOCK_H

#include "ledger/genesis.h"
#include "ledger/request.h"

#define HEADER_MAX 512

struct block_header {
    char network[NETWORK_MAX + 1];
    uint64_t height;
    struct hash parent, requests_root, log_root, state_root, validators, next_validators;
    int64_t time_us;
    uint64_t view;
    char proposer[ID_MAX + 1]; /* empty at height 0 */
    uint32_t requests;
    uint8_t difficulty;
    uint64_t nonce;
};

/* Appends. The strings must be within their sizes; what would not decode is not checked here. */
void header_encode(const struct block_header *header, struct buf *out);
/* SEALMQ_E_PARSE, _SHORT, _VERSION, _LIMIT. */
SEALMQ_MUST_CHECK int header_decode(struct bytes wire, struct block_header *out);
void header_hash(struct bytes wire, struct hash *out);
bool header_meets_difficulty(const struct hash *header_hash, uint8_t bits);
/* Tries nonces from *nonce on, `tries` at most, in the encoded header of `n` bytes, whose last
 * eight they are. True when one meets the difficulty: it is in the header then. *nonce is the next
 * to be tried. */
bool header_find_nonce(uint8_t *header, size_t n, uint8_t bits, uint64_t *nonce, uint32_t tries);

/* A decoded block: borrows from its wire form. */
struct block {
    struct bytes wire;
    struct bytes header_wire;
    struct block_header header;
    struct hash hash; /* of the header */
    uint32_t request_count;
    struct bytes requests; /* walk with block_requests_next */
};

/* Longest wire form: header, count, and requests with their lengths (BLOCK_BYTES_MAX). */
#define BLOCK_WIRE_MAX (2 + HEADER_MAX + 4 + BLOCK_BYTES_MAX)

/* Syntax, limits, the requests root; not the requests' own syntax. `wire` is borrowed by *out.
 * SEALMQ_E_PARSE, _SHORT, _VERSION, _LIMIT, _COUNT (header and body differ), _HASH (the root). */
SEALMQ_MUST_CHECK int block_decode(struct bytes wire, struct block *out);
bool block_requests_next(struct bytes *list, struct bytes *request_wire);
/* What one request of `n` bytes takes of BLOCK_BYTES_MAX. */
static inline size_t block_request_size(size_t n)
{
    return n + 4;
}
/* Puts header and requests (wire forms) together. The header's requests and requests_root are
 * filled in; its other fields are the caller's. On an error nothing is appended. SEALMQ_E_LIMIT,
 * what block_decode says of the result, or the status of `out`. */
SEALMQ_MUST_CHECK int block_encode(struct block_header *header, const struct bytes *requests,
                                   size_t n, struct buf *out);
/* The block at height 0: no requests, no proposer, no work. Check the status of `out`. */
void genesis_block(const struct genesis *genesis, const struct hash *state_root, struct buf *out);

/* One validator's vote, as signed: validators hash || u64 view || u64 height || header hash. */
struct vote {
    struct hash validators;
    uint64_t view, height;
    struct hash header;
};
#define COMMIT_LABEL  "sealmq/commit/1"
#define PREPARE_LABEL "sealmq/prepare/1"
void vote_sign(const struct sign_key *key, const char *label, const struct hash *genesis,
               const struct vote *vote, struct signature *out);
SEALMQ_MUST_CHECK int vote_verify(const struct public_key *key, const char *label,
                                  const struct hash *genesis, const struct vote *vote,
                                  const struct signature *signature);

/* A quorum of votes of one kind: u64 view || u64 height || header hash || u8 votes ||
 * votes * (u8 validator index || 64 bytes), indexes ascending. */
struct certificate {
    uint64_t view, height;
    struct hash header;
    size_t n;
    struct {
        uint8_t validator;
        struct signature signature;
    } votes[VALIDATORS_MAX];
};
void certificate_encode(const struct certificate *certificate, struct buf *out);
SEALMQ_MUST_CHECK int certificate_decode(struct bytes wire, struct certificate *out);
/* Whether it has a quorum of valid votes of `label` by members of the set, and no invalid one.
 * SEALMQ_E_COUNT (too few, or one twice), SEALMQ_E_SIGNATURE, SEALMQ_E_UNKNOWN (no such member). */
SEALMQ_MUST_CHECK int certificate_verify(const struct certificate *certificate, const char *label,
                                         const struct validator_set *set,
                                         const struct hash *genesis);

#endif
