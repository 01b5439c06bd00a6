/* token_client.c - asks post365-tokend and waits for the reply
 *
 * One request at a time, each with a tag of its own, since what `watch` and `login` tell may come
 * later than the next request. Once something went wrong it is not known which reply belongs to
 * what: the connection is closed.
 *
 * What was received may hold an access token: it lies in one place, and is wiped when it was read.
 */
#include "common/oauth2/token_client.h"

#include "common/deadline.h"
#include "common/memory.h"
#include "common/oauth2/token_socket.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUSY_PAUSE 10 /* milliseconds, before connecting is tried again */

struct token_client {
    int descriptor;               /* -1: it was lost */
    int64_t timeout;              /* microseconds */
    enum token_command_kind kind; /* of the last request */
    uint64_t tag;                 /* of the last request */
    struct buffer request;
    struct attr_reader reader; /* of the reply that arrives */
    size_t read;               /* what of `received` was a reply, and is over */
    size_t length;
    char received[ATTR_REQUEST_MAX];
};

/* --- waiting ----------------------------------------------------------------- */

enum outcome { READY, NOTHING, FAILED };

static enum outcome wait_for(const struct token_client *client, short events, int64_t deadline,
                             int other, struct error *error)
{
    struct pollfd waiting[] = {{.fd = client->descriptor, .events = events},
                               {.fd = other, .events = POLLIN}};
    for (;;) {
        int ready = poll(waiting, 2, deadline_left(deadline));
        if (ready > 0)
            return waiting[0].revents != 0 ? READY : NOTHING;
        if (ready == 0)
            return NOTHING;
        if (errno != EINTR) {
            error_set(error, "cannot wait for post365-tokend: %s", strerror(errno));
            return FAILED;
        }
    }
}

static bool explain_silence(struct error *error)
{
    return error_set(error, "post365-tokend did not answer in time; see its log: journalctl -u "
                            "post365-tokend");
}

/* --- one request ------------------------------------------------------------- */

static bool send_request(struct token_client *client, int64_t deadline, struct error *error)
{
    for (size_t sent = 0; sent < client->request.length;) {
        ssize_t length = send(client->descriptor, client->request.data + sent,
                              client->request.length - sent, MSG_NOSIGNAL);
        if (length >= 0) {
            sent += (size_t)length;
            continue;
        }
        if (errno != EAGAIN && errno != EINTR)
            return attr_socket_explain_loss(&token_peer, errno, error);
        enum outcome outcome =
            errno == EAGAIN ? wait_for(client, POLLOUT, deadline, -1, error) : READY;
        if (outcome != READY)
            return outcome == NOTHING && explain_silence(error);
    }
    return true;
}

/* A reply always fits: a longer one is malformed. */
static enum outcome receive(struct token_client *client, int64_t deadline, int other,
                            struct error *error)
{
    for (;;) {
        ssize_t length = recv(client->descriptor, client->received + client->length,
                              sizeof(client->received) - client->length, 0);
        if (length > 0) {
            client->length += (size_t)length;
            return READY;
        }
        if (length == 0 || (errno != EAGAIN && errno != EINTR)) {
            attr_socket_explain_loss(&token_peer, length == 0 ? 0 : errno, error);
            return FAILED;
        }
        enum outcome outcome =
            errno == EAGAIN ? wait_for(client, POLLIN, deadline, other, error) : READY;
        if (outcome != READY)
            return outcome;
    }
}

static void forget_read(struct token_client *client)
{
    size_t rest = client->length - client->read;
    memmove(client->received, client->received + client->read, rest);
    explicit_bzero(client->received + rest, client->length - rest);
    client->length = rest;
    client->read = 0;
}

