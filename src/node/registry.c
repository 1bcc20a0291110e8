#include "node/registry.h"

#include <pthread.h>
#include <stdlib.h>
#include <uthash.h>

struct known {
    struct registry_entry entry;
    UT_hash_handle hh;
};

struct waiting {
    struct registry_pending pending;
    UT_hash_handle hh; /* uthash keeps the order of adding: the oldest is first */
};

struct registry {
    pthread_rwlock_t lock;
    struct known *known;
    struct waiting *waiting;
};

int registry_new(struct registry **out)
{
    struct registry *registry = calloc(1, sizeof *registry);
    if (registry == NULL)
        return SEALMQ_E_NOMEM;
    if (pthread_rwlock_init(&registry->lock, NULL) != 0) {
        free(registry);
        return SEALMQ_E_NOMEM;
    }
    *out = registry;
    return 0;
}

void registry_free(struct registry *registry)
{
    if (registry == NULL)
        return;
    struct known *known, *next_known;
    HASH_ITER (hh, registry->known, known, next_known) {
        HASH_DEL(registry->known, known);
        free(known);
    }
    struct waiting *waiting, *next_waiting;
    HASH_ITER (hh, registry->waiting, waiting, next_waiting) {
        HASH_DEL(registry->waiting, waiting);
        free(waiting);
    }
    pthread_rwlock_destroy(&registry->lock);
    free(registry);
}

static struct known *known_find(const struct registry *registry, struct bytes id)
{
    struct known *known = NULL;
    if (id.n != 0)
        HASH_FIND(hh, registry->known, id.p, id.n, known);
    return known;
}

static struct waiting *waiting_find(const struct registry *registry, const char *id)
{
    struct waiting *waiting = NULL;
    HASH_FIND_STR(registry->waiting, id, waiting);
    return waiting;
}

static void waiting_remove(struct registry *registry, struct waiting *waiting)
{
    if (waiting == NULL)
        return;
    HASH_DEL(registry->waiting, waiting);
    free(waiting);
}

int registry_set(struct registry *registry, const struct registry_entry *entry)
{
    int error = 0;
    pthread_rwlock_wrlock(&registry->lock);
    struct known *known = known_find(registry, bytes_str(entry->id));
    if (known != NULL) {
        known->entry = *entry;
    } else if ((known = calloc(1, sizeof *known)) != NULL) {
        known->entry = *entry;
        HASH_ADD(hh, registry->known, entry.id, (unsigned)strlen(known->entry.id), known);
    } else {
        error = SEALMQ_E_NOMEM;
    }
    if (error == 0)
        waiting_remove(registry, waiting_find(registry, entry->id));
    pthread_rwlock_unlock(&registry->lock);
    return error;
}

int registry_find(struct registry *registry, struct bytes id, struct registry_entry *out)
{
    pthread_rwlock_rdlock(&registry->lock);
    const struct known *known = known_find(registry, id);
    if (known != NULL)
        *out = known->entry;
    pthread_rwlock_unlock(&registry->lock);
    return known != NULL ? 0 : SEALMQ_E_NOTFOUND;
}

void registry_each(struct registry *registry,
                   void (*fn)(void *context, const struct registry_entry *entry), void *context)
{
    pthread_rwlock_rdlock(&registry->lock);
    for (const struct known *known = registry->known; known != NULL; known = known->hh.next)
        fn(context, &known->entry);
    pthread_rwlock_unlock(&registry->lock);
}

static int announce_locked(struct registry *registry, const struct registry_pending *pending,
                           bool *is_new)
{
    const struct known *known = known_find(registry, bytes_str(pending->id));
    if (known != NULL && !known->entry.is_revoked)
        return SEALMQ_E_EXISTS;
    struct waiting *waiting = waiting_find(registry, pending->id);
    if (waiting != NULL) {
        *is_new = memcmp(&waiting->pending.key, &pending->key, sizeof pending->key) != 0;
        if (*is_new)
            waiting->pending = *pending;
        return 0;
    }
    if (HASH_COUNT(registry->waiting) >= REGISTRY_PENDING_MAX)
        waiting_remove(registry, registry->waiting);
    waiting = calloc(1, sizeof *waiting);
    if (waiting == NULL)
        return SEALMQ_E_NOMEM;
    waiting->pending = *pending;
    HASH_ADD_STR(registry->waiting, pending.id, waiting);
    *is_new = true;
    return 0;
}

int registry_announce(struct registry *registry, const struct registry_pending *pending,
                      bool *is_new)
{
    *is_new = false;
    pthread_rwlock_wrlock(&registry->lock);
    int error = announce_locked(registry, pending, is_new);
    pthread_rwlock_unlock(&registry->lock);
    return error;
}

int registry_pending_list(struct registry *registry, struct registry_pending **out, size_t *n)
{
    int error = 0;
    *out = NULL;
    *n = 0;
    pthread_rwlock_rdlock(&registry->lock);
    size_t count = HASH_COUNT(registry->waiting);
    if (count != 0 && (*out = calloc(count, sizeof **out)) == NULL)
        error = SEALMQ_E_NOMEM;
    if (error == 0) {
        for (const struct waiting *w = registry->waiting; w != NULL; w = w->hh.next)
            (*out)[(*n)++] = w->pending;
    }
    pthread_rwlock_unlock(&registry->lock);
    return error;
}
