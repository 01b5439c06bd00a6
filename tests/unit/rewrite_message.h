/* rewrite_message.h - the headers of a message, as the tests of rewrite need them */
#ifndef POST365_TESTS_UNIT_REWRITE_MESSAGE_H
#define POST365_TESTS_UNIT_REWRITE_MESSAGE_H

#include "common/sender/rewrite.h"

#include <stddef.h>

/* The values are the message's own copies, the names are not. */
struct message {
    struct rewrite_header *headers;
    size_t count;
};

void message_add(struct message *message, const char *name, const char *value, size_t length);
void message_free(struct message *message);

/* The index-th header (from 1) of a name, or NULL. */
const struct rewrite_header *message_find(const struct message *message, const char *name,
                                          int index);
int message_count(const struct message *message, const char *name);

/* Does what Postfix does with the edits; what libmilter would not do as meant is a complaint, NULL
 * is none. Complaints are static strings. */
const char *message_apply(struct message *message, const struct rewrite_edits *edits);

/* Whether the edits of a message keep the promises of rewrite.h for it: order, lines, control
 * characters, the one From: and Sender: that are left, that a second time changes nothing. message
 * is what they were made for, and is edited. */
const char *message_check(struct message *message, const struct rewrite_rules *rules,
                          const struct rewrite_edits *edits);

#endif
