/* What is written to the chain: descriptions, records, receipts. */
#include "world.h"

#include <stdio.h>

#define TEXT_SIZE 512

static void assert_waits(const struct world *w, enum request_kind kind, uint64_t number,
                         const char *records)
{
    char text[TEXT_SIZE];
    assert_int_equal(w->request_count, 1);
    struct request request = waiting_request(w, 0);
    assert_int_equal(request.kind, kind);
    assert_int_equal(request.number, number);
    if (kind == REQUEST_DATA) {
        request_records(&request, text, sizeof text);
        assert_string_equal(text, records);
    }
}

static void a_new_item_is_described_before_it_is_written(void **state)
{
    (void)state;
    struct world w;
    struct item item;
    world_ready(&w);
    world_read(&w, "a", "1");
    world_pass(&w, 3000);
    assert_waits(&w, REQUEST_DESCRIBE, 1, NULL);
    world_pass(&w, 20000);
    assert_waits(&w, REQUEST_DESCRIBE, 1, NULL);
    world_block(&w);
    assert_int_equal(chain_item(w.chain, BYTES_LIT(GATEWAY), 1, &item), 0);
    assert_true(bytes_equal(item.name, BYTES_LIT("a")));
    assert_true(bytes_equal(item.unit, BYTES_LIT("C")));
    world_pass(&w, 1000);
    assert_waits(&w, REQUEST_DATA, 2, "1=1");
    world_block(&w);
    assert_int_equal(world_stats(&w).receipts_total, 2);
    assert_int_equal(world_stats(&w).records_total, 1);
    world_close(&w);
}

/* Describes "a" and writes its first value. */
static void described(struct world *w, const char *name)
{
    world_read(w, name, "1");
    world_pass(w, 2000);
    world_block(w);
    world_pass(w, 2000);
    world_block(w);
    assert_int_equal(w->request_count, 0);
}

static void periodic_writing_has_its_interval(void **state)
{
    (void)state;
    struct world w;
    world_ready(&w);
    described(&w, "a");
    unsigned seen = 0;
    for (int i = 0; i < 60; i++) {
        world_read(&w, "a", "2");
        world_pass(&w, 1000);
        if (w.request_count != 0) {
            assert_int_equal(waiting_request(&w, 0).data.record_count, 1);
            seen++;
            world_block(&w);
        }
    }
    assert_in_range(seen, 5, 7);
    world_close(&w);
}

static void only_items_with_a_policy_are_written(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    world_register(&w);
    snprintf(w.policies[0].pattern, sizeof w.policies[0].pattern, "*/*/b");
    w.policies[1] = (struct gateway_policy){.pattern = "*/*/*"}; /* neither periodic nor change */
    w.options.policy_count = 2;
    world_start(&w);
    world_connect(&w);
    world_read(&w, "a", "1");
    world_read(&w, "b", "2");
    world_pass(&w, 2000);
    assert_int_equal(waiting_request(&w, 0).describe.item_count, 1);
    world_block(&w);
    world_pass(&w, 2000);
    assert_waits(&w, REQUEST_DATA, 2, "1=2");
    world_close(&w);
}

static void a_request_is_sent_again_byte_for_byte_until_its_receipt(void **state)
{
    (void)state;
    struct world w;
    world_ready(&w);
    world_read(&w, "a", "1");
    world_pass(&w, 1500);
    assert_int_equal(w.requests_seen, 1);
    world_pass(&w, 30000); /* the same one, or the world would have two */
    assert_in_range(w.requests_seen, 8, 12);
    assert_int_equal(w.request_count, 1);
    assert_int_equal(world_stats(&w).requests_total, 1);
    w.is_mute = true;
    world_block(&w);
    assert_int_equal(world_stats(&w).receipts_total, 0);
    w.is_mute = false;
    world_pass(&w, 3000);
    assert_int_equal(world_stats(&w).receipts_total, 1);
    world_close(&w);
}

