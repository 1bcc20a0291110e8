#include "node/agreement.h"

#include "base/assert.h"
#include "base/log.h"
#include "crypto/random.h"
#include "node/agreement_int.h"

#include <stdio.h>
#include <stdlib.h>

#define COMPONENT "agreement"

#define NODE_LETTERS_A_TURN   256
#define CLIENT_LETTERS_A_TURN 128

/* ---- the mailbox ---- */

static int post(struct agreement *agreement, const struct letter *like, struct bytes bytes)
{
    struct letter *letter = malloc(sizeof *letter + bytes.n);
    if (letter == NULL)
        return SEALMQ_E_NOMEM;
    *letter = *like;
    letter->size = bytes.n;
    if (bytes.n != 0)
        memcpy(letter->bytes, bytes.p, bytes.n);
    pthread_mutex_lock(&agreement->lock);
    int error = letters_put(&agreement->letters, letter);
    pthread_mutex_unlock(&agreement->lock);
    if (error != 0) {
        free(letter);
        return error;
    }
    uv_async_send(&agreement->wake);
    return 0;
}

int agreement_message(struct agreement *agreement, enum pbft_message_kind kind, int peer,
                      struct bytes bytes)
{
    return post(agreement, &(struct letter){.kind = LETTER_MESSAGE, .message = kind, .peer = peer},
                bytes);
}

int agreement_request(struct agreement *agreement, struct bytes client, struct bytes wire)
{
    struct letter letter = {.kind = LETTER_REQUEST, .peer = -1};
    int error = bytes_to_cstr(client, letter.client, sizeof letter.client);
    return error != 0 ? error : post(agreement, &letter, wire);
}

int agreement_announce(struct agreement *agreement, struct bytes payload)
{
    return post(agreement, &(struct letter){.kind = LETTER_ANNOUNCE, .peer = -1}, payload);
}

/* Frees the letter, or gives it to who does. */
static void take_letter(struct agreement *agreement, struct letter *letter)
{
    struct bytes bytes = bytes_of(letter->bytes, letter->size);
    if (letter->kind == LETTER_REQUEST || letter->message == PBFT_MSG_REQUEST) {
        agreement_take_request(agreement, letter);
        return;
    }
    if (letter->kind == LETTER_ANNOUNCE)
        peers_send(agreement, -1, "announce", bytes);
    else if (letter->message == PBFT_MSG_ASK)
        agreement_take_ask(agreement, bytes);
    else if (letter->message == PBFT_MSG_PART)
        agreement_take_part(agreement, letter->peer, bytes);
    else
        (void)agreement_step(agreement, &(struct pbft_event){
                                            .kind = PBFT_EVENT_MESSAGE,
                                            .now_ms = agreement_now_ms(),
                                            .wall_us = agreement_wall_us(),
                                            .message = {letter->message, bytes, letter->peer},
                                        });
    free(letter);
}

static void stop_loop(struct agreement *agreement)
{
    checks_stop(agreement); /* its threads wake this loop */
    peers_stop(agreement);
    uv_close((uv_handle_t *)&agreement->deadline, NULL);
    uv_close((uv_handle_t *)&agreement->head, NULL);
    uv_close((uv_handle_t *)&agreement->wake, NULL);
}

static struct letter *next_letter(struct agreement *agreement,
                                  struct letter *(*take)(struct letters *letters))
{
    pthread_mutex_lock(&agreement->lock);
    struct letter *letter = take(&agreement->letters);
    pthread_mutex_unlock(&agreement->lock);
    return letter;
}

/* Takes up to `most` letters; whether that was all of them. */
static bool take_letters(struct agreement *agreement,
                         struct letter *(*take)(struct letters *letters), size_t most)
{
    for (size_t n = 0; n < most && !atomic_load(&agreement->is_stopping); n++) {
        struct letter *letter = next_letter(agreement, take);
        if (letter == NULL)
            return true;
        take_letter(agreement, letter);
    }
    return false;
}

/* What the nodes say goes first. Both are taken in bounded turns, so that neither keeps the loop
 * from its links and its deadline. */
static void on_wake(uv_async_t *wake)
{
    struct agreement *agreement = wake->data;
    checks_collect(agreement);
    bool is_all = take_letters(agreement, letters_take_node, NODE_LETTERS_A_TURN);
    bool has_room = checks_have_room(agreement); /* if not, the checker wakes us */
    if (is_all && has_room)
        is_all = take_letters(agreement, letters_take_client, CLIENT_LETTERS_A_TURN);
    if (atomic_load(&agreement->is_stopping))
        stop_loop(agreement);
    else if (!is_all)
        uv_async_send(wake);
}

/* ---- status ---- */

