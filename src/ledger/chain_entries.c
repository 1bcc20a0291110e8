/* The state as entries of the state tree (docs/spec/state.md):
 *
 *   "member/<id>", "item/<gateway>/<num>", "admins"   see state_entry.h
 *   "window/<sender>"    u64 lowest unused request number || u64 bitmap (bit i: lowest + 1 + i)
 *   "history/<gateway>"  u64 next capture number || u32 pending || pending * u64, ascending
 *   "validators", "parameters"                         as in the genesis's canonical form
 *   "key/<hexadecimal>"                                see state_entry.h
 *
 * An entry is there from the first request that touches it. A block writes each touched entry once,
 * however many of its requests touched it: the journal says which, the `touched` marks tell it
 * apart from one that is already collected. */
#include "ledger/chain_int.h"

#include "base/assert.h"
#include "base/text.h"

#include <stdlib.h>

/* --- one entry's value --- */

static void window_encode(const struct chain_sender *sender, struct buf *out)
{
    buf_append_u64(out, sender->lowest);
    buf_append_u64(out, sender->used_above);
}

static void history_encode(const struct chain_sender *sender, struct buf *out)
{
    buf_append_u64(out, sender->next);
    buf_append_u32(out, (uint32_t)sender->pending_count);
    for (size_t i = 0; i < sender->pending_count; i++)
        buf_append_u64(out, sender->pending[i]);
}

static void sender_key(const char *prefix, const char *id, struct buf *out)
{
    buf_append_cstr(out, prefix);
    buf_append_cstr(out, id);
}

/* --- collecting what a block touched --- */

/* Appends str16 key || str32 value, both built in one buffer of their own first. */
static void add_entry(struct entries *out, const struct buf *key, const struct buf *value)
{
    if (out->buf.failed == 0)
        out->buf.failed = key->failed != 0 ? key->failed : value->failed;
    buf_append_str16(&out->buf, buf_bytes(key));
    buf_append_str32(&out->buf, buf_bytes(value));
    out->new_count++;
}

static void collect_one(const struct chain *chain, const struct undo *undo, struct entries *out,
                        struct buf *key, struct buf *value)
{
    buf_reset(key);
    buf_reset(value);
    switch (undo->kind) {
    case UNDO_WINDOW:
        if (undo->window.sender->window_touched)
            return;
        undo->window.sender->window_touched = true;
        sender_key("window/", undo->window.sender->id, key);
        window_encode(undo->window.sender, value);
        break;
    case UNDO_HISTORY:
        if (undo->history.sender->history_touched)
            return;
        undo->history.sender->history_touched = true;
        sender_key("history/", undo->history.sender->id, key);
        history_encode(undo->history.sender, value);
        break;
    case UNDO_ITEM:
        state_key_item(bytes_str(undo->item.sender->id), undo->item.item->item.num, key);
        item_value_encode(&undo->item.item->item, value);
        break;
    case UNDO_MEMBER:
        if (undo->member.member->is_touched)
            return;
        undo->member.member->is_touched = true;
        state_key_member(bytes_str(undo->member.member->id), key);
        member_value_encode(&undo->member.member->value, value);
        break;
    case UNDO_KEY:
        if (undo->key->use == KEY_OF_MEMBER)
            return;
        state_key_key(&undo->key->key, key);
        key_value_encode((enum key_use)undo->key->use, bytes_str(undo->key->id), value);
        break;
    case UNDO_VALIDATORS:
        buf_append_bytes(key, STATE_KEY_VALIDATORS);
        validator_set_encode(&chain->next.validators, value);
        break;
    case UNDO_ADMINS:
        buf_append_bytes(key, STATE_KEY_ADMINS);
        admins_value_encode(&chain->next.admins, value);
        break;
    case UNDO_PARAMETERS:
        buf_append_bytes(key, STATE_KEY_PARAMETERS);
        genesis_parameters_encode(&chain->next.parameters, value);
        break;
    case UNDO_SENDER:
        return; /* seen in the entries of what it does */
    }
    add_entry(out, key, value);
}

static void clear_marks(const struct journal *journal)
{
    for (size_t i = 0; i < journal->n; i++) {
        const struct undo *undo = &journal->records[i];
        if (undo->kind == UNDO_WINDOW)
            undo->window.sender->window_touched = false;
        else if (undo->kind == UNDO_HISTORY)
            undo->history.sender->history_touched = false;
        else if (undo->kind == UNDO_MEMBER)
            undo->member.member->is_touched = false;
    }
}

