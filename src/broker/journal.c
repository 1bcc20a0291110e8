#include "broker/journal.h"

#include "base/assert.h"

#include <stdlib.h>

#define JOURNAL_MIN  64
#define JOURNAL_KEPT 4096 /* operations that stay allocated */

int broker_journal_reserve(struct broker_journal *journal, size_t n)
{
    if (n <= journal->capacity - journal->count)
        return 0;
    size_t capacity = journal->capacity == 0 ? JOURNAL_MIN : journal->capacity;
    while (capacity - journal->count < n) {
        if (capacity > SIZE_MAX / 4 / sizeof *journal->ops)
            return SEALMQ_E_NOMEM;
        capacity *= 2;
    }
    struct journal_op *ops = realloc(journal->ops, capacity * sizeof *ops);
    if (ops == NULL)
        return SEALMQ_E_NOMEM;
    journal->ops = ops;
    journal->capacity = capacity;
    return 0;
}

static size_t size_of(const struct journal_op *op)
{
    return sizeof *op + (op->message != NULL ? message_size(&op->message->view) : 0);
}

uint64_t broker_journal_append(struct broker_journal *journal, const struct journal_op *op)
{
    ASSERT(journal->count < journal->capacity);
    journal->bytes += size_of(op);
    journal->ops[journal->count] = *op;
    return journal->base + journal->count++;
}

struct journal_op *broker_journal_at(struct broker_journal *journal, uint64_t position)
{
    if (position < journal->base || position - journal->base >= journal->count)
        return NULL;
    return &journal->ops[position - journal->base];
}

static void release(struct journal_op *op)
{
    message_release(op->message);
    op->message = NULL;
    switch (op->kind) {
    case JOURNAL_SESSION_PUT:
        message_release(op->put->will);
        free(op->put);
        break;
    case JOURNAL_SUBSCRIPTION_PUT:
    case JOURNAL_SUBSCRIPTION_REMOVED:
        free(op->subscription);
        break;
    case JOURNAL_QUEUE_ADD:
        subscription_ids_release(op->ids);
        break;
    case JOURNAL_FETCH:
        journal_page_reset(op->page);
        free(op->page);
        break;
    default:
        break;
    }
}

void broker_journal_void(struct broker_journal *journal, struct journal_op *op)
{
    ASSERT(op->kind != JOURNAL_VOID);
    journal->bytes -= size_of(op);
    journal->void_count++;
    release(op);
    *op = (struct journal_op){.kind = JOURNAL_VOID};
    journal->bytes += sizeof *op;
}

void broker_journal_drop_message(struct broker_journal *journal, struct journal_op *op)
{
    ASSERT(op->kind == JOURNAL_QUEUE_ADD);
    journal->bytes -= size_of(op);
    message_release(op->message);
    subscription_ids_release(op->ids);
    op->message = NULL;
    op->ids = NULL;
    journal->bytes += size_of(op);
}

void broker_journal_clear(struct broker_journal *journal)
{
    for (size_t i = 0; i < journal->count; i++)
        release(&journal->ops[i]);
    journal->base += journal->count;
    journal->count = journal->void_count = 0;
    journal->bytes = 0;
    if (journal->capacity > JOURNAL_KEPT) {
        free(journal->ops);
        journal->ops = NULL;
        journal->capacity = 0;
    }
}

void broker_journal_close(struct broker_journal *journal)
{
    broker_journal_clear(journal);
    free(journal->ops);
    *journal = (struct broker_journal){0};
}

struct journal_page *journal_page_new(struct bytes client_id, uint64_t after, uint32_t messages,
                                      uint64_t bytes)
{
    struct journal_page *page = malloc(sizeof *page + client_id.n);
    if (page == NULL)
        return NULL;
    *page = (struct journal_page){.after = after, .messages = messages, .bytes = bytes};
    page->client_id_n = (uint16_t)client_id.n;
    if (client_id.n != 0)
        memcpy(page->client_id, client_id.p, client_id.n);
    return page;
}

void journal_page_reset(struct journal_page *page)
{
    for (uint32_t i = 0; i < page->count; i++) {
        message_release(page->list[i].message);
        free(page->list[i].ids);
    }
    free(page->list);
    page->list = NULL;
    page->count = 0;
}
