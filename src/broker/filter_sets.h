/* Topic filters as sets of topics: what two filters have in common. */
#ifndef SEALMQ_BROKER_FILTER_SETS_H
#define SEALMQ_BROKER_FILTER_SETS_H

#include "base/bytes.h"

/* Whether some topic matches both. */
bool filters_overlap(struct bytes a, struct bytes b);
/* Whether every topic that matches `inner` matches `outer`. */
bool filter_covers(struct bytes outer, struct bytes inner);

#endif
