/* The durable side of a shard. Three things hold it together:
 *
 *  - Every change of a durable session, its queue, its windows, and of the retained messages is an
 *    operation in the open journal. The host takes the journal when the one before it is stored, so
 *    one commit gathers what has happened during the one before it.
 *  - What a client must not see before it is durable stands behind a gate in its output, with the
 *    epoch of the change (epochs.h, gates.h).
 *  - A message for durable sessions of another shard goes there in a parcel, and that shard says in
 *    its own parcels up to which of ours everything is stored. The parcels are numbered for that.
 *
 * Retained messages are kept by one shard for each topic, so that their changes are stored in the
 * order that all shards agree on. */
#include "broker/broker_int.h"

#include <stdlib.h>

int storing_init(struct broker *b, enum broker_durability durability)
{
    if (durability == BROKER_NOT_DURABLE)
        return 0;
    struct storing *st = calloc(1, sizeof *st);
    if (st == NULL)
        return SEALMQ_E_NOMEM;
    epochs_init(&st->epochs);
    st->is_gating = durability == BROKER_DURABLE_FULL;
    st->open.number = 1;
    st->open.base = 1;
    st->open.shard = b->shard;
    st->open.shards = b->shards;
    for (unsigned i = 0; i < SHARDS_MAX; i++)
        st->inbound[i].next_number = 1;
    b->storing = st;
    return 0;
}

void storing_close(struct broker *b)
{
    if (b->storing == NULL)
        return;
    broker_journal_close(&b->storing->open);
    free(b->storing->gated);
    free(b->storing);
    b->storing = NULL;
}

/* ---- gates ---- */

/* Lists a connection that has its first gate. */
static int list_gated(struct storing *st, struct conn *conn)
{
    if (st->gated_count == st->gated_capacity) {
        uint32_t capacity = st->gated_capacity == 0 ? 16 : st->gated_capacity * 2;
        struct conn **list = realloc(st->gated, capacity * sizeof(struct conn *));
        if (list == NULL)
            return SEALMQ_E_NOMEM;
        st->gated = list;
        st->gated_capacity = capacity;
    }
    st->gated[st->gated_count] = conn;
    conn->gated_at = st->gated_count++;
    return 0;
}

/* The last of the list takes its place. */
static void unlist_gated(struct storing *st, struct conn *conn)
{
    struct conn *last = st->gated[--st->gated_count];
    st->gated[conn->gated_at] = last;
    last->gated_at = conn->gated_at;
}

void storing_touch(struct broker *b, struct conn *conn)
{
    struct storing *st = b->storing;
    if (st == NULL)
        return;
    st->is_touched = true;
    st->touches++;
    epochs_need_journal(&st->epochs, st->open.number, 0);
    if (conn != NULL)
        conn->gate_epoch = st->epochs.open.number;
}

uint64_t storing_touches(const struct broker *b)
{
    return b->storing == NULL ? 0 : b->storing->touches;
}

void storing_depend(struct broker *b, struct conn *conn, uint64_t touches_before)
{
    if (b->storing != NULL && b->storing->touches != touches_before)
        conn->gate_epoch = b->storing->epochs.open.number;
}

bool storing_hold(struct broker *b, struct conn *conn)
{
    struct storing *st = b->storing;
    if (st == NULL || !st->is_gating || conn->gate_epoch <= st->epochs.completed)
        return true;
    bool is_listed = conn->gates != NULL;
    int error = gates_add(&conn->gates, conn->gate_epoch, conn->output.bytes);
    if (error == 0 && !is_listed) {
        error = list_gated(st, conn);
        if (error != 0) {
            free(conn->gates);
            conn->gates = NULL;
        }
    }
    if (error != 0)
        conn_end(b, conn, MQTT_REASON_SERVER_BUSY, "out of memory", CONN_SILENT);
    return error == 0;
}

void storing_wait_for_all(struct broker *b, struct conn *conn)
{
    if (b->storing != NULL)
        conn->gate_epoch = epochs_newest(&b->storing->epochs);
}

