/* Log-in, authorization, and the log of who comes and goes. */
#include "base/log.h"
#include "node/node_int.h"
#include "serve/scram_login.h"

#include <stdio.h>

#define COMPONENT "login"

static void answer(struct node_worker *worker, struct broker_conn conn, uint8_t reason,
                   const char *words, enum broker_role role, struct bytes user_name)
{
    net_worker_authenticated(worker->net, conn,
                             &(struct broker_grant){
                                 .reason = reason,
                                 .reason_string = words,
                                 .role = role,
                                 .user_name = user_name,
                             });
}

static void refuse(struct node_worker *worker, const struct broker_auth_request *request,
                   uint8_t reason, const char *words)
{
    atomic_fetch_add(&worker->logins_refused, 1);
    refusals_log(&worker->refusals, net_worker_now_ms(worker->net), COMPONENT,
                 "refused \"%.*s\" from %s: %s", node_shown(request->client_id),
                 (const char *)request->client_id.p, request->peer, words);
    answer(worker, request->conn, reason, words, BROKER_ROLE_ORDINARY, (struct bytes){0});
}

static const char *token_words(int error)
{
    switch (error) {
    case SEALMQ_E_EXPIRED:
        return "the token is expired, lives too long, or is from the future: check the clock";
    case SEALMQ_E_REPLAY:
        return "the token was used before, or is older than this node's start: make a new one";
    case SEALMQ_E_NETWORK:
        return "the token is for another network or node";
    case SEALMQ_E_SIGNATURE:
        return "the token's signature does not verify under the key of this id";
    case SEALMQ_E_DENIED:
        return "this id must log in with a token that it signed itself";
    case SEALMQ_E_UNKNOWN:
        return "this id is not registered, and its token does not carry a key";
    case SEALMQ_E_LIMIT:
        return "the user name is too long";
    default:
        return sealmq_error_text(error);
    }
}

/* Passwords are checked on another thread; the answer comes to node_password_checked. */
/* Whoever shows no token: a certificate, a password, or nothing. */
static void ask_rules(struct node_worker *worker, const struct broker_auth_request *request)
{
    const struct net_peer *peer = net_worker_peer(worker->net, request->conn);
    struct rules *rules = node_rules(worker->node);
    struct rules_answer decided;
    int error = 0;
    if (peer == NULL) { /* it has gone meanwhile */
        rules_unref(rules);
        return;
    }
    rules_decide(rules, peer, request, NULL, 0, &decided);
    switch (decided.verdict) {
    case RULES_LET_IN:
        answer(worker, request->conn, MQTT_REASON_SUCCESS, NULL, BROKER_ROLE_ORDINARY,
               decided.user_name);
        break;
    case RULES_REFUSE:
        refuse(worker, request, decided.reason, decided.words);
        break;
    case RULES_CHECK_PASSWORD:
        error = password_checker_check(worker->checker, rules_passwords(rules), request->conn,
                                       request->user_name, request->password);
        if (error != 0)
            refuse(worker, request, MQTT_REASON_SERVER_BUSY, sealmq_error_text(error));
        break;
    }
    rules_unref(rules);
}

void node_password_checked(void *worker_context, struct broker_conn conn, struct bytes name,
                           bool is_right)
{
    struct node_worker *worker = worker_context;
    if (!is_right) {
        atomic_fetch_add(&worker->logins_refused, 1);
        refusals_log(&worker->refusals, net_worker_now_ms(worker->net), COMPONENT,
                     "refused user \"%.*s\": wrong user name or password", node_shown(name),
                     (const char *)name.p);
        answer(worker, conn, MQTT_REASON_BAD_USER_NAME_OR_PASSWORD, "wrong user name or password",
               BROKER_ROLE_ORDINARY, (struct bytes){0});
        return;
    }
    /* The id may have been registered since the question was asked. */
    struct bytes id = broker_conn_applying_id(net_worker_broker(worker->net), conn);
    if (logins_needs_token(worker->logins, id)) {
        atomic_fetch_add(&worker->logins_refused, 1);
        answer(worker, conn, MQTT_REASON_BAD_USER_NAME_OR_PASSWORD, token_words(SEALMQ_E_DENIED),
               BROKER_ROLE_ORDINARY, (struct bytes){0});
        return;
    }
    answer(worker, conn, MQTT_REASON_SUCCESS, NULL, BROKER_ROLE_ORDINARY, name);
}