static void a_request_survives_a_restart(void **state)
{
    (void)state;
    struct world w;
    world_ready(&w);
    world_read(&w, "a", "1");
    world_pass(&w, 1500);
    assert_int_equal(disk_count(&w, GATEWAY_TABLE_REQUEST), 1);
    world_restart(&w);
    world_connect(&w);
    world_deliver(&w);
    assert_int_equal(w.requests_seen, 2);
    assert_int_equal(w.request_count, 1);
    world_block(&w);
    assert_int_equal(disk_count(&w, GATEWAY_TABLE_REQUEST), 0);
    assert_int_equal(disk_count(&w, GATEWAY_TABLE_RECEIPT), 1);
    world_close(&w);
}

static void item_numbers_are_for_ever(void **state)
{
    (void)state;
    struct world w;
    struct item item;
    world_ready(&w);
    described(&w, "a");
    world_restart(&w);
    world_connect(&w);
    described(&w, "b");
    world_restart(&w);
    world_connect(&w);
    world_pass(&w, 10000);
    world_read(&w, "a", "7");
    world_pass(&w, 2000);
    assert_waits(&w, REQUEST_DATA, 5, "1=7");
    world_block(&w);
    assert_int_equal(chain_item(w.chain, BYTES_LIT(GATEWAY), 2, &item), 0);
    assert_true(bytes_equal(item.name, BYTES_LIT("b")));
    assert_int_equal(chain_item(w.chain, BYTES_LIT(GATEWAY), 3, &item), SEALMQ_E_NOTFOUND);
    world_close(&w);
}

/* A number means one type and unit for ever: a reading of another is in the history only, and does
 * not hold up what comes behind it. */
static void an_item_whose_type_changed_is_not_written(void **state)
{
    (void)state;
    struct world w;
    world_ready(&w);
    world_read(&w, "b", "1");
    assert_int_equal(world_reading(&w, "a", DATATYPE_INT, "1"), 0);
    world_pass(&w, 2000);
    world_block(&w);
    world_pass(&w, 2000);
    world_block(&w);
    for (int i = 0; i < 3; i++) {
        world_pass(&w, 10000);
        assert_int_equal(world_reading(&w, "a", DATATYPE_DOUBLE, "1.5"), 0);
        world_read(&w, "b", "2");
        world_pass(&w, 2000);
        char text[TEXT_SIZE];
        struct request request = waiting_request(&w, 0);
        request_records(&request, text, sizeof text);
        assert_non_null(strstr(text, "=2"));
        assert_null(strstr(text, "1.5"));
        world_block(&w);
    }
    assert_int_equal(w.notes[GATEWAY_NOTE_ITEM_CHANGED], 1);
    assert_string_equal(w.words[GATEWAY_NOTE_ITEM_CHANGED], "D1/CS/a");
    assert_int_equal(world_stats(&w).records_skipped_total, 3);
    assert_int_equal(history_has(&w, "a", "1.5"), 3);
    /* What still fits is written. */
    world_pass(&w, 10000);
    assert_int_equal(world_reading(&w, "a", DATATYPE_DOUBLE, "2"), 0);
    world_pass(&w, 2000);
    assert_int_equal(waiting_request(&w, 0).data.record_count, 1);
    world_close(&w);
}

/* A first value that waited for its description when the program ended. */
static void a_record_that_was_never_sent_is_written_after_all(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    world_register(&w);
    w.policies[0] = (struct gateway_policy){.pattern = "*/*/*", .on_change = true, .threshold = 5};
    world_start(&w);
    world_connect(&w);
    world_read(&w, "a", "1");
    world_pass(&w, 1500);
    world_block(&w); /* described, and saved */
    world_restart(&w);
    world_connect(&w);
    world_read(&w, "a", "1");
    world_pass(&w, 3000);
    assert_waits(&w, REQUEST_DATA, 2, "1=1");
    world_block(&w);
    /* And then it counts as written, over a restart too. */
    world_restart(&w);
    world_connect(&w);
    world_read(&w, "a", "5");
    world_pass(&w, 3000);
    assert_int_equal(w.request_count, 0);
    world_read(&w, "a", "6");
    world_pass(&w, 3000);
    assert_waits(&w, REQUEST_DATA, 3, "1=6");
    world_close(&w);
}

