/* test_judgement.c - one answer for transport, queue and explain */
#include "common/blanks.h"
#include "common/judgement.h"
#include "transport/delivery/verdict.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct judgement judge(const char *text)
{
    struct reply reply;
    struct judgement judgement;
    struct error error;
    if (!judgement_of_text(text, strlen(text), &reply, &judgement, &error))
        fail_msg("%s: %s", text, error.text);
    return judgement;
}

static const struct {
    const char *text, *cause;
    bool is_temporary;
} texts[] = {
    /* Of several codes the one that says the cause. */
    {"530 5.7.57 Client not authenticated to send mail. [Error: 535 5.7.139 Authentication "
     "unsuccessful, basic authentication is disabled.]",
     "basic-auth-disabled", true},
    {"530 5.7.57 Client not authenticated to send mail. Error: 535 5.7.3 Authentication "
     "unsuccessful",
     "credentials-refused", true},
    {"530 5.7.57 Client not authenticated to send mail. Error: 550 5.7.30 Basic authentication is "
     "not supported for Client Submission.",
     "basic-auth-retired", true},
    {"530 5.7.57 Client not authenticated to send mail. Error: 454 4.7.0 Temporary authentication "
     "failure",
     "authentication-trouble", true},
    {"5.7.57 Client not authenticated to send mail. Error: 5.7.139 Authentication unsuccessful, "
     "user is locked by your organization's security defaults policy.",
     "security-defaults", true},
    {"530 5.7.57 Client not authenticated to send mail. Error: 535 5.7.139 Authentication "
     "unsuccessful, for a reason invented tomorrow.",
     "not-authenticated", true},
    {"550 5.1.1 no such user; a friend said: 535 5.7.139 Authentication unsuccessful, basic "
     "authentication is disabled.",
     "other-permanent", false},
    /* As programs and reports put them. */
    {"Remote Server returned '550 5.7.60 SMTP; Client does not have permissions to send as this "
     "sender'",
     "send-as", true},
    {"MailKit.Net.Smtp.SmtpCommandException: 4.7.0 Temporary server error. Please try again later. "
     "PRX2",
     "server-error", true},
    {"550-5.7.708 Service unavailable.\r\n550 5.7.708 Access denied, traffic not accepted from "
     "this IP.\r\n",
     "address-not-accepted", true},
    {"Final-Recipient: rfc822;bob@fabrikam.com\nAction: failed\nStatus: 5.2.0\nDiagnostic-Code: "
     "smtp;554\n 5.2.0 STOREDRV.Submission.Exception:OutboundSpamException; Failed\n to process",
     "outbound-spam", true},
    {"host smtp.office365.com[52.98.1.1] said: 550 5.7.1 Client does not have permissions to send "
     "as this sender (in reply to end of DATA command)",
     "send-as", true},
    /* At its stage, and where post365-transport has put its words around it. */
    {"host smtp.office365.com[52.98.1.1] refused to talk to me: 554 5.0.0 go away",
     "connection-refused", true},
    {"host relay[post365/transport] said: 450 4.1.1 host smtp.office365.com said: 503 5.5.1 Bad "
     "sequence of commands (in reply to RCPT) (in reply to RCPT TO command)",
     "out-of-step", true},
    {"host relay[post365/transport] said: 550 5.1.10 host smtp.office365.com said: 550 5.1.10 "
     "RESOLVER.ADR.RecipientNotFound (in reply to RCPT) (in reply to RCPT TO command)",
     "other-permanent", false},
    {"250 2.0.0 OK", "accepted", false},
};

static void each_text_has_one_answer(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct judgement judgement = judge(texts[i].text);
        if (strcmp(judgement.row->name, texts[i].cause) != 0 ||
            judgement.is_temporary != texts[i].is_temporary)
            fail_msg("%s: got %s, %s; want %s", texts[i].text, judgement.row->name,
                     judgement.is_temporary ? "temporary" : "permanent", texts[i].cause);
    }
}

/* Breaks a text at blanks into lines of at most `width` columns, as terminals and reports do. */
static char *wrapped(const char *text, size_t width, const char *line_end)
{
    struct buffer out = {0};
    size_t column = 0;
    for (const char *word = text; *word != '\0';) {
        size_t length = strcspn(word, " ");
        if (column > 0 && column + 1 + length > width) {
            buffer_append_string(&out, line_end);
            column = 0;
        } else if (column > 0) {
            buffer_append_char(&out, ' ');
            column++;
        }
        buffer_append(&out, word, length);
        column += length;
        word += length + strspn(word + length, " ");
    }
    return buffer_take(&out);
}

static void no_width_changes_the_answer(void **state)
{
    (void)state;
    static const char *const ends[] = {"\n",     "\r\n", "\n ",      "\r\n\t",
                                       "\n    ", "  ",   "\xc2\xa0", " \xe2\x80\xaf "};
    for (size_t i = 0; i < COUNT(texts); i++)
        for (size_t width = 1; width <= 200; width += width < 20 ? 19 : 1)
            for (size_t j = 0; j < COUNT(ends); j++) {
                char *text = wrapped(texts[i].text, width, ends[j]);
                struct judgement judgement = judge(text);
                if (strcmp(judgement.row->name, texts[i].cause) != 0 ||
                    judgement.is_temporary != texts[i].is_temporary)
                    fail_msg("%s: got %s, want %s", text, judgement.row->name, texts[i].cause);
                free(text);
            }
}

