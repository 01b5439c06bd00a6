/* postconf.c - values of main.cf, as Postfix itself understands them
 *
 * What is to be expanded is given to postconf as the value of a parameter of Postfix, and printed.
 */
#include "common/postconf.h"

#include "common/memory.h"
#include "common/process.h"

#include <stdlib.h>
#include <string.h>

#define TIMEOUT 20 /* seconds */
#define LIMIT   ((size_t)1024 * 1024)
/* Between two values in postconf's answer: a byte that no main.cf holds. */
#define SEPARATOR "\x1f"
/* Any parameter whose value Postfix takes as free text would do. */
#define CARRIER "smtpd_banner"

/* Cuts the last line off a text. */
static const char *cut_last_line(struct buffer *text)
{
    while (text->length > 0 && text->data[text->length - 1] == '\n')
        text->data[--text->length] = '\0';
    char *newline = memrchr(text->data, '\n', text->length);
    text->length = newline != NULL ? (size_t)(newline - text->data) : 0;
    if (newline == NULL)
        return text->data;
    *newline = '\0';
    return newline + 1;
}

/* Why postconf has failed: the last line that it wrote to stderr. Of a value that cannot be
 * expanded only the line before says which; what others say may have passwords in it. */
static bool explain(int status, struct buffer *text, struct error *error)
{
    const char *line = text->data != NULL ? cut_last_line(text) : "no reason given", *before = "";
    if (text->length > 0 && strstr(line, "macro processing error") != NULL)
        before = cut_last_line(text);
    return error_set(error, "postconf ended with status %d: %s%s%s", status, line,
                     before[0] != '\0' ? "; " : "", before);
}

static size_t count_words(const char *const words[])
{
    size_t count = 0;
    while (words != NULL && words[count] != NULL)
        count++;
    return count;
}

/* What stands on the command line. The array is the caller's to free(), its words are not. */
static const char **command_line(const struct postconf *postconf, const char *const options[])
{
    size_t overrides = count_words(postconf->overrides), given = count_words(options), used = 0;
    const char **words = memory_zero(2 * overrides + given + 4, sizeof(words[0]));
    words[used++] = "postconf";
    if (postconf->directory != NULL) {
        words[used++] = "-c";
        words[used++] = postconf->directory;
    }
    for (size_t i = 0; i < overrides; i++) {
        words[used++] = "-o";
        words[used++] = postconf->overrides[i];
    }
    for (size_t i = 0; i < given; i++)
        words[used++] = options[i];
    return words;
}

bool postconf_run(const struct postconf *postconf, const char *const options[],
                  struct buffer *answer, struct error *error)
{
    struct process_result result;
    const char **words = command_line(postconf, options);
    bool fine = process_run(words, NULL, 0, TIMEOUT, LIMIT, &result, error);
    free(words);
    if (fine && result.status != 0)
        fine = explain(result.status, &result.errors, error);
    if (fine)
        buffer_append(answer, result.output.data != NULL ? result.output.data : "",
                      result.output.length);
    while (fine && answer->length > 0 && answer->data[answer->length - 1] == '\n')
        answer->data[--answer->length] = '\0';
    process_result_free(&result);
    return fine;
}

bool postconf_expand(const struct postconf *postconf, const char *const expressions[], size_t count,
                     char *values[], struct error *error)
{
    struct buffer assignment = {0}, answer = {0};
    buffer_append_string(&assignment, CARRIER "=");
    for (size_t i = 0; i < count; i++) {
        buffer_append_string(&assignment, expressions[i]);
        buffer_append_string(&assignment, SEPARATOR);
    }
    const char *const options[] = {"-o", assignment.data, "-xh", CARRIER, NULL};
    bool fine = postconf_run(postconf, options, &answer, error);
    const char *rest = answer.data;
    for (size_t i = 0; fine && i < count; i++) {
        const char *end = strstr(rest, SEPARATOR);
        if (end == NULL) {
            fine = error_set(error, "postconf: unexpected answer; is this Postfix 3.4 or later?");
            break;
        }
        while (*rest == ' ')
            rest++;
        values[i] = memory_copy_bytes(rest, end > rest ? (size_t)(end - rest) : 0);
        rest = end + strlen(SEPARATOR);
    }
    buffer_free(&assignment);
    buffer_free(&answer);
    return fine;
}

char *postconf_directory(const char *named, struct error *error)
{
    static const char *const options[] = {"-xh", "config_directory", NULL};
    const struct postconf own = {.directory = NULL};
    struct buffer answer = {0};
    if (named == NULL)
        named = getenv("MAIL_CONFIG");
    if (named != NULL)
        return memory_copy(named);
    if (postconf_run(&own, options, &answer, error))
        return buffer_take(&answer);
    error_prefix(error, "cannot find Postfix's configuration; name its directory with -c");
    buffer_free(&answer);
    return NULL;
}
