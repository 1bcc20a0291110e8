/* The audit walks two sorted sequences side by side: the leaves that the chain has, and the reports
 * and rows that the history has.
 *
 * The chain is read first: what a node acknowledged was in its history before the leaf could be on
 * the chain, so a history that is read later has it, even of a node that is running. */
#include "store/audit.h"

#include "ledger/note.h"
#include "store/audit_leaves.h"
#include "store/audit_locate.h"
#include "store/blocks_int.h"
#include "store/history_int.h"
#include "store/store_int.h"

#include <stdlib.h>

const char *audit_verdict_name(enum audit_verdict verdict)
{
    static const char *const names[AUDIT_VERDICTS] = {
        [AUDIT_VERIFIED] = "verified",       [AUDIT_MODIFIED] = "modified",
        [AUDIT_MISSING] = "missing",         [AUDIT_EXTRA] = "extra",
        [AUDIT_CONFLICTING] = "conflicting", [AUDIT_UNANCHORED] = "unanchored",
        [AUDIT_UNSIGNED] = "unsigned",
    };
    return (unsigned)verdict < AUDIT_VERDICTS ? names[verdict] : "?";
}

bool audit_is_clean(const struct audit_totals *totals)
{
    for (int i = 0; i < AUDIT_VERDICTS; i++) {
        bool is_fine = i == AUDIT_VERIFIED || i == AUDIT_UNANCHORED;
        if (!is_fine && (totals->reports[i] != 0 || totals->rows[i] != 0))
            return false;
    }
    return true;
}

struct audit {
    const struct audit_options *options;
    struct audit_totals *totals;
    const struct chain *chain;
    struct audit_leaves *leaves;
    struct audit_leaf leaf; /* the next one, if `has_leaf` */
    bool has_leaf;
    struct hash *hashes; /* of a report's head and rows */
    size_t hash_capacity;
    struct audit_located located;
    uint64_t reports;
};

/* What the history has for one (gateway, n). */
struct found {
    struct bytes gateway;
    uint64_t n;
    const struct history_stored *stored; /* NULL: rows without a report */
    const struct history_stored_row *rows;
    size_t row_count;
    bool is_whole;    /* every row there once, and nothing is damaged */
    bool has_hash;    /* one can be built from what is there */
    struct hash hash; /* that one, or zero */
};

/* ---- hashes ---- */

static bool reserve_hashes(struct audit *audit, size_t n)
{
    if (n <= audit->hash_capacity)
        return true;
    struct hash *hashes = reallocarray(audit->hashes, n, sizeof(*hashes));
    if (hashes == NULL)
        return false;
    audit->hashes = hashes;
    audit->hash_capacity = n;
    return true;
}

/* Whether rows 0 to `want` - 1 are there, once each and undamaged. Rows are in order of their
 * numbers. */
static bool are_all_there(const struct history_stored_row *rows, size_t count, uint32_t want)
{
    for (size_t i = 0; i < count; i++)
        if (rows[i].number != i || rows[i].is_damaged)
            return false;
    return count == want;
}

/* Builds the hash from what is stored. */
static int hash_found(struct audit *audit, struct found *found)
{
    const struct history_stored *stored = found->stored;
    if (stored == NULL)
        return 0;
    if (!reserve_hashes(audit, found->row_count + 1))
        return SEALMQ_E_NOMEM;
    int error = report_head_leaf(&stored->head, &audit->hashes[0]);
    for (size_t i = 0; error == 0 && i < found->row_count; i++)
        error = row_leaf(&found->rows[i].row, &audit->hashes[i + 1]);
    found->has_hash = error == 0; /* else it is longer than anything that was ever signed */
    if (found->has_hash)
        report_hash(audit->hashes, found->row_count + 1, &found->hash);
    found->is_whole = found->has_hash && !stored->is_damaged &&
                      are_all_there(found->rows, found->row_count, stored->head.rows);
    return 0;
}

