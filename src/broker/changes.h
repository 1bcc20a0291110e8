/* Which topics the changes of subscriptions concern, so that what is remembered about a topic can
 * be kept while others subscribe.
 *
 * A change of a filter is counted in a cell that is chosen by the filter's beginning: the levels
 * before its first wildcard. Topics that the filter matches begin with the same levels; so whoever
 * watches the cells of all beginnings of a topic misses no change that concerns it. He also sees
 * some that do not: another filter with that beginning, or with the same cell. */
#ifndef SEALMQ_BROKER_CHANGES_H
#define SEALMQ_BROKER_CHANGES_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

#define CHANGES_DEPTH 7 /* levels of a beginning; of a longer one only these count */

struct changes {
    uint64_t count; /* of all */
    uint64_t *cells;
};

/* SEALMQ_E_NOMEM */
SEALMQ_MUST_CHECK int changes_init(struct changes *changes);
void changes_close(struct changes *changes);
/* A filter with this beginning has changed. A beginning is a hash of its levels, and 0 that of no
 * levels: a change that concerns all topics. */
void changes_note(struct changes *changes, uint64_t beginning);

/* What one topic depends on. */
struct change_watch {
    uint64_t count; /* what has been seen of the changes: of all, */
    uint64_t sum;   /* and of those in the cells */
    uint16_t cells[CHANGES_DEPTH];
    uint16_t cell_count;
};

/* Begins to watch changes that concern all topics; further beginnings are added, at most
 * CHANGES_DEPTH. */
void change_watch_start(struct change_watch *watch, const struct changes *changes);
void change_watch_add(struct change_watch *watch, const struct changes *changes,
                      uint64_t beginning);
/* Whether a change has concerned the topic since the watch began. */
bool change_watch_sees_one(struct change_watch *watch, const struct changes *changes);

#endif
