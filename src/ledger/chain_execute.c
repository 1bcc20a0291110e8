/* Executing one request that chain_check_request found fine. All or nothing: whatever was done
 * before memory ran out is undone from the journal. */
#include "ledger/chain_int.h"

#include "base/assert.h"

#include <stdlib.h>

/* Most records that a request of a few changes pushes: sender, window, and history or those of
 * chain_govern.c. */
#define RECORDS_MAX (3 + GOVERN_RECORDS_MAX)

static struct chain_sender *get_sender(struct chain *chain, struct bytes id)
{
    struct chain_sender *sender = chain_find_sender(chain, id);
    if (sender != NULL)
        return sender;
    sender = chain_add_sender(chain, id);
    if (sender != NULL)
        journal_push(&chain->journal, UNDO_SENDER)->sender = sender;
    return sender;
}

static void use_number(struct chain *chain, struct chain_sender *sender, uint64_t number)
{
    struct undo *undo = journal_push(&chain->journal, UNDO_WINDOW);
    undo->window.sender = sender;
    undo->window.lowest = sender->lowest;
    undo->window.used_above = sender->used_above;
    if (number > sender->lowest) {
        sender->used_above |= UINT64_C(1) << (number - sender->lowest - 1);
        return;
    }
    bool next_is_used;
    do {
        next_is_used = (sender->used_above & 1) != 0;
        sender->used_above >>= 1;
        sender->lowest++;
    } while (next_is_used);
}

/* How many leaves resolve a pending number, and how many leave one. */
static void count_leaves(const struct request *request, size_t *resolved, size_t *added)
{
    *resolved = *added = 0;
    struct bytes list = request->data.leaves;
    struct interval_leaf leaf;
    while (request_leaves_next(&list, &leaf)) {
        if (leaf.n < request->data.from)
            ++*resolved;
        else if (leaf.status == LEAF_PENDING)
            ++*added;
    }
}

static int reserve_pending(struct chain_sender *sender, size_t count)
{
    if (count <= sender->pending_capacity)
        return 0;
    size_t capacity = sender->pending_capacity == 0 ? 16 : sender->pending_capacity;
    while (capacity < count)
        capacity *= 2;
    uint64_t *pending = reallocarray(sender->pending, capacity, sizeof(*pending));
    if (pending == NULL)
        return SEALMQ_E_NOMEM;
    sender->pending = pending;
    sender->pending_capacity = capacity;
    return 0;
}

static int cover_interval(struct chain *chain, struct chain_sender *sender,
                          const struct request *request)
{
    size_t resolved, added;
    count_leaves(request, &resolved, &added);
    if (resolved == 0 && request->data.to < request->data.from)
        return 0;
    int error = reserve_pending(sender, sender->pending_count + added);
    if (error != 0)
        return error;
    uint64_t *removed = NULL;
    if (resolved != 0 && (removed = calloc(resolved, sizeof(*removed))) == NULL)
        return SEALMQ_E_NOMEM;

    struct undo *undo = journal_push(&chain->journal, UNDO_HISTORY);
    undo->history.sender = sender;
    undo->history.next = sender->next;
    undo->history.removed = removed;
    undo->history.removed_count = resolved;
    undo->history.added_count = added;

    /* One pass: numbers that are resolved are skipped, the others move up. */
    size_t from = 0;
    size_t to = 0;
    struct bytes list = request->data.leaves;
    struct interval_leaf leaf;
    for (size_t i = 0; i < resolved; i++) {
        bool more = request_leaves_next(&list, &leaf);
        ASSERT(more);
        while (sender->pending[from] != leaf.n) {
            sender->pending[to++] = sender->pending[from++];
            ASSERT(from < sender->pending_count);
        }
        removed[i] = sender->pending[from++];
    }
    while (from < sender->pending_count)
        sender->pending[to++] = sender->pending[from++];
    while (request_leaves_next(&list, &leaf))
        if (leaf.status == LEAF_PENDING)
            sender->pending[to++] = leaf.n;
    sender->pending_count = to;
    sender->next = request->data.to + 1;
    return 0;
}

static int describe_items(struct chain *chain, struct chain_sender *sender,
                          const struct request *request)
{
    int error = journal_reserve(&chain->journal, request->describe.item_count);
    if (error != 0)
        return error;
    struct bytes list = request->describe.items;
    struct item item;
    while (request_items_next(&list, &item)) {
        if (sender_find_item(sender, item.num) != NULL)
            continue; /* said before, in the same words */
        struct chain_item *new = sender_add_item(sender, &item);
        if (new == NULL)
            return SEALMQ_E_NOMEM;
        struct undo *undo = journal_push(&chain->journal, UNDO_ITEM);
        undo->item.sender = sender;
        undo->item.item = new;
    }
    return 0;
}

static int apply(struct chain *chain, const struct request *request)
{
    int error = journal_reserve(&chain->journal, RECORDS_MAX);
    if (error != 0)
        return error;
    struct chain_sender *sender = get_sender(chain, request->sender);
    if (sender == NULL)
        return SEALMQ_E_NOMEM;
    use_number(chain, sender, request->number);
    switch (request->kind) {
    case REQUEST_DATA:
        return cover_interval(chain, sender, request);
    case REQUEST_DESCRIBE:
        return describe_items(chain, sender, request);
    case REQUEST_REGISTER:
    case REQUEST_REVOKE:
    case REQUEST_ROTATE:
    case REQUEST_CONFIGURE:
        return govern_apply(chain, request);
    }
    return SEALMQ_E_TYPE;
}

int chain_execute(struct chain *chain, const struct request *request)
{
    ASSERT(chain->is_tentative);
    int error = chain_check_request(chain, request);
    if (error != 0)
        return error;
    size_t start = chain->journal.n;
    error = apply(chain, request);
    if (error != 0)
        journal_undo(chain, start);
    return error;
}
