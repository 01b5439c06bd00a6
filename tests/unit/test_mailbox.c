/* test_mailbox.c - mailboxes, as they are written and as they are meant */
#include "common/sender/mailbox.h"

#include "common/memory.h"
#include "common/sender/encoded_word.h"
#include "common/sender/salvage.h"
#include "common/sender/token.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array)   (sizeof(array) / sizeof((array)[0]))
#define VALUE(string)  (string), sizeof(string) - 1
#define NESTED_16      "(((((((((((((((("
#define NESTED_16_ENDS "))))))))))))))))"

/* show - a list in one line: name|address|comment of each mailbox, "!" in front if it is not strict
 */
static char *show(const struct mailbox_list *list)
{
    struct buffer text = {0};

    buffer_append_string(&text, list->strict ? "" : "!");
    for (size_t i = 0; i < list->count; i++) {
        const struct mailbox *mailbox = &list->items[i];
        buffer_format(&text, "%s%s", i == 0 ? "" : " , ", mailbox->strict ? "" : "!");
        buffer_append(&text, mailbox->name.bytes, mailbox->name.length);
        buffer_format(&text, "%s|%s|", mailbox->name_is_text ? "?" : "", mailbox->address);
        buffer_append(&text, mailbox->comment.bytes, mailbox->comment.length);
    }
    return buffer_take(&text);
}

struct list_case {
    const char *value;
    size_t length;
    const char *want; /* NULL: it does not parse */
};

static void check_lists(const struct list_case *cases, size_t count,
                        bool (*read)(struct mailbox_list *, const char *, size_t))
{
    struct mailbox_list *list = memory_alloc(sizeof(*list));

    for (size_t i = 0; i < count; i++) {
        mailbox_list_init(list);
        bool parsed = read(list, cases[i].value, cases[i].length);
        char *got = parsed ? show(list) : memory_copy("no");
        const char *want = cases[i].want == NULL ? "no" : cases[i].want;
        if (strcmp(got, want) != 0)
            fail_msg("'%s': got %s, want %s", cases[i].value, got, want);
        if (!parsed)
            assert_true(list->count == 0 && list->total == 0 && list->strict);
        free(got);
    }
    free(list);
}

static void what_rfc_5322_wants_is_strict(void **state)
{
    static const struct list_case cases[] = {
        {VALUE("j@x"), "|j@x|"},
        {VALUE("<j@x>"), "|j@x|"},
        {VALUE("John <j@x>"), "John|j@x|"},
        {VALUE("  John\t Doe\t<j@x>  "), "John\t Doe|j@x|"},
        {VALUE("\"Doe, \\\"J\\\"\" <j@x>"), "\"Doe, \\\"J\\\"\"|j@x|"},
        {VALUE("John Q. Public <j@x>"), "John Q. Public|j@x|"},
        {VALUE("John\n Doe\r\n\t<j@x>"), "John\n Doe|j@x|"},
        {VALUE("\xe6\x97\xa5 <\xe6\x97\xa5@\xe6\x9c\xac>"),
         "\xe6\x97\xa5|\xe6\x97\xa5@\xe6\x9c\xac|"},
        {VALUE("J\xf6rg <j@x>"), "J\xf6rg|j@x|"},
        {VALUE("=?utf-8?q?J=C3=B6?= <j@x>"), "=?utf-8?q?J=C3=B6?=|j@x|"},
        {VALUE("\"a b\"@x"), "|\"a b\"@x|"},
        {VALUE("\"a\\\"\\\\\"@x"), "|\"a\\\"\\\\\"@x|"},
        {VALUE("j@[192.0.2.1]"), "|j@[192.0.2.1]|"},
        {VALUE("j@[IPv6:::1]"), "|j@[IPv6:::1]|"},
        {VALUE("root@x (Cron)"), "|root@x|Cron"},
        {VALUE("(Cron) root@x"), "|root@x|Cron"},
        {VALUE("(a) root@x (b (c) \\))"), "|root@x|b (c) \\)"},
        {VALUE("root@x (Cron) ( )"), "|root@x|Cron"},
        {VALUE("(a) John (b) <j@x> (c)"), "(a) John (b)|j@x|c"},
        {VALUE("(Cron) <root@x>"), "|root@x|Cron"},
        {VALUE("\"\" <j@x>"), "|j@x|"},
        {VALUE("< j@x >"), "|j@x|"},
        {VALUE("a@x, B <b@y>"), "|a@x| , B|b@y|"},
        {VALUE("a@x (A),b@y (B)"), "|a@x|A , |b@y|B"},
        {VALUE(NESTED_16 NESTED_16_ENDS " j@x"), "|j@x|((((((((((((((()))))))))))))))"},
        {VALUE("!#$%&'*+-/=?^_`{|}~@x"), "|!#$%&'*+-/=?^_`{|}~@x|"},
    };

    (void)state;
    check_lists(cases, COUNT(cases), mailbox_list_parse);
}

