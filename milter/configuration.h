/* configuration.h - the settings in force, shared by libmilter's threads
 *
 * A message keeps the configuration it began with; a reload puts another in its place. Each is
 * released with its last user.
 */
#ifndef POST365_MILTER_CONFIGURATION_H
#define POST365_MILTER_CONFIGURATION_H

#include "common/error.h"
#include "common/identity.h"
#include "common/sender/sealer.h"
#include "common/settings.h"

struct configuration;

/* Puts settings and identities in force; takes ownership of both. Thread-safe. */
void configuration_install(struct settings *settings, struct identities *identities);

/* What is in force now, to be given back with configuration_release(). Thread-safe. */
struct configuration *configuration_acquire(void);
void configuration_release(struct configuration *configuration);

/* Valid until the configuration is released. */
const struct settings *configuration_settings(const struct configuration *configuration);
struct identities *configuration_identities(const struct configuration *configuration);

/* What the decisions are sealed with: one for the program's life. Set before the first
 * connection. */
void configuration_keep_sealer(struct sealer *sealer);
struct sealer *configuration_sealer(void);

#endif
