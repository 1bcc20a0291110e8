#include "config/gateway_config.h"

#include "base/id.h"
#include "config/address.h"
#include "config/yaml.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REPORT_INTERVAL_DEFAULT 1000

static const cyaml_schema_field_t node_fields[] = {
    CYAML_FIELD_STRING_PTR("id", CYAML_FLAG_POINTER, struct gateway_node, id, 3, ID_MAX),
    CYAML_FIELD_STRING_PTR("url", CYAML_FLAG_POINTER, struct gateway_node, url, 1, URL_MAX_BYTES),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t node_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct gateway_node, node_fields),
};

static const cyaml_strval_t source_types[] = {
    {"system", GATEWAY_SOURCE_SYSTEM},
    {"mqtt", GATEWAY_SOURCE_MQTT},
};

#define OPTIONAL_STRING (CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL)

static const cyaml_schema_field_t source_fields[] = {
    CYAML_FIELD_ENUM("type", CYAML_FLAG_STRICT, struct gateway_source, type, source_types,
                     CYAML_ARRAY_LEN(source_types)),
    CYAML_FIELD_UINT("interval", CYAML_FLAG_OPTIONAL, struct gateway_source, interval),
    CYAML_FIELD_STRING_PTR("device", OPTIONAL_STRING, struct gateway_source, device, 1,
                           NAME_MAX_BYTES),
    CYAML_FIELD_STRING_PTR("address", OPTIONAL_STRING, struct gateway_source, address, 1, 64),
    CYAML_FIELD_UINT("port", CYAML_FLAG_OPTIONAL, struct gateway_source, port),
    CYAML_FIELD_ENUM("anonymous", CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT, struct gateway_source,
                     anonymous, config_bool_words, CONFIG_BOOL_WORDS),
    CYAML_FIELD_STRING_PTR("passwords", OPTIONAL_STRING, struct gateway_source, passwords, 1,
                           PATH_SIZE - 1),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t source_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct gateway_source, source_fields),
};

static const cyaml_schema_field_t rule_fields[] = {
    CYAML_FIELD_STRING_PTR("pattern", CYAML_FLAG_POINTER, struct gateway_rule, pattern, 1,
                           3 * NAME_MAX_BYTES + 2),
    CYAML_FIELD_UINT("periodic", CYAML_FLAG_OPTIONAL, struct gateway_rule, periodic),
    CYAML_FIELD_STRING_PTR("change", OPTIONAL_STRING, struct gateway_rule, change, 1, 32),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t rule_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct gateway_rule, rule_fields),
};

static const cyaml_schema_field_t config_fields[] = {
    CYAML_FIELD_STRING_PTR("id", CYAML_FLAG_POINTER, struct gateway_config, id, 3, ID_MAX),
    CYAML_FIELD_STRING_PTR("key", CYAML_FLAG_POINTER, struct gateway_config, key, 1, PATH_SIZE - 1),
    CYAML_FIELD_STRING_PTR("genesis", CYAML_FLAG_POINTER, struct gateway_config, genesis, 1,
                           PATH_SIZE - 1),
    CYAML_FIELD_STRING_PTR("policy", CYAML_FLAG_POINTER, struct gateway_config, policy, 1,
                           PATH_SIZE - 1),
    CYAML_FIELD_STRING_PTR("data", CYAML_FLAG_POINTER, struct gateway_config, data, 1,
                           PATH_SIZE - 1),
    CYAML_FIELD_SEQUENCE("nodes", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct gateway_config,
                         nodes, &node_schema, 1, GATEWAY_NODES_MAX),
    CYAML_FIELD_STRING_PTR("report_topic", OPTIONAL_STRING, struct gateway_config, report_topic, 1,
                           TOPIC_MAX_BYTES),
    CYAML_FIELD_UINT("report_interval", CYAML_FLAG_OPTIONAL, struct gateway_config,
                     report_interval),
    CYAML_FIELD_UINT("anchor_interval", CYAML_FLAG_OPTIONAL, struct gateway_config,
                     anchor_interval),
    CYAML_FIELD_STRING_PTR("status", OPTIONAL_STRING, struct gateway_config, status, 1,
                           PATH_SIZE - 1),
    CYAML_FIELD_SEQUENCE("sources", CYAML_FLAG_POINTER, struct gateway_config, sources,
                         &source_schema, 1, GATEWAY_SOURCES_MAX),
    CYAML_FIELD_SEQUENCE("policies", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                         struct gateway_config, policies, &rule_schema, 1, GATEWAY_POLICIES_MAX),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t config_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct gateway_config, config_fields),
};

