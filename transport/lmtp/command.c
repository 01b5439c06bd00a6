/* command.c - a command of LMTP, read
 *
 * The reader goes through the line once and puts NULs where its parts end, so that they are
 * strings. `rest` is what has not been read yet: the words behind a blank, or NULL if there are
 * none, as strsep(3) has it.
 *
 * Security: whoever may connect may send anything. What is read here goes on to Office 365 in
 * commands and to the log, so no control character passes, wherever it stands.
 */
#include "transport/lmtp/command.h"

#include "common/address.h"
#include "common/utf8.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#define NOT_A_COMMAND  "500 5.5.2 Unknown command"
#define CONTROL_OCTETS "500 5.5.2 Control characters in a command"
#define THIS_IS_LMTP   "500 5.5.1 this is LMTP"
#define NO_ARGUMENTS   "501 5.5.4 No arguments, please"
#define SYNTAX_LHLO    "501 5.5.4 Syntax: LHLO hostname"
#define SYNTAX_MAIL    "501 5.5.4 Syntax: MAIL FROM:<address> [parameters]"
#define SYNTAX_RCPT    "501 5.5.4 Syntax: RCPT TO:<address> [parameters]"
#define SYNTAX_VRFY    "501 5.5.4 Syntax: VRFY address"
#define SYNTAX_FORWARD "501 5.5.4 Syntax: XFORWARD attribute=value..."
#define BAD_SENDER     "501 5.1.7 Bad sender address syntax"
#define BAD_RECIPIENT  "501 5.1.3 Bad recipient address syntax"
#define NOT_SUPPORTED  "555 5.5.4 Unsupported parameter"
#define TWICE          "501 5.5.4 A parameter is given twice"
#define HOSTNAME_MAX   255 /* octets, RFC 5321 section 4.5.3.1.2 */

static const char *read_lhlo(char *rest, struct lmtp_command *command);
static const char *read_mail(char *rest, struct lmtp_command *command);
static const char *read_rcpt(char *rest, struct lmtp_command *command);
static const char *read_nothing(char *rest, struct lmtp_command *command);
static const char *read_anything(char *rest, struct lmtp_command *command);
static const char *read_vrfy(char *rest, struct lmtp_command *command);
static const char *read_xforward(char *rest, struct lmtp_command *command);
static const char *refuse_helo(char *rest, struct lmtp_command *command);

static const struct verb {
    const char *name;
    enum lmtp_verb verb;
    /* Reads the arguments. Returns the mistake, or NULL. */
    const char *(*read)(char *rest, struct lmtp_command *command);
} verbs[] = {
    {"MAIL", LMTP_MAIL, read_mail},     {"RCPT", LMTP_RCPT, read_rcpt},
    {"DATA", LMTP_DATA, read_nothing},  {"XFORWARD", LMTP_XFORWARD, read_xforward},
    {"LHLO", LMTP_LHLO, read_lhlo},     {"RSET", LMTP_RSET, read_nothing},
    {"NOOP", LMTP_NOOP, read_anything}, {"QUIT", LMTP_QUIT, read_nothing},
    {"VRFY", LMTP_VRFY, read_vrfy},     {"HELO", LMTP_HELO, refuse_helo},
    {"EHLO", LMTP_HELO, refuse_helo},
};

static const char *const forward_names[LMTP_FORWARDS] = {
    [LMTP_FORWARD_NAME] = "NAME",     [LMTP_FORWARD_ADDR] = "ADDR", [LMTP_FORWARD_PORT] = "PORT",
    [LMTP_FORWARD_PROTO] = "PROTO",   [LMTP_FORWARD_HELO] = "HELO", [LMTP_FORWARD_IDENT] = "IDENT",
    [LMTP_FORWARD_SOURCE] = "SOURCE",
};

/* --- octets ------------------------------------------------------------------ */

static bool is_control(char octet)
{
    return (unsigned char)octet < ' ' || octet == 0x7f;
}

static bool has_control(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (is_control(text[i]))
            return true;
    return false;
}

static bool is_ascii(const char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text >= 0x80)
            return false;
    return true;
}

static int hex_value(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    return digit >= 'A' && digit <= 'F' ? digit - 'A' + 10 : -1;
}

