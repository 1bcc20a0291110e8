#include "store/session_store.h"

#include "base/assert.h"
#include "store/session_store_int.h"
#include "store/store_int.h"

#include <stdlib.h>

#define SHARED_BYTES 1024 /* payloads from this size on stand in `messages` */

static const struct db_kind session_kind = {
    .called = "a server's sessions",
    .application_id = 0x53654d53, /* "SeMS" */
    .version = 1,
    .schema =
        "CREATE TABLE sessions(number INTEGER PRIMARY KEY, client BLOB NOT NULL,"
        " user BLOB NOT NULL, role INTEGER NOT NULL, anonymous INTEGER NOT NULL,"
        " online INTEGER NOT NULL, expiry INTEGER NOT NULL, ends INTEGER,"
        " will BLOB, will_delay INTEGER NOT NULL, will_at INTEGER);"
        "CREATE TABLE subscriptions(session INTEGER, filter BLOB, id INTEGER NOT NULL,"
        " options INTEGER NOT NULL, PRIMARY KEY(session, filter)) WITHOUT ROWID;"
        "CREATE TABLE queue(session INTEGER, sequence INTEGER, state INTEGER NOT NULL,"
        " packet_id INTEGER NOT NULL, qos INTEGER NOT NULL, flags INTEGER NOT NULL,"
        " size INTEGER NOT NULL, ids BLOB NOT NULL, shared INTEGER NOT NULL, message BLOB,"
        " PRIMARY KEY(session, sequence)) WITHOUT ROWID;"
        "CREATE TABLE messages(id INTEGER PRIMARY KEY, uses INTEGER NOT NULL,"
        " message BLOB NOT NULL);"
        "CREATE INDEX unused ON messages(uses) WHERE uses <= 0;"
        "CREATE TABLE received(session INTEGER, packet_id INTEGER, shard INTEGER, shards INTEGER,"
        " PRIMARY KEY(session, packet_id, shard, shards)) WITHOUT ROWID;"
        "CREATE TABLE retained(topic BLOB PRIMARY KEY, ord INTEGER NOT NULL,"
        " message BLOB NOT NULL) WITHOUT ROWID",
    .is_exclusive = true,
};

#define QUEUED_MESSAGE "ifnull(queue.message, messages.message)"
#define FROM_QUEUE     " FROM queue LEFT JOIN messages ON messages.id = queue.shared"

