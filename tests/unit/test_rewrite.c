/* test_rewrite.c - From: and Sender: as they come, and as they must leave
 *
 * With --dump: the table's rows and what became of them, as JSON lines for check_from_table.py.
 */
#include "common/address.h"
#include "common/sender/rewrite.h"

#include "common/buffer.h"
#include "common/memory.h"
#include "common/sender/mailbox.h"
#include "tests/unit/from_table.h"
#include "tests/unit/rewrite_message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <cmocka.h>

#define ROWS (sizeof(from_table) / sizeof(from_table[0]))

/* Nothing here takes a second; quadratic time with the large inputs would take minutes. */
#define TIME_LIMIT 60

/* The rows of the table */

static const char *or_else(const char *value, const char *standard)
{
    return value == NULL ? standard : value;
}

/* covered_by - is the address, or its @domain, in a list with spaces between? */
static enum rewrite_coverage covered_by(void *context, const char *address, size_t length)
{
    const char *domain = strrchr(address, '@');

    assert_int_equal(strlen(address), length);
    for (const char *at = context; *at != '\0';) {
        const size_t word = strcspn(at, " ");
        const char *subject = *at == '@' ? domain : address;
        if (word == strlen(subject) && strncasecmp(at, subject, word) == 0)
            return REWRITE_COVERED;
        at += word;
        at += strspn(at, " ");
    }
    return REWRITE_NOT_COVERED;
}

static struct rewrite_rules rules_of(const struct from_case *row)
{
    return (struct rewrite_rules){.upn = or_else(row->upn, UPN),
                                  .envelope_sender = or_else(row->envelope, ENVELOPE),
                                  .rewrite_from = true,
                                  .add_reply_to = !row->no_reply_to,
                                  .covered = covered_by,
                                  .context = (void *)(size_t)or_else(row->send_as, SEND_AS)};
}

static void add_text(struct message *message, const char *name, const struct from_text *text)
{
    if (text->bytes != NULL)
        message_add(message, name, text->bytes, text->length);
}

static void add_long(struct message *message, const struct from_long *text)
{
    struct buffer value = {0};

    buffer_append_string(&value, text->before);
    for (size_t i = 0; i < text->times; i++)
        buffer_append_string(&value, text->unit);
    buffer_append_string(&value, text->after);
    message_add(message, "From", value.data, value.length);
    buffer_free(&value);
}

static struct message message_of(const struct from_case *row)
{
    struct message message = {0};

    message_add(&message, "Received", "by host.example", strlen("by host.example"));
    for (size_t i = 0; i < 4; i++)
        add_text(&message, "From", &row->from[i]);
    if (row->from_long.unit != NULL)
        add_long(&message, &row->from_long);
    for (size_t i = 0; i < 3; i++)
        add_text(&message, "Sender", &row->sender[i]);
    for (size_t i = 0; i < 3; i++)
        add_text(&message, "Reply-To", &row->reply_to[i]);
    add_text(&message, "X-Original-From", &row->original);
    add_text(&message, REWRITE_ORIGINAL, &row->ours);
    message_add(&message, "Subject", "From: nobody", strlen("From: nobody"));
    return message;
}

static struct message rewritten(const struct from_case *row)
{
    const struct rewrite_rules rules = rules_of(row);
    struct message message = message_of(row);
    struct rewrite_edits edits;

    assert_int_equal(rewrite_headers(message.headers, message.count, &rules, &edits), REWRITE_OK);
    assert_null(message_apply(&message, &edits));
    rewrite_edits_free(&edits);
    return message;
}

/* What the rows want */

/* unfolded - a copy without folds, with spaces for control characters, and trimmed */
static char *unfolded(const char *bytes, size_t length)
{
    struct buffer text = {0};

    for (size_t i = 0; i < length; i++) {
        size_t next = i + (bytes[i] == '\r' && i + 1 < length && bytes[i + 1] == '\n') + 1;
        if ((bytes[i] == '\r' || bytes[i] == '\n') && next < length &&
            (bytes[next] == ' ' || bytes[next] == '\t'))
            continue;
        bool control = ((unsigned char)bytes[i] < ' ' && bytes[i] != '\t') || bytes[i] == 0x7f;
        buffer_append_char(&text, control ? ' ' : bytes[i]);
    }
    struct mailbox_text trimmed = mailbox_trim(text.data, text.length);
    char *copy = memory_copy_bytes(or_else(trimmed.bytes, ""), trimmed.length);
    buffer_free(&text);
    return copy;
}

