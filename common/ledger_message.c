/* ledger_message.c - requests to policyd's ledger and its replies, as text and as C
 *
 * A reply is read in two steps: first it is found where each attribute that we know stands, then
 * what this result of this request needs is taken, so that nothing is half-read.
 */
#include "common/ledger_message.h"

#include <inttypes.h>
#include <string.h>

#define SETTING_PREFIX "post365_"

/* --- requests ---------------------------------------------------------------- */

#define TIME_MAX (INT64_MAX / 8) /* microseconds: the year 38000 */

static const struct {
    const char *name;
    bool needs_account;
} commands[LEDGER_COMMANDS] = {
    [LEDGER_COMMAND_RESERVE] = {CONTROL_RESERVE, true},
    [LEDGER_COMMAND_SETTLE] = {CONTROL_SETTLE, false},
    [LEDGER_COMMAND_RELEASE] = {CONTROL_RELEASE, false},
    [LEDGER_COMMAND_PAUSE] = {CONTROL_PAUSE, true},
    [LEDGER_COMMAND_RESUME] = {CONTROL_RESUME, true},
    [LEDGER_COMMAND_NOTE] = {CONTROL_NOTE, true},
    [LEDGER_COMMAND_STATUS] = {CONTROL_STATUS, true},
    [LEDGER_COMMAND_LIST] = {CONTROL_LIST, false},
    [LEDGER_COMMAND_HISTORY] = {CONTROL_HISTORY, true},
    [LEDGER_COMMAND_SETTINGS] = {CONTROL_SETTINGS, false},
};

static void write_number(struct buffer *text, const char *name, uint64_t number)
{
    buffer_format(text, "%s=%" PRIu64 "\n", name, number);
}

static void write_time(struct buffer *text, const char *name, int64_t time)
{
    buffer_format(text, "%s=%" PRId64 "\n", name, time);
}

static void write_reserve(struct buffer *text, const struct ledger_command *command)
{
    write_number(text, CONTROL_RECIPIENTS, command->recipients);
    if (command->messages > 0)
        write_number(text, CONTROL_MESSAGES, command->messages);
    if (command->wait > 0)
        write_time(text, CONTROL_WAIT, command->wait);
    if (command->is_under_way)
        write_number(text, CONTROL_UNDER_WAY, 1);
}

static void write_cause(struct buffer *text, const struct ledger_command *command)
{
    char cause[CONTROL_CAUSE_MAX + 1] = "";
    if (command->cause != NULL)
        attr_text(command->cause, strlen(command->cause), cause, sizeof(cause));
    attr_write(text, CONTROL_CAUSE, cause);
}

static void write_pause(struct buffer *text, const struct ledger_command *command)
{
    write_cause(text, command);
    if (command->most > 0) {
        write_time(text, CONTROL_LEAST, command->least);
        write_time(text, CONTROL_MOST, command->most);
    } else if (command->until != LEDGER_FOREVER) {
        write_time(text, CONTROL_UNTIL, command->until);
    }
}

static void write_history(struct buffer *text, const struct ledger_command *command)
{
    static const char *const names[LEDGER_PERS] = {[LEDGER_PER_HOUR] = CONTROL_PER_HOUR,
                                                   [LEDGER_PER_MINUTE] = CONTROL_PER_MINUTE,
                                                   [LEDGER_PER_EVENT] = CONTROL_PER_EVENT};
    attr_write(text, CONTROL_PER, names[command->per]);
    if (command->from > 0)
        write_time(text, CONTROL_FROM, command->from);
}

