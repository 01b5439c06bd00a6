/* oauth2.c - which accounts log in with OAuth2, and by which registration */
#include "ctl/doctor/oauth2.h"

#include "common/clock.h"
#include "common/memory.h"

#include <stdlib.h>
#include <string.h>

/* --- who has what ------------------------------------------------------------------------- */

static size_t place_of_registration(struct oauth2 *oauth2, const char *path)
{
    for (size_t i = 0; i < oauth2->registration_count; i++)
        if (strcmp(oauth2->registrations[i].path, path) == 0)
            return i;
    size_t place = oauth2->registration_count++;
    oauth2->registrations =
        memory_grow(oauth2->registrations, (place + 1) * sizeof(oauth2->registrations[0]));
    oauth2->registrations[place] = (struct oauth2_registration){.path = memory_copy(path)};
    struct oauth2_registration *made = &oauth2->registrations[place];
    struct error error; /* told by doctor_check_registrations() */
    made->file = registration_read(path, NULL, &error);
    made->names.registration = made->path;
    if (made->file != NULL) {
        made->names.client_id = made->file->client_id;
        made->names.tenant = made->file->tenant;
    }
    return place;
}

static size_t place_of_subject(struct oauth2 *oauth2, size_t registration, const char *upn)
{
    const struct registration *file = oauth2->registrations[registration].file;
    const char *account = file != NULL && file->grant == REGISTRATION_USER ? upn : NULL;
    for (size_t i = 0; i < oauth2->subject_count; i++) {
        const struct oauth2_subject *subject = &oauth2->subjects[i];
        if (subject->registration == registration && (account == NULL || subject->account == upn))
            return i;
    }
    size_t place = oauth2->subject_count++;
    oauth2->subjects = memory_grow(oauth2->subjects, (place + 1) * sizeof(oauth2->subjects[0]));
    oauth2->subjects[place] =
        (struct oauth2_subject){.registration = registration, .account = account};
    return place;
}

static void add_account(struct oauth2 *oauth2, const char *upn, const char *path)
{
    size_t registration = place_of_registration(oauth2, path);
    size_t place = oauth2->account_count++;
    oauth2->accounts = memory_grow(oauth2->accounts, (place + 1) * sizeof(oauth2->accounts[0]));
    oauth2->accounts[place] =
        (struct oauth2_account){.upn = upn, .subject = place_of_subject(oauth2, registration, upn)};
}

struct oauth2_account *doctor_oauth2_account(const struct doctor *doctor, const char *upn)
{
    struct oauth2 *oauth2 = doctor->oauth2;
    for (size_t i = 0; oauth2 != NULL && i < oauth2->account_count; i++)
        if (strcmp(oauth2->accounts[i].upn, upn) == 0)
            return &oauth2->accounts[i];
    return NULL;
}

void doctor_free_oauth2(struct doctor *doctor)
{
    struct oauth2 *oauth2 = doctor->oauth2;
    if (oauth2 == NULL)
        return;
    for (size_t i = 0; i < oauth2->registration_count; i++) {
        registration_free(oauth2->registrations[i].file);
        free(oauth2->registrations[i].path);
    }
    free(oauth2->registrations);
    free(oauth2->subjects);
    free(oauth2->accounts);
    token_client_close(oauth2->client);
    free(oauth2);
    doctor->oauth2 = NULL;
}

void doctor_find_oauth2(struct doctor *doctor, struct credentials *credentials)
{
    if (credentials == NULL || !credentials_use_oauth2(credentials))
        return;
    doctor->oauth2 = memory_zero(1, sizeof(*doctor->oauth2));
    for (size_t i = 0; i < doctor->account_count; i++) {
        struct credential credential;
        struct error error; /* told by doctor_check_credentials() */
        if (credentials_find(credentials, doctor->accounts[i], &credential, &error) ==
                TABLE_FOUND &&
            credential.registration != NULL)
            add_account(doctor->oauth2, doctor->accounts[i], credential.registration);
        credential_release(&credential);
    }
}

/* --- what is told ------------------------------------------------------------------------- */

int64_t doctor_token_patience(const struct doctor *doctor)
{
    /* A request to a proxy, and one more where the first is answered with a new key. */
    return 2 * doctor->settings->oauth2_timeout + 10 * CLOCK_SECOND;
}

void doctor_report_cause(struct doctor *doctor, const struct oauth2_registration *registration,
                         const char *account, const char *check, enum verdict verdict,
                         const char *tried, const char *seen, const struct entra_row *row)
{
    report_finding(&doctor->report, &(struct finding){.check = check,
                                                      .verdict = verdict,
                                                      .account = account,
                                                      .names = &registration->names,
                                                      .tried = tried,
                                                      .seen = seen,
                                                      .meaning = row != NULL ? row->meaning : NULL,
                                                      .remedy = row != NULL ? row->remedy : NULL});
}

void doctor_check_oauth2(struct doctor *doctor)
{
    if (doctor->oauth2 == NULL || doctor->oauth2->account_count == 0)
        return;
    doctor_check_registrations(doctor);
    doctor_check_token_daemon(doctor);
    doctor_check_tokens(doctor);
}
