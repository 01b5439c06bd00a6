/* token_message.c - requests to post365-tokend and its replies, as text and as C
 *
 * A reply is read in two steps: first it is found where each attribute that we know stands, then
 * what this result of this request needs is taken, so that nothing is half-read. The token comes
 * last of all, so that nothing fails once it is there.
 *
 * Security: a reply may hold a token. It is in no error.
 */
#include "common/oauth2/token_message.h"

#include <inttypes.h>
#include <string.h>

/* Seconds: the year 38000. Nobody who adds a few of these, or makes microseconds of them, need fear
 * overflow. */
#define TIME_MAX (INT64_MAX / 8 / 1000000)

/* What a bearer token is made of (RFC 6750, section 2.1), with "=" at its end alone. */
#define TOKEN_BYTES "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/"
#define HEXADECIMAL "0123456789abcdef"
#define NAME_BYTES  "abcdefghijklmnopqrstuvwxyz0123456789-_"

/* --- requests ---------------------------------------------------------------- */

enum names { NAMES_NOTHING, NAMES_ACCOUNT, NAMES_REGISTRATION, NAMES_EITHER };

static const struct {
    const char *name;
    enum names names;
} commands[TOKEN_COMMANDS] = {
    [TOKEN_COMMAND_TOKEN] = {TOKENS_TOKEN, NAMES_ACCOUNT},
    [TOKEN_COMMAND_VERDICT] = {TOKENS_VERDICT, NAMES_ACCOUNT},
    [TOKEN_COMMAND_WATCH] = {TOKENS_WATCH, NAMES_NOTHING},
    [TOKEN_COMMAND_LIST] = {TOKENS_LIST, NAMES_NOTHING},
    [TOKEN_COMMAND_STATUS] = {TOKENS_STATUS, NAMES_EITHER},
    [TOKEN_COMMAND_RENEW] = {TOKENS_RENEW, NAMES_EITHER},
    [TOKEN_COMMAND_CHECK] = {TOKENS_CHECK, NAMES_REGISTRATION},
    [TOKEN_COMMAND_LOGIN] = {TOKENS_LOGIN, NAMES_ACCOUNT},
    [TOKEN_COMMAND_LOGOUT] = {TOKENS_LOGOUT, NAMES_ACCOUNT},
};

static bool names_account(const struct token_command *command)
{
    enum names names = commands[command->kind].names;
    return names == NAMES_ACCOUNT || (names == NAMES_EITHER && command->account != NULL);
}

static bool names_registration(const struct token_command *command)
{
    return commands[command->kind].names >= NAMES_REGISTRATION && !names_account(command);
}

static bool is_path(const char *path)
{
    return path != NULL && path[0] == '/' && strlen(path) < PATH_MAX;
}

static bool is_sound(const struct token_command *command, struct error *error)
{
    const char *account = command->account != NULL ? command->account : "";
    const char *registration = command->registration != NULL ? command->registration : "";
    if (names_account(command) && !address_is_upn(account))
        return error_set(error, "\"" ERROR_SHOWN "\" is no account; write user@domain", account);
    if (names_registration(command) && !is_path(registration))
        return error_set(error,
                         "\"" ERROR_SHOWN "\" is no registration; write the absolute path of its "
                         "file",
                         registration);
    return true;
}

static void write_verdict(struct buffer *text, const struct token_command *command)
{
    char reply[TOKEN_REPLY_MAX + 1];
    attr_write(text, TOKENS_ID, command->id);
    if (command->reply == NULL)
        return;
    attr_text(command->reply, strlen(command->reply), reply, sizeof(reply));
    attr_write(text, TOKENS_REPLY, reply);
}

