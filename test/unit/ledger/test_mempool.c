#include "unit/ledger/network.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ledger/mempool.h"

#include <stdio.h>
#include <stdlib.h>

#define GATEWAYS 8

static struct network network;

struct fixture {
    struct chain *chain;
    struct mempool *pool;
    struct batch batch;
    struct sign_key keys[GATEWAYS]; /* of "devices/g0" and up */
};

static int setup(void **state)
{
    (void)state;
    network_make(&network, 4, 1);
    return 0;
}

static void gateway_id(unsigned i, char out[ID_MAX + 1])
{
    snprintf(out, ID_MAX + 1, "devices/g%u", i);
}

static int make(void **state)
{
    static struct fixture f;
    f = (struct fixture){.chain = network_chain(&network)};
    for (unsigned i = 0; i < GATEWAYS; i++) {
        char id[ID_MAX + 1];
        gateway_id(i, id);
        network_key(40, i, &f.keys[i]);
        add_register(&f.batch, &network, 2 + i, id, &f.keys[i]);
    }
    *state = &f;
    return append_batch(f.chain, &f.batch) != 0 || mempool_new(&f.pool) != 0;
}

static int close_all(void **state)
{
    struct fixture *f = *state;
    batch_close(&f->batch);
    mempool_free(f->pool);
    chain_free(f->chain);
    return 0;
}

static int add(struct fixture *f, uint64_t now_ms)
{
    return mempool_add(f->pool, f->chain, buf_bytes(&f->batch.wires[f->batch.n - 1]), now_ms);
}

/* An interval of one number, by gateway `i`; number and capture number are the same. */
static int add_from(struct fixture *f, unsigned i, uint64_t number, uint64_t now_ms)
{
    char id[ID_MAX + 1];
    gateway_id(i, id);
    struct interval_leaf leaf = leaf_of(number, LEAF_ACKNOWLEDGED);
    struct request_data data = {.sender = bytes_str(id),
                                .number = number,
                                .from = number,
                                .to = number,
                                .leaves = &leaf,
                                .leaf_count = 1};
    struct buf wire = {0};
    assert_int_equal(request_make_data(&data, &f->keys[i], &network.genesis.hash, &wire), 0);
    int error = mempool_add(f->pool, f->chain, buf_bytes(&wire), now_ms);
    buf_close(&wire);
    return error;
}

struct choice {
    struct bytes wires[256];
    size_t n;
};

static void choose(struct fixture *f, size_t max_bytes, size_t max_count, struct choice *out)
{
    assert_true(max_count <= 256);
    assert_int_equal(mempool_select(f->pool, f->chain, max_bytes, max_count, out->wires, &out->n),
                     0);
    /* Whatever was chosen makes a block that the chain takes. */
    struct block_header header;
    chain_next_header(f->chain, &header);
    header.time_us = chain_tip(f->chain)->time_us + 1;
    memcpy(header.proposer, "broker/000", sizeof("broker/000"));
    struct buf wire = {0};
    struct block block;
    assert_int_equal(block_encode(&header, out->wires, out->n, &wire), 0);
    assert_int_equal(block_decode(buf_bytes(&wire), &block), 0);
    assert_int_equal(chain_check_block(f->chain, &block, 0, -1), 0);
    buf_close(&wire);
}

/* Appends what was chosen as a block, and prunes. */
static void append_choice(struct fixture *f, const struct choice *choice)
{
    struct batch batch = {0};
    for (size_t i = 0; i < choice->n; i++)
        buf_append_bytes(batch_add(&batch), choice->wires[i]);
    assert_int_equal(append_batch(f->chain, &batch), 0);
    mempool_prune(f->pool, f->chain);
}

/* "g0:1 g2:1 ..." */
static void assert_chosen(const struct choice *choice, const char *expected)
{
    struct buf text = {0};
    for (size_t i = 0; i < choice->n; i++) {
        struct request request;
        assert_int_equal(request_decode(choice->wires[i], &request), 0);
        size_t slash = 0;
        while (request.sender.p[slash++] != '/')
            ;
        buf_printf(&text, "%s%.*s:%u", i == 0 ? "" : " ", (int)(request.sender.n - slash),
                   (const char *)request.sender.p + slash, (unsigned)request.number);
    }
    assert_string_equal(buf_cstr(&text), expected);
    buf_close(&text);
}

