#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cluster.h"

static void forget_messages(struct cluster *c)
{
    for (size_t i = c->first; i < c->count; i++)
        buf_close(&c->queue[i].bytes);
    c->first = c->count = 0;
}

/* The signature of the first message of this kind that the node has queued. */
static bool find_sent(const struct cluster *c, int from, enum pbft_message_kind kind,
                      struct buf *out)
{
    for (size_t i = c->first; i < c->count; i++) {
        const struct sent *sent = &c->queue[i];
        if (sent->from != from || sent->kind != kind)
            continue;
        buf_reset(out);
        buf_append_bytes(out, buf_bytes(&sent->bytes));
        return true;
    }
    return false;
}

static bool nothing(struct cluster *c, const struct sent *sent)
{
    (void)c;
    (void)sent;
    return false;
}

static bool no_commits(struct cluster *c, const struct sent *sent)
{
    (void)c;
    return sent->kind != PBFT_MSG_COMMIT;
}

static void a_new_replica_writes_its_view_first_of_all(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(4);
    assert_int_equal(c->nodes[1].slots[PBFT_SLOT_VIEW].n, 0);
    cluster_tick(c, 1);
    assert_int_not_equal(c->nodes[1].slots[PBFT_SLOT_VIEW].n, 0);
    cluster_free(c);
}

static void a_restarted_primary_proposes_the_same_block_again(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(4);
    struct buf before = {0}, after = {0};
    assert_int_equal(cluster_submit(c, 0), 0);
    assert_true(find_sent(c, 0, PBFT_MSG_PRE_PREPARE, &before));
    forget_messages(c); /* nobody got it */
    c->wall_us += 77;
    assert_int_equal(cluster_restart(c, 0), 0);
    assert_string_equal(cluster_status(c, 0).state, "proposed");
    assert_int_equal(cluster_submit(c, 0), 0); /* more requests make no second proposal */
    assert_false(find_sent(c, 0, PBFT_MSG_PRE_PREPARE, &after) &&
                 !bytes_equal(buf_bytes(&before), buf_bytes(&after)));
    c->passes = no_commits;
    cluster_run(c, 700);
    assert_true(c->nodes[0].height == 0);
    c->passes = NULL;
    cluster_run(c, 1000);
    struct msg_vote m;
    assert_int_equal(message_decode_vote(buf_bytes(&before), PBFT_MSG_PRE_PREPARE, &m), 0);
    struct hash hash = cluster_block_hash(c, 1, 1);
    assert_true(hash_equal(&m.header, &hash));
    buf_close(&before);
    buf_close(&after);
    cluster_free(c);
}

static void a_restarted_replica_says_its_votes_again_in_the_same_words(void **state)
{
    (void)state;
    static const enum pbft_message_kind kinds[] = {PBFT_MSG_PREPARE, PBFT_MSG_COMMIT};
    struct cluster *c = cluster_new(4);
    struct buf said[2] = {0}, again = {0};
    c->passes = no_commits;
    assert_int_equal(cluster_submit(c, 0), 0);
    cluster_deliver(c);
    assert_string_equal(cluster_status(c, 2).state, "prepared");
    c->now_ms += 600;
    cluster_tick(c, 2);
    for (int k = 0; k < 2; k++)
        assert_true(find_sent(c, 2, kinds[k], &said[k]));
    forget_messages(c);
    assert_int_equal(cluster_restart(c, 2), 0);
    assert_string_equal(cluster_status(c, 2).state, "prepared");
    c->now_ms += 600;
    cluster_tick(c, 2);
    for (int k = 0; k < 2; k++) {
        assert_true(find_sent(c, 2, kinds[k], &again));
        assert_true(bytes_equal(buf_bytes(&said[k]), buf_bytes(&again)));
        buf_close(&said[k]);
    }
    c->passes = NULL;
    cluster_run(c, 2000);
    cluster_assert_height(c, 1);
    buf_close(&again);
    cluster_free(c);
}

