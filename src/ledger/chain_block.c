/* Whole blocks: checking one as the next, and making the chain one block longer. */
#include "ledger/chain_int.h"

#include "base/assert.h"

/* What the header must say, given the chain so far. */
static int check_header(const struct chain *chain, const struct block *block)
{
    const struct block_header *header = &block->header;
    struct block_header expected;
    chain_next_header(chain, &expected);
    if (strcmp(header->network, expected.network) != 0)
        return SEALMQ_E_NETWORK;
    if (header->height != expected.height)
        return header->height < expected.height ? SEALMQ_E_STALE : SEALMQ_E_AGAIN;
    if (!hash_equal(&header->parent, &expected.parent) ||
        !hash_equal(&header->log_root, &expected.log_root) ||
        !hash_equal(&header->state_root, &expected.state_root) ||
        !hash_equal(&header->validators, &expected.validators))
        return SEALMQ_E_HASH;
    if (header->difficulty != expected.difficulty ||
        !header_meets_difficulty(&block->hash, header->difficulty))
        return SEALMQ_E_PROTOCOL;
    const struct validator_set *set = &chain->rules.validators;
    if (strcmp(header->proposer, set->v[header->view % set->n].id) != 0)
        return SEALMQ_E_PROTOCOL;
    return header->time_us > chain->tip.time_us ? 0 : SEALMQ_E_PROTOCOL;
}

static int check_clock(const struct block_header *header, int64_t now_us, int64_t ahead_us)
{
    int64_t latest;
    if (ahead_us < 0 || __builtin_add_overflow(now_us, ahead_us, &latest))
        return 0;
    return header->time_us <= latest ? 0 : SEALMQ_E_AGAIN;
}

static int execute_one(struct chain *chain, struct bytes wire)
{
    struct request request;
    int error = request_decode(wire, &request);
    return error == 0 ? chain_execute(chain, &request) : error;
}

static const struct hash *next_validators(const struct chain *chain)
{
    return chain->changes.validators ? &chain->next.validators_hash : &chain->rules.validators_hash;
}

/* And what the header says of who decides the next block, which follows from them. */
static int execute_requests(struct chain *chain, const struct block *block)
{
    struct bytes list = block->requests;
    struct bytes wire;
    while (block_requests_next(&list, &wire)) {
        int error = execute_one(chain, wire);
        if (error != 0)
            return error;
    }
    return hash_equal(&block->header.next_validators, next_validators(chain)) ? 0 : SEALMQ_E_HASH;
}

/* Whether a request may change the set, told from its first bytes; one that cannot be read may. */
static bool may_change_validators(struct bytes wire)
{
    struct reader r = reader_of(wire);
    (void)reader_u32(&r);
    (void)reader_u8(&r);
    uint8_t kind = reader_u8(&r);
    return r.failed != 0 || (kind != REQUEST_DATA && kind != REQUEST_DESCRIBE);
}

int chain_plan_header(struct chain *chain, const struct bytes *requests, size_t n,
                      struct block_header *out)
{
    chain_next_header(chain, out);
    bool is_plain = true;
    for (size_t i = 0; i < n; i++)
        is_plain = is_plain && !may_change_validators(requests[i]);
    if (is_plain)
        return 0;
    int error = 0;
    chain_begin(chain);
    for (size_t i = 0; i < n && error == 0; i++)
        error = execute_one(chain, requests[i]);
    out->next_validators = *next_validators(chain);
    chain_rollback(chain);
    return error;
}

int chain_check_block(struct chain *chain, const struct block *block, int64_t now_us,
                      int64_t ahead_us)
{
    int error = check_header(chain, block);
    if (error == 0)
        error = check_clock(&block->header, now_us, ahead_us);
    if (error != 0)
        return error;
    chain_begin(chain);
    error = execute_requests(chain, block);
    chain_rollback(chain);
    return error;
}

static void mark_changed(const struct journal *journal, uint64_t height)
{
    for (size_t i = 0; i < journal->n; i++) {
        const struct undo *undo = &journal->records[i];
        if (undo->kind == UNDO_WINDOW)
            undo->window.sender->changed_height = height;
        else if (undo->kind == UNDO_MEMBER)
            undo->member.member->changed_height = height;
    }
}

int chain_append(struct chain *chain, const struct block *block)
{
    int error = check_header(chain, block);
    if (error != 0)
        return error;
    chain_begin(chain);
    error = execute_requests(chain, block);
    struct entries entries = {0};
    if (error == 0)
        error = entries_collect(chain, &entries);
    if (error == 0)
        error = statetree_reserve(chain->tree, entries.new_count);
    struct hash leaf;
    hash_leaf(block->header_wire, &leaf);
    if (error == 0)
        error = merkle_log_append(&chain->log, &leaf);
    if (error != 0) {
        buf_close(&entries.buf);
        chain_rollback(chain);
        return error;
    }
    /* From here on nothing can fail. */
    entries_write(chain, &entries);
    buf_close(&entries.buf);
    mark_changed(&chain->journal, block->header.height);
    govern_commit(chain, block->header.height);
    journal_forget(&chain->journal);
    chain->is_tentative = false;
    chain->tip = block->header;
    chain->tip_hash = block->hash;
    return 0;
}
