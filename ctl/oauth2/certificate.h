/* certificate.h - post365 oauth2 certificate */
#ifndef POST365_CTL_OAUTH2_CERTIFICATE_H
#define POST365_CTL_OAUTH2_CERTIFICATE_H

#include "ctl/command.h"

/* Makes NAME.key and NAME.pem in `directory` (NULL: that of place.h),
 * and says what to do with them. Nothing is overwritten, and after a failure neither is there.
 * Returns the exit status. */
int certificate_make(const struct command_call *call, const char *name, const char *directory);

#endif
