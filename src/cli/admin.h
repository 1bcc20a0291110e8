/* An operator's conversation with a node: one question over MQTT, one answer. */
#ifndef SEALMQ_CLI_ADMIN_H
#define SEALMQ_CLI_ADMIN_H

#include "ledger/genesis.h"

#define ADMIN_TIMEOUT_S 15 /* unless --timeout says otherwise */

/* Where and as whom. */
struct admin {
    const char *folder;       /* -d: has genesis.json and admin.key */
    const char *genesis_path; /* --genesis, or NULL */
    const char *key_path;     /* --key, or NULL */
    const char *node;         /* --node: an id; NULL: the first of the genesis */
    const char *url;          /* of `node`, NULL: as the genesis says, or else the validators */
    const char *timeout;      /* --timeout: seconds; NULL: ADMIN_TIMEOUT_S */
    unsigned timeout_s;
    struct genesis genesis;
    char id[ID_MAX + 1];
    struct sign_key key;
};

/* The options that all of an operator's subcommands share, as getopt_long's; 'd' is short, too. */
#define ADMIN_OPTIONS                                                                              \
    {"dir", required_argument, NULL, 'd'}, {"genesis", required_argument, NULL, 'G'},              \
        {"url", required_argument, NULL, 'U'}, {"key", required_argument, NULL, 'K'},              \
        {"node", required_argument, NULL, 'N'},                                                    \
    {                                                                                              \
        "timeout", required_argument, NULL, 'T'                                                    \
    }
#define ADMIN_HELP                                                                                 \
    "  -d, --dir FOLDER    has genesis.json and admin.key (the current folder)\n"                  \
    "      --genesis FILE  the network's genesis\n"                                                \
    "      --key FILE      the operator's key\n"                                                   \
    "      --node ID       which node to ask (the first of the genesis)\n"                         \
    "      --url URL       where it is, when it is no validator (mqtt://...)\n"                    \
    "      --timeout S     how long to wait for an answer (15 s)\n"

/* Takes an option if it is one of the above. */
bool admin_option(struct admin *admin, int option, const char *value);
/* Reads genesis and key. SEALMQ_E_ARG for a bad --timeout. */
SEALMQ_MUST_CHECK int admin_open(struct admin *admin, char *why, size_t why_size);
void admin_close(struct admin *admin);

/* Publishes on chain/<network>/<suffix> and appends what comes back on the reply topic. When the
 * connection breaks after it was there, it is made and the question asked anew.
 * SEALMQ_E_TIMEOUT (no connection, or no answer), SEALMQ_E_DENIED (log-in refused), with words. */
SEALMQ_MUST_CHECK int admin_ask(struct admin *admin, const char *suffix, struct bytes payload,
                                struct buf *answer, char *why, size_t why_size);
/* The validators of now, of which id and url alone are set, as the node says that is named, or else
 * the first of the genesis that answers. */
SEALMQ_MUST_CHECK int admin_validators(struct admin *admin, struct validator_set *out, char *why,
                                       size_t why_size);
/* The next unused request number of this operator. */
SEALMQ_MUST_CHECK int admin_request_number(struct admin *admin, uint64_t *number, char *why,
                                           size_t why_size);

#endif
