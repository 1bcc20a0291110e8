#include "node/offences.h"

#include <stdio.h>

#define OTHERS "others"

void offences_count(struct offences *offences, const char *who, int error)
{
    size_t reason = error < 0 ? (size_t) - (int64_t)error : 0;
    offences->by_reason[reason < OFFENCE_REASONS ? reason : OFFENCE_REASONS - 1]++;
    if (who[0] == '\0')
        who = OTHERS;
    size_t i = 0;
    while (i < offences->offender_count && strcmp(offences->offenders[i].id, who) != 0)
        i++;
    if (i == offences->offender_count) {
        if (i < OFFENDERS_MAX)
            offences->offender_count++;
        else
            who = OTHERS; /* the place behind the table's end */
        (void)snprintf(offences->offenders[i].id, sizeof offences->offenders[i].id, "%s", who);
    }
    offences->offenders[i].total++;
}
