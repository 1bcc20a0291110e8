/* Blocks that need work: nobody waits for who does it longer than for a share of it, and it ends
 * with its view. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cluster.h"

static struct block_header header_at(const struct cluster *c, size_t node, size_t height)
{
    struct block block;
    assert_in_range(height, 1, c->nodes[node].height);
    assert_int_equal(block_decode(c->nodes[node].stored[height - 1].block, &block), 0);
    assert_true(header_meets_difficulty(&block.hash, block.header.difficulty));
    return block.header;
}

static void tick(struct cluster *c, size_t node, int times)
{
    for (int i = 0; i < times; i++)
        cluster_tick(c, node);
}

static void networks_agree_on_blocks_of_every_difficulty(void **state)
{
    (void)state;
    for (uint8_t difficulty = 1; difficulty <= 16; difficulty += 5) {
        struct cluster *c = cluster_new_that_works(4, difficulty);
        cluster_run(c, 20);
        for (size_t height = 1; height <= 3; height++) {
            assert_int_equal(cluster_submit(c, height), 0);
            cluster_run(c, 2000);
            cluster_assert_height(c, height);
            assert_int_equal(header_at(c, 0, height).difficulty, difficulty);
            assert_int_equal(header_at(c, 0, height).view, 0);
        }
        cluster_free(c);
    }
}

static void a_lone_validator_works_for_each_of_its_blocks(void **state)
{
    (void)state;
    struct cluster *c = cluster_new_that_works(1, 10);
    for (int i = 0; i < 3; i++)
        assert_int_equal(cluster_submit(c, 0), 0);
    cluster_run(c, 1000);
    assert_int_equal(cluster_status(c, 0).waiting_requests, 0);
    assert_in_range(c->nodes[0].height, 1, 3);
    (void)header_at(c, 0, c->nodes[0].height);
    cluster_free(c);
}

/* What leaves the primary while it works. */
static size_t proposals, statuses;
static bool counts_kinds(struct cluster *c, const struct sent *sent)
{
    (void)c;
    proposals += sent->from == 0 && sent->kind == PBFT_MSG_PRE_PREPARE;
    statuses += sent->from == 0 && sent->kind == PBFT_MSG_STATUS;
    return true;
}

static void work_is_done_in_ticks_that_are_wanted_at_once(void **state)
{
    (void)state;
    struct cluster *c = cluster_new_that_works(4, 8); /* a share is enough for it */
    c->passes = counts_kinds;
    proposals = statuses = 0;
    cluster_run(c, 20);
    assert_int_equal(cluster_submit(c, 0), 0);
    for (int i = 0; i < 20; i++) {
        struct pbft_event event = {.kind = PBFT_EVENT_CONNECTED, .peer = 1};
        assert_int_equal(cluster_step(c, 0, &event), 0);
        assert_int_equal(c->nodes[0].deadline_ms, c->now_ms);
    }
    cluster_deliver(c);
    assert_int_equal(proposals, 0);
    assert_in_range(statuses, 20, 40); /* and it answers as ever */
    cluster_tick(c, 0);
    cluster_deliver(c);
    assert_int_equal(proposals, 3);
    cluster_assert_height(c, 1);
    cluster_free(c);
}

static void work_that_takes_long_is_begun_anew_with_what_has_come_since(void **state)
{
    (void)state;
    struct cluster *c = cluster_new_that_works(4, 8);
    cluster_run(c, 20);
    assert_int_equal(cluster_submit(c, 0), 0);
    int64_t begun_us = c->wall_us;
    assert_int_equal(cluster_submit(c, 0), 0);
    c->now_ms += 1500;
    c->wall_us += 1500000;
    cluster_tick(c, 0);
    cluster_deliver(c);
    cluster_assert_height(c, 1);
    struct block_header header = header_at(c, 2, 1);
    assert_int_equal(header.requests, 2);
    assert_int_equal(header.time_us, begun_us + 1500000);
    cluster_free(c);
}

static bool drops_what_the_first_sends(struct cluster *c, const struct sent *sent)
{
    (void)c;
    return sent->from != 0;
}

