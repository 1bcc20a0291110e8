/* What governs the network, as requests change it: members and their keys, who the validators are,
 * the admins, the parameters.
 *
 * All of it holds from the next block on. Keys say so themselves (`from`, `until`); of the rest
 * there are two copies, `rules` for the block under way and `next` for the one after it. So each of
 * those may change once in a block, and the header of the block can name the next set. */
#include "ledger/chain_int.h"

#include "base/assert.h"

#include <stdlib.h>

/* --- checking --- */

static bool keys_equal(const struct public_key *a, const struct public_key *b)
{
    return memcmp(a->b, b->b, PUBLIC_KEY_SIZE) == 0;
}

static const struct member_key *last_key(const struct chain_member *member)
{
    return &member->value.keys[member->value.key_count - 1];
}

/* A member changes once in a block: what it was before and what it is after are then clear. */
static bool changes_in_this_block(const struct chain *chain, const struct chain_member *member)
{
    return member->changing_height == chain_next_height(chain);
}

static int check_new_key(const struct chain *chain, const struct public_key *key)
{
    return chain_find_key(chain, key) != NULL ? SEALMQ_E_CONFLICT : 0;
}

/* The log or cosigner key of one who has been a validator before, under the same key as now. */
static int check_own_key(const struct chain *chain, const struct public_key *key, enum key_use use,
                         struct bytes id)
{
    const struct chain_key *known = chain_find_key(chain, key);
    return known == NULL || (known->use == (uint8_t)use && bytes_equal(bytes_str(known->id), id))
               ? 0
               : SEALMQ_E_CONFLICT;
}

static int check_new_keys(const struct chain *chain, const struct member_claim *claim)
{
    int error = check_new_key(chain, &claim->key);
    if (error == 0 && claim->role == MEMBER_VALIDATOR)
        error = check_new_key(chain, &claim->log_key);
    if (error == 0 && claim->role == MEMBER_VALIDATOR)
        error = check_new_key(chain, &claim->cosigner_key);
    return error;
}

/* Whoever joins is there, and has the chain: it has seen one of its last headers. */
static int check_seen(const struct chain *chain, const struct member_claim *claim)
{
    if (claim->height > chain->tip.height)
        return SEALMQ_E_AGAIN;
    if (chain_next_height(chain) - claim->height > JOIN_BLOCKS)
        return SEALMQ_E_STALE;
    struct hash leaf;
    merkle_log_leaf(&chain->log, claim->height, &leaf);
    return hash_equal(&leaf, &claim->leaf) ? 0 : SEALMQ_E_CONFLICT;
}

/* Whether the set may become larger or smaller by one. */
static int check_set(const struct chain *chain, bool grows)
{
    size_t n = chain->rules.validators.n;
    if (chain->changes.validators)
        return SEALMQ_E_AGAIN;
    if (grows)
        return n < VALIDATORS_MAX ? 0 : SEALMQ_E_FULL;
    return n > VALIDATORS_MIN ? 0 : SEALMQ_E_COUNT;
}

/* An id that is active: what may change is whether it is a validator, under the key that it has. */
static int check_role_change(const struct chain *chain, const struct chain_member *member,
                             const struct member_claim *claim)
{
    if (!keys_equal(&last_key(member)->key, &claim->key))
        return SEALMQ_E_CONFLICT;
    if (member->value.role == claim->role)
        return SEALMQ_E_EXISTS;
    if (changes_in_this_block(chain, member))
        return SEALMQ_E_AGAIN;
    if (claim->role == MEMBER_GATEWAY)
        return check_set(chain, false);
    int error = check_own_key(chain, &claim->log_key, KEY_OF_LOG, claim->id);
    if (error == 0)
        error = check_own_key(chain, &claim->cosigner_key, KEY_OF_COSIGNER, claim->id);
    return error == 0 ? check_set(chain, true) : error;
}

