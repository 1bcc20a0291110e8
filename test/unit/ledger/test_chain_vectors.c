/* A whole small chain that another implementation wrote down (test/vectors/make_chain_vectors):
 * every byte of genesis, requests, blocks, state entries and roots. */
#include "ledger/snapshot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/vectors.h"

static cJSON *vectors;
static struct genesis genesis;

static const cJSON *object_of(const cJSON *object, const char *name)
{
    const cJSON *found;
    assert_int_equal(json_member_object(object, name, &found, NULL), 0);
    return found;
}

static struct hash hash_of(const cJSON *object, const char *name)
{
    struct hash hash;
    vector_hex_exact(object, name, hash.b, HASH_SIZE);
    return hash;
}

static int setup(void **state)
{
    (void)state;
    vectors = vectors_load("chain.json");
    char why[160];
    if (crypto_init() != 0)
        return -1;
    return genesis_parse(vector_text(object_of(vectors, "genesis"), "json"), &genesis, why,
                         sizeof(why));
}

static int teardown(void **state)
{
    (void)state;
    cJSON_Delete(vectors);
    return 0;
}

static struct sign_key key_of(const char *id)
{
    uint8_t seed[SEED_SIZE];
    vector_hex_exact(object_of(vectors, "seeds"), id, seed, SEED_SIZE);
    struct sign_key key;
    sign_key_from_seed(seed, &key);
    return key;
}

static void the_genesis_has_its_form_and_hashes(void **state)
{
    (void)state;
    const cJSON *vector = object_of(vectors, "genesis");
    struct buf form = {0};
    genesis_encode(&genesis, &form);
    struct buf expected = vector_hex(vector, "form");
    assert_true(bytes_equal(buf_bytes(&form), buf_bytes(&expected)));
    struct hash hash = hash_of(vector, "hash");
    assert_true(hash_equal(&hash, &genesis.hash));
    hash = hash_of(vector, "validators_hash");
    struct hash set;
    validator_set_hash(&genesis.validators, &set);
    assert_true(hash_equal(&hash, &set));
    buf_close(&form);
    buf_close(&expected);
}

static void check_requests(const struct chain *chain, const cJSON *vector,
                           const struct block *block)
{
    struct bytes list = block->requests;
    const cJSON *one;
    cJSON_ArrayForEach(one, vector_array(vector, "requests"))
    {
        struct buf expected = vector_hex(one, "wire");
        struct bytes wire;
        assert_true(block_requests_next(&list, &wire));
        assert_true(bytes_equal(wire, buf_bytes(&expected)));
        struct request request;
        assert_int_equal(request_decode(wire, &request), 0);
        struct hash hash = hash_of(one, "hash");
        assert_true(hash_equal(&request.hash, &hash));
        assert_int_equal(chain_check_signatures(chain, &request), 0);
        buf_close(&expected);
    }
    assert_int_equal(list.n, 0);
}

static void check_state(struct chain *chain, const cJSON *vector)
{
    struct hash expected = hash_of(vector, "state_root_after");
    struct hash root;
    chain_state_root(chain, &root);
    assert_true(hash_equal(&root, &expected));
    const cJSON *entry;
    cJSON_ArrayForEach(entry, vector_array(vector, "entries"))
    {
        struct buf value = {0};
        struct buf expected_value = vector_hex(entry, "value");
        struct statetree_path path;
        assert_int_equal(chain_prove_state(chain, vector_text(entry, "key"), &value, &path), 0);
        assert_true(bytes_equal(buf_bytes(&value), buf_bytes(&expected_value)));
        buf_close(&value);
        buf_close(&expected_value);
    }
    expected = hash_of(vector, "log_root_after");
    chain_log_root(chain, &root);
    assert_true(hash_equal(&root, &expected));
}

static int compare_chunk(void *context, uint32_t at, struct bytes chunk)
{
    assert_int_equal(at, 0);
    assert_true(bytes_equal(chunk, buf_bytes(context)));
    return 0;
}

