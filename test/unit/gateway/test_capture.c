/* Readings become reports, once each, whatever happens in between. */
#include "world.h"

static void readings_of_one_interval_are_one_report(void **state)
{
    (void)state;
    struct world w;
    world_ready(&w);
    world_read(&w, "a", "1");
    world_pass(&w, 999);
    world_read(&w, "b", "2");
    assert_int_equal(history_count(&w), 0);
    world_pass(&w, 1);
    assert_int_equal(history_count(&w), 1);
    assert_int_equal(history_find(&w, 1)->rows, 2);
    world_read(&w, "a", "3");
    world_pass(&w, 1000);
    assert_int_equal(history_find(&w, 2)->rows, 1);
    world_close(&w);
}

static void enough_readings_are_captured_at_once(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    world_register(&w);
    w.options.report_rows_max = 3;
    world_start(&w);
    for (int i = 0; i < 7; i++)
        world_read(&w, "a", "1");
    assert_int_equal(disk_count(&w, GATEWAY_TABLE_OUTBOX), 2);
    assert_int_equal(disk_count(&w, GATEWAY_TABLE_BATCH), 1);
    world_close(&w);
}

static struct row good_row(void)
{
    return (struct row){
        .device = BYTES_LIT("D1"),
        .service = BYTES_LIT("CS"),
        .name = BYTES_LIT("t"),
        .unit = BYTES_LIT("C"),
        .value = BYTES_LIT("1"),
        .type = DATATYPE_DOUBLE,
        .time_us = 1,
    };
}

static void readings_that_no_report_may_hold_are_refused(void **state)
{
    (void)state;
    struct world w;
    struct gateway_update update;
    static uint8_t long_value[VALUE_MAX_BYTES + 1];
    world_ready(&w);
    memset(long_value, 'x', sizeof long_value);
    struct row bad[9];
    for (size_t i = 0; i < 9; i++)
        bad[i] = good_row();
    bad[0].device = BYTES_LIT("");
    bad[1].service = BYTES_LIT("a/b");
    bad[2].name = BYTES_LIT("a b");
    bad[3].unit = BYTES_LIT("\xff");
    bad[4].value = BYTES_LIT("warm");
    bad[5].time_us = -1;
    bad[6].type = (enum datatype)9;
    bad[7].value = bytes_of(long_value, sizeof long_value);
    bad[8].time_us = EVENTTIME_LAST_US + 1;
    for (size_t i = 0; i < 9; i++) {
        assert_int_not_equal(gateway_reading(w.gateway, &bad[i], &w.now, &update), 0);
        assert_int_equal(update.write_count, 0);
    }
    assert_int_equal(world_stats(&w).readings_refused_total, 9);
    world_pass(&w, 2000);
    assert_int_equal(history_count(&w), 0);
    world_close(&w);
}

static void a_reading_is_on_disk_when_it_is_taken(void **state)
{
    (void)state;
    struct world w;
    world_ready(&w);
    world_read(&w, "a", "41");
    world_read(&w, "a", "42");
    world_restart(&w);
    world_read(&w, "a", "43");
    world_restart(&w);
    world_connect(&w);
    world_pass(&w, 2000);
    struct report report;
    char why[128];
    assert_int_equal(history_count(&w), 1);
    assert_int_equal(report_parse(buf_bytes(&history_find(&w, 1)->json), &report, why, sizeof why),
                     0);
    for (size_t i = 0; i < report.n; i++) /* in the order of arrival */
        assert_int_equal(report.rows[i].value.p[1], '1' + (int)i);
    report_close(&report);
    assert_int_equal(history_has(&w, "a", "41"), 1);
    assert_int_equal(history_has(&w, "a", "42"), 1);
    assert_int_equal(history_has(&w, "a", "43"), 1);
    assert_int_equal(disk_count(&w, GATEWAY_TABLE_BATCH), 0);
    world_restart(&w);
    world_connect(&w);
    world_pass(&w, 2000);
    assert_int_equal(history_has(&w, "a", "42"), 1);
    world_close(&w);
}

static void capture_numbers_are_used_once(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    world_register(&w);
    world_start(&w);
    for (unsigned i = 1; i <= 5; i++) {
        world_read(&w, "a", "1");
        world_pass(&w, 1000);
        assert_non_null(disk_find(&w, GATEWAY_TABLE_OUTBOX, i));
        world_restart(&w);
    }
    assert_int_equal(disk_count(&w, GATEWAY_TABLE_OUTBOX), 5);
    world_connect(&w);
    world_pass(&w, 1000);
    assert_int_equal(history_count(&w), 5);
    world_close(&w);
}

static void a_full_outbox_refuses_and_takes_again(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    world_register(&w);
    w.options.outbox_reports_max = 2;
    w.options.report_rows_max = 1;
    world_start(&w);
    world_read(&w, "a", "1");
    world_read(&w, "a", "2");
    assert_int_equal(world_reading(&w, "a", DATATYPE_DOUBLE, "3"), SEALMQ_E_FULL);
    assert_int_equal(w.notes[GATEWAY_NOTE_OUTBOX_FULL], 1);
    world_connect(&w);
    world_pass(&w, 1000);
    assert_int_equal(history_count(&w), 2);
    world_read(&w, "a", "4");
    world_pass(&w, 1000);
    assert_int_equal(history_has(&w, "a", "3"), 0);
    assert_int_equal(history_has(&w, "a", "4"), 1);
    world_close(&w);
}

