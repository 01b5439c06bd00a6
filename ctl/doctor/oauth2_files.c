/* oauth2_files.c - registration files, and the files with secrets and keys that they name
 *
 * post365-tokend's account has to read them and nobody else may. As root the doctor looks into
 * them, since a key that is not the certificate's and a secret's id in place of its value are
 * better found here than by an answer of Microsoft's; nothing of it is shown.
 */
#include "common/clock.h"
#include "common/guid.h"
#include "common/memory.h"
#include "common/oauth2/key_pair.h"
#include "ctl/doctor/as_user.h"
#include "ctl/doctor/oauth2.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define CONTENT_MAX ((size_t)16 * 1024) /* bytes */
#define DAY         ((int64_t)86400)    /* seconds */

/* Where systemd puts what LoadCredential= names, while the unit runs. */
#define CREDENTIALS "/run/credentials/post365-tokend.service"

/* A file that a registration names. */
struct named_file {
    const char *check; /* "oauth2-secret" */
    const char *what;  /* "client secret" */
    const char *name;  /* "client_secret_file" */
    const char *written;
    bool is_secret;
    bool may_be_link; /* as Kubernetes has them */
    char *path;       /* NULL: not known */
};

/* What is found of it. */
struct look {
    enum verdict verdict;
    const char *cause; /* an entra_row's name, where the verdict is not ok */
    const char *seen;
};

static struct look wrong(const char *cause, const char *seen)
{
    return (struct look){VERDICT_WRONG, cause, seen};
}

static struct look untried(const char *seen)
{
    return (struct look){VERDICT_UNTRIED, NULL, seen};
}

static const char *name_of(struct report *report, uid_t user)
{
    const struct passwd *entry = getpwuid(user);
    return entry != NULL ? report_format(report, "%s", entry->pw_name)
                         : report_format(report, "user %u", (unsigned)user);
}

static const char *date_of(struct report *report, int64_t time)
{
    char text[32];
    struct tm parts;
    time_t seconds = (time_t)time;
    if (gmtime_r(&seconds, &parts) == NULL || strftime(text, sizeof(text), "%Y-%m-%d", &parts) == 0)
        return "at an unknown time";
    return report_format(report, "%s", text);
}

/* --- who may read and write ------------------------------------------------------------------ */

/* Whether post365-tokend may read it. Who is not root cannot know. */
static bool may_be_read(const struct doctor *doctor, const char *path, struct error *error)
{
    return geteuid() != 0 || as_user_read(doctor->settings->oauth2_user, path, error);
}

/* Root's, or post365-tokend's own: whoever has it otherwise can put something else there. */
static bool has_owner(const struct doctor *doctor, const struct stat *status)
{
    const struct passwd *own = getpwnam(doctor->settings->oauth2_user);
    return status->st_uid == 0 || status->st_uid == geteuid() ||
           (own != NULL && status->st_uid == own->pw_uid);
}

static const char *access_of(struct report *report, const char *path, const struct stat *status)
{
    return report_format(report, "%s, of %s, mode %04o", path, name_of(report, status->st_uid),
                         (unsigned)status->st_mode & 07777);
}

/* The rules of tokend/secret_file.c, and whether its account gets there. */
static struct look look_at_access(struct doctor *doctor, const struct named_file *file)
{
    struct report *report = &doctor->report;
    struct stat status;
    struct error error;
    if ((file->may_be_link ? stat : lstat)(file->path, &status) != 0)
        return errno == EACCES
                   ? untried("only root may look there")
                   : wrong(ENTRA_SECRET_FILE_MISSING,
                           report_format(report, "%s: %s", file->path, strerror(errno)));
    const char *seen = access_of(report, file->path, &status);
    if (S_ISLNK(status.st_mode))
        return wrong(ENTRA_SECRET_FILE_WRONG,
                     report_format(report, "%s is a symbolic link", file->path));
    if (!S_ISREG(status.st_mode))
        return wrong(ENTRA_SECRET_FILE_WRONG,
                     report_format(report, "%s is no regular file", file->path));
    if (file->is_secret && (status.st_mode & (S_IRWXO | S_IWGRP)) != 0)
        return wrong(ENTRA_SECRET_FILE_OPEN, seen);
    if (geteuid() != 0 && access(file->path, R_OK) != 0)
        return untried("only root may look into it");
    if (!may_be_read(doctor, file->path, &error))
        return wrong(ENTRA_SECRET_FILE_UNREADABLE,
                     report_format(report, "%s; %s may not read it: %s", seen,
                                   doctor->settings->oauth2_user, error.text));
    if (file->is_secret && !has_owner(doctor, &status))
        return wrong(ENTRA_SECRET_FILE_OPEN, seen);
    return (struct look){VERDICT_OK, NULL, seen};
}