static void write_details(struct buffer *text, const struct ledger_command *command)
{
    switch (command->kind) {
    case LEDGER_COMMAND_RESERVE:
        write_reserve(text, command);
        break;
    case LEDGER_COMMAND_SETTLE:
        write_number(text, CONTROL_RESERVATION, command->reservation);
        write_number(text, CONTROL_RECIPIENTS, command->recipients);
        if (command->is_doubtful)
            write_number(text, CONTROL_DOUBTFUL, 1);
        break;
    case LEDGER_COMMAND_RELEASE:
        write_number(text, CONTROL_RESERVATION, command->reservation);
        break;
    case LEDGER_COMMAND_PAUSE:
        write_pause(text, command);
        break;
    case LEDGER_COMMAND_NOTE:
    case LEDGER_COMMAND_RESUME:
        if (command->cause != NULL)
            write_cause(text, command);
        break;
    case LEDGER_COMMAND_LIST:
        if (command->after > 0)
            write_number(text, CONTROL_AFTER, command->after);
        break;
    case LEDGER_COMMAND_HISTORY:
        write_history(text, command);
        break;
    default:
        break;
    }
}

bool ledger_command_write(struct buffer *text, uint64_t tag, const struct ledger_command *command,
                          struct error *error)
{
    const char *account = command->account != NULL ? command->account : "";
    bool has_pages =
        command->kind == LEDGER_COMMAND_LIST || command->kind == LEDGER_COMMAND_HISTORY;
    if (commands[command->kind].needs_account && !address_is_upn(account))
        return error_set(error, "\"" ERROR_SHOWN "\" is no account; write user@domain", account);
    attr_write(text, CONTROL_REQUEST, commands[command->kind].name);
    if (tag != 0)
        write_number(text, CONTROL_TAG, tag);
    if (commands[command->kind].needs_account)
        attr_write(text, CONTROL_ACCOUNT, account);
    write_details(text, command);
    if (has_pages && command->count > 0)
        write_number(text, CONTROL_COUNT, command->count);
    attr_write_end(text);
    return true;
}

/* --- words and numbers ------------------------------------------------------- */

static bool read_count(const char *digits, size_t length, uint32_t *count)
{
    uint64_t number;
    if (!attr_digits(digits, length, UINT32_MAX, &number))
        return false;
    *count = (uint32_t)number;
    return true;
}

/* A number, or `none`. */
static bool read_limit(const char *text, size_t length, uint32_t *limit)
{
    if (length == strlen(CONTROL_NONE) && memcmp(text, CONTROL_NONE, length) == 0) {
        *limit = QUOTA_UNLIMITED;
        return true;
    }
    return read_count(text, length, limit) && *limit != QUOTA_UNLIMITED;
}

/* What is later than any clock is cut, so that nobody who adds a few of them need fear overflow. */
static bool read_time(const char *digits, size_t length, int64_t *time)
{
    uint64_t number;
    if (!attr_digits(digits, length, INT64_MAX, &number))
        return false;
    *time = number < TIME_MAX ? (int64_t)number : TIME_MAX;
    return true;
}

/* Cuts the next word, `name=value` or a name alone, from the blank-separated `text`. */
static bool next_word(const char **text, const char *end, struct attr *word)
{
    while (*text < end && **text == ' ')
        (*text)++;
    const char *start = *text;
    while (*text < end && **text != ' ')
        (*text)++;
    size_t length = (size_t)(*text - start);
    const char *equals = length > 0 ? memchr(start, '=', length) : NULL;
    const char *name_end = equals != NULL ? equals : start + length;
    word->name = start;
    word->name_length = (size_t)(name_end - start);
    word->value = equals != NULL ? equals + 1 : name_end;
    word->value_length = (size_t)(start + length - word->value);
    return length > 0;
}

/* USED/LIMIT */
static bool read_share(const struct attr *word, uint32_t *used, uint32_t *limit)
{
    const char *slash =
        word->value_length > 0 ? memchr(word->value, '/', word->value_length) : NULL;
    if (slash == NULL)
        return false;
    size_t length = (size_t)(slash - word->value);
    return read_count(word->value, length, used) &&
           read_limit(slash + 1, word->value_length - length - 1, limit);
}

/* --- pages ------------------------------------------------------------------- */

/* UPN recipients=USED/LIMIT messages=USED/LIMIT waiting=NUMBER [paused | probed], words may be
 * added */
