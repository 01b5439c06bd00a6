/* silence.h - trouble of an account that no reply tells of
 *
 * Connections that stall or break, an end that nobody knows, a login that got no answer: each has a
 * name, as the replies of Office 365 have one (common/office365.h). The transport writes it in
 * front of a pause's cause, and of the note that it leaves with the ledger while it lasts; the
 * admin's command gives meaning and remedy. No name is one of office365_rows().
 *
 * Constant; safe from any thread.
 */
#ifndef POST365_COMMON_SILENCE_H
#define POST365_COMMON_SILENCE_H

#include <stdbool.h>

enum silence {
    SILENCE_NONE,
    SILENCE_MAYBE_DELIVERED, /* between the final dot and its reply, more than once in a row */
    SILENCE_STALLED,         /* nothing comes, or goes, over a connection that is there */
    SILENCE_LOST,            /* connections break in the midst of messages, again and again */
    SILENCE_LOGIN,           /* the login ended without an answer */
    SILENCES,
};

/* Stable: filters, metrics and scripts use it. "" for SILENCE_NONE. */
const char *silence_name(enum silence silence);

/* What stands in the reason of a message that may have been delivered. */
#define SILENCE_DOUBT_WORDS "it may have been delivered"

/* Whether this reason, as Postfix keeps it in its queue, says so of the message itself, and not of
 * others for which its account is paused. */
bool silence_is_doubt(const char *reason);

#endif
