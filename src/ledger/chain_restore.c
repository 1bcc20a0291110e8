/* The state out of a snapshot's entries. They come from a file or from another node, and are held
 * to what any state's entries are like; that they are the right ones the state root shows in the
 * end. */
#include "ledger/chain_int.h"
#include "ledger/snapshot.h"

#include "base/assert.h"
#include "base/id.h"
#include "base/text.h"

#include <stdlib.h>

struct chain_restore {
    const struct snapshot *snapshot;
    struct chain *chain;
    uint64_t entries;
    uint32_t chunks;
    bool has_admins, has_parameters, has_validators;
    size_t key_size; /* of the last entry */
    uint8_t key[STATE_KEY_MAX];
};

int chain_restore_begin(const struct genesis *genesis, const struct snapshot *snapshot,
                        struct chain_restore **out)
{
    *out = NULL;
    if (!hash_equal(&snapshot->genesis, &genesis->hash) ||
        strcmp(snapshot->header.network, genesis->network) != 0)
        return SEALMQ_E_NETWORK;
    struct chain_restore *restore = calloc(1, sizeof(*restore));
    if (restore == NULL)
        return SEALMQ_E_NOMEM;
    restore->snapshot = snapshot;
    int error = chain_new_empty(genesis, &restore->chain);
    if (error != 0) {
        chain_restore_free(restore);
        return error;
    }
    *out = restore;
    return 0;
}

void chain_restore_free(struct chain_restore *restore)
{
    if (restore == NULL)
        return;
    chain_free(restore->chain);
    free(restore);
}

/* --- one entry --- */

static int take_validators(struct chain_restore *restore, struct bytes value)
{
    struct chain_rules *rules = &restore->chain->rules;
    int error = validator_set_decode(value, &rules->validators);
    if (error == 0)
        validator_set_hash(&rules->validators, &rules->validators_hash);
    restore->has_validators = true;
    return error;
}

static int take_admins(struct chain_restore *restore, struct bytes value)
{
    restore->has_admins = true;
    return admins_value_decode(value, &restore->chain->rules.admins);
}

static int take_parameters(struct chain_restore *restore, struct bytes value)
{
    restore->has_parameters = true;
    return genesis_parameters_decode(value, &restore->chain->rules.parameters);
}

/* Each key has one owner and one use. */
static int take_owned_key(struct chain *chain, const struct public_key *key, uint8_t use,
                          struct bytes id)
{
    if (chain_find_key(chain, key) != NULL)
        return SEALMQ_E_PARSE;
    return chain_add_key(chain, key, use, id) == NULL ? SEALMQ_E_NOMEM : 0;
}

static int take_key(struct chain *chain, struct bytes digits, struct bytes wire)
{
    struct public_key key;
    enum key_use use;
    struct bytes id;
    if (!state_key_read_digits(digits, &key))
        return SEALMQ_E_PARSE;
    int error = key_value_decode(wire, &use, &id);
    return error == 0 ? take_owned_key(chain, &key, (uint8_t)use, id) : error;
}

static int take_member(struct chain *chain, struct bytes id, struct bytes wire)
{
    struct member_value value;
    if (!id_is_valid(id))
        return SEALMQ_E_PARSE;
    if (HASH_COUNT(chain->members) >= MEMBERS_MAX)
        return SEALMQ_E_LIMIT;
    int error = member_value_decode(wire, &value);
    if (error != 0)
        return error;
    for (size_t i = 0; i < value.key_count && error == 0; i++)
        error = take_owned_key(chain, &value.keys[i].key, KEY_OF_MEMBER, id);
    if (error != 0)
        return error;
    return chain_add_member(chain, id, &value) == NULL ? SEALMQ_E_NOMEM : 0;
}

/* Of a sender there are items, then what it covers of its history, then its window: only with the
 * last is it a sender of the state. Until then its lowest number is 0. */
static int get_sender(struct chain *chain, struct bytes id, struct chain_sender **out)
{
    if (!id_is_valid(id))
        return SEALMQ_E_PARSE;
    *out = chain_find_sender(chain, id);
    if (*out != NULL)
        return 0;
    *out = chain_add_sender(chain, id);
    if (*out == NULL)
        return SEALMQ_E_NOMEM;
    (*out)->lowest = 0;
    return 0;
}

static int take_item(struct chain *chain, struct bytes name, struct bytes wire)
{
    size_t slash = name.n;
    struct item item;
    struct chain_sender *sender;
    uint64_t num;
    while (slash > 0 && name.p[slash - 1] != '/')
        slash--;
    struct bytes digits = bytes_of(name.p + slash, name.n - slash);
    if (slash == 0 || u64_parse(digits, &num) != 0 || num > UINT32_MAX ||
        (digits.n > 1 && digits.p[0] == '0'))
        return SEALMQ_E_PARSE;
    int error = item_value_decode(wire, &item);
    if (error == 0)
        error = get_sender(chain, bytes_of(name.p, slash - 1), &sender);
    if (error != 0)
        return error;
    item.num = (uint32_t)num;
    if (sender->item_count >= GATEWAY_ITEMS_MAX)
        return SEALMQ_E_LIMIT;
    if (sender_find_item(sender, item.num) != NULL || sender_find_name(sender, &item) != NULL)
        return SEALMQ_E_PARSE;
    return sender_add_item(sender, &item) == NULL ? SEALMQ_E_NOMEM : 0;
}

