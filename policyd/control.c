/* control.c - the ledger's answers on the control socket
 *
 * Security: the file system says who connects, the kernel who he is. Whoever may only read changes
 * nothing and holds nothing; his idle connection makes room for another.
 */
#include "policyd/control.h"

#include "common/address.h"
#include "common/attr.h"
#include "common/clock.h"
#include "common/control.h"
#include "common/memory.h"
#include "common/quotas.h"
#include "policyd/command.h"
#include "policyd/notes.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIST_COUNT    50
#define HISTORY_COUNT 100
#define PAGE_SIZE     (ATTR_REQUEST_MAX - 2 * ATTR_LINE_MAX)
#define NOT_STORED                                                                                 \
    CONTROL_RESULT "=" CONTROL_ERROR "\n" CONTROL_REASON                                           \
                   "=the ledger cannot be written now; try again later\n\n"
#define MALFORMED CONTROL_RESULT "=" CONTROL_ERROR "\n" CONTROL_REASON "=malformed request\n\n"

/* Who may wait at one time; beyond that nobody is made to wait, but told when there will be room.
 */
#define WAITERS_MAX 65536

/* A request that waits. */
struct postponed {
    struct postponed *next, **linked_by;
    struct control *control;
    struct control_client *client;
    char tag[CONTROL_TAG_MAX + 1];
};

struct control_client {
    struct control_client *next; /* of those that are gone */
    struct ledger_owner owner;
    void *peer;
    struct postponed *postponed;
    bool may_change;
    bool has_noted; /* something, once */
};

struct control {
    struct control_parts parts;
    struct server *server;
    struct server_protocol protocol;
    control_deliver *deliver;
    struct notes *notes;
    struct buffer text;              /* a postponed reply */
    struct control_client *departed; /* closed, with something that the ledger has to forget */
};

/* A request under way. */
struct exchange {
    struct control *control;
    struct control_client *client;
    const struct command *command;
    struct buffer *reply;
    struct server_verdict *verdict;
    char *account; /* folded */
    struct quota quota;
};

static void reserve(struct exchange *exchange);
static void settle(struct exchange *exchange);
static void release(struct exchange *exchange);
static void begin_pause(struct exchange *exchange);
static void resume(struct exchange *exchange);
static void take_note(struct exchange *exchange);
static void tell_status(struct exchange *exchange);
static void tell_list(struct exchange *exchange);
static void tell_history(struct exchange *exchange);
static void tell_settings(struct exchange *exchange);

static void (*const operations[COMMANDS])(struct exchange *exchange) = {
    [COMMAND_RESERVE] = reserve,        [COMMAND_SETTLE] = settle,
    [COMMAND_RELEASE] = release,        [COMMAND_PAUSE] = begin_pause,
    [COMMAND_RESUME] = resume,          [COMMAND_STATUS] = tell_status,
    [COMMAND_LIST] = tell_list,         [COMMAND_HISTORY] = tell_history,
    [COMMAND_SETTINGS] = tell_settings, [COMMAND_NOTE] = take_note,
};

/* --- writing ----------------------------------------------------------------- */

static void write_result(struct exchange *exchange, const char *result)
{
    attr_write(exchange->reply, CONTROL_RESULT, result);
}

static void write_reason(struct exchange *exchange, const char *result, const char *reason)
{
    write_result(exchange, result);
    attr_write(exchange->reply, CONTROL_REASON, reason);
}

static void write_number(struct exchange *exchange, const char *name, int64_t number)
{
    buffer_format(exchange->reply, "%s=%" PRId64 "\n", name, number);
}

static void write_limit(struct exchange *exchange, const char *name, uint32_t limit)
{
    if (limit == QUOTA_UNLIMITED)
        attr_write(exchange->reply, name, CONTROL_NONE);
    else
        write_number(exchange, name, limit);
}

/* --- one request ------------------------------------------------------------- */

