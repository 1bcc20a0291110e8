#include "config/node_config.h"

#include "base/id.h"
#include "config/yaml.h"

#include <stdio.h>
#include <string.h>

static const cyaml_strval_t role_names[] = {
    {.str = "full", .val = CONFIG_ROLE_FULL},
    {.str = "light", .val = CONFIG_ROLE_LIGHT},
};

static const cyaml_schema_field_t retain_fields[] = {
    CYAML_FIELD_UINT("blocks", CYAML_FLAG_OPTIONAL, struct config_retain, blocks),
    CYAML_FIELD_UINT("days", CYAML_FLAG_OPTIONAL, struct config_retain, days),
    CYAML_FIELD_UINT("megabytes", CYAML_FLAG_OPTIONAL, struct config_retain, megabytes),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t config_fields[] = {
    CYAML_FIELD_STRING_PTR("id", CYAML_FLAG_POINTER, struct node_config, id, 3, ID_MAX),
    CYAML_FIELD_STRING_PTR("genesis", CYAML_FLAG_POINTER, struct node_config, genesis, 1,
                           PATH_SIZE - 1),
    CYAML_FIELD_STRING_PTR("key", CYAML_FLAG_POINTER, struct node_config, key, 1, PATH_SIZE - 1),
    CYAML_FIELD_STRING_PTR("data", CYAML_FLAG_POINTER, struct node_config, data, 1, PATH_SIZE - 1),
    BROKER_CONFIG_FIELDS(struct node_config, broker, 0),
    CYAML_FIELD_UINT("session_life", CYAML_FLAG_OPTIONAL, struct node_config, session_life),
    CYAML_FIELD_UINT("view_timeout", CYAML_FLAG_OPTIONAL, struct node_config, view_timeout),
    CYAML_FIELD_ENUM("role", CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT, struct node_config, role,
                     role_names, sizeof(role_names) / sizeof(role_names[0])),
    CYAML_FIELD_MAPPING("retain", CYAML_FLAG_OPTIONAL, struct node_config, retain, retain_fields),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t config_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct node_config, config_fields),
};

#define WORKERS_MAX     16
#define RETAIN_DAYS_MAX 36500

/* A node's topics are others' evidence: nobody but this machine comes in without a name. */
static int check_anonymous(const struct node_config *config, const struct config_source *source)
{
    for (unsigned i = 0; i < config->broker.listeners_count; i++) {
        const struct config_listener *listener = &config->broker.listeners[i];
        if (broker_config_lets_anonymous_in(&config->broker, listener) &&
            !listener_config_is_local(listener)) {
            char place[64];
            snprintf(place, sizeof place, "listeners[%u]", i);
            return config_refuse(
                source, place,
                "anonymous is true, but listeners[%u] is not on loopback (%s); "
                "give clients passwords instead (sealmq passwd)",
                i, listener->address != NULL ? listener->address : listener->unix_path);
        }
    }
    return 0;
}

/* What a schema cannot say. */
static int config_check(const struct node_config *config, const struct config_source *source)
{
    if (!id_is_valid(bytes_str(config->id)))
        return config_refuse(source, "id",
                             "id \"%s\" must be two words of letters, digits, _ and - with a slash "
                             "between, such as broker/a",
                             config->id);
    if (config->broker.workers > WORKERS_MAX)
        return config_refuse(source, "workers", "workers is %u, at most %d are possible",
                             config->broker.workers, WORKERS_MAX);
    int error = broker_config_check(&config->broker, source);
    if (error == 0)
        error = check_anonymous(config, source);
    if (error != 0)
        return error;
    if (config->session_life != 0 && (config->session_life < 10 || config->session_life > 604800))
        return config_refuse(source, "session_life",
                             "session_life is %u s, it must be 10 to 604800", config->session_life);
    if (config->retain.days > RETAIN_DAYS_MAX)
        return config_refuse(source, "days", "days is %u, at most %d are possible",
                             config->retain.days, RETAIN_DAYS_MAX);
    if (config->view_timeout != 0 && (config->view_timeout < 50 || config->view_timeout > 600000))
        return config_refuse(source, "view_timeout",
                             "view_timeout is %u ms, it must be 50 to 600000",
                             config->view_timeout);
    return 0;
}

int node_config_read(const char *path, struct node_config **out, char *why, size_t why_size)
{
    struct node_config *config = NULL;
    int error = config_yaml_read(path, &config_schema, (void **)&config, why, why_size);
    if (error != 0)
        return error;
    if (config->broker.anonymous == CONFIG_UNSAID)
        config->broker.anonymous = CONFIG_NO;
    const struct config_retain nothing = {0};
    if (config->role == CONFIG_ROLE_LIGHT && memcmp(&config->retain, &nothing, sizeof nothing) == 0)
        config->retain.blocks = CONFIG_LIGHT_BLOCKS;
    const struct config_source source = {path, why, why_size};
    error = config_check(config, &source);
    if (error != 0) {
        node_config_free(config);
        return error;
    }
    *out = config;
    return 0;
}

void node_config_free(struct node_config *config)
{
    config_yaml_free(&config_schema, config);
}