/* as_written - all From: of a row, unfolded, with ", " between them */
static char *as_written(const struct from_case *row)
{
    struct message message = message_of(row);
    struct buffer text = {0};

    buffer_append_string(&text, "");
    for (int i = 1; i <= message_count(&message, "From"); i++) {
        const struct rewrite_header *from = message_find(&message, "From", i);
        char *value = unfolded(from->value, from->value_length);
        if (text.length > 0 && value[0] != '\0')
            buffer_append_string(&text, ", ");
        buffer_append_string(&text, value);
        free(value);
    }
    message_free(&message);
    return buffer_take(&text);
}

static void remove_spaces(char *text)
{
    char *to = text;

    for (; *text != '\0'; text++) {
        if (*text != ' ')
            *to++ = *text;
    }
    *to = '\0';
}

static bool is_cut_from(char *got, char *written)
{
    const size_t length = strlen(got);

    if (length < 4 || strcmp(got + length - 4, " ...") != 0)
        return false;
    got[length - 4] = '\0';
    remove_spaces(got);
    remove_spaces(written);
    return strlen(got) > REWRITE_ORIGINAL_MAX / 3 && strncmp(got, written, strlen(got)) == 0;
}

/* replace_address - put the UPN between the angles */
static char *replace_address(const char *written, const char *upn)
{
    const char *angle = strrchr(written, '<');

    assert_non_null(angle);
    return memory_format("%.*s<%s>", (int)(angle - written), written, upn);
}

/* is_wanted - does a header have the value that a row wants? NULL: there must be no such header. */
static bool is_wanted(const struct from_case *row, const struct rewrite_header *got,
                      const char *want)
{
    if (got == NULL || want == NULL)
        return got == NULL && want == NULL;
    if (want[0] != '\1')
        return strlen(want) == got->value_length && memcmp(want, got->value, strlen(want)) == 0;
    char *value = unfolded(got->value, got->value_length);
    char *written = as_written(row);
    bool equal = false;
    if (strcmp(want, AS_WRITTEN) == 0) {
        equal = strcmp(value, written) == 0;
    } else if (strcmp(want, AS_WRITTEN_CUT) == 0) {
        equal = is_cut_from(value, written);
    } else if (strcmp(want, AS_WRITTEN_BROKEN) == 0) {
        remove_spaces(value);
        remove_spaces(written);
        equal = strcmp(value, written) == 0;
    } else if (strcmp(want, WITH_UPN) == 0) {
        char *replaced = replace_address(written, or_else(row->upn, UPN));
        equal = strcmp(value, replaced) == 0;
        free(replaced);
    }
    free(value);
    free(written);
    return equal;
}

static int check_header(const struct from_case *row, const struct message *message,
                        const char *name, const char *want)
{
    const struct rewrite_header *got = message_find(message, name, 1);

    if (message_count(message, name) <= 1 && is_wanted(row, got, want))
        return 0;
    print_error("%s: %s:\n   got %d, %.2000s\n  want %s\n", row->about, name,
                message_count(message, name), got == NULL ? "none" : got->value,
                or_else(want, "none"));
    return 1;
}

/* check_from - as check_header, for rows whose From: must be what it was */
static int check_from(const struct from_case *row, const struct message *message)
{
    const struct rewrite_header *got = message_find(message, "From", 1);

    if (row->want_from != NULL)
        return check_header(row, message, "From", row->want_from);
    if (message_count(message, "From") == 1 && got->value_length == row->from[0].length &&
        memcmp(got->value, row->from[0].bytes, got->value_length) == 0)
        return 0;
    print_error("%s: From: was touched:\n   got %s\n  want %s\n", row->about,
                got == NULL ? "none" : got->value, row->from[0].bytes);
    return 1;
}

/* check_original - what was there of the kind stays, and ours comes behind it */
static int check_original(const struct from_case *row, const struct message *message)
{
    const int before = row->ours.bytes != NULL;
    const struct rewrite_header *got = message_find(message, REWRITE_ORIGINAL, before + 1);
    const struct rewrite_header *theirs = message_find(message, "X-Original-From", 1);

    if (is_wanted(row, got, row->want_original) &&
        message_count(message, REWRITE_ORIGINAL) == before + (row->want_original != NULL) &&
        (theirs == NULL ? 0 : theirs->value_length) == row->original.length)
        return 0;
    print_error("%s: original:\n   got %.2000s\n  want %s\n", row->about,
                got == NULL ? "none" : got->value, or_else(row->want_original, "none"));
    return 1;
}

