#include "serve/settings.h"

int serve_settings(const struct broker_config *config, const struct config_source *source,
                   struct net_server_options *out)
{
    if (config->persistence.durability != CONFIG_DURABLE_NONE) {
        out->state_folder = config->persistence.folder;
        out->durability = config->persistence.durability == CONFIG_DURABLE_LAZY
                              ? NET_DURABILITY_LAZY
                              : NET_DURABILITY_FULL;
    }
    out->workers = config->workers;
    out->response_prefix = config->response_information;
    broker_limits_default(&out->limits);
    return broker_config_limits(config, source, &out->limits);
}
