/* From the file into the shards of a new server. Client ids are given to shards anew, since there
 * may be another number of them than there was. */
#include "broker/restore.h"
#include "store/session_store_int.h"

#include <stdlib.h>

struct loading {
    struct session_store *store;
    const struct session_store_target *target;
    struct session_store_loaded *loaded;
    struct broker *shard;
    struct session *session;
    uint64_t number;
};

/* A time of the wall clock, on which the shards put theirs; NULL is never. */
static int column_time(sqlite3_stmt *row, int at, uint64_t *out)
{
    *out = UINT64_MAX;
    return sqlite3_column_type(row, at) == SQLITE_NULL ? 0 : db_column_u64(row, at, out);
}

/* Calls `take` for each row of a statement. */
static int each(struct loading *l, enum session_statement statement, bool of_session,
                int (*take)(struct loading *l, sqlite3_stmt *row))
{
    sqlite3_stmt *row = l->store->statements[statement];
    if (of_session)
        db_bind_u64(row, 1, l->number);
    int end = 0;
    int error = 0;
    while (error == 0 && (end = db_next(row)) == 0)
        error = take(l, row);
    sqlite3_reset(row);
    return error != 0 ? error : end == SEALMQ_E_NOTFOUND ? 0 : end;
}

static int take_numbers(sqlite3_stmt *row, int at, uint64_t *out, int count)
{
    int error = 0;
    for (int i = 0; i < count && error == 0; i++)
        error = db_column_u64(row, at + i, &out[i]);
    return error;
}

static int take_subscription(struct loading *l, sqlite3_stmt *row)
{
    struct bytes filter = {0};
    uint64_t v[2] = {0};
    int error = db_column_blob(row, 0, &filter);
    if (error == 0)
        error = take_numbers(row, 1, v, 2);
    if (error == 0 && (v[0] > UINT32_MAX || (v[1] & 3) > 2 || !mqtt_filter_is_valid(filter)))
        error = SEALMQ_E_CORRUPT;
    if (error != 0)
        return error;
    struct subscription_options options = {(uint32_t)v[0], v[1] & 3, (v[1] & 4) != 0,
                                           (v[1] & 8) != 0};
    l->loaded->subscriptions++;
    return broker_restore_subscription(l->shard, l->session, filter, &options);
}

static int take_waiting(struct loading *l, sqlite3_stmt *row)
{
    uint64_t v[3] = {0};
    int error = take_numbers(row, 0, v, 3);
    if (error == 0 && v[1] > UINT32_MAX)
        error = SEALMQ_E_CORRUPT;
    if (error != 0)
        return error;
    l->loaded->queued += v[1];
    return broker_restore_queue(l->shard, l->session, v[0] != 0, (uint32_t)v[1], v[2]);
}

static int take_inflight(struct loading *l, sqlite3_stmt *row)
{
    uint64_t v[2] = {0};
    struct journal_fetched fetched;
    int error = take_numbers(row, 0, v, 2);
    if (error == 0 && (v[0] > AWAIT_PUBCOMP || v[1] > UINT16_MAX))
        error = SEALMQ_E_CORRUPT;
    if (error == 0)
        error = stored_delivery_read(row, 2, l->target->wall_offset_ms, &fetched);
    if (error != 0)
        return error;
    error = broker_restore_inflight(l->shard, l->session, &fetched, (uint16_t)v[1],
                                    (enum inflight_state)v[0]);
    stored_delivery_close(&fetched);
    l->loaded->inflight++;
    return error;
}

static int take_received(struct loading *l, sqlite3_stmt *row)
{
    uint64_t v[3] = {0};
    int error = take_numbers(row, 0, v, 3);
    if (error == 0 && (v[0] > UINT16_MAX || v[1] > UINT8_MAX || v[2] > UINT8_MAX))
        error = SEALMQ_E_CORRUPT;
    return error != 0 ? error
                      : broker_restore_received(l->session, (uint16_t)v[0], (unsigned)v[1],
                                                (unsigned)v[2]);
}

static int take_parts(struct loading *l)
{
    int error = each(l, LOAD_SUBSCRIPTIONS, true, take_subscription);
    if (error == 0)
        error = each(l, LOAD_WAITING, true, take_waiting);
    if (error == 0)
        error = each(l, LOAD_INFLIGHT, true, take_inflight);
    return error != 0 ? error : each(l, LOAD_RECEIVED, true, take_received);
}

/* A session that has ended meanwhile, without a will that is still to be said. */
static bool is_over(const struct loading *l, const struct journal_session *put)
{
    uint64_t wall_now_ms = (uint64_t)((int64_t)l->target->now_ms + l->target->wall_offset_ms);
    bool is_late = put->is_online ? put->expiry_s == 0 : put->ends_at_ms <= wall_now_ms;
    return is_late && put->will == NULL;
}

