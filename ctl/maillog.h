/* maillog.h - Postfix's log, wherever this machine keeps it
 *
 * A file: maillog_file, else where Debian and others have syslog write it. Or systemd's journal,
 * which is all that Debian has since version 12. Lines come as they stand in a file, from both:
 * "Nov 26 14:00:01 host postfix/lmtp[123]: 4XYZ: to=<a@b>, ...".
 *
 * Sources: MAILLOG_README, journalctl(1) (--facility), sd-journal(3).
 */
#ifndef POST365_CTL_MAILLOG_H
#define POST365_CTL_MAILLOG_H

#include <stdbool.h>
#include <time.h>

struct maillog;

/* The file, from its beginning or, if `only_new`, from where it ends now; `configured` is the value
 * of maillog_file. NULL if there is none that may be read. */
struct maillog *maillog_open_file(const char *configured, bool only_new);

/* What the journal has of the facility `mail` since then. NULL if there is none that may be read.
 */
struct maillog *maillog_open_journal(time_t since);

/* "/var/log/mail.log", or "the journal". */
const char *maillog_name(const struct maillog *log);

/* The next line, without its end; the log's, until the next call. NULL: no more for now, or (of the
 * journal) as much was read as one may wait for. */
char *maillog_line(struct maillog *log);

/* `log` may be NULL. */
void maillog_close(struct maillog *log);

/* What somebody who may read the journal types to see the lines with that text, since then. The
 * caller's to free(). */
char *maillog_command(const char *text, time_t since);

#endif
