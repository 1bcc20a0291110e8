#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cluster.h"

#include <stdlib.h>

/* A network whose members have heard of each other. */
static struct cluster *started(size_t n)
{
    struct cluster *c = cluster_new(n);
    cluster_run(c, 20);
    return c;
}

static void a_primary_that_is_gone_is_replaced(void **state)
{
    (void)state;
    struct cluster *c = started(4);
    c->down[0] = true;
    assert_int_equal(cluster_submit(c, 2), 0);
    cluster_run(c, 500);
    assert_int_equal(cluster_status(c, 2).view, 0); /* not at once */
    cluster_run(c, 1500);
    cluster_assert_height(c, 1);
    for (size_t i = 1; i < 4; i++) {
        assert_int_equal(cluster_status(c, i).view, 1);
        assert_int_equal(cluster_status(c, i).primary, 1);
    }
    /* The view stays: the next block costs no time-out. */
    assert_int_equal(cluster_submit(c, 3), 0);
    cluster_deliver(c);
    cluster_assert_height(c, 2);
    /* And who was away comes back into it. */
    c->down[0] = false;
    cluster_run(c, 2500);
    cluster_assert_height(c, 2);
    assert_int_equal(cluster_status(c, 0).view, 1);
    assert_int_equal(cluster_submit(c, 0), 0);
    cluster_deliver(c);
    cluster_assert_height(c, 3);
    cluster_free(c);
}

static bool none_of_0(struct cluster *c, const struct sent *sent)
{
    (void)c;
    return sent->from != 0;
}

static void who_leaves_a_view_tells_those_who_missed_it_what_waits(void **state)
{
    (void)state;
    struct cluster *c = started(4);
    c->down[3] = true;
    c->passes = none_of_0; /* its links are not there yet, but the others' to it are */
    assert_int_equal(cluster_submit(c, 0), 0);
    cluster_run(c, 1500);
    assert_int_equal(cluster_status(c, 0).view, 1);
    /* They know of no request, so nothing makes them leave view 0; and its primary has left it. */
    c->passes = NULL;
    cluster_run(c, 4000);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(c->nodes[i].height, 1);
    cluster_free(c);
}

static void time_outs_double_until_a_primary_is_there(void **state)
{
    (void)state;
    struct cluster *c = started(7);
    c->down[0] = c->down[1] = true;
    assert_int_equal(cluster_submit(c, 5), 0);
    cluster_run(c, 2900); /* 1 s in view 0, then 2 s for view 1 */
    assert_int_equal(c->nodes[5].height, 0);
    assert_int_equal(cluster_status(c, 5).view, 1);
    cluster_run(c, 400);
    cluster_assert_height(c, 1);
    assert_int_equal(cluster_status(c, 5).view, 2);
    cluster_free(c);
}

static bool no_commits(struct cluster *c, const struct sent *sent)
{
    (void)c;
    return sent->kind != PBFT_MSG_COMMIT;
}

static bool no_commits_but_to_0(struct cluster *c, const struct sent *sent)
{
    (void)c;
    return sent->kind != PBFT_MSG_COMMIT || sent->to == 0;
}

static void a_prepared_block_is_proposed_again_byte_for_byte(void **state)
{
    (void)state;
    struct cluster *c = started(4);
    c->passes = no_commits_but_to_0;
    assert_int_equal(cluster_submit(c, 0), 0);
    cluster_deliver(c);
    assert_int_equal(c->nodes[0].height, 1); /* final for the primary alone, which then dies */
    assert_int_equal(c->nodes[1].height, 0);
    assert_string_equal(cluster_status(c, 1).state, "prepared");
    c->down[0] = true;
    c->passes = NULL;
    c->wall_us += 5000000;
    /* What the others could tell each other again is lost with their links. */
    c->passes = no_commits;
    while (cluster_status(c, 1).view == 0 || cluster_status(c, 2).view == 0)
        cluster_run(c, 10);
    c->passes = NULL;
    cluster_run(c, 4000);
    cluster_assert_height(c, 1);
    struct bytes first = c->nodes[0].stored[0].block;
    assert_true(bytes_equal(first, c->nodes[1].stored[0].block));
    /* The header names the first view and proposer, the votes the later view. */
    struct block block;
    struct certificate certificate;
    assert_int_equal(block_decode(c->nodes[1].stored[0].block, &block), 0);
    assert_int_equal(block.header.view, 0);
    assert_string_equal(block.header.proposer, "broker/n0");
    assert_int_equal(certificate_decode(c->nodes[1].stored[0].certificate, &certificate), 0);
    assert_true(certificate.view >= 1);
    cluster_free(c);
}

