#include "broker/changes.h"

#include "base/assert.h"

#include <stdlib.h>

/* Their number decides how often a change is taken for another one: with a thousand changes a
 * second, a topic of four levels every three seconds. */
#define CELLS 16384 /* a power of two, at most 2^16 */

static uint16_t cell_of(uint64_t beginning)
{
    return (uint16_t)(beginning & (CELLS - 1));
}

int changes_init(struct changes *changes)
{
    *changes = (struct changes){.cells = calloc(CELLS, sizeof(uint64_t))};
    return changes->cells == NULL ? SEALMQ_E_NOMEM : 0;
}

void changes_close(struct changes *changes)
{
    free(changes->cells);
    *changes = (struct changes){0};
}

void changes_note(struct changes *changes, uint64_t beginning)
{
    changes->count++;
    changes->cells[cell_of(beginning)]++;
}

void change_watch_start(struct change_watch *watch, const struct changes *changes)
{
    watch->count = changes->count;
    watch->sum = changes->cells[cell_of(0)];
    watch->cell_count = 0;
}

void change_watch_add(struct change_watch *watch, const struct changes *changes, uint64_t beginning)
{
    ASSERT(watch->cell_count < CHANGES_DEPTH);
    uint16_t cell = cell_of(beginning);
    watch->cells[watch->cell_count++] = cell;
    watch->sum += changes->cells[cell];
}

bool change_watch_sees_one(struct change_watch *watch, const struct changes *changes)
{
    if (watch->count == changes->count)
        return false;
    /* Counts only grow, so an equal sum is an equal count in each. */
    uint64_t sum = changes->cells[cell_of(0)];
    for (unsigned i = 0; i < watch->cell_count; i++)
        sum += changes->cells[watch->cells[i]];
    if (sum != watch->sum)
        return true;
    watch->count = changes->count;
    return false;
}
