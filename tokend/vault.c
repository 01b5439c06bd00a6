/* vault.c - the refresh tokens of users' grants, on disk
 *
 * Security: a refresh token is as good as a password for months. It is in secret memory and in
 * these files, and in no message.
 */
#include "tokend/vault.h"

#include "common/address.h"
#include "common/buffer.h"
#include "common/log.h"
#include "common/memory.h"
#include "tokend/answer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_LENGTH ((size_t)(2 * SHA256_DIGEST_LENGTH))
#define NAME_SIZE   (NAME_LENGTH + sizeof(".previous"))
#define FILE_MAX    (ANSWER_REFRESH_TOKEN_MAX + 4096)
#define TOKEN_NAME  "\nrefresh_token = "
#define PREVIOUS    ".previous"
#define FRESH       ".new"  /* is being written */
#define LINKED      ".link" /* becomes the previous one */

struct vault {
    char *directory;
    int descriptor;
};

/* --- the directory --- */

static bool check(const char *directory, int descriptor, struct error *error)
{
    struct stat status;
    if (fstat(descriptor, &status) != 0)
        return error_set(error, "%s: %s", directory, strerror(errno));
    if (status.st_uid != geteuid())
        return error_set(error,
                         "%s: belongs to user id %u, not to the daemon's (%u); run: chown %u %s",
                         directory, (unsigned)status.st_uid, (unsigned)geteuid(),
                         (unsigned)geteuid(), directory);
    if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0)
        return error_set(error, "%s: open to others (mode %04o); run: chmod 700 %s", directory,
                         (unsigned)status.st_mode & 07777, directory);
    return true;
}

struct vault *vault_open(const char *directory, struct error *error)
{
    int descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (descriptor < 0 || !check(directory, descriptor, error)) {
        if (descriptor >= 0)
            close(descriptor);
        else
            error_set(error, "%s: %s; make it, mode 700, for post365_oauth2_user", directory,
                      strerror(errno));
        return NULL;
    }
    struct vault *vault = memory_zero(1, sizeof(*vault));
    vault->directory = memory_copy(directory);
    vault->descriptor = descriptor;
    return vault;
}

void vault_close(struct vault *vault)
{
    if (vault == NULL)
        return;
    close(vault->descriptor);
    free(vault->directory);
    free(vault);
}

/* --- names --- */

static void make_name(const struct registration *registration, const char *account,
                      const char *suffix, char name[NAME_SIZE])
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    char *folded = address_fold(account);
    char *text = memory_format("%s\n%s\n%s\n%s",
                               registration->authority != NULL ? registration->authority : "",
                               registration->tenant, registration->client_id, folded);
    SHA256((const unsigned char *)text, strlen(text), digest);
    for (size_t i = 0; i < sizeof(digest); i++)
        snprintf(name + 2 * i, 3, "%02x", digest[i]);
    snprintf(name + NAME_LENGTH, NAME_SIZE - NAME_LENGTH, "%s", suffix);
    free(text);
    free(folded);
}

static bool fail(const struct vault *vault, const char *name, struct error *error)
{
    return error_set(error, "%s/%s: %s", vault->directory, name, strerror(errno));
}

/* --- reading --- */

static struct secret *read_file(const struct vault *vault, const char *name, struct error *error)
{
    struct stat status;
    int descriptor =
        openat(vault->descriptor, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (descriptor < 0) {
        fail(vault, name, error);
        return NULL;
    }
    struct secret *secret = secret_new(FILE_MAX);
    bool fine = fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode) &&
                secret_read(secret, descriptor) >= 0;
    if (!fine)
        fail(vault, name, error);
    close(descriptor);
    if (fine)
        return secret;
    secret_free(secret);
    return NULL;
}

/* Where the value behind "\nname = " begins, up to the line's end, or NULL. */
static const char *find_value(const struct secret *file, const char *name, size_t *length)
{
    const char *bytes = secret_reveal(file);
    const char *found = strstr(bytes, name);
    const char *end = found != NULL ? strchr(found + strlen(name), '\n') : NULL;
    if (end == NULL)
        return NULL;
    found += strlen(name);
    *length = (size_t)(end - found);
    return found;
}

static int64_t read_time(const struct secret *file, const char *name)
{
    size_t length;
    const char *value = find_value(file, name, &length);
    return value != NULL ? strtoll(value, NULL, 10) : 0;
}

/* The token in a file, cut out in secret memory; NULL with the reason. */
static struct secret *read_token(const struct vault *vault, const char *name, int64_t *since,
                                 struct error *error)
{
    size_t length = 0;
    struct secret *token = NULL, *file = read_file(vault, name, error);
    const char *value = file != NULL ? find_value(file, TOKEN_NAME, &length) : NULL;
    if (value != NULL && length > 0) {
        *since = read_time(file, "\nsince = ");
        token = secret_copy(value, length);
    } else if (file != NULL) {
        errno = 0;
        error_set(error, "%s/%s: damaged: it has no whole refresh token", vault->directory, name);
    }
    secret_free(file);
    return token;
}

static bool same(const struct secret *one, const struct secret *other)
{
    return secret_length(one) == secret_length(other) &&
           memcmp(secret_reveal(one), secret_reveal(other), secret_length(one)) == 0;
}

