/* smtp_settings.h - what main.cf says of smtp(8), and the transport keeps to
 *
 * Pure: values as postconf(1) has expanded them in, what they mean out. A value that smtp(8) takes
 * and the transport cannot keep is no error, for all mail would stand still: it is a note, which
 * daemons log, and setup and the doctor tell. What becomes of every parameter of smtp(8) says
 * smtp_parameters.def.
 *
 * Sources: postconf(5), TLS_README.
 */
#ifndef POST365_COMMON_SMTP_SETTINGS_H
#define POST365_COMMON_SMTP_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum smtp_preference { SMTP_PREFER_ANY, SMTP_PREFER_IPV4, SMTP_PREFER_IPV6 };

/* What is read, in the order of smtp_settings_expressions. */
enum smtp_value {
    SMTP_INET_PROTOCOLS,
    SMTP_INET_INTERFACES,
    SMTP_ADDRESS_PREFERENCE,
    SMTP_BIND_ADDRESS,
    SMTP_BIND_ADDRESS6,
    SMTP_BIND_ADDRESS_ENFORCE,
    SMTP_HELO_NAME,
    SMTP_CONNECT_TIMEOUT,
    SMTP_HELO_TIMEOUT,
    SMTP_STARTTLS_TIMEOUT,
    SMTP_MAIL_TIMEOUT,
    SMTP_RCPT_TIMEOUT,
    SMTP_DATA_INIT_TIMEOUT,
    SMTP_DATA_XFER_TIMEOUT,
    SMTP_DATA_DONE_TIMEOUT,
    SMTP_RSET_TIMEOUT,
    SMTP_QUIT_TIMEOUT,
    SMTP_TLS_SECURITY_LEVEL,
    SMTP_TLS_PROTOCOLS,
    SMTP_TLS_MANDATORY_PROTOCOLS,
    SMTP_TLS_CIPHERS,
    SMTP_TLS_MANDATORY_CIPHERS,
    SMTP_TLS_EXCLUDE_CIPHERS,
    SMTP_TLS_MANDATORY_EXCLUDE_CIPHERS,
    SMTP_DISCARD_EHLO_KEYWORDS,
    SMTP_VALUES,
};

/* As main.cf could have them: "$inet_protocols". */
extern const char *const smtp_settings_expressions[SMTP_VALUES];

/* Seconds, each at most what the transport's own dialogue with Postfix leaves room for. */
struct smtp_timeouts {
    uint32_t connect; /* until one of all addresses has answered */
    uint32_t helo;    /* the greeting, EHLO, AUTH: a reply each */
    uint32_t starttls;
    uint32_t mail;
    uint32_t rcpt;
    uint32_t data_init;
    uint32_t data_xfer;
    uint32_t data_done;
    uint32_t rset;
    uint32_t quit;
};

struct smtp_settings {
    bool ipv4, ipv6; /* at least one */
    enum smtp_preference preference;
    char *interfaces;                   /* $inet_interfaces */
    char *bind_address, *bind_address6; /* in numbers, or "" */
    bool bind_is_enforced;
    char *helo_name;
    struct smtp_timeouts timeouts;
    bool tls_1_2, tls_1_3;         /* at least one */
    char *ciphers;                 /* up to TLS 1.2, as ciphers(1); "": OpenSSL's own */
    char *discarded_ehlo_keywords; /* one blank between two; neither STARTTLS nor AUTH */
    char **notes;                  /* "NAME = VALUE: what is done instead" */
    size_t note_count;
};

/* Never fails. Release with smtp_settings_free(). */
void smtp_settings_read(char *const values[SMTP_VALUES], struct smtp_settings *smtp);
void smtp_settings_free(struct smtp_settings *smtp);

#endif
