/* Inside of the rules. */
#ifndef SEALMQ_SERVE_RULES_INT_H
#define SEALMQ_SERVE_RULES_INT_H

#include "serve/rules.h"
#include "serve/token_keys.h"

#include <stdatomic.h>

#define RULES_WAYS 4 /* of enum config_way */

struct rules_listener {
    bool lets_anonymous_in;
    bool takes[RULES_WAYS];
};

struct rules {
    atomic_uint references;
    struct acl *acl;
    struct passwords *passwords;   /* or NULL */
    struct token_keys *token_keys; /* or NULL; else network and node are what tokens must name */
    char network[NETWORK_MAX + 1], node[ID_MAX + 1];
    char *redirect; /* or NULL */
    uint8_t redirect_reason;
    unsigned listener_count;
    struct rules_listener listeners[CONFIG_LISTENERS_MAX];
};

#endif