static void check_snapshot(const struct chain *chain)
{
    cJSON *vector = vectors_load("snapshot.json");
    struct buf chunk = vector_hex(vector, "chunk");
    struct buf expected = vector_hex(vector, "manifest");
    struct buf manifest = {0};
    assert_int_equal(snapshot_make(chain, compare_chunk, &chunk, &manifest), 0);
    assert_true(bytes_equal(buf_bytes(&manifest), buf_bytes(&expected)));
    buf_close(&manifest);
    buf_close(&expected);
    buf_close(&chunk);
    cJSON_Delete(vector);
}

static void the_chain_takes_its_blocks_to_the_same_state(void **state)
{
    (void)state;
    struct chain *chain;
    assert_int_equal(chain_new(&genesis, &chain), 0);
    const cJSON *vector;
    uint64_t height = 0;
    cJSON_ArrayForEach(vector, vector_array(vectors, "blocks"))
    {
        struct buf wire = vector_hex(vector, "wire");
        struct hash hash = hash_of(vector, "hash");
        struct block block;
        assert_int_equal(block_decode(buf_bytes(&wire), &block), 0);
        assert_int_equal(block.header.height, height);
        check_requests(chain, vector, &block);
        if (height == 0) {
            struct buf made = {0};
            genesis_block(&genesis, &block.header.state_root, &made);
            assert_true(bytes_equal(buf_bytes(&made), buf_bytes(&wire)));
            buf_close(&made);
        } else {
            assert_int_equal(chain_check_block(chain, &block, 0, -1), 0);
            assert_int_equal(chain_append(chain, &block), 0);
        }
        assert_true(hash_equal(chain_tip_hash(chain), &hash));
        check_state(chain, vector);
        buf_close(&wire);
        height++;
    }
    assert_int_equal(height, 10);
    check_snapshot(chain);
    chain_free(chain);
}

static struct buf request_vector(int block, int index)
{
    const cJSON *requests =
        vector_array(cJSON_GetArrayItem(vector_array(vectors, "blocks"), block), "requests");
    return vector_hex(cJSON_GetArrayItem(requests, index), "wire");
}

static void assert_made(struct buf *made, int block, int index)
{
    struct buf expected = request_vector(block, index);
    assert_true(bytes_equal(buf_bytes(made), buf_bytes(&expected)));
    buf_close(&expected);
    buf_close(made);
}

/* Signatures of Ed25519 are deterministic, so what is made is the same to the byte. */
static void requests_are_made_to_the_byte(void **state)
{
    (void)state;
    struct sign_key iot = key_of("devices/iot"), zoe = key_of("admin/zoe");
    struct sign_key ada = key_of("admin/ada");
    struct bytes gateway = BYTES_LIT("devices/iot");
    struct buf one = {0}, made = {0};
    assert_int_equal(request_make_register(BYTES_LIT("admin/zoe"), 1, gateway, MEMBER_GATEWAY,
                                           &iot.public_key, &zoe, &genesis.hash, &one),
                     0);
    assert_int_equal(
        request_cosign(buf_bytes(&one), BYTES_LIT("admin/ada"), &ada, &genesis.hash, &made), 0);
    assert_made(&made, 1, 0);
    buf_close(&one);

    assert_int_equal(request_make_revoke(BYTES_LIT("admin/zoe"), 2, gateway, BYTES_LIT("lost"),
                                         &zoe, &genesis.hash, &one),
                     0);
    assert_int_equal(
        request_cosign(buf_bytes(&one), BYTES_LIT("admin/ada"), &ada, &genesis.hash, &made), 0);
    assert_made(&made, 4, 0);
    buf_close(&one);

    struct bytes device = BYTES_LIT("D3343134IE3B"), service = BYTES_LIT("CS");
    struct item items[] = {
        {7, BYTES_LIT("pump.2"), BYTES_LIT("state"), BYTES_LIT("text"), BYTES_LIT(""),
         DATATYPE_STRING},
        {1, device, service, BYTES_LIT("device_temperature"),
         BYTES_LIT("\xc2\xb0"
                   "C"),
         DATATYPE_DOUBLE},
        {2, device, service, BYTES_LIT("device_humidity"), BYTES_LIT("%"), DATATYPE_DOUBLE}};
    assert_int_equal(request_make_describe(gateway, 1, items, 3, &iot, &genesis.hash, &made), 0);
    assert_made(&made, 2, 0);

    struct record records[] = {
        {gateway, device, 1, INT64_C(1594046911000000), BYTES_LIT("36")},
        {gateway, device, 2, INT64_C(1594046911250000), BYTES_LIT("6")},
        {gateway, BYTES_LIT("pump.2"), 7, INT64_C(1594046912000000), BYTES_LIT("on/off \xc2\xb0")}};
    struct interval_leaf leaves[] = {{1, LEAF_ACKNOWLEDGED, BYTES_LIT("broker/a"), {{0}}},
                                     {2, LEAF_PENDING, {0}, {{0}}},
                                     {3, LEAF_DROPPED, {0}, {{0}}},
                                     {4, LEAF_PENDING, {0}, {{0}}}};
    for (size_t i = 0; i < 4; i++) {
        char text[16];
        snprintf(text, sizeof(text), "report %zu", i + 1);
        hash_sha256(bytes_str(text), &leaves[i].report);
    }
    struct request_data data = {gateway, 3, records, 3, 1, 4, leaves, 4};
    assert_int_equal(request_make_data(&data, &iot, &genesis.hash, &made), 0);
    assert_made(&made, 2, 1);
    data = (struct request_data){.sender = gateway, .number = 4, .from = 5, .to = 4};
    assert_int_equal(request_make_data(&data, &iot, &genesis.hash, &made), 0);
    assert_made(&made, 4, 1);
}

