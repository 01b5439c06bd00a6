/* verdict.h - what Postfix is told about a message, and what happens to its account
 *
 * Microsoft's reply, or the lack of one, becomes the reply that Postfix logs and keeps as the
 * reason: with Microsoft's own words, and the remedy where other mail is held up or somebody has to
 * do something. Which it is says common/judgement.h.
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

struct verdict {
    char reply[VERDICT_SIZE];
    size_t said;       /* so much of it is what was said, the rest is cause and remedy */
    bool is_accepted;  /* by Microsoft */
    bool is_temporary; /* Postfix will try again */
    enum office365_account account;  /* what happens to all other mail of it */
    const char *name;                /* of the cause, or NULL: office365_row's, or silence_name() */
    const struct office365_row *row; /* the cause, or NULL where nobody has replied */
};

/* `host` is whom it is about. Whatever ends a login without success concerns the account, known
 * reply or not, or none. */
void verdict_of_end(const struct submission_end *end, const char *host, struct verdict *verdict);

/* The same for a recipient that was refused. */
void verdict_of_recipient(const struct reply *reply, const char *host, struct verdict *verdict);

#endif
