/* Proof files and their verification. An input is a proof file, judged by the policy of the frozen
 * vectors; or else the bytes of an extra line, around which a file is made whose checkpoint is in
 * order, so that what hangs under the header is reached. Nothing may crash, and what is read must
 * be written again as the same bytes. */
#include "base/assert.h"
#include "verify/consistency.h"
#include "verify/verify.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct {
    struct hash genesis;
    struct sign_key log_key; /* of the second policy's log */
    struct policy *frozen, *own;
} fixture;

static void key_from_text(const char *text, struct sign_key *out)
{
    struct hash seed;
    hash_sha256(bytes_str(text), &seed);
    sign_key_from_seed(seed.b, out);
}

static struct policy *parse_policy(const struct buf *text)
{
    struct policy *policy = NULL;
    unsigned line;
    char why[128];
    ASSERT(policy_parse(buf_bytes(text), &policy, &line, why, sizeof(why)) == 0);
    return policy;
}

/* As test/vectors/make_vectors has it. */
static void make_fixture(void)
{
    ASSERT(crypto_init() == 0);
    hash_sha256(BYTES_LIT("the genesis of the vectors"), &fixture.genesis);
    struct validator_set set = {.n = 4};
    struct buf text = {0};
    for (size_t i = 0; i < set.n; i++) {
        struct sign_key key;
        char name[32];
        (void)snprintf(set.v[i].id, sizeof(set.v[i].id), "broker/%c", (int)('a' + i));
        (void)snprintf(name, sizeof(name), "broker/%c log", (int)('a' + i));
        key_from_text(name, &key);
        set.v[i].log_key = key.public_key;
        (void)snprintf(name, sizeof(name), "broker/%c cosigner", (int)('a' + i));
        key_from_text(name, &key);
        set.v[i].cosigner_key = key.public_key;
    }
    ASSERT(policy_format("plant", &set, &text) == 0);
    fixture.frozen = parse_policy(&text);
    buf_reset(&text);
    key_from_text("own log", &fixture.log_key);
    buf_append_cstr(&text, "quorum none\nlog ");
    note_vkey_format(BYTES_LIT("sealmq/plant"), NOTE_ED25519, &fixture.log_key.public_key, &text);
    buf_append_cstr(&text, "\n");
    fixture.own = parse_policy(&text);
    buf_close(&text);
}

static void judge(struct bytes text, const struct policy *policy)
{
    static struct verify_result result;
    struct proof proof;
    if (proof_parse(text, &proof) == 0) {
        struct buf again = {0};
        ASSERT(proof_format(&proof, &again) == 0);
        ASSERT(bytes_equal(buf_bytes(&again), text));
        buf_close(&again);
        proof_close(&proof);
    }
    int error = verify_proof(text, policy, &fixture.genesis, &result);
    ASSERT((error == 0) == (result.why[0] == '\0'));
}

/* A checkpoint of the log whose last header is the proof's, signed. A last leaf's path has left
 * siblings only, one for each bit of its index; here they are zeros. */
static void append_note(struct proof *proof, struct buf *out)
{
    struct checkpoint checkpoint = {.size = proof->header.height + 1};
    struct buf text = {0}, tagged = {0};
    struct signature signature;
    uint8_t id[4];
    checkpoint_origin("plant", checkpoint.origin);
    hash_leaf(proof->header_wire, &checkpoint.root);
    proof->log_index = proof->header.height;
    proof->log_path = (struct merkle_path){0};
    for (uint64_t bits = proof->log_index; bits != 0; bits &= bits - 1) {
        const struct hash *sibling = &proof->log_path.hashes[proof->log_path.n++];
        hash_node(sibling, &checkpoint.root, &checkpoint.root);
    }
    checkpoint_format(&checkpoint, &text);
    sign_raw(&fixture.log_key, buf_bytes(&text), &signature);
    note_key_id(bytes_str(checkpoint.origin), NOTE_ED25519, &fixture.log_key.public_key, id);
    buf_append(&tagged, id, sizeof(id));
    buf_append(&tagged, signature.b, SIGNATURE_SIZE);
    buf_append_bytes(out, buf_bytes(&text));
    buf_append_cstr(out, "\n\xe2\x80\x94 sealmq/plant ");
    base64_append(out, buf_bytes(&tagged));
    buf_append_u8(out, '\n');
    buf_close(&text);
    buf_close(&tagged);
}

/* Reads the extra line through a file with any checkpoint. */
static bool parse_extra(struct bytes extra, struct proof *out, struct buf *text)
{
    buf_append_cstr(text, "c2sp.org/tlog-proof@v1\nextra ");
    base64_append(text, extra);
    buf_append_cstr(text, "\nindex 0\n\nsealmq/plant\n1\n");
    base64_append(text, hash_bytes(&fixture.genesis));
    buf_append_cstr(text, "\n");
    return proof_parse(buf_bytes(text), out) == 0;
}

/* Makes the header of a proof one that holds, as far as that is in its power: first in its log,
 * with the request as its only one, and with the first state entry as its whole state. */
static void mend(struct proof *proof, struct buf *header_wire)
{
    struct block_header *header = &proof->header;
    (void)snprintf(header->network, sizeof(header->network), "plant");
    if (proof->kind != PROOF_BLOCK) {
        header->requests = 1;
        header->requests_root = proof->request.hash;
        proof->request_index = 0;
        proof->request_path.n = 0;
    }
    struct statetree *state = NULL;
    if (proof->state_count != 0 && statetree_new(&state) == 0) {
        if (statetree_set(state, proof->state[0].key, proof->state[0].value) == 0)
            statetree_root(state, &header->state_root);
        proof->state[0].path.n = 0;
    }
    statetree_free(state);
    header_encode(header, header_wire);
    proof->header_wire = buf_bytes(header_wire);
}

static void judge_extra(struct bytes extra)
{
    struct proof proof;
    struct buf text = {0}, header_wire = {0}, note = {0};
    if (parse_extra(extra, &proof, &text)) {
        mend(&proof, &header_wire);
        append_note(&proof, &note);
        proof.note = buf_bytes(&note);
        struct buf mended = {0};
        if (proof_format(&proof, &mended) == 0)
            judge(buf_bytes(&mended), fixture.own);
        buf_close(&mended);
        proof_close(&proof);
    }
    buf_close(&text);
    buf_close(&header_wire);
    buf_close(&note);
}

/* A consistency proof, held against its own checkpoint and against one of the size it names. */
static void judge_consistency(struct bytes text)
{
    struct consistency proof;
    struct consistency_result result;
    if (consistency_parse(text, &proof) != 0)
        return;
    struct buf again = {0}, since = {0};
    ASSERT(consistency_format(&proof, &again) == 0 && bytes_equal(buf_bytes(&again), text));
    proof.checkpoint.size = proof.old_size;
    checkpoint_format(&proof.checkpoint, &since);
    int error = verify_consistency(buf_bytes(&since), text, fixture.frozen, &result);
    ASSERT((error == 0) == (result.why[0] == '\0'));
    error = verify_consistency(text, text, fixture.frozen, &result);
    ASSERT((error == 0) == (result.why[0] == '\0'));
    buf_close(&again);
    buf_close(&since);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (fixture.own == NULL)
        make_fixture();
    struct bytes input = bytes_of(data, size);
    if (bytes_starts_with(input, BYTES_LIT("c2sp")))
        judge(input, fixture.frozen);
    else if (consistency_is_file(input))
        judge_consistency(input);
    else
        judge_extra(input);
    return 0;
}
