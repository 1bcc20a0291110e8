/* The part of a durable session's queue that is on disk only.
 *
 * In memory a queue holds a limited number of messages. What comes after them is stored and left
 * there: only how much it is stays known. When the client has taken most of what is in memory, the
 * next page is asked for by an operation in the journal, so that it finds all that was written
 * before it; it comes back with the stored journal. After a restart all queues are spilled. */
#include "broker/broker_int.h"

#include <stdlib.h>

#define PAGE_MESSAGES 256
#define PAGE_BYTES    (1024 * 1024)

bool spill_is_due(const struct broker *b, const struct session *s)
{
    uint32_t kept = s->queue.count - s->queue.qos0_count;
    return s->spill != NULL ||
           (b->storing != NULL && s->subscriber.is_durable &&
            (kept >= b->limits.memory_messages ||
             s->queue.live.bytes + s->queue.stored.bytes >= b->limits.memory_bytes));
}

int spill_begin(struct session *s, uint64_t first)
{
    if (s->spill != NULL)
        return 0;
    s->spill = calloc(1, sizeof *s->spill);
    if (s->spill == NULL)
        return SEALMQ_E_NOMEM;
    s->spill->after = first - 1;
    return 0;
}

void spill_count(struct broker *b, struct session *s, bool is_stored, uint32_t messages,
                 uint64_t bytes)
{
    struct queue_load *load = is_stored ? &s->spill->stored : &s->spill->live;
    load->count += messages;
    load->bytes += bytes;
    b->budgets.spilled_messages += messages;
    STAT_ADD(b, queued, messages);
    STAT_ADD(b, queued_bytes, bytes);
}

static void uncount(struct broker *b, struct session *s, bool is_stored, uint32_t messages,
                    uint64_t bytes)
{
    struct queue_load *load = is_stored ? &s->spill->stored : &s->spill->live;
    messages = messages < load->count ? messages : load->count;
    bytes = bytes < load->bytes ? bytes : load->bytes;
    load->count -= messages;
    load->bytes -= bytes;
    b->budgets.spilled_messages -= messages;
    STAT_SUB(b, queued, messages);
    STAT_SUB(b, queued_bytes, bytes);
}

void spill_drop(struct broker *b, struct session *s)
{
    if (s->spill == NULL)
        return;
    uncount(b, s, false, UINT32_MAX, UINT64_MAX);
    uncount(b, s, true, UINT32_MAX, UINT64_MAX);
    free(s->spill);
    s->spill = NULL;
}

void spill_fetch(struct broker *b, struct session *s)
{
    struct spill *spill = s->spill;
    if (spill == NULL || spill->is_fetching || s->conn == NULL ||
        s->queue.count - s->queue.qos0_count > PAGE_MESSAGES / 2)
        return;
    struct journal_page *page =
        journal_page_new(session_client_id(s), spill->after, PAGE_MESSAGES, PAGE_BYTES);
    if (page == NULL || storing_reserve(b, 1) != 0) {
        free(page); /* the next acknowledgement, or connection, tries again */
        return;
    }
    storing_fetch(b, s, page);
    spill->is_fetching = true;
}

/* Moves one message of a page into the queue. */
static int take(struct broker *b, struct session *s, struct journal_fetched *fetched)
{
    struct subscription_ids *ids = NULL;
    int error = 0;
    for (uint32_t i = 0; i < fetched->id_count && error == 0; i++)
        error = subscription_ids_add(&ids, fetched->ids[i]);
    struct delivery delivery = {
        .message = fetched->message,
        .ids = ids,
        .sequence = fetched->sequence,
        .qos = fetched->qos,
        .retain = fetched->retain,
        .is_stored = fetched->is_stored,
    };
    if (error == 0)
        error = queue_push(&s->queue, &delivery);
    if (error != 0) {
        subscription_ids_release(ids);
        return error;
    }
    uint64_t bytes = message_size(&fetched->message->view);
    uncount(b, s, fetched->is_stored, 1, bytes);
    STAT_ADD(b, queued, 1);
    STAT_ADD(b, queued_bytes, bytes);
    message_wait(&b->budgets.waiting_bytes, fetched->message);
    s->spill->after = fetched->sequence;
    return 0;
}

void spill_take_page(struct broker *b, struct session *s, struct journal_page *page)
{
    if (s->spill == NULL || !s->spill->is_fetching)
        return;
    s->spill->is_fetching = false;
    if (page->after == s->spill->after) {
        uint32_t i = 0;
        while (i < page->count && take(b, s, &page->list[i]) == 0)
            i++;
        /* Nothing there, and nothing under way: the count has outlived what it counted. */
        bool is_empty = page->count == 0 && b->storing->open.count == 0;
        if (is_empty || s->spill->live.count + s->spill->stored.count == 0)
            spill_drop(b, s);
    }
    if (s->conn != NULL && s->conn->state == CONN_CONNECTED)
        deliver_waiting(b, s);
}
