#include "unit/ledger/network.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

static struct network network;
static struct sign_key fresh[4]; /* of nobody */

struct fixture {
    struct chain *chain;
    struct batch batch;
    uint64_t number; /* of admin/a's next request */
};

static int setup(void **state)
{
    (void)state;
    network_make(&network, 4, 2);
    for (unsigned i = 0; i < 4; i++)
        network_key(70, i, &fresh[i]);
    return 0;
}

static int make_chain(void **state)
{
    static struct fixture fixture;
    fixture = (struct fixture){.chain = network_chain(&network), .number = 2};
    *state = &fixture;
    return 0;
}

static int free_chain(void **state)
{
    struct fixture *f = *state;
    batch_close(&f->batch);
    chain_free(f->chain);
    return 0;
}

/* The chain's word on the last request of the batch, which is then forgotten. */
static int ask(struct fixture *f)
{
    struct request request = batch_last(&f->batch);
    int error = chain_check_request(f->chain, &request);
    buf_close(&f->batch.wires[--f->batch.n]);
    return error;
}

static int ask_signatures(struct fixture *f)
{
    struct request request = batch_last(&f->batch);
    int error = chain_check_signatures(f->chain, &request);
    buf_close(&f->batch.wires[--f->batch.n]);
    return error;
}

static void append(struct fixture *f)
{
    for (size_t i = 0; i < f->batch.n; i++) {
        struct request request;
        assert_int_equal(request_decode(buf_bytes(&f->batch.wires[i]), &request), 0);
        assert_int_equal(chain_check_signatures(f->chain, &request), 0);
    }
    assert_int_equal(append_batch(f->chain, &f->batch), 0);
}

static void join(struct fixture *f, const char *id, const struct sign_key *key)
{
    add_join(&f->batch, &network, f->chain, f->number++, id, key);
}

static void revoke(struct fixture *f, const char *id)
{
    add_revoke(&f->batch, &network, f->number++, id);
}

static void promote_gateways(struct fixture *f, unsigned n)
{
    static const char *const ids[] = {"broker/100", "broker/101", "broker/102"};
    for (unsigned i = 0; i < n; i++) {
        join(f, ids[i], &fresh[i]);
        append(f);
    }
}

/* --- the set --- */

static void a_validator_joins_and_leaves_with_the_next_block(void **state)
{
    struct fixture *f = *state;
    struct hash four = *chain_validators_hash(f->chain);
    assert_int_equal(chain_validators_height(f->chain), 1);
    join(f, "broker/0021", &fresh[0]); /* in the middle, in the order of ids */
    append(f);

    const struct block_header *tip = chain_tip(f->chain);
    const struct validator_set *set = chain_validators(f->chain);
    assert_true(hash_equal(&tip->validators, &four));
    assert_true(hash_equal(&tip->next_validators, chain_validators_hash(f->chain)));
    assert_false(hash_equal(&four, chain_validators_hash(f->chain)));
    assert_int_equal(chain_validators_height(f->chain), 3);
    assert_int_equal(set->n, 5);
    struct validator expected = network_validator("broker/0021", &fresh[0]);
    assert_true(validators_equal(&set->v[3], &expected));
    assert_string_equal(set->v[4].id, "broker/003");
    struct hash computed;
    validator_set_hash(set, &computed);
    assert_true(hash_equal(&computed, chain_validators_hash(f->chain)));

    struct member member;
    assert_int_equal(chain_member(f->chain, BYTES_LIT("broker/0021"), &member), 0);
    assert_int_equal(member.role, MEMBER_VALIDATOR);
    assert_int_equal(member.since_height, 3);

    /* What the state says is what decides. */
    struct buf value = {0};
    struct statetree_path path;
    struct validator_set decoded;
    assert_int_equal(chain_prove_state(f->chain, STATE_KEY_VALIDATORS, &value, &path), 0);
    assert_int_equal(validator_set_decode(buf_bytes(&value), &decoded), 0);
    validator_set_hash(&decoded, &computed);
    assert_true(hash_equal(&computed, chain_validators_hash(f->chain)));
    struct hash root;
    chain_state_root(f->chain, &root);
    assert_int_equal(statetree_verify(STATE_KEY_VALIDATORS, buf_bytes(&value), &path, &root), 0);
    buf_close(&value);

    revoke(f, "broker/000");
    append(f);
    assert_int_equal(chain_validators(f->chain)->n, 4);
    assert_string_equal(chain_validators(f->chain)->v[0].id, "broker/001");
    assert_int_equal(chain_member(f->chain, BYTES_LIT("broker/000"), &member), 0);
    assert_int_equal(member.status, MEMBER_REVOKED);
    assert_int_equal(chain_validators_height(f->chain), 4);
}

