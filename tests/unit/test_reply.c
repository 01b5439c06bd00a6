/* test_reply.c - replies over the wire, in Postfix's log, and from people who mean no good */
#include "common/reply.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BYTES(literal) literal, sizeof(literal) - 1
#define COUNT(array)   (sizeof(array) / sizeof((array)[0]))

struct expectation {
    const char *bytes;
    size_t length;
    unsigned code;
    const char *enhanced; /* "" for none */
    const char *text;
    enum reply_stage stage;
    unsigned lines;
};

static void enhanced_string(const struct reply *reply, char *string, size_t size)
{
    *string = '\0';
    if (reply->enhanced.class != 0)
        snprintf(string, size, "%u.%u.%u", reply->enhanced.class, reply->enhanced.subject,
                 reply->enhanced.detail);
}

static void check(const struct expectation *want, const struct reply *got, bool read)
{
    char enhanced[32];
    enhanced_string(got, enhanced, sizeof(enhanced));
    bool same = read && got->code == want->code && strcmp(enhanced, want->enhanced) == 0 &&
                strcmp(got->text, want->text) == 0 && got->stage == want->stage &&
                got->lines == want->lines;
    if (!same)
        fail_msg(
            "\"%s\":\n got %s %u %s \"%s\" stage %u lines %u,\nwant read %u %s \"%s\" stage %u "
            "lines %u",
            want->bytes, read ? "read" : "refused", got->code, enhanced, got->text, got->stage,
            got->lines, want->code, want->enhanced, want->text, want->stage, want->lines);
    assert_int_equal(got->length, strlen(got->text));
}

static void reads_replies_from_the_wire(void **state)
{
    (void)state;
    static const struct expectation cases[] = {
        {BYTES("250 2.1.0 Sender OK\r\n"), 250, "2.1.0", "Sender OK", 0, 1},
        {BYTES("250 2.1.0 Sender OK\n"), 250, "2.1.0", "Sender OK", 0, 1},
        {BYTES("250 2.1.0 Sender OK"), 250, "2.1.0", "Sender OK", 0, 1},
        {BYTES("334 VXNlcm5hbWU6\r\n"), 334, "", "VXNlcm5hbWU6", 0, 1},
        {BYTES("250"), 250, "", "", 0, 1},
        {BYTES("250 "), 250, "", "", 0, 1},
        {BYTES("550 5.7.60"), 550, "5.7.60", "", 0, 1},
        {BYTES("451 5.7.3 STARTTLS is required to send mail"), 451, "5.7.3",
         "STARTTLS is required to send mail", 0, 1},
        {BYTES("535 5.7.139 Authentication unsuccessful"), 535, "5.7.139",
         "Authentication unsuccessful", 0, 1},
        {BYTES("550-5.7.60 first\r\n550 5.7.60 last\r\n"), 550, "5.7.60", "first last", 0, 2},
        {BYTES("550-5.7.60 first\r\n550 [stamp]\r\n"), 550, "5.7.60", "first [stamp]", 0, 2},
        {BYTES("550-first\r\n550 5.1.8 last\r\n"), 550, "5.1.8", "first last", 0, 2},
        {BYTES("550-5.1.1 first\r\n550 5.1.8 last\r\n"), 550, "5.1.8", "first last", 0, 2},
        {BYTES("250-\r\n250-SIZE 157286400\r\n250 SMTPUTF8\r\n"), 250, "",
         "SIZE 157286400 SMTPUTF8", 0, 3},
        {BYTES("250-a\r\n250\r\n"), 250, "", "a", 0, 2},
        /* What looks like an enhanced code and is none stays in the text. */
        {BYTES("220 1.2.3.4 ready"), 220, "", "1.2.3.4 ready", 0, 1},
        {BYTES("550 5.7 old"), 550, "", "5.7 old", 0, 1},
        {BYTES("550 5.7.1234 far"), 550, "", "5.7.1234 far", 0, 1},
        {BYTES("550 55.7.1 far"), 550, "", "55.7.1 far", 0, 1},
        {BYTES("550 3.7.1 odd"), 550, "", "3.7.1 odd", 0, 1},
        {BYTES("550 5.7.1: odd"), 550, "", "5.7.1: odd", 0, 1},
        {BYTES("550 5..1 odd"), 550, "", "5..1 odd", 0, 1},
        {BYTES("550 5.1. odd"), 550, "", "5.1. odd", 0, 1},
        {BYTES("550  5.7.1 two spaces"), 550, "", " 5.7.1 two spaces", 0, 1},
        /* Control bytes are never kept. */
        {BYTES("550 5.7.1 a\0b\033[2Jc\177d\te\rf"), 550, "5.7.1", "a?b?[2Jc?d e?f", 0, 1},
        {BYTES("550 5.7.1 caf\303\251"), 550, "5.7.1", "caf\303\251", 0, 1},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct reply reply;
        struct error error = {""};
        bool read = reply_parse(&reply, cases[i].bytes, cases[i].length, &error);
        check(&cases[i], &reply, read);
    }
}

