/* test_command.c - commands of LMTP, as Postfix says them and as it never would */
#include "transport/lmtp/command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The line that was read last, which the command's strings point into. */
static char line[LMTP_LINE_MAX + 8];

static struct lmtp_command read_bytes(const char *bytes, size_t length)
{
    struct lmtp_command command;
    assert_true(length < sizeof(line));
    memset(line, '!', sizeof(line));
    memcpy(line, bytes, length);
    lmtp_command_read(line, length, &command);
    assert_int_equal(line[length + 1], '!');
    return command;
}

static struct lmtp_command read_text(const char *text)
{
    return read_bytes(text, strlen(text));
}

static struct lmtp_command read_well(const char *text, enum lmtp_verb verb)
{
    struct lmtp_command command = read_text(text);
    if (command.mistake != NULL || command.verb != verb)
        fail_msg("%s: got %s, verb %d", text, command.mistake, (int)command.verb);
    return command;
}

static void expect_mistake(const char *text, const char *want)
{
    struct lmtp_command command = read_text(text);
    if (command.mistake == NULL || strncmp(command.mistake, want, strlen(want)) != 0)
        fail_msg("%s: got %s, want %s", text, command.mistake, want);
}

static void verbs_are_read_in_any_case(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum lmtp_verb verb;
    } cases[] = {
        {"LHLO relay.contoso.com", LMTP_LHLO},
        {"lhlo localhost", LMTP_LHLO},
        {"LHLO [127.0.0.1]", LMTP_LHLO},
        {"LHLO [IPv6:::1]", LMTP_LHLO},
        {"LHLO my_host", LMTP_LHLO},
        {"Mail From:<>", LMTP_MAIL},
        {"rcpt to:<a@b.c>", LMTP_RCPT},
        {"DATA", LMTP_DATA},
        {"data  ", LMTP_DATA},
        {"RSET", LMTP_RSET},
        {"NOOP", LMTP_NOOP},
        {"NOOP anything at all", LMTP_NOOP},
        {"QUIT", LMTP_QUIT},
        {"VRFY somebody", LMTP_VRFY},
        {"XFORWARD NAME=x", LMTP_XFORWARD},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        read_well(cases[i].text, cases[i].verb);
}

static void what_is_no_command_is_told_so(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *want;
    } cases[] = {
        {"", "500 5.5.2"},
        {" ", "500 5.5.2"},
        {" DATA", "500 5.5.2"},
        {"DATAX", "500 5.5.2"},
        {"DAT", "500 5.5.2"},
        {"GET / HTTP/1.1", "500 5.5.2"},
        {"MAIL\tFROM:<>", "500 5.5.2"},
        {"NOOP \x1b[2J", "500 5.5.2"},
        {"NOOP \x7f", "500 5.5.2"},
        {"NOOP a\rb", "500 5.5.2"},
        {"NOOP a\nDATA", "500 5.5.2"},
        {"\xff\xfe", "500 5.5.2"},
        {"STARTTLS", "500 5.5.2"},
        {"BDAT 3 LAST", "500 5.5.2"},
        {"HELO me", "500 5.5.1 this is LMTP"},
        {"EHLO me", "500 5.5.1 this is LMTP"},
        {"LHLO", "501 5.5.4"},
        {"LHLO ", "501 5.5.4"},
        {"LHLO two words", "501 5.5.4"},
        {"LHLO [", "501 5.5.4"},
        {"LHLO []", "501 5.5.4"},
        {"LHLO m\xc3\xbc.de", "501 5.5.4"},
        {"DATA now", "501 5.5.4"},
        {"RSET all", "501 5.5.4"},
        {"QUIT please", "501 5.5.4"},
        {"VRFY", "501 5.5.4"},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        expect_mistake(cases[i].text, cases[i].want);
}

static void a_nul_is_no_end(void **state)
{
    (void)state;
    struct lmtp_command command = read_bytes("DATA\0X", 6);
    assert_int_equal(strncmp(command.mistake, "500 5.5.2", 9), 0);
    command = read_bytes("MAIL FROM:<a@b\0>", 16);
    assert_int_equal(strncmp(command.mistake, "500 5.5.2", 9), 0);
}