/* Whether the stored signature is the gateway's, of that hash. */
static bool is_signed(const struct audit *audit, const struct found *found, const struct hash *hash)
{
    struct member member;
    return found->stored != NULL && chain_member(audit->chain, found->gateway, &member) == 0 &&
           report_verify(&member.key, &chain_genesis(audit->chain)->hash, hash,
                         &found->stored->signature) == 0;
}

/* ---- verdicts ---- */

/* Stored as the chain has it, the column with the hash included. */
static bool agrees(const struct found *found, const struct hash *report)
{
    return found->is_whole && hash_equal(&found->hash, report) &&
           hash_equal(&found->stored->hash, report);
}

/* What is stored is not what the leaf says: who is to blame? `otherwise` is for what nothing shows
 * the gateway to have sent. */
static enum audit_verdict blame(const struct audit *audit, const struct found *found,
                                const struct hash *report, enum audit_verdict otherwise)
{
    if (found->is_whole && !hash_equal(&found->hash, report) &&
        is_signed(audit, found, &found->hash))
        return AUDIT_CONFLICTING;
    return is_signed(audit, found, report) ? AUDIT_MODIFIED : otherwise;
}

static enum audit_verdict judge_covered(const struct audit *audit, const struct found *found,
                                        const struct audit_leaf *leaf)
{
    switch (leaf->kind) {
    case AUDIT_LEAF_OURS:
        if (found->stored == NULL)
            return AUDIT_MISSING;
        if (agrees(found, &leaf->report))
            return AUDIT_VERIFIED;
        if (found->row_count == 0)
            return AUDIT_MISSING;
        return blame(audit, found, &leaf->report, AUDIT_MODIFIED);
    case AUDIT_LEAF_OTHERS:
        if (found->stored == NULL)
            return AUDIT_EXTRA;
        if (agrees(found, &leaf->report))
            return AUDIT_VERIFIED;
        return blame(audit, found, &leaf->report, AUDIT_EXTRA);
    case AUDIT_LEAF_DROPPED:
        return AUDIT_EXTRA;
    case AUDIT_LEAF_PENDING: /* stored, and the gateway had no answer yet */
        break;
    }
    if (found->stored == NULL)
        return AUDIT_EXTRA;
    if (agrees(found, &leaf->report))
        return AUDIT_UNANCHORED;
    return blame(audit, found, &leaf->report, AUDIT_UNSIGNED);
}

static enum audit_verdict judge_uncovered(const struct audit *audit, const struct found *found)
{
    if (found->stored == NULL || found->gateway.n == 0)
        return AUDIT_EXTRA;
    if (found->is_whole && is_signed(audit, found, &found->hash))
        return hash_equal(&found->hash, &found->stored->hash) ? AUDIT_UNANCHORED : AUDIT_MODIFIED;
    return is_signed(audit, found, &found->stored->hash) ? AUDIT_MODIFIED : AUDIT_UNSIGNED;
}

/* ---- findings ---- */

/* Whether what is stored hashes to what was signed: what the chain says, or else the signature. */
static bool has_signed_hash(const struct audit *audit, const struct found *found,
                            const struct audit_leaf *leaf)
{
    if (!found->has_hash)
        return false;
    return leaf != NULL ? hash_equal(&found->hash, &leaf->report)
                        : is_signed(audit, found, &found->hash);
}

/* Whether the report has no other rows. */
static bool is_alone(const struct found *found)
{
    return found->row_count == 1 && (found->stored == NULL || found->stored->head.rows == 1);
}

/* The one row that the finding is about; -1. */
static int64_t only_row(const struct audit_finding *finding, const struct found *found)
{
    size_t n = finding->located_count;
    if (n == 0)
        return found->rows != NULL && is_alone(found) && !finding->is_as_signed
                   ? (int64_t)found->rows[0].number
                   : -1;
    /* in order of their numbers */
    const struct audit_row *first = &finding->located[0], *last = &finding->located[n - 1];
    return first->number == last->number ? (int64_t)first->number : -1;
}

