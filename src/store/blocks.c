/* Opening and writing the block store. A block, its certificate, its rows of the index, and what
 * the agreement keeps of its votes become durable in one step, or not at all. */
#include "store/blocks_int.h"

#include "base/assert.h"
#include "store/store_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

static const struct db_kind blocks_kind = {
    .called = "a block store",
    .application_id = 0x53654d42, /* "SeMB" */
    .version = 2,
    .schema =
        "CREATE TABLE meta(key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;"
        "CREATE TABLE headers(height INTEGER PRIMARY KEY, header_hash BLOB NOT NULL,"
        " header BLOB NOT NULL, certificate BLOB NOT NULL, time_us INTEGER NOT NULL,"
        " requests INTEGER NOT NULL, records INTEGER NOT NULL, size INTEGER NOT NULL,"
        " all_requests INTEGER NOT NULL, all_records INTEGER NOT NULL,"
        " all_size INTEGER NOT NULL);"
        "CREATE TABLE bodies(height INTEGER PRIMARY KEY, body BLOB NOT NULL);"
        "CREATE VIEW blocks AS SELECT height, header_hash, header, body, certificate, time_us,"
        " requests, records FROM headers JOIN bodies USING(height);"
        "CREATE TABLE tiles(level INTEGER, at INTEGER, hashes BLOB NOT NULL,"
        " PRIMARY KEY(level, at));"
        "CREATE TABLE snapshots(height INTEGER PRIMARY KEY, manifest BLOB NOT NULL);"
        "CREATE TABLE chunks(height INTEGER, at INTEGER, entries BLOB NOT NULL,"
        " PRIMARY KEY(height, at));"
        "CREATE TABLE checkpoints(size INTEGER PRIMARY KEY, note TEXT NOT NULL);"
        "CREATE TABLE slots(slot INTEGER PRIMARY KEY, bytes BLOB NOT NULL);"
        "CREATE TABLE senders(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);"
        "CREATE TABLE requests(sender INTEGER, number INTEGER, height INTEGER NOT NULL,"
        " idx INTEGER NOT NULL, PRIMARY KEY(sender, number)) WITHOUT ROWID;"
        "CREATE TABLE intervals(gateway INTEGER, from_n INTEGER, to_n INTEGER NOT NULL,"
        " height INTEGER NOT NULL, idx INTEGER NOT NULL, leaf INTEGER NOT NULL,"
        " PRIMARY KEY(gateway, from_n)) WITHOUT ROWID;"
        "CREATE TABLE resolved(gateway INTEGER, n INTEGER, height INTEGER NOT NULL,"
        " idx INTEGER NOT NULL, leaf INTEGER NOT NULL, PRIMARY KEY(gateway, n)) WITHOUT ROWID",
};

