/* test_token_subjects.c - what is kept of what post365-tokend tells, and what is news */
#include "transport/token_subjects.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PLACE "/etc/postfix/post365/contoso.cf"
#define NOW   INT64_C(1700000000000000)

static struct token_subject subject_in(enum token_state state, const char *id)
{
    struct token_subject subject = {.state = state, .has_token = id != NULL, .left = 1800};
    strcpy(subject.registration, PLACE);
    if (id != NULL)
        strcpy(subject.id, id);
    return subject;
}

static enum token_news note(struct token_subjects *subjects, enum token_state state, const char *id)
{
    const struct token_subject subject = subject_in(state, id);
    return token_subjects_note(subjects, &subject, NOW);
}

static int set_up(void **state)
{
    *state = token_subjects_new();
    return 0;
}

static int tear_down(void **state)
{
    token_subjects_free(*state);
    return 0;
}

static void a_renewal_is_no_other_token(void **state)
{
    assert_int_equal(note(*state, TOKEN_STATE_EMPTY, NULL), TOKEN_NEWS_NONE);
    assert_int_equal(note(*state, TOKEN_STATE_ASKING, NULL), TOKEN_NEWS_NONE);
    assert_int_equal(note(*state, TOKEN_STATE_FRESH, "00000001"), TOKEN_NEWS_FRESH);
    assert_int_equal(note(*state, TOKEN_STATE_RENEWING, "00000001"), TOKEN_NEWS_FRESH);
    assert_int_equal(note(*state, TOKEN_STATE_FRESH, "00000002"), TOKEN_NEWS_FRESH);
}

static void what_was_mended_is_another(void **state)
{
    note(*state, TOKEN_STATE_FRESH, "00000001");
    assert_int_equal(note(*state, TOKEN_STATE_STOPPED, NULL), TOKEN_NEWS_NONE);
    assert_int_equal(note(*state, TOKEN_STATE_ASKING, NULL), TOKEN_NEWS_NONE);
    assert_int_equal(note(*state, TOKEN_STATE_FRESH, "00000002"), TOKEN_NEWS_ANOTHER);
    assert_int_equal(note(*state, TOKEN_STATE_FRESH, "00000003"), TOKEN_NEWS_FRESH);
}

static void a_failing_renewal_that_works_is_another(void **state)
{
    struct token_subject failing = subject_in(TOKEN_STATE_WAITING, "00000001");
    strcpy(failing.cause, "endpoint-timeout");
    note(*state, TOKEN_STATE_FRESH, "00000001");
    assert_int_equal(token_subjects_note(*state, &failing, NOW), TOKEN_NEWS_FRESH);
    assert_int_equal(note(*state, TOKEN_STATE_FRESH, "00000002"), TOKEN_NEWS_ANOTHER);
}

static void a_login_makes_another(void **state)
{
    struct token_subject subject = subject_in(TOKEN_STATE_FRESH, "00000001");
    subject.grant = TOKEN_GRANT_USER;
    subject.grant_since = 1600000000;
    strcpy(subject.account, "a@b.example");
    token_subjects_note(*state, &subject, NOW);
    strcpy(subject.id, "00000002");
    assert_int_equal(token_subjects_note(*state, &subject, NOW), TOKEN_NEWS_FRESH);
    strcpy(subject.id, "00000003");
    subject.grant_since++;
    assert_int_equal(token_subjects_note(*state, &subject, NOW), TOKEN_NEWS_ANOTHER);
}

static void behind_a_restart_another_token_is_another(void **state)
{
    note(*state, TOKEN_STATE_FRESH, "00000001");
    token_subjects_lose(*state);
    assert_int_equal(note(*state, TOKEN_STATE_FRESH, "00000001"), TOKEN_NEWS_FRESH);
    token_subjects_lose(*state);
    assert_int_equal(note(*state, TOKEN_STATE_ASKING, NULL), TOKEN_NEWS_NONE);
    assert_int_equal(note(*state, TOKEN_STATE_FRESH, "00000002"), TOKEN_NEWS_ANOTHER);
}

static void what_is_known_is_written(void **state)
{
    struct buffer text = {0};
    struct token_subject subject = subject_in(TOKEN_STATE_FRESH, "00000001");
    subject.requests = 12;
    subject.refused = 2;
    subject.credential_ends = 1800000000;
    token_subjects_note(*state, &subject, NOW);
    token_subjects_write(*state, &text);
#define LABELS "{registration=\"" PLACE "\",account=\"\""
    static const char *const wanted[] = {
        "post365_oauth2_state" LABELS ",state=\"fresh\"} 1\n",
        "post365_oauth2_token_expiry_time_seconds" LABELS "} 1700001800.000000\n",
        "post365_oauth2_credential_expiry_time_seconds" LABELS "} 1800000000.000000\n",
        "post365_oauth2_requests_total" LABELS "} 12\n",
        "post365_oauth2_requests_refused_total" LABELS "} 2\n",
    };
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
        if (strstr(text.data, wanted[i]) == NULL)
            fail_msg("no %s in %s", wanted[i], text.data);
    assert_null(strstr(text.data, "failing_since_time_seconds{"));
    buffer_clear(&text);
    token_subjects_lose(*state);
    token_subjects_write(*state, &text);
    assert_int_equal(text.length, 0);
    token_subjects_note(*state, &subject, NOW);
    token_subjects_forget(*state, PLACE, "");
    buffer_clear(&text);
    token_subjects_write(*state, &text);
    assert_int_equal(text.length, 0);
    buffer_free(&text);
}

static void their_number_is_bounded(void **state)
{
    struct buffer text = {0};
    struct token_subject subject = subject_in(TOKEN_STATE_FRESH, "00000001");
    for (unsigned i = 0; i < 2000; i++) {
        snprintf(subject.registration, sizeof(subject.registration), "/r/%u.cf", i);
        assert_int_equal(token_subjects_note(*state, &subject, NOW), TOKEN_NEWS_FRESH);
    }
    token_subjects_write(*state, &text);
    size_t count = 0;
    for (const char *at = text.data; (at = strstr(at, "oauth2_state{")) != NULL; at++)
        count++;
    assert_int_equal(count, 1000);
    buffer_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_renewal_is_no_other_token, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_mended_is_another, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_failing_renewal_that_works_is_another, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_login_makes_another, set_up, tear_down),
        cmocka_unit_test_setup_teardown(behind_a_restart_another_token_is_another, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_is_known_is_written, set_up, tear_down),
        cmocka_unit_test_setup_teardown(their_number_is_bounded, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
