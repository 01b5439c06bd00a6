/* test_token_text.c - how things stand with a token, in words: ends, states, claims */
#include "ctl/oauth2/subject.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <time.h>

#define NOW  INT64_C(1795867200) /* 2026-11-28 12:00:00 UTC */
#define HOUR 3600
#define DAY  86400

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct subject_time at_noon = {.now = NOW, .warn = 30 * DAY};
static const struct screen paper = {.width = 100, .height = 24};

static struct subject fresh(void)
{
    struct subject subject = {.state = {.registration = "/etc/contoso.cf",
                                        .state = TOKEN_STATE_FRESH,
                                        .grant = TOKEN_GRANT_APP,
                                        .credential = TOKEN_CREDENTIAL_CERTIFICATE,
                                        .tenant = "contoso.example",
                                        .client_id = "11111111-2222-3333-4444-555555555555",
                                        .cloud = "global",
                                        .has_token = true,
                                        .left = HOUR,
                                        .issued = NOW,
                                        .accounts = 1}};
    return subject;
}

static void put(char *place, const char *text)
{
    memcpy(place, text, strlen(text) + 1);
}

static void claim(struct subject *subject, enum claim claim, const char *value)
{
    put(subject->claims.value[claim], value);
    subject->claims.are_there = true;
}

static void assert_said(const struct subject *subject, enum subject_extent extent, const char *want)
{
    struct buffer lines = {0};
    subject_write(&paper, &lines, subject, &at_noon, extent);
    if (strstr(lines.data, want) == NULL)
        fail_msg("want \"%s\" in:\n%s", want, lines.data);
    buffer_free(&lines);
}

static void assert_unsaid(const struct subject *subject, enum subject_extent extent,
                          const char *unwanted)
{
    struct buffer lines = {0};
    subject_write(&paper, &lines, subject, &at_noon, extent);
    if (strstr(lines.data, unwanted) != NULL)
        fail_msg("\"%s\" in:\n%s", unwanted, lines.data);
    buffer_free(&lines);
}

/* --- what ends when --- */