static void a_restarted_replica_takes_no_other_proposal_for_what_it_voted(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(4);
    struct buf first = {0}, second = {0};
    c->passes = nothing;
    assert_int_equal(cluster_submit(c, 0), 0);
    assert_true(find_sent(c, 0, PBFT_MSG_PRE_PREPARE, &first));
    forget_messages(c);
    assert_int_equal(cluster_message(c, 1, PBFT_MSG_PRE_PREPARE, buf_bytes(&first), 0), 0);
    assert_int_equal(c->nodes[1].votes_sent, 1);
    assert_int_equal(cluster_restart(c, 1), 0);
    /* The primary loses its store and proposes another block in the same view. */
    for (size_t i = 0; i < PBFT_SLOTS; i++)
        buf_reset(&c->nodes[0].slots[i]);
    assert_int_equal(cluster_restart(c, 0), 0);
    c->requests = 0;
    c->wall_us += 1000;
    forget_messages(c);
    assert_int_equal(cluster_submit(c, 0), 0);
    assert_true(find_sent(c, 0, PBFT_MSG_PRE_PREPARE, &second));
    assert_false(bytes_equal(buf_bytes(&first), buf_bytes(&second)));
    assert_int_equal(cluster_message(c, 1, PBFT_MSG_PRE_PREPARE, buf_bytes(&second), 0), 0);
    assert_int_equal(c->nodes[1].votes_sent, 1);
    assert_int_equal(c->nodes[1].noted[PBFT_NOTE_MISBEHAVIOUR], 1);
    buf_close(&first);
    buf_close(&second);
    cluster_free(c);
}

static void a_view_change_survives_a_restart_with_what_was_prepared(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(4);
    struct buf before = {0}, after = {0};
    cluster_run(c, 20);
    c->passes = no_commits;
    assert_int_equal(cluster_submit(c, 0), 0);
    cluster_deliver(c);
    c->down[0] = c->down[1] = true; /* no new view can begin */
    struct hash validators;
    validator_set_hash(&c->genesis.validators, &validators);
    for (int i = 0; i < 4; i += 3) { /* two others leave: 2 follows */
        struct buf fields = {0}, wire = {0};
        struct msg_view_change m = {.view = 1};
        message_fields_view_change(&m, &fields);
        message_sign(PBFT_MSG_VIEW_CHANGE, i, buf_bytes(&fields), &c->nodes[i].key,
                     &c->genesis.hash, &validators, &wire);
        buf_append_u32(&wire, 0);
        assert_int_equal(cluster_message(c, 2, PBFT_MSG_VIEW_CHANGE, buf_bytes(&wire), i), 0);
        buf_close(&fields);
        buf_close(&wire);
    }
    assert_string_equal(cluster_status(c, 2).state, "changing");
    assert_true(find_sent(c, 2, PBFT_MSG_VIEW_CHANGE, &before));
    struct msg_view_change m;
    assert_int_equal(message_decode_view_change(buf_bytes(&before), &m), 0);
    assert_true(m.prepared);
    forget_messages(c);
    assert_int_equal(cluster_restart(c, 2), 0);
    assert_string_equal(cluster_status(c, 2).state, "changing");
    assert_int_equal(cluster_status(c, 2).view, 1);
    c->now_ms += 600;
    cluster_tick(c, 2);
    assert_true(find_sent(c, 2, PBFT_MSG_VIEW_CHANGE, &after));
    assert_true(bytes_equal(buf_bytes(&before), buf_bytes(&after)));
    c->down[0] = c->down[1] = false;
    c->passes = NULL;
    cluster_run(c, 10000);
    cluster_assert_height(c, 1);
    buf_close(&before);
    buf_close(&after);
    cluster_free(c);
}

