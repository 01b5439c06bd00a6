/*
 * mailbox.h - the tenant's mailboxes: credentials, rights, state, and what each has sent
 *
 * Passwords and tokens are kept here and shown nowhere: neither journal nor statistics have them.
 */
#ifndef OFFICE365_MAILBOX_H
#define OFFICE365_MAILBOX_H

#include "limits.h"
#include "list.h"
#include "problem.h"
#include "replies.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* Set-CASMailbox -SmtpClientAuthenticationDisabled: what is set here overrides the tenant */
enum mailbox_switch { SWITCH_TENANT, SWITCH_ENABLED, SWITCH_DISABLED };

/* something that is counted now, and the most that it ever was */
struct gauge {
    int64_t now;
    int64_t most;
};

/* what came of messages and commands: of one mailbox, or of clients that never logged in */
struct tally {
    int64_t accepted;            /* messages */
    int64_t recipients_accepted; /* their recipients */
    int64_t refused;             /* messages, at the end of DATA */
    json_t *replies;             /* "554 5.2.0" -> how often, at every stage */
};

struct mailbox {
    char *upn;
    char *password;     /* NULL: nobody logs in with a password */
    struct list tokens; /* bearer tokens of this mailbox */
    struct list send_as;
    enum mailbox_switch smtp_auth;
    enum reply_row state; /* REPLY_NONE: well; else the row that it answers, at the row's stage */
    struct limits own;    /* limits that differ from everybody's */

    struct window recipients;
    struct window messages;
    struct gauge connections; /* authenticated */
    struct gauge sending;     /* with a transaction open */
    struct tally tally;
    struct mailbox *next;
};

struct mailboxes;

struct mailboxes *mailboxes_create(void);
void mailboxes_free(struct mailboxes *mailboxes);

/* mailboxes_find - the mailbox with this UPN, in any case; NULL if there is none */
struct mailbox *mailboxes_find(const struct mailboxes *mailboxes, const char *upn);

/* mailboxes_first - all of them, along next, in the order of their creation */
struct mailbox *mailboxes_first(const struct mailboxes *mailboxes);

/*
 * mailboxes_apply - change the mailbox with this UPN as a JSON object says; a new one is made when
 * there is none. Names: password, tokens, send_as, smtp_auth (null, true, false), state, limits.
 * On failure nothing has changed.
 */
bool mailboxes_apply(struct mailboxes *mailboxes, const char *upn, const json_t *value,
                     struct problem *problem);

/* mailbox_may_send_as - is the address the UPN itself, or in the Send As list? */
bool mailbox_may_send_as(const struct mailbox *mailbox, const char *address);

/* mailbox_accept - a message with this many recipients was accepted: count it everywhere */
void mailbox_accept(struct mailbox *mailbox, const struct limits *limits, int64_t now,
                    int64_t recipients);

/* mailbox_reset - empty windows, and all that was counted but the connections */
void mailbox_reset(struct mailbox *mailbox);

/* mailbox_describe - the statistics of a mailbox under these limits as JSON; new reference */
json_t *mailbox_describe(struct mailbox *mailbox, const struct limits *limits, int64_t now);

void gauge_up(struct gauge *gauge);
void gauge_down(struct gauge *gauge);

/* tally_refuse - count a reply that said no under its code */
void tally_refuse(struct tally *tally, const char *text);

/* tally_describe - as JSON; new reference */
json_t *tally_describe(const struct tally *tally);

void tally_clear(struct tally *tally);

#endif
