/* Who gets a topic. The answer for a topic is worked out once (subscriptions of one session merged,
 * the right to read asked) and remembered until a subscription that concerns the topic, or a right,
 * changes (broker/changes.h). What is remembered may take ROUTE_CACHE_BYTES; then the oldest goes,
 * unless it was used since it came to that place. */
#include "broker/broker_int.h"

#include <stdlib.h>

#define SPARED_MOST 8

struct route {
    struct table_link link;
    struct route *older, *newer;
    struct change_watch watch;
    uint64_t shards, durable_shards;
    uint32_t count;
    uint32_t group_count;
    uint16_t topic_n;
    bool was_used;           /* since it became the newest */
    struct target targets[]; /* behind them the groups, and the topic */
};

static struct group **route_groups(struct route *r)
{
    return (struct group **)(void *)(r->targets + r->count);
}

static struct bytes route_topic(struct route *r)
{
    return bytes_of(route_groups(r) + r->group_count, r->topic_n);
}

static struct targets route_targets(struct route *r)
{
    return (struct targets){r->targets,      r->count,       r->shards,
                            route_groups(r), r->group_count, r->durable_shards};
}

static size_t route_size(uint32_t count, uint32_t group_count, size_t topic_n)
{
    return sizeof(struct route) + count * sizeof(struct target) +
           group_count * sizeof(struct group *) + topic_n;
}

int route_cache_init(struct route_cache *cache)
{
    *cache = (struct route_cache){0};
    return table_init(&cache->routes);
}

static void enter_newest(struct route_cache *cache, struct route *r)
{
    r->newer = NULL;
    r->older = cache->newest;
    if (r->older != NULL)
        r->older->newer = r;
    else
        cache->oldest = r;
    cache->newest = r;
    r->was_used = false;
}

static void leave_order(struct route_cache *cache, struct route *r)
{
    if (r->older != NULL)
        r->older->newer = r->newer;
    else
        cache->oldest = r->newer;
    if (r->newer != NULL)
        r->newer->older = r->older;
    else
        cache->newest = r->older;
}

static void forget(struct route_cache *cache, struct route *r)
{
    for (uint32_t i = 0; i < r->count; i++)
        subscription_ids_release(r->targets[i].ids);
    leave_order(cache, r);
    table_remove(&cache->routes, &r->link);
    cache->bytes -= route_size(r->count, r->group_count, r->topic_n);
    free(r);
}

/* Forgets until there is room for `bytes`. Of those that were used it spares a few at a time. */
static void make_room(struct route_cache *cache, size_t bytes)
{
    unsigned spared = 0;
    while (cache->oldest != NULL && cache->bytes + bytes > ROUTE_CACHE_BYTES) {
        struct route *r = cache->oldest;
        if (r->was_used && spared++ < SPARED_MOST) {
            leave_order(cache, r);
            enter_newest(cache, r);
        } else {
            forget(cache, r);
        }
    }
}

static void clear_building(struct route_cache *cache)
{
    for (uint32_t i = 0; i < cache->building_count; i++)
        subscription_ids_release(cache->building[i].ids);
    cache->building_count = 0;
    cache->group_count = 0;
}

void route_cache_close(struct route_cache *cache)
{
    while (cache->oldest != NULL)
        forget(cache, cache->oldest);
    clear_building(cache);
    free(cache->building);
    free(cache->groups);
    table_close(&cache->routes);
    *cache = (struct route_cache){0};
}

/* The target of a session in the list that is being built, made if it is missing. */
static struct target *target_for(struct route_cache *cache, struct session *s)
{
    struct subscriber *subscriber = &s->subscriber;
    /* The index proves itself: what it points to must be this session. */
    if (subscriber->target < cache->building_count &&
        cache->building[subscriber->target].session == s)
        return &cache->building[subscriber->target];
    if (cache->building_count == cache->building_capacity) {
        uint32_t capacity = cache->building_capacity == 0 ? 16 : cache->building_capacity * 2;
        struct target *list = realloc(cache->building, capacity * sizeof *list);
        if (list == NULL)
            return NULL;
        cache->building = list;
        cache->building_capacity = capacity;
    }
    subscriber->target = cache->building_count++;
    struct target *target = &cache->building[subscriber->target];
    *target = (struct target){.session = s};
    return target;
}

static int merge(struct target *target, const struct subscription_options *options)
{
    if (options->qos > target->qos)
        target->qos = options->qos;
    target->retain_as_published |= options->retain_as_published;
    target->has_no_local |= options->no_local;
    return options->id == 0 ? 0 : subscription_ids_add(&target->ids, options->id);
}

struct building {
    struct route_cache *cache;
    uint64_t shards, durable_shards;
};

static int add_group(struct route_cache *cache, struct group *group)
{
    if (cache->group_count == cache->group_capacity) {
        uint32_t capacity = cache->group_capacity == 0 ? 4 : cache->group_capacity * 2;
        struct group **list = realloc(cache->groups, capacity * sizeof(struct group *));
        if (list == NULL)
            return SEALMQ_E_NOMEM;
        cache->groups = list;
        cache->group_capacity = capacity;
    }
    cache->groups[cache->group_count++] = group;
    return 0;
}