static void an_end_is_told_from_the_warning_on(void **state)
{
    (void)state;
    static const struct {
        int64_t ends; /* from now */
        enum subject_need need;
        const char *words;
    } cases[] = {
        {30 * DAY + 1, SUBJECT_FINE, "certificate, until 2026-12-28, in 30 days\n"},
        {30 * DAY, SUBJECT_SOON, "certificate, ends on 2026-12-28, in 30 days\n"},
        {14 * DAY, SUBJECT_SOON, "certificate, ends on 2026-12-12, in 14 days\n"},
        {2 * DAY - 1, SUBJECT_SOON, "certificate, ends on 2026-11-30, in 2 d 0 h\n"},
        {HOUR / 2, SUBJECT_SOON, "certificate, ends on 2026-11-28, in 30 min\n"},
        {1, SUBJECT_SOON, "certificate, ends on 2026-11-28, in 1 s\n"},
        {0, SUBJECT_NOW, "certificate, ended on 2026-11-28\n"},
        {-400 * DAY, SUBJECT_NOW, "certificate, ended on 2025-10-24\n"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct subject subject = fresh();
        subject.state.credential_ends = NOW + cases[i].ends;
        assert_said(&subject, SUBJECT_USUAL, cases[i].words);
        if (subject_need(&subject, &at_noon) != cases[i].need)
            fail_msg("%s: %d, want %d", cases[i].words, (int)subject_need(&subject, &at_noon),
                     (int)cases[i].need);
    }
}

static void what_to_do_before_the_end_depends_on_what_ends(void **state)
{
    (void)state;
    struct subject subject = fresh();
    subject.state.credential_ends = NOW + DAY;
    assert_said(&subject, SUBJECT_USUAL, "`post365 oauth2 certificate` makes the next one");
    assert_said(&subject, SUBJECT_BRIEF, "certificate, ends on");
    assert_unsaid(&subject, SUBJECT_BRIEF, "remedy");
    subject.state.credential = TOKEN_CREDENTIAL_SECRET;
    assert_said(&subject, SUBJECT_USUAL, "11111111-2222-3333-4444-555555555555, Certificates");
    assert_said(&subject, SUBJECT_USUAL, "in /etc/contoso.cf names");
    subject.state.credential_ends = 0;
    assert_said(&subject, SUBJECT_WHOLE, "when it ends is not known");
    assert_unsaid(&subject, SUBJECT_USUAL, "credential");
    assert_int_equal(subject_need(&subject, &at_noon), SUBJECT_FINE);
}

static void a_grant_ends_ninety_days_after_its_last_use(void **state)
{
    (void)state;
    struct subject subject = fresh();
    subject.state.grant = TOKEN_GRANT_USER;
    put(subject.state.account, "relay@contoso.com");
    subject.state.grant_since = NOW - 20 * DAY;
    assert_said(&subject, SUBJECT_USUAL, "  grant      login of 2026-11-08\n");
    subject.state.renewed = NOW - HOUR;
    assert_said(&subject, SUBJECT_USUAL,
                "  grant      login of 2026-11-08, ends on 2027-02-26 if it is not renewed "
                "before\n");
    assert_said(&subject, SUBJECT_USUAL, "relay@contoso.com by /etc/contoso.cf\n");
}

/* --- how it stands --- */

static void what_fails_is_told_with_its_remedy(void **state)
{
    (void)state;
    struct subject subject = fresh();
    put(subject.state.cause, "secret-expired");
    put(subject.state.reason, "AADSTS7000222: \033[31mit is");
    subject.state.failures = 2;
    subject.state.failed_since = NOW - 5 * 60;
    subject.state.next = NOW + 60;
    assert_int_equal(subject_need(&subject, &at_noon), SUBJECT_NOW);
    assert_said(&subject, SUBJECT_USUAL, "  token      good for 1 h 0 min, and not renewed\n");
    assert_said(&subject, SUBJECT_USUAL,
                "  tried      2 times without success, since 11:55:00 (5m ago)");
    assert_said(&subject, SUBJECT_USUAL, "; again 12:01:00 (in 60 s)\n");
    assert_said(&subject, SUBJECT_USUAL,
                "  cause      secret-expired: The client secret has expired.\n");
    assert_said(&subject, SUBJECT_USUAL, "  reason     AADSTS7000222: ?[31mit is\n");
    assert_said(&subject, SUBJECT_USUAL, "  remedy     ");
    assert_unsaid(&subject, SUBJECT_USUAL, "<");
    assert_unsaid(&subject, SUBJECT_BRIEF, "remedy");
    subject.state.has_token = false;
    assert_said(&subject, SUBJECT_BRIEF, "  token      none, its mail waits\n");
}

static void a_clock_that_is_off_is_told(void **state)
{
    (void)state;
    static const struct {
        int64_t skew;
        enum subject_need need;
        const char *words;
    } cases[] = {
        {300, SUBJECT_SOON, "this machine's is 300 s behind Microsoft's: set it right"},
        {-1200, SUBJECT_SOON, "this machine's is 20 min ahead of Microsoft's: set it right"},
        {-299, SUBJECT_FINE, "this machine's is 299 s ahead of Microsoft's\n"},
        {60, SUBJECT_FINE, "this machine's is 60 s behind Microsoft's\n"},
        {59, SUBJECT_FINE, NULL},
        {0, SUBJECT_FINE, NULL},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct subject subject = fresh();
        subject.state.has_skew = true;
        subject.state.skew = cases[i].skew;
        assert_int_equal(subject_need(&subject, &at_noon), cases[i].need);
        if (cases[i].words != NULL)
            assert_said(&subject, SUBJECT_USUAL, cases[i].words);
        else
            assert_unsaid(&subject, SUBJECT_USUAL, "clock");
    }
}

/* --- what the token says of itself --- */

static void claims_are_put_into_words(void **state)
{
    (void)state;
    static const struct {
        enum claim claim;
        const char *value;
        enum token_model model;
        bool is_wrong;
        const char *words;
    } cases[] = {
        {CLAIM_AUDIENCE, "https://outlook.office365.com", 0, false, "com, Exchange Online\n"},
        {CLAIM_AUDIENCE, "https://outlook.office.com/", 0, false, ", Exchange Online\n"},
        {CLAIM_AUDIENCE, "00000002-0000-0FF1-CE00-000000000000", 0, false, ", Exchange Online\n"},
        {CLAIM_AUDIENCE, "https://outlook.office365.com.example", 0, true, "not Exchange"},
        {CLAIM_AUDIENCE, "https://graph.microsoft.com", 0, true, "which is not Exchange Online"},
        {CLAIM_APP, "11111111-2222-3333-4444-555555555555", 0, false, "  token"},
        {CLAIM_APP, "21111111-2222-3333-4444-555555555555", 0, true, "`client_id`"},
        {CLAIM_TENANT, "99999999-2222-3333-4444-555555555555", 0, false, "tenant id  99999999-"},
        {CLAIM_ROLES, "SMTP.SendAsApp", TOKEN_MODEL_CLASSIC, false, "the classic permission"},
        {CLAIM_ROLES, "", TOKEN_MODEL_RBAC, false, "RBAC for Applications: no role is in"},
        {CLAIM_ROLES, "Mail.Send", TOKEN_MODEL_RBAC, false, "Mail.Send, and what RBAC"},
        {CLAIM_SCOPES, "User.Read smtp.send", TOKEN_MODEL_DELEGATED, false, "on behalf of"},
        {CLAIM_SCOPES, "SMTP.SendAsApp", TOKEN_MODEL_DELEGATED, true, "SMTP.Send is not among"},
        {CLAIM_OBJECT, "7777", 0, false, "7777, what `New-ServicePrincipal -ObjectId` wants"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct subject subject = fresh();
        claim(&subject, cases[i].claim, cases[i].value);
        subject.state.model = cases[i].model;
        assert_said(&subject, SUBJECT_WHOLE, cases[i].words);
        if (claims_are_wrong(&subject.claims, &subject.state) != cases[i].is_wrong)
            fail_msg("%s", cases[i].value);
        assert_int_equal(subject_need(&subject, &at_noon),
                         cases[i].is_wrong ? SUBJECT_NOW : SUBJECT_FINE);
    }
}

static void who_has_logged_in_is_compared_with_the_account(void **state)
{
    (void)state;
    struct subject subject = fresh();
    claim(&subject, CLAIM_USER, "Relay@Contoso.com");
    assert_int_equal(subject_need(&subject, &at_noon), SUBJECT_FINE);
    subject.state.grant = TOKEN_GRANT_USER;
    put(subject.state.account, "relay@contoso.com");
    assert_int_equal(subject_need(&subject, &at_noon), SUBJECT_FINE);
    put(subject.state.account, "joe@contoso.com");
    assert_int_equal(subject_need(&subject, &at_noon), SUBJECT_NOW);
    assert_said(&subject, SUBJECT_WHOLE, "Relay@Contoso.com has logged in, who is not the account");
}

static void a_tenant_that_is_an_id_is_compared(void **state)
{
    (void)state;
    struct subject subject = fresh();
    put(subject.state.tenant, "99999999-aaaa-3333-4444-555555555555");
    claim(&subject, CLAIM_TENANT, "99999999-AAAA-3333-4444-555555555555");
    assert_int_equal(subject_need(&subject, &at_noon), SUBJECT_FINE);
    claim(&subject, CLAIM_TENANT, "89999999-AAAA-3333-4444-555555555555");
    assert_int_equal(subject_need(&subject, &at_noon), SUBJECT_NOW);
}

static void what_is_told_twice_counts_once(void **state)
{
    (void)state;
    static const char text[] =
        "result=done\nclaim_aud=a\nclaim_aud=b\nclaim_roles=\nclaim_new=x\n\n";
    const struct token_reply reply = {.text = text, .length = sizeof(text) - 1};
    struct claims claims;
    claims_take(&claims, &reply);
    assert_true(claims.are_there);
    assert_string_equal(claims.value[CLAIM_AUDIENCE], "a");
    assert_string_equal(claims.value[CLAIM_OBJECT], "");
}

/* --- for programs --- */

static void programs_are_told_the_same(void **state)
{
    (void)state;
    struct subject subject = fresh();
    subject.state.credential_ends = NOW + DAY;
    put(subject.state.cause, "login-needed");
    put(subject.state.credential_cause, "secret-wrong");
    put(subject.state.account, "relay@contoso.com");
    claim(&subject, CLAIM_AUDIENCE, "https://graph.microsoft.com");
    json_t *object = subject_json(&subject, &at_noon);
    const char *needs, *remedy, *wrong, *cause;
    json_int_t ends;
    assert_int_equal(json_unpack(object, "{s:s, s:I, s:{s:s}, s:{s:[s]}, s:{s:s}}", "needs", &needs,
                                 "credential_ends", &ends, "failure", "remedy", &remedy, "claims",
                                 "wrong", &wrong, "credential_failure", "cause", &cause),
                     0);
    assert_string_equal(cause, "secret-wrong");
    assert_string_equal(needs, "now");
    assert_int_equal(ends, NOW + DAY);
    assert_non_null(strstr(remedy, "post365 login relay@contoso.com"));
    assert_non_null(strstr(wrong, "not Exchange Online"));
    json_decref(object);
}

static int by_utc(void **state)
{
    (void)state;
    setenv("TZ", "UTC", 1);
    tzset();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_end_is_told_from_the_warning_on),
        cmocka_unit_test(what_to_do_before_the_end_depends_on_what_ends),
        cmocka_unit_test(a_grant_ends_ninety_days_after_its_last_use),
        cmocka_unit_test(what_fails_is_told_with_its_remedy),
        cmocka_unit_test(a_clock_that_is_off_is_told),
        cmocka_unit_test(claims_are_put_into_words),
        cmocka_unit_test(who_has_logged_in_is_compared_with_the_account),
        cmocka_unit_test(a_tenant_that_is_an_id_is_compared),
        cmocka_unit_test(what_is_told_twice_counts_once),
        cmocka_unit_test(programs_are_told_the_same),
    };
    return cmocka_run_group_tests(tests, by_utc, NULL);
}