static bool read_account(const struct attr *attr, struct ledger_reply_account *account)
{
    const char *text = attr->value, *end = text + attr->value_length;
    const char *blank = attr->value_length > 0 ? memchr(text, ' ', attr->value_length) : NULL;
    size_t name_length = (size_t)((blank != NULL ? blank : end) - text);
    bool has_recipients = false, has_messages = false, has_waiting = false;
    if (name_length == 0 || name_length > ADDRESS_MAX)
        return false;
    *account = (struct ledger_reply_account){0};
    attr_text(text, name_length, account->name, sizeof(account->name));
    text += name_length;
    for (struct attr word; next_word(&text, end, &word);) {
        if (attr_is(&word, CONTROL_RECIPIENTS))
            has_recipients =
                read_share(&word, &account->recipients_used, &account->recipients_limit);
        else if (attr_is(&word, CONTROL_MESSAGES))
            has_messages = read_share(&word, &account->messages_used, &account->messages_limit);
        else if (attr_is(&word, CONTROL_WAITING))
            has_waiting = read_count(word.value, word.value_length, &account->waiting);
        else if (attr_is(&word, CONTROL_PAUSED))
            account->is_paused = true;
        else if (attr_is(&word, CONTROL_PROBED))
            account->is_probed = true;
    }
    return has_recipients && has_messages && has_waiting;
}

/* BEGIN RECIPIENTS MESSAGES */
static bool read_slot(const struct attr *attr, struct ledger_reply_slot *slot)
{
    const char *text = attr->value, *end = text + attr->value_length;
    struct attr begin, recipients, messages, more;
    return next_word(&text, end, &begin) && next_word(&text, end, &recipients) &&
           next_word(&text, end, &messages) && !next_word(&text, end, &more) &&
           read_time(begin.name, begin.name_length, &slot->begin) &&
           read_count(recipients.name, recipients.name_length, &slot->recipients) &&
           read_count(messages.name, messages.name_length, &slot->messages);
}

bool ledger_reply_next_account(const struct ledger_reply *reply, size_t *position,
                               struct ledger_reply_account *account)
{
    struct attr attr;
    while (attr_next(reply->text, reply->length, position, &attr))
        if (attr_is(&attr, CONTROL_ACCOUNT))
            return read_account(&attr, account);
    return false;
}

bool ledger_reply_next_slot(const struct ledger_reply *reply, size_t *position,
                            struct ledger_reply_slot *slot)
{
    struct attr attr;
    while (attr_next(reply->text, reply->length, position, &attr))
        if (attr_is(&attr, CONTROL_SLOT))
            return read_slot(&attr, slot);
    return false;
}

bool ledger_reply_next_setting(const struct ledger_reply *reply, size_t *position,
                               struct attr *setting)
{
    while (attr_next(reply->text, reply->length, position, setting))
        if (setting->name_length > strlen(SETTING_PREFIX) &&
            memcmp(setting->name, SETTING_PREFIX, strlen(SETTING_PREFIX)) == 0)
            return true;
    return false;
}

/* --- replies ----------------------------------------------------------------- */

enum field {
    FIELD_RESULT,
    FIELD_REASON,
    FIELD_RESERVATION,
    FIELD_MEASURE,
    FIELD_EARLIEST,
    FIELD_USED,
    FIELD_LIMIT,
    FIELD_PERIOD,
    FIELD_CAUSE,
    FIELD_ACCOUNT,
    FIELD_NOW,
    FIELD_UNTIL,
    FIELD_FAILURES,
    FIELD_RECIPIENTS_USED,
    FIELD_RECIPIENTS_RESERVED,
    FIELD_RECIPIENTS_LIMIT,
    FIELD_RECIPIENTS_PERIOD,
    FIELD_MESSAGES_USED,
    FIELD_MESSAGES_RESERVED,
    FIELD_MESSAGES_LIMIT,
    FIELD_MESSAGES_PERIOD,
    FIELD_RECIPIENTS_PER_MESSAGE,
    FIELD_WAITING,
    FIELD_PAUSE_SINCE,
    FIELD_PAUSE_UNTIL,
    FIELD_PAUSE_FAILURES,
    FIELD_PAUSE_CAUSE,
    FIELD_NOTE_SINCE,
    FIELD_NOTE_CAUSE,
    FIELD_AFTER,
    FIELD_FROM,
    FIELDS,
};

