/* fetch.h - HTTPS requests in the event loop
 *
 * libcurl's multi interface on libevent. Everything is said and nothing taken from the environment:
 * https alone (http for the metadata services of managed identities alone, at the host itself), no
 * redirects, TLS 1.2 or later, certificate and name checked, the proxy of post365_oauth2_proxy or
 * none, one request a connection, a bound on time, body and headers. The answer's body goes into a
 * secret as it arrives; what libcurl and OpenSSL release is wiped. There is no tracing.
 *
 * A request that was given up because of its low speed would be one that takes longer than
 * post365_oauth2_timeout, which bounds the whole of it: there is no other limit.
 *
 * Sources: libcurl's manual (CURLMOPT_SOCKETFUNCTION, libcurl-security, libcurl-errors); RFC 9110.
 */
#ifndef POST365_TOKEND_FETCH_H
#define POST365_TOKEND_FETCH_H

#include "common/entra/cause.h"
#include "common/error.h"
#include "common/oauth2/tokens.h"
#include "common/secret.h"
#include "common/settings.h"

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FETCH_ID_SIZE     37 /* of a request's id, a UUID, with the NUL */
#define FETCH_HEADER_SIZE 512

struct fetcher;
struct fetch;

/* What is asked; all of it is used until the request has ended, but for the URL. */
struct fetch_request {
    const char *url;
    const struct secret *form;   /* POST; NULL: GET */
    const struct secret *header; /* a further one, whole; or NULL */
    const char *plain_header;    /* the same, no secret; or NULL */
    bool is_metadata;            /* of a managed identity: http, never through a proxy */
};

/* What came of it. */
struct fetch_reply {
    const struct entra_row *trouble;    /* NULL: there is an answer */
    char reason[TOKENS_REASON_MAX + 1]; /* with trouble: one line */
    unsigned status;
    char retry_after[FETCH_HEADER_SIZE]; /* "": none; longer ones are none */
    char date[FETCH_HEADER_SIZE];
    char challenge[FETCH_HEADER_SIZE]; /* Www-Authenticate */
    struct secret *body;               /* never NULL */
    bool is_cut;                       /* the body was longer than ANSWER_BODY_MAX */
    char id[FETCH_ID_SIZE];            /* client-request-id, for logs and for Microsoft's support */
    /* How far it got: for who wants to know where the way ends. */
    bool is_resolved, is_connected, is_secured;
};

/* The reply is valid during the call. The request has ended. */
typedef void fetch_done(void *context, const struct fetch_reply *reply);

/* Once, before anything that uses OpenSSL: memory that is released is wiped from then on. Ends the
 * program (EX_OSERR) if libcurl cannot be used. */
void fetch_prepare(void);

/* `base` must outlive it. Release with fetcher_free(). */
struct fetcher *fetcher_new(struct event_base *base, const struct settings *settings);
/* NULL is allowed; requests that are under way are gone without a word. */
void fetcher_free(struct fetcher *fetcher);
/* Other settings for requests from now on. */
void fetcher_configure(struct fetcher *fetcher, const struct settings *settings);

/* Begins a request; `done` is called later, never from within. */
struct fetch *fetch_begin(struct fetcher *fetcher, const struct fetch_request *request,
                          fetch_done *done, void *context);
/* Gives it up; `done` is not called. NULL is allowed. */
void fetch_cancel(struct fetch *fetch);

#endif
