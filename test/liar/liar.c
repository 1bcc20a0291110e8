/* What a lying node sends in place of what its core says. The core is an honest one, so the liar
 * knows the network's state and holds a validator's keys; each lie is chosen anew for each message
 * and receiver:
 *
 *   two faces   as primary another block, properly signed, for every second validator; votes for
 *               what each of them was shown, and at times for both
 *   silence     nothing, to some
 *   damage      a byte changed
 *   memory      something that was said before, once more
 *   boasting    STATUS with a tip that nobody has
 *
 * SEALMQ_LIAR_SEED makes its choices repeatable, as far as the messages are. */
#include "base/assert.h"
#include "consensus/message.h"
#include "node/agreement_int.h"

#include <stdlib.h>

#define OTHER_REQUESTS_MAX 64
#define REMEMBERED         64

void __real_peers_send(struct agreement *agreement, int to, const char *suffix, struct bytes bytes);
void __wrap_peers_send(struct agreement *agreement, int to, const char *suffix, struct bytes bytes);

/* The agreement thread is the only one that sends, and a process has one agreement. */
static struct {
    uint64_t random;
    struct buf other; /* the second block's PRE-PREPARE */
    uint64_t other_view, other_height;
    struct hash other_header;
    struct {
        char suffix[32];
        struct buf bytes;
    } said[REMEMBERED];
    unsigned said_count;
} liar;

static uint32_t choose(uint32_t below)
{
    if (liar.random == 0) {
        const char *seed = getenv("SEALMQ_LIAR_SEED");
        liar.random = (seed != NULL ? strtoull(seed, NULL, 10) : 0) * 2 + 1;
    }
    liar.random = liar.random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(liar.random >> 33) % below;
}

static void sign_vote(const struct agreement *agreement, const char *label, struct msg_vote *m)
{
    struct vote vote = {.view = m->view, .height = m->height, .header = m->header};
    validator_set_hash(chain_validators(agreement->chain), &vote.validators);
    vote_sign(agreement->options.key, label, &agreement->options.genesis->hash, &vote,
              &m->signature);
}

/* The same requests, a microsecond later. */
static bool make_other(const struct agreement *agreement, const struct msg_vote *m)
{
    struct block block, other;
    struct bytes requests[OTHER_REQUESTS_MAX];
    struct buf wire = {0};
    size_t n = 0;
    if (block_decode(m->block, &block) != 0 || block.request_count > OTHER_REQUESTS_MAX)
        return false;
    struct bytes list = block.requests;
    while (n < block.request_count && block_requests_next(&list, &requests[n]))
        n++;
    struct block_header header = block.header;
    header.time_us++;
    bool is_made = block_encode(&header, requests, n, &wire) == 0 &&
                   block_decode(buf_bytes(&wire), &other) == 0;
    if (is_made) {
        struct msg_vote second = *m;
        second.header = other.hash;
        second.block = buf_bytes(&wire);
        sign_vote(agreement, PREPARE_LABEL, &second);
        buf_reset(&liar.other);
        message_encode_vote(&second, PBFT_MSG_PRE_PREPARE, &liar.other);
        liar.other_view = m->view;
        liar.other_height = m->height;
        liar.other_header = other.hash;
    }
    buf_close(&wire);
    return is_made;
}

/* Whether the second face has been shown. */
static bool show_other(struct agreement *agreement, int to, const char *suffix,
                       enum pbft_message_kind kind, struct bytes bytes)
{
    struct msg_vote m;
    if (to % 2 == 0 || message_decode_vote(bytes, kind, &m) != 0)
        return false;
    bool has_other =
        liar.other.n != 0 && liar.other_view == m.view && liar.other_height == m.height;
    if (kind == PBFT_MSG_PRE_PREPARE) {
        if (!has_other && !make_other(agreement, &m))
            return false;
        __real_peers_send(agreement, to, suffix, buf_bytes(&liar.other));
        return true;
    }
    if (!has_other)
        return false;
    struct buf wire = {0};
    m.header = liar.other_header;
    sign_vote(agreement, kind == PBFT_MSG_PREPARE ? PREPARE_LABEL : COMMIT_LABEL, &m);
    message_encode_vote(&m, kind, &wire);
    __real_peers_send(agreement, to, suffix, buf_bytes(&wire));
    buf_close(&wire);
    return choose(4) != 0; /* some get to see both */
}

static bool boast(struct agreement *agreement, int to, const char *suffix, struct bytes bytes)
{
    struct msg_status m;
    struct hash validators;
    struct buf fields = {0}, wire = {0};
    if (message_decode_status(bytes, &m) != 0)
        return false;
    m.height += 1 + choose(1000);
    m.stable_size = m.height;
    message_fields_status(&m, &fields);
    validator_set_hash(chain_validators(agreement->chain), &validators);
    message_sign(PBFT_MSG_STATUS, m.head.sender, buf_bytes(&fields), agreement->options.key,
                 &agreement->options.genesis->hash, &validators, &wire);
    __real_peers_send(agreement, to, suffix, buf_bytes(&wire));
    buf_close(&fields);
    buf_close(&wire);
    return true;
}

static void damage(struct agreement *agreement, int to, const char *suffix, struct bytes bytes)
{
    struct buf wire = {0};
    buf_append_bytes(&wire, bytes);
    if (bytes.n != 0 && buf_status(&wire) == 0)
        wire.p[choose((uint32_t)bytes.n)] ^= (uint8_t)(1 + choose(255));
    __real_peers_send(agreement, to, suffix, buf_bytes(&wire));
    buf_close(&wire);
}

static void remember(const char *suffix, struct bytes bytes)
{
    unsigned i = liar.said_count++ % REMEMBERED;
    snprintf(liar.said[i].suffix, sizeof liar.said[i].suffix, "%s", suffix);
    buf_reset(&liar.said[i].bytes);
    buf_append_bytes(&liar.said[i].bytes, bytes);
}

static void say_again(struct agreement *agreement, int to)
{
    unsigned known = liar.said_count < REMEMBERED ? liar.said_count : REMEMBERED;
    unsigned i = choose(known);
    __real_peers_send(agreement, to, liar.said[i].suffix, buf_bytes(&liar.said[i].bytes));
}

static void lie(struct agreement *agreement, int to, const char *suffix, struct bytes bytes)
{
    enum pbft_message_kind kind;
    bool is_known = pbft_message_kind_of(bytes_str(suffix), &kind) == 0;
    bool is_vote = is_known && (kind == PBFT_MSG_PREPARE || kind == PBFT_MSG_COMMIT ||
                                kind == PBFT_MSG_PRE_PREPARE);
    remember(suffix, bytes);
    if (is_vote && show_other(agreement, to, suffix, kind, bytes))
        return;
    uint32_t mood = choose(100);
    if (is_known && kind == PBFT_MSG_STATUS && mood < 30 && boast(agreement, to, suffix, bytes))
        return;
    if (mood < 40)
        __real_peers_send(agreement, to, suffix, bytes);
    else if (mood < 60)
        damage(agreement, to, suffix, bytes);
    else if (mood < 80)
        say_again(agreement, to);
}

void __wrap_peers_send(struct agreement *agreement, int to, const char *suffix, struct bytes bytes)
{
    for (size_t i = 0; i < agreement->peer_count; i++) {
        if (to < 0 || agreement->peers[i].validator == to)
            lie(agreement, agreement->peers[i].validator, suffix, bytes);
    }
}
