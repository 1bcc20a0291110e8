/* Making a net_tls: one OpenSSL context for the listener, and one for each further server name.
 *
 * What is decided here for all: TLS 1.2 at least, no compression, no renegotiation, buffers given
 * back when idle, tickets for resumption but no cache (nothing is kept for strangers). With
 * pre-shared keys there are no tickets either: a session that was resumed would not say whose it
 * is. Tickets die with the context, so that a reload also ends what a revoked client might resume.
 */
#include "net/tls_int.h"

#include "base/assert.h"
#include "base/log.h"

#include <ctype.h>
#include <errno.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define TLS_LOG         "tls"
#define TLS_TICKET_S    3600
#define SESSION_IDS_OF  "sealmq"
#define SERVER_NAME_MAX 255

/* What OpenSSL says, about `what`. */
static int refuse(char *why, size_t why_size, const char *what)
{
    unsigned long code = ERR_peek_error();
    const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;
    snprintf(why, why_size, "%s: %s", what, reason != NULL ? reason : "not accepted");
    ERR_clear_error();
    return SEALMQ_E_CONFIG;
}

static int check_readable(const char *path, char *why, size_t why_size)
{
    if (access(path, R_OK) == 0)
        return 0;
    snprintf(why, why_size, "%s: %s", path, strerror(errno));
    return SEALMQ_E_IO;
}

/* Instead of asking at a terminal. */
static int no_passphrase(char *out, int size, int is_writing, void *context)
{
    (void)out;
    (void)size;
    (void)is_writing;
    (void)context;
    return -1;
}

static void warn_of_files(const char *key_file, SSL_CTX *context)
{
    struct stat status;
    X509 *cert = SSL_CTX_get0_certificate(context);
    if (stat(key_file, &status) == 0 && (status.st_mode & S_IRWXO) != 0)
        log_warn(TLS_LOG, "%s: everybody may read this key; chmod o= would keep it", key_file);
    if (cert != NULL && X509_cmp_current_time(X509_get0_notAfter(cert)) < 0)
        log_warn(TLS_LOG, "the certificate that belongs to %s has expired", key_file);
}

static int load_certificate(SSL_CTX *context, const char *cert_file, const char *key_file,
                            char *why, size_t why_size)
{
    if (key_file == NULL) {
        snprintf(why, why_size, "%s: a key file is needed with it", cert_file);
        return SEALMQ_E_CONFIG;
    }
    int e = check_readable(cert_file, why, why_size);
    if (e == 0)
        e = check_readable(key_file, why, why_size);
    if (e != 0)
        return e;
    if (SSL_CTX_use_certificate_chain_file(context, cert_file) != 1)
        return refuse(why, why_size, cert_file);
    if (SSL_CTX_use_PrivateKey_file(context, key_file, SSL_FILETYPE_PEM) != 1)
        return refuse(why, why_size, key_file);
    if (SSL_CTX_check_private_key(context) != 1)
        return refuse(why, why_size, key_file);
    warn_of_files(key_file, context);
    return 0;
}

static int load_authorities(SSL_CTX *context, const struct net_tls_options *options, char *why,
                            size_t why_size)
{
    int e = check_readable(options->ca_file, why, why_size);
    if (e == 0 && options->crl_file != NULL)
        e = check_readable(options->crl_file, why, why_size);
    if (e != 0)
        return e;
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(options->ca_file);
    if (names == NULL || SSL_CTX_load_verify_file(context, options->ca_file) != 1) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        return refuse(why, why_size, options->ca_file);
    }
    SSL_CTX_set_client_CA_list(context, names);
    if (options->crl_file != NULL) {
        X509_STORE *store = SSL_CTX_get_cert_store(context);
        X509_LOOKUP *lookup = X509_STORE_add_lookup(store, X509_LOOKUP_file());
        if (lookup == NULL || X509_load_crl_file(lookup, options->crl_file, X509_FILETYPE_PEM) <= 0)
            return refuse(why, why_size, options->crl_file);
        X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK);
    }
    SSL_CTX_set_verify(context,
                       SSL_VERIFY_PEER |
                           (options->require_certificate ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
                       NULL);
    return 0;
}