static void the_primary_of_a_block_is_one_of_its_own_set(void **state)
{
    struct fixture *f = *state;
    promote_gateways(f, 1);
    struct buf wire = {0};
    make_block(f->chain, &f->batch, &wire);
    struct block block;
    assert_int_equal(block_decode(buf_bytes(&wire), &block), 0);
    assert_int_equal(block.header.view, 3);
    assert_string_equal(block.header.proposer, "broker/003"); /* of five; of four it is too */
    assert_int_equal(chain_append(f->chain, &block), 0);
    buf_reset(&wire);
    make_block(f->chain, &f->batch, &wire);
    assert_int_equal(block_decode(buf_bytes(&wire), &block), 0);
    assert_string_equal(block.header.proposer, "broker/100");
    assert_int_equal(chain_append(f->chain, &block), 0);
    buf_close(&wire);
}

static void a_header_that_names_another_next_set_is_refused(void **state)
{
    struct fixture *f = *state;
    join(f, "broker/100", &fresh[0]);
    struct buf wire = {0}, wrong = {0};
    make_block(f->chain, &f->batch, &wire);
    struct block block;
    assert_int_equal(block_decode(buf_bytes(&wire), &block), 0);
    block.header.next_validators = block.header.validators;
    struct bytes request = buf_bytes(&f->batch.wires[0]);
    assert_int_equal(block_encode(&block.header, &request, 1, &wrong), 0);
    assert_int_equal(block_decode(buf_bytes(&wrong), &block), 0);
    assert_int_equal(chain_check_block(f->chain, &block, 0, -1), SEALMQ_E_HASH);
    assert_int_equal(chain_append(f->chain, &block), SEALMQ_E_HASH);
    assert_int_equal(block_decode(buf_bytes(&wire), &block), 0);
    assert_int_equal(chain_check_block(f->chain, &block, 0, -1), 0);
    assert_int_equal(chain_validators(f->chain)->n, 4); /* only asked */
    assert_int_equal(chain_append(f->chain, &block), 0);
    buf_close(&wire);
    buf_close(&wrong);
}

static void one_validator_a_block(void **state)
{
    struct fixture *f = *state;
    promote_gateways(f, 1);
    join(f, "broker/101", &fresh[1]);
    revoke(f, "broker/100");
    assert_int_equal(append_batch(f->chain, &f->batch), SEALMQ_E_AGAIN);
    f->number -= 2;
    join(f, "broker/101", &fresh[1]);
    join(f, "broker/102", &fresh[2]);
    assert_int_equal(append_batch(f->chain, &f->batch), SEALMQ_E_AGAIN);
    f->number -= 2;
    join(f, "broker/101", &fresh[1]);
    add_rotate(&f->batch, &network, 1, "broker/001", MEMBER_VALIDATOR, &fresh[2],
               &network.validators[1]);
    assert_int_equal(append_batch(f->chain, &f->batch), SEALMQ_E_AGAIN);
    assert_int_equal(chain_validators(f->chain)->n, 5);
    /* What failed has left nothing behind. */
    f->number--;
    join(f, "broker/101", &fresh[1]);
    append(f);
    assert_int_equal(chain_validators(f->chain)->n, 6);
}

static void a_set_does_not_shrink_below_four(void **state)
{
    struct fixture *f = *state;
    revoke(f, "broker/000");
    assert_int_equal(ask(f), SEALMQ_E_COUNT);
    add_demote(&f->batch, &network, f->number, "broker/000", &network.validators[0]);
    assert_int_equal(ask(f), SEALMQ_E_COUNT);
    promote_gateways(f, 1);
    revoke(f, "broker/000");
    append(f);
    revoke(f, "broker/001");
    assert_int_equal(ask(f), SEALMQ_E_COUNT);
}

