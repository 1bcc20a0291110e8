#include "net/unix_socket.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int fail(char *why, size_t why_size, const char *path, const char *words)
{
    snprintf(why, why_size, "%s: %s", path, words);
    return SEALMQ_E_IO;
}

/* Whether the path is free for us: nothing is there, or a socket that nobody listens on (removed
 * here). Words about what is in the way, or NULL. */
static const char *make_way(const struct sockaddr_un *address)
{
    struct stat status;
    if (lstat(address->sun_path, &status) != 0)
        return errno == ENOENT ? NULL : strerror(errno);
    if (!S_ISSOCK(status.st_mode))
        return "there is a file of this name that is no socket";
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return strerror(errno);
    bool is_refused = connect(fd, (const struct sockaddr *)address, sizeof(*address)) != 0 &&
                      errno == ECONNREFUSED;
    close(fd);
    if (!is_refused)
        return strerror(EADDRINUSE);
    return unlink(address->sun_path) != 0 && errno != ENOENT ? strerror(errno) : NULL;
}

int unix_socket_bind(const char *path, unsigned mode, int backlog, struct unix_socket *out, int *fd,
                     char *why, size_t why_size)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat status;
    if (path[0] == '\0' || strlen(path) >= sizeof(address.sun_path)) {
        (void)fail(why, why_size, path, "the path of a Unix socket has 1 to 107 bytes");
        return SEALMQ_E_ARG;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    const char *words = make_way(&address);
    if (words != NULL)
        return fail(why, why_size, path, words);
    *fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (*fd < 0)
        return fail(why, why_size, path, strerror(errno));
    if (bind(*fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        (void)fail(why, why_size, path, strerror(errno));
        close(*fd);
        return SEALMQ_E_IO;
    }
    /* Before it listens nobody can connect, whatever the umask was. */
    if (chmod(path, (mode_t)mode) != 0 || lstat(path, &status) != 0 || listen(*fd, backlog) != 0) {
        (void)fail(why, why_size, path, strerror(errno));
        unlink(path);
        close(*fd);
        return SEALMQ_E_IO;
    }
    *out = (struct unix_socket){.device = status.st_dev, .inode = status.st_ino};
    return 0;
}

void unix_socket_remove(const char *path, const struct unix_socket *socket)
{
    struct stat status;
    if (lstat(path, &status) == 0 && status.st_dev == socket->device &&
        status.st_ino == socket->inode)
        unlink(path);
}

int unix_socket_uid(int fd, uint32_t *out)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);
    *out = UINT32_MAX; /* nobody */
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
        return SEALMQ_E_IO;
    *out = peer.uid;
    return 0;
}
