/* maillog.c - Postfix's log, wherever this machine keeps it */
#include "ctl/maillog.h"

#include "common/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#define ENTRIES_MAX 2000000 /* of the journal; some seconds */
#define TIME_SIZE   32
/* More than Postfix writes into one. A longer one is read as several. */
#define LINE_SIZE 16384

struct maillog {
    char *name;
    FILE *file;          /* or NULL */
    sd_journal *journal; /* or NULL */
    long entries;        /* read of the journal */
    char *line;
};

/* --- a file ------------------------------------------------------------------------------ */

static const char *const usual_paths[] = {"/var/log/mail.log", "/var/log/maillog"};

/* maillog_file may be /dev/stdout, which is our own. */
static bool is_log(const char *path)
{
    struct stat file;
    return path[0] == '/' && stat(path, &file) == 0 && S_ISREG(file.st_mode) &&
           access(path, R_OK) == 0;
}

/* The caller's to free(), or NULL. */
static char *find_file(const char *configured)
{
    if (is_log(configured))
        return memory_copy(configured);
    for (size_t i = 0; i < sizeof(usual_paths) / sizeof(usual_paths[0]); i++)
        if (is_log(usual_paths[i]))
            return memory_copy(usual_paths[i]);
    return NULL;
}

struct maillog *maillog_open_file(const char *configured, bool only_new)
{
    char *path = find_file(configured);
    FILE *file = path != NULL ? fopen(path, "re") : NULL;
    if (file == NULL || (only_new && fseek(file, 0, SEEK_END) != 0)) {
        if (file != NULL)
            fclose(file);
        free(path);
        return NULL;
    }
    struct maillog *log = memory_zero(1, sizeof(*log));
    log->name = path;
    log->file = file;
    return log;
}

/* Of half a line the rest comes later. */
static char *line_of_file(struct maillog *log)
{
    long before = ftell(log->file);
    if (log->line == NULL)
        log->line = memory_alloc(LINE_SIZE);
    /* By the place in the file: a line may have zero bytes in it. */
    size_t length =
        fgets(log->line, LINE_SIZE, log->file) != NULL ? (size_t)(ftell(log->file) - before) : 0;
    if (length > 0 && (log->line[length - 1] == '\n' || length == LINE_SIZE - 1)) {
        if (log->line[length - 1] == '\n')
            log->line[length - 1] = '\0';
        return log->line;
    }
    clearerr(log->file);
    fseek(log->file, before, SEEK_SET);
    return NULL;
}

/* --- the journal ------------------------------------------------------------------------- */

/* Without the right to read any there are none. */
static bool has_entries(sd_journal *journal)
{
    return sd_journal_has_persistent_files(journal) > 0 ||
           sd_journal_has_runtime_files(journal) > 0;
}

static bool prepare(sd_journal *journal, time_t since)
{
    char *match = memory_format("SYSLOG_FACILITY=%d", LOG_FAC(LOG_MAIL));
    bool prepared = sd_journal_add_match(journal, match, 0) >= 0 &&
                    sd_journal_get_fd(journal) >= 0 && /* to be told of a new file */
                    sd_journal_seek_realtime_usec(journal, (uint64_t)since * 1000000) >= 0;
    free(match);
    return prepared;
}

struct maillog *maillog_open_journal(time_t since)
{
    sd_journal *journal = NULL;
    if (sd_journal_open(&journal, SD_JOURNAL_LOCAL_ONLY) < 0)
        return NULL;
    if (!has_entries(journal) || !prepare(journal, since)) {
        sd_journal_close(journal);
        return NULL;
    }
    struct maillog *log = memory_zero(1, sizeof(*log));
    log->name = memory_copy("the journal");
    log->journal = journal;
    return log;
}

/* The caller's to free(), "" if the entry has no such field. */
static char *field(sd_journal *journal, const char *name)
{
    const void *data = NULL;
    size_t length = 0, prefix = strlen(name) + 1;
    if (sd_journal_get_data(journal, name, &data, &length) < 0 || length < prefix)
        return memory_copy("");
    return memory_copy_bytes((const char *)data + prefix, length - prefix);
}

/* %b would be in the language of the user. */
static void write_time(sd_journal *journal, char text[TIME_SIZE])
{
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    uint64_t microseconds = 0;
    struct tm local;
    sd_journal_get_realtime_usec(journal, &microseconds);
    const time_t seconds = (time_t)(microseconds / 1000000);
    localtime_r(&seconds, &local);
    snprintf(text, TIME_SIZE, "%s %2d %02d:%02d:%02d", months[local.tm_mon], local.tm_mday,
             local.tm_hour, local.tm_min, local.tm_sec);
}

static char *line_of_journal(struct maillog *log)
{
    char time_of_day[TIME_SIZE];
    if (log->entries >= ENTRIES_MAX)
        return NULL;
    if (sd_journal_next(log->journal) <= 0) {
        sd_journal_process(log->journal);
        return NULL;
    }
    log->entries++;
    char *host = field(log->journal, "_HOSTNAME"), *who = field(log->journal, "SYSLOG_IDENTIFIER");
    char *pid = field(log->journal, "SYSLOG_PID"), *text = field(log->journal, "MESSAGE");
    write_time(log->journal, time_of_day);
    free(log->line);
    log->line = memory_format("%s %s %s[%s]: %s", time_of_day, host, who, pid, text);
    free(host);
    free(who);
    free(pid);
    free(text);
    return log->line;
}

/* --- both -------------------------------------------------------------------------------- */

const char *maillog_name(const struct maillog *log)
{
    return log->name;
}

char *maillog_line(struct maillog *log)
{
    return log->file != NULL ? line_of_file(log) : line_of_journal(log);
}

void maillog_close(struct maillog *log)
{
    if (log == NULL)
        return;
    if (log->file != NULL)
        fclose(log->file);
    sd_journal_close(log->journal);
    free(log->line);
    free(log->name);
    free(log);
}

char *maillog_command(const char *text, time_t since)
{
    char day[TIME_SIZE];
    struct tm local;
    strftime(day, sizeof(day), "%Y-%m-%d %H:%M:%S", localtime_r(&since, &local));
    return memory_format("journalctl --facility=mail --since='%s' | grep '%s'", day, text);
}