bool token_command_write(struct buffer *text, uint64_t tag, const struct token_command *command,
                         struct error *error)
{
    if (!is_sound(command, error))
        return false;
    attr_write(text, TOKENS_REQUEST, commands[command->kind].name);
    if (tag != 0)
        buffer_format(text, "%s=%" PRIu64 "\n", TOKENS_TAG, tag);
    if (names_account(command))
        attr_write(text, TOKENS_ACCOUNT, command->account);
    if (names_registration(command))
        attr_write(text, TOKENS_REGISTRATION, command->registration);
    if (command->kind == TOKEN_COMMAND_VERDICT)
        write_verdict(text, command);
    if (command->kind == TOKEN_COMMAND_LIST && command->after != NULL)
        attr_write(text, TOKENS_AFTER, command->after);
    attr_write_end(text);
    return true;
}

/* --- words ------------------------------------------------------------------- */

static const char *const states[TOKEN_STATES] = {
    [TOKEN_STATE_EMPTY] = "empty",     [TOKEN_STATE_ASKING] = "asking",
    [TOKEN_STATE_FRESH] = "fresh",     [TOKEN_STATE_RENEWING] = "renewing",
    [TOKEN_STATE_WAITING] = "waiting", [TOKEN_STATE_STOPPED] = "stopped",
};
static const char *const grants[TOKEN_GRANTS] = {
    [TOKEN_GRANT_APP] = "app",
    [TOKEN_GRANT_USER] = "user",
};
static const char *const credentials[TOKEN_CREDENTIALS] = {
    [TOKEN_CREDENTIAL_SECRET] = "secret",       [TOKEN_CREDENTIAL_CERTIFICATE] = "certificate",
    [TOKEN_CREDENTIAL_FEDERATED] = "federated", [TOKEN_CREDENTIAL_MANAGED] = "managed",
    [TOKEN_CREDENTIAL_NONE] = "none",
};
static const char *const models[TOKEN_MODELS] = {
    [TOKEN_MODEL_UNKNOWN] = "",
    [TOKEN_MODEL_RBAC] = "rbac",
    [TOKEN_MODEL_CLASSIC] = "classic",
    [TOKEN_MODEL_DELEGATED] = "delegated",
};
static const char *const step_results[TOKEN_STEP_RESULTS] = {
    [TOKEN_STEP_OK] = "ok",
    [TOKEN_STEP_WRONG] = "wrong",
    [TOKEN_STEP_UNKNOWN] = "unknown",
};

const char *token_state_name(enum token_state state)
{
    return states[state];
}

const char *token_grant_name(enum token_grant grant)
{
    return grants[grant];
}

const char *token_credential_name(enum token_credential credential)
{
    return credentials[credential];
}

const char *token_model_name(enum token_model model)
{
    return models[model];
}

/* --- lines of their own ------------------------------------------------------ */

/* Cuts the first word of the value off, which must be a name. False if it is none. */
static bool cut_name(struct attr *attr, char *name, size_t size)
{
    const char *blank =
        attr->value_length > 0 ? memchr(attr->value, ' ', attr->value_length) : NULL;
    size_t length = blank != NULL ? (size_t)(blank - attr->value) : attr->value_length;
    size_t cut = blank != NULL ? length + 1 : length;
    if (length == 0 || length >= size)
        return false;
    attr_text(attr->value, length, name, size);
    attr->value += cut;
    attr->value_length -= cut;
    return strspn(name, NAME_BYTES) == length;
}

/* NAME RESULT TEXT */
static bool read_step(struct attr attr, struct token_step *step)
{
    char result[TOKEN_NAME_MAX + 1];
    if (!cut_name(&attr, step->name, sizeof(step->name)) ||
        !cut_name(&attr, result, sizeof(result)))
        return false;
    attr_text(attr.value, attr.value_length, step->text, sizeof(step->text));
    for (step->result = 0; step->result < TOKEN_STEP_RESULTS; step->result++)
        if (strcmp(result, step_results[step->result]) == 0)
            return true;
    return false;
}

static bool read_path(const struct attr *attr, char *path)
{
    if (attr->value_length == 0 || attr->value_length >= PATH_MAX || attr->value[0] != '/')
        return false;
    attr_text(attr->value, attr->value_length, path, PATH_MAX);
    return true;
}