/* What a schema cannot say. The words begin with the place that they are about. */
__attribute__((format(printf, 2, 3))) static int refuse(const struct config_source *check,
                                                        const char *format, ...)
{
    char words[512], place[64];
    va_list args;
    va_start(args, format);
    vsnprintf(words, sizeof words, format, args);
    va_end(args);
    snprintf(place, sizeof place, "%.*s", (int)strcspn(words, " "), words);
    return config_refuse(check, place, "%s", words);
}

static const char *source_address(const struct gateway_source *source)
{
    return source->address != NULL ? source->address : "127.0.0.1";
}

static int check_source(const struct config_source *check, const struct gateway_source *source,
                        unsigned i)
{
    if (source->type == GATEWAY_SOURCE_SYSTEM) {
        if (source->interval != 0 && (source->interval < 100 || source->interval > 86400000))
            return refuse(check, "sources[%u].interval is %u ms, it must be 100 to 86400000", i,
                          source->interval);
        if (source->device != NULL && !item_name_is_valid(bytes_str(source->device)))
            return refuse(check,
                          "sources[%u].device \"%s\" may hold letters, digits and _ . - only", i,
                          source->device);
        return 0;
    }
    const char *address = source_address(source);
    if (!address_is_numeric(address))
        return refuse(check, "sources[%u].address \"%s\" must be a numeric address", i, address);
    if (source->anonymous == (source->passwords != NULL))
        return refuse(check,
                      "sources[%u] needs either `anonymous: true` or `passwords: FILE` (sealmq "
                      "passwd)",
                      i);
    if (source->anonymous && !address_is_loopback(address))
        return refuse(check,
                      "sources[%u] is anonymous, but not on loopback (%s); give devices passwords "
                      "instead",
                      i, address);
    return 0;
}

/* Each place can be listened on once. */
static int check_sources_apart(const struct config_source *check,
                               const struct gateway_config *config)
{
    for (unsigned i = 1; i < config->sources_count; i++) {
        for (unsigned before = 0; before < i; before++) {
            const struct gateway_source *a = &config->sources[before], *b = &config->sources[i];
            if (a->type == GATEWAY_SOURCE_MQTT && b->type == GATEWAY_SOURCE_MQTT && a->port != 0 &&
                a->port == b->port && address_meets(source_address(a), source_address(b)))
                return refuse(check,
                              "sources[%u] would listen where sources[%u] does; give it another "
                              "address or port",
                              i, before);
        }
    }
    return 0;
}

static bool pattern_is_valid(const char *pattern)
{
    unsigned levels = 0;
    for (;;) {
        size_t n = strcspn(pattern, "/");
        struct bytes level = bytes_of(pattern, n);
        if (!bytes_equal(level, BYTES_LIT("*")) && !item_name_is_valid(level))
            return false;
        levels++;
        if (pattern[n] == '\0')
            return levels <= 3;
        pattern += n + 1;
    }
}

