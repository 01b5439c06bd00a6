/* cause.h - why there is no access token, in plain words, with the remedy
 *
 * A table beside office365.h: a row for each cause, be it an error that Microsoft Entra's token
 * endpoint answers or what keeps post365 from getting as far as an answer. post365-tokend goes by
 * it, the admin's command shows it, and docs/ENTRA_ERRORS.md is generated from it.
 *
 * What is to be done goes by the HTTP status and the `error` of an answer alone. Microsoft changes
 * its AADSTS numbers and texts: the numbers choose the words, and what no row knows gets a general
 * row of its class.
 *
 * The table is constant; all functions are pure and safe to call from any thread.
 *
 * Sources: RFC 6749 section 5.2, RFC 8628 section 3.5; Microsoft's pages "Microsoft Entra
 * authentication and authorization error codes" and those on the flows.
 */
#ifndef POST365_COMMON_ENTRA_CAUSE_H
#define POST365_COMMON_ENTRA_CAUSE_H

#include <stdbool.h>
#include <stddef.h>

#define ENTRA_NUMBERS_MAX 12
#define ENTRA_ERRORS_MAX  6

enum entra_class {
    ENTRA_RETRY,  /* passes by itself: tried again, with growing delay */
    ENTRA_ADMIN,  /* somebody must change a setting, here or there */
    ENTRA_LOGIN,  /* the account's user must log in again: post365 login */
    ENTRA_PENDING /* a login by device code goes on */
};

struct entra_row {
    /* Stable: metrics and scripts use it. None is an office365_row's name, or one of ctl/cause.h's.
     */
    const char *name;
    /* One sentence. */
    const char *meaning;
    /* Sentences. Commands stand in backticks; `<UPN>` is the account, `<client id>`, `<tenant>` and
     * `<registration>` (the path of its file) the registration's. */
    const char *remedy;
    /* What it is where there is no answer to go by. */
    enum entra_class class;
    /* AADSTS numbers, in use up to the first 0. */
    unsigned numbers[ENTRA_NUMBERS_MAX];
    /* Values of `error` and `suberror` that mean this and nothing else, in use up to the first
     * NULL. */
    const char *errors[ENTRA_ERRORS_MAX];
};

/* What an answer that is an error says. */
struct entra_answer {
    unsigned status;         /* of HTTP */
    const char *error;       /* NULL: the body is no error of OAuth2's */
    const char *suberror;    /* NULL: none */
    const unsigned *numbers; /* of AADSTS, the most telling first */
    size_t number_count;
    bool is_user;    /* a grant of a user was asked for (grant = user), not an application's own */
    bool is_managed; /* it is the metadata service of a managed identity that was asked */
};

/* The row that says what an answer means, never NULL: by the `error` of a login by device code, by
 * its number, else by its `suberror` and `error`, else the general one of its class. */
const struct entra_row *entra_of_answer(const struct entra_answer *answer);

/* What is to be done about it: by HTTP status and `error`. */
enum entra_class entra_class_of_answer(const struct entra_answer *answer);

/* The row that a text is about, which somebody pasted or which stands in a log or a queue: by a
 * row's name that begins it or stands behind a blank with a colon behind it ("secret-expired:
 * ..."), by AADSTSnnn in it, by the "error" of a JSON object in it, whole or not. A number that no
 * row knows gives a general row. NULL: it speaks of none. */
const struct entra_row *entra_of_text(const char *text, size_t length);

/* By its name, or NULL. */
const struct entra_row *entra_named(const char *name);

/* All rows, `*count` of them. */
const struct entra_row *entra_rows(size_t *count);

/* In plain words, for example "login again". */
const char *entra_class_words(enum entra_class class);

/* --- rows of what is not an answer ------------------------------------------------------------ */

#define ENTRA_ENDPOINT_UNREACHABLE   "endpoint-unreachable"     /* no address answers */
#define ENTRA_ENDPOINT_UNRESOLVED    "endpoint-unresolved"      /* the name has no address */
#define ENTRA_ENDPOINT_TIMEOUT       "endpoint-timeout"         /* post365_oauth2_timeout */
#define ENTRA_ENDPOINT_TROUBLE       "endpoint-trouble"         /* 5xx, 408 */
#define ENTRA_ENDPOINT_THROTTLED     "endpoint-throttled"       /* 429 */
#define ENTRA_ENDPOINT_REDIRECT      "endpoint-redirect"        /* 3xx */
#define ENTRA_ENDPOINT_UNTRUSTED     "endpoint-untrusted"       /* TLS: unknown issuer */
#define ENTRA_ENDPOINT_NAME          "endpoint-name"            /* TLS: for another name */
#define ENTRA_ENDPOINT_EXPIRED       "endpoint-expired"         /* TLS: not valid now */
#define ENTRA_ENDPOINT_TLS           "endpoint-tls"             /* TLS: anything else */
#define ENTRA_PROXY_REFUSED          "proxy-refused"            /* 407 and other refusals */
#define ENTRA_PROXY_UNREACHABLE      "proxy-unreachable"        /* the proxy itself */
#define ENTRA_ANSWER_UNINTELLIGIBLE  "answer-unintelligible"    /* HTML, empty, half, too long */
#define ENTRA_TOKEN_UNUSABLE         "token-unusable"           /* CR LF, too long, not Bearer */
#define ENTRA_LIFE_UNUSABLE          "token-life-unusable"      /* expires_in negative, huge, NaN */
#define ENTRA_REFRESH_TOKEN_MISSING  "refresh-token-missing"    /* a login without one */
#define ENTRA_CLOCK_WRONG            "clock-wrong"              /* the assertion's time */
#define ENTRA_REGISTRATION_MISSING   "registration-missing"     /* no such file, or unreadable */
#define ENTRA_REGISTRATION_WRONG     "registration-wrong"       /* what stands in it */
#define ENTRA_SECRET_FILE_MISSING    "secret-file-missing"      /* also of a token of federation */
#define ENTRA_SECRET_FILE_UNREADABLE "secret-file-unreadable"   /* EACCES */
#define ENTRA_SECRET_FILE_OPEN       "secret-file-open"         /* others may read or write it */
#define ENTRA_SECRET_FILE_WRONG      "secret-file-wrong"        /* empty, too long, no secret */
#define ENTRA_CERTIFICATE_WRONG      "certificate-unusable"     /* no PEM, EC, too short a key */
#define ENTRA_KEY_MISMATCH           "certificate-key-differs"  /* key and certificate */
#define ENTRA_CERTIFICATE_EXPIRED    "certificate-over"         /* notAfter, notBefore, ours */
#define ENTRA_LOGIN_NEEDED           "login-needed"             /* no grant yet */
#define ENTRA_GRANT_LOST             "grant-lost"               /* stored grant cannot be used */
#define ENTRA_GRANT_OF_ANOTHER       "grant-of-another"         /* another user logged in */
#define ENTRA_IDENTITY_MISSING       "managed-identity-missing" /* VM or Arc has none */
#define ENTRA_IDENTITY_KEY           "managed-identity-key"     /* Arc: the key file */
#define ENTRA_DAEMON_DOWN            "token-daemon-down"        /* post365-tokend */
#define ENTRA_DAEMON_UNAWARE         "token-daemon-unaware"     /* of this account */

/* Of answers, where no number tells: general. */
#define ENTRA_REQUEST_REFUSED "request-refused" /* ENTRA_ADMIN */
#define ENTRA_LOGIN_REFUSED   "login-again"     /* ENTRA_LOGIN */
#define ENTRA_LOGIN_PENDING   "login-pending"   /* ENTRA_PENDING */

#endif
