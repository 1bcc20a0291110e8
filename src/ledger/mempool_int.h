/* The inside of the mempool. For src/ledger/mempool*.c only.
 *
 * Invariants: every entry is in the table by hash, in the list in order of arrival, and in its
 * sender's array in order of numbers; a sender is there while it has entries. The result of
 * decoding is kept with each entry, so that choosing requests for a block decodes nothing. */
#ifndef SEALMQ_LEDGER_MEMPOOL_INT_H
#define SEALMQ_LEDGER_MEMPOOL_INT_H

#include "ledger/mempool.h"

#define HASH_NONFATAL_OOM                                                                          \
    1 /* a failed HASH_ADD leaves hh.tbl NULL instead of ending the program                        \
       */
#include <uthash.h>
#include <utlist.h>

struct pool_sender;

struct pool_entry {
    struct hash hash;
    struct request request; /* borrows from `wire` */
    struct pool_sender *sender;
    uint64_t arrival;    /* grows by one with each */
    uint64_t arrival_ms; /* as the caller's clock said */
    bool is_ready;       /* would execute on the chain as it was when last looked at */
    struct pool_entry *prev, *next;
    UT_hash_handle hh;
    uint8_t wire[];
};

struct pool_sender {
    char id[ID_MAX + 1];
    bool is_member;        /* not an admin */
    struct public_key key; /* of a member, under which its signatures were checked */
    uint64_t seen_height;  /* when its entries were last looked at */
    size_t n;
    size_t bytes;
    struct pool_entry *entries[MEMPOOL_SENDER_REQUESTS_MAX]; /* ascending by number */
    UT_hash_handle hh;
};

struct mempool {
    struct pool_entry *by_hash;  /* uthash */
    struct pool_entry *oldest;   /* utlist, in order of arrival */
    struct pool_sender *senders; /* uthash by id */
    size_t count;
    size_t bytes;
    uint64_t arrivals;
    uint64_t oldest_ready_ms;
};

/* Takes the entry out, and its sender when that was its last. */
void mempool_drop(struct mempool *pool, struct pool_entry *entry);
/* After entries were dropped or looked at again. */
void mempool_update_oldest(struct mempool *pool);

#endif
