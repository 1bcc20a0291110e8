/* What other threads hand to a worker: a list under a mutex, taken in one piece, and a wake-up that
 * is sent only when the reader rests, so that a reader who is busy anyway costs none.
 *
 * A mutex and not a lock-free stack, because the wake-up (uv_async_send) must not race with closing
 * the loop that it wakes: it is sent while the lock is held, and closing takes the same lock. It is
 * taken once for a batch, and hardly ever waited for. */
#ifndef SEALMQ_NET_MAILBOX_H
#define SEALMQ_NET_MAILBOX_H

#include "base/error.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* First member of whatever is posted. */
struct mailbox_item {
    struct mailbox_item *next;
};

struct mailbox {
    pthread_mutex_t lock;
    struct mailbox_item *first;
    struct mailbox_item **tail;
    bool is_closed;
    atomic_bool has_items;  /* spares the reader the lock */
    atomic_bool is_resting; /* the reader, until it is woken or rises by itself */
    void (*wake)(void *context);
    void *context;
};

/* `wake` is called on the posting thread. A fresh mailbox is closed, and its reader rests: see
 * mailbox_open. */
void mailbox_init(struct mailbox *mailbox, void (*wake)(void *context), void *context);
void mailbox_destroy(struct mailbox *mailbox);

/* From here on items are taken. */
void mailbox_open(struct mailbox *mailbox);
/* Posts one item, which is the mailbox's until it is taken. From any thread; items of one thread
 * keep their order. SEALMQ_E_CLOSED: the item is still the caller's. */
SEALMQ_MUST_CHECK int mailbox_post(struct mailbox *mailbox, struct mailbox_item *item);
/* Wakes the reader, if it rests, without posting anything. From any thread. */
void mailbox_wake(struct mailbox *mailbox);
/* Whether it is worth taking. What was posted before something that this thread has read from a
 * socket since is never missed. */
bool mailbox_has_items(struct mailbox *mailbox);
/* The reader is about to sleep: from here on a post wakes it. False when something has come
 * already; then it does not rest. */
SEALMQ_MUST_CHECK bool mailbox_rest(struct mailbox *mailbox);
/* The reader has risen. It must take, or ask to rest, before it sleeps again. */
void mailbox_rise(struct mailbox *mailbox);
/* All that is waiting, oldest first; NULL when nothing is. */
struct mailbox_item *mailbox_take(struct mailbox *mailbox);
/* The last take: nothing is accepted and no wake-up is sent from here on. */
struct mailbox_item *mailbox_close(struct mailbox *mailbox);

#endif
