#include "gateway/gateway_int.h"

#include <stdlib.h>

static void free_owned(struct update_builder *update)
{
    while (update->owned != NULL) {
        struct owned *next = update->owned->next;
        free(update->owned);
        update->owned = next;
    }
}

void gateway_update_begin(struct gateway *gateway)
{
    struct update_builder *update = &gateway->update;
    free_owned(update);
    update->write_count = update->message_count = update->note_count = 0;
    update->error = 0;
}

void gateway_update_close(struct gateway *gateway)
{
    struct update_builder *update = &gateway->update;
    free_owned(update);
    free(update->writes);
    free(update->messages);
    free(update->notes);
}

void gateway_update_fail(struct gateway *gateway, int error)
{
    if (gateway->update.error == 0)
        gateway->update.error = error;
}

struct bytes gateway_update_copy(struct gateway *gateway, struct bytes bytes)
{
    struct owned *owned = malloc(sizeof *owned + bytes.n + 1);
    if (owned == NULL) {
        gateway_update_fail(gateway, SEALMQ_E_NOMEM);
        return (struct bytes){0};
    }
    if (bytes.n != 0)
        memcpy(owned->bytes, bytes.p, bytes.n);
    owned->bytes[bytes.n] = '\0';
    owned->next = gateway->update.owned;
    gateway->update.owned = owned;
    return bytes_of(owned->bytes, bytes.n);
}

/* Room for one more element; false when out of memory. */
static bool grow(struct gateway *gateway, void **list, size_t count, size_t *capacity,
                 size_t element)
{
    if (count < *capacity)
        return true;
    size_t more = *capacity == 0 ? 16 : *capacity * 2;
    void *bigger = realloc(*list, more * element);
    if (bigger == NULL) {
        gateway_update_fail(gateway, SEALMQ_E_NOMEM);
        return false;
    }
    *list = bigger;
    *capacity = more;
    return true;
}

static void add_write(struct gateway *gateway, struct gateway_write write)
{
    struct update_builder *update = &gateway->update;
    if (grow(gateway, (void **)&update->writes, update->write_count, &update->write_capacity,
             sizeof *update->writes))
        update->writes[update->write_count++] = write;
}

void gateway_update_write(struct gateway *gateway, enum gateway_table table, uint64_t key,
                          struct bytes value)
{
    add_write(gateway, (struct gateway_write){.table = table,
                                              .key = key,
                                              .value = gateway_update_copy(gateway, value)});
}

void gateway_update_remove(struct gateway *gateway, enum gateway_table table, uint64_t key)
{
    add_write(gateway, (struct gateway_write){.table = table, .key = key, .remove = true});
}

void gateway_update_meta(struct gateway *gateway, enum gateway_meta key, uint64_t value)
{
    uint8_t bytes[8];
    for (size_t i = sizeof bytes; i-- > 0; value >>= 8)
        bytes[i] = (uint8_t)value;
    gateway_update_write(gateway, GATEWAY_TABLE_META, (uint64_t)key, bytes_of(bytes, sizeof bytes));
}

void gateway_update_message(struct gateway *gateway, struct bytes topic, struct bytes payload)
{
    struct update_builder *update = &gateway->update;
    if (grow(gateway, (void **)&update->messages, update->message_count, &update->message_capacity,
             sizeof *update->messages))
        update->messages[update->message_count++] =
            (struct gateway_message){.topic = gateway_update_copy(gateway, topic),
                                     .payload = gateway_update_copy(gateway, payload)};
}

void gateway_update_note(struct gateway *gateway, enum gateway_note_kind kind, uint64_t n,
                         int error, const char *words)
{
    struct update_builder *update = &gateway->update;
    struct bytes copy = gateway_update_copy(gateway, bytes_str(words));
    if (grow(gateway, (void **)&update->notes, update->note_count, &update->note_capacity,
             sizeof *update->notes))
        update->notes[update->note_count++] = (struct gateway_note){
            .kind = kind,
            .n = n,
            .error = error,
            .words = copy.p != NULL ? (const char *)copy.p : "",
        };
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t next_deadline(const struct gateway *gateway)
{
    uint64_t deadline = UINT64_MAX;
    if (gateway->batch_count != 0)
        deadline = gateway->batch_since_ms + gateway->options.report_interval_ms;
    switch (gateway->state) {
    case GATEWAY_OFFLINE:
        break;
    case GATEWAY_UNREGISTERED:
        deadline = earlier(deadline, gateway->announce_due_ms);
        deadline = earlier(deadline, gateway->hello_due_ms);
        break;
    case GATEWAY_HANDSHAKE:
        deadline = earlier(deadline, gateway->hello_due_ms);
        break;
    case GATEWAY_READY:
        deadline =
            earlier(deadline, gateway->hello_is_out ? gateway->hello_due_ms : gateway->renew_ms);
        deadline = earlier(deadline, outbox_deadline(gateway));
        deadline = earlier(deadline, requests_deadline(gateway));
        break;
    }
    return deadline;
}

int gateway_update_end(struct gateway *gateway, struct gateway_update *out)
{
    const struct update_builder *update = &gateway->update;
    *out = (struct gateway_update){
        .writes = update->writes,
        .write_count = update->write_count,
        .messages = update->messages,
        .message_count = update->message_count,
        .notes = update->notes,
        .note_count = update->note_count,
        .deadline_ms = next_deadline(gateway),
    };
    return update->error;
}
