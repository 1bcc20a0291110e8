/* Which bodies may go, and letting them go. Headers, certificates, checkpoints and the index stay.
 */
#include "store/blocks_int.h"

#include "base/assert.h"

/* The first height in low..high for which `is_kept` holds; high when none of those before does.
 * Time and sums rise with the height. */
struct search {
    struct block_store *store;
    const struct block_store_retain *retain;
    int64_t oldest_us;
    uint64_t all_bytes;
};

static int time_of(struct block_store *store, uint64_t height, int64_t *out)
{
    struct buf wire = {0};
    struct block_header header;
    int error = block_store_get_header(store, height, &wire, NULL);
    if (error == 0)
        error = header_decode(buf_bytes(&wire), &header);
    if (error == 0)
        *out = header.time_us;
    buf_close(&wire);
    return error;
}

static int is_kept_by_age(const struct search *s, uint64_t height, bool *out)
{
    int64_t time_us = 0;
    int error = time_of(s->store, height, &time_us);
    *out = time_us >= s->oldest_us;
    return error;
}

/* What is from this height on fits. */
static int is_kept_by_size(const struct search *s, uint64_t height, bool *out)
{
    struct block_store_totals before;
    int error = blocks_totals_at(s->store, height - 1, &before);
    if (error == SEALMQ_E_NOTFOUND) /* the store began here */
        error = 0;
    *out = s->all_bytes - before.bytes <= s->retain->bytes;
    return error;
}

static int search(const struct search *s, uint64_t low, uint64_t high,
                  int (*is_kept)(const struct search *s, uint64_t height, bool *out), uint64_t *out)
{
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        bool kept;
        int error = is_kept(s, middle, &kept);
        if (error != 0)
            return error;
        if (kept)
            high = middle;
        else
            low = middle + 1;
    }
    *out = low;
    return 0;
}

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* A start needs the blocks after a snapshot that is certified by a header. */
static int after_snapshot(struct block_store *store, uint64_t from, uint64_t tip, uint64_t *out)
{
    struct buf manifest = {0};
    uint64_t newest = from - 1 < tip - 1 ? from - 1 : tip - 1, height;
    int error = block_store_get_snapshot(store, newest, &height, &manifest);
    buf_close(&manifest);
    if (error == 0)
        *out = height + 1;
    return error;
}

int block_store_prune_from(struct block_store *store, const struct block_store_retain *retain,
                           int64_t now_us, uint64_t *lowest, uint64_t *from)
{
    struct search s = {.store = store, .retain = retain};
    struct block_store_totals totals;
    uint64_t header, tip, at = 0;
    int error = block_store_lowest(store, &header, lowest);
    if (error == 0)
        error = block_store_tip(store, &tip);
    if (error == 0)
        error = block_store_totals(store, &totals);
    if (error != 0)
        return error;
    *from = *lowest;
    if (tip == 0)
        return 0;
    uint64_t wanted = *lowest;
    if (retain->blocks != 0 && tip > retain->blocks)
        wanted = later(wanted, tip - retain->blocks + 1);
    s.all_bytes = totals.bytes;
    if (retain->bytes != 0) {
        error = search(&s, wanted, tip, is_kept_by_size, &at);
        if (error != 0)
            return error;
        wanted = later(wanted, at);
    }
    if (retain->age_us != 0 && !__builtin_sub_overflow(now_us, retain->age_us, &s.oldest_us)) {
        error = search(&s, wanted, tip, is_kept_by_age, &at);
        if (error != 0)
            return error;
        wanted = later(wanted, at);
    }
    if (wanted == *lowest)
        return 0;
    error = after_snapshot(store, wanted, tip, &at);
    if (error == SEALMQ_E_NOTFOUND)
        return 0;
    *from = later(*lowest, at);
    return error;
}

int block_store_prune(struct block_store *store, uint64_t from, size_t most, uint64_t *lowest)
{
    static const enum blocks_statement removals[] = {BLOCKS_PRUNE_CHUNKS, BLOCKS_PRUNE_SNAPSHOTS};
    uint64_t header;
    int error = block_store_lowest(store, &header, lowest);
    if (error != 0 || *lowest >= from)
        return error;
    uint64_t end = from - *lowest < most ? from : *lowest + most;
    db_bind_u64(store->statements[BLOCKS_PRUNE_BODIES], 1, end);
    error = db_run(store->statements[BLOCKS_PRUNE_BODIES]);
    /* What a snapshot before them was for is gone with them. */
    for (size_t i = 0; i < 2 && error == 0; i++) {
        db_bind_u64(store->statements[removals[i]], 1, end - 1);
        error = db_run(store->statements[removals[i]]);
    }
    if (error == 0)
        *lowest = end;
    return error;
}