static void addresses_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum lmtp_verb verb;
        const char *address;
    } cases[] = {
        {"MAIL FROM:<>", LMTP_MAIL, ""},
        {"MAIL FROM:<relay@contoso.com>", LMTP_MAIL, "relay@contoso.com"},
        {"MAIL FROM:<a+b@[192.0.2.1]> SIZE=1", LMTP_MAIL, "a+b@[192.0.2.1]"},
        {"RCPT TO:<a@[IPv6:2001:db8::1]>", LMTP_RCPT, "a@[IPv6:2001:db8::1]"},
        {"RCPT TO:<\"a b\"@c.d>", LMTP_RCPT, "\"a b\"@c.d"},
        {"RCPT TO:<\"a>b\"@c.d> NOTIFY=NEVER", LMTP_RCPT, "\"a>b\"@c.d"},
        {"RCPT TO:<\"a\\\">b\"@c.d>", LMTP_RCPT, "\"a\\\">b\"@c.d"},
        {"RCPT TO:<\"foo..bar\"@docomo.example>", LMTP_RCPT, "\"foo..bar\"@docomo.example"},
        {"RCPT TO:<@one.example:a@b.c>", LMTP_RCPT, "a@b.c"},
        {"RCPT TO:<@one.example,@[192.0.2.1],@[IPv6:::1]:a@b.c>", LMTP_RCPT, "a@b.c"},
        {"RCPT TO:<postMaster>", LMTP_RCPT, "postMaster"},
        {"RCPT TO:<m\xc3\xbcller@b\xc3\xbcro.example>", LMTP_RCPT,
         "m\xc3\xbcller@b\xc3\xbcro.example"},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_string_equal(read_well(cases[i].text, cases[i].verb).address, cases[i].address);
}

static void what_is_no_address_is_refused(void **state)
{
    (void)state;
    static const char *const paths[] = {
        "a@b.c",        "<a@b.c",     "a@b.c>",      "<a@b.c>x",     "<a@b.c>SIZE=1",
        " <a@b.c>",     "<a@b@c.d>",  "<a b@c.d>",   "<@b.c>",       "<a@>",
        "<.a@b.c>",     "<a..b@c.d>", "<a@b..c>",    "<a@-b.c>",     "<\"a@b.c>",
        "<a\"b\"@c.d>", "<a@b.c>>",   "<<a@b.c>>",   "<a@b.c:25>",   "<a@[x.y]>",
        "<@:a@b.c>",    "<@x:>",      "<@x,a@b.c>",  "<@x,:a@b.c>",  "<@x y:a@b.c>",
        "<@x@y:a@b.c>", "<a@b.c> >",  "<a@b\xff.c>", "<\xc0\xaf@b>", "<user>",
        "<\"\\\"@b.c>", "<a\\@b.c>",  "<@[x:a@b.c>", "<@@x:a@b.c>",
    };
    for (size_t i = 0; i < COUNT(paths); i++) {
        char text[128];
        snprintf(text, sizeof(text), "RCPT TO:%s", paths[i]);
        expect_mistake(text, strcmp(paths[i], "<a@b.c> >") == 0 ? "555 5.5.4" : "501 5.1.3");
    }
    expect_mistake("RCPT TO:<>", "501 5.1.3");
    expect_mistake("MAIL FROM:a@b.c", "501 5.1.7");
    expect_mistake("MAIL FROM:<a@b.c", "501 5.1.7");
    expect_mistake("MAIL FROM:<a@b.c>>", "501 5.1.7");
    expect_mistake("MAIL FROM:<a@b.c>SIZE=1", "501 5.1.7");
    expect_mistake("MAIL FROM:<@x:>", "501 5.1.7");
    expect_mistake("MAIL", "501 5.5.4");
    expect_mistake("MAIL TO:<a@b.c>", "501 5.5.4");
    expect_mistake("MAIL  FROM:<a@b.c>", "501 5.5.4");
    expect_mistake("MAIL FROM :<a@b.c>", "501 5.5.4");
    expect_mistake("RCPT FROM:<a@b.c>", "501 5.5.4");
    expect_mistake("RCPT", "501 5.5.4");
}

static void parameters_of_mail(void **state)
{
    (void)state;
    struct lmtp_command command = read_well(
        "MAIL FROM:<a@b.c> size=0012345 BODY=8bitmime SMTPUTF8 RET=hdrs ENVID=QQ+2B1", LMTP_MAIL);
    assert_int_equal(command.size, 12345);
    assert_int_equal(command.body, LMTP_BODY_8BITMIME);
    assert_true(command.has_utf8);
    assert_string_equal(command.ret, "hdrs");
    assert_string_equal(command.envid, "QQ+2B1");
    command = read_well("MAIL FROM:<a@b.c> BODY=7BIT", LMTP_MAIL);
    assert_int_equal(command.body, LMTP_BODY_7BIT);
    assert_int_equal(command.size, 0);
    assert_false(command.has_utf8);
    assert_string_equal(command.ret, "");
    assert_string_equal(command.envid, "");
    command = read_well("MAIL FROM:<a@b.c> SIZE=18446744073709551615", LMTP_MAIL);
    assert_true(command.size == UINT64_MAX);
    command = read_well("MAIL FROM:<a@b.c> SIZE=18446744073709551616", LMTP_MAIL);
    assert_true(command.size == UINT64_MAX);
    command = read_well("MAIL FROM:<a@b.c> SIZE=99999999999999999999", LMTP_MAIL);
    assert_true(command.size == UINT64_MAX);
}