static bool is_claim(const struct attr *attr)
{
    size_t prefix = strlen(TOKENS_CLAIM);
    return attr->name_length > prefix && memcmp(attr->name, TOKENS_CLAIM, prefix) == 0;
}

static bool read_claim(const struct attr *attr, struct token_claim *claim)
{
    size_t prefix = strlen(TOKENS_CLAIM);
    if (attr->name_length - prefix > TOKEN_NAME_MAX)
        return false;
    attr_text(attr->name + prefix, attr->name_length - prefix, claim->name, sizeof(claim->name));
    attr_text(attr->value, attr->value_length, claim->value, sizeof(claim->value));
    return strspn(claim->name, NAME_BYTES) == attr->name_length - prefix;
}

bool token_reply_next_registration(const struct token_reply *reply, size_t *position, char *path)
{
    struct attr attr;
    while (attr_next(reply->text, reply->length, position, &attr))
        if (attr_is(&attr, TOKENS_REGISTRATION))
            return read_path(&attr, path);
    return false;
}

bool token_reply_next_step(const struct token_reply *reply, size_t *position,
                           struct token_step *step)
{
    struct attr attr;
    while (attr_next(reply->text, reply->length, position, &attr))
        if (attr_is(&attr, TOKENS_STEP))
            return read_step(attr, step);
    return false;
}

bool token_reply_next_claim(const struct token_reply *reply, size_t *position,
                            struct token_claim *claim)
{
    struct attr attr;
    while (attr_next(reply->text, reply->length, position, &attr))
        if (is_claim(&attr))
            return read_claim(&attr, claim);
    return false;
}

/* --- replies ----------------------------------------------------------------- */

enum field {
    FIELD_RESULT,
    FIELD_TOKEN,
    FIELD_ID,
    FIELD_LEFT,
    FIELD_REGISTRATION,
    FIELD_ACCOUNT,
    FIELD_CAUSE,
    FIELD_REASON,
    FIELD_UNTIL,
    FIELD_AGAIN,
    FIELD_AFTER,
    FIELD_STATE,
    FIELD_GRANT,
    FIELD_CREDENTIAL,
    FIELD_TENANT,
    FIELD_CLIENT_ID,
    FIELD_CLOUD,
    FIELD_ISSUED,
    FIELD_RENEWED,
    FIELD_NEXT,
    FIELD_FAILED_SINCE,
    FIELD_FAILURES,
    FIELD_CREDENTIAL_ENDS,
    FIELD_CREDENTIAL_CAUSE,
    FIELD_CREDENTIAL_REASON,
    FIELD_GRANT_SINCE,
    FIELD_REQUESTS,
    FIELD_REFUSED,
    FIELD_ACCOUNTS,
    FIELD_ACCEPTED_FOR,
    FIELD_ACCEPTED_AT,
    FIELD_SKEW,
    FIELD_MODEL,
    FIELD_USER_CODE,
    FIELD_VERIFICATION_URI,
    FIELD_EXPIRES,
    FIELD_USER,
    FIELDS,
};

