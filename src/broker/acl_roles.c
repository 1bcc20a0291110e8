/* The rules of the network's own roles. They are fixed: a configuration cannot widen them. */
#include "broker/acl_int.h"

#include "base/id.h"
#include "base/limits.h"
#include "broker/filter_sets.h"
#include "broker/levels.h"

/* "%n" is the network. "x/+/#" is what is below x, without x itself. */
struct role_rule {
    enum broker_role role;
    unsigned kinds;
    const char *filter;
};

static const struct role_rule role_rules[] = {
    {BROKER_ROLE_MEMBER, RULE_READ | RULE_WRITE, "%c/+/#"},
    {BROKER_ROLE_MEMBER, RULE_READ, "chain/%n/reply/%c"},
    {BROKER_ROLE_MEMBER, RULE_READ, "chain/%n/nodes"},
    {BROKER_ROLE_MEMBER, RULE_READ, "chain/%n/head"},
    {BROKER_ROLE_MEMBER, RULE_READ, "verified/#"},
    {BROKER_ROLE_MEMBER, RULE_WRITE, "chain/%n/request"},
    /* One that follows the chain, and one that has become a validator since it logged in: which of
     * them it is, the node knows. */
    {BROKER_ROLE_MEMBER, RULE_WRITE, "chain/%n/sync/+"},
    {BROKER_ROLE_MEMBER, RULE_WRITE, "chain/%n/pre-prepare"},
    {BROKER_ROLE_MEMBER, RULE_WRITE, "chain/%n/prepare"},
    {BROKER_ROLE_MEMBER, RULE_WRITE, "chain/%n/commit"},
    {BROKER_ROLE_MEMBER, RULE_WRITE, "chain/%n/checkpoint"},
    {BROKER_ROLE_MEMBER, RULE_WRITE, "chain/%n/view-change"},
    {BROKER_ROLE_MEMBER, RULE_WRITE, "chain/%n/new-view"},
    {BROKER_ROLE_APPLICANT, RULE_READ, "%c/+/#"},
    {BROKER_ROLE_APPLICANT, RULE_WRITE, "%c/key"},
    {BROKER_ROLE_APPLICANT, RULE_WRITE, "chain/%n/announce"},
    {BROKER_ROLE_VALIDATOR, RULE_READ | RULE_WRITE, "chain/%n/+/#"},
    {BROKER_ROLE_ADMIN, RULE_WRITE, "chain/%n/request"},
    {BROKER_ROLE_ADMIN, RULE_WRITE, "chain/%n/query"},
};

#define ROLE_FILTER_MAX (2 * ID_MAX + NETWORK_MAX + 32)

/* A first level that is not an id's: whoever were called like this would own what others rely on.
 */
static bool is_reserved_level(struct bytes level)
{
    return bytes_equal(level, BYTES_LIT("chain")) || bytes_equal(level, BYTES_LIT("verified"));
}

static bool is_usable_id(struct bytes id)
{
    struct level_walk walk = level_walk_of(id);
    struct bytes first;
    return id_is_valid(id) && level_walk_next(&walk, &first) && !is_reserved_level(first);
}

/* Writes `filter` with network and id put in; 0 when it does not fit. */
static size_t expand(const char *filter, const char *network, struct bytes id,
                     char out[ROLE_FILTER_MAX])
{
    size_t n = 0;
    for (const char *p = filter; *p != '\0'; p++) {
        struct bytes part = bytes_of(p, 1);
        if (p[0] == '%' && p[1] == 'n')
            part = bytes_str(network);
        else if (p[0] == '%' && p[1] == 'c')
            part = id;
        if (part.n > ROLE_FILTER_MAX - n)
            return 0;
        memcpy(out + n, part.p, part.n);
        n += part.n;
        if (p[0] == '%')
            p++;
    }
    return n;
}

/* The first two levels of a topic or filter as one id; false when there are not three levels. */
static bool owner_of(struct bytes topic, struct bytes *id)
{
    const uint8_t *first = topic.n == 0 ? NULL : memchr(topic.p, '/', topic.n);
    if (first == NULL)
        return false;
    size_t rest = topic.n - (size_t)(first + 1 - topic.p);
    const uint8_t *second = rest == 0 ? NULL : memchr(first + 1, '/', rest);
    if (second == NULL)
        return false;
    *id = bytes_of(topic.p, (size_t)(second - topic.p));
    return true;
}

/* An operator reads everything but what is sealed for others: below somebody else's id. Of a filter
 * it is asked whether it can match anything else; wildcards in the first two levels can. */
static bool admin_may_read(const struct broker_subject *subject, struct bytes topic)
{
    struct bytes owner;
    return !owner_of(topic, &owner) || !is_usable_id(owner) ||
           bytes_equal(owner, subject->client_id);
}

bool acl_role_allows(const char *network, const struct broker_subject *subject,
                     enum broker_access access, struct bytes topic)
{
    if (subject->role == BROKER_ROLE_ADMIN && access != BROKER_WRITE)
        return admin_may_read(subject, topic);
    struct acl_opinion opinion = {0};
    for (size_t i = 0; i < sizeof role_rules / sizeof role_rules[0]; i++) {
        const struct role_rule *rule = &role_rules[i];
        char filter[ROLE_FILTER_MAX];
        if (rule->role != subject->role)
            continue;
        if (strstr(rule->filter, "%c") != NULL && !is_usable_id(subject->client_id))
            continue;
        size_t n = expand(rule->filter, network, subject->client_id, filter);
        if (n == 0)
            continue;
        struct acl_rule expanded = {.kinds = rule->kinds, .filter = bytes_of(filter, n)};
        acl_apply(&expanded, subject, access, topic, &opinion);
    }
    return opinion.is_granted;
}

bool acl_is_reserved(const char *network, struct bytes topic)
{
    struct level_walk walk = level_walk_of(topic);
    struct bytes level;
    if (!level_walk_next(&walk, &level) || !is_reserved_level(level))
        return false;
    if (level.p[0] == 'v')
        return true;
    return level_walk_next(&walk, &level) && bytes_equal(level, bytes_str(network));
}
