#include "edge/source_mqtt.h"

#include "base/log.h"
#include "edge/readings.h"
#include "net/passwords.h"
#include "net/server.h"
#include "store/file.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ME                 "mqtt"
#define CHECKS_WAITING_MAX 64
#define STOP_MS            500
#define PACKET_BYTES       (REPORT_BYTES_MAX + 65536)
#define LINES_PER_SECOND   10 /* about refusals */

struct source_mqtt {
    struct intake *intake;
    struct net_server *server;
    bool is_anonymous;
    char passwords_path[PATH_SIZE];
    char address[64];
    bool is_running;
    /* of the worker */
    struct net_worker *worker;
    struct password_checker *checker;
    struct passwords *passwords; /* until the worker starts, the maker's; NULL: anonymous */
    uint64_t second;             /* of the log limit */
    unsigned lines, lines_left_out;
    /* read by other threads */
    atomic_uint_fast64_t messages, readings_taken, refused;
};

/* A message on its way to the gateway and its answer on the way back. */
struct delivery {
    struct parcel parcel;
    struct source_mqtt *source;
    struct readings readings;
    struct broker_conn conn;
    uint64_t ticket;
    bool is_acknowledged; /* QoS 1 and 2 */
    bool is_v5;
    int error;
    char client[ID_MAX + 1]; /* for the log; cut if need be */
};

/* ---- refusals ---- */

static uint8_t reason_of(int error)
{
    switch (error) {
    case 0:
        return MQTT_REASON_SUCCESS;
    case SEALMQ_E_FULL:
        return MQTT_REASON_QUOTA_EXCEEDED;
    case SEALMQ_E_PARSE:
    case SEALMQ_E_TYPE:
    case SEALMQ_E_COUNT:
    case SEALMQ_E_LIMIT:
        return MQTT_REASON_PAYLOAD_FORMAT_INVALID;
    default:
        return MQTT_REASON_IMPLEMENTATION_SPECIFIC_ERROR;
    }
}

static bool may_pass(int error)
{
    return reason_of(error) != MQTT_REASON_PAYLOAD_FORMAT_INVALID;
}

/* One line for each refusal, but not thousands. */
static void log_refusal(struct source_mqtt *source, struct bytes client, struct bytes topic,
                        const char *why)
{
    uint64_t second = net_worker_now_ms(source->worker) / 1000;
    atomic_fetch_add(&source->refused, 1);
    if (second != source->second) {
        if (source->lines_left_out != 0)
            log_warn(ME, "%u more refusals within a second", source->lines_left_out);
        source->second = second;
        source->lines = source->lines_left_out = 0;
    }
    if (source->lines == LINES_PER_SECOND) {
        source->lines_left_out++;
        return;
    }
    source->lines++;
    log_warn(ME, "refused from %.*s on %.*s: %s", (int)client.n, (const char *)client.p,
             (int)topic.n, (const char *)topic.p, why);
}

/* ---- the way of a message ---- */

static void delivery_free(struct delivery *delivery)
{
    readings_close(&delivery->readings);
    free(delivery);
}

/* Back on the worker. */
static void on_answer(void *worker_context, void *arg)
{
    struct source_mqtt *source = worker_context;
    struct delivery *delivery = arg;
    struct broker *broker = net_worker_broker(source->worker);
    if (delivery->error == 0)
        atomic_fetch_add(&source->readings_taken, delivery->parcel.count);
    else
        log_refusal(source, bytes_str(delivery->client), BYTES_LIT("(any)"),
                    sealmq_error_text(delivery->error));
    if (delivery->is_acknowledged && !delivery->is_v5 && may_pass(delivery->error) &&
        delivery->error != 0)
        broker_disconnect(broker, delivery->conn, MQTT_REASON_QUOTA_EXCEEDED,
                          sealmq_error_text(delivery->error), net_worker_now_ms(source->worker));
    else
        broker_acknowledge(broker, delivery->conn, delivery->ticket, reason_of(delivery->error));
    delivery_free(delivery);
}

/* On the gateway's loop. */
static void answer(struct parcel *parcel, int error)
{
    struct delivery *delivery = (struct delivery *)(void *)parcel;
    delivery->error = error;
    if (net_worker_post(delivery->source->worker, on_answer, delivery) != 0)
        delivery_free(delivery);
}