static void every_row_of_the_table_becomes_what_it_should(void **state)
{
    int wrong = 0;

    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        const struct from_case *row = &from_table[i];
        struct message message = rewritten(row);
        wrong += check_from(row, &message);
        wrong += check_header(row, &message, "Reply-To", row->want_reply_to);
        wrong += check_original(row, &message);
        wrong += check_header(row, &message, "Sender", row->want_sender);
        wrong += check_header(row, &message, "Received", "by host.example");
        wrong += check_header(row, &message, "Subject", "From: nobody");
        message_free(&message);
    }
    if (wrong > 0)
        fail_msg("%d headers are not as they should be, in %zu rows", wrong, ROWS);
}

static void every_row_keeps_the_promises(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        const struct rewrite_rules rules = rules_of(&from_table[i]);
        struct message message = message_of(&from_table[i]);
        struct rewrite_edits edits;
        assert_int_equal(rewrite_headers(message.headers, message.count, &rules, &edits),
                         REWRITE_OK);
        const char *complaint = message_check(&message, &rules, &edits);
        if (complaint != NULL)
            fail_msg("%s: got %s", from_table[i].about, complaint);
        rewrite_edits_free(&edits);
        message_free(&message);
    }
}

static void the_rows_are_about_different_things(void **state)
{
    (void)state;
    assert_true(ROWS >= 170);
    for (size_t i = 0; i < ROWS; i++) {
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(from_table[i].about, from_table[j].about);
    }
}

/* The rules */

static enum rewrite_status edits_for(const char *from, const char *sender,
                                     const struct rewrite_rules *rules, struct rewrite_edits *edits)
{
    struct message message = {0};

    message_add(&message, "From", from, strlen(from));
    if (sender != NULL)
        message_add(&message, "Sender", sender, strlen(sender));
    enum rewrite_status status = rewrite_headers(message.headers, message.count, rules, edits);
    message_free(&message);
    return status;
}

static void nothing_is_touched_if_from_is_not_to_be_rewritten(void **state)
{
    static const struct from_case row = {0};
    struct rewrite_rules rules = rules_of(&row);
    struct rewrite_edits edits;

    (void)state;
    rules.rewrite_from = false;
    assert_int_equal(edits_for("a@x, b@y", "c@z", &rules, &edits), REWRITE_OK);
    assert_int_equal(edits.count, 0);
}

static enum rewrite_coverage fails_for(void *context, const char *address, size_t length)
{
    (void)length;
    return strcmp(address, context) == 0 ? REWRITE_COVERAGE_UNKNOWN : REWRITE_NOT_COVERED;
}

static void a_lookup_that_fails_gives_no_edits(void **state)
{
    static const struct from_case row = {0};
    struct rewrite_rules rules = rules_of(&row);
    struct rewrite_edits edits;

    (void)state;
    rules.covered = fails_for;
    rules.context = (void *)(size_t) "j@x.example";
    assert_int_equal(edits_for("J <j@x.example>", NULL, &rules, &edits), REWRITE_LOOKUP_FAILED);
    assert_int_equal(edits.count, 0);
    assert_null(edits.items);
    assert_int_equal(edits_for(UPN, "j@x.example", &rules, &edits), REWRITE_LOOKUP_FAILED);
    assert_int_equal(edits.count, 0);
    assert_int_equal(edits_for("k@x.example, j@x.example", NULL, &rules, &edits), REWRITE_OK);
    rewrite_edits_free(&edits);
}

/* What identity.c takes for a UPN must never be refused here: that would be a deferral for ever. */
static void whatever_passes_for_an_upn_can_stand_in_from(void **state)
{
    static const char *const shapes[] = {"%ca@b.example", "a%c@b.example", "a%ca@b.example",
                                         "a@b%c.example", "a@%cb.example", "a@b.example%c"};
    static const struct from_case row = {0};
    struct rewrite_rules rules = rules_of(&row);
    struct rewrite_edits edits;
    char upn[64];
    int accepted = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        for (int byte = 1; byte < 256; byte++) {
            snprintf(upn, sizeof(upn), shapes[i], byte);
            rules.upn = upn;
            bool usable = edits_for("j@x.example", NULL, &rules, &edits) == REWRITE_OK;
            rewrite_edits_free(&edits);
            if (address_is_upn(upn) && !usable)
                fail_msg("\"%s\" passes for a UPN and cannot stand in From:", upn);
            accepted += address_is_upn(upn);
        }
    }
    assert_true(accepted > 6 * 62);
}

