/* as_user.c - what may another account of this machine do? */
#include "ctl/doctor/as_user.h"

#include "common/service.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE 10 /* seconds */

typedef bool attempt(const char *path); /* false with errno */

/* It must not wait for whoever writes a named pipe. */
static bool try_to_read(const char *path)
{
    return open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC) >= 0;
}

static bool try_to_connect(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    return descriptor >= 0 &&
           connect(descriptor, (const struct sockaddr *)&address, sizeof(address)) == 0;
}

/* Ends with 0, or an errno. */
__attribute__((noreturn)) static void try_in_child(attempt *work, const struct passwd *who,
                                                   const char *path)
{
    signal(SIGALRM, SIG_DFL);
    alarm(PATIENCE);
    if (geteuid() == 0 && who != NULL &&
        (initgroups(who->pw_name, who->pw_gid) != 0 || setgid(who->pw_gid) != 0 ||
         setuid(who->pw_uid) != 0))
        _exit(errno);
    service_forbid_core_files();
    _exit(work(path) ? 0 : errno);
}

static bool try(attempt *work, const char *account, const char *path, struct error *error)
{
    int status = 0;
    const struct passwd *who = getpwnam(account);
    if (who == NULL && geteuid() == 0)
        return error_set(error, "there is no account %s on this machine", account);
    pid_t child = fork();
    if (child == 0)
        try_in_child(work, who, path);
    if (child < 0 || waitpid(child, &status, 0) != child)
        return error_set(error, "cannot try it: %s", strerror(errno));
    if (!WIFEXITED(status))
        return error_set(error, "no answer within %d s", PATIENCE);
    return WEXITSTATUS(status) == 0 || error_set(error, "%s", strerror(WEXITSTATUS(status)));
}

bool as_user_read(const char *account, const char *path, struct error *error)
{
    return try(try_to_read, account, path, error);
}

bool as_user_connect(const char *account, const char *path, struct error *error)
{
    return try(try_to_connect, account, path, error);
}
