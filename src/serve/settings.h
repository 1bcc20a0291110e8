/* What a configuration says besides listeners and rules, for the network layer. */
#ifndef SEALMQ_SERVE_SETTINGS_H
#define SEALMQ_SERVE_SETTINGS_H

#include "config/broker_config.h"
#include "net/server.h"

/* Sets workers and limits in `out` (defaults where the configuration is silent). SEALMQ_E_CONFIG
 * with words when it asks for what this program cannot do. */
SEALMQ_MUST_CHECK int serve_settings(const struct broker_config *config,
                                     const struct config_source *source,
                                     struct net_server_options *out);

#endif