static void an_upn_that_is_no_address_is_refused(void **state)
{
    static const char *const upns[] = {"",        "relay", "a@b, c@d",  "<a@b>",  "a@b\n",
                                       "A <a@b>", "a @ b", "\"a\"@b.c", "a@b\xff"};
    static const struct from_case row = {0};
    struct rewrite_rules rules = rules_of(&row);
    struct rewrite_edits edits;

    (void)state;
    for (size_t i = 0; i < sizeof(upns) / sizeof(upns[0]); i++) {
        rules.upn = upns[i];
        if (edits_for("j@x.example", NULL, &rules, &edits) != REWRITE_INVALID_UPN)
            fail_msg("UPN '%s': got accepted, want refused", upns[i]);
        assert_int_equal(edits.count, 0);
    }
}

static enum rewrite_coverage note_question(void *context, const char *address, size_t length)
{
    struct buffer *asked = context;

    buffer_append(asked, address, length);
    buffer_append_char(asked, ' ');
    return REWRITE_NOT_COVERED;
}

static void send_as_is_asked_about_the_address_alone_and_not_about_the_upn(void **state)
{
    static const struct from_case row = {0};
    struct rewrite_rules rules = rules_of(&row);
    struct buffer asked = {0};
    struct rewrite_edits edits;

    (void)state;
    rules.covered = note_question;
    rules.context = &asked;
    edits_for("J (c) <J . d (d) @ X.example>, k@x", "\"s\"@x (S)", &rules, &edits);
    rewrite_edits_free(&edits);
    edits_for("<RELAY@contoso.example>", "S <s@x>", &rules, &edits);
    rewrite_edits_free(&edits);
    assert_string_equal(asked.data, "J.d@X.example s@x ");
    buffer_free(&asked);
}

static void a_thousand_senders_are_a_few_questions(void **state)
{
    static const struct from_case row = {0};
    struct rewrite_rules rules = rules_of(&row);
    struct message message = {0};
    struct buffer asked = {0};
    struct rewrite_edits edits;

    (void)state;
    rules.covered = note_question;
    rules.context = &asked;
    message_add(&message, "From", UPN, strlen(UPN));
    for (int i = 0; i < 1000; i++)
        message_add(&message, "Sender", "a@b", 3);
    assert_int_equal(rewrite_headers(message.headers, message.count, &rules, &edits), REWRITE_OK);
    assert_int_equal(edits.count, 1000);
    assert_int_equal(edits.items[0].index, 1000);
    assert_int_equal(asked.length, REWRITE_SENDERS_MAX * strlen("a@b "));
    rewrite_edits_free(&edits);
    message_free(&message);
    buffer_free(&asked);
}

static void names_of_headers_are_compared_without_case(void **state)
{
    static const struct from_case row = {0};
    const struct rewrite_rules rules = rules_of(&row);
    struct message message = {0};
    struct rewrite_edits edits;

    (void)state;
    message_add(&message, "FROM", "j@x", 3);
    message_add(&message, "sender", "j@x", 3);
    message_add(&message, "reply-to", "j@x", 3);
    message_add(&message, "x-original-FROM", "j@x", 3);
    message_add(&message, "AUTO-submitted", "no", 2);
    message_add(&message, "Resent-From", "j@x", 3);
    assert_int_equal(rewrite_headers(message.headers, message.count, &rules, &edits), REWRITE_OK);
    assert_int_equal(edits.count, 3);
    assert_int_equal(edits.items[0].action, REWRITE_CHANGE);
    assert_int_equal(edits.items[1].action, REWRITE_DELETE);
    assert_string_equal(edits.items[1].name, "Sender");
    assert_string_equal(edits.items[2].name, REWRITE_ORIGINAL);
    rewrite_edits_free(&edits);
    message_free(&message);
}

