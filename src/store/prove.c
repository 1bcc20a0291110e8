#include "store/prove.h"

#include "ledger/proof.h"
#include "ledger/state_entry.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* Everything that is collected for one proof; `proof` borrows from the rest. */
struct work {
    struct block_store *store;
    const struct genesis *genesis;
    char *why;
    size_t why_size;
    struct proof proof;
    struct buf block_wire, note, state_values[PROOF_STATE_MAX], state_keys[PROOF_STATE_MAX];
    struct block block;
    struct chain *before; /* the chain at the block's parent */
    struct request request;
    struct proof_state_entry state[PROOF_STATE_MAX];
    struct buf report_text; /* what the row's strings borrow from */
};

__attribute__((format(printf, 3, 4))) static int fail(struct work *work, int error,
                                                      const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(work->why, work->why_size, format, args);
    va_end(args);
    return error;
}

static struct work *work_new(struct block_store *store, const struct genesis *genesis, char *why,
                             size_t why_size)
{
    struct work *work = calloc(1, sizeof *work);
    why[0] = '\0';
    if (work == NULL)
        return NULL;
    work->store = store;
    work->genesis = genesis;
    work->why = why;
    work->why_size = why_size;
    work->proof.state = work->state;
    return work;
}

static void work_free(struct work *work)
{
    buf_close(&work->block_wire);
    buf_close(&work->note);
    buf_close(&work->report_text);
    for (size_t i = 0; i < PROOF_STATE_MAX; i++) {
        buf_close(&work->state_values[i]);
        buf_close(&work->state_keys[i]);
    }
    chain_free(work->before);
    free(work);
}

/* ---- block and log ---- */

int prove_read_block(struct block_store *store, const struct genesis *genesis, uint64_t height,
                     struct buf *block, struct buf *certificate)
{
    if (height != 0)
        return block_store_get(store, height, block, certificate);
    struct chain *chain;
    struct hash state_root;
    int error = chain_new(genesis, &chain);
    if (error != 0)
        return error;
    chain_state_root(chain, &state_root);
    genesis_block(genesis, &state_root, block);
    chain_free(chain);
    return buf_status(block);
}

static int prove_log(struct work *work, uint64_t height)
{
    struct checkpoint checkpoint;
    struct bytes text, lines;
    int error = block_store_checkpoint_from(work->store, height + 1, &work->note);
    if (error == SEALMQ_E_NOTFOUND)
        return fail(work, SEALMQ_E_AGAIN,
                    "no checkpoint with a quorum covers block %llu yet; try again in a moment",
                    (unsigned long long)height);
    if (error == 0)
        error = checkpoint_parse(buf_bytes(&work->note), &checkpoint, &text, &lines);
    if (error != 0)
        return error;
    struct hash root;
    error =
        block_store_prove_log(work->store, height, checkpoint.size, &work->proof.log_path, &root);
    if (error == SEALMQ_E_NOTFOUND)
        return fail(
            work, error,
            "headers before block %llu are not here: this node began with a snapshot of the "
            "state; ask another one",
            (unsigned long long)checkpoint.size);
    if (error == 0 && !hash_equal(&root, &checkpoint.root))
        error = fail(work, SEALMQ_E_CONFLICT,
                     "the stored blocks are not those that the validators signed: run `sealmq "
                     "audit`");
    work->proof.log_index = height;
    work->proof.note = buf_bytes(&work->note);
    return error;
}

static bool was_pruned(struct work *work, uint64_t height)
{
    uint64_t header, body;
    return block_store_lowest(work->store, &header, &body) == 0 && height < body;
}

static int take_block(struct work *work, uint64_t height)
{
    int error = prove_read_block(work->store, work->genesis, height, &work->block_wire, NULL);
    if (error == SEALMQ_E_NOTFOUND && was_pruned(work, height))
        return fail(work, error,
                    "this node does not keep the body of block %llu any more: ask a node that does "
                    "(`sealmq status --all` says from which height each keeps them)",
                    (unsigned long long)height);
    if (error == SEALMQ_E_NOTFOUND)
        return fail(work, error, "there is no block %llu here", (unsigned long long)height);
    if (error == 0)
        error = block_decode(buf_bytes(&work->block_wire), &work->block);
    if (error != 0)
        return fail(work, SEALMQ_E_CORRUPT, "block %llu cannot be read",
                    (unsigned long long)height);
    work->proof.header_wire = work->block.header_wire;
    work->proof.header = work->block.header;
    return prove_log(work, height);
}

/* ---- a request in its block, and the state it was judged by ---- */

