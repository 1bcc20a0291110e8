/* Consistency proofs of the log of headers, as files: that the log of one checkpoint has grown into
 * that of a later one, and nothing before was changed. The form is the body of an add-checkpoint
 * request (c2sp.org/tlog-witness), so that any witness takes it; docs/spec/proof.md. */
#ifndef SEALMQ_LEDGER_CONSISTENCY_H
#define SEALMQ_LEDGER_CONSISTENCY_H

#include "ledger/merkle.h"
#include "ledger/note.h"

#define CONSISTENCY_BYTES_MAX (NOTE_BYTES_MAX + 4096)

/* Borrows from the text. */
struct consistency {
    uint64_t old_size; /* 1 to checkpoint.size */
    struct merkle_path path;
    struct bytes note; /* the later checkpoint with its signatures */
    struct checkpoint checkpoint;
};

bool consistency_is_file(struct bytes text); /* by its first word */
/* Syntax and limits. SEALMQ_E_PARSE, _LIMIT. */
SEALMQ_MUST_CHECK int consistency_parse(struct bytes text, struct consistency *out);
/* Appends the file; the checkpoint's fields are not taken. The status of `out`. */
SEALMQ_MUST_CHECK int consistency_format(const struct consistency *proof, struct buf *out);

#endif
