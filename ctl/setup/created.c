/* created.c - files that setup has made, and their removal */
#include "ctl/setup/created.h"

#include "common/memory.h"
#include "ctl/relay/file.h"

#include <errno.h>
#include <libgen.h>
#include <openssl/evp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIRECTORY "-" /* in place of a fingerprint */

static void take_fingerprint(const char *bytes, size_t length, char text[CREATED_FINGERPRINT])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    if (EVP_Digest(bytes, length, digest, &size, EVP_sha256(), NULL) != 1)
        abort();
    for (unsigned i = 0; i < size; i++)
        snprintf(text + 2 * (size_t)i, 3, "%02x", digest[i]);
}

/* --- the list --------------------------------------------------------------------------------- */

void created_add(struct created_list *list, const char *path, const char *fingerprint)
{
    list->items = memory_grow(list->items, (list->count + 1) * sizeof(list->items[0]));
    struct created *created = &list->items[list->count++];
    created->path = memory_copy(path);
    snprintf(created->fingerprint, sizeof(created->fingerprint), "%s", fingerprint);
}

void created_plan(const struct takeover *takeover, struct created_list *list)
{
    *list = (struct created_list){.items = NULL};
    for (size_t i = 0; i < takeover->file_count; i++) {
        const struct takeover_file *file = &takeover->files[i];
        char fingerprint[CREATED_FINGERPRINT];
        char *copy = memory_copy(file->path), *directory = dirname(copy);
        if (i == 0 && access(directory, F_OK) != 0)
            created_add(list, directory, DIRECTORY);
        free(copy);
        take_fingerprint(secret_reveal(file->content), secret_length(file->content), fingerprint);
        created_add(list, file->path, fingerprint);
    }
}

void created_free(struct created_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i].path);
    free(list->items);
    *list = (struct created_list){.items = NULL};
}

/* --- making ----------------------------------------------------------------------------------- */

static bool make_directory(const char *path, struct error *error)
{
    return (mkdir(path, 0755) == 0 && chmod(path, 0755) == 0) ||
           error_set(error, "cannot make the directory %s: %s", path, strerror(errno));
}

/* Root's while it is written, then post365_oauth2_user's: nobody else ever reads it. */
static bool make_file(const struct takeover_file *file, const struct settings *settings,
                      struct error *error)
{
    const struct passwd *owner = getpwnam(settings->oauth2_user);
    if (file->is_secret && owner == NULL)
        return error_set(error,
                         "post365_oauth2_user = %s: no such system account; `make install` of "
                         "post365 makes it, or: systemd-sysusers",
                         settings->oauth2_user);
    if (!file_create(file->path, file->is_secret ? 0600 : 0644, secret_reveal(file->content),
                     secret_length(file->content), error))
        return false;
    return !file->is_secret || chown(file->path, owner->pw_uid, owner->pw_gid) == 0 ||
           error_set(error, "%s: cannot make %s its owner: %s", file->path, settings->oauth2_user,
                     strerror(errno));
}

bool created_make(const struct takeover *takeover, const struct created_list *list,
                  const struct settings *settings, struct error *error)
{
    if (list->count > takeover->file_count && !make_directory(list->items[0].path, error))
        return false;
    for (size_t i = 0; i < takeover->file_count; i++)
        if (!make_file(&takeover->files[i], settings, error))
            return false;
    return true;
}

/* --- removing --------------------------------------------------------------------------------- */

bool created_is_ours(const struct created *created)
{
    char fingerprint[CREATED_FINGERPRINT] = "";
    struct buffer contents = {0};
    struct error ignored;
    struct stat status;
    if (lstat(created->path, &status) != 0)
        return false;
    if (strcmp(created->fingerprint, DIRECTORY) == 0)
        return S_ISDIR(status.st_mode);
    if (!S_ISREG(status.st_mode))
        return false;
    if (file_read(created->path, &contents, &ignored))
        take_fingerprint(contents.data != NULL ? contents.data : "", contents.length, fingerprint);
    if (contents.data != NULL)
        explicit_bzero(contents.data, contents.capacity);
    buffer_free(&contents);
    return strcmp(fingerprint, created->fingerprint) == 0;
}

bool created_remove(const struct created_list *list, struct error *error)
{
    bool fine = true;
    for (size_t i = list->count; i > 0; i--) {
        const struct created *created = &list->items[i - 1];
        bool is_directory = strcmp(created->fingerprint, DIRECTORY) == 0;
        if (!created_is_ours(created))
            continue;
        int done = is_directory ? rmdir(created->path) : unlink(created->path);
        if (done != 0 && !(is_directory && (errno == ENOTEMPTY || errno == EEXIST)))
            fine = error_set(error, "cannot remove %s: %s", created->path, strerror(errno));
    }
    return fine;
}
