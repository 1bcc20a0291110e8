/* Inside of TLS: what a net_tls holds, and one connection's session. */
#ifndef SEALMQ_NET_TLS_INT_H
#define SEALMQ_NET_TLS_INT_H

#include "net/server.h"
#include "net/tls.h"

#include <openssl/ssl.h>
#include <stdatomic.h>

#define TLS_PSK_MAX 64 /* bytes of a pre-shared key */

/* A further certificate, by the name that the client asks for, in small letters. */
struct tls_name {
    char *name;
    SSL_CTX *context;
};

struct net_tls {
    atomic_uint references;
    SSL_CTX *context;
    struct tls_name *names;
    size_t name_count;
    struct tls_psks *psks; /* or NULL */
    enum net_tls_identity identity;
};

/* tls_psk.c: the keys of one file. */
struct tls_psks;
SEALMQ_MUST_CHECK int tls_psks_load(const char *path, struct tls_psks **out, char *why,
                                    size_t why_size);
void tls_psks_free(struct tls_psks *psks); /* wipes the keys */
/* The key of that name, borrowed; empty when there is none. */
struct bytes tls_psks_find(const struct tls_psks *psks, struct bytes identity);

/* tls_session.c: one connection, without a socket: bytes in, bytes out. */
struct tls_session {
    SSL *ssl;
    struct net_tls *tls;
    struct bytes in;   /* during a read: what OpenSSL has not taken */
    struct buf *out;   /* during a call: where it writes to */
    char *psk_offered; /* the name that the last key was given out for */
    char *identity;    /* of the peer, when the handshake is done and there is one */
    enum net_identity kind;
    bool is_websocket; /* decides which ALPN name is ours */
    bool is_established;
    bool is_broken; /* after a fatal error: OpenSSL must not be asked to write any more */
};

SEALMQ_MUST_CHECK int tls_session_init(struct tls_session *session, struct net_tls *tls,
                                       bool is_websocket);
void tls_session_close(struct tls_session *session);
/* Takes all of `in`, gives what it holds to `to` (room for in.n bytes and one record more), *n of
 * it, and appends to `out` what the peer is to get. 0; SEALMQ_E_CLOSED after close_notify;
 * SEALMQ_E_PROTOCOL, SEALMQ_E_DENIED with words. */
#define TLS_RECORD_MAX 16384
SEALMQ_MUST_CHECK int tls_session_read(struct tls_session *session, struct bytes in, uint8_t *to,
                                       size_t room, size_t *n, struct buf *out, char *why,
                                       size_t why_size);
SEALMQ_MUST_CHECK int tls_session_write(struct tls_session *session, struct bytes plain,
                                        struct buf *out);
/* Appends close_notify. */
void tls_session_end(struct tls_session *session, struct buf *out);

/* For the callbacks of a context. */
struct tls_session *tls_session_of(SSL *ssl);

#endif
