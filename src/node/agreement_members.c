/* What the chain says of members, validators and admins, told to those who ask the registry:
 * log-in, and where messages come from. */
#include "base/log.h"
#include "node/agreement_int.h"

#include <stdio.h>

#define COMPONENT "agreement"

static int set_member(struct agreement *agreement, const struct member *member)
{
    const struct validator_set *set = chain_validators(agreement->chain);
    struct registry_entry entry = {
        .kind = member->role == MEMBER_VALIDATOR ? REGISTRY_VALIDATOR : REGISTRY_GATEWAY,
        .is_revoked = member->status == MEMBER_REVOKED,
        .key = member->key,
        .validator = validator_set_find(set, bytes_str(member->id)),
    };
    memcpy(entry.id, member->id, sizeof entry.id);
    return registry_set(agreement->options.registry, &entry);
}

static bool is_key(const struct sign_key *key, const struct public_key *wanted)
{
    return key != NULL && memcmp(&key->public_key, wanted, sizeof *wanted) == 0;
}

const struct sign_key *agreement_key(const struct agreement *agreement)
{
    const struct agreement_options *options = &agreement->options;
    struct public_key ours;
    bool is_known = chain_member_keys(agreement->chain, bytes_str(options->id), &ours, 1) == 1;
    return is_known && is_key(options->next_key, &ours) ? options->next_key : options->key;
}

int members_check_key(const struct agreement *agreement, char *why, size_t why_size)
{
    const struct agreement_options *options = &agreement->options;
    struct public_key ours;
    if (chain_member_keys(agreement->chain, bytes_str(options->id), &ours, 1) == 0 ||
        is_key(options->key, &ours) || is_key(options->next_key, &ours))
        return 0;
    if (chain_height(agreement->chain) == 0) {
        snprintf(why, why_size, "this is not the key that the genesis lists for %s", options->id);
        return SEALMQ_E_CONFIG;
    }
    log_warn(COMPONENT,
             "the chain has another key for %s at block %llu: until it has this one, this node "
             "only follows",
             options->id, (unsigned long long)chain_height(agreement->chain));
    return 0;
}

int agreement_join(struct agreement *agreement, const char *url, struct buf *out)
{
    struct validator self = {0};
    struct sign_key derived;
    struct hash leaf;
    if (!validator_url_is_valid(bytes_str(url)) || url[0] == '\0' || strlen(url) > URL_MAX_BYTES)
        return SEALMQ_E_PARSE;
    memcpy(self.id, agreement->options.id, strlen(agreement->options.id) + 1);
    memcpy(self.url, url, strlen(url) + 1);
    pthread_rwlock_rdlock(&agreement->chain_lock);
    const struct sign_key *key = agreement_key(agreement);
    uint64_t height = chain_height(agreement->chain);
    merkle_log_leaf(chain_log(agreement->chain), height, &leaf);
    pthread_rwlock_unlock(&agreement->chain_lock);
    self.key = key->public_key;
    sign_key_derive(key, LOG_KEY_PURPOSE, &derived);
    self.log_key = derived.public_key;
    sign_key_derive(key, COSIGNER_KEY_PURPOSE, &derived);
    self.cosigner_key = derived.public_key;
    sign_key_wipe(&derived);
    return request_make_join(&self, height, &leaf, key, &agreement->options.genesis->hash, out);
}

void agreement_validators(struct agreement *agreement, struct validator_set *out)
{
    pthread_rwlock_rdlock(&agreement->chain_lock);
    *out = *chain_validators(agreement->chain);
    pthread_rwlock_unlock(&agreement->chain_lock);
}

struct member_walk {
    struct agreement *agreement;
    int error;
};

static void add_member(void *context, const struct member *member)
{
    struct member_walk *walk = context;
    if (walk->error == 0)
        walk->error = set_member(walk->agreement, member);
    if (walk->error == 0)
        walk->agreement->options.member(walk->agreement->options.context, member);
}

