/* A token is <header>.<claims>.<signature>, each base64url. Nothing in a token chooses how it is
 * checked: the algorithm is fixed, and the key is the one that the caller has for `iss`. */
#include "crypto/token.h"

#include "base/id.h"
#include "base/json.h"
#include "base/text.h"

#include <strings.h>

static const char header_json[] = "{\"alg\":\"EdDSA\",\"typ\":\"JWT\"}";

static bool jti_is_valid(const char *jti)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    size_t n = strlen(jti);
    return n >= 16 && n <= TOKEN_JTI_MAX && strspn(jti, allowed) == n;
}

static bool node_is_valid(struct bytes node)
{
    return bytes_equal(node, BYTES_LIT("*")) || id_is_valid(node);
}

/* JSON numbers are exact up to here. */
static bool time_is_valid(int64_t t)
{
    return t >= 0 && t < INT64_C(1) << 53;
}

int token_jti_make(const uint8_t random[TOKEN_JTI_RANDOM], char out[TOKEN_JTI_MAX + 1])
{
    struct buf text = {0};
    base64url_append(&text, bytes_of(random, TOKEN_JTI_RANDOM));
    int error = buf_status(&text);
    if (error == 0)
        error = bytes_to_cstr(buf_bytes(&text), out, TOKEN_JTI_MAX + 1);
    buf_close(&text);
    return error;
}

int token_make(const struct token *token, const struct sign_key *key, struct buf *out)
{
    if (!id_is_valid(bytes_str(token->iss)) || !network_name_is_valid(bytes_str(token->network)) ||
        !node_is_valid(bytes_str(token->node)) || !jti_is_valid(token->jti) ||
        !time_is_valid(token->iat) || !time_is_valid(token->exp) || token->exp < token->iat)
        return SEALMQ_E_ARG;

    /* No member needs escaping: their alphabets were just checked. */
    struct buf claims = {0};
    buf_printf(&claims,
               "{\"iss\":\"%s\",\"aud\":\"%s:%s\",\"iat\":%lld,\"exp\":%lld,\"jti\":\"%s\"",
               token->iss, token->network, token->node, (long long)token->iat,
               (long long)token->exp, token->jti);
    if (token->has_key) {
        buf_append_cstr(&claims, ",\"key\":\"");
        base64url_append(&claims, bytes_of(token->key.b, sizeof(token->key.b)));
        buf_append_u8(&claims, '"');
    }
    buf_append_u8(&claims, '}');

    size_t start = out->n;
    base64url_append(out, bytes_str(header_json));
    buf_append_u8(out, '.');
    base64url_append(out, buf_bytes(&claims));
    int error = buf_status(&claims) != 0 ? buf_status(&claims) : buf_status(out);
    buf_close(&claims);
    if (error != 0)
        return error;
    struct signature signature;
    sign_raw(key, bytes_of(out->p + start, out->n - start), &signature);
    buf_append_u8(out, '.');
    base64url_append(out, bytes_of(signature.b, sizeof(signature.b)));
    return buf_status(out);
}

/* A token taken apart. */
struct parts {
    struct bytes header, claims, signature;
    struct bytes signing_input; /* header, dot and claims as they were written */
};

static int split(struct bytes text, struct parts *out)
{
    if (text.n == 0 || text.n > TOKEN_BYTES_MAX)
        return SEALMQ_E_PARSE;
    const uint8_t *end = text.p + text.n;
    const uint8_t *first = memchr(text.p, '.', text.n);
    if (first == NULL)
        return SEALMQ_E_PARSE;
    const uint8_t *second = memchr(first + 1, '.', (size_t)(end - first - 1));
    if (second == NULL)
        return SEALMQ_E_PARSE;
    out->header = bytes_of(text.p, (size_t)(first - text.p));
    out->claims = bytes_of(first + 1, (size_t)(second - first - 1));
    out->signature = bytes_of(second + 1, (size_t)(end - second - 1)); /* another dot is no digit */
    out->signing_input = bytes_of(text.p, (size_t)(second - text.p));
    return 0;
}

/* Parses the JSON that `text` holds in base64url. */
static int parse_part(struct bytes text, cJSON **out)
{
    struct buf json = {.limit = TOKEN_BYTES_MAX};
    *out = NULL;
    int error = base64url_decode(text, &json);
    if (error == 0)
        error = json_parse(buf_bytes(&json), out, NULL);
    buf_close(&json);
    return error;
}

/* {"alg":"EdDSA"}, with "typ" "JWT" if it is there, and nothing critical (RFC 7515 section 4.1.11).
 * Other members, such as "kid", do not matter. */
static int check_header(struct bytes text)
{
    cJSON *header;
    const char *alg, *typ;
    int error = parse_part(text, &header);
    if (error != 0)
        return error;
    error = json_member_string(header, "alg", &alg, NULL);
    if (error == 0 && strcmp(alg, "EdDSA") != 0)
        error = SEALMQ_E_PARSE;
    if (error == 0 && cJSON_GetObjectItemCaseSensitive(header, "crit") != NULL)
        error = SEALMQ_E_PARSE;
    if (error == 0 && cJSON_GetObjectItemCaseSensitive(header, "typ") != NULL) {
        error = json_member_string(header, "typ", &typ, NULL);
        if (error == 0 && strcasecmp(typ, "JWT") != 0)
            error = SEALMQ_E_PARSE;
    }
    cJSON_Delete(header);
    return error;
}

