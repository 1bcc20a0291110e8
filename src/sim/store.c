/* A replica's store. An update that must be durable is so when it is applied, with all that was
 * before it; others are with the next one that must. */
#include "sim/sim_int.h"

#include <stdlib.h>

static int set(struct buf *buf, struct bytes bytes)
{
    buf_reset(buf);
    buf_append_bytes(buf, bytes);
    return buf_status(buf);
}

static int add_block(struct sim_store *store, const struct pbft_stored_block *block)
{
    if (store->n == store->capacity) {
        size_t capacity = store->capacity == 0 ? 16 : 2 * store->capacity;
        struct sim_stored *blocks = realloc(store->blocks, capacity * sizeof(*blocks));
        if (blocks == NULL)
            return SEALMQ_E_NOMEM;
        store->blocks = blocks;
        store->capacity = capacity;
    }
    struct sim_stored *stored = &store->blocks[store->n++];
    *stored = (struct sim_stored){0};
    int error = set(&stored->block, block->block);
    return error != 0 ? error : set(&stored->certificate, block->certificate);
}

int sim_store_apply(struct sim_store *store, const struct pbft_update *update)
{
    int error = 0;
    for (size_t i = 0; i < update->write_count && error == 0; i++)
        error = set(&store->slots[update->writes[i].slot], update->writes[i].bytes);
    for (size_t i = 0; i < update->block_count && error == 0; i++)
        error = add_block(store, &update->blocks[i]);
    if (error == 0 && update->checkpoint.n != 0)
        error = set(&store->checkpoint, update->checkpoint);
    if (error == 0 && update->must_be_durable)
        store->synced = store->n;
    return error;
}

void sim_store_lose_unsynced(struct sim_store *store)
{
    while (store->n > store->synced) {
        struct sim_stored *stored = &store->blocks[--store->n];
        buf_close(&stored->block);
        buf_close(&stored->certificate);
    }
}

void sim_store_drop_slots(struct sim_store *store)
{
    for (size_t i = 0; i < PBFT_SLOTS; i++)
        buf_reset(&store->slots[i]);
}

bool sim_store_tear(struct sim_store *store, struct sim_random *random)
{
    size_t first = (size_t)sim_random_below(random, PBFT_SLOTS);
    for (size_t k = 0; k < PBFT_SLOTS; k++) {
        struct buf *slot = &store->slots[(first + k) % PBFT_SLOTS];
        if (slot->n < 2)
            continue;
        slot->n = (size_t)sim_random_between(random, 1, slot->n - 1);
        return true;
    }
    return false;
}

void sim_store_close(struct sim_store *store)
{
    for (size_t i = 0; i < store->n; i++) {
        buf_close(&store->blocks[i].block);
        buf_close(&store->blocks[i].certificate);
    }
    free(store->blocks);
    for (size_t i = 0; i < PBFT_SLOTS; i++)
        buf_close(&store->slots[i]);
    buf_close(&store->checkpoint);
}
