/* applications.c - which application an account gets its tokens by: names for a remedy */
#include "ctl/oauth2/applications.h"

#include "common/dictionary.h"
#include "common/memory.h"
#include "common/oauth2/registration.h"
#include "common/oauth2/registrations.h"

#include <stdlib.h>

struct applications {
    const struct settings *settings;
    bool is_open;                        /* or was tried */
    struct registrations *registrations; /* NULL: none can be told */
    struct dictionary *by_account;       /* struct application */
    struct dictionary *by_path;          /* struct application_file */
};

/* What an account has. */
struct application {
    char *path; /* NULL: nothing */
};

struct application_file {
    struct registration *registration; /* NULL: it cannot be read */
};

static void release_application(void *value)
{
    struct application *application = value;
    free(application->path);
    free(application);
}

static void release_file(void *value)
{
    struct application_file *file = value;
    registration_free(file->registration);
    free(file);
}

struct applications *applications_new(const struct settings *settings)
{
    struct applications *applications = memory_zero(1, sizeof(*applications));
    applications->settings = settings;
    applications->by_account = dictionary_new(release_application);
    applications->by_path = dictionary_new(release_file);
    return applications;
}

void applications_free(struct applications *applications)
{
    if (applications == NULL)
        return;
    dictionary_free(applications->by_account);
    dictionary_free(applications->by_path);
    registrations_close(applications->registrations);
    free(applications);
}

static const char *find_path(struct applications *applications, const char *account)
{
    struct application *known = dictionary_find(applications->by_account, account);
    if (known != NULL)
        return known->path;
    if (!applications->is_open)
        applications->registrations = registrations_reopen(NULL, applications->settings, NULL);
    applications->is_open = true;
    known = memory_zero(1, sizeof(*known));
    if (applications->registrations == NULL ||
        registrations_find(applications->registrations, account, &known->path, NULL) != TABLE_FOUND)
        known->path = NULL;
    dictionary_put(applications->by_account, account, known);
    return known->path;
}

static const struct registration *find_registration(struct applications *applications,
                                                    const char *path)
{
    struct application_file *known = dictionary_find(applications->by_path, path);
    if (known == NULL) {
        known = memory_zero(1, sizeof(*known));
        known->registration = registration_read(path, NULL, NULL);
        dictionary_put(applications->by_path, path, known);
    }
    return known->registration;
}

static const char *name_of(const char *value)
{
    return value[0] != '\0' ? value : NULL;
}

struct screen_names applications_names(struct applications *applications, const char *account)
{
    struct screen_names names = {.account = name_of(account)};
    if (names.account == NULL || !registrations_in_use(applications->settings))
        return names;
    names.registration = find_path(applications, account);
    const struct registration *registration =
        names.registration != NULL ? find_registration(applications, names.registration) : NULL;
    if (registration != NULL) {
        names.client_id = name_of(registration->client_id);
        names.tenant = name_of(registration->tenant);
    }
    return names;
}
