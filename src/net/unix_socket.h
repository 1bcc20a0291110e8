/* A listening Unix socket and its file. */
#ifndef SEALMQ_NET_UNIX_SOCKET_H
#define SEALMQ_NET_UNIX_SOCKET_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Which file it is, so that only our own is removed. */
struct unix_socket {
    dev_t device;
    ino_t inode;
};

/* Binds and listens. A socket file on which nobody listens any more is replaced. SEALMQ_E_IO with
 * words when somebody does, or when something else is there; SEALMQ_E_ARG: the path is too long. */
SEALMQ_MUST_CHECK int unix_socket_bind(const char *path, unsigned mode, int backlog,
                                       struct unix_socket *out, int *fd, char *why,
                                       size_t why_size);
void unix_socket_remove(const char *path, const struct unix_socket *socket);

/* The user at the other end. SEALMQ_E_IO. */
SEALMQ_MUST_CHECK int unix_socket_uid(int fd, uint32_t *out);

#endif
