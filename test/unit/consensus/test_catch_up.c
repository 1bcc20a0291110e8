#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cluster.h"

#include <stdlib.h>

static void make_blocks(struct cluster *c, size_t node, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(cluster_submit(c, node), 0);
        cluster_run(c, 20);
    }
}

/* A network in which replica 3 was away for `count` blocks and is back now. */
static struct cluster *with_one_behind(size_t count)
{
    struct cluster *c = cluster_new(4);
    cluster_run(c, 20);
    c->down[3] = true;
    make_blocks(c, 0, count);
    assert_int_equal(c->nodes[0].height, count);
    assert_int_equal(c->nodes[3].height, 0);
    c->down[3] = false;
    return c;
}

static void a_replica_that_was_away_gets_the_certified_blocks(void **state)
{
    (void)state;
    struct cluster *c = with_one_behind(20);
    cluster_run(c, 1000);
    cluster_assert_height(c, 20);
    assert_int_equal(c->nodes[3].noted[PBFT_NOTE_BEHIND], 1);
    assert_int_equal(c->nodes[3].noted[PBFT_NOTE_CAUGHT_UP], 1);
    assert_int_equal(cluster_status(c, 3).stable_checkpoint, 20);
    c->down[2] = true; /* and its vote is needed, and counts, from now on */
    make_blocks(c, 3, 1);
    cluster_assert_height(c, 21);
    cluster_free(c);
}

static void one_block_is_asked_for_as_well(void **state)
{
    (void)state;
    struct cluster *c = with_one_behind(1);
    cluster_run(c, 1500);
    cluster_assert_height(c, 1);
    cluster_free(c);
}

static bool nothing_from_1(struct cluster *c, const struct sent *sent)
{
    (void)c;
    return sent->from != 1 || sent->kind != PBFT_MSG_BLOCKS;
}

static void a_peer_that_does_not_answer_is_passed_over(void **state)
{
    (void)state;
    struct cluster *c = with_one_behind(5);
    c->passes = nothing_from_1;
    cluster_run(c, 3000);
    cluster_assert_height(c, 5);
    cluster_free(c);
}

/* A BLOCKS message with the first block of replica 0 and this certificate. */
static void give_block(struct cluster *c, struct bytes block, struct bytes certificate)
{
    struct buf wire = {0};
    struct pbft_stored_block stored = {block, certificate};
    message_encode_blocks(0, &stored, 1, &wire);
    assert_int_equal(cluster_message(c, 3, PBFT_MSG_BLOCKS, buf_bytes(&wire), 0), 0);
    buf_close(&wire);
}

static void blocks_without_a_valid_certificate_are_refused(void **state)
{
    (void)state;
    struct cluster *c = with_one_behind(2);
    const struct pbft_stored_block *first = &c->nodes[0].stored[0];
    const struct pbft_stored_block *second = &c->nodes[0].stored[1];
    struct buf wire = {0};
    /* every byte of the certificate counts */
    for (size_t i = 0; i < first->certificate.n; i++) {
        buf_reset(&wire);
        buf_append_bytes(&wire, first->certificate);
        wire.p[i] ^= 1;
        give_block(c, first->block, buf_bytes(&wire));
        assert_int_equal(c->nodes[3].height, 0);
    }
    /* too few votes */
    struct certificate certificate;
    assert_int_equal(certificate_decode(first->certificate, &certificate), 0);
    certificate.n--;
    buf_reset(&wire);
    certificate_encode(&certificate, &wire);
    give_block(c, first->block, buf_bytes(&wire));
    /* another block's, no block, a later height */
    give_block(c, first->block, second->certificate);
    give_block(c, second->block, first->certificate);
    give_block(c, (struct bytes){0}, first->certificate);
    give_block(c, second->block, second->certificate);
    assert_int_equal(c->nodes[3].height, 0);
    /* a height far off is no next block, and not worth a note */
    assert_true(c->nodes[3].noted[PBFT_NOTE_REFUSED] >= first->certificate.n - sizeof(uint64_t));
    /* PREPARE votes are no COMMIT votes */
    assert_int_equal(certificate_decode(first->certificate, &certificate), 0);
    struct vote tuple = {.view = certificate.view, .height = 1, .header = certificate.header};
    validator_set_hash(&c->genesis.validators, &tuple.validators);
    for (size_t i = 0; i < certificate.n; i++)
        vote_sign(&c->nodes[certificate.votes[i].validator].key, PREPARE_LABEL, &c->genesis.hash,
                  &tuple, &certificate.votes[i].signature);
    buf_reset(&wire);
    certificate_encode(&certificate, &wire);
    give_block(c, first->block, buf_bytes(&wire));
    assert_int_equal(c->nodes[3].height, 0);

    give_block(c, first->block, first->certificate);
    assert_int_equal(c->nodes[3].height, 1);
    buf_close(&wire);
    cluster_free(c);
}

