#include "edge/turn.h"

#include <stdlib.h>

static bool grow(void **list, size_t count, size_t *capacity, size_t element)
{
    if (count < *capacity)
        return true;
    size_t more = *capacity == 0 ? 32 : *capacity * 2;
    void *bigger = realloc(*list, more * element);
    if (bigger == NULL)
        return false;
    *list = bigger;
    *capacity = more;
    return true;
}

static int copy(struct bytes from, struct bytes *out)
{
    uint8_t *p = malloc(from.n + 1);
    if (p == NULL)
        return SEALMQ_E_NOMEM;
    if (from.n != 0)
        memcpy(p, from.p, from.n);
    p[from.n] = '\0';
    *out = bytes_of(p, from.n);
    return 0;
}

static void drop(struct bytes bytes)
{
    free((void *)(uintptr_t)bytes.p);
}

int turn_add(struct turn *turn, const struct gateway_update *update)
{
    for (size_t i = 0; i < update->write_count; i++) {
        if (!grow((void **)&turn->writes, turn->write_count, &turn->write_capacity,
                  sizeof *turn->writes))
            return SEALMQ_E_NOMEM;
        struct gateway_write *write = &turn->writes[turn->write_count];
        *write = update->writes[i];
        int error = copy(update->writes[i].value, &write->value);
        if (error != 0)
            return error;
        turn->write_count++;
    }
    for (size_t i = 0; i < update->message_count; i++) {
        if (!grow((void **)&turn->messages, turn->message_count, &turn->message_capacity,
                  sizeof *turn->messages))
            return SEALMQ_E_NOMEM;
        struct gateway_message *message = &turn->messages[turn->message_count];
        int error = copy(update->messages[i].topic, &message->topic);
        if (error != 0)
            return error;
        error = copy(update->messages[i].payload, &message->payload);
        if (error != 0) {
            drop(message->topic);
            return error;
        }
        turn->message_count++;
    }
    return 0;
}

static int put_all(const struct turn *turn, struct outbox *outbox)
{
    int error = 0;
    for (size_t i = 0; error == 0 && i < turn->write_count; i++) {
        const struct gateway_write *write = &turn->writes[i];
        error = write->remove ? outbox_remove(outbox, (int)write->table, write->key)
                              : outbox_put(outbox, (int)write->table, write->key, write->value);
    }
    return error;
}

int turn_store(const struct turn *turn, struct outbox *outbox)
{
    if (turn->write_count == 0)
        return 0;
    int error = outbox_begin(outbox);
    if (error != 0)
        return error;
    error = put_all(turn, outbox);
    if (error == 0)
        error = outbox_commit(outbox);
    if (error != 0)
        outbox_rollback(outbox);
    return error;
}

void turn_reset(struct turn *turn)
{
    for (size_t i = 0; i < turn->write_count; i++)
        drop(turn->writes[i].value);
    for (size_t i = 0; i < turn->message_count; i++) {
        drop(turn->messages[i].topic);
        drop(turn->messages[i].payload);
    }
    turn->write_count = turn->message_count = 0;
}

void turn_close(struct turn *turn)
{
    turn_reset(turn);
    free(turn->writes);
    free(turn->messages);
    *turn = (struct turn){0};
}
