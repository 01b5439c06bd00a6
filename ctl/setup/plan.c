/* plan.c - what must change so that the relay sends through post365, and why */
#include "ctl/setup/plan.h"

#include "common/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Before what is appended to main.cf. */
#define HEADING "# post365 (post365 setup --undo takes this out again)\n"

static char *format_list(const char *format, va_list arguments)
{
    char *text = NULL;
    if (vasprintf(&text, format, arguments) < 0)
        abort();
    return text;
}

void plan_change(struct plan *plan, enum relay_file file, const char *name, const char *why, ...)
{
    va_list arguments;
    va_start(arguments, why);
    plan->changes = memory_grow(plan->changes, (plan->change_count + 1) * sizeof(plan->changes[0]));
    plan->changes[plan->change_count++] = (struct change){
        .file = file, .name = memory_copy(name), .why = format_list(why, arguments)};
    va_end(arguments);
}

/* Takes `text` over. */
static void add_text(char ***list, size_t *count, char *text)
{
    *list = memory_grow(*list, (*count + 1) * sizeof(char *));
    (*list)[(*count)++] = text;
}

void plan_remark(struct plan *plan, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    add_text(&plan->remarks, &plan->remark_count, format_list(format, arguments));
    va_end(arguments);
}

void plan_duty(struct plan *plan, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    add_text(&plan->duties, &plan->duty_count, format_list(format, arguments));
    va_end(arguments);
}

void plan_judged(struct plan *plan, struct judged judged, const char *subject, const char *remedy)
{
    if (judged.judgement == JUDGED_RIGHT)
        return;
    char *text =
        memory_format("%s: %s%s%s", subject, judged.meaning, remedy[0] != '\0' ? " " : "", remedy);
    if (judged.judgement == JUDGED_WRONG)
        add_text(&plan->duties, &plan->duty_count, text);
    else
        add_text(&plan->remarks, &plan->remark_count, text);
}

/* --- edits of main.cf --- */

static void append(struct plan *plan, const char *name, char *lines)
{
    const struct text *text = &plan->relay->text[RELAY_MAIN];
    struct edits *edits = &plan->edits[RELAY_MAIN];
    const struct text_span end = {text->length, text->length};
    if (edits->count == 0 || edits->list[edits->count - 1].before.begin < text->length)
        edits_add(edits, end, "", memory_copy("\n" HEADING));
    edits_add(edits, end, name, lines);
}

void plan_replace(struct plan *plan, const struct text_entry *entry, char *lines)
{
    const struct text *text = &plan->relay->text[RELAY_MAIN];
    for (size_t i = 0; i < text->count && &text->entries[i] != entry; i++)
        if (strcmp(text->entries[i].name, entry->name) == 0)
            edits_add(&plan->edits[RELAY_MAIN], text->entries[i].span, entry->name,
                      memory_copy(""));
    edits_add(&plan->edits[RELAY_MAIN], entry->span, entry->name, lines);
}

void plan_set(struct plan *plan, const char *name, const char *value)
{
    const struct text_entry *entry = text_find(&plan->relay->text[RELAY_MAIN], name);
    char *lines = memory_format("%s =%s%s\n", name, value[0] == '\n' ? "" : " ", value);
    if (entry != NULL)
        plan_replace(plan, entry, lines);
    else
        append(plan, name, lines);
}

void plan_add_table(struct plan *plan, const char *name, const char *lines)
{
    const struct text *main = &plan->relay->text[RELAY_MAIN];
    const struct text_entry *entry = text_find(main, name);
    struct text_span value = {0};
    if (entry != NULL)
        value = text_value(main, entry);
    if (value.end == value.begin) {
        char *table = memory_format("\n    inline:{\n      %s }", lines);
        plan_set(plan, name, table);
        free(table);
        return;
    }
    plan_replace(plan, entry,
                 memory_format("%.*s,\n    inline:{\n      %s }\n",
                               (int)(value.end - entry->span.begin), main->data + entry->span.begin,
                               lines));
}

void plan_remove(struct plan *plan, const char *name)
{
    const struct text_entry *entry = text_find(&plan->relay->text[RELAY_MAIN], name);
    if (entry != NULL)
        plan_replace(plan, entry, memory_copy(""));
}

bool plan_removes(const struct plan *plan, const char *name)
{
    const struct edits *edits = &plan->edits[RELAY_MAIN];
    bool removes = false;
    for (size_t i = 0; i < edits->count; i++)
        if (strcmp(edits->list[i].name, name) == 0)
            removes = edits->list[i].lines[0] == '\0';
    return removes;
}

/* --- all of it --- */

bool plan_make(const struct relay *relay, const struct takeover *takeover, struct plan *plan,
               struct error *error)
{
    *plan = (struct plan){.relay = relay, .takeover = takeover};
    if (relay->is_direct_send) {
        plan_direct_send(plan);
        return true;
    }
    plan_oauth2(plan);
    if (!plan_relayhost(plan, error) || !plan_recipes(plan, error) || !plan_milters(plan, error) ||
        !plan_transport(plan, error) || !plan_services(plan, error) || !plan_smtp(plan, error))
        return false;
    plan_limits(plan);
    return plan_remains(plan, error);
}

void plan_free(struct plan *plan)
{
    for (size_t i = 0; i < plan->change_count; i++) {
        free(plan->changes[i].name);
        free(plan->changes[i].why);
    }
    free(plan->changes);
    for (size_t i = 0; i < plan->remark_count; i++)
        free(plan->remarks[i]);
    free(plan->remarks);
    for (size_t i = 0; i < plan->duty_count; i++)
        free(plan->duties[i]);
    free(plan->duties);
    for (size_t i = 0; i < RELAY_FILES; i++)
        edits_free(&plan->edits[i]);
    *plan = (struct plan){.relay = NULL};
}