static void a_new_primary_without_the_prepared_block_fetches_it(void **state)
{
    (void)state;
    struct cluster *c = started(4);
    /* Replica 1, the next primary, hears nothing of the proposal. */
    c->down[1] = true;
    c->passes = no_commits;
    assert_int_equal(cluster_submit(c, 2), 0);
    cluster_deliver(c);
    assert_string_equal(cluster_status(c, 2).state, "prepared");
    c->down[0] = true;
    c->down[1] = false;
    while (cluster_status(c, 2).view == 0 || cluster_status(c, 1).view == 0)
        cluster_run(c, 10);
    c->passes = NULL;
    cluster_run(c, 6000);
    assert_int_equal(c->nodes[1].height, 1);
    struct block block;
    assert_int_equal(block_decode(c->nodes[1].stored[0].block, &block), 0);
    assert_int_equal(block.header.view, 0);
    cluster_assert_height(c, 1);
    cluster_free(c);
}

/* A VIEW-CHANGE with nothing prepared at height 0, signed by that node. */
static void make_view_change(struct cluster *c, int node, uint64_t view, struct buf *out)
{
    struct buf fields = {0};
    struct hash validators;
    struct msg_view_change m = {.view = view};
    validator_set_hash(&c->genesis.validators, &validators);
    message_fields_view_change(&m, &fields);
    message_sign(PBFT_MSG_VIEW_CHANGE, node, buf_bytes(&fields), &c->nodes[node].key,
                 &c->genesis.hash, &validators, out);
    buf_append_u32(out, 0);
    buf_close(&fields);
}

static void nobody_votes_in_a_view_that_was_left(void **state)
{
    (void)state;
    struct cluster *c = started(4);
    for (int i = 2; i < 4; i++) {
        struct buf wire = {0};
        make_view_change(c, i, 1, &wire);
        assert_int_equal(cluster_message(c, 1, PBFT_MSG_VIEW_CHANGE, buf_bytes(&wire), i), 0);
        buf_close(&wire);
    }
    /* Its own NEW-VIEW(1) is not heard; to the others all is well in view 0. */
    assert_int_equal(cluster_status(c, 1).view, 1);
    assert_int_equal(cluster_restart(c, 1), 0);
    for (size_t i = c->first; i < c->count; i++)
        buf_close(&c->queue[i].bytes);
    c->first = c->count = 0;
    size_t votes = c->nodes[1].votes_sent;
    assert_int_equal(cluster_submit(c, 0), 0);
    cluster_deliver(c);
    assert_int_equal(c->nodes[1].votes_sent, votes);
    assert_int_equal(c->nodes[0].height, 1); /* three are enough */
    cluster_run(c, 1000);
    cluster_assert_height(c, 1); /* it follows with certified blocks */
    cluster_free(c);
}

static void who_hears_no_quorum_keeps_its_view(void **state)
{
    (void)state;
    struct cluster *c = started(4);
    for (size_t i = 0; i < 4; i++)
        c->down[i] = i != 2;
    assert_int_equal(cluster_submit(c, 2), 0);
    cluster_run(c, 60000);
    assert_int_equal(cluster_status(c, 2).view, 0);
    assert_int_equal(c->nodes[2].noted[PBFT_NOTE_VIEW_CHANGE], 0);
    for (size_t i = 0; i < 4; i++)
        c->down[i] = false;
    cluster_run(c, 3000); /* the primary is told what waits */
    cluster_assert_height(c, 1);
    assert_int_equal(cluster_status(c, 2).view, 0);
    cluster_free(c);
}

static void f_plus_one_others_in_a_higher_view_are_followed(void **state)
{
    (void)state;
    struct cluster *c = started(4);
    struct buf messages[4] = {0};
    for (int i = 2; i < 4; i++)
        make_view_change(c, i, 5 + (uint64_t)i, &messages[i]);
    assert_int_equal(cluster_message(c, 1, PBFT_MSG_VIEW_CHANGE, buf_bytes(&messages[3]), 3), 0);
    assert_int_equal(cluster_status(c, 1).view, 0); /* one may lie */
    assert_int_equal(cluster_message(c, 1, PBFT_MSG_VIEW_CHANGE, buf_bytes(&messages[2]), 2), 0);
    assert_int_equal(cluster_status(c, 1).view, 7); /* which two have reached */
    assert_string_equal(cluster_status(c, 1).state, "changing");
    buf_close(&messages[2]);
    buf_close(&messages[3]);
    cluster_free(c);
}

