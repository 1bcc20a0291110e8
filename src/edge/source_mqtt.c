#include "edge/source_mqtt.h"

#include "base/log.h"
#include "edge/readings.h"
#include "net/passwords.h"
#include "net/server.h"
#include "store/file.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define COMPONENT             "mqtt"
#define PASSWORDS_WAITING_MAX 64
#define DRAIN_MS              500

/* One PUBLISH on its way to the runner, and its answer on the way back. */
struct letter {
    struct letter *next;
    struct source_mqtt *source;
    struct broker_conn conn;
    uint64_t ticket;
    int64_t arrived_us;
    char who[80];
    size_t topic_size, payload_size;
    uint8_t reason;
    uint8_t bytes[];
};

struct source_mqtt {
    struct source_mqtt_options options;
    struct net_server *server;
    struct net_worker *worker;
    struct passwords *passwords;
    struct password_checker *checker; /* the worker's */
    uv_async_t wake;
    pthread_mutex_t lock;
    /* under the lock */
    struct letter *first, **last;
    size_t waiting, waiting_bytes;
};

/* ---- on the worker ---- */

static void answer_login(struct source_mqtt *source, struct broker_conn conn, uint8_t reason,
                         const char *words, struct bytes user)
{
    net_worker_authenticated(source->worker, conn,
                             &(struct broker_grant){
                                 .reason = reason,
                                 .reason_string = words,
                                 .role = BROKER_ROLE_ORDINARY,
                                 .user_name = user,
                             });
}

static void on_password(void *context, struct broker_conn conn, struct bytes name, bool is_right)
{
    struct source_mqtt *source = context;
    if (!is_right)
        log_warn(COMPONENT, "refused user \"%.*s\": wrong user name or password", (int)name.n,
                 (const char *)name.p);
    answer_login(source, conn,
                 is_right ? MQTT_REASON_SUCCESS : MQTT_REASON_BAD_USER_NAME_OR_PASSWORD,
                 is_right ? NULL : "wrong user name or password", name);
}

static int worker_start(void *context, struct net_worker *worker, void **worker_context)
{
    struct source_mqtt *source = context;
    source->worker = worker;
    *worker_context = source;
    return password_checker_new(net_worker_loop(worker), PASSWORDS_WAITING_MAX, on_password, source,
                                &source->checker);
}

static void worker_stop(void *context)
{
    struct source_mqtt *source = context;
    password_checker_free(source->checker);
    source->checker = NULL;
}

static void authenticate(void *context, const struct broker_auth_request *request)
{
    struct source_mqtt *source = context;
    if (source->passwords == NULL) {
        answer_login(source, request->conn, MQTT_REASON_SUCCESS, NULL, (struct bytes){0});
        return;
    }
    if (!request->has_user_name || !request->has_password) {
        log_warn(COMPONENT, "refused \"%.*s\" from %s: no user name and password",
                 (int)request->client_id.n, (const char *)request->client_id.p, request->peer);
        answer_login(source, request->conn, MQTT_REASON_NOT_AUTHORIZED,
                     "user name and password are needed", (struct bytes){0});
        return;
    }
    if (password_checker_check(source->checker, source->passwords, request->conn,
                               request->user_name, request->password) != 0)
        answer_login(source, request->conn, MQTT_REASON_SERVER_BUSY, "too many log-ins at once",
                     (struct bytes){0});
}

/* Devices write; there is nothing here for them to read. */
static bool authorize(void *context, const struct broker_subject *subject,
                      enum broker_access access, struct bytes topic)
{
    (void)context;
    (void)subject;
    return access == BROKER_WRITE && topic.n != 0 && topic.p[0] != '$';
}