static void run(struct exchange *exchange)
{
    const struct command *command = exchange->command;
    const struct control_parts *parts = &exchange->control->parts;
    struct error error;
    if (command->mistake != NULL) {
        write_reason(exchange, CONTROL_ERROR, command->mistake);
        return;
    }
    if (command_changes(command) && !exchange->client->may_change) {
        write_reason(exchange, CONTROL_REFUSED, "only root and post365_user may change the ledger");
        return;
    }
    if (command_needs_account(command))
        exchange->account = address_fold(command->account);
    if (command_needs_quota(command) &&
        quotas_find(parts->settings, parts->quota_maps, exchange->account, &exchange->quota,
                    &error) == TABLE_FAILED) {
        write_reason(exchange, CONTROL_ERROR, error.text);
        return;
    }
    operations[command->kind](exchange);
}

void control_answer(struct control *control, struct control_client *client, const char *request,
                    size_t length, struct buffer *reply, struct server_verdict *verdict)
{
    struct command command;
    struct exchange exchange = {.control = control,
                                .client = client,
                                .command = &command,
                                .reply = reply,
                                .verdict = verdict};
    size_t start = reply->length;
    command_read(request, length, &command);
    if (command.tag[0] != '\0')
        attr_write(reply, CONTROL_TAG, command.tag);
    verdict->kept = reply->length - start;
    run(&exchange);
    if (verdict->is_postponed)
        reply->length = start;
    else
        attr_write_end(reply);
    free(exchange.account);
}

/* --- changing ---------------------------------------------------------------- */

static const char *measure_of(const struct ledger_answer *answer)
{
    if (answer->verdict == LEDGER_LATER && answer->obstacle == LEDGER_PAUSE)
        return CONTROL_PAUSE;
    if (answer->verdict == LEDGER_LATER && answer->obstacle == LEDGER_ORDER)
        return CONTROL_ORDER;
    return answer->measure == LEDGER_RECIPIENTS ? CONTROL_RECIPIENTS : CONTROL_MESSAGES;
}

static void write_refusal(const struct ledger *ledger, struct buffer *reply,
                          const struct ledger_answer *answer)
{
    bool is_later = answer->verdict == LEDGER_LATER;
    attr_write(reply, CONTROL_RESULT, is_later ? CONTROL_LATER : CONTROL_NEVER);
    if (is_later && answer->earliest != INT64_MAX)
        buffer_format(reply, CONTROL_EARLIEST "=%" PRId64 "\n",
                      ledger_shown(ledger, answer->earliest));
    attr_write(reply, CONTROL_MEASURE, measure_of(answer));
    if (is_later && answer->obstacle == LEDGER_PAUSE)
        attr_write(reply, CONTROL_CAUSE, answer->cause);
    if (is_later && answer->obstacle != LEDGER_QUOTA)
        return;
    if (is_later)
        buffer_format(reply, CONTROL_USED "=%" PRIu32 "\n", answer->used);
    buffer_format(reply, CONTROL_LIMIT "=%" PRIu32 "\n" CONTROL_PERIOD "=%" PRId64 "\n",
                  answer->rate.limit, answer->rate.period);
}

static void write_answer(const struct ledger *ledger, struct buffer *reply,
                         const struct ledger_answer *answer, struct server_verdict *verdict)
{
    if (answer->verdict != LEDGER_GRANTED) {
        write_refusal(ledger, reply, answer);
        return;
    }
    verdict->needs_commit = true;
    attr_write(reply, CONTROL_RESULT, CONTROL_GRANTED);
    buffer_format(reply, CONTROL_RESERVATION "=%" PRIu64 "\n", answer->id);
}

static struct postponed *postpone(struct exchange *exchange)
{
    struct control_client *client = exchange->client;
    struct postponed *postponed = memory_zero(1, sizeof(*postponed));
    postponed->control = exchange->control;
    postponed->client = client;
    strcpy(postponed->tag, exchange->command->tag);
    postponed->linked_by = &client->postponed;
    postponed->next = client->postponed;
    if (postponed->next != NULL)
        postponed->next->linked_by = &postponed->next;
    client->postponed = postponed;
    return postponed;
}