static int check_register(const struct chain *chain, const struct member_claim *claim)
{
    const struct chain_member *member = chain_find_member(chain, claim->id);
    int error = claim->role == MEMBER_VALIDATOR ? check_seen(chain, claim) : 0;
    if (error != 0)
        return error;
    if (member != NULL && member->value.status == MEMBER_ACTIVE)
        return check_role_change(chain, member, claim);
    if (member == NULL && HASH_COUNT(chain->members) >= MEMBERS_MAX)
        return SEALMQ_E_FULL;
    error = check_new_keys(chain, claim);
    if (error != 0)
        return error;
    if (member != NULL && changes_in_this_block(chain, member))
        return SEALMQ_E_AGAIN;
    if (member != NULL && member->value.key_count == MEMBER_KEYS_MAX)
        return SEALMQ_E_FULL;
    return claim->role == MEMBER_VALIDATOR ? check_set(chain, true) : 0;
}

static int check_revoke(const struct chain *chain, struct bytes id)
{
    const struct chain_member *member = chain_find_member(chain, id);
    if (member == NULL)
        return SEALMQ_E_UNKNOWN;
    if (member->value.status == MEMBER_REVOKED)
        return SEALMQ_E_REVOKED;
    if (changes_in_this_block(chain, member))
        return SEALMQ_E_AGAIN;
    return member->value.role == MEMBER_VALIDATOR ? check_set(chain, false) : 0;
}

static int check_rotate(const struct chain *chain, const struct request *request)
{
    const struct member_claim *claim = &request->rotate;
    if (request_is_by_member(request) && !bytes_equal(request->sender, claim->id))
        return SEALMQ_E_DENIED;
    const struct chain_member *member = chain_find_member(chain, claim->id);
    if (member == NULL)
        return SEALMQ_E_UNKNOWN;
    if (member->value.status == MEMBER_REVOKED)
        return SEALMQ_E_REVOKED;
    if (member->value.role != claim->role)
        return SEALMQ_E_CONFLICT;
    int error = check_new_keys(chain, claim);
    if (error != 0)
        return error;
    if (changes_in_this_block(chain, member))
        return SEALMQ_E_AGAIN;
    if (member->value.key_count == MEMBER_KEYS_MAX)
        return SEALMQ_E_FULL;
    return claim->role == MEMBER_VALIDATOR && chain->changes.validators ? SEALMQ_E_AGAIN : 0;
}

static int check_parameters(const struct chain *chain, struct bytes value)
{
    struct genesis_parameters parameters;
    int error = genesis_parameters_decode(value, &parameters);
    if (error != 0)
        return error;
    const struct genesis_parameters *now = &chain->rules.parameters;
    if (now->difficulty == parameters.difficulty &&
        now->anchor_interval_ms == parameters.anchor_interval_ms)
        return SEALMQ_E_EXISTS;
    return chain->changes.parameters ? SEALMQ_E_AGAIN : 0;
}

/* Who stays keeps the key; whoever comes, or gets another key, brings one that nobody ever had. */
static int check_admins(const struct chain *chain, struct bytes value)
{
    struct admins_value admins;
    int error = admins_value_decode(value, &admins);
    if (error != 0)
        return error;
    const struct admins_value *now = &chain->rules.admins;
    bool is_same = now->threshold == admins.threshold && now->n == admins.n;
    for (size_t i = 0; i < admins.n; i++) {
        const struct public_key *held = admins_value_key(now, bytes_str(admins.admins[i].id));
        if (held != NULL && keys_equal(held, &admins.admins[i].key))
            continue;
        is_same = false;
        error = check_new_key(chain, &admins.admins[i].key);
        if (error != 0)
            return error;
    }
    if (is_same)
        return SEALMQ_E_EXISTS;
    return chain->changes.admins ? SEALMQ_E_AGAIN : 0;
}

int govern_check(const struct chain *chain, const struct request *request)
{
    switch (request->kind) {
    case REQUEST_REGISTER:
        return check_register(chain, &request->register_);
    case REQUEST_REVOKE:
        return check_revoke(chain, request->revoke.id);
    case REQUEST_ROTATE:
        return check_rotate(chain, request);
    case REQUEST_CONFIGURE:
        return request->configure.what == CONFIGURE_ADMINS
                   ? check_admins(chain, request->configure.value)
                   : check_parameters(chain, request->configure.value);
    default:
        return SEALMQ_E_TYPE;
    }
}

