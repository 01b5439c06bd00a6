/* answer.c - what the token endpoint answers: a token, a device code, or why there is none
 *
 * Security: jansson copies what it reads; answer_prepare() has it wipe what it releases. What is
 * shown of an answer is Microsoft's description alone: a body that is no answer may have anything
 * in it, what was sent included.
 */
#include "tokend/answer.h"

#include "common/error.h"
#include "common/harmless.h"
#include "common/memory.h"

#include <jansson.h>
#include <malloc.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define NUMBERS_MAX 8
/* Of a description; what is shown of it is shorter still. */
#define LINE_MAX_SHOWN ((size_t)TOKENS_REASON_MAX)
/* So many bytes of a secret in a row are shown to nobody. */
#define HIDDEN_RUN ((size_t)8)

/* RFC 6750, section 2.1; "=" stands at the end alone. */
#define TOKEN_BYTES "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/"

#define DEVICE_CODE_MAX     ((size_t)4096)
#define CODE_LIFE_DEFAULT   900
#define CODE_LIFE_MIN       60
#define CODE_INTERVAL       5
#define CODE_INTERVAL_MAX   60
#define VERIFICATION_SCHEME "https://"

static void release(void *memory)
{
    if (memory != NULL)
        explicit_bzero(memory, malloc_usable_size(memory));
    free(memory);
}

void answer_prepare(void)
{
    json_set_alloc_funcs(malloc, release);
}

/* --- times ------------------------------------------------------------------------------------ */

bool answer_date(const char *value, int64_t *seconds)
{
    static const char *const forms[] = {"%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT",
                                        "%a %b %d %H:%M:%S %Y"};
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        struct tm date = {0};
        const char *end = strptime(value, forms[i], &date);
        if (end == NULL || end[strspn(end, " \t")] != '\0')
            continue;
        *seconds = timegm(&date);
        return true;
    }
    return false;
}

bool answer_retry_after(const char *value, int64_t now, uint32_t *wait)
{
    int64_t seconds = 0;
    size_t digits = strspn(value, "0123456789");
    if (digits > 0 && value[digits + strspn(value + digits, " \t")] == '\0') {
        seconds = digits > 9 ? ANSWER_WAIT_MAX : strtoll(value, NULL, 10);
    } else {
        int64_t date;
        if (!answer_date(value, &date))
            return false;
        seconds = date - now;
    }
    *wait = seconds < 0 ? 0 : seconds > ANSWER_WAIT_MAX ? ANSWER_WAIT_MAX : (uint32_t)seconds;
    return true;
}

/* --- members ---------------------------------------------------------------------------------- */

