/* finding.c - what the doctor has found */
#include "ctl/doctor/finding.h"

#include "common/memory.h"
#include "ctl/output.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VERDICT_COLUMN 2
#define TEXT_COLUMN    13
#define LABEL          7 /* columns */
#define COMMAND_COLUMN 4

static const struct {
    const char *word;
    enum screen_style style;
} verdicts[VERDICTS] = {
    [VERDICT_OK] = {"ok", SCREEN_GOOD},      [VERDICT_WARNING] = {"warning", SCREEN_BAD},
    [VERDICT_WRONG] = {"wrong", SCREEN_BAD}, [VERDICT_UNTRIED] = {"not tried", SCREEN_DIM},
    [VERDICT_NOTE] = {"note", SCREEN_BOLD},
};

void report_section(struct report *report, const char *heading)
{
    report->section = heading;
}

const char *report_format(struct report *report, const char *format, ...)
{
    struct buffer text = {0};
    char *formatted = NULL;
    va_list arguments;
    va_start(arguments, format);
    if (vasprintf(&formatted, format, arguments) < 0)
        formatted = NULL;
    va_end(arguments);
    buffer_append_string(&text, formatted != NULL ? formatted : "");
    free(formatted);
    report->texts = memory_grow(report->texts, (report->text_count + 1) * sizeof(char *));
    report->texts[report->text_count] = buffer_take(&text);
    return report->texts[report->text_count++];
}

static void forget_texts(struct report *report)
{
    for (size_t i = 0; i < report->text_count; i++)
        free(report->texts[i]);
    free(report->texts);
    report->texts = NULL;
    report->text_count = 0;
}

/* What stands in the places of the texts. */
static struct screen_names names_of(const struct finding *finding)
{
    struct screen_names names = {0};
    if (finding->names != NULL)
        names = *finding->names;
    names.account = finding->account;
    return names;
}

/* The caller's; NULL at the end. */
static char *next_line(const char **text)
{
    size_t length = strcspn(*text, "\n");
    if (**text == '\0')
        return NULL;
    char *line = memory_copy_bytes(*text, length);
    *text += length + ((*text)[length] == '\n');
    return line;
}

/* --- for programs ------------------------------------------------------------- */

static json_t *lines_of(const char *commands)
{
    if (commands == NULL)
        return json_null();
    json_t *lines = json_array();
    for (char *line; (line = next_line(&commands)) != NULL; free(line))
        json_array_append_new(lines, output_text(line));
    return lines;
}

static void print_json(const struct finding *finding)
{
    const struct screen_names names = names_of(finding);
    json_t *object = json_pack(
        "{s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "check", finding->check, "verdict",
        verdicts[finding->verdict].word, "account", output_text(finding->account), "tried",
        output_text_named(finding->tried, &names), "seen", output_text(finding->seen), "meaning",
        output_text_named(finding->meaning, &names), "remedy",
        output_text_named(finding->remedy, &names), "commands", lines_of(finding->commands));
    output_line(object);
}

/* --- for people ---------------------------------------------------------------- */

static void print_label(const struct screen *screen, const char *label, const char *text,
                        const struct screen_names *names)
{
    struct buffer painted = {0}, shown = {0};
    if (text == NULL)
        return;
    screen_paint(screen, &painted, SCREEN_DIM, label);
    screen_text_named(&shown, text, names);
    printf("%*s%s%*s", TEXT_COLUMN, "", painted.data, (int)(LABEL - strlen(label)), "");
    screen_wrap(screen, shown.data != NULL ? shown.data : "", TEXT_COLUMN + LABEL);
    buffer_free(&painted);
    buffer_free(&shown);
}

/* As they are, however long: they are there to be copied. */
static void print_commands(const struct screen *screen, const char *commands)
{
    struct buffer painted = {0};
    const char *label = "type";
    if (commands == NULL)
        return;
    screen_paint(screen, &painted, SCREEN_DIM, label);
    printf("%*s%s\n", TEXT_COLUMN, "", painted.data);
    buffer_free(&painted);
    for (char *line; (line = next_line(&commands)) != NULL; free(line)) {
        struct buffer shown = {0};
        screen_text(&shown, line);
        printf("%*s%s\n", COMMAND_COLUMN, "", shown.data);
        buffer_free(&shown);
    }
}

static void print_section(struct report *report)
{
    struct buffer heading = {0};
    if (report->section == NULL)
        return;
    screen_paint(report->screen, &heading, SCREEN_BOLD, report->section);
    printf("%s%s\n", report->has_begun ? "\n" : "", heading.data);
    report->has_begun = true;
    report->section = NULL;
    buffer_free(&heading);
}

static void print_text(struct report *report, const struct finding *finding)
{
    const char *word = verdicts[finding->verdict].word;
    const struct screen_names names = names_of(finding);
    struct buffer painted = {0}, line = {0};
    print_section(report);
    screen_paint(report->screen, &painted, verdicts[finding->verdict].style, word);
    screen_text_named(&line, finding->tried, &names);
    buffer_append_string(&line, ": ");
    screen_text_about(&line, finding->seen, NULL);
    printf("%*s%s%*s", VERDICT_COLUMN, "", painted.data,
           (int)(TEXT_COLUMN - VERDICT_COLUMN - strlen(word)), "");
    screen_wrap(report->screen, line.data, TEXT_COLUMN);
    print_label(report->screen, "means", finding->meaning, &names);
    print_label(report->screen, "do", finding->remedy, &names);
    print_commands(report->screen, finding->commands);
    buffer_free(&painted);
    buffer_free(&line);
}

void report_finding(struct report *report, const struct finding *finding)
{
    struct finding shown = *finding;
    report->counts[shown.verdict]++;
    if (shown.verdict == VERDICT_OK || shown.verdict == VERDICT_UNTRIED)
        shown.meaning = shown.remedy = shown.commands = NULL;
    if (report->as_json)
        print_json(&shown);
    else
        print_text(report, &shown);
    fflush(stdout);
    forget_texts(report);
}

bool report_end(struct report *report)
{
    const unsigned *counts = report->counts;
    forget_texts(report);
    if (!report->as_json)
        printf("\n%u ok, %u warning%s, %u wrong, %u not tried", counts[VERDICT_OK],
               counts[VERDICT_WARNING], counts[VERDICT_WARNING] == 1 ? "" : "s",
               counts[VERDICT_WRONG], counts[VERDICT_UNTRIED]);
    if (!report->as_json && counts[VERDICT_NOTE] > 0)
        printf(", %u note%s", counts[VERDICT_NOTE], counts[VERDICT_NOTE] == 1 ? "" : "s");
    if (!report->as_json)
        putchar('\n');
    return counts[VERDICT_WARNING] + counts[VERDICT_WRONG] + counts[VERDICT_UNTRIED] == 0;
}
