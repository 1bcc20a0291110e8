#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "plant.h"

#include "node/agreement.h"
#include "store/blocks.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* The agreement of a node, and what it tells. The only node of a network decides alone. */
struct side {
    struct plant plant;
    struct registry *registry;
    struct agreement *agreement;
    pthread_mutex_t lock;
    pthread_cond_t news;
    /* under the lock */
    size_t receipts, refusals, members, heads;
    uint64_t receipt_number, receipt_height, refused_number;
    int refused_error;
    char client[ID_MAX + 1], member[ID_MAX + 1];
};

static void tell(struct side *side, size_t *count)
{
    (*count)++;
    pthread_cond_signal(&side->news);
    pthread_mutex_unlock(&side->lock);
}

static void on_member(void *context, const struct member *member)
{
    struct side *side = context;
    pthread_mutex_lock(&side->lock);
    memcpy(side->member, member->id, sizeof side->member);
    tell(side, &side->members);
}

static void on_receipt(void *context, const struct receipt *receipt)
{
    struct side *side = context;
    pthread_mutex_lock(&side->lock);
    side->receipt_number = receipt->number;
    side->receipt_height = receipt->height;
    assert_int_equal(bytes_to_cstr(receipt->client, side->client, sizeof side->client), 0);
    assert_true(receipt->proof.n > 100);
    tell(side, &side->receipts);
}

static void on_refused(void *context, struct bytes client, uint64_t number, int error)
{
    struct side *side = context;
    pthread_mutex_lock(&side->lock);
    assert_int_equal(bytes_to_cstr(client, side->client, sizeof side->client), 0);
    side->refused_number = number;
    side->refused_error = error;
    tell(side, &side->refusals);
}

static void on_publish(void *context, const char *topic, struct bytes payload, bool retain)
{
    struct side *side = context;
    pthread_mutex_lock(&side->lock);
    assert_string_equal(topic, "chain/plant/head");
    assert_true(retain && payload.n != 0);
    tell(side, &side->heads);
}

static void wait_for(struct side *side, const size_t *count, size_t least)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 60;
    pthread_mutex_lock(&side->lock);
    while (*count < least)
        assert_int_equal(pthread_cond_timedwait(&side->news, &side->lock, &until), 0);
    pthread_mutex_unlock(&side->lock);
}

static int open_side(void **state, struct side *side, bool vote_again, char why[512])
{
    assert_int_equal(registry_new(&side->registry), 0);
    return agreement_new(
        &(struct agreement_options){
            .genesis = &side->plant.genesis,
            .id = "node/a",
            .key = &side->plant.nodes[0],
            .folder = *state,
            .registry = side->registry,
            .vote_again = vote_again,
            .context = side,
            .member = on_member,
            .receipt = on_receipt,
            .refused = on_refused,
            .publish = on_publish,
        },
        &side->agreement, why, 512);
}

static void close_side(struct side *side)
{
    agreement_free(side->agreement);
    registry_free(side->registry);
    side->agreement = NULL;
    side->registry = NULL;
}

static void reopen(void **state, struct side *side, bool vote_again)
{
    char why[512];
    close_side(side);
    assert_int_equal(open_side(state, side, vote_again, why), 0);
}

/* As `sealmq init` leaves it. */
static void make_store(void **state, const struct side *side)
{
    struct block_store *store;
    char why[512];
    assert_int_equal(block_store_open(*state, BLOCK_STORE_CREATE, &side->plant.genesis.hash, &store,
                                      why, sizeof why),
                     0);
    block_store_close(store);
}

static struct side *side_new(void **state, size_t nodes)
{
    struct side *side = calloc(1, sizeof *side);
    char why[512];
    assert_non_null(side);
    pthread_mutex_init(&side->lock, NULL);
    pthread_cond_init(&side->news, NULL);
    plant_make(&side->plant, nodes);
    make_store(state, side);
    assert_int_equal(open_side(state, side, false, why), 0);
    return side;
}

static void side_free(struct side *side)
{
    close_side(side);
    pthread_cond_destroy(&side->news);
    pthread_mutex_destroy(&side->lock);
    free(side);
}

/* A request of the operator that registers a gateway. */
static void make_register(struct side *side, uint64_t number, const char *id, struct buf *wire)
{
    buf_reset(wire);
    assert_int_equal(request_make_register(BYTES_LIT("admin/ops"), number, bytes_str(id),
                                           MEMBER_GATEWAY, &side->plant.gateway.public_key,
                                           &side->plant.admin, &side->plant.genesis.hash, wire),
                     0);
}

