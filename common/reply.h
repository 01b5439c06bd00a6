/* reply.h - an SMTP reply: code, enhanced status code, text
 *
 * Reads a reply as it comes over the wire, line by line or whole, and finds one in a line of
 * Postfix's log, in the reason of a deferred message, or in what an admin pasted from a report.
 *
 * A struct reply is fixed in size, holds no pointer and is no resource: declare it where it is
 * needed, copy it, forget it. All functions are pure and safe to call from any thread.
 *
 * Sources: RFC 5321 section 4.2 (codes, several lines), RFC 2034 and RFC 3463 (enhanced status
 * codes), Postfix src/smtp/smtp_proto.c and smtp_sasl_glue.c (how a reply stands in a reason).
 */
#ifndef POST365_COMMON_REPLY_H
#define POST365_COMMON_REPLY_H

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>

/* Longer text is cut, with `cut` set. Twice what Postfix keeps of a reply (line_length_limit). */
#define REPLY_TEXT_SIZE 4096
/* A reply with more lines is an error: a server that never ends must not hold us for ever. */
#define REPLY_LINES_MAX 128

/* Where in the dialogue a reply was given. */
enum reply_stage {
    REPLY_STAGE_UNKNOWN,
    REPLY_STAGE_CONNECT, /* the greeting, EHLO, HELO */
    REPLY_STAGE_STARTTLS,
    REPLY_STAGE_AUTH,
    REPLY_STAGE_MAIL,
    REPLY_STAGE_RCPT,
    REPLY_STAGE_DATA,
    REPLY_STAGE_END_OF_DATA,
    REPLY_STAGE_REPORT, /* no reply at all: a report by mail, after the message was accepted */
};
#define REPLY_STAGES (REPLY_STAGE_REPORT + 1)

/* class.subject.detail of RFC 3463; class is 2, 4 or 5, and 0 where there is no enhanced code. */
struct reply_enhanced {
    unsigned class;
    unsigned subject;
    unsigned detail;
};

struct reply {
    /* 200 to 599. 0 only from reply_find() in text that has nothing but an enhanced code. */
    unsigned code;
    /* Of the last line that has one, as Postfix reads it. Its class may differ from the code's:
     * Office 365 says `451 5.7.3`. */
    struct reply_enhanced enhanced;
    /* From reply_find() where the text tells it, otherwise REPLY_STAGE_UNKNOWN. */
    enum reply_stage stage;
    unsigned lines;
    bool cut;
    size_t length;
    /* The lines without their codes, joined with a space, `length` bytes and a NUL. Control bytes
     * are shown as `?` (a tab as a space), bytes above 0x7f are as they came. */
    char text[REPLY_TEXT_SIZE];
};

enum reply_progress {
    REPLY_MORE,     /* the line ends in a way that promises another */
    REPLY_COMPLETE, /* that was the last line */
    REPLY_MALFORMED /* not a reply: the dialogue cannot go on; the reason is in `error` */
};

/* Makes `reply` ready for its first line. */
void reply_begin(struct reply *reply);

/* Takes the next line, `length` bytes without its line end; any bytes may be in it. `error` may be
 * NULL. Malformed: no code of three digits from 200 to 599, something else than a space, `-` or
 * nothing behind it, a code that differs from the first line's, a line behind the last one, or
 * more than REPLY_LINES_MAX lines. After that `reply` is to be started anew. */
enum reply_progress reply_add_line(struct reply *reply, const char *line, size_t length,
                                   struct error *error);

/* Reads one whole reply: `length` bytes of lines that end in CRLF or LF, the last of which may lack
 * its end. False, with the reason in `error` (may be NULL), if it is malformed, not complete, or
 * followed by anything. */
bool reply_parse(struct reply *reply, const char *bytes, size_t length, struct error *error);

/* Finds the reply in `length` bytes of text, the first of:
 *   - a code that opens the text;
 *   - one behind Postfix's own words (`... said: `, `... refused to talk to me: `);
 *   - the first code with an enhanced code;
 *   - an enhanced code alone, as in `5.7.705 Access denied, tenant has exceeded threshold`.
 * Postfix's `(in reply to ... command)` and like words tell the stage and are left out of the text;
 * lines of a reply that Postfix joined are taken apart again, REPLY_LINES_MAX at most.
 * False, with the reason in `error` (may be NULL), if there is none. Meant for showing: what the
 * text says is believed, and a sender can put words into it. */
bool reply_find(struct reply *reply, const char *text, size_t length, struct error *error);

/* Turns 5yz into 4yz, and an enhanced code 5.y.z into 4.y.z. Others stay as they are. */
void reply_make_temporary(unsigned *code, struct reply_enhanced *enhanced);

#endif
