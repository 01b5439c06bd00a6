/* envelope.h - the arguments of MAIL and RCPT */
#ifndef OFFICE365_ENVELOPE_H
#define OFFICE365_ENVELOPE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum envelope_body { BODY_7BIT, BODY_8BITMIME, BODY_BINARYMIME };

struct envelope {
    char *raw;          /* between the angle brackets, as it came */
    char *address;      /* in the one form of address.h; "" for the null sender */
    json_t *parameters; /* NAME: value (or true), as they came */
    int64_t size;       /* SIZE=, or -1 */
    enum envelope_body body;
    bool utf8; /* SMTPUTF8 */
};

/*
 * envelope_parse_mail, envelope_parse_rcpt - read "FROM:<path> parameters" or "TO:<path>
 * parameters" (RFC 5321 section 4.1.1, RFC 1870, 3030, 3461, 4954, 6152, 6531). NULL on success;
 * else the reply that says what is wrong, and the envelope is empty.
 */
const char *envelope_parse_mail(const char *arguments, struct envelope *envelope);
const char *envelope_parse_rcpt(const char *arguments, bool utf8, struct envelope *envelope);

void envelope_clear(struct envelope *envelope);

#endif