static void the_obsolete_and_the_odd_parse_but_are_not_strict(void **state)
{
    static const struct list_case cases[] = {
        {VALUE("j . d @ x . y"), "!!|j.d@x.y|"},
        {VALUE("j(a)@(b)x(c)"), "!!|j@x|c"},
        {VALUE("J <@a,@b:j@x>"), "!!J|j@x|"},
        {VALUE("J <@a,,@b , : j@x>"), "!!J|j@x|"},
        {VALUE("\"j\"@x"), "!!|j@x|"},
        {VALUE("\"j\".d@x"), "!!|j.d@x|"},
        {VALUE("j..d@x"), "!!|\"j..d\"@x|"},
        {VALUE(".j@x"), "!!|\".j\"@x|"},
        {VALUE("j.@x"), "!!|\"j.\"@x|"},
        {VALUE("\"\\j\"@x"), "!!|j@x|"},
        {VALUE("\"a\n b\"@x"), "!!|\"a b\"@x|"},
        {VALUE("j@[ 192.0.2.1\n ]"), "!!|j@[192.0.2.1]|"},
        {VALUE("j@[\\1]"), "!!|j@[1]|"},
        {VALUE("a@x;b@y"), "!|a@x| , |b@y|"},
        {VALUE("a@x,"), "!|a@x|"},
        {VALUE(",a@x"), "!|a@x|"},
        {VALUE("a@x,,b@y"), "!|a@x| , |b@y|"},
        {VALUE("a@x, (none), b@y"), "!|a@x| , |b@y|"},
        {VALUE("g: a@x, B <b@y>;"), "!|a@x| , B|b@y|"},
        {VALUE("g: a@x;, h:;, c@z"), "!|a@x| , |c@z|"},
        {VALUE("My \"G\" (g): a@x;"), "!|a@x|"},
        {VALUE("g:;"), "!"},
        {VALUE("g: (c) , ;"), "!"},
        {VALUE("=?u?q?a,b?= <j@x>"), "!!=?u?q?a,b?=|j@x|"},
        {VALUE("x=?u?q?a@b?=y <j@x>"), "!!x=?u?q?a@b?=y|j@x|"},
        {VALUE("=?u?q?a,?=?u?q?b(?= c) <j@x>"), "!!=?u?q?a,?=?u?q?b(?= c)|j@x|?= c"},
        {VALUE("a=?u?q?b?==?u?q?c,?= <j@x>"), "!!a=?u?q?b?==?u?q?c,?=|j@x|"},
        {VALUE("j@x."), "!!|j@x|"},
        {VALUE("J <j@x.y.>, K <k@z>"), "!!J|j@x.y| , K|k@z|"},
        {VALUE("j@x.y. (J)"), "!!|j@x.y|J"},
        {VALUE("<j@x. >"), "!!|j@x|"},
        {VALUE("g: j@x.;"), "!!|j@x|"},
        {VALUE("J <mailto:j@x>, <MailTo: k@z>"), "!!J|j@x| , !|k@z|"},
        {VALUE("J <SMTP:j@x>"), "!!J|j@x|"},
        {VALUE("mailto:j@x"), "!!|j@x|"},
        {VALUE("mailto:j@x;"), "!!|j@x|"},
        {VALUE("smtp:J <j@x>; smtp:k@z"), "!!J|j@x| , !|k@z|"},
        {VALUE("g: mailto:j@x;"), "!!|j@x|"},
        {VALUE("'j@x'"), "!!|j@x|"},
        {VALUE("J <'j@x'>"), "!!J|j@x|"},
        {VALUE("'J' <j@x>"), "'J'|j@x|"},
        {VALUE("'j@x"), "|'j@x|"},
    };

    (void)state;
    check_lists(cases, COUNT(cases), mailbox_list_parse);
}

