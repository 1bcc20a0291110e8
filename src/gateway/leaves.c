/* What the history intervals will say of each capture number. A leaf lives from the capture until a
 * request has said for good what became of the report. Kept as u8 version (1) || u8 status ||
 * u8 is on chain || report hash || str8 node. */
#include "gateway/gateway_int.h"

#include <stdlib.h>

#define LEAF_VERSION     1
/* Leaves of one request: with its records, and as JSON, it must stay below what a sealed message
 * may hold. */
#define LEAVES_BYTES_MAX (REQUEST_BYTES_MAX / 8)

static struct gateway_leaf *find(const struct gateway *gateway, uint64_t n)
{
    struct gateway_leaf *leaf = NULL;
    HASH_FIND(hh, gateway->leaves, &n, sizeof n, leaf);
    return leaf;
}

static void save(struct gateway *gateway, const struct gateway_leaf *leaf)
{
    struct buf value = {0};
    buf_append_u8(&value, LEAF_VERSION);
    buf_append_u8(&value, (uint8_t)leaf->status);
    buf_append_u8(&value, leaf->is_on_chain);
    buf_append_bytes(&value, hash_bytes(&leaf->hash));
    buf_append_str8(&value, bytes_str(leaf->node));
    if (buf_status(&value) == 0)
        gateway_update_write(gateway, GATEWAY_TABLE_LEAF, leaf->n, buf_bytes(&value));
    else
        gateway_update_fail(gateway, buf_status(&value));
    buf_close(&value);
}

static struct gateway_leaf *add(struct gateway *gateway, uint64_t n)
{
    struct gateway_leaf *leaf = calloc(1, sizeof *leaf);
    if (leaf == NULL)
        return NULL;
    leaf->n = n;
    leaf->status = LEAF_PENDING;
    HASH_ADD(hh, gateway->leaves, n, sizeof leaf->n, leaf);
    if (leaf->hh.tbl == NULL) {
        free(leaf);
        return NULL;
    }
    return leaf;
}

int leaf_add(struct gateway *gateway, uint64_t n, const struct hash *hash,
             const struct gateway_now *now)
{
    struct gateway_leaf *leaf = add(gateway, n);
    if (leaf == NULL)
        return SEALMQ_E_NOMEM;
    leaf->hash = *hash;
    leaf->since_ms = now->now_ms;
    save(gateway, leaf);
    return 0;
}

void leaf_settle(struct gateway *gateway, uint64_t n, enum leaf_status status, const char *node)
{
    struct gateway_leaf *leaf = find(gateway, n);
    if (leaf == NULL || leaf->status != LEAF_PENDING)
        return;
    leaf->status = status;
    if (status == LEAF_ACKNOWLEDGED &&
        bytes_to_cstr(bytes_str(node), leaf->node, sizeof leaf->node) != 0)
        leaf->node[0] = '\0';
    save(gateway, leaf);
}

int leaf_load(struct gateway *gateway, uint64_t n, struct bytes value)
{
    struct reader r = reader_of(value);
    if (reader_u8(&r) != LEAF_VERSION)
        reader_fail(&r, SEALMQ_E_VERSION);
    uint8_t status = reader_u8(&r);
    uint8_t is_on_chain = reader_u8(&r);
    struct hash hash;
    char node[ID_MAX + 1];
    reader_copy(&r, hash.b, HASH_SIZE);
    reader_cstr8(&r, node, sizeof node);
    if (reader_end(&r) != 0 || status < LEAF_ACKNOWLEDGED || status > LEAF_PENDING ||
        is_on_chain > 1 || find(gateway, n) != NULL)
        return SEALMQ_E_CORRUPT;
    struct gateway_leaf *leaf = add(gateway, n);
    if (leaf == NULL)
        return SEALMQ_E_NOMEM;
    leaf->status = (enum leaf_status)status;
    leaf->is_on_chain = is_on_chain == 1;
    leaf->hash = hash;
    memcpy(leaf->node, node, sizeof leaf->node);
    return 0;
}

static int by_n(const struct gateway_leaf *a, const struct gateway_leaf *b)
{
    return a->n < b->n ? -1 : a->n > b->n;
}

/* The last number of the next interval: up to the first report that may yet be answered in time.
 * One that has waited for an anchor interval is said to be pending. */
