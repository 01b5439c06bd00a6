/* test_header.c - a message's header, held back until it can be judged */
#include "transport/delivery/header.h"

#include "common/buffer.h"

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define UPN          "relay@contoso.com"

static enum rewrite_coverage covered(void *context, const char *address, size_t length)
{
    (void)length;
    if (context != NULL)
        return REWRITE_COVERAGE_UNKNOWN;
    return strcmp(address, "sales@contoso.com") == 0 ? REWRITE_COVERED : REWRITE_NOT_COVERED;
}

static struct rewrite_rules rules_of(const char *sender)
{
    return (struct rewrite_rules){.upn = UPN,
                                  .envelope_sender = sender,
                                  .rewrite_from = true,
                                  .add_reply_to = true,
                                  .replaces_null_sender = sender[0] == '\0',
                                  .covered = covered};
}

/* The message as it leaves, given in pieces of so many octets. The caller's to free(). */
static char *pass_pieces(const char *text, size_t length, size_t piece, const char *sender,
                         size_t *passed)
{
    struct header *header = header_new();
    size_t taken = 0;
    while (taken < length && !header_is_whole(header)) {
        size_t part = length - taken < piece ? length - taken : piece;
        char *octets = malloc(part); /* so that a sanitizer sees a look beyond */
        assert_non_null(octets);
        memcpy(octets, text + taken, part);
        size_t took = header_take(header, octets, part);
        assert_true(took == part || header_is_whole(header));
        taken += took;
        free(octets);
    }
    if (!header_is_whole(header))
        header_end(header);
    struct rewrite_rules rules = rules_of(sender);
    struct rewrite_edits edits;
    assert_int_equal(header_judge(header, &rules, &edits), REWRITE_OK);
    struct evbuffer *out = evbuffer_new();
    header_write(header, &edits, out);
    evbuffer_add(out, text + taken, length - taken);
    *passed = evbuffer_get_length(out);
    char *result = malloc(*passed + 1);
    assert_non_null(result);
    evbuffer_copyout(out, result, *passed);
    result[*passed] = '\0';
    evbuffer_free(out);
    rewrite_edits_free(&edits);
    header_free(header);
    return result;
}

static void expect(const char *text, const char *sender, const char *want)
{
    size_t length = strlen(text);
    for (size_t piece = length + 1; piece > 0; piece = piece > 3 ? piece / 3 : piece - 1) {
        size_t passed;
        char *got = pass_pieces(text, length, piece, sender, &passed);
        if (strcmp(got, want) != 0)
            fail_msg("pieces of %zu: got\n%s\nwant\n%s", piece, got, want);
        free(got);
    }
}

static void what_is_right_passes_octet_for_octet(void **state)
{
    (void)state;
    static const char *const messages[] = {
        "From: " UPN "\r\n\r\n",
        "From:\t Relay\r\n\t <" UPN ">\r\nSubject:  x \r\n\r\nhello\r\n",
        "DKIM-Signature: a;\r\n b=c\r\nFROM:sales@contoso.com\r\n\r\n\r\n\r\nFrom: x@y\r\n",
        "Subject : x\r\nFrom: " UPN "\r\nSender: " UPN "\r\nX-\xc3\xbc: y\r\n\r\n..dot\r\n",
        "From joe@x.example Sat Nov 28 18:00:00 2026\r\nFrom: " UPN "\r\n\r\nhello\r\n",
        ">From joe@x.example Sat Nov 28 18:00:00 2026\r\nFrom: " UPN "\r\n\r\nhello\r\n",
        "From: " UPN "\r\nno field and no blank line\r\nFrom: x@y\r\n",
        "X: y\r\n \r\nFrom: " UPN "\r\n\r\nhello\r\n",
        "..x: y\r\nFrom: " UPN "\r\n\r\n",
        "From: " UPN "\r\n",
    };
    for (size_t i = 0; i < COUNT(messages); i++)
        expect(messages[i], UPN, messages[i]);
}

