/* The settings in force as a configuration file, for `sealmq broker --print-config`. */
#include "config/broker_config.h"

/* A string in double quotes, which take every character. */
static void print_text(struct buf *out, const char *before, const char *text)
{
    if (text == NULL)
        return;
    buf_printf(out, "%s\"", before);
    for (const char *p = text; *p != '\0'; p++) {
        if (*p == '"' || *p == '\\')
            buf_printf(out, "\\%c", *p);
        else if ((unsigned char)*p < 0x20 || *p == 0x7f)
            buf_printf(out, "\\x%02x", (unsigned char)*p);
        else
            buf_append_u8(out, (uint8_t)*p);
    }
    buf_append_cstr(out, "\"\n");
}

static const char *yes_or_no(enum config_choice choice, bool otherwise)
{
    return choice == CONFIG_YES || (choice == CONFIG_UNSAID && otherwise) ? "yes" : "no";
}

static void print_tls(struct buf *out, const struct config_tls *tls)
{
    static const char *const identities[] = {"none", "common_name", "subject"};
    buf_append_cstr(out, "    tls:\n");
    print_text(out, "      cert: ", tls->cert);
    print_text(out, "      key: ", tls->key);
    print_text(out, "      ca: ", tls->ca);
    print_text(out, "      crl: ", tls->crl);
    buf_printf(out, "      min_version: \"%s\"\n",
               tls->min_version == CONFIG_TLS_1_3 ? "1.3" : "1.2");
    print_text(out, "      ciphers: ", tls->ciphers);
    print_text(out, "      ciphersuites: ", tls->ciphersuites);
    buf_printf(out, "      require_certificate: %s\n      identity: %s\n",
               yes_or_no(tls->require_certificate, false), identities[tls->identity]);
    print_text(out, "      psk_file: ", tls->psk_file);
    print_text(out, "      psk_hint: ", tls->psk_hint);
    if (tls->sni_count != 0)
        buf_append_cstr(out, "      sni:\n");
    for (unsigned i = 0; i < tls->sni_count; i++) {
        print_text(out, "        - name: ", tls->sni[i].name);
        print_text(out, "          cert: ", tls->sni[i].cert);
        print_text(out, "          key: ", tls->sni[i].key);
    }
}

static void print_ways(struct buf *out, const struct config_listener *listener)
{
    static const char *const ways[] = {"password", "certificate", "psk", "token"};
    if (listener->log_in_count == 0)
        return;
    buf_append_cstr(out, "    log_in: [");
    for (unsigned i = 0; i < listener->log_in_count; i++)
        buf_printf(out, "%s%s", i == 0 ? "" : ", ", ways[listener->log_in[i]]);
    buf_append_cstr(out, "]\n");
}

static void print_listener(struct buf *out, const struct broker_config *config,
                           const struct config_listener *listener)
{
    if (listener->unix_path != NULL) {
        print_text(out, "  - unix: ", listener->unix_path);
        buf_printf(out, "    mode: \"%04o\"\n", listener_config_mode(listener));
    } else {
        print_text(out, "  - address: ", listener->address);
        buf_printf(out, "    port: %u\n", *listener->port);
    }
    print_text(out, "    name: ", listener->name);
    if (listener->transport == CONFIG_WEBSOCKET) {
        buf_append_cstr(out, "    transport: websocket\n");
        if (listener->path != NULL)
            print_text(out, "    path: ", listener->path);
    } else {
        buf_append_cstr(out, "    transport: tcp\n");
    }
    buf_printf(out, "    proxy_protocol: %s\n", yes_or_no(listener->proxy_protocol, false));
    if (listener->proxy_protocol == CONFIG_YES)
        buf_printf(out, "    proxy_certificate: %s\n",
                   yes_or_no(listener->proxy_certificate, false));
    if (listener->connections != 0)
        buf_printf(out, "    connections: %u\n", listener->connections);
    buf_printf(out, "    anonymous: %s\n",
               broker_config_lets_anonymous_in(config, listener) ? "yes" : "no");
    print_ways(out, listener);
    if (listener->tls != NULL)
        print_tls(out, listener->tls);
}

int broker_config_print(const struct broker_config *config, const struct broker_limits *limits,
                        struct buf *out)
{
    static const char *const durabilities[] = {"full", "lazy", "none"};
    buf_append_cstr(out, "listeners:\n");
    for (unsigned i = 0; i < config->listeners_count; i++)
        print_listener(out, config, &config->listeners[i]);
    print_text(out, "passwords: ", config->passwords);
    print_text(out, "acl: ", config->acl);
    if (config->tokens != NULL) {
        print_text(out, "tokens:\n  keys: ", config->tokens->keys);
        print_text(out, "  audience: ", config->tokens->audience);
    }
    limits_config_print(limits, out);
    if (config->persistence.folder != NULL) {
        print_text(out, "persistence:\n  folder: ", config->persistence.folder);
        buf_printf(out, "  durability: %s\n", durabilities[config->persistence.durability]);
    }
    if (config->metrics != NULL) {
        print_text(out, "metrics:\n  address: ",
                   config->metrics->address != NULL ? config->metrics->address
                                                    : CONFIG_METRICS_ADDRESS);
        buf_printf(out, "  port: %u\n", config->metrics->port);
    }
    buf_printf(out, "workers: %u # 0: one for each processor\n", config->workers);
    buf_printf(out, "sys_interval: %u # seconds\n",
               config->sys_interval != NULL ? *config->sys_interval : CONFIG_SYS_INTERVAL);
    print_text(out, "response_information: ", config->response_information);
    if (config->redirect != NULL) {
        print_text(out, "redirect:\n  to: ", config->redirect->to);
        buf_printf(out, "  permanent: %s\n  when: %s\n",
                   yes_or_no(config->redirect->permanent, false),
                   config->redirect->when == CONFIG_REDIRECT_ALWAYS ? "always" : "draining");
    }
    return buf_status(out);
}
