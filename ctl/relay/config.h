/* config.h - main.cf and master.cf, expanded
 *
 * Values are expanded, by postconf(1). What is returned is valid until config_free().
 */
#ifndef POST365_CTL_RELAY_CONFIG_H
#define POST365_CTL_RELAY_CONFIG_H

#include "common/buffer.h"
#include "common/error.h"
#include "common/postconf.h"
#include "common/settings.h"

#include <stdbool.h>
#include <stddef.h>

/* A line of master.cf. */
struct config_service {
    char *id;   /* "smtp/inet" */
    char *name; /* "smtp" */
    char *type; /* "inet" */
    bool is_chrooted;
    long processes; /* at most; 0: no limit; -1: default_process_limit */
    char *command;  /* "smtpd" */
};

/* -o NAME=VALUE of a service. */
struct config_override {
    char *service; /* its id */
    char *name;
    char *value;
};

struct config {
    const struct settings *settings;
    struct postconf postconf;
    char **values; /* see config_value() */
    struct config_service *services;
    size_t service_count;
    struct config_override *overrides;
    size_t override_count;
};

/* `settings`, and `overrides` of the command line, must outlive the result. False with the reason.
 * Release with config_free() in either case. */
bool config_read(struct config *config, const struct settings *settings,
                 const char *const overrides[], struct error *error);
void config_free(struct config *config);

/* The value of a parameter of main.cf that is in config.c's list; never NULL. */
const char *config_value(const struct config *config, const char *name);

/* The value that a service has: of its -o, else of main.cf. */
const char *config_service_value(const struct config *config, const struct config_service *service,
                                 const char *name);

/* Whether that value is of its own -o. */
bool config_overrides(const struct config *config, const struct config_service *service,
                      const char *name);

/* The service of that name and type, or NULL. */
const struct config_service *config_service(const struct config *config, const char *name,
                                            const char *type);

/* Cuts the next piece off a list whose separators, blanks and commas, count only outside braces;
 * NULL at the end. Advances `*list`. */
char *config_next(char **list);

/* Whether two places of sockets, "unix:post365/milter", are the same. */
bool config_same_socket(const struct settings *settings, const char *one, const char *other);

/* Appends the names of post365_ parameters that postconf warns about as unused, with blanks
 * between. False with the reason. */
bool config_unused(const struct config *config, struct buffer *names, struct error *error);

#endif
