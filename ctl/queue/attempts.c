/* attempts.c - what Postfix's log says about the attempts to deliver a message */
#include "ctl/queue/attempts.h"

#include "common/memory.h"
#include "common/postconf.h"
#include "ctl/maillog.h"

#include <stdlib.h>
#include <string.h>

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

static void read_lines(struct attempts *attempts, struct maillog *log, const char *queue_id)
{
    char *mark = memory_format("]: %s: to=<", queue_id);
    const char *line;
    while (log != NULL && (line = maillog_line(log)) != NULL) {
        const char *found = strstr(line, mark);
        if (found != NULL && strstr(found, ", status=") != NULL)
            keep(attempts, line, found + strlen("]: ") + strlen(queue_id) + strlen(": "));
    }
    if (log != NULL && (attempts->count > 0 || attempts->log == NULL)) {
        free(attempts->log);
        attempts->log = memory_copy(maillog_name(log));
    }
    maillog_close(log);
    free(mark);
}

/* The caller's to free(). */
static char *find_configured(const struct settings *settings)
{
    static const char *const expressions[] = {"$maillog_file"};
    const struct postconf postconf = {.directory = settings->config_directory};
    char *path = NULL;
    struct error error;
    if (postconf_expand(&postconf, expressions, 1, &path, &error))
        return path;
    free(path);
    return memory_copy("");
}

/* A file may be there that nobody writes any more. */
void attempts_read(struct attempts *attempts, const struct settings *settings, const char *queue_id,
                   time_t since)
{
    *attempts = (struct attempts){.count = 0};
    char *configured = find_configured(settings);
    read_lines(attempts, maillog_open_file(configured, false), queue_id);
    free(configured);
    if (attempts->count == 0)
        read_lines(attempts, maillog_open_journal(since), queue_id);
}

void attempts_free(struct attempts *attempts)
{
    free(attempts->log);
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
