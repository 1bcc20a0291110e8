/* Inside of a plain MQTT server. */
#ifndef SEALMQ_SERVE_SERVE_INT_H
#define SEALMQ_SERVE_SERVE_INT_H

#include "base/health.h"
#include "monitor/monitor.h"
#include "net/server.h"
#include "serve/listeners.h"
#include "serve/rules.h"
#include "serve/serve.h"
#include "store/file.h"

#define SERVE_LOG "broker"

struct serve {
    struct broker_config *config; /* in force */
    char config_path[PATH_SIZE];
    bool has_config_path;
    struct broker_limits limits;
    struct rules *rules; /* newest; workers hold what they use */
    struct used_tokens *used_tokens;
    struct net_server *server;
    struct health health;    /* what parts say of themselves */
    struct monitor *monitor; /* /metrics, /healthz and $SYS */
};

/* What a worker has. */
struct station {
    struct serve *serve;
    struct net_worker *worker;
    struct rules *rules;
    struct password_checker *checker;
};

static inline const char *serve_config_path(const struct serve *serve)
{
    return serve->has_config_path ? serve->config_path : NULL;
}

/* What a configuration comes to once its files are read. */
struct loaded {
    struct rules *rules;
    struct serve_listeners listeners;
    char state_folder[PATH_SIZE];      /* which the options point to */
    struct net_server_options options; /* workers, limits; the rest is filled in by whoever opens */
};
SEALMQ_MUST_CHECK int serve_load(const struct broker_config *config, const char *config_path,
                                 struct loaded *out, char *why, size_t why_size);
void serve_unload(struct loaded *loaded);

/* serve_clients.c: struct net_app's functions */
void serve_app(struct serve *serve, struct net_app *out);

#endif
