/* Votes, and certificates of a quorum of them. A certificate is checked as a whole: one invalid
 * vote makes it invalid even where enough others are left, so that there is nothing to hide in it.
 */
#include "ledger/block.h"

#define VOTE_SIZE (HASH_SIZE + 8 + 8 + HASH_SIZE)

static void put_u64(uint8_t *p, uint64_t v)
{
    for (size_t i = 8; i-- > 0; v >>= 8)
        p[i] = (uint8_t)v;
}

static void vote_encode(const struct vote *vote, uint8_t out[VOTE_SIZE])
{
    memcpy(out, vote->validators.b, HASH_SIZE);
    put_u64(out + HASH_SIZE, vote->view);
    put_u64(out + HASH_SIZE + 8, vote->height);
    memcpy(out + HASH_SIZE + 16, vote->header.b, HASH_SIZE);
}

void vote_sign(const struct sign_key *key, const char *label, const struct hash *genesis,
               const struct vote *vote, struct signature *out)
{
    uint8_t message[VOTE_SIZE];
    vote_encode(vote, message);
    sign_message(key, label, genesis, bytes_of(message, sizeof(message)), out);
}

int vote_verify(const struct public_key *key, const char *label, const struct hash *genesis,
                const struct vote *vote, const struct signature *signature)
{
    uint8_t message[VOTE_SIZE];
    vote_encode(vote, message);
    return sign_verify(key, label, genesis, bytes_of(message, sizeof(message)), signature);
}

void certificate_encode(const struct certificate *certificate, struct buf *out)
{
    buf_append_u64(out, certificate->view);
    buf_append_u64(out, certificate->height);
    buf_append(out, certificate->header.b, HASH_SIZE);
    buf_append_u8(out, (uint8_t)certificate->n);
    for (size_t i = 0; i < certificate->n; i++) {
        buf_append_u8(out, certificate->votes[i].validator);
        buf_append(out, certificate->votes[i].signature.b, SIGNATURE_SIZE);
    }
}

int certificate_decode(struct bytes wire, struct certificate *out)
{
    struct reader r = reader_of(wire);
    out->view = reader_u64(&r);
    out->height = reader_u64(&r);
    reader_copy(&r, out->header.b, HASH_SIZE);
    out->n = reader_u8(&r);
    if (out->n > VALIDATORS_MAX) {
        out->n = 0;
        return SEALMQ_E_LIMIT;
    }
    for (size_t i = 0; i < out->n; i++) {
        out->votes[i].validator = reader_u8(&r);
        reader_copy(&r, out->votes[i].signature.b, SIGNATURE_SIZE);
        if (r.failed == 0 && i > 0 && out->votes[i].validator <= out->votes[i - 1].validator)
            reader_fail(&r, SEALMQ_E_PARSE);
    }
    int error = reader_end(&r);
    if (error != 0)
        out->n = 0;
    return error;
}

int certificate_verify(const struct certificate *certificate, const char *label,
                       const struct validator_set *set, const struct hash *genesis)
{
    if (set->n == 0 || certificate->n < validators_quorum(set->n) || certificate->n > set->n)
        return SEALMQ_E_COUNT;
    for (size_t i = 0; i < certificate->n; i++) {
        if (certificate->votes[i].validator >= set->n)
            return SEALMQ_E_UNKNOWN;
        if (i > 0 && certificate->votes[i].validator <= certificate->votes[i - 1].validator)
            return SEALMQ_E_COUNT;
    }
    struct vote vote = {
        .view = certificate->view, .height = certificate->height, .header = certificate->header};
    validator_set_hash(set, &vote.validators);
    for (size_t i = 0; i < certificate->n; i++) {
        int error = vote_verify(&set->v[certificate->votes[i].validator].key, label, genesis, &vote,
                                &certificate->votes[i].signature);
        if (error != 0)
            return error;
    }
    return 0;
}