/* --- what is in them ------------------------------------------------------------------------- */

/* Up to CONTENT_MAX bytes; NULL if it may not be read. Never a wait for whoever writes a pipe. */
static struct secret *read_content(const char *path)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (descriptor < 0)
        return NULL;
    struct secret *content = secret_new(CONTENT_MAX);
    ssize_t got = secret_read(content, descriptor);
    close(descriptor);
    if (got >= 0)
        return content;
    secret_free(content);
    return NULL;
}

/* Without the blanks and line ends around it. */
static void trim(struct secret *content)
{
    const char *text = secret_reveal(content);
    size_t start = 0, length = secret_length(content);
    while (length > 0 && strchr(" \t\r\n", text[length - 1]) != NULL)
        length--;
    while (start < length && strchr(" \t\r\n", text[start]) != NULL)
        start++;
    secret_trim(content, start, length - start);
}

static struct look look_at_secret(struct doctor *doctor, const struct named_file *file)
{
    struct report *report = &doctor->report;
    struct look look = look_at_access(doctor, file);
    struct secret *content = look.verdict == VERDICT_OK ? read_content(file->path) : NULL;
    if (content == NULL)
        return look;
    trim(content);
    if (secret_length(content) == 0)
        look = wrong(ENTRA_SECRET_FILE_WRONG, report_format(report, "%s is empty", file->path));
    else if (strpbrk(secret_reveal(content), "\r\n") != NULL)
        look = wrong(ENTRA_SECRET_FILE_WRONG,
                     report_format(report, "%s has more than one line", file->path));
    else if (guid_is(secret_reveal(content), secret_length(content)))
        look =
            wrong("secret-wrong",
                  report_format(report,
                                "what stands in %s has the form of a secret's ID, not of its value",
                                file->path));
    secret_free(content);
    return look;
}

/* --- when it ends ---------------------------------------------------------------------------- */

/* A word on the end of a credential. */
static struct look look_at_end(struct doctor *doctor, const char *what, int64_t ends,
                               const char *cause)
{
    struct report *report = &doctor->report;
    int64_t left = ends - (int64_t)time(NULL);
    int64_t warn = doctor->settings->oauth2_warn_time / CLOCK_SECOND;
    const char *day = date_of(report, ends);
    if (left <= 0)
        return wrong(cause, report_format(report, "%s ended on %s", what, day));
    if (left < warn)
        return (struct look){VERDICT_WARNING, cause,
                             report_format(report, "%s ends on %s, in %lld day%s", what, day,
                                           (long long)(left / DAY), left / DAY == 1 ? "" : "s")};
    return (struct look){VERDICT_OK, NULL, report_format(report, "%s is good until %s", what, day)};
}

static void report_declared_end(struct doctor *doctor,
                                const struct oauth2_registration *registration)
{
    static const char tried[] = "end of the client secret (client_secret_expires)";
    int64_t ends = registration->file->client_secret_expires;
    if (ends == 0) {
        report_finding(&doctor->report,
                       &(struct finding){.check = "oauth2-secret-end",
                                         .verdict = VERDICT_NOTE,
                                         .names = &registration->names,
                                         .tried = tried,
                                         .seen = "not said",
                                         .meaning = "Nobody can warn before the secret ends: "
                                                    "Microsoft tells it to nobody who uses it.",
                                         .remedy = "Write the day that the Microsoft Entra admin "
                                                   "centre shows beside it (Certificates & "
                                                   "secrets, Expires) into <registration>: "
                                                   "`client_secret_expires = 2028-11-01`."});
        return;
    }
    struct look look = look_at_end(doctor, "the secret", ends, "secret-expired");
    /* Whether it has ended Microsoft knows; the line may be older than the secret. */
    if (look.verdict == VERDICT_WRONG)
        look.verdict = VERDICT_WARNING;
    doctor_report_cause(doctor, registration, NULL, "oauth2-secret-end", look.verdict, tried,
                        look.seen, look.cause != NULL ? entra_named(look.cause) : NULL);
}

