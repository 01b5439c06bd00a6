/* control.c - the ledger's answers on the control socket
 *
 * Security: the file system says who connects, the kernel who he is. Whoever may only read changes
 * nothing and holds nothing; his idle connection makes room for another.
 */
#include "policyd/control.h"

#include "common/address.h"
#include "common/attr.h"
#include "common/control.h"
#include "common/memory.h"
#include "policyd/quotas.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIST_COUNT    50
#define HISTORY_COUNT 100
#define MINUTE        (60 * CLOCK_SECOND)
#define HOUR          (60 * MINUTE)
#define NOT_STORED                                                                                 \
    CONTROL_RESULT "=" CONTROL_ERROR "\n" CONTROL_REASON                                           \
                   "=the ledger cannot be written now; try again later\n\n"
#define MALFORMED CONTROL_RESULT "=" CONTROL_ERROR "\n" CONTROL_REASON "=malformed request\n\n"

struct control_client {
    struct control_client *next; /* of those that are gone */
    struct ledger_owner owner;
    bool may_change;
};

struct control {
    struct control_parts parts;
    struct server *server;
    struct server_protocol protocol;
    struct control_client *departed; /* closed, with reservations still open */
};

enum number {
    NUMBER_RECIPIENTS,
    NUMBER_MESSAGES,
    NUMBER_RESERVATION,
    NUMBER_AFTER,
    NUMBER_COUNT,
    NUMBER_FROM,
    NUMBERS,
};

/* What is asked. Numbers that are not named are 0. */
struct command {
    const struct operation *operation;
    const char *mistake; /* or NULL */
    char tag[CONTROL_TAG_MAX + 1];
    char account[ADDRESS_MAX + 1];
    uint64_t number[NUMBERS]; /* by enum number */
    bool has[NUMBERS];
    int64_t width; /* of a slot */
};

static const struct {
    const char *name;
    uint64_t most;
} numbers[NUMBERS] = {
    [NUMBER_RECIPIENTS] = {CONTROL_RECIPIENTS, LEDGER_LIMIT_MAX},
    [NUMBER_MESSAGES] = {CONTROL_MESSAGES, LEDGER_LIMIT_MAX},
    [NUMBER_RESERVATION] = {CONTROL_RESERVATION, UINT64_MAX},
    [NUMBER_AFTER] = {CONTROL_AFTER, UINT32_MAX},
    [NUMBER_COUNT] = {CONTROL_COUNT, UINT32_MAX},
    [NUMBER_FROM] = {CONTROL_FROM, INT64_MAX},
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

struct operation {
    const char *name;
    bool changes;
    bool needs_account;
    bool needs[NUMBERS];
    void (*run)(struct exchange *exchange);
};

static void reserve(struct exchange *exchange);
static void settle(struct exchange *exchange);
static void release(struct exchange *exchange);
static void tell_status(struct exchange *exchange);
static void tell_list(struct exchange *exchange);
static void tell_history(struct exchange *exchange);
static void tell_settings(struct exchange *exchange);

static const struct operation operations[] = {
    {CONTROL_RESERVE, true, true, {[NUMBER_RECIPIENTS] = true}, reserve},
    {CONTROL_SETTLE,
     true,
     false,
     {[NUMBER_RESERVATION] = true, [NUMBER_RECIPIENTS] = true},
     settle},
    {CONTROL_RELEASE, true, false, {[NUMBER_RESERVATION] = true}, release},
    {CONTROL_STATUS, false, true, {false}, tell_status},
    {CONTROL_LIST, false, false, {false}, tell_list},
    {CONTROL_HISTORY, false, true, {false}, tell_history},
    {CONTROL_SETTINGS, false, false, {false}, tell_settings},
};

/* --- reading ----------------------------------------------------------------- */

static const struct operation *find_operation(const struct attr *name)
{
    for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++)
        if (attr_has_value(name, operations[i].name))
            return &operations[i];
    return NULL;
}

static bool read_text(const struct attr *attr, char *text, size_t most)
{
    if (attr->value_length > most)
        return false;
    memcpy(text, attr->value, attr->value_length);
    text[attr->value_length] = '\0';
    return true;
}

static bool read_number(const struct attr *attr, uint64_t most, uint64_t *number)
{
    *number = 0;
    for (size_t i = 0; i < attr->value_length; i++) {
        unsigned digit = (unsigned)(unsigned char)attr->value[i] - '0';
        if (digit > 9 || *number > (most - digit) / 10)
            return false;
        *number = *number * 10 + digit;
    }
    return attr->value_length > 0;
}

