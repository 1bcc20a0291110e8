/* The gateway towards its node: registration, key agreement, renewal, and what it makes of hints,
 * of which none is to be trusted. */
#include "world.h"

#include "device/handshake.h"

static void connecting_agrees_on_a_key(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    world_register(&w);
    world_start(&w);
    assert_string_equal(world_stats(&w).state, "offline");
    world_connect(&w);
    assert_string_equal(world_stats(&w).state, "handshake");
    world_deliver(&w);
    assert_string_equal(world_stats(&w).state, "ready");
    assert_int_equal(w.notes[GATEWAY_NOTE_READY], 1);
    assert_string_equal(w.words[GATEWAY_NOTE_READY], NODE);
    world_close(&w);
}

static void a_node_that_the_genesis_does_not_know_is_refused(void **state)
{
    (void)state;
    struct world w;
    struct gateway_update update;
    world_init(&w);
    world_start(&w);
    assert_int_equal(gateway_connected(w.gateway, BYTES_LIT("broker/x"), &w.now, &update),
                     SEALMQ_E_UNKNOWN);
    assert_int_equal(update.message_count, 0);
    assert_string_equal(world_stats(&w).state, "offline");
    world_close(&w);
}

static void a_stranger_announces_itself_and_waits(void **state)
{
    (void)state;
    struct world w;
    char fingerprint[FINGERPRINT_MAX];
    world_init(&w);
    world_start(&w);
    world_connect(&w);
    world_deliver(&w);
    assert_string_equal(world_stats(&w).state, "unregistered");
    assert_int_equal(w.notes[GATEWAY_NOTE_UNREGISTERED], 1);
    public_key_fingerprint(&w.gateway_key.public_key, fingerprint);
    assert_string_equal(w.words[GATEWAY_NOTE_UNREGISTERED], fingerprint);
    assert_int_equal(w.announcements, 1);
    world_pass(&w, 60000);
    assert_in_range(w.announcements, 5, 7);
    assert_in_range(w.hellos, 3, 8);
    assert_int_equal(w.notes[GATEWAY_NOTE_UNREGISTERED], 1);
    world_register(&w);
    world_pass(&w, 25000); /* without being told */
    assert_string_equal(world_stats(&w).state, "ready");
    world_close(&w);
}

static void what_was_captured_before_the_approval_is_delivered_after(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    world_start(&w);
    world_connect(&w);
    world_deliver(&w);
    world_read(&w, "a", "1");
    world_pass(&w, 5000);
    assert_int_equal(history_count(&w), 0);
    world_register(&w);
    world_disconnect(&w);
    world_connect(&w);
    world_deliver(&w);
    assert_int_equal(history_count(&w), 1);
    world_close(&w);
}

static void a_hello_without_an_answer_is_repeated_less_and_less(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    world_register(&w);
    world_start(&w);
    w.is_mute = true;
    world_connect(&w);
    world_deliver(&w);
    world_pass(&w, 2999);
    assert_int_equal(w.hellos, 1);
    world_pass(&w, 1);
    assert_int_equal(w.hellos, 2);
    world_pass(&w, 6000);
    assert_int_equal(w.hellos, 3);
    world_pass(&w, 12000);
    assert_int_equal(w.hellos, 4);
    world_pass(&w, 24000);
    assert_int_equal(w.hellos, 5);
    world_pass(&w, 24000);
    assert_int_equal(w.hellos, 6);
    w.is_mute = false;
    world_pass(&w, 24000);
    assert_string_equal(world_stats(&w).state, "ready");
    world_close(&w);
}

/* The number that is on disk, before the message that uses it is sent. */
static void handshake_numbers_are_on_disk_before_they_are_used(void **state)
{
    (void)state;
    struct world w;
    struct gateway_update update;
    world_init(&w);
    world_register(&w);
    world_start(&w);
    for (uint64_t i = 1; i <= 3; i++) {
        assert_int_equal(gateway_connected(w.gateway, BYTES_LIT(NODE), &w.now, &update), 0);
        assert_int_equal(update.message_count, 1);
        struct reader r = reader_of(update.messages[0].payload);
        assert_int_equal(reader_u8(&r), 1);
        assert_int_equal(reader_u64(&r), i);
        world_apply(&w, &update);
        struct reader disk = reader_of(buf_bytes(&disk_find(&w, GATEWAY_TABLE_META, 2)->value));
        assert_int_equal(reader_u64(&disk), i);
        world_restart(&w);
    }
    world_close(&w);
}

