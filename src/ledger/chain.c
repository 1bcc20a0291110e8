/* The chain: making it from the genesis, and asking it. */
#include "ledger/chain_int.h"

#include "base/assert.h"

#include <stdlib.h>

/* --- making --- */

static int add_genesis_key(struct chain *chain, const struct public_key *key, uint8_t use,
                           const char *id)
{
    return chain_add_key(chain, key, use, bytes_str(id)) == NULL ? SEALMQ_E_NOMEM : 0;
}

static int add_validator(struct chain *chain, const struct validator *validator)
{
    struct member_value value = {.role = MEMBER_VALIDATOR, .status = MEMBER_ACTIVE, .key_count = 1};
    value.keys[0].key = validator->key;
    if (chain_add_member(chain, bytes_str(validator->id), &value) == NULL)
        return SEALMQ_E_NOMEM;
    int error = add_genesis_key(chain, &validator->key, KEY_OF_MEMBER, validator->id);
    if (error == 0)
        error = add_genesis_key(chain, &validator->log_key, KEY_OF_LOG, validator->id);
    if (error == 0)
        error = add_genesis_key(chain, &validator->cosigner_key, KEY_OF_COSIGNER, validator->id);
    return error;
}

static void fill_rules(struct chain *chain)
{
    const struct genesis *genesis = &chain->genesis;
    struct chain_rules *rules = &chain->rules;
    rules->validators = genesis->validators;
    validator_set_hash(&rules->validators, &rules->validators_hash);
    rules->admins.threshold = genesis->admin_threshold;
    rules->admins.n = genesis->admin_count;
    memcpy(rules->admins.admins, genesis->admins, sizeof(rules->admins.admins));
    rules->parameters = genesis->parameters;
    chain->validators_height = 1;
}

static int fill_state(struct chain *chain)
{
    int error = 0;
    fill_rules(chain);
    for (size_t i = 0; i < chain->genesis.validators.n && error == 0; i++)
        error = add_validator(chain, &chain->genesis.validators.v[i]);
    for (size_t i = 0; i < chain->genesis.admin_count && error == 0; i++)
        error = add_genesis_key(chain, &chain->genesis.admins[i].key, KEY_OF_ADMIN,
                                chain->genesis.admins[i].id);
    return error == 0 ? entries_write_genesis(chain) : error;
}

/* Makes the genesis block the tip and the log's first leaf. */
static int start_log(struct chain *chain)
{
    struct buf wire = {0};
    struct hash state_root;
    statetree_root(chain->tree, &state_root);
    genesis_block(&chain->genesis, &state_root, &wire);
    struct block block;
    int error = buf_status(&wire);
    if (error == 0)
        error = block_decode(buf_bytes(&wire), &block);
    if (error == 0) {
        struct hash leaf;
        hash_leaf(block.header_wire, &leaf);
        error = merkle_log_append(&chain->log, &leaf);
        chain->tip = block.header;
        chain->tip_hash = block.hash;
    }
    buf_close(&wire);
    return error;
}

int chain_new_empty(const struct genesis *genesis, struct chain **out)
{
    *out = NULL;
    if (genesis->validators.n < 1 || genesis->validators.n > VALIDATORS_MAX ||
        genesis->admin_count < 1 || genesis->admin_count > ADMINS_MAX)
        return SEALMQ_E_ARG;
    struct chain *chain = calloc(1, sizeof(*chain));
    if (chain == NULL)
        return SEALMQ_E_NOMEM;
    chain->genesis = *genesis;
    int error = statetree_new(&chain->tree);
    if (error != 0) {
        chain_free(chain);
        return error;
    }
    *out = chain;
    return 0;
}

int chain_new(const struct genesis *genesis, struct chain **out)
{
    *out = NULL;
    struct chain *chain;
    int error = chain_new_empty(genesis, &chain);
    if (error != 0)
        return error;
    error = fill_state(chain);
    if (error == 0)
        error = start_log(chain);
    if (error != 0) {
        chain_free(chain);
        return error;
    }
    *out = chain;
    return 0;
}

void chain_free(struct chain *chain)
{
    if (chain == NULL)
        return;
    journal_forget(&chain->journal);
    free(chain->journal.records);
    while (chain->members != NULL)
        chain_drop_member(chain, chain->members);
    while (chain->senders != NULL)
        chain_drop_sender(chain, chain->senders);
    while (chain->keys != NULL)
        chain_drop_key(chain, chain->keys);
    merkle_log_close(&chain->log);
    statetree_free(chain->tree);
    free(chain);
}

/* --- asking --- */

const struct genesis *chain_genesis(const struct chain *chain)
{
    return &chain->genesis;
}

uint64_t chain_height(const struct chain *chain)
{
    return chain->tip.height;
}

const struct block_header *chain_tip(const struct chain *chain)
{
    return &chain->tip;
}

const struct hash *chain_tip_hash(const struct chain *chain)
{
    return &chain->tip_hash;
}

