/* stamp.h - when did the doctor log in last?
 *
 * Somebody who runs the doctor again and again must not lock an account out at Microsoft's.
 */
#ifndef POST365_CTL_DOCTOR_STAMP_H
#define POST365_CTL_DOCTOR_STAMP_H

#include "common/error.h"

#include <stdbool.h>

#define STAMP_SECONDS 60

/* Whether the account may log in at `server` ("host:port") now; then this moment is kept, unless
 * `error` says why it could not be (its text is "" otherwise). False: the last time was `*seconds`
 * ago, which is less than STAMP_SECONDS. With `force` it may always. Of several doctors at once one
 * may. */
bool stamp_claim(const char *server, const char *account, bool force, int *seconds,
                 struct error *error);

#endif