void storing_forget(struct broker *b, struct conn *conn)
{
    if (conn->gates == NULL)
        return;
    unlist_gated(b->storing, conn);
    free(conn->gates);
    conn->gates = NULL;
}

/* Some epochs have become complete: shows what waited for them, and lets clients speak again. */
static void open_gates(struct broker *b)
{
    struct storing *st = b->storing;
    bool was_full = storing_is_full(b);
    if (!epochs_complete(&st->epochs, st->stored, st->confirmed))
        return;
    /* Backwards, since those that leave are replaced from behind. */
    for (uint32_t i = st->gated_count; i > 0; i--) {
        struct conn *conn = st->gated[i - 1];
        if (!gates_open(&conn->gates, st->epochs.completed))
            continue;
        conn_mark_dirty(b, conn);
        if (conn->gates == NULL)
            unlist_gated(st, conn);
    }
    if (!was_full || storing_is_full(b))
        return;
    for (uint32_t i = 0; i < b->slot_count; i++) {
        if (b->slots[i].conn != NULL)
            conn_unblock(b, b->slots[i].conn);
    }
}

bool storing_is_full(const struct broker *b)
{
    return b->storing != NULL && b->storing->epochs.waiting_bytes >= b->limits.unstored_bytes;
}

bool storing_is_waiting(const struct broker *b)
{
    const struct storing *st = b->storing;
    return st != NULL && !st->is_taken && (st->is_touched || st->open.count != 0);
}

/* ---- operations ---- */

int storing_reserve(struct broker *b, size_t operations)
{
    return b->storing == NULL ? 0 : broker_journal_reserve(&b->storing->open, operations);
}

static uint64_t append(struct broker *b, struct conn *conn, const struct journal_op *op)
{
    struct storing *st = b->storing;
    storing_touch(b, conn);
    size_t before = st->open.bytes;
    uint64_t position = broker_journal_append(&st->open, op);
    epochs_need_journal(&st->epochs, st->open.number, st->open.bytes - before);
    return position;
}

int storing_put_session(struct broker *b, const struct session *s, bool is_online)
{
    if (!s->subscriber.is_durable)
        return 0;
    size_t text_n = (size_t)s->client_id_n + s->user_name_n;
    struct journal_session *put = malloc(sizeof *put + text_n);
    if (put == NULL || storing_reserve(b, 1) != 0) {
        free(put);
        return SEALMQ_E_NOMEM;
    }
    *put = (struct journal_session){
        .will = s->will == NULL ? NULL : message_hold(s->will),
        .will_at_ms = s->will_at_ms,
        .ends_at_ms = is_online ? TIMER_NEVER : s->expires_at_ms,
        .will_delay_s = s->will_delay_s,
        .expiry_s = s->expiry_s,
        .role = (uint8_t)s->role,
        .is_anonymous = s->is_anonymous,
        .is_online = is_online,
        .client_id_n = s->client_id_n,
        .user_name_n = s->user_name_n,
    };
    memcpy(put->text, s->text, text_n);
    struct journal_op op = {.session = s->number, .kind = JOURNAL_SESSION_PUT, .put = put};
    (void)append(b, s->conn, &op);
    return 0;
}

void storing_end_session(struct broker *b, const struct session *s)
{
    /* Without memory the session stays on disk until its time is up, as any that has gone, or until
     * a start finds a newer one of the client. */
    if (s->subscriber.is_durable)
        (void)!storing_forget_session(b, s->number);
}

int storing_forget_session(struct broker *b, uint64_t number)
{
    if (storing_reserve(b, 1) != 0)
        return SEALMQ_E_NOMEM;
    struct journal_op op = {.session = number, .kind = JOURNAL_SESSION_END};
    (void)append(b, NULL, &op);
    return 0;
}

