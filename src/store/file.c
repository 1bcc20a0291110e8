/* Whole files. A file is replaced by writing another beside it and renaming that over it, so a
 * crash leaves the old or the new one; what a crash can leave besides is a file whose name is the
 * path, a dot and six characters. */
#include "store/file.h"

#include "store/store_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_STEP 65536 /* where the size is not known beforehand */

int store_errno_error(int number)
{
    switch (number) {
    case ENOENT:
    case ENOTDIR:
        return SEALMQ_E_NOTFOUND;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return SEALMQ_E_FULL;
    case ENOMEM:
        return SEALMQ_E_NOMEM;
    case EEXIST:
        return SEALMQ_E_EXISTS;
    default:
        return SEALMQ_E_IO;
    }
}

/* Says what the system says about `path`; gives the error of `number`. */
static int system_error(int number, const char *path, const char *what, char *why, size_t why_size)
{
    store_why(why, why_size, "%s: %s: %s", path, what, strerror(number));
    return store_errno_error(number);
}

static int read_step(int fd, uint8_t *p, size_t n, size_t *got)
{
    for (;;) {
        ssize_t r = read(fd, p, n);
        if (r >= 0) {
            *got = (size_t)r;
            return 0;
        }
        if (errno != EINTR)
            return errno;
    }
}

/* Reads to the end of the file, but at most `most` + 1 bytes. Returns an errno; want of memory
 * shows in the buffer. */
static int read_all(int fd, size_t expected, size_t most, struct buf *out)
{
    size_t start = out->n;
    for (;;) {
        size_t have = out->n - start;
        size_t room = have < expected ? expected - have : READ_STEP;
        if (room > most - have)
            room = most - have + 1; /* one more, to notice that the file is too long */
        uint8_t *p = buf_extend(out, room);
        if (p == NULL)
            return 0;
        size_t got = 0;
        int number = read_step(fd, p, room, &got);
        out->n -= room - got;
        if (number != 0 || got == 0 || out->n - start > most)
            return number;
    }
}

int store_read_open(int fd, const char *path, size_t most, struct buf *out, char *why,
                    size_t why_size)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return system_error(errno, path, "cannot be read", why, why_size);
    if (S_ISDIR(status.st_mode)) {
        store_why(why, why_size, "%s is a folder, not a file", path);
        return SEALMQ_E_IO;
    }
    if (most == SIZE_MAX)
        most--;
    size_t expected =
        S_ISREG(status.st_mode) && status.st_size >= 0 && (uint64_t)status.st_size < most
            ? (size_t)status.st_size + 1
            : 0;
    size_t start = out->n;
    int number = read_all(fd, expected, most, out);
    int error = buf_status(out);
    if (number != 0)
        error = system_error(number, path, "cannot be read", why, why_size);
    else if (error != 0)
        store_why(why, why_size, "%s: %s", path, sealmq_error_text(error));
    else if (out->n - start > most) {
        error = SEALMQ_E_LIMIT;
        store_why(why, why_size, "%s is longer than the %zu bytes it may have", path, most);
    }
    if (error != 0)
        out->n = start;
    return error;
}

int file_read(const char *path, size_t most, struct buf *out, char *why, size_t why_size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return system_error(errno, path, "cannot be read", why, why_size);
    int error = store_read_open(fd, path, most, out, why, why_size);
    close(fd);
    return error;
}

/* The folder that holds `path`, in `out` (capacity PATH_SIZE). */
static int folder_of(const char *path, char *out)
{
    const char *slash = strrchr(path, '/');
    size_t n = slash == NULL ? 0 : (size_t)(slash - path);
    if (slash == path)
        n = 1; /* "/" itself */
    if (n >= PATH_SIZE)
        return SEALMQ_E_LIMIT;
    memcpy(out, path, n);
    out[n] = '\0';
    if (slash == NULL)
        memcpy(out, ".", 2);
    return 0;
}

/* Makes names that were added to or changed in a folder durable. Returns an errno. */
static int sync_folder(const char *folder)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    int number = fsync(fd) == 0 ? 0 : errno;
    close(fd);
    /* Some file systems cannot sync a folder; there is nothing that could be done better. */
    return number == EINVAL || number == ENOTSUP ? 0 : number;
}

