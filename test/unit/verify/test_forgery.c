/* Offline verification of what is well-formed but not true: proofs put together from parts of true
 * ones, and proofs of what no true chain would hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "frozen.h"

static struct verify_result result;

static int verify(struct bytes text)
{
    return verify_proof(text, frozen.policy, &frozen.genesis, &result);
}

/* --- parts of true proofs, put together --- */

struct forgery {
    struct proof proof;
    struct buf text;
};

static void forgery_open(struct forgery *f, const char *name)
{
    *f = (struct forgery){0};
    assert_int_equal(proof_parse(frozen_proof(name), &f->proof), 0);
}

static int forgery_verify(struct forgery *f)
{
    buf_reset(&f->text);
    assert_int_equal(proof_format(&f->proof, &f->text), 0);
    int error = verify(buf_bytes(&f->text));
    if (error != 0)
        assert_true(result.why[0] != '\0');
    return error;
}

static void forgery_close(struct forgery *f)
{
    proof_close(&f->proof);
    buf_close(&f->text);
}

static void a_proof_needs_its_state_entries_and_no_others(void **state)
{
    (void)state;
    struct forgery f, other;
    forgery_open(&f, "record");
    f.proof.state_count = 1;
    assert_int_equal(forgery_verify(&f), SEALMQ_E_NOTFOUND); /* the item's is missing */
    f.proof.state[0] = f.proof.state[1];
    assert_int_equal(forgery_verify(&f), SEALMQ_E_NOTFOUND); /* the sender's */
    f.proof.state_count = 2;
    assert_int_equal(forgery_verify(&f), SEALMQ_E_CONFLICT); /* the item's twice */
    f.proof.state_count = 0;
    assert_int_equal(forgery_verify(&f), SEALMQ_E_NOTFOUND);
    forgery_close(&f);

    forgery_open(&f, "row");
    f.proof.state_count = 0;
    assert_int_equal(forgery_verify(&f), SEALMQ_E_NOTFOUND);
    forgery_close(&f);

    /* a true entry of the same state, but another's */
    forgery_open(&f, "data");
    forgery_open(&other, "register");
    struct proof_state_entry kept = f.proof.state[0];
    f.proof.state[0] = other.proof.state[0];
    assert_int_equal(forgery_verify(&f), SEALMQ_E_CONFLICT);
    f.proof.state[0] = kept;
    assert_int_equal(forgery_verify(&f), 0);
    forgery_close(&other);
    forgery_close(&f);
}

static void a_path_belongs_to_one_place(void **state)
{
    (void)state;
    struct forgery f;
    forgery_open(&f, "record");
    f.proof.sub_index = 2;
    assert_int_equal(forgery_verify(&f), SEALMQ_E_HASH);
    f.proof.sub_index = 5;
    assert_int_equal(forgery_verify(&f), SEALMQ_E_PARSE);
    f.proof.sub_index = 3;
    f.proof.request_index = 0;
    assert_int_equal(forgery_verify(&f), SEALMQ_E_HASH);
    f.proof.request_index = 3;
    assert_int_equal(forgery_verify(&f), SEALMQ_E_PARSE);
    f.proof.request_index = 1;
    f.proof.log_index = 5;
    assert_int_equal(forgery_verify(&f), SEALMQ_E_CONFLICT);
    forgery_close(&f);
}

static void a_record_cannot_be_another(void **state)
{
    (void)state;
    struct forgery f;
    forgery_open(&f, "record");
    f.proof.record_text = BYTES_LIT("devices/iot/D3343134IE3B/2/20200706T144833Z/40");
    assert_int_equal(forgery_verify(&f), SEALMQ_E_HASH);
    f.proof.record_text = BYTES_LIT("devices/iot/D3343134IE3B/1/20200706T144833Z/39");
    assert_int_equal(forgery_verify(&f), SEALMQ_E_CONFLICT); /* the state entry is item 2's */
    f.proof.record_text = BYTES_LIT("devices/io/D3343134IE3B/2/20200706T144833Z/39");
    assert_int_equal(forgery_verify(&f), SEALMQ_E_CONFLICT);
    forgery_close(&f);
}

