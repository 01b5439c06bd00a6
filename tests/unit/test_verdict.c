/* test_verdict.c - what Postfix is told for what Microsoft says */
#include "transport/delivery/verdict.h"

#include "common/silence.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct verdict judge(const char *text, enum reply_stage stage)
{
    struct reply reply;
    struct error error;
    struct verdict verdict;
    if (!reply_parse(&reply, text, strlen(text), &error))
        fail_msg("%s: %s", text, error.text);
    const struct submission_end end = {.stage = stage, .reply = &reply};
    verdict_of_end(&end, "smtp.office365.com", &verdict);
    return verdict;
}

static void every_row_of_the_table_keeps_its_words(void **state)
{
    (void)state;
    size_t count;
    const struct office365_row *rows = office365_rows(&count);
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < OFFICE365_PATTERNS_MAX && rows[i].patterns[j].example != NULL; j++) {
            const char *example = rows[i].patterns[j].example;
            enum reply_stage stage = REPLY_STAGE_CONNECT;
            while (stage < REPLY_STAGES && rows[i].patterns[j].stages != 0 &&
                   (rows[i].patterns[j].stages & OFFICE365_AT(stage)) == 0)
                stage++;
            if (rows[i].patterns[j].stages == 0)
                stage = REPLY_STAGE_END_OF_DATA;
            if (stage == REPLY_STAGE_REPORT || example[0] < '4' || example[3] != ' ')
                continue; /* no reply of a dialogue */
            struct verdict verdict = judge(example, stage);
            if (strncmp(verdict.reply, rows[i].told == OFFICE365_TEMPORARY ? "4" : verdict.reply,
                        1) != 0)
                fail_msg("%s: told %s", example, verdict.reply);
            assert_true(verdict.is_temporary == (verdict.reply[0] == '4'));
            assert_int_equal(verdict.account, verdict.row->account);
            if (strstr(verdict.reply, "smtp.office365.com said: ") == NULL)
                fail_msg("%s: told %s", example, verdict.reply);
            assert_null(strpbrk(verdict.reply, "\r\n"));
            /* No remedy is cut in the middle. */
            const char *remedy = strstr(verdict.reply, "; ");
            if (verdict.row->needs_admin &&
                (remedy == NULL || verdict.reply[strlen(verdict.reply) - 1] != '.'))
                fail_msg("%s: told %s", example, verdict.reply);
        }
}

static void a_quota_answer_is_temporary_with_microsoft_s_words(void **state)
{
    (void)state;
    struct verdict verdict =
        judge("554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; the "
              "sender's submission quota was exceeded.",
              REPLY_STAGE_END_OF_DATA);
    assert_true(verdict.is_temporary);
    assert_int_equal(verdict.account, OFFICE365_ACCOUNT_PAUSE_FOR_ROOM);
    assert_non_null(strstr(verdict.reply, "454 4.2.0 host smtp.office365.com said: 554 5.2.0 "
                                          "STOREDRV.Submission"));
}

static void a_refused_token_is_no_wrong_password(void **state)
{
    (void)state;
    struct reply reply;
    struct verdict verdict;
    static const char text[] = "535 5.7.3 Authentication unsuccessful";
    assert_true(reply_parse(&reply, text, strlen(text), NULL));
    const struct submission_end end = {
        .stage = REPLY_STAGE_AUTH, .reply = &reply, .is_token = true};
    verdict_of_end(&end, "smtp.office365.com", &verdict);
    assert_string_equal(verdict.name, "token-refused");
    assert_int_equal(verdict.account, OFFICE365_ACCOUNT_PAUSE_UNTIL_FIXED);
    assert_true(verdict.is_temporary);
    assert_non_null(strstr(verdict.reply, "(in reply to AUTH); token-refused: "));
    assert_null(strstr(verdict.reply, "password"));
    assert_string_equal(judge(text, REPLY_STAGE_AUTH).name, "credentials-refused");
}

static void an_unknown_recipient_stays_refused(void **state)
{
    (void)state;
    struct reply reply;
    struct verdict verdict;
    static const char text[] = "550 5.4.1 Recipient address rejected: Access denied";
    assert_true(reply_parse(&reply, text, strlen(text), NULL));
    verdict_of_recipient(&reply, "smtp.office365.com", &verdict);
    assert_false(verdict.is_temporary);
    assert_int_equal(strncmp(verdict.reply, "550 5.4.1 host", 14), 0);
    assert_int_equal(verdict.account, OFFICE365_ACCOUNT_NOTHING);
}

static void no_greeting_is_a_reason_to_bounce(void **state)
{
    (void)state;
    assert_true(judge("554 5.7.1 go away", REPLY_STAGE_CONNECT).is_temporary);
    assert_true(judge("554 5.7.1 go away", REPLY_STAGE_STARTTLS).is_temporary);
    assert_true(judge("599 whatever", REPLY_STAGE_AUTH).is_temporary);
    assert_false(judge("554 5.6.0 the message is bad", REPLY_STAGE_END_OF_DATA).is_temporary);
}

