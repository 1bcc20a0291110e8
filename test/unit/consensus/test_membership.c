/* Sets of validators that change while the chain goes on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "unit/consensus/cluster.h"

#include <stdio.h>

static struct validator validator_of(const struct node *node, const struct sign_key *key)
{
    struct validator v = {.key = key->public_key, .url = "mqtt://127.0.0.1:1"};
    struct sign_key log, cosigner;
    sign_key_derive(key, LOG_KEY_PURPOSE, &log);
    sign_key_derive(key, COSIGNER_KEY_PURPOSE, &cosigner);
    v.log_key = log.public_key;
    v.cosigner_key = cosigner.public_key;
    memcpy(v.id, node->id, sizeof(v.id));
    return v;
}

static void submit(struct cluster *c, size_t at, struct buf *wire)
{
    assert_int_equal(cluster_submit_wire(c, at, buf_bytes(wire)), 0);
    buf_close(wire);
}

/* As a plain member, by its own key: that is how a node comes, and how it stays when it leaves. */
static void register_node(struct cluster *c, size_t at, size_t node)
{
    struct buf wire = {0};
    assert_int_equal(request_make_register(BYTES_LIT("admin/root"), ++c->requests,
                                           bytes_str(c->nodes[node].id), MEMBER_GATEWAY,
                                           &c->nodes[node].key.public_key, &c->admin,
                                           &c->genesis.hash, &wire),
                     0);
    submit(c, at, &wire);
}

/* The node says that it is there, and the admin makes it a validator. */
static void add(struct cluster *c, size_t at, size_t node)
{
    struct node *joiner = &c->nodes[node];
    struct validator v = validator_of(joiner, &joiner->key);
    struct buf join = {0}, wire = {0};
    struct hash leaf;
    merkle_log_leaf(chain_log(joiner->chain), chain_height(joiner->chain), &leaf);
    assert_int_equal(request_make_join(&v, chain_height(joiner->chain), &leaf, &joiner->key,
                                       &c->genesis.hash, &join),
                     0);
    assert_int_equal(request_make_register_validator(BYTES_LIT("admin/root"), ++c->requests,
                                                     buf_bytes(&join), &c->admin, &c->genesis.hash,
                                                     &wire),
                     0);
    buf_close(&join);
    submit(c, at, &wire);
}

static void revoke(struct cluster *c, size_t at, size_t node)
{
    struct buf wire = {0};
    assert_int_equal(request_make_revoke(BYTES_LIT("admin/root"), ++c->requests,
                                         bytes_str(c->nodes[node].id), BYTES_LIT(""), &c->admin,
                                         &c->genesis.hash, &wire),
                     0);
    submit(c, at, &wire);
}

static size_t set_size(const struct cluster *c, size_t node)
{
    return chain_validators(c->nodes[node].chain)->n;
}

static bool votes(const struct cluster *c, size_t node)
{
    return cluster_status(c, node).votes;
}

/* A cluster of four validators, and others that are members and follow. */
static struct cluster *with_followers(size_t n)
{
    struct cluster *c = cluster_new_with(n, 4);
    cluster_run(c, 20);
    for (size_t i = 4; i < n; i++)
        register_node(c, 0, i);
    cluster_run(c, 3000);
    return c;
}

static void a_member_follows_and_votes_for_nothing(void **state)
{
    (void)state;
    struct cluster *c = with_followers(5);
    cluster_assert_height(c, 1);
    assert_string_equal(cluster_status(c, 4).state, "following");
    for (int i = 0; i < 5; i++) {
        assert_int_equal(cluster_submit(c, 1), 0);
        cluster_run(c, 100);
    }
    cluster_run(c, 2000);
    cluster_assert_height(c, 6);
    assert_int_equal(c->nodes[4].votes_sent, 0);
    cluster_free(c);
}

static void a_stranger_is_told_nothing(void **state)
{
    (void)state;
    struct cluster *c = cluster_new_with(5, 4);
    cluster_run(c, 20);
    assert_int_equal(cluster_submit(c, 0), 0);
    cluster_run(c, 3000);
    assert_int_equal(c->nodes[0].height, 1);
    assert_int_equal(c->nodes[4].height, 0);
    assert_true(c->nodes[0].noted[PBFT_NOTE_REFUSED] > 0);
    cluster_free(c);
}