const struct validator_set *chain_validators(const struct chain *chain)
{
    return &chain->rules.validators;
}

const struct hash *chain_validators_hash(const struct chain *chain)
{
    return &chain->rules.validators_hash;
}

const struct validator_set *chain_validators_at(const struct chain *chain, uint64_t height)
{
    if (height >= chain->validators_height)
        return &chain->rules.validators;
    bool is_last = height + 1 == chain->validators_height && chain->validators_before.n != 0;
    return is_last ? &chain->validators_before : NULL;
}

uint64_t chain_validators_height(const struct chain *chain)
{
    return chain->validators_height;
}

const struct admins_value *chain_admins(const struct chain *chain)
{
    return &chain->rules.admins;
}

uint64_t chain_admins_height(const struct chain *chain)
{
    return chain->admins_height;
}

const struct genesis_parameters *chain_parameters(const struct chain *chain)
{
    return &chain->rules.parameters;
}

void chain_state_root(const struct chain *chain, struct hash *out)
{
    statetree_root(chain->tree, out);
}

void chain_log_root(const struct chain *chain, struct hash *out)
{
    merkle_log_root(&chain->log, chain->log.size, out);
}

const struct merkle_log *chain_log(const struct chain *chain)
{
    return &chain->log;
}

void chain_forget_log(struct chain *chain, uint64_t base)
{
    uint64_t latest = chain_join_base(chain->log.size);
    if (base > latest)
        base = latest;
    if (base > chain->log.base)
        merkle_log_forget(&chain->log, base);
}

void chain_next_header(const struct chain *chain, struct block_header *out)
{
    *out = (struct block_header){
        .height = chain_next_height(chain),
        .parent = chain->tip_hash,
        .validators = chain->rules.validators_hash,
        .next_validators = chain->rules.validators_hash,
        .difficulty = chain->rules.parameters.difficulty,
    };
    memcpy(out->network, chain->genesis.network, sizeof(out->network));
    chain_log_root(chain, &out->log_root);
    chain_state_root(chain, &out->state_root);
}

static void show_member(const struct chain_member *member, struct member *out)
{
    const struct member_key *last = &member->value.keys[member->value.key_count - 1];
    *out = (struct member){
        .role = member->value.role,
        .status = member->value.status,
        .key = last->key,
        .since_height = last->from,
        .revoked_height = member->value.revoked_height,
    };
    memcpy(out->id, member->id, sizeof(out->id));
}

int chain_member(const struct chain *chain, struct bytes id, struct member *out)
{
    const struct chain_member *member = chain_find_member(chain, id);
    if (member == NULL)
        return SEALMQ_E_NOTFOUND;
    show_member(member, out);
    return 0;
}

size_t chain_member_keys(const struct chain *chain, struct bytes id, struct public_key *keys,
                         size_t most)
{
    const struct chain_member *member = chain_find_member(chain, id);
    if (member == NULL || member->value.status != MEMBER_ACTIVE)
        return 0;
    size_t n = member->value.key_count < most ? member->value.key_count : most;
    for (size_t i = 0; i < n; i++)
        keys[i] = member->value.keys[member->value.key_count - 1 - i].key;
    return n;
}

void chain_members_each(const struct chain *chain, chain_member_fn fn, void *context)
{
    for (const struct chain_member *m = chain->members; m != NULL; m = m->hh.next) {
        struct member shown;
        show_member(m, &shown);
        fn(context, &shown);
    }
}

int chain_item(const struct chain *chain, struct bytes gateway, uint32_t num, struct item *out)
{
    const struct chain_sender *sender = chain_find_sender(chain, gateway);
    const struct chain_item *item = sender == NULL ? NULL : sender_find_item(sender, num);
    if (item == NULL)
        return SEALMQ_E_NOTFOUND;
    *out = item->item;
    return 0;
}

void chain_history_next(const struct chain *chain, struct bytes gateway, uint64_t *next,
                        size_t *pending)
{
    const struct chain_sender *sender = chain_find_sender(chain, gateway);
    *next = sender == NULL ? 1 : sender->next;
    *pending = sender == NULL ? 0 : sender->pending_count;
}

uint64_t chain_request_next(const struct chain *chain, struct bytes sender)
{
    const struct chain_sender *found = chain_find_sender(chain, sender);
    return found == NULL ? 1 : found->lowest;
}

bool chain_request_used(const struct chain *chain, struct bytes sender, uint64_t number)
{
    const struct chain_sender *found = chain_find_sender(chain, sender);
    return found == NULL ? number == 0 : sender_number_is_used(found, number);
}

uint64_t chain_changed_height(const struct chain *chain, struct bytes id)
{
    const struct chain_sender *sender = chain_find_sender(chain, id);
    const struct chain_member *member = chain_find_member(chain, id);
    uint64_t as_sender = sender == NULL ? 0 : sender->changed_height;
    uint64_t as_member = member == NULL ? 0 : member->changed_height;
    return as_sender > as_member ? as_sender : as_member;
}