/* --- certificate and key --------------------------------------------------------------------- */

static struct look look_at_certificate(struct doctor *doctor, const struct named_file *file)
{
    struct report *report = &doctor->report;
    const struct entra_row *row = NULL;
    struct error error;
    char sha1[KEY_PAIR_THUMBPRINT_SIZE], sha256[KEY_PAIR_THUMBPRINT_SIZE];
    struct look look = look_at_access(doctor, file);
    struct secret *content = look.verdict == VERDICT_OK ? read_content(file->path) : NULL;
    if (content == NULL)
        return look;
    struct key_pair *pair =
        key_pair_new(secret_reveal(content), secret_length(content), NULL, &row, &error);
    secret_free(content);
    if (pair == NULL)
        return wrong(row != NULL ? row->name : ENTRA_CERTIFICATE_WRONG,
                     report_format(report, "%s: %s", file->path, error.text));
    key_pair_thumbprints(pair, sha1, sha256);
    look = key_pair_begins(pair) > (int64_t)time(NULL)
               ? wrong(ENTRA_CERTIFICATE_EXPIRED,
                       report_format(report, "it is not valid before %s",
                                     date_of(report, key_pair_begins(pair))))
               : look_at_end(doctor, "it", key_pair_ends(pair), ENTRA_CERTIFICATE_EXPIRED);
    look.seen = report_format(report, "%s, %s, thumbprint %s", file->path, look.seen, sha1);
    key_pair_free(pair);
    return look;
}

/* Whether it is the certificate's. */
static struct look look_at_key(struct doctor *doctor, const struct named_file *file,
                               const struct named_file *certificate)
{
    const struct entra_row *row = NULL;
    struct error error;
    struct look look = look_at_access(doctor, file);
    if (look.verdict != VERDICT_OK || certificate->path == NULL)
        return look;
    struct secret *public = read_content(certificate->path), *key = read_content(file->path);
    if (public != NULL && key != NULL) {
        struct key_pair *pair =
            key_pair_new(secret_reveal(public), secret_length(public), key, &row, &error);
        if (pair == NULL)
            look = wrong(row != NULL ? row->name : ENTRA_KEY_MISMATCH,
                         report_format(&doctor->report, "%s: %s", file->path, error.text));
        else
            look.seen = report_format(&doctor->report, "%s; it is the certificate's", look.seen);
        key_pair_free(pair);
    }
    secret_free(public);
    secret_free(key);
    return look;
}

/* --- the files of a registration -------------------------------------------------------------- */

static void report_look(struct doctor *doctor, const struct oauth2_registration *registration,
                        const struct named_file *file, struct look look)
{
    doctor_report_cause(doctor, registration, NULL, file->check, look.verdict,
                        report_format(&doctor->report, "%s (%s)", file->what, file->name),
                        look.seen, look.cause != NULL ? entra_named(look.cause) : NULL);
}

/* False, and it is said, where it cannot be looked at. */
static bool find_file(struct doctor *doctor, const struct oauth2_registration *registration,
                      struct named_file *file)
{
    struct error error;
    bool is_credential =
        strncmp(file->written, REGISTRATION_CREDENTIAL, strlen(REGISTRATION_CREDENTIAL)) == 0;
    file->path = registration_file(file->written, CREDENTIALS, &error);
    if (file->path != NULL && (!is_credential || access(file->path, F_OK) == 0))
        return true;
    report_look(doctor, registration, file,
                untried(file->path == NULL
                            ? error.text
                            : "a credential of systemd's, which is there for root to "
                              "see while post365-tokend runs"));
    free(file->path);
    file->path = NULL;
    return false;
}

static void check_pair(struct doctor *doctor, const struct oauth2_registration *registration)
{
    const struct registration *read = registration->file;
    struct named_file certificate = {.check = "oauth2-certificate",
                                     .what = "certificate",
                                     .name = "certificate_file",
                                     .written = read->certificate_file,
                                     .may_be_link = true};
    struct named_file key = {.check = "oauth2-key",
                             .what = "private key",
                             .name = "key_file",
                             .written = read->key_file,
                             .is_secret = true};
    if (find_file(doctor, registration, &certificate))
        report_look(doctor, registration, &certificate, look_at_certificate(doctor, &certificate));
    if (find_file(doctor, registration, &key))
        report_look(doctor, registration, &key, look_at_key(doctor, &key, &certificate));
    free(certificate.path);
    free(key.path);
}