static void a_row_cannot_be_another(void **state)
{
    (void)state;
    struct forgery f;
    forgery_open(&f, "row");
    f.proof.row.value = BYTES_LIT("stopped");
    assert_int_equal(forgery_verify(&f), SEALMQ_E_HASH);
    forgery_close(&f);

    forgery_open(&f, "row");
    f.proof.row_number = 4;
    assert_int_equal(forgery_verify(&f), SEALMQ_E_HASH);
    f.proof.row_number = 3;
    f.proof.report.rows = 6; /* a tree in which the head has as long a path */
    assert_int_equal(forgery_verify(&f), SEALMQ_E_HASH);
    f.proof.report.rows = 5;
    f.proof.report.topic = BYTES_LIT("500001/400001/300002/realTime");
    assert_int_equal(forgery_verify(&f), SEALMQ_E_HASH);
    forgery_close(&f);

    forgery_open(&f, "row");
    f.proof.leaf.node = BYTES_LIT("broker/b");
    assert_int_equal(forgery_verify(&f), SEALMQ_E_HASH);
    f.proof.leaf.node = BYTES_LIT("broker/a");
    f.proof.leaf.n = 200;
    assert_int_equal(forgery_verify(&f), SEALMQ_E_HASH);
    f.proof.leaf.n = 201;
    f.proof.leaf.status = LEAF_PENDING;
    f.proof.leaf.node = BYTES_LIT("");
    assert_int_equal(forgery_verify(&f), SEALMQ_E_CONFLICT);
    forgery_close(&f);
}

static void records_and_rows_hang_under_data_requests_only(void **state)
{
    (void)state;
    struct forgery f, describe;
    forgery_open(&describe, "describe");
    static const char *const names[] = {"record", "row"};
    for (size_t i = 0; i < 2; i++) {
        forgery_open(&f, names[i]);
        f.proof.request = describe.proof.request;
        f.proof.request_index = describe.proof.request_index;
        f.proof.request_path = describe.proof.request_path;
        assert_int_equal(forgery_verify(&f), SEALMQ_E_TYPE);
        forgery_close(&f);
    }
    forgery_close(&describe);
}

/* --- whole proofs under keys of our own --- */

struct world {
    struct sign_key log_key, gateway;
    struct policy *policy;
    struct block_header header;
    struct proof proof;
    struct buf request, header_wire, note, text;
    struct statetree *state;
};

static void world_open(struct world *w)
{
    *w = (struct world){0};
    uint8_t seed[SEED_SIZE] = {1};
    struct buf text = {0};
    sign_key_from_seed(seed, &w->log_key);
    seed[0] = 2;
    sign_key_from_seed(seed, &w->gateway);
    buf_append_cstr(&text, "log ");
    note_vkey_format(BYTES_LIT("sealmq/w"), NOTE_ED25519, &w->log_key.public_key, &text);
    buf_append_cstr(&text, "\nquorum none\n");
    w->policy = parse_policy(buf_bytes(&text));
    buf_close(&text);
    assert_int_equal(statetree_new(&w->state), 0);
    w->header = (struct block_header){
        .network = "w", .height = 0, .requests = 1, .time_us = 5, .proposer = ""};
}

static void world_close(struct world *w)
{
    policy_free(w->policy);
    statetree_free(w->state);
    free(w->proof.state);
    buf_close(&w->request);
    buf_close(&w->header_wire);
    buf_close(&w->note);
    buf_close(&w->text);
}

static void world_take_request(struct world *w)
{
    struct bytes leaf;
    assert_int_equal(request_leaf_of(buf_bytes(&w->request), &leaf), 0);
    assert_int_equal(request_decode_leaf(leaf, &w->proof.request), 0);
}

static void world_request(struct world *w, const struct record *record)
{
    struct request_data data = {.sender = BYTES_LIT("g/1"),
                                .number = 1,
                                .records = record,
                                .record_count = 1,
                                .from = 1,
                                .to = 0};
    buf_reset(&w->request);
    assert_int_equal(request_make_data(&data, &w->gateway, &frozen.genesis, &w->request), 0);
    world_take_request(w);
}

/* Whose state entries a proof of the world carries. */
struct world_state {
    const struct member_value *member; /* or: */
    const struct admins_value *admins;
    const struct record *record; /* the proof is one of it; may be NULL */
    const struct item *item;     /* with `record` */
};

static void world_entry(struct world *w, const char *key, struct bytes value)
{
    w->proof.state[w->proof.state_count].key = bytes_str(key);
    w->proof.state[w->proof.state_count++].value = value;
    assert_int_equal(statetree_set(w->state, bytes_str(key), value), 0);
}