/* The vector's validators have log and cosigner keys of their own making: they are read from it. */
static struct validator claimed(const struct member_claim *claim)
{
    struct validator v = {
        .key = claim->key, .log_key = claim->log_key, .cosigner_key = claim->cosigner_key};
    assert_int_equal(bytes_to_cstr(claim->id, v.id, sizeof(v.id)), 0);
    assert_int_equal(bytes_to_cstr(claim->url, v.url, sizeof(v.url)), 0);
    return v;
}

static void governing_requests_are_made_to_the_byte(void **state)
{
    (void)state;
    struct sign_key zoe = key_of("admin/zoe"), ada = key_of("admin/ada"), eve = key_of("admin/eve");
    struct sign_key e = key_of("broker/e"), b = key_of("broker/b");
    struct sign_key b_again = key_of("broker/b again"), iot = key_of("devices/iot again");
    struct sign_key iot_last = key_of("devices/iot last");
    struct buf one = {0}, made = {0}, join = {0};
    struct request request;

    struct buf vector = request_vector(5, 0);
    assert_int_equal(request_decode(buf_bytes(&vector), &request), 0);
    assert_int_equal(request.register_.height, 3);
    struct validator joiner = claimed(&request.register_);
    assert_int_equal(
        request_make_join(&joiner, 3, &request.register_.leaf, &e, &genesis.hash, &join), 0);
    assert_int_equal(request_make_register_validator(BYTES_LIT("admin/zoe"), 3, buf_bytes(&join),
                                                     &zoe, &genesis.hash, &one),
                     0);
    assert_int_equal(
        request_cosign(buf_bytes(&one), BYTES_LIT("admin/ada"), &ada, &genesis.hash, &made), 0);
    assert_made(&made, 5, 0);
    buf_close(&one);
    buf_close(&join);
    buf_close(&vector);

    vector = request_vector(6, 0);
    assert_int_equal(request_decode(buf_bytes(&vector), &request), 0);
    struct validator rotated = claimed(&request.rotate);
    assert_int_equal(request_make_rotate(BYTES_LIT("broker/b"), 1, BYTES_LIT("broker/b"), &rotated,
                                         &b_again, &b, &genesis.hash, &made),
                     0);
    assert_made(&made, 6, 0);
    buf_close(&vector);

    for (int i = 0; i < 2; i++) {
        vector = request_vector(7, i);
        assert_int_equal(request_decode(buf_bytes(&vector), &request), 0);
        assert_int_equal(request.configure.what, i == 0 ? CONFIGURE_PARAMETERS : CONFIGURE_ADMINS);
        assert_int_equal(request_make_configure(BYTES_LIT("admin/zoe"), 4 + (uint64_t)i,
                                                request.configure.what, request.configure.value,
                                                &zoe, &genesis.hash, &one),
                         0);
        assert_int_equal(
            request_cosign(buf_bytes(&one), BYTES_LIT("admin/ada"), &ada, &genesis.hash, &made), 0);
        assert_made(&made, 7, i);
        buf_close(&one);
        buf_close(&vector);
    }

    struct bytes gateway = BYTES_LIT("devices/iot");
    assert_int_equal(request_make_register(BYTES_LIT("admin/eve"), 1, gateway, MEMBER_GATEWAY,
                                           &iot.public_key, &eve, &genesis.hash, &made),
                     0);
    assert_made(&made, 8, 0);
    assert_int_equal(
        request_make_rotate(gateway, 5, gateway, NULL, &iot_last, &iot, &genesis.hash, &made), 0);
    assert_made(&made, 9, 0);
}