static void a_set_is_bounded(void **state)
{
    (void)state;
    static struct network large;
    network_make(&large, VALIDATORS_MAX, 1);
    struct fixture f = {.chain = network_chain(&large)};
    add_join(&f.batch, &large, f.chain, 2, "broker/new", &fresh[0]);
    assert_int_equal(ask(&f), SEALMQ_E_FULL);
    add_revoke(&f.batch, &large, 2, "broker/000");
    assert_int_equal(append_batch(f.chain, &f.batch), 0);
    add_join(&f.batch, &large, f.chain, 3, "broker/new", &fresh[0]);
    assert_int_equal(append_batch(f.chain, &f.batch), 0);
    assert_int_equal(chain_validators(f.chain)->n, VALIDATORS_MAX);
    chain_free(f.chain);
}

/* --- joining --- */

static int ask_join(struct fixture *f, const struct validator *validator, uint64_t height,
                    const struct hash *leaf, const struct sign_key *key)
{
    struct buf body = {0};
    assert_int_equal(request_make_join(validator, height, leaf, key, &network.genesis.hash, &body),
                     0);
    assert_int_equal(request_make_register_validator(BYTES_LIT("admin/a"), f->number,
                                                     buf_bytes(&body), &network.admins[0],
                                                     &network.genesis.hash, batch_add(&f->batch)),
                     0);
    buf_close(&body);
    return ask(f);
}

static void a_joiner_has_seen_a_recent_header(void **state)
{
    struct fixture *f = *state;
    struct validator validator = network_validator("broker/100", &fresh[0]);
    struct hash leaf, other;
    merkle_log_leaf(chain_log(f->chain), 1, &leaf);
    merkle_log_leaf(chain_log(f->chain), 0, &other);
    assert_int_equal(ask_join(f, &validator, 1, &leaf, &fresh[0]), 0);
    assert_int_equal(ask_join(f, &validator, 0, &other, &fresh[0]), 0);
    assert_int_equal(ask_join(f, &validator, 1, &other, &fresh[0]), SEALMQ_E_CONFLICT);
    assert_int_equal(ask_join(f, &validator, 2, &leaf, &fresh[0]), SEALMQ_E_AGAIN);
    assert_int_equal(ask_join(f, &validator, SEQUENCE_MAX, &leaf, &fresh[0]), SEALMQ_E_AGAIN);
    while (chain_height(f->chain) < JOIN_BLOCKS)
        append(f);
    assert_int_equal(ask_join(f, &validator, 1, &leaf, &fresh[0]), 0);
    assert_int_equal(ask_join(f, &validator, 0, &other, &fresh[0]), SEALMQ_E_STALE);
    append(f);
    assert_int_equal(ask_join(f, &validator, 1, &leaf, &fresh[0]), SEALMQ_E_STALE);
}

/* Damages the proof that ends the head, and signs the head again as admins would. */
static void spoil_proof(struct fixture *f)
{
    struct buf *wire = &f->batch.wires[f->batch.n - 1];
    struct request request = batch_last(&f->batch);
    uint8_t *head = wire->p + (request.head.p - wire->p);
    head[request.head.n - 1] ^= 1;
    struct buf again = {0};
    struct bytes list = request.signatures, signer;
    struct signature signature;
    buf_append_str32(&again, request.head);
    buf_append_u8(&again, request.signature_count);
    while (request_signatures_next(&list, &signer, &signature)) {
        const struct sign_key *key = NULL;
        for (size_t i = 0; i < 3; i++)
            if (bytes_equal(bytes_str(network.genesis.admins[i].id), signer))
                key = &network.admins[i];
        if (key == NULL)
            key =
                bytes_equal(signer, BYTES_LIT(GATEWAY)) ? &network.gateway : &network.validators[1];
        sign_message(key, REQUEST_LABEL, &network.genesis.hash, request.head, &signature);
        buf_append_str8(&again, signer);
        buf_append(&again, signature.b, SIGNATURE_SIZE);
    }
    buf_close(wire);
    *wire = again;
}

