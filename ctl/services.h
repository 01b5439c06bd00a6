/* services.h - do the programs that mail goes through answer?
 *
 * Those that main.cf names: the milter in smtpd_milters or non_smtpd_milters, the transport in
 * default_transport, sender_dependent_default_transport_maps or transport_maps. Where one does
 * not listen Postfix puts mail off, or lets it past a milter whose default_action is accept.
 */
#ifndef POST365_CTL_SERVICES_H
#define POST365_CTL_SERVICES_H

#include "common/settings.h"

enum service_name { SERVICE_MILTER, SERVICE_TRANSPORT, SERVICES };

struct service_state {
    const char *program;     /* "post365-milter" */
    const char *where;       /* the value of its parameter, as in `settings` */
    const char *consequence; /* of not being there */
    int reason;              /* errno; 0: it answers, is not asked for, or that cannot be told */
};

/* Connects to each, for two seconds at most. */
void services_look(const struct settings *settings, struct service_state states[SERVICES]);

#endif
