/* tls.h - TLS towards Microsoft: verified chain and name (verify.h), sessions resumed
 *
 * Through OpenSSL, on libevent's bufferevents. One context serves all connections; the session that
 * a host gave last is offered to it again, which saves a round trip and the certificate.
 *
 * Sources: RFC 3207 (STARTTLS), SSL_CTX_set_session_cache_mode(3).
 */
#ifndef POST365_COMMON_UPSTREAM_TLS_H
#define POST365_COMMON_UPSTREAM_TLS_H

#include "common/error.h"
#include "common/settings.h"

#include <event2/bufferevent.h>
#include <stdbool.h>

struct tls;

/* With the context of verify_context(). Release with tls_free(); connections that were begun with
 * it live on. */
struct tls *tls_new(const struct settings *settings, struct error *error);
void tls_free(struct tls *tls);

/* Begins TLS as the client of `host` (the name that the certificate must have) on a connected
 * descriptor, which becomes the result's. NULL if that cannot be done; the descriptor is closed.
 * The result gives BEV_EVENT_CONNECTED when chain and name are verified, BEV_EVENT_ERROR otherwise.
 */
struct bufferevent *tls_begin(struct tls *tls, struct event_base *base, evutil_socket_t descriptor,
                              const char *host);

/* What went wrong on such a connection, with the remedy: an expired certificate, one for another
 * name (which is named), one that nobody vouches for, a peer that speaks something else. */
void tls_explain(struct bufferevent *connection, const char *host, struct error *error);

/* "TLSv1.3", for the log. */
const char *tls_version(struct bufferevent *connection);

/* Whether the session was resumed. */
bool tls_is_resumed(struct bufferevent *connection);

#endif