static void who_joins_votes_from_its_first_block_on(void **state)
{
    (void)state;
    struct cluster *c = with_followers(5);
    add(c, 2, 4);
    cluster_run(c, 2000);
    cluster_assert_height(c, 2);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(set_size(c, i), 5);
    assert_true(votes(c, 4));
    assert_int_equal(c->nodes[4].votes_sent, 0);
    /* Four of five are a quorum: without the new one there is none. */
    c->down[3] = true;
    assert_int_equal(cluster_submit(c, 0), 0);
    cluster_run(c, 500);
    cluster_assert_height(c, 3);
    assert_true(c->nodes[4].votes_sent >= 2);
    c->down[4] = true;
    assert_int_equal(cluster_submit(c, 0), 0);
    cluster_run(c, 10000);
    cluster_assert_height(c, 3);
    c->down[4] = false;
    cluster_run(c, 40000);
    cluster_assert_height(c, 4);
    cluster_free(c);
}

static void the_new_one_takes_its_turn_as_primary(void **state)
{
    (void)state;
    struct cluster *c = with_followers(5);
    add(c, 0, 4);
    cluster_run(c, 2000);
    for (uint64_t view = 0; view < 4; view++)
        c->down[view] = view == 0; /* views 1 to 3 pass with their primaries' help */
    struct pbft_status status = cluster_status(c, 1);
    assert_int_equal(status.primary, 0);
    assert_int_equal(cluster_submit(c, 1), 0);
    cluster_run(c, 3000);
    cluster_assert_height(c, 3);
    assert_int_equal(cluster_status(c, 1).primary, 1);
    c->down[0] = false;
    cluster_run(c, 3000);
    for (size_t gone = 1; gone < 4; gone++) {
        c->down[gone] = true;
        assert_int_equal(cluster_submit(c, 4), 0);
        cluster_run(c, 8000);
        c->down[gone] = false;
        cluster_run(c, 3000);
    }
    cluster_assert_height(c, 6);
    assert_int_equal(cluster_status(c, 0).primary, 4);
    assert_int_equal(cluster_submit(c, 0), 0);
    cluster_run(c, 1000);
    cluster_assert_height(c, 7);
    struct block block;
    assert_int_equal(block_decode(c->nodes[0].stored[6].block, &block), 0);
    assert_string_equal(block.header.proposer, "broker/n4");
    cluster_free(c);
}

/* From four to seven to four, while requests come all the time. */
static void a_network_grows_and_shrinks_under_load(void **state)
{
    (void)state;
    struct cluster *c = with_followers(7);
    size_t height = c->nodes[0].height;
    for (size_t joiner = 4; joiner < 7; joiner++) {
        assert_int_equal(cluster_submit(c, joiner % 4), 0);
        add(c, (joiner + 1) % 4, joiner);
        cluster_run(c, 1500);
        assert_int_equal(cluster_submit(c, joiner), 0);
        cluster_run(c, 1500);
        assert_int_equal(set_size(c, 0), joiner + 1);
    }
    /* The first of those that were there at the start leave; the last one is primary at times. */
    for (size_t leaver = 0; leaver < 3; leaver++) {
        assert_int_equal(cluster_submit(c, 6), 0);
        revoke(c, 5, leaver);
        cluster_run(c, 2500);
        assert_int_equal(cluster_submit(c, 4), 0);
        cluster_run(c, 2500);
        assert_int_equal(set_size(c, 6), 6 - leaver);
        c->down[leaver] = true; /* and are switched off */
    }
    cluster_run(c, 2000);
    assert_true(c->nodes[6].height > height + 9);
    cluster_assert_height(c, c->nodes[6].height);
    /* Every request is on the chain. */
    assert_int_equal(chain_request_next(c->nodes[3].chain, BYTES_LIT("admin/root")),
                     c->requests + 1);
    for (size_t i = 3; i < 7; i++)
        assert_true(votes(c, i));
    cluster_free(c);
}

static void who_leaves_goes_on_as_a_member(void **state)
{
    (void)state;
    struct cluster *c = with_followers(5);
    add(c, 0, 4);
    cluster_run(c, 2000);
    register_node(c, 1, 0); /* with the role of a gateway: it leaves the set, and stays */
    cluster_run(c, 3000);
    assert_int_equal(set_size(c, 1), 4);
    cluster_assert_height(c, 3);
    assert_false(votes(c, 0));
    size_t sent = c->nodes[0].votes_sent;
    assert_int_equal(cluster_submit(c, 2), 0);
    cluster_run(c, 3000);
    cluster_assert_height(c, 4);
    assert_int_equal(c->nodes[0].votes_sent, sent);
    /* And comes back, under the same key. */
    add(c, 2, 0);
    cluster_run(c, 3000);
    assert_int_equal(set_size(c, 0), 5);
    assert_true(votes(c, 0));
    assert_int_equal(cluster_submit(c, 2), 0);
    cluster_run(c, 3000);
    cluster_assert_height(c, 6);
    assert_true(c->nodes[0].votes_sent > sent);
    cluster_free(c);
}