static unsigned peers_connected(const struct agreement *agreement)
{
    unsigned n = 0;
    for (size_t i = 0; i < agreement->peer_count; i++)
        n += agreement->peers[i].validator >= 0 && agreement->peers[i].link != NULL &&
             net_link_is_connected(agreement->peers[i].link);
    return n;
}

/* Says once when the chain has to wait for other nodes, and once when it need not any more. */
static void note_company(struct agreement *agreement)
{
    const struct agreement_status *shown = &agreement->shown;
    size_t quorum = validators_quorum(shown->validators);
    bool is_alone = shown->peers_connected + 1 < quorum;
    if (is_alone == agreement->is_alone)
        return;
    agreement->is_alone = is_alone;
    if (is_alone)
        log_warn(COMPONENT,
                 "the chain is waiting: %u of the %zu other nodes that it needs are reachable; "
                 "reports are still taken",
                 shown->peers_connected, quorum - 1);
    else
        log_info(COMPONENT, "enough nodes are reachable for the chain to go on");
}

void agreement_show_status(struct agreement *agreement)
{
    struct agreement_status *shown = &agreement->shown;
    pbft_status_get(agreement->pbft, &shown->pbft);
    shown->tip = *chain_tip_hash(agreement->chain);
    shown->validators = (unsigned)chain_validators(agreement->chain)->n;
    shown->peers_connected = peers_connected(agreement);
    const char *primary = pbft_peer_id(agreement->pbft, shown->pbft.primary);
    snprintf(shown->primary, sizeof shown->primary, "%s", primary != NULL ? primary : "");
    shown->peer_count = 0;
    for (size_t i = 0; i < agreement->peer_count; i++) {
        const struct peer *peer = &agreement->peers[i];
        if (peer->link == NULL || peer->validator < 0 || shown->peer_count == VALIDATORS_MAX)
            continue;
        memcpy(shown->peers[shown->peer_count].id, peer->id, sizeof peer->id);
        shown->peers[shown->peer_count++].is_connected = net_link_is_connected(peer->link);
    }
    note_company(agreement);
    pthread_mutex_lock(&agreement->lock);
    agreement->status = *shown;
    pthread_mutex_unlock(&agreement->lock);
}

void agreement_status_get(struct agreement *agreement, struct agreement_status *out)
{
    pthread_mutex_lock(&agreement->lock);
    *out = agreement->status;
    pthread_mutex_unlock(&agreement->lock);
}

uint64_t agreement_request_next(struct agreement *agreement, struct bytes sender)
{
    pthread_rwlock_rdlock(&agreement->chain_lock);
    uint64_t next = chain_request_next(agreement->chain, sender);
    pthread_rwlock_unlock(&agreement->chain_lock);
    return next;
}

void agreement_peer_connected(struct agreement *agreement, int validator)
{
    (void)agreement_step(agreement, &(struct pbft_event){
                                        .kind = PBFT_EVENT_CONNECTED,
                                        .now_ms = agreement_now_ms(),
                                        .wall_us = agreement_wall_us(),
                                        .peer = validator,
                                    });
}

/* ---- start and end ---- */

static void *agreement_main(void *arg)
{
    struct agreement *agreement = arg;
    peers_follow(agreement);
    agreement_publish_head(agreement);
    agreement_tick(agreement);
    uv_run(&agreement->loop, UV_RUN_DEFAULT);
    return NULL;
}

/* Reads a blob that may be missing. */
static int read_optional(int error)
{
    return error == SEALMQ_E_NOTFOUND ? 0 : error;
}

static int new_core(struct agreement *agreement, bool may_vote, char *why, size_t why_size)
{
    struct buf slots[PBFT_SLOTS] = {0}, header = {0}, certificate = {0};
    int error = 0;
    const struct pbft_keys next = {agreement->options.next_key, &agreement->next_log_key,
                                   &agreement->next_cosigner_key};
    struct pbft_options options = {
        .next_keys = next.key != NULL ? &next : NULL,
        .chain = agreement->chain,
        .mempool = agreement->mempool,
        .id = agreement->options.id,
        .key = agreement->options.key,
        .log_key = &agreement->log_key,
        .cosigner_key = &agreement->cosigner_key,
        .may_vote = may_vote,
        .now_ms = agreement_now_ms(),
    };
    pbft_timing_default(&options.timing);
    if (agreement->options.view_timeout_ms != 0)
        options.timing.view_timeout_ms = agreement->options.view_timeout_ms;
    for (int i = 1; error == 0 && i < PBFT_SLOTS; i++) {
        error = read_optional(block_store_get_slot(agreement->store, i, &slots[i]));
        options.slots[i] = buf_bytes(&slots[i]);
    }
    if (error == 0 && chain_height(agreement->chain) != 0) {
        error = block_store_get_header(agreement->store, chain_height(agreement->chain), &header,
                                       &certificate);
        options.tip_certificate = buf_bytes(&certificate);
    }
    if (error == 0)
        error = pbft_new(&options, &agreement->pbft);
    if (error != 0)
        snprintf(why, why_size, "%s/blocks.db: what is kept of the votes cannot be used: %s",
                 agreement->options.folder, sealmq_error_text(error));
    for (int i = 0; i < PBFT_SLOTS; i++)
        buf_close(&slots[i]);
    buf_close(&header);
    buf_close(&certificate);
    return error;
}

