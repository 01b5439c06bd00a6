/* office365_replies.c - writes what is generated from the table of Office 365's replies
 *
 * usage: office365_replies filter | documentation
 *
 * `filter` prints conf/office365_replies.regexp, a regexp: table for Postfix's smtp_reply_filter;
 * `documentation` prints docs/OFFICE365_REPLIES.md. `make generate` writes the files, `make
 * check-generated` compares them. Part of the build, not installed.
 */
#include "common/office365.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

static void print_filter(void);
static void print_documentation(void);

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "filter") == 0) {
        print_filter();
    } else if (argc == 2 && strcmp(argv[1], "documentation") == 0) {
        print_documentation();
    } else {
        fprintf(stderr, "usage: office365_replies filter | documentation\n");
        return EX_USAGE;
    }
    if (fflush(stdout) != 0 || ferror(stdout)) {
        perror("office365_replies: standard output");
        return EX_IOERR;
    }
    return EX_OK;
}

static const struct office365_pattern *pattern_at(const struct office365_row *row, size_t index)
{
    if (index >= OFFICE365_PATTERNS_MAX || row->patterns[index].example == NULL)
        return NULL;
    return &row->patterns[index];
}

/* --- the filter ---------------------------------------------------------------------------- */

/* Lines of a comment, at most 100 columns. */
static void print_comment(const char *text)
{
    size_t column = 0;
    while (*text != '\0') {
        size_t word = strcspn(text, " ");
        if (column > 0 && column + 1 + word > 100) {
            putchar('\n');
            column = 0;
        }
        column += (size_t)printf("%s%.*s", column == 0 ? "# " : " ", (int)word, text);
        text += word + (text[word] == ' ');
    }
    putchar('\n');
}

/* `text` as a literal in a POSIX extended regular expression between slashes. */
static void print_literal(const char *text)
{
    for (; *text != '\0'; text++) {
        if (strchr("/\\^$.[]|()*+?{}", *text) != NULL)
            putchar('\\');
        putchar(*text);
    }
}

/* Whether it fits replies that say "permanent", and can be told without the stage. */
static bool is_permanent(const struct office365_pattern *pattern)
{
    unsigned class = pattern->code >= 200 ? pattern->code / 100 : pattern->code;
    return (class != 0 ? class : pattern->enhanced.class) == 5 &&
           pattern->place == OFFICE365_SEEN_AT &&
           (pattern->code != 5 || pattern->enhanced.class != 0 || pattern->text != NULL);
}

/* Does the filter have to change this reply? Replies of temporary rows that come as 5xx, except in
 * AUTH, where Postfix itself defers (smtp_sasl_auth_soft_bounce) and remembers the 535
 * (smtp_sasl_auth_cache_name), and except whole classes, which need a stage to be told apart.
 * Limits that are known from reports only are here: should one come as a reply, it is no less
 * temporary. */
static bool is_filtered(const struct office365_row *row, const struct office365_pattern *pattern)
{
    bool in_auth_only =
        pattern->stages != 0 && (pattern->stages & ~OFFICE365_AT(REPLY_STAGE_AUTH)) == 0;
    return row->told == OFFICE365_TEMPORARY && is_permanent(pattern) && !in_auth_only;
}

/* The numbers from `first` to `last`, as alternatives: all, or of as many digits both. */
static void print_range(unsigned first, unsigned last)
{
    const char *separator = "(";
    if (first == 0 && last == 999) {
        printf("[0-9]+");
        return;
    }
    while (first <= last) {
        unsigned unit = first % 100 == 0 && first + 99 <= last ? 100
                        : first % 10 == 0 && first + 9 <= last ? 10
                                                               : 1;
        unsigned until = first + unit;
        while (until % (unit * 10) != 0 && until + unit - 1 <= last)
            until += unit;
        unsigned from = first / unit, to = until / unit - 1;
        printf("%s", separator);
        if (from / 10 != 0)
            printf("%u", from / 10);
        if (from == to)
            printf("%u", from % 10);
        else
            printf("[%u-%u]", from % 10, to % 10);
        for (unsigned digit = unit; digit > 1; digit /= 10)
            printf("[0-9]");
        separator = "|";
        first = until;
    }
    putchar(')');
}

