/* smtp_settings.c - what main.cf says of smtp(8), and the transport keeps to */
#include "common/smtp_settings.h"

#include "common/buffer.h"
#include "common/memory.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SEPARATORS     ", \t\r\n"
#define TLS_SEPARATORS ":, \t\r\n"
#define VALUE_SHOWN    "%.100s"

const char *const smtp_settings_expressions[SMTP_VALUES] = {
    [SMTP_INET_PROTOCOLS] = "$inet_protocols",
    [SMTP_INET_INTERFACES] = "$inet_interfaces",
    [SMTP_ADDRESS_PREFERENCE] = "$smtp_address_preference",
    [SMTP_BIND_ADDRESS] = "$smtp_bind_address",
    [SMTP_BIND_ADDRESS6] = "$smtp_bind_address6",
    [SMTP_BIND_ADDRESS_ENFORCE] = "$smtp_bind_address_enforce",
    [SMTP_HELO_NAME] = "$smtp_helo_name",
    [SMTP_CONNECT_TIMEOUT] = "$smtp_connect_timeout",
    [SMTP_HELO_TIMEOUT] = "$smtp_helo_timeout",
    [SMTP_STARTTLS_TIMEOUT] = "$smtp_starttls_timeout",
    [SMTP_MAIL_TIMEOUT] = "$smtp_mail_timeout",
    [SMTP_RCPT_TIMEOUT] = "$smtp_rcpt_timeout",
    [SMTP_DATA_INIT_TIMEOUT] = "$smtp_data_init_timeout",
    [SMTP_DATA_XFER_TIMEOUT] = "$smtp_data_xfer_timeout",
    [SMTP_DATA_DONE_TIMEOUT] = "$smtp_data_done_timeout",
    [SMTP_RSET_TIMEOUT] = "$smtp_rset_timeout",
    [SMTP_QUIT_TIMEOUT] = "$smtp_quit_timeout",
    [SMTP_TLS_SECURITY_LEVEL] = "$smtp_tls_security_level",
    [SMTP_TLS_PROTOCOLS] = "$smtp_tls_protocols",
    [SMTP_TLS_MANDATORY_PROTOCOLS] = "$smtp_tls_mandatory_protocols",
    [SMTP_TLS_CIPHERS] = "$smtp_tls_ciphers",
    [SMTP_TLS_MANDATORY_CIPHERS] = "$smtp_tls_mandatory_ciphers",
    [SMTP_TLS_EXCLUDE_CIPHERS] = "$smtp_tls_exclude_ciphers",
    [SMTP_TLS_MANDATORY_EXCLUDE_CIPHERS] = "$smtp_tls_mandatory_exclude_ciphers",
    [SMTP_DISCARD_EHLO_KEYWORDS] = "$smtp_discard_ehlo_keywords",
};

/* What is being read. */
struct reading {
    char *const *values;
    struct smtp_settings *smtp;
};

static void note(struct reading *reading, enum smtp_value value, const char *instead)
{
    struct smtp_settings *smtp = reading->smtp;
    smtp->notes = memory_grow(smtp->notes, (smtp->note_count + 1) * sizeof(char *));
    smtp->notes[smtp->note_count++] =
        memory_format("%s = " VALUE_SHOWN ": %s", smtp_settings_expressions[value] + 1,
                      reading->values[value], instead);
}

/* --- addresses ------------------------------------------------------------------------ */

static void read_families(struct reading *reading)
{
    struct smtp_settings *smtp = reading->smtp;
    char *list = memory_copy(reading->values[SMTP_INET_PROTOCOLS]), *rest = list, *word;
    bool is_understood = true;
    while ((word = strsep(&rest, SEPARATORS)) != NULL) {
        bool is_all = strcasecmp(word, "all") == 0;
        bool is_ipv4 = strcasecmp(word, "ipv4") == 0, is_ipv6 = strcasecmp(word, "ipv6") == 0;
        smtp->ipv4 = smtp->ipv4 || is_all || is_ipv4;
        smtp->ipv6 = smtp->ipv6 || is_all || is_ipv6;
        is_understood = is_understood && (word[0] == '\0' || is_all || is_ipv4 || is_ipv6);
    }
    free(list);
    if (!smtp->ipv4 && !smtp->ipv6) {
        smtp->ipv4 = smtp->ipv6 = true;
        is_understood = false;
    }
    if (!is_understood)
        note(reading, SMTP_INET_PROTOCOLS, "write all, ipv4, ipv6, or \"ipv4, ipv6\"");
}

static void read_preference(struct reading *reading)
{
    const char *value = reading->values[SMTP_ADDRESS_PREFERENCE];
    struct smtp_settings *smtp = reading->smtp;
    if (strcasecmp(value, "ipv4") == 0)
        smtp->preference = SMTP_PREFER_IPV4;
    else if (strcasecmp(value, "ipv6") == 0)
        smtp->preference = SMTP_PREFER_IPV6;
    else if (strcasecmp(value, "any") != 0)
        note(reading, SMTP_ADDRESS_PREFERENCE, "write any, ipv4 or ipv6; neither is preferred");
}

