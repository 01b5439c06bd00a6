/* tls.c - TLS towards Microsoft */
#include "common/upstream/tls.h"

#include "common/memory.h"
#include "common/upstream/verify.h"

#include <event2/bufferevent_ssl.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

/* Hosts whose last session is kept: one relayhost has a few names at most. */
#define SESSIONS_MAX 16

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

struct tls *tls_new(const struct settings *settings, struct error *error)
{
    struct tls *tls = memory_zero(1, sizeof(*tls));
    if (host_index < 0)
        host_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, free_host);
    tls->context = verify_context(settings, error);
    if (tls->context == NULL) {
        tls_free(tls);
        return NULL;
    }
    SSL_CTX_set_app_data(tls->context, tls);
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
    if (tls->context != NULL) /* it lives as long as its last connection, which tells nobody */
        SSL_CTX_sess_set_new_cb(tls->context, NULL);
    SSL_CTX_free(tls->context);
    free(tls);
}

/* --- a connection ------------------------------------------------------------- */

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
    if (!verify_expect(ssl, host)) {
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

void tls_explain(struct bufferevent *connection, const char *host, struct error *error)
{
    verify_explain(bufferevent_openssl_get_ssl(connection),
                   bufferevent_get_openssl_error(connection), host, error);
}

const char *tls_version(struct bufferevent *connection)
{
    return SSL_get_version(bufferevent_openssl_get_ssl(connection));
}

bool tls_is_resumed(struct bufferevent *connection)
{
    return SSL_session_reused(bufferevent_openssl_get_ssl(connection)) == 1;
}
