/* cause.h - why a message waits: the reason in Postfix's queue, in plain words, with the remedy
 *
 * A reason is what Postfix says (smtp(8), lmtp(8), qmgr(8)), what post365-transport told it, or
 * what Office 365 or its token endpoint told that: the cause is found in the innermost words that
 * make sense. Pure.
 *
 * The texts of others are believed: this is for showing, and for choosing what to look at.
 */
#ifndef POST365_CTL_CAUSE_H
#define POST365_CTL_CAUSE_H

#include "common/entra/cause.h"
#include "common/judgement.h"
#include "common/settings.h"

#include <stdbool.h>
#include <stddef.h>

/* What the message waits for. */
enum cause_wait {
    CAUSE_ROOM,     /* in the account's quota, which the ledger knows */
    CAUSE_PAUSE,    /* the end of the account's pause */
    CAUSE_SCHEDULE, /* Postfix's next attempt */
    CAUSE_SOMEBODY, /* to do what the remedy says; tried again all the same */
};

struct cause {
    const char *name;    /* stable: one of ours, of an office365_row or of an entra_row */
    const char *meaning; /* one sentence */
    const char *remedy;  /* sentences; `<UPN>` in them is the account, see entra_row for more */
    enum cause_wait wait;
    const struct office365_row *row; /* NULL: not an answer of Office 365's */
    const struct entra_row *entra;   /* NULL: not about the account's access token */
};

/* The cause in a reason, as postqueue(1) or the log has it, line breaks and further blanks in it or
 * not; never NULL. Causes are constant, and the same name is the same pointer.
 *
 * A relay has more servers than Microsoft's, and deliveries of its own: what they say is not taken
 * for Microsoft's. `settings` tell which server is meant (relayhost) and whether our own mail
 * passes post365-transport, which is seen in its reasons. NULL: not known; then Microsoft's names
 * count. */
const struct cause *cause_find(const char *reason, const struct settings *settings);

/* The name of the server that the reason is about, as Postfix wrote it into `reason`,
 * "relay.example" of "connect to relay.example[192.0.2.1]:25: ..."; its length, 0 if there is none.
 */
size_t cause_server(const char *reason, const char **name);

/* Judges the reply in a reason that has the cause `cause`, see judgement_of_text(). */
bool cause_judge(const struct cause *cause, const char *reason, struct reply *reply,
                 struct judgement *judgement, struct error *error);

/* Whether it is another server's, which cause_server() names. */
bool cause_is_elsewhere(const struct cause *cause);

/* By its name, or NULL. */
const struct cause *cause_named(const char *name);

/* Why an account is paused, or what a note says of it: the name in front of the text; without one
 * it is somebody's own. */
const struct cause *cause_of_account(const char *text);

/* Whether it is Microsoft that did not take the mail, or gave no token for it. */
bool cause_is_answer(const struct cause *cause);

/* Whether it says no more than that there is a reason, or none. */
bool cause_is_general(const struct cause *cause);

/* All there are: cause_at() takes 0 up to that. */
size_t cause_count(void);
const struct cause *cause_at(size_t number);

#endif
