/* Messages of the agreement that were refused: how many, for which reason, and from whom. Bounded:
 * whoever finds no place in the table any more is counted under "others". For one thread, or under
 * the caller's lock. */
#ifndef SEALMQ_NODE_OFFENCES_H
#define SEALMQ_NODE_OFFENCES_H

#include "base/bytes.h"
#include "base/limits.h"

#define OFFENCE_REASONS 64             /* by number of error; the last is for all beyond */
#define OFFENDERS_MAX   VALIDATORS_MAX /* and the others */

struct offences {
    uint64_t by_reason[OFFENCE_REASONS]; /* [-error] */
    size_t offender_count;
    struct {
        char id[ID_MAX + 1];
        uint64_t total;
    } offenders[OFFENDERS_MAX + 1];
};

/* `who` is an id, or "" when nobody is known to have sent it. */
void offences_count(struct offences *offences, const char *who, int error);

#endif
