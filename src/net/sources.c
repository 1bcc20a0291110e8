#include "net/sources.h"

#include "base/assert.h"

#include <stdlib.h>
#include <string.h>

#define KEY_BYTES 9 /* the family's length, and the address or its first half */

struct source {
    struct table_link link;
    uint32_t connections;
    uint8_t key[KEY_BYTES];
};

/* False for what is no address of the internet. An IPv4 address that a proxy tells as an IPv6 one
 * is the same address. */
static bool key_of(const union net_address *address, uint8_t out[KEY_BYTES])
{
    memset(out, 0, KEY_BYTES);
    if (address->any.sa_family == AF_INET) {
        out[0] = 4;
        memcpy(out + 1, &address->in.sin_addr, 4);
        return true;
    }
    if (address->any.sa_family != AF_INET6)
        return false;
    const uint8_t *v6 = address->in6.sin6_addr.s6_addr;
    bool is_v4 = IN6_IS_ADDR_V4MAPPED(&address->in6.sin6_addr);
    out[0] = is_v4 ? 4 : 8;
    memcpy(out + 1, is_v4 ? v6 + 12 : v6, out[0]);
    return true;
}

int sources_init(struct sources *sources, uint32_t most, uint64_t seed)
{
    *sources = (struct sources){.most = most};
    if (most == 0)
        return 0;
    int error = table_init(&sources->table);
    if (error != 0)
        return error;
    ASSERT(pthread_mutex_init(&sources->lock, NULL) == 0);
    hash_key_from_seed(seed, &sources->key);
    return 0;
}

void sources_close(struct sources *sources)
{
    struct table_link *link;
    size_t bucket = 0;
    if (sources->table.buckets == NULL)
        return;
    while ((link = table_take_any(&sources->table, &bucket)) != NULL)
        free(CONTAINER_OF(link, struct source, link));
    table_close(&sources->table);
    pthread_mutex_destroy(&sources->lock);
}

/* The one with this key, made when it is missing; NULL: no memory. */
static struct source *find(struct sources *sources, const uint8_t key[KEY_BYTES])
{
    uint64_t hash = keyed_hash(&sources->key, 0, bytes_of(key, KEY_BYTES));
    struct table_link *link = table_find(&sources->table, hash);
    for (; link != NULL; link = table_find_next(link)) {
        struct source *source = CONTAINER_OF(link, struct source, link);
        if (memcmp(source->key, key, KEY_BYTES) == 0)
            return source;
    }
    struct source *source = calloc(1, sizeof *source);
    if (source == NULL)
        return NULL;
    memcpy(source->key, key, KEY_BYTES);
    table_add(&sources->table, &source->link, hash);
    return source;
}

enum source_verdict sources_enter(struct sources *sources, const union net_address *address,
                                  struct source **out)
{
    uint8_t key[KEY_BYTES];
    enum source_verdict verdict = SOURCE_WELCOME;
    *out = NULL;
    if (sources->most == 0 || !key_of(address, key))
        return SOURCE_WELCOME;
    pthread_mutex_lock(&sources->lock);
    struct source *source = find(sources, key);
    if (source == NULL || source->connections >= (uint64_t)sources->most + SOURCES_TOLD_MOST) {
        verdict = SOURCE_FLOODS;
    } else {
        if (source->connections++ >= sources->most)
            verdict = SOURCE_FULL;
        *out = source;
    }
    pthread_mutex_unlock(&sources->lock);
    return verdict;
}

void sources_leave(struct sources *sources, struct source *source)
{
    if (source == NULL)
        return;
    pthread_mutex_lock(&sources->lock);
    ASSERT(source->connections > 0);
    source->connections--;
    if (source->connections == 0) {
        table_remove(&sources->table, &source->link);
        free(source);
    }
    pthread_mutex_unlock(&sources->lock);
}