int storing_put_subscription(struct broker *b, const struct session *s, struct bytes filter,
                             const struct subscription_options *options)
{
    if (!s->subscriber.is_durable)
        return 0;
    struct journal_subscription *put = malloc(sizeof *put + filter.n);
    if (put == NULL || storing_reserve(b, 1) != 0) {
        free(put);
        return SEALMQ_E_NOMEM;
    }
    *put = (struct journal_subscription){.filter_n = (uint32_t)filter.n};
    if (options != NULL)
        put->options = *options;
    memcpy(put->filter, filter.p, filter.n);
    struct journal_op op = {
        .session = s->number,
        .kind = options != NULL ? JOURNAL_SUBSCRIPTION_PUT : JOURNAL_SUBSCRIPTION_REMOVED,
        .subscription = put,
    };
    (void)append(b, s->conn, &op);
    return 0;
}

void storing_add(struct broker *b, const struct session *s, struct delivery *delivery)
{
    struct broker_journal *journal = &b->storing->open;
    struct journal_op op = {
        .session = s->number,
        .sequence = journal->base + journal->count,
        .message = message_hold(delivery->message),
        .ids = subscription_ids_hold(delivery->ids),
        .kind = JOURNAL_QUEUE_ADD,
        .qos = delivery->qos,
        .retain = delivery->retain,
        .is_stored = delivery->is_stored,
    };
    delivery->sequence = append(b, NULL, &op);
}

/* The operation that has put this delivery into its present state, while its journal is open. */
static struct journal_op *find_op(struct broker *b, const struct session *s,
                                  const struct delivery *delivery, uint64_t position,
                                  enum journal_kind kind)
{
    struct journal_op *op = broker_journal_at(&b->storing->open, position);
    return op != NULL && op->kind == kind && op->session == s->number &&
                   op->sequence == delivery->sequence
               ? op
               : NULL;
}

/* Only the lower half of a position is kept; what it stands for proves itself. */
static struct journal_op *find_state_op(struct broker *b, const struct session *s,
                                        const struct delivery *delivery)
{
    uint64_t base = b->storing->open.base;
    return find_op(b, s, delivery, base + (uint32_t)(delivery->state_op - (uint32_t)base),
                   JOURNAL_QUEUE_STATE);
}

void storing_set_state(struct broker *b, const struct session *s, struct delivery *delivery,
                       uint16_t packet_id, enum inflight_state state)
{
    if (delivery->sequence == 0)
        return;
    /* At QoS 1 the client may get it before: sent twice is what QoS 1 allows. */
    struct conn *waiting = state == AWAIT_PUBACK ? NULL : s->conn;
    struct journal_op *op = find_op(b, s, delivery, delivery->sequence, JOURNAL_QUEUE_ADD);
    if (op != NULL && state == AWAIT_PUBCOMP)
        broker_journal_drop_message(&b->storing->open, op);
    if (op == NULL)
        op = find_state_op(b, s, delivery);
    if (op != NULL) {
        op->state = (uint8_t)state;
        op->packet_id = packet_id;
        storing_touch(b, waiting);
        return;
    }
    struct journal_op new = {
        .session = s->number,
        .sequence = delivery->sequence,
        .packet_id = packet_id,
        .kind = JOURNAL_QUEUE_STATE,
        .state = (uint8_t)state,
    };
    delivery->state_op = (uint32_t)append(b, waiting, &new);
}

void storing_done(struct broker *b, const struct session *s, const struct delivery *delivery)
{
    if (delivery->sequence == 0)
        return;
    struct journal_op *op = find_op(b, s, delivery, delivery->sequence, JOURNAL_QUEUE_ADD);
    if (op != NULL) {
        broker_journal_void(&b->storing->open, op);
        return;
    }
    op = find_state_op(b, s, delivery);
    if (op != NULL)
        broker_journal_void(&b->storing->open, op);
    /* Without memory the message stays on disk and is sent once more after a restart. */
    if (storing_reserve(b, 1) != 0)
        return;
    struct journal_op new = {
        .session = s->number, .sequence = delivery->sequence, .kind = JOURNAL_QUEUE_DONE};
    (void)append(b, NULL, &new);
}

int storing_received(struct broker *b, const struct session *s, uint16_t packet_id,
                     bool is_released)
{
    if (!s->subscriber.is_durable)
        return 0;
    if (storing_reserve(b, 1) != 0)
        return SEALMQ_E_NOMEM;
    struct journal_op op = {
        .session = s->number,
        .packet_id = packet_id,
        .kind = is_released ? JOURNAL_RELEASED : JOURNAL_RECEIVED,
    };
    (void)append(b, s->conn, &op);
    return 0;
}

