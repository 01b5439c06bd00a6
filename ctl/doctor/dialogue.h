/* dialogue.h - the client's side of an SMTP connection, one step after the other
 *
 * Blocking, with poll(2): each call takes at most DIALOGUE_TIMEOUT, however slowly the server
 * answers; what is read is bounded by reply.h and by the longest line. After a call that has failed
 * the dialogue is only to be closed.
 *
 * Sources: RFC 5321, RFC 3207.
 */
#ifndef POST365_CTL_DOCTOR_DIALOGUE_H
#define POST365_CTL_DOCTOR_DIALOGUE_H

#include "common/buffer.h"
#include "common/error.h"
#include "common/reply.h"

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DIALOGUE_TIMEOUT 20 /* seconds */
#define DIALOGUE_LINE    4096

struct dialogue {
    int descriptor; /* connected, and not blocking; -1: none yet */
    SSL *ssl;       /* NULL: in plain text */
    char input[DIALOGUE_LINE];
    size_t start, end;   /* what was read of it and not used */
    struct buffer lines; /* of the last reply, without codes, an LF behind each */
};

/* All of it as before the first connection. */
void dialogue_init(struct dialogue *dialogue);
void dialogue_close(struct dialogue *dialogue);

/* Reads a reply, of whatever code. */
bool dialogue_hear(struct dialogue *dialogue, struct reply *reply, struct error *error);

/* Sends octets: a line and its CR LF. */
bool dialogue_say(struct dialogue *dialogue, const char *bytes, size_t length, struct error *error);

/* Sends a line, and reads the reply. */
__attribute__((format(printf, 4, 5))) bool dialogue_ask(struct dialogue *dialogue,
                                                        struct reply *reply, struct error *error,
                                                        const char *format, ...);

/* Says farewell, and does not wait for an answer. */
void dialogue_quit(struct dialogue *dialogue);

/* Appends a reply as it came: "535 5.7.3 Authentication unsuccessful". */
void dialogue_write_reply(struct buffer *text, const struct reply *reply);

/* Octets that have come and that nobody has asked for. */
size_t dialogue_pending(const struct dialogue *dialogue);

/* The handshake, as the client of `host` (verify.h). False, with the reason, if it fails; then
 * dialogue->ssl still tells what the peer has shown. */
bool dialogue_encrypt(struct dialogue *dialogue, SSL_CTX *context, const char *host,
                      struct error *error);

#endif
