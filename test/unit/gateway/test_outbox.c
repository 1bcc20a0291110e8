/* Reports on their way: delivered at least once, cleared only by an answer that names them. */
#include "world.h"

#include <stdio.h>

static void one_report(struct world *w)
{
    world_ready(w);
    world_read(w, "a", "1");
}

static void an_acknowledged_report_leaves_the_outbox(void **state)
{
    (void)state;
    struct world w;
    one_report(&w);
    world_pass(&w, 1000);
    assert_int_equal(history_count(&w), 1);
    assert_int_equal(disk_count(&w, GATEWAY_TABLE_OUTBOX), 0);
    assert_int_equal(world_stats(&w).reports_acknowledged_total, 1);
    assert_int_equal(world_stats(&w).outbox_reports, 0);
    assert_int_equal(world_stats(&w).outbox_bytes, 0);
    world_close(&w);
}

static void an_unanswered_report_is_sent_again_and_stored_once(void **state)
{
    (void)state;
    struct world w;
    one_report(&w);
    w.is_mute = true;
    world_pass(&w, 1000);
    assert_int_equal(history_count(&w), 1);
    assert_int_equal(disk_count(&w, GATEWAY_TABLE_OUTBOX), 1);
    w.is_mute = false;
    world_pass(&w, 9999);
    assert_int_equal(w.reports_seen, 1);
    world_pass(&w, 2);
    assert_int_equal(w.reports_seen, 2);
    assert_int_equal(history_count(&w), 1);
    assert_int_equal(disk_count(&w, GATEWAY_TABLE_OUTBOX), 0);
    world_close(&w);
}

static void a_report_refused_for_now_waits_and_is_sent_again(void **state)
{
    (void)state;
    struct world w;
    one_report(&w);
    w.store_error = SEALMQ_E_FULL;
    world_pass(&w, 1000);
    assert_int_equal(w.notes[GATEWAY_NOTE_REFUSED], 1);
    assert_int_equal(w.last[GATEWAY_NOTE_REFUSED].error, DEVICE_CODE_STORAGE);
    assert_int_equal(disk_count(&w, GATEWAY_TABLE_OUTBOX), 1);
    w.store_error = 0;
    world_pass(&w, 1999);
    assert_int_equal(w.reports_seen, 1);
    world_pass(&w, 1);
    assert_int_equal(history_count(&w), 1);
    assert_int_equal(disk_count(&w, GATEWAY_TABLE_OUTBOX), 0);
    assert_int_equal(world_stats(&w).reports_refused_total, 0);
    world_close(&w);
}

static void a_report_refused_for_good_is_dropped_and_said_to_be(void **state)
{
    (void)state;
    struct world w;
    one_report(&w);
    w.store_error = SEALMQ_E_LIMIT;
    world_pass(&w, 1000);
    assert_int_equal(disk_count(&w, GATEWAY_TABLE_OUTBOX), 0);
    assert_int_equal(world_stats(&w).reports_refused_total, 1);
    assert_int_equal(w.last[GATEWAY_NOTE_REFUSED].n, 1);
    assert_string_equal(w.words[GATEWAY_NOTE_REFUSED], "over a limit");
    const struct entry *leaf = disk_find(&w, GATEWAY_TABLE_LEAF, 1);
    assert_non_null(leaf);
    assert_int_equal(leaf->value.p[1], LEAF_DROPPED);
    world_close(&w);
}

static void say_stored(struct world *w, uint64_t n, struct hash hash)
{
    struct device_output out;
    char topic[128];
    device_service_stored(w->service,
                          &(struct device_stored){.id = BYTES_LIT(GATEWAY),
                                                  .topic = BYTES_LIT("report"),
                                                  .n = n,
                                                  .rows = 1,
                                                  .hash = hash},
                          &out);
    assert_int_equal(bytes_to_cstr(out.replies[0].topic, topic, sizeof topic), 0);
    world_say(w, topic, out.replies[0].payload);
}