static void the_certificate_holds_and_is_made_to_the_byte(void **state)
{
    (void)state;
    const cJSON *vector = object_of(vectors, "certificate");
    struct buf wire = vector_hex(vector, "wire");
    static struct certificate c;
    assert_int_equal(certificate_decode(buf_bytes(&wire), &c), 0);
    assert_int_equal(certificate_verify(&c, COMMIT_LABEL, &genesis.validators, &genesis.hash), 0);
    assert_int_equal(certificate_verify(&c, PREPARE_LABEL, &genesis.validators, &genesis.hash),
                     SEALMQ_E_SIGNATURE);
    assert_int_equal(c.view, vector_u64(vector, "view"));
    assert_int_equal(c.height, vector_u64(vector, "height"));
    assert_int_equal(c.n, 3);
    struct vote vote = {.view = c.view, .height = c.height, .header = c.header};
    validator_set_hash(&genesis.validators, &vote.validators);
    for (size_t i = 0; i < c.n; i++) {
        struct sign_key key = key_of(genesis.validators.v[c.votes[i].validator].id);
        struct signature signature;
        vote_sign(&key, COMMIT_LABEL, &genesis.hash, &vote, &signature);
        assert_memory_equal(signature.b, c.votes[i].signature.b, SIGNATURE_SIZE);
    }
    buf_close(&wire);
}

static void json_forms_are_written_and_read_to_the_byte(void **state)
{
    (void)state;
    uint64_t now_us = vector_u64(vectors, "json_time_us");
    const cJSON *one;
    cJSON_ArrayForEach(one, vector_array(vectors, "json"))
    {
        struct buf wire = vector_hex(one, "wire");
        struct buf json = {0}, back = {0};
        assert_int_equal(
            request_to_json(buf_bytes(&wire), vector_text(one, "topic"), (int64_t)now_us, &json),
            0);
        assert_true(bytes_equal(buf_bytes(&json), vector_text(one, "json")));
        char topic[TOPIC_MAX_BYTES + 1];
        assert_int_equal(request_from_json(vector_text(one, "json"), &back, topic), 0);
        assert_true(bytes_equal(buf_bytes(&back), buf_bytes(&wire)));
        assert_true(bytes_equal(bytes_str(topic), vector_text(one, "topic")));
        buf_close(&wire);
        buf_close(&json);
        buf_close(&back);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_genesis_has_its_form_and_hashes),
        cmocka_unit_test(the_chain_takes_its_blocks_to_the_same_state),
        cmocka_unit_test(requests_are_made_to_the_byte),
        cmocka_unit_test(governing_requests_are_made_to_the_byte),
        cmocka_unit_test(the_certificate_holds_and_is_made_to_the_byte),
        cmocka_unit_test(json_forms_are_written_and_read_to_the_byte),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
