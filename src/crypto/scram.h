/* SCRAM-SHA-256 (RFC 5802, RFC 7677), the server's side: a client shows that it knows a password
 * without sending it, and the server that it knows what was made from it.
 *
 *     client-first    n,,n=user,r=<client's nonce>
 *     server-first    r=<client's nonce><server's nonce>,s=<salt>,i=<iterations>
 *     client-final    c=biws,r=<both nonces>,p=<proof>
 *     server-final    v=<signature>
 *
 * There is no channel binding: "n" and "y" are taken, "p=..." is refused. Names and passwords are
 * compared byte by byte; SASLprep, which leaves printable ASCII as it is, is the client's business.
 * What the server keeps of a password is a verifier, in the text form
 * SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>, the last three in base64. */
#ifndef SEALMQ_CRYPTO_SCRAM_H
#define SEALMQ_CRYPTO_SCRAM_H

#include "base/bytes.h"
#include "crypto/hash.h"

#define SCRAM_METHOD             "SCRAM-SHA-256"
#define SCRAM_PREFIX             SCRAM_METHOD "$"
#define SCRAM_ITERATIONS_MIN     4096 /* RFC 7677 section 4 */
#define SCRAM_ITERATIONS_MAX     2000000
#define SCRAM_ITERATIONS_DEFAULT 100000
#define SCRAM_SALT_SIZE          16 /* of new ones */
#define SCRAM_SALT_MIN           8
#define SCRAM_SALT_MAX           64
#define SCRAM_TEXT_MAX           216 /* of a verifier, with final zero */
#define SCRAM_NAME_MAX           255
#define SCRAM_NONCE_MAX          256  /* of the client's */
#define SCRAM_MESSAGE_MAX        2048 /* of the client's; longer ones are malformed */
#define SCRAM_SECRET_SIZE        32

struct scram_verifier {
    uint32_t iterations;
    size_t salt_n;
    uint8_t salt[SCRAM_SALT_MAX];
    struct hash stored_key, server_key;
};

/* `salt` are fresh random bytes. Slow by design, as is scram_verifier_check: never on a thread that
 * serves connections. SEALMQ_E_ARG: iterations or lengths out of range; SEALMQ_E_NOMEM. */
SEALMQ_MUST_CHECK int scram_verifier_make(struct bytes password, struct bytes salt,
                                          uint32_t iterations, struct scram_verifier *out);
/* 0, SEALMQ_E_DENIED for another password, SEALMQ_E_NOMEM. */
SEALMQ_MUST_CHECK int scram_verifier_check(const struct scram_verifier *verifier,
                                           struct bytes password);
/* SEALMQ_E_PARSE when it is no such text or a number is out of range. */
SEALMQ_MUST_CHECK int scram_verifier_parse(struct bytes text, struct scram_verifier *out);
void scram_verifier_append(const struct scram_verifier *verifier, struct buf *out);
/* What a user who is not there is answered with: iterations and salt length of `like`, and a salt
 * and keys that are always the same for this name, so that nobody can tell it from a user. */
void scram_verifier_decoy(const struct scram_verifier *like,
                          const uint8_t secret[SCRAM_SECRET_SIZE], struct bytes name,
                          struct scram_verifier *out);

struct scram_client_first {
    char name[SCRAM_NAME_MAX + 1]; /* without a zero byte inside */
    struct bytes header;           /* up to and with the second comma; borrowed from the message */
    struct bytes bare;             /* the rest; borrowed */
    struct bytes nonce;            /* borrowed */
};
/* SEALMQ_E_PARSE: malformed; SEALMQ_E_UNSUPPORTED: asks for channel binding or an extension that
 * must be known; SEALMQ_E_DENIED: wants to act as somebody else. */
SEALMQ_MUST_CHECK int scram_client_first_parse(struct bytes message,
                                               struct scram_client_first *out);

/* A conversation after the client's first message. */
struct scram;

/* Appends server-first. `nonce` is random text of the server's, at least 18 bytes of randomness,
 * printable and without commas. With `is_known` false the conversation goes on to its end, and
 * fails. Copies what it needs. SEALMQ_E_NOMEM; SEALMQ_E_ARG: no such nonce. */
SEALMQ_MUST_CHECK int scram_new(const struct scram_client_first *first,
                                const struct scram_verifier *verifier, bool is_known,
                                struct bytes nonce, struct scram **out, struct buf *server_first);
/* Once. Appends server-final and returns 0 when the client has proved itself; else SEALMQ_E_DENIED
 * (wrong password, unknown user), SEALMQ_E_PARSE (malformed, or not of this conversation),
 * SEALMQ_E_EXISTS (there was a client-final before) or SEALMQ_E_NOMEM. */
SEALMQ_MUST_CHECK int scram_finish(struct scram *scram, struct bytes client_final,
                                   struct buf *server_final);
void scram_free(struct scram *scram);

#endif
