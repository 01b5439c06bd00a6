/* body.c - the data of a message on its way through
 *
 * Where a line begins, and at each CR, up to two more octets have to be seen. They are looked at
 * where they are, not remembered: what cannot be decided is left to the caller, who has it anyway.
 *
 * Security: what is passed on here is what Office 365 reads as one message. The end is decided
 * here alone.
 */
#include "transport/lmtp/body.h"

#include <string.h>

/* What stands at the place that is looked at. */
enum sight {
    SIGHT_PART,      /* octets of a line */
    SIGHT_STRAY,     /* a CR or LF that is no line end */
    SIGHT_LINE_END,  /* CRLF */
    SIGHT_END,       /* the dot and CRLF that end the data */
    SIGHT_UNDECIDED, /* it takes more octets to tell */
};

/* Where the next CR or LF is, or the length. */
static size_t find_line_end(const char *octets, size_t length)
{
    size_t at = 0;
    while (at < length && octets[at] != '\r' && octets[at] != '\n')
        at++;
    return at;
}

static enum sight look(const char *octets, size_t length, bool in_line)
{
    if (length == 0)
        return SIGHT_UNDECIDED;
    if (octets[0] == '\n')
        return SIGHT_STRAY;
    if (octets[0] == '\r') {
        if (length == 1)
            return SIGHT_UNDECIDED;
        return octets[1] == '\n' ? SIGHT_LINE_END : SIGHT_STRAY;
    }
    if (in_line || octets[0] != '.')
        return SIGHT_PART;
    if (length > 1 && octets[1] != '\r')
        return SIGHT_PART;
    if (length < BODY_END_LENGTH)
        return SIGHT_UNDECIDED;
    return octets[2] == '\n' ? SIGHT_END : SIGHT_PART;
}

size_t body_take(struct body *body, char *octets, size_t length)
{
    size_t at = 0;
    for (;;) {
        switch (look(octets + at, length - at, body->in_line)) {
        case SIGHT_PART:
            at += find_line_end(octets + at, length - at);
            body->in_line = true;
            break;
        case SIGHT_STRAY:
            octets[at++] = ' ';
            body->in_line = true;
            body->replaced++;
            break;
        case SIGHT_LINE_END:
            at += 2;
            body->in_line = false;
            break;
        case SIGHT_END:
            body->has_ended = true;
            return at;
        case SIGHT_UNDECIDED:
            return at;
        }
    }
}
