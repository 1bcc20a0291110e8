/* For each file: what is synced, and every change since. The file itself always holds both. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "disk.h"
#include "folder.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILES 16

/* A write, or a truncation to `at` (bytes NULL). */
struct change {
    uint64_t at;
    size_t n;
    uint8_t *bytes;
};

struct disk_file {
    char path[600];
    bool is_there, was_there; /* now, and as the folder was synced */
    uint8_t *synced;
    size_t synced_n;
    struct change *changes;
    size_t change_count;
};

struct handle {
    sqlite3_file base;
    struct disk_file *file; /* NULL: a temporary one */
    sqlite3_file *real;     /* behind this struct */
};

static sqlite3_vfs *real_vfs;
static sqlite3_vfs vfs;
static sqlite3_io_methods methods;
static struct disk_file files[FILES];
static unsigned (*draw)(unsigned below);
static unsigned left; /* operations until the power fails; 0: it does not */
static bool is_cut;

/* Whether there is power when the operation begins, and when it ends. */
static bool power_begins(void)
{
    return !is_cut;
}

static bool power_ends(void)
{
    is_cut = is_cut || (left != 0 && --left == 0);
    return !is_cut;
}

/* ---- what is on the disk ---- */

static struct disk_file *file_of(const char *path)
{
    for (size_t i = 0; i < FILES; i++) {
        if (strcmp(files[i].path, path) == 0)
            return &files[i];
        if (files[i].path[0] == '\0') {
            assert_true(strlen(path) < sizeof(files[i].path));
            strcpy(files[i].path, path);
            return &files[i];
        }
    }
    fail_msg("more than %d files", FILES);
    return NULL;
}

static void apply(struct disk_file *file, uint64_t at, const uint8_t *bytes, size_t n)
{
    size_t end = (size_t)at + n;
    if (bytes == NULL || end > file->synced_n) {
        file->synced = realloc(file->synced, end + 1);
        assert_non_null(file->synced);
        if (end > file->synced_n)
            memset(file->synced + file->synced_n, 0, end - file->synced_n);
        file->synced_n = end;
    }
    if (bytes != NULL)
        memcpy(file->synced + at, bytes, n);
}

static void add_change(struct disk_file *file, uint64_t at, const void *bytes, size_t n)
{
    file->changes = realloc(file->changes, (file->change_count + 1) * sizeof(*file->changes));
    assert_non_null(file->changes);
    struct change *change = &file->changes[file->change_count++];
    *change = (struct change){at, n, NULL};
    if (bytes != NULL) {
        change->bytes = malloc(n);
        assert_non_null(change->bytes);
        memcpy(change->bytes, bytes, n);
    }
}

static void forget_changes(struct disk_file *file)
{
    for (size_t i = 0; i < file->change_count; i++)
        free(file->changes[i].bytes);
    free(file->changes);
    file->changes = NULL;
    file->change_count = 0;
}

static void sync_folder(void)
{
    for (size_t i = 0; i < FILES; i++)
        files[i].was_there = files[i].is_there;
}

static void sync_file(struct disk_file *file)
{
    for (size_t i = 0; i < file->change_count; i++)
        apply(file, file->changes[i].at, file->changes[i].bytes, file->changes[i].n);
    forget_changes(file);
    /* As SQLite does with logs and journals, which it makes before it writes elsewhere. */
    if (!file->was_there && file->is_there)
        sync_folder();
}

static void apply_some(struct disk_file *file, unsigned percent)
{
    for (size_t i = 0; i < file->change_count; i++) {
        const struct change *change = &file->changes[i];
        if (draw(100) >= percent)
            continue;
        size_t from = 0, to = change->n;
        if (change->n > 1 && draw(6) == 0) { /* torn: its beginning, or its end */
            size_t at = draw((unsigned)change->n);
            at = draw(2) == 0 && change->n > 512 ? at / 512 * 512 : at;
            if (draw(2) == 0)
                from = at;
            else
                to = at;
        }
        if (change->bytes == NULL || to > from)
            apply(file, change->at + from, change->bytes == NULL ? NULL : change->bytes + from,
                  to - from);
    }
    forget_changes(file);
}

static void restart_file(struct disk_file *file, enum disk_loss loss, unsigned percent)
{
    bool is_there = file->was_there;
    if (loss == DISK_LOSES_SOME) {
        if (file->is_there != file->was_there && draw(2) == 0)
            is_there = file->is_there;
        apply_some(file, percent);
    }
    forget_changes(file);
    if (is_there)
        put_file(file->path, (struct bytes){file->synced, file->synced_n}, 0600);
    else
        (void)unlink(file->path);
    file->is_there = is_there;
}

void disk_restart(enum disk_loss loss)
{
    unsigned percent = draw(101);
    for (size_t i = 0; i < FILES && files[i].path[0] != '\0'; i++) {
        char shared[sizeof(files[i].path) + 8];
        int n = snprintf(shared, sizeof(shared), "%s-shm", files[i].path);
        assert_true(n > 0 && (size_t)n < sizeof(shared));
        if (loss == DISK_LOSES_NOTHING) {
            sync_file(&files[i]);
            continue;
        }
        (void)unlink(shared);
        restart_file(&files[i], loss, percent);
    }
    sync_folder();
    left = 0;
    is_cut = false;
}

void disk_forget(void)
{
    for (size_t i = 0; i < FILES; i++) {
        forget_changes(&files[i]);
        free(files[i].synced);
        files[i] = (struct disk_file){0};
    }
    left = 0;
    is_cut = false;
}

void disk_cut_in(unsigned operations)
{
    left = operations;
}

bool disk_is_cut(void)
{
    return is_cut;
}

/* ---- SQLite's view ---- */

static struct handle *handle_of(sqlite3_file *file)
{
    return (struct handle *)file;
}

