#include "net/tls_int.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* --- files --------------------------------------------------------------------------------- */

static char folder[] = "/tmp/test_tls_XXXXXX";

static const char *path_of(const char *name)
{
    static char paths[8][64];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
    return path;
}

static const char *file_of(const char *name, const char *text)
{
    const char *path = path_of(name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    return path;
}

/* A certificate that signs itself, and its key; `names` common names. */
static void make_certificate(const char *cert_name, const char *key_name, int names)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    assert_true(key != NULL && cert != NULL);
    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), -60);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_NAME *subject = X509_get_subject_name(cert);
    for (int i = 0; i < names; i++)
        X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)"pump-7",
                                   -1, -1, 0);
    X509_NAME_add_entry_by_txt(subject, "O", MBSTRING_UTF8, (const unsigned char *)"Plant", -1, -1,
                               0);
    X509_set_issuer_name(cert, subject);
    X509_set_pubkey(cert, key);
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    FILE *file = fopen(path_of(cert_name), "w");
    assert_true(file != NULL && PEM_write_X509(file, cert) == 1 && fclose(file) == 0);
    file = fopen(path_of(key_name), "w");
    assert_true(file != NULL && PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) == 1 &&
                fclose(file) == 0);
    X509_free(cert);
    EVP_PKEY_free(key);
}

static int make_files(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    make_certificate("one.pem", "one.key", 1);
    make_certificate("two.pem", "two.key", 2);
    (void)file_of("psk", "# keys\n\npump-8:00112233445566778899AABBCCDDEEFF\r\nb:00\n");
    (void)file_of("text", "no certificate\n");
    return 0;
}

