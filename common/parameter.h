/* parameter.h - the table of post365_ parameters: names, types, defaults, meanings
 *
 * For settings.c and what documents it; everybody else reads struct settings.
 */
#ifndef POST365_COMMON_PARAMETER_H
#define POST365_COMMON_PARAMETER_H

#include "common/error.h"
#include "common/settings.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define PARAMETER_PREFIX "post365_"

enum parameter_type {
    /* kept as strings */
    PARAMETER_TEXT, /* not empty */
    PARAMETER_UPN,  /* an address, or empty */
    PARAMETER_PATH, /* or empty */
    PARAMETER_TABLES,
    PARAMETER_PASSWORD_TABLES,
    PARAMETER_DIRECTORY, /* an absolute path */
    PARAMETER_SOCKET,
    PARAMETER_LISTEN,       /* address:port, or empty */
    PARAMETER_PROXY,        /* http://host:port, or empty */
    PARAMETER_LOCAL_SOCKET, /* unix: alone */
    /* kept as what they mean */
    PARAMETER_BOOLEAN,
    PARAMETER_COUNT, /* from 1 */
    PARAMETER_RATE,
    PARAMETER_PERIOD,
    PARAMETER_REPLY_TO,
    PARAMETER_METER,
};

struct parameter {
    enum parameter_type type;
    const char *name;    /* with post365_ */
    size_t offset;       /* of its field in struct settings */
    const char *initial; /* the default, as it could stand in main.cf */
    const char *meaning;
};

/* How many there are; parameter_at() takes 0 up to that. */
size_t parameter_count(void);
const struct parameter *parameter_at(size_t index);

/* Whether Postfix itself defines a name that begins with post365_, for a transport called post365
 * (postconf(5), transport_*). */
bool parameter_is_of_transport(const char *name);

/* The parameter whose name differs least from a misspelt one, or NULL if none is close. */
const struct parameter *parameter_closest(const char *name);

/* Parses an expanded value into its field, which holds nothing yet. $queue_directory must be in
 * `settings`. False with what to write instead; the caller names file, parameter and value. */
bool parameter_parse(const struct parameter *parameter, const char *value,
                     struct settings *settings, struct error *error);

/* Prints the value in main.cf's form, without a line end and without passwords. */
void parameter_print(const struct parameter *parameter, const struct settings *settings,
                     FILE *stream);

/* Releases what parameter_parse() allocated for the field. */
void parameter_free(const struct parameter *parameter, struct settings *settings);

#endif