static int put_lost_mark(struct agreement *agreement, struct bytes mark)
{
    int error = block_store_begin(agreement->store);
    if (error != 0)
        return error;
    error = block_store_put_slot(agreement->store, AGREEMENT_SLOT_LOST, mark);
    if (error == 0)
        error = block_store_commit(agreement->store);
    if (error != 0)
        block_store_rollback(agreement->store);
    return error;
}

/* What the mark names: votes under another key cannot have been forgotten. */
static struct bytes own_key(const struct agreement *agreement)
{
    return bytes_of(agreement->options.key->public_key.b, PUBLIC_KEY_SIZE);
}

static int create_store(struct agreement *agreement, char *why, size_t why_size)
{
    const struct agreement_options *options = &agreement->options;
    log_warn(COMPONENT, "%s/blocks.db is missing: this node starts anew and follows the chain",
             options->folder);
    return block_store_remake(options->folder, &options->genesis->hash, AGREEMENT_SLOT_LOST,
                              own_key(agreement), &agreement->store, why, why_size);
}

/* A node whose store was lost may have signed votes that it does not remember: it must not vote,
 * until whoever runs it says that no such vote can matter any more. */
static int read_lost_mark(struct agreement *agreement, bool *may_vote)
{
    const struct agreement_options *options = &agreement->options;
    struct buf mark = {0};
    *may_vote = true;
    int error = block_store_get_slot(agreement->store, AGREEMENT_SLOT_LOST, &mark);
    bool is_of_another = error == 0 && mark.n == PUBLIC_KEY_SIZE &&
                         !bytes_equal(buf_bytes(&mark), own_key(agreement));
    buf_close(&mark);
    if (is_of_another)
        return put_lost_mark(agreement, (struct bytes){0});
    if (error == SEALMQ_E_NOTFOUND)
        return 0;
    if (error == 0 && options->vote_again) {
        log_warn(COMPONENT, "this node votes again, though its blocks.db was lost once");
        return put_lost_mark(agreement, (struct bytes){0});
    }
    if (error == 0)
        log_warn(COMPONENT, "this node does not vote: its blocks.db was lost once, and it cannot "
                            "know what it has signed before (docs/operations/node.md)");
    *may_vote = false;
    return error;
}

static int open_store(struct agreement *agreement, bool *may_vote, char *why, size_t why_size)
{
    const struct agreement_options *options = &agreement->options;
    int error = block_store_open(options->folder, BLOCK_STORE_WRITE, &options->genesis->hash,
                                 &agreement->store, why, why_size);
    if (error == SEALMQ_E_NOTFOUND)
        error = create_store(agreement, why, why_size);
    return error != 0 ? error : read_lost_mark(agreement, may_vote);
}

static int load(struct agreement *agreement, char *why, size_t why_size)
{
    bool may_vote = false;
    int error = open_store(agreement, &may_vote, why, why_size);
    if (error == 0)
        error = block_store_load_chain(agreement->store, agreement->options.genesis, UINT64_MAX,
                                       &agreement->chain, NULL, NULL, why, why_size);
    struct block_store_totals totals = {0};
    if (error == 0)
        error = block_store_totals(agreement->store, &totals);
    agreement->shown.requests_total = totals.requests;
    agreement->shown.records_total = totals.records;
    if (error == 0)
        error = members_check_key(agreement, why, why_size);
    if (error == 0)
        error = mempool_new(&agreement->mempool);
    if (error == 0)
        error = receipts_new(&agreement->receipts);
    if (error == 0)
        error = new_core(agreement, may_vote, why, why_size);
    agreement->may_vote = may_vote;
    if (error == 0)
        error = agreement_keep_start(agreement);
    if (error == 0)
        error = agreement_join_start(agreement);
    if (error == 0)
        error = members_load(agreement);
    if (error != 0)
        return error;
    struct checkpoint checkpoint;
    struct bytes text, lines;
    if (block_store_checkpoint_newest(agreement->store, &agreement->checkpoint) == 0 &&
        checkpoint_parse(buf_bytes(&agreement->checkpoint), &checkpoint, &text, &lines) == 0 &&
        checkpoint.size <= chain_height(agreement->chain) + 1)
        agreement->checkpoint_size = checkpoint.size;
    return 0;
}