static void parameters_of_rcpt(void **state)
{
    (void)state;
    struct lmtp_command command =
        read_well("RCPT TO:<a@b.c> NOTIFY=success,DELAY ORCPT=rfc822;a+2Bb@c.d", LMTP_RCPT);
    assert_string_equal(command.notify, "success,DELAY");
    assert_string_equal(command.orcpt, "rfc822;a+2Bb@c.d");
    assert_false(command.needs_utf8);
    command = read_well("RCPT TO:<a@b.c> ORCPT=utf-8;m\\x{FC}ller@c.d", LMTP_RCPT);
    assert_false(command.orcpt_needs_utf8);
    command = read_well("RCPT TO:<a@b.c> ORCPT=UTF-8;m\xc3\xbcller@c.d", LMTP_RCPT);
    assert_true(command.orcpt_needs_utf8);
    assert_false(command.needs_utf8);
    read_well("RCPT TO:<a@b.c> NOTIFY=NEVER", LMTP_RCPT);
    read_well("RCPT TO:<a@b.c> NOTIFY=FAILURE", LMTP_RCPT);
    assert_string_equal(read_well("RCPT TO:<a@b.c>", LMTP_RCPT).notify, "");
}

static void parameters_that_are_not_offered_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *want;
    } cases[] = {
        {"MAIL FROM:<a@b.c> =1", "501 5.5.4"},
        {"MAIL FROM:<a@b.c> AUTH=<>", "555 5.5.4"},
        {"MAIL FROM:<a@b.c> NOTIFY=NEVER", "555 5.5.4"},
        {"MAIL FROM:<a@b.c> X", "555 5.5.4"},
        {"RCPT TO:<a@b.c> SIZE=1", "555 5.5.4"},
        {"RCPT TO:<a@b.c> =", "501 5.5.4"},
        {"RCPT TO:<a@b.c> ORCPT=rfc 822;a", "555 5.5.4"},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        expect_mistake(cases[i].text, cases[i].want);
}

/* A wish for reports is no reason to lose mail. */
static void odd_values_count_as_not_given(void **state)
{
    (void)state;
    static const char *const mail[] = {
        "SIZE",      "SIZE=",    "SIZE=-1",        "SIZE=1k", "BODY",      "BODY=BINARYMIME",
        "RET=ALL",   "RET",      "ENVID=",         "ENVID",   "ENVID=a=b", "ENVID=a+2b",
        "ENVID=a+2", "ENVID=a+", "ENVID=\xc3\xbc", "RET=",    "BODY=",     " ",
    };
    static const char *const rcpt[] = {
        "NOTIFY=",
        "NOTIFY",
        "NOTIFY=NEVER,SUCCESS",
        "NOTIFY=SUCCESS,SUCCESS",
        "NOTIFY=SUCCESS,",
        "NOTIFY=ALWAYS",
        "ORCPT=a@b.c",
        "ORCPT=;a@b.c",
        "ORCPT=rfc822;",
        "ORCPT",
        "ORCPT=rfc822;m\xc3\xbc@b.c",
        "ORCPT=utf-8;\xff",
        "ORCPT=rf(c);a",
        "ORCPT=rfc822;a+2",
        "",
    };
    char text[200];
    for (size_t i = 0; i < COUNT(mail); i++) {
        snprintf(text, sizeof(text), "MAIL FROM:<a@b.c> %s", mail[i]);
        struct lmtp_command command = read_well(text, LMTP_MAIL);
        assert_int_equal(command.size, 0);
        assert_int_equal(command.body, LMTP_BODY_NONE);
        assert_string_equal(command.ret, "");
        assert_string_equal(command.envid, "");
    }
    for (size_t i = 0; i < COUNT(rcpt); i++) {
        snprintf(text, sizeof(text), "RCPT TO:<a@b.c> %s", rcpt[i]);
        struct lmtp_command command = read_well(text, LMTP_RCPT);
        assert_string_equal(command.notify, "");
        assert_string_equal(command.orcpt, "");
    }
}

static void of_two_the_first_counts(void **state)
{
    (void)state;
    struct lmtp_command command = read_well(
        "MAIL FROM:<a@b.c> SIZE=1 size=2 ENVID=one ENVID=two RET=FULL RET=HDRS", LMTP_MAIL);
    assert_int_equal(command.size, 1);
    assert_string_equal(command.envid, "one");
    assert_string_equal(command.ret, "FULL");
    command = read_well("RCPT TO:<a@b.c> NOTIFY=NEVER ORCPT=x400;c+3Dde NOTIFY=DELAY", LMTP_RCPT);
    assert_string_equal(command.notify, "NEVER");
    assert_string_equal(command.orcpt, "x400;c+3Dde");
}

