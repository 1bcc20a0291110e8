/* Key agreement between a gateway and a node: one signed message each way, fresh X25519 keys on
 * both sides, so that neither's long-term key opens recorded traffic later.
 *
 *   hello  (G/key)          u8 version (1) || u64 handshake number || X25519 key || signature
 *     signed by the gateway, label HELLO_LABEL: all but the signature || str8 gateway || str8 node
 *   answer (G/key/success)  u8 version (1) || u32 key id || u64 expiry || X25519 key || signature
 *     signed by the node, label ANSWER_LABEL: all but the signature || the whole hello ||
 *     str8 gateway || str8 node
 *   fail   (G/key/fail)     u8 version (1) || u64 handshake number || u16 code (device/reply.h)
 *     not signed: a hint
 *
 * 105 and 109 bytes. The expiry is in seconds since 1970. The handshake number grows with every
 * hello of a gateway and is durable before it is used. Both directions' keys come from HKDF-SHA256
 * with the shared secret, salt SHA-256(hello || answer), info "sealmq/session/1/up" or ".../down".
 */
#ifndef SEALMQ_DEVICE_HANDSHAKE_H
#define SEALMQ_DEVICE_HANDSHAKE_H

#include "base/limits.h"
#include "crypto/seal.h"
#include "crypto/sign.h"

#define HELLO_LABEL  "sealmq/key/1"
#define ANSWER_LABEL "sealmq/key-answer/1"
#define HELLO_SIZE   (1 + 8 + X25519_SIZE + SIGNATURE_SIZE)
#define ANSWER_SIZE  (1 + 4 + 8 + X25519_SIZE + SIGNATURE_SIZE)
#define FAIL_SIZE    (1 + 8 + 2)

/* Who agrees, and in which network. Borrowed. */
struct handshake_parties {
    struct bytes gateway, node;
    const struct hash *genesis;
};

/* The keys of one session: `up` from gateway to node. Secret. */
struct session_keys {
    uint32_t key_id;
    uint64_t expires_s;
    struct seal_key up, down;
};

/* Gateway: makes a hello. */
void handshake_hello(const struct handshake_parties *parties, const struct sign_key *key,
                     uint64_t number, const struct x25519_pair *fresh, uint8_t out[HELLO_SIZE]);
/* Node: checks a hello and makes the answer. SEALMQ_E_SHORT, _PARSE, _VERSION, _SIGNATURE,
 * _CRYPTO (a key of small order). *number is the hello's handshake number (also when the signature
 * is bad); whether it is fresh is the caller's to check. */
SEALMQ_MUST_CHECK int handshake_answer(const struct handshake_parties *parties, struct bytes hello,
                                       const struct public_key *gateway_key,
                                       const struct sign_key *node_key,
                                       const struct x25519_pair *fresh, uint32_t key_id,
                                       uint64_t expires_s, uint64_t *number,
                                       uint8_t out[ANSWER_SIZE], struct session_keys *keys);
/* Gateway: checks the answer to its hello. */
SEALMQ_MUST_CHECK int handshake_finish(const struct handshake_parties *parties,
                                       const uint8_t hello[HELLO_SIZE],
                                       const struct x25519_pair *fresh, struct bytes answer,
                                       const struct public_key *node_key,
                                       struct session_keys *keys);

void handshake_fail(uint64_t number, uint16_t code, uint8_t out[FAIL_SIZE]);
SEALMQ_MUST_CHECK int handshake_fail_parse(struct bytes fail, uint64_t *number, uint16_t *code);

#endif
