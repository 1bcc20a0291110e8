/* sealmq broker: the MQTT server without a ledger.
 *
 * Who may do what is one immutable set of rules (password file, ACL). Each worker holds a counted
 * reference to the set that it uses; on SIGHUP a new set is made and posted to every worker, so
 * that no lock is taken for a message, and a set that does not load changes nothing. */
#include "cli/cli.h"

#include "base/log.h"
#include "broker/acl.h"
#include "net/passwords.h"
#include "net/server.h"
#include "store/file.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define ME "broker"

#define LISTENERS_MAX      16
#define ACL_BYTES_MAX      ((size_t)16 * 1024 * 1024)
#define CHECKS_WAITING_MAX 64 /* of one worker: a few seconds of Argon2id */
#define DRAIN_MS           5000
#define PACKET_BYTES_LEAST 1024
#define PACKET_BYTES_MOST  (MQTT_REMAINING_LENGTH_MAX + MQTT_FIXED_HEADER_MAX)

struct settings {
    uint16_t port;
    struct net_listener listeners[LISTENERS_MAX];
    size_t listener_count;
    bool allow_anonymous;
    const char *acl_path, *passwords_path;
    unsigned workers;
    uint32_t packet_bytes; /* 0: the default */
    bool is_verbose;
};

struct rules {
    atomic_uint references;
    struct acl *acl;
    struct passwords *passwords; /* or NULL */
    bool allow_anonymous;
};

struct serving {
    const struct settings *settings;
    struct rules *rules; /* newest; of the main thread */
    struct net_server *server;
};

/* What a worker has. */
struct station {
    struct net_worker *worker;
    struct rules *rules;
    struct password_checker *checker;
};

/* --- rules --------------------------------------------------------------------------------- */

static struct rules *rules_ref(struct rules *rules)
{
    atomic_fetch_add(&rules->references, 1);
    return rules;
}

static void rules_unref(struct rules *rules)
{
    if (rules == NULL || atomic_fetch_sub(&rules->references, 1) != 1)
        return;
    acl_free(rules->acl);
    passwords_unref(rules->passwords);
    free(rules);
}

static int load_acl(const char *path, struct acl **out, char *why, size_t why_size)
{
    struct buf text = {0};
    unsigned line = 0;
    char words[256] = "";
    if (path == NULL)
        return acl_default_new(ACL_DEFAULT_ALL_BUT_DOLLAR, NULL, out);
    int e = file_read(path, ACL_BYTES_MAX, &text, why, why_size);
    if (e == 0) {
        e = acl_parse(buf_bytes(&text), NULL, out, &line, words, sizeof(words));
        if (e != 0)
            snprintf(why, why_size, "%s:%u: %s", path, line,
                     words[0] != '\0' ? words : sealmq_error_text(e));
    }
    buf_close(&text);
    return e;
}

static int load_passwords(const char *path, struct passwords **out, char *why, size_t why_size)
{
    struct buf text = {0};
    struct stat status;
    *out = NULL;
    if (path == NULL)
        return 0;
    int e = file_read(path, PASSWORDS_FILE_MAX, &text, why, why_size);
    if (e == 0)
        e = passwords_parse(buf_bytes(&text), path, out, why, why_size);
    if (e == 0 && stat(path, &status) == 0 && (status.st_mode & (S_IRWXG | S_IRWXO)) != 0)
        log_warn(ME, "%s: others may read it; chmod 600 would keep the hashes to you", path);
    buf_wipe(&text);
    return e;
}

static int rules_load(const struct settings *settings, bool allow_anonymous, struct rules **out,
                      char *why, size_t why_size)
{
    struct rules *rules = calloc(1, sizeof(*rules));
    *out = NULL;
    if (rules == NULL)
        return SEALMQ_E_NOMEM;
    atomic_init(&rules->references, 1);
    rules->allow_anonymous = allow_anonymous;
    int e = load_acl(settings->acl_path, &rules->acl, why, why_size);
    if (e == 0)
        e = load_passwords(settings->passwords_path, &rules->passwords, why, why_size);
    if (e != 0) {
        rules_unref(rules);
        return e;
    }
    *out = rules;
    return 0;
}

/* --- on the workers ------------------------------------------------------------------------ */

static void answer(struct station *station, struct broker_conn conn, uint8_t reason,
                   const char *words, struct bytes user_name)
{
    struct broker_grant grant = {
        .reason = reason,
        .reason_string = words,
        .role = BROKER_ROLE_ORDINARY,
        .user_name = user_name,
    };
    net_worker_authenticated(station->worker, conn, &grant);
}

