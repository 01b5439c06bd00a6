/* tables.c - are the files of lookup tables as they should be?
 *
 * An index (hash:, btree:, lmdb:) that is older than its source is what Postfix reads all the same.
 * Sources: DATABASE_README, postmap(1).
 */
#include "common/memory.h"
#include "common/table.h"
#include "common/user.h"
#include "ctl/doctor/doctor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Splits "proxy:hash:/etc/postfix/x"; false for what has no file of its own. */
static bool split(const char *table, char *type, size_t size, const char **path)
{
    if (strncmp(table, "proxy:", 6) == 0)
        table += 6;
    size_t length = strcspn(table, ":");
    if (table[length] == '\0' || table[length + 1] != '/' || length >= size)
        return false;
    memcpy(type, table, length);
    type[length] = '\0';
    *path = table + length + 1;
    return true;
}

/* The suffix of an index, NULL for tables that Postfix reads as they are written. */
static const char *suffix_of(const char *type)
{
    if (strcmp(type, "hash") == 0 || strcmp(type, "btree") == 0)
        return ".db";
    return strcmp(type, "lmdb") == 0 ? ".lmdb" : NULL;
}

static bool is_newer(const struct timespec *one, const struct timespec *other)
{
    return one->tv_sec != other->tv_sec ? one->tv_sec > other->tv_sec
                                        : one->tv_nsec > other->tv_nsec;
}

static void report_index(struct doctor *doctor, const char *parameter, const char *type,
                         const char *path, const char *seen, const char *meaning)
{
    struct report *report = &doctor->report;
    report_finding(report,
                   &(struct finding){
                       .check = "index",
                       .verdict = meaning != NULL ? VERDICT_WRONG : VERDICT_OK,
                       .tried = report_format(report, "index of %s:%s (%s)", type, path, parameter),
                       .seen = seen,
                       .meaning = meaning,
                       .remedy = report_format(report, "`postmap %s:%s`", type, path)});
}

static void check_index(struct doctor *doctor, const char *parameter, const char *type,
                        const char *path)
{
    const char *suffix = suffix_of(type);
    struct stat source, index;
    if (suffix == NULL)
        return;
    const char *name = report_format(&doctor->report, "%s%s", path, suffix);
    if (stat(name, &index) != 0)
        report_index(doctor, parameter, type, path, strerror(errno),
                     "Without its index nobody can read the table.");
    else if (stat(path, &source) == 0 && is_newer(&source.st_mtim, &index.st_mtim))
        report_index(doctor, parameter, type, path, "older than its source",
                     "What was changed in the table since then is not seen by anybody.");
    else
        report_index(doctor, parameter, type, path, "as new as its source", NULL);
}

/* The group of post365_user is for who may ask post365-policyd, such as a monitoring agent. */
static bool is_open_to_askers(const struct doctor *doctor, const struct stat *status)
{
    struct user user;
    return (status->st_mode & S_IRGRP) != 0 && user_find(doctor->settings, &user, NULL) &&
           user.group == status->st_gid;
}

/* A file with passwords or a token that others may read than those who need it. */
static void check_mode(struct doctor *doctor, const char *path, const char *owner)
{
    struct report *report = &doctor->report;
    struct stat status;
    if (stat(path, &status) != 0)
        return;
    bool is_open = (status.st_mode & S_IROTH) != 0;
    if (!is_open && is_open_to_askers(doctor, &status)) {
        report_finding(
            report,
            &(struct finding){
                .check = "password-file",
                .verdict = VERDICT_WARNING,
                .tried = report_format(report, "who may read %s", path),
                .seen = report_format(report, "mode %04o, the group of post365_user",
                                      (unsigned)status.st_mode & 07777),
                .meaning = "Who may ask post365-policyd (`post365 status`), such as monitoring, "
                           "may read it, too.",
                .remedy =
                    report_format(report, "`chown %s: %s; chmod 600 %s`.", owner, path, path)});
        return;
    }
    report_finding(report,
                   &(struct finding){
                       .check = "password-file",
                       .verdict = is_open ? VERDICT_WRONG : VERDICT_OK,
                       .tried = report_format(report, "who may read %s", path),
                       .seen = report_format(report, "mode %04o", (unsigned)status.st_mode & 07777),
                       .meaning = "Every user and program of this machine may read the passwords.",
                       .remedy = report_format(report,
                                               "`chown root:root %s; chmod 600 %s`; and "
                                               "change the passwords, if somebody may have.",
                                               path, path)});
}

struct names {
    char **names;
    size_t count;
};