static int conclude(struct audit *audit, enum audit_verdict verdict, const struct found *found,
                    const struct audit_leaf *leaf)
{
    audit->totals->reports[verdict]++;
    audit->totals->rows[verdict] += found->row_count;
    if (verdict == AUDIT_VERIFIED || verdict == AUDIT_UNANCHORED || audit->options->finding == NULL)
        return 0;
    struct audit_finding finding = {
        .verdict = verdict,
        .gateway = found->gateway,
        .n = found->n,
        .rows = found->rows,
        .row_count = found->row_count,
        .stored = found->hash,
    };
    if (leaf != NULL) {
        finding.expected = leaf->report;
        finding.height = leaf->height;
    }
    /* With the other verdicts it is the report as such that has no business here. */
    if (found->stored != NULL && (verdict == AUDIT_MODIFIED || verdict == AUDIT_MISSING)) {
        finding.is_as_signed = has_signed_hash(audit, found, leaf);
        int error = audit_locate(found->stored, found->rows, found->row_count, finding.is_as_signed,
                                 &audit->located);
        if (error != 0)
            return error;
        finding.located = audit->located.v;
        finding.located_count = audit->located.n;
    }
    finding.row = only_row(&finding, found);
    audit->options->finding(audit->options->context, &finding);
    return 0;
}

/* ---- both sides ---- */

static int next_leaf(struct audit *audit)
{
    int error = audit_leaves_next(audit->leaves, &audit->leaf);
    audit->has_leaf = error == 0;
    return error == SEALMQ_E_NOTFOUND ? 0 : error;
}

/* The history has nothing for the next leaf. */
static int pass_leaf(struct audit *audit)
{
    int error = 0;
    if (audit->leaf.kind == AUDIT_LEAF_OURS) {
        const struct found nothing = {.gateway = audit->leaf.gateway, .n = audit->leaf.n};
        error = conclude(audit, AUDIT_MISSING, &nothing, &audit->leaf);
    }
    return error == 0 ? next_leaf(audit) : error;
}

static int compare_to_leaf(const struct audit *audit, const struct found *found)
{
    int c = bytes_compare(audit->leaf.gateway, found->gateway);
    return c != 0 ? c : (audit->leaf.n > found->n) - (audit->leaf.n < found->n);
}

static int take_report(void *context, struct bytes gateway, uint64_t n,
                       const struct history_stored *stored, const struct history_stored_row *rows,
                       size_t row_count)
{
    struct audit *audit = context;
    struct found found = {
        .gateway = gateway, .n = n, .stored = stored, .rows = rows, .row_count = row_count};
    int error = hash_found(audit, &found);
    while (error == 0 && audit->has_leaf && compare_to_leaf(audit, &found) < 0)
        error = pass_leaf(audit);
    if (error != 0)
        return error;
    if (audit->has_leaf && compare_to_leaf(audit, &found) == 0) {
        error = conclude(audit, judge_covered(audit, &found, &audit->leaf), &found, &audit->leaf);
        if (error == 0)
            error = next_leaf(audit);
    } else {
        error = conclude(audit, judge_uncovered(audit, &found), &found, NULL);
    }
    audit->reports++;
    if (audit->options->progress != NULL)
        audit->options->progress(audit->options->context, audit->reports);
    return error;
}

static int compare(struct audit *audit, struct history *history)
{
    int error = next_leaf(audit);
    if (error == 0)
        error = history_each(history, audit->options->gateway, 0, UINT64_MAX, take_report, audit);
    while (error == 0 && audit->has_leaf)
        error = pass_leaf(audit);
    return error;
}

/* ---- the chain ---- */

static int take_block(void *context, const struct block *block)
{
    struct audit *audit = context;
    return audit_leaves_add(audit->leaves, block);
}

