/* The inside of the chain. For src/ledger/chain*.c only.
 *
 *   chain.c          making it, reading it, the next header
 *   chain_state.c    the state in memory: members, keys, senders, items
 *   chain_check.c    whether a request may be executed, and who signed it
 *   chain_execute.c  executing one request
 *   chain_govern.c   what admins and key owners change: checking and executing that
 *   chain_journal.c  begin, undo, rollback
 *   chain_entries.c  the state as entries of the state tree
 *   chain_block.c    whole blocks
 *   chain_restore.c  the state out of a snapshot's entries
 *
 * Invariants:
 * 1. The state tree, the log and the tip are those after the last appended block, always. Tentative
 *    execution changes the state in memory only; each change has a record in the journal that
 *    undoes it without needing memory.
 * 2. A failing chain_execute has changed nothing. It undoes what it did from the journal.
 * 3. A failing chain_append has changed nothing. All that needs memory (execution, the new values
 *    of entries, room in the tree, the log) comes first; then nothing can fail any more.
 * 4. The state in memory is a function of the entries and of the last JOIN_BLOCKS leaves of the
 * log, which are always there: two chains with the same state root and log root decide the same
 * about every request. */
#ifndef SEALMQ_LEDGER_CHAIN_INT_H
#define SEALMQ_LEDGER_CHAIN_INT_H

#include "ledger/chain.h"

#define HASH_NONFATAL_OOM                                                                          \
    1 /* a failed HASH_ADD leaves hh.tbl NULL instead of ending the program                        \
       */
#include <uthash.h>

/* A gateway or a validator. */
struct chain_member {
    char id[ID_MAX + 1];
    struct member_value value;
    bool is_touched;          /* see chain_entries.c */
    uint64_t changed_height;  /* the last block that changed it */
    uint64_t changing_height; /* the last in which it was changed, perhaps only tentatively */
    UT_hash_handle hh;
};

/* Who has or had a key, and for what. A key never changes hands. */
struct chain_key {
    struct public_key key;
    uint8_t use;         /* enum key_use, or KEY_OF_MEMBER: then its member's entry has it */
    char id[ID_MAX + 1]; /* of its owner */
    UT_hash_handle hh;
};
#define KEY_OF_MEMBER 1

/* What governs the network, and may be changed by its requests. */
struct chain_rules {
    struct validator_set validators;
    struct hash validators_hash;
    struct admins_value admins;
    struct genesis_parameters parameters;
};

/* Which of it the block under way changes. */
struct chain_changes {
    bool validators, admins, parameters;
};

struct chain_item {
    struct item item; /* its strings lie in `text` */
    uint8_t text[];
};

/* What the state keeps of one that sends requests. It exists from its first request on. */
struct chain_sender {
    char id[ID_MAX + 1];
    uint64_t lowest;     /* request number not yet used; 1 and up */
    uint64_t used_above; /* bit i: lowest + 1 + i is used */
    uint64_t next;       /* capture number to be covered; 1 and up */
    uint64_t *pending;   /* ascending, all below next */
    size_t pending_count, pending_capacity;
    struct chain_item **by_num;  /* ascending by num; owns the items */
    struct chain_item **by_name; /* the same ones by device, service, name */
    size_t item_count, item_capacity;
    bool window_touched, history_touched;
    uint64_t changed_height; /* the last block with a request of its */
    UT_hash_handle hh;
};

enum undo_kind {
    UNDO_SENDER,
    UNDO_WINDOW,
    UNDO_HISTORY,
    UNDO_ITEM,
    UNDO_MEMBER,
    UNDO_KEY,
    UNDO_VALIDATORS, /* of `next`, as UNDO_ADMINS and UNDO_PARAMETERS: as in `rules` again */
    UNDO_ADMINS,
    UNDO_PARAMETERS
};

/* How to take one change back; owns what it needs for that. */
struct undo {
    enum undo_kind kind;
    union {
        struct chain_sender *sender; /* UNDO_SENDER: it is new */
        struct {
            struct chain_sender *sender;
            uint64_t lowest, used_above;
        } window;
        struct {
            struct chain_sender *sender;
            uint64_t next;
            uint64_t *removed; /* owned: pending numbers that were resolved, ascending */
            size_t removed_count, added_count;
        } history;
        struct {
            struct chain_sender *sender;
            struct chain_item *item; /* it is new */
        } item;
        struct {
            struct chain_member *member;
            struct member_value *before; /* owned; NULL: it is new */
            uint64_t changing_height;
        } member;
        struct chain_key *key; /* it is new */
    };
};

struct journal {
    struct undo *records;
    size_t n, capacity;
};

