/* What a listener needs for TLS: certificate, key, authorities, revocation lists, pre-shared keys.
 *
 * A net_tls is made from files, checked as a whole, and never changes; to renew certificates a new
 * one is made and given to the listener (net_server_set_tls), while connections keep the one they
 * began with. Counted references; everything here may be called from any thread. */
#ifndef SEALMQ_NET_TLS_H
#define SEALMQ_NET_TLS_H

#include "base/bytes.h"

struct net_tls;

enum net_tls_version { NET_TLS_1_2, NET_TLS_1_3 };

/* What of a client's certificate becomes the identity of its connection. */
enum net_tls_identity {
    NET_TLS_IDENTITY_NONE,
    NET_TLS_IDENTITY_COMMON_NAME, /* of the subject; there must be exactly one */
    NET_TLS_IDENTITY_SUBJECT      /* all of it, as RFC 2253 writes it: "CN=pump,O=Plant" */
};

/* A further certificate, for clients that ask for this server name (SNI). */
struct net_tls_name {
    const char *name; /* "broker.example.org", or "*.example.org" for one more label */
    const char *cert_file, *key_file;
};

/* File names of PEM files, borrowed for the call. NULL where a thing is not wanted. */
struct net_tls_options {
    const char *cert_file; /* the server's certificate, then its chain; NULL only with psk_file */
    const char *key_file;
    const char *ca_file;  /* who may sign clients' certificates; without it none is asked for */
    const char *crl_file; /* revoked ones; needs a list of each authority that signs clients */
    const char *psk_file; /* lines "identity:hexadecimal key"; '#' begins a comment */
    const char *psk_hint; /* told to clients of TLS 1.2 */
    enum net_tls_version min_version;
    const char *ciphers;            /* TLS 1.2, OpenSSL's syntax; NULL: OpenSSL's default */
    const char *ciphersuites;       /* TLS 1.3, the same */
    bool require_certificate;       /* needs ca_file; not with psk_file */
    enum net_tls_identity identity; /* needs ca_file unless NONE */
    const struct net_tls_name *names;
    size_t name_count;
};

/* SEALMQ_E_CONFIG with words in `why` that name the file and what is wrong with it; SEALMQ_E_IO
 * when one cannot be read; SEALMQ_E_NOMEM. The caller has the first reference. */
SEALMQ_MUST_CHECK int net_tls_new(const struct net_tls_options *options, struct net_tls **out,
                                  char *why, size_t why_size);
struct net_tls *net_tls_ref(struct net_tls *tls);
void net_tls_unref(struct net_tls *tls); /* NULL is fine */

#endif