/* Replica 0 alone prepares the first block, which replica 1 never sees. */
static bool only_0_prepares(struct cluster *c, const struct sent *sent)
{
    (void)c;
    struct msg_vote vote;
    struct msg_view_change change;
    switch (sent->kind) {
    case PBFT_MSG_PRE_PREPARE:
    case PBFT_MSG_PREPARE:
    case PBFT_MSG_COMMIT:
        assert_int_equal(message_decode_vote(buf_bytes(&sent->bytes), sent->kind, &vote), 0);
        if (vote.view > 0)
            return true;
        return sent->kind == PBFT_MSG_PRE_PREPARE ? sent->to != 1
                                                  : sent->kind == PBFT_MSG_PREPARE && sent->to == 0;
    case PBFT_MSG_VIEW_CHANGE:
        assert_int_equal(message_decode_view_change(buf_bytes(&sent->bytes), &change), 0);
        return change.block.n == 0;
    default:
        return true;
    }
}

static void a_block_that_only_a_liar_shows_prepared_is_not_waited_for(void **state)
{
    (void)state;
    struct cluster *c = started(4);
    c->passes = only_0_prepares;
    assert_int_equal(cluster_submit(c, 0), 0);
    cluster_deliver(c);
    assert_string_equal(cluster_status(c, 0).state, "prepared");
    assert_string_equal(cluster_status(c, 2).state, "proposed");
    assert_string_equal(cluster_status(c, 1).state, "idle");
    /* It says so, and keeps the block to itself. */
    cluster_run(c, 3000);
    cluster_assert_height(c, 1);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(cluster_status(c, i).view, 1);
    cluster_free(c);
}

/* A valid VIEW-CHANGE(1) of replica 2, once it was sent; COMMITs are lost after the first block. */
static struct buf view_change;
static bool capture_view_change(struct cluster *c, const struct sent *sent)
{
    if (sent->kind == PBFT_MSG_VIEW_CHANGE && sent->from == 2) {
        buf_reset(&view_change);
        buf_append_bytes(&view_change, buf_bytes(&sent->bytes));
    }
    return sent->kind != PBFT_MSG_VIEW_CHANGE && (sent->kind != PBFT_MSG_COMMIT || c->requests < 2);
}

/* The same by replica 3. Returns why `node` refuses it, or 0. */
static int give_view_change(struct cluster *c, size_t node, const struct msg_view_change *m)
{
    struct hash validators;
    struct buf fields = {0}, wire = {0};
    validator_set_hash(&c->genesis.validators, &validators);
    message_fields_view_change(m, &fields);
    message_sign(PBFT_MSG_VIEW_CHANGE, 3, buf_bytes(&fields), &c->nodes[3].key, &c->genesis.hash,
                 &validators, &wire);
    buf_append_u32(&wire, 0);
    size_t refused = c->nodes[node].noted[PBFT_NOTE_REFUSED];
    assert_int_equal(cluster_message(c, node, PBFT_MSG_VIEW_CHANGE, buf_bytes(&wire), 3), 0);
    buf_close(&fields);
    buf_close(&wire);
    return c->nodes[node].noted[PBFT_NOTE_REFUSED] > refused ? c->nodes[node].last_error : 0;
}

static void a_primary_takes_no_view_change_that_others_would_refuse(void **state)
{
    (void)state;
    struct cluster *c = started(4);
    c->passes = capture_view_change;
    assert_int_equal(cluster_submit(c, 0), 0);
    cluster_deliver(c);
    cluster_assert_height(c, 1);
    assert_int_equal(cluster_submit(c, 0), 0);
    while (view_change.n == 0)
        cluster_run(c, 10);
    struct msg_view_change m;
    assert_int_equal(message_decode_view_change(buf_bytes(&view_change), &m), 0);
    assert_true(m.prepared && m.height == 1 && m.view == 1);

    /* What they certify the primary knows to be true, but not by these signatures. */
    struct bytes *const certificates[] = {&m.tip_certificate, &m.prepared_certificate};
    for (size_t i = 0; i < 2; i++) {
        struct bytes good = *certificates[i];
        struct buf bad = {0};
        buf_append_bytes(&bad, good);
        bad.p[bad.n - 1] ^= 1;
        *certificates[i] = buf_bytes(&bad);
        assert_int_equal(give_view_change(c, 1, &m), SEALMQ_E_SIGNATURE);
        *certificates[i] = good;
        buf_close(&bad);
    }
    assert_int_equal(give_view_change(c, 1, &m), 0);
    buf_close(&view_change);
    cluster_free(c);
}

/* A valid NEW-VIEW(1) by replica 1, taken from the wire of a real view change; COMMITs are lost, so
 * that there is a block to propose again. */
