/* user.c - the system account that the daemons change to (post365_user) */
#include "common/user.h"

#include <pwd.h>
#include <unistd.h>

bool user_find(const struct settings *settings, struct user *user, struct error *error)
{
    *user = (struct user){geteuid(), getegid()};
    if (user->id != 0)
        return true;
    const struct passwd *entry = getpwnam(settings->user);
    if (entry == NULL)
        return error_set(
            error,
            "%s/main.cf: post365_user = %s: no such system account; run: systemd-sysusers, or "
            "adduser --system --group %s",
            settings->config_directory, settings->user, settings->user);
    if (entry->pw_uid == 0)
        return error_set(
            error, "%s/main.cf: post365_user = %s: must not be root; name an account of its own",
            settings->config_directory, settings->user);
    *user = (struct user){entry->pw_uid, entry->pw_gid};
    return true;
}
