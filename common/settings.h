/* settings.h - the post365_ parameters of main.cf, and what post365 must know of Postfix's own
 *
 * Values are read through postconf(1), so that $name, ${name?text}, continuation lines and -o mean
 * what they mean to Postfix. The list of parameters is parameters.def.
 */
#ifndef POST365_COMMON_SETTINGS_H
#define POST365_COMMON_SETTINGS_H

#include "common/error.h"
#include "common/quota.h"
#include "common/smtp_settings.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum settings_reply_to { REPLY_TO_ADD, REPLY_TO_NO };
enum settings_meter { METER_DELIVERY, METER_SUBMISSION };

struct settings {
    /* of Postfix */
    char *config_directory;
    char *queue_directory;
    char *command_directory; /* where postqueue(1) is */
    char *myhostname;
    char *mail_owner;
    char *relayhost;
    char *sender_relayhost_maps; /* sender_dependent_relayhost_maps */
    char *null_sender_relay_key; /* the null sender's key there */
    char *sender_transport_maps; /* sender_dependent_default_transport_maps */
    char *null_sender_transport_key;
    char *sasl_mechanism_filter; /* smtp_sasl_mechanism_filter */
    char *recipient_delimiter;
    char *local_domains; /* $myorigin, $mydestination */
    /* What completes an address, see struct address_rules; "" where Postfix appends nothing. */
    char *append_origin;
    char *append_domain;
    bool swap_bangpath;
    bool allow_percent_hack;
    /* The destination recipient limit of the transport to $relayhost; 0: none. */
    uint32_t recipients_per_delivery;
    struct smtp_settings smtp;
    /* of post365, see parameters.def */
    char *user;
    char *upn; /* "" if not set: identity.h says what then answers */
    char *login_upn_maps;
    char *sender_upn_maps;
    char *send_as_maps;
    bool login_only;
    bool rewrite_from;
    enum settings_reply_to reply_to;
    struct quota quota;
    char *quota_maps;
    int64_t quota_guard; /* microseconds */
    enum settings_meter meter;
    char *ledger;
    bool ledger_sync;
    char *password_maps;
    char *token_maps;
    char *oauth2_maps;
    char *oauth2_socket;
    char *oauth2_user;
    char *oauth2_directory;
    char *oauth2_proxy; /* "": none */
    char *oauth2_ca_file;
    char *oauth2_ca_path;
    int64_t oauth2_timeout;   /* microseconds */
    int64_t oauth2_warn_time; /* microseconds */
    char *milter_socket;
    char *policy_socket;
    char *control_socket;
    char *transport_socket;
    int64_t max_wait; /* microseconds */
    char *tls_ca_file;
    char *tls_ca_path;
    char *metrics_listen;           /* "": off */
    char *transport_metrics_listen; /* "": off */
};

/*
 * Reads the configuration. `config_directory` may be NULL: then $MAIL_CONFIG, else postconf's own.
 * `overrides` is a NULL-terminated list of "name=value" from -o, of post365's parameters or
 * Postfix's. NULL with one line that names file, parameter, value, reason and remedy: an unknown
 * post365_ name, a value that does not parse, postconf that cannot be run. Does not open tables.
 * Release with settings_free().
 */
struct settings *settings_read(const char *config_directory, const char *const overrides[],
                               struct error *error);
void settings_free(struct settings *settings);

/* The effective values in main.cf's form, one line per parameter and no passwords, for -t. */
void settings_print(const struct settings *settings, FILE *stream);

#endif