/* The next whole reply, to whichever request, in `received` up to `read`. */
static enum outcome receive_whole(struct token_client *client, int64_t deadline, int other,
                                  struct error *error)
{
    forget_read(client);
    for (;;) {
        enum attr_progress progress =
            attr_read(&client->reader, client->received, client->length, &client->read, error);
        if (progress == ATTR_REQUEST)
            return READY;
        client->read = 0;
        if (progress == ATTR_MALFORMED) {
            attr_socket_explain_garbage(&token_peer, error);
            return FAILED;
        }
        enum outcome outcome = receive(client, deadline, other, error);
        if (outcome != READY)
            return outcome;
    }
}

static enum outcome receive_reply(struct token_client *client, int64_t deadline, int other,
                                  struct token_reply *reply, struct error *error)
{
    uint64_t tag;
    do {
        enum outcome outcome = receive_whole(client, deadline, other, error);
        if (outcome != READY)
            return outcome;
    } while (token_reply_tag(client->received, client->read, &tag) && tag != client->tag);
    if (token_reply_read(reply, client->kind, client->received, client->read, error))
        return READY;
    attr_socket_explain_garbage(&token_peer, error);
    return FAILED;
}

static void hang_up(struct token_client *client)
{
    close(client->descriptor);
    client->descriptor = -1;
}

static bool is_lost(const struct token_client *client, struct error *error)
{
    return client->descriptor < 0 &&
           !error_set(error, "the connection to post365-tokend was lost before");
}

bool token_client_ask(struct token_client *client, const struct token_command *command,
                      struct token_reply *reply, struct error *error)
{
    if (is_lost(client, error))
        return false;
    buffer_clear(&client->request);
    if (!token_command_write(&client->request, client->tag + 1, command, error))
        return false;
    client->tag++;
    client->kind = command->kind;
    int64_t deadline = deadline_after(client->timeout);
    enum outcome outcome = FAILED;
    if (send_request(client, deadline, error))
        outcome = receive_reply(client, deadline, -1, reply, error);
    if (outcome == NOTHING)
        explain_silence(error);
    if (outcome != READY)
        hang_up(client);
    return outcome == READY;
}

enum token_client_next token_client_next(struct token_client *client, int64_t patience, int other,
                                         struct token_reply *reply, struct error *error)
{
    if (is_lost(client, error))
        return TOKEN_CLIENT_FAILED;
    switch (receive_reply(client, deadline_after(patience), other, reply, error)) {
    case READY:
        return TOKEN_CLIENT_REPLY;
    case NOTHING:
        return TOKEN_CLIENT_NOTHING;
    default:
        hang_up(client);
        return TOKEN_CLIENT_FAILED;
    }
}

/* --- many ---------------------------------------------------------------------- */

/* token_client_ask() for what can only be done. */
static bool ask_done(struct token_client *client, const struct token_command *command,
                     struct token_reply *reply, struct error *error)
{
    if (!token_client_ask(client, command, reply, error))
        return false;
    if (reply->result == TOKEN_REPLY_DONE)
        return true;
    error_set(error, "post365-tokend: %s", reply->reason);
    token_reply_release(reply);
    return false;
}

/* A page that does not lead on would be told for ever. */
static bool stuck(struct token_client *client, struct error *error)
{
    hang_up(client);
    error_set(error, "a page does not lead on to the next");
    return attr_socket_explain_garbage(&token_peer, error);
}

/* False: nobody wants to hear more. */
static bool tell_page(const struct token_reply *reply, token_client_registration *tell,
                      void *context)
{
    char path[PATH_MAX];
    size_t position = 0;
    while (token_reply_next_registration(reply, &position, path))
        if (!tell(context, path))
            return false;
    return true;
}

bool token_client_registrations(struct token_client *client, token_client_registration *tell,
                                void *context, struct error *error)
{
    char after[PATH_MAX] = "", before[PATH_MAX];
    struct token_command command = {.kind = TOKEN_COMMAND_LIST};
    for (;;) {
        struct token_reply reply;
        if (!ask_done(client, &command, &reply, error))
            return false;
        bool goes_on = tell_page(&reply, tell, context) && reply.after[0] != '\0';
        memcpy(before, after, sizeof(before));
        memcpy(after, reply.after, sizeof(after));
        token_reply_release(&reply);
        if (!goes_on)
            return true;
        if (strcmp(after, before) == 0)
            return stuck(client, error);
        command.after = after;
    }
}