/* Puts header, checkpoint and file around what the proof has, and verifies it. */
static int world_judge(struct world *w)
{
    for (size_t i = 0; i < w->proof.state_count; i++)
        assert_int_equal(statetree_prove(w->state, w->proof.state[i].key, &w->proof.state[i].path),
                         0);
    statetree_root(w->state, &w->header.state_root);
    w->header.requests_root = w->proof.request.hash;
    buf_reset(&w->header_wire);
    header_encode(&w->header, &w->header_wire);
    w->proof.header_wire = buf_bytes(&w->header_wire);

    struct checkpoint checkpoint = {.origin = "sealmq/w", .size = 1};
    struct buf tagged = {0};
    uint8_t id[4];
    struct signature signature;
    hash_leaf(w->proof.header_wire, &checkpoint.root);
    buf_reset(&w->note);
    checkpoint_format(&checkpoint, &w->note);
    sign_raw(&w->log_key, buf_bytes(&w->note), &signature);
    note_key_id(BYTES_LIT("sealmq/w"), NOTE_ED25519, &w->log_key.public_key, id);
    buf_append(&tagged, id, sizeof(id));
    buf_append(&tagged, signature.b, SIGNATURE_SIZE);
    buf_append_cstr(&w->note, "\n\xe2\x80\x94 sealmq/w ");
    base64_append(&w->note, buf_bytes(&tagged));
    buf_append_u8(&w->note, '\n');
    buf_close(&tagged);
    w->proof.note = buf_bytes(&w->note);
    buf_reset(&w->text);
    assert_int_equal(proof_format(&w->proof, &w->text), 0);
    return verify_proof(buf_bytes(&w->text), w->policy, &frozen.genesis, &result);
}

static int world_verify(struct world *w, struct world_state state)
{
    struct buf sender = {0}, item = {0}, record = {0};
    free(w->proof.state);
    w->proof.state = calloc(2, sizeof(*w->proof.state));
    assert_non_null(w->proof.state);
    w->proof.state_count = 0;
    w->proof.kind = PROOF_REQUEST;
    if (state.admins != NULL)
        admins_value_encode(state.admins, &sender);
    else
        member_value_encode(state.member, &sender);
    world_entry(w, state.admins != NULL ? "admins" : "member/g/1", buf_bytes(&sender));
    if (state.record != NULL) {
        w->proof.kind = PROOF_RECORD;
        item_value_encode(state.item, &item);
        world_entry(w, "item/g/1/1", buf_bytes(&item));
        record_format(state.record, &record);
        w->proof.record_text = buf_bytes(&record);
    }
    int error = world_judge(w);
    buf_close(&sender);
    buf_close(&item);
    buf_close(&record);
    return error;
}

static void the_senders_key_must_be_valid_at_the_height(void **state)
{
    (void)state;
    const struct record record = {BYTES_LIT("g/1"), BYTES_LIT("d"), 1, 0, BYTES_LIT("1")};
    struct world w;
    world_open(&w);
    world_request(&w, &record);
    struct member_value member = {.role = MEMBER_GATEWAY,
                                  .status = MEMBER_ACTIVE,
                                  .key_count = 1,
                                  .keys = {{w.gateway.public_key, 0, 0}}};
    assert_int_equal(world_verify(&w, (struct world_state){.member = &member}), 0);
    member.keys[0].from = 1;
    assert_int_equal(world_verify(&w, (struct world_state){.member = &member}), SEALMQ_E_UNKNOWN);
    member.keys[0].from = 0;
    member.status = MEMBER_REVOKED;
    member.revoked_height = 1;
    assert_int_equal(world_verify(&w, (struct world_state){.member = &member}), SEALMQ_E_REVOKED);
    member.status = MEMBER_ACTIVE;
    member.revoked_height = 0;
    member.keys[0].key.b[0] ^= 1;
    assert_int_equal(world_verify(&w, (struct world_state){.member = &member}), SEALMQ_E_SIGNATURE);
    world_close(&w);
}

