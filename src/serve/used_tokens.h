/* Log-in tokens are for one use: which were used, until they have expired. Shared by all workers,
 * since a token may be shown with any client id; may be called from any thread. */
#ifndef SEALMQ_SERVE_USED_TOKENS_H
#define SEALMQ_SERVE_USED_TOKENS_H

#include "crypto/token.h"

#define USED_TOKENS_MAX 100000

struct used_tokens;

/* Tokens issued before `started_s` (seconds since 1970) are refused, because what was used before
 * the start is not known. */
SEALMQ_MUST_CHECK int used_tokens_new(int64_t started_s, size_t most, struct used_tokens **out);
void used_tokens_free(struct used_tokens *used);
/* Remembers a token that was verified. SEALMQ_E_REPLAY: used before, or older than the start;
 * SEALMQ_E_BUSY: too many are remembered; SEALMQ_E_NOMEM. */
SEALMQ_MUST_CHECK int used_tokens_use(struct used_tokens *used, const struct token *token,
                                      int64_t now_s);

#endif
