/* Random steps, durable and lazy, and crashes at random writes and syncs that lose what was not
 * synced. What opens afterwards is the store as it was after some step, the whole of it: the newest
 * one that was durable or a later one. SEALMQ_CRASH_SEED is the first seed, SEALMQ_CRASH_SEEDS how
 * many there are, each of them printed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "disk.h"
#include "folder.h"
#include "plant.h"
#include "store/blocks_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIVES     14
#define STEPS_MAX 400
#define SLOTS     4 /* that are written */

/* What a store holds, as far as it can differ between two steps. */
struct seen {
    uint64_t tip, lowest, snapshot;
    struct hash tip_hash;
    uint64_t checkpoint;   /* its number, 0: none */
    uint64_t slots[SLOTS]; /* the number of what was written, 0: empty */
};

struct run {
    uint64_t seed;
    struct plant *plant;
    struct seen steps[STEPS_MAX]; /* since the start of this life, [0] as it was opened */
    size_t durable, committed;    /* the newest such steps */
    bool is_in_commit;            /* steps[committed + 1] may be there, or not */
    uint64_t number;              /* of the last thing written, never given again */
};

static uint64_t random_state;

static unsigned draw(unsigned below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (unsigned)(random_state >> 33) % below;
}

/* ---- bytes that say which they are, of up to several pages ---- */

static void append_numbered(struct buf *out, uint64_t number)
{
    uint64_t noise = number * UINT64_C(0x9e3779b97f4a7c15);
    buf_printf(out, "%llu:", (unsigned long long)number);
    for (size_t i = number * 677 % 14000; i > 0; i--) {
        noise = noise * UINT64_C(6364136223846793005) + 1;
        buf_append_u8(out, (uint8_t)('a' + (noise >> 40) % 26));
    }
    assert_int_equal(buf_status(out), 0);
}

static uint64_t number_of(struct bytes bytes)
{
    struct buf whole = {0};
    uint64_t number = strtoull((const char *)bytes.p, NULL, 10);
    append_numbered(&whole, number);
    assert_true(bytes_equal(bytes, buf_bytes(&whole)));
    buf_close(&whole);
    return number;
}

/* ---- steps ---- */

static void next_request(struct run *run)
{
    struct plant *plant = run->plant;
    uint64_t request = chain_request_next(plant->chain, BYTES_LIT(GATEWAY));
    char name[32];
    snprintf(name, sizeof(name), "n%llu", (unsigned long long)++run->number);
    struct item item = item_of((uint32_t)run->number, "D1", name);
    add_describe(&plant->batch, &plant->network, request, &item, 1);
}

static int put_blocks(struct run *run, struct seen *seen)
{
    struct plant *plant = run->plant;
    int error = 0;
    for (unsigned n = 1 + draw(2); error == 0 && n > 0; n--) {
        next_request(run);
        error = plant_put_block(plant);
    }
    seen->tip = chain_height(plant->chain);
    seen->tip_hash = *chain_tip_hash(plant->chain);
    if (error == 0 && draw(8) == 0) {
        error = block_store_put_snapshot(plant->store, plant->chain);
        seen->snapshot = seen->tip;
    }
    return error;
}

static int put_checkpoint(struct run *run, struct seen *seen)
{
    struct buf note = {0};
    seen->checkpoint = ++run->number;
    append_numbered(&note, seen->checkpoint);
    int error = block_store_put_checkpoint(run->plant->store, seen->checkpoint, buf_bytes(&note));
    buf_close(&note);
    return error;
}

static int put_slots(struct run *run, struct seen *seen)
{
    int error = 0;
    for (int slot = 0; error == 0 && slot < SLOTS; slot++) {
        struct buf bytes = {0};
        if (slot != 0 && draw(2) == 0)
            continue;
        seen->slots[slot] = slot != 0 && draw(6) == 0 ? 0 : ++run->number;
        if (seen->slots[slot] != 0)
            append_numbered(&bytes, seen->slots[slot]);
        error = block_store_put_slot(run->plant->store, slot, buf_bytes(&bytes));
        buf_close(&bytes);
    }
    return error;
}

static int prune(struct run *run, struct seen *seen)
{
    struct block_store *store = run->plant->store;
    const struct block_store_retain retain = {.blocks = 1 + draw(12)};
    uint64_t lowest, from;
    int error = block_store_prune_from(store, &retain, 0, &lowest, &from);
    if (error == 0)
        error = block_store_prune(store, from, 1 + draw(5), &lowest);
    seen->lowest = lowest;
    return error;
}