static void the_new_key_must_have_signed_itself(void **state)
{
    struct fixture *f = *state;
    join(f, "broker/100", &fresh[0]);
    assert_int_equal(ask_signatures(f), 0);
    join(f, "broker/100", &fresh[0]);
    spoil_proof(f);
    assert_int_equal(ask_signatures(f), SEALMQ_E_SIGNATURE);
    add_rotate(&f->batch, &network, 1, GATEWAY, MEMBER_GATEWAY, &fresh[0], &network.gateway);
    assert_int_equal(ask_signatures(f), 0);
    add_rotate(&f->batch, &network, 1, GATEWAY, MEMBER_GATEWAY, &fresh[0], &network.gateway);
    spoil_proof(f);
    assert_int_equal(ask_signatures(f), SEALMQ_E_SIGNATURE);
    add_rotate(&f->batch, &network, 1, "broker/001", MEMBER_VALIDATOR, &fresh[0],
               &network.validators[1]);
    spoil_proof(f);
    assert_int_equal(ask_signatures(f), SEALMQ_E_SIGNATURE);
}

static void validators_bring_keys_that_nobody_ever_had(void **state)
{
    struct fixture *f = *state;
    struct hash leaf;
    merkle_log_leaf(chain_log(f->chain), 1, &leaf);
    struct validator good = network_validator("broker/100", &fresh[0]);
    struct sign_key log, cosigner;
    sign_key_derive(&network.validators[2], LOG_KEY_PURPOSE, &log);
    sign_key_derive(&network.validators[2], COSIGNER_KEY_PURPOSE, &cosigner);
    const struct public_key taken[] = {network.gateway.public_key, network.validators[1].public_key,
                                       network.admins[2].public_key, log.public_key,
                                       cosigner.public_key};
    for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
        struct validator bad = good;
        bad.log_key = taken[i];
        assert_int_equal(ask_join(f, &bad, 1, &leaf, &fresh[0]), SEALMQ_E_CONFLICT);
        bad = good;
        bad.cosigner_key = taken[i];
        assert_int_equal(ask_join(f, &bad, 1, &leaf, &fresh[0]), SEALMQ_E_CONFLICT);
    }
    struct validator bad = network_validator("broker/100", &network.gateway);
    assert_int_equal(ask_join(f, &bad, 1, &leaf, &network.gateway), SEALMQ_E_CONFLICT);
    /* Those of one who has left stay his for ever. */
    promote_gateways(f, 1);
    revoke(f, "broker/100");
    append(f);
    merkle_log_leaf(chain_log(f->chain), 1, &leaf);
    bad = network_validator("broker/101", &fresh[1]);
    bad.log_key = good.log_key;
    assert_int_equal(ask_join(f, &bad, 1, &leaf, &fresh[1]), SEALMQ_E_CONFLICT);
    bad = network_validator("broker/100", &fresh[1]);
    assert_int_equal(ask_join(f, &bad, 1, &leaf, &fresh[1]), 0);
    bad.cosigner_key = good.cosigner_key;
    assert_int_equal(ask_join(f, &bad, 1, &leaf, &fresh[1]), SEALMQ_E_CONFLICT);
    assert_int_equal(ask_join(f, &good, 1, &leaf, &fresh[0]), SEALMQ_E_CONFLICT);
}

