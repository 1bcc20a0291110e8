/* The gateway program: the gateway core on a libuv loop, with its outbox, its link to a node, its
 * sources and the clock. Keeps the core's contract: an update's writes are durable before its
 * messages leave. When the disk refuses, it waits and tries again each second; sources are refused
 * meanwhile. */
#ifndef SEALMQ_EDGE_RUNNER_H
#define SEALMQ_EDGE_RUNNER_H

#include "base/error.h"

#include <stddef.h>

struct runner;

/* Reads the configuration and all that it names, opens the outbox, binds the sources. `why` says
 * what is wrong, and where. */
SEALMQ_MUST_CHECK int runner_new(const char *config_path, struct runner **out, char *why,
                                 size_t why_size);
/* Runs until SIGTERM or SIGINT; then captures what was read, tries to deliver for a few seconds and
 * returns 0. What is not delivered stays in the outbox. SEALMQ_E_NOMEM: the gateway must be started
 * anew. */
SEALMQ_MUST_CHECK int runner_run(struct runner *runner);
void runner_free(struct runner *runner);

const char *runner_id(const struct runner *runner);

#endif
