/* Taking changes back. Every change of the state in memory has a record here, pushed when nothing
 * can fail any more; records are undone newest first, which needs no memory. */
#include "ledger/chain_int.h"

#include "base/assert.h"

#include <stdlib.h>

int journal_reserve(struct journal *journal, size_t n)
{
    if (journal->capacity - journal->n >= n)
        return 0;
    size_t capacity = journal->capacity == 0 ? 64 : journal->capacity;
    while (capacity - journal->n < n)
        capacity *= 2;
    struct undo *records = reallocarray(journal->records, capacity, sizeof(*records));
    if (records == NULL)
        return SEALMQ_E_NOMEM;
    journal->records = records;
    journal->capacity = capacity;
    return 0;
}

struct undo *journal_push(struct journal *journal, enum undo_kind kind)
{
    ASSERT(journal->n < journal->capacity);
    struct undo *undo = &journal->records[journal->n++];
    *undo = (struct undo){.kind = kind};
    return undo;
}

/* Takes the added numbers off the end and merges the removed ones in again, from the back. There is
 * room: the array held them before, and never shrinks. */
static void undo_history(struct undo *undo)
{
    struct chain_sender *sender = undo->history.sender;
    sender->next = undo->history.next;
    sender->pending_count -= undo->history.added_count;
    size_t kept = sender->pending_count;
    size_t removed = undo->history.removed_count;
    sender->pending_count += removed;
    for (size_t to = sender->pending_count; removed > 0; to--) {
        if (kept > 0 && sender->pending[kept - 1] > undo->history.removed[removed - 1])
            sender->pending[to - 1] = sender->pending[--kept];
        else
            sender->pending[to - 1] = undo->history.removed[--removed];
    }
}

static void undo_member(struct chain *chain, struct undo *undo)
{
    if (undo->member.before == NULL)
        chain_drop_member(chain, undo->member.member);
    else
        undo->member.member->value = *undo->member.before;
    if (undo->member.before != NULL)
        undo->member.member->changing_height = undo->member.changing_height;
}

static void undo_one(struct chain *chain, struct undo *undo)
{
    switch (undo->kind) {
    case UNDO_SENDER:
        chain_drop_sender(chain, undo->sender);
        break;
    case UNDO_WINDOW:
        undo->window.sender->lowest = undo->window.lowest;
        undo->window.sender->used_above = undo->window.used_above;
        break;
    case UNDO_HISTORY:
        undo_history(undo);
        break;
    case UNDO_ITEM:
        sender_drop_item(undo->item.sender, undo->item.item);
        break;
    case UNDO_MEMBER:
        undo_member(chain, undo);
        break;
    case UNDO_KEY:
        chain_drop_key(chain, undo->key);
        break;
    case UNDO_VALIDATORS:
        chain->changes.validators = false;
        break;
    case UNDO_ADMINS:
        chain->changes.admins = false;
        break;
    case UNDO_PARAMETERS:
        chain->changes.parameters = false;
        break;
    }
}

static void release(struct undo *undo)
{
    if (undo->kind == UNDO_HISTORY)
        free(undo->history.removed);
    else if (undo->kind == UNDO_MEMBER)
        free(undo->member.before);
}

void journal_undo(struct chain *chain, size_t n)
{
    struct journal *journal = &chain->journal;
    while (journal->n > n) {
        struct undo *undo = &journal->records[--journal->n];
        undo_one(chain, undo);
        release(undo);
    }
}

void journal_forget(struct journal *journal)
{
    while (journal->n > 0)
        release(&journal->records[--journal->n]);
}

void chain_begin(struct chain *chain)
{
    ASSERT(!chain->is_tentative);
    ASSERT(chain->journal.n == 0);
    chain->is_tentative = true;
}

void chain_rollback(struct chain *chain)
{
    ASSERT(chain->is_tentative);
    journal_undo(chain, 0);
    chain->is_tentative = false;
}
