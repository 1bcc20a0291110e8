/* sealmq broker: the MQTT server without a ledger. Its options are made into a configuration, or
 * read from a file; the rest is src/serve. */
#include "cli/cli.h"

#include "base/log.h"
#include "cli/end_signals.h"
#include "config/address.h"
#include "crypto/sign.h"
#include "http/server.h"
#include "serve/serve.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define ME                 "broker"
#define DRAIN_MS           5000
#define PACKET_BYTES_LEAST 1024
#define PACKET_BYTES_MOST  (MQTT_REMAINING_LENGTH_MAX + MQTT_FIXED_HEADER_MAX)

struct options {
    const char *config_path;
    const char *addresses[CONFIG_LISTENERS_MAX];
    unsigned address_count;
    const char *simple; /* the last option that a file would say; NULL: none */
    uint16_t port, websocket_port;
    const char *tls_cert, *tls_key, *passwords, *acl;
    const char *data;
    enum config_durability durability;
    bool allow_anonymous, only_test, only_print, is_verbose;
    unsigned workers;
    uint32_t packet_bytes;                  /* 0: the default */
    char metrics_address[INET6_ADDRSTRLEN]; /* "": none */
    uint16_t metrics_port;
    uint32_t sys_interval_s;
};

/* --- running ------------------------------------------------------------------------------- */

static void reload(void *context)
{
    serve_reload(context);
}

static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* Takes `config`. */
static int run(struct broker_config *config, const char *config_path)
{
    struct serve *serve;
    char why[1024];
    end_signals_block();
    raise_descriptor_limit();
    int e = serve_new(config, config_path, &serve, why, sizeof why);
    if (e == SEALMQ_E_CONFIG && config_path == NULL)
        return cli_fail(ME, EX_CONFIG, "%s", why);
    if (e != 0)
        return cli_fail(ME, e == SEALMQ_E_IO ? EX_UNAVAILABLE : cli_status_of(e), "%s", why);
    e = serve_start(serve);
    if (e == 0)
        log_info(ME, "%s: closing connections",
                 end_signals_wait(reload, serve) == SIGINT ? "SIGINT" : "SIGTERM");
    serve_free(serve, DRAIN_MS);
    if (e != 0)
        return cli_fail(ME, EX_OSERR, "cannot start: %s", sealmq_error_text(e));
    log_info(ME, "stopped");
    return 0;
}

static int test(const struct broker_config *config, const char *config_path)
{
    char why[1024];
    int e = serve_test(config, config_path, why, sizeof why);
    if (e != 0)
        return cli_fail(ME, e == SEALMQ_E_NOMEM ? EX_OSERR : EX_CONFIG, "%s",
                        why[0] != '\0' ? why : sealmq_error_text(e));
    printf("%s: OK\n", config_path != NULL ? config_path : "options");
    return 0;
}

static int print(const struct broker_config *config, const char *config_path)
{
    char why[512] = "";
    struct broker_limits limits;
    struct buf text = {0};
    const struct config_source source = {config_path, why, sizeof why};
    broker_limits_default(&limits);
    int e = broker_config_limits(config, &source, &limits);
    if (e == 0)
        e = broker_config_print(config, &limits, &text);
    if (e == 0)
        fwrite(text.p, 1, text.n, stdout);
    buf_close(&text);
    return e == 0 ? 0 : cli_fail(ME, cli_status_of(e), "%s", sealmq_error_text(e));
}

/* --- options ------------------------------------------------------------------------------- */

