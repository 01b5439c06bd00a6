/* certificate.c - post365 oauth2 certificate
 *
 * The key is made where it is to stay, and leaves this machine never: what is uploaded is the
 * certificate. Between the two files no signal ends the program, so that there are both or none. */
#include "ctl/oauth2/certificate.h"

#include "common/memory.h"
#include "common/user.h"
#include "ctl/oauth2/pair.h"
#include "ctl/oauth2/place.h"
#include "ctl/relay/file.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#define LABEL 14 /* columns */

struct places {
    char *directory;
    char *key;
    char *certificate;
};

static void places_free(struct places *places)
{
    free(places->directory);
    free(places->key);
    free(places->certificate);
}

/* A file's name, a certificate's and a word of the shell at once. */
static bool is_fit(const char *name)
{
    static const char fit[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    return name[0] != '\0' && name[0] != '.' && name[0] != '-' && strlen(name) <= PAIR_NAME_MAX &&
           name[strspn(name, fit)] == '\0';
}

/* --- whose the key is ------------------------------------------------------------------- */

static bool find_owner(const struct settings *settings, struct user *owner, struct error *error)
{
    const struct passwd *entry = getpwnam(settings->oauth2_user);
    *owner = (struct user){(uid_t)-1, (gid_t)-1};
    if (entry == NULL)
        return error_set(error,
                         "%s/main.cf: post365_oauth2_user = %s: no such system account; run: "
                         "systemd-sysusers, or adduser --system --group %s",
                         settings->config_directory, settings->oauth2_user, settings->oauth2_user);
    *owner = (struct user){entry->pw_uid, entry->pw_gid};
    return true;
}

/* Whether the owner gets to his key: the directories on the way may be closed to him. */
static bool check_reach(const char *path, const struct user *owner, const char *name,
                        struct error *error)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        bool is_owner = geteuid() != 0 || (setgroups(0, NULL) == 0 && setgid(owner->group) == 0 &&
                                           setuid(owner->id) == 0);
        _exit(!is_owner ? EPERM : open(path, O_RDONLY | O_CLOEXEC) < 0 ? errno : 0);
    }
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    if (child < 0 || !WIFEXITED(status))
        return error_set(error, "cannot try to read %s as %s", path, name);
    return WEXITSTATUS(status) == 0 ||
           error_set(error,
                     "%s, who is to use the key, cannot read %s (%s): name a --directory to which "
                     "he has the way, such as one below /etc",
                     name, path, strerror(WEXITSTATUS(status)));
}

/* --- the files ---------------------------------------------------------------------------- */

/* Where others may write, they could put another key in the place of this one. */
static bool prepare_directory(const char *path, const struct user *owner, bool *is_made,
                              struct error *error)
{
    struct stat status;
    *is_made = mkdir(path, 0755) == 0;
    if (!*is_made && errno != EEXIST)
        return error_set(error, "cannot make the directory %s: %s", path, strerror(errno));
    if (stat(path, &status) != 0)
        return error_set(error, "%s: %s", path, strerror(errno));
    if (!S_ISDIR(status.st_mode))
        return error_set(error, "%s is no directory", path);
    if (status.st_uid != 0 && status.st_uid != geteuid() && status.st_uid != owner->id)
        return error_set(error,
                         "%s belongs to user id %u, who could exchange the key: choose another "
                         "--directory, or run: chown root %s",
                         path, (unsigned)status.st_uid, path);
    return (status.st_mode & (S_IWGRP | S_IWOTH)) == 0 ||
           error_set(error,
                     "others than its owner may write in %s, and could exchange the key: choose "
                     "another --directory, or run: chmod go-w %s",
                     path, path);
}

static bool check_absent(const char *path, struct error *error)
{
    struct stat status;
    if (lstat(path, &status) == 0)
        return error_set(error,
                         "%s is there already, and is not overwritten. Choose another NAME: Entra "
                         "takes several certificates for an app at a time, so that a new one can "
                         "be uploaded before the old one ends",
                         path);
    return errno == ENOENT || error_set(error, "%s: %s", path, strerror(errno));
}

static bool create_key(const char *path, const struct secret *key, const struct user *owner,
                       struct error *error)
{
    if (!file_create(path, 0600, secret_reveal(key), secret_length(key), error))
        return false;
    if (lchown(path, owner->id, owner->group) == 0)
        return true;
    error_set(error, "cannot change the owner of %s: %s", path, strerror(errno));
    unlink(path);
    return false;
}

static bool create_certificate(const char *path, const struct pair *pair, struct error *error)
{
    return file_create(path, 0644, pair->certificate.data, pair->certificate.length, error);
}

static bool create_both(const struct places *places, const struct pair *pair,
                        const struct user *owner, const char *owner_name, struct error *error)
{
    bool has_key = create_key(places->key, pair->key, owner, error);
    bool has_both = has_key && check_reach(places->key, owner, owner_name, error) &&
                    create_certificate(places->certificate, pair, error);
    if (has_both && file_sync_directory(places->directory, error))
        return true;
    if (has_key)
        unlink(places->key);
    if (has_both)
        unlink(places->certificate);
    return false;
}