static void all_headers_that_are_looked_at_are_named(void **state)
{
    static const char *const read[] = {"From",     "Sender",         "Reply-To",
                                       "REPLY-to", "Auto-Submitted", "x-auto-response-suppress"};
    static const char *const ignored[] = {
        "", "Fro", "From ", "Resent-From", "Subject", "X-Original-To", "X-Original-From"};

    (void)state;
    for (size_t i = 0; i < sizeof(read) / sizeof(read[0]); i++)
        assert_true(rewrite_reads(read[i]));
    for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
        assert_false(rewrite_reads(ignored[i]));
}

/* The recipes of the web are not anchored. */
static void the_name_for_the_original_is_no_other_headers(void **state)
{
    static const char *const names[] = {
        "From:", "Sender:", "Reply-To:", "Return-Path:", "Received:"};

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        assert_null(strcasestr(REWRITE_ORIGINAL ":", names[i]));
}

/* Python's parser, which has a word in the table, finds such words wrong whatever becomes of them.
 * Ours must find in what leaves what it found in what came. */
static void encoded_words_that_overlap_are_told_from_left_to_right(void **state)
{
    static const struct {
        const char *name;
        const char *want;
    } cases[] = {
        {"=?u?q?a?=?u?q?b,c?=", "\"=?u?q?a?=?u?q?b,c?=\""},
        {"=?u?q?a,?=?u?q?b", "=?u?q?a=2C?=?u?q?b"},
        {"=?u?q?a,?=?u?q?b(?= c)", "=?u?q?a=2C?=?u?q?b(?= c)"},
        {"=?u?q?a,.b?=?u?q?c(?= d)", "=?u?q?a=2C.b?=?u?q?c(?= d)"},
        {"=?u?q?a,?==?u?q?b,?=", "=?u?q?a=2C?==?u?q?b=2C?="},
        {"a=?u?q?b?=?u?q?c(?= d) e", "a=?u?q?b?=?u?q?c(?= d) e"},
    };
    static const struct from_case row = {0};
    const struct rewrite_rules rules = rules_of(&row);

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *value = memory_format("%s <j@x.example>", cases[i].name);
        char *want = memory_format("%s <" UPN ">", cases[i].want);
        struct message message = {0};
        struct rewrite_edits edits;
        message_add(&message, "From", value, strlen(value));
        assert_int_equal(rewrite_headers(message.headers, message.count, &rules, &edits),
                         REWRITE_OK);
        const char *complaint = message_check(&message, &rules, &edits);
        if (complaint != NULL)
            fail_msg("%s: got %s", value, complaint);
        assert_string_equal(message_find(&message, "From", 1)->value, want);
        rewrite_edits_free(&edits);
        message_free(&message);
        free(value);
        free(want);
    }
}

/* The null sender */

struct null_case {
    const char *about;
    const char *from;
    const char *submitted; /* NULL: no such header */
    const char *suppress;
    bool rewrite_from;
    const char *want_submitted;
    const char *want_suppress;
};

static const struct null_case null_cases[] = {
    {"neither", UPN, NULL, NULL, true, "auto-generated", "All"},
    {"neither, From: is left alone", "j@x.example", NULL, NULL, false, "auto-generated", "All"},
    {"neither, From: is rewritten, too", "j@x.example", NULL, NULL, true, "auto-generated", "All"},
    {"a bounce of Postfix's", "MAILER-DAEMON@x.example (Mail Delivery System)", "auto-replied",
     NULL, true, "auto-replied", "All"},
    {"a vacation notice", UPN, "auto-replied (vacation)", "OOF", true, "auto-replied (vacation)",
     "OOF"},
    {"Microsoft's header alone", UPN, NULL, "DR, AutoReply", true, "auto-generated",
     "DR, AutoReply"},
    {"somebody's word that it is his own", UPN, "no", NULL, true, "no", "All"},
    {"both blank", UPN, " ", "\n ", false, "auto-generated", "All"},
};