static void ask(struct side *side, struct bytes wire)
{
    assert_int_equal(agreement_request(side->agreement, BYTES_LIT("admin/ops"), wire), 0);
}

static struct agreement_status status(struct side *side)
{
    struct agreement_status out;
    agreement_status_get(side->agreement, &out);
    return out;
}

static void the_genesis_fills_the_registry(void **state)
{
    struct side *side = side_new(state, 4);
    struct registry_entry entry;
    assert_int_equal(registry_find(side->registry, BYTES_LIT("node/d"), &entry), 0);
    assert_int_equal(entry.kind, REGISTRY_VALIDATOR);
    assert_int_equal(entry.validator, 3);
    assert_int_equal(registry_find(side->registry, BYTES_LIT("admin/ops"), &entry), 0);
    assert_int_equal(entry.kind, REGISTRY_ADMIN);
    assert_int_equal(status(side).validators, 4);
    assert_true(status(side).pbft.votes);
    side_free(side); /* without a start */
}

static void a_request_becomes_a_block_a_member_and_a_receipt(void **state)
{
    struct side *side = side_new(state, 1);
    struct buf wire = {0};
    struct registry_entry entry;
    assert_int_equal(agreement_start(side->agreement), 0);
    assert_int_equal(agreement_request_next(side->agreement, BYTES_LIT("admin/ops")), 1);
    make_register(side, 1, "plant-a/gw1", &wire);
    ask(side, buf_bytes(&wire));
    wait_for(side, &side->receipts, 1);
    assert_int_equal(side->receipt_number, 1);
    assert_int_equal(side->receipt_height, 1);
    assert_string_equal(side->client, "admin/ops");
    assert_string_equal(side->member, "plant-a/gw1");
    wait_for(side, &side->heads, 1);
    assert_int_equal(registry_find(side->registry, BYTES_LIT("plant-a/gw1"), &entry), 0);
    assert_int_equal(entry.kind, REGISTRY_GATEWAY);
    assert_int_equal(agreement_request_next(side->agreement, BYTES_LIT("admin/ops")), 2);
    assert_int_equal(status(side).pbft.height, 1);
    buf_close(&wire);
    side_free(side);
}

static void what_is_on_the_chain_is_there_after_a_restart(void **state)
{
    struct side *side = side_new(state, 1);
    struct buf wire = {0};
    struct registry_entry entry;
    assert_int_equal(agreement_start(side->agreement), 0);
    make_register(side, 1, "plant-a/gw1", &wire);
    ask(side, buf_bytes(&wire));
    wait_for(side, &side->receipts, 1);
    reopen(state, side, false);
    assert_int_equal(registry_find(side->registry, BYTES_LIT("plant-a/gw1"), &entry), 0);
    assert_int_equal(status(side).pbft.height, 1);
    assert_int_equal(status(side).requests_total, 1);
    assert_int_equal(status(side).records_total, 0);
    assert_true(status(side).pbft.votes);
    /* Whoever lost the receipt asks again with the same request, and gets it. */
    assert_int_equal(agreement_start(side->agreement), 0);
    ask(side, buf_bytes(&wire));
    wait_for(side, &side->receipts, 2);
    assert_int_equal(side->receipt_height, 1);
    assert_int_equal(status(side).pbft.height, 1);
    buf_close(&wire);
    side_free(side);
}

static void bad_requests_are_refused_to_who_sent_them(void **state)
{
    struct side *side = side_new(state, 1);
    struct buf wire = {0};
    assert_int_equal(agreement_start(side->agreement), 0);
    ask(side, BYTES_LIT("noise"));
    wait_for(side, &side->refusals, 1);
    assert_int_equal(side->refused_number, 0);
    make_register(side, 1, "plant-a/gw1", &wire);
    wire.p[wire.n - 1] ^= 1;
    ask(side, buf_bytes(&wire));
    wait_for(side, &side->refusals, 2);
    assert_int_equal(side->refused_error, SEALMQ_E_SIGNATURE);
    assert_int_equal(side->refused_number, 1);
    make_register(side, 1, "plant-a/gw1", &wire);
    ask(side, buf_bytes(&wire));
    wait_for(side, &side->receipts, 1);
    make_register(side, 1, "plant-a/gw2", &wire); /* the number is used */
    ask(side, buf_bytes(&wire));
    wait_for(side, &side->refusals, 3);
    assert_int_equal(side->refused_error, SEALMQ_E_CONFLICT);
    assert_int_equal(status(side).refused_total, 3);
    assert_int_equal(status(side).pbft.height, 1);
    buf_close(&wire);
    side_free(side);
}