static void requests_wait_once(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(mempool_count(f->pool), 0);
    assert_int_equal(mempool_oldest_ms(f->pool), UINT64_MAX);
    add_interval(&f->batch, &network, 1, 1, 3);
    struct request request = batch_last(&f->batch);
    assert_false(mempool_has(f->pool, &request.hash));
    assert_int_equal(add(f, 77), 0);
    assert_true(mempool_has(f->pool, &request.hash));
    assert_int_equal(mempool_count(f->pool), 1);
    assert_int_equal(mempool_bytes(f->pool), request.wire.n);
    assert_int_equal(mempool_oldest_ms(f->pool), 77);
    assert_int_equal(add(f, 78), SEALMQ_E_EXISTS);
    add_interval(&f->batch, &network, 1, 1, 4);
    assert_int_equal(add(f, 79), SEALMQ_E_CONFLICT);
    assert_int_equal(mempool_count(f->pool), 1);
}

static void what_can_never_execute_is_not_taken(void **state)
{
    struct fixture *f = *state;
    add_interval(&f->batch, &network, 1, 1, 3);
    assert_int_equal(append_batch(f->chain, &f->batch), 0);
    add_interval(&f->batch, &network, 1, 4, 5);
    assert_int_equal(add(f, 0), SEALMQ_E_REPLAY);
    add_interval(&f->batch, &network, 2, 3, 5);
    assert_int_equal(add(f, 0), SEALMQ_E_STALE);
    add_interval(&f->batch, &network, 2 + REQUEST_WINDOW, 4, 5);
    assert_int_equal(add(f, 0), SEALMQ_E_LIMIT);
    assert_int_equal(mempool_add(f->pool, f->chain, BYTES_LIT("rubbish"), 0), SEALMQ_E_SHORT);
    assert_int_equal(mempool_count(f->pool), 0);
}

static void each_sender_has_its_numbers_in_order(void **state)
{
    struct fixture *f = *state;
    static const uint64_t numbers[] = {4, 2, 1, 3};
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(add_from(f, 0, numbers[i], i), 0);
    struct choice choice;
    choose(f, BLOCK_BYTES_MAX, 256, &choice);
    assert_chosen(&choice, "g0:1 g0:2 g0:3 g0:4");
}

static void senders_take_turns_oldest_first(void **state)
{
    struct fixture *f = *state;
    for (uint64_t n = 1; n <= 5; n++)
        assert_int_equal(add_from(f, 3, n, n), 0);
    assert_int_equal(add_from(f, 1, 1, 10), 0);
    assert_int_equal(add_from(f, 2, 1, 11), 0);
    assert_int_equal(add_from(f, 2, 2, 12), 0);
    struct choice choice;
    choose(f, BLOCK_BYTES_MAX, 256, &choice);
    assert_chosen(&choice, "g3:1 g1:1 g2:1 g3:2 g2:2 g3:3 g3:4 g3:5");
    choose(f, BLOCK_BYTES_MAX, 3, &choice);
    assert_chosen(&choice, "g3:1 g1:1 g2:1");
    append_choice(f, &choice);
    choose(f, BLOCK_BYTES_MAX, 2, &choice);
    assert_chosen(&choice, "g3:2 g2:2");
}

static void what_cannot_execute_yet_waits(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(add_from(f, 0, 2, 1), 0); /* capture number 1 is missing */
    assert_int_equal(mempool_oldest_ms(f->pool), UINT64_MAX);
    struct choice choice;
    choose(f, BLOCK_BYTES_MAX, 256, &choice);
    assert_int_equal(choice.n, 0);
    assert_int_equal(mempool_count(f->pool), 1);
    assert_int_equal(add_from(f, 0, 1, 5), 0);
    assert_int_equal(mempool_oldest_ms(f->pool), 5);
    choose(f, BLOCK_BYTES_MAX, 1, &choice);
    assert_chosen(&choice, "g0:1");
    append_choice(f, &choice);
    assert_int_equal(mempool_oldest_ms(f->pool), 1);
    choose(f, BLOCK_BYTES_MAX, 1, &choice);
    assert_chosen(&choice, "g0:2");
}