static void the_key_is_renewed_in_time_and_nothing_is_lost(void **state)
{
    (void)state;
    struct world w;
    world_ready(&w);
    for (int i = 0; i < 1700; i++) {
        world_read(&w, "a", "1");
        world_pass(&w, 1000);
    }
    assert_in_range(w.hellos, 3, 4); /* a key lives for 1000 s */
    assert_int_equal(w.notes[GATEWAY_NOTE_READY], 1);
    assert_int_equal(w.notes[GATEWAY_NOTE_BAD_MESSAGE], 0);
    assert_int_equal(history_count(&w), 1700);
    assert_int_equal(w.reports_seen, 1700);
    world_close(&w);
}

static void a_clock_that_is_ahead_does_not_make_it_renew_all_the_time(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    world_register(&w);
    w.node_ahead_us = -INT64_C(86400) * 1000000;
    world_start(&w);
    world_connect(&w);
    world_pass(&w, 40000);
    assert_string_equal(world_stats(&w).state, "ready");
    assert_in_range(w.hellos, 9, 11);
    world_read(&w, "a", "1");
    world_pass(&w, 1000);
    assert_int_equal(history_count(&w), 1);
    world_close(&w);
}

static void a_clock_that_is_behind_loses_nothing_when_the_key_expires(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    world_register(&w);
    w.node_ahead_us = INT64_C(86400) * 1000000;
    world_start(&w);
    world_connect(&w);
    for (int i = 0; i < 1100; i++) { /* the node's key lives for 1000 s */
        world_read(&w, "a", "1");
        world_pass(&w, 1000);
    }
    assert_int_equal(w.hellos, 2);
    assert_int_equal(history_count(&w), 1100);
    world_close(&w);
}

static void a_node_that_lost_its_keys_gets_everything_again(void **state)
{
    (void)state;
    struct world w;
    world_ready(&w);
    world_read(&w, "a", "1");
    world_pass(&w, 5000);
    world_restart_node(&w);
    world_read(&w, "a", "2");
    world_pass(&w, 2000);
    assert_int_equal(w.hellos, 2);
    assert_int_equal(history_count(&w), 2);
    assert_int_equal(disk_count(&w, GATEWAY_TABLE_OUTBOX), 0);
    world_close(&w);
}

static void hints_are_no_orders(void **state)
{
    (void)state;
    struct world w;
    world_ready(&w);
    world_pass(&w, 10000);
    static const char *const topics[] = {GATEWAY "/unauth",
                                         GATEWAY "/forbidden",
                                         GATEWAY "/key/fail",
                                         GATEWAY "/key/success",
                                         GATEWAY "/update/code",
                                         GATEWAY "/report/error",
                                         GATEWAY "/report/success",
                                         REPLY_TOPIC,
                                         "x",
                                         ""};
    uint8_t fail[FAIL_SIZE];
    handshake_fail(1, DEVICE_CODE_REVOKED, fail);
    for (int round = 0; round < 100; round++) {
        for (size_t i = 0; i < sizeof topics / sizeof topics[0]; i++)
            world_say(&w, topics[i], bytes_of(fail, sizeof fail));
        world_read(&w, "a", "1");
        world_pass(&w, 100);
    }
    assert_in_range(w.hellos, 2, 5); /* one in three seconds at most */
    world_pass(&w, 2000);
    assert_int_equal(history_has(&w, "a", "1"), 100);
    assert_int_equal(disk_count(&w, GATEWAY_TABLE_OUTBOX), 0);
    world_close(&w);
}

static void forged_refusals_do_not_put_off_the_next_try(void **state)
{
    (void)state;
    struct world w;
    uint8_t fail[FAIL_SIZE];
    world_init(&w);
    world_register(&w);
    w.is_mute = true;
    world_start(&w);
    world_connect(&w);
    world_deliver(&w);
    assert_int_equal(w.hellos, 1);
    for (int round = 0; round < 100; round++) {
        handshake_fail(w.hellos, DEVICE_CODE_BUSY, fail);
        w.is_mute = false;
        world_say(&w, GATEWAY "/key/fail", bytes_of(fail, sizeof fail));
        w.is_mute = true;
        world_pass(&w, 100);
    }
    assert_in_range(w.hellos, 3, 5);
    world_close(&w);
}