int agreement_renew(struct agreement *agreement, struct chain *chain)
{
    char why[512];
    pthread_rwlock_wrlock(&agreement->chain_lock);
    pbft_free(agreement->pbft);
    chain_free(agreement->chain);
    agreement->pbft = NULL;
    agreement->chain = chain;
    int error = new_core(agreement, agreement->may_vote, why, sizeof why);
    pthread_rwlock_unlock(&agreement->chain_lock);
    if (error == 0)
        error = agreement_keep_start(agreement);
    if (error == 0)
        error = members_load(agreement);
    if (error == 0)
        peers_follow(agreement);
    return error;
}

static int start_loop(struct agreement *agreement)
{
    if (uv_loop_init(&agreement->loop) != 0)
        return SEALMQ_E_NOMEM;
    if (uv_async_init(&agreement->loop, &agreement->wake, on_wake) != 0 ||
        uv_timer_init(&agreement->loop, &agreement->deadline) != 0 ||
        uv_timer_init(&agreement->loop, &agreement->head) != 0)
        return SEALMQ_E_IO;
    agreement->head.data = agreement;
    agreement->wake.data = agreement;
    agreement->deadline.data = agreement;
    return 0;
}

int agreement_new(const struct agreement_options *options, struct agreement **out, char *why,
                  size_t why_size)
{
    struct agreement *agreement = calloc(1, sizeof *agreement);
    if (agreement == NULL)
        return SEALMQ_E_NOMEM;
    why[0] = '\0';
    agreement->options = *options;
    uint64_t seed;
    random_bytes(&seed, sizeof seed);
    letters_init(&agreement->letters, seed);
    pthread_mutex_init(&agreement->lock, NULL);
    pthread_rwlock_init(&agreement->chain_lock, NULL);
    snprintf(agreement->topic_prefix, sizeof agreement->topic_prefix, "chain/%s/",
             options->genesis->network);
    sign_key_derive(options->key, LOG_KEY_PURPOSE, &agreement->log_key);
    sign_key_derive(options->key, COSIGNER_KEY_PURPOSE, &agreement->cosigner_key);
    if (options->next_key != NULL) {
        sign_key_derive(options->next_key, LOG_KEY_PURPOSE, &agreement->next_log_key);
        sign_key_derive(options->next_key, COSIGNER_KEY_PURPOSE, &agreement->next_cosigner_key);
    }
    int error = load(agreement, why, why_size);
    if (error == 0)
        error = start_loop(agreement);
    if (error == 0)
        error = checks_start(agreement);
    if (error != 0) {
        if (why[0] == '\0')
            snprintf(why, why_size, "%s", sealmq_error_text(error));
        agreement_free(agreement);
        return error;
    }
    agreement_show_status(agreement);
    *out = agreement;
    return 0;
}

int agreement_start(struct agreement *agreement)
{
    ASSERT(!agreement->is_started);
    if (pthread_create(&agreement->thread, NULL, agreement_main, agreement) != 0)
        return SEALMQ_E_NOMEM;
    pthread_setname_np(agreement->thread, "agreement");
    agreement->is_started = true;
    return 0;
}

static void end_loop(struct agreement *agreement)
{
    atomic_store(&agreement->is_stopping, true);
    if (agreement->is_started) {
        uv_async_send(&agreement->wake);
        pthread_join(agreement->thread, NULL);
    } else if (agreement->wake.data != NULL) {
        stop_loop(agreement);
        uv_run(&agreement->loop, UV_RUN_DEFAULT);
    }
    if (agreement->wake.data != NULL)
        uv_loop_close(&agreement->loop);
}

void agreement_free(struct agreement *agreement)
{
    if (agreement == NULL)
        return;
    end_loop(agreement);
    answers_drop(agreement);
    join_free(agreement->join.work);
    letters_close(&agreement->letters);
    pbft_free(agreement->pbft);
    receipts_free(agreement->receipts);
    mempool_free(agreement->mempool);
    chain_free(agreement->chain);
    block_store_close(agreement->store);
    buf_close(&agreement->checkpoint);
    sign_key_wipe(&agreement->log_key);
    sign_key_wipe(&agreement->cosigner_key);
    sign_key_wipe(&agreement->next_log_key);
    sign_key_wipe(&agreement->next_cosigner_key);
    pthread_rwlock_destroy(&agreement->chain_lock);
    pthread_mutex_destroy(&agreement->lock);
    free(agreement);
}
