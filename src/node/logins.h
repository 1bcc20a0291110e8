/* Who may connect, as far as it can be decided at once: signed tokens, and what remains for the
 * password file. One for each worker; a client id always asks the same one, so that the memory of
 * used tokens needs no sharing. Without I/O. */
#ifndef SEALMQ_NODE_LOGINS_H
#define SEALMQ_NODE_LOGINS_H

#include "broker/broker.h"
#include "node/registry.h"

/* Used tokens remembered; over that, tokens are refused. Strangers, who can make up ids and tokens
 * as they like, get no more than half of the places, so that they cannot lock the others out. */
#define LOGINS_TOKENS_MAX 100000

/* Of who presents a token: kept with each of its reports. */
#define LOGINS_USER_NAME_MAX 256

struct logins;

struct logins_options {
    struct registry *registry;  /* borrowed until free */
    const char *network, *node; /* borrowed until free */
    /* Tokens issued before this are refused, because the memory of used ones does not survive a
     * restart. Seconds since 1970. */
    int64_t started_s;
    size_t tokens_max; /* 0: LOGINS_TOKENS_MAX */
};

SEALMQ_MUST_CHECK int logins_new(const struct logins_options *options, struct logins **out);
void logins_free(struct logins *logins);

enum login_answer {
    LOGIN_GRANTED, /* *role is set */
    LOGIN_REFUSED, /* *error says why: for the log, the counters and the reason string */
    LOGIN_OTHER,   /* no token: password or anonymous decide */
};

/* An id that is registered, or an operator's, must present a token. */
enum login_answer logins_ask(struct logins *logins, const struct broker_auth_request *request,
                             int64_t now_s, enum broker_role *role, int *error);

/* Whether the id is such a one, as of now. */
bool logins_needs_token(struct logins *logins, struct bytes id);

#endif