static void the_primary_can_leave(void **state)
{
    (void)state;
    struct cluster *c = with_followers(5);
    add(c, 0, 4);
    cluster_run(c, 2000);
    assert_int_equal(cluster_status(c, 2).primary, 0);
    revoke(c, 2, 0);
    cluster_run(c, 2000);
    c->down[0] = true;
    assert_int_equal(cluster_submit(c, 2), 0);
    cluster_run(c, 1000);
    cluster_assert_height(c, 4);
    assert_int_equal(cluster_status(c, 2).view, 0); /* its place is taken by the next in order */
    cluster_free(c);
}

static void who_was_away_finds_its_way_through_the_sets(void **state)
{
    (void)state;
    struct cluster *c = with_followers(6);
    c->down[3] = true;
    add(c, 0, 4);
    cluster_run(c, 2000);
    add(c, 0, 5);
    cluster_run(c, 2000);
    revoke(c, 5, 0);
    cluster_run(c, 2000);
    revoke(c, 5, 1);
    cluster_run(c, 8000);
    assert_int_equal(set_size(c, 4), 4);
    c->down[0] = c->down[1] = true;
    c->down[3] = false;
    assert_int_equal(cluster_restart(c, 3), 0);
    cluster_run(c, 30000);
    assert_int_equal(set_size(c, 3), 4);
    cluster_assert_height(c, c->nodes[4].height);
    assert_int_equal(cluster_submit(c, 3), 0);
    cluster_run(c, 5000);
    cluster_assert_height(c, c->nodes[4].height);
    cluster_free(c);
}

static void a_restarted_joiner_goes_on(void **state)
{
    (void)state;
    struct cluster *c = with_followers(5);
    add(c, 0, 4);
    cluster_run(c, 2000);
    assert_int_equal(cluster_submit(c, 0), 0);
    cluster_run(c, 1000);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(cluster_restart(c, i), 0);
    assert_true(votes(c, 4));
    c->down[2] = true;
    assert_int_equal(cluster_submit(c, 4), 0);
    cluster_run(c, 3000);
    cluster_assert_height(c, 4);
    cluster_free(c);
}

static void a_view_change_just_after_a_change_of_the_set(void **state)
{
    (void)state;
    struct cluster *c = with_followers(5);
    assert_int_equal(cluster_submit(c, 1), 0);
    add(c, 1, 4);
    cluster_run(c, 2000);
    /* The primary dies at once; whoever makes the new view shows a tip that the four decided. */
    size_t height = c->nodes[1].height;
    c->down[0] = true;
    assert_int_equal(cluster_submit(c, 1), 0);
    cluster_run(c, 5000);
    cluster_assert_height(c, height + 1);
    assert_true(cluster_status(c, 1).view >= 1);
    /* And in a view that began under the set of before. */
    c->down[0] = false;
    cluster_run(c, 3000);
    uint64_t view = cluster_status(c, 1).view;
    revoke(c, 1, 4);
    cluster_run(c, 3000);
    c->down[4] = true;
    assert_int_equal(cluster_status(c, 1).view, view);
    assert_int_equal(cluster_submit(c, 1), 0);
    cluster_run(c, 1000);
    cluster_assert_height(c, height + 3);
    cluster_free(c);
}

static void give_next_key(struct cluster *c, size_t at)
{
    struct node *node = &c->nodes[at];
    uint8_t seed[SEED_SIZE] = {200};
    sign_key_from_seed(seed, &node->next_key);
    sign_key_derive(&node->next_key, LOG_KEY_PURPOSE, &node->next_log_key);
    sign_key_derive(&node->next_key, COSIGNER_KEY_PURPOSE, &node->next_cosigner_key);
    node->has_next = true;
}

static void rotate(struct cluster *c, size_t at)
{
    struct node *node = &c->nodes[at];
    struct validator v = validator_of(node, &node->next_key);
    struct buf wire = {0};
    assert_int_equal(request_make_rotate(bytes_str(node->id), 1, bytes_str(node->id), &v,
                                         &node->next_key, &node->key, &c->genesis.hash, &wire),
                     0);
    submit(c, at, &wire);
}

