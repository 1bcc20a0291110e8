/* Messages for groups of shared subscriptions: who of a group gets one.
 *
 * The shard on which a message is published is its home: it chooses, for each group that the topic
 * matches, a shard: in turn, as often as it has connected members, or, when no member is connected
 * anywhere, as it has members. That shard chooses the member: in turn, those before others that can
 * take a message now; then those whose queue has room; when none is connected, a session that keeps
 * a queue. What a shard knows of another one may be old, so a shard that has no member that can be
 * given the message sends it home, where another shard is chosen.
 *
 * Durable before sent: the home waits for the shard that it has chosen, and goes on to wait for the
 * one that it chooses next. A message that comes home comes before the word that all of its parcel
 * is stored, since that word is in the same parcel or a later one; so the epoch in which it was
 * sent off is not complete, nor is any later one, and what was done in the open epoch is needed by
 * the oldest that is not complete (storing_widen). Passed on from shard to shard, words would have
 * to wait for words, in circles.
 *
 * What a session that ends has not acknowledged at QoS 1, and what has waited in its queue, goes to
 * another member. A message at QoS 2 that was sent goes to nobody else [MQTT-4.8.2-5], and neither
 * does one that a client has refused [MQTT-4.8.2-6]. */
#include "broker/broker_int.h"

#define DECLINES_MAX    4  /* by shards that could keep it, when another has who is connected */
#define READY_SCAN_MOST 16 /* members asked for one that can take the message now */

/* Chooses one of the shards with members that are not in `except`; false when there is none. This
 * shard, if it is to be preferred and has not less to offer. */
static bool choose_shard(const struct broker *b, struct group *group, uint64_t except,
                         bool prefers_own, unsigned *out)
{
    struct group_count own = group_own_count(group);
    uint64_t own_bit = UINT64_C(1) << b->shard;
    uint64_t shards = (group->shards | (own.members != 0 ? own_bit : 0)) & ~except;
    if ((shards & (shards - 1)) == 0) {
        *out = shards == 0 ? 0 : (unsigned)__builtin_ctzll(shards);
        return shards != 0;
    }
    group->others[b->shard] = own;
    uint64_t members = 0, online = 0;
    for (uint64_t rest = shards; rest != 0; rest &= rest - 1) {
        const struct group_count *count = &group->others[__builtin_ctzll(rest)];
        members += count->members;
        online += count->online;
    }
    if (prefers_own && (shards & own_bit) != 0 && (own.online != 0 || online == 0)) {
        *out = b->shard;
        return true;
    }
    uint64_t at = group->turn++ % (online != 0 ? online : members);
    for (uint64_t rest = shards;; rest &= rest - 1) {
        ASSERT(rest != 0);
        unsigned shard = (unsigned)__builtin_ctzll(rest);
        const struct group_count *count = &group->others[shard];
        uint32_t weight = online != 0 ? count->online : count->members;
        if (at < weight) {
            *out = shard;
            return true;
        }
        at -= weight;
    }
}

enum served {
    SERVED,
    SERVED_NOBODY, /* there is no member that may read the topic */
    SERVED_FULL,   /* those that are there take no more */
};

static struct session *session_of(const struct subscription *member)
{
    return CONTAINER_OF(member->subscriber, struct session, subscriber);
}

static uint8_t granted_qos(const struct subscription *member, const struct publication *p)
{
    return member->options.qos < p->view.qos ? member->options.qos : p->view.qos;
}

static bool may_read(const struct broker *b, const struct subscription *member,
                     const struct publication *p)
{
    struct broker_subject subject = session_subject(session_of(member));
    return b->host.authorize(b->host.context, &subject, BROKER_READ, p->view.topic);
}

/* Whether the member's queue would keep the message. */
static bool can_queue(const struct broker *b, const struct subscription *member,
                      const struct publication *p)
{
    const struct session *s = session_of(member);
    bool is_online = s->conn != NULL && s->conn->state == CONN_CONNECTED;
    return granted_qos(member, p) != 0 && (is_online || s->expiry_s != 0) &&
           deliver_queue_has_room(b, s, message_size(&p->view), false);
}