static const char *const statements[SESSION_STATEMENTS] = {
    [PUT_SESSION] = "INSERT OR REPLACE INTO sessions(number, client, user, role, anonymous, online,"
                    " expiry, ends, will, will_delay, will_at)"
                    " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    [END_SESSION] = "DELETE FROM sessions WHERE number = ?1",
    [END_SUBSCRIPTIONS] = "DELETE FROM subscriptions WHERE session = ?1",
    [END_RECEIVED] = "DELETE FROM received WHERE session = ?1",
    [USES_OF_SESSION] =
        "UPDATE messages SET uses = uses - (SELECT count(*) FROM queue WHERE session = ?1"
        " AND shared = messages.id) WHERE id IN (SELECT shared FROM queue WHERE session = ?1)",
    [END_QUEUE] = "DELETE FROM queue WHERE session = ?1",
    [PUT_SUBSCRIPTION] = "INSERT OR REPLACE INTO subscriptions(session, filter, id, options)"
                         " VALUES(?1, ?2, ?3, ?4)",
    [REMOVE_SUBSCRIPTION] = "DELETE FROM subscriptions WHERE session = ?1 AND filter = ?2",
    [ADD_MESSAGE] = "INSERT INTO messages(uses, message) VALUES(0, ?1)",
    [ADD_TO_QUEUE] = "INSERT INTO queue(session, sequence, state, packet_id, qos, flags, size, ids,"
                     " shared, message) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    [SENT] = "UPDATE queue SET state = ?3, packet_id = ?4 WHERE session = ?1 AND sequence = ?2",
    [PUBREC_CAME] = "UPDATE queue SET state = ?3, packet_id = ?4, message = NULL, shared = 0"
                    " WHERE session = ?1 AND sequence = ?2",
    [SHARED_OF] = "SELECT shared FROM queue WHERE session = ?1 AND sequence = ?2",
    [DONE] = "DELETE FROM queue WHERE session = ?1 AND sequence = ?2",
    [UNUSE_MESSAGE] = "UPDATE messages SET uses = uses + ?2 WHERE id = ?1",
    [DROP_UNUSED] = "DELETE FROM messages WHERE uses <= 0",
    [RECEIVED] = "INSERT OR IGNORE INTO received(session, packet_id, shard, shards)"
                 " SELECT ?1, ?2, ?3, ?4 WHERE EXISTS(SELECT 1 FROM sessions WHERE number = ?1)",
    [RELEASED] = "DELETE FROM received WHERE session = ?1 AND packet_id = ?2",
    [PUT_RETAINED] = "INSERT OR REPLACE INTO retained(topic, ord, message) VALUES(?1, ?2, ?3)",
    [REMOVE_RETAINED] = "DELETE FROM retained WHERE topic = ?1",
    [FETCH_PAGE] = "SELECT sequence, qos, flags, ids, " QUEUED_MESSAGE FROM_QUEUE
                   " WHERE session = ?1 AND sequence > ?2 AND state = 0 ORDER BY sequence LIMIT ?3",
    [LOAD_HIGHEST] = "SELECT (SELECT ifnull(max(number & 72057594037927935), 0) FROM sessions),"
                     " (SELECT ifnull(max(sequence), 0) FROM queue),"
                     " (SELECT ifnull(max(ord), 0) FROM retained)",
    [LOAD_SESSIONS] = "SELECT number, client, user, role, anonymous, online, expiry, ends, will,"
                      " will_delay, will_at FROM sessions ORDER BY number DESC",
    [LOAD_SUBSCRIPTIONS] = "SELECT filter, id, options FROM subscriptions WHERE session = ?1",
    [LOAD_WAITING] = "SELECT flags & 2, count(*), sum(size) FROM queue WHERE session = ?1"
                     " AND state = 0 GROUP BY flags & 2",
    [LOAD_INFLIGHT] =
        "SELECT state, packet_id, sequence, qos, flags, ids, " QUEUED_MESSAGE FROM_QUEUE
        " WHERE session = ?1 AND state <> 0 ORDER BY sequence",
    [LOAD_RECEIVED] = "SELECT packet_id, shard, shards FROM received WHERE session = ?1",
    [LOAD_RETAINED] = "SELECT message FROM retained",
};

int session_store_open(const char *path, bool is_synchronous, struct session_store **out, char *why,
                       size_t why_size)
{
    *out = NULL;
    struct session_store *store = calloc(1, sizeof(*store));
    if (store == NULL) {
        store_why(why, why_size, "%s: %s", path, sealmq_error_text(SEALMQ_E_NOMEM));
        return SEALMQ_E_NOMEM;
    }
    int error = db_open(path, DB_WRITE_OR_CREATE, &session_kind, &store->db, why, why_size);
    if (error == 0) {
        error = db_prepare_all(store->db, statements, store->statements, SESSION_STATEMENTS);
        if (error == 0)
            error = db_exec(store->db, is_synchronous
                                           ? "PRAGMA cache_size=-65536"
                                           : "PRAGMA cache_size=-65536; PRAGMA synchronous=NORMAL");
        if (error != 0)
            (void)db_fail(store->db, sqlite3_extended_errcode(store->db), path, &session_kind, why,
                          why_size);
    }
    if (error != 0) {
        session_store_close(store);
        return error;
    }
    *out = store;
    return 0;
}

void session_store_close(struct session_store *store)
{
    if (store == NULL)
        return;
    db_finalize_all(store->statements, SESSION_STATEMENTS);
    db_close(store->db);
    buf_close(&store->scratch);
    buf_close(&store->ids);
    free(store->shared);
    free(store);
}

/* ---- messages that several queues share ---- */

static struct shared_message *shared_slot(struct session_store *store,
                                          const struct broker_message *message)
{
    size_t mask = store->shared_size - 1;
    size_t at = (size_t)((uintptr_t)message >> 4) * 0x9e3779b1u & mask;
    while (store->shared[at].message != NULL && store->shared[at].message != message)
        at = (at + 1) & mask;
    return &store->shared[at];
}

