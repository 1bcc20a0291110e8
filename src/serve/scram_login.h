/* Log-in with SCRAM-SHA-256 (crypto/scram.h) by MQTT's enhanced authentication: the method's name
 * is "SCRAM-SHA-256", client-first comes in CONNECT's Authentication Data (or in the answer to an
 * empty AUTH), server-first and client-final in AUTH, and server-final in the CONNACK, or in the
 * AUTH that ends a re-authentication. A conversation lives with its connection. On the worker's
 * thread. */
#ifndef SEALMQ_SERVE_SCRAM_LOGIN_H
#define SEALMQ_SERVE_SCRAM_LOGIN_H

#include "serve/rules.h"

enum scram_verdict {
    SCRAM_NO_METHOD, /* it is another method, or not to be had here */
    SCRAM_GO_ON,     /* the client was asked */
    SCRAM_LET_IN,    /* with user and last_words */
    SCRAM_REFUSE,    /* with reason and words */
};

struct scram_outcome {
    enum scram_verdict verdict;
    uint8_t reason;
    const char *words; /* static */
    char user[SCRAM_NAME_MAX + 1];
    struct buf last_words; /* of the caller, who closes it in any case */
};

/* What comes of auth_begin and auth_continue of struct net_app. */
void scram_login_begin(struct net_worker *worker, const struct rules *rules,
                       const struct broker_auth_request *request, struct scram_outcome *out);
void scram_login_continue(struct net_worker *worker, const struct rules *rules,
                          const struct broker_auth_request *request, struct scram_outcome *out);

#endif
