/* permissions.c - what an administrator of Exchange Online types so that an application may send */
#include "ctl/oauth2/permissions.h"

#include "common/guid.h"
#include "common/memory.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* --- words of PowerShell ------------------------------------------------------------ */

static bool is_guid(const char *text)
{
    return text != NULL && guid_is(text, strlen(text));
}

/* What PowerShell takes as one word wherever it stands, and as nothing else. */
static bool is_plain(const char *text)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "._-@+";
    return isalnum((unsigned char)text[0]) && text[strspn(text, plain)] == '\0';
}

/* Of the quotation marks U+2018 to U+201B, which PowerShell takes for an apostrophe. */
static bool is_curly_quote(const char *text)
{
    const unsigned char *bytes = (const unsigned char *)text;
    return bytes[0] == 0xe2 && bytes[1] == 0x80 && bytes[2] >= 0x98 && bytes[2] <= 0x9b;
}

/* A word, in apostrophes if it needs any. Within them nothing has a meaning but themselves, and
 * these are written twice. */
static void write_word(struct buffer *text, const char *word)
{
    if (is_plain(word)) {
        buffer_append_string(text, word);
        return;
    }
    buffer_append_string(text, "'");
    for (const char *at = word; *at != '\0'; at++) {
        size_t length = is_curly_quote(at) ? 3 : 1;
        if (length == 3 || *at == '\'')
            buffer_append(text, at, length);
        if ((unsigned char)*at >= ' ')
            buffer_append(text, at, length);
        at += length - 1;
    }
    buffer_append_string(text, "'");
}

static const char *client_id_of(const struct permissions *permissions)
{
    return is_guid(permissions->client_id) ? permissions->client_id : "'<client id>'";
}

/* The object id of the enterprise application; where no token has told it, the directory does. */
static void write_object_id(struct buffer *text, const struct permissions *permissions)
{
    if (is_guid(permissions->object_id))
        buffer_append_string(text, permissions->object_id);
    else
        buffer_format(text, "(Get-MgServicePrincipal -Filter \"appId eq '%s'\").Id",
                      is_guid(permissions->client_id) ? permissions->client_id : "<client id>");
}

static void write_for_each(struct buffer *text, const struct permissions *permissions,
                           const char *before, const char *behind)
{
    for (size_t i = 0; i < permissions->account_count; i++) {
        buffer_append_string(text, before);
        write_word(text, permissions->accounts[i]);
        buffer_format(text, "%s\n", behind);
    }
}

/* --- lines -------------------------------------------------------------------------- */

static void write_connection(struct buffer *text, const struct permissions *permissions)
{
    buffer_append_string(text, "Connect-ExchangeOnline");
    if (permissions->environment != NULL)
        buffer_format(text, " -ExchangeEnvironmentName %s", permissions->environment);
    buffer_append_string(text, "\n");
}

/* Behind this the object id is known, or there is somebody to ask. */
static void write_directory(struct buffer *text, const struct permissions *permissions)
{
    if (!is_guid(permissions->object_id))
        buffer_append_string(text, "Connect-MgGraph -Scopes Application.Read.All\n");
}

static void write_principal(struct buffer *text, const struct permissions *permissions)
{
    buffer_append_string(text, "# The object id is that of the enterprise application, not of the "
                               "app registration.\n");
    buffer_format(text, "New-ServicePrincipal -AppId %s -ObjectId ", client_id_of(permissions));
    write_object_id(text, permissions);
    buffer_format(text, " -DisplayName %s\n", permissions->name);
}

static void write_members(struct buffer *text, const struct permissions *permissions)
{
    char *before =
        memory_format("Add-DistributionGroupMember -Identity %s -Member ", permissions->name);
    write_for_each(text, permissions, before, "");
    free(before);
}

static void write_test(struct buffer *text, const struct permissions *permissions)
{
    char *before = memory_format("Test-ServicePrincipalAuthorization -Identity %s -Resource ",
                                 client_id_of(permissions));
    buffer_append_string(text,
                         "# InScope has to be True. Exchange Online itself may take two hours "
                         "to notice.\n");
    write_for_each(text, permissions, before, "");
    free(before);
}

/* --- the models --------------------------------------------------------------------- */