/* 503 is about the dialogue, not about the message. */
static void who_is_out_of_step_is_no_reason_to_bounce(void **state)
{
    (void)state;
    struct verdict verdict = judge("503 5.5.1 Bad sequence of commands", REPLY_STAGE_DATA);
    assert_true(verdict.is_temporary);
    assert_int_equal(strncmp(verdict.reply, "403 4.5.1 host", 14), 0);
}

static void silence_is_temporary_and_says_whether_it_may_have_arrived(void **state)
{
    (void)state;
    struct verdict verdict;
    struct submission_end end = {.stage = REPLY_STAGE_CONNECT, .text = "host:587: refused"};
    verdict_of_end(&end, "host", &verdict);
    assert_string_equal(verdict.reply, "451 4.4.1 host:587: refused (connect)");
    end = (struct submission_end){
        .stage = REPLY_STAGE_END_OF_DATA, .text = "host:587: lost", .is_unknown = true};
    verdict_of_end(&end, "host", &verdict);
    assert_true(verdict.is_temporary);
    assert_false(verdict.is_accepted);
    assert_non_null(strstr(verdict.reply, "it may have been delivered"));
}

static void what_is_accepted_is_accepted(void **state)
{
    (void)state;
    struct verdict verdict = judge("250 2.0.0 OK <id> [Hostname=x]", REPLY_STAGE_END_OF_DATA);
    assert_true(verdict.is_accepted);
    assert_string_equal(verdict.reply,
                        "250 2.0.0 host smtp.office365.com said: 250 OK <id> [Hostname=x]");
    assert_false(judge("250 2.1.0 Sender OK", REPLY_STAGE_MAIL).is_accepted);
}

static struct verdict judge_silence(enum reply_stage stage, enum silence silence, const char *text)
{
    struct verdict verdict;
    const struct submission_end end = {.stage = stage,
                                       .text = text,
                                       .silence = silence,
                                       .is_unknown = silence == SILENCE_MAYBE_DELIVERED};
    verdict_of_end(&end, "smtp.office365.com", &verdict);
    return verdict;
}

static void whatever_ends_a_login_concerns_the_account(void **state)
{
    (void)state;
    static const char *const replies[] = {"450 4.9.9 not now", "421 bye", "499 strange",
                                          "555 5.0.0 what?", "500 5.5.1 Unrecognized command"};
    for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++)
        if (judge(replies[i], REPLY_STAGE_AUTH).account == OFFICE365_ACCOUNT_NOTHING)
            fail_msg("%s: the account goes on", replies[i]);
    struct verdict verdict =
        judge_silence(REPLY_STAGE_AUTH, SILENCE_LOGIN, "h:587: the connection was lost");
    assert_int_equal(verdict.account, OFFICE365_ACCOUNT_PAUSE_UNTIL_FIXED);
    assert_string_equal(verdict.name, "login-unanswered");
    /* no password was sent */
    verdict = judge_silence(REPLY_STAGE_AUTH, SILENCE_NONE, "no credentials for account x");
    assert_int_equal(verdict.account, OFFICE365_ACCOUNT_NOTHING);
}

static void silence_has_a_name_and_is_temporary(void **state)
{
    (void)state;
    for (enum silence silence = SILENCE_NONE + 1; silence < SILENCES; silence++) {
        struct verdict verdict =
            judge_silence(REPLY_STAGE_DATA, silence, "h:587: the connection was lost");
        assert_true(verdict.is_temporary);
        assert_string_equal(verdict.name, silence_name(silence));
        assert_int_equal(silence_is_doubt(verdict.reply), silence == SILENCE_MAYBE_DELIVERED);
    }
}

static void what_a_server_says_is_harmless(void **state)
{
    (void)state;
    static const char *const replies[] = {
        "450 4.2.1 \xe2\x80\xae gpj", "550 5.1.1 one \xe2\x80\xa8 two", "451 4.7.500 \xc2\x9b[31m",
        "554 5.2.0 \xff\xfe octets",  "250 2.0.0 \xe2\x81\xa7 OK",
    };
    for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
        struct verdict verdict = judge(replies[i], REPLY_STAGE_END_OF_DATA);
        for (const char *at = verdict.reply; *at != '\0'; at++)
            if ((unsigned char)*at >= 0x80)
                fail_msg("%s", verdict.reply);
        assert_true(verdict.said <= strlen(verdict.reply));
    }
}

/* --- no token --- */

static struct verdict judge_token(const char *cause, bool is_stopped, int64_t until)
{
    struct verdict verdict;
    const struct submission_end end = {.stage = REPLY_STAGE_AUTH,
                                       .text = "no access token for a@b.example: said no",
                                       .token_cause = entra_named(cause),
                                       .is_stopped = is_stopped,
                                       .until = until};
    verdict_of_end(&end, NULL, &verdict);
    assert_true(verdict.is_temporary);
    assert_false(verdict.is_accepted);
    assert_null(verdict.row);
    assert_string_equal(verdict.entra->name, cause);
    assert_string_equal(verdict.name, cause);
    assert_int_equal(verdict.end, VERDICT_ENDS_WITH_TOKEN);
    return verdict;
}

