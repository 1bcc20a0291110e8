/* Who is known to this node: what log-in asks. A copy of the chain's members with the genesis's
 * admins, and the ids that have announced themselves and wait for approval.
 *
 * Written by the agreement thread, read by every worker; all calls from any thread. */
#ifndef SEALMQ_NODE_REGISTRY_H
#define SEALMQ_NODE_REGISTRY_H

#include "base/bytes.h"
#include "base/limits.h"
#include "crypto/sign.h"

/* Anyone may announce, with ids and keys made up: what is kept is bounded, and nobody can push out
 * what was announced within the last hour. */
#define REGISTRY_PENDING_MAX      1000 /* announced ids kept */
#define REGISTRY_KEYS_MAX         4    /* for each of them */
#define REGISTRY_SAFE_US          (3600 * INT64_C(1000000))
/* News that clients of this node may make: so many at once, and then one in each interval. */
#define REGISTRY_NEWS_BURST       64
#define REGISTRY_NEWS_INTERVAL_US INT64_C(500000)

struct registry;

enum registry_kind { REGISTRY_GATEWAY = 1, REGISTRY_VALIDATOR, REGISTRY_ADMIN };

struct registry_entry {
    char id[ID_MAX + 1];
    enum registry_kind kind;
    bool is_revoked;
    struct public_key key;
    int validator; /* index, for validators */
};

struct registry_pending {
    char id[ID_MAX + 1];
    struct public_key key;
    int64_t since_us;
    bool is_contested; /* in lists: other keys wait for the same id */
};

SEALMQ_MUST_CHECK int registry_new(struct registry **out);
void registry_free(struct registry *registry);

/* Adds or replaces; an id that waits for approval waits no longer. */
SEALMQ_MUST_CHECK int registry_set(struct registry *registry, const struct registry_entry *entry);
/* SEALMQ_E_NOTFOUND. */
SEALMQ_MUST_CHECK int registry_find(struct registry *registry, struct bytes id,
                                    struct registry_entry *out);

/* Calls fn for every entry, in order of adding, under the lock: fn must not call back. */
void registry_each(struct registry *registry,
                   void (*fn)(void *context, const struct registry_entry *entry), void *context);

/* An unknown id has announced its key; since_us is now. The same again changes nothing. Another key
 * for an id that waits is kept beside the first, and both are contested from then on: which one is
 * right is for an operator to say. *is_new tells whether this is news, which is limited in its rate
 * unless it was passed on by another node.
 *
 * SEALMQ_E_EXISTS when the id is registered; SEALMQ_E_FULL when no place is left and all that wait
 * are younger than REGISTRY_SAFE_US; SEALMQ_E_BUSY when there is too much news; SEALMQ_E_NOMEM. */
SEALMQ_MUST_CHECK int registry_announce(struct registry *registry,
                                        const struct registry_pending *pending, bool is_passed_on,
                                        bool *is_new);
/* Copies of all, oldest id first, each key on its own; *out is the caller's to free(). */
SEALMQ_MUST_CHECK int registry_pending_list(struct registry *registry,
                                            struct registry_pending **out, size_t *n);

#endif