static void a_working_primary_is_given_the_time_that_work_may_take(void **state)
{
    (void)state;
    /* 8 * 2^18 tries at 1000 a millisecond: 2097 ms, on top of the view's 1000. */
    struct cluster *c = cluster_new_that_works(4, 18);
    cluster_run(c, 600);
    c->down[0] = true;
    assert_int_equal(cluster_submit(c, 1), 0);
    cluster_run(c, 3000);
    assert_int_equal(cluster_status(c, 1).view, 0);
    cluster_run(c, 300);
    assert_int_equal(cluster_status(c, 1).view, 1);
    cluster_free(c);
}

static void work_ends_with_its_view_and_the_next_primary_does_its_own(void **state)
{
    (void)state;
    struct cluster *c = cluster_new_that_works(4, 40); /* the first never finds one */
    cluster_run(c, 600);
    for (size_t i = 1; i < 4; i++) { /* as if the others thought their machines were faster */
        c->timing.nonce_tries_per_ms = UINT32_MAX;
        assert_int_equal(cluster_restart(c, i), 0);
    }
    assert_int_equal(cluster_submit(c, 1), 0);
    cluster_deliver(c);
    tick(c, 0, 10);
    assert_int_equal(c->nodes[0].deadline_ms, c->now_ms); /* at work */
    cluster_run(c, 5000);
    assert_in_range(cluster_status(c, 1).view, 1, 3);
    assert_int_equal(cluster_status(c, 0).view, cluster_status(c, 1).view);
    cluster_tick(c, 0);
    assert_true(c->nodes[0].deadline_ms > c->now_ms); /* and not any more */
    cluster_free(c);
}

static void the_next_primary_proposes_after_work_of_its_own(void **state)
{
    (void)state;
    struct cluster *c = cluster_new_that_works(4, 12);
    cluster_run(c, 600);
    c->passes = drops_what_the_first_sends;
    assert_int_equal(cluster_submit(c, 1), 0);
    cluster_run(c, 4000);
    c->passes = NULL;
    assert_int_equal(c->nodes[1].height, 1);
    struct block_header header = header_at(c, 1, 1);
    assert_int_equal(header.view, 1);
    assert_string_equal(header.proposer, "broker/n1");
    cluster_run(c, 2000);
    cluster_assert_height(c, 1);
    cluster_free(c);
}

static void a_proposal_with_too_little_work_is_refused(void **state)
{
    (void)state;
    struct cluster *c = cluster_new_that_works(4, 12);
    cluster_run(c, 20);
    struct buf request = {0}, wire = {0}, message = {0};
    cluster_request(c, &request);
    struct block_header header;
    chain_next_header(c->nodes[0].chain, &header);
    header.time_us = c->wall_us;
    memcpy(header.proposer, "broker/n0", 10);
    struct bytes requests[1] = {buf_bytes(&request)};
    struct block block;
    do { /* one that fits is one in 4096 */
        header.nonce++;
        buf_reset(&wire);
        assert_int_equal(block_encode(&header, requests, 1, &wire), 0);
        assert_int_equal(block_decode(buf_bytes(&wire), &block), 0);
    } while (header_meets_difficulty(&block.hash, 12));
    struct msg_vote m = {.height = 1, .header = block.hash, .block = buf_bytes(&wire)};
    struct vote tuple = {.height = 1, .header = block.hash};
    validator_set_hash(&c->genesis.validators, &tuple.validators);
    vote_sign(&c->nodes[0].key, PREPARE_LABEL, &c->genesis.hash, &tuple, &m.signature);
    message_encode_vote(&m, PBFT_MSG_PRE_PREPARE, &message);
    assert_int_equal(cluster_message(c, 1, PBFT_MSG_PRE_PREPARE, buf_bytes(&message), 0), 0);
    assert_int_equal(c->nodes[1].noted[PBFT_NOTE_REFUSED], 1);
    assert_string_equal(cluster_status(c, 1).state, "idle");
    buf_close(&request);
    buf_close(&wire);
    buf_close(&message);
    cluster_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(networks_agree_on_blocks_of_every_difficulty),
        cmocka_unit_test(a_lone_validator_works_for_each_of_its_blocks),
        cmocka_unit_test(work_is_done_in_ticks_that_are_wanted_at_once),
        cmocka_unit_test(work_that_takes_long_is_begun_anew_with_what_has_come_since),
        cmocka_unit_test(a_working_primary_is_given_the_time_that_work_may_take),
        cmocka_unit_test(work_ends_with_its_view_and_the_next_primary_does_its_own),
        cmocka_unit_test(the_next_primary_proposes_after_work_of_its_own),
        cmocka_unit_test(a_proposal_with_too_little_work_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
