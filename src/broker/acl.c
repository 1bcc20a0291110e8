/* An access control list as Mosquitto's users write it, and its asking.
 *
 *     topic read public/#          before any user line: for anonymous clients
 *     user alice
 *     topic home/#                 read and write
 *     topic deny home/safe
 *     pattern write clients/%c/#   for everyone, with the client id put in
 *
 * Nothing is allowed that no line allows, and `deny` outweighs any grant. A subscription is allowed
 * when its filter can match something readable; what it then gets is decided topic by topic. */
#include "broker/acl_int.h"

#include "base/limits.h"
#include "broker/filter_sets.h"
#include "broker/sys_tree.h"

#include <stdio.h>
#include <stdlib.h>

#define EXPANDED_MAX 4096 /* a pattern with the names put in */

struct rule_list {
    struct acl_rule *rules;
    size_t count, capacity;
};

struct acl_user {
    struct bytes name;
    struct rule_list list;
};

struct acl {
    bool has_text;
    enum acl_default fallback;
    bool has_network;
    char network[NETWORK_MAX + 1];
    uint8_t *text; /* a copy; names and filters are pieces of it */
    struct rule_list anonymous, patterns;
    struct acl_user *users; /* sorted by name when parsing is done */
    size_t user_count, user_capacity;
};

/* ---- asking ---- */

/* How well a subject fits into a pattern. */
enum expansion {
    EXPANDED,
    EXPANDED_WIDER, /* a name spans levels, so that it may reach into what is another's */
    NOT_NAMED,      /* a name is missing: the pattern says nothing about this subject */
    NOT_NAMEABLE,   /* a name holds a wildcard, or the whole is too long */
};

static bool holds(struct bytes name, char c)
{
    return memchr(name.p, c, name.n) != NULL;
}

/* Writes the filter of a pattern for one subject. */
static enum expansion expand(struct bytes pattern, const struct broker_subject *subject,
                             uint8_t out[EXPANDED_MAX], struct bytes *expanded)
{
    enum expansion result = EXPANDED;
    size_t n = 0;
    for (size_t i = 0; i < pattern.n; i++) {
        struct bytes part = bytes_of(pattern.p + i, 1);
        if (i + 1 < pattern.n && pattern.p[i] == '%' &&
            (pattern.p[i + 1] == 'c' || pattern.p[i + 1] == 'u')) {
            part = pattern.p[++i] == 'c' ? subject->client_id : subject->user_name;
            if (part.n == 0)
                return NOT_NAMED;
            if (holds(part, '+') || holds(part, '#'))
                return NOT_NAMEABLE;
            if (holds(part, '/'))
                result = EXPANDED_WIDER;
        }
        if (part.n > EXPANDED_MAX - n)
            return NOT_NAMEABLE;
        memcpy(out + n, part.p, part.n);
        n += part.n;
    }
    *expanded = bytes_of(out, n);
    return result;
}

/* The rule's filter for the subject; false when the rule does not apply to it: who cannot be named
 * in a pattern gains nothing by it, and escapes no denial. */
static bool filter_for(const struct acl_rule *rule, const struct broker_subject *subject,
                       uint8_t room[EXPANDED_MAX], struct bytes *filter,
                       struct acl_opinion *opinion)
{
    const bool denies = (rule->kinds & RULE_DENY) != 0;
    *filter = rule->filter;
    if (!rule->is_pattern)
        return true;
    switch (expand(rule->filter, subject, room, filter)) {
    case EXPANDED:
        return true;
    case EXPANDED_WIDER:
        return denies;
    case NOT_NAMED:
        return false;
    case NOT_NAMEABLE:
        break;
    }
    opinion->is_denied |= denies;
    return false;
}

void acl_apply(const struct acl_rule *rule, const struct broker_subject *subject,
               enum broker_access access, struct bytes topic, struct acl_opinion *opinion)
{
    uint8_t room[EXPANDED_MAX];
    struct bytes filter;
    bool denies = (rule->kinds & RULE_DENY) != 0;
    unsigned wanted = access == BROKER_WRITE ? RULE_WRITE : RULE_READ;
    if (!denies && (rule->kinds & wanted) == 0)
        return;
    if (!filter_for(rule, subject, room, &filter, opinion))
        return;
    bool applies;
    if (access != BROKER_SUBSCRIBE)
        applies = mqtt_filter_matches(filter, topic);
    else if (denies)
        applies = filter_covers(filter, topic);
    else
        applies = filters_overlap(filter, topic);
    if (applies && denies)
        opinion->is_denied = true;
    else if (applies)
        opinion->is_granted = true;
}