static struct buf captured;
static bool capture_new_view(struct cluster *c, const struct sent *sent)
{
    (void)c;
    if (sent->kind != PBFT_MSG_NEW_VIEW)
        return sent->kind != PBFT_MSG_COMMIT;
    buf_reset(&captured);
    buf_append_bytes(&captured, buf_bytes(&sent->bytes));
    return false;
}

static int give_new_view(struct cluster *c, const struct msg_new_view *m, size_t signer,
                         struct bytes block)
{
    struct hash validators;
    struct buf fields = {0}, wire = {0};
    validator_set_hash(&c->genesis.validators, &validators);
    message_fields_new_view(m, &fields);
    message_sign(PBFT_MSG_NEW_VIEW, (int)signer, buf_bytes(&fields), &c->nodes[signer].key,
                 &c->genesis.hash, &validators, &wire);
    buf_append_str32(&wire, block);
    uint64_t refused = c->nodes[3].noted[PBFT_NOTE_REFUSED];
    assert_int_equal(cluster_message(c, 3, PBFT_MSG_NEW_VIEW, buf_bytes(&wire), (int)signer), 0);
    buf_close(&fields);
    buf_close(&wire);
    return c->nodes[3].noted[PBFT_NOTE_REFUSED] > refused ? c->nodes[3].last_error : 0;
}

static void a_new_view_that_does_not_follow_from_its_view_changes_is_refused(void **state)
{
    (void)state;
    struct cluster *c = started(4);
    c->passes = no_commits;
    assert_int_equal(cluster_submit(c, 0), 0);
    cluster_deliver(c);
    c->down[0] = true;
    c->passes = capture_new_view;
    while (captured.n == 0)
        cluster_run(c, 10);
    static struct msg_new_view m, changed;
    assert_int_equal(message_decode_new_view(buf_bytes(&captured), &m), 0);
    assert_true(m.again);
    assert_true(m.n >= 3);
    struct bytes block = m.block;

    changed = m; /* the prepared block left out */
    changed.again = false;
    assert_int_equal(give_new_view(c, &changed, 1, (struct bytes){0}), SEALMQ_E_PROTOCOL);
    changed = m; /* no quorum */
    changed.n = 2;
    assert_int_equal(give_new_view(c, &changed, 1, block), SEALMQ_E_COUNT);
    changed = m; /* a vote for something else */
    changed.vote.b[0] ^= 1;
    assert_int_equal(give_new_view(c, &changed, 1, block), SEALMQ_E_SIGNATURE);
    /* another block */
    uint8_t *other = malloc(block.n);
    assert_non_null(other);
    memcpy(other, block.p, block.n);
    other[block.n - 1] ^= 1;
    assert_int_not_equal(give_new_view(c, &m, 1, bytes_of(other, block.n)), 0);
    free(other);
    /* not the primary of the view */
    assert_int_equal(give_new_view(c, &m, 2, block), SEALMQ_E_UNKNOWN);
    /* a view change that its sender did not sign */
    struct buf forged = {0};
    changed = m;
    buf_append_bytes(&forged, m.view_changes[0].head.signed_part);
    forged.p[forged.n - 1] ^= 1;
    changed.view_changes[0].head.signed_part = buf_bytes(&forged);
    assert_int_equal(give_new_view(c, &changed, 1, block), SEALMQ_E_SIGNATURE);
    buf_close(&forged);
    assert_string_equal(cluster_status(c, 3).state, "changing");

    assert_int_equal(give_new_view(c, &m, 1, block), 0);
    assert_string_equal(cluster_status(c, 3).state, "proposed");
    assert_int_equal(cluster_status(c, 3).view, 1);
    buf_close(&captured);
    cluster_free(c);
}