/* In the same journal as the deliveries: the client that has no PUBREC sends the message again
 * after a restart, and it must not be given once more to those who have it. Noted before they are,
 * so that nothing can fail afterwards. */
int storing_note(struct broker *b, const struct publication *p, uint64_t *note)
{
    *note = 0;
    /* Where nothing waits, PUBREL may be stored before this note, which would stay for ever then,
     * and pass for a later message with the identifier. */
    if (b->storing == NULL || !b->storing->is_gating || p->view.origin_id == 0)
        return 0;
    if (storing_reserve(b, 1) != 0)
        return SEALMQ_E_NOMEM;
    struct journal_op op = {
        .session = p->view.origin, .packet_id = p->view.origin_id, .kind = JOURNAL_RECEIVED};
    *note = append(b, NULL, &op);
    return 0;
}

void storing_note_end(struct broker *b, uint64_t note)
{
    if (note != 0 && storing_position(b) == note + 1)
        broker_journal_void(&b->storing->open, broker_journal_at(&b->storing->open, note));
}

void storing_fetch(struct broker *b, const struct session *s, struct journal_page *page)
{
    struct journal_op op = {.session = s->number, .kind = JOURNAL_FETCH, .page = page};
    (void)append(b, NULL, &op);
}

/* ---- retained messages ---- */

bool storing_keeps_retained(const struct broker *b, struct bytes topic, unsigned *owner)
{
    if (b->storing == NULL || bytes_starts_with(topic, BYTES_LIT("$SYS/")))
        return false;
    *owner = broker_shard_of(topic, b->shards);
    return true;
}

int storing_retained(struct broker *b, struct publication *p)
{
    unsigned owner;
    if (!storing_keeps_retained(b, p->view.topic, &owner) || owner != b->shard)
        return 0;
    const struct level *level = levels_find(&b->retained.levels, p->view.topic);
    if (level != NULL &&
        CONTAINER_OF((struct level *)(uintptr_t)level, struct retained_node, level)->order >=
            p->view.retained_order)
        return 0;
    if (publication_own(p) != 0 || storing_reserve(b, 1) != 0)
        return SEALMQ_E_NOMEM;
    bool removes = p->view.payload.n == 0;
    struct journal_op op = {
        .message = message_hold(p->owned),
        .kind = removes ? JOURNAL_RETAINED_REMOVED : JOURNAL_RETAINED_PUT,
    };
    (void)append(b, NULL, &op);
    return 0;
}

void storing_retained_expired(struct broker *b, struct broker_message *message)
{
    unsigned owner;
    if (message == NULL || !storing_keeps_retained(b, message->view.topic, &owner) ||
        owner != b->shard || storing_reserve(b, 1) != 0)
        return; /* an expired one that stays is left out at the next start */
    struct journal_op op = {.message = message_hold(message), .kind = JOURNAL_RETAINED_REMOVED};
    (void)append(b, NULL, &op);
}

/* ---- parcels ---- */

void storing_wait_for_shards(struct broker *b, uint64_t shards, size_t bytes)
{
    struct storing *st = b->storing;
    for (; st != NULL && shards != 0; shards &= shards - 1) {
        unsigned shard = (unsigned)__builtin_ctzll(shards);
        st->touches++;
        epochs_need_parcel(&st->epochs, shard, st->inbound[shard].next_number, bytes);
        b->outboxes[shard].wants_word = true;
    }
}

void storing_widen(struct broker *b, uint64_t touches_before)
{
    if (b->storing != NULL && b->storing->touches != touches_before)
        epochs_widen(&b->storing->epochs);
}

bool storing_owes_word(const struct broker *b, unsigned shard)
{
    if (b->storing == NULL)
        return false;
    const struct inbound *in = &b->storing->inbound[shard];
    return in->told < (in->durable < in->wanted ? in->durable : in->wanted);
}