static void forget_postponed(struct postponed *postponed)
{
    *postponed->linked_by = postponed->next;
    if (postponed->next != NULL)
        postponed->next->linked_by = postponed->linked_by;
    free(postponed);
}

/* The ledger's answer to somebody who waited. */
static void answer_postponed(void *context, const struct ledger_answer *answer)
{
    struct postponed *postponed = context;
    struct control *control = postponed->control;
    struct server_verdict verdict = {0};
    buffer_clear(&control->text);
    if (postponed->tag[0] != '\0')
        attr_write(&control->text, CONTROL_TAG, postponed->tag);
    verdict.kept = control->text.length;
    write_answer(control->parts.ledger, &control->text, answer, &verdict);
    attr_write_end(&control->text);
    control->deliver(postponed->client->peer, &control->text, &verdict);
    forget_postponed(postponed);
}

static void reserve(struct exchange *exchange)
{
    const struct command *command = exchange->command;
    const struct ledger_request request = {
        .account = exchange->account,
        .quota = &exchange->quota,
        .recipients = (uint32_t)command->number[COMMAND_RECIPIENTS],
        .messages = (uint32_t)command_number_or(command, COMMAND_MESSAGES, 1)};
    struct ledger *ledger = exchange->control->parts.ledger;
    struct ledger_answer answer;
    if (command->number[COMMAND_UNDER_WAY] == 1) {
        ledger_insist(ledger, &request, &exchange->client->owner, &answer);
        write_answer(ledger, exchange->reply, &answer, exchange->verdict);
        return;
    }
    struct postponed *postponed = postpone(exchange);
    bool is_full = ledger_waiter_count(ledger) >= WAITERS_MAX;
    ledger_wait(ledger, &request, is_full ? 0 : (int64_t)command->number[COMMAND_WAIT],
                &exchange->client->owner, postponed, &answer);
    exchange->verdict->is_postponed = answer.verdict == LEDGER_WAITING;
    if (answer.verdict == LEDGER_WAITING)
        return;
    forget_postponed(postponed);
    write_answer(ledger, exchange->reply, &answer, exchange->verdict);
}

static bool is_own(const struct exchange *exchange)
{
    return ledger_owns(exchange->control->parts.ledger, &exchange->client->owner,
                       exchange->command->number[COMMAND_RESERVATION]);
}

static void end_reservation(struct exchange *exchange, bool ended)
{
    exchange->verdict->needs_commit = ended;
    write_result(exchange, ended ? CONTROL_DONE : CONTROL_UNKNOWN);
}

static void settle(struct exchange *exchange)
{
    const uint64_t *number = exchange->command->number;
    struct ledger *ledger = exchange->control->parts.ledger;
    bool is_doubtful = number[COMMAND_DOUBTFUL] == 1;
    uint32_t recipients = (uint32_t)number[COMMAND_RECIPIENTS];
    end_reservation(exchange,
                    is_own(exchange) && (is_doubtful ? ledger_settle_doubtful : ledger_settle)(
                                            ledger, number[COMMAND_RESERVATION], recipients));
}

static void release(struct exchange *exchange)
{
    end_reservation(exchange, is_own(exchange) &&
                                  ledger_release(exchange->control->parts.ledger,
                                                 exchange->command->number[COMMAND_RESERVATION]));
}

/* --- notes ------------------------------------------------------------------- */

static void take_note(struct exchange *exchange)
{
    struct control *control = exchange->control;
    const char *cause = exchange->command->cause;
    if (cause[0] != '\0')
        notes_put(control->notes, exchange->account, cause, clock_now(clock_system()),
                  exchange->client);
    else
        notes_remove(control->notes, exchange->account);
    exchange->client->has_noted = true;
    write_result(exchange, CONTROL_DONE);
    attr_write(exchange->reply, CONTROL_ACCOUNT, exchange->account);
}

/* --- pausing ----------------------------------------------------------------- */

