/* envelope.c - the arguments of MAIL and RCPT */
#include "envelope.h"

#include "address.h"
#include "allocate.h"
#include "encoding.h"

#include <stdlib.h>
#include <string.h>

#define LONGEST_ENVID 100
#define BAD_ARGUMENTS "501 5.5.4 Invalid arguments"
#define BAD_ADDRESS   "501 5.1.7 Invalid address"
#define BAD_RECIPIENT "501 5.1.3 Invalid address"
#define NEEDS_UTF8    "553 5.6.7 SMTPUTF8 is required for this address"

struct parameter {
    const char *name;
    bool (*check)(const char *value, struct envelope *envelope);
};

static bool check_size(const char *value, struct envelope *envelope)
{
    size_t digits = strlen(value);

    if (digits == 0 || digits > 18 || strspn(value, "0123456789") != digits)
        return false;
    envelope->size = strtoll(value, NULL, 10);
    return true;
}

static bool check_body(const char *value, struct envelope *envelope)
{
    static const char *const names[] = {"7BIT", "8BITMIME", "BINARYMIME"};

    for (int i = 0; i < 3; i++) {
        if (strcasecmp(value, names[i]) == 0) {
            envelope->body = (enum envelope_body)i;
            return true;
        }
    }
    return false;
}

static bool check_utf8(const char *value, struct envelope *envelope)
{
    envelope->utf8 = true;
    return *value == '\0';
}

static bool check_return(const char *value, struct envelope *envelope)
{
    (void)envelope;
    return strcasecmp(value, "FULL") == 0 || strcasecmp(value, "HDRS") == 0;
}

/* is_xtext - RFC 3461 section 4: printable, and "+" only before two upper case hex digits */
static bool is_xtext(const char *value)
{
    for (; *value != '\0'; value++) {
        if (*value == '+') {
            if (strspn(value + 1, "0123456789ABCDEF") < 2)
                return false;
            value += 2;
        } else if ((*value > 0 && *value <= ' ') || *value == '=' || *value == 0x7f) {
            return false;
        }
    }
    return true;
}

static bool check_envid(const char *value, struct envelope *envelope)
{
    (void)envelope;
    return *value != '\0' && strlen(value) <= LONGEST_ENVID && is_xtext(value);
}

static bool check_auth(const char *value, struct envelope *envelope)
{
    (void)envelope;
    return *value != '\0' && is_xtext(value);
}

static bool check_notify(const char *value, struct envelope *envelope)
{
    static const char *const words[] = {"SUCCESS", "FAILURE", "DELAY"};

    (void)envelope;
    if (strcasecmp(value, "NEVER") == 0)
        return true;
    for (;;) {
        size_t length = strcspn(value, ",");
        bool known = false;
        for (int i = 0; i < 3; i++)
            known |= strlen(words[i]) == length && strncasecmp(value, words[i], length) == 0;
        if (!known)
            return false;
        if (value[length] == '\0')
            return true;
        value += length + 1;
    }
}

static bool check_original_recipient(const char *value, struct envelope *envelope)
{
    const char *separator = strchr(value, ';');

    (void)envelope;
    return separator != NULL && separator > value && separator[1] != '\0' &&
           is_xtext(separator + 1);
}

static const struct parameter mail_parameters[] = {
    {"SIZE", check_size},  {"BODY", check_body},   {"SMTPUTF8", check_utf8},
    {"RET", check_return}, {"ENVID", check_envid}, {"AUTH", check_auth},
    {NULL, NULL},
};

static const struct parameter rcpt_parameters[] = {
    {"NOTIFY", check_notify},
    {"ORCPT", check_original_recipient},
    {NULL, NULL},
};

/* take_parameter - check one "NAME=value", and remember it; false if it is unknown or was there */
static bool take_parameter(char *text, const struct parameter *known, struct envelope *envelope)
{
    char *value = strchr(text, '=');

    if (value != NULL)
        *value++ = '\0';
    for (; known->name != NULL; known++) {
        if (strcasecmp(known->name, text) != 0)
            continue;
        if (json_object_get(envelope->parameters, known->name) != NULL ||
            !known->check(value != NULL ? value : "", envelope))
            return false;
        encoding_set(envelope->parameters, known->name,
                     value != NULL ? encoding_json(value, strlen(value)) : json_true());
        return true;
    }
    return false;
}

/* take_parameters - single blanks between them (RFC 5321 section 4.1.2), none at the end */
static bool take_parameters(const char *text, const struct parameter *known,
                            struct envelope *envelope)
{
    while (*text == ' ') {
        size_t length = strcspn(++text, " ");
        char *one = duplicate_bytes(text, length);
        bool taken = take_parameter(one, known, envelope);
        free(one);
        if (!taken)
            return false;
        text += length;
    }
    return *text == '\0';
}

static bool is_ascii(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text >= 0x80)
            return false;
    }
    return true;
}

/* parse - the common part; an address that is no address is answered with bad_address */
static const char *parse(const char *arguments, const char *keyword, const char *bad_address,
                         const struct parameter *known, struct envelope *envelope)
{
    size_t length = strlen(keyword);
    const char *path = arguments + length;
    const char *end;

    *envelope = (struct envelope){.size = -1, .parameters = json_object()};
    if (strncasecmp(arguments, keyword, length) != 0)
        return BAD_ARGUMENTS;
    if (!address_path_parse(path, &envelope->address, &end))
        return bad_address;
    envelope->raw = duplicate_bytes(path + 1, (size_t)(end - path) - 2);
    if (!take_parameters(end, known, envelope))
        return BAD_ARGUMENTS;
    return NULL;
}

const char *envelope_parse_mail(const char *arguments, struct envelope *envelope)
{
    const char *wrong = parse(arguments, "FROM:", BAD_ADDRESS, mail_parameters, envelope);

    if (wrong == NULL && !envelope->utf8 && !is_ascii(envelope->raw))
        wrong = NEEDS_UTF8;
    if (wrong != NULL)
        envelope_clear(envelope);
    return wrong;
}

const char *envelope_parse_rcpt(const char *arguments, bool utf8, struct envelope *envelope)
{
    const char *wrong = parse(arguments, "TO:", BAD_RECIPIENT, rcpt_parameters, envelope);

    if (wrong == NULL && *envelope->address == '\0')
        wrong = BAD_RECIPIENT;
    if (wrong == NULL && !utf8 && !is_ascii(envelope->raw))
        wrong = NEEDS_UTF8;
    if (wrong != NULL)
        envelope_clear(envelope);
    return wrong;
}

void envelope_clear(struct envelope *envelope)
{
    free(envelope->raw);
    free(envelope->address);
    json_decref(envelope->parameters);
    *envelope = (struct envelope){.size = -1};
}
