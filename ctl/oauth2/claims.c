/* claims.c - what an access token says of itself, in words, and what of it is wrong */
#include "ctl/oauth2/claims.h"

#include <string.h>
#include <strings.h>

static const char *const names[CLAIMS] = {
    [CLAIM_AUDIENCE] = "aud", [CLAIM_TENANT] = "tid", [CLAIM_APP] = "app",
    [CLAIM_ROLES] = "roles",  [CLAIM_SCOPES] = "scp", [CLAIM_USER] = "user",
    [CLAIM_OBJECT] = "oid",   [CLAIM_END] = "exp",
};

/* Exchange Online, in each cloud. */
static const char *const exchange[] = {
    "https://outlook.office365.com",        "https://outlook.office.com",
    "https://outlook.office365.us",         "https://partner.outlook.cn",
    "00000002-0000-0ff1-ce00-000000000000",
};

const char *claims_name(enum claim claim)
{
    return names[claim];
}

void claims_take(struct claims *claims, const struct token_reply *reply)
{
    struct token_claim told;
    size_t position = 0;
    *claims = (struct claims){.are_there = false};
    while (token_reply_next_claim(reply, &position, &told))
        for (size_t i = 0; i < CLAIMS; i++)
            if (strcmp(told.name, names[i]) == 0 && claims->value[i][0] == '\0') {
                memcpy(claims->value[i], told.value, strnlen(told.value, TOKEN_VALUE_MAX));
                claims->are_there = true;
            }
}

/* --- looking --------------------------------------------------------------------- */

/* "https://outlook.office365.com/" is the same. */
static bool is_for_exchange(const char *audience)
{
    size_t length = strlen(audience);
    while (length > 0 && audience[length - 1] == '/')
        length--;
    for (size_t i = 0; i < sizeof(exchange) / sizeof(exchange[0]); i++)
        if (strlen(exchange[i]) == length && strncasecmp(audience, exchange[i], length) == 0)
            return true;
    return false;
}

/* A tenant may also be named by one of its domains, which no claim repeats. */
static bool is_guid(const char *text)
{
    static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    if (strlen(text) != strlen(form))
        return false;
    for (size_t i = 0; form[i] != '\0'; i++)
        if ((text[i] == '-') != (form[i] == '-') ||
            strchr("0123456789abcdefABCDEF-", text[i]) == NULL)
            return false;
    return true;
}

/* Whether a list with blanks between has this word. */
static bool has_word(const char *list, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = list; *at != '\0';) {
        size_t next = strcspn(at, " ,");
        if (next == length && strncasecmp(at, word, length) == 0)
            return true;
        at += next;
        at += strspn(at, " ,");
    }
    return false;
}

/* --- telling --------------------------------------------------------------------- */

struct telling {
    const struct claims *claims;
    const struct token_subject *subject;
    claims_tell *tell;
    void *context;
};

static void say(const struct telling *telling, const char *label, bool is_wrong, const char *value,
                const char *words)
{
    struct buffer line = {0};
    buffer_format(&line, "%s%s", value, words);
    telling->tell(telling->context, label, line.data, is_wrong);
    buffer_free(&line);
}

static const char *value_of(const struct telling *telling, enum claim claim)
{
    return telling->claims->value[claim];
}

static void tell_audience(const struct telling *telling)
{
    const char *audience = value_of(telling, CLAIM_AUDIENCE);
    if (audience[0] == '\0')
        return;
    if (is_for_exchange(audience))
        say(telling, "good at", false, audience, ", Exchange Online");
    else
        say(telling, "good at", true, audience,
            ", which is not Exchange Online: it refuses such a token. Take `scope` out of the "
            "registration, and compare its `cloud`");
}

static void tell_tenant(const struct telling *telling)
{
    const char *tenant = value_of(telling, CLAIM_TENANT);
    if (tenant[0] == '\0')
        return;
    if (!is_guid(telling->subject->tenant))
        say(telling, "tenant id", false, tenant, "");
    else if (strcasecmp(tenant, telling->subject->tenant) != 0)
        say(telling, "tenant id", true, tenant, ", which is not the registration's `tenant`");
}

static void tell_app(const struct telling *telling)
{
    const char *app = value_of(telling, CLAIM_APP);
    if (app[0] != '\0' && telling->subject->client_id[0] != '\0' &&
        strcasecmp(app, telling->subject->client_id) != 0)
        say(telling, "app id", true, app, ", which is not the registration's `client_id`");
}

static void tell_delegated(const struct telling *telling)
{
    const char *scopes = value_of(telling, CLAIM_SCOPES);
    if (has_word(scopes, "SMTP.Send"))
        say(telling, "permission", false, scopes, ": on behalf of the user who logged in");
    else
        say(telling, "permission", true, scopes[0] != '\0' ? scopes : "none",
            ": SMTP.Send is not among it. Give the application this delegated permission, and "
            "take `scope` out of the registration");
}

static void tell_permission(const struct telling *telling)
{
    const char *roles = value_of(telling, CLAIM_ROLES);
    switch (telling->subject->model) {
    case TOKEN_MODEL_DELEGATED:
        tell_delegated(telling);
        break;
    case TOKEN_MODEL_CLASSIC:
        say(telling, "permission", false, roles,
            ": the classic permission, which wants FullAccess to each mailbox. `Application "
            "SMTP.SendAsApp` of RBAC for Applications does with less");
        break;
    case TOKEN_MODEL_RBAC:
        if (roles[0] != '\0')
            say(telling, "permission", false, roles, ", and what RBAC for Applications gives");
        else
            say(telling, "permission", false, "",
                "RBAC for Applications: no role is in the token, and `Application SMTP.SendAsApp` "
                "in Exchange decides");
        break;
    default:
        break;
    }
}

static void tell_user(const struct telling *telling)
{
    const char *user = value_of(telling, CLAIM_USER);
    if (telling->subject->grant != TOKEN_GRANT_USER || user[0] == '\0')
        return;
    if (strcasecmp(user, telling->subject->account) == 0)
        say(telling, "user", false, user, "");
    else
        say(telling, "user", true, user,
            " has logged in, who is not the account: run `post365 login` and log in as the "
            "account");
}

static void tell_object(const struct telling *telling)
{
    const char *object = value_of(telling, CLAIM_OBJECT);
    if (telling->subject->grant == TOKEN_GRANT_APP && object[0] != '\0')
        say(telling, "object id", false, object, ", what `New-ServicePrincipal -ObjectId` wants");
}

void claims_explain(const struct claims *claims, const struct token_subject *subject,
                    claims_tell *tell, void *context)
{
    const struct telling telling = {claims, subject, tell, context};
    if (!claims->are_there)
        return;
    tell_audience(&telling);
    tell_tenant(&telling);
    tell_app(&telling);
    tell_permission(&telling);
    tell_user(&telling);
    tell_object(&telling);
}

static void note_wrong(void *context, const char *label, const char *text, bool is_wrong)
{
    bool *are_wrong = context;
    (void)label;
    (void)text;
    *are_wrong = *are_wrong || is_wrong;
}

bool claims_are_wrong(const struct claims *claims, const struct token_subject *subject)
{
    bool are_wrong = false;
    claims_explain(claims, subject, note_wrong, &are_wrong);
    return are_wrong;
}