static void refuses_what_is_no_reply(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t length;
        const char *reason;
    } cases[] = {
        {BYTES(""), "not complete"},
        {BYTES("\r\n"), "does not begin with a reply code"},
        {BYTES("25"), "does not begin with a reply code"},
        {BYTES("250\0"), "neither a space nor"},
        {BYTES("2500 x"), "neither a space nor"},
        {BYTES("250_x"), "neither a space nor"},
        {BYTES("250\tx"), "neither a space nor"},
        {BYTES(" 250 x"), "does not begin with a reply code"},
        {BYTES("150 x"), "does not begin with a reply code"},
        {BYTES("600 x"), "does not begin with a reply code"},
        {BYTES("099 x"), "does not begin with a reply code"},
        {BYTES("-50 x"), "does not begin with a reply code"},
        {BYTES("5x0 x"), "does not begin with a reply code"},
        {BYTES("HTTP/1.1 400 Bad Request\r\n"), "does not begin with a reply code"},
        {BYTES("\026\003\001\002\0\001"), "does not begin with a reply code"},
        {BYTES("250-more to come\r\n"), "not complete"},
        {BYTES("250-a\r\n251 b\r\n"), "another code"},
        {BYTES("250-a\r\n550 b\r\n"), "another code"},
        {BYTES("250 a\r\n250 b\r\n"), "behind the end"},
        {BYTES("250 a\r\n\r\n"), "behind the end"},
        {BYTES("220 ready\r\nQUIT"), "behind the end"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct reply reply;
        struct error error = {""};
        bool read = reply_parse(&reply, cases[i].bytes, cases[i].length, &error);
        if (read || strstr(error.text, cases[i].reason) == NULL)
            fail_msg("\"%s\": got %s, \"%s\", want refused, \"... %s ...\"", cases[i].bytes,
                     read ? "read" : "refused", error.text, cases[i].reason);
        assert_false(reply_parse(&reply, cases[i].bytes, cases[i].length, NULL));
    }
}

static void shows_no_control_byte_in_an_error(void **state)
{
    (void)state;
    struct reply reply;
    struct error error;
    assert_false(reply_parse(&reply,
                             BYTES("\033]0;owned\007\r\302\233\177 and so on for long, "
                                   "longer than an excerpt should ever be"),
                             &error));
    for (const char *byte = error.text; *byte != '\0'; byte++)
        assert_in_range((unsigned char)*byte, 0x20, 0x7e);
    assert_true(strlen(error.text) < 200);
}

static void takes_a_reply_line_by_line(void **state)
{
    (void)state;
    struct reply reply;
    reply_begin(&reply);
    assert_int_equal(reply_add_line(&reply, BYTES("550-5.7.60 one"), NULL), REPLY_MORE);
    assert_int_equal(reply_add_line(&reply, BYTES("550-5.7.60"), NULL), REPLY_MORE);
    assert_int_equal(reply_add_line(&reply, BYTES("550 5.7.60 three"), NULL), REPLY_COMPLETE);
    assert_string_equal(reply.text, "one three");
    assert_int_equal(reply.lines, 3);
    reply_begin(&reply);
    assert_int_equal(reply_add_line(&reply, BYTES("250"), NULL), REPLY_COMPLETE);
    assert_int_equal(reply.enhanced.class, 0);
    assert_string_equal(reply.text, "");
}