enum vault_answer vault_find(struct vault *vault, const struct registration *registration,
                             const char *account, struct vault_grant *grant, struct error *error)
{
    char name[NAME_SIZE], previous[NAME_SIZE];
    int64_t since = 0;
    *grant = (struct vault_grant){0};
    make_name(registration, account, "", name);
    make_name(registration, account, PREVIOUS, previous);
    grant->current = read_token(vault, name, &grant->since, error);
    bool is_missing = grant->current == NULL && errno == ENOENT;
    grant->previous = read_token(vault, previous, &since, NULL);
    if (grant->current == NULL && grant->previous != NULL) {
        if (!is_missing)
            log_warning("%s; the one before is used", error->text);
        grant->current = grant->previous;
        grant->previous = NULL;
        grant->since = since;
    }
    if (grant->current == NULL)
        return is_missing ? VAULT_NONE : VAULT_FAILED;
    if (grant->previous != NULL && same(grant->current, grant->previous)) {
        secret_free(grant->previous);
        grant->previous = NULL;
    }
    return VAULT_FOUND;
}

void vault_release(struct vault_grant *grant)
{
    secret_free(grant->current);
    secret_free(grant->previous);
    *grant = (struct vault_grant){0};
}

/* --- writing --- */

static bool write_all(int descriptor, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t written = write(descriptor, bytes, length);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        bytes += written;
        length -= (size_t)written;
    }
    return true;
}

static bool write_aside(const struct vault *vault, const char *name, const struct buffer *head,
                        const struct secret *token, struct error *error)
{
    unlinkat(vault->descriptor, name, 0);
    int descriptor =
        openat(vault->descriptor, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (descriptor < 0)
        return fail(vault, name, error);
    bool written = write_all(descriptor, head->data, head->length) &&
                   write_all(descriptor, secret_reveal(token), secret_length(token)) &&
                   write_all(descriptor, "\n", 1) && fsync(descriptor) == 0;
    if (!written)
        fail(vault, name, error);
    close(descriptor);
    if (!written)
        unlinkat(vault->descriptor, name, 0);
    return written;
}

/* Gives the file that there is a second name, so that the first never is without one. */
static bool keep_previous(const struct vault *vault, const char *name, const char *linked,
                          const char *previous)
{
    unlinkat(vault->descriptor, linked, 0);
    if (linkat(vault->descriptor, name, vault->descriptor, linked, 0) != 0)
        return errno == ENOENT;
    return renameat(vault->descriptor, linked, vault->descriptor, previous) == 0;
}

static void describe(struct buffer *head, const struct registration *registration,
                     const char *account, int64_t since, int64_t now)
{
    buffer_format(head,
                  "# written by post365-tokend\n"
                  "account = %s\ntenant = %s\nclient_id = %s\nsince = %" PRId64
                  "\nstored = %" PRId64 TOKEN_NAME,
                  account, registration->tenant, registration->client_id, since, now);
}

bool vault_store(struct vault *vault, const struct registration *registration, const char *account,
                 const struct secret *token, int64_t since, int64_t now, struct error *error)
{
    char name[NAME_SIZE], fresh[NAME_SIZE], linked[NAME_SIZE], previous[NAME_SIZE];
    struct buffer head = {0};
    make_name(registration, account, "", name);
    make_name(registration, account, FRESH, fresh);
    make_name(registration, account, LINKED, linked);
    make_name(registration, account, PREVIOUS, previous);
    describe(&head, registration, account, since, now);
    bool stored = write_aside(vault, fresh, &head, token, error) &&
                  ((keep_previous(vault, name, linked, previous) &&
                    renameat(vault->descriptor, fresh, vault->descriptor, name) == 0 &&
                    fsync(vault->descriptor) == 0) ||
                   fail(vault, name, error));
    buffer_free(&head);
    return stored;
}

enum vault_answer vault_delete(struct vault *vault, const struct registration *registration,
                               const char *account, struct error *error)
{
    static const char *const suffixes[] = {PREVIOUS, FRESH, LINKED, ""};
    bool had = false;
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        char name[NAME_SIZE];
        make_name(registration, account, suffixes[i], name);
        if (unlinkat(vault->descriptor, name, 0) == 0) {
            had = true;
        } else if (errno != ENOENT) {
            fail(vault, name, error);
            return VAULT_FAILED;
        }
    }
    if (fsync(vault->descriptor) != 0) {
        fail(vault, "", error);
        return VAULT_FAILED;
    }
    return had ? VAULT_FOUND : VAULT_NONE;
}

/* --- all of them --- */

static void visit_file(const struct vault *vault, const char *name,
                       void (*visit)(void *context, const char *account), void *context)
{
    size_t length;
    struct secret *file = read_file(vault, name, NULL);
    const char *value = file != NULL ? find_value(file, "\naccount = ", &length) : NULL;
    char *account = value != NULL ? memory_copy_bytes(value, length) : NULL;
    if (account != NULL && address_is_upn(account))
        visit(context, account);
    free(account);
    secret_free(file);
}

void vault_each(struct vault *vault, void (*visit)(void *context, const char *account),
                void *context)
{
    int descriptor = openat(vault->descriptor, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = descriptor >= 0 ? fdopendir(descriptor) : NULL;
    const struct dirent *entry;
    if (directory == NULL) {
        log_warning("%s: %s", vault->directory, strerror(errno));
        return;
    }
    while ((entry = readdir(directory)) != NULL)
        if (strlen(entry->d_name) == NAME_LENGTH)
            visit_file(vault, entry->d_name, visit, context);
    closedir(directory);
}