static void what_does_not_open_is_counted_and_noted(void **state)
{
    (void)state;
    struct world w;
    static const uint8_t sealed[60] = {1};
    world_ready(&w);
    for (size_t n = 0; n < sizeof sealed; n++)
        world_say(&w, GATEWAY "/report/success", bytes_of(sealed, n));
    assert_int_equal(world_stats(&w).bad_messages_total, sizeof sealed);
    assert_int_equal(w.notes[GATEWAY_NOTE_BAD_MESSAGE], sizeof sealed);
    world_close(&w);
}

static void an_answer_is_taken_once(void **state)
{
    (void)state;
    struct world w;
    struct device_output out;
    world_ready(&w);
    world_read(&w, "a", "1");
    w.is_mute = true;
    world_pass(&w, 1000);
    device_service_stored(w.service,
                          &(struct device_stored){.id = BYTES_LIT(GATEWAY),
                                                  .topic = BYTES_LIT("report"),
                                                  .n = 1,
                                                  .rows = 1,
                                                  .hash = history_find(&w, 1)->hash},
                          &out);
    struct buf kept = {0};
    buf_append_bytes(&kept, out.replies[0].payload);
    world_say(&w, REPORT_TOPIC "/success", buf_bytes(&kept));
    assert_int_equal(world_stats(&w).bad_messages_total, 0);
    world_say(&w, REPORT_TOPIC "/success", buf_bytes(&kept));
    assert_int_equal(w.last[GATEWAY_NOTE_BAD_MESSAGE].error, SEALMQ_E_REPLAY);
    buf_close(&kept);
    world_close(&w);
}

static void an_answer_on_another_topic_does_not_open(void **state)
{
    (void)state;
    struct world w;
    struct device_output out;
    world_ready(&w);
    world_read(&w, "a", "1");
    w.is_mute = true;
    world_pass(&w, 1000);
    device_service_stored(w.service,
                          &(struct device_stored){.id = BYTES_LIT(GATEWAY),
                                                  .topic = BYTES_LIT("report"),
                                                  .n = 1,
                                                  .rows = 1,
                                                  .hash = history_find(&w, 1)->hash,
                                                  .error = SEALMQ_E_LIMIT},
                          &out);
    world_say(&w, REPORT_TOPIC "/success", out.replies[0].payload);
    assert_int_equal(w.last[GATEWAY_NOTE_BAD_MESSAGE].error, SEALMQ_E_CRYPTO);
    assert_int_equal(disk_count(&w, GATEWAY_TABLE_OUTBOX), 1);
    world_close(&w);
}

static void messages_without_a_connection_are_ignored(void **state)
{
    (void)state;
    struct world w;
    world_ready(&w);
    world_disconnect(&w);
    world_say(&w, GATEWAY "/forbidden", BYTES_LIT("{}"));
    world_say(&w, GATEWAY "/report/success", BYTES_LIT("{}"));
    assert_null(w.to_node);
    assert_int_equal(world_stats(&w).bad_messages_total, 0);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connecting_agrees_on_a_key),
        cmocka_unit_test(a_node_that_the_genesis_does_not_know_is_refused),
        cmocka_unit_test(a_stranger_announces_itself_and_waits),
        cmocka_unit_test(what_was_captured_before_the_approval_is_delivered_after),
        cmocka_unit_test(a_hello_without_an_answer_is_repeated_less_and_less),
        cmocka_unit_test(handshake_numbers_are_on_disk_before_they_are_used),
        cmocka_unit_test(the_key_is_renewed_in_time_and_nothing_is_lost),
        cmocka_unit_test(a_clock_that_is_ahead_does_not_make_it_renew_all_the_time),
        cmocka_unit_test(a_clock_that_is_behind_loses_nothing_when_the_key_expires),
        cmocka_unit_test(a_node_that_lost_its_keys_gets_everything_again),
        cmocka_unit_test(hints_are_no_orders),
        cmocka_unit_test(forged_refusals_do_not_put_off_the_next_try),
        cmocka_unit_test(what_does_not_open_is_counted_and_noted),
        cmocka_unit_test(an_answer_is_taken_once),
        cmocka_unit_test(an_answer_on_another_topic_does_not_open),
        cmocka_unit_test(messages_without_a_connection_are_ignored),
    };
    return cmocka_run_group_tests(tests, world_setup, NULL);
}