int entries_collect(struct chain *chain, struct entries *out)
{
    *out = (struct entries){0};
    struct buf key = {0};
    struct buf value = {0};
    for (size_t i = 0; i < chain->journal.n && out->buf.failed == 0; i++)
        collect_one(chain, &chain->journal.records[i], out, &key, &value);
    clear_marks(&chain->journal);
    buf_close(&key);
    buf_close(&value);
    int error = buf_status(&out->buf);
    if (error != 0)
        buf_close(&out->buf);
    return error;
}

void entries_write(struct chain *chain, const struct entries *entries)
{
    struct reader r = reader_of(buf_bytes(&entries->buf));
    while (r.n != 0) {
        struct bytes key = reader_str16(&r);
        struct bytes value = reader_str32(&r);
        int error = statetree_set(chain->tree, key, value);
        ASSERT(error == 0);
    }
    ASSERT(r.failed == 0);
}

/* --- the genesis's entries --- */

/* Sets one entry and empties the value for the next. */
static int set_entry(struct chain *chain, struct bytes key, struct buf *value)
{
    int error = buf_status(value);
    if (error == 0)
        error = statetree_set(chain->tree, key, buf_bytes(value));
    buf_reset(value);
    return error;
}

int entries_write_genesis(struct chain *chain)
{
    struct buf key = {0};
    struct buf value = {0};
    validator_set_encode(&chain->rules.validators, &value);
    int error = set_entry(chain, STATE_KEY_VALIDATORS, &value);
    if (error == 0) {
        genesis_parameters_encode(&chain->rules.parameters, &value);
        error = set_entry(chain, STATE_KEY_PARAMETERS, &value);
    }
    if (error == 0) {
        admins_value_encode(&chain->rules.admins, &value);
        error = set_entry(chain, STATE_KEY_ADMINS, &value);
    }
    for (struct chain_member *m = chain->members; m != NULL && error == 0; m = m->hh.next) {
        buf_reset(&key);
        state_key_member(bytes_str(m->id), &key);
        member_value_encode(&m->value, &value);
        error = buf_status(&key);
        if (error == 0)
            error = set_entry(chain, buf_bytes(&key), &value);
    }
    for (struct chain_key *k = chain->keys; k != NULL && error == 0; k = k->hh.next) {
        if (k->use == KEY_OF_MEMBER)
            continue;
        buf_reset(&key);
        state_key_key(&k->key, &key);
        key_value_encode((enum key_use)k->use, bytes_str(k->id), &value);
        error = buf_status(&key);
        if (error == 0)
            error = set_entry(chain, buf_bytes(&key), &value);
    }
    buf_close(&key);
    buf_close(&value);
    return error;
}

/* --- reading one entry --- */

static bool cut_prefix(struct bytes *key, struct bytes prefix)
{
    if (!bytes_starts_with(*key, prefix))
        return false;
    *key = bytes_of(key->p + prefix.n, key->n - prefix.n);
    return true;
}

/* "<gateway>/<num>" */
static const struct chain_item *find_item(const struct chain *chain, struct bytes name)
{
    size_t slash = name.n;
    while (slash > 0 && name.p[slash - 1] != '/')
        slash--;
    uint64_t num;
    if (slash == 0 || u64_parse(bytes_of(name.p + slash, name.n - slash), &num) != 0 ||
        num > UINT32_MAX)
        return NULL;
    const struct chain_sender *sender = chain_find_sender(chain, bytes_of(name.p, slash - 1));
    return sender == NULL ? NULL : sender_find_item(sender, (uint32_t)num);
}

static const struct chain_key *find_key(const struct chain *chain, struct bytes digits)
{
    struct public_key key;
    if (!state_key_read_digits(digits, &key))
        return NULL;
    const struct chain_key *found = chain_find_key(chain, &key);
    return found != NULL && found->use != KEY_OF_MEMBER ? found : NULL;
}

