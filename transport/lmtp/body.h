/* body.h - the data of a message on its way through
 *
 * Finds where the data end: at CRLF . CRLF, or at . CRLF at the very beginning, and nowhere else
 * (RFC 5321 section 4.1.1.4). Everything before goes on as it came, dot-stuffing and NULs included,
 * but for a CR or LF that is not part of CRLF: it becomes a blank, as in Postfix 3.9
 * (cleanup_replace_stray_cr_lf), since RFC 5321 section 2.3.8 forbids to send it on. So nothing
 * that goes on can end anywhere for a peer that takes a bare CR or LF for a line end (SMTP
 * smuggling).
 *
 * Pure, no allocation, constant memory; lines may have any length.
 */
#ifndef POST365_TRANSPORT_LMTP_BODY_H
#define POST365_TRANSPORT_LMTP_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* At most so many octets at the end of what is there cannot be told yet: `.` and CR. */
#define BODY_UNDECIDED_MAX 2

/* All zero before the first octet. */
struct body {
    bool in_line;      /* what comes next is not at the beginning of a line */
    bool has_ended;    /* the dot and its CRLF were found */
    uint64_t replaced; /* bare CRs and LFs that became blanks */
};

/*
 * Works on the `length` octets that come next, in their place. Returns how many of them, from the
 * first one on, go on. What is left is to be given again, with what follows it behind; it is at
 * most BODY_UNDECIDED_MAX octets. With body.has_ended, what is left begins with BODY_END_LENGTH
 * octets that go nowhere, and behind them is the next command; not to be called any more.
 */
#define BODY_END_LENGTH 3
size_t body_take(struct body *body, char *octets, size_t length);

#endif
