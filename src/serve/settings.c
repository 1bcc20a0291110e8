#include "serve/settings.h"

int serve_settings(const struct broker_config *config, const struct config_source *source,
                   struct net_server_options *out)
{
    if (config->persistence.folder != NULL)
        return config_refuse(source, "persistence",
                             "persistence: this program keeps its state in memory only");
    out->workers = config->workers;
    broker_limits_default(&out->limits);
    return broker_config_limits(config, source, &out->limits);
}