#define REAL(file)         (handle_of(file)->real)
#define CALL(file, method) REAL(file)->pMethods->method

static int disk_close(sqlite3_file *file)
{
    return CALL(file, xClose)(REAL(file));
}

static int disk_read(sqlite3_file *file, void *out, int n, sqlite3_int64 at)
{
    return CALL(file, xRead)(REAL(file), out, n, at);
}

static int disk_write(sqlite3_file *file, const void *bytes, int n, sqlite3_int64 at)
{
    if (handle_of(file)->file == NULL)
        return CALL(file, xWrite)(REAL(file), bytes, n, at);
    if (!power_begins())
        return SQLITE_IOERR_WRITE;
    int code = CALL(file, xWrite)(REAL(file), bytes, n, at);
    assert_int_equal(code, SQLITE_OK);
    add_change(handle_of(file)->file, (uint64_t)at, bytes, (size_t)n);
    return power_ends() ? SQLITE_OK : SQLITE_IOERR_WRITE;
}

static int disk_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    if (handle_of(file)->file == NULL)
        return CALL(file, xTruncate)(REAL(file), size);
    if (!power_begins())
        return SQLITE_IOERR_TRUNCATE;
    int code = CALL(file, xTruncate)(REAL(file), size);
    assert_int_equal(code, SQLITE_OK);
    add_change(handle_of(file)->file, (uint64_t)size, NULL, 0);
    return power_ends() ? SQLITE_OK : SQLITE_IOERR_TRUNCATE;
}

/* The real file is not synced: the tests lose nothing but by this disk. */
static int disk_sync(sqlite3_file *file, int flags)
{
    (void)flags;
    if (handle_of(file)->file == NULL)
        return SQLITE_OK;
    if (!power_begins() || !power_ends())
        return SQLITE_IOERR_FSYNC;
    sync_file(handle_of(file)->file);
    return SQLITE_OK;
}

static int disk_size(sqlite3_file *file, sqlite3_int64 *out)
{
    return CALL(file, xFileSize)(REAL(file), out);
}

static int disk_lock(sqlite3_file *file, int level)
{
    return CALL(file, xLock)(REAL(file), level);
}

static int disk_unlock(sqlite3_file *file, int level)
{
    return CALL(file, xUnlock)(REAL(file), level);
}

static int disk_is_reserved(sqlite3_file *file, int *out)
{
    return CALL(file, xCheckReservedLock)(REAL(file), out);
}

static int disk_control(sqlite3_file *file, int what, void *value)
{
    return CALL(file, xFileControl)(REAL(file), what, value);
}

static int disk_sector(sqlite3_file *file)
{
    return CALL(file, xSectorSize)(REAL(file));
}

static int disk_traits(sqlite3_file *file)
{
    return CALL(file, xDeviceCharacteristics)(REAL(file));
}

static int disk_map(sqlite3_file *file, int region, int size, int extend, void volatile **out)
{
    return CALL(file, xShmMap)(REAL(file), region, size, extend, out);
}

static int disk_shared_lock(sqlite3_file *file, int at, int n, int flags)
{
    return CALL(file, xShmLock)(REAL(file), at, n, flags);
}

static void disk_barrier(sqlite3_file *file)
{
    CALL(file, xShmBarrier)(REAL(file));
}

static int disk_unmap(sqlite3_file *file, int remove)
{
    return CALL(file, xShmUnmap)(REAL(file), remove);
}

static int disk_open(sqlite3_vfs *self, const char *path, sqlite3_file *out, int flags, int *given)
{
    (void)self;
    struct handle *handle = handle_of(out);
    *handle = (struct handle){.real = (sqlite3_file *)(handle + 1)};
    bool is_new = path != NULL && access(path, F_OK) != 0;
    if (is_new && (flags & SQLITE_OPEN_CREATE) != 0 && !power_begins())
        return SQLITE_CANTOPEN;
    int code = real_vfs->xOpen(real_vfs, path, handle->real, flags, given);
    if (code != SQLITE_OK)
        return code;
    handle->base.pMethods = &methods;
    if (path == NULL)
        return SQLITE_OK;
    handle->file = file_of(path);
    if (is_new)
        add_change(handle->file, 0, NULL, 0);
    handle->file->is_there = true;
    return SQLITE_OK;
}

static int disk_delete(sqlite3_vfs *self, const char *path, int sync)
{
    (void)self;
    if (!power_begins())
        return SQLITE_IOERR_DELETE;
    int code = real_vfs->xDelete(real_vfs, path, 0);
    if (code != SQLITE_OK)
        return code;
    file_of(path)->is_there = false;
    if (!power_ends())
        return SQLITE_IOERR_DELETE;
    if (sync != 0)
        sync_folder();
    return SQLITE_OK;
}

void disk_install(unsigned (*numbers)(unsigned below))
{
    draw = numbers;
    real_vfs = sqlite3_vfs_find(NULL);
    assert_non_null(real_vfs);
    methods = (sqlite3_io_methods){
        2,           disk_close, disk_read,        disk_write,       disk_truncate, disk_sync,
        disk_size,   disk_lock,  disk_unlock,      disk_is_reserved, disk_control,  disk_sector,
        disk_traits, disk_map,   disk_shared_lock, disk_barrier,     disk_unmap,    NULL,
        NULL,
    };
    vfs = *real_vfs; /* what is not here is as it is there, by its own pAppData */
    vfs.pNext = NULL;
    vfs.zName = "disk";
    vfs.szOsFile = (int)sizeof(struct handle) + real_vfs->szOsFile;
    vfs.xOpen = disk_open;
    vfs.xDelete = disk_delete;
    assert_int_equal(sqlite3_vfs_register(&vfs, 1), SQLITE_OK);
}
