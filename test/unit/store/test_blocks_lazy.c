/* fdatasync is counted here, in place of libc's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "folder.h"
#include "plant.h"

#include <sys/syscall.h>
#include <unistd.h>

static unsigned syncs;

int fdatasync(int fd)
{
    syncs++;
    return (int)syscall(SYS_fdatasync, fd);
}

static void put(struct plant *plant, bool is_lazy, const char *words)
{
    assert_int_equal(
        is_lazy ? block_store_begin_lazy(plant->store) : block_store_begin(plant->store), 0);
    assert_int_equal(block_store_put_slot(plant->store, 1, bytes_str(words)), 0);
    assert_int_equal(block_store_commit(plant->store), 0);
}

static void assert_slot(struct plant *plant, const char *words)
{
    struct buf slot = {0};
    assert_int_equal(block_store_get_slot(plant->store, 1, &slot), 0);
    assert_true(bytes_equal(buf_bytes(&slot), bytes_str(words)));
    buf_close(&slot);
}

static void only_steps_that_must_be_durable_wait_for_the_disk(void **state)
{
    struct plant *plant = plant_new(state);
    put(plant, false, "first");
    unsigned before = syncs;
    put(plant, true, "second");
    put(plant, true, "third");
    assert_int_equal(syncs, before);
    assert_slot(plant, "third");
    put(plant, false, "fourth");
    assert_int_equal(syncs, before + 1);
    plant_free(plant);
}

static void what_was_committed_can_be_synced_afterwards(void **state)
{
    struct plant *plant = plant_new(state);
    put(plant, true, "first");
    unsigned before = syncs;
    assert_int_equal(block_store_sync(plant->store), 0);
    assert_int_equal(syncs, before + 1);
    assert_slot(plant, "first");
    plant_free(plant);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(only_steps_that_must_be_durable_wait_for_the_disk,
                                        folder_setup, folder_teardown),
        cmocka_unit_test_setup_teardown(what_was_committed_can_be_synced_afterwards, folder_setup,
                                        folder_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