static void print_help(void)
{
    puts(
        "usage: sealmq broker --config FILE [--test-config | --print-config] [-v]\n"
        "       sealmq broker [-p PORT] [--bind ADDRESS]... [--allow-anonymous]\n"
        "                     [--passwords FILE] [--acl FILE] [--tls-cert FILE --tls-key FILE]\n"
        "                     [--websocket PORT] [--workers N] [--max-packet BYTES]\n"
        "                     [--metrics ADDRESS:PORT] [--sys-interval SECONDS] [-v]\n"
        "\n"
        "Runs an MQTT server (3.1.1 and 5.0) without a ledger: from a configuration file\n"
        "(docs/operations/broker.md), or from options for the simple case.\n"
        "\n"
        "  -c, --config FILE        its configuration (YAML)\n"
        "      --test-config        read everything, say whether it is fine, and end\n"
        "      --print-config       print all settings with their defaults as YAML, and end\n"
        "\n"
        "  -p, --port PORT          1883; 0 takes any that is free\n"
        "      --bind ADDRESS       numeric address to listen on, may be given several times;\n"
        "                           the default is loopback, 127.0.0.1 and ::1.\n"
        "                           0.0.0.0 and :: serve every network\n"
        "      --allow-anonymous    let clients in without a password. Without a password file\n"
        "                           and bound to loopback only, they are let in anyhow\n"
        "      --passwords FILE     user names and passwords, made with `sealmq passwd`\n"
        "      --acl FILE           who may read and write which topics (user, topic and pattern\n"
        "                           lines as Mosquitto has them); without it all but\n"
        "                           $-topics, of which $SYS may be read\n"
        "      --tls-cert FILE      serve TLS with this certificate (PEM, with its chain)\n"
        "      --tls-key FILE       the certificate's secret key\n"
        "      --websocket PORT     serve WebSocket on this port besides\n"
        "      --data DIR           keep persistent sessions and retained messages in this "
        "folder;\n"
        "                           without it they end with the program\n"
        "      --durability HOW     full: acknowledged is what is synced to the disk (default);\n"
        "                           lazy: written soon, nobody waits; none: nothing is kept\n"
        "      --workers N          threads; the default is one for each processor\n"
        "      --max-packet BYTES   largest packet taken from a client\n"
        "      --metrics ADDRESS:PORT  answer /metrics (Prometheus) and /healthz over HTTP there,\n"
        "                           such as 127.0.0.1:9883; whoever reaches it may read it\n"
        "      --sys-interval SECONDS  between updates of the $SYS topics; 10, and 0 for none\n"
        "  -v, --verbose            log more\n"
        "      --help               this\n"
        "\n"
        "SIGHUP reads the configuration, password file, ACL, keys and certificates again; clients\n"
        "stay connected. SIGTERM and SIGINT close all connections and end.");
}

static int add_address(struct options *options, const char *address)
{
    if (!address_is_numeric(address))
        return cli_usage(ME, "--bind %s: give a numeric address, such as 127.0.0.1 or ::", address);
    if (options->address_count == CONFIG_LISTENERS_MAX)
        return cli_usage(ME, "--bind: at most %d addresses", CONFIG_LISTENERS_MAX);
    options->addresses[options->address_count++] = address;
    return 0;
}

static int take_durability(struct options *options, const char *value)
{
    if (strcmp(value, "full") == 0)
        options->durability = CONFIG_DURABLE_FULL;
    else if (strcmp(value, "lazy") == 0)
        options->durability = CONFIG_DURABLE_LAZY;
    else if (strcmp(value, "none") == 0)
        options->durability = CONFIG_DURABLE_NONE;
    else
        return cli_usage(ME, "--durability %s: full, lazy or none", value);
    return 0;
}

static int take_option(struct options *options, int option, const char *value)
{
    uint64_t number = 0;
    switch (option) {
    case 'p':
        if (!cli_parse_number(value, 0, UINT16_MAX, &number))
            return cli_usage(ME, "-p %s: give a port, 0 to 65535", value);
        options->port = (uint16_t)number;
        return 0;
    case 'b':
        return add_address(options, value);
    case 'c':
        options->config_path = value;
        return 0;
    case 'T':
        options->only_test = true;
        return 0;
    case 'C':
        options->only_print = true;
        return 0;
    case 't':
        options->tls_cert = value;
        return 0;
    case 'k':
        options->tls_key = value;
        return 0;
    case 'W':
        if (!cli_parse_number(value, 1, UINT16_MAX, &number))
            return cli_usage(ME, "--websocket %s: give a port, 1 to 65535", value);
        options->websocket_port = (uint16_t)number;
        return 0;
    case 'a':
        options->allow_anonymous = true;
        return 0;
    case 'A':
        options->acl = value;
        return 0;
    case 'P':
        options->passwords = value;
        return 0;
    case 'd':
        options->data = value;
        return 0;
    case 'D':
        return take_durability(options, value);
    case 'w':
        if (!cli_parse_number(value, 1, 64, &number))
            return cli_usage(ME, "--workers %s: give a number, 1 to 64", value);
        options->workers = (unsigned)number;
        return 0;
    case 'm':
        if (!cli_parse_number(value, PACKET_BYTES_LEAST, PACKET_BYTES_MOST, &number))
            return cli_usage(ME, "--max-packet %s: give bytes, %d to %u", value, PACKET_BYTES_LEAST,
                             PACKET_BYTES_MOST);
        options->packet_bytes = (uint32_t)number;
        return 0;
    case 'M':
        if (!http_address_split(value, options->metrics_address, sizeof options->metrics_address,
                                &options->metrics_port))
            return cli_usage(ME,
                             "--metrics %s: give a numeric address and a port, such as "
                             "127.0.0.1:9883 or [::1]:9883",
                             value);
        return 0;
    case 'S':
        if (!cli_parse_number(value, 0, CONFIG_SYS_INTERVAL_MAX, &number))
            return cli_usage(ME, "--sys-interval %s: give seconds, 0 to %d", value,
                             CONFIG_SYS_INTERVAL_MAX);
        options->sys_interval_s = (uint32_t)number;
        return 0;
    default:
        options->is_verbose = true;
        return 0;
    }
}

