/* Blocks that are passed on travel beside a signature that covers their header alone. Who passes
 * one on can damage what the header does not bind directly; that is nobody else's fault. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cluster.h"

/* The same header, and one byte more behind the last request's signatures. */
static void damage_block(struct bytes wire, struct buf *out)
{
    struct block block, damaged;
    struct bytes request, last = {0};
    assert_int_equal(block_decode(wire, &block), 0);
    buf_append_str16(out, block.header_wire);
    buf_append_u32(out, block.request_count);
    struct bytes list = block.requests;
    uint32_t left = block.request_count;
    while (block_requests_next(&list, &request)) {
        if (--left > 0)
            buf_append_str32(out, request);
        else
            last = request;
    }
    struct buf longer = {0};
    buf_append_bytes(&longer, last);
    buf_append_u8(&longer, 0);
    buf_append_str32(out, buf_bytes(&longer));
    buf_close(&longer);
    /* It is the block that the header names, as far as the header says. */
    assert_int_equal(block_decode(buf_bytes(out), &damaged), 0);
    assert_true(hash_equal(&damaged.hash, &block.hash));
}

static struct buf captured;
static enum pbft_message_kind wanted;

static bool capture(struct cluster *c, const struct sent *sent)
{
    (void)c;
    if (sent->kind == PBFT_MSG_REQUEST)
        return false;
    if (sent->kind != wanted)
        return sent->kind != PBFT_MSG_COMMIT;
    buf_reset(&captured);
    buf_append_bytes(&captured, buf_bytes(&sent->bytes));
    return false;
}

static void a_damaged_proposal_is_not_held_against_the_primary(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(4);
    cluster_run(c, 20);
    wanted = PBFT_MSG_PRE_PREPARE;
    c->passes = capture;
    assert_int_equal(cluster_submit(c, 0), 0);
    cluster_deliver(c);
    struct msg_vote m;
    struct buf block = {0}, wire = {0}, good = {0};
    buf_append_bytes(&good, buf_bytes(&captured));
    assert_int_equal(message_decode_vote(buf_bytes(&good), PBFT_MSG_PRE_PREPARE, &m), 0);
    damage_block(m.block, &block);
    m.block = buf_bytes(&block);
    message_encode_vote(&m, PBFT_MSG_PRE_PREPARE, &wire);
    for (size_t i = 1; i < 4; i++) {
        cluster_message(c, i, PBFT_MSG_PRE_PREPARE, buf_bytes(&wire), 2);
        assert_int_equal(c->nodes[i].noted[PBFT_NOTE_REFUSED], 1);
        assert_string_equal(cluster_status(c, i).state, "idle");
    }
    cluster_run(c, 3000);
    for (size_t i = 1; i < 4; i++)
        assert_int_equal(cluster_status(c, i).view, 0);
    /* And the whole one is taken when it comes. */
    for (size_t i = 1; i < 4; i++)
        cluster_message(c, i, PBFT_MSG_PRE_PREPARE, buf_bytes(&good), 0);
    cluster_deliver(c);
    assert_string_equal(cluster_status(c, 1).state, "prepared");
    buf_close(&block);
    buf_close(&wire);
    buf_close(&good);
    buf_close(&captured);
    cluster_free(c);
}

static void a_new_view_with_a_damaged_block_is_refused_and_the_whole_one_taken(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(4);
    cluster_run(c, 20);
    wanted = PBFT_MSG_NEW_VIEW;
    c->passes = capture;
    struct buf request = {0};
    cluster_request(c, &request);
    for (size_t i = 0; i < 4; i++) {
        struct pbft_event event = {.kind = PBFT_EVENT_REQUEST, .request = buf_bytes(&request)};
        assert_int_equal(cluster_step(c, i, &event), 0);
    }
    buf_close(&request);
    cluster_deliver(c);
    assert_string_equal(cluster_status(c, 3).state, "prepared");
    c->down[0] = true;
    for (int i = 0; i < 1000 && captured.n == 0; i++)
        cluster_run(c, 10);
    static struct msg_new_view m;
    assert_int_equal(message_decode_new_view(buf_bytes(&captured), &m), 0);
    assert_true(m.again);
    struct buf block = {0}, wire = {0}, good = {0};
    buf_append_bytes(&good, buf_bytes(&captured));
    damage_block(m.block, &block);
    buf_append_bytes(&wire, m.head.signed_part);
    buf_append_str32(&wire, buf_bytes(&block));
    cluster_message(c, 3, PBFT_MSG_NEW_VIEW, buf_bytes(&wire), 2);
    assert_string_equal(cluster_status(c, 3).state, "changing");
    assert_int_equal(c->nodes[3].noted[PBFT_NOTE_MISBEHAVIOUR], 0);
    cluster_message(c, 3, PBFT_MSG_NEW_VIEW, buf_bytes(&good), 1);
    assert_string_equal(cluster_status(c, 3).state, "proposed");
    buf_close(&block);
    buf_close(&wire);
    buf_close(&good);
    buf_close(&captured);
    cluster_free(c);
}

/* Replica 1, the next primary, hears nothing of the proposal. */
static bool capture_without_proposals(struct cluster *c, const struct sent *sent)
{
    return (sent->kind != PBFT_MSG_PRE_PREPARE || sent->to != 1) && capture(c, sent);
}

static void a_view_change_with_a_damaged_block_brings_none(void **state)
{
    (void)state;
    struct cluster *c = cluster_new(4);
    cluster_run(c, 20);
    wanted = PBFT_MSG_VIEW_CHANGE;
    c->passes = capture_without_proposals;
    struct buf request = {0};
    cluster_request(c, &request);
    for (size_t i = 0; i < 4; i++) {
        struct pbft_event event = {.kind = PBFT_EVENT_REQUEST, .request = buf_bytes(&request)};
        assert_int_equal(cluster_step(c, i, &event), 0);
    }
    buf_close(&request);
    cluster_deliver(c);
    assert_string_equal(cluster_status(c, 2).state, "prepared");
    c->down[0] = true;
    static struct msg_view_change m;
    bool has_block = false;
    for (int i = 0; i < 1000 && !has_block; i++) {
        cluster_run(c, 10);
        has_block = captured.n != 0 && message_decode_view_change(buf_bytes(&captured), &m) == 0 &&
                    m.block.n != 0;
    }
    assert_true(has_block);
    struct buf block = {0}, wire = {0};
    damage_block(m.block, &block);
    buf_append_bytes(&wire, m.head.signed_part);
    buf_append_str32(&wire, buf_bytes(&block));
    size_t refused = c->nodes[1].noted[PBFT_NOTE_REFUSED];
    cluster_message(c, 1, PBFT_MSG_VIEW_CHANGE, buf_bytes(&wire), 2);
    assert_int_equal(c->nodes[1].noted[PBFT_NOTE_REFUSED], refused + 1);
    /* The others' help is enough. */
    c->passes = NULL;
    cluster_run(c, 6000);
    assert_int_equal(c->nodes[1].height, 1);
    assert_int_equal(c->nodes[1].noted[PBFT_NOTE_MISBEHAVIOUR], 0);
    buf_close(&block);
    buf_close(&wire);
    buf_close(&captured);
    cluster_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_damaged_proposal_is_not_held_against_the_primary),
        cmocka_unit_test(a_new_view_with_a_damaged_block_is_refused_and_the_whole_one_taken),
        cmocka_unit_test(a_view_change_with_a_damaged_block_brings_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
