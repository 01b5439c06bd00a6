/* log.c - log lines in mail.log's habits */
#include "common/log.h"

#include "common/harmless.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#define LINE_SIZE 2048

/* syslog(3) itself is one per process, and so is this. */
static struct {
    char identity[64];
    bool syslog;
    bool verbose;
} log_state = {.identity = "post365"};

void log_open(const char *name, bool to_stderr, bool verbose)
{
    snprintf(log_state.identity, sizeof(log_state.identity), "post365/%s", name);
    log_state.verbose = verbose;
    log_state.syslog = !to_stderr;
    if (!to_stderr)
        openlog(log_state.identity, LOG_PID | LOG_NDELAY, LOG_MAIL);
}

int log_close_descriptors(int kept)
{
    const int place = STDERR_FILENO + 1;
    /* First: later it would close what has got the number of its socket. */
    closelog();
    if (dup2(kept, place) < 0)
        return -1;
    close_range((unsigned)place + 1, ~0U, 0);
    if (log_state.syslog)
        openlog(log_state.identity, LOG_PID | LOG_NDELAY, LOG_MAIL);
    return place;
}

__attribute__((format(printf, 3, 0))) static void write_line(int priority, const char *severity,
                                                             const char *format, va_list arguments)
{
    char line[LINE_SIZE];
    int used = snprintf(line, sizeof(line), "%s", severity);
    vsnprintf(line + used, sizeof(line) - (size_t)used, format, arguments);
    harmless_make(line, '?'); /* the half of a character, where the line was cut, too */
    if (log_state.syslog)
        syslog(priority, "%s", line);
    else
        dprintf(STDERR_FILENO, "%s[%d]: %s\n", log_state.identity, (int)getpid(), line);
}

#define WRITE(priority, severity)                                                                  \
    do {                                                                                           \
        va_list arguments;                                                                         \
        va_start(arguments, format);                                                               \
        write_line(priority, severity, format, arguments);                                         \
        va_end(arguments);                                                                         \
    } while (0)

void log_debug(const char *format, ...)
{
    if (log_state.verbose)
        WRITE(LOG_DEBUG, "");
}

void log_info(const char *format, ...)
{
    WRITE(LOG_INFO, "");
}

void log_warning(const char *format, ...)
{
    WRITE(LOG_WARNING, "warning: ");
}

void log_error(const char *format, ...)
{
    WRITE(LOG_ERR, "error: ");
}

void log_fatal(int status, const char *format, ...)
{
    WRITE(LOG_CRIT, "fatal: ");
    exit(status);
}
