/* handover.h - the milter's decision travels with the message
 *
 * The milter knows the login and has judged the sender as the client gave it; the transport sees
 * what Postfix made of that. So the milter writes the account into the message's ENVID (RFC 3461
 * section 4.4), which Postfix keeps with the sender and lmtp(8) hands on, and the transport reads
 * it there. The client's own ENVID stands before it and is restored on the wire.
 *
 *     <the client's ENVID>;365;<queue id>;<account>;<seal>
 *
 * The seal is HMAC-SHA-256 (RFC 2104, FIPS 180-4) over all of that under a key that no client
 * knows, cut to 128 bits (there, section 5), in base64url. Where there is no ENVID of the client's
 * and the account has 61 octets or fewer, the whole has 100 or fewer, which is what RFC 3461 allows
 * a client: after post365 is taken out, smtp(8) shows it to Microsoft.
 *
 * Pure.
 */
#ifndef POST365_COMMON_SENDER_HANDOVER_H
#define POST365_COMMON_SENDER_HANDOVER_H

#include "common/buffer.h"

#include <stdbool.h>

#define HANDOVER_KEY_SIZE 32 /* octets */

/* A zero-initialised struct is none. Release what was opened with handover_free(). */
struct handover {
    char *account;  /* the folded UPN */
    char *queue_id; /* under which the milter saw it: letters and digits, or "" */
    char *envid;    /* the client's own, decoded; "" if there was none */
};

/* Appends the sealed decision, as it stands behind `ENVID=`: in xtext. */
void handover_seal(struct buffer *xtext, const char key[HANDOVER_KEY_SIZE],
                   const struct handover *decision);

/* Reads an ENVID as a command gives it. False, and an empty decision, if it bears no seal under
 * this key: then it is a client's own. */
bool handover_open(const char *xtext, const char key[HANDOVER_KEY_SIZE], struct handover *decision);

/* Whether it has the form, whoever sealed it. */
bool handover_is_sealed(const char *xtext);

void handover_free(struct handover *decision);

#endif
