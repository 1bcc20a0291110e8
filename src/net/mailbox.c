#include "net/mailbox.h"

#include "base/assert.h"

void mailbox_init(struct mailbox *mailbox, void (*wake)(void *context), void *context)
{
    *mailbox = (struct mailbox){.wake = wake, .context = context, .is_closed = true};
    mailbox->tail = &mailbox->first;
    atomic_init(&mailbox->is_resting, true);
    ASSERT(pthread_mutex_init(&mailbox->lock, NULL) == 0);
}

void mailbox_destroy(struct mailbox *mailbox)
{
    ASSERT(mailbox->first == NULL);
    pthread_mutex_destroy(&mailbox->lock);
}

void mailbox_open(struct mailbox *mailbox)
{
    pthread_mutex_lock(&mailbox->lock);
    mailbox->is_closed = false;
    pthread_mutex_unlock(&mailbox->lock);
}

int mailbox_post(struct mailbox *mailbox, struct mailbox_item *item)
{
    int e = SEALMQ_E_CLOSED;
    item->next = NULL;
    pthread_mutex_lock(&mailbox->lock);
    if (!mailbox->is_closed) {
        *mailbox->tail = item;
        mailbox->tail = &item->next;
        atomic_store(&mailbox->has_items, true);
        /* Either we see that the reader rests, or it sees the item when it asks to. */
        if (atomic_exchange(&mailbox->is_resting, false))
            mailbox->wake(mailbox->context);
        e = 0;
    }
    pthread_mutex_unlock(&mailbox->lock);
    return e;
}

void mailbox_wake(struct mailbox *mailbox)
{
    pthread_mutex_lock(&mailbox->lock);
    if (!mailbox->is_closed && atomic_exchange(&mailbox->is_resting, false))
        mailbox->wake(mailbox->context);
    pthread_mutex_unlock(&mailbox->lock);
}

bool mailbox_has_items(struct mailbox *mailbox)
{
    return atomic_load(&mailbox->has_items);
}

bool mailbox_rest(struct mailbox *mailbox)
{
    atomic_store(&mailbox->is_resting, true);
    if (!mailbox_has_items(mailbox))
        return true;
    atomic_store(&mailbox->is_resting, false);
    return false;
}

void mailbox_rise(struct mailbox *mailbox)
{
    atomic_store(&mailbox->is_resting, false);
}

static struct mailbox_item *take_all(struct mailbox *mailbox)
{
    struct mailbox_item *all = mailbox->first;
    mailbox->first = NULL;
    mailbox->tail = &mailbox->first;
    atomic_store(&mailbox->has_items, false);
    return all;
}

struct mailbox_item *mailbox_take(struct mailbox *mailbox)
{
    if (!mailbox_has_items(mailbox))
        return NULL;
    pthread_mutex_lock(&mailbox->lock);
    struct mailbox_item *all = take_all(mailbox);
    pthread_mutex_unlock(&mailbox->lock);
    return all;
}

struct mailbox_item *mailbox_close(struct mailbox *mailbox)
{
    pthread_mutex_lock(&mailbox->lock);
    struct mailbox_item *all = take_all(mailbox);
    mailbox->is_closed = true;
    pthread_mutex_unlock(&mailbox->lock);
    return all;
}