static const char *const blocks_sql[BLOCKS_STATEMENTS] = {
    [BLOCKS_PUT_HEADER] = "INSERT INTO headers VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10,"
                          " ?11)",
    [BLOCKS_PUT_BODY] = "INSERT INTO bodies(height, body) VALUES(?1, ?2)",
    [BLOCKS_PUT_CHECKPOINT] = "INSERT INTO checkpoints(size, note) VALUES(?1, ?2)"
                              " ON CONFLICT DO UPDATE SET note = excluded.note",
    [BLOCKS_PUT_SLOT] = "INSERT INTO slots(slot, bytes) VALUES(?1, ?2)"
                        " ON CONFLICT DO UPDATE SET bytes = excluded.bytes",
    [BLOCKS_REMOVE_SLOT] = "DELETE FROM slots WHERE slot = ?1",
    [BLOCKS_PUT_SENDER] = "INSERT INTO senders(name) VALUES(?1)",
    [BLOCKS_PUT_REQUEST] =
        "INSERT INTO requests(sender, number, height, idx) VALUES(?1, ?2, ?4, ?5)",
    [BLOCKS_PUT_INTERVAL] = "INSERT INTO intervals(gateway, from_n, to_n, height, idx, leaf)"
                            " VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
    [BLOCKS_PUT_RESOLVED] = "INSERT INTO resolved(gateway, n, height, idx, leaf)"
                            " VALUES(?1, ?2, ?4, ?5, ?6)",
    [BLOCKS_TIP] = "SELECT coalesce(max(height), 0) FROM headers",
    [BLOCKS_LOWEST] = "SELECT (SELECT coalesce(min(height), ?1) FROM headers),"
                      " (SELECT coalesce(min(height), ?1) FROM bodies)",
    [BLOCKS_TOTALS] = "SELECT all_requests, all_records, all_size FROM headers WHERE height = ?1",
    [BLOCKS_GET] = "SELECT header, body, certificate FROM headers JOIN bodies USING(height)"
                   " WHERE height = ?1",
    [BLOCKS_GET_HEADER] = "SELECT header, certificate FROM headers WHERE height = ?1",
    [BLOCKS_EACH] = "SELECT header, body, certificate, headers.height, header_hash, time_us,"
                    " requests, records, size, all_requests, all_records, all_size"
                    " FROM headers LEFT JOIN bodies USING(height)"
                    " WHERE headers.height >= ?1 AND headers.height <= ?2 ORDER BY headers.height",
    [BLOCKS_PUT_TILE] = "INSERT INTO tiles(level, at, hashes) VALUES(?1, ?2, ?3)",
    [BLOCKS_GET_TILE] = "SELECT hashes FROM tiles WHERE level = ?1 AND at = ?2",
    [BLOCKS_PUT_SNAPSHOT] = "INSERT INTO snapshots(height, manifest) VALUES(?1, ?2)",
    [BLOCKS_PUT_CHUNK] = "INSERT INTO chunks(height, at, entries) VALUES(?1, ?2, ?3)",
    [BLOCKS_SNAPSHOT_UNTIL] = "SELECT height, manifest FROM snapshots WHERE height <= ?1"
                              " ORDER BY height DESC LIMIT 1",
    [BLOCKS_GET_CHUNK] = "SELECT entries FROM chunks WHERE height = ?1 AND at = ?2",
    [BLOCKS_THIN_CHUNKS] = "DELETE FROM chunks WHERE height % ?1 != 0 AND height < ?2",
    [BLOCKS_PUT_META] = "INSERT INTO meta(key, value) VALUES(?1, ?2)",
    [BLOCKS_GET_META] = "SELECT value FROM meta WHERE key = ?1",
    [BLOCKS_PRUNE_BODIES] = "DELETE FROM bodies WHERE height < ?1",
    [BLOCKS_PRUNE_CHUNKS] = "DELETE FROM chunks WHERE height < ?1",
    [BLOCKS_PRUNE_SNAPSHOTS] = "DELETE FROM snapshots WHERE height < ?1",
    [BLOCKS_THIN_SNAPSHOTS] = "DELETE FROM snapshots WHERE height % ?1 != 0 AND height < ?2",
    [BLOCKS_NEWEST_CHECKPOINT] = "SELECT note FROM checkpoints ORDER BY size DESC LIMIT 1",
    [BLOCKS_CHECKPOINT_FROM] =
        "SELECT note FROM checkpoints WHERE size >= ?1 ORDER BY size LIMIT 1",
    [BLOCKS_GET_SLOT] = "SELECT bytes FROM slots WHERE slot = ?1",
    [BLOCKS_GET_SENDER] = "SELECT id FROM senders WHERE name = ?1",
    [BLOCKS_GET_REQUEST] =
        "SELECT height, idx, 0, number, number FROM requests WHERE sender = ?1 AND number = ?2",
    [BLOCKS_GET_INTERVAL] =
        "SELECT height, idx, leaf + min(?2, to_n) - from_n, to_n, from_n FROM intervals"
        " WHERE gateway = ?1 AND from_n <= ?2 ORDER BY from_n DESC LIMIT 1",
    [BLOCKS_GET_RESOLVED] =
        "SELECT height, idx, leaf, n, n FROM resolved WHERE gateway = ?1 AND n = ?2",
    [BLOCKS_COUNT_INDEX] = "SELECT (SELECT count(*) FROM requests),"
                           " (SELECT count(*) FROM intervals), (SELECT count(*) FROM resolved)",
};

