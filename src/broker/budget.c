#include "broker/budget.h"

#include "base/assert.h"

#include <stddef.h>

void budget_init(struct budget *budget, _Atomic uint64_t *pool, uint64_t most, uint64_t step)
{
    ASSERT(step >= 1 && step <= INT32_MAX);
    *budget = (struct budget){.pool = pool, .most = most, .step = (int64_t)step};
}

static void fetch_to(struct budget *budget, int64_t fetched)
{
    /* Unsigned arithmetic wraps: adding a negative difference subtracts. */
    atomic_fetch_add_explicit(budget->pool, (uint64_t)(fetched - budget->fetched),
                              memory_order_relaxed);
    budget->fetched = fetched;
}

void budget_settle(struct budget *budget)
{
    fetch_to(budget, budget->used + budget->step - 1);
}

void budget_close(struct budget *budget)
{
    if (budget->pool != NULL)
        fetch_to(budget, 0);
    budget->used = 0;
}
