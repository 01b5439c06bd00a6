/* settings.c - what config.json says */
#include "settings.h"

#include "allocate.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum kind {
    KIND_LIST,
    KIND_STRING,
    KIND_SECONDS,
    KIND_NUMBER,
    KIND_BOOLEAN,
    KIND_ROW,
    KIND_NULL_SENDER,
    KIND_UNKNOWN_RECIPIENTS,
    KIND_PRINCIPALS,
    KIND_OFFSET,
    KIND_LIMITS
};

struct parameter {
    const char *name;
    enum kind kind;
    size_t offset;
    bool fixed; /* cannot change while running */
};

#define AT(member) offsetof(struct settings, member)

static const struct parameter parameters[] = {
    {"listen", KIND_LIST, AT(listen), true},
    {"hostnames", KIND_LIST, AT(hostnames), true},
    {"state_directory", KIND_STRING, AT(state_directory), true},
    {"journal", KIND_STRING, AT(journal), true},
    {"control_socket", KIND_STRING, AT(control_socket), true},
    {"ready_file", KIND_STRING, AT(ready_file), true},
    {"save_directory", KIND_STRING, AT(save_directory), true},
    {"seed", KIND_NUMBER, AT(seed), true},
    {"legacy_tls", KIND_BOOLEAN, AT(legacy_tls), true},
    {"late_answer", KIND_SECONDS, AT(late_answer), false},
    {"idle_timeout", KIND_SECONDS, AT(idle_timeout), false},
    {"receive_buffer", KIND_NUMBER, AT(receive_buffer), false},
    {"message_size", KIND_NUMBER, AT(message_size), false},
    {"null_sender", KIND_NULL_SENDER, AT(null_sender_passes), false},
    {"unauthenticated", KIND_ROW, AT(unauthenticated), false},
    {"wrong_password", KIND_ROW, AT(wrong_password), false},
    {"send_as_denied", KIND_ROW, AT(send_as_denied), false},
    {"recipients_over", KIND_ROW, AT(recipients_over), false},
    {"messages_over", KIND_ROW, AT(messages_over), false},
    {"connections_over", KIND_ROW, AT(connections_over), false},
    {"security_defaults", KIND_BOOLEAN, AT(security_defaults), false},
    {"tenant_switch", KIND_BOOLEAN, AT(tenant_switch), false},
    {"basic_disabled", KIND_BOOLEAN, AT(basic_disabled), false},
    {"basic_retired", KIND_BOOLEAN, AT(basic_retired), false},
    {"app_tokens", KIND_LIST, AT(app_tokens), false},
    {"token_keys", KIND_LIST, AT(bearer.keys), false},
    {"token_audiences", KIND_LIST, AT(bearer.audiences), false},
    {"token_tenant", KIND_STRING, AT(bearer.tenant), false},
    {"token_clock", KIND_OFFSET, AT(token_clock), false},
    {"token_margin", KIND_SECONDS, AT(token_margin), false},
    {"token_refused", KIND_ROW, AT(token_refused), false},
    {"revoked_tokens", KIND_LIST, AT(bearer.revoked), false},
    {"principals", KIND_PRINCIPALS, AT(bearer), false},
    {"refuse_notes", KIND_LIST, AT(refuse_notes), false},
    {"unknown_recipients", KIND_UNKNOWN_RECIPIENTS, AT(unknown_recipients), false},
    {"limits", KIND_LIMITS, AT(limits), false},
};

#define PARAMETERS (sizeof parameters / sizeof parameters[0])

struct settings *settings_create(void)
{
    struct settings *settings = allocate(sizeof *settings);

    list_add(&settings->listen, "127.0.0.1:0");
    list_add(&settings->hostnames, "smtp.office365.com");
    list_add(&settings->hostnames, "localhost");
    list_add(&settings->hostnames, "127.0.0.1");
    list_add(&settings->hostnames, "::1");
    settings->seed = 365;
    settings->late_answer = 5;
    settings->idle_timeout = 300;
    settings->message_size = 157286400;
    settings->unauthenticated = REPLY_UNAUTHENTICATED;
    settings->wrong_password = REPLY_WRONG_PASSWORD;
    settings->token_refused = REPLY_WRONG_PASSWORD;
    settings->send_as_denied = REPLY_SEND_AS_DENIED;
    settings->recipients_over = REPLY_RECIPIENT_QUOTA;
    settings->messages_over = REPLY_ACCESS_DENIED;
    settings->connections_over = REPLY_CONCURRENT;
    settings->limits = limits_default();
    return settings;
}

void settings_free(struct settings *settings)
{
    if (settings == NULL)
        return;
    for (size_t i = 0; i < PARAMETERS; i++) {
        void *place = (char *)settings + parameters[i].offset;
        if (parameters[i].kind == KIND_LIST)
            list_clear(place);
        else if (parameters[i].kind == KIND_STRING)
            free(*(char **)place);
    }
    bearer_forget_principals(&settings->bearer);
    for (int i = 0; i < REPLY_ROWS; i++)
        list_clear(&settings->unknown_recipients.patterns[i]);
    free(settings);
}

static bool read_string(char **place, const char *name, const json_t *value,
                        struct problem *problem)
{
    if (!json_is_string(value) && !json_is_null(value))
        return problem_set(problem, "\"%s\" must be a string", name);
    free(*place);
    *place = duplicate(json_string_value(value));
    return true;
}

