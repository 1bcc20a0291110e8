/* Requests that wait. What is kept is always bounded: numbers must lie in the sender's window, so a
 * sender never has more than MEMPOOL_SENDER_REQUESTS_MAX, and no number can take the place of a
 * lower one that must be executed first. */
#include "ledger/mempool_int.h"

#include "base/assert.h"

#include <stdlib.h>

int mempool_new(struct mempool **out)
{
    *out = calloc(1, sizeof(**out));
    if (*out == NULL)
        return SEALMQ_E_NOMEM;
    (*out)->oldest_ready_ms = UINT64_MAX;
    return 0;
}

void mempool_free(struct mempool *pool)
{
    if (pool == NULL)
        return;
    while (pool->oldest != NULL)
        mempool_drop(pool, pool->oldest);
    free(pool);
}

/* Where `number` is or would be. */
static size_t place_of(const struct pool_sender *sender, uint64_t number)
{
    size_t place = 0;
    while (place < sender->n && sender->entries[place]->request.number < number)
        place++;
    return place;
}

static void drop_sender(struct mempool *pool, struct pool_sender *sender)
{
    HASH_DELETE(hh, pool->senders, sender);
    free(sender);
}

void mempool_drop(struct mempool *pool, struct pool_entry *entry)
{
    struct pool_sender *sender = entry->sender;
    size_t place = place_of(sender, entry->request.number);
    ASSERT(sender->entries[place] == entry && pool->by_hash != NULL);
    sender->n--;
    memmove(&sender->entries[place], &sender->entries[place + 1],
            (sender->n - place) * sizeof(struct pool_entry *));
    sender->bytes -= entry->request.wire.n;
    pool->bytes -= entry->request.wire.n;
    pool->count--;
    HASH_DELETE(hh, pool->by_hash, entry);
    DL_DELETE(pool->oldest, entry);
    free(entry);
    if (sender->n == 0)
        drop_sender(pool, sender);
}

void mempool_update_oldest(struct mempool *pool)
{
    const struct pool_entry *entry = pool->oldest;
    while (entry != NULL && !entry->is_ready)
        entry = entry->next;
    pool->oldest_ready_ms = entry == NULL ? UINT64_MAX : entry->arrival_ms;
}

/* --- pruning --- */

/* A member that got another key signs anew: what the old key signed is void. So is what admins
 * signed before others took their place. */
static bool key_is_void(const struct pool_sender *sender, const struct chain *chain)
{
    if (!sender->is_member)
        return chain_admins_height(chain) > sender->seen_height;
    struct member member;
    int error = chain_member(chain, bytes_str(sender->id), &member);
    return error != 0 || memcmp(member.key.b, sender->key.b, PUBLIC_KEY_SIZE) != 0;
}

/* Looks at all entries of a sender again; the sender may be gone afterwards. */
static void prune_sender(struct mempool *pool, const struct chain *chain,
                         struct pool_sender *sender)
{
    bool is_void = key_is_void(sender, chain);
    sender->seen_height = chain_height(chain);
    for (size_t i = sender->n; i-- > 0;) {
        struct pool_entry *entry = sender->entries[i];
        int error = is_void ? SEALMQ_E_SIGNATURE : chain_check_request(chain, &entry->request);
        if (error == 0 || chain_error_may_pass(error))
            entry->is_ready = error == 0;
        else
            mempool_drop(pool, entry);
    }
}

void mempool_prune(struct mempool *pool, const struct chain *chain)
{
    struct pool_sender *sender, *next;
    HASH_ITER (hh, pool->senders, sender, next) {
        /* What may change the answer is the sender's own doing, but for what admins do. */
        if (!sender->is_member ||
            chain_changed_height(chain, bytes_str(sender->id)) > sender->seen_height)
            prune_sender(pool, chain, sender);
    }
    mempool_update_oldest(pool);
}

/* --- adding --- */

static struct pool_sender *get_sender(struct mempool *pool, const struct chain *chain,
                                      struct bytes id)
{
    struct pool_sender *sender;
    HASH_FIND(hh, pool->senders, id.p, id.n, sender);
    if (sender != NULL)
        return sender;
    sender = calloc(1, sizeof(*sender));
    if (sender == NULL)
        return NULL;
    int error = bytes_to_cstr(id, sender->id, sizeof(sender->id));
    ASSERT(error == 0);
    struct member member;
    sender->is_member = chain_member(chain, id, &member) == 0;
    if (sender->is_member)
        sender->key = member.key;
    sender->seen_height = chain_height(chain);
    HASH_ADD(hh, pool->senders, id, id.n, sender);
    if (sender->hh.tbl == NULL) {
        free(sender);
        return NULL;
    }
    return sender;
}