static int64_t wall_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static enum broker_verdict on_publish(void *worker_context, const struct broker_publish *in,
                                      uint64_t ticket, uint8_t *reason)
{
    struct source_mqtt *source = worker_context;
    struct delivery *delivery = calloc(1, sizeof *delivery);
    char why[256] = "out of memory";
    atomic_fetch_add(&source->messages, 1);
    int error = delivery == NULL ? SEALMQ_E_NOMEM
                                 : readings_parse(in->topic, in->payload, wall_us(),
                                                  &delivery->readings, why, sizeof why);
    if (error != 0 && (delivery == NULL || !may_pass(error))) {
        log_refusal(source, in->client_id, in->topic, why);
        free(delivery);
        *reason = reason_of(error);
        return BROKER_TAKEN;
    }
    struct bytes client = in->client_id;
    if (client.n > ID_MAX)
        client.n = ID_MAX;
    if (bytes_to_cstr(client, delivery->client, sizeof delivery->client) != 0)
        delivery->client[0] = '\0';
    delivery->source = source;
    delivery->conn = in->conn;
    delivery->ticket = ticket;
    delivery->is_acknowledged = in->qos != 0;
    delivery->is_v5 = in->version == MQTT_V5;
    delivery->parcel.rows = delivery->readings.rows;
    delivery->parcel.count = delivery->readings.count;
    delivery->parcel.size = sizeof *delivery + delivery->readings.size;
    delivery->parcel.answer = answer;
    if (error == 0)
        error = intake_post(source->intake, &delivery->parcel);
    if (error != 0)
        /* By the way that all answers take: from here no client may be disconnected. */
        answer(&delivery->parcel, error);
    return BROKER_DEFER;
}

/* ---- who may connect, and do what ---- */

static void grant(struct source_mqtt *source, struct broker_conn conn, uint8_t reason,
                  const char *words, struct bytes user_name)
{
    const struct broker_grant answer_to = {
        .reason = reason,
        .reason_string = words,
        .role = BROKER_ROLE_ORDINARY,
        .user_name = user_name,
    };
    net_worker_authenticated(source->worker, conn, &answer_to);
}

static void on_password_checked(void *context, struct broker_conn conn, struct bytes name,
                                bool is_right)
{
    struct source_mqtt *source = context;
    if (!is_right)
        log_warn(ME, "user '%.*s': wrong user name or password", (int)name.n, (const char *)name.p);
    grant(source, conn, is_right ? MQTT_REASON_SUCCESS : MQTT_REASON_BAD_USER_NAME_OR_PASSWORD,
          NULL, name);
}

static void on_authenticate(void *worker_context, const struct broker_auth_request *request)
{
    struct source_mqtt *source = worker_context;
    const struct bytes nobody = {0};
    if (source->is_anonymous) {
        grant(source, request->conn, MQTT_REASON_SUCCESS, NULL, nobody);
        return;
    }
    if (!request->has_user_name) {
        log_warn(ME, "%s: no user name", request->peer);
        grant(source, request->conn, MQTT_REASON_NOT_AUTHORIZED,
              "log in with user name and password", nobody);
        return;
    }
    int error = password_checker_check(source->checker, source->passwords, request->conn,
                                       request->user_name,
                                       request->has_password ? request->password : nobody);
    if (error != 0)
        grant(source, request->conn, MQTT_REASON_SERVER_BUSY, NULL, nobody);
}

static bool on_authorize(void *worker_context, const struct broker_subject *subject,
                         enum broker_access access, struct bytes topic)
{
    (void)worker_context;
    (void)subject;
    (void)topic;
    return access == BROKER_WRITE;
}

static void on_connected(void *worker_context, struct broker_conn conn,
                         const struct broker_subject *subject, const char *peer)
{
    (void)worker_context;
    (void)conn;
    log_debug(ME, "%.*s: connected from %s", (int)subject->client_id.n,
              (const char *)subject->client_id.p, peer);
}

static void on_disconnected(void *worker_context, struct broker_conn conn,
                            const struct broker_subject *subject, const char *peer, uint8_t reason,
                            const char *words)
{
    (void)worker_context;
    (void)conn;
    log_debug(ME, "%.*s: gone from %s: %s", (int)subject->client_id.n,
              (const char *)subject->client_id.p, peer,
              words != NULL ? words : mqtt_reason_text(reason));
}