static int set_ciphers(SSL_CTX *context, const struct net_tls_options *options, char *why,
                       size_t why_size)
{
    int version = options->min_version == NET_TLS_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION;
    if (SSL_CTX_set_min_proto_version(context, version) != 1)
        return refuse(why, why_size, "minimum version");
    if (options->ciphers != NULL && SSL_CTX_set_cipher_list(context, options->ciphers) != 1)
        return refuse(why, why_size, options->ciphers);
    if (options->ciphersuites != NULL &&
        SSL_CTX_set_ciphersuites(context, options->ciphersuites) != 1)
        return refuse(why, why_size, options->ciphersuites);
    return 0;
}

static SSL_CTX *context_new(void)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (context == NULL)
        return NULL;
    SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                     SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_timeout(context, TLS_TICKET_S);
    SSL_CTX_set_default_passwd_cb(context, no_passphrase);
    if (SSL_CTX_set_session_id_context(context, (const unsigned char *)SESSION_IDS_OF,
                                       sizeof(SESSION_IDS_OF) - 1) != 1) {
        SSL_CTX_free(context);
        return NULL;
    }
    return context;
}

/* --- what OpenSSL asks during a handshake -------------------------------------------------- */

/* "mqtt" or, for WebSocket, "http/1.1"; without one of them the handshake goes on all the same. */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_size,
                   const unsigned char *in, unsigned in_size, void *context)
{
    (void)context;
    const char *ours = tls_session_of(ssl)->is_websocket ? "http/1.1" : "mqtt";
    struct reader r = reader_of(bytes_of(in, in_size));
    while (reader_status(&r) == 0 && r.n > 0) {
        struct bytes name = reader_str8(&r);
        if (reader_status(&r) == 0 && bytes_equal(name, bytes_str(ours))) {
            *out = name.p;
            *out_size = (unsigned char)name.n;
            return SSL_TLSEXT_ERR_OK;
        }
    }
    return SSL_TLSEXT_ERR_NOACK;
}

static bool name_matches(const char *pattern, const char *asked)
{
    if (strncmp(pattern, "*.", 2) == 0) { /* for exactly one label */
        const char *dot = strchr(asked, '.');
        return dot != NULL && dot != asked && strcasecmp(pattern + 1, dot) == 0;
    }
    return strcasecmp(pattern, asked) == 0;
}