static void new_items_do_not_hold_up_old_ones(void **state)
{
    (void)state;
    struct world w;
    char name[32];
    unsigned describes = 0, records = 0;
    world_ready(&w);
    described(&w, "a");
    world_pass(&w, 10000);
    for (int i = 0; i < 60; i++) {
        world_read(&w, "a", "2");
        snprintf(name, sizeof name, "new-%d", i);
        world_read(&w, name, "1");
        world_pass(&w, 1000);
        if (w.request_count == 0)
            continue;
        struct request request = waiting_request(&w, 0);
        if (request.kind == REQUEST_DESCRIBE)
            describes++;
        else
            records += request.data.record_count;
        world_block(&w);
    }
    assert_in_range(describes, 25, 35);
    assert_in_range(records, 50, 70);
    assert_int_equal(w.notes[GATEWAY_NOTE_REQUEST_REFUSED], 0);
    world_close(&w);
}

static void short_intervals_leave_room_for_records(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    world_register(&w);
    w.options.anchor_interval_ms = 500;
    world_start(&w);
    world_connect(&w);
    world_read(&w, "a", "1");
    for (int i = 0; i < 8; i++) {
        world_pass(&w, 500);
        world_block(&w);
    }
    assert_int_equal(w.notes[GATEWAY_NOTE_REQUEST_REFUSED], 0);
    assert_int_equal(world_stats(&w).records_total, 1);
    world_close(&w);
}

static void there_is_a_request_even_when_nothing_happens(void **state)
{
    (void)state;
    struct world w;
    world_ready(&w);
    for (uint64_t i = 1; i <= 3; i++) {
        world_pass(&w, 59000);
        assert_int_equal(w.request_count, 0);
        world_pass(&w, 1000);
        assert_waits(&w, REQUEST_DATA, i, "");
        assert_int_equal(waiting_request(&w, 0).data.leaf_count, 0);
        world_block(&w);
    }
    world_close(&w);
}

static void only_the_receipt_of_the_request_counts(void **state)
{
    (void)state;
    struct world w;
    world_ready(&w);
    described(&w, "a");
    world_pass(&w, 10000);
    world_read(&w, "a", "2");
    world_pass(&w, 2000);
    assert_waits(&w, REQUEST_DATA, 3, "1=2");
    struct device_output out;
    /* Request 2's receipt, and one that is damaged, as request 3's. */
    struct buf *old = &w.receipts[2].proof;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(
            device_service_receipt(w.service, BYTES_LIT(GATEWAY), 3, buf_bytes(old), &out), 0);
        world_say(&w, REPLY_TOPIC, out.replies[0].payload);
        assert_int_equal(w.notes[GATEWAY_NOTE_RECEIPT_BAD], i + 1);
        old->p[old->n / 2] ^= 1;
    }
    old->p[old->n / 2] ^= 1;
    assert_int_equal(disk_count(&w, GATEWAY_TABLE_REQUEST), 1);
    /* A repeated receipt of a request that is done is nothing. */
    assert_int_equal(device_service_receipt(w.service, BYTES_LIT(GATEWAY), 2, buf_bytes(old), &out),
                     0);
    world_say(&w, REPLY_TOPIC, out.replies[0].payload);
    assert_int_equal(w.notes[GATEWAY_NOTE_RECEIPT_BAD], 2);
    world_block(&w);
    assert_int_equal(disk_count(&w, GATEWAY_TABLE_REQUEST), 0);
    assert_int_equal(w.last[GATEWAY_NOTE_RECEIPT].n, 3);
    assert_int_equal(w.last[GATEWAY_NOTE_RECEIPT].height, chain_height(w.chain));
    world_close(&w);
}