static void what_is_no_list_does_not_parse(void **state)
{
    static const struct list_case cases[] = {
        {VALUE(""), NULL},
        {VALUE(" \n "), NULL},
        {VALUE("()"), NULL},
        {VALUE(","), NULL},
        {VALUE(";"), NULL},
        {VALUE("."), NULL},
        {VALUE("root"), NULL},
        {VALUE("Doe, J <j@x>"), NULL},
        {VALUE("j@"), NULL},
        {VALUE("@x"), NULL},
        {VALUE("j@x@y"), NULL},
        {VALUE("j@x y"), NULL},
        {VALUE("J j@x"), NULL},
        {VALUE("<j@x"), NULL},
        {VALUE("j@x>"), NULL},
        {VALUE("<j@x>>"), NULL},
        {VALUE("<>"), NULL},
        {VALUE("<j>"), NULL},
        {VALUE("<j@x> J"), NULL},
        {VALUE("<a@x> <b@y>"), NULL},
        {VALUE("a@x <b@y>"), NULL},
        {VALUE("\"J <j@x>"), NULL},
        {VALUE("(J <j@x>"), NULL},
        {VALUE("J) <j@x>"), NULL},
        {VALUE("[J] <j@x>"), NULL},
        {VALUE("J\\ <j@x>"), NULL},
        {VALUE(".J <j@x>"), NULL},
        {VALUE("j@."), NULL},
        {VALUE("j@x.."), NULL},
        {VALUE("j@[x]."), NULL},
        {VALUE("mailto:"), NULL},
        {VALUE("mailto:;"), NULL},
        {VALUE("<mailto:>"), NULL},
        {VALUE("<mailto:mailto:j@x>"), NULL},
        {VALUE("<sip:j@x>"), NULL},
        {VALUE("<J mailto:j@x>"), NULL},
        {VALUE("'@x'"), NULL},
        {VALUE("j@.x"), NULL},
        {VALUE("j@x..y"), NULL},
        {VALUE("j@\"x\""), NULL},
        {VALUE("\"\"@x"), NULL},
        {VALUE("\"a\"b@x"), NULL},
        {VALUE("j@[x"), NULL},
        {VALUE("j@[]"), NULL},
        {VALUE("j@[a[b]"), NULL},
        {VALUE("j@[\\]]"), NULL},
        {VALUE("j@[x]y"), NULL},
        {VALUE("j@x[y]"), NULL},
        {VALUE("g: a@x"), NULL},
        {VALUE(": a@x;"), NULL},
        {VALUE("g: h: a@x;;"), NULL},
        {VALUE("j\xf6@x"), NULL},
        {VALUE("j@\xc3"), NULL},
        {VALUE("j\xc0\x80@x"), NULL},
        {VALUE("j\xed\xa0\x80@x"), NULL},
        {VALUE("j\xf4\x90\x80\x80@x"), NULL},
        {VALUE("j\0@x"), NULL},
        {VALUE("j@x\0"), NULL},
        {VALUE("\"j\0\"@x"), NULL},
        {VALUE("\"j\\\n\"@x"), NULL},
        {VALUE("\"j\t\"@x"), NULL},
        {VALUE("j\n@x"), NULL},
        {VALUE("J\n<j@x>"), NULL},
        {VALUE("j@x\n"), NULL},
        {VALUE("j@x\r"), NULL},
        {VALUE("J\r <j@x>"), NULL},
        {VALUE("J\x7f <j@x>"), NULL},
        {VALUE("=?u?q?a,b?=@x"), NULL},
        {VALUE("<@a j@x>"), NULL},
        {VALUE("j@x?"), NULL},
        {VALUE("j@[?]"), NULL},
        {VALUE("=?u?q?a@\n x?="), NULL},
        {VALUE("<@a:@b:j@x>"), NULL},
        {VALUE("(" NESTED_16 NESTED_16_ENDS ") j@x"), NULL},
    };

    (void)state;
    check_lists(cases, COUNT(cases), mailbox_list_parse);
}