static void apply_all(const struct rule_list *list, const struct broker_subject *subject,
                      enum broker_access access, struct bytes topic, struct acl_opinion *opinion)
{
    for (size_t i = 0; i < list->count && !opinion->is_denied; i++)
        acl_apply(&list->rules[i], subject, access, topic, opinion);
}

static int compare_user(const void *a, const void *b)
{
    const struct acl_user *x = a;
    const struct acl_user *y = b;
    return bytes_compare(x->name, y->name);
}

static bool text_allows(const struct acl *acl, const struct broker_subject *subject,
                        enum broker_access access, struct bytes topic)
{
    struct acl_opinion opinion = {0};
    const struct rule_list *own = NULL;
    if (subject->is_anonymous) {
        own = &acl->anonymous;
    } else if (acl->user_count != 0) {
        struct acl_user key = {.name = subject->user_name};
        const struct acl_user *user =
            bsearch(&key, acl->users, acl->user_count, sizeof key, compare_user);
        own = user == NULL ? NULL : &user->list;
    }
    if (own != NULL)
        apply_all(own, subject, access, topic, &opinion);
    apply_all(&acl->patterns, subject, access, topic, &opinion);
    return opinion.is_granted && !opinion.is_denied;
}

static bool default_allows(const struct acl *acl, enum broker_access access, struct bytes topic)
{
    if (acl->fallback == ACL_DEFAULT_ALL_BUT_DOLLAR)
        return topic.n == 0 || topic.p[0] != '$' || (access != BROKER_WRITE && sys_tree_has(topic));
    struct acl_rule verified = {.kinds = RULE_READ, .filter = BYTES_LIT("verified/#")};
    struct acl_opinion opinion = {0};
    acl_apply(&verified, NULL, access, topic, &opinion);
    return opinion.is_granted;
}

bool acl_allows(const struct acl *acl, const struct broker_subject *subject,
                enum broker_access access, struct bytes topic)
{
    /* What the server says of itself nobody else says. */
    if (access == BROKER_WRITE && sys_tree_has(topic))
        return false;
    if (acl->has_network && subject->role != BROKER_ROLE_ORDINARY)
        return acl_role_allows(acl->network, subject, access, topic);
    if (acl->has_network && access == BROKER_WRITE && acl_is_reserved(acl->network, topic))
        return false;
    return acl->has_text ? text_allows(acl, subject, access, topic)
                         : default_allows(acl, access, topic);
}

/* ---- making ---- */

static int acl_new(const char *network, struct acl **out)
{
    *out = NULL;
    if (network != NULL && strlen(network) > NETWORK_MAX)
        return SEALMQ_E_ARG;
    struct acl *acl = calloc(1, sizeof *acl);
    if (acl == NULL)
        return SEALMQ_E_NOMEM;
    if (network != NULL) {
        acl->has_network = true;
        memcpy(acl->network, network, strlen(network) + 1);
    }
    *out = acl;
    return 0;
}

int acl_default_new(enum acl_default which, const char *network, struct acl **out)
{
    int error = acl_new(network, out);
    if (error == 0)
        (*out)->fallback = which;
    return error;
}

void acl_free(struct acl *acl)
{
    if (acl == NULL)
        return;
    for (size_t i = 0; i < acl->user_count; i++)
        free(acl->users[i].list.rules);
    free(acl->users);
    free(acl->anonymous.rules);
    free(acl->patterns.rules);
    free(acl->text);
    free(acl);
}

struct parsing {
    struct acl *acl;
    size_t user;     /* index + 1 of the user whose lines these are; 0: anonymous */
    const char *why; /* of SEALMQ_E_CONFIG */
};

static int refuse(struct parsing *p, const char *why)
{
    p->why = why;
    return SEALMQ_E_CONFIG;
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static struct bytes trim(struct bytes s)
{
    while (s.n != 0 && is_blank(s.p[0]))
        s = bytes_of(s.p + 1, s.n - 1);
    while (s.n != 0 && is_blank(s.p[s.n - 1]))
        s.n--;
    return s;
}

/* Takes the first word off. */
static struct bytes take_word(struct bytes *rest)
{
    size_t n = 0;
    while (n < rest->n && !is_blank(rest->p[n]))
        n++;
    struct bytes word = bytes_of(rest->p, n);
    *rest = trim(bytes_of(rest->p + n, rest->n - n));
    return word;
}

static int add_rule(struct rule_list *list, const struct acl_rule *rule)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity == 0 ? 4 : list->capacity * 2;
        struct acl_rule *rules = realloc(list->rules, capacity * sizeof *rules);
        if (rules == NULL)
            return SEALMQ_E_NOMEM;
        list->rules = rules;
        list->capacity = capacity;
    }
    list->rules[list->count++] = *rule;
    return 0;
}