static void a_member_becomes_a_validator_and_a_member_again(void **state)
{
    struct fixture *f = *state;
    join(f, GATEWAY, &network.other);
    assert_int_equal(ask(f), SEALMQ_E_CONFLICT); /* it has another key */
    f->number--;
    for (int round = 0; round < 2; round++) {
        add_demote(&f->batch, &network, f->number, GATEWAY, &network.gateway);
        assert_int_equal(ask(f), SEALMQ_E_EXISTS);
        join(f, GATEWAY, &network.gateway);
        append(f);
        assert_int_equal(chain_validators(f->chain)->n, 5);
        join(f, GATEWAY, &network.gateway);
        assert_int_equal(ask(f), SEALMQ_E_EXISTS);
        f->number--;
        add_demote(&f->batch, &network, f->number, GATEWAY, &network.other);
        assert_int_equal(ask(f), SEALMQ_E_CONFLICT);
        add_demote(&f->batch, &network, f->number++, GATEWAY, &network.gateway);
        append(f);
        assert_int_equal(chain_validators(f->chain)->n, 4);
    }
    struct member member;
    assert_int_equal(chain_member(f->chain, BYTES_LIT(GATEWAY), &member), 0);
    assert_int_equal(member.role, MEMBER_GATEWAY);
    assert_int_equal(member.status, MEMBER_ACTIVE);
    assert_int_equal(member.since_height, 2); /* one key all the time */
    add_interval(&f->batch, &network, 1, 1, 2);
    append(f);
}

static void a_member_changes_once_in_a_block(void **state)
{
    struct fixture *f = *state;
    promote_gateways(f, 1);
    add_demote(&f->batch, &network, f->number++, "broker/100", &fresh[0]);
    revoke(f, "broker/100");
    assert_int_equal(append_batch(f->chain, &f->batch), SEALMQ_E_AGAIN);
    f->number -= 2;
    add_rotate(&f->batch, &network, 1, GATEWAY, MEMBER_GATEWAY, &fresh[1], &network.gateway);
    revoke(f, GATEWAY);
    assert_int_equal(append_batch(f->chain, &f->batch), SEALMQ_E_AGAIN);
    f->number--;
    add_rotate(&f->batch, &network, 1, GATEWAY, MEMBER_GATEWAY, &fresh[1], &network.gateway);
    add_rotate(&f->batch, &network, 2, GATEWAY, MEMBER_GATEWAY, &fresh[2], &network.gateway);
    assert_int_equal(append_batch(f->chain, &f->batch), SEALMQ_E_AGAIN);
}

/* --- rotation --- */

static void a_key_is_exchanged_with_the_next_block(void **state)
{
    struct fixture *f = *state;
    add_rotate(&f->batch, &network, 1, GATEWAY, MEMBER_GATEWAY, &fresh[0], &network.gateway);
    add_interval(&f->batch, &network, 2, 1, 2); /* by the old key, in the same block */
    append(f);
    add_interval(&f->batch, &network, 3, 3, 4);
    assert_int_equal(ask_signatures(f), SEALMQ_E_SIGNATURE);
    struct sign_key old = network.gateway;
    network.gateway = fresh[0];
    add_interval(&f->batch, &network, 3, 3, 4);
    append(f);
    network.gateway = old;

    struct buf value = {0};
    struct statetree_path path;
    struct member_value member;
    assert_int_equal(chain_prove_state(f->chain, BYTES_LIT("member/" GATEWAY), &value, &path), 0);
    assert_int_equal(member_value_decode(buf_bytes(&value), &member), 0);
    assert_int_equal(member.key_count, 2);
    assert_int_equal(member.keys[0].from, 2);
    assert_int_equal(member.keys[0].until, 3);
    assert_int_equal(member.keys[1].from, 3);
    assert_int_equal(member.keys[1].until, 0);
    buf_close(&value);
}

static void admins_exchange_a_key_that_was_lost(void **state)
{
    struct fixture *f = *state;
    struct buf alone = {0};
    assert_int_equal(request_make_rotate(BYTES_LIT("admin/a"), f->number, BYTES_LIT(GATEWAY), NULL,
                                         &fresh[0], &network.admins[0], &network.genesis.hash,
                                         &alone),
                     0);
    buf_append_bytes(batch_add(&f->batch), buf_bytes(&alone));
    assert_int_equal(ask_signatures(f), SEALMQ_E_DENIED);
    assert_int_equal(request_cosign(buf_bytes(&alone), BYTES_LIT("admin/c"), &network.admins[2],
                                    &network.genesis.hash, batch_add(&f->batch)),
                     0);
    append(f);
    struct member member;
    assert_int_equal(chain_member(f->chain, BYTES_LIT(GATEWAY), &member), 0);
    assert_memory_equal(&member.key, &fresh[0].public_key, sizeof(member.key));
    buf_close(&alone);
}

