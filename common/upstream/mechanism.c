/* mechanism.c - is what stands in a password table a password, and may it be sent as one? */
#include "common/upstream/mechanism.h"

#include "common/memory.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#define SEPARATORS   ", \t\r\n"
#define PASSWORD_MAX 256 /* characters, at Microsoft */
#define TOKEN_MIN    100 /* a refresh token has some hundreds */
#define TOKEN_BYTES  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~+/=*!$"

/* --- the filter --- */

/* Whether a pattern of the filter fits, or cannot be told. */
static bool fits(const char *pattern, const char *mechanism)
{
    return strcasecmp(pattern, mechanism) == 0 || pattern[0] == '/' || strchr(pattern, ':') != NULL;
}

/* The first pattern that fits decides, as in all of Postfix's lists. */
static bool allows(const char *filter, const char *mechanism)
{
    char *copy = memory_copy(filter), *rest = copy, *word;
    bool allowed = false, decided = false;
    while (!decided && (word = strsep(&rest, SEPARATORS)) != NULL) {
        bool excludes = false;
        for (; *word == '!'; word++)
            excludes = !excludes;
        decided = *word != '\0' && fits(word, mechanism) &&
                  !(excludes && strcasecmp(word, mechanism) != 0);
        allowed = decided && !excludes;
    }
    free(copy);
    return allowed;
}

bool mechanism_filter_allows_password(const char *filter)
{
    return filter[strspn(filter, SEPARATORS)] == '\0' || allows(filter, "LOGIN") ||
           allows(filter, "PLAIN");
}

/* --- what it looks like --- */

static bool is_directory(const char *parent, const char *name, size_t length)
{
    struct stat status;
    char *path = memory_format("%s/%.*s", parent, (int)length, name);
    bool is = stat(path, &status) == 0 && S_ISDIR(status.st_mode);
    free(path);
    return is;
}

/* Whether it begins with the name of a directory that is there, in the root or in the queue's
 * directory. */
static bool begins_with_directory(const char *text, size_t first, const char *queue_directory)
{
    return is_directory("", text, first) || is_directory(queue_directory, text, first);
}

/* "/etc/tokens/joe", also where there is no such file: a password may begin with a slash, but not
 * with the name of a directory that is there. Without the slash in front ("etc/tokens/joe") one
 * more has to follow; "home/joe" may well be a password. */
static bool is_path(const char *text, const char *queue_directory)
{
    static const char *const beginnings[] = {"~/", "./", "../", "file:/"};
    for (size_t i = 0; i < sizeof(beginnings) / sizeof(beginnings[0]); i++)
        if (strncasecmp(text, beginnings[i], strlen(beginnings[i])) == 0)
            return true;
    const char *relative = text + (text[0] == '/');
    size_t first = strcspn(relative, "/");
    const char *rest = relative + first + (relative[first] == '/');
    if (first == 0 || relative[first] == '\0' || *rest == '\0' ||
        (text[0] != '/' && strchr(rest, '/') == NULL))
        return false;
    return begins_with_directory(relative, first, queue_directory);
}

static bool is_json(const char *text)
{
    size_t length = strlen(text);
    return length > 2 && text[0] == '{' && text[length - 1] == '}' && strchr(text, '"') != NULL &&
           strchr(text, ':') != NULL;
}

/* Three or more parts of base64url, whose first begins with {" (RFC 7519, section 3.1). */
static bool is_jwt(const char *text)
{
    size_t dots = 0, length = strlen(text);
    if (length < 20 || strncmp(text, "eyJ", 3) != 0 || strspn(text, TOKEN_BYTES) != length)
        return false;
    for (; *text != '\0'; text++)
        dots += *text == '.';
    return dots >= 2;
}

/* How tokens begin that are no JWT: those of Microsoft Entra and of outlook.com; Google's. */
static bool is_opaque_token(const char *text)
{
    static const char *const beginnings[] = {"0.A", "1.A", "M.", "Ew", "ya29.", "1//"};
    size_t length = strlen(text);
    if (length < TOKEN_MIN || strspn(text, TOKEN_BYTES) != length)
        return false;
    for (size_t i = 0; i < sizeof(beginnings) / sizeof(beginnings[0]); i++)
        if (strncmp(text, beginnings[i], strlen(beginnings[i])) == 0)
            return true;
    return false;
}

const char *mechanism_not_password(const struct secret *secret, const char *queue_directory)
{
    const char *text = secret_reveal(secret);
    if (is_path(text, queue_directory))
        return "the path of a file";
    if (is_json(text))
        return "JSON";
    if (is_jwt(text) || is_opaque_token(text))
        return "a token";
    if (secret_length(secret) > PASSWORD_MAX)
        return "longer than a password of Microsoft's can be, as a token is";
    return NULL;
}
