/* The state in memory. Members, keys and senders are in hash tables: only admins of the network can
 * add to them, so that nobody gets to choose ids that collide. Items are what gateways choose, so
 * they are in sorted arrays, where no choice of numbers or names makes a search slow. */
#include "ledger/chain_int.h"

#include "base/assert.h"

#include <stdlib.h>

/* --- finding --- */

struct chain_member *chain_find_member(const struct chain *chain, struct bytes id)
{
    struct chain_member *found;
    HASH_FIND(hh, chain->members, id.p, id.n, found);
    return found;
}

struct chain_sender *chain_find_sender(const struct chain *chain, struct bytes id)
{
    struct chain_sender *found;
    HASH_FIND(hh, chain->senders, id.p, id.n, found);
    return found;
}

const struct genesis_admin *chain_find_admin(const struct chain *chain, struct bytes id)
{
    const struct admins_value *admins = &chain->rules.admins;
    for (size_t i = 0; i < admins->n; i++)
        if (bytes_equal(bytes_str(admins->admins[i].id), id))
            return &admins->admins[i];
    return NULL;
}

struct chain_key *chain_find_key(const struct chain *chain, const struct public_key *key)
{
    struct chain_key *found;
    HASH_FIND(hh, chain->keys, key->b, PUBLIC_KEY_SIZE, found);
    return found;
}

bool sender_number_is_used(const struct chain_sender *sender, uint64_t number)
{
    if (number <= sender->lowest)
        return number < sender->lowest;
    uint64_t above = number - sender->lowest - 1;
    return above < 64 && (sender->used_above >> above & 1) != 0;
}

const struct public_key *member_key_at(const struct member_value *value, uint64_t height)
{
    for (size_t i = value->key_count; i-- > 0;) {
        const struct member_key *key = &value->keys[i];
        if (key->from <= height && (key->until == 0 || height < key->until))
            return &key->key;
    }
    return NULL;
}

/* --- items --- */