/* ---- opening ---- */

/* Two processes that vote from one store could contradict each other: the folder is locked. */
static int lock_folder(struct block_store *store, const char *folder, char *why, size_t why_size)
{
    store->lock_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (store->lock_fd < 0) {
        int number = errno;
        store_why(why, why_size, "%s: %s", folder, strerror(number));
        return store_errno_error(number);
    }
    if (flock(store->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    if (errno == EWOULDBLOCK) {
        store_why(why, why_size, "%s is in use by another process: stop that first", folder);
        return SEALMQ_E_BUSY;
    }
    store_why(why, why_size, "%s cannot be locked: %s", folder, strerror(errno));
    return SEALMQ_E_IO;
}

/* What a store is made with. */
struct first_slot {
    int slot;
    struct bytes bytes; /* empty: no slot */
};

/* The genesis comes last: a store without it is none. */
static int put_first(struct block_store *store, sqlite3_stmt *put_genesis,
                     const struct hash *genesis, const struct first_slot *first)
{
    int error = db_begin(store->db);
    if (error != 0)
        return error;
    if (first->bytes.n != 0)
        error = block_store_put_slot(store, first->slot, first->bytes);
    db_bind_blob(put_genesis, 1, hash_bytes(genesis));
    if (error == 0)
        error = db_run(put_genesis);
    if (error == 0)
        error = db_commit(store->db);
    if (error != 0)
        db_rollback(store->db);
    return error;
}

/* Reads the genesis hash, or writes it into a store that was just made (`first` is not NULL). */
static int check_genesis(struct block_store *store, const struct first_slot *first,
                         const struct hash *genesis, char *why, size_t why_size)
{
    static const char *const sql[] = {"SELECT value FROM meta WHERE key = 'genesis'",
                                      "INSERT INTO meta(key, value) VALUES('genesis', ?1)"};
    sqlite3_stmt *statements[2];
    struct bytes recorded;
    int error = db_prepare_all(store->db, sql, statements, 2);
    if (error == 0)
        error = db_next(statements[0]);
    if (error == 0)
        error = db_column_blob(statements[0], 0, &recorded);
    if (error == 0 && !bytes_equal(recorded, hash_bytes(genesis)))
        error = SEALMQ_E_NETWORK;
    if (error == SEALMQ_E_NOTFOUND && first != NULL)
        error = put_first(store, statements[1], genesis, first);
    if (statements[0] != NULL)
        db_finalize_all(statements, 2);
    if (error == SEALMQ_E_NETWORK)
        store_why(why, why_size,
                  "%s is of another network: its genesis is not the one of this node. Name another "
                  "data folder",
                  store->path);
    else if (error != 0)
        store_why(why, why_size, "%s: %s", store->path, sealmq_error_text(error));
    return error == SEALMQ_E_NOTFOUND ? SEALMQ_E_CORRUPT : error;
}

static int open_database(struct block_store *store, enum block_store_mode mode,
                         const struct hash *genesis, const struct first_slot *first, char *why,
                         size_t why_size)
{
    static const enum db_mode modes[] = {
        [BLOCK_STORE_CREATE] = DB_CREATE,
        [BLOCK_STORE_WRITE] = DB_WRITE,
        [BLOCK_STORE_READ] = DB_READ,
    };
    int error = db_open(store->path, modes[mode], &blocks_kind, &store->db, why, why_size);
    if (error == 0) {
        error = db_prepare_all(store->db, blocks_sql, store->statements, BLOCKS_STATEMENTS);
        if (error != 0)
            (void)db_fail(store->db, sqlite3_extended_errcode(store->db), store->path, &blocks_kind,
                          why, why_size);
    }
    if (error == 0)
        error = check_genesis(store, first, genesis, why, why_size);
    return error;
}

static int open_store(const char *folder, enum block_store_mode mode, const struct hash *genesis,
                      const struct first_slot *first, struct block_store **out, char *why,
                      size_t why_size)
{
    *out = NULL;
    struct block_store *store = calloc(1, sizeof(*store));
    if (store == NULL) {
        store_why(why, why_size, "%s: %s", folder, sealmq_error_text(SEALMQ_E_NOMEM));
        return SEALMQ_E_NOMEM;
    }
    store->lock_fd = -1;
    int n = snprintf(store->path, sizeof(store->path), "%s/blocks.db", folder);
    int error = 0;
    if (n < 0 || (size_t)n >= sizeof(store->path)) {
        store_why(why, why_size, "the path of a folder is longer than %d bytes", PATH_SIZE - 16);
        error = SEALMQ_E_LIMIT;
    }
    if (error == 0 && mode != BLOCK_STORE_READ)
        error = lock_folder(store, folder, why, why_size);
    if (error == 0)
        error = open_database(store, mode, genesis, first, why, why_size);
    if (error != 0) {
        block_store_close(store);
        return error;
    }
    *out = store;
    return 0;
}

int block_store_open(const char *folder, enum block_store_mode mode, const struct hash *genesis,
                     struct block_store **out, char *why, size_t why_size)
{
    const struct first_slot none = {0};
    return open_store(folder, mode, genesis, mode == BLOCK_STORE_CREATE ? &none : NULL, out, why,
                      why_size);
}

int block_store_remake(const char *folder, const struct hash *genesis, int slot, struct bytes bytes,
                       struct block_store **out, char *why, size_t why_size)
{
    const struct first_slot first = {slot, bytes};
    return open_store(folder, BLOCK_STORE_CREATE, genesis, &first, out, why, why_size);
}

void block_store_close(struct block_store *store)
{
    if (store == NULL)
        return;
    db_finalize_all(store->statements, BLOCKS_STATEMENTS);
    db_close(store->db);
    if (store->lock_fd >= 0)
        close(store->lock_fd);
    free(store);
}

/* ---- writing ---- */

/* In WAL mode a commit appends to the log; FULL syncs it then, NORMAL does not. */
static int begin(struct block_store *store, bool is_lazy)
{
    if (is_lazy != store->is_lazy) {
        int error =
            db_exec(store->db, is_lazy ? "PRAGMA synchronous=NORMAL" : "PRAGMA synchronous=FULL");
        if (error != 0)
            return error;
        store->is_lazy = is_lazy;
    }
    return db_begin(store->db);
}

int block_store_begin(struct block_store *store)
{
    return begin(store, false);
}

int block_store_begin_lazy(struct block_store *store)
{
    return begin(store, true);
}

int block_store_sync(struct block_store *store)
{
    return db_sync_log(store->db);
}

int block_store_commit(struct block_store *store)
{
    return db_commit(store->db);
}

void block_store_rollback(struct block_store *store)
{
    db_rollback(store->db);
}

static int put_sender(struct block_store *store, struct bytes sender, uint64_t *out)
{
    int error = blocks_sender(store, sender, out);
    if (error != SEALMQ_E_NOTFOUND)
        return error;
    db_bind_text(store->statements[BLOCKS_PUT_SENDER], 1, sender);
    error = db_run(store->statements[BLOCKS_PUT_SENDER]);
    *out = (uint64_t)sqlite3_last_insert_rowid(store->db);
    return error;
}

static int put_index_row(void *context, const struct blocks_index_row *row)
{
    static const enum blocks_statement puts[INDEX_TABLES] = {
        [INDEX_REQUEST] = BLOCKS_PUT_REQUEST,
        [INDEX_INTERVAL] = BLOCKS_PUT_INTERVAL,
        [INDEX_RESOLVED] = BLOCKS_PUT_RESOLVED,
    };
    struct block_store *store = context;
    uint64_t sender;
    int error = put_sender(store, row->sender, &sender);
    if (error != 0)
        return error;
    sqlite3_stmt *put = store->statements[puts[row->table]];
    db_bind_u64(put, 1, sender);
    db_bind_u64(put, 2, row->first);
    if (row->table == INDEX_INTERVAL)
        db_bind_u64(put, 3, row->last);
    db_bind_u64(put, 4, row->height);
    db_bind_u64(put, 5, row->index);
    if (row->table != INDEX_REQUEST)
        db_bind_u64(put, 6, row->leaf);
    return db_run(put);
}

/* The header's row; `records`, and `size` of the body, are 0 of a block whose body is not here. */
int blocks_put_header(struct block_store *store, const struct blocks_row *row)
{
    sqlite3_stmt *put = store->statements[BLOCKS_PUT_HEADER];
    const struct block_header *header = row->header;
    db_bind_u64(put, 1, header->height);
    db_bind_blob(put, 2, hash_bytes(row->hash));
    db_bind_blob(put, 3, row->header_wire);
    db_bind_blob(put, 4, row->certificate);
    sqlite3_bind_int64(put, 5, header->time_us);
    db_bind_u64(put, 6, header->requests);
    db_bind_u64(put, 7, row->records);
    db_bind_u64(put, 8, row->size);
    db_bind_u64(put, 9, row->all.requests);
    db_bind_u64(put, 10, row->all.records);
    db_bind_u64(put, 11, row->all.bytes);
    return db_run(put);
}

void blocks_totals_add(struct block_store_totals *totals, uint32_t requests, uint64_t records,
                       size_t size)
{
    totals->requests += requests;
    totals->records += records;
    totals->bytes += size;
}

int block_store_put_block(struct block_store *store, struct bytes block_wire,
                          struct bytes certificate)
{
    struct block block;
    uint64_t tip = 0;
    struct blocks_row row = {.header = &block.header, .hash = &block.hash};
    int error = block_decode(block_wire, &block);
    if (error == 0)
        error = block_store_tip(store, &tip);
    if (error == 0 && block.header.height != tip + 1)
        error = SEALMQ_E_CONFLICT;
    if (error == 0 && certificate.n > DB_LENGTH_MAX)
        error = SEALMQ_E_LIMIT;
    if (error == 0)
        error = block_store_totals(store, &row.all);
    if (error == 0)
        error = blocks_index_walk(&block, put_index_row, store, &row.records);
    if (error != 0)
        return error;
    size_t front = 2 + block.header_wire.n; /* the header, with its length before it */
    struct bytes body = bytes_of(block_wire.p + front, block_wire.n - front);
    row.header_wire = block.header_wire;
    row.certificate = certificate;
    row.size = body.n;
    blocks_totals_add(&row.all, block.request_count, row.records, row.size);
    error = blocks_put_header(store, &row);
    if (error != 0)
        return error;
    db_bind_u64(store->statements[BLOCKS_PUT_BODY], 1, block.header.height);
    db_bind_blob(store->statements[BLOCKS_PUT_BODY], 2, body);
    error = db_run(store->statements[BLOCKS_PUT_BODY]);
    return error != 0 ? error : blocks_put_tiles(store, block.header.height);
}

int block_store_put_checkpoint(struct block_store *store, uint64_t size, struct bytes note)
{
    if (size > INT64_MAX)
        return SEALMQ_E_ARG;
    if (note.n > DB_LENGTH_MAX)
        return SEALMQ_E_LIMIT;
    sqlite3_stmt *put = store->statements[BLOCKS_PUT_CHECKPOINT];
    db_bind_u64(put, 1, size);
    db_bind_text(put, 2, note);
    return db_run(put);
}

int block_store_put_slot(struct block_store *store, int slot, struct bytes bytes)
{
    if (slot < 0 || slot >= BLOCK_STORE_SLOTS)
        return SEALMQ_E_ARG;
    if (bytes.n > DB_LENGTH_MAX)
        return SEALMQ_E_LIMIT;
    sqlite3_stmt *put = store->statements[bytes.n == 0 ? BLOCKS_REMOVE_SLOT : BLOCKS_PUT_SLOT];
    db_bind_u64(put, 1, (uint64_t)slot);
    if (bytes.n != 0)
        db_bind_blob(put, 2, bytes);
    return db_run(put);
}
