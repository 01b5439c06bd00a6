/* registration.c - a registration file: the application in Microsoft Entra that tokens are for
 *
 * Lines first, then what they say together. A value that should be the path of a secret's file is
 * not shown where it is none: it may be the secret itself.
 */
#include "common/oauth2/registration.h"

#include "common/attr.h"
#include "common/buffer.h"
#include "common/closed_directory.h"
#include "common/closest.h"
#include "common/memory.h"
#include "common/utf8.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum name {
    TENANT,
    CLIENT_ID,
    CLOUD,
    GRANT,
    CLIENT_SECRET_FILE,
    CERTIFICATE_FILE,
    KEY_FILE,
    FEDERATED_TOKEN_FILE,
    MANAGED_IDENTITY,
    CLIENT_SECRET_EXPIRES,
    AUTHORITY,
    SCOPE,
    NAMES
};

static const char *const names[NAMES] = {
    [TENANT] = "tenant",
    [CLIENT_ID] = "client_id",
    [CLOUD] = "cloud",
    [GRANT] = "grant",
    [CLIENT_SECRET_FILE] = "client_secret_file",
    [CERTIFICATE_FILE] = "certificate_file",
    [KEY_FILE] = "key_file",
    [FEDERATED_TOKEN_FILE] = "federated_token_file",
    [MANAGED_IDENTITY] = "managed_identity",
    [CLIENT_SECRET_EXPIRES] = "client_secret_expires",
    [AUTHORITY] = "authority",
    [SCOPE] = "scope",
};

/* What the file has. */
struct lines {
    char *values[NAMES];     /* NULL: not there */
    unsigned numbers[NAMES]; /* of the lines */
};

/* --- lines ------------------------------------------------------------------------------------ */

