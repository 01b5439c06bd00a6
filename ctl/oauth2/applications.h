/* applications.h - which application an account gets its tokens by: names for a remedy
 *
 * As post365_oauth2_maps and the registration files say, whether post365-tokend runs or not. Each
 * is read once. What cannot be read has no name.
 */
#ifndef POST365_CTL_OAUTH2_APPLICATIONS_H
#define POST365_CTL_OAUTH2_APPLICATIONS_H

#include "common/settings.h"
#include "ctl/screen.h"

struct applications;

/* `settings` must outlive it. Opens nothing yet. Release with applications_free(). */
struct applications *applications_new(const struct settings *settings);
void applications_free(struct applications *applications);

/* What takes the places in a remedy for the account ("": not known). The names point to `account`
 * and to what is the applications'. */
struct screen_names applications_names(struct applications *applications, const char *account);

#endif