static void what_is_not_is_made_right(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"Subject: x\r\nFrom: Joe <joe@corp.example>\r\nTo: a@b\r\n\r\n.. hello\r\n",
         "Subject: x\r\nFrom: Joe <" UPN
         ">\r\nTo: a@b\r\nReply-To: Joe <joe@corp.example>\r\n" REWRITE_ORIGINAL
         ": Joe <joe@corp.example>\r\n\r\n.. hello\r\n"},
        {"from :\r\n\tJoe\r\n <joe@corp.example>\r\nReply-To: list@corp.example\r\n\r\nhello\r\n",
         "From: Joe <" UPN ">\r\nReply-To: list@corp.example\r\n" REWRITE_ORIGINAL
         ": Joe <joe@corp.example>\r\n\r\nhello\r\n"},
        {"From: joe@corp.example\r\nX: y\r\n z\r\nfrom: kim@corp.example\r\nSender: "
         "kim@corp.example"
         "\r\nReply-To: r@b\r\n\r\n",
         "From: \"joe@corp.example\" <" UPN ">\r\nX: y\r\n z\r\nReply-To: r@b\r\n" REWRITE_ORIGINAL
         ": joe@corp.example, kim@corp.example\r\n\r\n"},
        {"Sender: kim@corp.example\r\nFrom: " UPN "\r\n\r\nhello\r\n",
         "From: " UPN "\r\n\r\nhello\r\n"},
        {"From joe@x Sat Nov 28\r\nFrom: Joe <joe@corp.example>\r\nReply-To: r@b\r\n\r\nhello\r\n",
         "From joe@x Sat Nov 28\r\nFrom: Joe <" UPN ">\r\nReply-To: r@b\r\n" REWRITE_ORIGINAL
         ": Joe <joe@corp.example>\r\n\r\nhello\r\n"},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        expect(cases[i].text, "joe@corp.example", cases[i].want);
}

