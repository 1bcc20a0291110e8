#include "verify/consistency.h"

#include "ledger/proof.h"

#include <stdio.h>

static int refuse(struct consistency_result *out, int error, const char *what)
{
    *out = (struct consistency_result){0};
    (void)snprintf(out->why, sizeof(out->why), "%s: %s", what, sealmq_error_text(error));
    return error;
}

/* The checkpoint that is in the file, whatever kind of file it is. */
static int find_checkpoint(struct bytes file, struct checkpoint *out)
{
    struct bytes text, lines;
    if (consistency_is_file(file)) {
        struct consistency proof;
        int error = consistency_parse(file, &proof);
        *out = proof.checkpoint;
        return error;
    }
    if (bytes_starts_with(file, BYTES_LIT(PROOF_FIRST_LINE))) {
        struct proof proof;
        int error = proof_parse(file, &proof);
        if (error == 0)
            error = checkpoint_parse(proof.note, out, &text, &lines);
        proof_close(&proof);
        return error;
    }
    return checkpoint_parse(file, out, &text, &lines);
}

int verify_consistency(struct bytes since, struct bytes proof, const struct policy *policy,
                       struct consistency_result *out)
{
    *out = (struct consistency_result){0};
    struct consistency_result made = {0};
    struct consistency read;
    int error = find_checkpoint(since, &made.old);
    if (error != 0)
        return refuse(out, error, "no checkpoint that was seen");
    error = consistency_parse(proof, &read);
    if (error != 0)
        return refuse(out, error, "not a consistency proof");
    if (strcmp(made.old.origin, read.checkpoint.origin) != 0)
        return refuse(out, SEALMQ_E_NETWORK, "the proof is of another log");
    if (made.old.size != read.old_size)
        return refuse(out, SEALMQ_E_CONFLICT, "the proof does not begin at the size that was seen");
    error = policy_check_note(policy, read.note, &made.now, &made.attested);
    if (error != 0)
        return refuse(out, error, "the later checkpoint");
    error = merkle_verify_consistency(read.old_size, made.now.size, &made.old.root, &made.now.root,
                                      &read.path);
    if (error != 0)
        return refuse(out, error, "what was seen is not part of the log any more");
    *out = made;
    return 0;
}
