/*
 * tls.h - a certificate authority made on the fly, and what it signs
 *
 * The authority's key is an EC P-256 key in the state directory; authority and key are kept from
 * one start to the next, so that a client's trust store stays valid. The server's certificate is
 * made anew at every start.
 */
#ifndef OFFICE365_TLS_H
#define OFFICE365_TLS_H

#include "list.h"
#include "problem.h"

#include <openssl/ssl.h>
#include <stdbool.h>

/* which certificate the server shows: the right one, or one of the other kinds */
enum tls_identity {
    TLS_RIGHT,
    TLS_NAME,        /* "name": another host's name */
    TLS_EXPIRED,     /* "expired" */
    TLS_EXPIRING,    /* "expiring": right, but for a week only */
    TLS_SELF_SIGNED, /* "self-signed" */
    TLS_UNTRUSTED,   /* "untrusted": signed by an authority that nobody knows */
    TLS_IDENTITIES
};

/* tls_identity_find - the faulty identity of this name; false if there is none */
bool tls_identity_find(const char *name, enum tls_identity *identity);

struct tls;

/*
 * tls_create - write ca.pem, ca.key and server.pem below directory (which is made if it is missing)
 * for these host names and addresses. With legacy, TLS 1.0 and 1.1 are spoken too. NULL with the
 * problem.
 */
struct tls *tls_create(const char *directory, const struct list *hostnames, bool legacy,
                       struct problem *problem);
void tls_free(struct tls *tls);

/* tls_session - the server's side of a new connection; NULL for want of memory; SSL_free() it */
SSL *tls_session(const struct tls *tls, enum tls_identity identity);

/* tls_authority - the path of ca.pem */
const char *tls_authority(const struct tls *tls);

#endif
