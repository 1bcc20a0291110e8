/* History intervals: what the chain is told of every capture number. The chain of the world checks
 * each of them, that they begin where the last ended included. */
#include "world.h"

#include <stdio.h>
#include <stdlib.h>

/* The leaves of the one waiting request as "n:status" words. */
static const char *leaves(const struct world *w)
{
    static char text[512];
    static const char letters[] = {'?', 'a', 'd', 'p'};
    size_t n = 0;
    text[0] = '\0';
    assert_int_equal(w->request_count, 1);
    struct request request = waiting_request(w, 0);
    assert_int_equal(request.kind, REQUEST_DATA);
    struct bytes list = request.data.leaves;
    struct interval_leaf leaf;
    while (request_leaves_next(&list, &leaf)) {
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%llu:%c", n == 0 ? "" : " ",
                              (unsigned long long)leaf.n, letters[leaf.status]);
        assert_in_range(n, 1, sizeof text - 1);
        assert_true(bytes_equal(leaf.node, leaf.status == LEAF_ACKNOWLEDGED ? BYTES_LIT(NODE)
                                                                            : BYTES_LIT("")));
    }
    return text;
}

/* Nothing is written but intervals. */
static void quiet(struct world *w)
{
    world_init(w);
    world_register(w);
    w->options.policy_count = 0;
    world_start(w);
    world_connect(w);
    world_deliver(w);
}

static void report(struct world *w)
{
    world_read(w, "a", "1");
    world_flush(w);
    world_deliver(w);
}

static uint64_t covered(const struct world *w, size_t *pending)
{
    uint64_t next;
    chain_history_next(w->chain, BYTES_LIT(GATEWAY), &next, pending);
    return next;
}

static void every_acknowledged_report_is_in_one_interval(void **state)
{
    (void)state;
    struct world w;
    size_t pending;
    quiet(&w);
    for (int i = 0; i < 3; i++)
        report(&w);
    world_pass(&w, 60000);
    assert_string_equal(leaves(&w), "1:a 2:a 3:a");
    struct request request = waiting_request(&w, 0);
    struct bytes list = request.data.leaves;
    struct interval_leaf leaf;
    while (request_leaves_next(&list, &leaf))
        assert_true(hash_equal(&leaf.report, &history_find(&w, leaf.n)->hash));
    world_block(&w);
    assert_int_equal(covered(&w, &pending), 4);
    assert_int_equal(pending, 0);
    assert_int_equal(disk_count(&w, GATEWAY_TABLE_LEAF), 0);
    report(&w);
    world_pass(&w, 60000);
    assert_string_equal(leaves(&w), "4:a");
    world_block(&w);
    assert_int_equal(covered(&w, &pending), 5);
    world_close(&w);
}

static void an_interval_ends_before_a_report_that_may_yet_be_answered(void **state)
{
    (void)state;
    struct world w;
    quiet(&w);
    report(&w);
    world_pass(&w, 59500);
    w.store_error = SEALMQ_E_BUSY;
    report(&w);
    world_pass(&w, 500);
    assert_string_equal(leaves(&w), "1:a");
    world_close(&w);
}

static void what_waits_too_long_is_pending_and_resolved_later(void **state)
{
    (void)state;
    struct world w;
    size_t pending;
    quiet(&w);
    w.store_error = SEALMQ_E_BUSY;
    report(&w);
    report(&w);
    world_pass(&w, 60000);
    assert_string_equal(leaves(&w), "1:p 2:p");
    world_block(&w);
    assert_int_equal(covered(&w, &pending), 3);
    assert_int_equal(pending, 2);
    world_pass(&w, 60000);
    assert_string_equal(leaves(&w), ""); /* it has been said */
    world_block(&w);
    w.store_error = 0;
    world_pass(&w, 3000);
    report(&w);
    world_pass(&w, 57000);
    assert_string_equal(leaves(&w), "1:a 2:a 3:a");
    world_block(&w);
    assert_int_equal(covered(&w, &pending), 4);
    assert_int_equal(pending, 0);
    assert_int_equal(disk_count(&w, GATEWAY_TABLE_LEAF), 0);
    world_close(&w);
}

