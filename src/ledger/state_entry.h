/* The values of the state's entries as bytes, and their keys. The chain writes them into the state
 * tree, verifiers read them out of proofs.
 *
 *   "member/<id>"           u8 role || u8 status || u64 revoked height (0: active) || u8 keys ||
 *                           keys * (32 bytes || u64 from height || u64 until height)
 *   "item/<gateway>/<num>"  str8 device || str8 service || str8 name || u8 datatype || str8 unit
 *   "admins"                u8 threshold || u8 admins || admins * (str8 id || 32 bytes)
 *   "key/<64 hexadecimal digits>"  u8 use || str8 id: a key that no member signs requests with
 *
 * A key is valid for requests in blocks from <= height < until; until is 0 for a current key. Keys
 * are in order of time: each starts where the one before it ended or later, and only the last may
 * be current. Admins are in ascending order of their ids.
 *
 * Encoding and decoding are inverse: what decodes is canonical. */
#ifndef SEALMQ_LEDGER_STATE_ENTRY_H
#define SEALMQ_LEDGER_STATE_ENTRY_H

#include "ledger/genesis.h"
#include "ledger/request.h"

/* Of one member, ever: a key is remembered so that it is never registered again, and who has used
 * up its keys needs another id. */
#define MEMBER_KEYS_MAX 32

/* Longest key of an entry: "item/" || gateway || "/" || 10 digits. */
#define STATE_KEY_MAX (5 + ID_MAX + 1 + 10)

enum member_status { MEMBER_ACTIVE = 1, MEMBER_REVOKED };

struct member_key {
    struct public_key key;
    uint64_t from, until; /* heights; until 0: current */
};

struct member_value {
    enum member_role role;
    enum member_status status;
    uint64_t revoked_height; /* 0 when active */
    size_t key_count;        /* 1 and up */
    struct member_key keys[MEMBER_KEYS_MAX];
};

/* What a key is for that is not a member's own: an entry remembers it, for a key never changes
 * hands. */
enum key_use { KEY_OF_LOG = 2, KEY_OF_COSIGNER = 3, KEY_OF_ADMIN = 4 };

struct admins_value {
    unsigned threshold;
    size_t n;
    struct genesis_admin admins[ADMINS_MAX];
};

/* Keys of entries, appended. */
void state_key_member(struct bytes id, struct buf *out);
void state_key_item(struct bytes gateway, uint32_t num, struct buf *out);
void state_key_key(const struct public_key *key, struct buf *out);
/* What follows "key/": 64 hexadecimal digits, in small letters. */
bool state_key_read_digits(struct bytes digits, struct public_key *out);
#define STATE_KEY_ADMINS     BYTES_LIT("admins")
#define STATE_KEY_VALIDATORS BYTES_LIT("validators")
#define STATE_KEY_PARAMETERS BYTES_LIT("parameters")

/* Appended. The value must be one that would decode. */
void member_value_encode(const struct member_value *value, struct buf *out);
void item_value_encode(const struct item *item, struct buf *out); /* all but num */
void admins_value_encode(const struct admins_value *value, struct buf *out);
void key_value_encode(enum key_use use, struct bytes id, struct buf *out);

/* SEALMQ_E_PARSE, _SHORT, _LIMIT, _TYPE. */
SEALMQ_MUST_CHECK int member_value_decode(struct bytes wire, struct member_value *out);
/* The strings are borrowed from `wire`; num is set to 0. */
SEALMQ_MUST_CHECK int item_value_decode(struct bytes wire, struct item *out);
/* And SEALMQ_E_EXISTS for a key twice. */
SEALMQ_MUST_CHECK int admins_value_decode(struct bytes wire, struct admins_value *out);
/* The id is borrowed. */
SEALMQ_MUST_CHECK int key_value_decode(struct bytes wire, enum key_use *use, struct bytes *id);

/* The key with which the member could sign requests of the block at `height`; NULL when none. */
const struct public_key *member_value_key_at(const struct member_value *value, uint64_t height);
/* The key of an admin, NULL when the id is none. */
const struct public_key *admins_value_key(const struct admins_value *value, struct bytes id);

#endif
