/* A configuration's listeners as the network layer takes them, with their certificates loaded. */
#ifndef SEALMQ_SERVE_LISTENERS_H
#define SEALMQ_SERVE_LISTENERS_H

#include "config/broker_config.h"
#include "net/server.h"

struct serve_listeners {
    unsigned count;
    struct net_listener at[CONFIG_LISTENERS_MAX];
    char unix_paths[CONFIG_LISTENERS_MAX][128];
};

/* Strings are borrowed from `config`; the certificates are the struct's own, until
 * serve_listeners_close. `why` names the listener and the file. */
SEALMQ_MUST_CHECK int serve_listeners_load(const struct broker_config *config,
                                           const char *config_path, struct serve_listeners *out,
                                           char *why, size_t why_size);
void serve_listeners_close(struct serve_listeners *listeners);

/* NULL, or what of the listeners is not the same and cannot change while they are open ("port");
 * *index is whose. */
const char *serve_listeners_difference(const struct broker_config *running,
                                       const struct broker_config *wanted, unsigned *index);

#endif