static void two_proposals_for_one_view_and_height_are_noted(void **state)
{
    (void)state;
    struct cluster *c = started(4);
    struct buf first = {0}, second = {0};
    assert_int_equal(cluster_submit(c, 0), 0);
    for (size_t i = c->first; i < c->count; i++)
        if (c->queue[i].kind == PBFT_MSG_PRE_PREPARE && c->queue[i].to == 1)
            buf_append_bytes(&first, buf_bytes(&c->queue[i].bytes));
    struct msg_vote m;
    struct block block;
    assert_int_equal(message_decode_vote(buf_bytes(&first), PBFT_MSG_PRE_PREPARE, &m), 0);
    assert_int_equal(block_decode(m.block, &block), 0);
    struct bytes list = block.requests, request;
    assert_true(block_requests_next(&list, &request));
    struct block_header header = block.header;
    header.time_us++;
    struct buf wire = {0};
    assert_int_equal(block_encode(&header, &request, 1, &wire), 0);
    assert_int_equal(block_decode(buf_bytes(&wire), &block), 0);
    m.header = block.hash;
    m.block = buf_bytes(&wire);
    struct vote tuple = {.view = m.view, .height = m.height, .header = m.header};
    validator_set_hash(&c->genesis.validators, &tuple.validators);
    vote_sign(&c->nodes[0].key, PREPARE_LABEL, &c->genesis.hash, &tuple, &m.signature);
    message_encode_vote(&m, PBFT_MSG_PRE_PREPARE, &second);

    assert_int_equal(cluster_message(c, 1, PBFT_MSG_PRE_PREPARE, buf_bytes(&first), 0), 0);
    assert_int_equal(c->nodes[1].votes_sent, 1);
    assert_int_equal(cluster_message(c, 1, PBFT_MSG_PRE_PREPARE, buf_bytes(&second), 0), 0);
    assert_int_equal(c->nodes[1].noted[PBFT_NOTE_MISBEHAVIOUR], 1);
    assert_int_equal(c->nodes[1].votes_sent, 1);
    buf_close(&first);
    buf_close(&second);
    buf_close(&wire);
    cluster_free(c);
}

static bool no_proposals(struct cluster *c, const struct sent *sent)
{
    (void)c;
    return !(sent->from == 0 && sent->kind == PBFT_MSG_PRE_PREPARE);
}

static void a_silent_primary_is_left_though_it_answers_all_else(void **state)
{
    (void)state;
    struct cluster *c = started(4);
    c->passes = no_proposals;
    assert_int_equal(cluster_submit(c, 3), 0);
    cluster_run(c, 2500);
    cluster_assert_height(c, 1);
    assert_int_equal(cluster_status(c, 3).view, 1);
    cluster_free(c);
}

static void a_request_that_nobody_can_execute_yet_blames_nobody(void **state)
{
    (void)state;
    struct cluster *c = started(4);
    struct buf describe = {0}, wire = {0};
    assert_int_equal(request_make_register(BYTES_LIT("admin/root"), 1, BYTES_LIT("devices/g"),
                                           MEMBER_GATEWAY, &c->gateway.public_key, &c->admin,
                                           &c->genesis.hash, &wire),
                     0);
    c->requests = 1;
    struct pbft_event event = {.kind = PBFT_EVENT_REQUEST, .request = buf_bytes(&wire)};
    assert_int_equal(cluster_step(c, 0, &event), 0);
    cluster_deliver(c);
    cluster_assert_height(c, 1);
    /* An interval that starts at 5, where the chain expects 1: the one before is still to come. */
    buf_reset(&wire);
    struct interval_leaf leaf = {.n = 5, .status = LEAF_DROPPED};
    struct request_data data = {.sender = BYTES_LIT("devices/g"),
                                .number = 2,
                                .from = 5,
                                .to = 5,
                                .leaves = &leaf,
                                .leaf_count = 1};
    assert_int_equal(request_make_data(&data, &c->gateway, &c->genesis.hash, &wire), 0);
    event.request = buf_bytes(&wire);
    assert_int_equal(cluster_step(c, 1, &event), 0);
    cluster_run(c, 30000);
    cluster_assert_height(c, 1);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(cluster_status(c, i).view, 0);
    buf_close(&describe);
    buf_close(&wire);
    cluster_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_primary_that_is_gone_is_replaced),
        cmocka_unit_test(who_leaves_a_view_tells_those_who_missed_it_what_waits),
        cmocka_unit_test(time_outs_double_until_a_primary_is_there),
        cmocka_unit_test(a_prepared_block_is_proposed_again_byte_for_byte),
        cmocka_unit_test(a_new_primary_without_the_prepared_block_fetches_it),
        cmocka_unit_test(nobody_votes_in_a_view_that_was_left),
        cmocka_unit_test(who_hears_no_quorum_keeps_its_view),
        cmocka_unit_test(f_plus_one_others_in_a_higher_view_are_followed),
        cmocka_unit_test(a_block_that_only_a_liar_shows_prepared_is_not_waited_for),
        cmocka_unit_test(a_primary_takes_no_view_change_that_others_would_refuse),
        cmocka_unit_test(a_new_view_that_does_not_follow_from_its_view_changes_is_refused),
        cmocka_unit_test(two_proposals_for_one_view_and_height_are_noted),
        cmocka_unit_test(a_silent_primary_is_left_though_it_answers_all_else),
        cmocka_unit_test(a_request_that_nobody_can_execute_yet_blames_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
