#include "serve/used_tokens.h"

#include <pthread.h>
#include <stdlib.h>

/* A failed HASH_ADD leaves hh.tbl NULL instead of ending the program. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

struct used_token {
    char jti[TOKEN_JTI_MAX + 1];
    int64_t exp;
    UT_hash_handle hh; /* in order of use, so that the front expires first, or nearly so */
};

struct used_tokens {
    pthread_mutex_t lock;
    int64_t started_s;
    size_t most;
    struct used_token *tokens;
};

int used_tokens_new(int64_t started_s, size_t most, struct used_tokens **out)
{
    struct used_tokens *used = calloc(1, sizeof *used);
    *out = used;
    if (used == NULL)
        return SEALMQ_E_NOMEM;
    pthread_mutex_init(&used->lock, NULL);
    used->started_s = started_s;
    used->most = most;
    return 0;
}

void used_tokens_free(struct used_tokens *used)
{
    struct used_token *token, *next;
    if (used == NULL)
        return;
    HASH_ITER (hh, used->tokens, token, next) {
        HASH_DEL(used->tokens, token);
        free(token);
    }
    pthread_mutex_destroy(&used->lock);
    free(used);
}

/* One at the front that lives longer than those behind it holds them up, for TOKEN_LIFE_MAX_S at
 * most. */
static void forget_expired(struct used_tokens *used, int64_t now_s)
{
    struct used_token *token = used->tokens;
    while (token != NULL && token->exp < now_s) {
        HASH_DEL(used->tokens, token);
        free(token);
        token = used->tokens;
    }
}

static int use(struct used_tokens *used, const struct token *token, int64_t now_s)
{
    struct used_token *found = NULL;
    forget_expired(used, now_s);
    HASH_FIND_STR(used->tokens, token->jti, found);
    if (found != NULL)
        return SEALMQ_E_REPLAY;
    if (HASH_COUNT(used->tokens) >= used->most)
        return SEALMQ_E_BUSY;
    struct used_token *added = calloc(1, sizeof *added);
    if (added == NULL)
        return SEALMQ_E_NOMEM;
    memcpy(added->jti, token->jti, sizeof added->jti);
    added->exp = token->exp;
    HASH_ADD_STR(used->tokens, jti, added);
    if (added->hh.tbl != NULL)
        return 0;
    free(added);
    return SEALMQ_E_NOMEM;
}

int used_tokens_use(struct used_tokens *used, const struct token *token, int64_t now_s)
{
    if (token->iat < used->started_s)
        return SEALMQ_E_REPLAY;
    pthread_mutex_lock(&used->lock);
    int error = use(used, token, now_s);
    pthread_mutex_unlock(&used->lock);
    return error;
}