static void a_record_waits_for_its_description(void **state)
{
    struct fixture *f = *state;
    struct item item = item_of(1, "D1", "t");
    struct record record = record_of("D1", 1, "36");
    add_data(&f->batch, &network, 1, 1, NULL, 0, &record, 1);
    assert_int_equal(add(f, 1), 0);
    add_describe(&f->batch, &network, 2, &item, 1);
    assert_int_equal(add(f, 2), 0);
    struct choice choice;
    choose(f, BLOCK_BYTES_MAX, 256, &choice);
    assert_chosen(&choice, "iot:2 iot:1");
}

static void bytes_of_a_block_are_bounded_and_larger_ones_not_overtaken(void **state)
{
    struct fixture *f = *state;
    static char value[VALUE_MAX_BYTES];
    memset(value, 'v', sizeof(value));
    struct item item = item_of(1, "D1", "t");
    item.type = DATATYPE_STRING;
    add_describe(&f->batch, &network, 1, &item, 1);
    assert_int_equal(append_batch(f->chain, &f->batch), 0);
    struct record record = record_of("D1", 1, "");
    record.value = bytes_of(value, sizeof(value));
    add_data(&f->batch, &network, 2, 1, NULL, 0, &record, 1);
    assert_int_equal(add(f, 1), 0);
    size_t large = batch_last(&f->batch).wire.n;
    add_data(&f->batch, &network, 3, 1, NULL, 0, NULL, 0);
    assert_int_equal(add(f, 2), 0);
    size_t small = batch_last(&f->batch).wire.n;
    assert_int_equal(add_from(f, 0, 1, 3), 0);

    struct choice choice;
    choose(f, 0, 256, &choice);
    assert_int_equal(choice.n, 0);
    choose(f, block_request_size(large) - 1, 256, &choice);
    assert_chosen(&choice, "g0:1");
    choose(f, block_request_size(large), 256, &choice);
    assert_chosen(&choice, "iot:2");
    choose(f, block_request_size(large) + block_request_size(small), 256, &choice);
    assert_true(choice.n >= 2);
    choose(f, BLOCK_BYTES_MAX, 256, &choice);
    assert_chosen(&choice, "iot:2 g0:1 iot:3");
}

static void what_the_chain_executed_is_pruned(void **state)
{
    struct fixture *f = *state;
    for (uint64_t n = 1; n <= 3; n++)
        assert_int_equal(add_from(f, 0, n, n), 0);
    assert_int_equal(add_from(f, 1, 1, 4), 0);
    struct choice choice;
    choose(f, BLOCK_BYTES_MAX, 2, &choice);
    assert_chosen(&choice, "g0:1 g1:1");
    append_choice(f, &choice);
    assert_int_equal(mempool_count(f->pool), 2);
    assert_int_equal(mempool_oldest_ms(f->pool), 2);
    choose(f, BLOCK_BYTES_MAX, 256, &choice);
    assert_chosen(&choice, "g0:2 g0:3");
    append_choice(f, &choice);
    assert_int_equal(mempool_count(f->pool), 0);
    assert_int_equal(mempool_bytes(f->pool), 0);
    assert_int_equal(mempool_oldest_ms(f->pool), UINT64_MAX);
}

static void what_became_impossible_is_dropped(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(add_from(f, 0, 1, 1), 0);
    assert_int_equal(add_from(f, 0, 2, 2), 0);
    assert_int_equal(add_from(f, 1, 1, 3), 0);
    /* Another node's block covers capture number 1 with another request number. */
    struct interval_leaf leaf = leaf_of(1, LEAF_DROPPED);
    struct request_data data = {.sender = BYTES_LIT("devices/g0"),
                                .number = 7,
                                .from = 1,
                                .to = 1,
                                .leaves = &leaf,
                                .leaf_count = 1};
    assert_int_equal(
        request_make_data(&data, &f->keys[0], &network.genesis.hash, batch_add(&f->batch)), 0);
    add_revoke(&f->batch, &network, 20, "devices/g1");
    assert_int_equal(append_batch(f->chain, &f->batch), 0);
    mempool_prune(f->pool, f->chain);
    assert_int_equal(mempool_count(f->pool), 1);
    struct choice choice;
    choose(f, BLOCK_BYTES_MAX, 256, &choice);
    assert_chosen(&choice, "g0:2");
}

