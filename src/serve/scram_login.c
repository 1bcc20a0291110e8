#include "serve/scram_login.h"

#include "base/text.h"
#include "crypto/random.h"

#include <stdlib.h>

#define NONCE_BYTES 18 /* random ones */

/* What a connection has while it proves itself. */
struct login {
    struct net_attachment attachment;
    struct scram *scram; /* NULL: client-first is still to come */
    char user[SCRAM_NAME_MAX + 1];
};

static void login_free(struct net_attachment *attachment)
{
    struct login *login = (struct login *)attachment;
    scram_free(login->scram);
    free(login);
}

static void refuse(struct scram_outcome *out, uint8_t reason, const char *words)
{
    out->verdict = SCRAM_REFUSE;
    out->reason = reason;
    out->words = words;
}

static void refuse_for(struct scram_outcome *out, int error)
{
    switch (error) {
    case SEALMQ_E_DENIED:
        refuse(out, MQTT_REASON_BAD_USER_NAME_OR_PASSWORD, "wrong user name or password");
        return;
    case SEALMQ_E_UNSUPPORTED:
        refuse(out, MQTT_REASON_NOT_AUTHORIZED,
               "SCRAM: channel binding and mandatory extensions are not to be had here");
        return;
    case SEALMQ_E_NOMEM:
    case SEALMQ_E_LIMIT:
        refuse(out, MQTT_REASON_SERVER_BUSY, "out of memory");
        return;
    default:
        refuse(out, MQTT_REASON_NOT_AUTHORIZED,
               "SCRAM: the message is malformed, or not of this conversation");
        return;
    }
}

static void ask(struct net_worker *worker, const struct broker_auth_request *request,
                struct bytes data, struct scram_outcome *out)
{
    if (net_worker_auth_challenge(worker, request->conn, data) == 0)
        out->verdict = SCRAM_GO_ON;
    else
        refuse_for(out, SEALMQ_E_NOMEM);
}

static int start(const struct rules *rules, struct bytes message, struct login *login,
                 struct buf *answer)
{
    uint8_t random[NONCE_BYTES];
    struct buf nonce = {0};
    struct scram_client_first first;
    struct scram_verifier verifier;
    bool is_known;
    int e = scram_client_first_parse(message, &first);
    if (e != 0)
        return e;
    e = passwords_scram(rules_passwords(rules), bytes_str(first.name), &verifier, &is_known);
    if (e != 0)
        return e;
    random_bytes(random, sizeof random);
    base64_append(&nonce, bytes_of(random, sizeof random));
    e = buf_status(&nonce);
    if (e == 0)
        e = scram_new(&first, &verifier, is_known, buf_bytes(&nonce), &login->scram, answer);
    memcpy(login->user, first.name, sizeof login->user);
    buf_close(&nonce);
    return e;
}

/* The client's first message. */
static void take_first(struct net_worker *worker, const struct rules *rules,
                       const struct broker_auth_request *request, struct login *login,
                       struct scram_outcome *out)
{
    struct buf answer = {0};
    int e = start(rules, request->auth_data, login, &answer);
    if (e == 0)
        ask(worker, request, buf_bytes(&answer), out);
    else
        refuse_for(out, e);
    buf_close(&answer);
}

/* The client's last one. */
static void take_final(const struct rules *rules, const struct net_peer *peer,
                       const struct broker_auth_request *request, struct login *login,
                       struct scram_outcome *out)
{
    int e = scram_finish(login->scram, request->auth_data, &out->last_words);
    if (e != 0) {
        refuse_for(out, e);
        return;
    }
    memcpy(out->user, login->user, sizeof out->user);
    const char *words = rules_scram_objection(rules, peer, request, bytes_str(out->user));
    if (words != NULL)
        refuse(out, MQTT_REASON_BAD_USER_NAME_OR_PASSWORD, words);
    else
        out->verdict = SCRAM_LET_IN;
}

void scram_login_begin(struct net_worker *worker, const struct rules *rules,
                       const struct broker_auth_request *request, struct scram_outcome *out)
{
    const struct net_peer *peer = net_worker_peer(worker, request->conn);
    *out = (struct scram_outcome){.verdict = SCRAM_NO_METHOD};
    if (peer == NULL || !rules_take_scram(rules, peer) ||
        !bytes_equal(request->auth_method, BYTES_LIT(SCRAM_METHOD)))
        return;
    struct login *login = calloc(1, sizeof *login);
    if (login == NULL) {
        refuse_for(out, SEALMQ_E_NOMEM);
        return;
    }
    login->attachment.free = login_free;
    net_worker_attach(worker, request->conn, &login->attachment);
    if (request->auth_data.n == 0)
        ask(worker, request, (struct bytes){0}, out);
    else
        take_first(worker, rules, request, login, out);
    if (out->verdict != SCRAM_GO_ON)
        net_worker_attach(worker, request->conn, NULL);
}

void scram_login_continue(struct net_worker *worker, const struct rules *rules,
                          const struct broker_auth_request *request, struct scram_outcome *out)
{
    const struct net_peer *peer = net_worker_peer(worker, request->conn);
    struct login *login = (struct login *)net_worker_attached(worker, request->conn);
    *out = (struct scram_outcome){.verdict = SCRAM_NO_METHOD};
    if (peer == NULL || login == NULL || !rules_take_scram(rules, peer)) {
        refuse(out, MQTT_REASON_BAD_AUTHENTICATION_METHOD, "no such authentication method");
        return;
    }
    if (login->scram == NULL)
        take_first(worker, rules, request, login, out);
    else
        take_final(rules, peer, request, login, out);
    if (out->verdict != SCRAM_GO_ON)
        net_worker_attach(worker, request->conn, NULL);
}
