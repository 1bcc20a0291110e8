/* The plain server's making and its end. */
#include "serve/serve_int.h"

#include "base/log.h"
#include "serve/paths.h"
#include "serve/settings.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* A listener that nobody could use is a mistake, and better found now. */
static int check_ways_in(const struct broker_config *config, const struct config_source *source)
{
    for (unsigned i = 0; i < config->listeners_count; i++) {
        const struct config_listener *listener = &config->listeners[i];
        if (broker_config_lets_anonymous_in(config, listener) ||
            broker_config_has_way_in(config, listener))
            continue;
        char place[64];
        snprintf(place, sizeof place, "listeners[%u]", i);
        if (source->path == NULL)
            return config_refuse(
                source, place,
                "nobody could log in: give --passwords FILE (see `sealmq passwd`), "
                "or --allow-anonymous if everybody on that network may connect");
        return config_refuse(source, place,
                             "nobody could log in on listeners[%u]: give passwords, tokens or a "
                             "tls.identity, or `anonymous: yes` if everybody there may connect",
                             i);
    }
    return 0;
}

int serve_load(const struct broker_config *config, const char *config_path, struct loaded *out,
               char *why, size_t why_size)
{
    const struct config_source source = {config_path, why, why_size};
    const struct rules_options options = {
        .config = config,
        .config_path = config_path,
        .acl_default = ACL_DEFAULT_ALL_BUT_DOLLAR,
    };
    *out = (struct loaded){0};
    why[0] = '\0';
    int e = broker_config_check(config, &source);
    if (e == 0)
        e = check_ways_in(config, &source);
    if (e == 0)
        e = serve_settings(config, &source, &out->options);
    if (e == 0 && out->options.state_folder != NULL) {
        e = serve_path(config_path, out->options.state_folder, out->state_folder);
        out->options.state_folder = out->state_folder;
    }
    if (e == 0)
        e = rules_load(&options, &out->rules, why, why_size);
    if (e == 0)
        e = serve_listeners_load(config, config_path, &out->listeners, why, why_size);
    if (e != 0)
        serve_unload(out);
    return e;
}

void serve_unload(struct loaded *loaded)
{
    rules_unref(loaded->rules);
    loaded->rules = NULL;
    serve_listeners_close(&loaded->listeners);
}

int serve_test(const struct broker_config *config, const char *config_path, char *why,
               size_t why_size)
{
    struct loaded loaded;
    int e = serve_load(config, config_path, &loaded, why, why_size);
    if (e == 0)
        serve_unload(&loaded);
    return e;
}

/* Whether this machine has ::1 (containers often do not). */
static bool has_loopback_v6(void)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    bool has = bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0;
    close(fd);
    return has;
}

int serve_default_listeners(struct broker_config *config, uint16_t port)
{
    if (config->listeners_count != 0)
        return 0;
    int e = broker_config_add_listener(config, "127.0.0.1", port);
    /* With any free port the two would have different ones. */
    if (e == 0 && port != 0 && has_loopback_v6())
        e = broker_config_add_listener(config, "::1", port);
    return e;
}

static int open_server(struct serve *serve, struct loaded *loaded, char *why, size_t why_size)
{
    loaded->options.listeners = loaded->listeners.at;
    loaded->options.listener_count = loaded->listeners.count;
    serve_app(serve, &loaded->options.app);
    if (loaded->options.state_folder == NULL)
        log_info(SERVE_LOG, "persistent sessions and retained messages are kept in memory only: "
                            "they end with the program");
    else
        loaded->options.storage = health_add(&serve->health, "storage");
    return net_server_new(&loaded->options, &serve->server, why, why_size);
}

static int open_monitor(struct serve *serve, char *why, size_t why_size)
{
    const struct broker_config *config = serve->config;
    const struct config_metrics *metrics = config->metrics;
    struct monitor_options options = {
        .sys_interval_s =
            config->sys_interval != NULL ? *config->sys_interval : CONFIG_SYS_INTERVAL,
        .version = SEALMQ_VERSION,
        .server = serve->server,
        .health = &serve->health,
    };
    if (metrics != NULL) {
        options.address = metrics->address != NULL ? metrics->address : CONFIG_METRICS_ADDRESS;
        options.port = metrics->port;
    }
    return monitor_new(&options, &serve->monitor, why, why_size);
}

int serve_new(struct broker_config *config, const char *config_path, struct serve **out, char *why,
              size_t why_size)
{
    struct loaded loaded = {0};
    struct serve *serve = calloc(1, sizeof *serve);
    *out = NULL;
    why[0] = '\0';
    if (serve == NULL) {
        broker_config_free(config);
        return SEALMQ_E_NOMEM;
    }
    serve->config = config;
    serve->has_config_path = config_path != NULL;
    int e = config_path == NULL ? 0
                                : bytes_to_cstr(bytes_str(config_path), serve->config_path,
                                                sizeof serve->config_path);
    if (e == 0)
        e = used_tokens_new((int64_t)time(NULL), USED_TOKENS_MAX, &serve->used_tokens);
    if (e == 0)
        e = serve_load(config, config_path, &loaded, why, why_size);
    if (e == 0) {
        serve->limits = loaded.options.limits;
        serve->rules = rules_ref(loaded.rules);
        e = open_server(serve, &loaded, why, why_size);
    }
    if (e == 0)
        e = open_monitor(serve, why, why_size);
    serve_unload(&loaded);
    if (e != 0) {
        if (why[0] == '\0')
            snprintf(why, why_size, "%s", sealmq_error_text(e));
        serve_free(serve, 0);
        return e;
    }
    *out = serve;
    return 0;
}

static void log_listeners(const struct serve *serve)
{
    if (monitor_port(serve->monitor) != 0)
        log_info(SERVE_LOG, "metrics on port %u, for everybody who reaches it",
                 monitor_port(serve->monitor));
    for (unsigned i = 0; i < serve->config->listeners_count; i++) {
        const struct config_listener *listener = &serve->config->listeners[i];
        const char *more =
            rules_let_anonymous_in(serve->rules, i) ? ", anonymous clients are let in" : "";
        const char *way = listener->transport == CONFIG_WEBSOCKET
                              ? (listener->tls != NULL ? " (secure WebSocket)" : " (WebSocket)")
                              : (listener->tls != NULL ? " (TLS)" : "");
        if (listener->unix_path != NULL) {
            log_info(SERVE_LOG, "listening on %s%s%s", listener->unix_path, way, more);
            continue;
        }
        bool is_v6 = strchr(listener->address, ':') != NULL;
        log_info(SERVE_LOG, "listening on %s%s%s:%u%s%s", is_v6 ? "[" : "", listener->address,
                 is_v6 ? "]" : "", net_server_port(serve->server, i), way, more);
    }
}

int serve_start(struct serve *serve)
{
    int e = net_server_start(serve->server);
    if (e == 0)
        e = monitor_start(serve->monitor);
    if (e == 0)
        log_listeners(serve);
    return e;
}

void serve_free(struct serve *serve, unsigned drain_ms)
{
    if (serve == NULL)
        return;
    monitor_free(serve->monitor);
    if (serve->server != NULL && serve->config->redirect != NULL)
        net_server_redirect_at_stop(serve->server,
                                    broker_config_redirect_reason(serve->config->redirect),
                                    serve->config->redirect->to);
    if (serve->server != NULL)
        net_server_stop(serve->server, drain_ms);
    net_server_free(serve->server);
    rules_unref(serve->rules);
    used_tokens_free(serve->used_tokens);
    broker_config_free(serve->config);
    free(serve);
}
