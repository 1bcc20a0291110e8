/* Which readings are written to the chain: periodic and change writing. */
#ifndef SEALMQ_GATEWAY_POLICY_H
#define SEALMQ_GATEWAY_POLICY_H

#include "gateway/gateway.h"

/* What was last written of the item; `value` NULL: nothing yet. */
struct policy_last {
    const char *value;
    int64_t time_us;
};

/* The first policy whose pattern fits, or NULL. A pattern is device/service/name, each a name or
 * "*". */
const struct gateway_policy *policy_find(const struct gateway_policy *policies, size_t count,
                                         const struct row *row);
/* Whether the reading is to be written. Periodic: when its time is an interval or more from that of
 * the last one written. On change: a first value, any change of a bool or string,
 * and a number that differs from the last one written by the threshold or more. */
bool policy_wants(const struct gateway_policy *policy, const struct row *row,
                  const struct policy_last *last);

#endif