static int remove_files(void **state)
{
    (void)state;
    static const char *const names[] = {"one.pem", "one.key", "two.pem", "two.key",
                                        "psk",     "text",    "wrong"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        unlink(path_of(names[i]));
    return rmdir(folder);
}

/* --- options ------------------------------------------------------------------------------- */

static void expect_refusal(const struct net_tls_options *options, int error, const char *words)
{
    struct net_tls *tls;
    char why[256];
    assert_int_equal(net_tls_new(options, &tls, why, sizeof(why)), error);
    assert_null(tls);
    if (strstr(why, words) == NULL)
        fail_msg("'%s' does not say '%s'", why, words);
}

static void what_does_not_go_together_is_refused_with_words(void **state)
{
    (void)state;
    const char *cert = path_of("one.pem"), *key = path_of("one.key"), *psk = path_of("psk");
    const struct net_tls_name name = {"a.example", cert, key};
    const struct {
        struct net_tls_options options;
        const char *words;
    } cases[] = {
        {{0}, "needs a certificate"},
        {{.cert_file = cert}, "a key file is needed"},
        {{.psk_file = psk, .names = &name, .name_count = 1}, "of the listener itself"},
        {{.cert_file = cert, .key_file = key, .require_certificate = true}, "authorities"},
        {{.cert_file = cert, .key_file = key, .crl_file = cert}, "authorities"},
        {{.cert_file = cert, .key_file = key, .identity = NET_TLS_IDENTITY_SUBJECT}, "authorities"},
        {{.cert_file = cert, .key_file = key, .psk_hint = "x"}, "PSK hint"},
        {{.psk_file = psk, .ca_file = cert, .require_certificate = true}, "one or the other"},
        {{.cert_file = cert, .key_file = path_of("two.key")}, "key values mismatch"},
        {{.cert_file = path_of("text"), .key_file = key}, "no start line"},
        {{.cert_file = cert, .key_file = key, .ca_file = path_of("text")}, "text: "},
        {{.cert_file = cert, .key_file = key, .ca_file = cert, .crl_file = path_of("text")},
         "text: "},
        {{.cert_file = cert, .key_file = key, .ciphers = "NONSENSE"}, "NONSENSE: no cipher match"},
        {{.cert_file = cert, .key_file = key, .ciphersuites = "NONSENSE"}, "NONSENSE"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        expect_refusal(&cases[i].options, SEALMQ_E_CONFIG, cases[i].words);
    expect_refusal(&(struct net_tls_options){.cert_file = path_of("absent"), .key_file = key},
                   SEALMQ_E_IO, "absent: No such file");
    expect_refusal(&(struct net_tls_options){.psk_file = path_of("absent")}, SEALMQ_E_IO, "absent");
}

static void a_wrong_line_of_keys_is_named(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"", "holds no key"},
        {"# only a comment\n", "holds no key"},
        {"a:00\nb\n", "wrong:2: no ':'"},
        {":00\n", "wrong:1: the identity"},
        {"a\x01:00\n", "wrong:1: the identity"},
        {"a:\n", "wrong:1: the key must be"},
        {"a:000\n", "wrong:1: the key must be"},
        {"a:0g\n", "wrong:1: the key has other than"},
        {"a:00\n\na:11\n", "wrong:3: this identity has a key already"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct net_tls_options options = {.psk_file = file_of("wrong", cases[i][0])};
        expect_refusal(&options, SEALMQ_E_CONFIG, cases[i][1]);
    }
}

static void keys_are_found_by_their_whole_name(void **state)
{
    (void)state;
    struct tls_psks *psks;
    char why[128];
    assert_int_equal(tls_psks_load(path_of("psk"), &psks, why, sizeof(why)), 0);
    struct bytes key = tls_psks_find(psks, bytes_str("pump-8"));
    assert_int_equal(key.n, 16);
    assert_int_equal(key.p[15], 0xff);
    assert_int_equal(tls_psks_find(psks, bytes_str("pump")).n, 0);
    assert_int_equal(tls_psks_find(psks, bytes_str("pump-80")).n, 0);
    assert_int_equal(tls_psks_find(psks, bytes_str("")).n, 0);
    tls_psks_free(psks);
}

/* --- sessions ------------------------------------------------------------------------------ */

/* A client of OpenSSL's, on memory. */
struct client {
    SSL_CTX *context;
    SSL *ssl;
    BIO *to_client, *from_client;
};

static void client_init(struct client *client, const char *cert, const char *key)
{
    client->context = SSL_CTX_new(TLS_client_method());
    assert_non_null(client->context);
    if (cert != NULL) {
        assert_int_equal(SSL_CTX_use_certificate_file(client->context, path_of(cert), 1), 1);
        assert_int_equal(SSL_CTX_use_PrivateKey_file(client->context, path_of(key), 1), 1);
    }
}

static void client_begin(struct client *client)
{
    client->ssl = SSL_new(client->context);
    client->to_client = BIO_new(BIO_s_mem());
    client->from_client = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(client->to_client, -1);
    SSL_set_bio(client->ssl, client->to_client, client->from_client);
    SSL_set_connect_state(client->ssl);
}

static void client_close(struct client *client)
{
    SSL_free(client->ssl);
    SSL_CTX_free(client->context);
}

/* Carries bytes both ways, the client's in pieces of `step`, until both are silent; what the server
 * reads goes to `got`. The server's last outcome. */
static int converse(struct client *client, struct tls_session *session, size_t step,
                    struct buf *got, char *why, size_t why_size)
{
    static uint8_t room[64 * 1024];
    uint8_t piece[4096];
    struct buf out = {0};
    int e = 0, n = 1;
    while (e == 0 && n > 0) {
        uint8_t heard[256];
        (void)SSL_read(client->ssl, heard, sizeof(heard));
        n = BIO_read(client->from_client, piece, (int)step);
        if (n > 0) {
            size_t read = 0;
            e = tls_session_read(session, bytes_of(piece, (size_t)n), room, sizeof(room), &read,
                                 &out, why, why_size);
            buf_append(got, room, read);
        }
        if (out.n > 0)
            BIO_write(client->to_client, out.p, (int)out.n);
        buf_reset(&out);
    }
    buf_close(&out);
    return e;
}

static struct net_tls *tls_of(const struct net_tls_options *options)
{
    struct net_tls *tls;
    char why[256] = "";
    if (net_tls_new(options, &tls, why, sizeof(why)) != 0)
        fail_msg("%s", why);
    return tls;
}

static void bytes_pass_in_any_pieces_and_the_certificate_names_the_peer(void **state)
{
    (void)state;
    static const size_t steps[] = {1, 7, 4096};
    static const char *const identities[] = {NULL, "pump-7", "O=Plant,CN=pump-7"};
    for (int kind = 0; kind < 3; kind++) {
        const struct net_tls_options options = {.cert_file = path_of("one.pem"),
                                                .key_file = path_of("one.key"),
                                                .ca_file = path_of("one.pem"),
                                                .require_certificate = true,
                                                .identity = (enum net_tls_identity)kind};
        struct net_tls *tls = tls_of(&options);
        struct client client;
        struct tls_session session;
        struct buf got = {0};
        char why[256] = "";
        client_init(&client, "one.pem", "one.key");
        client_begin(&client);
        assert_int_equal(tls_session_init(&session, tls, false), 0);
        net_tls_unref(tls); /* the session has its own reference */
        assert_int_equal(converse(&client, &session, steps[kind], &got, why, sizeof(why)), 0);
        assert_true(session.is_established);
        assert_int_equal(SSL_write(client.ssl, "said by the client", 18), 18);
        assert_int_equal(converse(&client, &session, steps[kind], &got, why, sizeof(why)), 0);
        assert_true(bytes_equal(buf_bytes(&got), bytes_str("said by the client")));
        if (kind == 0) {
            assert_int_equal(session.kind, NET_IDENTITY_NONE);
            assert_null(session.identity);
        } else {
            assert_int_equal(session.kind, NET_IDENTITY_CERTIFICATE);
            assert_string_equal(session.identity, identities[kind]);
        }
        (void)SSL_shutdown(client.ssl);
        assert_int_equal(converse(&client, &session, 4096, &got, why, sizeof(why)),
                         SEALMQ_E_CLOSED);
        tls_session_close(&session);
        client_close(&client);
        buf_close(&got);
    }
}

static void a_certificate_with_two_common_names_is_nobodys(void **state)
{
    (void)state;
    const struct net_tls_options options = {.cert_file = path_of("one.pem"),
                                            .key_file = path_of("one.key"),
                                            .ca_file = path_of("two.pem"),
                                            .identity = NET_TLS_IDENTITY_COMMON_NAME};
    struct net_tls *tls = tls_of(&options);
    struct client client;
    struct tls_session session;
    struct buf got = {0};
    char why[256] = "";
    client_init(&client, "two.pem", "two.key");
    client_begin(&client);
    assert_int_equal(tls_session_init(&session, tls, false), 0);
    assert_int_equal(converse(&client, &session, 4096, &got, why, sizeof(why)), SEALMQ_E_DENIED);
    assert_string_equal(why, "the certificate has several common names");
    assert_int_equal(session.kind, NET_IDENTITY_NONE);
    tls_session_close(&session);
    client_close(&client);
    net_tls_unref(tls);
}

/* The name of pump-8, with a key that is not its own, of a hash that the server's key is not for.
 */
static int offer_name(SSL *ssl, const EVP_MD *md, const unsigned char **id, size_t *id_size,
                      SSL_SESSION **out)
{
    static const unsigned char cipher[] = {0x13, 0x02}, wrong[48] = {1};
    (void)md;
    SSL_SESSION *session = SSL_SESSION_new();
    assert_int_equal(SSL_SESSION_set1_master_key(session, wrong, sizeof(wrong)), 1);
    assert_int_equal(SSL_SESSION_set_cipher(session, SSL_CIPHER_find(ssl, cipher)), 1);
    assert_int_equal(SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION), 1);
    *id = (const unsigned char *)"pump-8";
    *id_size = 6;
    *out = session;
    return 1;
}

static void a_key_that_was_only_named_is_no_identity(void **state)
{
    (void)state;
    const struct net_tls_options options = {.cert_file = path_of("one.pem"),
                                            .key_file = path_of("one.key"),
                                            .psk_file = path_of("psk")};
    struct net_tls *tls = tls_of(&options);
    struct client client;
    struct tls_session session;
    struct buf got = {0};
    char why[256] = "";
    client_init(&client, NULL, NULL);
    assert_int_equal(SSL_CTX_set_ciphersuites(client.context, "TLS_AES_256_GCM_SHA384"), 1);
    SSL_CTX_set_psk_use_session_callback(client.context, offer_name);
    client_begin(&client);
    assert_int_equal(tls_session_init(&session, tls, false), 0);
    assert_int_equal(converse(&client, &session, 4096, &got, why, sizeof(why)), 0);
    assert_true(session.is_established);
    assert_non_null(session.psk_offered);              /* the key was looked up, */
    assert_int_equal(session.kind, NET_IDENTITY_NONE); /* and not used */
    assert_null(session.identity);
    tls_session_close(&session);
    client_close(&client);
    net_tls_unref(tls);
}

static void noise_ends_a_session_with_words(void **state)
{
    (void)state;
    const struct net_tls_options options = {.cert_file = path_of("one.pem"),
                                            .key_file = path_of("one.key")};
    struct net_tls *tls = tls_of(&options);
    struct tls_session session;
    struct buf out = {0};
    static uint8_t room[64 * 1024];
    size_t n;
    char why[256] = "";
    assert_int_equal(tls_session_init(&session, tls, false), 0);
    assert_int_equal(tls_session_read(&session, bytes_str("\x10\x0c\0\4MQTT, not TLS"), room,
                                      sizeof(room), &n, &out, why, sizeof(why)),
                     0); /* too little to know */
    assert_int_equal(tls_session_read(&session, bytes_str("GET / HTTP/1.1"), room, sizeof(room), &n,
                                      &out, why, sizeof(why)),
                     SEALMQ_E_PROTOCOL);
    assert_string_not_equal(why, "");
    assert_int_equal(tls_session_write(&session, bytes_str("x"), &out), SEALMQ_E_CLOSED);
    tls_session_close(&session);
    buf_close(&out);
    net_tls_unref(tls);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_does_not_go_together_is_refused_with_words),
        cmocka_unit_test(a_wrong_line_of_keys_is_named),
        cmocka_unit_test(keys_are_found_by_their_whole_name),
        cmocka_unit_test(bytes_pass_in_any_pieces_and_the_certificate_names_the_peer),
        cmocka_unit_test(a_certificate_with_two_common_names_is_nobodys),
        cmocka_unit_test(a_key_that_was_only_named_is_no_identity),
        cmocka_unit_test(noise_ends_a_session_with_words),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
