#include "config/listener_config.h"

#include "config/address.h"
#include "store/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#define MODE_DEFAULT 0660
#define WORDS_MAX    4096 /* a list of ciphers */
#define NAME_LENGTH  255

const cyaml_strval_t config_choice_words[CONFIG_CHOICE_WORDS] = {
    {"no", CONFIG_NO},
    {"yes", CONFIG_YES},
    {"false", CONFIG_NO},
    {"true", CONFIG_YES},
};

static const cyaml_strval_t transports[] = {
    {"tcp", CONFIG_TCP},
    {"websocket", CONFIG_WEBSOCKET},
};
static const cyaml_strval_t versions[] = {
    {"1.2", CONFIG_TLS_1_2},
    {"1.3", CONFIG_TLS_1_3},
};
static const cyaml_strval_t identities[] = {
    {"none", CONFIG_IDENTITY_NONE},
    {"common_name", CONFIG_IDENTITY_COMMON_NAME},
    {"subject", CONFIG_IDENTITY_SUBJECT},
};
static const cyaml_strval_t ways[] = {
    {"password", CONFIG_PASSWORD},
    {"certificate", CONFIG_CERTIFICATE},
    {"psk", CONFIG_PSK},
    {"token", CONFIG_TOKEN},
};

#define COUNT(words)    (sizeof(words) / sizeof((words)[0]))
#define OPTIONAL        (CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL)
#define OPTIONAL_CHOICE (CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT)
#define CHOICE(key, type, member)                                                                  \
    CYAML_FIELD_ENUM(key, OPTIONAL_CHOICE, type, member, config_choice_words, CONFIG_CHOICE_WORDS)
#define WORD(key, type, member, words)                                                             \
    CYAML_FIELD_ENUM(key, OPTIONAL_CHOICE, type, member, words, COUNT(words))
#define TEXT(key, type, member, most) CYAML_FIELD_STRING_PTR(key, OPTIONAL, type, member, 1, most)

static const cyaml_schema_field_t sni_fields[] = {
    CYAML_FIELD_STRING_PTR("name", CYAML_FLAG_POINTER, struct config_sni, name, 1, NAME_LENGTH),
    CYAML_FIELD_STRING_PTR("cert", CYAML_FLAG_POINTER, struct config_sni, cert, 1, PATH_SIZE - 1),
    CYAML_FIELD_STRING_PTR("key", CYAML_FLAG_POINTER, struct config_sni, key, 1, PATH_SIZE - 1),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t sni_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_sni, sni_fields),
};

static const cyaml_schema_field_t tls_fields[] = {
    TEXT("cert", struct config_tls, cert, PATH_SIZE - 1),
    TEXT("key", struct config_tls, key, PATH_SIZE - 1),
    TEXT("ca", struct config_tls, ca, PATH_SIZE - 1),
    TEXT("crl", struct config_tls, crl, PATH_SIZE - 1),
    WORD("min_version", struct config_tls, min_version, versions),
    TEXT("ciphers", struct config_tls, ciphers, WORDS_MAX),
    TEXT("ciphersuites", struct config_tls, ciphersuites, WORDS_MAX),
    CHOICE("require_certificate", struct config_tls, require_certificate),
    WORD("identity", struct config_tls, identity, identities),
    TEXT("psk_file", struct config_tls, psk_file, PATH_SIZE - 1),
    TEXT("psk_hint", struct config_tls, psk_hint, NAME_LENGTH),
    CYAML_FIELD_SEQUENCE("sni", OPTIONAL, struct config_tls, sni, &sni_schema, 0, CONFIG_SNI_MAX),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t way_schema = {
    CYAML_VALUE_ENUM(CYAML_FLAG_STRICT, enum config_way, ways, COUNT(ways)),
};

static const cyaml_schema_field_t listener_fields[] = {
    TEXT("name", struct config_listener, name, NAME_LENGTH),
    TEXT("address", struct config_listener, address, 64),
    CYAML_FIELD_UINT_PTR("port", OPTIONAL, struct config_listener, port),
    TEXT("unix", struct config_listener, unix_path,
         sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1),
    TEXT("mode", struct config_listener, mode, 8),
    WORD("transport", struct config_listener, transport, transports),
    TEXT("path", struct config_listener, path, NAME_LENGTH),
    CHOICE("proxy_protocol", struct config_listener, proxy_protocol),
    CHOICE("proxy_certificate", struct config_listener, proxy_certificate),
    CHOICE("anonymous", struct config_listener, anonymous),
    CYAML_FIELD_UINT("connections", CYAML_FLAG_OPTIONAL, struct config_listener, connections),
    CYAML_FIELD_SEQUENCE("log_in", OPTIONAL, struct config_listener, log_in, &way_schema, 0,
                         CONFIG_WAYS_MAX),
    CYAML_FIELD_MAPPING_PTR("tls", OPTIONAL, struct config_listener, tls, tls_fields),
    CYAML_FIELD_END,
};

const cyaml_schema_value_t listener_config_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_listener, listener_fields),
};

bool listener_config_is_local(const struct config_listener *listener)
{
    /* Behind a proxy on this machine the clients are others. */
    return listener->proxy_protocol != CONFIG_YES &&
           (listener->unix_path != NULL || address_is_loopback(listener->address));
}

bool listener_config_meets(const struct config_listener *a, const struct config_listener *b)
{
    if (a->unix_path != NULL || b->unix_path != NULL)
        return a->unix_path != NULL && b->unix_path != NULL &&
               strcmp(a->unix_path, b->unix_path) == 0;
    return *a->port != 0 && *a->port == *b->port && address_meets(a->address, b->address);
}

