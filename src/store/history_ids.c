#include "store/history_int.h"

#include <stdlib.h>

#define HASH_NONFATAL_OOM                                                                          \
    1 /* a failed HASH_ADD leaves hh.tbl NULL instead of ending the program                        \
       */
#include <uthash.h>

#define IDS_MAX 65536 /* remembered; more are looked up in the database */

struct history_id {
    uint64_t id;
    UT_hash_handle hh;
    uint8_t name[];
};

int history_ids_get(const struct history_ids *ids, struct bytes name, uint64_t *out)
{
    struct history_id *found;
    HASH_FIND(hh, ids->first, name.p, name.n, found);
    if (found == NULL)
        return SEALMQ_E_NOTFOUND;
    *out = found->id;
    return 0;
}

void history_ids_put(struct history_ids *ids, struct bytes name, uint64_t id)
{
    if (ids->n >= IDS_MAX)
        history_ids_clear(ids);
    struct history_id *entry = malloc(sizeof(*entry) + name.n);
    if (entry == NULL)
        return;
    entry->id = id;
    if (name.n != 0)
        memcpy(entry->name, name.p, name.n);
    HASH_ADD_KEYPTR(hh, ids->first, entry->name, name.n, entry);
    if (entry->hh.tbl == NULL)
        free(entry);
    else
        ids->n++;
}

void history_ids_clear(struct history_ids *ids)
{
    struct history_id *entry, *next;
    HASH_ITER (hh, ids->first, entry, next) {
        HASH_DEL(ids->first, entry);
        free(entry);
    }
    ids->n = 0;
}