/* xtext of RFC 3461 section 4: visible ASCII, but `+` only before two hexadecimal digits, and no
 * `=`. With `utf8` other characters as well, as RFC 6533 section 3 has it. */
static bool is_xtext(const char *text, bool utf8)
{
    if (!utf8_is_valid(text, strlen(text)))
        return false;
    for (; *text != '\0'; text++) {
        if (*text == '=' || *text == ' ' || ((unsigned char)*text >= 0x80 && !utf8))
            return false;
        if (*text == '+' && (hex_value(text[1]) < 0 || hex_value(text[2]) < 0))
            return false;
    }
    return true;
}

/* The decoded octets of valid xtext, in its place; at most LMTP_FORWARD_MAX of them. */
static void decode_xtext(char *text)
{
    char *to = text, *end = text + LMTP_FORWARD_MAX;
    for (const char *from = text; *from != '\0' && to < end; from++) {
        char octet = *from;
        if (octet == '+') {
            octet = (char)(hex_value(from[1]) * 16 + hex_value(from[2]));
            from += 2;
        }
        if (is_control(octet))
            octet = '?';
        *to++ = octet;
    }
    *to = '\0';
}

/* --- paths -------------------------------------------------------------------- */

static bool is_literal_octet(char octet)
{
    return isalnum((unsigned char)octet) || strchr(".:-", octet) != NULL;
}

static bool is_domain_octet(char octet)
{
    return isalnum((unsigned char)octet) || (unsigned char)octet >= 0x80 || octet == '-' ||
           octet == '_' || octet == '.';
}

/* The number of octets of the domain or address literal that `text` begins with; 0 if none. */
static size_t domain_length(const char *text)
{
    size_t length = 0;
    if (text[0] != '[') {
        while (text[length] != '\0' && is_domain_octet(text[length]))
            length++;
        return length;
    }
    for (length = 1; text[length] != '\0' && is_literal_octet(text[length]);)
        length++;
    return length > 1 && text[length] == ']' ? length + 1 : 0;
}

/* Behind the source route `@one,@two:` that a path may begin with; NULL if it is malformed. */
static char *skip_route(char *path)
{
    while (*path == '@') {
        size_t length = domain_length(++path);
        path += length;
        if (length > 0 && *path == ':')
            return path[1] != '\0' ? path + 1 : NULL;
        if (length == 0 || *path++ != ',' || *path != '@')
            return NULL;
    }
    return path;
}

/* The `>` that ends the path that begins behind a `<`; NULL if there is none. */
static char *find_path_end(char *path)
{
    bool quoted = false;
    for (; *path != '\0'; path++) {
        if (*path == '"')
            quoted = !quoted;
        else if (quoted && *path == '\\' && path[1] != '\0')
            path++;
        else if (*path == '>' && !quoted)
            return path;
    }
    return NULL;
}

/* Takes a path in angle brackets, with a blank or nothing behind it. Its address is checked by
 * nobody yet; NULL if it is no path. */
static const char *take_path(char **rest)
{
    char *path = *rest;
    if (path == NULL || *path++ != '<')
        return NULL;
    char *end = find_path_end(path);
    if (end == NULL || (end[1] != '\0' && end[1] != ' '))
        return NULL;
    *end = '\0';
    *rest = end[1] == ' ' ? end + 2 : NULL;
    return skip_route(path);
}

/* Takes `keyword`, which a colon is part of. */
static bool take_keyword(char **rest, const char *keyword)
{
    if (*rest == NULL || strncasecmp(*rest, keyword, strlen(keyword)) != 0)
        return false;
    *rest += strlen(keyword);
    return true;
}

/* --- parameters --------------------------------------------------------------- */

struct parameter {
    const char *name;
    /* Takes the value, NULL if there is no `=`. One that is none is left out. */
    void (*take)(const char *value, struct lmtp_command *command);
};

/* Only to be compared with a limit: what does not fit is the largest number. */
static void take_size(const char *value, struct lmtp_command *command)
{
    if (value == NULL || *value == '\0' || value[strspn(value, "0123456789")] != '\0')
        return;
    for (; *value != '\0'; value++) {
        unsigned digit = (unsigned)(*value - '0');
        bool fits = command->size <= (UINT64_MAX - digit) / 10;
        command->size = fits ? command->size * 10 + digit : UINT64_MAX;
    }
}