static void a_validators_key_is_exchanged_in_the_set(void **state)
{
    struct fixture *f = *state;
    struct hash before = *chain_validators_hash(f->chain);
    add_rotate(&f->batch, &network, 1, "broker/001", MEMBER_VALIDATOR, &fresh[0],
               &network.validators[1]);
    append(f);
    const struct validator_set *set = chain_validators(f->chain);
    assert_int_equal(set->n, 4);
    struct validator expected = network_validator("broker/001", &fresh[0]);
    assert_true(validators_equal(&set->v[1], &expected));
    assert_false(hash_equal(&before, chain_validators_hash(f->chain)));
    add_rotate(&f->batch, &network, 2, "broker/001", MEMBER_VALIDATOR, &network.validators[1],
               &fresh[0]);
    assert_int_equal(ask(f), SEALMQ_E_CONFLICT); /* a key never returns */
}

static void keys_are_exchanged_by_their_owners(void **state)
{
    struct fixture *f = *state;
    struct hash genesis = network.genesis.hash;
    static const struct {
        const char *sender, *id;
        bool as_validator;
        int error;
    } cases[] = {{GATEWAY, "broker/001", true, SEALMQ_E_DENIED},
                 {"broker/001", GATEWAY, false, SEALMQ_E_DENIED},
                 {GATEWAY, GATEWAY, true, SEALMQ_E_CONFLICT},
                 {"broker/001", "broker/001", false, SEALMQ_E_CONFLICT},
                 {"admin/a", "devices/none", false, SEALMQ_E_UNKNOWN},
                 {"admin/z", GATEWAY, false, SEALMQ_E_UNKNOWN},
                 {"devices/none", "devices/none", false, SEALMQ_E_UNKNOWN},
                 {GATEWAY, GATEWAY, false, 0},
                 {"broker/001", "broker/001", true, 0}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct validator validator = network_validator(cases[i].id, &fresh[0]);
        assert_int_equal(request_make_rotate(bytes_str(cases[i].sender), 9, bytes_str(cases[i].id),
                                             cases[i].as_validator ? &validator : NULL, &fresh[0],
                                             &network.other, &genesis, batch_add(&f->batch)),
                         0);
        assert_int_equal(ask(f), cases[i].error);
    }
    add_rotate(&f->batch, &network, 9, GATEWAY, MEMBER_GATEWAY, &network.validators[2],
               &network.gateway);
    assert_int_equal(ask(f), SEALMQ_E_CONFLICT);
    revoke(f, GATEWAY);
    append(f);
    add_rotate(&f->batch, &network, 9, GATEWAY, MEMBER_GATEWAY, &fresh[0], &network.gateway);
    assert_int_equal(ask(f), SEALMQ_E_REVOKED);
}

static void keys_of_a_member_are_bounded_when_exchanged(void **state)
{
    struct fixture *f = *state;
    struct sign_key key = network.gateway, next;
    for (unsigned i = 1; i < MEMBER_KEYS_MAX; i++) {
        network_key(71, i, &next);
        add_rotate(&f->batch, &network, i, GATEWAY, MEMBER_GATEWAY, &next, &key);
        append(f);
        key = next;
    }
    add_rotate(&f->batch, &network, MEMBER_KEYS_MAX, GATEWAY, MEMBER_GATEWAY, &fresh[0], &key);
    assert_int_equal(ask(f), SEALMQ_E_FULL);
}

/* --- configuration --- */