static void an_answer_must_name_the_report_hash(void **state)
{
    (void)state;
    struct world w;
    one_report(&w);
    w.is_mute = true;
    world_pass(&w, 1000);
    struct hash right = history_find(&w, 1)->hash, wrong = right;
    wrong.b[31] ^= 1;
    say_stored(&w, 1, wrong);
    assert_int_equal(disk_count(&w, GATEWAY_TABLE_OUTBOX), 1);
    assert_int_equal(world_stats(&w).bad_messages_total, 1);
    say_stored(&w, 2, right);
    assert_int_equal(disk_count(&w, GATEWAY_TABLE_OUTBOX), 1);
    say_stored(&w, 1, right);
    assert_int_equal(disk_count(&w, GATEWAY_TABLE_OUTBOX), 0);
    say_stored(&w, 1, right); /* once more: nothing happens */
    assert_int_equal(world_stats(&w).reports_acknowledged_total, 1);
    world_close(&w);
}

static void a_backlog_is_sent_in_order_a_window_at_a_time(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    world_register(&w);
    w.options.report_rows_max = 1;
    world_start(&w);
    for (int i = 0; i < 40; i++)
        world_read(&w, "a", "1");
    world_connect(&w);
    w.store_error = SEALMQ_E_BUSY;
    world_deliver(&w);
    assert_int_equal(w.reports_seen, 16);
    w.store_error = 0;
    world_pass(&w, 2000);
    assert_int_equal(history_count(&w), 40);
    assert_int_equal(disk_count(&w, GATEWAY_TABLE_OUTBOX), 0);
    world_close(&w);
}

static void the_outbox_survives_a_restart(void **state)
{
    (void)state;
    struct world w;
    one_report(&w);
    w.is_deaf = true;
    world_pass(&w, 1000);
    world_restart(&w);
    assert_int_equal(world_stats(&w).outbox_reports, 1);
    w.is_deaf = false;
    world_connect(&w);
    world_deliver(&w);
    assert_int_equal(history_count(&w), 1);
    assert_int_equal(disk_count(&w, GATEWAY_TABLE_OUTBOX), 0);
    world_close(&w);
}

static void what_was_on_its_way_is_sent_again_after_a_reconnect(void **state)
{
    (void)state;
    struct world w;
    one_report(&w);
    w.is_deaf = true;
    world_pass(&w, 1000);
    world_disconnect(&w);
    assert_string_equal(world_stats(&w).state, "offline");
    w.is_deaf = false;
    world_connect(&w);
    world_deliver(&w);
    assert_int_equal(history_count(&w), 1);
    world_close(&w);
}

/* ---- a damaged disk ---- */

static int load(struct world *w, enum gateway_table changed, uint64_t key, struct bytes value)
{
    int error = gateway_new(&w->options, &w->gateway);
    for (const struct entry *entry = w->disk; entry != NULL && error == 0; entry = entry->next) {
        bool is_it = entry->table == changed && entry->key == key;
        error = gateway_load(w->gateway, entry->table, entry->key,
                             is_it ? value : buf_bytes(&entry->value));
    }
    if (error == 0)
        error = gateway_loaded(w->gateway);
    gateway_free(w->gateway);
    w->gateway = NULL;
    return error;
}

/* One of everything on disk: readings, a report, leaves, items, a request, a receipt. */
static void fill_disk(struct world *w)
{
    world_ready(w);
    world_read(w, "a", "1");
    world_pass(w, 2000);
    world_block(w); /* the description */
    world_pass(w, 2000);
    world_block(w); /* the record */
    w->is_deaf = true;
    world_read(w, "b", "2");
    world_pass(w, 1000);
    world_read(w, "c", "3");
    world_pass(w, 100);
    for (unsigned table = GATEWAY_TABLE_META; table <= GATEWAY_TABLE_BATCH; table++)
        assert_true(disk_count(w, (enum gateway_table)table) > 0);
    gateway_free(w->gateway);
    w->gateway = NULL;
}

