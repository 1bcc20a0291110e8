/* A plain MQTT server from its configuration: rules, listeners, log-in, reload. What `sealmq
 * broker` runs. All calls on one thread. */
#ifndef SEALMQ_SERVE_SERVE_H
#define SEALMQ_SERVE_SERVE_H

#include "config/broker_config.h"

struct serve;

/* Reads everything that the configuration names, and opens the listeners; nothing runs yet.
 * `config` is taken, also when this fails. `config_path` is read again at a reload, and paths are
 * relative to it; NULL: the configuration does not come from a file. `why` says what is wrong, and
 * where. */
SEALMQ_MUST_CHECK int serve_new(struct broker_config *config, const char *config_path,
                                struct serve **out, char *why, size_t why_size);
SEALMQ_MUST_CHECK int serve_start(struct serve *serve);
/* Reads the configuration and all that it names again. Clients stay connected: new rules count from
 * their next message on, new certificates and passwords from their next connection on. All or
 * nothing: when anything is wrong, or needs a restart, the log says so and nothing has changed. */
void serve_reload(struct serve *serve);
/* Ends serving, with at most `drain_ms` for what is still to be written, and frees. NULL is fine.
 */
void serve_free(struct serve *serve, unsigned drain_ms);

/* Reads and checks the same without opening a listener. */
SEALMQ_MUST_CHECK int serve_test(const struct broker_config *config, const char *config_path,
                                 char *why, size_t why_size);
/* Gives a configuration that names no listener those of a fresh installation: loopback, `port`. */
SEALMQ_MUST_CHECK int serve_default_listeners(struct broker_config *config, uint16_t port);

#endif
