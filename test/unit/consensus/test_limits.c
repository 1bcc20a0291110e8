#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cluster.h"

static void send_vote(struct cluster *c, size_t to, int from, enum pbft_message_kind kind,
                      uint64_t view, uint64_t height, uint8_t header)
{
    struct msg_vote m = {.sender = from, .view = view, .height = height, .header = {{header}}};
    struct vote tuple = {.view = view, .height = height, .header = m.header};
    struct buf wire = {0};
    validator_set_hash(&c->genesis.validators, &tuple.validators);
    vote_sign(&c->nodes[from].key, kind == PBFT_MSG_COMMIT ? COMMIT_LABEL : PREPARE_LABEL,
              &c->genesis.hash, &tuple, &m.signature);
    message_encode_vote(&m, kind, &wire);
    assert_int_equal(cluster_message(c, to, kind, buf_bytes(&wire), from), 0);
    buf_close(&wire);
}

static void votes_of_far_views_do_not_keep_out_those_that_count(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(4);
    cluster_run(c, 20);
    for (uint64_t view = 0; view < 200; view++)
        for (size_t to = 0; to < 2; to++)
            send_vote(c, to, 3, view % 2 == 0 ? PBFT_MSG_COMMIT : PBFT_MSG_PREPARE, 1000 + view,
                      1 + view % 3, 1);
    c->down[2] = true; /* so that its vote is needed */
    assert_int_equal(cluster_submit(c, 1), 0);
    cluster_deliver(c);
    cluster_assert_height(c, 1);
    cluster_free(c);
}

static void a_vote_that_contradicts_another_is_noted_and_the_first_counts(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(4);
    send_vote(c, 1, 2, PBFT_MSG_PREPARE, 0, 1, 1);
    send_vote(c, 1, 2, PBFT_MSG_PREPARE, 0, 1, 1);
    send_vote(c, 1, 2, PBFT_MSG_COMMIT, 0, 1, 2);
    assert_int_equal(c->nodes[1].noted[PBFT_NOTE_MISBEHAVIOUR], 0);
    send_vote(c, 1, 2, PBFT_MSG_PREPARE, 0, 1, 2);
    assert_int_equal(c->nodes[1].noted[PBFT_NOTE_MISBEHAVIOUR], 1);
    cluster_free(c);
}

static void votes_for_another_network_or_by_a_stranger_are_refused(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(4);
    c->genesis.hash.b[0] ^= 1;
    send_vote(c, 1, 2, PBFT_MSG_PREPARE, 0, 1, 1);
    c->genesis.hash.b[0] ^= 1;
    assert_int_equal(c->nodes[1].noted[PBFT_NOTE_REFUSED], 1);
    assert_int_equal(c->nodes[1].last_error, SEALMQ_E_SIGNATURE);
    send_vote(c, 1, 5, PBFT_MSG_PREPARE, 0, 1, 1); /* no such validator */
    assert_int_equal(c->nodes[1].last_error, SEALMQ_E_UNKNOWN);
    assert_int_equal(cluster_message(c, 1, (enum pbft_message_kind)77, BYTES_LIT("x"), 2), 0);
    assert_int_equal(c->nodes[1].last_error, SEALMQ_E_TYPE);
    assert_int_equal(c->nodes[1].noted[PBFT_NOTE_REFUSED], 3);
    cluster_free(c);
}

static void forged_checkpoint_lines_take_no_place_of_true_ones(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(4);
    cluster_run(c, 20);
    struct buf wire = {0};
    for (uint64_t size = 2; size < 12; size++) {
        for (int from = 0; from < 4; from++) {
            struct msg_checkpoint m = {.sender = from, .size = size, .lines = BYTES_LIT("forged")};
            buf_reset(&wire);
            message_encode_checkpoint(&m, &wire);
            for (size_t to = 0; to < 4; to++)
                assert_int_equal(cluster_message(c, to, PBFT_MSG_CHECKPOINT, buf_bytes(&wire), -1),
                                 0);
        }
    }
    for (size_t height = 1; height <= 3; height++) {
        assert_int_equal(cluster_submit(c, 1), 0);
        cluster_deliver(c);
        for (size_t i = 0; i < 4; i++)
            assert_int_equal(cluster_status(c, i).stable_checkpoint, height);
    }
    buf_close(&wire);
    cluster_free(c);
}

