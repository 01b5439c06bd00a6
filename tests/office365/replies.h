/*
 * replies.h - every refusal of Office 365 as one table
 *
 * Codes, enhanced codes, texts and stages are those of Microsoft's documentation and of published
 * logs. The names are used by the settings, by faults and by the state of a mailbox.
 */
#ifndef OFFICE365_REPLIES_H
#define OFFICE365_REPLIES_H

#include "stage.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum reply_row {
    REPLY_NONE, /* no objection */
    REPLY_UNAUTHENTICATED,
    REPLY_UNAUTHENTICATED_OLD,
    REPLY_AUTHENTICATION_REQUIRED,
    REPLY_STARTTLS_REQUIRED,
    REPLY_OLD_TLS,
    REPLY_WRONG_PASSWORD,
    REPLY_SECURITY_DEFAULTS,
    REPLY_TENANT_SWITCH,
    REPLY_MAILBOX_SWITCH,
    REPLY_BASIC_DISABLED,
    REPLY_CONDITIONAL_ACCESS,
    REPLY_CREDENTIALS_INCORRECT,
    REPLY_FEDERATION,
    REPLY_BASIC_RETIRED,
    REPLY_TOKEN_ENDS_SOON,
    REPLY_TOKEN_EXPIRED,
    REPLY_TOKEN_PERMISSION,
    REPLY_APP_NOT_LISTED,
    REPLY_AUTH_TROUBLE_454,
    REPLY_AUTH_TROUBLE_451,
    REPLY_MAILBOX_DISABLED,
    REPLY_NOT_THIS_SENDER,
    REPLY_SEND_AS_DENIED,
    REPLY_SEND_AS_DENIED_OLD,
    REPLY_RECIPIENT_QUOTA,
    REPLY_ACCESS_DENIED,
    REPLY_UNKNOWN_RECIPIENT,
    REPLY_UNKNOWN_USER,
    REPLY_CONCURRENT,
    REPLY_CONCURRENT_OLD,
    REPLY_RATE,
    REPLY_LOGON_FAILURE,
    REPLY_MAILBOX_FULL,
    REPLY_TOO_MANY_RECIPIENTS,
    REPLY_MULTIPLE_FROM,
    REPLY_INVALID_FROM,
    REPLY_TOO_LARGE,
    REPLY_HEADER_TOO_LARGE,
    REPLY_TEMPORARY,
    REPLY_UNAVAILABLE,
    REPLY_BUSY,
    REPLY_TIMED_OUT,
    REPLY_BAD_SENDER,
    REPLY_BANNED_501,
    REPLY_BANNED_502,
    REPLY_BANNED_503,
    REPLY_TENANT_THRESHOLD,
    REPLY_TRAFFIC_REFUSED,
    REPLY_DAILY_RECIPIENTS,
    REPLY_TENANT_TRIAL,
    REPLY_TENANT_RECIPIENTS,
    REPLY_RECIPIENT_LIMIT,
    REPLY_ROWS
};

/* reply_name - the name of a row, such as "mailbox-full" */
const char *reply_name(enum reply_row row);

/* reply_find - the row of this name; false if there is none */
bool reply_find(const char *name, enum reply_row *row);

/* reply_stage - where Office 365 says it; STAGE_DOT for rows that come at "any" stage */
enum stage reply_stage(enum reply_row row);

/*
 * reply_text - one line, with the host and stamp that this row ends in, without CRLF. login and
 * other fill the places that name the account and the address it may not use; NULL leaves "-". Both
 * are made printable and cut. stamp tells the connection (see reply_stamp). New string.
 */
char *reply_text(enum reply_row row, const char *login, const char *other, uint64_t stamp);

/* reply_stamp - the number of a connection that began now, in the manner of the real service */
uint64_t reply_stamp(void);

/* reply_host - the host's name in replies */
const char *reply_host(void);

/* reply_banner_host - the host's name in the greeting */
const char *reply_banner_host(void);

/* reply_table - all rows as a JSON array of {name, stage, text}; new reference */
json_t *reply_table(void);

/* reply_key - "554 5.2.0" out of a reply (or "554" without an enhanced code); new string */
char *reply_key(const char *text);

/* reply_positive - a reply that says yes: its code begins with 2 or 3 */
bool reply_positive(const char *text);

#endif
