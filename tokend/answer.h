/* answer.h - what the token endpoint answers: a token, a device code, or why there is none
 *
 * Nothing of an answer is believed but what it must say: neither its Content-Type nor its size, nor
 * that a 200 holds a token. What is shown of it to people is one line without control characters.
 * Pure. Whoever uses it calls answer_prepare() first.
 *
 * Sources: RFC 6749 section 5, RFC 6750 section 2.1, RFC 8628 section 3.2, RFC 9110 sections 5.6.7
 * and 10.2.3; Microsoft Learn, "OAuth 2.0 client credentials flow", "OAuth 2.0 device authorization
 * grant", "Access tokens in the Microsoft identity platform".
 */
#ifndef POST365_TOKEND_ANSWER_H
#define POST365_TOKEND_ANSWER_H

#include "common/entra/cause.h"
#include "common/oauth2/tokens.h"
#include "common/secret.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ANSWER_BODY_MAX ((size_t)64 * 1024) /* bytes that are read of a body; more is no answer */
#define ANSWER_TOKEN_MAX                                                                           \
    ((size_t)8000) /* bytes of an access token: it must fit a line of attr.h                       \
                    */
#define ANSWER_REFRESH_TOKEN_MAX ((size_t)16 * 1024)
#define ANSWER_LIFE_MAX          86400 /* seconds after which a token is asked for anew in any case */
#define ANSWER_LIFE_DEFAULT      3599 /* where expires_in is missing, which RFC 6749 permits */
#define ANSWER_WAIT_MAX          3600 /* seconds, of Retry-After */
#define ANSWER_ID_SIZE           64   /* of trace and correlation ids, with the NUL */

/* What was asked. */
enum answer_question {
    ANSWER_APP,          /* client credentials */
    ANSWER_MANAGED,      /* a managed identity: of a metadata service */
    ANSWER_REFRESH,      /* by a refresh token */
    ANSWER_DEVICE_BEGIN, /* a device code */
    ANSWER_DEVICE_POLL   /* the tokens of a login by device code */
};

/* As it came. */
struct answer_received {
    enum answer_question question;
    unsigned status;         /* of HTTP */
    const char *retry_after; /* values of headers; NULL: none */
    const char *date;
    const struct secret *body; /* at most ANSWER_BODY_MAX, cut there; NULL: empty */
    bool is_cut;               /* the body was longer */
    int64_t now;               /* seconds since the epoch, when it came, for dates */
    /* What was sent, some of which must not be shown, should the endpoint, or somebody on the way
     * to it, say it again: the form, of which client secrets, assertions, refresh tokens and device
     * codes are meant; and another secret, all of it. Both may be NULL. */
    const struct secret *form;
    const struct secret *hidden;
};

enum answer_outcome { ANSWER_FAILED, ANSWER_TOKEN, ANSWER_CODE };

struct answer {
    enum answer_outcome outcome;
    /* In any case: the endpoint's clock minus ours in seconds, where it told. */
    bool has_skew;
    int64_t skew;

    /* ANSWER_TOKEN */
    struct secret *token;
    uint32_t life;                /* seconds from the moment of asking, 1 to ANSWER_LIFE_MAX */
    bool is_life_told;            /* else it is ANSWER_LIFE_DEFAULT */
    uint32_t refresh_in;          /* seconds, below `life`; 0: not said */
    struct secret *refresh_token; /* a new one to be stored; NULL: none came */

    /* ANSWER_CODE: a login by device code has begun */
    struct secret *device_code;
    char user_code[32];
    char verification_uri[256];
    uint32_t code_life; /* seconds, 60 to ANSWER_LIFE_MAX */
    uint32_t interval;  /* seconds between polls, 1 to 60 */

    /* ANSWER_FAILED */
    const struct entra_row *row;
    enum entra_class class;
    bool is_slow_down; /* ENTRA_PENDING: 5 s more between polls from now on (RFC 8628, 3.5) */
    char error[64];    /* "invalid_client"; "": none */
    uint32_t wait; /* seconds that the endpoint asks for, at most ANSWER_WAIT_MAX; 0: not said */
    char trace_id[ANSWER_ID_SIZE]; /* for Microsoft's support; "": none */
    char correlation_id[ANSWER_ID_SIZE];
    /* One line without the remedy and without any token. */
    char reason[TOKENS_REASON_MAX + 1];
};

/* Lets jansson wipe what it releases, since answers hold tokens. Once, before anything else of
 * jansson's is called. */
void answer_prepare(void);

/* Reads an answer. What `answer` held is not released. Release with answer_free(). */
void answer_read(struct answer *answer, const struct answer_received *received);

/* Makes it a failure that is not the endpoint's word; `name` is that of an entra_row, the format
 * gives the reason. */
__attribute__((format(printf, 3, 4))) void answer_fail(struct answer *answer, const char *name,
                                                       const char *format, ...);

/* Wipes and releases what is in it; it is all zero then. */
void answer_free(struct answer *answer);

/* Seconds to wait by a Retry-After, from 0 to ANSWER_WAIT_MAX: seconds, or a date after `now`.
 * False if it is neither. */
bool answer_retry_after(const char *value, int64_t now, uint32_t *wait);

/* Seconds since the epoch of a date of HTTP in any of its three forms. False if it is none. */
bool answer_date(const char *value, int64_t *seconds);

#endif