static void what_a_liar_sends_for_views_to_come_is_kept_once(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(4);
    struct hash validators;
    validator_set_hash(&c->genesis.validators, &validators);
    for (uint64_t view = 1; view < 100; view++) {
        struct buf fields = {0}, wire = {0};
        struct msg_view_change m = {.view = view * 1000000007};
        message_fields_view_change(&m, &fields);
        message_sign(PBFT_MSG_VIEW_CHANGE, 3, buf_bytes(&fields), &c->nodes[3].key,
                     &c->genesis.hash, &validators, &wire);
        buf_append_u32(&wire, 0);
        assert_int_equal(cluster_message(c, 1, PBFT_MSG_VIEW_CHANGE, buf_bytes(&wire), 3), 0);
        buf_close(&fields);
        buf_close(&wire);
    }
    assert_int_equal(cluster_status(c, 1).view, 0);
    cluster_run(c, 100);
    assert_int_equal(cluster_submit(c, 1), 0);
    cluster_deliver(c);
    cluster_assert_height(c, 1);
    cluster_free(c);
}

static void certificates_in_a_view_change_are_verified(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(4);
    struct hash validators;
    validator_set_hash(&c->genesis.validators, &validators);
    struct certificate certificate = {.view = 0, .height = 1, .header = {{5}}, .n = 3};
    for (uint8_t i = 0; i < 3; i++) {
        struct vote tuple = {.height = 1, .header = certificate.header, .validators = validators};
        certificate.votes[i].validator = (uint8_t)(i + 1); /* the primary's is not among them */
        vote_sign(&c->nodes[i + 1].key, PREPARE_LABEL, &c->genesis.hash, &tuple,
                  &certificate.votes[i].signature);
    }
    for (int round = 0; round < 4; round++) {
        struct buf prepared = {0}, fields = {0}, wire = {0};
        struct msg_view_change m = {.view = 1, .prepared = true};
        struct certificate changed = certificate;
        if (round > 0) { /* with it, but something else is wrong */
            struct vote tuple = {.height = 1, .header = certificate.header};
            tuple.validators = validators;
            changed.votes[0].validator = 0;
            vote_sign(&c->nodes[0].key, PREPARE_LABEL, &c->genesis.hash, &tuple,
                      &changed.votes[0].signature);
            changed.votes[1].validator = 1;
            changed.votes[1].signature = certificate.votes[0].signature;
            changed.votes[2].validator = 2;
            changed.votes[2].signature = certificate.votes[1].signature;
        }
        if (round == 1)
            changed.votes[2].signature.b[3] ^= 1;
        if (round == 2)
            changed.height = 2;
        certificate_encode(&changed, &prepared);
        m.prepared_certificate = buf_bytes(&prepared);
        message_fields_view_change(&m, &fields);
        message_sign(PBFT_MSG_VIEW_CHANGE, 3, buf_bytes(&fields), &c->nodes[3].key,
                     &c->genesis.hash, &validators, &wire);
        buf_append_u32(&wire, 0);
        size_t refused = c->nodes[1].noted[PBFT_NOTE_REFUSED];
        assert_int_equal(cluster_message(c, 1, PBFT_MSG_VIEW_CHANGE, buf_bytes(&wire), 3), 0);
        assert_int_equal(c->nodes[1].noted[PBFT_NOTE_REFUSED] - refused, round == 3 ? 0 : 1);
        buf_close(&prepared);
        buf_close(&fields);
        buf_close(&wire);
    }
    cluster_free(c);
}

static void events_that_make_no_sense_are_harmless(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(4);
    struct pbft_event served = {.kind = PBFT_EVENT_SERVED};
    for (int peer = -1; peer < 6; peer++) {
        served.served.peer = peer;
        assert_int_equal(cluster_step(c, 1, &served), 0);
        struct pbft_event connected = {.kind = PBFT_EVENT_CONNECTED, .peer = peer};
        assert_int_equal(cluster_step(c, 1, &connected), 0);
    }
    struct pbft_event verified = {.kind = PBFT_EVENT_VERIFIED};
    verified.verified.valid = true;
    assert_int_equal(cluster_step(c, 1, &verified), 0);
    struct pbft_event unknown = {.kind = (enum pbft_event_kind)50};
    assert_int_equal(cluster_step(c, 1, &unknown), SEALMQ_E_ARG);
    for (int kind = 0; kind < 12; kind++)
        assert_int_equal(cluster_message(c, 1, (enum pbft_message_kind)kind, (struct bytes){0}, -1),
                         0);
    cluster_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(votes_of_far_views_do_not_keep_out_those_that_count),
        cmocka_unit_test(a_vote_that_contradicts_another_is_noted_and_the_first_counts),
        cmocka_unit_test(votes_for_another_network_or_by_a_stranger_are_refused),
        cmocka_unit_test(forged_checkpoint_lines_take_no_place_of_true_ones),
        cmocka_unit_test(what_a_liar_sends_for_views_to_come_is_kept_once),
        cmocka_unit_test(certificates_in_a_view_change_are_verified),
        cmocka_unit_test(events_that_make_no_sense_are_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