static void a_message_whose_null_sender_is_replaced_must_not_be_answered(void **state)
{
    static const struct from_case row = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(null_cases) / sizeof(null_cases[0]); i++) {
        const struct null_case *it = &null_cases[i];
        struct rewrite_rules rules = rules_of(&row);
        struct message message = {0};
        struct rewrite_edits edits;
        rules.envelope_sender = "";
        rules.rewrite_from = it->rewrite_from;
        rules.replaces_null_sender = true;
        message_add(&message, "From", it->from, strlen(it->from));
        if (it->submitted != NULL)
            message_add(&message, "auto-submitted", it->submitted, strlen(it->submitted));
        if (it->suppress != NULL)
            message_add(&message, "X-Auto-Response-Suppress", it->suppress, strlen(it->suppress));
        assert_int_equal(rewrite_headers(message.headers, message.count, &rules, &edits),
                         REWRITE_OK);
        assert_null(message_apply(&message, &edits));
        rewrite_edits_free(&edits);
        assert_int_equal(message_count(&message, "Auto-Submitted"), 1);
        assert_int_equal(message_count(&message, "X-Auto-Response-Suppress"), 1);
        if (strcmp(message_find(&message, "Auto-Submitted", 1)->value, it->want_submitted) != 0 ||
            strcmp(message_find(&message, "X-Auto-Response-Suppress", 1)->value,
                   it->want_suppress) != 0)
            fail_msg("%s: got \"%s\" and \"%s\"", it->about,
                     message_find(&message, "Auto-Submitted", 1)->value,
                     message_find(&message, "X-Auto-Response-Suppress", 1)->value);
        assert_int_equal(rewrite_headers(message.headers, message.count, &rules, &edits),
                         REWRITE_OK);
        assert_int_equal(edits.count, 0);
        message_free(&message);
    }
}

static void other_senders_get_no_such_headers(void **state)
{
    static const struct from_case row = {0};
    const struct rewrite_rules rules = rules_of(&row);
    struct rewrite_edits edits;

    (void)state;
    assert_int_equal(edits_for("j@x.example", NULL, &rules, &edits), REWRITE_OK);
    for (size_t i = 0; i < edits.count; i++)
        assert_null(strcasestr(edits.items[i].name, "auto"));
    rewrite_edits_free(&edits);
}

/* Any headers */

/* next_random - xorshift64*; the same numbers at every run */
static uint32_t next_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return (uint32_t)((*state * UINT64_C(2685821657736338717)) >> 32);
}

static const char *const pieces[] = {
    "John",
    "\"Doe, J\"",
    " ",
    " ",
    ",",
    ";",
    ":",
    "<",
    ">",
    "@",
    ".",
    "(",
    ")",
    "\"",
    "\\",
    "[",
    "]",
    "\n",
    "\n ",
    "\r\n\t",
    "\r",
    "\t",
    "\x01",
    "=?u?q?a,b?=",
    "\xc3\xa4",
    "\xe4",
    "u@v",
    "<u@v>",
    "j@x",
    "<a@z>",
    "=?u?b?YWI=?=",
    "(c (d))",
    "\"q\\\"r\"@z",
    "<@r:",
    "g:",
    "\x7f",
};

static void append_random(struct buffer *value, uint64_t *seed)
{
    const uint32_t choice = next_random(seed) % (sizeof(pieces) / sizeof(pieces[0]) + 4);

    if (choice < sizeof(pieces) / sizeof(pieces[0]))
        buffer_append_string(value, pieces[choice]);
    else if (choice == sizeof(pieces) / sizeof(pieces[0]) && next_random(seed) % 20 == 0)
        for (uint32_t i = next_random(seed) % 3000; i > 0; i--)
            buffer_append_char(value, 'x');
    else
        buffer_append_char(value, (char)(next_random(seed) & 0xff));
}

static void any_headers_keep_the_promises(void **state)
{
    static const char *const names[] = {"From",   "From",     "From",          "From",
                                        "Sender", "Reply-To", REWRITE_ORIGINAL};
    static const char *const envelopes[] = {"", "a@b", "u@v", "root", "\"\n"};
    uint64_t seed = UINT64_C(0x365365365365);

    (void)state;
    for (int round = 0; round < 20000; round++) {
        const struct rewrite_rules rules = {.upn = "u@v",
                                            .envelope_sender = envelopes[next_random(&seed) % 5],
                                            .rewrite_from = true,
                                            .add_reply_to = next_random(&seed) % 4 != 0,
                                            .replaces_null_sender = next_random(&seed) % 4 == 0,
                                            .covered = covered_by,
                                            .context = (void *)(size_t) "@z k@x"};
        struct message message = {0};
        struct rewrite_edits edits;
        for (uint32_t headers = next_random(&seed) % 4; headers > 0; headers--) {
            struct buffer value = {0};
            buffer_append_string(&value, "");
            for (uint32_t i = next_random(&seed) % 12; i > 0; i--)
                append_random(&value, &seed);
            message_add(&message, names[next_random(&seed) % 7], value.data, value.length);
            buffer_free(&value);
        }
        assert_int_equal(rewrite_headers(message.headers, message.count, &rules, &edits),
                         REWRITE_OK);
        const char *complaint = message_check(&message, &rules, &edits);
        if (complaint != NULL)
            fail_msg("round %d: got %s", round, complaint);
        rewrite_edits_free(&edits);
        message_free(&message);
    }
}