static int shared_grow(struct session_store *store)
{
    struct shared_message *old = store->shared;
    size_t old_size = store->shared_size;
    size_t size = old_size == 0 ? 64 : old_size * 2;
    struct shared_message *list = calloc(size, sizeof *list);
    if (list == NULL)
        return SEALMQ_E_NOMEM;
    store->shared = list;
    store->shared_size = size;
    for (size_t i = 0; i < old_size; i++) {
        if (old[i].message != NULL)
            *shared_slot(store, old[i].message) = old[i];
    }
    free(old);
    return 0;
}

static void shared_clear(struct session_store *store)
{
    free(store->shared);
    store->shared = NULL;
    store->shared_count = store->shared_size = 0;
}

static int append_message(struct session_store *store, const struct broker_message *message,
                          int64_t offset_ms, bool is_will)
{
    buf_reset(&store->scratch);
    stored_message_append(&message->view, offset_ms, is_will, &store->scratch);
    if (buf_status(&store->scratch) != 0)
        return buf_status(&store->scratch);
    return store->scratch.n > DB_LENGTH_MAX ? SEALMQ_E_LIMIT : 0;
}

static int use_message(struct session_store *store, uint64_t id, bool is_used)
{
    sqlite3_stmt *s = store->statements[UNUSE_MESSAGE];
    db_bind_u64(s, 1, id);
    sqlite3_bind_int(s, 2, is_used ? 1 : -1);
    return db_run(s);
}

/* The row of `messages` for a message, which counts one use more. */
static int share(struct session_store *store, const struct broker_message *message,
                 int64_t offset_ms, uint64_t *id)
{
    if (store->shared_count * 2 >= store->shared_size) {
        int error = shared_grow(store);
        if (error != 0)
            return error;
    }
    struct shared_message *slot = shared_slot(store, message);
    if (slot->message == NULL) {
        int error = append_message(store, message, offset_ms, false);
        if (error != 0)
            return error;
        db_bind_blob(store->statements[ADD_MESSAGE], 1, buf_bytes(&store->scratch));
        error = db_run(store->statements[ADD_MESSAGE]);
        if (error != 0)
            return error;
        *slot = (struct shared_message){message, (uint64_t)sqlite3_last_insert_rowid(store->db), 0};
        store->shared_count++;
    }
    *id = slot->id;
    return use_message(store, slot->id, true);
}

/* ---- operations ---- */

static void bind_time(sqlite3_stmt *s, int at, uint64_t at_ms, int64_t offset_ms)
{
    if (at_ms == UINT64_MAX)
        sqlite3_bind_null(s, at);
    else
        sqlite3_bind_int64(s, at, (int64_t)at_ms + offset_ms);
}

static int put_session(struct session_store *store, const struct broker_journal *journal,
                       const struct journal_op *op)
{
    sqlite3_stmt *s = store->statements[PUT_SESSION];
    const struct journal_session *put = op->put;
    db_bind_u64(s, 1, op->session);
    db_bind_blob(s, 2, bytes_of(put->text, put->client_id_n));
    db_bind_blob(s, 3, bytes_of(put->text + put->client_id_n, put->user_name_n));
    db_bind_u64(s, 4, put->role);
    db_bind_u64(s, 5, put->is_anonymous);
    db_bind_u64(s, 6, put->is_online);
    db_bind_u64(s, 7, put->expiry_s);
    bind_time(s, 8, put->ends_at_ms, journal->wall_offset_ms);
    sqlite3_bind_null(s, 9);
    if (put->will != NULL) {
        int error = append_message(store, put->will, journal->wall_offset_ms, true);
        if (error != 0)
            return error;
        db_bind_blob(s, 9, buf_bytes(&store->scratch));
    }
    db_bind_u64(s, 10, put->will_delay_s);
    bind_time(s, 11, put->will_at_ms, journal->wall_offset_ms);
    return db_run(s);
}

/* Runs statements that take a session, and an item of it. */
static int run_for(struct session_store *store, enum session_statement statement, uint64_t session,
                   uint64_t item)
{
    sqlite3_stmt *s = store->statements[statement];
    db_bind_u64(s, 1, session);
    if (sqlite3_bind_parameter_count(s) > 1)
        db_bind_u64(s, 2, item);
    return db_run(s);
}

