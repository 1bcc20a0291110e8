#include "chain_receipts.h"

static int check_note(struct receipts_checker *checker, struct bytes note,
                      struct checkpoint *checkpoint)
{
    struct hash hash;
    hash_sha256(note, &hash);
    struct kept_note *kept = &checker->notes[hash.b[0] % NOTES_KEPT];
    if (!hash_equal(&kept->hash, &hash)) {
        int error = policy_check_note(checker->policy, note, &kept->checkpoint, NULL);
        if (error != 0) {
            kept->hash = (struct hash){{0}};
            return error;
        }
        kept->hash = hash;
    }
    *checkpoint = kept->checkpoint;
    return 0;
}

static int check_places(const struct proof *proof, const struct checkpoint *checkpoint,
                        const struct hash *request)
{
    struct hash leaf;
    hash_leaf(proof->header_wire, &leaf);
    if (proof->kind != PROOF_REQUEST || proof->header.height != proof->log_index ||
        !hash_equal(&proof->request.hash, request))
        return SEALMQ_E_CONFLICT;
    int error = merkle_verify(&leaf, proof->log_index, checkpoint->size, &proof->log_path,
                              &checkpoint->root);
    if (error == 0)
        error = merkle_verify(request, proof->request_index, proof->header.requests,
                              &proof->request_path, &proof->header.requests_root);
    return error;
}

int receipts_check(struct receipts_checker *checker, struct bytes text, const struct hash *request,
                   uint64_t *height)
{
    struct proof proof;
    struct checkpoint checkpoint;
    int error = proof_parse(text, &proof);
    if (error != 0)
        return error;
    error = check_note(checker, proof.note, &checkpoint);
    if (error == 0)
        error = check_places(&proof, &checkpoint, request);
    *height = proof.header.height;
    proof_close(&proof);
    return error;
}