struct chain {
    struct genesis genesis;
    struct chain_rules rules;     /* of the next block: they stand under the state root */
    struct chain_rules next;      /* of the one after it, where `changes` says so; else stale */
    struct chain_changes changes; /* all false between blocks */
    uint64_t validators_height;   /* the first block that the set decides */
    struct validator_set
        validators_before;  /* the set that decided the one before; n 0: not known */
    uint64_t admins_height; /* the last block that changed admins; see chain_changed_height */
    struct block_header tip;
    struct hash tip_hash;
    struct merkle_log log;
    struct statetree *tree;
    struct chain_member *members; /* uthash by id */
    struct chain_key *keys;       /* uthash by key */
    struct chain_sender *senders; /* uthash by id */
    bool is_tentative;            /* between begin and commit or rollback */
    struct journal journal;
};

/* Where the leaves begin that a log of this size must have: whoever joins names one of them. */
static inline uint64_t chain_join_base(uint64_t size)
{
    return size < JOIN_BLOCKS ? 0 : size - JOIN_BLOCKS;
}

/* The height of the block in which requests are being executed. */
static inline uint64_t chain_next_height(const struct chain *chain)
{
    return chain->tip.height + 1;
}

/* --- chain.c --- */

/* A chain with nothing in its state, and no tip. SEALMQ_E_NOMEM, SEALMQ_E_ARG as chain_new. */
SEALMQ_MUST_CHECK int chain_new_empty(const struct genesis *genesis, struct chain **out);

/* --- chain_state.c --- */

/* NULL: none. */
struct chain_member *chain_find_member(const struct chain *chain, struct bytes id);
struct chain_sender *chain_find_sender(const struct chain *chain, struct bytes id);
const struct genesis_admin *chain_find_admin(const struct chain *chain, struct bytes id);
struct chain_key *chain_find_key(const struct chain *chain, const struct public_key *key);
const struct chain_item *sender_find_item(const struct chain_sender *sender, uint32_t num);
const struct chain_item *sender_find_name(const struct chain_sender *sender,
                                          const struct item *item);
bool sender_number_is_used(const struct chain_sender *sender, uint64_t number);

/* These add without a journal record; NULL when out of memory. */
struct chain_member *chain_add_member(struct chain *chain, struct bytes id,
                                      const struct member_value *value);
struct chain_sender *chain_add_sender(struct chain *chain, struct bytes id);
struct chain_key *chain_add_key(struct chain *chain, const struct public_key *key, uint8_t use,
                                struct bytes id);
struct chain_item *sender_add_item(struct chain_sender *sender, const struct item *item);
/* And these take away what was added. */
void chain_drop_member(struct chain *chain, struct chain_member *member);
void chain_drop_sender(struct chain *chain, struct chain_sender *sender);
void chain_drop_key(struct chain *chain, struct chain_key *key);
void sender_drop_item(struct chain_sender *sender, struct chain_item *item);

/* The key with which a member may sign requests of the block at `height`: NULL when it had none.
 * Registering and revoking take effect with the block after their own. */
const struct public_key *member_key_at(const struct member_value *value, uint64_t height);

/* --- chain_govern.c --- */

/* Requests of the kinds REGISTER, REVOKE, ROTATE and CONFIGURE; who sends them is checked before.
 */
SEALMQ_MUST_CHECK int govern_check(const struct chain *chain, const struct request *request);
/* What was found fine. The journal has room for GOVERN_RECORDS_MAX records. */
#define GOVERN_RECORDS_MAX (4 + ADMINS_MAX)
SEALMQ_MUST_CHECK int govern_apply(struct chain *chain, const struct request *request);
/* The rules of the block after the one under way become those of the next. */
void govern_commit(struct chain *chain, uint64_t height);

/* --- chain_journal.c --- */

/* Room for n more records: that many calls of journal_push then succeed. */
SEALMQ_MUST_CHECK int journal_reserve(struct journal *journal, size_t n);
struct undo *journal_push(struct journal *journal, enum undo_kind kind);
/* Undoes the newest records down to `n`. */
void journal_undo(struct chain *chain, size_t n);
/* Forgets all records: what they would undo stays. */
void journal_forget(struct journal *journal);

/* --- chain_entries.c --- */

/* Writes the entries of the genesis state into the empty tree. */
SEALMQ_MUST_CHECK int entries_write_genesis(struct chain *chain);

/* Appends the value of the entry, if there could be one with such a key. SEALMQ_E_NOTFOUND. */
SEALMQ_MUST_CHECK int chain_entry_value(const struct chain *chain, struct bytes key,
                                        struct buf *value);
/* The keys of all entries, ascending; `fn` may end it with an error. SEALMQ_E_NOMEM. */
typedef int (*chain_key_fn)(void *context, struct bytes key);
SEALMQ_MUST_CHECK int chain_keys_each(const struct chain *chain, chain_key_fn fn, void *context);

/* New values of entries, encoded: str16 key || str32 value, one after another. */
struct entries {
    struct buf buf;
    size_t new_count; /* at most so many of them are new to the tree */
};
/* The entries that the journal's changes touch. */
SEALMQ_MUST_CHECK int entries_collect(struct chain *chain, struct entries *out);
/* Puts them into the tree, in which there is room for them: cannot fail. */
void entries_write(struct chain *chain, const struct entries *entries);

#endif