static int parse_user(struct parsing *p, struct bytes name)
{
    struct acl *acl = p->acl;
    if (name.n == 0)
        return refuse(p, "user needs a name");
    for (size_t i = 0; i < acl->user_count; i++) {
        if (bytes_equal(acl->users[i].name, name)) {
            p->user = i + 1;
            return 0;
        }
    }
    if (acl->user_count == acl->user_capacity) {
        size_t capacity = acl->user_capacity == 0 ? 16 : acl->user_capacity * 2;
        struct acl_user *users = realloc(acl->users, capacity * sizeof *users);
        if (users == NULL)
            return SEALMQ_E_NOMEM;
        acl->users = users;
        acl->user_capacity = capacity;
    }
    acl->users[acl->user_count++] = (struct acl_user){.name = name};
    p->user = acl->user_count;
    return 0;
}

static unsigned kinds_of(struct bytes word)
{
    static const struct {
        const char *word;
        unsigned kinds;
    } names[] = {
        {"read", RULE_READ},
        {"write", RULE_WRITE},
        {"readwrite", RULE_READ | RULE_WRITE},
        {"deny", RULE_DENY},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (bytes_equal(word, bytes_str(names[i].word)))
            return names[i].kinds;
    }
    return 0;
}

static int parse_rule(struct parsing *p, struct bytes rest, bool is_pattern)
{
    struct acl_rule rule = {.kinds = RULE_READ | RULE_WRITE, .is_pattern = is_pattern};
    struct bytes after = rest;
    unsigned kinds = kinds_of(take_word(&after));
    /* A word that stands alone is a filter, whatever it says: "topic read" is the topic "read". */
    if (kinds != 0 && after.n != 0) {
        rule.kinds = kinds;
        rest = after;
    }
    /* A misspelt `deny` must not become a grant on a strange topic. */
    if (kinds == 0 && after.n != 0)
        return refuse(p,
                      "not read, write, readwrite or deny; a filter with spaces needs one of them "
                      "before it");
    rule.filter = rest;
    if (rest.n == 0)
        return refuse(p, "a topic filter is missing");
    if (rest.n > UINT16_MAX || !mqtt_utf8_is_valid(rest) || !mqtt_filter_is_valid(rest))
        return refuse(p, "not a valid topic filter");
    struct acl *acl = p->acl;
    if (is_pattern)
        return add_rule(&acl->patterns, &rule);
    return add_rule(p->user == 0 ? &acl->anonymous : &acl->users[p->user - 1].list, &rule);
}

static int parse_line(struct parsing *p, struct bytes line)
{
    struct bytes rest = trim(line);
    if (rest.n == 0 || rest.p[0] == '#')
        return 0;
    struct bytes word = take_word(&rest);
    if (bytes_equal(word, BYTES_LIT("user")))
        return parse_user(p, rest);
    if (bytes_equal(word, BYTES_LIT("topic")))
        return parse_rule(p, rest, false);
    if (bytes_equal(word, BYTES_LIT("pattern")))
        return parse_rule(p, rest, true);
    return refuse(p, "a line begins with user, topic or pattern");
}

static int parse_lines(struct parsing *p, struct bytes text, unsigned *line)
{
    int error = 0;
    while (text.n != 0 && error == 0) {
        const uint8_t *end = memchr(text.p, '\n', text.n);
        size_t n = end == NULL ? text.n : (size_t)(end - text.p);
        size_t skip = end == NULL ? n : n + 1;
        ++*line;
        error = parse_line(p, bytes_of(text.p, n));
        text = bytes_of(text.p + skip, text.n - skip);
    }
    return error;
}

int acl_parse(struct bytes text, const char *network, struct acl **out, unsigned *line, char *why,
              size_t why_size)
{
    struct parsing p = {.why = ""};
    *line = 0;
    *out = NULL;
    int error = acl_new(network, &p.acl);
    if (error != 0)
        return error;
    p.acl->has_text = true;
    if (text.n != 0) {
        p.acl->text = malloc(text.n);
        if (p.acl->text == NULL)
            error = SEALMQ_E_NOMEM;
        else
            memcpy(p.acl->text, text.p, text.n);
    }
    if (error == 0)
        error = parse_lines(&p, bytes_of(p.acl->text, text.n), line);
    if (error != 0) {
        if (why_size != 0)
            snprintf(why, why_size, "%s", p.why);
        acl_free(p.acl);
        return error;
    }
    if (p.acl->user_count != 0)
        qsort(p.acl->users, p.acl->user_count, sizeof *p.acl->users, compare_user);
    *out = p.acl;
    return 0;
}
