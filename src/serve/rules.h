/* Who may come in and do what: the access rules, password file, token keys and each listener's own
 * rules, as one set that never changes. A reload makes a new set and leaves the old one to those
 * who still hold it; may be asked from any thread. */
#ifndef SEALMQ_SERVE_RULES_H
#define SEALMQ_SERVE_RULES_H

#include "broker/acl.h"
#include "config/broker_config.h"
#include "net/passwords.h"
#include "net/server.h"
#include "serve/used_tokens.h"

struct rules;

struct rules_options {
    const struct broker_config *config; /* borrowed for the call */
    const char *config_path;            /* what paths are relative to; NULL: as they are */
    enum acl_default acl_default;       /* in force without an `acl` */
    const char *network;                /* as in acl_parse */
};

/* Reads all files that the configuration names for log-in and access. SEALMQ_E_NOTFOUND,
 * SEALMQ_E_CONFIG and so on; `why` names the file, the line and the mend. */
SEALMQ_MUST_CHECK int rules_load(const struct rules_options *options, struct rules **out, char *why,
                                 size_t why_size);
/* Counted references: one from rules_load, freed with the last. NULL is allowed. */
struct rules *rules_ref(struct rules *rules);
void rules_unref(struct rules *rules);

/* Borrowed from the set. */
const struct acl *rules_acl(const struct rules *rules);
struct passwords *rules_passwords(const struct rules *rules); /* or NULL */
bool rules_let_anonymous_in(const struct rules *rules, unsigned listener);

enum rules_verdict {
    RULES_LET_IN,         /* with user_name; empty: anonymous */
    RULES_REFUSE,         /* with reason and words */
    RULES_CHECK_PASSWORD, /* against rules_passwords */
};
struct rules_answer {
    enum rules_verdict verdict;
    uint8_t reason;
    const char *words;      /* static */
    struct bytes user_name; /* borrowed from what was asked, or from `name` */
    char name[ID_MAX + 1];
};

/* What a CONNECT comes to on its listener, as far as it can be decided at once. In this order:
 *  1. a verified certificate or pre-shared key is the user; a user name besides must be the same;
 *  2. a password that is a signed token: its key decides, and the user is the token's issuer;
 *  3. a user name where there is a password file: the password decides;
 *  4. anybody else is anonymous: a user name that nothing proves counts for nothing. */
void rules_decide(const struct rules *rules, const struct net_peer *peer,
                  const struct broker_auth_request *request, struct used_tokens *used,
                  int64_t now_s, struct rules_answer *out);

/* Whether clients can log in with SCRAM on the listener where `peer` came in. */
bool rules_take_scram(const struct rules *rules, const struct net_peer *peer);
/* NULL, or why a client that has proved itself to be `user` is not let in: it is somebody else by
 * its certificate or key, or by the user name of its CONNECT. */
const char *rules_scram_objection(const struct rules *rules, const struct net_peer *peer,
                                  const struct broker_auth_request *request, struct bytes user);

/* Where everybody is sent who has logged in (configuration `redirect` with `when: always`); NULL:
 * nowhere. Borrowed from the set. */
const char *rules_redirect(const struct rules *rules, uint8_t *reason);

#endif
