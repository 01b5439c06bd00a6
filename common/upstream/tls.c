/* tls.c - TLS towards Microsoft */
#include "common/upstream/tls.h"

#include "common/memory.h"

#include <arpa/inet.h>
#include <event2/bufferevent_ssl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

/* Hosts whose last session is kept: one relayhost has a few names at most. */
#define SESSIONS_MAX 16
#define NAMES_SHOWN  200

struct session {
    char *host;
    SSL_SESSION *session;
};

struct tls {
    SSL_CTX *context;
    struct session sessions[SESSIONS_MAX];
    size_t next; /* where a new host goes */
};

/* Where a connection keeps its host, and a context its struct tls. */
static int host_index = -1;

/* --- sessions ----------------------------------------------------------------- */

static struct session *find_session(struct tls *tls, const char *host)
{
    for (size_t i = 0; i < SESSIONS_MAX; i++)
        if (tls->sessions[i].host != NULL && strcasecmp(tls->sessions[i].host, host) == 0)
            return &tls->sessions[i];
    return NULL;
}

/* OpenSSL has a new session. A copy is kept: the connection's own is of no use any more when that
 * ends without a farewell in TLS, as most servers and we do. It stays OpenSSL's: 0. */
static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls *tls = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    const char *host = SSL_get_ex_data(ssl, host_index);
    SSL_SESSION *copy = SSL_SESSION_dup(session);
    struct session *place = find_session(tls, host);
    if (copy == NULL)
        return 0;
    if (place == NULL) {
        place = &tls->sessions[tls->next++ % SESSIONS_MAX];
        free(place->host);
        place->host = memory_copy(host);
    }
    SSL_SESSION_free(place->session);
    place->session = copy;
    return 0;
}

static void free_host(void *parent, void *host, CRYPTO_EX_DATA *data, int index, long argl,
                      void *argp)
{
    (void)parent;
    (void)data;
    (void)index;
    (void)argl;
    (void)argp;
    free(host);
}

/* --- the context -------------------------------------------------------------- */

static bool trust(struct tls *tls, const char *file, const char *path, struct error *error)
{
    if (file[0] == '\0' && path[0] == '\0')
        return SSL_CTX_set_default_verify_paths(tls->context) == 1 ||
               error_set(error, "the system's certificates of authorities cannot be read; install "
                                "ca-certificates");
    return SSL_CTX_load_verify_locations(tls->context, file[0] != '\0' ? file : NULL,
                                         path[0] != '\0' ? path : NULL) == 1 ||
           error_set(error,
                     "%s%s%s: no certificate of an authority can be read there; install "
                     "ca-certificates and name /etc/ssl/certs/ca-certificates.crt",
                     file, file[0] != '\0' && path[0] != '\0' ? ", " : "", path);
}