static uint64_t interval_end(struct gateway *gateway, const struct gateway_now *now)
{
    uint64_t to = gateway->covered - 1;
    for (struct gateway_leaf *leaf = gateway->leaves; leaf != NULL; leaf = leaf->hh.next) {
        if (leaf->n < gateway->covered)
            continue;
        if (leaf->since_ms == 0)
            leaf->since_ms = now->now_ms;
        bool is_late = now->now_ms - leaf->since_ms >= gateway->options.anchor_interval_ms;
        if (leaf->status == LEAF_PENDING && !is_late)
            break;
        to = leaf->n;
    }
    return to;
}

static struct interval_leaf said_of(const struct gateway_leaf *leaf)
{
    return (struct interval_leaf){
        .n = leaf->n,
        .status = leaf->status,
        .node = bytes_str(leaf->node),
        .report = leaf->hash,
    };
}

/* What a leaf takes in a request. */
static size_t leaf_size(const struct gateway_leaf *leaf)
{
    return 8 + 1 + 1 + strlen(leaf->node) + HASH_SIZE;
}

struct interval_leaf *leaves_collect(struct gateway *gateway, const struct gateway_now *now,
                                     size_t *count, uint64_t *to)
{
    *count = 0;
    HASH_SORT(gateway->leaves, by_n);
    uint64_t end = interval_end(gateway, now);
    *to = gateway->covered - 1;
    size_t most = HASH_COUNT(gateway->leaves);
    if (most > REQUEST_LEAVES_MAX)
        most = REQUEST_LEAVES_MAX;
    if (most == 0)
        return NULL;
    struct interval_leaf *leaves = calloc(most, sizeof *leaves);
    if (leaves == NULL) {
        gateway_update_fail(gateway, SEALMQ_E_NOMEM);
        return NULL;
    }
    size_t pending = 0, bytes = 0;
    for (const struct gateway_leaf *leaf = gateway->leaves;
         leaf != NULL && *count < most && bytes < LEAVES_BYTES_MAX; leaf = leaf->hh.next) {
        bool is_pending = leaf->status == LEAF_PENDING;
        if (leaf->n < gateway->covered) {
            pending += is_pending;
            if (!is_pending) {
                leaves[(*count)++] = said_of(leaf);
                bytes += leaf_size(leaf);
            }
            continue;
        }
        if (leaf->n > end || (is_pending && pending == PENDING_MAX))
            break;
        pending += is_pending;
        leaves[(*count)++] = said_of(leaf);
        bytes += leaf_size(leaf);
        *to = leaf->n;
    }
    return leaves;
}

void leaves_taken(struct gateway *gateway, const struct interval_leaf *leaves, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct gateway_leaf *leaf = find(gateway, leaves[i].n);
        if (leaf == NULL)
            continue;
        if (leaf->status == LEAF_PENDING) {
            leaf->is_on_chain = true;
            save(gateway, leaf);
        } else {
            gateway_update_remove(gateway, GATEWAY_TABLE_LEAF, leaf->n);
            HASH_DEL(gateway->leaves, leaf);
            free(leaf);
        }
    }
}

bool leaves_are_whole(const struct gateway *gateway)
{
    uint64_t uncovered = 0, pending = 0;
    for (const struct gateway_leaf *leaf = gateway->leaves; leaf != NULL; leaf = leaf->hh.next) {
        if (leaf->n == 0 || leaf->n >= gateway->next_capture)
            return false;
        uncovered += leaf->n >= gateway->covered;
        pending += leaf->status == LEAF_PENDING;
    }
    for (const struct gateway_report *report = gateway->outbox; report != NULL;
         report = report->hh.next) {
        const struct gateway_leaf *leaf = find(gateway, report->n);
        if (leaf == NULL || leaf->status != LEAF_PENDING)
            return false;
    }
    return uncovered == gateway->next_capture - gateway->covered &&
           pending == HASH_COUNT(gateway->outbox);
}

void leaves_free(struct gateway *gateway)
{
    struct gateway_leaf *leaf, *next;
    HASH_ITER (hh, gateway->leaves, leaf, next) {
        HASH_DEL(gateway->leaves, leaf);
        free(leaf);
    }
}
