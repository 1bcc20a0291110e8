/* Memory that runs out, at every allocation of a gateway's life in turn: the call says so, nothing
 * is leaked or touched after it was freed, and what is on disk makes a gateway that goes on. */
#include "world.h"

#include "lib/failing_memory.h"

static int try_life(struct world *w, struct gateway **gateway)
{
    struct gateway_update update;
    const struct row row = {
        .device = BYTES_LIT("D1"),
        .service = BYTES_LIT("CS"),
        .name = BYTES_LIT("t"),
        .unit = BYTES_LIT("C"),
        .value = BYTES_LIT("1"),
        .type = DATATYPE_DOUBLE,
        .time_us = 1,
    };
    int error = gateway_new(&w->options, gateway);
    for (const struct entry *entry = w->disk; error == 0 && entry != NULL; entry = entry->next)
        error = gateway_load(*gateway, entry->table, entry->key, buf_bytes(&entry->value));
    if (error == 0)
        error = gateway_loaded(*gateway);
    if (error == 0)
        error = gateway_reading(*gateway, &row, &w->now, &update);
    if (error == 0)
        error = gateway_flush(*gateway, &w->now, &update);
    if (error == 0)
        error = gateway_connected(*gateway, BYTES_LIT(NODE), &w->now, &update);
    if (error == 0)
        error = gateway_message(*gateway, BYTES_LIT(GATEWAY "/unauth"), BYTES_LIT("{}"), &w->now,
                                &update);
    return error;
}

static void a_life_ends_with_an_error_and_without_leaks(void **state)
{
    (void)state;
    struct world w;
    world_ready(&w);
    world_read(&w, "a", "1");
    world_pass(&w, 3000);
    w.is_deaf = true;
    world_read(&w, "a", "2");
    world_pass(&w, 1000);
    world_read(&w, "a", "3");
    gateway_free(w.gateway);
    w.gateway = NULL;
    size_t n = 1;
    for (bool failed = true; failed; n++) {
        struct gateway *gateway = NULL;
        memory_fail_at(n);
        int error = try_life(&w, &gateway);
        failed = memory_has_failed();
        assert_int_equal(error, failed ? SEALMQ_E_NOMEM : 0);
        gateway_free(gateway);
    }
    assert_in_range(n, 30, 2000);
    world_close(&w);
}

/* Answers, receipts and requests, each with the n-th allocation of the gateway failing. */
static void a_gateway_that_ran_out_of_memory_goes_on_from_disk(void **state)
{
    (void)state;
    size_t n = 1;
    unsigned failures = 0;
    for (bool done = false; !done; n += 7) {
        struct world w;
        world_ready(&w);
        done = true;
        for (int step = 0; step < 6; step++) {
            struct gateway_update update;
            world_read(&w, "a", "1");
            w.now.now_ms += 3000;
            w.now.wall_us += 3000000;
            memory_fail_at(n);
            int error = gateway_tick(w.gateway, &w.now, &update);
            if (memory_has_failed()) {
                done = false;
                failures++;
                assert_int_equal(error, SEALMQ_E_NOMEM);
                world_restart(&w);
                world_connect(&w);
            } else {
                assert_int_equal(error, 0);
                world_apply(&w, &update);
            }
            world_deliver(&w);
            world_block(&w);
        }
        world_pass(&w, 20000);
        world_block(&w);
        world_pass(&w, 65000);
        world_block(&w);
        assert_int_equal(history_has(&w, "a", "1"), 6);
        assert_int_equal(world_stats(&w).outbox_reports, 0);
        uint64_t next;
        size_t pending;
        chain_history_next(w.chain, BYTES_LIT(GATEWAY), &next, &pending);
        assert_int_equal(next, history_count(&w) + 1);
        world_close(&w);
    }
    assert_true(failures > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_life_ends_with_an_error_and_without_leaks),
        cmocka_unit_test(a_gateway_that_ran_out_of_memory_goes_on_from_disk),
    };
    return cmocka_run_group_tests(tests, world_setup, NULL);
}
