/* Proof files (c2sp.org/tlog-proof, docs/spec/proof.md): the leaf is a block header; what hangs
 * under the header rides in the extra line.
 *
 *   extra         = u8 version (1) || u8 kind || str16 header wire || kind's part
 *   BLOCK         nothing
 *   REQUEST       request || state entries
 *   RECORD        request || u32 record index || str16 record text || path || state entries
 *   ROW           request || u32 leaf index || interval leaf || path || str16 topic || u32 rows ||
 *                 head path || u32 row number || row || row path || state entries
 *   request       = str32 request leaf || u32 index || path
 *   path          = u8 n || n * 32 bytes
 *   state entries = u8 n || n * (str16 key || str16 value || state path)
 * Rows are numbered from 0: row r is leaf r + 1 of its report's tree, whose leaf 0 is the head.
 *
 * A state entry proves against the state root of the same header: the sender's key ("member/<id>",
 * or "admins") and, for a record, the item's meaning ("item/<gateway>/<num>"). A REQUEST proof
 * without any proves that the request is on the chain, and leaves open whose key signed it; RECORD
 * and ROW need them. An item that is described in the same block as it is first used has no entry
 * there yet; such a proof is made from a later record or from the row. */
#ifndef SEALMQ_LEDGER_PROOF_H
#define SEALMQ_LEDGER_PROOF_H

#include "ledger/chain.h"
#include "ledger/note.h"

#define PROOF_FIRST_LINE "c2sp.org/tlog-proof@v1"
#define PROOF_BYTES_MAX  (8 * 1024 * 1024)
#define PROOF_STATE_MAX  4 /* state entries */

enum proof_kind { PROOF_BLOCK = 1, PROOF_REQUEST, PROOF_RECORD, PROOF_ROW };

struct proof_state_entry {
    struct bytes key, value;
    struct statetree_path path;
};

/* Decoded; borrows from the text given to proof_parse and from `storage`. */
struct proof {
    struct buf storage; /* the decoded extra line; owned */
    enum proof_kind kind;
    struct bytes header_wire;
    struct block_header header;
    uint64_t log_index;
    struct merkle_path log_path;
    struct bytes note;      /* the checkpoint with its signatures */
    struct request request; /* head and signatures only; nothing beside */
    uint32_t request_index;
    struct merkle_path request_path;
    uint32_t sub_index; /* record's index, or interval leaf's */
    struct merkle_path sub_path;
    struct record record;
    struct bytes record_text;
    struct interval_leaf leaf;
    struct report_head report; /* gateway and n are those of request and leaf */
    struct merkle_path head_path;
    uint32_t row_number;
    struct row row;
    struct merkle_path row_path;
    size_t state_count;
    struct proof_state_entry *state; /* owned */
};

/* "block", "request", "record", "row"; NULL for a number that is none. */
const char *proof_kind_name(enum proof_kind kind);

/* Parses a .tlog-proof file. Syntax and limits only: src/verify decides whether it proves. On an
 * error *out is closed. SEALMQ_E_PARSE, _SHORT, _LIMIT, _VERSION, _TYPE, _COUNT, _NOMEM. */
SEALMQ_MUST_CHECK int proof_parse(struct bytes text, struct proof *out);
void proof_close(struct proof *proof);
/* Appends the file form. Taken are: kind, header_wire, log_index, log_path, note; request.leaf,
 * request_index, request_path; sub_index, sub_path; record_text; leaf; report.topic, report.rows,
 * head_path, row_number, row, row_path; state. On an error nothing is appended: SEALMQ_E_LIMIT, or
 * the status of `out`. */
SEALMQ_MUST_CHECK int proof_format(const struct proof *proof, struct buf *out);

#endif