/* What stands behind the class of an enhanced code: its numbers and the text. */
static void print_behind_class(const struct office365_pattern *pattern)
{
    const struct reply_enhanced *enhanced = &pattern->enhanced;
    if (enhanced->class == 0)
        printf("\\.[0-9]+\\.[0-9]+");
    else
        printf("\\.%u\\.", enhanced->subject);
    if (enhanced->class != 0 && pattern->detail_last == 0)
        printf("%u", enhanced->detail);
    else if (enhanced->class != 0)
        print_range(enhanced->detail, pattern->detail_last);
    if (pattern->text != NULL) {
        printf(" .*");
        print_literal(pattern->text);
        printf(".*");
    } else {
        printf("( .*)?");
    }
}

static void print_rest_of_code(const struct office365_pattern *pattern)
{
    if (pattern->code >= 200)
        printf("%02u[ -]", pattern->code % 100);
    else
        printf("[0-9][0-9][ -]");
}

/* One rule. $1 is the rest of the code with its separator, $2 everything behind the class of the
 * enhanced code. */
static void print_rule(const struct office365_pattern *pattern)
{
    printf("/^5(");
    print_rest_of_code(pattern);
    printf(")5(");
    print_behind_class(pattern);
    printf(")$/ 4${1}4${2}\n");
}

/* A rule that leaves a reply as it is, so that no later one takes it. */
static void print_exception(const struct office365_pattern *pattern)
{
    printf("/^(5");
    print_rest_of_code(pattern);
    printf("5");
    print_behind_class(pattern);
    printf(")$/ ${1}\n");
}

/* The number of rows up to the last one with a rule: behind it there is nothing to except from. */
static size_t filtered_count(const struct office365_row *rows, size_t count)
{
    const struct office365_pattern *pattern;
    size_t last = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; (pattern = pattern_at(&rows[i], j)) != NULL; j++)
            if (is_filtered(&rows[i], pattern))
                last = i + 1;
    return last;
}

static void print_filter(void)
{
    static const char *const head[] = {
        "Replies of Office 365 that say \"permanent\" and mean \"later\": the code becomes 4xx and "
        "Microsoft's text stays, so that Postfix defers the message where it would return it. For "
        "relays that run without post365's transport, which does the same and more. Generated from "
        "the table in common/office365.c by `make generate`: do not edit.",
        "",
        "Use, in main.cf, or as a -o of the smtp service in master.cf that talks to Office 365 if "
        "the relay also sends elsewhere (the filter sees the replies of every server):",
        "    smtp_reply_filter = regexp:/etc/postfix/office365_replies.regexp",
        "",
        "Failed logins are not here: Postfix defers them by itself "
        "(smtp_sasl_auth_soft_bounce = yes, its default). Postfix asks for one line at a time and "
        "goes by the last line of a reply; Office 365 gives these in one line. A mistake that "
        "stays "
        "(send-as, mailbox-full, not-authenticated) now fills the queue until "
        "maximal_queue_lifetime: watch it. Meaning and remedy: docs/OFFICE365_REPLIES.md.",
    };
    for (size_t i = 0; i < sizeof(head) / sizeof(head[0]); i++) {
        if (*head[i] == '\0')
            printf("#\n");
        else if (*head[i] == ' ')
            printf("#%s\n", head[i]);
        else
            print_comment(head[i]);
    }
    size_t count;
    const struct office365_row *rows = office365_rows(&count);
    count = filtered_count(rows, count);
    for (size_t i = 0; i < count; i++) {
        const struct office365_pattern *pattern;
        bool first = true, is_as_is = rows[i].told == OFFICE365_AS_IS;
        for (size_t j = 0; (pattern = pattern_at(&rows[i], j)) != NULL; j++) {
            if (!is_filtered(&rows[i], pattern) && !(is_as_is && is_permanent(pattern)))
                continue;
            if (first)
                printf("\n# %s%s\n", rows[i].name, is_as_is ? ", which stays as it is" : "");
            first = false;
            if (is_as_is)
                print_exception(pattern);
            else
                print_rule(pattern);
        }
    }
}

/* --- the documentation --------------------------------------------------------------------- */

