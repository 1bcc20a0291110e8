#include "broker/message.h"

#include "base/assert.h"
#include "broker/budget.h"

#include <stdlib.h>

size_t message_size(const struct message_view *view)
{
    return sizeof(struct broker_message) + view->topic.n + view->props.n + view->payload.n;
}

static struct bytes copy_part(uint8_t **to, struct bytes part)
{
    uint8_t *p = *to;
    if (part.n != 0)
        memcpy(p, part.p, part.n);
    *to = p + part.n;
    return bytes_of(p, part.n);
}

int publication_own(struct publication *publication)
{
    if (publication->owned != NULL)
        return 0;
    struct broker_message *message = malloc(message_size(&publication->view));
    if (message == NULL)
        return SEALMQ_E_NOMEM;
    uint8_t *to = message->bytes;
    publication->view.topic = copy_part(&to, publication->view.topic);
    publication->view.props = copy_part(&to, publication->view.props);
    publication->view.payload = copy_part(&to, publication->view.payload);
    atomic_init(&message->references, 1);
    message->view = publication->view;
    publication->owned = message;
    return 0;
}

void publication_of(struct broker_message *message, struct publication *out)
{
    *out = (struct publication){.view = message->view, .owned = message_hold(message)};
}

void publication_close(struct publication *publication)
{
    message_release(publication->owned);
    publication->owned = NULL;
}

struct broker_message *message_hold(struct broker_message *message)
{
    atomic_fetch_add_explicit(&message->references, 1, memory_order_relaxed);
    return message;
}

static void release(struct broker_message *message, uint64_t references)
{
    uint64_t before =
        atomic_fetch_sub_explicit(&message->references, references, memory_order_acq_rel);
    ASSERT(before >= references);
    if (before == references)
        free(message);
}

void message_release(struct broker_message *message)
{
    if (message != NULL)
        release(message, 1);
}

/* One reference, and one of the upper half. */
static const uint64_t waiting_reference = (UINT64_C(1) << 32) + 1;

void message_wait(struct budget *budget, struct broker_message *message)
{
    uint64_t before =
        atomic_fetch_add_explicit(&message->references, waiting_reference, memory_order_relaxed);
    if (before >> 32 == 0)
        budget_take(budget, message_size(&message->view));
}

void message_wait_no_more(struct budget *budget, struct broker_message *message)
{
    size_t size = message_size(&message->view);
    uint64_t before =
        atomic_fetch_sub_explicit(&message->references, waiting_reference, memory_order_acq_rel);
    ASSERT(before >= waiting_reference);
    if (before >> 32 == 1)
        budget_give(budget, size);
    if (before == waiting_reference)
        free(message);
}

struct subscription_ids *subscription_ids_hold(struct subscription_ids *ids)
{
    if (ids != NULL)
        ids->references++;
    return ids;
}

void subscription_ids_release(struct subscription_ids *ids)
{
    if (ids != NULL && --ids->references == 0)
        free(ids);
}

int subscription_ids_add(struct subscription_ids **ids, uint32_t id)
{
    uint32_t count = *ids == NULL ? 0 : (*ids)->count;
    struct subscription_ids *bigger = realloc(*ids, sizeof *bigger + (count + 1) * sizeof(id));
    if (bigger == NULL)
        return SEALMQ_E_NOMEM;
    bigger->references = 1;
    bigger->id[count] = id;
    bigger->count = count + 1;
    *ids = bigger;
    return 0;
}
