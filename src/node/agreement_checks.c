/* What waits for signatures to be checked: requests on their way into the mempool, and the proposal
 * that the core wants to vote for. The checker's threads do the work; this thread goes on. */
#include "base/assert.h"
#include "node/agreement_int.h"

#include <stdlib.h>

/* A failed HASH_ADD leaves hh.tbl NULL instead of ending the program. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

/* A letter, with its request decoded; several may wait for one check. */
struct held_letter {
    struct held_letter *next;
    struct letter *letter;
    struct request request; /* borrows from the letter */
};

struct held {
    UT_hash_handle hh;
    struct check_subject subject;
    struct held_letter *letters;
};

struct proposal_check {
    struct hash header;
    size_t count, left;
    struct check_subject *subjects; /* ascending */
};

static void on_done(void *context)
{
    struct agreement *agreement = context;
    uv_async_send(&agreement->wake);
}

int checks_start(struct agreement *agreement)
{
    return checker_new(
        &(struct checker_options){
            .genesis = &agreement->options.genesis->hash,
            .context = agreement,
            .done = on_done,
        },
        &agreement->checker);
}

static void drop_proposal(struct agreement *agreement)
{
    if (agreement->proposal_check == NULL)
        return;
    free(agreement->proposal_check->subjects);
    free(agreement->proposal_check);
    agreement->proposal_check = NULL;
}

/* Takes the letters that wait for a check. */
static struct held_letter *let_go(struct agreement *agreement, struct held *held)
{
    struct held_letter *letters = held->letters;
    ASSERT(agreement->held != NULL); /* it holds `held` */
    HASH_DEL(agreement->held, held);
    free(held);
    return letters;
}

static struct letter *next_of(struct agreement *agreement, struct held_letter **letters,
                              struct request *request)
{
    struct held_letter *first = *letters;
    struct letter *letter = first->letter;
    *letters = first->next;
    *request = first->request;
    agreement->held_count--;
    agreement->held_bytes -= letter->size;
    free(first);
    return letter;
}

void checks_stop(struct agreement *agreement)
{
    checker_free(agreement->checker);
    agreement->checker = NULL;
    drop_proposal(agreement);
    while (agreement->held != NULL) {
        struct held_letter *letters = let_go(agreement, agreement->held);
        struct request request;
        while (letters != NULL)
            free(next_of(agreement, &letters, &request));
    }
}

bool checks_have_room(const struct agreement *agreement)
{
    return agreement->held_count < HELD_MAX && agreement->held_bytes < HELD_BYTES_MAX;
}

int checks_ask(struct agreement *agreement, const struct request *request, bool is_urgent)
{
    struct public_key key;
    int error = chain_signer_key(agreement->chain, request, &key);
    if (error == SEALMQ_E_TYPE) /* rare, and signed by several keys */
        return chain_check_signatures(agreement->chain, request);
    return error != 0 ? error : checker_ask(agreement->checker, request, &key, is_urgent);
}

int checks_hold(struct agreement *agreement, struct letter *letter, const struct request *request)
{
    struct check_subject subject = {.request = request->hash};
    int error = chain_signer_key(agreement->chain, request, &subject.key);
    ASSERT(error == 0); /* checks_ask has asked for it */
    struct held_letter *new_letter = malloc(sizeof *new_letter);
    if (new_letter == NULL)
        return SEALMQ_E_NOMEM;
    struct held *held = NULL;
    HASH_FIND(hh, agreement->held, &subject, sizeof subject, held);
    if (held == NULL) {
        held = calloc(1, sizeof *held);
        if (held != NULL) {
            held->subject = subject;
            HASH_ADD(hh, agreement->held, subject, sizeof subject, held);
        }
        if (held == NULL || held->hh.tbl == NULL) {
            free(held);
            free(new_letter);
            return SEALMQ_E_NOMEM;
        }
    }
    *new_letter = (struct held_letter){held->letters, letter, *request};
    held->letters = new_letter;
    agreement->held_count++;
    agreement->held_bytes += letter->size;
    return 0;
}

