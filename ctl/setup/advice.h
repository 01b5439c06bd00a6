/* advice.h - what has to be done beside the two files, and what becomes of mail that waits */
#ifndef POST365_CTL_SETUP_ADVICE_H
#define POST365_CTL_SETUP_ADVICE_H

#include "ctl/setup/relay.h"
#include "ctl/setup/setup.h"
#include "ctl/setup/takeover.h"

#include <stdbool.h>

/* Before something is changed: whether clients would be refused as long as the daemons are down. */
void advice_before(const struct setup_call *call, const struct relay *relay);
/* What comes next. */
void advice_after(const struct setup_call *call, const struct relay *relay,
                  const struct takeover *takeover);

/* What becomes of mail in the queue when post365 comes, or goes. */
void advice_backlog(const struct setup_call *call, const char *queue_directory, bool comes);

#endif