static const char *name_of(const struct option *options, int value)
{
    while (options->val != value)
        options++;
    return options->name;
}

/* False when there was something to copy and no memory for it. */
static bool copy(char **out, const char *text)
{
    *out = text == NULL ? NULL : strdup(text);
    return text == NULL || *out != NULL;
}

static int add_tls(const struct options *options, struct config_listener *listener)
{
    if (options->tls_cert == NULL)
        return 0;
    listener->tls = calloc(1, sizeof *listener->tls);
    if (listener->tls == NULL || !copy(&listener->tls->cert, options->tls_cert) ||
        !copy(&listener->tls->key, options->tls_key))
        return SEALMQ_E_NOMEM;
    return 0;
}

/* Each address once more, on the WebSocket's port. */
static int add_websockets(const struct options *options, struct broker_config *config)
{
    const unsigned count = options->websocket_port != 0 ? config->listeners_count : 0;
    int e = 0;
    for (unsigned i = 0; e == 0 && i < count; i++) {
        e = broker_config_add_listener(config, config->listeners[i].address,
                                       options->websocket_port);
        if (e == 0)
            config->listeners[config->listeners_count - 1].transport = CONFIG_WEBSOCKET;
    }
    return e;
}

static int add_watching(const struct options *options, struct broker_config *config)
{
    config->sys_interval = malloc(sizeof *config->sys_interval);
    if (config->sys_interval == NULL)
        return SEALMQ_E_NOMEM;
    *config->sys_interval = options->sys_interval_s;
    if (options->metrics_address[0] == '\0')
        return 0;
    config->metrics = calloc(1, sizeof *config->metrics);
    if (config->metrics == NULL || !copy(&config->metrics->address, options->metrics_address))
        return SEALMQ_E_NOMEM;
    config->metrics->port = options->metrics_port;
    return 0;
}

static int fill(const struct options *options, struct broker_config *config)
{
    if (!copy(&config->passwords, options->passwords) || !copy(&config->acl, options->acl) ||
        !copy(&config->persistence.folder, options->data))
        return SEALMQ_E_NOMEM;
    config->persistence.durability = options->durability;
    config->workers = options->workers;
    if (options->allow_anonymous)
        config->anonymous = CONFIG_YES;
    if (options->packet_bytes != 0) {
        config->limits.packet_bytes = malloc(sizeof *config->limits.packet_bytes);
        if (config->limits.packet_bytes == NULL)
            return SEALMQ_E_NOMEM;
        *config->limits.packet_bytes = options->packet_bytes;
    }
    int e = add_watching(options, config);
    for (unsigned i = 0; e == 0 && i < options->address_count; i++)
        e = broker_config_add_listener(config, options->addresses[i], options->port);
    if (e == 0)
        e = serve_default_listeners(config, options->port);
    if (e == 0)
        e = add_websockets(options, config);
    for (unsigned i = 0; e == 0 && i < config->listeners_count; i++)
        e = add_tls(options, &config->listeners[i]);
    return e;
}

/* Without a password file, everybody is let in from this machine, and nobody from elsewhere unless
 * it is asked for. */
