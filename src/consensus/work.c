/* The work that a header's difficulty asks of the proposer: nonces are tried, some in each step,
 * until one fits. 0 bits of difficulty, the usual, ask for none.
 *
 * Tries are made in steps for PBFT_EVENT_TICK only, which the deadline asks for at once: messages
 * are handled in between as ever, and none of them waits for more than one share. When the view or
 * the height is over, so is the work; what was proposed once is proposed again with the nonce that
 * it has. */
#include "consensus/pbft_int.h"

void work_begin(struct pbft *p, const struct block_header *header, struct buf *block)
{
    work_drop(p);
    struct reader r = reader_of(buf_bytes(block));
    p->work.header_size = reader_str16(&r).n;
    ASSERT(reader_status(&r) == 0);
    p->work.block = *block;
    *block = (struct buf){0};
    p->work.difficulty = header->difficulty;
    p->work.view = header->view;
    p->work.height = header->height;
    p->work.since_ms = p->now_ms;
}

void work_drop(struct pbft *p)
{
    buf_close(&p->work.block);
}

bool work_is_current(const struct pbft *p)
{
    return p->work.block.n != 0 && p->work.view == p->view && p->work.height == next_height(p) &&
           p->now_ms - p->work.since_ms < WORK_AGE_MAX_MS;
}

bool work_go_on(struct pbft *p)
{
    if (p->work.difficulty == 0)
        return true;
    if (!p->work.may_try)
        return false;
    p->work.may_try = false;
    uint8_t *header = p->work.block.p + 2; /* behind its length */
    return header_find_nonce(header, p->work.header_size, p->work.difficulty, &p->work.nonce,
                             NONCE_TRIES);
}

uint64_t work_allowance_ms(const struct pbft *p)
{
    uint8_t difficulty = chain_parameters(p->chain)->difficulty;
    if (difficulty == 0)
        return 0;
    return ((uint64_t)WORK_PATIENCE << difficulty) / p->timing.nonce_tries_per_ms;
}
