/* verify.h - whom TLS believes: trusted authorities, the expected name, and what is wrong otherwise
 *
 * Through OpenSSL, whatever moves the octets: tls.h puts libevent's bufferevents on top.
 *
 * Sources: RFC 6125 (names), X509_VERIFY_PARAM_set1_host(3), SSL_CTX_set_verify(3).
 */
#ifndef POST365_COMMON_UPSTREAM_VERIFY_H
#define POST365_COMMON_UPSTREAM_VERIFY_H

#include "common/error.h"
#include "common/settings.h"

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

/* A client's context: TLS 1.2 or later, and stricter where main.cf is; a handshake fails unless the
 * peer's chain leads to one of the authorities in post365_tls_CAfile and post365_tls_CApath; both
 * empty: those that OpenSSL trusts by default. NULL with the reason: a file that cannot be read, or
 * has no certificate. Release with SSL_CTX_free(). */
SSL_CTX *verify_context(const struct settings *settings, struct error *error);

/* Whether OpenSSL knows the ciphers that main.cf asks for; else the context has OpenSSL's own, and
 * this says so. */
bool verify_ciphers(const struct settings *settings, struct error *error);

/* The name (or address) that the peer's certificate must have, among its alternative names (a
 * common name is none, RFC 9525); a name is told to the peer as well
 * (SNI). Call before the handshake. False if there is no memory. */
bool verify_expect(SSL *ssl, const char *host);

/* The certificate that the peer has shown, believed or not; NULL: none, as where a session was
 * resumed. It stays the connection's. */
X509 *verify_certificate(const SSL *ssl);

/* The names of DNS that a certificate (may be NULL) has, "a, b", cut at `size`; "" if none. */
void verify_names(X509 *certificate, char *text, size_t size);

/* Why the handshake with `host` failed, with the remedy: an expired certificate, one for another
 * name (which is named), one that nobody vouches for, a peer that speaks something else. `code` is
 * OpenSSL's, 0 if there is none. Always returns false. */
bool verify_explain(const SSL *ssl, unsigned long code, const char *host, struct error *error);

#endif