static const char *const field_names[FIELDS] = {
    [FIELD_RESULT] = CONTROL_RESULT,
    [FIELD_REASON] = CONTROL_REASON,
    [FIELD_RESERVATION] = CONTROL_RESERVATION,
    [FIELD_MEASURE] = CONTROL_MEASURE,
    [FIELD_EARLIEST] = CONTROL_EARLIEST,
    [FIELD_USED] = CONTROL_USED,
    [FIELD_LIMIT] = CONTROL_LIMIT,
    [FIELD_PERIOD] = CONTROL_PERIOD,
    [FIELD_CAUSE] = CONTROL_CAUSE,
    [FIELD_ACCOUNT] = CONTROL_ACCOUNT,
    [FIELD_NOW] = CONTROL_NOW,
    [FIELD_UNTIL] = CONTROL_UNTIL,
    [FIELD_FAILURES] = CONTROL_FAILURES,
    [FIELD_RECIPIENTS_USED] = CONTROL_RECIPIENTS "_" CONTROL_USED,
    [FIELD_RECIPIENTS_RESERVED] = CONTROL_RECIPIENTS "_reserved",
    [FIELD_RECIPIENTS_LIMIT] = CONTROL_RECIPIENTS "_" CONTROL_LIMIT,
    [FIELD_RECIPIENTS_PERIOD] = CONTROL_RECIPIENTS "_" CONTROL_PERIOD,
    [FIELD_MESSAGES_USED] = CONTROL_MESSAGES "_" CONTROL_USED,
    [FIELD_MESSAGES_RESERVED] = CONTROL_MESSAGES "_reserved",
    [FIELD_MESSAGES_LIMIT] = CONTROL_MESSAGES "_" CONTROL_LIMIT,
    [FIELD_MESSAGES_PERIOD] = CONTROL_MESSAGES "_" CONTROL_PERIOD,
    [FIELD_RECIPIENTS_PER_MESSAGE] = "recipients_per_message",
    [FIELD_WAITING] = CONTROL_WAITING,
    [FIELD_PAUSE_SINCE] = CONTROL_PAUSE "_since",
    [FIELD_PAUSE_UNTIL] = CONTROL_PAUSE "_" CONTROL_UNTIL,
    [FIELD_PAUSE_FAILURES] = CONTROL_PAUSE "_" CONTROL_FAILURES,
    [FIELD_PAUSE_CAUSE] = CONTROL_PAUSE "_" CONTROL_CAUSE,
    [FIELD_NOTE_SINCE] = CONTROL_NOTE_SINCE,
    [FIELD_NOTE_CAUSE] = CONTROL_NOTE_CAUSE,
    [FIELD_AFTER] = CONTROL_AFTER,
    [FIELD_FROM] = CONTROL_FROM,
};

#define KIND(name)  (1U << LEDGER_COMMAND_##name)
#define ANY_KIND    ((1U << LEDGER_COMMANDS) - 1)
#define ALL_BUT(of) (ANY_KIND & ~(of))

static const struct {
    const char *name;
    unsigned kinds; /* of requests that it answers */
} results[LEDGER_REPLY_RESULTS] = {
    [LEDGER_REPLY_GRANTED] = {CONTROL_GRANTED, KIND(RESERVE)},
    [LEDGER_REPLY_LATER] = {CONTROL_LATER, KIND(RESERVE)},
    [LEDGER_REPLY_NEVER] = {CONTROL_NEVER, KIND(RESERVE)},
    [LEDGER_REPLY_DONE] = {CONTROL_DONE, ALL_BUT(KIND(RESERVE))},
    [LEDGER_REPLY_UNKNOWN] = {CONTROL_UNKNOWN, KIND(SETTLE) | KIND(RELEASE) | KIND(RESUME)},
    [LEDGER_REPLY_REFUSED] = {CONTROL_REFUSED, ANY_KIND},
    [LEDGER_REPLY_ERROR] = {CONTROL_ERROR, ANY_KIND},
};