static void on_password_checked(void *context, struct broker_conn conn, struct bytes name,
                                bool is_right)
{
    struct station *station = context;
    if (is_right) {
        answer(station, conn, MQTT_REASON_SUCCESS, NULL, name);
    } else {
        log_info(ME, "user '%.*s': wrong user name or password", (int)name.n, name.p);
        answer(station, conn, MQTT_REASON_BAD_USER_NAME_OR_PASSWORD, NULL, (struct bytes){0});
    }
}

static void on_authenticate(void *worker_context, const struct broker_auth_request *request)
{
    struct station *station = worker_context;
    struct rules *rules = station->rules;
    const struct bytes nobody = {0};
    /* Without a password file a user name is only a claim, on which no rule may rest. */
    if (!request->has_user_name || rules->passwords == NULL) {
        if (rules->allow_anonymous) {
            answer(station, request->conn, MQTT_REASON_SUCCESS, NULL, nobody);
        } else {
            log_info(ME, "%s: no user name, and anonymous access is not allowed", request->peer);
            answer(station, request->conn, MQTT_REASON_NOT_AUTHORIZED,
                   "log in with user name and password", nobody);
        }
        return;
    }
    struct bytes password = request->has_password ? request->password : nobody;
    int e = password_checker_check(station->checker, rules->passwords, request->conn,
                                   request->user_name, password);
    if (e != 0)
        answer(station, request->conn, MQTT_REASON_SERVER_BUSY, NULL, nobody);
}

static bool on_authorize(void *worker_context, const struct broker_subject *subject,
                         enum broker_access access, struct bytes topic)
{
    const struct station *station = worker_context;
    return acl_allows(station->rules->acl, subject, access, topic);
}

static void on_connected(void *worker_context, struct broker_conn conn,
                         const struct broker_subject *subject, const char *peer)
{
    (void)worker_context;
    (void)conn;
    log_info(ME, "%.*s: connected from %s", (int)subject->client_id.n, subject->client_id.p, peer);
}

static void on_disconnected(void *worker_context, struct broker_conn conn,
                            const struct broker_subject *subject, const char *peer, uint8_t reason,
                            const char *words)
{
    (void)worker_context;
    (void)conn;
    (void)reason;
    log_info(ME, "%.*s: gone from %s: %s", (int)subject->client_id.n, subject->client_id.p, peer,
             words != NULL ? words : mqtt_reason_text(reason));
}

static int on_worker_start(void *context, struct net_worker *worker, void **worker_context)
{
    struct serving *serving = context;
    struct station *station = calloc(1, sizeof(*station));
    if (station == NULL)
        return SEALMQ_E_NOMEM;
    int e = password_checker_new(net_worker_loop(worker), CHECKS_WAITING_MAX, on_password_checked,
                                 station, &station->checker);
    if (e != 0) {
        free(station);
        return e;
    }
    station->worker = worker;
    station->rules = rules_ref(serving->rules);
    *worker_context = station;
    return 0;
}

static void on_worker_stop(void *worker_context)
{
    struct station *station = worker_context;
    password_checker_free(station->checker);
    rules_unref(station->rules);
    free(station);
}

static void take_rules(void *worker_context, void *arg)
{
    struct station *station = worker_context;
    rules_unref(station->rules);
    station->rules = arg;
    broker_access_changed(net_worker_broker(station->worker));
}

/* --- the main thread ----------------------------------------------------------------------- */

static void reload(struct serving *serving)
{
    char why[512] = "";
    struct rules *rules = NULL;
    int e =
        rules_load(serving->settings, serving->rules->allow_anonymous, &rules, why, sizeof(why));
    if (e != 0) {
        log_error(ME, "not reloaded, the old rules stay: %s",
                  why[0] != '\0' ? why : sealmq_error_text(e));
        return;
    }
    for (unsigned i = 0; i < net_server_workers(serving->server); i++) {
        struct net_worker *worker = net_server_worker(serving->server, i);
        if (net_worker_post(worker, take_rules, rules_ref(rules)) != 0)
            rules_unref(rules);
    }
    rules_unref(serving->rules);
    serving->rules = rules;
    log_info(ME, "reloaded");
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct serving *serving = handle->data;
    if (number == SIGHUP) {
        reload(serving);
        return;
    }
    log_info(ME, "%s: closing connections", number == SIGINT ? "SIGINT" : "SIGTERM");
    uv_stop(handle->loop);
}