static void read_attribute(const struct attr *attr, struct command *command)
{
    for (size_t i = 0; i < NUMBERS; i++)
        if (attr_is(attr, numbers[i].name)) {
            command->has[i] = true;
            if (!read_number(attr, numbers[i].most, &command->number[i]))
                command->mistake = "a number is none, or is too large";
            return;
        }
    if (attr_is(attr, CONTROL_REQUEST)) {
        command->operation = find_operation(attr);
    } else if (attr_is(attr, CONTROL_TAG)) {
        if (!read_text(attr, command->tag, CONTROL_TAG_MAX))
            command->mistake = "the tag is too long";
    } else if (attr_is(attr, CONTROL_ACCOUNT)) {
        if (!read_text(attr, command->account, ADDRESS_MAX) || !address_is_upn(command->account))
            command->mistake = "the account is no address";
    } else if (attr_is(attr, CONTROL_PER)) {
        command->width = attr_has_value(attr, "minute") ? MINUTE : HOUR;
        if (!attr_has_value(attr, "minute") && !attr_has_value(attr, "hour"))
            command->mistake = "per is neither minute nor hour";
    }
}

/* What is wrong with a request that was read to its end, or NULL. */
static const char *find_mistake(const struct command *command)
{
    const struct operation *operation = command->operation;
    if (operation == NULL)
        return "unknown request";
    if (command->mistake != NULL)
        return command->mistake;
    if (operation->needs_account && command->account[0] == '\0')
        return "no account is named";
    for (size_t i = 0; i < NUMBERS; i++)
        if (operation->needs[i] && !command->has[i])
            return "an attribute is missing";
    return NULL;
}

static void read_command(const char *request, size_t length, struct command *command)
{
    *command = (struct command){.width = HOUR};
    struct attr attr;
    size_t position = 0;
    while (attr_next(request, length, &position, &attr))
        read_attribute(&attr, command);
    command->mistake = find_mistake(command);
}

/* A number, or what it is when it is not named. */
static uint64_t number_or(const struct command *command, enum number which, uint64_t otherwise)
{
    return command->has[which] ? command->number[which] : otherwise;
}

/* How much to tell at once. */
static size_t count_or(const struct command *command, size_t otherwise, size_t most)
{
    uint64_t count = number_or(command, NUMBER_COUNT, otherwise);
    return count < 1 ? 1 : count < most ? (size_t)count : most;
}

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
    if (command->operation == NULL || command->mistake != NULL) {
        write_reason(exchange, CONTROL_ERROR, command->mistake);
        return;
    }
    if (command->operation->changes && !exchange->client->may_change) {
        write_reason(exchange, CONTROL_REFUSED, "only root and post365_user may change the ledger");
        return;
    }
    if (command->operation->needs_account) {
        exchange->account = address_fold(command->account);
        if (quotas_find(parts->settings, parts->quota_maps, exchange->account, &exchange->quota,
                        &error) == TABLE_FAILED) {
            write_reason(exchange, CONTROL_ERROR, error.text);
            return;
        }
    }
    command->operation->run(exchange);
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
    read_command(request, length, &command);
    if (command.tag[0] != '\0')
        attr_write(reply, CONTROL_TAG, command.tag);
    verdict->kept = reply->length - start;
    run(&exchange);
    attr_write_end(reply);
    free(exchange.account);
}

/* --- changing ---------------------------------------------------------------- */

static void write_refusal(struct exchange *exchange, const struct ledger_answer *answer)
{
    bool is_later = answer->verdict == LEDGER_LATER;
    write_result(exchange, is_later ? CONTROL_LATER : CONTROL_NEVER);
    if (is_later) {
        write_number(exchange, CONTROL_EARLIEST, answer->earliest);
        write_number(exchange, CONTROL_USED, answer->used);
    }
    attr_write(exchange->reply, CONTROL_MEASURE,
               answer->measure == LEDGER_RECIPIENTS ? CONTROL_RECIPIENTS : CONTROL_MESSAGES);
    write_number(exchange, CONTROL_LIMIT, answer->rate.limit);
    write_number(exchange, CONTROL_PERIOD, answer->rate.period);
}