static void begin_pause(struct exchange *exchange)
{
    const struct command *command = exchange->command;
    struct ledger *ledger = exchange->control->parts.ledger;
    const struct ledger_pause pause = {
        .cause = command->cause,
        .until =
            ledger_meant(ledger, (int64_t)command_number_or(command, COMMAND_UNTIL, INT64_MAX)),
        .least = (int64_t)command->number[COMMAND_LEAST],
        .most = (int64_t)command->number[COMMAND_MOST]};
    struct ledger_pause_state state;
    ledger_pause(ledger, exchange->account, &pause);
    ledger_pause_of(ledger, exchange->account, &state);
    exchange->verdict->needs_commit = true;
    write_result(exchange, CONTROL_DONE);
    attr_write(exchange->reply, CONTROL_ACCOUNT, exchange->account);
    if (state.until != INT64_MAX)
        write_number(exchange, CONTROL_UNTIL, ledger_shown(ledger, state.until));
    write_number(exchange, CONTROL_FAILURES, state.failures);
}

static void resume(struct exchange *exchange)
{
    const char *cause = exchange->command->cause[0] != '\0' ? exchange->command->cause : NULL;
    bool was_paused = ledger_resume(exchange->control->parts.ledger, exchange->account, cause);
    exchange->verdict->needs_commit = was_paused;
    write_result(exchange, was_paused ? CONTROL_DONE : CONTROL_UNKNOWN);
}

/* --- telling ----------------------------------------------------------------- */

static void write_window(struct exchange *exchange, const struct ledger_use *use,
                         enum ledger_measure measure)
{
    bool is_recipients = measure == LEDGER_RECIPIENTS;
    const char *name = is_recipients ? CONTROL_RECIPIENTS : CONTROL_MESSAGES;
    const struct quota_rate *rate =
        is_recipients ? &exchange->quota.recipients : &exchange->quota.messages;
    buffer_format(exchange->reply,
                  "%s_" CONTROL_USED "=%" PRIu32 "\n%s_reserved=%" PRIu32 "\n%s_" CONTROL_LIMIT "=",
                  name, use->used[measure], name, use->reserved[measure], name);
    if (rate->limit == QUOTA_UNLIMITED)
        buffer_format(exchange->reply, CONTROL_NONE "\n");
    else
        buffer_format(exchange->reply, "%" PRIu32 "\n%s_" CONTROL_PERIOD "=%" PRId64 "\n",
                      rate->limit, name, rate->period);
}

static void write_pause(struct exchange *exchange)
{
    struct ledger_pause_state state;
    struct ledger *ledger = exchange->control->parts.ledger;
    if (!ledger_pause_of(ledger, exchange->account, &state))
        return;
    write_number(exchange, CONTROL_PAUSE_SINCE, ledger_shown(ledger, state.since));
    if (state.until != INT64_MAX)
        write_number(exchange, CONTROL_PAUSE_UNTIL, ledger_shown(ledger, state.until));
    write_number(exchange, CONTROL_PAUSE_FAILURES, state.failures);
    attr_write(exchange->reply, CONTROL_PAUSE_CAUSE, state.cause);
}

static void write_note(struct exchange *exchange)
{
    const struct note *note = notes_find(exchange->control->notes, exchange->account);
    if (note == NULL)
        return;
    write_number(exchange, CONTROL_NOTE_SINCE, note->since);
    attr_write(exchange->reply, CONTROL_NOTE_CAUSE, note->cause);
}

static void tell_status(struct exchange *exchange)
{
    struct ledger *ledger = exchange->control->parts.ledger;
    const struct ledger_request one = {exchange->account, &exchange->quota, 1, 1};
    struct ledger_use use;
    struct ledger_answer answer;
    ledger_use(ledger, exchange->account, &exchange->quota, &use);
    ledger_ask(ledger, &one, &answer);
    write_result(exchange, CONTROL_DONE);
    attr_write(exchange->reply, CONTROL_ACCOUNT, exchange->account);
    write_number(exchange, CONTROL_NOW, ledger_shown(ledger, use.now));
    write_window(exchange, &use, LEDGER_RECIPIENTS);
    write_window(exchange, &use, LEDGER_MESSAGES);
    write_limit(exchange, "recipients_per_message", exchange->quota.recipients_per_message);
    if (answer.verdict != LEDGER_NEVER && answer.earliest != INT64_MAX)
        write_number(exchange, CONTROL_EARLIEST, ledger_shown(ledger, answer.earliest));
    write_number(exchange, CONTROL_WAITING, (int64_t)use.waiting);
    write_pause(exchange);
    write_note(exchange);
}