/* Whoever reads it then takes the body for the body. */
static void what_has_no_header_gets_one(void **state)
{
    (void)state;
    static const char from[] = "From: \"joe@corp.example\" <" UPN ">\r\n"
                               "Reply-To: joe@corp.example\r\n";
    static const struct {
        const char *text;
        const char *between;
    } cases[] = {
        {"", "\r\n"},
        {"\r\nhello\r\n", ""},
        {"hello there\r\nFrom: x@y\r\n", "\r\n"},
        {" hello: there\r\n", "\r\n"},
        {": hello\r\n", "\r\n"},
        {"\xc3\xbc: hello\r\n", "\r\n"},
        {"..\r\n", "\r\n"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char want[400];
        snprintf(want, sizeof(want), "%s%s%s", from, cases[i].between, cases[i].text);
        expect(cases[i].text, "joe@corp.example", want);
    }
    expect("Subject: x\r\nhello\r\n", "joe@corp.example",
           "Subject: x\r\nFrom: \"joe@corp.example\" <" UPN ">\r\nReply-To: joe@corp.example\r\n"
           "hello\r\n");
}

static void nobody_answers_the_null_sender(void **state)
{
    (void)state;
    expect("From: " UPN "\r\n\r\nhello\r\n", "",
           "From: " UPN
           "\r\nAuto-Submitted: auto-generated\r\nX-Auto-Response-Suppress: All\r\n\r\n"
           "hello\r\n");
    expect("From: " UPN "\r\nAuto-Submitted: auto-replied\r\nX-Auto-Response-Suppress: OOF\r\n\r\n",
           "",
           "From: " UPN
           "\r\nAuto-Submitted: auto-replied\r\nX-Auto-Response-Suppress: OOF\r\n\r\n");
}

static void octets_that_are_no_text_pass(void **state)
{
    (void)state;
    static const char text[] = "X: a\0b\xff\r\nFrom: " UPN "\r\n\r\n\0\0\xfe\r\n";
    size_t passed;
    char *got = pass_pieces(text, sizeof(text) - 1, 5, UPN, &passed);
    assert_int_equal(passed, sizeof(text) - 1);
    assert_memory_equal(got, text, passed);
    free(got);
}

/* A header that is longer than what is held, with `before` in front of what fills it. */
static char *long_message(const char *before, const char *filler, const char *behind)
{
    struct buffer text = {0};
    buffer_append_string(&text, before);
    while (text.length < HEADER_MAX + 5000)
        buffer_append_string(&text, filler);
    buffer_append_string(&text, behind);
    return buffer_take(&text);
}

static void of_a_header_without_end_what_has_come_is_judged(void **state)
{
    (void)state;
    static const struct {
        const char *before, *filler;
    } cases[] = {
        {"From: Joe <joe@corp.example>\r\nReply-To: r@b\r\n", "X-Filler: 0123456789\r\n"},
        {"From: Joe <joe@corp.example>\r\nReply-To: r@b\r\nX-Long:", " 0123456789\r\n"},
        {"From: Joe <joe@corp.example>\r\nReply-To: r@b\r\nX-Long: ", "0123456789"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *text = long_message(cases[i].before, cases[i].filler, "\r\n\r\nhello\r\n");
        size_t passed, added = strlen(REWRITE_ORIGINAL ": Joe <joe@corp.example>\r\n");
        char *got = pass_pieces(text, strlen(text), 4096, "joe@corp.example", &passed);
        assert_int_equal(passed, strlen(text) + strlen(UPN) - strlen("joe@corp.example") + added);
        assert_memory_equal(got, "From: Joe <" UPN ">\r\nReply-To: r@b\r\n", 45);
        const char *original =
            strstr(got, "\r\n" REWRITE_ORIGINAL ": Joe <joe@corp.example>\r\nX-");
        assert_non_null(original);
        assert_string_equal(got + passed - 11, "\r\n\r\nhello\r\n");
        free(got);
        free(text);
    }
}

/* What is right already, as the milter leaves it, stays so. */
static void a_right_header_without_end_passes(void **state)
{
    (void)state;
    char *text = long_message("From: " UPN "\r\n", "X-Filler: 0123456789\r\n", "\r\nhello\r\n");
    size_t passed;
    char *got = pass_pieces(text, strlen(text), 100, UPN, &passed);
    assert_string_equal(got, text);
    free(got);
    free(text);
}

static void thousands_of_fields_take_no_time(void **state)
{
    (void)state;
    struct buffer text = {0};
    for (int i = 0; i < 12000; i++)
        buffer_append_string(&text, "From:a@b\r\n");
    buffer_append_string(&text, "\r\n");
    size_t passed;
    char *got = pass_pieces(text.data, text.length, 4096, "a@b", &passed);
    assert_non_null(strstr(got, "From: \"a@b\" <" UPN ">\r\nReply-To: a@b\r\n"));
    assert_null(strstr(got + 1, "\nFrom:"));
    free(got);
    buffer_free(&text);
}

static size_t bytes_in_use(void)
{
    const struct mallinfo2 heap = mallinfo2(); /* nothing but zeros under a sanitizer */
    return heap.uordblks + heap.hblkhd;
}

/* A thousand clients may each have begun a message, and say no more. */
static void the_shortest_fields_take_little_memory(void **state)
{
    (void)state;
    static const char *const fields[] = {"From:\r\n", "Sender:\r\n", "Reply-To:\r\n", "X:\r\n"};
    for (size_t i = 0; i < COUNT(fields); i++) {
        size_t before = bytes_in_use();
        struct header *header = header_new();
        while (!header_is_whole(header))
            header_take(header, fields[i], strlen(fields[i]));
        assert_true(bytes_in_use() - before < 6 * HEADER_MAX);
        header_free(header);
    }
}

static void a_lookup_that_fails_changes_nothing(void **state)
{
    (void)state;
    static const char text[] = "From: Joe <joe@corp.example>\r\n\r\n";
    struct header *header = header_new();
    header_take(header, text, strlen(text));
    struct rewrite_rules rules = rules_of(UPN);
    struct rewrite_edits edits;
    rules.context = &rules;
    assert_int_equal(header_judge(header, &rules, &edits), REWRITE_LOOKUP_FAILED);
    header_free(header);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_right_passes_octet_for_octet),
        cmocka_unit_test(what_is_not_is_made_right),
        cmocka_unit_test(what_has_no_header_gets_one),
        cmocka_unit_test(nobody_answers_the_null_sender),
        cmocka_unit_test(octets_that_are_no_text_pass),
        cmocka_unit_test(of_a_header_without_end_what_has_come_is_judged),
        cmocka_unit_test(a_right_header_without_end_passes),
        cmocka_unit_test(thousands_of_fields_take_no_time),
        cmocka_unit_test(the_shortest_fields_take_little_memory),
        cmocka_unit_test(a_lookup_that_fails_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
