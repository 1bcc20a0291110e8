/* The hash table against a plain list of what is in it, while it grows from nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/table.h"

#include <stdlib.h>

#define THINGS 5000

struct thing {
    struct table_link link;
    uint64_t hash;
    bool is_in;
};

static struct thing things[THINGS];

/* Hashes of which some are the same, and some are equal in their lower bits only. */
static void make_things(void)
{
    for (uint64_t i = 0; i < THINGS; i++) {
        uint64_t hash = i * UINT64_C(0x9e3779b97f4a7c15) >> 20;
        if (i % 7 == 1)
            hash = things[i - 1].hash;
        else if (i % 7 == 2)
            hash = things[i - 1].hash | UINT64_C(1) << 60;
        things[i] = (struct thing){.hash = hash};
    }
}

static bool is_found(const struct table *table, const struct thing *thing)
{
    struct table_link *link = table_find(table, thing->hash);
    for (; link != NULL; link = table_find_next(link)) {
        assert_true(link->hash == thing->hash);
        if (link == &thing->link)
            return true;
    }
    return false;
}

static void check_all(const struct table *table)
{
    size_t count = 0;
    for (size_t i = 0; i < THINGS; i++) {
        assert_int_equal(is_found(table, &things[i]), things[i].is_in);
        count += things[i].is_in;
    }
    assert_int_equal(table->count, count);
}

static void toggle(struct table *table, struct thing *thing)
{
    if (thing->is_in)
        table_remove(table, &thing->link);
    else
        table_add(table, &thing->link, thing->hash);
    thing->is_in = !thing->is_in;
}

static void everything_is_found_at_every_size(void **state)
{
    (void)state;
    struct table table;
    uint64_t random = 1;
    make_things();
    assert_int_equal(table_init(&table), 0);
    for (size_t i = 0; i < THINGS; i++) {
        toggle(&table, &things[i]);
        random = random * UINT64_C(6364136223846793005) + 1;
        if (i % 3 == 0)
            toggle(&table, &things[(random >> 33) % (i + 1)]);
        if (i < 200 || i % 97 == 0)
            check_all(&table);
    }
    check_all(&table);
    table_close(&table);
}

/* The longest chain stays short, and the buckets are no more than a few for each entry. */
static void entries_are_spread_over_the_buckets(void **state)
{
    (void)state;
    struct table table;
    assert_int_equal(table_init(&table), 0);
    for (uint64_t i = 0; i < THINGS; i++) {
        things[i] = (struct thing){.hash = i};
        table_add(&table, &things[i].link, i);
        assert_true(table.size >= table.count);
        assert_true(table.size <= 16 || table.size < 2 * table.count);
        assert_true(table.size <= table.mask + 1 && table.size > (table.mask + 1) / 2);
    }
    for (size_t i = 0; i < table.size; i++) {
        const struct table_link *link = table.buckets[i];
        assert_true(link == NULL || link->next == NULL || link->next->next == NULL);
    }
    table_close(&table);
}

static void table_is_taken_apart_entry_by_entry(void **state)
{
    (void)state;
    struct table table;
    size_t bucket = 0, count = 0;
    make_things();
    assert_int_equal(table_init(&table), 0);
    for (size_t i = 0; i < THINGS; i++)
        table_add(&table, &things[i].link, things[i].hash);
    while (table_take_any(&table, &bucket) != NULL)
        count++;
    assert_int_equal(count, THINGS);
    assert_int_equal(table.count, 0);
    table_close(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_is_found_at_every_size),
        cmocka_unit_test(entries_are_spread_over_the_buckets),
        cmocka_unit_test(table_is_taken_apart_entry_by_entry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