static bool read_seconds(double *place, const char *name, const json_t *value,
                         struct problem *problem)
{
    if (!json_is_number(value) || json_number_value(value) < 0)
        return problem_set(problem, "\"%s\" must be a number of seconds", name);
    *place = json_number_value(value);
    return true;
}

static bool read_offset(double *place, const char *name, const json_t *value,
                        struct problem *problem)
{
    if (!json_is_number(value))
        return problem_set(problem, "\"%s\" must be a number of seconds", name);
    *place = json_number_value(value);
    return true;
}

static bool read_number(int64_t *place, const char *name, const json_t *value,
                        struct problem *problem)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return problem_set(problem, "\"%s\" must be a whole number from 0 up", name);
    *place = json_integer_value(value);
    return true;
}

static bool read_boolean(bool *place, const char *name, const json_t *value,
                         struct problem *problem)
{
    if (!json_is_boolean(value))
        return problem_set(problem, "\"%s\" must be true or false", name);
    *place = json_is_true(value);
    return true;
}

static bool read_row(enum reply_row *place, const char *name, const json_t *value,
                     struct problem *problem)
{
    const char *row = json_string_value(value);

    if (row == NULL || !reply_find(row, place) || *place == REPLY_NONE)
        return problem_set(problem, "\"%s\" must be the name of a reply, such as \"%s\"", name,
                           reply_name(REPLY_ACCESS_DENIED));
    return true;
}

static bool read_null_sender(bool *place, const json_t *value, struct problem *problem)
{
    const char *word = json_is_string(value) ? json_string_value(value) : "";

    if (strcmp(word, "accept") != 0 && strcmp(word, "refuse") != 0)
        return problem_set(problem, "\"null_sender\" must be \"refuse\" or \"accept\"");
    *place = strcmp(word, "accept") == 0;
    return true;
}

static bool read_unknown_recipients(struct unknown_recipients *place, const json_t *value,
                                    struct problem *problem)
{
    const char *name;
    json_t *item;
    enum reply_row row;

    if (!json_is_object(value))
        return problem_set(problem, "\"unknown_recipients\" must be {reply: [addresses]}");
    json_object_foreach((json_t *)value, name, item)
    {
        if (!reply_find(name, &row) || row == REPLY_NONE)
            return problem_set(problem, "\"unknown_recipients\": no reply is called \"%s\"", name);
        if (!list_read(&place->patterns[row], name, item, problem))
            return false;
    }
    return true;
}

static bool read_parameter(struct settings *settings, const struct parameter *parameter,
                           const json_t *value, struct problem *problem)
{
    void *place = (char *)settings + parameter->offset;
    const char *name = parameter->name;

    switch (parameter->kind) {
    case KIND_LIST:
        return list_read(place, name, value, problem);
    case KIND_STRING:
        return read_string(place, name, value, problem);
    case KIND_SECONDS:
        return read_seconds(place, name, value, problem);
    case KIND_NUMBER:
        return read_number(place, name, value, problem);
    case KIND_BOOLEAN:
        return read_boolean(place, name, value, problem);
    case KIND_ROW:
        return read_row(place, name, value, problem);
    case KIND_NULL_SENDER:
        return read_null_sender(place, value, problem);
    case KIND_UNKNOWN_RECIPIENTS:
        return read_unknown_recipients(place, value, problem);
    case KIND_PRINCIPALS:
        return bearer_read_principals(place, value, problem);
    case KIND_OFFSET:
        return read_offset(place, name, value, problem);
    case KIND_LIMITS:
        return limits_read(place, value, problem);
    }
    return false;
}

static bool read_name(struct settings *settings, const char *name, const json_t *value,
                      bool starting, struct problem *problem)
{
    for (size_t i = 0; i < PARAMETERS; i++) {
        if (strcmp(parameters[i].name, name) != 0)
            continue;
        if (parameters[i].fixed && !starting)
            return problem_set(problem, "\"%s\" cannot change while running", name);
        return read_parameter(settings, &parameters[i], value, problem);
    }
    return problem_set(problem, "there is no setting \"%s\"", name);
}

static bool read_names(struct settings *settings, const json_t *object, bool starting,
                       struct problem *problem)
{
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)object, name, value)
    {
        if (strcmp(name, "mailboxes") == 0 || strcmp(name, "faults") == 0)
            continue;
        if (!read_name(settings, name, value, starting, problem))
            return false;
    }
    return true;
}

bool settings_apply(struct settings *settings, const json_t *object, bool starting,
                    struct problem *problem)
{
    struct settings *trial;
    bool sound;

    if (!json_is_object(object))
        return problem_set(problem, "settings must be a JSON object");
    trial = settings_create(); /* a rehearsal, so that a mistake changes nothing */
    sound = read_names(trial, object, starting, problem);
    settings_free(trial);
    return sound && read_names(settings, object, starting, problem);
}

bool settings_complete(const struct settings *settings, struct problem *problem)
{
    if (settings->state_directory == NULL)
        return problem_set(problem, "\"state_directory\" is missing");
    if (settings->journal == NULL)
        return problem_set(problem, "\"journal\" is missing");
    if (settings->listen.count == 0 || settings->hostnames.count == 0)
        return problem_set(problem, "\"listen\" and \"hostnames\" must not be empty");
    return true;
}