static void a_new_view_and_its_choice_survive_a_restart(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(4);
    cluster_run(c, 20);
    c->passes = no_commits;
    assert_int_equal(cluster_submit(c, 0), 0);
    cluster_deliver(c);
    c->down[0] = true;
    while (cluster_status(c, 2).view == 0 || cluster_status(c, 2).state[0] == 'c')
        cluster_run(c, 10);
    assert_int_equal(cluster_status(c, 2).view, 1);
    for (size_t i = 1; i < 4; i++) {
        assert_int_equal(cluster_restart(c, i), 0);
        assert_int_equal(cluster_status(c, i).view, 1);
    }
    /* Replica 0 still is in view 0: it hears of view 1 from one that was restarted. */
    c->down[0] = false;
    cluster_run(c, 900);
    assert_int_equal(cluster_status(c, 0).view, 1);
    c->passes = NULL;
    cluster_run(c, 3000);
    cluster_assert_height(c, 1);
    struct block block;
    assert_int_equal(block_decode(c->nodes[0].stored[0].block, &block), 0);
    assert_int_equal(block.header.view, 0);
    cluster_free(c);
}

static bool prepares_to_3_only(struct cluster *c, const struct sent *sent)
{
    (void)c;
    return sent->kind != PBFT_MSG_COMMIT && (sent->kind != PBFT_MSG_PREPARE || sent->to == 3);
}

static bool no_votes(struct cluster *c, const struct sent *sent)
{
    (void)c;
    return sent->kind != PBFT_MSG_COMMIT && sent->kind != PBFT_MSG_PREPARE;
}

static void what_was_prepared_survives_beside_another_proposal(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(4);
    cluster_run(c, 20);
    c->passes = prepares_to_3_only;
    assert_int_equal(cluster_submit(c, 0), 0);
    cluster_deliver(c);
    assert_string_equal(cluster_status(c, 3).state, "prepared");
    assert_string_equal(cluster_status(c, 2).state, "proposed");
    struct msg_vote first;
    assert_int_equal(message_decode_vote(buf_bytes(&c->nodes[3].slots[PBFT_SLOT_PROPOSAL]),
                                         PBFT_MSG_PRE_PREPARE, &first),
                     0);
    /* The others go on without it; nothing was prepared for them. */
    c->down[3] = true;
    c->passes = no_votes;
    while (cluster_status(c, 2).view == 0 || cluster_status(c, 2).state[0] != 'p')
        cluster_run(c, 10);
    c->down[3] = false;
    while (cluster_status(c, 3).state[0] != 'p' || cluster_status(c, 3).view == 0)
        cluster_run(c, 10);
    struct msg_vote second;
    assert_int_equal(message_decode_vote(buf_bytes(&c->nodes[3].slots[PBFT_SLOT_PROPOSAL]),
                                         PBFT_MSG_PRE_PREPARE, &second),
                     0);
    assert_false(hash_equal(&first.header, &second.header));
    assert_int_equal(cluster_restart(c, 3), 0);
    assert_string_equal(cluster_status(c, 3).state, "proposed");
    /* When it leaves that view too, it says what it had prepared in view 0. */
    struct buf wire = {0};
    while (!find_sent(c, 3, PBFT_MSG_VIEW_CHANGE, &wire)) {
        cluster_deliver(c);
        c->now_ms += 10;
        for (size_t i = 0; i < 4; i++)
            cluster_tick(c, i);
    }
    struct msg_view_change change;
    struct certificate certificate;
    assert_int_equal(message_decode_view_change(buf_bytes(&wire), &change), 0);
    assert_true(change.prepared);
    assert_int_equal(certificate_decode(change.prepared_certificate, &certificate), 0);
    assert_int_equal(certificate.view, 0);
    c->passes = NULL;
    cluster_run(c, 20000);
    cluster_assert_height(c, 1);
    buf_close(&wire);
    cluster_free(c);
}

