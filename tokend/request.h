/* request.h - what is asked of the token endpoint
 *
 * Forms of application/x-www-form-urlencoded for POST, each value percent-encoded, and where they
 * go. A form holds secrets and is one. Pure.
 *
 * Sources: RFC 6749 sections 4.4, 6 and appendix B, RFC 7523 section 2.2, RFC 8628 section 3;
 * Microsoft Learn, "OAuth 2.0 client credentials flow", "OAuth 2.0 device authorization grant".
 */
#ifndef POST365_TOKEND_REQUEST_H
#define POST365_TOKEND_REQUEST_H

#include "common/oauth2/registration.h"
#include "common/secret.h"

/* What proves that it is the application: all zero for a public client. */
struct request_proof {
    const struct secret *client_secret; /* or NULL */
    const struct secret *assertion;     /* a JWT of assertion.h, or a foreign issuer's; or NULL */
};

#define REQUEST_CONTENT_TYPE "application/x-www-form-urlencoded"

/* Where things are asked for, below authority and tenant. The caller's to free(). The first is the
 * audience of an assertion, too. */
char *request_token_url(const struct registration *registration);
char *request_device_url(const struct registration *registration);
/* A GET that needs no login: whether the tenant is of this cloud. */
char *request_configuration_url(const struct registration *registration);

/* The forms; the caller's to secret_free(). */

/* grant = app: an access token of the application's own. `proof` has one of the two. */
struct secret *request_app(const struct registration *registration,
                           const struct request_proof *proof);
/* grant = user: a login by device code begins, to request_device_url(). */
struct secret *request_device_begin(const struct registration *registration);
/* Whether the user has entered it, to request_token_url() as all others. */
struct secret *request_device_poll(const struct registration *registration,
                                   const struct secret *device_code,
                                   const struct request_proof *proof);
/* An access token by a refresh token. */
struct secret *request_refresh(const struct registration *registration,
                               const struct secret *refresh_token,
                               const struct request_proof *proof);

#endif