/* --- executing --- */

static int add_key(struct chain *chain, const struct public_key *key, uint8_t use, struct bytes id)
{
    if (chain_find_key(chain, key) != NULL)
        return 0; /* of one who comes back */
    struct chain_key *added = chain_add_key(chain, key, use, id);
    if (added == NULL)
        return SEALMQ_E_NOMEM;
    journal_push(&chain->journal, UNDO_KEY)->key = added;
    return 0;
}

static int add_keys(struct chain *chain, const struct member_claim *claim)
{
    int error = add_key(chain, &claim->key, KEY_OF_MEMBER, claim->id);
    if (error == 0 && claim->role == MEMBER_VALIDATOR)
        error = add_key(chain, &claim->log_key, KEY_OF_LOG, claim->id);
    if (error == 0 && claim->role == MEMBER_VALIDATOR)
        error = add_key(chain, &claim->cosigner_key, KEY_OF_COSIGNER, claim->id);
    return error;
}

/* Remembers the member's value, which may then be changed. */
static int save_member(struct chain *chain, struct chain_member *member)
{
    struct member_value *before = malloc(sizeof(*before));
    if (before == NULL)
        return SEALMQ_E_NOMEM;
    *before = member->value;
    struct undo *undo = journal_push(&chain->journal, UNDO_MEMBER);
    undo->member.member = member;
    undo->member.before = before;
    undo->member.changing_height = member->changing_height;
    member->changing_height = chain_next_height(chain);
    return 0;
}

static int add_member(struct chain *chain, const struct member_claim *claim)
{
    struct member_value value = {.role = claim->role, .status = MEMBER_ACTIVE, .key_count = 1};
    value.keys[0] = (struct member_key){.key = claim->key, .from = chain_next_height(chain) + 1};
    struct chain_member *member = chain_add_member(chain, claim->id, &value);
    if (member == NULL)
        return SEALMQ_E_NOMEM;
    member->changing_height = chain_next_height(chain);
    journal_push(&chain->journal, UNDO_MEMBER)->member.member = member;
    return 0;
}

/* The key is the current one from the next block on; another that was current ends before it. */
static void give_key(struct chain *chain, struct chain_member *member, const struct public_key *key)
{
    struct member_value *value = &member->value;
    struct member_key *last = &value->keys[value->key_count - 1];
    uint64_t from = chain_next_height(chain) + 1;
    if (last->until == 0)
        last->until = from;
    ASSERT(value->key_count < MEMBER_KEYS_MAX);
    value->keys[value->key_count++] = (struct member_key){.key = *key, .from = from};
}

/* Takes `id` out of the next set and, unless `in` is NULL, puts the validator it describes in. */
static void change_set(struct chain *chain, struct bytes id, const struct member_claim *in)
{
    struct validator_set *set = &chain->next.validators;
    *set = chain->rules.validators;
    int at = validator_set_find(set, id);
    if (at >= 0) {
        set->n--;
        memmove(&set->v[at], &set->v[at + 1], (set->n - (size_t)at) * sizeof(set->v[0]));
    }
    if (in != NULL) {
        struct validator validator = {
            .key = in->key, .log_key = in->log_key, .cosigner_key = in->cosigner_key};
        int error = bytes_to_cstr(in->id, validator.id, sizeof(validator.id));
        ASSERT(error == 0);
        error = bytes_to_cstr(in->url, validator.url, sizeof(validator.url));
        ASSERT(error == 0 && set->n < VALIDATORS_MAX);
        size_t place = set->n;
        while (place > 0 && strcmp(set->v[place - 1].id, validator.id) > 0)
            place--;
        memmove(&set->v[place + 1], &set->v[place], (set->n - place) * sizeof(set->v[0]));
        set->v[place] = validator;
        set->n++;
    }
    validator_set_hash(set, &chain->next.validators_hash);
    chain->changes.validators = true;
    journal_push(&chain->journal, UNDO_VALIDATORS);
}

