/* Inside of the access rules: one rule, and how it applies to a subject. */
#ifndef SEALMQ_BROKER_ACL_INT_H
#define SEALMQ_BROKER_ACL_INT_H

#include "broker/acl.h"

enum rule_kind { RULE_READ = 1, RULE_WRITE = 2, RULE_DENY = 4 };

/* `filter` may hold %c (client id) and %u (user name) when is_pattern. */
struct acl_rule {
    unsigned kinds; /* RULE_DENY alone, or RULE_READ and RULE_WRITE */
    bool is_pattern;
    struct bytes filter;
};

/* What a list of rules says so far: a denial outweighs any grant. */
struct acl_opinion {
    bool is_granted;
    bool is_denied;
};

/* Adds what one rule says about the question. */
void acl_apply(const struct acl_rule *rule, const struct broker_subject *subject,
               enum broker_access access, struct bytes topic, struct acl_opinion *opinion);

/* acl_roles.c: the rules of the network's own roles; `role` is not ORDINARY. */
bool acl_role_allows(const char *network, const struct broker_subject *subject,
                     enum broker_access access, struct bytes topic);
/* What no ordinary client may write, whatever its ACL says: the chain's topics and verified
 * reports. */
bool acl_is_reserved(const char *network, struct bytes topic);

#endif