static void what_an_old_key_signed_is_dropped(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(add_from(f, 0, 1, 1), 0);
    add_revoke(&f->batch, &network, 20, "devices/g0");
    assert_int_equal(append_batch(f->chain, &f->batch), 0);
    network_key(41, 0, &f->keys[0]);
    add_register(&f->batch, &network, 21, "devices/g0", &f->keys[0]);
    assert_int_equal(append_batch(f->chain, &f->batch), 0);
    /* The pool was not told meanwhile; what the new key signs is taken, the old one goes. */
    assert_int_equal(add_from(f, 0, 1, 2), 0);
    assert_int_equal(mempool_count(f->pool), 1);
    struct choice choice;
    choose(f, BLOCK_BYTES_MAX, 256, &choice);
    assert_chosen(&choice, "g0:1");
    struct request request;
    assert_int_equal(request_decode(choice.wires[0], &request), 0);
    assert_int_equal(chain_check_signatures(f->chain, &request), 0);
}

/* What conflicts with a request chosen before it may still be right when that one never makes it.
 */
static void a_conflict_among_waiting_requests_drops_none(void **state)
{
    struct fixture *f = *state;
    struct sign_key key;
    network_key(42, 0, &key);
    add_register(&f->batch, &network, 20, "devices/new", &key);
    assert_int_equal(add(f, 1), 0);
    add_register(&f->batch, &network, 21, "devices/newer", &key);
    assert_int_equal(add(f, 2), 0);
    struct choice choice;
    choose(f, BLOCK_BYTES_MAX, 256, &choice);
    assert_chosen(&choice, "a:20");
    assert_int_equal(mempool_count(f->pool), 2);
    append_choice(f, &choice);
    assert_int_equal(mempool_count(f->pool), 0);
}

static void one_sender_cannot_fill_the_pool(void **state)
{
    struct fixture *f = *state;
    struct item item = item_of(1, "D1", "t");
    item.type = DATATYPE_STRING;
    add_describe(&f->batch, &network, 1, &item, 1);
    assert_int_equal(append_batch(f->chain, &f->batch), 0);
    static char value[VALUE_MAX_BYTES];
    memset(value, 'v', sizeof(value));
    static struct record records[1000];
    for (size_t i = 0; i < 1000; i++) {
        records[i] = record_of("D1", 1, "");
        records[i].value = bytes_of(value, sizeof(value));
    }
    add_data(&f->batch, &network, 2, 1, NULL, 0, records, 1000);
    assert_int_equal(add(f, 1), 0);
    add_data(&f->batch, &network, 3, 1, NULL, 0, records, 1000);
    int error = add(f, 2);
    add_data(&f->batch, &network, 4, 1, NULL, 0, records, 1000);
    if (error == 0)
        error = add(f, 3);
    assert_int_equal(error, SEALMQ_E_FULL);
    assert_true(mempool_bytes(f->pool) <= MEMPOOL_SENDER_BYTES_MAX);
    assert_int_equal(add_from(f, 0, 1, 4), 0);
}

static void collect(void *context, struct bytes wire)
{
    struct choice *choice = context;
    choice->wires[choice->n++] = wire;
}

static void waiting_requests_can_be_sent_again(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(add_from(f, 0, 1, 1), 0);
    assert_int_equal(add_from(f, 2, 1, 2), 0);
    assert_int_equal(add_from(f, 0, 2, 3), 0);
    struct choice choice = {.n = 0};
    mempool_each(f->pool, collect, &choice);
    assert_chosen(&choice, "g0:1 g2:1 g0:2");
}

#define IN_A_POOL(test) cmocka_unit_test_setup_teardown(test, make, close_all)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_POOL(requests_wait_once),
        IN_A_POOL(what_can_never_execute_is_not_taken),
        IN_A_POOL(each_sender_has_its_numbers_in_order),
        IN_A_POOL(senders_take_turns_oldest_first),
        IN_A_POOL(what_cannot_execute_yet_waits),
        IN_A_POOL(a_record_waits_for_its_description),
        IN_A_POOL(bytes_of_a_block_are_bounded_and_larger_ones_not_overtaken),
        IN_A_POOL(what_the_chain_executed_is_pruned),
        IN_A_POOL(what_became_impossible_is_dropped),
        IN_A_POOL(what_an_old_key_signed_is_dropped),
        IN_A_POOL(a_conflict_among_waiting_requests_drops_none),
        IN_A_POOL(one_sender_cannot_fill_the_pool),
        IN_A_POOL(waiting_requests_can_be_sent_again),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