static int apply_register(struct chain *chain, const struct member_claim *claim)
{
    int error = add_keys(chain, claim);
    if (error != 0)
        return error;
    struct chain_member *member = chain_find_member(chain, claim->id);
    error = member == NULL ? add_member(chain, claim) : save_member(chain, member);
    if (error != 0)
        return error;
    bool was_validator = false;
    if (member != NULL) {
        was_validator =
            member->value.status == MEMBER_ACTIVE && member->value.role == MEMBER_VALIDATOR;
        if (member->value.status == MEMBER_REVOKED)
            give_key(chain, member, &claim->key);
        member->value.role = claim->role;
        member->value.status = MEMBER_ACTIVE;
        member->value.revoked_height = 0;
    }
    if (claim->role == MEMBER_VALIDATOR)
        change_set(chain, claim->id, claim);
    else if (was_validator)
        change_set(chain, claim->id, NULL);
    return 0;
}

static int apply_revoke(struct chain *chain, struct bytes id)
{
    struct chain_member *member = chain_find_member(chain, id);
    ASSERT(member != NULL);
    int error = save_member(chain, member);
    if (error != 0)
        return error;
    member->value.status = MEMBER_REVOKED;
    member->value.revoked_height = chain_next_height(chain);
    member->value.keys[member->value.key_count - 1].until = chain_next_height(chain) + 1;
    if (member->value.role == MEMBER_VALIDATOR)
        change_set(chain, id, NULL);
    return 0;
}

static int apply_rotate(struct chain *chain, const struct member_claim *claim)
{
    struct chain_member *member = chain_find_member(chain, claim->id);
    ASSERT(member != NULL);
    int error = add_keys(chain, claim);
    if (error == 0)
        error = save_member(chain, member);
    if (error != 0)
        return error;
    give_key(chain, member, &claim->key);
    if (claim->role == MEMBER_VALIDATOR)
        change_set(chain, claim->id, claim);
    return 0;
}

static int apply_configure(struct chain *chain, const struct request *request)
{
    if (request->configure.what == CONFIGURE_PARAMETERS) {
        int error = genesis_parameters_decode(request->configure.value, &chain->next.parameters);
        ASSERT(error == 0);
        chain->changes.parameters = true;
        journal_push(&chain->journal, UNDO_PARAMETERS);
        return 0;
    }
    struct admins_value *admins = &chain->next.admins;
    int error = admins_value_decode(request->configure.value, admins);
    ASSERT(error == 0);
    for (size_t i = 0; i < admins->n; i++) {
        error =
            add_key(chain, &admins->admins[i].key, KEY_OF_ADMIN, bytes_str(admins->admins[i].id));
        if (error != 0)
            return error;
    }
    chain->changes.admins = true;
    journal_push(&chain->journal, UNDO_ADMINS);
    return 0;
}

int govern_apply(struct chain *chain, const struct request *request)
{
    switch (request->kind) {
    case REQUEST_REGISTER:
        return apply_register(chain, &request->register_);
    case REQUEST_REVOKE:
        return apply_revoke(chain, request->revoke.id);
    case REQUEST_ROTATE:
        return apply_rotate(chain, &request->rotate);
    case REQUEST_CONFIGURE:
        return apply_configure(chain, request);
    default:
        return SEALMQ_E_TYPE;
    }
}

void govern_commit(struct chain *chain, uint64_t height)
{
    if (chain->changes.validators) {
        chain->validators_before = chain->rules.validators;
        chain->rules.validators = chain->next.validators;
        chain->rules.validators_hash = chain->next.validators_hash;
        chain->validators_height = height + 1;
    }
    if (chain->changes.admins) {
        chain->rules.admins = chain->next.admins;
        chain->admins_height = height;
    }
    if (chain->changes.parameters)
        chain->rules.parameters = chain->next.parameters;
    chain->changes = (struct chain_changes){0};
}
