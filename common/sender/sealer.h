/* sealer.h - the key of handover.h, which milter and transport share
 *
 * A file of 32 random octets, `handover.key` in the ledger's directory, which nobody but
 * post365_user (and root) can look into. Whoever of the two comes first makes it; it stays there,
 * since mail may wait for days. One that was put in its place is read when it is met.
 *
 * Mail is never refused for want of a key: without one nothing is sealed and no seal is known,
 * which is logged once, with the remedy, and tried again. Thread-safe.
 */
#ifndef POST365_COMMON_SENDER_SEALER_H
#define POST365_COMMON_SENDER_SEALER_H

#include "common/sender/handover.h"
#include "common/settings.h"

#include <stdbool.h>

struct sealer;

/* Makes the ledger's directory where it is missing and the caller, root, may. To be called before
 * privileges are dropped; what fails shows when the key is made. */
void sealer_prepare(const struct settings *settings);

/* As the final user. Never NULL. Release with sealer_free(). */
struct sealer *sealer_new(const struct settings *settings);
void sealer_free(struct sealer *sealer);

/* Reads or makes the key now, rather than with the first message, so that what is wrong shows. */
void sealer_look(struct sealer *sealer);

/* handover_seal(). False without a key; then nothing is appended. */
bool sealer_seal(struct sealer *sealer, struct buffer *xtext, const struct handover *decision);

/* handover_open(). */
bool sealer_open(struct sealer *sealer, const char *xtext, struct handover *decision);

#endif