static int write_all(int fd, struct bytes content)
{
    while (content.n > 0) {
        ssize_t r = write(fd, content.p, content.n);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return errno;
        content.p += r;
        content.n -= (size_t)r;
    }
    return 0;
}

/* Gives the open file its content, mode and, where it replaces a file, that one's owner: a
 * service's file must stay its own when root changes it. Returns an errno. */
static int fill(int fd, const char *path, struct bytes content, unsigned mode)
{
    struct stat old;
    if (stat(path, &old) == 0 && (old.st_uid != geteuid() || old.st_gid != getegid()) &&
        fchown(fd, old.st_uid, old.st_gid) != 0 && errno != EPERM)
        return errno;
    int number = write_all(fd, content);
    if (number == 0 && fchmod(fd, (mode_t)mode) != 0)
        number = errno;
    if (number == 0 && fsync(fd) != 0)
        number = errno;
    return number;
}

/* Gives the file its name. Returns an errno. */
static int place(const char *temporary, const char *path, bool exclusive)
{
    if (!exclusive)
        return rename(temporary, path) == 0 ? 0 : errno;
    if (renameat2(AT_FDCWD, temporary, AT_FDCWD, path, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return errno;
    /* A file system that does not know this kind of renaming has links. */
    if (link(temporary, path) != 0)
        return errno;
    unlink(temporary);
    return 0;
}

int file_write(const char *path, struct bytes content, unsigned mode, bool exclusive, char *why,
               size_t why_size)
{
    char temporary[PATH_SIZE], folder[PATH_SIZE];
    int n = snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path);
    if (n < 0 || (size_t)n >= sizeof(temporary) || folder_of(path, folder) != 0) {
        store_why(why, why_size, "the path of a file is longer than %d bytes", PATH_SIZE - 8);
        return SEALMQ_E_LIMIT;
    }
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return system_error(errno, path, "cannot be written", why, why_size);
    int number = fill(fd, path, content, mode);
    if (close(fd) != 0 && number == 0)
        number = errno;
    if (number == 0)
        number = place(temporary, path, exclusive);
    if (number != 0) {
        unlink(temporary);
        return system_error(number, path, "cannot be written", why, why_size);
    }
    number = sync_folder(folder);
    return number == 0 ? 0 : system_error(number, folder, "cannot be synced", why, why_size);
}

int file_beside(const char *base_file, const char *path, char out[PATH_SIZE])
{
    const char *slash = strrchr(base_file, '/');
    size_t front = path[0] == '/' || slash == NULL ? 0 : (size_t)(slash - base_file) + 1;
    size_t n = strlen(path);
    if (front + n >= PATH_SIZE) {
        out[0] = '\0';
        return SEALMQ_E_LIMIT;
    }
    memcpy(out, base_file, front);
    memcpy(out + front, path, n + 1);
    return 0;
}

/* Makes one folder whose parent exists. Returns an errno. */
static int make_one(const char *path)
{
    if (mkdir(path, 0750) == 0) {
        char parent[PATH_SIZE];
        return folder_of(path, parent) == 0 ? sync_folder(parent) : 0;
    }
    if (errno != EEXIST && errno != EROFS && errno != EACCES)
        return errno;
    int number = errno;
    struct stat status;
    if (stat(path, &status) != 0)
        return number;
    return S_ISDIR(status.st_mode) ? 0 : ENOTDIR;
}

int folder_make(const char *path, char *why, size_t why_size)
{
    char part[PATH_SIZE];
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    if (n == 0 || n >= sizeof(part)) {
        store_why(why, why_size, "the path of a folder is empty or longer than %d bytes",
                  PATH_SIZE - 1);
        return SEALMQ_E_LIMIT;
    }
    memcpy(part, path, n);
    part[n] = '\0';
    for (size_t i = 1; i <= n; i++) {
        if (i != n && part[i] != '/')
            continue;
        char kept = part[i];
        part[i] = '\0';
        int number = make_one(part);
        if (number == ENOTDIR) {
            store_why(why, why_size, "%s is not a folder", part);
            return SEALMQ_E_IO;
        }
        if (number != 0)
            return system_error(number, part, "cannot be made", why, why_size);
        part[i] = kept;
    }
    return 0;
}
