/* ledger_client.c - asks policyd's ledger and waits for the reply
 *
 * One request at a time, so that a reply needs no tag. Once something went wrong it is not known
 * which reply belongs to what: the connection is closed.
 */
#include "common/ledger_client.h"

#include "common/deadline.h"
#include "common/ledger_socket.h"
#include "common/memory.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUSY_PAUSE 10 /* milliseconds, before connecting is tried again */
#define READ_SIZE  16384
/* So many of the longest accounts there are fit into a reply of ATTR_REQUEST_MAX bytes. */
#define LIST_PAGE 50

struct ledger_client {
    int descriptor;  /* -1: it was lost */
    int64_t timeout; /* microseconds */
    struct buffer request;
    struct buffer reply;
};

/* --- waiting ----------------------------------------------------------------- */

static bool wait_for(const struct ledger_client *client, short events, int64_t deadline,
                     struct error *error)
{
    struct pollfd waiting = {.fd = client->descriptor, .events = events};
    for (;;) {
        int ready = poll(&waiting, 1, deadline_left(deadline));
        if (ready > 0)
            return true;
        if (ready < 0 && errno != EINTR)
            return error_set(error, "cannot wait for post365-policyd: %s", strerror(errno));
        if (ready == 0)
            return error_set(error, "post365-policyd did not answer in time; see its log: "
                                    "journalctl -u post365-policyd");
    }
}

/* --- one request ------------------------------------------------------------- */

static bool send_request(struct ledger_client *client, int64_t deadline, struct error *error)
{
    for (size_t sent = 0; sent < client->request.length;) {
        ssize_t length = send(client->descriptor, client->request.data + sent,
                              client->request.length - sent, MSG_NOSIGNAL);
        if (length >= 0)
            sent += (size_t)length;
        else if (errno == EAGAIN && !wait_for(client, POLLOUT, deadline, error))
            return false;
        else if (errno != EAGAIN && errno != EINTR)
            return attr_socket_explain_loss(&ledger_peer, errno, error);
    }
    return true;
}

/* Appends what arrives next. */
static bool receive(struct ledger_client *client, int64_t deadline, struct error *error)
{
    char bytes[READ_SIZE];
    for (;;) {
        ssize_t length = recv(client->descriptor, bytes, sizeof(bytes), 0);
        if (length > 0) {
            buffer_append(&client->reply, bytes, (size_t)length);
            return true;
        }
        if (length == 0)
            return attr_socket_explain_loss(&ledger_peer, 0, error);
        if (errno == EAGAIN && !wait_for(client, POLLIN, deadline, error))
            return false;
        if (errno != EAGAIN && errno != EINTR)
            return attr_socket_explain_loss(&ledger_peer, errno, error);
    }
}

/* Receives until the reply is complete; nothing may come behind it. */
static bool receive_reply(struct ledger_client *client, int64_t deadline, struct error *error)
{
    struct attr_reader reader = {0};
    size_t length = 0;
    enum attr_progress progress = ATTR_MORE;
    buffer_clear(&client->reply);
    while (progress == ATTR_MORE) {
        if (!receive(client, deadline, error))
            return false;
        progress = attr_read(&reader, client->reply.data, client->reply.length, &length, error);
    }
    if (progress == ATTR_MALFORMED)
        return attr_socket_explain_garbage(&ledger_peer, error);
    if (length < client->reply.length) {
        error_set(error, "there is more behind the reply");
        return attr_socket_explain_garbage(&ledger_peer, error);
    }
    return true;
}

static void hang_up(struct ledger_client *client)
{
    close(client->descriptor);
    client->descriptor = -1;
}

static bool exchange(struct ledger_client *client, const struct ledger_command *command,
                     struct ledger_reply *reply, struct error *error)
{
    int64_t more = command->kind == LEDGER_COMMAND_RESERVE ? command->wait : 0;
    int64_t deadline =
        deadline_after(more < INT64_MAX - client->timeout ? client->timeout + more : INT64_MAX);
    if (!send_request(client, deadline, error) || !receive_reply(client, deadline, error))
        return false;
    return ledger_reply_read(reply, command->kind, client->reply.data, client->reply.length,
                             error) ||
           attr_socket_explain_garbage(&ledger_peer, error);
}

