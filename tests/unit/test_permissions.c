/* test_permissions.c - what an administrator is told to type does what it says, and no more */
#include "ctl/oauth2/permissions.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CLIENT_ID "11111111-2222-3333-4444-555555555555"
#define OBJECT_ID "aaaaaaaa-bbbb-CCCC-dddd-eeeeeeeeeeee"

static const char *const accounts[] = {"relay@contoso.com", "joe@contoso.com"};

static struct permissions known(void)
{
    return (struct permissions){.client_id = CLIENT_ID,
                                .object_id = OBJECT_ID,
                                .name = "post365",
                                .accounts = accounts,
                                .account_count = 2};
}

/* Where a line that begins so is; fails if there is none. */
static const char *line(const char *text, const char *start)
{
    const char *at = text;
    size_t length = strlen(start);
    while (strncmp(at, start, length) != 0) {
        at = strchr(at, '\n');
        if (at == NULL || at[1] == '\0')
            fail_msg("no line begins with \"%s\" in:\n%s", start, text);
        at++;
    }
    return at;
}

/* The lines are there, whole, and in this order. */
static void expect(const char *text, const char *const *lines)
{
    const char *last = text;
    for (; *lines != NULL; lines++) {
        const char *at = line(text, *lines);
        assert_true(at >= last);
        assert_int_equal(at[strlen(*lines)], '\n');
        last = at;
    }
}

static char *written(enum permissions_model model, const struct permissions *permissions)
{
    struct buffer text = {0};
    permissions_write(&text, model, permissions);
    return buffer_take(&text);
}

static void rbac_has_all_ids_and_ends_with_the_test(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "Connect-ExchangeOnline",
        "New-ServicePrincipal -AppId " CLIENT_ID " -ObjectId " OBJECT_ID " -DisplayName post365",
        "New-DistributionGroup -Name post365 -Type Security",
        "Add-DistributionGroupMember -Identity post365 -Member relay@contoso.com",
        "Add-DistributionGroupMember -Identity post365 -Member joe@contoso.com",
        "New-ManagementScope -Name post365 -RecipientRestrictionFilter \"MemberOfGroup -eq "
        "'$((Get-DistributionGroup post365).DistinguishedName)'\"",
        "New-ManagementRoleAssignment -Name post365 -Role 'Application SMTP.SendAsApp' "
        "-App " CLIENT_ID " -CustomResourceScope post365",
        "Test-ServicePrincipalAuthorization -Identity " CLIENT_ID " -Resource relay@contoso.com",
        "Test-ServicePrincipalAuthorization -Identity " CLIENT_ID " -Resource joe@contoso.com",
        NULL};
    struct permissions permissions = known();
    char *text = written(PERMISSIONS_RBAC, &permissions);
    expect(text, lines);
    const char *end = strstr(text, "-Resource joe@contoso.com\n");
    assert_non_null(end);
    assert_string_equal(end, "-Resource joe@contoso.com\n"); /* the last line */
    assert_null(strstr(text, "Get-Mg"));
    assert_null(strstr(text, "FullAccess"));
    free(text);
}

static void classic_gives_each_mailbox(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "Connect-ExchangeOnline",
        "New-ServicePrincipal -AppId " CLIENT_ID " -ObjectId " OBJECT_ID " -DisplayName post365",
        "Add-MailboxPermission -Identity relay@contoso.com -User " OBJECT_ID
        " -AccessRights FullAccess",
        "Add-MailboxPermission -Identity joe@contoso.com -User " OBJECT_ID
        " -AccessRights FullAccess",
        NULL};
    struct permissions permissions = known();
    char *text = written(PERMISSIONS_CLASSIC, &permissions);
    expect(text, lines);
    assert_non_null(strstr(text, "SMTP.SendAsApp"));
    assert_non_null(strstr(text, "admin consent"));
    free(text);
}

static void high_volume_names_the_enterprise_application(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "Add-HVEAppAccess -Identity relay@contoso.com -AppIds " OBJECT_ID, NULL};
    struct permissions permissions = known();
    char *text = written(PERMISSIONS_HIGH_VOLUME, &permissions);
    expect(text, lines);
    assert_non_null(strstr(text, "Mail.Send"));
    assert_null(strstr(text, "SMTP.SendAsApp"));
    free(text);
}

static void each_cloud_has_its_own_exchange(void **state)
{
    (void)state;
    static const char *const clouds[][2] = {
        {"usgov", "O365USGovGCCHigh"}, {"usgov-dod", "O365USGovDoD"}, {"china", "O365China"}};
    assert_null(permissions_environment("global"));
    assert_null(permissions_environment(""));
    for (size_t i = 0; i < 3; i++) {
        struct permissions permissions = known();
        permissions.environment = permissions_environment(clouds[i][0]);
        assert_string_equal(permissions.environment, clouds[i][1]);
        char *text = written(PERMISSIONS_RBAC, &permissions);
        const char *at = line(text, "Connect-ExchangeOnline -ExchangeEnvironmentName ");
        assert_non_null(strstr(at, clouds[i][1]));
        free(text);
    }
}