static void what_is_cut_on_disk_is_found(void **state)
{
    (void)state;
    struct world w;
    fill_disk(&w);
    for (const struct entry *entry = w.disk; entry != NULL; entry = entry->next) {
        assert_int_equal(load(&w, entry->table, entry->key, buf_bytes(&entry->value)), 0);
        /* The JSON of a report and a receipt are not looked into: the node's answer will tell. */
        size_t most = entry->table == GATEWAY_TABLE_OUTBOX    ? 1 + HASH_SIZE + 8 + SIGNATURE_SIZE
                      : entry->table == GATEWAY_TABLE_RECEIPT ? 0
                                                              : entry->value.n;
        for (size_t n = 0; n < most; n++) {
            if (load(&w, entry->table, entry->key, bytes_of(entry->value.p, n)) != SEALMQ_E_CORRUPT)
                fail_msg("table %d cut to %zu bytes is taken", entry->table, n);
        }
    }
    world_close(&w);
}

static void any_bit_may_be_wrong_on_disk(void **state)
{
    (void)state;
    struct world w;
    fill_disk(&w);
    for (const struct entry *entry = w.disk; entry != NULL; entry = entry->next) {
        for (size_t i = 0; i < entry->value.n && i < 400; i++) {
            struct buf value = {0};
            buf_append_bytes(&value, buf_bytes(&entry->value));
            value.p[i] ^= (uint8_t)(1 << i % 8);
            int error = load(&w, entry->table, entry->key, buf_bytes(&value));
            assert_true(error == 0 || error == SEALMQ_E_CORRUPT);
            buf_close(&value);
        }
    }
    world_close(&w);
}

static void a_missing_entry_is_found(void **state)
{
    (void)state;
    struct world w;
    fill_disk(&w);
    static const struct {
        enum gateway_table table;
        uint64_t key;
    } missing[] = {
        {GATEWAY_TABLE_META, 1}, /* next capture number */
        {GATEWAY_TABLE_META, 3}, /* next request number */
        {GATEWAY_TABLE_LEAF, 2},
        {GATEWAY_TABLE_OUTBOX, 2},
    };
    for (size_t i = 0; i < sizeof missing / sizeof missing[0]; i++) {
        struct entry *entry = disk_find(&w, missing[i].table, missing[i].key);
        assert_non_null(entry);
        struct buf kept = {0};
        buf_append_bytes(&kept, buf_bytes(&entry->value));
        disk_remove(&w, missing[i].table, missing[i].key);
        assert_int_equal(load(&w, GATEWAY_TABLE_META, 0, (struct bytes){0}), SEALMQ_E_CORRUPT);
        disk_put(&w, missing[i].table, missing[i].key, buf_bytes(&kept));
        buf_close(&kept);
    }
    assert_int_equal(load(&w, GATEWAY_TABLE_META, 0, (struct bytes){0}), 0);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_acknowledged_report_leaves_the_outbox),
        cmocka_unit_test(an_unanswered_report_is_sent_again_and_stored_once),
        cmocka_unit_test(a_report_refused_for_now_waits_and_is_sent_again),
        cmocka_unit_test(a_report_refused_for_good_is_dropped_and_said_to_be),
        cmocka_unit_test(an_answer_must_name_the_report_hash),
        cmocka_unit_test(a_backlog_is_sent_in_order_a_window_at_a_time),
        cmocka_unit_test(the_outbox_survives_a_restart),
        cmocka_unit_test(what_was_on_its_way_is_sent_again_after_a_reconnect),
        cmocka_unit_test(what_is_cut_on_disk_is_found),
        cmocka_unit_test(any_bit_may_be_wrong_on_disk),
        cmocka_unit_test(a_missing_entry_is_found),
    };
    return cmocka_run_group_tests(tests, world_setup, NULL);
}