static void a_validator_exchanges_its_key_and_goes_on(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(4);
    struct node *node = &c->nodes[2];
    give_next_key(c, 2);
    assert_int_equal(cluster_restart(c, 2), 0);
    cluster_run(c, 20);
    assert_int_equal(cluster_submit(c, 0), 0);
    cluster_run(c, 500);
    rotate(c, 2);
    cluster_run(c, 1500);
    cluster_assert_height(c, 2);
    assert_true(votes(c, 2));
    /* Three of four are a quorum: with one away, its vote is needed. */
    c->down[3] = true;
    assert_int_equal(cluster_submit(c, 1), 0);
    cluster_run(c, 1500);
    cluster_assert_height(c, 3);
    /* One that has the old key alone may not vote any more. */
    node->has_next = false;
    assert_int_equal(cluster_restart(c, 2), 0);
    assert_false(votes(c, 2));
    cluster_free(c);
}

static bool only_node_2_gets_commits(struct cluster *c, const struct sent *sent)
{
    (void)c;
    return sent->kind != PBFT_MSG_COMMIT || sent->to == 2;
}

/* It alone has the block that exchanged its key, and the others cannot go on without it. */
static void who_has_a_new_key_is_believed_by_those_behind(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(4);
    give_next_key(c, 2);
    assert_int_equal(cluster_restart(c, 2), 0);
    cluster_run(c, 20);
    c->passes = only_node_2_gets_commits;
    rotate(c, 2);
    cluster_run(c, 300);
    assert_int_equal(c->nodes[2].height, 1);
    assert_int_equal(c->nodes[0].height, 0);
    assert_int_equal(c->nodes[1].height, 0);
    c->passes = NULL;
    c->down[3] = true;
    cluster_run(c, 10000);
    cluster_assert_height(c, 1);
    assert_int_equal(cluster_submit(c, 0), 0);
    cluster_run(c, 3000);
    cluster_assert_height(c, 2);
    cluster_free(c);
}

static bool node_4_gets_no_checkpoints(struct cluster *c, const struct sent *sent)
{
    (void)c;
    return sent->kind != PBFT_MSG_CHECKPOINT || sent->to != 4;
}

static void a_follower_gets_the_checkpoint_that_it_missed(void **state)
{
    (void)state;
    struct cluster *c = with_followers(5);
    c->passes = node_4_gets_no_checkpoints;
    assert_int_equal(cluster_submit(c, 1), 0);
    cluster_run(c, 2000);
    cluster_assert_height(c, 2);
    assert_int_equal(cluster_status(c, 0).stable_checkpoint, 2);
    assert_int_not_equal(cluster_status(c, 4).stable_checkpoint, 2);
    c->passes = NULL;
    cluster_run(c, 2000);
    assert_int_equal(cluster_status(c, 4).stable_checkpoint, 2);
    cluster_free(c);
}

static void checkpoints_are_of_the_set_in_force(void **state)
{
    (void)state;
    struct cluster *c = with_followers(5);
    add(c, 0, 4);
    cluster_run(c, 3000);
    struct checkpoint checkpoint;
    struct policy_result result;
    struct policy *policy;
    struct buf text = {0};
    unsigned line;
    char why[128];
    assert_int_equal(policy_format("test", chain_validators(c->nodes[1].chain), &text), 0);
    assert_int_equal(policy_parse(buf_bytes(&text), &policy, &line, why, sizeof(why)), 0);
    assert_int_equal(
        policy_check_note(policy, buf_bytes(&c->nodes[1].checkpoint), &checkpoint, &result), 0);
    assert_int_equal(checkpoint.size, 3); /* that of the very block that changed the set */
    policy_free(policy);
    buf_close(&text);
    cluster_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_member_follows_and_votes_for_nothing),
        cmocka_unit_test(a_stranger_is_told_nothing),
        cmocka_unit_test(who_joins_votes_from_its_first_block_on),
        cmocka_unit_test(the_new_one_takes_its_turn_as_primary),
        cmocka_unit_test(a_network_grows_and_shrinks_under_load),
        cmocka_unit_test(who_leaves_goes_on_as_a_member),
        cmocka_unit_test(the_primary_can_leave),
        cmocka_unit_test(who_was_away_finds_its_way_through_the_sets),
        cmocka_unit_test(a_restarted_joiner_goes_on),
        cmocka_unit_test(a_view_change_just_after_a_change_of_the_set),
        cmocka_unit_test(a_validator_exchanges_its_key_and_goes_on),
        cmocka_unit_test(who_has_a_new_key_is_believed_by_those_behind),
        cmocka_unit_test(a_follower_gets_the_checkpoint_that_it_missed),
        cmocka_unit_test(checkpoints_are_of_the_set_in_force),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