static void print_stages(const struct office365_pattern *pattern)
{
    if (pattern->stages == 0) {
        printf("%s", office365_stage_words(REPLY_STAGE_UNKNOWN));
        return;
    }
    const char *separator = "";
    for (enum reply_stage stage = REPLY_STAGE_CONNECT; stage < REPLY_STAGES; stage++) {
        if ((pattern->stages & OFFICE365_AT(stage)) == 0)
            continue;
        printf("%s%s", separator, office365_stage_words(stage));
        separator = ", ";
    }
}

static const char *told_words(const struct office365_row *row)
{
    return row->told == OFFICE365_TEMPORARY ? "temporary" : "as is";
}

/* The codes that a pattern fits, `any` where it takes every one. */
static void print_codes(const struct office365_pattern *pattern)
{
    if (pattern->code >= 200)
        printf("%u", pattern->code);
    else if (pattern->code > 0)
        printf("%uxx", pattern->code);
    else if (pattern->enhanced.class == 0)
        printf("anything else");
    if (pattern->enhanced.class == 0)
        return;
    printf("%s%u.%u.", pattern->code > 0 ? " " : "", pattern->enhanced.class,
           pattern->enhanced.subject);
    if (pattern->enhanced.detail == 0 && pattern->detail_last == 999) {
        printf("x");
        return;
    }
    printf("%u", pattern->enhanced.detail);
    if (pattern->detail_last != 0)
        printf("-%u", pattern->detail_last);
}

static void print_overview(const struct office365_row *rows, size_t count)
{
    printf("| reply | text has | stage | cause | Postfix is told | the account |\n"
           "|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < count; i++) {
        const struct office365_pattern *pattern;
        for (size_t j = 0; (pattern = pattern_at(&rows[i], j)) != NULL; j++) {
            printf("| `");
            print_codes(pattern);
            if (pattern->text != NULL)
                printf("` | `%s` | ", pattern->text);
            else
                printf("` | | ");
            print_stages(pattern);
            printf(" | [%s](#%s) | %s | %s |\n", rows[i].name, rows[i].name, told_words(&rows[i]),
                   office365_account_words(rows[i].account));
        }
    }
}

static void print_examples(const struct office365_row *row, const char *condition)
{
    const struct office365_pattern *pattern;
    for (size_t i = 0; (pattern = pattern_at(row, i)) != NULL; i++) {
        printf("- `%s` (", pattern->example);
        print_stages(pattern);
        printf("%s)\n", condition);
    }
}

static void print_row(const struct office365_row *row)
{
    size_t count;
    const struct office365_row *rows = office365_rows(&count);
    printf("\n### %s\n\n", row->name);
    print_examples(row, "");
    for (size_t i = 0; i < count; i++)
        if (&rows[i] != row && office365_of_token(&rows[i]) == row)
            print_examples(&rows[i], ", with an access token");
    printf("\n%s\n\n", row->meaning);
    printf("**Postfix is told:** %s. **The account:** %s. **Passes by itself:** %s.\n\n",
           row->told == OFFICE365_TEMPORARY ? "4xx with Microsoft's text" : "the reply as it is",
           office365_account_words(row->account), row->needs_admin ? "no" : "yes, or no matter");
    printf("**Remedy:** %s\n", row->remedy);
}

static void print_documentation(void)
{
    printf("# Replies of Office 365\n\n"
           "What Exchange Online answers on SMTP AUTH client submission, what it means, what "
           "post365 does, and what you\ndo. Generated from the table in `common/office365.c` by "
           "`make generate`: do not edit.\n\n"
           "\"Temporary\" means that Postfix gets 4xx where Microsoft says 5xx, with Microsoft's "
           "text, and keeps the message.\nReplies end in a host and a stamp, "
           "`[SY4P300CA0001.AUSP300.PROD.OUTLOOK.COM 2023-09-12T20:59:57.214Z ...]`, which\nis "
           "left out here. The first line that fits a reply, from the top, counts.\n\n"
           "## Overview\n\n");
    size_t count;
    const struct office365_row *rows = office365_rows(&count);
    print_overview(rows, count);
    printf("\n## Causes\n");
    for (size_t i = 0; i < count; i++)
        print_row(&rows[i]);
}

/* --- names ---------------------------------------------------------------------------------- */