static void a_replica_that_changes_views_catches_up_and_finds_the_others_view(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(4);
    cluster_run(c, 20);
    /* Replica 3 alone does not hear the primary, and leaves. */
    struct buf wire = {0};
    struct hash validators;
    validator_set_hash(&c->genesis.validators, &validators);
    for (int i = 1; i < 3; i++) { /* to it alone, two others say they are in view 2 */
        struct buf fields = {0};
        struct msg_view_change m = {.view = 2};
        buf_reset(&wire);
        message_fields_view_change(&m, &fields);
        message_sign(PBFT_MSG_VIEW_CHANGE, i, buf_bytes(&fields), &c->nodes[i].key,
                     &c->genesis.hash, &validators, &wire);
        buf_append_u32(&wire, 0);
        assert_int_equal(cluster_message(c, 3, PBFT_MSG_VIEW_CHANGE, buf_bytes(&wire), i), 0);
        buf_close(&fields);
    }
    assert_string_equal(cluster_status(c, 3).state, "changing");
    c->down[3] = true; /* it says so to nobody */
    for (size_t i = c->first; i < c->count; i++)
        buf_close(&c->queue[i].bytes);
    c->first = c->count = 0;
    make_blocks(c, 0, 4);
    size_t votes = c->nodes[3].votes_sent;
    c->down[3] = false;
    cluster_run(c, 1500);
    cluster_assert_height(c, 4);
    assert_string_equal(cluster_status(c, 3).state, "changing");
    assert_int_equal(c->nodes[3].votes_sent, votes);
    /* With one more gone, the rest needs it, and meets it in a later view. */
    c->down[0] = true;
    assert_int_equal(cluster_submit(c, 1), 0);
    cluster_run(c, 8000);
    cluster_assert_height(c, 5);
    assert_true(cluster_status(c, 3).view >= 2);
    buf_close(&wire);
    cluster_free(c);
}

static void a_replica_that_may_not_vote_follows(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(4);
    c->nodes[3].may_vote = false;
    assert_int_equal(cluster_restart(c, 3), 0);
    cluster_run(c, 20);
    make_blocks(c, 3, 3); /* it takes requests and passes them on */
    cluster_assert_height(c, 3);
    assert_string_equal(cluster_status(c, 3).state, "following");
    assert_int_equal(c->nodes[3].votes_sent, 0);
    for (size_t i = 0; i < PBFT_SLOTS; i++)
        assert_int_equal(c->nodes[3].slots[i].n, 0); /* so that it is not taken for a voter later */
    /* Where it would be needed, there is no agreement without it. */
    c->down[2] = true;
    assert_int_equal(cluster_submit(c, 0), 0);
    cluster_run(c, 3000);
    cluster_assert_height(c, 3);
    assert_int_equal(c->nodes[3].votes_sent, 0);
    cluster_free(c);
}

static void one_liar_s_height_is_not_believed(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(4);
    cluster_run(c, 20);
    struct hash validators;
    struct buf fields = {0}, wire = {0};
    validator_set_hash(&c->genesis.validators, &validators);
    message_fields_status(&(struct msg_status){.id = BYTES_LIT("broker/n2"), .height = 1000000},
                          &fields);
    message_sign(PBFT_MSG_STATUS, 2, buf_bytes(&fields), &c->nodes[2].key, &c->genesis.hash,
                 &validators, &wire);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(cluster_message(c, i, PBFT_MSG_STATUS, buf_bytes(&wire), 2), 0);
    assert_int_equal(cluster_status(c, 1).peers_height, 0);
    c->down[2] = true;
    make_blocks(c, 1, 2);
    cluster_run(c, 2000);
    cluster_assert_height(c, 2);
    assert_int_equal(c->nodes[1].noted[PBFT_NOTE_BEHIND], 0);
    assert_int_equal(cluster_status(c, 1).view, 0);
    buf_close(&fields);
    buf_close(&wire);
    cluster_free(c);
}