static void slots_of_heights_that_are_final_are_no_matter(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(4);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(cluster_submit(c, 1), 0);
        cluster_deliver(c);
    }
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(cluster_restart(c, i), 0);
        assert_string_equal(cluster_status(c, i).state, "idle");
        assert_int_equal(cluster_status(c, i).height, 3);
    }
    cluster_run(c, 1000); /* they sign their newest checkpoint again */
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(cluster_status(c, i).stable_checkpoint, 3);
    assert_int_equal(cluster_submit(c, 1), 0);
    cluster_deliver(c);
    cluster_assert_height(c, 4);
    cluster_free(c);
}

static void damaged_slots_are_refused(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(4);
    c->passes = no_commits;
    assert_int_equal(cluster_submit(c, 0), 0);
    cluster_deliver(c);
    struct node *node = &c->nodes[2];
    for (int slot = PBFT_SLOT_VIEW; slot <= PBFT_SLOT_PREPARED; slot++) {
        struct buf whole = node->slots[slot];
        assert_int_not_equal(whole.n, 0);
        for (size_t n = 1; n < whole.n; n += n < 200 ? 1 : 97) {
            node->slots[slot].n = n;
            assert_int_equal(cluster_restart(c, 2), SEALMQ_E_CORRUPT);
        }
        node->slots[slot].n = whole.n;
        for (size_t i = 0; i < whole.n; i++) { /* no crash, whatever it is taken for */
            node->slots[slot].p[i] ^= 0x41;
            int error = cluster_restart(c, 2);
            assert_true(error == 0 || error == SEALMQ_E_CORRUPT);
            node->slots[slot].p[i] ^= 0x41;
        }
    }
    assert_int_equal(cluster_restart(c, 2), 0);
    cluster_free(c);
}

static void slots_that_contradict_the_chain_are_refused(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(4);
    assert_int_equal(cluster_submit(c, 0), 0);
    cluster_deliver(c);
    c->passes = no_commits;
    assert_int_equal(cluster_submit(c, 0), 0);
    cluster_deliver(c);
    assert_string_equal(cluster_status(c, 2).state, "prepared");
    c->nodes[2].height = 0; /* the blocks are older than the votes */
    assert_int_equal(cluster_restart(c, 2), SEALMQ_E_CORRUPT);
    c->nodes[2].height = 1;
    assert_int_equal(cluster_restart(c, 2), 0);
    struct bytes certificate = c->nodes[2].stored[0].certificate;
    c->nodes[2].stored[0].certificate = (struct bytes){0};
    assert_int_equal(cluster_restart(c, 2), SEALMQ_E_CORRUPT);
    c->nodes[2].stored[0].certificate = certificate;
    cluster_free(c);
}

static void a_validator_without_its_own_key_only_follows(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(2);
    struct sign_key own = c->nodes[0].key;
    c->nodes[0].key = c->nodes[1].key;
    assert_int_equal(cluster_restart(c, 0), 0);
    assert_false(cluster_status(c, 0).votes);
    assert_string_equal(cluster_status(c, 0).state, "following");
    c->nodes[0].key = own;
    cluster_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_replica_writes_its_view_first_of_all),
        cmocka_unit_test(a_restarted_primary_proposes_the_same_block_again),
        cmocka_unit_test(a_restarted_replica_says_its_votes_again_in_the_same_words),
        cmocka_unit_test(a_restarted_replica_takes_no_other_proposal_for_what_it_voted),
        cmocka_unit_test(a_view_change_survives_a_restart_with_what_was_prepared),
        cmocka_unit_test(a_new_view_and_its_choice_survive_a_restart),
        cmocka_unit_test(what_was_prepared_survives_beside_another_proposal),
        cmocka_unit_test(slots_of_heights_that_are_final_are_no_matter),
        cmocka_unit_test(damaged_slots_are_refused),
        cmocka_unit_test(slots_that_contradict_the_chain_are_refused),
        cmocka_unit_test(a_validator_without_its_own_key_only_follows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