static void a_dropped_report_is_said_to_be_dropped(void **state)
{
    (void)state;
    struct world w;
    quiet(&w);
    w.store_error = SEALMQ_E_LIMIT;
    report(&w);
    w.store_error = 0;
    report(&w);
    world_pass(&w, 60000);
    assert_string_equal(leaves(&w), "1:d 2:a");
    world_block(&w);
    world_close(&w);
}

static void intervals_go_on_after_a_restart(void **state)
{
    (void)state;
    struct world w;
    size_t pending;
    quiet(&w);
    w.store_error = SEALMQ_E_BUSY;
    report(&w);
    world_pass(&w, 60000);
    world_block(&w);
    world_restart(&w);
    w.store_error = 0;
    world_connect(&w);
    world_pass(&w, 5000);
    report(&w);
    world_restart(&w);
    world_connect(&w);
    world_pass(&w, 60000);
    assert_string_equal(leaves(&w), "1:a 2:a");
    world_restart(&w); /* the request is out, and only sent again */
    world_connect(&w);
    report(&w);
    world_block(&w);
    assert_int_equal(covered(&w, &pending), 3);
    world_pass(&w, 60000);
    assert_string_equal(leaves(&w), "3:a");
    world_close(&w);
}

/* After a restart it is not known how long a report has waited: it is given its time. */
static void a_restart_does_not_make_reports_late(void **state)
{
    (void)state;
    struct world w;
    quiet(&w);
    w.store_error = SEALMQ_E_BUSY;
    report(&w);
    world_pass(&w, 30000);
    world_restart(&w);
    world_connect(&w);
    world_pass(&w, 59000);
    world_pass(&w, 1500);
    assert_string_equal(leaves(&w), "");
    world_close(&w);
}

/* As after a long outage: everything is acknowledged within an interval. */
static void a_long_backlog_takes_several_requests(void **state)
{
    (void)state;
    struct world w;
    size_t pending;
    enum { REPORTS = 30000 };
    world_init(&w);
    world_register(&w);
    w.options.policy_count = 0;
    struct buf leaf = {0}, number = {0};
    for (uint64_t n = 1; n <= REPORTS; n++) {
        struct hash hash;
        hash_sha256(bytes_of(&n, sizeof n), &hash);
        buf_reset(&leaf);
        buf_append_u8(&leaf, 1);
        buf_append_u8(&leaf, LEAF_ACKNOWLEDGED);
        buf_append_u8(&leaf, 0);
        buf_append_bytes(&leaf, hash_bytes(&hash));
        buf_append_str8(&leaf, BYTES_LIT(NODE));
        /* Straight to the front: looking for an old one each time would take long. */
        struct entry *entry = calloc(1, sizeof *entry);
        assert_non_null(entry);
        *entry = (struct entry){.next = w.disk, .table = GATEWAY_TABLE_LEAF, .key = n};
        buf_append_bytes(&entry->value, buf_bytes(&leaf));
        w.disk = entry;
    }
    buf_append_u64(&number, REPORTS + 1);
    disk_put(&w, GATEWAY_TABLE_META, 1, buf_bytes(&number));
    buf_close(&leaf);
    buf_close(&number);
    world_start(&w);
    world_connect(&w);
    world_deliver(&w);
    unsigned requests = 0;
    while (covered(&w, &pending) <= REPORTS) {
        world_pass(&w, 60000);
        assert_int_equal(w.request_count, 1);
        assert_in_range(w.requests[0].n, 1, REQUEST_BYTES_MAX / 4);
        world_block(&w);
        assert_in_range(++requests, 1, 5);
    }
    assert_in_range(requests, 2, 5);
    assert_int_equal(pending, 0);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_acknowledged_report_is_in_one_interval),
        cmocka_unit_test(an_interval_ends_before_a_report_that_may_yet_be_answered),
        cmocka_unit_test(what_waits_too_long_is_pending_and_resolved_later),
        cmocka_unit_test(a_dropped_report_is_said_to_be_dropped),
        cmocka_unit_test(intervals_go_on_after_a_restart),
        cmocka_unit_test(a_restart_does_not_make_reports_late),
        cmocka_unit_test(a_long_backlog_takes_several_requests),
    };
    return cmocka_run_group_tests(tests, world_setup, NULL);
}
