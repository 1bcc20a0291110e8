/* The authenticated map behind the state root: a binary radix tree over SHA-256 of the keys, in
 * which only branching points are nodes.
 *
 *   leaf   = SHA-256(0x00 || SHA-256(key) || SHA-256(value))
 *   branch = SHA-256(0x01 || bit position (1 byte) || left || right)
 *   root of the empty map: 32 zero bytes
 *
 * The bit position is that of the first bit in which the keys below differ, counted from the most
 * significant bit of the first byte; left has a 0 there. The shape depends on the set of keys
 * alone, so every node computes the same root whatever the order of changes. */
#ifndef SEALMQ_LEDGER_STATETREE_H
#define SEALMQ_LEDGER_STATETREE_H

#include "crypto/hash.h"

struct statetree;

#define STATETREE_DEPTH_MAX 256

/* On the wire: u16 n || n * (u8 bit || 32 bytes). */
struct statetree_path {
    size_t n;
    struct {
        uint8_t bit;
        struct hash sibling;
    } steps[STATETREE_DEPTH_MAX]; /* from the leaf upwards: bit falls strictly */
};

SEALMQ_MUST_CHECK int statetree_new(struct statetree **out);
void statetree_free(struct statetree *tree);
/* Sets or replaces. SEALMQ_E_NOMEM, SEALMQ_E_LIMIT (2^30 entries); never fails while the tree holds
 * fewer entries than it once did, so that changes can be undone in reverse. */
SEALMQ_MUST_CHECK int statetree_set(struct statetree *tree, struct bytes key, struct bytes value);
/* Room for n more entries: that many new ones can then be set without failing. SEALMQ_E_NOMEM,
 * SEALMQ_E_LIMIT. */
SEALMQ_MUST_CHECK int statetree_reserve(struct statetree *tree, size_t n);
/* Removes; not there is fine. Never fails. */
void statetree_remove(struct statetree *tree, struct bytes key);
void statetree_root(struct statetree *tree, struct hash *out);
/* SEALMQ_E_NOTFOUND. */
SEALMQ_MUST_CHECK int statetree_prove(struct statetree *tree, struct bytes key,
                                      struct statetree_path *out);
/* 0, SEALMQ_E_HASH, or SEALMQ_E_PARSE when the path's bits do not fall. */
SEALMQ_MUST_CHECK int statetree_verify(struct bytes key, struct bytes value,
                                       const struct statetree_path *path, const struct hash *root);
void statetree_path_encode(const struct statetree_path *path, struct buf *out);
/* SEALMQ_E_SHORT, _LIMIT, _PARSE; the reader's status too. */
SEALMQ_MUST_CHECK int statetree_path_decode(struct reader *r, struct statetree_path *out);

#endif
