/* What a node answers a gateway: sealed replies to reports, receipts, and the unsealed hints.
 *
 *   reply   (G/<xxx>/datas, success, error) plain = u8 version (1) || u8 kind || u64 n ||
 *           32 bytes report hash || u16 code || str16 words
 *   receipt (chain/<network>/reply/G)       plain = u8 version (1) || u8 kind || u64 request number
 *           || u16 code || str16 words || proof file (RECEIPT) or nothing (REQUEST_REFUSED)
 *   hint    (G/unauth, G/forbidden)         {"code":"UNKNOWN","words":"..."}
 *
 * Where what was sent named nothing that can be trusted (a replay, say), n and hash are zero.
 * Only a sealed reply that names n and report hash settles a report; hints only make a gateway look
 * after its registration or its session key. */
#ifndef SEALMQ_DEVICE_REPLY_H
#define SEALMQ_DEVICE_REPLY_H

#include "base/bytes.h"
#include "crypto/hash.h"

/* Reason codes on the wire: frozen, whatever base/error.h does. FINAL: sending the same again is
 * useless. */
#define DEVICE_CODES(X)                                                                            \
    X(OK, 0, 1, "stored")                                                                          \
    X(STORED_BEFORE, 1, 1, "was stored before")                                                    \
    X(SIGNATURE, 16, 1, "signature does not verify")                                               \
    X(MALFORMED, 17, 1, "malformed")                                                               \
    X(COUNT, 18, 1, "count does not match the data")                                               \
    X(TYPE, 19, 1, "a value does not fit its datatype")                                            \
    X(LIMIT, 20, 1, "over a limit")                                                                \
    X(CONFLICT, 21, 1, "another report with this capture number is stored")                        \
    X(UNKNOWN, 22, 1, "not registered")                                                            \
    X(REVOKED, 23, 1, "revoked")                                                                   \
    X(REPLAY, 24, 1, "already used")                                                               \
    X(UNSUPPORTED, 25, 1, "not supported")                                                         \
    X(TOPIC, 26, 1, "not a topic for reports")                                                     \
    X(DENIED, 27, 1, "not allowed")                                                                \
    X(BUSY, 64, 0, "busy, send it again later")                                                    \
    X(STORAGE, 65, 0, "the history cannot be written at present, send it again later")             \
    X(KEY, 66, 0, "no such session key, or it has expired")                                        \
    X(STALE, 67, 0, "older than the state of the chain")

enum device_code {
#define X(name, number, final, words) DEVICE_CODE_##name = number,
    DEVICE_CODES(X)
#undef X
};

const char *device_code_words(uint16_t code); /* "unknown code" for others */
const char *device_code_name(uint16_t code);  /* "OK", ...; "?" */
bool device_code_is_final(uint16_t code);     /* unknown codes are not */
/* The code that says what an error of base/error.h means to a gateway. */
uint16_t device_code_of(int error);

enum reply_kind {
    REPLY_DATAS = 1, /* stored; the first report on this topic since the key agreement */
    REPLY_SUCCESS,   /* stored */
    REPLY_ERROR,     /* refused */
    REPLY_RECEIPT,   /* a request is final on the chain */
    REPLY_REQUEST_REFUSED,
};
/* "datas", "success", "error": the last level of a reply's topic. */
const char *reply_topic_level(enum reply_kind kind);

struct reply {
    enum reply_kind kind;
    uint64_t n;         /* capture number, or request number */
    struct hash report; /* of the first three kinds */
    uint16_t code;
    struct bytes words;
    struct bytes proof; /* RECEIPT */
};
SEALMQ_MUST_CHECK int reply_encode(const struct reply *reply, struct buf *out);
/* Borrows from the input. */
SEALMQ_MUST_CHECK int reply_decode(struct bytes plain, struct reply *out);

SEALMQ_MUST_CHECK int hint_format(uint16_t code, struct buf *out);

#endif