/* Consoles break lines in the middle of words, too. */
static void a_word_may_be_broken(void **state)
{
    (void)state;
    assert_string_equal(judge("535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication "
                              "is disab\nled for the Tenant.")
                            .row->name,
                        "tenant-switch");
}

/* What explain says of a reply, the transport does. */
static void the_transport_does_what_is_explained(void **state)
{
    (void)state;
    size_t count;
    const struct office365_row *rows = office365_rows(&count);
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < OFFICE365_PATTERNS_MAX && rows[i].patterns[j].example != NULL; j++)
            for (enum reply_stage stage = REPLY_STAGE_CONNECT; stage <= REPLY_STAGE_END_OF_DATA;
                 stage++) {
                struct reply reply;
                struct verdict verdict;
                struct judgement judgement;
                const char *example = rows[i].patterns[j].example;
                if (!reply_parse(&reply, example, strlen(example), NULL) || reply.code < 400)
                    continue;
                const struct submission_end end = {.stage = stage, .reply = &reply};
                verdict_of_end(&end, "smtp.office365.com", &verdict);
                char reason[2 * VERDICT_SIZE];
                snprintf(reason, sizeof(reason),
                         "host relay[post365/transport] said: %s (in reply to end of DATA command)",
                         verdict.reply);
                judgement_of_reply(&reply, stage, &judgement);
                assert_ptr_equal(judgement.row, verdict.row);
                if (judgement.is_temporary != verdict.is_temporary)
                    fail_msg("%s at %s", example, office365_stage_words(stage));
                if (judge(reason).is_temporary != verdict.is_temporary)
                    fail_msg("explained otherwise: %s", reason);
            }
}

/* A server may write what only the transport knows: what it writes behind that counts. */
static void no_server_says_what_it_replies_to(void **state)
{
    (void)state;
    static const char *const lies[] = {"AUTH", "connect", "STARTTLS", "RCPT", "MAIL", "none", ""};
    for (size_t i = 0; i < COUNT(lies); i++)
        for (enum reply_stage stage = REPLY_STAGE_CONNECT; stage <= REPLY_STAGE_END_OF_DATA;
             stage++) {
            struct reply reply;
            struct verdict verdict;
            char text[200], reason[2 * VERDICT_SIZE];
            snprintf(text, sizeof(text), "554 5.6.0 nothing known (in reply to %s) (in reply to",
                     lies[i]);
            assert_true(reply_parse(&reply, text, strlen(text), NULL));
            const struct submission_end end = {.stage = stage, .reply = &reply};
            verdict_of_end(&end, "smtp.office365.com", &verdict);
            snprintf(reason, sizeof(reason),
                     "host relay[post365/transport] said: %s (in reply to end of DATA command)",
                     verdict.reply);
            struct judgement judgement = judge(reason);
            if (judgement.stage != stage || judgement.is_temporary != verdict.is_temporary)
                fail_msg("taken for %s: %s", office365_stage_words(judgement.stage), reason);
        }
}

static void nothing_before_the_message_ends_it(void **state)
{
    (void)state;
    for (unsigned code = 500; code < 560; code++)
        for (enum reply_stage stage = REPLY_STAGE_CONNECT; stage <= REPLY_STAGE_AUTH; stage++) {
            struct reply reply;
            struct judgement judgement;
            reply_begin(&reply);
            reply.code = code;
            judgement_of_reply(&reply, stage, &judgement);
            assert_true(judgement.is_temporary);
            assert_int_equal(judgement.code / 100, 4);
        }
}

static void a_closing_connection_is_told_as_a_failure(void **state)
{
    (void)state;
    struct judgement judgement = judge("421 4.3.2 Service not available");
    assert_int_equal(judgement.code, 451);
    assert_true(judgement.is_temporary);
    judgement = judge("354 Start mail input; end with <CRLF>.<CRLF>");
    assert_true(judgement.is_accepted);
    assert_int_equal(judgement.code, 451);
}

static void blanks_of_all_kinds_are_one(void **state)
{
    (void)state;
    static const struct {
        const char *text, *folded;
    } cases[] = {
        {"", ""},
        {"   ", ""},
        {"\n a \t\r\n b\xc2\xa0\xc2\xa0"
         "c ",
         "a b c"},
        {"sh\xc2\xad"
         "y\xe2\x80\x8b"
         "!",
         "shy!"},
        {"bytes \xff\xc2 stay", "bytes \xff\xc2 stay"},
        {"\xe3\x80\x80wide", "wide"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buffer folded = {0};
        blanks_fold(&folded, cases[i].text, strlen(cases[i].text));
        assert_string_equal(folded.data, cases[i].folded);
        buffer_free(&folded);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_text_has_one_answer),
        cmocka_unit_test(no_width_changes_the_answer),
        cmocka_unit_test(a_word_may_be_broken),
        cmocka_unit_test(the_transport_does_what_is_explained),
        cmocka_unit_test(no_server_says_what_it_replies_to),
        cmocka_unit_test(nothing_before_the_message_ends_it),
        cmocka_unit_test(a_closing_connection_is_told_as_a_failure),
        cmocka_unit_test(blanks_of_all_kinds_are_one),
    };
    return cmocka_run_group_tests_name("judgement", tests, NULL, NULL);
}
