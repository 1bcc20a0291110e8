/* Reload: everything is read and compared first; only when nothing is wrong, anything changes. */
#include "serve/serve_int.h"

#include "base/assert.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>

/* What is posted to a worker: it takes the rules' reference, and frees the rest. */
struct update {
    struct rules *rules;
    struct broker_limits limits;
};

static void take_update(void *worker_context, void *arg)
{
    struct station *station = worker_context;
    struct update *update = arg;
    struct broker *broker = net_worker_broker(station->worker);
    rules_unref(station->rules);
    station->rules = update->rules;
    broker_change_limits(broker, &update->limits);
    broker_access_changed(broker);
    free(update);
}

static bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* NULL, or what of the settings besides listeners and limits needs a restart. */
static const char *other_difference(const struct broker_config *a, const struct broker_config *b)
{
    if (a->workers != b->workers)
        return "workers";
    if (!same_text(a->persistence.folder, b->persistence.folder) ||
        a->persistence.durability != b->persistence.durability)
        return "persistence";
    if ((a->metrics == NULL) != (b->metrics == NULL) ||
        (a->metrics != NULL && (!same_text(a->metrics->address, b->metrics->address) ||
                                a->metrics->port != b->metrics->port)))
        return "metrics";
    if ((a->sys_interval != NULL ? *a->sys_interval : CONFIG_SYS_INTERVAL) !=
        (b->sys_interval != NULL ? *b->sys_interval : CONFIG_SYS_INTERVAL))
        return "sys_interval";
    if (!same_text(a->response_information, b->response_information))
        return "response_information";
    return NULL;
}

/* SEALMQ_E_CONFIG when the two differ in what cannot change while clients are served. */
static int check_changes(const struct serve *serve, const struct broker_config *config,
                         const struct loaded *loaded, const struct config_source *source)
{
    unsigned index;
    char place[64];
    const char *what = serve_listeners_difference(serve->config, config, &index);
    if (what != NULL && what[0] == '\0')
        return config_refuse(source, "listeners",
                             "listeners were added or removed, which takes a restart");
    if (what != NULL) {
        snprintf(place, sizeof place, "listeners[%u].%s", index, what);
        return config_refuse(source, place, "%s has changed, which takes a restart", place);
    }
    what = limits_config_fixed_difference(&serve->limits, &loaded->options.limits);
    if (what != NULL) {
        snprintf(place, sizeof place, "limits.%s", what);
        return config_refuse(source, place, "%s has changed, which takes a restart", place);
    }
    what = other_difference(serve->config, config);
    return what == NULL
               ? 0
               : config_refuse(source, what, "%s has changed, which takes a restart", what);
}

/* One for each worker, so that nothing can fail half way. */
static int make_updates(const struct serve *serve, const struct loaded *loaded,
                        struct update ***out)
{
    const unsigned count = net_server_workers(serve->server);
    struct update **updates = calloc(count, sizeof(struct update *));
    *out = updates;
    if (updates == NULL)
        return SEALMQ_E_NOMEM;
    for (unsigned i = 0; i < count; i++) {
        updates[i] = calloc(1, sizeof *updates[i]);
        if (updates[i] == NULL)
            return SEALMQ_E_NOMEM;
        updates[i]->limits = loaded->options.limits;
    }
    return 0;
}

static void free_updates(const struct serve *serve, struct update **updates)
{
    for (unsigned i = 0; updates != NULL && i < net_server_workers(serve->server); i++)
        free(updates[i]);
    free(updates);
}

/* From here on, nothing is refused any more. */
static void put_in_force(struct serve *serve, struct broker_config *config, struct loaded *loaded,
                         struct update **updates)
{
    for (unsigned i = 0; i < loaded->listeners.count; i++) {
        if (loaded->listeners.at[i].tls != NULL &&
            net_server_set_tls(serve->server, i, loaded->listeners.at[i].tls) != 0)
            log_error(SERVE_LOG, "listeners[%u] keeps its certificate", i);
    }
    for (unsigned i = 0; i < net_server_workers(serve->server); i++) {
        struct net_worker *worker = net_server_worker(serve->server, i);
        ASSERT(updates[i] != NULL);
        updates[i]->rules = rules_ref(loaded->rules);
        if (net_worker_post(worker, take_update, updates[i]) == 0)
            updates[i] = NULL;
        else
            rules_unref(loaded->rules);
    }
    rules_unref(serve->rules);
    serve->rules = rules_ref(loaded->rules);
    serve->limits = loaded->options.limits;
    if (config != serve->config) {
        broker_config_free(serve->config);
        serve->config = config;
    }
}

static int read_config(struct serve *serve, struct broker_config **out, char *why, size_t why_size)
{
    *out = serve->config;
    if (!serve->has_config_path)
        return 0;
    int e = broker_config_read(serve->config_path, out, why, why_size);
    if (e == 0) {
        e = serve_default_listeners(*out, CONFIG_PORT_DEFAULT);
        if (e != 0)
            broker_config_free(*out);
    }
    return e;
}

static int reload(struct serve *serve, char *why, size_t why_size)
{
    const struct config_source source = {serve_config_path(serve), why, why_size};
    struct broker_config *config;
    struct loaded loaded;
    struct update **updates = NULL;
    int e = read_config(serve, &config, why, why_size);
    if (e != 0)
        return e;
    e = serve_load(config, source.path, &loaded, why, why_size);
    if (e == 0) {
        e = check_changes(serve, config, &loaded, &source);
        if (e == 0)
            e = make_updates(serve, &loaded, &updates);
        if (e == 0)
            put_in_force(serve, config, &loaded, updates);
        free_updates(serve, updates);
        serve_unload(&loaded);
    }
    if (e != 0 && config != serve->config)
        broker_config_free(config);
    return e;
}

void serve_reload(struct serve *serve)
{
    char why[1024] = "";
    int e = reload(serve, why, sizeof why);
    if (e == 0)
        log_info(SERVE_LOG, "reloaded");
    else
        log_error(SERVE_LOG, "not reloaded, everything stays as it was: %s",
                  why[0] != '\0' ? why : sealmq_error_text(e));
}
