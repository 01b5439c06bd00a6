/* stamp.c - when did the doctor log in last?
 *
 * A file for each server and account, whose time of change is the answer, in a directory of root's
 * below /run. Nobody else can put a link or a file there, which /tmp, and the sockets' directory
 * that post365_user owns, would allow; and what is forgotten at a restart of the machine is no
 * loss. A time that has not come yet (the clock was set back) is none.
 */
#include "ctl/doctor/stamp.h"

#include "common/address.h"
#include "common/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define DIRECTORY "/run/post365-doctor"
#define NAME_SIZE (2 * EVP_MAX_MD_SIZE + 1)

/* An account's name may hold anything, and a digest nothing that a file's name may not. */
static void name_of(const char *server, const char *account, char name[NAME_SIZE])
{
    char *folded = address_fold(account);
    char *text = memory_format("%s %s", server, folded);
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    EVP_Digest(text, strlen(text), digest, &length, EVP_sha256(), NULL);
    for (unsigned i = 0; i < length; i++)
        snprintf(name + (size_t)2 * i, 3, "%02x", digest[i]);
    free(text);
    free(folded);
}

static int open_directory(struct error *error)
{
    struct stat status;
    if (mkdir(DIRECTORY, 0700) != 0 && errno != EEXIST) {
        error_set(error, DIRECTORY ": %s", strerror(errno));
        return -1;
    }
    int directory = open(DIRECTORY, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (directory < 0 || fstat(directory, &status) != 0) {
        error_set(error, DIRECTORY ": %s", strerror(errno));
    } else if (status.st_uid != geteuid() || (status.st_mode & 022) != 0) {
        error_set(error, DIRECTORY " belongs to somebody else, or others may write there");
    } else {
        return directory;
    }
    if (directory >= 0)
        close(directory);
    return -1;
}

/* The file, locked until it is closed. */
static int open_file(const char *name, struct error *error)
{
    int directory = open_directory(error);
    if (directory < 0)
        return -1;
    int file = openat(directory, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (file < 0 || flock(file, LOCK_EX) != 0)
        error_set(error, DIRECTORY "/%s: %s", name, strerror(errno));
    close(directory);
    return file;
}

/* A file without content was made this moment, and tells nothing. */
static bool is_recent(int file, int *seconds)
{
    struct stat status;
    if (fstat(file, &status) != 0 || status.st_size == 0)
        return false;
    time_t age = time(NULL) - status.st_mtime;
    *seconds = age >= 0 && age < STAMP_SECONDS ? (int)age : STAMP_SECONDS;
    return *seconds < STAMP_SECONDS;
}

bool stamp_claim(const char *server, const char *account, bool force, int *seconds,
                 struct error *error)
{
    char name[NAME_SIZE];
    error->text[0] = '\0';
    name_of(server, account, name);
    int file = open_file(name, error);
    if (file < 0)
        return true;
    bool may = force || !is_recent(file, seconds);
    if (may && pwrite(file, "\n", 1, 0) != 1)
        error_set(error, DIRECTORY "/%s: %s", name, strerror(errno));
    close(file);
    return may;
}
