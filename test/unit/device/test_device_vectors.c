/* The frozen key agreement, envelopes and announcement: what is made here is the same, byte for
 * byte, and what was made elsewhere is read. */
#include "keys.h"

#include "device/announce.h"
#include "device/envelope.h"
#include "device/handshake.h"
#include "device/reply.h"
#include "lib/vectors.h"

static struct {
    cJSON *vectors;
    struct hash genesis;
    struct handshake_parties parties;
    struct sign_key gateway, node;
    struct x25519_pair gateway_pair, node_pair;
    uint8_t hello[HELLO_SIZE], answer[ANSWER_SIZE];
    struct seal_key up, down;
} frozen;

static void read_key(const char *member, struct sign_key *out)
{
    uint8_t seed[SEED_SIZE];
    vector_hex_exact(frozen.vectors, member, seed, sizeof(seed));
    sign_key_from_seed(seed, out);
}

static void read_pair(const char *member, struct x25519_pair *out)
{
    uint8_t secret[X25519_SIZE];
    vector_hex_exact(frozen.vectors, member, secret, sizeof(secret));
    x25519_pair_from_secret(secret, out);
}

static int setup(void **state)
{
    if (keys_setup(state) != 0)
        return -1;
    frozen.vectors = vectors_load("device.json");
    vector_hex_exact(frozen.vectors, "genesis", frozen.genesis.b, HASH_SIZE);
    frozen.parties.gateway = vector_text(frozen.vectors, "gateway");
    frozen.parties.node = vector_text(frozen.vectors, "node");
    frozen.parties.genesis = &frozen.genesis;
    read_key("gateway_seed", &frozen.gateway);
    read_key("node_seed", &frozen.node);
    read_pair("gateway_secret", &frozen.gateway_pair);
    read_pair("node_secret", &frozen.node_pair);
    vector_hex_exact(frozen.vectors, "hello", frozen.hello, sizeof(frozen.hello));
    vector_hex_exact(frozen.vectors, "answer", frozen.answer, sizeof(frozen.answer));
    vector_hex_exact(frozen.vectors, "up", &frozen.up, sizeof(frozen.up));
    vector_hex_exact(frozen.vectors, "down", &frozen.down, sizeof(frozen.down));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    cJSON_Delete(frozen.vectors);
    return 0;
}

static void assert_keys(const struct session_keys *keys)
{
    assert_int_equal(keys->key_id, vector_u64(frozen.vectors, "key_id"));
    assert_int_equal(keys->expires_s, vector_u64(frozen.vectors, "expiry"));
    assert_memory_equal(&keys->up, &frozen.up, sizeof(frozen.up));
    assert_memory_equal(&keys->down, &frozen.down, sizeof(frozen.down));
}

static void both_sides_of_the_agreement_come_out(void **state)
{
    (void)state;
    uint8_t hello[HELLO_SIZE], answer[ANSWER_SIZE];
    struct session_keys keys;
    uint64_t number;
    handshake_hello(&frozen.parties, &frozen.gateway, vector_u64(frozen.vectors, "number"),
                    &frozen.gateway_pair, hello);
    assert_memory_equal(hello, frozen.hello, sizeof(hello));
    assert_int_equal(handshake_answer(&frozen.parties, bytes_of(hello, sizeof(hello)),
                                      &frozen.gateway.public_key, &frozen.node, &frozen.node_pair,
                                      (uint32_t)vector_u64(frozen.vectors, "key_id"),
                                      vector_u64(frozen.vectors, "expiry"), &number, answer, &keys),
                     0);
    assert_memory_equal(answer, frozen.answer, sizeof(answer));
    assert_int_equal(number, vector_u64(frozen.vectors, "number"));
    assert_keys(&keys);
    assert_int_equal(handshake_finish(&frozen.parties, hello, &frozen.gateway_pair,
                                      bytes_of(frozen.answer, sizeof(frozen.answer)),
                                      &frozen.node.public_key, &keys),
                     0);
    assert_keys(&keys);
}

static void the_refusal_comes_out(void **state)
{
    (void)state;
    uint8_t fail[FAIL_SIZE], wanted[FAIL_SIZE];
    uint64_t number;
    uint16_t code;
    vector_hex_exact(frozen.vectors, "fail", wanted, sizeof(wanted));
    assert_int_equal(handshake_fail_parse(bytes_of(wanted, sizeof(wanted)), &number, &code), 0);
    assert_int_equal(number, vector_u64(frozen.vectors, "number"));
    assert_int_equal(code, vector_u64(frozen.vectors, "fail_code"));
    handshake_fail(number, code, fail);
    assert_memory_equal(fail, wanted, sizeof(fail));
}

static size_t assert_envelopes(const char *member, const struct seal_key *key)
{
    size_t n = 0;
    struct compressor *compressor;
    const cJSON *each;
    assert_int_equal(compressor_new(&compressor), 0);
    cJSON_ArrayForEach(each, vector_array(frozen.vectors, member))
    {
        struct buf plain = vector_hex(each, "plain"), envelope = vector_hex(each, "envelope");
        struct buf sealed = {0}, opened = {0};
        struct envelope_header header = {.key_id = 77, .counter = vector_u64(each, "counter")};
        struct bytes topic = vector_text(each, "topic");
        assert_int_equal(envelope_seal(compressor, &header, key, topic, buf_bytes(&plain), &sealed),
                         0);
        assert_true(bytes_equal(buf_bytes(&sealed), buf_bytes(&envelope)));
        assert_int_equal(envelope_open(compressor, buf_bytes(&envelope), key, topic, &opened), 0);
        assert_true(bytes_equal(buf_bytes(&opened), buf_bytes(&plain)));
        struct reply reply;
        if (key == &frozen.down) {
            struct buf again = {0};
            assert_int_equal(reply_decode(buf_bytes(&plain), &reply), 0);
            assert_int_equal(reply_encode(&reply, &again), 0);
            assert_true(bytes_equal(buf_bytes(&again), buf_bytes(&plain)));
            buf_close(&again);
        }
        buf_close(&plain);
        buf_close(&envelope);
        buf_close(&sealed);
        buf_close(&opened);
        n++;
    }
    compressor_free(compressor);
    return n;
}

static void envelopes_and_replies_come_out(void **state)
{
    (void)state;
    assert_int_equal(assert_envelopes("sealed_up", &frozen.up), 1);
    assert_int_equal(assert_envelopes("sealed_down", &frozen.down), 2);
}

static void the_announcement_comes_out(void **state)
{
    (void)state;
    struct bytes wanted = vector_text(frozen.vectors, "announcement");
    char id[ID_MAX + 1];
    struct public_key key;
    struct buf made = {0};
    assert_int_equal(announce_parse(wanted, &frozen.genesis, id, &key), 0);
    assert_true(bytes_equal(bytes_str(id), frozen.parties.gateway));
    assert_memory_equal(&key, &frozen.gateway.public_key, sizeof(key));
    assert_int_equal(announce_format(id, &frozen.gateway, &frozen.genesis, &made), 0);
    assert_true(bytes_equal(buf_bytes(&made), wanted));
    buf_close(&made);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_sides_of_the_agreement_come_out),
        cmocka_unit_test(the_refusal_comes_out),
        cmocka_unit_test(envelopes_and_replies_come_out),
        cmocka_unit_test(the_announcement_comes_out),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
