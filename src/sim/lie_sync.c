/* What is said beside the votes: heights, blocks to catch up with, checkpoints. */
#include "sim/lie.h"

static void make_status(struct sim *sim, const struct sim_replica *replica, struct msg_status *m)
{
    switch (sim_random_below(&sim->random, 4)) {
    case 0:
        m->height += sim_random_below(&sim->random, 1000);
        break;
    case 1:
        m->height = sim_random_below(&sim->random, m->height + 1);
        break;
    case 2:
        m->view += sim_random_below(&sim->random, 100);
        break;
    default:
        m->flags = (uint8_t)sim_random_below(&sim->random, 8);
        m->stable_size = sim_random_below(&sim->random, replica->store.n + 10);
        break;
    }
}

static void sign_status(const struct sim *sim, const struct sim_replica *replica,
                        const struct msg_status *m, struct buf *wire)
{
    struct buf fields = {0};
    message_fields_status(m, &fields);
    buf_reset(wire);
    lie_sign(sim, replica, (int)replica->index, PBFT_MSG_STATUS, &fields, wire);
}

void lie_status(struct sim *sim, struct sim_replica *replica, struct buf *wire)
{
    struct msg_status m;
    if (!tells(replica, SIM_LIE_FALSE_STATUS) || one_in(sim, 2) ||
        message_decode_status(buf_bytes(wire), &m) != 0)
        return;
    make_status(sim, replica, &m);
    sign_status(sim, replica, &m, wire);
}

/* Another block under the certificate, the certificate of another, or none that counts. */
static void spoil_block(struct sim *sim, struct pbft_stored_block *stored, struct buf *place)
{
    struct certificate c;
    struct block block;
    switch (sim_random_below(&sim->random, 3)) {
    case 0:
        buf_append_bytes(place, stored->block);
        if (buf_status(place) == 0 && place->n > 0)
            place->p[sim_random_below(&sim->random, place->n)] ^= 1;
        stored->block = buf_bytes(place);
        break;
    case 1:
        if (block_decode(stored->block, &block) != 0)
            break;
        block.header.time_us++;
        {
            struct bytes requests[64];
            size_t n = 0;
            struct bytes list = block.requests;
            while (n < 64 && block_requests_next(&list, &requests[n]))
                n++;
            if (block_encode(&block.header, requests, n, place) == 0)
                stored->block = buf_bytes(place);
        }
        break;
    default:
        if (certificate_decode(stored->certificate, &c) != 0 || c.n < 2)
            break;
        if (one_in(sim, 2)) {
            c.n--;
        } else {
            struct block other;
            sim_random_bytes(&sim->random, c.votes[0].signature.b, SIGNATURE_SIZE);
            if (block_decode(stored->block, &other) == 0)
                c.header = other.hash;
        }
        certificate_encode(&c, place);
        stored->certificate = buf_bytes(place);
        break;
    }
}

static void send_spoilt(struct sim *sim, struct sim_replica *replica, struct bytes list,
                        struct buf *out)
{
    struct pbft_stored_block blocks[64];
    struct buf place = {0};
    size_t n = 0;
    while (n < 64 && message_blocks_next(&list, &blocks[n]))
        n++;
    size_t at = n == 0 ? 0 : (size_t)sim_random_below(&sim->random, n);
    if (n > 1 && one_in(sim, 4)) /* a gap */
        blocks[at] = blocks[--n];
    else if (n > 1 && one_in(sim, 4)) /* another's certificate */
        blocks[at].certificate = blocks[(at + 1) % n].certificate;
    else if (n > 0)
        spoil_block(sim, &blocks[at], &place);
    message_encode_blocks((int)replica->index, blocks, n, out);
    buf_close(&place);
}

void lie_blocks(struct sim *sim, struct sim_replica *replica, struct buf *wire)
{
    struct msg_blocks m;
    if (!tells(replica, SIM_LIE_FALSE_BLOCKS) || one_in(sim, 4) ||
        message_decode_blocks(buf_bytes(wire), &m) != 0)
        return;
    struct buf out = {0};
    send_spoilt(sim, replica, m.list, &out);
    buf_reset(wire);
    buf_append_bytes(wire, buf_bytes(&out));
    buf_close(&out);
}