struct tls *tls_new(const char *file, const char *path, struct error *error)
{
    struct tls *tls = memory_zero(1, sizeof(*tls));
    if (host_index < 0)
        host_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, free_host);
    tls->context = SSL_CTX_new(TLS_client_method());
    if (tls->context == NULL || !trust(tls, file, path, error)) {
        ERR_clear_error();
        tls_free(tls);
        return NULL;
    }
    SSL_CTX_set_app_data(tls->context, tls);
    SSL_CTX_set_min_proto_version(tls->context, TLS1_2_VERSION);
    SSL_CTX_set_verify(tls->context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(tls->context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(tls->context,
                                   SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(tls->context, keep_session);
    return tls;
}

void tls_free(struct tls *tls)
{
    if (tls == NULL)
        return;
    for (size_t i = 0; i < SESSIONS_MAX; i++) {
        free(tls->sessions[i].host);
        SSL_SESSION_free(tls->sessions[i].session);
    }
    SSL_CTX_free(tls->context);
    free(tls);
}

/* --- a connection ------------------------------------------------------------- */

/* The name that the certificate must have. An address is no name for SNI. */
static bool expect_name(SSL *ssl, const char *host)
{
    unsigned char address[sizeof(struct in6_addr)];
    if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

static SSL *new_session(struct tls *tls, const char *host)
{
    SSL *ssl = SSL_new(tls->context);
    if (ssl == NULL)
        return NULL;
    char *copy = memory_copy(host);
    if (SSL_set_ex_data(ssl, host_index, copy) != 1) {
        free(copy);
        SSL_free(ssl);
        return NULL;
    }
    if (!expect_name(ssl, host)) {
        SSL_free(ssl);
        return NULL;
    }
    const struct session *known = find_session(tls, host);
    if (known != NULL && known->session != NULL)
        SSL_set_session(ssl, known->session);
    return ssl;
}

struct bufferevent *tls_begin(struct tls *tls, struct event_base *base, evutil_socket_t descriptor,
                              const char *host)
{
    SSL *ssl = new_session(tls, host);
    struct bufferevent *connection =
        ssl != NULL ? bufferevent_openssl_socket_new(
                          base, descriptor, ssl, BUFFEREVENT_SSL_CONNECTING, BEV_OPT_CLOSE_ON_FREE)
                    : NULL;
    if (connection == NULL) { /* libevent has released the session, if there was one */
        evutil_closesocket(descriptor);
        return NULL;
    }
    bufferevent_openssl_set_allow_dirty_shutdown(connection, 1);
    return connection;
}

/* The names that the peer's certificate has, "a, b". */
static void list_names(SSL *ssl, char *text, size_t size)
{
    X509 *certificate = SSL_get1_peer_certificate(ssl);
    GENERAL_NAMES *names = certificate != NULL
                               ? X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL)
                               : NULL;
    size_t length = 0;
    text[0] = '\0';
    for (int i = 0; names != NULL && i < sk_GENERAL_NAME_num(names) && length < size; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type == GEN_DNS)
            length += (size_t)snprintf(text + length, size - length, "%s%.*s",
                                       length > 0 ? ", " : "", ASN1_STRING_length(name->d.dNSName),
                                       (const char *)ASN1_STRING_get0_data(name->d.dNSName));
    }
    GENERAL_NAMES_free(names);
    X509_free(certificate);
}

static void explain_certificate(SSL *ssl, long result, const char *host, struct error *error)
{
    char names[NAMES_SHOWN];
    switch (result) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        list_names(ssl, names, sizeof(names));
        error_set(error,
                  "the certificate is for another name (%s), not for %s; somebody stands between, "
                  "or relayhost is not the name that the server has",
                  names[0] != '\0' ? names : "none", host);
        return;
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        error_set(error, "the certificate of %s is not valid now (%s); check this machine's clock",
                  host, X509_verify_cert_error_string(result));
        return;
    default:
        error_set(error,
                  "the certificate of %s is not trusted (%s); see that post365_tls_CAfile has the "
                  "authorities, or who stands between",
                  host, X509_verify_cert_error_string(result));
    }
}

void tls_explain(struct bufferevent *connection, const char *host, struct error *error)
{
    SSL *ssl = bufferevent_openssl_get_ssl(connection);
    long result = SSL_get_verify_result(ssl);
    unsigned long code = bufferevent_get_openssl_error(connection);
    if (result != X509_V_OK)
        explain_certificate(ssl, result, host, error);
    else if (code != 0)
        error_set(error, "TLS with %s failed: %s", host, ERR_reason_error_string(code));
    else
        error_set(error, "TLS with %s failed: the connection was lost", host);
    ERR_clear_error();
}

const char *tls_version(struct bufferevent *connection)
{
    return SSL_get_version(bufferevent_openssl_get_ssl(connection));
}

bool tls_is_resumed(struct bufferevent *connection)
{
    return SSL_session_reused(bufferevent_openssl_get_ssl(connection)) == 1;
}
