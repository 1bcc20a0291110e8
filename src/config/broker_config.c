#include "config/broker_config.h"

#include "base/id.h"
#include "base/text.h"
#include "config/address.h"
#include "mqtt/packet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AUDIENCE_MAX (NETWORK_MAX + 1 + ID_MAX)

static const cyaml_strval_t durabilities[] = {
    {"full", CONFIG_DURABLE_FULL},
    {"lazy", CONFIG_DURABLE_LAZY},
    {"none", CONFIG_DURABLE_NONE},
};

const cyaml_schema_field_t config_persistence_fields[] = {
    CYAML_FIELD_STRING_PTR("folder", CYAML_FLAG_POINTER, struct config_persistence, folder, 1,
                           PATH_SIZE - 1),
    CYAML_FIELD_ENUM("durability", CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT,
                     struct config_persistence, durability, durabilities,
                     sizeof durabilities / sizeof durabilities[0]),
    CYAML_FIELD_END,
};

const cyaml_schema_field_t config_metrics_fields[] = {
    CYAML_FIELD_STRING_PTR("address", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                           struct config_metrics, address, 1, 64),
    CYAML_FIELD_UINT("port", CYAML_FLAG_DEFAULT, struct config_metrics, port),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t token_fields[] = {
    CYAML_FIELD_STRING_PTR("keys", CYAML_FLAG_POINTER, struct config_tokens, keys, 1,
                           PATH_SIZE - 1),
    CYAML_FIELD_STRING_PTR("audience", CYAML_FLAG_POINTER, struct config_tokens, audience, 1,
                           AUDIENCE_MAX),
    CYAML_FIELD_END,
};

static const cyaml_strval_t redirect_whens[] = {
    {"always", CONFIG_REDIRECT_ALWAYS},
    {"draining", CONFIG_REDIRECT_DRAINING},
};

static const cyaml_schema_field_t redirect_fields[] = {
    CYAML_FIELD_STRING_PTR("to", CYAML_FLAG_POINTER, struct config_redirect, to, 1,
                           CONFIG_REDIRECT_MAX),
    CYAML_FIELD_ENUM("permanent", CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT, struct config_redirect,
                     permanent, config_choice_words, CONFIG_CHOICE_WORDS),
    CYAML_FIELD_ENUM("when", CYAML_FLAG_STRICT, struct config_redirect, when, redirect_whens,
                     sizeof redirect_whens / sizeof redirect_whens[0]),
    CYAML_FIELD_END,
};

/* So that the macro has a member to name. */
struct file {
    struct broker_config broker;
};
_Static_assert(offsetof(struct file, broker) == 0, "one is read as the other");

static const cyaml_schema_field_t config_fields[] = {
    BROKER_CONFIG_FIELDS(struct file, broker, CYAML_FLAG_OPTIONAL),
    CYAML_FIELD_MAPPING_PTR("tokens", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct file,
                            broker.tokens, token_fields),
    CYAML_FIELD_MAPPING_PTR("redirect", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct file,
                            broker.redirect, redirect_fields),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t config_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct file, config_fields),
};

bool broker_config_has_way_in(const struct broker_config *config,
                              const struct config_listener *listener)
{
    const struct config_tls *tls = listener->tls;
    return (config->passwords != NULL && listener_config_takes(listener, CONFIG_PASSWORD)) ||
           (config->tokens != NULL && listener_config_takes(listener, CONFIG_TOKEN)) ||
           (((tls != NULL && tls->identity != CONFIG_IDENTITY_NONE) ||
             listener->proxy_certificate == CONFIG_YES) &&
            listener_config_takes(listener, CONFIG_CERTIFICATE)) ||
           (tls != NULL && tls->psk_file != NULL && listener_config_takes(listener, CONFIG_PSK));
}

bool broker_config_lets_anonymous_in(const struct broker_config *config,
                                     const struct config_listener *listener)
{
    if (listener->anonymous != CONFIG_UNSAID)
        return listener->anonymous == CONFIG_YES;
    if (config->anonymous != CONFIG_UNSAID)
        return config->anonymous == CONFIG_YES;
    return listener_config_is_local(listener) && !broker_config_has_way_in(config, listener);
}

static int check_tokens(const struct config_tokens *tokens, const struct config_source *source)
{
    struct bytes network = bytes_str(tokens->audience), node = {0};
    const char *colon = strchr(tokens->audience, ':');
    if (colon != NULL) {
        network.n = (size_t)(colon - tokens->audience);
        node = bytes_str(colon + 1);
    }
    if (!network_name_is_valid(network) || !id_is_valid(node))
        return config_refuse(source, "tokens.audience",
                             "tokens.audience \"%s\" must be a network and an id, such as "
                             "plant:broker/a: what tokens for this server are made for",
                             tokens->audience);
    return 0;
}

uint8_t broker_config_redirect_reason(const struct config_redirect *redirect)
{
    return redirect->permanent == CONFIG_YES ? MQTT_REASON_SERVER_MOVED
                                             : MQTT_REASON_USE_ANOTHER_SERVER;
}

/* 5.0 section 4.11 leaves the form open; what it recommends are names or addresses, each with a
 * port or without, one or more with spaces between. */
static int check_redirect(const struct config_redirect *redirect,
                          const struct config_source *source)
{
    const struct bytes to = bytes_str(redirect->to);
    bool is_good = utf8_is_valid(to);
    for (size_t i = 0; i < to.n; i++)
        is_good = is_good && to.p[i] >= ' ' && to.p[i] != 0x7f;
    return is_good ? 0
                   : config_refuse(source, "redirect.to",
                                   "redirect.to must be UTF-8 without control characters, such as "
                                   "other.example.org:8883");
}

