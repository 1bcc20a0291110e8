#include "serve/listeners.h"

#include "serve/paths.h"

#include <stdio.h>
#include <stdlib.h>

/* The files of one listener's TLS, by their full paths. */
struct files {
    char cert[PATH_SIZE], key[PATH_SIZE], ca[PATH_SIZE], crl[PATH_SIZE], psk[PATH_SIZE];
    struct net_tls_name *names;
    char (*paths)[PATH_SIZE]; /* two for each of the names */
};

/* *out is NULL when there is no such path. */
static int resolve(const char *config_path, const char *path, char room[PATH_SIZE],
                   const char **out)
{
    *out = NULL;
    if (path == NULL)
        return 0;
    int e = serve_path(config_path, path, room);
    if (e == 0)
        *out = room;
    return e;
}

static int resolve_names(const char *config_path, const struct config_tls *tls, struct files *files,
                         struct net_tls_options *out)
{
    if (tls->sni_count == 0)
        return 0;
    files->names = calloc(tls->sni_count, sizeof *files->names);
    files->paths = calloc((size_t)tls->sni_count * 2, sizeof *files->paths);
    if (files->names == NULL || files->paths == NULL)
        return SEALMQ_E_NOMEM;
    int e = 0;
    for (unsigned i = 0; e == 0 && i < tls->sni_count; i++) {
        struct net_tls_name *name = &files->names[i];
        const size_t at = (size_t)i * 2;
        name->name = tls->sni[i].name;
        e = resolve(config_path, tls->sni[i].cert, files->paths[at], &name->cert_file);
        if (e == 0)
            e = resolve(config_path, tls->sni[i].key, files->paths[at + 1], &name->key_file);
    }
    out->names = files->names;
    out->name_count = tls->sni_count;
    return e;
}

static int resolve_all(const char *config_path, const struct config_tls *tls, struct files *files,
                       struct net_tls_options *out)
{
    int e = resolve(config_path, tls->cert, files->cert, &out->cert_file);
    if (e == 0)
        e = resolve(config_path, tls->key, files->key, &out->key_file);
    if (e == 0)
        e = resolve(config_path, tls->ca, files->ca, &out->ca_file);
    if (e == 0)
        e = resolve(config_path, tls->crl, files->crl, &out->crl_file);
    if (e == 0)
        e = resolve(config_path, tls->psk_file, files->psk, &out->psk_file);
    return e == 0 ? resolve_names(config_path, tls, files, out) : e;
}

static int load_tls(const char *config_path, const struct config_tls *tls, struct net_tls **out,
                    char *why, size_t why_size)
{
    static const enum net_tls_identity identities[] = {
        [CONFIG_IDENTITY_NONE] = NET_TLS_IDENTITY_NONE,
        [CONFIG_IDENTITY_COMMON_NAME] = NET_TLS_IDENTITY_COMMON_NAME,
        [CONFIG_IDENTITY_SUBJECT] = NET_TLS_IDENTITY_SUBJECT,
    };
    struct net_tls_options options = {
        .psk_hint = tls->psk_hint,
        .min_version = tls->min_version == CONFIG_TLS_1_3 ? NET_TLS_1_3 : NET_TLS_1_2,
        .ciphers = tls->ciphers,
        .ciphersuites = tls->ciphersuites,
        .require_certificate = tls->require_certificate == CONFIG_YES,
        .identity = identities[tls->identity],
    };
    struct files *files = calloc(1, sizeof *files);
    if (files == NULL)
        return SEALMQ_E_NOMEM;
    int e = resolve_all(config_path, tls, files, &options);
    if (e == 0)
        e = net_tls_new(&options, out, why, why_size);
    free(files->names);
    free(files->paths);
    free(files);
    return e;
}

static int load_one(const struct config_listener *config, const char *config_path,
                    struct net_listener *out, char *why, size_t why_size)
{
    *out = (struct net_listener){
        .address = config->address,
        .port = config->port != NULL ? *config->port : 0,
        .name = config->name,
        .unix_mode = config->unix_path != NULL ? listener_config_mode(config) : 0,
        .is_websocket = config->transport == CONFIG_WEBSOCKET,
        .websocket_path = config->path,
        .takes_proxy_protocol = config->proxy_protocol == CONFIG_YES,
        .trusts_proxy_certificate = config->proxy_certificate == CONFIG_YES,
        .connections = config->connections,
    };
    return config->tls == NULL ? 0 : load_tls(config_path, config->tls, &out->tls, why, why_size);
}

int serve_listeners_load(const struct broker_config *config, const char *config_path,
                         struct serve_listeners *out, char *why, size_t why_size)
{
    *out = (struct serve_listeners){0};
    int e = 0;
    for (unsigned i = 0; e == 0 && i < config->listeners_count; i++) {
        char words[400] = "", path[PATH_SIZE];
        const struct config_listener *listener = &config->listeners[i];
        e = load_one(listener, config_path, &out->at[i], words, sizeof words);
        out->count = i + 1;
        if (e == 0 && listener->unix_path != NULL) {
            e = serve_path(config_path, listener->unix_path, path);
            if (e == 0)
                e = bytes_to_cstr(bytes_str(path), out->unix_paths[i], sizeof out->unix_paths[i]);
            out->at[i].unix_path = out->unix_paths[i];
        }
        if (e != 0)
            snprintf(why, why_size, "listeners[%u]: %s", i,
                     words[0] != '\0' ? words : sealmq_error_text(e));
    }
    if (e != 0)
        serve_listeners_close(out);
    return e;
}

void serve_listeners_close(struct serve_listeners *listeners)
{
    for (unsigned i = 0; i < listeners->count; i++)
        net_tls_unref(listeners->at[i].tls);
    listeners->count = 0;
}

static bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static const char *difference(const struct config_listener *a, const struct config_listener *b)
{
    if (!same_text(a->address, b->address))
        return "address";
    if ((a->port == NULL) != (b->port == NULL) || (a->port != NULL && *a->port != *b->port))
        return "port";
    if (!same_text(a->unix_path, b->unix_path))
        return "unix";
    if (listener_config_mode(a) != listener_config_mode(b))
        return "mode";
    if (!same_text(a->name, b->name))
        return "name";
    if (a->transport != b->transport)
        return "transport";
    if (!same_text(a->path, b->path))
        return "path";
    if ((a->proxy_protocol == CONFIG_YES) != (b->proxy_protocol == CONFIG_YES))
        return "proxy_protocol";
    if ((a->proxy_certificate == CONFIG_YES) != (b->proxy_certificate == CONFIG_YES))
        return "proxy_certificate";
    if (a->connections != b->connections)
        return "connections";
    return (a->tls == NULL) != (b->tls == NULL) ? "tls" : NULL;
}

const char *serve_listeners_difference(const struct broker_config *running,
                                       const struct broker_config *wanted, unsigned *index)
{
    *index = 0;
    if (running->listeners_count != wanted->listeners_count)
        return "";
    for (unsigned i = 0; i < running->listeners_count; i++) {
        const char *what = difference(&running->listeners[i], &wanted->listeners[i]);
        *index = i;
        if (what != NULL)
            return what;
    }
    return NULL;
}
