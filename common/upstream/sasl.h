/* sasl.h - the client's side of AUTH LOGIN and AUTH XOAUTH2
 *
 * Pure: lines in, lines out. The caller sends what sasl_first() gives; hands each challenge (334)
 * to sasl_next() and sends what that gives; any other reply ends the exchange. All lines are
 * without their line ends and secret, since base64 hides nothing.
 *
 * Sources: MS-XLOGIN and draft-murchison-sasl-login (LOGIN), Microsoft's and Google's pages on
 * XOAUTH2, RFC 4954.
 */
#ifndef POST365_COMMON_UPSTREAM_SASL_H
#define POST365_COMMON_UPSTREAM_SASL_H

#include "common/error.h"
#include "common/secret.h"

#include <stdbool.h>
#include <stddef.h>

/* The longest command line with its CR LF (RFC 5321, 4.5.3.1.4): an initial response that makes
 * AUTH longer must wait for a challenge (RFC 4954, section 4). */
#define SASL_COMMAND_MAX ((size_t)512)
/* Of what the server says about a token that it refuses, so many bytes are kept. */
#define SASL_PROBLEM_SIZE 512

enum sasl_mechanism { SASL_LOGIN, SASL_XOAUTH2 };

enum sasl_state {
    SASL_IDLE,           /* nothing was sent */
    SASL_USER_WANTED,    /* LOGIN: the next challenge asks for the user name */
    SASL_SECRET_WANTED,  /* LOGIN: for the password; XOAUTH2: for user and token */
    SASL_OUTCOME_WANTED, /* all was sent; XOAUTH2: a challenge now is a refusal with its reasons */
    SASL_REFUSED,   /* the reasons were acknowledged, and a reply that is no challenge is due */
    SASL_CANCELLED, /* a challenge too many was answered with "*" */
};

struct sasl {
    enum sasl_mechanism mechanism;
    enum sasl_state state;
    const char *user;
    const struct secret *secret;
    char problem[SASL_PROBLEM_SIZE]; /* what the server says about a refused token, else "" */
};

/* `user` (a user name in Microsoft 365, without control characters) and `secret`, the password or
 * the token, stay the caller's and must outlive the exchange. */
void sasl_start(struct sasl *sasl, enum sasl_mechanism mechanism, const char *user,
                const struct secret *secret);

/* The AUTH command; once. With XOAUTH2 it has the initial response in it if the whole line is no
 * longer than `line_max` bytes with its CR LF: SASL_COMMAND_MAX, or 0 for never. The result is the
 * caller's to secret_free(). */
struct secret *sasl_first(struct sasl *sasl, size_t line_max);

/* The answer to a challenge, of which `text` is what stands behind "334 ", and at most some
 * kilobytes; the caller's to secret_free(). What LOGIN's challenges ask is not looked at: servers
 * word it as they like, and all ask in the same order. After SASL_CANCELLED there is none: NULL
 * with the reason, and the connection is of no use. */
struct secret *sasl_next(struct sasl *sasl, const char *text, struct error *error);

/* "LOGIN", "XOAUTH2" */
const char *sasl_mechanism_name(enum sasl_mechanism mechanism);

#endif