static void noise_between_nodes_is_counted_and_harmless(void **state)
{
    struct side *side = side_new(state, 4);
    struct buf wire = {0};
    uint8_t noise[512];
    assert_int_equal(agreement_start(side->agreement), 0);
    for (int kind = PBFT_MSG_REQUEST; kind <= PBFT_MSG_BLOCKS; kind++) {
        for (size_t n = 0; n < sizeof noise; n += 37) {
            memset(noise, kind, sizeof noise);
            assert_int_equal(agreement_message(side->agreement, (enum pbft_message_kind)kind, 2,
                                               bytes_of(noise, n)),
                             0);
        }
    }
    assert_int_equal(agreement_announce(side->agreement, BYTES_LIT("noise")), 0);
    /* The mailbox is in order: when this is answered, all before it was taken. */
    ask(side, BYTES_LIT("noise"));
    wait_for(side, &side->refusals, 1);
    assert_true(status(side).bad_messages_total > 10);
    assert_int_equal(status(side).pbft.height, 0);
    /* All of it is held against the one whose link brought it. */
    static struct offences offences;
    agreement_offences_get(side->agreement, &offences);
    assert_int_equal(offences.offender_count, 1);
    assert_string_equal(offences.offenders[0].id, side->plant.genesis.validators.v[2].id);
    assert_int_equal(offences.offenders[0].total, status(side).bad_messages_total);
    uint64_t reasons = 0;
    for (size_t i = 0; i < OFFENCE_REASONS; i++)
        reasons += offences.by_reason[i];
    assert_int_equal(reasons, status(side).bad_messages_total);
    assert_true(offences.by_reason[-SEALMQ_E_SHORT] > 0);
    buf_close(&wire);
    side_free(side);
}

static void a_node_alone_among_four_waits(void **state)
{
    struct side *side = side_new(state, 4);
    struct buf wire = {0};
    assert_int_equal(agreement_start(side->agreement), 0);
    make_register(side, 1, "plant-a/gw1", &wire);
    ask(side, buf_bytes(&wire));
    ask(side, BYTES_LIT("noise"));
    wait_for(side, &side->refusals, 1);
    assert_int_equal(side->receipts, 0);
    assert_int_equal(status(side).pbft.height, 0);
    assert_int_equal(status(side).peers_connected, 0);
    assert_int_equal(status(side).peer_count, 3);
    assert_int_equal(status(side).pbft.waiting_requests, 1);
    buf_close(&wire);
    side_free(side);
}

static void who_lost_its_store_does_not_vote_until_told_to(void **state)
{
    struct side *side = side_new(state, 1);
    close_side(side);
    assert_int_equal(unlink(folder_path(state, "blocks.db")), 0);
    char why[512];
    assert_int_equal(open_side(state, side, false, why), 0);
    assert_false(status(side).pbft.votes);
    reopen(state, side, false);
    assert_false(status(side).pbft.votes);
    reopen(state, side, true);
    assert_true(status(side).pbft.votes);
    reopen(state, side, false);
    assert_true(status(side).pbft.votes);
    side_free(side);
}

static void a_damaged_store_is_named(void **state)
{
    struct side *side = side_new(state, 1);
    char why[512] = "";
    close_side(side);
    FILE *file = fopen(folder_path(state, "blocks.db"), "w");
    assert_non_null(file);
    for (int i = 0; i < 1000; i++)
        fputs("garbage ", file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(open_side(state, side, false, why), SEALMQ_E_CORRUPT);
    assert_non_null(strstr(why, "blocks.db"));
    side_free(side);
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_setup, folder_teardown)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(the_genesis_fills_the_registry),
        IN_FOLDER(a_request_becomes_a_block_a_member_and_a_receipt),
        IN_FOLDER(what_is_on_the_chain_is_there_after_a_restart),
        IN_FOLDER(bad_requests_are_refused_to_who_sent_them),
        IN_FOLDER(noise_between_nodes_is_counted_and_harmless),
        IN_FOLDER(a_node_alone_among_four_waits),
        IN_FOLDER(who_lost_its_store_does_not_vote_until_told_to),
        IN_FOLDER(a_damaged_store_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