static int visit(void *context, const struct filter_node *node)
{
    struct building *building = context;
    building->shards |= node->shards;
    building->durable_shards |= node->durable_shards;
    for (const struct subscription *s = node->first; s != NULL; s = s->next) {
        struct session *session = CONTAINER_OF(s->subscriber, struct session, subscriber);
        struct target *target = target_for(building->cache, session);
        if (target == NULL || merge(target, &s->options) != 0)
            return SEALMQ_E_NOMEM;
    }
    for (struct group *group = node->groups; group != NULL; group = group->next) {
        if (add_group(building->cache, group) != 0)
            return SEALMQ_E_NOMEM;
    }
    return 0;
}

/* Takes those out who may not read the topic. */
static void keep_authorized(struct broker *b, struct bytes topic)
{
    struct route_cache *cache = &b->routes;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < cache->building_count; i++) {
        struct target *target = &cache->building[i];
        struct broker_subject subject = session_subject(target->session);
        if (b->host.authorize(b->host.context, &subject, BROKER_READ, topic))
            cache->building[kept++] = *target;
        else
            subscription_ids_release(target->ids);
    }
    cache->building_count = kept;
}

/* Moves what was built into the cache; when that is not possible it stays, and is used once. */
static struct route *remember(struct broker *b, struct bytes topic, uint64_t hash,
                              const struct building *building)
{
    struct route_cache *cache = &b->routes;
    size_t size = route_size(cache->building_count, cache->group_count, topic.n);
    if (topic.n > ROUTE_CACHE_TOPIC_MAX || size > ROUTE_CACHE_BYTES)
        return NULL;
    make_room(cache, size);
    size_t targets_size = cache->building_count * sizeof(struct target);
    size_t groups_size = cache->group_count * sizeof(struct group *);
    struct route *r = malloc(size);
    if (r == NULL)
        return NULL;
    *r = (struct route){
        .shards = building->shards,
        .durable_shards = building->durable_shards,
        .count = cache->building_count,
        .group_count = cache->group_count,
        .topic_n = (uint16_t)topic.n,
    };
    subtree_watch(&b->subtree, topic, &r->watch);
    if (targets_size != 0)
        memcpy(r->targets, cache->building, targets_size);
    if (groups_size != 0)
        memcpy(route_groups(r), cache->groups, groups_size);
    memcpy(route_groups(r) + r->group_count, topic.p, topic.n);
    cache->building_count = 0;
    cache->group_count = 0;
    cache->bytes += size;
    table_add(&cache->routes, &r->link, hash);
    enter_newest(cache, r);
    return r;
}

static struct route *find(struct route_cache *cache, struct bytes topic, uint64_t hash)
{
    struct table_link *link = table_find(&cache->routes, hash);
    for (; link != NULL; link = table_find_next(link)) {
        struct route *r = CONTAINER_OF(link, struct route, link);
        if (bytes_equal(route_topic(r), topic))
            return r;
    }
    return NULL;
}

int route_find(struct broker *b, struct publication *p, struct targets *out)
{
    struct route_cache *cache = &b->routes;
    struct bytes topic = p->view.topic;
    uint64_t hash = publication_topic_hash(b, p);
    struct route *r = find(cache, topic, hash);
    if (r != NULL && !change_watch_sees_one(&r->watch, &b->subtree.changes)) {
        r->was_used = true;
        *out = route_targets(r);
        return 0;
    }
    if (r != NULL)
        forget(cache, r);
    clear_building(cache);
    uint64_t all = b->subtree.shards_for_all;
    struct building building = {cache, all, all};
    int error = subtree_match(&b->subtree, topic, visit, &building);
    if (error != 0) {
        clear_building(cache);
        return error;
    }
    keep_authorized(b, topic);
    r = remember(b, topic, hash, &building);
    *out = r != NULL
               ? route_targets(r)
               : (struct targets){cache->building, cache->building_count, building.shards,
                                  cache->groups,   cache->group_count,    building.durable_shards};
    return 0;
}

/* The publisher is a subscriber with "no local" somewhere: its subscriptions are looked at one by
 * one. False when none is left. */
static bool merge_for_publisher(struct broker *b, struct bytes topic, struct target *target)
{
    bool any = false;
    struct subscription_ids *ids = NULL;
    *target = (struct target){.session = target->session};
    for (const struct subscription *s = target->session->subscriber.first; s != NULL;
         s = s->next_held) {
        if (s->options.no_local || s->group != NULL)
            continue;
        buf_reset(&b->scratch);
        levels_append_path(&b->subtree.levels, &s->node->level, &b->scratch);
        if (buf_status(&b->scratch) != 0 || !mqtt_filter_matches(buf_bytes(&b->scratch), topic))
            continue;
        any = true;
        (void)merge(target, &s->options);
    }
    ids = target->ids;
    if (!any)
        subscription_ids_release(ids);
    return any;
}