static void log_listeners(const struct serving *serving)
{
    const struct settings *settings = serving->settings;
    for (size_t i = 0; i < settings->listener_count; i++) {
        const char *address = settings->listeners[i].address;
        bool is_v6 = strchr(address, ':') != NULL;
        log_info(ME, "listening on %s%s%s:%u%s", is_v6 ? "[" : "", address, is_v6 ? "]" : "",
                 net_server_port(serving->server, i),
                 serving->rules->allow_anonymous ? ", anonymous clients are let in" : "");
    }
}

static int run_until_signal(struct serving *serving)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
    enum { SIGNALS = sizeof(numbers) / sizeof(numbers[0]) };
    uv_loop_t loop;
    uv_signal_t signals[SIGNALS];
    if (uv_loop_init(&loop) != 0)
        return cli_fail(ME, EX_OSERR, "cannot make an event loop");
    for (int i = 0; i < SIGNALS; i++) {
        uv_signal_init(&loop, &signals[i]);
        signals[i].data = serving;
        uv_signal_start(&signals[i], on_signal, numbers[i]);
    }
    int status = 0;
    int e = net_server_start(serving->server);
    if (e == 0) {
        log_listeners(serving);
        uv_run(&loop, UV_RUN_DEFAULT);
        net_server_stop(serving->server, DRAIN_MS);
        log_info(ME, "stopped");
    } else {
        status = cli_fail(ME, EX_OSERR, "cannot start: %s", sealmq_error_text(e));
    }
    for (int i = 0; i < SIGNALS; i++)
        uv_close((uv_handle_t *)&signals[i], NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    return status;
}

static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int serve(const struct settings *settings, bool allow_anonymous)
{
    char why[512] = "";
    struct serving serving = {.settings = settings};
    int e = rules_load(settings, allow_anonymous, &serving.rules, why, sizeof(why));
    if (e != 0)
        return cli_fail(ME, cli_status_of(e), "%s", why[0] != '\0' ? why : sealmq_error_text(e));

    struct net_server_options options = {
        .workers = settings->workers,
        .listeners = settings->listeners,
        .listener_count = settings->listener_count,
        .app = {.context = &serving,
                .worker_start = on_worker_start,
                .worker_stop = on_worker_stop,
                .authenticate = on_authenticate,
                .authorize = on_authorize,
                .connected = on_connected,
                .disconnected = on_disconnected},
    };
    broker_limits_default(&options.limits);
    if (settings->packet_bytes != 0)
        options.limits.packet_bytes = settings->packet_bytes;
    e = net_server_new(&options, &serving.server, why, sizeof(why));
    if (e == SEALMQ_E_ARG) {
        rules_unref(serving.rules);
        return cli_usage(ME, "%s", why);
    }
    int status;
    if (e != 0)
        status = cli_fail(ME, e == SEALMQ_E_IO ? EX_UNAVAILABLE : cli_status_of(e), "%s", why);
    else
        status = run_until_signal(&serving);
    net_server_free(serving.server);
    rules_unref(serving.rules);
    return status;
}

/* --- options ------------------------------------------------------------------------------- */

static void print_help(void)
{
    puts("usage: sealmq broker [-p PORT] [--bind ADDRESS]... [--allow-anonymous]\n"
         "                     [--passwords FILE] [--acl FILE] [--workers N]\n"
         "                     [--max-packet BYTES] [-v]\n"
         "\n"
         "Runs an MQTT server (3.1.1 and 5.0) without a ledger.\n"
         "\n"
         "  -p, --port PORT          1883; 0 takes any that is free\n"
         "      --bind ADDRESS       numeric address to listen on, may be given several times;\n"
         "                           the default is loopback, 127.0.0.1 and ::1.\n"
         "                           0.0.0.0 and :: serve every network\n"
         "      --allow-anonymous    let clients in without a password. Without a password file\n"
         "                           and bound to loopback only, they are let in anyhow\n"
         "      --passwords FILE     user names and passwords, made with `sealmq passwd`\n"
         "      --acl FILE           who may read and write which topics (user, topic and pattern\n"
         "                           lines as Mosquitto has them); without it all but $-topics\n"
         "      --workers N          threads; the default is one for each processor\n"
         "      --max-packet BYTES   largest packet taken from a client\n"
         "  -v, --verbose            log more\n"
         "      --help               this\n"
         "\n"
         "SIGHUP reads the password file and the ACL again; clients stay connected. SIGTERM and\n"
         "SIGINT close all connections and end.");
}

