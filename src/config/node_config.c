#include "config/node_config.h"

#include "base/id.h"
#include "config/address.h"
#include "config/yaml.h"

#include <stdio.h>

static const cyaml_schema_field_t listener_fields[] = {
    CYAML_FIELD_STRING_PTR("address", CYAML_FLAG_POINTER, struct node_listener, address, 1, 64),
    CYAML_FIELD_UINT("port", CYAML_FLAG_DEFAULT, struct node_listener, port),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t listener_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct node_listener, listener_fields),
};

#define OPTIONAL_STRING (CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL)

static const cyaml_schema_field_t config_fields[] = {
    CYAML_FIELD_STRING_PTR("id", CYAML_FLAG_POINTER, struct node_config, id, 3, ID_MAX),
    CYAML_FIELD_STRING_PTR("genesis", CYAML_FLAG_POINTER, struct node_config, genesis, 1,
                           PATH_SIZE - 1),
    CYAML_FIELD_STRING_PTR("key", CYAML_FLAG_POINTER, struct node_config, key, 1, PATH_SIZE - 1),
    CYAML_FIELD_STRING_PTR("data", CYAML_FLAG_POINTER, struct node_config, data, 1, PATH_SIZE - 1),
    CYAML_FIELD_SEQUENCE("listeners", CYAML_FLAG_POINTER, struct node_config, listeners,
                         &listener_schema, 1, NODE_LISTENERS_MAX),
    CYAML_FIELD_STRING_PTR("passwords", OPTIONAL_STRING, struct node_config, passwords, 1,
                           PATH_SIZE - 1),
    CYAML_FIELD_STRING_PTR("acl", OPTIONAL_STRING, struct node_config, acl, 1, PATH_SIZE - 1),
    CYAML_FIELD_ENUM("anonymous", CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT, struct node_config,
                     anonymous, config_bool_words, CONFIG_BOOL_WORDS),
    CYAML_FIELD_UINT("workers", CYAML_FLAG_OPTIONAL, struct node_config, workers),
    CYAML_FIELD_UINT("session_life", CYAML_FLAG_OPTIONAL, struct node_config, session_life),
    CYAML_FIELD_UINT("view_timeout", CYAML_FLAG_OPTIONAL, struct node_config, view_timeout),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t config_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct node_config, config_fields),
};

/* What a schema cannot say. */
static int config_check(const struct node_config *config, const char *path, char *why,
                        size_t why_size)
{
    if (!id_is_valid(bytes_str(config->id))) {
        snprintf(
            why, why_size,
            "%s: id \"%s\" must be two words of letters, digits, _ and - with a slash between, "
            "such as broker/a",
            path, config->id);
        return SEALMQ_E_CONFIG;
    }
    for (unsigned i = 0; i < config->listeners_count; i++) {
        const struct node_listener *listener = &config->listeners[i];
        if (!address_is_numeric(listener->address)) {
            snprintf(why, why_size,
                     "%s: listeners[%u].address \"%s\" must be a numeric address, such as "
                     "127.0.0.1, 0.0.0.0 or ::",
                     path, i, listener->address);
            return SEALMQ_E_CONFIG;
        }
        if (config->anonymous && !address_is_loopback(listener->address)) {
            snprintf(
                why, why_size,
                "%s: anonymous is true, but listeners[%u] is not on loopback (%s); give clients "
                "passwords instead (sealmq passwd)",
                path, i, listener->address);
            return SEALMQ_E_CONFIG;
        }
    }
    if (config->workers > 16) {
        snprintf(why, why_size, "%s: workers is %u, at most 16 are possible", path,
                 config->workers);
        return SEALMQ_E_CONFIG;
    }
    if (config->session_life != 0 &&
        (config->session_life < 10 || config->session_life > 7 * 86400)) {
        snprintf(why, why_size, "%s: session_life is %u s, it must be 10 to 604800", path,
                 config->session_life);
        return SEALMQ_E_CONFIG;
    }
    if (config->view_timeout != 0 && (config->view_timeout < 50 || config->view_timeout > 600000)) {
        snprintf(why, why_size, "%s: view_timeout is %u ms, it must be 50 to 600000", path,
                 config->view_timeout);
        return SEALMQ_E_CONFIG;
    }
    return 0;
}

int node_config_read(const char *path, struct node_config **out, char *why, size_t why_size)
{
    struct node_config *config = NULL;
    int error = config_yaml_read(path, &config_schema, (void **)&config, why, why_size);
    if (error != 0)
        return error;
    error = config_check(config, path, why, why_size);
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
