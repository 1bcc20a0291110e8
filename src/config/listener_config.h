/* One entry of `listeners:`, the same for a plain server and for a node.
 *
 *   - name: devices                 # optional: for the log
 *     address: 0.0.0.0              # numeric; or `unix: /run/sealmq/mqtt.sock`
 *     port: 8883
 *     mode: "0660"                  # optional: of the Unix socket
 *     transport: tcp                # optional: or websocket
 *     path: /mqtt                   # optional: of a WebSocket
 *     proxy_protocol: no            # optional: yes: every connection begins with PROXY v2
 *     proxy_certificate: no         # optional: yes: the common name that the proxy tells, the user
 *     connections: 1000             # optional: at most so many on this listener
 *     anonymous: no                 # optional: log-in without proof of a name
 *     log_in: [password, token]     # optional: the ways that count here, all by default
 *     tls:
 *       cert: server.pem            # with the chain to the authority
 *       key: server.key
 *       ca: clients-ca.pem          # optional: authorities of clients' certificates
 *       crl: clients.crl            # optional: what they have revoked
 *       min_version: "1.2"          # optional: or "1.3"
 *       ciphers: ...                # optional: OpenSSL's list for TLS 1.2
 *       ciphersuites: ...           # optional: the same for TLS 1.3
 *       require_certificate: no     # optional
 *       identity: none              # optional: common_name or subject: the client's user name
 *       psk_file: psk               # optional: lines of `identity:hex key`; instead of cert and
 * key psk_hint: sealmq            # optional sni:                        # optional: further
 * certificates by server name
 *         - {name: b.example, cert: b.pem, key: b.key}
 */
#ifndef SEALMQ_CONFIG_LISTENER_CONFIG_H
#define SEALMQ_CONFIG_LISTENER_CONFIG_H

#include "config/yaml.h"

#include <stdbool.h>
#include <stdint.h>

#define CONFIG_LISTENERS_MAX 16
#define CONFIG_SNI_MAX       64
#define CONFIG_WAYS_MAX      8

/* A yes or no that may be left to a default. */
enum config_choice { CONFIG_UNSAID, CONFIG_YES, CONFIG_NO };
#define CONFIG_CHOICE_WORDS 4
extern const cyaml_strval_t config_choice_words[CONFIG_CHOICE_WORDS];

enum config_transport { CONFIG_TCP, CONFIG_WEBSOCKET };
enum config_tls_version { CONFIG_TLS_UNSAID, CONFIG_TLS_1_2, CONFIG_TLS_1_3 };
enum config_identity {
    CONFIG_IDENTITY_NONE,
    CONFIG_IDENTITY_COMMON_NAME,
    CONFIG_IDENTITY_SUBJECT,
};
/* How a client shows who it is. */
enum config_way { CONFIG_PASSWORD, CONFIG_CERTIFICATE, CONFIG_PSK, CONFIG_TOKEN };

struct config_sni {
    char *name, *cert, *key;
};

/* Strings may be NULL; paths are as written. */
struct config_tls {
    char *cert, *key, *ca, *crl;
    enum config_tls_version min_version;
    char *ciphers, *ciphersuites;
    enum config_choice require_certificate;
    enum config_identity identity;
    char *psk_file, *psk_hint;
    struct config_sni *sni;
    unsigned sni_count;
};

struct config_listener {
    char *name;
    char *address; /* or `unix` */
    uint16_t *port;
    char *unix_path;
    char *mode; /* octal digits */
    enum config_transport transport;
    char *path;
    enum config_choice proxy_protocol, proxy_certificate, anonymous;
    uint32_t connections; /* 0: the server's limit */
    enum config_way *log_in;
    unsigned log_in_count; /* 0: all */
    struct config_tls *tls;
};

extern const cyaml_schema_value_t listener_config_schema;

/* Whether only this machine can reach it. */
bool listener_config_is_local(const struct config_listener *listener);
/* Whether the system would refuse one of them because of the other. */
bool listener_config_meets(const struct config_listener *a, const struct config_listener *b);
/* Whether its rules take that way, not whether the way can work. */
bool listener_config_takes(const struct config_listener *listener, enum config_way way);
/* Permission bits of its Unix socket. */
unsigned listener_config_mode(const struct config_listener *listener);

/* What the schema cannot say, of `listeners[index]`. */
SEALMQ_MUST_CHECK int listener_config_check(const struct config_listener *listener, unsigned index,
                                            const struct config_source *source);

#endif