static void a_refused_request_is_kept_and_sent_again_later(void **state)
{
    (void)state;
    struct world w;
    world_ready(&w);
    world_read(&w, "a", "1");
    world_pass(&w, 1500);
    struct device_output out;
    assert_int_equal(
        device_service_request_refused(w.service, BYTES_LIT(GATEWAY), 1, SEALMQ_E_CONFLICT, &out),
        0);
    world_say(&w, REPLY_TOPIC, out.replies[0].payload);
    assert_int_equal(w.notes[GATEWAY_NOTE_REQUEST_REFUSED], 1);
    assert_int_equal(w.last[GATEWAY_NOTE_REQUEST_REFUSED].error, DEVICE_CODE_CONFLICT);
    unsigned seen = w.requests_seen;
    world_pass(&w, 29000);
    assert_int_equal(w.requests_seen, seen);
    world_pass(&w, 1000);
    assert_int_equal(w.requests_seen, seen + 1);
    world_block(&w);
    assert_int_equal(world_stats(&w).receipts_total, 1);
    world_close(&w);
}

static void many_items_and_records_take_several_requests(void **state)
{
    (void)state;
    struct world w;
    world_ready(&w);
    for (int i = 0; i < 2500; i++) {
        char name[32];
        snprintf(name, sizeof name, "item-%d", i);
        world_read(&w, name, "1");
    }
    unsigned describes = 0, records = 0;
    for (int i = 0; i < 20; i++) {
        world_pass(&w, 1000);
        if (w.request_count == 0)
            continue;
        struct request request = waiting_request(&w, 0);
        if (request.kind == REQUEST_DESCRIBE) {
            assert_in_range(request.describe.item_count, 1, REQUEST_ITEMS_MAX);
            describes++;
        } else {
            records += request.data.record_count;
        }
        world_block(&w);
    }
    assert_int_equal(describes, 3);
    assert_int_equal(records, 2500);
    world_close(&w);
}

static void the_newest_receipts_are_kept(void **state)
{
    (void)state;
    struct world w;
    world_ready(&w);
    for (uint64_t i = 1; i <= 1003; i++) {
        world_pass(&w, 60000);
        world_block(&w);
        assert_int_equal(world_stats(&w).receipts_total, i);
    }
    assert_int_equal(disk_count(&w, GATEWAY_TABLE_RECEIPT), 1000);
    assert_null(disk_find(&w, GATEWAY_TABLE_RECEIPT, 3));
    assert_non_null(disk_find(&w, GATEWAY_TABLE_RECEIPT, 4));
    assert_non_null(disk_find(&w, GATEWAY_TABLE_RECEIPT, 1003));
    world_restart(&w);
    world_connect(&w);
    world_pass(&w, 60000);
    world_block(&w);
    assert_int_equal(disk_count(&w, GATEWAY_TABLE_RECEIPT), 1000);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_item_is_described_before_it_is_written),
        cmocka_unit_test(periodic_writing_has_its_interval),
        cmocka_unit_test(only_items_with_a_policy_are_written),
        cmocka_unit_test(a_request_is_sent_again_byte_for_byte_until_its_receipt),
        cmocka_unit_test(a_request_survives_a_restart),
        cmocka_unit_test(item_numbers_are_for_ever),
        cmocka_unit_test(an_item_whose_type_changed_is_not_written),
        cmocka_unit_test(a_record_that_was_never_sent_is_written_after_all),
        cmocka_unit_test(new_items_do_not_hold_up_old_ones),
        cmocka_unit_test(short_intervals_leave_room_for_records),
        cmocka_unit_test(there_is_a_request_even_when_nothing_happens),
        cmocka_unit_test(only_the_receipt_of_the_request_counts),
        cmocka_unit_test(a_refused_request_is_kept_and_sent_again_later),
        cmocka_unit_test(the_newest_receipts_are_kept),
        cmocka_unit_test(many_items_and_records_take_several_requests),
    };
    return cmocka_run_group_tests(tests, world_setup, NULL);
}
