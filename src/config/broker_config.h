/* What a program that serves MQTT is told: the whole of the file of `sealmq broker --config FILE`,
 * and the same part of a node's. All of it may be left out; paths are relative to the file's
 * folder.
 *
 *   listeners: ...            # listener_config.h; without: loopback, port 1883
 *   anonymous: no             # for listeners that do not say; without: only from this machine,
 *                             # and only where nobody could log in otherwise
 *   passwords: passwords      # made with `sealmq passwd`
 *   acl: acl                  # user, topic and pattern lines
 *   tokens:                   # a plain server's; a node asks its registry
 *     keys: operators         # lines of `id base64-public-key`
 *     audience: plant:broker/a
 *   limits: ...               # limits_config.h
 *   persistence:
 *     folder: state           # without: nothing survives the process
 *     durability: full        # or lazy, none
 *   metrics:
 *     address: 127.0.0.1
 *     port: 9464
 *   workers: 2
 *   sys_interval: 10          # seconds between updates of $SYS; 0: none
 *   response_information: answers # clients that ask are told to have answers below answers/<id>
 *   redirect:                 # a plain server's
 *     to: other.example.org:8883
 *     permanent: no
 *     when: always            # every CONNECT, or draining: when the server stops
 */
#ifndef SEALMQ_CONFIG_BROKER_CONFIG_H
#define SEALMQ_CONFIG_BROKER_CONFIG_H

#include "base/bytes.h"
#include "config/limits_config.h"
#include "config/listener_config.h"
#include "store/file.h"

#define CONFIG_PORT_DEFAULT             1883
#define CONFIG_METRICS_ADDRESS          "127.0.0.1"
#define CONFIG_WORKERS_MAX              64
#define CONFIG_SYS_INTERVAL             10
#define CONFIG_SYS_INTERVAL_MAX         86400
#define CONFIG_RESPONSE_INFORMATION_MAX 1024
#define CONFIG_REDIRECT_MAX             1024

enum config_durability { CONFIG_DURABLE_FULL, CONFIG_DURABLE_LAZY, CONFIG_DURABLE_NONE };

struct config_tokens {
    char *keys, *audience;
};

struct config_persistence {
    char *folder; /* NULL: nothing is kept */
    enum config_durability durability;
};

struct config_metrics {
    char *address; /* NULL: CONFIG_METRICS_ADDRESS */
    uint16_t port;
};

enum config_redirect_when { CONFIG_REDIRECT_ALWAYS, CONFIG_REDIRECT_DRAINING };

struct config_redirect {
    char *to;
    enum config_choice permanent;
    enum config_redirect_when when;
};

struct broker_config {
    struct config_listener *listeners;
    unsigned listeners_count;
    enum config_choice anonymous;
    char *passwords, *acl;        /* or NULL */
    struct config_tokens *tokens; /* or NULL */
    struct limits_config limits;
    struct config_persistence persistence;
    struct config_metrics *metrics;   /* or NULL */
    unsigned workers;                 /* 0: one for each processor */
    uint32_t *sys_interval;           /* NULL: CONFIG_SYS_INTERVAL */
    char *response_information;       /* or NULL */
    struct config_redirect *redirect; /* or NULL */
};

/* Reads and checks a file. SEALMQ_E_NOTFOUND, SEALMQ_E_CONFIG; `why` names file, line and mend.
 * Freed with broker_config_free. */
SEALMQ_MUST_CHECK int broker_config_read(const char *path, struct broker_config **out, char *why,
                                         size_t why_size);
/* An empty one, to be filled by hand: what it points to comes from malloc. */
SEALMQ_MUST_CHECK int broker_config_new(struct broker_config **out);
/* Appends a listener on `address`, which is copied. SEALMQ_E_LIMIT, SEALMQ_E_NOMEM. */
SEALMQ_MUST_CHECK int broker_config_add_listener(struct broker_config *config, const char *address,
                                                 uint16_t port);
void broker_config_free(struct broker_config *config);

/* Whether clients come in on a listener without a proof of who they are: as the listener says, else
 * as the whole says; else only from this machine, and only while no way to log in is configured. */
bool broker_config_lets_anonymous_in(const struct broker_config *config,
                                     const struct config_listener *listener);
/* Whether somebody could log in there with a name. */
bool broker_config_has_way_in(const struct broker_config *config,
                              const struct config_listener *listener);

/* USE_ANOTHER_SERVER or SERVER_MOVED. */
uint8_t broker_config_redirect_reason(const struct config_redirect *redirect);

/* What a schema cannot say. SEALMQ_E_CONFIG. */
SEALMQ_MUST_CHECK int broker_config_check(const struct broker_config *config,
                                          const struct config_source *source);
/* The limits in force: `out` has the defaults before, and what is set after. */
SEALMQ_MUST_CHECK int broker_config_limits(const struct broker_config *config,
                                           const struct config_source *source,
                                           struct broker_limits *out);
/* Appends all of it as YAML, what was left out with its default. SEALMQ_E_NOMEM. */
SEALMQ_MUST_CHECK int broker_config_print(const struct broker_config *config,
                                          const struct broker_limits *limits, struct buf *out);

/* For the schema of a file that has these keys among others: `member` is the struct broker_config
 * in `structure`; the listeners are CYAML_FLAG_OPTIONAL or not. */
extern const cyaml_schema_field_t config_persistence_fields[], config_metrics_fields[];
#define BROKER_CONFIG_FIELDS(structure, member, listeners_flags)                                   \
    CYAML_FIELD_SEQUENCE("listeners", (CYAML_FLAG_POINTER) | (listeners_flags), structure,         \
                         member.listeners, &listener_config_schema, 1, CONFIG_LISTENERS_MAX),      \
        CYAML_FIELD_ENUM("anonymous", CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT, structure,          \
                         member.anonymous, config_choice_words, CONFIG_CHOICE_WORDS),              \
        CYAML_FIELD_STRING_PTR("passwords", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, structure,   \
                               member.passwords, 1, PATH_SIZE - 1),                                \
        CYAML_FIELD_STRING_PTR("acl", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, structure,         \
                               member.acl, 1, PATH_SIZE - 1),                                      \
        CYAML_FIELD_MAPPING("limits", CYAML_FLAG_OPTIONAL, structure, member.limits,               \
                            limits_config_fields),                                                 \
        CYAML_FIELD_MAPPING("persistence", CYAML_FLAG_OPTIONAL, structure, member.persistence,     \
                            config_persistence_fields),                                            \
        CYAML_FIELD_MAPPING_PTR("metrics", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, structure,    \
                                member.metrics, config_metrics_fields),                            \
        CYAML_FIELD_UINT("workers", CYAML_FLAG_OPTIONAL, structure, member.workers),               \
        CYAML_FIELD_STRING_PTR("response_information", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,   \
                               structure, member.response_information, 1,                          \
                               CONFIG_RESPONSE_INFORMATION_MAX),                                   \
        CYAML_FIELD_UINT_PTR("sys_interval", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, structure,  \
                             member.sys_interval)

#endif