static const char *const measures[LEDGER_REPLY_MEASURES] = {
    [LEDGER_REPLY_RECIPIENTS] = CONTROL_RECIPIENTS,
    [LEDGER_REPLY_MESSAGES] = CONTROL_MESSAGES,
    [LEDGER_REPLY_PAUSE] = CONTROL_PAUSE,
    [LEDGER_REPLY_ORDER] = CONTROL_ORDER,
};

/* A reply that is being read. */
struct reading {
    enum ledger_command_kind kind;
    struct attr field[FIELDS]; /* name is NULL: not there */
    struct error *error;
};

static bool wrong(struct reading *reading, const char *what, const char *how)
{
    return error_set(reading->error, "malformed reply: %s %s", what, how);
}

static bool has(const struct reading *reading, enum field field)
{
    return reading->field[field].name != NULL;
}

/* The attribute, or NULL with the complaint that it is missing. */
static const struct attr *need(struct reading *reading, enum field field)
{
    if (has(reading, field))
        return &reading->field[field];
    wrong(reading, field_names[field], "is missing");
    return NULL;
}

static bool take_count(struct reading *reading, enum field field, uint32_t *count)
{
    const struct attr *attr = need(reading, field);
    return attr != NULL && (read_count(attr->value, attr->value_length, count) ||
                            wrong(reading, field_names[field], "is no number within its range"));
}

static bool take_limit(struct reading *reading, enum field field, uint32_t *limit)
{
    const struct attr *attr = need(reading, field);
    return attr != NULL && (read_limit(attr->value, attr->value_length, limit) ||
                            wrong(reading, field_names[field], "is no limit"));
}

static bool take_time(struct reading *reading, enum field field, int64_t *time)
{
    const struct attr *attr = need(reading, field);
    return attr != NULL && (read_time(attr->value, attr->value_length, time) ||
                            wrong(reading, field_names[field], "is no time"));
}

/* A time that is left out when it does not come. */
static bool take_time_or_never(struct reading *reading, enum field field, int64_t *time)
{
    *time = LEDGER_FOREVER;
    return !has(reading, field) || take_time(reading, field, time);
}

/* Text for people, cut off at size - 1 bytes. */
static bool take_text(struct reading *reading, enum field field, char *text, size_t size)
{
    const struct attr *attr = need(reading, field);
    if (attr != NULL)
        attr_text(attr->value, attr->value_length, text, size);
    return attr != NULL;
}

static bool take_account(struct reading *reading, struct ledger_reply *reply)
{
    const struct attr *attr = need(reading, FIELD_ACCOUNT);
    if (attr == NULL)
        return false;
    if (attr->value_length == 0 || attr->value_length > ADDRESS_MAX)
        return wrong(reading, CONTROL_ACCOUNT, "is empty or too long");
    return take_text(reading, FIELD_ACCOUNT, reply->account, sizeof(reply->account));
}

/* The rate that refuses. */
static bool take_rate(struct reading *reading, struct quota_rate *rate)
{
    return take_limit(reading, FIELD_LIMIT, &rate->limit) &&
           (rate->limit != QUOTA_UNLIMITED || wrong(reading, CONTROL_LIMIT, "refuses nothing")) &&
           take_time(reading, FIELD_PERIOD, &rate->period);
}

/* `first` and the three fields behind it. */
static bool take_window(struct reading *reading, enum field first,
                        struct ledger_reply_window *window)
{
    return take_count(reading, first, &window->used) &&
           take_count(reading, first + 1, &window->reserved) &&
           take_limit(reading, first + 2, &window->rate.limit) &&
           (window->rate.limit == QUOTA_UNLIMITED ||
            take_time(reading, first + 3, &window->rate.period));
}

static bool take_measure(struct reading *reading, enum ledger_reply_measure *measure)
{
    const struct attr *attr = need(reading, FIELD_MEASURE);
    if (attr == NULL)
        return false;
    for (*measure = 0; *measure < LEDGER_REPLY_MEASURES; (*measure)++)
        if (attr_has_value(attr, measures[*measure]))
            return true;
    return wrong(reading, CONTROL_MEASURE, "is not known");
}