static int end_session(struct session_store *store, uint64_t session)
{
    static const enum session_statement parts[] = {
        USES_OF_SESSION, END_QUEUE, END_SUBSCRIPTIONS, END_RECEIVED, END_SESSION,
    };
    int error = 0;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0] && error == 0; i++)
        error = run_for(store, parts[i], session, 0);
    return error;
}

static int put_subscription(struct session_store *store, const struct journal_op *op)
{
    const struct journal_subscription *put = op->subscription;
    bool is_there = op->kind == JOURNAL_SUBSCRIPTION_PUT;
    sqlite3_stmt *s = store->statements[is_there ? PUT_SUBSCRIPTION : REMOVE_SUBSCRIPTION];
    db_bind_u64(s, 1, op->session);
    db_bind_blob(s, 2, bytes_of(put->filter, put->filter_n));
    if (is_there) {
        db_bind_u64(s, 3, put->options.id);
        db_bind_u64(s, 4,
                    (uint64_t)(put->options.qos | put->options.no_local << 2 |
                               put->options.retain_as_published << 3));
    }
    return db_run(s);
}

static int add_to_queue(struct session_store *store, const struct broker_journal *journal,
                        const struct journal_op *op)
{
    sqlite3_stmt *s = store->statements[ADD_TO_QUEUE];
    uint64_t shared = 0;
    int error = 0;
    bool is_inline = op->message != NULL && op->message->view.payload.n < SHARED_BYTES;
    if (is_inline)
        error = append_message(store, op->message, journal->wall_offset_ms, false);
    else if (op->message != NULL)
        error = share(store, op->message, journal->wall_offset_ms, &shared);
    buf_reset(&store->ids);
    for (uint32_t i = 0; op->ids != NULL && i < op->ids->count; i++)
        buf_append_u32(&store->ids, op->ids->id[i]);
    if (error == 0)
        error = buf_status(&store->ids);
    if (error != 0)
        return error;
    db_bind_u64(s, 1, op->session);
    db_bind_u64(s, 2, op->sequence);
    db_bind_u64(s, 3, op->state);
    db_bind_u64(s, 4, op->packet_id);
    db_bind_u64(s, 5, op->qos);
    db_bind_u64(s, 6,
                (uint64_t)((op->retain ? QUEUE_RETAIN : 0) | (op->is_stored ? QUEUE_STORED : 0)));
    db_bind_u64(s, 7, op->message == NULL ? 0 : message_size(&op->message->view));
    db_bind_blob(s, 8, buf_bytes(&store->ids));
    db_bind_u64(s, 9, shared);
    if (is_inline)
        db_bind_blob(s, 10, buf_bytes(&store->scratch));
    else
        sqlite3_bind_null(s, 10);
    return db_run(s);
}

/* The message of a queue's row is used once less. */
static int unshare(struct session_store *store, const struct journal_op *op)
{
    sqlite3_stmt *s = store->statements[SHARED_OF];
    uint64_t shared = 0;
    db_bind_u64(s, 1, op->session);
    db_bind_u64(s, 2, op->sequence);
    int error = db_next(s);
    if (error == SEALMQ_E_NOTFOUND)
        return 0;
    if (error == 0)
        error = db_column_u64(s, 0, &shared);
    sqlite3_reset(s);
    return error != 0 || shared == 0 ? error : use_message(store, shared, false);
}

static int set_state(struct session_store *store, const struct journal_op *op)
{
    bool is_pubrec = op->state == AWAIT_PUBCOMP;
    int error = is_pubrec ? unshare(store, op) : 0;
    if (error != 0)
        return error;
    sqlite3_stmt *s = store->statements[is_pubrec ? PUBREC_CAME : SENT];
    db_bind_u64(s, 3, op->state);
    db_bind_u64(s, 4, op->packet_id);
    return run_for(store, is_pubrec ? PUBREC_CAME : SENT, op->session, op->sequence);
}

