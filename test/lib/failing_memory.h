/* Memory that runs out on demand, for tests named test_<what>_memory.c: cmake/Modules.cmake links
 * those with test/lib/failing_memory.c, through which all allocations of our own archives then go
 * (not those of the libraries they use). */
#ifndef SEALMQ_TEST_FAILING_MEMORY_H
#define SEALMQ_TEST_FAILING_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

/* The `n`-th allocation from now on fails, that one only. 0: none does. */
void memory_fail_at(size_t n);
/* Whether the allocation that was to fail has been asked for. Ends the failing. */
bool memory_has_failed(void);

#endif