static const char *const field_names[FIELDS] = {
    [FIELD_RESULT] = TOKENS_RESULT,
    [FIELD_TOKEN] = TOKENS_TOKEN,
    [FIELD_ID] = TOKENS_ID,
    [FIELD_LEFT] = TOKENS_LEFT,
    [FIELD_REGISTRATION] = TOKENS_REGISTRATION,
    [FIELD_ACCOUNT] = TOKENS_ACCOUNT,
    [FIELD_CAUSE] = TOKENS_CAUSE,
    [FIELD_REASON] = TOKENS_REASON,
    [FIELD_UNTIL] = TOKENS_UNTIL,
    [FIELD_AGAIN] = TOKENS_AGAIN,
    [FIELD_AFTER] = TOKENS_AFTER,
    [FIELD_STATE] = TOKENS_STATE,
    [FIELD_GRANT] = TOKENS_GRANT,
    [FIELD_CREDENTIAL] = TOKENS_CREDENTIAL,
    [FIELD_TENANT] = TOKENS_TENANT,
    [FIELD_CLIENT_ID] = TOKENS_CLIENT_ID,
    [FIELD_CLOUD] = TOKENS_CLOUD,
    [FIELD_ISSUED] = TOKENS_ISSUED,
    [FIELD_RENEWED] = TOKENS_RENEWED,
    [FIELD_NEXT] = TOKENS_NEXT,
    [FIELD_FAILED_SINCE] = TOKENS_FAILED_SINCE,
    [FIELD_FAILURES] = TOKENS_FAILURES,
    [FIELD_CREDENTIAL_ENDS] = TOKENS_CREDENTIAL_ENDS,
    [FIELD_CREDENTIAL_CAUSE] = TOKENS_CREDENTIAL_CAUSE,
    [FIELD_CREDENTIAL_REASON] = TOKENS_CREDENTIAL_REASON,
    [FIELD_GRANT_SINCE] = TOKENS_GRANT_SINCE,
    [FIELD_REQUESTS] = TOKENS_REQUESTS,
    [FIELD_REFUSED] = TOKENS_REQUESTS_REFUSED,
    [FIELD_ACCOUNTS] = TOKENS_ACCOUNTS,
    [FIELD_ACCEPTED_FOR] = TOKENS_ACCEPTED_FOR,
    [FIELD_ACCEPTED_AT] = TOKENS_ACCEPTED_AT,
    [FIELD_SKEW] = TOKENS_SKEW,
    [FIELD_MODEL] = TOKENS_MODEL,
    [FIELD_USER_CODE] = TOKENS_USER_CODE,
    [FIELD_VERIFICATION_URI] = TOKENS_VERIFICATION_URI,
    [FIELD_EXPIRES] = TOKENS_EXPIRES,
    [FIELD_USER] = TOKENS_USER,
};

#define KIND(name)  (1U << TOKEN_COMMAND_##name)
#define ANY_KIND    ((1U << TOKEN_COMMANDS) - 1)
#define ALL_BUT(of) (ANY_KIND & ~(of))

static const struct {
    const char *name;
    unsigned kinds; /* of requests that it answers */
} results[TOKEN_REPLY_RESULTS] = {
    [TOKEN_REPLY_DONE] = {TOKENS_DONE, ANY_KIND},
    [TOKEN_REPLY_LATER] = {TOKENS_LATER, KIND(TOKEN) | KIND(RENEW) | KIND(LOGIN)},
    [TOKEN_REPLY_STOPPED] = {TOKENS_STOPPED, KIND(TOKEN) | KIND(RENEW) | KIND(LOGIN)},
    [TOKEN_REPLY_NONE] = {TOKENS_NONE, ALL_BUT(KIND(VERDICT) | KIND(WATCH) | KIND(LIST))},
    [TOKEN_REPLY_SUBJECT] = {TOKENS_SUBJECT, KIND(WATCH)},
    [TOKEN_REPLY_GONE] = {TOKENS_GONE, KIND(WATCH)},
    [TOKEN_REPLY_CODE] = {TOKENS_CODE, KIND(LOGIN)},
    [TOKEN_REPLY_WAITING] = {TOKENS_WAITING, KIND(LOGIN)},
    [TOKEN_REPLY_REFUSED] = {TOKENS_REFUSED, ANY_KIND},
    [TOKEN_REPLY_ERROR] = {TOKENS_ERROR, ANY_KIND},
};

/* A reply that is being read. */
struct reading {
    enum token_command_kind kind;
    struct attr field[FIELDS]; /* name is NULL: not there */
    struct error *error;
};

static bool wrong(struct reading *reading, enum field field, const char *how)
{
    return error_set(reading->error, "malformed reply: %s %s", field_names[field], how);
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
    wrong(reading, field, "is missing");
    return NULL;
}

static bool take_number(struct reading *reading, enum field field, uint64_t most, uint64_t *number)
{
    const struct attr *attr = need(reading, field);
    return attr != NULL && (attr_digits(attr->value, attr->value_length, most, number) ||
                            wrong(reading, field, "is no number within its range"));
}

