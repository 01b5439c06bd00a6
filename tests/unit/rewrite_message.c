/* rewrite_message.c - the headers of a message, as the tests of rewrite need them */
#include "tests/unit/rewrite_message.h"

#include "common/memory.h"
#include "common/sender/fold.h"
#include "common/sender/mailbox.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void message_add(struct message *message, const char *name, const char *value, size_t length)
{
    message->headers =
        memory_grow(message->headers, (message->count + 1) * sizeof(*message->headers));
    message->headers[message->count++] =
        (struct rewrite_header){name, memory_copy_bytes(value, length), length};
}

void message_free(struct message *message)
{
    for (size_t i = 0; i < message->count; i++)
        free((void *)(size_t)message->headers[i].value);
    free(message->headers);
    *message = (struct message){0};
}

const struct rewrite_header *message_find(const struct message *message, const char *name,
                                          int index)
{
    for (size_t i = 0; i < message->count; i++) {
        if (strcasecmp(message->headers[i].name, name) == 0 && --index == 0)
            return &message->headers[i];
    }
    return NULL;
}

int message_count(const struct message *message, const char *name)
{
    int count = 0;

    while (message_find(message, name, count + 1) != NULL)
        count++;
    return count;
}

static void remove_header(struct message *message, const struct rewrite_header *header)
{
    size_t at = (size_t)(header - message->headers);

    free((void *)(size_t)header->value);
    memmove(message->headers + at, message->headers + at + 1,
            (message->count - at - 1) * sizeof(*message->headers));
    message->count--;
}

static const char *apply_one(struct message *message, const struct rewrite_edit *edit)
{
    if (edit->action == REWRITE_ADD) {
        if (edit->index != 0 || edit->value == NULL)
            return "an addition with an index or without a value";
        message_add(message, edit->name, edit->value, strlen(edit->value));
        return NULL;
    }
    const struct rewrite_header *found = message_find(message, edit->name, edit->index);
    if (found == NULL)
        return "a change or deletion of a header that is not there";
    if (edit->action == REWRITE_DELETE) {
        remove_header(message, found);
        return edit->value == NULL ? NULL : "a deletion with a value";
    }
    if (edit->index != 1 || edit->value == NULL)
        return "a change of another than the first header, or without a value";
    struct rewrite_header *changed = &message->headers[found - message->headers];
    free((void *)(size_t)changed->value);
    changed->value = memory_copy(edit->value);
    changed->value_length = strlen(edit->value);
    return NULL;
}

const char *message_apply(struct message *message, const struct rewrite_edits *edits)
{
    for (size_t i = 0; i < edits->count; i++) {
        const struct rewrite_edit *edit = &edits->items[i];
        if (i > 0 && edit->action < edit[-1].action)
            return "changes, deletions and additions out of order";
        if (i > 0 && edit->action == REWRITE_DELETE && edit[-1].action == REWRITE_DELETE &&
            strcmp(edit->name, edit[-1].name) == 0 && edit->index >= edit[-1].index)
            return "deletions not in descending order";
        const char *complaint = apply_one(message, edit);
        if (complaint != NULL)
            return complaint;
    }
    return NULL;
}

static const char *check_lines(const char *name, const char *value)
{
    size_t column = strlen(name) + 2;
    bool blank = false;

    if (value[0] == '\0' || value[0] == ' ' || value[0] == '\t')
        return "a value that is empty or starts with white space";
    for (const char *at = value; *at != '\0'; at++) {
        if (*at == '\n') {
            if (blank || (at[1] != ' ' && at[1] != '\t'))
                return "a line break that is no fold";
            column = 0;
            blank = true;
            continue;
        }
        if (((unsigned char)*at < ' ' && *at != '\t') || *at == 0x7f)
            return "a control character";
        if (++column > FOLD_LINE_MAX)
            return "a line that is too long";
        blank = blank && (*at == ' ' || *at == '\t');
    }
    return blank ? "a blank line at the end" : NULL;
}

static const char *check_values(const struct rewrite_edits *edits)
{
    for (size_t i = 0; i < edits->count; i++) {
        const struct rewrite_edit *edit = &edits->items[i];
        const char *complaint = edit->value == NULL ? NULL : check_lines(edit->name, edit->value);
        if (complaint != NULL)
            return complaint;
        if (edit->value != NULL && strlen(edit->value) > 9000)
            return "a value of more than 9000 octets";
    }
    return NULL;
}

/* check_person - is there one mailbox in a header, and may the account send as it? */
static const char *check_person(const struct rewrite_header *header,
                                const struct rewrite_rules *rules, struct mailbox_list *list)
{
    mailbox_list_init(list);
    if (!mailbox_list_parse(list, header->value, header->value_length))
        return "a From: or Sender: that does not parse";
    if (list->total != 1 || !list->strict)
        return "a From: or Sender: that is not exactly one well written mailbox";
    const char *address = list->items[0].address;
    if (strcasecmp(address, rules->upn) != 0 &&
        rules->covered(rules->context, address, strlen(address)) != REWRITE_COVERED)
        return "a From: or Sender: that the account may not send as";
    return NULL;
}

static const char *check_reply_to(const struct rewrite_edits *edits, struct mailbox_list *list)
{
    for (size_t i = 0; i < edits->count; i++) {
        const struct rewrite_edit *edit = &edits->items[i];
        if (strcmp(edit->name, "Reply-To") != 0 || edit->value == NULL)
            continue;
        mailbox_list_init(list);
        if (!mailbox_list_parse(list, edit->value, strlen(edit->value)) || list->total == 0 ||
            !list->strict)
            return "a Reply-To: that does not parse";
    }
    return NULL;
}

/* check_reply_headers - is there one, of those that the edits have touched? */
static const char *check_reply_headers(const struct message *message,
                                       const struct rewrite_edits *edits)
{
    for (size_t i = 0; i < edits->count; i++) {
        if (strcmp(edits->items[i].name, "Reply-To") == 0 &&
            message_count(message, "Reply-To") != 1)
            return "Reply-To: was touched, and there is not exactly one";
    }
    return NULL;
}

static const char *check_result(const struct message *message, const struct rewrite_rules *rules,
                                struct mailbox_list *list)
{
    struct rewrite_edits again;
    const struct rewrite_header *sender = message_find(message, "Sender", 1);

    if (message_count(message, "From") != 1)
        return "not exactly one From:";
    if (message_count(message, "Sender") > 1)
        return "more than one Sender:";
    const char *complaint = check_person(message_find(message, "From", 1), rules, list);
    if (complaint == NULL && sender != NULL)
        complaint = check_person(sender, rules, list);
    if (complaint != NULL)
        return complaint;
    if (rewrite_headers(message->headers, message->count, rules, &again) != REWRITE_OK)
        return "a second time that fails";
    if (again.count > 0)
        complaint = "edits at the second time";
    rewrite_edits_free(&again);
    return complaint;
}

const char *message_check(struct message *message, const struct rewrite_rules *rules,
                          const struct rewrite_edits *edits)
{
    struct mailbox_list *list = memory_alloc(sizeof(*list));
    const char *complaint = check_values(edits);

    if (complaint == NULL)
        complaint = check_reply_to(edits, list);
    if (complaint == NULL)
        complaint = message_apply(message, edits);
    if (complaint == NULL)
        complaint = check_reply_headers(message, edits);
    if (complaint == NULL)
        complaint = check_result(message, rules, list);
    free(list);
    return complaint;
}
