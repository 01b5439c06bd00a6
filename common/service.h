/* service.h - a daemon's life: options, settings, privileges, readiness
 *
 * The order is the same in every daemon: service_start() (options, settings), open what needs root
 * (tables, sockets), service_drop_privileges(), try what is needed as the final user, then
 * service_ready(). With -t the daemon goes the same way without listening and ends in
 * service_end_test(). Everything that is wrong up to there is one log line and exit status 78
 * (EX_CONFIG), by service_refuse().
 */
#ifndef POST365_COMMON_SERVICE_H
#define POST365_COMMON_SERVICE_H

#include "common/error.h"
#include "common/identity.h"
#include "common/settings.h"

#include <stdbool.h>

struct service {
    const char *name;          /* "policyd": for the log and systemd */
    const char *program;       /* "post365-policyd" */
    const char *summary;       /* one sentence for --help */
    bool has_workers;          /* each calls service_start_helper() itself */
    bool needs_passwords;      /* not only the user names of password tables */
    bool test;                 /* -t */
    bool to_stderr;            /* -e or -t */
    char *config_directory;    /* -c, or NULL */
    const char **overrides;    /* -o, NULL-terminated */
    struct settings *settings; /* in force; replaced by the daemon at a reload */
};

/*
 * Reads the options (-c -o -e -v -V -t --help), opens the log, puts /dev/null on descriptors 0 to 2
 * that are closed, forbids core files, allows as many descriptors as the host does, ignores SIGPIPE
 * and (until the daemon handles it) SIGUSR1, reads the settings. As root it starts the helper that
 * stays root (table_helper.h), unless `has_workers` says that each of them does it. `service` comes
 * with name, program, summary and needs_passwords set. Ends the program: 0 after -V and --help, 64
 * (EX_USAGE) for wrong options, 72 (EX_OSFILE) without /dev/null, 78 (EX_CONFIG) for wrong
 * settings.
 */
void service_start(struct service *service, int argc, char *argv[]);

/* By a worker of a program that has them, as root: its helper (table_helper.h). Two processes must
 * not share one. Ends the program where it cannot be started. */
void service_start_helper(const struct service *service);

/* Reads the settings again with the same options, for a reload; so does the helper. NULL with the
 * reason; the old stay in force. */
struct settings *service_read_settings(const struct service *service, struct error *error);

/* Changes to post365_user for good (setgroups, setgid, setuid, checked) if the program runs as
 * root, else does nothing. False with the reason: no such user. */
bool service_drop_privileges(const struct settings *settings, struct error *error);

/* No core files of this program, wherever the kernel would send them; again after a change of ids.
 */
void service_forbid_core_files(void);

/* What could be changed only by a restart: logs a warning for each of the users, the sockets and
 * the directories that differ. */
void service_warn_restart(const struct settings *old, const struct settings *new);

/* Tells systemd (if it is there) and the log that work starts, was reloaded, or ends. The first two
 * say as well which account mail goes out with that no table claims, or warn that there is none;
 * nothing of it for a daemon that has no `identities` (NULL). */
void service_ready(const struct service *service, struct identities *identities);
void service_reloaded(const struct service *service, struct identities *identities);
void service_stopping(const struct service *service);

/* -t: prints the effective settings and that account to stdout, or the warning to stderr, and ends
 * the program with status 0. `identities` as above. */
__attribute__((noreturn)) void service_end_test(const struct service *service,
                                                struct identities *identities);

/* Logs `fatal: <reason>`, says it on stderr as well, and ends the program with EX_CONFIG. */
__attribute__((noreturn)) void service_refuse(const struct service *service,
                                              const struct error *error);

#endif
