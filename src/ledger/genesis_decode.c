/* Parts of the canonical genesis read again: they are entries of the state, and travel in requests.
 */
#include "ledger/genesis.h"

#include "base/id.h"

bool validator_url_is_valid(struct bytes url)
{
    if (url.n == 0)
        return true;
    for (size_t i = 0; i < url.n; i++)
        if (url.p[i] <= ' ' || url.p[i] > '~' || url.p[i] == '"' || url.p[i] == '\\')
            return false;
    struct bytes plain = BYTES_LIT("mqtt://"), tls = BYTES_LIT("mqtts://");
    return (bytes_starts_with(url, plain) && url.n > plain.n) ||
           (bytes_starts_with(url, tls) && url.n > tls.n);
}

bool genesis_parameters_are_valid(const struct genesis_parameters *parameters)
{
    return parameters->difficulty <= DIFFICULTY_MAX && parameters->anchor_interval_ms >= 1 &&
           parameters->anchor_interval_ms <= ANCHOR_INTERVAL_MAX_MS;
}

int genesis_parameters_decode(struct bytes wire, struct genesis_parameters *out)
{
    struct reader r = reader_of(wire);
    *out = (struct genesis_parameters){0};
    out->difficulty = reader_u8(&r);
    out->anchor_interval_ms = reader_u32(&r);
    int error = reader_end(&r);
    if (error == 0 && !genesis_parameters_are_valid(out))
        error = SEALMQ_E_LIMIT;
    return error;
}

bool validators_equal(const struct validator *a, const struct validator *b)
{
    return strcmp(a->id, b->id) == 0 && strcmp(a->url, b->url) == 0 &&
           memcmp(&a->key, &b->key, sizeof(a->key)) == 0 &&
           memcmp(&a->log_key, &b->log_key, sizeof(a->log_key)) == 0 &&
           memcmp(&a->cosigner_key, &b->cosigner_key, sizeof(a->cosigner_key)) == 0;
}

static void read_key(struct reader *r, struct public_key *out)
{
    static const struct public_key none;
    reader_copy(r, out->b, PUBLIC_KEY_SIZE);
    if (r->failed == 0 && memcmp(out, &none, sizeof(none)) == 0)
        reader_fail(r, SEALMQ_E_PARSE);
}

static void read_validator(struct reader *r, struct validator *out)
{
    reader_cstr8(r, out->id, sizeof(out->id));
    read_key(r, &out->key);
    read_key(r, &out->log_key);
    read_key(r, &out->cosigner_key);
    reader_cstr8(r, out->url, sizeof(out->url));
    if (r->failed == 0 && (!id_is_valid(bytes_str(out->id)) ||
                           bytes_starts_with(bytes_str(out->id), BYTES_LIT("admin/")) ||
                           !validator_url_is_valid(bytes_str(out->url))))
        reader_fail(r, SEALMQ_E_PARSE);
}

int validator_set_decode(struct bytes wire, struct validator_set *out)
{
    struct reader r = reader_of(wire);
    *out = (struct validator_set){0};
    size_t n = reader_u8(&r);
    if (r.failed == 0 && (n == 0 || n > VALIDATORS_MAX))
        return SEALMQ_E_LIMIT;
    for (size_t i = 0; i < n && r.failed == 0; i++) {
        read_validator(&r, &out->v[i]);
        if (r.failed == 0 && i > 0 && strcmp(out->v[i - 1].id, out->v[i].id) >= 0)
            reader_fail(&r, SEALMQ_E_PARSE);
    }
    out->n = n;
    return reader_end(&r);
}
