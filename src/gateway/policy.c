#include "gateway/policy.h"

#include <math.h>
#include <stdlib.h>

/* One level of a pattern against one name; moves *pattern behind the slash. A pattern that has
 * ended leaves the rest open. */
static bool level_fits(const char **pattern, struct bytes name)
{
    size_t n = strcspn(*pattern, "/");
    bool fits = n == 0 || (n == 1 && **pattern == '*') || bytes_equal(bytes_of(*pattern, n), name);
    *pattern += n;
    if (**pattern == '/')
        (*pattern)++;
    return fits;
}

const struct gateway_policy *policy_find(const struct gateway_policy *policies, size_t count,
                                         const struct row *row)
{
    for (size_t i = 0; i < count; i++) {
        const char *pattern = policies[i].pattern;
        if (level_fits(&pattern, row->device) && level_fits(&pattern, row->service) &&
            level_fits(&pattern, row->name))
            return &policies[i];
    }
    return NULL;
}

static bool has_changed(const struct gateway_policy *policy, const struct row *row,
                        const char *last)
{
    if (row->type == DATATYPE_BOOL || row->type == DATATYPE_STRING)
        return !bytes_equal(row->value, bytes_str(last));
    char text[64];
    if (bytes_to_cstr(row->value, text, sizeof text) != 0)
        return true; /* a number written with so many digits: rather once too often */
    double value = strtod(text, NULL), before = strtod(last, NULL);
    double change = fabs(value - before);
    double threshold =
        policy->threshold_is_percent ? fabs(before) * policy->threshold / 100 : policy->threshold;
    return change >= threshold && change > 0;
}

bool policy_wants(const struct gateway_policy *policy, const struct row *row,
                  const struct policy_last *last)
{
    if (!policy->periodic && !policy->on_change)
        return false;
    if (last->value == NULL)
        return true;
    /* In either direction: a device whose clock was ahead once must not be silent until then. */
    int64_t apart_us = row->time_us - last->time_us;
    int64_t interval_us = (int64_t)policy->interval_ms * 1000;
    if (policy->periodic && (apart_us >= interval_us || apart_us <= -interval_us))
        return true;
    return policy->on_change && has_changed(policy, row, last->value);
}