static void a_record_must_fit_what_its_item_is(void **state)
{
    (void)state;
    const struct record record = {BYTES_LIT("g/1"), BYTES_LIT("d"), 1, 0, BYTES_LIT("1.5")};
    struct item item = {.num = 1,
                        .device = BYTES_LIT("d"),
                        .service = BYTES_LIT("s"),
                        .name = BYTES_LIT("n"),
                        .type = DATATYPE_DOUBLE};
    struct world w;
    world_open(&w);
    world_request(&w, &record);
    struct member_value member = {.role = MEMBER_GATEWAY,
                                  .status = MEMBER_ACTIVE,
                                  .key_count = 1,
                                  .keys = {{w.gateway.public_key, 0, 0}}};
    assert_int_equal(world_verify(&w, (struct world_state){&member, NULL, &record, &item}), 0);
    assert_string_equal(result.value, "1.5");
    item.type = DATATYPE_INT;
    assert_int_equal(world_verify(&w, (struct world_state){&member, NULL, &record, &item}),
                     SEALMQ_E_TYPE);
    item.type = DATATYPE_DOUBLE;
    item.device = BYTES_LIT("e");
    assert_int_equal(world_verify(&w, (struct world_state){&member, NULL, &record, &item}),
                     SEALMQ_E_CONFLICT);
    world_close(&w);
}

static void admins_must_be_enough_and_all_of_them_admins(void **state)
{
    (void)state;
    struct world w;
    struct sign_key admin[3];
    struct admins_value admins = {.threshold = 2, .n = 3};
    world_open(&w);
    for (size_t i = 0; i < 3; i++) {
        uint8_t seed[SEED_SIZE] = {10, (uint8_t)i};
        sign_key_from_seed(seed, &admin[i]);
        (void)snprintf(admins.admins[i].id, sizeof(admins.admins[i].id), "admin/%zu", i);
        admins.admins[i].key = admin[i].public_key;
    }
    struct world_state entries = {.admins = &admins};
    assert_int_equal(request_make_register(BYTES_LIT("admin/1"), 1, BYTES_LIT("g/2"),
                                           MEMBER_GATEWAY, &w.gateway.public_key, &admin[1],
                                           &frozen.genesis, &w.request),
                     0);
    world_take_request(&w);
    assert_int_equal(world_verify(&w, entries), SEALMQ_E_DENIED);
    admins.threshold = 1;
    assert_int_equal(world_verify(&w, entries), 0);
    assert_string_equal(result.sender, "admin/1");
    admins.threshold = 2;

    struct buf cosigned = {0};
    assert_int_equal(request_cosign(buf_bytes(&w.request), BYTES_LIT("admin/0"), &admin[0],
                                    &frozen.genesis, &cosigned),
                     0);
    buf_close(&w.request);
    w.request = cosigned;
    world_take_request(&w);
    assert_int_equal(world_verify(&w, entries), 0);
    admins.admins[0].key = w.gateway.public_key; /* not the key that signed */
    assert_int_equal(world_verify(&w, entries), SEALMQ_E_SIGNATURE);
    admins.admins[0].key = admin[0].public_key;
    strcpy(admins.admins[0].id, "admin/00"); /* one who signed is no admin */
    assert_int_equal(world_verify(&w, entries), SEALMQ_E_UNKNOWN);
    world_close(&w);
}

static void the_block_must_be_of_the_checkpoints_network(void **state)
{
    (void)state;
    const struct record record = {BYTES_LIT("g/1"), BYTES_LIT("d"), 1, 0, BYTES_LIT("1")};
    struct world w;
    world_open(&w);
    world_request(&w, &record);
    struct member_value member = {.role = MEMBER_GATEWAY,
                                  .status = MEMBER_ACTIVE,
                                  .key_count = 1,
                                  .keys = {{w.gateway.public_key, 0, 0}}};
    strcpy(w.header.network, "v");
    assert_int_equal(world_verify(&w, (struct world_state){.member = &member}), SEALMQ_E_NETWORK);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_proof_needs_its_state_entries_and_no_others),
        cmocka_unit_test(a_path_belongs_to_one_place),
        cmocka_unit_test(a_record_cannot_be_another),
        cmocka_unit_test(a_row_cannot_be_another),
        cmocka_unit_test(records_and_rows_hang_under_data_requests_only),
        cmocka_unit_test(the_senders_key_must_be_valid_at_the_height),
        cmocka_unit_test(a_record_must_fit_what_its_item_is),
        cmocka_unit_test(admins_must_be_enough_and_all_of_them_admins),
        cmocka_unit_test(the_block_must_be_of_the_checkpoints_network),
    };
    return cmocka_run_group_tests(tests, frozen_setup, frozen_teardown);
}