static bool is_window(enum ledger_reply_measure measure)
{
    return measure == LEDGER_REPLY_RECIPIENTS || measure == LEDGER_REPLY_MESSAGES;
}

static bool read_granted(struct reading *reading, struct ledger_reply *reply)
{
    const struct attr *attr = need(reading, FIELD_RESERVATION);
    return attr != NULL &&
           (attr_digits(attr->value, attr->value_length, UINT64_MAX, &reply->reservation) ||
            wrong(reading, CONTROL_RESERVATION, "is no number within its range"));
}

static bool read_later(struct reading *reading, struct ledger_reply *reply)
{
    struct ledger_reply_pause *pause = &reply->pause;
    if (!take_measure(reading, &reply->measure))
        return false;
    if (reply->measure == LEDGER_REPLY_PAUSE)
        return take_time_or_never(reading, FIELD_EARLIEST, &reply->earliest) &&
               take_text(reading, FIELD_CAUSE, pause->cause, sizeof(pause->cause));
    if (reply->measure == LEDGER_REPLY_ORDER)
        return take_time_or_never(reading, FIELD_EARLIEST, &reply->earliest);
    return take_time(reading, FIELD_EARLIEST, &reply->earliest) &&
           take_count(reading, FIELD_USED, &reply->used) && take_rate(reading, &reply->rate);
}

static bool read_never(struct reading *reading, struct ledger_reply *reply)
{
    return take_measure(reading, &reply->measure) &&
           (is_window(reply->measure) || wrong(reading, CONTROL_MEASURE, "is no window")) &&
           take_rate(reading, &reply->rate);
}

static bool read_pause(struct reading *reading, struct ledger_reply *reply)
{
    struct ledger_reply_pause *pause = &reply->pause;
    return take_account(reading, reply) &&
           take_time_or_never(reading, FIELD_UNTIL, &pause->until) &&
           take_count(reading, FIELD_FAILURES, &pause->failures);
}

static bool read_status_pause(struct reading *reading, struct ledger_reply_pause *pause)
{
    pause->is_there = has(reading, FIELD_PAUSE_SINCE);
    return !pause->is_there ||
           (take_time(reading, FIELD_PAUSE_SINCE, &pause->since) &&
            take_time_or_never(reading, FIELD_PAUSE_UNTIL, &pause->until) &&
            take_count(reading, FIELD_PAUSE_FAILURES, &pause->failures) &&
            take_text(reading, FIELD_PAUSE_CAUSE, pause->cause, sizeof(pause->cause)));
}

static bool read_note(struct reading *reading, struct ledger_reply_note *note)
{
    return !has(reading, FIELD_NOTE_SINCE) ||
           (take_time(reading, FIELD_NOTE_SINCE, &note->since) &&
            take_text(reading, FIELD_NOTE_CAUSE, note->cause, sizeof(note->cause)));
}

static bool read_status(struct reading *reading, struct ledger_reply *reply)
{
    return take_account(reading, reply) && take_time(reading, FIELD_NOW, &reply->now) &&
           take_window(reading, FIELD_RECIPIENTS_USED, &reply->recipients) &&
           take_window(reading, FIELD_MESSAGES_USED, &reply->messages) &&
           take_limit(reading, FIELD_RECIPIENTS_PER_MESSAGE, &reply->recipients_per_message) &&
           take_time_or_never(reading, FIELD_EARLIEST, &reply->earliest) &&
           take_count(reading, FIELD_WAITING, &reply->waiting) &&
           read_status_pause(reading, &reply->pause) && read_note(reading, &reply->note);
}

/* What is on a page is looked at now, so that walking over it cannot fail. */
static bool read_list(struct reading *reading, struct ledger_reply *reply)
{
    struct ledger_reply_account account;
    struct attr attr;
    size_t position = 0, count = 0;
    while (attr_next(reply->text, reply->length, &position, &attr))
        if (attr_is(&attr, CONTROL_ACCOUNT) &&
            (++count > CONTROL_LIST_MAX || !read_account(&attr, &account)))
            return count > CONTROL_LIST_MAX
                       ? wrong(reading, CONTROL_ACCOUNT, "is there too often")
                       : wrong(reading, CONTROL_ACCOUNT, "is no UPN with its use of quotas");
    return !has(reading, FIELD_AFTER) || take_count(reading, FIELD_AFTER, &reply->after);
}