static void a_sender_that_cannot_go_out_is_read(void **state)
{
    (void)state;
    assert_string_equal(read_well("MAIL FROM:<double-bounce>", LMTP_MAIL).address, "double-bounce");
    assert_string_equal(read_well("MAIL FROM:<a b@c..d>", LMTP_MAIL).address, "a b@c..d");
    assert_true(read_well("MAIL FROM:<m\xc3\xbc@b.c>", LMTP_MAIL).needs_utf8);
}

/* A line with so many times `filler` in the middle. */
static const char *long_text(const char *before, char filler, size_t count, const char *after)
{
    static char text[LMTP_LINE_MAX + 8];
    assert_true(strlen(before) + count + strlen(after) < sizeof(text));
    size_t length = strlen(before);
    memcpy(text, before, length);
    memset(text + length, filler, count);
    strcpy(text + length + count, after);
    return text;
}

static void lengths_are_bounded(void **state)
{
    (void)state;
    read_well(long_text("NOOP ", 'x', LMTP_LINE_MAX - 5, ""), LMTP_NOOP);
    expect_mistake(long_text("NOOP ", 'x', LMTP_LINE_MAX - 4, ""), LMTP_LINE_TOO_LONG);
    read_well(long_text("RCPT TO:<", 'x', 1024 - 4, "@b.c>"), LMTP_RCPT);
    expect_mistake(long_text("RCPT TO:<", 'x', 1024 - 3, "@b.c>"), "501 5.1.3");
    struct lmtp_command command =
        read_well(long_text("MAIL FROM:<> ENVID=", 'x', 8000, "+2B"), LMTP_MAIL);
    assert_int_equal(strlen(command.envid), 8003);
    command = read_well(long_text("RCPT TO:<a@b.c> ORCPT=rfc822;", 'x', 8000, "@b.c"), LMTP_RCPT);
    assert_int_equal(strlen(command.orcpt), 8011);
    expect_mistake(long_text("LHLO ", 'x', 256, ""), "501 5.5.4");
}

static void forwarded_attributes(void **state)
{
    (void)state;
    struct lmtp_command command =
        read_well("XFORWARD name=[UNAVAILABLE] ADDR=IPv6:::1 PORT=[unavailable] PROTO=ESMTP "
                  "HELO=a+20b+0D+0A+00+3D IDENT=4bX7qQ1zZz SOURCE=REMOTE",
                  LMTP_XFORWARD);
    static const char *const want[LMTP_FORWARDS] = {"",           "IPv6:::1",   "",      "ESMTP",
                                                    "a b\?\?\?=", "4bX7qQ1zZz", "REMOTE"};
    for (enum lmtp_forward which = 0; which < LMTP_FORWARDS; which++)
        assert_string_equal(command.forward[which], want[which]);
    command = read_well("XFORWARD NAME=[TEMPUNAVAIL] IDENT=", LMTP_XFORWARD);
    assert_string_equal(command.forward[LMTP_FORWARD_NAME], "");
    assert_string_equal(command.forward[LMTP_FORWARD_IDENT], "");
    assert_null(command.forward[LMTP_FORWARD_HELO]);
    command = read_well(long_text("XFORWARD HELO=", 'x', 300, " IDENT=Q"), LMTP_XFORWARD);
    assert_int_equal(strlen(command.forward[LMTP_FORWARD_HELO]), LMTP_FORWARD_MAX);
    assert_string_equal(command.forward[LMTP_FORWARD_IDENT], "Q");
}

static void wrong_attributes_are_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "XFORWARD",          "XFORWARD ",          "XFORWARD NAME",     "XFORWARD LOGIN=x",
        "XFORWARD NAME=a=b", "XFORWARD NAME=+4",   "XFORWARD NAME=+xy", "XFORWARD NAME=x NAME=y",
        "XFORWARD  NAME=x",  "XFORWARD NAME=\xff", "XFORWARD =x",
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        expect_mistake(cases[i], "501 5.5.4");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verbs_are_read_in_any_case),
        cmocka_unit_test(what_is_no_command_is_told_so),
        cmocka_unit_test(a_nul_is_no_end),
        cmocka_unit_test(addresses_are_read),
        cmocka_unit_test(what_is_no_address_is_refused),
        cmocka_unit_test(parameters_of_mail),
        cmocka_unit_test(parameters_of_rcpt),
        cmocka_unit_test(parameters_that_are_not_offered_are_refused),
        cmocka_unit_test(odd_values_count_as_not_given),
        cmocka_unit_test(of_two_the_first_counts),
        cmocka_unit_test(a_sender_that_cannot_go_out_is_read),
        cmocka_unit_test(lengths_are_bounded),
        cmocka_unit_test(forwarded_attributes),
        cmocka_unit_test(wrong_attributes_are_refused),
    };
    return cmocka_run_group_tests_name("command", tests, NULL, NULL);
}
