/* Requests about the network itself: who its members are, by which keys, and what it is set to. How
 * they are read, and how they are made. Items and records are in request_decode.c and
 * request_make.c.
 *
 * REGISTER of a validator and ROTATE end in the new key's own signature over the rest of their
 * body; so such a body can be made on the machine that holds the key, and signed for elsewhere. */
#include "ledger/request_int.h"

#include "base/id.h"
#include "ledger/state_entry.h"

/* --- reading --- */

/* Admins are no members, so no member can have such an id. */
static void read_member_id(struct reader *r, struct bytes *out)
{
    request_read_id(r, out);
    if (r->failed == 0 && bytes_starts_with(*out, BYTES_LIT("admin/")))
        reader_fail(r, SEALMQ_E_PARSE);
}

static bool keys_equal(const struct public_key *a, const struct public_key *b)
{
    return memcmp(a->b, b->b, PUBLIC_KEY_SIZE) == 0;
}

static void read_key(struct reader *r, struct public_key *out)
{
    static const struct public_key none;
    reader_copy(r, out->b, PUBLIC_KEY_SIZE);
    if (r->failed == 0 && keys_equal(out, &none))
        reader_fail(r, SEALMQ_E_PARSE);
}

/* What a validator has besides: its other two keys, and where it listens. */
static void read_validator(struct reader *r, struct member_claim *out)
{
    read_key(r, &out->log_key);
    read_key(r, &out->cosigner_key);
    out->url = reader_str8(r);
    if (r->failed != 0)
        return;
    if (!validator_url_is_valid(out->url) || keys_equal(&out->key, &out->log_key) ||
        keys_equal(&out->key, &out->cosigner_key) || keys_equal(&out->log_key, &out->cosigner_key))
        reader_fail(r, SEALMQ_E_PARSE);
}

static void read_claim(struct reader *r, enum request_kind kind, struct member_claim *out)
{
    const uint8_t *start = r->p;
    read_member_id(r, &out->id);
    uint8_t role = reader_u8(r);
    out->role = (enum member_role)role;
    if (r->failed == 0 && role != MEMBER_GATEWAY && role != MEMBER_VALIDATOR)
        reader_fail(r, SEALMQ_E_TYPE);
    read_key(r, &out->key);
    if (role == MEMBER_VALIDATOR)
        read_validator(r, out);
    if (role == MEMBER_VALIDATOR && kind == REQUEST_REGISTER) {
        out->height = reader_u64(r);
        reader_copy(r, out->leaf.b, HASH_SIZE);
        if (out->height > SEQUENCE_MAX)
            reader_fail(r, SEALMQ_E_LIMIT);
    } else if (kind == REQUEST_REGISTER) {
        return;
    }
    if (r->failed != 0)
        return;
    out->proven = bytes_of(start, (size_t)(r->p - start));
    reader_copy(r, out->proof.b, SIGNATURE_SIZE);
}

static void read_revoke(struct reader *r, struct request *out)
{
    read_member_id(r, &out->revoke.id);
    struct bytes reason = reader_str8(r);
    out->revoke.reason = reason;
    if (r->failed == 0 &&
        (!utf8_is_valid(reason) || (reason.n != 0 && memchr(reason.p, 0, reason.n) != NULL)))
        reader_fail(r, SEALMQ_E_PARSE);
}

static void read_configure(struct reader *r, struct request *out)
{
    uint8_t what = reader_u8(r);
    if (r->failed != 0)
        return;
    out->configure.what = (enum configure_what)what;
    out->configure.value = reader_bytes(r, r->n);
    struct genesis_parameters parameters;
    struct admins_value admins;
    int error = SEALMQ_E_TYPE;
    if (what == CONFIGURE_PARAMETERS)
        error = genesis_parameters_decode(out->configure.value, &parameters);
    else if (what == CONFIGURE_ADMINS)
        error = admins_value_decode(out->configure.value, &admins);
    if (error != 0)
        reader_fail(r, error);
}

void request_read_governing_body(struct reader *r, struct request *out)
{
    switch (out->kind) {
    case REQUEST_REGISTER:
        read_claim(r, out->kind, &out->register_);
        break;
    case REQUEST_ROTATE:
        read_claim(r, out->kind, &out->rotate);
        break;
    case REQUEST_REVOKE:
        read_revoke(r, out);
        break;
    default:
        read_configure(r, out);
        break;
    }
}

static int verify_claim(const struct member_claim *claim, const char *label,
                        const struct hash *genesis)
{
    return sign_verify(&claim->key, label, genesis, claim->proven, &claim->proof);
}

int request_verify_proof(const struct request *request, const struct hash *genesis)
{
    if (request->kind == REQUEST_ROTATE)
        return verify_claim(&request->rotate, ROTATE_LABEL, genesis);
    if (request->kind == REQUEST_REGISTER && request->register_.role == MEMBER_VALIDATOR)
        return verify_claim(&request->register_, JOIN_LABEL, genesis);
    return 0;
}

