/* submission.h - the verdict on a whole message */
#ifndef OFFICE365_SUBMISSION_H
#define OFFICE365_SUBMISSION_H

#include "session.h"

#include <stdbool.h>

/* submission_end - all bytes of the message are here: judge it, count it, answer */
void submission_end(struct session *session);

/* submission_name - how the journal calls the message of this connection: "7-2"; new reference */
json_t *submission_name(const struct session *session);

/* submission_rate_reached - has the mailbox sent its messages of this minute? */
bool submission_rate_reached(const struct session *session);

/* submission_describe - put all that is known of the transaction into a journal entry */
void submission_describe(const struct session *session, json_t *entry);

#endif
