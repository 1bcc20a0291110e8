/* A node's configuration: a YAML file. Paths in it are relative to the file's folder.
 *
 *   id: broker/a
 *   genesis: genesis.json
 *   key: broker-a.key
 *   data: data
 *   listeners:                # as a plain server's (listener_config.h)
 *     - address: 127.0.0.1
 *       port: 1883
 *   passwords: passwords      # optional: log-in by password
 *   acl: acl                  # optional: without it, reading verified/# is allowed
 *   anonymous: no             # optional: log-in without a password; loopback listeners only
 *   workers: 2                # optional: I/O threads; one for each processor
 *   limits, persistence, metrics, sys_interval: as a plain server's (broker_config.h)
 *   session_life: 86400       # optional: seconds a gateway's session key lives
 *   view_timeout: 1000        # optional: milliseconds without a block before the view changes
 *   role: full                # optional: full (keeps all blocks) or light (the newest 8192)
 *   retain:                   # optional: a block's body goes when the first of these is exceeded,
 *     days: 365               #   and two other nodes keep it; headers stay
 *     blocks: 1000000
 *     megabytes: 10000
 */
#ifndef SEALMQ_CONFIG_NODE_CONFIG_H
#define SEALMQ_CONFIG_NODE_CONFIG_H

#include "base/bytes.h"
#include "base/limits.h"
#include "config/broker_config.h"
#include "store/file.h"

/* Full: keeps every block. Light: the newest bodies only, and every header, certificate and
 * checkpoint. */
enum config_role { CONFIG_ROLE_FULL, CONFIG_ROLE_LIGHT };
/* Blocks that a light node keeps when `retain` says nothing. */
#define CONFIG_LIGHT_BLOCKS 8192

struct node_config {
    char *id;
    char *genesis, *key, *data; /* as written */
    struct broker_config broker;
    uint32_t session_life;
    uint32_t view_timeout;
    enum config_role role;
    struct config_retain {
        uint32_t blocks, days, megabytes; /* 0: no limit */
    } retain;
};

/* Reads and checks a file. SEALMQ_E_NOTFOUND, SEALMQ_E_CONFIG; `why` names file, line and mend as
 * far as they can be told. The result is freed with node_config_free. */
SEALMQ_MUST_CHECK int node_config_read(const char *path, struct node_config **out, char *why,
                                       size_t why_size);
void node_config_free(struct node_config *config);

#endif
