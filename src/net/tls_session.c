/* One TLS connection, by OpenSSL, without a socket: a BIO of our own reads from the bytes that were
 * given and writes to the buffer that was given. So nothing waits inside of OpenSSL but a record
 * that is not whole; all that has come is taken at once, and what is to be sent is the caller's to
 * send and to limit. */
#include "net/tls_int.h"

#include "base/assert.h"
#include "base/text.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

/* --- the BIO ------------------------------------------------------------------------------- */

static BIO_METHOD *bio_method;
static pthread_once_t bio_once = PTHREAD_ONCE_INIT;

static int bio_read(BIO *bio, char *out, int size)
{
    struct tls_session *session = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (out == NULL || size <= 0)
        return 0;
    size_t n = (size_t)size < session->in.n ? (size_t)size : session->in.n;
    if (n == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    memcpy(out, session->in.p, n);
    session->in = bytes_of(session->in.p + n, session->in.n - n);
    return (int)n;
}

static int bio_write(BIO *bio, const char *in, int size)
{
    struct tls_session *session = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (size <= 0 || session->out == NULL)
        return 0;
    buf_append(session->out, in, (size_t)size);
    return buf_status(session->out) == 0 ? size : -1;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

static void bio_setup(void)
{
    bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "bytes");
    if (bio_method != NULL && (BIO_meth_set_read(bio_method, bio_read) != 1 ||
                               BIO_meth_set_write(bio_method, bio_write) != 1 ||
                               BIO_meth_set_ctrl(bio_method, bio_control) != 1)) {
        BIO_meth_free(bio_method);
        bio_method = NULL;
    }
}

int tls_session_init(struct tls_session *session, struct net_tls *tls, bool is_websocket)
{
    *session = (struct tls_session){.is_websocket = is_websocket};
    pthread_once(&bio_once, bio_setup);
    SSL *ssl = bio_method != NULL ? SSL_new(tls->context) : NULL;
    BIO *bio = ssl != NULL ? BIO_new(bio_method) : NULL;
    if (bio == NULL) {
        SSL_free(ssl);
        ERR_clear_error();
        return SEALMQ_E_NOMEM;
    }
    BIO_set_data(bio, session);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
    SSL_set_app_data(ssl, session);
    SSL_set_accept_state(ssl);
    session->ssl = ssl;
    session->tls = net_tls_ref(tls);
    return 0;
}

void tls_session_close(struct tls_session *session)
{
    SSL_free(session->ssl);
    net_tls_unref(session->tls);
    free(session->psk_offered);
    free(session->identity);
    *session = (struct tls_session){0};
}

struct tls_session *tls_session_of(SSL *ssl)
{
    return SSL_get_app_data(ssl);
}

/* --- who it is ----------------------------------------------------------------------------- */

static bool is_printable(struct bytes text)
{
    if (text.n == 0 || text.n > NET_IDENTITY_MAX || !utf8_is_valid(text))
        return false;
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < ' ' || text.p[i] == 0x7f)
            return false;
    }
    return true;
}

/* The one common name; words about what is wrong, or NULL. */
static const char *take_common_name(X509_NAME *subject, struct buf *out)
{
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at < 0)
        return "the certificate has no common name";
    if (X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0)
        return "the certificate has several common names";
    unsigned char *text = NULL;
    int n = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    if (n < 0)
        return "the certificate's common name is malformed";
    buf_append(out, text, (size_t)n);
    OPENSSL_free(text);
    return NULL;
}

static const char *take_subject(X509_NAME *subject, struct buf *out)
{
    const unsigned long form = XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB;
    BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    if (bio != NULL && X509_NAME_print_ex(bio, subject, 0, form) >= 0) {
        long n = BIO_get_mem_data(bio, &text);
        buf_append(out, text, n > 0 ? (size_t)n : 0);
    }
    BIO_free(bio);
    return out->n > 0 ? NULL : "the certificate has no subject";
}

static const char *identify_certificate(struct tls_session *session, X509 *cert)
{
    struct buf text = {0};
    const char *wrong = NULL;
    /* A resumed session was verified when it was new; time has gone on. */
    if (X509_cmp_current_time(X509_get0_notAfter(cert)) < 0)
        return "the certificate has expired";
    if (session->tls->identity == NET_TLS_IDENTITY_NONE)
        return NULL;
    X509_NAME *subject = X509_get_subject_name(cert);
    wrong = session->tls->identity == NET_TLS_IDENTITY_COMMON_NAME
                ? take_common_name(subject, &text)
                : take_subject(subject, &text);
    if (wrong == NULL && !is_printable(buf_bytes(&text)))
        wrong = "the certificate's name is empty, too long or not printable";
    if (wrong == NULL && buf_cstr(&text) == NULL)
        wrong = "out of memory";
    if (wrong == NULL) {
        session->kind = NET_IDENTITY_CERTIFICATE;
        session->identity = (char *)text.p;
    } else {
        buf_close(&text);
    }
    return wrong;
}