static int take_request(struct work *work, uint32_t index)
{
    struct hash *leaves = calloc(work->block.request_count + (size_t)1, sizeof *leaves);
    if (leaves == NULL)
        return SEALMQ_E_NOMEM;
    if (index >= work->block.request_count) {
        free(leaves);
        return fail(work, SEALMQ_E_NOTFOUND, "block %llu has %u requests",
                    (unsigned long long)work->block.header.height, work->block.request_count);
    }
    struct bytes list = work->block.requests, wire;
    int error = 0;
    for (uint32_t i = 0; error == 0 && block_requests_next(&list, &wire); i++) {
        struct request request;
        error = request_decode(wire, &request);
        if (error != 0)
            break;
        leaves[i] = request.hash;
        if (i == index)
            work->request = request;
    }
    if (error == 0) {
        merkle_prove(leaves, work->block.request_count, index, &work->proof.request_path);
        work->proof.request = work->request;
        work->proof.request_index = index;
    }
    free(leaves);
    return error;
}

static int load_before(struct work *work)
{
    if (work->before != NULL)
        return 0;
    return block_store_load_chain(work->store, work->genesis, work->block.header.height - 1,
                                  &work->before, NULL, NULL, work->why, work->why_size);
}

/* Adds the entry whose key stands in the next state_keys place. */
static int take_state(struct work *work)
{
    size_t i = work->proof.state_count;
    int error = buf_status(&work->state_keys[i]);
    if (error == 0)
        error = load_before(work);
    if (error != 0)
        return error;
    struct bytes key = buf_bytes(&work->state_keys[i]);
    error = chain_prove_state(work->before, key, &work->state_values[i], &work->state[i].path);
    if (error == SEALMQ_E_NOTFOUND)
        return fail(
            work, error,
            "\"%.*s\" was not known before block %llu; choose a later record of the item, or "
            "the row",
            (int)key.n, (const char *)key.p, (unsigned long long)work->block.header.height);
    if (error != 0)
        return error;
    work->state[i].key = key;
    work->state[i].value = buf_bytes(&work->state_values[i]);
    work->proof.state_count++;
    return 0;
}

static int take_sender_state(struct work *work)
{
    state_key_member(work->request.sender, &work->state_keys[work->proof.state_count]);
    return take_state(work);
}

static int finish(struct work *work, int error, struct buf *out)
{
    if (error == 0)
        error = proof_format(&work->proof, out);
    if (error != 0 && work->why[0] == '\0')
        snprintf(work->why, work->why_size, "%s", sealmq_error_text(error));
    work_free(work);
    return error;
}

int prove_block(struct block_store *store, const struct genesis *genesis, uint64_t height,
                struct buf *out, char *why, size_t why_size)
{
    struct work *work = work_new(store, genesis, why, why_size);
    if (work == NULL)
        return SEALMQ_E_NOMEM;
    work->proof.kind = PROOF_BLOCK;
    return finish(work, take_block(work, height), out);
}

/* ---- records ---- */

static int take_record(struct work *work, uint32_t index)
{
    const struct request *request = &work->request;
    if (request->kind != REQUEST_DATA || index >= request->data.record_count)
        return fail(work, SEALMQ_E_NOTFOUND, "that request has %u records",
                    request->kind == REQUEST_DATA ? request->data.record_count : 0);
    struct hash *leaves = calloc(request->data.record_count, sizeof *leaves);
    if (leaves == NULL)
        return SEALMQ_E_NOMEM;
    struct bytes list = request->data.records, text;
    for (uint32_t i = 0; request_records_next(&list, &text); i++) {
        hash_leaf(text, &leaves[i]);
        if (i == index)
            work->proof.record_text = text;
    }
    merkle_prove(leaves, request->data.record_count, index, &work->proof.sub_path);
    free(leaves);
    work->proof.sub_index = index;
    return record_parse(work->proof.record_text, &work->proof.record);
}

int prove_record(struct block_store *store, const struct genesis *genesis, uint64_t height,
                 uint32_t request, uint32_t record, struct buf *out, char *why, size_t why_size)
{
    struct work *work = work_new(store, genesis, why, why_size);
    if (work == NULL)
        return SEALMQ_E_NOMEM;
    work->proof.kind = PROOF_RECORD;
    int error = take_block(work, height);
    if (error == 0)
        error = take_request(work, request);
    if (error == 0)
        error = take_record(work, record);
    if (error == 0)
        error = take_sender_state(work);
    if (error == 0) {
        state_key_item(work->request.sender, work->proof.record.num,
                       &work->state_keys[work->proof.state_count]);
        error = take_state(work);
    }
    return finish(work, error, out);
}

