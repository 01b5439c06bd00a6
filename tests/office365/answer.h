/* answer.h - one reply, and the way in which it is given */
#ifndef OFFICE365_ANSWER_H
#define OFFICE365_ANSWER_H

#include "faults.h"
#include "replies.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum answer_manner {
    ANSWER_PLAIN,
    ANSWER_SILENT,  /* nothing is sent */
    ANSWER_GARBAGE, /* something is, but no reply */
    ANSWER_TRICKLE, /* byte after byte */
    ANSWER_ENDLESS  /* without a last line */
};

enum answer_then {
    THEN_CONTINUE,
    THEN_CLOSE, /* when all has been written */
    THEN_DROP,  /* at once */
    THEN_RESET, /* at once, with a RST */
    THEN_STARTTLS
};

struct answer {
    char *text; /* with CRLFs; NULL if silent */
    size_t length;
    double delay; /* seconds before anything happens */
    enum answer_manner manner;
    enum answer_then then;
    double interval; /* ANSWER_TRICKLE: seconds between bytes */
    int64_t bytes;   /* ANSWER_ENDLESS: stop there; 0: never */
};

/* answer_text - a plain answer of one or more lines; line ends may be LF or CRLF or missing */
struct answer answer_text(const char *text);

/* answer_row - a plain answer out of the table of replies (see reply_text); 421 closes */
struct answer answer_row(enum reply_row row, const char *login, const char *other, uint64_t stamp);

/*
 * answer_disturb - what a fault makes of an answer. faults gives the random bytes; login, other and
 * stamp are for rows.
 */
void answer_disturb(struct answer *answer, const struct fault *fault, struct faults *faults,
                    const char *login, const char *other, uint64_t stamp);

/* answer_positive - will the client be told yes? */
bool answer_positive(const struct answer *answer);

/* answer_line - the text without its last CRLF, as the journal shows it; new string, or NULL */
char *answer_line(const struct answer *answer);

void answer_clear(struct answer *answer);

#endif