static void every_lack_of_a_token_has_its_words(void **state)
{
    (void)state;
    size_t count;
    const struct entra_row *rows = entra_rows(&count);
    for (size_t i = 0; i < count; i++) {
        struct verdict verdict = judge_token(rows[i].name, true, 1);
        char want[100];
        snprintf(want, sizeof(want), "said no; %s: ", rows[i].name);
        if (strncmp(verdict.reply, "451 4.7.0 no access token for a@b.example: said no; ", 52) !=
                0 ||
            strstr(verdict.reply, want) == NULL || verdict.reply[strlen(verdict.reply) - 1] != '.')
            fail_msg("%s", verdict.reply);
        assert_int_equal(verdict.said,
                         strlen("451 4.7.0 no access token for a@b.example: said no"));
        assert_int_equal(verdict.account, OFFICE365_ACCOUNT_PAUSE_UNTIL_FIXED);
        assert_int_equal(verdict.until, 0);
    }
}

static void what_passes_by_itself_is_waited_for_until_then(void **state)
{
    (void)state;
    struct verdict verdict = judge_token(ENTRA_ENDPOINT_TIMEOUT, false, 77);
    assert_int_equal(verdict.account, OFFICE365_ACCOUNT_PAUSE_SHORT);
    assert_int_equal(verdict.until, 77);
}

static void without_the_daemon_nothing_follows_for_the_account(void **state)
{
    (void)state;
    assert_int_equal(judge_token(ENTRA_DAEMON_DOWN, false, 0).account, OFFICE365_ACCOUNT_NOTHING);
}

/* --- what ends it --- */

static void what_ends_trouble_is_known_of_the_verdict(void **state)
{
    (void)state;
    assert_int_equal(judge("535 5.7.3 no", REPLY_STAGE_AUTH).end, VERDICT_ENDS_WITH_CREDENTIALS);
    assert_int_equal(judge("450 4.9.9 not now, AUTH", REPLY_STAGE_DATA).end,
                     VERDICT_ENDS_WITH_TIME);
    assert_int_equal(judge_silence(REPLY_STAGE_AUTH, SILENCE_LOGIN, "lost").end,
                     VERDICT_ENDS_WITH_CREDENTIALS);
    assert_int_equal(judge_silence(REPLY_STAGE_AUTH, SILENCE_NONE, "no credentials").end,
                     VERDICT_ENDS_WITH_TIME);
}

static void what_ends_a_pause_of_before_is_read_in_its_cause(void **state)
{
    (void)state;
    static const struct {
        const char *cause;
        enum verdict_end want;
    } cases[] = {
        {"secret-expired: 451 4.7.0 no access token for a@b: x", VERDICT_ENDS_WITH_TOKEN},
        {"token-daemon-down: x", VERDICT_ENDS_WITH_TOKEN},
        {"login-unanswered: 451 4.4.1 h: lost (AUTH)", VERDICT_ENDS_WITH_CREDENTIALS},
        {"credentials-refused: 435 4.7.3 host h said: 535 5.7.3 no (in reply to AUTH)",
         VERDICT_ENDS_WITH_CREDENTIALS},
        {"sending-quota: 454 4.2.0 host h said: 554 5.2.0 AUTH (in reply to end of DATA)",
         VERDICT_ENDS_WITH_TIME},
        {"paused by hand", VERDICT_ENDS_WITH_TIME},
        {"the mailbox moves: no AUTH (in reply to AUTH)", VERDICT_ENDS_WITH_TIME},
        {"secret-expired", VERDICT_ENDS_WITH_TIME},
        {"", VERDICT_ENDS_WITH_TIME},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (verdict_end_of_cause(cases[i].cause) != cases[i].want)
            fail_msg("%s", cases[i].cause);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_of_the_table_keeps_its_words),
        cmocka_unit_test(a_quota_answer_is_temporary_with_microsoft_s_words),
        cmocka_unit_test(a_refused_token_is_no_wrong_password),
        cmocka_unit_test(an_unknown_recipient_stays_refused),
        cmocka_unit_test(no_greeting_is_a_reason_to_bounce),
        cmocka_unit_test(who_is_out_of_step_is_no_reason_to_bounce),
        cmocka_unit_test(silence_is_temporary_and_says_whether_it_may_have_arrived),
        cmocka_unit_test(what_is_accepted_is_accepted),
        cmocka_unit_test(whatever_ends_a_login_concerns_the_account),
        cmocka_unit_test(silence_has_a_name_and_is_temporary),
        cmocka_unit_test(what_a_server_says_is_harmless),
        cmocka_unit_test(every_lack_of_a_token_has_its_words),
        cmocka_unit_test(what_passes_by_itself_is_waited_for_until_then),
        cmocka_unit_test(without_the_daemon_nothing_follows_for_the_account),
        cmocka_unit_test(what_ends_trouble_is_known_of_the_verdict),
        cmocka_unit_test(what_ends_a_pause_of_before_is_read_in_its_cause),
    };
    return cmocka_run_group_tests_name("verdict", tests, NULL, NULL);
}