/* "192.0.2.1", "[192.0.2.1]", "[ipv6:2001:db8::1]". */
static char *read_address(struct reading *reading, enum smtp_value value, int family)
{
    const char *text = reading->values[value];
    unsigned char bytes[sizeof(struct in6_addr)];
    bool is_bracketed = text[0] == '[';
    text += is_bracketed;
    if (strncasecmp(text, "ipv6:", 5) == 0)
        text += 5;
    char *address = memory_copy_bytes(text, is_bracketed ? strcspn(text, "]") : strlen(text));
    if (address[0] != '\0' && inet_pton(family, address, bytes) != 1) {
        note(reading, value,
             family == AF_INET
                 ? "is no IPv4 address; the system chooses where connections come from"
                 : "is no IPv6 address; the system chooses where connections come "
                   "from");
        address[0] = '\0';
    }
    return address;
}

/* --- time ------------------------------------------------------------------------------ */

/* Seconds; -1: not understood. */
static int64_t seconds_of(const char *value)
{
    char *unit;
    errno = 0;
    unsigned long number = strtoul(value, &unit, 10);
    if (!isdigit((unsigned char)value[0]) || errno != 0 || number > UINT32_MAX ||
        (unit[0] != '\0' && unit[1] != '\0'))
        return -1;
    switch (unit[0]) {
    case '\0':
    case 's':
        return (int64_t)number;
    case 'm':
        return (int64_t)number * 60;
    case 'h':
        return (int64_t)number * 3600;
    case 'd':
        return (int64_t)number * 86400;
    case 'w':
        return (int64_t)number * 604800;
    default:
        return -1;
    }
}

static uint32_t read_timeout(struct reading *reading, enum smtp_value value, uint32_t most)
{
    int64_t seconds = seconds_of(reading->values[value]);
    if (seconds < 0)
        note(reading, value, "is no time; write seconds, such as 30s");
    return seconds <= 0 || seconds > most ? most : (uint32_t)seconds; /* 0: no limit */
}

/* Postfix waits 300 s for the reply to DATA, within which all that stands before it must fit, and
 * 600 s for the final one, before which it must have heard from us. */
static void read_timeouts(struct reading *reading)
{
    reading->smtp->timeouts =
        (struct smtp_timeouts){.connect = read_timeout(reading, SMTP_CONNECT_TIMEOUT, 120),
                               .helo = read_timeout(reading, SMTP_HELO_TIMEOUT, 60),
                               .starttls = read_timeout(reading, SMTP_STARTTLS_TIMEOUT, 60),
                               .mail = read_timeout(reading, SMTP_MAIL_TIMEOUT, 300),
                               .rcpt = read_timeout(reading, SMTP_RCPT_TIMEOUT, 300),
                               .data_init = read_timeout(reading, SMTP_DATA_INIT_TIMEOUT, 300),
                               .data_xfer = read_timeout(reading, SMTP_DATA_XFER_TIMEOUT, 180),
                               .data_done = read_timeout(reading, SMTP_DATA_DONE_TIMEOUT, 545),
                               .rset = read_timeout(reading, SMTP_RSET_TIMEOUT, 20),
                               .quit = read_timeout(reading, SMTP_QUIT_TIMEOUT, 2)};
}

/* --- TLS ------------------------------------------------------------------------------- */

/* Where TLS was optional other parameters applied than where it was mandatory. */
static bool was_optional(const struct reading *reading)
{
    const char *level = reading->values[SMTP_TLS_SECURITY_LEVEL];
    return level[0] == '\0' || strcasecmp(level, "may") == 0 || strcasecmp(level, "none") == 0;
}

/* The place of a version among all that there are; -1: none. */
static int rank_of(const char *version)
{
    static const char *const versions[] = {"SSLv2",   "SSLv3",   "TLSv1",
                                           "TLSv1.1", "TLSv1.2", "TLSv1.3"};
    static const char *const numbers[] = {"0x0002", "0x0300", "0x0301",
                                          "0x0302", "0x0303", "0x0304"};
    for (int i = 0; i < (int)(sizeof(versions) / sizeof(versions[0])); i++)
        if (strcasecmp(version, versions[i]) == 0 || strcasecmp(version, numbers[i]) == 0)
            return i;
    return -1;
}

#define TLS_1_2 4
#define TLS_1_3 5

/* Versions that a list allows, a bit each; 0: some word is not understood. */
static unsigned allowed_versions(const char *value)
{
    char *list = memory_copy(value), *rest = list, *word;
    unsigned included = 0, excluded = 0;
    int least = 0, most = TLS_1_3;
    bool is_understood = true;
    while ((word = strsep(&rest, TLS_SEPARATORS)) != NULL) {
        size_t mark = word[0] == '!'                                         ? 1
                      : (word[0] == '>' || word[0] == '<') && word[1] == '=' ? 2
                                                                             : 0;
        int rank = rank_of(word + mark);
        if (word[0] == '\0')
            continue;
        if (rank < 0)
            is_understood = false;
        else if (word[0] == '!')
            excluded |= 1U << rank;
        else if (word[0] == '>')
            least = rank;
        else if (word[0] == '<')
            most = rank;
        else
            included |= 1U << rank;
    }
    free(list);
    unsigned allowed = 0;
    for (int rank = least; rank <= most; rank++)
        allowed |= 1U << rank;
    allowed &= ~excluded;
    return !is_understood ? 0 : included != 0 ? allowed & included : allowed;
}