static int copy_valid(struct bytes s, bool (*is_valid)(struct bytes), char *out, size_t out_size)
{
    return is_valid(s) ? bytes_to_cstr(s, out, out_size) : SEALMQ_E_PARSE;
}

/* aud: "<network>:<node id>". */
static int read_audience(const cJSON *claims, struct token *out)
{
    const char *aud;
    int error = json_member_string(claims, "aud", &aud, NULL);
    if (error != 0)
        return error;
    const char *colon = strchr(aud, ':');
    if (colon == NULL)
        return SEALMQ_E_PARSE;
    error = copy_valid(bytes_of(aud, (size_t)(colon - aud)), network_name_is_valid, out->network,
                       sizeof(out->network));
    if (error == 0)
        error = copy_valid(bytes_str(colon + 1), node_is_valid, out->node, sizeof(out->node));
    return error;
}

/* A NumericDate (RFC 7519 section 2): a number, not digits in a string; whole seconds here. */
static int read_time(const cJSON *claims, const char *name, int64_t *out)
{
    uint64_t v;
    if (!cJSON_IsNumber(cJSON_GetObjectItemCaseSensitive(claims, name)))
        return SEALMQ_E_PARSE;
    int error = json_member_u64(claims, name, &v, NULL);
    if (error == 0)
        *out = (int64_t)v;
    return error;
}

static int read_key(const cJSON *claims, struct token *out)
{
    const char *key;
    if (cJSON_GetObjectItemCaseSensitive(claims, "key") == NULL)
        return 0;
    int error = json_member_string(claims, "key", &key, NULL);
    if (error == 0)
        error = base64url_decode_exact(bytes_str(key), out->key.b, sizeof(out->key.b));
    out->has_key = error == 0;
    return error;
}

static int read_claims(const cJSON *claims, struct token *out, int64_t *not_before)
{
    const char *iss, *jti;
    int error = json_member_string(claims, "iss", &iss, NULL);
    if (error == 0)
        error = copy_valid(bytes_str(iss), id_is_valid, out->iss, sizeof(out->iss));
    if (error == 0)
        error = read_audience(claims, out);
    if (error == 0)
        error = read_time(claims, "iat", &out->iat);
    if (error == 0)
        error = read_time(claims, "exp", &out->exp);
    if (error == 0 && out->exp < out->iat)
        error = SEALMQ_E_PARSE;
    *not_before = out->iat;
    if (error == 0 && cJSON_GetObjectItemCaseSensitive(claims, "nbf") != NULL)
        error = read_time(claims, "nbf", not_before);
    if (error == 0)
        error = json_member_string(claims, "jti", &jti, NULL);
    if (error == 0 && !jti_is_valid(jti))
        error = SEALMQ_E_PARSE;
    if (error == 0)
        error = bytes_to_cstr(bytes_str(jti), out->jti, sizeof(out->jti));
    if (error == 0)
        error = read_key(claims, out);
    return error;
}

static int parse(struct bytes text, struct token *out, struct parts *parts, int64_t *not_before)
{
    *out = (struct token){0};
    *not_before = 0;
    int error = split(text, parts);
    if (error == 0)
        error = check_header(parts->header);
    if (error != 0)
        return error;
    cJSON *claims;
    error = parse_part(parts->claims, &claims);
    if (error != 0)
        return error;
    error = read_claims(claims, out, not_before);
    cJSON_Delete(claims);
    if (error != 0)
        *out = (struct token){0};
    return error;
}

int token_parse(struct bytes text, struct token *out)
{
    struct parts parts;
    int64_t not_before;
    return parse(text, out, &parts, &not_before);
}

static int check_signature(const struct parts *parts, const struct public_key *key)
{
    struct signature signature;
    if (base64url_decode_exact(parts->signature, signature.b, sizeof(signature.b)) != 0)
        return SEALMQ_E_PARSE;
    return sign_verify_raw(key, parts->signing_input, &signature);
}

int token_verify(struct bytes text, const struct public_key *key, const char *network,
                 const char *node, int64_t now_s, struct token *out)
{
    struct parts parts;
    int64_t not_before;
    int error = parse(text, out, &parts, &not_before);
    if (error == 0)
        error = check_signature(&parts, key);
    if (error == 0 && (strcmp(out->network, network) != 0 ||
                       (strcmp(out->node, "*") != 0 && strcmp(out->node, node) != 0)))
        error = SEALMQ_E_NETWORK;
    /* All times but ours are in 0..2^53, so that the sums cannot overflow. */
    if (error == 0 && (out->exp <= now_s || out->exp - out->iat > TOKEN_LIFE_MAX_S ||
                       out->iat - TOKEN_SKEW_S > now_s || not_before - TOKEN_SKEW_S > now_s))
        error = SEALMQ_E_EXPIRED;
    if (error != 0)
        *out = (struct token){0};
    return error;
}