static bool take_count(struct reading *reading, enum field field, uint32_t *count)
{
    uint64_t number;
    if (!take_number(reading, field, UINT32_MAX, &number))
        return false;
    *count = (uint32_t)number;
    return true;
}

/* A time, or a duration. What is later than any clock is cut. */
static bool take_time(struct reading *reading, enum field field, int64_t *time)
{
    uint64_t number;
    if (!take_number(reading, field, INT64_MAX, &number))
        return false;
    *time = number < TIME_MAX ? (int64_t)number : TIME_MAX;
    return true;
}

static bool take_time_if_any(struct reading *reading, enum field field, int64_t *time)
{
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

static bool take_text_if_any(struct reading *reading, enum field field, char *text, size_t size)
{
    return !has(reading, field) || take_text(reading, field, text, size);
}

/* What must not be cut. */
static bool take_whole(struct reading *reading, enum field field, char *text, size_t size)
{
    const struct attr *attr = need(reading, field);
    if (attr == NULL)
        return false;
    if (attr->value_length == 0 || attr->value_length >= size)
        return wrong(reading, field, "is empty or too long");
    return take_text(reading, field, text, size);
}

static bool take_whole_if_any(struct reading *reading, enum field field, char *text, size_t size)
{
    return !has(reading, field) || take_whole(reading, field, text, size);
}

/* What consists of these bytes. */
static bool take_made_of(struct reading *reading, enum field field, const char *bytes, char *text,
                         size_t size)
{
    return take_whole(reading, field, text, size) &&
           (strspn(text, bytes) == strlen(text) || wrong(reading, field, "makes no sense"));
}

static bool take_id(struct reading *reading, char *id)
{
    return take_made_of(reading, FIELD_ID, HEXADECIMAL, id, TOKEN_ID_LENGTH + 1) &&
           (strlen(id) == TOKEN_ID_LENGTH || wrong(reading, FIELD_ID, "is too short"));
}

static bool take_path(struct reading *reading, enum field field, char *path)
{
    const struct attr *attr = need(reading, field);
    return attr != NULL && (read_path(attr, path) || wrong(reading, field, "is no absolute path"));
}

/* The number of one of `count` words. */
static bool take_word(struct reading *reading, enum field field, const char *const *words,
                      size_t count, size_t *word)
{
    const struct attr *attr = need(reading, field);
    if (attr == NULL)
        return false;
    for (*word = 0; *word < count; (*word)++)
        if (attr_has_value(attr, words[*word]))
            return true;
    return wrong(reading, field, "is not known");
}

static bool take_again(struct reading *reading, bool *again)
{
    uint64_t number;
    if (!take_number(reading, FIELD_AGAIN, 1, &number))
        return false;
    *again = number == 1;
    return true;
}

static bool take_skew(struct reading *reading, struct token_subject *subject)
{
    struct attr *attr = &reading->field[FIELD_SKEW];
    subject->has_skew = has(reading, FIELD_SKEW);
    if (!subject->has_skew)
        return true;
    bool is_behind = attr->value_length > 0 && attr->value[0] == '-';
    attr->value += is_behind;
    attr->value_length -= is_behind;
    if (!take_time(reading, FIELD_SKEW, &subject->skew))
        return false;
    if (is_behind)
        subject->skew = -subject->skew;
    return true;
}

static bool read_cause(struct reading *reading, struct token_reply *reply)
{
    return take_made_of(reading, FIELD_CAUSE, NAME_BYTES, reply->cause, sizeof(reply->cause)) &&
           take_text(reading, FIELD_REASON, reply->reason, TOKENS_REASON_MAX + 1);
}

/* Until when, of which a login knows nothing. */
static bool read_failure(struct reading *reading, struct token_reply *reply)
{
    return read_cause(reading, reply) &&
           (reading->kind == TOKEN_COMMAND_LOGIN ||
            (take_time(reading, FIELD_UNTIL, &reply->until) &&
             take_path(reading, FIELD_REGISTRATION, reply->registration)));
}

static bool take_token(struct reading *reading, struct secret **token)
{
    const struct attr *attr = need(reading, FIELD_TOKEN);
    if (attr == NULL)
        return false;
    if (attr->value_length > TOKENS_TOKEN_MAX)
        return wrong(reading, FIELD_TOKEN, "is too long");
    *token = secret_copy(attr->value, attr->value_length);
    const char *bytes = secret_reveal(*token);
    size_t length = strspn(bytes, TOKEN_BYTES);
    if (length > 0 && length + strspn(bytes + length, "=") == attr->value_length)
        return true;
    secret_free(*token);
    *token = NULL;
    return wrong(reading, FIELD_TOKEN, "is no bearer token");
}

static bool read_token(struct reading *reading, struct token_reply *reply)
{
    return take_id(reading, reply->id) && take_time(reading, FIELD_LEFT, &reply->left) &&
           take_path(reading, FIELD_REGISTRATION, reply->registration) &&
           (reading->kind != TOKEN_COMMAND_TOKEN || take_token(reading, &reply->token));
}

static bool read_words(struct reading *reading, struct token_subject *subject)
{
    size_t state, grant, credential, model = TOKEN_MODEL_UNKNOWN;
    if (!take_word(reading, FIELD_STATE, states, TOKEN_STATES, &state) ||
        !take_word(reading, FIELD_GRANT, grants, TOKEN_GRANTS, &grant) ||
        !take_word(reading, FIELD_CREDENTIAL, credentials, TOKEN_CREDENTIALS, &credential) ||
        (has(reading, FIELD_MODEL) &&
         !take_word(reading, FIELD_MODEL, models, TOKEN_MODELS, &model)))
        return false;
    subject->state = (enum token_state)state;
    subject->grant = (enum token_grant)grant;
    subject->credential = (enum token_credential)credential;
    subject->model = (enum token_model)model;
    return true;
}

static bool read_names(struct reading *reading, struct token_subject *subject)
{
    return take_path(reading, FIELD_REGISTRATION, subject->registration) &&
           take_whole_if_any(reading, FIELD_ACCOUNT, subject->account, sizeof(subject->account)) &&
           take_text(reading, FIELD_TENANT, subject->tenant, sizeof(subject->tenant)) &&
           take_text(reading, FIELD_CLIENT_ID, subject->client_id, sizeof(subject->client_id)) &&
           take_text(reading, FIELD_CLOUD, subject->cloud, sizeof(subject->cloud));
}

static bool read_life(struct reading *reading, struct token_subject *subject)
{
    subject->has_token = has(reading, FIELD_LEFT);
    return !subject->has_token ||
           (take_time(reading, FIELD_LEFT, &subject->left) && take_id(reading, subject->id) &&
            take_time(reading, FIELD_ISSUED, &subject->issued));
}

static bool read_trouble(struct reading *reading, struct token_subject *subject)
{
    return !has(reading, FIELD_CAUSE) ||
           (take_made_of(reading, FIELD_CAUSE, NAME_BYTES, subject->cause,
                         sizeof(subject->cause)) &&
            take_text(reading, FIELD_REASON, subject->reason, sizeof(subject->reason)) &&
            take_time(reading, FIELD_FAILED_SINCE, &subject->failed_since) &&
            take_count(reading, FIELD_FAILURES, &subject->failures));
}

static bool read_complaint(struct reading *reading, struct token_subject *subject)
{
    return !has(reading, FIELD_CREDENTIAL_CAUSE) ||
           (take_made_of(reading, FIELD_CREDENTIAL_CAUSE, NAME_BYTES, subject->credential_cause,
                         sizeof(subject->credential_cause)) &&
            take_text(reading, FIELD_CREDENTIAL_REASON, subject->credential_reason,
                      sizeof(subject->credential_reason)));
}

static bool read_use(struct reading *reading, struct token_subject *subject)
{
    return take_number(reading, FIELD_REQUESTS, UINT64_MAX, &subject->requests) &&
           take_number(reading, FIELD_REFUSED, UINT64_MAX, &subject->refused) &&
           take_count(reading, FIELD_ACCOUNTS, &subject->accounts) &&
           take_whole_if_any(reading, FIELD_ACCEPTED_FOR, subject->accepted_for,
                             sizeof(subject->accepted_for)) &&
           take_time_if_any(reading, FIELD_ACCEPTED_AT, &subject->accepted_at);
}

static bool read_subject(struct reading *reading, struct token_subject *subject)
{
    return read_words(reading, subject) && read_names(reading, subject) &&
           read_life(reading, subject) && read_trouble(reading, subject) &&
           read_complaint(reading, subject) && read_use(reading, subject) &&
           take_skew(reading, subject) &&
           take_time_if_any(reading, FIELD_RENEWED, &subject->renewed) &&
           take_time_if_any(reading, FIELD_NEXT, &subject->next) &&
           take_time_if_any(reading, FIELD_CREDENTIAL_ENDS, &subject->credential_ends) &&
           take_time_if_any(reading, FIELD_GRANT_SINCE, &subject->grant_since);
}

/* What stands there is looked at now, so that walking over it cannot fail. */
static bool check_registrations(struct reading *reading, const struct token_reply *reply)
{
    char path[PATH_MAX];
    struct attr attr;
    size_t position = 0, count = 0;
    while (attr_next(reply->text, reply->length, &position, &attr))
        if (attr_is(&attr, TOKENS_REGISTRATION)) {
            if (++count > TOKENS_LIST_MAX)
                return wrong(reading, FIELD_REGISTRATION, "is there too often");
            if (!read_path(&attr, path))
                return wrong(reading, FIELD_REGISTRATION, "is no absolute path");
        }
    return true;
}

static bool read_list(struct reading *reading, struct token_reply *reply)
{
    return check_registrations(reading, reply) &&
           (!has(reading, FIELD_AFTER) || take_path(reading, FIELD_AFTER, reply->after));
}

static bool read_steps(struct reading *reading, const struct token_reply *reply)
{
    struct token_step step;
    struct attr attr;
    size_t position = 0;
    while (attr_next(reply->text, reply->length, &position, &attr))
        if (attr_is(&attr, TOKENS_STEP) && !read_step(attr, &step))
            return error_set(reading->error,
                             "malformed reply: " TOKENS_STEP " is no name, result and text");
    return true;
}

static bool read_status(struct reading *reading, struct token_reply *reply)
{
    struct token_claim claim;
    struct attr attr;
    size_t position = 0;
    while (attr_next(reply->text, reply->length, &position, &attr))
        if (is_claim(&attr) && !read_claim(&attr, &claim))
            return error_set(reading->error,
                             "malformed reply: " TOKENS_CLAIM "... is no claim's name");
    return read_subject(reading, &reply->subject);
}

static bool read_login(struct reading *reading, struct token_reply *reply)
{
    return take_whole(reading, FIELD_USER, reply->user, sizeof(reply->user)) &&
           take_path(reading, FIELD_REGISTRATION, reply->registration);
}

static bool read_code(struct reading *reading, struct token_reply *reply)
{
    return take_whole(reading, FIELD_USER_CODE, reply->user_code, sizeof(reply->user_code)) &&
           take_whole(reading, FIELD_VERIFICATION_URI, reply->verification_uri,
                      sizeof(reply->verification_uri)) &&
           take_time(reading, FIELD_EXPIRES, &reply->expires);
}

static bool read_gone(struct reading *reading, struct token_reply *reply)
{
    return take_path(reading, FIELD_REGISTRATION, reply->registration) &&
           take_whole_if_any(reading, FIELD_ACCOUNT, reply->account, sizeof(reply->account));
}

static bool read_done(struct reading *reading, struct token_reply *reply)
{
    switch (reading->kind) {
    case TOKEN_COMMAND_TOKEN:
    case TOKEN_COMMAND_RENEW:
        return read_token(reading, reply);
    case TOKEN_COMMAND_VERDICT:
        return take_again(reading, &reply->again);
    case TOKEN_COMMAND_LIST:
        return read_list(reading, reply);
    case TOKEN_COMMAND_STATUS:
        return read_status(reading, reply);
    case TOKEN_COMMAND_CHECK:
        return read_steps(reading, reply);
    case TOKEN_COMMAND_LOGIN:
        return read_login(reading, reply);
    case TOKEN_COMMAND_WATCH:
    case TOKEN_COMMAND_LOGOUT:
    case TOKEN_COMMANDS:
        break;
    }
    return true;
}

static bool read_result(struct reading *reading, struct token_reply *reply)
{
    switch (reply->result) {
    case TOKEN_REPLY_DONE:
        return read_done(reading, reply);
    case TOKEN_REPLY_LATER:
    case TOKEN_REPLY_STOPPED:
        return read_failure(reading, reply);
    case TOKEN_REPLY_NONE:
        return take_text_if_any(reading, FIELD_REASON, reply->reason, sizeof(reply->reason));
    case TOKEN_REPLY_SUBJECT:
        return read_subject(reading, &reply->subject);
    case TOKEN_REPLY_GONE:
        return read_gone(reading, reply);
    case TOKEN_REPLY_CODE:
        return read_code(reading, reply);
    case TOKEN_REPLY_WAITING:
        return take_time(reading, FIELD_EXPIRES, &reply->expires);
    case TOKEN_REPLY_REFUSED:
    case TOKEN_REPLY_ERROR:
        return take_text(reading, FIELD_REASON, reply->reason, sizeof(reply->reason));
    case TOKEN_REPLY_RESULTS:
        break;
    }
    return true;
}

/* Whether the attribute is not there once, but on each line of a page. */
static bool is_repeated(const struct reading *reading, enum field field)
{
    return reading->kind == TOKEN_COMMAND_LIST && field == FIELD_REGISTRATION;
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
                return wrong(reading, field, "is there twice");
            reading->field[field] = attr;
            break;
        }
    return true;
}

