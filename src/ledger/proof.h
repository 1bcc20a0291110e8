/* Proof files (c2sp.org/tlog-proof): the leaf is a block header; what hangs under the header rides
 * in the extra line.
 *
 *   extra  = u8 version (1) || u8 kind || str16 header wire || kind's part
 *   BLOCK    nothing
 *   REQUEST  str32 request leaf || u32 index || path
 *   RECORD   REQUEST's part || u32 record index || str16 record text || path || state entries
 *   ROW      REQUEST's part || u32 leaf index || interval leaf || path || str16 topic || u32 rows ||
 *            u32 row number || row || path || state entries
 *   path          = u8 n || n * 32 bytes
 *   state entries = u8 n || n * (str16 key || str16 value || state path)
 * A state entry proves against the state root of the same header: the sender's key ("member/<id>")
 * and, for a record, the item's meaning ("item/<gateway>/<num>"). An item that is described in the
 * same block as it is first used has no entry there yet; such a proof is made from a later record
 * or from the row. */
#ifndef SEALMQ_LEDGER_PROOF_H
#define SEALMQ_LEDGER_PROOF_H

#include "ledger/chain.h"
#include "ledger/note.h"

enum proof_kind { PROOF_BLOCK = 1, PROOF_REQUEST, PROOF_RECORD, PROOF_ROW };

struct proof_state_entry {
    struct bytes key, value;
    struct statetree_path path;
};

/* Decoded; borrows from the text given to proof_parse and from `storage`. */
struct proof {
    struct buf storage; /* decoded base64; owned */
    enum proof_kind kind;
    struct bytes header_wire;
    struct block_header header;
    uint64_t log_index;
    struct merkle_path log_path;
    struct bytes note; /* the checkpoint with its signatures */
    struct request request; /* head and signatures only; nothing beside */
    uint32_t request_index;
    struct merkle_path request_path;
    uint32_t sub_index; /* record's index, or interval leaf's */
    struct merkle_path sub_path;
    struct record record;
    struct bytes record_text;
    struct interval_leaf leaf;
    struct report_head report;
    uint32_t row_number;
    struct row row;
    struct merkle_path row_path;
    size_t state_count;
    struct proof_state_entry *state; /* owned */
};

/* Parses a .tlog-proof file. Syntax and limits only: src/verify decides whether it proves. */
SEALMQ_MUST_CHECK int proof_parse(struct bytes text, struct proof *out);
void proof_close(struct proof *proof);
/* Writes the file form. Fields of the kind must be set. */
SEALMQ_MUST_CHECK int proof_format(const struct proof *proof, struct buf *out);

#endif