static void cuts_a_text_that_is_too_long(void **state)
{
    (void)state;
    static const size_t sizes[] = {REPLY_TEXT_SIZE - 2, REPLY_TEXT_SIZE - 1, REPLY_TEXT_SIZE,
                                   10U * 1024 * 1024};
    for (size_t i = 0; i < COUNT(sizes); i++) {
        char *line = malloc(sizes[i] + 4);
        assert_non_null(line);
        memcpy(line, "554 ", 4);
        memset(line + 4, 'x', sizes[i]);
        struct reply reply;
        assert_true(reply_parse(&reply, line, sizes[i] + 4, NULL));
        assert_int_equal(reply.cut, sizes[i] > REPLY_TEXT_SIZE - 1);
        assert_int_equal(reply.length, sizes[i] < REPLY_TEXT_SIZE ? sizes[i] : REPLY_TEXT_SIZE - 1);
        assert_int_equal(strlen(reply.text), reply.length);
        assert_true(reply_find(&reply, line, sizes[i] + 4, NULL));
        free(line);
    }
}

static void ends_a_reply_that_never_ends(void **state)
{
    (void)state;
    char line[100] = "250-";
    memset(line + 4, 'y', sizeof(line) - 4);
    struct reply reply;
    struct error error;
    reply_begin(&reply);
    for (size_t i = 0; i < REPLY_LINES_MAX; i++)
        assert_int_equal(reply_add_line(&reply, line, sizeof(line), &error), REPLY_MORE);
    assert_int_equal(reply_add_line(&reply, line, sizeof(line), &error), REPLY_MALFORMED);
    assert_non_null(strstr(error.text, "one line too many"));
    assert_true(reply.cut);
    assert_int_equal(reply.length, REPLY_TEXT_SIZE - 1);
}