static int check_rule(const struct config_source *check, struct gateway_rule *rule, unsigned i,
                      uint32_t report_interval)
{
    if (!pattern_is_valid(rule->pattern))
        return refuse(check,
                      "policies[%u].pattern \"%s\" must be device/service/item, each a name or *",
                      i, rule->pattern);
    if (rule->periodic == 0 && rule->change == NULL)
        return 0; /* never written */
    if (rule->periodic != 0 && rule->periodic <= report_interval)
        return refuse(check,
                      "policies[%u].periodic is %u ms; it must be longer than the report interval, "
                      "%u ms",
                      i, rule->periodic, report_interval);
    if (rule->change == NULL)
        return 0;
    char *end;
    rule->threshold = strtod(rule->change, &end);
    rule->is_percent = *end == '%';
    end += rule->is_percent;
    if (end == rule->change || *end != '\0' || !isfinite(rule->threshold) || rule->threshold < 0)
        return refuse(check,
                      "policies[%u].change \"%s\" must be a number, or a percentage like "
                      "\"10%%\"",
                      i, rule->change);
    rule->on_change = true;
    return 0;
}

/* Whether a node would take reports there: see docs/spec/device.md. */
static bool report_topic_is_valid(const char *topic)
{
    static const char *const first[] = {"key", "unauth", "forbidden", "update"};
    static const char *const last[] = {"datas", "success", "error"};
    bool is_first = true;
    for (size_t levels = 1; levels <= TOPIC_MAX_LEVELS; levels++) {
        size_t n = strcspn(topic, "/");
        struct bytes level = bytes_of(topic, n);
        if (n == 0 || strcspn(topic, "+#") < n)
            return false;
        for (size_t i = 0; is_first && i < sizeof first / sizeof first[0]; i++) {
            if (bytes_equal(level, bytes_str(first[i])))
                return false;
        }
        for (size_t i = 0; topic[n] == '\0' && i < sizeof last / sizeof last[0]; i++) {
            if (bytes_equal(level, bytes_str(last[i])))
                return false;
        }
        if (topic[n] == '\0')
            return true;
        is_first = false;
        topic += n + 1;
    }
    return false;
}

static int check_config(const struct config_source *check, struct gateway_config *config)
{
    if (!id_is_valid(bytes_str(config->id)))
        return refuse(check,
                      "id \"%s\" must be two words of letters, digits, _ and - with a slash "
                      "between, such as plant-a/gw1",
                      config->id);
    if (config->report_interval == 0)
        config->report_interval = REPORT_INTERVAL_DEFAULT;
    if (config->report_interval < 10 || config->report_interval > 86400000)
        return refuse(check, "report_interval is %u ms, it must be 10 to 86400000",
                      config->report_interval);
    if (config->anchor_interval != 0 &&
        (config->anchor_interval < 100 || config->anchor_interval > 86400000))
        return refuse(check, "anchor_interval is %u ms, it must be 100 to 86400000",
                      config->anchor_interval);
    if (config->report_topic != NULL && !report_topic_is_valid(config->report_topic))
        return refuse(
            check,
            "report_topic \"%s\" must be up to 61 levels without + and #; the first must not be "
            "key, unauth, forbidden or update, the last not datas, success or error",
            config->report_topic);
    for (unsigned i = 0; i < config->nodes_count; i++) {
        if (!id_is_valid(bytes_str(config->nodes[i].id)))
            return refuse(check, "nodes[%u].id \"%s\" is no id, such as node/a", i,
                          config->nodes[i].id);
    }
    int error = 0;
    for (unsigned i = 0; i < config->sources_count; i++) {
        error = check_source(check, &config->sources[i], i);
        if (error != 0)
            return error;
    }
    error = check_sources_apart(check, config);
    if (error != 0)
        return error;
    for (unsigned i = 0; i < config->policies_count; i++) {
        error = check_rule(check, &config->policies[i], i, config->report_interval);
        if (error != 0)
            return error;
    }
    return 0;
}

int gateway_config_read(const char *path, struct gateway_config **out, char *why, size_t why_size)
{
    struct gateway_config *config = NULL;
    int error = config_yaml_read(path, &config_schema, (void **)&config, why, why_size);
    if (error != 0)
        return error;
    const struct config_source check = {path, why, why_size};
    error = check_config(&check, config);
    if (error != 0) {
        gateway_config_free(config);
        return error;
    }
    *out = config;
    return 0;
}

void gateway_config_free(struct gateway_config *config)
{
    config_yaml_free(&config_schema, config);
}
