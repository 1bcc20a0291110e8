/* Consistency proofs of the log of headers, as files. */
#include "store/prove.h"

#include "ledger/consistency.h"

#include <stdio.h>

#define U(x) ((unsigned long long)(x))

static int prove(struct block_store *store, uint64_t old_size, struct buf *note, struct buf *out,
                 char *why, size_t why_size)
{
    struct checkpoint checkpoint;
    struct bytes text, lines;
    struct hash root;
    int error = block_store_checkpoint_newest(store, note);
    if (error == SEALMQ_E_NOTFOUND) {
        snprintf(why, why_size, "there is no checkpoint with a quorum yet");
        return SEALMQ_E_AGAIN;
    }
    if (error == 0)
        error = checkpoint_parse(buf_bytes(note), &checkpoint, &text, &lines);
    if (error != 0)
        return error;
    if (old_size == 0 || old_size > checkpoint.size) {
        snprintf(why, why_size, "the newest checkpoint is of %llu headers, not %llu",
                 U(checkpoint.size), U(old_size));
        return SEALMQ_E_NOTFOUND;
    }
    struct consistency made = {.old_size = old_size, .note = buf_bytes(note)};
    error = block_store_prove_growth(store, old_size, checkpoint.size, &made.path, &root);
    if (error == SEALMQ_E_NOTFOUND)
        snprintf(why, why_size,
                 "older headers are not here: this node began with a snapshot of the state; ask "
                 "another one");
    if (error == 0 && !hash_equal(&root, &checkpoint.root)) {
        snprintf(why, why_size,
                 "the stored blocks are not those that the validators signed: run `sealmq audit`");
        error = SEALMQ_E_CONFLICT;
    }
    return error != 0 ? error : consistency_format(&made, out);
}

int prove_consistency(struct block_store *store, uint64_t old_size, struct buf *out, char *why,
                      size_t why_size)
{
    struct buf note = {0};
    why[0] = '\0';
    int error = prove(store, old_size, &note, out, why, why_size);
    buf_close(&note);
    return error;
}
