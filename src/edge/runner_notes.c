/* What a gateway has to say, as log lines that say what to do about it. */
#include "base/log.h"
#include "device/reply.h"
#include "edge/runner_int.h"

#define ME              "gateway"
#define REPEAT_AGAIN_MS 10000 /* for notes that come with every message */

static bool is_time(const struct runner *runner, uint64_t *logged_ms)
{
    uint64_t now_ms = uv_now(&runner->loop);
    if (*logged_ms != 0 && now_ms - *logged_ms < REPEAT_AGAIN_MS)
        return false;
    *logged_ms = now_ms;
    return true;
}

static void log_note(struct runner *runner, const struct gateway_note *note)
{
    const char *id = runner->config->id;
    unsigned long long n = note->n;
    switch (note->kind) {
    case GATEWAY_NOTE_UNREGISTERED:
        log_warn(ME,
                 "%s is not registered; waiting for approval. Its key has the fingerprint %s; "
                 "approve it with: sealmq device approve %s --fingerprint %s",
                 id, note->words, id, note->words);
        break;
    case GATEWAY_NOTE_READY:
        log_info(ME, "session key agreed with node %s", note->words);
        break;
    case GATEWAY_NOTE_REFUSED:
        log_warn(ME, "report %llu is refused: %s (%s)%s", n, note->words,
                 device_code_name((uint16_t)note->error),
                 device_code_is_final((uint16_t)note->error) ? "; it is dropped, and the chain "
                                                               "will say so"
                                                             : "; it is sent again");
        break;
    case GATEWAY_NOTE_RECEIPT:
        runner->height = note->height;
        log_info(ME, "receipt for request %llu (%s) at block %llu", n, note->words,
                 (unsigned long long)note->height);
        break;
    case GATEWAY_NOTE_RECEIPT_BAD:
        log_error(ME, "the receipt for request %llu is not valid: %s (%s)", n, note->words,
                  sealmq_error_text(note->error));
        break;
    case GATEWAY_NOTE_REQUEST_REFUSED:
        log_warn(ME, "request %llu is refused: %s (%s); it is sent again", n, note->words,
                 device_code_name((uint16_t)note->error));
        break;
    case GATEWAY_NOTE_OUTBOX_FULL:
        if (is_time(runner, &runner->full_logged_ms))
            log_error(ME, "the outbox is full: readings are refused until a node takes reports");
        break;
    case GATEWAY_NOTE_ITEM_CHANGED:
        log_warn(ME,
                 "%s has another type or unit than item %llu was described with: it is kept in the "
                 "history, but not written to the chain",
                 note->words, n);
        break;
    case GATEWAY_NOTE_ITEMS_FULL:
        log_error(ME,
                  "%llu items are described, no more are possible: new ones are not written to "
                  "the chain",
                  n);
        break;
    case GATEWAY_NOTE_BAD_MESSAGE:
        if (is_time(runner, &runner->bad_logged_ms))
            log_warn(ME, "ignored: %s (%s)", note->words, sealmq_error_text(note->error));
        break;
    }
}

void runner_log_notes(struct runner *runner, const struct gateway_update *update)
{
    for (size_t i = 0; i < update->note_count; i++)
        log_note(runner, &update->notes[i]);
}