static void note_name(void *context, const char *name)
{
    struct names *names = context;
    names->names = memory_grow(names->names, (names->count + 1) * sizeof(char *));
    names->names[names->count++] = memory_copy(name);
}

/* The files that post365_token_maps names; the daemon reads them as post365_user. */
static void check_token_files(struct doctor *doctor)
{
    const struct settings *settings = doctor->settings;
    struct names accounts = {0};
    struct error error;
    struct tables *tables = tables_open("post365_token_maps", settings->token_maps,
                                        settings->config_directory, TABLE_VALUES, &error);
    if (tables != NULL)
        tables_each_key(tables, note_name, &accounts);
    for (size_t i = 0; i < accounts.count; i++) {
        char *path = NULL;
        if (tables_find(tables, accounts.names[i], &path, &error) == TABLE_FOUND)
            check_mode(doctor, path, settings->user);
        free(path);
        free(accounts.names[i]);
    }
    free(accounts.names);
    tables_close(tables);
}

static void check_inline(struct doctor *doctor, const char *parameter, const char *table)
{
    if (strncmp(table, "inline:", 7) != 0 && strncmp(table, "static:", 7) != 0)
        return;
    report_finding(&doctor->report,
                   &(struct finding){.check = "password-file",
                                     .verdict = VERDICT_WARNING,
                                     .tried = parameter,
                                     .seen = "has passwords in main.cf itself",
                                     .meaning = "Everybody may read main.cf.",
                                     .remedy = "Put them into a file that only root may read, such "
                                               "as `texthash:/etc/postfix/sasl_passwd`."});
}

static void check_tables(struct doctor *doctor, const char *parameter, const char *value,
                         bool has_passwords)
{
    char *list = memory_copy(value), *rest = list, *table, type[32];
    const char *path;
    while ((table = config_next(&rest)) != NULL) {
        if (has_passwords)
            check_inline(doctor, parameter, table);
        if (!split(table, type, sizeof(type), &path))
            continue;
        check_index(doctor, parameter, type, path);
        if (!has_passwords)
            continue;
        check_mode(doctor, path, "root");
        if (suffix_of(type) != NULL) {
            char *index = memory_format("%s%s", path, suffix_of(type));
            check_mode(doctor, index, "root");
            free(index);
        }
    }
    free(list);
}

/* postconf(1) knows a parameter of ours only where one of Postfix's refers to it. */
static void check_unused(struct doctor *doctor)
{
    struct report *report = &doctor->report;
    struct buffer names = {0};
    struct error error;
    bool is_known = config_unused(&doctor->config, &names, &error);
    report_finding(
        report, &(struct finding){
                    .check = "unused-parameters",
                    .verdict = !is_known          ? VERDICT_UNTRIED
                               : names.length > 0 ? VERDICT_WARNING
                                                  : VERDICT_OK,
                    .tried = "post365_ parameters that postconf calls unused",
                    .seen = !is_known          ? error.text
                            : names.length > 0 ? names.data
                                               : "none",
                    .meaning = "They work, but postconf and `postfix check` warn of "
                               "them, among which other warnings are overlooked.",
                    .remedy = report_format(report,
                                            "In %s, behind a socket in smtpd_milters, name each as "
                                            "`%s${NAME?}`, which expands to nothing.",
                                            doctor->main_cf, doctor->settings->milter_socket)});
    buffer_free(&names);
}

void doctor_check_tables(struct doctor *doctor)
{
    const struct settings *settings = doctor->settings;
    const char *of_client = config_value(&doctor->config, "smtp_sasl_password_maps");
    if (strcmp(of_client, settings->password_maps) == 0)
        of_client = ""; /* once is enough */
    const struct {
        const char *parameter, *value;
        bool has_passwords;
    } all[] = {
        {DOCTOR_PASSWORD_MAPS, settings->password_maps, true},
        {"smtp_sasl_password_maps", of_client, true},
        {"post365_login_upn_maps", settings->login_upn_maps, false},
        {"post365_sender_upn_maps", settings->sender_upn_maps, false},
        {"post365_send_as_maps", settings->send_as_maps, false},
        {"post365_quota_maps", settings->quota_maps, false},
        {"post365_token_maps", settings->token_maps, false},
        {"transport_maps", config_value(&doctor->config, "transport_maps"), false},
        {"sender_dependent_default_transport_maps",
         config_value(&doctor->config, "sender_dependent_default_transport_maps"), false},
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        check_tables(doctor, all[i].parameter, all[i].value, all[i].has_passwords);
    check_token_files(doctor);
    check_unused(doctor);
}
