/* file.c - a file of the configuration, read whole and replaced as a whole */
#include "ctl/relay/file.h"

#include "common/memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Beside the file, so that rename(2) can bring it into place. */
#define TEMPORARY     ".post365-setup"
#define SIZE_MAX_READ ((size_t)16 << 20)

static bool failed(const char *what, const char *path, struct error *error)
{
    return error_set(error, "cannot %s %s: %s", what, path, strerror(errno));
}

bool file_read(const char *path, struct buffer *contents, struct error *error)
{
    char block[65536];
    ssize_t length = 0;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (descriptor < 0)
        return failed("read", path, error);
    while (contents->length <= SIZE_MAX_READ &&
           (length = read(descriptor, block, sizeof(block))) > 0)
        buffer_append(contents, block, (size_t)length);
    bool fine = length == 0 || failed("read", path, error);
    close(descriptor);
    if (contents->length > SIZE_MAX_READ)
        return error_set(error, "%s: larger than %zu bytes; is this the right file?", path,
                         SIZE_MAX_READ);
    return fine;
}

static bool write_all(int descriptor, const char *data, size_t length)
{
    while (length > 0) {
        ssize_t written = write(descriptor, data, length);
        if (written < 0 && errno != EINTR)
            return false;
        if (written > 0) {
            data += written;
            length -= (size_t)written;
        }
    }
    return true;
}

/* A new file with these bytes; owner and mode are those of `like`, if there is one. */
static bool create(const char *path, const struct stat *like, mode_t mode, const char *data,
                   size_t length, struct error *error)
{
    int descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (descriptor < 0)
        return failed("write", path, error);
    bool fine = (like == NULL || fchown(descriptor, like->st_uid, like->st_gid) == 0) &&
                fchmod(descriptor, mode) == 0 && write_all(descriptor, data, length) &&
                fsync(descriptor) == 0;
    if (!fine)
        failed("write", path, error);
    if (close(descriptor) != 0 && fine)
        fine = failed("write", path, error);
    if (!fine)
        unlink(path);
    return fine;
}

bool file_create(const char *path, mode_t mode, const char *data, size_t length,
                 struct error *error)
{
    return create(path, NULL, mode, data, length, error);
}

bool file_sync_directory(const char *path, struct error *error)
{
    int descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool fine = descriptor >= 0 && fsync(descriptor) == 0;
    if (!fine)
        failed("write", path, error);
    if (descriptor >= 0)
        close(descriptor);
    return fine;
}

/* `path` is the file itself, no link. */
static bool replace(const char *path, const char *data, size_t length, struct error *error)
{
    struct stat status;
    char *temporary = memory_format("%s" TEMPORARY, path), *copy = memory_copy(path);
    bool fine = stat(path, &status) == 0 || failed("find", path, error);
    if (fine) {
        unlink(temporary); /* of a run that was killed */
        fine = create(temporary, &status, status.st_mode & 07777, data, length, error);
    }
    if (fine && rename(temporary, path) != 0) {
        fine = failed("replace", path, error);
        unlink(temporary);
    }
    fine = fine && file_sync_directory(dirname(copy), error);
    free(temporary);
    free(copy);
    return fine;
}

bool file_replace(const char *path, const char *data, size_t length, struct error *error)
{
    char *real = realpath(path, NULL);
    if (real == NULL)
        return failed("find", path, error);
    bool fine = replace(real, data, length, error);
    free(real);
    return fine;
}

void file_tidy(const char *path)
{
    char *real = realpath(path, NULL);
    if (real == NULL)
        return;
    char *temporary = memory_format("%s" TEMPORARY, real);
    unlink(temporary);
    free(temporary);
    free(real);
}

bool file_remove_directory(const char *path, struct error *error)
{
    DIR *directory = opendir(path);
    const struct dirent *entry;
    if (directory == NULL)
        return errno == ENOENT || failed("read", path, error);
    while ((entry = readdir(directory)) != NULL)
        if (entry->d_name[0] != '.')
            unlinkat(dirfd(directory), entry->d_name, 0);
    closedir(directory);
    return rmdir(path) == 0 || failed("remove", path, error);
}
