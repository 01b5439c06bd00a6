/* relay.h - the relay as it is */
#ifndef POST365_CTL_SETUP_RELAY_H
#define POST365_CTL_SETUP_RELAY_H

#include "common/error.h"
#include "common/postconf.h"
#include "common/settings.h"
#include "ctl/relay/config.h"
#include "ctl/relay/text.h"

#include <stdbool.h>
#include <stddef.h>

enum relay_file { RELAY_MAIN, RELAY_MASTER, RELAY_FILES };

/* Postfix's own parameters that matter here. */
enum relay_value {
    RELAY_DEFAULT_TRANSPORT,
    RELAY_SENDER_TRANSPORTS,
    RELAY_SENDER_RELAYHOSTS,
    RELAY_TRANSPORT_MAPS,
    RELAY_RELAY_DOMAINS,
    RELAY_SMTPD_MILTERS,
    RELAY_MILTER_ACTION,
    RELAY_MILTER_PROTOCOL,
    RELAY_FILTER_CLASSES,
    RELAY_SENDER_CANONICAL,
    RELAY_SMTP_HEADER_CHECKS,
    RELAY_HEADER_CHECKS,
    RELAY_DESTINATION_DELAY,
    RELAY_TRANSPORT_DELAY,
    RELAY_VALUES,
};

struct relay {
    const char *const *overrides; /* what it was read with; NULL: nothing */
    struct settings *settings;
    char *path[RELAY_FILES];
    struct text text[RELAY_FILES];
    char *value[RELAY_VALUES]; /* expanded */
    struct config config;      /* the same files, as Postfix understands them */
    char **accounts;           /* those of accounts.h, folded, in alphabetical order */
    size_t account_count;
    bool is_direct_send; /* relayhost is a tenant's mail exchanger: accounts are of no use there */
};

/* Reads it, with `overrides` ("name=value", ended by NULL; may be NULL, else must outlive it) in
 * place of what main.cf has. False with the reason; relay_free() releases what is there in both
 * cases. */
bool relay_read(const char *config_directory, const char *const overrides[], struct relay *relay,
                struct error *error);
void relay_free(struct relay *relay);

/* Whether mail may be sent as this one. */
bool relay_has_account(const struct relay *relay, const char *name);

/* Expands `count` texts as main.cf has its parameters, see postconf_expand(). */
bool relay_expand(const struct relay *relay, const char *const expressions[], size_t count,
                  char *values[], struct error *error);

/* Whether main.cf sets a parameter. */
bool relay_sets(const struct relay *relay, const char *name);

#endif