static void write_share(struct buffer *text, const char *name, uint32_t used, uint32_t limit)
{
    buffer_format(text, " %s=%" PRIu32 "/", name, used);
    if (limit == QUOTA_UNLIMITED)
        buffer_append_string(text, CONTROL_NONE);
    else
        buffer_format(text, "%" PRIu32, limit);
}

static bool write_entry(struct exchange *exchange, const char *account, struct error *error)
{
    const struct control_parts *parts = &exchange->control->parts;
    struct quota quota;
    struct ledger_use use;
    struct ledger_pause_state state;
    if (quotas_find(parts->settings, parts->quota_maps, account, &quota, error) == TABLE_FAILED)
        return false;
    ledger_use(parts->ledger, account, &quota, &use);
    buffer_format(exchange->reply, CONTROL_ACCOUNT "=%s", account);
    write_share(exchange->reply, CONTROL_RECIPIENTS, use.used[LEDGER_RECIPIENTS],
                quota.recipients.limit);
    write_share(exchange->reply, CONTROL_MESSAGES, use.used[LEDGER_MESSAGES], quota.messages.limit);
    buffer_format(exchange->reply, " " CONTROL_WAITING "=%zu", use.waiting);
    if (ledger_pause_of(parts->ledger, account, &state))
        buffer_append_string(exchange->reply,
                             state.is_paused ? " " CONTROL_PAUSED : " " CONTROL_PROBED);
    buffer_append_char(exchange->reply, '\n');
    return true;
}

static void tell_list(struct exchange *exchange)
{
    struct ledger_entry entries[CONTROL_LIST_MAX + 1];
    size_t most = command_count_or(exchange->command, LIST_COUNT, CONTROL_LIST_MAX);
    size_t start = exchange->reply->length;
    struct error error;
    size_t count = ledger_list(exchange->control->parts.ledger,
                               (uint32_t)command_number_or(exchange->command, COMMAND_AFTER, 0),
                               entries, most + 1);
    size_t told = 0;
    write_result(exchange, CONTROL_DONE);
    /* A page ends by size, too: names may be long. */
    for (; told < count && told < most && exchange->reply->length - start < PAGE_SIZE; told++)
        if (!write_entry(exchange, entries[told].name, &error)) {
            exchange->reply->length = start;
            write_reason(exchange, CONTROL_ERROR, error.text);
            return;
        }
    if (told < count)
        write_number(exchange, CONTROL_AFTER, entries[told - 1].number);
}

static void tell_history(struct exchange *exchange)
{
    struct ledger_slot slots[CONTROL_HISTORY_MAX];
    size_t most = command_count_or(exchange->command, HISTORY_COUNT, CONTROL_HISTORY_MAX);
    int64_t from = (int64_t)command_number_or(exchange->command, COMMAND_FROM, 0);
    size_t count = ledger_history(exchange->control->parts.ledger, exchange->account, &from,
                                  exchange->command->width, slots, most);
    write_result(exchange, CONTROL_DONE);
    attr_write(exchange->reply, CONTROL_ACCOUNT, exchange->account);
    for (size_t i = 0; i < count; i++)
        buffer_format(exchange->reply, CONTROL_SLOT "=%" PRId64 " %" PRIu32 " %" PRIu32 "\n",
                      slots[i].begin, slots[i].sent[LEDGER_RECIPIENTS],
                      slots[i].sent[LEDGER_MESSAGES]);
    if (from != INT64_MAX)
        write_number(exchange, CONTROL_FROM, from);
}

