/* A message on disk:
 *
 *     version 1 | qos 1 | retain 1 | expires 8 | origin 8 | order 8 | topic 2+n | properties 4+n |
 *     payload, to the end                                               (numbers are big-endian) */
#include "store/session_store_int.h"

#include "broker/timer.h"

#include <stdlib.h>

#define FORM 1

static uint64_t to_wall(uint64_t at_ms, int64_t offset_ms)
{
    return at_ms == TIMER_NEVER ? TIMER_NEVER : (uint64_t)((int64_t)at_ms + offset_ms);
}

static uint64_t from_wall(uint64_t wall_ms, int64_t offset_ms)
{
    if (wall_ms == TIMER_NEVER)
        return TIMER_NEVER;
    int64_t at = wall_ms > INT64_MAX ? INT64_MAX : (int64_t)wall_ms;
    return at <= offset_ms ? 0 : (uint64_t)(at - offset_ms);
}

void stored_message_append(const struct message_view *view, int64_t wall_offset_ms, bool is_will,
                           struct buf *out)
{
    buf_append_u8(out, FORM);
    buf_append_u8(out, view->qos);
    buf_append_u8(out, view->retain);
    buf_append_u64(out, to_wall(view->expires_ms, is_will ? 0 : wall_offset_ms));
    buf_append_u64(out, view->origin);
    buf_append_u64(out, view->retained_order);
    buf_append_str16(out, view->topic);
    buf_append_u32(out, (uint32_t)view->props.n);
    buf_append_bytes(out, view->props);
    buf_append_bytes(out, view->payload);
}

int stored_message_parse(struct bytes stored, int64_t wall_offset_ms, bool is_will,
                         struct broker_message **out)
{
    struct reader r = reader_of(stored);
    struct publication p = {0};
    uint8_t form = reader_u8(&r);
    p.view.qos = reader_u8(&r);
    p.view.retain = reader_u8(&r) != 0;
    p.view.expires_ms = from_wall(reader_u64(&r), is_will ? 0 : wall_offset_ms);
    p.view.origin = reader_u64(&r);
    p.view.retained_order = reader_u64(&r);
    p.view.topic = reader_str16(&r);
    p.view.props = reader_bytes(&r, reader_u32(&r));
    p.view.payload = reader_bytes(&r, r.n);
    *out = NULL;
    if (reader_status(&r) != 0 || form != FORM || p.view.qos > 2 ||
        !mqtt_topic_is_valid(p.view.topic))
        return SEALMQ_E_CORRUPT;
    int error = publication_own(&p);
    *out = p.owned;
    return error;
}

int stored_delivery_read(sqlite3_stmt *row, int at, int64_t wall_offset_ms,
                         struct journal_fetched *out)
{
    uint64_t qos = 0, flags = 0;
    struct bytes ids = {0};
    struct bytes message = {0};
    *out = (struct journal_fetched){0};
    int error = db_column_u64(row, at, &out->sequence);
    if (error == 0)
        error = db_column_u64(row, at + 1, &qos);
    if (error == 0)
        error = db_column_u64(row, at + 2, &flags);
    if (error == 0)
        error = db_column_blob(row, at + 3, &ids);
    if (error == 0 && (qos < 1 || qos > 2 || ids.n % 4 != 0))
        error = SEALMQ_E_CORRUPT;
    if (error != 0)
        return error;
    out->qos = (uint8_t)qos;
    out->retain = (flags & QUEUE_RETAIN) != 0;
    out->is_stored = (flags & QUEUE_STORED) != 0;
    if (ids.n != 0) {
        out->ids = malloc(ids.n);
        if (out->ids == NULL)
            return SEALMQ_E_NOMEM;
        struct reader r = reader_of(ids);
        while (out->id_count < ids.n / 4)
            out->ids[out->id_count++] = reader_u32(&r);
    }
    if (sqlite3_column_type(row, at + 4) != SQLITE_NULL) {
        error = db_column_blob(row, at + 4, &message);
        if (error == 0)
            error = stored_message_parse(message, wall_offset_ms, false, &out->message);
    }
    if (error != 0)
        stored_delivery_close(out);
    return error;
}

void stored_delivery_close(struct journal_fetched *fetched)
{
    message_release(fetched->message);
    free(fetched->ids);
    *fetched = (struct journal_fetched){0};
}