static int on_server_name(SSL *ssl, int *alert, void *context)
{
    (void)alert;
    const struct net_tls *tls = context;
    const char *asked = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    if (asked == NULL)
        return SSL_TLSEXT_ERR_NOACK;
    for (size_t i = 0; i < tls->name_count; i++) {
        if (name_matches(tls->names[i].name, asked))
            return SSL_set_SSL_CTX(ssl, tls->names[i].context) != NULL ? SSL_TLSEXT_ERR_OK
                                                                       : SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    return SSL_TLSEXT_ERR_OK; /* the listener's own */
}

/* Called for TLS 1.2 and 1.3. That it was called says nothing: see tls_session.c. */
static unsigned on_psk(SSL *ssl, const char *identity, unsigned char *out, unsigned out_size)
{
    struct tls_session *session = tls_session_of(ssl);
    struct bytes key = {0};
    if (identity != NULL)
        key = tls_psks_find(session->tls->psks, bytes_str(identity));
    if (key.n == 0 || key.n > out_size)
        return 0;
    char *name = strdup(identity);
    if (name == NULL)
        return 0;
    free(session->psk_offered);
    session->psk_offered = name;
    memcpy(out, key.p, key.n);
    return (unsigned)key.n;
}

/* --- made and freed ------------------------------------------------------------------------ */

static int load_psks(struct net_tls *tls, const struct net_tls_options *options, char *why,
                     size_t why_size)
{
    int e = tls_psks_load(options->psk_file, &tls->psks, why, why_size);
    if (e != 0)
        return e;
    SSL_CTX_set_psk_server_callback(tls->context, on_psk);
    SSL_CTX_set_options(tls->context, SSL_OP_NO_TICKET);
    if (SSL_CTX_set_num_tickets(tls->context, 0) != 1)
        return SEALMQ_E_NOMEM;
    if (options->psk_hint != NULL &&
        SSL_CTX_use_psk_identity_hint(tls->context, options->psk_hint) != 1)
        return refuse(why, why_size, "PSK hint");
    return 0;
}

static int load_names(struct net_tls *tls, const struct net_tls_options *options, char *why,
                      size_t why_size)
{
    if (options->name_count == 0)
        return 0;
    tls->names = calloc(options->name_count, sizeof(*tls->names));
    if (tls->names == NULL)
        return SEALMQ_E_NOMEM;
    for (size_t i = 0; i < options->name_count; i++) {
        const struct net_tls_name *from = &options->names[i];
        struct tls_name *name = &tls->names[i];
        if (from->name == NULL || from->name[0] == '\0' || strlen(from->name) > SERVER_NAME_MAX ||
            from->cert_file == NULL) {
            snprintf(why, why_size, "a further certificate needs a server name and a file");
            return SEALMQ_E_CONFIG;
        }
        name->name = strdup(from->name);
        name->context = context_new();
        tls->name_count = i + 1;
        if (name->name == NULL || name->context == NULL)
            return SEALMQ_E_NOMEM;
        int e = set_ciphers(name->context, options, why, why_size);
        if (e == 0)
            e = load_certificate(name->context, from->cert_file, from->key_file, why, why_size);
        if (e != 0)
            return e;
    }
    SSL_CTX_set_tlsext_servername_callback(tls->context, on_server_name);
    SSL_CTX_set_tlsext_servername_arg(tls->context, tls);
    return 0;
}

/* What does not go together. */
static const char *contradiction(const struct net_tls_options *options)
{
    if (options->cert_file == NULL && options->psk_file == NULL)
        return "TLS needs a certificate or a file of pre-shared keys";
    if (options->cert_file == NULL && (options->key_file != NULL || options->name_count > 0))
        return "a certificate of the listener itself is needed, too";
    if (options->ca_file == NULL && (options->require_certificate || options->crl_file != NULL ||
                                     options->identity != NET_TLS_IDENTITY_NONE))
        return "clients' certificates need a file of authorities (CA)";
    if (options->require_certificate && options->psk_file != NULL)
        return "a client with a pre-shared key shows no certificate: require one or the other";
    if (options->psk_hint != NULL && options->psk_file == NULL)
        return "a PSK hint needs a file of pre-shared keys";
    return NULL;
}

static int tls_make(struct net_tls *tls, const struct net_tls_options *options, char *why,
                    size_t why_size)
{
    const char *wrong = contradiction(options);
    if (wrong != NULL) {
        snprintf(why, why_size, "%s", wrong);
        return SEALMQ_E_CONFIG;
    }
    tls->context = context_new();
    if (tls->context == NULL)
        return SEALMQ_E_NOMEM;
    tls->identity = options->identity;
    SSL_CTX_set_alpn_select_cb(tls->context, on_alpn, NULL);
    int e = set_ciphers(tls->context, options, why, why_size);
    if (e == 0 && options->cert_file != NULL)
        e = load_certificate(tls->context, options->cert_file, options->key_file, why, why_size);
    if (e == 0 && options->ca_file != NULL)
        e = load_authorities(tls->context, options, why, why_size);
    if (e == 0 && options->psk_file != NULL)
        e = load_psks(tls, options, why, why_size);
    return e != 0 ? e : load_names(tls, options, why, why_size);
}

int net_tls_new(const struct net_tls_options *options, struct net_tls **out, char *why,
                size_t why_size)
{
    *out = NULL;
    if (why_size > 0)
        why[0] = '\0';
    struct net_tls *tls = calloc(1, sizeof(*tls));
    if (tls == NULL)
        return SEALMQ_E_NOMEM;
    atomic_init(&tls->references, 1);
    ERR_clear_error();
    int e = tls_make(tls, options, why, why_size);
    if (e != 0) {
        if (why_size > 0 && why[0] == '\0')
            snprintf(why, why_size, "%s", sealmq_error_text(e));
        net_tls_unref(tls);
        return e;
    }
    *out = tls;
    return 0;
}

struct net_tls *net_tls_ref(struct net_tls *tls)
{
    atomic_fetch_add(&tls->references, 1);
    return tls;
}

void net_tls_unref(struct net_tls *tls)
{
    if (tls == NULL || atomic_fetch_sub(&tls->references, 1) != 1)
        return;
    for (size_t i = 0; i < tls->name_count; i++) {
        free(tls->names[i].name);
        SSL_CTX_free(tls->names[i].context);
    }
    free(tls->names);
    SSL_CTX_free(tls->context);
    tls_psks_free(tls->psks);
    free(tls);
}