/* Whether the key that was given out last is the one that the handshake rests on. In TLS 1.3 a
 * client may offer names of keys that are then not used: only a resumption is one with a key, and
 * since there are no tickets beside keys, it can be nothing else. */
static bool used_psk(const SSL *ssl)
{
    if (SSL_version(ssl) >= TLS1_3_VERSION)
        return SSL_session_reused(ssl) == 1;
    switch (SSL_CIPHER_get_kx_nid(SSL_get_current_cipher(ssl))) {
    case NID_kx_psk:
    case NID_kx_ecdhe_psk:
    case NID_kx_dhe_psk:
    case NID_kx_rsa_psk:
        return true;
    default:
        return false;
    }
}

/* The handshake is done: who is it? Words about why it may not go on, or NULL. */
static const char *identify(struct tls_session *session)
{
    session->is_established = true;
    if (session->tls->psks != NULL && session->psk_offered != NULL && used_psk(session->ssl)) {
        session->kind = NET_IDENTITY_PSK;
        session->identity = session->psk_offered;
        session->psk_offered = NULL;
        return NULL;
    }
    X509 *cert = SSL_get0_peer_certificate(session->ssl);
    if (cert == NULL)
        return NULL;
    if (SSL_get_verify_result(session->ssl) != X509_V_OK)
        return "the certificate was not verified";
    return identify_certificate(session, cert);
}

/* --- bytes --------------------------------------------------------------------------------- */

static int fail(struct tls_session *session, char *why, size_t why_size)
{
    long verdict = SSL_get_verify_result(session->ssl);
    unsigned long code = ERR_peek_error();
    const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;
    session->is_broken = true;
    if (verdict != X509_V_OK)
        snprintf(why, why_size, "client certificate refused: %s",
                 X509_verify_cert_error_string(verdict));
    else
        snprintf(why, why_size, "%s", reason != NULL ? reason : "protocol error");
    ERR_clear_error();
    return SEALMQ_E_PROTOCOL;
}

int tls_session_read(struct tls_session *session, struct bytes in, uint8_t *to, size_t room,
                     size_t *n, struct buf *out, char *why, size_t why_size)
{
    const char *wrong = NULL;
    int e = 0;
    *n = 0;
    ASSERT(room >= in.n + TLS_RECORD_MAX);
    session->in = in;
    session->out = out;
    ERR_clear_error();
    while (e == 0) {
        int got = SSL_read(session->ssl, to + *n, (int)(room - *n));
        if (got > 0) {
            *n += (size_t)got;
            continue;
        }
        int error = SSL_get_error(session->ssl, got);
        if (error == SSL_ERROR_WANT_READ)
            break;
        e = error == SSL_ERROR_ZERO_RETURN ? SEALMQ_E_CLOSED : fail(session, why, why_size);
    }
    if (!session->is_established && SSL_is_init_finished(session->ssl) && !session->is_broken)
        wrong = identify(session);
    if (wrong != NULL) {
        snprintf(why, why_size, "%s", wrong);
        *n = 0;
        e = SEALMQ_E_DENIED;
    }
    session->in = (struct bytes){0};
    session->out = NULL;
    return e;
}

int tls_session_write(struct tls_session *session, struct bytes plain, struct buf *out)
{
    if (session->is_broken || !session->is_established)
        return SEALMQ_E_CLOSED;
    ERR_clear_error();
    session->out = out;
    int n = SSL_write(session->ssl, plain.p, (int)plain.n);
    session->out = NULL;
    if (n > 0 && (size_t)n == plain.n)
        return 0;
    session->is_broken = true;
    ERR_clear_error();
    return SEALMQ_E_IO;
}

void tls_session_end(struct tls_session *session, struct buf *out)
{
    if (session->is_broken || !session->is_established)
        return;
    ERR_clear_error();
    session->out = out;
    (void)SSL_shutdown(session->ssl);
    session->out = NULL;
    ERR_clear_error();
}