static void an_outbox_has_a_limit_in_bytes_too(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    w.options.outbox_bytes_max = 10000;
    world_start(&w);
    int error = 0;
    unsigned taken = 0;
    while ((error = world_reading(&w, "a", DATATYPE_DOUBLE, "1")) == 0)
        taken++;
    assert_int_equal(error, SEALMQ_E_FULL);
    assert_in_range(taken, 20, 60);
    world_close(&w);
}

/* The longest report that may come of anything: every byte of every value takes six in JSON. */
static void a_report_is_never_longer_than_a_node_takes(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    world_register(&w);
    w.options.report_rows_max = REPORT_ROWS_MAX;
    world_start(&w);
    world_connect(&w);
    world_deliver(&w);
    char value[VALUE_MAX_BYTES + 1];
    memset(value, 1, VALUE_MAX_BYTES);
    value[VALUE_MAX_BYTES] = '\0';
    for (int i = 0; i < 400; i++)
        assert_int_equal(world_reading(&w, "a", DATATYPE_STRING, value), 0);
    world_pass(&w, 1000);
    assert_in_range(history_count(&w), 2, 4);
    assert_int_equal(w.notes[GATEWAY_NOTE_REFUSED], 0);
    assert_int_equal(history_has(&w, "a", value), 400);
    world_close(&w);
}

static void rows_of_a_device_and_service_stand_together(void **state)
{
    (void)state;
    struct world w;
    struct gateway_update update;
    struct report report;
    char why[128];
    world_ready(&w);
    static const char *const devices[] = {"D2", "D1", "D2", "D1"};
    for (size_t i = 0; i < 4; i++) {
        struct row row = good_row();
        row.device = bytes_str(devices[i]);
        assert_int_equal(gateway_reading(w.gateway, &row, &w.now, &update), 0);
        world_apply(&w, &update);
    }
    world_pass(&w, 1000);
    const struct stored *stored = history_find(&w, 1);
    assert_int_equal(report_parse(buf_bytes(&stored->json), &report, why, sizeof why), 0);
    assert_true(bytes_equal(report.rows[0].device, BYTES_LIT("D1")));
    assert_true(bytes_equal(report.rows[1].device, BYTES_LIT("D1")));
    assert_true(bytes_equal(report.rows[3].device, BYTES_LIT("D2")));
    report_close(&report);
    world_close(&w);
}

static void readings_given_together_are_taken_together_or_not_at_all(void **state)
{
    (void)state;
    struct world w;
    struct gateway_update update;
    struct row rows[5];
    for (size_t i = 0; i < 5; i++)
        rows[i] = good_row();
    world_init(&w);
    world_register(&w);
    w.options.report_rows_max = 2;
    w.options.outbox_reports_max = 2;
    world_start(&w);
    rows[4].name = BYTES_LIT("");
    assert_int_equal(gateway_readings(w.gateway, rows, 5, &w.now, &update), SEALMQ_E_PARSE);
    assert_int_equal(update.write_count, 0);
    rows[4] = good_row();
    assert_int_equal(gateway_readings(w.gateway, rows, 5, &w.now, &update), 0);
    world_apply(&w, &update);
    assert_int_equal(disk_count(&w, GATEWAY_TABLE_OUTBOX), 2);
    assert_int_equal(disk_count(&w, GATEWAY_TABLE_BATCH), 1);
    assert_int_equal(gateway_readings(w.gateway, rows, 2, &w.now, &update), SEALMQ_E_FULL);
    assert_int_equal(world_stats(&w).readings_total, 5);
    assert_int_equal(world_stats(&w).readings_refused_total, 7);
    world_close(&w);
}

static void flushing_captures_at_once(void **state)
{
    (void)state;
    struct world w;
    world_ready(&w);
    world_flush(&w);
    assert_int_equal(disk_count(&w, GATEWAY_TABLE_OUTBOX), 0);
    world_read(&w, "a", "1");
    world_flush(&w);
    world_deliver(&w);
    assert_int_equal(history_count(&w), 1);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readings_of_one_interval_are_one_report),
        cmocka_unit_test(enough_readings_are_captured_at_once),
        cmocka_unit_test(readings_that_no_report_may_hold_are_refused),
        cmocka_unit_test(a_reading_is_on_disk_when_it_is_taken),
        cmocka_unit_test(capture_numbers_are_used_once),
        cmocka_unit_test(a_full_outbox_refuses_and_takes_again),
        cmocka_unit_test(an_outbox_has_a_limit_in_bytes_too),
        cmocka_unit_test(a_report_is_never_longer_than_a_node_takes),
        cmocka_unit_test(rows_of_a_device_and_service_stand_together),
        cmocka_unit_test(readings_given_together_are_taken_together_or_not_at_all),
        cmocka_unit_test(flushing_captures_at_once),
    };
    return cmocka_run_group_tests(tests, world_setup, NULL);
}
