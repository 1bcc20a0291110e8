/* The sealed form of everything between a gateway and its node after the key agreement.
 *
 *   envelope = u8 version (1) || u8 flags || u32 key id || u64 counter || ciphertext || tag (16)
 *
 * ChaCha20-Poly1305 with the direction's key, nonce = 4 zero bytes || counter, additional data =
 * the 14 bytes before the ciphertext || the MQTT topic. The counter starts at 1 under each key and
 * direction and grows with every message; one that does not grow is a replay. With
 * ENVELOPE_ZSTD the plain text is one zstd frame, made with the dictionary report_dictionary.txt
 * (raw content) and carrying its content size.
 *
 *   report   (up)  plain = u64 n || signature (64) || report JSON    102 bytes besides the JSON
 *   request  (up)  plain = request JSON
 *   replies, receipts (down): device/reply.h */
#ifndef SEALMQ_DEVICE_ENVELOPE_H
#define SEALMQ_DEVICE_ENVELOPE_H

#include "base/limits.h"
#include "crypto/seal.h"

#define ENVELOPE_HEADER    14
#define ENVELOPE_PLAIN_MAX (REPORT_BYTES_MAX + 1024)
#define ENVELOPE_ZSTD      0x01 /* flag; all others are refused */

struct envelope_header {
    uint8_t flags;
    uint32_t key_id;
    uint64_t counter;
};

/* zstd contexts, reused from message to message. One for each thread. */
struct compressor;
SEALMQ_MUST_CHECK int compressor_new(struct compressor **out);
void compressor_free(struct compressor *compressor);

/* Appends the envelope of `plain` (compressed if header->flags say so). SEALMQ_E_LIMIT, _NOMEM. */
SEALMQ_MUST_CHECK int envelope_seal(struct compressor *compressor,
                                    const struct envelope_header *header,
                                    const struct seal_key *key, struct bytes topic,
                                    struct bytes plain, struct buf *out);
/* The header alone: to find the key. SEALMQ_E_SHORT, _VERSION, _UNSUPPORTED (flags). */
SEALMQ_MUST_CHECK int envelope_peek(struct bytes envelope, struct envelope_header *out);
/* Appends the plain text. SEALMQ_E_CRYPTO (not sealed with this key for this topic), _PARSE (not a
 * zstd frame of known size), _LIMIT (larger than ENVELOPE_PLAIN_MAX: nothing is allocated). */
SEALMQ_MUST_CHECK int envelope_open(struct compressor *compressor, struct bytes envelope,
                                    const struct seal_key *key, struct bytes topic,
                                    struct buf *plain);

#endif