static enum served give(struct broker *b, struct publication *p, struct subscription *member)
{
    struct group *group = member->group;
    struct delivery_terms terms = {
        .qos = granted_qos(member, p),
        .retain = member->options.retain_as_published && p->view.retain,
        .group = group->name,
    };
    enum group_ring ring = member->subscriber->is_online ? RING_ONLINE : RING_OFFLINE;
    group->ring[ring] = member->next;
    if (member->options.id != 0 && subscription_ids_add(&terms.ids, member->options.id) != 0)
        return SERVED_FULL;
    bool is_done = deliver(b, p, session_of(member), &terms);
    subscription_ids_release(terms.ids);
    return is_done ? SERVED : SERVED_FULL;
}

static enum served serve_connected(struct broker *b, struct publication *p, struct group *group)
{
    struct subscription *waiting = NULL;
    struct subscription *member = group->ring[RING_ONLINE];
    enum served result = SERVED_NOBODY;
    for (uint32_t i = 0; i < group->ring_count[RING_ONLINE]; i++, member = member->next) {
        if (waiting != NULL && i >= READY_SCAN_MOST)
            break;
        if (!may_read(b, member, p))
            continue;
        if (deliver_is_ready(b, session_of(member), granted_qos(member, p), message_size(&p->view)))
            return give(b, p, member);
        result = SERVED_FULL;
        if (waiting == NULL && can_queue(b, member, p))
            waiting = member;
    }
    return waiting == NULL ? result : give(b, p, waiting);
}

static enum served serve_offline(struct broker *b, struct publication *p, struct group *group)
{
    struct subscription *member = group->ring[RING_OFFLINE];
    enum served result = SERVED_NOBODY;
    for (uint32_t i = 0; i < group->ring_count[RING_OFFLINE]; i++, member = member->next) {
        if (!may_read(b, member, p))
            continue;
        if (granted_qos(member, p) == 0) {
            /* Nobody is there, and nothing is promised: unless another one keeps it. */
            if (result == SERVED_NOBODY)
                result = SERVED;
        } else if (can_queue(b, member, p)) {
            return give(b, p, member);
        } else {
            result = SERVED_FULL;
        }
    }
    return result;
}

static enum served serve(struct broker *b, struct publication *p, struct group *group)
{
    enum served result = serve_connected(b, p, group);
    if (result == SERVED)
        return result;
    enum served offline = serve_offline(b, p, group);
    return offline == SERVED_NOBODY ? result : offline;
}

/* Which shard was chosen in the earlier run is known only where one shard has all members. What
 * several have noted says nothing: they note the message for their other subscribers, too, and the
 * group's can have been on its way between them. It is sent again: twice is better than never. */
bool share_has_already(const struct broker *b, const struct group *group,
                       const struct message_taken *taken)
{
    uint64_t own = group_own_count(group).members != 0 ? UINT64_C(1) << b->shard : 0;
    /* Of another number of shards, what each had is not known any more. */
    uint64_t needed = taken->count == b->shards    ? group->shards | own
                      : taken->count >= SHARDS_MAX ? UINT64_MAX
                                                   : (UINT64_C(1) << taken->count) - 1;
    bool is_one = needed != 0 && (needed & (needed - 1)) == 0;
    return is_one && (needed & ~taken->shards) == 0;
}

/* Gives it to a member of the shard that is chosen here, or sends it there. False when no member
 * may have it. */
static bool place(struct broker *b, struct publication *p, struct group *group,
                  struct share_way *way, bool prefers_own)
{
    unsigned shard;
    while (choose_shard(b, group, way->except, prefers_own, &shard)) {
        if (shard == b->shard) {
            enum served result = serve(b, p, group);
            if (result == SERVED)
                return true;
            way->is_refused |= result == SERVED_FULL;
        } else if (parcel_put_shared(b, shard, p, group->name, way) == 0) {
            /* Whether the member that it goes to is durable is known over there. */
            if (p->view.qos != 0)
                storing_wait_for_shards(b, UINT64_C(1) << shard, message_size(&p->view));
            return true;
        } else {
            way->is_refused = true;
        }
        way->except |= UINT64_C(1) << shard;
    }
    if (way->is_refused)
        STAT_ADD(b, dropped_queue_full_total, 1);
    return way->is_refused;
}

