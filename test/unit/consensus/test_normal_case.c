#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cluster.h"

static void networks_of_every_size_agree_on_a_request(void **state)
{
    (void)state;
    for (size_t n = 1; n <= NODES_MAX; n++) {
        struct cluster *c = cluster_new(n);
        for (size_t i = 0; i < n; i++)
            cluster_tick(c, i);
        cluster_deliver(c);
        for (size_t height = 1; height <= 3; height++) {
            assert_int_equal(cluster_submit(c, height % n), 0);
            cluster_deliver(c);
            cluster_assert_height(c, height);
        }
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(cluster_status(c, i).view, 0);
            assert_int_equal(cluster_status(c, i).waiting_requests, 0);
            assert_int_equal(cluster_status(c, i).stable_checkpoint, 3);
        }
        cluster_free(c);
    }
}

static void a_lone_validator_empties_its_mempool_block_by_block(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(1);
    c->timing.batch_ms = 50;
    assert_int_equal(cluster_restart(c, 0), 0);
    for (int i = 0; i < 5; i++)
        assert_int_equal(cluster_submit(c, 0), 0);
    assert_int_equal(c->nodes[0].height, 1); /* the first at once, the others wait for company */
    cluster_run(c, 100);
    assert_int_equal(c->nodes[0].height, 2);
    assert_int_equal(cluster_status(c, 0).waiting_requests, 0);
    cluster_free(c);
}

static void no_empty_block_is_ever_made(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(4);
    cluster_run(c, 20000);
    cluster_assert_height(c, 0);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(cluster_status(c, i).view, 0);
    cluster_free(c);
}

static void each_block_has_a_commit_certificate_and_a_checkpoint_for_the_policy(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(4);
    assert_int_equal(cluster_submit(c, 2), 0);
    cluster_deliver(c);
    struct buf text = {0};
    struct policy *policy;
    unsigned line;
    char why[128];
    assert_int_equal(policy_format("test", &c->genesis.validators, &text), 0);
    assert_int_equal(policy_parse(buf_bytes(&text), &policy, &line, why, sizeof(why)), 0);
    for (size_t i = 0; i < 4; i++) {
        struct certificate certificate;
        struct hash hash = cluster_block_hash(c, i, 1);
        assert_int_equal(certificate_decode(c->nodes[i].stored[0].certificate, &certificate), 0);
        assert_int_equal(certificate_verify(&certificate, COMMIT_LABEL, &c->genesis.validators,
                                            &c->genesis.hash),
                         0);
        assert_true(hash_equal(&certificate.header, &hash));
        struct checkpoint checkpoint;
        assert_int_equal(
            policy_check_note(policy, buf_bytes(&c->nodes[i].checkpoint), &checkpoint, NULL), 0);
        assert_int_equal(checkpoint.size, 2);
    }
    policy_free(policy);
    buf_close(&text);
    cluster_free(c);
}

static bool no_requests(struct cluster *c, const struct sent *sent)
{
    (void)c;
    return sent->kind != PBFT_MSG_REQUEST;
}

static void requests_that_a_replica_does_not_know_are_verified_once(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(4);
    c->passes = no_requests;
    c->verifies = false;
    assert_int_equal(cluster_submit(c, 0), 0); /* the primary's own */
    struct buf proposal = {0};
    for (size_t i = c->first; i < c->count; i++) {
        if (c->queue[i].kind == PBFT_MSG_PRE_PREPARE && proposal.n == 0)
            buf_append_bytes(&proposal, buf_bytes(&c->queue[i].bytes));
    }
    assert_int_not_equal(proposal.n, 0);
    assert_int_equal(cluster_message(c, 1, PBFT_MSG_PRE_PREPARE, buf_bytes(&proposal), 0), 0);
    assert_true(c->nodes[1].asked_to_verify);
    assert_int_equal(c->nodes[1].votes_sent, 0);
    assert_int_equal(cluster_message(c, 1, PBFT_MSG_PRE_PREPARE, buf_bytes(&proposal), 0), 0);
    assert_false(c->nodes[1].asked_to_verify);
    struct pbft_event answer = {.kind = PBFT_EVENT_VERIFIED};
    answer.verified.header = c->nodes[1].to_verify;
    answer.verified.valid = true;
    assert_int_equal(cluster_step(c, 1, &answer), 0);
    assert_int_equal(c->nodes[1].votes_sent, 1);
    buf_close(&proposal);
    cluster_free(c);
}

static void a_replica_that_knows_the_requests_votes_at_once(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(4);
    c->verifies = false;
    assert_int_equal(cluster_submit(c, 1), 0); /* which tells all others first */
    cluster_deliver(c);
    cluster_assert_height(c, 1);
    cluster_free(c);
}

