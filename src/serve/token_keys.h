/* Whose signed tokens let in: a file of public keys, one `id key` a line (key in base64, as in the
 * files that `sealmq keygen` writes), # comments. A table never changes after it was made. */
#ifndef SEALMQ_SERVE_TOKEN_KEYS_H
#define SEALMQ_SERVE_TOKEN_KEYS_H

#include "base/bytes.h"
#include "base/limits.h"
#include "crypto/sign.h"

#define TOKEN_KEYS_MAX      10000
#define TOKEN_KEYS_FILE_MAX ((size_t)4 * 1024 * 1024)

struct token_keys;

/* `path` is for the words in `why`, which name the line. SEALMQ_E_CONFIG, SEALMQ_E_NOMEM. */
SEALMQ_MUST_CHECK int token_keys_parse(struct bytes text, const char *path, struct token_keys **out,
                                       char *why, size_t why_size);
void token_keys_free(struct token_keys *keys);
/* The key of an id, borrowed from the table; NULL when there is none. */
const struct public_key *token_keys_find(const struct token_keys *keys, const char *id);

#endif
