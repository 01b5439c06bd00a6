/* configuration.c - the settings in force, shared by libmilter's threads */
#include "milter/configuration.h"

#include "common/memory.h"

#include <pthread.h>
#include <stdlib.h>

struct configuration {
    struct settings *settings;
    struct identities *identities;
    unsigned users; /* guarded by lock */
};

/* libmilter's callbacks take no context of ours before a connection has one. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct configuration *in_force;
static struct sealer *the_sealer; /* set while there is one thread */

void configuration_install(struct settings *settings, struct identities *identities)
{
    struct configuration *configuration = memory_zero(1, sizeof(*configuration));
    *configuration = (struct configuration){settings, identities, 1};
    pthread_mutex_lock(&lock);
    struct configuration *old = in_force;
    in_force = configuration;
    pthread_mutex_unlock(&lock);
    configuration_release(old);
}

struct configuration *configuration_acquire(void)
{
    pthread_mutex_lock(&lock);
    struct configuration *configuration = in_force;
    configuration->users++;
    pthread_mutex_unlock(&lock);
    return configuration;
}

void configuration_release(struct configuration *configuration)
{
    if (configuration == NULL)
        return;
    pthread_mutex_lock(&lock);
    bool last = --configuration->users == 0;
    pthread_mutex_unlock(&lock);
    if (!last)
        return;
    identities_close(configuration->identities);
    settings_free(configuration->settings);
    free(configuration);
}

const struct settings *configuration_settings(const struct configuration *configuration)
{
    return configuration->settings;
}

struct identities *configuration_identities(const struct configuration *configuration)
{
    return configuration->identities;
}

void configuration_keep_sealer(struct sealer *sealer)
{
    the_sealer = sealer;
}

struct sealer *configuration_sealer(void)
{
    return the_sealer;
}