/* The shard of an earlier run to which the session belonged then has stored the message for it. */
static bool has_already(const struct session *s, const struct message_taken *taken)
{
    unsigned shard = broker_shard_of(session_client_id(s), taken->count);
    return s->subscriber.is_durable && (taken->shards >> shard & 1) != 0;
}

static void deliver_to(struct broker *b, struct publication *p, const struct target *target)
{
    if (p->view.taken.shards != 0 && has_already(target->session, &p->view.taken))
        return;
    struct delivery_terms terms = {
        .qos = target->qos < p->view.qos ? target->qos : p->view.qos,
        .retain = target->retain_as_published && p->view.retain,
        .ids = target->ids,
    };
    (void)deliver(b, p, target->session, &terms);
}

static void deliver_to_all(struct broker *b, struct publication *p, const struct targets *targets)
{
    for (uint32_t i = 0; i < targets->count; i++) {
        const struct target *target = &targets->list[i];
        if (!target->has_no_local || target->session->number != p->view.origin) {
            deliver_to(b, p, target);
            continue;
        }
        struct target own = *target;
        if (merge_for_publisher(b, p->view.topic, &own)) {
            deliver_to(b, p, &own);
            subscription_ids_release(own.ids);
        }
    }
}

int route_local(struct broker *b, struct publication *p)
{
    struct targets targets;
    int error = route_find(b, p, &targets);
    if (error == 0)
        deliver_to_all(b, p, &targets);
    return error;
}

static bool retained_has_room(const struct broker *b, const struct message_view *view)
{
    const struct broker_message *old = retained_find(&b->retained, view->topic);
    uint64_t count = b->retained.count - (old != NULL);
    uint64_t bytes = b->retained.bytes - (old != NULL ? message_size(&old->view) : 0);
    return count < b->limits.retained_messages &&
           bytes + message_size(view) <= b->limits.retained_bytes;
}

/* The part of a retained message that can be refused, before anybody gets it. */
static int retain(struct broker *b, struct publication *p)
{
    bool deletes = p->view.payload.n == 0;
    if (!deletes && !retained_has_room(b, &p->view))
        return SEALMQ_E_LIMIT;
    p->view.retained_order =
        atomic_fetch_add_explicit(b->retained_counter, 1, memory_order_relaxed) + 1;
    /* What is routed for the first time is nobody else's yet; a will has its own bytes already. */
    if (p->owned != NULL)
        p->owned->view.retained_order = p->view.retained_order;
    int error = deletes && b->shards == 1 ? 0 : publication_own(p);
    if (error == 0)
        error = storing_retained(b, p);
    return error != 0 ? error : retained_apply(&b->retained, p, b->shards > 1);
}

/* The other shards that have to store something before this message may be acknowledged. */
static uint64_t storing_shards(const struct broker *b, const struct publication *p,
                               const struct targets *targets)
{
    if (b->storing == NULL)
        return 0;
    unsigned owner;
    uint64_t shards = p->view.qos != 0 ? targets->durable_shards : 0;
    if (p->view.retain && storing_keeps_retained(b, p->view.topic, &owner))
        shards |= UINT64_C(1) << owner;
    return shards & ~(UINT64_C(1) << b->shard);
}

int route_publication(struct broker *b, struct publication *p, bool *has_receivers)
{
    struct targets targets;
    *has_receivers = false;
    int error = route_find(b, p, &targets);
    if (error != 0)
        return error;
    /* A retained message goes to all shards, subscribers or not: each keeps it, and each delivers
     * it to those who have subscribed there before it came. */
    uint64_t shards = p->view.retain ? parcel_other_shards(b) : targets.shards;
    /* Another shard may pause the publisher only where it is the only one with receivers. */
    if (targets.count != 0 || targets.group_count != 0 ||
        (targets.shards & (targets.shards - 1)) != 0 || p->view.retain)
        p->view.publisher = (struct broker_conn){0};
    /* One operation for each receiver here, and one for the message if it is retained. */
    error = storing_reserve(b, (size_t)targets.count + 1);
    uint64_t waited_for = storing_shards(b, p, &targets);
    uint64_t direct = p->view.retain ? 0 : direct_shards(b, shards & ~waited_for);
    shards &= ~direct;
    if (error == 0)
        error = parcel_reserve(b, shards, p);
    if (error == 0 && p->view.retain)
        error = retain(b, p);
    if (error != 0)
        return error;
    parcel_put_message(b, shards, p);
    storing_wait_for_shards(b, waited_for, message_size(&p->view));
    *has_receivers = targets.count != 0 || targets.shards != 0;
    deliver_to_all(b, p, &targets);
    for (uint32_t i = 0; i < targets.group_count; i++) {
        bool has_it =
            p->view.taken.shards != 0 && share_has_already(b, targets.groups[i], &p->view.taken);
        *has_receivers |= has_it || share_send(b, p, targets.groups[i]);
    }
    direct_deliver(b, direct, p);
    return 0;
}