/* ---- rows ---- */

static int interval_leaf_hash(const struct interval_leaf *leaf, struct buf *scratch,
                              struct hash *out)
{
    buf_reset(scratch);
    interval_leaf_encode(leaf, scratch);
    hash_leaf(buf_bytes(scratch), out);
    return buf_status(scratch);
}

static int take_leaf(struct work *work, uint32_t index, uint64_t n)
{
    const struct request *request = &work->request;
    if (request->kind != REQUEST_DATA || index >= request->data.leaf_count)
        return SEALMQ_E_CORRUPT;
    struct hash *leaves = calloc(request->data.leaf_count, sizeof *leaves);
    if (leaves == NULL)
        return SEALMQ_E_NOMEM;
    struct bytes list = request->data.leaves;
    struct interval_leaf leaf;
    struct buf scratch = {0};
    int error = 0;
    for (uint32_t i = 0; error == 0 && request_leaves_next(&list, &leaf); i++) {
        error = interval_leaf_hash(&leaf, &scratch, &leaves[i]);
        if (i == index)
            work->proof.leaf = leaf;
    }
    if (error == 0)
        merkle_prove(leaves, request->data.leaf_count, index, &work->proof.sub_path);
    buf_close(&scratch);
    free(leaves);
    work->proof.sub_index = index;
    if (error != 0)
        return error;
    if (work->proof.leaf.n != n)
        return SEALMQ_E_CORRUPT;
    if (work->proof.leaf.status != LEAF_ACKNOWLEDGED)
        return fail(work, SEALMQ_E_AGAIN,
                    "the chain says of report %llu that it is %s; a later block settles it",
                    (unsigned long long)n,
                    work->proof.leaf.status == LEAF_PENDING ? "pending" : "dropped");
    return 0;
}

/* The report as stored: its leaves, and the strings of one row. */
struct stored {
    struct work *work;
    uint32_t wanted;
    bool found;
};

static struct bytes keep(struct buf *text, size_t *at, struct bytes s)
{
    struct bytes kept = bytes_of(text->p + *at, s.n);
    *at += s.n;
    return kept;
}

static int take_report(void *context, struct bytes gateway, uint64_t n,
                       const struct history_stored *stored, const struct history_stored_row *rows,
                       size_t row_count)
{
    struct stored *search = context;
    struct work *work = search->work;
    (void)gateway;
    if (stored == NULL || row_count != stored->head.rows)
        return fail(work, SEALMQ_E_CONFLICT,
                    "report %llu is not stored here as it was acknowledged: run `sealmq audit`",
                    (unsigned long long)n);
    if (search->wanted >= row_count)
        return fail(work, SEALMQ_E_NOTFOUND, "report %llu has %zu rows, counted from 0",
                    (unsigned long long)n, row_count);
    struct hash *leaves = calloc(row_count + 1, sizeof *leaves);
    if (leaves == NULL)
        return SEALMQ_E_NOMEM;
    int error = report_head_leaf(&stored->head, &leaves[0]);
    for (size_t i = 0; error == 0 && i < row_count; i++)
        error = row_leaf(&rows[i].row, &leaves[i + 1]);
    struct hash root;
    if (error == 0) {
        report_hash(leaves, row_count + 1, &root);
        if (!hash_equal(&root, &work->proof.leaf.report))
            error =
                fail(work, SEALMQ_E_CONFLICT,
                     "report %llu as stored here is not what the chain says: run `sealmq audit`",
                     (unsigned long long)n);
    }
    if (error == 0) {
        merkle_prove(leaves, row_count + 1, 0, &work->proof.head_path);
        merkle_prove(leaves, row_count + 1, search->wanted + (size_t)1, &work->proof.row_path);
        const struct row *row = &rows[search->wanted].row;
        struct buf *text = &work->report_text;
        buf_append_bytes(text, stored->head.topic);
        buf_append_bytes(text, row->device);
        buf_append_bytes(text, row->service);
        buf_append_bytes(text, row->name);
        buf_append_bytes(text, row->unit);
        buf_append_bytes(text, row->value);
        error = buf_status(text);
        size_t at = 0;
        work->proof.row = *row;
        work->proof.report = stored->head;
        work->proof.report.gateway = work->request.sender;
        if (error == 0) {
            work->proof.report.topic = keep(text, &at, stored->head.topic);
            work->proof.row.device = keep(text, &at, row->device);
            work->proof.row.service = keep(text, &at, row->service);
            work->proof.row.name = keep(text, &at, row->name);
            work->proof.row.unit = keep(text, &at, row->unit);
            work->proof.row.value = keep(text, &at, row->value);
        }
        work->proof.row_number = search->wanted;
        search->found = true;
    }
    free(leaves);
    return error;
}