static void fetches_that_go_on_are_served_and_repeated_ones_are_not(void **state)
{
    (void)state;
    struct cluster *c = with_one_behind(10);
    struct hash validators;
    struct buf wires[3] = {0};
    const uint64_t from[3] = {1, 1, 6};
    validator_set_hash(&c->genesis.validators, &validators);
    for (int i = 0; i < 3; i++) {
        struct buf fields = {0};
        message_fields_fetch(
            &(struct msg_fetch){.id = BYTES_LIT("broker/n3"), .from = from[i], .count = 5},
            &fields);
        message_sign(PBFT_MSG_FETCH, 3, buf_bytes(&fields), &c->nodes[3].key, &c->genesis.hash,
                     &validators, &wires[i]);
        buf_close(&fields);
    }
    size_t served = 0;
    for (int i = 0; i < 3; i++) {
        size_t before = c->count;
        assert_int_equal(cluster_message(c, 0, PBFT_MSG_FETCH, buf_bytes(&wires[i]), 3), 0);
        for (size_t k = before; k < c->count; k++)
            served += c->queue[k].kind == PBFT_MSG_BLOCKS;
        assert_int_equal(served, i == 2 ? 2 : 1);
        buf_close(&wires[i]);
    }
    cluster_free(c);
}

static void a_blocks_message_keeps_to_its_size(void **state)
{
    (void)state;
    struct cluster *c = with_one_behind(10);
    struct pbft_event event = {.kind = PBFT_EVENT_SERVED};
    event.served.peer = 3;
    event.served.blocks = c->nodes[0].stored;
    event.served.n = 10;
    struct pbft_options options = {.chain = c->nodes[0].chain,
                                   .mempool = c->nodes[0].mempool,
                                   .id = "broker/n0",
                                   .key = &c->nodes[0].key,
                                   .timing = c->timing,
                                   .message_bytes_max = 2000,
                                   .now_ms = 5};
    options.tip_certificate = c->nodes[0].stored[9].certificate;
    struct pbft *pbft;
    struct pbft_update update;
    assert_int_equal(pbft_new(&options, &pbft), 0);
    assert_int_equal(pbft_step(pbft, &event, &update), 0);
    bool found = false;
    for (size_t i = 0; i < update.message_count; i++) {
        if (update.messages[i].kind != PBFT_MSG_BLOCKS)
            continue;
        struct msg_blocks blocks;
        found = true;
        assert_true(update.messages[i].bytes.n <= 2005);
        assert_int_equal(message_decode_blocks(update.messages[i].bytes, &blocks), 0);
        assert_true(blocks.n >= 1 && blocks.n < 10);
    }
    assert_true(found);
    pbft_free(pbft);
    cluster_free(c);
}

/* What replica 3 asked of whom, and gets: counted as it passes. */
static struct {
    size_t asked[NODES_MAX];
    size_t most_at_once; /* peers asked, before one of them answered */
    bool answered;
} watch;

static void watch_fetch(const struct sent *sent)
{
    if (sent->from == 3 && sent->kind == PBFT_MSG_FETCH) {
        watch.asked[sent->to]++;
        size_t peers = 0;
        for (size_t i = 0; i < NODES_MAX; i++)
            peers += watch.asked[i] != 0;
        if (!watch.answered && peers > watch.most_at_once)
            watch.most_at_once = peers;
    }
    if (sent->to == 3 && sent->kind == PBFT_MSG_BLOCKS)
        watch.answered = true;
}

static bool all_watched(struct cluster *c, const struct sent *sent)
{
    (void)c;
    watch_fetch(sent);
    return true;
}

static void ranges_are_asked_of_several_peers_at_once(void **state)
{
    (void)state;
    struct cluster *c = with_one_behind(400);
    memset(&watch, 0, sizeof(watch));
    c->passes = all_watched;
    cluster_run(c, 700); /* one status interval, and one round of answers */
    cluster_assert_height(c, 400);
    assert_true(watch.most_at_once >= 2);
    for (size_t i = 0; i < 3; i++)
        assert_true(watch.asked[i] <= 4);
    assert_int_equal(watch.asked[0] + watch.asked[1] + watch.asked[2], 7); /* none asked twice */
    cluster_free(c);
}

static bool lies_of_1(struct cluster *c, const struct sent *sent)
{
    (void)c;
    watch_fetch(sent);
    if (sent->from == 1 && sent->to == 3 && sent->kind == PBFT_MSG_BLOCKS)
        sent->bytes.p[sent->bytes.n - 1] ^= 1; /* the last vote of the last certificate */
    return true;
}