static int check_note(const struct chain *chain, struct bytes note, struct checkpoint *checkpoint,
                      char *why, size_t why_size)
{
    struct policy *policy = NULL;
    struct buf text = {0};
    unsigned line;
    struct bytes body, lines;
    int error = checkpoint_parse(note, checkpoint, &body, &lines);
    /* Those who decide the block after its last one sign it. */
    const struct validator_set *set =
        error == 0 ? chain_validators_at(chain, checkpoint->size) : NULL;
    if (error == 0 && set == NULL) {
        store_why(why, why_size,
                  "the checkpoint is of validators that have changed since: give a "
                  "newer one");
        return SEALMQ_E_STALE;
    }
    if (error == 0)
        error = policy_format(chain_genesis(chain)->network, set, &text);
    if (error == 0)
        error = policy_parse(buf_bytes(&text), &policy, &line, why, why_size);
    if (error == 0)
        error = policy_check_note(policy, note, checkpoint, NULL);
    if (error != 0)
        store_why(why, why_size, "the checkpoint is not one of this network's validators: %s",
                  sealmq_error_text(error));
    policy_free(policy);
    buf_close(&text);
    return error;
}

/* Whether the chain is the one that the checkpoint is of, and reaches as far. */
static int check_checkpoint(const struct block_store *store, const struct chain *chain,
                            struct bytes note, char *why, size_t why_size)
{
    struct checkpoint checkpoint;
    struct hash root;
    int error = check_note(chain, note, &checkpoint, why, why_size);
    if (error != 0)
        return error;
    const struct merkle_log *log = chain_log(chain);
    if (checkpoint.size > log->size) {
        store_why(why, why_size,
                  "%s ends at height %llu, but the checkpoint covers height %llu: it is an older "
                  "copy, or blocks were removed",
                  store->path, (unsigned long long)chain_height(chain),
                  (unsigned long long)checkpoint.size - 1);
        return SEALMQ_E_CORRUPT;
    }
    merkle_log_root(log, checkpoint.size, &root);
    if (hash_equal(&root, &checkpoint.root))
        return 0;
    store_why(why, why_size, "%s holds other blocks than the checkpoint was made of", store->path);
    return SEALMQ_E_CORRUPT;
}

static int read_chain(struct audit *audit, struct block_store *blocks,
                      const struct genesis *genesis, struct chain **chain, char *why,
                      size_t why_size)
{
    const struct blocks_visitor visitor = {.fn = take_block, .context = audit};
    int error = blocks_load(blocks, genesis, UINT64_MAX, &visitor, chain, why, why_size);
    if (error != 0)
        return error;
    audit->chain = *chain;
    audit->totals->blocks = chain_height(*chain);
    return audit->options->checkpoint.n == 0
               ? 0
               : check_checkpoint(blocks, *chain, audit->options->checkpoint, why, why_size);
}

int audit_run(struct history *history, struct block_store *blocks, const struct genesis *genesis,
              const struct audit_options *options, struct audit_totals *totals, char *why,
              size_t why_size)
{
    *totals = (struct audit_totals){0};
    struct audit audit = {.options = options, .totals = totals};
    struct chain *chain = NULL;
    int error = audit_leaves_new(bytes_str(options->node), options->gateway, &audit.leaves);
    if (error != 0)
        store_why(why, why_size, "no temporary database: %s", sealmq_error_text(error));
    if (error == 0)
        error = read_chain(&audit, blocks, genesis, &chain, why, why_size);
    if (error == 0) {
        error = compare(&audit, history);
        if (error != 0)
            store_why(why, why_size, "%s: %s%s", sqlite3_db_filename(history->db, "main"),
                      sealmq_error_text(error),
                      error == SEALMQ_E_FULL
                          ? ": sorting needs room for temporary files (SQLITE_TMPDIR says where)"
                          : "");
    }
    audit_leaves_free(audit.leaves);
    free(audit.hashes);
    audit_located_close(&audit.located);
    chain_free(chain);
    return error;
}