static int put_retained(struct session_store *store, const struct broker_journal *journal,
                        const struct journal_op *op)
{
    sqlite3_stmt *s = store->statements[PUT_RETAINED];
    int error = append_message(store, op->message, journal->wall_offset_ms, false);
    if (error != 0)
        return error;
    db_bind_blob(s, 1, op->message->view.topic);
    db_bind_u64(s, 2, op->message->view.retained_order);
    db_bind_blob(s, 3, buf_bytes(&store->scratch));
    return db_run(s);
}

static int apply(struct session_store *store, const struct broker_journal *journal,
                 const struct journal_op *op)
{
    int error;
    switch ((enum journal_kind)op->kind) {
    case JOURNAL_SESSION_PUT:
        return put_session(store, journal, op);
    case JOURNAL_SESSION_END:
        return end_session(store, op->session);
    case JOURNAL_SUBSCRIPTION_PUT:
    case JOURNAL_SUBSCRIPTION_REMOVED:
        return put_subscription(store, op);
    case JOURNAL_QUEUE_ADD:
        return add_to_queue(store, journal, op);
    case JOURNAL_QUEUE_STATE:
        return set_state(store, op);
    case JOURNAL_QUEUE_DONE:
        error = unshare(store, op);
        return error != 0 ? error : run_for(store, DONE, op->session, op->sequence);
    case JOURNAL_RECEIVED:
        db_bind_u64(store->statements[RECEIVED], 3, journal->shard);
        db_bind_u64(store->statements[RECEIVED], 4, journal->shards);
        return run_for(store, RECEIVED, op->session, op->packet_id);
    case JOURNAL_RELEASED:
        return run_for(store, RELEASED, op->session, op->packet_id);
    case JOURNAL_RETAINED_PUT:
        return put_retained(store, journal, op);
    case JOURNAL_RETAINED_REMOVED:
        db_bind_blob(store->statements[REMOVE_RETAINED], 1, op->message->view.topic);
        return db_run(store->statements[REMOVE_RETAINED]);
    case JOURNAL_VOID:
    case JOURNAL_FETCH:
        break;
    }
    return 0;
}

static int fetch(struct session_store *store, const struct broker_journal *journal,
                 const struct journal_op *op)
{
    sqlite3_stmt *s = store->statements[FETCH_PAGE];
    struct journal_page *page = op->page;
    journal_page_reset(page);
    page->list = calloc(page->messages, sizeof *page->list);
    if (page->list == NULL)
        return SEALMQ_E_NOMEM;
    db_bind_u64(s, 1, op->session);
    db_bind_u64(s, 2, page->after);
    db_bind_u64(s, 3, page->messages);
    uint64_t bytes = 0;
    int error = 0;
    while (error == 0 && page->count < page->messages && bytes < page->bytes) {
        error = db_next(s);
        if (error != 0)
            break;
        struct journal_fetched *fetched = &page->list[page->count];
        error = stored_delivery_read(s, 0, journal->wall_offset_ms, fetched);
        if (error == 0 && fetched->message == NULL)
            error = SEALMQ_E_CORRUPT;
        if (error == 0) {
            bytes += message_size(&fetched->message->view);
            page->count++;
        }
    }
    sqlite3_reset(s);
    return error == SEALMQ_E_NOTFOUND ? 0 : error;
}

static int apply_all(struct session_store *store, struct broker_journal *const *journals,
                     size_t count)
{
    int error = 0;
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < journals[i]->count && error == 0; k++)
            error = apply(store, journals[i], &journals[i]->ops[k]);
    }
    return error == 0 ? db_run(store->statements[DROP_UNUSED]) : error;
}

static int fetch_all(struct session_store *store, struct broker_journal *const *journals,
                     size_t count)
{
    int error = 0;
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < journals[i]->count && error == 0; k++) {
            if (journals[i]->ops[k].kind == JOURNAL_FETCH)
                error = fetch(store, journals[i], &journals[i]->ops[k]);
        }
    }
    return error;
}

int session_store_commit(struct session_store *store, struct broker_journal *const *journals,
                         size_t count)
{
    int error = db_begin(store->db);
    if (error != 0)
        return error;
    error = apply_all(store, journals, count);
    if (error == 0)
        error = fetch_all(store, journals, count);
    if (error == 0)
        error = db_commit(store->db);
    if (error != 0)
        db_rollback(store->db);
    shared_clear(store);
    return error;
}
