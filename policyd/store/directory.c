/* directory.c - the directory that the ledger lies in */
#include "policyd/store/directory.h"

#include "common/log.h"
#include "common/private_directory.h"
#include "common/user.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK "lock"

static bool check_directory(const struct settings *settings, uid_t owner, struct error *error);

__attribute__((format(printf, 3, 4))) static bool
directory_error(const struct settings *settings, struct error *error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (error != NULL)
        vsnprintf(error->text, sizeof(error->text), format, arguments);
    va_end(arguments);
    return error_prefix(error, "%s/main.cf: post365_ledger = %s", settings->config_directory,
                        settings->ledger);
}

static bool make_directory(const struct settings *settings, const struct user *user,
                           struct error *error)
{
    struct error reason;
    return private_directory_make(settings->ledger, user, &reason) ||
           directory_error(settings, error, "%s; run: install -d -o %s -m 700 %s", reason.text,
                           settings->user, settings->ledger);
}

bool store_directory_prepare(const struct settings *settings, bool only_check, struct error *error)
{
    struct user user;
    struct stat status;
    if (!user_find(settings, &user, error))
        return false;
    bool missing = lstat(settings->ledger, &status) != 0 && errno == ENOENT;
    if (missing && only_check)
        return true;
    if (missing && !make_directory(settings, &user, error))
        return false;
    return check_directory(settings, user.id, error);
}

static bool is_log(const char *name)
{
    return strncmp(name, STORE_LOG_PREFIX, strlen(STORE_LOG_PREFIX)) == 0;
}

static bool is_ours(const char *name)
{
    return strcmp(name, LOCK) == 0 || strcmp(name, STORE_ACCOUNTS) == 0 ||
           strcmp(name, STORE_TURNS) == 0 || strcmp(name, STORE_RESERVATIONS) == 0 || is_log(name);
}

/* Berkeley DB's own tools, run by root, leave files that the daemon cannot open. */
static bool check_files(const struct settings *settings, uid_t owner, struct error *error)
{
    DIR *directory = opendir(settings->ledger);
    if (directory == NULL)
        return directory_error(settings, error, "cannot be read: %s", strerror(errno));
    bool sound = true;
    const struct dirent *entry;
    while (sound && (entry = readdir(directory)) != NULL) {
        struct stat status;
        if (!is_ours(entry->d_name) ||
            fstatat(dirfd(directory), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        sound = status.st_uid == owner ||
                directory_error(settings, error,
                                "its file %s belongs to user id %u, where %u must own it; "
                                "run: chown -R %u %s",
                                entry->d_name, (unsigned)status.st_uid, (unsigned)owner,
                                (unsigned)owner, settings->ledger);
    }
    closedir(directory);
    return sound;
}

bool store_directory_size(const char *path, uint64_t *data, uint64_t *logs)
{
    DIR *directory = opendir(path);
    *data = *logs = 0;
    if (directory == NULL)
        return false;
    const struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) {
        struct stat status;
        if (is_ours(entry->d_name) &&
            fstatat(dirfd(directory), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0)
            *(is_log(entry->d_name) ? logs : data) += (uint64_t)status.st_blocks * 512;
    }
    closedir(directory);
    return true;
}

bool store_directory_has(const char *directory, const char *name)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    return access(path, F_OK) == 0;
}

bool store_directory_has_log(const char *path)
{
    DIR *directory = opendir(path);
    bool found = false;
    const struct dirent *entry;
    while (directory != NULL && !found && (entry = readdir(directory)) != NULL)
        found = is_log(entry->d_name);
    if (directory != NULL)
        closedir(directory);
    return found;
}

static bool check_directory(const struct settings *settings, uid_t owner, struct error *error)
{
    struct stat status;
    if (lstat(settings->ledger, &status) != 0)
        return directory_error(settings, error, "%s", strerror(errno));
    if (!S_ISDIR(status.st_mode))
        return directory_error(settings, error,
                               "is not a directory; remove it, or name another one");
    if (status.st_uid != owner)
        return directory_error(
            settings, error, "belongs to user id %u, where %u must own it; run: chown -R %u %s",
            (unsigned)status.st_uid, (unsigned)owner, (unsigned)owner, settings->ledger);
    if ((status.st_mode & 0777) != 0700)
        return directory_error(settings, error,
                               "has mode %04o and must be closed to others; run: chmod 700 %s",
                               (unsigned)status.st_mode & 0777U, settings->ledger);
    return check_files(settings, owner, error);
}

bool store_directory_check(const struct settings *settings, struct error *error)
{
    struct stat status;
    if (lstat(settings->ledger, &status) != 0 && errno == ENOENT)
        return true;
    return check_directory(settings, geteuid(), error) &&
           (access(settings->ledger, R_OK | W_OK | X_OK) == 0 ||
            directory_error(settings, error, "cannot be used: %s", strerror(errno)));
}

/* Writes into the lock file who holds it, for whoever looks at it. */
static void sign_lock(int descriptor)
{
    char text[64];
    int length = snprintf(text, sizeof(text), "%d post365-policyd\n", (int)getpid());
    if (ftruncate(descriptor, 0) != 0 || pwrite(descriptor, text, (size_t)length, 0) != length)
        log_warning("cannot write into the ledger's lock file: %s", strerror(errno));
}

/* Why it could not be locked. */
static void explain_lock(const struct settings *settings, const char *path, int descriptor,
                         struct error *error)
{
    int reason = errno;
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (reason != EACCES && reason != EAGAIN) {
        directory_error(settings, error, "lock file %s cannot be locked: %s", path,
                        strerror(reason));
        return;
    }
    if (fcntl(descriptor, F_GETLK, &lock) != 0 || lock.l_type == F_UNLCK)
        lock.l_pid = 0;
    directory_error(settings, error,
                    "is in use by process %d, which has locked %s; stop it, or name another "
                    "directory",
                    (int)lock.l_pid, path);
}

static int take_lock(const struct settings *settings, struct error *error)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/" LOCK, settings->ledger);
    int descriptor = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (descriptor < 0) {
        directory_error(settings, error, "lock file %s: %s", path, strerror(errno));
        return -1;
    }
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(descriptor, F_SETLK, &lock) == 0)
        return descriptor;
    explain_lock(settings, path, descriptor, error);
    close(descriptor);
    return -1;
}

bool store_directory_is_free(const struct settings *settings, struct error *error)
{
    int descriptor = check_directory(settings, geteuid(), error) ? take_lock(settings, error) : -1;
    if (descriptor >= 0)
        close(descriptor);
    return descriptor >= 0;
}

int store_directory_lock(const struct settings *settings, struct error *error)
{
    int descriptor = check_directory(settings, geteuid(), error) ? take_lock(settings, error) : -1;
    if (descriptor >= 0)
        sign_lock(descriptor);
    return descriptor;
}