bool ledger_client_ask(struct ledger_client *client, const struct ledger_command *command,
                       struct ledger_reply *reply, struct error *error)
{
    if (client->descriptor < 0) {
        error_set(error, "the connection to post365-policyd was lost before");
        return false;
    }
    buffer_clear(&client->request);
    if (!ledger_command_write(&client->request, 0, command, error))
        return false;
    if (exchange(client, command, reply, error))
        return true;
    hang_up(client);
    return false;
}

/* --- pages ------------------------------------------------------------------- */

/* ledger_client_ask() for what can only be done. */
static bool ask_page(struct ledger_client *client, const struct ledger_command *command,
                     struct ledger_reply *reply, struct error *error)
{
    return ledger_client_ask(client, command, reply, error) &&
           (reply->result == LEDGER_REPLY_DONE ||
            error_set(error, "post365-policyd: %s", reply->reason));
}

/* A page that does not lead on would be told for ever. */
static bool stuck(struct ledger_client *client, struct error *error)
{
    hang_up(client);
    error_set(error, "a page does not lead on to the next");
    return attr_socket_explain_garbage(&ledger_peer, error);
}

bool ledger_client_list(struct ledger_client *client, ledger_client_account *tell, void *context,
                        struct error *error)
{
    struct ledger_command command = {.kind = LEDGER_COMMAND_LIST, .count = LIST_PAGE};
    for (;;) {
        struct ledger_reply reply;
        struct ledger_reply_account account;
        size_t position = 0;
        if (!ask_page(client, &command, &reply, error))
            return false;
        while (ledger_reply_next_account(&reply, &position, &account))
            if (!tell(context, &account))
                return true;
        if (reply.after == 0)
            return true;
        if (reply.after <= command.after)
            return stuck(client, error);
        command.after = reply.after;
    }
}

bool ledger_client_history(struct ledger_client *client, const char *account, enum ledger_per per,
                           int64_t from, ledger_client_slot *tell, void *context,
                           struct error *error)
{
    struct ledger_command command = {.kind = LEDGER_COMMAND_HISTORY,
                                     .account = account,
                                     .per = per,
                                     .from = from,
                                     .count = CONTROL_HISTORY_MAX};
    for (;;) {
        struct ledger_reply reply;
        struct ledger_reply_slot slot;
        size_t position = 0;
        if (!ask_page(client, &command, &reply, error))
            return false;
        while (ledger_reply_next_slot(&reply, &position, &slot))
            if (!tell(context, &slot))
                return true;
        if (reply.from == LEDGER_FOREVER)
            return true;
        if (reply.from <= command.from)
            return stuck(client, error);
        command.from = reply.from;
    }
}

/* --- life -------------------------------------------------------------------- */

/* A socket whose queue is full is tried again until the time is over. */
static int connect_until(const struct socket_place *place, int64_t deadline, struct error *error)
{
    int descriptor;
    while ((descriptor = attr_socket_connect(&ledger_peer, place, error)) < 0 && errno == EAGAIN &&
           deadline_left(deadline) > 0)
        poll(NULL, 0, BUSY_PAUSE);
    return descriptor;
}

struct ledger_client *ledger_client_open(const struct settings *settings, int64_t timeout,
                                         struct error *error)
{
    struct socket_place place;
    if (!ledger_socket_find(settings, &place, error))
        return NULL;
    int descriptor = connect_until(&place, deadline_after(timeout), error);
    if (descriptor < 0)
        return NULL;
    struct ledger_client *client = memory_zero(1, sizeof(*client));
    client->descriptor = descriptor;
    client->timeout = timeout;
    return client;
}

void ledger_client_close(struct ledger_client *client)
{
    if (client == NULL)
        return;
    if (client->descriptor >= 0)
        hang_up(client);
    buffer_free(&client->request);
    buffer_free(&client->reply);
    free(client);
}