static void parameters_hold_from_the_next_block_on(void **state)
{
    struct fixture *f = *state;
    struct genesis_parameters parameters = {.difficulty = 0, .anchor_interval_ms = 5000};
    struct buf value = {0};
    genesis_parameters_encode(&parameters, &value);
    add_configure(&f->batch, &network, f->number++, CONFIGURE_PARAMETERS, buf_bytes(&value));
    append(f);
    assert_int_equal(chain_parameters(f->chain)->anchor_interval_ms, 5000);
    add_configure(&f->batch, &network, f->number, CONFIGURE_PARAMETERS, buf_bytes(&value));
    assert_int_equal(ask(f), SEALMQ_E_EXISTS);

    struct buf entry = {0};
    struct statetree_path path;
    assert_int_equal(chain_prove_state(f->chain, STATE_KEY_PARAMETERS, &entry, &path), 0);
    assert_true(bytes_equal(buf_bytes(&entry), buf_bytes(&value)));
    buf_close(&entry);

    parameters.difficulty = 3;
    buf_reset(&value);
    genesis_parameters_encode(&parameters, &value);
    add_configure(&f->batch, &network, f->number++, CONFIGURE_PARAMETERS, buf_bytes(&value));
    append(f); /* needs no work yet itself */
    struct block_header header;
    chain_next_header(f->chain, &header);
    assert_int_equal(header.difficulty, 3);

    /* Twice in a block is once too often. */
    parameters.difficulty = 0;
    buf_reset(&value);
    genesis_parameters_encode(&parameters, &value);
    add_configure(&f->batch, &network, f->number, CONFIGURE_PARAMETERS, buf_bytes(&value));
    struct request one = batch_last(&f->batch);
    chain_begin(f->chain);
    assert_int_equal(chain_execute(f->chain, &one), 0);
    parameters.difficulty = 1;
    buf_reset(&value);
    genesis_parameters_encode(&parameters, &value);
    add_configure(&f->batch, &network, f->number + 1, CONFIGURE_PARAMETERS, buf_bytes(&value));
    struct request two = batch_last(&f->batch);
    assert_int_equal(chain_execute(f->chain, &two), SEALMQ_E_AGAIN);
    chain_rollback(f->chain);
    assert_int_equal(chain_check_request(f->chain, &two), 0);
    assert_int_equal(chain_parameters(f->chain)->difficulty, 3);
    buf_close(&value);
}

static void configure_admins(struct fixture *f, const struct admins_value *admins)
{
    struct buf value = {0};
    admins_value_encode(admins, &value);
    add_configure(&f->batch, &network, f->number, CONFIGURE_ADMINS, buf_bytes(&value));
    buf_close(&value);
}

static void admins_hold_from_the_next_block_on(void **state)
{
    struct fixture *f = *state;
    struct admins_value admins = *chain_admins(f->chain);
    configure_admins(f, &admins);
    assert_int_equal(ask(f), SEALMQ_E_EXISTS);

    /* admin/a and admin/b go, admin/d comes, one signature is enough. */
    admins.threshold = 1;
    admins.n = 2;
    admins.admins[0] = admins.admins[2];
    snprintf(admins.admins[1].id, sizeof(admins.admins[1].id), "admin/d");
    admins.admins[1].key = fresh[0].public_key;
    configure_admins(f, &admins);
    f->number++;
    revoke(f, GATEWAY); /* still by admin/a, in the same block */
    append(f);
    assert_int_equal(chain_admins_height(f->chain), chain_height(f->chain));

    add_register(&f->batch, &network, f->number, "devices/new", &network.other);
    struct request request = batch_last(&f->batch);
    assert_int_equal(chain_check_request(f->chain, &request), SEALMQ_E_UNKNOWN);
    assert_int_equal(ask_signatures(f), SEALMQ_E_UNKNOWN);
    assert_int_equal(request_make_register(BYTES_LIT("admin/d"), 1, BYTES_LIT("devices/new"),
                                           MEMBER_GATEWAY, &network.other.public_key, &fresh[0],
                                           &network.genesis.hash, batch_add(&f->batch)),
                     0);
    append(f);
}