static void read_versions(struct reading *reading)
{
    enum smtp_value value =
        was_optional(reading) ? SMTP_TLS_PROTOCOLS : SMTP_TLS_MANDATORY_PROTOCOLS;
    unsigned allowed = allowed_versions(reading->values[value]);
    struct smtp_settings *smtp = reading->smtp;
    smtp->tls_1_2 = (allowed & 1U << TLS_1_2) != 0;
    smtp->tls_1_3 = (allowed & 1U << TLS_1_3) != 0;
    if (smtp->tls_1_2 || smtp->tls_1_3)
        return;
    smtp->tls_1_2 = smtp->tls_1_3 = true;
    note(reading, value,
         "leaves neither TLS 1.2 nor TLS 1.3, and Microsoft takes nothing older; write >=TLSv1.2, "
         "which is what the transport uses");
}

static void exclude(struct buffer *ciphers, const char *value)
{
    char *list = memory_copy(value), *rest = list, *word;
    while ((word = strsep(&rest, TLS_SEPARATORS)) != NULL)
        if (word[0] != '\0')
            buffer_format(ciphers, "%s:!%s", ciphers->length == 0 ? "DEFAULT" : "", word);
    free(list);
}

/* The grades below high are no stricter than what OpenSSL takes by itself. */
static void read_ciphers(struct reading *reading)
{
    const char *grade =
        reading->values[was_optional(reading) ? SMTP_TLS_CIPHERS : SMTP_TLS_MANDATORY_CIPHERS];
    struct buffer ciphers = {0};
    if (strcasecmp(grade, "high") == 0)
        buffer_append_string(&ciphers, "HIGH:!aNULL:!eNULL");
    exclude(&ciphers, reading->values[SMTP_TLS_EXCLUDE_CIPHERS]);
    exclude(&ciphers, reading->values[SMTP_TLS_MANDATORY_EXCLUDE_CIPHERS]);
    reading->smtp->ciphers = buffer_take(&ciphers);
}

/* --- EHLO ------------------------------------------------------------------------------ */

static void read_keywords(struct reading *reading)
{
    char *list = memory_copy(reading->values[SMTP_DISCARD_EHLO_KEYWORDS]), *rest = list, *word;
    struct buffer kept = {0};
    bool has_needed = false;
    while ((word = strsep(&rest, SEPARATORS)) != NULL) {
        bool is_needed = strcasecmp(word, "starttls") == 0 || strcasecmp(word, "auth") == 0;
        has_needed = has_needed || is_needed;
        if (word[0] != '\0' && !is_needed)
            buffer_format(&kept, "%s%s", kept.length > 0 ? " " : "", word);
    }
    free(list);
    reading->smtp->discarded_ehlo_keywords = buffer_take(&kept);
    if (has_needed)
        note(reading, SMTP_DISCARD_EHLO_KEYWORDS,
             "STARTTLS and AUTH are used all the same, since nothing goes without them");
}

/* A name that would be two words, or none, is the other side's syntax error. */
static void read_name(struct reading *reading)
{
    const char *name = reading->values[SMTP_HELO_NAME];
    reading->smtp->helo_name = memory_copy(name);
    if (name[0] == '\0' || strpbrk(name, " \t\r\n") != NULL)
        note(reading, SMTP_HELO_NAME, "is no name to greet with; write one with a domain");
}

/* --- all of it ------------------------------------------------------------------------- */

void smtp_settings_read(char *const values[SMTP_VALUES], struct smtp_settings *smtp)
{
    struct reading reading = {.values = values, .smtp = smtp};
    *smtp = (struct smtp_settings){.interfaces = memory_copy(values[SMTP_INET_INTERFACES]),
                                   .bind_is_enforced =
                                       strcasecmp(values[SMTP_BIND_ADDRESS_ENFORCE], "yes") == 0};
    read_families(&reading);
    read_preference(&reading);
    smtp->bind_address = read_address(&reading, SMTP_BIND_ADDRESS, AF_INET);
    smtp->bind_address6 = read_address(&reading, SMTP_BIND_ADDRESS6, AF_INET6);
    read_name(&reading);
    read_timeouts(&reading);
    read_versions(&reading);
    read_ciphers(&reading);
    read_keywords(&reading);
}

void smtp_settings_free(struct smtp_settings *smtp)
{
    free(smtp->interfaces);
    free(smtp->bind_address);
    free(smtp->bind_address6);
    free(smtp->helo_name);
    free(smtp->ciphers);
    free(smtp->discarded_ehlo_keywords);
    for (size_t i = 0; i < smtp->note_count; i++)
        free(smtp->notes[i]);
    free(smtp->notes);
    *smtp = (struct smtp_settings){.ipv4 = false};
}
