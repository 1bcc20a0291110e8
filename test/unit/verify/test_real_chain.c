/* Proofs made from a chain as nodes keep it: what the state machine writes is what the verifier
 * reads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "frozen.h"

#include "ledger/chain.h"

static struct genesis genesis;
static struct sign_key log_keys[4], cosigner_keys[4], admin_key, gateway_key;
static struct policy *policy;
static struct verify_result result;

static void seeded(uint8_t kind, size_t i, struct sign_key *out)
{
    uint8_t seed[SEED_SIZE] = {kind, (uint8_t)i};
    sign_key_from_seed(seed, out);
}

static int setup(void **state)
{
    (void)state;
    if (crypto_init() != 0)
        return -1;
    char why[128];
    strcpy(genesis.network, "plant");
    genesis.created_us = 1000;
    genesis.validators.n = 4;
    for (size_t i = 0; i < 4; i++) {
        struct validator *who = &genesis.validators.v[i];
        struct sign_key key;
        (void)snprintf(who->id, sizeof(who->id), "broker/%c", (int)('a' + i));
        (void)snprintf(who->url, sizeof(who->url), "mqtt://127.0.0.1:%zu", 1883 + i);
        seeded(1, i, &key);
        sign_key_derive(&key, LOG_KEY_PURPOSE, &log_keys[i]);
        sign_key_derive(&key, COSIGNER_KEY_PURPOSE, &cosigner_keys[i]);
        who->key = key.public_key;
        who->log_key = log_keys[i].public_key;
        who->cosigner_key = cosigner_keys[i].public_key;
    }
    seeded(2, 0, &admin_key);
    seeded(3, 0, &gateway_key);
    strcpy(genesis.admins[0].id, "admin/ops");
    genesis.admins[0].key = admin_key.public_key;
    genesis.admin_count = genesis.admin_threshold = 1;
    genesis.parameters.anchor_interval_ms = 60000;
    if (genesis_seal(&genesis, why, sizeof(why)) != 0)
        fail_msg("%s", why);
    struct buf text = {0};
    assert_int_equal(policy_format(genesis.network, &genesis.validators, &text), 0);
    policy = parse_policy(buf_bytes(&text));
    buf_close(&text);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    policy_free(policy);
    return 0;
}

/* Puts one request into a block of its own; `header` gets the block's. */
static void extend(struct chain *chain, struct bytes request, struct buf *header_wire)
{
    struct block_header header;
    struct block block;
    struct buf wire = {0};
    chain_next_header(chain, &header);
    header.time_us = chain_tip(chain)->time_us + 1;
    strcpy(header.proposer, "broker/a");
    assert_int_equal(block_encode(&header, &request, 1, &wire), 0);
    assert_int_equal(block_decode(buf_bytes(&wire), &block), 0);
    struct request decoded;
    assert_int_equal(request_decode(request, &decoded), 0);
    assert_int_equal(chain_check_signatures(chain, &decoded), 0);
    assert_int_equal(chain_append(chain, &block), 0);
    buf_reset(header_wire);
    buf_append_bytes(header_wire, block.header_wire);
    buf_close(&wire);
}

/* The checkpoint of the chain as it is, by three of four. */
static void attest(const struct chain *chain, struct buf *note)
{
    struct checkpoint checkpoint = {.size = chain_height(chain) + 1};
    checkpoint_origin(genesis.network, checkpoint.origin);
    chain_log_root(chain, &checkpoint.root);
    checkpoint_format(&checkpoint, note);
    buf_append_u8(note, '\n');
    for (size_t i = 1; i < 4; i++)
        checkpoint_sign(&checkpoint, &genesis.validators.v[i], &log_keys[i], &cosigner_keys[i],
                        100 + i, note);
    assert_int_equal(buf_status(note), 0);
}

static struct proof proof;
static struct proof_state_entry entries[2];
static struct buf values[2];

static void add_entry(struct chain *chain, struct bytes key)
{
    size_t i = proof.state_count++;
    entries[i].key = key;
    assert_int_equal(chain_prove_state(chain, key, &values[i], &entries[i].path), 0);
    entries[i].value = buf_bytes(&values[i]);
}

static int verify(struct chain *chain, uint64_t height, struct bytes header_wire)
{
    struct buf note = {0}, text = {0};
    attest(chain, &note);
    proof.header_wire = header_wire;
    proof.log_index = height;
    proof.note = buf_bytes(&note);
    proof.state = entries;
    merkle_log_prove(chain_log(chain), height, chain_height(chain) + 1, &proof.log_path);
    assert_int_equal(proof_format(&proof, &text), 0);
    int error = verify_proof(buf_bytes(&text), policy, &genesis.hash, &result);
    buf_close(&note);
    buf_close(&text);
    return error;
}

static void begin(enum proof_kind kind)
{
    proof = (struct proof){.kind = kind};
    buf_reset(&values[0]);
    buf_reset(&values[1]);
}

static void take_request(struct bytes wire)
{
    struct bytes leaf;
    assert_int_equal(request_leaf_of(wire, &leaf), 0);
    assert_int_equal(request_decode_leaf(leaf, &proof.request), 0);
}