static void a_peer_that_lies_is_put_aside_and_its_range_asked_elsewhere(void **state)
{
    (void)state;
    struct cluster *c = with_one_behind(400);
    memset(&watch, 0, sizeof(watch));
    c->passes = lies_of_1;
    cluster_run(c, 1000);
    cluster_assert_height(c, 400);
    assert_true(c->nodes[3].noted[PBFT_NOTE_REFUSED] >= 1);
    assert_true(watch.asked[1] >= 1 && watch.asked[1] <= 4);
    assert_true(watch.asked[0] + watch.asked[2] >= 7);
    cluster_free(c);
}

/* Blocks of one peer come, but the first of each list is another than was asked for. */
static bool other_blocks_of_1(struct cluster *c, const struct sent *sent)
{
    (void)c;
    struct msg_blocks m;
    struct pbft_stored_block first, second;
    if (sent->from == 1 && sent->to == 3 && sent->kind == PBFT_MSG_BLOCKS &&
        message_decode_blocks(buf_bytes(&sent->bytes), &m) == 0 &&
        message_blocks_next(&m.list, &first) && message_blocks_next(&m.list, &second)) {
        struct pbft_stored_block twisted[2] = {first, first};
        struct buf *bytes = (struct buf *)(uintptr_t)&sent->bytes;
        struct buf wire = {0};
        message_encode_blocks(1, twisted, 2, &wire);
        assert_true(wire.n <= bytes->n);
        memcpy(sent->bytes.p, wire.p, wire.n);
        bytes->n = wire.n;
        buf_close(&wire);
    }
    return true;
}

static void blocks_that_do_not_follow_on_each_other_are_refused(void **state)
{
    (void)state;
    struct cluster *c = with_one_behind(200);
    c->passes = other_blocks_of_1;
    cluster_run(c, 3000);
    cluster_assert_height(c, 200);
    cluster_free(c);
}

static void a_silent_peer_holds_nobody_up_for_long(void **state)
{
    (void)state;
    struct cluster *c = with_one_behind(400);
    memset(&watch, 0, sizeof(watch));
    c->passes = nothing_from_1;
    cluster_run(c, 2200); /* status, one time-out, and the rest */
    cluster_assert_height(c, 400);
    cluster_free(c);
}

static void who_does_not_keep_a_block_is_not_asked_for_it(void **state)
{
    (void)state;
    struct cluster *c = with_one_behind(200);
    pbft_keep(c->nodes[0].pbft, 150);
    pbft_keep(c->nodes[1].pbft, 201);
    memset(&watch, 0, sizeof(watch));
    c->passes = all_watched;
    cluster_run(c, 700);
    cluster_assert_height(c, 200);
    assert_int_equal(watch.asked[1], 0);
    assert_true(watch.asked[2] >= 3);
    struct pbft_status status = cluster_status(c, 3);
    assert_int_equal(status.peer_count, 4);
    assert_int_equal(status.peers[0].keeps, 150);
    assert_int_equal(status.peers[1].keeps, 201);
    assert_true(status.peers[2].is_heard && !status.peers[3].is_heard);
    c->down[2] = true;
    cluster_run(c, 3500);
    assert_false(cluster_status(c, 3).peers[2].is_heard);
    cluster_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_replica_that_was_away_gets_the_certified_blocks),
        cmocka_unit_test(one_block_is_asked_for_as_well),
        cmocka_unit_test(a_peer_that_does_not_answer_is_passed_over),
        cmocka_unit_test(blocks_without_a_valid_certificate_are_refused),
        cmocka_unit_test(a_replica_that_changes_views_catches_up_and_finds_the_others_view),
        cmocka_unit_test(a_replica_that_may_not_vote_follows),
        cmocka_unit_test(one_liar_s_height_is_not_believed),
        cmocka_unit_test(fetches_that_go_on_are_served_and_repeated_ones_are_not),
        cmocka_unit_test(a_blocks_message_keeps_to_its_size),
        cmocka_unit_test(ranges_are_asked_of_several_peers_at_once),
        cmocka_unit_test(a_peer_that_lies_is_put_aside_and_its_range_asked_elsewhere),
        cmocka_unit_test(blocks_that_do_not_follow_on_each_other_are_refused),
        cmocka_unit_test(a_silent_peer_holds_nobody_up_for_long),
        cmocka_unit_test(who_does_not_keep_a_block_is_not_asked_for_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