void node_authenticate(void *worker_context, const struct broker_auth_request *request)
{
    struct node_worker *worker = worker_context;
    enum broker_role role = BROKER_ROLE_ORDINARY;
    int error;
    switch (logins_ask(worker->logins, request, node_wall_us() / 1000000, &role, &error)) {
    case LOGIN_GRANTED:
        answer(worker, request->conn, MQTT_REASON_SUCCESS, NULL, role,
               request->has_user_name && request->user_name.n != 0 ? request->user_name
                                                                   : request->client_id);
        return;
    case LOGIN_REFUSED:
        refuse(worker, request,
               error == SEALMQ_E_BUSY ? MQTT_REASON_SERVER_BUSY
                                      : MQTT_REASON_BAD_USER_NAME_OR_PASSWORD,
               token_words(error));
        return;
    case LOGIN_OTHER:
        break;
    }
    ask_rules(worker, request);
}

/* An id that has to show a token does not come in by a password. */
static void take_outcome(struct node_worker *worker, const struct broker_auth_request *request,
                         const struct scram_outcome *outcome)
{
    if (outcome->verdict == SCRAM_REFUSE) {
        refuse(worker, request, outcome->reason, outcome->words);
    } else if (outcome->verdict == SCRAM_LET_IN &&
               logins_needs_token(worker->logins, request->client_id)) {
        refuse(worker, request, MQTT_REASON_BAD_USER_NAME_OR_PASSWORD,
               token_words(SEALMQ_E_DENIED));
    } else if (outcome->verdict == SCRAM_LET_IN) {
        const struct broker_grant grant = {
            .role = BROKER_ROLE_ORDINARY,
            .user_name = bytes_str(outcome->user),
            .auth_data = buf_bytes(&outcome->last_words),
        };
        net_worker_authenticated(worker->net, request->conn, &grant);
    }
}

bool node_auth_begin(void *worker_context, const struct broker_auth_request *request)
{
    struct node_worker *worker = worker_context;
    struct rules *rules = node_rules(worker->node);
    struct scram_outcome outcome;
    scram_login_begin(worker->net, rules, request, &outcome);
    take_outcome(worker, request, &outcome);
    buf_close(&outcome.last_words);
    rules_unref(rules);
    return outcome.verdict != SCRAM_NO_METHOD;
}

void node_auth_continue(void *worker_context, const struct broker_auth_request *request)
{
    struct node_worker *worker = worker_context;
    struct rules *rules = node_rules(worker->node);
    struct scram_outcome outcome;
    scram_login_continue(worker->net, rules, request, &outcome);
    take_outcome(worker, request, &outcome);
    buf_close(&outcome.last_words);
    rules_unref(rules);
}

static const char *role_name(enum broker_role role)
{
    static const char *const names[] = {"client", "gateway", "applicant", "node", "operator"};
    return names[role];
}

bool node_authorize(void *worker_context, const struct broker_subject *subject,
                    enum broker_access access, struct bytes topic)
{
    struct node_worker *worker = worker_context;
    pthread_rwlock_rdlock(&worker->node->access_lock);
    bool is_allowed = acl_allows(rules_acl(worker->node->rules), subject, access, topic);
    pthread_rwlock_unlock(&worker->node->access_lock);
    /* Reading is asked for each message of a broad subscription: no is nothing unusual there. */
    if (!is_allowed && access != BROKER_READ)
        refusals_log(&worker->refusals, net_worker_now_ms(worker->net), COMPONENT,
                     "refused %s \"%.*s\" to %s \"%.*s\"", role_name(subject->role),
                     node_shown(subject->client_id), (const char *)subject->client_id.p,
                     access == BROKER_WRITE ? "publish on" : "subscribe to", node_shown(topic),
                     (const char *)topic.p);
    return is_allowed;
}

void node_connected(void *worker_context, struct broker_conn conn,
                    const struct broker_subject *subject, const char *peer)
{
    (void)worker_context;
    (void)conn;
    log_info(COMPONENT, "%s \"%.*s\" connected from %s", role_name(subject->role),
             node_shown(subject->client_id), (const char *)subject->client_id.p, peer);
}

void node_disconnected(void *worker_context, struct broker_conn conn,
                       const struct broker_subject *subject, const char *peer, uint8_t reason,
                       const char *words)
{
    (void)worker_context;
    (void)conn;
    log_info(COMPONENT, "%s \"%.*s\" from %s is gone: %s", role_name(subject->role),
             node_shown(subject->client_id), (const char *)subject->client_id.p, peer,
             words != NULL && words[0] != '\0' ? words : mqtt_reason_text(reason));
}
