#include "device/handshake.h"

#define HANDSHAKE_VERSION 1
#define HELLO_FIELDS      (HELLO_SIZE - SIGNATURE_SIZE)
#define ANSWER_FIELDS     (ANSWER_SIZE - SIGNATURE_SIZE)
#define SIGNED_MAX        (ANSWER_FIELDS + HELLO_SIZE + 2 * (1 + ID_MAX))

/* Bytes put one after another into a place that is known to hold them. */
struct writer {
    uint8_t *p;
    size_t n;
};

static void put(struct writer *w, struct bytes b)
{
    if (b.n != 0)
        memcpy(w->p + w->n, b.p, b.n);
    w->n += b.n;
}

static void put_number(struct writer *w, uint64_t v, size_t size)
{
    for (size_t i = size; i-- > 0;)
        w->p[w->n++] = (uint8_t)(v >> (8 * i));
}

static void put_parties(struct writer *w, const struct handshake_parties *parties)
{
    put_number(w, parties->gateway.n, 1);
    put(w, parties->gateway);
    put_number(w, parties->node.n, 1);
    put(w, parties->node);
}

static bool parties_are_valid(const struct handshake_parties *parties)
{
    return parties->gateway.n <= ID_MAX && parties->node.n <= ID_MAX;
}

static struct bytes hello_signed(const struct handshake_parties *parties, const uint8_t *hello,
                                 uint8_t place[SIGNED_MAX])
{
    struct writer w = {place, 0};
    put(&w, bytes_of(hello, HELLO_FIELDS));
    put_parties(&w, parties);
    return bytes_of(place, w.n);
}

static struct bytes answer_signed(const struct handshake_parties *parties, const uint8_t *hello,
                                  const uint8_t *answer, uint8_t place[SIGNED_MAX])
{
    struct writer w = {place, 0};
    put(&w, bytes_of(answer, ANSWER_FIELDS));
    put(&w, bytes_of(hello, HELLO_SIZE));
    put_parties(&w, parties);
    return bytes_of(place, w.n);
}

/* Both directions' keys from the shared secret and everything that was said. */
static int derive(const struct x25519_pair *mine, const uint8_t theirs[X25519_SIZE],
                  const uint8_t *hello, const uint8_t *answer, struct session_keys *keys)
{
    uint8_t shared[32];
    int error = x25519_agree(mine, theirs, shared);
    if (error != 0)
        return error;
    struct hasher hasher;
    struct hash transcript;
    hasher_init(&hasher);
    hasher_update(&hasher, bytes_of(hello, HELLO_SIZE));
    hasher_update(&hasher, bytes_of(answer, ANSWER_SIZE));
    hasher_final(&hasher, &transcript);
    hkdf_sha256(hash_bytes(&transcript), bytes_of(shared, sizeof shared),
                BYTES_LIT("sealmq/session/1/up"), keys->up.b, SEAL_KEY_SIZE);
    hkdf_sha256(hash_bytes(&transcript), bytes_of(shared, sizeof shared),
                BYTES_LIT("sealmq/session/1/down"), keys->down.b, SEAL_KEY_SIZE);
    secret_wipe(shared, sizeof shared);
    return 0;
}

void handshake_hello(const struct handshake_parties *parties, const struct sign_key *key,
                     uint64_t number, const struct x25519_pair *fresh, uint8_t out[HELLO_SIZE])
{
    struct writer w = {out, 0};
    uint8_t place[SIGNED_MAX];
    struct signature signature;
    put_number(&w, HANDSHAKE_VERSION, 1);
    put_number(&w, number, 8);
    put(&w, bytes_of(fresh->public_key, X25519_SIZE));
    sign_message(key, HELLO_LABEL, parties->genesis, hello_signed(parties, out, place), &signature);
    put(&w, bytes_of(signature.b, SIGNATURE_SIZE));
}

int handshake_answer(const struct handshake_parties *parties, struct bytes hello,
                     const struct public_key *gateway_key, const struct sign_key *node_key,
                     const struct x25519_pair *fresh, uint32_t key_id, uint64_t expires_s,
                     uint64_t *number, uint8_t out[ANSWER_SIZE], struct session_keys *keys)
{
    uint8_t theirs[X25519_SIZE], place[SIGNED_MAX];
    struct signature signature;
    struct reader r = reader_of(hello);
    uint8_t version = reader_u8(&r);
    *number = reader_u64(&r);
    reader_copy(&r, theirs, sizeof theirs);
    reader_copy(&r, signature.b, SIGNATURE_SIZE);
    int error = reader_end(&r);
    if (error != 0)
        return error;
    if (version != HANDSHAKE_VERSION)
        return SEALMQ_E_VERSION;
    if (!parties_are_valid(parties))
        return SEALMQ_E_ARG;
    error = sign_verify(gateway_key, HELLO_LABEL, parties->genesis,
                        hello_signed(parties, hello.p, place), &signature);
    if (error != 0)
        return error;

    struct writer w = {out, 0};
    put_number(&w, HANDSHAKE_VERSION, 1);
    put_number(&w, key_id, 4);
    put_number(&w, expires_s, 8);
    put(&w, bytes_of(fresh->public_key, X25519_SIZE));
    sign_message(node_key, ANSWER_LABEL, parties->genesis,
                 answer_signed(parties, hello.p, out, place), &signature);
    put(&w, bytes_of(signature.b, SIGNATURE_SIZE));
    keys->key_id = key_id;
    keys->expires_s = expires_s;
    return derive(fresh, theirs, hello.p, out, keys);
}

int handshake_finish(const struct handshake_parties *parties, const uint8_t hello[HELLO_SIZE],
                     const struct x25519_pair *fresh, struct bytes answer,
                     const struct public_key *node_key, struct session_keys *keys)
{
    uint8_t theirs[X25519_SIZE], place[SIGNED_MAX];
    struct signature signature;
    struct reader r = reader_of(answer);
    uint8_t version = reader_u8(&r);
    uint32_t key_id = reader_u32(&r);
    uint64_t expires_s = reader_u64(&r);
    reader_copy(&r, theirs, sizeof theirs);
    reader_copy(&r, signature.b, SIGNATURE_SIZE);
    int error = reader_end(&r);
    if (error != 0)
        return error;
    if (version != HANDSHAKE_VERSION)
        return SEALMQ_E_VERSION;
    if (!parties_are_valid(parties))
        return SEALMQ_E_ARG;
    error = sign_verify(node_key, ANSWER_LABEL, parties->genesis,
                        answer_signed(parties, hello, answer.p, place), &signature);
    if (error != 0)
        return error;
    keys->key_id = key_id;
    keys->expires_s = expires_s;
    return derive(fresh, theirs, hello, answer.p, keys);
}

void handshake_fail(uint64_t number, uint16_t code, uint8_t out[FAIL_SIZE])
{
    struct writer w = {out, 0};
    put_number(&w, HANDSHAKE_VERSION, 1);
    put_number(&w, number, 8);
    put_number(&w, code, 2);
}

int handshake_fail_parse(struct bytes fail, uint64_t *number, uint16_t *code)
{
    struct reader r = reader_of(fail);
    uint8_t version = reader_u8(&r);
    *number = reader_u64(&r);
    *code = reader_u16(&r);
    int error = reader_end(&r);
    if (error != 0)
        return error;
    return version == HANDSHAKE_VERSION ? 0 : SEALMQ_E_VERSION;
}
