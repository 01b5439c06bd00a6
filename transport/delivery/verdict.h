/* verdict.h - what Postfix is told about a message, and what happens to its account
 *
 * Microsoft's reply, or the lack of one, or of an access token to log in with, becomes the reply
 * that Postfix logs and keeps as the reason: with Microsoft's own words, and the remedy where other
 * mail is held up or somebody has to do something. Which it is says common/judgement.h.
 *
 * Pure.
 */
#ifndef POST365_TRANSPORT_DELIVERY_VERDICT_H
#define POST365_TRANSPORT_DELIVERY_VERDICT_H

#include "common/office365.h"
#include "transport/submission/submission.h"

#include <stdbool.h>

/* What is told, of one line without CRLF. */
#define VERDICT_SIZE 900

/* What ends trouble of an account before its time, and is reason to try it at once. */
enum verdict_end {
    VERDICT_ENDS_WITH_TIME,        /* nothing that is known here */
    VERDICT_ENDS_WITH_CREDENTIALS, /* other ones: the login failed */
    VERDICT_ENDS_WITH_TOKEN, /* an access token that is there: there was none to log in with */
};

struct verdict {
    char reply[VERDICT_SIZE];
    size_t said;       /* so much of it is what was said, the rest is cause and remedy */
    bool is_accepted;  /* by Microsoft */
    bool is_temporary; /* Postfix will try again */
    enum office365_account account;  /* what happens to all other mail of it */
    enum verdict_end end;            /* of that */
    int64_t until;                   /* of a pause whose end is known, as in submission_end; or 0 */
    const char *name;                /* of the cause, or NULL: a row's, or silence_name() */
    const struct office365_row *row; /* the cause, or NULL where nobody has replied */
    const struct entra_row *entra;   /* the cause, or NULL where a token was not what lacked */
};

/* What ends the trouble that a pause's cause tells of, as the transport wrote it, in this process
 * or one before: "NAME: ...". Of what somebody else wrote VERDICT_ENDS_WITH_TIME. */
enum verdict_end verdict_end_of_cause(const char *cause);

/* `host` is whom it is about. Whatever ends a login without success concerns the account, known
 * reply or not, or none. */
void verdict_of_end(const struct submission_end *end, const char *host, struct verdict *verdict);

/* The same for a recipient that was refused. */
void verdict_of_recipient(const struct reply *reply, const char *host, struct verdict *verdict);

#endif
