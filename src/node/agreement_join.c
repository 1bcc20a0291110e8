/* A new node's beginning with a snapshot, and the headers before it, which come afterwards. */
#include "base/log.h"
#include "node/agreement_int.h"

#define COMPONENT  "agreement"
#define LOG_MS     2000
#define HEADERS_MS 3000 /* for an answer */

static bool is_peer_heard(const struct agreement *agreement, size_t peer)
{
    return peer < agreement->shown.pbft.peer_count && agreement->shown.pbft.peers[peer].is_heard;
}

static void send_ask(struct agreement *agreement, int to, const struct msg_ask *ask)
{
    const struct genesis *genesis = agreement->options.genesis;
    struct buf fields = {0}, wire = {0};
    struct hash set;
    int self =
        validator_set_find(chain_validators(agreement->chain), bytes_str(agreement->options.id));
    if (self < 0)
        return;
    validator_set_hash(chain_validators(agreement->chain), &set);
    message_fields_ask(ask, &fields);
    message_sign(PBFT_MSG_ASK, self, buf_bytes(&fields), agreement->options.key, &genesis->hash,
                 &set, &wire);
    if (buf_status(&fields) == 0 && buf_status(&wire) == 0)
        peers_send(agreement, to, pbft_message_topic(PBFT_MSG_ASK), buf_bytes(&wire));
    buf_close(&fields);
    buf_close(&wire);
}

/* ---- the snapshot ---- */

int agreement_join_start(struct agreement *agreement)
{
    const struct genesis *genesis = agreement->options.genesis;
    int self = validator_set_find(&genesis->validators, bytes_str(agreement->options.id));
    if (!agreement->options.join || chain_height(agreement->chain) != 0 || self < 0)
        return 0;
    int error = join_new(genesis, self, agreement_now_ms(), &agreement->join.work);
    if (error == 0)
        pbft_hold(agreement->pbft, true);
    return error;
}

static void join_end(struct agreement *agreement)
{
    join_free(agreement->join.work);
    agreement->join.work = NULL;
    pbft_hold(agreement->pbft, false);
}

static int store_begin(struct agreement *agreement, const struct chain *chain,
                       const struct join_certified *certified)
{
    int error = block_store_begin(agreement->store);
    if (error != 0)
        return error;
    error = block_store_begin_at(agreement->store, chain, certified->certificate, certified->next,
                                 certified->next_certificate);
    if (error == 0)
        error = block_store_commit(agreement->store);
    if (error != 0)
        block_store_rollback(agreement->store);
    return error;
}

/* The core, which has seen nothing but the genesis, is made anew on the chain of the snapshot. */
static void take_chain(struct agreement *agreement)
{
    struct join_certified certified;
    struct chain *chain = join_take(agreement->join.work, &certified);
    uint64_t height = chain_height(chain);
    int error = store_begin(agreement, chain, &certified);
    if (error != 0) {
        chain_free(chain);
        log_error(COMPONENT, "the snapshot at block %llu cannot be stored: %s",
                  (unsigned long long)height, sealmq_error_text(error));
        join_end(agreement);
        return;
    }
    error = agreement_renew(agreement, chain);
    if (error != 0) {
        agreement_fail(agreement, "the node cannot go on from a snapshot", error);
        return;
    }
    log_info(COMPONENT,
             "begins with the snapshot at block %llu; headers before it are fetched by and by",
             (unsigned long long)height);
    join_end(agreement);
}

static void log_progress(struct agreement *agreement)
{
    uint64_t height, now_ms = agreement_now_ms();
    uint32_t done, all;
    join_progress(agreement->join.work, &height, &done, &all);
    if (all == 0 || now_ms - agreement->join.logged_ms < LOG_MS)
        return;
    agreement->join.logged_ms = now_ms;
    log_info(COMPONENT, "fetching the snapshot at block %llu: %u of %u parts",
             (unsigned long long)height, done, all);
}

static void join_check(struct agreement *agreement)
{
    struct join *join = agreement->join.work;
    struct msg_ask ask;
    int peer;
    for (size_t i = 0; i < agreement->shown.pbft.peer_count; i++)
        join_peer(join, (int)i, is_peer_heard(agreement, i));
    while (join_next(join, agreement_now_ms(), &peer, &ask))
        send_ask(agreement, peer, &ask);
    log_progress(agreement);
    if (join_state(join) == JOIN_DONE) {
        take_chain(agreement);
    } else if (join_state(join) == JOIN_NONE) {
        log_info(COMPONENT, "no snapshot is to be had: fetching the chain from its beginning");
        join_end(agreement);
    }
}