static void time_grows_with_the_input_and_not_with_its_square(void **state)
{
    static const char *const units[] = {
        "\\\"", "\"\\",   "\\(",    "(",   "\"",   "\\",   "<",        "<@a,", "a,",
        "=?",   "=?a",    "=?a?q?", "a@",  "<a@b", "(\\",  "a.",       "\n ",  "\r\n",
        ";",    "g:a@b;", "\"a\" ", "(a)", "[",    "a@b,", "=?a?q?,?="};

    (void)state;
    alarm(TIME_LIMIT);
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        const struct from_case row = {.from_long = {"", units[i], 500000, "j@x"}};
        struct message message = rewritten(&row);
        message_free(&message);
    }
    alarm(0);
}

/* --dump */

static void dump_base64(const char *bytes, size_t length)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    putchar('"');
    for (size_t i = 0; i < length; i += 3) {
        uint32_t group = 0;
        for (size_t j = i; j < i + 3; j++)
            group = group << 8 | (j < length ? (unsigned char)bytes[j] : 0U);
        for (size_t j = 0; j < 4; j++)
            putchar(i + j > length ? '=' : digits[group >> (18 - 6 * j) & 63]);
    }
    putchar('"');
}

static void dump_string(const char *name, const char *value)
{
    printf(", \"%s\": ", name);
    dump_base64(value, strlen(value));
}

static void dump_headers(const char *name, const struct message *message)
{
    printf(", \"%s\": [", name);
    for (size_t i = 0; i < message->count; i++) {
        printf("%s[\"%s\", ", i == 0 ? "" : ", ", message->headers[i].name);
        dump_base64(message->headers[i].value, message->headers[i].value_length);
        putchar(']');
    }
    putchar(']');
}

/* All values are base64. */
static int dump(void)
{
    for (size_t i = 0; i < ROWS; i++) {
        const struct from_case *row = &from_table[i];
        struct message before = message_of(row);
        struct message after = rewritten(row);
        printf("{\"keeps_name\": %s, \"touched\": %s", row->keeps_name ? "true" : "false",
               row->want_from == NULL ? "false" : "true");
        dump_string("about", row->about);
        dump_string("upn", or_else(row->upn, UPN));
        dump_string("send_as", or_else(row->send_as, SEND_AS));
        dump_string("envelope", or_else(row->envelope, ENVELOPE));
        dump_headers("before", &before);
        dump_headers("after", &after);
        printf("}\n");
        message_free(&before);
        message_free(&after);
    }
    return fflush(stdout) == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_of_the_table_becomes_what_it_should),
        cmocka_unit_test(every_row_keeps_the_promises),
        cmocka_unit_test(the_rows_are_about_different_things),
        cmocka_unit_test(nothing_is_touched_if_from_is_not_to_be_rewritten),
        cmocka_unit_test(a_lookup_that_fails_gives_no_edits),
        cmocka_unit_test(whatever_passes_for_an_upn_can_stand_in_from),
        cmocka_unit_test(an_upn_that_is_no_address_is_refused),
        cmocka_unit_test(send_as_is_asked_about_the_address_alone_and_not_about_the_upn),
        cmocka_unit_test(a_thousand_senders_are_a_few_questions),
        cmocka_unit_test(names_of_headers_are_compared_without_case),
        cmocka_unit_test(all_headers_that_are_looked_at_are_named),
        cmocka_unit_test(the_name_for_the_original_is_no_other_headers),
        cmocka_unit_test(encoded_words_that_overlap_are_told_from_left_to_right),
        cmocka_unit_test(a_message_whose_null_sender_is_replaced_must_not_be_answered),
        cmocka_unit_test(other_senders_get_no_such_headers),
        cmocka_unit_test(any_headers_keep_the_promises),
        cmocka_unit_test(time_grows_with_the_input_and_not_with_its_square),
    };

    if (argc == 2 && strcmp(argv[1], "--dump") == 0)
        return dump();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