static void take_body(const char *value, struct lmtp_command *command)
{
    if (value != NULL && strcasecmp(value, "7BIT") == 0)
        command->body = LMTP_BODY_7BIT;
    else if (value != NULL && strcasecmp(value, "8BITMIME") == 0)
        command->body = LMTP_BODY_8BITMIME;
}

static void take_utf8(const char *value, struct lmtp_command *command)
{
    (void)value;
    command->has_utf8 = true;
}

static void take_ret(const char *value, struct lmtp_command *command)
{
    if (value != NULL && (strcasecmp(value, "FULL") == 0 || strcasecmp(value, "HDRS") == 0))
        command->ret = value;
}

static void take_envid(const char *value, struct lmtp_command *command)
{
    if (value != NULL && is_xtext(value, false))
        command->envid = value;
}

/* The bit of the first of the words, which are separated by commas; 0 if it is none. */
static unsigned notify_bit(const char *words, size_t length)
{
    static const char *const conditions[] = {"SUCCESS", "FAILURE", "DELAY"};
    for (unsigned i = 0; i < sizeof(conditions) / sizeof(conditions[0]); i++)
        if (strlen(conditions[i]) == length && strncasecmp(words, conditions[i], length) == 0)
            return 1U << i;
    return 0;
}

/* NEVER, or each of the three conditions at most once. */
static bool is_notify(const char *value)
{
    if (strcasecmp(value, "NEVER") == 0)
        return true;
    unsigned seen = 0;
    for (;;) {
        size_t length = strcspn(value, ",");
        unsigned bit = notify_bit(value, length);
        if (bit == 0 || (seen & bit) != 0)
            return false;
        seen |= bit;
        if (value[length] == '\0')
            return true;
        value += length + 1;
    }
}

static void take_notify(const char *value, struct lmtp_command *command)
{
    if (value != NULL && is_notify(value))
        command->notify = value;
}

/* An atom, RFC 3461 section 4.2: there are more types than rfc822, such as X.400's. */
static bool is_address_type(const char *type, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (!isalnum((unsigned char)type[i]) && strchr("!#$%&'*-/?^_`{|}~.", type[i]) == NULL)
            return false;
    return length > 0;
}

static void take_orcpt(const char *value, struct lmtp_command *command)
{
    size_t type = value != NULL ? strcspn(value, ";") : 0;
    if (type == 0 || !is_address_type(value, type) || value[type] == '\0' ||
        value[type + 1] == '\0')
        return;
    bool is_utf8 = type == strlen("utf-8") && strncasecmp(value, "utf-8", type) == 0;
    if (!is_xtext(value + type + 1, is_utf8))
        return;
    command->orcpt_needs_utf8 = !is_ascii(value);
    command->orcpt = value;
}

static const struct parameter mail_parameters[] = {
    {"SIZE", take_size}, {"BODY", take_body},   {"SMTPUTF8", take_utf8},
    {"RET", take_ret},   {"ENVID", take_envid}, {NULL, NULL},
};

static const struct parameter rcpt_parameters[] = {
    {"NOTIFY", take_notify},
    {"ORCPT", take_orcpt},
    {NULL, NULL},
};

/* Takes one `name=value`. Returns the mistake, or NULL. */
static const char *take_parameter(char *value, const struct parameter *known, unsigned *seen,
                                  const char *syntax, struct lmtp_command *command)
{
    bool is_blank = *value == '\0';
    const char *name = strsep(&value, "=");
    if (*name == '\0')
        return is_blank ? NULL : syntax;
    for (unsigned bit = 1; known->name != NULL; known++, bit <<= 1) {
        if (strcasecmp(name, known->name) != 0)
            continue;
        if ((*seen & bit) == 0)
            known->take(value, command);
        *seen |= bit;
        return NULL;
    }
    return NOT_SUPPORTED;
}

static const char *take_parameters(char *rest, const struct parameter *known, const char *syntax,
                                   struct lmtp_command *command)
{
    unsigned seen = 0;
    const char *mistake = NULL;
    while (rest != NULL && mistake == NULL)
        mistake = take_parameter(strsep(&rest, " "), known, &seen, syntax, command);
    return mistake;
}

/* --- commands ------------------------------------------------------------------ */

