#include "store/audit_leaves.h"

#include "store/sqlite.h"

#include <stdlib.h>

enum { GET_GATEWAY, PUT_GATEWAY, PUT, EACH, STATEMENTS };
static const char *const leaves_sql[STATEMENTS] = {
    [GET_GATEWAY] = "SELECT id FROM gateways WHERE name = ?1",
    [PUT_GATEWAY] = "INSERT INTO gateways(name) VALUES(?1)",
    [PUT] = "INSERT OR REPLACE INTO leaves(gateway, n, kind, report, height)"
            " VALUES(?1, ?2, ?3, ?4, ?5)",
    [EACH] = "SELECT name, n, kind, report, height FROM gateways CROSS JOIN leaves ON gateway = id"
             " ORDER BY name, n",
};

struct audit_leaves {
    sqlite3 *db;
    sqlite3_stmt *statements[STATEMENTS];
    struct bytes node, gateway;
};

int audit_leaves_new(struct bytes node, struct bytes gateway, struct audit_leaves **out)
{
    *out = NULL;
    struct audit_leaves *leaves = calloc(1, sizeof(*leaves));
    if (leaves == NULL)
        return SEALMQ_E_NOMEM;
    leaves->node = node;
    leaves->gateway = gateway;
    int error = db_open_temporary(&leaves->db);
    if (error == 0)
        error = db_exec(leaves->db,
                        "CREATE TABLE gateways(id INTEGER PRIMARY KEY, name TEXT UNIQUE);"
                        "CREATE TABLE leaves(gateway INTEGER, n INTEGER, kind INTEGER, report BLOB,"
                        " height INTEGER, PRIMARY KEY(gateway, n)) WITHOUT ROWID");
    if (error == 0)
        error = db_prepare_all(leaves->db, leaves_sql, leaves->statements, STATEMENTS);
    if (error != 0) {
        audit_leaves_free(leaves);
        return error;
    }
    *out = leaves;
    return 0;
}

void audit_leaves_free(struct audit_leaves *leaves)
{
    if (leaves == NULL)
        return;
    db_finalize_all(leaves->statements, STATEMENTS);
    db_close(leaves->db);
    free(leaves);
}

static int gateway_id(struct audit_leaves *leaves, struct bytes name, uint64_t *out)
{
    sqlite3_stmt *get = leaves->statements[GET_GATEWAY], *put = leaves->statements[PUT_GATEWAY];
    db_bind_text(get, 1, name);
    int error = db_next(get);
    if (error == 0)
        error = db_column_u64(get, 0, out);
    sqlite3_reset(get);
    if (error != SEALMQ_E_NOTFOUND)
        return error;
    db_bind_text(put, 1, name);
    error = db_run(put);
    *out = (uint64_t)sqlite3_last_insert_rowid(leaves->db);
    return error;
}

static enum audit_leaf_kind kind_of(const struct audit_leaves *leaves,
                                    const struct interval_leaf *leaf)
{
    switch (leaf->status) {
    case LEAF_ACKNOWLEDGED:
        return bytes_equal(leaf->node, leaves->node) ? AUDIT_LEAF_OURS : AUDIT_LEAF_OTHERS;
    case LEAF_DROPPED:
        return AUDIT_LEAF_DROPPED;
    case LEAF_PENDING:
        break;
    }
    return AUDIT_LEAF_PENDING;
}

static int add_request(struct audit_leaves *leaves, const struct request *request, uint64_t height)
{
    uint64_t gateway;
    struct bytes list = request->data.leaves;
    struct interval_leaf leaf;
    if (request->data.leaf_count == 0 ||
        (leaves->gateway.n != 0 && !bytes_equal(leaves->gateway, request->sender)))
        return 0;
    int error = gateway_id(leaves, request->sender, &gateway);
    while (error == 0 && request_leaves_next(&list, &leaf)) {
        sqlite3_stmt *put = leaves->statements[PUT];
        db_bind_u64(put, 1, gateway);
        db_bind_u64(put, 2, leaf.n);
        db_bind_u64(put, 3, kind_of(leaves, &leaf));
        db_bind_blob(put, 4, hash_bytes(&leaf.report));
        db_bind_u64(put, 5, height);
        error = db_run(put);
    }
    return error;
}

int audit_leaves_add(struct audit_leaves *leaves, const struct block *block)
{
    struct bytes list = block->requests, wire;
    struct request request;
    int error = db_exec(leaves->db, "BEGIN");
    while (error == 0 && block_requests_next(&list, &wire)) {
        error = request_decode(wire, &request);
        if (error == 0 && request.kind == REQUEST_DATA)
            error = add_request(leaves, &request, block->header.height);
    }
    if (error == 0)
        error = db_commit(leaves->db);
    return error;
}

int audit_leaves_next(struct audit_leaves *leaves, struct audit_leaf *out)
{
    sqlite3_stmt *each = leaves->statements[EACH];
    uint64_t kind = 0;
    struct bytes report = {0};
    int error = db_next(each);
    if (error == 0)
        error = db_column_text(each, 0, &out->gateway);
    if (error == 0)
        error = db_column_u64(each, 1, &out->n);
    if (error == 0)
        error = db_column_u64(each, 2, &kind);
    if (error == 0)
        error = db_column_blob(each, 3, &report);
    if (error == 0)
        error = db_column_u64(each, 4, &out->height);
    if (error != 0)
        return error;
    out->kind = (enum audit_leaf_kind)kind;
    memcpy(out->report.b, report.p, HASH_SIZE);
    return 0;
}
