/* judgement.h - what comes of a reply: its cause, what Postfix is told, whether somebody must act
 *
 * The one place where that is decided. The transport does it, the queue's causes and `post365
 * explain` show it, so that no two of them give two answers. It is the table of common/office365.h,
 * and what holds whatever the table says:
 *   - before the message (greeting, STARTTLS, AUTH) nothing ends a message, whatever the code;
 *   - 421 is about a connection of which Postfix knows nothing: it is told 451;
 *   - what is neither 4xx nor 5xx where something else was asked for is a failure, a temporary one;
 *   - where a reply quotes the one to a login that failed before it, that one says the cause.
 *
 * Pure; a struct judgement is no resource.
 */
#ifndef POST365_COMMON_JUDGEMENT_H
#define POST365_COMMON_JUDGEMENT_H

#include "common/office365.h"

#include <stdbool.h>
#include <stddef.h>

struct judgement {
    /* The cause; never NULL. Whether somebody must act is in it. */
    const struct office365_row *row;
    /* Where the reply was given, as far as that is known. */
    enum reply_stage stage;
    /* What Postfix is told of a refusal. 0 is in `code` where the text had only an enhanced code.
     */
    unsigned code;
    struct reply_enhanced enhanced;
    bool is_accepted;  /* it is no refusal (2xx, 3xx); the codes are for where one is needed */
    bool is_temporary; /* Postfix keeps the message and tries again */
};

/* Judges what was said at `stage`; REPLY_STAGE_UNKNOWN: at the one that reply_find() saw, if any.
 */
void judgement_of_reply(const struct reply *reply, enum reply_stage stage,
                        struct judgement *judgement);

/* Judges the reply in `length` bytes of text: what a log, a report, the queue or a program has of
 * it, with blanks and line breaks anywhere. Where post365-transport has put its own words around a
 * server's, the server's count. `reply` gets what is judged. False, with the reason in `error` (may
 * be NULL), if there is no reply in it. */
bool judgement_of_text(const char *text, size_t length, struct reply *reply,
                       struct judgement *judgement, struct error *error);

/* The same judgement for another row of the table, which somebody has found out before. */
void judgement_take_row(struct judgement *judgement, const struct office365_row *row);

#endif