static bool read_history(struct reading *reading, struct ledger_reply *reply)
{
    struct ledger_reply_slot slot;
    struct attr attr;
    size_t position = 0, count = 0;
    while (attr_next(reply->text, reply->length, &position, &attr))
        if (attr_is(&attr, CONTROL_SLOT) &&
            (++count > CONTROL_HISTORY_MAX || !read_slot(&attr, &slot)))
            return count > CONTROL_HISTORY_MAX
                       ? wrong(reading, CONTROL_SLOT, "is there too often")
                       : wrong(reading, CONTROL_SLOT, "is no time and two numbers");
    return take_account(reading, reply) && take_time_or_never(reading, FIELD_FROM, &reply->from);
}

static bool read_done(struct reading *reading, struct ledger_reply *reply)
{
    switch (reading->kind) {
    case LEDGER_COMMAND_PAUSE:
        return read_pause(reading, reply);
    case LEDGER_COMMAND_STATUS:
        return read_status(reading, reply);
    case LEDGER_COMMAND_LIST:
        return read_list(reading, reply);
    case LEDGER_COMMAND_HISTORY:
        return read_history(reading, reply);
    default:
        return true;
    }
}

/* Whether the attribute is not there once, but on each line of a page. */
static bool is_repeated(const struct reading *reading, enum field field)
{
    return reading->kind == LEDGER_COMMAND_LIST && field == FIELD_ACCOUNT;
}

static bool find_fields(struct reading *reading, const char *text, size_t length)
{
    struct attr attr;
    size_t position = 0;
    while (attr_next(text, length, &position, &attr))
        for (enum field field = 0; field < FIELDS; field++) {
            if (!attr_is(&attr, field_names[field]))
                continue;
            if (has(reading, field) && !is_repeated(reading, field))
                return wrong(reading, field_names[field], "is there twice");
            reading->field[field] = attr;
            break;
        }
    return true;
}

static bool take_result(struct reading *reading, enum ledger_reply_result *result)
{
    const struct attr *attr = need(reading, FIELD_RESULT);
    if (attr == NULL)
        return false;
    for (*result = 0; *result < LEDGER_REPLY_RESULTS; (*result)++)
        if (attr_has_value(attr, results[*result].name))
            return (results[*result].kinds & 1U << reading->kind) != 0 ||
                   error_set(reading->error, "malformed reply: %s is no answer to %s",
                             results[*result].name, commands[reading->kind].name);
    return wrong(reading, CONTROL_RESULT, "is not known");
}

bool ledger_reply_read(struct ledger_reply *reply, enum ledger_command_kind kind, const char *text,
                       size_t length, struct error *error)
{
    struct reading reading = {.kind = kind, .error = error};
    *reply = (struct ledger_reply){.text = text, .length = length};
    if (!find_fields(&reading, text, length) || !take_result(&reading, &reply->result))
        return false;
    switch (reply->result) {
    case LEDGER_REPLY_GRANTED:
        return read_granted(&reading, reply);
    case LEDGER_REPLY_LATER:
        return read_later(&reading, reply);
    case LEDGER_REPLY_NEVER:
        return read_never(&reading, reply);
    case LEDGER_REPLY_DONE:
        return read_done(&reading, reply);
    case LEDGER_REPLY_REFUSED:
    case LEDGER_REPLY_ERROR:
        return take_text(&reading, FIELD_REASON, reply->reason, sizeof(reply->reason));
    default:
        return true;
    }
}

bool ledger_reply_tag(const char *text, size_t length, uint64_t *tag)
{
    struct attr attr;
    size_t position = 0;
    return attr_next(text, length, &position, &attr) && attr_is(&attr, CONTROL_TAG) &&
           attr_digits(attr.value, attr.value_length, UINT64_MAX, tag);
}
