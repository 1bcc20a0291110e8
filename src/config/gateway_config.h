/* A gateway's configuration: a YAML file. Paths in it are relative to the file's folder.
 *
 *   id: plant-a/gw1
 *   key: gateway.key
 *   genesis: genesis.json
 *   policy: policy              # whom receipts are checked against (tlog-policy)
 *   data: data                  # gateway.db: numbers, outbox, receipts
 *   nodes:                      # optional: tried in turn; all of the genesis otherwise
 *     - id: node/a
 *       url: mqtt://127.0.0.1:18830
 *   report_topic: report        # optional
 *   report_interval: 1000       # optional: ms between reports
 *   anchor_interval: 10000      # optional: ms until reports are covered by the chain
 *   status: status.json         # optional: rewritten every second
 *   sources:
 *     - type: system            # this machine's load, memory, network, disks, temperatures
 *       interval: 1000
 *       device: system
 *     - type: mqtt              # a listener for devices that have no key
 *       address: 127.0.0.1
 *       port: 1884
 *       anonymous: true         # or: passwords: passwords
 *   policies:                   # optional: what is written to the chain; the first that fits
 *     - pattern: "pump-1"         # device/service/item, each a name or an asterisk
 *       change: "0.5"           # by this much, or "10%"
 *     - pattern: "*"
 *       periodic: 10000         # at most once in so many ms
 *
 * A pattern with fewer than three levels leaves the rest open. Without policies, everything is
 * written every 10 s. */
#ifndef SEALMQ_CONFIG_GATEWAY_CONFIG_H
#define SEALMQ_CONFIG_GATEWAY_CONFIG_H

#include "base/bytes.h"
#include "base/limits.h"
#include "store/file.h"

#define GATEWAY_NODES_MAX    32
#define GATEWAY_SOURCES_MAX  16
#define GATEWAY_POLICIES_MAX 1000

struct gateway_node {
    char *id;
    char *url;
};

enum gateway_source_type { GATEWAY_SOURCE_SYSTEM, GATEWAY_SOURCE_MQTT };

struct gateway_source {
    enum gateway_source_type type;
    uint32_t interval; /* system: ms; 0: 1000 */
    char *device;      /* system: NULL: "system" */
    char *address;     /* mqtt: NULL: 127.0.0.1 */
    uint16_t port;     /* mqtt */
    bool anonymous;    /* mqtt */
    char *passwords;   /* mqtt, or NULL */
};

struct gateway_rule {
    char *pattern;
    uint32_t periodic; /* ms; 0: not periodic */
    char *change;      /* "0.5", "10%"; NULL: not on change */
    /* read from `change` */
    bool on_change, is_percent;
    double threshold;
};

struct gateway_config {
    char *id, *key, *genesis, *policy, *data;
    struct gateway_node *nodes;
    unsigned nodes_count;
    char *report_topic; /* or NULL */
    uint32_t report_interval, anchor_interval;
    char *status; /* or NULL */
    struct gateway_source *sources;
    unsigned sources_count;
    struct gateway_rule *policies;
    unsigned policies_count;
};

/* As node_config_read. */
SEALMQ_MUST_CHECK int gateway_config_read(const char *path, struct gateway_config **out, char *why,
                                          size_t why_size);
void gateway_config_free(struct gateway_config *config);

#endif
