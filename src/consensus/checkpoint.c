/* CHECKPOINT (PBFT section 4.3): what a validator says after a block, as the two signature lines of
 * a transparency log's checkpoint. A quorum of verified ones makes a whole note. Lines are sent
 * again until there is one; a newer checkpoint supersedes an older, whose headers it covers too. */
#include "consensus/pbft_int.h"

static struct kept_checkpoint *slot_of(struct pbft *p, int who, uint64_t size)
{
    return &p->peers[who].checkpoints[size % CHECKPOINTS_KEPT];
}

static void keep(struct kept_checkpoint *kept, const struct msg_checkpoint *m, bool verified)
{
    kept->size = m->size;
    kept->verified = verified;
    kept->root = m->root;
    kept->lines_n = m->lines.n;
    if (m->lines.n != 0)
        memcpy(kept->lines, m->lines.p, m->lines.n);
}

static void checkpoint_at(const struct pbft *p, uint64_t size, struct checkpoint *out)
{
    *out = (struct checkpoint){.size = size};
    checkpoint_origin(chain_genesis(p->chain)->network, out->origin);
    merkle_log_root(chain_log(p->chain), size, &out->root);
}

void checkpoint_sign_tip(struct pbft *p)
{
    if (!p->checkpoint_due || p->failed != 0)
        return;
    p->checkpoint_due = false;
    uint64_t size = tip_height(p) + 1;
    if (!p->votes || p->log_key == NULL || p->cosigner_key == NULL || size == 1)
        return;
    struct checkpoint checkpoint;
    checkpoint_at(p, size, &checkpoint);
    struct buf lines = {0};
    uint64_t time_s = p->wall_us > 0 ? (uint64_t)p->wall_us / 1000000 : 0;
    checkpoint_sign(&checkpoint, validator_at(p, p->self), p->log_key, p->cosigner_key, time_s,
                    &lines);
    if (buf_status(&lines) != 0)
        p->failed = SEALMQ_E_NOMEM;
    else {
        ASSERT(lines.n <= CHECKPOINT_LINES_MAX);
        struct msg_checkpoint m = {.size = size, .root = checkpoint.root};
        m.lines = buf_bytes(&lines);
        keep(slot_of(p, p->self, size), &m, true);
        p->checkpoint_size = size;
        checkpoint_resend(p, -1);
        p->resend_ms = p->now_ms;
    }
    buf_close(&lines);
}

void checkpoint_resend(struct pbft *p, int to)
{
    if (p->checkpoint_size == 0)
        return;
    const struct kept_checkpoint *kept = slot_of(p, p->self, p->checkpoint_size);
    struct msg_checkpoint m = {.sender = p->self, .size = kept->size, .root = kept->root};
    m.lines = bytes_of(kept->lines, kept->lines_n);
    struct buf wire = {0};
    message_encode_checkpoint(&m, &wire);
    update_send_buf(p, PBFT_MSG_CHECKPOINT, to, &wire);
}

void checkpoint_receive(struct pbft *p, struct bytes bytes)
{
    struct msg_checkpoint m;
    int error = message_decode_checkpoint(bytes, &m);
    if (error == 0 && (size_t)m.sender >= p->n)
        error = SEALMQ_E_UNKNOWN;
    if (error != 0) {
        update_note(p, PBFT_NOTE_REFUSED, -1, error, 0, "checkpoint");
        return;
    }
    uint64_t size = tip_height(p) + 1;
    if (m.sender == p->self || m.size <= p->stable_size || m.size > size + CHECKPOINTS_KEPT ||
        m.size < chain_log(p->chain)->base || m.size < p->set_from)
        return;
    struct kept_checkpoint *kept = slot_of(p, m.sender, m.size);
    if (kept->verified && kept->size >= m.size)
        return;
    if (m.size > size) {
        /* Nothing to verify it by yet; and the lines are all that says who made them. So it takes
         * no place that a verified one still needs. */
        if (!kept->verified || kept->size <= p->stable_size)
            keep(kept, &m, false);
        return;
    }
    struct checkpoint checkpoint;
    checkpoint_at(p, m.size, &checkpoint);
    error = hash_equal(&m.root, &checkpoint.root)
                ? checkpoint_verify_validator(&checkpoint, m.lines, validator_at(p, m.sender))
                : SEALMQ_E_HASH;
    if (error != 0) {
        update_note(p, PBFT_NOTE_REFUSED, -1, error, m.size - 1, "checkpoint");
        return;
    }
    peer_heard(p, m.sender);
    keep(kept, &m, true);
    p->again = true;
}

/* Verifies what was kept until the chain had grown to its size. */
static bool is_verified(struct pbft *p, int who, const struct checkpoint *checkpoint)
{
    struct kept_checkpoint *kept = slot_of(p, who, checkpoint->size);
    if (kept->size != checkpoint->size)
        return false;
    if (kept->verified)
        return true;
    kept->verified = hash_equal(&kept->root, &checkpoint->root) &&
                     checkpoint_verify_validator(checkpoint, bytes_of(kept->lines, kept->lines_n),
                                                 validator_at(p, who)) == 0;
    if (!kept->verified)
        kept->size = 0;
    return kept->verified;
}

static void make_stable(struct pbft *p, const struct checkpoint *checkpoint)
{
    struct buf note = {0};
    checkpoint_format(checkpoint, &note);
    buf_append_u8(&note, '\n');
    for (size_t i = 0; i < p->n; i++) {
        const struct kept_checkpoint *kept = slot_of(p, (int)i, checkpoint->size);
        if (kept->size == checkpoint->size && kept->verified)
            buf_append(&note, kept->lines, kept->lines_n);
    }
    if (buf_status(&note) != 0)
        p->failed = SEALMQ_E_NOMEM;
    p->checkpoint = update_copy(p, buf_bytes(&note));
    buf_close(&note);
    p->stable_size = checkpoint->size;
}

void checkpoint_check(struct pbft *p)
{
    uint64_t size = tip_height(p) + 1;
    for (size_t back = 0; back < CHECKPOINTS_KEPT; back++, size--) {
        if (size <= p->stable_size || size <= 1 || size < chain_log(p->chain)->base ||
            size < p->set_from) /* whose quorum is another set's */
            return;
        size_t count = 0;
        for (size_t i = 0; i < p->n; i++)
            count += slot_of(p, (int)i, size)->size == size;
        if (count < p->q)
            continue;
        struct checkpoint checkpoint;
        checkpoint_at(p, size, &checkpoint);
        count = 0;
        for (size_t i = 0; i < p->n; i++)
            count += is_verified(p, (int)i, &checkpoint);
        if (count >= p->q) {
            make_stable(p, &checkpoint);
            return;
        }
    }
}
