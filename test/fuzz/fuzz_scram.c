/* The server's side of SCRAM-SHA-256 on any bytes: the first byte is the length of client-first,
 * the rest is client-final, and the same bytes are tried as a verifier. Nobody gets in without
 * having the password, and what is taken of a verifier is written as it was read. */
#include "crypto/scram.h"

#include "base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool lies_in(struct bytes part, struct bytes whole)
{
    return part.n != 0 && part.p >= whole.p && part.p + part.n <= whole.p + whole.n;
}

static void try_verifier(struct bytes text)
{
    struct scram_verifier verifier;
    struct buf again = {0};
    if (scram_verifier_parse(text, &verifier) != 0)
        return;
    ASSERT(verifier.salt_n >= SCRAM_SALT_MIN && verifier.salt_n <= SCRAM_SALT_MAX);
    scram_verifier_append(&verifier, &again);
    ASSERT(buf_status(&again) == 0 && bytes_equal(buf_bytes(&again), text));
    buf_close(&again);
}

static void try_conversation(struct bytes first, struct bytes final)
{
    static const struct scram_verifier verifier = {.iterations = 4096, .salt_n = SCRAM_SALT_MIN};
    struct scram_client_first parsed;
    struct scram *scram = NULL;
    struct buf answer = {0}, last = {0};
    if (scram_client_first_parse(first, &parsed) != 0)
        return;
    ASSERT(parsed.name[0] != '\0' && lies_in(parsed.header, first) && lies_in(parsed.bare, first) &&
           lies_in(parsed.nonce, parsed.bare));
    ASSERT(scram_new(&parsed, &verifier, true, BYTES_LIT("server"), &scram, &answer) == 0);
    ASSERT(answer.n > parsed.nonce.n);
    ASSERT(scram_finish(scram, final, &last) != 0 && last.n == 0);
    ASSERT(scram_finish(scram, final, &last) == SEALMQ_E_EXISTS);
    scram_free(scram);
    buf_close(&answer);
    buf_close(&last);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    size_t n = data[0] < size ? data[0] : size - 1;
    try_conversation(bytes_of(data + 1, n), bytes_of(data + 1 + n, size - 1 - n));
    try_verifier(bytes_of(data, size));
    return 0;
}
