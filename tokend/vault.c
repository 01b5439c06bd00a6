/* vault.c - refresh tokens on disk */
#include "tokend/vault.h"

#include "common/address.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/oauth2/registration.h"
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

#define PREVIOUS     ".previous"
#define NEW          ".new"
#define SINCE        "since="
#define ACCOUNT      "account="
#define WRITTEN      "written="
#define TOKEN        "refresh_token="
#define DIGEST_BYTES ((size_t)16)
#define NAME_SIZE    (2 * DIGEST_BYTES + sizeof(PREVIOUS NEW))
#define HEAD_MAX     ((size_t)4096)
#define FILE_MAX     (HEAD_MAX + ANSWER_REFRESH_TOKEN_MAX)

struct vault {
    char *path;
    int directory;
};

/* --- open and close ------------------------------------------------------------ */

static bool is_private(int directory, const char *path, struct error *error)
{
    struct stat state;
    if (fstat(directory, &state) != 0)
        return error_set(error, "%s: %s", path, strerror(errno));
    if (state.st_uid != geteuid())
        return error_set(error, "%s: belongs to another user; chown it to post365_oauth2_user",
                         path);
    if ((state.st_mode & 077) != 0)
        return error_set(error, "%s: others may look into it; chmod 700 %s", path, path);
    return true;
}

struct vault *vault_open(const char *path, struct error *error)
{
    int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (directory < 0) {
        error_set(error,
                  "post365_oauth2_directory = %s: %s; make it, mode 0700, for post365_oauth2_user",
                  path, strerror(errno));
        return NULL;
    }
    if (!is_private(directory, path, error)) {
        error_prefix(error, "post365_oauth2_directory");
        close(directory);
        return NULL;
    }
    struct vault *vault = memory_zero(1, sizeof(*vault));
    vault->path = memory_copy(path);
    vault->directory = directory;
    return vault;
}

void vault_close(struct vault *vault)
{
    if (vault == NULL)
        return;
    close(vault->directory);
    free(vault->path);
    free(vault);
}

struct vault_key vault_key_of(const struct registration *registration, const char *account)
{
    return (struct vault_key){.authority = registration->authority,
                              .tenant = registration->tenant,
                              .client_id = registration->client_id,
                              .account = account};
}

/* --- names --------------------------------------------------------------------- */

/* No part of a key has a line end in it. */
static void name_of(const struct vault_key *key, const char *suffix, char name[NAME_SIZE])
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    char *text = memory_format("%s\n%s\n%s\n%s\n", key->authority, key->tenant, key->client_id,
                               key->account);
    SHA256((const unsigned char *)text, strlen(text), digest);
    free(text);
    for (size_t i = 0; i < DIGEST_BYTES; i++)
        snprintf(name + 2 * i, 3, "%02x", digest[i]);
    strcat(name, suffix);
}

static bool fail(const struct vault *vault, const char *name, const char *what, struct error *error)
{
    return error_set(error, "%s/%s: %s: %s", vault->path, name, what, strerror(errno));
}

/* --- reading ------------------------------------------------------------------- */

static bool find_number(const char *text, const char *name, int64_t *number)
{
    const char *found = strstr(text, name);
    if (found == NULL)
        return false;
    char *end;
    found += strlen(name);
    *number = strtoll(found, &end, 10);
    return end != found;
}

/* What was written to its end has a line end behind the token. */
static struct secret *parse(const struct secret *file, struct vault_grant *grant)
{
    const char *text = secret_reveal(file);
    const char *token = strstr(text, "\n" TOKEN);
    if (token == NULL || !find_number(text, "\n" SINCE, &grant->since) ||
        !find_number(text, "\n" WRITTEN, &grant->written))
        return NULL;
    token += sizeof("\n" TOKEN) - 1;
    size_t length = strcspn(token, "\n");
    return length > 0 && token[length] == '\n' ? secret_copy(token, length) : NULL;
}