/* Where `num` is or would be. */
static size_t place_of_num(const struct chain_sender *sender, uint32_t num)
{
    size_t low = 0;
    size_t high = sender->item_count;
    /* Numbers are mostly given in order: the end first. */
    if (high > 0 && sender->by_num[high - 1]->item.num < num)
        return high;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (sender->by_num[middle]->item.num < num)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int compare_names(const struct item *a, const struct item *b)
{
    int order = bytes_compare(a->device, b->device);
    if (order == 0)
        order = bytes_compare(a->service, b->service);
    if (order == 0)
        order = bytes_compare(a->name, b->name);
    return order;
}

static size_t place_of_name(const struct chain_sender *sender, const struct item *item)
{
    size_t low = 0;
    size_t high = sender->item_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_names(&sender->by_name[middle]->item, item) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct chain_item *sender_find_item(const struct chain_sender *sender, uint32_t num)
{
    size_t place = place_of_num(sender, num);
    if (place == sender->item_count || sender->by_num[place]->item.num != num)
        return NULL;
    return sender->by_num[place];
}

const struct chain_item *sender_find_name(const struct chain_sender *sender,
                                          const struct item *item)
{
    size_t place = place_of_name(sender, item);
    if (place == sender->item_count || compare_names(&sender->by_name[place]->item, item) != 0)
        return NULL;
    return sender->by_name[place];
}

static bool reserve_item(struct chain_sender *sender)
{
    if (sender->item_count < sender->item_capacity)
        return true;
    size_t capacity = sender->item_capacity == 0 ? 16 : 2 * sender->item_capacity;
    struct chain_item **by_num =
        reallocarray(sender->by_num, capacity, sizeof(struct chain_item *));
    if (by_num == NULL)
        return false;
    sender->by_num = by_num;
    struct chain_item **by_name =
        reallocarray(sender->by_name, capacity, sizeof(struct chain_item *));
    if (by_name == NULL)
        return false;
    sender->by_name = by_name;
    sender->item_capacity = capacity;
    return true;
}

static void insert_at(struct chain_item **array, size_t count, size_t place,
                      struct chain_item *item)
{
    memmove(&array[place + 1], &array[place], (count - place) * sizeof(struct chain_item *));
    array[place] = item;
}

static void remove_at(struct chain_item **array, size_t count, size_t place)
{
    memmove(&array[place], &array[place + 1], (count - place - 1) * sizeof(struct chain_item *));
}

static struct bytes copy_text(uint8_t **at, struct bytes from)
{
    struct bytes copy = bytes_of(*at, from.n);
    if (from.n != 0)
        memcpy(*at, from.p, from.n);
    *at += from.n;
    return copy;
}

struct chain_item *sender_add_item(struct chain_sender *sender, const struct item *item)
{
    if (!reserve_item(sender))
        return NULL;
    size_t size = item->device.n + item->service.n + item->name.n + item->unit.n;
    struct chain_item *new = malloc(sizeof(*new) + size);
    if (new == NULL)
        return NULL;
    uint8_t *at = new->text;
    new->item = (struct item){.num = item->num, .type = item->type};
    new->item.device = copy_text(&at, item->device);
    new->item.service = copy_text(&at, item->service);
    new->item.name = copy_text(&at, item->name);
    new->item.unit = copy_text(&at, item->unit);
    insert_at(sender->by_num, sender->item_count, place_of_num(sender, item->num), new);
    insert_at(sender->by_name, sender->item_count, place_of_name(sender, item), new);
    sender->item_count++;
    return new;
}

void sender_drop_item(struct chain_sender *sender, struct chain_item *item)
{
    size_t num = place_of_num(sender, item->item.num);
    size_t name = place_of_name(sender, &item->item);
    ASSERT(sender->by_num[num] == item && sender->by_name[name] == item);
    remove_at(sender->by_num, sender->item_count, num);
    remove_at(sender->by_name, sender->item_count, name);
    sender->item_count--;
    free(item);
}

/* --- adding and taking away --- */

/* `id` was checked when it was decoded. */
static void copy_id(char out[ID_MAX + 1], struct bytes id)
{
    int error = bytes_to_cstr(id, out, ID_MAX + 1);
    ASSERT(error == 0);
}

struct chain_member *chain_add_member(struct chain *chain, struct bytes id,
                                      const struct member_value *value)
{
    struct chain_member *member = calloc(1, sizeof(*member));
    if (member == NULL)
        return NULL;
    copy_id(member->id, id);
    member->value = *value;
    HASH_ADD(hh, chain->members, id, id.n, member);
    if (member->hh.tbl == NULL) {
        free(member);
        return NULL;
    }
    return member;
}

void chain_drop_member(struct chain *chain, struct chain_member *member)
{
    HASH_DELETE(hh, chain->members, member);
    free(member);
}

struct chain_sender *chain_add_sender(struct chain *chain, struct bytes id)
{
    struct chain_sender *sender = calloc(1, sizeof(*sender));
    if (sender == NULL)
        return NULL;
    copy_id(sender->id, id);
    sender->lowest = 1;
    sender->next = 1;
    HASH_ADD(hh, chain->senders, id, id.n, sender);
    if (sender->hh.tbl == NULL) {
        free(sender);
        return NULL;
    }
    return sender;
}

void chain_drop_sender(struct chain *chain, struct chain_sender *sender)
{
    HASH_DELETE(hh, chain->senders, sender);
    for (size_t i = 0; i < sender->item_count; i++)
        free(sender->by_num[i]);
    free(sender->by_num);
    free(sender->by_name);
    free(sender->pending);
    free(sender);
}

struct chain_key *chain_add_key(struct chain *chain, const struct public_key *key, uint8_t use,
                                struct bytes id)
{
    struct chain_key *new = calloc(1, sizeof(*new));
    if (new == NULL)
        return NULL;
    new->key = *key;
    new->use = use;
    copy_id(new->id, id);
    HASH_ADD(hh, chain->keys, key, PUBLIC_KEY_SIZE, new);
    if (new->hh.tbl == NULL) {
        free(new);
        return NULL;
    }
    return new;
}

void chain_drop_key(struct chain *chain, struct chain_key *key)
{
    HASH_DELETE(hh, chain->keys, key);
    free(key);
}
