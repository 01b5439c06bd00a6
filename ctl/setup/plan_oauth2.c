/* plan_oauth2.c - main.cf and the files of registrations: accounts that log in with OAuth2 */
#include "common/oauth2/registrations.h"
#include "ctl/setup/plan.h"

#include <string.h>

#define MAPS "post365_oauth2_maps"

static void plan_files(struct plan *plan)
{
    const struct takeover *takeover = plan->takeover;
    for (size_t i = 0; i < takeover->file_count; i++) {
        const struct takeover_file *file = &takeover->files[i];
        const char *name = strrchr(file->path, '/') + 1;
        if (file->is_secret)
            plan_change(plan, RELAY_FILES, name,
                        "By this the application shows who it is, as %s has it. For %s alone, mode "
                        "0600.",
                        takeover->source, plan->relay->settings->oauth2_user);
        else
            plan_change(plan, RELAY_FILES, name,
                        "The application in Microsoft Entra, as %s has it; no secret stands in "
                        "it.",
                        takeover->source);
        plan->changes[plan->change_count - 1].path = file->path;
    }
}

/* Whose mail would wait until he has logged in. */
static void tell_logins(struct plan *plan)
{
    const struct takeover *takeover = plan->takeover;
    for (size_t i = 0; i < takeover->account_count; i++)
        if (takeover->accounts[i].is_user)
            plan_remark(plan,
                        "%s has to log in: `post365 login %s`, before `postfix reload`, so that no "
                        "mail waits for it. What another program has of a login is not taken over.",
                        takeover->accounts[i].account, takeover->accounts[i].account);
}

static void plan_maps(struct plan *plan)
{
    const struct takeover *takeover = plan->takeover;
    plan_change(plan, RELAY_MAIN, MAPS,
                "%s log%s in with OAuth2 from now on, by tokens that post365-tokend gets. What the "
                "password table has for %s may stay, and is used no more.",
                takeover->account_count == 1 ? takeover->accounts[0].account : "These accounts",
                takeover->account_count == 1 ? "s" : "",
                takeover->account_count == 1 ? "it" : "them");
    plan_add_table(plan, MAPS, takeover->maps);
}

static void plan_server(struct plan *plan)
{
    const struct takeover *takeover = plan->takeover;
    if (takeover->relayhost != NULL) {
        plan_change(plan, RELAY_MAIN, "relayhost",
                    "post365-transport goes to Microsoft's server itself, in place of %s at %s, "
                    "which may be stopped when this works.",
                    takeover->source, takeover->former);
        plan_set(plan, "relayhost", takeover->relayhost);
    }
    if (takeover->upn != NULL) {
        plan_change(plan, RELAY_MAIN, "post365_upn",
                    "Mail that no table claims goes by this account, as before: that followed from "
                    "relayhost's line in the password table, which the new one does not have.");
        plan_set(plan, "post365_upn", takeover->upn);
    }
}

/* Nobody is moved unasked: a registration is to be made at Microsoft's first. */
static void tell_of_passwords(struct plan *plan)
{
    const struct settings *settings = plan->relay->settings;
    if (!registrations_in_use(settings) && settings->token_maps[0] == '\0')
        plan_remark(plan,
                    "The accounts log in with passwords, which Microsoft switches off for SMTP by "
                    "default from the end of December 2026 on. \"Moving to OAuth2\" in "
                    "/usr/share/doc/post365/ADMIN.md says how to register an application; then "
                    "`post365 setup --oauth2 FILE` shows what changes.");
}

void plan_oauth2(struct plan *plan)
{
    const struct takeover *takeover = plan->takeover;
    for (size_t i = 0; i < takeover->obstacle_count; i++)
        plan_duty(plan, "%s", takeover->obstacles[i]);
    if (takeover->account_count == 0) {
        tell_of_passwords(plan);
        return;
    }
    plan_files(plan);
    plan_maps(plan);
    plan_server(plan);
    tell_logins(plan);
}