static int take_row(struct work *work, struct history *history, struct bytes gateway, uint64_t n,
                    uint32_t row)
{
    struct stored search = {.work = work, .wanted = row};
    int error = history_find(history, gateway, n, n, take_report, &search);
    if (error == 0 && !search.found)
        error = fail(work, SEALMQ_E_NOTFOUND, "the history has no report %llu of this gateway",
                     (unsigned long long)n);
    return error;
}

int prove_row(struct block_store *store, struct history *history, const struct genesis *genesis,
              struct bytes gateway, uint64_t n, uint32_t row, struct buf *out, char *why,
              size_t why_size)
{
    struct work *work = work_new(store, genesis, why, why_size);
    if (work == NULL)
        return SEALMQ_E_NOMEM;
    uint64_t height;
    uint32_t request_index, leaf_index;
    work->proof.kind = PROOF_ROW;
    int error = block_store_find_leaf(store, gateway, n, &height, &request_index, &leaf_index);
    if (error == SEALMQ_E_NOTFOUND)
        error = fail(work, error,
                     "report %llu is not covered by the chain yet; it will be within the anchor "
                     "interval",
                     (unsigned long long)n);
    if (error == 0)
        error = take_block(work, height);
    if (error == 0)
        error = take_request(work, request_index);
    if (error == 0)
        error = take_leaf(work, leaf_index, n);
    if (error == 0)
        error = take_row(work, history, gateway, n, row);
    if (error == 0)
        error = take_sender_state(work);
    return finish(work, error, out);
}

/* ---- the newest record ---- */

static uint64_t covered_height(struct block_store *store)
{
    struct buf note = {0};
    struct checkpoint checkpoint = {0};
    struct bytes text, lines;
    if (block_store_checkpoint_newest(store, &note) != 0 ||
        checkpoint_parse(buf_bytes(&note), &checkpoint, &text, &lines) != 0)
        checkpoint.size = 0;
    buf_close(&note);
    return checkpoint.size == 0 ? 0 : checkpoint.size - 1;
}

/* Whether a block describes an item (0: any) of the sender. It is in the state from the next block
 * on. */
static bool describes(const struct block *block, struct bytes sender, uint32_t num)
{
    struct bytes list = block->requests, wire;
    while (block_requests_next(&list, &wire)) {
        struct request request;
        struct item item;
        if (request_decode(wire, &request) != 0 || request.kind != REQUEST_DESCRIBE ||
            !bytes_equal(request.sender, sender))
            continue;
        struct bytes items = request.describe.items;
        while (request_items_next(&items, &item)) {
            if (num == 0 || item.num == num)
                return true;
        }
    }
    return false;
}

/* The last record of a block whose item an earlier block described; false when there is none. */
static bool last_provable(const struct block *block, uint32_t *request_index,
                          uint32_t *record_index)
{
    struct bytes list = block->requests, wire;
    bool found = false;
    for (uint32_t i = 0; block_requests_next(&list, &wire); i++) {
        struct request request;
        if (request_decode(wire, &request) != 0 || request.kind != REQUEST_DATA)
            continue;
        bool has_new_items = describes(block, request.sender, 0);
        struct bytes records = request.data.records, text;
        for (uint32_t k = 0; request_records_next(&records, &text); k++) {
            struct record record;
            if (record_parse(text, &record) != 0 ||
                (has_new_items && describes(block, request.sender, record.num)))
                continue;
            *request_index = i;
            *record_index = k;
            found = true;
        }
    }
    return found;
}

int prove_find_newest_record(struct block_store *store, uint64_t *height, uint32_t *request,
                             uint32_t *record, char *why, size_t why_size)
{
    struct buf wire = {0};
    int error = SEALMQ_E_NOTFOUND;
    for (*height = covered_height(store); *height > 0; (*height)--) {
        struct block block;
        buf_reset(&wire);
        if (block_store_get(store, *height, &wire, NULL) == 0 &&
            block_decode(buf_bytes(&wire), &block) == 0 && last_provable(&block, request, record)) {
            error = 0;
            break;
        }
    }
    buf_close(&wire);
    if (error != 0)
        snprintf(why, why_size, "the chain has no records that a checkpoint covers yet");
    return error;
}
