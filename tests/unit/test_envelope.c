/* test_envelope.c - what a transaction has said before its data */
#include "transport/lmtp/envelope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Reads a line and lets the envelope have it; the line is gone afterwards. */
static const char *say(struct envelope *envelope, const char *text)
{
    char *line = strdup(text);
    struct lmtp_command command;
    const char *reply = NULL;
    lmtp_command_read(line, strlen(line), &command);
    if (command.mistake != NULL)
        fail_msg("%s: %s", text, command.mistake);
    if (command.verb == LMTP_MAIL)
        envelope_begin(envelope, &command);
    else if (command.verb == LMTP_RCPT)
        reply = envelope_add(envelope, &command);
    else
        envelope_forward(envelope, &command);
    free(line);
    return reply;
}

static void everything_is_kept_as_given(void **state)
{
    (void)state;
    struct envelope envelope = {0};
    say(&envelope, "XFORWARD NAME=printer ADDR=192.0.2.7 IDENT=4bX7");
    say(&envelope, "XFORWARD PROTO=ESMTP IDENT=4bX7qQ");
    assert_false(envelope_has_begun(&envelope));
    say(&envelope, "MAIL FROM:<relay@contoso.com> SIZE=77 BODY=8BITMIME RET=HDRS ENVID=x+2By");
    assert_true(envelope_has_begun(&envelope));
    assert_null(say(&envelope, "RCPT TO:<a@b.c> NOTIFY=NEVER ORCPT=rfc822;A@b.c"));
    assert_null(say(&envelope, "RCPT TO:<\"x y\"@b.c>"));
    assert_string_equal(envelope.sender, "relay@contoso.com");
    assert_int_equal(envelope.size, 77);
    assert_int_equal(envelope.body, LMTP_BODY_8BITMIME);
    assert_false(envelope.utf8);
    assert_string_equal(envelope.ret, "HDRS");
    assert_string_equal(envelope.envid, "x+2By");
    assert_int_equal(envelope.recipient_count, 2);
    assert_string_equal(envelope.recipients[0].address, "a@b.c");
    assert_string_equal(envelope.recipients[0].notify, "NEVER");
    assert_string_equal(envelope.recipients[0].orcpt, "rfc822;A@b.c");
    assert_string_equal(envelope.recipients[1].address, "\"x y\"@b.c");
    assert_string_equal(envelope.recipients[1].notify, "");
    assert_string_equal(envelope.recipients[1].orcpt, "");
    assert_string_equal(envelope.forward[LMTP_FORWARD_NAME], "printer");
    assert_string_equal(envelope.forward[LMTP_FORWARD_PROTO], "ESMTP");
    assert_null(envelope.forward[LMTP_FORWARD_SOURCE]);
    assert_string_equal(envelope_queue_id(&envelope), "4bX7qQ");
    envelope_clear(&envelope);
    assert_false(envelope_has_begun(&envelope));
    assert_int_equal(envelope.recipient_count, 0);
    assert_string_equal(envelope_queue_id(&envelope), "");
}

static void the_null_sender_is_a_sender(void **state)
{
    (void)state;
    struct envelope envelope = {0};
    say(&envelope, "MAIL FROM:<>");
    assert_true(envelope_has_begun(&envelope));
    assert_string_equal(envelope.sender, "");
    envelope_clear(&envelope);
}

static void a_queue_id_is_fit_for_a_command_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"XFORWARD IDENT=0123456789AB", "0123456789AB"},
        {"XFORWARD IDENT=[UNAVAILABLE]", ""},
        {"XFORWARD IDENT=-d+20ALL", ""},
        {"XFORWARD IDENT=a;b", ""},
        {"XFORWARD IDENT=a/b", ""},
        {"XFORWARD IDENT=\xc3\xbc", ""},
        {"XFORWARD NAME=x", ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct envelope envelope = {0};
        say(&envelope, cases[i].text);
        assert_string_equal(envelope_queue_id(&envelope), cases[i].want);
        envelope_clear(&envelope);
    }
}

static void utf8_needs_its_parameter(void **state)
{
    (void)state;
    struct envelope envelope = {0};
    say(&envelope, "MAIL FROM:<a@b.c>");
    assert_string_equal(say(&envelope, "RCPT TO:<m\xc3\xbc@b.c>"),
                        "553 5.6.7 The recipient address needs SMTPUTF8");
    assert_int_equal(envelope.recipient_count, 0);
    envelope_clear(&envelope);
    say(&envelope, "MAIL FROM:<m\xc3\xbc@b.c> SMTPUTF8");
    assert_null(say(&envelope, "RCPT TO:<m\xc3\xbc@b.c> ORCPT=utf-8;\xc3\xbc@b.c"));
    assert_true(envelope.utf8);
    envelope_clear(&envelope);
}

static void recipients_are_bounded(void **state)
{
    (void)state;
    struct envelope envelope = {0};
    char text[64];
    say(&envelope, "MAIL FROM:<a@b.c>");
    for (unsigned i = 0; i < ENVELOPE_RECIPIENTS_MAX; i++) {
        snprintf(text, sizeof(text), "RCPT TO:<user%u@b.c>", i);
        assert_null(say(&envelope, text));
    }
    assert_string_equal(say(&envelope, "RCPT TO:<more@b.c>"), "452 4.5.3 Too many recipients");
    assert_int_equal(envelope.recipient_count, ENVELOPE_RECIPIENTS_MAX);
    assert_string_equal(envelope.recipients[999].address, "user999@b.c");
    envelope_clear(&envelope);
}

static void octets_are_bounded(void **state)
{
    (void)state;
    struct envelope envelope = {0};
    char text[LMTP_LINE_MAX];
    say(&envelope, "MAIL FROM:<a@b.c>");
    int begun = snprintf(text, sizeof(text), "RCPT TO:<x@b.c> ORCPT=rfc822;");
    memset(text + begun, 'x', 480);
    text[begun + 480] = '\0';
    char *address = NULL;
    assert_true(asprintf(&address, "RCPT TO:<%0900d@b.c>%s", 0, strchr(text, '>') + 1) > 0);
    const char *reply = NULL;
    while (reply == NULL)
        reply = say(&envelope, address);
    assert_string_equal(reply, "452 4.3.1 Too much of an envelope");
    assert_true(envelope.octets <= ENVELOPE_OCTETS_MAX);
    assert_true(envelope.octets > ENVELOPE_OCTETS_MAX - 2048);
    assert_null(say(&envelope, "RCPT TO:<a@b.c>"));
    free(address);
    envelope_clear(&envelope);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_is_kept_as_given),
        cmocka_unit_test(the_null_sender_is_a_sender),
        cmocka_unit_test(a_queue_id_is_fit_for_a_command_line),
        cmocka_unit_test(utf8_needs_its_parameter),
        cmocka_unit_test(recipients_are_bounded),
        cmocka_unit_test(octets_are_bounded),
    };
    return cmocka_run_group_tests_name("envelope", tests, NULL, NULL);
}