static void tell_settings(struct exchange *exchange)
{
    char *text = NULL, *line, *rest;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    if (stream != NULL)
        settings_print(exchange->control->parts.settings, stream);
    if (stream == NULL || fclose(stream) != 0) {
        free(text);
        write_reason(exchange, CONTROL_ERROR, "not enough memory");
        return;
    }
    write_result(exchange, CONTROL_DONE);
    size_t start = exchange->reply->length;
    for (line = strtok_r(text, "\n", &rest);
         line != NULL && exchange->reply->length - start < PAGE_SIZE;
         line = strtok_r(NULL, "\n", &rest)) {
        char *value = strstr(line, " = ");
        if (value == NULL)
            continue;
        *value = '\0';
        value += strlen(" = ");
        if (strlen(line) + 1 + strlen(value) > ATTR_LINE_MAX)
            value[ATTR_LINE_MAX - strlen(line) - 1] = '\0';
        attr_write(exchange->reply, line, value);
    }
    free(text);
}

/* --- connections ------------------------------------------------------------- */

struct control_client *control_open_client(struct control *control, void *peer, bool may_change)
{
    (void)control;
    struct control_client *client = memory_zero(1, sizeof(*client));
    client->peer = peer;
    client->may_change = may_change;
    return client;
}

void control_close_client(struct control *control, struct control_client *client)
{
    while (client->postponed != NULL)
        forget_postponed(client->postponed);
    notes_forget(control->notes, client);
    if (!ledger_owns_any(&client->owner)) {
        free(client);
        return;
    }
    client->next = control->departed;
    control->departed = client;
    if (control->server != NULL)
        server_want_commit(control->server);
}

void control_before_commit(struct control *control)
{
    for (struct control_client *client = control->departed; client != NULL; client = client->next)
        ledger_abandon(control->parts.ledger, &client->owner);
    ledger_serve(control->parts.ledger);
}

bool control_after_commit(struct control *control, bool written)
{
    if (!written && control->departed != NULL) {
        if (control->server != NULL)
            server_want_commit(control->server);
        return false;
    }
    while (control->departed != NULL) {
        struct control_client *next = control->departed->next;
        free(control->departed);
        control->departed = next;
    }
    return true;
}

static bool peer_may_change(const struct connection *connection)
{
    uid_t user;
    return server_peer(connection, &user) && (user == 0 || user == geteuid());
}

static void decide(void *context, struct connection *connection, const char *request, size_t length,
                   struct buffer *reply, struct server_verdict *verdict)
{
    struct control_client *client = server_client(connection);
    if (client == NULL) {
        client = control_open_client(context, connection, peer_may_change(connection));
        server_set_client(connection, client);
    }
    control_answer(context, client, request, length, reply, verdict);
}

static void closed(void *context, void *client)
{
    control_close_client(context, client);
}

static bool must_stay(const void *argument)
{
    const struct control_client *client = argument;
    return ledger_owns_any(&client->owner) || client->has_noted;
}

static void deliver(void *peer, const struct buffer *reply, const struct server_verdict *verdict)
{
    server_reply(peer, reply, verdict);
}

void control_listen(struct control *control, struct server *server, int descriptor)
{
    control->server = server;
    control_on_delivery(control, deliver);
    control->protocol = (struct server_protocol){.decide = decide,
                                                 .closed = closed,
                                                 .must_stay = must_stay,
                                                 .context = control,
                                                 .malformed = MALFORMED,
                                                 .not_stored = NOT_STORED};
    server_listen(server, descriptor, &control->protocol);
}

/* --- life -------------------------------------------------------------------- */

struct control *control_new(const struct control_parts *parts)
{
    struct control *control = memory_zero(1, sizeof(*control));
    control->notes = notes_new();
    control_configure(control, parts);
    return control;
}

void control_configure(struct control *control, const struct control_parts *parts)
{
    control->parts = *parts;
    ledger_on_answer(parts->ledger, answer_postponed);
}

void control_on_delivery(struct control *control, control_deliver *deliver_reply)
{
    control->deliver = deliver_reply;
}

void control_free(struct control *control)
{
    if (control == NULL)
        return;
    while (control->departed != NULL) {
        struct control_client *next = control->departed->next;
        free(control->departed);
        control->departed = next;
    }
    notes_free(control->notes);
    buffer_free(&control->text);
    free(control);
}