int chain_entry_value(const struct chain *chain, struct bytes key, struct buf *value)
{
    const struct chain_member *member;
    const struct chain_sender *sender;
    const struct chain_item *item;
    const struct chain_key *named;
    struct bytes name = key;
    if (bytes_equal(key, STATE_KEY_VALIDATORS))
        validator_set_encode(&chain->rules.validators, value);
    else if (bytes_equal(key, STATE_KEY_PARAMETERS))
        genesis_parameters_encode(&chain->rules.parameters, value);
    else if (bytes_equal(key, STATE_KEY_ADMINS))
        admins_value_encode(&chain->rules.admins, value);
    else if (cut_prefix(&name, BYTES_LIT("member/")) &&
             (member = chain_find_member(chain, name)) != NULL)
        member_value_encode(&member->value, value);
    else if (cut_prefix(&name, BYTES_LIT("item/")) && (item = find_item(chain, name)) != NULL)
        item_value_encode(&item->item, value);
    else if (cut_prefix(&name, BYTES_LIT("window/")) &&
             (sender = chain_find_sender(chain, name)) != NULL)
        window_encode(sender, value);
    else if (cut_prefix(&name, BYTES_LIT("history/")) &&
             (sender = chain_find_sender(chain, name)) != NULL)
        history_encode(sender, value);
    else if (cut_prefix(&name, BYTES_LIT("key/")) && (named = find_key(chain, name)) != NULL)
        key_value_encode((enum key_use)named->use, bytes_str(named->id), value);
    else
        return SEALMQ_E_NOTFOUND;
    return buf_status(value);
}

/* --- all keys --- */

struct key_list {
    struct buf text; /* the keys, one behind another */
    struct buf ends; /* size_t each */
};

static void list_key(struct key_list *list)
{
    buf_append(&list->ends, &list->text.n, sizeof(list->text.n));
}

static void list_sender(const struct chain_sender *sender, struct key_list *list)
{
    sender_key("window/", sender->id, &list->text);
    list_key(list);
    if (sender->next != 1) { /* an interval was covered */
        sender_key("history/", sender->id, &list->text);
        list_key(list);
    }
    for (size_t i = 0; i < sender->item_count; i++) {
        state_key_item(bytes_str(sender->id), sender->by_num[i]->item.num, &list->text);
        list_key(list);
    }
}

static int list_all(const struct chain *chain, struct key_list *list)
{
    const struct bytes single[] = {STATE_KEY_ADMINS, STATE_KEY_PARAMETERS, STATE_KEY_VALIDATORS};
    for (size_t i = 0; i < sizeof(single) / sizeof(single[0]); i++) {
        buf_append_bytes(&list->text, single[i]);
        list_key(list);
    }
    for (const struct chain_member *m = chain->members; m != NULL; m = m->hh.next) {
        state_key_member(bytes_str(m->id), &list->text);
        list_key(list);
    }
    for (const struct chain_key *k = chain->keys; k != NULL; k = k->hh.next) {
        if (k->use == KEY_OF_MEMBER)
            continue;
        state_key_key(&k->key, &list->text);
        list_key(list);
    }
    for (const struct chain_sender *s = chain->senders; s != NULL; s = s->hh.next)
        list_sender(s, list);
    int error = buf_status(&list->text);
    return error != 0 ? error : buf_status(&list->ends);
}

static int compare_keys(const void *a, const void *b)
{
    return bytes_compare(*(const struct bytes *)a, *(const struct bytes *)b);
}

int chain_keys_each(const struct chain *chain, chain_key_fn fn, void *context)
{
    struct key_list list = {0};
    struct bytes *keys = NULL;
    size_t n = 0;
    int error = list_all(chain, &list);
    if (error == 0) {
        n = list.ends.n / sizeof(size_t);
        keys = calloc(n, sizeof(*keys));
        error = keys == NULL ? SEALMQ_E_NOMEM : 0;
    }
    size_t from = 0;
    for (size_t i = 0; i < n && error == 0; i++) {
        size_t end;
        memcpy(&end, list.ends.p + i * sizeof(end), sizeof(end));
        keys[i] = bytes_of(list.text.p + from, end - from);
        from = end;
    }
    if (error == 0)
        qsort(keys, n, sizeof(*keys), compare_keys);
    for (size_t i = 0; i < n && error == 0; i++)
        error = fn(context, keys[i]);
    free(keys);
    buf_close(&list.text);
    buf_close(&list.ends);
    return error;
}

int chain_prove_state(struct chain *chain, struct bytes key, struct buf *value,
                      struct statetree_path *out)
{
    ASSERT(!chain->is_tentative);
    int error = statetree_prove(chain->tree, key, out);
    if (error != 0)
        return error;
    size_t start = value->n;
    error = chain_entry_value(chain, key, value);
    if (error != 0)
        value->n = start;
    return error;
}
