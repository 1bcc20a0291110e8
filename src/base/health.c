#include "base/health.h"

#include "base/assert.h"

#include <stddef.h>

struct health_part *health_add(struct health *health, const char *name)
{
    ASSERT(health->count < HEALTH_PARTS_MAX);
    struct health_part *part = &health->parts[health->count++];
    part->name = name;
    atomic_init(&part->trouble, NULL);
    return part;
}

void health_set(struct health_part *part, const char *trouble)
{
    if (part != NULL)
        atomic_store(&part->trouble, trouble);
}

const char *health_trouble(struct health_part *part)
{
    return atomic_load(&part->trouble);
}