void storing_close_parcel(struct broker *b, unsigned to, struct parcel_word *word)
{
    struct storing *st = b->storing;
    *word = (struct parcel_word){0};
    if (st == NULL)
        return;
    struct inbound *in = &st->inbound[to];
    epochs_cut(&st->epochs);
    in->told = in->durable;
    *word = (struct parcel_word){in->next_number++, in->durable, b->outboxes[to].wants_word};
    b->outboxes[to].wants_word = false;
}

uint64_t storing_position(const struct broker *b)
{
    return b->storing == NULL ? 0 : b->storing->open.base + b->storing->open.count;
}

void storing_parcel_received(struct broker *b, unsigned from, const struct parcel_word *word,
                             uint64_t position_before)
{
    struct storing *st = b->storing;
    if (st == NULL)
        return;
    struct inbound *in = &st->inbound[from];
    bool was_all_durable = in->durable == in->newest;
    ASSERT(word->number > in->newest); /* parcels come in their order */
    in->newest = word->number;
    if (word->wants_word)
        in->wanted = word->number;
    if (was_all_durable && position_before == storing_position(b))
        in->durable = in->newest;
    if (word->durable > st->confirmed[from]) {
        st->confirmed[from] = word->durable;
        open_gates(b);
    }
}

/* ---- the host's side ---- */

void broker_set_wall_clock(struct broker *b, uint64_t wall_ms, uint64_t now_ms)
{
    if (now_ms > b->now_ms)
        b->now_ms = now_ms;
    if (b->storing != NULL)
        b->storing->wall_offset_ms = (int64_t)(wall_ms - now_ms);
}

/* All up to journal `number` is stored. */
static void stored_up_to(struct broker *b, uint64_t number)
{
    struct storing *st = b->storing;
    st->stored = number;
    for (unsigned i = 0; i < b->shards; i++) {
        struct inbound *in = &st->inbound[i];
        uint64_t durable = st->open.count == 0 ? in->newest : in->in_taken;
        in->durable = durable > in->durable ? durable : in->durable;
    }
    open_gates(b);
}

/* The open journal is taken away, or was empty: the next one. */
static void next_journal(struct storing *st)
{
    st->open.number++;
    st->open.base += st->open.count;
    st->open.count = st->open.void_count = 0;
    st->open.bytes = 0;
    st->is_touched = false;
}

struct broker_journal *broker_take_journal(struct broker *b)
{
    struct storing *st = b->storing;
    if (!storing_is_waiting(b))
        return NULL;
    struct broker_journal *taken = NULL;
    if (st->open.count != st->open.void_count) {
        taken = malloc(sizeof *taken);
        if (taken == NULL)
            return NULL;
    }
    broker_enter(b, 0);
    epochs_cut(&st->epochs);
    uint64_t number = st->open.number;
    if (taken != NULL) {
        st->open.wall_offset_ms = st->wall_offset_ms;
        *taken = st->open;
        st->open.ops = NULL;
        st->open.capacity = 0;
        st->is_taken = true;
        for (unsigned i = 0; i < b->shards; i++)
            st->inbound[i].in_taken = st->inbound[i].newest;
    }
    next_journal(st);
    if (taken == NULL)
        stored_up_to(b, number);
    broker_leave(b);
    return taken;
}

static void take_page(struct broker *b, uint64_t session, struct journal_page *page)
{
    struct session *s = session_find(b, bytes_of(page->client_id, page->client_id_n));
    if (s != NULL && s->number == session)
        spill_take_page(b, s, page);
}

void broker_stored(struct broker *b, struct broker_journal *journal, uint64_t now_ms)
{
    broker_enter(b, now_ms);
    ASSERT(b->storing != NULL && b->storing->is_taken);
    b->storing->is_taken = false;
    stored_up_to(b, journal->number);
    for (size_t i = 0; i < journal->count; i++) {
        if (journal->ops[i].kind == JOURNAL_FETCH)
            take_page(b, journal->ops[i].session, journal->ops[i].page);
    }
    broker_journal_free(journal);
    broker_leave(b);
}

void broker_journal_free(struct broker_journal *journal)
{
    if (journal == NULL)
        return;
    broker_journal_close(journal);
    free(journal);
}