static int check_access(const struct broker_config *config)
{
    bool is_local = true;
    for (unsigned i = 0; i < config->listeners_count; i++)
        is_local = is_local && listener_config_is_local(&config->listeners[i]);
    if (config->passwords == NULL && config->anonymous != CONFIG_YES && !is_local)
        return cli_usage(ME, "nobody could log in: give --passwords FILE (see `sealmq passwd`), or "
                             "--allow-anonymous if everybody on that network may connect");
    return 0;
}

/* Makes the configuration that the options ask for; prints what is wrong. */
static int configure(const struct options *options, struct broker_config **out)
{
    char why[1024];
    int e;
    if (options->config_path != NULL && options->simple != NULL)
        return cli_usage(ME, "--%s cannot be given besides --config: say it in %s", options->simple,
                         options->config_path);
    if (options->tls_key == NULL && options->tls_cert != NULL)
        return cli_usage(ME, "--tls-cert needs --tls-key, the certificate's secret key");
    if (options->tls_cert == NULL && options->tls_key != NULL)
        return cli_usage(ME, "--tls-key needs --tls-cert, the certificate");
    if (options->config_path != NULL) {
        e = broker_config_read(options->config_path, out, why, sizeof why);
        if (e != 0)
            return cli_fail(
                ME, options->only_test && e != SEALMQ_E_NOMEM ? EX_CONFIG : cli_status_of(e), "%s",
                why);
        e = serve_default_listeners(*out, CONFIG_PORT_DEFAULT);
    } else {
        e = broker_config_new(out);
        if (e == 0)
            e = fill(options, *out);
    }
    if (e == 0 && options->config_path == NULL) {
        int status = check_access(*out);
        if (status != 0) {
            broker_config_free(*out);
            return status;
        }
    }
    if (e == SEALMQ_E_LIMIT)
        e = cli_usage(ME, "at most %d listeners are possible", CONFIG_LISTENERS_MAX);
    else if (e != 0)
        e = cli_fail(ME, cli_status_of(e), "%s", sealmq_error_text(e));
    if (e != 0)
        broker_config_free(*out);
    return e;
}

int cli_broker(int argc, char **argv)
{
    static const struct option long_options[] = {
        {"config", required_argument, NULL, 'c'},
        {"test-config", no_argument, NULL, 'T'},
        {"print-config", no_argument, NULL, 'C'},
        {"port", required_argument, NULL, 'p'},
        {"bind", required_argument, NULL, 'b'},
        {"allow-anonymous", no_argument, NULL, 'a'},
        {"acl", required_argument, NULL, 'A'},
        {"passwords", required_argument, NULL, 'P'},
        {"tls-cert", required_argument, NULL, 't'},
        {"tls-key", required_argument, NULL, 'k'},
        {"websocket", required_argument, NULL, 'W'},
        {"data", required_argument, NULL, 'd'},
        {"durability", required_argument, NULL, 'D'},
        {"workers", required_argument, NULL, 'w'},
        {"max-packet", required_argument, NULL, 'm'},
        {"metrics", required_argument, NULL, 'M'},
        {"sys-interval", required_argument, NULL, 'S'},
        {"verbose", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'H'},
        {NULL, 0, NULL, 0},
    };
    struct options options = {.port = CONFIG_PORT_DEFAULT, .sys_interval_s = CONFIG_SYS_INTERVAL};
    int option;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":c:p:v", long_options, NULL)) != -1) {
        if (option == 'H') {
            print_help();
            return 0;
        }
        if (option == '?' || option == ':')
            return cli_bad_option(ME, option, argv);
        int status = take_option(&options, option, optarg);
        if (status != 0)
            return status;
        if (strchr("cTCv", option) == NULL)
            options.simple = name_of(long_options, option);
    }
    if (optind < argc)
        return cli_usage(ME, "'%s': only options are taken", argv[optind]);

    struct broker_config *config = NULL;
    if (crypto_init() != 0)
        return cli_fail(ME, EX_OSERR, "the cryptographic library cannot be used");
    cli_log_to_stderr(options.is_verbose);
    int status = configure(&options, &config);
    if (status != 0)
        return status;
    if (!options.only_test && !options.only_print)
        return run(config, options.config_path);
    status =
        options.only_test ? test(config, options.config_path) : print(config, options.config_path);
    broker_config_free(config);
    return status;
}