static int put_something(struct run *run, struct seen *seen)
{
    unsigned what = 1 + draw(7);
    int error = (what & 1) != 0 ? put_blocks(run, seen) : 0;
    if (error == 0 && (what & 2) != 0)
        error = put_slots(run, seen);
    if (error == 0 && (what & 4) != 0)
        error = put_checkpoint(run, seen);
    if (error == 0 && draw(6) == 0)
        error = prune(run, seen);
    return error;
}

/* Whether there is still power. */
static bool step(struct run *run)
{
    struct block_store *store = run->plant->store;
    struct seen *seen = &run->steps[run->committed + 1];
    bool is_lazy = draw(3) != 0;
    *seen = run->steps[run->committed];
    int error = is_lazy ? block_store_begin_lazy(store) : block_store_begin(store);
    if (error == 0)
        error = put_something(run, seen);
    if (error == 0) {
        run->is_in_commit = true;
        error = block_store_commit(store);
    }
    if (error != 0) {
        assert_true(disk_is_cut());
        block_store_rollback(store);
        return false;
    }
    run->is_in_commit = false;
    run->committed++;
    if (!is_lazy || (draw(20) == 0 && block_store_sync(store) == 0))
        run->durable = run->committed;
    return !disk_is_cut();
}

/* ---- what is there after a crash ---- */

static uint64_t slot_number(struct block_store *store, int slot)
{
    struct buf bytes = {0};
    int error = block_store_get_slot(store, slot, &bytes);
    uint64_t number = error == 0 ? number_of(buf_bytes(&bytes)) : 0;
    if (error != SEALMQ_E_NOTFOUND)
        assert_int_equal(error, 0);
    buf_close(&bytes);
    return number;
}

static struct seen see(struct block_store *store)
{
    struct seen seen = {0};
    struct buf bytes = {0};
    uint64_t header;
    assert_int_equal(block_store_tip(store, &seen.tip), 0);
    assert_int_equal(block_store_lowest(store, &header, &seen.lowest), 0);
    assert_int_equal(header, 1);
    assert_int_equal(block_store_get_header(store, seen.tip, &bytes, NULL), 0);
    header_hash(buf_bytes(&bytes), &seen.tip_hash);
    buf_reset(&bytes);
    if (block_store_checkpoint_newest(store, &bytes) == 0)
        seen.checkpoint = number_of(buf_bytes(&bytes));
    buf_reset(&bytes);
    if (block_store_get_snapshot(store, UINT64_MAX, &seen.snapshot, &bytes) != 0)
        seen.snapshot = 0;
    buf_close(&bytes);
    for (int slot = 0; slot < SLOTS; slot++)
        seen.slots[slot] = slot_number(store, slot);
    return seen;
}

static bool is_same(const struct seen *a, const struct seen *b)
{
    return a->tip == b->tip && a->lowest == b->lowest && a->snapshot == b->snapshot &&
           hash_equal(&a->tip_hash, &b->tip_hash) && a->checkpoint == b->checkpoint &&
           memcmp(a->slots, b->slots, sizeof(a->slots)) == 0;
}