int request_read_join(struct bytes join, const struct hash *genesis, struct member_claim *out)
{
    *out = (struct member_claim){0};
    struct reader r = reader_of(join);
    read_claim(&r, REQUEST_REGISTER, out);
    int error = reader_end(&r);
    if (error != 0)
        return error;
    return out->role == MEMBER_VALIDATOR ? verify_claim(out, JOIN_LABEL, genesis) : SEALMQ_E_TYPE;
}

/* --- making --- */

int request_make_register(struct bytes sender, uint64_t number, struct bytes id,
                          enum member_role role, const struct public_key *key_of,
                          const struct sign_key *key, const struct hash *genesis, struct buf *out)
{
    struct buf head = {0}, beside = {0};
    request_begin_head(&head, REQUEST_REGISTER, sender, number);
    buf_append_str8(&head, id);
    buf_append_u8(&head, (uint8_t)role);
    buf_append(&head, key_of->b, PUBLIC_KEY_SIZE);
    return request_finish(&head, &beside, sender, key, genesis, out);
}

int request_make_revoke(struct bytes sender, uint64_t number, struct bytes id, struct bytes reason,
                        const struct sign_key *key, const struct hash *genesis, struct buf *out)
{
    struct buf head = {0}, beside = {0};
    request_begin_head(&head, REQUEST_REVOKE, sender, number);
    buf_append_str8(&head, id);
    buf_append_str8(&head, reason);
    return request_finish(&head, &beside, sender, key, genesis, out);
}

static void append_validator(const struct validator *validator, struct buf *out)
{
    buf_append(out, validator->log_key.b, PUBLIC_KEY_SIZE);
    buf_append(out, validator->cosigner_key.b, PUBLIC_KEY_SIZE);
    buf_append_str8(out, bytes_str(validator->url));
}

/* Signs what was appended since `start`. */
static void append_proof(const struct sign_key *key, const char *label, const struct hash *genesis,
                         size_t start, struct buf *out)
{
    if (buf_status(out) != 0)
        return;
    struct signature proof;
    sign_message(key, label, genesis, bytes_of(out->p + start, out->n - start), &proof);
    buf_append(out, proof.b, SIGNATURE_SIZE);
}

int request_make_join(const struct validator *validator, uint64_t height, const struct hash *leaf,
                      const struct sign_key *key, const struct hash *genesis, struct buf *out)
{
    size_t start = out->n;
    buf_append_str8(out, bytes_str(validator->id));
    buf_append_u8(out, MEMBER_VALIDATOR);
    buf_append(out, validator->key.b, PUBLIC_KEY_SIZE);
    append_validator(validator, out);
    buf_append_u64(out, height);
    buf_append(out, leaf->b, HASH_SIZE);
    append_proof(key, JOIN_LABEL, genesis, start, out);
    int error = buf_status(out);
    if (error == 0) {
        struct member_claim check;
        error = request_read_join(bytes_of(out->p + start, out->n - start), genesis, &check);
    }
    if (error != 0)
        out->n = start;
    return error;
}

int request_make_register_validator(struct bytes sender, uint64_t number, struct bytes join,
                                    const struct sign_key *key, const struct hash *genesis,
                                    struct buf *out)
{
    struct member_claim claim;
    int error = request_read_join(join, genesis, &claim);
    if (error != 0)
        return error;
    struct buf head = {0}, beside = {0};
    request_begin_head(&head, REQUEST_REGISTER, sender, number);
    buf_append_bytes(&head, join);
    return request_finish(&head, &beside, sender, key, genesis, out);
}

int request_make_rotate(struct bytes sender, uint64_t number, struct bytes id,
                        const struct validator *validator, const struct sign_key *new_key,
                        const struct sign_key *key, const struct hash *genesis, struct buf *out)
{
    struct buf head = {0}, beside = {0};
    request_begin_head(&head, REQUEST_ROTATE, sender, number);
    size_t start = head.n;
    buf_append_str8(&head, id);
    buf_append_u8(&head, validator != NULL ? MEMBER_VALIDATOR : MEMBER_GATEWAY);
    buf_append(&head, new_key->public_key.b, PUBLIC_KEY_SIZE);
    if (validator != NULL)
        append_validator(validator, &head);
    append_proof(new_key, ROTATE_LABEL, genesis, start, &head);
    return request_finish(&head, &beside, sender, key, genesis, out);
}

int request_make_configure(struct bytes sender, uint64_t number, enum configure_what what,
                           struct bytes value, const struct sign_key *key,
                           const struct hash *genesis, struct buf *out)
{
    struct buf head = {0}, beside = {0};
    request_begin_head(&head, REQUEST_CONFIGURE, sender, number);
    buf_append_u8(&head, (uint8_t)what);
    buf_append_bytes(&head, value);
    return request_finish(&head, &beside, sender, key, genesis, out);
}