/* Decodes a copy. */
static int make_entry(struct bytes wire, struct pool_entry **out)
{
    *out = NULL;
    if (wire.n > REQUEST_BYTES_MAX)
        return SEALMQ_E_LIMIT;
    struct pool_entry *entry = calloc(1, sizeof(*entry) + wire.n);
    if (entry == NULL)
        return SEALMQ_E_NOMEM;
    if (wire.n != 0)
        memcpy(entry->wire, wire.p, wire.n);
    int error = request_decode(bytes_of(entry->wire, wire.n), &entry->request);
    if (error != 0) {
        free(entry);
        return error;
    }
    entry->hash = entry->request.hash;
    *out = entry;
    return 0;
}

/* Whether there is a place for the request; not changed by asking. */
static int check_room(const struct mempool *pool, const struct chain *chain,
                      const struct request *request)
{
    if (chain_request_used(chain, request->sender, request->number))
        return SEALMQ_E_REPLAY;
    if (request->number - chain_request_next(chain, request->sender) >= REQUEST_WINDOW)
        return SEALMQ_E_LIMIT;
    const struct pool_sender *sender;
    HASH_FIND(hh, pool->senders, request->sender.p, request->sender.n, sender);
    if (sender != NULL) {
        size_t place = place_of(sender, request->number);
        if (place < sender->n && sender->entries[place]->request.number == request->number)
            return hash_equal(&sender->entries[place]->hash, &request->hash) ? SEALMQ_E_EXISTS
                                                                             : SEALMQ_E_CONFLICT;
        if (sender->n == MEMPOOL_SENDER_REQUESTS_MAX ||
            request->wire.n > MEMPOOL_SENDER_BYTES_MAX - sender->bytes)
            return SEALMQ_E_FULL;
    }
    if (pool->count >= MEMPOOL_REQUESTS_MAX || request->wire.n > MEMPOOL_BYTES_MAX - pool->bytes)
        return SEALMQ_E_FULL;
    return 0;
}

static int insert(struct mempool *pool, const struct chain *chain, struct pool_entry *entry)
{
    struct pool_sender *sender = get_sender(pool, chain, entry->request.sender);
    if (sender == NULL)
        return SEALMQ_E_NOMEM;
    HASH_ADD(hh, pool->by_hash, hash, sizeof(entry->hash), entry);
    if (entry->hh.tbl == NULL) {
        if (sender->n == 0)
            drop_sender(pool, sender);
        return SEALMQ_E_NOMEM;
    }
    DL_APPEND(pool->oldest, entry);
    entry->sender = sender;
    size_t place = place_of(sender, entry->request.number);
    memmove(&sender->entries[place + 1], &sender->entries[place],
            (sender->n - place) * sizeof(struct pool_entry *));
    sender->entries[place] = entry;
    sender->n++;
    sender->bytes += entry->request.wire.n;
    pool->count++;
    pool->bytes += entry->request.wire.n;
    return 0;
}

/* A sender whose key changed since must not have its new requests judged by the old key. */
static void forget_void(struct mempool *pool, const struct chain *chain, struct bytes id)
{
    struct pool_sender *sender;
    HASH_FIND(hh, pool->senders, id.p, id.n, sender);
    if (sender == NULL || !key_is_void(sender, chain))
        return;
    prune_sender(pool, chain, sender);
    mempool_update_oldest(pool);
}

int mempool_add(struct mempool *pool, const struct chain *chain, struct bytes wire, uint64_t now_ms)
{
    struct pool_entry *entry;
    int error = make_entry(wire, &entry);
    if (error != 0)
        return error;
    forget_void(pool, chain, entry->request.sender);
    error = check_room(pool, chain, &entry->request);
    int state = 0;
    if (error == 0) {
        state = chain_check_request(chain, &entry->request);
        if (state != 0 && !chain_error_may_pass(state))
            error = state;
    }
    if (error == 0)
        error = insert(pool, chain, entry);
    if (error != 0) {
        free(entry);
        return error;
    }
    entry->arrival = pool->arrivals++;
    entry->arrival_ms = now_ms;
    entry->is_ready = state == 0;
    if (entry->is_ready && now_ms < pool->oldest_ready_ms)
        pool->oldest_ready_ms = now_ms;
    return 0;
}

/* --- asking --- */

bool mempool_has(const struct mempool *pool, const struct hash *request_hash)
{
    const struct pool_entry *found;
    HASH_FIND(hh, pool->by_hash, request_hash, sizeof(*request_hash), found);
    return found != NULL;
}

size_t mempool_count(const struct mempool *pool)
{
    return pool->count;
}

size_t mempool_bytes(const struct mempool *pool)
{
    return pool->bytes;
}

uint64_t mempool_oldest_ms(const struct mempool *pool)
{
    return pool->oldest_ready_ms;
}

void mempool_each(const struct mempool *pool, void (*fn)(void *context, struct bytes wire),
                  void *context)
{
    for (const struct pool_entry *e = pool->oldest; e != NULL; e = e->next)
        fn(context, e->request.wire);
}
