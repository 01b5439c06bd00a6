/* dialogue.c - the commands of a client
 *
 * A line ends with CRLF and nothing else. Commands are carried out one after the other, however
 * they arrive, until one of them leaves the state LMTP_AT_COMMAND.
 */
#include "transport/lmtp/parts.h"

#define GARBAGE_MAX      20 /* lines that are no command, then that was enough */
#define TOO_MUCH_GARBAGE "421 4.7.0 Too many errors"
#define SAY_LHLO         "503 5.5.1 LHLO first"
#define SAY_MAIL         "503 5.5.1 MAIL first"
#define SAY_RCPT         "503 5.5.1 No valid recipients"
#define IN_TRANSACTION   "503 5.5.1 In a transaction"
#define TOO_LARGE        "552 5.3.4 Message size exceeds the limit"

/* --- commands ------------------------------------------------------------------ */

static void refuse(struct lmtp_session *session, const char *reply)
{
    lmtp_complain(session, reply);
    lmtp_say(session, reply);
}

/* Who speaks something else, HTTP for instance, would be answered line by line. */
static void refuse_garbage(struct lmtp_session *session, const char *reply)
{
    if (++session->garbage <= GARBAGE_MAX) {
        refuse(session, reply);
        return;
    }
    lmtp_complain(session, TOO_MUCH_GARBAGE);
    lmtp_say_last(session, TOO_MUCH_GARBAGE);
}

static void do_lhlo(struct lmtp_session *session)
{
    const struct lmtp *server = session->server;
    lmtp_transaction_forget(session);
    session->is_greeted = true;
    struct evbuffer *output = bufferevent_get_output(session->stream);
    evbuffer_add_printf(output, "250-%s\r\n", server->hostname);
    evbuffer_add_printf(output, "250-SIZE %llu\r\n",
                        (unsigned long long)server->settings.size_limit);
    lmtp_say(session, "250-PIPELINING");
    lmtp_say(session, "250-8BITMIME");
    lmtp_say(session, "250-SMTPUTF8");
    lmtp_say(session, "250-ENHANCEDSTATUSCODES");
    lmtp_say(session, "250-DSN");
    lmtp_say(session, "250 XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE");
}

static void do_mail(struct lmtp_session *session, const struct lmtp_command *command)
{
    uint64_t limit = session->server->settings.size_limit;
    if (!session->is_greeted) {
        refuse(session, SAY_LHLO);
    } else if (envelope_has_begun(&session->envelope)) {
        refuse(session, IN_TRANSACTION);
    } else if (limit > 0 && command->size > limit) {
        refuse(session, TOO_LARGE);
    } else {
        envelope_begin(&session->envelope, command);
        lmtp_say(session, "250 2.1.0 Ok");
    }
}

static void do_rcpt(struct lmtp_session *session, const struct lmtp_command *command)
{
    if (!envelope_has_begun(&session->envelope)) {
        refuse(session, SAY_MAIL);
        return;
    }
    const char *objection = envelope_add(&session->envelope, command);
    if (objection != NULL)
        refuse(session, objection);
    else
        lmtp_say(session, "250 2.1.5 Ok");
}

static void do_data(struct lmtp_session *session)
{
    if (!envelope_has_begun(&session->envelope))
        refuse(session, SAY_MAIL);
    else if (session->envelope.recipient_count == 0) /* no mistake: all may have been refused */
        lmtp_say(session, SAY_RCPT);
    else
        lmtp_transaction_begin(session);
}

static void do_xforward(struct lmtp_session *session, const struct lmtp_command *command)
{
    if (!session->is_greeted) {
        refuse(session, SAY_LHLO);
    } else if (envelope_has_begun(&session->envelope)) {
        refuse(session, IN_TRANSACTION);
    } else {
        envelope_forward(&session->envelope, command);
        lmtp_say(session, "250 2.0.0 Ok");
    }
}

static void carry_out(struct lmtp_session *session, const struct lmtp_command *command)
{
    switch (command->verb) {
    case LMTP_LHLO:
        do_lhlo(session);
        break;
    case LMTP_MAIL:
        do_mail(session, command);
        break;
    case LMTP_RCPT:
        do_rcpt(session, command);
        break;
    case LMTP_DATA:
        do_data(session);
        break;
    case LMTP_XFORWARD:
        do_xforward(session, command);
        break;
    case LMTP_RSET:
        lmtp_transaction_forget(session);
        lmtp_say(session, "250 2.0.0 Ok");
        break;
    case LMTP_NOOP:
        lmtp_say(session, "250 2.0.0 Ok");
        break;
    case LMTP_VRFY:
        lmtp_say(session, "252 2.5.2 Cannot tell, but will take a message");
        break;
    case LMTP_QUIT:
        lmtp_say_last(session, "221 2.0.0 Bye");
        break;
    case LMTP_UNKNOWN:
    case LMTP_HELO:
    case LMTP_VERBS: /* have been refused */
        break;
    }
}

/* --- lines ---------------------------------------------------------------------- */

/* The length of the line that the input begins with, without its CRLF; -1 if it has no end yet. */
static ev_ssize_t find_line(struct evbuffer *input)
{
    return evbuffer_search_eol(input, NULL, NULL, EVBUFFER_EOL_CRLF_STRICT).pos;
}

static void take_line(struct lmtp_session *session, struct evbuffer *input, size_t length)
{
    struct lmtp_command command;
    char *line = session->server->line;
    evbuffer_remove(input, line, length);
    evbuffer_drain(input, 2);
    lmtp_command_read(line, length, &command);
    if (command.mistake == NULL)
        carry_out(session, &command);
    else if (command.verb == LMTP_UNKNOWN)
        refuse_garbage(session, command.mistake);
    else
        refuse(session, command.mistake);
}

bool lmtp_step_command(struct lmtp_session *session)
{
    struct evbuffer *input = bufferevent_get_input(session->stream);
    ev_ssize_t length = find_line(input);
    bool is_too_long =
        length < 0 ? evbuffer_get_length(input) > LMTP_LINE_MAX + 1 : length > LMTP_LINE_MAX;
    if (is_too_long) {
        session->state = LMTP_AT_LONG_LINE;
        return true;
    }
    if (length < 0)
        return false;
    session->has_progressed = true;
    take_line(session, input, (size_t)length);
    return true;
}

bool lmtp_step_long_line(struct lmtp_session *session)
{
    struct evbuffer *input = bufferevent_get_input(session->stream);
    ev_ssize_t length = find_line(input);
    size_t there = evbuffer_get_length(input);
    if (length < 0) {
        /* The last octet may be the CR of the line's end. */
        evbuffer_drain(input, there > 0 ? there - 1 : 0);
        return false;
    }
    evbuffer_drain(input, (size_t)length + 2);
    session->has_progressed = true;
    session->state = LMTP_AT_COMMAND;
    refuse_garbage(session, LMTP_LINE_TOO_LONG);
    return true;
}