static void what_does_not_parse_is_searched_for_its_only_address(void **state)
{
    static const struct list_case cases[] = {
        {VALUE("Doe, J <j@x>"), "!!Doe, J?|j@x|"},
        {VALUE("[J] <j@x>"), "!![J]?|j@x|"},
        {VALUE("=?u?q?a?=?u?q?b,c?= <j@x>"), "!!=?u?q?a?=?u?q?b,c?=?|j@x|"},
        {VALUE("J <j@x> extra"), "!!J|j@x|"},
        {VALUE("\"J <j@x>"), "!!\"J?|j@x|"},
        {VALUE("(J <j@x>"), "!!(J?|j@x|"},
        {VALUE("k@y <j@x>"), "!!k@y?|j@x|"},
        {VALUE("\"k <k@y>\" [J] <j@x>"), "!!\"k <k@y>\" [J]?|j@x|"},
        {VALUE("(k <k@y>) [J] <j@x>"), "!!(k <k@y>) [J]?|j@x|"},
        {VALUE("J <> <j@x>"), "!!J <>?|j@x|"},
        {VALUE("J j@x"), "!!J|j@x|"},
        {VALUE("J: j@x"), "!!J|j@x|"},
        {VALUE("J j@x>"), "!!J|j@x|"},
        {VALUE("\xc3\x96 j@x"), "!!\xc3\x96|j@x|"},
        {VALUE("j \"K\" j@x"), "!!j \"K\"|j@x|"},
        {VALUE("J K j@x."), "!!J K|j@x|"},
        {VALUE("\"J\"\n j@x"), "!!\"J\"|j@x|"},
        {VALUE("=?u?q?J?=\n j@x"), "!!=?u?q?J?=|j@x|"},
        {VALUE("(J)\n j@x [K]"), "!!(J)?|j@x|"},
        {VALUE("J,\n j@x"), "!!J|j@x|"},
        {VALUE("j@x, J"), "!!?|j@x|"},
        {VALUE("J <<j@x>>"), "!!J|j@x|"},
        {VALUE("J <<mailto:j@x.>>"), "!!J|j@x|"},
        {VALUE("Doe, J <smtp:j@x>"), "!!Doe, J?|j@x|"},
        {VALUE("J <a> <j@x>"), "!!J <a>?|j@x|"},
        {VALUE("J [mailto:j@x]"), "!!J|j@x|"},
        {VALUE("J mailto:j@x"), "!!J|j@x|"},
        {VALUE("J &lt;j@x&gt;"), "!!J|j@x|"},
        {VALUE("\"j@x\""), "!!?|j@x|"},
        {VALUE(" \"J <j@x>\" "), "!!J|j@x|"},
        {VALUE("J <j@x"), NULL},
        {VALUE("J <j@x or"), NULL},
        {VALUE("J <j@x, <k@y>"), NULL},
        {VALUE("J <j@x.co m>"), NULL},
        {VALUE("J <j@x.co\n m>"), NULL},
        {VALUE("J <j@x.co\n\tm.example>"), NULL},
        {VALUE("J <j\n k@x>"), NULL},
        {VALUE("J <j k@x"), NULL},
        {VALUE("J <j@x> <k@x"), NULL},
        {VALUE("J <j@x.co> <m@"), NULL},
        {VALUE("J <\"j\" k@x>"), NULL},
        {VALUE("J <\"j\n k\"@x.co m>"), NULL},
        {VALUE("J <@a,@b:j@x.co m>"), NULL},
        {VALUE("J <j@x(a) m>"), NULL},
        {VALUE("J <j@x (a"), NULL},
        {VALUE("J <sip:j@x>"), NULL},
        {VALUE("j@x.co\n m"), NULL},
        {VALUE("j@x.co m"), NULL},
        {VALUE("J j@x.co\n m"), NULL},
        {VALUE("j@x J"), NULL},
        {VALUE("j\n k@x"), NULL},
        {VALUE("J\n k@x"), NULL},
        {VALUE("j k@x"), NULL},
        {VALUE("J K@x"), NULL},
        {VALUE("J k l@x"), NULL},
        {VALUE("J\rk@x"), NULL},
        {VALUE("J &lt;j@x.co m&gt;"), NULL},
        {VALUE("J &LT;j@x"), NULL},
        {VALUE("\"j@x.co m\""), NULL},
        {VALUE("\"J\" <\"j@x\">"), NULL},
        {VALUE("\"j@x\" \"k@y\""), NULL},
        {VALUE("- <j@x> !"), "!!?|j@x|"},
        {VALUE("=?u?q?<a@b>?= [J] <j@x>"), "!!=?u?q?<a@b>?= [J]?|j@x|"},
        {VALUE("[A] <a@x>, B <b@y>"), NULL},
        {VALUE("J <a b@x>"), NULL},
        {VALUE("a@x b@y"), NULL},
        {VALUE("j\0j@x"), NULL},
        {VALUE("J\nj@x"), NULL},
        {VALUE("j@x\nBcc: b"), NULL},
        {VALUE("J\\j@x"), NULL},
        {VALUE("\"J j@x\" ["), NULL},
        {VALUE("J <j@x\xf6>"), NULL},
        {VALUE("root"), NULL},
        {VALUE(""), NULL},
    };

    (void)state;
    check_lists(cases, COUNT(cases), salvage_mailbox);
}

