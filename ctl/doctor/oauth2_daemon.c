/* oauth2_daemon.c - does post365-tokend answer, and whom? */
#include "common/clock.h"
#include "common/memory.h"
#include "common/oauth2/token_socket.h"
#include "ctl/doctor/as_user.h"
#include "ctl/doctor/oauth2.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- who gets to the socket --------------------------------------------------------------------
 */

static const char *owner_of(struct report *report, const struct stat *status)
{
    const struct passwd *user = getpwuid(status->st_uid);
    const struct group *group = getgrgid(status->st_gid);
    return report_format(report, "%s:%s, mode %04o", user != NULL ? user->pw_name : "nobody known",
                         group != NULL ? group->gr_name : "nobody known",
                         (unsigned)status->st_mode & 07777);
}

/* That the transport's account gets there. */
static void report_transport(struct doctor *doctor, const struct socket_place *place,
                             const char *access)
{
    struct report *report = &doctor->report;
    const struct settings *settings = doctor->settings;
    struct error error;
    bool is_reached = as_user_connect(settings->user, place->path, &error);
    report_finding(
        report,
        &(struct finding){
            .check = "oauth2-socket",
            .verdict = geteuid() != 0 ? VERDICT_UNTRIED
                       : is_reached   ? VERDICT_OK
                                      : VERDICT_WRONG,
            .tried = report_format(report, TOKENS_PARAMETER ", as user %s", settings->user),
            .seen = geteuid() != 0 ? "only root may try it as another user"
                    : is_reached
                        ? report_format(report, "%s; its directory is of %s", place->path, access)
                        : report_format(report, "%s: %s; its directory is of %s", place->path,
                                        error.text, access),
            .meaning = "The transport gets no tokens: mail waits.",
            .remedy = report_format(report,
                                    "`systemctl status post365-tokend` tells whether it runs, and "
                                    "why not. Its directory is %s's, of the group of %s, mode "
                                    "2750: `systemd-tmpfiles --create` makes it so.",
                                    settings->oauth2_user, settings->user)});
}

/* And that others do not get even there. */
static void check_socket(struct doctor *doctor, const struct socket_place *place)
{
    struct report *report = &doctor->report;
    char directory[sizeof(place->path)];
    struct stat status;
    snprintf(directory, sizeof(directory), "%.*s", (int)(strrchr(place->path, '/') - place->path),
             place->path);
    bool is_there = stat(directory, &status) == 0;
    char *access = memory_copy(is_there ? owner_of(report, &status) : strerror(errno));
    report_transport(doctor, place, access);
    if (is_there && (status.st_mode & S_IRWXO) != 0)
        report_finding(
            report, &(struct finding){.check = "oauth2-socket",
                                      .verdict = VERDICT_WARNING,
                                      .tried = report_format(report, "who gets to %s", directory),
                                      .seen = access,
                                      .meaning = "Users of this host who have no business there "
                                                 "get as far as the socket; what they ask for "
                                                 "is refused.",
                                      .remedy = report_format(report, "`chmod o= %s`", directory)});
    free(access);
}

/* --- whether somebody is there ------------------------------------------------------------------
 */

static bool note_known(void *context, const char *path)
{
    struct oauth2 *oauth2 = context;
    for (size_t i = 0; i < oauth2->registration_count; i++)
        if (strcmp(oauth2->registrations[i].path, path) == 0)
            oauth2->registrations[i].is_known = true;
    return true;
}

static void report_daemon(struct doctor *doctor, const struct error *error)
{
    struct report *report = &doctor->report;
    const struct oauth2 *oauth2 = doctor->oauth2;
    const struct entra_row *row = entra_named(ENTRA_DAEMON_DOWN);
    bool is_fine = oauth2->client != NULL;
    bool may_not = !is_fine && geteuid() != 0 && strcasestr(error->text, strerror(EACCES)) != NULL;
    report_finding(
        report, &(struct finding){.check = "oauth2-daemon",
                                  .verdict = is_fine   ? VERDICT_OK
                                             : may_not ? VERDICT_UNTRIED
                                                       : VERDICT_WRONG,
                                  .tried = "post365-tokend",
                                  .seen = is_fine ? report_format(report, "answers") : error->text,
                                  .meaning = row->meaning,
                                  .remedy = row->remedy});
}

/* A registration that the settings name now, and tokend has not read. */
static void report_unknown(struct doctor *doctor, const struct oauth2_registration *registration)
{
    report_finding(&doctor->report,
                   &(struct finding){.check = "oauth2-daemon",
                                     .verdict = VERDICT_WRONG,
                                     .names = &registration->names,
                                     .tried = "post365-tokend and <registration>",
                                     .seen = "it does not know of it",
                                     .meaning = "It has other settings than these.",
                                     .remedy = "`systemctl reload post365-tokend`; if it still "
                                               "does not know it then, the log says why: "
                                               "`journalctl -u post365-tokend`."});
}

void doctor_check_token_daemon(struct doctor *doctor)
{
    struct oauth2 *oauth2 = doctor->oauth2;
    struct socket_place place;
    struct error error;
    if (!token_socket_find(doctor->settings, &place, &error)) {
        report_daemon(doctor, &error);
        return;
    }
    check_socket(doctor, &place);
    oauth2->client = token_client_open(doctor->settings, doctor_token_patience(doctor), &error);
    if (oauth2->client != NULL &&
        !token_client_registrations(oauth2->client, note_known, oauth2, &error)) {
        token_client_close(oauth2->client);
        oauth2->client = NULL;
    }
    report_daemon(doctor, &error);
    for (size_t i = 0; oauth2->client != NULL && i < oauth2->registration_count; i++)
        if (!oauth2->registrations[i].is_known && oauth2->registrations[i].file != NULL)
            report_unknown(doctor, &oauth2->registrations[i]);
}