static void an_object_id_that_nobody_knows_is_looked_up(void **state)
{
    (void)state;
    static const char *const unknown[] = {NULL, "", "relay", CLIENT_ID "0"};
    for (size_t i = 0; i < 4; i++) {
        struct permissions permissions = known();
        permissions.object_id = unknown[i];
        char *text = written(PERMISSIONS_RBAC, &permissions);
        line(text, "Connect-MgGraph -Scopes Application.Read.All\n");
        line(text, "New-ServicePrincipal -AppId " CLIENT_ID
                   " -ObjectId (Get-MgServicePrincipal -Filter \"appId eq '" CLIENT_ID "'\").Id ");
        free(text);
        text = written(PERMISSIONS_CLASSIC, &permissions);
        assert_non_null(strstr(text, "-User (Get-ServicePrincipal -Identity " CLIENT_ID
                                     ").Identity -AccessRights FullAccess\n"));
        free(text);
    }
}

/* A server of somebody else's may have made the token. */
static void an_id_that_is_none_is_no_command(void **state)
{
    (void)state;
    static const char *const hostile[] = {
        "11111111-2222-3333-4444-55555555555;", "11111111-2222-3333-4444-5555555555$x",
        "1'; Remove-Mailbox joe@contoso.com #", "11111111-2222-3333-4444-555555555555\nx"};
    for (size_t i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
        struct permissions permissions = known();
        permissions.client_id = permissions.object_id = hostile[i];
        for (unsigned model = 0; model <= PERMISSIONS_HIGH_VOLUME; model++) {
            char *text = written((enum permissions_model)model, &permissions);
            assert_null(strstr(text, hostile[i]));
            assert_non_null(strstr(text, "<client id>"));
            free(text);
        }
    }
}

static void an_account_is_one_word(void **state)
{
    (void)state;
    static const char *const odd[] = {"o'brien@contoso.com", "a;b$c@contoso.com",
                                      "x\xe2\x80\x99;y@contoso.com", "@contoso",
                                      "a\nb@contoso.com"};
    static const char *const lines[] = {
        "Set-CASMailbox -Identity 'o''brien@contoso.com' -SmtpClientAuthenticationDisabled $false",
        "Set-CASMailbox -Identity 'a;b$c@contoso.com' -SmtpClientAuthenticationDisabled $false",
        "Set-CASMailbox -Identity 'x\xe2\x80\x99\xe2\x80\x99;y@contoso.com' "
        "-SmtpClientAuthenticationDisabled $false",
        "Set-CASMailbox -Identity '@contoso' -SmtpClientAuthenticationDisabled $false",
        "Set-CASMailbox -Identity 'ab@contoso.com' -SmtpClientAuthenticationDisabled $false",
        NULL};
    struct permissions permissions = known();
    struct buffer text = {0};
    permissions.accounts = odd;
    permissions.account_count = 5;
    permissions_write_gate(&text, &permissions);
    expect(text.data, lines);
    buffer_free(&text);
}

static void what_is_there_is_looked_at_before_it_is_taken_out(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "Connect-ExchangeOnline",
        "Get-ServicePrincipal -Identity " CLIENT_ID " | Format-List AppId, ObjectId, DisplayName",
        "# If ObjectId is not " OBJECT_ID ":",
        "Remove-ServicePrincipal -Identity " CLIENT_ID,
        "New-ServicePrincipal -AppId " CLIENT_ID " -ObjectId " OBJECT_ID " -DisplayName post365",
        NULL};
    struct permissions permissions = known();
    struct buffer text = {0};
    permissions_write_principal(&text, &permissions);
    expect(text.data, lines);
    buffer_free(&text);
}

static void the_scope_gets_its_members_and_is_tested(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "Add-DistributionGroupMember -Identity post365 -Member relay@contoso.com",
        "Test-ServicePrincipalAuthorization -Identity " CLIENT_ID " -Resource joe@contoso.com",
        NULL};
    struct permissions permissions = known();
    struct buffer text = {0};
    permissions_write_scope(&text, &permissions);
    expect(text.data, lines);
    buffer_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rbac_has_all_ids_and_ends_with_the_test),
        cmocka_unit_test(classic_gives_each_mailbox),
        cmocka_unit_test(high_volume_names_the_enterprise_application),
        cmocka_unit_test(each_cloud_has_its_own_exchange),
        cmocka_unit_test(an_object_id_that_nobody_knows_is_looked_up),
        cmocka_unit_test(an_id_that_is_none_is_no_command),
        cmocka_unit_test(an_account_is_one_word),
        cmocka_unit_test(what_is_there_is_looked_at_before_it_is_taken_out),
        cmocka_unit_test(the_scope_gets_its_members_and_is_tested),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
