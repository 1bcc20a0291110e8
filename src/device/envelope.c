#include "device/envelope.h"

#include "device/compressor.h"

#define ENVELOPE_VERSION 1

static void make_nonce(uint64_t counter, uint8_t nonce[SEAL_NONCE_SIZE])
{
    memset(nonce, 0, SEAL_NONCE_SIZE);
    for (size_t i = SEAL_NONCE_SIZE; i-- > 4; counter >>= 8)
        nonce[i] = (uint8_t)counter;
}

/* Header || topic. */
static int make_additional(struct bytes header, struct bytes topic, struct buf *out)
{
    buf_append_bytes(out, header);
    buf_append_bytes(out, topic);
    return buf_status(out);
}

int envelope_seal(struct compressor *compressor, const struct envelope_header *header,
                  const struct seal_key *key, struct bytes topic, struct bytes plain,
                  struct buf *out)
{
    if (plain.n > ENVELOPE_PLAIN_MAX)
        return SEALMQ_E_LIMIT;
    struct buf packed = {0}, additional = {0};
    uint8_t nonce[SEAL_NONCE_SIZE];
    size_t start = out->n;
    int error = 0;
    buf_append_u8(out, ENVELOPE_VERSION);
    buf_append_u8(out, header->flags);
    buf_append_u32(out, header->key_id);
    buf_append_u64(out, header->counter);
    error = buf_status(out);
    if (error == 0)
        error = make_additional(bytes_of(out->p + start, ENVELOPE_HEADER), topic, &additional);
    if (error == 0 && (header->flags & ENVELOPE_ZSTD) != 0) {
        error = compressor_pack(compressor, plain, &packed);
        plain = buf_bytes(&packed);
    }
    make_nonce(header->counter, nonce);
    if (error == 0)
        error = seal_encrypt(key, nonce, buf_bytes(&additional), plain, out);
    buf_close(&packed);
    buf_close(&additional);
    return error;
}

int envelope_peek(struct bytes envelope, struct envelope_header *out)
{
    struct reader r = reader_of(envelope);
    uint8_t version = reader_u8(&r);
    out->flags = reader_u8(&r);
    out->key_id = reader_u32(&r);
    out->counter = reader_u64(&r);
    int error = reader_status(&r);
    if (error != 0)
        return error;
    if (version != ENVELOPE_VERSION)
        return SEALMQ_E_VERSION;
    return (out->flags & ~ENVELOPE_ZSTD) == 0 ? 0 : SEALMQ_E_UNSUPPORTED;
}

int envelope_open(struct compressor *compressor, struct bytes envelope, const struct seal_key *key,
                  struct bytes topic, struct buf *plain)
{
    struct envelope_header header;
    int error = envelope_peek(envelope, &header);
    if (error != 0)
        return error;
    struct buf additional = {0}, packed = {0};
    bool is_packed = (header.flags & ENVELOPE_ZSTD) != 0;
    uint8_t nonce[SEAL_NONCE_SIZE];
    make_nonce(header.counter, nonce);
    error = make_additional(bytes_of(envelope.p, ENVELOPE_HEADER), topic, &additional);
    struct bytes sealed = bytes_of(envelope.p + ENVELOPE_HEADER, envelope.n - ENVELOPE_HEADER);
    if (error == 0)
        error =
            seal_decrypt(key, nonce, buf_bytes(&additional), sealed, is_packed ? &packed : plain);
    if (error == 0 && is_packed)
        error = compressor_unpack(compressor, buf_bytes(&packed), ENVELOPE_PLAIN_MAX, plain);
    buf_close(&additional);
    buf_close(&packed);
    return error;
}
