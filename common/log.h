/* log.h - log lines in mail.log's habits
 *
 * Lines go to syslog facility mail as `post365/<name>[pid]: ...`, or to stderr (option -e) with the
 * same text. Severities follow Postfix: a line without a word is information, then `warning:`,
 * `error:`, `fatal:`. Each says what, where, and what happens now. Bytes that a peer could use to
 * forge a line or to steer a terminal (control characters) are shown as `?`. Never pass a secret.
 * Safe to call from any thread.
 */
#ifndef POST365_COMMON_LOG_H
#define POST365_COMMON_LOG_H

#include <stdbool.h>

/* `name` is the program's short name (milter, policyd). Before this call lines go to stderr. */
void log_open(const char *name, bool to_stderr, bool verbose);
/* Closes every descriptor behind stderr but one, for a child that shall have no other of its
 * parent's; the way to syslog is opened anew. Returns the number that the one has from now on, or
 * -1. */
int log_close_descriptors(int kept);

/* Only with -v. */
__attribute__((format(printf, 1, 2))) void log_debug(const char *format, ...);
__attribute__((format(printf, 1, 2))) void log_info(const char *format, ...);
__attribute__((format(printf, 1, 2))) void log_warning(const char *format, ...);
__attribute__((format(printf, 1, 2))) void log_error(const char *format, ...);
/* Logs and ends the program with a status of sysexits.h. */
__attribute__((format(printf, 2, 3), noreturn)) void log_fatal(int status, const char *format, ...);

#endif
