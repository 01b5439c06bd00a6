/* office365.h - what each reply of Office 365 means, and the remedy
 *
 * One table: a row for each cause, with every spelling of its replies that is known, what it means
 * in plain words, what the admin does about it, what Postfix is to be told, and what happens to the
 * account. The transport obeys it, the admin's command shows it, and the reply filter in
 * conf/office365_replies.regexp and docs/OFFICE365_REPLIES.md are generated from it.
 *
 * The rule behind it: what a later attempt can mend is temporary, whatever code it comes with; a
 * real permanent refusal stays permanent.
 *
 * The table is constant; all functions are pure and safe to call from any thread.
 */
#ifndef POST365_COMMON_OFFICE365_H
#define POST365_COMMON_OFFICE365_H

#include "common/reply.h"

#include <stdbool.h>
#include <stddef.h>

#define OFFICE365_PATTERNS_MAX 8
#define OFFICE365_AT(stage)    (1U << (stage))

/* What Postfix is told. */
enum office365_told {
    OFFICE365_AS_IS,    /* the reply as it is; a 4xx code is temporary already */
    OFFICE365_TEMPORARY /* 4yz for 5yz and 4.y.z for 5.y.z, see reply_make_temporary() */
};

/* What happens to the account, that is, to all of its other mail. */
enum office365_account {
    OFFICE365_ACCOUNT_NOTHING,          /* it goes on: this concerns one message or recipient */
    OFFICE365_ACCOUNT_RETRY_SOON,       /* again in seconds, with fewer connections */
    OFFICE365_ACCOUNT_PAUSE_SHORT,      /* a minute's pause */
    OFFICE365_ACCOUNT_PAUSE_FOR_ROOM,   /* until the ledger sees room again, an hour at most between
                                           two probes: others may use the mailbox too */
    OFFICE365_ACCOUNT_PAUSE_UNTIL_FIXED /* somebody must mend it; probed one at a time with a delay
                                           that grows from a minute to an hour */
};

/* How the stages of a pattern are meant. */
enum office365_place {
    OFFICE365_SEEN_AT,  /* known from there; means the same elsewhere */
    OFFICE365_ONLY_AT,  /* means something else at another stage; fits an unknown stage */
    OFFICE365_SURELY_AT /* fits only where the stage is known */
};

/* One spelling of a reply. */
struct office365_pattern {
    enum office365_place place;
    /* OFFICE365_AT() of each stage; 0 is any. */
    unsigned stages;
    /* 200 to 599; 2 to 5 is any code of that class; 0 any code that goes with `enhanced`. */
    unsigned code;
    /* class 0 is any, or none. */
    struct reply_enhanced enhanced;
    /* Last detail of a range such as 5.7.501 to 5.7.503; 0 if it is no range. 0 to 999: any. */
    unsigned detail_last;
    /* Stands somewhere in the text, in upper or lower case and with any blanks; NULL is any text.
     */
    const char *text;
    /* Not recognised behind reply_make_temporary(): Microsoft has a 4xx reply with the same text
     * that means something else. */
    bool is_as_sent;
    /* The reply as Office 365 spells it, without its host stamp. */
    const char *example;
};

struct office365_row {
    /* Stable: filters, metrics and scripts use it. */
    const char *name;
    /* One sentence. */
    const char *meaning;
    /* Sentences. Commands stand in backticks; `<UPN>` in them is the account. */
    const char *remedy;
    enum office365_told told;
    enum office365_account account;
    /* It does not pass by itself: somebody must do what `remedy` says. */
    bool needs_admin;
    /* The text may quote the reply to a login that failed before, which says more. */
    bool may_quote_login;
    /* The name of the row that it is where the login was with an access token: see
     * office365_of_token(). NULL: this one. */
    const char *with_token;
    /* In use as long as `example` is set. A row without is another's with_token. */
    struct office365_pattern patterns[OFFICE365_PATTERNS_MAX];
};

/* The row for a reply, never NULL: a reply that no row knows gets a general one of its class.
 * `stage` is where the caller got the reply; REPLY_STAGE_UNKNOWN means the one that reply_find()
 * saw, if any. A reply that reply_make_temporary() has changed gets the row it had before, so that
 * a reason in Postfix's queue is understood. The first row that fits is the answer. */
const struct office365_row *office365_explain(const struct reply *reply, enum reply_stage stage);

/* A reply does not tell whether a password or an access token was refused; whoever has sent it
 * does. The row for the latter. */
const struct office365_row *office365_of_token(const struct office365_row *row);

/* All rows, `*count` of them, in the order in which they are tried. */
const struct office365_row *office365_rows(size_t *count);

/* Which of them it is, counted from 0. */
size_t office365_row_number(const struct office365_row *row);

/* In plain words, for example "end of DATA"; "pause until fixed". */
const char *office365_stage_words(enum reply_stage stage);
const char *office365_account_words(enum office365_account account);

#endif
