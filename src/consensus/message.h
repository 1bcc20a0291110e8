/* The consensus messages as bytes (docs/spec/consensus.md). Decoding checks syntax and limits and
 * borrows from its input; whether a message is true is for the phases to decide.
 *
 *   vote      = u8 version (1) || u8 kind || u8 sender || u64 view || u64 height || header hash ||
 *               64 bytes signature                       PREPARE, COMMIT
 *               || str32 block                           PRE-PREPARE, whose signature is the
 *                                                        primary's PREPARE vote
 *   signed    = u8 version || u8 kind || u8 sender || str32 fields || 64 bytes signature
 *   VIEW-CHANGE = signed || str32 block (may be empty)
 *     fields  = u64 view || u64 tip height || str32 tip certificate || u8 prepared ||
 *               prepared * (str32 prepared certificate)
 *   NEW-VIEW  = signed || str32 block (empty unless one is proposed again)
 *     fields  = u64 view || u8 n || n * (str32 signed VIEW-CHANGE) || u8 again || again * (64
 * bytes)
 *   STATUS    = signed
 *     fields  = str8 id || u64 tip height || u64 view || u8 flags || u64 stable checkpoint size ||
 *               u64 lowest body
 *   FETCH     = signed
 *     fields  = str8 id || u64 from height || u16 count || u8 wanted || wanted * (header hash)
 *   CHECKPOINT = u8 version || u8 kind || u8 sender || u64 size || root || str16 signature lines
 *   BLOCKS    = u8 version || u8 kind || u8 sender || u16 n || n * (str32 block || str32
 *               certificate)
 *   REQUEST   = a request's wire form
 *   ASK       = signed
 *     fields  = u8 what || u64 height || u32 at
 *   PART      = u8 version || u8 kind || u8 sender || u8 what || u64 height || u32 at || str32
 * bytes
 *
 * Votes and view changes are of one set of validators, and name their sender by its index in it.
 * STATUS and FETCH are of members, who may know another set than we do, or be in none: they name
 * their sender by its id, and have 255 in its place; so has BLOCKS of one who is in no set.
 *
 * The signature of a vote is that of the ledger (block.h). The signature of the others covers, with
 * the label of the kind and the genesis hash: validators hash || SHA-256(all before it); for STATUS
 * and FETCH 32 zero bytes in place of the hash. A block
 * that follows a signature is bound by the header hash that the signature covers. CHECKPOINT and
 * BLOCKS need no envelope: their lines and certificates are signed themselves. */
#ifndef SEALMQ_CONSENSUS_MESSAGE_H
#define SEALMQ_CONSENSUS_MESSAGE_H

#include "consensus/pbft.h"

#define PBFT_VERSION         1
#define CHECKPOINT_LINES_MAX 1024

#define VIEW_CHANGE_LABEL "sealmq/view-change/1"
#define NEW_VIEW_LABEL    "sealmq/new-view/1"
#define STATUS_LABEL      "sealmq/status/1"
#define FETCH_LABEL       "sealmq/fetch/1"
#define ASK_LABEL         "sealmq/ask/1"

enum status_flags {
    STATUS_CHANGING = 1, /* VIEW-CHANGE sent for this view, NEW-VIEW not seen */
    STATUS_PROPOSAL = 2, /* has the proposal of this view and the next height */
    STATUS_FOLLOWS = 4,  /* votes for nothing */
};

struct msg_vote {
    int sender;
    uint64_t view, height;
    struct hash header;
    struct signature signature;
    struct bytes block; /* PRE-PREPARE only */
};

/* What all signed kinds have in common. */
struct msg_signed {
    int sender;
    struct bytes fields;
    struct bytes covered;     /* version to fields */
    struct bytes signed_part; /* with the signature */
    struct signature signature;
};

struct msg_view_change {
    struct msg_signed head;
    uint64_t view, height;
    struct bytes tip_certificate; /* empty at height 0 */
    bool prepared;
    struct bytes prepared_certificate;
    struct bytes block; /* empty: not sent along */
};

struct msg_new_view {
    struct msg_signed head;
    uint64_t view;
    size_t n;
    struct msg_view_change view_changes[VALIDATORS_MAX]; /* in ascending order of senders */
    bool again;
    struct signature vote;
    struct bytes block;
};

