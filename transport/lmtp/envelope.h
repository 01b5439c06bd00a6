/* envelope.h - what a transaction has said before its data
 *
 * XFORWARD first, then MAIL, then each RCPT, as transport/lmtp/command.h reads them. Bounded: so
 * many recipients, so many octets.
 */
#ifndef POST365_TRANSPORT_LMTP_ENVELOPE_H
#define POST365_TRANSPORT_LMTP_ENVELOPE_H

#include "transport/lmtp/command.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ENVELOPE_RECIPIENTS_MAX 1000       /* what Postfix sends at once is 50 by default */
#define ENVELOPE_OCTETS_MAX     (1U << 20) /* of memory, for all of it */

/* Strings are never NULL; "" where a parameter was not given. The form that was given stays. */
struct envelope_recipient {
    const char *address; /* without angle brackets */
    const char *notify;
    const char *orcpt;
};

/* A zero-initialised struct is an envelope that nobody has begun. Release with envelope_clear(). */
struct envelope {
    const char *sender; /* without angle brackets; "" is the null sender; NULL before MAIL. Not
                           fit for the wire before somebody has looked at it */
    uint64_t size;      /* octets, as MAIL declared it; 0 if not */
    enum lmtp_body_type body;
    bool utf8; /* SMTPUTF8 */
    const char *ret;
    const char *envid;
    struct envelope_recipient *recipients;
    size_t recipient_count, recipient_room;
    size_t octets; /* of memory */
    /* What XFORWARD has told, decoded: at most LMTP_FORWARD_MAX octets without control characters.
     * NULL if not told, "" if unavailable. */
    char *forward[LMTP_FORWARDS];
};

/* Keeps what an XFORWARD without mistake tells. */
void envelope_forward(struct envelope *envelope, const struct lmtp_command *command);

/* Keeps what a MAIL without mistake says. The envelope was not begun. */
void envelope_begin(struct envelope *envelope, const struct lmtp_command *command);
bool envelope_has_begun(const struct envelope *envelope);

/* Adds the recipient of a RCPT without mistake. Returns NULL, or the reply why it cannot be,
 * constant, without CRLF. */
const char *envelope_add(struct envelope *envelope, const struct lmtp_command *command);

/* Postfix's queue id, from XFORWARD: letters and digits, fit for a command line. "" if it is not
 * known, or looks different. Postfix tells it (lmtp_send_xforward_command = yes) of mail that came
 * by SMTP, but not of mail from sendmail(1); of mail that came back from a content filter with
 * XFORWARD it tells the id that the message had before. */
const char *envelope_queue_id(const struct envelope *envelope);

/* Forgets everything, XFORWARD included, and releases its memory. */
void envelope_clear(struct envelope *envelope);

#endif