static bool is_blank(char byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

/* Where the physical line at `at` ends, without its line end. */
static const char *line_end(const char *at, const char *end)
{
    const char *newline = memchr(at, '\n', (size_t)(end - at));
    return newline != NULL ? newline : end;
}

static bool is_comment(const char *line, const char *end)
{
    while (line < end && is_blank(*line))
        line++;
    return line == end || *line == '#';
}

struct reader {
    const char *at;
    const char *end;
    unsigned number; /* of the physical line before `at` */
};

/* Appends the next logical line, joined, and tells its number. False at the end. */
static bool next_line(struct reader *reader, struct buffer *line, unsigned *number)
{
    buffer_clear(line);
    while (reader->at < reader->end) {
        const char *end = line_end(reader->at, reader->end);
        bool is_nothing = is_comment(reader->at, end);
        if (!is_nothing && line->length > 0 && !is_blank(*reader->at))
            break;
        reader->number++;
        if (!is_nothing && line->length == 0)
            *number = reader->number;
        if (!is_nothing)
            buffer_append(line, reader->at, (size_t)(end - reader->at));
        reader->at = end < reader->end ? end + 1 : end;
    }
    return line->length > 0;
}

static bool unknown_name(const char *name, struct error *error)
{
    const char *closest = NULL;
    unsigned least = CLOSEST_ENOUGH;
    if (strcmp(name, "client_secret") == 0 || strcmp(name, "password") == 0)
        return error_set(error,
                         "%s: a secret must not stand in this file, which everybody may "
                         "read; put it into a file of its own and name that with "
                         "client_secret_file",
                         name);
    for (size_t i = 0; i < NAMES; i++) {
        unsigned changes = closest_distance(name, names[i]);
        if (changes < least) {
            least = changes;
            closest = names[i];
        }
    }
    if (closest != NULL)
        return error_set(error, "%s: no such name; did you mean %s?", name, closest);
    if (name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_")] != '\0')
        return error_set(error, "what stands before = is no name (it is not shown, it may be a "
                                "secret); write name = value");
    return error_set(
        error, ERROR_SHOWN ": no such name; post365_oauth2(5) has those that there are", name);
}

static bool put(struct lines *lines, unsigned number, const char *name, const char *value,
                struct error *error)
{
    size_t which = 0;
    while (which < NAMES && strcmp(names[which], name) != 0)
        which++;
    if (which == NAMES)
        return unknown_name(name, error);
    if (lines->values[which] != NULL)
        return error_set(error, "%s: stands on line %u already; leave one of them", name,
                         lines->numbers[which]);
    if (value[0] == '\0')
        return error_set(error, "%s: has no value; write %s = value, or take the line out", name,
                         name);
    if (strlen(value) > REGISTRATION_VALUE_MAX)
        return error_set(error, "%s: the value is longer than %zu bytes; shorten it", name,
                         REGISTRATION_VALUE_MAX);
    for (const char *byte = value; *byte != '\0'; byte++)
        if ((unsigned char)*byte < ' ' || *byte == 0x7f)
            return error_set(error, "%s: there is a control character in the value; take it out",
                             name);
    lines->values[which] = memory_copy(value);
    lines->numbers[which] = number;
    return true;
}

/* "name = value" */
static bool read_line(struct lines *lines, struct buffer *line, unsigned number,
                      struct error *error)
{
    char *name = line->data, *equals = strchr(line->data, '=');
    if (strlen(line->data) != line->length)
        return error_set(error, "there is a NUL in it; write text");
    if (is_blank(name[0]))
        return error_set(error, "continues nothing; begin it with a name");
    if (equals == NULL)
        return error_set(error, "no name = value; write one, or # before a comment");
    char *value = equals + 1, *end = line->data + line->length;
    for (char *byte = value; byte < end; byte++)
        if (is_blank(*byte))
            *byte = ' ';
    while (is_blank(*value))
        value++;
    while (end > value && is_blank(end[-1]))
        *--end = '\0';
    while (equals > name && is_blank(equals[-1]))
        equals--;
    *equals = '\0';
    return put(lines, number, name, value, error);
}

static bool read_lines(const char *text, size_t length, struct lines *lines, struct error *error)
{
    struct reader reader = {.at = text + utf8_mark_length(text, length), .end = text + length};
    struct buffer line = {0};
    unsigned number = 0;
    bool fine = true;
    while (fine && next_line(&reader, &line, &number))
        if (!read_line(lines, &line, number, error))
            fine = error_prefix(error, "line %u", number);
    buffer_free(&line);
    return fine;
}

static void free_lines(struct lines *lines)
{
    for (size_t i = 0; i < NAMES; i++)
        free(lines->values[i]);
}

/* --- values ----------------------------------------------------------------------------------- */

/* "line 3: tenant = contoso: " and what is wrong. Always false. */
__attribute__((format(printf, 4, 5))) static bool
wrong_value(const struct lines *lines, enum name name, struct error *error, const char *format, ...)
{
    char reason[ERROR_TEXT_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof(reason), format, arguments);
    va_end(arguments);
    error_set(error, "%s", reason);
    return error_prefix(error, "line %u: %s = " ERROR_SHOWN, lines->numbers[name], names[name],
                        lines->values[name]);
}

static char *lower_case(const char *text)
{
    char *copy = memory_copy(text);
    for (char *byte = copy; *byte != '\0'; byte++)
        *byte = (char)tolower((unsigned char)*byte);
    return copy;
}

/* 8-4-4-4-12 hexadecimal digits. */
static bool is_guid(const char *text)
{
    static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    if (strlen(text) != sizeof(form) - 1)
        return false;
    for (size_t i = 0; form[i] != '\0'; i++)
        if (form[i] == 'x' ? !isxdigit((unsigned char)text[i]) : text[i] != '-')
            return false;
    return true;
}

/* Labels of letters, digits and `-`, at least two. */
static bool is_domain(const char *text)
{
    size_t label = 0, labels = 1;
    for (; *text != '\0'; text++) {
        bool is_hyphen = *text == '-';
        if (*text == '.' && label > 0 && text[-1] != '-') {
            label = 0;
            labels++;
        } else if (isalnum((unsigned char)*text) || (is_hyphen && label > 0)) {
            label++;
        } else {
            return false;
        }
    }
    return labels > 1 && label > 0 && text[-1] != '-';
}

static bool is_any_tenant(const char *tenant)
{
    return strcasecmp(tenant, "common") == 0 || strcasecmp(tenant, "organizations") == 0;
}

static bool take_tenant(struct registration *result, const struct lines *lines, struct error *error)
{
    const char *tenant = lines->values[TENANT];
    if (tenant == NULL && !registration_is_managed(result))
        return error_set(error, "tenant is missing; write tenant = the Directory (tenant) ID that "
                                "the application's Overview shows");
    result->tenant = lower_case(tenant != NULL ? tenant : "");
    if (tenant == NULL || is_guid(tenant) || is_domain(tenant))
        return true;
    if (strcasecmp(tenant, "consumers") == 0)
        return wrong_value(lines, TENANT, error,
                           "personal accounts have no mailbox in Exchange Online; write the "
                           "Directory (tenant) ID of the organisation");
    if (is_any_tenant(tenant) && result->grant == REGISTRATION_USER)
        return true;
    if (is_any_tenant(tenant))
        return wrong_value(lines, TENANT, error,
                           "an application's own token (grant = app) is of one organisation; "
                           "write its Directory (tenant) ID");
    return wrong_value(lines, TENANT, error,
                       "neither a GUID nor a domain; write the Directory (tenant) ID that the "
                       "application's Overview shows");
}

static bool take_client_id(struct registration *result, const struct lines *lines,
                           struct error *error)
{
    const char *id = lines->values[CLIENT_ID];
    if (id == NULL && !registration_is_managed(result))
        return error_set(error, "client_id is missing; write client_id = the Application (client) "
                                "ID that the application's Overview shows");
    result->client_id = lower_case(id != NULL ? id : "");
    return id == NULL || is_guid(id) ||
           wrong_value(lines, CLIENT_ID, error,
                       "no GUID; write the Application (client) ID that the application's "
                       "Overview shows");
}

static bool take_cloud(struct registration *result, const struct lines *lines, struct error *error)
{
    const char *name = lines->values[CLOUD];
    result->cloud = name != NULL ? cloud_named(name) : cloud_at(0);
    return result->cloud != NULL ||
           wrong_value(lines, CLOUD, error,
                       "no such cloud; write global, usgov, usgov-dod or china");
}

static bool take_grant(struct registration *result, const struct lines *lines, struct error *error)
{
    const char *grant = lines->values[GRANT];
    if (grant == NULL || strcasecmp(grant, "app") == 0)
        result->grant = REGISTRATION_APP;
    else if (strcasecmp(grant, "user") == 0)
        result->grant = REGISTRATION_USER;
    else
        return wrong_value(lines, GRANT, error,
                           "no such grant; write app (the application sends as every mailbox of "
                           "its scope) or user (each account logs in, post365 login)");
    return true;
}

/* --- credentials ------------------------------------------------------------------------------ */

/* "credential:NAME" with a NAME as systemd takes them. */
static bool is_credential(const char *written)
{
    static const char prefix[] = REGISTRATION_CREDENTIAL;
    if (strncmp(written, prefix, sizeof(prefix) - 1) != 0)
        return false;
    const char *name = written + sizeof(prefix) - 1;
    if (*name == '\0' || *name == '.')
        return false;
    for (; *name != '\0'; name++)
        if (!isalnum((unsigned char)*name) && strchr("._-", *name) == NULL)
            return false;
    return true;
}

static bool take_file(char **file, const struct lines *lines, enum name name, struct error *error)
{
    const char *written = lines->values[name];
    if (written == NULL)
        return true;
    if (written[0] != '/' && !is_credential(written))
        return error_set(error,
                         "line %u: %s: no absolute path and no " REGISTRATION_CREDENTIAL
                         "NAME (what stands there is not shown, it may be the secret itself); "
                         "name the file that holds it",
                         lines->numbers[name], names[name]);
    *file = memory_copy(written);
    return true;
}

static bool take_managed(struct registration *result, const struct lines *lines,
                         struct error *error)
{
    const char *kind = lines->values[MANAGED_IDENTITY];
    if (strcasecmp(kind, "vm") == 0)
        result->credential = REGISTRATION_MANAGED_VM;
    else if (strcasecmp(kind, "arc") == 0)
        result->credential = REGISTRATION_MANAGED_ARC;
    else
        return wrong_value(lines, MANAGED_IDENTITY, error, "no such kind; write vm or arc");
    return result->grant == REGISTRATION_APP ||
           wrong_value(lines, MANAGED_IDENTITY, error,
                       "nobody logs in with a managed identity; write grant = app");
}

/* The one that is there, NAMES for none. False: there are two. */
static bool find_credential(const struct lines *lines, enum name *found, struct error *error)
{
    static const enum name all[] = {CLIENT_SECRET_FILE, CERTIFICATE_FILE, FEDERATED_TOKEN_FILE,
                                    MANAGED_IDENTITY};
    *found = NAMES;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (lines->values[all[i]] == NULL)
            continue;
        if (*found != NAMES)
            return error_set(error,
                             "line %u: %s: line %u has %s already, and an application proves in "
                             "one way who it is; leave one of them",
                             lines->numbers[all[i]], names[all[i]], lines->numbers[*found],
                             names[*found]);
        *found = all[i];
    }
    return true;
}

static bool take_credential(struct registration *result, const struct lines *lines,
                            struct error *error)
{
    enum name found;
    if (!find_credential(lines, &found, error))
        return false;
    bool has_key = lines->values[KEY_FILE] != NULL;
    if (has_key && found != CERTIFICATE_FILE)
        return error_set(error,
                         "line %u: key_file goes with certificate_file alone; name the "
                         "certificate, too, or take it out",
                         lines->numbers[KEY_FILE]);
    if (!has_key && found == CERTIFICATE_FILE)
        return error_set(error,
                         "line %u: certificate_file: key_file is missing; name the file of "
                         "the certificate's private key",
                         lines->numbers[CERTIFICATE_FILE]);
    if (lines->values[CLIENT_SECRET_EXPIRES] != NULL && found != CLIENT_SECRET_FILE)
        return error_set(error,
                         "line %u: client_secret_expires goes with client_secret_file "
                         "alone; take it out",
                         lines->numbers[CLIENT_SECRET_EXPIRES]);
    if (found == NAMES && result->grant == REGISTRATION_APP)
        return error_set(error, "nothing proves who the application is; write certificate_file "
                                "and key_file, or client_secret_file, federated_token_file or "
                                "managed_identity");
    result->credential = found == CLIENT_SECRET_FILE     ? REGISTRATION_SECRET
                         : found == CERTIFICATE_FILE     ? REGISTRATION_CERTIFICATE
                         : found == FEDERATED_TOKEN_FILE ? REGISTRATION_FEDERATED
                                                         : REGISTRATION_NONE;
    if (lines->values[MANAGED_IDENTITY] != NULL)
        return take_managed(result, lines, error);
    return take_file(&result->client_secret_file, lines, CLIENT_SECRET_FILE, error) &&
           take_file(&result->certificate_file, lines, CERTIFICATE_FILE, error) &&
           take_file(&result->key_file, lines, KEY_FILE, error) &&
           take_file(&result->federated_token_file, lines, FEDERATED_TOKEN_FILE, error);
}

static bool take_expiry(struct registration *result, const struct lines *lines, struct error *error)
{
    const char *date = lines->values[CLIENT_SECRET_EXPIRES];
    struct tm day = {0};
    if (date == NULL)
        return true;
    const char *end =
        strlen(date) == strlen("2028-11-01") ? strptime(date, "%Y-%m-%d", &day) : NULL;
    struct tm same = day;
    time_t seconds = timegm(&same);
    if (end == NULL || *end != '\0' || same.tm_mday != day.tm_mday || seconds <= 0)
        return wrong_value(lines, CLIENT_SECRET_EXPIRES, error,
                           "no date; write it as 2028-11-01, as Certificates & secrets shows it "
                           "under Expires");
    result->client_secret_expires = seconds;
    return true;
}

/* --- where and what for ----------------------------------------------------------------------- */

#define HTTPS "https://"
#define HTTP  "http://"

static bool is_loopback(const char *host)
{
    size_t length = strspn(host, "0123456789.");
    bool is_ipv4 = host[length] == '\0' || host[length] == ':';
    return (is_ipv4 && strncmp(host, "127.", 4) == 0) || strncmp(host, "[::1]", 5) == 0 ||
           strcmp(host, "localhost") == 0 || strncmp(host, "localhost:", 10) == 0;
}

/* host[:port]; an address of IPv6 stands in brackets. */
static bool is_place(const char *place)
{
    size_t host = strcspn(place, ":");
    if (place[0] == '[') {
        host = strspn(place + 1, "0123456789abcdefABCDEF:.") + 2;
        if (host == 2 || place[host - 1] != ']')
            return false;
    } else if (host == 0 || strspn(place, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                          "0123456789.-") != host) {
        return false;
    }
    const char *port = place + host;
    uint64_t number;
    return *port == '\0' ||
           (*port == ':' && attr_digits(port + 1, strlen(port + 1), UINT16_MAX, &number));
}

static bool take_authority(struct registration *result, const struct lines *lines,
                           struct error *error)
{
    const char *authority = lines->values[AUTHORITY];
    bool is_managed = registration_is_managed(result);
    if (authority == NULL) {
        result->authority = is_managed ? NULL : memory_copy(result->cloud->authority);
        return true;
    }
    bool is_https = strncasecmp(authority, HTTPS, strlen(HTTPS)) == 0;
    bool is_http = strncasecmp(authority, HTTP, strlen(HTTP)) == 0;
    const char *place = authority + strlen(is_https ? HTTPS : HTTP);
    if (is_http && !(is_managed && is_loopback(place)))
        return wrong_value(lines, AUTHORITY, error,
                           "secrets go over https alone; write https://host:port, or take it out "
                           "(http is for a managed identity on loopback)");
    if ((!is_https && !is_http) || !is_place(place))
        return wrong_value(lines, AUTHORITY, error,
                           "write https://host or https://host:port, nothing behind it, or take "
                           "it out: it follows from cloud");
    result->authority = memory_copy(authority);
    return true;
}

static bool take_scope(struct registration *result, const struct lines *lines, struct error *error)
{
    const char *scope = lines->values[SCOPE];
    if (scope == NULL)
        scope = result->grant == REGISTRATION_APP ? result->cloud->app_scope
                                                  : result->cloud->user_scope;
    for (const char *byte = scope; *byte != '\0'; byte++)
        if ((unsigned char)*byte > '~' || *byte == '"' || *byte == '\\')
            return wrong_value(lines, SCOPE, error,
                               "no scope has such characters; take it out: it follows from cloud");
    result->scope = memory_copy(scope);
    return true;
}

/* --- the whole -------------------------------------------------------------------------------- */

struct registration *registration_parse(const char *path, const char *text, size_t length,
                                        struct error *error)
{
    struct lines lines = {0};
    struct registration *result = memory_zero(1, sizeof(*result));
    result->path = memory_copy(path);
    bool fine = read_lines(text, length, &lines, error) && take_grant(result, &lines, error) &&
                take_credential(result, &lines, error) && take_tenant(result, &lines, error) &&
                take_client_id(result, &lines, error) && take_cloud(result, &lines, error) &&
                take_expiry(result, &lines, error) && take_authority(result, &lines, error) &&
                take_scope(result, &lines, error);
    free_lines(&lines);
    if (fine)
        return result;
    error_prefix(error, ERROR_SHOWN, path);
    registration_free(result);
    return NULL;
}

/* Root, who only looks at it, does not know whose it may be beside his. */
static bool is_strangers(const struct stat *status)
{
    uid_t own = geteuid();
    return own != 0 && status->st_uid != 0 && status->st_uid != own;
}

static void error_missing(const char *path, int reason, struct error *error)
{
    char *directory = reason == EACCES ? closed_directory(path) : NULL;
    if (directory != NULL)
        error_set(error,
                  ERROR_SHOWN ": %s; everybody must be able to read it, but " ERROR_SHOWN
                              " lets not everybody in; run: chmod a+x " ERROR_SHOWN,
                  path, strerror(reason), directory, directory);
    else
        error_set(error,
                  ERROR_SHOWN ": %s; write a registration there that everybody may read, "
                              "see post365_oauth2(5)",
                  path, strerror(reason));
    free(directory);
}

/* A descriptor of the file, or -1 with the reason. */
static int open_file(const char *path, const struct entra_row **cause, struct error *error)
{
    struct stat status;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    *cause = entra_named(ENTRA_REGISTRATION_MISSING);
    if (descriptor < 0 || fstat(descriptor, &status) != 0) {
        error_missing(path, errno, error);
    } else {
        *cause = entra_named(ENTRA_REGISTRATION_WRONG);
        if (!S_ISREG(status.st_mode))
            error_set(error, ERROR_SHOWN ": no regular file; name the file of a registration",
                      path);
        else if ((status.st_mode & S_IWOTH) != 0)
            error_set(error,
                      ERROR_SHOWN ": every user of this host may write it, and so choose where "
                                  "secrets go; run: chmod 644 " ERROR_SHOWN,
                      path, path);
        else if (is_strangers(&status))
            error_set(error,
                      ERROR_SHOWN ": belongs to user id %u, who may write it, and so choose where "
                                  "secrets go; run: chown root " ERROR_SHOWN,
                      path, (unsigned)status.st_uid, path);
        else
            return descriptor;
    }
    if (descriptor >= 0)
        close(descriptor);
    return -1;
}

/* At most one byte more than a file may have. -1 with errno. */
static ssize_t read_all(int descriptor, char text[REGISTRATION_FILE_MAX + 1])
{
    size_t length = 0;
    ssize_t got = 1;
    while (got > 0 && length < REGISTRATION_FILE_MAX + 1) {
        got = read(descriptor, text + length, REGISTRATION_FILE_MAX + 1 - length);
        if (got < 0 && errno == EINTR)
            got = 1;
        else if (got > 0)
            length += (size_t)got;
    }
    return got < 0 ? -1 : (ssize_t)length;
}

struct registration *registration_read(const char *path, const struct entra_row **cause,
                                       struct error *error)
{
    const struct entra_row *unused;
    if (cause == NULL)
        cause = &unused;
    *cause = entra_named(ENTRA_REGISTRATION_WRONG);
    if (path[0] != '/') {
        error_set(error,
                  ERROR_SHOWN ": no absolute path; write the whole path of the "
                              "registration's file",
                  path);
        return NULL;
    }
    int descriptor = open_file(path, cause, error);
    if (descriptor < 0)
        return NULL;
    char text[REGISTRATION_FILE_MAX + 1];
    ssize_t length = read_all(descriptor, text);
    int reason = errno;
    close(descriptor);
    if (length >= 0 && (size_t)length <= REGISTRATION_FILE_MAX)
        return registration_parse(path, text, (size_t)length, error);
    if (length < 0)
        error_set(error, ERROR_SHOWN ": %s", path, strerror(reason));
    else
        error_set(error, ERROR_SHOWN ": larger than %zu bytes; a registration is a few lines", path,
                  REGISTRATION_FILE_MAX);
    return NULL;
}

void registration_free(struct registration *registration)
{
    if (registration == NULL)
        return;
    free(registration->path);
    free(registration->tenant);
    free(registration->client_id);
    free(registration->authority);
    free(registration->scope);
    free(registration->client_secret_file);
    free(registration->certificate_file);
    free(registration->key_file);
    free(registration->federated_token_file);
    free(registration);
}

char *registration_file(const char *written, const char *directory, struct error *error)
{
    if (written[0] == '/')
        return memory_copy(written);
    if (directory != NULL)
        return memory_format("%s/%s", directory, written + strlen(REGISTRATION_CREDENTIAL));
    error_set(error,
              "%s: systemd gave no credentials; write LoadCredential=%s:/path in the unit "
              "(systemctl edit post365-tokend), or an absolute path in place of it",
              written, written + strlen(REGISTRATION_CREDENTIAL));
    return NULL;
}

const char *registration_grant_name(const struct registration *registration)
{
    return registration->grant == REGISTRATION_APP ? "app" : "user";
}

const char *registration_credential_name(const struct registration *registration)
{
    static const char *const credentials[] = {
        [REGISTRATION_NONE] = "none",
        [REGISTRATION_SECRET] = "secret",
        [REGISTRATION_CERTIFICATE] = "certificate",
        [REGISTRATION_FEDERATED] = "federated",
        [REGISTRATION_MANAGED_VM] = "managed",
        [REGISTRATION_MANAGED_ARC] = "managed",
    };
    return credentials[registration->credential];
}

bool registration_is_managed(const struct registration *registration)
{
    return registration->credential == REGISTRATION_MANAGED_VM ||
           registration->credential == REGISTRATION_MANAGED_ARC;
}

static bool same(const char *one, const char *other)
{
    return one == other || (one != NULL && other != NULL && strcmp(one, other) == 0);
}

bool registration_equal(const struct registration *one, const struct registration *other)
{
    bool is_machine = registration_is_managed(one) || registration_is_managed(other);
    return one->grant == other->grant && one->cloud == other->cloud &&
           same(one->tenant, other->tenant) && same(one->client_id, other->client_id) &&
           same(one->authority, other->authority) && same(one->scope, other->scope) &&
           (!is_machine || one->credential == other->credential);
}
