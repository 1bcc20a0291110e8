/* The plain server's part on the workers: log-in, access, and the log of who comes and goes. */
#include "serve/scram_login.h"
#include "serve/serve_int.h"

#include "base/log.h"

#include <stdlib.h>
#include <time.h>

#define CHECKS_WAITING_MAX 64  /* of one worker: a few seconds of Argon2id */
#define SHOWN_BYTES        256 /* of what a client calls itself */

static int shown(struct bytes words)
{
    return (int)(words.n < SHOWN_BYTES ? words.n : SHOWN_BYTES);
}

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

/* Who has logged in is let in, unless everybody is sent elsewhere. */
static void welcome(struct station *station, struct broker_conn conn, struct bytes user_name,
                    struct bytes auth_data)
{
    uint8_t reason;
    struct broker_grant grant = {
        .reason = MQTT_REASON_SUCCESS,
        .role = BROKER_ROLE_ORDINARY,
        .user_name = user_name,
        .auth_data = auth_data,
        .server_reference = rules_redirect(station->rules, &reason),
    };
    if (grant.server_reference != NULL)
        grant.reason = reason;
    net_worker_authenticated(station->worker, conn, &grant);
}

static void on_password_checked(void *context, struct broker_conn conn, struct bytes name,
                                bool is_right)
{
    struct station *station = context;
    if (is_right) {
        welcome(station, conn, name, (struct bytes){0});
    } else {
        log_info(SERVE_LOG, "user '%.*s': wrong user name or password", shown(name),
                 (const char *)name.p);
        answer(station, conn, MQTT_REASON_BAD_USER_NAME_OR_PASSWORD, NULL, (struct bytes){0});
    }
}

static void on_authenticate(void *worker_context, const struct broker_auth_request *request)
{
    struct station *station = worker_context;
    struct rules *rules = station->rules;
    struct rules_answer decided;
    const struct net_peer *peer = net_worker_peer(station->worker, request->conn);
    if (peer == NULL) /* it has gone meanwhile */
        return;
    rules_decide(rules, peer, request, station->serve->used_tokens, (int64_t)time(NULL), &decided);
    switch (decided.verdict) {
    case RULES_LET_IN:
        welcome(station, request->conn, decided.user_name, (struct bytes){0});
        return;
    case RULES_REFUSE:
        log_info(SERVE_LOG, "%s: refused '%.*s': %s", request->peer, shown(request->client_id),
                 (const char *)request->client_id.p, decided.words);
        answer(station, request->conn, decided.reason, decided.words, (struct bytes){0});
        return;
    case RULES_CHECK_PASSWORD:
        break;
    }
    const struct bytes nothing = {0};
    int e = password_checker_check(station->checker, rules_passwords(rules), request->conn,
                                   request->user_name,
                                   request->has_password ? request->password : nothing);
    if (e != 0)
        answer(station, request->conn, MQTT_REASON_SERVER_BUSY, NULL, nothing);
}

/* Whom a re-authentication finds connected stays so, whatever is said to newcomers. */
static void take_outcome(struct station *station, const struct broker_auth_request *request,
                         const struct scram_outcome *outcome)
{
    const struct bytes user = bytes_str(outcome->user);
    const struct bytes last_words = buf_bytes(&outcome->last_words);
    if (outcome->verdict == SCRAM_REFUSE) {
        log_info(SERVE_LOG, "%s: refused '%.*s': %s", request->peer, shown(request->client_id),
                 (const char *)request->client_id.p, outcome->words);
        answer(station, request->conn, outcome->reason, outcome->words, (struct bytes){0});
    } else if (outcome->verdict == SCRAM_LET_IN && request->is_again) {
        const struct broker_grant grant = {.user_name = user, .auth_data = last_words};
        net_worker_authenticated(station->worker, request->conn, &grant);
    } else if (outcome->verdict == SCRAM_LET_IN) {
        welcome(station, request->conn, user, last_words);
    }
}

static bool on_auth_begin(void *worker_context, const struct broker_auth_request *request)
{
    struct station *station = worker_context;
    struct scram_outcome outcome;
    scram_login_begin(station->worker, station->rules, request, &outcome);
    take_outcome(station, request, &outcome);
    buf_close(&outcome.last_words);
    return outcome.verdict != SCRAM_NO_METHOD;
}

static void on_auth_continue(void *worker_context, const struct broker_auth_request *request)
{
    struct station *station = worker_context;
    struct scram_outcome outcome;
    scram_login_continue(station->worker, station->rules, request, &outcome);
    take_outcome(station, request, &outcome);
    buf_close(&outcome.last_words);
}

static bool on_authorize(void *worker_context, const struct broker_subject *subject,
                         enum broker_access access, struct bytes topic)
{
    const struct station *station = worker_context;
    return acl_allows(rules_acl(station->rules), subject, access, topic);
}

static void on_connected(void *worker_context, struct broker_conn conn,
                         const struct broker_subject *subject, const char *peer)
{
    (void)worker_context;
    (void)conn;
    log_info(SERVE_LOG, "%.*s: connected from %s", shown(subject->client_id),
             (const char *)subject->client_id.p, peer);
}

static void on_disconnected(void *worker_context, struct broker_conn conn,
                            const struct broker_subject *subject, const char *peer, uint8_t reason,
                            const char *words)
{
    (void)worker_context;
    (void)conn;
    log_info(SERVE_LOG, "%.*s: gone from %s: %s", shown(subject->client_id),
             (const char *)subject->client_id.p, peer,
             words != NULL ? words : mqtt_reason_text(reason));
}

static int on_worker_start(void *context, struct net_worker *worker, void **worker_context)
{
    struct serve *serve = context;
    struct station *station = calloc(1, sizeof(*station));
    if (station == NULL)
        return SEALMQ_E_NOMEM;
    int e = password_checker_new(net_worker_loop(worker), CHECKS_WAITING_MAX, on_password_checked,
                                 station, &station->checker);
    if (e != 0) {
        free(station);
        return e;
    }
    station->serve = serve;
    station->worker = worker;
    station->rules = rules_ref(serve->rules);
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

void serve_app(struct serve *serve, struct net_app *out)
{
    *out = (struct net_app){
        .context = serve,
        .worker_start = on_worker_start,
        .worker_stop = on_worker_stop,
        .authenticate = on_authenticate,
        .auth_begin = on_auth_begin,
        .auth_continue = on_auth_continue,
        .authorize = on_authorize,
        .connected = on_connected,
        .disconnected = on_disconnected,
    };
}
