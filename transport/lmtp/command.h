/* command.h - a command of LMTP, read
 *
 * Sources: RFC 2033 (LMTP), RFC 5321 section 4.1 (commands, paths, parameters), RFC 6531
 * (SMTPUTF8), RFC 3461 section 4 and RFC 6533 section 3 (DSN), RFC 1870 (SIZE), RFC 6152 (BODY),
 * Postfix's XFORWARD_README. Strict: what is not exactly one of these commands is a mistake, but
 * for blanks at the end of a line, which RFC 5321 section 4.1.1 wants to see tolerated. Source
 * routes are read and dropped (there, appendix F.2).
 *
 * A parameter that we offer is another matter: Postfix has taken the message, with whatever its
 * client wanted told about it, and a wish for reports is no reason to lose mail. A value of any
 * length is taken (RFC 3461 bounds what a client sends, not what is passed on), and one that is
 * none counts as not given, as does a parameter's second time.
 *
 * Pure; no allocation. Names begin with lmtp_ because policyd has commands, too.
 */
#ifndef POST365_TRANSPORT_LMTP_COMMAND_H
#define POST365_TRANSPORT_LMTP_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Octets without CRLF. Postfix takes lines of 2048 (line_length_limit); each octet of an ENVID or
 * ORCPT may have become three of xtext and each of an address two, and the milter adds its seal. */
#define LMTP_LINE_MAX    16384
#define LMTP_FORWARD_MAX 255 /* octets of an XFORWARD value; more are cut off */

/* The reply to a line of more than LMTP_LINE_MAX octets, which is not read at all. */
#define LMTP_LINE_TOO_LONG "500 5.5.2 Line too long"

enum lmtp_verb {
    LMTP_UNKNOWN, /* always with a mistake */
    LMTP_LHLO,
    LMTP_MAIL,
    LMTP_RCPT,
    LMTP_DATA,
    LMTP_RSET,
    LMTP_NOOP,
    LMTP_QUIT,
    LMTP_VRFY,
    LMTP_XFORWARD,
    LMTP_HELO, /* or EHLO; always with a mistake */
    LMTP_VERBS,
};

enum lmtp_body_type {
    LMTP_BODY_NONE, /* BODY is not given */
    LMTP_BODY_7BIT,
    LMTP_BODY_8BITMIME,
};

/* What XFORWARD tells about the client of the client. */
enum lmtp_forward {
    LMTP_FORWARD_NAME,
    LMTP_FORWARD_ADDR,
    LMTP_FORWARD_PORT,
    LMTP_FORWARD_PROTO,
    LMTP_FORWARD_HELO,
    LMTP_FORWARD_IDENT, /* the queue id */
    LMTP_FORWARD_SOURCE,
    LMTP_FORWARDS,
};

/* Strings point into the line that was read; "" where a parameter is not given. */
struct lmtp_command {
    enum lmtp_verb verb;
    const char
        *mistake; /* why it cannot be done, as a whole reply without CRLF; constant, or NULL */
    /* MAIL, RCPT */
    const char *address; /* without angle brackets and source route; "" for the null sender; a
                            sender's may be no address: it only tells whose message it is */
    bool needs_utf8;     /* the address is for a transaction with SMTPUTF8 only */
    /* MAIL */
    uint64_t size; /* octets, 0 if not given; UINT64_MAX stands for more, too */
    bool has_utf8; /* SMTPUTF8 is given */
    enum lmtp_body_type body;
    const char *ret;   /* as given, FULL or HDRS in any case */
    const char *envid; /* as given, in xtext */
    /* RCPT */
    const char *notify; /* as given */
    const char *orcpt;  /* as given, type;xtext */
    bool orcpt_needs_utf8;
    /* XFORWARD: decoded, control characters shown as `?`; NULL if not named, "" if unavailable */
    const char *forward[LMTP_FORWARDS];
};

/*
 * Reads a line of `length` octets, at most LMTP_LINE_MAX, without its CRLF; any octets may be in
 * it. The line is taken apart: line[length] must be there to be written on, too. Sequence is not
 * looked at, nor whether a recipient that needs SMTPUTF8 has it.
 */
void lmtp_command_read(char *line, size_t length, struct lmtp_command *command);

#endif
