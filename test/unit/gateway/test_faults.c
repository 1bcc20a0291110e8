/* A gateway in a bad week: messages are lost both ways, connections break, the node forgets its
 * keys and refuses reports, the gateway is killed. Whatever the order: every reading that was taken
 * is in the history, once; every capture number is covered by the chain, as what became of it; and
 * no number is ever used for two things (the world asserts that). */
#include "world.h"

#include <stdio.h>

struct dice {
    uint64_t state;
};

static uint64_t roll(struct dice *dice, uint64_t sides)
{
    dice->state ^= dice->state << 13;
    dice->state ^= dice->state >> 7;
    dice->state ^= dice->state << 17;
    return dice->state % sides;
}

static void connect_again(struct world *w)
{
    if (!w->is_connected)
        world_connect(w);
}

static void misfortune(struct world *w, struct dice *dice)
{
    switch (roll(dice, 12)) {
    case 0:
        world_restart(w);
        break;
    case 1:
        if (w->is_connected)
            world_disconnect(w);
        break;
    case 2:
        world_restart_node(w);
        break;
    case 3:
        w->is_deaf = roll(dice, 2) == 0;
        break;
    case 4:
        w->is_mute = roll(dice, 2) == 0;
        break;
    case 5:
        w->store_error = roll(dice, 2) == 0 ? SEALMQ_E_IO : 0;
        break;
    case 6:
        world_lose(w);
        break;
    case 7:
        world_block(w);
        break;
    default:
        connect_again(w);
        break;
    }
}

static void heal(struct world *w)
{
    w->is_deaf = w->is_mute = false;
    w->store_error = 0;
    connect_again(w);
    for (int i = 0; i < 40; i++) {
        world_pass(w, 10000);
        world_block(w);
    }
}

static void run(uint64_t seed)
{
    struct world w;
    struct dice dice = {seed * 2654435761u + 88172645463325252u};
    unsigned taken = 0;
    char value[16], name[16];
    world_ready(&w);
    for (int step = 0; step < 300; step++) {
        if (roll(&dice, 3) != 0) {
            snprintf(value, sizeof value, "%u", taken);
            snprintf(name, sizeof name, "item-%u", taken % 5);
            world_read(&w, name, value);
            taken++;
        }
        misfortune(&w, &dice);
        world_pass(&w, roll(&dice, 4) == 0 ? roll(&dice, 20000) : roll(&dice, 700));
    }
    heal(&w);
    if (world_stats(&w).outbox_reports != 0)
        fail_msg("seed %llu: reports are left over", (unsigned long long)seed);
    for (unsigned i = 0; i < taken; i++) {
        snprintf(value, sizeof value, "%u", i);
        snprintf(name, sizeof name, "item-%u", i % 5);
        if (history_has(&w, name, value) != 1)
            fail_msg("seed %llu: reading %u is %zu times in the history", (unsigned long long)seed,
                     i, history_has(&w, name, value));
    }
    uint64_t next;
    size_t pending;
    chain_history_next(w.chain, BYTES_LIT(GATEWAY), &next, &pending);
    assert_int_equal(next, history_count(&w) + 1);
    assert_int_equal(pending, 0);
    assert_int_equal(w.notes[GATEWAY_NOTE_RECEIPT_BAD], 0);
    assert_int_equal(w.notes[GATEWAY_NOTE_REQUEST_REFUSED], 0);
    world_close(&w);
}

static void nothing_taken_is_ever_lost_or_doubled(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 12; seed++)
        run(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_taken_is_ever_lost_or_doubled),
    };
    return cmocka_run_group_tests(tests, world_setup, NULL);
}
