/* token_client.h - asks post365-tokend and waits for the reply
 *
 * For programs that do one thing after the other, such as the post365 command. A program with an
 * event loop uses token_channel.h.
 *
 * After a failure of the connection the client is of no further use: whether the last request was
 * carried out is not known.
 *
 * A client belongs to one thread; opening one is not thread-safe (it looks up groups for messages).
 */
#ifndef POST365_COMMON_OAUTH2_TOKEN_CLIENT_H
#define POST365_COMMON_OAUTH2_TOKEN_CLIENT_H

#include "common/error.h"
#include "common/oauth2/token_message.h"
#include "common/settings.h"

#include <stdbool.h>
#include <stdint.h>

struct token_client;

/* Connects to post365_oauth2_socket. Connecting, and later each reply, takes at most `timeout`
 * microseconds. NULL with the reason and the remedy. Release with token_client_close(). */
struct token_client *token_client_open(const struct settings *settings, int64_t timeout,
                                       struct error *error);

/* NULL is allowed. A login that is under way ends. */
void token_client_close(struct token_client *client);

/*
 * Asks and waits for the reply, of whatever result, the first one where there are several; it is
 * valid until the next call with this client, and to be released with token_reply_release() before
 * that. False with the reason, and what to do where that is known: the request makes no sense,
 * tokend is gone, did not answer in time, or answered what is no reply.
 */
bool token_client_ask(struct token_client *client, const struct token_command *command,
                      struct token_reply *reply, struct error *error);

/* Waits for the next reply to the last request, likewise, for at most `patience` microseconds, and
 * no longer than until `other` can be read, a descriptor, or -1: then, or when nothing came, it is
 * TOKEN_CLIENT_NOTHING. */
enum token_client_next { TOKEN_CLIENT_REPLY, TOKEN_CLIENT_NOTHING, TOKEN_CLIENT_FAILED };
enum token_client_next token_client_next(struct token_client *client, int64_t patience, int other,
                                         struct token_reply *reply, struct error *error);

/* What is told one by one. False to be told no more. What it points to is valid during the call; it
 * must not use the client. */
typedef bool token_client_subject(void *context, const struct token_subject *subject);
typedef bool token_client_registration(void *context, const char *path);

/* Tells all subjects that tokend knows, without the claims of their tokens. False as above, or with
 * tokend's own reason not to answer. */
bool token_client_subjects(struct token_client *client, token_client_subject *tell, void *context,
                           struct error *error);

/* Tells all registrations, page after page, in tokend's order. False likewise. */
bool token_client_registrations(struct token_client *client, token_client_registration *tell,
                                void *context, struct error *error);

#endif
