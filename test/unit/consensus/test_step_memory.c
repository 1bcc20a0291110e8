/* Out of memory at every single allocation of a replica's steps, through proposals, a view change
 * with a prepared block, and catch-up: such a step has no update, and once the replica is made anew
 * from its store, all goes on and nobody disagrees. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cluster.h"
#include "lib/failing_memory.h"

static size_t fail_node, fail_step, fail_allocation;
static size_t step;          /* of that node */
static bool failed, no_more; /* the step was reached; it has no such allocation */

static void before(struct cluster *c, size_t node)
{
    (void)c;
    if (node == fail_node && step++ == fail_step)
        memory_fail_at(fail_allocation);
}

static void after(struct cluster *c, size_t node, int error, const struct pbft_update *update)
{
    if (node != fail_node || step != fail_step + 1 || failed)
        return;
    failed = true;
    no_more = !memory_has_failed();
    /* Some can be done without: a choice of fewer requests, say. */
    if (error != SEALMQ_E_NOMEM)
        return;
    assert_false(no_more);
    assert_int_equal(update->write_count, 0);
    assert_int_equal(update->block_count, 0);
    assert_int_equal(update->message_count, 0);
    assert_int_equal(update->checkpoint.n, 0);
    struct pbft_event tick = {.kind = PBFT_EVENT_TICK, .now_ms = c->now_ms};
    struct pbft_update next;
    assert_int_equal(pbft_step(c->nodes[node].pbft, &tick, &next), SEALMQ_E_NOMEM);
    assert_int_equal(next.message_count, 0);
}

static bool no_commits(struct cluster *c, const struct sent *sent)
{
    (void)c;
    return sent->kind != PBFT_MSG_COMMIT;
}

/* Returns how many steps the node made. */
static size_t run(size_t node, size_t at_step, size_t allocation)
{
    struct cluster *c = cluster_new(4);
    fail_node = node;
    fail_step = at_step;
    fail_allocation = allocation;
    step = 0;
    failed = no_more = false;
    cluster_run(c, 10);
    c->before = before;
    c->after = after;
    c->passes = no_commits;
    c->down[3] = true;
    (void)cluster_submit(c, 2);
    cluster_deliver(c);
    c->down[0] = true; /* one prepared block, and no primary */
    c->down[3] = false;
    cluster_run(c, 1300);
    c->passes = NULL;
    c->down[0] = false;
    cluster_run(c, 9000);
    (void)cluster_submit(c, 3);
    cluster_run(c, 6000);
    size_t steps = step;
    assert_true(c->nodes[1].height >= 1);
    cluster_assert_height(c, c->nodes[1].height);
    cluster_free(c);
    return steps;
}

static void every_allocation_of_every_step_may_fail(void **state)
{
    size_t node = *(const size_t *)*state;
    size_t steps = run(node, SIZE_MAX - 1, 0), tried = 0;
    assert_true(steps > 20);
    /* Once all is settled the steps are alike. */
    for (size_t s = 0; s < steps && s < 70; s++) {
        for (size_t allocation = 1;; allocation++) {
            run(node, s, allocation);
            tried++;
            if (!failed || no_more)
                break;
        }
    }
    print_message("%zu runs\n", tried);
}

int main(void)
{
    static size_t next_primary = 1, backup = 2;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(every_allocation_of_every_step_may_fail, &next_primary),
        cmocka_unit_test_prestate(every_allocation_of_every_step_may_fail, &backup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