static int take_history(struct chain *chain, struct bytes id, struct bytes wire)
{
    struct chain_sender *sender;
    struct reader r = reader_of(wire);
    uint64_t next = reader_u64(&r), last = 0;
    size_t count = reader_u32(&r);
    if (count > PENDING_MAX)
        return SEALMQ_E_LIMIT;
    if (r.failed == 0 && next < 2)
        return SEALMQ_E_PARSE;
    int error = get_sender(chain, id, &sender);
    if (error != 0)
        return error;
    if (count != 0 && (sender->pending = calloc(count, sizeof(*sender->pending))) == NULL)
        return SEALMQ_E_NOMEM;
    sender->pending_capacity = count;
    for (size_t i = 0; i < count; i++) {
        uint64_t n = reader_u64(&r);
        if (r.failed == 0 && (n <= last || n >= next))
            return SEALMQ_E_PARSE;
        sender->pending[i] = last = n;
    }
    sender->pending_count = count;
    sender->next = next;
    return reader_end(&r);
}

static int take_window(struct chain *chain, struct bytes id, struct bytes wire)
{
    struct chain_sender *sender;
    int error = get_sender(chain, id, &sender);
    if (error != 0)
        return error;
    struct reader r = reader_of(wire);
    sender->lowest = reader_u64(&r);
    sender->used_above = reader_u64(&r);
    error = reader_end(&r);
    return error == 0 && sender->lowest == 0 ? SEALMQ_E_PARSE : error;
}

static bool cut(struct bytes key, const char *prefix, struct bytes *rest)
{
    size_t n = strlen(prefix);
    if (!bytes_starts_with(key, bytes_of(prefix, n)))
        return false;
    *rest = bytes_of(key.p + n, key.n - n);
    return true;
}

static int take_entry(struct chain_restore *restore, struct bytes key, struct bytes value)
{
    struct chain *chain = restore->chain;
    struct bytes name;
    if (bytes_equal(key, STATE_KEY_ADMINS))
        return take_admins(restore, value);
    if (bytes_equal(key, STATE_KEY_PARAMETERS))
        return take_parameters(restore, value);
    if (bytes_equal(key, STATE_KEY_VALIDATORS))
        return take_validators(restore, value);
    if (cut(key, "member/", &name))
        return take_member(chain, name, value);
    if (cut(key, "key/", &name))
        return take_key(chain, name, value);
    if (cut(key, "item/", &name))
        return take_item(chain, name, value);
    if (cut(key, "history/", &name))
        return take_history(chain, name, value);
    if (cut(key, "window/", &name))
        return take_window(chain, name, value);
    return SEALMQ_E_PARSE;
}

/* --- chunks --- */

static bool is_after_last(const struct chain_restore *restore, struct bytes key)
{
    return restore->entries == 0 ||
           bytes_compare(bytes_of(restore->key, restore->key_size), key) < 0;
}

static int take_entries(struct chain_restore *restore, struct bytes chunk)
{
    struct reader r = reader_of(chunk);
    while (r.n != 0) {
        struct bytes key = reader_str16(&r);
        struct bytes value = reader_str32(&r);
        int error = reader_status(&r);
        if (error == 0 && (key.n > STATE_KEY_MAX || !is_after_last(restore, key)))
            error = SEALMQ_E_PARSE;
        if (error == 0 && restore->entries == restore->snapshot->entries)
            error = SEALMQ_E_COUNT;
        if (error == 0)
            error = take_entry(restore, key, value);
        if (error == 0)
            error = statetree_set(restore->chain->tree, key, value);
        if (error != 0)
            return error;
        memcpy(restore->key, key.p, key.n);
        restore->key_size = key.n;
        restore->entries++;
    }
    return reader_status(&r);
}

int chain_restore_chunk(struct chain_restore *restore, struct bytes chunk)
{
    if (restore->chunks >= restore->snapshot->chunk_count)
        return SEALMQ_E_COUNT;
    int error = snapshot_check_chunk(restore->snapshot, restore->chunks, chunk);
    if (error != 0)
        return error;
    restore->chunks++;
    return take_entries(restore, chunk);
}

static bool is_complete(const struct chain_restore *restore)
{
    if (restore->chunks != restore->snapshot->chunk_count ||
        restore->entries != restore->snapshot->entries || !restore->has_admins ||
        !restore->has_parameters || !restore->has_validators)
        return false;
    for (const struct chain_sender *s = restore->chain->senders; s != NULL; s = s->hh.next)
        if (s->lowest == 0)
            return false;
    return true;
}

static int begin_log(struct chain *chain, const struct snapshot *snapshot)
{
    int error = merkle_log_begin(&chain->log, &snapshot->edge);
    for (size_t i = 0; i < snapshot->leaves.n / HASH_SIZE && error == 0; i++) {
        struct hash leaf;
        memcpy(leaf.b, snapshot->leaves.p + i * HASH_SIZE, HASH_SIZE);
        error = merkle_log_append(&chain->log, &leaf);
    }
    return error;
}

int chain_restore_end(struct chain_restore *restore, const struct block_header *next,
                      struct chain **out)
{
    struct chain *chain = restore->chain;
    struct hash state_root;
    *out = NULL;
    if (!is_complete(restore))
        return SEALMQ_E_COUNT;
    int error = snapshot_check_next(restore->snapshot, next);
    if (error != 0)
        return error;
    statetree_root(chain->tree, &state_root);
    if (!hash_equal(&state_root, &next->state_root) ||
        !hash_equal(&restore->snapshot->header.next_validators, &chain->rules.validators_hash))
        return SEALMQ_E_HASH;
    error = begin_log(chain, restore->snapshot);
    if (error != 0)
        return error;
    chain->validators_height = restore->snapshot->header.height + 1; /* or before: not known */
    chain->tip = restore->snapshot->header;
    chain->tip_hash = restore->snapshot->header_hash;
    restore->chain = NULL;
    *out = chain;
    return 0;
}
