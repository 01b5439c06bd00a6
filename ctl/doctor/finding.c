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

static const struct {
    const char *word;
    enum screen_style style;
} verdicts[VERDICTS] = {
    [VERDICT_OK] = {"ok", SCREEN_GOOD},
    [VERDICT_WARNING] = {"warning", SCREEN_BAD},
    [VERDICT_WRONG] = {"wrong", SCREEN_BAD},
    [VERDICT_UNTRIED] = {"not tried", SCREEN_DIM},
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

/* --- for programs ------------------------------------------------------------- */

static void print_json(const struct finding *finding)
{
    json_t *object = json_pack(
        "{s:s, s:s, s:o, s:o, s:o, s:o, s:o}", "check", finding->check, "verdict",
        verdicts[finding->verdict].word, "account", output_text(finding->account), "tried",
        output_text_about(finding->tried, finding->account), "seen", output_text(finding->seen),
        "meaning", output_text_about(finding->meaning, finding->account), "remedy",
        output_text_about(finding->remedy, finding->account));
    output_line(object);
}

/* --- for people ---------------------------------------------------------------- */

static void print_label(const struct screen *screen, const char *label, const char *text,
                        const char *account)
{
    struct buffer painted = {0}, shown = {0};
    if (text == NULL)
        return;
    screen_paint(screen, &painted, SCREEN_DIM, label);
    screen_text_about(&shown, text, account);
    printf("%*s%s%*s", TEXT_COLUMN, "", painted.data, (int)(LABEL - strlen(label)), "");
    screen_wrap(screen, shown.data != NULL ? shown.data : "", TEXT_COLUMN + LABEL);
    buffer_free(&painted);
    buffer_free(&shown);
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
    struct buffer painted = {0}, line = {0};
    print_section(report);
    screen_paint(report->screen, &painted, verdicts[finding->verdict].style, word);
    screen_text_about(&line, finding->tried, finding->account);
    buffer_append_string(&line, ": ");
    screen_text_about(&line, finding->seen, NULL);
    printf("%*s%s%*s", VERDICT_COLUMN, "", painted.data,
           (int)(TEXT_COLUMN - VERDICT_COLUMN - strlen(word)), "");
    screen_wrap(report->screen, line.data, TEXT_COLUMN);
    print_label(report->screen, "means", finding->meaning, finding->account);
    print_label(report->screen, "do", finding->remedy, finding->account);
    buffer_free(&painted);
    buffer_free(&line);
}

void report_finding(struct report *report, const struct finding *finding)
{
    struct finding shown = *finding;
    report->counts[shown.verdict]++;
    if (shown.verdict == VERDICT_OK || shown.verdict == VERDICT_UNTRIED)
        shown.meaning = shown.remedy = NULL;
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
        printf("\n%u ok, %u warning%s, %u wrong, %u not tried\n", counts[VERDICT_OK],
               counts[VERDICT_WARNING], counts[VERDICT_WARNING] == 1 ? "" : "s",
               counts[VERDICT_WRONG], counts[VERDICT_UNTRIED]);
    return counts[VERDICT_WARNING] + counts[VERDICT_WRONG] + counts[VERDICT_UNTRIED] == 0;
}