static void what_looks_like_an_address_is_seen_whether_it_can_be_taken_or_not(void **state)
{
    static const char *const with[] = {"j@x",  "J <j@x.co m>", "a@x b@y", "\"j\"@x", "j @ x",
                                       "j@[1", "J <j@x",       "@ j@x",   "\"j@x"};
    static const char *const without[] = {"",    " ",     "<>",     "j",           "<j>", "j@",
                                          "@x",  "@",     "(j@x)",  "\"j@x\" k",   "g:;", "<@>",
                                          "j@@", "; @ ;", "J <j@>", "=?u?q?j@x?=", "@@"};

    (void)state;
    for (size_t i = 0; i < COUNT(with); i++) {
        if (!salvage_hints_at_address(with[i], strlen(with[i])))
            fail_msg("'%s': got no, want yes", with[i]);
    }
    for (size_t i = 0; i < COUNT(without); i++) {
        if (salvage_hints_at_address(without[i], strlen(without[i])))
            fail_msg("'%s': got yes, want no", without[i]);
    }
}

static void a_value_without_an_address_may_still_have_a_name(void **state)
{
    static const struct {
        const char *value;
        const char *want;
        bool is_text;
    } cases[] = {
        {"root", "root", false},
        {" Cron Daemon (x) ", "Cron Daemon (x)", false},
        {"Doe, J", "Doe, J", true},
        {"Doe, J,;:", "Doe, J", true},
        {"J <>", "J", false},
        {"J <a@b@c>", "J", false},
        {"a@b <>", "a@b", true},
        {"\"J <j@x>\"", "\"J <j@x>\"", false},
        {"a@b@c", "", true},
        {"...", "", true},
        {"", "", true},
        {"\xe6\x97\xa5", "\xe6\x97\xa5", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        bool is_text;
        struct mailbox_text got = salvage_name(cases[i].value, strlen(cases[i].value), &is_text);
        if (got.length != strlen(cases[i].want) ||
            memcmp(got.bytes, cases[i].want, got.length) != 0 || is_text != cases[i].is_text)
            fail_msg("'%s': got '%.*s' (%d), want '%s' (%d)", cases[i].value, (int)got.length,
                     got.bytes, is_text, cases[i].want, cases[i].is_text);
    }
}

static void a_list_remembers_a_hundred_mailboxes_and_counts_all(void **state)
{
    struct mailbox_list *list = memory_alloc(sizeof(*list));
    struct buffer value = {0};

    (void)state;
    for (int i = 0; i < 250; i++)
        buffer_format(&value, "%su%d@x", i == 0 ? "" : ", ", i);
    mailbox_list_init(list);
    assert_true(mailbox_list_parse(list, value.data, value.length));
    assert_int_equal(list->count, MAILBOX_LIST_MAX);
    assert_int_equal(list->total, 250);
    assert_string_equal(list->items[MAILBOX_LIST_MAX - 1].address, "u99@x");
    buffer_append_string(&value, ", broken");
    assert_false(mailbox_list_parse(list, value.data, value.length));
    assert_int_equal(list->total, 250);
    buffer_free(&value);
    free(list);
}

static void a_second_value_is_appended_and_a_broken_one_leaves_no_trace(void **state)
{
    struct mailbox_list *list = memory_alloc(sizeof(*list));

    (void)state;
    mailbox_list_init(list);
    assert_true(mailbox_list_parse(list, VALUE("a@x")));
    assert_false(mailbox_list_parse(list, VALUE("b@y; c@z, broken")));
    char *got = show(list);
    assert_string_equal(got, "|a@x|");
    free(got);
    assert_true(mailbox_list_parse(list, VALUE("b@y")));
    got = show(list);
    assert_string_equal(got, "|a@x| , |b@y|");
    free(got);
    free(list);
}

static void an_address_has_at_most_320_octets(void **state)
{
    char text[MAILBOX_ADDRESS_MAX + 2];
    char address[MAILBOX_ADDRESS_MAX + 1];

    (void)state;
    memset(text, 'a', sizeof(text));
    text[64] = '@';
    assert_true(mailbox_address_parse(text, MAILBOX_ADDRESS_MAX, address));
    assert_int_equal(strlen(address), MAILBOX_ADDRESS_MAX);
    assert_false(mailbox_address_parse(text, MAILBOX_ADDRESS_MAX + 1, address));
    /* quotes that it needs count, too */
    text[1] = text[2] = '.';
    assert_false(mailbox_address_parse(text, MAILBOX_ADDRESS_MAX, address));
    assert_true(mailbox_address_parse(text, MAILBOX_ADDRESS_MAX - 2, address));
}

static void an_address_alone_has_no_angles_names_or_company(void **state)
{
    static const char *const refused[] = {"",     "<a@b>", "A <a@b>", "a@b, c@d",
                                          "a@b;", "root",  "g:;"};
    char address[MAILBOX_ADDRESS_MAX + 1];

    (void)state;
    for (size_t i = 0; i < COUNT(refused); i++) {
        if (mailbox_address_parse(refused[i], strlen(refused[i]), address))
            fail_msg("'%s': got %s, want none", refused[i], address);
    }
    assert_true(mailbox_address_parse(VALUE(" (c) a . b @ c (d) "), address));
    assert_string_equal(address, "a.b@c");
}

static void encoded_words_are_recognized_by_their_form(void **state)
{
    static const struct {
        const char *text;
        size_t want;
    } cases[] = {
        {"=?utf-8?q?a?=", 13},
        {"=?utf-8?Q?a?= b", 13},
        {"=?utf-8*de?B?YQ==?=", 19},
        {"=?u?q?a,b@c?=", 13},
        {"=?u?q?a?==?u?q?b?=", 9},
        {"=?u?b?a,b?=", 0},
        {"=?u?x?a?=", 0},
        {"=?u?q?"
         "?=",
         0},
        {"=??q?a?=", 0},
        {"=?u?q?a b?=", 0},
        {"=?u?q?a", 0},
        {"=?u?q?a?", 0},
        {"=?u?q", 0},
        {"=?", 0},
        {"", 0},
        {"=?u?q?a?b?=", 0},
        {" =?u?q?a?=", 0},
        {"=?u?q?a\x01?=", 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        size_t got = encoded_word_length(cases[i].text, strlen(cases[i].text));
        if (got != cases[i].want)
            fail_msg("'%s': got %zu, want %zu", cases[i].text, got, cases[i].want);
    }
}

static void encoded_words_in_a_phrase_are_made_legal_and_all_else_is_copied(void **state)
{
    static const struct {
        const char *phrase;
        const char *want;
    } cases[] = {
        {"John (a, b) \"c, d\" e.", "John (a, b) \"c, d\" e."},
        {"=?u?q?a,b?= \"=?u?q?a,b?=\" (=?u?q?a,b?=)",
         "=?u?q?a=2Cb?= \"=?u?q?a,b?=\" (=?u?q?a,b?=)"},
        {"x=?u?q?<a@b>?=y", "x=?u?q?=3Ca=40b=3E?=y"},
        {"=?u?q?a.b?=\n =?u?q?\"(\\)[]:;\"?=", "=?u?q?a.b?=\n =?u?q?=22=28=5C=29=5B=5D=3A=3B=22?="},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buffer got = {0};
        const struct mailbox_text phrase = {cases[i].phrase, strlen(cases[i].phrase)};
        assert_true(mailbox_is_phrase(phrase));
        mailbox_append_phrase(&got, phrase);
        assert_string_equal(got.data, cases[i].want);
        buffer_free(&got);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_rfc_5322_wants_is_strict),
        cmocka_unit_test(the_obsolete_and_the_odd_parse_but_are_not_strict),
        cmocka_unit_test(what_is_no_list_does_not_parse),
        cmocka_unit_test(what_does_not_parse_is_searched_for_its_only_address),
        cmocka_unit_test(what_looks_like_an_address_is_seen_whether_it_can_be_taken_or_not),
        cmocka_unit_test(a_value_without_an_address_may_still_have_a_name),
        cmocka_unit_test(a_list_remembers_a_hundred_mailboxes_and_counts_all),
        cmocka_unit_test(a_second_value_is_appended_and_a_broken_one_leaves_no_trace),
        cmocka_unit_test(an_address_has_at_most_320_octets),
        cmocka_unit_test(an_address_alone_has_no_angles_names_or_company),
        cmocka_unit_test(encoded_words_are_recognized_by_their_form),
        cmocka_unit_test(encoded_words_in_a_phrase_are_made_legal_and_all_else_is_copied),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
