/* service.h - a line of master.cf as it is written
 *
 * postconf(1) takes `-oname=value` apart at each `o` of the name; the daemons do not, and so
 * neither does this. Source: master(5).
 */
#ifndef POST365_CTL_RELAY_SERVICE_H
#define POST365_CTL_RELAY_SERVICE_H

#include "ctl/relay/text.h"

#include <stdbool.h>
#include <stddef.h>

enum service_field {
    SERVICE_NAME,
    SERVICE_TYPE,
    SERVICE_PRIVATE,
    SERVICE_UNPRIVILEGED,
    SERVICE_CHROOT,
    SERVICE_WAKEUP,
    SERVICE_PROCESSES,
    SERVICE_COMMAND,
    SERVICE_FIELDS,
};

/* "-o name=value", "-o { name = value }", "-oname=value". */
struct service_option {
    char *name;
    char *value;                 /* with $name in it */
    struct text_span value_span; /* where it stands */
    size_t attached_at;          /* where the name begins right behind "-o"; 0: it does not */
};

struct service {
    char *field[SERVICE_FIELDS];
    struct service_option *options; /* of one name the last counts */
    size_t option_count;
};

/* False where the line has not all fields. Release with service_free() in both cases. */
bool service_read(const struct text *text, const struct text_entry *entry, struct service *service);
void service_free(struct service *service);

/* The option of that name that counts; NULL: there is none. */
const struct service_option *service_option(const struct service *service, const char *name);

#endif