/* ---- the headers before it ---- */

/* The next peer in turn that is heard; -1. */
static int next_peer(const struct agreement *agreement)
{
    size_t n = agreement->shown.pbft.peer_count;
    for (size_t k = 1; k <= n; k++) {
        size_t i = ((size_t)agreement->join.headers_peer + k) % n;
        if (is_peer_heard(agreement, i))
            return (int)i;
    }
    return -1;
}

static void headers_check(struct agreement *agreement)
{
    struct agreement_join *join = &agreement->join;
    uint64_t now_ms = agreement_now_ms();
    if (join->headers_from <= 1 ||
        (join->headers_asked_ms != 0 && now_ms - join->headers_asked_ms < HEADERS_MS))
        return;
    int peer = next_peer(agreement);
    if (peer < 0)
        return;
    join->headers_peer = peer;
    join->headers_asked_ms = now_ms;
    send_ask(agreement, peer,
             &(struct msg_ask){
                 .what = ASK_HEADERS, .height = join->headers_from - 1, .at = PART_HEADERS_MAX});
}

/* The next header downwards: the one that the lowest names as its parent. By its hash it is true;
 * its certificate is checked besides where the validators are those of now. */
static int check_certificate(const struct agreement *agreement, const struct block_header *header,
                             struct bytes header_wire, struct bytes wire)
{
    struct certificate certificate;
    struct hash hash, set;
    int error = certificate_decode(wire, &certificate);
    header_hash(header_wire, &hash);
    if (error == 0 &&
        (certificate.height != header->height || !hash_equal(&certificate.header, &hash)))
        error = SEALMQ_E_HASH;
    validator_set_hash(chain_validators(agreement->chain), &set);
    if (error == 0 && hash_equal(&header->validators, &set))
        error = certificate_verify(&certificate, COMMIT_LABEL, chain_validators(agreement->chain),
                                   &agreement->options.genesis->hash);
    return error;
}

static int put_headers(struct agreement *agreement, struct bytes list)
{
    struct reader r = reader_of(list);
    while (r.n != 0 && r.failed == 0) {
        struct bytes wire = reader_str16(&r);
        struct bytes certificate = reader_str32(&r);
        struct block_header header;
        int error = reader_status(&r);
        if (error == 0)
            error = header_decode(wire, &header);
        if (error == 0)
            error = check_certificate(agreement, &header, wire, certificate);
        if (error == 0)
            error = block_store_put_header(agreement->store, wire, certificate);
        if (error != 0)
            return error;
    }
    return reader_status(&r);
}

static int take_headers(struct agreement *agreement, const struct msg_part *part)
{
    uint64_t header, body;
    if (part->height != agreement->join.headers_from - 1)
        return SEALMQ_E_STALE;
    int error = block_store_begin(agreement->store);
    if (error != 0)
        return error;
    error = put_headers(agreement, part->bytes);
    if (error == 0)
        error = block_store_lowest(agreement->store, &header, &body);
    if (error == 0)
        error = block_store_commit(agreement->store);
    if (error != 0) {
        block_store_rollback(agreement->store);
        return error;
    }
    agreement->join.headers_from = header;
    if (header == 1)
        log_info(COMPONENT, "all headers of the chain are here");
    return 0;
}

/* ---- both ---- */

void agreement_join_check(struct agreement *agreement)
{
    if (agreement->is_broken)
        return;
    if (agreement->join.work != NULL)
        join_check(agreement);
    else
        headers_check(agreement);
}

void agreement_take_part(struct agreement *agreement, int peer, struct bytes bytes)
{
    struct agreement_join *join = &agreement->join;
    struct msg_part part;
    int error = message_decode_part(bytes, &part);
    if (error == 0 && peer < 0)
        peer = part.sender;
    if (error == 0 && join->work != NULL)
        error = join_part(join->work, peer, &part, agreement_now_ms());
    else if (error == 0 && part.what == ASK_HEADERS && peer == join->headers_peer &&
             join->headers_asked_ms != 0) {
        error = take_headers(agreement, &part);
        /* An answer that is empty or does not hold: the next peer, when the time is over. */
        if (error == 0 && part.bytes.n != 0)
            join->headers_asked_ms = 0;
    }
    if (error != 0 && error != SEALMQ_E_STALE)
        refusals_log(&agreement->refusals, agreement_now_ms(), COMPONENT,
                     "refused a part of the chain from another node: %s", sealmq_error_text(error));
    agreement_join_check(agreement);
}
