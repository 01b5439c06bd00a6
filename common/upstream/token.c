/* token.c - OAuth2 access tokens, from files that something else keeps fresh
 *
 * Security: a token is as good as a password for an hour. A file that other users of the host may
 * read or write is not used, and what is read is secret from the first byte on.
 */
#include "common/upstream/token.h"

#include "common/address.h"
#include "common/memory.h"
#include "common/user.h"
#include "common/watched_files.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PARAMETER  "post365_token_maps"
#define GROUPS_MAX 256 /* of root, more than any host has */
/* What a bearer token is made of (RFC 6750, section 2.1), with "=" at its end alone. */
#define TOKEN_BYTES "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/"

struct tokens {
    const struct settings *settings;
    struct tables *tables;
    struct watched_files *files; /* those that were asked for */
};

/* --- open and close --- */

struct tokens *tokens_reopen(struct tokens *old, const struct settings *settings,
                             struct error *error)
{
    struct tables *tables =
        tables_reopen(old != NULL ? old->tables : NULL, PARAMETER, settings->token_maps,
                      settings->config_directory, TABLE_VALUES, error);
    if (tables == NULL)
        return NULL;
    struct tokens *tokens = memory_zero(1, sizeof(*tokens));
    tokens->settings = settings;
    tokens->tables = tables;
    tokens->files = watched_files_new();
    return tokens;
}

void tokens_close(struct tokens *tokens)
{
    if (tokens == NULL)
        return;
    tables_close(tokens->tables);
    watched_files_free(tokens->files);
    free(tokens);
}

uint64_t tokens_version(struct tokens *tokens)
{
    uint64_t version;
    tables_refresh(tokens->tables, &version);
    return version + watched_files_version(tokens->files);
}

/* open(2) as the daemons do it, by post365_user, also by root: what root can read says nothing. */
static int open_as_user(const struct settings *settings, const char *path)
{
    static const int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    struct user user;
    gid_t groups[GROUPS_MAX];
    int count = getgroups(GROUPS_MAX, groups);
    if (geteuid() != 0 || settings->user == NULL || count < 0 || !user_find(settings, &user, NULL))
        return open(path, flags);
    int descriptor = -1;
    if (setgroups(1, &user.group) == 0 && setegid(user.group) == 0 && seteuid(user.id) == 0)
        descriptor = open(path, flags);
    int reason = errno;
    /* The way back to what root was is always open. */
    if (seteuid(0) != 0 || setegid(getgid()) != 0 || setgroups((size_t)count, groups) != 0)
        abort();
    errno = reason;
    return descriptor;
}

/* A descriptor of a file that may hold a token, or -1 with the reason. */
static int open_file(const struct settings *settings, const char *path, struct error *error)
{
    struct stat status;
    int descriptor = open_as_user(settings, path);
    if (descriptor < 0 && errno == EACCES)
        error_set(error, "%s: %s; run: chown %s: %s; chmod 600 %s", path, strerror(errno),
                  settings->user != NULL ? settings->user : "post365", path, path);
    else if (descriptor < 0 || fstat(descriptor, &status) != 0)
        error_set(error, "%s: %s; have a token written there", path, strerror(errno));
    else if (!S_ISREG(status.st_mode))
        error_set(error, "%s: not a regular file; name the file that holds the token", path);
    else if ((status.st_mode & (S_IROTH | S_IWOTH)) != 0)
        error_set(error, "%s: open to every user of this host; run: chmod o= %s", path, path);
    else if (status.st_size > (off_t)TOKEN_FILE_MAX)
        error_set(error, "%s: larger than %zu bytes; put the token alone there", path,
                  TOKEN_FILE_MAX);
    else
        return descriptor;
    if (descriptor >= 0)
        close(descriptor);
    return -1;
}

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r';
}

/* Leaves the first line without the blanks around it. False if that can be no token. */
static bool take_first_line(struct secret *secret)
{
    const char *bytes = secret_reveal(secret);
    const char *newline = memchr(bytes, '\n', secret_length(secret));
    size_t end = newline != NULL ? (size_t)(newline - bytes) : secret_length(secret), start = 0;
    while (start < end && is_blank(bytes[start]))
        start++;
    while (end > start && is_blank(bytes[end - 1]))
        end--;
    secret_trim(secret, start, end - start);
    size_t length = strspn(bytes, TOKEN_BYTES);
    return length > 0 && length + strspn(bytes + length, "=") == secret_length(secret);
}

/* Whether the file begins as JSON does, with which sasl-xoauth2 and others keep their tokens. */
static bool is_json(const struct secret *secret)
{
    const char *bytes = secret_reveal(secret);
    char first = bytes[strspn(bytes, " \t\r\n")];
    return first == '{' || first == '[' || first == '"';
}

static struct secret *read_token(const struct settings *settings, const char *path,
                                 struct error *error)
{
    int descriptor = open_file(settings, path, error);
    if (descriptor < 0)
        return NULL;
    struct secret *token = secret_new(TOKEN_FILE_MAX);
    bool fine = secret_read(token, descriptor) >= 0 ||
                error_set(error, "%s: %s; check the file system", path, strerror(errno));
    close(descriptor);
    if (fine && is_json(token))
        fine =
            error_set(error,
                      "%s: this is JSON, and nothing of it is sent; have the access token alone, "
                      "the value of access_token without quotes, written to a file of its own, "
                      "and name that",
                      path);
    fine = fine && (take_first_line(token) ||
                    error_set(error,
                              "%s: the first line is no access token; have the token alone, "
                              "without quotes or JSON, written there",
                              path));
    if (fine)
        return token;
    secret_free(token);
    return NULL;
}

/* --- look-ups --- */

static void name_place(const struct tokens *tokens, const char *upn, struct error *error)
{
    char *shown = tables_shown(tokens->settings->token_maps, TABLE_PASSWORDS);
    error_prefix(error, "%s/main.cf: " PARAMETER " = " ERROR_SHOWN ": for key " ERROR_SHOWN,
                 tokens->settings->config_directory, shown, upn);
    free(shown);
}

enum table_answer tokens_find(struct tokens *tokens, const char *upn, struct secret **token,
                              struct error *error)
{
    char *path = NULL;
    *token = NULL;
    enum table_answer answer = tables_find(tokens->tables, upn, &path, error);
    if (answer != TABLE_FOUND)
        return answer;
    if (path[0] == '/') {
        watched_files_add(tokens->files, path);
        *token = read_token(tokens->settings, path, error);
    } else {
        /* It may be the token itself that stands there. */
        error_set(error, "no absolute path; write that of the file that holds the token");
    }
    if (*token == NULL)
        name_place(tokens, upn, error);
    free(path);
    return *token != NULL ? TABLE_FOUND : TABLE_FAILED;
}

struct upn_visit {
    void (*visit)(void *context, const char *upn);
    void *context;
};

static void visit_upn(void *context, const char *key)
{
    const struct upn_visit *upns = context;
    if (address_is_upn(key))
        upns->visit(upns->context, key);
}

bool tokens_each(struct tokens *tokens, void (*visit)(void *context, const char *upn),
                 void *context)
{
    struct upn_visit upns = {.visit = visit, .context = context};
    tables_each_key(tokens->tables, visit_upn, &upns);
    return tables_can_list(tokens->tables);
}

bool tokens_check(struct tokens *tokens, struct error *error)
{
    return tables_check(tokens->tables, error);
}