/* Its own lines for a log that is not ours, or somebody's lines as its own. */
static void make_lines(struct sim *sim, const struct sim_replica *replica, uint64_t size,
                       struct msg_checkpoint *m, struct buf *lines)
{
    struct checkpoint checkpoint = {.size = size};
    checkpoint_origin(sim->genesis.network, checkpoint.origin);
    sim_random_bytes(&sim->random, checkpoint.root.b, HASH_SIZE);
    m->size = size;
    if (one_in(sim, 2))
        m->root = checkpoint.root;
    checkpoint_sign(&checkpoint, &sim->genesis.validators.v[replica->index], &replica->log_key,
                    &replica->cosigner_key, 1700000000, lines);
    m->lines = buf_bytes(lines);
    if (one_in(sim, 3))
        m->sender = (int)lie_victim(sim);
}

void lie_checkpoint(struct sim *sim, struct sim_replica *replica, struct buf *wire)
{
    struct msg_checkpoint m;
    if (!tells(replica, SIM_LIE_FALSE_CHECKPOINTS) || one_in(sim, 3) ||
        message_decode_checkpoint(buf_bytes(wire), &m) != 0)
        return;
    struct buf lines = {0}, out = {0};
    make_lines(sim, replica, m.size, &m, &lines);
    message_encode_checkpoint(&m, &out);
    buf_reset(wire);
    buf_append_bytes(wire, buf_bytes(&out));
    buf_close(&lines);
    buf_close(&out);
}

static void send_checkpoint(struct sim *sim, struct sim_replica *replica, unsigned to)
{
    struct msg_checkpoint m = {.sender = (int)replica->index};
    struct buf lines = {0}, wire = {0};
    make_lines(sim, replica, replica->store.n + sim_random_between(&sim->random, 1, 6), &m, &lines);
    message_encode_checkpoint(&m, &wire);
    lie_send(sim, replica, PBFT_MSG_CHECKPOINT, buf_bytes(&wire), to);
    buf_close(&lines);
    buf_close(&wire);
}

/* As if asked. */
static void send_blocks(struct sim *sim, struct sim_replica *replica, unsigned to)
{
    uint64_t height = sim->replicas[to].store.n + 1;
    if (height > replica->store.n)
        return;
    const struct sim_stored *stored = &replica->store.blocks[height - 1];
    struct pbft_stored_block block = {buf_bytes(&stored->block), buf_bytes(&stored->certificate)};
    struct buf place = {0}, wire = {0};
    spoil_block(sim, &block, &place);
    message_encode_blocks((int)replica->index, &block, 1, &wire);
    lie_send(sim, replica, PBFT_MSG_BLOCKS, buf_bytes(&wire), to);
    buf_close(&place);
    buf_close(&wire);
}

static void send_status(struct sim *sim, struct sim_replica *replica, unsigned to)
{
    struct msg_status m = {.height = replica->store.n, .view = replica->status.view};
    m.id = bytes_str(sim->genesis.validators.v[replica->index].id);
    struct buf wire = {0};
    make_status(sim, replica, &m);
    sign_status(sim, replica, &m, &wire);
    lie_send(sim, replica, PBFT_MSG_STATUS, buf_bytes(&wire), to);
    buf_close(&wire);
}

void lie_sync_unasked(struct sim *sim, struct sim_replica *replica)
{
    unsigned to = lie_victim(sim);
    if (tells(replica, SIM_LIE_FALSE_CHECKPOINTS)) {
        send_checkpoint(sim, replica, to);
        /* What it shows to clients: two halves that do not belong together. */
        struct buf note = {0};
        buf_append_bytes(&note, buf_bytes(&replica->store.checkpoint));
        if (note.n > 60 && buf_status(&note) == 0) {
            note.p[sim_random_below(&sim->random, note.n)] ^= 1;
            sim_clients_receipt(sim, replica, buf_bytes(&note));
        }
        buf_close(&note);
    }
    if (tells(replica, SIM_LIE_FALSE_BLOCKS))
        send_blocks(sim, replica, to);
    if (tells(replica, SIM_LIE_FALSE_STATUS))
        send_status(sim, replica, to);
}