/* It is the begin of topics that clients publish and subscribe to. */
static int check_response_information(const char *prefix, const struct config_source *source)
{
    const struct bytes text = bytes_str(prefix);
    bool is_good = utf8_is_valid(text) && text.p[0] != '$' && text.p[text.n - 1] != '/';
    for (size_t i = 0; i < text.n; i++)
        is_good = is_good && text.p[i] >= ' ' && text.p[i] != 0x7f && text.p[i] != '+' &&
                  text.p[i] != '#';
    return is_good ? 0
                   : config_refuse(source, "response_information",
                                   "response_information \"%s\" must be the begin of a topic: no "
                                   "$ in front, no + or #, no / at the end",
                                   prefix);
}

/* Each place can be listened on once. Port 0 is whichever is free. */
static int check_listeners_apart(const struct broker_config *config,
                                 const struct config_source *source)
{
    for (unsigned i = 1; i < config->listeners_count; i++) {
        for (unsigned before = 0; before < i; before++) {
            if (!listener_config_meets(&config->listeners[before], &config->listeners[i]))
                continue;
            char place[64];
            snprintf(place, sizeof place, "listeners[%u]", i);
            return config_refuse(source, place,
                                 "listeners[%u] and listeners[%u] would listen in the same place; "
                                 "give one of them another address, port or unix path",
                                 before, i);
        }
    }
    return 0;
}

static int check_metrics(const struct broker_config *config, const struct config_source *source)
{
    const struct config_metrics *metrics = config->metrics;
    const char *address = metrics->address != NULL ? metrics->address : CONFIG_METRICS_ADDRESS;
    if (!address_is_numeric(address))
        return config_refuse(source, "metrics.address",
                             "metrics.address \"%s\" must be a numeric address, such as 127.0.0.1",
                             address);
    for (unsigned i = 0; metrics->port != 0 && i < config->listeners_count; i++) {
        const struct config_listener *listener = &config->listeners[i];
        if (listener->port != NULL && *listener->port == metrics->port &&
            address_meets(listener->address, address))
            return config_refuse(source, "metrics.port",
                                 "metrics.port is %u, which is that of listeners[%u]; give one of "
                                 "them another",
                                 metrics->port, i);
    }
    return 0;
}

int broker_config_check(const struct broker_config *config, const struct config_source *source)
{
    int error = 0;
    for (unsigned i = 0; error == 0 && i < config->listeners_count; i++)
        error = listener_config_check(&config->listeners[i], i, source);
    if (error == 0)
        error = check_listeners_apart(config, source);
    if (error == 0 && config->tokens != NULL)
        error = check_tokens(config->tokens, source);
    if (error == 0 && config->redirect != NULL)
        error = check_redirect(config->redirect, source);
    if (error == 0 && config->response_information != NULL)
        error = check_response_information(config->response_information, source);
    if (error == 0 && config->metrics != NULL)
        error = check_metrics(config, source);
    if (error != 0)
        return error;
    if (config->workers > CONFIG_WORKERS_MAX)
        return config_refuse(source, "workers", "workers is %u, at most %d are possible",
                             config->workers, CONFIG_WORKERS_MAX);
    if (config->sys_interval != NULL && *config->sys_interval > CONFIG_SYS_INTERVAL_MAX)
        return config_refuse(source, "sys_interval",
                             "sys_interval is %u s, at most %d are possible (0: off)",
                             *config->sys_interval, CONFIG_SYS_INTERVAL_MAX);
    struct broker_limits limits;
    broker_limits_default(&limits);
    return broker_config_limits(config, source, &limits);
}

int broker_config_limits(const struct broker_config *config, const struct config_source *source,
                         struct broker_limits *out)
{
    return limits_config_apply(&config->limits, source, out);
}

int broker_config_read(const char *path, struct broker_config **out, char *why, size_t why_size)
{
    struct broker_config *config = NULL;
    const struct config_source source = {path, why, why_size};
    int error = config_yaml_read(path, &config_schema, (void **)&config, why, why_size);
    if (error != 0)
        return error;
    error = broker_config_check(config, &source);
    if (error != 0) {
        broker_config_free(config);
        return error;
    }
    *out = config;
    return 0;
}

int broker_config_new(struct broker_config **out)
{
    *out = calloc(1, sizeof **out);
    return *out == NULL ? SEALMQ_E_NOMEM : 0;
}

int broker_config_add_listener(struct broker_config *config, const char *address, uint16_t port)
{
    if (config->listeners_count == CONFIG_LISTENERS_MAX)
        return SEALMQ_E_LIMIT;
    struct config_listener *listeners =
        reallocarray(config->listeners, config->listeners_count + 1, sizeof *config->listeners);
    if (listeners == NULL)
        return SEALMQ_E_NOMEM;
    config->listeners = listeners;
    struct config_listener *listener = &listeners[config->listeners_count];
    *listener = (struct config_listener){.address = strdup(address),
                                         .port = malloc(sizeof *listener->port)};
    config->listeners_count++; /* from here on, freeing the whole frees it */
    if (listener->address == NULL || listener->port == NULL)
        return SEALMQ_E_NOMEM;
    *listener->port = port;
    return 0;
}

void broker_config_free(struct broker_config *config)
{
    config_yaml_free(&config_schema, config);
}