static const char *text_of(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

enum number { NUMBER_MISSING, NUMBER_FINE, NUMBER_WRONG };

/* Seconds, from 1 on, as a number or as a string of digits; what is larger than `most` is `most`.
 */
static enum number seconds_of(const json_t *object, const char *name, uint32_t most,
                              uint32_t *seconds)
{
    const json_t *member = json_object_get(object, name);
    const char *digits = json_string_value(member);
    double value = json_number_value(member);
    if (member == NULL || json_is_null(member))
        return NUMBER_MISSING;
    if (digits != NULL) {
        if (digits[0] == '\0' || digits[strspn(digits, "0123456789")] != '\0')
            return NUMBER_WRONG;
        value = strtod(digits, NULL);
    } else if (!json_is_number(member)) {
        return NUMBER_WRONG;
    }
    if (isnan(value) || value < 1)
        return NUMBER_WRONG;
    *seconds = value > most ? most : (uint32_t)value;
    return NUMBER_FINE;
}

/* A string of visible ASCII, from 1 to `most` bytes, or NULL. */
static struct secret *secret_of(const json_t *object, const char *name, size_t most)
{
    const char *text = text_of(object, name);
    size_t length = text != NULL ? strlen(text) : 0;
    if (length == 0 || length > most)
        return NULL;
    for (size_t i = 0; i < length; i++)
        if (text[i] <= ' ' || text[i] > '~')
            return NULL;
    return secret_copy(text, length);
}

/* --- failures --------------------------------------------------------------------------------- */

static void set_reason(struct answer *answer, const char *format, va_list arguments)
{
    vsnprintf(answer->reason, sizeof(answer->reason), format, arguments);
    harmless_make(answer->reason, ' ');
}

__attribute__((format(printf, 2, 3))) static void say(struct answer *answer, const char *format,
                                                      ...)
{
    va_list arguments;
    va_start(arguments, format);
    set_reason(answer, format, arguments);
    va_end(arguments);
}

void answer_fail(struct answer *answer, const char *name, const char *format, ...)
{
    va_list arguments;
    answer->outcome = ANSWER_FAILED;
    answer->row = entra_named(name);
    if (answer->row == NULL)
        answer->row = entra_named(ENTRA_ENDPOINT_TROUBLE);
    answer->class = answer->row->class;
    va_start(arguments, format);
    set_reason(answer, format, arguments);
    va_end(arguments);
}

/* What an answer that is an error says, as far as it was read. */
struct problem {
    const char *error;
    const char *suberror;
    const char *description;
    unsigned numbers[NUMBERS_MAX];
    size_t number_count;
};

static void add_number(struct problem *problem, double number)
{
    if (problem->number_count < NUMBERS_MAX && number >= 1 && number < 1e9)
        problem->numbers[problem->number_count++] = (unsigned)number;
}

/* "AADSTS7000215: Invalid client secret ..." */
static void add_described(struct problem *problem)
{
    static const char prefix[] = "AADSTS";
    const char *at = problem->description != NULL ? strstr(problem->description, prefix) : NULL;
    if (at != NULL)
        add_number(problem, strtod(at + strlen(prefix), NULL));
}

static void read_problem(const json_t *object, struct problem *problem)
{
    const json_t *codes = json_object_get(object, "error_codes");
    *problem = (struct problem){.error = text_of(object, "error"),
                                .suberror = text_of(object, "suberror"),
                                .description = text_of(object, "error_description")};
    for (size_t i = 0; i < json_array_size(codes); i++)
        add_number(problem, json_number_value(json_array_get(codes, i)));
    add_described(problem);
}

/* A word of another's, "" where it is none. */
static void copy_word(char *word, size_t size, const char *text)
{
    static const char kept[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    size_t length = text != NULL ? strlen(text) : 0;
    if (length >= size || (length > 0 && strspn(text, kept) != length))
        length = 0;
    if (length > 0)
        memcpy(word, text, length);
    word[length] = '\0';
}

/* How many bytes of `text` stand in the same order somewhere in `bytes`. */
static size_t longest_run(const char *text, const char *bytes, size_t length)
{
    size_t longest = 0;
    for (size_t begin = 0; begin < length; begin++) {
        size_t run = 0;
        while (begin + run < length && text[run] != '\0' && text[run] == bytes[begin + run])
            run++;
        longest = run > longest ? run : longest;
    }
    return longest;
}

/* Writes stars in the place of what must not be shown, or of a part of it. */
static void hide(char *text, const char *bytes, size_t length)
{
    size_t least = length < HIDDEN_RUN ? length : HIDDEN_RUN;
    while (length > 0 && *text != '\0') {
        size_t run = longest_run(text, bytes, length);
        if (run >= least)
            memset(text, '*', run);
        text += run >= least ? run : 1;
    }
}

static unsigned digit_of(char digit)
{
    return digit <= '9' ? (unsigned)(digit - '0') : (unsigned)(digit - 'A') + 10;
}

/* As request.c encodes: two capital digits behind each percent sign. */
static struct secret *decode(const char *bytes, size_t length)
{
    struct secret *decoded = secret_new(length);
    for (size_t i = 0; i < length; i++) {
        char byte = bytes[i];
        if (byte == '%' && i + 2 < length) {
            byte = (char)(digit_of(bytes[i + 1]) << 4 | digit_of(bytes[i + 2]));
            i += 2;
        }
        secret_append(decoded, &byte, 1);
    }
    return decoded;
}

/* The values of the form that prove something, as they were sent and as they are. */
static void hide_proofs(char *text, const struct secret *form)
{
    static const char *const names[] = {
        "client_secret=", "client_assertion=", "refresh_token=", "device_code="};
    for (const char *field = secret_reveal(form); *field != '\0';) {
        size_t length = strcspn(field, "&");
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
            size_t name = strlen(names[i]);
            if (length <= name || memcmp(field, names[i], name) != 0)
                continue;
            struct secret *value = decode(field + name, length - name);
            hide(text, field + name, length - name);
            hide(text, secret_reveal(value), secret_length(value));
            secret_free(value);
        }
        field += length + (field[length] == '&');
    }
}

/* What a body is that is no answer, in words. */
static const char *kind_of(const struct answer_received *received)
{
    const char *body = received->body != NULL ? secret_reveal(received->body) : "";
    size_t length = received->body != NULL ? secret_length(received->body) : 0;
    size_t blanks = strspn(body, " \t\r\n");
    if (blanks == length)
        return "nothing in it";
    if (received->is_cut)
        return "more in it than an answer has";
    if (body[blanks] == '<')
        return "a page (HTML) in it";
    return body[blanks] == '{' ? "an object (JSON) in it that is broken or of another kind"
                               : "text in it that is no object (JSON)";
}

/* The first line of Microsoft's description; behind it stand the ids, which are kept apart. The
 * caller's to free(). */
static char *first_line(const struct answer_received *received, const char *description)
{
    char *line = memory_copy(description != NULL ? description : "");
    line[strcspn(line, "\r\n")] = '\0';
    line[strnlen(line, LINE_MAX_SHOWN)] = '\0';
    char *trace = strstr(line, " Trace ID:");
    if (trace != NULL)
        *trace = '\0';
    if (received->form != NULL)
        hide_proofs(line, received->form);
    if (received->hidden != NULL)
        hide(line, secret_reveal(received->hidden), secret_length(received->hidden));
    return line;
}

static void describe(struct answer *answer, const struct answer_received *received,
                     const struct problem *problem)
{
    char *line = first_line(received, problem->description);
    if (problem->error == NULL)
        say(answer, "the answer has status %u and %s", received->status, kind_of(received));
    else
        say(answer, "status %u, %s%s%s", received->status,
            answer->error[0] != '\0' ? answer->error : "an unknown error",
            line[0] != '\0' ? ": " : "", line);
    free(line);
}

/* `object` is NULL where the body is none. */
static void fail_as_told(struct answer *answer, const struct answer_received *received,
                         const json_t *object)
{
    struct problem problem;
    read_problem(object, &problem);
    const struct entra_answer told = {
        .status = received->status,
        .error = problem.error,
        .suberror = problem.suberror,
        .numbers = problem.numbers,
        .number_count = problem.number_count,
        .is_user = received->question != ANSWER_APP && received->question != ANSWER_MANAGED,
        .is_managed = received->question == ANSWER_MANAGED,
    };
    answer->outcome = ANSWER_FAILED;
    answer->row = entra_of_answer(&told);
    answer->class = entra_class_of_answer(&told);
    answer->is_slow_down = problem.error != NULL && strcmp(problem.error, "slow_down") == 0;
    copy_word(answer->error, sizeof(answer->error), problem.error);
    copy_word(answer->trace_id, sizeof(answer->trace_id), text_of(object, "trace_id"));
    copy_word(answer->correlation_id, sizeof(answer->correlation_id),
              text_of(object, "correlation_id"));
    describe(answer, received, &problem);
}

static void fail_unintelligible(struct answer *answer, const char *what)
{
    answer_fail(answer, ENTRA_ANSWER_UNINTELLIGIBLE, "the answer has status 200 and %s", what);
}

/* --- tokens ----------------------------------------------------------------------------------- */

/* NULL, or why it cannot be used. */
static const char *unfit(const char *token, const char *type)
{
    size_t length = strlen(token), bytes = strspn(token, TOKEN_BYTES);
    if (type == NULL || strcasecmp(type, "Bearer") != 0)
        return "is of another type than Bearer";
    if (length > ANSWER_TOKEN_MAX)
        return "is longer than 8000 bytes";
    return bytes == 0 || bytes + strspn(token + bytes, "=") != length
               ? "has characters in it that no token has"
               : NULL;
}

/* Sets life and refresh_in. False: what is said of them cannot be. */
static bool read_life(struct answer *answer, const json_t *object)
{
    enum number told = seconds_of(object, "expires_in", ANSWER_LIFE_MAX, &answer->life);
    if (told == NUMBER_MISSING)
        answer->life = ANSWER_LIFE_DEFAULT;
    answer->is_life_told = told == NUMBER_FINE;
    if (seconds_of(object, "refresh_in", ANSWER_LIFE_MAX, &answer->refresh_in) != NUMBER_FINE ||
        answer->refresh_in >= answer->life)
        answer->refresh_in = 0;
    return told != NUMBER_WRONG;
}

static void read_token(struct answer *answer, const struct answer_received *received,
                       const json_t *object)
{
    const char *token = text_of(object, "access_token");
    if (token == NULL) {
        fail_unintelligible(answer, "no access_token in it");
        return;
    }
    const char *reason = unfit(token, text_of(object, "token_type"));
    if (reason != NULL) {
        answer_fail(answer, ENTRA_TOKEN_UNUSABLE, "the access token of %zu bytes %s", strlen(token),
                    reason);
        return;
    }
    if (!read_life(answer, object)) {
        answer_fail(answer, ENTRA_LIFE_UNUSABLE,
                    "expires_in is no number of seconds from 1 on: the token is not used");
        return;
    }
    if (received->question == ANSWER_REFRESH || received->question == ANSWER_DEVICE_POLL)
        answer->refresh_token = secret_of(object, "refresh_token", ANSWER_REFRESH_TOKEN_MAX);
    if (received->question == ANSWER_DEVICE_POLL && answer->refresh_token == NULL) {
        answer_fail(answer, ENTRA_REFRESH_TOKEN_MISSING,
                    "the login gave an access token and no refresh token");
        return;
    }
    answer->token = secret_copy(token, strlen(token));
    answer->outcome = ANSWER_TOKEN;
}

/* Whether it may be shown to somebody who is to type it, or to open it. Copies it. */
static bool copy_shown(char *shown, size_t size, const char *text)
{
    size_t length = text != NULL ? strlen(text) : 0;
    if (length == 0 || length >= size)
        return false;
    for (size_t i = 0; i < length; i++)
        if (text[i] <= ' ' || text[i] > '~')
            return false;
    memcpy(shown, text, length + 1);
    return true;
}

static void read_code(struct answer *answer, const json_t *object)
{
    const char *address = text_of(object, "verification_uri");
    if (seconds_of(object, "expires_in", ANSWER_LIFE_MAX, &answer->code_life) != NUMBER_FINE)
        answer->code_life = CODE_LIFE_DEFAULT;
    if (answer->code_life < CODE_LIFE_MIN)
        answer->code_life = CODE_LIFE_MIN;
    if (seconds_of(object, "interval", CODE_INTERVAL_MAX, &answer->interval) != NUMBER_FINE)
        answer->interval = CODE_INTERVAL;
    answer->device_code = secret_of(object, "device_code", DEVICE_CODE_MAX);
    if (answer->device_code != NULL &&
        copy_shown(answer->user_code, sizeof(answer->user_code), text_of(object, "user_code")) &&
        copy_shown(answer->verification_uri, sizeof(answer->verification_uri), address) &&
        strncasecmp(address, VERIFICATION_SCHEME, strlen(VERIFICATION_SCHEME)) == 0)
        answer->outcome = ANSWER_CODE;
    else
        fail_unintelligible(answer, "no code for a login in it");
}

/* --- the whole -------------------------------------------------------------------------------- */

/* An object, or NULL. Every number is read as a real one, so that none is too large. */
static json_t *parse(const struct answer_received *received)
{
    static const size_t flags = JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL;
    json_t *value = NULL;
    if (received->body != NULL && !received->is_cut)
        value =
            json_loadb(secret_reveal(received->body), secret_length(received->body), flags, NULL);
    if (value != NULL && !json_is_object(value)) {
        json_decref(value);
        value = NULL;
    }
    return value;
}

/* A date to which to wait is by the endpoint's clock. */
static void read_headers(struct answer *answer, const struct answer_received *received)
{
    int64_t date;
    if (received->date != NULL && answer_date(received->date, &date)) {
        answer->has_skew = true;
        answer->skew = date - received->now;
    }
    if (received->retry_after != NULL)
        answer_retry_after(received->retry_after, received->now + answer->skew, &answer->wait);
}

/* Releases what a failure does not have. */
static void drop_secrets(struct answer *answer)
{
    secret_free(answer->token);
    secret_free(answer->refresh_token);
    secret_free(answer->device_code);
    answer->token = answer->refresh_token = answer->device_code = NULL;
}

void answer_read(struct answer *answer, const struct answer_received *received)
{
    json_t *object = parse(received);
    *answer = (struct answer){0};
    read_headers(answer, received);
    if (received->status != 200 || object == NULL || json_object_get(object, "error") != NULL)
        fail_as_told(answer, received, object);
    else if (received->question == ANSWER_DEVICE_BEGIN)
        read_code(answer, object);
    else
        read_token(answer, received, object);
    if (answer->outcome == ANSWER_FAILED)
        drop_secrets(answer);
    json_decref(object);
}

void answer_free(struct answer *answer)
{
    drop_secrets(answer);
    explicit_bzero(answer, sizeof(*answer));
}