static void finds_the_reply_in_a_log(void **state)
{
    (void)state;
    static const struct expectation cases[] = {
        {BYTES("host smtp.office365.com[40.101.1.2] said: 550 5.7.60 SMTP; Client does not have "
               "permissions [AB.PROD 2023] (in reply to end of DATA command)"),
         550, "5.7.60", "SMTP; Client does not have permissions [AB.PROD 2023]",
         REPLY_STAGE_END_OF_DATA, 1},
        {BYTES("Nov 15 13:08:20 relay postfix/smtp[4242]: 4F2AB: to=<a@example.com>, "
               "relay=smtp.office365.com[52.98.4.2]:587, delay=1.2, delays=0/0/1/0, dsn=5.4.1, "
               "status=bounced (host smtp.office365.com[52.98.4.2] said: 550 5.4.1 Recipient "
               "address rejected: Access denied (in reply to RCPT TO command))"),
         550, "5.4.1", "Recipient address rejected: Access denied", REPLY_STAGE_RCPT, 1},
        {BYTES("host h[1.2.3.4] said: 530 5.7.57 x (in reply to MAIL FROM command)"), 530, "5.7.57",
         "x", REPLY_STAGE_MAIL, 1},
        {BYTES("host h[1.2.3.4] said: 503 5.5.1 x (in reply to DATA command)"), 503, "5.5.1", "x",
         REPLY_STAGE_DATA, 1},
        {BYTES("host h[1.2.3.4] said: 503 5.5.1 x (in reply to EHLO command)"), 503, "5.5.1", "x",
         REPLY_STAGE_CONNECT, 1},
        {BYTES("host h[1.2.3.4] said: 503 x (in reply to QUIT command)"), 503, "", "x",
         REPLY_STAGE_UNKNOWN, 1},
        {BYTES("host h[1.2.3.4] refused to talk to me: 421 4.3.2 Service not available"), 421,
         "4.3.2", "Service not available", REPLY_STAGE_CONNECT, 1},
        {BYTES("TLS is required, but host h[1.2.3.4] refused to start TLS: 454 4.7.0 TLS not "
               "available due to local problem"),
         454, "4.7.0", "TLS not available due to local problem", REPLY_STAGE_STARTTLS, 1},
        {BYTES("SASL authentication failed; server smtp.office365.com[52.97.1.1] said: 535 5.7.3 "
               "Authentication unsuccessful [SY4P300CA0001]"),
         535, "5.7.3", "Authentication unsuccessful [SY4P300CA0001]", REPLY_STAGE_AUTH, 1},
        {BYTES("SASL [CACHED] authentication failed; server smtp.office365.com said: 535 5.7.3 x"),
         535, "5.7.3", "x", REPLY_STAGE_AUTH, 1},
        {BYTES("status=deferred (delivery temporarily suspended: SASL authentication failed; "
               "server h[1.2.3.4] said: 535 5.7.139 denied (really))"),
         535, "5.7.139", "denied (really)", REPLY_STAGE_AUTH, 1},
        /* Lines that Postfix joined, the first with the text. */
        {BYTES("host h[1.2.3.4] said: 550-5.7.26 one 550-5.7.26 two 550 5.7.26 three (in reply to "
               "end of DATA command)"),
         550, "5.7.26", "one two three", REPLY_STAGE_END_OF_DATA, 3},
        {BYTES("host h[1.2.3.4] said: 550-5.7.26 one"), 550, "5.7.26", "one", 0, 1},
        {BYTES("host h[1.2.3.4] said: 550 5.7.26 see 550 rooms"), 550, "5.7.26", "see 550 rooms", 0,
         1},
        /* The server cannot pretend to be Postfix. */
        {BYTES("host h[1.2.3.4] said: 550 5.7.60 he said: 250 2.0.0 OK (in reply to MAIL FROM "
               "command) (in reply to RCPT TO command)"),
         550, "5.7.60", "he said: 250 2.0.0 OK (in reply to MAIL FROM command)", REPLY_STAGE_RCPT,
         1},
        /* What people paste. */
        {BYTES("550 5.7.60 he said: 250 2.0.0 OK"), 550, "5.7.60", "he said: 250 2.0.0 OK", 0, 1},
        {BYTES("he said: 4214 times 550 5.7.60 x"), 550, "5.7.60", "x", 0, 1},
        {BYTES("550 5.7.60 SMTP; Client"), 550, "5.7.60", "SMTP; Client", 0, 1},
        {BYTES(" \t550 5.7.60 SMTP; Client \n"), 550, "5.7.60", "SMTP; Client", 0, 1},
        {BYTES("'550 5.7.60 SMTP; Client'"), 550, "5.7.60", "SMTP; Client'", 0, 1},
        {BYTES("Remote Server returned '550 5.1.90 Your message can't be sent'"), 550, "5.1.90",
         "Your message can't be sent'", 0, 1},
        {BYTES("#< #5.5.3 smtp;550 5.5.3 RESOLVER.ADR.RecipLimit; too many> #SMTP#"), 550, "5.5.3",
         "RESOLVER.ADR.RecipLimit; too many> #SMTP#", 0, 1},
        {BYTES("550-5.7.60 one\r\n550 5.7.60 two\r\n"), 550, "5.7.60", "one two", 0, 2},
        {BYTES("535 Authentication unsuccessful"), 535, "", "Authentication unsuccessful", 0, 1},
        {BYTES("535"), 535, "", "", 0, 1},
        {BYTES("5.7.705 Access denied, tenant has exceeded threshold"), 0, "5.7.705",
         "Access denied, tenant has exceeded threshold", 0, 1},
        {BYTES("Reason: 5.7.708 Access denied"), 0, "5.7.708", "Access denied", 0, 1},
        {BYTES("5.1.8"), 0, "5.1.8", "", 0, 1},
        {BYTES("id 15550 5.7.60 x"), 0, "5.7.60", "x", 0, 1},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct reply reply;
        struct error error = {""};
        bool read = reply_find(&reply, cases[i].bytes, cases[i].length, &error);
        check(&cases[i], &reply, read);
    }
}

