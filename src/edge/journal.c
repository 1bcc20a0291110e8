#include "edge/journal.h"

#include "base/assert.h"
#include "store/outbox.h"

#include <stdlib.h>

/* One update, in one piece of memory. */
struct chunk {
    struct chunk *next;
    struct gateway_write *writes;
    size_t write_count;
    struct gateway_message *messages;
    size_t message_count;
    uint8_t bytes[];
};

struct journal {
    struct outbox *outbox;
    struct chunk *first, **tail;
    size_t chunks_durable; /* so many from the first on */
    size_t chunks;
};

int journal_open(const char *path, const char *owner, struct journal **out, char *why,
                 size_t why_size)
{
    struct journal *journal = calloc(1, sizeof *journal);
    if (journal == NULL)
        return SEALMQ_E_NOMEM;
    journal->tail = &journal->first;
    int error = outbox_open(path, owner, &journal->outbox, why, why_size);
    if (error != 0) {
        free(journal);
        return error;
    }
    *out = journal;
    return 0;
}

static void forget_first(struct journal *journal)
{
    struct chunk *chunk = journal->first;
    journal->first = chunk->next;
    if (journal->first == NULL)
        journal->tail = &journal->first;
    journal->chunks--;
    free(chunk);
}

void journal_close(struct journal *journal)
{
    if (journal == NULL)
        return;
    while (journal->first != NULL)
        forget_first(journal);
    outbox_close(journal->outbox);
    free(journal);
}

static int load_one(void *context, int kind, uint64_t key, struct bytes value)
{
    return gateway_load(context, (enum gateway_table)kind, key, value);
}

int journal_load(struct journal *journal, struct gateway *gateway)
{
    ASSERT(!journal_has_writes(journal));
    int error = outbox_each(journal->outbox, load_one, gateway);
    return error != 0 ? error : gateway_loaded(gateway);
}

/* ---- adding ---- */

static struct bytes put(uint8_t **at, struct bytes bytes)
{
    uint8_t *p = *at;
    if (bytes.n != 0)
        memcpy(p, bytes.p, bytes.n);
    *at += bytes.n;
    return bytes_of(p, bytes.n);
}

static size_t update_size(const struct gateway_update *update)
{
    size_t n = update->write_count * sizeof(struct gateway_write) +
               update->message_count * sizeof(struct gateway_message);
    for (size_t i = 0; i < update->write_count; i++)
        n += update->writes[i].value.n;
    /* A topic is given on as a C string. */
    for (size_t i = 0; i < update->message_count; i++)
        n += update->messages[i].topic.n + 1 + update->messages[i].payload.n;
    return n;
}

int journal_add(struct journal *journal, const struct gateway_update *update)
{
    if (update->write_count == 0 && update->message_count == 0)
        return 0;
    struct chunk *chunk = malloc(sizeof *chunk + update_size(update));
    if (chunk == NULL)
        return SEALMQ_E_NOMEM;
    chunk->next = NULL;
    chunk->writes = (struct gateway_write *)(void *)chunk->bytes;
    chunk->write_count = update->write_count;
    chunk->messages = (struct gateway_message *)(void *)(chunk->writes + update->write_count);
    chunk->message_count = update->message_count;
    uint8_t *at = (uint8_t *)(chunk->messages + update->message_count);
    for (size_t i = 0; i < update->write_count; i++) {
        chunk->writes[i] = update->writes[i];
        chunk->writes[i].value = put(&at, update->writes[i].value);
    }
    for (size_t i = 0; i < update->message_count; i++) {
        chunk->messages[i].topic = put(&at, update->messages[i].topic);
        *at++ = '\0';
        chunk->messages[i].payload = put(&at, update->messages[i].payload);
    }
    *journal->tail = chunk;
    journal->tail = &chunk->next;
    journal->chunks++;
    return 0;
}

/* ---- committing and sending ---- */

static const struct chunk *first_waiting(const struct journal *journal)
{
    const struct chunk *chunk = journal->first;
    for (size_t i = 0; i < journal->chunks_durable; i++)
        chunk = chunk->next;
    return chunk;
}

bool journal_has_writes(const struct journal *journal)
{
    return journal->chunks > journal->chunks_durable;
}

static int write_chunk(struct outbox *outbox, const struct chunk *chunk)
{
    int error = 0;
    for (size_t i = 0; error == 0 && i < chunk->write_count; i++) {
        const struct gateway_write *write = &chunk->writes[i];
        error = write->remove ? outbox_remove(outbox, (int)write->table, write->key)
                              : outbox_put(outbox, (int)write->table, write->key, write->value);
    }
    return error;
}

int journal_commit(struct journal *journal)
{
    bool has_writes = false;
    for (const struct chunk *chunk = first_waiting(journal); chunk != NULL; chunk = chunk->next)
        has_writes = has_writes || chunk->write_count != 0;
    if (has_writes) {
        int error = outbox_begin(journal->outbox);
        if (error != 0)
            return error;
        for (const struct chunk *chunk = first_waiting(journal); error == 0 && chunk != NULL;
             chunk = chunk->next)
            error = write_chunk(journal->outbox, chunk);
        if (error == 0)
            error = outbox_commit(journal->outbox);
        if (error != 0) {
            outbox_rollback(journal->outbox);
            return error;
        }
    }
    journal->chunks_durable = journal->chunks;
    return 0;
}

void journal_send(struct journal *journal,
                  void (*send)(void *context, const struct gateway_message *message), void *context)
{
    while (journal->chunks_durable > 0) {
        const struct chunk *chunk = journal->first;
        for (size_t i = 0; i < chunk->message_count; i++)
            send(context, &chunk->messages[i]);
        journal->chunks_durable--;
        forget_first(journal);
    }
}

void journal_forget_messages(struct journal *journal)
{
    for (struct chunk *chunk = journal->first; chunk != NULL; chunk = chunk->next)
        chunk->message_count = 0;
}
