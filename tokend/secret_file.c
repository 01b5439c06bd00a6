/* secret_file.c - files that prove who an application is */
#include "tokend/secret_file.h"

#include "common/closed_directory.h"
#include "common/utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool refuse(const struct entra_row **row, const char *name)
{
    *row = entra_named(name);
    return false;
}

static bool check_owner(const char *path, const struct stat *status, const struct entra_row **row,
                        struct error *error)
{
    if (status->st_uid != 0 && status->st_uid != geteuid()) {
        error_set(error, "%s: belongs to user id %u; run: chown root %s, or to the daemon's user",
                  path, (unsigned)status->st_uid, path);
        return refuse(row, ENTRA_SECRET_FILE_OPEN);
    }
    if ((status->st_mode & (S_IRWXO | S_IWGRP)) != 0) {
        error_set(error, "%s: others may read or write it (mode %04o); run: chmod 600 %s", path,
                  (unsigned)status->st_mode & 07777, path);
        return refuse(row, ENTRA_SECRET_FILE_OPEN);
    }
    return true;
}

static bool check(const char *path, enum secret_file_kind kind, int descriptor,
                  const struct entra_row **row, struct error *error)
{
    struct stat status;
    if (fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
        error_set(error, "%s: not a regular file; name the file itself", path);
        return refuse(row, ENTRA_SECRET_FILE_WRONG);
    }
    if (status.st_size > (off_t)SECRET_FILE_MAX) {
        error_set(error, "%s: larger than %zu bytes", path, SECRET_FILE_MAX);
        return refuse(row, ENTRA_SECRET_FILE_WRONG);
    }
    return kind == SECRET_FILE_PUBLIC || check_owner(path, &status, row, error);
}

/* The command that helps: the account may be another than the one that the documents name. */
static void explain_denial(const char *path, struct error *error)
{
    char *directory = closed_directory(path);
    const struct passwd *entry = getpwuid(geteuid());
    if (directory != NULL)
        error_set(error, "%s: %s; the way there is closed; run: chmod a+x %s", path,
                  strerror(EACCES), directory);
    else if (entry != NULL)
        error_set(error,
                  "%s: %s; it must be the daemon's own (post365_oauth2_user); run: chown %s "
                  "%s",
                  path, strerror(EACCES), entry->pw_name, path);
    else
        error_set(error, "%s: %s; it must be the daemon's own (post365_oauth2_user)", path,
                  strerror(EACCES));
    free(directory);
}

static void explain_open(const char *path, int reason, const struct entra_row **row,
                         struct error *error)
{
    bool is_missing = reason == ENOENT || reason == ENOTDIR;
    if (reason == ELOOP) {
        error_set(error, "%s: a symbolic link; name the file itself", path);
        refuse(row, ENTRA_SECRET_FILE_WRONG);
        return;
    }
    if (reason == EACCES)
        explain_denial(path, error);
    else
        error_set(error, "%s: %s", path, strerror(reason));
    refuse(row, is_missing ? ENTRA_SECRET_FILE_MISSING : ENTRA_SECRET_FILE_UNREADABLE);
}

static bool is_blank(char byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

/* Leaves one line, without what an editor or a clipboard puts around it unseen: no secret begins or
 * ends with a blank. */
static bool take_line(const char *path, struct secret *secret, const struct entra_row **row,
                      struct error *error)
{
    const char *bytes = secret_reveal(secret);
    size_t end = secret_length(secret), start = utf8_mark_length(bytes, end);
    while (start < end && is_blank(bytes[start]))
        start++;
    while (end > start && is_blank(bytes[end - 1]))
        end--;
    size_t length = end - start;
    secret_trim(secret, start, length);
    bytes = secret_reveal(secret);
    bool is_text = length > 0;
    for (size_t i = 0; i < length; i++)
        is_text = is_text && (unsigned char)bytes[i] >= ' ' && bytes[i] != 0x7f;
    if (is_text)
        return true;
    error_set(error,
              length == 0 ? "%s: empty; put the value alone there, in one line"
                          : "%s: not one line of text; put the value alone there",
              path);
    return refuse(row, ENTRA_SECRET_FILE_WRONG);
}

struct secret *secret_file_read(const char *path, enum secret_file_kind kind,
                                const struct entra_row **row, struct error *error)
{
    int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    if (kind == SECRET_FILE_LINE || kind == SECRET_FILE_KEY)
        flags |= O_NOFOLLOW;
    int descriptor = open(path, flags);
    if (descriptor < 0) {
        explain_open(path, errno, row, error);
        return NULL;
    }
    struct secret *secret = NULL;
    bool is_line = kind == SECRET_FILE_LINE || kind == SECRET_FILE_TOKEN;
    bool fine = check(path, kind, descriptor, row, error);
    if (fine) {
        secret = secret_new(SECRET_FILE_MAX);
        fine = secret_read(secret, descriptor) >= 0;
        if (!fine)
            explain_open(path, errno, row, error);
    }
    close(descriptor);
    if (fine && (!is_line || take_line(path, secret, row, error)))
        return secret;
    secret_free(secret);
    return NULL;
}
