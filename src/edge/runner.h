/* A running gateway: the gateway core with its clock, disk, connection and sources, on one loop.
 *
 * States of the disk: GOOD; FAILING (a commit failed: what it had to write waits, no reading is
 * taken, the core rests; tried again each second); LOST (the core ran out of memory in the middle
 * of a call: it is made anew from the disk, tried each second). */
#ifndef SEALMQ_EDGE_RUNNER_H
#define SEALMQ_EDGE_RUNNER_H

#include "base/error.h"

#include <stddef.h>

struct runner;

/* Reads the configuration and everything that it names, opens the outbox and binds the listeners.
 * Nothing runs yet. `why` says what is wrong, and where. As gateway_config_read, and SEALMQ_E_IO,
 * _DENIED, _CONFLICT, _CORRUPT, _BUSY, _FULL, _NOMEM. */
SEALMQ_MUST_CHECK int runner_new(const char *config_path, struct runner **out, char *why,
                                 size_t why_size);
/* Runs until SIGTERM or SIGINT; SIGHUP reads the devices' passwords anew. At the end no more
 * readings are taken; what waits is captured and, for at most three seconds or until the next
 * signal, delivered; the rest stays in the outbox. Once. */
SEALMQ_MUST_CHECK int runner_run(struct runner *runner);
void runner_free(struct runner *runner); /* NULL is allowed */

const char *runner_id(const struct runner *runner);

#endif
