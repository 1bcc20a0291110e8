/* Which steps must be durable before their messages leave: docs/spec/consensus.md, "What is
 * durable". The host leaves out a sync wherever the core does not ask for one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cluster.h"

#define KINDS    32
#define SAID_MAX 512

/* What was seen of one node's updates. */
struct said {
    struct buf words[SAID_MAX]; /* every vote, once */
    size_t n;
    size_t durable, lazy;         /* steps that write something */
    size_t durable_without_slots; /* a block alone, since it says what was voted */
};

static struct said said[NODES_MAX];
static size_t first_words[KINDS]; /* by kind of message: said for the first time */

/* Whoever signed one of these and forgets it could contradict it. */
static bool binds(enum pbft_message_kind kind)
{
    return kind == PBFT_MSG_PRE_PREPARE || kind == PBFT_MSG_PREPARE || kind == PBFT_MSG_COMMIT ||
           kind == PBFT_MSG_VIEW_CHANGE || kind == PBFT_MSG_NEW_VIEW;
}

/* Not what it said already, and not another's words that it passes on. */
static bool is_new(struct said *of, struct bytes words)
{
    if (words.p[2] != of - said)
        return false;
    for (size_t i = 0; i < of->n; i++)
        if (bytes_equal(buf_bytes(&of->words[i]), words))
            return false;
    assert_true(of->n < SAID_MAX);
    buf_append_bytes(&of->words[of->n++], words);
    return true;
}

#define POINT_AT 3 /* in every vote: u64 view || u64 height || header hash */
#define POINT_N  (8 + 8 + HASH_SIZE)

/* A PREPARE for the proposal that its slot has kept since an earlier step follows from that. */
static bool follows_from_slot(const struct node *node, const struct pbft_message *m)
{
    struct bytes kept = buf_bytes(&node->slots[PBFT_SLOT_PROPOSAL]);
    return m->kind == PBFT_MSG_PREPARE && kept.n >= POINT_AT + POINT_N &&
           memcmp(kept.p + POINT_AT, m->bytes.p + POINT_AT, POINT_N) == 0;
}

static void check_step(struct cluster *c, size_t node, int error, const struct pbft_update *update)
{
    struct said *of = &said[node];
    bool has_new_words = false;
    assert_int_equal(error, 0);
    for (size_t i = 0; i < update->message_count; i++) {
        const struct pbft_message *m = &update->messages[i];
        if (!binds(m->kind) || !is_new(of, m->bytes))
            continue;
        assert_true((size_t)m->kind < KINDS);
        first_words[m->kind]++;
        has_new_words = true;
        if (!update->must_be_durable && !follows_from_slot(&c->nodes[node], m))
            fail_msg("node %zu says %s before it is durable", node, pbft_message_topic(m->kind));
    }
    if (update->write_count != 0)
        assert_true(update->must_be_durable);
    bool writes = update->write_count != 0 || update->block_count != 0 || update->checkpoint.n != 0;
    if (!update->must_be_durable) {
        of->lazy += writes;
        return;
    }
    of->durable += writes;
    if (update->write_count == 0) {
        of->durable_without_slots++;
        /* There is no sync for nothing: what was said is in the block. */
        assert_true(has_new_words && update->block_count != 0);
    }
}

static struct cluster *watched(size_t n)
{
    memset(said, 0, sizeof(said));
    memset(first_words, 0, sizeof(first_words));
    struct cluster *c = cluster_new(n);
    c->after = check_step;
    for (size_t i = 0; i < n; i++)
        cluster_tick(c, i);
    cluster_deliver(c);
    return c;
}

static void end(struct cluster *c)
{
    for (size_t i = 0; i < NODES_MAX; i++)
        for (size_t k = 0; k < said[i].n; k++)
            buf_close(&said[i].words[k]);
    cluster_free(c);
}

static void a_block_costs_each_node_two_durable_steps(void **state)
{
    (void)state;
    struct cluster *c = watched(4);
    assert_int_equal(cluster_submit(c, 0), 0);
    cluster_deliver(c);
    for (size_t height = 2; height <= 6; height++) {
        struct said before[4];
        memcpy(before, said, sizeof(before));
        assert_int_equal(cluster_submit(c, height % 4), 0);
        cluster_deliver(c);
        cluster_assert_height(c, height);
        for (size_t i = 0; i < 4; i++) {
            assert_int_equal(said[i].durable - before[i].durable, 2); /* proposal, prepared */
            assert_true(said[i].lazy > before[i].lazy);               /* the block, a checkpoint */
        }
    }
    end(c);
}

static void nothing_that_binds_is_said_before_it_is_durable(void **state)
{
    (void)state;
    struct cluster *c = watched(4);
    for (size_t round = 0; round < 3; round++) {
        for (size_t i = 0; i < 4; i++)
            assert_int_equal(cluster_submit(c, i), 0);
        cluster_run(c, 200);
        size_t primary = (size_t)cluster_status(c, 3).primary;
        c->down[primary] = true;
        assert_int_equal(cluster_submit(c, (primary + 1) % 4), 0);
        cluster_run(c, 8000);
        c->down[primary] = false;
        for (size_t i = 0; i < 4; i++)
            assert_int_equal(cluster_restart(c, i), 0);
        cluster_run(c, 8000);
    }
    cluster_assert_height(c, cluster_status(c, 0).height);
    assert_true(cluster_status(c, 0).view >= 3);
    for (int kind = 0; kind < KINDS; kind++)
        if (binds((enum pbft_message_kind)kind))
            assert_true(first_words[kind] > 0);
    end(c);
}

static struct buf kept_back;

static bool without_proposal_for_the_last(struct cluster *c, const struct sent *sent)
{
    if (sent->kind != PBFT_MSG_PRE_PREPARE || sent->to != (int)c->n - 1)
        return true;
    buf_reset(&kept_back);
    buf_append_bytes(&kept_back, buf_bytes(&sent->bytes));
    return false;
}

static void a_vote_that_only_the_block_remembers_makes_the_block_durable(void **state)
{
    (void)state;
    struct cluster *c = watched(4);
    c->passes = without_proposal_for_the_last;
    assert_int_equal(cluster_submit(c, 0), 0);
    cluster_deliver(c);
    assert_int_equal(c->nodes[0].height, 1);
    assert_int_equal(c->nodes[3].height, 0);
    size_t before = said[3].durable_without_slots;
    assert_int_equal(cluster_message(c, 3, PBFT_MSG_PRE_PREPARE, buf_bytes(&kept_back), 0), 0);
    cluster_deliver(c);
    assert_int_equal(c->nodes[3].height, 1);
    assert_int_equal(said[3].durable_without_slots, before + 1);
    buf_close(&kept_back);
    end(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_costs_each_node_two_durable_steps),
        cmocka_unit_test(nothing_that_binds_is_said_before_it_is_durable),
        cmocka_unit_test(a_vote_that_only_the_block_remembers_makes_the_block_durable),
    };
    return crypto_init() != 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