struct msg_status {
    struct msg_signed head;
    struct bytes id; /* of the sender */
    uint64_t height, view, stable_size;
    uint64_t keeps; /* bodies of blocks from this height on */
    uint8_t flags;
};

struct msg_fetch {
    struct msg_signed head;
    struct bytes id; /* of the sender */
    uint64_t from;
    uint16_t count;
    bool wanted; /* the block of a prepared certificate */
    struct hash header;
};

/* What is asked for: the newest snapshot's manifest with what certifies it, a chunk of the snapshot
 * at that height, headers from that height downwards. */
enum ask_what { ASK_MANIFEST = 1, ASK_CHUNK, ASK_HEADERS };

struct msg_ask {
    struct msg_signed head;
    enum ask_what what;
    uint64_t height; /* 0 for a manifest */
    uint32_t at;     /* number of the chunk; how many headers */
};

/* Headers in one PART, at most. */
#define PART_HEADERS_MAX 256

struct msg_part {
    int sender;
    enum ask_what what;
    uint64_t height;
    uint32_t at;
    struct bytes bytes; /* empty: there is none */
};

struct msg_checkpoint {
    int sender;
    uint64_t size;
    struct hash root;
    struct bytes lines;
};

struct msg_blocks {
    int sender; /* -1: in no set */
    size_t n;
    struct bytes list; /* walk with message_blocks_next */
};

/* SEALMQ_E_PARSE, _SHORT, _VERSION, _LIMIT. Senders are below VALIDATORS_MAX, no more; -1 where
 * the kind allows none. */
SEALMQ_MUST_CHECK int message_decode_vote(struct bytes b, enum pbft_message_kind kind,
                                          struct msg_vote *out);
SEALMQ_MUST_CHECK int message_decode_view_change(struct bytes b, struct msg_view_change *out);
SEALMQ_MUST_CHECK int message_decode_new_view(struct bytes b, struct msg_new_view *out);
SEALMQ_MUST_CHECK int message_decode_status(struct bytes b, struct msg_status *out);
SEALMQ_MUST_CHECK int message_decode_fetch(struct bytes b, struct msg_fetch *out);
SEALMQ_MUST_CHECK int message_decode_checkpoint(struct bytes b, struct msg_checkpoint *out);
SEALMQ_MUST_CHECK int message_decode_blocks(struct bytes b, struct msg_blocks *out);
SEALMQ_MUST_CHECK int message_decode_ask(struct bytes b, struct msg_ask *out);
SEALMQ_MUST_CHECK int message_decode_part(struct bytes b, struct msg_part *out);
bool message_blocks_next(struct bytes *list, struct pbft_stored_block *out);

/* Appended; check the buffer's status. */
void message_encode_vote(const struct msg_vote *m, enum pbft_message_kind kind, struct buf *out);
void message_encode_checkpoint(const struct msg_checkpoint *m, struct buf *out);
void message_encode_blocks(int sender, const struct pbft_stored_block *blocks, size_t n,
                           struct buf *out);
void message_encode_part(const struct msg_part *m, struct buf *out);
/* The fields of the signed kinds. */
void message_fields_ask(const struct msg_ask *m, struct buf *out);
void message_fields_view_change(const struct msg_view_change *m, struct buf *out);
void message_fields_new_view(const struct msg_new_view *m, struct buf *out);
void message_fields_status(const struct msg_status *m, struct buf *out);
void message_fields_fetch(const struct msg_fetch *m, struct buf *out);

#define MESSAGE_NO_SENDER (-1)

/* The signed part of a message of `kind`. Of STATUS and FETCH neither `sender` nor `validators` is
 * part, and the fields name the sender. */
void message_sign(enum pbft_message_kind kind, int sender, struct bytes fields,
                  const struct sign_key *key, const struct hash *genesis,
                  const struct hash *validators, struct buf *out);
SEALMQ_MUST_CHECK int message_verify(enum pbft_message_kind kind, const struct msg_signed *head,
                                     const struct public_key *key, const struct hash *genesis,
                                     const struct hash *validators);

#endif