bool share_send(struct broker *b, struct publication *p, struct group *group)
{
    struct share_way way = {.home = (uint8_t)b->shard};
    return place(b, p, group, &way, false);
}

/* Whether another shard that was not asked yet has members that are connected, and this one none.
 */
static bool is_worse_than_others(const struct group *group, uint64_t except)
{
    if (group_own_count(group).online != 0)
        return false;
    for (uint64_t rest = group->shards & ~except; rest != 0; rest &= rest - 1) {
        if (group->others[__builtin_ctzll(rest)].online != 0)
            return true;
    }
    return false;
}

static void receive_as_chosen(struct broker *b, struct publication *p, struct group *group,
                              struct group_name *name, struct share_way *way)
{
    if (group != NULL && way->declines < DECLINES_MAX && is_worse_than_others(group, way->except)) {
        way->declines++;
    } else {
        enum served result = group == NULL ? SERVED_NOBODY : serve(b, p, group);
        if (result == SERVED)
            return;
        way->is_refused |= result == SERVED_FULL;
        way->except |= UINT64_C(1) << b->shard;
    }
    if (parcel_put_shared(b, way->home, p, name, way) != 0)
        STAT_ADD(b, dropped_memory_total, 1);
}

void share_receive(struct broker *b, struct publication *p, struct group_name *name,
                   const struct share_way *way)
{
    struct group *group = group_find(&b->subtree, group_name_bytes(name));
    struct share_way on = *way;
    if (way->home != b->shard) {
        receive_as_chosen(b, p, group, name, &on);
    } else if (group != NULL) { /* else the last member of all shards has gone meanwhile */
        uint64_t touches = storing_touches(b);
        (void)place(b, p, group, &on, false);
        storing_widen(b, touches);
    }
}

int share_announce(struct broker *b, struct bytes filter)
{
    const struct group *group = group_find(&b->subtree, filter);
    struct group_count count = {0};
    if (group != NULL)
        count = group_own_count(group);
    return parcel_put_filter(b, filter, count);
}

void share_set_online(struct broker *b, struct session *s, bool is_online)
{
    subtree_set_online(&s->subscriber, is_online);
    if (s->subscriber.shared_count == 0 || b->shards == 1)
        return;
    /* Without memory to tell them, the others choose by old numbers, and what they send here is
     * passed on. */
    for (const struct subscription *sub = s->subscriber.first; sub != NULL; sub = sub->next_held) {
        if (sub->group != NULL)
            (void)!share_announce(b, group_name_bytes(sub->group->name));
    }
}

static void hand_over(struct broker *b, const struct delivery *delivery)
{
    if (delivery->group == NULL || delivery->qos == 0)
        return;
    struct publication p;
    struct group *group = group_find(&b->subtree, group_name_bytes(delivery->group));
    if (group == NULL)
        return;
    publication_of(delivery->message, &p);
    struct share_way way = {.home = (uint8_t)b->shard, .is_handed_over = true};
    /* Members here go first, in whose queue it is stored by the same commit that ends this session.
     */
    (void)place(b, &p, group, &way, true);
    publication_close(&p);
}

void share_hand_over(struct broker *b, struct session *s)
{
    for (const struct inflight_slot *slot = inflight_first(&s->inflight); slot != NULL;
         slot = inflight_next(&s->inflight, slot)) {
        if (slot->state == AWAIT_PUBACK)
            hand_over(b, &slot->delivery);
    }
    spill_drop(b, s);
    while (s->queue.count != 0) {
        struct delivery delivery = deliver_take_first(b, s);
        hand_over(b, &delivery);
        delivery_release(&b->budgets.waiting_bytes, &delivery);
    }
}
