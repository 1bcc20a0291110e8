/* The one list of errors. Every function that can fail returns 0 or one of these negative numbers;
 * MQTT reason codes are another list (mqtt/reason.h), for what is said on the wire.
 *
 * Classes, for callers that must choose: the peer's fault (SEALMQ_E_PARSE to SEALMQ_E_LIMIT), worth
 * another try later (SEALMQ_E_AGAIN, _BUSY, _IO, _FULL), and the rest, which is ours or final. */
#ifndef SEALMQ_BASE_ERROR_H
#define SEALMQ_BASE_ERROR_H

#define SEALMQ_ERRORS(X)                                                                           \
    X(NOMEM, 1, "out of memory")                                                                   \
    X(ARG, 2, "argument out of range")                                                             \
    X(PARSE, 3, "malformed input")                                                                 \
    X(SHORT, 4, "input ends too early")                                                            \
    X(VERSION, 5, "unsupported version")                                                           \
    X(TYPE, 6, "value does not fit its type")                                                      \
    X(COUNT, 7, "count does not match")                                                            \
    X(SIGNATURE, 8, "signature does not verify")                                                   \
    X(HASH, 9, "hash does not match")                                                              \
    X(REPLAY, 10, "already used")                                                                  \
    X(EXPIRED, 11, "expired")                                                                      \
    X(UNKNOWN, 12, "unknown sender or key")                                                        \
    X(REVOKED, 13, "revoked")                                                                      \
    X(DENIED, 14, "not authorized")                                                                \
    X(NETWORK, 15, "for another network")                                                          \
    X(PROTOCOL, 16, "protocol violation")                                                          \
    X(CONFLICT, 17, "conflicts with what is recorded")                                             \
    X(STALE, 18, "older than the current state")                                                   \
    X(LIMIT, 19, "over a limit")                                                                   \
    X(NOTFOUND, 20, "not found")                                                                   \
    X(EXISTS, 21, "already exists")                                                                \
    X(AGAIN, 22, "not ready, try again")                                                           \
    X(BUSY, 23, "busy")                                                                            \
    X(IO, 24, "input/output error")                                                                \
    X(FULL, 25, "no space left")                                                                   \
    X(CORRUPT, 26, "stored data is damaged")                                                       \
    X(CLOSED, 27, "closed")                                                                        \
    X(CONFIG, 28, "invalid configuration")                                                         \
    X(UNSUPPORTED, 29, "not supported")                                                            \
    X(CRYPTO, 30, "cryptographic operation failed")                                                \
    X(TIMEOUT, 31, "timed out")

enum sealmq_error {
#define X(name, number, text) SEALMQ_E_##name = -(number),
    SEALMQ_ERRORS(X)
#undef X
};

/* The words for `error` (0 is "success"); never NULL. Static storage. */
const char *sealmq_error_text(int error);

/* The short name for `error`, e.g. "SIGNATURE"; "OK" for 0, "?" for a number not in the list. */
const char *sealmq_error_name(int error);

#define SEALMQ_MUST_CHECK __attribute__((warn_unused_result))

#endif
