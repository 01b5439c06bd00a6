/* dialogue.h - the commands of SMTP */
#ifndef OFFICE365_DIALOGUE_H
#define OFFICE365_DIALOGUE_H

#include "session.h"

#include <stdbool.h>

/* dialogue_banner - the greeting */
struct answer dialogue_banner(const struct session *session);

/*
 * dialogue_advance - take the next line or the next bytes of a message from the input, and act on
 * them. False if there is nothing more to be done before more input comes.
 */
bool dialogue_advance(struct session *session, struct evbuffer *input);

/*
 * dialogue_refuse - answer no: let faults have their way with the answer, count and journal it, and
 * send it. event names the journal's entry; detail is put into it under name (new reference; name
 * may be NULL).
 */
void dialogue_refuse(struct session *session, enum stage stage, const char *event, const char *name,
                     json_t *detail, struct answer *answer);

/* dialogue_reply - answer with a fixed text that no fault concerns */
void dialogue_reply(struct session *session, const char *text);

#endif