static int set_admins(struct agreement *agreement)
{
    const struct admins_value *admins = chain_admins(agreement->chain);
    int error = 0;
    for (size_t i = 0; error == 0 && i < admins->n; i++) {
        struct registry_entry entry = {
            .kind = REGISTRY_ADMIN, .key = admins->admins[i].key, .validator = -1};
        memcpy(entry.id, admins->admins[i].id, sizeof entry.id);
        error = registry_set(agreement->options.registry, &entry);
    }
    return error;
}

int members_load(struct agreement *agreement)
{
    struct member_walk walk = {agreement, set_admins(agreement)};
    if (walk.error == 0)
        chain_members_each(agreement->chain, add_member, &walk);
    agreement->validators = *chain_validators_hash(agreement->chain);
    return walk.error;
}

static void member_changed(struct agreement *agreement, struct bytes id)
{
    struct member member;
    if (chain_member(agreement->chain, id, &member) != 0)
        return;
    int error = set_member(agreement, &member);
    if (error != 0) {
        agreement_fail(agreement, "what became of a member is not known to log-in", error);
        return;
    }
    const char *what = member.status == MEMBER_REVOKED   ? "revoked"
                       : member.role == MEMBER_VALIDATOR ? "a validator"
                                                         : "registered";
    log_info(COMPONENT, "%s is %s since block %llu", member.id, what,
             (unsigned long long)chain_height(agreement->chain));
    agreement->options.member(agreement->options.context, &member);
}

/* Admins that are none any more, collected while the registry is walked. */
struct admin_walk {
    const struct admins_value *now;
    size_t n;
    struct registry_entry gone[ADMINS_MAX];
};

static void look_at_admin(void *context, const struct registry_entry *entry)
{
    struct admin_walk *walk = context;
    bool is_gone = entry->kind == REGISTRY_ADMIN && !entry->is_revoked &&
                   admins_value_key(walk->now, bytes_str(entry->id)) == NULL;
    if (is_gone && walk->n < ADMINS_MAX) {
        walk->gone[walk->n] = *entry;
        walk->gone[walk->n++].is_revoked = true;
    }
}

static void admins_changed(struct agreement *agreement)
{
    struct admin_walk walk = {.now = chain_admins(agreement->chain)};
    registry_each(agreement->options.registry, look_at_admin, &walk);
    int error = set_admins(agreement);
    for (size_t i = 0; error == 0 && i < walk.n; i++)
        error = registry_set(agreement->options.registry, &walk.gone[i]);
    if (error != 0)
        agreement_fail(agreement, "who the admins are is not known to log-in", error);
}

void members_took(struct agreement *agreement, const struct request *request)
{
    switch (request->kind) {
    case REQUEST_REGISTER:
        member_changed(agreement, request->register_.id);
        break;
    case REQUEST_REVOKE:
        member_changed(agreement, request->revoke.id);
        break;
    case REQUEST_ROTATE:
        member_changed(agreement, request->rotate.id);
        break;
    case REQUEST_CONFIGURE:
        if (request->configure.what == CONFIGURE_ADMINS)
            admins_changed(agreement);
        break;
    case REQUEST_DATA:
    case REQUEST_DESCRIBE:
        break;
    }
}

void members_follow_set(struct agreement *agreement)
{
    const struct validator_set *set = chain_validators(agreement->chain);
    if (hash_equal(&agreement->validators, chain_validators_hash(agreement->chain)))
        return;
    agreement->validators = *chain_validators_hash(agreement->chain);
    int error = 0;
    for (size_t i = 0; i < set->n && error == 0; i++) {
        struct member member;
        error = chain_member(agreement->chain, bytes_str(set->v[i].id), &member);
        if (error == 0)
            error = set_member(agreement, &member);
    }
    if (error != 0)
        agreement_fail(agreement, "who the validators are is not known to log-in", error);
    log_info(COMPONENT, "%zu validators decide from block %llu on", set->n,
             (unsigned long long)chain_validators_height(agreement->chain));
    peers_follow(agreement);
}
