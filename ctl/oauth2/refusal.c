/* refusal.c - why Exchange Online refuses a login whose token Microsoft Entra gave */
#include "ctl/oauth2/refusal.h"

#include <stddef.h>
#include <string.h>

#define WAIT                                                                                       \
    "If permission, scope or group were changed less than two hours ago, wait: Exchange Online "   \
    "remembers its former answer for 30 minutes, and for up to two hours where the application "   \
    "has logged in meanwhile."

static const struct refusal_words gate = {
    .name = "gate-closed",
    .seen = "the token is good, and a gate is closed",
    .meaning = "The switches of organisation and mailbox count for tokens, too. No new token, "
               "secret or permission opens them.",
    .remedy = "The mailbox's own switch overrides the organisation's; a change takes from minutes "
              "to a day:",
    .commands = REFUSAL_GATE,
};

static const struct refusal_words unfit = {
    .name = "token-unfit",
    .seen = "the token is not one for this login",
    .meaning = "What it says of itself does not fit, see OAuth2 above. Nothing that is set in "
               "Exchange Online helps as long as that is so.",
    .remedy = "Mend that first.",
    .commands = REFUSAL_NOTHING,
};

static const struct refusal_words high_volume = {
    .name = "high-volume-access",
    .seen = "High Volume Email does not let this application send",
    .meaning = "The application is not on the account's list, or lacks the permission Mail.Send.",
    .remedy = "Grant Mail.Send, and put the enterprise application on the list; it takes five "
              "minutes:",
    .commands = REFUSAL_HIGH_VOLUME,
};

static const struct refusal_words user = {
    .name = "mailbox-refused",
    .seen = "the account has logged in at Microsoft Entra, and Exchange Online refuses it",
    .meaning = "It has no mailbox in Exchange Online, or its login was revoked a moment ago.",
    .remedy = "See in the Microsoft 365 admin centre that the account has a licence with Exchange "
              "Online; then `post365 login <UPN>` once more.",
    .commands = REFUSAL_NOTHING,
};

static const struct refusal_words scope = {
    .name = "outside-scope",
    .seen = "the same token works for another account",
    .meaning = "Exchange Online knows the application, and this mailbox is not among those that "
               "it may use.",
    .remedy = "Put it into the group of the role assignment's scope, as a direct member, not "
              "through another group. " WAIT,
    .commands = REFUSAL_SCOPE,
};

static const struct refusal_words mailbox = {
    .name = "mailbox-permission",
    .seen = "the token is good, and does not open this mailbox",
    .meaning = "With the older permissions (the token has the role SMTP.SendAsApp) the application "
               "needs FullAccess to each mailbox, or the scope of RBAC for Applications.",
    .remedy = "Give it either, see below: RBAC for Applications is the better one, since it does "
              "not let the application read. " WAIT,
    .commands = REFUSAL_PERMISSION,
};

static const struct refusal_words principal = {
    .name = "principal-or-scope",
    .seen = "the token is good, and Exchange Online does not know it",
    .meaning =
        "Most often New-ServicePrincipal got the object id of the app registration, in place of "
        "the enterprise application's, or was never run; or the mailbox is not in the scope.",
    .remedy = "See what Exchange Online has, then give the permission, see below. " WAIT,
    .commands = REFUSAL_PRINCIPAL,
};

static bool is_one_of(const char *cause, const char *const *causes)
{
    while (*causes != NULL && strcmp(*causes, cause) != 0)
        causes++;
    return *causes != NULL;
}

const struct refusal_words *refusal_explain(const struct refusal *refusal)
{
    static const char *const of_gates[] = {"tenant-switch", "mailbox-switch", NULL};
    static const char *const of_high_volume[] = {"token-permission", "application-not-listed",
                                                 NULL};
    static const char *const of_tokens[] = {"token-refused", "credentials-refused", "mailbox-logon",
                                            NULL};
    if (is_one_of(refusal->cause, of_gates))
        return refusal->is_unfit ? &unfit : &gate;
    if (is_one_of(refusal->cause, of_high_volume))
        return &high_volume;
    if (!is_one_of(refusal->cause, of_tokens))
        return NULL;
    if (refusal->is_unfit)
        return &unfit;
    if (refusal->is_high_volume)
        return &high_volume;
    if (refusal->grant == TOKEN_GRANT_USER)
        return &user;
    if (strcmp(refusal->cause, "mailbox-logon") == 0 ||
        (refusal->works_for_others && refusal->model == TOKEN_MODEL_CLASSIC))
        return &mailbox;
    return refusal->works_for_others ? &scope : &principal;
}