static void check_secret(struct doctor *doctor, const struct oauth2_registration *registration)
{
    struct named_file secret = {.check = "oauth2-secret",
                                .what = "client secret",
                                .name = "client_secret_file",
                                .written = registration->file->client_secret_file,
                                .is_secret = true};
    if (find_file(doctor, registration, &secret))
        report_look(doctor, registration, &secret, look_at_secret(doctor, &secret));
    free(secret.path);
    report_declared_end(doctor, registration);
}

static void check_federated(struct doctor *doctor, const struct oauth2_registration *registration)
{
    struct named_file token = {.check = "oauth2-federated-token",
                               .what = "foreign token",
                               .name = "federated_token_file",
                               .written = registration->file->federated_token_file,
                               .is_secret = true,
                               .may_be_link = true};
    if (find_file(doctor, registration, &token))
        report_look(doctor, registration, &token, look_at_access(doctor, &token));
    free(token.path);
}

/* --- the registration itself ------------------------------------------------------------------ */

/* That every user may write it, no program takes. */
static void warn_of_writers(struct doctor *doctor, const struct oauth2_registration *registration)
{
    struct report *report = &doctor->report;
    struct stat status;
    if (stat(registration->path, &status) != 0 ||
        ((status.st_mode & S_IWGRP) == 0 && has_owner(doctor, &status)))
        return;
    report_finding(report,
                   &(struct finding){.check = "oauth2-registration",
                                     .verdict = VERDICT_WARNING,
                                     .names = &registration->names,
                                     .tried = "who may write <registration>",
                                     .seen = access_of(report, registration->path, &status),
                                     .meaning = "Whoever may write it can name another authority, "
                                                "to which secrets are sent then.",
                                     .remedy = "`chown root: <registration>`, `chmod 644 "
                                               "<registration>`."});
}

static void report_registration(struct doctor *doctor,
                                const struct oauth2_registration *registration)
{
    static const char *const credentials[] = {
        [REGISTRATION_NONE] = "logins by device code",
        [REGISTRATION_SECRET] = "a client secret",
        [REGISTRATION_CERTIFICATE] = "a certificate",
        [REGISTRATION_FEDERATED] = "a federated credential",
        [REGISTRATION_MANAGED_VM] = "the managed identity of this virtual machine",
        [REGISTRATION_MANAGED_ARC] = "the managed identity of Azure Arc",
    };
    struct report *report = &doctor->report;
    const struct registration *file = registration->file;
    struct error error;
    struct look look = {VERDICT_OK, NULL,
                        report_format(report, "tenant %s, application %s, cloud %s, %s",
                                      file->tenant, file->client_id, file->cloud->name,
                                      credentials[file->credential])};
    if (!may_be_read(doctor, registration->path, &error))
        look = wrong(ENTRA_REGISTRATION_MISSING,
                     report_format(report, "%s may not read it: %s", doctor->settings->oauth2_user,
                                   error.text));
    doctor_report_cause(doctor, registration, NULL, "oauth2-registration", look.verdict,
                        report_format(report, "registration %s", registration->path), look.seen,
                        look.cause != NULL ? entra_named(look.cause) : NULL);
}

static void check_registration(struct doctor *doctor,
                               const struct oauth2_registration *registration)
{
    const struct entra_row *row = NULL;
    struct error error;
    if (registration->file == NULL) {
        registration_free(registration_read(registration->path, &row, &error));
        doctor_report_cause(doctor, registration, NULL, "oauth2-registration", VERDICT_WRONG,
                            report_format(&doctor->report, "registration %s", registration->path),
                            error.text, row != NULL ? row : entra_named(ENTRA_REGISTRATION_WRONG));
        return;
    }
    report_registration(doctor, registration);
    warn_of_writers(doctor, registration);
    if (registration->file->credential == REGISTRATION_SECRET)
        check_secret(doctor, registration);
    else if (registration->file->credential == REGISTRATION_CERTIFICATE)
        check_pair(doctor, registration);
    else if (registration->file->credential == REGISTRATION_FEDERATED)
        check_federated(doctor, registration);
}

void doctor_check_registrations(struct doctor *doctor)
{
    for (size_t i = 0; i < doctor->oauth2->registration_count; i++)
        check_registration(doctor, &doctor->oauth2->registrations[i]);
}