/* A file that is not there is VAULT_NONE. */
static enum vault_answer read_file(const struct vault *vault, const char *name,
                                   struct vault_grant *grant, struct secret **token,
                                   struct error *error)
{
    struct stat state;
    int file = openat(vault->directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (file < 0 && errno == ENOENT)
        return VAULT_NONE;
    if (file < 0 || fstat(file, &state) != 0) {
        fail(vault, name, "cannot be read", error);
        if (file >= 0)
            close(file);
        return VAULT_FAILED;
    }
    struct secret *text = secret_new(FILE_MAX);
    ssize_t length =
        S_ISREG(state.st_mode) && state.st_size <= (off_t)FILE_MAX ? secret_read(text, file) : -1;
    *token = length >= 0 ? parse(text, grant) : NULL;
    secret_free(text);
    close(file);
    if (*token != NULL)
        return VAULT_FOUND;
    error_set(error, "%s/%s: no grant stands there; run `post365 login` for the account again",
              vault->path, name);
    return VAULT_FAILED;
}

enum vault_answer vault_read(const struct vault *vault, const struct vault_key *key,
                             struct vault_grant *grant, struct error *error)
{
    char name[NAME_SIZE];
    struct vault_grant before = {0};
    *grant = (struct vault_grant){0};
    name_of(key, "", name);
    enum vault_answer answer = read_file(vault, name, grant, &grant->token, error);
    name_of(key, PREVIOUS, name);
    struct error ignored;
    if (read_file(vault, name, &before, &grant->previous, &ignored) == VAULT_FOUND &&
        answer == VAULT_FAILED) {
        grant->since = before.since;
        grant->written = before.written;
        answer = VAULT_FOUND;
    }
    /* Without the one that counts it was deleted half: the rest of a logout. */
    if (answer != VAULT_FOUND)
        vault_release(grant);
    return answer;
}

void vault_release(struct vault_grant *grant)
{
    secret_free(grant->token);
    secret_free(grant->previous);
    *grant = (struct vault_grant){0};
}

/* --- writing ------------------------------------------------------------------- */

static struct secret *compose(const struct vault_key *key, const struct secret *token,
                              int64_t since, int64_t now)
{
    char *head =
        memory_format("# post365-tokend: a refresh token; `post365 logout` deletes it\n"
                      "authority=%s\ntenant=%s\nclient_id=%s\n" ACCOUNT "%s\n" SINCE "%" PRId64
                      "\n" WRITTEN "%" PRId64 "\n" TOKEN,
                      key->authority, key->tenant, key->client_id, key->account, since, now);
    size_t length = strlen(head);
    struct secret *text = secret_new(length + secret_length(token) + 1);
    secret_append(text, head, length);
    secret_append(text, secret_reveal(token), secret_length(token));
    secret_append(text, "\n", 1);
    free(head);
    return text;
}

static bool write_all(int file, const struct secret *text)
{
    const char *bytes = secret_reveal(text);
    size_t left = secret_length(text);
    while (left > 0) {
        ssize_t written = write(file, bytes, left);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        bytes += written;
        left -= (size_t)written;
    }
    return true;
}

/* Whatever an earlier attempt left under that name is nobody's. */
static bool write_aside(const struct vault *vault, const char *name, const struct secret *text,
                        struct error *error)
{
    unlinkat(vault->directory, name, 0);
    int file =
        openat(vault->directory, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file < 0)
        return fail(vault, name, "cannot be made", error);
    bool is_written = write_all(file, text) && fsync(file) == 0;
    int reason = errno;
    close(file);
    errno = reason;
    if (is_written)
        return true;
    fail(vault, name, "cannot be written", error);
    unlinkat(vault->directory, name, 0);
    return false;
}

/* The one that is there gets a second name, so that there is one at any moment. */
static bool keep_previous(const struct vault *vault, const char *current,
                          const struct vault_key *key, struct error *error)
{
    char aside[NAME_SIZE], previous[NAME_SIZE];
    name_of(key, PREVIOUS NEW, aside);
    name_of(key, PREVIOUS, previous);
    unlinkat(vault->directory, aside, 0);
    if (linkat(vault->directory, current, vault->directory, aside, 0) != 0)
        return errno == ENOENT || fail(vault, previous, "cannot be kept", error);
    if (renameat(vault->directory, aside, vault->directory, previous) == 0)
        return true;
    fail(vault, previous, "cannot be kept", error);
    unlinkat(vault->directory, aside, 0);
    return false;
}

bool vault_write(const struct vault *vault, const struct vault_key *key, const struct secret *token,
                 int64_t since, int64_t now, struct error *error)
{
    char current[NAME_SIZE], aside[NAME_SIZE];
    name_of(key, "", current);
    name_of(key, NEW, aside);
    struct secret *text = compose(key, token, since, now);
    bool is_there =
        write_aside(vault, aside, text, error) && keep_previous(vault, current, key, error);
    secret_free(text);
    if (!is_there)
        return false;
    if (renameat(vault->directory, aside, vault->directory, current) != 0)
        return fail(vault, current, "cannot be written", error);
    if (fsync(vault->directory) != 0)
        return fail(vault, ".", "cannot be flushed", error);
    return true;
}

bool vault_remove(const struct vault *vault, const struct vault_key *key, bool *was_there,
                  struct error *error)
{
    /* The one that counts first: what is left of the others then counts for nothing. */
    static const char *const suffixes[] = {"", PREVIOUS, NEW, PREVIOUS NEW};
    char name[NAME_SIZE];
    *was_there = false;
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        name_of(key, suffixes[i], name);
        if (unlinkat(vault->directory, name, 0) == 0)
            *was_there = true;
        else if (errno != ENOENT)
            return fail(vault, name, "cannot be deleted", error);
    }
    if (fsync(vault->directory) != 0)
        return fail(vault, ".", "cannot be flushed", error);
    return true;
}

/* --- all of them --------------------------------------------------------------- */

static void visit_file(const struct vault *vault, const char *name,
                       void (*visit)(void *context, const char *account), void *context)
{
    char head[HEAD_MAX];
    int file = openat(vault->directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    ssize_t length = file >= 0 ? read(file, head, sizeof(head) - 1) : -1;
    if (file >= 0)
        close(file);
    head[length > 0 ? length : 0] = '\0';
    char *account = strstr(head, "\n" ACCOUNT);
    char *token = strstr(head, "\n" TOKEN);
    if (account != NULL && token > account) {
        account += sizeof("\n" ACCOUNT) - 1;
        account[strcspn(account, "\n")] = '\0';
        if (address_is_upn(account))
            visit(context, account);
    }
    explicit_bzero(head, sizeof(head)); /* the token begins there */
}

void vault_each(const struct vault *vault, void (*visit)(void *context, const char *account),
                void *context)
{
    int descriptor = openat(vault->directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = descriptor >= 0 ? fdopendir(descriptor) : NULL;
    const struct dirent *entry;
    if (directory == NULL) {
        log_warning("%s: %s", vault->path, strerror(errno));
        return;
    }
    while ((entry = readdir(directory)) != NULL)
        if (strlen(entry->d_name) == 2 * DIGEST_BYTES)
            visit_file(vault, entry->d_name, visit, context);
    closedir(directory);
}