static void write_rbac(struct buffer *text, const struct permissions *permissions)
{
    const char *name = permissions->name;
    buffer_append_string(text, "# RBAC for Applications: no API permission in Entra is needed.\n");
    write_connection(text, permissions);
    write_directory(text, permissions);
    write_principal(text, permissions);
    buffer_append_string(text, "# Direct members count, those of groups within it do not.\n");
    buffer_format(text, "New-DistributionGroup -Name %s -Type Security\n", name);
    write_members(text, permissions);
    buffer_format(text,
                  "New-ManagementScope -Name %s -RecipientRestrictionFilter \"MemberOfGroup -eq "
                  "'$((Get-DistributionGroup %s).DistinguishedName)'\"\n",
                  name, name);
    buffer_format(text,
                  "New-ManagementRoleAssignment -Name %s -Role 'Application SMTP.SendAsApp' -App "
                  "%s -CustomResourceScope %s\n",
                  name, client_id_of(permissions), name);
    write_test(text, permissions);
}

/* FullAccess reads all mail of the mailbox, which nobody should find out later. */
static void write_classic(struct buffer *text, const struct permissions *permissions)
{
    struct buffer behind = {0};
    buffer_append_string(
        text, "# The older way, which lets the application read these mailboxes as well. In the\n"
              "# Entra admin centre: App registrations, API permissions, Office 365 Exchange\n"
              "# Online, Application permissions, SMTP.SendAsApp; then grant admin consent.\n");
    write_connection(text, permissions);
    write_directory(text, permissions);
    write_principal(text, permissions);
    buffer_append_string(&behind, " -User ");
    if (is_guid(permissions->object_id))
        buffer_append_string(&behind, permissions->object_id);
    else
        buffer_format(&behind, "(Get-ServicePrincipal -Identity %s).Identity",
                      client_id_of(permissions));
    buffer_append_string(&behind, " -AccessRights FullAccess");
    char *end = buffer_take(&behind);
    write_for_each(text, permissions, "Add-MailboxPermission -Identity ", end);
    free(end);
}

static void write_high_volume(struct buffer *text, const struct permissions *permissions)
{
    struct buffer behind = {0};
    buffer_append_string(text,
                         "# High Volume Email. In the Entra admin centre: App registrations, API\n"
                         "# permissions, Office 365 Exchange Online, Mail.Send; then grant admin "
                         "consent.\n");
    write_connection(text, permissions);
    write_directory(text, permissions);
    buffer_append_string(text, "# The object id of the enterprise application; it takes five "
                               "minutes.\n");
    buffer_append_string(&behind, " -AppIds ");
    write_object_id(&behind, permissions);
    char *end = buffer_take(&behind);
    write_for_each(text, permissions, "Add-HVEAppAccess -Identity ", end);
    free(end);
}

void permissions_write(struct buffer *text, enum permissions_model model,
                       const struct permissions *permissions)
{
    static void (*const writers[])(struct buffer *, const struct permissions *) = {
        [PERMISSIONS_RBAC] = write_rbac,
        [PERMISSIONS_CLASSIC] = write_classic,
        [PERMISSIONS_HIGH_VOLUME] = write_high_volume,
    };
    writers[model](text, permissions);
}

void permissions_write_principal(struct buffer *text, const struct permissions *permissions)
{
    const char *client_id = client_id_of(permissions);
    write_connection(text, permissions);
    write_directory(text, permissions);
    buffer_format(text,
                  "Get-ServicePrincipal -Identity %s | Format-List AppId, ObjectId, DisplayName\n",
                  client_id);
    buffer_append_string(text, "# If ObjectId is not ");
    write_object_id(text, permissions);
    buffer_append_string(text, ":\n");
    buffer_format(text, "Remove-ServicePrincipal -Identity %s\n", client_id);
    write_principal(text, permissions);
}

void permissions_write_scope(struct buffer *text, const struct permissions *permissions)
{
    write_connection(text, permissions);
    buffer_append_string(text, "# The group that the scope of the role assignment names. Direct "
                               "members count alone.\n");
    write_members(text, permissions);
    write_test(text, permissions);
}

void permissions_write_gate(struct buffer *text, const struct permissions *permissions)
{
    write_connection(text, permissions);
    write_for_each(text, permissions, "Set-CASMailbox -Identity ",
                   " -SmtpClientAuthenticationDisabled $false");
    write_for_each(text, permissions, "Get-CASMailbox -Identity ",
                   " | Format-List SmtpClientAuthenticationDisabled");
}

const char *permissions_environment(const char *cloud)
{
    static const struct {
        const char *cloud, *environment;
    } known[] = {
        {"usgov", "O365USGovGCCHigh"}, {"usgov-dod", "O365USGovDoD"}, {"china", "O365China"}};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strcmp(cloud, known[i].cloud) == 0)
            return known[i].environment;
    return NULL;
}
