#include "node/registry.h"

#include <pthread.h>
#include <stdlib.h>

/* A failed HASH_ADD leaves hh.tbl NULL instead of ending the program. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

struct known {
    struct registry_entry entry;
    UT_hash_handle hh;
};

struct announced_key {
    struct public_key key;
    int64_t since_us;
};

struct waiting {
    char id[ID_MAX + 1];
    struct announced_key keys[REGISTRY_KEYS_MAX]; /* oldest first */
    size_t key_count;                             /* at least 1 */
    UT_hash_handle hh; /* uthash keeps the order of adding: the oldest is first */
};

struct registry {
    pthread_rwlock_t lock;
    struct known *known;
    struct waiting *waiting;
    unsigned news;   /* that clients may still make at once */
    int64_t news_us; /* as of when */
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
    registry->news = REGISTRY_NEWS_BURST;
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

static int known_add(struct registry *registry, const struct registry_entry *entry)
{
    struct known *known = calloc(1, sizeof *known);
    if (known == NULL)
        return SEALMQ_E_NOMEM;
    known->entry = *entry;
    HASH_ADD(hh, registry->known, entry.id, (unsigned)strlen(known->entry.id), known);
    if (known->hh.tbl != NULL)
        return 0;
    free(known);
    return SEALMQ_E_NOMEM;
}

int registry_set(struct registry *registry, const struct registry_entry *entry)
{
    int error = 0;
    pthread_rwlock_wrlock(&registry->lock);
    struct known *known = known_find(registry, bytes_str(entry->id));
    if (known != NULL)
        known->entry = *entry;
    else
        error = known_add(registry, entry);
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

/* Takes a piece of news out of what clients may make, if there is one left. */
static bool take_news(struct registry *registry, int64_t now_us)
{
    int64_t passed = (now_us - registry->news_us) / REGISTRY_NEWS_INTERVAL_US;
    if (passed < 0 || passed >= REGISTRY_NEWS_BURST) {
        /* A clock that was set back earns nothing, and costs nothing either. */
        registry->news = passed < 0 ? registry->news : REGISTRY_NEWS_BURST;
        registry->news_us = now_us;
    } else {
        unsigned room = REGISTRY_NEWS_BURST - registry->news;
        registry->news += (unsigned)passed < room ? (unsigned)passed : room;
        registry->news_us += passed * REGISTRY_NEWS_INTERVAL_US;
    }
    if (registry->news == 0)
        return false;
    registry->news--;
    return true;
}

static bool is_old(const struct announced_key *key, int64_t now_us)
{
    return now_us - key->since_us >= REGISTRY_SAFE_US;
}

/* Another key for an id that waits. When there is no place for it, the oldest of those that came
 * after the first one makes room. */
static int contest(struct waiting *waiting, const struct announced_key *key)
{
    if (waiting->key_count == REGISTRY_KEYS_MAX) {
        if (!is_old(&waiting->keys[1], key->since_us))
            return SEALMQ_E_FULL;
        waiting->key_count--;
        memmove(&waiting->keys[1], &waiting->keys[2],
                (waiting->key_count - 1) * sizeof waiting->keys[0]);
    }
    waiting->keys[waiting->key_count++] = *key;
    return 0;
}

static int wait_anew(struct registry *registry, const char *id, const struct announced_key *key)
{
    if (HASH_COUNT(registry->waiting) >= REGISTRY_PENDING_MAX) {
        if (!is_old(&registry->waiting->keys[0], key->since_us))
            return SEALMQ_E_FULL;
        waiting_remove(registry, registry->waiting);
    }
    struct waiting *waiting = calloc(1, sizeof *waiting);
    if (waiting == NULL)
        return SEALMQ_E_NOMEM;
    memcpy(waiting->id, id, sizeof waiting->id);
    waiting->keys[0] = *key;
    waiting->key_count = 1;
    HASH_ADD_STR(registry->waiting, id, waiting);
    if (waiting->hh.tbl != NULL)
        return 0;
    free(waiting);
    return SEALMQ_E_NOMEM;
}

static int announce_locked(struct registry *registry, const struct registry_pending *pending,
                           bool is_passed_on, bool *is_new)
{
    const struct known *known = known_find(registry, bytes_str(pending->id));
    if (known != NULL && !known->entry.is_revoked)
        return SEALMQ_E_EXISTS;
    struct waiting *waiting = waiting_find(registry, pending->id);
    for (size_t i = 0; waiting != NULL && i < waiting->key_count; i++) {
        if (memcmp(&waiting->keys[i].key, &pending->key, sizeof pending->key) == 0)
            return 0;
    }
    if (!is_passed_on && !take_news(registry, pending->since_us))
        return SEALMQ_E_BUSY;
    const struct announced_key key = {pending->key, pending->since_us};
    int error = waiting != NULL ? contest(waiting, &key) : wait_anew(registry, pending->id, &key);
    *is_new = error == 0;
    return error;
}

int registry_announce(struct registry *registry, const struct registry_pending *pending,
                      bool is_passed_on, bool *is_new)
{
    *is_new = false;
    pthread_rwlock_wrlock(&registry->lock);
    int error = announce_locked(registry, pending, is_passed_on, is_new);
    pthread_rwlock_unlock(&registry->lock);
    return error;
}

static size_t list_keys(const struct waiting *waiting, struct registry_pending *out)
{
    for (size_t i = 0; i < waiting->key_count; i++) {
        out[i] = (struct registry_pending){
            .key = waiting->keys[i].key,
            .since_us = waiting->keys[i].since_us,
            .is_contested = waiting->key_count > 1,
        };
        memcpy(out[i].id, waiting->id, sizeof out[i].id);
    }
    return waiting->key_count;
}

int registry_pending_list(struct registry *registry, struct registry_pending **out, size_t *n)
{
    int error = 0;
    size_t count = 0;
    *out = NULL;
    *n = 0;
    pthread_rwlock_rdlock(&registry->lock);
    for (const struct waiting *w = registry->waiting; w != NULL; w = w->hh.next)
        count += w->key_count;
    if (count != 0 && (*out = calloc(count, sizeof **out)) == NULL)
        error = SEALMQ_E_NOMEM;
    if (error == 0) {
        for (const struct waiting *w = registry->waiting; w != NULL; w = w->hh.next)
            *n += list_keys(w, *out + *n);
    }
    pthread_rwlock_unlock(&registry->lock);
    return error;
}
