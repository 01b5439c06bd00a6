/* command.c - a request on the control socket, read */
#include "policyd/command.h"

#include "common/attr.h"
#include "common/clock.h"
#include "policyd/ledger/ledger.h"

#include <string.h>

#define MINUTE   (60 * CLOCK_SECOND)
#define HOUR     (60 * MINUTE)
#define YEAR     (366 * 24 * HOUR)
#define TIME_MAX (INT64_C(253402300799) * CLOCK_SECOND) /* the end of the year 9999 */
#define WAIT_MAX HOUR

static const struct {
    const char *name;
    uint64_t most;
} numbers[COMMAND_NUMBERS] = {
    [COMMAND_RECIPIENTS] = {CONTROL_RECIPIENTS, LEDGER_LIMIT_MAX},
    [COMMAND_MESSAGES] = {CONTROL_MESSAGES, LEDGER_LIMIT_MAX},
    [COMMAND_RESERVATION] = {CONTROL_RESERVATION, UINT64_MAX},
    [COMMAND_WAIT] = {CONTROL_WAIT, WAIT_MAX},
    [COMMAND_UNDER_WAY] = {CONTROL_UNDER_WAY, 1},
    [COMMAND_DOUBTFUL] = {CONTROL_DOUBTFUL, 1},
    [COMMAND_UNTIL] = {CONTROL_UNTIL, TIME_MAX},
    [COMMAND_LEAST] = {CONTROL_LEAST, YEAR},
    [COMMAND_MOST] = {CONTROL_MOST, YEAR},
    [COMMAND_AFTER] = {CONTROL_AFTER, UINT32_MAX},
    [COMMAND_COUNT] = {CONTROL_COUNT, UINT32_MAX},
    [COMMAND_FROM] = {CONTROL_FROM, INT64_MAX},
};

static const struct {
    const char *name;
    bool changes;
    bool needs_account;
    bool needs_cause;
    bool needs[COMMAND_NUMBERS];
} kinds[COMMANDS] = {
    [COMMAND_RESERVE] = {CONTROL_RESERVE, true, true, false, {[COMMAND_RECIPIENTS] = true}},
    [COMMAND_SETTLE] = {CONTROL_SETTLE,
                        true,
                        false,
                        false,
                        {[COMMAND_RESERVATION] = true, [COMMAND_RECIPIENTS] = true}},
    [COMMAND_RELEASE] = {CONTROL_RELEASE, true, false, false, {[COMMAND_RESERVATION] = true}},
    [COMMAND_PAUSE] = {CONTROL_PAUSE, true, true, true, {false}},
    [COMMAND_RESUME] = {CONTROL_RESUME, true, true, false, {false}},
    [COMMAND_NOTE] = {CONTROL_NOTE, true, true, false, {false}},
    [COMMAND_STATUS] = {CONTROL_STATUS, false, true, false, {false}},
    [COMMAND_LIST] = {CONTROL_LIST, false, false, false, {false}},
    [COMMAND_HISTORY] = {CONTROL_HISTORY, false, true, false, {false}},
    [COMMAND_SETTINGS] = {CONTROL_SETTINGS, false, false, false, {false}},
};

static enum command_kind find_kind(const struct attr *name)
{
    for (enum command_kind kind = COMMAND_UNKNOWN + 1; kind < COMMANDS; kind++)
        if (attr_has_value(name, kinds[kind].name))
            return kind;
    return COMMAND_UNKNOWN;
}

static bool read_text(const struct attr *attr, char *text, size_t most)
{
    if (attr->value_length > most)
        return false;
    memcpy(text, attr->value, attr->value_length);
    text[attr->value_length] = '\0';
    return true;
}

/* How long a slot of a history is; 0 if it is none. */
static int64_t read_width(const struct attr *attr)
{
    if (attr_has_value(attr, CONTROL_PER_HOUR))
        return HOUR;
    if (attr_has_value(attr, CONTROL_PER_MINUTE))
        return MINUTE;
    return attr_has_value(attr, CONTROL_PER_EVENT) ? 1 : 0;
}

static void read_attribute(const struct attr *attr, struct command *command)
{
    for (size_t i = 0; i < COMMAND_NUMBERS; i++)
        if (attr_is(attr, numbers[i].name)) {
            command->has[i] = true;
            if (!attr_digits(attr->value, attr->value_length, numbers[i].most, &command->number[i]))
                command->mistake = "a number is none, or is too large";
            return;
        }
    if (attr_is(attr, CONTROL_REQUEST)) {
        command->kind = find_kind(attr);
    } else if (attr_is(attr, CONTROL_TAG)) {
        if (!read_text(attr, command->tag, CONTROL_TAG_MAX))
            command->mistake = "the tag is too long";
    } else if (attr_is(attr, CONTROL_ACCOUNT)) {
        if (!read_text(attr, command->account, ADDRESS_MAX) || !address_is_upn(command->account))
            command->mistake = "the account is no address";
    } else if (attr_is(attr, CONTROL_CAUSE)) {
        if (!read_text(attr, command->cause, CONTROL_CAUSE_MAX))
            command->mistake = "the cause is too long";
    } else if (attr_is(attr, CONTROL_PER)) {
        command->width = read_width(attr);
        if (command->width == 0)
            command->mistake = "per is neither hour, minute nor event";
    }
}

static const char *find_mistake_in_pause(const struct command *command)
{
    const bool *has = command->has;
    bool grows = has[COMMAND_LEAST] || has[COMMAND_MOST];
    if (grows && (!has[COMMAND_LEAST] || !has[COMMAND_MOST] || has[COMMAND_UNTIL]))
        return "a pause has either until, or least and most, or none of them";
    if (grows && (command->number[COMMAND_LEAST] == 0 ||
                  command->number[COMMAND_LEAST] > command->number[COMMAND_MOST]))
        return "least is 0, or more than most";
    return NULL;
}

/* What is wrong with a request that was read to its end, or NULL. */
static const char *find_mistake(const struct command *command)
{
    enum command_kind kind = command->kind;
    if (kind == COMMAND_UNKNOWN)
        return "unknown request";
    if (command->mistake != NULL)
        return command->mistake;
    if (kinds[kind].needs_account && command->account[0] == '\0')
        return "no account is named";
    if (kinds[kind].needs_cause && command->cause[0] == '\0')
        return "no cause is named";
    for (size_t i = 0; i < COMMAND_NUMBERS; i++)
        if (kinds[kind].needs[i] && !command->has[i])
            return "an attribute is missing";
    return kind == COMMAND_PAUSE ? find_mistake_in_pause(command) : NULL;
}

void command_read(const char *request, size_t length, struct command *command)
{
    *command = (struct command){.width = HOUR};
    struct attr attr;
    size_t position = 0;
    while (attr_next(request, length, &position, &attr))
        read_attribute(&attr, command);
    command->mistake = find_mistake(command);
}

bool command_changes(const struct command *command)
{
    return kinds[command->kind].changes;
}

bool command_needs_account(const struct command *command)
{
    return kinds[command->kind].needs_account;
}

bool command_needs_quota(const struct command *command)
{
    return command->kind == COMMAND_RESERVE || command->kind == COMMAND_STATUS;
}

uint64_t command_number_or(const struct command *command, enum command_number which,
                           uint64_t otherwise)
{
    return command->has[which] ? command->number[which] : otherwise;
}

size_t command_count_or(const struct command *command, size_t otherwise, size_t most)
{
    uint64_t count = command_number_or(command, COMMAND_COUNT, otherwise);
    return count < 1 ? 1 : count < most ? (size_t)count : most;
}
