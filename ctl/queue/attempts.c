/* attempts.c - what Postfix's log says about the attempts to deliver a message */
#include "ctl/queue/attempts.h"

#include "common/memory.h"
#include "common/postconf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* More than Postfix writes into one. A longer one is read as several. */
#define LINE_SIZE 16384

static const char *const usual_paths[] = {"/var/log/mail.log", "/var/log/maillog"};

/* maillog_file may be /dev/stdout, which is our own. */
static bool is_log(const char *path)
{
    struct stat file;
    return path[0] == '/' && stat(path, &file) == 0 && S_ISREG(file.st_mode) &&
           access(path, R_OK) == 0;
}

/* The caller's to free(), or NULL. */
static char *find_log(const struct settings *settings)
{
    static const char *const expressions[] = {"$maillog_file"};
    const struct postconf postconf = {.directory = settings->config_directory};
    char *path = NULL;
    struct error error;
    if (postconf_expand(&postconf, expressions, 1, &path, &error) && is_log(path))
        return path;
    free(path);
    for (size_t i = 0; i < sizeof(usual_paths) / sizeof(usual_paths[0]); i++)
        if (is_log(usual_paths[i]))
            return memory_copy(usual_paths[i]);
    return NULL;
}

/* How long the time at the beginning of a line is: "Nov 26 14:00:01" or what has no blank. */
static size_t time_length(const char *line)
{
    const char *traditional = strlen(line) > 15 ? line + 6 : "";
    if (strspn(traditional, " 0123456789:") >= 9 && traditional[0] == ' ')
        return 15;
    return strcspn(line, " ");
}

static void keep(struct attempts *attempts, const char *line, const char *what)
{
    char **place = &attempts->lines[attempts->count++ % ATTEMPTS_KEPT];
    free(*place);
    *place =
        memory_format("%.*s %.*s", (int)time_length(line), line, (int)strcspn(what, "\n"), what);
}

void attempts_read(struct attempts *attempts, const struct settings *settings, const char *queue_id)
{
    *attempts = (struct attempts){.path = find_log(settings)};
    FILE *log = attempts->path != NULL ? fopen(attempts->path, "re") : NULL;
    char *mark = memory_format("]: %s: to=<", queue_id), line[LINE_SIZE];
    while (log != NULL && fgets(line, sizeof(line), log) != NULL) {
        const char *found = strstr(line, mark);
        if (found != NULL && strstr(found, ", status=") != NULL)
            keep(attempts, line, found + strlen("]: ") + strlen(queue_id) + strlen(": "));
    }
    if (log != NULL)
        fclose(log);
    free(mark);
}

void attempts_free(struct attempts *attempts)
{
    free(attempts->path);
    for (size_t i = 0; i < ATTEMPTS_KEPT; i++)
        free(attempts->lines[i]);
    *attempts = (struct attempts){.count = 0};
}

const char *attempts_line(const struct attempts *attempts, size_t number)
{
    size_t kept = attempts->count < ATTEMPTS_KEPT ? attempts->count : ATTEMPTS_KEPT;
    if (number >= kept)
        return NULL;
    return attempts->lines[(attempts->count - kept + number) % ATTEMPTS_KEPT];
}