static int on_worker_start(void *context, struct net_worker *worker, void **worker_context)
{
    struct source_mqtt *source = context;
    source->worker = worker;
    *worker_context = source;
    return password_checker_new(net_worker_loop(worker), CHECKS_WAITING_MAX, on_password_checked,
                                source, &source->checker);
}

static void on_worker_stop(void *worker_context)
{
    struct source_mqtt *source = worker_context;
    password_checker_free(source->checker);
}

/* ---- life ---- */

static int read_passwords(const char *path, struct passwords **out, char *why, size_t why_size)
{
    struct buf text = {0};
    int error = file_read(path, PASSWORDS_FILE_MAX, &text, why, why_size);
    if (error == 0)
        error = passwords_parse(buf_bytes(&text), path, out, why, why_size);
    buf_wipe(&text);
    return error;
}

int source_mqtt_new(const struct source_mqtt_options *options, struct source_mqtt **out, char *why,
                    size_t why_size)
{
    struct source_mqtt *source = calloc(1, sizeof *source);
    if (source == NULL)
        return SEALMQ_E_NOMEM;
    source->intake = options->intake;
    snprintf(source->address, sizeof source->address, "%s", options->address);
    const struct net_listener listener = {.address = source->address, .port = options->port};
    struct net_server_options server = {
        .workers = 1,
        .listeners = &listener,
        .listener_count = 1,
        .app = {.context = source,
                .worker_start = on_worker_start,
                .worker_stop = on_worker_stop,
                .authenticate = on_authenticate,
                .authorize = on_authorize,
                .publish = on_publish,
                .connected = on_connected,
                .disconnected = on_disconnected},
    };
    broker_limits_default(&server.limits);
    server.limits.packet_bytes = PACKET_BYTES;
    source->is_anonymous = options->passwords_path == NULL;
    int error = 0;
    if (!source->is_anonymous) {
        snprintf(source->passwords_path, sizeof source->passwords_path, "%s",
                 options->passwords_path);
        error = read_passwords(source->passwords_path, &source->passwords, why, why_size);
    }
    if (error == 0)
        error = net_server_new(&server, &source->server, why, why_size);
    if (error != 0) {
        source_mqtt_free(source);
        return error;
    }
    *out = source;
    return 0;
}

int source_mqtt_start(struct source_mqtt *source)
{
    int error = net_server_start(source->server);
    if (error != 0)
        return error;
    source->is_running = true;
    bool is_v6 = strchr(source->address, ':') != NULL;
    log_info(ME, "devices may connect to %s%s%s:%u, %s", is_v6 ? "[" : "", source->address,
             is_v6 ? "]" : "", net_server_port(source->server, 0),
             source->is_anonymous ? "without a password" : "with a password");
    return 0;
}

static void take_passwords(void *worker_context, void *arg)
{
    struct source_mqtt *source = worker_context;
    passwords_unref(source->passwords);
    source->passwords = arg;
}

void source_mqtt_reload(struct source_mqtt *source)
{
    struct passwords *passwords;
    char why[512] = "";
    if (source == NULL || !source->is_running || source->is_anonymous)
        return;
    int error = read_passwords(source->passwords_path, &passwords, why, sizeof why);
    if (error != 0) {
        log_error(ME, "not reloaded, the old passwords stay: %s",
                  why[0] != '\0' ? why : sealmq_error_text(error));
        return;
    }
    if (net_worker_post(source->worker, take_passwords, passwords) != 0)
        passwords_unref(passwords);
    else
        log_info(ME, "%s: read again", source->passwords_path);
}

void source_mqtt_stop(struct source_mqtt *source)
{
    if (source == NULL || !source->is_running)
        return;
    source->is_running = false;
    net_server_stop(source->server, STOP_MS);
}

void source_mqtt_free(struct source_mqtt *source)
{
    if (source == NULL)
        return;
    source_mqtt_stop(source);
    net_server_free(source->server);
    passwords_unref(source->passwords);
    free(source);
}

void source_mqtt_stats_get(const struct source_mqtt *source, struct source_mqtt_stats *out)
{
    struct broker_stats broker;
    net_server_stats(source->server, &broker);
    *out = (struct source_mqtt_stats){
        .port = net_server_port(source->server, 0),
        .clients = broker.connections,
        .messages_total = atomic_load(&source->messages),
        .readings_total = atomic_load(&source->readings_taken),
        .refused_total = atomic_load(&source->refused),
    };
}