/* Every block and certificate from the lowest on, the state, and the index. */
static void load(struct run *run)
{
    struct plant *plant = run->plant;
    char why[512] = "";
    const char *path = plant->store->path;
    int error = block_store_load_chain(plant->store, &plant->network.genesis, UINT64_MAX,
                                       &plant->chain, NULL, NULL, why, sizeof(why));
    if (error != 0)
        fail_msg("seed %llu: %s", (unsigned long long)run->seed, why);
    assert_true(hash_equal(chain_tip_hash(plant->chain), &run->steps[0].tip_hash));
    assert_int_equal(
        ask_sql(path, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'"),
        0);
    assert_int_equal(ask_sql(path, "SELECT count(*) FROM requests"),
                     ask_sql(path, "SELECT sum(requests) FROM headers"));
    assert_int_equal(ask_sql(path, "SELECT max(height) - min(height) + 1 - count(*) FROM bodies"),
                     0);
}

/* Opens the store; what is there begins the next life. */
static void open_again(struct run *run, enum disk_loss loss)
{
    struct plant *plant = run->plant;
    plant->store = plant_open(plant, BLOCK_STORE_WRITE);
    /* The log is worked into the file often, so that crashes meet that as well. */
    sqlite3_wal_autocheckpoint(plant->store->db, 1 + (int)draw(60));
    struct seen seen = see(plant->store);
    size_t at = run->committed + (run->is_in_commit ? 1 : 0);
    size_t least = loss == DISK_LOSES_NOTHING ? run->committed : run->durable;
    while (!is_same(&seen, &run->steps[at]) && at > least)
        at--;
    if (!is_same(&seen, &run->steps[at]))
        fail_msg("seed %llu: what opens (tip %llu) is not the store after any of the steps %zu "
                 "to %zu (tips %llu to %llu)",
                 (unsigned long long)run->seed, (unsigned long long)seen.tip, least, run->committed,
                 (unsigned long long)run->steps[least].tip,
                 (unsigned long long)run->steps[run->committed].tip);
    run->steps[0] = seen;
    run->committed = run->durable = 0;
    run->is_in_commit = false;
    load(run);
}

static void live_and_crash(struct run *run)
{
    static const enum disk_loss losses[] = {DISK_LOSES_NOTHING, DISK_LOSES_ALL, DISK_LOSES_SOME,
                                            DISK_LOSES_SOME};
    struct plant *plant = run->plant;
    enum disk_loss loss = losses[draw(4)];
    disk_cut_in(1 + draw(draw(2) == 0 ? 30 : 600));
    while (run->committed + 2 < STEPS_MAX && step(run))
        continue;
    block_store_close(plant->store); /* which ends in good order when there is power still */
    plant->store = NULL;
    batch_close(&plant->batch);
    chain_free(plant->chain);
    plant->chain = NULL;
    disk_restart(loss);
    open_again(run, loss);
}

static void run_seed(void **state, uint64_t seed)
{
    struct run *run = calloc(1, sizeof(*run));
    assert_non_null(run);
    if (getenv("SEALMQ_CRASH_SEEDS") != NULL)
        print_message("seed %llu\n", (unsigned long long)seed);
    run->seed = seed;
    random_state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    run->plant = plant_new(state);
    run->steps[0] = see(run->plant->store);
    for (int life = 0; life < LIVES; life++)
        live_and_crash(run);
    plant_free(run->plant);
    free(run);
    assert_int_equal(unlink(folder_path(state, "blocks.db")), 0);
    disk_forget();
}

static void what_opens_after_a_crash_is_whole_and_has_all_that_was_durable(void **state)
{
    const char *first = getenv("SEALMQ_CRASH_SEED");
    const char *count = getenv("SEALMQ_CRASH_SEEDS");
    uint64_t seed = first == NULL ? 1 : strtoull(first, NULL, 10);
    uint64_t end = seed + (count == NULL ? 6 : strtoull(count, NULL, 10));
    for (; seed < end; seed++)
        run_seed(state, seed);
}

/* A node whose store was lost must not vote: no crash makes it look like one that is new. */
static void a_store_that_is_made_anew_says_so_from_the_first_moment(void **state)
{
    const char *folder = *state;
    static const char *const endings[] = {"", "-wal", "-shm"};
    static const enum disk_loss losses[] = {DISK_LOSES_NOTHING, DISK_LOSES_ALL, DISK_LOSES_SOME};
    const struct hash genesis = {{1}};
    const struct bytes mark = BYTES_LIT("lost");
    unsigned opened = 0, refused = 0;
    for (unsigned cut = 1; cut < 80; cut++) {
        char path[512], why[512];
        struct block_store *store;
        struct buf kept = {0};
        disk_cut_in(cut);
        if (block_store_remake(folder, &genesis, 7, mark, &store, why, sizeof why) == 0)
            block_store_close(store);
        disk_cut_in(0);
        disk_restart(losses[cut % 3]);
        if (block_store_open(folder, BLOCK_STORE_WRITE, &genesis, &store, why, sizeof why) == 0) {
            assert_int_equal(block_store_get_slot(store, 7, &kept), 0);
            assert_true(bytes_equal(buf_bytes(&kept), mark));
            block_store_close(store);
            opened++;
        } else {
            refused++;
        }
        buf_close(&kept);
        disk_forget();
        for (size_t i = 0; i < 3; i++) {
            snprintf(path, sizeof path, "%s/blocks.db%s", folder, endings[i]);
            unlink(path);
        }
    }
    assert_true(opened > 0 && refused > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            what_opens_after_a_crash_is_whole_and_has_all_that_was_durable, folder_setup,
            folder_teardown),
        cmocka_unit_test_setup_teardown(a_store_that_is_made_anew_says_so_from_the_first_moment,
                                        folder_setup, folder_teardown),
    };
    disk_install(draw);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
