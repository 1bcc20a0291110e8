/* Who may do what on which topic: the rules for the network's own roles, and an ACL in the syntax
 * that Mosquitto's users know for everyone else.
 *
 * Roles: a MEMBER "a/b" may write and read below "a/b/" only, and read chain/<network>/reply/a/b,
 * nodes, head and verified/#, and write chain/<network>/request. An APPLICANT may write
 * chain/<network>/announce and its own <id>/key, and read its own id's topics. A VALIDATOR may
 * write and read below chain/<network>/. An ADMIN may write chain/<network>/request and query, and
 * read everything but others' sealed topics. ORDINARY clients follow the ACL text; without one the
 * default given, and no ordinary client may write verified/# or chain/<network>/#.
 * Nobody writes $SYS, whatever a text says; without a text the plain broker lets everyone read it.
 *
 * Of a subscription's filter (BROKER_SUBSCRIBE) it is asked whether it can match anything that may
 * be read; which topics the subscriber then gets is asked one by one (BROKER_READ). So "#" is a
 * fair subscription for whoever may read something. */
#ifndef SEALMQ_BROKER_ACL_H
#define SEALMQ_BROKER_ACL_H

#include "broker/broker.h"

struct acl;

enum acl_default {
    ACL_DEFAULT_ALL_BUT_DOLLAR, /* the plain broker */
    ACL_DEFAULT_READ_VERIFIED,  /* a node: reading verified/# and nothing else */
};

/* Parses an ACL: `user NAME`, `topic [read|write|readwrite|deny] FILTER`, `pattern [...] FILTER`
 * with %c and %u, # comments. On SEALMQ_E_CONFIG *line is the line and `why` the words.
 * `network` NULL: no network roles. */
SEALMQ_MUST_CHECK int acl_parse(struct bytes text, const char *network, struct acl **out,
                                unsigned *line, char *why, size_t why_size);
/* The rules without a text. */
SEALMQ_MUST_CHECK int acl_default_new(enum acl_default which, const char *network,
                                      struct acl **out);
void acl_free(struct acl *acl);

/* Immutable after it was made: may be asked from any thread. */
bool acl_allows(const struct acl *acl, const struct broker_subject *subject,
                enum broker_access access, struct bytes topic);

#endif