static void a_proposal_with_a_bad_request_signature_gets_no_vote(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(4);
    /* The primary's host lets one through that the others' hosts do not. */
    struct buf wire = {0};
    assert_int_equal(request_make_register(BYTES_LIT("admin/root"), 1, BYTES_LIT("devices/x"),
                                           MEMBER_GATEWAY, &c->gateway.public_key, &c->gateway,
                                           &c->genesis.hash, &wire),
                     0);
    c->passes = no_requests;
    struct pbft_event event = {.kind = PBFT_EVENT_REQUEST, .request = buf_bytes(&wire)};
    assert_int_equal(cluster_step(c, 0, &event), 0);
    cluster_run(c, 500);
    for (size_t i = 1; i < 4; i++) {
        assert_int_equal(c->nodes[i].votes_sent, 0);
        assert_int_equal(c->nodes[i].height, 0);
    }
    assert_int_equal(c->nodes[1].last_error, SEALMQ_E_SIGNATURE);
    /* And such a primary is left, though nobody else has a request that waits. */
    cluster_run(c, 5000);
    assert_true(cluster_status(c, 1).view >= 1);
    assert_int_equal(c->nodes[1].height, 0);
    buf_close(&wire);
    cluster_free(c);
}

static void what_clients_hear_of_their_requests(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(4);
    struct buf wire = {0};
    cluster_request(c, &wire);
    struct pbft_event event = {.kind = PBFT_EVENT_REQUEST, .request = buf_bytes(&wire)};
    assert_int_equal(cluster_step(c, 1, &event), 0);
    assert_int_equal(cluster_step(c, 1, &event), SEALMQ_E_EXISTS);
    cluster_deliver(c);
    assert_int_equal(cluster_step(c, 1, &event), SEALMQ_E_REPLAY);
    event.request = BYTES_LIT("no request");
    assert_int_not_equal(cluster_step(c, 1, &event), 0);
    cluster_assert_height(c, 1);
    buf_close(&wire);
    cluster_free(c);
}

static bool drop_phase(struct cluster *c, const struct sent *sent)
{
    /* Every message of a third of the time is lost, whatever it is. */
    return c->now_ms / 100 % 3 != 0 || sent->kind == PBFT_MSG_REQUEST;
}

static void lost_messages_cost_time_and_nothing_else(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(4);
    c->passes = drop_phase;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(cluster_submit(c, (size_t)i % 4), 0);
        cluster_run(c, 330);
    }
    cluster_run(c, 5000);
    assert_int_equal(cluster_status(c, 0).waiting_requests, 0);
    c->passes = NULL;
    cluster_run(c, 3000);
    cluster_assert_height(c, c->nodes[0].height);
    assert_true(c->nodes[0].height >= 1);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(cluster_status(c, i).stable_checkpoint, c->nodes[0].height);
    cluster_free(c);
}

static bool delay_commits(struct cluster *c, const struct sent *sent)
{
    (void)c;
    return !(sent->to == 3 && sent->kind == PBFT_MSG_COMMIT);
}

static void a_proposal_for_the_next_height_waits_for_the_last_block(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(4);
    c->passes = delay_commits;
    assert_int_equal(cluster_submit(c, 0), 0);
    cluster_deliver(c);
    assert_int_equal(c->nodes[3].height, 0);
    assert_int_equal(cluster_submit(c, 0), 0);
    cluster_deliver(c); /* height 2 is proposed to a replica that is at height 0 still */
    assert_int_equal(c->nodes[0].height, 2);
    assert_int_equal(c->nodes[3].height, 0);
    size_t votes = c->nodes[3].votes_sent;
    cluster_run(c, 1500); /* catches up with what is certified; no view is changed for that */
    cluster_assert_height(c, 2);
    assert_true(c->nodes[3].votes_sent >= votes);
    assert_int_equal(cluster_status(c, 3).view, 0);
    cluster_free(c);
}

static void a_far_clock_is_not_followed(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(4);
    c->wall_us += INT64_C(61000000);
    assert_int_equal(cluster_submit(c, 0), 0); /* the primary proposes with its clock */
    c->wall_us -= INT64_C(61000000);
    cluster_deliver(c);
    cluster_assert_height(c, 0);
    cluster_run(c, 4000); /* and another one takes over */
    cluster_assert_height(c, 1);
    cluster_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(networks_of_every_size_agree_on_a_request),
        cmocka_unit_test(a_lone_validator_empties_its_mempool_block_by_block),
        cmocka_unit_test(no_empty_block_is_ever_made),
        cmocka_unit_test(each_block_has_a_commit_certificate_and_a_checkpoint_for_the_policy),
        cmocka_unit_test(requests_that_a_replica_does_not_know_are_verified_once),
        cmocka_unit_test(a_replica_that_knows_the_requests_votes_at_once),
        cmocka_unit_test(a_proposal_with_a_bad_request_signature_gets_no_vote),
        cmocka_unit_test(what_clients_hear_of_their_requests),
        cmocka_unit_test(lost_messages_cost_time_and_nothing_else),
        cmocka_unit_test(a_proposal_for_the_next_height_waits_for_the_last_block),
        cmocka_unit_test(a_far_clock_is_not_followed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
