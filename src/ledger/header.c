/* Block headers as bytes. One form for each header: what decodes encodes to the same bytes. */
#include "ledger/block.h"

#include "base/assert.h"
#include "base/id.h"

#define HEADER_VERSION 1
#define NONCE_SIZE     8 /* it comes last */

void header_encode(const struct block_header *header, struct buf *out)
{
    buf_append_u16(out, HEADER_VERSION);
    buf_append_str8(out, bytes_str(header->network));
    buf_append_u64(out, header->height);
    buf_append(out, header->parent.b, HASH_SIZE);
    buf_append(out, header->requests_root.b, HASH_SIZE);
    buf_append(out, header->log_root.b, HASH_SIZE);
    buf_append(out, header->state_root.b, HASH_SIZE);
    buf_append(out, header->validators.b, HASH_SIZE);
    buf_append(out, header->next_validators.b, HASH_SIZE);
    buf_append_u64(out, (uint64_t)header->time_us);
    buf_append_u64(out, header->view);
    buf_append_str8(out, bytes_str(header->proposer));
    buf_append_u32(out, header->requests);
    buf_append_u8(out, header->difficulty);
    buf_append_u64(out, header->nonce);
}

int header_decode(struct bytes wire, struct block_header *out)
{
    *out = (struct block_header){0};
    if (wire.n > HEADER_MAX)
        return SEALMQ_E_LIMIT;
    struct reader r = reader_of(wire);
    uint16_t version = reader_u16(&r);
    if (r.failed == 0 && version != HEADER_VERSION)
        return SEALMQ_E_VERSION;
    reader_cstr8(&r, out->network, sizeof(out->network));
    out->height = reader_u64(&r);
    reader_copy(&r, out->parent.b, HASH_SIZE);
    reader_copy(&r, out->requests_root.b, HASH_SIZE);
    reader_copy(&r, out->log_root.b, HASH_SIZE);
    reader_copy(&r, out->state_root.b, HASH_SIZE);
    reader_copy(&r, out->validators.b, HASH_SIZE);
    reader_copy(&r, out->next_validators.b, HASH_SIZE);
    out->time_us = (int64_t)reader_u64(&r);
    out->view = reader_u64(&r);
    reader_cstr8(&r, out->proposer, sizeof(out->proposer));
    out->requests = reader_u32(&r);
    out->difficulty = reader_u8(&r);
    out->nonce = reader_u64(&r);
    int error = reader_end(&r);
    if (error != 0)
        return error;
    if (out->height > SEQUENCE_MAX || out->requests > BLOCK_REQUESTS_MAX)
        return SEALMQ_E_LIMIT;
    bool first = out->height == 0;
    bool proposer_fits = first ? out->proposer[0] == '\0' : id_is_valid(bytes_str(out->proposer));
    if (!network_name_is_valid(bytes_str(out->network)) || out->time_us < 0 || !proposer_fits)
        return SEALMQ_E_PARSE;
    return 0;
}

void header_hash(struct bytes wire, struct hash *out)
{
    hash_sha256(wire, out);
}

bool header_meets_difficulty(const struct hash *header_hash, uint8_t bits)
{
    size_t whole = bits / 8;
    for (size_t i = 0; i < whole; i++)
        if (header_hash->b[i] != 0)
            return false;
    return bits % 8 == 0 || header_hash->b[whole] >> (8 - bits % 8) == 0;
}

bool header_find_nonce(uint8_t *header, size_t n, uint8_t bits, uint64_t *nonce, uint32_t tries)
{
    ASSERT(n > NONCE_SIZE);
    uint8_t *place = header + n - NONCE_SIZE;
    struct hasher start;
    hasher_init(&start);
    hasher_update(&start, bytes_of(header, n - NONCE_SIZE));
    for (uint32_t i = 0; i < tries; i++) {
        uint64_t tried = (*nonce)++;
        for (size_t k = NONCE_SIZE; k-- > 0; tried >>= 8)
            place[k] = (uint8_t)tried;
        struct hasher whole = start;
        struct hash hash;
        hasher_update(&whole, bytes_of(place, NONCE_SIZE));
        hasher_final(&whole, &hash);
        if (header_meets_difficulty(&hash, bits))
            return true;
    }
    return false;
}
