/* Log-in tokens: compact JWS (RFC 7515) with EdDSA (RFC 8037). Header {"alg":"EdDSA","typ":"JWT"},
 * claims iss (the id), aud ("<network>:<node id>", node id "*" for any), iat, exp (seconds), jti.
 * Pure: time and jti are given. */
#ifndef SEALMQ_CRYPTO_TOKEN_H
#define SEALMQ_CRYPTO_TOKEN_H

#include "base/bytes.h"
#include "base/limits.h"
#include "crypto/sign.h"

#define TOKEN_LIFE_MAX_S 300 /* longest exp - iat that is accepted */
#define TOKEN_SKEW_S     30  /* a clock may be this far ahead of ours */
#define TOKEN_JTI_MAX    43
#define TOKEN_BYTES_MAX  1024

struct token {
    char iss[ID_MAX + 1];
    char network[NETWORK_MAX + 1];
    char node[ID_MAX + 1];       /* or "*" */
    int64_t iat, exp;            /* seconds since 1970 */
    char jti[TOKEN_JTI_MAX + 1]; /* [A-Za-z0-9_-]{16,43} */
    /* Claim "key", base64url: the issuer's own public key, for an id that is not registered yet.
     * It proves possession of the key and nothing more. */
    bool has_key;
    struct public_key key;
};

/* Fills a jti from fresh random bytes. SEALMQ_E_NOMEM. */
#define TOKEN_JTI_RANDOM 18
SEALMQ_MUST_CHECK int token_jti_make(const uint8_t random[TOKEN_JTI_RANDOM],
                                     char out[TOKEN_JTI_MAX + 1]);

/* Appends the token as text. SEALMQ_E_ARG when a member is malformed. */
SEALMQ_MUST_CHECK int token_make(const struct token *token, const struct sign_key *key,
                                 struct buf *out);
/* Reads the claims without checking the signature: to find out whose key to ask for. */
SEALMQ_MUST_CHECK int token_parse(struct bytes text, struct token *out);
/* Checks the signature of `text`, and that it is for network and node and valid at now_s.
 * SEALMQ_E_PARSE, _SIGNATURE, _NETWORK (another network or node), _EXPIRED (past exp, longer than
 * TOKEN_LIFE_MAX_S, or issued in the future). Whether jti was used is the caller's to know. */
SEALMQ_MUST_CHECK int token_verify(struct bytes text, const struct public_key *key,
                                   const char *network, const char *node, int64_t now_s,
                                   struct token *out);

#endif