bool listener_config_takes(const struct config_listener *listener, enum config_way way)
{
    bool takes = listener->log_in_count == 0;
    for (unsigned i = 0; i < listener->log_in_count; i++)
        takes = takes || listener->log_in[i] == way;
    return takes;
}

/* SEALMQ_E_PARSE when it is not three octal digits, a zero before them allowed. */
static int parse_mode(const char *text, unsigned *out)
{
    size_t n = strlen(text);
    if (n < 3 || n > 4 || strspn(text, "01234567") != n || (n == 4 && text[0] != '0'))
        return SEALMQ_E_PARSE;
    *out = (unsigned)strtoul(text, NULL, 8);
    return 0;
}

unsigned listener_config_mode(const struct config_listener *listener)
{
    unsigned mode = MODE_DEFAULT;
    if (listener->mode != NULL && parse_mode(listener->mode, &mode) != 0)
        mode = MODE_DEFAULT;
    return mode;
}

/* One listener while it is checked. */
struct check {
    const struct config_source *source;
    unsigned index;
};

#define REFUSE(check, member, format, ...)                                                         \
    refuse_at((check), (member), "listeners[%u]%s" format, (check)->index,                         \
              (member)[0] != '\0' ? "." member : "" __VA_OPT__(, ) __VA_ARGS__)

__attribute__((format(printf, 3, 4))) static int
refuse_at(const struct check *check, const char *member, const char *format, ...)
{
    char place[128], words[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    snprintf(place, sizeof place, "listeners[%u]%s%s", check->index, member[0] != '\0' ? "." : "",
             member);
    return config_refuse(check->source, place, "%s", words);
}

static int check_where(const struct check *check, const struct config_listener *listener)
{
    unsigned mode;
    if ((listener->address == NULL) == (listener->unix_path == NULL))
        return REFUSE(check, "", ": give address and port, or unix");
    if (listener->unix_path != NULL && listener->port != NULL)
        return REFUSE(check, "port", ": a Unix socket has none");
    if (listener->address != NULL && listener->port == NULL)
        return REFUSE(check, "", ": port is missing, such as 1883 (8883 for TLS)");
    if (listener->address != NULL && !address_is_numeric(listener->address))
        return REFUSE(check, "address",
                      " \"%s\" must be a numeric address, such as 127.0.0.1, 0.0.0.0 or ::",
                      listener->address);
    if (listener->mode != NULL && listener->unix_path == NULL)
        return REFUSE(check, "mode", ": only a Unix socket has one");
    if (listener->mode != NULL && parse_mode(listener->mode, &mode) != 0)
        return REFUSE(check, "mode", " \"%s\" must be octal permissions, such as \"0660\"",
                      listener->mode);
    if (listener->proxy_certificate == CONFIG_YES &&
        (listener->proxy_protocol != CONFIG_YES || listener->tls != NULL))
        return REFUSE(check, "proxy_certificate",
                      ": needs proxy_protocol: yes, and TLS to end at the proxy, not here");
    if (listener->path != NULL && listener->transport != CONFIG_WEBSOCKET)
        return REFUSE(check, "path", ": only `transport: websocket` has one");
    if (listener->path != NULL && listener->path[0] != '/')
        return REFUSE(check, "path", " \"%s\" must begin with a slash, such as /mqtt",
                      listener->path);
    return 0;
}

static int check_tls(const struct check *check, const struct config_tls *tls)
{
    bool wants_certificate =
        tls->require_certificate == CONFIG_YES || tls->identity != CONFIG_IDENTITY_NONE;
    if (tls->cert == NULL && tls->psk_file == NULL)
        return REFUSE(check, "tls", ": cert is missing, the server's certificate (or psk_file)");
    if ((tls->cert == NULL) != (tls->key == NULL))
        return REFUSE(check, "tls", ": cert and key belong together");
    if (wants_certificate && tls->ca == NULL)
        return REFUSE(check, "tls",
                      ": ca is missing, the authorities that clients' certificates are from");
    if (tls->crl != NULL && tls->ca == NULL)
        return REFUSE(check, "tls.crl", ": a list of revoked certificates needs a ca");
    if (tls->psk_hint != NULL && tls->psk_file == NULL)
        return REFUSE(check, "tls.psk_hint", ": needs a psk_file");
    if (tls->sni_count != 0 && tls->cert == NULL)
        return REFUSE(check, "tls.sni", ": needs a cert and key for all other names");
    return 0;
}

static int check_ways(const struct check *check, const struct config_listener *listener)
{
    const struct config_tls *tls = listener->tls;
    for (unsigned i = 0; i < listener->log_in_count; i++) {
        if (listener->log_in[i] == CONFIG_CERTIFICATE &&
            listener->proxy_certificate != CONFIG_YES &&
            (tls == NULL || tls->identity == CONFIG_IDENTITY_NONE))
            return REFUSE(check, "log_in",
                          ": a certificate is no user name without tls.identity: common_name or "
                          "subject");
        if (listener->log_in[i] == CONFIG_PSK && (tls == NULL || tls->psk_file == NULL))
            return REFUSE(check, "log_in", ": psk needs a tls.psk_file");
    }
    return 0;
}

int listener_config_check(const struct config_listener *listener, unsigned index,
                          const struct config_source *source)
{
    const struct check check = {source, index};
    int error = check_where(&check, listener);
    if (error == 0 && listener->tls != NULL)
        error = check_tls(&check, listener->tls);
    if (error == 0)
        error = check_ways(&check, listener);
    return error;
}