static void what_a_chain_holds_can_be_proven(void **state)
{
    (void)state;
    struct chain *chain = NULL;
    struct buf request = {0}, header = {0};
    assert_int_equal(chain_new(&genesis, &chain), 0);

    /* block 1: the gateway is registered */
    begin(PROOF_REQUEST);
    add_entry(chain, STATE_KEY_ADMINS);
    assert_int_equal(request_make_register(BYTES_LIT("admin/ops"), 1, BYTES_LIT("devices/iot"),
                                           MEMBER_GATEWAY, &gateway_key.public_key, &admin_key,
                                           &genesis.hash, &request),
                     0);
    extend(chain, buf_bytes(&request), &header);
    take_request(buf_bytes(&request));
    assert_int_equal(verify(chain, 1, buf_bytes(&header)), 0);
    assert_string_equal(result.sender, "admin/ops");
    assert_int_equal(result.attested.cosigner_count, 3);

    /* block 2: it describes an item */
    begin(PROOF_REQUEST);
    add_entry(chain, BYTES_LIT("member/devices/iot"));
    const struct item item = {.num = 1,
                              .device = BYTES_LIT("d"),
                              .service = BYTES_LIT("s"),
                              .name = BYTES_LIT("n"),
                              .unit = BYTES_LIT("K"),
                              .type = DATATYPE_DOUBLE};
    buf_reset(&request);
    assert_int_equal(request_make_describe(BYTES_LIT("devices/iot"), 1, &item, 1, &gateway_key,
                                           &genesis.hash, &request),
                     0);
    extend(chain, buf_bytes(&request), &header);
    take_request(buf_bytes(&request));
    assert_int_equal(verify(chain, 2, buf_bytes(&header)), 0);
    assert_int_equal(result.request_kind, REQUEST_DESCRIBE);

    /* block 3: it writes a record, and covers two reports */
    begin(PROOF_RECORD);
    add_entry(chain, BYTES_LIT("member/devices/iot"));
    add_entry(chain, BYTES_LIT("item/devices/iot/1"));
    const struct row row = {.device = BYTES_LIT("d"),
                            .service = BYTES_LIT("s"),
                            .name = BYTES_LIT("n"),
                            .unit = BYTES_LIT("K"),
                            .value = BYTES_LIT("293.5"),
                            .type = DATATYPE_DOUBLE,
                            .time_us = 77};
    const struct report_head head = {BYTES_LIT("devices/iot"), BYTES_LIT("hall/now"), 2, 1};
    struct hash report_leaves[2], report;
    assert_int_equal(report_head_leaf(&head, &report_leaves[0]), 0);
    assert_int_equal(row_leaf(&row, &report_leaves[1]), 0);
    report_hash(report_leaves, 2, &report);
    const struct record record = {BYTES_LIT("devices/iot"), BYTES_LIT("d"), 1, 77,
                                  BYTES_LIT("293.5")};
    const struct interval_leaf leaves[2] = {{1, LEAF_DROPPED, {NULL, 0}, {{0}}},
                                            {2, LEAF_ACKNOWLEDGED, BYTES_LIT("broker/c"), report}};
    const struct request_data data = {.sender = BYTES_LIT("devices/iot"),
                                      .number = 2,
                                      .records = &record,
                                      .record_count = 1,
                                      .from = 1,
                                      .to = 2,
                                      .leaves = leaves,
                                      .leaf_count = 2};
    buf_reset(&request);
    assert_int_equal(request_make_data(&data, &gateway_key, &genesis.hash, &request), 0);
    extend(chain, buf_bytes(&request), &header);
    take_request(buf_bytes(&request));
    struct buf text = {0};
    record_format(&record, &text);
    proof.record_text = buf_bytes(&text);
    assert_int_equal(verify(chain, 3, buf_bytes(&header)), 0);
    assert_string_equal(result.name, "n");
    assert_string_equal(result.value, "293.5");
    assert_string_equal(result.unit, "K");

    /* and the row that the record came from */
    struct hash interval[2];
    for (size_t i = 0; i < 2; i++) {
        struct buf wire = {0};
        interval_leaf_encode(&leaves[i], &wire);
        hash_leaf(buf_bytes(&wire), &interval[i]);
        buf_close(&wire);
    }
    proof.kind = PROOF_ROW;
    proof.state_count = 1;
    proof.sub_index = 1;
    proof.leaf = leaves[1];
    merkle_prove(interval, 2, 1, &proof.sub_path);
    proof.report = head;
    proof.row = row;
    merkle_prove(report_leaves, 2, 0, &proof.head_path);
    merkle_prove(report_leaves, 2, 1, &proof.row_path);
    assert_int_equal(verify(chain, 3, buf_bytes(&header)), 0);
    assert_string_equal(result.node, "broker/c");
    assert_string_equal(result.topic, "hall/now");
    assert_int_equal(result.capture_number, 2);

    /* the state of a later block is not that of this one */
    buf_reset(&values[0]);
    assert_int_equal(
        chain_prove_state(chain, BYTES_LIT("member/devices/iot"), &values[0], &entries[0].path), 0);
    entries[0].value = buf_bytes(&values[0]);
    assert_int_equal(verify(chain, 3, buf_bytes(&header)), SEALMQ_E_HASH);

    buf_close(&text);
    buf_close(&request);
    buf_close(&header);
    buf_close(&values[0]);
    buf_close(&values[1]);
    chain_free(chain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_chain_holds_can_be_proven),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