/* Behind what `watch` tells at once comes the reply to what is asked next. */
static bool send_fence(struct token_client *client, uint64_t tag, int64_t deadline,
                       struct error *error)
{
    const struct token_command command = {.kind = TOKEN_COMMAND_LIST};
    buffer_clear(&client->request);
    return token_command_write(&client->request, tag, &command, error) &&
           send_request(client, deadline, error);
}

/* The next thing that `watch` tells; READY with `*is_over` where it is the fence. */
static enum outcome receive_told(struct token_client *client, int64_t deadline, uint64_t fence,
                                 bool *is_over, struct token_reply *reply, struct error *error)
{
    uint64_t tag;
    enum outcome outcome = receive_whole(client, deadline, -1, error);
    if (outcome != READY)
        return outcome;
    *is_over = token_reply_tag(client->received, client->read, &tag) && tag == fence;
    if (*is_over ||
        token_reply_read(reply, TOKEN_COMMAND_WATCH, client->received, client->read, error))
        return READY;
    attr_socket_explain_garbage(&token_peer, error);
    return FAILED;
}

static enum outcome tell_subjects(struct token_client *client, uint64_t fence,
                                  token_client_subject *tell, void *context, struct error *error)
{
    int64_t deadline = deadline_after(client->timeout);
    bool is_over = false, goes_on = true;
    enum outcome outcome = send_fence(client, fence, deadline, error) ? READY : FAILED;
    while (outcome == READY) {
        struct token_reply reply;
        outcome = receive_told(client, deadline, fence, &is_over, &reply, error);
        if (outcome != READY || is_over)
            return outcome;
        if (goes_on && reply.result == TOKEN_REPLY_SUBJECT)
            goes_on = tell(context, &reply.subject);
        token_reply_release(&reply);
        deadline = deadline_after(client->timeout);
    }
    return outcome;
}

bool token_client_subjects(struct token_client *client, token_client_subject *tell, void *context,
                           struct error *error)
{
    const struct token_command command = {.kind = TOKEN_COMMAND_WATCH};
    struct token_reply reply;
    if (!ask_done(client, &command, &reply, error))
        return false;
    token_reply_release(&reply);
    enum outcome outcome = tell_subjects(client, ++client->tag, tell, context, error);
    if (outcome == NOTHING)
        explain_silence(error);
    if (outcome != READY)
        hang_up(client);
    return outcome == READY;
}

/* --- life -------------------------------------------------------------------- */

/* A socket whose queue is full is tried again until the time is over. */
static int connect_until(const struct socket_place *place, int64_t deadline, struct error *error)
{
    int descriptor;
    while ((descriptor = attr_socket_connect(&token_peer, place, error)) < 0 && errno == EAGAIN &&
           deadline_left(deadline) > 0)
        poll(NULL, 0, BUSY_PAUSE);
    return descriptor;
}

struct token_client *token_client_open(const struct settings *settings, int64_t timeout,
                                       struct error *error)
{
    struct socket_place place;
    if (!token_socket_find(settings, &place, error))
        return NULL;
    int descriptor = connect_until(&place, deadline_after(timeout), error);
    if (descriptor < 0)
        return NULL;
    struct token_client *client = memory_zero(1, sizeof(*client));
    client->descriptor = descriptor;
    client->timeout = timeout;
    return client;
}

void token_client_close(struct token_client *client)
{
    if (client == NULL)
        return;
    if (client->descriptor >= 0)
        hang_up(client);
    buffer_free(&client->request);
    explicit_bzero(client->received, sizeof(client->received));
    free(client);
}