static struct letter *letter_new(struct source_mqtt *source, const struct broker_publish *in,
                                 uint64_t ticket)
{
    struct letter *letter = malloc(sizeof *letter + in->topic.n + in->payload.n);
    if (letter == NULL)
        return NULL;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    *letter = (struct letter){
        .source = source,
        .conn = in->conn,
        .ticket = ticket,
        .arrived_us = (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000,
        .topic_size = in->topic.n,
        .payload_size = in->payload.n,
    };
    snprintf(letter->who, sizeof letter->who, "%.*s", (int)in->client_id.n,
             (const char *)in->client_id.p);
    memcpy(letter->bytes, in->topic.p, in->topic.n);
    if (in->payload.n != 0)
        memcpy(letter->bytes + in->topic.n, in->payload.p, in->payload.n);
    return letter;
}

static enum broker_verdict on_publish(void *context, const struct broker_publish *in,
                                      uint64_t ticket, uint8_t *reason)
{
    struct source_mqtt *source = context;
    struct letter *letter = letter_new(source, in, ticket);
    bool taken = false;
    if (letter != NULL) {
        pthread_mutex_lock(&source->lock);
        if (source->waiting < SOURCE_MQTT_WAITING_MAX &&
            source->waiting_bytes + in->payload.n <= SOURCE_MQTT_BYTES_MAX) {
            *source->last = letter;
            source->last = &letter->next;
            source->waiting++;
            source->waiting_bytes += in->payload.n;
            taken = true;
        }
        pthread_mutex_unlock(&source->lock);
    }
    if (!taken) {
        free(letter);
        log_warn(COMPONENT, "refused from %.*s: more readings wait than the gateway can store",
                 (int)in->client_id.n, (const char *)in->client_id.p);
        *reason = MQTT_REASON_QUOTA_EXCEEDED;
        return BROKER_TAKEN;
    }
    uv_async_send(&source->wake);
    return BROKER_DEFER;
}

static void on_answer(void *worker_context, void *arg)
{
    struct source_mqtt *source = worker_context;
    struct letter *letter = arg;
    broker_acknowledge(net_worker_broker(source->worker), letter->conn, letter->ticket,
                       letter->reason);
    free(letter);
}

/* ---- on the runner's loop ---- */

static uint8_t reason_of(int error)
{
    switch (error) {
    case 0:
        return MQTT_REASON_SUCCESS;
    case SEALMQ_E_FULL:
    case SEALMQ_E_BUSY:
    case SEALMQ_E_NOMEM:
    case SEALMQ_E_CLOSED:
        return MQTT_REASON_QUOTA_EXCEEDED;
    default:
        return MQTT_REASON_PAYLOAD_FORMAT_INVALID;
    }
}

static void take_letter(struct letter *letter)
{
    struct source_mqtt *source = letter->source;
    struct bytes topic = bytes_of(letter->bytes, letter->topic_size);
    struct bytes payload = bytes_of(letter->bytes + letter->topic_size, letter->payload_size);
    struct readings readings;
    char why[200];
    int error = readings_parse(topic, payload, letter->arrived_us, &readings, why, sizeof why);
    if (error != 0)
        log_warn(COMPONENT, "refused from %s on %.*s: %s", letter->who, (int)topic.n,
                 (const char *)topic.p, why[0] != '\0' ? why : sealmq_error_text(error));
    if (error == 0) {
        error = source->options.take(source->options.context, letter->who, readings.rows,
                                     readings.count);
        readings_close(&readings);
    }
    letter->reason = reason_of(error);
    if (net_worker_post(source->worker, on_answer, letter) != 0)
        free(letter);
}

static struct letter *take_all(struct source_mqtt *source)
{
    pthread_mutex_lock(&source->lock);
    struct letter *letters = source->first;
    source->first = NULL;
    source->last = &source->first;
    source->waiting = 0;
    source->waiting_bytes = 0;
    pthread_mutex_unlock(&source->lock);
    return letters;
}

static void on_wake(uv_async_t *wake)
{
    struct letter *letter = take_all(wake->data);
    while (letter != NULL) {
        struct letter *next = letter->next;
        take_letter(letter);
        letter = next;
    }
}

static int read_passwords(struct source_mqtt *source, char *why, size_t why_size)
{
    const char *path = source->options.passwords;
    if (path == NULL)
        return 0;
    struct buf text = {0};
    int error = file_read(path, PASSWORDS_FILE_MAX, &text, why, why_size);
    if (error == 0)
        error = passwords_parse(buf_bytes(&text), path, &source->passwords, why, why_size);
    buf_wipe(&text);
    return error;
}

static int serve(struct source_mqtt *source, char *why, size_t why_size)
{
    const struct net_listener listener = {.address = source->options.address,
                                          .port = source->options.port};
    struct net_server_options options = {
        .workers = 1,
        .listeners = &listener,
        .listener_count = 1,
        .app =
            {
                .context = source,
                .worker_start = worker_start,
                .worker_stop = worker_stop,
                .authenticate = authenticate,
                .authorize = authorize,
                .publish = on_publish,
            },
    };
    broker_limits_default(&options.limits);
    int error = net_server_new(&options, &source->server, why, why_size);
    if (error == 0) {
        source->worker = net_server_worker(source->server, 0);
        error = net_server_start(source->server);
    }
    return error;
}

static void on_closed(uv_handle_t *handle)
{
    struct source_mqtt *source = handle->data;
    struct letter *letter = take_all(source);
    while (letter != NULL) {
        struct letter *next = letter->next;
        free(letter);
        letter = next;
    }
    passwords_unref(source->passwords);
    pthread_mutex_destroy(&source->lock);
    free(source);
}

int source_mqtt_new(const struct source_mqtt_options *options, struct source_mqtt **out, char *why,
                    size_t why_size)
{
    struct source_mqtt *source = calloc(1, sizeof *source);
    if (source == NULL)
        return SEALMQ_E_NOMEM;
    source->options = *options;
    source->last = &source->first;
    pthread_mutex_init(&source->lock, NULL);
    uv_async_init(options->loop, &source->wake, on_wake);
    source->wake.data = source;
    int error = read_passwords(source, why, why_size);
    if (error == 0)
        error = serve(source, why, why_size);
    if (error != 0) {
        source_mqtt_free(source);
        return error;
    }
    *out = source;
    return 0;
}

uint16_t source_mqtt_port(const struct source_mqtt *source)
{
    return net_server_port(source->server, 0);
}

void source_mqtt_free(struct source_mqtt *source)
{
    if (source == NULL)
        return;
    if (source->server != NULL) {
        net_server_stop(source->server, DRAIN_MS);
        net_server_free(source->server);
        source->server = NULL;
    }
    uv_close((uv_handle_t *)&source->wake, on_closed);
}