/* ---- the proposal ---- */

static int compare_subjects(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct check_subject));
}

/* Whether a request of the proposal is signed; one that is being checked is noted. */
static int check_one(struct agreement *agreement, struct proposal_check *check, struct bytes wire)
{
    struct request request;
    int error = request_decode(wire, &request);
    if (error != 0)
        return error;
    if (mempool_has(agreement->mempool, &request.hash))
        return 0; /* it was checked on its way there */
    error = checks_ask(agreement, &request, true);
    if (error != SEALMQ_E_AGAIN)
        return error;
    struct check_subject *subject = &check->subjects[check->count++];
    subject->request = request.hash;
    return chain_signer_key(agreement->chain, &request, &subject->key);
}

static int check_all(struct agreement *agreement, struct proposal_check *check, struct bytes wire)
{
    struct block block;
    int error = block_decode(wire, &block);
    if (error != 0)
        return error;
    check->subjects = calloc(block.request_count, sizeof *check->subjects);
    if (check->subjects == NULL)
        return SEALMQ_E_NOMEM;
    struct bytes list = block.requests, request_wire;
    while (error == 0 && block_requests_next(&list, &request_wire))
        error = check_one(agreement, check, request_wire);
    check->left = check->count;
    qsort(check->subjects, check->count, sizeof *check->subjects, compare_subjects);
    return error;
}

/* The core asks once: unanswered, this node would not vote in the view. */
static void end_proposal(struct agreement *agreement, int error)
{
    struct hash header = agreement->proposal_check->header;
    drop_proposal(agreement);
    if (error == SEALMQ_E_NOMEM)
        agreement_fail(agreement, "a proposal cannot be checked", error);
    else
        answers_add_verified(agreement, &header, error == 0);
}

void checks_begin_proposal(struct agreement *agreement, const struct hash *header,
                           struct bytes wire)
{
    drop_proposal(agreement); /* the core wants to know of one at a time */
    agreement->proposal_check = calloc(1, sizeof *agreement->proposal_check);
    if (agreement->proposal_check == NULL) {
        agreement_fail(agreement, "a proposal cannot be checked", SEALMQ_E_NOMEM);
        return;
    }
    agreement->proposal_check->header = *header;
    int error = check_all(agreement, agreement->proposal_check, wire);
    if (error != 0 || agreement->proposal_check->left == 0)
        end_proposal(agreement, error);
}

static void proposal_checked(struct agreement *agreement, const struct check_result *result)
{
    struct proposal_check *check = agreement->proposal_check;
    if (check == NULL || bsearch(&result->subject, check->subjects, check->count,
                                 sizeof *check->subjects, compare_subjects) == NULL)
        return;
    check->left--;
    if (result->error != 0 || check->left == 0)
        end_proposal(agreement, result->error);
}

/* ---- results ---- */

static void letters_checked(struct agreement *agreement, const struct check_result *result)
{
    struct held *held = NULL;
    HASH_FIND(hh, agreement->held, &result->subject, sizeof result->subject, held);
    if (held == NULL)
        return;
    struct held_letter *letters = let_go(agreement, held);
    while (letters != NULL) {
        struct request request;
        struct public_key key;
        struct letter *letter = next_of(agreement, &letters, &request);
        int error = result->error;
        if (error == 0) /* its sender may have got another key meanwhile, or lost it */
            error = chain_signer_key(agreement->chain, &request, &key);
        if (error == 0 && memcmp(key.b, result->subject.key.b, PUBLIC_KEY_SIZE) != 0)
            error = SEALMQ_E_REVOKED;
        if (error == 0) {
            agreement_take_signed(agreement, letter, &request);
            continue;
        }
        agreement_refuse(agreement, letter, request.number, error);
        free(letter);
    }
}

void checks_collect(struct agreement *agreement)
{
    struct check_result result;
    while (!atomic_load(&agreement->is_stopping) && checker_next(agreement->checker, &result)) {
        proposal_checked(agreement, &result);
        letters_checked(agreement, &result);
    }
    answers_give(agreement);
}