/* A signal that came in the meantime ends the program behind it. */
static bool create_undisturbed(const struct places *places, const struct pair *pair,
                               const struct user *owner, const char *owner_name,
                               struct error *error)
{
    bool is_made = false;
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before);
    bool fine = prepare_directory(places->directory, owner, &is_made, error) &&
                create_both(places, pair, owner, owner_name, error);
    if (!fine && is_made)
        rmdir(places->directory);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return fine;
}

/* --- what is said ---------------------------------------------------------------------- */

static void print_line(const struct screen *screen, const char *label, const char *text)
{
    struct buffer head = {0};
    screen_paint(screen, &head, SCREEN_DIM, label);
    printf("%s%*s", head.data, (int)(LABEL - strlen(label)), "");
    screen_wrap(screen, text, LABEL);
    buffer_free(&head);
}

static void print_made(const struct screen *screen, const struct places *places,
                       const struct pair *pair, const char *owner)
{
    char date[32];
    struct tm local;
    struct buffer line = {0};
    strftime(date, sizeof(date), "%F", localtime_r(&pair->ends, &local));
    screen_text(&line, places->key);
    buffer_format(&line, " (RSA 3072; for %s alone)", owner);
    print_line(screen, "key", line.data);
    buffer_clear(&line);
    screen_text(&line, places->certificate);
    buffer_format(&line, " (until %s)", date);
    print_line(screen, "certificate", line.data);
    print_line(screen, "SHA-1", pair->sha1);
    print_line(screen, "SHA-256", pair->sha256);
    buffer_free(&line);
}

static void print_next(const struct screen *screen, const struct places *places, const char *name)
{
    struct buffer line = {0};
    buffer_format(&line,
                  "1. Upload the certificate %s, never the key: entra.microsoft.com, App "
                  "registrations, the app, Certificates & secrets, Certificates, Upload "
                  "certificate. The thumbprint there must be the SHA-1 above. It may take "
                  "ten minutes until it works.",
                  places->certificate);
    putchar('\n');
    screen_wrap(screen, line.data, 3);
    screen_wrap(screen,
                "2. Write into the file of the registration (Entra shows both ids on the app's "
                "overview):",
                3);
    printf("\n    tenant = DIRECTORY-ID\n    client_id = APPLICATION-ID\n    grant = app\n"
           "    certificate_file = %s\n    key_file = %s\n\n",
           places->certificate, places->key);
    buffer_clear(&line);
    buffer_format(
        &line,
        "3. Let the application send, in Exchange Online: ADMIN.md, \"Moving to OAuth2\", "
        "has the commands. Then `post365 setup --oauth2 %s/%s.cf` shows what main.cf "
        "needs.",
        places->directory, name);
    screen_wrap(screen, line.data, 3);
    buffer_free(&line);
}

/* --- all of it ---------------------------------------------------------------------------- */

static int make(const struct command_call *call, const struct places *places, const char *name,
                const struct settings *settings)
{
    struct user owner;
    struct pair pair = {.key = NULL};
    struct error error;
    const char *owner_name = settings->oauth2_user;
    if (!find_owner(settings, &owner, &error))
        return command_fail(EX_CONFIG, "%s", error.text);
    if (geteuid() != 0 && geteuid() != owner.id)
        return command_fail(EX_NOPERM, "the key is to be of %s: run this as root", owner_name);
    if (!check_absent(places->key, &error) || !check_absent(places->certificate, &error) ||
        !pair_make(name, time(NULL), &pair, &error))
        return command_fail(EX_CANTCREAT, "%s", error.text);
    bool fine = create_undisturbed(places, &pair, &owner, owner_name, &error);
    if (fine) {
        print_made(&call->screen, places, &pair, owner_name);
        print_next(&call->screen, places, name);
    }
    pair_release(&pair);
    return fine ? COMMAND_FINE : command_fail(EX_CANTCREAT, "%s", error.text);
}

/* Without a directory's slashes at the end; a registration wants absolute paths. */
static bool find_places(const char *directory, const char *name, const struct settings *settings,
                        struct places *places)
{
    size_t length = directory != NULL ? strlen(directory) : 0;
    while (length > 1 && directory[length - 1] == '/')
        length--;
    if (directory == NULL)
        places->directory = place_of_registrations(settings);
    else
        places->directory = memory_copy_bytes(directory, length);
    places->key = memory_format("%s/%s.key", places->directory, name);
    places->certificate = memory_format("%s/%s.pem", places->directory, name);
    return places->directory[0] == '/';
}

int certificate_make(const struct command_call *call, const char *name, const char *directory)
{
    struct places places;
    struct error error;
    if (!is_fit(name))
        return command_fail(COMMAND_USAGE,
                            "\"%s\" cannot be a certificate's name: letters, digits, `.`, `_` and "
                            "`-`, at most %d",
                            name, PAIR_NAME_MAX);
    struct settings *settings =
        settings_read(call->config_directory, (const char *const *)call->overrides, &error);
    if (settings == NULL)
        return command_fail(EX_CONFIG, "%s", error.text);
    int status = COMMAND_FINE;
    if (!find_places(directory, name, settings, &places))
        status = command_fail(COMMAND_USAGE, "--directory %s: write the whole path, from / on",
                              places.directory);
    else
        status = make(call, &places, name, settings);
    places_free(&places);
    settings_free(settings);
    return status;
}