static int restore_session(struct loading *l, struct journal_session *put)
{
    struct bytes client = bytes_of(put->text, put->client_id_n);
    l->shard = l->target->shards[broker_shard_of(client, l->target->shard_count)];
    if (is_over(l, put)) {
        l->loaded->ended++;
        return broker_restore_ended(l->shard, l->number);
    }
    int error = broker_restore_session(l->shard, l->number, put, &l->session);
    /* An older session of the client, which comes later in this order, has ended when there was no
     * memory to say so (storing_end_session). */
    if (error == SEALMQ_E_EXISTS) {
        l->loaded->ended++;
        return broker_restore_ended(l->shard, l->number);
    }
    l->loaded->sessions++;
    return error != 0 ? error : take_parts(l);
}

static int read_session(struct loading *l, sqlite3_stmt *row, struct bytes client,
                        struct bytes user, struct journal_session *put)
{
    uint64_t v[4] = {0};
    uint64_t delay_s = 0;
    struct bytes will = {0};
    int error = take_numbers(row, 3, v, 4);
    if (error == 0)
        error = column_time(row, 7, &put->ends_at_ms);
    if (error == 0 && sqlite3_column_type(row, 8) != SQLITE_NULL) {
        error = db_column_blob(row, 8, &will);
        if (error == 0)
            error = stored_message_parse(will, l->target->wall_offset_ms, true, &put->will);
    }
    if (error == 0)
        error = db_column_u64(row, 9, &delay_s);
    if (error == 0)
        error = column_time(row, 10, &put->will_at_ms);
    if (error == 0 && (v[0] > UINT8_MAX || v[3] > UINT32_MAX || delay_s > UINT32_MAX))
        error = SEALMQ_E_CORRUPT;
    if (error != 0)
        return error;
    put->role = (uint8_t)v[0];
    put->is_anonymous = v[1] != 0;
    put->is_online = v[2] != 0;
    put->expiry_s = (uint32_t)v[3];
    put->will_delay_s = (uint32_t)delay_s;
    put->client_id_n = (uint16_t)client.n;
    put->user_name_n = (uint32_t)user.n;
    memcpy(put->text, client.p, client.n);
    if (user.n != 0)
        memcpy(put->text + client.n, user.p, user.n);
    return 0;
}

static int take_session(struct loading *l, sqlite3_stmt *row)
{
    struct bytes client = {0};
    struct bytes user = {0};
    int error = db_column_u64(row, 0, &l->number);
    if (error == 0)
        error = db_column_blob(row, 1, &client);
    if (error == 0)
        error = db_column_blob(row, 2, &user);
    if (error == 0 && (client.n == 0 || client.n > UINT16_MAX || user.n > UINT16_MAX))
        error = SEALMQ_E_CORRUPT;
    if (error != 0)
        return error;
    struct journal_session *put = calloc(1, sizeof *put + client.n + user.n);
    if (put == NULL)
        return SEALMQ_E_NOMEM;
    error = read_session(l, row, client, user, put);
    if (error == 0)
        error = restore_session(l, put);
    message_release(put->will);
    free(put);
    return error;
}

static int take_retained(struct loading *l, sqlite3_stmt *row)
{
    struct bytes stored = {0};
    struct broker_message *message = NULL;
    int error = db_column_blob(row, 0, &stored);
    if (error == 0)
        error = stored_message_parse(stored, l->target->wall_offset_ms, false, &message);
    if (error == 0 && (!message->view.retain || message->view.payload.n == 0))
        error = SEALMQ_E_CORRUPT;
    for (unsigned i = 0; i < l->target->shard_count && error == 0; i++)
        error = broker_restore_retained(l->target->shards[i], message);
    message_release(message);
    l->loaded->retained++;
    return error;
}

static int take_highest(struct loading *l, sqlite3_stmt *row)
{
    uint64_t v[3] = {0};
    int error = take_numbers(row, 0, v, 3);
    for (unsigned i = 0; i < l->target->shard_count && error == 0; i++)
        broker_restore_begin(l->target->shards[i], v[0], v[1]);
    *l->target->retained_counter = v[2];
    return error;
}

int session_store_load(struct session_store *store, const struct session_store_target *target,
                       struct session_store_loaded *loaded)
{
    struct loading l = {.store = store, .target = target, .loaded = loaded};
    *loaded = (struct session_store_loaded){0};
    int error = each(&l, LOAD_HIGHEST, false, take_highest);
    if (error == 0)
        error = each(&l, LOAD_SESSIONS, false, take_session);
    return error != 0 ? error : each(&l, LOAD_RETAINED, false, take_retained);
}