static bool address_is_loopback(const char *address)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, address, &v4) == 1)
        return (ntohl(v4.s_addr) >> 24) == 127;
    return inet_pton(AF_INET6, address, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
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

static int add_listener(struct settings *settings, const char *address)
{
    uint8_t parsed[sizeof(struct in6_addr)];
    if (inet_pton(AF_INET, address, parsed) != 1 && inet_pton(AF_INET6, address, parsed) != 1)
        return cli_usage(ME, "--bind %s: give a numeric address, such as 127.0.0.1 or ::", address);
    if (settings->listener_count == LISTENERS_MAX)
        return cli_usage(ME, "--bind: at most %d addresses", LISTENERS_MAX);
    settings->listeners[settings->listener_count++].address = address;
    return 0;
}

static int take_option(struct settings *settings, int option, const char *value)
{
    uint64_t number = 0;
    switch (option) {
    case 'p':
        if (!cli_parse_number(value, 0, UINT16_MAX, &number))
            return cli_usage(ME, "-p %s: give a port, 0 to 65535", value);
        settings->port = (uint16_t)number;
        return 0;
    case 'b':
        return add_listener(settings, value);
    case 'a':
        settings->allow_anonymous = true;
        return 0;
    case 'A':
        settings->acl_path = value;
        return 0;
    case 'P':
        settings->passwords_path = value;
        return 0;
    case 'w':
        if (!cli_parse_number(value, 1, 64, &number))
            return cli_usage(ME, "--workers %s: give a number, 1 to 64", value);
        settings->workers = (unsigned)number;
        return 0;
    case 'm':
        if (!cli_parse_number(value, PACKET_BYTES_LEAST, PACKET_BYTES_MOST, &number))
            return cli_usage(ME, "--max-packet %s: give bytes, %d to %u", value, PACKET_BYTES_LEAST,
                             PACKET_BYTES_MOST);
        settings->packet_bytes = (uint32_t)number;
        return 0;
    default:
        settings->is_verbose = true;
        return 0;
    }
}

/* No anonymous access beyond loopback, unless it is asked for. */
static int decide_anonymous(const struct settings *settings, bool *allow_anonymous)
{
    bool is_loopback = true;
    for (size_t i = 0; i < settings->listener_count; i++)
        is_loopback = is_loopback && address_is_loopback(settings->listeners[i].address);
    *allow_anonymous =
        settings->allow_anonymous || (settings->passwords_path == NULL && is_loopback);
    if (!*allow_anonymous && settings->passwords_path == NULL)
        return cli_usage(ME, "nobody could log in: give --passwords FILE (see `sealmq passwd`), or "
                             "--allow-anonymous if everybody on that network may connect");
    return 0;
}

int cli_broker(int argc, char **argv)
{
    static const struct option options[] = {
        {"port", required_argument, NULL, 'p'},
        {"bind", required_argument, NULL, 'b'},
        {"allow-anonymous", no_argument, NULL, 'a'},
        {"acl", required_argument, NULL, 'A'},
        {"passwords", required_argument, NULL, 'P'},
        {"workers", required_argument, NULL, 'w'},
        {"max-packet", required_argument, NULL, 'm'},
        {"verbose", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'H'},
        {NULL, 0, NULL, 0},
    };
    struct settings settings = {.port = 1883};
    int option;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":p:v", options, NULL)) != -1) {
        if (option == 'H') {
            print_help();
            return 0;
        }
        if (option == '?' || option == ':')
            return cli_bad_option(ME, option, argv);
        int status = take_option(&settings, option, optarg);
        if (status != 0)
            return status;
    }
    if (optind < argc)
        return cli_usage(ME, "'%s': only options are taken", argv[optind]);
    if (settings.listener_count == 0) {
        settings.listeners[settings.listener_count++].address = "127.0.0.1";
        /* With any free port the two would have different ones. */
        if (settings.port != 0 && has_loopback_v6())
            settings.listeners[settings.listener_count++].address = "::1";
    }
    for (size_t i = 0; i < settings.listener_count; i++)
        settings.listeners[i].port = settings.port;
    bool allow_anonymous = false;
    int status = decide_anonymous(&settings, &allow_anonymous);
    if (status != 0)
        return status;

    signal(SIGPIPE, SIG_IGN);
    raise_descriptor_limit();
    cli_log_to_stderr(settings.is_verbose);
    return serve(&settings, allow_anonymous);
}