static bool take_result(struct reading *reading, enum token_reply_result *result)
{
    const struct attr *attr = need(reading, FIELD_RESULT);
    if (attr == NULL)
        return false;
    for (*result = 0; *result < TOKEN_REPLY_RESULTS; (*result)++)
        if (attr_has_value(attr, results[*result].name))
            return (results[*result].kinds & 1U << reading->kind) != 0 ||
                   error_set(reading->error, "malformed reply: %s is no answer to %s",
                             results[*result].name, commands[reading->kind].name);
    return wrong(reading, FIELD_RESULT, "is not known");
}

bool token_reply_read(struct token_reply *reply, enum token_command_kind kind, const char *text,
                      size_t length, struct error *error)
{
    struct reading reading = {.kind = kind, .error = error};
    *reply = (struct token_reply){.text = text, .length = length};
    return find_fields(&reading, text, length) && take_result(&reading, &reply->result) &&
           read_result(&reading, reply);
}

void token_reply_release(struct token_reply *reply)
{
    secret_free(reply->token);
    reply->token = NULL;
}

bool token_reply_is_last(const struct token_reply *reply, enum token_command_kind kind)
{
    if (kind == TOKEN_COMMAND_WATCH)
        return reply->result == TOKEN_REPLY_REFUSED || reply->result == TOKEN_REPLY_ERROR;
    return reply->result != TOKEN_REPLY_CODE && reply->result != TOKEN_REPLY_WAITING;
}

bool token_reply_tag(const char *text, size_t length, uint64_t *tag)
{
    struct attr attr;
    size_t position = 0;
    return attr_next(text, length, &position, &attr) && attr_is(&attr, TOKENS_TAG) &&
           attr_digits(attr.value, attr.value_length, UINT64_MAX, tag);
}
