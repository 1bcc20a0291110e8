/* What the core asks its host to do: to check a proposal's signatures (agreement_checks.c), to read
 * stored blocks. The answers wait in a list and are given as events, one after another. */
#include "base/log.h"
#include "node/agreement_int.h"

#include <stdlib.h>

#define COMPONENT        "agreement"
#define SERVE_BLOCKS_MAX 64
#define SERVE_BYTES_MAX  (4 * 1024 * 1024)

struct answer {
    struct answer *next;
    struct pbft_event event; /* all but its times */
    /* SERVED: what event.served points to */
    struct buf block[SERVE_BLOCKS_MAX], certificate[SERVE_BLOCKS_MAX];
    struct pbft_stored_block list[SERVE_BLOCKS_MAX];
};

static void read_blocks(struct agreement *agreement, uint64_t from, size_t count,
                        struct answer *answer)
{
    size_t n = 0, bytes = 0;
    if (count > SERVE_BLOCKS_MAX)
        count = SERVE_BLOCKS_MAX;
    while (n < count && bytes < SERVE_BYTES_MAX) {
        struct buf *block = &answer->block[n], *certificate = &answer->certificate[n];
        int error = block_store_get(agreement->store, from + n, block, certificate);
        if (error != 0) {
            if (error != SEALMQ_E_NOTFOUND)
                log_error(COMPONENT, "block %llu cannot be read: %s",
                          (unsigned long long)(from + n), sealmq_error_text(error));
            break;
        }
        answer->list[n].block = buf_bytes(block);
        answer->list[n].certificate = buf_bytes(certificate);
        bytes += block->n + certificate->n;
        n++;
    }
    answer->event.served.blocks = answer->list;
    answer->event.served.n = n;
}

static void answer_free(struct answer *answer)
{
    for (size_t i = 0; i < SERVE_BLOCKS_MAX; i++) {
        buf_close(&answer->block[i]);
        buf_close(&answer->certificate[i]);
    }
    free(answer);
}

static struct answer *answer_add(struct agreement *agreement, enum pbft_event_kind kind)
{
    struct answer *answer = calloc(1, sizeof *answer);
    if (answer == NULL) { /* the core asks once: unanswered, this node would not vote in the view */
        agreement_fail(agreement, "the agreement cannot be answered", SEALMQ_E_NOMEM);
        return NULL;
    }
    answer->event.kind = kind;
    struct answer **end = &agreement->answers;
    while (*end != NULL)
        end = &(*end)->next;
    *end = answer;
    return answer;
}

void answers_add_verified(struct agreement *agreement, const struct hash *header, bool valid)
{
    struct answer *answer = answer_add(agreement, PBFT_EVENT_VERIFIED);
    if (answer == NULL)
        return;
    answer->event.verified.header = *header;
    answer->event.verified.valid = valid;
}

void answers_collect(struct agreement *agreement, const struct pbft_update *update)
{
    struct answer *answer;
    if (update->verify_block.n != 0)
        checks_begin_proposal(agreement, &update->verify_header, update->verify_block);
    if (update->serve.count != 0 && (answer = answer_add(agreement, PBFT_EVENT_SERVED)) != NULL) {
        answer->event.served.peer = update->serve.peer;
        read_blocks(agreement, update->serve.from, update->serve.count, answer);
    }
}

void answers_give(struct agreement *agreement)
{
    struct answer *answer;
    while ((answer = agreement->answers) != NULL) {
        agreement->answers = answer->next;
        answer->event.now_ms = agreement_now_ms();
        answer->event.wall_us = agreement_wall_us();
        (void)agreement_step_once(agreement, &answer->event);
        answer_free(answer);
    }
}

void answers_drop(struct agreement *agreement)
{
    struct answer *answer;
    while ((answer = agreement->answers) != NULL) {
        agreement->answers = answer->next;
        answer_free(answer);
    }
}