static void admins_bring_keys_that_nobody_ever_had(void **state)
{
    struct fixture *f = *state;
    const struct public_key taken[] = {network.gateway.public_key, network.validators[0].public_key,
                                       chain_validators(f->chain)->v[1].log_key,
                                       network.admins[1].public_key};
    for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
        struct admins_value admins = *chain_admins(f->chain);
        admins.n = i == 3 ? 1 : 3; /* an admin's key under another admin's id */
        admins.threshold = 1;
        admins.admins[i == 3 ? 0 : 2].key = taken[i];
        configure_admins(f, &admins);
        assert_int_equal(ask(f), SEALMQ_E_CONFLICT);
    }
    struct admins_value admins = *chain_admins(f->chain);
    struct public_key old = admins.admins[2].key;
    admins.admins[2].key = fresh[0].public_key;
    configure_admins(f, &admins);
    f->number++;
    append(f);
    admins.admins[2].key = old;
    configure_admins(f, &admins);
    assert_int_equal(ask(f), SEALMQ_E_CONFLICT);
    add_register(&f->batch, &network, f->number, "devices/new", &fresh[0]);
    assert_int_equal(ask(f), SEALMQ_E_CONFLICT);
}

/* --- the state tree --- */

static void keys_that_are_no_members_have_entries(void **state)
{
    struct fixture *f = *state;
    promote_gateways(f, 1);
    revoke(f, "broker/100");
    append(f);
    struct validator left = network_validator("broker/100", &fresh[0]);
    const struct {
        const struct public_key *key;
        enum key_use use;
        const char *id;
    } cases[] = {{&left.log_key, KEY_OF_LOG, "broker/100"},
                 {&left.cosigner_key, KEY_OF_COSIGNER, "broker/100"},
                 {&network.genesis.validators.v[2].log_key, KEY_OF_LOG, "broker/002"},
                 {&network.admins[1].public_key, KEY_OF_ADMIN, "admin/b"}};
    struct hash root;
    chain_state_root(f->chain, &root);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf key = {0}, value = {0};
        struct statetree_path path;
        state_key_key(cases[i].key, &key);
        assert_int_equal(chain_prove_state(f->chain, buf_bytes(&key), &value, &path), 0);
        assert_int_equal(statetree_verify(buf_bytes(&key), buf_bytes(&value), &path, &root), 0);
        enum key_use use;
        struct bytes id;
        assert_int_equal(key_value_decode(buf_bytes(&value), &use, &id), 0);
        assert_int_equal(use, cases[i].use);
        assert_true(bytes_equal(id, bytes_str(cases[i].id)));
        buf_close(&key);
        buf_close(&value);
    }
    struct buf key = {0}, value = {0};
    struct statetree_path path;
    state_key_key(&network.gateway.public_key, &key);
    assert_int_equal(chain_prove_state(f->chain, buf_bytes(&key), &value, &path),
                     SEALMQ_E_NOTFOUND);
    buf_close(&key);
    buf_close(&value);
}

#define IN_A_CHAIN(test) cmocka_unit_test_setup_teardown(test, make_chain, free_chain)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_CHAIN(a_validator_joins_and_leaves_with_the_next_block),
        IN_A_CHAIN(the_primary_of_a_block_is_one_of_its_own_set),
        IN_A_CHAIN(a_header_that_names_another_next_set_is_refused),
        IN_A_CHAIN(one_validator_a_block),
        IN_A_CHAIN(a_set_does_not_shrink_below_four),
        IN_A_CHAIN(a_set_is_bounded),
        IN_A_CHAIN(a_joiner_has_seen_a_recent_header),
        IN_A_CHAIN(the_new_key_must_have_signed_itself),
        IN_A_CHAIN(validators_bring_keys_that_nobody_ever_had),
        IN_A_CHAIN(a_member_becomes_a_validator_and_a_member_again),
        IN_A_CHAIN(a_member_changes_once_in_a_block),
        IN_A_CHAIN(a_key_is_exchanged_with_the_next_block),
        IN_A_CHAIN(admins_exchange_a_key_that_was_lost),
        IN_A_CHAIN(a_validators_key_is_exchanged_in_the_set),
        IN_A_CHAIN(keys_are_exchanged_by_their_owners),
        IN_A_CHAIN(keys_of_a_member_are_bounded_when_exchanged),
        IN_A_CHAIN(parameters_hold_from_the_next_block_on),
        IN_A_CHAIN(admins_hold_from_the_next_block_on),
        IN_A_CHAIN(admins_bring_keys_that_nobody_ever_had),
        IN_A_CHAIN(keys_that_are_no_members_have_entries),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