static const char *read_lhlo(char *rest, struct lmtp_command *command)
{
    (void)command;
    if (rest == NULL || *rest == '\0' || strlen(rest) > HOSTNAME_MAX || !is_ascii(rest) ||
        domain_length(rest) != strlen(rest))
        return SYNTAX_LHLO;
    return NULL;
}

/* The sender need not be an address that could go out: the account goes in its place. */
static const char *read_mail(char *rest, struct lmtp_command *command)
{
    if (!take_keyword(&rest, "FROM:"))
        return SYNTAX_MAIL;
    const char *address = take_path(&rest);
    if (address == NULL)
        return BAD_SENDER;
    command->address = address;
    command->needs_utf8 = !is_ascii(address);
    return take_parameters(rest, mail_parameters, SYNTAX_MAIL, command);
}

/* Postmaster may stand without a domain, RFC 5321 section 4.1.1.3. */
static const char *read_rcpt(char *rest, struct lmtp_command *command)
{
    if (!take_keyword(&rest, "TO:"))
        return SYNTAX_RCPT;
    const char *address = take_path(&rest);
    if (address == NULL || (!address_is_valid(address) && strcasecmp(address, "postmaster") != 0))
        return BAD_RECIPIENT;
    command->address = address;
    command->needs_utf8 = !is_ascii(address);
    return take_parameters(rest, rcpt_parameters, SYNTAX_RCPT, command);
}

static const char *read_nothing(char *rest, struct lmtp_command *command)
{
    (void)command;
    return rest == NULL ? NULL : NO_ARGUMENTS;
}

static const char *read_anything(char *rest, struct lmtp_command *command)
{
    (void)rest;
    (void)command;
    return NULL;
}

static const char *read_vrfy(char *rest, struct lmtp_command *command)
{
    (void)command;
    return rest != NULL ? NULL : SYNTAX_VRFY;
}

static bool is_unavailable(const char *value)
{
    return strcasecmp(value, "[UNAVAILABLE]") == 0 || strcasecmp(value, "[TEMPUNAVAIL]") == 0;
}

/* Values are for logs and reports: a client's wild HELO must not cost the queue id that stands
 * beside it, so what is odd in a value is made harmless, not refused. */
static const char *take_forward(char *value, struct lmtp_command *command)
{
    const char *name = strsep(&value, "=");
    for (enum lmtp_forward which = 0; which < LMTP_FORWARDS; which++) {
        if (strcasecmp(name, forward_names[which]) != 0)
            continue;
        if (command->forward[which] != NULL)
            return TWICE;
        if (value == NULL || !is_xtext(value, true))
            return SYNTAX_FORWARD;
        if (is_unavailable(value))
            *value = '\0';
        decode_xtext(value);
        command->forward[which] = value;
        return NULL;
    }
    return SYNTAX_FORWARD;
}

static const char *read_xforward(char *rest, struct lmtp_command *command)
{
    const char *mistake = rest != NULL ? NULL : SYNTAX_FORWARD;
    while (rest != NULL && mistake == NULL)
        mistake = take_forward(strsep(&rest, " "), command);
    return mistake;
}

static const char *refuse_helo(char *rest, struct lmtp_command *command)
{
    (void)rest;
    (void)command;
    return THIS_IS_LMTP;
}

/* --- lines -------------------------------------------------------------------- */

static const char *read_verb(char *line, struct lmtp_command *command)
{
    char *rest = line;
    const char *name = strsep(&rest, " ");
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
        if (strcasecmp(name, verbs[i].name) == 0) {
            command->verb = verbs[i].verb;
            return verbs[i].read(rest, command);
        }
    return NOT_A_COMMAND;
}

void lmtp_command_read(char *line, size_t length, struct lmtp_command *command)
{
    *command =
        (struct lmtp_command){.address = "", .ret = "", .envid = "", .notify = "", .orcpt = ""};
    if (length > LMTP_LINE_MAX) {
        command->mistake = LMTP_LINE_TOO_LONG;
        return;
    }
    if (has_control(line, length)) {
        command->mistake = CONTROL_OCTETS;
        return;
    }
    while (length > 0 && line[length - 1] == ' ')
        length--;
    line[length] = '\0';
    command->mistake = read_verb(line, command);
}
