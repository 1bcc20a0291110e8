#include "node/logins.h"

#include "base/id.h"
#include "crypto/token.h"

#include <stdlib.h>

/* A failed HASH_ADD leaves hh.tbl NULL instead of ending the program. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

struct used_token {
    char jti[TOKEN_JTI_MAX + 1];
    int64_t exp;
    UT_hash_handle hh; /* in order of use, so that the front expires first, or nearly so */
};

struct logins {
    struct logins_options options;
    struct used_token *used;
};

int logins_new(const struct logins_options *options, struct logins **out)
{
    struct logins *logins = calloc(1, sizeof *logins);
    if (logins == NULL)
        return SEALMQ_E_NOMEM;
    logins->options = *options;
    if (logins->options.tokens_max == 0)
        logins->options.tokens_max = LOGINS_TOKENS_MAX;
    *out = logins;
    return 0;
}

void logins_free(struct logins *logins)
{
    if (logins == NULL)
        return;
    struct used_token *used, *next;
    HASH_ITER (hh, logins->used, used, next) {
        HASH_DEL(logins->used, used);
        free(used);
    }
    free(logins);
}

/* Forgets tokens at the front that nobody could use again. One that lives longer than those behind
 * it holds them up, for TOKEN_LIFE_MAX_S at most. */
static void forget_expired(struct logins *logins, int64_t now_s)
{
    struct used_token *used = logins->used;
    while (used != NULL && used->exp < now_s) {
        HASH_DEL(logins->used, used);
        free(used);
        used = logins->used;
    }
}

static int use_once(struct logins *logins, const struct token *token, enum broker_role role,
                    int64_t now_s)
{
    size_t most = logins->options.tokens_max;
    if (role == BROKER_ROLE_APPLICANT)
        most /= 2;
    if (token->iat < logins->options.started_s)
        return SEALMQ_E_REPLAY;
    forget_expired(logins, now_s);
    struct used_token *used = NULL;
    HASH_FIND_STR(logins->used, token->jti, used);
    if (used != NULL)
        return SEALMQ_E_REPLAY;
    if (HASH_COUNT(logins->used) >= most)
        return SEALMQ_E_BUSY;
    used = calloc(1, sizeof *used);
    if (used == NULL)
        return SEALMQ_E_NOMEM;
    memcpy(used->jti, token->jti, sizeof used->jti);
    used->exp = token->exp;
    HASH_ADD_STR(logins->used, jti, used);
    if (used->hh.tbl != NULL)
        return 0;
    free(used);
    return SEALMQ_E_NOMEM;
}

/* A compact JWS has exactly two dots; a password that looks like one is taken for one only if its
 * claims can be read. */
static bool looks_like_token(struct bytes password)
{
    size_t dots = 0;
    for (size_t i = 0; i < password.n; i++)
        dots += password.p[i] == '.';
    return dots == 2 && password.n <= TOKEN_BYTES_MAX;
}

static enum broker_role role_of(enum registry_kind kind)
{
    switch (kind) {
    case REGISTRY_GATEWAY:
        return BROKER_ROLE_MEMBER;
    case REGISTRY_VALIDATOR:
        return BROKER_ROLE_VALIDATOR;
    case REGISTRY_ADMIN:
        return BROKER_ROLE_ADMIN;
    }
    return BROKER_ROLE_ORDINARY;
}

static int check_token(struct logins *logins, const struct broker_auth_request *request,
                       const struct token *claims, int64_t now_s, enum broker_role *role)
{
    const struct logins_options *options = &logins->options;
    if (!bytes_equal(bytes_str(claims->iss), request->client_id))
        return SEALMQ_E_DENIED;
    if (request->user_name.n > LOGINS_USER_NAME_MAX)
        return SEALMQ_E_LIMIT;
    struct registry_entry entry;
    struct public_key key;
    int error = registry_find(options->registry, request->client_id, &entry);
    if (error == 0) {
        key = entry.key;
        *role = role_of(entry.kind);
        /* The nodes' links go to others; with our own id comes the gateway on our machine. */
        if (*role == BROKER_ROLE_VALIDATOR &&
            bytes_equal(request->client_id, bytes_str(options->node)))
            *role = BROKER_ROLE_MEMBER;
        if (entry.is_revoked) {
            /* It may announce itself anew, as anyone may, and will be told that it is unknown. */
            *role = BROKER_ROLE_APPLICANT;
        }
    } else {
        if (!claims->has_key)
            return SEALMQ_E_UNKNOWN;
        key = claims->key;
        *role = BROKER_ROLE_APPLICANT;
    }
    if (*role == BROKER_ROLE_APPLICANT && claims->has_key)
        key = claims->key;
    struct token checked;
    error = token_verify(request->password, &key, options->network, options->node, now_s, &checked);
    return error != 0 ? error : use_once(logins, &checked, *role, now_s);
}

bool logins_needs_token(struct logins *logins, struct bytes id)
{
    struct registry_entry entry;
    return registry_find(logins->options.registry, id, &entry) == 0 && !entry.is_revoked;
}

enum login_answer logins_ask(struct logins *logins, const struct broker_auth_request *request,
                             int64_t now_s, enum broker_role *role, int *error)
{
    struct token claims;
    *error = 0;
    if (request->has_password && looks_like_token(request->password) &&
        token_parse(request->password, &claims) == 0) {
        *error = check_token(logins, request, &claims, now_s, role);
        return *error == 0 ? LOGIN_GRANTED : LOGIN_REFUSED;
    }
    if (logins_needs_token(logins, request->client_id)) {
        *error = SEALMQ_E_DENIED;
        return LOGIN_REFUSED;
    }
    return LOGIN_OTHER;
}