static void finds_nothing_where_nothing_is(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t length;
    } cases[] = {
        {BYTES("")},
        {BYTES("   ")},
        {BYTES("\0\0\0\0")},
        {BYTES("connect to smtp.office365.com[52.98.4.2]:587: Connection timed out")},
        {BYTES("lost connection with smtp.office365.com[5.2.4.8] while sending message body")},
        {BYTES("Host or domain name not found. Name service error for name=h type=A")},
        {BYTES("he said: nothing")},
        {BYTES("5.7.7051 no")},
        {BYTES("x550 5.7.60y")},
        {BYTES("from 10.5.7.60 port 25")},
        {BYTES("version5.7.60 of it")},
        {BYTES("999 5.7.60y")},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct reply reply;
        struct error error = {""};
        if (reply_find(&reply, cases[i].bytes, cases[i].length, &error))
            fail_msg("\"%s\": got %u \"%s\", want none", cases[i].bytes, reply.code, reply.text);
        assert_non_null(strstr(error.text, "holds no reply code"));
    }
    struct reply reply;
    assert_false(reply_find(&reply, NULL, 0, NULL));
    assert_false(reply_parse(&reply, NULL, 0, NULL));
}

static void makes_only_permanent_replies_temporary(void **state)
{
    (void)state;
    static const struct {
        const char *reply;
        unsigned code;
        const char *enhanced;
    } cases[] = {
        {"554 5.2.0 x", 454, "4.2.0"},
        {"530 5.7.57 x", 430, "4.7.57"},
        {"550 x", 450, ""},
        {"451 5.7.3 x", 451, "4.7.3"},
        {"432 4.3.2 x", 432, "4.3.2"},
        {"250 2.0.0 x", 250, "2.0.0"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct reply reply;
        assert_true(reply_parse(&reply, cases[i].reply, strlen(cases[i].reply), NULL));
        for (int again = 0; again < 2; again++) {
            reply_make_temporary(&reply.code, &reply.enhanced);
            char enhanced[32];
            enhanced_string(&reply, enhanced, sizeof(enhanced));
            assert_int_equal(reply.code, cases[i].code);
            assert_string_equal(enhanced, cases[i].enhanced);
            assert_string_equal(reply.text, "x");
        }
    }
}

/* Seeded noise with many of the bytes that the readers look for. */
static void survives_noise(void **state)
{
    (void)state;
    static const char alphabet[] = "0123456789555...--  \r\n\0()said: in reply to #<x\377\033";
    uint32_t seed = 365;
    for (size_t round = 0; round < 20000; round++) {
        char bytes[200];
        size_t length = round % sizeof(bytes);
        for (size_t i = 0; i < length; i++) {
            seed = seed * 1664525U + 1013904223U;
            bytes[i] = alphabet[(seed >> 16) % (sizeof(alphabet) - 1)];
        }
        struct reply reply;
        if (reply_parse(&reply, bytes, length, NULL))
            assert_in_range(reply.code, 200, 599);
        if (reply_find(&reply, bytes, length, NULL))
            assert_true(reply.code != 0 || reply.enhanced.class != 0);
        assert_int_equal(strlen(reply.text), reply.length);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_replies_from_the_wire),
        cmocka_unit_test(refuses_what_is_no_reply),
        cmocka_unit_test(shows_no_control_byte_in_an_error),
        cmocka_unit_test(takes_a_reply_line_by_line),
        cmocka_unit_test(cuts_a_text_that_is_too_long),
        cmocka_unit_test(ends_a_reply_that_never_ends),
        cmocka_unit_test(finds_the_reply_in_a_log),
        cmocka_unit_test(finds_nothing_where_nothing_is),
        cmocka_unit_test(makes_only_permanent_replies_temporary),
        cmocka_unit_test(survives_noise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