static void reserve(struct exchange *exchange)
{
    const struct command *command = exchange->command;
    const struct ledger_request request = {
        .account = exchange->account,
        .quota = &exchange->quota,
        .recipients = (uint32_t)command->number[NUMBER_RECIPIENTS],
        .messages = (uint32_t)number_or(command, NUMBER_MESSAGES, 1)};
    struct ledger *ledger = exchange->control->parts.ledger;
    struct ledger_answer answer;
    ledger_reserve(ledger, &request, &answer);
    if (answer.verdict != LEDGER_GRANTED) {
        write_refusal(exchange, &answer);
        return;
    }
    ledger_give(ledger, answer.id, &exchange->client->owner);
    exchange->verdict->needs_commit = true;
    write_result(exchange, CONTROL_GRANTED);
    buffer_format(exchange->reply, CONTROL_RESERVATION "=%" PRIu64 "\n", answer.id);
}

static bool is_own(const struct exchange *exchange)
{
    return ledger_owns(exchange->control->parts.ledger, &exchange->client->owner,
                       exchange->command->number[NUMBER_RESERVATION]);
}

static void end_reservation(struct exchange *exchange, bool ended)
{
    exchange->verdict->needs_commit = ended;
    write_result(exchange, ended ? CONTROL_DONE : CONTROL_UNKNOWN);
}

static void settle(struct exchange *exchange)
{
    const uint64_t *number = exchange->command->number;
    end_reservation(exchange,
                    is_own(exchange) &&
                        ledger_settle(exchange->control->parts.ledger, number[NUMBER_RESERVATION],
                                      (uint32_t)number[NUMBER_RECIPIENTS]));
}

static void release(struct exchange *exchange)
{
    end_reservation(exchange, is_own(exchange) &&
                                  ledger_release(exchange->control->parts.ledger,
                                                 exchange->command->number[NUMBER_RESERVATION]));
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
    write_number(exchange, CONTROL_NOW, use.now);
    write_window(exchange, &use, LEDGER_RECIPIENTS);
    write_window(exchange, &use, LEDGER_MESSAGES);
    write_limit(exchange, "recipients_per_message", exchange->quota.recipients_per_message);
    if (answer.verdict != LEDGER_NEVER)
        write_number(exchange, CONTROL_EARLIEST, answer.earliest);
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
    if (quotas_find(parts->settings, parts->quota_maps, account, &quota, error) == TABLE_FAILED)
        return false;
    ledger_use(parts->ledger, account, &quota, &use);
    buffer_format(exchange->reply, CONTROL_ACCOUNT "=%s", account);
    write_share(exchange->reply, CONTROL_RECIPIENTS, use.used[LEDGER_RECIPIENTS],
                quota.recipients.limit);
    write_share(exchange->reply, CONTROL_MESSAGES, use.used[LEDGER_MESSAGES], quota.messages.limit);
    buffer_append_char(exchange->reply, '\n');
    return true;
}

static void tell_list(struct exchange *exchange)
{
    struct ledger_entry entries[CONTROL_LIST_MAX + 1];
    size_t most = count_or(exchange->command, LIST_COUNT, CONTROL_LIST_MAX);
    size_t start = exchange->reply->length;
    struct error error;
    size_t count =
        ledger_list(exchange->control->parts.ledger,
                    (uint32_t)number_or(exchange->command, NUMBER_AFTER, 0), entries, most + 1);
    write_result(exchange, CONTROL_DONE);
    for (size_t i = 0; i < count && i < most; i++)
        if (!write_entry(exchange, entries[i].name, &error)) {
            exchange->reply->length = start;
            write_reason(exchange, CONTROL_ERROR, error.text);
            return;
        }
    if (count > most)
        write_number(exchange, CONTROL_AFTER, entries[most - 1].number);
}

static void tell_history(struct exchange *exchange)
{
    struct ledger_slot slots[CONTROL_HISTORY_MAX];
    size_t most = count_or(exchange->command, HISTORY_COUNT, CONTROL_HISTORY_MAX);
    int64_t from = (int64_t)number_or(exchange->command, NUMBER_FROM, 0);
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
    for (line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
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

struct control_client *control_open_client(struct control *control, bool may_change)
{
    (void)control;
    struct control_client *client = memory_zero(1, sizeof(*client));
    client->may_change = may_change;
    return client;
}

void control_close_client(struct control *control, struct control_client *client)
{
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
        client = control_open_client(context, peer_may_change(connection));
        server_set_client(connection, client);
    }
    control_answer(context, client, request, length, reply, verdict);
}

static void closed(void *context, void *client)
{
    control_close_client(context, client);
}

static bool must_stay(const void *client)
{
    return ledger_owns_any(&((const struct control_client *)client)->owner);
}

void control_listen(struct control *control, struct server *server, int descriptor)
{
    control->server = server;
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
    control_configure(control, parts);
    return control;
}

void control_configure(struct control *control, const struct control_parts *parts)
{
    control->parts = *parts;
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
    free(control);
}
